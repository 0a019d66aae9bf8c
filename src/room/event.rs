//! Events: each event is one change of the durable state, with the JSON Patch that describes the change.

use serde::Serialize;

use super::barrier::BarrierType;
use super::id::{MemberId, TrackId};
use super::learned_delays::DeviceKind;
use super::patch::PatchOp;
use super::rules::RulesChange;
use super::sort_order::SortOrder;

/// One change of the durable state. The events of a room are numbered without gaps.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The event's number, which is also the event count of the state after the event.
    pub event_count: u64,
    /// The device that caused the event; `None` if the server did.
    pub by: Option<MemberId>,
    /// What happened, with the event's payload.
    pub kind: EventKind,
    /// The JSON Patch (RFC 6902) from the snapshot before the event to the snapshot after the event. The patch does not set
    /// `eventCount`, which each event contains.
    pub patch: Vec<PatchOp>,
}

/// Why a device is no longer a member of the barrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ShrinkReason {
    /// The device closed its stream and its grace period is over, or it was unpaired.
    Left,
    /// The device stopped acknowledging data.
    Vanished,
    /// The device made no progress with its download for too long.
    Stalled,
    /// Playback started without the device: by `start-now`, at the time that a [`Segue`](super::Segue) promised, or at the
    /// position that another device reported.
    Skipped,
}

/// Why another track became the current one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdvanceReason {
    /// The track before has ended.
    Ended,
    /// A device sent `next` before the end of the track.
    Next,
    /// A device went back to the track before.
    Previous,
    /// A device chose the track.
    PlayNow,
    /// Enough listeners have voted for skipping the track before.
    Voted,
    /// The library no longer has the track before.
    Removed,
}

/// Why another device became DJ, or the DJ was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DjReason {
    /// A host chose the device.
    Host,
    /// The DJ before chose the device.
    Handed,
    /// The device was chosen at random.
    Random,
    /// Enough listeners have voted for the device.
    Elected,
    /// Enough listeners have voted for no DJ, a host removed the DJ, or the DJ stepped down.
    Removed,
    /// The DJ was not connected for too long.
    Gone,
}

/// What a vote is about, and for whom or what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(
    tag = "about",
    rename_all = "lowercase",
    rename_all_fields = "camelCase"
)]
#[expect(missing_docs, reason = "the protocol defines the fields")]
pub enum Vote {
    /// Who is to be DJ.
    Dj { member_id: Option<MemberId> },
    /// Whether the current track is to be skipped.
    Skip { track_id: TrackId, up: bool },
    /// Whether a pick is wanted.
    Pick { track_id: TrackId, up: bool },
}

