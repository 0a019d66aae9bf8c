//! Routes that report the server's state (health, clock, snapshot, debugging output), and the route that requests a rescan
//! of the audio folder.

use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::json;

use super::call::Call;
use super::error::{ApiError, sentence};
use super::gate::PairedDevice;
use super::{App, Body, empty, full, json, pair};
use crate::clock;
use crate::hub::Hub;
use crate::rooms::{RoomError, RoomStatus};

/// `GET /healthz`: 200 while the room accepts commands.
///
/// # Errors
/// 503 when the room's state file is damaged, still being read or cannot be written, or the server is shutting down.
pub(super) async fn healthz(call: Call<'_>) -> Result<Response<Body>, ApiError> {
    match &call.room.status {
        RoomStatus::Running(hub) if hub.is_alive() => {
            if !hub.can_write().await {
                return Err(ApiError::Unavailable(
                    "not-written",
                    "The state file cannot be written".to_owned(),
                ));
            }
        }
        RoomStatus::Running(_) => {
            return Err(ApiError::Unavailable(
                "server-closing",
                "The server is shutting down".to_owned(),
            ));
        }
        RoomStatus::Damaged(why) => return Err(ApiError::unhealthy(call.room.id.is_house(), why)),
        RoomStatus::Opening => return Err(RoomError::Opening.into()),
    }
    let mut response = Response::new(full("ok"));
    let media_type = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    Ok(response)
}

/// `POST /rescan`: requests a scan of the audio folder, and answers with 202 before the scan begins. Event streams report
/// the progress and the result of the scan.
///
/// # Errors
/// 503 while the scanner is being restarted after a panic.
pub(super) fn rescan(app: &App) -> Result<Response<Body>, ApiError> {
    let requested = app.library.rescan();
    requested.map_err(|error| ApiError::Unavailable("scanner-restarting", sentence(&error)))?;
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}

/// `GET /clock`: the times of the server's clock at which the request was received and the response was created, in
/// milliseconds. The client subtracts the difference of the two times from the round-trip time that it measures.
pub(super) fn clock(received_ms: f64) -> Response<Body> {
    json(&json!({ "receivedMs": received_ms, "serverMs": clock::now_ms() }))
}

/// `GET /snapshot`: the room's current state.
pub(super) fn snapshot(paired: &PairedDevice<'_>) -> Response<Body> {
    json(&paired.hub.view().snapshot())
}

/// `GET /debug/state`: the server's internal state, without the device tokens and the pairing code.
///
/// # Errors
/// 404 without the flag `--debug`.
pub(super) fn debug_state(call: &Call<'_>, hub: &Hub) -> Result<Response<Body>, ApiError> {
    if !call.app.serves_debug_state {
        return Err(ApiError::NO_SUCH_PATH);
    }
    let view = hub.view();
    let device_tracks: serde_json::Map<_, _> = view
        .room
        .live
        .device_tracks
        .iter()
        .map(|(member, tracks)| {
            let tracks =
                json!({ "downloaded": tracks.downloaded, "unplayable": tracks.unplayable });
            (member.to_string(), tracks)
        })
        .collect();
    Ok(json(&json!({
        "snapshot": view.snapshot(),
        "private": {
            "barrierOpenedEventCount": view.room.private.barrier_opened_event_count,
            "lastMember": view.room.private.last_member,
        },
        "live": {
            "listeners": *view.room.live.listeners,
            "anchorAtMs": view.room.live.anchor_at_ms,
            "deviceTracks": device_tracks,
        },
        "library": { "tracks": call.app.library.index().len() },
        "pairingWindowOpen": pair::is_window_open(call),
        "serverMs": clock::now_ms(),
    })))
}
