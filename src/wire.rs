//! What crosses the wire, in its JSON shape, and nothing that decides anything.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::room::{Durable, Event, EventKind, MemberId, PatchOp, Room, Segue, TrackId};

/// How a device takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It sounds, and barriers wait for it.
    Listener,
    /// It only follows and controls.
    Remote,
}

/// A download under way, as the server counts the bytes that it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Download {
    /// Which track.
    pub track_id: TrackId,
    /// How much of the file has been sent, from its beginning, in bytes.
    pub received_bytes: u64,
    /// The whole file, in bytes.
    pub size: u64,
}

/// What is known of a connected device.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// How it takes part.
    pub role: Role,
    /// What it downloads.
    pub download: Option<Download>,
    /// Whether it can play the current track, as far as it has said.
    pub playable: bool,
    /// What it last reported of how well it is in step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync: Option<Sync>,
}

/// How well a listener is in step, as it says itself.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sync {
    /// How far it is off the room's line, in milliseconds; `None` while it does not sound.
    pub off_ms: Option<f64>,
    /// How long a request takes to the server and back, in milliseconds.
    pub round_trip_ms: f64,
    /// How long its sound takes from the player to the air, in milliseconds.
    pub latency_ms: f64,
    /// Whether it is silent because its browser wants a tap first.
    pub waits_for_tap: bool,
}

/// The live half of a snapshot; `presence` and `progress` carry the same.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// When the track is at the anchor, in milliseconds of the server's clock.
    pub anchor_at_ms: Option<f64>,
    /// The promise for the end of the current track.
    pub segue: Option<Segue>,
    /// Every connected device.
    pub listeners: BTreeMap<MemberId, Listener>,
}

/// The whole state, as a phone sees it.
#[derive(Debug, Serialize)]
pub struct Snapshot<'a> {
    /// What events change.
    #[serde(flatten)]
    pub durable: &'a Durable,
    /// What they don't.
    pub live: Live,
}

/// What is asked of `POST /pair`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PairRequest {
    /// The pairing code.
    pub code: String,
    /// What the device's owner calls it.
    #[serde(default)]
    pub client_name: Option<String>,
}

/// What is asked of `POST /rename`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RenameRequest {
    /// What the device's owner calls it from now on.
    pub client_name: String,
}

/// What is asked of `POST /unpair`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnpairRequest {
    /// Which device is no longer to be paired.
    pub member_id: MemberId,
}

/// What is asked of `POST /sync`, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SyncReport {
    /// See [`Sync`]; `null`, but not left out, while it does not sound.
    #[serde(deserialize_with = "Option::deserialize")]
    pub off_ms: Option<f64>,
    /// See [`Sync`].
    pub round_trip_ms: f64,
    /// See [`Sync`].
    pub latency_ms: f64,
    /// How long before a start it must be told of it, to be in time.
    pub needs_ms: f64,
    /// See [`Sync`].
    #[serde(default)]
    pub waits_for_tap: bool,
}

impl SyncReport {
    /// What everybody is shown of it.
    pub fn shown(&self) -> Sync {
        Sync {
            off_ms: self.off_ms.map(tenths),
            round_trip_ms: tenths(self.round_trip_ms),
            latency_ms: tenths(self.latency_ms),
            waits_for_tap: self.waits_for_tap,
        }
    }
}

/// To a tenth, which is as much as anybody hears or reads.
pub fn tenths(ms: f64) -> f64 {
    // Adding 0.0 makes 0.0 of -0.0, which would be shown.
    (ms * 10.0).round() / 10.0 + 0.0
}

/// What is asked of `POST /tune`.
#[derive(Debug, Deserialize)]
pub struct TuneRequest {
    /// By how much the speakers of these devices are late beyond what the devices know, in milliseconds.
    pub delays: BTreeMap<MemberId, f64>,
}

/// By what sound speakers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TuningSound {
    /// For ears.
    Tick,
    /// For a microphone.
    Chirp,
    /// None any more.
    Off,
}

/// What is asked of `POST /tuning`.
#[derive(Debug, Deserialize)]
pub struct TuningRequest {
    /// Which.
    pub kind: TuningSound,
}

