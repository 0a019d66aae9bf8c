//! The files of tracks as downloads read them. Decides which version an opened file has, although it may have changed since the
//! last scan, and whether it still has this version later.

use std::fs::{File, Metadata};
use std::io;
use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;
use tokio::task::spawn_blocking;

use super::content::{hash_at_rest, metadata_at_rest};
use super::{ContentHash, Index, Stamp, Track, Version};
use crate::room::TrackId;

/// The most hashes of files that are cached.
const MAX_CACHED_HASHES: NonZero<usize> = NonZero::new(1_000).unwrap();

/// The hash of a file in one state; `None` until the file was hashed. Locked while the file is hashed.
type CachedHash = Arc<tokio::sync::Mutex<Option<ContentHash>>>;

/// Hashes files that have other stamps than in the index. Caches the results, and never hashes one file several times at once,
/// because many phones request the same file.
#[derive(Debug)]
pub struct ContentChecks(Mutex<LruCache<(TrackId, Stamp), CachedHash>>);

impl Default for ContentChecks {
    fn default() -> Self {
        ContentChecks(Mutex::new(LruCache::new(MAX_CACHED_HASHES)))
    }
}

impl ContentChecks {
    /// The hash of an open file of a track, and the metadata that the file had with this content.
    ///
    /// # Errors
    /// The system's error, or an error if the file is changed again and again.
    async fn hash(&self, id: TrackId, file: &Arc<File>) -> io::Result<(Metadata, ContentHash)> {
        let metadata = run_blocking(file, metadata_at_rest).await?;
        let cached = self.cached_hash(id, Stamp::of(&metadata));
        let mut known = cached.lock().await;
        if let Some(content) = *known {
            return Ok((metadata, content));
        }
        let (hashed, content) = run_blocking(file, hash_at_rest).await?;
        // If the file has changed meanwhile, the hash is that of its next state.
        if Stamp::of(&hashed) == Stamp::of(&metadata) {
            *known = Some(content);
        }
        Ok((hashed, content))
    }

    fn cached_hash(&self, id: TrackId, stamp: Stamp) -> CachedHash {
        let mut checks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cached = checks.get_or_insert((id, stamp), CachedHash::default);
        cached.clone()
    }
}

async fn run_blocking<T: Send + 'static>(
    file: &Arc<File>,
    work: impl FnOnce(&File) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let file = file.clone();
    let done = spawn_blocking(move || work(&file)).await;
    done.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// The open file of a track, in the state that it had when it was opened.
#[derive(Debug)]
pub struct TrackFile {
    file: Arc<File>,
    track: Arc<Track>,
    checks: Arc<ContentChecks>,
    /// The metadata of the file with the content of `version`.
    metadata: Metadata,
    version: Version,
    /// The hash of the content of `version`, if it was computed when the file was opened.
    content_hash: Option<ContentHash>,
    /// Whether the file may have the content that the index describes, which only its hash can tell.
    must_be_hashed: bool,
}

impl TrackFile {
    /// Opens the file of a track of `index`. Waits for some milliseconds if the file was changed at this moment. Blocks.
    ///
    /// # Errors
    /// Those of [`Index::open`], [`io::ErrorKind::NotFound`] if there is no such track, or an error if the file is being
    /// changed.
    pub fn open(index: &Index, id: TrackId, checks: &Arc<ContentChecks>) -> io::Result<Self> {
        let track = index.shared_track(id).ok_or(io::ErrorKind::NotFound)?;
        let opened = index.open(track)?;
        let metadata = metadata_at_rest(&opened.file)?;
        let stamp = Stamp::of(&metadata);
        let is_same = stamp == track.stamp;
        let may_be_same = metadata.len() == track.size && track.content_hash.get().is_some();
        Ok(TrackFile {
            file: Arc::new(opened.file),
            checks: checks.clone(),
            version: match is_same {
                true => track.version,
                false => track.version.next(stamp),
            },
            content_hash: None,
            must_be_hashed: !is_same && may_be_same,
            track: track.clone(),
            metadata,
        })
    }

