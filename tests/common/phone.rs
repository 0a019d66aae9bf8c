//! A phone: it pairs, listens, keeps its own copy of the room by folding the patches that it hears,
//! and holds the server to its word while it does so.

use std::collections::VecDeque;
use std::net::SocketAddr;

use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};

use super::{CODE, TestServer, in_time};

/// What the server said to a request.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    async fn of(request: RequestBuilder) -> Answer {
        let answer = async {
            let response = request.send().await.unwrap();
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            Answer {
                status,
                headers,
                body: response.bytes().await.unwrap().to_vec(),
            }
        };
        in_time("an answer", answer).await
    }

    /// A header field as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The body as text, lossily.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body, which must be JSON and say so.
    pub fn json(&self) -> Value {
        let kind = self.header("content-type").unwrap_or_default();
        assert!(
            kind.starts_with("application/") && kind.contains("json"),
            "{kind}: {}",
            self.text()
        );
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Asserts the status, and gives the answer back.
    #[track_caller]
    pub fn expect(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// Asserts that it is that error, told as RFC 9457 has it, and gives the problem.
    #[track_caller]
    pub fn expect_problem(self, status: u16) -> Value {
        let answer = self.expect(status);
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json"),
            "{}",
            answer.text()
        );
        let problem = answer.json();
        assert_eq!(problem["status"], status, "{problem}");
        for field in ["type", "title", "detail"] {
            assert!(
                problem[field].as_str().is_some_and(|text| !text.is_empty()),
                "no {field}: {problem}"
            );
        }
        problem
    }
}

/// A client that opens a connection for each request, so that none outlives a server.
pub fn http() -> Client {
    builder().build().unwrap()
}

/// The same, from another address of this machine.
pub fn client_from(address: [u8; 4]) -> Client {
    let local = std::net::IpAddr::from(address);
    builder().local_address(local).build().unwrap()
}

/// The same, for a phone that trusts the server's own authority and nobody else.
pub async fn trusting(server: &TestServer) -> Client {
    let root = ask(http().get(server.url("/ca.crt"))).await.expect(200);
    let root = reqwest::Certificate::from_der(&root.body).unwrap();
    builder().add_root_certificate(root).build().unwrap()
}

fn builder() -> reqwest::ClientBuilder {
    Client::builder().no_proxy().pool_max_idle_per_host(0)
}

/// Sends a request of nobody in particular.
pub async fn ask(request: RequestBuilder) -> Answer {
    Answer::of(request).await
}

/// Asks to be paired with that code.
pub async fn pair_with(client: &Client, server: &TestServer, code: &str) -> Answer {
    ask(client
        .post(server.url("/pair"))
        .json(&json!({ "code": code })))
    .await
}

/// A snapshot without what is live: the state that its `eventCount` names.
pub fn durable(snapshot: &Value) -> Value {
    let mut durable = snapshot.clone();
    durable.as_object_mut().expect("a snapshot").remove("live");
    durable
}

/// One message of the event stream.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its `id:`, which only durable events have.
    pub id: Option<u64>,
    /// What happened.
    pub name: String,
    /// What there is to say about it.
    pub payload: Value,
    /// The count that it carries.
    pub event_count: u64,
}

/// One block of an event stream, up to its empty line.
#[derive(Debug)]
pub enum Block {
    /// Nothing but a comment.
    Comment,
    /// How long to wait before coming back, in milliseconds.
    Retry(u64),
    /// A message.
    Event(Event),
}

/// An open event stream.
pub struct EventStream {
    response: Response,
    rest: Vec<u8>,
}

impl EventStream {
    /// Sends the request, which must open a stream.
    pub async fn open(request: RequestBuilder) -> EventStream {
        let response = in_time("the event stream to open", request.send())
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        EventStream {
            response,
            rest: Vec::new(),
        }
    }

    /// The next block; `None` when the server has ended the stream.
    pub async fn block(&mut self) -> Option<Block> {
        loop {
            if let Some(end) = self.rest.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.rest.drain(..end + 2).collect();
                return Some(parse_block(std::str::from_utf8(&block).unwrap()));
            }
            match in_time("the event stream to go on", self.response.chunk()).await {
                Ok(Some(chunk)) => self.rest.extend(chunk),
                Ok(None) | Err(_) => return None,
            }
        }
    }

    /// The next event, whatever comes between.
    pub async fn event(&mut self) -> Option<Event> {
        loop {
            if let Block::Event(event) = self.block().await? {
                return Some(event);
            }
        }
    }
}

