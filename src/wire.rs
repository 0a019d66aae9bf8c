//! The JSON shapes of requests, responses and events, and the framing of events as Server-Sent Events. Does not
//! decide what a command does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::room::{
    ComparisonMethod, DeviceKind, DurableState, Event, EventKind, MemberId, Mode, PatchOp, Room,
    Segue, TrackId,
};
use crate::rounding::round_to;

/// How a device takes part in the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The device plays the music, and barriers wait for the device.
    Listener,
    /// The device shows and controls the room without playing.
    Remote,
}

/// A download in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Download {
    /// The track that is downloaded.
    pub track_id: TrackId,
    /// The offset in the file up to which the server has written bytes to the socket. The device may have received fewer.
    pub received_bytes: u64,
    /// The size of the file, in bytes.
    pub size: u64,
}

/// A connected device, listener or remote, as snapshots and live events describe it to all clients.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceView {
    /// How the device takes part.
    pub role: Role,
    /// The device's download in progress for which progress was last reported.
    pub download: Option<Download>,
    /// `false` if the device has reported that it cannot play the current track.
    pub playable: bool,
    /// How well the device is synchronized, by its last report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync: Option<SyncStatus>,
}

/// How well a listener is synchronized with the room, by the listener's own measurement.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SyncStatus {
    /// The deviation of the device's playback position from the room's position, in milliseconds; `None` while the device is
    /// silent.
    pub off_ms: Option<f64>,
    /// The round-trip time of a request of the device, in milliseconds.
    pub round_trip_ms: f64,
    /// The audio output latency of the device, in milliseconds.
    pub latency_ms: f64,
    /// Whether the device is silent until somebody touches it: its browser permits sound only after a tap (autoplay policy), or
    /// the device is paused alone.
    pub waits_for_tap: bool,
    /// Whether the device is paused alone, by its user or its system, while the room may play.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub paused_alone: bool,
}

/// The live part of a snapshot, which is not stored. The live events `presence` and `progress` carry the same fields.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveView {
    /// When playback is at the anchor position, in milliseconds of the server's clock. `None` while the position does not
    /// advance, and with `--alignment event`.
    pub anchor_at_ms: Option<f64>,
    /// The promised start of the next track at the end of the current one.
    pub segue: Option<Segue>,
    /// The devices that were removed as DJ, each with the seconds until it can be DJ again.
    pub dj_cooldown: BTreeMap<MemberId, u64>,
    /// All listeners and remotes.
    pub listeners: BTreeMap<MemberId, DeviceView>,
}

/// The whole state of the room, as clients see it.
#[derive(Debug, Serialize)]
pub struct Snapshot<'a> {
    /// The durable part, which is stored and which durable events change.
    #[serde(flatten)]
    pub durable: &'a DurableState,
    /// The live part, which is not stored.
    pub live: LiveView,
}

/// The request body of `POST /pair`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PairRequest {
    /// The pairing code.
    pub code: String,
    /// The name that the device's user entered, if any.
    #[serde(default)]
    pub client_name: Option<String>,
}

/// The request body of `POST /rename`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RenameRequest {
    /// The new name of the device.
    pub client_name: String,
}

/// The request body of `POST /unpair`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnpairRequest {
    /// The device to unpair.
    pub member_id: MemberId,
}

/// A room in the list of the server's rooms.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomRow {
    /// The room's id; `house` for the house room.
    pub room_id: String,
    /// The room's name.
    pub name: String,
    /// Whether a device needs a password to enter.
    pub locked: bool,
    /// The number of devices that listen.
    pub listeners: usize,
    /// The current track; `None` without one.
    pub current: Option<CurrentTrack>,
    /// Whether the room plays.
    pub mode: Mode,
    /// Whether the room's state file is damaged. Absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub damaged: bool,
    /// Whether the room's state file has not been read since the start. Absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub opening: bool,
}

/// The current track of a room, in [`RoomRow`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CurrentTrack {
    /// The track.
    pub track_id: TrackId,
    /// Its title; `None` if the library does not know the track.
    pub title: Option<String>,
    /// Its artists.
    pub artist: Option<String>,
}

/// The request body of `POST /rooms`.
#[derive(Debug, Deserialize)]
pub struct MakeRoomRequest {
    /// The name of the new room.
    pub name: String,
    /// The password that others need to enter, if any.
    #[serde(default)]
    pub password: Option<String>,
}

/// The request body of `POST /rooms/ROOMID/enter`.
#[derive(Debug, Default, Deserialize)]
pub struct EnterRoomRequest {
    /// The password, if the room has one.
    #[serde(default)]
    pub password: Option<String>,
}

/// The request body of `POST /rooms/ROOMID/name`.
#[derive(Debug, Deserialize)]
pub struct NameRoomRequest {
    /// The new name.
    pub name: String,
}

/// The request body of `POST /rooms/ROOMID/password`.
#[derive(Debug, Deserialize)]
pub struct LockRoomRequest {
    /// The new password; `null` for none. Required.
    #[serde(deserialize_with = "Option::deserialize")]
    pub password: Option<String>,
}

