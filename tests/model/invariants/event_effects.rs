//! The change of the visible state that each event must make, derived from the event and the command that caused the event.

use std::collections::BTreeSet;

use lockstep::room::{
    AdvanceReason, Barrier, BarrierType, Client, Command, Comparison, Control, DjReason, EventKind,
    MemberId, Mode, Pick, PickOrder, Room, RulesChange, TrackId, Vote,
};
use serde_json::{Value, json};

use super::expected_events::{Expectation, Start, same_time};
use super::expected_rules::changed_rules;
use super::pick_places;
use super::visible_state::VisibleState;

/// How long after the arrival of the first listener reports of the playback position are accepted, in milliseconds.
const POSITION_REPORT_WINDOW_MS: f64 = 10_000.0;

/// The expected room after the events that were applied so far.
pub(super) struct EventReplay<'a> {
    expectation: &'a Expectation<'a>,
    pub(super) visible: VisibleState,
    pub(super) anchor_at_ms: Option<f64>,
    pub(super) position_unknown_until_ms: Option<f64>,
}

impl<'a> EventReplay<'a> {
    pub(super) fn new(expectation: &'a Expectation) -> Self {
        EventReplay {
            expectation,
            visible: VisibleState::of(expectation.room),
            anchor_at_ms: expectation.room.live.anchor_at_ms,
            position_unknown_until_ms: expectation.room.live.position_unknown_until_ms,
        }
    }

