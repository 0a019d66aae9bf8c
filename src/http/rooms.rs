//! Requests about rooms themselves: the list of rooms, making, renaming, locking and removing a room, entering and leaving. None of
//! them needs an event count, because none depends on the state of the playback.

use std::sync::Arc;

use hyper::{Response, StatusCode};
use serde_json::json;

use super::body::from_json;
use super::call::{Call, is_navigation};
use super::dispatch::redirect;
use super::error::ApiError;
use super::sync::no_content;
use super::{Body, gate, json};
use crate::hub::Accepted;
use crate::room::Command;
use crate::rooms::{RoomEntry, RoomError, RoomStatus, Rooms};
use crate::wire::{EnterRoomRequest, LockRoomRequest, MakeRoomRequest, NameRoomRequest};

type HandlerResult = Result<Response<Body>, ApiError>;

/// `GET /rooms`: all rooms, the house room first; for paired devices and on the local socket.
pub(super) fn list(call: &Call<'_>) -> HandlerResult {
    if !call.is_local() {
        call.device()?;
    }
    Ok(json(&call.app.rooms.rows()))
}

/// `POST /rooms`: makes a room, with the sender as its maker and first member.
///
/// # Errors
/// 422 for a name that is empty or taken, and for more rooms than one device may make; 507 for more than the server may have.
pub(super) async fn make(call: Call<'_>) -> HandlerResult {
    let maker = call.device()?;
    let MakeRoomRequest { name, password } = call.body.read_json().await?;
    let made = call.app.rooms.make(maker, &name, password).await?;
    let mut response = json(&json!({ "roomId": made.id.as_str(), "name": made.name() }));
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

/// `GET /rooms/ROOMID`: redirects to the room's page, whose relative addresses need the slash at the end.
pub(super) fn redirect_to_page(call: &Call<'_>) -> HandlerResult {
    let id = match find(call) {
        Ok(room) => room.id.to_string(),
        // The page is there, too, and leads on to the house.
        Err(_) if is_navigation(call) => call.parameter.to_owned(),
        Err(error) => return Err(error),
    };
    let query = call.head.uri().query();
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let base_path = &call.app.base_path;
    Ok(redirect(&format!("{base_path}/rooms/{id}/{query}")))
}

/// `POST /rooms/ROOMID/enter`: makes the sender a client of the room. One that is a client already needs no password.
///
/// # Errors
/// 403 without the right password, 429 after too many wrong ones.
pub(super) async fn enter(call: Call<'_>) -> HandlerResult {
    let member = call.device()?;
    let room = find(&call)?;
    let body = call.body.read().await?;
    let EnterRoomRequest { password } = match &*body {
        [] => EnterRoomRequest::default(),
        body => from_json(body)?,
    };
    let rooms = &call.app.rooms;
    let hub = gate::hub(&room)?;
    if !hub.is_paired(member) && !rooms.is_host_of_house(member) {
        rooms
            .check_password(&room, password, call.client.address)
            .await?;
    }
    let admitted = rooms.admit(&room, member).await;
    let admitted = admitted.map_err(|error| ApiError::from(error).in_room(&room));
    let Accepted { room: state } = admitted?;
    Ok(json(&json!({
        "memberId": member,
        "eventCount": state.durable.event_count,
        "snapshot": hub.view().snapshot_of(&state),
    })))
}

/// `POST /rooms/ROOMID/leave`: the sender is a client of the room no more.
///
/// # Errors
/// 403 if it was none; 422 for the house room.
pub(super) async fn leave(call: Call<'_>) -> HandlerResult {
    let member = call.device()?;
    let room = find(&call)?;
    if room.id.is_house() {
        return Err(RoomError::House.into());
    }
    let paired = gate::authenticate(&call.app.rooms, &room, call.headers())?;
    let left = paired.hub.submit(Command::Leave { member }).await;
    left.map_err(|error| ApiError::from(error).in_room(&room))?;
    Ok(no_content())
}

/// `POST /rooms/ROOMID/name`: gives the room another name.
///
/// # Errors
/// Those of [`check_manager`]; 422 for a name that is empty or taken.
pub(super) async fn rename(call: Call<'_>) -> HandlerResult {
    let room = find_managed(&call)?;
    let NameRoomRequest { name } = call.body.read_json().await?;
    gate::hub(&room)?;
    let renamed = call.app.rooms.rename(room.clone(), &name).await;
    renamed.map_err(|error| ApiError::from(error).in_room(&room))?;
    Ok(no_content())
}

/// `POST /rooms/ROOMID/password`: locks or unlocks the room.
///
/// # Errors
/// Those of [`check_manager`]; 422 for the house room.
pub(super) async fn lock(call: Call<'_>) -> HandlerResult {
    let room = find_managed(&call)?;
    let LockRoomRequest { password } = call.body.read_json().await?;
    let locked = call.app.rooms.lock(room.clone(), password).await;
    locked.map_err(|error| ApiError::from(error).in_room(&room))?;
    Ok(no_content())
}

/// `DELETE /rooms/ROOMID`: removes the room.
///
/// # Errors
/// Those of [`check_manager`]; 422 for the house room.
pub(super) async fn remove(call: Call<'_>) -> HandlerResult {
    let room = find_managed(&call)?;
    call.app.rooms.remove(room).await?;
    Ok(no_content())
}

/// The room in the path, if the sender may rename, lock or remove it.
///
/// # Errors
/// 401 before 404 for a client that is neither paired nor on the local socket; those of [`check_manager`].
fn find_managed(call: &Call<'_>) -> Result<Arc<RoomEntry>, ApiError> {
    if !call.is_local() {
        call.device()?;
    }
    let room = find(call)?;
    check_manager(call, &room)?;
    Ok(room)
}

/// The room in the path. Callers look for the device first: 401 comes before 404.
///
/// # Errors
/// Those of [`no_such_room`].
fn find(call: &Call<'_>) -> Result<Arc<RoomEntry>, ApiError> {
    let room = call.app.rooms.find(call.parameter);
    room.ok_or_else(|| no_such_room(&call.app.rooms))
}

/// The error for a room that is not in the list: 404, or 503 while the folder of the rooms has not been read, because phones leave a
/// room that does not exist for good.
pub(super) fn no_such_room(rooms: &Rooms) -> ApiError {
    match rooms.are_listed() {
        true => ApiError::NO_SUCH_ROOM,
        false => RoomError::Opening.into(),
    }
}

/// Checks that the sender may rename, lock or remove a room: a host of the room, or its maker while it has none, a host of the house
/// room, and everyone on the local socket. Everyone may rename a house room without hosts. The hosts of a damaged room are not known.
///
/// # Errors
/// 401 without a valid token, 403 for others, 503 while the hosts are not known because the file is still being read.
fn check_manager(call: &Call<'_>, room: &RoomEntry) -> Result<(), ApiError> {
    if call.is_local() {
        return Ok(());
    }
    let member = call.device()?;
    let is_allowed = room.hub().is_some_and(|hub| {
        let view = hub.view();
        match view.room.durable.hosts.is_empty() {
            true => room.id.is_house() || view.profile.access.maker == Some(member),
            false => view.room.durable.is_host(member),
        }
    });
    if is_allowed || call.app.rooms.is_host_of_house(member) {
        return Ok(());
    }
    if matches!(room.status, RoomStatus::Opening) {
        return Err(RoomError::Opening.into());
    }
    Err(ApiError::Forbidden(
        "not-room-host",
        "Only a host of this room or of the house may do this",
    ))
}
