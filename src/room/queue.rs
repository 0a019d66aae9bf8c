//! The queue as a ring: a list of the tracks in play order and the index of the current track. The last track is followed by
//! the first. Tracks that the catalog no longer has keep their places as [`Absence`]s.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::catalog::TrackCatalog;
use super::id::TrackId;

/// The number of absent tracks whose places are kept in any case. If the queue or the library had more before, the places of as
/// many tracks are kept. The state file is written at each command, so its size must be limited.
const MIN_ABSENT_LIMIT: usize = 10_000;

/// Consecutive tracks that were in the queue, and that the catalog no longer has: for example, those on a disk that is not
/// mounted. They return to their old places if the catalog has them again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Absence {
    /// The track of the queue that the first absent track followed; `None` if the absent tracks were first in the list.
    pub after: Option<TrackId>,
    /// The absent tracks, in order.
    pub tracks: Vec<TrackId>,
}

/// The index after `index` in a ring of `len` tracks.
pub(super) fn advance(len: usize, index: usize) -> usize {
    (index + 1) % len.max(1)
}

/// Moves `tracks` to directly after the track `after`, which is not one of them, in their order. Returns the new queue and the new
/// index of the current track, which is not one of `tracks` either.
pub(super) fn move_after(
    queue: &[TrackId],
    current: TrackId,
    tracks: &[TrackId],
    after: TrackId,
) -> (Vec<TrackId>, usize) {
    move_to(queue, current, tracks, |rest| position(rest, after) + 1)
}

/// As [`move_after`], but to directly before the track `before`.
pub(super) fn move_before(
    queue: &[TrackId],
    before: TrackId,
    tracks: &[TrackId],
) -> (Vec<TrackId>, usize) {
    move_to(queue, before, tracks, |rest| position(rest, before))
}

fn move_to(
    queue: &[TrackId],
    current: TrackId,
    tracks: &[TrackId],
    place: impl FnOnce(&[TrackId]) -> usize,
) -> (Vec<TrackId>, usize) {
    let moved: HashSet<_> = tracks.iter().collect();
    let mut queue = queue.to_vec();
    queue.retain(|track| !moved.contains(track));
    let place = place(&queue).min(queue.len());
    queue.splice(place..place, tracks.iter().copied());
    let index = position(&queue, current);
    (queue, index)
}

/// The index of a track; 0 if the list does not contain it.
fn position(queue: &[TrackId], track: TrackId) -> usize {
    let found = queue.iter().position(|queued| *queued == track);
    found.unwrap_or(0)
}

/// Puts `tracks` into an order that `seed` determines: the shuffle of Fisher and Yates with the generator SplitMix64.
pub(super) fn shuffle(tracks: &mut [TrackId], seed: u64) {
    let mut state = seed;
    for last in (1..tracks.len()).rev() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        // The remainder prefers some tracks, but for any real queue by less than one in 10^14.
        tracks.swap(last, (bits % (last as u64 + 1)) as usize);
    }
}

/// The queue after a change of the catalog.
#[derive(Debug, PartialEq)]
pub(super) struct QueueUpdate {
    pub(super) queue: Vec<TrackId>,
    pub(super) index: usize,
    pub(super) absences: Vec<Absence>,
    pub(super) added: Vec<TrackId>,
    pub(super) removed: Vec<TrackId>,
}

