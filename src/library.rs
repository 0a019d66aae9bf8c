//! The library: an immutable [`Index`] of all tracks below the audio folder. A scanner thread publishes a new index whenever
//! the folder changes. Code that holds an older index can continue to use that index.
//!
//! # Terms
//!
//! | term | meaning |
//! | --- | --- |
//! | listing | the files in the audio folders, as a directory walk finds them (`walk.rs`) |
//! | library path | the path of a file in the first audio folder relative to this folder; in further folders the absolute path (`folders.rs`) |
//! | junk | files and folders that never belong to the collection, such as trash folders (`junk.rs`) |
//! | absent track | a track whose file an earlier scan found and the last scan did not, such as one on an unmounted disk |
//! | track | a file with audio in a supported format; other files are *non-tracks* |
//! | listed track | a track that clients see in `GET /index`; a copy of a listed track is a *duplicate*, and is left out |
//! | stamp | a hash of a file's size and times, by which a scan detects that the file may have changed (`content.rs`) |
//! | version | an opaque number by which clients detect that the content of a file has changed (`content.rs`) |
//! | content hash | a hash of all bytes of a file, by which the server detects that the content is the same in spite of another stamp (`content.rs`) |
//! | backlog | the files that remain to be hashed after a scan (`backlog.rs`) |
//! | unstable file | a file that another program may still be writing; a scan does not read such a file yet |
//! | partial index | the index of the files read so far, published during a long first scan |
//!
//! # Where to look
//!
//! | question | file |
//! | --- | --- |
//! | When does a scan start? | `scanner.rs`, `scan_requests.rs` (debounce), `watch.rs` (inotify), `mounts.rs` |
//! | What does a scan do, and what does it publish in which order? | `scan.rs`, `publisher.rs` |
//! | Which files are read again? | `index_builder/scan_plan.rs` |
//! | What is read from a file? | `tags.rs`, `tags/`, `length.rs`, `padding.rs`, `content.rs`, `sound_ranges.rs`; on several threads: `read_files.rs` |
//! | When is a file hashed, and what follows? | `backlog.rs`; for downloads: `track_file.rs` |
//! | Which lengths are corrected by what devices decoded? | `duration_reports.rs` |
//! | How loud is a track without such tags? | `loudness_reports.rs`; an album: `album_levels.rs` |
//! | What is an upload? | `upload_check.rs`, `upload_key.rs`, `upload_title.rs` |
//! | Which playlists are there? | `playlists.rs`, `m3u.rs` |
//! | In which order do tracks play? | `index.rs`, `natural_order.rs` |
//! | Which copy of a recording is listed? | `duplicates.rs` |
//! | Which picture is the cover of a track? | `cover_files.rs`; how it is decoded: `cover.rs`, `cover_picture.rs`, `jpeg_header.rs` |
//! | What does the server keep on the disk for its next start? | `index_cache.rs`, `cover_disk_cache.rs` |

mod album_levels;
mod backlog;
mod caching_reader;
mod charset_neighbours;
mod content;
mod corrections;
mod cover;
mod cover_cache;
mod cover_disk_cache;
mod cover_files;
mod cover_picture;
mod duplicates;
mod duration_reports;
mod folders;
#[cfg(fuzzing)]
pub mod fuzzing;
mod index;
mod index_builder;
mod index_cache;
mod jpeg_header;
mod junk;
mod length;
mod loudness_reports;
mod m3u;
mod mounts;
mod natural_order;
mod open;
mod other_formats;
mod padding;
mod peek_reader;
mod playlists;
mod publisher;
mod read_files;
pub(crate) mod rfc3339;
mod scan;
mod scan_progress;
mod scan_requests;
mod scanner;
mod scanner_thread;
mod sort_places;
mod sound_ranges;
mod tags;
mod track_file;
mod upload_check;
mod upload_key;
mod upload_title;
mod walk;
mod watch;

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use duration_reports::DurationReports;
use length::LengthSource;
use loudness_reports::{LoudnessReports, MeasuredLoudness, Measurement};
use publisher::{PublishedIndex, Publisher};
use scan_requests::ScanRequests;
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest, Sha256};
use tags::Loudness as TaggedLoudness;
use tokio::sync::mpsc;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use crate::base_path::BasePath;
use crate::room::{AlbumLevel, MemberId, TrackId};

