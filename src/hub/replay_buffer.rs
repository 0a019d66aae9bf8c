//! The replay buffer: the last events of the room. A device that reconnects receives the events that it missed from this
//! buffer instead of a whole snapshot.

use std::collections::VecDeque;

use crate::wire::Message;

/// The most events in the buffer.
const MAX_EVENTS: usize = 1024;
/// The most bytes in the buffer.
const MAX_BYTES: usize = 4 << 20;
/// The most bytes while the room is idle, so that idle rooms need little memory. A device that missed more gets a snapshot.
const MAX_IDLE_BYTES: usize = 512 << 10;

/// The last events as messages. If the buffer exceeds a bound, the oldest events are evicted.
#[derive(Debug, Default)]
pub(super) struct ReplayBuffer {
    /// Event counts and messages, the oldest first.
    events: VecDeque<(u64, Message)>,
    /// The sum of the lengths of the messages.
    bytes: usize,
}

impl ReplayBuffer {
    /// Adds an event. The caller adds the events of the room in order and without gaps.
    pub(super) fn push(&mut self, event_count: u64, message: Message) {
        self.bytes += message.text().len();
        self.events.push_back((event_count, message));
        self.evict_above(MAX_BYTES);
    }

    /// Releases memory because the room is idle.
    pub(super) fn shrink(&mut self) {
        if self.bytes > MAX_IDLE_BYTES {
            self.evict_above(MAX_IDLE_BYTES);
            self.events.shrink_to_fit();
        }
    }

    fn evict_above(&mut self, max_bytes: usize) {
        while self.events.len() > MAX_EVENTS || self.bytes > max_bytes {
            let Some((_, oldest)) = self.events.pop_front() else {
                break;
            };
            self.bytes -= oldest.text().len();
        }
    }

    /// The events after the event number `event_count`. `None` if that event itself is not in the buffer, because later
    /// events may then be missing, too.
    pub(super) fn since(&self, event_count: u64) -> Option<Vec<Message>> {
        let mut events = self.events.iter();
        let index = events.position(|(count, _)| *count == event_count)?;
        let missed = self.events.range(index + 1..);
        Some(missed.map(|(_, message)| message.clone()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(count: u64, length: usize) -> Message {
        Message::live("event", &"x".repeat(length), count)
    }

    fn buffer(counts: std::ops::Range<u64>, length: usize) -> ReplayBuffer {
        let mut buffer = ReplayBuffer::default();
        for count in counts {
            buffer.push(count, message(count, length));
        }
        buffer
    }

    #[test]
    fn replays_exactly_the_events_after_a_known_count() {
        let buffer = buffer(5..9, 10);
        let texts = |messages: Vec<Message>| -> Vec<_> {
            let texts = messages.iter().map(|message| message.text().to_vec());
            texts.collect()
        };
        let since = |count| buffer.since(count).map(texts);
        let expected = |counts: &[u64]| {
            let messages = counts.iter().map(|count| message(*count, 10));
            Some(texts(messages.collect()))
        };
        assert_eq!(since(5), expected(&[6, 7, 8]));
        assert_eq!(since(8), expected(&[]));
        for unknown in [0, 4, 9] {
            assert_eq!(since(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn evicts_the_oldest_events_by_number_and_by_bytes() {
        let many = buffer(0..3_000, 1);
        assert_eq!(
            many.since(3_000 - MAX_EVENTS as u64).map(|all| all.len()),
            Some(MAX_EVENTS - 1)
        );
        assert!(many.since(3_000 - MAX_EVENTS as u64 - 1).is_none());

        let large = buffer(0..10, MAX_BYTES / 4);
        assert_eq!(large.since(7).map(|all| all.len()), Some(2));
        assert!(large.since(6).is_none());
        assert!(large.bytes <= MAX_BYTES);
    }

    #[test]
    fn shrinking_keeps_the_newest_events() {
        let mut buffer = buffer(0..10, MAX_IDLE_BYTES / 4);
        buffer.shrink();
        assert_eq!(buffer.since(7).map(|all| all.len()), Some(2));
        assert!(buffer.since(6).is_none());
        assert!(buffer.bytes <= MAX_IDLE_BYTES);
    }
}
