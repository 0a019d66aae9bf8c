//! Presence: which devices are connected, and which commands follow from their connections. Makes `Arrive`, `Depart` and
//! `DropStalled` commands by comparing the connected devices with the room, so the next comparison repeats a command whose
//! write failed. Reads no clock: the caller passes the time.

mod attendance;
mod barrier_progress;
mod connected;
mod streams;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::attendance::Attendance;
use self::barrier_progress::BarrierProgress;
use self::connected::SharedConnectedDevices;
use self::streams::OpenStreams;
use super::signals::{DownloadSignals, ShownDownloadChange};
use crate::room::{Command, Departure, MemberId, ReportedPlayback, Room, TrackId};
use crate::wire::{Role, SyncReport};

pub use self::connected::ConnectedDevices;
pub(super) use self::connected::SyncChange;
pub use self::streams::StreamId;

/// A device with an open listener stream, a device whose grace period since its last stream is not over, or a member of the
/// open barrier that is expected to reconnect after a restart of the server.
#[derive(Debug)]
struct Device {
    attendance: Attendance,
    progress: BarrierProgress,
    /// The playback that the device reported with its last stream, and when the report arrived.
    playback: Option<(ReportedPlayback, Instant)>,
    /// How long before a start the device must receive the event of the start, in milliseconds; `None` if not reported.
    needs_ms: Option<f64>,
}

impl Device {
    fn new(attendance: Attendance, now: Instant) -> Self {
        Device {
            attendance,
            progress: BarrierProgress::new(now),
            playback: None,
            needs_ms: None,
        }
    }
}

/// The connected devices of one room.
#[derive(Debug)]
pub(super) struct Presence {
    streams: OpenStreams,
    devices: BTreeMap<MemberId, Device>,
    connected: SharedConnectedDevices,
    leave_grace: Duration,
    /// The event count at which the open barrier opened, and when [`Presence::update_from_room`] was first called with that
    /// barrier.
    barrier_since: Option<(u64, Instant)>,
}

impl Presence {
    /// Presence at the start of the process. If a barrier was open before a restart, its members are expected to reconnect.
    /// Each member that does not reconnect departs after [`attendance::RESTART_GRACE`].
    pub(super) fn new(room: &Room, leave_grace: Duration, now: Instant) -> Self {
        let barrier = room.durable.barrier.iter();
        let expected = barrier.flat_map(|barrier| &barrier.members);
        let device = |member: &MemberId| {
            let attendance = Attendance::expected_after_restart(now);
            (*member, Device::new(attendance, now))
        };
        Presence {
            streams: OpenStreams::default(),
            devices: expected.map(device).collect(),
            connected: SharedConnectedDevices::default(),
            leave_grace,
            barrier_since: None,
        }
    }

    pub(super) fn connected_devices(&self) -> Arc<ConnectedDevices> {
        self.connected.share()
    }

    /// Adds a stream. A stream with the role listener makes its device present.
    pub(super) fn open_stream(
        &mut self,
        member: MemberId,
        role: Role,
        playback: Option<ReportedPlayback>,
        now: Instant,
    ) -> StreamId {
        let id = self.streams.open(member, role);
        if role == Role::Listener {
            // A device that reconnects keeps its record of progress, because reconnecting is not progress towards the
            // barrier.
            let new_device = || Device::new(Attendance::default(), now);
            let device = self.devices.entry(member).or_insert_with(new_device);
            device.attendance.record_opened_stream();
            device.playback = playback.map(|report| (report, now));
        }
        self.update_remote(member);
        id
    }

    /// The stream to close if a device has too many streams.
    pub(super) fn surplus_stream(&self, member: MemberId) -> Option<StreamId> {
        self.streams.surplus(member)
    }

    /// Whether a device has an open stream, of either role.
    pub(super) fn has_stream(&self, member: MemberId) -> bool {
        self.streams.has_stream(member)
    }

    fn is_listening(&self, member: MemberId) -> bool {
        let device = self.devices.get(&member);
        device.is_some_and(|device| device.attendance.is_present())
    }

    /// Removes a stream that has ended. Has no effect if the stream was removed already.
    pub(super) fn close_stream(&mut self, id: StreamId, how: Departure, now: Instant) {
        let Some((member, role)) = self.streams.close(id) else {
            return;
        };
        if let (Role::Listener, Some(device)) = (role, self.devices.get_mut(&member)) {
            device
                .attendance
                .record_closed_stream(how, self.leave_grace, now);
        }
        self.update_remote(member);
    }

    /// Removes the listener streams of a device, which departs at once. Returns these streams, which the caller must end.
    pub(super) fn end_listening(&mut self, member: MemberId, now: Instant) -> Vec<StreamId> {
        let streams = self.streams.close_listening_of(member);
        if let Some(device) = self.devices.get_mut(&member) {
            device.attendance.end(now);
        }
        self.update_remote(member);
        streams
    }

    /// Updates whether snapshots show a device as a remote: it has a stream with the role remote, and does not listen.
    fn update_remote(&mut self, member: MemberId) {
        let is_remote = self.streams.has_remote_stream(member) && !self.is_listening(member);
        self.connected.set_remote(member, is_remote);
    }

    /// Removes all streams because the server shuts down. Their devices stay listeners, so that the room does not change.
    pub(super) fn shut_down(&mut self) {
        self.streams.clear();
    }