    /// Checks the payload of an event, and applies the change that the event must make. `after` is the room after the command, of
    /// which only a random order is used.
    pub(super) fn apply(&mut self, event: &EventKind, after: &Room) {
        let payload = json!(event);
        match event {
            EventKind::ClientPaired { member_id } => self.paired(*member_id),
            EventKind::ClientRenamed { member_id } => match self.expectation.command {
                Command::Rename { member, name } if member == member_id => {
                    let client = self
                        .visible
                        .clients
                        .get_mut(member)
                        .expect("a paired device");
                    client.name.clone_from(name);
                }
                Command::Mirror { member, client, .. } if member == member_id => {
                    self.client(member).name.clone_from(&client.name);
                }
                other => panic!("{other:?} does not rename the device"),
            },
            EventKind::ClientDescribed { member_id, kind } => match self.expectation.command {
                Command::Describe { member, kind: new } if (member, new) == (member_id, kind) => {
                    let client = self
                        .visible
                        .clients
                        .get_mut(member)
                        .expect("a paired device");
                    client.kind = Some(kind.clone());
                }
                Command::Mirror { member, client, .. } if member == member_id => {
                    assert_eq!(client.kind.as_ref(), Some(kind));
                    self.client(member).kind = Some(kind.clone());
                }
                other => panic!("{other:?} does not describe the device"),
            },
            EventKind::ClientTuned {
                member_id,
                delay_ms,
            } => match self.expectation.command {
                Command::Describe { member, .. } if member == member_id => {
                    let client = self
                        .visible
                        .clients
                        .get_mut(member_id)
                        .expect("a paired device");
                    assert_eq!(client.compared, None, "a compared device needs no guess");
                    assert!(
                        client.delay_ms == 0.0 || client.is_guess,
                        "a guess does not replace a device's own delay"
                    );
                    client.delay_ms = *delay_ms;
                    client.is_guess = *delay_ms != 0.0;
                }
                Command::Tune { delays, .. } if delays.get(member_id) == Some(delay_ms) => {
                    let client = self
                        .visible
                        .clients
                        .get_mut(member_id)
                        .expect("a paired device");
                    assert!(
                        client.delay_ms != *delay_ms
                            || client.compared.is_some()
                            || client.is_guess,
                        "the delay or the comparison has changed"
                    );
                    client.delay_ms = *delay_ms;
                    client.compared = None;
                    client.is_guess = false;
                }
                Command::Compare {
                    by,
                    at,
                    compared,
                    delays,
                    ..
                } if delays.get(member_id) == Some(delay_ms) => {
                    let client = self
                        .visible
                        .clients
                        .get_mut(member_id)
                        .expect("a paired device");
                    let mut with = compared.clone();
                    assert!(with.remove(member_id), "the device was compared");
                    client.delay_ms = *delay_ms;
                    client.is_guess = false;
                    client.compared = Some(Comparison {
                        by: *by,
                        at: at.clone(),
                        with,
                    });
                }
                Command::Mirror { member, client, .. } if member == member_id => {
                    let copy = self.client(member);
                    copy.delay_ms = client.delay_ms;
                    copy.is_guess = client.is_guess;
                    copy.compared.clone_from(&client.compared);
                }
                other => panic!("{other:?} does not set this delay"),
            },
            EventKind::ClientTrimmed { member_id, trim_db } => match self.expectation.command {
                Command::Trim {
                    trimmed,
                    trim_db: requested,
                    ..
                } if trimmed == member_id && requested == trim_db => {
                    let client = self.visible.clients.get_mut(trimmed);
                    let client = client.expect("a paired device");
                    assert_ne!(client.trim_db, *trim_db, "the trim has changed");
                    client.trim_db = *trim_db;
                }
                other => panic!("{other:?} does not set this trim"),
            },
            EventKind::PlaybackLevelled { track_id, gain_db } => {
                assert_eq!(Some(track_id), self.visible.ring.first());
                assert_eq!(self.visible.gain_db, None, "a known gain stays");
                let play_state = self.visible.play_state;
                assert_eq!(play_state.mode, Mode::Paused);
                assert_eq!(play_state.anchor_position_sec, 0.0);
                assert_eq!(self.expectation.known_gain_db(*track_id), Some(*gain_db));
                self.visible.gain_db = Some(*gain_db);
            }
            EventKind::ClientLeft {
                member_id,
                removed_by,
            } => {
                let (unpaired, by) = match self.expectation.command {
                    Command::Leave { member } => (member, None),
                    Command::Expel { member, removed_by } => {
                        (member, removed_by.filter(|by| by != member))
                    }
                    Command::Unpair { member, target } if member == target => (target, None),
                    Command::Unpair { member, target } => (target, Some(*member)),
                    other => panic!("{other:?} does not unpair a device"),
                };
                assert_eq!((member_id, *removed_by), (unpaired, by));
                self.visible.clients.remove(member_id);
                let is_other = |by: &MemberId| by != member_id;
                self.visible.picked_by = self.visible.picked_by.filter(is_other);
                self.visible.hosts.remove(member_id);
                self.visible.dj = self.visible.dj.filter(is_other);
                self.visible.skip_votes.remove(member_id);
                let votes = &mut self.visible.dj_votes;
                votes.retain(|voter, wanted| {
                    is_other(voter) && wanted.as_ref().is_none_or(is_other)
                });
                for pick in &mut self.visible.picks {
                    pick.by = pick.by.filter(is_other);
                    pick.votes.retain(is_other);
                }
                if self.visible.rules.order == PickOrder::Votes {
                    self.sort_picks(after);
                    self.visible.place_picks();
                }
            }
            EventKind::BarrierOpened { .. } => {
                let barrier = self.opened();
                assert_eq!(payload, json!(barrier), "payload of barrier.opened");
                self.visible.barrier = Some(barrier);
            }
            EventKind::BarrierReady { member_id } => {
                let barrier = self.visible.barrier.as_mut().expect("an open barrier");
                assert!(
                    barrier.members.contains(member_id),
                    "{member_id} is a member"
                );
                assert!(self.expectation.is_ready(*member_id, barrier.track_id));
                assert!(barrier.ready.insert(*member_id), "{member_id} was missing");
            }
            EventKind::BarrierShrunk { member_id, .. } => self.shrunk(*member_id, &payload),
            EventKind::BarrierRelease { .. } => self.released(&payload),
            EventKind::PlaybackPaused { .. } => {
                let position_sec = self.clamp(self.expectation.position_sec());
                self.stop_at(position_sec);
                assert_eq!(payload, json!({ "anchorPositionSec": position_sec }));
            }
            EventKind::PlaybackSeeked { .. } => {
                let position_sec = self.clamp(self.expectation.position_sec());
                self.visible.play_state.anchor_position_sec = position_sec;
                self.position_unknown_until_ms = None;
                self.anchor_at_ms = self.anchor_at_ms.map(|_| self.expectation.after_lead_ms());
                let expected = json!({ "anchorPositionSec": position_sec, "anchorAtMs": self.published_anchor_at_ms() });
                assert_eq!(payload, expected);
            }
            EventKind::PlaybackParked {
                anchor_position_sec,
            } => self.parked(*anchor_position_sec),
            EventKind::QueueAdvanced { track_id, reason } => {
                self.advanced(*reason, after);
                self.visible.skip_votes.clear();
                self.stop_at(0.0);
                assert_eq!(
                    Some(track_id),
                    self.visible.ring.first(),
                    "trackId of queue.advanced"
                );
                self.visible.gain_db = self.expectation.new_gain_db(Some(*track_id));
            }
            EventKind::QueueUndone {} => self.undone(after),
            EventKind::QueueNudged { .. }
            | EventKind::QueuePicked { .. }
            | EventKind::QueueUnpicked { .. }
            | EventKind::QueueMoved { .. }
            | EventKind::QueueShuffled {}
            | EventKind::QueueSorted { .. } => {
                let (member, control) = self.control();
                self.ordered(member, control, &payload, after);
            }
            EventKind::RulesChanged { changed } => self.rules_changed(changed, after),
            EventKind::HostsChanged { member_id, host } => self.hosts_changed(*member_id, *host),
            EventKind::DjChanged { member_id, reason } => self.dj_changed(*member_id, *reason),
            EventKind::VoteCast(vote) => self.vote_cast(vote, after),
            EventKind::LibraryChanged {
                added,
                removed,
                changed,
                playlists,
            } => {
                assert!(
                    changed.is_empty() && !playlists,
                    "the catalogs of this test have no versions and no playlists"
                );
                self.library_changed(added, removed);
            }
        }
    }