pub use content::{ContentHash, Stamp, Version};
pub use cover_cache::CoverCache;
pub use duration_reports::Reporter;
pub use index::Index;
pub use open::Opened;
pub use padding::Padding;
pub use scan_progress::ScanProgress;
pub use scan_requests::NoScanner;
pub use scanner::Scanner;
pub(crate) use tags::has_audio_extension;
pub use track_file::{ContentChecks, TrackFile};
pub use upload_check::{NotMusic, UploadContent};
pub use upload_key::UploadKey;
pub use upload_title::{clean_title, write_title};

/// Returns the newest published index, and passes requests for scans and corrections to the scanner thread. Dropping this value
/// ends the thread.
#[derive(Debug)]
pub struct Library {
    index: Arc<PublishedIndex>,
    requests: Arc<ScanRequests>,
    duration_reports: Mutex<DurationReports>,
    loudness_reports: Mutex<LoudnessReports>,
}

/// The inputs that the scanner thread takes from the rooms and from the configuration.
pub struct LibraryOptions {
    /// Returns the current track and the picks of each room, whether the room is playing or paused. These tracks stay listed even
    /// if the folder holds better copies of the same recordings, so that no track changes during playback. May block.
    pub current_tracks: Box<dyn Fn() -> Vec<TrackId> + Send>,
    /// Whether to publish partial indexes during the first scan.
    pub publish_partial_indexes: bool,
}

/// A report of the scanner. One scan sends its reports, and changes what [`Library::index`] returns, in this order. A
/// correction, which reads no file, begins with step 2; if it corrects the loudness alone, step 4 may follow some seconds later,
/// for several corrections at once.
///
/// 1. [`LibraryEvent::ScanProgress`], about once a second while a long scan reads files.
/// 2. [`Library::index`] returns the new index.
/// 3. [`LibraryEvent::IndexPublished`]. Because of step 2, a client that learns of a change from an event of its room finds
///    this change, or a later one, in its next `GET /index`.
/// 4. [`LibraryEvent::ScanProgress`] whose `read` equals its `total`, after a long scan and after each complete index. A
///    client that fetches the index on this report also gets changes for which the room sends no event, such as new covers.
///
/// Partial indexes repeat steps 2 and 3 between reports of step 1.
#[derive(Debug)]
pub enum LibraryEvent {
    /// The progress of a scan.
    ScanProgress(ScanProgress),
    /// Sent after [`Library::index`] began to return this index or a newer one.
    IndexPublished(Arc<Index>),
}

impl Library {
    /// Starts the scanner thread, which keeps the index of `scanner` up to date. Returns the library and the receiver of the
    /// thread's events. The thread blocks while the receiver's queue is full.
    ///
    /// # Errors
    /// The system's error if it cannot create a thread.
    pub fn start(
        scanner: Scanner,
        options: LibraryOptions,
    ) -> io::Result<(Arc<Self>, mpsc::Receiver<LibraryEvent>)> {
        let index = Arc::new(PublishedIndex::new(scanner.index()));
        let requests = Arc::new(ScanRequests::default());
        let (publisher, events) = Publisher::new(index.clone());
        scanner_thread::spawn(scanner, requests.clone(), publisher, options)?;
        let library = Library {
            index,
            requests,
            duration_reports: Mutex::default(),
            loudness_reports: Mutex::default(),
        };
        Ok((Arc::new(library), events))
    }

