//! The reasons for which the hub refuses a request.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::talk::TalkError;
use crate::room::{Rejection, Room};

/// Why the hub refused a request. A refused request has not changed the room.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The room rejected the command.
    #[error("{rejection}")]
    Rejected {
        /// The reason.
        rejection: Rejection,
        /// The room that rejected the command, for a response that contains its current state.
        room: Arc<Room>,
    },
    /// The state file could not be written. The message leaves out the path, because clients must not see it.
    #[error("the state could not be written: {0}")]
    NotWritten(io::ErrorKind),
    /// Tuning sounds (test sounds for comparing speakers) start at a set time, which requires `--alignment clock`.
    #[error(
        "with --alignment event, sounds do not start at a set time, so the delays of speakers cannot be compared"
    )]
    NoTimedStarts,
    /// The request exceeds the rate limit of tuning sounds, which applies to the whole room.
    #[error("another tuning sound was requested a moment ago")]
    TooSoon {
        /// How long the sender must wait.
        retry_after: Duration,
    },
    /// The message, the removal of a message or the reaction was refused.
    #[error(transparent)]
    Talk(#[from] TalkError),
    /// The device has voted too often.
    #[error("this phone has voted too often")]
    TooManyVotes {
        /// How long the device must wait.
        retry_after: Duration,
    },
    /// The server shuts down, or the hub's task has ended.
    #[error("the server is closing")]
    Closing,
}
