//! The catalog: the part of the library that a room needs, without paths and tags.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::id::TrackId;
use super::levelling::TrackLevel;
use super::sort_order::{SortOrder, SortPlaces};

/// The library's tracks in the order in which a new queue plays them, with the duration and the version of each.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TrackCatalog {
    order: Vec<TrackId>,
    tracks: BTreeMap<TrackId, CatalogEntry>,
    /// The loudness of the tracks of which anything is known.
    levels: BTreeMap<TrackId, TrackLevel>,
    sort_places: Arc<SortPlaces>,
    /// The tracks that the library had and may have again.
    absent: HashSet<TrackId>,
    /// A hash of the playlists; `None` if unknown, as it is before the library's first scan.
    playlists_hash: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct CatalogEntry {
    duration_sec: f64,
    /// Changes when the track's file is modified; `None` if unknown, as it is before the library's first scan.
    version: Option<u64>,
}

impl TrackCatalog {
    /// A catalog of `(track, duration in seconds)`, in the order in which a new queue plays the tracks. The versions are
    /// unknown.
    pub fn new(tracks: impl IntoIterator<Item = (TrackId, f64)>) -> Self {
        let tracks = tracks.into_iter();
        TrackCatalog::from_entries(tracks.map(|(id, duration_sec)| (id, duration_sec, None)))
    }

    /// A catalog of `(track, duration in seconds, version)`, in the order in which a new queue plays the tracks.
    pub fn versioned(tracks: impl IntoIterator<Item = (TrackId, f64, u64)>) -> Self {
        let tracks = tracks.into_iter();
        TrackCatalog::from_entries(
            tracks.map(|(id, duration_sec, version)| (id, duration_sec, Some(version))),
        )
    }

    fn from_entries(tracks: impl Iterator<Item = (TrackId, f64, Option<u64>)>) -> Self {
        let mut catalog = TrackCatalog::default();
        for (id, duration_sec, version) in tracks {
            let entry = CatalogEntry {
                duration_sec,
                version,
            };
            if catalog.tracks.insert(id, entry).is_none() {
                catalog.order.push(id);
            }
        }
        catalog
    }

    /// The same catalog with `absent` as the tracks that the library had and may have again.
    pub fn with_absent(mut self, absent: impl IntoIterator<Item = TrackId>) -> Self {
        self.absent = absent.into_iter().collect();
        self
    }

    /// The same catalog with `hash` as the hash of the playlists.
    pub fn with_playlists_hash(mut self, hash: u64) -> Self {
        self.playlists_hash = Some(hash);
        self
    }

    /// The same catalog with the loudness of tracks.
    pub fn with_levels(mut self, levels: impl IntoIterator<Item = (TrackId, TrackLevel)>) -> Self {
        self.levels = levels.into_iter().collect();
        self
    }

    /// The same catalog with the places of the tracks in the orders in which they can be sorted.
    pub fn with_sort_places(mut self, places: Arc<SortPlaces>) -> Self {
        self.sort_places = places;
        self
    }

    /// The place of a track in an order, lower for a track that comes earlier. All tracks of which the place is unknown have
    /// the same one.
    pub fn sort_place(&self, track: TrackId, order: SortOrder) -> u32 {
        self.sort_places.place(track, order).unwrap_or(u32::MAX)
    }

    /// What is known of the loudness of a track.
    pub fn level(&self, track: TrackId) -> TrackLevel {
        self.levels.get(&track).copied().unwrap_or_default()
    }

    /// Whether the playlists have changed since the catalog `previous`. Unknown playlists count as unchanged.
    pub(super) fn have_playlists_changed_since(&self, previous: &TrackCatalog) -> bool {
        let (old, new) = (previous.playlists_hash, self.playlists_hash);
        old.is_some() && new.is_some() && old != new
    }

    /// The number of tracks that the library had and may have again.
    pub(super) fn absent_count(&self) -> usize {
        self.absent.len()
    }

    /// Whether the library had the track and may have it again.
    pub(super) fn is_absent(&self, track: TrackId) -> bool {
        self.absent.contains(&track)
    }

    /// Whether the library no longer expects a track to return that was absent in the catalog `previous`.
    pub(super) fn has_forgotten(&self, track: TrackId, previous: &TrackCatalog) -> bool {
        previous.is_absent(track) && !self.is_absent(track) && !self.contains(track)
    }

    /// The tracks whose files were modified since the catalog `previous`, in order. An unknown version counts as unmodified.
    pub(super) fn tracks_modified_since(&self, previous: &TrackCatalog) -> Vec<TrackId> {
        let is_modified = |id: &TrackId| {
            let (old, new) = (previous.version(*id), self.version(*id));
            old.is_some() && new.is_some() && old != new
        };
        self.order.iter().copied().filter(is_modified).collect()
    }

    fn version(&self, track: TrackId) -> Option<u64> {
        self.tracks.get(&track).and_then(|entry| entry.version)
    }

    /// All tracks, in order.
    pub fn order(&self) -> &[TrackId] {
        &self.order
    }

    /// A track's duration in seconds; `None` if the track is not in the catalog.
    pub fn duration_sec(&self, track: TrackId) -> Option<f64> {
        self.tracks.get(&track).map(|entry| entry.duration_sec)
    }

    /// Whether the track is in the catalog.
    pub fn contains(&self, track: TrackId) -> bool {
        self.tracks.contains_key(&track)
    }
}
