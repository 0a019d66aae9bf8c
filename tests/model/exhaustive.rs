//! Every history of a small room, breadth first over distinct states: three tracks, three phones, each step one of
//! everything that can happen, but for changes of the library. All phones are paired from the start.
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

const PHONES: usize = 3;
const TRACKS: u64 = 3;

/// Within the time in which a `next` is the promised one.
const BEFORE_THE_END_MS: f64 = 100.0;

/// A room, and what its clock says. Time passes only by steps that say so: what happens at once, happens at the same moment.
#[derive(Clone)]
struct World {
    room: Room,
    now_ms: f64,
}

/// What can happen next.
enum Step {
    Take(Command),
    /// Until just before the end of the track.
    Wait,
    Restart,
}

impl World {
    fn at(&self) -> Moment {
        Moment {
            now_ms: self.now_ms,
            lead_ms: 150.0,
            aligned: true,
        }
    }

    /// The world after the step; none when it is refused.
    fn after(&self, step: &Step) -> Option<World> {
        let (mut room, mut now_ms) = (self.room.clone(), self.now_ms);
        match step {
            Step::Take(command) => room = promises::take(&room, command, self.at()).ok()?.0,
            Step::Wait => now_ms = now_ms.max(room.ends_at_ms()? - BEFORE_THE_END_MS),
            Step::Restart => room = promises::restart(&room, self.at()),
        }
        Some(World { room, now_ms })
    }

    /// Positions are one that is not the start; no state depends on which, short of the end.
    fn steps(&self) -> Vec<Step> {
        let Room { durable, .. } = &self.room;
        let count = durable.event_count;
        let key = |n: u64| {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&n.to_le_bytes());
            KeyHash(key)
        };
        let mut steps = vec![Step::Wait, Step::Restart];
        let mut take = |command| steps.push(Step::Take(command));
        take(Command::EndOfTrack { if_match: count });
        if durable.clients.len() < PHONES {
            take(Command::Pair {
                name: String::new(),
                key: key(count),
            });
        }
        let ask = |member, if_match, control| Command::Control {
            member,
            if_match,
            control,
        };
        let Some(anybody) = durable.clients.keys().next().copied() else {
            return steps;
        };
        let position_sec = 5.0;
        for control in [
            Control::Play { position_sec },
            Control::Pause { position_sec },
            Control::Seek { position_sec },
            Control::Next,
            Control::StartNow,
        ] {
            take(ask(anybody, count, control));
        }
        for track_id in (1..=TRACKS).map(TrackId) {
            take(ask(anybody, count, Control::Nudge { track_id }));
        }
        let keys = &self.room.private.keys;
        if let Some((old_key, member)) = keys.iter().find(|(_, owner)| **owner == anybody) {
            take(Command::PairAgain {
                member: *member,
                name: String::new(),
                key: key(count),
                old_key: *old_key,
            });
        }
        let opened_at = self.room.private.barrier_opened_at;
        for member in durable.clients.keys().copied() {
            let name = format!("{count}");
            let held = |track_id: Option<TrackId>| {
                track_id.map(|track_id| Held {
                    track_id,
                    position_sec,
                })
            };
            for held in [None, held(self.room.current()), held(self.room.next_up())] {
                take(Command::Arrive { member, held });
            }
            for how in [Departure::Left, Departure::Vanished] {
                take(Command::Depart { member, how });
            }
            take(Command::Excuse { member });
            take(Command::Leave { member });
            take(Command::Unpair {
                member: anybody,
                other: member,
            });
            take(Command::Rename { member, name });
            let delays = [(anybody, 0.0), (member, 1.0 + count as f64)].into();
            take(Command::Tune { member, delays });
            for playable in [true, false] {
                let ack = |track_id| Control::AckDownload { track_id, playable };
                for track_id in [self.room.current(), self.room.next_up()]
                    .into_iter()
                    .flatten()
                {
                    take(ask(member, count, ack(track_id)));
                }
                for (if_match, track_id) in [opened_at, opened_at.saturating_sub(1)]
                    .into_iter()
                    .filter(|if_match| *if_match < count)
                    .zip(self.room.current().into_iter().cycle())
                {
                    take(ask(member, if_match, ack(track_id)));
                }
            }
        }
        steps
    }
}

/// What one phone is to the room: listening, and for each track of the ring, from the current one on, whether it holds it
/// (1) or cannot play it (2); member of the barrier (1) and ready (2).
type Phone = (bool, [u8; TRACKS as usize], u8);

/// What tells one state from another: everything but the counts, the names, the speakers' delays, and what time it is. Phones are alike, and so are
/// tracks, so states that differ only in who is who lead to the same places.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    queue_index: usize,
    playing: bool,
    anchor_ms: i64,
    barrier: Option<BarrierKey>,
    /// Times are told from now.
    needle_ms: Option<i64>,
    /// When next-up is promised to start; the core has no promise of another track.
    segue_ms: Option<i64>,
    place_lost_ms: Option<i64>,
    phones: Vec<Phone>,
}

/// Whether it is for a track, and whether anything happened since it opened: if so, an acknowledgement can be late.
type BarrierKey = (bool, bool);

fn key(world: &World) -> Key {
    let (durable, live) = (&world.room.durable, &world.room.live);
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
    let from_now = |ms: f64| (ms - world.now_ms).round() as i64;
    let opened_at = world.room.private.barrier_opened_at;
    Key {
        queue_index: durable.queue_index,
        playing: durable.play_state.mode == Mode::Playing,
        anchor_ms: (durable.play_state.anchor_position_sec * 1e3).round() as i64,
        barrier: durable.barrier.as_ref().map(|barrier| {
            (
                barrier.kind == BarrierType::Track,
                opened_at < durable.event_count,
            )
        }),
        needle_ms: live.needle_ms.map(from_now),
        segue_ms: live.segue.map(|segue| from_now(segue.anchor_at_ms)),
        // All that is over is equally over.
        place_lost_ms: live.place_lost_until_ms.map(|ms| from_now(ms).max(-1)),
        phones,
    }
}

fn small_room() -> World {
    let mut world = World {
        room: Room::default(),
        now_ms: 0.0,
    };
    let library = Library::new((1..=TRACKS).map(|n| (TrackId(n), 60.0)));
    let mut commands = vec![Command::Library(Arc::new(library))];
    commands.extend((1..=PHONES).map(|n| Command::Pair {
        name: String::new(),
        key: KeyHash([n as u8; 32]),
    }));
    for command in commands {
        world.room = apply(&world.room, &command, world.at())
            .expect("a fresh room")
            .0;
    }
    world
}

#[test]
fn every_history_of_a_small_room_keeps_the_promises() {
    let depth: usize = std::env::var("LOCKSTEP_MODEL_DEPTH")
        .map(|text| {
            text.parse()
                .expect("LOCKSTEP_MODEL_DEPTH is a number of steps")
        })
        .unwrap_or(5);
    let start = small_room();
    let mut known = HashSet::from([key(&start)]);
    let mut frontier = vec![start];
    for reached in 1..=depth {
        let (mut next, mut taken) = (Vec::new(), 0);
        for world in &frontier {
            for after in world.steps().iter().filter_map(|step| world.after(step)) {
                taken += 1;
                if known.insert(key(&after)) {
                    next.push(after);
                }
            }
        }
        println!(
            "{reached} steps: {} states, {} of them new, {taken} steps taken",
            known.len(),
            next.len()
        );
        frontier = next;
    }
}
