//! Every history of a small room, breadth first over distinct states: three tracks, three phones, each step one of
//! everything that can happen.
//!
//! `LOCKSTEP_MODEL_DEPTH` says how many steps deep (default: a short search). The run prints how many states there are at
//! each depth.

use std::collections::HashSet;
use std::sync::Arc;

use lockstep::room::{
    Command, Control, Departure, Held, KeyHash, Library, MemberId, Mode, Moment, Room, TrackId,
    apply,
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
    let anybody = MemberId(1);
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
    for member in (1..=PHONES).map(MemberId) {
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

/// What tells one state from another: everything but the counts.
fn key(room: &Room) -> String {
    use std::fmt::Write;
    let mut key = String::new();
    let durable = &room.durable;
    for track in durable.queue.iter() {
        let _ = write!(key, "{}", track.0);
    }
    let playing = durable.play_state.mode == Mode::Playing;
    let anchor = durable.play_state.anchor_position_sec;
    let clients: Vec<_> = durable.clients.keys().collect();
    let live = &room.live;
    let holdings = live
        .holdings
        .iter()
        .map(|(member, h)| (member, &h.held, &h.unplayable));
    let holdings: Vec<_> = holdings
        .filter(|(_, held, not)| !held.is_empty() || !not.is_empty())
        .collect();
    let _ = write!(
        key,
        "|{}|{playing}{anchor}|{:?}|{clients:?}|{:?}|{:?}|{holdings:?}",
        durable.queue_index, durable.barrier, live.listeners, live.needle_ms
    );
    key
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
        .unwrap_or(3);
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
                if known.insert(key(&after)) {
                    promises::check(room, &events, &after, AT);
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
