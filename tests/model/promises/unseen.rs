//! What no event tells, and a command changes all the same: the live state, and what is written and never shown.

use std::collections::BTreeMap;
use std::sync::Arc;

use lockstep::room::{Command, Event, Holdings, KeyHash, MemberId, Room, Segue};

use super::asked::{Asked, same_time};
use super::story::Story;

impl Asked<'_> {
    /// What is known only as long as the process lives.
    pub(super) fn check_live(&self, story: &Story, after: &Room) {
        let live = &after.live;
        assert_eq!(*live.listeners, self.listeners, "who listens");
        let said = |holdings: &BTreeMap<MemberId, Arc<Holdings>>| {
            let said = holdings.iter();
            let said = said.filter(|(_, h)| !(h.held.is_empty() && h.unplayable.is_empty()));
            said.map(|(member, h)| (*member, h.clone()))
                .collect::<Vec<_>>()
        };
        assert_eq!(said(&live.holdings), said(&self.holdings), "who holds what");
        assert_eq!(live.needle_ms, story.needle_ms, "when it is at the anchor");
        assert_eq!(
            live.place_lost_until_ms, story.place_lost_until_ms,
            "until when a phone knows the place better"
        );
        assert_eq!(*after.library, *self.library, "the library");
        let pairs = matches!(
            self.command,
            Command::Pair { .. } | Command::PairAgain { .. }
        );
        assert_eq!(live.anybody_paired, self.room.live.anybody_paired || pairs);
        match (live.segue, self.promise(story, after)) {
            (Some(is), Some(must)) => assert!(
                is.track_id == must.track_id
                    && is.event_count == must.event_count
                    && same_time(is.anchor_at_ms, must.anchor_at_ms),
                "{is:?} is promised instead of {must:?}"
            ),
            (is, must) => assert_eq!(is, must, "what is promised"),
        }
    }

    /// One that was given holds until the next event; else it is given as soon as it can be kept.
    fn promise(&self, story: &Story, after: &Room) -> Option<Segue> {
        let event_count = after.durable.event_count;
        if self.room.durable.event_count == event_count
            && self.room.live.segue.is_some()
            && !matches!(self.command, Command::Library(_))
        {
            return self.room.live.segue;
        }
        let track_id = story.next_up()?;
        // The room's own sum, or a rounding would decide what is past.
        let lies_ahead = after.ends_at_ms().is_some_and(|end| end > self.at.now_ms);
        let can_be_kept = self.at.aligned && self.all_hold(track_id) && lies_ahead;
        can_be_kept.then_some(Segue {
            track_id,
            anchor_at_ms: story.ends_at_ms()?,
            event_count,
        })
    }

    /// What is written and nobody sees.
    pub(super) fn check_private(&self, events: &[Event], after: &Room) {
        let (was, is) = (&self.room.private, &after.private);
        let new = MemberId(is.last_member);
        let pairs = matches!(self.command, Command::Pair { .. });
        assert_eq!(is.last_member > was.last_member, pairs, "{new} is new");
        assert_eq!(*is.keys, self.keys(new), "whose tokens are good");
        let opened = |event: &&Event| event.kind.name() == "barrier.opened";
        let opened = events.iter().find(opened).map(|event| event.event_count);
        let since = opened.unwrap_or(was.barrier_opened_at);
        assert_eq!(is.barrier_opened_at, since, "since when an ack is in time");
    }

    fn keys(&self, new: MemberId) -> BTreeMap<KeyHash, MemberId> {
        let mut keys = self.room.private.keys.as_ref().clone();
        match self.command {
            Command::Pair { key, .. } => {
                keys.insert(*key, new);
            }
            Command::PairAgain {
                member,
                key,
                old_key,
                ..
            } => {
                keys.retain(|kept, owner| owner != member || kept == old_key);
                keys.insert(*key, *member);
            }
            Command::Leave { member } | Command::Unpair { other: member, .. } => {
                keys.retain(|_, owner| owner != member);
            }
            _ => {}
        }
        keys
    }
}
