//! The rooms of a server: the house room, whose state file keeps the tokens of all devices, and further rooms. Every other module
//! either finds a room by its id ([`Rooms::find`]), or iterates over all rooms.
//!
//! Rooms share no state but the library and the paired devices: each has a hub, a state file, a history and a pairing code of its
//! own, so that a slow disk or a damaged file affects one room.
//!
//! | question | file |
//! | --- | --- |
//! | How is a room made, renamed, locked and removed? | `make.rs` |
//! | Where do the state files lie, and how is one loaded? | `files.rs` |
//! | How are the rooms found at a start, and what if a file system hangs? | `opening.rs` |
//! | When has a room expired? | `expiry.rs` |
//! | How does a room begin to run? | `start.rs` |
//! | How do changes of the library and of the paired devices reach the other rooms? | `follow.rs` |
//! | Which names and places are taken by changes under way? | `reservations.rs` |
//! | In which room does a device listen? | `seats.rs` |
//! | What does the list of rooms contain, and when is it broadcast? | `list.rs` |
//! | How are passwords hashed and checked? | `password.rs` |

mod expiry;
mod files;
mod follow;
mod list;
mod make;
mod opening;
mod password;
mod reservations;
mod room_id;
mod seats;
mod start;
#[cfg(test)]
mod test_rooms;

use std::collections::{BTreeMap, HashMap};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::Poll;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::hub::Hub;
use crate::library::Library;
use crate::metrics::RoomCounters;
use crate::pairing::Pairing;
use crate::room::{MemberId, TrackId};
use crate::store::Store;

pub(crate) use self::follow::LibraryNews;
pub use self::make::RoomError;
pub(crate) use self::opening::FoundRooms;
pub use self::room_id::{HOUSE, RoomId};
pub(crate) use self::start::{RoomStarter, StartedHouse};

use self::follow::HouseMembers;
use self::password::Passwords;
use self::reservations::Reservations;
use self::seats::Seats;

/// A room, or the reason why the server runs without it.
#[derive(Debug, Clone)]
pub enum RoomStatus {
    /// The state file was loaded. Contains the handle of the task that owns the room.
    Running(Hub),
    /// The state file is damaged. Contains a description of the damage.
    Damaged(String),
    /// The state file has not been read since the start. The entry is replaced once it has.
    Opening,
}

/// One room.
#[derive(Debug)]
pub struct RoomEntry {
    /// The room's id.
    pub id: RoomId,
    /// The hub, or why there is none.
    pub status: RoomStatus,
    /// The room's pairing code.
    pub pairing: Pairing,
    /// The room's counters.
    pub counters: Arc<RoomCounters>,
    /// Whether the room is being removed, so that its hub may end.
    is_removed: AtomicBool,
    /// Held while the room is removed.
    removing: tokio::sync::Mutex<()>,
    /// The file of a damaged room, and its lock; `None` if it cannot be locked.
    damaged_store: Mutex<Option<Store>>,
}

impl RoomEntry {
    fn new(id: RoomId, status: RoomStatus, pairing: Pairing, counters: Arc<RoomCounters>) -> Self {
        RoomEntry {
            id,
            status,
            pairing,
            counters,
            is_removed: false.into(),
            removing: tokio::sync::Mutex::default(),
            damaged_store: Mutex::default(),
        }
    }

    /// Whether the room was removed, or is about to be.
    pub fn is_removed(&self) -> bool {
        self.is_removed.load(Ordering::Relaxed)
    }

    fn damaged_store(&self) -> std::sync::MutexGuard<'_, Option<Store>> {
        let store = self.damaged_store.lock();
        store.unwrap_or_else(PoisonError::into_inner)
    }

    /// The hub; `None` if the state file is damaged, or is still being read.
    pub fn hub(&self) -> Option<&Hub> {
        match &self.status {
            RoomStatus::Running(hub) => Some(hub),
            RoomStatus::Damaged(_) | RoomStatus::Opening => None,
        }
    }
}

/// All rooms of a server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Rooms {
    registry: Arc<Registry>,
}

