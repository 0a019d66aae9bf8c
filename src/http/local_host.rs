//! `POST /hosts` on the local socket, for the user of the server's machine.

use hyper::Response;
use serde::Deserialize;
use serde_json::json;

use super::call::Call;
use super::error::ApiError;
use super::{Body, json};
use crate::hub::{Accepted, Hub};
use crate::room::{Command, MemberId, Room};

/// The request body of `POST /hosts` on the local socket.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LocalHostBody {
    member_id: Option<MemberId>,
    /// The device by its member ID or by its name, if `member_id` is absent.
    device: Option<String>,
    host: Option<bool>,
}

/// `POST /hosts` on the local socket: makes any device host. Needs no event count, because it names a device.
///
/// # Errors
/// 400 for a request that names no device, or that ends the role of a host: hosts do that. 404 if there is no such device, 422 if
/// several have the name.
pub(super) async fn make_host(call: Call<'_>, hub: &Hub) -> Result<Response<Body>, ApiError> {
    let request: LocalHostBody = call.body.read_json().await?;
    if request.host == Some(false) {
        return Err(ApiError::BadRequest(
            "The local socket only makes devices host".into(),
        ));
    }
    // An empty name would match the devices without a name.
    let device = request.device.filter(|device| !device.trim().is_empty());
    let member = match (request.member_id, device) {
        (Some(member), _) => member,
        (None, Some(device)) => find_device(&hub.view().room, &device)?,
        (None, None) => return Err(ApiError::BadRequest("The request names no device".into())),
    };
    let Accepted { room } = hub.submit(Command::MakeHost { member }).await?;
    tracing::info!("{member} was made host on this machine");
    let client = room.durable.clients.get(&member);
    Ok(json(&json!({
        "eventCount": room.durable.event_count,
        "memberId": member,
        "name": client.map(|client| &client.name),
    })))
}

/// The device with this member ID or name.
fn find_device(room: &Room, device: &str) -> Result<MemberId, ApiError> {
    let clients = &room.durable.clients;
    let id: Option<MemberId> = device.parse().ok();
    if let Some(member) = id.filter(|member| clients.contains_key(member)) {
        return Ok(member);
    }
    let named = clients.iter().filter(|(_, client)| client.name == device);
    let members: Vec<_> = named.map(|(member, _)| *member).collect();
    match members[..] {
        [member] => Ok(member),
        [] => Err(ApiError::NO_SUCH_DEVICE),
        _ => {
            let ids: Vec<_> = members.iter().map(MemberId::to_string).collect();
            let message = format!("Several phones have this name: {}", ids.join(", "));
            Err(ApiError::Unprocessable("ambiguous-name", message))
        }
    }
}