fn parse_block(block: &str) -> Block {
    let (mut id, mut data, mut retry) = (None, Vec::new(), None);
    for line in block.lines().filter(|line| !line.is_empty()) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => {}
            "id" => id = Some(value.parse().expect("a number for an id")),
            "data" => data.push(value),
            "retry" => retry = Some(value.parse().expect("a number of milliseconds")),
            other => panic!("the stream has a field {other:?}"),
        }
    }
    if data.is_empty() {
        return retry.map_or(Block::Comment, Block::Retry);
    }
    let message: Value = serde_json::from_str(&data.join("\n")).unwrap();
    Block::Event(Event {
        id,
        name: message["event"].as_str().expect("a name").to_owned(),
        payload: message["payload"].clone(),
        event_count: message["eventCount"].as_u64().expect("a count"),
    })
}

/// A paired device.
pub struct Phone {
    /// Which member it is.
    pub member: String,
    /// What proves it.
    pub token: String,
    /// The room as it knows it: the last snapshot, and every patch since.
    pub view: Value,
    /// Every event that it has heard, over all its streams.
    pub heard: VecDeque<Event>,
    /// The server's URL.
    base: String,
    client: Client,
    stream: Option<EventStream>,
}

impl Phone {
    /// Pairs, without a name.
    pub async fn pair(server: &TestServer) -> Phone {
        Phone::pair_as(server, "").await
    }

    /// Pairs under a name.
    pub async fn pair_as(server: &TestServer, name: &str) -> Phone {
        Phone::pair_at(server.address(), name).await
    }

    /// Pairs with the server at that address.
    pub async fn pair_at(address: SocketAddr, name: &str) -> Phone {
        Phone::pair_by(http(), format!("http://{address}"), name).await
    }

    /// Pairs over TLS, and listens.
    pub async fn listening_securely(server: &TestServer) -> Phone {
        let client = trusting(server).await;
        let mut phone = Phone::pair_by(client, server.secure_url(""), "").await;
        phone.listen().await;
        phone
    }

    /// Pairs by that client with the server at that URL.
    pub async fn pair_by(client: Client, base: String, name: &str) -> Phone {
        let body = json!({ "code": CODE, "clientName": name });
        let request = client.post(format!("{base}/pair")).json(&body);
        let answer = ask(request).await.expect(200).json();
        let text = |field: &str| answer[field].as_str().unwrap().to_owned();
        Phone {
            member: text("memberId"),
            token: text("clientId"),
            view: answer["snapshot"].clone(),
            heard: VecDeque::new(),
            base,
            client,
            stream: None,
        }
    }

    /// Pairs, and listens.
    pub async fn listening(server: &TestServer) -> Phone {
        let mut phone = Phone::pair(server).await;
        phone.listen().await;
        phone
    }

    /// Goes on with the same token at the server's new address, or another server's.
    pub fn moved_to(&mut self, server: &TestServer) {
        self.hang_up();
        self.base = server.url("");
    }

    /// The same device with the same token, at the server's new address.
    pub fn again_at(&self, server: &TestServer) -> Phone {
        Phone {
            member: self.member.clone(),
            token: self.token.clone(),
            view: self.view.clone(),
            heard: VecDeque::new(),
            base: server.url(""),
            client: self.client.clone(),
            stream: None,
        }
    }

    /// A request with its token.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(&self.token)
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Answer {
        ask(self.request(Method::GET, path)).await
    }

    /// `POST`, outside of the control commands.
    pub async fn post(&self, path: &str) -> Answer {
        ask(self.request(Method::POST, path)).await
    }

    /// What `GET /snapshot` says.
    pub async fn snapshot(&self) -> Value {
        self.get("/snapshot").await.expect(200).json()
    }

    /// The server's clock, in milliseconds.
    pub async fn clock(&self) -> f64 {
        self.get("/clock").await.expect(200).json()["serverMs"]
            .as_f64()
            .unwrap()
    }

    // Its event stream.

    /// Listens.
    pub async fn listen(&mut self) {
        self.listen_at("/events").await;
        let me = self.member.clone();
        self.wait_until("itself among the listeners", |view| {
            !view["live"]["listeners"][&me].is_null()
        })
        .await;
    }

    /// Opens that event stream instead of the one that it has.
    pub async fn listen_at(&mut self, path: &str) {
        self.hang_up();
        self.stream = Some(EventStream::open(self.request(Method::GET, path)).await);
        let first = self.hear().await;
        assert_eq!(first.name, "snapshot", "the stream begins with {first:?}");
    }