/// The request body of `POST /sync`. All times are in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SyncReport {
    /// See [`SyncStatus`]. Required; `null` while the device is silent.
    #[serde(deserialize_with = "Option::deserialize")]
    pub off_ms: Option<f64>,
    /// See [`SyncStatus`].
    pub round_trip_ms: f64,
    /// See [`SyncStatus`].
    pub latency_ms: f64,
    /// How long before a start the device must receive the event of the start in order to start in time.
    pub needs_ms: f64,
    /// See [`SyncStatus`].
    #[serde(default)]
    pub waits_for_tap: bool,
    /// See [`SyncStatus`].
    #[serde(default)]
    pub paused_alone: bool,
}

/// The part of the request body of `POST /sync` that belongs to the durable state.
#[derive(Debug, Deserialize)]
pub struct SyncDescription {
    /// The kind of the device.
    #[serde(default)]
    pub kind: Option<DeviceKind>,
}

impl SyncReport {
    /// The part of the report that all clients see, rounded.
    pub fn status(&self) -> SyncStatus {
        SyncStatus {
            off_ms: self.off_ms.map(round_to_tenths),
            round_trip_ms: round_to_tenths(self.round_trip_ms),
            latency_ms: round_to_tenths(self.latency_ms),
            waits_for_tap: self.waits_for_tap,
            paused_alone: self.paused_alone,
        }
    }
}

/// Rounds to tenths (of a millisecond or of a dB), because smaller differences are inaudible.
pub fn round_to_tenths(value: f64) -> f64 {
    round_to(value, 10.0)
}

/// The request body of `POST /tune`.
#[derive(Debug, Deserialize)]
pub struct TuneRequest {
    /// For each device, the delay of its speaker that the device itself cannot measure, in milliseconds; negative if the
    /// speaker plays early.
    pub delays: BTreeMap<MemberId, f64>,
    /// The comparison of speakers that found the delays, if any.
    #[serde(default)]
    pub compared: Option<ComparedSpeakers>,
}

/// How a device compared speakers, in [`TuneRequest`].
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComparedSpeakers {
    /// How the speakers were compared.
    pub by: ComparisonMethod,
    /// The devices that were heard.
    pub member_ids: BTreeSet<MemberId>,
}

/// The request body of `POST /compare/result`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComparisonResult {
    /// As in [`TuneRequest`]: the corrected delays of the devices that were heard.
    pub delays: BTreeMap<MemberId, f64>,
}

/// A listener, as `/compare` describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComparedPhone {
    /// The listener.
    pub member_id: MemberId,
    /// See [`crate::room::Client`].
    pub name: String,
    /// See [`crate::room::Client`].
    pub delay_ms: f64,
    /// See [`SyncStatus`].
    pub waits_for_tap: bool,
}

/// The response to `GET /compare`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComparisonState {
    /// Whether music plays or is about to start, so that chirps would not be heard.
    pub is_playing: bool,
    /// All listeners.
    pub phones: Vec<ComparedPhone>,
}

/// The response to `POST /compare`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartedComparison {
    /// As in [`Tuning`].
    pub starts_at_ms: f64,
    /// The listeners that chirp, in the order of their turns.
    pub phones: Vec<ComparedPhone>,
}

/// The request body of `POST /loudness`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoudnessReport {
    /// The track that was measured.
    pub track_id: TrackId,
    /// The version of the track that was measured; the listed one if absent.
    #[serde(default)]
    pub version: Option<String>,
    /// The integrated loudness by ITU-R BS.1770.
    pub lufs: f64,
    /// The peak in dB of full scale.
    pub peak_db: f64,
}

/// The request body of `POST /trim`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrimRequest {
    /// The device to trim.
    pub member_id: MemberId,
    /// The gain in dB with which the device is to play beside the others: 0, or negative to play more quietly.
    pub trim_db: f64,
}

/// The test sound for comparing the delays of speakers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TuningSound {
    /// A click that all devices play at the same time, to compare their speakers by ear.
    Tick,
    /// A frequency sweep that the devices play one after the other, to measure their speakers with a microphone.
    Chirp,
    /// Stop the test sound.
    Off,
}

/// The request body of `POST /tuning`.
#[derive(Debug, Deserialize)]
pub struct TuningRequest {
    /// The sound to play, or [`TuningSound::Off`].
    pub kind: TuningSound,
}

/// The payload of the live event `tuning`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tuning<'a> {
    /// The sound to play, or [`TuningSound::Off`].
    pub kind: TuningSound,
    /// When the sound starts or stops, in milliseconds of the server's clock.
    pub starts_at_ms: f64,
    /// The listeners that play the sound. They play [`TuningSound::Chirp`] one after the other in this order.
    pub member_ids: &'a BTreeSet<MemberId>,
}

/// The request body of `POST /chat`.
#[derive(Debug, Deserialize)]
pub struct ChatRequest {
    /// The text of the message, as the device's user entered it.
    pub text: String,
}

