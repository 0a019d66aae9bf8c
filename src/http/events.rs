//! `GET /events`: one event stream (Server-Sent Events, WHATWG HTML 9.2) as a body. Messages come framed from the hub;
//! the rhythm, and the end of those who read too slowly, is made here.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response};
use tokio::sync::oneshot;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_stream::wrappers::BroadcastStream;

use super::error::ApiError;
use super::gate::Paired;
use super::socket::Line;
use super::{Body, empty};
use crate::hub::{StreamGuard, Subscribe, Subscription};
use crate::room::Held;
use crate::wire::{Message, Role};

/// A comment so often shows each side that the other is there.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How soon a browser comes back after a stream broke.
const RETRY: &str = "retry: 1000\n\n";

/// Answers with an event stream.
pub(super) async fn stream(
    paired: &Paired<'_>,
    request: &Request<Incoming>,
) -> Result<Response<Body>, ApiError> {
    let (role, held) = asked(request.uri().query().unwrap_or_default())?;
    let body = if *request.method() == Method::HEAD {
        empty()
    } else {
        let line = request
            .extensions()
            .get::<Line>()
            .cloned()
            .unwrap_or_default();
        line.carry_events();
        let last_event_id = request
            .headers()
            .get("last-event-id")
            .and_then(|id| id.to_str().ok());
        let wish = Subscribe {
            member: paired.member,
            role,
            // What is no count of ours is not remembered either: a snapshot follows.
            last_event_id: last_event_id.and_then(|id| id.trim().parse().ok()),
            held,
            silence: line.silence(),
        };
        EventBody::new(paired.hub.subscribe(wish).await?).boxed_unsync()
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

struct EventBody {
    first: VecDeque<Bytes>,
    messages: BroadcastStream<Message>,
    end: oneshot::Receiver<()>,
    heartbeat: Interval,
    _guard: StreamGuard,
}

impl EventBody {
    fn new(subscription: Subscription) -> Self {
        let retry = Bytes::from_static(RETRY.as_bytes());
        let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        EventBody {
            first: std::iter::once(retry)
                .chain(subscription.first.into_iter().map(|m| m.0))
                .collect(),
            messages: BroadcastStream::new(subscription.messages),
            end: subscription.end,
            heartbeat,
            _guard: subscription.guard,
        }
    }
}

impl hyper::body::Body for EventBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let frame = |bytes| Poll::Ready(Some(Ok(Frame::data(bytes))));
        if let Some(bytes) = self.first.pop_front() {
            return frame(bytes);
        }
        match Pin::new(&mut self.messages).poll_next(cx) {
            Poll::Ready(Some(Ok(message))) => return frame(message.0),
            // Closed, or so far behind that messages are gone: the phone comes back and catches up.
            Poll::Ready(_) => return Poll::Ready(None),
            Poll::Pending => {}
        }
        if Pin::new(&mut self.end).poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        ready!(self.heartbeat.poll_tick(cx));
        frame(Bytes::from_static(b":\n\n"))
    }
}
