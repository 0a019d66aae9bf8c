//! The table of all routes, and the dispatch of requests to their handlers.

use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, CACHE_CONTROL, ETAG, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH, LOCATION,
};
use hyper::http::uri::PathAndQuery;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};

use self::Handler::{Command, CommandOrLocal, ForLocal, ForPaired, ForPairedOrLocal, Open};
use super::body::RequestBody;
use super::error::ApiError;
use super::forwarded::ClientRequest;
use super::gate::{self, PairedDevice};
use super::listen::ListenSocketKind;
use super::socket::ConnectionInfo;
use super::{
    App, Body, assets, compare, control, empty, events, files, history, https_setup, local_host,
    loudness, metrics, pair, qr, roles, rooms, rules, status, sync, talk, unread_body, uploads,
    votes,
};
use crate::base_path::{BasePath, Location};
use crate::clock;
use crate::hub::Hub;
use crate::room::MemberId;
use crate::rooms::{RoomEntry, Rooms};

/// The response header with the member ID of the device that sent the request. The page's scripts cannot read the device's
/// cookie, which is `HttpOnly`.
const MEMBER_HEADER: HeaderName = HeaderName::from_static("lockstep-member");

/// The only path that is served on the socket for the metrics.
const METRICS_PATH: &str = "/metrics";

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

/// The arguments of a handler: one request, and the state on which the response depends.
pub(super) struct Call<'a> {
    pub(super) app: &'a App,
    /// The room to which the request applies.
    pub(super) room: &'a RoomEntry,
    /// The connection on which the request arrived.
    pub(super) connection: &'a ConnectionInfo,
    /// The request as the client sent it to a reverse proxy, or to the server.
    pub(super) client: &'a ClientRequest,
    /// The request line, whose path is below the base path and below the address of the room, and the headers.
    pub(super) head: &'a Request<()>,
    pub(super) body: &'a mut RequestBody,
    /// The segment of the path in place of the route's `{parameter}`, not percent-decoded; empty if the route has no
    /// parameter.
    pub(super) parameter: &'a str,
    /// When the request's head was received, in milliseconds of the server's clock.
    pub(super) received_ms: f64,
}

impl Call<'_> {
    pub(super) fn headers(&self) -> &HeaderMap {
        self.head.headers()
    }
}

impl<'a> Call<'a> {
    /// The device that sent the request, if it is a client of the room. Records it as the user of the connection.
    pub(super) fn authenticate(&self) -> Result<PairedDevice<'a>, ApiError> {
        let headers = self.head.headers();
        gate::authenticate_connection(&self.app.rooms, self.room, self.connection, headers)
    }

    /// The device that sent the request, in whichever rooms it is. Records it as the user of the connection.
    pub(super) fn device(&self) -> Result<MemberId, ApiError> {
        let headers = self.head.headers();
        let found = gate::find_device_of_connection(&self.app.rooms, self.connection, headers);
        found.map(|(member, _)| member)
    }

    pub(super) fn is_local(&self) -> bool {
        self.connection.socket_kind() == ListenSocketKind::Local
    }
}

type HandlerResult = Result<Response<Body>, ApiError>;
type HandlerFuture<'a> = Pin<Box<dyn Future<Output = HandlerResult> + Send + 'a>>;

/// The function that handles the requests of a route, and which clients may send them.
enum Handler {
    /// For all clients, unless the handler itself refuses some.
    Open(for<'a> fn(Call<'a>) -> HandlerFuture<'a>),
    /// For paired devices.
    ForPaired(for<'a> fn(Call<'a>, &'a PairedDevice<'a>) -> HandlerFuture<'a>),
    /// For paired devices, and for every client on the local socket.
    ForPairedOrLocal(for<'a> fn(Call<'a>, &'a Hub) -> HandlerFuture<'a>),
    /// For every client on the local socket only.
    ForLocal(for<'a> fn(Call<'a>, &'a Hub) -> HandlerFuture<'a>),
    /// A command of paired devices. The request must have the header `If-Match-Event` (see [`control::if_match_event`]).
    Command(control::Parser),
    /// As [`Handler::Command`]; on the local socket, the function handles the request of every client.
    CommandOrLocal(
        control::Parser,
        for<'a> fn(Call<'a>, &'a Hub) -> HandlerFuture<'a>,
    ),
}

