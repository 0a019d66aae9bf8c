//! The durable state (exactly what `STATE_FILE` holds) and the live state (never written, never
//! counted). What may be done with them lives in `apply`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::id::{KeyHash, MemberId, TrackId};

/// Pages read the count as a JavaScript number, which is exact up to there.
const LARGEST_COUNT: u64 = (1 << 53) - 1;
/// No speaker is later or earlier than this, in milliseconds.
pub const LARGEST_DELAY_MS: f64 = 500.0;
/// There is always a next number to give.
const LARGEST_MEMBER: u32 = 1 << 31;

/// Whether the room means to play or to be silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Music sounds, or will as soon as somebody is there to hear it.
    Playing,
    /// Silent: by somebody's wish, or while a barrier is open.
    Paused,
}

/// The mode, and the position that the last event put the track at.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlayState {
    /// See [`Mode`].
    pub mode: Mode,
    /// The anchor, in seconds from the track's start.
    pub anchor_position_sec: f64,
}

/// What a barrier stands before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BarrierType {
    /// A track starts from its beginning.
    Track,
    /// A paused track goes on.
    Resume,
}

/// The wait until every member has the whole track.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Barrier {
    /// What it stands before.
    #[serde(rename = "type")]
    pub kind: BarrierType,
    /// The track that it is about: always the current one.
    pub track_id: TrackId,
    /// Who is waited for, or was. Never grows.
    pub members: BTreeSet<MemberId>,
    /// Those members that need not be waited for any more.
    pub ready: BTreeSet<MemberId>,
}

/// A paired device, as everybody may know it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Client {
    /// What its owner typed; may be empty.
    #[serde(default)]
    pub name: String,
    /// By how much its speaker is late beyond what the device knows, in milliseconds; early when negative.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub delay_ms: f64,
}

fn is_zero(ms: &f64) -> bool {
    *ms == 0.0
}

/// The part of the state that events change and that every snapshot shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Durable {
    /// How many events there have been. It names this state: equal counts, equal states.
    pub event_count: u64,
    /// Every track of the library, as a ring in play order.
    pub queue: Arc<Vec<TrackId>>,
    /// Which of `queue` is the current one; 0 when there is none.
    pub queue_index: usize,
    /// Mode and anchor.
    pub play_state: PlayState,
    /// The open barrier.
    pub barrier: Option<Barrier>,
    /// Every paired device.
    pub clients: Arc<BTreeMap<MemberId, Client>>,
}

/// What the state file holds besides, and no snapshot shows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Private {
    /// Whose token has which hash.
    pub keys: Arc<BTreeMap<KeyHash, MemberId>>,
    /// The number of the last member id given.
    pub last_member: u32,
    /// The count of the open barrier's `barrier.opened`: acknowledgements match from there on.
    pub barrier_opened_at: u64,
}

/// What one device has said of the tracks that it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Whole on the device.
    pub held: BTreeSet<TrackId>,
    /// Nothing that the device can play.
    pub unplayable: BTreeSet<TrackId>,
}

impl Holdings {
    /// Whether nobody need wait for this device before `track`.
    pub fn ready_for(&self, track: TrackId) -> bool {
        self.held.contains(&track) || self.unplayable.contains(&track)
    }
}

/// The promise that next-up starts at a known moment, so that phones can schedule it. It holds
/// only as long as the event count is the one it was made at.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Segue {
    /// Next-up.
    pub track_id: TrackId,
    /// When it starts, in milliseconds of the server's clock.
    pub anchor_at_ms: f64,
    /// The count that it holds for.
    pub event_count: u64,
}

/// What is known only as long as the process lives.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Live {
    /// The active set: every paired device with an open event stream that is not a remote.
    pub listeners: Arc<BTreeSet<MemberId>>,
    /// What devices said they hold. Forgotten when a listener departs or a device is no longer paired.
    pub holdings: Arc<BTreeMap<MemberId, Arc<Holdings>>>,
    /// When the track is at the anchor, in milliseconds of the server's clock. `None` while
    /// nothing moves: paused, waiting, or playing with nobody there.
    pub needle_ms: Option<f64>,
    /// See [`Segue`].
    pub segue: Option<Segue>,
    /// The process began in mid-song, or the last listener left, and until then, in milliseconds of the server's clock,
    /// whoever comes back playing knows better than the anchor where the music is.
    pub place_lost_until_ms: Option<f64>,
    /// Whether a device has been paired since the process began.
    pub anybody_paired: bool,
}

