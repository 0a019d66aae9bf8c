//! The server is killed with `kill -9` at random times while several connections send commands, and is then restarted on the
//! same files. The restored state is never older than a state that a client has received, and equals the received state with
//! the same event count.
//!
//! `LOCKSTEP_CRASH_ROUNDS` sets the number of rounds (default 10). A long run:
//!
//! ```sh
//! LOCKSTEP_CRASH_ROUNDS=200 cargo test --release --test crash -- --nocapture
//! ```
//!
//! The test prints its random seed. Setting `LOCKSTEP_CRASH_SEED` to that seed repeats the random choices, but not the timing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::phone::{ask, http};
use common::{CODE, Phone, TestServer, durable_state};
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::{Client, Response};
use serde_json::{Value, json};

/// Number of connections that send commands at the same time.
const SENDER_COUNT: usize = 8;
/// Maximum time from the start of the commands to the kill, in milliseconds.
const MAX_UPTIME_MS: u64 = 400;
/// Maximum number of guests: devices that are paired and removed at random, and send no commands.
const MAX_GUESTS: usize = 12;
/// Maximum number of events in the state file that no client has received: those of one pending command for each connection. Of
/// the pending commands that require an exact event count, at most one is accepted. That command causes at most the events of
/// `start-now`: one for each skipped member. Each other command causes at most two: an acknowledgement and the release.
const MAX_UNREPORTED_EVENTS: u64 = (SENDER_COUNT + 3 + (SENDER_COUNT - 1) * 2) as u64;
/// Number of times in each round that the server is started, and killed at a random time during the start.
const INTERRUPTED_STARTS_PER_ROUND: usize = 2;

/// Validity of a guest's token, as far as the clients know.
#[derive(Debug, Clone, PartialEq)]
enum TokenState {
    /// The token belongs to this member.
    Valid(String),
    /// A leave request was sent; its response was not received.
    LeaveSent,
    /// The member has left.
    Revoked,
}

/// The states and tokens that clients have received since the last start of the server.
#[derive(Default)]
struct Observations {
    /// Received states by event count.
    states: BTreeMap<u64, Value>,
    /// Guests by token.
    guests: BTreeMap<String, TokenState>,
}

impl Observations {
    /// Records a snapshot that a client has received. All snapshots with the same event count must be equal.
    fn record_state(&mut self, snapshot: &Value) {
        let state = durable_state(snapshot);
        let event_count = state["eventCount"].as_u64().unwrap();
        let observed_state = self
            .states
            .entry(event_count)
            .or_insert_with(|| state.clone());
        assert_eq!(
            *observed_state, state,
            "two different states have the event count {event_count}"
        );
    }

    fn newest_state(&self) -> &Value {
        self.states
            .values()
            .next_back()
            .expect("no state has been received yet")
    }

    /// The token of a guest whose token is valid. Marks the token as [`TokenState::LeaveSent`].
    fn pick_guest_to_unpair(&mut self) -> Option<String> {
        let mut guests = self.guests.iter_mut();
        let (token, state) = guests.find(|(_, state)| matches!(state, TokenState::Valid(_)))?;
        *state = TokenState::LeaveSent;
        Some(token.clone())
    }
}

/// One connection that sends commands.
struct CommandSender {
    client: Client,
    base_url: String,
    token: String,
    observed: Arc<Mutex<Observations>>,
    rng: StdRng,
}

impl CommandSender {
    /// Sends commands until the server is killed.
    async fn run(mut self) {
        while let Some(()) = self.send_random_command().await {}
    }

    /// Sends one random request. Returns `None` if the server did not respond.
    async fn send_random_command(&mut self) -> Option<()> {
        let newest_state = self.observed.lock().unwrap().newest_state().clone();
        let track_body = |queue_position: usize| {
            let queue = newest_state["queue"].as_array().unwrap();
            json!({ "trackId": queue[queue_position % queue.len()] })
        };
        let queue_index = newest_state["queueIndex"].as_u64().unwrap() as usize;
        let position_body =
            json!({ "positionSec": f64::from(self.rng.random_range(0..4000_u32)) / 8.0 });
        let (path, body) = match self.rng.random_range(0..20) {
            0..5 => ("/seek", position_body),
            5..8 => ("/ack-download", track_body(queue_index)),
            8..10 => ("/next", Value::Null),
            10..12 => ("/nudge", track_body(self.rng.random_range(0..4))),
            12 => {
                let track = track_body(self.rng.random_range(0..4))["trackId"].take();
                ("/pick", json!({ "trackIds": [track] }))
            }
            13 => ("/play", position_body),
            14 => ("/pause", position_body),
            15 => ("/start-now", Value::Null),
            16..18 => return self.pair().await,
            18 => return self.unpair().await,
            _ => return self.record_snapshot().await,
        };
        let request = self.client.post(format!("{}{path}", self.base_url));
        let mut request = request.bearer_auth(&self.token).header(
            "If-Match-Event",
            newest_state["eventCount"].as_u64().unwrap(),
        );
        if !body.is_null() {
            request = request.json(&body);
        }
        let response = request.send().await.ok()?;
        match response.status().as_u16() {
            200 | 409 => self.record_response(response).await,
            422 => Some(()),
            unexpected_status => panic!("unexpected status {unexpected_status} for {path}"),
        }
    }