    /// Whether there are neither streams nor devices that are expected back.
    pub(super) fn is_empty(&self) -> bool {
        self.streams.len() == 0 && self.devices.is_empty()
    }

    /// The number of open streams.
    pub(super) fn open_stream_count(&self) -> usize {
        self.streams.len()
    }

    /// Removes a device that was unpaired. Returns its streams, which the caller must end.
    pub(super) fn remove_device(&mut self, member: MemberId) -> Vec<StreamId> {
        let streams = self.streams.close_all_of(member);
        self.discard(member);
        self.update_remote(member);
        streams
    }

    /// Records that a device has acknowledged a track. Its download of the track is no longer shown.
    pub(super) fn record_acknowledgement(
        &mut self,
        member: MemberId,
        track: TrackId,
        now: Instant,
    ) {
        let device = self.devices.get_mut(&member);
        if let Some(device) = device.filter(|_| self.barrier_since.is_some()) {
            device.progress.record_acknowledgement(track, now);
        }
        self.connected.end_download(member, track);
    }

    /// Records the progress and the ends of a device's downloads.
    pub(super) fn update_downloads(
        &mut self,
        member: MemberId,
        downloads: &DownloadSignals,
        now: Instant,
    ) {
        let device = self.devices.get_mut(&member);
        // Progress is recorded only while a barrier is open, because only barriers depend on it.
        if let Some(device) = device.filter(|_| self.barrier_since.is_some()) {
            device.progress.record_fetched(&downloads.fetched, now);
        }
        match &downloads.shown {
            ShownDownloadChange::Running(download) if self.is_listening(member) => {
                self.connected.set_download(member, *download);
            }
            ShownDownloadChange::Running(_) => {}
            ShownDownloadChange::Ended => self.connected.end_any_download(member),
            ShownDownloadChange::EndedIfShown(tracks) => {
                for &track in tracks {
                    self.connected.end_download(member, track);
                }
            }
        }
    }

    /// Records a sync report. Ignores reports of devices that do not listen.
    pub(super) fn update_sync(&mut self, member: MemberId, report: SyncReport) -> SyncChange {
        let device = self.devices.get_mut(&member);
        let Some(device) = device.filter(|device| device.attendance.is_present()) else {
            return SyncChange::None;
        };
        device.needs_ms = Some(report.needs_ms);
        self.connected.set_sync(member, report.status())
    }

    /// For each listener, how long before a start the listener must receive the event of the start, in milliseconds; `None`
    /// if not reported. Leaves out devices that wait for a tap (autoplay policy), because they are silent.
    pub(super) fn needs_ms(&self) -> impl Iterator<Item = Option<f64>> {
        let listening = self.devices.iter().filter(|(member, device)| {
            device.attendance.is_present() && !self.connected.waits_for_tap(**member)
        });
        listening.map(|(_, device)| device.needs_ms)
    }

    /// Updates presence after a change of the room: a new barrier resets the progress of all devices, and devices that have
    /// departed are removed.
    pub(super) fn update_from_room(&mut self, room: &Room, now: Instant) {
        let barrier = room.durable.barrier.as_ref();
        let opened_event_count = barrier.map(|_| room.private.barrier_opened_event_count);
        if self.barrier_since.map(|(count, _)| count) != opened_event_count {
            self.barrier_since = opened_event_count.map(|count| (count, now));
            for device in self.devices.values_mut() {
                device.progress.reset();
            }
        }
        let is_member =
            |member: &MemberId| barrier.is_some_and(|barrier| barrier.members.contains(member));
        let departed = self.devices.iter().filter(|(member, device)| {
            !device.attendance.is_present()
                && !room.live.listeners.contains(member)
                && !is_member(member)
        });
        for member in departed.map(|(member, _)| *member).collect::<Vec<_>>() {
            self.discard(member);
        }
    }

    /// Removes a device with its download and its sync report.
    fn discard(&mut self, member: MemberId) {
        self.devices.remove(&member);
        self.connected.end_any_download(member);
        self.connected.remove_sync(member);
    }

    /// The commands that are due at `now`, and the time at which the next command becomes due.
    pub(super) fn due_commands(
        &self,
        room: &Room,
        now: Instant,
    ) -> (Vec<Command>, Option<Instant>) {
        let mut commands = Vec::new();
        let mut next_deadline: Option<Instant> = None;
        let mut add = |deadline: Instant, command: Command| {
            if deadline <= now {
                commands.push(command);
            } else {
                let next = next_deadline.map_or(deadline, |next| next.min(deadline));
                next_deadline = Some(next);
            }
        };
        for (&member, device) in &self.devices {
            if let Some((deadline, how)) = device.attendance.pending_departure() {
                add(deadline, Command::Depart { member, how });
                continue;
            }
            if !room.live.listeners.contains(&member) {
                let playback = device
                    .playback
                    .map(|(report, reported_at)| ReportedPlayback {
                        position_sec: report.position_sec
                            + now.duration_since(reported_at).as_secs_f64(),
                        ..report
                    });
                add(now, Command::Arrive { member, playback });
            }
            let barrier = room.durable.barrier.as_ref();
            let is_missing = barrier.is_some_and(|barrier| barrier.waits_for(member));
            if let Some((_, since)) = self.barrier_since.filter(|_| is_missing) {
                let deadline = device.progress.stalls_at(since);
                add(deadline, Command::DropStalled { member });
            }
        }
        (commands, next_deadline)
    }
}
