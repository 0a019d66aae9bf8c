//! The index of the audio folders: all tracks, in the order in which a new queue plays them, and the files that are not
//! tracks, so that the next scan need not read these files again.

use std::collections::{HashMap, HashSet};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::album_levels::AlbumLevels;
use super::content::{ContentHash, hash_at_rest};
use super::duplicates::{self, Duplicate, Visibility};
use super::folders::AudioFolders;
use super::natural_order::sort_key;
use super::playlists::Playlists;
use super::sort_places;
use super::{IndexRow, Opened, Picture, Stamp, Tags, Track, first_64_bits};
use crate::base_path::BasePath;
use crate::room::{self, SortPlaces, TrackId, TrackLevel};

/// The number of bytes of JSON that are hashed and compressed in one step.
const JSON_CHUNK: usize = 64 << 10;

/// The result of a scan of the audio folders. Immutable.
#[derive(Debug)]
pub struct Index {
    folders: AudioFolders,
    /// The listed tracks, in the order in which a new queue plays them.
    tracks: Vec<Arc<Track>>,
    /// The position of each listed track in `tracks`.
    by_id: HashMap<TrackId, usize>,
    /// Tracks that are not listed, because each is a copy of a listed track.
    duplicates: Vec<Duplicate>,
    /// The files that are not tracks, each with the stamp that the scan read.
    non_tracks: Vec<(PathBuf, Stamp)>,
    /// The tracks whose files an earlier scan found and the last scan did not, the longest absent first.
    /// A file that returns unchanged need not be read again.
    absent: Vec<Arc<Track>>,
    /// The picture files that may be covers, sorted by path.
    pictures: Vec<Picture>,
    playlists: Playlists,
    /// The loudness of the albums; computed on first use.
    albums: OnceLock<AlbumLevels>,
    /// The orders in which a room can sort the tracks; computed on first use.
    sort_places: OnceLock<Arc<SortPlaces>>,
    /// The body of `GET /index`; computed on first use.
    json: OnceLock<Bytes>,
    /// The compressed body of `GET /index`; computed on first use.
    gzip: OnceLock<GzippedJson>,
}

/// The body of `GET /index`, compressed, and the hash of the uncompressed body.
#[derive(Debug)]
struct GzippedJson {
    hash: u64,
    bytes: Bytes,
}

impl PartialEq for Index {
    fn eq(&self, other: &Self) -> bool {
        (&self.folders, &self.pictures) == (&other.folders, &other.pictures)
            && (&self.tracks, &self.duplicates) == (&other.tracks, &other.duplicates)
            && (&self.non_tracks, &self.absent) == (&other.non_tracks, &other.absent)
            // A playlist that could not be read may differ although no file has changed.
            && self.playlists == other.playlists
    }
}

impl Index {
    /// An index without tracks.
    pub(super) fn empty(folders: AudioFolders) -> Self {
        Index::from_sorted(folders, Vec::new(), Vec::new(), Vec::new())
    }

    /// Builds an index from files in any order. Unless `keep_duplicates` is set, lists one copy of each recording: the copy
    /// that is a room's current track, or else the best copy. Among equally good copies, the higher `visibility` decides.
    pub(super) fn new(
        folders: AudioFolders,
        mut tracks: Vec<Arc<Track>>,
        mut non_tracks: Vec<(PathBuf, Stamp)>,
        keep_duplicates: bool,
        visibility: impl Fn(TrackId) -> Visibility,
    ) -> Self {
        tracks.sort_by_cached_key(|track| play_order_key(track));
        let mut ids = HashSet::with_capacity(tracks.len());
        tracks.retain(|track| {
            let is_unique = ids.insert(track.track_id);
            if !is_unique {
                tracing::warn!(file = ?track.path, "skipped: another file has the same track id");
                non_tracks.push((track.path.clone(), track.stamp));
            }
            is_unique
        });
        non_tracks.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let (tracks, duplicates) = if keep_duplicates {
            (tracks, Vec::new())
        } else {
            duplicates::split_off_duplicates(tracks, visibility)
        };
        Index::from_sorted(folders, tracks, duplicates, non_tracks)
    }

