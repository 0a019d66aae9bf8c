//! Fuzzes the state file. Each room that can be loaded must be the same after it has been saved and loaded, and must fulfil its
//! invariants after each accepted command.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use lockstep::room::{
    ApplyContext, Command, Control, Departure, MemberId, Room, TokenHash, TrackCatalog, TrackId,
    apply,
};
use lockstep::store::{parse, serialize};

/// No commands are applied to states with a higher event count, because their events could exceed the highest valid count.
const MAX_EVENT_COUNT: u64 = 1 << 52;
/// No commands are applied to states with a higher member number, because a pairing could exceed the highest valid number.
const MAX_MEMBER_NUMBER: u32 = 1 << 30;

fuzz_target!(|input: &[u8]| {
    let Ok(mut room) = parse(input) else {
        return;
    };
    check_round_trip(&room);
    if room.durable.event_count > MAX_EVENT_COUNT || room.private.last_member > MAX_MEMBER_NUMBER {
        return;
    }
    let mut now_ms = 0.0;
    for command in commands(&room) {
        now_ms += 1e4;
        let context = ApplyContext {
            now_ms,
            lead_ms: 150.0,
            has_timed_starts: true,
        };
        if let Ok((next, _)) = apply(&room, &command, context) {
            assert_eq!(next.check(), Ok(()), "after {command:?}");
            room = next;
        }
    }
    check_round_trip(&room);
});

/// Asserts that the room is the same after it has been saved and loaded.
fn check_round_trip(room: &Room) {
    let loaded = parse(&serialize(room).expect("every room must be serializable"))
        .expect("a saved state must be valid");
    assert_eq!(loaded.durable, room.durable);
    assert_eq!(loaded.private.token_hashes, room.private.token_hashes);
}

/// Commands of every kind. Depending on the room, some of them are refused.
fn commands(room: &Room) -> Vec<Command> {
    let tracks: Vec<_> = room.durable.queue.iter().copied().take(4).collect();
    let library = |tracks: &[TrackId]| {
        let tracks = tracks.iter().map(|track| (*track, 60.0));
        Command::Library(Arc::new(TrackCatalog::new(tracks)))
    };
    let (name, token_hash) = (String::from("New device"), TokenHash([1; 32]));
    let mut commands = vec![library(&tracks), Command::Pair { name, token_hash }];
    let new_member = MemberId(room.private.last_member + 1);
    let members = room.durable.clients.keys().copied().take(3);
    let members: Vec<_> = members.chain([new_member]).collect();
    commands.extend(members.iter().map(|&member| Command::Arrive {
        member,
        playback: None,
    }));
    let mut event_count = room.durable.event_count;
    for control in [
        Control::Play { position_sec: 5.0 },
        Control::StartNow,
        Control::Next,
        Control::Seek { position_sec: 1e9 },
        Control::Pause { position_sec: 0.5 },
    ] {
        // The number of events of the earlier commands depends on the room, so the command is tried with several event counts.
        for if_match in event_count..event_count + 12 {
            commands.push(Command::Control {
                member: new_member,
                if_match,
                control,
            });
        }
        event_count += 2;
    }
    for &track_id in &tracks {
        let control = Control::AckDownload {
            track_id,
            playable: true,
            duration_sec: None,
        };
        commands.push(Command::Control {
            member: new_member,
            if_match: event_count,
            control,
        });
    }
    commands.push(library(&tracks[tracks.len().min(1)..]));
    for &other in &members {
        let how = Departure::Vanished;
        commands.push(Command::Depart { member: other, how });
        commands.push(Command::Unpair {
            member: new_member,
            target: other,
        });
    }
    commands.push(library(&[]));
    commands
}