/// What the core needs to know of the library: its tracks in order, how long each is, and which bytes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Library {
    order: Vec<TrackId>,
    tracks: BTreeMap<TrackId, Track>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Track {
    duration_sec: f64,
    /// Other bytes have another one; `None` while nobody has looked.
    version: Option<u64>,
}

impl Library {
    /// From tracks in the order in which a new queue plays them, with durations in seconds, and of unknown versions.
    pub fn new(tracks: impl IntoIterator<Item = (TrackId, f64)>) -> Self {
        Library::of(
            tracks
                .into_iter()
                .map(|(id, duration_sec)| (id, duration_sec, None)),
        )
    }

    /// The same, with each track's version.
    pub fn versioned(tracks: impl IntoIterator<Item = (TrackId, f64, u64)>) -> Self {
        let tracks = tracks.into_iter();
        Library::of(tracks.map(|(id, duration_sec, version)| (id, duration_sec, Some(version))))
    }

    fn of(tracks: impl Iterator<Item = (TrackId, f64, Option<u64>)>) -> Self {
        let mut library = Library::default();
        for (id, duration_sec, version) in tracks {
            let track = Track {
                duration_sec,
                version,
            };
            if library.tracks.insert(id, track).is_none() {
                library.order.push(id);
            }
        }
        library
    }

    /// The tracks that are other bytes than they were in `before`, in order.
    pub(super) fn changed_since(&self, before: &Library) -> Vec<TrackId> {
        let is_changed = |id: &TrackId| {
            let (was, is) = (before.version(*id), self.version(*id));
            was.is_some() && is.is_some() && was != is
        };
        self.order.iter().copied().filter(is_changed).collect()
    }

    fn version(&self, track: TrackId) -> Option<u64> {
        self.tracks.get(&track).and_then(|track| track.version)
    }

    /// Every track, in order.
    pub fn order(&self) -> &[TrackId] {
        &self.order
    }

    /// How long a track is, in seconds; `None` when it is not in the library.
    pub fn duration_sec(&self, track: TrackId) -> Option<f64> {
        self.tracks.get(&track).map(|track| track.duration_sec)
    }

    /// Whether there is such a track.
    pub fn contains(&self, track: TrackId) -> bool {
        self.tracks.contains_key(&track)
    }
}

/// One house's room, whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Room {
    /// What events change and everybody sees.
    pub durable: Durable,
    /// What is written with it and nobody sees.
    pub private: Private,
    /// What is never written.
    pub live: Live,
    /// The library that the queue is a permutation of.
    pub library: Arc<Library>,
}

impl Default for Room {
    /// The room before its first event: no tracks, nobody paired.
    fn default() -> Self {
        Room::restore(
            Durable {
                event_count: 0,
                queue: Arc::default(),
                queue_index: 0,
                play_state: PlayState {
                    mode: Mode::Paused,
                    anchor_position_sec: 0.0,
                },
                barrier: None,
                clients: Arc::default(),
            },
            Private::default(),
        )
    }
}

impl Room {
    /// The room that a process finds when it starts: durable state, nobody there yet. The library
    /// follows by [`super::Command::Library`].
    pub fn restore(durable: Durable, private: Private) -> Self {
        let last = durable.clients.keys().next_back().map_or(0, |m| m.0);
        Room {
            private: Private {
                last_member: private.last_member.max(last),
                ..private
            },
            library: Arc::new(Library::new(
                durable.queue.iter().map(|track| (*track, f64::INFINITY)),
            )),
            live: Live {
                place_lost_until_ms: (durable.play_state.mode == Mode::Playing)
                    .then_some(f64::INFINITY),
                ..Live::default()
            },
            durable,
        }
    }

