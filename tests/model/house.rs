//! Checks random histories of a house with two rooms, between which devices move. Both rooms keep the invariants of a single room, no
//! device listens in both, and no barrier waits for a device that has gone to the other room.
//!
//! The commands are those that the server gives the rooms: `src/rooms/seats.rs` moves a device, `src/rooms/follow.rs` copies what the
//! house room keeps of the devices.

use std::collections::BTreeMap;

use lockstep::room::{Client, Command, Departure, MemberId};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::random;
use super::step::Step;
use super::world::World;

/// The devices that the house has at most.
const DEVICES: u8 = 6;
const MAX_STEPS: usize = 80;
/// The histories of a run without `LOCKSTEP_MODEL_STEPS`.
const HISTORIES: u64 = 300;

/// A step of a house. Devices are numbered among those that are paired.
#[derive(Debug, Clone, Copy)]
enum HouseStep {
    Pair,
    /// A device becomes a client of the second room.
    Enter(u8),
    /// A device is a client of the second room no more.
    Leave(u8),
    /// A device opens a stream as a listener in a room.
    Listen(u8, usize),
    /// A device closes its streams.
    Close(u8),
    Rename(u8, u8),
    Unpair(u8),
    /// The process starts again.
    Restart,
    /// A step in one room that changes neither its devices nor where they listen.
    InRoom(usize, Step),
}

#[derive(Default)]
struct Seen {
    moves: u32,
    moves_out_of_a_barrier: u32,
    moves_after_a_restart: u32,
}

struct House {
    rooms: [World; 2],
    /// What the house room keeps of each device.
    kept: BTreeMap<MemberId, Client>,
    /// Where each device has listened since the process started.
    seats: BTreeMap<MemberId, usize>,
    last_member: u32,
    seen: Seen,
}

impl House {
    fn new() -> Self {
        House {
            rooms: [World::new(), World::new()],
            kept: BTreeMap::new(),
            seats: BTreeMap::new(),
            last_member: 0,
            seen: Seen::default(),
        }
    }

    fn device(&self, number: u8) -> Option<MemberId> {
        let count = self.kept.len().max(1);
        self.kept.keys().nth(usize::from(number) % count).copied()
    }

    fn is_client(&self, member: MemberId, room: usize) -> bool {
        self.rooms[room].room.durable.clients.contains_key(&member)
    }

    fn step(&mut self, step: HouseStep) {
        match step {
            HouseStep::Pair if self.kept.len() < usize::from(DEVICES) => {
                self.last_member += 1;
                let member = MemberId(self.last_member);
                self.kept.insert(member, Client::default());
                self.admit(member, 0);
            }
            HouseStep::Pair => {}
            HouseStep::Enter(n) => self.with(n, |house, member| house.admit(member, 1)),
            HouseStep::Leave(n) => self.with(n, |house, member| {
                if house.is_client(member, 1) {
                    house.rooms[1].apply(Command::Leave { member });
                }
            }),
            HouseStep::Listen(n, room) => {
                self.with(n, |house, member| house.listen(member, room));
            }
            HouseStep::Close(n) => self.with(n, |house, member| {
                for room in &mut house.rooms {
                    if room.room.live.listeners.contains(&member) {
                        let how = Departure::Left;
                        room.apply(Command::Depart { member, how });
                    }
                }
            }),
            HouseStep::Rename(n, name) => self.with(n, |house, member| {
                let name = format!("name {name}");
                house.kept.entry(member).or_default().name = name;
                house.follow();
            }),
            HouseStep::Unpair(n) => self.with(n, |house, member| {
                house.kept.remove(&member);
                house.seats.remove(&member);
                house.follow();
            }),
            HouseStep::Restart => {
                self.seats.clear();
                for room in &mut self.rooms {
                    room.step(Step::Restart(true));
                }
            }
            HouseStep::InRoom(room, step) => self.rooms[room].step(step),
        }
        self.check();
    }

    fn with(&mut self, number: u8, act: impl FnOnce(&mut House, MemberId)) {
        if let Some(member) = self.device(number) {
            act(self, member);
        }
    }

    fn admit(&mut self, member: MemberId, room: usize) {
        let client = self.kept[&member].clone();
        self.rooms[room].apply(Command::Admit { member, client });
    }

