//! Commands: everything that can change a room, and the reasons for which a room rejects one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::catalog::TrackCatalog;
use super::id::{MemberId, TokenHash, TrackId};
use super::learned_delays::DeviceKind;
use super::permissions::Refusal;
use super::rules::RulesChange;
use super::sort_order::SortOrder;
use super::state::{Client, ComparisonMethod};
use super::undo::UNDO_PERIOD_MS;

/// The inputs of [`apply`](super::apply) besides the room and the command. The core has no clock, so the caller passes the
/// time and the settings that depend on it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ApplyContext {
    /// Now, in milliseconds of the server's clock.
    pub now_ms: f64,
    /// The start lead: the time between a command and the start of playback that the command causes, in milliseconds.
    /// Chosen such that every listener receives the event of the start before the start is due.
    pub lead_ms: f64,
    /// Whether the events that start playback contain the time of the start (`--alignment clock`). If `false`, playback
    /// starts when the event arrives (`--alignment event`).
    pub has_timed_starts: bool,
}

impl ApplyContext {
    /// When a start that this command causes is due, in milliseconds of the server's clock.
    pub(super) fn start_at_ms(&self) -> f64 {
        self.now_ms + self.lead_ms
    }
}

/// The requests of a device that concern playback, the queue and barriers. The HTTP endpoints have the same names.
#[derive(Debug, Clone, PartialEq)]
pub enum Control {
    /// Play the current track from this position.
    Play {
        /// Seconds from the track's start, finite and not negative.
        position_sec: f64,
    },
    /// Pause at this position.
    Pause {
        /// Seconds from the track's start, finite and not negative.
        position_sec: f64,
    },
    /// Move playback to this position. The mode stays as it is.
    Seek {
        /// Seconds from the track's start, finite and not negative.
        position_sec: f64,
    },
    /// Advance the queue by one track.
    Next,
    /// Advance the queue by one track, because the current one has ended.
    Ended {
        /// The track that has ended.
        track_id: TrackId,
    },
    /// Make the track before the current one the current one, and the current one the first pick.
    Previous,
    /// Make a track the current one.
    PlayNow {
        /// The track.
        track_id: TrackId,
    },
    /// Make a track the first pick, so that it becomes next-up.
    Nudge {
        /// The track.
        track_id: TrackId,
    },
    /// Make tracks picks, behind the earlier ones.
    Pick {
        /// The tracks, in order.
        track_ids: Vec<TrackId>,
    },
    /// Move picks to the end of the ring, so that they are no longer picks.
    Unpick {
        /// The tracks, in order.
        track_ids: Vec<TrackId>,
    },
    /// Move a pick among the picks.
    Move {
        /// The pick.
        track_id: TrackId,
        /// The pick before which it is placed; `None` for behind all picks.
        before: Option<TrackId>,
    },
    /// Put the tracks behind the picks into a random order.
    Shuffle {
        /// Determines the order.
        seed: u64,
    },
    /// Sort the tracks behind the picks.
    Sort {
        /// The order.
        order: SortOrder,
    },
    /// Undo the sender's own last change of the queue.
    Undo,
    /// Acknowledge that the device holds the whole track, or cannot play it.
    AckDownload {
        /// The track.
        track_id: TrackId,
        /// `false` if the device cannot play the track, so that no barrier waits for it.
        playable: bool,
        /// The length that the device decoded, in seconds, if it contradicts the catalog; finite and more than 0.
        duration_sec: Option<f64>,
    },
    /// Release the open barrier without the members that are not ready.
    StartNow,
    /// Change rules. The first device that does so while there is no host becomes host.
    ChangeRules(RulesChange),
    /// Make a device host, or end that.
    ChangeHosts {
        /// The device.
        member_id: MemberId,
        /// Whether the device is to be host.
        host: bool,
    },
    /// Make a device DJ, or remove the DJ.
    ChangeDj {
        /// The device; `None` for no DJ.
        member_id: Option<MemberId>,
    },
    /// Make one of the listeners DJ, by chance.
    ChooseDj {
        /// Determines the choice.
        seed: u64,
    },
    /// Vote for a DJ.
    VoteDj {
        /// The device that is to be DJ; `None` for no DJ.
        member_id: Option<MemberId>,
    },
    /// Vote for skipping the current track, or take the vote back.
    VoteSkip {
        /// The track to skip.
        track_id: TrackId,
        /// `false` to take the vote back.
        up: bool,
    },
    /// Vote for a pick, or take the vote back.
    VotePick {
        /// The pick.
        track_id: TrackId,
        /// `false` to take the vote back.
        up: bool,
    },
}

