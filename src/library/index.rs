//! An index: every track that is known, in the order in which a new queue plays them, and what a scan need not look into again.

use std::collections::HashMap;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use super::duplicates::{self, Duplicate, Standing};
use super::{Opened, Track, Version, first_64_bits, open};
use crate::room::{self, TrackId};

/// So much of the JSON is summed up and compressed at once, in bytes.
const PIECE: usize = 64 << 10;

/// Every track, in the order in which a new queue plays them.
#[derive(Debug)]
pub struct Index {
    root: PathBuf,
    tracks: Vec<Arc<Track>>,
    by_id: HashMap<TrackId, usize>,
    /// Tracks that are known and not shown.
    duplicates: Vec<Duplicate>,
    /// Files that were looked into and are no music.
    others: Vec<(PathBuf, Version)>,
    json: OnceLock<Bytes>,
    written: OnceLock<Written>,
}

/// The body of `GET /index`, compressed, and what names its entity tag.
#[derive(Debug)]
struct Written {
    sum: u64,
    gzip: Bytes,
}

impl PartialEq for Index {
    fn eq(&self, other: &Self) -> bool {
        (&self.root, &self.tracks, &self.duplicates, &self.others)
            == (&other.root, &other.tracks, &other.duplicates, &other.others)
    }
}

impl Index {
    pub(super) fn empty(root: &Path) -> Self {
        Index::in_order(root.into(), Vec::new(), Vec::new(), Vec::new())
    }

    /// Of what was found, in any order; of copies of one recording, only the best is shown, unless all are wanted; of two
    /// that are as good, the one of the better standing; and in any case the one that is being heard.
    pub(super) fn new(
        root: PathBuf,
        mut tracks: Vec<Arc<Track>>,
        mut others: Vec<(PathBuf, Version)>,
        keep_duplicates: bool,
        standing: impl Fn(TrackId) -> Standing,
    ) -> Self {
        tracks.sort_by_cached_key(|track| play_order(track));
        let mut known = HashMap::with_capacity(tracks.len());
        tracks.retain(|track| {
            let is_new = known.insert(track.track_id, ()).is_none();
            if !is_new {
                tracing::warn!(file = ?track.path, "left out: another file has the same track id");
                others.push((track.path.clone(), track.version));
            }
            is_new
        });
        others.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let (tracks, duplicates) = if keep_duplicates {
            (tracks, Vec::new())
        } else {
            duplicates::set_apart(tracks, standing)
        };
        Index::in_order(root, tracks, duplicates, others)
    }

    /// Of what is sorted.
    pub(super) fn in_order(
        root: PathBuf,
        tracks: Vec<Arc<Track>>,
        duplicates: Vec<Duplicate>,
        others: Vec<(PathBuf, Version)>,
    ) -> Self {
        let places = tracks.iter().enumerate();
        Index {
            by_id: places.map(|(at, track)| (track.track_id, at)).collect(),
            root,
            tracks,
            duplicates,
            others,
            json: OnceLock::new(),
            written: OnceLock::new(),
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
        self.by_id.get(&id).map(|at| &*self.tracks[*at])
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// What is shown.
    pub(super) fn tracks(&self) -> &[Arc<Track>] {
        &self.tracks
    }

    /// What is not, being a copy of what is.
    pub(super) fn duplicates(&self) -> &[Duplicate] {
        &self.duplicates
    }

    /// Whether a track is shown though there is a better copy, and is not `current`, for whose sake alone that may be.
    pub(super) fn holds_back_a_better_copy(&self, current: Option<TrackId>) -> bool {
        self.duplicates.iter().any(|duplicate| {
            let shown = self.track(duplicate.of);
            Some(duplicate.of) != current
                && shown.is_some_and(|shown| duplicates::is_better(&duplicate.track, shown))
        })
    }

    /// Both.
    pub(super) fn known(&self) -> impl Iterator<Item = &Arc<Track>> {
        let duplicates = self.duplicates.iter().map(|duplicate| &duplicate.track);
        self.tracks.iter().chain(duplicates)
    }

    pub(super) fn others(&self) -> &[(PathBuf, Version)] {
        &self.others
    }

    /// The body of `GET /index`. Blocks, for the first who asks for it.
    pub fn json(&self) -> Bytes {
        let json = || serde_json::to_vec(&self.tracks).unwrap_or_default().into();
        self.json.get_or_init(json).clone()
    }

    /// The same, compressed. Blocks, for the first who asks for this or for an entity tag.
    pub fn gzip(&self) -> Bytes {
        self.written().gzip.clone()
    }

    /// The entity tag of the one or of the other, quotes included.
    pub fn etag(&self, gzipped: bool) -> String {
        format!(
            "\"{:016x}{}\"",
            self.written().sum,
            if gzipped { "-gzip" } else { "" }
        )
    }

    /// Nearly everybody takes it compressed, so the whole is never in memory for that.
    fn written(&self) -> &Written {
        self.written.get_or_init(|| {
            let mut both = Both {
                sum: Sha256::new(),
                gzip: GzEncoder::new(Vec::new(), Compression::default()),
            };
            let mut out = BufWriter::with_capacity(PIECE, &mut both);
            // Into memory, which takes whatever it is given.
            let _ = serde_json::to_writer(&mut out, &self.tracks);
            let _ = out.flush();
            drop(out);
            let mut gzip = both.gzip.finish().unwrap_or_default();
            gzip.shrink_to_fit();
            Written {
                sum: first_64_bits(both.sum),
                gzip: gzip.into(),
            }
        })
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

    pub(super) fn open_below(&self, path: &Path) -> io::Result<Opened> {
        open::open(&self.root, path)
    }
}

/// Sums up and compresses.
struct Both {
    sum: Sha256,
    gzip: GzEncoder<Vec<u8>>,
}

impl Write for Both {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sum.update(bytes);
        self.gzip.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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
        track.file_name().to_lowercase(),
        track.path.clone(),
    )
}
