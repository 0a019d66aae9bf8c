//! The limit on the votes of each device.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::room::MemberId;

/// The most votes of one device within [`PERIOD`].
const MAX_VOTES: usize = 30;
const PERIOD: Duration = Duration::from_secs(5);

/// When each device has voted within the last [`PERIOD`].
#[derive(Debug, Default)]
pub(super) struct VoteLimits(Mutex<BTreeMap<MemberId, VecDeque<Instant>>>);

impl VoteLimits {
    /// Counts a vote.
    ///
    /// # Errors
    /// How long the device must wait if it has voted too often. The vote is not counted.
    pub(super) fn count(&self, member: MemberId, now: Instant) -> Result<(), Duration> {
        let mut votes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let age = |voted_at: &Instant| now.saturating_duration_since(*voted_at);
        // Only the devices that have voted a moment ago are kept.
        votes.retain(|_, times| times.back().is_some_and(|last| age(last) < PERIOD));
        let times = votes.entry(member).or_default();
        while times.front().is_some_and(|first| age(first) >= PERIOD) {
            times.pop_front();
        }
        match times.front() {
            Some(first) if times.len() >= MAX_VOTES => Err(PERIOD - age(first)),
            _ => {
                times.push_back(now);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_votes_in_five_seconds_are_the_limit_of_one_device() {
        let (limits, start) = (VoteLimits::default(), Instant::now());
        for n in 0..30 {
            let now = start + n * Duration::from_millis(100);
            assert_eq!(limits.count(MemberId(1), now), Ok(()));
        }
        let now = start + Duration::from_secs(4);
        assert_eq!(limits.count(MemberId(1), now), Err(Duration::from_secs(1)));
        assert_eq!(limits.count(MemberId(2), now), Ok(()));
        let now = start + PERIOD;
        assert_eq!(limits.count(MemberId(1), now), Ok(()));
        assert!(limits.count(MemberId(1), now).is_err());
    }
}
