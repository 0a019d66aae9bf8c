//! What a command must cause, by the room before it alone: refused or not, which events, who is there afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lockstep::room::{
    Barrier, Command, Control, Departure, Held, Holdings, Library, MemberId, Mode, Moment,
    Rejection, Room, Segue, TrackId,
};

/// How early and how late a phone's `next` may come and still be the one that was promised. The server's own may be late
/// without end.
const EARLY_MS: f64 = 500.0;
const LATE_MS: f64 = 5_000.0;

/// What the command is refused for, if it must be.
pub(super) fn must_refuse(room: &Room, command: &Command) -> Option<Rejection> {
    let durable = &room.durable;
    let expected = durable.event_count;
    let current = durable.queue.get(durable.queue_index).copied();
    let stale = |if_match: u64| (if_match != expected).then_some(Rejection::Stale { expected });
    let empty = current.is_none().then_some(Rejection::EmptyLibrary);
    let stranger = |member: &MemberId| {
        let paired = durable.clients.contains_key(member);
        (!paired).then_some(Rejection::NotPaired)
    };
    let unknown = |track| (!durable.queue.contains(&track)).then_some(Rejection::UnknownTrack);
    match command {
        Command::Control {
            member,
            if_match,
            control,
        } => stranger(member).or_else(|| {
            // One phone being ready contradicts nothing that happened since the barrier opened.
            let since_opening = room.private.barrier_opened_at..=expected;
            let in_time = durable.barrier.is_some() && since_opening.contains(if_match);
            match *control {
                Control::AckDownload { track_id, .. } if in_time => unknown(track_id),
                Control::AckDownload { track_id, .. } => {
                    stale(*if_match).or_else(|| unknown(track_id))
                }
                Control::Nudge { track_id } => stale(*if_match)
                    .or_else(|| unknown(track_id))
                    .or((current == Some(track_id)).then_some(Rejection::AlreadyCurrent)),
                Control::StartNow => {
                    stale(*if_match).or(durable.barrier.is_none().then_some(Rejection::NoBarrier))
                }
                _ => stale(*if_match).or(empty),
            }
        }),
        Command::EndOfTrack { if_match } => stale(*if_match).or(empty),
        Command::PairAgain { member, .. }
        | Command::Rename { member, .. }
        | Command::Leave { member }
        | Command::Arrive { member, .. } => stranger(member),
        Command::Unpair { member, other } => stranger(member).or_else(|| {
            let unknown = !durable.clients.contains_key(other);
            unknown.then_some(Rejection::UnknownMember)
        }),
        Command::Tune { member, delays } => stranger(member).or_else(|| {
            let known = |tuned| durable.clients.contains_key(tuned);
            (!delays.keys().all(known)).then_some(Rejection::UnknownMember)
        }),
        _ => None,
    }
}

/// When a barrier that this step opens or ends lets the music start.
pub(super) enum Start {
    /// A lead from now, once nobody is missing.
    Soon,
    /// At this moment, which phones were promised: without whoever is missing.
    Promised(f64),
    /// Now, where this phone plays it already: without whoever is missing.
    Where(Held),
}

/// A command that a room takes, and who is there and holds what by then.
pub(super) struct Asked<'a> {
    pub(super) room: &'a Room,
    pub(super) command: &'a Command,
    pub(super) at: Moment,
    pub(super) library: &'a Library,
    pub(super) listeners: BTreeSet<MemberId>,
    pub(super) holdings: BTreeMap<MemberId, Arc<Holdings>>,
}

impl<'a> Asked<'a> {
    pub(super) fn new(room: &'a Room, command: &'a Command, at: Moment) -> Self {
        let mut asked = Asked {
            room,
            command,
            at,
            library: &room.library,
            listeners: room.live.listeners.as_ref().clone(),
            holdings: room.live.holdings.as_ref().clone(),
        };
        match command {
            Command::Arrive { member, .. } => {
                asked.listeners.insert(*member);
                if let Some(held) = asked.held() {
                    asked.said(*member).held.insert(held.track_id);
                }
            }
            Command::Depart { member, .. }
            | Command::Leave { member }
            | Command::Unpair { other: member, .. } => {
                asked.listeners.remove(member);
                asked.holdings.remove(member);
            }
            Command::Control {
                member,
                control: Control::AckDownload { track_id, playable },
                ..
            } => {
                let said = asked.said(*member);
                let (true_of, false_of) = if *playable {
                    (&mut said.held, &mut said.unplayable)
                } else {
                    (&mut said.unplayable, &mut said.held)
                };
                true_of.insert(*track_id);
                false_of.remove(track_id);
            }
            Command::Library(library) => {
                asked.library = library;
                for said in asked.holdings.values_mut().map(Arc::make_mut) {
                    said.held.retain(|track| library.contains(*track));
                    said.unplayable.retain(|track| library.contains(*track));
                }
            }
            _ => {}
        }
        asked
    }