    /// What contradicts itself in a state that was read from outside; `Ok` when nothing does.
    ///
    /// # Errors
    /// One sentence that names the first contradiction.
    pub fn check(&self) -> Result<(), String> {
        let durable = &self.durable;
        if durable.event_count > LARGEST_COUNT {
            return Err("eventCount is too large".into());
        }
        if self.private.last_member > LARGEST_MEMBER {
            return Err("a member's number is too large".into());
        }
        let tracks: BTreeSet<_> = durable.queue.iter().collect();
        if tracks.len() != durable.queue.len() {
            return Err("a track is in the queue twice".into());
        }
        if durable.queue_index >= durable.queue.len().max(1) {
            return Err("queueIndex points outside the queue".into());
        }
        let anchor = durable.play_state.anchor_position_sec;
        if !anchor.is_finite() || anchor < 0.0 {
            return Err("anchorPositionSec is not a position".into());
        }
        if let Some(barrier) = &durable.barrier {
            if durable.play_state.mode != Mode::Paused {
                return Err("a barrier is open while the mode is playing".into());
            }
            if Some(barrier.track_id) != self.current() {
                return Err("the barrier is not about the current track".into());
            }
            if !barrier.ready.is_subset(&barrier.members) {
                return Err("the barrier has somebody ready who is not a member".into());
            }
            if !barrier
                .members
                .iter()
                .all(|m| durable.clients.contains_key(m))
            {
                return Err("the barrier has a member who is not paired".into());
            }
            if self.private.barrier_opened_at > durable.event_count {
                return Err("the barrier opened in the future".into());
            }
        } else if durable.play_state.mode == Mode::Playing && durable.queue.is_empty() {
            return Err("it plays, but the queue is empty".into());
        }
        // Not a number is in no range.
        let in_range =
            |client: &Client| (-LARGEST_DELAY_MS..=LARGEST_DELAY_MS).contains(&client.delay_ms);
        if !durable.clients.values().all(in_range) {
            return Err("the delayMs of a device is not a speaker's delay".into());
        }
        if !self
            .private
            .keys
            .values()
            .all(|m| durable.clients.contains_key(m))
        {
            return Err("a token belongs to a device that is not paired".into());
        }
        Ok(())
    }

    /// The current track; `None` only when the library is empty.
    pub fn current(&self) -> Option<TrackId> {
        self.durable.queue.get(self.durable.queue_index).copied()
    }

    /// The track after the current one in the ring: the current one itself when it is alone.
    pub fn next_up(&self) -> Option<TrackId> {
        let queue = &self.durable.queue;
        queue
            .get((self.durable.queue_index + 1) % queue.len().max(1))
            .copied()
    }

    /// Where the music is at `now_ms` of the server's clock, in seconds from the track's start.
    pub fn position_sec(&self, now_ms: f64) -> f64 {
        let anchor = self.durable.play_state.anchor_position_sec;
        let passed = self
            .live
            .needle_ms
            .map_or(0.0, |needle| ((now_ms - needle) / 1000.0).max(0.0));
        self.clip(anchor + passed)
    }

    /// When the current track ends, in milliseconds of the server's clock; `None` while nothing moves.
    pub fn ends_at_ms(&self) -> Option<f64> {
        let duration = self.library.duration_sec(self.current()?)?;
        let rest = duration - self.durable.play_state.anchor_position_sec;
        Some(self.live.needle_ms? + rest.max(0.0) * 1000.0).filter(|end| end.is_finite())
    }

    /// A position cut to the current track's duration.
    pub(super) fn clip(&self, position_sec: f64) -> f64 {
        let duration = self
            .current()
            .and_then(|track| self.library.duration_sec(track));
        position_sec.min(duration.unwrap_or(f64::INFINITY))
    }

    /// Whether `member` hears nothing, or makes others wait, until it has `track`: it listens, and has not said that it has it,
    /// and it is the current one.
    pub fn awaits(&self, member: MemberId, track: TrackId) -> bool {
        self.current() == Some(track)
            && self.live.listeners.contains(&member)
            && !self.is_ready(member, track)
    }

    /// Whether nobody need wait for `member` before `track`.
    pub(super) fn is_ready(&self, member: MemberId, track: TrackId) -> bool {
        self.live
            .holdings
            .get(&member)
            .is_some_and(|h| h.ready_for(track))
    }
}
