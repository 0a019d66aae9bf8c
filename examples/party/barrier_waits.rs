//! Checks barriers. A barrier delays the start of a track until each of its members, the listening devices, has
//! downloaded the track. This module records how each barrier ended, and checks whether each removal of a member was
//! justified and whether a barrier waits for a member longer than the server's timeouts permit. The source is the observer's
//! event stream, which is never interrupted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::client::{Event, RoomView};
use super::device_records::DeviceRecords;
use super::invariants::{Invariant, InvariantChecks};

/// The server removes a member from a barrier after this time without progress.
const STALL_TIMEOUT: Duration = Duration::from_secs(15);
/// Once a device's stream has been open for this time, the server must count the device as a listener.
const CERTAIN_LISTENER_AGE: Duration = Duration::from_secs(3);
/// The time after a timeout of the server within which the simulation must observe the effect, even on a busy machine.
const OBSERVATION_MARGIN: Duration = Duration::from_secs(10);
/// The most time by which the server may have seen the last progress of a device earlier than the device itself.
const PROGRESS_MARGIN: Duration = Duration::from_secs(7);
/// The time after the return of a device for which the server may still announce its departure.
const LATE_DEPARTURE: Duration = Duration::from_secs(5);
/// A start counts as the start that a segue has announced if it is at most this much earlier than announced, in
/// milliseconds.
const SEGUE_EARLY_MS: f64 = 300.0;
/// A start counts as the start that a segue has announced if it is less than this much later than announced, in
/// milliseconds. A start that is later still shows that the server has discarded the announcement, which is permitted
/// (`MAX_LATE_MS` in `room/segue.rs`).
const SEGUE_LATE_MS: f64 = 4_500.0;

/// The open barrier.
#[derive(Debug)]
struct OpenBarrier {
    /// The event count of its `barrier.opened`.
    opened_event_count: u64,
    since: Instant,
    members: BTreeSet<String>,
    ready: BTreeSet<String>,
}

/// An event `segue`: the start of the next track that the server announces before the end of the current track.
#[derive(Debug)]
struct Segue {
    track_id: String,
    anchor_at_ms: f64,
    event_count: u64,
}

/// A barrier that waits longer than the server's timeout permits.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OverdueWait {
    /// The event count of the barrier's `barrier.opened`.
    opened_event_count: u64,
    /// The member that the barrier waits for; `None` if the barrier has no members although a listener is present.
    member: Option<String>,
}

/// The open barrier, the last segue, and counts of all barriers so far.
#[derive(Debug, Default)]
pub(super) struct BarrierWaits {
    open: Option<OpenBarrier>,
    segue: Option<Segue>,
    /// The event count and reason of the last `barrier.shrunk`.
    last_shrunk: (u64, String),
    recorded: BTreeSet<OverdueWait>,
    /// The event counts of the `barrier.opened` events directly after which the server may skip members that are not ready.
    pub(super) skip_allowed: BTreeSet<u64>,
    /// The number of barriers that have opened.
    pub(super) opened: u64,
    /// The number of barriers that ended in each way.
    pub(super) ended: BTreeMap<String, u64>,
    /// The number of members that were removed for each reason.
    pub(super) removed: BTreeMap<String, u64>,
    /// The longest time that a barrier was open.
    pub(super) longest: Duration,
}

impl BarrierWaits {
    /// Records the barrier that is open in the observer's first view, if any.
    pub(super) fn begin(&mut self, view: &RoomView) {
        if view.barrier().is_some() {
            self.open(view, Instant::now());
        }
    }

    fn open(&mut self, view: &RoomView, since: Instant) {
        self.opened += 1;
        self.open = Some(OpenBarrier {
            opened_event_count: view.event_count,
            since,
            members: owned(view.barrier_members()),
            ready: owned(view.ready_barrier_members()),
        });
    }

    fn close(&mut self, how: String, at: Instant) {
        if let Some(barrier) = self.open.take() {
            self.longest = self.longest.max(at.duration_since(barrier.since));
            *self.ended.entry(how).or_default() += 1;
        }
    }

