//! The scaled covers that are kept on disk, in a folder beside the state file, so that a start need not make them again. It
//! is a convenience: whatever is wrong with one, it is made again. The folder may be deleted at any time.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use flate2::Crc;

use super::cover::Name;
use crate::store::{COVERS, UNFINISHED, beside};

/// How each begins. Another way of making them needs another one.
const FORMAT: &str = "lockstep cover 1";
/// What they take together, in bytes; when it is more, those go that nobody has asked for in the longest time, until it is
/// [`LEFT`].
const MOST: u64 = 128 << 20;
const LEFT: u64 = MOST / 4 * 3;
/// That somebody has asked for one is written down so often.
const USED: Duration = Duration::from_secs(24 * 60 * 60);

/// The folder.
#[derive(Debug)]
pub(super) struct Shelf {
    folder: PathBuf,
    /// What it holds, in bytes; `None` while nobody has looked.
    bytes: Mutex<Option<u64>>,
    /// Whether it has been said that it cannot be written to.
    has_complained: AtomicBool,
}

impl Shelf {
    /// Beside `state_file`.
    pub(super) fn beside(state_file: &Path) -> Self {
        Shelf {
            folder: beside(state_file, COVERS),
            bytes: Mutex::default(),
            has_complained: AtomicBool::new(false),
        }
    }

    /// What is kept under that name: a cover, or that none can be made. Blocks.
    pub(super) fn find(&self, name: Name) -> Option<Option<Bytes>> {
        let mut file = File::open(self.path(name)).ok()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        let cover = unwrapped(bytes.into())?;
        let now = SystemTime::now();
        let used = file.metadata().and_then(|metadata| metadata.modified());
        if used.is_ok_and(|used| now.duration_since(used).is_ok_and(|since| since > USED)) {
            // If it cannot be written down, the cover goes sooner.
            let _ = file.set_modified(now);
        }
        Some((!cover.is_empty()).then_some(cover))
    }

    /// Keeps a cover, or that none can be made. Blocks. If it cannot be kept, a log line says so, once.
    pub(super) fn keep(&self, name: Name, cover: Option<&Bytes>) {
        let kept = self.try_keep(name, cover.map_or(&[], |cover| cover));
        let Err(error) = kept else {
            return self.has_complained.store(false, Ordering::Relaxed);
        };
        if !self.has_complained.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "covers cannot be kept in {}, so they will be made again: {error}",
                self.folder.display()
            );
        }
    }

    fn try_keep(&self, name: Name, cover: &[u8]) -> io::Result<()> {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        fs::create_dir(&self.folder).or_else(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Ok(()),
            _ => Err(error),
        })?;
        let mut file = tempfile::Builder::new()
            .prefix(".")
            .suffix(UNFINISHED)
            .tempfile_in(&self.folder)?;
        file.write_all(head(cover).as_bytes())?;
        file.write_all(cover)?;
        file.persist(self.path(name))?;
        let held = match *bytes {
            Some(held) => held + cover.len() as u64,
            None => self.look()?.iter().map(|kept| kept.size).sum(),
        };
        *bytes = Some(if held > MOST { self.make_room()? } else { held });
        Ok(())
    }

    fn path(&self, Name { picture, version }: Name) -> PathBuf {
        self.folder.join(format!("{picture}-{version}"))
    }

    /// What lies in the folder, without what a server that was killed has left half-written: that is swept away.
    fn look(&self) -> io::Result<Vec<Kept>> {
        let mut found = Vec::new();
        for entry in self.folder.read_dir()?.flatten() {
            let name = entry.file_name();
            let is_unfinished = name.to_string_lossy().ends_with(UNFINISHED);
            match entry.metadata() {
                Ok(_) if is_unfinished => fs::remove_file(entry.path())?,
                Ok(metadata) if metadata.is_file() => found.push(Kept {
                    name,
                    size: metadata.len(),
                    used: metadata.modified()?,
                }),
                _ => {}
            }
        }
        Ok(found)
    }

    /// Removes what nobody has asked for in the longest time; how many bytes are left.
    fn make_room(&self) -> io::Result<u64> {
        let mut kept = self.look()?;
        kept.sort_unstable_by_key(|kept| kept.used);
        let mut held = kept.iter().map(|kept| kept.size).sum();
        for Kept { name, size, .. } in kept {
            if held <= LEFT {
                break;
            }
            fs::remove_file(self.folder.join(name))?;
            held -= size;
        }
        Ok(held)
    }
}

