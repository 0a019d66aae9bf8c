//! The state that no event describes: the live and the private state after a command.

use std::collections::BTreeMap;
use std::sync::Arc;

use lockstep::room::{
    Command, Control, DeviceTracks, Event, EventKind, MemberId, Room, Segue, TokenHash, Undo,
    UndoPlayback,
};

use super::event_effects::EventReplay;
use super::expected_events::{Expectation, MIN_CONTRADICTION_SEC, same_time};

/// From this long before the promised start on, the promised gain stays as it is, in milliseconds.
const GAIN_FREEZE_MS: f64 = 1_000.0;

impl Expectation<'_> {
    /// Checks the live state and the catalog after the command.
    pub(super) fn check_live(&self, replay: &EventReplay, after: &Room) {
        let live = &after.live;
        assert_eq!(*live.listeners, self.listeners, "listeners");
        assert_eq!(
            non_empty(&live.device_tracks),
            non_empty(&self.device_tracks),
            "device_tracks"
        );
        assert_eq!(live.anchor_at_ms, replay.anchor_at_ms, "anchor_at_ms");
        assert_eq!(
            live.position_unknown_until_ms, replay.position_unknown_until_ms,
            "position_unknown_until_ms"
        );
        assert_eq!(*after.catalog, *self.catalog, "catalog");
        assert_eq!(
            live.undo.as_deref(),
            self.expected_undo(after).as_ref(),
            "undo"
        );
        self.check_lengths(after);
        self.check_cooldowns(after);
        let pairs = matches!(
            self.command,
            Command::Pair { .. } | Command::PairAgain { .. }
        );
        assert_eq!(
            live.any_paired_since_start,
            self.room.live.any_paired_since_start || pairs
        );
        match (live.segue, self.expected_segue(replay, after)) {
            (Some(actual), Some(expected)) => assert!(
                actual.track_id == expected.track_id
                    && actual.event_count == expected.event_count
                    && actual.gain_db == expected.gain_db
                    && same_time(actual.anchor_at_ms, expected.anchor_at_ms),
                "the segue is {actual:?} instead of {expected:?}"
            ),
            (actual, expected) => assert_eq!(actual, expected, "the segue"),
        }
    }

    /// The change that can be undone after the command: the one of the command, or else the one before it.
    fn expected_undo(&self, after: &Room) -> Option<Undo> {
        let actual = after.live.undo.as_deref();
        let names_event = |undo: &&Undo| self.events().contains(&undo.event.name());
        let event = actual.filter(names_event).map(|undo| undo.event.clone());
        let names = self.events();
        let durable = &self.room.durable;
        if names.contains(&"library.changed") || names.contains(&"queue.undone") {
            return None;
        }
        if names.iter().any(|name| name.starts_with("queue.")) {
            let Command::Control {
                member, control, ..
            } = self.command
            else {
                return None;
            };
            let is_by_nobody = matches!(control, Control::Ended { .. } | Control::VoteSkip { .. });
            return (!is_by_nobody).then(|| Undo {
                by: *member,
                at_ms: self.context.now_ms,
                queue: durable.queue.clone(),
                queue_index: durable.queue_index,
                picks: durable.picks.clone(),
                picked_by: durable.picked_by,
                pick_places: self.room.private.pick_places.clone(),
                event: event.unwrap_or(EventKind::QueueUndone {}),
                playback: names.contains(&"queue.advanced").then(|| UndoPlayback {
                    position_sec: self.room.position_sec(self.context.now_ms),
                    gain_db: durable.gain_db,
                }),
            });
        }
        let mut undo = self.room.live.undo.as_deref().cloned()?;
        // A device that has left is forgotten.
        let is_paired = |member: &MemberId| after.durable.clients.contains_key(member);
        undo.picked_by = undo.picked_by.filter(is_paired);
        for pick in Arc::make_mut(&mut undo.picks) {
            pick.by = pick.by.filter(is_paired);
            pick.votes.retain(is_paired);
        }
        Some(undo)
    }

    /// Checks which devices cannot be DJ.
    fn check_cooldowns(&self, after: &Room) {
        let durable = &self.room.durable;
        let mut expected = self.room.live.dj_cooldowns.as_ref().clone();
        match self.command {
            Command::Leave { member }
            | Command::Expel { member, .. }
            | Command::Unpair { target: member, .. } => {
                expected.remove(member);
            }
            Command::Control {
                member, control, ..
            } => {
                let is_removed = match control {
                    // Stepping down has no consequence.
                    Control::ChangeDj { member_id: None } => durable.dj != Some(*member),
                    Control::VoteDj { member_id: None } => self.decides_about_dj(),
                    _ => false,
                };
                let cooldown_ms = 1e3 * f64::from(durable.rules.dj_cooldown_sec);
                if let Some(dj) = durable.dj.filter(|_| is_removed) {
                    expected.insert(dj, self.context.now_ms + cooldown_ms);
                }
                if let Control::ChangeDj {
                    member_id: Some(new),
                } = control
                {
                    if durable.dj != Some(*new) {
                        expected.remove(new);
                    }
                }
            }
            _ => {}
        }
        let running = |cooldowns: &BTreeMap<MemberId, f64>| -> BTreeMap<MemberId, f64> {
            let mut cooldowns = cooldowns.clone();
            cooldowns.retain(|_, until_ms| *until_ms > self.context.now_ms);
            cooldowns
        };
        assert_eq!(running(&after.live.dj_cooldowns), running(&expected));
    }

    /// Checks the lengths of all tracks. When the room advances, the length from before a shortening is dropped.
    fn check_lengths(&self, after: &Room) {
        for track in self.catalog.order() {
            let stated_sec = self.catalog.duration_sec(*track).expect("a known track");
            let actual_sec = after.live.decoded_lengths.length_sec(*track, stated_sec);
            let may_be_dropped = self.advances() && self.current_track_id() == Some(*track);
            assert!(
                actual_sec == self.length_sec(*track) || may_be_dropped && actual_sec == stated_sec,
                "{track} has a length of {actual_sec} s instead of {} s",
                self.length_sec(*track)
            );
        }
    }

    /// The expected segue (the promise that next-up starts at a stated time). A segue stays until an event changes next-up or the
    /// end of the current track, and moves without an event if the current track gets another length before the promised start.
    /// Without a segue, the room promises one as soon as all listeners are ready for next-up.
    fn expected_segue(&self, replay: &EventReplay, after: &Room) -> Option<Segue> {
        let event_count = after.durable.event_count;
        let promised = self.room.live.segue;
        let promised = promised.filter(|segue| {
            let end = after.ends_at_ms();
            let is_end_same =
                |end: f64| (end - segue.anchor_at_ms).abs() <= MIN_CONTRADICTION_SEC * 1e3;
            let is_renewed = self.context.has_timed_starts
                && replay.next_up_id() == Some(segue.track_id)
                && self.any_ready_for(segue.track_id)
                && end.is_some_and(is_end_same);
            self.room.durable.event_count == event_count || is_renewed
        });
        if let Some(segue) = promised {
            let end = replay.ends_at_ms(after);
            let is_started = self.context.now_ms >= segue.anchor_at_ms;
            let is_moved = |end: &f64| {
                !is_started && (end - segue.anchor_at_ms).abs() > MIN_CONTRADICTION_SEC * 1e3
            };
            let moved = end.filter(is_moved);
            let anchor_at_ms = moved.unwrap_or(segue.anchor_at_ms);
            // The gain may change until a second before the start.
            let is_frozen = self.context.now_ms >= anchor_at_ms - GAIN_FREEZE_MS;
            let known_db = self.known_gain_db(segue.track_id);
            return Some(Segue {
                anchor_at_ms,
                gain_db: if is_frozen { segue.gain_db } else { known_db },
                event_count,
                ..segue
            });
        }
        let track_id = replay.next_up_id()?;
        // Uses the end of the track as the core computes it: with a different rounding, the end could be in the past.
        let is_ahead = after
            .ends_at_ms()
            .is_some_and(|end| end > self.context.now_ms);
        let can_promise = self.context.has_timed_starts && self.all_ready_for(track_id) && is_ahead;
        can_promise.then_some(Segue {
            gain_db: self.known_gain_db(track_id),
            track_id,
            anchor_at_ms: replay.ends_at_ms(after)?,
            event_count,
        })
    }

    /// Checks the private state after the command.
    pub(super) fn check_private(&self, events: &[Event], after: &Room) {
        let (before, private) = (&self.room.private, &after.private);
        let new_member = MemberId(private.last_member);
        let pairs = match self.command {
            Command::Pair { .. } => true,
            Command::Admit { member, .. } => {
                let is_new = !self.room.durable.clients.contains_key(member);
                is_new && member.0 > before.last_member
            }
            _ => false,
        };
        assert_eq!(
            private.last_member > before.last_member,
            pairs,
            "a new member id is assigned exactly if a new device is paired"
        );
        assert_eq!(
            *private.token_hashes,
            self.expected_tokens(new_member),
            "valid tokens"
        );
        let opened = |event: &&Event| event.kind.name() == "barrier.opened";
        let opened = events.iter().find(opened).map(|event| event.event_count);
        assert_eq!(
            private.barrier_opened_event_count,
            opened.unwrap_or(before.barrier_opened_event_count)
        );
    }

    /// The token hashes that must be valid after the command. `new_member` is the device that the command paired, if any.
    fn expected_tokens(&self, new_member: MemberId) -> BTreeMap<TokenHash, MemberId> {
        let mut tokens = self.room.private.token_hashes.as_ref().clone();
        match self.command {
            Command::Pair { token_hash, .. } => {
                tokens.insert(*token_hash, new_member);
            }
            Command::PairAgain {
                member,
                token_hash,
                old_token_hash,
                ..
            } => {
                tokens.retain(|token, owner| owner != member || token == old_token_hash);
                tokens.insert(*token_hash, *member);
            }
            Command::Leave { member }
            | Command::Expel { member, .. }
            | Command::Unpair { target: member, .. } => {
                tokens.retain(|_, owner| owner != member);
            }
            _ => {}
        }
        tokens
    }
}

/// The devices that have acknowledged at least one track. The core may or may not store an entry for the others.
fn non_empty(
    device_tracks: &BTreeMap<MemberId, Arc<DeviceTracks>>,
) -> Vec<(MemberId, Arc<DeviceTracks>)> {
    let devices = device_tracks.iter();
    let devices = devices.filter(|(_, t)| !(t.downloaded.is_empty() && t.unplayable.is_empty()));
    devices
        .map(|(member, tracks)| (*member, tracks.clone()))
        .collect()
}
