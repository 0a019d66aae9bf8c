//! The state of a room: durable (in the state file and in snapshots), private (in the state file only) and live (in memory
//! only). The functions in `apply.rs`, `apply/`, `barrier.rs` and `segue.rs` change the state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::barrier::Barrier;
use super::catalog::TrackCatalog;
use super::decoded_lengths::DecodedLengths;
use super::id::{MemberId, TokenHash, TrackId};
use super::learned_delays::{DeviceKind, LearnedDelays};
use super::pick_order::{self, PickPlaces};
use super::picks::Pick;
use super::queue::{self, Absence};
use super::rules::Rules;
use super::segue::Segue;
use super::undo::Undo;

/// The largest absolute value of a speaker delay, in milliseconds.
pub const MAX_SPEAKER_DELAY_MS: f64 = 500.0;
/// The lowest trim of a device, in dB.
pub const MIN_TRIM_DB: f64 = -30.0;

/// Whether the room plays or is silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The room plays; if no device listens, playback is parked and resumes as soon as a listener arrives.
    Playing,
    /// The room is silent: it was paused, it has not been started, or a barrier is open.
    Paused,
}

/// The mode, and the anchor position.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlayState {
    /// Whether the room plays.
    pub mode: Mode,
    /// The anchor: the position that the last start, stop or seek set, in seconds from the start of the current track.
    /// [`LiveState::anchor_at_ms`] is the time at which playback is at this position.
    pub anchor_position_sec: f64,
}

/// The public data of a paired device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Client {
    /// The name that the device's user entered, after [`clean_device_name`](super::clean_device_name); may be empty.
    #[serde(default)]
    pub name: String,
    /// The delay of the device's speaker that the device itself cannot measure, in milliseconds; negative if the speaker
    /// plays early.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub delay_ms: f64,
    /// Whether `delay_ms` is a guess, from comparisons of other devices of the same kind.
    #[serde(
        rename = "guessed",
        default,
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub is_guess: bool,
    /// The kind of the device, once it has reported it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<DeviceKind>,
    /// The gain in dB with which the device plays beside the others: 0, or negative if it plays more quietly.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub trim_db: f64,
    /// The last comparison of the device's speaker with others, as long as its delay has not been changed otherwise since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<Comparison>,
}

/// How the speakers of devices were compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ComparisonMethod {
    /// A person listened to test ticks of all devices.
    Ear,
    /// A phone recorded chirps of all devices.
    Microphone,
    /// The server's machine recorded chirps of all devices.
    Server,
}

/// A comparison of one device's speaker with those of other devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// How the speakers were compared.
    pub by: ComparisonMethod,
    /// When, by the calendar: RFC 3339 in UTC.
    pub at: String,
    /// The other devices. Some of them may not be paired any more.
    pub with: BTreeSet<MemberId>,
}

fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

/// The state that events change and every snapshot shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DurableState {
    /// The number of events so far. Two durable states of one room with equal event counts are equal.
    pub event_count: u64,
    /// All tracks of the catalog in play order, as a ring: the last track is followed by the first.
    pub queue: Arc<Vec<TrackId>>,
    /// The index of the current track in `queue`; 0 if the queue is empty.
    pub queue_index: usize,
    /// The tracks that people have asked for, in order. They directly follow the current track in the ring.
    #[serde(default)]
    pub picks: Arc<Vec<Pick>>,
    /// The device that picked the current track; `None` if the track was not a pick, or if that device is no longer paired.
    #[serde(default)]
    pub picked_by: Option<MemberId>,
    /// Mode and anchor.
    pub play_state: PlayState,
    /// The gain in dB with which all devices play the current track; `None` if its loudness is unknown.
    #[serde(default)]
    pub gain_db: Option<f64>,
    /// The open barrier, if one is open.
    pub barrier: Option<Barrier>,
    /// All paired devices.
    pub clients: Arc<BTreeMap<MemberId, Client>>,
    /// The devices that may change the rules.
    #[serde(default)]
    pub hosts: Arc<BTreeSet<MemberId>>,
    /// Who may do what.
    #[serde(default)]
    pub rules: Rules,
    /// The DJ, which alone may control while the rules say so; `None` if there is no DJ.
    #[serde(default)]
    pub dj: Option<MemberId>,
    /// The devices that have voted for a DJ, each with its candidate; `None` is a vote for no DJ.
    #[serde(default)]
    pub dj_votes: Arc<BTreeMap<MemberId, Option<MemberId>>>,
    /// The devices that want to skip the current track.
    #[serde(default)]
    pub skip_votes: Arc<BTreeSet<MemberId>>,
}

