//! Limits how often the events `presence` and `progress`, which describe all connected devices, are broadcast: by a shortest
//! interval and by bytes per second. Reads no clock: the caller passes the time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::room::MemberId;
use crate::wire::{DeviceView, LiveView};

/// The shortest interval between two broadcasts.
const MIN_INTERVAL: Duration = Duration::from_millis(500);
/// The most bytes per second, summed over all streams. Each broadcast sends a description of every connected device to
/// every connected device, so the bytes of one broadcast grow with the square of the number of devices.
const MAX_BYTES_PER_SEC: f64 = 20e6;
/// The shortest interval if only sync measurements have changed. These measurements change with nearly every report of a
/// device, so they would otherwise cause most of the traffic.
const MIN_SYNC_INTERVAL: Duration = Duration::from_secs(2);
/// The most bytes per second, summed over all streams, if only sync measurements have changed.
const MAX_SYNC_BYTES_PER_SEC: f64 = 1e6;

/// The connected devices, as snapshots show them.
type DeviceViews = BTreeMap<MemberId, DeviceView>;

/// The content of the last broadcast, and the time from which the next one is permitted.
#[derive(Debug)]
pub(super) struct PresenceThrottle {
    last_sent: DeviceViews,
    /// The devices that could not be DJ.
    last_cooling_down: BTreeSet<MemberId>,
    /// The earliest time of the next broadcast.
    broadcast_at: Instant,
    /// The earliest time of the next broadcast if only sync measurements have changed.
    sync_broadcast_at: Instant,
    devices_changed: bool,
    measurements_changed: bool,
    /// Whether a stream began with other content than that of the last broadcast, so that the next broadcast is needed even if it
    /// repeats the last one.
    must_repeat: bool,
}

impl PresenceThrottle {
    pub(super) fn new(now: Instant) -> Self {
        PresenceThrottle {
            last_sent: DeviceViews::new(),
            last_cooling_down: BTreeSet::new(),
            broadcast_at: now,
            sync_broadcast_at: now,
            devices_changed: false,
            measurements_changed: false,
            must_repeat: false,
        }
    }

    /// Records that a stream begins with `live`.
    pub(super) fn record_first_message(&mut self, live: &LiveView) {
        self.must_repeat |= !self.was_sent(live);
    }

    fn was_sent(&self, live: &LiveView) -> bool {
        live.listeners == self.last_sent && live.dj_cooldown.keys().eq(&self.last_cooling_down)
    }

    /// Records that the connected devices may have changed in more than their sync measurements.
    pub(super) fn record_device_change(&mut self) {
        self.devices_changed = true;
    }

    /// Records that sync measurements have changed.
    pub(super) fn record_measurement_change(&mut self) {
        self.measurements_changed = true;
    }

    /// The earliest time of the next broadcast; `None` if nothing has changed.
    pub(super) fn due_at(&self) -> Option<Instant> {
        match (self.devices_changed, self.measurements_changed) {
            (true, _) => Some(self.broadcast_at),
            (false, true) => Some(self.sync_broadcast_at),
            (false, false) => None,
        }
    }

    /// The name of the event to broadcast; `None` if all streams have the same content already. The seconds of the cooldowns pass
    /// without an event. Clears the recorded changes.
    pub(super) fn take_event_name(&mut self, live: &LiveView) -> Option<&'static str> {
        (self.devices_changed, self.measurements_changed) = (false, false);
        let devices = &live.listeners;
        let has_same_cooldowns = live.dj_cooldown.keys().eq(&self.last_cooling_down);
        if self.must_repeat || !has_same_cooldowns {
            Some("presence")
        } else if self.was_sent(live) {
            None
        } else if presence_fields(devices).eq(presence_fields(&self.last_sent)) {
            Some("progress")
        } else {
            Some("presence")
        }
    }

    /// Records that `live` was broadcast, in `bytes` bytes summed over all streams.
    pub(super) fn record_sent(&mut self, live: LiveView, bytes: usize, now: Instant) {
        let interval = |shortest: Duration, bytes_per_sec: f64| {
            shortest.max(Duration::from_secs_f64(bytes as f64 / bytes_per_sec))
        };
        self.must_repeat = false;
        self.last_sent = live.listeners;
        self.last_cooling_down = live.dj_cooldown.into_keys().collect();
        self.broadcast_at = now + interval(MIN_INTERVAL, MAX_BYTES_PER_SEC);
        self.sync_broadcast_at = now + interval(MIN_SYNC_INTERVAL, MAX_SYNC_BYTES_PER_SEC);
    }
}