    fn listen(&mut self, member: MemberId, room: usize) {
        if !self.is_client(member, room) {
            return;
        }
        let other = &mut self.rooms[1 - room];
        let seat = self.seats.insert(member, room);
        if seat == Some(1 - room) || other.room.counts_on(member) {
            let barrier = other.room.durable.barrier.as_ref();
            let is_awaited = barrier.is_some_and(|barrier| barrier.members.contains(&member));
            self.seen.moves += 1;
            self.seen.moves_out_of_a_barrier += u32::from(is_awaited);
            self.seen.moves_after_a_restart += u32::from(is_awaited && seat.is_none());
            let how = Departure::Left;
            other.apply(Command::Depart { member, how });
        }
        let playback = None;
        self.rooms[room].apply(Command::Arrive { member, playback });
    }

    /// Copies the kept devices to both rooms.
    fn follow(&mut self) {
        for room in &mut self.rooms {
            let clients = room.room.durable.clients.clone();
            for &member in clients.keys() {
                room.apply(match self.kept.get(&member) {
                    None => Command::Expel {
                        member,
                        removed_by: None,
                    },
                    Some(kept) => Command::Mirror {
                        member,
                        client: kept.clone(),
                        tuned_by: None,
                    },
                });
            }
        }
    }

    fn check(&self) {
        let [house, other] = [0, 1].map(|n| &self.rooms[n].room);
        let in_both = house.live.listeners.intersection(&other.live.listeners);
        assert_eq!(in_both.count(), 0, "a device listens in both rooms");
        for (n, room) in [house, other].into_iter().enumerate() {
            for (member, client) in room.durable.clients.iter() {
                assert_eq!(client.name, self.kept[member].name);
            }
            let waits = room.durable.barrier.iter().flat_map(|b| &b.members);
            for member in waits {
                assert_ne!(
                    self.seats.get(member),
                    Some(&(1 - n)),
                    "room {n} waits for {member}, which listens in the other room"
                );
            }
        }
    }
}

/// Whether a step changes neither the devices nor where they listen.
fn is_in_room(step: &Step) -> bool {
    !matches!(
        step,
        Step::AddListeners(_)
            | Step::UnpairedSender
            | Step::Pair
            | Step::PairAgain(_)
            | Step::Rename(..)
            | Step::Tune(..)
            | Step::Describe(..)
            | Step::Leave(_)
            | Step::Unpair(..)
            | Step::Arrive(..)
            | Step::Depart(..)
            | Step::Restart(_)
    )
}

fn house_step() -> impl Strategy<Value = HouseStep> {
    let device = 0..DEVICES;
    let in_room = random::step().prop_filter("a step in a room", is_in_room);
    prop_oneof![
        3 => Just(HouseStep::Pair),
        4 => device.clone().prop_map(HouseStep::Enter),
        1 => device.clone().prop_map(HouseStep::Leave),
        12 => (device.clone(), 0..2usize).prop_map(|(n, room)| HouseStep::Listen(n, room)),
        2 => device.clone().prop_map(HouseStep::Close),
        1 => (device.clone(), 0..3u8).prop_map(|(n, name)| HouseStep::Rename(n, name)),
        1 => device.prop_map(HouseStep::Unpair),
        1 => Just(HouseStep::Restart),
        30 => (0..2usize, in_room).prop_map(|(room, step)| HouseStep::InRoom(room, step)),
    ]
}

#[test]
fn no_device_listens_in_two_rooms_and_no_barrier_waits_for_one_that_moved() {
    let mean_steps = MAX_STEPS as u64 / 2;
    let histories =
        random::requested_steps().map_or(HISTORIES, |steps| (steps / mean_steps).max(1));
    let mut runner = TestRunner::new(Config {
        cases: u32::try_from(histories).expect("fewer histories"),
        // A step that is none in a room is drawn again.
        max_local_rejects: u32::MAX,
        failure_persistence: None,
        ..Config::default()
    });
    let seen = std::cell::RefCell::new(Seen::default());
    let steps = prop::collection::vec(house_step(), 1..MAX_STEPS);
    let checked = runner.run(&steps, |steps| {
        let mut house = House::new();
        for step in steps {
            house.step(step);
        }
        let mut seen = seen.borrow_mut();
        seen.moves += house.seen.moves;
        seen.moves_out_of_a_barrier += house.seen.moves_out_of_a_barrier;
        seen.moves_after_a_restart += house.seen.moves_after_a_restart;
        Ok(())
    });
    checked.unwrap_or_else(|error| panic!("{error}"));
    let seen = seen.into_inner();
    for count in [
        seen.moves,
        seen.moves_out_of_a_barrier,
        seen.moves_after_a_restart,
    ] {
        assert!(count > 0, "a kind of move did not occur");
    }
}
