//! Makes, renames, locks and removes rooms, and lets devices enter and leave.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use tokio::task::spawn_blocking;
use unicode_normalization::UnicodeNormalization;

use super::expiry::unix_seconds;
use super::files::LoadedRoom;
use super::password::{HashError, MAX_PASSWORD};
use super::reservations::Change;
use super::{RoomEntry, RoomId, RoomStatus, Rooms};
use crate::clean_text::clean_line;
use crate::clock;
use crate::history::History;
use crate::hub::{Accepted, Hub, HubError, StartState};
use crate::pairing::PairingError;
use crate::room::{self, ApplyContext, Client, Command, MemberId, Room};
use crate::room_profile::{RoomAccess, RoomProfile};
use crate::store::Store;

/// The most rooms, with the house room.
const MAX_ROOMS: usize = 16;
/// The most rooms that one device has made.
const MAX_ROOMS_PER_DEVICE: usize = 3;
/// The longest name, in characters.
const MAX_NAME: usize = 40;

/// Why a room was not made or changed.
#[derive(Debug, thiserror::Error)]
pub enum RoomError {
    /// No visible character remains of the name.
    #[error("a room needs a name")]
    NoName,
    /// Another room has the name.
    #[error("another room has this name")]
    NameTaken,
    /// The password is too long.
    #[error("a password has at most {MAX_PASSWORD} bytes")]
    PasswordTooLong,
    /// The device has made the most rooms that it may.
    #[error("a device can make at most {MAX_ROOMS_PER_DEVICE} rooms")]
    TooManyOfDevice,
    /// The server has the most rooms that it may have.
    #[error("a server has at most {MAX_ROOMS} rooms")]
    TooMany,
    /// The house room cannot be left, locked or removed.
    #[error("the house room is open to all paired devices, and stays")]
    House,
    /// The password is missing.
    #[error("this room needs a password")]
    NeedsPassword,
    /// The password is wrong, or was not even looked at.
    #[error("this is not the password")]
    WrongPassword(PairingError),
    /// The room was removed meanwhile.
    #[error("there is no such room")]
    Gone,
    /// The state file is damaged. Contains a description of the damage.
    #[error("{0}")]
    Damaged(String),
    /// The file of the room, or the folder of the rooms, has not been read since the start.
    #[error("the server is still reading its rooms; try again in a moment")]
    Opening,
    /// The room's hub did not accept the change.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// The system refused memory or a file.
    #[error("the room cannot be stored: {0}")]
    Io(#[from] io::Error),
}

/// Finishes a change even if the returned future is dropped.
async fn finish<T: Send + 'static>(
    change: impl Future<Output = Result<T, RoomError>> + Send + 'static,
) -> Result<T, RoomError> {
    let changed = tokio::spawn(change).await;
    changed.unwrap_or_else(|error| Err(io::Error::other(error).into()))
}

/// The cleaned name for a room.
fn clean_name(name: &str) -> Result<String, RoomError> {
    let name: String = clean_line(name, MAX_NAME).nfc().collect();
    match name.is_empty() {
        true => Err(RoomError::NoName),
        false => Ok(name),
    }
}

/// A name as names are compared: those that differ only in case or in how letters are composed are the same.
fn compared(name: &str) -> String {
    name.nfc().collect::<String>().to_lowercase()
}

/// Removes a room by its hub.
async fn remove_running(entry: &RoomEntry, hub: &Hub) -> Result<(), RoomError> {
    // Before, because the hub ends at once.
    entry.is_removed.store(true, Ordering::Relaxed);
    let removed = hub.remove().await;
    if removed.is_err() {
        entry.is_removed.store(false, Ordering::Relaxed);
    }
    Ok(removed?)
}

/// Sets the file of a damaged room aside.
async fn set_damaged_aside(entry: &RoomEntry, why: &str) -> Result<(), RoomError> {
    let store = entry.damaged_store().take();
    // The file of a room that runs in another server stays.
    let store = store.ok_or_else(|| RoomError::Damaged(why.to_owned()))?;
    let moved = spawn_blocking(move || (store.set_aside(), store)).await;
    let (moved, store) = moved.map_err(io::Error::other)?;
    match moved {
        Ok(aside) => {
            let aside = aside.unwrap_or_default();
            tracing::info!("the damaged state was moved to {}", aside.display());
            Ok(())
        }
        Err(error) => {
            *entry.damaged_store() = Some(store);
            Err(error.into())
        }
    }
}

impl RoomEntry {
    fn running(&self) -> Result<&Hub, RoomError> {
        match &self.status {
            RoomStatus::Running(hub) => Ok(hub),
            RoomStatus::Damaged(why) => Err(RoomError::Damaged(why.clone())),
            RoomStatus::Opening => Err(RoomError::Opening),
        }
    }
}

