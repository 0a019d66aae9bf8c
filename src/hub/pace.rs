//! How often everybody is told who is there and how far they are: seldom enough for the house's air. Pure, in the time that
//! it is given.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::room::MemberId;
use crate::wire::Listener;

/// Presence and progress are told at most so often.
const LIVE_PAUSE: Duration = Duration::from_millis(500);
/// And so that all streams together get no more of them than this, in bytes per second: each tells everybody of everybody, so
/// with a thousand listeners it is seconds between them.
const LIVE_BYTES_PER_SEC: f64 = 20e6;
/// How well listeners are in step changes with nearly each of their reports, all the time. Where nothing else has changed,
/// that can wait, and gets less of the air.
const SYNC_PAUSE: Duration = Duration::from_secs(2);
const SYNC_BYTES_PER_SEC: f64 = 1e6;

/// Everybody who is connected, as everybody is told.
type Listeners = BTreeMap<MemberId, Listener>;

/// What was told last, and when more may be.
#[derive(Debug)]
pub(super) struct Pace {
    told: Listeners,
    live_at: Instant,
    sync_at: Instant,
    /// Whether something may have changed since, and whether how well listeners are in step has.
    live_changed: bool,
    sync_changed: bool,
}

impl Pace {
    /// Nobody has been told of anybody.
    pub(super) fn new(now: Instant) -> Self {
        Pace {
            told: Listeners::new(),
            live_at: now,
            sync_at: now,
            live_changed: false,
            sync_changed: false,
        }
    }

    /// There may be something to tell.
    pub(super) fn live_changed(&mut self) {
        self.live_changed = true;
    }

    /// How well listeners are in step has changed, and nothing else by that.
    pub(super) fn sync_changed(&mut self) {
        self.sync_changed = true;
    }

    /// From when on something may be told; `None` when there is nothing to tell.
    pub(super) fn due(&self) -> Option<Instant> {
        match (self.live_changed, self.sync_changed) {
            (true, _) => Some(self.live_at),
            (false, true) => Some(self.sync_at),
            (false, false) => None,
        }
    }

    /// The name of the event that tells it; `None` when all has been told already.
    pub(super) fn news(&mut self, listeners: &Listeners) -> Option<&'static str> {
        (self.live_changed, self.sync_changed) = (false, false);
        if *listeners == self.told {
            None
        } else if ways(listeners).eq(ways(&self.told)) {
            Some("progress")
        } else {
            Some("presence")
        }
    }

    /// It is told now, in so many bytes over all streams.
    pub(super) fn told(&mut self, listeners: Listeners, bytes: usize, now: Instant) {
        let pause = |least: Duration, bytes_per_sec: f64| {
            least.max(Duration::from_secs_f64(bytes as f64 / bytes_per_sec))
        };
        self.told = listeners;
        self.live_at = now + pause(LIVE_PAUSE, LIVE_BYTES_PER_SEC);
        self.sync_at = now + pause(SYNC_PAUSE, SYNC_BYTES_PER_SEC);
    }
}

/// In which way each takes part; everything else is how far they are.
fn ways(listeners: &Listeners) -> impl Iterator<Item = impl PartialEq> {
    listeners.iter().map(|(member, listener)| {
        let waits_for_tap = listener.sync.is_some_and(|sync| sync.waits_for_tap);
        (*member, listener.role, listener.playable, waits_for_tap)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::TrackId;
    use crate::wire::{Download, Role, Sync};

    fn listener(off_ms: Option<f64>) -> Listener {
        Listener {
            role: Role::Listener,
            download: None,
            playable: true,
            sync: off_ms.map(|off_ms| Sync {
                off_ms: Some(off_ms),
                round_trip_ms: 8.0,
                latency_ms: 40.0,
                waits_for_tap: false,
            }),
        }
    }

    fn house(listeners: &[Listener]) -> Listeners {
        let members = (1..).map(MemberId);
        members.zip(listeners.iter().cloned()).collect()
    }

    #[test]
    fn who_is_there_and_in_which_way_is_presence_and_how_far_they_are_is_progress() {
        let before = listener(Some(1.0));
        let changed = |change: fn(&mut Listener)| {
            let mut listener = before.clone();
            change(&mut listener);
            vec![listener]
        };
        let downloads = |l: &mut Listener| {
            l.download = Some(Download {
                track_id: TrackId(1),
                received_bytes: 1,
                size: 2,
            });
        };
        let tap = |l: &mut Listener| l.sync.as_mut().unwrap().waits_for_tap = true;
        for (after, name) in [
            (vec![before.clone()], None),
            (changed(downloads), Some("progress")),
            (vec![listener(Some(2.0))], Some("progress")),
            (vec![listener(None)], Some("progress")),
            (changed(tap), Some("presence")),
            (changed(|l| l.playable = false), Some("presence")),
            (changed(|l| l.role = Role::Remote), Some("presence")),
            (vec![], Some("presence")),
            (vec![before.clone(); 2], Some("presence")),
        ] {
            let now = Instant::now();
            let mut pace = Pace::new(now);
            pace.told(house(std::slice::from_ref(&before)), 0, now);
            pace.live_changed();
            assert_eq!(pace.news(&house(&after)), name, "{after:?}");
            assert_eq!(pace.due(), None, "{after:?}");
        }
    }

    #[test]
    fn a_tap_that_is_waited_for_from_the_first_report_on_is_presence() {
        let mut waiting = listener(Some(1.0));
        waiting.sync.as_mut().unwrap().waits_for_tap = true;
        let now = Instant::now();
        let mut pace = Pace::new(now);
        pace.told(house(&[listener(None)]), 0, now);
        assert_eq!(pace.news(&house(&[waiting])), Some("presence"));
    }

    #[test]
    fn the_more_there_is_to_tell_the_less_often_it_is_told_and_figures_least_often() {
        for (bytes, live_ms, sync_ms) in [
            (0, 500, 2_000),
            (1_000_000, 500, 2_000),
            (20_000_000, 1_000, 20_000),
        ] {
            let now = Instant::now();
            let mut pace = Pace::new(now);
            assert_eq!(pace.due(), None);
            pace.told(house(&[]), bytes, now);
            pace.sync_changed();
            assert_eq!(pace.due(), Some(now + Duration::from_millis(sync_ms)));
            pace.live_changed();
            assert_eq!(pace.due(), Some(now + Duration::from_millis(live_ms)));
        }
    }
}