    /// Builds an index from tracks in play order, their duplicates, and non-tracks sorted by path. The index has no playlists.
    pub(super) fn from_sorted(
        folders: AudioFolders,
        tracks: Vec<Arc<Track>>,
        duplicates: Vec<Duplicate>,
        non_tracks: Vec<(PathBuf, Stamp)>,
    ) -> Self {
        let positions = tracks.iter().enumerate();
        Index {
            playlists: Playlists::default(),
            by_id: positions.map(|(at, track)| (track.track_id, at)).collect(),
            folders,
            tracks,
            duplicates,
            non_tracks,
            absent: Vec::new(),
            pictures: Vec::new(),
            albums: OnceLock::new(),
            sort_places: OnceLock::new(),
            json: OnceLock::new(),
            gzip: OnceLock::new(),
        }
    }

    /// This index with the tracks whose files were not found, the longest absent first.
    pub(super) fn with_absent(mut self, absent: Vec<Arc<Track>>) -> Self {
        self.absent = absent;
        self
    }

    /// This index with the picture files from which the covers of the tracks were chosen.
    pub(super) fn with_pictures(mut self, mut pictures: Vec<Picture>) -> Self {
        pictures.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        self.pictures = pictures;
        self
    }

    /// The number of listed tracks.
    pub fn len(&self) -> usize {
        self.tracks.len()
    }

    /// Whether the index lists no track.
    pub fn is_empty(&self) -> bool {
        self.tracks.is_empty()
    }

    /// Whether there is a track of an audio folder, and not only uploads.
    pub(super) fn has_collection(&self) -> bool {
        self.tracks.iter().any(|track| track.uploaded_by.is_none())
    }

    /// The id of the listed track of the same recording: `id` itself if it is listed. `None` for an unknown track.
    pub fn listed_id(&self, id: TrackId) -> Option<TrackId> {
        if self.by_id.contains_key(&id) {
            return Some(id);
        }
        let mut duplicates = self.duplicates.iter();
        let duplicate = duplicates.find(|duplicate| duplicate.track.track_id == id);
        duplicate.map(|duplicate| duplicate.listed_as)
    }

    /// The uploads, listed or not.
    pub fn uploads(&self) -> impl Iterator<Item = &Arc<Track>> {
        self.all_tracks()
            .filter(|track| track.uploaded_by.is_some())
    }

    /// The listed track of the recording of which some file has `size` bytes and the content `content`. Hashes the files of
    /// this size whose hash is not known yet. Blocks.
    pub fn listed_copy(&self, size: u64, content: ContentHash) -> Option<TrackId> {
        let has_content = |track: &&Arc<Track>| {
            let hash = || Some(hash_at_rest(&self.open(track).ok()?.file).ok()?.1);
            track.size == size && track.content_hash.get().copied().or_else(hash) == Some(content)
        };
        let copy = self.all_tracks().find(has_content)?;
        self.listed_id(copy.track_id)
    }

    /// The listed track with this id.
    pub fn track(&self, id: TrackId) -> Option<&Track> {
        self.shared_track(id).map(|track| &**track)
    }

    /// As [`Index::track`], with shared ownership.
    pub(super) fn shared_track(&self, id: TrackId) -> Option<&Arc<Track>> {
        self.by_id.get(&id).map(|at| &self.tracks[*at])
    }

    /// The tags of a track, even if it is no longer listed.
    pub fn any_tags(&self, id: TrackId) -> Option<Tags> {
        let listed = self.track(id).map(|track| &track.tags);
        let unlisted = || {
            let duplicates = self.duplicates.iter().map(|duplicate| &duplicate.track);
            let mut unlisted = duplicates.chain(&self.absent);
            let found = unlisted.find(|track| track.track_id == id);
            found.map(|track| &track.tags)
        };
        listed.or_else(unlisted).cloned()
    }

