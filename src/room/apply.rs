//! One command, one room: the only way in which a room changes.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::command::{Command, Control, Departure, Held, Moment, Rejection};
use super::event::{Event, EventKind, Shrink};
use super::id::{KeyHash, MemberId, TrackId};
use super::patch;
use super::queue;
use super::state::{BarrierType, Client, Durable, Holdings, Library, Mode, Room, Segue};

/// How far from a promised start a `next` may be and still keep the promise, in milliseconds:
/// a phone asks a little before its own last sample is heard, or up to the server's own patience after.
/// However late the server itself is (its disk may have failed meanwhile), phones have kept the promise.
const SEGUE_BEFORE_MS: f64 = 500.0;
const SEGUE_AFTER_MS: f64 = 5_000.0;

/// How long after the first phone the others may come back to a restarted server, in milliseconds.
const PLACE_LOST_MS: f64 = 10_000.0;

/// What `command` makes of `room`, and the events that lead there, in order.
///
/// No events means that nothing durable changed, though the live state may have.
///
/// # Errors
/// A [`Rejection`] when the command is refused; nothing has changed then.
pub fn apply(room: &Room, command: &Command, at: Moment) -> Result<(Room, Vec<Event>), Rejection> {
    let mut turn = Turn::new(room.clone(), at);
    match command {
        Command::Control {
            member,
            if_match,
            control,
        } => {
            turn.control(*member, *if_match, *control)?;
        }
        Command::Pair { name, key } => turn.pair(name, *key),
        Command::PairAgain {
            member,
            name,
            key,
            old_key,
        } => turn.pair_again(*member, name, *key, *old_key)?,
        Command::Rename { member, name } => turn.rename(*member, name)?,
        Command::Tune { member, delays } => turn.tune(*member, delays)?,
        Command::Leave { member } => turn.leave(*member)?,
        Command::Unpair { member, other } => turn.unpair(*member, *other)?,
        Command::Arrive { member, held } => turn.arrive(*member, *held)?,
        Command::Depart { member, how } => turn.depart(
            *member,
            match how {
                Departure::Left => Shrink::Left,
                Departure::Vanished => Shrink::Vanished,
            },
        ),
        Command::Excuse { member } => turn.excuse(*member),
        Command::EndOfTrack { if_match } => {
            turn.expect_count(*if_match)?;
            turn.next(f64::INFINITY)?;
        }
        Command::Library(library) => turn.follow_library(library),
    }
    Ok(turn.finish())
}

/// A room on its way from one state to the next.
pub(super) struct Turn {
    pub(super) room: Room,
    pub(super) at: Moment,
    told: Durable,
    events: Vec<Event>,
}

impl Turn {
    fn new(room: Room, at: Moment) -> Self {
        Turn {
            told: room.durable.clone(),
            room,
            at,
            events: Vec::new(),
        }
    }

    /// Makes an event of all that has changed since the last one.
    pub(super) fn emit(&mut self, kind: EventKind) {
        self.room.durable.event_count += 1;
        self.events.push(Event {
            event_count: self.room.durable.event_count,
            kind,
            patch: patch::between(&self.told, &self.room.durable),
        });
        self.told = self.room.durable.clone();
    }

    fn finish(mut self) -> (Room, Vec<Event>) {
        debug_assert!(
            patch::between(&self.told, &self.room.durable).is_empty(),
            "a change without an event"
        );
        // A promise once given holds until the next event, whoever comes meanwhile.
        let given = self.room.live.segue;
        let holds = given.filter(|segue| segue.event_count == self.room.durable.event_count);
        self.room.live.segue = holds.or_else(|| self.segue());
        (self.room, self.events)
    }

    fn expect_count(&self, if_match: u64) -> Result<(), Rejection> {
        let expected = self.room.durable.event_count;
        if if_match == expected {
            Ok(())
        } else {
            Err(Rejection::Stale { expected })
        }
    }

    fn control(
        &mut self,
        member: MemberId,
        if_match: u64,
        control: Control,
    ) -> Result<(), Rejection> {
        if !self.room.durable.clients.contains_key(&member) {
            return Err(Rejection::NotPaired);
        }
        let waiting_since = self.room.private.barrier_opened_at;
        let ack_in_time = matches!(control, Control::AckDownload { .. })
            && self.room.durable.barrier.is_some()
            && (waiting_since..=self.room.durable.event_count).contains(&if_match);
        if !ack_in_time {
            self.expect_count(if_match)?;
        }
        match control {
            Control::Play { position_sec } => self.play(position_sec),
            Control::Pause { position_sec } => self.pause(position_sec),
            Control::Seek { position_sec } => self.seek(position_sec),
            Control::Next => self.next(SEGUE_AFTER_MS),
            Control::Nudge { track_id } => self.nudge(track_id),
            Control::AckDownload { track_id, playable } => {
                self.acknowledge(member, track_id, playable)
            }
            Control::StartNow => self.start_now(),
        }
    }

