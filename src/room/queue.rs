//! The ring: which track comes when. Each function gives the ring and the index of the current
//! track afterwards; none knows of playing, pausing or waiting.

use std::collections::HashSet;

use super::id::TrackId;
use super::state::Library;

/// The index of the track after the current one.
pub(super) fn advance(len: usize, index: usize) -> usize {
    (index + 1) % len.max(1)
}

/// Puts the track at `from` right after the current one. `from` must not be the current one.
pub(super) fn nudge(queue: &[TrackId], index: usize, from: usize) -> (Vec<TrackId>, usize) {
    let mut ring = queue.to_vec();
    let track = ring.remove(from);
    let index = if from < index { index - 1 } else { index };
    ring.insert(index + 1, track);
    (ring, index)
}

/// The ring after the library has changed.
#[derive(Debug, PartialEq)]
pub(super) struct Followed {
    pub(super) queue: Vec<TrackId>,
    pub(super) index: usize,
    pub(super) added: Vec<TrackId>,
    pub(super) removed: Vec<TrackId>,
}

/// Takes out what the library no longer has and puts what is new at the ring's end, which is
/// right before the current track. When the current track itself is gone, the first of its
/// successors that is still there becomes the current one.
pub(super) fn follow(queue: &[TrackId], index: usize, library: &Library) -> Followed {
    let known: HashSet<_> = queue.iter().copied().collect();
    let added: Vec<_> = library
        .order()
        .iter()
        .copied()
        .filter(|track| !known.contains(track))
        .collect();
    let stays = |track: &TrackId| library.contains(*track);
    let (before, from_here) = queue.split_at(index.min(queue.len()));
    let mut before: Vec<_> = before.iter().copied().filter(stays).collect();
    let mut from_here: Vec<_> = from_here.iter().copied().filter(stays).collect();
    let removed = queue
        .iter()
        .copied()
        .filter(|track| !library.contains(*track))
        .collect();

    if from_here.is_empty() {
        // The current track and all after it are gone: the ring goes on at its beginning.
        from_here = std::mem::take(&mut before);
    }
    let index = if before.is_empty() {
        from_here.extend(&added);
        0
    } else {
        before.extend(&added);
        before.len()
    };
    before.append(&mut from_here);
    Followed {
        queue: before,
        index,
        added,
        removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(numbers: &[u64]) -> Vec<TrackId> {
        numbers.iter().copied().map(TrackId).collect()
    }

    fn library(numbers: &[u64]) -> Library {
        Library::new(numbers.iter().map(|n| (TrackId(*n), 60.0)))
    }

    /// The ring as it will be heard, from the current track on.
    fn heard(queue: &[TrackId], index: usize) -> Vec<u64> {
        (0..queue.len())
            .map(|i| queue[(index + i) % queue.len()].0)
            .collect()
    }

    #[test]
    fn nudging_puts_a_track_right_after_the_current_one_from_either_side() {
        let queue = ids(&[1, 2, 3, 4, 5]);
        for (from, expected) in [
            (0, vec![3, 1, 4, 5, 2]),
            (1, vec![3, 2, 4, 5, 1]),
            (3, vec![3, 4, 5, 1, 2]),
            (4, vec![3, 5, 4, 1, 2]),
        ] {
            let (ring, index) = nudge(&queue, 2, from);
            assert_eq!(heard(&ring, index), expected, "nudged from {from}");
        }
    }

    #[test]
    fn new_tracks_join_the_end_of_the_ring() {
        let followed = follow(&ids(&[1, 2, 3]), 1, &library(&[1, 2, 3, 8, 9]));
        assert_eq!(heard(&followed.queue, followed.index), [2, 3, 1, 8, 9]);
        assert_eq!(followed.added, ids(&[8, 9]));
    }

    #[test]
    fn a_first_library_is_played_in_its_own_order() {
        let followed = follow(&[], 0, &library(&[4, 2, 7]));
        assert_eq!((followed.queue, followed.index), (ids(&[4, 2, 7]), 0));
    }

    #[test]
    fn the_next_surviving_track_follows_a_removed_current_one() {
        for (index, left, expected) in [
            (1, vec![1, 3], vec![3, 1]),
            (1, vec![1, 4], vec![4, 1]),
            (3, vec![1, 2], vec![1, 2]),
            (2, vec![2], vec![2]),
            (0, vec![], vec![]),
        ] {
            let followed = follow(&ids(&[1, 2, 3, 4]), index, &library(&left));
            assert_eq!(
                heard(&followed.queue, followed.index),
                expected,
                "from {index} with {left:?}"
            );
        }
    }
}