    /// The command, which must be a request of a device.
    fn control(&self) -> (MemberId, &'a Control) {
        match self.expectation.command {
            Command::Control {
                member, control, ..
            } => (*member, control),
            other => panic!("{other:?} is no request"),
        }
    }

    /// Applies the change of the ring and of the picks by `queue.advanced`.
    fn advanced(&mut self, reason: AdvanceReason, after: &Room) {
        let visible = &mut self.visible;
        let (expected_reason, is_removal) = match self.expectation.command {
            Command::EndOfTrack { .. } => (AdvanceReason::Ended, false),
            Command::Library(_) => (AdvanceReason::Removed, true),
            Command::Control {
                member, control, ..
            } => match control {
                Control::Next => (AdvanceReason::Next, false),
                Control::VoteSkip { .. } => (AdvanceReason::Voted, false),
                Control::Ended { .. } => (AdvanceReason::Ended, false),
                Control::PlayNow { track_id } => {
                    assert_eq!(reason, AdvanceReason::PlayNow);
                    let current = visible.ring.remove(0);
                    visible.ring.retain(|track| track != track_id);
                    visible.ring.insert(0, *track_id);
                    visible.ring.push(current);
                    let is_pick = visible.picks.iter().any(|pick| pick.track_id == *track_id);
                    visible.take_current_from_picks();
                    if !is_pick {
                        visible.picked_by = Some(*member);
                    }
                    if self.visible.rules.order != PickOrder::First {
                        self.sort_picks_behind(None, after);
                        self.visible.place_picks();
                    }
                    return;
                }
                Control::Previous => {
                    assert_eq!(reason, AdvanceReason::Previous);
                    let pick = self.pick(self.visible.ring[0], self.visible.picked_by);
                    self.visible.ring.rotate_right(1);
                    self.visible.take_current_from_picks();
                    self.visible.picked_by = None;
                    self.insert_first_pick(pick, after);
                    self.visible.place_picks();
                    return;
                }
                other => panic!("{other:?} does not advance the queue"),
            },
            other => panic!("{other:?} does not advance the queue"),
        };
        assert_eq!(reason, expected_reason);
        visible.ring.rotate_left(1);
        visible.take_current_from_picks();
        let catalog = self.expectation.catalog;
        while is_removal && !catalog.contains(visible.ring[0]) {
            visible.ring.rotate_left(1);
            visible.take_current_from_picks();
        }
    }

    fn pick(&self, track_id: TrackId, by: Option<MemberId>) -> Pick {
        let (votes, pinned) = (Vec::new(), false);
        Pick {
            track_id,
            by,
            votes,
            pinned,
        }
    }

