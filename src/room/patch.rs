//! The JSON Patch (RFC 6902) from one durable state to another. The patch leaves out `eventCount`, which each event
//! contains.
//!
//! The patch is computed by comparing the two states, so no change can be missed. A change that moves a few tracks becomes as many
//! operations `move`, even in a queue of ten thousand tracks. A larger one replaces the whole queue.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use super::barrier::Barrier;
use super::id::{MemberId, TrackId};
use super::picks::Pick;
use super::state::DurableState;

/// One operation of a JSON Patch.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
#[expect(missing_docs, reason = "RFC 6902 defines the fields")]
pub enum PatchOp {
    /// RFC 6902, section 4.1.
    Add { path: String, value: Value },
    /// RFC 6902, section 4.2.
    Remove { path: String },
    /// RFC 6902, section 4.3.
    Replace { path: String, value: Value },
    /// RFC 6902, section 4.4.
    Move { from: String, path: String },
}

/// The most operations that a patch contains for a list of tracks. A larger change replaces the whole list by one operation.
const MAX_LIST_OPS: usize = 64;

/// The patch that turns a snapshot of `before` into one of `after`.
pub(super) fn between(before: &DurableState, after: &DurableState) -> Vec<PatchOp> {
    let mut ops = Vec::new();
    if !Arc::ptr_eq(&before.queue, &after.queue) {
        diff_queue(&before.queue, &after.queue, &mut ops);
    }
    if !Arc::ptr_eq(&before.picks, &after.picks) {
        diff_picks(&before.picks, &after.picks, &mut ops);
    }
    diff_value("/pickedBy", &before.picked_by, &after.picked_by, &mut ops);
    diff_value(
        "/queueIndex",
        &before.queue_index,
        &after.queue_index,
        &mut ops,
    );
    let (old, new) = (before.play_state, after.play_state);
    diff_value("/playState/mode", &old.mode, &new.mode, &mut ops);
    diff_value(
        "/playState/anchorPositionSec",
        &old.anchor_position_sec,
        &new.anchor_position_sec,
        &mut ops,
    );
    diff_value("/gainDb", &before.gain_db, &after.gain_db, &mut ops);
    match (&before.barrier, &after.barrier) {
        (Some(old), Some(new)) if (old.kind, old.track_id) == (new.kind, new.track_id) => {
            diff_members("/barrier/members", &old.members, &new.members, &mut ops);
            diff_members("/barrier/ready", &old.ready, &new.ready, &mut ops);
        }
        (old, new) => diff_value::<Option<Barrier>>("/barrier", old, new, &mut ops),
    }
    diff_map("/clients", &before.clients, &after.clients, &mut ops);
    if !Arc::ptr_eq(&before.hosts, &after.hosts) {
        diff_members("/hosts", &before.hosts, &after.hosts, &mut ops);
    }
    diff_value("/rules", &before.rules, &after.rules, &mut ops);
    diff_value("/dj", &before.dj, &after.dj, &mut ops);
    diff_map("/djVotes", &before.dj_votes, &after.dj_votes, &mut ops);
    if !Arc::ptr_eq(&before.skip_votes, &after.skip_votes) {
        diff_members(
            "/skipVotes",
            &before.skip_votes,
            &after.skip_votes,
            &mut ops,
        );
    }
    ops
}

/// Compares two objects.
fn diff_map<T: PartialEq + Serialize>(
    path: &str,
    before: &Arc<BTreeMap<MemberId, T>>,
    after: &Arc<BTreeMap<MemberId, T>>,
    ops: &mut Vec<PatchOp>,
) {
    if Arc::ptr_eq(before, after) {
        return;
    }
    for member in before.keys() {
        if !after.contains_key(member) {
            ops.push(PatchOp::Remove {
                path: format!("{path}/{member}"),
            });
        }
    }
    for (member, value) in after.iter() {
        if before.get(member) != Some(value) {
            // `add` replaces an existing value (RFC 6902, section 4.1).
            ops.push(PatchOp::Add {
                path: format!("{path}/{member}"),
                value: json!(value),
            });
        }
    }
}

fn diff_value<T: PartialEq + Serialize>(path: &str, before: &T, after: &T, ops: &mut Vec<PatchOp>) {
    if before != after {
        ops.push(PatchOp::Replace {
            path: path.into(),
            value: json!(after),
        });
    }
}

