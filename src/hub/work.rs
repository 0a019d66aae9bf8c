//! What a device has done for the barrier that is open: only what it had not done before counts, or one that fetches the
//! same bytes again and again would keep everybody waiting for good.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::room::TrackId;

/// The work of one device since the barrier opened.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// Which bytes of which track it was sent: ranges apart from each other, in order.
    fetched: BTreeMap<TrackId, Vec<Range<u64>>>,
    acknowledged: BTreeSet<TrackId>,
}

impl Work {
    /// It was sent these bytes of a track; whether any of them are new.
    pub(super) fn fetched(&mut self, track: TrackId, bytes: Range<u64>) -> bool {
        let ranges = self.fetched.entry(track).or_default();
        let known = |range: &Range<u64>| range.start <= bytes.start && bytes.end <= range.end;
        if bytes.is_empty() || ranges.iter().any(known) {
            return false;
        }
        let touches = |range: &Range<u64>| range.start <= bytes.end && bytes.start <= range.end;
        let (joined, mut apart): (Vec<_>, Vec<_>) = ranges.drain(..).partition(touches);
        let whole = joined.iter().fold(bytes, |whole, range| {
            whole.start.min(range.start)..whole.end.max(range.end)
        });
        let place = apart.partition_point(|range| range.start < whole.start);
        apart.insert(place, whole);
        *ranges = apart;
        true
    }

    /// It has acknowledged a track; whether for the first time.
    pub(super) fn acknowledged(&mut self, track: TrackId) -> bool {
        self.acknowledged.insert(track)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACK: TrackId = TrackId(1);

    #[test]
    fn a_download_that_goes_on_is_work_and_one_that_begins_again_is_not_until_it_is_further() {
        let mut work = Work::default();
        assert!(work.fetched(TRACK, 0..100));
        assert!(work.fetched(TRACK, 0..200));
        assert!(!work.fetched(TRACK, 0..1));
        assert!(!work.fetched(TRACK, 150..200));
        assert!(work.fetched(TRACK, 150..201));
        assert!(work.fetched(TrackId(2), 0..1));
    }

    #[test]
    fn an_acknowledgement_counts_once() {
        let mut work = Work::default();
        assert!(work.acknowledged(TRACK));
        assert!(!work.acknowledged(TRACK));
        assert!(work.acknowledged(TrackId(2)));
    }

    proptest! {
        #[test]
        fn exactly_the_bytes_that_were_not_sent_before_are_new(
            parts in prop::collection::vec((0..40_u64, 0..12_u64), 1..30)
        ) {
            let (mut work, mut sent) = (Work::default(), BTreeSet::new());
            for (from, length) in parts {
                let new = (from..from + length).filter(|byte| sent.insert(*byte)).count() > 0;
                prop_assert_eq!(work.fetched(TRACK, from..from + length), new);
            }
        }
    }
}
