//! Votes: for a DJ, for skipping the current track, and for picks. A vote stands until it is changed. The votes are counted only
//! when one is cast, so that no listener decides by leaving.

use std::sync::Arc;

use super::super::command::Rejection;
use super::super::event::{DjReason, EventKind, Vote};
use super::super::id::{MemberId, TrackId};
use super::super::rules::{Permitted, PickOrder};
use super::super::transition::Transition;

/// Compensates rounding: 3 of 10 are a share of 0.3.
const SHARE_TOLERANCE: f64 = 1e-9;

impl Transition {
    /// Records whom a device wants as DJ. With enough votes, that device becomes DJ, or the DJ is removed.
    pub(super) fn vote_dj(
        &mut self,
        member: MemberId,
        member_id: Option<MemberId>,
    ) -> Result<(), Rejection> {
        if let Some(candidate) = member_id {
            self.expect_known_member(candidate)?;
        }
        let votes = &mut self.room.durable.dj_votes;
        if votes.get(&member) == Some(&member_id) {
            return Ok(());
        }
        Arc::make_mut(votes).insert(member, member_id);
        self.emit(EventKind::VoteCast(Vote::Dj { member_id }));
        let durable = &self.room.durable;
        let votes = durable.dj_votes.iter();
        let voters = votes.filter(|(_, wanted)| **wanted == member_id);
        if durable.dj == member_id
            || !self.are_enough(voters.map(|(voter, _)| voter), durable.rules.dj_share)
        {
            return Ok(());
        }
        match member_id {
            Some(elected) if self.is_cooling_down(elected) => {}
            Some(_) => self.set_dj(member_id, DjReason::Elected),
            None => self.remove_dj(),
        }
        Ok(())
    }

    /// Records whether a device wants to skip the current track. With enough votes, the queue advances.
    pub(super) fn vote_skip(
        &mut self,
        member: MemberId,
        track_id: TrackId,
        up: bool,
    ) -> Result<(), Rejection> {
        self.expect_known_track(track_id)?;
        if self.current_track_id()? != track_id {
            return Err(Rejection::NoSuchVote);
        }
        if self.room.durable.skip_votes.contains(&member) == up {
            return Ok(());
        }
        let votes = Arc::make_mut(&mut self.room.durable.skip_votes);
        match up {
            true => votes.insert(member),
            false => votes.remove(&member),
        };
        let event_count = self.room.durable.event_count;
        self.emit(EventKind::VoteCast(Vote::Skip { track_id, up }));
        let durable = &self.room.durable;
        let rules = &durable.rules;
        let can_skip = up && rules.control != Permitted::Everyone && rules.skip_share > 0.0;
        if can_skip && self.are_enough(durable.skip_votes.iter(), rules.skip_share) {
            let segue = self.room.live.segue.as_mut();
            if let Some(segue) = segue.filter(|segue| segue.event_count == event_count) {
                // The event of the vote does not end the promise: devices may have started the next track already.
                segue.event_count = self.room.durable.event_count;
            }
            self.skip_by_votes()?;
        }
        Ok(())
    }

    /// Records whether a device wants a pick.
    pub(super) fn vote_pick(
        &mut self,
        member: MemberId,
        track_id: TrackId,
        up: bool,
    ) -> Result<(), Rejection> {
        self.expect_known_track(track_id)?;
        let durable = &mut self.room.durable;
        let at = durable
            .pick_position(track_id)
            .ok_or(Rejection::NoSuchVote)?;
        if durable.picks[at].votes.contains(&member) == up {
            return Ok(());
        }
        let votes = &mut Arc::make_mut(&mut durable.picks)[at].votes;
        match up {
            true => votes.push(member),
            false => votes.retain(|voter| *voter != member),
        }
        if durable.rules.order == PickOrder::Votes {
            self.sort_picks();
        }
        self.emit(EventKind::VoteCast(Vote::Pick { track_id, up }));
        Ok(())
    }

    /// Whether the listeners among `voters` are at least `share` of the listeners.
    fn are_enough<'a>(&self, voters: impl Iterator<Item = &'a MemberId>, share: f64) -> bool {
        let listeners = &self.room.live.listeners;
        let count = voters.filter(|voter| listeners.contains(voter)).count();
        count > 0 && count as f64 + SHARE_TOLERANCE >= share * listeners.len() as f64
    }
}
