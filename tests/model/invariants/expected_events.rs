//! The expected result of an accepted command, derived from the room before the command: the names of its events, and which
//! devices listen and hold which tracks afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lockstep::room::{
    ApplyContext, Barrier, Client, Command, Control, Departure, DeviceKind, DeviceTracks,
    EventKind, MemberId, Mode, Permitted, ReportedPlayback, Room, RulesChange, Segue, TrackCatalog,
    TrackId,
};

use super::expected_rules::{are_enough, changed_rules};

/// How long before the promised start a `next` keeps the time that the segue promised, in milliseconds. The segue is the
/// promise that next-up starts at a stated time (see [`Segue`]).
const MAX_EARLY_MS: f64 = 500.0;
/// How long after the promised start a device's `next` keeps the promised time, in milliseconds. The command `EndOfTrack`,
/// which the hub sends, keeps the promised time however late it is applied.
const MAX_LATE_MS: f64 = 5_000.0;
/// Lengths of a track that differ by at most this do not contradict each other, in seconds.
pub(super) const MIN_CONTRADICTION_SEC: f64 = 0.25;

/// When playback starts if this command causes the release of a barrier.
pub(super) enum Start {
    /// A start lead after the command that makes the last member ready.
    AfterLead,
    /// At the time that the segue promised, in milliseconds of the server's clock, without the members that are not ready.
    AtSegue(f64),
    /// Now, at the position that a device reported, without the members that are not ready.
    AtReport(ReportedPlayback),
}

/// An accepted command with the room before the command, and which devices listen and hold which tracks after the command.
pub(super) struct Expectation<'a> {
    pub(super) room: &'a Room,
    pub(super) command: &'a Command,
    pub(super) context: ApplyContext,
    /// The catalog after the command.
    pub(super) catalog: &'a TrackCatalog,
    /// The listeners after the command.
    pub(super) listeners: BTreeSet<MemberId>,
    /// The acknowledged tracks after the command.
    pub(super) device_tracks: BTreeMap<MemberId, Arc<DeviceTracks>>,
}

impl<'a> Expectation<'a> {
    pub(super) fn new(room: &'a Room, command: &'a Command, context: ApplyContext) -> Self {
        let mut expectation = Expectation {
            room,
            command,
            context,
            catalog: &room.catalog,
            listeners: room.live.listeners.as_ref().clone(),
            device_tracks: room.live.device_tracks.as_ref().clone(),
        };
        match command {
            Command::Arrive { member, .. } => {
                expectation.listeners.insert(*member);
                if let Some(report) = expectation.report() {
                    expectation
                        .tracks_of(*member)
                        .downloaded
                        .insert(report.track_id);
                }
            }
            Command::Depart { member, .. }
            | Command::Leave { member }
            | Command::Expel { member, .. }
            | Command::Unpair { target: member, .. } => {
                expectation.listeners.remove(member);
                expectation.device_tracks.remove(member);
            }
            Command::Control {
                member,
                control:
                    Control::AckDownload {
                        track_id, playable, ..
                    },
                ..
            } => {
                let tracks = expectation.tracks_of(*member);
                tracks.downloaded.remove(track_id);
                tracks.unplayable.remove(track_id);
                if *playable {
                    tracks.downloaded.insert(*track_id);
                } else {
                    tracks.unplayable.insert(*track_id);
                }
            }
            Command::Library(catalog) => {
                expectation.catalog = catalog;
                let device_tracks = expectation.device_tracks.values_mut();
                for tracks in device_tracks.map(Arc::make_mut) {
                    tracks.downloaded.retain(|track| catalog.contains(*track));
                    tracks.unplayable.retain(|track| catalog.contains(*track));
                }
            }
            _ => {}
        }
        expectation
    }

    fn tracks_of(&mut self, member: MemberId) -> &mut DeviceTracks {
        Arc::make_mut(self.device_tracks.entry(member).or_default())
    }

