//! Signals: reports to the hub's task that need no answer and whose senders never wait. While the task is busy, signals are
//! coalesced, so the memory for signals is bounded by the number of paired devices and open streams, even if clients send
//! many reports.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::byte_ranges::FetchedBytes;
use super::presence::StreamId;
use crate::library::ScanProgress;
use crate::room::{Departure, MemberId, TrackId};
use crate::uploads::UploadProgress;
use crate::wire::{Download, RoomRow, SyncReport};

/// The most ended downloads of one device that are stored one by one while the task is busy. If there are more, all of the
/// device's downloads count as ended.
const MAX_ENDED_DOWNLOADS: usize = 64;

/// The signals since the task last took them. The order of signals of different kinds relative to each other is lost.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// The last sync report of each device.
    pub(super) sync_reports: BTreeMap<MemberId, SyncReport>,
    /// The changes of each device's downloads.
    pub(super) downloads: BTreeMap<MemberId, DownloadSignals>,
    /// The last progress of a library scan.
    pub(super) scan_progress: Option<ScanProgress>,
    /// The last list of uploads under way.
    pub(super) uploads: Option<Arc<[UploadProgress]>>,
    /// The last list of the server's rooms.
    pub(super) rooms: Option<Arc<[RoomRow]>>,
    /// The streams that have ended. Each stream ends once, so there are at most as many entries as streams that the hub has
    /// begun.
    pub(super) closed_streams: BTreeMap<StreamId, Departure>,
    /// The devices whose streams must end, because the house has removed them.
    pub(super) removed_devices: BTreeSet<MemberId>,
}

impl Signals {
    fn is_empty(&self) -> bool {
        self.sync_reports.is_empty()
            && self.downloads.is_empty()
            && self.scan_progress.is_none()
            && self.uploads.is_none()
            && self.rooms.is_none()
            && self.closed_streams.is_empty()
            && self.removed_devices.is_empty()
    }
}

/// The changes of one device's downloads.
#[derive(Debug, Default)]
pub(super) struct DownloadSignals {
    /// The bytes that were sent to the device.
    pub(super) fetched: FetchedBytes,
    /// The change of the download that snapshots show for the device.
    pub(super) shown: ShownDownloadChange,
}

/// A change of the download that snapshots show for a device. Snapshots show at most one download of each device.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ShownDownloadChange {
    /// This download is shown from now on.
    Running(Download),
    /// No download is shown any more.
    Ended,
    /// If the shown download is of one of these tracks, no download is shown any more.
    EndedIfShown(BTreeSet<TrackId>),
}

impl Default for ShownDownloadChange {
    fn default() -> Self {
        ShownDownloadChange::EndedIfShown(BTreeSet::new())
    }
}

impl ShownDownloadChange {
    /// Adds the end of a download of `track` to this change.
    fn end(&mut self, track: TrackId) {
        match self {
            ShownDownloadChange::Running(download) if download.track_id == track => {
                *self = ShownDownloadChange::Ended;
            }
            ShownDownloadChange::Running(_) | ShownDownloadChange::Ended => {}
            // This may hide a download in progress, which the next progress report shows again.
            ShownDownloadChange::EndedIfShown(tracks) if tracks.len() == MAX_ENDED_DOWNLOADS => {
                *self = ShownDownloadChange::Ended;
            }
            ShownDownloadChange::EndedIfShown(tracks) => {
                tracks.insert(track);
            }
        }
    }
}

/// The state of the channel, shared by its senders and its receiver.
#[derive(Debug)]
struct SharedSignals {
    /// `None` once the receiver is dropped.
    pending: Mutex<Option<Signals>>,
    changed: Notify,
}

impl SharedSignals {
    fn pending(&self) -> MutexGuard<'_, Option<Signals>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a coalescing channel of signals.
pub(super) fn channel() -> (SignalSender, SignalReceiver) {
    let shared = Arc::new(SharedSignals {
        pending: Mutex::new(Some(Signals::default())),
        changed: Notify::new(),
    });
    (SignalSender(shared.clone()), SignalReceiver(shared))
}

/// Sends signals. Does nothing once the task has ended and dropped the receiver.
#[derive(Debug, Clone)]
pub(super) struct SignalSender(Arc<SharedSignals>);

impl SignalSender {
    fn update(&self, change: impl FnOnce(&mut Signals)) {
        if let Some(signals) = &mut *self.0.pending() {
            change(signals);
            self.0.changed.notify_one();
        }
    }

    pub(super) fn report_sync(&self, member: MemberId, report: SyncReport) {
        self.update(|signals| {
            signals.sync_reports.insert(member, report);
        });
    }

    pub(super) fn report_uploads(&self, uploads: Arc<[UploadProgress]>) {
        self.update(|signals| signals.uploads = Some(uploads));
    }

    pub(super) fn report_rooms(&self, rooms: Arc<[RoomRow]>) {
        self.update(|signals| signals.rooms = Some(rooms));
    }

    pub(super) fn report_download(&self, member: MemberId, from: u64, download: Download) {
        self.update(|signals| {
            let downloads = signals.downloads.entry(member).or_default();
            let bytes = from..download.received_bytes;
            downloads.fetched.insert(download.track_id, bytes);
            downloads.shown = ShownDownloadChange::Running(download);
        });
    }

    pub(super) fn end_download(&self, member: MemberId, track_id: TrackId) {
        self.update(|signals| {
            let downloads = signals.downloads.entry(member).or_default();
            downloads.shown.end(track_id);
        });
    }

    pub(super) fn report_scan_progress(&self, progress: ScanProgress) {
        self.update(|signals| signals.scan_progress = Some(progress));
    }

