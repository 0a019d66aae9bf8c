//! A room, its clock, and the steps that histories are made of.

use std::sync::Arc;

use lockstep::room::{
    Command, Control, Departure, Event, Held, KeyHash, Library, MemberId, Moment, Rejection, Room,
    TrackId,
};

use super::counts::Counts;
use super::promises;

pub(crate) const MEMBERS: u8 = 12;
pub(crate) const TRACKS: u8 = 6;
/// The mask of a library that has them all.
pub(crate) const ALL: u8 = (1 << TRACKS) - 1;

/// One step; devices are numbered modulo how many there are, so that every history makes sense.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Step {
    /// So many are paired, if they are not yet, and begin to listen.
    Crowd(u8),
    Play(u8, f64),
    Pause(u8, f64),
    Seek(u8, f64),
    Next(u8),
    Nudge(u8, Track),
    Ack(u8, Track, bool),
    /// So many events late, for the current track.
    AckLate(u8, u8),
    /// All who listen, one after the other.
    AllHave(Track),
    StartNow(u8),
    Stale(u8),
    /// Somebody who is not paired.
    Stranger,
    Pair,
    PairAgain(u8),
    /// One of so many names.
    Rename(u8, u8),
    /// A device says that another one's speaker is so many milliseconds late; the second device may be none.
    Tune(u8, u8, i8),
    Leave(u8),
    /// A device removes another one, which may be itself, or none.
    Unpair(u8, u8),
    Arrive(u8, Option<(Track, f64)>),
    /// Vanished, or with a closed stream.
    Depart(u8, bool),
    Excuse(u8),
    EndOfTrack,
    /// A bit for each track that is there now, and how much longer than at first all of them are.
    Rescan(u8, u8),
    /// Whether starts carry a time from now on.
    Restart(bool),
    /// Milliseconds.
    Wait(u16),
    /// To the end of the current track, or so many milliseconds before (negative) or after it.
    WaitForTheEnd(i16),
}

/// Which track, as it is when the step is taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Track {
    Current,
    NextUp,
    Number(u8),
}

/// Takes the steps, one after the other, in a fresh room, and checks every promise after each.
pub(crate) fn replay(steps: &[Step]) -> Counts {
    let mut world = World::new();
    for step in steps {
        world.step(*step);
    }
    world.counts
}

/// The steps as a call that can be pasted into a test.
pub(crate) fn printed(steps: &[Step]) -> String {
    let lines: String = steps.iter().map(|s| format!("        {s:?},\n")).collect();
    format!("    replay(&[\n{lines}    ]);\n")
}

struct World {
    room: Room,
    now_ms: f64,
    aligned: bool,
    keys: u32,
    /// Of the open barrier, when it opened.
    members: usize,
    counts: Counts,
}

fn library(mask: u8, longer: u8) -> Arc<Library> {
    let longer = 10.0 * f64::from(longer);
    let there = (0..TRACKS).filter(|n| mask & (1 << n) != 0);
    Arc::new(Library::new(there.map(|n| {
        (TrackId(n.into()), 30.0 + 20.0 * f64::from(n) + longer)
    })))
}

impl World {
    fn new() -> Self {
        let mut world = World {
            room: Room::default(),
            now_ms: 0.0,
            aligned: true,
            keys: 0,
            members: 0,
            counts: Counts::default(),
        };
        world.take(Command::Library(library(ALL, 0)));
        world.counts = Counts {
            histories: 1,
            ..Counts::default()
        };
        world
    }

    fn moment(&self) -> Moment {
        Moment {
            now_ms: self.now_ms,
            lead_ms: 150.0,
            aligned: self.aligned,
        }
    }

    fn member(&self, n: u8) -> Option<MemberId> {
        let clients = &self.room.durable.clients;
        clients
            .keys()
            .nth(usize::from(n) % clients.len().max(1))
            .copied()
    }