/// Compares two sorted lists. Removals come first, in descending order of their indexes, so that each removal leaves the
/// indexes of the later ones valid. Additions follow in ascending order, each at its final index.
fn diff_members(
    path: &str,
    before: &BTreeSet<MemberId>,
    after: &BTreeSet<MemberId>,
    ops: &mut Vec<PatchOp>,
) {
    for (i, member) in before.iter().enumerate().rev() {
        if !after.contains(member) {
            ops.push(PatchOp::Remove {
                path: format!("{path}/{i}"),
            });
        }
    }
    for (i, member) in after.iter().enumerate() {
        if !before.contains(member) {
            ops.push(PatchOp::Add {
                path: format!("{path}/{i}"),
                value: json!(member),
            });
        }
    }
}

fn diff_queue(before: &[TrackId], after: &[TrackId], ops: &mut Vec<PatchOp>) {
    let value_at = |at: usize| json!(after[at]);
    match list_ops("/queue", before, after, value_at) {
        Some(list_ops) => ops.extend(list_ops),
        None => ops.push(PatchOp::Replace {
            path: "/queue".into(),
            value: json!(after),
        }),
    }
}

fn diff_picks(before: &[Pick], after: &[Pick], ops: &mut Vec<PatchOp>) {
    let tracks = |picks: &[Pick]| picks.iter().map(|pick| pick.track_id).collect::<Vec<_>>();
    let value_at = |at: usize| json!(after[at]);
    match list_ops("/picks", &tracks(before), &tracks(after), value_at) {
        Some(list_ops) => ops.extend(list_ops),
        None => {
            ops.push(PatchOp::Replace {
                path: "/picks".into(),
                value: json!(after),
            });
            return;
        }
    }
    let old: HashMap<_, _> = before.iter().map(|pick| (pick.track_id, pick)).collect();
    for (at, pick) in after.iter().enumerate() {
        if old.get(&pick.track_id).is_some_and(|old| *old != pick) {
            ops.push(PatchOp::Replace {
                path: format!("/picks/{at}"),
                value: json!(pick),
            });
        }
    }
}

/// The operations that turn a list of the tracks `before` into one of the tracks `after`. No track is in a list twice. `value_at`
/// returns the element at an index of the new list. `None` if more than [`MAX_LIST_OPS`] operations are needed.
fn list_ops(
    path: &str,
    before: &[TrackId],
    after: &[TrackId],
    value_at: impl Fn(usize) -> Value,
) -> Option<Vec<PatchOp>> {
    if before == after {
        return Some(Vec::new());
    }
    let (old, new): (HashSet<_>, HashSet<_>) = (before.iter().collect(), after.iter().collect());
    let mut list: Vec<_> = before.to_vec();
    list.retain(|track| new.contains(track));
    let mut remaining: Vec<_> = after.to_vec();
    remaining.retain(|track| old.contains(track));
    let changes = before.len() + after.len() - 2 * list.len();
    let moved = moved_tracks(&list, &remaining, MAX_LIST_OPS.checked_sub(changes)?)?;
    let element = |at: usize| format!("{path}/{at}");
    let removed = before
        .iter()
        .enumerate()
        .rev()
        .filter(|(_, track)| !new.contains(track));
    let mut ops: Vec<_> = removed
        .map(|(at, _)| PatchOp::Remove { path: element(at) })
        .collect();
    // The places of the moved tracks are final in the order of the new list: each track then follows its predecessor there.
    for (at, track) in remaining.iter().enumerate() {
        if !moved.contains(track) {
            continue;
        }
        let from = list.iter().position(|listed| listed == track)?;
        list.remove(from);
        let predecessor = at.checked_sub(1).map(|before| remaining[before]);
        let to = match predecessor {
            Some(predecessor) => 1 + list.iter().position(|listed| *listed == predecessor)?,
            None => 0,
        };
        list.insert(to, *track);
        ops.push(PatchOp::Move {
            from: element(from),
            path: element(to),
        });
    }
    let added = after.iter().enumerate();
    let added = added.filter(|(_, track)| !old.contains(track));
    ops.extend(added.map(|(at, _)| PatchOp::Add {
        path: element(at),
        value: value_at(at),
    }));
    Some(ops)
}

