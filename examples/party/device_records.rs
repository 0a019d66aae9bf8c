//! What the simulation knows of each of its devices: the device's event stream, its download progress, and the events
//! that it has not received yet. All times are taken when the device sends or receives. The server may see the same a
//! moment earlier or later, for which the checks in `barrier_waits` have margins.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::invariants::{Invariant, InvariantChecks};

/// A device's member ID.
pub(super) type Member = Arc<str>;

/// An accepted command whose event has not reached every stream after this time counts as lost.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(20);
/// The most arrival times that are kept for each device. They are needed because the event of a command may arrive before
/// the response.
const MAX_ARRIVALS: usize = 256;

/// An event of the server may have been caused before progress that the simulation observed up to this time earlier.
const RACE_MARGIN: Duration = Duration::from_secs(1);

/// What the simulation knows of one device.
#[derive(Debug)]
pub(super) struct DeviceRecord {
    /// The time at which the current event stream was opened; `None` without a stream.
    pub(super) streaming_since: Option<Instant>,
    /// The time at which the last stream was closed.
    pub(super) offline_since: Instant,
    /// The last time at which the device opened a stream after being offline for at least the leave grace period.
    pub(super) returned_after_grace: Option<Instant>,
    /// The last time at which the device made progress: it received bytes of a track that it had not received since the
    /// barrier opened, or it changed an acknowledgement.
    pub(super) last_progress: Option<Instant>,
    /// The times of progress that the server must have seen at about the same time: those within [`RACE_MARGIN`], and the last
    /// one before.
    certain_progress: VecDeque<Instant>,
    /// Whether the device has asked to be unpaired.
    pub(super) leaving: bool,
    /// Every track that the device has ever tried to acknowledge, or has claimed to play when it opened a stream.
    ready_claims: BTreeSet<String>,
    /// The last acknowledgement of each track since the barrier opened or the device came back: whether the track is
    /// playable.
    acks: BTreeMap<String, bool>,
    /// The end of the furthest part of each track ever received, in bytes.
    furthest_ever: BTreeMap<String, u64>,
    /// The end of the furthest part of each track received since the barrier opened, in bytes.
    furthest_since_opening: BTreeMap<String, u64>,
    /// The event count of the last event received.
    event_count: u64,
    /// The event count and the arrival time of the last events received.
    arrivals: VecDeque<(u64, Instant)>,
}

impl DeviceRecord {
    fn record_certain_progress(&mut self, at: Instant) {
        let times = &mut self.certain_progress;
        times.push_back(at);
        // The second one is old enough to answer for the time before.
        while times
            .get(1)
            .is_some_and(|second| at.duration_since(*second) > RACE_MARGIN)
        {
            times.pop_front();
        }
    }

    /// The last progress that the server must have seen before it sent an event that arrives at `now`.
    pub(super) fn last_certain_progress(&self, now: Instant) -> Option<Instant> {
        let times = self.certain_progress.iter().rev();
        times
            .copied()
            .find(|at| now.duration_since(*at) > RACE_MARGIN)
    }
}

/// An accepted command whose last event is on its way to the streams.
#[derive(Debug)]
struct Delivery {
    event_count: u64,
    sent_at: Instant,
    /// The members whose streams have not received the event yet.
    waiting: BTreeSet<Member>,
    /// The longest delivery time so far.
    slowest: Option<Duration>,
}

/// All devices of the simulation, and the deliveries of events to them.
#[derive(Debug, Default)]
pub(super) struct DeviceRecords {
    devices: BTreeMap<Member, DeviceRecord>,
    deliveries: Vec<Delivery>,
    delivery_times: Vec<Duration>,
}

impl DeviceRecords {
    /// Adds a device.
    pub(super) fn add(&mut self, member: &Member) {
        let device = DeviceRecord {
            streaming_since: None,
            offline_since: Instant::now(),
            returned_after_grace: None,
            last_progress: None,
            certain_progress: VecDeque::new(),
            leaving: false,
            ready_claims: BTreeSet::new(),
            acks: BTreeMap::new(),
            furthest_ever: BTreeMap::new(),
            furthest_since_opening: BTreeMap::new(),
            event_count: 0,
            arrivals: VecDeque::new(),
        };
        self.devices.insert(member.clone(), device);
    }

    pub(super) fn get(&self, member: &str) -> Option<&DeviceRecord> {
        self.devices.get(member)
    }

    /// Changes the record of a device. Does nothing if `member` is not a device of the simulation.
    pub(super) fn update(&mut self, member: &str, change: impl FnOnce(&mut DeviceRecord)) {
        if let Some(device) = self.devices.get_mut(member) {
            change(device);
        }
    }

    /// The number of devices with an event stream.
    pub(super) fn streaming(&self) -> usize {
        let devices = self.devices.values();
        devices
            .filter(|device| device.streaming_since.is_some())
            .count()
    }

    /// The devices whose event stream has been open for more than `time`.
    pub(super) fn streaming_for(&self, time: Duration) -> impl Iterator<Item = &Member> {
        self.devices
            .iter()
            .filter(move |(_, device)| {
                let since = device.streaming_since;
                since.is_some_and(|since| since.elapsed() > time)
            })
            .map(|(member, _)| member)
    }

    /// Records that a device is about to claim to the server that it is ready to play `track`. Returns whether this is
    /// the first claim of the device for this track.
    pub(super) fn claims_ready(&mut self, member: &str, track: &str) -> bool {
        let mut first = false;
        self.update(member, |device| {
            first = device.ready_claims.insert(track.to_owned());
        });
        first
    }

    /// Whether a device may have claimed to be ready to play `track`. True for devices that are not part of the simulation.
    pub(super) fn may_have_claimed_ready(&self, member: &str, track: &str) -> bool {
        self.get(member)
            .is_none_or(|device| device.ready_claims.contains(track))
    }

