//! Every history of a small room, breadth first over distinct states: three tracks, three phones, each step one of
//! everything that can happen.
//!
//! `LOCKSTEP_MODEL_DEPTH` says how many steps deep (default: a short search). The run prints how many states there are at
//! each depth.

use std::collections::HashSet;
use std::sync::Arc;

use lockstep::room::{
    BarrierType, Command, Control, Departure, Held, KeyHash, Library, MemberId, Mode, Moment, Room,
    TrackId, apply,
};

use super::promises;

const PHONES: u32 = 3;
const TRACKS: u64 = 3;

/// Time stands still: every start is at the same moment, so equal histories lead to equal states.
const AT: Moment = Moment {
    now_ms: 0.0,
    lead_ms: 150.0,
    aligned: true,
};

/// What can happen next. Positions are one that is not the start; no state depends on which.
fn steps(room: &Room) -> Vec<Command> {
    let mut steps = vec![Command::EndOfTrack {
        if_match: room.durable.event_count,
    }];
    let ask = |member, control| Command::Control {
        member,
        if_match: room.durable.event_count,
        control,
    };
    let Some(anybody) = room.durable.clients.keys().next().copied() else {
        return steps;
    };
    let position_sec = 5.0;
    steps.extend(
        [
            Control::Play { position_sec },
            Control::Pause { position_sec },
            Control::Seek { position_sec },
            Control::Next,
            Control::StartNow,
        ]
        .map(|control| ask(anybody, control)),
    );
    for track_id in (1..=TRACKS).map(TrackId) {
        steps.push(ask(anybody, Control::Nudge { track_id }));
    }
    for member in room.durable.clients.keys().copied() {
        let held = room.current().map(|track_id| Held {
            track_id,
            position_sec,
        });
        steps.extend([
            Command::Arrive { member, held: None },
            Command::Arrive { member, held },
            Command::Depart {
                member,
                how: Departure::Left,
            },
            Command::Excuse { member },
            Command::Leave { member },
        ]);
        for track_id in [room.current(), room.next_up()].into_iter().flatten() {
            for playable in [true, false] {
                steps.push(ask(member, Control::AckDownload { track_id, playable }));
            }
        }
    }
    steps
}

/// What one phone is to the room: listening, and for each track of the ring, from the current one on, whether it holds it
/// (1) or cannot play it (2); member of the barrier (1) and ready (2).
type Phone = (bool, [u8; TRACKS as usize], u8);

/// What tells one state from another: everything but the counts and the names. Phones are alike, and so are tracks, so states
/// that differ only in who is who lead to the same places.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    queue_index: usize,
    playing: bool,
    anchor_ms: u64,
    barrier: Option<bool>,
    needle_ms: Option<u64>,
    phones: Vec<Phone>,
}

fn key(room: &Room) -> Key {
    let (durable, live) = (&room.durable, &room.live);
    let mut ring = durable.queue.to_vec();
    ring.rotate_left(durable.queue_index);
    let phone = |member: &MemberId| -> Phone {
        let holdings = live.holdings.get(member);
        let mut tracks = [0; TRACKS as usize];
        for (place, track) in tracks.iter_mut().zip(&ring) {
            let held = holdings.is_some_and(|h| h.held.contains(track));
            let unplayable = holdings.is_some_and(|h| h.unplayable.contains(track));
            *place = u8::from(held) + 2 * u8::from(unplayable);
        }
        let waited = durable.barrier.as_ref().map_or(0, |barrier| {
            u8::from(barrier.members.contains(member)) + u8::from(barrier.ready.contains(member))
        });
        (live.listeners.contains(member), tracks, waited)
    };
    let mut phones: Vec<_> = durable.clients.keys().map(phone).collect();
    phones.sort_unstable();
    Key {
        queue_index: durable.queue_index,
        playing: durable.play_state.mode == Mode::Playing,
        anchor_ms: (durable.play_state.anchor_position_sec * 1e3) as u64,
        barrier: durable
            .barrier
            .as_ref()
            .map(|barrier| barrier.kind == BarrierType::Track),
        needle_ms: live.needle_ms.map(|ms| ms as u64),
        phones,
    }
}

fn small_room() -> Room {
    let library = Library::new((1..=TRACKS).map(|n| (TrackId(n), 60.0)));
    let pair = |n: u32| Command::Pair {
        name: String::new(),
        key: KeyHash([n as u8; 32]),
    };
    let commands =
        std::iter::once(Command::Library(Arc::new(library))).chain((1..=PHONES).map(pair));
    commands.fold(Room::default(), |room, command| {
        apply(&room, &command, AT).expect("a fresh room").0
    })
}

#[test]
fn every_history_of_a_small_room_keeps_the_promises() {
    let depth: usize = std::env::var("LOCKSTEP_MODEL_DEPTH")
        .map(|text| {
            text.parse()
                .expect("LOCKSTEP_MODEL_DEPTH is a number of steps")
        })
        .unwrap_or(4);
    let start = small_room();
    let mut known = HashSet::from([key(&start)]);
    let mut frontier = vec![start];
    for reached in 1..=depth {
        let mut next = Vec::new();
        for room in &frontier {
            for command in steps(room) {
                let Ok((after, events)) = apply(room, &command, AT) else {
                    continue;
                };
                promises::check(room, &events, &after, AT);
                if known.insert(key(&after)) {
                    next.push(after);
                }
            }
        }
        println!(
            "{reached} steps: {} states, {} of them new",
            known.len(),
            next.len()
        );
        frontier = next;
    }
}
