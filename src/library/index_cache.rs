//! The index cache: the result of the last scan in a file beside the state file, so that the next start reads only files
//! that have changed since then. If the cache is damaged or has another format, it is ignored, and all audio files are read.
//!
//! The cache has a JSON line for each file of the audio folders. It is read line by line, so that a large library is not in
//! memory twice, as JSON and as tracks.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use flate2::{Crc, CrcWriter};
use serde::{Deserialize, Serialize};

use super::cover_files::CoverFinder;
use super::duplicates::{Duplicate, Visibility};
use super::folders::AudioFolders;
use super::length::LengthSource;
use super::loudness_reports::{MeasuredLoudness, Measurement};
use super::playlists::Playlists;
use super::{
    ContentHash, Index, Padding, Picture, Stamp, TaggedLoudness, Tags, Track, Version, tags,
};
use crate::data_files::{DataFiles, WriteOptions};
use crate::room::{MemberId, TrackId};

/// The first line of the cache. Must change whenever the format of a line changes, and whenever a new version of the server
/// reads other values from the same audio file.
const FORMAT: &str = "lockstep index 9";
/// The size of the buffers for reading and writing, in bytes.
const BUFFER_SIZE: usize = 64 << 10;

/// The file of the index cache.
#[derive(Debug, Clone)]
pub(super) struct IndexCache {
    files: DataFiles,
    path: PathBuf,
}

/// Why the index cache is ignored.
#[derive(Debug, thiserror::Error)]
enum CacheError {
    #[error("the file cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("the file was written by another version of lockstep")]
    OtherVersion,
    #[error("the file is damaged")]
    Damaged,
}

/// The second line of the cache.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header<'a> {
    /// The first audio folder, to which the paths are relative.
    #[serde(borrow)]
    root: CachedPath<'a>,
    keep_duplicates: bool,
    /// The number of lines with a listed track, which follow the header.
    tracks: usize,
    /// The number of lines with a duplicate, which follow the listed tracks.
    duplicates: usize,
    /// The number of lines with a non-track, which follow the duplicates.
    others: usize,
    /// The number of lines with an absent track, which follow the non-tracks.
    absent: usize,
    /// The number of lines with a picture, which follow the absent tracks.
    pictures: usize,
}

/// A path: as text if it is UTF-8, else as bytes.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum CachedPath<'a> {
    #[serde(borrow)]
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
}

/// The line of a track. [`CachedTrack::of`] shows which field of [`Track`] each field holds. The names are part of the format.
#[derive(Serialize, Deserialize)]
struct CachedTrack<'a> {
    id: u64,
    #[serde(borrow)]
    path: CachedPath<'a>,
    size: u64,
    stamp: u64,
    version: u64,
    /// The stamp at the last scan, if it differs from `stamp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seen: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sound: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sample: Option<u64>,
    #[serde(borrow)]
    mime: Cow<'a, str>,
    duration: f64,
    #[serde(rename = "length")]
    length_source: LengthSource,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    corrected: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    padding: Option<Padding>,
    tags: Cow<'a, Tags>,
    titled: bool,
    rate: u32,
    loudness: TaggedLoudness,
    /// The gain and the peak that devices have measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    measured: Option<(f64, f64)>,
    /// Whether devices need not measure the loudness again.
    #[serde(rename = "final", default, skip_serializing_if = "std::ops::Not::not")]
    is_measured_finally: bool,
    added: u64,
    /// The number of the device that uploaded the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<u32>,
    /// Whether the file has an embedded picture.
    picture: bool,
    /// The id of the listed track, if this track is a duplicate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    of: Option<u64>,
}

impl IndexCache {
    pub(super) fn new(files: DataFiles) -> Self {
        let path = files.index_cache_path();
        IndexCache { files, path }
    }

    /// The index of the last scan of `folders`. Empty if there is no cache of this folder, or if the cache must be ignored; the
    /// log then has the reason. If the last scan had another setting of `keep_duplicates`, the copies to list are chosen
    /// again, and `current_tracks` are always listed.
    pub(super) fn load(
        &self,
        folders: &AudioFolders,
        keep_duplicates: bool,
        current_tracks: &[TrackId],
    ) -> Index {
        let loaded = self
            .try_load(folders, keep_duplicates, current_tracks)
            .unwrap_or_else(|error| {
                tracing::warn!(
                    "ignoring the index cache {}, so all files are read again: {error}",
                    self.path.display()
                );
                None
            });
        let index = loaded.unwrap_or_else(|| Index::empty(folders.clone()));
        index.with_playlists(&Playlists::default())
    }

