//! The actions of a phone while its event stream is open: downloads and acknowledges tracks, sends commands, reports the end
//! of each track, and compares snapshots with its view.

use std::collections::{BTreeSet, HashSet};
use std::future::pending;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::checked_device::{CheckedDevice, CommandOutcome};
use super::client::RoomView;
use super::command::{self, Command, Mistake};
use super::download::{ReadRate, download, download_first_part};
use super::phone::Behavior;
use super::talk::talk_repeatedly;
use super::uploads::upload_repeatedly;
use super::votes::vote_repeatedly;

/// Interval of a phone's snapshot comparisons.
const SNAPSHOT_INTERVAL: Duration = Duration::from_secs(3);
/// The interval at which an unproductive phone repeats its requests.
const UNPRODUCTIVE_INTERVAL: Duration = Duration::from_secs(2);
/// Half of the commands are sent at a multiple of this time, so that some arrive simultaneously.
const SIMULTANEOUS_INTERVAL: Duration = Duration::from_secs(1);
/// The timeout of waiting for the event that made a command stale, and the delay before a failed request is repeated.
const RETRY_DELAY: Duration = Duration::from_secs(2);

/// A phone with an open event stream.
pub(super) struct Actions<'a> {
    pub(super) device: &'a CheckedDevice,
    /// The room as the phone's stream shows it.
    pub(super) views: watch::Receiver<RoomView>,
    /// Estimates the server's clock, in milliseconds.
    pub(super) server_ms: Box<dyn Fn() -> f64 + Send + Sync>,
}

