//! What crosses the wire, in its JSON shape, and nothing that decides anything.

use std::collections::BTreeMap;

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
    pub sync: Option<()>,
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

/// One message of the event stream, framed as a Server-Sent Event (WHATWG HTML, 9.2), once for all streams.
#[derive(Debug, Clone)]
pub struct Message(pub Bytes);

impl Message {
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
        Message(format!("id: {}\ndata: {data}\n\n", event.event_count).into())
    }

    /// A live event: it has no id, counts nothing and is not replayed.
    pub fn live(name: &str, payload: &impl Serialize, event_count: u64) -> Self {
        Message(format!("data: {}\n\n", data(name, payload, event_count)).into())
    }

    /// The snapshot that a stream begins with.
    pub fn snapshot(snapshot: &Snapshot<'_>) -> Self {
        let event_count = snapshot.durable.event_count;
        Self::live("snapshot", snapshot, event_count)
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
                sync: None,
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