    /// The audio folders.
    pub(super) fn folders(&self) -> &AudioFolders {
        &self.folders
    }

    /// The picture files that may be covers.
    pub(super) fn pictures(&self) -> &[Picture] {
        &self.pictures
    }

    /// The tracks whose files an earlier scan found and the last scan did not, the longest absent first.
    pub(super) fn absent(&self) -> &[Arc<Track>] {
        &self.absent
    }

    /// The listed tracks.
    pub(super) fn tracks(&self) -> &[Arc<Track>] {
        &self.tracks
    }

    /// The tracks that are not listed, because each is a copy of a listed track.
    pub(super) fn duplicates(&self) -> &[Duplicate] {
        &self.duplicates
    }

    /// Whether a duplicate is better than its listed copy, and the listed copy is not in `current_tracks`. The listed copy
    /// was a room's current track when the index was built, and the better copy can now replace it.
    pub(super) fn can_list_better_copy(&self, current_tracks: &[TrackId]) -> bool {
        self.duplicates.iter().any(|duplicate| {
            let listed = self.track(duplicate.listed_as);
            !current_tracks.contains(&duplicate.listed_as)
                && listed.is_some_and(|listed| duplicates::is_better(&duplicate.track, listed))
        })
    }

    /// The listed tracks and the duplicates.
    pub(super) fn all_tracks(&self) -> impl Iterator<Item = &Arc<Track>> {
        let duplicates = self.duplicates.iter().map(|duplicate| &duplicate.track);
        self.tracks.iter().chain(duplicates)
    }

    /// The files that are not tracks, sorted by path, each with the stamp that the scan read.
    pub(super) fn non_tracks(&self) -> &[(PathBuf, Stamp)] {
        &self.non_tracks
    }

    /// Reads the playlists among the non-tracks; `previous` are the playlists of the previous index. Blocks.
    pub(super) fn with_playlists(mut self, previous: &Playlists) -> Self {
        self.playlists = Playlists::read(
            &self.folders,
            &self.non_tracks,
            &self.tracks,
            &self.duplicates,
            previous,
        );
        self
    }

    pub(super) fn playlists(&self) -> &Playlists {
        &self.playlists
    }

    /// The body of `GET /playlists`: a JSON array of the playlists, each with its listed tracks.
    pub fn playlists_json(&self) -> Bytes {
        self.playlists.json()
    }

    /// The strong entity tag of [`Index::playlists_json`], with its quotes.
    pub fn playlists_etag(&self) -> String {
        format!("\"{:016x}\"", self.playlists.hash())
    }