impl Actions<'_> {
    /// Runs the actions until the future is dropped. `downloaded` contains the IDs of the tracks that the phone has
    /// downloaded.
    pub(super) async fn run(
        &self,
        behavior: Behavior,
        downloaded: &mut BTreeSet<String>,
        seed: u64,
    ) {
        let recorder = &self.device.context.recorder;
        let rate = match behavior {
            Behavior::Active(rate) => rate,
            Behavior::Idle => {
                recorder.count_action("stayed idle");
                return pending().await;
            }
            Behavior::Unproductive => {
                recorder.count_action("repeated the same download");
                return self.act_unproductively().await;
            }
        };
        if matches!(rate, ReadRate::Limited(_)) {
            recorder.count_action("downloaded slowly");
        }
        tokio::join!(
            self.download_and_ack(rate, downloaded, StdRng::seed_from_u64(seed)),
            self.send_commands(StdRng::seed_from_u64(!seed)),
            self.send_next_at_track_end(),
            self.check_snapshots(),
            upload_repeatedly(self.device, StdRng::seed_from_u64(seed.rotate_left(1))),
            talk_repeatedly(self.device, StdRng::seed_from_u64(seed.rotate_left(3))),
            vote_repeatedly(
                self.device,
                || self.view(),
                StdRng::seed_from_u64(seed.rotate_left(2))
            ),
        );
    }

    fn view(&self) -> RoomView {
        self.views.borrow().clone()
    }

    /// Downloads the current track and the next one, and acknowledges each.
    async fn download_and_ack(
        &self,
        rate: ReadRate,
        downloaded: &mut BTreeSet<String>,
        mut rng: StdRng,
    ) {
        let context = &self.device.context;
        let mut views = self.views.clone();
        let mut acknowledged = HashSet::new();
        loop {
            let view = views.borrow_and_update().clone();
            let wanted = wanted_tracks(&view);
            let unacknowledged = wanted
                .iter()
                .find(|id| downloaded.contains(*id) && !acknowledged.contains(*id));
            if let Some(id) = unacknowledged {
                if self.ack(id, &view, &mut rng).await {
                    acknowledged.insert(id.clone());
                }
                continue;
            }
            let missing = wanted.iter().find(|id| !downloaded.contains(*id));
            let indexed = missing.and_then(|id| Some((id, context.track(id)?)));
            let Some((id, track)) = indexed else {
                // The sender lives longer than this future.
                let _ = views.changed().await;
                continue;
            };
            tokio::select! {
                complete = download(self.device, id, &track, rate) => {
                    if complete {
                        context.recorder.count_action("downloaded a track");
                        downloaded.insert(id.clone());
                    } else {
                        sleep(RETRY_DELAY).await;
                    }
                }
                () = self.wait_until(|view| !wanted_tracks(view).contains(id)) => {
                    context.recorder.count_action("cancelled a download");
                }
            }
        }
    }

    /// Acknowledges a track, in two percent of the cases as not playable. Returns whether the server accepted the
    /// acknowledgement. If not, first waits until a retry can succeed.
    async fn ack(&self, id: &str, view: &RoomView, rng: &mut StdRng) -> bool {
        let command = Command::AckDownload {
            track: id.to_owned(),
            playable: !rng.random_bool(0.02),
        };
        let minimal = rng.random_bool(0.5);
        let sent = self
            .device
            .send_command(&command, Mistake::None, view, minimal);
        match sent.await {
            Some(CommandOutcome::Accepted) => return true,
            Some(CommandOutcome::Stale(count)) => self.wait_for_event(count).await,
            _ => sleep(RETRY_DELAY).await,
        }
        false
    }

    /// Repeats the same partial download and the same acknowledgement. The server must not count the repetitions as
    /// progress, and must remove the phone from the barrier as stalled.
    async fn act_unproductively(&self) {
        let first = self.view();
        // The acknowledged track is the one that becomes current last, so that the acknowledgement does not make the
        // phone ready for the current barrier.
        let last = (first.queue().len() > 3)
            .then(|| first.track_after_current(first.queue().len() - 1))
            .flatten();
        let ack = last.map(|track| Command::AckDownload {
            track: track.to_owned(),
            playable: true,
        });
        loop {
            let view = self.view();
            if let Some(track) = view.track_after_current(0) {
                download_first_part(self.device, track).await;
            }
            if let Some(ack) = &ack {
                self.device
                    .send_command(ack, Mistake::None, &view, true)
                    .await;
            }
            sleep(UNPRODUCTIVE_INTERVAL).await;
        }
    }

    async fn wait_until(&self, holds: impl Fn(&RoomView) -> bool) {
        // The sender lives longer than this future.
        let _ = self.views.clone().wait_for(|view| holds(view)).await;
    }

    /// Waits for the event with this count, for at most [`RETRY_DELAY`].
    async fn wait_for_event(&self, count: u64) {
        let received = self.wait_until(|view| view.event_count >= count);
        // A timeout needs no handling: the next command is then stale again, and its response says so.
        let _ = timeout(RETRY_DELAY, received).await;
    }

    async fn send_commands(&self, mut rng: StdRng) {
        let context = &self.device.context;
        loop {
            // The exponential distribution is memoryless, so phones with short connections send commands at the same rate
            // as others.
            let factor = -rng.random_range(f64::MIN_POSITIVE..1.0).ln();
            sleep(context.command_interval().mul_f64(factor)).await;
            if rng.random_bool(0.5) {
                let interval = SIMULTANEOUS_INTERVAL.as_secs_f64();
                let rest = interval - context.recorder.elapsed().as_secs_f64() % interval;
                sleep(Duration::from_secs_f64(rest)).await;
            }
            if context.is_winding_down() {
                return;
            }
            let view = self.view();
            let (command, mistake) = command::choose(&mut rng, &view, context);
            if context.keeps_barriers() && view.barrier().is_some() && command.ends_a_barrier() {
                continue;
            }
            let minimal = rng.random_bool(0.3);
            let sent = self.device.send_command(&command, mistake, &view, minimal);
            if let (Some(CommandOutcome::Stale(count)), Mistake::None, true) =
                (sent.await, mistake, rng.random_bool(0.4))
            {
                self.wait_for_event(count).await;
                self.device
                    .send_command(&command, Mistake::None, &self.view(), false)
                    .await;
            }
        }
    }

    /// Reports the end of each track. Every phone does so, and the server accepts only the first of these commands.
    async fn send_next_at_track_end(&self) {
        let mut views = self.views.clone();
        loop {
            let view = views.borrow_and_update().clone();
            let Some(remaining_ms) = self.remaining_ms(&view) else {
                let _ = views.changed().await;
                continue;
            };
            tokio::select! {
                () = sleep(Duration::from_secs_f64(remaining_ms.max(0.0) / 1e3)) => {
                    self.device.context.recorder.count_action("reported the end of a track");
                    if let Some(track) = view.track_after_current(0) {
                        let ended = Command::Ended(track.to_owned());
                        self.device
                            .send_command(&ended, Mistake::None, &view, true)
                            .await;
                    }
                    self.wait_until(|now| now.event_count > view.event_count).await;
                }
                _ = views.changed() => {}
            }
        }
    }

    /// The time until the current track ends, in milliseconds; `None` while no music plays.
    fn remaining_ms(&self, view: &RoomView) -> Option<f64> {
        let anchor_at_ms = view.anchor_at_ms.filter(|_| view.is_playing())?;
        let track = self.device.context.track(view.track_after_current(0)?)?;
        let rest_ms = (track.duration_sec? - view.anchor_position_sec()) * 1e3;
        Some(anchor_at_ms + rest_ms - (self.server_ms)())
    }

    async fn check_snapshots(&self) {
        loop {
            sleep(SNAPSHOT_INTERVAL).await;
            self.device.check_snapshot().await;
        }
    }
}

/// The current track and the next one.
fn wanted_tracks(view: &RoomView) -> Vec<String> {
    (0..2)
        .filter_map(|places| view.track_after_current(places))
        .map(str::to_owned)
        .collect()
}
