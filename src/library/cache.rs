//! The index cache: what the last scan found, beside the state file, so that a start reads only what has changed since.
//! It is a convenience: whatever is wrong with it, it is thrown away, and all is read again.
//!
//! It has a line for each file, and is read line by line: a large library is in memory once, and not as a text beside it.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::{Crc, CrcWriter};
use serde::{Deserialize, Serialize};

use crate::room::TrackId;
use crate::store::{INDEX, UNFINISHED, beside, folder_of, unfinished};

use super::duplicates::{Duplicate, Standing};
use super::{Cover, Index, Padding, Tags, Track, Version, tags};

/// Anything that changes what a row means, or what a scan would find in the same file, needs another one.
const FORMAT: &str = "lockstep index 3";
/// So much of it is read or written at once, in bytes.
const PIECE: usize = 64 << 10;

/// Where the cache lies.
#[derive(Debug, Clone)]
pub(super) struct Cache {
    path: PathBuf,
    /// How the names of unfinished writes begin: as the store's do, which it sweeps away.
    prefix: String,
}

/// Why a cache is of no use.
#[derive(Debug, thiserror::Error)]
enum Useless {
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("it is of another version of lockstep")]
    OtherFormat,
    #[error("it is damaged")]
    Damaged,
}

/// The second line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head<'a> {
    #[serde(borrow)]
    root: Name<'a>,
    keep_duplicates: bool,
    /// How many lines of each follow.
    tracks: usize,
    duplicates: usize,
    others: usize,
}

/// A path, as text where it is text.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Name<'a> {
    #[serde(borrow)]
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
}

#[derive(Serialize, Deserialize)]
struct Row<'a> {
    id: u64,
    #[serde(borrow)]
    path: Name<'a>,
    size: u64,
    version: u64,
    #[serde(borrow)]
    mime: Cow<'a, str>,
    duration: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    padding: Option<Padding>,
    tags: Cow<'a, Tags>,
    titled: bool,
    rate: u32,
    disc: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content: Option<u64>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    cover: Option<Picture<'a>>,
    /// What is shown instead of this copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    of: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Picture<'a> {
    Own,
    Beside(#[serde(borrow)] Name<'a>, u64),
}

impl Cache {
    /// The cache beside `state_file`.
    pub(super) fn beside(state_file: &Path) -> Self {
        Cache {
            path: beside(state_file, INDEX),
            prefix: unfinished(state_file),
        }
    }

    /// What the last scan of `root` found; nothing, with a log line, if it is of no use. If it was to show other copies than now,
    /// `current` is shown in any case.
    pub(super) fn load(
        &self,
        root: &Path,
        keep_duplicates: bool,
        current: Option<TrackId>,
    ) -> Index {
        let loaded = self
            .try_load(root, keep_duplicates, current)
            .unwrap_or_else(|useless| {
                tracing::warn!(
                    "the index cache {} is thrown away: {useless}",
                    self.path.display()
                );
                None
            });
        loaded.unwrap_or_else(|| Index::empty(root))
    }

    fn try_load(
        &self,
        root: &Path,
        keep_duplicates: bool,
        current: Option<TrackId>,
    ) -> Result<Option<Index>, Useless> {
        let file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let mut lines = Lines::of(file);
        if lines.next()? != FORMAT.as_bytes() {
            return Err(Useless::OtherFormat);
        }
        let head: Head = parse(lines.next()?)?;
        let (counts, kept_duplicates) = (
            [head.tracks, head.duplicates, head.others],
            head.keep_duplicates,
        );
        if head.root.into_path() != root {
            return Ok(None);
        }
        let (mut tracks, mut duplicates, mut others) = (Vec::new(), Vec::new(), Vec::new());
        let mut covers = Covers::default();
        for _ in 0..counts[0] {
            let row: Row = parse(lines.next()?)?;
            tracks.push(Arc::new(row.into_track(&mut covers)?));
        }
        for _ in 0..counts[1] {
            let row: Row = parse(lines.next()?)?;
            duplicates.push(Duplicate {
                of: TrackId(row.of.ok_or(Useless::Damaged)?),
                track: Arc::new(row.into_track(&mut covers)?),
            });
        }
        for _ in 0..counts[2] {
            let (name, version): (Name, u64) = parse(lines.next()?)?;
            others.push((name.into_path(), Version(version)));
        }
        lines.end()?;
        Ok(Some(if kept_duplicates == keep_duplicates {
            Index::in_order(root.into(), tracks, duplicates, others)
        } else {
            tracks.extend(duplicates.into_iter().map(|duplicate| duplicate.track));
            Index::new(root.into(), tracks, others, keep_duplicates, |id| {
                Standing::of(current == Some(id), false)
            })
        }))
    }

