//! The commands that make another track the current one: `next`, the end of a track, `previous` and `play-now`.

use std::sync::Arc;

use super::super::barrier::BarrierType;
use super::super::command::Rejection;
use super::super::event::{AdvanceReason, EventKind};
use super::super::id::{MemberId, TrackId};
use super::super::queue;
use super::super::rules::PickOrder;
use super::super::segue::{MAX_EARLY_MS, MAX_LATE_MS};
use super::super::transition::Transition;

/// From this long before the end of a track on, a device may report the end, in milliseconds.
const MAX_END_EARLY_MS: f64 = 1_000.0;

impl Transition {
    /// Advances the queue at a device's request.
    pub(super) fn next(&mut self) -> Result<(), Rejection> {
        self.advance(MAX_EARLY_MS, MAX_LATE_MS, AdvanceReason::Next)
    }

    /// Advances the queue because enough listeners want that.
    pub(super) fn skip_by_votes(&mut self) -> Result<(), Rejection> {
        self.advance(MAX_EARLY_MS, MAX_LATE_MS, AdvanceReason::Voted)
    }

    /// Advances the queue because a listener reports that the track `track_id` has ended. The server counts as the cause,
    /// because the device only was the first of all listeners.
    pub(super) fn ended(&mut self, member: MemberId, track_id: TrackId) -> Result<(), Rejection> {
        let is_current = self.current_track_id()? == track_id;
        if !is_current || !self.room.live.listeners.contains(&member) || !self.is_near_end() {
            return Err(Rejection::NotEnded);
        }
        self.by = None;
        self.advance(f64::INFINITY, MAX_LATE_MS, AdvanceReason::Ended)
    }

    /// Whether the current track is at most [`MAX_END_EARLY_MS`] before its end. A track of unknown length may end at any time.
    fn is_near_end(&self) -> bool {
        let duration_sec = self.room.current_duration_sec();
        let duration_sec = duration_sec.filter(|sec| sec.is_finite());
        let position_sec = self.room.position_sec(self.context.now_ms);
        duration_sec.is_none_or(|sec| position_sec >= sec - MAX_END_EARLY_MS / 1e3)
            // The promised start stays if the catalog states a longer length only after it.
            || self.promised_start_ms(MAX_END_EARLY_MS, f64::INFINITY).is_some()
    }

    /// Advances the queue at the end of a track when no device has reported the end. Keeps the start that the segue promised (see
    /// [`Segue`](super::super::Segue)) however late this command is applied, for example after a failed write, because
    /// devices have already started the track.
    pub(super) fn end_of_track(&mut self) -> Result<(), Rejection> {
        self.advance(MAX_EARLY_MS, f64::INFINITY, AdvanceReason::Ended)
    }

    /// Makes next-up the current track. If the segue promised a start at most `max_early_ms` from now, or at most `max_late_ms`
    /// ago, playback begins at the promised time.
    fn advance(
        &mut self,
        max_early_ms: f64,
        max_late_ms: f64,
        reason: AdvanceReason,
    ) -> Result<(), Rejection> {
        self.current_track_id()?;
        let promised_start_ms = self.promised_start_ms(max_early_ms, max_late_ms);
        let durable = &mut self.room.durable;
        durable.queue_index = queue::advance(durable.queue.len(), durable.queue_index);
        let track_id = self.current_track_id()?;
        self.take_current_from_picks(track_id);
        self.start_current(track_id, reason, promised_start_ms);
        Ok(())
    }

    /// Makes a track the current one, as if it had been next-up before `next`.
    pub(super) fn play_now(
        &mut self,
        member: MemberId,
        track_id: TrackId,
    ) -> Result<(), Rejection> {
        self.expect_known_track(track_id)?;
        let current = self.current_track_id()?;
        if track_id == current {
            return self.seek(0.0);
        }
        let promised_start_ms = self
            .promised_start_ms(MAX_EARLY_MS, MAX_LATE_MS)
            .filter(|_| self.room.next_up_id() == Some(track_id));
        self.move_in_ring(&[track_id], current);
        let durable = &mut self.room.durable;
        durable.queue_index = queue::advance(durable.queue.len(), durable.queue_index);
        let pick = durable.take_pick(track_id);
        durable.picked_by = pick.map_or(Some(member), |pick| pick.by);
        if durable.rules.order != PickOrder::First {
            // The promise for a pick that stayed first because of it has ended.
            self.sort_picks_behind(None);
        }
        self.start_current(track_id, AdvanceReason::PlayNow, promised_start_ms);
        Ok(())
    }

    /// Makes the track before the current one the current one, and the current one the first pick.
    pub(super) fn previous(&mut self) -> Result<(), Rejection> {
        let current = self.current_track_id()?;
        let durable = &mut self.room.durable;
        let length = durable.queue.len();
        if length == 1 {
            return self.seek(0.0);
        }
        durable.queue_index = (durable.queue_index + length - 1) % length;
        let picked_by = durable.picked_by.take();
        let track_id = self.current_track_id()?;
        // All other tracks may be picks.
        self.room.durable.take_pick(track_id);
        // Its turn is one of a new pick, never lower than all that wait: else a late-comer would begin before those that wait.
        self.append_picks(picked_by, &[current]);
        self.make_first_pick(current);
        self.start_current(track_id, AdvanceReason::Previous, None);
        Ok(())
    }

    /// Removes the new current track from the picks, if it is one, and records who picked it.
    pub(super) fn take_current_from_picks(&mut self, track_id: TrackId) {
        let pick = self.room.durable.take_pick(track_id);
        self.room.durable.picked_by = pick.and_then(|pick| pick.by);
    }

    /// Emits the event of a new current track, and opens its barrier. If the start was promised for `promised_start_ms`, playback
    /// begins then, and does not wait for any device.
    fn start_current(
        &mut self,
        track_id: TrackId,
        reason: AdvanceReason,
        promised_start_ms: Option<f64>,
    ) {
        Arc::make_mut(&mut self.room.live.decoded_lengths).forget_shortening();
        self.stop_at(0.0);
        self.room.durable.skip_votes = Arc::default();
        self.emit(EventKind::QueueAdvanced { track_id, reason });
        self.open_barrier_with_playback_start(BarrierType::Track, promised_start_ms);
        if promised_start_ms.is_some() {
            // The devices that received the promise have already started. Release the barrier without the other devices,
            // each of which starts once it has the track.
            self.start_without_unready(promised_start_ms);
        }
    }
}
