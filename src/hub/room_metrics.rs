//! Metrics of one room: the number of its events, how its barriers ended, and how long they were open. Reads no clock: the
//! caller passes the time.

use std::sync::Arc;
use std::time::Instant;

use crate::metrics::{BarrierOutcome, RoomCounters};
use crate::room::{BarrierType, Event, EventKind, Room, ShrinkReason};

/// The data of the open barrier that the metrics depend on.
#[derive(Debug)]
struct OpenBarrier {
    kind: BarrierType,
    since: Instant,
    /// Whether a member was removed while the barrier was open.
    is_shrunk: bool,
}

/// Updates the metrics of one room.
#[derive(Debug)]
pub(super) struct RoomMetrics {
    metrics: Arc<RoomCounters>,
    open_barrier: Option<OpenBarrier>,
}

impl RoomMetrics {
    /// Metrics that start with `room`. If a barrier is open in `room`, its duration is measured from `now`.
    pub(super) fn new(metrics: Arc<RoomCounters>, room: &Room, now: Instant) -> Self {
        let open_barrier = room.durable.barrier.as_ref().map(|barrier| OpenBarrier {
            kind: barrier.kind,
            since: now,
            is_shrunk: false,
        });
        RoomMetrics {
            metrics,
            open_barrier,
        }
    }

    /// Counts the events of a batch, after which the room is `room`.
    pub(super) fn count(&mut self, events: &[Event], room: &Room, now: Instant) {
        for event in events {
            self.metrics.events.count(event.kind.name());
            match &event.kind {
                EventKind::BarrierOpened { kind, .. } => {
                    // The new barrier replaces a barrier that was not released.
                    self.count_barrier_end(BarrierOutcome::Dropped, now);
                    self.open_barrier = Some(OpenBarrier {
                        kind: *kind,
                        since: now,
                        is_shrunk: false,
                    });
                }
                EventKind::BarrierShrunk { reason, .. } => {
                    self.metrics.members_lost.count(reason_label(*reason));
                    if let Some(open) = &mut self.open_barrier {
                        open.is_shrunk = true;
                    }
                }
                EventKind::BarrierRelease { .. } => {
                    let is_shrunk = self
                        .open_barrier
                        .as_ref()
                        .is_some_and(|open| open.is_shrunk);
                    let outcome = if is_shrunk {
                        BarrierOutcome::Shrunk
                    } else {
                        BarrierOutcome::Complete
                    };
                    self.count_barrier_end(outcome, now);
                }
                _ => {}
            }
        }
        // A pause, for example, ends a barrier without a release.
        if room.durable.barrier.is_none() {
            self.count_barrier_end(BarrierOutcome::Dropped, now);
        }
    }

    /// Counts the end of the open barrier and its duration, if a barrier is open.
    fn count_barrier_end(&mut self, outcome: BarrierOutcome, now: Instant) {
        let Some(OpenBarrier { kind, since, .. }) = self.open_barrier.take() else {
            return;
        };
        let kind = match kind {
            BarrierType::Track => "track",
            BarrierType::Resume => "resume",
        };
        self.metrics.barriers.count((kind, outcome));
        self.metrics
            .barrier_durations
            .observe(now.saturating_duration_since(since));
    }
}

