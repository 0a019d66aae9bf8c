//! Checks for contradictions in a state that was read from the state file, which a user may have edited or a disk damaged.

use std::collections::BTreeSet;

use super::barrier::Barrier;
use super::id::MemberId;
use super::levelling::MAX_LEVEL_GAIN_DB;
use super::pick_order::PickPlace;
use super::picks::Pick;
use super::rules::PickOrder;
use super::state::{Client, MAX_SPEAKER_DELAY_MS, MIN_TRIM_DB, Mode, Room};

/// The largest valid event count. The page reads the count as a JavaScript number, which is exact up to this value.
const MAX_EVENT_COUNT: u64 = (1 << 53) - 1;
/// The largest valid number of a member id. Far below `u32::MAX`, so that assigning further numbers cannot overflow.
const MAX_MEMBER_NUMBER: u32 = 1 << 31;

/// The limit of the numbers of a pick's place. Far below that of their type, so that counting on cannot overflow.
const MAX_PLACE: u64 = 1 << 53;

/// The largest plausible attenuation in dB: of a track with the largest plausible peak.
const MAX_GAIN_REDUCTION_DB: f64 = 60.0;

impl Room {
    /// Checks the durable and the private state for contradictions.
    ///
    /// # Errors
    /// One sentence that names the first contradiction.
    pub fn check(&self) -> Result<(), String> {
        let durable = &self.durable;
        if durable.event_count > MAX_EVENT_COUNT {
            return Err("eventCount is too large".into());
        }
        if self.private.last_member > MAX_MEMBER_NUMBER {
            return Err("the number of a member id is too large".into());
        }
        let tracks: BTreeSet<_> = durable.queue.iter().collect();
        if tracks.len() != durable.queue.len() {
            return Err("a track is in the queue twice".into());
        }
        if durable.queue_index >= durable.queue.len().max(1) {
            return Err("queueIndex points outside the queue".into());
        }
        self.check_picks()?;
        self.check_roles()?;
        let anchor = durable.play_state.anchor_position_sec;
        if !anchor.is_finite() || anchor < 0.0 {
            return Err("anchorPositionSec is not a position".into());
        }
        let gain_range = -MAX_GAIN_REDUCTION_DB..=MAX_LEVEL_GAIN_DB;
        if !durable.gain_db.is_none_or(|db| gain_range.contains(&db)) {
            return Err("gainDb is out of range".into());
        }
        if let Some(barrier) = &durable.barrier {
            self.check_barrier(barrier)?;
        } else if durable.play_state.mode == Mode::Playing && durable.queue.is_empty() {
            return Err("the mode is playing, but the queue is empty".into());
        }
        self.check_clients()
    }

    fn check_picks(&self) -> Result<(), String> {
        let durable = &self.durable;
        if !durable.do_picks_follow_current() {
            return Err("the picks are not the tracks after the current one".into());
        }
        let mut owners = durable.picks.iter().filter_map(|pick| pick.by);
        let is_paired = |member| durable.clients.contains_key(&member);
        if !owners.all(is_paired) || !durable.picked_by.is_none_or(is_paired) {
            return Err("a track was picked by a device that is not paired".into());
        }
        Ok(())
    }

    fn check_roles(&self) -> Result<(), String> {
        let durable = &self.durable;
        if let Err(rule) = durable.rules.check() {
            return Err(format!("the rule {rule} is out of range"));
        }
        let named = durable.hosts.iter().chain(&durable.dj);
        let candidates = durable.dj_votes.values().flatten();
        let mut roles = named.chain(candidates);
        let mut voters = durable.dj_votes.keys().chain(durable.skip_votes.iter());
        let is_paired = |member: &MemberId| durable.clients.contains_key(member);
        if !roles.all(is_paired) {
            return Err("a host, the DJ or a candidate is not paired".into());
        }
        if !voters.all(is_paired) {
            return Err("a device that has voted is not paired".into());
        }
        for pick in durable.picks.iter() {
            let voters: BTreeSet<_> = pick.votes.iter().collect();
            if voters.len() != pick.votes.len() || !pick.votes.iter().all(is_paired) {
                return Err("a pick has a vote twice, or of a device that is not paired".into());
            }
            if pick.pinned && durable.rules.order == PickOrder::First {
                return Err(
                    "a pick is pinned although the picks are in the order they came".into(),
                );
            }
        }
        let places = &self.private.pick_places;
        let has_place = |pick: &Pick| places.contains_key(&pick.track_id);
        let is_valid = |place: &PickPlace| {
            MAX_PLACE > place.arrival.unsigned_abs() && MAX_PLACE > place.turn.unsigned_abs()
        };
        if places.len() != durable.picks.len() || !durable.picks.iter().all(has_place) {
            return Err("pickPlaces does not have the picks".into());
        }
        if !places.values().all(is_valid) {
            return Err("a number of pickPlaces is too large".into());
        }
        Ok(())
    }

    fn check_barrier(&self, barrier: &Barrier) -> Result<(), String> {
        if self.durable.play_state.mode != Mode::Paused {
            return Err("a barrier is open while the mode is playing".into());
        }
        if Some(barrier.track_id) != self.current_track_id() {
            return Err("the barrier's trackId is not the current track".into());
        }
        if !barrier.ready.is_subset(&barrier.members) {
            return Err("the barrier's ready list names a device that is not a member".into());
        }
        let clients = &self.durable.clients;
        if !barrier.members.iter().all(|m| clients.contains_key(m)) {
            return Err("the barrier has a member that is not paired".into());
        }
        if self.private.barrier_opened_event_count > self.durable.event_count {
            return Err("barrierOpenedAt is larger than eventCount".into());
        }
        Ok(())
    }

    fn check_clients(&self) -> Result<(), String> {
        let clients = &self.durable.clients;
        // The range also excludes NaN.
        let is_in_range = |client: &Client| {
            (-MAX_SPEAKER_DELAY_MS..=MAX_SPEAKER_DELAY_MS).contains(&client.delay_ms)
        };
        if !clients.values().all(is_in_range) {
            return Err("the delayMs of a device is out of range".into());
        }
        if !self.private.learned_delays.is_valid() {
            return Err("a learned delay is out of range".into());
        }
        let has_trim = |client: &Client| (MIN_TRIM_DB..=0.0).contains(&client.trim_db);
        if !clients.values().all(has_trim) {
            return Err("the trimDb of a device is out of range".into());
        }
        let mut owners = self.private.token_hashes.values();
        if !owners.all(|member| clients.contains_key(member)) {
            return Err("a token belongs to a device that is not paired".into());
        }
        Ok(())
    }
}