#[derive(Debug)]
struct Registry {
    house: Arc<RoomEntry>,
    /// The other rooms, in the order of their ids.
    others: watch::Sender<Arc<[Arc<RoomEntry>]>>,
    starter: RoomStarter,
    passwords: Passwords,
    seats: Seats,
    /// The changes under way, so that names stay unique and the number of rooms is limited.
    reservations: Reservations,
    /// What the rooms must know of the library.
    news: watch::Sender<LibraryNews>,
    /// Set once the library has started.
    library: OnceLock<Arc<Library>>,
    /// The devices that are paired with the house.
    members: watch::Sender<HouseMembers>,
    /// Which device removed another one from the house.
    removed_by: Mutex<HashMap<MemberId, MemberId>>,
    /// Which device has set the speaker delay of a device, and the delay.
    tuned_by: Mutex<HashMap<MemberId, (MemberId, f64)>>,
    /// The tasks of the other rooms, which end after the shutdown of their hubs.
    tasks: Mutex<Vec<JoinHandle<()>>>,
    /// Turns true if the hub of another room ends although it should not.
    has_failed: watch::Sender<bool>,
    /// Whether the list has all rooms; `false` until their folder has been read.
    is_listed: AtomicBool,
}

impl Rooms {
    /// The room with this id.
    pub fn find(&self, id: &str) -> Option<Arc<RoomEntry>> {
        if id == HOUSE {
            return Some(self.registry.house.clone());
        }
        let others = self.others();
        others.iter().find(|entry| entry.id.as_str() == id).cloned()
    }

    /// The house room.
    pub fn house(&self) -> &Arc<RoomEntry> {
        &self.registry.house
    }

    fn others(&self) -> Arc<[Arc<RoomEntry>]> {
        self.registry.others.borrow().clone()
    }

    /// Whether there is only the house room.
    pub fn is_single(&self) -> bool {
        self.registry.others.borrow().is_empty()
    }

    /// All rooms, including those without a hub; the house room first.
    pub fn entries(&self) -> Vec<Arc<RoomEntry>> {
        let house = self.registry.house.clone();
        let others = self.others();
        [house].into_iter().chain(others.iter().cloned()).collect()
    }

    /// The hubs of the rooms that run.
    pub fn hubs(&self) -> Vec<Hub> {
        let entries = self.entries();
        let hubs = entries.iter().filter_map(|entry| entry.hub());
        hubs.cloned().collect()
    }

    /// Whether a device is paired with the house.
    pub fn is_paired(&self, member: MemberId) -> bool {
        let hub = self.registry.house.hub();
        hub.is_some_and(|hub| hub.is_paired(member))
    }

    /// Whether a device is a host of the house room, so that it may do everything in each room.
    pub fn is_host_of_house(&self, member: MemberId) -> bool {
        let hub = self.registry.house.hub();
        hub.is_some_and(|hub| hub.view().room.durable.is_host(member))
    }

    /// A room that lists a device as a listener.
    fn hub_that_lists(&self, member: MemberId) -> Option<Hub> {
        let entries = self.entries();
        let mut hubs = entries.iter().filter_map(|entry| entry.hub());
        let listening = hubs.find(|hub| hub.is_listening(member));
        listening.cloned()
    }

    /// Whether a room waits for a device to fetch a track ([`Hub::needs_track_now`]).
    pub fn needs_track_now(&self, member: MemberId, track: TrackId) -> bool {
        let needs = |entry: &Arc<RoomEntry>| {
            let hub = entry.hub();
            hub.is_some_and(|hub| hub.needs_track_now(member, track))
        };
        needs(&self.registry.house) || self.others().iter().any(needs)
    }

