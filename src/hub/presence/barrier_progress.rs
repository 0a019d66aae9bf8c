//! Progress of one device towards being ready at the open barrier, and when the device counts as stalled. Only new bytes and
//! first acknowledgements are progress: a device that repeats the same request must not keep the barrier open.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::super::byte_ranges::FetchedBytes;
use crate::room::TrackId;

/// How long a barrier member may make no progress before it is removed from the barrier.
pub(super) const STALL_TIMEOUT: Duration = Duration::from_secs(15);

/// The progress of one device since the barrier opened.
#[derive(Debug)]
pub(super) struct BarrierProgress {
    last_progress_at: Instant,
    fetched: FetchedBytes,
    /// The tracks that the device has acknowledged: at most all tracks of the catalog, so memory is bounded.
    acknowledged: BTreeSet<TrackId>,
}

impl BarrierProgress {
    pub(super) fn new(now: Instant) -> Self {
        BarrierProgress {
            last_progress_at: now,
            fetched: FetchedBytes::default(),
            acknowledged: BTreeSet::new(),
        }
    }

    /// Discards the recorded bytes and acknowledgements, because another barrier has opened or no barrier is open any more.
    pub(super) fn reset(&mut self) {
        self.fetched = FetchedBytes::default();
        self.acknowledged.clear();
    }

    /// Records that these bytes were sent to the device.
    pub(super) fn record_fetched(&mut self, fetched: &FetchedBytes, now: Instant) {
        for (track, bytes) in fetched.iter() {
            if self.fetched.insert(track, bytes) {
                self.last_progress_at = now;
            }
        }
    }

    /// Records that the device has acknowledged a track.
    pub(super) fn record_acknowledgement(&mut self, track: TrackId, now: Instant) {
        if self.acknowledged.insert(track) {
            self.last_progress_at = now;
        }
    }

    /// When the device counts as stalled unless it makes progress before that time. `barrier_since` is when the barrier
    /// opened.
    pub(super) fn stalls_at(&self, barrier_since: Instant) -> Instant {
        barrier_since.max(self.last_progress_at) + STALL_TIMEOUT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACK: TrackId = TrackId(1);

    /// A device with a clock. Each of its steps takes one second, and returns whether the step counted as progress.
    struct SteppedDevice {
        progress: BarrierProgress,
        now: Instant,
    }

    impl SteppedDevice {
        fn new() -> Self {
            let now = Instant::now();
            let progress = BarrierProgress::new(now);
            SteppedDevice { progress, now }
        }

        fn fetches(&mut self, track: TrackId, bytes: std::ops::Range<u64>) -> bool {
            self.now += Duration::from_secs(1);
            let mut fetched = FetchedBytes::default();
            fetched.insert(track, bytes);
            self.progress.record_fetched(&fetched, self.now);
            self.progress.last_progress_at == self.now
        }

        fn acknowledges(&mut self, track: TrackId) -> bool {
            self.now += Duration::from_secs(1);
            self.progress.record_acknowledgement(track, self.now);
            self.progress.last_progress_at == self.now
        }
    }

    #[test]
    fn only_bytes_beyond_those_already_fetched_are_progress() {
        let mut device = SteppedDevice::new();
        assert!(device.fetches(TRACK, 0..100));
        assert!(device.fetches(TRACK, 0..200));
        assert!(!device.fetches(TRACK, 0..1));
        assert!(!device.fetches(TRACK, 150..200));
        assert!(device.fetches(TRACK, 150..201));
        assert!(device.fetches(TrackId(2), 0..1));
    }

    #[test]
    fn only_the_first_acknowledgement_of_a_track_is_progress() {
        let mut device = SteppedDevice::new();
        assert!(device.acknowledges(TRACK));
        assert!(!device.acknowledges(TRACK));
        assert!(device.acknowledges(TrackId(2)));
    }

    #[test]
    fn stall_timeout_starts_at_the_barrier_or_at_later_progress() {
        let mut device = SteppedDevice::new();
        let start = device.now;
        let barrier_since = start + Duration::from_millis(500);
        let stalls_at = device.progress.stalls_at(barrier_since);
        assert_eq!(stalls_at, barrier_since + STALL_TIMEOUT);
        device.acknowledges(TRACK);
        let stalls_at = device.progress.stalls_at(barrier_since);
        assert_eq!(stalls_at, start + Duration::from_secs(1) + STALL_TIMEOUT);
    }
}
