//! kill −9 at any moment: the server is hammered from several connections, killed, and started again on what it
//! left. The state that it finds is no older than anything that anybody was told, and the same where it was told.
//!
//! `LOCKSTEP_CRASH_ROUNDS` says how many times (10 unless it is set). A long run:
//!
//! ```sh
//! LOCKSTEP_CRASH_ROUNDS=200 cargo test --release --test crash -- --nocapture
//! ```
//!
//! The seed of the choices is printed; `LOCKSTEP_CRASH_SEED` makes the same ones again, as far as the
//! machine's own timing lets it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on panics"
)]

pub mod common;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::phone::{ask, http};
use common::{CODE, Phone, TestServer, durable};
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::{Client, Response};
use serde_json::{Value, json};

/// Connections that command at once.
const HAMMERS: usize = 8;
/// The longest that a server lives under them, in milliseconds.
const LONGEST_LIFE: u64 = 400;
/// Devices paired besides those that command.
const MOST_GUESTS: usize = 12;
/// What may be left without anybody's having heard of it: the one command under way of each connection. Of those that
/// name a count one at most is accepted, with no more events than `start-now` has, which skips everybody; the others
/// cause two, the last acknowledgement and the release.
const MOST_UNHEARD: u64 = (HAMMERS + 3 + (HAMMERS - 1) * 2) as u64;
/// Kills during the start, each round.
const FALSE_STARTS: usize = 2;

/// What was told of a guest's token.
#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// It is that member's.
    Good(String),
    /// Its member wanted to leave, and may or may not have left.
    Leaving,
    /// Its member has left.
    Void,
}

/// Everything that anybody was told since the server was started last.
#[derive(Default)]
struct Told {
    states: BTreeMap<u64, Value>,
    guests: BTreeMap<String, Token>,
}

impl Told {
    /// Somebody was told of that state. All who are told of one count are told of one state.
    fn state(&mut self, snapshot: &Value) {
        let state = durable(snapshot);
        let count = state["eventCount"].as_u64().unwrap();
        let known = self.states.entry(count).or_insert_with(|| state.clone());
        assert_eq!(*known, state, "two states go by the count {count}");
    }

    fn newest(&self) -> &Value {
        self.states.values().next_back().expect("a state")
    }

    fn guest_to_go(&mut self) -> Option<String> {
        let mut guests = self.guests.iter_mut();
        let (token, told) = guests.find(|(_, told)| matches!(told, Token::Good(_)))?;
        *told = Token::Leaving;
        Some(token.clone())
    }
}

/// One connection that commands.
struct Hammer {
    client: Client,
    base: String,
    token: String,
    told: Arc<Mutex<Told>>,
    dice: StdRng,
}

impl Hammer {
    /// Commands until the server is gone.
    async fn run(mut self) {
        while let Some(()) = self.strike().await {}
    }

    /// One request; `None` when it was not answered.
    async fn strike(&mut self) -> Option<()> {
        let newest = self.told.lock().unwrap().newest().clone();
        let track = |n: usize| {
            let queue = newest["queue"].as_array().unwrap();
            json!({ "trackId": queue[n % queue.len()] })
        };
        let index = newest["queueIndex"].as_u64().unwrap() as usize;
        let position =
            json!({ "positionSec": f64::from(self.dice.random_range(0..4000_u32)) / 8.0 });
        let (path, body) = match self.dice.random_range(0..20) {
            0..5 => ("/seek", position),
            5..8 => ("/ack-download", track(index)),
            8..10 => ("/next", Value::Null),
            10..13 => ("/nudge", track(self.dice.random_range(0..4))),
            13 => ("/play", position),
            14 => ("/pause", position),
            15 => ("/start-now", Value::Null),
            16..18 => return self.pair().await,
            18 => return self.unpair().await,
            _ => return self.look().await,
        };
        let request = self.client.post(format!("{}{path}", self.base));
        let mut request = request
            .bearer_auth(&self.token)
            .header("If-Match-Event", newest["eventCount"].as_u64().unwrap());
        if !body.is_null() {
            request = request.json(&body);
        }
        let response = request.send().await.ok()?;
        match response.status().as_u16() {
            200 | 409 => self.hear(response).await,
            422 => Some(()),
            other => panic!("{path} was answered with {other}"),
        }
    }

    /// Reads what an answer tells of the state.
    async fn hear(&self, response: Response) -> Option<()> {
        let answer = response.json::<Value>().await.ok()?;
        self.told.lock().unwrap().state(&answer["snapshot"]);
        Some(())
    }

    async fn look(&self) -> Option<()> {
        let request = self.client.get(format!("{}/snapshot", self.base));
        let response = request.bearer_auth(&self.token).send().await.ok()?;
        let snapshot = response.json::<Value>().await.ok()?;
        self.told.lock().unwrap().state(&snapshot);
        Some(())
    }

    /// A guest comes.
    async fn pair(&self) -> Option<()> {
        if self.told.lock().unwrap().guests.len() >= MOST_GUESTS {
            return self.unpair().await;
        }
        let request = self.client.post(format!("{}/pair", self.base));
        let response = request.json(&json!({ "code": CODE })).send().await.ok()?;
        assert_eq!(response.status(), 200);
        let answer = response.json::<Value>().await.ok()?;
        let text = |field: &str| answer[field].as_str().unwrap().to_owned();
        let mut told = self.told.lock().unwrap();
        let token = Token::Good(text("memberId"));
        told.guests.insert(text("clientId"), token);
        told.state(&answer["snapshot"]);
        Some(())
    }