impl Control {
    /// Whether the request is a vote. Votes never contradict each other.
    pub fn is_vote(&self) -> bool {
        matches!(
            self,
            Control::VoteDj { .. } | Control::VoteSkip { .. } | Control::VotePick { .. }
        )
    }
}

/// How a listener departed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// The device closed its last stream, and has not reconnected within the grace period.
    Left,
    /// The device stopped acknowledging data without closing its stream, or did not reconnect after a restart of the server.
    Vanished,
}

/// The playback that a device reports when it opens its event stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReportedPlayback {
    /// The track. The device counts as holding the whole track, because it plays the track.
    pub track_id: TrackId,
    /// The device's playback position at the time of the command, in seconds from the track's start.
    pub position_sec: f64,
}

/// Everything that can change a room.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// A device's request, meant for the state with the event count `if_match`.
    Control {
        /// The device.
        member: MemberId,
        /// The event count of the state on which the device based the request. A request with another count is rejected as
        /// stale, except a vote that was meant for an earlier count, and an acknowledgement that was meant for any count since the
        /// open barrier opened.
        if_match: u64,
        /// The request.
        control: Control,
    },
    /// Pair a new device.
    Pair {
        /// The device's name; may be empty.
        name: String,
        /// The hash of the device's token.
        token_hash: TokenHash,
    },
    /// Give a paired device a new token. The device keeps its member id.
    PairAgain {
        /// The device.
        member: MemberId,
        /// The device's new name; an empty one keeps the old name.
        name: String,
        /// The hash of the new token.
        token_hash: TokenHash,
        /// The hash of the token that authorized this request. That token stays valid, because the response with the new one
        /// may be lost.
        old_token_hash: TokenHash,
    },
    /// Add a device whose token and member id are kept elsewhere. Changes nothing if the device is paired here already.
    Admit {
        /// The device.
        member: MemberId,
        /// Its public data.
        client: Client,
    },
    /// Give a device the name, the kind and the speaker delay that are kept elsewhere. Its trim stays.
    Mirror {
        /// The device.
        member: MemberId,
        /// The public data that is kept elsewhere.
        client: Client,
        /// The device that has set the speaker delay; `None` if this is unknown.
        tuned_by: Option<MemberId>,
    },
    /// Remove a device that was removed elsewhere.
    Expel {
        /// The device.
        member: MemberId,
        /// The device that has removed it; `None` if it removed itself, or if this is unknown.
        removed_by: Option<MemberId>,
    },
    /// Change a device's name.
    Rename {
        /// The device.
        member: MemberId,
        /// The new name; may be empty.
        name: String,
    },
    /// Record the kind of the sender.
    Describe {
        /// The device.
        member: MemberId,
        /// Its kind.
        kind: DeviceKind,
    },
    /// Set the speaker delays of some devices.
    Tune {
        /// The sender: any paired device, because one device measures the speakers of all.
        member: MemberId,
        /// The new delays in milliseconds, each finite and at most
        /// [`MAX_SPEAKER_DELAY_MS`](super::MAX_SPEAKER_DELAY_MS) from 0.
        delays: BTreeMap<MemberId, f64>,
    },
    /// Set the trim of a device.
    Trim {
        /// The sender: any paired device.
        member: MemberId,
        /// The device whose trim is set.
        trimmed: MemberId,
        /// The new trim in dB, from [`MIN_TRIM_DB`](super::MIN_TRIM_DB) to 0.
        trim_db: f64,
    },
    /// Set the speaker delays that a comparison of speakers has found.
    Compare {
        /// The sender; `None` for the user of the server's machine.
        sender: Option<MemberId>,
        /// How the speakers were compared.
        by: ComparisonMethod,
        /// When, by the calendar: RFC 3339 in UTC.
        at: String,
        /// The devices whose speakers were compared with each other. They include those of `delays`.
        compared: BTreeSet<MemberId>,
        /// The delays as in [`Command::Tune`].
        delays: BTreeMap<MemberId, f64>,
    },
    /// Unpair the sender.
    Leave {
        /// The device.
        member: MemberId,
    },
    /// Unpair any device.
    Unpair {
        /// The sender.
        member: MemberId,
        /// The device to unpair; the sender itself is allowed.
        target: MemberId,
    },
    /// Make a device host, at the request of the user of the server's machine.
    MakeHost {
        /// The device.
        member: MemberId,
    },
    /// Give these devices, and no others, the rights of a host although they are not listed as hosts.
    Oversee {
        /// The devices.
        members: Arc<BTreeSet<MemberId>>,
    },
    /// The DJ has been without a stream for too long.
    DjGone {
        /// The device.
        member: MemberId,
    },
    /// A paired device opened its first event stream as a listener, or is back after it departed.
    Arrive {
        /// The device.
        member: MemberId,
        /// What the device is playing already, if anything.
        playback: Option<ReportedPlayback>,
    },
    /// A listener has disconnected, and its grace period is over. The device stays paired.
    Depart {
        /// The device.
        member: MemberId,
        /// Whether the device closed its stream or stopped acknowledging data.
        how: Departure,
    },
    /// A member of the open barrier has made no progress for too long.
    DropStalled {
        /// The device.
        member: MemberId,
    },
    /// The current track has ended and no device has sent `next`.
    EndOfTrack {
        /// The event count of the room in which the track ended.
        if_match: u64,
    },
    /// A scan of the library produced this catalog.
    Library(Arc<TrackCatalog>),
}