    /// Applies the events of the requests that change the order of the ring, but not the current track.
    fn ordered(&mut self, member: MemberId, control: &Control, payload: &Value, after: &Room) {
        let current = self.visible.ring[0];
        let old_picks = self.visible.picks.clone();
        let old_pick = |track: TrackId| old_picks.iter().find(|pick| pick.track_id == track);
        let picks = &mut self.visible.picks;
        match control {
            Control::Nudge { track_id } => {
                assert_eq!(*payload, json!({ "trackId": track_id }));
                picks.retain(|pick| pick.track_id != *track_id);
                let pick = old_pick(*track_id).cloned();
                let pick = pick.unwrap_or_else(|| self.pick(*track_id, Some(member)));
                self.insert_first_pick(pick, after);
            }
            Control::Pick { track_ids } => {
                let mut added = Vec::new();
                for track in track_ids {
                    if *track != current && old_pick(*track).is_none() && !added.contains(track) {
                        added.push(*track);
                    }
                }
                assert_eq!(*payload, json!({ "trackIds": added }));
                for track in added {
                    let pick = self.pick(track, Some(member));
                    self.visible.picks.push(pick);
                }
                if self.visible.rules.order != PickOrder::First {
                    self.sort_picks(after);
                }
            }
            Control::Unpick { track_ids } => {
                let mut removed = Vec::new();
                for track in track_ids {
                    if old_pick(*track).is_some() && !removed.contains(track) {
                        removed.push(*track);
                    }
                }
                assert_eq!(*payload, json!({ "trackIds": removed }));
                picks.retain(|pick| !removed.contains(&pick.track_id));
                self.visible.ring.retain(|track| !removed.contains(track));
                self.visible.ring.extend(removed);
            }
            Control::Move { track_id, before } => {
                assert_eq!(*payload, json!({ "trackId": track_id, "before": before }));
                if *before != Some(*track_id) {
                    let pick = old_pick(*track_id).cloned().expect("a pick");
                    picks.retain(|pick| pick.track_id != *track_id);
                    let at = picks.iter().position(|pick| Some(pick.track_id) == *before);
                    picks.insert(at.unwrap_or(picks.len()), pick);
                }
            }
            Control::Shuffle { .. } => {
                let mut shuffled = VisibleState::of(after).ring;
                let first = 1 + picks.len();
                assert_eq!(shuffled[..first], self.visible.ring[..first]);
                let set = |ring: &[TrackId]| ring.iter().copied().collect::<BTreeSet<_>>();
                assert_eq!(set(&shuffled), set(&self.visible.ring));
                std::mem::swap(&mut self.visible.ring, &mut shuffled);
            }
            Control::Sort { order } => {
                assert_eq!(*payload, json!({ "order": order }));
                let place = |track: &TrackId| self.expectation.catalog.sort_place(*track, *order);
                let first = 1 + picks.len();
                let mut sorted = self.visible.ring.split_off(first);
                sorted.push(current);
                sorted.sort_by_key(place);
                let at = sorted.iter().position(|track| *track == current);
                sorted.rotate_left(at.expect("the current track"));
                self.visible.ring.extend(&sorted[1..]);
            }
            other => panic!("{other:?} does not change the order"),
        }
        self.visible.place_picks();
    }

    /// Applies `queue.undone`.
    fn undone(&mut self, after: &Room) {
        let undo = self.expectation.room.live.undo.as_ref();
        let undo = undo.expect("a change to undo");
        self.visible.ring = undo.queue.to_vec();
        self.visible.ring.rotate_left(undo.queue_index);
        let voted = std::mem::replace(&mut self.visible.picks, undo.picks.to_vec());
        // Votes are not undone.
        for pick in &mut self.visible.picks {
            let present = voted.iter().find(|other| other.track_id == pick.track_id);
            if let Some(present) = present {
                pick.votes.clone_from(&present.votes);
            }
        }
        self.sort_picks(after);
        self.visible.place_picks();
        self.visible.picked_by = undo.picked_by;
        if undo.playback.is_some() {
            self.visible.skip_votes.clear();
        }
        if let Some(playback) = undo.playback {
            let position_sec = self.clamp(playback.position_sec);
            self.stop_at(position_sec);
            self.visible.gain_db = playback.gain_db;
        }
    }

