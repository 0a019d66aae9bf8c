//! Collects what all tasks receive, behind one lock, and passes it to the checks in `event_log`, `device_records`,
//! `barrier_waits` and `invariants`.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::barrier_waits::BarrierWaits;
use super::client::{Event, FoldError, RoomView};
use super::device_records::{DeviceRecords, Member};
use super::event_log::{CommandRecord, EventLog, ExpectedEvent};
use super::invariants::{Invariant, InvariantChecks};
use super::report::Status;
use super::upload_records::UploadRecords;

/// The value that replaces the status if the connection was lost before the response arrived.
pub(super) const CONNECTION_LOST: u16 = 0;

/// Everything that the simulation has recorded.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) checks: InvariantChecks,
    pub(super) event_log: EventLog,
    pub(super) devices: DeviceRecords,
    pub(super) barrier_waits: BarrierWaits,
    pub(super) uploads: UploadRecords,
    /// The number of responses for each request name and status.
    pub(super) responses: BTreeMap<&'static str, BTreeMap<u16, u64>>,
    /// The number of times that phones did each action, for example a completed download.
    pub(super) actions: BTreeMap<&'static str, u64>,
    /// The times from sending an accepted command, which is no vote, until its response.
    pub(super) response_times: Vec<Duration>,
    /// Bytes downloaded.
    pub(super) bytes: u64,
    /// The room as the observer's event stream, which is never interrupted, shows it.
    pub(super) observed: Option<RoomView>,
    /// The SHA-256 digest of each track in its upload or first download.
    digests: BTreeMap<String, [u8; 32]>,
}

/// The records, shared by all tasks.
#[derive(Debug)]
pub(super) struct Recorder {
    records: Mutex<Records>,
    started: Instant,
    leave_grace: Duration,
}

impl Recorder {
    pub(super) fn new(leave_grace: Duration) -> Self {
        Recorder {
            records: Mutex::default(),
            started: Instant::now(),
            leave_grace,
        }
    }