    /// Resolves once any room, or the list of rooms, has changed since this call.
    pub fn next_change(&self) -> impl Future<Output = ()> + Send + use<> {
        let list = self.next_list_change();
        let mut changes: Vec<Pin<Box<dyn Future<Output = ()> + Send>>> = vec![Box::pin(list)];
        for hub in self.hubs() {
            changes.push(Box::pin(hub.next_change()));
        }
        poll_fn(move |cx| {
            let mut changes = changes.iter_mut();
            match changes.any(|change| change.as_mut().poll(cx).is_ready()) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
    }

    /// Resolves once a room was made, changed or removed since this call.
    pub fn next_list_change(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut others = self.registry.others.subscribe();
        async move {
            if others.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Adds a room to the list. It replaces one with the same id.
    fn insert(&self, entry: Arc<RoomEntry>) {
        self.registry.others.send_modify(|others| {
            let mut all = others.to_vec();
            all.retain(|other| other.id != entry.id);
            all.push(entry);
            all.sort_by(|a, b| a.id.cmp(&b.id));
            *others = all.into();
        });
    }

    /// Removes a room from the list.
    fn take_out(&self, id: &RoomId) {
        self.registry.others.send_modify(|others| {
            let rest = others.iter().filter(|entry| entry.id != *id);
            *others = rest.cloned().collect();
        });
    }

    /// Records which device is about to remove another one from the house, for the events of the other rooms.
    pub fn record_removal(&self, removed: MemberId, by: MemberId) {
        let mut removals = self.removals();
        removals.entry(removed).or_insert(by);
    }

    /// Takes back the last record, because the house has refused the removal.
    pub fn cancel_removal(&self, removed: MemberId, by: MemberId) {
        let mut removals = self.removals();
        if removals.get(&removed) == Some(&by) && self.is_paired(removed) {
            removals.remove(&removed);
        }
    }

    /// Forgets the removals of devices that no room lists any more.
    fn forget_removals(&self) {
        let mut removals = self.removals();
        if !removals.is_empty() {
            let hubs = self.hubs();
            removals.retain(|member, _| hubs.iter().any(|hub| hub.is_paired(*member)));
        }
    }

    fn removals(&self) -> std::sync::MutexGuard<'_, HashMap<MemberId, MemberId>> {
        let removals = self.registry.removed_by.lock();
        removals.unwrap_or_else(PoisonError::into_inner)
    }

    /// Records which device is about to set speaker delays, for the events of the other rooms.
    pub fn record_tuning(&self, delays: &BTreeMap<MemberId, f64>, by: MemberId) {
        let tuned_by = self.registry.tuned_by.lock();
        let mut tuned_by = tuned_by.unwrap_or_else(PoisonError::into_inner);
        tuned_by.retain(|member, _| self.is_paired(*member));
        let paired = delays.iter().filter(|(member, _)| self.is_paired(**member));
        tuned_by.extend(paired.map(|(member, delay_ms)| (*member, (by, *delay_ms))));
    }

    /// The device that has set this speaker delay of a device; `None` if this is unknown.
    fn tuned_by(&self, member: MemberId, delay_ms: f64) -> Option<MemberId> {
        let tuned_by = self.registry.tuned_by.lock();
        let tuned_by = tuned_by.unwrap_or_else(PoisonError::into_inner);
        let (by, recorded_ms) = tuned_by.get(&member)?;
        (*recorded_ms == delay_ms).then_some(*by)
    }

    /// Resolves if the hub of a room other than the house room ends although the server goes on.
    pub async fn failure(&self) {
        let mut has_failed = self.registry.has_failed.subscribe();
        if has_failed.wait_for(|failed| *failed).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until the tasks of the rooms other than the house room have ended.
    pub async fn ended(&self) {
        let tasks = self.registry.tasks.lock();
        let tasks = std::mem::take(&mut *tasks.unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            // Fails only if the task has panicked.
            let _ = task.await;
        }
    }

    /// Runs `work` in a task whose end the shutdown waits for.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let tasks = self.registry.tasks.lock();
        let mut tasks = tasks.unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|task| !task.is_finished());
        tasks.push(tokio::spawn(work));
    }

    /// Watches the hub of a room, which ends at the shutdown or when the room is removed.
    fn supervise(&self, entry: Arc<RoomEntry>, task: JoinHandle<()>) {
        let rooms = self.clone();
        self.spawn(async move {
            let ended = task.await;
            let is_expected = entry.is_removed() || rooms.registry.starter.is_stopped();
            if ended.is_err() || !is_expected {
                tracing::error!("the task of room {} ended unexpectedly", entry.id);
                rooms.registry.has_failed.send_replace(true);
            }
        });
    }
}
