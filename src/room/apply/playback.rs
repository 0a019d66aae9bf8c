//! Play, pause and seek.

use super::super::barrier::BarrierType;
use super::super::command::Rejection;
use super::super::event::EventKind;
use super::super::state::Mode;
use super::super::transition::Transition;

impl Transition {
    /// Plays the current track from `position_sec`, once all listeners are ready.
    pub(super) fn play(&mut self, position_sec: f64) -> Result<(), Rejection> {
        self.current_track_id()?;
        self.stop_at(position_sec);
        self.open_barrier(BarrierType::Resume);
        Ok(())
    }

    /// Pauses at `position_sec`, and drops the open barrier.
    pub(super) fn pause(&mut self, position_sec: f64) -> Result<(), Rejection> {
        self.current_track_id()?;
        self.stop_at(position_sec);
        let anchor_position_sec = self.room.durable.play_state.anchor_position_sec;
        self.emit(EventKind::PlaybackPaused {
            anchor_position_sec,
        });
        Ok(())
    }

    /// Moves the anchor to `position_sec`. If playback is running, it continues from the new position after the start lead.
    pub(super) fn seek(&mut self, position_sec: f64) -> Result<(), Rejection> {
        self.current_track_id()?;
        let anchor_position_sec = self.room.clamp_position(position_sec);
        self.room.durable.play_state.anchor_position_sec = anchor_position_sec;
        self.room.live.position_unknown_until_ms = None;
        if self.room.live.anchor_at_ms.is_some() {
            self.room.live.anchor_at_ms = Some(self.context.start_at_ms());
        }
        let anchor_at_ms = self.published_anchor_at_ms();
        self.emit(EventKind::PlaybackSeeked {
            anchor_position_sec,
            anchor_at_ms,
        });
        Ok(())
    }

    /// Stops playback at `position_sec` and drops the open barrier. Emits no event: the caller emits the event that states
    /// the reason.
    pub(in crate::room) fn stop_at(&mut self, position_sec: f64) {
        self.room.durable.play_state.mode = Mode::Paused;
        self.room.durable.play_state.anchor_position_sec = self.room.clamp_position(position_sec);
        self.room.durable.barrier = None;
        self.room.live.anchor_at_ms = None;
        self.room.live.position_unknown_until_ms = None;
    }
}
