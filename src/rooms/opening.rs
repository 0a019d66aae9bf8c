//! The rooms that a start finds beside the house room. Each is loaded by itself, so that a file system that hangs delays one room
//! only: the server starts without that room, which is listed, and runs once its files have been read.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep, timeout_at};

use super::files::{Damage, OpenedRoom, RoomFolder};
use super::follow::{HouseMembers, RETRY_INTERVAL};
use super::{RoomEntry, RoomId, RoomStatus, Rooms};
use crate::hub::{Hub, HubError, StartState};
use crate::room::{Command, Rejection};

/// The longest wait for the files of the rooms at a start.
const OPEN_TIMEOUT: Duration = Duration::from_secs(2);

/// The rooms as found at a start.
#[derive(Debug, Default)]
pub(crate) struct FoundRooms {
    /// Those that were loaded in time.
    pub(super) opened: Vec<OpenedRoom>,
    pub(super) rest: Rest,
}

/// What was not loaded in time.
#[derive(Debug, Default)]
pub(super) struct Rest {
    opening: Vec<OpeningRoom>,
    /// The folder, and its list of rooms; `None` if they were listed in time.
    listing: Option<(RoomFolder, JoinHandle<Vec<RoomId>>)>,
}

/// A room whose files are being read.
#[derive(Debug)]
struct OpeningRoom {
    id: RoomId,
    /// Ends with `None` if the room has expired or is empty.
    task: JoinHandle<Option<OpenedRoom>>,
}

impl OpeningRoom {
    fn begin(folder: &RoomFolder, id: RoomId) -> Self {
        let (folder, of) = (folder.clone(), id.clone());
        let task = spawn_blocking(move || folder.open(of, SystemTime::now()));
        OpeningRoom { id, task }
    }
}

impl FoundRooms {
    /// Locks and loads all rooms other than the house room.
    pub(crate) async fn find(state_file: PathBuf) -> Self {
        let deadline = Instant::now() + OPEN_TIMEOUT;
        let folder = RoomFolder::beside(&state_file);
        let mut found = FoundRooms::default();
        let of_list = folder.clone();
        let mut list = spawn_blocking(move || of_list.list());
        let Ok(ids) = timeout_at(deadline, &mut list).await else {
            tracing::error!("the folder of the rooms cannot be read yet");
            found.rest.listing = Some((folder, list));
            return found;
        };
        let ids = ids.unwrap_or_default().into_iter();
        let opening: Vec<_> = ids.map(|id| OpeningRoom::begin(&folder, id)).collect();
        for mut room in opening {
            match timeout_at(deadline, &mut room.task).await {
                Ok(opened) => found.opened.extend(opened_room(&room.id, opened)),
                Err(_) => found.rest.opening.push(room),
            }
        }
        found
    }

    /// The states of the rooms that are neither damaged nor still being loaded.
    pub(crate) fn states(&self) -> impl Iterator<Item = &StartState> {
        self.opened.iter().filter_map(OpenedRoom::state)
    }

    /// Whether all rooms were loaded in time.
    pub(crate) fn is_complete(&self) -> bool {
        self.rest.opening.is_empty() && self.rest.listing.is_none()
    }
}

/// A room that is damaged if its files could not even be tried.
fn opened_room(
    id: &RoomId,
    opened: Result<Option<OpenedRoom>, tokio::task::JoinError>,
) -> Option<OpenedRoom> {
    opened.unwrap_or_else(|error| {
        Some(OpenedRoom {
            id: id.clone(),
            content: Err(Damage {
                why: format!("the file cannot be loaded: {error}"),
                store: None,
            }),
        })
    })
}

impl Rooms {
    /// Whether the state of each room is known: no room is damaged, and all have been loaded.
    pub fn are_known(&self) -> bool {
        self.are_listed() && self.entries().iter().all(|entry| entry.hub().is_some())
    }

    /// Whether the list has all rooms. Some may still be loaded.
    pub(super) fn are_listed(&self) -> bool {
        self.registry.is_listed.load(Ordering::Relaxed)
    }

    /// Lists the rooms that were not loaded in time, and starts each once it has been loaded.
    pub(super) fn start_later(&self, Rest { opening, listing }: Rest) {
        // Of a damaged house nothing is known.
        let members = self.registry.house.hub().map(HouseMembers::of);
        for room in opening {
            self.start_when_opened(room, members.clone());
        }
        let Some((folder, list)) = listing else {
            self.registry.is_listed.store(true, Ordering::Relaxed);
            return;
        };
        let rooms = self.clone();
        // Not `Rooms::spawn`: the shutdown does not wait for a file system that hangs.
        tokio::spawn(async move {
            for id in list.await.unwrap_or_default() {
                let room = OpeningRoom::begin(&folder, id);
                rooms.start_when_opened(room, members.clone());
            }
            rooms.registry.is_listed.store(true, Ordering::Relaxed);
        });
    }

    fn start_when_opened(&self, room: OpeningRoom, members_at_start: Option<HouseMembers>) {
        tracing::error!(
            "the file of room {} cannot be read yet; the room is closed until then",
            room.id
        );
        let (status, pairing) = (RoomStatus::Opening, self.new_pairing());
        let entry = RoomEntry::new(room.id.clone(), status, pairing, Arc::default());
        self.insert(Arc::new(entry));
        let rooms = self.clone();
        tokio::spawn(async move {
            let opened = opened_room(&room.id, room.task.await);
            if !rooms.registry.starter.is_running() {
                return;
            }
            match opened {
                Some(opened) => rooms.start_late(opened, members_at_start).await,
                None => rooms.take_out(&room.id),
            }
        });
    }

    /// Starts a room that was loaded after the house had started.
    async fn start_late(&self, room: OpenedRoom, members_at_start: Option<HouseMembers>) {
        let Some(started) = self.start_opened(room) else {
            return;
        };
        if let (Some(hub), Some(members)) = (started.entry.hub(), members_at_start) {
            if self.expel_lost(hub, &members).await.is_err() {
                return;
            }
        }
        tracing::info!("room {} is open", started.entry.id);
        self.add(started).await;
    }

    /// Removes the members that the house did not have at its start. When the house chose the ids of devices that were paired since
    /// then, the members of this room were not known, so a new device may have the id of a lost one. The room must not run before.
    ///
    /// # Errors
    /// [`HubError::Closing`]
    async fn expel_lost(&self, hub: &Hub, members_at_start: &HouseMembers) -> Result<(), HubError> {
        let members = hub.view().room.durable.clients.clone();
        for member in members.keys().copied() {
            if members_at_start.has(member) {
                continue;
            }
            let removed_by = None;
            loop {
                match hub.submit(Command::Expel { member, removed_by }).await {
                    Ok(_)
                    | Err(HubError::Rejected {
                        rejection: Rejection::NotPaired,
                        ..
                    }) => break,
                    Err(HubError::Closing) => return Err(HubError::Closing),
                    Err(error) => {
                        tracing::warn!("a room cannot be opened yet: {error}");
                        sleep(RETRY_INTERVAL).await;
                    }
                }
            }
        }
        Ok(())
    }
}
