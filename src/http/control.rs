//! The playback commands: parses the request, submits the command to the hub, and answers with the new state of the room.

use hyper::{HeaderMap, Response};
use rand::RngExt;
use serde::Deserialize;
use serde_json::json;

use super::body::from_json;
use super::call::Call;
use super::error::ApiError;
use super::gate::PairedDevice;
use super::{Body, json};
use crate::hub::{Accepted, HubError};
use crate::library::Reporter;
use crate::room::{Command, Control, MemberId, Rejection, Room, SortOrder, TrackId};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PositionBody {
    position_sec: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TrackBody {
    track_id: TrackId,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AckDownloadBody {
    track_id: TrackId,
    /// `false` if the device cannot play the track, so that no barrier waits for it.
    #[serde(default = "default_playable")]
    playable: bool,
    /// The length of the decoded track, in seconds, if it contradicts the index.
    duration_sec: Option<f64>,
}

/// The most tracks that one command may name.
const MAX_NAMED_TRACKS: usize = 500;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TracksBody {
    track_ids: Vec<TrackId>,
}

#[derive(Default, Deserialize)]
struct NextBody {
    /// The track that has ended; absent if a person pressed the button.
    ended: Option<TrackId>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MoveBody {
    track_id: TrackId,
    /// Required; `null` for behind all picks.
    #[serde(deserialize_with = "Option::deserialize")]
    before: Option<TrackId>,
}

#[derive(Deserialize)]
struct SortBody {
    order: SortOrder,
}

fn default_playable() -> bool {
    true
}

/// A function that parses the request body of one command.
pub(super) type Parser = fn(&[u8]) -> Result<Control, ApiError>;

/// `POST /play`: plays the current track from a position.
pub(super) fn play(body: &[u8]) -> Result<Control, ApiError> {
    parse_position(body).map(|position_sec| Control::Play { position_sec })
}

/// `POST /pause`: pauses at a position.
pub(super) fn pause(body: &[u8]) -> Result<Control, ApiError> {
    parse_position(body).map(|position_sec| Control::Pause { position_sec })
}

/// `POST /seek`: changes the position, whether playing or paused.
pub(super) fn seek(body: &[u8]) -> Result<Control, ApiError> {
    parse_position(body).map(|position_sec| Control::Seek { position_sec })
}

/// `POST /next`: makes the next track of the queue the current one, because a person wants it or because the current one has ended.
pub(super) fn next(body: &[u8]) -> Result<Control, ApiError> {
    let NextBody { ended } = match body {
        [] => NextBody::default(),
        body => from_json(body)?,
    };
    Ok(ended.map_or(Control::Next, |track_id| Control::Ended { track_id }))
}

/// `POST /previous`: makes the track before the current one the current one.
pub(super) fn previous(body: &[u8]) -> Result<Control, ApiError> {
    no_arguments(body).map(|()| Control::Previous)
}

/// `POST /play-now`: makes a track the current one.
pub(super) fn play_now(body: &[u8]) -> Result<Control, ApiError> {
    let TrackBody { track_id } = from_json(body)?;
    Ok(Control::PlayNow { track_id })
}

/// `POST /nudge`: makes a track the first pick.
pub(super) fn nudge(body: &[u8]) -> Result<Control, ApiError> {
    let TrackBody { track_id } = from_json(body)?;
    Ok(Control::Nudge { track_id })
}

/// `POST /pick`: makes tracks picks.
pub(super) fn pick(body: &[u8]) -> Result<Control, ApiError> {
    parse_tracks(body).map(|track_ids| Control::Pick { track_ids })
}

/// `POST /unpick`: moves picks to the end of the ring.
pub(super) fn unpick(body: &[u8]) -> Result<Control, ApiError> {
    parse_tracks(body).map(|track_ids| Control::Unpick { track_ids })
}

/// `POST /move`: moves a pick among the picks.
pub(super) fn move_pick(body: &[u8]) -> Result<Control, ApiError> {
    let MoveBody { track_id, before } = from_json(body)?;
    Ok(Control::Move { track_id, before })
}

/// `POST /shuffle`: puts the tracks behind the picks into a random order.
pub(super) fn shuffle(body: &[u8]) -> Result<Control, ApiError> {
    let seed = rand::rng().random();
    no_arguments(body).map(|()| Control::Shuffle { seed })
}

/// `POST /sort`: sorts the tracks behind the picks.
pub(super) fn sort(body: &[u8]) -> Result<Control, ApiError> {
    let SortBody { order } = from_json(body)?;
    Ok(Control::Sort { order })
}

/// `POST /undo`: undoes the device's own last change of the queue.
pub(super) fn undo(body: &[u8]) -> Result<Control, ApiError> {
    no_arguments(body).map(|()| Control::Undo)
}

/// `POST /ack-download`: the device holds the whole track, or cannot play it. The device may report the length of the decoded
/// track.
pub(super) fn ack_download(body: &[u8]) -> Result<Control, ApiError> {
    let AckDownloadBody {
        track_id,
        playable,
        duration_sec,
    } = from_json(body)?;
    if duration_sec.is_some_and(|sec| !sec.is_finite() || sec <= 0.0) {
        return Err(ApiError::BadRequest(
            "The value of durationSec must be a finite number of seconds, more than 0".into(),
        ));
    }
    Ok(Control::AckDownload {
        track_id,
        playable,
        duration_sec,
    })
}

/// `POST /start-now`: ends the open barrier (see [`crate::room::Barrier`]) without the devices that are not ready.
pub(super) fn start_now(body: &[u8]) -> Result<Control, ApiError> {
    no_arguments(body).map(|()| Control::StartNow)
}

/// Parses the request body with `parse`, submits the command, and answers with the new state.
///
/// # Errors
/// 428 if the header `If-Match-Event` is missing, 400 if the header or the body is invalid, 409 if the event count in the
/// header is not the current one (an acknowledgement may have any count since the open barrier opened, a vote any earlier one), 429
/// for too many votes; other statuses if the room or the hub rejects the command (see [`HubError`]).
pub(super) async fn handle_command(
    call: Call<'_>,
    paired: &PairedDevice<'_>,
    parse: Parser,
) -> Result<Response<Body>, ApiError> {
    let if_match = if_match_event(call.headers())?;
    let control = parse(&call.body.read().await?)?;
    let decoded = decoded_length(&control);
    if control.is_vote() {
        paired.hub.count_vote(paired.member)?;
    }
    let command = Command::Control {
        member: paired.member,
        if_match,
        control,
    };
    let is_minimal = prefers_minimal(call.headers());
    match paired.hub.submit(command).await {
        Ok(Accepted { room }) => {
            if let Some((track_id, duration_sec)) = decoded {
                report_duration(&call, paired.member, track_id, duration_sec, &room);
            }
            let event_count = room.durable.event_count;
            Ok(if is_minimal {
                json(&json!({ "eventCount": event_count }))
            } else {
                let view = paired.hub.view();
                json(&json!({ "eventCount": event_count, "snapshot": view.snapshot_of(&room) }))
            })
        }
        Err(HubError::Rejected {
            rejection: Rejection::Stale { expected },
            room,
        }) => {
            let snapshot = || json!(paired.hub.view().snapshot_of(&room));
            Err(ApiError::Stale {
                expected,
                snapshot: (!is_minimal).then(snapshot),
            })
        }
        Err(error) => Err(error.into()),
    }
}

/// The length of a decoded track in a command, in seconds.
fn decoded_length(control: &Control) -> Option<(TrackId, f64)> {
    match *control {
        Control::AckDownload {
            track_id,
            playable: true,
            duration_sec: Some(duration_sec),
        } => Some((track_id, duration_sec)),
        _ => None,
    }
}

/// Passes the length that a listener decoded to the library, which may correct its index. `room` is the room after the command
/// with this length.
fn report_duration(
    call: &Call<'_>,
    member: MemberId,
    track_id: TrackId,
    duration_sec: f64,
    room: &Room,
) {
    if room.live.listeners.contains(&member) {
        let reporter = Reporter { room: 0, member };
        call.app
            .library
            .report_duration(track_id, reporter, duration_sec);
    }
}

/// Parses a body that names tracks.
fn parse_tracks(body: &[u8]) -> Result<Vec<TrackId>, ApiError> {
    let TracksBody { track_ids } = from_json(body)?;
    if !(1..=MAX_NAMED_TRACKS).contains(&track_ids.len()) {
        return Err(ApiError::BadRequest(format!(
            "The list trackIds must have 1 to {MAX_NAMED_TRACKS} tracks"
        )));
    }
    Ok(track_ids)
}

fn parse_position(body: &[u8]) -> Result<f64, ApiError> {
    let PositionBody { position_sec } = from_json(body)?;
    if !position_sec.is_finite() || position_sec < 0.0 {
        return Err(ApiError::BadRequest(
            "The value of positionSec must be a finite number of seconds, 0 or more".into(),
        ));
    }
    // The check above accepts -0.0, which would appear in JSON with its sign.
    Ok(position_sec.abs())
}

/// Accepts an empty body, or an object whose members are ignored.
pub(super) fn no_arguments(body: &[u8]) -> Result<(), ApiError> {
    if body.is_empty() {
        return Ok(());
    }
    from_json::<serde_json::Map<String, serde_json::Value>>(body).map(|_| ())
}

/// The event count in the header `If-Match-Event`.
///
/// # Errors
/// 428 if the header is missing, 400 if its value is not a single decimal number.
pub(super) fn if_match_event(headers: &HeaderMap) -> Result<u64, ApiError> {
    let mut values = headers.get_all("if-match-event").iter();
    let value = values.next().ok_or(ApiError::PreconditionRequired)?;
    let digits = value
        .to_str()
        .ok()
        .filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
    match (digits.and_then(|digits| digits.parse().ok()), values.next()) {
        (Some(count), None) => Ok(count),
        _ => Err(ApiError::BadRequest(
            "The header If-Match-Event must be a single event count".into(),
        )),
    }
}

/// Whether the request has the preference `return=minimal` (RFC 7240, 4.2).
fn prefers_minimal(headers: &HeaderMap) -> bool {
    headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split([',', ';']))
        .any(|preference| {
            preference
                .replace(['"', ' '], "")
                .eq_ignore_ascii_case("return=minimal")
        })
}
