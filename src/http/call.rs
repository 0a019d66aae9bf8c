//! One request and what it applies to: the arguments of all handlers.

use hyper::header::ACCEPT;
use hyper::{HeaderMap, Method, Request, Response};

use super::body::RequestBody;
use super::error::ApiError;
use super::forwarded::ClientRequest;
use super::gate::{self, PairedDevice};
use super::listen::ListenSocketKind;
use super::socket::ConnectionInfo;
use super::{App, Body};
use crate::room::MemberId;
use crate::rooms::RoomEntry;

/// The response of a handler.
pub(super) type HandlerResult = Result<Response<Body>, ApiError>;

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

/// Whether a browser wants to show the response as a page.
pub(super) fn is_navigation(call: &Call<'_>) -> bool {
    let accepted = call.headers().get(ACCEPT);
    let accepted = accepted.and_then(|value| value.to_str().ok());
    let accepts_html = accepted.is_some_and(|types| types.contains("text/html"));
    accepts_html && matches!(*call.head.method(), Method::GET | Method::HEAD)
}