    /// Replaces it. A crash leaves the old one, the new one, or one that is seen to be damaged.
    pub(super) fn save(&self, index: &Index, keep_duplicates: bool) {
        if let Err(error) = self.try_save(index, keep_duplicates) {
            tracing::warn!(
                "cannot write the index cache {}: {error}",
                self.path.display()
            );
        }
    }

    fn try_save(&self, index: &Index, keep_duplicates: bool) -> io::Result<()> {
        let file = tempfile::Builder::new()
            .prefix(&self.prefix)
            .suffix(UNFINISHED)
            .tempfile_in(folder_of(&self.path))?;
        let mut out = BufWriter::with_capacity(PIECE, CrcWriter::new(file));
        writeln!(out, "{FORMAT}")?;
        let head = Head {
            root: Name::of(index.root()),
            keep_duplicates,
            tracks: index.len(),
            duplicates: index.duplicates().len(),
            others: index.others().len(),
        };
        write_line(&mut out, &head)?;
        for track in index.tracks() {
            write_line(&mut out, &Row::of(track, None))?;
        }
        for Duplicate { track, of } in index.duplicates() {
            write_line(&mut out, &Row::of(track, Some(*of)))?;
        }
        for (path, version) in index.others() {
            write_line(&mut out, &(Name::of(path), version.0))?;
        }
        out.flush()?;
        let sum = out.get_ref().crc().sum();
        writeln!(out, "{}", last_line(sum))?;
        let file = out.into_inner().map_err(io::Error::from)?.into_inner();
        file.persist(&self.path)?;
        Ok(())
    }
}

/// The last line: a sum of all before it.
fn last_line(sum: u32) -> String {
    format!("end {sum:08x}")
}

