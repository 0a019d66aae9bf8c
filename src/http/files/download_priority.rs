//! Download priority on the server's uplink, which all downloads share. A download is *awaited* while its track is the current track
//! of a room and its device is a listener there that has not acknowledged the track: the device cannot play yet, and a
//! barrier ([`crate::room::Barrier`]) may delay the start for all devices until this device can play. All other downloads,
//! of tracks that clients fetch in advance, yield to awaited downloads: they stop reading their files.
//!
//! The other downloads yield for a few seconds at a time, and only while yielding makes the awaited downloads faster. If
//! yielding does not make them faster, the bottleneck is elsewhere, for example at a phone with weak Wi-Fi reception.

use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use crate::room::{MemberId, TrackId};
use crate::rooms::Rooms;

/// How long other downloads yield at a time. Less than eight seconds, after which the page aborts a download without
/// progress.
const YIELD_TIME: Duration = Duration::from_secs(4);
/// How long the other downloads run after yielding, to measure the rate of the awaited downloads without yielding.
const PROBE_TIME: Duration = Duration::from_secs(1);
/// The other downloads yield again if the awaited downloads were more than this many times as fast while the others yielded.
const MIN_SPEEDUP: f64 = 1.25;
/// How long other downloads do not yield after yielding did not make the awaited downloads faster.
const REST_TIME: Duration = Duration::from_secs(10);
/// Each of the other downloads checks before each read whether it must yield. If no download has checked for this long after the end
/// of a phase, no download could yield, so the measured rates are discarded.
const MAX_IDLE_TIME: Duration = Duration::from_secs(1);

/// What the other downloads do while there are awaited downloads.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    /// The other downloads do not read their files.
    Yield,
    /// The other downloads read. The rate of the awaited downloads is compared with `yield_rate`, their rate during the
    /// phase `Yield`, in bytes per second.
    Probe { yield_rate: f64 },
    /// The other downloads read, because yielding did not make the awaited downloads faster.
    Rest,
}

/// Decides when other downloads yield to the awaited downloads of some tracks: of one, or of one in each room. Reads no clock:
/// callers pass the time.
#[derive(Debug)]
struct YieldSchedule {
    track_ids: Vec<TrackId>,
    phase: Phase,
    /// When the phase began.
    since: Instant,
    /// The number of bytes written for awaited downloads since the phase began.
    awaited_bytes: u64,
}

impl YieldSchedule {
    fn new(track_ids: Vec<TrackId>, now: Instant) -> Self {
        YieldSchedule {
            track_ids,
            phase: Phase::Yield,
            since: now,
            awaited_bytes: 0,
        }
    }

    /// The time until which the other downloads yield; `None` if they may read.
    fn yield_until(&mut self, now: Instant) -> Option<Instant> {
        let duration = match self.phase {
            Phase::Yield => YIELD_TIME,
            Phase::Probe { .. } => PROBE_TIME,
            Phase::Rest => REST_TIME,
        };
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= duration + MAX_IDLE_TIME {
            *self = YieldSchedule::new(mem::take(&mut self.track_ids), now);
        } else if elapsed >= duration {
            self.phase = self.next_phase(self.awaited_bytes as f64 / elapsed.as_secs_f64());
            self.since = now;
            self.awaited_bytes = 0;
        }
        (self.phase == Phase::Yield).then(|| self.since + YIELD_TIME)
    }

    /// The phase after the current one, in which the awaited downloads had a rate of `rate` bytes per second.
    fn next_phase(&self, rate: f64) -> Phase {
        match self.phase {
            Phase::Yield => Phase::Probe { yield_rate: rate },
            Phase::Probe { yield_rate } if yield_rate <= MIN_SPEEDUP * rate => Phase::Rest,
            Phase::Probe { .. } | Phase::Rest => Phase::Yield,
        }
    }
}

/// The state that all downloads share.
#[derive(Debug, Default)]
pub(in crate::http) struct Uplink {
    /// The downloads in progress that were awaited at their last write.
    awaited: Mutex<Vec<(MemberId, TrackId)>>,
    /// The length of `awaited`, which can be read without the lock.
    awaited_count: AtomicUsize,
    /// `None` until a download is awaited for the first time.
    schedule: Mutex<Option<YieldSchedule>>,
}