    /// `None` if there is no cache, or if the cache describes another folder.
    fn try_load(
        &self,
        folders: &AudioFolders,
        keep_duplicates: bool,
        current_tracks: &[TrackId],
    ) -> Result<Option<Index>, CacheError> {
        let file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let mut lines = ChecksummedLines::new(file);
        if lines.next()? != FORMAT.as_bytes() {
            return Err(CacheError::OtherVersion);
        }
        let header: Header = parse(lines.next()?)?;
        let counts = [
            header.tracks,
            header.duplicates,
            header.others,
            header.absent,
            header.pictures,
        ];
        let cached_keep_duplicates = header.keep_duplicates;
        if header.root.into_path() != folders.first() {
            return Ok(None);
        }
        let (mut tracks, mut duplicates, mut non_tracks) = (Vec::new(), Vec::new(), Vec::new());
        let (mut absent, mut pictures) = (Vec::new(), Vec::new());
        for _ in 0..counts[0] {
            let track: CachedTrack = parse(lines.next()?)?;
            tracks.push(Arc::new(track.into_track()?));
        }
        for _ in 0..counts[1] {
            let track: CachedTrack = parse(lines.next()?)?;
            duplicates.push(Duplicate {
                listed_as: TrackId(track.of.ok_or(CacheError::Damaged)?),
                track: Arc::new(track.into_track()?),
            });
        }
        for _ in 0..counts[2] {
            let (path, stamp): (CachedPath, u64) = parse(lines.next()?)?;
            non_tracks.push((path.into_path(), Stamp(stamp)));
        }
        for _ in 0..counts[3] {
            let track: CachedTrack = parse(lines.next()?)?;
            absent.push(Arc::new(track.into_track()?));
        }
        for _ in 0..counts[4] {
            let picture: CachedPicture = parse(lines.next()?)?;
            pictures.push(picture.into_picture());
        }
        lines.check_last_line()?;
        let covers = CoverFinder::new(&pictures);
        covers.set_covers(&mut tracks);
        covers.set_covers(duplicates.iter_mut().map(|duplicate| &mut duplicate.track));
        let index = if cached_keep_duplicates == keep_duplicates {
            Index::from_sorted(folders.clone(), tracks, duplicates, non_tracks)
        } else {
            tracks.extend(duplicates.into_iter().map(|duplicate| duplicate.track));
            Index::new(folders.clone(), tracks, non_tracks, keep_duplicates, |id| {
                Visibility::new(current_tracks.contains(&id), false)
            })
        };
        Ok(Some(index.with_absent(absent).with_pictures(pictures)))
    }

    /// Replaces the cache, or logs why this failed. The file is not flushed to the disk, because after a power failure the
    /// checksum shows whether the file is complete.
    pub(super) fn save(&self, index: &Index, keep_duplicates: bool) {
        let saved = self.files.replace(&self.path, WriteOptions::CACHE, |file| {
            write_index(file, index, keep_duplicates)
        });
        if let Err(error) = saved {
            tracing::warn!(
                "cannot write the index cache {}: {error}",
                self.path.display()
            );
        }
    }
}

fn write_index(file: &mut File, index: &Index, keep_duplicates: bool) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(BUFFER_SIZE, CrcWriter::new(file));
    writeln!(out, "{FORMAT}")?;
    let header = Header {
        root: CachedPath::of(index.folders().first()),
        keep_duplicates,
        tracks: index.len(),
        duplicates: index.duplicates().len(),
        others: index.non_tracks().len(),
        absent: index.absent().len(),
        pictures: index.pictures().len(),
    };
    write_line(&mut out, &header)?;
    for track in index.tracks() {
        write_line(&mut out, &CachedTrack::of(track, None))?;
    }
    for Duplicate { track, listed_as } in index.duplicates() {
        write_line(&mut out, &CachedTrack::of(track, Some(*listed_as)))?;
    }
    for (path, stamp) in index.non_tracks() {
        write_line(&mut out, &(CachedPath::of(path), stamp.0))?;
    }
    for track in index.absent() {
        write_line(&mut out, &CachedTrack::of(track, None))?;
    }
    for picture in index.pictures() {
        write_line(&mut out, &CachedPicture::of(picture))?;
    }
    out.flush()?;
    let checksum = out.get_ref().crc().sum();
    writeln!(out, "{}", last_line(checksum))?;
    out.flush()
}

/// The last line, which holds a CRC-32 of all lines before the last line.
fn last_line(checksum: u32) -> String {
    format!("end {checksum:08x}")
}

