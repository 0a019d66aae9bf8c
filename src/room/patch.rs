//! The JSON Patch (RFC 6902) from one durable state to another, `eventCount` aside.
//!
//! It is computed from the two states, not noted down by whoever changed them, so it cannot
//! forget anything. It knows the state's shape: a queue of ten thousand tracks costs one
//! `move`, not ten thousand `replace`s.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use super::id::{MemberId, TrackId};
use super::state::{Barrier, Durable};

/// One operation of a JSON Patch.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
#[expect(missing_docs, reason = "the fields are RFC 6902's own words")]
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

/// With more changes than this, the whole queue is the shorter patch.
const MOST_QUEUE_OPS: usize = 64;

/// The patch that turns a snapshot of `before` into one of `after`.
pub(super) fn between(before: &Durable, after: &Durable) -> Vec<PatchOp> {
    let mut ops = Vec::new();
    if !Arc::ptr_eq(&before.queue, &after.queue) {
        queue(&before.queue, &after.queue, &mut ops);
    }
    replaced(
        "/queueIndex",
        &before.queue_index,
        &after.queue_index,
        &mut ops,
    );
    let (was, is) = (before.play_state, after.play_state);
    replaced("/playState/mode", &was.mode, &is.mode, &mut ops);
    replaced(
        "/playState/anchorPositionSec",
        &was.anchor_position_sec,
        &is.anchor_position_sec,
        &mut ops,
    );
    match (&before.barrier, &after.barrier) {
        (Some(was), Some(is)) if (was.kind, was.track_id) == (is.kind, is.track_id) => {
            members("/barrier/members", &was.members, &is.members, &mut ops);
            members("/barrier/ready", &was.ready, &is.ready, &mut ops);
        }
        (was, is) => replaced::<Option<Barrier>>("/barrier", was, is, &mut ops),
    }
    if !Arc::ptr_eq(&before.clients, &after.clients) {
        for member in before.clients.keys() {
            if !after.clients.contains_key(member) {
                ops.push(PatchOp::Remove {
                    path: format!("/clients/{member}"),
                });
            }
        }
        for (member, client) in after.clients.iter() {
            if before.clients.get(member) != Some(client) {
                // `add` replaces what is there already (RFC 6902, section 4.1).
                ops.push(PatchOp::Add {
                    path: format!("/clients/{member}"),
                    value: json!(client),
                });
            }
        }
    }
    ops
}

fn replaced<T: PartialEq + Serialize>(path: &str, before: &T, after: &T, ops: &mut Vec<PatchOp>) {
    if before != after {
        ops.push(PatchOp::Replace {
            path: path.into(),
            value: json!(after),
        });
    }
}

/// Two sorted lists: what left is removed from the back, so that indices stay true, and what
/// came is added from the front, at its final place.
fn members(
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

fn queue(before: &[TrackId], after: &[TrackId], ops: &mut Vec<PatchOp>) {
    if before == after {
        return;
    }
    let small = moved(before, after)
        .map(|op| vec![op])
        .or_else(|| removed_and_added(before, after));
    match small {
        Some(few) => ops.extend(few),
        None => ops.push(PatchOp::Replace {
            path: "/queue".into(),
            value: json!(after),
        }),
    }
}

/// The one `move` that makes `after` from `before`, if one does.
fn moved(before: &[TrackId], after: &[TrackId]) -> Option<PatchOp> {
    if before.len() != after.len() {
        return None;
    }
    let first = before.iter().zip(after).position(|(a, b)| a != b)?;
    let last = before.iter().zip(after).rposition(|(a, b)| a != b)?;
    let (was, is) = (&before[first..=last], &after[first..=last]);
    let (from, to) = if was[..was.len() - 1] == is[1..] && was.last() == is.first() {
        (last, first)
    } else if was[1..] == is[..is.len() - 1] && was.first() == is.last() {
        (first, last)
    } else {
        return None;
    };
    Some(PatchOp::Move {
        from: format!("/queue/{from}"),
        path: format!("/queue/{to}"),
    })
}

/// Removals and additions that make `after` from `before`, if those that stay keep their
/// order and there are not too many.
fn removed_and_added(before: &[TrackId], after: &[TrackId]) -> Option<Vec<PatchOp>> {
    let (old, new): (HashSet<_>, HashSet<_>) = (before.iter().collect(), after.iter().collect());
    let stays: Vec<_> = before.iter().filter(|track| new.contains(track)).collect();
    let changes = before.len() + after.len() - 2 * stays.len();
    if changes > MOST_QUEUE_OPS || !after.iter().filter(|track| old.contains(track)).eq(stays) {
        return None;
    }
    let gone = before
        .iter()
        .enumerate()
        .rev()
        .filter(|(_, track)| !new.contains(track));
    let come = after
        .iter()
        .enumerate()
        .filter(|(_, track)| !old.contains(track));
    Some(
        gone.map(|(i, _)| PatchOp::Remove {
            path: format!("/queue/{i}"),
        })
        .chain(come.map(|(i, track)| PatchOp::Add {
            path: format!("/queue/{i}"),
            value: json!(track),
        }))
        .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(numbers: &[u64]) -> Vec<TrackId> {
        numbers.iter().copied().map(TrackId).collect()
    }

    /// Applies the patch with another's implementation of RFC 6902.
    fn patched(before: &[TrackId], after: &[TrackId]) -> (Value, Vec<PatchOp>) {
        let mut ops = Vec::new();
        queue(before, after, &mut ops);
        let mut document = json!({ "queue": before });
        let patch: json_patch::Patch = serde_json::from_value(json!(ops)).unwrap();
        json_patch::patch(&mut document, &patch).unwrap();
        (document["queue"].clone(), ops)
    }

    #[test]
    fn a_nudge_in_a_large_queue_is_one_move() {
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
    fn tracks_that_come_and_go_are_added_and_removed_in_place() {
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
