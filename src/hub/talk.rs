//! What the people in a room say: chat messages and reactions. Neither is stored or counted as an event; both are gone when the
//! hub's task ends. Reads no clock: the caller passes the time.

mod chat;
mod rate_window;
mod reactions;

use std::time::Duration;

pub(super) use self::chat::Chat;
pub use self::chat::MAX_MESSAGE_CHARS;
pub use self::rate_window::LimitOf;
pub use self::reactions::Emoji;
pub(super) use self::reactions::Reactions;

/// Why a message, a removal or a reaction was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TalkError {
    /// The device, or the room as a whole, has sent too many messages.
    #[error("too many messages were sent a moment ago")]
    TooManyMessages {
        /// Whose messages were too many.
        of: LimitOf,
        /// How long the sender must wait.
        retry_after: Duration,
    },
    /// The device, or the room as a whole, has sent too many reactions.
    #[error("too many reactions were sent a moment ago")]
    TooManyReactions {
        /// Whose reactions were too many.
        of: LimitOf,
        /// How long the sender must wait.
        retry_after: Duration,
    },
    /// There is no message with this id, or not any more.
    #[error("there is no such message")]
    NoSuchMessage,
}
