//! The table of all routes.

use std::future::{Ready, ready};
use std::pin::Pin;

use hyper::Method;

use self::Handler::{Command, CommandOrLocal, ForLocal, ForPaired, ForPairedOrLocal, Open};
use super::call::{Call, HandlerResult};
use super::dispatch::embedded_file;
use super::gate::PairedDevice;
use super::{
    compare, control, events, files, history, https_setup, local_host, loudness, metrics, pair, qr,
    roles, rooms, rules, status, sync, talk, uploads, votes,
};
use crate::hub::Hub;

/// The only path that is served on the socket for the metrics.
pub(super) const METRICS_PATH: &str = "/metrics";

type HandlerFuture<'a> = Pin<Box<dyn Future<Output = HandlerResult> + Send + 'a>>;

/// The function that handles the requests of a route, and which clients may send them.
pub(super) enum Handler {
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

pub(super) struct Route {
    pub(super) method: &'static str,
    /// The path template: literal segments, and at most one `{parameter}`.
    pub(super) path: &'static str,
    pub(super) handler: Handler,
}

/// Every route except the page's files (`assets`). Routes take precedence over the page's files.
#[rustfmt::skip] // One line per route.
pub(super) static ROUTES: &[Route] = &[
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
pub(super) fn is_of_house(path: &str) -> bool {
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
    pub(super) fn match_path<'a>(&self, path: &'a str) -> Option<&'a str> {
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
    pub(super) fn has_method(&self, method: &Method) -> bool {
        let is_head_of_get = *method == Method::HEAD && self.method == Method::GET.as_str();
        is_head_of_get || self.method == method.as_str()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::assets;
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
}
