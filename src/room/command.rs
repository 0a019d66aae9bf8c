//! What can be asked of a room, and how it says no.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::id::{KeyHash, MemberId, TrackId};
use super::state::Library;

/// When a command is applied. The core has no clock: whoever calls it says what time it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    /// Now, in milliseconds of the server's clock.
    pub now_ms: f64,
    /// How far ahead of now a start is put, in milliseconds, so that every phone can make it.
    pub lead_ms: f64,
    /// Whether starts carry a time (`--alignment clock`) or happen when their event arrives.
    pub aligned: bool,
}

/// What a phone may ask for. The HTTP requests of the same names carry these.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Control {
    /// Be playing from there.
    Play {
        /// Seconds from the track's start, finite and not negative.
        position_sec: f64,
    },
    /// Be paused there.
    Pause {
        /// Seconds from the track's start, finite and not negative.
        position_sec: f64,
    },
    /// Go there, playing or not.
    Seek {
        /// Seconds from the track's start, finite and not negative.
        position_sec: f64,
    },
    /// Move the ring on by one.
    Next,
    /// Make a track next-up.
    Nudge {
        /// Which.
        track_id: TrackId,
    },
    /// The device has the whole track.
    AckDownload {
        /// Which.
        track_id: TrackId,
        /// `false` when the device cannot play it, so that nobody need wait for it.
        playable: bool,
    },
    /// Release the open barrier without those still missing.
    StartNow,
}

/// Why a listener is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// Its stream closed, and the grace is over.
    Left,
    /// It closed nothing and answers no more.
    Vanished,
}

/// What a phone that comes back says that it is playing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Held {
    /// The track, which it therefore has whole.
    pub track_id: TrackId,
    /// Where it is, in seconds from the track's start.
    pub position_sec: f64,
}

/// Everything that can happen to a room comes in as one of these.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// A phone's wish, meant for the state that `if_match` names.
    Control {
        /// Who asks.
        member: MemberId,
        /// The event count that it was meant for.
        if_match: u64,
        /// What.
        control: Control,
    },
    /// A device typed the right code.
    Pair {
        /// What its owner calls it; may be empty.
        name: String,
        /// The hash of the token that it is given.
        key: KeyHash,
    },
    /// A device that is paired already typed the right code once more. It stays who it is.
    PairAgain {
        /// Which.
        member: MemberId,
        /// What its owner calls it now; empty keeps the name.
        name: String,
        /// The hash of the token that it is given now.
        key: KeyHash,
        /// The hash of the one that it came with, which goes on being good: the answer may be lost.
        old_key: KeyHash,
    },
    /// A device's owner calls it something else.
    Rename {
        /// Which.
        member: MemberId,
        /// Its name from now on; may be empty.
        name: String,
    },
    /// Speakers were compared.
    Tune {
        /// Who says so; any device may, since one phone hears them all.
        member: MemberId,
        /// The delays of some devices' speakers from now on, in milliseconds, each finite and no more than
        /// [`LARGEST_DELAY_MS`](super::LARGEST_DELAY_MS) from 0.
        delays: BTreeMap<MemberId, f64>,
    },
    /// A device is no longer paired.
    Leave {
        /// Which.
        member: MemberId,
    },
    /// Somebody sees to it that a device is no longer paired.
    Unpair {
        /// Who says so; any device may.
        member: MemberId,
        /// Which; the same one leaves.
        other: MemberId,
    },
    /// A paired device began to listen.
    Arrive {
        /// Which.
        member: MemberId,
        /// What it says that it plays already.
        held: Option<Held>,
    },
    /// A listener is gone, though still paired.
    Depart {
        /// Which.
        member: MemberId,
        /// How.
        how: Departure,
    },
    /// A member of the open barrier has done nothing for too long.
    Excuse {
        /// Which.
        member: MemberId,
    },
    /// The current track is over and no phone has asked for the next.
    EndOfTrack {
        /// The event count at which that was true.
        if_match: u64,
    },
    /// The library is now this.
    Library(Arc<Library>),
}

/// Why a command was refused. What was refused changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// It was meant for another state.
    #[error("the command was meant for another state; the current event count is {expected}")]
    Stale {
        /// The count that would have matched.
        expected: u64,
    },
    /// No such device is paired.
    #[error("this device is not paired")]
    NotPaired,
    /// No such device is paired, and it is not the one that asks.
    #[error("there is no such device")]
    UnknownMember,
    /// No such track in the library.
    #[error("there is no such track")]
    UnknownTrack,
    /// The library is empty.
    #[error("there is no track to play: the library is empty")]
    EmptyLibrary,
    /// The current track cannot be next-up as well.
    #[error("the current track cannot be made next-up")]
    AlreadyCurrent,
    /// Nobody is being waited for.
    #[error("no barrier is open")]
    NoBarrier,
}