    fn current(&self) -> Result<TrackId, Rejection> {
        self.room.current().ok_or(Rejection::EmptyLibrary)
    }

    fn play(&mut self, position_sec: f64) -> Result<(), Rejection> {
        self.current()?;
        self.settle_at(position_sec);
        self.open_barrier(BarrierType::Resume);
        Ok(())
    }

    fn pause(&mut self, position_sec: f64) -> Result<(), Rejection> {
        self.current()?;
        self.settle_at(position_sec);
        let anchor_position_sec = self.room.durable.play_state.anchor_position_sec;
        self.emit(EventKind::PlaybackPaused {
            anchor_position_sec,
        });
        Ok(())
    }

    /// Silent at that position, waiting for nobody.
    fn settle_at(&mut self, position_sec: f64) {
        self.room.durable.play_state.mode = Mode::Paused;
        self.room.durable.play_state.anchor_position_sec = self.room.clip(position_sec);
        self.room.durable.barrier = None;
        self.room.live.needle_ms = None;
        self.room.live.place_lost_until_ms = None;
    }

    fn seek(&mut self, position_sec: f64) -> Result<(), Rejection> {
        self.current()?;
        let anchor_position_sec = self.room.clip(position_sec);
        self.room.durable.play_state.anchor_position_sec = anchor_position_sec;
        self.room.live.place_lost_until_ms = None;
        if self.room.live.needle_ms.is_some() {
            self.room.live.needle_ms = Some(self.at.now_ms + self.at.lead_ms);
        }
        let anchor_at_ms = self.told_needle();
        self.emit(EventKind::PlaybackSeeked {
            anchor_position_sec,
            anchor_at_ms,
        });
        Ok(())
    }

    /// A promised start is kept up to `after_ms` after its time.
    fn next(&mut self, after_ms: f64) -> Result<(), Rejection> {
        self.current()?;
        let promised = self.room.live.segue.filter(|segue| {
            let late_ms = self.at.now_ms - segue.anchor_at_ms;
            segue.event_count == self.room.durable.event_count
                && (-SEGUE_BEFORE_MS..=after_ms).contains(&late_ms)
        });
        let durable = &mut self.room.durable;
        durable.queue_index = queue::advance(durable.queue.len(), durable.queue_index);
        let track_id = self.current()?;
        self.settle_at(0.0);
        self.emit(EventKind::QueueAdvanced { track_id });
        let start_ms = promised.map(|segue| segue.anchor_at_ms);
        self.open_barrier_for(BarrierType::Track, start_ms);
        if start_ms.is_some() {
            // Phones have started by the promise: whoever came after it was given comes in when ready.
            self.go_without_missing(start_ms);
        }
        Ok(())
    }

    fn nudge(&mut self, track_id: TrackId) -> Result<(), Rejection> {
        let durable = &mut self.room.durable;
        let from = durable.queue.iter().position(|track| *track == track_id);
        let from = from.ok_or(Rejection::UnknownTrack)?;
        if from == durable.queue_index {
            return Err(Rejection::AlreadyCurrent);
        }
        let (ring, index) = queue::nudge(&durable.queue, durable.queue_index, from);
        durable.queue = Arc::new(ring);
        durable.queue_index = index;
        self.emit(EventKind::QueueNudged { track_id });
        Ok(())
    }

    fn acknowledge(
        &mut self,
        member: MemberId,
        track_id: TrackId,
        playable: bool,
    ) -> Result<(), Rejection> {
        if !self.room.library.contains(track_id) {
            return Err(Rejection::UnknownTrack);
        }
        let holdings = self.holdings_of(member);
        if playable {
            holdings.held.insert(track_id);
            holdings.unplayable.remove(&track_id);
        } else {
            holdings.held.remove(&track_id);
            holdings.unplayable.insert(track_id);
        }
        self.member_is_ready(member, track_id);
        Ok(())
    }

    fn pair(&mut self, name: &str, key: KeyHash) {
        self.room.private.last_member += 1;
        let member_id = MemberId(self.room.private.last_member);
        Arc::make_mut(&mut self.room.private.keys).insert(key, member_id);
        let client = Client {
            name: name.into(),
            ..Client::default()
        };
        Arc::make_mut(&mut self.room.durable.clients).insert(member_id, client);
        self.room.live.anybody_paired = true;
        self.emit(EventKind::ClientPaired { member_id });
    }