/// A chat message, in the response to `GET /chat` and as the payload of the live event `chat`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatMessage {
    /// Greater than the ids of earlier messages.
    pub id: u64,
    /// The device that sent the message.
    pub member_id: MemberId,
    /// The name of that device when it sent the message.
    pub name: String,
    /// One line of text.
    pub text: String,
    /// When the message arrived, in the form of RFC 3339.
    pub at: String,
}

/// The request body of `POST /react`.
#[derive(Debug, Deserialize)]
pub struct ReactRequest {
    /// The reaction.
    pub emoji: String,
}

/// One or more events, or a comment, in the framing of Server-Sent Events (WHATWG HTML, section 9.2). All streams share one
/// copy of the text.
#[derive(Debug, Clone)]
pub struct Message(Bytes);

impl Message {
    /// A durable event: a change of the stored state. Its `id` is the event count, from which a client can resume the
    /// stream.
    pub fn durable(event: &Event) -> Self {
        #[derive(Serialize)]
        struct Payload<'a> {
            #[serde(flatten)]
            kind: &'a EventKind,
            by: Option<MemberId>,
            patch: &'a [PatchOp],
        }
        let payload = Payload {
            kind: &event.kind,
            by: event.by,
            patch: &event.patch,
        };
        let data = data_json(event.kind.name(), &payload, event.event_count);
        Message(format!("id: {}\ndata: {data}\n\n", event.event_count).into())
    }

    /// A live event, which describes state that is not stored. A live event has no `id`, does not change the event count,
    /// and is not replayed.
    pub fn live(name: &str, payload: &impl Serialize, event_count: u64) -> Self {
        Message(format!("data: {}\n\n", data_json(name, payload, event_count)).into())
    }

    /// The snapshot at the beginning of a stream.
    pub fn snapshot(snapshot: &Snapshot<'_>) -> Self {
        let event_count = snapshot.durable.event_count;
        Self::live("snapshot", snapshot, event_count)
    }

    /// The field `retry`: sets the delay after which the client reconnects a broken stream.
    pub fn retry(after: Duration) -> Self {
        Message(format!("retry: {}\n\n", after.as_millis()).into())
    }

    /// An empty comment, which clients ignore. Sent regularly, so that client and server notice a dead connection.
    pub fn heartbeat() -> Self {
        Message(Bytes::from_static(b":\n\n"))
    }

    /// Joins messages into one, in their order.
    pub fn join(messages: &[Message]) -> Self {
        let texts: Vec<_> = messages.iter().map(Message::text).collect();
        Message(texts.concat().into())
    }

    /// The UTF-8 text to send.
    pub fn text(&self) -> Bytes {
        self.0.clone()
    }
}

/// The value of an event's field `data`: JSON, which is a single line, because JSON escapes line breaks in strings.
fn data_json(event: &str, payload: &impl Serialize, event_count: u64) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Data<'a, P> {
        event: &'a str,
        payload: &'a P,
        event_count: u64,
    }
    let data = Data {
        event,
        payload,
        event_count,
    };
    // Cannot fail: all keys are strings, and `Serialize` is derived.
    serde_json::to_string(&data).unwrap_or_default()
}

/// The devices that cannot be DJ at `now_ms`, each with the seconds that are left, rounded up.
fn dj_cooldown(room: &Room, now_ms: f64) -> BTreeMap<MemberId, u64> {
    let cooldowns = room.live.dj_cooldowns.iter();
    let running = cooldowns.filter(|(_, until_ms)| **until_ms > now_ms);
    running
        .map(|(member, until_ms)| (*member, ((until_ms - now_ms) / 1e3).ceil() as u64))
        .collect()
}

/// The live part of a snapshot of `room`. `has_timed_starts` is `false` with `--alignment event`: `anchorAtMs` is then
/// `null`. `remotes` are the connected devices that do not listen. `now_ms` is the time on the server's clock.
pub fn live_view(
    room: &Room,
    has_timed_starts: bool,
    downloads: &BTreeMap<MemberId, Download>,
    sync_statuses: &BTreeMap<MemberId, SyncStatus>,
    remotes: impl IntoIterator<Item = MemberId>,
    now_ms: f64,
) -> LiveView {
    let device_view = |member: MemberId, role| {
        let tracks = room.live.device_tracks.get(&member);
        let unplayable = room
            .current_track_id()
            .zip(tracks)
            .is_some_and(|(current, tracks)| tracks.unplayable.contains(&current));
        let download = downloads.get(&member).copied();
        (
            member,
            DeviceView {
                role,
                download,
                playable: !unplayable,
                sync: sync_statuses.get(&member).copied(),
            },
        )
    };
    LiveView {
        anchor_at_ms: room.live.anchor_at_ms.filter(|_| has_timed_starts),
        segue: room.live.segue,
        dj_cooldown: dj_cooldown(room, now_ms),
        listeners: remotes
            .into_iter()
            .map(|member| device_view(member, Role::Remote))
            .chain(
                room.live
                    .listeners
                    .iter()
                    .map(|member| device_view(*member, Role::Listener)),
            )
            .collect(),
    }
}