    /// Puts a pick before the others. Pins it if the rules determine the order, and sorts the others.
    fn insert_first_pick(&mut self, mut pick: Pick, after: &Room) {
        pick.pinned = self.visible.rules.order != PickOrder::First;
        let is_pinned = pick.pinned;
        self.visible.picks.insert(0, pick);
        if is_pinned {
            self.sort_picks(after);
        }
    }

    /// Puts the picks into the order of the rules.
    fn sort_picks(&mut self, after: &Room) {
        let promised = self.expectation.room.live.segue;
        self.sort_picks_behind(promised.map(|segue| segue.track_id), after);
    }

    fn sort_picks_behind(&mut self, promised: Option<TrackId>, after: &Room) {
        let visible = &mut self.visible;
        let places = &after.private.pick_places;
        visible.picks = pick_places::sorted(&visible.picks, visible.rules.order, places, promised);
    }

    /// Applies `rules.changed`.
    fn rules_changed(&mut self, changed: &RulesChange, after: &Room) {
        let (_, Control::ChangeRules(change)) = self.control() else {
            panic!("no change of the rules was requested");
        };
        let old = self.visible.rules;
        let new = changed_rules(old, change).expect("valid rules");
        assert_eq!(
            changed_rules(old, changed),
            Ok(new),
            "the payload has the change"
        );
        assert_ne!(old, new);
        self.visible.rules = new;
        if old.order != new.order {
            self.sort_picks(after);
            self.visible.place_picks();
        }
    }

    /// Applies `hosts.changed`.
    fn hosts_changed(&mut self, member_id: MemberId, host: bool) {
        let hosts = &mut self.visible.hosts;
        match self.expectation.command {
            Command::MakeHost { member } => assert_eq!((*member, true), (member_id, host)),
            Command::Control {
                member,
                control: Control::ChangeRules(_),
                ..
            } => {
                assert!(
                    hosts.is_empty(),
                    "only the first becomes host by changing a rule"
                );
                assert_eq!((*member, true), (member_id, host));
            }
            Command::Control {
                control:
                    Control::ChangeHosts {
                        member_id: named,
                        host: wanted,
                    },
                ..
            } => assert_eq!((named, wanted), (&member_id, &host)),
            other => panic!("{other:?} does not change the hosts"),
        }
        let has_changed = match host {
            true => hosts.insert(member_id),
            false => hosts.remove(&member_id),
        };
        assert!(has_changed);
    }

    /// Applies `dj.changed`.
    fn dj_changed(&mut self, member_id: Option<MemberId>, reason: DjReason) {
        assert_ne!(self.visible.dj, member_id);
        let expected_reason = match self.expectation.command {
            Command::DjGone { member } => {
                assert_eq!((self.visible.dj, member_id), (Some(*member), None));
                DjReason::Gone
            }
            Command::Control {
                member, control, ..
            } => match control {
                Control::ChangeDj { member_id: wanted } => {
                    assert_eq!(*wanted, member_id);
                    match (member_id, self.visible.hosts.contains(member)) {
                        (None, _) => DjReason::Removed,
                        (Some(_), true) => DjReason::Host,
                        (Some(_), false) => DjReason::Handed,
                    }
                }
                Control::ChooseDj { .. } => {
                    let chosen = member_id.expect("somebody was chosen");
                    assert!(self.expectation.candidates_for_dj().contains(&chosen));
                    DjReason::Random
                }
                Control::VoteDj { member_id: wanted } => {
                    assert_eq!(*wanted, member_id);
                    match member_id {
                        Some(_) => DjReason::Elected,
                        None => DjReason::Removed,
                    }
                }
                other => panic!("{other:?} does not change the DJ"),
            },
            other => panic!("{other:?} does not change the DJ"),
        };
        assert_eq!(reason, expected_reason);
        self.visible.dj = member_id;
        self.visible.dj_votes.clear();
    }