/// Removes the tracks that the catalog no longer has, and gives absent tracks that the catalog has again their old places, but
/// none between the current track and the last of `picks`, the tracks that directly follow the current track.
/// Adds new tracks at the end of the ring, which is directly before the current track. If the current track is removed, the
/// first of its successors that remains becomes the current track. `index` is the index of the current track. Forgets the
/// places of tracks that were absent in the catalog `previous` and are deleted now.
pub(super) fn reconcile(
    queue: &[TrackId],
    index: usize,
    picks: &[TrackId],
    absences: &[Absence],
    catalog: &TrackCatalog,
    previous: &TrackCatalog,
) -> QueueUpdate {
    let places = places(queue, absences);
    let queued: HashSet<_> = queue.iter().copied().collect();
    let known: HashSet<_> = places.iter().copied().collect();
    let order = catalog.order().iter().copied();
    let new: Vec<_> = order.filter(|track| !known.contains(track)).collect();
    let remains = |track: &TrackId| catalog.contains(*track);
    let current_place = queue
        .get(index)
        .and_then(|current| places.iter().position(|track| track == current))
        .unwrap_or(0);
    let (before, from_current) = places.split_at(current_place);
    let mut before: Vec<_> = before.iter().copied().filter(remains).collect();
    let mut from_current: Vec<_> = from_current.iter().copied().filter(remains).collect();
    let returned = before.iter().chain(&from_current);
    let mut added: Vec<_> = returned
        .copied()
        .filter(|track| !queued.contains(track))
        .collect();
    added.extend(&new);
    let removed = queue.iter().copied().filter(|track| !remains(track));
    let removed = removed.collect();

    keep_picks_together(&mut from_current, &mut before, picks, &queued);
    if from_current.is_empty() {
        // The current track and all tracks after it in the list were removed, so the ring continues at the start of the
        // list.
        from_current = std::mem::take(&mut before);
    }
    let index = if before.is_empty() {
        from_current.extend(&new);
        0
    } else {
        before.extend(&new);
        before.len()
    };
    before.append(&mut from_current);
    QueueUpdate {
        queue: before,
        index,
        absences: absences_in(
            &kept_places(&places, queue.len(), absences, catalog, previous),
            catalog,
        ),
        added,
        removed,
    }
}

/// Moves the tracks that are not in `queued`, and are between the current track and the last of `picks`, to behind that pick.
/// The ring begins with `from_current`, and goes on with `before`.
fn keep_picks_together(
    from_current: &mut Vec<TrackId>,
    before: &mut Vec<TrackId>,
    picks: &[TrackId],
    queued: &HashSet<TrackId>,
) {
    let end = |list: &[TrackId], pick: &TrackId| {
        let at = list.iter().position(|track| track == pick);
        at.map(|at| at + 1)
    };
    for pick in picks.iter().rev() {
        if let Some(end) = end(from_current, pick) {
            let (mut kept, returned) = split_returned(from_current.drain(..end), queued);
            kept.extend(returned);
            from_current.splice(..0, kept);
            return;
        }
        if let Some(end) = end(before, pick) {
            let (kept, returned) = split_returned(from_current.drain(..), queued);
            *from_current = kept;
            let (mut kept, returned_before) = split_returned(before.drain(..end), queued);
            kept.extend(returned.into_iter().chain(returned_before));
            before.splice(..0, kept);
            return;
        }
    }
}

/// The tracks in `queued`, and the other ones.
fn split_returned(
    tracks: impl Iterator<Item = TrackId>,
    queued: &HashSet<TrackId>,
) -> (Vec<TrackId>, Vec<TrackId>) {
    tracks.partition(|track| queued.contains(track))
}

/// The tracks of the queue in order, with each absent track at the place to which the track would return.
fn places(queue: &[TrackId], absences: &[Absence]) -> Vec<TrackId> {
    let mut seen: HashSet<_> = queue.iter().copied().collect();
    let queued = seen.clone();
    let mut following: HashMap<Option<TrackId>, Vec<TrackId>> = HashMap::new();
    let mut without_place = Vec::new();
    for absence in absences {
        let has_place = absence.after.is_none_or(|after| queued.contains(&after));
        let place = match has_place {
            true => following.entry(absence.after).or_default(),
            false => &mut without_place,
        };
        place.extend(absence.tracks.iter().filter(|track| seen.insert(**track)));
    }
    let mut places = following.remove(&None).unwrap_or_default();
    for track in queue {
        places.push(*track);
        places.extend(following.remove(&Some(*track)).unwrap_or_default());
    }
    places.extend(without_place);
    places
}

