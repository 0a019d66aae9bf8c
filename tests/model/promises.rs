//! What must hold after every step of every history.
//!
//! `asked` says, in the plainest terms, what a command must cause; `story` what each event means; `unseen` what changes
//! besides. None looks at what the core made of it: that is compared with them, event by event.

mod asked;
mod story;
mod unseen;

use lockstep::room::{Command, Departure, Event, Mode, Moment, Rejection, Room, apply};
use serde_json::{Value, json};

use asked::Asked;
use story::{Story, View};

/// Applies the command, and checks everything about how the room took it.
pub(crate) fn take(
    room: &Room,
    command: &Command,
    at: Moment,
) -> Result<(Room, Vec<Event>), Rejection> {
    let taken = apply(room, command, at);
    let refused = taken.as_ref().err().copied();
    assert_eq!(
        refused,
        asked::must_refuse(room, command),
        "whether {command:?} is refused"
    );
    let (after, events) = taken?;
    let asked = Asked::new(room, command, at);
    let names: Vec<_> = events.iter().map(|event| event.kind.name()).collect();
    assert_eq!(names, asked.must_cause(), "what {command:?} causes");
    let story = every_event_does_what_it_says(&asked, &events, &after);
    asked.check_live(&story, &after);
    asked.check_private(&events, &after);
    the_room_makes_sense(&after);
    if after.durable.barrier.is_some() && after.durable.barrier != room.durable.barrier {
        the_barrier_ends(&after, at);
    }
    Ok((after, events))
}

/// The process ends; what was written is all that the next one finds, and the library is still the same.
pub(crate) fn restart(room: &Room, at: Moment) -> Room {
    let written = json!([room.durable, room.private]).to_string();
    let (durable, private) = serde_json::from_str(&written).expect("what was written can be read");
    let found = Room::restore(durable, private);
    assert_eq!(found.durable, room.durable, "read as it was written");
    assert_eq!(found.private, room.private, "read as it was written");
    let live = &found.live;
    assert!(live.listeners.is_empty(), "nobody is there yet");
    assert!(live.holdings.is_empty(), "nobody has said anything yet");
    assert_eq!((live.needle_ms, live.segue), (None, None), "nothing moves");
    let playing = room.durable.play_state.mode == Mode::Playing;
    assert_eq!(
        live.place_lost_until_ms,
        playing.then_some(f64::INFINITY),
        "in mid-song, the place is lost"
    );
    let library = Command::Library(room.library.clone());
    take(&found, &library, at)
        .expect("a library is always followed")
        .0
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

/// A phone that folds the patches sees, after each single event, what that event says.
fn every_event_does_what_it_says<'a>(
    asked: &'a Asked,
    events: &[Event],
    after: &Room,
) -> Story<'a> {
    let before = asked.room;
    let mut story = Story::new(asked);
    let expected = before.durable.event_count + events.len() as u64;
    assert_eq!(after.durable.event_count, expected, "each event adds one");
    if events.is_empty() {
        assert_eq!(after.durable, before.durable, "a change without an event");
        return story;
    }
    let mut folded = snapshot(before);
    for (event, count) in events.iter().zip(before.durable.event_count + 1..) {
        assert_eq!(event.event_count, count, "events are numbered without gaps");
        let patch: json_patch::Patch =
            serde_json::from_value(json!(event.patch)).expect("a JSON Patch");
        json_patch::patch(&mut folded, &patch).expect("a patch that applies");
        story.tell(&event.kind);
        let seen = View::read(&folded);
        assert_eq!(seen, story.view, "what phones see after {:?}", event.kind);
    }
    assert_eq!(folded, snapshot(after), "the patches lead elsewhere");
    story
}

fn the_room_makes_sense(room: &Room) {
    assert_eq!(room.check(), Ok(()));
    let mut tracks = (room.durable.queue.to_vec(), room.library.order().to_vec());
    tracks.0.sort();
    tracks.1.sort();
    assert_eq!(
        tracks.0, tracks.1,
        "the queue is a permutation of the library"
    );
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
