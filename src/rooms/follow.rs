//! Keeps the rooms other than the house room up to date: with the library, and with the names, kinds, speaker delays and removals
//! of the devices, which the house room's state file keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::sleep;

use super::{RoomEntry, Rooms};
use crate::hub::{Hub, HubError};
use crate::library::ScanProgress;
use crate::room::{Client, Command, MemberId, Rejection, TrackCatalog};

/// The time between a failed update of a room and the next attempt.
pub(super) const RETRY_INTERVAL: Duration = Duration::from_secs(10);

/// What the rooms must know of the library. Only the newest matters.
#[derive(Debug, Clone, Default)]
pub(crate) struct LibraryNews {
    /// The newest catalog; `None` until the library has published one that rooms can use.
    pub(crate) catalog: Option<Arc<TrackCatalog>>,
    /// The progress of the last scan.
    pub(crate) progress: Option<ScanProgress>,
}

/// The devices that are paired with the house.
#[derive(Debug, Clone, Default)]
pub(super) struct HouseMembers {
    clients: Arc<BTreeMap<MemberId, Client>>,
    /// The hosts of the house room, who may do everything in each room.
    hosts: Arc<BTreeSet<MemberId>>,
}

impl HouseMembers {
    /// Those of the house room as last committed.
    pub(super) fn of(house: &Hub) -> Self {
        let room = house.view().room;
        HouseMembers {
            clients: room.durable.clients.clone(),
            hosts: room.durable.hosts.clone(),
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.clients, &other.clients) && Arc::ptr_eq(&self.hosts, &other.hosts)
    }
}

impl Rooms {
    /// Where the library's relay announces news.
    pub(crate) fn news(&self) -> &watch::Sender<LibraryNews> {
        &self.registry.news
    }

    /// Runs the task that keeps a room up to date. A room whose disk hangs delays no other. The returned future resolves after the
    /// first update, which may have failed.
    pub(super) fn follow(&self, entry: Arc<RoomEntry>) -> impl Future<Output = ()> + Send + use<> {
        let rooms = self.clone();
        let (first_update, updated) = oneshot::channel();
        self.spawn(async move {
            if let Some(hub) = entry.hub() {
                rooms.keep_up_to_date(hub, first_update).await;
            }
        });
        async {
            // An error means that the task has ended.
            let _ = updated.await;
        }
    }

    async fn keep_up_to_date(&self, hub: &Hub, first_update: oneshot::Sender<()>) {
        let mut first_update = Some(first_update);
        let mut news = self.registry.news.subscribe();
        let mut members = self.registry.members.subscribe();
        let mut follower = LibraryFollower::default();
        loop {
            let newest = news.borrow_and_update().clone();
            members.mark_unchanged();
            let mut updated = follower.update(hub, newest).await;
            if updated.is_ok() {
                updated = self.update_members(hub).await;
            }
            if let Some(first_update) = first_update.take() {
                // The receiver may have been dropped.
                let _ = first_update.send(());
            }
            let retry = async {
                match updated {
                    Ok(()) => std::future::pending().await,
                    Err(error) => {
                        tracing::warn!("cannot update a room, and will retry: {error}");
                        sleep(RETRY_INTERVAL).await;
                    }
                }
            };
            tokio::select! {
                () = hub.ended() => return,
                Ok(()) = news.changed() => {}
                Ok(()) = members.changed() => {}
                () = retry => {}
            }
        }
    }

    /// Gives the devices of a room the names, kinds and delays that the house keeps, removes those that the house lacks, and gives
    /// the hosts of the house their rights.
    ///
    /// # Errors
    /// [`HubError`]: some devices are not up to date.
    pub(crate) async fn update_members(&self, hub: &Hub) -> Result<(), HubError> {
        let Some(house) = self.registry.house.hub() else {
            return Ok(());
        };
        let HouseMembers {
            clients: kept,
            hosts,
        } = HouseMembers::of(house);
        let room = hub.view().room;
        if room.live.overseers != hosts {
            hub.submit(Command::Oversee { members: hosts }).await?;
        }
        let clients = room.durable.clients.clone();
        for (&member, client) in clients.iter() {
            let command = match kept.get(&member) {
                None => Command::Expel {
                    member,
                    removed_by: self.removals().get(&member).copied(),
                },
                Some(kept) if !is_same(client, kept) => Command::Mirror {
                    member,
                    client: kept.clone(),
                    tuned_by: self.tuned_by(member, kept.delay_ms),
                },
                Some(_) => continue,
            };
            match hub.submit(command).await {
                // The device has left meanwhile.
                Ok(_)
                | Err(HubError::Rejected {
                    rejection: Rejection::NotPaired,
                    ..
                }) => {}
                Err(error) => return Err(error),
            }
        }
        self.forget_removals();
        Ok(())
    }

    /// Ends the streams of a device that the house has removed in the other rooms, whose files may not be writable.
    fn end_streams_of(&self, member: MemberId) {
        for entry in self.others().iter() {
            if let Some(hub) = entry.hub() {
                hub.end_streams_of(member);
            }
        }
    }

    /// Announces each change of the devices that are paired with the house.
    pub(super) async fn watch_members(self) {
        let Some(house) = self.registry.house.hub() else {
            return;
        };
        loop {
            let change = house.next_change();
            let newest = HouseMembers::of(house);
            let clients = newest.clients.clone();
            let mut removed = Vec::new();
            let is_changed = self.registry.members.send_if_modified(|members| {
                let is_changed = !members.is_same(&newest);
                let known = members.clients.keys().copied();
                removed.extend(known.filter(|member| !newest.clients.contains_key(member)));
                *members = newest;
                is_changed
            });
            for member in removed {
                self.end_streams_of(member);
            }
            self.forget_removals();
            if is_changed {
                self.registry
                    .seats
                    .retain(|member| clients.contains_key(&member));
            }
            tokio::select! {
                () = change => {}
                () = house.ended() => return,
            }
        }
    }
}

/// Whether a room's copy of a device's data is up to date.
fn is_same(copy: &Client, kept: &Client) -> bool {
    // A trim is for the room in which it was set.
    *copy
        == Client {
            trim_db: copy.trim_db,
            ..kept.clone()
        }
}

/// What one room has received of the library.
#[derive(Default)]
struct LibraryFollower {
    catalog: Option<Arc<TrackCatalog>>,
    progress: Option<ScanProgress>,
}

impl LibraryFollower {
    async fn update(&mut self, hub: &Hub, newest: LibraryNews) -> Result<(), HubError> {
        if let Some(catalog) = newest.catalog {
            let is_known = self
                .catalog
                .as_ref()
                .is_some_and(|known| Arc::ptr_eq(known, &catalog));
            if !is_known {
                hub.submit(Command::Library(catalog.clone())).await?;
                self.catalog = Some(catalog);
                // Clients fetch the index when they receive the progress.
                self.progress = None;
            }
        }
        if self.progress != newest.progress {
            if let Some(progress) = newest.progress {
                hub.report_scan_progress(progress);
            }
            self.progress = newest.progress;
        }
        Ok(())
    }
}
