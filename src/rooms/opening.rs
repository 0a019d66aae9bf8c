//! The rooms that a start finds beside the house room. Each is loaded by itself, so that a file system that hangs delays one room
//! only: the server starts without that room, which is listed, and runs once its files have been read.

use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep, timeout_at};

use super::files::{Damage, OpenedRoom, RoomFolder};
use super::follow::RETRY_INTERVAL;
use super::{RoomEntry, RoomId, RoomStatus, Rooms};
use crate::hub::StartState;

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
    /// Ends with `None` if the room has expired.
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
        let mut list = tokio::spawn(list(folder.clone()));
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

    /// Whether all rooms were loaded in time. Some may be damaged.
    pub(crate) fn is_complete(&self) -> bool {
        self.rest.opening.is_empty() && self.rest.listing.is_none()
    }

    /// Whether the states of all rooms are known.
    pub(crate) fn are_known(&self) -> bool {
        self.is_complete() && self.opened.iter().all(|room| room.state().is_some())
    }
}

/// The ids of all rooms. Tries again until the folder can be read: rooms that are not listed would seem not to exist.
async fn list(folder: RoomFolder) -> Vec<RoomId> {
    loop {
        let of_list = folder.clone();
        match spawn_blocking(move || of_list.list()).await {
            Ok(Ok(ids)) => return ids,
            Ok(Err(error)) => tracing::error!("the folder of the rooms cannot be read: {error}"),
            // The runtime is shutting down.
            Err(_) => pending().await,
        }
        sleep(RETRY_INTERVAL).await;
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
    pub fn are_listed(&self) -> bool {
        self.registry.is_listed.load(Ordering::Relaxed)
    }

    /// Lists the rooms that were not loaded in time, and starts each once it has been loaded.
    pub(super) fn start_later(&self, Rest { opening, listing }: Rest) {
        for room in opening {
            self.start_when_opened(room);
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
                rooms.start_when_opened(room);
            }
            rooms.registry.is_listed.store(true, Ordering::Relaxed);
        });
    }

    fn start_when_opened(&self, room: OpeningRoom) {
        tracing::error!("room {} is closed until its file has been read", room.id);
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
                Some(opened) => rooms.start_late(opened),
                None => rooms.take_out(&room.id),
            }
        });
    }

    /// Starts a room that was loaded after the house had started.
    fn start_late(&self, room: OpenedRoom) {
        if let Some(started) = self.start_opened(room) {
            tracing::info!("room {} is open", started.entry.id);
            // Nothing waits for the first update.
            drop(self.add(started));
        }
    }
}
