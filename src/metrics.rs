//! What the server counts of its own work, for `GET /metrics`. What is true at a moment (who listens, how large the library
//! is) is not kept here: `http` looks it up when somebody asks.

mod text;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use text::{Kind, Text};

/// Where the buckets of a write of the state end, in seconds.
const COMMIT_SEC: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
];
/// Those of a barrier. Who does nothing is waited for 15 s.
const BARRIER_SEC: &[f64] = &[0.05, 0.25, 1.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0];
/// Those of a look through the audio folder.
const SCAN_SEC: &[f64] = &[0.01, 0.1, 0.5, 2.5, 10.0, 60.0, 600.0];

/// How a barrier ended that was open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Everybody who was there when it opened had the track.
    Complete,
    /// The music started without somebody.
    Shrunk,
    /// The music did not start: somebody paused, or went to another track.
    Dropped,
}

impl Outcome {
    const ALL: [Outcome; 3] = [Outcome::Complete, Outcome::Shrunk, Outcome::Dropped];

    fn name(self) -> &'static str {
        match self {
            Outcome::Complete => "complete",
            Outcome::Shrunk => "shrunk",
            Outcome::Dropped => "dropped",
        }
    }
}

/// Everything that is counted since the process began.
#[derive(Debug)]
pub struct Metrics {
    began: SystemTime,
    /// Answers, by status.
    pub answers: Counters<u16>,
    /// Answers to commands, by the command's name and the status.
    pub commands: Counters<(String, u16)>,
    /// Accepted changes of the state, by name.
    pub events: Counters<&'static str>,
    /// Barriers that ended, by type and outcome.
    pub barriers: Counters<(&'static str, Outcome)>,
    /// How long those were open.
    pub barrier_durations: Histogram,
    /// Members that were no longer waited for, by the reason.
    pub members_lost: Counters<&'static str>,
    /// Writes of the state, from when their commands were decided until they were on the disk.
    pub commits: Histogram,
    /// Writes of the state that failed.
    pub failed_commits: Counter,
    /// Bytes of files, with their answers' heads.
    pub sent_files: Counter,
    /// Bytes of event streams.
    pub sent_events: Counter,
    /// All other bytes that were sent.
    pub sent_others: Counter,
    /// Looks through the audio folder.
    pub scans: Histogram,
    /// Looks that failed.
    pub failed_scans: Counter,
    /// Files that were looked into.
    pub files_read: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let ways = |kind| Outcome::ALL.map(|outcome| (kind, outcome));
        Metrics {
            began: SystemTime::now(),
            answers: Counters::default(),
            commands: Counters::default(),
            events: Counters::default(),
            barriers: Counters::of(["track", "resume"].map(ways).concat()),
            barrier_durations: Histogram::new(BARRIER_SEC),
            members_lost: Counters::of(["left", "vanished", "stalled", "skipped"]),
            commits: Histogram::new(COMMIT_SEC),
            failed_commits: Counter::default(),
            sent_files: Counter::default(),
            sent_events: Counter::default(),
            sent_others: Counter::default(),
            scans: Histogram::new(SCAN_SEC),
            failed_scans: Counter::default(),
            files_read: Counter::default(),
        }
    }
}

