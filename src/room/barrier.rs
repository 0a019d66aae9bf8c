//! Barriers: playback waits until every member is ready for the current track.
//!
//! A member is ready if it holds the current track or cannot play it. A barrier is released as soon as every member is
//! ready. No member is added after the barrier has opened. A departure, a stall or `start-now` removes members, so devices
//! that fail cannot keep a barrier open. While no device listens, only `start-now` releases a barrier; without that
//! command, the barrier stays open until a listener arrives.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::command::Rejection;
use super::event::{EventKind, ShrinkReason};
use super::id::{MemberId, TrackId};
use super::state::Mode;
use super::transition::Transition;

/// What starts when a barrier is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BarrierType {
    /// A track, from its beginning.
    Track,
    /// The current track, from the anchor position.
    Resume,
}

/// The wait until every member is ready for the current track.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Barrier {
    /// What starts when the barrier is released.
    #[serde(rename = "type")]
    pub kind: BarrierType,
    /// The track for which the members must be ready: always the current track.
    pub track_id: TrackId,
    /// The listeners at the time when the barrier opened, without the members removed since then.
    pub members: BTreeSet<MemberId>,
    /// The members that hold the whole track or cannot play it.
    pub ready: BTreeSet<MemberId>,
}

impl Barrier {
    /// Whether the barrier waits for `member`.
    pub fn waits_for(&self, member: MemberId) -> bool {
        self.members.contains(&member) && !self.ready.contains(&member)
    }
}

impl Transition {
    /// Opens a barrier for the current track; all listeners become its members. If all members are ready already, releases
    /// the barrier.
    pub(super) fn open_barrier(&mut self, kind: BarrierType) {
        self.open_barrier_with_playback_start(kind, None);
    }

    /// Opens a barrier for the current track. If all members are ready already, releases the barrier: playback then starts
    /// at `start_ms` (milliseconds of the server's clock) or, with `None`, after the start lead
    /// ([`ApplyContext::lead_ms`](super::ApplyContext::lead_ms)).
    pub(super) fn open_barrier_with_playback_start(
        &mut self,
        kind: BarrierType,
        start_ms: Option<f64>,
    ) {
        let Some(track_id) = self.room.current_track_id() else {
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
        self.room.private.barrier_opened_event_count = self.room.durable.event_count;
        self.release_if_complete(start_ms);
    }

    /// Marks `member` as ready at the open barrier, if the barrier is for `track_id` and waits for `member`, and `member`
    /// is ready for that track.
    pub(super) fn mark_ready(&mut self, member: MemberId, track_id: TrackId) {
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

    /// Removes `member` from the open barrier, which releases the barrier if all remaining members are ready.
    pub(super) fn shrink_barrier(&mut self, member: MemberId, reason: ShrinkReason) {
        if self.remove_member(member, reason) {
            self.release_if_complete(None);
        }
    }

    /// Removes a member that made no progress for too long, if the barrier still waits for this member.
    pub(super) fn drop_stalled(&mut self, member: MemberId) {
        let barrier = self.room.durable.barrier.as_ref();
        if barrier.is_some_and(|barrier| barrier.waits_for(member)) {
            self.shrink_barrier(member, ShrinkReason::Stalled);
        }
    }

    /// Releases the open barrier without the members that are not ready: the command `start-now`.
    pub(super) fn start_now(&mut self) -> Result<(), Rejection> {
        if self.room.durable.barrier.is_none() {
            return Err(Rejection::NoBarrier);
        }
        self.start_without_unready(None);
        Ok(())
    }

    /// Releases the open barrier, if any, without the members that are not ready. Playback starts at `start_ms` or,
    /// with `None`, after the start lead.
    pub(super) fn start_without_unready(&mut self, start_ms: Option<f64>) {
        let Some(barrier) = &self.room.durable.barrier else {
            return;
        };
        let unready: Vec<_> = barrier
            .members
            .difference(&barrier.ready)
            .copied()
            .collect();
        for member in unready {
            self.remove_member(member, ShrinkReason::Skipped);
        }
        self.release(start_ms);
    }

    /// Removes `member` from the open barrier without releasing the barrier. Returns whether the barrier contained
    /// `member`.
    fn remove_member(&mut self, member: MemberId, reason: ShrinkReason) -> bool {
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

    /// Releases the open barrier if all members are ready and at least one device listens.
    pub(super) fn release_if_complete(&mut self, start_ms: Option<f64>) {
        let barrier = self.room.durable.barrier.as_ref();
        let is_complete = barrier.is_some_and(|barrier| barrier.ready == barrier.members);
        if is_complete && !self.room.live.listeners.is_empty() {
            self.release(start_ms);
        }
    }

    fn release(&mut self, start_ms: Option<f64>) {
        let Some(barrier) = self.room.durable.barrier.take() else {
            return;
        };
        self.room.durable.play_state.mode = Mode::Playing;
        // Without listeners, playback is parked: the position stays at the anchor until a listener arrives.
        self.room.live.anchor_at_ms = (!self.room.live.listeners.is_empty())
            .then(|| start_ms.unwrap_or(self.context.start_at_ms()));
        self.emit(EventKind::BarrierRelease {
            track_id: barrier.track_id,
            anchor_position_sec: self.room.durable.play_state.anchor_position_sec,
            anchor_at_ms: self.published_anchor_at_ms(),
        });
    }
}
