//! `GET /events`: one event stream (Server-Sent Events, WHATWG HTML 9.2) as a body. Its messages do not pass through here:
//! the hub's herald hands them to the stream's outbox, which writes them past the body, right behind the answer's head.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, Version};

use super::error::ApiError;
use super::gate::Paired;
use super::socket::Line;
use super::{Body, empty};
use crate::clock;
use crate::hub::{Outbox, StreamGuard, Subscribe};
use crate::room::Held;
use crate::wire::Role;

/// A request that says where a phone was is under way no longer than this, in seconds.
const LONGEST_WAY_SEC: f64 = 10.0;

/// Answers with an event stream.
pub(super) async fn stream(
    paired: &Paired<'_>,
    line: &Line,
    request: &Request<Incoming>,
) -> Result<Response<Body>, ApiError> {
    let (role, held) = asked(request.uri().query().unwrap_or_default(), clock::now_ms())?;
    let body = if *request.method() == Method::HEAD {
        empty()
    } else {
        let last_event_id = request
            .headers()
            .get("last-event-id")
            .and_then(|id| id.to_str().ok());
        let outbox = Arc::new(line.outbox(request.version() >= Version::HTTP_11));
        let wish = Subscribe {
            member: paired.member,
            role,
            // What is no count of ours is not remembered either: a snapshot follows.
            last_event_id: last_event_id.and_then(|id| id.trim().parse().ok()),
            held,
            silence: line.silence(),
            outbox: outbox.clone(),
        };
        let guard = paired.hub.subscribe(wish).await?;
        line.carry_events(outbox.clone());
        EventBody {
            outbox,
            _guard: guard,
        }
        .boxed_unsync()
    };
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    Ok(response)
}

/// The role, and what the phone says that it plays: there, or there at that moment of the server's clock, if it knows that
/// clock. `now_ms` is that clock now.
fn asked(query: &str, now_ms: f64) -> Result<(Role, Option<Held>), ApiError> {
    let bad =
        |what: &str| ApiError::BadRequest(format!("{what} in the query is not as it should be"));
    let (mut role, mut track_id, mut position_sec) = (Role::Listener, None, None);
    let mut ago_sec = 0.0;
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        match (name, value) {
            ("role", "remote") => role = Role::Remote,
            ("role", "listener") => role = Role::Listener,
            ("role", _) => return Err(bad("role")),
            ("trackId", id) => track_id = Some(id.parse().map_err(|_| bad("trackId"))?),
            ("positionSec", text) => {
                let position = text
                    .parse()
                    .ok()
                    .filter(|sec: &f64| sec.is_finite() && *sec >= 0.0);
                position_sec = Some(position.ok_or_else(|| bad("positionSec"))?);
            }
            ("atMs", text) => {
                let at_ms: f64 = text.parse().map_err(|_| bad("atMs"))?;
                let so_long_sec = (now_ms - at_ms) / 1e3;
                // What lies elsewhere is of another clock: the machine has started anew, perhaps.
                if (0.0..=LONGEST_WAY_SEC).contains(&so_long_sec) {
                    ago_sec = so_long_sec;
                }
            }
            _ => {}
        }
    }
    let held = track_id
        .zip(position_sec)
        .map(|(track_id, position_sec)| Held {
            track_id,
            position_sec: position_sec + ago_sec,
        });
    Ok((role, held))
}

/// A body of which the outbox writes everything but the end.
struct EventBody {
    outbox: Arc<Outbox>,
    _guard: StreamGuard,
}

impl Drop for EventBody {
    /// The guard goes next, and asks whether the other end went silent.
    fn drop(&mut self) {
        self.outbox.settle();
    }
}

impl hyper::body::Body for EventBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let ended = ready!(self.outbox.poll_end(cx));
        Poll::Ready(ended.err().map(Err))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: f64 = 60_000.0;

    fn position(query: &str) -> Option<f64> {
        let query = format!("trackId=0123456789abcdef&{query}");
        let (_, held) = asked(&query, NOW_MS).unwrap();
        held.map(|held| held.position_sec)
    }

    #[test]
    fn a_place_is_carried_on_from_the_moment_that_it_is_told_for() {
        assert_eq!(position("positionSec=7.5"), Some(7.5));
        assert_eq!(position("positionSec=7.5&atMs=59750"), Some(7.75));
    }

    #[test]
    fn a_moment_of_another_clock_is_no_moment() {
        for at_ms in ["60001", "1e9", "0", "-5", "NaN"] {
            assert_eq!(
                position(&format!("positionSec=7.5&atMs={at_ms}")),
                Some(7.5)
            );
        }
        assert!(asked("atMs=soon", NOW_MS).is_err());
    }
}
