//! `GET /events`: an event stream (Server-Sent Events, WHATWG HTML, section 9.2) as a response body. The hub's broadcaster
//! appends messages to the queue of the stream, and the response body sends them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Frame;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response};

use super::error::ApiError;
use super::gate::PairedDevice;
use super::socket::ConnectionInfo;
use super::{Body, NO_PROXY_BUFFER, empty};
use crate::clock;
use crate::hub::{EventQueue, StreamGuard, SubscribeRequest};
use crate::room::ReportedPlayback;
use crate::wire::Role;

/// The largest accepted age of a reported playback position, in seconds. A request arrives sooner after the device has
/// measured its position, so a larger age means that the device used another clock than the server's.
const MAX_POSITION_AGE_SEC: f64 = 10.0;

/// Opens an event stream for a paired device. A HEAD request gets the headers only, and opens no stream.
///
/// # Errors
/// 400 if the query is invalid; other statuses if the hub rejects the subscription.
pub(super) async fn stream(
    paired: &PairedDevice<'_>,
    connection: &ConnectionInfo,
    request: &Request<()>,
) -> Result<Response<Body>, ApiError> {
    let query = request.uri().query().unwrap_or_default();
    let (role, playback) = parse_query(query, clock::now_ms())?;
    let body = if *request.method() == Method::HEAD {
        empty()
    } else {
        let last_event_id = request
            .headers()
            .get("last-event-id")
            .and_then(|id| id.to_str().ok());
        let queue = Arc::new(EventQueue::new(connection.disconnect_notify()));
        let subscription = SubscribeRequest {
            member: paired.member,
            role,
            // The IDs of events are event counts. With any other ID, or none, the stream begins with a snapshot.
            last_event_id: last_event_id.and_then(|id| id.trim().parse().ok()),
            playback,
            peer_vanished: connection.peer_vanished(),
            queue: queue.clone(),
        };
        let guard = paired
            .rooms
            .subscribe(paired.room, paired.hub, subscription)
            .await?;
        paired.rooms.record_use(paired.room);
        connection.begin_event_stream();
        EventBody {
            queue,
            connection: connection.clone(),
            _guard: guard,
        }
        .boxed_unsync()
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(NO_PROXY_BUFFER.0, NO_PROXY_BUFFER.1);
    Ok(response)
}

/// Parses the query: the device's role, and its playback (`trackId`, `positionSec`; `None` if either is missing). A device
/// that has measured the offset of the server's clock also sends the time at which its playback was at that position
/// (`atMs`, in milliseconds of the server's clock). The returned position is extrapolated from that time to `now_ms`.
///
/// # Errors
/// 400 if a parameter is invalid.
fn parse_query(query: &str, now_ms: f64) -> Result<(Role, Option<ReportedPlayback>), ApiError> {
    let invalid =
        |name: &str| ApiError::BadRequest(format!("The query parameter {name} is invalid"));
    let (mut role, mut track_id, mut position_sec) = (Role::Listener, None, None);
    let mut age_sec = 0.0;
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        match (name, value) {
            ("role", "remote") => role = Role::Remote,
            ("role", "listener") => role = Role::Listener,
            ("role", _) => return Err(invalid("role")),
            ("trackId", id) => track_id = Some(id.parse().map_err(|_| invalid("trackId"))?),
            ("positionSec", text) => {
                let position = text
                    .parse()
                    .ok()
                    .filter(|sec: &f64| sec.is_finite() && *sec >= 0.0);
                position_sec = Some(position.ok_or_else(|| invalid("positionSec"))?);
            }
            ("atMs", text) => {
                let at_ms: f64 = text.parse().map_err(|_| invalid("atMs"))?;
                let reported_age_sec = (now_ms - at_ms) / 1e3;
                // With any other age, `atMs` is a time of another clock, for example of this machine's clock before a
                // restart.
                if (0.0..=MAX_POSITION_AGE_SEC).contains(&reported_age_sec) {
                    age_sec = reported_age_sec;
                }
            }
            _ => {}
        }
    }
    let playback = track_id
        .zip(position_sec)
        .map(|(track_id, position_sec)| ReportedPlayback {
            track_id,
            position_sec: position_sec + age_sec,
        });
    Ok((role, playback))
}

/// The response body: sends the messages of a queue, and ends when the hub closes the queue.
struct EventBody {
    queue: Arc<EventQueue>,
    connection: ConnectionInfo,
    /// Reports to the hub, when dropped, that the stream has ended.
    _guard: StreamGuard,
}

impl Drop for EventBody {
    fn drop(&mut self) {
        self.connection.end_event_stream();
    }
}

impl hyper::body::Body for EventBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let message = ready!(self.queue.poll_next(cx));
        Poll::Ready(message.map(|message| message.map(Frame::data).map_err(io::Error::other)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: f64 = 60_000.0;

    fn position(query: &str) -> Option<f64> {
        let query = format!("trackId=0123456789abcdef&{query}");
        let (_, playback) = parse_query(&query, NOW_MS).unwrap();
        playback.map(|playback| playback.position_sec)
    }

    #[test]
    fn position_is_extrapolated_from_the_time_it_was_measured() {
        assert_eq!(position("positionSec=7.5"), Some(7.5));
        assert_eq!(position("positionSec=7.5&atMs=59750"), Some(7.75));
    }

    #[test]
    fn time_of_another_clock_is_ignored() {
        for at_ms in ["60001", "1e9", "0", "-5", "NaN"] {
            let query = format!("positionSec=7.5&atMs={at_ms}");
            assert_eq!(position(&query), Some(7.5), "{at_ms}");
        }
        assert!(parse_query("atMs=soon", NOW_MS).is_err());
    }
}