fn write_line(out: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

fn parse<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, CacheError> {
    serde_json::from_slice(line).map_err(|_| CacheError::Damaged)
}

/// Reads lines and computes their checksum.
struct ChecksummedLines<R> {
    reader: BufReader<R>,
    checksum: Crc,
    line: Vec<u8>,
}

impl<R: Read> ChecksummedLines<R> {
    fn new(reader: R) -> Self {
        ChecksummedLines {
            reader: BufReader::with_capacity(BUFFER_SIZE, reader),
            checksum: Crc::new(),
            line: Vec::new(),
        }
    }

    /// The next line, without its newline.
    fn next(&mut self) -> Result<&[u8], CacheError> {
        self.line.clear();
        self.reader.read_until(b'\n', &mut self.line)?;
        self.checksum.update(&self.line);
        self.line.strip_suffix(b"\n").ok_or(CacheError::Damaged)
    }

    /// Reads the last line, and compares its checksum with the checksum of the lines that were read before.
    fn check_last_line(mut self) -> Result<(), CacheError> {
        let expected = last_line(self.checksum.sum());
        let is_equal = self.next()? == expected.as_bytes();
        let is_at_end = self.reader.fill_buf()?.is_empty();
        (is_equal && is_at_end)
            .then_some(())
            .ok_or(CacheError::Damaged)
    }
}

impl<'a> CachedPath<'a> {
    fn of(path: &'a Path) -> Self {
        match path.to_str() {
            Some(text) => CachedPath::Text(text.into()),
            None => CachedPath::Bytes(path.as_os_str().as_bytes().into()),
        }
    }

    fn into_path(self) -> PathBuf {
        match self {
            CachedPath::Text(text) => PathBuf::from(text.into_owned()),
            CachedPath::Bytes(bytes) => PathBuf::from(OsString::from_vec(bytes.into_owned())),
        }
    }
}

impl<'a> CachedTrack<'a> {
    fn of(track: &'a Track, listed_as: Option<TrackId>) -> Self {
        CachedTrack {
            id: track.track_id.0,
            path: CachedPath::of(&track.path),
            size: track.size,
            stamp: track.stamp.0,
            version: track.version.0,
            seen: (track.seen_stamp != track.stamp).then_some(track.seen_stamp.0),
            content: track.content_hash.get().map(|content| content.0),
            sound: track.sound_hash.get().copied(),
            sample: track.sound_sample_hash.get().copied(),
            mime: track.mime.into(),
            duration: track.file_duration_sec,
            length_source: track.length_source,
            corrected: track.corrected_duration_sec,
            padding: track.padding,
            tags: Cow::Borrowed(&track.tags),
            titled: track.has_title_tag,
            rate: track.bit_rate,
            loudness: track.tagged_loudness,
            measured: track
                .measured_loudness
                .known()
                .map(|measured| (measured.gain_db, measured.peak)),
            is_measured_finally: matches!(track.measured_loudness, MeasuredLoudness::Final(_)),
            added: track.added_at,
            by: track.uploaded_by.map(|member| member.0),
            picture: track.has_embedded_picture,
            of: listed_as.map(|id| id.0),
        }
    }

    fn into_track(self) -> Result<Track, CacheError> {
        Ok(Track {
            track_id: TrackId(self.id),
            uploaded_by: self.by.map(MemberId),
            size: self.size,
            mime: tags::known_mime(&self.mime).ok_or(CacheError::OtherVersion)?,
            stamp: Stamp(self.stamp),
            seen_stamp: Stamp(self.seen.unwrap_or(self.stamp)),
            version: Version(self.version),
            content_hash: once_lock(self.content.map(ContentHash)),
            sound_hash: once_lock(self.sound),
            sound_sample_hash: once_lock(self.sample),
            file_duration_sec: self.duration,
            length_source: self.length_source,
            corrected_duration_sec: self.corrected,
            padding: self.padding,
            tags: self.tags.into_owned(),
            has_title_tag: self.titled,
            bit_rate: self.rate,
            tagged_loudness: self.loudness,
            measured_loudness: self.measured.map_or(
                MeasuredLoudness::Unknown,
                |(gain_db, peak)| {
                    let measurement = Measurement { gain_db, peak };
                    match self.is_measured_finally {
                        true => MeasuredLoudness::Final(measurement),
                        false => MeasuredLoudness::Known(measurement),
                    }
                },
            ),
            added_at: self.added,
            has_embedded_picture: self.picture,
            cover_files: [].into(),
            path: self.path.into_path(),
        })
    }
}

/// The line of a picture: path, stamp, stamp at the last scan, version, hash of the content.
#[derive(Serialize, Deserialize)]
struct CachedPicture<'a>(#[serde(borrow)] CachedPath<'a>, u64, u64, u64, Option<u64>);

impl<'a> CachedPicture<'a> {
    fn of(picture: &'a Picture) -> Self {
        CachedPicture(
            CachedPath::of(&picture.path),
            picture.stamp.0,
            picture.seen_stamp.0,
            picture.version.0,
            picture.content_hash.get().map(|content| content.0),
        )
    }

