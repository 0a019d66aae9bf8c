//! The last messages of a room.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::TalkError;
use super::rate_window::{LimitReached, RateLimits};
use crate::room::MemberId;
use crate::wire::ChatMessage;

/// The longest message, in characters (Unicode scalar values).
pub const MAX_MESSAGE_CHARS: usize = 300;
/// The most messages that are kept.
const MAX_MESSAGES: usize = 200;
/// The most messages of one device within five seconds.
const MAX_OF_DEVICE: usize = 5;
/// The most messages of all devices within five seconds: those of twenty devices at their limit.
const MAX_OF_ROOM: usize = 100;

/// The last [`MAX_MESSAGES`] messages, in the order of their ids.
#[derive(Debug)]
pub(in super::super) struct Chat {
    messages: VecDeque<Arc<ChatMessage>>,
    next_id: u64,
    limits: RateLimits,
}

impl Chat {
    /// A chat without messages. The first message gets the id `first_id`, which must be greater than all ids that an earlier
    /// process has given, so that devices can tell new messages from old ones.
    pub(in super::super) fn new(first_id: u64) -> Self {
        Chat {
            messages: VecDeque::new(),
            next_id: first_id,
            limits: RateLimits::new(MAX_OF_DEVICE, MAX_OF_ROOM),
        }
    }

    /// Adds a message of `member`, whose name is `name`. `at` is the time by the calendar.
    ///
    /// # Errors
    /// [`TalkError::TooManyMessages`].
    pub(in super::super) fn post(
        &mut self,
        member: MemberId,
        name: String,
        text: String,
        at: String,
        now: Instant,
    ) -> Result<Arc<ChatMessage>, TalkError> {
        let permitted = self.limits.permit(member, now);
        permitted.map_err(
            |LimitReached { of, retry_after }| TalkError::TooManyMessages { of, retry_after },
        )?;
        let message = Arc::new(ChatMessage {
            id: self.next_id,
            member_id: member,
            name,
            text,
            at,
        });
        self.next_id += 1;
        if self.messages.len() == MAX_MESSAGES {
            self.messages.pop_front();
        }
        self.messages.push_back(message.clone());
        Ok(message)
    }

    /// The device that sent a message.
    ///
    /// # Errors
    /// [`TalkError::NoSuchMessage`].
    pub(in super::super) fn author(&self, id: u64) -> Result<MemberId, TalkError> {
        let found = self.messages.iter().find(|message| message.id == id);
        found
            .map(|message| message.member_id)
            .ok_or(TalkError::NoSuchMessage)
    }

    /// Removes a message, if there is one with this id.
    pub(in super::super) fn remove(&mut self, id: u64) {
        self.messages.retain(|message| message.id != id);
    }

    /// The messages after the one with the id `after`; all messages if this chat has not given that id yet.
    pub(in super::super) fn after(&self, after: u64) -> Vec<Arc<ChatMessage>> {
        let is_known = after < self.next_id;
        let messages = self.messages.iter();
        messages
            .filter(|message| !is_known || message.id > after)
            .cloned()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::rate_window::LimitOf;
    use std::time::Duration;

    use super::*;

    const M1: MemberId = MemberId(1);
    const M2: MemberId = MemberId(2);

    /// Posts a message as late as the rate limits require.
    fn post(chat: &mut Chat, member: MemberId, text: &str) -> Result<u64, TalkError> {
        let now = Instant::now() + Duration::from_secs(60) * (chat.next_id as u32);
        let message = chat.post(member, "Ann".into(), text.into(), String::new(), now)?;
        Ok(message.id)
    }

    fn texts(messages: &[Arc<ChatMessage>]) -> Vec<&str> {
        messages
            .iter()
            .map(|message| message.text.as_str())
            .collect()
    }

    #[test]
    fn keeps_the_last_two_hundred_messages() {
        let mut chat = Chat::new(7);
        for n in 0..250 {
            assert_eq!(post(&mut chat, M1, &n.to_string()), Ok(7 + n));
        }
        let kept = chat.after(0);
        assert_eq!(kept.len(), 200);
        assert_eq!((kept[0].id, kept[199].id), (57, 256));
    }

    #[test]
    fn messages_after_an_id_are_the_later_ones() {
        let mut chat = Chat::new(100);
        for text in ["a", "b", "c"] {
            post(&mut chat, M1, text).unwrap();
        }
        assert_eq!(texts(&chat.after(100)), ["b", "c"]);
        assert!(chat.after(102).is_empty());
        // An id of an earlier process whose clock was ahead.
        assert_eq!(texts(&chat.after(1_000)), ["a", "b", "c"]);
    }

    #[test]
    fn id_of_a_removed_message_is_not_given_again() {
        let mut chat = Chat::new(1);
        for text in ["a", "b", "c"] {
            post(&mut chat, M1, text).unwrap();
        }
        assert_eq!(chat.author(3), Ok(M1));
        for id in [2, 3, 2, 4] {
            chat.remove(id);
        }
        assert_eq!(chat.author(3), Err(TalkError::NoSuchMessage));
        assert_eq!(texts(&chat.after(0)), ["a"]);
        assert_eq!(post(&mut chat, M2, "d"), Ok(4));
        assert_eq!(chat.author(4), Ok(M2));
    }

    #[test]
    fn one_device_is_limited_to_five_in_five_seconds() {
        let mut chat = Chat::new(1);
        let now = Instant::now();
        let mut post = |member, at| {
            let posted = chat.post(member, String::new(), "a".into(), String::new(), at);
            posted.map(|message| message.id)
        };
        for id in 1..=5 {
            assert_eq!(post(M1, now), Ok(id));
        }
        let retry_after = Duration::from_secs(5);
        assert_eq!(
            post(M1, now),
            Err(TalkError::TooManyMessages {
                of: LimitOf::Device,
                retry_after
            })
        );
        assert_eq!(post(M2, now), Ok(6));
        assert_eq!(post(M1, now + retry_after), Ok(7));
    }
}