    /// Locks the records. The guard must not be held across an await.
    pub(super) fn lock(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time since the start.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Counts a check of an invariant; see [`InvariantChecks::record`].
    pub(super) fn record(&self, invariant: Invariant, violation: Option<String>) {
        self.lock().checks.record(invariant, violation);
    }

    /// Counts an action of a phone.
    pub(super) fn count_action(&self, action: &'static str) {
        *self.lock().actions.entry(action).or_default() += 1;
    }

    /// Counts a response.
    pub(super) fn count_response(&self, request: &'static str, status: u16) {
        let mut records = self.lock();
        let statuses = records.responses.entry(request).or_default();
        *statuses.entry(status).or_default() += 1;
    }

    /// Records that a device has received an event, and folds the event into `view`. Returns false if the event violates an
    /// invariant.
    pub(super) fn event_received(
        &self,
        member: &Member,
        event: &Event,
        view: &mut RoomView,
    ) -> bool {
        let mut records = self.lock();
        let valid = records.fold(event, view);
        let (count, received_at) = (view.event_count, event.received_at);
        records.devices.event_received(member, count, received_at);
        valid
    }

    /// Records that the observer has received an event, and folds the event into `view`. Returns false if the event
    /// violates an invariant.
    pub(super) fn event_observed(&self, event: &Event, view: &mut RoomView) -> bool {
        let records = &mut *self.lock();
        let valid = records.fold(event, view);
        if event.name == "barrier.opened" {
            records.devices.barrier_opened();
        }
        let (waits, checks) = (&mut records.barrier_waits, &mut records.checks);
        match &records.observed {
            None => waits.begin(view),
            Some(before) => {
                waits.record_event(
                    event,
                    before,
                    view,
                    &records.devices,
                    self.leave_grace,
                    checks,
                );
            }
        }
        records.observed = Some(view.clone());
        valid
    }

    /// Records a snapshot that the server has sent in a response.
    pub(super) fn snapshot_received(&self, snapshot: Value) {
        let records = &mut *self.lock();
        match RoomView::from_snapshot(snapshot) {
            Ok(mut view) => {
                let checks = &mut records.checks;
                records.event_log.log_snapshot(&mut view, checks);
            }
            Err(error) => records
                .checks
                .record(invariant_of(&error), Some(error.to_string())),
        }
    }

    /// Records that the server has accepted a command, which was sent at `sent_at` for event count `meant_for`. `last` is
    /// the event count of the command's last event.
    pub(super) fn command_accepted(
        &self,
        expected: ExpectedEvent,
        meant_for: u64,
        last: u64,
        sent_at: Instant,
    ) {
        let mut records = self.lock();
        records.event_log.log_command(CommandRecord::Accepted {
            expected,
            after: meant_for,
            last,
        });
        records.devices.expect_delivery(last, sent_at);
    }

    /// Records the time from sending an accepted command until its response.
    pub(super) fn command_answered(&self, time: Duration) {
        self.lock().response_times.push(time);
    }

    /// Records that a device has opened an event stream at `event_count`.
    pub(super) fn stream_opened(&self, member: &Member, event_count: u64) {
        let devices = &mut self.lock().devices;
        devices.stream_opened(member, event_count, self.leave_grace);
    }

    /// Records that a device has lost its event stream, or is about to close the stream.
    pub(super) fn stream_closed(&self, member: &Member) {
        self.lock().devices.stream_closed(member);
    }

    /// Records that a device has received `length` bytes of a track, up to byte `end`. `certain` means that the server
    /// has sent the last of these bytes a moment ago, and has not sent them before.
    pub(super) fn bytes_received(
        &self,
        member: &Member,
        track: &str,
        end: u64,
        length: usize,
        certain: bool,
    ) {
        let mut records = self.lock();
        records.bytes += length as u64;
        // The protocol does not define whether bytes of a track other than the barrier's track are progress, so such bytes
        // never count as certain progress.
        let barrier = records.observed.as_ref().and_then(RoomView::barrier);
        let waited_for = barrier.is_some_and(|barrier| barrier["trackId"] == track);
        let certain = certain && waited_for;
        records.devices.bytes_received(member, track, end, certain);
    }

    /// Records a download that has ended without being cancelled. Compares its digest with the digest of the first
    /// download of the track.
    pub(super) fn download_ended(&self, track: &str, violation: Option<String>, digest: [u8; 32]) {
        let records = &mut *self.lock();
        let violation = violation.or_else(|| {
            let first = records.digests.entry(track.to_owned()).or_insert(digest);
            (*first != digest).then(|| format!("two phones received different bytes of {track}"))
        });
        records
            .checks
            .record(Invariant::DownloadsAreComplete, violation);
    }

    /// Whether the open barrier waits for a member longer than the server's timeout permits; `None` if no barrier is open.
    pub(super) fn has_overdue_member(&self) -> Option<bool> {
        let records = self.lock();
        let waits = &records.barrier_waits;
        let view = records.observed.as_ref().filter(|_| waits.is_open())?;
        let overdue = waits.overdue(view, &records.devices, self.leave_grace);
        Some(!overdue.is_empty())
    }

    /// Records a violation for each overdue member, unless the observer's stream is behind `current`, the event count of the
    /// server's snapshot.
    pub(super) fn record_overdue_members(&self, current: u64) {
        let records = &mut *self.lock();
        let observed = records.observed.as_ref();
        if let Some(view) = observed.filter(|view| view.event_count == current) {
            let waits = &mut records.barrier_waits;
            let overdue = waits.overdue(view, &records.devices, self.leave_grace);
            waits.record_overdue(overdue, &mut records.checks);
        }
    }

    /// The current state of the run, for display.
    pub(super) fn status(&self, phones: usize) -> Status {
        let records = self.lock();
        let statuses = records.responses.values().flatten();
        let (accepted, refused) =
            statuses.fold(
                (0, 0),
                |(accepted, refused), (status, count)| match status {
                    200..300 => (accepted + count, refused),
                    _ => (accepted, refused + count),
                },
            );
        let observed = records.observed.as_ref();
        Status {
            elapsed: self.elapsed(),
            streaming: records.devices.streaming(),
            phones,
            event_count: records.event_log.newest(),
            accepted,
            refused,
            barrier: observed.and_then(|view| records.barrier_waits.status(view)),
            bytes: records.bytes,
            violations: records.checks.violations(),
        }
    }
}

impl Records {
    /// Records the digest that each download of a track must have.
    pub(super) fn expect_bytes(&mut self, track: &str, digest: [u8; 32]) {
        self.digests.insert(track.to_owned(), digest);
    }

    /// Folds an event into `view`, and logs the event. Returns false if the event violates an invariant.
    fn fold(&mut self, event: &Event, view: &mut RoomView) -> bool {
        if let Err(error) = view.fold(event) {
            self.checks
                .record(invariant_of(&error), Some(error.to_string()));
            return false;
        }
        let checks = &mut self.checks;
        checks.record(Invariant::EventCountsAreContiguous, None);
        if event.id.is_some() {
            self.event_log.log_event(event, view, checks);
        } else if event.name == "snapshot" {
            self.event_log.log_snapshot(view, checks);
        }
        true
    }
}

/// The invariant that an event or snapshot violates.
fn invariant_of(error: &FoldError) -> Invariant {
    match error {
        FoldError::EventCount(_) => Invariant::EventCountsAreContiguous,
        FoldError::NotASnapshot(_) | FoldError::Patch(_) => Invariant::PatchesMatchSnapshots,
    }
}
