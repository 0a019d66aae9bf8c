//! Requests to scan the audio folder, and corrections of the index. All pending requests are merged into one, so that they take
//! constant memory even if the file watcher reports many changes during a scan. There is at most one pending correction of each
//! kind for each track.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::duration_reports::DurationCorrection;
use super::index_builder::STABLE_AGE;
use super::loudness_reports::LoudnessCorrection;
use crate::room::TrackId;

/// The longest debounce: a scan starts this time after the first change even if the changes never pause for [`STABLE_AGE`].
pub(super) const MAX_DEBOUNCE: Duration = Duration::from_secs(30);

/// The options of a scan. By default, the scan is not forced and keeps the file watcher.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ScanRequest {
    /// Whether to accept every result, even an empty folder, to forget deleted files at once, and to read again the files that
    /// held no audio.
    pub(super) is_forced: bool,
    /// Whether to replace the file watcher, because the watcher may have missed changes.
    pub(super) must_restart_watcher: bool,
    /// Whether to begin at once, and not to wait for files that other programs are writing.
    pub(super) is_urgent: bool,
}

/// What devices have found out about tracks.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Corrections {
    pub(super) durations: BTreeMap<TrackId, DurationCorrection>,
    pub(super) loudness: BTreeMap<TrackId, LoudnessCorrection>,
}

impl Corrections {
    fn is_empty(&self) -> bool {
        self.durations.is_empty() && self.loudness.is_empty()
    }
}

/// Why [`ScanRequests::wait`] returned.
#[derive(Debug, PartialEq)]
pub(super) enum Wakeup {
    Requested(ScanRequest),
    /// Tracks must be corrected, without a scan.
    Corrections(Corrections),
    TimedOut,
    /// The library was dropped; the scanner must end.
    Closed,
}

/// No scanner is running, because the scanner panicked and has not been restarted yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the library scanner failed and has not restarted yet")]
pub struct NoScanner;

/// The pending request, shared by the library, the file watcher and the scanner.
#[derive(Debug, Default)]
pub(super) struct ScanRequests {
    pending: Mutex<Pending>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct Pending {
    request: Option<PendingRequest>,
    corrections: Corrections,
    is_scanner_down: bool,
    is_closed: bool,
}

/// All requests since the last one was returned.
#[derive(Debug)]
struct PendingRequest {
    merged: ScanRequest,
    first_at: Instant,
    last_at: Instant,
}

impl PendingRequest {
    /// The end of the debounce.
    fn due_at(&self) -> Instant {
        match self.merged.is_forced || self.merged.is_urgent {
            true => self.first_at,
            false => (self.last_at + STABLE_AGE).min(self.first_at + MAX_DEBOUNCE),
        }
    }
}

impl Pending {
    /// Whether the scanner has nothing to do.
    fn is_idle(&self) -> bool {
        self.request.is_none() && self.corrections.is_empty() && !self.is_closed
    }
}

impl ScanRequests {
    /// Requests a scan because the file watcher saw a change in the audio folder.
    pub(super) fn report_change(&self) {
        self.merge(&mut self.lock(), ScanRequest::default());
    }

    /// Requests a scan and a new file watcher because the file watcher may have missed changes.
    pub(super) fn report_missed_changes(&self) {
        let request = ScanRequest {
            must_restart_watcher: true,
            ..ScanRequest::default()
        };
        self.merge(&mut self.lock(), request);
    }

    /// Requests a forced scan, which starts without debounce.
    ///
    /// # Errors
    /// [`NoScanner`] while no scanner would handle the request.
    pub(super) fn request_rescan(&self) -> Result<(), NoScanner> {
        let mut pending = self.lock();
        if pending.is_scanner_down {
            return Err(NoScanner);
        }
        let request = ScanRequest {
            is_forced: true,
            ..ScanRequest::default()
        };
        self.merge(&mut pending, request);
        Ok(())
    }

    /// Requests a scan that starts without debounce, because the server has added or removed an upload.
    pub(super) fn request_upload_scan(&self) {
        let request = ScanRequest {
            is_urgent: true,
            ..ScanRequest::default()
        };
        self.merge(&mut self.lock(), request);
    }

    /// Requests a correction of the length of a track. Replaces a pending correction of the same track.
    pub(super) fn request_correction(&self, track_id: TrackId, correction: DurationCorrection) {
        let mut pending = self.lock();
        pending.corrections.durations.insert(track_id, correction);
        self.arrived.notify_all();
    }

