//! Timers: the deadlines at which the hub acts without a request, and the commands that the hub queues at these deadlines.

use std::time::{Duration, Instant};

use super::{HubTask, QueuedCommand};
use crate::clock;
use crate::room::Command;

/// How long after the end of a track the hub waits for a device to send `next` before it advances the queue itself.
const END_OF_TRACK_DELAY: Duration = Duration::from_secs(3);
/// The longest interval between two checks of the deadlines, even if no deadline is known.
const MAX_CHECK_INTERVAL: Duration = Duration::from_secs(60);
/// The same for an idle room, in which only a request or a change of the library can make a deadline. So rooms without devices
/// do not wake the machine.
const MAX_IDLE_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
/// The time from a failed write until the hub queues its own commands again, or writes the committed room again.
pub(super) const WRITE_RETRY_DELAY: Duration = Duration::from_secs(1);

/// The times at which the task acts without a request.
#[derive(Debug)]
pub(super) struct Deadlines {
    /// When to check for due commands again.
    check_at: Instant,
    /// Set after a failed write: before this time, the hub neither queues commands of its own nor writes the committed room
    /// again.
    pub(super) retry_at: Option<Instant>,
}

impl Deadlines {
    pub(super) fn new(now: Instant) -> Self {
        Deadlines {
            check_at: now,
            retry_at: None,
        }
    }

    /// Schedules a check for now, because the room or the connected devices have changed and commands may be due.
    pub(super) fn check_now(&mut self) {
        self.check_at = Instant::now();
    }

    /// Schedules the next check, and the retry of a failed write, for `delay` from now.
    pub(super) fn retry_after(&mut self, delay: Duration) {
        let retry_at = Instant::now() + delay;
        self.retry_at = Some(retry_at);
        self.check_at = retry_at;
    }

    /// Whether the next check is due, and no retry of a failed write is pending.
    fn is_due(&mut self, now: Instant) -> bool {
        if now < self.check_at {
            return false;
        }
        if let Some(retry_at) = self.retry_at.filter(|retry_at| *retry_at > now) {
            self.check_at = retry_at;
            return false;
        }
        self.retry_at = None;
        true
    }
}

impl HubTask {
    /// Broadcasts presence and reactions if these broadcasts are due. Returns the time of the next deadline, at which the loop must
    /// run again even without input.
    pub(super) async fn broadcast_due_live_events(&mut self, is_writing: bool) -> Instant {
        // During a write no batch can begin, so only live events can be due.
        let check_at = if is_writing {
            Instant::now() + MAX_CHECK_INTERVAL
        } else {
            self.deadlines.check_at
        };
        let presence_at = self.broadcast_presence().await;
        let reactions_at = self.broadcast_reactions().await;
        let broadcasts = presence_at.into_iter().chain(reactions_at);
        broadcasts.fold(check_at, Instant::min)
    }

    /// Queues the commands that are due without a request: arrivals, departures, stalled members, the end of a track, a DJ that
    /// is gone.
    pub(super) fn queue_due_commands(&mut self) {
        let now = Instant::now();
        if !self.deadlines.is_due(now) {
            return;
        }
        self.presence.update_from_room(&self.room, now);
        let (commands, next_deadline) = self.presence.due_commands(&self.room, now);
        let is_idle = self.presence.is_empty() && self.room.live.listeners.is_empty();
        let interval = match is_idle {
            true => MAX_IDLE_INTERVAL,
            false => MAX_CHECK_INTERVAL,
        };
        if is_idle {
            self.replay_buffer.shrink();
        }
        let latest = now + interval;
        self.deadlines.check_at = next_deadline.map_or(latest, |next| next.min(latest));
        let (stalled, others): (Vec<_>, Vec<_>) = commands
            .into_iter()
            .map(|command| QueuedCommand {
                command,
                reply: None,
            })
            .partition(|queued| matches!(queued.command, Command::DropStalled { .. }));
        // Arrivals come before the queued requests: a device that opened a stream before it sent a request must be a
        // listener when the request is applied.
        for queued in others.into_iter().rev() {
            self.queued.push_front(queued);
        }
        // Stalled members come after the queued requests: an acknowledgement that is queued already is in time.
        self.queued.extend(stalled);
        self.queue_end_of_track(now);
        self.queue_dj_gone(now);
    }

    /// Queues the end of the role of a DJ that has been without a stream for too long. Otherwise schedules the next check.
    fn queue_dj_gone(&mut self, now: Instant) {
        let dj = self.room.durable.dj;
        let absent = dj.filter(|dj| !self.presence.has_stream(*dj));
        let is_playing = self.room.live.anchor_at_ms.is_some();
        match self.dj_watch.update(absent, is_playing, now) {
            Some((member, gone_at)) if gone_at <= now => self.queued.push_back(QueuedCommand {
                command: Command::DjGone { member },
                reply: None,
            }),
            Some((_, gone_at)) => {
                self.deadlines.check_at = self.deadlines.check_at.min(gone_at);
            }
            None => {}
        }
    }

