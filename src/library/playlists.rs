//! The playlists in the audio folder, with the listed tracks that they name.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::duplicates::Duplicate;
use super::folders::{AudioFolders, FolderHandles};
use super::m3u::{self, Entry, TracksByPath};
use super::natural_order::sort_key;
use super::{Stamp, Track, first_64_bits, track_id};
use crate::clean_text::clean_line;
use crate::room::TrackId;

/// The most playlists. Further playlists are ignored.
const MAX_PLAYLISTS: usize = 1_000;
/// The most bytes of a playlist that are read.
const MAX_SIZE: u64 = 4 << 20;
/// The most entries of all playlists together. Further entries are ignored, so the playlists after them appear empty.
const MAX_ENTRIES: usize = 500_000;
/// The most characters of a name.
const MAX_NAME_LENGTH: usize = 300;

/// A playlist. Serializes as its object in `GET /playlists`.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Playlist {
    playlist_id: TrackId,
    name: String,
    track_ids: Vec<TrackId>,
}

/// All playlists of an index.
#[derive(Debug, PartialEq)]
pub(super) struct Playlists {
    files: Vec<PlaylistFile>,
    /// The body of `GET /playlists`.
    json: Bytes,
    /// The first 64 bits of the SHA-256 of `json`.
    hash: u64,
    /// The number of entries that name no listed track, for each playlist with such entries.
    unknown_entry_counts: HashMap<PathBuf, usize>,
}

/// The content of a playlist, as it was read.
#[derive(Debug, Clone, PartialEq)]
struct PlaylistFile {
    path: PathBuf,
    stamp: Stamp,
    entries: Arc<Vec<Entry>>,
}

impl Default for Playlists {
    fn default() -> Self {
        Playlists::new(Vec::new(), HashMap::new(), &[])
    }
}

impl Playlists {
    fn new(
        files: Vec<PlaylistFile>,
        unknown_entry_counts: HashMap<PathBuf, usize>,
        playlists: &[Playlist],
    ) -> Self {
        let json = serde_json::to_vec(playlists).unwrap_or_default();
        let mut hash = Sha256::new();
        hash.update(&json);
        Playlists {
            files,
            hash: first_64_bits(hash),
            json: json.into(),
            unknown_entry_counts,
        }
    }

    /// Reads the playlists among `files`, which are library paths. Does not read a file again that has the same stamp in
    /// `previous`. An unstable file keeps its previous stamp, so no half-written playlist is read. A playlist that cannot be
    /// read appears empty. Blocks.
    pub(super) fn read(
        folders: &AudioFolders,
        files: &[(PathBuf, Stamp)],
        tracks: &[Arc<Track>],
        duplicates: &[Duplicate],
        previous: &Playlists,
    ) -> Self {
        let is_playlist = |file: &&(PathBuf, Stamp)| m3u::is_playlist(&file.0);
        let mut files: Vec<_> = files.iter().filter(is_playlist).collect();
        if files.is_empty() {
            return Playlists::default();
        }
        files.sort_by_cached_key(|(path, _)| (sort_key(&path.to_string_lossy()), path.clone()));
        files.truncate(MAX_PLAYLISTS);
        let handles = folders.handles();
        let mut remaining = MAX_ENTRIES;
        let files = files.into_iter().map(|(path, stamp)| {
            let is_same = |known: &&PlaylistFile| (&known.path, known.stamp) == (path, *stamp);
            let known = previous.files.iter().find(is_same);
            let file = known.cloned().unwrap_or_else(|| {
                let mut entries = m3u::parse(&read_file(&handles, path));
                entries.truncate(remaining);
                PlaylistFile {
                    path: path.clone(),
                    stamp: *stamp,
                    entries: entries.into(),
                }
            });
            remaining = remaining.saturating_sub(file.entries.len());
            file
        });
        let files: Vec<_> = files.collect();

        let listed = tracks.iter().map(|track| (&*track.path, track.track_id));
        let copies = duplicates.iter();
        let copies = copies.map(|copy| (&*copy.track.path, copy.listed_as));
        let by_path = TracksByPath::new(folders.first(), listed.chain(copies));
        let mut unknown_entry_counts = HashMap::new();
        let playlists = files.iter().map(|file| {
            let folder = file.path.parent().unwrap_or(Path::new(""));
            let found = file.entries.iter();
            let found = found.filter_map(|entry| by_path.find(folder, entry));
            let track_ids: Vec<_> = found.collect();
            let unknown = file.entries.len() - track_ids.len();
            if unknown > 0 {
                unknown_entry_counts.insert(file.path.clone(), unknown);
            }
            Playlist {
                playlist_id: track_id(&file.path),
                name: playlist_name(&file.path),
                track_ids,
            }
        });
        let playlists: Vec<_> = playlists.collect();
        Playlists::new(files, unknown_entry_counts, &playlists)
    }

    pub(super) fn json(&self) -> Bytes {
        self.json.clone()
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    /// Logs how many entries of a playlist name no listed track, if the number differs from that of `previous`.
    pub(super) fn log_unknown_entries(&self, previous: &Playlists) {
        for (path, count) in &self.unknown_entry_counts {
            if previous.unknown_entry_counts.get(path) != Some(count) {
                tracing::info!(
                    playlist = ?path,
                    entries = count,
                    "entries of a playlist are left out, because they name no track of the library"
                );
            }
        }
    }
}

fn read_file(folders: &FolderHandles, path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = folders
        .open(path)
        .and_then(|opened| opened.file.take(MAX_SIZE).read_to_end(&mut bytes));
    if let Err(error) = read {
        tracing::warn!(playlist = ?path, "cannot read a playlist: {error}");
        bytes.clear();
    }
    bytes
}

/// The file name without its extension.
fn playlist_name(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name = clean_line(&stem, MAX_NAME_LENGTH);
    if name.is_empty() {
        "Untitled".into()
    } else {
        name
    }
}