    /// A guest leaves.
    async fn unpair(&self) -> Option<()> {
        let Some(token) = self.told.lock().unwrap().guest_to_go() else {
            return Some(());
        };
        let request = self.client.post(format!("{}/leave", self.base));
        let response = request.bearer_auth(&token).send().await.ok()?;
        assert_eq!(response.status(), 204);
        self.told.lock().unwrap().guests.insert(token, Token::Void);
        // The answer tells of no state.
        self.look().await
    }
}

/// Hears of everything until the server is gone.
async fn listen(phone: &mut Phone, told: &Mutex<Told>) {
    while phone.try_hear().await.is_some() {
        told.lock().unwrap().state(&phone.view);
    }
}

/// The names of what lies beside the state and its lock.
fn litter(server: &TestServer) -> Vec<OsString> {
    let folder = server.setup().state_file().parent().unwrap().to_owned();
    let names = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().file_name());
    names
        .filter(|name| {
            !["state.json", ".state.json.lock", "state.json.index"]
                .iter()
                .any(|kept| name == kept)
        })
        .collect()
}

/// A number from the environment.
fn setting<T: FromStr>(name: &str, otherwise: T) -> T {
    let Ok(text) = std::env::var(name) else {
        return otherwise;
    };
    let number = text.parse().ok();
    number.unwrap_or_else(|| panic!("{name} is no number: {text}"))
}

#[tokio::test]
async fn kill_9_at_any_moment_loses_nothing_that_anybody_was_told() {
    let rounds: usize = setting("LOCKSTEP_CRASH_ROUNDS", 10);
    let seed: u64 = setting("LOCKSTEP_CRASH_SEED", rand::random());
    println!("LOCKSTEP_CRASH_SEED={seed}");
    let mut dice = StdRng::seed_from_u64(seed);
    let mut server = TestServer::start().await;
    server.stop().await;
    let began = Instant::now();
    server.start_again().await;
    let start = began.elapsed();
    let told = Arc::new(Mutex::new(Told::default()));
    let mut phones = Vec::new();
    for _ in 0..HAMMERS {
        phones.push(Phone::pair(&server).await);
    }
    let (mut heard, mut unheard, mut most_unheard, mut broken_off, mut too_late) = (0, 0, 0, 0, 0);
    for round in 0..rounds {
        let life = Duration::from_millis(dice.random_range(1..LONGEST_LIFE));
        join_all(phones.iter_mut().map(Phone::listen)).await;
        for phone in &phones {
            told.lock().unwrap().state(&phone.view);
        }
        let hammers = phones.iter().map(|phone| {
            let hammer = Hammer {
                client: Client::builder().no_proxy().build().unwrap(),
                base: server.url(""),
                token: phone.token.clone(),
                told: told.clone(),
                dice: StdRng::seed_from_u64(dice.random()),
            };
            tokio::spawn(hammer.run())
        });
        let hammers: Vec<_> = hammers.collect();
        let listeners = phones.iter_mut().map(|phone| listen(phone, &told));
        let killer = async {
            tokio::time::sleep(life).await;
            server.kill().await;
        };
        tokio::join!(killer, join_all(listeners));
        for hammer in hammers {
            hammer.await.unwrap();
        }

        let context = format!("round {round} of LOCKSTEP_CRASH_SEED={seed}");
        let room = lockstep::store::parse(&server.state());
        let room = room.unwrap_or_else(|why| panic!("{context}: no state is left: {why}"));
        let (found, count) = (
            serde_json::to_value(&room.durable).unwrap(),
            room.durable.event_count,
        );
        let (newest, states) = {
            let told = told.lock().unwrap();
            if let Some(known) = told.states.get(&count) {
                assert_eq!(found, *known, "{context}");
            }
            let newest = told.newest()["eventCount"].as_u64().unwrap();
            (newest, told.states.len())
        };
        assert!(
            count >= newest,
            "{context}: {newest} was told, {count} is left"
        );
        assert!(
            count - newest <= MOST_UNHEARD,
            "{context}: {newest} was told, {count} is left, and nobody asked for so much"
        );
        heard += states;
        unheard += usize::from(count > newest);
        most_unheard = most_unheard.max(count - newest);
        broken_off += litter(&server).len();

        let bytes = server.state();
        for _ in 0..FALSE_STARTS {
            let life = start.mul_f64(dice.random_range(0.0..1.0));
            too_late += usize::from(server.start_again_and_kill(life).await);
            assert!(server.state() == bytes, "{context}: a start changed it");
        }
        server.start_again().await;
        assert_eq!(litter(&server), [""; 0], "{context}: left after a start");
        let guests = {
            let mut told = told.lock().unwrap();
            told.states.clear();
            std::mem::take(&mut told.guests)
        };
        for phone in &mut phones {
            phone.moved_to(&server);
            phone.heard.clear();
            let snapshot = phone.snapshot().await;
            assert_eq!(durable(&snapshot), found, "{context}");
        }
        for (token, was_told) in guests {
            let client = http();
            let answer = ask(client.get(server.url("/snapshot")).bearer_auth(&token)).await;
            let is = match answer.status {
                200 => Token::Good(answer.header("lockstep-member").unwrap().to_owned()),
                401 => Token::Void,
                other => panic!("{context}: {other} for a guest"),
            };
            assert!(
                was_told == Token::Leaving || was_told == is,
                "{context}: {was_told:?} was told, {is:?} is left"
            );
            if is != Token::Void {
                told.lock().unwrap().guests.insert(token, is);
            }
        }
    }
    println!(
        "{rounds} kills, {heard} states told; {unheard} times, one that nobody had heard of was left, by at most \
         {most_unheard} events; {broken_off} writes were broken off; of {} starts, {too_late} were over before the kill",
        rounds * FALSE_STARTS
    );
    assert!(heard > rounds, "nothing happened");
    assert!(too_late < rounds * FALSE_STARTS, "no start was killed");
}