    /// Records the snapshot in a response.
    async fn record_response(&self, response: Response) -> Option<()> {
        let body = response.json::<Value>().await.ok()?;
        self.observed
            .lock()
            .unwrap()
            .record_state(&body["snapshot"]);
        Some(())
    }

    async fn record_snapshot(&self) -> Option<()> {
        let request = self.client.get(format!("{}/snapshot", self.base_url));
        let response = request.bearer_auth(&self.token).send().await.ok()?;
        let snapshot = response.json::<Value>().await.ok()?;
        self.observed.lock().unwrap().record_state(&snapshot);
        Some(())
    }

    /// Pairs a guest.
    async fn pair(&self) -> Option<()> {
        if self.observed.lock().unwrap().guests.len() >= MAX_GUESTS {
            return self.unpair().await;
        }
        let request = self.client.post(format!("{}/pair", self.base_url));
        let response = request.json(&json!({ "code": CODE })).send().await.ok()?;
        assert_eq!(response.status(), 200);
        let body = response.json::<Value>().await.ok()?;
        let text = |field: &str| body[field].as_str().unwrap().to_owned();
        let mut observed = self.observed.lock().unwrap();
        let token = TokenState::Valid(text("memberId"));
        observed.guests.insert(text("clientId"), token);
        observed.record_state(&body["snapshot"]);
        Some(())
    }

    /// Unpairs a guest, if there is one with a valid token.
    async fn unpair(&self) -> Option<()> {
        let Some(token) = self.observed.lock().unwrap().pick_guest_to_unpair() else {
            return Some(());
        };
        let request = self.client.post(format!("{}/leave", self.base_url));
        let response = request.bearer_auth(&token).send().await.ok()?;
        assert_eq!(response.status(), 204);
        self.observed
            .lock()
            .unwrap()
            .guests
            .insert(token, TokenState::Revoked);
        // The response contains no snapshot.
        self.record_snapshot().await
    }
}

/// Records the phone's view after each event until the server is killed.
async fn record_events(phone: &mut Phone, observed: &Mutex<Observations>) {
    while phone.next_event_or_end().await.is_some() {
        observed.lock().unwrap().record_state(&phone.view);
    }
}

/// Names of files in the state folder except the state file, its lock, the index cache and the local socket.
fn leftover_files(server: &TestServer) -> Vec<OsString> {
    let folder = server.setup().state_file().parent().unwrap().to_owned();
    let names = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().file_name());
    names
        .filter(|name| {
            ![
                "state.json",
                ".state.json.lock",
                "state.json.index",
                "state.json.socket",
            ]
            .iter()
            .any(|expected| name == expected)
        })
        .collect()
}

/// A number from an environment variable, or a default.
fn number_from_env<T: FromStr>(name: &str, default: T) -> T {
    let Ok(text) = std::env::var(name) else {
        return default;
    };
    let number = text.parse().ok();
    number.unwrap_or_else(|| panic!("{name} is not a number: {text}"))
}

