//! Which request goes where: one match on method and path.

use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use serde_json::json;

use super::error::ApiError;
use super::gate::{self, Paired};
use super::socket::Line;
use super::{
    App, Body, House, app, control, empty, events, full, json, metrics, music, pair, secure, sync,
};
use crate::clock;
use crate::room::MemberId;

/// Tells a device who it is: its cookie is hidden from its page.
const MEMBER: HeaderName = HeaderName::from_static("lockstep-member");

/// Answers a request, whatever it is.
pub(super) async fn answer(app: &App, line: &Line, request: Request<Incoming>) -> Response<Body> {
    let received_ms = clock::now_ms();
    let answer = match gate::same_site(&app.names, request.headers()) {
        Ok(()) => route(app, line, request, received_ms).await,
        Err(error) => Err(error),
    };
    let mut response = answer.unwrap_or_else(ApiError::into_response);
    app.metrics.answers.count(response.status().as_u16());
    let headers = response.headers_mut();
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        headers
            .entry(HeaderName::from_static(name))
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

async fn route(
    app: &App,
    line: &Line,
    request: Request<Incoming>,
    received_ms: f64,
) -> Result<Response<Body>, ApiError> {
    let path = request.uri().path().to_owned();
    let get = matches!(*request.method(), Method::GET | Method::HEAD);
    let post = *request.method() == Method::POST;
    let wrong = |allowed| Err(ApiError::MethodNotAllowed(allowed));
    let paired = |headers: &HeaderMap| gate::known(app, line, headers);
    let parts: Vec<&str> = path.strip_prefix('/').unwrap_or(&path).split('/').collect();
    match parts[..] {
        ["healthz"] if get => healthz(app),
        ["metrics"] if get => metrics::answer(app, line, request.headers()),
        ["qr"] if get => pair::qr(app, line, request.headers()),
        ["secure"] if get => Ok(secure::offer(app)),
        ["ca.crt"] if get => secure::certificate(app),
        ["ca.mobileconfig"] if get => secure::profile(app),
        ["code"] if get => pair::code(app, line.peer(), request.headers()),
        ["pair"] if post => pair::pair(app, line.peer(), request).await,
        [name @ ("leave" | "unpair" | "rename" | "rescan" | "sync" | "tune" | "tuning")]
            if post =>
        {
            let paired = paired(request.headers())?;
            let response = uncounted(app, &paired, name, request).await;
            Ok(named(response, paired.member))
        }
        ["pair" | "leave" | "unpair" | "rename" | "rescan" | "sync" | "tune" | "tuning"] => {
            wrong("POST")
        }
        ["healthz" | "metrics" | "qr" | "code" | "secure" | "ca.crt" | "ca.mobileconfig"] => {
            wrong("GET, HEAD")
        }

        ["index" | "snapshot" | "events" | "clock"]
        | ["cover" | "file", _]
        | ["debug", "state"] => {
            if !get {
                return wrong("GET, HEAD");
            }
            let paired = paired(request.headers())?;
            let response = match parts[..] {
                ["clock"] => Ok(told_time(received_ms)),
                _ => guarded(app, &paired, line, &parts, &request).await,
            };
            Ok(named(response, paired.member))
        }

        [name] => match control::parser(name) {
            Some(_) if !post => wrong("POST"),
            Some(parse) => {
                let response = match paired(request.headers()) {
                    Ok(paired) => {
                        let response = control::command(&paired, parse, request).await;
                        named(response, paired.member)
                    }
                    Err(error) => error.into_response(),
                };
                let label = (name.to_owned(), response.status().as_u16());
                app.metrics.commands.count(label);
                Ok(response)
            }
            None => page(app, line, &path, get, &request),
        },
        _ => page(app, line, &path, get, &request),
    }
}

/// What a paired device may ask for whatever the event count is.
async fn uncounted(
    app: &App,
    paired: &Paired<'_>,
    name: &str,
    request: Request<Incoming>,
) -> Result<Response<Body>, ApiError> {
    match name {
        "leave" => pair::leave(paired).await,
        "unpair" => pair::unpair(paired, request).await,
        "rename" => pair::rename(paired, request).await,
        "rescan" => Ok(rescan(app)),
        "sync" => sync::report(paired, request).await,
        "tune" => sync::tune(paired, request).await,
        "tuning" => sync::sound(paired, request).await,
        _ => Err(ApiError::NotFound("there is nothing here")),
    }
}

/// `POST /rescan`. What comes of it is told by events.
fn rescan(app: &App) -> Response<Body> {
    app.library.rescan();
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}

/// `GET /clock`. Both times are told, so that what the server spent in between counts as no part of the way.
fn told_time(received_ms: f64) -> Response<Body> {
    json(&json!({ "receivedMs": received_ms, "serverMs": clock::now_ms() }))
}

/// One of the page's own files.
fn page(
    app: &App,
    line: &Line,
    path: &str,
    get: bool,
    request: &Request<Incoming>,
) -> Result<Response<Body>, ApiError> {
    if !get && app::has(path) {
        return Err(ApiError::MethodNotAllowed("GET, HEAD"));
    }
    let headers = request.headers();
    let other_origin = match line.is_secure() {
        true => None,
        false => secure::origin(app, headers),
    };
    app::file(path, headers, other_origin.as_deref())
}

async fn guarded(
    app: &App,
    paired: &Paired<'_>,
    line: &Line,
    parts: &[&str],
    request: &Request<Incoming>,
) -> Result<Response<Body>, ApiError> {
    match *parts {
        ["index"] => music::index(app, request.headers()),
        ["cover", id] => music::cover(app, id, request).await,
        ["file", id] => music::file(app, paired, line, id, request).await,
        ["snapshot"] => Ok(json(&paired.hub.view().snapshot())),
        ["events"] => events::stream(paired, line, request).await,
        ["debug", "state"] if app.debug => Ok(debug_state(app, paired)),
        _ => Err(ApiError::NotFound("there is nothing here")),
    }
}

/// The answer, accepted or refused, with the name of the device that it is for.
fn named(answer: Result<Response<Body>, ApiError>, member: MemberId) -> Response<Body> {
    let mut response = answer.unwrap_or_else(ApiError::into_response);
    if let Ok(value) = HeaderValue::try_from(member.to_string()) {
        response.headers_mut().insert(MEMBER, value);
    }
    response
}

fn healthz(app: &App) -> Result<Response<Body>, ApiError> {
    match &app.house {
        House::Open(hub) if hub.is_alive() => Ok(Response::new(full("ok"))),
        House::Open(_) => Err(ApiError::Unavailable("the server is closing".into())),
        House::Damaged(why) => {
            let mut response = ApiError::Damaged(why.clone()).into_response();
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            Ok(response)
        }
    }
}

/// Everything inside, tokens and the code left out.
fn debug_state(app: &App, paired: &Paired<'_>) -> Response<Body> {
    let view = paired.hub.view();
    let holdings: serde_json::Map<_, _> = view
        .room
        .live
        .holdings
        .iter()
        .map(|(member, h)| {
            (
                member.to_string(),
                json!({ "held": h.held, "unplayable": h.unplayable }),
            )
        })
        .collect();
    json(&json!({
        "snapshot": view.snapshot(),
        "private": {
            "barrierOpenedAt": view.room.private.barrier_opened_at,
            "lastMember": view.room.private.last_member,
        },
        "live": {
            "active": *view.room.live.listeners,
            "needleMs": view.room.live.needle_ms,
            "holdings": holdings,
        },
        "library": { "tracks": app.library.index().len() },
        "pairingWindowOpen": pair::window_open(app),
        "serverMs": clock::now_ms(),
    }))
}
