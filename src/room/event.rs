//! What has happened: one accepted change of the durable state each, with the JSON Patch that makes it.

use serde::Serialize;

use super::id::{MemberId, TrackId};
use super::patch::PatchOp;
use super::state::BarrierType;

/// One accepted change. Events are numbered without gaps.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its number, and the count of the state that it leads to.
    pub event_count: u64,
    /// What happened.
    pub kind: EventKind,
    /// RFC 6902: from the snapshot before to the snapshot after, `eventCount` aside.
    pub patch: Vec<PatchOp>,
}

/// Why a member is no longer waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Shrink {
    /// It closed its stream, or is no longer paired.
    Left,
    /// It answers no more.
    Vanished,
    /// It does nothing.
    Stalled,
    /// Somebody pressed *Start now*.
    Skipped,
}

/// What an event says besides its patch. Serialises as the payload's own fields.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
#[expect(missing_docs, reason = "the fields are the protocol's own words")]
pub enum EventKind {
    /// A device was paired.
    ClientPaired { member_id: MemberId },
    /// A device has another name.
    ClientRenamed { member_id: MemberId },
    /// A device's speaker has another delay.
    ClientTuned { member_id: MemberId, delay_ms: f64 },
    /// A device is no longer paired.
    ClientLeft {
        member_id: MemberId,
        #[serde(skip_serializing_if = "Option::is_none")]
        removed_by: Option<MemberId>,
    },
    /// A wait began.
    BarrierOpened {
        #[serde(rename = "type")]
        kind: BarrierType,
        track_id: TrackId,
        members: Vec<MemberId>,
        ready: Vec<MemberId>,
    },
    /// A member has the whole track.
    BarrierReady { member_id: MemberId },
    /// A member is no longer waited for.
    BarrierShrunk { member_id: MemberId, reason: Shrink },
    /// The wait is over and the music starts.
    BarrierRelease {
        track_id: TrackId,
        anchor_position_sec: f64,
        anchor_at_ms: Option<f64>,
    },
    /// Silence, by somebody's wish.
    PlaybackPaused { anchor_position_sec: f64 },
    /// The music is elsewhere in the track now.
    PlaybackSeeked {
        anchor_position_sec: f64,
        anchor_at_ms: Option<f64>,
    },
    /// The last listener left while music played.
    PlaybackParked { anchor_position_sec: f64 },
    /// The ring moved on.
    QueueAdvanced { track_id: TrackId },
    /// A track became next-up.
    QueueNudged { track_id: TrackId },
    /// Tracks came, went, or are other bytes by now.
    LibraryChanged {
        added: Vec<TrackId>,
        removed: Vec<TrackId>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        changed: Vec<TrackId>,
    },
}

impl EventKind {
    /// The event's name on the wire.
    pub fn name(&self) -> &'static str {
        match self {
            EventKind::ClientPaired { .. } => "client.paired",
            EventKind::ClientRenamed { .. } => "client.renamed",
            EventKind::ClientTuned { .. } => "client.tuned",
            EventKind::ClientLeft { .. } => "client.left",
            EventKind::BarrierOpened { .. } => "barrier.opened",
            EventKind::BarrierReady { .. } => "barrier.ready",
            EventKind::BarrierShrunk { .. } => "barrier.shrunk",
            EventKind::BarrierRelease { .. } => "barrier.release",
            EventKind::PlaybackPaused { .. } => "playback.paused",
            EventKind::PlaybackSeeked { .. } => "playback.seeked",
            EventKind::PlaybackParked { .. } => "playback.parked",
            EventKind::QueueAdvanced { .. } => "queue.advanced",
            EventKind::QueueNudged { .. } => "queue.nudged",
            EventKind::LibraryChanged { .. } => "library.changed",
        }
    }
}
