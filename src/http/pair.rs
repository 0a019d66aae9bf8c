//! Pairing over HTTP: the code and who may see it, the QR code, names, coming and going.

use std::net::SocketAddr;
use std::time::Instant;

use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue, SET_COOKIE};
use hyper::{HeaderMap, Request, Response, StatusCode};
use serde_json::json;

use super::error::ApiError;
use super::gate::Paired;
use super::socket::Line;
use super::{App, Body, House, control, empty, full, gate, json, secure};
use crate::address;
use crate::hub::Accepted;
use crate::pairing::{self, Refused};
use crate::room::Command;
use crate::wire::{PairRequest, RenameRequest, UnpairRequest};

/// The longest name a device may have, in characters.
const LONGEST_NAME: usize = 40;
/// How long a browser keeps the token: as long as browsers do at most.
const COOKIE_SECONDS: u32 = 400 * 24 * 60 * 60;

/// `POST /pair`.
pub(super) async fn pair(
    app: &App,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<Body>, ApiError> {
    let hub = gate::hub(app)?;
    let known = gate::paired(app, request.headers()).ok();
    let known = known.map(|paired| (paired.member, paired.key));
    let body = control::read(request.into_body()).await?;
    let PairRequest { code, client_name } = control::from_json(&body)?;
    let name = tidy(&client_name.unwrap_or_default());
    match app.pairing.check(&code, peer.ip(), Instant::now()) {
        Ok(()) => {}
        Err(Refused::WrongCode) => return Err(ApiError::Forbidden("that is not the pairing code")),
        Err(Refused::TooManyTries { retry_after }) => {
            return Err(ApiError::TooManyTries { retry_after });
        }
    }
    let (token, key) = pairing::new_token();
    let command = match known {
        Some((member, old_key)) => Command::PairAgain {
            member,
            name,
            key,
            old_key,
        },
        None => Command::Pair { name, key },
    };
    let Accepted { room } = hub.submit(command).await?;
    let member = room
        .private
        .keys
        .get(&key)
        .copied()
        .ok_or(ApiError::Unauthorized)?;
    tracing::info!("{member} is paired");
    let mut response = json(&json!({
        "clientId": token,
        "memberId": member,
        "eventCount": room.durable.event_count,
        "snapshot": hub.view().snapshot_of(&room),
    }));
    set_cookie(&mut response, &token, COOKIE_SECONDS);
    Ok(response)
}

/// `POST /rename`. It is about the device that asks alone, so it contradicts nobody and needs no event count.
pub(super) async fn rename(
    paired: &Paired<'_>,
    request: Request<Incoming>,
) -> Result<Response<Body>, ApiError> {
    let body = control::read(request.into_body()).await?;
    let RenameRequest { client_name } = control::from_json(&body)?;
    let command = Command::Rename {
        member: paired.member,
        name: tidy(&client_name),
    };
    let Accepted { room } = paired.hub.submit(command).await?;
    Ok(json(&json!({ "eventCount": room.durable.event_count })))
}

/// `POST /leave`.
pub(super) async fn leave(paired: &Paired<'_>) -> Result<Response<Body>, ApiError> {
    let member = paired.member;
    paired.hub.submit(Command::Leave { member }).await?;
    tracing::info!("{member} is no longer paired");
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    set_cookie(&mut response, "", 0);
    Ok(response)
}

/// `POST /unpair`: of whichever device. It contradicts nothing that others ask for, so it needs no event count.
pub(super) async fn unpair(
    paired: &Paired<'_>,
    request: Request<Incoming>,
) -> Result<Response<Body>, ApiError> {
    let body = control::read(request.into_body()).await?;
    let UnpairRequest { member_id: other } = control::from_json(&body)?;
    let member = paired.member;
    let command = Command::Unpair { member, other };
    let Accepted { room } = paired.hub.submit(command).await?;
    tracing::info!("{other} is no longer paired: {member} has seen to it");
    let mut response = json(&json!({ "eventCount": room.durable.event_count }));
    if other == member {
        set_cookie(&mut response, "", 0);
    }
    Ok(response)
}

/// `GET /code`: for this machine itself, for paired devices, and for everybody while the window is open.
pub(super) fn code(
    app: &App,
    peer: SocketAddr,
    headers: &HeaderMap,
) -> Result<Response<Body>, ApiError> {
    let may_see =
        gate::from_here(peer, headers) || window_open(app) || gate::paired(app, headers).is_ok();
    if !may_see {
        return Err(ApiError::Forbidden(
            "ask somebody who is paired already for the code, or look at the server's terminal",
        ));
    }
    Ok(json(&json!({ "code": app.pairing.code() })))
}

/// Whether everybody is shown the code: from a start until somebody is paired.
pub(super) fn window_open(app: &App) -> bool {
    let nobody_yet = match &app.house {
        House::Open(hub) => !hub.view().room.live.anybody_paired,
        House::Damaged(_) => true,
    };
    app.window && nobody_yet
}

/// `GET /qr`: of the name by which this phone came, since that works in this house; of the address on the LAN for whoever came
/// by a name that only this machine understands, or only some phones (multicast DNS). Over HTTP always: the next guest's phone
/// trusts no certificate of ours.
pub(super) fn qr(app: &App, line: &Line, headers: &HeaderMap) -> Result<Response<Body>, ApiError> {
    let host = secure::host(headers).unwrap_or_default();
    let own = ["localhost", "127.", "[::1]", "0.0.0.0"];
    let name = gate::name_of(host).to_ascii_lowercase();
    let multicast = name.trim_end_matches('.').ends_with(".local");
    let plain = line.is_secure().then(|| secure::plain_url(app, &name));
    let url = if multicast || own.iter().any(|own| name.starts_with(own)) {
        address::url(app.local)
    } else {
        plain
            .flatten()
            .unwrap_or_else(|| format!("http://{}", host.trim_end_matches(":80")))
    };
    let png =
        address::png_qr(&url).ok_or(ApiError::NotFound("the address is too long for a QR code"))?;
    let mut response = Response::new(full(png));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("image/png"));
    Ok(response)
}