/// Why a command was rejected. A rejected command changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The command was meant for another event count.
    #[error("the command was meant for another state; the current event count is {expected}")]
    Stale {
        /// The current count.
        expected: u64,
    },
    /// The sender is not paired.
    #[error("this device is not paired")]
    NotPaired,
    /// A device that the command names is not paired.
    #[error("there is no such device")]
    UnknownMember,
    /// The track is not in the catalog.
    #[error("there is no such track")]
    UnknownTrack,
    /// The catalog is empty.
    #[error("there is no track to play: the library is empty")]
    EmptyLibrary,
    /// A nudge of the current track, which cannot become next-up.
    #[error("the current track cannot be made next-up")]
    AlreadyCurrent,
    /// A device reported the end of a track that is not the current one or is not near its end, or the device is no listener.
    #[error("the track has not ended, or this device does not play it")]
    NotEnded,
    /// All tracks to pick are picks already, or the current track.
    #[error("there is nothing to add: each track is in line already, or plays now")]
    NothingToPick,
    /// A track is not a pick.
    #[error("the track is not a pick")]
    NotPicked,
    /// The sender made no change of the queue that can be undone.
    #[error("there is nothing to undo: only one's own last change of the queue can be undone, for {} s", UNDO_PERIOD_MS / 1e3)]
    NothingToUndo,
    /// `start-now` without an open barrier.
    #[error("no barrier is open")]
    NoBarrier,
    /// The rules do not permit the sender to do this.
    #[error("the rules of the room do not permit this")]
    Forbidden(Refusal),
    /// A rule has a value that is out of range. Contains its name.
    #[error("the rule {0} is out of range")]
    RuleOutOfRange(&'static str),
    /// The sender would have more picks waiting than [`Rules::max_picks`](super::Rules::max_picks).
    #[error("each phone may have {limit} tracks waiting")]
    TooManyPicks {
        /// The limit.
        limit: u32,
    },
    /// The last host cannot step down while a rule differs from its default.
    #[error("the last host can step down only once all rules are as they were at first")]
    LastHost,
    /// The device that is to be DJ was removed a moment ago.
    #[error("this phone was DJ a moment ago, and cannot be DJ again yet")]
    CoolingDown,
    /// No listener can be DJ.
    #[error("no listener can be DJ now")]
    NoCandidateForDj,
    /// The track of a vote is not the current one, or not a pick.
    #[error("the vote is about a track that plays no more, or waits no more")]
    NoSuchVote,
}