/// The payload of an event, without the device that caused it and without its patch. Serializes as the JSON object of the fields.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
#[expect(missing_docs, reason = "the protocol defines the fields")]
pub enum EventKind {
    /// A device was paired, or paired again.
    ClientPaired { member_id: MemberId },
    /// A device has another name.
    ClientRenamed { member_id: MemberId },
    /// A device has reported another kind.
    ClientDescribed {
        member_id: MemberId,
        kind: DeviceKind,
    },
    /// A device's speaker has another delay.
    ClientTuned { member_id: MemberId, delay_ms: f64 },
    /// A device has another trim.
    ClientTrimmed { member_id: MemberId, trim_db: f64 },
    /// A device is no longer paired.
    ClientLeft {
        member_id: MemberId,
        #[serde(skip_serializing_if = "Option::is_none")]
        removed_by: Option<MemberId>,
    },
    /// A barrier opened.
    BarrierOpened {
        #[serde(rename = "type")]
        kind: BarrierType,
        track_id: TrackId,
        members: Vec<MemberId>,
        ready: Vec<MemberId>,
    },
    /// A barrier member holds the current track, or cannot play it.
    BarrierReady { member_id: MemberId },
    /// A device is no longer a barrier member.
    BarrierShrunk {
        member_id: MemberId,
        reason: ShrinkReason,
    },
    /// The barrier ended and playback starts.
    BarrierRelease {
        track_id: TrackId,
        anchor_position_sec: f64,
        anchor_at_ms: Option<f64>,
    },
    /// Playback was paused on request.
    PlaybackPaused { anchor_position_sec: f64 },
    /// The playback position was changed on request.
    PlaybackSeeked {
        anchor_position_sec: f64,
        anchor_at_ms: Option<f64>,
    },
    /// The loudness of the current track became known before any of the track was played.
    PlaybackLevelled { track_id: TrackId, gain_db: f64 },
    /// The last listener departed during playback. The position stays at the anchor until a listener arrives.
    PlaybackParked { anchor_position_sec: f64 },
    /// Another track became the current one, or the only track starts anew.
    QueueAdvanced {
        track_id: TrackId,
        reason: AdvanceReason,
    },
    /// A track became the first pick (see [`Control::Nudge`](super::Control::Nudge)).
    QueueNudged { track_id: TrackId },
    /// Tracks became picks, behind the earlier ones.
    QueuePicked { track_ids: Vec<TrackId> },
    /// Tracks are no longer picks.
    QueueUnpicked { track_ids: Vec<TrackId> },
    /// A pick was moved to before another one, or behind all picks.
    QueueMoved {
        track_id: TrackId,
        before: Option<TrackId>,
    },
    /// The tracks behind the picks were put into a random order.
    QueueShuffled {},
    /// The tracks behind the picks were sorted.
    QueueSorted { order: SortOrder },
    /// The last change of the queue was undone.
    QueueUndone {},
    /// Rules were changed.
    RulesChanged { changed: RulesChange },
    /// A device became host, or is host no more.
    HostsChanged { member_id: MemberId, host: bool },
    /// Another device became DJ, or the DJ was removed.
    DjChanged {
        member_id: Option<MemberId>,
        reason: DjReason,
    },
    /// A device has voted, or has taken its vote back.
    VoteCast(Vote),
    /// Tracks were added or removed, their files were modified, or the playlists have changed.
    LibraryChanged {
        added: Vec<TrackId>,
        removed: Vec<TrackId>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        changed: Vec<TrackId>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        playlists: bool,
    },
}

impl EventKind {
    /// The event's name in the protocol.
    pub fn name(&self) -> &'static str {
        match self {
            EventKind::ClientPaired { .. } => "client.paired",
            EventKind::ClientRenamed { .. } => "client.renamed",
            EventKind::ClientDescribed { .. } => "client.described",
            EventKind::ClientTuned { .. } => "client.tuned",
            EventKind::ClientTrimmed { .. } => "client.trimmed",
            EventKind::ClientLeft { .. } => "client.left",
            EventKind::BarrierOpened { .. } => "barrier.opened",
            EventKind::BarrierReady { .. } => "barrier.ready",
            EventKind::BarrierShrunk { .. } => "barrier.shrunk",
            EventKind::BarrierRelease { .. } => "barrier.release",
            EventKind::PlaybackPaused { .. } => "playback.paused",
            EventKind::PlaybackSeeked { .. } => "playback.seeked",
            EventKind::PlaybackLevelled { .. } => "playback.levelled",
            EventKind::PlaybackParked { .. } => "playback.parked",
            EventKind::QueueAdvanced { .. } => "queue.advanced",
            EventKind::QueueNudged { .. } => "queue.nudged",
            EventKind::QueuePicked { .. } => "queue.picked",
            EventKind::QueueUnpicked { .. } => "queue.unpicked",
            EventKind::QueueMoved { .. } => "queue.moved",
            EventKind::QueueShuffled {} => "queue.shuffled",
            EventKind::QueueSorted { .. } => "queue.sorted",
            EventKind::QueueUndone {} => "queue.undone",
            EventKind::RulesChanged { .. } => "rules.changed",
            EventKind::HostsChanged { .. } => "hosts.changed",
            EventKind::DjChanged { .. } => "dj.changed",
            EventKind::VoteCast(_) => "vote.cast",
            EventKind::LibraryChanged { .. } => "library.changed",
        }
    }
}