    /// Requests a correction of the loudness of a track. Replaces a pending correction of the same kind and track.
    pub(super) fn request_loudness(&self, track_id: TrackId, correction: LoudnessCorrection) {
        let mut pending = self.lock();
        pending.corrections.loudness.insert(track_id, correction);
        self.arrived.notify_all();
    }

    /// Makes [`ScanRequests::request_rescan`] fail, because the scanner has panicked.
    pub(super) fn mark_scanner_down(&self) {
        self.lock().is_scanner_down = true;
    }

    /// Ends the effect of [`ScanRequests::mark_scanner_down`].
    pub(super) fn mark_scanner_restarted(&self) {
        self.lock().is_scanner_down = false;
    }

    /// Makes every current and later call of [`ScanRequests::wait`] return [`Wakeup::Closed`].
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.arrived.notify_all();
    }

    /// Waits for a request or a correction, for at most `timeout`. After the first request, waits until no request has arrived
    /// for [`STABLE_AGE`], so that one scan handles many changes, or until [`MAX_DEBOUNCE`] has passed; `timeout` no longer
    /// applies. A forced request ends the wait at once. Returns corrections at once, unless a scan is due: corrections may
    /// arrive without end, and must not postpone scans.
    pub(super) fn wait(&self, timeout: Duration) -> Wakeup {
        let timeout_at = Instant::now().checked_add(timeout);
        let mut pending = self.lock();
        loop {
            if pending.is_closed {
                return Wakeup::Closed;
            }
            let due_at = match &pending.request {
                Some(request) => Some(request.due_at()),
                None => timeout_at,
            };
            let left = due_at.map(|at| at.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                let request = pending.request.take();
                return request.map_or(Wakeup::TimedOut, |all| Wakeup::Requested(all.merged));
            }
            if !pending.corrections.is_empty() {
                return Wakeup::Corrections(std::mem::take(&mut pending.corrections));
            }
            let waited = self
                .arrived
                .wait_timeout(pending, left.unwrap_or(Duration::MAX));
            pending = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for a request or a correction, for at most `timeout`, and leaves both pending. Returns whether one is pending, or
    /// the requests are closed.
    pub(super) fn wait_for_arrival(&self, timeout: Duration) -> bool {
        !self.wait_while_idle(timeout).is_idle()
    }

    /// Waits until a request or a correction is pending or the requests are closed, for at most `timeout`.
    fn wait_while_idle(&self, timeout: Duration) -> MutexGuard<'_, Pending> {
        let waited = self
            .arrived
            .wait_timeout_while(self.lock(), timeout, |pending| pending.is_idle());
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Waits for `timeout`, even if a scan is requested; only [`ScanRequests::close`] ends the wait early. Returns
    /// whether the requests are closed.
    pub(super) fn wait_for_close(&self, timeout: Duration) -> bool {
        let is_open = |pending: &mut Pending| !pending.is_closed;
        let (pending, _) = self
            .arrived
            .wait_timeout_while(self.lock(), timeout, is_open)
            .unwrap_or_else(PoisonError::into_inner);
        pending.is_closed
    }

    fn merge(&self, pending: &mut Pending, request: ScanRequest) {
        let now = Instant::now();
        let all = pending.request.get_or_insert_with(|| PendingRequest {
            merged: ScanRequest::default(),
            first_at: now,
            last_at: now,
        });
        all.last_at = now;
        all.merged.is_forced |= request.is_forced;
        all.merged.must_restart_watcher |= request.must_restart_watcher;
        all.merged.is_urgent |= request.is_urgent;
        self.arrived.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::super::Version;
    use super::*;

    #[test]
    fn merges_any_number_of_requests_into_one_of_constant_size() {
        let requests = ScanRequests::default();
        requests.report_missed_changes();
        for _ in 0..100_000 {
            requests.report_change();
        }
        requests.request_rescan().unwrap();
        let merged = ScanRequest {
            is_forced: true,
            must_restart_watcher: true,
            is_urgent: false,
        };
        assert_eq!(requests.wait(Duration::MAX), Wakeup::Requested(merged));
        assert_eq!(requests.wait(Duration::ZERO), Wakeup::TimedOut);
    }

    #[test]
    fn a_forced_request_ends_the_debounce_at_once() {
        let requests = ScanRequests::default();
        let is_over = AtomicBool::new(false);
        let began = Instant::now();
        thread::scope(|scope| {
            // The changes never pause, so without a forced request the debounce would last for MAX_DEBOUNCE.
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    requests.report_change();
                    thread::sleep(Duration::from_millis(50));
                }
            });
            let waiting = scope.spawn(|| requests.wait(Duration::MAX));
            requests.request_rescan().unwrap();
            let wakeup = waiting.join().unwrap();
            is_over.store(true, Ordering::Relaxed);
            assert!(matches!(wakeup, Wakeup::Requested(request) if request.is_forced));
        });
        assert!(began.elapsed() < MAX_DEBOUNCE);
    }