impl Uplink {
    fn schedule(&self) -> MutexGuard<'_, Option<YieldSchedule>> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn awaited(&self) -> MutexGuard<'_, Vec<(MemberId, TrackId)>> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether any registered download is still awaited. Checks each in the rooms' views, because a stalled download writes
    /// nothing, and so stays registered when it is no longer awaited.
    fn has_awaited(&self, rooms: &Rooms) -> bool {
        // Every download calls this before each read, and awaited downloads are rare, so avoid the lock.
        if self.awaited_count.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let awaited = self.awaited();
        let mut awaited = awaited.iter();
        awaited.any(|(member, track_id)| rooms.needs_track_now(*member, *track_id))
    }

    /// Counts bytes of an awaited download of the track. A new track starts a new schedule, for this track and those that other
    /// rooms await.
    fn add_awaited_bytes(
        &self,
        track_id: TrackId,
        bytes: u64,
        is_needed: impl Fn(MemberId, TrackId) -> bool,
    ) {
        let mut schedule = self.schedule();
        match &mut *schedule {
            Some(schedule) if schedule.track_ids.contains(&track_id) => {
                schedule.awaited_bytes += bytes;
            }
            _ => {
                let awaited = self.awaited();
                let awaited = awaited
                    .iter()
                    .filter(|(member, track_id)| is_needed(*member, *track_id));
                let mut track_ids: Vec<_> = awaited.map(|(_, track_id)| *track_id).collect();
                track_ids.push(track_id);
                track_ids.sort();
                track_ids.dedup();
                *schedule = Some(YieldSchedule::new(track_ids, Instant::now()));
            }
        }
    }
}

/// The data about one download on which its priority depends.
#[derive(Debug, Clone)]
pub(super) struct DownloadContext {
    pub(super) rooms: Rooms,
    pub(super) member: MemberId,
    pub(super) track_id: TrackId,
    pub(super) uplink: Arc<Uplink>,
}

impl DownloadContext {
    /// Whether this download is awaited ([`Rooms::needs_track_now`]). The result may change at any time: the download of a
    /// track that is fetched in advance is awaited as soon as the track becomes the current one.
    fn is_awaited(&self) -> bool {
        self.rooms.needs_track_now(self.member, self.track_id)
    }

    /// Whether this download need not yield.
    fn has_priority(&self) -> bool {
        !self.uplink.has_awaited(&self.rooms) || self.is_awaited()
    }

    /// `None` if the download may continue. Otherwise a future, after whose completion the download must call this function
    /// again.
    pub(super) fn yield_to_awaited(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        if self.has_priority() {
            return None;
        }
        let now = Instant::now();
        let until = self.uplink.schedule().as_mut()?.yield_until(now)?;
        let change = self.rooms.next_change();
        // `change` does not report changes before its creation, so check again.
        if self.has_priority() {
            return None;
        }
        Some(Box::pin(async move {
            // The caller checks again after a change as well as after the timeout.
            let _ = timeout_at(until.into(), change).await;
        }))
    }
}

/// Keeps one download registered with the uplink while the download is awaited.
#[derive(Debug)]
pub(super) struct PriorityRegistration {
    pub(super) context: DownloadContext,
    is_registered: bool,
}

impl PriorityRegistration {
    pub(super) fn new(context: DownloadContext) -> Self {
        let mut registration = PriorityRegistration {
            context,
            is_registered: false,
        };
        registration.update();
        registration
    }

    /// Counts bytes that the download has written.
    pub(super) fn add_written(&mut self, bytes: u64) {
        self.update();
        if self.is_registered {
            let context = &self.context;
            context
                .uplink
                .add_awaited_bytes(context.track_id, bytes, |member, track_id| {
                    context.rooms.needs_track_now(member, track_id)
                });
        }
    }

    /// Registers or unregisters the download, depending on whether it is awaited now.
    fn update(&mut self) {
        self.set_registered(self.context.is_awaited());
    }

    /// Unregisters the download, because it has ended.
    pub(super) fn unregister(&mut self) {
        self.set_registered(false);
    }