    fn track(&self, track: Track) -> Option<TrackId> {
        match track {
            Track::Current => self.room.current(),
            Track::NextUp => self.room.next_up(),
            Track::Number(n) => Some(TrackId(n.into())),
        }
    }

    fn new_key(&mut self) -> KeyHash {
        self.keys += 1;
        let mut key = [0; 32];
        key[..4].copy_from_slice(&self.keys.to_le_bytes());
        KeyHash(key)
    }

    fn control(&mut self, member: u8, control: Control) {
        if let Some(member) = self.member(member) {
            self.control_by(member, control);
        }
    }

    fn control_by(&mut self, member: MemberId, control: Control) {
        let if_match = self.room.durable.event_count;
        self.take(Command::Control {
            member,
            if_match,
            control,
        });
    }

    fn about(&mut self, member: u8, command: impl FnOnce(MemberId) -> Command) {
        if let Some(member) = self.member(member) {
            self.take(command(member));
        }
    }

    fn step(&mut self, step: Step) {
        self.now_ms += 10.0;
        self.counts.steps += 1;
        match step {
            Step::Crowd(n) => self.crowd(n),
            Step::Play(m, position_sec) => self.control(m, Control::Play { position_sec }),
            Step::Pause(m, position_sec) => self.control(m, Control::Pause { position_sec }),
            Step::Seek(m, position_sec) => self.control(m, Control::Seek { position_sec }),
            Step::Next(m) => self.control(m, Control::Next),
            Step::Nudge(m, track) => {
                if let Some(track_id) = self.track(track) {
                    self.control(m, Control::Nudge { track_id });
                }
            }
            Step::Ack(m, track, playable) => {
                if let Some(track_id) = self.track(track) {
                    self.control(m, Control::AckDownload { track_id, playable });
                }
            }
            Step::AckLate(m, behind) => self.late_ack(m, behind),
            Step::AllHave(track) => self.all_have(track),
            Step::StartNow(m) => self.control(m, Control::StartNow),
            Step::Stale(m) => {
                let if_match = self.room.durable.event_count + 1;
                let control = Control::Next;
                self.about(m, |member| Command::Control {
                    member,
                    if_match,
                    control,
                });
            }
            Step::Stranger => {
                let member = MemberId(0);
                self.control_by(member, Control::Next);
                self.take(Command::Arrive { member, held: None });
                self.take(Command::Tune {
                    member,
                    delays: [(member, 1.0)].into(),
                });
                self.take(Command::Leave { member });
                let other = self.member(0).unwrap_or(member);
                self.take(Command::Unpair { member, other });
            }
            Step::Pair => self.pair(),
            Step::PairAgain(m) => self.pair_again(m),
            Step::Rename(m, name) => self.about(m, |member| Command::Rename {
                member,
                name: format!("{name}"),
            }),
            Step::Tune(m, other, delay_ms) => self.tune(m, other, delay_ms.into()),
            Step::Leave(m) => self.about(m, |member| Command::Leave { member }),
            Step::Unpair(m, other) => {
                if let (Some(member), Some(other)) = (self.member(m), self.member_or_none(other)) {
                    self.take(Command::Unpair { member, other });
                }
            }
            Step::Arrive(m, held) => {
                let held = held.and_then(|(track, position_sec)| {
                    let track_id = self.track(track)?;
                    Some(Held {
                        track_id,
                        position_sec,
                    })
                });
                self.about(m, |member| Command::Arrive { member, held });
            }
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
            Step::Rescan(mask, longer) => {
                self.take(Command::Library(library(mask, longer)));
            }
            Step::Restart(aligned) => {
                self.room = promises::restart(&self.room, self.moment());
                self.aligned = aligned;
                self.counts.restarts += 1;
            }
            Step::Wait(ms) => self.now_ms += f64::from(ms),
            Step::WaitForTheEnd(ms) => {
                let then_ms = self.room.ends_at_ms().map(|end| end + f64::from(ms));
                self.now_ms = self.now_ms.max(then_ms.unwrap_or(0.0));
            }
        }
    }

