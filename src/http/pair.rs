//! Pairing over HTTP: pairs, renames and unpairs devices, and decides which clients may read the pairing code.

use std::time::Instant;

use hyper::header::{HeaderValue, SET_COOKIE};
use hyper::{Response, StatusCode};
use serde_json::json;

use super::call::Call;
use super::error::ApiError;
use super::gate::PairedDevice;
use super::{Body, empty, gate, json, permission};
use crate::base_path::BasePath;
use crate::hub::Accepted;
use crate::pairing::{self, PairingError};
use crate::room::{Access, Action, Command, clean_device_name};
use crate::rooms::RoomStatus;
use crate::wire::{PairRequest, RenameRequest, UnpairRequest};

/// `Max-Age` of the cookie with the token: 400 days, the longest time that browsers accept (RFC 6265bis, 5.5).
const COOKIE_MAX_AGE_SEC: u32 = 400 * 24 * 60 * 60;

/// `POST /pair`: pairs the device that sends the room's pairing code. A device that is already paired keeps its member ID and
/// gets a new token; the token that it sent stays valid, because the response may be lost. In a room other than the house room,
/// the device also enters the room, and needs no password.
pub(super) async fn pair(call: Call<'_>) -> Result<Response<Body>, ApiError> {
    let Call {
        app, room, client, ..
    } = call;
    let house = gate::hub(app.rooms.house())?;
    let hub = gate::hub(room)?;
    let previous = gate::find_device(&app.rooms, call.headers()).ok();
    let PairRequest { code, client_name } = call.body.read_json().await?;
    let name = clean_device_name(&client_name.unwrap_or_default());
    match room.pairing.check(&code, client.address, Instant::now()) {
        Ok(()) => {}
        Err(PairingError::WrongCode) => {
            return Err(ApiError::Forbidden(
                "wrong-pairing-code",
                "This is not the pairing code",
            ));
        }
        Err(PairingError::TooManyAttempts { retry_after }) => {
            return Err(ApiError::TooManyAttempts { retry_after });
        }
    }
    let (token, token_hash) = pairing::new_token();
    let command = match previous {
        Some((member, old_token_hash)) => Command::PairAgain {
            member,
            name,
            token_hash,
            old_token_hash,
        },
        None => Command::Pair { name, token_hash },
    };
    let Accepted { room: mut state } = house.submit(command).await?;
    let tokens = &state.private.token_hashes;
    let member = tokens.get(&token_hash).copied();
    let member = member.ok_or(ApiError::Unauthorized)?;
    tracing::info!("paired {member}");
    if !room.id.is_house() {
        let entered = app.rooms.admit(room, member).await;
        if entered.is_err() && previous.is_none() {
            // The client does not learn its token, so it would stay in the list of devices for ever.
            house.submit(Command::Leave { member }).await?;
        }
        state = entered?.room;
    }
    let mut response = json(&json!({
        "clientId": token,
        "memberId": member,
        "eventCount": state.durable.event_count,
        "snapshot": hub.view().snapshot_of(&state),
    }));
    set_cookie(&mut response, &app.base_path, &token, COOKIE_MAX_AGE_SEC);
    Ok(response)
}

/// `POST /rename`: changes the name of the device. A device can only rename itself, so a rename never conflicts with other
/// commands and needs no event count.
pub(super) async fn rename(
    call: Call<'_>,
    paired: &PairedDevice<'_>,
) -> Result<Response<Body>, ApiError> {
    let RenameRequest { client_name } = call.body.read_json().await?;
    let command = Command::Rename {
        member: paired.member,
        name: clean_device_name(&client_name),
    };
    let accepted = paired.house.submit(command).await?;
    let event_count = paired.event_count_after(&accepted).await?;
    Ok(json(&json!({ "eventCount": event_count })))
}

/// `POST /leave`: the device unpairs itself.
pub(super) async fn leave(
    call: Call<'_>,
    paired: &PairedDevice<'_>,
) -> Result<Response<Body>, ApiError> {
    let member = paired.member;
    paired.house.submit(Command::Leave { member }).await?;
    tracing::info!("{member} unpaired itself");
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    set_cookie(&mut response, &call.app.base_path, "", 0);
    Ok(response)
}