    /// Records and checks an event. `before` and `view` are the room before and after the event.
    pub(super) fn record_event(
        &mut self,
        event: &Event,
        before: &RoomView,
        view: &RoomView,
        devices: &DeviceRecords,
        leave_grace: Duration,
        checks: &mut InvariantChecks,
    ) {
        if event.name == "segue" {
            self.segue = parse_segue(event);
        }
        let Some(count) = event.id else { return };
        match event.name.as_str() {
            "barrier.opened" => {
                let how = if self.has_no_members() && !view.barrier_members().is_empty() {
                    "reopened for the first listener"
                } else {
                    "cancelled by play"
                };
                self.close(how.into(), event.received_at);
                self.open(view, event.received_at);
                let violation = listener_left_out(view, devices);
                checks.record(Invariant::ActiveMembersAreKept, violation);
                if self.allows_skip(count, before, view) {
                    self.skip_allowed.insert(count);
                }
            }
            "barrier.shrunk" => {
                let text = |field: &str| event.payload[field].as_str().unwrap_or_default();
                let (member, reason) = (text("memberId"), text("reason"));
                self.last_shrunk = (count, reason.to_owned());
                *self.removed.entry(reason.to_owned()).or_default() += 1;
                let violation = self.unjustified_removal(member, reason, devices, leave_grace);
                checks.record(Invariant::ActiveMembersAreKept, violation);
            }
            "barrier.release" => self.check_release(count, event, checks),
            "playback.paused" => self.close("cancelled by pause".into(), event.received_at),
            "queue.advanced" => self.close("cancelled by next".into(), event.received_at),
            "library.changed" if view.barrier().is_none() => {
                self.close("cancelled by a library change".into(), event.received_at);
            }
            _ => {}
        }
        self.check_members(event, view, devices, checks);
    }

    fn has_no_members(&self) -> bool {
        let open = self.open.as_ref();
        open.is_some_and(|barrier| barrier.members.is_empty())
    }

    fn check_release(&mut self, count: u64, event: &Event, checks: &mut InvariantChecks) {
        let open = self.open.as_ref();
        let all_ready = open.is_some_and(|barrier| barrier.members.is_subset(&barrier.ready));
        checks.check(Invariant::StartsNeedReadyMembers, all_ready, || {
            format!("{} with the barrier {open:?}", event.data)
        });
        let how = if self.last_shrunk.0 + 1 == count {
            format!("released after a removal: {}", self.last_shrunk.1)
        } else if self.has_no_members() {
            "released without members".to_owned()
        } else {
            "released with every member ready".to_owned()
        };
        self.close(how, event.received_at);
        self.check_segue(count, event, checks);
    }

    /// Whether the server may skip members as soon as the barrier of event `count` opens. The server may do so at the
    /// start that a segue has announced, and when a listener joins a playing room without listeners. Directly after a
    /// segue, the end of the track causes `queue.advanced` (+1), `barrier.opened` (+2) and `barrier.release` (+3).
    fn allows_skip(&self, count: u64, before: &RoomView, view: &RoomView) -> bool {
        let track = view.track_after_current(0);
        let announced = self
            .segue
            .as_ref()
            .is_some_and(|segue| segue.event_count + 2 == count && Some(&*segue.track_id) == track);
        let had_no_listener = before.is_playing() && before.anchor_at_ms.is_none();
        announced || had_no_listener
    }

    /// Checks the members after an event: no member may be added, and each ready member must have claimed to be ready.
    fn check_members(
        &mut self,
        event: &Event,
        view: &RoomView,
        devices: &DeviceRecords,
        checks: &mut InvariantChecks,
    ) {
        let agrees_with_view = self.open.is_some() == view.barrier().is_some();
        checks.check(Invariant::MembersOnlyShrink, agrees_with_view, || {
            format!("{} after {:?}", event.data, self.open)
        });
        let (members, ready) = (
            owned(view.barrier_members()),
            owned(view.ready_barrier_members()),
        );
        let Some(barrier) = &mut self.open else {
            return;
        };
        let shrinks = members.is_subset(&barrier.members) && ready.is_subset(&members);
        checks.check(Invariant::MembersOnlyShrink, shrinks, || {
            format!("{} after the members {:?}", event.data, barrier.members)
        });
        let track = view.track_after_current(0).unwrap_or_default();
        let never_claimed = |member: &&String| !devices.may_have_claimed_ready(member, track);
        if let Some(member) = ready.iter().find(never_claimed) {
            let text = format!("{member} never acknowledged {track}: {}", event.data);
            checks.record(Invariant::StartsNeedReadyMembers, Some(text));
        }
        barrier.members = members;
        barrier.ready = ready;
    }

    /// Why the member should not have been removed for `reason`; `None` if the removal is justified.
    fn unjustified_removal(
        &self,
        member: &str,
        reason: &str,
        devices: &DeviceRecords,
        leave_grace: Duration,
    ) -> Option<String> {
        let device = devices.get(member)?;
        let barrier = self.open.as_ref()?;
        match reason {
            "left" => {
                let is_away = device.streaming_since.is_none()
                    && device.offline_since.elapsed() >= leave_grace;
                let was_away = device
                    .returned_after_grace
                    .is_some_and(|returned| returned.elapsed() < LATE_DEPARTURE);
                (!is_away && !was_away && !device.leaving).then(|| {
                    format!("{member} was removed within the leave grace period: {device:?}")
                })
            }
            "stalled" => {
                let last_progress = device
                    .last_certain_progress(Instant::now())
                    .map_or(barrier.since, |at| at.max(barrier.since));
                (last_progress.elapsed() + PROGRESS_MARGIN < STALL_TIMEOUT).then(|| {
                    let time = last_progress.elapsed();
                    format!("{member} was removed as stalled {time:?} after its last progress")
                })
            }
            "vanished" => Some(format!(
                "{member} was removed as vanished, although its system acknowledges every packet"
            )),
            _ => None,
        }
    }

