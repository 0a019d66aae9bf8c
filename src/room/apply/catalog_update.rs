//! Applies the catalog of a new library scan: updates the queue, and discards acknowledgements that no longer hold.

use std::collections::HashSet;
use std::sync::Arc;

use super::super::barrier::BarrierType;
use super::super::catalog::TrackCatalog;
use super::super::event::{AdvanceReason, EventKind};
use super::super::id::TrackId;
use super::super::queue;
use super::super::state::Mode;
use super::super::transition::Transition;

impl Transition {
    /// Replaces the catalog. Tracks that come back to the catalog get their old places in the queue. If the current track
    /// is removed, the next remaining track becomes the current one, before the other tracks are removed; if the room was playing
    /// or waiting at a barrier, a barrier opens for that track.
    pub(super) fn update_catalog(&mut self, catalog: &Arc<TrackCatalog>) {
        self.replace_catalog(catalog);
        self.level_unplayed_track();
    }

    fn replace_catalog(&mut self, catalog: &Arc<TrackCatalog>) {
        let durable = &self.room.durable;
        let absences = &self.room.private.absences;
        let picks: Vec<_> = durable.picks.iter().map(|pick| pick.track_id).collect();
        let update = queue::reconcile(
            &durable.queue,
            durable.queue_index,
            &picks,
            absences,
            catalog,
            &self.room.catalog,
        );
        let changed = catalog.tracks_modified_since(&self.room.catalog);
        // A hash set, because thousands of files may be modified at once and each device may hold thousands of tracks.
        let changed_set: HashSet<_> = changed.iter().copied().collect();
        let playlists_changed = catalog.have_playlists_changed_since(&self.room.catalog);
        let old_track_id = self.room.current_track_id();
        let current = old_track_id.zip(self.room.current_duration_sec());
        self.room.catalog = catalog.clone();
        let lengths = &mut self.room.live.decoded_lengths;
        *lengths = Arc::new(lengths.with_catalog(catalog, &changed_set, current));
        if update.absences != *self.room.private.absences {
            self.room.private.absences = Arc::new(update.absences);
        }
        if update.added.is_empty()
            && update.removed.is_empty()
            && changed.is_empty()
            && !playlists_changed
        {
            return;
        }
        self.discard_stale_acknowledgements(catalog, &changed_set);
        let before = self.room.durable.clone();
        let durable = &self.room.durable;
        let was_playing_or_waiting =
            durable.barrier.is_some() || durable.play_state.mode == Mode::Playing;
        let new_track_id = update.queue.get(update.index).copied();
        let lost_current = old_track_id.is_some() && new_track_id != old_track_id;
        if lost_current {
            self.stop_at(0.0);
            self.advance_over_removed_tracks(new_track_id);
        }
        let durable = &mut self.room.durable;
        durable.queue = Arc::new(update.queue);
        durable.queue_index = update.index;
        if durable
            .picks
            .iter()
            .any(|pick| !catalog.contains(pick.track_id))
        {
            Arc::make_mut(&mut durable.picks).retain(|pick| catalog.contains(pick.track_id));
        }
        if lost_current {
            self.level_track_after(&before);
        } else if old_track_id.is_some_and(|track| changed_set.contains(&track)) {
            self.level_replaced_track();
        }
        self.emit(EventKind::LibraryChanged {
            added: update.added,
            removed: update.removed,
            changed,
            playlists: playlists_changed,
        });
        if lost_current && was_playing_or_waiting && self.room.current_track_id().is_some() {
            self.open_barrier(BarrierType::Track);
        }
    }

    /// Makes `new_track_id`, the track after the removed current one and those removed after it, the current track. Emits no event
    /// if the queue does not have that track yet.
    fn advance_over_removed_tracks(&mut self, new_track_id: Option<TrackId>) {
        let durable = &mut self.room.durable;
        durable.picked_by = None;
        durable.skip_votes = Arc::default();
        let at = |track_id| durable.queue.iter().position(|track| *track == track_id);
        let Some((track_id, index)) = new_track_id.and_then(|id| Some((id, at(id)?))) else {
            return;
        };
        durable.queue_index = index;
        let skipped = durable.pick_position(track_id);
        let picks = Arc::make_mut(&mut durable.picks);
        picks.drain(..skipped.unwrap_or(picks.len()));
        self.take_current_from_picks(track_id);
        let reason = AdvanceReason::Removed;
        self.emit(EventKind::QueueAdvanced { track_id, reason });
    }

    /// Discards the devices' acknowledgements of tracks that were removed or whose files were modified.
    fn discard_stale_acknowledgements(
        &mut self,
        catalog: &TrackCatalog,
        changed: &HashSet<TrackId>,
    ) {
        let is_unchanged = |track: &TrackId| catalog.contains(*track) && !changed.contains(track);
        for tracks in Arc::make_mut(&mut self.room.live.device_tracks).values_mut() {
            let tracks = Arc::make_mut(tracks);
            tracks.downloaded.retain(is_unchanged);
            tracks.unplayable.retain(is_unchanged);
        }
    }
}