    fn set_registered(&mut self, must_be_registered: bool) {
        if self.is_registered == must_be_registered {
            return;
        }
        self.is_registered = must_be_registered;
        let DownloadContext {
            uplink,
            member,
            track_id,
            ..
        } = &self.context;
        let download = (*member, *track_id);
        let mut awaited = uplink.awaited();
        if must_be_registered {
            awaited.push(download);
        } else if let Some(index) = awaited.iter().position(|other| *other == download) {
            awaited.swap_remove(index);
        }
        uplink.awaited_count.store(awaited.len(), Ordering::Relaxed);
    }
}

impl Drop for PriorityRegistration {
    fn drop(&mut self) {
        self.unregister();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACK: TrackId = TrackId(1);
    /// The interval at which the other downloads check whether they must yield.
    const STEP: Duration = Duration::from_millis(50);

    /// Simulates `duration`, in which the awaited downloads have a rate of `yield_rate` bytes per second while the others
    /// yield, and of `probe_rate` while the others read. Returns the share of the time in which the others yielded, and the
    /// longest period in which they yielded without a pause.
    fn simulate(yield_rate: u64, probe_rate: u64, duration: Duration) -> (f64, Duration) {
        let start = Instant::now();
        let mut schedule = YieldSchedule::new(vec![TRACK], start);
        let mut now = start;
        let (mut total, mut period, mut longest) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
        while now < start + duration {
            if schedule.yield_until(now).is_some() {
                schedule.awaited_bytes += yield_rate / 20;
                total += STEP;
                period += STEP;
                longest = longest.max(period);
            } else {
                schedule.awaited_bytes += probe_rate / 20;
                period = Duration::ZERO;
            }
            now += STEP;
        }
        (total.as_secs_f64() / duration.as_secs_f64(), longest)
    }

    #[test]
    fn others_yield_only_while_that_speeds_up_awaited_downloads() {
        for (case, yield_rate, probe_rate, min, max) in [
            (
                "one awaited download of eight on a narrow link",
                2_500_000,
                312_500,
                0.75,
                0.85,
            ),
            (
                "one awaited download of two",
                2_500_000,
                1_250_000,
                0.75,
                0.85,
            ),
            (
                "an awaited download that stops while others read",
                2_500_000,
                0,
                0.75,
                0.85,
            ),
            (
                "a phone with a narrow link of its own",
                100_000,
                100_000,
                0.2,
                0.35,
            ),
            ("a link with varying load", 110_000, 100_000, 0.2, 0.35),
            ("a stalled download", 0, 0, 0.2, 0.35),
        ] {
            let (share, longest) = simulate(yield_rate, probe_rate, Duration::from_secs(120));
            assert!((min..=max).contains(&share), "{case}: {share}");
            assert!(longest <= YIELD_TIME + STEP, "{case}: {longest:?}");
        }
    }

    #[test]
    fn a_new_schedule_starts_with_a_full_yield_phase() {
        let now = Instant::now();
        let mut schedule = YieldSchedule::new(vec![TRACK], now);
        assert_eq!(schedule.yield_until(now), Some(now + YIELD_TIME));
        let later = now + YIELD_TIME / 2;
        assert_eq!(schedule.yield_until(later), Some(now + YIELD_TIME));
        assert_eq!(schedule.yield_until(now + YIELD_TIME), None);
    }

    #[test]
    fn rates_measured_without_a_yielding_download_are_discarded() {
        let now = Instant::now();
        let mut schedule = YieldSchedule::new(vec![TRACK], now);
        assert_eq!(schedule.yield_until(now + YIELD_TIME), None);
        let later = now + Duration::from_secs(60);
        assert_eq!(schedule.yield_until(later), Some(later + YIELD_TIME));
    }

    #[test]
    fn another_awaited_track_starts_a_new_schedule() {
        let uplink = Uplink::default();
        let phase = || uplink.schedule().as_ref().map(|schedule| schedule.phase);
        assert_eq!(phase(), None);
        uplink.add_awaited_bytes(TRACK, 1, |_, _| true);
        assert_eq!(phase(), Some(Phase::Yield));
        if let Some(schedule) = &mut *uplink.schedule() {
            schedule.phase = Phase::Rest;
        }
        uplink.add_awaited_bytes(TRACK, 1, |_, _| true);
        assert_eq!(phase(), Some(Phase::Rest));
        uplink.add_awaited_bytes(TrackId(2), 1, |_, _| true);
        assert_eq!(phase(), Some(Phase::Yield));
    }
}
