//! Random histories of a room, with restarts and rescans.
//!
//! `LOCKSTEP_MODEL_STEPS` says how many steps to take (default: a short run). A history that breaks something is shrunk to
//! the shortest one that still does, and printed as a list of steps that can be replayed.

use std::sync::Arc;

use lockstep::room::{
    Command, Control, Departure, Held, KeyHash, Library, MemberId, Moment, Rejection, Room,
    TrackId, apply,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;

use super::promises;

/// The longest history.
const LONGEST: usize = 120;
const MEMBERS: u8 = 12;
const TRACKS: u8 = 6;

/// One step; numbers are taken modulo what there is, so that every history makes sense.
#[derive(Debug, Clone, Copy)]
enum Step {
    Play(u8, f64),
    Pause(u8, f64),
    Seek(u8, f64),
    Next(u8),
    Nudge(u8, u8),
    Ack(u8, u8, bool),
    AckLate(u8, u8),
    StartNow(u8),
    Stale(u8),
    Pair,
    PairAgain(u8),
    Leave(u8),
    Arrive(u8, Option<(u8, f64)>),
    Depart(u8, bool),
    Excuse(u8),
    EndOfTrack,
    Rescan(u8),
    Restart,
    Wait(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let member = 0..MEMBERS;
    let track = 0..TRACKS;
    let position = prop_oneof![0.0..200.0f64, Just(0.0), Just(1e300)];
    prop_oneof![
        2 => (member.clone(), position.clone()).prop_map(|(m, p)| Step::Play(m, p)),
        1 => (member.clone(), position.clone()).prop_map(|(m, p)| Step::Pause(m, p)),
        1 => (member.clone(), position.clone()).prop_map(|(m, p)| Step::Seek(m, p)),
        2 => member.clone().prop_map(Step::Next),
        2 => (member.clone(), track.clone()).prop_map(|(m, t)| Step::Nudge(m, t)),
        4 => (member.clone(), track.clone(), prop::bool::weighted(0.8)).prop_map(|(m, t, p)| Step::Ack(m, t, p)),
        4 => (member.clone(), 0..8u8).prop_map(|(m, n)| Step::AckLate(m, n)),
        1 => member.clone().prop_map(Step::StartNow),
        1 => member.clone().prop_map(Step::Stale),
        2 => Just(Step::Pair),
        1 => member.clone().prop_map(Step::PairAgain),
        1 => member.clone().prop_map(Step::Leave),
        4 => (member.clone(), prop::option::of((track, position))).prop_map(|(m, h)| Step::Arrive(m, h)),
        2 => (member.clone(), any::<bool>()).prop_map(|(m, v)| Step::Depart(m, v)),
        2 => member.prop_map(Step::Excuse),
        1 => Just(Step::EndOfTrack),
        1 => any::<u8>().prop_map(Step::Rescan),
        1 => Just(Step::Restart),
        1 => any::<u16>().prop_map(Step::Wait),
    ]
}

struct World {
    room: Room,
    now_ms: f64,
    keys: u32,
}

fn library(mask: u8) -> Arc<Library> {
    let there = (0..TRACKS).filter(|n| mask & (1 << n) != 0);
    Arc::new(Library::new(
        there.map(|n| (TrackId(n.into()), 30.0 + 20.0 * f64::from(n))),
    ))
}

impl World {
    fn new() -> Self {
        let mut world = World {
            room: Room::default(),
            now_ms: 0.0,
            keys: 0,
        };
        world.take(Command::Library(library(u8::MAX)));
        world
    }

    fn moment(&self) -> Moment {
        Moment {
            now_ms: self.now_ms,
            lead_ms: 150.0,
            aligned: true,
        }
    }

    fn member(&self, n: u8) -> Option<MemberId> {
        let clients = &self.room.durable.clients;
        clients
            .keys()
            .nth(usize::from(n) % clients.len().max(1))
            .copied()
    }

    fn new_key(&mut self) -> KeyHash {
        self.keys += 1;
        let mut key = [0; 32];
        key[..4].copy_from_slice(&self.keys.to_le_bytes());
        KeyHash(key)
    }

    fn control(&mut self, member: u8, control: Control) {
        let if_match = self.room.durable.event_count;
        if let Some(member) = self.member(member) {
            self.take(Command::Control {
                member,
                if_match,
                control,
            });
        }
    }

    fn step(&mut self, step: Step) {
        self.now_ms += 10.0;
        match step {
            Step::Play(m, position_sec) => self.control(m, Control::Play { position_sec }),
            Step::Pause(m, position_sec) => self.control(m, Control::Pause { position_sec }),
            Step::Seek(m, position_sec) => self.control(m, Control::Seek { position_sec }),
            Step::Next(m) => self.control(m, Control::Next),
            Step::Nudge(m, t) => self.control(
                m,
                Control::Nudge {
                    track_id: TrackId(t.into()),
                },
            ),
            Step::Ack(m, t, playable) => {
                self.control(
                    m,
                    Control::AckDownload {
                        track_id: TrackId(t.into()),
                        playable,
                    },
                );
            }
            Step::AckLate(m, behind) => self.late_ack(m, behind),
            Step::StartNow(m) => self.control(m, Control::StartNow),
            Step::Stale(m) => {
                if let Some(member) = self.member(m) {
                    let if_match = self.room.durable.event_count + 1;
                    let refused = self.take(Command::Control {
                        member,
                        if_match,
                        control: Control::Next,
                    });
                    assert!(
                        matches!(refused, Some(Rejection::Stale { .. })),
                        "{refused:?}"
                    );
                }
            }
            Step::Pair => {
                if self.room.durable.clients.len() < usize::from(MEMBERS) {
                    let (name, key) = (String::new(), self.new_key());
                    self.take(Command::Pair { name, key });
                }
            }
            Step::PairAgain(m) => {
                let (key, keys) = (self.new_key(), self.room.private.keys.clone());
                let member = self.member(m);
                if let Some((old_key, member)) = keys.iter().find(|key| Some(*key.1) == member) {
                    self.take(Command::PairAgain {
                        member: *member,
                        name: "again".into(),
                        key,
                        old_key: *old_key,
                    });
                }
            }
            Step::Leave(m) => self.about(m, |member| Command::Leave { member }),
            Step::Arrive(m, held) => self.about(m, |member| Command::Arrive {
                member,
                held: held.map(|(t, position_sec)| Held {
                    track_id: TrackId(t.into()),
                    position_sec,
                }),
            }),
            Step::Depart(m, vanished) => self.about(m, |member| Command::Depart {
                member,
                how: if vanished {
                    Departure::Vanished
                } else {
                    Departure::Left
                },
            }),
            Step::Excuse(m) => self.about(m, |member| Command::Excuse { member }),
            Step::EndOfTrack => {
                let if_match = self.room.durable.event_count;
                self.take(Command::EndOfTrack { if_match });
            }
            Step::Rescan(mask) => {
                self.take(Command::Library(library(mask)));
            }
            Step::Restart => self.restart(),
            Step::Wait(ms) => self.now_ms += f64::from(ms),
        }
    }

    fn about(&mut self, member: u8, command: impl FnOnce(MemberId) -> Command) {
        if let Some(member) = self.member(member) {
            self.take(command(member));
        }
    }

    /// An acknowledgement meant for an older state: accepted exactly if that is not older than the barrier.
    fn late_ack(&mut self, member: u8, behind: u8) {
        let (Some(member), Some(track_id)) = (self.member(member), self.room.current()) else {
            return;
        };
        let now = self.room.durable.event_count;
        let if_match = now.saturating_sub(behind.into());
        let waits = self.room.durable.barrier.is_some();
        let in_time = if_match == now || (waits && if_match >= self.room.private.barrier_opened_at);
        let control = Control::AckDownload {
            track_id,
            playable: true,
        };
        let refused = self.take(Command::Control {
            member,
            if_match,
            control,
        });
        assert_eq!(
            refused.is_none(),
            in_time,
            "an ack {behind} events late: {refused:?}"
        );
    }

    /// The process ends; what was written is all that the next one finds.
    fn restart(&mut self) {
        let written = json!([self.room.durable, self.room.private]).to_string();
        let (durable, private) =
            serde_json::from_str(&written).expect("what was written can be read");
        let room = Room::restore(durable, private);
        assert_eq!(room.durable, self.room.durable);
        let library = self.room.library.clone();
        self.room = room;
        self.take(Command::Library(library));
    }

    fn take(&mut self, command: Command) -> Option<Rejection> {
        match apply(&self.room, &command, self.moment()) {
            Ok((room, events)) => {
                promises::check(&self.room, &events, &room, self.moment());
                self.room = room;
                None
            }
            Err(rejection) => Some(rejection),
        }
    }
}

#[test]
fn whatever_happens_the_rooms_promises_hold() {
    let steps: u64 = std::env::var("LOCKSTEP_MODEL_STEPS")
        .map(|text| {
            text.parse()
                .expect("LOCKSTEP_MODEL_STEPS is a number of steps")
        })
        .unwrap_or(60_000);
    let cases = u32::try_from(steps / (LONGEST as u64 / 2))
        .expect("fewer steps")
        .max(1);
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    });
    let history = prop::collection::vec(step(), 1..LONGEST);
    let outcome = runner.run(&history, |steps| {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
