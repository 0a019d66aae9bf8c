//! What each event means: the state that phones see, told from the events' names alone and from what was asked.

use std::collections::{BTreeMap, BTreeSet};

use lockstep::room::{
    Barrier, BarrierType, Client, Command, Control, EventKind, MemberId, Mode, PlayState, Room,
    TrackId,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::asked::{Asked, Start, same_time};

/// How long after the first phone the others may come back and know the place better.
const PLACE_LOST_MS: f64 = 10_000.0;

/// What phones see. The ring begins with the current track: where it starts in the queue is heard by nobody.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct View {
    ring: Vec<TrackId>,
    play_state: PlayState,
    barrier: Option<Barrier>,
    clients: BTreeMap<MemberId, Client>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Snapshot {
    queue: Vec<TrackId>,
    queue_index: usize,
    play_state: PlayState,
    barrier: Option<Barrier>,
    clients: BTreeMap<MemberId, Client>,
}

impl View {
    /// A snapshot without its count.
    pub(super) fn read(snapshot: &Value) -> Self {
        let Snapshot {
            queue: mut ring,
            queue_index,
            play_state,
            barrier,
            clients,
        } = Snapshot::deserialize(snapshot).expect("a snapshot");
        ring.rotate_left(queue_index);
        View {
            ring,
            play_state,
            barrier,
            clients,
        }
    }

    fn of(room: &Room) -> Self {
        let durable = &room.durable;
        let mut ring = durable.queue.to_vec();
        ring.rotate_left(durable.queue_index);
        View {
            ring,
            play_state: durable.play_state,
            barrier: durable.barrier.clone(),
            clients: durable.clients.as_ref().clone(),
        }
    }

    fn settle_at(&mut self, anchor_position_sec: f64) {
        self.barrier = None;
        self.play_state = PlayState {
            mode: Mode::Paused,
            anchor_position_sec,
        };
    }
}

/// The room as far as its events have been told.
pub(super) struct Story<'a> {
    asked: &'a Asked<'a>,
    pub(super) view: View,
    pub(super) needle_ms: Option<f64>,
    pub(super) place_lost_until_ms: Option<f64>,
}

impl<'a> Story<'a> {
    pub(super) fn new(asked: &'a Asked) -> Self {
        Story {
            asked,
            view: View::of(asked.room),
            needle_ms: asked.room.live.needle_ms,
            place_lost_until_ms: asked.room.live.place_lost_until_ms,
        }
    }

