//! `POST`: cap, parse, hand to the hub, answer. What a command does is the room's to say.

use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::{HeaderMap, Request, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::error::ApiError;
use super::gate::Paired;
use super::{Body, json};
use crate::hub::{Accepted, Refused};
use crate::room::{Command, Control, Rejection, TrackId};

/// The largest body that is read, in bytes.
pub(super) const LARGEST_BODY: usize = 16 << 10;
/// How long a client may take to send it.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Position {
    position_sec: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TrackBody {
    track_id: TrackId,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Acknowledgement {
    track_id: TrackId,
    #[serde(default = "yes")]
    playable: bool,
}

fn yes() -> bool {
    true
}

/// Makes a command of a body.
type Parser = fn(&[u8]) -> Result<Control, ApiError>;

/// How the body of `POST /name` is read, if that is a command.
pub(super) fn parser(name: &str) -> Option<Parser> {
    Some(match name {
        "play" => |body| position(body).map(|position_sec| Control::Play { position_sec }),
        "pause" => |body| position(body).map(|position_sec| Control::Pause { position_sec }),
        "seek" => |body| position(body).map(|position_sec| Control::Seek { position_sec }),
        "nudge" => |body| {
            let TrackBody { track_id } = from_json(body)?;
            Ok(Control::Nudge { track_id })
        },
        "ack-download" => |body| {
            let Acknowledgement { track_id, playable } = from_json(body)?;
            Ok(Control::AckDownload { track_id, playable })
        },
        "next" => |body| nothing(body).map(|()| Control::Next),
        "start-now" => |body| nothing(body).map(|()| Control::StartNow),
        _ => return None,
    })
}

/// Carries out the command that `parse` makes of the body.
pub(super) async fn command(
    paired: &Paired<'_>,
    parse: Parser,
    request: Request<Incoming>,
) -> Result<Response<Body>, ApiError> {
    let (head, body) = request.into_parts();
    let if_match = if_match(&head.headers)?;
    let control = parse(&read(body).await?)?;
    let command = Command::Control {
        member: paired.member,
        if_match,
        control,
    };
    let minimal = wants_minimal(&head.headers);
    match paired.hub.submit(command).await {
        Ok(Accepted { room }) => {
            let event_count = room.durable.event_count;
            Ok(if minimal {
                json(&json!({ "eventCount": event_count }))
            } else {
                let view = paired.hub.view();
                json(&json!({ "eventCount": event_count, "snapshot": view.snapshot_of(&room) }))
            })
        }
        Err(Refused::Rejected {
            rejection: Rejection::Stale { expected },
            room,
        }) => {
            let mut response = if minimal {
                json(&json!({ "expectedEventCount": expected }))
            } else {
                let view = paired.hub.view();
                json(
                    &json!({ "expectedEventCount": expected, "snapshot": view.snapshot_of(&room) }),
                )
            };
            *response.status_mut() = StatusCode::CONFLICT;
            Ok(response)
        }
        Err(refused) => Err(refused.into()),
    }
}

fn position(body: &[u8]) -> Result<f64, ApiError> {
    let Position { position_sec } = from_json(body)?;
    if !position_sec.is_finite() || position_sec < 0.0 {
        return Err(ApiError::BadRequest(
            "positionSec must be a finite number, 0 or more".into(),
        ));
    }
    // -0.0 is not less than 0.0, and would be shown.
    Ok(position_sec.abs())
}

/// No body, or an object whose members nobody asked for.
fn nothing(body: &[u8]) -> Result<(), ApiError> {
    if body.is_empty() {
        return Ok(());
    }
    from_json::<serde_json::Map<String, serde_json::Value>>(body).map(|_| ())
}

/// Reads a body as a JSON object. Nothing else will do: serde would take a struct from an array too.
pub(super) fn from_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice::<serde_json::Map<_, _>>(body)
        .and_then(|object| serde_json::from_value(object.into()))
        .map_err(|error| ApiError::BadRequest(format!("the body is not as it should be: {error}")))
}

/// Reads a body, up to [`LARGEST_BODY`].
pub(super) async fn read(body: Incoming) -> Result<bytes::Bytes, ApiError> {
    if body.size_hint().lower() > LARGEST_BODY as u64 {
        return Err(ApiError::TooLarge(LARGEST_BODY));
    }
    let limited = Limited::new(body, LARGEST_BODY);
    match tokio::time::timeout(BODY_TIMEOUT, limited.collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(ApiError::TooLarge(LARGEST_BODY)),
        Ok(Err(_)) => Err(ApiError::BadRequest("the body broke off".into())),
        Err(_) => Err(ApiError::TooSlow),
    }
}

pub(super) fn if_match(headers: &HeaderMap) -> Result<u64, ApiError> {
    let mut values = headers.get_all("if-match-event").iter();
    let value = values.next().ok_or(ApiError::PreconditionRequired)?;
    let digits = value
        .to_str()
        .ok()
        .filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
    match (digits.and_then(|digits| digits.parse().ok()), values.next()) {
        (Some(count), None) => Ok(count),
        _ => Err(ApiError::BadRequest(
            "If-Match-Event must be one event count".into(),
        )),
    }
}

/// RFC 7240, section 4.2.
fn wants_minimal(headers: &HeaderMap) -> bool {
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
