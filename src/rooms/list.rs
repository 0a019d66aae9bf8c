//! The list of the server's rooms, and its broadcast to all streams.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::{RoomEntry, RoomStatus, Rooms};
use crate::room::Mode;
use crate::wire::{CurrentTrack, RoomRow};

/// The shortest time between two broadcasts of the list.
const BROADCAST_INTERVAL: Duration = Duration::from_secs(1);
/// The name of a house room that was never given one.
const HOUSE_NAME: &str = "House";

impl Rooms {
    /// The list of rooms, the house room first.
    pub fn rows(&self) -> Vec<RoomRow> {
        self.entries().iter().map(|entry| self.row(entry)).collect()
    }

    fn row(&self, entry: &RoomEntry) -> RoomRow {
        let room_id = entry.id.to_string();
        let Some(hub) = entry.hub() else {
            return RoomRow {
                name: entry.name(),
                room_id,
                locked: false,
                listeners: 0,
                current: None,
                mode: Mode::Paused,
                damaged: matches!(entry.status, RoomStatus::Damaged(_)),
                opening: matches!(entry.status, RoomStatus::Opening),
            };
        };
        let view = hub.view();
        let index = self.registry.library.get().map(|library| library.index());
        RoomRow {
            name: entry.name(),
            room_id,
            locked: view.profile.is_locked(),
            listeners: view.room.live.listeners.len(),
            current: view.room.current_track_id().map(|track_id| {
                let tags = index.as_ref().and_then(|index| index.any_tags(track_id));
                CurrentTrack {
                    track_id,
                    title: tags.as_ref().map(|tags| tags.title.clone()),
                    artist: tags.and_then(|tags| tags.artist),
                }
            }),
            mode: view.room.durable.play_state.mode,
            damaged: false,
            opening: false,
        }
    }

    /// Broadcasts the list to all streams when it has changed. A server with one room broadcasts nothing, unless the others were
    /// removed or its name was changed.
    pub(super) async fn broadcast_list(self) {
        let mut sent: Arc<[RoomRow]> = self.rows().into();
        loop {
            let (list_change, change) = (self.next_list_change(), self.next_change());
            let rows: Arc<[RoomRow]> = self.rows().into();
            let is_quiet = rows.len() == 1 && sent.len() == 1 && rows[0].name == sent[0].name;
            if rows != sent && !is_quiet {
                for hub in self.hubs() {
                    hub.report_rooms(rows.clone());
                }
            }
            let is_single = rows.len() == 1;
            sent = rows;
            if is_single {
                list_change.await;
            } else {
                sleep(BROADCAST_INTERVAL).await;
                change.await;
            }
        }
    }

    /// Announces that the list has changed although the rooms are the same.
    pub(super) fn touch_list(&self) {
        self.registry.others.send_modify(|_| {});
    }
}

impl RoomEntry {
    /// The room's name.
    pub fn name(&self) -> String {
        let name = self.hub().and_then(|hub| hub.view().profile.name.clone());
        name.unwrap_or_else(|| match self.id.is_house() {
            true => HOUSE_NAME.into(),
            false => self.id.to_string(),
        })
    }
}
