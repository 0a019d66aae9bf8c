//! The view that the hub publishes after each change. Snapshots are made from a view, without a request to the hub's task.

use std::sync::Arc;

use super::presence::ConnectedDevices;
use crate::clock;
use crate::room::{Room, TrackId};
use crate::room_profile::RoomProfile;
use crate::wire;

/// The room as last committed, with the connected devices. Cheap to clone, because both are shared.
#[derive(Debug, Clone)]
pub struct View {
    /// The room.
    pub room: Arc<Room>,
    /// The room's name, who made it, and who may enter.
    pub profile: Arc<RoomProfile>,
    pub(super) connected: Arc<ConnectedDevices>,
    has_timed_starts: bool,
}

impl View {
    /// A view without connected devices.
    pub(super) fn new(room: Room, profile: RoomProfile, has_timed_starts: bool) -> Self {
        View {
            room: Arc::new(room),
            profile: Arc::new(profile),
            connected: Arc::default(),
            has_timed_starts,
        }
    }

    /// Whether a device has an event stream, or is expected back.
    pub fn is_followed(&self) -> bool {
        !self.room.live.listeners.is_empty() || !self.connected.remotes.is_empty()
    }

    /// The tracks that devices are downloading.
    pub fn downloading_tracks(&self) -> impl Iterator<Item = TrackId> {
        self.connected
            .downloads
            .values()
            .map(|download| download.track_id)
    }

    /// The snapshot of this view's room.
    pub fn snapshot(&self) -> wire::Snapshot<'_> {
        self.snapshot_of(&self.room)
    }

    /// The snapshot of `room`, with the devices that are connected in this view.
    pub fn snapshot_of<'a>(&self, room: &'a Room) -> wire::Snapshot<'a> {
        wire::Snapshot {
            durable: &room.durable,
            live: self.live_of(room),
        }
    }

    /// The part of a snapshot of `room` that is not stored.
    pub(super) fn live_of(&self, room: &Room) -> wire::LiveView {
        wire::live_view(
            room,
            self.has_timed_starts,
            &self.connected.downloads,
            &self.connected.sync_statuses,
            self.connected.remotes.iter().copied(),
            clock::now_ms(),
        )
    }
}