    /// Whether `member` holds `track` or cannot play it after the command.
    pub(super) fn is_ready(&self, member: MemberId, track: TrackId) -> bool {
        let tracks = self.device_tracks.get(&member);
        tracks.is_some_and(|t| t.downloaded.contains(&track) || t.unplayable.contains(&track))
    }

    /// Whether at least one device listens, and all listeners are ready for `track`.
    pub(super) fn all_ready_for(&self, track: TrackId) -> bool {
        let mut listeners = self.listeners.iter();
        !self.listeners.is_empty() && listeners.all(|member| self.is_ready(*member, track))
    }

    pub(super) fn any_ready_for(&self, track: TrackId) -> bool {
        let mut listeners = self.listeners.iter();
        listeners.any(|member| self.is_ready(*member, track))
    }

    /// The length of a track before the command, in seconds; `None` if the track was not in the catalog.
    fn length_before_sec(&self, track: TrackId) -> Option<f64> {
        let stated_sec = self.room.catalog.duration_sec(track)?;
        let lengths = &self.room.live.decoded_lengths;
        Some(lengths.length_sec(track, stated_sec))
    }

    /// The length of a track after the command, in seconds: the catalog's, or a longer one that a listener has decoded, or that
    /// the catalog stated before while the track was the current one.
    pub(super) fn length_sec(&self, track: TrackId) -> f64 {
        let stated_sec = self.catalog.duration_sec(track);
        let stated_sec = stated_sec.expect("a track of the catalog");
        let Some(before_sec) = self.length_before_sec(track) else {
            return stated_sec;
        };
        match self.command {
            Command::Control {
                member,
                control:
                    Control::AckDownload {
                        track_id,
                        playable: true,
                        duration_sec: Some(decoded_sec),
                    },
                ..
            } if *track_id == track && self.listeners.contains(member) => {
                let is_credible = *decoded_sec <= stated_sec * 1.1;
                let is_longer = *decoded_sec > before_sec + MIN_CONTRADICTION_SEC;
                if is_credible && is_longer {
                    *decoded_sec
                } else {
                    before_sec
                }
            }
            Command::Library(_) => {
                let was_current = self.current_track_id() == Some(track) && before_sec.is_finite();
                let was_decoded = Some(before_sec) != self.room.catalog.duration_sec(track);
                let is_longer = before_sec > stated_sec + MIN_CONTRADICTION_SEC;
                if (was_current || was_decoded) && is_longer {
                    before_sec
                } else {
                    stated_sec
                }
            }
            _ => before_sec,
        }
    }

    /// Whether the command may replace the length that the current track had before a catalog shortened it.
    pub(super) fn advances(&self) -> bool {
        let undo = self.room.live.undo.as_ref();
        match self.command {
            Command::EndOfTrack { .. } => true,
            Command::Control { control, .. } => match control {
                Control::Next | Control::Ended { .. } | Control::Previous => true,
                Control::PlayNow { .. } => true,
                Control::VoteSkip { .. } => self.skips(),
                Control::Undo => undo.is_some_and(|undo| undo.playback.is_some()),
                _ => false,
            },
            _ => false,
        }
    }

    /// The gain of a track in the catalog after the command. The tracks have no albums, so no other track matters.
    pub(super) fn known_gain_db(&self, track: TrackId) -> Option<f64> {
        self.catalog.level(track).gain_db
    }

    /// The gain of a track that the first event of the command makes the current one: the promised gain, if the room has promised
    /// the start of the track.
    pub(super) fn new_gain_db(&self, track: Option<TrackId>) -> Option<f64> {
        let promised = self.room.live.segue.filter(|segue| {
            segue.event_count == self.room.durable.event_count && Some(segue.track_id) == track
        });
        match promised {
            Some(segue) => segue.gain_db,
            None => self.known_gain_db(track?),
        }
    }

    /// The current track before the command.
    pub(super) fn current_track_id(&self) -> Option<TrackId> {
        let durable = &self.room.durable;
        durable.queue.get(durable.queue_index).copied()
    }

