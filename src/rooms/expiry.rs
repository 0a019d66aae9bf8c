//! When a room was last used, and whether it has expired.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::sleep;

use super::{RoomEntry, Rooms};

/// A room that no device has used for this long is removed at a start.
const LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How old the recorded time may become while the room is used: each record is a write.
const PRECISION: Duration = Duration::from_secs(24 * 60 * 60);
/// The time between two checks of which rooms are used. Short, because the clock of a machine may be corrected only after the start.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Seconds since 1970 (UTC).
pub(super) fn unix_seconds(now: SystemTime) -> u64 {
    now.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Whether no device has used a room for [`LIFETIME`]. The recorded time may be in the future if the machine's clock was wrong; it is
/// 0 in a file that has none.
pub(super) fn has_expired(recorded_at: u64, now: SystemTime) -> bool {
    recorded_at > 0 && unix_seconds(now).saturating_sub(recorded_at) > LIFETIME.as_secs()
}

/// Whether the use of a room must be recorded again. A recorded time in the future is replaced, because the room would expire late.
fn is_outdated(recorded_at: u64, now: u64) -> bool {
    now.abs_diff(recorded_at) > PRECISION.as_secs()
}

impl Rooms {
    /// Records that a device has entered a room or follows it, once a day. Does not wait for the write.
    pub fn record_use(&self, entry: &RoomEntry) {
        let Some(hub) = entry.hub().filter(|_| !entry.id.is_house()).cloned() else {
            return;
        };
        let now = unix_seconds(SystemTime::now());
        if is_outdated(hub.view().profile.access.entered_at, now) {
            tokio::spawn(async move {
                // If the write fails, the next use is recorded.
                let _ = hub
                    .change_profile(move |profile| profile.access.entered_at = now)
                    .await;
            });
        }
    }

    /// Records the use of the rooms that devices follow, at each `interval`: a stream may be open for longer than [`LIFETIME`].
    pub(super) async fn record_uses(self, interval: Duration) {
        loop {
            sleep(interval).await;
            for entry in self.others().iter() {
                if entry.hub().is_some_and(|hub| hub.view().is_followed()) {
                    self.record_use(entry);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_rooms::{TestRooms, subscription, until};
    use super::*;
    use crate::room::MemberId;
    use crate::wire::Role;

    const DAY: u64 = 24 * 60 * 60;

    #[test]
    fn a_room_expires_thirty_days_after_its_last_use() {
        let now = UNIX_EPOCH + Duration::from_secs(100 * DAY);
        for (recorded_at, expected) in [
            (69 * DAY, true),
            (70 * DAY, false),
            (100 * DAY, false),
            (200 * DAY, false),
            (0, false),
        ] {
            assert_eq!(has_expired(recorded_at, now), expected, "{recorded_at}");
        }
    }

    #[test]
    fn use_is_recorded_once_a_day_and_after_a_wrong_clock() {
        for (recorded_at, expected) in [
            (98 * DAY, true),
            (99 * DAY, false),
            (100 * DAY, false),
            (102 * DAY, true),
        ] {
            assert_eq!(
                is_outdated(recorded_at, 100 * DAY),
                expected,
                "{recorded_at}"
            );
        }
    }

    #[tokio::test]
    async fn an_open_stream_is_recorded_again_and_again() {
        let member = MemberId(1);
        let test = TestRooms::with_devices([member]).await;
        let rooms = &test.rooms;
        let entry = rooms.make(member, "Garden", None).await.unwrap();
        let hub = entry.hub().unwrap();
        let request = subscription(member, Role::Remote);
        let _stream = rooms.subscribe(&entry, hub, request).await.unwrap();
        tokio::spawn(rooms.clone().record_uses(Duration::from_millis(1)));
        for _ in 0..2 {
            // As if this much time had passed.
            hub.change_profile(|profile| profile.access.entered_at -= 2 * DAY)
                .await
                .unwrap();
            until(hub, |hub| {
                let recorded_at = hub.view().profile.access.entered_at;
                !is_outdated(recorded_at, unix_seconds(SystemTime::now()))
            })
            .await;
        }
    }
}
