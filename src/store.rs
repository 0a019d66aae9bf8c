//! The state file, which holds the durable state of a room as JSON: loads the file, replaces the file atomically, and holds
//! the lock that prevents a second server from using the file. [`crate::room`] defines the state.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{AtFlags, FlockOperation, StatxAttributes, StatxFlags};
use serde::{Deserialize, Serialize};

use crate::data_files::{DataFiles, WriteOptions, flush_folder, folder_of};
use crate::room::{DurableState, PrivateState, Room};
use crate::room_profile::RoomProfile;

/// Why the state file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another server holds the lock.
    #[error("the state file {0} is in use by another lockstep server")]
    InUse(PathBuf),
    /// The state file is a mount point, so no new file can replace it.
    #[error(
        "the state file {0} is mounted by itself, so it cannot be replaced safely: mount a folder and keep the state file in it \
         (with Docker: -v lockstep:/state and STATE_FILE=/state/state.json)"
    )]
    Mounted(PathBuf),
    /// The path does not end in a file name, or the lock file cannot be created or locked.
    #[error("cannot keep the state in {path}: {error}")]
    Unusable {
        /// The state file.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
}

/// The result of [`Store::load`].
#[derive(Debug)]
pub enum LoadedState {
    /// There is no state file, or an empty one that an administrator has created: this is the first start.
    Missing,
    /// The state file holds a valid room.
    Valid(Box<(Room, RoomProfile)>),
    /// The state file cannot be read, or does not hold a valid room. The string is the reason. The file must not be
    /// overwritten, because its content may still be recovered.
    Damaged(String),
}

/// A state file, and its lock, which is released when this value is dropped.
#[derive(Debug)]
pub struct Store {
    files: DataFiles,
    lock: Mutex<FileLock>,
}

/// The lock on a file beside the state file. A lock on the state file itself would be lost at the next write, which replaces
/// the state file by a new file.
#[derive(Debug)]
struct FileLock {
    path: PathBuf,
    file: File,
}

impl FileLock {
    /// Creates and locks the file at `path`. The error is [`io::ErrorKind::WouldBlock`] if another process holds the lock.
    fn acquire(path: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(FileLock { path, file })
    }

    /// Creates and locks the lock file again if `path` does not lead to the locked file any longer, for example because the
    /// folder was removed and created again.
    ///
    /// # Errors
    /// The errors of [`FileLock::acquire`].
    fn reacquire_if_replaced(&mut self) -> io::Result<()> {
        let locked = self.file.metadata()?;
        let current = fs::metadata(&self.path).ok();
        if current
            .is_none_or(|current| (current.dev(), current.ino()) != (locked.dev(), locked.ino()))
        {
            *self = FileLock::acquire(self.path.clone())?;
        }
        Ok(())
    }
}

/// The JSON of the state file, for writing.
#[derive(Serialize)]
struct StateJson<'a> {
    #[serde(flatten)]
    profile: &'a RoomProfile,
    #[serde(flatten)]
    durable: &'a DurableState,
    private: &'a PrivateState,
}

/// The JSON of the state file, for reading.
#[derive(Deserialize)]
struct ParsedState {
    #[serde(flatten)]
    profile: RoomProfile,
    #[serde(flatten)]
    durable: DurableState,
    #[serde(default)]
    private: PrivateState,
}

/// The largest file that [`Store::try_write`] writes, in bytes.
const MAX_TRIAL_SIZE: u64 = 1 << 20;

