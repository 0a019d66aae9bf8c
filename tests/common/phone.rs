//! A test phone: a paired device that applies the events of its stream to its own view of the room. It panics if an event, a
//! response or a patch violates the protocol.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use super::client::room_view::{strings, track_after_current};
use super::client::{Device, EventReader, HttpResponse, RoomView, StreamError, pair_request};
use super::{CODE, TestServer, WAIT_TIMEOUT, in_time};

pub use super::client::{Block, Event};
pub use super::http::{ask, client_from, http, local_client, pair_with, trusting};

/// Maximum number of requests for one command. Each 409 means that another event happened meanwhile.
const MAX_ATTEMPTS: usize = 100;

/// A snapshot without its `live` part. Two snapshots with the same `eventCount` must have the same durable state.
pub fn durable_state(snapshot: &Value) -> Value {
    let mut state = snapshot.clone();
    let fields = state.as_object_mut();
    fields.expect("a snapshot must be an object").remove("live");
    state
}

/// The track IDs of a snapshot, in queue order.
pub fn queued_tracks(snapshot: &Value) -> Vec<String> {
    let track_ids = strings(&snapshot["queue"]);
    track_ids.into_iter().map(str::to_owned).collect()
}

/// An open event stream. Reading panics on a malformed block, and if no bytes arrive within [`WAIT_TIMEOUT`].
pub struct EventStream(EventReader);

impl EventStream {
    /// Sends the request. Panics unless the response is an event stream.
    pub async fn open(request: RequestBuilder) -> EventStream {
        match EventReader::open(request, WAIT_TIMEOUT).await {
            Ok(reader) => EventStream(reader),
            Err(error) => panic!("{error}"),
        }
    }

    /// The next block: an event, a comment or a `retry:` field. `None` after the stream has ended or the connection has failed.
    pub async fn next_block(&mut self) -> Option<Block> {
        none_if_ended(self.0.next_block().await)
    }

    /// The next event; comments and `retry:` fields are skipped. `None` as in [`EventStream::next_block`].
    pub async fn next_event(&mut self) -> Option<Event> {
        none_if_ended(self.0.next_event().await)
    }
}

/// `None` if the stream has ended or the connection has failed. Panics on every other error.
fn none_if_ended<T>(result: Result<T, StreamError>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(StreamError::Ended | StreamError::Broken(_)) => None,
        Err(error) => panic!("{error}"),
    }
}

/// A paired device with its own view of the room. Dereferences to its [`Device`], which builds its requests.
pub struct Phone {
    device: Device,
    /// The phone's view of the room: the last snapshot, with the patch of each later event applied.
    pub view: Value,
    /// Every event received so far, on all of the phone's streams.
    pub received_events: VecDeque<Event>,
    stream: Option<EventStream>,
}

impl Deref for Phone {
    type Target = Device;

    fn deref(&self) -> &Device {
        &self.device
    }
}

impl DerefMut for Phone {
    fn deref_mut(&mut self) -> &mut Device {
        &mut self.device
    }
}

/// Pairing.
impl Phone {
    /// Pairs with an empty client name.
    pub async fn pair(server: &TestServer) -> Phone {
        Phone::pair_as(server, "").await
    }

    /// Pairs with the client name `name`.
    pub async fn pair_as(server: &TestServer, name: &str) -> Phone {
        Phone::pair_at(server.address(), name).await
    }

    /// Pairs over HTTP with the server at `address`.
    pub async fn pair_at(address: SocketAddr, name: &str) -> Phone {
        Phone::pair_with_client(http(), format!("http://{address}"), name).await
    }

    /// Pairs with the server at `base_url` through `client`.
    pub async fn pair_with_client(client: Client, base_url: String, name: &str) -> Phone {
        let response = ask(pair_request(&client, &base_url, CODE, name)).await;
        let response = response.expect(200);
        let device = Device::from_pair_response(client, base_url, &response);
        Phone::new(
            device.expect("the response must have a memberId and a clientId"),
            response.json()["snapshot"].clone(),
        )
    }

