//! The library: every track below the audio folder, as last scanned. An [`Index`] never changes; a rescan
//! makes a new one, and whoever holds the old one may finish with it. A [`Library`] holds the newest.

mod cache;
pub mod cover;
#[cfg(fuzzing)]
pub mod fuzzing;
mod keeper;
mod open;
mod padding;
mod scan;
mod tags;
mod watch;

use std::collections::HashMap;
use std::fs::Metadata;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, mpsc};
use std::thread;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use keeper::Order;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

use crate::room::{self, TrackId};

pub use keeper::{Keeper, News, Progress};
pub use open::Opened;
pub use padding::Padding;

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
    /// What is in the file besides the music, where the file tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub padding: Option<Padding>,
    /// What it is called.
    pub tags: Tags,
    /// Where its cover is on the wire, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cover_url: Option<String>,
    #[serde(skip)]
    cover: Option<Cover>,
    /// Below the audio folder.
    #[serde(skip)]
    path: PathBuf,
}

/// Where a track's cover is.
#[derive(Debug, Clone, PartialEq)]
enum Cover {
    /// In the track's own file.
    Embedded,
    /// In a file beside it: its path below the audio folder.
    Beside(PathBuf, Version),
}

impl Track {
    /// Which bytes its cover is made of; `None` if it has none.
    pub fn cover_version(&self) -> Option<Version> {
        self.cover.as_ref().map(|cover| match cover {
            Cover::Embedded => self.version,
            Cover::Beside(_, version) => *version,
        })
    }

    /// Names the file that its cover is in: tracks beside a picture share it.
    fn picture(&self) -> Option<TrackId> {
        self.cover.as_ref().map(|cover| match cover {
            Cover::Embedded => self.track_id,
            Cover::Beside(path, _) => track_id(path),
        })
    }

    fn set_cover(&mut self, cover: Option<Cover>) {
        self.cover = cover;
        let version = self.cover_version();
        self.cover_url = version.map(|version| format!("/cover/{}?v={version}", self.track_id));
    }
}

/// What a track is called.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
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
    /// Files that were looked into and are no music.
    others: Vec<(PathBuf, Version)>,
    json: OnceLock<Json>,
    gzip: OnceLock<Bytes>,
}

/// The body of `GET /index`, and what names its entity tag.
#[derive(Debug)]
struct Json {
    bytes: Bytes,
    sum: u64,
}

impl PartialEq for Index {
    fn eq(&self, other: &Self) -> bool {
        (&self.root, &self.tracks, &self.others) == (&other.root, &other.tracks, &other.others)
    }
}

impl Index {
    fn empty(root: &Path) -> Self {
        Index::new(root.into(), Vec::new(), Vec::new())
    }

    fn new(root: PathBuf, mut tracks: Vec<Track>, mut others: Vec<(PathBuf, Version)>) -> Self {
        tracks.sort_by_cached_key(play_order);
        let mut by_id = HashMap::with_capacity(tracks.len());
        tracks.retain(|track| {
            let next = by_id.len();
            let is_new = !by_id.contains_key(&track.track_id);
            if is_new {
                by_id.insert(track.track_id, next);
            } else {
                tracing::warn!(file = ?track.path, "left out: another file has the same track id");
                others.push((track.path.clone(), track.version));
            }
            is_new
        });
        others.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Index {
            root,
            tracks,
            by_id,
            others,
            json: OnceLock::new(),
            gzip: OnceLock::new(),
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

    /// The body of `GET /index`. Blocks, for the first who asks for anything of it.
    pub fn json(&self) -> Bytes {
        self.written().bytes.clone()
    }

    fn written(&self) -> &Json {
        self.json.get_or_init(|| {
            let bytes = Bytes::from(serde_json::to_vec(&self.tracks).unwrap_or_default());
            let sum = first_64_bits(Sha256::new_with_prefix(&bytes));
            Json { bytes, sum }
        })
    }

    /// The same, compressed.
    pub fn gzip(&self) -> Bytes {
        let compress = || {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
            // Into memory, which takes whatever it is given.
            let _ = gzip.write_all(&self.written().bytes);
            gzip.finish().unwrap_or_default().into()
        };
        self.gzip.get_or_init(compress).clone()
    }

    /// The entity tag of the one or of the other, quotes included.
    pub fn etag(&self, gzipped: bool) -> String {
        format!(
            "\"{:016x}{}\"",
            self.written().sum,
            if gzipped { "-gzip" } else { "" }
        )
    }

    /// What the room needs to know of it.
    pub fn for_room(&self) -> room::Library {
        let tracks = self.tracks.iter();
        room::Library::versioned(
            tracks.map(|track| (track.track_id, track.duration, track.version.0)),
        )
    }

    /// Opens a track's file for reading. Blocks.
    ///
    /// # Errors
    /// What the system said, or [`io::ErrorKind::NotFound`] when the path leads out of the audio folder by
    /// now, or to something that is not a file.
    pub fn open(&self, track: &Track) -> io::Result<Opened> {
        self.open_below(&track.path)
    }

    fn open_below(&self, path: &Path) -> io::Result<Opened> {
        open::open(&self.root, path)
    }
}

/// The newest index, and a way to ask for a newer one.
#[derive(Debug)]
pub struct Library {
    index: RwLock<Arc<Index>>,
    orders: mpsc::Sender<Order>,
}

impl Library {
    /// What `keeper` found, kept true by it from now on, on a thread of its own. What it has to say goes to `audience`,
    /// once the library is that; whoever could not take it says so, and is told again. With `tells_parts`, of a library that is
    /// still being read so much is told as is known.
    ///
    /// # Errors
    /// What the system said when there can be no such thread.
    pub fn keep(
        keeper: Keeper,
        tells_parts: bool,
        mut audience: impl FnMut(News) -> bool + Send + 'static,
    ) -> io::Result<Arc<Self>> {
        let (orders, ordered) = mpsc::channel();
        let library = Arc::new(Library {
            index: RwLock::new(keeper.index()),
            orders,
        });
        let kept = Arc::downgrade(&library);
        // The keeper ends with the last who could ask it.
        let asked = kept.clone();
        let notice = move |order| {
            if let Some(library) = asked.upgrade() {
                let _ = library.orders.send(order);
            }
        };
        thread::Builder::new()
            .name("library".into())
            .spawn(move || {
                keeper.run(&ordered, notice, tells_parts, |news| {
                    if let (News::Index { index, .. }, Some(library)) = (&news, kept.upgrade()) {
                        *library
                            .index
                            .write()
                            .unwrap_or_else(PoisonError::into_inner) = index.clone();
                    }
                    audience(news)
                });
            })?;
        Ok(library)
    }

    /// The newest index.
    pub fn index(&self) -> Arc<Index> {
        self.index
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Has the folder looked through, now, and believed whatever is found.
    pub fn rescan(&self) {
        // A keeper that has ended keeps nothing true any more.
        let _ = self.orders.send(Order::Rescan);
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