    /// Checks what the event says of itself against what came before it, and tells it.
    pub(super) fn tell(&mut self, event: &EventKind) {
        let payload = json!(event);
        match event {
            EventKind::ClientPaired { member_id } => self.paired(*member_id),
            EventKind::ClientRenamed { member_id } => match self.asked.command {
                Command::Rename { member, name } if member == member_id => {
                    let client = self.view.clients.get_mut(member).expect("it is paired");
                    client.name.clone_from(name);
                }
                other => panic!("{other:?} renames nobody"),
            },
            EventKind::ClientTuned {
                member_id,
                delay_ms,
            } => match self.asked.command {
                Command::Tune { delays, .. } if delays.get(member_id) == Some(delay_ms) => {
                    let client = self.view.clients.get_mut(member_id).expect("it is paired");
                    assert_ne!(client.delay_ms, *delay_ms, "it is news");
                    client.delay_ms = *delay_ms;
                }
                other => panic!("{other:?} tunes nobody so"),
            },
            EventKind::ClientLeft {
                member_id,
                removed_by,
            } => {
                let (gone, by) = match self.asked.command {
                    Command::Leave { member } => (member, None),
                    Command::Unpair { member, other } if member == other => (other, None),
                    Command::Unpair { member, other } => (other, Some(*member)),
                    other => panic!("{other:?} removes nobody"),
                };
                assert_eq!((member_id, *removed_by), (gone, by), "who is gone");
                self.view.clients.remove(member_id);
            }
            EventKind::BarrierOpened { .. } => {
                let barrier = self.opened();
                assert_eq!(payload, json!(barrier), "what barrier.opened says");
                self.view.barrier = Some(barrier);
            }
            EventKind::BarrierReady { member_id } => {
                let barrier = self.view.barrier.as_mut().expect("an open barrier");
                assert!(
                    barrier.members.contains(member_id),
                    "{member_id} is waited for"
                );
                assert!(self.asked.holds(*member_id, barrier.track_id), "it is so");
                assert!(barrier.ready.insert(*member_id), "it is news");
            }
            EventKind::BarrierShrunk { member_id, .. } => self.shrunk(*member_id, &payload),
            EventKind::BarrierRelease { .. } => self.released(&payload),
            EventKind::PlaybackPaused { .. } => {
                let position_sec = self.clip(self.asked.position_sec());
                self.settle_at(position_sec);
                assert_eq!(payload, json!({ "anchorPositionSec": position_sec }));
            }
            EventKind::PlaybackSeeked { .. } => {
                let position_sec = self.clip(self.asked.position_sec());
                self.view.play_state.anchor_position_sec = position_sec;
                self.place_lost_until_ms = None;
                self.needle_ms = self.needle_ms.map(|_| self.asked.soon_ms());
                let told =
                    json!({ "anchorPositionSec": position_sec, "anchorAtMs": self.told_needle() });
                assert_eq!(payload, told);
            }
            EventKind::PlaybackParked {
                anchor_position_sec,
            } => self.parked(*anchor_position_sec),
            EventKind::QueueAdvanced { track_id } => {
                self.view.ring.rotate_left(1);
                self.settle_at(0.0);
                assert_eq!(Some(track_id), self.view.ring.first(), "the current track");
            }
            EventKind::QueueNudged { track_id } => {
                assert!(
                    matches!(self.asked.command, Command::Control { control: Control::Nudge { track_id: asked }, .. } if asked == track_id),
                    "nobody asked for {track_id}"
                );
                self.view.ring.retain(|track| track != track_id);
                self.view.ring.insert(1, *track_id);
            }
            EventKind::LibraryChanged {
                added,
                removed,
                changed,
            } => {
                assert!(changed.is_empty(), "nobody knows of versions here");
                self.library_changed(added, removed);
            }
        }
    }

    fn paired(&mut self, member_id: MemberId) {
        let clients = &mut self.view.clients;
        match self.asked.command {
            Command::Pair { name, .. } => {
                let last = MemberId(self.asked.room.private.last_member);
                assert!(member_id > last, "{member_id} was given before");
                let name = name.clone();
                let delay_ms = 0.0;
                let replaced = clients.insert(member_id, Client { name, delay_ms });
                assert_eq!(replaced, None, "the device is new");
            }
            Command::PairAgain { member, name, .. } => {
                assert_eq!(*member, member_id, "it stays who it is");
                let client = clients.get_mut(member).expect("it was paired");
                if !name.is_empty() {
                    client.name.clone_from(name);
                }
            }
            other => panic!("{other:?} pairs nobody"),
        }
    }

    /// The barrier that opens here: before the current track, for all who listen and nobody else.
    fn opened(&mut self) -> Barrier {
        let (asked, track_id) = (self.asked, self.view.ring[0]);
        let waiting = asked.room.durable.barrier.as_ref();
        let mut position_sec = self.view.play_state.anchor_position_sec;
        let mut kind = BarrierType::Track;
        match asked.command {
            Command::Control {
                control: Control::Play { .. },
                ..
            } => {
                kind = BarrierType::Resume;
                position_sec = self.clip(asked.position_sec());
                self.place_lost_until_ms = None;
            }
            Command::Arrive { .. } => {
                if let Start::Where(held) = asked.start() {
                    kind = BarrierType::Resume;
                    position_sec = self.clip(held.position_sec);
                    self.place_lost_until_ms = None;
                } else if let Some(waiting) = waiting {
                    kind = waiting.kind;
                } else {
                    kind = BarrierType::Resume;
                    position_sec = self.clip(position_sec);
                    let lost = self.place_lost_until_ms;
                    self.place_lost_until_ms = lost.map(|_| asked.at.now_ms + PLACE_LOST_MS);
                }
            }
            _ => {}
        }
        self.needle_ms = None;
        self.view.settle_at(position_sec);
        let ready = asked.listeners.iter().copied();
        Barrier {
            kind,
            track_id,
            members: asked.listeners.clone(),
            ready: ready.filter(|m| asked.holds(*m, track_id)).collect(),
        }
    }