    /// Checks that the start of a track after the end of the previous track is exactly at the time that the segue has
    /// announced.
    fn check_segue(&self, count: u64, release: &Event, checks: &mut InvariantChecks) {
        let at_ms = release.payload["anchorAtMs"].as_f64();
        let (Some(segue), Some(at_ms)) = (&self.segue, at_ms) else {
            return;
        };
        let follows =
            segue.event_count + 3 == count && release.payload["trackId"] == segue.track_id;
        let difference_ms = at_ms - segue.anchor_at_ms;
        if follows && (-SEGUE_EARLY_MS..SEGUE_LATE_MS).contains(&difference_ms) {
            let exact = at_ms == segue.anchor_at_ms;
            checks.check(Invariant::SeguesAreKept, exact, || {
                format!("{segue:?}, but {}", release.data)
            });
        }
    }

    /// The open barrier's number of missing members, number of members, and age.
    pub(super) fn status(&self, view: &RoomView) -> Option<(usize, usize, Duration)> {
        let barrier = self.open.as_ref()?;
        let missing = view.unready_barrier_members().len();
        Some((missing, barrier.members.len(), barrier.since.elapsed()))
    }

    /// The waits beyond the server's timeout that have not been recorded yet.
    pub(super) fn overdue(
        &self,
        view: &RoomView,
        devices: &DeviceRecords,
        leave_grace: Duration,
    ) -> Vec<OverdueWait> {
        let Some(barrier) = &self.open else {
            return Vec::new();
        };
        let overdue_wait = |member: Option<String>| OverdueWait {
            opened_event_count: barrier.opened_event_count,
            member,
        };
        let mut overdue = Vec::new();
        let is_old = barrier.since.elapsed() > OBSERVATION_MARGIN;
        let mut listeners = devices.streaming_for(OBSERVATION_MARGIN);
        if barrier.members.is_empty() && is_old && listeners.next().is_some() {
            overdue.push(overdue_wait(None));
        }
        for member in view.unready_barrier_members() {
            let Some(device) = devices.get(member) else {
                continue;
            };
            let (since, limit) = match device.streaming_since {
                Some(_) => {
                    let last_progress = device.last_progress;
                    let since = last_progress.map_or(barrier.since, |at| at.max(barrier.since));
                    (since, STALL_TIMEOUT)
                }
                None => (device.offline_since, leave_grace),
            };
            if since.elapsed() > limit + OBSERVATION_MARGIN {
                overdue.push(overdue_wait(Some(member.to_owned())));
            }
        }
        overdue.retain(|wait| !self.recorded.contains(wait));
        overdue
    }

    /// Records a violation for each overdue wait, once.
    pub(super) fn record_overdue(
        &mut self,
        overdue: Vec<OverdueWait>,
        checks: &mut InvariantChecks,
    ) {
        for wait in overdue {
            let text = format!("{wait:?} has not ended");
            checks.record(Invariant::WaitsAreLimited, Some(text));
            self.recorded.insert(wait);
        }
    }

    /// Whether a barrier is open.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The event count of the open barrier's `barrier.opened`.
    pub(super) fn opened_event_count(&self) -> Option<u64> {
        self.open.as_ref().map(|barrier| barrier.opened_event_count)
    }
}

fn owned(members: Vec<&str>) -> BTreeSet<String> {
    members.into_iter().map(str::to_owned).collect()
}

/// Describes a listener that is not a member of the barrier that has just opened; `None` if all listeners are members.
fn listener_left_out(view: &RoomView, devices: &DeviceRecords) -> Option<String> {
    let members = view.barrier_members();
    let mut listeners = devices.streaming_for(CERTAIN_LISTENER_AGE);
    let listener = listeners.find(|listener| !members.contains(&&***listener))?;
    Some(format!("{listener} listens, but is not among {members:?}"))
}

fn parse_segue(event: &Event) -> Option<Segue> {
    Some(Segue {
        track_id: event.payload["trackId"].as_str()?.to_owned(),
        anchor_at_ms: event.payload["anchorAtMs"].as_f64()?,
        event_count: event.payload["eventCount"].as_u64()?,
    })
}