    /// Ends the scanner thread, which writes the index cache before if that has been postponed. Returns at once; the receiver of
    /// the events is closed when the thread has ended.
    pub fn close(&self) {
        self.requests.close();
    }

    /// The newest index.
    pub fn index(&self) -> Arc<Index> {
        self.index.get()
    }

    /// Requests a scan that starts at once and accepts every result, even an empty folder. Returns before the scan ends.
    ///
    /// # Errors
    /// [`NoScanner`] from a panic of the scanner until its restart.
    pub fn rescan(&self) -> Result<(), NoScanner> {
        self.requests.request_rescan()
    }

    /// Requests a scan because an upload was added, renamed or removed. The scan starts at once. Returns before the scan begins.
    pub fn report_upload(&self) {
        self.requests.request_upload_scan();
    }

    /// Requests a scan because a file has another stamp than in the index. Returns before the scan begins.
    pub fn report_change(&self) {
        self.requests.report_change();
    }

    /// Records that `reporter` decoded a track, which plays for `duration_sec`. If two devices agree, and the length in the
    /// index is only the one that a header states, the scanner thread soon publishes an index with their length. Ignores a
    /// track that is not listed.
    pub fn report_duration(&self, track_id: TrackId, reporter: Reporter, duration_sec: f64) {
        let index = self.index();
        let Some(track) = index.track(track_id) else {
            return;
        };
        let reports = self.duration_reports.lock();
        let mut reports = reports.unwrap_or_else(PoisonError::into_inner);
        if let Some(correction) = reports.add(track, reporter, duration_sec) {
            self.requests.request_correction(track_id, correction);
        }
    }

    /// Records that `reporter` measured a loudness of `lufs` and a peak of `peak_db` in a track. If that changes what is known
    /// of the track, the scanner thread soon publishes an index with it. Ignores the measurement of a version that is not the
    /// listed one; `None` stands for the listed one. Returns whether the track is listed.
    pub fn report_loudness(
        &self,
        track_id: TrackId,
        version: Option<&str>,
        reporter: Reporter,
        (lufs, peak_db): (f64, f64),
    ) -> bool {
        let index = self.index();
        let Some(track) = index.track(track_id) else {
            return false;
        };
        if version.is_none_or(|version| version == track.version.to_string()) {
            let reports = self.loudness_reports.lock();
            let mut reports = reports.unwrap_or_else(PoisonError::into_inner);
            let measurement = Measurement::new(lufs, peak_db);
            if let Some(correction) = reports.add(track, reporter, measurement) {
                self.requests.request_loudness(track_id, correction);
            }
        }
        true
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        self.close();
    }
}

/// A track in the index. Serializes as its object in `GET /index`.
#[derive(Debug, Clone, PartialEq)]
pub struct Track {
    /// Identifies the track in the protocol, which never reveals a path.
    pub track_id: TrackId,
    /// The device that uploaded the file; `None` for a file of an audio folder.
    pub uploaded_by: Option<MemberId>,
    /// Bytes in the file.
    pub size: u64,
    /// The media type of the file.
    pub mime: &'static str,
    /// Changes whenever the content of the file changes; see [`Version`].
    pub version: Version,
    /// The stamp that the file had when its content was known to be that of `version`.
    stamp: Stamp,
    /// The stamp of the file at the last scan. If this stamp differs from `stamp`, the file must be hashed to see whether its
    /// content is still that of `version`.
    seen_stamp: Stamp,
    /// The hash of the content of `version`. Set after the scan; see `backlog.rs`.
    content_hash: OnceLock<ContentHash>,
    /// Seconds of music as the file states or holds them, without padding.
    file_duration_sec: f64,
    /// How `file_duration_sec` was determined.
    length_source: LengthSource,
    /// The length on which two devices that decoded the file agreed, in seconds, if the file states another one.
    corrected_duration_sec: Option<f64>,
    /// The encoder's padding around the music, if the file declares it.
    padding: Option<Padding>,
    /// The tags of the file.
    pub tags: Tags,
    /// Whether the title is from a tag, and not derived from the file name.
    pub has_title_tag: bool,
    /// The audio bit rate in kbit/s; 0 if unknown.
    bit_rate: u32,
    /// The loudness that the tags state.
    tagged_loudness: TaggedLoudness,
    /// The loudness that devices have measured.
    measured_loudness: MeasuredLoudness,
    /// When a scan first found the file, in seconds since 1970 (UTC).
    pub added_at: u64,
    /// A hash of the sound, without the tags. Set only if other tracks may have the same sound; see `backlog.rs`.
    sound_hash: OnceLock<u64>,
    /// A hash of some bytes of the sound. Set only if other tracks may have the same sound.
    sound_sample_hash: OnceLock<u64>,
    /// Whether the file has a picture in its tags.
    has_embedded_picture: bool,
    /// The picture files from which the cover can be made, the most preferred first.
    cover_files: Arc<[Picture]>,
    /// The library path of the file.
    path: PathBuf,
}

