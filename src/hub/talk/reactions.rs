//! The reactions of a room, which are counted and broadcast together.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Serialize, Serializer};

use super::TalkError;
use super::rate_window::{LimitReached, RateLimits};
use crate::room::MemberId;

/// The reactions that exist.
const EMOJI: [&str; 12] = [
    "👍", "❤️", "🔥", "😂", "🎉", "👏", "🙌", "💃", "🕺", "😍", "🤘", "👎",
];
/// The most reactions of one device within five seconds.
const MAX_OF_DEVICE: usize = 20;
/// The most reactions of all devices within five seconds: those of fifty devices at their limit.
const MAX_OF_ROOM: usize = 1_000;
/// The shortest interval between two broadcasts. A little more than a quarter of a second, so that a receiver counts at most
/// four in each second although the network delays some more than others.
const MIN_INTERVAL: Duration = Duration::from_millis(300);

/// A reaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Emoji(&'static str);

impl Emoji {
    /// `None` if there is no such reaction.
    pub fn parse(text: &str) -> Option<Self> {
        EMOJI.into_iter().find(|emoji| *emoji == text).map(Emoji)
    }
}

impl Serialize for Emoji {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

/// How often each reaction was sent.
pub(in super::super) type ReactionCounts = BTreeMap<Emoji, u32>;

/// The reactions since the last broadcast.
#[derive(Debug)]
pub(in super::super) struct Reactions {
    counts: ReactionCounts,
    limits: RateLimits,
    /// The earliest time of the next broadcast.
    broadcast_at: Instant,
}

impl Reactions {
    pub(in super::super) fn new(now: Instant) -> Self {
        Reactions {
            counts: ReactionCounts::new(),
            limits: RateLimits::new(MAX_OF_DEVICE, MAX_OF_ROOM),
            broadcast_at: now,
        }
    }

    /// Counts a reaction of `member`.
    ///
    /// # Errors
    /// [`TalkError::TooManyReactions`].
    pub(in super::super) fn add(
        &mut self,
        member: MemberId,
        emoji: Emoji,
        now: Instant,
    ) -> Result<(), TalkError> {
        let permitted = self.limits.permit(member, now);
        permitted.map_err(
            |LimitReached { of, retry_after }| TalkError::TooManyReactions { of, retry_after },
        )?;
        *self.counts.entry(emoji).or_default() += 1;
        Ok(())
    }

    /// When the counts are to be broadcast; `None` if there are none.
    pub(in super::super) fn due_at(&self) -> Option<Instant> {
        (!self.counts.is_empty()).then_some(self.broadcast_at)
    }

    /// Takes the counts in order to broadcast them now.
    pub(in super::super) fn take(&mut self, now: Instant) -> ReactionCounts {
        self.broadcast_at = now + MIN_INTERVAL;
        std::mem::take(&mut self.counts)
    }
}

#[cfg(test)]
mod tests {
    use super::super::rate_window::LimitOf;
    use super::*;

    #[test]
    fn only_the_twelve_emoji_are_reactions() {
        for emoji in EMOJI {
            assert_eq!(Emoji::parse(emoji), Some(Emoji(emoji)));
        }
        for other in ["", "👍👍", "👍🏽", "🙂", "❤", "thumbs up", "<b>"] {
            assert_eq!(Emoji::parse(other), None, "{other:?}");
        }
    }

    #[test]
    fn broadcasts_sum_the_reactions_and_keep_their_interval() {
        let now = Instant::now();
        let mut reactions = Reactions::new(now);
        assert_eq!(reactions.due_at(), None);
        let (fire, thumb) = (Emoji("🔥"), Emoji("👍"));
        reactions.add(MemberId(1), fire, now).unwrap();
        assert_eq!(reactions.due_at(), Some(now));
        assert_eq!(reactions.take(now), [(fire, 1)].into());
        for member in 1..=3 {
            reactions.add(MemberId(member), thumb, now).unwrap();
        }
        reactions.add(MemberId(4), fire, now).unwrap();
        let due_at = reactions.due_at().unwrap();
        assert!(due_at - now > Duration::from_millis(250));
        assert_eq!(reactions.take(due_at), [(fire, 1), (thumb, 3)].into());
        assert_eq!(reactions.due_at(), None);
    }

    #[test]
    fn one_device_is_limited_to_twenty_in_five_seconds() {
        let now = Instant::now();
        let mut reactions = Reactions::new(now);
        let mut add = |member, at| reactions.add(MemberId(member), Emoji("👍"), at);
        for _ in 0..20 {
            add(1, now).unwrap();
        }
        let retry_after = Duration::from_secs(5);
        assert_eq!(
            add(1, now),
            Err(TalkError::TooManyReactions {
                of: LimitOf::Device,
                retry_after
            })
        );
        add(2, now).unwrap();
        add(1, now + retry_after).unwrap();
    }
}
