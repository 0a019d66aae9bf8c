//! Records what was played: how long each track sounded, and why it ended.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::history::{EndReason, FinishedPlay};
use crate::room::{AdvanceReason, Event, EventKind, MemberId, Room, TrackId};

/// Follows one room.
#[derive(Debug)]
pub(super) struct PlayRecorder {
    track_id: Option<TrackId>,
    by: Option<MemberId>,
    /// When the track began to sound, in seconds since 1970 (UTC); `None` if it has not sounded yet.
    started_at: Option<u64>,
    /// How long the track has sounded until `sounding_from_ms`, in milliseconds.
    heard_ms: f64,
    /// Since when the track sounds, in milliseconds of the server's clock, which may be in the future; `None` while it does not
    /// sound.
    sounding_from_ms: Option<f64>,
}

/// The time of a commit.
#[derive(Debug, Clone, Copy)]
pub(super) struct CommitTime {
    /// When the commands were applied, in milliseconds of the server's clock.
    pub(super) now_ms: f64,
    /// The same time in seconds since 1970 (UTC).
    pub(super) unix_sec: f64,
}

impl CommitTime {
    /// Now, which is `now_ms` on the server's clock.
    pub(super) fn now(now_ms: f64) -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        CommitTime {
            now_ms,
            unix_sec: since_epoch.map_or(0.0, |since| since.as_secs_f64()),
        }
    }
}

impl PlayRecorder {
    /// Begins with the current track of a room that has just been loaded.
    pub(super) fn new(room: &Room) -> Self {
        PlayRecorder {
            track_id: room.current_track_id(),
            by: room.durable.picked_by,
            started_at: None,
            heard_ms: 0.0,
            sounding_from_ms: None,
        }
    }

    /// Updates the record after a commit with these events. Returns the play that it ended. Of several tracks that one commit
    /// started, only the last one can sound.
    pub(super) fn update(
        &mut self,
        before: &Room,
        after: &Room,
        events: &[Event],
        time: CommitTime,
    ) -> Option<FinishedPlay> {
        let end = end_of_play(before, after, events);
        let is_other = end.is_some() || self.track_id != after.current_track_id();
        if !is_other && before.live.anchor_at_ms == after.live.anchor_at_ms {
            return None;
        }
        self.count_until(before, end, time.now_ms);
        let finished = end.and_then(|end| self.finished(end));
        if is_other {
            *self = PlayRecorder::new(after);
        }
        self.sounding_from_ms = after.live.anchor_at_ms.map(|at_ms| match is_other {
            // The devices may have started the track at a promised time before this commit.
            true => at_ms,
            false => at_ms.max(time.now_ms),
        });
        if let (None, Some(from_ms)) = (self.started_at, self.sounding_from_ms) {
            let started_at = time.unix_sec + (from_ms - time.now_ms) / 1e3;
            self.started_at = Some(started_at.max(0.0) as u64);
        }
        finished
    }

    /// Counts the time for which the track has sounded in the room `before`. A track that has ended sounds to its end, which a
    /// device may report a little early.
    fn count_until(
        &mut self,
        before: &Room,
        end: Option<(EndReason, Option<MemberId>)>,
        now_ms: f64,
    ) {
        let Some(from_ms) = self.sounding_from_ms else {
            return;
        };
        let ends_at_ms = before.ends_at_ms().unwrap_or(f64::INFINITY);
        let has_ended = matches!(end, Some((EndReason::Advanced(AdvanceReason::Ended), _)));
        let until_ms = match has_ended && ends_at_ms.is_finite() {
            true => ends_at_ms,
            false => ends_at_ms.min(now_ms),
        };
        self.heard_ms += (until_ms - from_ms).max(0.0);
    }

    fn finished(&self, (reason, ended_by): (EndReason, Option<MemberId>)) -> Option<FinishedPlay> {
        Some(FinishedPlay {
            track_id: self.track_id?,
            started_at: self.started_at?,
            heard_sec: self.heard_ms / 1e3,
            by: self.by,
            reason,
            ended_by,
        })
    }
}

