//! The library: every track below the audio folder, as last scanned. An [`Index`] never changes; a rescan
//! makes a new one, and whoever holds the old one may finish with it.

pub mod cover;
mod open;
mod padding;
mod scan;
mod tags;

use std::collections::HashMap;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use serde::Serialize;
use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

use crate::room::{self, TrackId};

pub use open::Opened;
pub use scan::scan;

/// What is known of one track. Serialises as its row in `GET /index`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Track {
    /// Its name on the wire; no path ever is.
    pub track_id: TrackId,
    /// The last part of its path; what is not Unicode in it is shown as U+FFFD.
    pub file_name: String,
    /// In bytes.
    pub size: u64,
    /// The media type that phones are told.
    pub mime: &'static str,
    /// Which bytes: another version, other bytes.
    pub version: Version,
    /// Of the music, in seconds.
    pub duration: f64,
    /// What a decoder plays before the music unless it knows the encoder, in seconds; only where the file tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lead_sec: Option<f64>,
    /// What it is called.
    pub tags: Tags,
    /// Where its cover is, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cover_url: Option<String>,
    /// Below the audio folder.
    #[serde(skip)]
    path: PathBuf,
}

/// What a track is called.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tags {
    /// The tagged title, or the file name made readable.
    pub title: String,
    /// Who plays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artist: Option<String>,
    /// On which album.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub album: Option<String>,
    /// Where on the album.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub track_number: Option<u32>,
    /// When it came out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub year: Option<u32>,
}

/// Names the bytes of a file, by its size and the time of its last change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version(u64);

impl Version {
    /// The version of the file that `metadata` was taken of.
    pub fn of(metadata: &Metadata) -> Self {
        let modified = metadata.modified().ok();
        let since = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let nanos = since.map_or(0, |duration| duration.as_nanos());
        let mut hash = Sha256::new();
        hash.update(metadata.len().to_le_bytes());
        hash.update(nanos.to_le_bytes());
        Version(first_64_bits(hash))
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Every track, in the order in which a new queue plays them.
#[derive(Debug)]
pub struct Index {
    root: PathBuf,
    tracks: Vec<Track>,
    by_id: HashMap<TrackId, usize>,
    json: Bytes,
    etag: String,
}

impl Index {
    fn new(root: PathBuf, mut tracks: Vec<Track>) -> Self {
        tracks.sort_by_cached_key(play_order);
        let mut by_id = HashMap::with_capacity(tracks.len());
        tracks.retain(|track| {
            let next = by_id.len();
            let is_new = !by_id.contains_key(&track.track_id);
            if is_new {
                by_id.insert(track.track_id, next);
            } else {
                tracing::warn!(file = ?track.path, "left out: another file has the same track id");
            }
            is_new
        });
        let json = Bytes::from(serde_json::to_vec(&tracks).unwrap_or_default());
        let etag = format!("\"{:016x}\"", first_64_bits(Sha256::new_with_prefix(&json)));
        Index {
            root,
            tracks,
            by_id,
            json,
            etag,
        }
    }

    /// How many tracks there are.
    pub fn len(&self) -> usize {
        self.tracks.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.tracks.is_empty()
    }

    /// The track of that id.
    pub fn track(&self, id: TrackId) -> Option<&Track> {
        self.by_id.get(&id).map(|i| &self.tracks[*i])
    }

    /// The body of `GET /index`.
    pub fn json(&self) -> Bytes {
        self.json.clone()
    }

    /// Its entity tag, quotes included.
    pub fn etag(&self) -> &str {
        &self.etag
    }

    /// What the room needs to know of it.
    pub fn for_room(&self) -> room::Library {
        room::Library::new(
            self.tracks
                .iter()
                .map(|track| (track.track_id, track.duration)),
        )
    }

    /// Opens a track's file for reading. Blocks.
    ///
    /// # Errors
    /// What the system said, or [`io::ErrorKind::NotFound`] when the path leads out of the audio folder by
    /// now, or to something that is not a file.
    pub fn open(&self, track: &Track) -> io::Result<Opened> {
        open::open(&self.root, &self.root.join(&track.path))
    }
}

/// Folder by folder and album by album, each by track number where there is one, then by name.
fn play_order(track: &Track) -> impl Ord + use<> {
    let folder = track.path.parent().unwrap_or(Path::new(""));
    let album = track.tags.album.as_deref().unwrap_or_default();
    (
        folder.to_string_lossy().to_lowercase(),
        album.to_lowercase(),
        track.tags.track_number.unwrap_or(u32::MAX),
        track.file_name.to_lowercase(),
        track.path.clone(),
    )
}

/// The id of the track at `path` below the audio folder: it depends on the path alone, spelled
/// with `/` and in Unicode's normal form C, so that it is the same on every system.
fn track_id(path: &Path) -> TrackId {
    let mut hash = Sha256::new();
    for (i, part) in path.iter().enumerate() {
        if i > 0 {
            hash.update(b"/");
        }
        match part.to_str() {
            Some(text) => hash.update(text.nfc().collect::<String>()),
            None => hash.update(part.as_encoded_bytes()),
        }
    }
    TrackId(first_64_bits(hash))
}

fn first_64_bits(hash: Sha256) -> u64 {
    hash.finalize()[..8]
        .iter()
        .fold(0, |bits, byte| bits << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_track_id_does_not_depend_on_how_a_system_composes_its_letters() {
        let composed = Path::new("B\u{00e9}la/caf\u{00e9}.mp3");
        let decomposed = Path::new("Be\u{0301}la/cafe\u{0301}.mp3");
        assert_eq!(track_id(composed), track_id(decomposed));
        assert_ne!(
            track_id(composed),
            track_id(Path::new("B\u{00e9}la/cafe.mp3"))
        );
    }

    #[test]
    fn a_track_id_never_changes_from_one_release_to_the_next() {
        assert_eq!(
            track_id(Path::new("album/song.mp3")).to_string(),
            "5a2b122de640930f"
        );
    }
}