/// Not `Secure`, over HTTPS either: cookies belong to a host whatever the port, so the page over HTTP and the one over HTTPS
/// are the same paired device, and a `Secure` one would shut the first of them out (RFC 6265bis, 5.7).
fn set_cookie(response: &mut Response<Body>, token: &str, seconds: u32) {
    let cookie = format!(
        "{}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict",
        gate::COOKIE_NAME
    );
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
}

/// A name in one line of text that can be seen, and that turns nothing around it; empty when nothing of it can be.
pub(super) fn tidy(name: &str) -> String {
    let printable = name.replace(|c: char| c.is_control() || is_unseen(c), " ");
    let words: Vec<_> = printable.split_whitespace().collect();
    let line: String = words.join(" ").chars().take(LONGEST_NAME).collect();
    // Scripts and emoji are joined by these, or kept apart; alone they are nothing.
    let joins = |c: char| {
        matches!(
            c,
            ' ' | '\u{200c}' | '\u{200d}' | '\u{fe0e}' | '\u{fe0f}' | '\u{e0020}'..='\u{e007f}'
        )
    };
    if line.chars().all(joins) {
        String::new()
    } else {
        line
    }
}

/// Characters without a shape, and those that change the direction of what follows.
fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}'
        | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_short_line() {
        assert_eq!(tidy("  Ann\u{0}e \n\t Marie "), "Ann e Marie");
        assert_eq!(tidy(&"ü".repeat(100)).chars().count(), LONGEST_NAME);
        assert_eq!(tidy("👩\u{200d}👧"), "👩\u{200d}👧");
    }

    #[test]
    fn what_nobody_can_see_is_no_name() {
        for name in [
            "\u{200b}",
            "\u{3164}\u{feff}",
            "\u{200d}\u{fe0f}",
            "\u{2800} \u{ad}",
        ] {
            assert_eq!(tidy(name), "", "{name:?}");
        }
        assert_eq!(tidy("Ann\u{202e}gpj.\u{2066}exe"), "Ann gpj. exe");
    }
}
