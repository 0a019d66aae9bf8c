//! The invariants of the core, checked after every command of every history.
//!
//! `expected_rejection` states which commands must be rejected, `expected_events` which events a command must cause,
//! `expected_rules` what the rules of the room permit, `pick_places` when each pick came and the order of the picks,
//! `event_effects` how each event changes the visible state, and `hidden_state` what becomes of the state that no event describes. These modules derive the expected result from the room before the command, and compare it with the result of
//! the core.

mod event_effects;
mod expected_events;
mod expected_rejection;
mod expected_rules;
mod hidden_state;
mod pick_places;
mod visible_state;

use lockstep::room::{
    ApplyContext, Command, Control, Departure, Event, MemberId, Mode, Rejection, Room, apply,
};
use serde_json::{Value, json};

use event_effects::EventReplay;
use expected_events::Expectation;
use visible_state::VisibleState;

/// Applies the command, and checks the rejection, or else the events and the room that result.
pub(crate) fn apply_checked(
    room: &Room,
    command: &Command,
    context: ApplyContext,
) -> Result<(Room, Vec<Event>), Rejection> {
    let result = apply(room, command, context);
    let rejection = result.as_ref().err().copied();
    assert_eq!(
        rejection,
        expected_rejection::expected_rejection(room, command, context),
        "rejection of {command:?}"
    );
    let (after, events) = result?;
    let expectation = Expectation::new(room, command, context);
    let names: Vec<_> = events.iter().map(|event| event.kind.name()).collect();
    assert_eq!(names, expectation.events(), "events of {command:?}");
    let replay = check_events(&expectation, &events, &after);
    expectation.check_live(&replay, &after);
    expectation.check_private(&events, &after);
    expectation.check_pick_places(&after);
    expectation.check_pick_order(&after);
    check_room(&after);
    expected_rules::check_nobody_is_locked_out(&after, context);
    if let Command::Control { member, .. } = command {
        check_undo(room, &after, *member, context);
    }
    if after.durable.barrier.is_some() && after.durable.barrier != room.durable.barrier {
        check_barrier_ends(&after, context);
    }
    Ok((after, events))
}

/// Simulates a restart of the process: saves the room, restores it from the saved text, and applies the same catalog.
pub(crate) fn restart(room: &Room, context: ApplyContext) -> Room {
    let saved = json!([room.durable, room.private]).to_string();
    let (durable, private) = serde_json::from_str(&saved).expect("a saved state can be loaded");
    let restored = Room::restore(durable, private);
    assert_eq!(restored.durable, room.durable);
    assert_eq!(restored.private, room.private);
    let live = &restored.live;
    assert!(live.listeners.is_empty());
    assert!(live.device_tracks.is_empty());
    assert_eq!((live.anchor_at_ms, live.segue), (None, None));
    let playing = room.durable.play_state.mode == Mode::Playing;
    assert_eq!(
        live.position_unknown_until_ms,
        playing.then_some(f64::INFINITY),
        "the position is unknown after a restart during playback"
    );
    let library = Command::Library(room.catalog.clone());
    apply_checked(&restored, &library, context)
        .expect("a library is always accepted")
        .0
}

/// The durable state as a snapshot contains it, without `eventCount`.
fn snapshot(room: &Room) -> Value {
    let mut snapshot = json!(room.durable);
    let count = snapshot
        .as_object_mut()
        .and_then(|object| object.remove("eventCount"));
    assert!(count.is_some());
    snapshot
}

/// Applies each event's patch as a device does, and checks that the result is the state that the event must lead to.
fn check_events<'a>(
    expectation: &'a Expectation,
    events: &[Event],
    after: &Room,
) -> EventReplay<'a> {
    let before = expectation.room;
    let mut replay = EventReplay::new(expectation);
    let expected_count = before.durable.event_count + events.len() as u64;
    assert_eq!(
        after.durable.event_count, expected_count,
        "each event adds 1 to the count"
    );
    if events.is_empty() {
        assert_eq!(
            after.durable, before.durable,
            "the durable state changes only by events"
        );
        return replay;
    }
    let mut patched = snapshot(before);
    for (event, count) in events.iter().zip(before.durable.event_count + 1..) {
        assert_eq!(event.event_count, count, "events are numbered without gaps");
        let patch: json_patch::Patch =
            serde_json::from_value(json!(event.patch)).expect("a valid JSON Patch");
        json_patch::patch(&mut patched, &patch).expect("the patch applies");
        replay.apply(&event.kind, after);
        assert_eq!(
            event.by,
            expectation.sender(&event.kind),
            "who caused {:?}",
            event.kind
        );
        let visible = VisibleState::from_snapshot(&patched);
        assert!(visible.do_picks_follow_current(), "after {:?}", event.kind);
        assert_eq!(visible, replay.visible, "the state after {:?}", event.kind);
    }
    assert_eq!(
        patched,
        snapshot(after),
        "the patches must turn the snapshot before into the snapshot after the command"
    );
    replay
}