/// `places` without deleted tracks. If too many absent tracks remain, leaves out some of them, and first those that the
/// library does not expect to return.
fn kept_places(
    places: &[TrackId],
    queue_length: usize,
    absences: &[Absence],
    catalog: &TrackCatalog,
    previous: &TrackCatalog,
) -> Vec<TrackId> {
    let is_deleted = |track: TrackId| catalog.has_forgotten(track, previous);
    let mut kept: Vec<_> = places.to_vec();
    kept.retain(|track| !is_deleted(*track));
    let absent_before: usize = absences.iter().map(|absence| absence.tracks.len()).sum();
    let limit = MIN_ABSENT_LIMIT
        .max(queue_length)
        .max(absent_before)
        .max(catalog.absent_count());
    let is_absent = |track: &&TrackId| !catalog.contains(**track);
    let mut excess = kept.iter().filter(is_absent).count().saturating_sub(limit);
    for is_expected in [false, true] {
        kept.retain(|track| {
            let is_evicted =
                excess > 0 && !catalog.contains(*track) && catalog.is_absent(*track) == is_expected;
            excess -= usize::from(is_evicted);
            !is_evicted
        });
    }
    kept
}

/// The tracks of `places` that the catalog does not have, grouped by the track before them.
fn absences_in(places: &[TrackId], catalog: &TrackCatalog) -> Vec<Absence> {
    let mut absences: Vec<Absence> = Vec::new();
    let mut after = None;
    for track in places {
        if catalog.contains(*track) {
            after = Some(*track);
            continue;
        }
        match absences.last_mut().filter(|last| last.after == after) {
            Some(last) => last.tracks.push(*track),
            None => absences.push(Absence {
                after,
                tracks: vec![*track],
            }),
        }
    }
    absences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(numbers: &[u64]) -> Vec<TrackId> {
        numbers.iter().copied().map(TrackId).collect()
    }

    fn catalog(numbers: &[u64]) -> TrackCatalog {
        TrackCatalog::new(numbers.iter().map(|n| (TrackId(*n), 60.0)))
    }

    /// The queue after a change to `catalog` from an empty catalog without absent tracks.
    fn reconciled(
        queue: &[TrackId],
        index: usize,
        absences: &[Absence],
        catalog: &TrackCatalog,
    ) -> QueueUpdate {
        reconcile(
            queue,
            index,
            &[],
            absences,
            catalog,
            &TrackCatalog::default(),
        )
    }

    /// The numbers of the tracks in play order, beginning with the current track.
    fn play_order(queue: &[TrackId], index: usize) -> Vec<u64> {
        (0..queue.len())
            .map(|i| queue[(index + i) % queue.len()].0)
            .collect()
    }

    #[test]
    fn a_track_moves_directly_after_the_current_one() {
        let queue = ids(&[1, 2, 3, 4, 5]);
        for (from, expected) in [
            (0, vec![3, 1, 4, 5, 2]),
            (1, vec![3, 2, 4, 5, 1]),
            (3, vec![3, 4, 5, 1, 2]),
            (4, vec![3, 5, 4, 1, 2]),
        ] {
            let (new_queue, index) = move_after(&queue, TrackId(3), &[queue[from]], TrackId(3));
            assert_eq!(
                play_order(&new_queue, index),
                expected,
                "moved from index {from}"
            );
        }
    }

    #[test]
    fn several_tracks_move_in_their_order_to_any_place() {
        let queue = ids(&[1, 2, 3, 4, 5]);
        for (current, tracks, after, expected) in [
            (3, vec![2, 5], 4, vec![3, 4, 2, 5, 1]),
            (5, vec![4, 3], 1, vec![5, 1, 4, 3, 2]),
            (1, vec![5, 4, 3, 2], 1, vec![1, 5, 4, 3, 2]),
        ] {
            let (new_queue, index) =
                move_after(&queue, TrackId(current), &ids(&tracks), TrackId(after));
            assert_eq!(play_order(&new_queue, index), expected);
        }
        let (new_queue, index) = move_before(&queue, TrackId(3), &ids(&[5, 4]));
        assert_eq!(play_order(&new_queue, index), [3, 1, 2, 5, 4]);
    }

    #[test]
    fn returning_tracks_are_not_put_among_the_picks() {
        for (index, picks) in [
            (0, vec![2, 3]),
            (4, vec![1]),
            (4, vec![1, 2]),
            (3, vec![5, 1]),
        ] {
            let queue = ids(&[1, 2, 3, 4, 5]);
            let mut absences: Vec<_> = (1..=5)
                .map(|n| Absence {
                    after: Some(TrackId(n)),
                    tracks: ids(&[10 * n]),
                })
                .collect();
            absences.insert(
                0,
                Absence {
                    after: None,
                    tracks: ids(&[60]),
                },
            );
            let all = catalog(&[1, 2, 3, 4, 5, 10, 20, 30, 40, 50, 60]);
            let unknown = TrackCatalog::default();
            let update = reconcile(&queue, index, &ids(&picks), &absences, &all, &unknown);
            let order = play_order(&update.queue, update.index);
            assert_eq!(order[0], queue[index].0, "index {index}, picks {picks:?}");
            assert_eq!(order[1..=picks.len()], picks, "index {index}");
            assert_eq!(update.queue.len(), 11);
            let removed = catalog(&[picks[0], 30, 50]);
            let update = reconcile(&queue, index, &ids(&picks), &absences, &removed, &unknown);
            assert_eq!(update.queue[update.index].0, picks[0], "the first pick");
        }
    }

    #[test]
    fn shuffle_depends_on_the_seed_and_keeps_all_tracks() {
        let shuffled = |seed| {
            let mut tracks: Vec<_> = (0..100).map(TrackId).collect();
            shuffle(&mut tracks, seed);
            tracks
        };
        assert_eq!(shuffled(7), shuffled(7));
        assert_ne!(shuffled(7), shuffled(8));
        let mut sorted = shuffled(9);
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq((0..100).map(TrackId)));
        // Each track comes to each place about equally often.
        let firsts = (0..10_000).map(|seed| shuffled(seed)[0].0);
        let mut counts = [0; 100];
        firsts.for_each(|track| counts[track as usize] += 1);
        assert!(
            counts.iter().all(|count| (50..150).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn new_tracks_join_at_the_end_of_the_ring() {
        let update = reconciled(&ids(&[1, 2, 3]), 1, &[], &catalog(&[1, 2, 3, 8, 9]));
        assert_eq!(play_order(&update.queue, update.index), [2, 3, 1, 8, 9]);
        assert_eq!(update.added, ids(&[8, 9]));
    }

    #[test]
    fn first_catalog_is_queued_in_its_own_order() {
        let update = reconciled(&[], 0, &[], &catalog(&[4, 2, 7]));
        assert_eq!((update.queue, update.index), (ids(&[4, 2, 7]), 0));
    }

    #[test]
    fn next_remaining_track_replaces_a_removed_current_track() {
        for (index, left, expected) in [
            (1, vec![1, 3], vec![3, 1]),
            (1, vec![1, 4], vec![4, 1]),
            (3, vec![1, 2], vec![1, 2]),
            (2, vec![2], vec![2]),
            (0, vec![], vec![]),
        ] {
            let update = reconciled(&ids(&[1, 2, 3, 4]), index, &[], &catalog(&left));
            assert_eq!(
                play_order(&update.queue, update.index),
                expected,
                "index {index}, remaining {left:?}"
            );
        }
    }

    #[test]
    fn returning_tracks_regain_their_places() {
        let all = ids(&[1, 2, 3, 4, 5, 6]);
        for (index, left) in [
            (0, vec![1, 2, 5, 6]),
            (0, vec![3, 4, 5, 6]),
            (4, vec![1, 2, 5, 6]),
            (5, vec![1, 2, 3]),
            (2, vec![]),
        ] {
            let away = reconciled(&all, index, &[], &catalog(&left));
            let playing = away.queue.get(away.index).copied();
            let back = catalog(&[6, 5, 4, 3, 2, 1]);
            let back = reconciled(&away.queue, away.index, &away.absences, &back);
            assert_eq!(back.queue, all, "index {index}, remaining {left:?}");
            assert_eq!(back.absences, []);
            assert!(playing.is_none_or(|playing| back.queue[back.index] == playing));
        }
    }

    #[test]
    fn tracks_that_return_one_after_the_other_keep_their_order() {
        let mut queue = ids(&[1, 2, 3, 4]);
        let mut absences = Vec::new();
        for present in [vec![1, 3, 4], vec![1, 4], vec![1, 3, 4], vec![1, 2, 3, 4]] {
            let update = reconciled(&queue, 0, &absences, &catalog(&present));
            (queue, absences) = (update.queue, update.absences);
            assert_eq!(queue, ids(&present));
        }
    }

    #[test]
    fn returning_tracks_follow_a_nudged_predecessor() {
        let away = reconciled(&ids(&[1, 2, 3, 4]), 0, &[], &catalog(&[1, 2, 4]));
        let (nudged, index) = move_after(&away.queue, TrackId(1), &[TrackId(4)], TrackId(1));
        assert_eq!(nudged, ids(&[1, 4, 2]));
        let back = reconciled(&nudged, index, &away.absences, &catalog(&[1, 2, 3, 4, 9]));
        assert_eq!(play_order(&back.queue, back.index), [1, 4, 2, 3, 9]);
        assert_eq!(back.added, ids(&[3, 9]));
    }

    #[test]
    fn an_absence_without_its_predecessor_returns_at_the_end() {
        let edited = [Absence {
            after: Some(TrackId(77)),
            tracks: ids(&[2, 1]),
        }];
        let update = reconciled(&ids(&[1]), 0, &edited, &catalog(&[1, 2]));
        assert_eq!(update.queue, ids(&[1, 2]));
    }

    #[test]
    fn large_folder_that_was_away_regains_all_places() {
        let count = 4 * MIN_ABSENT_LIMIT as u64;
        let all: Vec<_> = (0..count).collect();
        let (remaining, new) = (&all[..10], count);
        let without_disk = catalog(remaining);
        let away = reconciled(&ids(&all), 0, &[], &without_disk);
        let with_new = catalog(&[remaining, &[new]].concat());
        let away = reconciled(&away.queue, 0, &away.absences, &with_new);
        // In another order, in which tracks without a place would be queued.
        let all_and_new = [&all[..], &[new]].concat();
        let reversed: Vec<_> = all_and_new.iter().copied().rev().collect();
        let back = reconciled(&away.queue, away.index, &away.absences, &catalog(&reversed));
        assert_eq!(back.absences, []);
        assert!(back.queue == ids(&all_and_new));
    }

    #[test]
    fn places_of_all_tracks_that_the_library_expects_are_kept() {
        let absent: Vec<_> = (100..=100 + MIN_ABSENT_LIMIT as u64).collect();
        let (before, last) = absent.split_at(MIN_ABSENT_LIMIT);
        let absences = [Absence {
            after: Some(TrackId(1)),
            tracks: ids(before),
        }];
        let catalog = catalog(&[1]).with_absent(ids(&absent));
        let update = reconciled(&ids(&[1, last[0]]), 0, &absences, &catalog);
        assert_eq!(update.absences[0].tracks, ids(&absent));
    }

    #[test]
    fn places_of_deleted_tracks_are_forgotten() {
        let known = catalog(&[1]).with_absent(ids(&[2, 3]));
        let away = reconciled(&ids(&[1, 2, 3]), 0, &[], &known);
        let next = catalog(&[1]).with_absent(ids(&[3]));
        let update = reconcile(&away.queue, 0, &[], &away.absences, &next, &known);
        assert_eq!(update.absences[0].tracks, ids(&[3]));
        // A catalog without the list, as after the loss of the library's cache, forgets no place.
        let unknown = TrackCatalog::default();
        let update = reconcile(
            &away.queue,
            0,
            &[],
            &away.absences,
            &catalog(&[1]),
            &unknown,
        );
        assert_eq!(update.absences[0].tracks, ids(&[2, 3]));
    }

    #[test]
    fn limit_removes_the_places_of_unexpected_tracks_first() {
        let limit = MIN_ABSENT_LIMIT as u64;
        let unexpected: Vec<_> = (100..100 + limit).collect();
        let absences = [Absence {
            after: Some(TrackId(1)),
            tracks: ids(&unexpected),
        }];
        let catalog = catalog(&[1]).with_absent(ids(&[2]));
        let update = reconciled(&ids(&[1, 2]), 0, &absences, &catalog);
        let kept: Vec<_> = update
            .absences
            .iter()
            .flat_map(|absence| &absence.tracks)
            .collect();
        assert_eq!(kept.len(), MIN_ABSENT_LIMIT);
        assert!(kept.contains(&&TrackId(2)));
    }
}