    fn said(&mut self, member: MemberId) -> &mut Holdings {
        Arc::make_mut(self.holdings.entry(member).or_default())
    }

    /// Whether nobody need wait for `member` before `track`.
    pub(super) fn holds(&self, member: MemberId, track: TrackId) -> bool {
        let said = self.holdings.get(&member);
        said.is_some_and(|said| said.held.contains(&track) || said.unplayable.contains(&track))
    }

    pub(super) fn all_hold(&self, track: TrackId) -> bool {
        let mut listeners = self.listeners.iter();
        !self.listeners.is_empty() && listeners.all(|member| self.holds(*member, track))
    }

    /// The current track before the command.
    fn current(&self) -> Option<TrackId> {
        let durable = &self.room.durable;
        durable.queue.get(durable.queue_index).copied()
    }

    /// What an arriving phone says it plays, if that is what the room plays.
    fn held(&self) -> Option<Held> {
        match self.command {
            Command::Arrive { held, .. } => {
                held.filter(|held| Some(held.track_id) == self.current())
            }
            _ => None,
        }
    }

    /// Whether the room means to play, and nobody is there to hear it.
    fn parked(&self) -> bool {
        self.room.durable.play_state.mode == Mode::Playing && self.room.live.needle_ms.is_none()
    }

    pub(super) fn start(&self) -> Start {
        let live = &self.room.live;
        if let Some(held) = self.held() {
            let lost = live.place_lost_until_ms;
            if lost.is_some_and(|until_ms| self.at.now_ms <= until_ms) {
                return Start::Where(held);
            }
        }
        let at_most_late_ms = match self.command {
            Command::EndOfTrack { .. } => f64::INFINITY,
            Command::Control {
                control: Control::Next,
                ..
            } => LATE_MS,
            _ => return Start::Soon,
        };
        let Some(Segue { anchor_at_ms, .. }) = live.segue else {
            return Start::Soon;
        };
        let late_ms = self.at.now_ms - anchor_at_ms;
        if late_ms >= -EARLY_MS && late_ms <= at_most_late_ms {
            Start::Promised(anchor_at_ms)
        } else {
            Start::Soon
        }
    }

    pub(super) fn soon_ms(&self) -> f64 {
        self.at.now_ms + self.at.lead_ms
    }

    /// The position that was asked for.
    pub(super) fn position_sec(&self) -> f64 {
        match self.command {
            Command::Control {
                control:
                    Control::Play { position_sec }
                    | Control::Pause { position_sec }
                    | Control::Seek { position_sec },
                ..
            } => *position_sec,
            other => panic!("{other:?} asks for no position"),
        }
    }