    /// The file at `path`, as if a scan had just found it, and had also hashed it if `is_hashed` is set.
    #[cfg(test)]
    pub(crate) fn open_for_test(path: &std::path::Path, is_hashed: bool) -> Self {
        let file = File::open(path).unwrap();
        let (metadata, content) = hash_at_rest(&file).unwrap();
        let track = Track::for_test(path, &metadata);
        if is_hashed {
            track.content_hash.set(content).unwrap();
        }
        TrackFile {
            file: Arc::new(file),
            checks: Arc::default(),
            version: track.version,
            content_hash: None,
            must_be_hashed: false,
            track: Arc::new(track),
            metadata,
        }
    }

    /// Whether the file must be hashed before its version is known.
    pub fn must_be_hashed(&self) -> bool {
        self.must_be_hashed
    }

    /// Hashes the file, so that its version is known.
    ///
    /// # Errors
    /// The system's error, or an error if the file is being changed.
    pub async fn hash(&mut self) -> io::Result<()> {
        let (metadata, content) = self.checks.hash(self.track.track_id, &self.file).await?;
        self.version = match self.track.content_hash.get() {
            Some(known) if *known == content => self.track.version,
            _ => self.track.version.next(Stamp::of(&metadata)),
        };
        self.metadata = metadata;
        self.content_hash = Some(content);
        self.must_be_hashed = false;
        Ok(())
    }

    /// Whether no scan has seen the file in its present state yet.
    pub fn is_unknown_to_scans(&self) -> bool {
        self.stamp() != self.track.seen_stamp
    }

    /// The metadata of the file with the content of [`TrackFile::version`].
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The stamp of the file with the content of [`TrackFile::version`].
    pub fn stamp(&self) -> Stamp {
        Stamp::of(&self.metadata)
    }

    /// The version of the file: that of the index, unless the file has changed since the last scan. The next scan assigns the
    /// same version, if the file is not changed again. Wrong while [`TrackFile::must_be_hashed`].
    pub fn version(&self) -> Version {
        self.version
    }

    /// The open file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Checks by hashing whether the file still has the content of [`TrackFile::version`]: a file that was only renamed, for
    /// example, has another stamp but the same content. Returns the stamp that the file had with this content.
    ///
    /// # Errors
    /// The system's error, or an error if the content has changed, or if it was never hashed and may have changed.
    pub async fn verify(&self) -> io::Result<Stamp> {
        let changed = || io::Error::other("the file was changed during its download");
        let is_indexed = self.version == self.track.version;
        let hashed_by_scanner = || {
            self.track
                .content_hash
                .get()
                .copied()
                .filter(|_| is_indexed)
        };
        let expected = self.content_hash.or_else(hashed_by_scanner);
        let expected = expected.ok_or_else(changed)?;
        let (metadata, content) = self.checks.hash(self.track.track_id, &self.file).await?;
        match content == expected {
            true => Ok(Stamp::of(&metadata)),
            false => Err(changed()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use tempfile::TempDir;

    use super::*;

    /// A hashed file with these bytes, which has been touched since.
    fn touched(content: &[u8]) -> (TempDir, PathBuf, TrackFile) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("track");
        fs::write(&path, content).unwrap();
        let file = TrackFile::open_for_test(&path, true);
        fs::write(&path, content).unwrap();
        (folder, path, file)
    }

    #[tokio::test]
    async fn touched_file_keeps_its_version_and_is_hashed_once() {
        let (_folder, _, mut file) = touched(b"old");
        let version = file.version();
        file.hash().await.unwrap();
        assert_eq!(file.version(), version);
        assert_ne!(file.stamp(), file.track.stamp);
        assert!(file.is_unknown_to_scans());

        let cached = file.checks.cached_hash(file.track.track_id, file.stamp());
        let other = ContentHash(7);
        assert_ne!(cached.lock().await.replace(other), None, "not cached");
        file.hash().await.unwrap();
        assert_eq!(file.content_hash, Some(other), "hashed again");
    }

    #[tokio::test]
    async fn size_and_version_belong_to_the_same_state() {
        let (_folder, path, mut file) = touched(b"old");
        let version = file.version();
        fs::write(&path, b"longer").unwrap();
        file.hash().await.unwrap();
        assert_eq!(file.metadata().len(), 6);
        assert_eq!(file.version(), version.next(file.stamp()));
        assert_eq!(file.stamp(), Stamp::of(&fs::metadata(&path).unwrap()));

        fs::write(&path, b"old").unwrap();
        file.hash().await.unwrap();
        assert_eq!((file.metadata().len(), file.version()), (3, version));
    }
}
