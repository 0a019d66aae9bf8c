//! Starts the hub of a room, with its history and the tasks that keep the room up to date.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::expiry::CHECK_INTERVAL;
use super::files::{Damage, LoadedRoom, OpenedRoom, RoomFolder};
use super::follow::{HouseMembers, LibraryNews};
use super::opening::FoundRooms;
use super::password::Passwords;
use super::reservations::Reservations;
use super::seats::Seats;
use super::{Registry, RoomEntry, RoomId, RoomStatus, Rooms};
use crate::history::HistoryWriter;
use crate::hub::{Hub, Settings, ShutdownPhase};
use crate::library::Library;
use crate::metrics::RoomCounters;
use crate::pairing::Pairing;
use crate::store::Store;

/// The longest wait for the first updates of the rooms at a start.
const UPDATE_TIMEOUT: Duration = Duration::from_secs(2);

/// What every hub is started with.
#[derive(Debug)]
pub(crate) struct RoomStarter {
    pub(super) folder: RoomFolder,
    settings: Settings,
    phase: watch::Receiver<ShutdownPhase>,
}

/// The house room, which was started already.
#[derive(Debug)]
pub(crate) struct StartedHouse {
    /// The hub, or why there is none.
    pub(crate) status: RoomStatus,
    /// The house's pairing code.
    pub(crate) pairing: Pairing,
    /// The house's counters.
    pub(crate) counters: Arc<RoomCounters>,
}

/// The hub of a room that has just been started.
pub(super) struct StartedHub {
    pub(super) entry: Arc<RoomEntry>,
    task: JoinHandle<()>,
    writer: HistoryWriter,
}

impl RoomStarter {
    pub(crate) fn new(
        state_file: &std::path::Path,
        settings: Settings,
        phase: watch::Receiver<ShutdownPhase>,
    ) -> Self {
        RoomStarter {
            folder: RoomFolder::beside(state_file),
            settings,
            phase,
        }
    }

    pub(super) fn is_running(&self) -> bool {
        *self.phase.borrow() == ShutdownPhase::Running
    }

    pub(super) fn is_stopped(&self) -> bool {
        // An error means that `run` has returned.
        *self.phase.borrow() == ShutdownPhase::Stopped || self.phase.has_changed().is_err()
    }

    fn start(&self, id: RoomId, pairing: Pairing, room: LoadedRoom) -> StartedHub {
        let LoadedRoom {
            store,
            state,
            history: (history, writer),
        } = room;
        let counters = Arc::new(RoomCounters::default());
        let phase = self.phase.clone();
        let (hub, task) = Hub::start(
            state,
            store,
            self.settings,
            counters.clone(),
            history,
            phase,
        );
        let status = RoomStatus::Running(hub);
        let entry = Arc::new(RoomEntry::new(id, status, pairing, counters));
        StartedHub {
            entry,
            task,
            writer,
        }
    }
}

impl Rooms {
    /// The house room, and the other rooms as found at the start. Those whose disks work are up to date when this function returns.
    pub(crate) async fn start(
        house: StartedHouse,
        found: FoundRooms,
        starter: RoomStarter,
    ) -> Self {
        let StartedHouse {
            status,
            pairing,
            counters,
        } = house;
        let house = RoomEntry::new(RoomId::house(), status, pairing, counters);
        let members = house.hub().map(HouseMembers::of);
        let rooms = Rooms {
            registry: Arc::new(Registry {
                house: Arc::new(house),
                others: watch::Sender::new(Arc::new([])),
                starter,
                passwords: Passwords::default(),
                seats: Seats::default(),
                reservations: Reservations::default(),
                news: watch::Sender::new(LibraryNews::default()),
                library: OnceLock::new(),
                members: watch::Sender::new(members.unwrap_or_default()),
                removed_by: Mutex::default(),
                tuned_by: Mutex::default(),
                tasks: Mutex::default(),
                has_failed: watch::Sender::new(false),
                is_listed: false.into(),
            }),
        };
        let FoundRooms { opened, rest } = found;
        let started = opened
            .into_iter()
            .filter_map(|room| rooms.start_opened(room));
        let first_updates: Vec<_> = started.map(|started| rooms.add(started)).collect();
        rooms.start_later(rest);
        let updated = async {
            for first_update in first_updates {
                first_update.await;
            }
        };
        // A disk that hangs must not delay the other rooms.
        let _ = timeout(UPDATE_TIMEOUT, updated).await;
        rooms
    }