    /// Why members that leave the barrier in this step do.
    pub(super) fn reason(&self) -> &'static str {
        match self.command {
            Command::Leave { .. } | Command::Unpair { .. } => "left",
            Command::Depart { how, .. } => match how {
                Departure::Left => "left",
                Departure::Vanished => "vanished",
            },
            Command::Excuse { .. } => "stalled",
            _ => "skipped",
        }
    }

    /// The names of the events, in order.
    pub(super) fn must_cause(&self) -> Vec<&'static str> {
        let barrier = self.room.durable.barrier.as_ref();
        let missing = |member: &MemberId| {
            barrier.is_some_and(|b| b.members.contains(member) && !b.ready.contains(member))
        };
        match self.command {
            Command::Pair { .. } | Command::PairAgain { .. } => vec!["client.paired"],
            Command::Rename { member, name } => {
                let news = self.room.durable.clients[member].name != *name;
                news.then_some("client.renamed").into_iter().collect()
            }
            Command::Tune { delays, .. } => {
                let clients = &self.room.durable.clients;
                let news = delays.iter().filter(|(m, ms)| clients[m].delay_ms != **ms);
                news.map(|_| "client.tuned").collect()
            }
            Command::Leave { member } | Command::Unpair { other: member, .. } => {
                let mut events = self.departure(*member);
                events.push("client.left");
                events
            }
            Command::Depart { member, .. } => self.departure(*member),
            Command::Excuse { member } if missing(member) => self.without(*member),
            Command::Excuse { .. } => vec![],
            Command::Arrive { member, .. } => self.arrival(*member),
            Command::EndOfTrack { .. } => self.next(),
            Command::Library(_) => self.library_change(),
            Command::Control {
                member, control, ..
            } => match control {
                Control::Play { .. } => self.opening(self.current().expect("a current track")),
                Control::Pause { .. } => vec!["playback.paused"],
                Control::Seek { .. } => vec!["playback.seeked"],
                Control::Nudge { .. } => vec!["queue.nudged"],
                Control::Next => self.next(),
                Control::AckDownload { track_id, .. } => {
                    if missing(member) && self.current() == Some(*track_id) {
                        self.news(*member)
                    } else {
                        vec![]
                    }
                }
                Control::StartNow => {
                    let barrier = barrier.expect("an open barrier");
                    let left_behind = barrier.members.difference(&barrier.ready);
                    let mut events: Vec<_> = left_behind.map(|_| "barrier.shrunk").collect();
                    events.push("barrier.release");
                    events
                }
            },
        }
    }

    fn next(&self) -> Vec<&'static str> {
        let durable = &self.room.durable;
        let next = durable.queue[(durable.queue_index + 1) % durable.queue.len()];
        let mut events = vec!["queue.advanced"];
        events.extend(self.opening(next));
        events
    }

    /// A barrier before `track`, and what follows from it at once.
    fn opening(&self, track: TrackId) -> Vec<&'static str> {
        let mut events = vec!["barrier.opened"];
        if !matches!(self.start(), Start::Soon) {
            let missing = self.listeners.iter().filter(|m| !self.holds(**m, track));
            events.extend(missing.map(|_| "barrier.shrunk"));
            events.push("barrier.release");
        } else if self.all_hold(track) {
            events.push("barrier.release");
        }
        events
    }

    /// A release, if nobody is missing from `barrier` and somebody is there.
    fn end_of(&self, barrier: &Barrier) -> Option<&'static str> {
        let over = barrier.members == barrier.ready && !self.listeners.is_empty();
        over.then_some("barrier.release")
    }

    /// A member of the open barrier turns out to be ready.
    fn news(&self, member: MemberId) -> Vec<&'static str> {
        let mut barrier = self.room.durable.barrier.clone().expect("an open barrier");
        barrier.ready.insert(member);
        let mut events = vec!["barrier.ready"];
        events.extend(self.end_of(&barrier));
        events
    }

    /// Somebody is waited for no more, if that was so.
    fn without(&self, member: MemberId) -> Vec<&'static str> {
        let Some(mut barrier) = self.room.durable.barrier.clone() else {
            return vec![];
        };
        if !barrier.members.remove(&member) {
            return vec![];
        }
        barrier.ready.remove(&member);
        let mut events = vec!["barrier.shrunk"];
        events.extend(self.end_of(&barrier));
        events
    }

    fn departure(&self, member: MemberId) -> Vec<&'static str> {
        let live = &self.room.live;
        let mut events = self.without(member);
        let was_last = live.listeners.contains(&member) && self.listeners.is_empty();
        if was_last && live.needle_ms.is_some() {
            events.push("playback.parked");
        }
        events
    }

    fn arrival(&self, member: MemberId) -> Vec<&'static str> {
        let Some(current) = self.current() else {
            return vec![];
        };
        match &self.room.durable.barrier {
            _ if matches!(self.start(), Start::Where(_)) => self.opening(current),
            Some(barrier) if barrier.members.is_empty() => self.opening(current),
            Some(barrier) => {
                let waited_for = &barrier.members - &barrier.ready;
                if waited_for.contains(&member) && self.holds(member, current) {
                    self.news(member)
                } else {
                    self.end_of(barrier).into_iter().collect()
                }
            }
            None if self.parked() => self.opening(current),
            None => vec![],
        }
    }

    fn library_change(&self) -> Vec<&'static str> {
        let durable = &self.room.durable;
        let old: BTreeSet<_> = durable.queue.iter().copied().collect();
        let new: BTreeSet<_> = self.library.order().iter().copied().collect();
        if old == new {
            return vec![];
        }
        let mut events = vec!["library.changed"];
        let going = durable.barrier.is_some() || durable.play_state.mode == Mode::Playing;
        let lost = self.current().is_some_and(|track| !new.contains(&track));
        if lost && going {
            // The first that is left of those that were to be heard, or the first of all.
            let mut ring = durable.queue.to_vec();
            ring.rotate_left(durable.queue_index);
            ring.extend(self.library.order());
            let goes_on = ring.into_iter().find(|track| new.contains(track));
            events.extend(goes_on.into_iter().flat_map(|track| self.opening(track)));
        }
        events
    }
}

/// Sums of the same numbers in another order.
pub(super) fn same_time(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-3
}