struct Route {
    method: &'static str,
    /// The path template: literal segments, and at most one `{parameter}`.
    path: &'static str,
    handler: Handler,
}

/// Every route except the page's files (`assets`). Routes take precedence over the page's files.
#[rustfmt::skip] // One line per route.
static ROUTES: &[Route] = &[
    get("/healthz", Open(|call| Box::pin(status::healthz(call)))),
    get(METRICS_PATH, Open(|call| immediate(metrics::answer(&call)))),
    get("/qr", Open(|call| Box::pin(qr::answer(call)))),
    get("/secure", Open(|call| immediate(Ok(https_setup::info(call.app, call.client))))),
    get("/ca.crt", Open(|call| immediate(https_setup::certificate(call.app)))),
    get("/ca.mobileconfig", Open(|call| immediate(https_setup::profile(call.app)))),
    get("/openapi.yaml", Open(|call| immediate(embedded_file(&call)))),
    get("/code", Open(|call| immediate(pair::code(&call)))),
    get("/rooms", Open(|call| immediate(rooms::list(&call)))),
    post("/rooms", Open(|call| Box::pin(rooms::make(call)))),
    get("/rooms/{roomId}", Open(|call| immediate(rooms::redirect_to_page(&call)))),
    route("DELETE", "/rooms/{roomId}", Open(|call| Box::pin(rooms::remove(call)))),
    post("/rooms/{roomId}/enter", Open(|call| Box::pin(rooms::enter(call)))),
    post("/rooms/{roomId}/leave", Open(|call| Box::pin(rooms::leave(call)))),
    post("/rooms/{roomId}/name", Open(|call| Box::pin(rooms::rename(call)))),
    post("/rooms/{roomId}/password", Open(|call| Box::pin(rooms::lock(call)))),
    post("/pair", Open(|call| Box::pin(pair::pair(call)))),
    post("/leave", ForPaired(|call, paired| Box::pin(pair::leave(call, paired)))),
    post("/unpair", ForPaired(|call, paired| Box::pin(pair::unpair(call, paired)))),
    post("/rename", ForPaired(|call, paired| Box::pin(pair::rename(call, paired)))),
    post("/rescan", ForPaired(|call, _| immediate(status::rescan(call.app)))),
    post("/sync", ForPaired(|call, paired| Box::pin(sync::report(call, paired)))),
    post("/tune", ForPaired(|call, paired| Box::pin(sync::tune(call, paired)))),
    post("/tuning", ForPaired(|call, paired| Box::pin(sync::play_test_sound(call, paired)))),
    post("/loudness", ForPaired(|call, paired| Box::pin(loudness::report(call, paired)))),
    post("/trim", ForPaired(|call, paired| Box::pin(loudness::trim(call, paired)))),
    get("/index", ForPaired(|call, _| immediate(files::index(call.app, call.headers())))),
    get("/playlists", ForPaired(|call, _| immediate(files::playlists(call.app, call.headers())))),
    get("/cover/{trackId}", ForPaired(|call, _| Box::pin(files::cover(call.app, call.parameter, call.head)))),
    get("/file/{trackId}", ForPaired(|call, paired| Box::pin(files::file(call.app, paired, call.connection, call.parameter, call.head)))),
    route("OPTIONS", "/uploads", Open(|call| immediate(uploads::options(&call)))),
    post("/uploads", ForPaired(|call, paired| Box::pin(uploads::create(call, paired)))),
    get("/uploads", ForPaired(|call, _| Box::pin(uploads::list(call)))),
    route("HEAD", "/uploads/{id}", ForPaired(|call, paired| Box::pin(uploads::head(call, paired)))),
    route("PATCH", "/uploads/{id}", ForPaired(|call, paired| Box::pin(uploads::append(call, paired)))),
    route("DELETE", "/uploads/{id}", ForPaired(|call, paired| Box::pin(uploads::cancel(call, paired)))),
    route("PUT", "/uploads/by-name/{name}", ForPaired(|call, paired| Box::pin(uploads::put(call, paired)))),
    route("DELETE", "/uploads/by-track/{trackId}", ForPaired(|call, paired| Box::pin(uploads::remove(call, paired)))),
    route("PUT", "/uploads/by-track/{trackId}/title", ForPaired(|call, paired| Box::pin(uploads::set_title(call, paired)))),
    get("/history", ForPaired(|call, paired| immediate(history::history(&call, paired)))),
    get("/plays", ForPaired(|_, paired| immediate(Ok(history::plays(paired))))),
    get("/chat", ForPaired(|call, paired| Box::pin(talk::list(call, paired)))),
    post("/chat", ForPaired(|call, paired| Box::pin(talk::post(call, paired)))),
    route("DELETE", "/chat/{id}", ForPaired(|call, paired| Box::pin(talk::remove(call, paired)))),
    post("/react", ForPaired(|call, paired| Box::pin(talk::react(call, paired)))),
    get("/snapshot", ForPaired(|_, paired| immediate(Ok(status::snapshot(paired))))),
    get("/events", ForPaired(|call, paired| Box::pin(events::stream(paired, call.connection, call.head)))),
    get("/clock", ForPaired(|call, _| immediate(Ok(status::clock(call.received_ms))))),
    get("/debug/state", ForPairedOrLocal(|call, hub| immediate(status::debug_state(&call, hub)))),
    get("/compare", ForLocal(|_, hub| immediate(Ok(super::json(&compare::state(hub)))))),
    post("/compare", ForLocal(|_, hub| Box::pin(compare::start(hub)))),
    post("/compare/stop", ForLocal(|_, hub| Box::pin(compare::stop(hub)))),
    post("/compare/result", ForLocal(|call, hub| Box::pin(compare::apply_result(call, hub)))),
    post("/play", Command(control::play)),
    post("/pause", Command(control::pause)),
    post("/seek", Command(control::seek)),
    post("/next", Command(control::next)),
    post("/previous", Command(control::previous)),
    post("/play-now", Command(control::play_now)),
    post("/nudge", Command(control::nudge)),
    post("/pick", Command(control::pick)),
    post("/unpick", Command(control::unpick)),
    post("/move", Command(control::move_pick)),
    post("/shuffle", Command(control::shuffle)),
    post("/sort", Command(control::sort)),
    post("/undo", Command(control::undo)),
    post("/ack-download", Command(control::ack_download)),
    post("/start-now", Command(control::start_now)),
    post("/rules", Command(rules::rules)),
    post("/hosts", CommandOrLocal(roles::hosts, |call, hub| Box::pin(local_host::make_host(call, hub)))),
    post("/dj", Command(roles::dj)),
    post("/dj/random", Command(roles::random_dj)),
    post("/vote-dj", Command(votes::vote_dj)),
    post("/vote-skip", Command(votes::vote_skip)),
    post("/vote-pick", Command(votes::vote_pick)),
    post("/code/renew", ForPaired(|call, paired| immediate(pair::renew_code(&call, paired)))),
];