    fn into_picture(self) -> Picture {
        let CachedPicture(path, stamp, seen, version, content) = self;
        Picture {
            path: path.into_path(),
            stamp: Stamp(stamp),
            seen_stamp: Stamp(seen),
            version: Version(version),
            content_hash: Arc::new(once_lock(content.map(ContentHash))),
        }
    }
}

fn once_lock<T>(value: Option<T>) -> OnceLock<T> {
    value.map(OnceLock::from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::track_id;
    use super::*;

    fn track(path: &[u8]) -> Track {
        let path = PathBuf::from(OsString::from_vec(path.to_vec()));
        Track {
            track_id: track_id(&path),
            uploaded_by: None,
            size: 7,
            mime: "audio/mpeg",
            stamp: Stamp(9),
            seen_stamp: Stamp(10),
            version: Version(u64::MAX),
            content_hash: ContentHash(6).into(),
            sound_hash: 5.into(),
            sound_sample_hash: 4.into(),
            file_duration_sec: 1.5,
            length_source: LengthSource::Counted,
            corrected_duration_sec: Some(3.5),
            padding: Some(Padding {
                lead_sec: 0.025_057,
                whole_sec: 1.6,
            }),
            tags: Tags {
                title: "One".into(),
                ..Tags::default()
            },
            has_title_tag: true,
            bit_rate: 128,
            tagged_loudness: TaggedLoudness {
                gain_db: Some(-3.25),
                album_peak: Some(0.987_654),
                ..TaggedLoudness::default()
            },
            measured_loudness: MeasuredLoudness::Final(Measurement {
                gain_db: 2.5,
                peak: 0.5,
            }),
            added_at: 1_700_000_000,
            has_embedded_picture: true,
            cover_files: [].into(),
            path,
        }
    }

    fn index(root: &Path) -> Index {
        let picture = Picture {
            path: PathBuf::from(OsString::from_vec(b"caf\xe9/cover.jpg".to_vec())),
            seen_stamp: Stamp(2),
            version: Version(4),
            content_hash: Arc::new(ContentHash(5).into()),
            ..Picture::new("".into(), Stamp(3))
        };
        let listed = Track {
            has_embedded_picture: false,
            cover_files: [picture.clone()].into(),
            ..track(b"caf\xe9/01.mp3")
        };
        let duplicate = Duplicate {
            listed_as: listed.track_id,
            track: Arc::new(track(b"copy.mp3")),
        };
        Index::from_sorted(
            root.into(),
            vec![Arc::new(listed)],
            vec![duplicate],
            vec![("notes.txt".into(), Stamp(3))],
        )
        .with_absent(vec![Arc::new(track(b"/away/song.mp3"))])
        .with_pictures(vec![picture])
    }

    fn saved(folder: &Path) -> (IndexCache, Vec<u8>) {
        let cache = IndexCache::new(DataFiles::beside(&folder.join("state.json")));
        cache.save(&index(Path::new("/music")), false);
        let bytes = fs::read(folder.join("state.json.index")).unwrap();
        (cache, bytes)
    }

    #[test]
    fn loads_the_saved_index_for_the_same_folder_only() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, _) = saved(folder.path());
        assert_eq!(
            cache.load(&Path::new("/music").into(), false, &[]),
            index(Path::new("/music"))
        );
        assert!(
            cache
                .load(&Path::new("/other").into(), false, &[])
                .is_empty()
        );
    }

    #[test]
    fn lists_duplicates_after_keep_duplicates_is_set() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, _) = saved(folder.path());
        let found = cache.load(&Path::new("/music").into(), true, &[]);
        assert_eq!((found.len(), found.duplicates().len()), (2, 0));
    }

    #[test]
    fn ignores_a_file_truncated_or_changed_at_any_byte() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, whole) = saved(folder.path());
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            for bytes in [&whole[..at], &changed] {
                fs::write(&cache.path, bytes).unwrap();
                let found = cache.load(&Path::new("/music").into(), false, &[]);
                assert!(found.is_empty(), "at byte {at}");
            }
        }
        fs::write(&cache.path, [&*whole, b"more"].concat()).unwrap();
        assert!(
            cache
                .load(&Path::new("/music").into(), false, &[])
                .is_empty()
        );
    }

    #[test]
    fn ignores_a_file_of_another_version() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, whole) = saved(folder.path());
        let after_format = &whole[FORMAT.len()..];
        fs::write(&cache.path, [b"lockstep index 0", after_format].concat()).unwrap();
        assert!(matches!(
            cache.try_load(&Path::new("/music").into(), false, &[]),
            Err(CacheError::OtherVersion)
        ));
    }
}