    fn rows<'a>(&'a self, base_path: &'a BasePath) -> impl Serialize + 'a {
        struct Rows<'a>(&'a [Arc<Track>], &'a AlbumLevels, &'a BasePath);
        impl Serialize for Rows<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq(self.0.iter().map(|track| IndexRow {
                    track,
                    album: self.1.of(track.track_id),
                    base_path: self.2,
                }))
            }
        }
        Rows(&self.tracks, self.albums(), base_path)
    }

    fn sort_places(&self) -> Arc<SortPlaces> {
        let places = || Arc::new(sort_places::of_tracks(&self.tracks));
        self.sort_places.get_or_init(places).clone()
    }

    fn albums(&self) -> &AlbumLevels {
        self.albums
            .get_or_init(|| AlbumLevels::of_tracks(&self.tracks))
    }

    /// The body of `GET /index`: a JSON array of the listed tracks. `base_path` precedes the paths in it; all calls must pass
    /// the same one. The first call blocks while it serializes the tracks.
    pub fn json(&self, base_path: &BasePath) -> Bytes {
        let rows = self.rows(base_path);
        let json = || serde_json::to_vec(&rows).unwrap_or_default().into();
        self.json.get_or_init(json).clone()
    }

    /// The body of `GET /index`, compressed with gzip. The first call of this function or of [`Index::etag`] blocks while it
    /// serializes and compresses the tracks.
    pub fn gzip(&self, base_path: &BasePath) -> Bytes {
        self.gzipped_json(base_path).bytes.clone()
    }

    /// The strong entity tag (RFC 9110, 8.8.3) of [`Index::gzip`] or [`Index::json`], with its quotes.
    pub fn etag(&self, base_path: &BasePath, is_gzipped: bool) -> String {
        format!(
            "\"{:016x}{}\"",
            self.gzipped_json(base_path).hash,
            if is_gzipped { "-gzip" } else { "" }
        )
    }

    /// Compresses the JSON while it is serialized, so that the uncompressed JSON, which may have tens of megabytes, is
    /// not in memory. Only the rare clients that do not accept gzip cause [`Index::json`] to be called.
    fn gzipped_json(&self, base_path: &BasePath) -> &GzippedJson {
        self.gzip.get_or_init(|| {
            let mut writer = HashingGzipWriter {
                hash: Sha256::new(),
                gzip: GzEncoder::new(Vec::new(), Compression::default()),
            };
            let mut buffered = BufWriter::with_capacity(JSON_CHUNK, &mut writer);
            // Writing to a `Vec` cannot fail.
            let _ = serde_json::to_writer(&mut buffered, &self.rows(base_path));
            let _ = buffered.flush();
            drop(buffered);
            let mut bytes = writer.gzip.finish().unwrap_or_default();
            bytes.shrink_to_fit();
            GzippedJson {
                hash: first_64_bits(writer.hash),
                bytes: bytes.into(),
            }
        })
    }

    /// The part of the index that a room needs: id, duration, version and loudness of each listed track, the ids of the absent tracks, and
    /// a hash of the playlists.
    pub fn for_room(&self) -> room::TrackCatalog {
        let tracks = self.tracks.iter();
        let tracks = tracks.map(|track| (track.track_id, track.duration_sec(), track.version.0));
        let absent = self.absent.iter().map(|track| track.track_id);
        let levels = self.tracks.iter().map(|track| TrackLevel {
            gain_db: track.gain_db(),
            peak: track.peak(),
            album: self.albums().of(track.track_id),
        });
        let ids = self.tracks.iter().map(|track| track.track_id);
        let levels = ids.zip(levels);
        let levels = levels.filter(|(_, level)| *level != TrackLevel::default());
        room::TrackCatalog::versioned(tracks)
            .with_absent(absent)
            .with_levels(levels)
            .with_sort_places(self.sort_places())
            .with_playlists_hash(self.playlists.hash())
    }

    /// Opens the file of a track for reading. Blocks.
    ///
    /// # Errors
    /// The system's error, or [`io::ErrorKind::NotFound`] if the path no longer leads to a regular file in the audio folder.
    pub fn open(&self, track: &Track) -> io::Result<Opened> {
        self.open_path(&track.path)
    }

    /// Opens the file at a library path; see [`Index::open`].
    pub(super) fn open_path(&self, path: &Path) -> io::Result<Opened> {
        self.folders.handles().open(path)
    }
}

/// A writer that hashes and compresses the bytes.
struct HashingGzipWriter {
    hash: Sha256,
    gzip: GzEncoder<Vec<u8>>,
}

impl Write for HashingGzipWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hash.update(bytes);
        self.gzip.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The sort key of the play order: audio folder (the first one before the others), folder, album, disc (1 if there is none),
/// track number (tracks without one last), file name. Names are in natural order.
fn play_order_key(track: &Track) -> impl Ord + use<> {
    let folder = track.path.parent().unwrap_or(Path::new(""));
    let folder = folder.iter().map(|name| sort_key(&name.to_string_lossy()));
    let album = track.tags.album.as_deref().unwrap_or_default();
    (
        // The first audio folder, whose paths are relative, comes first.
        track.path.is_absolute(),
        folder.collect::<Vec<_>>(),
        sort_key(album),
        track.tags.disc.unwrap_or(1),
        track.tags.track_number.unwrap_or(u32::MAX),
        sort_key(&track.file_name()),
        track.path.clone(),
    )
}