/// Whether a file system or another file is mounted at `path`, as with `docker run -v ./state.json:/state.json`. `false` if
/// the kernel does not report mount points (Linux before 5.8).
fn is_mount_point(path: &Path) -> bool {
    let found = rustix::fs::statx(rustix::fs::CWD, path, AtFlags::empty(), StatxFlags::empty());
    found.is_ok_and(|found| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

impl Store {
    /// Locks the state file at `path`, and removes temporary files that a killed server left. If `path` is a symbolic
    /// link, the lock and all writes go to the link's target.
    ///
    /// # Errors
    /// [`StoreError`] if another process holds the lock, if the lock file cannot be created, or if the state file cannot be
    /// replaced because it is a mount point.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let files = DataFiles::beside(path);
        let path = files.state_path();
        let unusable = |error| StoreError::Unusable {
            path: path.into(),
            error,
        };
        if path.file_name().is_none() {
            return Err(unusable(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the path does not end in a file name",
            )));
        }
        let lock = FileLock::acquire(files.lock_path()).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => StoreError::InUse(path.into()),
            _ => unusable(error),
        })?;
        if is_mount_point(path) {
            return Err(StoreError::Mounted(path.into()));
        }
        files.remove_temporary_files();
        Ok(Store {
            files,
            lock: Mutex::new(lock),
        })
    }

    /// Reads the state file.
    pub fn load(&self) -> LoadedState {
        let bytes = match fs::read(self.files.state_path()) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return LoadedState::Missing,
            Err(error) => return LoadedState::Damaged(format!("the file cannot be read: {error}")),
        };
        // An administrator may create the file before the first start in order to set its owner. The server itself never writes
        // an empty state file.
        if bytes.is_empty() {
            return match self.files.has_data_of_earlier_runs() {
                true => LoadedState::Damaged("the file is empty".into()),
                false => LoadedState::Missing,
            };
        }
        match parse_with_profile(&bytes) {
            Ok(state) => LoadedState::Valid(Box::new(state)),
            Err(why) => LoadedState::Damaged(why),
        }
    }

    /// Replaces the state file if there is one and it is empty. Blocks.
    ///
    /// # Errors
    /// Those of [`Store::save`].
    pub fn fill_empty_file(&self, room: &Room, profile: &RoomProfile) -> io::Result<()> {
        let found = fs::metadata(self.files.state_path());
        match found.is_ok_and(|file| file.len() == 0) {
            true => self.save(room, profile),
            false => Ok(()),
        }
    }

    /// Replaces the state file. Once this function has returned `Ok`, the next [`Store::load`] finds `room` and `profile`, even
    /// after a power failure. Blocks.
    ///
    /// # Errors
    /// The error of the file system, or [`io::ErrorKind::WouldBlock`] if the lock file was removed and another process
    /// has locked the new lock file. The state file keeps its old content, except if the final flush of the folder
    /// failed: then the file has the new content, but a power failure may restore the old content.
    pub fn save(&self, room: &Room, profile: &RoomProfile) -> io::Result<()> {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        lock.reacquire_if_replaced()?;
        let path = self.files.state_path();
        self.files.replace(path, WriteOptions::DURABLE, |file| {
            file.write_all(&serialize_with_profile(room, profile)?)
        })
    }

    /// Removes the state file, with a symbolic link that leads to it, and then the history beside it. Once this function has returned `Ok`, the next [`Store::load`]
    /// finds nothing, even after a power failure. Blocks.
    ///
    /// # Errors
    /// The error of the file system. The state file still exists, except if the flush of the folder or the removal of the link
    /// failed. A file that is already gone is no error.
    pub fn remove(&self) -> io::Result<()> {
        let _lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.files.state_path();
        remove_if_present(path)?;
        flush_folder(folder_of(path))?;
        if let Some(link) = self.files.link_path() {
            remove_if_present(link)?;
            flush_folder(folder_of(link))?;
        }
        for leftover in [self.files.history_path(), self.files.lock_path()] {
            // A file that stays takes some space, and is replaced if the name is used again.
            let _ = fs::remove_file(leftover);
        }
        Ok(())
    }

    /// Checks that the folder accepts a file as large as the state file, and leaves no file behind. Blocks.
    ///
    /// # Errors
    /// The error of the file system.
    pub fn try_write(&self) -> io::Result<()> {
        let size = fs::metadata(self.files.state_path()).map_or(1, |metadata| metadata.len());
        self.files.try_write(size.clamp(1, MAX_TRIAL_SIZE))
    }

    /// Renames the state file, and the history and the folder of rooms beside it, to unused names in the same folder: those name
    /// devices of the old state. They may exist without a state file. Returns the new path of the first of them; `None` if there is
    /// none.
    ///
    /// # Errors
    /// The error of the file system.
    pub fn set_aside(&self) -> io::Result<Option<PathBuf>> {
        let path = self.files.state_path();
        let parts = [
            (path.to_owned(), ""),
            (self.files.history_path(), ".history"),
            (self.files.rooms_path(), ".rooms"),
        ];
        let with_suffix = |path: &Path, suffix: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        let mut number = 1;
        let aside = loop {
            let candidate = with_suffix(path, &format!(".aside-{number}"));
            let mut is_free = true;
            for (_, suffix) in &parts {
                is_free &= !with_suffix(&candidate, suffix).try_exists()?;
            }
            if is_free {
                break candidate;
            }
            number += 1;
        };
        let mut first = None;
        for (part, suffix) in parts {
            if part.try_exists()? {
                let new_path = with_suffix(&aside, suffix);
                fs::rename(part, &new_path)?;
                first.get_or_insert(new_path);
            }
        }
        if first.is_some() {
            flush_folder(folder_of(path))?;
        }
        Ok(first)
    }
}

fn remove_if_present(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// The content of the state file for `room` without a profile, as JSON.
///
/// # Errors
/// Does not fail for a room that [`parse`] or [`crate::room::apply`] returned, because JSON can represent all of its fields.
pub fn serialize(room: &Room) -> serde_json::Result<Vec<u8>> {
    serialize_with_profile(room, &RoomProfile::default())
}

fn serialize_with_profile(room: &Room, profile: &RoomProfile) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&StateJson {
        profile,
        durable: &room.durable,
        private: &room.private,
    })
}

/// Parses the content of a state file.
///
/// # Errors
/// A sentence that describes the first fault: invalid JSON, or fields that contradict each other.
pub fn parse(bytes: &[u8]) -> Result<Room, String> {
    parse_with_profile(bytes).map(|(room, _)| room)
}

