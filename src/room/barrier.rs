//! Who is waited for, who is ready, and when the wait ends.
//!
//! A barrier ends by itself as soon as every member is ready. Its members only ever shrink, and
//! whoever leaves, vanishes, stalls or is skipped is a member no more: so it ends, whatever phones do.
//! Only with nobody listening at all does it stay open, for the first who comes.

use super::apply::Turn;
use super::command::Rejection;
use super::event::{EventKind, Shrink};
use super::id::{MemberId, TrackId};
use super::state::{Barrier, BarrierType, Mode};

impl Turn {
    /// Opens a barrier before the current track for everybody who listens now.
    pub(super) fn open_barrier(&mut self, kind: BarrierType) {
        self.open_barrier_for(kind, None);
    }

    /// The same; if nobody is waited for, the start is at `start_ms` instead of a lead from now.
    pub(super) fn open_barrier_for(&mut self, kind: BarrierType, start_ms: Option<f64>) {
        let Some(track_id) = self.room.current() else {
            return;
        };
        let members = self.room.live.listeners.as_ref().clone();
        let ready = members
            .iter()
            .copied()
            .filter(|member| self.room.is_ready(*member, track_id));
        let barrier = Barrier {
            kind,
            track_id,
            ready: ready.collect(),
            members,
        };
        let opened = EventKind::BarrierOpened {
            kind,
            track_id,
            members: barrier.members.iter().copied().collect(),
            ready: barrier.ready.iter().copied().collect(),
        };
        self.room.durable.barrier = Some(barrier);
        self.emit(opened);
        self.room.private.barrier_opened_at = self.room.durable.event_count;
        self.release_if_complete(start_ms);
    }

    /// Notes that nobody need wait for `member` before `track_id` any more.
    pub(super) fn member_is_ready(&mut self, member: MemberId, track_id: TrackId) {
        if !self.room.is_ready(member, track_id) {
            return;
        }
        let Some(barrier) = &mut self.room.durable.barrier else {
            return;
        };
        if barrier.track_id == track_id
            && barrier.members.contains(&member)
            && barrier.ready.insert(member)
        {
            self.emit(EventKind::BarrierReady { member_id: member });
            self.release_if_complete(None);
        }
    }

    /// Takes `member` out of the open barrier, if it is in there.
    pub(super) fn shrink_barrier(&mut self, member: MemberId, reason: Shrink) {
        if self.drop_member(member, reason) {
            self.release_if_complete(None);
        }
    }

    /// Releases the open barrier without those still missing, by somebody's wish.
    pub(super) fn start_now(&mut self) -> Result<(), Rejection> {
        if self.room.durable.barrier.is_none() {
            return Err(Rejection::NoBarrier);
        }
        self.go_without_missing(None);
        Ok(())
    }

    /// The same, at `start_ms` or a lead from now; nothing if no barrier is open.
    pub(super) fn go_without_missing(&mut self, start_ms: Option<f64>) {
        let Some(barrier) = &self.room.durable.barrier else {
            return;
        };
        let missing: Vec<_> = barrier
            .members
            .difference(&barrier.ready)
            .copied()
            .collect();
        for member in missing {
            self.drop_member(member, Shrink::Skipped);
        }
        self.release(start_ms);
    }

    /// Whether `member` was in there.
    fn drop_member(&mut self, member: MemberId, reason: Shrink) -> bool {
        let Some(barrier) = &mut self.room.durable.barrier else {
            return false;
        };
        if !barrier.members.remove(&member) {
            return false;
        }
        barrier.ready.remove(&member);
        self.emit(EventKind::BarrierShrunk {
            member_id: member,
            reason,
        });
        true
    }

    pub(super) fn release_if_complete(&mut self, start_ms: Option<f64>) {
        let complete = self
            .room
            .durable
            .barrier
            .as_ref()
            .is_some_and(|b| b.ready == b.members);
        if complete && !self.room.live.listeners.is_empty() {
            self.release(start_ms);
        }
    }

    fn release(&mut self, start_ms: Option<f64>) {
        let Some(barrier) = self.room.durable.barrier.take() else {
            return;
        };
        self.room.durable.play_state.mode = Mode::Playing;
        // With nobody there to hear it, the music stays where it is.
        self.room.live.needle_ms = (!self.room.live.listeners.is_empty())
            .then(|| start_ms.unwrap_or(self.at.now_ms + self.at.lead_ms));
        self.emit(EventKind::BarrierRelease {
            track_id: barrier.track_id,
            anchor_position_sec: self.room.durable.play_state.anchor_position_sec,
            anchor_at_ms: self.told_needle(),
        });
    }
}