#[tokio::test]
async fn kill_9_loses_no_state_that_a_client_has_received() {
    let rounds: usize = number_from_env("LOCKSTEP_CRASH_ROUNDS", 10);
    let seed: u64 = number_from_env("LOCKSTEP_CRASH_SEED", rand::random());
    println!("LOCKSTEP_CRASH_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut server = TestServer::start().await;
    server.stop().await;
    let started_at = Instant::now();
    server.restart().await;
    let startup_time = started_at.elapsed();
    let observed = Arc::new(Mutex::new(Observations::default()));
    let mut phones = Vec::new();
    for _ in 0..SENDER_COUNT {
        phones.push(Phone::pair(&server).await);
    }
    let (
        mut observed_state_count,
        mut rounds_with_unreported_events,
        mut max_unreported_events,
        mut interrupted_writes,
        mut completed_starts,
    ) = (0, 0, 0, 0, 0);
    for round in 0..rounds {
        let uptime = Duration::from_millis(rng.random_range(1..MAX_UPTIME_MS));
        join_all(phones.iter_mut().map(Phone::listen)).await;
        for phone in &phones {
            observed.lock().unwrap().record_state(&phone.view);
        }
        let senders = phones.iter().map(|phone| {
            let sender = CommandSender {
                client: Client::builder().no_proxy().build().unwrap(),
                base_url: server.url(""),
                token: phone.token.clone(),
                observed: observed.clone(),
                rng: StdRng::seed_from_u64(rng.random()),
            };
            tokio::spawn(sender.run())
        });
        let senders: Vec<_> = senders.collect();
        let listeners = phones
            .iter_mut()
            .map(|phone| record_events(phone, &observed));
        let killer = async {
            tokio::time::sleep(uptime).await;
            server.kill().await;
        };
        tokio::join!(killer, join_all(listeners));
        for sender in senders {
            sender.await.unwrap();
        }

        let context = format!("round {round} of LOCKSTEP_CRASH_SEED={seed}");
        let room = lockstep::store::parse(&server.state());
        let room =
            room.unwrap_or_else(|error| panic!("{context}: the state file is invalid: {error}"));
        let (restored_state, restored_event_count) = (
            serde_json::to_value(&room.durable).unwrap(),
            room.durable.event_count,
        );
        let (newest_observed_event_count, observed_count) = {
            let observed = observed.lock().unwrap();
            if let Some(observed_state) = observed.states.get(&restored_event_count) {
                assert_eq!(restored_state, *observed_state, "{context}");
            }
            let newest_observed_event_count =
                observed.newest_state()["eventCount"].as_u64().unwrap();
            (newest_observed_event_count, observed.states.len())
        };
        assert!(
            restored_event_count >= newest_observed_event_count,
            "{context}: a client received event count {newest_observed_event_count}, but the file has {restored_event_count}"
        );
        assert!(
            restored_event_count - newest_observed_event_count <= MAX_UNREPORTED_EVENTS,
            "{context}: {restored_event_count} events in the file, {newest_observed_event_count} received by clients: more than the pending commands can cause"
        );
        observed_state_count += observed_count;
        rounds_with_unreported_events +=
            usize::from(restored_event_count > newest_observed_event_count);
        max_unreported_events =
            max_unreported_events.max(restored_event_count - newest_observed_event_count);
        interrupted_writes += leftover_files(&server).len();

        let state_file_bytes = server.state();
        for _ in 0..INTERRUPTED_STARTS_PER_ROUND {
            let uptime = startup_time.mul_f64(rng.random_range(0.0..1.0));
            completed_starts += usize::from(server.restart_and_kill(uptime).await);
            assert!(
                server.state() == state_file_bytes,
                "{context}: an interrupted start changed the state file"
            );
        }
        server.restart().await;
        assert_eq!(
            leftover_files(&server),
            [""; 0],
            "{context}: temporary files left after a start"
        );
        let guests = {
            let mut observed = observed.lock().unwrap();
            observed.states.clear();
            std::mem::take(&mut observed.guests)
        };
        for phone in &mut phones {
            phone.use_server(&server);
            phone.received_events.clear();
            let snapshot = phone.snapshot().await;
            assert_eq!(durable_state(&snapshot), restored_state, "{context}");
        }
        for (token, state_before) in guests {
            let client = http();
            let response = ask(client.get(server.url("/snapshot")).bearer_auth(&token)).await;
            let state_after = match response.status {
                200 => TokenState::Valid(response.header("lockstep-member").unwrap().to_owned()),
                401 => TokenState::Revoked,
                unexpected_status => {
                    panic!("{context}: unexpected status {unexpected_status} for a guest")
                }
            };
            assert!(
                state_before == TokenState::LeaveSent || state_before == state_after,
                "{context}: the token was {state_before:?} before the kill and is {state_after:?} after"
            );
            if state_after != TokenState::Revoked {
                observed.lock().unwrap().guests.insert(token, state_after);
            }
        }
    }
    println!(
        "{rounds} kills, {observed_state_count} states received by clients; in {rounds_with_unreported_events} rounds, the file had \
         events that no client had received, at most {max_unreported_events}; {interrupted_writes} interrupted writes; \
         {completed_starts} of {} starts completed before the kill",
        rounds * INTERRUPTED_STARTS_PER_ROUND
    );
    assert!(
        observed_state_count > rounds,
        "clients received no more than one state per round"
    );
    assert!(
        completed_starts < rounds * INTERRUPTED_STARTS_PER_ROUND,
        "no startup was interrupted by a kill"
    );
}