    fn pair(&mut self) {
        if self.room.durable.clients.len() < usize::from(MEMBERS) {
            let (name, key) = (String::new(), self.new_key());
            self.take(Command::Pair { name, key });
        }
    }

    fn pair_again(&mut self, m: u8) {
        let (key, member) = (self.new_key(), self.member(m));
        let mut keys = self.room.private.keys.iter();
        let found = keys.find(|(_, owner)| Some(**owner) == member);
        if let Some((old_key, member)) = found.map(|(key, owner)| (*key, *owner)) {
            self.take(Command::PairAgain {
                member,
                name: "again".into(),
                key,
                old_key,
            });
        }
    }

    /// The last of all numbers is nobody's.
    fn member_or_none(&self, n: u8) -> Option<MemberId> {
        match n {
            MEMBERS => Some(MemberId(0)),
            _ => self.member(n),
        }
    }

    /// One device tunes another, and itself as well.
    fn tune(&mut self, m: u8, other: u8, delay_ms: f64) {
        if let (Some(member), Some(other)) = (self.member(m), self.member_or_none(other)) {
            let delays = [(member, -delay_ms), (other, delay_ms)].into();
            self.take(Command::Tune { member, delays });
        }
    }

    /// The counts leave it out: it is there to have listeners, and always the same.
    fn crowd(&mut self, n: u8) {
        let checked = self.counts.checked;
        let listening = self.counts.listening;
        while self.room.durable.clients.len() < usize::from(n) {
            self.pair();
        }
        for m in 0..n {
            self.about(m, |member| Command::Arrive { member, held: None });
        }
        self.counts.checked = checked;
        self.counts.listening = listening;
    }

    fn all_have(&mut self, track: Track) {
        let Some(track_id) = self.track(track) else {
            return;
        };
        let playable = true;
        for member in self.room.live.listeners.clone().iter() {
            self.control_by(*member, Control::AckDownload { track_id, playable });
        }
    }

    /// An acknowledgement meant for an older state: accepted exactly if that is not older than the barrier.
    fn late_ack(&mut self, m: u8, behind: u8) {
        let Some(track_id) = self.room.current() else {
            return;
        };
        let if_match = self.room.durable.event_count.saturating_sub(behind.into());
        let control = Control::AckDownload {
            track_id,
            playable: true,
        };
        self.about(m, |member| Command::Control {
            member,
            if_match,
            control,
        });
    }

    fn take(&mut self, command: Command) -> Option<Rejection> {
        match promises::take(&self.room, &command, self.moment()) {
            Ok((room, events)) => {
                self.count(&room, &events);
                self.room = room;
                None
            }
            Err(rejection) => {
                self.counts.refused += 1;
                Some(rejection)
            }
        }
    }

    fn count(&mut self, after: &Room, events: &[Event]) {
        let counts = &mut self.counts;
        counts.checked += 1;
        counts.events += events.len() as u64;
        counts.listening[after.live.listeners.len()] += 1;
        let has = |name| events.iter().any(|event| event.kind.name() == name);
        let (opened, released) = (has("barrier.opened"), has("barrier.release"));
        if released && !opened {
            counts.waits[self.members] += 1;
        }
        if let (true, Some(barrier)) = (opened, &after.durable.barrier) {
            self.members = barrier.members.len();
        }
        counts.skipped += u64::from(released && has("barrier.shrunk"));
        counts.parked += u64::from(has("playback.parked"));
        if opened && released {
            let needle_ms = after.live.needle_ms;
            let promised_ms = self.room.live.segue.map(|segue| segue.anchor_at_ms);
            counts.places_taken += u64::from(needle_ms == Some(self.now_ms));
            counts.promises_kept += u64::from(has("queue.advanced") && needle_ms == promised_ms);
        }
    }
}
