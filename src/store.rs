//! The state file: loading it, replacing it so that a crash at any moment leaves the old or the new one
//! whole, and the lock that keeps a second server away. What the state means lives in `room`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::room::{Durable, Private, Room};

/// How the names of unfinished writes end.
pub(crate) const UNFINISHED: &str = ".tmp";

/// Why the state file cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another server holds the lock.
    #[error("the state file {0} is in use by another lockstep server")]
    InUse(PathBuf),
    /// The lock or the folder cannot be had.
    #[error("cannot keep the state in {path}: {error}")]
    Unusable {
        /// The state file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// What was found where the state should be.
#[derive(Debug)]
pub enum Loaded {
    /// Nothing: a first start.
    Fresh,
    /// A room.
    Sound(Box<Room>),
    /// Something that is not a room's state, and why. It must not be overwritten.
    Damaged(String),
}

/// The place of the state, held by this process alone as long as this value lives.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    folder: PathBuf,
    /// How the names of unfinished writes begin.
    prefix: String,
    lock: Mutex<Lock>,
}

/// The lock file. It stands beside the state, not for it: the state is replaced at each write, and a lock on
/// it would go with it.
#[derive(Debug)]
struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    /// `WouldBlock` when another process holds it.
    fn take(path: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)?;
        match fs4::FileExt::try_lock(&file) {
            Ok(()) => Ok(Lock { path, file }),
            Err(fs4::TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(fs4::TryLockError::Error(error)) => Err(error),
        }
    }

    /// Somebody may have removed the folder and made it anew: then the lock is taken anew as well.
    fn keep(&mut self) -> io::Result<()> {
        let held = self.file.metadata()?;
        let there = fs::metadata(&self.path).ok();
        if there.is_none_or(|there| (there.dev(), there.ino()) != (held.dev(), held.ino())) {
            *self = Lock::take(self.path.clone())?;
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct Written<'a> {
    #[serde(flatten)]
    durable: &'a Durable,
    private: &'a Private,
}

#[derive(Deserialize)]
struct Read {
    #[serde(flatten)]
    durable: Durable,
    #[serde(default)]
    private: Private,
}

/// What the names of what lies beside the state end in: the index cache, scaled covers, and the certificate authority.
pub(crate) const INDEX: &str = ".index";
pub(crate) const COVERS: &str = ".covers";
pub(crate) const AUTHORITY: &str = ".authority";

/// Where the server keeps something else of its own: beside the state itself, and not beside a link to it, under its name with
/// `suffix` added.
pub(crate) fn beside(state_file: &Path, suffix: &str) -> PathBuf {
    let resolved = state_file.canonicalize();
    let state_file = resolved.as_deref().unwrap_or(state_file);
    let mut name = state_file.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    state_file.with_file_name(name)
}

/// How the names of unfinished writes of the state, and of what lies beside it, begin.
pub(crate) fn unfinished(state_file: &Path) -> String {
    let state = beside(state_file, "");
    let name = state.file_name().unwrap_or_default();
    format!(".{}-", name.to_string_lossy())
}

/// The folder that a file is in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

impl Store {
    /// Takes the lock of the state file at `path`.
    ///
    /// # Errors
    /// [`StoreError`] when another process holds it, or the folder cannot be written.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let unusable = |error| StoreError::Unusable {
            path: path.into(),
            error,
        };
        // A link to the state is the state: the lock and the next write belong where it really is.
        let path = &path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        let folder = folder_of(path).to_path_buf();
        let name = path.file_name().ok_or_else(|| {
            unusable(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it is not the name of a file",
            ))
        })?;
        let mut lock_name = std::ffi::OsString::from(".");
        lock_name.push(name);
        lock_name.push(".lock");
        let lock = Lock::take(folder.join(lock_name)).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => StoreError::InUse(path.into()),
            _ => unusable(error),
        })?;
        let store = Store {
            path: path.into(),
            folder,
            prefix: unfinished(path),
            lock: Mutex::new(lock),
        };
        store.sweep();
        Ok(store)
    }

    /// Removes what a server that was killed in the middle of a write has left. Under the lock nobody else is writing.
    fn sweep(&self) {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        for entry in entries {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(&self.prefix) && name.ends_with(UNFINISHED) {
                if let Err(error) = fs::remove_file(entry.path()) {
                    tracing::warn!(file = ?entry.path(), "cannot remove an unfinished write: {error}");
                }
            }
        }
    }

    /// Reads the state.
    pub fn load(&self) -> Loaded {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Loaded::Fresh,
            Err(error) => return Loaded::Damaged(format!("it cannot be read: {error}")),
        };
        match parse(&bytes) {
            Ok(room) => Loaded::Sound(Box::new(room)),
            Err(why) => Loaded::Damaged(why),
        }
    }

    /// Replaces the state. When this returns, `room` is what the next start will find, whatever
    /// happens to the machine in between.
    ///
    /// # Errors
    /// What the file system said. The old state is whole then, unless only the last step failed (the
    /// folder's `fsync`), and either may be found.
    pub fn save(&self, room: &Room) -> io::Result<()> {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        lock.keep()?;
        let mut file = tempfile::Builder::new()
            .prefix(&self.prefix)
            .suffix(UNFINISHED)
            .tempfile_in(&self.folder)?;
        file.write_all(&spell(room)?)?;
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        File::open(&self.folder)?.sync_all()
    }

    /// Moves a state that is there out of the way, and says where to.
    ///
    /// # Errors
    /// What the file system said.
    pub fn set_aside(&self) -> io::Result<Option<PathBuf>> {
        if !self.path.try_exists()? {
            return Ok(None);
        }
        let mut number = 1;
        let aside = loop {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".aside-{number}"));
            let candidate = PathBuf::from(name);
            if !candidate.try_exists()? {
                break candidate;
            }
            number += 1;
        };
        fs::rename(&self.path, &aside)?;
        File::open(&self.folder)?.sync_all()?;
        Ok(Some(aside))
    }
}

