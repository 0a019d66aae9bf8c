//! The orders in which a room can sort its queue.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::id::TrackId;

/// An order of tracks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SortOrder {
    /// By album, and within an album by disc and track number.
    Album,
    /// By artist, and those of an artist by album.
    Artist,
    /// By title.
    Title,
    /// By the time at which the library found the track, the newest first.
    Added,
}

/// The place of each track in each [`SortOrder`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SortPlaces(HashMap<TrackId, [u32; 4]>);

impl SortPlaces {
    /// The places from all tracks in the orders [`SortOrder::Album`], [`SortOrder::Artist`], [`SortOrder::Title`] and
    /// [`SortOrder::Added`].
    pub fn new(orders: [impl IntoIterator<Item = TrackId>; 4]) -> Self {
        let mut places: HashMap<_, [u32; 4]> = HashMap::new();
        for (order, tracks) in orders.into_iter().enumerate() {
            for (place, track) in (0..).zip(tracks) {
                places.entry(track).or_default()[order] = place;
            }
        }
        SortPlaces(places)
    }

    /// The place of a track, lower for a track that comes earlier; `None` if unknown.
    pub(super) fn place(&self, track: TrackId, order: SortOrder) -> Option<u32> {
        self.0.get(&track).map(|places| places[order as usize])
    }
}