/// The part of the state file that no snapshot shows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PrivateState {
    /// The device to which each token belongs, by the hash of the token. A device that was paired again has two valid
    /// tokens.
    #[serde(rename = "keys")]
    pub token_hashes: Arc<BTreeMap<TokenHash, MemberId>>,
    /// The number of the member id that was assigned last.
    pub last_member: u32,
    /// The event count at which the last barrier opened. While that barrier is open, an acknowledgement is accepted if it
    /// was meant for this event count or a later one.
    #[serde(rename = "barrierOpenedAt")]
    pub barrier_opened_event_count: u64,
    /// The recorded places in the queue of the tracks that the catalog no longer has.
    #[serde(skip_serializing_if = "is_empty")]
    pub absences: Arc<Vec<Absence>>,
    /// When each pick came, and its turn.
    #[serde(skip_serializing_if = "are_no_picks")]
    pub pick_places: Arc<PickPlaces>,
    /// The speaker delays that comparisons have found, by kind of device.
    #[serde(skip_serializing_if = "is_nothing_learned")]
    pub learned_delays: Arc<LearnedDelays>,
}

fn is_nothing_learned(learned_delays: &Arc<LearnedDelays>) -> bool {
    learned_delays.is_empty()
}

fn are_no_picks(places: &Arc<PickPlaces>) -> bool {
    places.is_empty()
}

fn is_empty(absences: &Arc<Vec<Absence>>) -> bool {
    absences.is_empty()
}

/// The tracks that one device has acknowledged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceTracks {
    /// Tracks that the device holds whole.
    pub downloaded: BTreeSet<TrackId>,
    /// Tracks that the device cannot play.
    pub unplayable: BTreeSet<TrackId>,
}

impl DeviceTracks {
    /// Whether the device holds `track` or cannot play it, so that no barrier waits for the device before `track`.
    pub fn is_ready_for(&self, track: TrackId) -> bool {
        self.downloaded.contains(&track) || self.unplayable.contains(&track)
    }
}

/// The state in memory, which is lost when the process ends.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LiveState {
    /// The devices that listen, from their `Arrive` command to their `Depart` command. A device stays a listener while it
    /// reconnects, because the hub sends `Depart` only after a grace period.
    pub listeners: Arc<BTreeSet<MemberId>>,
    /// The tracks that each device has acknowledged. The entry of a device is removed when the device departs or is
    /// unpaired.
    pub device_tracks: Arc<BTreeMap<MemberId, Arc<DeviceTracks>>>,
    /// The decoded lengths of the tracks that are longer than the catalog states.
    pub decoded_lengths: Arc<DecodedLengths>,
    /// When playback is at the anchor, in milliseconds of the server's clock. `None` while the position does not advance:
    /// paused, waiting at a barrier, or without listeners.
    pub anchor_at_ms: Option<f64>,
    /// The promised start of next-up (see [`Segue`]), if there is one.
    pub segue: Option<Segue>,
    /// The last change of the queue, if a device made it and nothing has happened since then that prevents its undoing.
    pub undo: Option<Arc<Undo>>,
    /// Until this time, in milliseconds of the server's clock, the position that an arriving device reports replaces the
    /// anchor. Set if the process started, or the last listener left, during playback: the devices may have continued to
    /// play without the server. Infinite until a listener arrives.
    pub position_unknown_until_ms: Option<f64>,
    /// The devices that were DJ and were removed, each with the time from which it can be DJ again, in milliseconds of the
    /// server's clock.
    pub dj_cooldowns: Arc<BTreeMap<MemberId, f64>>,
    /// Devices that have the rights of a host without being listed as hosts.
    pub overseers: Arc<BTreeSet<MemberId>>,
    /// Whether a device has been paired since the process started.
    pub any_paired_since_start: bool,
}

/// The whole state of one room.
#[derive(Debug, Clone, PartialEq)]
pub struct Room {
    /// The part that is stored in the state file and shown in snapshots.
    pub durable: DurableState,
    /// The part that is stored in the state file, but not shown in snapshots.
    pub private: PrivateState,
    /// The part that is kept in memory only.
    pub live: LiveState,
    /// The catalog. The queue is a permutation of its tracks.
    pub catalog: Arc<TrackCatalog>,
}

impl Default for Room {
    /// A room before its first event: no tracks and no paired devices.
    fn default() -> Self {
        Room::restore(
            DurableState {
                event_count: 0,
                queue: Arc::default(),
                queue_index: 0,
                picks: Arc::default(),
                picked_by: None,
                play_state: PlayState {
                    mode: Mode::Paused,
                    anchor_position_sec: 0.0,
                },
                gain_db: None,
                barrier: None,
                clients: Arc::default(),
                hosts: Arc::default(),
                rules: Rules::default(),
                dj: None,
                dj_votes: Arc::default(),
                skip_votes: Arc::default(),
            },
            PrivateState::default(),
        )
    }
}