    pub(super) fn report_removed_device(&self, member: MemberId) {
        self.update(|signals| {
            signals.removed_devices.insert(member);
        });
    }

    pub(super) fn report_closed_stream(&self, stream: StreamId, how: Departure) {
        self.update(|signals| {
            signals.closed_streams.insert(stream, how);
        });
    }
}

/// Receives the coalesced signals.
#[derive(Debug)]
pub(super) struct SignalReceiver(Arc<SharedSignals>);

impl SignalReceiver {
    /// Waits until there are signals, and takes all of them. Cancel-safe: a cancelled call takes no signals.
    pub(super) async fn recv(&mut self) -> Signals {
        loop {
            let signals = self.0.pending().as_mut().map(std::mem::take);
            if let Some(signals) = signals.filter(|signals| !signals.is_empty()) {
                return signals;
            }
            self.0.changed.notified().await;
        }
    }
}

impl Drop for SignalReceiver {
    fn drop(&mut self) {
        *self.0.pending() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const M1: MemberId = MemberId(1);
    const TRACK: TrackId = TrackId(1);

    fn report(off_ms: f64) -> SyncReport {
        SyncReport {
            off_ms: Some(off_ms),
            round_trip_ms: 8.0,
            latency_ms: 40.0,
            needs_ms: 150.0,
            waits_for_tap: false,
            paused_alone: false,
        }
    }

    fn download(track: u64, received_bytes: u64) -> Download {
        Download {
            track_id: TrackId(track),
            received_bytes,
            size: 1_000_000,
        }
    }

    #[tokio::test]
    async fn last_sync_report_of_each_device_is_kept() {
        let (sender, mut receiver) = channel();
        for n in 0..1_000 {
            sender.report_sync(M1, report(n.into()));
            sender.report_sync(MemberId(2), report(f64::from(n) + 0.5));
        }
        let reports = receiver.recv().await.sync_reports;
        let expected = [(M1, report(999.0)), (MemberId(2), report(999.5))];
        assert_eq!(reports, expected.into());
    }

    #[tokio::test]
    async fn every_closed_stream_is_delivered_however_many_reports_come_between() {
        let (sender, mut receiver) = channel();
        for n in 0..100 {
            for _ in 0..1_000 {
                sender.report_sync(M1, report(1.0));
            }
            sender.report_closed_stream(StreamId::numbered(n), Departure::Vanished);
        }
        let closed = receiver.recv().await.closed_streams;
        let expected = (0..100).map(|n| (StreamId::numbered(n), Departure::Vanished));
        assert_eq!(closed, expected.collect());
    }

    #[tokio::test]
    async fn coalesced_download_signals_equal_the_sequence_of_calls() {
        let running = |track| ShownDownloadChange::Running(download(track, 5));
        let ended_if_shown = |tracks: &[u64]| {
            ShownDownloadChange::EndedIfShown(tracks.iter().copied().map(TrackId).collect())
        };
        // A positive number is a progress report of the track with that number, a negative number the end of its download.
        for (calls, expected) in [
            (&[1][..], running(1)),
            (&[1, -1], ShownDownloadChange::Ended),
            (&[1, -2], running(1)),
            (&[1, 2, -1], running(2)),
            (&[1, 2, -2], ShownDownloadChange::Ended),
            (&[-1], ended_if_shown(&[1])),
            (&[-1, -2], ended_if_shown(&[1, 2])),
            (&[-1, 1], running(1)),
            (&[1, -1, -2], ShownDownloadChange::Ended),
        ] {
            let (sender, mut receiver) = channel();
            for &call in calls {
                let track = i64::unsigned_abs(call);
                if call > 0 {
                    sender.report_download(M1, 0, download(track, 5));
                } else {
                    sender.end_download(M1, TrackId(track));
                }
            }
            let downloads = receiver.recv().await.downloads;
            assert_eq!(downloads[&M1].shown, expected, "{calls:?}");
        }
    }

    #[tokio::test]
    async fn ended_downloads_of_any_number_of_tracks_use_bounded_memory() {
        let (sender, mut receiver) = channel();
        for track in 0..=MAX_ENDED_DOWNLOADS as u64 {
            sender.end_download(M1, TrackId(track));
        }
        let downloads = receiver.recv().await.downloads;
        assert_eq!(downloads[&M1].shown, ShownDownloadChange::Ended);
    }

    #[tokio::test]
    async fn fetched_bytes_of_all_reports_are_delivered() {
        let (sender, mut receiver) = channel();
        for (from, received_bytes) in [(0, 10), (0, 20), (50, 60)] {
            sender.report_download(M1, from, download(1, received_bytes));
        }
        sender.end_download(M1, TRACK);
        let downloads = receiver.recv().await.downloads;
        let fetched: Vec<_> = downloads[&M1].fetched.iter().collect();
        assert_eq!(fetched, [(TRACK, 0..20), (TRACK, 50..60)]);
    }

    #[tokio::test]
    async fn receiver_wakes_up_for_a_signal_sent_while_it_waits() {
        let (sender, mut receiver) = channel();
        let waiting = tokio::spawn(async move { receiver.recv().await });
        tokio::task::yield_now().await;
        sender.report_sync(M1, report(1.0));
        assert_eq!(waiting.await.unwrap().sync_reports.len(), 1);
    }

    #[test]
    fn signals_after_the_end_of_the_task_are_discarded() {
        let (sender, receiver) = channel();
        drop(receiver);
        sender.report_sync(M1, report(1.0));
        assert!(sender.0.pending().is_none());
    }
}
