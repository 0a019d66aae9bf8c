//! A room with its clock, to which the steps of a history are applied.

use std::sync::Arc;

use lockstep::room::{
    ApplyContext, Command, ComparisonMethod, Control, Departure, Event, MemberId, Pick, Rejection,
    ReportedPlayback, Room, SortPlaces, TokenHash, TrackCatalog, TrackId, TrackLevel,
};

use super::coverage::Coverage;
use super::invariants;
use super::rule_changes;
use super::step::{Step, TrackRef};

/// Maximum number of paired devices.
pub(crate) const MAX_MEMBERS: u8 = 12;
/// Number of tracks in the first catalog. A rescan may remove some of them.
pub(crate) const TRACKS: u8 = 6;
/// The bit mask of all tracks.
pub(crate) const ALL_TRACKS: u8 = (1 << TRACKS) - 1;

/// Applies the steps to a new room, checks the invariants after each command, and returns the situations that occurred.
pub(crate) fn replay(steps: &[Step]) -> Coverage {
    let mut world = World::new();
    for step in steps {
        world.step(*step);
    }
    world.coverage
}

pub(crate) struct World {
    pub(crate) room: Room,
    now_ms: f64,
    has_timed_starts: bool,
    /// The number of tokens created so far.
    tokens: u32,
    /// The number of members that the last barrier had when it opened.
    members_at_opening: usize,
    pub(crate) coverage: Coverage,
}

/// A catalog of the tracks in the bit mask, each `10 * longer` seconds longer than in the first catalog. `longer` also decides
/// which tracks have which gain, if any.
fn catalog(mask: u8, longer: u8) -> Arc<TrackCatalog> {
    let longer_sec = 10.0 * f64::from(longer);
    let numbers = (0..TRACKS).filter(|n| mask & (1 << n) != 0);
    let catalog = TrackCatalog::new(numbers.clone().map(|n| {
        let duration_sec = 30.0 + 20.0 * f64::from(n) + longer_sec;
        (TrackId(n.into()), duration_sec)
    }));
    let levels = numbers.map(|n| {
        let level = TrackLevel {
            gain_db: [None, Some(-6.0), Some(4.5)][usize::from(n + longer) % 3],
            // Limits neither gain.
            peak: Some(0.25),
            album: None,
        };
        (TrackId(n.into()), level)
    });
    let all = 0..u64::from(TRACKS);
    let places = SortPlaces::new([
        all.clone().map(TrackId).collect::<Vec<_>>(),
        all.clone().rev().map(TrackId).collect(),
        all.clone().map(|n| TrackId(n ^ 1)).collect(),
        all.map(|n| TrackId((n + 3) % u64::from(TRACKS))).collect(),
    ]);
    Arc::new(
        catalog
            .with_levels(levels)
            .with_sort_places(Arc::new(places)),
    )
}

fn ack(track_id: TrackId, playable: bool, duration_sec: Option<f64>) -> Control {
    Control::AckDownload {
        track_id,
        playable,
        duration_sec,
    }
}

impl World {
    pub(crate) fn new() -> Self {
        let mut world = World {
            room: Room::default(),
            now_ms: 0.0,
            has_timed_starts: true,
            tokens: 0,
            members_at_opening: 0,
            coverage: Coverage::default(),
        };
        world.apply(Command::Library(catalog(ALL_TRACKS, 0)));
        world.coverage = Coverage {
            histories: 1,
            ..Coverage::default()
        };
        world
    }

    fn context(&self) -> ApplyContext {
        ApplyContext {
            now_ms: self.now_ms,
            lead_ms: 150.0,
            has_timed_starts: self.has_timed_starts,
        }
    }

    /// The paired device number `n`, modulo the number of paired devices; `None` if no device is paired.
    fn member(&self, n: u8) -> Option<MemberId> {
        let clients = &self.room.durable.clients;
        clients
            .keys()
            .nth(usize::from(n) % clients.len().max(1))
            .copied()
    }

