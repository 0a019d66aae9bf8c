//! Fuzzes the request bodies of all commands. A room after an accepted command must fulfil its invariants, and must be the same
//! after it has been saved and loaded.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use lockstep::http::fuzzing::command;
use lockstep::room::{ApplyContext, MemberId, Room, apply};
use lockstep::store;

/// Names of the commands. The first byte of the input selects one.
const COMMAND_NAMES: [&str; 31] = [
    "play",
    "pause",
    "seek",
    "next",
    "previous",
    "play-now",
    "nudge",
    "pick",
    "unpick",
    "move",
    "shuffle",
    "sort",
    "undo",
    "ack-download",
    "start-now",
    "rules",
    "hosts",
    "dj",
    "dj/random",
    "vote-dj",
    "vote-skip",
    "vote-pick",
    "pair",
    "rename",
    "unpair",
    "tune",
    "tuning",
    "chat",
    "react",
    "sync",
    "leave",
];

static ROOM: LazyLock<Room> = LazyLock::new(|| {
    store::parse(include_bytes!("../../../state.json.example"))
        .expect("state.json.example must be valid")
});

fuzz_target!(|input: &[u8]| {
    let Some((selector, body)) = input.split_first() else {
        return;
    };
    let name = COMMAND_NAMES[usize::from(*selector) % COMMAND_NAMES.len()];
    let event_count = ROOM.durable.event_count;
    let Some(command) = command(name, body, MemberId(1), event_count) else {
        return;
    };
    let context = ApplyContext {
        now_ms: 1e6,
        lead_ms: 150.0,
        has_timed_starts: true,
    };
    if let Ok((room, _)) = apply(&ROOM, &command, context) {
        assert_eq!(room.check(), Ok(()), "{command:?}");
        let serialized = store::serialize(&room).expect("every room must be serializable");
        let loaded = store::parse(&serialized).expect("a serialized state must be valid");
        assert_eq!(loaded.durable, room.durable, "{command:?}");
    }
});