/// Checks the invariants of a room at rest, between two commands.
fn check_room(room: &Room) {
    assert_eq!(room.check(), Ok(()));
    let mut tracks = (room.durable.queue.to_vec(), room.catalog.order().to_vec());
    tracks.0.sort();
    tracks.1.sort();
    assert_eq!(
        tracks.0, tracks.1,
        "the queue is a permutation of the catalog"
    );
    let any_listener = !room.live.listeners.is_empty();
    let playing = room.durable.play_state.mode == Mode::Playing;
    assert_eq!(
        room.live.anchor_at_ms.is_some(),
        playing && any_listener,
        "playback advances exactly while the mode is playing and a device listens"
    );
    if let Some(barrier) = &room.durable.barrier {
        let is_complete = barrier.members == barrier.ready;
        assert!(
            !(is_complete && any_listener),
            "a complete barrier is released"
        );
    }
}

/// Checks that the sender can undo a change of the queue at once, and that this restores the room before the change, but for a pick
/// that was first because of a promise that the change has ended.
fn check_undo(before: &Room, after: &Room, member: MemberId, context: ApplyContext) {
    if after.live.undo.is_none() || after.live.undo == before.live.undo {
        return;
    }
    let undo = Command::Control {
        member,
        if_match: after.durable.event_count,
        control: Control::Undo,
    };
    let (undone, _) = apply(after, &undo, context).expect("the last change can be undone");
    let (old, new) = (&before.durable, &undone.durable);
    let promised = after.live.segue.map(|segue| segue.track_id);
    let places = &before.private.pick_places;
    let mut expected = VisibleState::of(before);
    expected.picks = pick_places::sorted(&old.picks, old.rules.order, places, promised);
    if expected.picks == *old.picks {
        assert_eq!((&old.queue, old.queue_index), (&new.queue, new.queue_index));
    } else {
        expected.place_picks();
        assert_eq!(expected.ring, VisibleState::of(&undone).ring);
    }
    assert_eq!(
        (&expected.picks, old.picked_by),
        (&*new.picks, new.picked_by)
    );
    assert_eq!(before.private.pick_places, undone.private.pick_places);
    assert_eq!(old.gain_db, new.gain_db);
    let position_sec = before.position_sec(context.now_ms);
    let has_restarted = after
        .live
        .undo
        .as_ref()
        .is_some_and(|undo| undo.playback.is_some());
    if has_restarted {
        // The change of the track ends the validity of a length that the catalog has shortened.
        let track = undone.current_track_id().expect("a current track");
        let stated_sec = undone.catalog.duration_sec(track).unwrap_or(f64::INFINITY);
        let length_sec = after.live.decoded_lengths.length_sec(track, stated_sec);
        assert_eq!(
            undone.durable.play_state.anchor_position_sec,
            position_sec.min(length_sec)
        );
        let is_starting = new.barrier.is_some() || new.play_state.mode == Mode::Playing;
        assert!(
            is_starting,
            "a barrier has opened, and may have been released"
        );
    } else {
        assert_eq!(old.play_state, new.play_state);
        assert_eq!(old.barrier, new.barrier);
        assert_eq!(undone.position_sec(context.now_ms), position_sec);
    }
    check_room(&undone);
}

/// Checks that the commands that the hub sends itself end the barrier, without any request from a device.
fn check_barrier_ends(room: &Room, context: ApplyContext) {
    let mut room = room.clone();
    let apply = |room: &mut Room, command| {
        *room = apply(room, &command, context)
            .expect("the hub's own commands are accepted")
            .0;
    };
    if room.live.listeners.is_empty() {
        let Some(member) = room.durable.clients.keys().next().copied() else {
            return;
        };
        let playback = None;
        apply(&mut room, Command::Arrive { member, playback });
    }
    let members = room
        .durable
        .barrier
        .iter()
        .flat_map(|barrier| barrier.members.clone());
    for member in members.collect::<Vec<_>>() {
        let command = if room.live.listeners.contains(&member) {
            Command::DropStalled { member }
        } else {
            Command::Depart {
                member,
                how: Departure::Vanished,
            }
        };
        apply(&mut room, command);
    }
    assert_eq!(room.durable.barrier, None, "every barrier ends");
}
