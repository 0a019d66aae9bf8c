//! The cache of scaled covers on disk, in a folder beside the state file, so that a restarted server need not make the
//! covers again. The cover of a damaged file is made again. The folder may be deleted at any time.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use flate2::Crc;

use super::cover::CoverKey;
use crate::data_files::{self, TEMPORARY_SUFFIX, WriteOptions};

/// The beginning of each file. Must change whenever a new version of the server makes a different cover from the same
/// picture.
const FORMAT: &str = "lockstep cover 2";
/// The maximum size of all files, in bytes. If the files are larger, the cache evicts the least recently used files until at
/// most [`SIZE_AFTER_EVICTION`] bytes are left.
const MAX_SIZE: u64 = 128 << 20;
/// The size of all files after an eviction, in bytes.
const SIZE_AFTER_EVICTION: u64 = MAX_SIZE / 4 * 3;
/// The shortest time between two updates of a file's modification time, which records the last use of the file.
const LAST_USE_RESOLUTION: Duration = Duration::from_secs(24 * 60 * 60);

/// The cache folder, which contains one file for each cover.
#[derive(Debug)]
pub(super) struct CoverDiskCache {
    folder: PathBuf,
    /// The approximate size of all files in bytes; `None` until the folder has been listed.
    size: Mutex<Option<u64>>,
    /// Whether the last write failed. Used to log a series of failures only once.
    is_failing: AtomicBool,
}

impl CoverDiskCache {
    /// A cache in `folder`, which the first write creates.
    pub(super) fn new(folder: PathBuf) -> Self {
        CoverDiskCache {
            folder,
            size: Mutex::default(),
            is_failing: AtomicBool::new(false),
        }
    }

    /// The cached cover. `None` if the cover is not cached, and `Some(None)` if the cache states that no cover can be made of
    /// the picture. Blocks.
    pub(super) fn get(&self, key: CoverKey) -> Option<Option<Bytes>> {
        let mut file = File::open(self.path(key)).ok()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        let cover = without_header(bytes.into())?;
        let now = SystemTime::now();
        let last_used = file.metadata().and_then(|metadata| metadata.modified());
        let unused_for = last_used
            .ok()
            .and_then(|last_used| now.duration_since(last_used).ok());
        if unused_for.is_some_and(|unused_for| unused_for > LAST_USE_RESOLUTION) {
            // An error is harmless: the file is evicted earlier than a file that was used at the same time.
            let _ = file.set_modified(now);
        }
        Some((!cover.is_empty()).then_some(cover))
    }

    /// Adds a cover, or, with `None`, the fact that no cover can be made. Logs only the first of consecutive failures.
    /// Blocks.
    pub(super) fn put(&self, key: CoverKey, cover: Option<&Bytes>) {
        let written = self.try_put(key, cover.map_or(&[], |cover| cover));
        let Err(error) = written else {
            return self.is_failing.store(false, Ordering::Relaxed);
        };
        if !self.is_failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "cannot cache covers in {}, so they are made again after a restart: {error}",
                self.folder.display()
            );
        }
    }

    fn try_put(&self, key: CoverKey, cover: &[u8]) -> io::Result<()> {
        let mut size = self.size.lock().unwrap_or_else(PoisonError::into_inner);
        fs::create_dir(&self.folder).or_else(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Ok(()),
            _ => Err(error),
        })?;
        data_files::replace(&self.path(key), ".", WriteOptions::CACHE, |file| {
            file.write_all(header(cover).as_bytes())?;
            file.write_all(cover)
        })?;
        let new_size = match *size {
            Some(size) => size + cover.len() as u64,
            None => self.list()?.iter().map(|file| file.size).sum(),
        };
        *size = Some(if new_size > MAX_SIZE {
            self.evict()?
        } else {
            new_size
        });
        Ok(())
    }

    fn path(&self, CoverKey { source_id, version }: CoverKey) -> PathBuf {
        self.folder.join(format!("{source_id}-{version}"))
    }

    /// Lists the cover files, and removes the temporary files of a server that was killed during a write.
    fn list(&self) -> io::Result<Vec<CoverFile>> {
        let mut files = Vec::new();
        for entry in self.folder.read_dir()?.flatten() {
            let name = entry.file_name();
            let is_temporary = name.to_string_lossy().ends_with(TEMPORARY_SUFFIX);
            match entry.metadata() {
                Ok(_) if is_temporary => fs::remove_file(entry.path())?,
                Ok(metadata) if metadata.is_file() => files.push(CoverFile {
                    name,
                    size: metadata.len(),
                    last_used: metadata.modified()?,
                }),
                _ => {}
            }
        }
        Ok(files)
    }

    /// Removes the least recently used files, and returns the size of the rest in bytes.
    fn evict(&self) -> io::Result<u64> {
        let mut files = self.list()?;
        files.sort_unstable_by_key(|file| file.last_used);
        let mut total = files.iter().map(|file| file.size).sum();
        for CoverFile { name, size, .. } in files {
            if total <= SIZE_AFTER_EVICTION {
                break;
            }
            fs::remove_file(self.folder.join(name))?;
            total -= size;
        }
        Ok(total)
    }
}

