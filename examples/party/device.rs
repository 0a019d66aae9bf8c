//! A paired device's requests, each answer held against the protocol. When it asks for what is up to `phone`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::chronicle::{Asked, Effect};
use super::devices::Member;
use super::ledger::UNANSWERED;
use super::press::{Press, Slip};
use super::promises::Promise;
use super::view::View;
use super::world::World;

/// A request that is not answered by then never will be.
const ANSWER_PATIENCE: Duration = Duration::from_secs(20);

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Accepted,
    /// It was meant for another state; this is the current one.
    Stale(u64),
    Refused,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

/// A paired device.
pub(super) struct Device {
    pub(super) world: Arc<World>,
    pub(super) member: Member,
    pub(super) token: String,
    http: Client,
}

/// A client with connections of its own, which are gone with it.
pub(super) fn dial() -> Client {
    Client::builder()
        .no_proxy()
        // Sooner than the server, so that no request meets a connection that is being closed.
        .pool_idle_timeout(Duration::from_secs(10))
        .build()
        .unwrap_or_default()
}

impl Device {
    /// Pairs; `None` when that fails, which is a breach.
    pub(super) async fn pair(world: &Arc<World>, name: &str) -> Option<Device> {
        let http = dial();
        let url = format!("http://{}/pair", world.address);
        let body = json!({ "code": world.plan.code, "clientName": name });
        let effect = |member: &str| Effect {
            names: &["client.paired"],
            field: "memberId",
            value: if member.is_empty() {
                Value::Null
            } else {
                json!(member)
            },
        };
        let unanswered = Unanswered::new(world, "pair", Some(effect("")));
        let answer = send(http.post(url).json(&body), world, "pair").await;
        let answer = answer?;
        unanswered.defuse();
        world.ledger.answered("pair", answer.status);
        let text = |field: &str| answer.body[field].as_str().map(str::to_owned);
        let fields = (
            text("memberId"),
            text("clientId"),
            answer.body["eventCount"].as_u64(),
        );
        let (Some(member), Some(token), Some(count)) = fields else {
            let breach = format!("pairing was answered {} {}", answer.status, answer.body);
            world.ledger.hold(Promise::Statuses, Some(breach));
            return None;
        };
        world.ledger.hold(Promise::Statuses, None);
        let asked = Asked::Accepted(effect(&member), count - 1, count);
        world.ledger.book().chronicle.ask(asked);
        world.ledger.show(answer.body["snapshot"].clone());
        Some(Device {
            world: world.clone(),
            member: member.into(),
            token,
            http,
        })
    }

    /// Drops every connection that it has.
    pub(super) fn drop_connections(&mut self) {
        self.http = dial();
    }

