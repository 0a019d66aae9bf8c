//! Relays the events of the library to the hub of the house room, the task that owns it, and retries each update that the hub could
//! not write. Announces them to the other rooms, each of which updates itself (`rooms/follow.rs`).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};

use crate::hub::Hub;
use crate::library::{LibraryEvent, ScanProgress};
use crate::room::{Command, TrackCatalog};
use crate::rooms::LibraryNews;

/// The time between a failed update of a hub and the next attempt.
pub(crate) const UPDATE_RETRY_INTERVAL: Duration = Duration::from_secs(10);

/// A hub, and the catalog that the relay must still submit to it.
struct Recipient {
    hub: Hub,
    /// The newest catalog; `None` once the hub has accepted it.
    pending: Option<Arc<TrackCatalog>>,
}

/// Relays `events` until their sender is dropped. Handles one event at a time, so that each hub is updated in the order in
/// which the library published its indexes; see [`LibraryEvent`] for that order. A hub that fails to write an update gets
/// the newest index after each `retry_interval`, and each time the library publishes an index, until a write succeeds.
/// Calls `on_progress` with the progress of each scan, before the hubs receive that progress.
///
/// If the disk of one hub hangs, the events for all `hubs` are delayed, and so is the next scan, because the relay waits for
/// each write without a timeout. The other rooms receive `news`, for which the relay never waits.
pub(crate) async fn run(
    hubs: Vec<Hub>,
    news: watch::Sender<LibraryNews>,
    mut events: mpsc::Receiver<LibraryEvent>,
    on_progress: impl Fn(ScanProgress),
    retry_interval: Duration,
) {
    let recipients = hubs.into_iter().map(|hub| Recipient { hub, pending: None });
    let mut recipients: Vec<_> = recipients.collect();
    // The final progress of the last scan. Reported again after a successful retry, because clients fetch the index when
    // they receive the final progress.
    let mut final_progress: Option<ScanProgress> = None;
    let mut retry_at: Option<Instant> = None;
    loop {
        let event = match retry_at {
            Some(retry_at) => timeout_at(retry_at, events.recv()).await,
            None => Ok(events.recv().await),
        };
        match event {
            Ok(None) => return,
            Ok(Some(LibraryEvent::ScanProgress(progress))) => {
                if progress.read == progress.total {
                    final_progress = Some(progress);
                }
                on_progress(progress);
                for recipient in &recipients {
                    recipient.hub.report_scan_progress(progress);
                }
                news.send_modify(|news| news.progress = Some(progress));
            }
            Ok(Some(LibraryEvent::IndexPublished(index))) => {
                // Shared by all rooms, because the catalog of a large library needs much memory.
                let catalog = Arc::new(index.for_room());
                news.send_modify(|news| news.catalog = Some(catalog.clone()));
                for recipient in &mut recipients {
                    recipient.pending = Some(catalog.clone());
                    recipient.update().await;
                }
                retry_at = next_retry(&recipients, retry_interval);
            }
            Err(_retry_is_due) => {
                for recipient in &mut recipients {
                    if recipient.pending.is_none() || !recipient.update().await {
                        continue;
                    }
                    if let Some(progress) = final_progress {
                        recipient.hub.report_scan_progress(progress);
                    }
                }
                retry_at = next_retry(&recipients, retry_interval);
            }
        }
    }
}

/// The time of the next retry; `None` if every hub has accepted the newest catalog.
fn next_retry(recipients: &[Recipient], retry_interval: Duration) -> Option<Instant> {
    let has_pending = |recipient: &Recipient| recipient.pending.is_some();
    let is_any_pending = recipients.iter().any(has_pending);
    is_any_pending.then(|| Instant::now() + retry_interval)
}

impl Recipient {
    /// Submits the pending catalog to the hub, and returns whether the hub has accepted it.
    async fn update(&mut self) -> bool {
        let Some(catalog) = &self.pending else {
            return true;
        };
        let command = Command::Library(catalog.clone());
        match self.hub.submit(command).await {
            Ok(_) => {
                self.pending = None;
                true
            }
            Err(error) => {
                tracing::warn!("cannot update a room from the library, and will retry: {error}");
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use tokio::sync::watch;

    use super::*;
    use crate::history::History;
    use crate::hub::StartState;
    use crate::hub::{Settings, ShutdownPhase};
    use crate::library::Scanner;
    use crate::metrics::{Metrics, RoomCounters};
    use crate::store::Store;

    async fn wait_until(condition: impl Fn() -> bool) {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// A folder for audio files, with one track.
    fn audio_folder(folder: &Path) -> std::path::PathBuf {
        let audio = folder.join("audio");
        fs::create_dir(&audio).unwrap();
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/fixture.ogg");
        fs::copy(fixture, audio.join("a.ogg")).unwrap();
        audio
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn retries_an_update_that_a_hub_could_not_write() {
        let folder = tempfile::tempdir().unwrap();
        let counters = Arc::new(RoomCounters::default());
        let audio = audio_folder(folder.path());
        let cache = folder.path().join("cache.json");
        let scanner =
            Scanner::open(&[audio], &cache, false, &[], Arc::new(Metrics::default())).unwrap();

        let (phase, receiver) = watch::channel(ShutdownPhase::Running);
        let settings = Settings {
            has_timed_starts: false,
            leave_grace: Duration::ZERO,
        };
        let start = |name: &str| {
            let state = folder.path().join(name);
            fs::create_dir(&state).unwrap();
            let store = Store::open(&state.join("state.json")).unwrap();
            let (history, _writer) = History::load(&state.join("state.json"));
            let (counters, phase) = (counters.clone(), receiver.clone());
            let state = StartState::default();
            Hub::start(state, store, settings, counters, history, phase)
        };
        let (failing, failing_task) = start("failing");
        let (working, working_task) = start("working");
        let queue_length = |hub: &Hub| hub.view().room.durable.queue.len();
        let (state, unmounted) = (
            folder.path().join("failing"),
            folder.path().join("unmounted"),
        );
        fs::rename(&state, &unmounted).unwrap();

        let (sender, events) = mpsc::channel(1);
        let hubs = vec![failing.clone(), working.clone()];
        let interval = Duration::from_millis(50);
        let relay = tokio::spawn(run(
            hubs,
            watch::Sender::new(LibraryNews::default()),
            events,
            |_| {},
            interval,
        ));
        let published = LibraryEvent::IndexPublished(scanner.index());
        sender.send(published).await.unwrap();
        wait_until(|| queue_length(&working) == 1).await;
        wait_until(|| counters.failed_commits.get() >= 2).await;
        assert_eq!(queue_length(&failing), 0);

        fs::rename(&unmounted, &state).unwrap();
        wait_until(|| queue_length(&failing) == 1).await;
        drop(sender);
        relay.await.unwrap();
        phase.send_replace(ShutdownPhase::Stopped);
        failing_task.await.unwrap();
        working_task.await.unwrap();
    }
}
