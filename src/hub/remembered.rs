//! The last events, for streams that come back after a break. Pure.

use std::collections::VecDeque;

use crate::wire::Message;

/// As many as are remembered, and their bytes.
const MOST: usize = 1024;
const MOST_BYTES: usize = 4 << 20;

#[derive(Debug, Default)]
pub(super) struct Remembered {
    /// With their numbers, the oldest first.
    events: VecDeque<(u64, Message)>,
    bytes: usize,
}

impl Remembered {
    /// The event of that number has happened, right after the one before.
    pub(super) fn add(&mut self, event_count: u64, message: Message) {
        self.bytes += message.text().len();
        self.events.push_back((event_count, message));
        while self.events.len() > MOST || self.bytes > MOST_BYTES {
            let Some((_, oldest)) = self.events.pop_front() else {
                break;
            };
            self.bytes -= oldest.text().len();
        }
    }

    /// The events after that one; `None` when it is not remembered, so that nobody knows whether these are all.
    pub(super) fn since(&self, event_count: u64) -> Option<Vec<Message>> {
        let mut events = self.events.iter();
        let known = events.position(|(count, _)| *count == event_count)?;
        let missed = self.events.range(known + 1..);
        Some(missed.map(|(_, message)| message.clone()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(count: u64, length: usize) -> Message {
        Message::live("event", &"x".repeat(length), count)
    }

    fn remembered(counts: std::ops::Range<u64>, length: usize) -> Remembered {
        let mut remembered = Remembered::default();
        for count in counts {
            remembered.add(count, message(count, length));
        }
        remembered
    }

    #[test]
    fn whoever_comes_back_is_told_what_came_after_what_it_knows_and_no_more() {
        let remembered = remembered(5..9, 10);
        let texts = |messages: Vec<Message>| -> Vec<_> {
            let texts = messages.iter().map(|message| message.text().to_vec());
            texts.collect()
        };
        let since = |count| remembered.since(count).map(texts);
        let told = |counts: &[u64]| {
            let told = counts.iter().map(|count| message(*count, 10));
            Some(texts(told.collect()))
        };
        assert_eq!(since(5), told(&[6, 7, 8]));
        assert_eq!(since(8), told(&[]));
        for unknown in [0, 4, 9] {
            assert_eq!(since(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn the_oldest_are_forgotten_when_there_are_many_or_they_are_large() {
        let many = remembered(0..3_000, 1);
        assert_eq!(
            many.since(3_000 - MOST as u64).map(|all| all.len()),
            Some(MOST - 1)
        );
        assert!(many.since(3_000 - MOST as u64 - 1).is_none());

        let large = remembered(0..10, MOST_BYTES / 4);
        assert_eq!(large.since(7).map(|all| all.len()), Some(2));
        assert!(large.since(6).is_none());
        assert!(large.bytes <= MOST_BYTES);
    }
}
