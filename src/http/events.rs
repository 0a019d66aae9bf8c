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
use crate::hub::{Outbox, StreamGuard, Subscribe};
use crate::room::Held;
use crate::wire::Role;

/// Answers with an event stream.
pub(super) async fn stream(
    paired: &Paired<'_>,
    line: &Line,
    request: &Request<Incoming>,
) -> Result<Response<Body>, ApiError> {
    let (role, held) = asked(request.uri().query().unwrap_or_default())?;
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

/// The role, and what the phone says that it plays.
fn asked(query: &str) -> Result<(Role, Option<Held>), ApiError> {
    let bad =
        |what: &str| ApiError::BadRequest(format!("{what} in the query is not as it should be"));
    let (mut role, mut track_id, mut position_sec) = (Role::Listener, None, None);
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
            _ => {}
        }
    }
    let held = track_id
        .zip(position_sec)
        .map(|(track_id, position_sec)| Held {
            track_id,
            position_sec,
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
