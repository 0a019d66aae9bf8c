//! Undoing the last change of the queue. Kept in memory only: after a restart, nothing can be undone.

use std::mem;
use std::sync::Arc;

use super::barrier::BarrierType;
use super::command::Rejection;
use super::event::{AdvanceReason, EventKind};
use super::id::{MemberId, TrackId};
use super::pick_order::PickPlaces;
use super::picks::{self, Pick};
use super::state::DurableState;
use super::transition::Transition;

/// How long a change can be undone, in milliseconds.
pub(super) const UNDO_PERIOD_MS: f64 = 10_000.0;

/// A device's change of the queue, with the state before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Undo {
    /// The device that made the change.
    pub by: MemberId,
    /// When, in milliseconds of the server's clock.
    pub at_ms: f64,
    /// See [`DurableState`].
    pub queue: Arc<Vec<TrackId>>,
    /// See [`DurableState`].
    pub queue_index: usize,
    /// See [`DurableState`].
    pub picks: Arc<Vec<Pick>>,
    /// See [`DurableState`].
    pub picked_by: Option<MemberId>,
    /// See [`PrivateState`](super::PrivateState).
    pub pick_places: Arc<PickPlaces>,
    /// The event of the change.
    pub event: EventKind,
    /// `None` if the change did not concern playback.
    pub playback: Option<UndoPlayback>,
}

/// Playback before a change that started another track.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UndoPlayback {
    /// The position in the track, in seconds.
    pub position_sec: f64,
    /// See [`DurableState`].
    pub gain_db: Option<f64>,
}

impl Transition {
    /// Records the change of an event that a device can undo. `before` is the durable state before the event. After another
    /// change of the queue, and after a change of the library, nothing can be undone.
    pub(super) fn record_undo(
        &mut self,
        before: &DurableState,
        pick_places: &Arc<PickPlaces>,
        kind: &EventKind,
    ) {
        let is_undoable = match kind {
            EventKind::QueueUndone {} | EventKind::LibraryChanged { .. } => false,
            // No single device has made this change.
            EventKind::QueueAdvanced {
                reason: AdvanceReason::Voted,
                ..
            } => false,
            _ if kind.name().starts_with("queue.") => true,
            _ => return,
        };
        let changes_track = matches!(kind, EventKind::QueueAdvanced { .. });
        let undo = self.by.filter(|_| is_undoable).map(|by| Undo {
            by,
            at_ms: self.context.now_ms,
            queue: before.queue.clone(),
            queue_index: before.queue_index,
            picks: before.picks.clone(),
            picked_by: before.picked_by,
            pick_places: pick_places.clone(),
            event: kind.clone(),
            playback: changes_track.then_some(UndoPlayback {
                position_sec: self.start_position_sec,
                gain_db: before.gain_db,
            }),
        });
        self.room.live.undo = undo.map(Arc::new);
    }

    /// Undoes the last change of the queue, if `member` made it at most [`UNDO_PERIOD_MS`] ago. If that change started another
    /// track, a barrier opens for the track before, at the position before.
    pub(super) fn undo(&mut self, member: MemberId) -> Result<(), Rejection> {
        let now_ms = self.context.now_ms;
        let undo = self.room.live.undo.take();
        let undo = undo
            .filter(|undo| undo.by == member && now_ms - undo.at_ms <= UNDO_PERIOD_MS)
            .ok_or(Rejection::NothingToUndo)?;
        let before = DurableState {
            picks: undo.picks.clone(),
            ..self.room.durable.clone()
        };
        let permission = before.check_permission(member, undo.event.action());
        self.room
            .permit_overseer(member, permission)
            .map_err(Rejection::Forbidden)?;
        let durable = &mut self.room.durable;
        let voted = mem::replace(&mut durable.picks, undo.picks.clone());
        durable.queue = undo.queue.clone();
        durable.queue_index = undo.queue_index;
        durable.picked_by = undo.picked_by;
        self.room.private.pick_places = undo.pick_places.clone();
        self.keep_votes(&voted);
        // Since the change, the rule for the order, the votes or the promised start may have changed.
        self.sort_picks();
        if let Some(playback) = undo.playback {
            Arc::make_mut(&mut self.room.live.decoded_lengths).forget_shortening();
            self.stop_at(playback.position_sec);
            self.room.durable.skip_votes = Arc::default();
            self.room.durable.gain_db = playback.gain_db;
        }
        self.emit(EventKind::QueueUndone {});
        if undo.playback.is_some() {
            self.open_barrier(BarrierType::Track);
        }
        Ok(())
    }

    /// Gives the picks the votes of `voted`, the picks before the undo, because votes are not undone.
    fn keep_votes(&mut self, voted: &[Pick]) {
        let durable = &mut self.room.durable;
        for pick in voted {
            if let Some(at) = durable.pick_position(pick.track_id) {
                if durable.picks[at].votes != pick.votes {
                    Arc::make_mut(&mut durable.picks)[at].votes = pick.votes.clone();
                }
            }
        }
    }

    /// Removes an unpaired device from the state that an undo would restore.
    pub(super) fn forget_device_in_undo(&mut self, member: MemberId) {
        if let Some(undo) = &mut self.room.live.undo {
            let undo = Arc::make_mut(undo);
            picks::forget_device(member, &mut undo.picks, &mut undo.picked_by);
        }
    }
}