    /// Records that the server has accepted an acknowledgement. `first` is the result of [`DeviceRecords::claims_ready`].
    pub(super) fn ack_accepted(&mut self, member: &str, track: &str, playable: bool, first: bool) {
        self.update(member, |device| {
            if device.acks.insert(track.to_owned(), playable) != Some(playable) {
                device.last_progress = Some(Instant::now());
            }
            if first {
                device.record_certain_progress(Instant::now());
            }
        });
    }

    /// Records that a device begins to download a track. Returns the end of the furthest part that the device has
    /// received before, in bytes; `None` for the first download.
    pub(super) fn download_begins(&mut self, member: &str, track: &str) -> Option<u64> {
        let mut before = None;
        self.update(member, |device| {
            before = device.furthest_ever.get(track).copied();
            device.furthest_ever.entry(track.to_owned()).or_default();
        });
        before
    }

    /// Records that a device has received a track up to byte `end`. `certain` means that the server must have seen this
    /// progress a moment ago.
    pub(super) fn bytes_received(&mut self, member: &str, track: &str, end: u64, certain: bool) {
        self.update(member, |device| {
            let ever = device.furthest_ever.entry(track.to_owned()).or_default();
            *ever = end.max(*ever);
            let since_opening = device
                .furthest_since_opening
                .entry(track.to_owned())
                .or_default();
            if end > *since_opening {
                *since_opening = end;
                device.last_progress = Some(Instant::now());
            }
            if certain {
                device.record_certain_progress(Instant::now());
            }
        });
    }

    /// Records that a barrier has opened: from now on, the server counts bytes and acknowledgements as progress again.
    pub(super) fn barrier_opened(&mut self) {
        for device in self.devices.values_mut() {
            device.furthest_since_opening.clear();
            device.acks.clear();
        }
    }

    /// Records that a device has opened an event stream at `event_count`.
    pub(super) fn stream_opened(&mut self, member: &str, event_count: u64, leave_grace: Duration) {
        let now = Instant::now();
        self.update(member, |device| {
            if now.duration_since(device.offline_since) >= leave_grace {
                device.returned_after_grace = Some(now);
                device.acks.clear();
            }
            device.streaming_since = Some(now);
            device.event_count = event_count;
            device.arrivals.clear();
        });
    }

    /// Records that a device has lost its event stream, or is about to close the stream.
    pub(super) fn stream_closed(&mut self, member: &str) {
        self.update(member, |device| {
            if device.streaming_since.take().is_some() {
                device.offline_since = Instant::now();
            }
        });
        for delivery in &mut self.deliveries {
            delivery.waiting.remove(member);
        }
        self.finish_deliveries();
    }

    /// Records that a device has received an event.
    pub(super) fn event_received(&mut self, member: &str, event_count: u64, received_at: Instant) {
        self.update(member, |device| {
            device.event_count = event_count;
            device.arrivals.push_back((event_count, received_at));
            if device.arrivals.len() > MAX_ARRIVALS {
                device.arrivals.pop_front();
            }
        });
        for delivery in &mut self.deliveries {
            if delivery.event_count <= event_count && delivery.waiting.remove(member) {
                delivery.arrived(received_at);
            }
        }
        self.finish_deliveries();
    }

    /// Records that a command sent at `sent_at` was accepted and caused events up to `event_count`. These events must
    /// reach every stream that was opened before `sent_at`.
    pub(super) fn expect_delivery(&mut self, event_count: u64, sent_at: Instant) {
        let mut delivery = Delivery {
            event_count,
            sent_at,
            waiting: BTreeSet::new(),
            slowest: None,
        };
        for (member, device) in &self.devices {
            let opened_before = device.streaming_since.is_some_and(|since| since < sent_at);
            if !opened_before {
                continue;
            }
            let arrival = |(count, _): &&(u64, Instant)| *count == event_count;
            if device.event_count < event_count {
                delivery.waiting.insert(member.clone());
            } else if let Some((_, received_at)) = device.arrivals.iter().find(arrival) {
                delivery.arrived(*received_at);
            }
        }
        self.deliveries.push(delivery);
        self.finish_deliveries();
    }

    fn finish_deliveries(&mut self) {
        let delivery_times = &mut self.delivery_times;
        self.deliveries.retain(|delivery| {
            let done = delivery.waiting.is_empty();
            if done {
                delivery_times.extend(delivery.slowest);
            }
            !done
        });
    }

    /// Whether the events of every accepted command have reached every stream.
    pub(super) fn all_delivered(&self) -> bool {
        self.deliveries.is_empty()
    }

    /// The times from sending a command until its last event has reached every stream, in ascending order.
    pub(super) fn delivery_times(&self) -> Vec<Duration> {
        let mut times = self.delivery_times.clone();
        times.sort();
        times
    }

    /// Removes the deliveries that have timed out, and records a violation for each of them.
    pub(super) fn check_delivery_timeouts(&mut self, checks: &mut InvariantChecks) {
        self.deliveries.retain(|delivery| {
            let timed_out = delivery.sent_at.elapsed() > DELIVERY_TIMEOUT;
            if timed_out {
                let text = format!(
                    "{:?} have not received event {} within {DELIVERY_TIMEOUT:?}",
                    delivery.waiting, delivery.event_count
                );
                checks.record(Invariant::AcceptedCommandsAreBroadcast, Some(text));
            }
            !timed_out
        });
    }
}

impl Delivery {
    fn arrived(&mut self, received_at: Instant) {
        let time = received_at.saturating_duration_since(self.sent_at);
        self.slowest = Some(self.slowest.map_or(time, |slowest| slowest.max(time)));
    }
}
