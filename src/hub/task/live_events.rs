//! The live events `presence`, `progress` and `tuning`, which are neither stored nor replayed. Also publishes the view.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::{HubError, View};
use super::HubTask;
use crate::clock;
use crate::room::MemberId;
use crate::wire::{Message, Tuning, TuningSound};

/// How far ahead of now a tuning sound (a test sound for comparing speakers) is scheduled, in milliseconds, so that devices
/// can prepare the sound.
const TUNING_LEAD_MS: f64 = 1_000.0;
/// The shortest interval between two tuning sounds of a room.
const TUNING_INTERVAL: Duration = Duration::from_millis(200);

impl HubTask {
    /// Publishes the room and the connected devices to all hub handles, and returns the view. Wakes the waiting handles
    /// only if the view has changed, because each connection waits for changes, and most signals do not change the view.
    pub(super) fn publish(&self) -> View {
        let connected = self.presence.connected_devices();
        self.views.send_if_modified(|view| {
            let is_changed = !Arc::ptr_eq(&view.room, &self.room)
                || !Arc::ptr_eq(&view.profile, &self.profile)
                || !Arc::ptr_eq(&view.connected, &connected);
            view.room = self.room.clone();
            view.profile = self.profile.clone();
            view.connected = connected;
            is_changed
        });
        self.views.borrow().clone()
    }

    /// Broadcasts the connected devices as a `presence` or `progress` event, depending on what has changed since the last
    /// broadcast; without a change, sends nothing. Returns when to call this function again: when the throttle permits the
    /// broadcast, or when the next device can be DJ again.
    pub(super) async fn broadcast_presence(&mut self) -> Option<Instant> {
        let now_ms = clock::now_ms();
        if self.cooldown_ends_at_ms.is_some_and(|end| end <= now_ms) {
            self.throttle.record_device_change();
        }
        let permitted_at = self.broadcast_permitted_presence().await;
        let ends = self.room.live.dj_cooldowns.values().copied();
        self.cooldown_ends_at_ms = ends.filter(|end| *end > now_ms).min_by(f64::total_cmp);
        let ends_at = self.cooldown_ends_at_ms.map(|end| {
            let remaining = Duration::from_secs_f64((end - now_ms) / 1e3);
            // Rounded up, so that the cooldown is over then.
            Instant::now() + remaining + Duration::from_millis(1)
        });
        permitted_at.into_iter().chain(ends_at).min()
    }

    async fn broadcast_permitted_presence(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let due_at = self.throttle.due_at()?;
        if now < due_at {
            return Some(due_at);
        }
        let live = self.publish().live_of(&self.room);
        let name = self.throttle.take_event_name(&live)?;
        let message = Message::live(name, &live, self.room.durable.event_count);
        let bytes = message.text().len() * self.presence.open_stream_count();
        self.throttle.record_sent(live, bytes, now);
        self.broadcaster.send(message).await;
        None
    }

    /// Broadcasts the start time of a tuning sound and the devices that play it (`None` for all listeners). Returns the start
    /// time.
    ///
    /// # Errors
    /// The server is shutting down, starts are not scheduled by the clock (`--alignment event`), or the previous tuning sound
    /// was too recent.
    pub(super) async fn broadcast_tuning(
        &mut self,
        sound: TuningSound,
        members: Option<BTreeSet<MemberId>>,
    ) -> Result<f64, HubError> {
        let now = Instant::now();
        if self.is_draining {
            return Err(HubError::Closing);
        }
        if !self.settings.has_timed_starts {
            return Err(HubError::NoTimedStarts);
        }
        if now < self.next_tuning_at {
            let retry_after = self.next_tuning_at - now;
            return Err(HubError::TooSoon { retry_after });
        }
        self.next_tuning_at = now + TUNING_INTERVAL;
        let tuning = Tuning {
            kind: sound,
            starts_at_ms: clock::now_ms() + TUNING_LEAD_MS,
            member_ids: members.as_ref().unwrap_or(&self.room.live.listeners),
        };
        let message = Message::live("tuning", &tuning, self.room.durable.event_count);
        self.broadcaster.send(message).await;
        Ok(tuning.starts_at_ms)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::{mpsc, watch};

    use super::super::super::{Settings, signals};
    use super::*;
    use crate::room::Room;
    use crate::room_profile::RoomProfile;
    use crate::store::Store;
    use crate::wire::Role;

    fn task(room: Room) -> (HubTask, watch::Receiver<View>) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.json")).unwrap();
        let settings = Settings {
            has_timed_starts: true,
            leave_grace: Duration::ZERO,
        };
        let (views, view) = watch::channel(View::new(room, RoomProfile::default(), true));
        let (signals, _pending_signals) = signals::channel();
        let plays = mpsc::channel(1).0;
        let task = HubTask::new(views, store, settings, Arc::default(), plays, signals);
        (task, view)
    }

    #[tokio::test]
    async fn end_of_a_cooldown_is_a_deadline_and_is_broadcast() {
        let mut room = Room::default();
        let now_ms = clock::now_ms();
        let ends_at_ms = now_ms + 3.6e6;
        room.live.dj_cooldowns = Arc::new([(MemberId(1), ends_at_ms)].into());
        let (mut task, _view) = task(room.clone());
        task.throttle.record_device_change();
        let deadline = task.broadcast_presence().await.unwrap();
        assert!(deadline > Instant::now() + Duration::from_secs(1_800));
        assert_eq!(task.cooldown_ends_at_ms, Some(ends_at_ms));

        let live = task.publish().live_of(&task.room);
        // Enough bytes to put off the next broadcast for long.
        task.throttle
            .record_sent(live, 20_000_000_000, Instant::now());

        // As if the hour had passed.
        room.live.dj_cooldowns = Arc::new([(MemberId(1), now_ms)].into());
        task.room = Arc::new(room);
        task.cooldown_ends_at_ms = Some(now_ms);
        task.broadcast_presence().await;
        assert!(task.throttle.due_at().is_some(), "a broadcast is due");
        assert_eq!(task.cooldown_ends_at_ms, None);
    }

    #[tokio::test]
    async fn publish_wakes_handles_only_if_the_view_has_changed() {
        let (mut task, mut view) = task(Room::default());
        task.publish();
        view.mark_unchanged();
        task.publish();
        assert!(!view.has_changed().unwrap());
        let now = Instant::now();
        task.presence
            .open_stream(MemberId(1), Role::Remote, None, now);
        task.publish();
        assert!(view.has_changed().unwrap());
        assert!(view.borrow().connected.remotes.contains(&MemberId(1)));
    }
}