    fn pair_again(
        &mut self,
        member: MemberId,
        name: &str,
        key: KeyHash,
        old_key: KeyHash,
    ) -> Result<(), Rejection> {
        let clients = Arc::make_mut(&mut self.room.durable.clients);
        let client = clients.get_mut(&member).ok_or(Rejection::NotPaired)?;
        if !name.is_empty() {
            client.name = name.into();
        }
        let keys = Arc::make_mut(&mut self.room.private.keys);
        keys.retain(|kept, owner| *owner != member || *kept == old_key);
        keys.insert(key, member);
        self.room.live.anybody_paired = true;
        self.emit(EventKind::ClientPaired { member_id: member });
        Ok(())
    }

    fn rename(&mut self, member: MemberId, name: &str) -> Result<(), Rejection> {
        let clients = &mut self.room.durable.clients;
        let client = clients.get(&member).ok_or(Rejection::NotPaired)?;
        if client.name != name {
            let client = Client {
                name: name.into(),
                ..*client
            };
            Arc::make_mut(clients).insert(member, client);
            self.emit(EventKind::ClientRenamed { member_id: member });
        }
        Ok(())
    }

    fn tune(
        &mut self,
        member: MemberId,
        delays: &BTreeMap<MemberId, f64>,
    ) -> Result<(), Rejection> {
        let clients = &self.room.durable.clients;
        if !clients.contains_key(&member) {
            return Err(Rejection::NotPaired);
        }
        if !delays.keys().all(|tuned| clients.contains_key(tuned)) {
            return Err(Rejection::UnknownMember);
        }
        for (&member_id, &delay_ms) in delays {
            let clients = &mut self.room.durable.clients;
            let tuned = |client: &Client| client.delay_ms == delay_ms;
            if clients.get(&member_id).is_some_and(tuned) {
                continue;
            }
            if let Some(client) = Arc::make_mut(clients).get_mut(&member_id) {
                client.delay_ms = delay_ms;
            }
            self.emit(EventKind::ClientTuned {
                member_id,
                delay_ms,
            });
        }
        Ok(())
    }

    fn leave(&mut self, member: MemberId) -> Result<(), Rejection> {
        if !self.room.durable.clients.contains_key(&member) {
            return Err(Rejection::NotPaired);
        }
        self.forget(member, None);
        Ok(())
    }

    fn unpair(&mut self, member: MemberId, other: MemberId) -> Result<(), Rejection> {
        let clients = &self.room.durable.clients;
        if !clients.contains_key(&member) {
            return Err(Rejection::NotPaired);
        }
        if !clients.contains_key(&other) {
            return Err(Rejection::UnknownMember);
        }
        self.forget(other, Some(member).filter(|member| *member != other));
        Ok(())
    }

    fn forget(&mut self, member_id: MemberId, removed_by: Option<MemberId>) {
        self.depart(member_id, Shrink::Left);
        Arc::make_mut(&mut self.room.private.keys).retain(|_, owner| *owner != member_id);
        Arc::make_mut(&mut self.room.durable.clients).remove(&member_id);
        self.emit(EventKind::ClientLeft {
            member_id,
            removed_by,
        });
    }

    fn arrive(&mut self, member: MemberId, held: Option<Held>) -> Result<(), Rejection> {
        if !self.room.durable.clients.contains_key(&member) {
            return Err(Rejection::NotPaired);
        }
        let held = held.filter(|held| Some(held.track_id) == self.room.current());
        Arc::make_mut(&mut self.room.live.listeners).insert(member);
        if let Some(held) = held {
            self.holdings_of(member).held.insert(held.track_id);
        }
        let durable = &self.room.durable;
        let nothing_moves = self.room.live.needle_ms.is_none();
        let parked = durable.play_state.mode == Mode::Playing && nothing_moves;
        let lost = self.room.live.place_lost_until_ms;
        match (&durable.barrier, held) {
            (_, Some(held)) if lost.is_some_and(|until| self.at.now_ms <= until) => {
                self.take_place_from(held);
            }
            (Some(barrier), _) if barrier.members.is_empty() => self.open_barrier(barrier.kind),
            (Some(barrier), _) => {
                let track_id = barrier.track_id;
                self.member_is_ready(member, track_id);
                // A restarted server may find everybody ready and only now somebody there.
                self.release_if_complete(None);
            }
            (None, _) if parked => self.resume_at_anchor(),
            (None, _) => {}
        }
        Ok(())
    }

