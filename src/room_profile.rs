//! What a room's state file holds about the room itself, besides the state that [`crate::room`] defines: its name, who made it,
//! and who may enter.

use serde::{Deserialize, Serialize};

use crate::room::MemberId;

/// The name of a room, who made it, and who may enter. Empty for the house room, unless it was given a name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomProfile {
    /// The name; `None` for a house room that was never given one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The other members.
    #[serde(default, skip_serializing_if = "RoomAccess::is_default")]
    pub access: RoomAccess,
}

/// Who made a room, and who may enter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RoomAccess {
    /// The device that made the room, as long as it has not left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maker: Option<MemberId>,
    /// The device that made the room, also after it has left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub made_by: Option<MemberId>,
    /// The Argon2id hash of the password, as a PHC string; `None` without a password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<String>,
    /// The day on which a device last entered or followed the room, as the time at which that was recorded, in seconds since 1970
    /// (UTC).
    pub entered_at: u64,
}

impl RoomAccess {
    /// Whether a device made the room. It may have left.
    pub fn was_made_by(&self, member: MemberId) -> bool {
        self.made_by.or(self.maker) == Some(member)
    }

    fn is_default(&self) -> bool {
        *self == RoomAccess::default()
    }
}

impl RoomProfile {
    /// Whether a device needs a password to enter.
    pub fn is_locked(&self) -> bool {
        self.access.password_hash.is_some()
    }
}
