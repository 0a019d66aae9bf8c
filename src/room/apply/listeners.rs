//! Arrivals and departures of listeners. When the last listener departs, playback is *parked*: the mode stays playing, and
//! the position stays at the anchor. Playback resumes when a listener arrives.

use std::sync::Arc;

use super::super::barrier::BarrierType;
use super::super::command::{Rejection, ReportedPlayback};
use super::super::event::{EventKind, ShrinkReason};
use super::super::id::MemberId;
use super::super::state::Mode;
use super::super::transition::Transition;

/// How long after the arrival of the first listener an arriving device may still report the playback position, in
/// milliseconds. After a restart of the server, the devices reconnect one after the other, and the first one may not be
/// playing.
const POSITION_REPORT_WINDOW_MS: f64 = 10_000.0;

impl Transition {
    /// Adds a listener. If playback is parked, resumes playback. If a barrier without members is open, replaces the barrier
    /// by one with this listener as a member. If a barrier with members is open, releases the barrier once all of its
    /// members are ready.
    pub(super) fn arrive(
        &mut self,
        member: MemberId,
        playback: Option<ReportedPlayback>,
    ) -> Result<(), Rejection> {
        self.expect_paired(member)?;
        let playback =
            playback.filter(|report| Some(report.track_id) == self.room.current_track_id());
        Arc::make_mut(&mut self.room.live.listeners).insert(member);
        if let Some(report) = playback {
            self.tracks_of(member).downloaded.insert(report.track_id);
        }
        let durable = &self.room.durable;
        let is_parked =
            durable.play_state.mode == Mode::Playing && self.room.live.anchor_at_ms.is_none();
        let unknown_until_ms = self.room.live.position_unknown_until_ms;
        let accepts_report = unknown_until_ms.is_some_and(|until| self.context.now_ms <= until);
        match (&durable.barrier, playback) {
            (_, Some(report)) if accepts_report => self.resume_at_report(report),
            (Some(barrier), _) if barrier.members.is_empty() => self.open_barrier(barrier.kind),
            (Some(barrier), _) => {
                let track_id = barrier.track_id;
                self.mark_ready(member, track_id);
                // A barrier whose members are all ready is still open if no device was listening.
                self.release_if_complete(None);
            }
            (None, _) if is_parked => self.resume_at_anchor(),
            (None, _) => {}
        }
        Ok(())
    }

    /// Resumes playback at the position that a device plays now, without a start lead. Listeners that are not ready start
    /// once they have the track.
    fn resume_at_report(&mut self, report: ReportedPlayback) {
        let now_ms = Some(self.context.now_ms);
        self.stop_at(report.position_sec);
        self.open_barrier_with_playback_start(BarrierType::Resume, now_ms);
        self.start_without_unready(now_ms);
    }

    /// Resumes playback at the anchor, after playback was parked or the server restarted. Within
    /// [`POSITION_REPORT_WINDOW_MS`], a report of the position replaces the anchor, unless a seek sets the anchor before
    /// the report.
    fn resume_at_anchor(&mut self) {
        let until_ms = self.context.now_ms + POSITION_REPORT_WINDOW_MS;
        let was_unknown = self.room.live.position_unknown_until_ms.is_some();
        self.stop_at(self.room.durable.play_state.anchor_position_sec);
        self.open_barrier(BarrierType::Resume);
        self.room.live.position_unknown_until_ms = was_unknown.then_some(until_ms);
    }

    /// Removes a listener. If no listener is left, parks playback at its current position.
    pub(super) fn depart(&mut self, member: MemberId, reason: ShrinkReason) {
        let position_sec = self.room.position_sec(self.context.now_ms);
        let was_listening = Arc::make_mut(&mut self.room.live.listeners).remove(&member);
        Arc::make_mut(&mut self.room.live.device_tracks).remove(&member);
        self.shrink_barrier(member, reason);
        let is_last = was_listening && self.room.live.listeners.is_empty();
        if is_last && self.room.live.anchor_at_ms.is_some() {
            self.room.live.anchor_at_ms = None;
            self.room.live.position_unknown_until_ms = Some(f64::INFINITY);
            self.room.durable.play_state.anchor_position_sec = position_sec;
            self.emit(EventKind::PlaybackParked {
                anchor_position_sec: position_sec,
            });
        }
    }
}