    /// Applies `vote.cast`.
    fn vote_cast(&mut self, vote: &Vote, after: &Room) {
        let (member, control) = self.control();
        let visible = &mut self.visible;
        let cast = match control {
            Control::VoteDj { member_id } => {
                visible.dj_votes.insert(member, *member_id);
                Vote::Dj {
                    member_id: *member_id,
                }
            }
            Control::VoteSkip { track_id, up } => {
                let (track_id, up) = (*track_id, *up);
                visible.skip_votes.remove(&member);
                visible.skip_votes.extend(up.then_some(member));
                Vote::Skip { track_id, up }
            }
            Control::VotePick { track_id, up } => {
                let (track_id, up) = (*track_id, *up);
                let mut picks = visible.picks.iter_mut();
                let pick = picks.find(|pick| pick.track_id == track_id);
                let votes = &mut pick.expect("a pick").votes;
                votes.retain(|voter| *voter != member);
                votes.extend(up.then_some(member));
                if visible.rules.order == PickOrder::Votes {
                    self.sort_picks(after);
                    self.visible.place_picks();
                }
                Vote::Pick { track_id, up }
            }
            other => panic!("{other:?} is no vote"),
        };
        assert_eq!(*vote, cast);
    }

    /// Applies `client.paired`.
    fn paired(&mut self, member_id: MemberId) {
        let clients = &mut self.visible.clients;
        match self.expectation.command {
            Command::Pair { name, .. } => {
                let last = MemberId(self.expectation.room.private.last_member);
                assert!(member_id > last, "{member_id} was assigned before");
                let name = name.clone();
                let client = Client {
                    name,
                    ..Client::default()
                };
                let replaced = clients.insert(member_id, client);
                assert_eq!(replaced, None, "the member id is new");
            }
            Command::PairAgain { member, name, .. } => {
                assert_eq!(*member, member_id, "the member id stays");
                let client = clients.get_mut(member).expect("a paired device");
                if !name.is_empty() {
                    client.name.clone_from(name);
                }
            }
            Command::Admit { member, client } => {
                assert_eq!(
                    *member, member_id,
                    "the member id is the one from elsewhere"
                );
                let replaced = clients.insert(member_id, client.clone());
                assert_eq!(replaced, None, "the device was not paired here");
            }
            other => panic!("{other:?} does not pair a device"),
        }
    }

    fn client(&mut self, member: &MemberId) -> &mut Client {
        self.visible
            .clients
            .get_mut(member)
            .expect("a paired device")
    }

    /// Applies `barrier.opened`, except the new barrier itself. Returns that barrier: it is for the current track, and its
    /// members are the listeners.
    fn opened(&mut self) -> Barrier {
        let (expectation, track_id) = (self.expectation, self.visible.ring[0]);
        let open = expectation.room.durable.barrier.as_ref();
        let mut position_sec = self.visible.play_state.anchor_position_sec;
        let mut kind = BarrierType::Track;
        match expectation.command {
            Command::Control {
                control: Control::Play { .. },
                ..
            } => {
                kind = BarrierType::Resume;
                position_sec = self.clamp(expectation.position_sec());
                self.position_unknown_until_ms = None;
            }
            Command::Arrive { .. } => {
                if let Start::AtReport(report) = expectation.start() {
                    kind = BarrierType::Resume;
                    position_sec = self.clamp(report.position_sec);
                    self.position_unknown_until_ms = None;
                } else if let Some(open) = open {
                    kind = open.kind;
                } else {
                    kind = BarrierType::Resume;
                    position_sec = self.clamp(position_sec);
                    let was_unknown = self.position_unknown_until_ms.is_some();
                    let until_ms = expectation.context.now_ms + POSITION_REPORT_WINDOW_MS;
                    self.position_unknown_until_ms = was_unknown.then_some(until_ms);
                }
            }
            _ => {}
        }
        self.anchor_at_ms = None;
        self.visible.stop_at(position_sec);
        let ready = expectation.listeners.iter().copied();
        Barrier {
            kind,
            track_id,
            members: expectation.listeners.clone(),
            ready: ready
                .filter(|m| expectation.is_ready(*m, track_id))
                .collect(),
        }
    }

    /// Applies `barrier.shrunk`.
    fn shrunk(&mut self, member: MemberId, payload: &Value) {
        let barrier = self.visible.barrier.as_mut().expect("an open barrier");
        assert!(barrier.members.remove(&member), "{member} is a member");
        let was_ready = barrier.ready.remove(&member);
        let reason = self.expectation.reason();
        assert_eq!(*payload, json!({ "memberId": member, "reason": reason }));
        if matches!(reason, "stalled" | "skipped") {
            assert!(!was_ready, "{member} was not ready");
        }
    }

