//! Records which bytes of which tracks were sent to a device, in bounded memory. The hub uses this record to tell new bytes
//! from repeated ones: only new bytes count as progress towards a barrier.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::room::TrackId;

/// The most separate ranges of one track. A browser fetches a file in a few consecutive pieces, so few ranges suffice.
const MAX_RANGES: usize = 64;
/// The most tracks of one device. A device fetches the current track and the next few, so few tracks suffice.
const MAX_TRACKS: usize = 64;

/// The bytes of each track that were sent to a device.
#[derive(Debug, Default)]
pub(super) struct FetchedBytes(BTreeMap<TrackId, ByteRanges>);

impl FetchedBytes {
    /// Adds bytes of a track, and returns whether any of them are new. Once [`MAX_TRACKS`] tracks are stored, bytes of
    /// another track are ignored.
    pub(super) fn insert(&mut self, track: TrackId, bytes: Range<u64>) -> bool {
        if self.0.len() == MAX_TRACKS && !self.0.contains_key(&track) {
            return false;
        }
        self.0.entry(track).or_default().insert(bytes)
    }

    /// All stored ranges.
    pub(super) fn iter(&self) -> impl Iterator<Item = (TrackId, Range<u64>)> {
        let ranges = |(track, ranges): (&TrackId, &ByteRanges)| {
            let track = *track;
            let ranges = ranges.0.clone();
            ranges.into_iter().map(move |range| (track, range))
        };
        self.0.iter().flat_map(ranges)
    }
}

/// A set of bytes as sorted ranges that do not touch each other.
#[derive(Debug, Default)]
struct ByteRanges(Vec<Range<u64>>);

impl ByteRanges {
    /// Adds bytes, and returns whether any of them are new. If more than [`MAX_RANGES`] ranges result, joins the two ranges
    /// with the smallest gap between them, so that the bytes in the gap count as added.
    fn insert(&mut self, bytes: Range<u64>) -> bool {
        let contains = |range: &Range<u64>| range.start <= bytes.start && bytes.end <= range.end;
        if bytes.is_empty() || self.0.iter().any(contains) {
            return false;
        }
        let touches = |range: &Range<u64>| range.start <= bytes.end && bytes.start <= range.end;
        let (touching, mut separate): (Vec<_>, Vec<_>) = self.0.drain(..).partition(touches);
        let merged = touching.iter().fold(bytes, |merged, range| {
            merged.start.min(range.start)..merged.end.max(range.end)
        });
        let index = separate.partition_point(|range| range.start < merged.start);
        separate.insert(index, merged);
        self.0 = separate;
        if self.0.len() > MAX_RANGES {
            self.close_smallest_gap();
        }
        true
    }

    fn close_smallest_gap(&mut self) {
        let gaps = self.0.windows(2).map(|pair| pair[1].start - pair[0].end);
        if let Some((index, _)) = gaps.enumerate().min_by_key(|(_, gap)| *gap) {
            let next = self.0.remove(index + 1);
            self.0[index].end = next.end;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_beyond_the_maximum_are_joined_across_the_smallest_gap() {
        let mut ranges = ByteRanges::default();
        for n in 0..MAX_RANGES as u64 {
            assert!(ranges.insert(100 * n..100 * n + 10));
        }
        assert!(ranges.insert(12..20), "2 bytes after the first range");
        assert_eq!(ranges.0.len(), MAX_RANGES);
        assert_eq!(ranges.0[..2], [0..20, 100..110]);
        for n in 0..100_000 {
            ranges.insert(1_000_000 + 2 * n..1_000_001 + 2 * n);
        }
        assert_eq!(ranges.0.len(), MAX_RANGES);
    }

    #[test]
    fn bytes_of_tracks_beyond_the_maximum_are_never_new() {
        let mut fetched = FetchedBytes::default();
        for n in 0..MAX_TRACKS as u64 {
            assert!(fetched.insert(TrackId(n), 0..10));
        }
        assert!(!fetched.insert(TrackId(MAX_TRACKS as u64), 0..10));
        assert!(fetched.insert(TrackId(0), 0..20));
    }

    proptest! {
        /// The test inserts fewer than [`MAX_RANGES`] ranges, so that no ranges are joined across a gap.
        #[test]
        fn only_bytes_that_were_not_inserted_before_are_new(
            parts in prop::collection::vec((0..40_u64, 0..12_u64), 1..30)
        ) {
            let (mut ranges, mut inserted) = (ByteRanges::default(), BTreeSet::new());
            for (from, length) in parts {
                let new = (from..from + length).filter(|byte| inserted.insert(*byte)).count() > 0;
                prop_assert_eq!(ranges.insert(from..from + length), new);
            }
        }
    }
}
