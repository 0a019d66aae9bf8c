//! What is counted of the room, from what happens in it: its events, and how long barriers were open. Pure but for the
//! counters, in the time that it is given.

use std::sync::Arc;
use std::time::Instant;

use crate::metrics::{Metrics, Outcome};
use crate::room::{BarrierType, Event, EventKind, Room, Shrink};

/// The barrier that is open.
#[derive(Debug)]
struct Open {
    kind: BarrierType,
    since: Instant,
    /// Somebody who was waited for is no longer.
    shrunk: bool,
}

/// Counts.
#[derive(Debug)]
pub(super) struct Tally {
    metrics: Arc<Metrics>,
    open: Option<Open>,
}

impl Tally {
    /// A barrier that is open in `room` counts from now.
    pub(super) fn new(metrics: Arc<Metrics>, room: &Room, now: Instant) -> Self {
        let open = room.durable.barrier.as_ref().map(|barrier| Open {
            kind: barrier.kind,
            since: now,
            shrunk: false,
        });
        Tally { metrics, open }
    }

    /// These have happened, and led to `room`.
    pub(super) fn count(&mut self, events: &[Event], room: &Room, now: Instant) {
        for event in events {
            self.metrics.events.count(event.kind.name());
            match &event.kind {
                EventKind::BarrierOpened { kind, .. } => {
                    self.end(Outcome::Dropped, now);
                    self.open = Some(Open {
                        kind: *kind,
                        since: now,
                        shrunk: false,
                    });
                }
                EventKind::BarrierShrunk { reason, .. } => {
                    self.metrics.members_lost.count(reason_name(*reason));
                    if let Some(open) = &mut self.open {
                        open.shrunk = true;
                    }
                }
                EventKind::BarrierRelease { .. } => {
                    let shrunk = self.open.as_ref().is_some_and(|open| open.shrunk);
                    let outcome = if shrunk {
                        Outcome::Shrunk
                    } else {
                        Outcome::Complete
                    };
                    self.end(outcome, now);
                }
                _ => {}
            }
        }
        if room.durable.barrier.is_none() {
            self.end(Outcome::Dropped, now);
        }
    }

    /// The open barrier is none any more, if there is one.
    fn end(&mut self, outcome: Outcome, now: Instant) {
        let Some(Open { kind, since, .. }) = self.open.take() else {
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

fn reason_name(reason: Shrink) -> &'static str {
    match reason {
        Shrink::Left => "left",
        Shrink::Vanished => "vanished",
        Shrink::Stalled => "stalled",
        Shrink::Skipped => "skipped",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::metrics::Text;
    use crate::room::{self, Command, Control, KeyHash, Library, MemberId, Moment, TrackId};

    struct House {
        room: Room,
        tally: Tally,
        now: Instant,
    }

    impl House {
        /// Five tracks and two listeners.
        fn new() -> Self {
            let (room, now) = (Room::default(), Instant::now());
            let tally = Tally::new(Arc::default(), &room, now);
            let mut house = House { room, tally, now };
            let tracks = (1..=5).map(|n| (TrackId(n), 60.0));
            house.apply(Command::Library(Arc::new(Library::new(tracks))));
            for n in 1..=2 {
                let (name, key) = (String::new(), KeyHash([n; 32]));
                house.apply(Command::Pair { name, key });
                let member = MemberId(n.into());
                house.apply(Command::Arrive { member, held: None });
            }
            house
        }

        fn apply(&mut self, command: Command) {
            let at = Moment {
                now_ms: 0.0,
                lead_ms: 150.0,
                aligned: true,
            };
            let (room, events) = room::apply(&self.room, &command, at).unwrap();
            self.room = room;
            self.tally.count(&events, &self.room, self.now);
        }

        fn press(&mut self, member: u32, control: Control) {
            self.now += Duration::from_secs(1);
            let (member, if_match) = (MemberId(member), self.room.durable.event_count);
            self.apply(Command::Control {
                member,
                if_match,
                control,
            });
        }

        fn ack(&mut self, member: u32) {
            let track_id = self.room.current().unwrap();
            self.press(
                member,
                Control::AckDownload {
                    track_id,
                    playable: true,
                },
            );
        }

        /// The samples of that name that are not zero.
        fn samples(&self, name: &str) -> Vec<String> {
            let mut text = Text::default();
            self.tally.metrics.write(&mut text);
            let text = text.finish();
            let samples = text.lines().filter_map(|line| line.strip_prefix(name));
            samples
                .filter(|sample| !sample.ends_with(" 0"))
                .map(str::to_owned)
                .collect()
        }
    }

    #[test]
    fn a_barrier_is_counted_once_by_how_it_ended() {
        let mut house = House::new();
        house.press(1, Control::Next);
        house.press(1, Control::Next);
        house.ack(1);
        house.ack(2);
        house.press(1, Control::Pause { position_sec: 0.0 });
        house.press(1, Control::Next);
        house.ack(1);
        house.press(1, Control::StartNow);
        house.press(1, Control::Next);
        house.press(1, Control::Pause { position_sec: 0.0 });
        assert_eq!(
            house.samples("lockstep_barriers_total"),
            [
                "{type=\"track\",outcome=\"complete\"} 1",
                "{type=\"track\",outcome=\"shrunk\"} 1",
                "{type=\"track\",outcome=\"dropped\"} 2",
            ]
        );
        assert_eq!(
            house.samples("lockstep_barrier_members_lost_total"),
            ["{reason=\"skipped\"} 1"]
        );
        assert_eq!(
            house.samples("lockstep_barrier_duration_seconds_sum"),
            [" 6"],
            "1 + 2 + 2 + 1 s"
        );
    }

    #[test]
    fn a_barrier_that_was_open_before_a_restart_is_counted_too() {
        let mut house = House::new();
        house.press(1, Control::Next);
        let durable = house.room.durable.clone();
        house.room = Room::restore(durable, house.room.private.clone());
        house.tally = Tally::new(Arc::default(), &house.room, house.now);
        for n in 1..=2 {
            let member = MemberId(n);
            house.apply(Command::Arrive { member, held: None });
            house.ack(n);
        }
        assert_eq!(
            house.samples("lockstep_barriers_total"),
            ["{type=\"track\",outcome=\"complete\"} 1"]
        );
    }
}
