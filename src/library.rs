//! The library: every track below the audio folder, as last scanned. An [`Index`] never changes; a rescan
//! makes a new one, and whoever holds the old one may finish with it. A [`Library`] holds the newest.

mod cache;
pub mod cover;
mod draft;
mod duplicates;
#[cfg(fuzzing)]
pub mod fuzzing;
mod index;
mod keeper;
mod open;
mod orders;
mod padding;
mod reader;
mod scan;
mod shelf;
mod tags;
mod teller;
mod watch;

use std::borrow::Cow;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, Weak, mpsc};
use std::thread;
use std::time::UNIX_EPOCH;

use orders::Order;
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest, Sha256};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use crate::room::TrackId;
use crate::store::{AUTHORITY, COVERS, INDEX, beside, folder_of};

pub use index::Index;
pub use keeper::{Audience, Keeper, News};
pub use open::Opened;
pub use padding::Padding;
pub use teller::Progress;

/// What is known of one track. Serialises as its row in `GET /index`.
#[derive(Debug, Clone, PartialEq)]
pub struct Track {
    /// Its name on the wire; no path ever is.
    pub track_id: TrackId,
    /// In bytes.
    pub size: u64,
    /// The media type that phones are told.
    pub mime: &'static str,
    /// Which bytes: another version, other bytes.
    pub version: Version,
    /// Of the music, in seconds.
    pub duration: f64,
    /// What is in the file besides the music, where the file tells.
    pub padding: Option<Padding>,
    /// What it is called.
    pub tags: Tags,
    /// Whether the title is the file's own, and not made of its name.
    is_titled: bool,
    /// Of the sound, in kbit/s.
    bit_rate: u32,
    /// Of several, as the tags count them.
    disc: Option<u32>,
    /// A sum of all its bytes, where somebody had to look at them.
    content: Option<u64>,
    cover: Option<Cover>,
    /// Below the audio folder.
    path: PathBuf,
}

/// Where a track's cover is.
#[derive(Debug, Clone, PartialEq)]
enum Cover {
    /// In the track's own file.
    Embedded,
    /// In a file beside it: its path below the audio folder.
    Beside(Arc<Path>, Version),
}

impl Track {
    /// The last part of its path; what is not Unicode in it is shown as U+FFFD.
    pub fn file_name(&self) -> Cow<'_, str> {
        self.path.file_name().unwrap_or_default().to_string_lossy()
    }

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
}

impl Serialize for Track {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Row<'a> {
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
            cover_url: Option<String>,
        }
        let cover = self.cover_version();
        Row {
            track_id: self.track_id,
            file_name: self.file_name(),
            size: self.size,
            mime: self.mime,
            version: self.version,
            duration: self.duration,
            padding: self.padding,
            tags: &self.tags,
            cover_url: cover.map(|version| format!("/cover/{}?v={version}", self.track_id)),
        }
        .serialize(serializer)
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
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
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
    /// once the library is that. With `tells_parts`, of a library that is
    /// still being read so much is told as is known.
    ///
    /// # Errors
    /// What the system said when there can be no such thread.
    pub fn keep(
        keeper: Keeper,
        tells_parts: bool,
        audience: impl Audience + Send + 'static,
    ) -> io::Result<Arc<Self>> {
        let (orders, ordered) = mpsc::channel();
        let library = Arc::new(Library {
            index: RwLock::new(keeper.index()),
            orders,
        });
        // The keeper ends with the last who could ask it.
        let asked = Arc::downgrade(&library);
        let shown = Shown {
            library: asked.clone(),
            audience,
        };
        let notice = move |order| {
            if let Some(library) = asked.upgrade() {
                let _ = library.orders.send(order);
            }
        };
        thread::Builder::new()
            .name("library".into())
            .spawn(move || {
                keeper.run(&ordered, notice, tells_parts, shown);
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

/// The id of the track at `path` below the audio folder: it depends on the path alone, spelled
/// with `/` and in Unicode's normal form C, so that it is the same on every system.
fn track_id(path: &Path) -> TrackId {
    let mut hash = Sha256::new();
    for (i, part) in path.iter().enumerate() {
        if i > 0 {
            hash.update(b"/");
        }
        match part.to_str() {
            Some(text) => hash.update(composed(text).as_bytes()),
            None => hash.update(part.as_encoded_bytes()),
        }
    }
    TrackId(first_64_bits(hash))
}

/// The library is shown as it is before anybody hears of it.
struct Shown<A> {
    library: Weak<Library>,
    audience: A,
}

impl<A: Audience> Audience for Shown<A> {
    fn hear(&mut self, news: News) -> bool {
        if let (News::Index { index, .. }, Some(library)) = (&news, self.library.upgrade()) {
            *library
                .index
                .write()
                .unwrap_or_else(PoisonError::into_inner) = index.clone();
        }
        self.audience.hear(news)
    }

    fn current(&self) -> Option<TrackId> {
        self.audience.current()
    }
}

/// In Unicode's normal form C, as nearly every text is already.
fn composed(text: &str) -> Cow<'_, str> {
    match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => text.into(),
        IsNormalized::No | IsNormalized::Maybe => text.nfc().collect(),
    }
}

/// The files and folders that this server itself writes to, which may lie in the audio folder.
fn ours(state_file: &Path) -> Vec<PathBuf> {
    let absolute = |path: &Path| {
        let folder = folder_of(path).canonicalize().ok()?;
        Some(folder.join(path.file_name()?))
    };
    let beside = ["", INDEX, COVERS, AUTHORITY].map(|suffix| beside(state_file, suffix));
    let mut ours: Vec<_> = beside.iter().filter_map(|path| absolute(path)).collect();
    ours.extend(absolute(state_file));
    ours
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