impl Rooms {
    /// Makes a room, with `maker` as its first member. Continues if the returned future is dropped.
    ///
    /// # Errors
    /// [`RoomError`]: there is no new room.
    pub async fn make(
        &self,
        maker: MemberId,
        name: &str,
        password: Option<String>,
    ) -> Result<Arc<RoomEntry>, RoomError> {
        let (rooms, name) = (self.clone(), name.to_owned());
        finish(async move { rooms.make_now(maker, &name, password).await }).await
    }

    async fn make_now(
        &self,
        maker: MemberId,
        name: &str,
        password: Option<String>,
    ) -> Result<Arc<RoomEntry>, RoomError> {
        let name = clean_name(name)?;
        if !self.are_listed() {
            return Err(RoomError::Opening);
        }
        let reserved = self.registry.reservations.begin(|changes| {
            self.check_free(&name, None, changes)?;
            self.check_number(maker, changes)?;
            Ok::<_, RoomError>(Change {
                id: self.free_id(changes),
                name: compared(&name),
                maker: Some(maker),
            })
        })?;
        if !self.registry.starter.is_running() {
            return Err(HubError::Closing.into());
        }
        let profile = RoomProfile {
            name: Some(name),
            access: RoomAccess {
                maker: Some(maker),
                made_by: Some(maker),
                password_hash: self.hash(password).await?,
                entered_at: unix_seconds(SystemTime::now()),
            },
        };
        let client = self.client(maker).ok_or(HubError::Closing)?;
        let state = StartState {
            room: self.new_room(maker, client),
            profile,
        };
        let folder = self.registry.starter.folder.clone();
        let id = reserved.id().clone();
        let path = folder.state_file(&id);
        let create = move || -> io::Result<LoadedRoom> {
            folder.create()?;
            if path.symlink_metadata().is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let store = Store::open(&path).map_err(io::Error::other)?;
            if let Err(error) = store.save(&state.room, &state.profile) {
                // After a failed flush of the folder, the file may exist although the room was refused.
                let _ = store.remove();
                return Err(error);
            }
            Ok(LoadedRoom {
                history: History::load(&path),
                store,
                state,
            })
        };
        let created = spawn_blocking(create)
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)));
        let room =
            created.inspect_err(|error| tracing::error!("a room cannot be stored: {error}"))?;
        let started = self.start_made(id.clone(), room).await;
        tracing::info!("{maker} made room {id}");
        Ok(started)
    }

    /// A room with the tracks of the library, one member, which is its first host.
    fn new_room(&self, maker: MemberId, client: Client) -> Room {
        let context = ApplyContext {
            now_ms: clock::now_ms(),
            lead_ms: 0.0,
            has_timed_starts: true,
        };
        let catalog = self.registry.news.borrow().catalog.clone();
        let commands = [
            catalog.map(Command::Library),
            Some(Command::Admit {
                member: maker,
                client,
            }),
            Some(Command::MakeHost { member: maker }),
        ];
        let mut room = Room::default();
        for command in commands.into_iter().flatten() {
            // No stream can receive the events of a room that does not exist yet.
            if let Ok((next, _)) = room::apply(&room, &command, context) {
                room = next;
            }
        }
        room
    }

    fn free_id(&self, changes: &[Change]) -> RoomId {
        loop {
            let id = RoomId::random();
            let is_reserved = changes.iter().any(|change| change.id == id);
            if self.find(id.as_str()).is_none() && !is_reserved {
                return id;
            }
        }
    }

    /// Checks that a device may make another room. A room that the device has left still counts.
    fn check_number(&self, maker: MemberId, changes: &[Change]) -> Result<(), RoomError> {
        let entries = self.entries();
        let made = changes.iter().filter(|change| change.maker.is_some());
        if entries.len() + made.count() >= MAX_ROOMS {
            return Err(RoomError::TooMany);
        }
        let is_own = |entry: &&Arc<RoomEntry>| {
            let hub = entry.hub();
            hub.is_some_and(|hub| hub.view().profile.access.was_made_by(maker))
        };
        let making = changes.iter().filter(|change| change.maker == Some(maker));
        if entries.iter().filter(is_own).count() + making.count() >= MAX_ROOMS_PER_DEVICE {
            return Err(RoomError::TooManyOfDevice);
        }
        Ok(())
    }

    /// Checks that no other room has a name, or is about to get it. `of` is the room that gets the name, if it exists.
    fn check_free(
        &self,
        name: &str,
        of: Option<&RoomId>,
        changes: &[Change],
    ) -> Result<(), RoomError> {
        let name = compared(name);
        let entries = self.entries();
        let mut others = entries.iter().filter(|entry| Some(&entry.id) != of);
        let mut changes = changes.iter().filter(|change| Some(&change.id) != of);
        let is_taken = others.any(|entry| compared(&entry.name()) == name)
            || changes.any(|change| change.name == name);
        match is_taken {
            true => Err(RoomError::NameTaken),
            false => Ok(()),
        }
    }

    /// The hash of a password; `None` without a password. An empty one is none.
    async fn hash(&self, password: Option<String>) -> Result<Option<String>, RoomError> {
        let Some(password) = password.filter(|password| !password.is_empty()) else {
            return Ok(None);
        };
        if password.len() > MAX_PASSWORD {
            return Err(RoomError::PasswordTooLong);
        }
        match self.registry.passwords.hash(password).await {
            Ok(hash) => Ok(Some(hash)),
            Err(HashError::Busy { retry_after }) => {
                let busy = PairingError::TooManyAttempts { retry_after };
                Err(RoomError::WrongPassword(busy))
            }
            Err(HashError::NoMemory) => Err(io::Error::from(io::ErrorKind::OutOfMemory).into()),
        }
    }

    /// The public data of a device that is paired with the house.
    fn client(&self, member: MemberId) -> Option<Client> {
        let house = self.registry.house.hub()?;
        house.view().room.durable.clients.get(&member).cloned()
    }

    /// Gives a room another name. Continues if the returned future is dropped.
    ///
    /// # Errors
    /// [`RoomError`]: the room keeps its name.
    pub async fn rename(&self, entry: Arc<RoomEntry>, name: &str) -> Result<(), RoomError> {
        let name = clean_name(name)?;
        entry.running()?;
        let reserved = self.registry.reservations.begin(|changes| {
            self.check_free(&name, Some(&entry.id), changes)?;
            Ok::<_, RoomError>(Change {
                id: entry.id.clone(),
                name: compared(&name),
                maker: None,
            })
        })?;
        let rooms = self.clone();
        finish(async move {
            let hub = entry.running()?;
            hub.change_profile(move |profile| profile.name = Some(name))
                .await?;
            drop(reserved);
            rooms.touch_list();
            Ok(())
        })
        .await
    }

    /// Gives a room another password, or none. Continues if the returned future is dropped.
    ///
    /// # Errors
    /// [`RoomError`]: the room keeps its password.
    pub async fn lock(
        &self,
        entry: Arc<RoomEntry>,
        password: Option<String>,
    ) -> Result<(), RoomError> {
        if entry.id.is_house() {
            return Err(RoomError::House);
        }
        let rooms = self.clone();
        finish(async move {
            let hub = entry.running()?;
            let hash = rooms.hash(password).await?;
            hub.change_profile(move |profile| profile.access.password_hash = hash)
                .await?;
            Ok(())
        })
        .await
    }

    /// Removes a room with its state file. Its streams end. The file of a damaged room is set aside. Continues if the returned
    /// future is dropped.
    ///
    /// # Errors
    /// [`RoomError`]: the room stays.
    pub async fn remove(&self, entry: Arc<RoomEntry>) -> Result<(), RoomError> {
        if entry.id.is_house() {
            return Err(RoomError::House);
        }
        let rooms = self.clone();
        finish(async move {
            let _removing = entry.removing.lock().await;
            if rooms.find(entry.id.as_str()).is_none() {
                return Err(RoomError::Gone);
            }
            match &entry.status {
                RoomStatus::Running(hub) => remove_running(&entry, hub).await?,
                RoomStatus::Damaged(why) => set_damaged_aside(&entry, why).await?,
                RoomStatus::Opening => return Err(RoomError::Opening),
            }
            rooms.take_out(&entry.id);
            tracing::info!("room {} was removed", entry.id);
            Ok(())
        })
        .await
    }

    /// Checks the password with which a device at `address` wants to enter.
    ///
    /// # Errors
    /// [`RoomError::NeedsPassword`] or [`RoomError::WrongPassword`]
    pub async fn check_password(
        &self,
        entry: &RoomEntry,
        password: Option<String>,
        address: IpAddr,
    ) -> Result<(), RoomError> {
        let view = entry.running()?.view();
        let Some(hash) = &view.profile.access.password_hash else {
            return Ok(());
        };
        let password = password.ok_or(RoomError::NeedsPassword)?;
        let checked = self.registry.passwords.check(password, hash, address).await;
        checked.map_err(RoomError::WrongPassword)
    }

    /// Makes a device of the house a client of a room.
    ///
    /// # Errors
    /// [`RoomError`]: the device is no client.
    pub async fn admit(&self, entry: &RoomEntry, member: MemberId) -> Result<Accepted, RoomError> {
        let hub = entry.running()?;
        let client = self.client(member).ok_or(HubError::Closing)?;
        self.record_use(entry);
        let accepted = hub.submit(Command::Admit { member, client }).await?;
        // The house may have removed or renamed the device meanwhile.
        self.update_members(hub).await?;
        Ok(accepted)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::super::test_rooms::{TestRooms, until};
    use super::*;

    #[tokio::test]
    async fn a_password_is_set_although_the_request_is_dropped() {
        let maker = MemberId(1);
        let test = TestRooms::with_devices([maker]).await;
        let room = test.rooms.make(maker, "Cellar", None).await.unwrap();
        let lock = test.rooms.lock(room.clone(), Some("tomato".into()));
        assert!(lock.now_or_never().is_none());
        until(room.hub().unwrap(), |hub| hub.view().profile.is_locked()).await;
    }
}