/// A file in the cache folder.
struct CoverFile {
    name: OsString,
    size: u64,
    last_used: SystemTime,
}

/// The first line of a file, before the cover: the format, and a CRC-32 of the cover that shows whether the file is damaged.
fn header(cover: &[u8]) -> String {
    let mut checksum = Crc::new();
    checksum.update(cover);
    format!("{FORMAT} {:08x}\n", checksum.sum())
}

/// The cover in the content of a file; `None` if the file is damaged.
fn without_header(mut bytes: Bytes) -> Option<Bytes> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let cover = bytes.split_off(end + 1);
    (*bytes == *header(&cover).as_bytes()).then_some(cover)
}

#[cfg(test)]
mod tests {
    use super::super::Version;
    use super::*;
    use crate::room::TrackId;

    const COVER: Bytes = Bytes::from_static(b"a cover\nwith a newline");

    fn key(n: u64) -> CoverKey {
        CoverKey {
            source_id: TrackId(n),
            version: Version(1),
        }
    }

    fn cache() -> (tempfile::TempDir, CoverDiskCache) {
        let folder = tempfile::tempdir().unwrap();
        let cache = CoverDiskCache::new(folder.path().join("state.json.covers"));
        (folder, cache)
    }

    #[test]
    fn returns_a_cover_for_its_own_key_only() {
        let (_folder, cache) = cache();
        assert_eq!(cache.get(key(1)), None);
        cache.put(key(1), Some(&COVER));
        cache.put(key(2), None);
        assert_eq!(cache.get(key(1)), Some(Some(COVER)));
        assert_eq!(cache.get(key(2)), Some(None), "no cover can be made");
        let other_version = CoverKey {
            version: Version(2),
            ..key(1)
        };
        assert_eq!(cache.get(other_version), None);
    }

    #[test]
    fn ignores_and_replaces_a_file_truncated_or_changed_at_any_byte() {
        let (_folder, cache) = cache();
        cache.put(key(1), Some(&COVER));
        let path = cache.path(key(1));
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            for bytes in [&whole[..at], &changed] {
                fs::write(&path, bytes).unwrap();
                assert_eq!(cache.get(key(1)), None, "at byte {at}");
            }
        }
        cache.put(key(1), Some(&COVER));
        assert_eq!(cache.get(key(1)), Some(Some(COVER)));
    }

    #[test]
    fn evicts_the_least_recently_used_files() {
        let (_folder, cache) = cache();
        let long_ago = SystemTime::now() - LAST_USE_RESOLUTION * 10;
        // The oldest file is small. The other five files are sparse, and each has a quarter of the maximum size.
        for n in 0..=5 {
            cache.put(key(n), Some(&COVER));
            let file = File::options().write(true).open(cache.path(key(n)));
            let file = file.unwrap();
            if n > 0 {
                file.set_len(MAX_SIZE / 4).unwrap();
            }
            file.set_modified(long_ago + LAST_USE_RESOLUTION * n as u32)
                .unwrap();
        }
        assert!(cache.get(key(0)).is_some(), "marks the old file as used");
        // A restarted server does not know the size yet.
        let cache = CoverDiskCache {
            size: Mutex::default(),
            ..cache
        };
        cache.put(key(6), Some(&COVER));
        let exists = |n| cache.path(key(n)).exists();
        let expected = [true, false, false, false, true, true, true];
        assert_eq!([0, 1, 2, 3, 4, 5, 6].map(exists), expected);
    }

    #[test]
    fn creates_a_deleted_folder_again() {
        let (_folder, cache) = cache();
        cache.put(key(1), Some(&COVER));
        fs::remove_dir_all(&cache.folder).unwrap();
        assert_eq!(cache.get(key(1)), None);
        cache.put(key(1), Some(&COVER));
        assert_eq!(cache.get(key(1)), Some(Some(COVER)));
    }

    #[test]
    fn removes_temporary_files_of_a_killed_server() {
        let (_folder, cache) = cache();
        fs::create_dir(&cache.folder).unwrap();
        let temporary = cache.folder.join(".x.tmp");
        fs::write(&temporary, "half").unwrap();
        cache.put(key(1), None);
        assert!(!temporary.exists());
    }
}