impl Room {
    /// A room as loaded from the state file, without listeners. [`super::Command::Library`] sets its catalog after the first
    /// scan; until then, the durations of the tracks are unknown and count as infinite.
    pub fn restore(durable: DurableState, private: PrivateState) -> Self {
        let highest = durable.clients.keys().next_back().map_or(0, |m| m.0);
        let tracks = durable.queue.iter().map(|track| (*track, f64::INFINITY));
        let was_playing = durable.play_state.mode == Mode::Playing;
        let mut pick_places = private.pick_places;
        let tracks_of_picks: BTreeSet<_> = durable.picks.iter().map(|pick| pick.track_id).collect();
        if !pick_places.keys().eq(&tracks_of_picks) {
            // The file is of a version without places, or a user has edited the picks.
            Arc::make_mut(&mut pick_places).retain(|track, _| tracks_of_picks.contains(track));
        }
        if pick_places.len() != tracks_of_picks.len() {
            pick_places = Arc::new(pick_order::places_in_order(&durable.picks));
        }
        Room {
            private: PrivateState {
                pick_places,
                last_member: private.last_member.max(highest),
                ..private
            },
            catalog: Arc::new(TrackCatalog::new(tracks)),
            live: LiveState {
                position_unknown_until_ms: was_playing.then_some(f64::INFINITY),
                ..LiveState::default()
            },
            durable,
        }
    }

    /// The current track; `None` only if the queue is empty.
    pub fn current_track_id(&self) -> Option<TrackId> {
        self.durable.queue.get(self.durable.queue_index).copied()
    }

    /// The track after the current one in the ring; with a single track, the current one.
    pub fn next_up_id(&self) -> Option<TrackId> {
        let queue = &self.durable.queue;
        let index = queue::advance(queue.len(), self.durable.queue_index);
        queue.get(index).copied()
    }

    /// The current track and the picks.
    pub fn awaited_track_ids(&self) -> impl Iterator<Item = TrackId> {
        let picks = self.durable.picks.iter().map(|pick| pick.track_id);
        self.current_track_id().into_iter().chain(picks)
    }

    /// The playback position at `now_ms` of the server's clock, in seconds from the track's start.
    pub fn position_sec(&self, now_ms: f64) -> f64 {
        let elapsed_sec = self.live.anchor_at_ms.map_or(0.0, |anchor_at_ms| {
            ((now_ms - anchor_at_ms) / 1000.0).max(0.0)
        });
        self.clamp_position(self.durable.play_state.anchor_position_sec + elapsed_sec)
    }

    /// When the current track ends, in milliseconds of the server's clock; `None` while the position does not advance or the
    /// duration is unknown.
    pub fn ends_at_ms(&self) -> Option<f64> {
        let duration_sec = self.current_duration_sec()?;
        let rest_sec = duration_sec - self.durable.play_state.anchor_position_sec;
        let ends_at_ms = self.live.anchor_at_ms? + rest_sec.max(0.0) * 1000.0;
        Some(ends_at_ms).filter(|end| end.is_finite())
    }

    /// The duration of the current track in seconds: the catalog's, or a longer one (see [`DecodedLengths`]). `None` if there is
    /// no track.
    pub(super) fn current_duration_sec(&self) -> Option<f64> {
        let track = self.current_track_id()?;
        let stated_sec = self.catalog.duration_sec(track)?;
        Some(self.live.decoded_lengths.length_sec(track, stated_sec))
    }

    /// `position_sec`, limited to the current track's duration.
    pub(super) fn clamp_position(&self, position_sec: f64) -> f64 {
        let duration_sec = self.current_duration_sec();
        position_sec.min(duration_sec.unwrap_or(f64::INFINITY))
    }

    /// Whether `track` is the current track, and `member` listens and has not acknowledged the track yet.
    pub fn needs_track_now(&self, member: MemberId, track: TrackId) -> bool {
        self.current_track_id() == Some(track)
            && self.live.listeners.contains(&member)
            && !self.is_ready(member, track)
    }

    /// Whether a device listens, or is a member of the open barrier.
    pub fn counts_on(&self, member: MemberId) -> bool {
        let barrier = self.durable.barrier.as_ref();
        self.live.listeners.contains(&member)
            || barrier.is_some_and(|barrier| barrier.members.contains(&member))
    }

    /// Whether `member` holds `track` or cannot play it, so that no barrier waits for `member` before `track`.
    pub(super) fn is_ready(&self, member: MemberId, track: TrackId) -> bool {
        let tracks = self.live.device_tracks.get(&member);
        tracks.is_some_and(|tracks| tracks.is_ready_for(track))
    }
}