    #[test]
    fn scan_starts_once_no_change_has_followed_for_the_stable_age() {
        let requests = ScanRequests::default();
        let began = Instant::now();
        requests.report_change();
        let request = ScanRequest::default();
        assert_eq!(requests.wait(Duration::MAX), Wakeup::Requested(request));
        assert!(began.elapsed() >= STABLE_AGE);
    }

    #[test]
    fn corrections_are_returned_during_the_debounce_and_keep_the_request() {
        let correction = |duration_sec| DurationCorrection {
            version: Version(1),
            duration_sec,
        };
        let requests = ScanRequests::default();
        let began = Instant::now();
        requests.report_change();
        for (track, duration_sec) in [(1, 5.0), (2, 6.0), (1, 7.0)] {
            requests.request_correction(TrackId(track), correction(duration_sec));
        }
        let expected = Corrections {
            durations: [(TrackId(1), correction(7.0)), (TrackId(2), correction(6.0))].into(),
            ..Corrections::default()
        };
        let wakeup = requests.wait(Duration::MAX);
        assert_eq!(wakeup, Wakeup::Corrections(expected));
        assert!(began.elapsed() < STABLE_AGE);
        let request = ScanRequest::default();
        assert_eq!(requests.wait(Duration::MAX), Wakeup::Requested(request));
    }

    #[test]
    fn corrections_without_end_do_not_postpone_a_scan() {
        let requests = ScanRequests::default();
        let correction = DurationCorrection {
            version: Version(1),
            duration_sec: 5.0,
        };
        let began = Instant::now();
        requests.report_change();
        let mut corrected = 0;
        loop {
            requests.request_correction(TrackId(1), correction);
            match requests.wait(Duration::MAX) {
                Wakeup::Corrections(_) => corrected += 1,
                wakeup => break assert_eq!(wakeup, Wakeup::Requested(ScanRequest::default())),
            }
            assert!(began.elapsed() < 4 * STABLE_AGE);
            thread::sleep(Duration::from_millis(50));
        }
        assert!(corrected > 0);
        // The time of the periodic scan has come.
        assert_eq!(requests.wait(Duration::ZERO), Wakeup::TimedOut);
        let left = requests.wait(Duration::MAX);
        assert!(matches!(left, Wakeup::Corrections(_)), "{left:?}");
    }

    #[test]
    fn refuses_a_rescan_while_the_scanner_is_down() {
        let requests = ScanRequests::default();
        requests.mark_scanner_down();
        assert_eq!(requests.request_rescan(), Err(NoScanner));
        assert_eq!(requests.wait(Duration::ZERO), Wakeup::TimedOut);
        requests.mark_scanner_restarted();
        assert_eq!(requests.request_rescan(), Ok(()));
    }

    #[test]
    fn closing_ends_every_wait() {
        let requests = ScanRequests::default();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| requests.wait(Duration::MAX));
            let backing_off = scope.spawn(|| requests.wait_for_close(Duration::MAX));
            requests.close();
            assert_eq!(waiting.join().unwrap(), Wakeup::Closed);
            assert!(backing_off.join().unwrap());
        });
        assert!(requests.wait_for_arrival(Duration::MAX));
    }

    #[test]
    fn a_request_is_seen_before_it_is_taken() {
        let requests = ScanRequests::default();
        assert!(!requests.wait_for_arrival(Duration::ZERO));
        requests.request_rescan().unwrap();
        assert!(requests.wait_for_arrival(Duration::MAX));
        let wakeup = requests.wait(Duration::MAX);
        assert!(matches!(wakeup, Wakeup::Requested(request) if request.is_forced));
        assert!(!requests.wait_for_arrival(Duration::ZERO));
    }
}
