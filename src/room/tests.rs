//! Tests of single commands: the events that a command causes, and the room after it. This file contains the helper
//! functions.

mod barriers;
mod devices;
mod lengths;
mod levelling;
mod pick_order;
mod picks;
mod playback;
mod rules;
mod segue;

use std::sync::Arc;

use super::*;

const CONTEXT: ApplyContext = ApplyContext {
    now_ms: 1_000.0,
    lead_ms: 150.0,
    has_timed_starts: true,
};

fn at(now_ms: f64) -> ApplyContext {
    ApplyContext { now_ms, ..CONTEXT }
}

/// A room with tracks 1 to 3 of 60 s each, and with `members` devices that are paired, listen and hold all tracks.
fn room(members: u32) -> Room {
    let mut room = Room::default();
    let catalog = TrackCatalog::new((1..=3).map(|n| (TrackId(n), 60.0)));
    run(&mut room, Command::Library(Arc::new(catalog)));
    for n in 1..=members {
        add_listener(&mut room, n);
        for track in 1..=3 {
            send(&mut room, n, ack(track));
        }
    }
    room
}

fn pair(n: u32) -> Command {
    Command::Pair {
        name: String::new(),
        token_hash: TokenHash([n as u8; 32]),
    }
}

fn arrive(n: u32, playback: Option<ReportedPlayback>) -> Command {
    let member = MemberId(n);
    Command::Arrive { member, playback }
}

/// Pairs device `n` and adds it as a listener that holds no track.
fn add_listener(room: &mut Room, n: u32) {
    run(room, pair(n));
    run(room, arrive(n, None));
}

fn ack(track: u64) -> Control {
    let track_id = TrackId(track);
    Control::AckDownload {
        track_id,
        playable: true,
        duration_sec: None,
    }
}

/// Applies a command that must be accepted, and returns the names of its events.
fn run_at(room: &mut Room, command: Command, context: ApplyContext) -> Vec<&'static str> {
    let (next, events) = apply(room, &command, context).unwrap();
    *room = next;
    assert_eq!(room.check(), Ok(()), "after {command:?}");
    events.iter().map(|event| event.kind.name()).collect()
}

fn run(room: &mut Room, command: Command) -> Vec<&'static str> {
    run_at(room, command, CONTEXT)
}

/// Applies a device's request for the current event count, and returns the names of its events.
fn send_at(
    room: &mut Room,
    member: u32,
    control: Control,
    context: ApplyContext,
) -> Vec<&'static str> {
    let if_match = room.durable.event_count;
    run_at(
        room,
        Command::Control {
            member: MemberId(member),
            if_match,
            control,
        },
        context,
    )
}

fn send(room: &mut Room, member: u32, control: Control) -> Vec<&'static str> {
    send_at(room, member, control, CONTEXT)
}