/// Why the current track of `before` ended, and which device ended it; `None` if it is still played.
fn end_of_play(
    before: &Room,
    after: &Room,
    events: &[Event],
) -> Option<(EndReason, Option<MemberId>)> {
    let is_replaced = before.current_track_id() != after.current_track_id();
    events.iter().find_map(|event| {
        let reason = match event.kind {
            EventKind::QueueAdvanced { reason, .. } => EndReason::Advanced(reason),
            EventKind::QueueUndone {} if is_replaced => EndReason::Undone,
            EventKind::LibraryChanged { .. } if is_replaced => {
                EndReason::Advanced(AdvanceReason::Removed)
            }
            _ => return None,
        };
        Some((reason, event.by))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::room::{ApplyContext, Command, Control, Departure, TokenHash, TrackCatalog, apply};

    /// A room with three tracks of 60 s, and two listeners that hold all of them.
    struct Fixture {
        room: Room,
        recorder: PlayRecorder,
        now_ms: f64,
    }

    impl Fixture {
        fn new() -> Self {
            let room = Room::default();
            let recorder = PlayRecorder::new(&room);
            let mut fixture = Fixture {
                room,
                recorder,
                now_ms: 0.0,
            };
            let catalog = TrackCatalog::new((1..=3).map(|n| (TrackId(n), 60.0)));
            fixture.apply(Command::Library(Arc::new(catalog)));
            for n in 1..=2 {
                fixture.apply(Command::Pair {
                    name: String::new(),
                    token_hash: TokenHash([n; 32]),
                });
                let member = MemberId(n.into());
                fixture.apply(Command::Arrive {
                    member,
                    playback: None,
                });
                for track in 1..=3 {
                    let ack = Control::AckDownload {
                        track_id: TrackId(track),
                        playable: true,
                        duration_sec: None,
                    };
                    fixture.send(member.0, ack);
                }
            }
            fixture
        }

        fn apply(&mut self, command: Command) -> Option<FinishedPlay> {
            let context = ApplyContext {
                now_ms: self.now_ms,
                lead_ms: 100.0,
                has_timed_starts: true,
            };
            let (after, events) = apply(&self.room, &command, context).unwrap();
            let time = CommitTime {
                now_ms: self.now_ms,
                unix_sec: 1_000.0 + self.now_ms / 1e3,
            };
            let finished = self.recorder.update(&self.room, &after, &events, time);
            self.room = after;
            finished
        }

        fn send(&mut self, member: u32, control: Control) -> Option<FinishedPlay> {
            let if_match = self.room.durable.event_count;
            self.apply(Command::Control {
                member: MemberId(member),
                if_match,
                control,
            })
        }

        fn send_at(&mut self, sec: f64, member: u32, control: Control) -> Option<FinishedPlay> {
            self.now_ms = sec * 1e3;
            self.send(member, control)
        }
    }

    fn play(track: u64, started_at: u64, heard_sec: f64) -> FinishedPlay {
        FinishedPlay {
            track_id: TrackId(track),
            started_at,
            heard_sec,
            by: None,
            reason: EndReason::Advanced(AdvanceReason::Next),
            ended_by: Some(MemberId(2)),
        }
    }

    #[test]
    fn pauses_seeks_and_departures_do_not_count_as_heard() {
        let mut fixture = Fixture::new();
        let position_sec = 0.0;
        fixture.send_at(9.9, 1, Control::Play { position_sec });
        fixture.send_at(20.0, 1, Control::Pause { position_sec });
        fixture.send_at(99.9, 1, Control::Play { position_sec });
        fixture.send_at(105.0, 1, Control::Seek { position_sec: 50.0 });
        // After the end of the track, nothing sounds.
        fixture.send_at(900.0, 1, Control::Seek { position_sec });
        fixture.now_ms = 903.1e3;
        for n in 1..=2 {
            fixture.apply(Command::Depart {
                member: MemberId(n),
                how: Departure::Left,
            });
        }
        let finished = fixture.send_at(2_000.0, 2, Control::Next).unwrap();
        let expected = play(1, 1_010, 10.0 + 5.0 + 10.0 + 3.0);
        assert!(
            (finished.heard_sec - expected.heard_sec).abs() < 1e-6,
            "{finished:?}"
        );
        assert_eq!(
            finished,
            FinishedPlay {
                heard_sec: finished.heard_sec,
                ..expected
            }
        );
    }

    #[test]
    fn track_that_has_ended_counts_until_its_end() {
        for (ended_sec, next_heard_sec) in [(59.3, 10.0), (60.1, 10.0), (63.0, 10.0)] {
            let mut fixture = Fixture::new();
            fixture.send_at(0.0, 1, Control::Play { position_sec: 0.0 });
            let ended = Control::Ended {
                track_id: TrackId(1),
            };
            let finished = fixture.send_at(ended_sec, 1, ended).unwrap();
            assert!((finished.heard_sec - 60.0).abs() < 1e-6, "{finished:?}");
            assert_eq!(finished.reason, EndReason::Advanced(AdvanceReason::Ended));
            assert_eq!(finished.ended_by, None);
            // The next track has sounded since the promised start.
            let finished = fixture.send_at(70.1, 2, Control::Next).unwrap();
            assert!(
                (finished.heard_sec - next_heard_sec).abs() < 1e-6,
                "{finished:?}"
            );
            assert_eq!(finished.started_at, 1_060);
        }
    }

    #[test]
    fn play_states_who_picked_and_who_ended_it() {
        let mut fixture = Fixture::new();
        let track_id = TrackId(3);
        fixture.send_at(0.0, 1, Control::PlayNow { track_id });
        let finished = fixture.send_at(8.1, 2, Control::Previous).unwrap();
        assert_eq!(
            (finished.by, finished.ended_by),
            (Some(MemberId(1)), Some(MemberId(2)))
        );
        assert_eq!(
            finished.reason,
            EndReason::Advanced(AdvanceReason::Previous)
        );
        let finished = fixture.send_at(15.0, 2, Control::Undo).unwrap();
        assert_eq!(finished.reason, EndReason::Undone);
        assert_eq!((finished.track_id, finished.by), (TrackId(1), None));
        let one = TrackCatalog::new([(TrackId(2), 60.0)]);
        fixture.now_ms = 20e3;
        let finished = fixture.apply(Command::Library(Arc::new(one))).unwrap();
        assert_eq!(
            (finished.track_id, finished.by),
            (TrackId(3), Some(MemberId(1)))
        );
        assert_eq!(finished.reason, EndReason::Advanced(AdvanceReason::Removed));
    }

    #[test]
    fn track_that_never_sounded_is_no_play() {
        let mut fixture = Fixture::new();
        assert_eq!(fixture.send_at(10.0, 1, Control::Next), None);
        fixture.send_at(20.0, 1, Control::Pause { position_sec: 0.0 });
        let finished = fixture.send_at(30.0, 1, Control::Next).unwrap();
        assert!((finished.heard_sec - 9.9).abs() < 1e-6);
    }
}