    fn track(&self, track: TrackRef) -> Option<TrackId> {
        match track {
            TrackRef::Current => self.room.current_track_id(),
            TrackRef::NextUp => self.room.next_up_id(),
            TrackRef::Number(n) => Some(TrackId(n.into())),
            TrackRef::NthPick(n) => {
                let picks = &self.room.durable.picks;
                let pick = picks.get(usize::from(n) % picks.len().max(1));
                pick.map(|pick| pick.track_id)
            }
        }
    }

    fn tracks(&self, first: TrackRef, second: TrackRef) -> Vec<TrackId> {
        let tracks = [first, second];
        tracks
            .iter()
            .filter_map(|track| self.track(*track))
            .collect()
    }

    fn new_token(&mut self) -> TokenHash {
        self.tokens += 1;
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&self.tokens.to_le_bytes());
        TokenHash(hash)
    }

    fn control(&mut self, member: u8, control: Control) {
        if let Some(member) = self.member(member) {
            self.control_by(member, control);
        }
    }

    fn control_by(&mut self, member: MemberId, control: Control) {
        let if_match = self.room.durable.event_count;
        self.apply(Command::Control {
            member,
            if_match,
            control,
        });
    }

    /// Applies a command about the device number `member`, if any device is paired.
    fn apply_for(&mut self, member: u8, command: impl FnOnce(MemberId) -> Command) {
        if let Some(member) = self.member(member) {
            self.apply(command(member));
        }
    }

    pub(crate) fn step(&mut self, step: Step) {
        self.now_ms += 10.0;
        self.coverage.steps += 1;
        match step {
            Step::AddListeners(n) => self.add_listeners(n),
            Step::Play(m, position_sec) => self.control(m, Control::Play { position_sec }),
            Step::Pause(m, position_sec) => self.control(m, Control::Pause { position_sec }),
            Step::Seek(m, position_sec) => self.control(m, Control::Seek { position_sec }),
            Step::Next(m) => self.control(m, Control::Next),
            Step::Previous(m) => self.control(m, Control::Previous),
            Step::Shuffle(m, seed) => self.control(m, Control::Shuffle { seed: seed.into() }),
            Step::Sort(m, order) => self.control(m, Control::Sort { order }),
            Step::Undo(m) => self.control(m, Control::Undo),
            Step::Ended(m, track) => {
                if let Some(track_id) = self.track(track) {
                    self.control(m, Control::Ended { track_id });
                }
            }
            Step::PlayNow(m, track) => {
                if let Some(track_id) = self.track(track) {
                    self.control(m, Control::PlayNow { track_id });
                }
            }
            Step::Pick(m, first, second) => {
                let track_ids = self.tracks(first, second);
                self.control(m, Control::Pick { track_ids });
            }
            Step::Unpick(m, first, second) => {
                let track_ids = self.tracks(first, second);
                self.control(m, Control::Unpick { track_ids });
            }
            Step::Move(m, track, before) => {
                let before = before.and_then(|before| self.track(before));
                if let Some(track_id) = self.track(track) {
                    self.control(m, Control::Move { track_id, before });
                }
            }
            Step::Nudge(m, track) => {
                if let Some(track_id) = self.track(track) {
                    self.control(m, Control::Nudge { track_id });
                }
            }
            Step::Ack(m, track, playable) => {
                if let Some(track_id) = self.track(track) {
                    self.control(m, ack(track_id, playable, None));
                }
            }
            Step::DecodedAck(m, track, tenths) => {
                if let Some(track_id) = self.track(track) {
                    let stated_sec = self.room.catalog.duration_sec(track_id);
                    let longer_sec = f64::from(tenths) / 10.0;
                    let decoded_sec = stated_sec.map(|sec| sec + longer_sec);
                    self.control(m, ack(track_id, true, decoded_sec));
                }
            }
            Step::LateAck(m, behind) => self.late_ack(m, behind),
            Step::AllAcknowledge(track) => self.all_acknowledge(track),
            Step::StartNow(m) => self.control(m, Control::StartNow),
            Step::StaleNext(m) => {
                let if_match = self.room.durable.event_count + 1;
                let control = Control::Next;
                self.apply_for(m, |member| Command::Control {
                    member,
                    if_match,
                    control,
                });
            }
            Step::UnpairedSender => {
                let member = MemberId(0);
                self.control_by(member, Control::Next);
                self.apply(Command::Arrive {
                    member,
                    playback: None,
                });
                self.apply(Command::Tune {
                    member,
                    delays: [(member, 1.0)].into(),
                });
                self.apply(Command::Leave { member });
                let target = self.member(0).unwrap_or(member);
                self.apply(Command::Unpair { member, target });
            }
            Step::Pair => self.pair(),
            Step::PairAgain(m) => self.pair_again(m),
            Step::Rename(m, name) => self.apply_for(m, |member| Command::Rename {
                member,
                name: format!("{name}"),
            }),
            Step::Tune(m, other, delay_ms) => self.tune(m, other, delay_ms.into()),
            Step::Describe(m, kind) => self.apply_for(m, |member| Command::Describe {
                member,
                kind: format!("kind-{kind}").parse().expect("a valid kind"),
            }),
            Step::Trim(m, other, trim_db) => self.trim(m, other, trim_db.into()),
            Step::ChangeRules(m, n) => {
                self.control(m, Control::ChangeRules(rule_changes::change(n)));
            }
            Step::ChangeHosts(m, other, host) => {
                if let Some(member_id) = self.member_or_unknown(other) {
                    self.control(m, Control::ChangeHosts { member_id, host });
                }
            }
            Step::MakeHost(m) => {
                if let Some(member) = self.member_or_unknown(m) {
                    self.apply(Command::MakeHost { member });
                }
            }
            Step::ChangeDj(m, dj) => {
                let member_id = dj.and_then(|dj| self.member_or_unknown(dj));
                self.control(m, Control::ChangeDj { member_id });
            }
            Step::ChooseDj(m, seed) => self.control(m, Control::ChooseDj { seed: seed.into() }),
            Step::DjGone(m) => self.apply_for(m, |member| Command::DjGone { member }),
            Step::VoteDj(m, dj, behind) => {
                let member_id = dj.and_then(|dj| self.member_or_unknown(dj));
                let if_match = self.room.durable.event_count.saturating_sub(behind.into());
                self.apply_for(m, |member| Command::Control {
                    member,
                    if_match,
                    control: Control::VoteDj { member_id },
                });
            }
            Step::VoteSkip(m, track, up) => {
                if let Some(track_id) = self.track(track) {
                    self.control(m, Control::VoteSkip { track_id, up });
                }
            }
            Step::VotePick(m, track, up) => {
                if let Some(track_id) = self.track(track) {
                    self.control(m, Control::VotePick { track_id, up });
                }
            }
            Step::Leave(m) => self.apply_for(m, |member| Command::Leave { member }),
            Step::Unpair(m, target) => {
                if let (Some(member), Some(target)) =
                    (self.member(m), self.member_or_unknown(target))
                {
                    self.apply(Command::Unpair { member, target });
                }
            }
            Step::Arrive(m, report) => {
                let playback = report.and_then(|(track, position_sec)| {
                    let track_id = self.track(track)?;
                    Some(ReportedPlayback {
                        track_id,
                        position_sec,
                    })
                });
                self.apply_for(m, |member| Command::Arrive { member, playback });
            }
            Step::Depart(m, vanished) => self.apply_for(m, |member| Command::Depart {
                member,
                how: if vanished {
                    Departure::Vanished
                } else {
                    Departure::Left
                },
            }),
            Step::DropStalled(m) => self.apply_for(m, |member| Command::DropStalled { member }),
            Step::EndOfTrack => {
                let if_match = self.room.durable.event_count;
                self.apply(Command::EndOfTrack { if_match });
            }
            Step::Rescan(mask, longer) => {
                self.apply(Command::Library(catalog(mask, longer)));
            }
            Step::Restart(has_timed_starts) => {
                self.room = invariants::restart(&self.room, self.context());
                self.has_timed_starts = has_timed_starts;
                self.coverage.restarts += 1;
            }
            Step::Wait(ms) => self.now_ms += f64::from(ms),
            Step::WaitForTheEnd(ms) => {
                let until_ms = self.room.ends_at_ms().map(|end| end + f64::from(ms));
                self.now_ms = self.now_ms.max(until_ms.unwrap_or(0.0));
            }
        }
    }

    fn pair(&mut self) {
        if self.room.durable.clients.len() < usize::from(MAX_MEMBERS) {
            let (name, token_hash) = (String::new(), self.new_token());
            self.apply(Command::Pair { name, token_hash });
        }
    }

    fn pair_again(&mut self, m: u8) {
        let (token_hash, member) = (self.new_token(), self.member(m));
        let mut tokens = self.room.private.token_hashes.iter();
        let found = tokens.find(|(_, owner)| Some(**owner) == member);
        if let Some((old_token_hash, member)) = found.map(|(hash, owner)| (*hash, *owner)) {
            self.apply(Command::PairAgain {
                member,
                name: "again".into(),
                token_hash,
                old_token_hash,
            });
        }
    }

    /// The device number `n` as in [`World::member`], but the number [`MAX_MEMBERS`] stands for a device that is not paired.
    fn member_or_unknown(&self, n: u8) -> Option<MemberId> {
        match n {
            MAX_MEMBERS => Some(MemberId(0)),
            _ => self.member(n),
        }
    }

    /// Device `m` sets the speaker delays of device `other` and of itself.
    fn tune(&mut self, m: u8, other: u8, delay_ms: f64) {
        if let (Some(member), Some(other)) = (self.member(m), self.member_or_unknown(other)) {
            let delays = [(member, -delay_ms), (other, delay_ms)].into();
            self.apply(Command::Tune { member, delays });
            self.apply(Command::Compare {
                sender: Some(member),
                by: ComparisonMethod::Ear,
                at: format!("{delay_ms}"),
                compared: [member, other].into(),
                // Devices of one kind differ by more and by less than what ends the guessing.
                delays: [(member, 10.0 * delay_ms)].into(),
            });
        }
    }

    /// Device `m` sets the trim of device `other`.
    fn trim(&mut self, m: u8, other: u8, trim_db: f64) {
        if let (Some(member), Some(trimmed)) = (self.member(m), self.member_or_unknown(other)) {
            self.apply(Command::Trim {
                member,
                trimmed,
                trim_db,
            });
        }
    }

    /// Pairs and connects `n` devices. Does not count the commands as checked, because these commands are always the same.
    fn add_listeners(&mut self, n: u8) {
        let checked = self.coverage.checked;
        let (listening, picks) = (self.coverage.listening, self.coverage.picks);
        while self.room.durable.clients.len() < usize::from(n) {
            self.pair();
        }
        for m in 0..n {
            self.apply_for(m, |member| Command::Arrive {
                member,
                playback: None,
            });
        }
        self.coverage.checked = checked;
        self.coverage.listening = listening;
        self.coverage.picks = picks;
    }

    /// All listeners acknowledge the track, one after the other.
    fn all_acknowledge(&mut self, track: TrackRef) {
        let Some(track_id) = self.track(track) else {
            return;
        };
        for member in self.room.live.listeners.clone().iter() {
            self.control_by(*member, ack(track_id, true, None));
        }
    }

    /// Device `m` acknowledges the current track for an event count `behind` events ago. The core accepts the
    /// acknowledgement if the open barrier opened at that count or before.
    fn late_ack(&mut self, m: u8, behind: u8) {
        let Some(track_id) = self.room.current_track_id() else {
            return;
        };
        let if_match = self.room.durable.event_count.saturating_sub(behind.into());
        let control = ack(track_id, true, None);
        self.apply_for(m, |member| Command::Control {
            member,
            if_match,
            control,
        });
    }

    pub(crate) fn apply(&mut self, command: Command) {
        match invariants::apply_checked(&self.room, &command, self.context()) {
            Ok((room, events)) => {
                self.count(&command, &room, &events);
                self.room = room;
            }
            Err(rejection) => {
                self.coverage.rejected += 1;
                let is_forbidden = matches!(rejection, Rejection::Forbidden(_));
                self.coverage.forbidden += u64::from(is_forbidden);
            }
        }
    }

    /// Counts the situations that an accepted command led to.
    fn count(&mut self, command: &Command, after: &Room, events: &[Event]) {
        let coverage = &mut self.coverage;
        coverage.checked += 1;
        coverage.events += events.len() as u64;
        coverage.listening[after.live.listeners.len()] += 1;
        let has = |name| events.iter().any(|event| event.kind.name() == name);
        let (opened, released) = (has("barrier.opened"), has("barrier.release"));
        if released && !opened {
            coverage.waits[self.members_at_opening] += 1;
        }
        if let (true, Some(barrier)) = (opened, &after.durable.barrier) {
            self.members_at_opening = barrier.members.len();
        }
        coverage.skipped += u64::from(released && has("barrier.shrunk"));
        coverage.parked += u64::from(has("playback.parked"));
        coverage.picks[after.durable.picks.len()] += 1;
        let (old_picks, picks) = (&self.room.durable.picks, &after.durable.picks);
        if has("library.changed") {
            coverage.removed_current += u64::from(has("queue.advanced"));
            coverage.removed_picks += u64::from(picks.len() < old_picks.len());
            coverage.library_with_picks += u64::from(!picks.is_empty());
        }
        if has("queue.undone") {
            coverage.undone_starts += u64::from(opened);
            coverage.undone += u64::from(!opened);
        }
        coverage.reported_ends += u64::from(matches!(
            command,
            Command::Control {
                control: Control::Ended { .. },
                ..
            }
        ));
        coverage.orphaned_picks += u64::from(has("client.left") && old_picks != picks);
        coverage.claimed += u64::from(has("hosts.changed") && has("rules.changed"));
        coverage.elected += u64::from(has("vote.cast") && has("dj.changed"));
        coverage.skipped_by_vote += u64::from(has("vote.cast") && has("queue.advanced"));
        let is_order_changed = has("rules.changed") && old_picks != picks;
        coverage.reordered += u64::from(is_order_changed);
        let tracks = |picks: &[Pick]| picks.iter().map(|pick| pick.track_id).collect::<Vec<_>>();
        let is_voted_up = has("vote.cast") && tracks(old_picks) != tracks(picks);
        coverage.voted_up += u64::from(is_voted_up && !has("queue.advanced"));
        coverage.pinned += u64::from(picks.iter().any(|pick| pick.pinned));
        coverage.by_order[after.durable.rules.order as usize] += u64::from(picks.len() > 1);
        coverage.levelled += u64::from(has("playback.levelled"));
        if let (true, Some(segue)) = (has("queue.advanced"), self.room.live.segue) {
            let known_db = after.catalog.level(segue.track_id).gain_db;
            coverage.promised_gains_kept += u64::from(segue.gain_db != known_db);
        }
        let (promised, segue) = (self.room.live.segue, after.live.segue);
        let is_moved = events.is_empty() && promised.is_some() && segue != promised;
        coverage.segues_moved += u64::from(is_moved);
        if opened && released {
            let anchor_at_ms = after.live.anchor_at_ms;
            let segue_ms = self.room.live.segue.map(|segue| segue.anchor_at_ms);
            coverage.positions_reported += u64::from(anchor_at_ms == Some(self.now_ms));
            coverage.segues_kept += u64::from(has("queue.advanced") && anchor_at_ms == segue_ms);
        }
    }
}