    /// Pairs, and opens an event stream.
    pub async fn pair_and_listen(server: &TestServer) -> Phone {
        let mut phone = Phone::pair(server).await;
        phone.listen().await;
        phone
    }

    /// Pairs over TLS, and opens an event stream.
    pub async fn pair_and_listen_over_tls(server: &TestServer) -> Phone {
        let client = trusting(server).await;
        let mut phone = Phone::pair_with_client(client, server.secure_url(""), "").await;
        phone.listen().await;
        phone
    }

    fn new(device: Device, view: Value) -> Phone {
        Phone {
            device,
            view,
            received_events: VecDeque::new(),
            stream: None,
        }
    }

    /// Closes the stream, and sends further requests to `server` with the same token.
    pub fn use_server(&mut self, server: &TestServer) {
        self.close_stream();
        self.base_url = server.url("");
    }

    /// A copy of this phone, with the same token and view but without a stream, that sends its requests to `server`.
    pub fn clone_for_server(&self, server: &TestServer) -> Phone {
        let mut phone = Phone::new(self.device.clone(), self.view.clone());
        phone.base_url = server.url("");
        phone
    }
}

/// Requests.
impl Phone {
    /// Sends `GET` for `path`.
    pub async fn get(&self, path: &str) -> HttpResponse {
        ask(self.request(Method::GET, path)).await
    }

    /// Sends `POST` for `path` without a body and without `If-Match-Event`.
    pub async fn post(&self, path: &str) -> HttpResponse {
        ask(self.request(Method::POST, path)).await
    }

    /// The room's snapshot, from `GET /snapshot`.
    pub async fn snapshot(&self) -> Value {
        self.get("/snapshot").await.expect(200).json()
    }

    /// The current time of the server's clock in milliseconds, from `GET /clock`.
    pub async fn server_time_ms(&self) -> f64 {
        self.get("/clock").await.expect(200).json()["serverMs"]
            .as_f64()
            .unwrap()
    }

    /// The row of the track `track_id` in `GET /index`.
    pub async fn index_row(&self, track_id: &str) -> Value {
        let rows = self.get("/index").await.expect(200).json();
        let row = rows
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["trackId"] == track_id);
        row.unwrap_or_else(|| panic!("{track_id} is not in the index"))
            .clone()
    }
}

/// The event stream.
impl Phone {
    /// Opens an event stream as a listener, and waits until the phone is among the room's listeners.
    pub async fn listen(&mut self) {
        self.open_stream_at("/events").await;
        let member = self.member.clone();
        let description = format!("{member} to be a listener");
        self.wait_until(&description, |view| {
            !view["live"]["listeners"][&member].is_null()
        })
        .await;
    }

    /// Closes the phone's event stream and opens another at `path`. Panics unless its first event is a snapshot.
    pub async fn open_stream_at(&mut self, path: &str) {
        self.close_stream();
        let mut stream = EventStream::open(self.request(Method::GET, path)).await;
        let first_event = stream.next_event().await;
        let first_event = first_event.expect("the stream ended before its first event");
        assert_eq!(
            first_event.name, "snapshot",
            "the first event must be a snapshot, but is {first_event:?}"
        );
        // The snapshot replaces the previous view, because another server may have a lower event count.
        let view =
            RoomView::from_snapshot_event(&first_event).unwrap_or_else(|error| panic!("{error}"));
        self.view = view.into_snapshot();
        self.received_events.push_back(first_event);
        self.stream = Some(stream);
    }

    /// Closes the phone's event stream and opens another with the `Last-Event-ID` of the last event received.
    pub async fn resume_stream(&mut self) {
        self.close_stream();
        let request = self
            .request(Method::GET, "/events")
            .header("Last-Event-ID", self.event_count());
        self.stream = Some(EventStream::open(request).await);
    }

    /// Closes the event stream.
    pub fn close_stream(&mut self) {
        self.stream = None;
    }

    /// The event count of the view.
    pub fn event_count(&self) -> u64 {
        self.view["eventCount"].as_u64().unwrap()
    }

