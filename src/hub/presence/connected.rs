//! The data of connected devices that snapshots show: downloads, sync measurements and remotes. Copied on write, because
//! views share the data.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::room::{MemberId, TrackId};
use crate::wire::{Download, SyncStatus};

/// The data of connected devices that snapshots show in addition to the room.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ConnectedDevices {
    /// For each device that downloads a track, the download for which progress was last reported.
    pub downloads: BTreeMap<MemberId, Download>,
    /// The last sync measurements that each listener reported.
    pub sync_statuses: BTreeMap<MemberId, SyncStatus>,
    /// The devices that have an open stream but do not listen: they only show and control the room.
    pub remotes: BTreeSet<MemberId>,
}

/// How a sync report changes what snapshots show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::hub) enum SyncChange {
    /// Snapshots stay the same.
    None,
    /// Only measured times differ.
    Measurements,
    /// The device begins or ceases to wait for a tap, without which its browser permits no sound (autoplay policy), or it has
    /// fallen silent. Other devices may wait for the end of its playback before they request the next track.
    Audibility,
}

/// The data of connected devices behind a shared pointer. The data is copied only if it changes while a view shares it.
#[derive(Debug, Default)]
pub(super) struct SharedConnectedDevices(Arc<ConnectedDevices>);

impl SharedConnectedDevices {
    pub(super) fn share(&self) -> Arc<ConnectedDevices> {
        self.0.clone()
    }

    pub(super) fn set_remote(&mut self, member: MemberId, is_remote: bool) {
        if self.0.remotes.contains(&member) == is_remote {
            return;
        }
        let remotes = &mut Arc::make_mut(&mut self.0).remotes;
        if is_remote {
            remotes.insert(member);
        } else {
            remotes.remove(&member);
        }
    }

    pub(super) fn set_download(&mut self, member: MemberId, download: Download) {
        let downloads = &mut Arc::make_mut(&mut self.0).downloads;
        downloads.insert(member, download);
    }

    /// Removes the device's download if it is a download of `track`.
    pub(super) fn end_download(&mut self, member: MemberId, track: TrackId) {
        let download = self.0.downloads.get(&member);
        if download.is_some_and(|download| download.track_id == track) {
            self.end_any_download(member);
        }
    }

    pub(super) fn end_any_download(&mut self, member: MemberId) {
        if self.0.downloads.contains_key(&member) {
            Arc::make_mut(&mut self.0).downloads.remove(&member);
        }
    }

    pub(super) fn set_sync(&mut self, member: MemberId, sync: SyncStatus) -> SyncChange {
        let old = self.0.sync_statuses.get(&member).copied();
        if old == Some(sync) {
            return SyncChange::None;
        }
        Arc::make_mut(&mut self.0)
            .sync_statuses
            .insert(member, sync);
        let reason = |sync: SyncStatus| (sync.waits_for_tap, sync.paused_alone);
        let old_reason = old.map_or((false, false), reason);
        let was_measured = old.is_some_and(|old| old.off_ms.is_some());
        let has_fallen_silent = was_measured && sync.off_ms.is_none();
        if old_reason != reason(sync) || has_fallen_silent {
            SyncChange::Audibility
        } else {
            SyncChange::Measurements
        }
    }

    pub(super) fn remove_sync(&mut self, member: MemberId) {
        if self.0.sync_statuses.contains_key(&member) {
            Arc::make_mut(&mut self.0).sync_statuses.remove(&member);
        }
    }

    pub(super) fn waits_for_tap(&self, member: MemberId) -> bool {
        let sync = self.0.sync_statuses.get(&member);
        sync.is_some_and(|sync| sync.waits_for_tap)
    }
}