/// `POST /unpair`: unpairs any device. The request names the device. So its effect does not depend on changes that the
/// sender has not received yet, and the request needs no event count.
pub(super) async fn unpair(
    call: Call<'_>,
    paired: &PairedDevice<'_>,
) -> Result<Response<Body>, ApiError> {
    let UnpairRequest { member_id: target } = call.body.read_json().await?;
    let member = paired.member;
    let command = Command::Unpair { member, target };
    let house = paired.house.view().room;
    let permission = house.check_permission(member, Action::Unpair(target));
    permission.map_err(|refusal| ApiError::refused(refusal, &house.durable))?;
    // Before the removal, which reaches the other rooms at once.
    paired.rooms.record_removal(target, member);
    let accepted = paired.house.submit(command).await;
    let accepted = accepted.inspect_err(|_| paired.rooms.cancel_removal(target, member))?;
    tracing::info!("{member} unpaired {target}");
    let event_count = paired.event_count_after(&accepted).await?;
    let mut response = json(&json!({ "eventCount": event_count }));
    if target == member {
        set_cookie(&mut response, &call.app.base_path, "", 0);
    }
    Ok(response)
}

/// `GET /code`: the pairing code, on the local socket, for the paired devices that the rules permit, and for all clients while the
/// pairing window is open (see [`is_window_open`]).
///
/// # Errors
/// 403 for any other client.
pub(super) fn code(call: &Call<'_>) -> Result<Response<Body>, ApiError> {
    let is_local = call.is_local();
    let rooms = &call.app.rooms;
    if !call.room.id.is_house() && gate::find_device(rooms, call.headers()).is_ok() {
        gate::hub(call.room)?;
    }
    let paired = gate::authenticate(rooms, call.room, call.headers()).ok();
    if let Some(paired) = paired.as_ref().filter(|_| !is_local) {
        permission::check(paired, Action::SeeCode)?;
        check_house_invites(paired)?;
    } else if !is_local && !is_window_open(call) {
        return Err(ApiError::Forbidden(
            "pairing-code-hidden",
            "The pairing code is shown on paired devices, on the server's terminal, and by the command `lockstep code`",
        ));
    }
    Ok(json(&json!({ "code": call.room.pairing.code() })))
}

/// Checks that a device may invite to the house: the code of another room also pairs with the house, whose rule therefore applies.
///
/// # Errors
/// 403 with a sentence that says who may.
fn check_house_invites(paired: &PairedDevice<'_>) -> Result<(), ApiError> {
    let house = paired.house.view().room;
    let permission = house.check_permission(paired.member, Action::SeeCode);
    permission.map_err(|refusal| ApiError::refused(refusal, &house.durable))
}

/// `POST /code/renew`: replaces the pairing code by a new random one, until the server ends.
///
/// # Errors
/// 403 for devices that may not, 422 if the code is configured.
pub(super) fn renew_code(
    call: &Call<'_>,
    paired: &PairedDevice<'_>,
) -> Result<Response<Body>, ApiError> {
    permission::check(paired, Action::RenewCode)?;
    check_house_invites(paired)?;
    let code = call.room.pairing.renew().ok_or_else(|| {
        ApiError::Unprocessable(
            "code-fixed",
            "The pairing code was set when the server was started, and stays".into(),
        )
    })?;
    tracing::info!("{} renewed the pairing code", paired.member);
    Ok(json(&json!({ "code": code })))
}

/// Whether the pairing window is open: unless `--no-pairing-window` is set, all clients may read the pairing code from each
/// start of the server until a device is paired after that start. Only the house room has a pairing window. While only hosts may
/// see the code, the window is shut.
pub(super) fn is_window_open(call: &Call<'_>) -> bool {
    let none_paired_since_start = match &call.room.status {
        RoomStatus::Running(hub) => {
            let room = hub.view().room;
            let is_for_all = room.durable.rules.invite == Access::Everyone;
            is_for_all && !room.live.any_paired_since_start
        }
        RoomStatus::Damaged(_) | RoomStatus::Opening => true,
    };
    call.app.has_pairing_window && call.room.id.is_house() && none_paired_since_start
}

/// Sets the cookie with the token, or deletes the cookie if `max_age_seconds` is 0.
///
/// The cookie has no attribute `Secure`, even over HTTPS: the HTTP page and the HTTPS page share the cookie, so that both
/// are the same paired device, and an HTTP response cannot replace a `Secure` cookie (RFC 6265bis, 5.7).
fn set_cookie(
    response: &mut Response<Body>,
    base_path: &BasePath,
    token: &str,
    max_age_seconds: u32,
) {
    let cookie = format!(
        "{}={token}; Path={}; Max-Age={max_age_seconds}; HttpOnly; SameSite=Strict",
        gate::COOKIE_NAME,
        base_path.page()
    );
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
}
