//! Returns the scaled covers of tracks from a cache in memory or on disk. Makes a cover that is in neither cache, and
//! adds the cover to both.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use lru::LruCache;
use tokio::sync::Semaphore;

use super::Index;
use super::cover::{self, CoverError, CoverKey};
use super::cover_disk_cache::CoverDiskCache;
use crate::data_files::DataFiles;
use crate::room::TrackId;

/// The maximum size of the cache in memory, in bytes.
const MAX_CACHED_BYTES: usize = 4 << 20;
/// An estimate of the memory that an entry takes in addition to the bytes of its cover, in bytes.
const ENTRY_OVERHEAD: usize = 64;
/// The most covers that are made at the same time. Decoding takes all of a core on a Raspberry Pi, and serving music comes
/// first.
const MAX_CONCURRENT_SCALINGS: usize = 1;

/// The caches of a library's scaled covers, in memory and on disk.
#[derive(Debug)]
pub struct CoverCache {
    memory: Mutex<MemoryCache>,
    disk: CoverDiskCache,
    scaling_permits: Arc<Semaphore>,
}

/// A cached result: `None` if no cover can be made of the picture.
type CacheEntry = Option<Bytes>;

/// The most recently used results. Limits the total size in bytes; `LruCache` itself could limit only the number of results.
#[derive(Debug)]
struct MemoryCache {
    covers: LruCache<CoverKey, CacheEntry>,
    bytes: usize,
}

impl CoverCache {
    /// A cache whose part on disk lies beside `state_file`.
    pub fn beside(state_file: &Path) -> Self {
        CoverCache {
            memory: Mutex::new(MemoryCache {
                covers: LruCache::unbounded(),
                bytes: 0,
            }),
            disk: CoverDiskCache::new(DataFiles::beside(state_file).cover_cache_path()),
            scaling_permits: Arc::new(Semaphore::new(MAX_CONCURRENT_SCALINGS)),
        }
    }

    /// The cover of the track with this id, as JPEG. `None` if the track has no cover, or none that can be decoded.
    pub async fn get(self: &Arc<Self>, index: &Arc<Index>, id: TrackId) -> Option<Bytes> {
        let key = CoverKey::of(index.track(id)?)?;
        if let Some(cached) = self.memory().get(key) {
            return cached;
        }
        let cache = self.clone();
        // The disk is read before the semaphore is acquired, so that a cover on disk need not wait for other covers to be
        // made.
        let cached = tokio::task::spawn_blocking(move || cache.load_from_disk(key));
        if let Some(cached) = cached.await.ok()? {
            return cached;
        }
        let permit = self.scaling_permits.clone().acquire_owned().await.ok()?;
        let (cache, index) = (self.clone(), index.clone());
        // The blocking task owns the permit, because the task continues even if the client disconnects, which drops this
        // future.
        let made = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            cache.make(&index, id, key)
        });
        made.await.ok()?
    }

    fn load_from_disk(&self, key: CoverKey) -> Option<CacheEntry> {
        let cached = self.disk.get(key)?;
        self.memory().put(key, cached.clone());
        Some(cached)
    }

    fn make(&self, index: &Index, id: TrackId, key: CoverKey) -> CacheEntry {
        // Another request may have made this cover while this request waited for the semaphore.
        if let Some(cached) = self.memory().get(key) {
            return cached;
        }
        let made = cover::make(index, id);
        if let Err(error) = &made {
            tracing::warn!(track = %id, "the cover cannot be shown: {error}");
        }
        // I/O errors and changed files are not cached, because the next attempt may succeed.
        if !made.as_ref().is_err_and(CoverError::is_temporary) {
            let cover = made.as_ref().ok();
            self.memory().put(key, cover.cloned());
            // A missing picture is cached in memory only, because the tag parser also reports an I/O error in this way.
            if !matches!(made, Err(CoverError::Gone)) {
                self.disk.put(key, cover);
            }
        }
        made.ok()
    }

    fn memory(&self) -> MutexGuard<'_, MemoryCache> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryCache {
    fn get(&mut self, key: CoverKey) -> Option<CacheEntry> {
        self.covers.get(&key).cloned()
    }

    /// Adds an entry, and evicts the least recently used entries while the cache is larger than [`MAX_CACHED_BYTES`].
    fn put(&mut self, key: CoverKey, cover: CacheEntry) {
        self.bytes += entry_size(&cover);
        if let Some(replaced) = self.covers.put(key, cover) {
            self.bytes -= entry_size(&replaced);
        }
        while self.bytes > MAX_CACHED_BYTES {
            let Some((_, evicted)) = self.covers.pop_lru() else {
                break;
            };
            self.bytes -= entry_size(&evicted);
        }
    }
}

fn entry_size(cover: &CacheEntry) -> usize {
    ENTRY_OVERHEAD + cover.as_ref().map_or(0, Bytes::len)
}

#[cfg(test)]
mod tests {
    use super::super::Version;
    use super::*;

    fn key(n: u64) -> CoverKey {
        CoverKey {
            source_id: TrackId(n),
            version: Version(1),
        }
    }

    #[test]
    fn evicts_the_least_recently_used_covers_by_size() {
        let mut cache = MemoryCache {
            covers: LruCache::unbounded(),
            bytes: 0,
        };
        let quarter = Some(Bytes::from(vec![0; MAX_CACHED_BYTES / 4 - ENTRY_OVERHEAD]));
        for n in 0..4 {
            cache.put(key(n), quarter.clone());
        }
        cache.put(key(0), quarter.clone());
        assert_eq!(cache.bytes, MAX_CACHED_BYTES);
        assert!(cache.get(key(1)).is_some());
        cache.put(key(4), None);
        let is_cached = |n| cache.covers.contains(&key(n));
        assert_eq!(
            [0, 1, 2, 3, 4].map(is_cached),
            [true, true, false, true, true]
        );
        assert_eq!(cache.bytes, MAX_CACHED_BYTES / 4 * 3 + ENTRY_OVERHEAD);
    }
}