/// The smallest set of tracks that must move to turn the list `before` into `after`, which has the same tracks: those outside of a
/// longest increasing subsequence. `None` if they are more than `limit`.
fn moved_tracks(before: &[TrackId], after: &[TrackId], limit: usize) -> Option<HashSet<TrackId>> {
    let first = before.iter().zip(after).position(|(a, b)| a != b);
    let Some(first) = first else {
        return Some(HashSet::new());
    };
    let last = before.iter().zip(after).rposition(|(a, b)| a != b)?;
    let (before, after) = (&before[first..=last], &after[first..=last]);
    let old_places: HashMap<_, _> = before.iter().zip(0_usize..).collect();
    let places: Vec<usize> = after.iter().map(|track| old_places[track]).collect();
    // For each length, the index of the smallest last element of the subsequences with that length.
    let mut ends: Vec<usize> = Vec::new();
    let mut predecessors = vec![None; places.len()];
    for (at, place) in places.iter().enumerate() {
        let length = ends.partition_point(|end| places[*end] < *place);
        predecessors[at] = length.checked_sub(1).map(|length| ends[length]);
        match ends.get_mut(length) {
            Some(end) => *end = at,
            None => ends.push(at),
        }
    }
    if places.len() - ends.len() > limit {
        return None;
    }
    let mut moved: HashSet<_> = after.iter().copied().collect();
    let mut at = ends.last().copied();
    while let Some(unmoved) = at {
        moved.remove(&after[unmoved]);
        at = predecessors[unmoved];
    }
    Some(moved)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(numbers: &[u64]) -> Vec<TrackId> {
        numbers.iter().copied().map(TrackId).collect()
    }

    /// Applies the patch with the `json-patch` crate, an independent implementation of RFC 6902.
    fn patched(before: &[TrackId], after: &[TrackId]) -> (Value, Vec<PatchOp>) {
        let mut ops = Vec::new();
        diff_queue(before, after, &mut ops);
        let mut document = json!({ "queue": before });
        let patch: json_patch::Patch = serde_json::from_value(json!(ops)).unwrap();
        json_patch::patch(&mut document, &patch).unwrap();
        (document["queue"].clone(), ops)
    }

    #[test]
    fn nudge_in_a_large_queue_is_a_single_move() {
        let before: Vec<_> = (0..10_000).map(TrackId).collect();
        for (from, to) in [(9_000, 3), (3, 9_000), (5, 6), (6, 5)] {
            let mut after = before.clone();
            let track = after.remove(from);
            after.insert(to, track);
            let (result, ops) = patched(&before, &after);
            assert_eq!(result, json!(after), "from {from} to {to}");
            assert_eq!(ops.len(), 1, "from {from} to {to}");
        }
    }

    #[test]
    fn few_moved_tracks_are_moves_and_many_a_replacement() {
        let before: Vec<_> = (0..10_000).map(TrackId).collect();
        for (count, expected_ops) in [(12, 12), (MAX_LIST_OPS, MAX_LIST_OPS), (65, 1), (500, 1)] {
            let mut after = before.clone();
            let moved: Vec<_> = after.drain(9_000..9_000 + count).collect();
            after.splice(17..17, moved);
            let (result, ops) = patched(&before, &after);
            assert_eq!(result, json!(after), "{count} tracks");
            assert_eq!(ops.len(), expected_ops, "{count} tracks");
        }
    }

    #[test]
    fn picks_are_patched_one_by_one() {
        let pick = |n: u64, by| Pick::new(TrackId(n), Some(MemberId(by)));
        for (before, after, expected_ops) in [
            (vec![], vec![pick(1, 1), pick(2, 1)], 2),
            (
                vec![pick(1, 1), pick(2, 2), pick(3, 3)],
                vec![pick(3, 3), pick(1, 1)],
                2,
            ),
            (
                vec![pick(1, 1), pick(2, 2)],
                vec![pick(2, 1), pick(9, 3), pick(1, 1)],
                3,
            ),
            ((0..90).map(|n| pick(n, 1)).collect(), vec![], 1),
        ] {
            let mut ops = Vec::new();
            diff_picks(&before, &after, &mut ops);
            let mut document = json!({ "picks": before });
            let patch: json_patch::Patch = serde_json::from_value(json!(ops)).unwrap();
            json_patch::patch(&mut document, &patch).unwrap();
            assert_eq!(document["picks"], json!(after));
            assert_eq!(ops.len(), expected_ops, "{ops:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_list_becomes_any_other_one(before in random_list(), after in random_list()) {
            let (result, _) = patched(&before, &after);
            proptest::prop_assert_eq!(result, json!(after));
        }
    }

    fn random_list() -> impl proptest::strategy::Strategy<Value = Vec<TrackId>> {
        use proptest::prelude::*;
        let all = (0..20).map(TrackId).collect::<Vec<_>>();
        proptest::sample::subsequence(all, 0..=20).prop_shuffle()
    }

    #[test]
    fn added_and_removed_tracks_are_patched_in_place() {
        for (before, after) in [
            (vec![], vec![1, 2]),
            (vec![1, 2, 3], vec![]),
            (vec![1, 2, 3, 4], vec![2, 9, 4, 8]),
            (vec![1, 2, 3], vec![3, 2, 1]),
            (vec![1], vec![2]),
        ] {
            let (before, after) = (ids(&before), ids(&after));
            assert_eq!(
                patched(&before, &after).0,
                json!(after),
                "{before:?} to {after:?}"
            );
        }
    }
}
