//! Whether the state file can be written at present, for health checks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, timeout};

use crate::store::Store;

/// How long the result of a trial write is reused. Limits the trial writes, because any client may request health checks.
const TRIAL_INTERVAL: Duration = Duration::from_secs(1);
/// The time after which a trial write that has not ended counts as failed.
const TRIAL_TIMEOUT: Duration = Duration::from_secs(2);

/// Whether the state can be saved, judged by the result of the last write and by trial writes. Trial writes are needed because
/// a room without commands writes nothing for hours.
#[derive(Debug)]
pub(super) struct WriteHealth {
    /// A weak reference, so that the end of the hub's task drops the store and thereby releases the lock on the state file.
    store: Weak<Store>,
    last_write_failed: AtomicBool,
    trial: Mutex<Trial>,
}

#[derive(Debug, Default)]
struct Trial {
    /// A trial write that has not ended yet. Meanwhile, no other trial write is started, because on a disk that hangs, each
    /// would occupy a thread.
    running: Option<JoinHandle<bool>>,
    /// The time of the last result, and whether the trial write succeeded.
    last_result: Option<(Instant, bool)>,
}

impl WriteHealth {
    pub(super) fn new(store: &Arc<Store>) -> Self {
        WriteHealth {
            store: Arc::downgrade(store),
            last_write_failed: AtomicBool::new(false),
            trial: Mutex::default(),
        }
    }

    /// Records the result of a write of the state.
    pub(super) fn set_last_write_failed(&self, has_failed: bool) {
        self.last_write_failed.store(has_failed, Ordering::Relaxed);
    }

    /// Whether the last write succeeded, and a trial write succeeds now.
    pub(super) async fn can_write(&self) -> bool {
        if self.last_write_failed.load(Ordering::Relaxed) {
            return false;
        }
        let mut trial = self.trial.lock().await;
        if let Some((at, can_write)) = trial.last_result {
            if at.elapsed() < TRIAL_INTERVAL {
                return can_write;
            }
        }
        let Some(store) = self.store.upgrade() else {
            return false;
        };
        let running = trial
            .running
            .get_or_insert_with(|| spawn_blocking(move || store.try_write().is_ok()));
        let can_write = match timeout(TRIAL_TIMEOUT, running).await {
            Ok(result) => {
                trial.running = None;
                result.unwrap_or(false)
            }
            Err(_) => false,
        };
        trial.last_result = Some((Instant::now(), can_write));
        can_write
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn cannot_write_after_a_failed_write_or_without_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&folder.path().join("state.json")).unwrap());
        let health = WriteHealth::new(&store);
        assert!(health.can_write().await);
        health.set_last_write_failed(true);
        assert!(!health.can_write().await);
        health.set_last_write_failed(false);
        assert!(health.can_write().await);
        drop(folder);
        let health = WriteHealth::new(&store);
        assert!(!health.can_write().await);
    }
}
