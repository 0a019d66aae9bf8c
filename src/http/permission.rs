//! Checks requests that are no commands of the room against its rules.

use super::error::ApiError;
use super::gate::PairedDevice;
use crate::room::Action;

/// Refuses a request that the rules of the room do not permit, and that is no command of the room.
///
/// # Errors
/// 403 with a sentence that says who may.
pub(super) fn check(paired: &PairedDevice<'_>, action: Action<'_>) -> Result<(), ApiError> {
    let room = paired.hub.view().room;
    let permission = room.check_permission(paired.member, action);
    permission.map_err(|refusal| ApiError::refused(refusal, &room.durable))
}
