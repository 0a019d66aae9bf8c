//! Counters and histograms for `GET /metrics`. Gauges, such as the number of listeners, are not stored here: `http::metrics`
//! reads their current values at each request.

mod room;
mod text;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use room::{BarrierOutcome, RoomCounters, RoomLabel};
pub use text::{MetricType, MetricsText};

/// Upper bounds of the histogram buckets for the durations of scans of the audio folder, in seconds.
const SCAN_BUCKETS_SEC: &[f64] = &[0.01, 0.1, 0.5, 2.5, 10.0, 60.0, 600.0];

/// Counters and histograms of the server since the process started. Those of a room: [`RoomCounters`].
#[derive(Debug)]
pub struct Metrics {
    /// When the process started.
    started_at: SystemTime,
    /// HTTP responses, by status.
    pub responses: Counters<u16>,
    /// Bytes sent in responses with audio files, including the response headers.
    pub sent_file_bytes: Counter,
    /// Bytes sent on event streams.
    pub sent_event_bytes: Counter,
    /// All other bytes sent.
    pub sent_other_bytes: Counter,
    /// The durations of completed scans of the audio folder.
    pub scan_durations: Histogram,
    /// Failed scans of the audio folder.
    pub failed_scans: Counter,
    /// Audio files whose tags were read.
    pub files_read: Counter,
    /// Bytes of uploads that were written to the disk.
    pub uploaded_bytes: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics {
            started_at: SystemTime::now(),
            responses: Counters::default(),
            sent_file_bytes: Counter::default(),
            sent_event_bytes: Counter::default(),
            sent_other_bytes: Counter::default(),
            scan_durations: Histogram::new(SCAN_BUCKETS_SEC),
            failed_scans: Counter::default(),
            files_read: Counter::default(),
            uploaded_bytes: Counter::default(),
        }
    }
}

impl Metrics {
    /// Writes all counters and histograms, those of the rooms with the label of each; without a label if there is one room.
    pub fn write(&self, rooms: &[(RoomLabel, Arc<RoomCounters>)], text: &mut MetricsText) {
        let started = self
            .started_at
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        text.family(
            "process_start_time_seconds",
            MetricType::Gauge,
            "Start time of the process since the Unix epoch in seconds.",
        )
        .sample(&[], started.as_secs_f64());
        text.family(
            "lockstep_http_responses_total",
            MetricType::Counter,
            "HTTP responses by status.",
        )
        .samples(&None, &self.responses, |status| {
            [("status", status.to_string())]
        });
        RoomCounters::write(rooms, text);
        let mut sent = text.family(
            "lockstep_sent_bytes_total",
            MetricType::Counter,
            "Bytes written to sockets by kind of response.",
        );
        for (kind, bytes) in [
            ("file", &self.sent_file_bytes),
            ("event", &self.sent_event_bytes),
            ("other", &self.sent_other_bytes),
        ] {
            sent.sample(&[("kind", kind)], bytes.get() as f64);
        }
        self.write_scans(text);
    }

    fn write_scans(&self, text: &mut MetricsText) {
        text.family(
            "lockstep_scan_duration_seconds",
            MetricType::Histogram,
            "Duration of completed scans of the audio folder.",
        )
        .histogram(&None, &self.scan_durations);
        for (name, help, counter) in [
            (
                "lockstep_scan_failures_total",
                "Failed scans of the audio folder.",
                &self.failed_scans,
            ),
            (
                "lockstep_scan_files_read_total",
                "Audio files whose tags were read.",
                &self.files_read,
            ),
            (
                "lockstep_uploaded_bytes_total",
                "Bytes of uploads that were written to the disk.",
                &self.uploaded_bytes,
            ),
        ] {
            text.family(name, MetricType::Counter, help)
                .sample(&[], counter.get() as f64);
        }
    }
}

/// A monotonic count.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `increment` to the count.
    pub fn add(&self, increment: u64) {
        self.0.fetch_add(increment, Ordering::Relaxed);
    }

    /// The current count.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One counter for each label value. Counters are never removed, so there must be few different label values.
#[derive(Debug)]
pub struct Counters<L>(Mutex<BTreeMap<L, u64>>);

impl<L> Default for Counters<L> {
    fn default() -> Self {
        Counters(Mutex::default())
    }
}

impl<L: Ord> Counters<L> {
    /// Counters with the value 0 for all `labels`. Necessary because Prometheus cannot compute the rate of a counter that
    /// first appears with the value 1.
    fn zeroed(labels: impl IntoIterator<Item = L>) -> Self {
        let zeros = labels.into_iter().map(|label| (label, 0));
        Counters(Mutex::new(zeros.collect()))
    }

    /// Increases the counter of `label` by 1.
    pub fn count(&self, label: L) {
        *lock(&self.0).entry(label).or_default() += 1;
    }
}

/// A histogram of durations.
#[derive(Debug)]
pub struct Histogram {
    /// Upper bounds of the buckets, in seconds.
    bounds: &'static [f64],
    observations: Mutex<Observations>,
}

#[derive(Debug, Clone)]
struct Observations {
    /// One count for each bound, and a last count for durations above all bounds.
    buckets: Vec<u64>,
    sum: Duration,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        let observations = Observations {
            buckets: vec![0; bounds.len() + 1],
            sum: Duration::ZERO,
        };
        Histogram {
            bounds,
            observations: Mutex::new(observations),
        }
    }

    /// Adds a duration.
    pub fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = self.bounds.partition_point(|bound| *bound < seconds);
        let mut observations = lock(&self.observations);
        observations.buckets[bucket] += 1;
        observations.sum += duration;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
