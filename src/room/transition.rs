//! The room while a command changes it. Collects the events of the command, each with its event count and its JSON Patch.

use std::collections::HashSet;
use std::sync::Arc;

use super::command::{ApplyContext, Rejection};
use super::event::{Event, EventKind};
use super::id::{MemberId, TrackId};
use super::patch;
use super::pick_order::PickPlaces;
use super::state::{DurableState, Room};

/// The room during one command. The functions in `apply/`, `barrier.rs` and `segue.rs` change `room`, and call
/// [`Transition::emit`] after each change of the durable state.
pub(super) struct Transition {
    pub(super) room: Room,
    pub(super) context: ApplyContext,
    /// The device that sent the command; `None` if the server itself did.
    pub(super) by: Option<MemberId>,
    /// The playback position before the command, in seconds.
    pub(super) start_position_sec: f64,
    /// The durable state after the last emitted event.
    emitted: DurableState,
    /// [`PrivateState::pick_places`](super::PrivateState::pick_places) at the last emitted event.
    emitted_pick_places: Arc<PickPlaces>,
    events: Vec<Event>,
}

impl Transition {
    pub(super) fn new(room: Room, by: Option<MemberId>, context: ApplyContext) -> Self {
        Transition {
            by,
            start_position_sec: room.position_sec(context.now_ms),
            emitted: room.durable.clone(),
            emitted_pick_places: room.private.pick_places.clone(),
            room,
            context,
            events: Vec::new(),
        }
    }

    /// Records all changes of the durable state since the last event as one event.
    pub(super) fn emit(&mut self, kind: EventKind) {
        let before = self.emitted.clone();
        self.level_new_track(&before, &kind);
        let pick_places = self.emitted_pick_places.clone();
        self.record_undo(&before, &pick_places, &kind);
        self.forget_places_of_former_picks();
        self.room.durable.event_count += 1;
        self.events.push(Event {
            event_count: self.room.durable.event_count,
            by: self.by,
            kind,
            patch: patch::between(&self.emitted, &self.room.durable),
        });
        self.emitted = self.room.durable.clone();
        self.emitted_pick_places = self.room.private.pick_places.clone();
    }

    fn forget_places_of_former_picks(&mut self) {
        let picks = &self.room.durable.picks;
        if picks.len() != self.room.private.pick_places.len() {
            let tracks: HashSet<_> = picks.iter().map(|pick| pick.track_id).collect();
            let places = Arc::make_mut(&mut self.room.private.pick_places);
            places.retain(|track, _| tracks.contains(track));
        }
    }

    /// Keeps, replaces or withdraws the segue (see [`Segue`](super::Segue)), and returns the changed room and its events.
    pub(super) fn finish(mut self) -> (Room, Vec<Event>) {
        debug_assert!(
            patch::between(&self.emitted, &self.room.durable).is_empty(),
            "the durable state changed without an event"
        );
        self.update_segue();
        (self.room, self.events)
    }

    /// Rejects a command that was meant for another event count.
    pub(super) fn expect_event_count(&self, if_match: u64) -> Result<(), Rejection> {
        let expected = self.room.durable.event_count;
        if if_match == expected {
            Ok(())
        } else {
            Err(Rejection::Stale { expected })
        }
    }

    /// Rejects a command of a device that is not paired.
    pub(super) fn expect_paired(&self, member: MemberId) -> Result<(), Rejection> {
        if self.room.durable.clients.contains_key(&member) {
            Ok(())
        } else {
            Err(Rejection::NotPaired)
        }
    }

    /// The current track, or a rejection if the queue is empty.
    pub(super) fn current_track_id(&self) -> Result<TrackId, Rejection> {
        self.room.current_track_id().ok_or(Rejection::EmptyLibrary)
    }

    /// `anchor_at_ms` as events contain it: `None` with `--alignment event`, because events then contain no start time.
    pub(super) fn published_anchor_at_ms(&self) -> Option<f64> {
        self.room
            .live
            .anchor_at_ms
            .filter(|_| self.context.has_timed_starts)
    }
}
