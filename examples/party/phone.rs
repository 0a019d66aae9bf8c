//! A phone's life: it pairs, listens for a while, loses its connection, comes back in one way or another,
//! and at times leaves and pairs again. What it does while it listens lives in `hands`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::Method;
use tokio::sync::watch;
use tokio::time::sleep;

use super::device::Device;
use super::download::Pace;
use super::hands::Hands;
use super::promises::Promise;
use super::stream::{Event, EventStream};
use super::view::View;
use super::world::World;

/// After a breach a phone takes a breath, so that one fault does not drown the others.
const BREATH: Duration = Duration::from_secs(1);
/// A phone that gets nowhere stays so long: longer than it takes to see that the server's patience does not end.
const STALL: Duration = Duration::from_secs(45);

/// How a phone behaves while it has a stream.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mood {
    /// As a phone should.
    Lively(Pace),
    /// It is connected, and does nothing.
    Stalled,
    /// It begins the same download again and again, says again and again what it has said, and gets nowhere.
    Fumbling,
}

/// How a phone comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Return {
    Anew,
    /// With the last event that it heard.
    LastEvent,
    /// With what it plays.
    Playing,
}

/// A phone.
pub(super) struct Phone {
    world: Arc<World>,
    number: u32,
    rng: StdRng,
    /// For as long as it lives.
    always: Option<Mood>,
}

impl Phone {
    pub(super) fn new(world: Arc<World>, number: u32) -> Self {
        let seed = world.plan.seed.wrapping_add(u64::from(number) << 32);
        Phone {
            world,
            number,
            rng: StdRng::seed_from_u64(seed),
            always: None,
        }
    }

    /// One whose mood never changes.
    pub(super) fn always(mood: Mood, world: Arc<World>, number: u32) -> Self {
        let mut phone = Phone::new(world, number);
        phone.always = Some(mood);
        phone
    }

    /// Lives until it is dropped.
    pub(super) async fn live(mut self) {
        let late = self.rng.random_range(0.0..1.0);
        sleep(Duration::from_secs_f64(late)).await;
        loop {
            let name = format!("phone {}", self.number);
            match Device::pair(&self.world, &name).await {
                Some(device) => self.use_device(device).await,
                None => sleep(BREATH).await,
            }
        }
    }

    /// Until it leaves.
    async fn use_device(&mut self, mut device: Device) {
        self.world.ledger.book().devices.paired(&device.member);
        let mut held = BTreeSet::new();
        let mut last = None;
        let connections = self.rng.random_range(2..8);
        for _ in 0..connections {
            last = self.connect(&device, last, &mut held).await;
            device.drop_connections();
            let grace = self.world.plan.grace.as_secs_f64();
            let (away, deed) = if self.rng.random_bool(0.6) {
                (
                    self.rng.random_range(0.0..0.7) * grace,
                    "lost for less than the grace",
                )
            } else {
                (
                    self.rng.random_range(1.5..4.0) * grace,
                    "lost for longer than the grace",
                )
            };
            self.world.ledger.did(deed);
            sleep(Duration::from_secs_f64(away)).await;
        }
        device.leave().await;
    }

    fn mood(&mut self) -> Mood {
        if let Some(mood) = self.always {
            return mood;
        }
        match self.rng.random_range(0..100) {
            0..2 => Mood::Stalled,
            2 => Mood::Fumbling,
            3..8 => Mood::Lively(Pace::Slow(self.rng.random_range(25_000..80_000))),
            _ => Mood::Lively(Pace::Fast),
        }
    }