    /// Comes back and asks for what it has missed, which the server must still know.
    pub async fn catch_up(&mut self) {
        self.hang_up();
        let request = self
            .request(Method::GET, "/events")
            .header("Last-Event-ID", self.count());
        self.stream = Some(EventStream::open(request).await);
    }

    /// Closes its stream.
    pub fn hang_up(&mut self) {
        self.stream = None;
    }

    /// The count of the state that it knows.
    pub fn count(&self) -> u64 {
        self.view["eventCount"].as_u64().unwrap()
    }

    /// The next event, folded into the view; `None` when the stream has ended.
    pub async fn try_hear(&mut self) -> Option<Event> {
        let event = self
            .stream
            .as_mut()
            .expect("an open stream")
            .event()
            .await?;
        self.fold(&event);
        self.heard.push_back(event.clone());
        Some(event)
    }

    /// The next event, folded into the view.
    pub async fn hear(&mut self) -> Event {
        self.try_hear().await.expect("the stream goes on")
    }

    fn fold(&mut self, event: &Event) {
        if event.name == "snapshot" {
            assert_eq!(event.payload["eventCount"], event.event_count);
            self.view = event.payload.clone();
            return;
        }
        if event.id.is_none() {
            assert_eq!(
                event.event_count,
                self.count(),
                "{event:?} is about a state that nobody was told of"
            );
            match event.name.as_str() {
                "presence" | "progress" => self.view["live"] = event.payload.clone(),
                "segue" => self.view["live"]["segue"] = event.payload.clone(),
                _ => {}
            }
            return;
        }
        assert_eq!(event.id, Some(event.event_count), "{event:?}");
        assert_eq!(
            event.event_count,
            self.count() + 1,
            "a gap or a double before {event:?}"
        );
        let patch: json_patch::Patch =
            serde_json::from_value(event.payload["patch"].clone()).unwrap();
        let mut next = durable(&self.view);
        json_patch::patch(&mut next, &patch).unwrap_or_else(|error| panic!("{error} in {event:?}"));
        assert_eq!(
            next["eventCount"], self.view["eventCount"],
            "a patch counts: {event:?}"
        );
        next["eventCount"] = event.event_count.into();
        next["live"] = self.view["live"].take();
        self.view = next;
    }

    /// Hears on until its view is as asked.
    pub async fn wait_until(&mut self, what: &str, holds: impl Fn(&Value) -> bool) {
        let waited = async {
            while !holds(&self.view) {
                self.hear().await;
            }
        };
        if tokio::time::timeout(super::PATIENCE, waited).await.is_err() {
            panic!("waited in vain for {what}; the room is {:#}", self.view);
        }
    }

    /// Hears on until it knows that state or a later one.
    pub async fn wait_for_count(&mut self, count: u64) {
        self.wait_until(&format!("event {count}"), |view| {
            view["eventCount"].as_u64() >= Some(count)
        })
        .await;
    }

    /// The first durable event of that name after `count`: heard already, or still to come.
    pub async fn durable_event(&mut self, name: &str, count: u64) -> Event {
        let is_it = |event: &Event| event.id > Some(count) && event.name == name;
        if let Some(event) = self.heard.iter().find(|event| is_it(event)) {
            return event.clone();
        }
        let waited = async {
            loop {
                let event = self.hear().await;
                if is_it(&event) {
                    return event;
                }
            }
        };
        in_time(name, waited).await
    }

    /// The next live event of that name.
    pub async fn live_event(&mut self, name: &str) -> Event {
        let waited = async {
            loop {
                let event = self.hear().await;
                if event.id.is_none() && event.name == name {
                    return event;
                }
            }
        };
        in_time(name, waited).await
    }

    /// The names of the durable events that it has heard after `count`, in order.
    pub fn names_after(&self, count: u64) -> Vec<&str> {
        let after = self.heard.iter().filter(|event| event.id > Some(count));
        after.map(|event| event.name.as_str()).collect()
    }

    // Its commands.

    /// One command, once, meant for the state of that count.
    pub async fn try_command(&self, path: &str, count: u64, body: &Value) -> Answer {
        let request = self
            .request(Method::POST, path)
            .header("If-Match-Event", count);
        ask(if body.is_null() {
            request
        } else {
            request.json(body)
        })
        .await
    }

