//! The state file: whatever is taken for a room can be written and read again, and lived in.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use lockstep::room::{
    Command, Control, Departure, KeyHash, Library, MemberId, Moment, Room, TrackId, apply,
};
use lockstep::store::{parse, spell};

/// No house lives so long, or has so many guests; nearer to the largest that are taken, the next one would be too large.
const LATE: u64 = 1 << 52;
const CROWDED: u32 = 1 << 30;

fuzz_target!(|input: &[u8]| {
    let Ok(mut room) = parse(input) else {
        return;
    };
    same_again(&room);
    if room.durable.event_count > LATE || room.private.last_member > CROWDED {
        return;
    }
    let mut now_ms = 0.0;
    for command in evening(&room) {
        now_ms += 1e4;
        let at = Moment {
            now_ms,
            lead_ms: 150.0,
            aligned: true,
        };
        if let Ok((next, _)) = apply(&room, &command, at) {
            assert_eq!(next.check(), Ok(()), "after {command:?}");
            room = next;
        }
    }
    same_again(&room);
});

fn same_again(room: &Room) {
    let again = parse(&spell(room).expect("JSON")).expect("what was written is sound");
    assert_eq!(again.durable, room.durable);
    assert_eq!(again.private.keys, room.private.keys);
}

/// One of everything that can happen, meant for the state that it meets.
fn evening(room: &Room) -> Vec<Command> {
    let known: Vec<_> = room.durable.queue.iter().copied().take(4).collect();
    let library = |tracks: &[TrackId]| {
        let tracks = tracks.iter().map(|track| (*track, 60.0));
        Command::Library(Arc::new(Library::new(tracks)))
    };
    let (name, key) = (String::from("Guest"), KeyHash([1; 32]));
    let mut commands = vec![library(&known), Command::Pair { name, key }];
    let guest = MemberId(room.private.last_member + 1);
    let members = room.durable.clients.keys().copied().take(3).chain([guest]);
    let members: Vec<_> = members.collect();
    commands.extend(
        members
            .iter()
            .map(|&member| Command::Arrive { member, held: None }),
    );
    let mut count = room.durable.event_count;
    for control in [
        Control::Play { position_sec: 5.0 },
        Control::StartNow,
        Control::Next,
        Control::Seek { position_sec: 1e9 },
        Control::Pause { position_sec: 0.5 },
    ] {
        // Between the commands there may be events of their own: one of these counts is right.
        for if_match in count..count + 12 {
            let member = guest;
            commands.push(Command::Control {
                member,
                if_match,
                control,
            });
        }
        count += 2;
    }
    for &track_id in &known {
        let control = Control::AckDownload {
            track_id,
            playable: true,
        };
        let (member, if_match) = (guest, count);
        commands.push(Command::Control {
            member,
            if_match,
            control,
        });
    }
    commands.push(library(&known[known.len().min(1)..]));
    for &other in &members {
        let how = Departure::Vanished;
        commands.push(Command::Depart { member: other, how });
        commands.push(Command::Unpair {
            member: guest,
            other,
        });
    }
    commands.push(library(&[]));
    commands
}