/// What the live event `tuning` says.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tuning<'a> {
    /// Which sound.
    pub kind: TuningSound,
    /// When it starts, or ends, in milliseconds of the server's clock.
    pub starts_at_ms: f64,
    /// Who sounds, in this order.
    pub member_ids: &'a BTreeSet<MemberId>,
}

/// Messages of the event stream, framed once for all streams: as Server-Sent Events (WHATWG HTML, 9.2), inside one chunk of
/// HTTP/1.1 (RFC 9112, 7.1).
#[derive(Debug, Clone)]
pub struct Message {
    chunk: Bytes,
    /// Where in it the events are.
    text: Range<usize>,
}

impl Message {
    fn framed(text: &[u8]) -> Self {
        let mut chunk = format!("{:x}\r\n", text.len()).into_bytes();
        let from = chunk.len();
        chunk.extend_from_slice(text);
        let text = from..chunk.len();
        chunk.extend_from_slice(b"\r\n");
        Message {
            chunk: chunk.into(),
            text,
        }
    }

    /// A durable event: it has an id, so that a stream that broke can go on from there.
    pub fn durable(event: &Event) -> Self {
        #[derive(Serialize)]
        struct Payload<'a> {
            #[serde(flatten)]
            kind: &'a EventKind,
            patch: &'a [PatchOp],
        }
        let payload = Payload {
            kind: &event.kind,
            patch: &event.patch,
        };
        let data = data(event.kind.name(), &payload, event.event_count);
        Self::framed(format!("id: {}\ndata: {data}\n\n", event.event_count).as_bytes())
    }

    /// A live event: it has no id, counts nothing and is not replayed.
    pub fn live(name: &str, payload: &impl Serialize, event_count: u64) -> Self {
        Self::framed(format!("data: {}\n\n", data(name, payload, event_count)).as_bytes())
    }

    /// The snapshot that a stream begins with.
    pub fn snapshot(snapshot: &Snapshot<'_>) -> Self {
        let event_count = snapshot.durable.event_count;
        Self::live("snapshot", snapshot, event_count)
    }

    /// What a stream begins with: how soon to come back when it breaks.
    pub fn retry(after: Duration) -> Self {
        Self::framed(format!("retry: {}\n\n", after.as_millis()).as_bytes())
    }

    /// A comment, which says nothing but that the server is there.
    pub fn heartbeat() -> Self {
        Self::framed(b":\n\n")
    }

    /// Several in one, in their order.
    pub fn join(messages: &[Message]) -> Self {
        let texts: Vec<_> = messages.iter().map(Message::text).collect();
        Self::framed(&texts.concat())
    }

    /// As a chunk.
    pub fn chunk(&self) -> Bytes {
        self.chunk.clone()
    }

    /// As it is.
    pub fn text(&self) -> Bytes {
        self.chunk.slice(self.text.clone())
    }
}

/// One message's data. It becomes a single line: JSON escapes every line break.
fn data(event: &str, payload: &impl Serialize, event_count: u64) -> String {
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
    // Our own types: strings for keys and no number that JSON lacks.
    serde_json::to_string(&data).unwrap_or_default()
}

/// The live half of a snapshot of `room`. `remotes` are connected without listening.
pub fn live(
    room: &Room,
    aligned: bool,
    downloads: &BTreeMap<MemberId, Download>,
    syncs: &BTreeMap<MemberId, Sync>,
    remotes: impl IntoIterator<Item = MemberId>,
) -> Live {
    let listener = |member: MemberId, role| {
        let holdings = room.live.holdings.get(&member);
        let unplayable = room
            .current()
            .zip(holdings)
            .is_some_and(|(track, h)| h.unplayable.contains(&track));
        let download = downloads.get(&member).copied();
        (
            member,
            Listener {
                role,
                download,
                playable: !unplayable,
                sync: syncs.get(&member).copied(),
            },
        )
    };
    Live {
        anchor_at_ms: room.live.needle_ms.filter(|_| aligned),
        segue: room.live.segue,
        listeners: remotes
            .into_iter()
            .map(|member| listener(member, Role::Remote))
            .chain(
                room.live
                    .listeners
                    .iter()
                    .map(|member| listener(*member, Role::Listener)),
            )
            .collect(),
    }
}
