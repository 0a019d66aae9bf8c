//! The progress of one download, measured by the bytes written to the socket. The progress is reported to the hub for
//! display and for barriers ([`crate::room::Barrier`]), and counted for download priority.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::download_priority::{DownloadContext, PriorityRegistration};
use crate::hub::Hub;
use crate::wire::Download;

/// The minimum time between two reports.
const REPORT_INTERVAL: Duration = Duration::from_millis(250);

/// Counts the bytes written for one download and reports them to the hub. Reports the final position when dropped.
#[derive(Debug)]
pub(in crate::http) struct DownloadProgress {
    priority: PriorityRegistration,
    /// The size of the whole file, in bytes.
    size: u64,
    /// The part of the file that is sent.
    range: Range<u64>,
    /// The offset in the file up to which bytes were written.
    position: u64,
    /// The time of the last report, and the position in it.
    last_report: Option<(Instant, u64)>,
    /// The room to which the progress was last reported: where the device listens.
    hub: Option<Hub>,
}

impl DownloadProgress {
    /// The progress of a download of `range` of a file of `size` bytes.
    pub(super) fn new(context: DownloadContext, size: u64, range: Range<u64>) -> Self {
        DownloadProgress {
            priority: PriorityRegistration::new(context),
            size,
            position: range.start,
            range,
            last_report: None,
            hub: None,
        }
    }

    /// Adds bytes that were written, and returns whether the download is complete. The bytes of the response head are also
    /// counted; the error is negligible.
    pub(in crate::http) fn add(&mut self, bytes: usize) -> bool {
        self.priority.add_written(bytes as u64);
        self.position = self.range.end.min(self.position + bytes as u64);
        if self
            .last_report
            .is_none_or(|(reported_at, _)| reported_at.elapsed() >= REPORT_INTERVAL)
        {
            self.report();
        }
        self.position == self.range.end
    }

    fn report(&mut self) {
        self.last_report = Some((Instant::now(), self.position));
        let context = &self.priority.context;
        let download = Download {
            track_id: context.track_id,
            received_bytes: self.position,
            size: self.size,
        };
        let hub = context.rooms.hub_of(context.member);
        if let Some(hub) = &hub {
            hub.report_download(context.member, self.range.start, download);
        }
        let previous = std::mem::replace(&mut self.hub, hub);
        if let (Some(previous), Some(hub)) = (previous, &self.hub) {
            if !previous.is_same(hub) {
                previous.end_download(context.member, context.track_id);
            }
        }
    }
}

impl Drop for DownloadProgress {
    fn drop(&mut self) {
        // Report the final position. Otherwise, if the client fetches the last bytes again, the hub counts them as progress.
        if self
            .last_report
            .is_some_and(|(_, reported_position)| reported_position != self.position)
        {
            self.report();
        }
        // First unregister, then notify the hub: `end_download` wakes the downloads that yield to this one, and they check
        // again whether any download is awaited.
        self.priority.unregister();
        let context = &self.priority.context;
        let hub = self.hub.take();
        if let Some(hub) = hub.or_else(|| context.rooms.hub_of(context.member)) {
            hub.end_download(context.member, context.track_id);
        }
    }
}