    /// Starts a room that was found at the start, which the caller adds to the list. A damaged room is added to the list instead.
    pub(super) fn start_opened(
        &self,
        OpenedRoom { id, content }: OpenedRoom,
    ) -> Option<StartedHub> {
        let pairing = self.new_pairing();
        match content {
            Ok(room) => Some(self.registry.starter.start(id, pairing, room)),
            Err(Damage { why, store }) => {
                let path = self.registry.starter.folder.state_file(&id);
                tracing::error!(
                    "THE STATE FILE {} OF A ROOM IS DAMAGED: {why}. It stays unchanged, and every command in this room is refused. \
                     Repair it, or move it away.",
                    path.display()
                );
                self.insert_damaged(id, pairing, why, store);
                None
            }
        }
    }

    /// Adds a damaged room to the list. It holds the lock of its file.
    fn insert_damaged(&self, id: RoomId, pairing: Pairing, damage: String, store: Option<Store>) {
        let status = RoomStatus::Damaged(damage);
        let entry = RoomEntry::new(id, status, pairing, Arc::default());
        *entry.damaged_store() = store;
        self.insert(Arc::new(entry));
    }

    /// A pairing code for another room.
    pub(super) fn new_pairing(&self) -> Pairing {
        let entries = self.entries();
        let taken: Vec<_> = entries.iter().map(|entry| entry.pairing.code()).collect();
        self.registry.house.pairing.for_another_room(&taken)
    }

    /// Starts a room that was just made.
    pub(super) async fn start_made(&self, id: RoomId, room: LoadedRoom) -> Arc<RoomEntry> {
        let started = self.registry.starter.start(id, self.new_pairing(), room);
        let entry = started.entry.clone();
        // The hosts of the house have their rights then.
        self.add(started).await;
        entry
    }

    /// Adds a room that has just been started to the list, and keeps it up to date. The returned future resolves after the first
    /// update.
    ///
    /// The room may still list members that the house lacks, and does so while its disk is full. They have no rights: a member that
    /// the house lacks has no token, and no later device gets its id (`skip_member_ids` in `startup.rs`).
    pub(super) fn add(
        &self,
        StartedHub {
            entry,
            task,
            writer,
        }: StartedHub,
    ) -> impl Future<Output = ()> + Send + use<> {
        self.supervise(entry.clone(), task);
        self.write_history(writer);
        let first_update = self.follow(entry.clone());
        self.insert(entry);
        first_update
    }

    /// Runs the task that writes the history of a room, once the library has started.
    fn write_history(&self, writer: HistoryWriter) {
        let rooms = self.clone();
        self.spawn(async move {
            let library = rooms.library().await;
            if let Some(library) = library {
                writer.run(library).await;
            }
        });
    }

    /// Tells the rooms that the library has started.
    pub(crate) fn set_library(&self, library: Arc<Library>) {
        // Called once.
        let _ = self.registry.library.set(library);
        self.registry.news.send_modify(|_| {});
        tokio::spawn(self.clone().watch_members());
        tokio::spawn(self.clone().broadcast_list());
        tokio::spawn(self.clone().record_uses(CHECK_INTERVAL));
    }

    /// The library, once it has started; `None` if the server shuts down before.
    async fn library(&self) -> Option<Arc<Library>> {
        let mut news = self.registry.news.subscribe();
        let mut phase = self.registry.starter.phase.clone();
        loop {
            if let Some(library) = self.registry.library.get() {
                return Some(library.clone());
            }
            tokio::select! {
                changed = news.changed() => changed.ok()?,
                _ = phase.wait_for(|phase| *phase == ShutdownPhase::Stopped) => return None,
            }
        }
    }
}