/// A picture file that may be the cover of tracks.
#[derive(Debug, Clone, PartialEq)]
struct Picture {
    /// The library path of the file.
    path: PathBuf,
    /// See [`Track::stamp`].
    stamp: Stamp,
    /// See [`Track::seen_stamp`].
    seen_stamp: Stamp,
    version: Version,
    /// See [`Track::content_hash`]. Shared by all copies of this value.
    content_hash: Arc<OnceLock<ContentHash>>,
}

impl Picture {
    /// A picture file that is found for the first time.
    fn new(path: PathBuf, stamp: Stamp) -> Self {
        Picture {
            path,
            stamp,
            seen_stamp: stamp,
            version: Version::first(stamp),
            content_hash: Arc::default(),
        }
    }

    /// Whether a cover that is made while the file has this stamp may be cached under the current version. Also true for the
    /// stamp of a file that has yet to be hashed: if its content turns out to differ, the version changes, and the cover is
    /// not used again.
    fn accepts_stamp(&self, stamp: Stamp) -> bool {
        stamp == self.stamp || stamp == self.seen_stamp
    }
}

impl Track {
    /// The track of a file that is found for the first time, without tags.
    #[cfg(test)]
    fn for_test(path: &Path, metadata: &std::fs::Metadata) -> Track {
        let stamp = Stamp::of(metadata);
        Track {
            track_id: track_id(path),
            uploaded_by: None,
            size: metadata.len(),
            mime: "audio/mpeg",
            version: Version::first(stamp),
            stamp,
            seen_stamp: stamp,
            content_hash: OnceLock::new(),
            file_duration_sec: 200.0,
            length_source: LengthSource::Header,
            corrected_duration_sec: None,
            padding: None,
            tags: Tags::default(),
            has_title_tag: false,
            bit_rate: 192,
            tagged_loudness: TaggedLoudness::default(),
            measured_loudness: MeasuredLoudness::Unknown,
            added_at: 0,
            sound_hash: OnceLock::new(),
            sound_sample_hash: OnceLock::new(),
            has_embedded_picture: false,
            cover_files: [].into(),
            path: path.into(),
        }
    }

    /// A track of 100 s for tests of what devices report.
    #[cfg(test)]
    fn for_reports(name: &str) -> Track {
        let path = Path::new(name);
        Track {
            track_id: track_id(path),
            uploaded_by: None,
            size: 7,
            mime: "audio/mpeg",
            stamp: Stamp(9),
            seen_stamp: Stamp(9),
            content_hash: OnceLock::new(),
            version: Version(5),
            sound_hash: OnceLock::new(),
            sound_sample_hash: OnceLock::new(),
            file_duration_sec: 100.0,
            length_source: LengthSource::Header,
            corrected_duration_sec: None,
            padding: None,
            tags: Tags::default(),
            has_title_tag: false,
            bit_rate: 128,
            tagged_loudness: TaggedLoudness::default(),
            measured_loudness: MeasuredLoudness::Unknown,
            added_at: 0,
            has_embedded_picture: false,
            cover_files: [].into(),
            path: path.into(),
        }
    }