    fn shrunk(&mut self, member: MemberId, payload: &Value) {
        let barrier = self.view.barrier.as_mut().expect("an open barrier");
        assert!(barrier.members.remove(&member), "{member} was waited for");
        let was_ready = barrier.ready.remove(&member);
        let reason = self.asked.reason();
        assert_eq!(*payload, json!({ "memberId": member, "reason": reason }));
        if matches!(reason, "stalled" | "skipped") {
            assert!(!was_ready, "{member} was not in anybody's way");
        }
    }

    fn released(&mut self, payload: &Value) {
        let barrier = self.view.barrier.take().expect("an open barrier");
        assert_eq!(
            barrier.members, barrier.ready,
            "it starts only when nobody is missing"
        );
        self.view.play_state.mode = Mode::Playing;
        let start_ms = match self.asked.start() {
            Start::Soon => self.asked.soon_ms(),
            Start::Promised(at_ms) => at_ms,
            Start::Where(_) => self.asked.at.now_ms,
        };
        self.needle_ms = Some(start_ms).filter(|_| !self.asked.listeners.is_empty());
        let told = json!({
            "trackId": self.view.ring[0],
            "anchorPositionSec": self.view.play_state.anchor_position_sec,
            "anchorAtMs": self.told_needle(),
        });
        assert_eq!(*payload, told, "what barrier.release says");
    }

    /// It goes on meaning to play, from where the music was.
    fn parked(&mut self, position_sec: f64) {
        let needle_ms = self.needle_ms.take().expect("music that moves");
        let passed_sec = ((self.asked.at.now_ms - needle_ms) / 1e3).max(0.0);
        let state = &mut self.view.play_state;
        let was_at = state.anchor_position_sec + passed_sec;
        state.anchor_position_sec = position_sec;
        let is_at = self.clip(was_at);
        assert!(
            same_time(is_at, position_sec),
            "the music was at {is_at}, and is parked at {position_sec}"
        );
        self.place_lost_until_ms = Some(f64::INFINITY);
    }

    fn library_changed(&mut self, added: &[TrackId], removed: &[TrackId]) {
        let library = self.asked.library;
        let ring = &mut self.view.ring;
        let current = ring.first().copied();
        let set = |tracks: &[TrackId]| tracks.iter().copied().collect::<BTreeSet<_>>();
        let (old, new) = (set(ring), set(library.order()));
        assert_eq!(set(added), &new - &old, "what came");
        assert_eq!(set(removed), &old - &new, "what went");
        ring.retain(|track| new.contains(track));
        let order = library.order().iter();
        ring.extend(order.filter(|track| !old.contains(track)));
        if current.is_some() && current != ring.first().copied() {
            self.settle_at(0.0);
        }
    }

    fn settle_at(&mut self, position_sec: f64) {
        self.view.settle_at(position_sec);
        self.needle_ms = None;
        self.place_lost_until_ms = None;
    }

    /// No position is past the end.
    fn clip(&self, position_sec: f64) -> f64 {
        let duration = self.view.ring.first();
        let duration = duration.and_then(|track| self.asked.library.duration_sec(*track));
        position_sec.min(duration.unwrap_or(f64::INFINITY))
    }

    fn told_needle(&self) -> Option<f64> {
        self.needle_ms.filter(|_| self.asked.at.aligned)
    }

    /// When the current track is over.
    pub(super) fn ends_at_ms(&self) -> Option<f64> {
        let duration_sec = self.asked.library.duration_sec(*self.view.ring.first()?)?;
        let rest_sec = duration_sec - self.view.play_state.anchor_position_sec;
        Some(self.needle_ms? + 1e3 * rest_sec.max(0.0))
    }

    /// The track that is heard after the current one.
    pub(super) fn next_up(&self) -> Option<TrackId> {
        let ring = &self.view.ring;
        ring.get(1).or(ring.first()).copied()
    }
}