    /// The position report of an arriving device, if the report is about the current track.
    fn report(&self) -> Option<ReportedPlayback> {
        match self.command {
            Command::Arrive { playback, .. } => {
                playback.filter(|report| Some(report.track_id) == self.current_track_id())
            }
            _ => None,
        }
    }

    /// Whether playback is parked before the command: the mode is playing and no device listens.
    fn is_parked(&self) -> bool {
        self.room.durable.play_state.mode == Mode::Playing && self.room.live.anchor_at_ms.is_none()
    }

    /// When playback starts if this command causes the release of a barrier.
    pub(super) fn start(&self) -> Start {
        let live = &self.room.live;
        if let Some(report) = self.report() {
            let unknown_until_ms = live.position_unknown_until_ms;
            if unknown_until_ms.is_some_and(|until_ms| self.context.now_ms <= until_ms) {
                return Start::AtReport(report);
            }
        }
        let (max_early_ms, max_late_ms) = match self.command {
            Command::EndOfTrack { .. } => (MAX_EARLY_MS, f64::INFINITY),
            Command::Control { control, .. } => match control {
                Control::Next | Control::VoteSkip { .. } => (MAX_EARLY_MS, MAX_LATE_MS),
                // Only accepted near the end.
                Control::Ended { .. } => (f64::INFINITY, MAX_LATE_MS),
                Control::PlayNow { track_id } if self.room.next_up_id() == Some(*track_id) => {
                    (MAX_EARLY_MS, MAX_LATE_MS)
                }
                _ => return Start::AfterLead,
            },
            _ => return Start::AfterLead,
        };
        let Some(Segue { anchor_at_ms, .. }) = live.segue else {
            return Start::AfterLead;
        };
        let late_ms = self.context.now_ms - anchor_at_ms;
        if late_ms >= -max_early_ms && late_ms <= max_late_ms {
            Start::AtSegue(anchor_at_ms)
        } else {
            Start::AfterLead
        }
    }

    /// The time one start lead after the command, in milliseconds of the server's clock.
    pub(super) fn after_lead_ms(&self) -> f64 {
        self.context.now_ms + self.context.lead_ms
    }

    /// The position in the request, in seconds.
    pub(super) fn position_sec(&self) -> f64 {
        match self.command {
            Command::Control {
                control:
                    Control::Play { position_sec }
                    | Control::Pause { position_sec }
                    | Control::Seek { position_sec },
                ..
            } => *position_sec,
            // The current track starts anew.
            Command::Control {
                control: Control::PlayNow { .. } | Control::Previous,
                ..
            } => 0.0,
            other => panic!("{other:?} has no position"),
        }
    }