    /// The gain in dB after which the track has a loudness of -18 LUFS, by its tags, or else by measurement.
    pub fn gain_db(&self) -> Option<f64> {
        let measured = self.measured_loudness.known();
        self.tagged_loudness
            .gain_db
            .or(measured.map(|measured| measured.gain_db))
    }

    /// The largest absolute value of a sample, of which 1 is full scale, by the tags, or else by measurement.
    pub fn peak(&self) -> Option<f64> {
        let measured = self.measured_loudness.known();
        self.tagged_loudness
            .peak
            .or(measured.map(|measured| measured.peak))
    }

    /// Whether nothing about the loudness need be measured.
    fn is_loudness_tagged(&self) -> bool {
        self.tagged_loudness.gain_db.is_some() && self.tagged_loudness.peak.is_some()
    }

    /// As [`Picture::accepts_stamp`], for the pictures in the file.
    fn accepts_stamp(&self, stamp: Stamp) -> bool {
        stamp == self.stamp || stamp == self.seen_stamp
    }

    /// Seconds of music, without padding.
    pub fn duration_sec(&self) -> f64 {
        self.corrected_duration_sec
            .unwrap_or(self.file_duration_sec)
    }

    /// The encoder's padding around the music. `None` if the length was corrected: the padding is from the header that states
    /// the wrong length, and devices would cut off what this header does not describe.
    fn declared_padding(&self) -> Option<Padding> {
        self.padding
            .filter(|_| self.corrected_duration_sec.is_none())
    }

    /// The file name without its folder. Bytes that are not UTF-8 are replaced by U+FFFD.
    pub fn file_name(&self) -> Cow<'_, str> {
        self.path.file_name().unwrap_or_default().to_string_lossy()
    }

    /// Whether there is a picture for a cover. Whether the picture can be decoded is not known yet.
    fn has_cover(&self) -> bool {
        self.has_embedded_picture || !self.cover_files.is_empty()
    }

    /// The version of all pictures from which the cover may be made, which changes whenever one of their files changes. `None`
    /// if the track has no cover.
    pub fn cover_version(&self) -> Option<Version> {
        let embedded = self.has_embedded_picture.then_some(self.version);
        let files = self.cover_files.iter().map(|picture| picture.version);
        embedded.into_iter().chain(files).reduce(|all, version| {
            let mut hash = Sha256::new();
            hash.update(all.0.to_le_bytes());
            hash.update(version.0.to_le_bytes());
            Version(first_64_bits(hash))
        })
    }

    /// Identifies the source of the cover. Tracks with the same cover files, and without an embedded picture, have the same
    /// id.
    fn cover_source_id(&self) -> Option<TrackId> {
        if self.has_embedded_picture {
            return Some(self.track_id);
        }
        self.cover_files
            .first()
            .map(|picture| track_id(&picture.path))
    }
}

/// A track as an element of `GET /index`.
struct IndexRow<'a> {
    track: &'a Track,
    album: Option<AlbumLevel>,
    base_path: &'a BasePath,
}

impl Serialize for IndexRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.track
            .serialize_row(self.album, self.base_path, serializer)
    }
}

