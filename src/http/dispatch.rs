//! Answers requests: finds the base path, the room and the route of each, and adds the headers of all responses.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{
    CACHE_CONTROL, ETAG, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH, LOCATION,
};
use hyper::http::uri::PathAndQuery;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};

use super::body::RequestBody;
use super::call::{Call, HandlerResult, is_navigation};
use super::error::ApiError;
use super::gate::{self, PairedDevice};
use super::listen::ListenSocketKind;
use super::routes::{Handler, METRICS_PATH, ROUTES, Route, is_of_house};
use super::socket::ConnectionInfo;
use super::{App, Body, assets, control, empty, https_setup, rooms, unread_body, uploads};
use crate::base_path::{BasePath, Location};
use crate::clock;
use crate::rooms::{RoomEntry, Rooms};

/// The response header with the member ID of the device that sent the request. The page's scripts cannot read the device's
/// cookie, which is `HttpOnly`.
const MEMBER_HEADER: HeaderName = HeaderName::from_static("lockstep-member");

/// Security headers of every response, unless the handler has set other values.
const SECURITY_HEADERS: [(HeaderName, HeaderValue); 4] = [
    (
        hyper::header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (
        hyper::header::X_FRAME_OPTIONS,
        HeaderValue::from_static("DENY"),
    ),
    (
        hyper::header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

/// Checks the request's host and origin, and calls the handler of its route. Adds the common headers to the response,
/// counts the response in the metrics, and discards the part of the request body that the handler has not read.
pub(super) async fn answer(
    app: &App,
    connection: &ConnectionInfo,
    request: Request<Incoming>,
) -> Response<Body> {
    let received_ms = clock::now_ms();
    let (head, body) = request.into_parts();
    let mut head = Request::from_parts(head, ());
    let mut body = RequestBody::new(body);
    let client = app
        .trusted_proxies
        .client_request(connection.peer(), head.headers());
    let location = strip_base_path(&app.base_path, connection.socket_kind(), &mut head);
    let is_upload = uploads::has_path(head.uri().path());
    let overridden = match is_upload {
        true => uploads::override_method(&mut head),
        false => Ok(()),
    };
    let room = match location {
        StrippedPath::Inside => strip_room(&app.rooms, &mut head),
        _ => Some(app.rooms.house().clone()),
    };
    let call = Call {
        app,
        room: room.as_ref().unwrap_or(app.rooms.house()),
        connection,
        client: &client,
        head: &head,
        body: &mut body,
        parameter: "",
        received_ms,
    };
    let access = check_access(&call).and(overridden);
    let result = match (access, location) {
        (Ok(()), StrippedPath::Inside) if room.is_none() => without_room(&call),
        (Ok(()), StrippedPath::Inside) => dispatch(call).await,
        (Ok(()), StrippedPath::WithoutSlash(page)) => Ok(redirect(&page)),
        (Ok(()), StrippedPath::Outside) => Err(ApiError::NO_SUCH_PATH),
        (Err(error), _) => Err(error),
    };
    let mut response = result.unwrap_or_else(ApiError::into_response);
    app.metrics.responses.count(response.status().as_u16());
    let headers = response.headers_mut();
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    if is_upload {
        uploads::insert_version(headers);
    }
    for (name, value) in SECURITY_HEADERS {
        headers.entry(name).or_insert(value);
    }
    unread_body::discard(response, body, head.headers())
}

/// The result of [`strip_base_path`].
enum StrippedPath {
    /// The path of the request is now relative to the base path.
    Inside,
    /// The base path without a slash was requested. Contains the path of the page.
    WithoutSlash(String),
    Outside,
}

/// Removes the base path from the path of a request. On the local socket and on the socket for the metrics, the base path
/// is optional, because no reverse proxy serves other sites there.
fn strip_base_path(
    base_path: &BasePath,
    socket_kind: ListenSocketKind,
    head: &mut Request<()>,
) -> StrippedPath {
    let path_and_query = head.uri().path_and_query().map(PathAndQuery::as_str);
    let path_and_query = path_and_query.unwrap_or_default();
    let (path, query) = path_and_query.split_at(head.uri().path().len());
    let rest = match base_path.locate(path) {
        Location::Inside(rest) if rest.len() == path.len() => return StrippedPath::Inside,
        Location::Inside(rest) => format!("{rest}{query}"),
        _ if socket_kind != ListenSocketKind::Network => return StrippedPath::Inside,
        Location::WithoutSlash if matches!(*head.method(), Method::GET | Method::HEAD) => {
            return StrippedPath::WithoutSlash(format!("{}{query}", base_path.page()));
        }
        Location::WithoutSlash | Location::Outside => return StrippedPath::Outside,
    };
    match rest.parse() {
        Ok(uri) => {
            *head.uri_mut() = uri;
            StrippedPath::Inside
        }
        Err(_) => StrippedPath::Outside,
    }
}

/// The requests about a room itself, which are routes of the house: what follows the room's id in their paths.
const ROOM_REQUESTS: [&str; 4] = ["enter", "leave", "name", "password"];

/// Removes the address of a room from the path of a request, and returns the room; the house room if the path is at no room's
/// address. `None` if there is no such room.
fn strip_room(rooms: &Rooms, head: &mut Request<()>) -> Option<Arc<RoomEntry>> {
    let path_and_query = head.uri().path_and_query().map(PathAndQuery::as_str);
    let below = path_and_query.and_then(|path| path.strip_prefix("/rooms/"));
    let Some((id, rest)) = below.and_then(|below| below.split_once('/')) else {
        return Some(rooms.house().clone());
    };
    let name = rest.split('?').next().unwrap_or_default();
    if id.contains('?') || ROOM_REQUESTS.contains(&name) {
        return Some(rooms.house().clone());
    }
    let room = rooms.find(id);
    *head.uri_mut() = format!("/{rest}").parse().ok()?;
    room
}

/// The response to a request at the address of a room that does not exist.
///
/// # Errors
/// 401 for a request that needs a token and has none; otherwise those of [`rooms::no_such_room`]. A browser that opens the page gets it with this status, because
/// the page leads on to the house.
fn without_room(call: &Call<'_>) -> HandlerResult {
    let (path, method) = (call.head.uri().path(), call.head.method());
    let mut routes = ROUTES.iter().filter(|route| !is_of_house(route.path));
    let route = routes.find(|route| route.has_method(method) && route.match_path(path).is_some());
    match route.map(|route| &route.handler) {
        Some(Handler::Open(_) | Handler::ForLocal(_)) => {}
        Some(_) if call.is_local() => {}
        Some(_) => {
            call.device()?;
        }
        None if is_navigation(call) => {
            let mut headers = call.headers().clone();
            // A browser may have the page from when the room existed, and 304 is no answer here.
            headers.remove(IF_NONE_MATCH);
            headers.remove(IF_MATCH);
            let mut page = embedded_file_at(assets::ROOM_PAGE, call, &headers)?;
            *page.status_mut() = StatusCode::NOT_FOUND;
            page.headers_mut().remove(ETAG);
            return Ok(page);
        }
        None => {}
    }
    Err(rooms::no_such_room(&call.app.rooms))
}

pub(super) fn redirect(location: &str) -> Response<Body> {
    let mut response = Response::new(empty());
    if let Ok(location) = HeaderValue::try_from(location) {
        *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// Checks the request's host and origin; also its path if the request arrived on the socket for the metrics, and the number
/// of the client's connections if a proxy forwarded the request.
fn check_access(call: &Call<'_>) -> Result<(), ApiError> {
    match call.connection.socket_kind() {
        ListenSocketKind::Network => {}
        // A web page cannot send requests to this socket, so the host and the origin need no check.
        ListenSocketKind::Local => return Ok(()),
        ListenSocketKind::Metrics if call.head.uri().path() == METRICS_PATH => {}
        ListenSocketKind::Metrics => return Err(ApiError::NO_SUCH_PATH),
    }
    gate::check_host_and_origin(&call.app.host_names, call.client, call.headers())?;
    if call.client.is_forwarded {
        let counted = call.connection.slot().assign(call.client.address);
        counted.map_err(|_| ApiError::ServerFull)?;
    }
    Ok(())
}

/// Calls the handler of the route that matches the path and the method.
///
/// # Errors
/// Those of the handler; 404 for an unknown path; 405 for a known path with another method.
async fn dispatch(call: Call<'_>) -> HandlerResult {
    let path = call.head.uri().path();
    let mut allowed = Vec::new();
    for route in ROUTES {
        let Some(parameter) = route.match_path(path) else {
            continue;
        };
        if !call.room.id.is_house() && is_of_house(route.path) {
            continue;
        }
        if route.has_method(call.head.method()) {
            return route.call(Call { parameter, ..call }).await;
        }
        allowed.push(route.method);
    }
    if allowed.is_empty() {
        if !assets::has(path) || matches!(*call.head.method(), Method::GET | Method::HEAD) {
            return embedded_file(&call);
        }
        allowed.push("GET");
    }
    Err(ApiError::MethodNotAllowed(allow_header(&allowed)))
}

impl Route {
    async fn call(&self, call: Call<'_>) -> HandlerResult {
        match self.handler {
            Handler::Open(handle) => handle(call).await,
            Handler::ForPairedOrLocal(handle) => {
                if call.is_local() {
                    let hub = gate::hub(call.room)?;
                    return handle(call, hub).await;
                }
                let paired = call.authenticate()?;
                let result = handle(call, paired.hub).await;
                Ok(response_for(&paired, result))
            }
            Handler::ForLocal(handle) => {
                if call.connection.socket_kind() != ListenSocketKind::Local {
                    return Err(ApiError::Forbidden(
                        "local-only",
                        "The server's microphone is for the user of its machine: `lockstep compare` there",
                    ));
                }
                let hub = gate::hub(call.room)?;
                handle(call, hub).await
            }
            Handler::ForPaired(handle) => {
                let paired = call.authenticate()?;
                let result = handle(call, &paired).await;
                Ok(response_for(&paired, result))
            }
            Handler::CommandOrLocal(_, handle) if call.is_local() => {
                let hub = gate::hub(call.room)?;
                handle(call, hub).await
            }
            Handler::Command(parse) | Handler::CommandOrLocal(parse, _) => {
                let counters = call.room.counters.clone();
                let response = match call.authenticate() {
                    Ok(paired) => {
                        let result = control::handle_command(call, &paired, parse).await;
                        response_for(&paired, result)
                    }
                    Err(error) => error.into_response(),
                };
                let name = self.path.trim_start_matches('/').to_owned();
                counters.commands.count((name, response.status().as_u16()));
                Ok(response)
            }
        }
    }
}

/// The value of the `Allow` header for a path that has routes with these methods.
fn allow_header(methods: &[&str]) -> String {
    let methods: Vec<_> = methods
        .iter()
        .map(|method| match *method {
            "GET" => "GET, HEAD",
            method => method,
        })
        .collect();
    methods.join(", ")
}

/// Answers with an embedded file. Over HTTP, the content security policy permits requests to the HTTPS origin, because the
/// page sends one to find out whether the phone trusts the server's certificate.
pub(super) fn embedded_file(call: &Call<'_>) -> HandlerResult {
    let path = match call.head.uri().path() {
        "/" if !call.room.id.is_house() => assets::ROOM_PAGE,
        path => path,
    };
    embedded_file_at(path, call, call.headers())
}

fn embedded_file_at(path: &str, call: &Call<'_>, headers: &HeaderMap) -> HandlerResult {
    let https_origin = if call.connection.is_secure() || call.client.is_forwarded {
        None
    } else {
        https_setup::https_origin(call.app, call.client)
    };
    assets::answer(path, &call.app.base_path, headers, https_origin.as_deref())
}

/// The response to a request of a paired device, successful or not, with the header [`MEMBER_HEADER`].
fn response_for(paired: &PairedDevice<'_>, result: HandlerResult) -> Response<Body> {
    let result = result.map_err(|error| error.in_room(paired.room));
    let mut response = result.unwrap_or_else(ApiError::into_response);
    if let Ok(value) = HeaderValue::try_from(paired.member.to_string()) {
        response.headers_mut().insert(MEMBER_HEADER, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allow_lists_head_wherever_it_lists_get() {
        assert_eq!(allow_header(&["GET"]), "GET, HEAD");
        assert_eq!(allow_header(&["POST"]), "POST");
        assert_eq!(allow_header(&["GET", "DELETE"]), "GET, HEAD, DELETE");
    }
}
