//! What must hold after every step of every history.

use lockstep::room::{Command, Departure, Event, Library, Mode, Moment, Room, TrackId, apply};
use serde_json::{Value, json};

/// Checks the step that led from `before` by `events` to `after`.
pub(crate) fn check(before: &Room, events: &[Event], after: &Room, at: Moment) {
    patches_lead_from_one_to_the_other(before, events, after);
    the_ring_is_what_a_naive_one_would_be(before, events, after);
    members_only_shrink(before, events, after);
    the_room_makes_sense(after);
    if after.durable.barrier.is_some() {
        the_barrier_ends(after, at);
    }
}

/// The durable state as a snapshot has it, without the count.
fn snapshot(room: &Room) -> Value {
    let mut snapshot = json!(room.durable);
    let count = snapshot
        .as_object_mut()
        .and_then(|object| object.remove("eventCount"));
    assert!(count.is_some());
    snapshot
}

fn patches_lead_from_one_to_the_other(before: &Room, events: &[Event], after: &Room) {
    let mut folded = snapshot(before);
    for (event, count) in events.iter().zip(before.durable.event_count + 1..) {
        assert_eq!(event.event_count, count, "events are numbered without gaps");
        let patch: json_patch::Patch =
            serde_json::from_value(json!(event.patch)).expect("a JSON Patch");
        json_patch::patch(&mut folded, &patch).expect("a patch that applies");
    }
    let expected = before.durable.event_count + events.len() as u64;
    assert_eq!(after.durable.event_count, expected, "each event adds one");
    assert_eq!(folded, snapshot(after), "the patches lead elsewhere");
}

/// The ring as nobody could get it wrong: the current track first, then what is heard after it.
fn heard(room: &Room) -> Vec<TrackId> {
    let mut ring = room.durable.queue.to_vec();
    ring.rotate_left(room.durable.queue_index);
    ring
}

fn the_ring_is_what_a_naive_one_would_be(before: &Room, events: &[Event], after: &Room) {
    let mut ring = heard(before);
    for event in events {
        follow(&mut ring, event, &after.library);
    }
    assert_eq!(heard(after), ring, "the ring");
    let mut sorted = (ring, after.library.order().to_vec());
    sorted.0.sort();
    sorted.1.sort();
    assert_eq!(
        sorted.0, sorted.1,
        "the queue is a permutation of the library"
    );
}

fn follow(ring: &mut Vec<TrackId>, event: &Event, library: &Library) {
    match event.kind.name() {
        "queue.advanced" => ring.rotate_left(1),
        "queue.nudged" => {
            let payload = json!(event.kind);
            let track = serde_json::from_value(payload["trackId"].clone()).expect("a track");
            ring.retain(|other| *other != track);
            ring.insert(1, track);
        }
        "library.changed" => {
            ring.retain(|track| library.contains(*track));
            let new = library.order().iter().filter(|track| !ring.contains(track));
            let new: Vec<_> = new.copied().collect();
            ring.extend(new);
        }
        _ => {}
    }
}

/// Between two openings.
fn members_only_shrink(before: &Room, events: &[Event], after: &Room) {
    let opened = events
        .iter()
        .any(|event| event.kind.name() == "barrier.opened");
    if let (Some(was), Some(is), false) = (&before.durable.barrier, &after.durable.barrier, opened)
    {
        assert!(is.members.is_subset(&was.members), "{was:?} became {is:?}");
    }
}

fn the_room_makes_sense(room: &Room) {
    assert_eq!(room.check(), Ok(()));
    let somebody = !room.live.listeners.is_empty();
    let playing = room.durable.play_state.mode == Mode::Playing;
    assert_eq!(
        room.live.needle_ms.is_some(),
        playing && somebody,
        "music moves exactly when it plays and somebody is there"
    );
    if let Some(barrier) = &room.durable.barrier {
        let complete = barrier.members == barrier.ready;
        assert!(
            !(complete && somebody),
            "nobody is missing, and it is still open"
        );
    }
}

/// Whatever phones do from here, or fail to do: the hub's own patience ends the wait.
fn the_barrier_ends(room: &Room, at: Moment) {
    let mut room = room.clone();
    let take = |room: &mut Room, command| {
        *room = apply(room, &command, at)
            .expect("the hub's own commands are accepted")
            .0;
    };
    if room.live.listeners.is_empty() {
        let Some(member) = room.durable.clients.keys().next().copied() else {
            return;
        };
        take(&mut room, Command::Arrive { member, held: None });
    }
    let members = room
        .durable
        .barrier
        .iter()
        .flat_map(|barrier| barrier.members.clone());
    for member in members.collect::<Vec<_>>() {
        let command = if room.live.listeners.contains(&member) {
            Command::Excuse { member }
        } else {
            Command::Depart {
                member,
                how: Departure::Vanished,
            }
        };
        take(&mut room, command);
    }
    assert_eq!(room.durable.barrier, None, "a barrier that nothing ends");
}