impl Track {
    fn serialize_row<S: Serializer>(
        &self,
        album: Option<AlbumLevel>,
        base_path: &BasePath,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct TrackJson<'a> {
            track_id: TrackId,
            file_name: Cow<'a, str>,
            size: u64,
            mime: &'static str,
            version: Version,
            duration: f64,
            #[serde(skip_serializing_if = "Option::is_none")]
            padding: Option<Padding>,
            tags: &'a Tags,
            #[serde(skip_serializing_if = "Option::is_none")]
            gain_db: Option<f64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            peak: Option<f64>,
            #[serde(skip_serializing_if = "std::ops::Not::not")]
            measure_again: bool,
            #[serde(skip_serializing_if = "Option::is_none")]
            album_id: Option<u64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            album_gain_db: Option<f64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            album_peak: Option<f64>,
            added_at: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            uploaded_by: Option<MemberId>,
            #[serde(skip_serializing_if = "Option::is_none")]
            has_title_tag: Option<bool>,
            #[serde(skip_serializing_if = "Option::is_none")]
            cover_url: Option<String>,
        }
        let cover = self.cover_version();
        TrackJson {
            track_id: self.track_id,
            file_name: self.file_name(),
            size: self.size,
            mime: self.mime,
            version: self.version,
            duration: self.duration_sec(),
            padding: self.declared_padding(),
            tags: &self.tags,
            gain_db: self.gain_db(),
            peak: self.peak(),
            measure_again: self.measured_loudness.is_disputed(),
            album_id: album.map(|album| album.id),
            album_gain_db: album.and_then(|album| album.gain_db),
            album_peak: album.and_then(|album| album.peak),
            added_at: rfc3339::format(self.added_at),
            uploaded_by: self.uploaded_by,
            has_title_tag: self.uploaded_by.map(|_| self.has_title_tag),
            cover_url: cover
                .map(|version| format!("{base_path}/cover/{}?v={version}", self.track_id)),
        }
        .serialize(serializer)
    }
}

/// The tags of a track that clients display.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tags {
    /// The tagged title, or a title derived from the file name.
    pub title: String,
    /// The artists, separated by commas; the artist of the album if no other is tagged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artist: Option<String>,
    /// The album.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub album: Option<String>,
    /// The artist of the whole album.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub album_artist: Option<String>,
    /// The number of the track on its disc, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub track_number: Option<u32>,
    /// The number of the disc in its album, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disc: Option<u32>,
    /// The year of publication.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub year: Option<u32>,
    /// The genres, separated by commas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub genre: Option<String>,
    /// Whether the album is a compilation of several artists.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub compilation: bool,
}

/// The id of the track at the library path `path`. It depends on the path alone, in Unicode normalization
/// form C and with `/` between its parts, so that it is the same on every system.
fn track_id(path: &Path) -> TrackId {
    let mut hash = Sha256::new();
    for (i, part) in path.iter().enumerate() {
        if i > 0 {
            hash.update(b"/");
        }
        match part.to_str() {
            Some(text) => hash.update(normalized(text).as_bytes()),
            None => hash.update(part.as_encoded_bytes()),
        }
    }
    TrackId(first_64_bits(hash))
}

/// The text in Unicode normalization form C. Copies only a text that does not have this form yet, because most texts do.
fn normalized(text: &str) -> Cow<'_, str> {
    match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => text.into(),
        IsNormalized::No | IsNormalized::Maybe => text.nfc().collect(),
    }
}

/// The first 8 bytes of the hash as a big-endian number.
fn first_64_bits(hash: Sha256) -> u64 {
    hash.finalize()[..8]
        .iter()
        .fold(0, |bits, byte| bits << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_track_id_does_not_depend_on_unicode_normalization() {
        let composed = Path::new("B\u{00e9}la/caf\u{00e9}.mp3");
        let decomposed = Path::new("Be\u{0301}la/cafe\u{0301}.mp3");
        assert_eq!(track_id(composed), track_id(decomposed));
        assert_ne!(
            track_id(composed),
            track_id(Path::new("B\u{00e9}la/cafe.mp3"))
        );
    }

    #[test]
    fn a_track_id_is_the_same_in_every_release() {
        assert_eq!(
            track_id(Path::new("album/song.mp3")).to_string(),
            "5a2b122de640930f"
        );
    }
}