/// The value of the label `reason`.
fn reason_label(reason: ShrinkReason) -> &'static str {
    match reason {
        ShrinkReason::Left => "left",
        ShrinkReason::Vanished => "vanished",
        ShrinkReason::Stalled => "stalled",
        ShrinkReason::Skipped => "skipped",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::metrics::{Metrics, MetricsText};
    use crate::room::{
        self, ApplyContext, Command, Control, MemberId, TokenHash, TrackCatalog, TrackId,
    };

    struct Fixture {
        room: Room,
        room_metrics: RoomMetrics,
        now: Instant,
    }

    impl Fixture {
        /// A room with five tracks and two listeners.
        fn new() -> Self {
            let (room, now) = (Room::default(), Instant::now());
            let room_metrics = RoomMetrics::new(Arc::default(), &room, now);
            let mut fixture = Fixture {
                room,
                room_metrics,
                now,
            };
            let tracks = (1..=5).map(|n| (TrackId(n), 60.0));
            fixture.apply(Command::Library(Arc::new(TrackCatalog::new(tracks))));
            for n in 1..=2 {
                let (name, token_hash) = (String::new(), TokenHash([n; 32]));
                fixture.apply(Command::Pair { name, token_hash });
                let member = MemberId(n.into());
                fixture.apply(Command::Arrive {
                    member,
                    playback: None,
                });
            }
            fixture
        }

        fn apply(&mut self, command: Command) {
            let context = ApplyContext {
                now_ms: 0.0,
                lead_ms: 150.0,
                has_timed_starts: true,
            };
            let (room, events) = room::apply(&self.room, &command, context).unwrap();
            self.room = room;
            self.room_metrics.count(&events, &self.room, self.now);
        }

        /// Advances the time by one second, and then applies a device's request.
        fn send(&mut self, member: u32, control: Control) {
            self.now += Duration::from_secs(1);
            let (member, if_match) = (MemberId(member), self.room.durable.event_count);
            self.apply(Command::Control {
                member,
                if_match,
                control,
            });
        }

        /// Acknowledges the current track, one second later.
        fn ack(&mut self, member: u32) {
            let track_id = self.room.current_track_id().unwrap();
            self.send(
                member,
                Control::AckDownload {
                    track_id,
                    playable: true,
                    duration_sec: None,
                },
            );
        }

        /// The samples of a metric, in the Prometheus text format without the name of the metric. Leaves out samples of
        /// zero.
        fn samples(&self, name: &str) -> Vec<String> {
            let mut text = MetricsText::default();
            let rooms = [(None, self.room_metrics.metrics.clone())];
            Metrics::default().write(&rooms, &mut text);
            let text = text.finish();
            let samples = text.lines().filter_map(|line| line.strip_prefix(name));
            samples
                .filter(|sample| !sample.ends_with(" 0"))
                .map(str::to_owned)
                .collect()
        }
    }

    #[test]
    fn each_barrier_is_counted_once_by_its_outcome() {
        let mut fixture = Fixture::new();
        fixture.send(1, Control::Next);
        fixture.send(1, Control::Next);
        fixture.ack(1);
        fixture.ack(2);
        fixture.send(1, Control::Pause { position_sec: 0.0 });
        fixture.send(1, Control::Next);
        fixture.ack(1);
        fixture.send(1, Control::StartNow);
        fixture.send(1, Control::Next);
        fixture.send(1, Control::Pause { position_sec: 0.0 });
        assert_eq!(
            fixture.samples("lockstep_barriers_total"),
            [
                "{type=\"track\",outcome=\"complete\"} 1",
                "{type=\"track\",outcome=\"shrunk\"} 1",
                "{type=\"track\",outcome=\"dropped\"} 2",
            ]
        );
        assert_eq!(
            fixture.samples("lockstep_barrier_members_lost_total"),
            ["{reason=\"skipped\"} 1"]
        );
        assert_eq!(
            fixture.samples("lockstep_barrier_duration_seconds_sum"),
            [" 6"],
            "1 + 2 + 2 + 1 s"
        );
    }

    #[test]
    fn barrier_that_was_open_before_a_restart_is_counted() {
        let mut fixture = Fixture::new();
        fixture.send(1, Control::Next);
        let durable = fixture.room.durable.clone();
        fixture.room = Room::restore(durable, fixture.room.private.clone());
        fixture.room_metrics = RoomMetrics::new(Arc::default(), &fixture.room, fixture.now);
        for n in 1..=2 {
            let member = MemberId(n);
            fixture.apply(Command::Arrive {
                member,
                playback: None,
            });
            fixture.ack(n);
        }
        assert_eq!(
            fixture.samples("lockstep_barriers_total"),
            ["{type=\"track\",outcome=\"complete\"} 1"]
        );
    }
}