    /// Receives the next event and applies it to the view. `None` if the stream has ended.
    pub async fn next_event_or_end(&mut self) -> Option<Event> {
        let stream = self.stream.as_mut();
        let stream = stream.expect("the phone has no open event stream");
        let event = stream.next_event().await?;
        let view = RoomView::from_snapshot(self.view.take());
        let view = view.and_then(|mut view| view.fold(&event).map(|()| view));
        self.view = view
            .unwrap_or_else(|error| panic!("{error}"))
            .into_snapshot();
        self.received_events.push_back(event.clone());
        Some(event)
    }

    /// Receives the next event and applies it to the view. Panics if the stream has ended.
    pub async fn next_event(&mut self) -> Event {
        let event = self.next_event_or_end().await;
        event.expect("the stream ended before the expected event")
    }

    /// Receives events until `condition` is true of the view. Panics with `description` after [`WAIT_TIMEOUT`].
    pub async fn wait_until(&mut self, description: &str, condition: impl Fn(&Value) -> bool) {
        let receiving = async {
            while !condition(&self.view) {
                self.next_event().await;
            }
        };
        if tokio::time::timeout(WAIT_TIMEOUT, receiving).await.is_err() {
            panic!(
                "timed out waiting for {description}; the phone's view is {:#}",
                self.view
            );
        }
    }

    /// Receives events until the view's event count is at least `event_count`.
    pub async fn wait_for_event_count(&mut self, event_count: u64) {
        self.wait_until(&format!("the event count {event_count}"), |view| {
            view["eventCount"].as_u64() >= Some(event_count)
        })
        .await;
    }

    /// The first durable event named `name` whose id is greater than `event_count`. Waits if it has not been received yet.
    pub async fn durable_event(&mut self, name: &str, event_count: u64) -> Event {
        let matches = |event: &Event| event.id > Some(event_count) && event.name == name;
        if let Some(event) = self.received_events.iter().find(|event| matches(event)) {
            return event.clone();
        }
        self.next_matching_event(name, matches).await
    }

    /// Receives events until a live event (without an id) named `name` arrives.
    pub async fn live_event(&mut self, name: &str) -> Event {
        self.next_matching_event(name, |event| event.id.is_none() && event.name == name)
            .await
    }

    /// Receives events until one matches. Panics with its expected `name` after [`WAIT_TIMEOUT`].
    async fn next_matching_event(&mut self, name: &str, matches: impl Fn(&Event) -> bool) -> Event {
        let receiving = async {
            loop {
                let event = self.next_event().await;
                if matches(&event) {
                    return event;
                }
            }
        };
        in_time(&format!("the event {name}"), receiving).await
    }

    /// The names of the received durable events whose id is greater than `event_count`, in order.
    pub fn durable_event_names_after(&self, event_count: u64) -> Vec<&str> {
        let events = self.received_events.iter();
        let later_events = events.filter(|event| event.id > Some(event_count));
        later_events.map(|event| event.name.as_str()).collect()
    }

    /// Makes the server disconnect the `stalled_count` other listeners, which read nothing: waits until all are listeners, sends
    /// more events than their socket buffers hold, and waits until this phone is the only listener.
    pub async fn disconnect_stalled_listeners(&mut self, stalled_count: usize) {
        let listener_count = |view: &Value| view["live"]["listeners"].as_object().unwrap().len();
        self.wait_until("every stalled phone to be a listener", |view| {
            listener_count(view) == 1 + stalled_count
        })
        .await;
        for command_index in 0..800 {
            let track_id = self.track_after_current(if command_index % 2 == 0 { 2 } else { 3 });
            self.nudge(&track_id).await;
        }
        self.wait_until("the server to disconnect every other listener", |view| {
            listener_count(view) == 1
        })
        .await;
    }
}

/// Control commands.
impl Phone {
    /// Sends a command with `event_count` in `If-Match-Event`, without a retry.
    pub async fn try_command(&self, path: &str, event_count: u64, body: &Value) -> HttpResponse {
        ask(self.device.command(path, event_count, body)).await
    }

