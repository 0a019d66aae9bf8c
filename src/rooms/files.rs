//! The state files of the rooms other than the house room.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::RoomId;
use super::expiry::has_expired;
use crate::data_files::{DataFiles, flush_folder, folder_of};
use crate::history::{History, HistoryHandle, HistoryWriter};
use crate::hub::StartState;
use crate::store::{LoadedState, Store};

/// What follows the id in the name of a state file.
const SUFFIX: &str = ".json";
/// The permissions of the folder.
const FOLDER_MODE: u32 = 0o700;

/// A room as found at a start.
#[derive(Debug)]
pub(crate) struct OpenedRoom {
    pub(super) id: RoomId,
    pub(super) content: Result<LoadedRoom, Damage>,
}

/// What a room is started with.
#[derive(Debug)]
pub(super) struct LoadedRoom {
    pub(super) store: Store,
    pub(super) state: StartState,
    pub(super) history: (HistoryHandle, HistoryWriter),
}

/// Why a room cannot be started.
#[derive(Debug)]
pub(super) struct Damage {
    pub(super) why: String,
    /// `None` if the file cannot be locked.
    pub(super) store: Option<Store>,
}

impl OpenedRoom {
    /// The state, unless it is damaged.
    pub(super) fn state(&self) -> Option<&StartState> {
        self.content.as_ref().ok().map(|loaded| &loaded.state)
    }
}

/// The folder of the rooms beside the state file of the house room.
#[derive(Debug, Clone)]
pub(super) struct RoomFolder(PathBuf);

impl RoomFolder {
    pub(super) fn beside(state_file: &Path) -> Self {
        RoomFolder(DataFiles::beside(state_file).rooms_path())
    }

    pub(super) fn state_file(&self, id: &RoomId) -> PathBuf {
        self.0.join(format!("{id}{SUFFIX}"))
    }

    /// Creates the folder if it is missing. Blocks.
    pub(super) fn create(&self) -> io::Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        match fs::DirBuilder::new().mode(FOLDER_MODE).create(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            created => created.and_then(|()| flush_folder(folder_of(&self.0))),
        }
    }

    /// The ids of all rooms. Blocks.
    ///
    /// # Errors
    /// The folder cannot be read. One that is missing has no rooms.
    pub(super) fn list(&self) -> io::Result<Vec<RoomId>> {
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut ids = Vec::new();
        for entry in entries {
            let name = entry?.file_name().into_string().ok();
            let id = name.and_then(|name| name.strip_suffix(SUFFIX)?.parse::<RoomId>().ok());
            ids.extend(id.filter(|id| !id.is_house()));
        }
        ids.sort();
        Ok(ids)
    }

    /// Locks and loads a room. A room that no device has used for a long time is set aside instead. Blocks.
    pub(super) fn open(&self, id: RoomId, now: SystemTime) -> Option<OpenedRoom> {
        let path = self.state_file(&id);
        let damaged = |why: String, store| Err(Damage { why, store });
        let content = match Store::open(&path) {
            Ok(store) => match store.load() {
                LoadedState::Valid(state) => {
                    let (room, profile) = *state;
                    if has_expired(profile.access.entered_at, now) && is_set_aside(&id, &store) {
                        return None;
                    }
                    Ok(LoadedRoom {
                        store,
                        state: StartState { room, profile },
                        history: History::load(&path),
                    })
                }
                LoadedState::Missing if path.symlink_metadata().is_ok() => {
                    let why = "the file is empty, or is a link that leads nowhere";
                    damaged(why.into(), Some(store))
                }
                // The file was removed since the folder was listed.
                LoadedState::Missing => return None,
                LoadedState::Damaged(why) => damaged(why, Some(store)),
            },
            Err(error) => damaged(error.to_string(), None),
        };
        Some(OpenedRoom { id, content })
    }
}

/// Moves the file of an expired room aside. Returns whether that has succeeded.
fn is_set_aside(id: &RoomId, store: &Store) -> bool {
    let set_aside = store.set_aside();
    match &set_aside {
        Ok(aside) => {
            let aside = aside.clone().unwrap_or_default();
            tracing::info!(
                "no device has used room {id} for 30 days, so it was removed; its state was moved to {}",
                aside.display()
            );
        }
        Err(error) => tracing::warn!("room {id} has expired and cannot be removed: {error}"),
    }
    set_aside.is_ok()
}