/// Whether a route is at the address of the house room only: its subject is the house's, and not a room's.
fn is_of_house(path: &str) -> bool {
    const PATHS: [&str; 13] = [
        METRICS_PATH,
        "/secure",
        "/ca.crt",
        "/ca.mobileconfig",
        "/openapi.yaml",
        "/leave",
        "/rescan",
        "/loudness",
        "/index",
        "/playlists",
        "/cover/{trackId}",
        "/file/{trackId}",
        "/clock",
    ];
    PATHS.contains(&path) || path.starts_with("/rooms") || path.starts_with("/uploads")
}

const fn get(path: &'static str, handler: Handler) -> Route {
    Route {
        method: "GET",
        path,
        handler,
    }
}

const fn post(path: &'static str, handler: Handler) -> Route {
    Route {
        method: "POST",
        path,
        handler,
    }
}

const fn route(method: &'static str, path: &'static str, handler: Handler) -> Route {
    Route {
        method,
        path,
        handler,
    }
}

/// The future of a handler that has already returned its result.
fn immediate<'a>(result: HandlerResult) -> HandlerFuture<'a> {
    let ready: Ready<HandlerResult> = ready(result);
    Box::pin(ready)
}

/// The method and the path template, like `/file/{trackId}`, of every route except the page's files. `GET` implies `HEAD`.
pub fn routes() -> impl Iterator<Item = (&'static str, &'static str)> {
    ROUTES.iter().map(|route| (route.method, route.path))
}