/// The bytes of `room`'s state file.
///
/// # Errors
/// None that a room could cause: all of it has a place in JSON.
pub fn spell(room: &Room) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&Written {
        durable: &room.durable,
        private: &room.private,
    })
}

/// A room from the bytes of a state file.
///
/// # Errors
/// One sentence that says what is wrong with them.
pub fn parse(bytes: &[u8]) -> Result<Room, String> {
    let read: Read = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let room = Room::restore(read.durable, read.private);
    room.check()?;
    Ok(room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_state_is_a_valid_one() {
        let room = parse(include_bytes!("../state.json.example")).unwrap();
        assert!(!room.durable.queue.is_empty());
        assert!(!room.durable.clients.is_empty());
    }

    #[test]
    fn a_state_cut_at_any_byte_is_damaged_and_never_a_panic() {
        let whole = include_str!("../state.json.example").trim_end();
        for end in 0..whole.len() {
            assert!(parse(&whole.as_bytes()[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_damaged() {
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
        ] {
            let damaged = whole.replacen(from, to, 1);
            assert_ne!(damaged, whole, "{from} is in the example");
            assert!(parse(damaged.as_bytes()).is_err(), "{to}");
        }
    }

    #[test]
    fn what_was_saved_is_found_again_and_a_second_server_is_kept_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let room = parse(include_bytes!("../state.json.example")).unwrap();
        let store = Store::open(&path).unwrap();
        assert!(matches!(store.load(), Loaded::Fresh));
        store.save(&room).unwrap();
        assert!(matches!(Store::open(&path), Err(StoreError::InUse(_))));
        fs::remove_file(folder.path().join(".state.json.lock")).unwrap();
        store.save(&room).unwrap();
        assert!(matches!(Store::open(&path), Err(StoreError::InUse(_))));
        drop(store);
        let Loaded::Sound(found) = Store::open(&path).unwrap().load() else {
            panic!("the state is sound");
        };
        assert_eq!(found.durable, room.durable);
    }
}