    /// Queues the end of the track if it is due because no device has sent `next` in time. Otherwise schedules the next
    /// check.
    fn queue_end_of_track(&mut self, now: Instant) {
        let Some(ends_at_ms) = self.room.ends_at_ms() else {
            return;
        };
        let remaining_ms = ends_at_ms - clock::now_ms() + END_OF_TRACK_DELAY.as_secs_f64() * 1e3;
        if remaining_ms > 0.0 {
            let due_at = now + Duration::from_secs_f64(remaining_ms / 1e3);
            self.deadlines.check_at = self.deadlines.check_at.min(due_at);
            return;
        }
        let if_match = self.room.durable.event_count;
        self.queued.push_back(QueuedCommand {
            command: Command::EndOfTrack { if_match },
            reply: None,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::{mpsc, watch};

    use super::super::super::{Settings, ShutdownPhase, View, signals};
    use super::super::Inputs;
    use super::*;
    use crate::room::{Client, DurableState, MemberId, Room};
    use crate::room_profile::RoomProfile;
    use crate::store::Store;
    use crate::wire::Message;
    use crate::wire::Role;

    const MEMBER: MemberId = MemberId(1);

    /// The task of a room with one client.
    fn task(dj: Option<MemberId>) -> HubTask {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.json")).unwrap();
        let settings = Settings {
            has_timed_starts: true,
            leave_grace: Duration::ZERO,
        };
        let room = Room::default();
        let durable = DurableState {
            clients: Arc::new([(MEMBER, Client::default())].into()),
            dj,
            ..room.durable
        };
        let room = Room::restore(durable, room.private);
        let (views, _view) = watch::channel(View::new(room, RoomProfile::default(), true));
        let (signals, _pending_signals) = signals::channel();
        let plays = mpsc::channel(1).0;
        HubTask::new(views, store, settings, Arc::default(), plays, signals)
    }

    /// Counts how often a future is polled.
    async fn count_polls(future: impl Future<Output = ()>, polls: Arc<AtomicUsize>) {
        let mut future = std::pin::pin!(future);
        poll_fn(|cx| {
            polls.fetch_add(1, Ordering::Relaxed);
            future.as_mut().poll(cx)
        })
        .await;
    }

    /// The task reads the clock of the machine, so a timer that fires too early would fire again and again.
    #[tokio::test(start_paused = true)]
    async fn idle_room_does_not_wake_for_most_of_a_day() {
        let (_requests, requests) = mpsc::channel(1);
        let (_pings, pings) = mpsc::channel(1);
        let (_phase, phase) = watch::channel(ShutdownPhase::Running);
        let (signals, pending_signals) = signals::channel();
        let task = HubTask {
            signals,
            ..task(None)
        };
        let inputs = Inputs {
            requests,
            pings,
            signals: pending_signals,
            phase,
        };
        let polls = Arc::<AtomicUsize>::default();
        tokio::spawn(count_polls(task.run(inputs), polls.clone()));
        let after = async |duration| {
            tokio::time::advance(duration).await;
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            polls.load(Ordering::Relaxed)
        };
        let at_start = after(Duration::ZERO).await;
        assert!(at_start > 0);
        let later = after(Duration::from_secs(23 * 60 * 60)).await;
        assert_eq!(later, at_start);
    }

    #[tokio::test]
    async fn idle_room_keeps_fewer_events_for_replay() {
        let mut task = task(None);
        for count in 0..100 {
            let message = Message::live("event", &"x".repeat(32 << 10), count);
            task.replay_buffer.push(count, message);
        }
        let now = Instant::now();
        task.presence.open_stream(MEMBER, Role::Remote, None, now);
        task.queue_due_commands();
        assert!(task.replay_buffer.since(0).is_some());
        task.presence.remove_device(MEMBER);
        task.deadlines.check_now();
        task.queue_due_commands();
        assert!(task.replay_buffer.since(0).is_none());
        assert!(task.replay_buffer.since(90).is_some());
    }

    #[tokio::test]
    async fn dj_without_a_stream_is_gone_after_ten_minutes_of_pause() {
        let member = MEMBER;
        let mut task = task(Some(member));
        let ten_minutes_ago = Instant::now()
            .checked_sub(Duration::from_secs(600))
            .unwrap();
        for (is_connected, expected) in [(true, 0), (false, 1)] {
            task.dj_watch.update(Some(member), false, ten_minutes_ago);
            let now = Instant::now();
            let stream = task.presence.open_stream(member, Role::Remote, None, now);
            if !is_connected {
                task.presence.remove_device(member);
            }
            task.deadlines.check_now();
            task.queue_due_commands();
            assert_eq!(
                task.queued.len(),
                expected,
                "connected: {is_connected}, {stream:?}"
            );
        }
        assert_eq!(task.queued[0].command, Command::DjGone { member });
    }
}
