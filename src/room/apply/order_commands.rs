//! The commands that order the tracks behind the picks: `shuffle` and `sort`.

use std::sync::Arc;

use super::super::command::Rejection;
use super::super::event::EventKind;
use super::super::id::TrackId;
use super::super::queue;
use super::super::sort_order::SortOrder;
use super::super::transition::Transition;

impl Transition {
    /// Puts the tracks behind the picks into a random order, which `seed` determines.
    pub(super) fn shuffle(&mut self, seed: u64) -> Result<(), Rejection> {
        self.current_track_id()?;
        let mut tracks = self.tracks_behind_picks();
        queue::shuffle(&mut tracks, seed);
        self.set_tracks_behind_picks(&tracks);
        self.emit(EventKind::QueueShuffled {});
        Ok(())
    }

    /// Sorts the tracks behind the picks. They begin with those after the current track in that order, and go on with those
    /// before it.
    pub(super) fn sort(&mut self, order: SortOrder) -> Result<(), Rejection> {
        let current = self.current_track_id()?;
        let place = |track| self.room.catalog.sort_place(track, order);
        let current_place = place(current);
        let mut tracks = self.tracks_behind_picks();
        tracks.sort_by_key(|track| {
            let place = place(*track);
            (place < current_place, place)
        });
        self.set_tracks_behind_picks(&tracks);
        self.emit(EventKind::QueueSorted { order });
        Ok(())
    }

    fn tracks_behind_picks(&self) -> Vec<TrackId> {
        let durable = &self.room.durable;
        durable.following().skip(durable.picks.len()).collect()
    }

    /// Replaces the tracks behind the picks by the same tracks in another order.
    fn set_tracks_behind_picks(&mut self, tracks: &[TrackId]) {
        let durable = &mut self.room.durable;
        let first = durable.queue_index + 1 + durable.picks.len();
        let length = durable.queue.len().max(1);
        let queue = Arc::make_mut(&mut durable.queue);
        for (at, track) in (first..).zip(tracks) {
            queue[at % length] = *track;
        }
    }
}