    /// The reason that the command's `barrier.shrunk` events must state.
    pub(super) fn reason(&self) -> &'static str {
        match self.command {
            Command::Leave { .. } | Command::Unpair { .. } | Command::Expel { .. } => "left",
            Command::Depart { how, .. } => match how {
                Departure::Left => "left",
                Departure::Vanished => "vanished",
            },
            Command::DropStalled { .. } => "stalled",
            _ => "skipped",
        }
    }

    /// The names of the events that the command must cause, in order.
    pub(super) fn events(&self) -> Vec<&'static str> {
        let barrier = self.room.durable.barrier.as_ref();
        let missing = |member: &MemberId| {
            barrier.is_some_and(|b| b.members.contains(member) && !b.ready.contains(member))
        };
        match self.command {
            Command::Pair { .. } | Command::PairAgain { .. } => vec!["client.paired"],
            Command::Admit { member, .. } => {
                let is_new = !self.room.durable.clients.contains_key(member);
                is_new.then_some("client.paired").into_iter().collect()
            }
            Command::Mirror { member, client, .. } => {
                let old = &self.room.durable.clients[member];
                let delay =
                    |client: &Client| (client.delay_ms, client.is_guess, client.compared.clone());
                let events = [
                    (old.name != client.name, "client.renamed"),
                    (
                        client.kind.is_some() && old.kind != client.kind,
                        "client.described",
                    ),
                    (delay(old) != delay(client), "client.tuned"),
                ];
                let events = events.into_iter().filter(|(is_new, _)| *is_new);
                events.map(|(_, event)| event).collect()
            }
            Command::Rename { member, name } => {
                let is_new = self.room.durable.clients[member].name != *name;
                is_new.then_some("client.renamed").into_iter().collect()
            }
            Command::Tune { delays, .. } => {
                let clients = &self.room.durable.clients;
                let changed = delays.iter().filter(|(m, ms)| {
                    let client = &clients[m];
                    client.delay_ms != **ms || client.compared.is_some() || client.is_guess
                });
                changed.map(|_| "client.tuned").collect()
            }
            Command::Describe { member, kind } => self.description(*member, kind),
            Command::Trim {
                trimmed, trim_db, ..
            } => {
                let is_new = self.room.durable.clients[trimmed].trim_db != *trim_db;
                is_new.then_some("client.trimmed").into_iter().collect()
            }
            Command::Compare { delays, .. } => delays.iter().map(|_| "client.tuned").collect(),
            Command::Leave { member }
            | Command::Expel { member, .. }
            | Command::Unpair { target: member, .. } => {
                let mut events = self.departure(*member);
                events.push("client.left");
                events
            }
            Command::Depart { member, .. } => self.departure(*member),
            Command::DropStalled { member } if missing(member) => self.shrink(*member),
            Command::DropStalled { .. } => vec![],
            Command::Arrive { member, .. } => self.arrival(*member),
            Command::Oversee { .. } => vec![],
            Command::MakeHost { member } => {
                let is_new = !self.room.durable.hosts.contains(member);
                is_new.then_some("hosts.changed").into_iter().collect()
            }
            Command::DjGone { member } => {
                let is_dj = self.room.durable.dj == Some(*member);
                is_dj.then_some("dj.changed").into_iter().collect()
            }
            Command::EndOfTrack { .. } => self.next(),
            Command::Library(_) => self.library_change(),
            Command::Control {
                member, control, ..
            } => match control {
                Control::Play { .. } => {
                    self.open_barrier(self.current_track_id().expect("a current track"))
                }
                Control::Pause { .. } => vec!["playback.paused"],
                Control::Seek { .. } => vec!["playback.seeked"],
                Control::Nudge { .. } => vec!["queue.nudged"],
                Control::Next | Control::Ended { .. } => self.next(),
                Control::PlayNow { track_id } if self.current_track_id() == Some(*track_id) => {
                    vec!["playback.seeked"]
                }
                Control::Previous if self.room.durable.queue.len() == 1 => vec!["playback.seeked"],
                Control::PlayNow { track_id } => self.advance_to(*track_id),
                Control::Previous => {
                    let durable = &self.room.durable;
                    let before = durable.queue_index.checked_sub(1);
                    self.advance_to(durable.queue[before.unwrap_or(durable.queue.len() - 1)])
                }
                Control::Pick { .. } => vec!["queue.picked"],
                Control::Unpick { .. } => vec!["queue.unpicked"],
                Control::Move { .. } => vec!["queue.moved"],
                Control::Shuffle { .. } => vec!["queue.shuffled"],
                Control::Sort { .. } => vec!["queue.sorted"],
                Control::Undo => {
                    let undo = self.room.live.undo.as_ref().expect("a change to undo");
                    let mut events = vec!["queue.undone"];
                    if undo.playback.is_some() {
                        events.extend(self.open_barrier(undo.queue[undo.queue_index]));
                    }
                    events
                }
                Control::AckDownload { track_id, .. } => {
                    if missing(member) && self.current_track_id() == Some(*track_id) {
                        self.ready(*member)
                    } else {
                        vec![]
                    }
                }
                Control::ChangeRules(change) => {
                    let durable = &self.room.durable;
                    let rules = changed_rules(durable.rules, change).expect("valid rules");
                    let mut events = Vec::new();
                    // Also with the values that the rules have already.
                    if durable.hosts.is_empty() && *change != RulesChange::default() {
                        events.push("hosts.changed");
                    }
                    if rules != durable.rules {
                        events.push("rules.changed");
                    }
                    events
                }
                Control::ChangeHosts { member_id, host } => {
                    let is_new = self.room.durable.hosts.contains(member_id) != *host;
                    is_new.then_some("hosts.changed").into_iter().collect()
                }
                Control::ChangeDj { member_id } => {
                    let is_new = self.room.durable.dj != *member_id;
                    is_new.then_some("dj.changed").into_iter().collect()
                }
                Control::ChooseDj { .. } => {
                    let is_new = !self.candidates_for_dj().is_empty();
                    is_new.then_some("dj.changed").into_iter().collect()
                }
                Control::VoteDj { member_id } => {
                    let old = self.room.durable.dj_votes.get(member);
                    match (old != Some(member_id), self.decides_about_dj()) {
                        (true, true) => vec!["vote.cast", "dj.changed"],
                        (true, false) => vec!["vote.cast"],
                        (false, _) => vec![],
                    }
                }
                Control::VoteSkip { up, .. } => {
                    let is_new = self.room.durable.skip_votes.contains(member) != *up;
                    let mut events: Vec<_> = is_new.then_some("vote.cast").into_iter().collect();
                    if self.skips() {
                        events.extend(self.next());
                    }
                    events
                }
                Control::VotePick { track_id, up } => {
                    let mut picks = self.room.durable.picks.iter();
                    let pick = picks.find(|pick| pick.track_id == *track_id);
                    let is_new = pick.expect("a pick").votes.contains(member) != *up;
                    is_new.then_some("vote.cast").into_iter().collect()
                }
                Control::StartNow => {
                    let barrier = barrier.expect("an open barrier");
                    let skipped = barrier.members.difference(&barrier.ready);
                    let mut events: Vec<_> = skipped.map(|_| "barrier.shrunk").collect();
                    events.push("barrier.release");
                    events
                }
            },
        }
    }

    /// The events of an advance of the queue by one track.
    fn next(&self) -> Vec<&'static str> {
        let durable = &self.room.durable;
        let next = durable.queue[(durable.queue_index + 1) % durable.queue.len()];
        self.advance_to(next)
    }

    /// The events if another track, or the only track again, becomes the current one.
    fn advance_to(&self, track: TrackId) -> Vec<&'static str> {
        let mut events = vec!["queue.advanced"];
        events.extend(self.open_barrier(track));
        events
    }

    /// The device that an event must state as its cause.
    pub(super) fn sender(&self, event: &EventKind) -> Option<MemberId> {
        match (self.command, event) {
            (Command::Pair { .. }, EventKind::ClientPaired { member_id }) => Some(*member_id),
            (Command::Compare { sender, .. }, _) => *sender,
            (Command::Mirror { tuned_by, .. }, EventKind::ClientTuned { .. }) => *tuned_by,
            (Command::Expel { member, removed_by }, _) => Some(removed_by.unwrap_or(*member)),
            (
                Command::Control {
                    control: Control::Ended { .. },
                    ..
                },
                _,
            ) => None,
            (
                Command::Control { member, .. }
                | Command::PairAgain { member, .. }
                | Command::Admit { member, .. }
                | Command::Mirror { member, .. }
                | Command::Rename { member, .. }
                | Command::Describe { member, .. }
                | Command::Tune { member, .. }
                | Command::Trim { member, .. }
                | Command::Leave { member }
                | Command::Unpair { member, .. }
                | Command::Arrive { member, .. },
                _,
            ) => Some(*member),
            _ => None,
        }
    }

    /// The events if a barrier for `track` opens: the barrier is released at once if all listeners are ready, or if the
    /// start does not wait for them.
    fn open_barrier(&self, track: TrackId) -> Vec<&'static str> {
        let mut events = vec!["barrier.opened"];
        if !matches!(self.start(), Start::AfterLead) {
            let missing = self.listeners.iter().filter(|m| !self.is_ready(**m, track));
            events.extend(missing.map(|_| "barrier.shrunk"));
            events.push("barrier.release");
        } else if self.all_ready_for(track) {
            events.push("barrier.release");
        }
        events
    }

    /// The event of the release of `barrier`, if all of its members are ready and a device listens.
    fn release(&self, barrier: &Barrier) -> Option<&'static str> {
        let is_complete = barrier.members == barrier.ready && !self.listeners.is_empty();
        is_complete.then_some("barrier.release")
    }

    /// The events if a member of the open barrier becomes ready.
    fn ready(&self, member: MemberId) -> Vec<&'static str> {
        let mut barrier = self.room.durable.barrier.clone().expect("an open barrier");
        barrier.ready.insert(member);
        let mut events = vec!["barrier.ready"];
        events.extend(self.release(&barrier));
        events
    }

    /// The events if a device is removed from the open barrier; none if it is not a member.
    fn shrink(&self, member: MemberId) -> Vec<&'static str> {
        let Some(mut barrier) = self.room.durable.barrier.clone() else {
            return vec![];
        };
        if !barrier.members.remove(&member) {
            return vec![];
        }
        barrier.ready.remove(&member);
        let mut events = vec!["barrier.shrunk"];
        events.extend(self.release(&barrier));
        events
    }

    /// The events if a device departs.
    fn departure(&self, member: MemberId) -> Vec<&'static str> {
        let live = &self.room.live;
        let mut events = self.shrink(member);
        let was_last = live.listeners.contains(&member) && self.listeners.is_empty();
        if was_last && live.anchor_at_ms.is_some() {
            events.push("playback.parked");
        }
        events
    }

    /// The events if a device arrives.
    fn arrival(&self, member: MemberId) -> Vec<&'static str> {
        let Some(current) = self.current_track_id() else {
            return vec![];
        };
        match &self.room.durable.barrier {
            _ if matches!(self.start(), Start::AtReport(_)) => self.open_barrier(current),
            Some(barrier) if barrier.members.is_empty() => self.open_barrier(current),
            Some(barrier) => {
                let missing = &barrier.members - &barrier.ready;
                if missing.contains(&member) && self.is_ready(member, current) {
                    self.ready(member)
                } else {
                    self.release(barrier).into_iter().collect()
                }
            }
            None if self.is_parked() => self.open_barrier(current),
            None => vec![],
        }
    }

    /// The ring after a change of the catalog: the current track, the picks, the other tracks and the returning ones in their
    /// order, and the new ones, each as far as the catalog has it.
    pub(super) fn ring_after_library_change(&self) -> Vec<TrackId> {
        let places = self.ring_with_absent_tracks();
        let picks = self.room.durable.picks.iter().map(|pick| pick.track_id);
        let mut ring: Vec<_> = self.current_track_id().into_iter().chain(picks).collect();
        for track in places.iter().chain(self.catalog.order()) {
            if !ring.contains(track) {
                ring.push(*track);
            }
        }
        ring.retain(|track| self.catalog.contains(*track));
        ring
    }

    /// The tracks of the queue and the absent tracks at their places, beginning with the current track.
    pub(super) fn ring_with_absent_tracks(&self) -> Vec<TrackId> {
        let mut ring = self.room.durable.queue.to_vec();
        for absence in self.room.private.absences.iter() {
            let at = absence.after.map_or(0, |after| {
                let is_after = |track: &TrackId| *track == after;
                1 + ring.iter().position(is_after).expect("it is in the queue")
            });
            ring.splice(at..at, absence.tracks.iter().copied());
        }
        let current = self.current_track_id();
        let start = ring.iter().position(|track| Some(*track) == current);
        ring.rotate_left(start.unwrap_or(0));
        ring
    }

    /// Whether a device cannot be DJ now, because it was removed a while ago.
    pub(super) fn is_cooling_down(&self, member: MemberId) -> bool {
        let until_ms = self.room.live.dj_cooldowns.get(&member);
        until_ms.is_some_and(|until_ms| *until_ms > self.context.now_ms)
    }

    /// The listeners of which one can become DJ at random.
    pub(super) fn candidates_for_dj(&self) -> Vec<MemberId> {
        let listeners = self.listeners.iter().copied();
        listeners
            .filter(|m| !self.is_cooling_down(*m) && self.room.durable.dj != Some(*m))
            .collect()
    }

    /// Whether the command is a vote by which another device becomes DJ, or nobody.
    pub(super) fn decides_about_dj(&self) -> bool {
        let Command::Control {
            member,
            control: Control::VoteDj { member_id },
            ..
        } = self.command
        else {
            return false;
        };
        let durable = &self.room.durable;
        let votes = durable.dj_votes.iter();
        let equal = votes.filter(|(_, wanted)| **wanted == *member_id);
        let mut voters: BTreeSet<_> = equal.map(|(voter, _)| *voter).collect();
        let is_new = voters.insert(*member);
        is_new
            && durable.dj != *member_id
            && !member_id.is_some_and(|m| self.is_cooling_down(m))
            && are_enough(&self.listeners, &voters, durable.rules.dj_share)
    }

    /// Whether the command is a vote that skips the current track.
    pub(super) fn skips(&self) -> bool {
        let Command::Control {
            member,
            control: Control::VoteSkip { up: true, .. },
            ..
        } = self.command
        else {
            return false;
        };
        let durable = &self.room.durable;
        let mut voters = durable.skip_votes.as_ref().clone();
        let is_new = voters.insert(*member);
        let share = durable.rules.skip_share;
        is_new
            && durable.rules.control != Permitted::Everyone
            && share > 0.0
            && are_enough(&self.listeners, &voters, share)
    }

    /// The events if the catalog is replaced.
    fn library_change(&self) -> Vec<&'static str> {
        let durable = &self.room.durable;
        let old: BTreeSet<_> = durable.queue.iter().copied().collect();
        let new: BTreeSet<_> = self.catalog.order().iter().copied().collect();
        let mut events = vec![];
        let new_ring = self.ring_after_library_change();
        let removes_current = !durable.queue.is_empty()
            && !self
                .catalog
                .contains(self.room.current_track_id().expect("a track"));
        if removes_current && new_ring.first().is_some_and(|track| old.contains(track)) {
            events.push("queue.advanced");
        }
        if old != new {
            events.push("library.changed");
        }
        let Some(current) = new_ring.first().copied() else {
            return events;
        };
        let was_active = durable.barrier.is_some() || durable.play_state.mode == Mode::Playing;
        let before = self.current_track_id();
        let lost_current = before.is_some_and(|track| !new.contains(&track));
        if lost_current && was_active {
            events.extend(self.open_barrier(current));
        }
        let gain_db = if before == Some(current) {
            durable.gain_db
        } else {
            self.new_gain_db(Some(current))
        };
        let is_unplayed = if lost_current {
            !events.contains(&"barrier.release")
        } else {
            durable.play_state.mode == Mode::Paused && durable.play_state.anchor_position_sec == 0.0
        };
        if is_unplayed && gain_db.is_none() && self.known_gain_db(current).is_some() {
            events.push("playback.levelled");
        }
        events
    }
}

impl Expectation<'_> {
    /// The events of a report of a device's kind.
    fn description(&self, member: MemberId, kind: &DeviceKind) -> Vec<&'static str> {
        let client = &self.room.durable.clients[&member];
        if client.kind.as_ref() == Some(kind) {
            return vec![];
        }
        let may_guess = client.compared.is_none() && (client.delay_ms == 0.0 || client.is_guess);
        let learned = &self.room.private.learned_delays;
        let guess_ms = learned.guess_ms(kind).unwrap_or(0.0);
        let mut events = vec!["client.described"];
        if may_guess && guess_ms != client.delay_ms {
            events.push("client.tuned");
        }
        events
    }
}

/// Whether two times in milliseconds, or positions in seconds, are equal up to rounding errors: the core and this test add
/// the same numbers in a different order.
pub(super) fn same_time(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-3
}