/// The parser of the body of the command `POST /name`; `None` if there is no such command.
#[cfg(fuzzing)]
pub(super) fn command_parser(name: &str) -> Option<control::Parser> {
    ROUTES.iter().find_map(|route| match route.handler {
        Handler::Command(parse) | Handler::CommandOrLocal(parse, _)
            if route.path.strip_prefix('/') == Some(name) =>
        {
            Some(parse)
        }
        _ => None,
    })
}

impl Route {
    /// Matches `path` against the template, and returns the value of the parameter: empty if the template has none, `None`
    /// if `path` does not match.
    fn match_path<'a>(&self, path: &'a str) -> Option<&'a str> {
        let mut parameter = "";
        let mut segments = path.split('/');
        for expected in self.path.split('/') {
            let segment = segments.next()?;
            if expected.starts_with('{') {
                parameter = segment;
            } else if segment != expected {
                return None;
            }
        }
        segments.next().is_none().then_some(parameter)
    }

    /// Whether the route handles `method`. A GET route also handles HEAD.
    fn has_method(&self, method: &Method) -> bool {
        let is_head_of_get = *method == Method::HEAD && self.method == Method::GET.as_str();
        is_head_of_get || self.method == method.as_str()
    }
}

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
/// 401 for a request that needs a token and has none; otherwise 404. A browser that opens the page gets it with this status, because
/// the page leads on to the house.
fn without_room(call: &Call<'_>) -> HandlerResult {
    let (path, method) = (call.head.uri().path(), call.head.method());
    let mut routes = ROUTES.iter().filter(|route| !is_of_house(route.path));
    let route = routes.find(|route| route.has_method(method) && route.match_path(path).is_some());
    match route.map(|route| &route.handler) {
        Some(Open(_) | ForLocal(_)) => {}
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
    Err(ApiError::NO_SUCH_ROOM)
}

/// Whether a browser wants to show the response as a page.
pub(super) fn is_navigation(call: &Call<'_>) -> bool {
    let accepted = call.headers().get(ACCEPT);
    let accepted = accepted.and_then(|value| value.to_str().ok());
    let accepts_html = accepted.is_some_and(|types| types.contains("text/html"));
    accepts_html && matches!(*call.head.method(), Method::GET | Method::HEAD)
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
fn embedded_file(call: &Call<'_>) -> HandlerResult {
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
    use std::collections::BTreeSet;

    use super::*;

    fn find(method: &Method, path: &str) -> Option<(&'static str, String)> {
        ROUTES.iter().find_map(|route| {
            let parameter = route.match_path(path)?;
            route
                .has_method(method)
                .then(|| (route.path, parameter.to_owned()))
        })
    }

    #[test]
    fn templates_match_whole_paths_and_yield_the_parameter() {
        for (method, path, expected) in [
            (Method::GET, "/clock", Some(("/clock", ""))),
            (Method::HEAD, "/clock", Some(("/clock", ""))),
            (Method::POST, "/clock", None),
            (Method::POST, "/play", Some(("/play", ""))),
            (Method::HEAD, "/play", None),
            (Method::GET, "/file/ab", Some(("/file/{trackId}", "ab"))),
            (Method::GET, "/file/", Some(("/file/{trackId}", ""))),
            (Method::GET, "/file", None),
            (Method::GET, "/file/ab/", None),
            (Method::GET, "/file/ab/cd", None),
            (Method::GET, "/debug/state", Some(("/debug/state", ""))),
            (Method::GET, "/debug", None),
            (Method::GET, "/clock/", None),
            (Method::GET, "//clock", None),
            (Method::GET, "/", None),
            (Method::GET, "*", None),
        ] {
            let expected = expected.map(|(path, parameter)| (path, parameter.to_owned()));
            assert_eq!(find(&method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn no_two_routes_have_the_same_method_and_path() {
        let unique: BTreeSet<_> = routes().collect();
        assert_eq!(unique.len(), ROUTES.len());
    }

    #[test]
    fn only_the_api_document_is_both_a_route_and_an_embedded_file() {
        for (_, path) in routes() {
            assert_eq!(assets::has(path), path == "/openapi.yaml", "{path}");
        }
    }

    #[test]
    fn allow_lists_head_wherever_it_lists_get() {
        assert_eq!(allow_header(&["GET"]), "GET, HEAD");
        assert_eq!(allow_header(&["POST"]), "POST");
        assert_eq!(allow_header(&["GET", "DELETE"]), "GET, HEAD, DELETE");
    }
}