    /// A command that is accepted, if need be at a later state than this phone knows of. A phone
    /// that listens hears of it before this returns, and compares what it heard with the answer.
    pub async fn command(&mut self, path: &str, body: Value) -> Value {
        let mut count = self.count();
        loop {
            let answer = self.try_command(path, count, &body).await;
            if answer.status == 409 {
                count = answer.json()["expectedEventCount"].as_u64().unwrap();
                continue;
            }
            let answer = answer.expect(200).json();
            let snapshot = answer["snapshot"].clone();
            assert_eq!(answer["eventCount"], snapshot["eventCount"]);
            if self.stream.is_none() {
                self.view = snapshot;
                return answer;
            }
            self.wait_for_count(snapshot["eventCount"].as_u64().unwrap())
                .await;
            if self.view["eventCount"] == snapshot["eventCount"] {
                assert_eq!(
                    durable(&self.view),
                    durable(&snapshot),
                    "the events tell another story"
                );
            }
            return answer;
        }
    }

    /// Plays from there.
    pub async fn play(&mut self, position_sec: f64) -> Value {
        self.command("/play", json!({ "positionSec": position_sec }))
            .await
    }

    /// Pauses there.
    pub async fn pause(&mut self, position_sec: f64) -> Value {
        self.command("/pause", json!({ "positionSec": position_sec }))
            .await
    }

    /// Seeks there.
    pub async fn seek(&mut self, position_sec: f64) -> Value {
        self.command("/seek", json!({ "positionSec": position_sec }))
            .await
    }

    /// Moves on to the next track.
    pub async fn next(&mut self) -> Value {
        self.command("/next", Value::Null).await
    }

    /// Waits for so many others that listen and read nothing, makes more events than fit into their sockets, so that the server
    /// has something to get rid of, and waits until they are gone.
    pub async fn outlive(&mut self, deaf: usize) {
        let listeners = |view: &Value| view["live"]["listeners"].as_object().unwrap().len();
        self.wait_until("all of them", |view| listeners(view) == 1 + deaf)
            .await;
        for n in 0..800 {
            let track = self.track_after_current(if n % 2 == 0 { 2 } else { 3 });
            self.nudge(&track).await;
        }
        self.wait_until("only itself", |view| listeners(view) == 1)
            .await;
    }

    /// Makes a track next-up.
    pub async fn nudge(&mut self, track: &str) -> Value {
        self.command("/nudge", json!({ "trackId": track })).await
    }

    /// Says that it has the whole of a track.
    pub async fn ack(&mut self, track: &str) -> Value {
        self.command("/ack-download", json!({ "trackId": track }))
            .await
    }

    /// Says that it has every track of the queue.
    pub async fn ack_all(&mut self) {
        for track in queue(&self.view) {
            self.ack(&track).await;
        }
    }

    /// Starts without those still missing.
    pub async fn start_now(&mut self) -> Value {
        self.command("/start-now", json!({})).await
    }

    // What it sees.

    /// The current track.
    pub fn current(&self) -> String {
        self.track_after_current(0)
    }

    /// The track after it.
    pub fn next_up(&self) -> String {
        self.track_after_current(1)
    }

    /// The track that many places after the current one in the ring.
    pub fn track_after_current(&self, places: usize) -> String {
        let queue = queue(&self.view);
        let index = self.view["queueIndex"].as_u64().unwrap() as usize;
        queue[(index + places) % queue.len()].clone()
    }

    /// `playing` or `paused`.
    pub fn mode(&self) -> &str {
        self.view["playState"]["mode"].as_str().unwrap()
    }

    /// The anchor, in seconds.
    pub fn anchor(&self) -> f64 {
        self.view["playState"]["anchorPositionSec"]
            .as_f64()
            .unwrap()
    }

    /// Who is waited for or ready; nobody when no barrier is open.
    pub fn members(&self) -> Vec<&str> {
        self.barrier_list("members")
    }

    /// Who is ready.
    pub fn ready(&self) -> Vec<&str> {
        self.barrier_list("ready")
    }

    fn barrier_list(&self, field: &str) -> Vec<&str> {
        let list = self.view["barrier"][field].as_array();
        list.map(|list| list.iter().map(|id| id.as_str().unwrap()).collect())
            .unwrap_or_default()
    }

    /// The row of `GET /index` about a track.
    pub async fn row(&self, track: &str) -> Value {
        let rows = self.get("/index").await.expect(200).json();
        let row = rows
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["trackId"] == track);
        row.unwrap_or_else(|| panic!("{track} is not in the index"))
            .clone()
    }
}

/// The queue of a snapshot.
pub fn queue(snapshot: &Value) -> Vec<String> {
    let queue = snapshot["queue"].as_array().unwrap();
    queue
        .iter()
        .map(|track| track.as_str().unwrap().to_owned())
        .collect()
}