    /// A request with its token.
    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("http://{}{path}", self.world.address))
            .bearer_auth(&self.token)
    }

    /// `GET`, whose answer must be 200.
    async fn get(&self, path: &'static str) -> Option<Value> {
        let answer = send(self.request(Method::GET, path), &self.world, path).await?;
        let breach =
            (answer.status != 200).then(|| format!("GET {path} was answered {}", answer.status));
        let good = breach.is_none();
        self.world.ledger.hold(Promise::Statuses, breach);
        good.then_some(answer.body)
    }

    /// Compares the server's snapshot with what patches made of it; the count of the snapshot.
    pub(super) async fn look(&self) -> Option<u64> {
        let snapshot = self.get("/snapshot").await?;
        let count = snapshot["eventCount"].as_u64();
        self.world.ledger.show(snapshot);
        count
    }

    /// How far the server's clock is ahead of this machine's `since`, in milliseconds.
    pub(super) async fn clock_offset(&self, since: Instant) -> Option<f64> {
        let before = since.elapsed();
        let server_ms = self.get("/clock").await?["serverMs"].as_f64()?;
        Some(server_ms - (before + since.elapsed()).as_secs_f64() * 500.0)
    }

    /// `POST /leave`: the device is no more.
    pub(super) async fn leave(self) {
        let effect = Effect {
            names: &["client.left"],
            field: "memberId",
            value: json!(*self.member),
        };
        self.world
            .ledger
            .book()
            .devices
            .with(&self.member, |device| device.leaving = true);
        let unanswered = Unanswered::new(&self.world, "leave", Some(effect.clone()));
        let answer = send(self.request(Method::POST, "/leave"), &self.world, "leave").await;
        let Some(answer) = answer else { return };
        unanswered.defuse();
        self.world.ledger.answered("leave", answer.status);
        let breach =
            (answer.status != 204).then(|| format!("leaving was answered {}", answer.status));
        self.world.ledger.hold(Promise::Statuses, breach);
        if answer.status == 204 {
            self.world.ledger.book().chronicle.ask(Asked::Done(effect));
        }
    }

    /// Sends a command that is meant for the room as `view` has it.
    pub(super) async fn press(
        &self,
        press: &Press,
        slip: Slip,
        view: &View,
        minimal: bool,
    ) -> Option<Outcome> {
        let (world, ledger) = (&*self.world, &self.world.ledger);
        let name = press.name();
        let mut request = self.http.post(format!("http://{}/{name}", world.address));
        if slip != Slip::NoToken {
            request = request.bearer_auth(&self.token);
        }
        let meant = if slip == Slip::OldCount {
            view.count.saturating_sub(1)
        } else {
            view.count
        };
        if slip != Slip::NoCount {
            request = request.header("If-Match-Event", meant);
        }
        if minimal {
            request = request.header("Prefer", "return=minimal");
        }
        let body = if slip == Slip::NoSense {
            json!([press.body()])
        } else {
            press.body()
        };
        let effect = press.effect(view, world).filter(|_| slip == Slip::None);
        let first = match press {
            Press::Acknowledge { track, .. } => ledger.book().devices.claims(&self.member, track),
            _ => false,
        };
        let newest = ledger.book().chronicle.newest();
        let unanswered = Unanswered::new(&self.world, name, effect.clone());
        let sent = Instant::now();
        let answer = send(request.json(&body), world, name).await;
        let answer = answer?;
        unanswered.defuse();
        ledger.answered(name, answer.status);
        let breach = self.unfit(press, slip, view, &answer).map(|what| {
            format!(
                "{press:?} ({slip:?}) for {meant}: {} {} {what}",
                answer.status, answer.body
            )
        });
        ledger.hold(Promise::Statuses, breach);
        let snapshot = &answer.body["snapshot"];
        if !snapshot.is_null() {
            ledger.show(snapshot.clone());
        }
        match answer.status {
            200 => {
                let count = answer.body["eventCount"].as_u64()?;
                if let Some(effect) = effect {
                    ledger.accepted(effect, meant, count, sent);
                }
                if let Press::Acknowledge { track, playable } = press {
                    let devices = &mut ledger.book().devices;
                    devices.acknowledged(&self.member, track, *playable, first);
                }
                Some(Outcome::Accepted)
            }
            409 => {
                let current = answer.body["expectedEventCount"].as_u64()?;
                let fits = current != meant
                    && current >= newest
                    && (minimal || snapshot["eventCount"] == current);
                ledger.book().promises.expect(Promise::Current, fits, || {
                    format!("{press:?} for {meant} got a 409 of {current}, when {newest} was known")
                });
                if matches!(press, Press::Acknowledge { .. }) && view.barrier().is_some() {
                    ledger.book().chronicle.ask_late(meant, current);
                }
                Some(Outcome::Stale(current))
            }
            _ => Some(Outcome::Refused),
        }
    }

    /// What is wrong with an answer, whatever it says of the room.
    fn unfit(
        &self,
        press: &Press,
        slip: Slip,
        view: &View,
        answer: &Answer,
    ) -> Option<&'static str> {
        let header = |name: &str| {
            answer
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        if !press.allowed(slip, view).contains(&answer.status) {
            return Some("is no status that fits");
        }
        if slip != Slip::NoToken && header("lockstep-member") != Some(&*self.member) {
            return Some("is not for this device");
        }
        let problem = header("content-type") == Some("application/problem+json")
            && answer.body["status"] == answer.status;
        let fits = match answer.status {
            200 => answer.body["eventCount"].is_u64(),
            409 => answer.body["expectedEventCount"].is_u64(),
            _ => problem,
        };
        (!fits).then_some("is not what the protocol says of that status")
    }
}

/// Sends a request; `None` when it is not answered, which is a breach.
async fn send(request: RequestBuilder, world: &World, what: &'static str) -> Option<Answer> {
    let answer = async {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await?;
        Ok::<_, reqwest::Error>(Answer {
            status,
            headers,
            body: serde_json::from_slice(&body).unwrap_or_default(),
        })
    };
    let breach = match timeout(ANSWER_PATIENCE, answer).await {
        Ok(Ok(answer)) => return Some(answer),
        Ok(Err(error)) => format!("{what} was not answered: {error:?}"),
        Err(_) => format!("{what} was not answered within {ANSWER_PATIENCE:?}"),
    };
    world.ledger.hold(Promise::Statuses, Some(breach));
    None
}

/// Notes, when dropped, a command whose outcome nobody will know: its phone lost its connection.
struct Unanswered<'a> {
    world: &'a World,
    request: &'static str,
    effect: Option<Effect>,
    answered: bool,
}

impl<'a> Unanswered<'a> {
    fn new(world: &'a World, request: &'static str, effect: Option<Effect>) -> Self {
        Unanswered {
            world,
            request,
            effect,
            answered: false,
        }
    }

    fn defuse(mut self) {
        self.answered = true;
    }
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        self.world.ledger.answered(self.request, UNANSWERED);
        if let Some(effect) = self.effect.take() {
            self.world
                .ledger
                .book()
                .chronicle
                .ask(Asked::Unanswered(effect));
        }
    }
}