    /// Has a stream for a while; what it knew of the room in the end.
    async fn connect(
        &mut self,
        device: &Device,
        last: Option<View>,
        held: &mut BTreeSet<String>,
    ) -> Option<View> {
        let since = Instant::now();
        let offset_ms = device.clock_offset(since).await?;
        let how = match (&last, self.rng.random_range(0..3)) {
            (None, _) | (_, 0) => Return::Anew,
            (_, 1) => Return::LastEvent,
            _ => Return::Playing,
        };
        let opened = self.open(device, last, how, offset_ms).await;
        let breach = opened.as_ref().err().cloned();
        self.world.ledger.hold(Promise::ComesBack, breach);
        let Ok((stream, mut view, first)) = opened else {
            sleep(BREATH).await;
            return None;
        };
        if !self.world.ledger.hear(&device.member, &first, &mut view) {
            return None;
        }
        self.world.ledger.came(&device.member, view.count);
        let mood = self.mood();
        let stay = match mood {
            Mood::Stalled | Mood::Fumbling => STALL,
            Mood::Lively(_) => self.world.stay().mul_f64(self.rng.random_range(0.3..1.7)),
        };
        let (views, seen) = watch::channel(view);
        let hands = Hands {
            device,
            seen,
            server_ms: Box::new(move || offset_ms + since.elapsed().as_secs_f64() * 1e3),
        };
        let seed = self.rng.random();
        tokio::select! {
            () = self.follow(device, stream, &views) => {
                self.world.ledger.went(&device.member);
                sleep(BREATH).await;
            }
            () = hands.act(mood, held, seed) => {}
            () = self.stay(device, stay) => {}
        }
        Some(views.borrow().clone())
    }

    /// Opens a stream, whose first message must be what was asked for.
    async fn open(
        &self,
        device: &Device,
        last: Option<View>,
        how: Return,
        offset_ms: f64,
    ) -> Result<(EventStream, View, Event), String> {
        let mut path = "/events".to_owned();
        let position = last.as_ref().and_then(|view| {
            let at = view.anchor_at_ms?;
            let passed = (offset_ms - at).max(0.0) / 1e3;
            Some((view.track(0)?, view.anchor() + passed))
        });
        if let (Return::Playing, Some((track, position))) = (how, position) {
            let devices = &mut self.world.ledger.book().devices;
            devices.claims(&device.member, track);
            path = format!("/events?trackId={track}&positionSec={position}");
        }
        let mut request = device.request(Method::GET, &path);
        let known = last
            .as_ref()
            .map(|view| view.count)
            .filter(|_| how == Return::LastEvent);
        if let Some(known) = known {
            request = request.header("Last-Event-ID", known);
        }
        let mut stream = EventStream::open(request).await?;
        let first = stream.next().await?;
        let view = match (first.name.as_str(), last) {
            ("snapshot", last) => {
                let view = View::of(first.payload.clone()).map_err(|(_, text)| text)?;
                if let Some(last) = last.filter(|last| last.count > view.count) {
                    return Err(format!(
                        "a stream begins with {}, after {}",
                        view.count, last.count
                    ));
                }
                view
            }
            (_, Some(last)) if known.is_some() => {
                self.world.ledger.did("caught up by Last-Event-ID");
                last
            }
            _ => return Err(format!("a stream begins with {}", first.text)),
        };
        Ok((stream, view, first))
    }

    /// Hears until something is wrong.
    async fn follow(&self, device: &Device, mut stream: EventStream, views: &watch::Sender<View>) {
        let ledger = &self.world.ledger;
        loop {
            match stream.next().await {
                Ok(event) => {
                    let mut view = views.borrow().clone();
                    if !ledger.hear(&device.member, &event, &mut view) {
                        return;
                    }
                    ledger.hold(Promise::ComesBack, None);
                    views.send_replace(view);
                }
                Err(breach) => return ledger.hold(Promise::ComesBack, Some(breach)),
            }
        }
    }

    /// Ends when the phone loses its connection; never once nobody is to go any more.
    async fn stay(&self, device: &Device, stay: Duration) {
        sleep(stay).await;
        if self.world.is_quiet() {
            std::future::pending::<()>().await;
        }
        // Before the sockets are gone: the server may see it at once.
        self.world.ledger.went(&device.member);
    }
}
