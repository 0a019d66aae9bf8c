//! What a phone does while it has a stream: it fetches what comes next and says so, presses buttons, asks for the
//! next track at the end of one, and looks now and then whether the server sees the room as it does.

use std::collections::{BTreeSet, HashSet};
use std::future::pending;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::device::{Device, Outcome};
use super::download::{Pace, download, piece};
use super::phone::Mood;
use super::press::{self, Press, Slip};
use super::view::View;

/// How often a phone compares its room with the server's.
const LOOK_PAUSE: Duration = Duration::from_secs(3);
/// How soon a phone that gets nowhere tries again.
const FUMBLE_PAUSE: Duration = Duration::from_secs(2);
/// Many press on the beat, so that some press at the same moment.
const BEAT: Duration = Duration::from_secs(1);
/// How long to wait for the event that made a command stale.
const CATCH_UP: Duration = Duration::from_secs(2);

/// A phone's hands.
pub(super) struct Hands<'a> {
    pub(super) device: &'a Device,
    /// The room as its stream has it.
    pub(super) seen: watch::Receiver<View>,
    /// The server's clock.
    pub(super) server_ms: Box<dyn Fn() -> f64 + Send + Sync>,
}

impl Hands<'_> {
    /// Never ends by itself.
    pub(super) async fn act(&self, mood: Mood, held: &mut BTreeSet<String>, seed: u64) {
        let pace = match mood {
            Mood::Lively(pace) => pace,
            Mood::Stalled => {
                self.device.world.ledger.did("stalled");
                return pending().await;
            }
            Mood::Fumbling => {
                self.device.world.ledger.did("got nowhere");
                return self.fumble().await;
            }
        };
        if matches!(pace, Pace::Slow(_)) {
            self.device.world.ledger.did("slow");
        }
        tokio::join!(
            self.fetch(pace, held, StdRng::seed_from_u64(seed)),
            self.press_buttons(StdRng::seed_from_u64(!seed)),
            self.ask_for_next(),
            self.look_around(),
        );
    }

    fn view(&self) -> View {
        self.seen.borrow().clone()
    }

    /// Gets the current track and the next one whole, and acknowledges each.
    async fn fetch(&self, pace: Pace, held: &mut BTreeSet<String>, mut rng: StdRng) {
        let world = &self.device.world;
        let mut seen = self.seen.clone();
        let mut acknowledged = HashSet::new();
        loop {
            let view = seen.borrow_and_update().clone();
            let wanted = wanted(&view);
            let ready = |id: &&String| held.contains(*id) && !acknowledged.contains(*id);
            if let Some(id) = wanted.iter().find(ready) {
                let playable = !rng.random_bool(0.02);
                let press = Press::Acknowledge {
                    track: id.clone(),
                    playable,
                };
                match self
                    .device
                    .press(&press, Slip::None, &view, rng.random_bool(0.5))
                    .await
                {
                    Some(Outcome::Accepted) => {
                        acknowledged.insert(id.clone());
                    }
                    Some(Outcome::Stale(count)) => self.catch_up(count).await,
                    _ => sleep(CATCH_UP).await,
                }
                continue;
            }
            let missing = wanted.iter().find(|id| !held.contains(*id));
            let known = missing.and_then(|id| Some((id, world.track(id)?)));
            let Some((id, track)) = known else {
                // The sender outlives these hands.
                let _ = seen.changed().await;
                continue;
            };
            tokio::select! {
                whole = download(self.device, id, track, pace) => {
                    if whole {
                        world.ledger.did("downloaded");
                        held.insert(id.clone());
                    } else {
                        sleep(CATCH_UP).await;
                    }
                }
                () = self.until(|view| !self::wanted(view).contains(id)) => {
                    world.ledger.did("broke off a download");
                }
            }
        }
    }

    /// Asks for the same piece of the current track, and says the same of another one, again and again.
    async fn fumble(&self) {
        let first = self.view();
        // The last to become the current one, so that nobody takes this phone for ready.
        let far = (first.queue().len() > 3)
            .then(|| first.track(first.queue().len() - 1))
            .flatten();
        let far = far.map(|track| Press::Acknowledge {
            track: track.to_owned(),
            playable: true,
        });
        loop {
            let view = self.view();
            if let Some(track) = view.track(0) {
                piece(self.device, track).await;
            }
            if let Some(far) = &far {
                self.device.press(far, Slip::None, &view, true).await;
            }
            sleep(FUMBLE_PAUSE).await;
        }
    }

    /// Waits for a room that is so.
    async fn until(&self, holds: impl Fn(&View) -> bool) {
        // The sender outlives these hands.
        let _ = self.seen.clone().wait_for(|view| holds(view)).await;
    }

    /// Waits for the event that made a command stale, but not for ever.
    async fn catch_up(&self, count: u64) {
        let known = self.until(|view| view.count >= count);
        // Without it the next try is stale as well, and tells so.
        let _ = timeout(CATCH_UP, known).await;
    }

    async fn press_buttons(&self, mut rng: StdRng) {
        let world = &self.device.world;
        loop {
            // However short its connections are, a phone presses as often as others.
            let waits: f64 = -rng.random_range(f64::MIN_POSITIVE..1.0).ln();
            sleep(world.press_pause().mul_f64(waits)).await;
            if rng.random_bool(0.5) {
                let beat = BEAT.as_secs_f64();
                let rest = beat - world.ledger.elapsed().as_secs_f64() % beat;
                sleep(Duration::from_secs_f64(rest)).await;
            }
            if world.is_quiet() {
                return;
            }
            let view = self.view();
            let (press, slip) = press::choose(&mut rng, &view, world);
            if world.is_lull() && view.barrier().is_some() && press.ends_a_wait() {
                continue;
            }
            let outcome = self
                .device
                .press(&press, slip, &view, rng.random_bool(0.3))
                .await;
            if let (Some(Outcome::Stale(count)), Slip::None, true) =
                (outcome, slip, rng.random_bool(0.4))
            {
                self.catch_up(count).await;
                self.device
                    .press(&press, Slip::None, &self.view(), false)
                    .await;
            }
        }
    }

    /// At a track's end everybody asks for the next one; the first wins.
    async fn ask_for_next(&self) {
        let mut seen = self.seen.clone();
        loop {
            let view = seen.borrow_and_update().clone();
            let Some(left) = self.left_ms(&view) else {
                let _ = seen.changed().await;
                continue;
            };
            tokio::select! {
                () = sleep(Duration::from_secs_f64(left.max(0.0) / 1e3)) => {
                    self.device.world.ledger.did("asked for the next at a track's end");
                    self.device.press(&Press::Next, Slip::None, &view, true).await;
                    self.until(|now| now.count > view.count).await;
                }
                _ = seen.changed() => {}
            }
        }
    }

    /// How long the music goes on, in milliseconds.
    fn left_ms(&self, view: &View) -> Option<f64> {
        let at = view.anchor_at_ms.filter(|_| view.is_playing())?;
        let duration = self.device.world.track(view.track(0)?)?.duration?;
        Some(at + (duration - view.anchor()) * 1e3 - (self.server_ms)())
    }

    async fn look_around(&self) {
        loop {
            sleep(LOOK_PAUSE).await;
            self.device.look().await;
        }
    }
}

/// The current track and the next one.
fn wanted(view: &View) -> Vec<String> {
    (0..2)
        .filter_map(|places| view.track(places))
        .map(str::to_owned)
        .collect()
}