impl Metrics {
    /// Writes all of it.
    pub fn write(&self, text: &mut Text) {
        let since = self.began.duration_since(UNIX_EPOCH).unwrap_or_default();
        text.family(
            "process_start_time_seconds",
            Kind::Gauge,
            "When the process began, in seconds since 1970.",
        )
        .sample(&[], since.as_secs_f64());
        text.family(
            "lockstep_http_responses_total",
            Kind::Counter,
            "Answers to requests.",
        )
        .samples(&self.answers, |status| [("status", status.to_string())]);
        text.family(
            "lockstep_commands_total",
            Kind::Counter,
            "Answers to commands.",
        )
        .samples(&self.commands, |(command, status)| {
            [("command", command.clone()), ("status", status.to_string())]
        });
        text.family(
            "lockstep_events_total",
            Kind::Counter,
            "Accepted changes of the state.",
        )
        .samples(&self.events, |event| [("event", (*event).into())]);
        self.write_barriers(text);
        text.family(
            "lockstep_commit_duration_seconds",
            Kind::Histogram,
            "What a write of the state took, from the decision until it was on the disk.",
        )
        .histogram(&self.commits);
        text.family(
            "lockstep_commit_failures_total",
            Kind::Counter,
            "Writes of the state that failed; their commands were refused.",
        )
        .sample(&[], self.failed_commits.get() as f64);
        let mut sent = text.family(
            "lockstep_sent_bytes_total",
            Kind::Counter,
            "Bytes that the system has taken to be sent.",
        );
        for (kind, bytes) in [
            ("file", &self.sent_files),
            ("event", &self.sent_events),
            ("other", &self.sent_others),
        ] {
            sent.sample(&[("kind", kind)], bytes.get() as f64);
        }
        self.write_scans(text);
    }

    fn write_barriers(&self, text: &mut Text) {
        text.family(
            "lockstep_barriers_total",
            Kind::Counter,
            "Waits before a start that are over: complete, without somebody (shrunk), or given up (dropped).",
        )
        .samples(&self.barriers, |(kind, outcome)| {
            [("type", (*kind).into()), ("outcome", outcome.name().into())]
        });
        text.family(
            "lockstep_barrier_duration_seconds",
            Kind::Histogram,
            "How long those waits were.",
        )
        .histogram(&self.barrier_durations);
        text.family(
            "lockstep_barrier_members_lost_total",
            Kind::Counter,
            "Listeners that were waited for until they left, vanished, stalled or were skipped.",
        )
        .samples(&self.members_lost, |reason| [("reason", (*reason).into())]);
    }

    fn write_scans(&self, text: &mut Text) {
        text.family(
            "lockstep_scan_duration_seconds",
            Kind::Histogram,
            "What a look through the audio folder took.",
        )
        .histogram(&self.scans);
        for (name, help, counter) in [
            (
                "lockstep_scan_failures_total",
                "Looks through the audio folder that failed.",
                &self.failed_scans,
            ),
            (
                "lockstep_scan_files_read_total",
                "Files in the audio folder that were looked into.",
                &self.files_read,
            ),
        ] {
            text.family(name, Kind::Counter, help)
                .sample(&[], counter.get() as f64);
        }
    }
}

/// Counts up.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// By so much.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// How far it is.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counters of the same thing that differ in their labels, of which there must be few.
#[derive(Debug)]
pub struct Counters<L>(Mutex<BTreeMap<L, u64>>);

impl<L> Default for Counters<L> {
    fn default() -> Self {
        Counters(Mutex::default())
    }
}

impl<L: Ord> Counters<L> {
    /// These are told before the first is counted, so that a rate knows where it began.
    fn of(labels: impl IntoIterator<Item = L>) -> Self {
        let zeros = labels.into_iter().map(|label| (label, 0));
        Counters(Mutex::new(zeros.collect()))
    }

    /// One more.
    pub fn count(&self, label: L) {
        *lock(&self.0).entry(label).or_default() += 1;
    }
}

/// How long something took each time.
#[derive(Debug)]
pub struct Histogram {
    /// Where its buckets end, in seconds.
    bounds: &'static [f64],
    taken: Mutex<Taken>,
}

#[derive(Debug, Clone)]
struct Taken {
    /// The last is of whatever took longer than the last bound.
    buckets: Vec<u64>,
    sum: Duration,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        let taken = Taken {
            buckets: vec![0; bounds.len() + 1],
            sum: Duration::ZERO,
        };
        Histogram {
            bounds,
            taken: Mutex::new(taken),
        }
    }

    /// It took so long this time.
    pub fn observe(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = self.bounds.partition_point(|bound| *bound < seconds);
        let mut taken = lock(&self.taken);
        taken.buckets[bucket] += 1;
        taken.sum += took;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