/// A file in the folder.
struct Kept {
    name: OsString,
    size: u64,
    used: SystemTime,
}

/// What goes before a cover, so that a damaged one is known.
fn head(cover: &[u8]) -> String {
    let mut sum = Crc::new();
    sum.update(cover);
    format!("{FORMAT} {:08x}\n", sum.sum())
}

/// The cover in a file; `None` when it is damaged.
fn unwrapped(mut bytes: Bytes) -> Option<Bytes> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let cover = bytes.split_off(end + 1);
    (*bytes == *head(&cover).as_bytes()).then_some(cover)
}

#[cfg(test)]
mod tests {
    use super::super::Version;
    use super::*;
    use crate::room::TrackId;

    fn name(n: u64) -> Name {
        Name {
            picture: TrackId(n),
            version: Version(1),
        }
    }

    fn shelf() -> (tempfile::TempDir, Shelf) {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::beside(&folder.path().join("state.json"));
        (folder, shelf)
    }

    #[test]
    fn what_is_kept_is_found_under_its_name_and_in_its_version_only() {
        let (_folder, shelf) = shelf();
        assert_eq!(shelf.find(name(1)), None);
        let cover = Bytes::from_static(b"a cover\nof two lines");
        shelf.keep(name(1), Some(&cover));
        shelf.keep(name(2), None);
        assert_eq!(shelf.find(name(1)), Some(Some(cover)));
        assert_eq!(shelf.find(name(2)), Some(None), "none can be made");
        let later = Name {
            version: Version(2),
            ..name(1)
        };
        assert_eq!(shelf.find(later), None);
    }

    #[test]
    fn one_that_is_cut_or_changed_is_not_found_and_kept_anew() {
        let (_folder, shelf) = shelf();
        let cover = Bytes::from_static(b"a cover");
        shelf.keep(name(1), Some(&cover));
        let path = shelf.path(name(1));
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            for bytes in [&whole[..at], &changed] {
                fs::write(&path, bytes).unwrap();
                assert_eq!(shelf.find(name(1)), None, "at byte {at}");
            }
        }
        shelf.keep(name(1), Some(&cover));
        assert_eq!(shelf.find(name(1)), Some(Some(cover)));
    }

    #[test]
    fn what_nobody_has_asked_for_in_the_longest_time_makes_room() {
        let (_folder, shelf) = shelf();
        let cover = Bytes::from_static(b"a cover");
        let long_ago = SystemTime::now() - USED * 10;
        // Five that take a quarter of the room each, as a hole in the file, and an old one that is small.
        for n in 0..=5 {
            shelf.keep(name(n), Some(&cover));
            let file = File::options().write(true).open(shelf.path(name(n)));
            let file = file.unwrap();
            if n > 0 {
                file.set_len(MOST / 4).unwrap();
            }
            file.set_modified(long_ago + USED * n as u32).unwrap();
        }
        assert!(shelf.find(name(0)).is_some(), "which is used now");
        // A server that has just started looks what there is.
        let shelf = Shelf {
            bytes: Mutex::default(),
            ..shelf
        };
        shelf.keep(name(6), Some(&cover));
        let is_there = |n| shelf.path(name(n)).exists();
        let expected = [true, false, false, false, true, true, true];
        assert_eq!([0, 1, 2, 3, 4, 5, 6].map(is_there), expected);
    }

    #[test]
    fn a_folder_that_is_deleted_is_there_again_with_the_next_cover() {
        let (_folder, shelf) = shelf();
        let cover = Bytes::from_static(b"a cover");
        shelf.keep(name(1), Some(&cover));
        fs::remove_dir_all(&shelf.folder).unwrap();
        assert_eq!(shelf.find(name(1)), None);
        shelf.keep(name(1), Some(&cover));
        assert_eq!(shelf.find(name(1)), Some(Some(cover)));
    }

    #[test]
    fn what_was_half_written_when_a_server_was_killed_is_swept_away() {
        let (_folder, shelf) = shelf();
        fs::create_dir(&shelf.folder).unwrap();
        let left = shelf.folder.join(".x.tmp");
        fs::write(&left, "half").unwrap();
        shelf.keep(name(1), None);
        assert!(!left.exists());
    }
}
