//! Handles the coalesced signals: sync reports, download progress, scan progress, uploads, rooms and closed streams.

use std::time::Instant;

use super::super::presence::SyncChange;
use super::super::signals::Signals;
use super::HubTask;
use crate::wire::Message;

impl HubTask {
    /// Updates presence from the coalesced signals, and broadcasts the scan progress, the uploads and the rooms. Handles closed streams last, because
    /// the reports of a device without an open stream are ignored.
    pub(super) async fn handle_signals(&mut self, signals: Signals) {
        let now = Instant::now();
        for (member, report) in signals.sync_reports {
            match self.presence.update_sync(member, report) {
                SyncChange::None => {}
                SyncChange::Measurements => self.throttle.record_measurement_change(),
                SyncChange::Audibility => self.throttle.record_device_change(),
            }
        }
        for (member, downloads) in &signals.downloads {
            self.presence.update_downloads(*member, downloads, now);
            self.throttle.record_device_change();
        }
        if let Some(progress) = signals.scan_progress {
            let event_count = self.room.durable.event_count;
            let message = Message::live("library.scanning", &progress, event_count);
            self.broadcaster.send(message).await;
        }
        if let Some(uploads) = signals.uploads {
            let event_count = self.room.durable.event_count;
            let message = Message::live("uploads", &uploads, event_count);
            self.broadcaster.send(message).await;
        }
        if let Some(rooms) = signals.rooms {
            let event_count = self.room.durable.event_count;
            let message = Message::live("rooms", &rooms, event_count);
            self.broadcaster.send(message).await;
        }
        let mut closed_streams = Vec::with_capacity(signals.closed_streams.len());
        for (stream, how) in signals.closed_streams {
            self.presence.close_stream(stream, how, now);
            closed_streams.push(stream);
        }
        for member in signals.removed_devices {
            closed_streams.extend(self.presence.remove_device(member));
        }
        if !closed_streams.is_empty() {
            self.broadcaster.end_streams(closed_streams).await;
            self.deadlines.check_now();
            self.throttle.record_device_change();
        }
        self.publish();
    }
}
