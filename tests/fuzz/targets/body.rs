//! The bodies of all requests: whatever is taken from one leaves a sound room behind.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use lockstep::http::fuzzing::command;
use lockstep::room::{MemberId, Moment, Room, apply};
use lockstep::store;

/// The first byte of the input says which.
const NAMES: [&str; 14] = [
    "play",
    "pause",
    "seek",
    "next",
    "nudge",
    "ack-download",
    "start-now",
    "pair",
    "rename",
    "unpair",
    "tune",
    "tuning",
    "sync",
    "leave",
];

static ROOM: LazyLock<Room> = LazyLock::new(|| {
    store::parse(include_bytes!("../../../state.json.example")).expect("the example is sound")
});

fuzz_target!(|input: &[u8]| {
    let Some((name, body)) = input.split_first() else {
        return;
    };
    let name = NAMES[usize::from(*name) % NAMES.len()];
    let if_match = ROOM.durable.event_count;
    let Some(command) = command(name, body, MemberId(1), if_match) else {
        return;
    };
    let at = Moment {
        now_ms: 1e6,
        lead_ms: 150.0,
        aligned: true,
    };
    if let Ok((room, _)) = apply(&ROOM, &command, at) {
        assert_eq!(room.check(), Ok(()), "{command:?}");
        let written = store::spell(&room).expect("JSON");
        let read = store::parse(&written).expect("what was written is sound");
        assert_eq!(read.durable, room.durable, "{command:?}");
    }
});