    /// The music is where this phone plays it, at this very moment and without a lead; whoever is not
    /// ready for that comes in later.
    fn take_place_from(&mut self, held: Held) {
        let now = Some(self.at.now_ms);
        self.settle_at(held.position_sec);
        self.open_barrier_for(BarrierType::Resume, now);
        self.go_without_missing(now);
    }

    /// Music that had lost its listeners, or its server, goes on from the anchor. That is a guess, unless somebody has sought
    /// meanwhile: for a moment longer, a phone may come that has played on and knows.
    fn resume_at_anchor(&mut self) {
        let until_ms = self.at.now_ms + PLACE_LOST_MS;
        let lost = self.room.live.place_lost_until_ms.map(|_| until_ms);
        self.settle_at(self.room.durable.play_state.anchor_position_sec);
        self.open_barrier(BarrierType::Resume);
        self.room.live.place_lost_until_ms = lost;
    }

    fn holdings_of(&mut self, member: MemberId) -> &mut Holdings {
        let holdings = Arc::make_mut(&mut self.room.live.holdings);
        Arc::make_mut(holdings.entry(member).or_default())
    }

    fn depart(&mut self, member: MemberId, reason: Shrink) {
        let position_sec = self.room.position_sec(self.at.now_ms);
        let was_listening = self.room.live.listeners.contains(&member);
        Arc::make_mut(&mut self.room.live.listeners).remove(&member);
        Arc::make_mut(&mut self.room.live.holdings).remove(&member);
        self.shrink_barrier(member, reason);
        if was_listening
            && self.room.live.listeners.is_empty()
            && self.room.live.needle_ms.is_some()
        {
            self.room.live.needle_ms = None;
            self.room.live.place_lost_until_ms = Some(f64::INFINITY);
            self.room.durable.play_state.anchor_position_sec = position_sec;
            self.emit(EventKind::PlaybackParked {
                anchor_position_sec: position_sec,
            });
        }
    }

    fn excuse(&mut self, member: MemberId) {
        let missing = self.room.durable.barrier.as_ref().is_some_and(|barrier| {
            barrier.members.contains(&member) && !barrier.ready.contains(&member)
        });
        if missing {
            self.shrink_barrier(member, Shrink::Stalled);
        }
    }

    fn follow_library(&mut self, library: &Arc<Library>) {
        let current = self.room.current();
        let followed = queue::follow(
            &self.room.durable.queue,
            self.room.durable.queue_index,
            library,
        );
        let changed = library.changed_since(&self.room.library);
        self.room.library = library.clone();
        // It may have been given for another duration.
        self.room.live.segue = None;
        if followed.added.is_empty() && followed.removed.is_empty() && changed.is_empty() {
            return;
        }
        // Whole collections are tagged anew, and each phone may hold many of them.
        let others: HashSet<_> = changed.iter().copied().collect();
        for holdings in Arc::make_mut(&mut self.room.live.holdings).values_mut() {
            let holdings = Arc::make_mut(holdings);
            let stays = |track: &TrackId| library.contains(*track) && !others.contains(track);
            holdings.held.retain(stays);
            holdings.unplayable.retain(stays);
        }
        self.room.durable.queue = Arc::new(followed.queue);
        self.room.durable.queue_index = followed.index;
        let durable = &self.room.durable;
        let was_going = durable.barrier.is_some() || durable.play_state.mode == Mode::Playing;
        let lost_current = current.is_some() && self.room.current() != current;
        if lost_current {
            self.settle_at(0.0);
        }
        self.emit(EventKind::LibraryChanged {
            added: followed.added,
            removed: followed.removed,
            changed,
        });
        if lost_current && was_going && self.room.current().is_some() {
            self.open_barrier(BarrierType::Track);
        }
    }

    /// The needle as events tell it.
    pub(super) fn told_needle(&self) -> Option<f64> {
        self.room.live.needle_ms.filter(|_| self.at.aligned)
    }

    /// The promise that can be given now: see [`Segue`]. Nobody could keep one for a moment that is past.
    fn segue(&self) -> Option<Segue> {
        let room = &self.room;
        let track_id = room.next_up()?;
        let all_ready = room
            .live
            .listeners
            .iter()
            .all(|member| room.is_ready(*member, track_id));
        let given = all_ready && self.at.aligned && !room.live.listeners.is_empty();
        Some(Segue {
            track_id,
            anchor_at_ms: room
                .ends_at_ms()
                .filter(|end| given && *end > self.at.now_ms)?,
            event_count: room.durable.event_count,
        })
    }
}