fn parse_with_profile(bytes: &[u8]) -> Result<(Room, RoomProfile), String> {
    let state: ParsedState = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let room = Room::restore(state.durable, state.private);
    room.check()?;
    Ok((room, state.profile))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_the_example_state() {
        let room = parse(include_bytes!("../state.json.example")).unwrap();
        assert!(!room.durable.queue.is_empty());
        assert!(!room.durable.clients.is_empty());
    }

    #[test]
    fn state_of_an_older_version_has_no_picks() {
        let whole = include_str!("../state.json.example");
        let is_new = |line: &&str| line.contains("picks") || line.contains("pickedBy");
        let old: String = whole.lines().filter(|line| !is_new(line)).collect();
        assert!(old.len() < whole.len());
        let room = parse(old.as_bytes()).unwrap();
        assert!(room.durable.picks.is_empty());
        assert_eq!(room.durable.picked_by, None);
    }

    #[test]
    fn rejects_a_state_truncated_at_any_byte() {
        let whole = include_str!("../state.json.example").trim_end();
        for end in 0..whole.len() {
            let truncated = &whole.as_bytes()[..end];
            assert!(parse(truncated).is_err(), "truncated at byte {end}");
        }
    }

    #[test]
    fn rejects_fields_that_contradict_each_other() {
        let whole = include_str!("../state.json.example");
        for (from, to) in [
            (r#""queueIndex": 1"#, r#""queueIndex": 99"#),
            (r#""queueIndex": 1"#, r#""queueIndex": -1"#),
            (r#""members": ["m1", "m2"]"#, r#""members": ["m1", "m7"]"#),
            (r#""ready": ["m1"]"#, r#""ready": ["m3"]"#),
            (r#""mode": "paused""#, r#""mode": "playing""#),
            (r#""mode": "paused""#, r#""mode": "dancing""#),
            (r#""anchorPositionSec": 0.0"#, r#""anchorPositionSec": -1"#),
            (r#""9f86d081884c7d65""#, r#""60303ae22b998861""#),
            (r#""9f86d081884c7d65""#, r#""../../etc/passwd""#),
            (
                r#""trackId": "2c26b46b68ffc68f""#,
                r#""trackId": "9f86d081884c7d65""#,
            ),
            (r#""by": "m1""#, r#""by": "m3""#),
            (r#""pickedBy": "m2""#, r#""pickedBy": "m3""#),
        ] {
            let damaged = whole.replacen(from, to, 1);
            assert_ne!(damaged, whole, "{from} is not in the example");
            assert!(parse(damaged.as_bytes()).is_err(), "{to} was accepted");
        }
    }

    #[test]
    fn removal_includes_the_symbolic_link_and_can_be_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let (link, target) = (folder.path().join("link"), folder.path().join("target"));
        fs::write(&target, "").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let store = Store::open(&link).unwrap();
        store.remove().unwrap();
        assert!(!target.exists() && link.symlink_metadata().is_err());
        store.remove().unwrap();
    }

    #[test]
    fn an_empty_state_file_is_a_first_start_unless_there_was_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let store = Store::open(&path).unwrap();
        fs::write(&path, "").unwrap();
        assert!(matches!(store.load(), LoadedState::Missing));
        for name in ["state.json.history", "state.json.index"] {
            let file = folder.path().join(name);
            fs::write(&file, "{}").unwrap();
            assert!(matches!(store.load(), LoadedState::Damaged(_)), "{name}");
            fs::remove_file(file).unwrap();
        }
        fs::create_dir(folder.path().join("state.json.rooms")).unwrap();
        assert!(matches!(store.load(), LoadedState::Damaged(_)));
    }

    #[test]
    fn trial_write_leaves_no_file_behind() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.json")).unwrap();
        let count = || fs::read_dir(folder.path()).unwrap().count();
        let files = count();
        store.try_write().unwrap();
        assert_eq!(count(), files);
        drop(folder);
        assert!(store.try_write().is_err());
    }

    #[test]
    fn loads_the_saved_room_and_locks_out_a_second_store() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let room = parse(include_bytes!("../state.json.example")).unwrap();
        let store = Store::open(&path).unwrap();
        assert!(matches!(store.load(), LoadedState::Missing));
        let profile = RoomProfile {
            name: Some("Garden".into()),
            ..RoomProfile::default()
        };
        store.save(&room, &profile).unwrap();
        assert!(matches!(Store::open(&path), Err(StoreError::InUse(_))));
        fs::remove_file(folder.path().join(".state.json.lock")).unwrap();
        store.save(&room, &profile).unwrap();
        assert!(matches!(Store::open(&path), Err(StoreError::InUse(_))));
        drop(store);
        let LoadedState::Valid(found) = Store::open(&path).unwrap().load() else {
            panic!("the saved state is not valid");
        };
        assert_eq!((found.0.durable, found.1), (room.durable, profile));
    }
}