    /// Applies `barrier.release`.
    fn released(&mut self, payload: &Value) {
        let barrier = self.visible.barrier.take().expect("an open barrier");
        assert_eq!(
            barrier.members, barrier.ready,
            "a barrier is released when all members are ready"
        );
        self.visible.play_state.mode = Mode::Playing;
        let start_ms = match self.expectation.start() {
            Start::AfterLead => self.expectation.after_lead_ms(),
            Start::AtSegue(at_ms) => at_ms,
            Start::AtReport(_) => self.expectation.context.now_ms,
        };
        self.anchor_at_ms = Some(start_ms).filter(|_| !self.expectation.listeners.is_empty());
        let expected = json!({
            "trackId": self.visible.ring[0],
            "anchorPositionSec": self.visible.play_state.anchor_position_sec,
            "anchorAtMs": self.published_anchor_at_ms(),
        });
        assert_eq!(*payload, expected, "payload of barrier.release");
    }

    /// Applies `playback.parked`: the mode stays playing, and the anchor becomes the current position.
    fn parked(&mut self, position_sec: f64) {
        let anchor_at_ms = self.anchor_at_ms.take().expect("playback that advances");
        let elapsed_sec = ((self.expectation.context.now_ms - anchor_at_ms) / 1e3).max(0.0);
        let state = &mut self.visible.play_state;
        let expected_sec = state.anchor_position_sec + elapsed_sec;
        state.anchor_position_sec = position_sec;
        let expected_sec = self.clamp(expected_sec);
        assert!(
            same_time(expected_sec, position_sec),
            "parked at {position_sec} instead of {expected_sec}"
        );
        self.position_unknown_until_ms = Some(f64::INFINITY);
    }

    /// Applies `library.changed`.
    fn library_changed(&mut self, added: &[TrackId], removed: &[TrackId]) {
        let catalog = self.expectation.catalog;
        let ring = &mut self.visible.ring;
        let current = ring.first().copied();
        let set = |tracks: &[TrackId]| tracks.iter().copied().collect::<BTreeSet<_>>();
        let (old, new) = (set(ring), set(catalog.order()));
        assert_eq!(set(added), &new - &old, "added tracks");
        assert_eq!(set(removed), &old - &new, "removed tracks");
        *ring = self.expectation.ring_after_library_change();
        let new_current = ring.first().copied();
        self.visible
            .picks
            .retain(|pick| new.contains(&pick.track_id));
        if current != new_current {
            self.visible.gain_db = self.expectation.new_gain_db(new_current);
            self.visible.picked_by = None;
            self.visible.skip_votes.clear();
        }
        if current.is_some() && current != new_current {
            self.stop_at(0.0);
        }
    }

    /// Stops playback at a position.
    fn stop_at(&mut self, position_sec: f64) {
        self.visible.stop_at(position_sec);
        self.anchor_at_ms = None;
        self.position_unknown_until_ms = None;
    }

    /// Limits a position to the current track's length.
    fn clamp(&self, position_sec: f64) -> f64 {
        let track = self.visible.ring.first();
        let length_sec = track.map(|track| self.expectation.length_sec(*track));
        position_sec.min(length_sec.unwrap_or(f64::INFINITY))
    }

    /// `anchorAtMs` as events carry it: `None` if starts carry no time.
    fn published_anchor_at_ms(&self) -> Option<f64> {
        self.anchor_at_ms
            .filter(|_| self.expectation.context.has_timed_starts)
    }

    /// When the current track ends in the room after the command, in milliseconds of the server's clock.
    pub(super) fn ends_at_ms(&self, after: &Room) -> Option<f64> {
        let track = *self.visible.ring.first()?;
        let stated_sec = self.expectation.catalog.duration_sec(track)?;
        // `check_live` checks these lengths.
        let length_sec = after.live.decoded_lengths.length_sec(track, stated_sec);
        let rest_sec = length_sec - self.visible.play_state.anchor_position_sec;
        Some(self.anchor_at_ms? + 1e3 * rest_sec.max(0.0))
    }

    /// The track after the current one.
    pub(super) fn next_up_id(&self) -> Option<TrackId> {
        let ring = &self.visible.ring;
        ring.get(1).or(ring.first()).copied()
    }
}
