//! Parses votes.

use serde::Deserialize;

use super::body::from_json;
use super::error::ApiError;
use super::roles::DjBody;
use crate::room::{Control, TrackId};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TrackVoteBody {
    track_id: TrackId,
    up: bool,
}

/// `POST /vote-dj`: votes for a DJ, or for no DJ.
pub(super) fn vote_dj(body: &[u8]) -> Result<Control, ApiError> {
    let DjBody { member_id } = from_json(body)?;
    Ok(Control::VoteDj { member_id })
}

/// `POST /vote-skip`: votes for skipping the current track, or takes the vote back.
pub(super) fn vote_skip(body: &[u8]) -> Result<Control, ApiError> {
    let TrackVoteBody { track_id, up } = from_json(body)?;
    Ok(Control::VoteSkip { track_id, up })
}

/// `POST /vote-pick`: votes for a pick, or takes the vote back.
pub(super) fn vote_pick(body: &[u8]) -> Result<Control, ApiError> {
    let TrackVoteBody { track_id, up } = from_json(body)?;
    Ok(Control::VotePick { track_id, up })
}
