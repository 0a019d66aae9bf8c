//! The counters and histograms of one room.

use std::sync::Arc;

use super::{Counter, Counters, Histogram, MetricType, MetricsText};

/// Upper bounds of the histogram buckets for the durations of writes of the state file, in seconds.
const COMMIT_BUCKETS_SEC: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
];
/// Upper bounds of the histogram buckets for the durations of barriers, in seconds. 15 s is the time after which a barrier
/// removes a listener whose download makes no progress.
const BARRIER_BUCKETS_SEC: &[f64] = &[0.05, 0.25, 1.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0];
/// The value of the label `room`; `None` without the label.
pub type RoomLabel = Option<String>;

/// How a barrier, the wait until every listener has the current track ([`crate::room::Barrier`]), ended. The initial members
/// are the listeners for which the barrier waited when it opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BarrierOutcome {
    /// The playback started with all initial members.
    Complete,
    /// The playback started after some of the initial members were removed from the barrier.
    Shrunk,
    /// The playback did not start, for example because of a command that paused it or selected another track.
    Dropped,
}

impl BarrierOutcome {
    const ALL: [BarrierOutcome; 3] = [
        BarrierOutcome::Complete,
        BarrierOutcome::Shrunk,
        BarrierOutcome::Dropped,
    ];

    /// The value of the label `outcome`.
    fn name(self) -> &'static str {
        match self {
            BarrierOutcome::Complete => "complete",
            BarrierOutcome::Shrunk => "shrunk",
            BarrierOutcome::Dropped => "dropped",
        }
    }
}

/// Counters and histograms of one room since the process started, or since the room was made.
#[derive(Debug)]
pub struct RoomCounters {
    /// HTTP responses to commands, by command name and status.
    pub commands: Counters<(String, u16)>,
    /// Room events, by name.
    pub events: Counters<&'static str>,
    /// Ended barriers, by type (`track` or `resume`) and outcome.
    pub barriers: Counters<(&'static str, BarrierOutcome)>,
    /// The time from the opening of a barrier to its end.
    pub barrier_durations: Histogram,
    /// Listeners removed from an open barrier, by reason.
    pub members_lost: Counters<&'static str>,
    /// The times from applying a batch of commands until the end of the write that saved the batch. Failed writes are left
    /// out.
    pub commit_durations: Histogram,
    /// Failed writes of the state file.
    pub failed_commits: Counter,
}

impl Default for RoomCounters {
    fn default() -> Self {
        let outcomes = |kind| BarrierOutcome::ALL.map(|outcome| (kind, outcome));
        RoomCounters {
            commands: Counters::default(),
            events: Counters::default(),
            barriers: Counters::zeroed(["track", "resume"].map(outcomes).concat()),
            barrier_durations: Histogram::new(BARRIER_BUCKETS_SEC),
            members_lost: Counters::zeroed(["left", "vanished", "stalled", "skipped"]),
            commit_durations: Histogram::new(COMMIT_BUCKETS_SEC),
            failed_commits: Counter::default(),
        }
    }
}

impl RoomCounters {
    /// Writes those of all rooms, one family after another.
    pub(super) fn write(rooms: &[(RoomLabel, Arc<RoomCounters>)], text: &mut MetricsText) {
        let mut commands = text.family(
            "lockstep_commands_total",
            MetricType::Counter,
            "HTTP responses to commands by command and status.",
        );
        for (room, counters) in rooms {
            commands.samples(room, &counters.commands, |(command, status)| {
                [("command", command.clone()), ("status", status.to_string())]
            });
        }
        let mut events = text.family(
            "lockstep_events_total",
            MetricType::Counter,
            "Room events by name.",
        );
        for (room, counters) in rooms {
            events.samples(room, &counters.events, |event| [("event", (*event).into())]);
        }
        Self::write_barriers(rooms, text);
        let mut commits = text.family(
            "lockstep_commit_duration_seconds",
            MetricType::Histogram,
            "Time from applying commands until their state was on the disk.",
        );
        for (room, counters) in rooms {
            commits.histogram(room, &counters.commit_durations);
        }
        let mut failures = text.family(
            "lockstep_commit_failures_total",
            MetricType::Counter,
            "Failed writes of the state file; their commands were rejected.",
        );
        for (room, counters) in rooms {
            failures.room_sample(room, &[], counters.failed_commits.get() as f64);
        }
    }

    fn write_barriers(rooms: &[(RoomLabel, Arc<RoomCounters>)], text: &mut MetricsText) {
        let mut barriers = text.family(
            "lockstep_barriers_total",
            MetricType::Counter,
            "Ended barriers: all members were ready (complete), some members were removed (shrunk), or the playback did not \
             start (dropped).",
        );
        for (room, counters) in rooms {
            barriers.samples(room, &counters.barriers, |(kind, outcome)| {
                [("type", (*kind).into()), ("outcome", outcome.name().into())]
            });
        }
        let mut durations = text.family(
            "lockstep_barrier_duration_seconds",
            MetricType::Histogram,
            "Time from the opening of a barrier to its end.",
        );
        for (room, counters) in rooms {
            durations.histogram(room, &counters.barrier_durations);
        }
        let mut lost = text.family(
            "lockstep_barrier_members_lost_total",
            MetricType::Counter,
            "Listeners removed from an open barrier by reason.",
        );
        for (room, counters) in rooms {
            lost.samples(room, &counters.members_lost, |reason| {
                [("reason", (*reason).into())]
            });
        }
    }
}