/// The fields whose change is a `presence` event. A change of any other field is a `progress` event.
fn presence_fields(devices: &DeviceViews) -> impl Iterator<Item = impl PartialEq> {
    devices.iter().map(|(member, device)| {
        let silence = device.sync.map_or((false, false), |sync| {
            (sync.waits_for_tap, sync.paused_alone)
        });
        (*member, device.role, device.playable, silence)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::TrackId;
    use crate::wire::{Download, Role, SyncStatus};

    fn listener(off_ms: Option<f64>) -> DeviceView {
        DeviceView {
            role: Role::Listener,
            download: None,
            playable: true,
            sync: off_ms.map(|off_ms| SyncStatus {
                off_ms: Some(off_ms),
                round_trip_ms: 8.0,
                latency_ms: 40.0,
                waits_for_tap: false,
                paused_alone: false,
            }),
        }
    }

    fn devices(devices: &[DeviceView]) -> LiveView {
        let members = (1..).map(MemberId);
        LiveView {
            anchor_at_ms: None,
            segue: None,
            dj_cooldown: BTreeMap::new(),
            listeners: members.zip(devices.iter().cloned()).collect(),
        }
    }

    /// A device leaves, another device's stream begins, and the first device comes back before the next broadcast.
    #[test]
    fn what_was_broadcast_is_repeated_for_a_stream_that_began_between() {
        let now = Instant::now();
        let mut throttle = PresenceThrottle::new(now);
        let (one, two) = (listener(None), listener(None));
        let (before, between) = (devices(&[one.clone(), two]), devices(&[one]));
        throttle.record_sent(before.clone(), 0, now);
        throttle.record_first_message(&before);
        assert_eq!(throttle.take_event_name(&before), None);
        throttle.record_first_message(&between);
        assert_eq!(throttle.take_event_name(&before), Some("presence"));
        throttle.record_sent(before.clone(), 0, now);
        assert_eq!(throttle.take_event_name(&before), None);
    }

    #[test]
    fn beginning_and_end_of_a_cooldown_are_presence() {
        let now = Instant::now();
        let mut throttle = PresenceThrottle::new(now);
        let with_cooldown = |seconds: &[u64]| LiveView {
            dj_cooldown: (1..).map(MemberId).zip(seconds.iter().copied()).collect(),
            ..devices(&[listener(None)])
        };
        throttle.record_sent(with_cooldown(&[]), 0, now);
        for (seconds, expected) in [
            (&[20][..], Some("presence")),
            (&[10], None),
            (&[], Some("presence")),
            (&[], None),
        ] {
            let live = with_cooldown(seconds);
            assert_eq!(throttle.take_event_name(&live), expected, "{seconds:?}");
            throttle.record_sent(live, 0, now);
        }
    }

    #[test]
    fn role_playability_and_tap_changes_are_presence_and_others_are_progress() {
        let before = listener(Some(1.0));
        let changed = |change: fn(&mut DeviceView)| {
            let mut listener = before.clone();
            change(&mut listener);
            vec![listener]
        };
        let download = |l: &mut DeviceView| {
            l.download = Some(Download {
                track_id: TrackId(1),
                received_bytes: 1,
                size: 2,
            });
        };
        let tap = |l: &mut DeviceView| l.sync.as_mut().unwrap().waits_for_tap = true;
        for (after, name) in [
            (vec![before.clone()], None),
            (changed(download), Some("progress")),
            (vec![listener(Some(2.0))], Some("progress")),
            (vec![listener(None)], Some("progress")),
            (changed(tap), Some("presence")),
            (changed(|l| l.playable = false), Some("presence")),
            (changed(|l| l.role = Role::Remote), Some("presence")),
            (vec![], Some("presence")),
            (vec![before.clone(); 2], Some("presence")),
        ] {
            let now = Instant::now();
            let mut throttle = PresenceThrottle::new(now);
            throttle.record_sent(devices(std::slice::from_ref(&before)), 0, now);
            throttle.record_device_change();
            assert_eq!(
                throttle.take_event_name(&devices(&after)),
                name,
                "{after:?}"
            );
            assert_eq!(throttle.due_at(), None, "{after:?}");
        }
    }

    #[test]
    fn waiting_for_a_tap_in_the_first_report_is_presence() {
        let mut waiting = listener(Some(1.0));
        waiting.sync.as_mut().unwrap().waits_for_tap = true;
        let now = Instant::now();
        let mut throttle = PresenceThrottle::new(now);
        throttle.record_sent(devices(&[listener(None)]), 0, now);
        assert_eq!(
            throttle.take_event_name(&devices(&[waiting])),
            Some("presence")
        );
    }

    #[test]
    fn interval_grows_with_the_bytes_sent_and_most_for_sync_measurements() {
        for (bytes, live_ms, sync_ms) in [
            (0, 500, 2_000),
            (1_000_000, 500, 2_000),
            (20_000_000, 1_000, 20_000),
        ] {
            let now = Instant::now();
            let mut throttle = PresenceThrottle::new(now);
            assert_eq!(throttle.due_at(), None);
            throttle.record_sent(devices(&[]), bytes, now);
            throttle.record_measurement_change();
            assert_eq!(
                throttle.due_at(),
                Some(now + Duration::from_millis(sync_ms))
            );
            throttle.record_device_change();
            assert_eq!(
                throttle.due_at(),
                Some(now + Duration::from_millis(live_ms))
            );
        }
    }
}