    /// Sends a command, and again after each 409 with the event count of that response. Panics after [`MAX_ATTEMPTS`] requests.
    /// A phone with an event stream then waits for the command's events, and compares its view with the response's snapshot.
    pub async fn command_until_accepted(&mut self, path: &str, body: Value) -> Value {
        let mut event_count = self.event_count();
        for _ in 0..MAX_ATTEMPTS {
            let response = self.try_command(path, event_count, &body).await;
            if response.status != 409 {
                let response = response.expect(200).json();
                self.follow_accepted_command(&response).await;
                return response;
            }
            event_count = response.json()["expectedEventCount"].as_u64().unwrap();
        }
        panic!("{path} was refused with 409 in each of {MAX_ATTEMPTS} attempts");
    }

    /// Updates the view to the state in the response of an accepted command: from the events of the stream, or without a stream
    /// from the snapshot.
    async fn follow_accepted_command(&mut self, response: &Value) {
        let snapshot = &response["snapshot"];
        assert_eq!(response["eventCount"], snapshot["eventCount"]);
        if self.stream.is_none() {
            self.view = snapshot.clone();
            return;
        }
        self.wait_for_event_count(snapshot["eventCount"].as_u64().unwrap())
            .await;
        if self.view["eventCount"] == snapshot["eventCount"] {
            assert_eq!(
                durable_state(&self.view),
                durable_state(snapshot),
                "the view after the events differs from the response's snapshot"
            );
        }
    }

    /// Sends `play` with a position in seconds.
    pub async fn play(&mut self, position_sec: f64) -> Value {
        self.command_until_accepted("/play", json!({ "positionSec": position_sec }))
            .await
    }

    /// Sends `pause` with a position in seconds.
    pub async fn pause(&mut self, position_sec: f64) -> Value {
        self.command_until_accepted("/pause", json!({ "positionSec": position_sec }))
            .await
    }

    /// Sends `seek` with a position in seconds.
    pub async fn seek(&mut self, position_sec: f64) -> Value {
        self.command_until_accepted("/seek", json!({ "positionSec": position_sec }))
            .await
    }

    /// Sends `next`.
    pub async fn next(&mut self) -> Value {
        self.command_until_accepted("/next", Value::Null).await
    }

    /// Sends `nudge`, which moves a track to the position after the current one.
    pub async fn nudge(&mut self, track_id: &str) -> Value {
        self.command_until_accepted("/nudge", json!({ "trackId": track_id }))
            .await
    }

    /// Acknowledges the complete download of a track.
    pub async fn ack(&mut self, track_id: &str) -> Value {
        self.command_until_accepted("/ack-download", json!({ "trackId": track_id }))
            .await
    }

    /// Acknowledges the download of every track in the queue.
    pub async fn ack_all(&mut self) {
        for track_id in queued_tracks(&self.view) {
            self.ack(&track_id).await;
        }
    }

    /// Sends `start-now`, which removes the members that are not ready from the barrier.
    pub async fn start_now(&mut self) -> Value {
        self.command_until_accepted("/start-now", json!({})).await
    }
}

/// Values from the view.
impl Phone {
    /// The ID of the current track.
    pub fn current_track(&self) -> String {
        self.track_after_current(0)
    }

    /// The ID of the track after the current one.
    pub fn next_track(&self) -> String {
        self.track_after_current(1)
    }

    /// The ID of the track `offset` positions after the current one. The queue wraps around.
    pub fn track_after_current(&self, offset: usize) -> String {
        let track_id = track_after_current(&self.view, offset);
        track_id.expect("the queue must not be empty").to_owned()
    }

    /// The play mode: `playing` or `paused`.
    pub fn play_mode(&self) -> &str {
        self.view["playState"]["mode"].as_str().unwrap()
    }

    /// The anchor position in seconds.
    pub fn anchor_position_sec(&self) -> f64 {
        self.view["playState"]["anchorPositionSec"]
            .as_f64()
            .unwrap()
    }

    /// Member IDs of the open barrier, ready or not. Empty without an open barrier.
    pub fn barrier_members(&self) -> Vec<&str> {
        strings(&self.view["barrier"]["members"])
    }

    /// Member IDs of the open barrier that are ready. Empty without an open barrier.
    pub fn ready_barrier_members(&self) -> Vec<&str> {
        strings(&self.view["barrier"]["ready"])
    }
}