fn write_line(out: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

fn parse<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, Useless> {
    serde_json::from_slice(line).map_err(|_| Useless::Damaged)
}

/// Reads line by line, and sums up what was read.
struct Lines<R> {
    from: BufReader<R>,
    sum: Crc,
    line: Vec<u8>,
}

impl<R: Read> Lines<R> {
    fn of(from: R) -> Self {
        Lines {
            from: BufReader::with_capacity(PIECE, from),
            sum: Crc::new(),
            line: Vec::new(),
        }
    }

    /// The next line, without its end.
    fn next(&mut self) -> Result<&[u8], Useless> {
        self.line.clear();
        self.from.read_until(b'\n', &mut self.line)?;
        self.sum.update(&self.line);
        self.line.strip_suffix(b"\n").ok_or(Useless::Damaged)
    }

    /// The last one.
    fn end(mut self) -> Result<(), Useless> {
        let expected = last_line(self.sum.sum());
        let is_sound = self.next()? == expected.as_bytes();
        let is_all = self.from.fill_buf()?.is_empty();
        (is_sound && is_all).then_some(()).ok_or(Useless::Damaged)
    }
}

impl<'a> Name<'a> {
    fn of(path: &'a Path) -> Self {
        match path.to_str() {
            Some(text) => Name::Text(text.into()),
            None => Name::Bytes(path.as_os_str().as_bytes().into()),
        }
    }

    fn into_path(self) -> PathBuf {
        match self {
            Name::Text(text) => PathBuf::from(text.into_owned()),
            Name::Bytes(bytes) => PathBuf::from(OsString::from_vec(bytes.into_owned())),
        }
    }
}

impl<'a> Row<'a> {
    fn of(track: &'a Track, of: Option<TrackId>) -> Self {
        Row {
            id: track.track_id.0,
            path: Name::of(&track.path),
            size: track.size,
            version: track.version.0,
            mime: track.mime.into(),
            duration: track.duration,
            padding: track.padding,
            tags: Cow::Borrowed(&track.tags),
            titled: track.is_titled,
            rate: track.bit_rate,
            disc: track.disc,
            content: track.content,
            cover: track.cover.as_ref().map(|cover| match cover {
                Cover::Embedded => Picture::Own,
                Cover::Beside(path, version) => Picture::Beside(Name::of(path), version.0),
            }),
            of: of.map(|of| of.0),
        }
    }

    fn into_track(self, covers: &mut Covers) -> Result<Track, Useless> {
        Ok(Track {
            track_id: TrackId(self.id),
            size: self.size,
            mime: tags::known_mime(&self.mime).ok_or(Useless::OtherFormat)?,
            version: Version(self.version),
            duration: self.duration,
            padding: self.padding,
            tags: self.tags.into_owned(),
            is_titled: self.titled,
            bit_rate: self.rate,
            disc: self.disc,
            content: self.content,
            cover: self.cover.map(|picture| match picture {
                Picture::Own => Cover::Embedded,
                Picture::Beside(name, version) => covers.beside(name, Version(version)),
            }),
            path: self.path.into_path(),
        })
    }
}

/// The cover that was read last: tracks that lie together share it.
#[derive(Default)]
struct Covers {
    last: Option<(Arc<Path>, Version)>,
}

impl Covers {
    fn beside(&mut self, name: Name, version: Version) -> Cover {
        let path = name.into_path();
        let (path, version) = match self.last.take() {
            Some(last) if (&*last.0, last.1) == (path.as_path(), version) => last,
            _ => (path.into(), version),
        };
        self.last = Some((path.clone(), version));
        Cover::Beside(path, version)
    }
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
            size: 7,
            mime: "audio/mpeg",
            version: Version(u64::MAX),
            duration: 1.5,
            padding: Some(Padding {
                lead_sec: 0.025_057,
                whole_sec: 1.6,
            }),
            tags: Tags {
                title: "One".into(),
                ..Tags::default()
            },
            is_titled: true,
            bit_rate: 128,
            disc: Some(2),
            content: Some(5),
            cover: Some(Cover::Embedded),
            path,
        }
    }

    fn index(root: &Path) -> Index {
        let shown = Track {
            cover: Some(Cover::Beside(Path::new("cover.jpg").into(), Version(4))),
            ..track(b"caf\xe9/01.mp3")
        };
        let duplicate = Duplicate {
            of: shown.track_id,
            track: Arc::new(track(b"copy.mp3")),
        };
        Index::in_order(
            root.into(),
            vec![Arc::new(shown)],
            vec![duplicate],
            vec![("notes.txt".into(), Version(3))],
        )
    }

    fn saved(folder: &Path) -> (Cache, Vec<u8>) {
        let cache = Cache::beside(&folder.join("state.json"));
        cache.save(&index(Path::new("/music")), false);
        let bytes = fs::read(folder.join("state.json.index")).unwrap();
        (cache, bytes)
    }

    #[test]
    fn what_was_saved_is_found_again_for_the_same_folder_only() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, _) = saved(folder.path());
        assert_eq!(
            cache.load(Path::new("/music"), false, None),
            index(Path::new("/music"))
        );
        assert!(cache.load(Path::new("/other"), false, None).is_empty());
    }

    #[test]
    fn copies_are_shown_as_soon_as_they_are_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, _) = saved(folder.path());
        let found = cache.load(Path::new("/music"), true, None);
        assert_eq!((found.len(), found.duplicates().len()), (2, 0));
    }

    #[test]
    fn a_cache_that_was_cut_or_changed_anywhere_is_thrown_away() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, whole) = saved(folder.path());
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            for bytes in [&whole[..at], &changed] {
                fs::write(&cache.path, bytes).unwrap();
                let found = cache.load(Path::new("/music"), false, None);
                assert!(found.is_empty(), "at byte {at}");
            }
        }
        fs::write(&cache.path, [&*whole, b"more"].concat()).unwrap();
        assert!(cache.load(Path::new("/music"), false, None).is_empty());
    }

    #[test]
    fn a_cache_of_another_version_is_thrown_away() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, whole) = saved(folder.path());
        let rest = &whole[FORMAT.len()..];
        fs::write(&cache.path, [b"lockstep index 0", rest].concat()).unwrap();
        assert!(matches!(
            cache.try_load(Path::new("/music"), false, None),
            Err(Useless::OtherFormat)
        ));
    }
}
