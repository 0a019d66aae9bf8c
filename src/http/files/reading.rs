//! The response body of a file or a part of it. Reads data that is in the page cache on the async thread, and other data,
//! for which the read waits for the disk, on the blocking pool. After each read and before the bytes are sent, checks by the
//! stamp that the file has not changed since the response began.

use std::future::Future;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use rustix::io::{ReadWriteFlags, preadv2};
use tokio::task::spawn_blocking;

use super::buffer_pool::{BUFFER_SIZE, PooledBuffer};
use super::download_priority::DownloadContext;
use crate::http::downloads::DownloadSlot;
use crate::library::{Stamp, TrackFile};

/// The number of bytes after which a body lets other tasks run, so that one fast client does not delay the requests of
/// others.
const BYTES_PER_TURN: u64 = 512 << 10;

/// The most attempts to read a part of a file that another program touches at the same time.
const MAX_READS: usize = 5;

/// An open file in the state that the header fields of the response describe.
#[derive(Debug)]
pub(super) struct VersionedFile {
    opened: TrackFile,
    /// The last stamp that the file had while its content was known to be that of the version.
    stamp: Mutex<Stamp>,
}

/// The part of a file that one call reads. The call may also read only the beginning of the part.
#[derive(Debug, Clone, Copy)]
struct Chunk {
    offset: u64,
    length: usize,
}

impl VersionedFile {
    pub(super) fn new(opened: TrackFile) -> Self {
        VersionedFile {
            stamp: Mutex::new(opened.stamp()),
            opened,
        }
    }

    /// Reads at least one byte of the chunk. May wait for the disk.
    fn read(&self, chunk: Chunk) -> io::Result<Bytes> {
        let mut buffer = PooledBuffer::take();
        let length = self
            .opened
            .file()
            .read_at(buffer.space(chunk.length), chunk.offset)?;
        let bytes = buffer.into_bytes(length);
        match bytes.is_empty() {
            true => Err(io::ErrorKind::UnexpectedEof.into()),
            false => Ok(bytes),
        }
    }

    /// As [`VersionedFile::read`], but without waiting for the disk. `None` if the chunk's beginning is not in the page
    /// cache, if the file system does not support RWF_NOWAIT, or if the file must be hashed to verify its version.
    fn read_cached(&self, chunk: Chunk) -> Option<io::Result<Bytes>> {
        let mut buffer = PooledBuffer::take();
        let slices = &mut [IoSliceMut::new(buffer.space(chunk.length))];
        let file = self.opened.file();
        let length = preadv2(file, slices, chunk.offset, ReadWriteFlags::NOWAIT).ok()?;
        let bytes = buffer.into_bytes(length);
        match self.has_known_stamp() {
            Ok(true) if bytes.is_empty() => Some(Err(io::ErrorKind::UnexpectedEof.into())),
            Ok(true) => Some(Ok(bytes)),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    }

    /// Whether the file has been unchanged until now, so that the bytes that were read before this call are those of the
    /// version.
    fn has_known_stamp(&self) -> io::Result<bool> {
        let stamp = Stamp::of(&self.opened.file().metadata()?);
        Ok(stamp == *self.stamp.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads bytes of the version. Hashes the file if its stamp has changed, which also happens if the file is only renamed.
    /// Fails if the content has changed. hyper then closes the connection before the response is complete, so that no client
    /// accepts a mixture of two versions as the file.
    ///
    /// `read` is [`VersionedFile::read`], except in tests. The bytes that were read before the file was hashed may be of
    /// another version, even if the file has its old content again, so they are read again.
    async fn read_verified(
        self: Arc<Self>,
        read: impl Fn(&VersionedFile) -> io::Result<Bytes> + Clone + Send + 'static,
    ) -> io::Result<Bytes> {
        for _ in 0..MAX_READS {
            let (file, read) = (self.clone(), read.clone());
            let reading = spawn_blocking(move || {
                let bytes = read(&file);
                Ok(file.has_known_stamp()?.then_some(bytes))
            });
            let read = reading.await;
            let bytes = read.unwrap_or_else(|error| Err(io::Error::other(error)))?;
            if let Some(bytes) = bytes {
                return bytes;
            }
            let stamp = self.opened.verify().await?;
            *self.stamp.lock().unwrap_or_else(PoisonError::into_inner) = stamp;
        }
        Err(io::Error::other("the file is being changed"))
    }
}

/// The response body: the bytes from `position` to `end` of a file.
pub(super) struct FileBody {
    file: Arc<VersionedFile>,
    /// The offset of the next byte to read.
    position: u64,
    end: u64,
    context: DownloadContext,
    /// Set while this download yields to downloads with priority (see [`DownloadContext::yield_to_awaited`]). Completes when
    /// this download must check again whether it may continue.
    yielding: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// A read in progress on the blocking pool.
    blocking_read: Option<Pin<Box<dyn Future<Output = io::Result<Bytes>> + Send>>>,
    /// The number of bytes until this body lets other tasks run.
    bytes_left_in_turn: u64,
    _slot: DownloadSlot,
}

impl FileBody {
    /// The bytes `range` of `file`.
    pub(super) fn new(
        file: Arc<VersionedFile>,
        range: Range<u64>,
        context: DownloadContext,
        slot: DownloadSlot,
    ) -> Self {
        FileBody {
            file,
            position: range.start,
            end: range.end,
            context,
            yielding: None,
            blocking_read: None,
            bytes_left_in_turn: BYTES_PER_TURN,
            _slot: slot,
        }
    }

    /// The next chunk to read.
    fn next_chunk(&self) -> Chunk {
        let left = self.end - self.position;
        Chunk {
            offset: self.position,
            length: left.min(BUFFER_SIZE as u64) as usize,
        }
    }

    /// Pending once per [`BYTES_PER_TURN`], to let other tasks run, and while this download yields to downloads with
    /// priority.
    fn poll_may_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.bytes_left_in_turn == 0 {
            self.bytes_left_in_turn = BYTES_PER_TURN;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            if let Some(yielding) = &mut self.yielding {
                ready!(yielding.as_mut().poll(cx));
            }
            self.yielding = self.context.yield_to_awaited();
            if self.yielding.is_none() {
                return Poll::Ready(());
            }
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let mut reading = if let Some(reading) = self.blocking_read.take() {
            reading
        } else {
            ready!(self.poll_may_read(cx));
            let chunk = self.next_chunk();
            if let Some(read) = self.file.read_cached(chunk) {
                return Poll::Ready(read);
            }
            let file = self.file.clone();
            Box::pin(file.read_verified(move |file| file.read(chunk)))
        };
        let read = reading.as_mut().poll(cx);
        if read.is_pending() {
            self.blocking_read = Some(reading);
        }
        read
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.is_end_stream() {
            return Poll::Ready(None);
        }
        let read = ready!(self.poll_read(cx));
        Poll::Ready(Some(read.map(|bytes| {
            let length = bytes.len() as u64;
            self.position += length;
            self.bytes_left_in_turn = self.bytes_left_in_turn.saturating_sub(length);
            Frame::data(bytes)
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.position == self.end
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.end - self.position)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use tempfile::TempDir;

    use super::*;

    const OLD: &[u8] = b"0123456789";
    const NEW: &[u8] = b"abcdefghij";
    const CHUNK: Chunk = Chunk {
        offset: 2,
        length: 4,
    };

    fn path(folder: &TempDir) -> PathBuf {
        folder.path().join("track")
    }

    /// A file with the content [`OLD`], whose hash is known to the server if `is_hashed` is set.
    fn file(folder: &TempDir, is_hashed: bool) -> Arc<VersionedFile> {
        fs::write(path(folder), OLD).unwrap();
        let opened = TrackFile::open_for_test(&path(folder), is_hashed);
        Arc::new(VersionedFile::new(opened))
    }

    /// Overwrites the file in place, so that an open file has the new content, too. The size and the modification time stay.
    fn overwrite(path: &Path, content: &[u8]) {
        let file = fs::File::options().write(true).open(path).unwrap();
        let modified = file.metadata().unwrap().modified().unwrap();
        file.write_all_at(content, 0).unwrap();
        file.set_modified(modified).unwrap();
    }

    /// The results of both ways to read; only that of the blocking way if the file system of the tests lacks RWF_NOWAIT, or if
    /// the file must be hashed.
    async fn read_both_ways(file: &Arc<VersionedFile>) -> Vec<io::Result<Bytes>> {
        let cached = file.read_cached(CHUNK);
        let read = file.clone().read_verified(|file| file.read(CHUNK)).await;
        cached.into_iter().chain([read]).collect()
    }

    #[tokio::test]
    async fn reads_the_requested_part_of_an_unchanged_file() {
        let folder = tempfile::tempdir().unwrap();
        for read in read_both_ways(&file(&folder, false)).await {
            assert_eq!(read.unwrap(), &b"2345"[..]);
        }
    }

    #[tokio::test]
    async fn every_read_fails_after_the_content_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        for is_hashed in [false, true] {
            for content in [&b"0"[..], NEW, b"0123456789, and more"] {
                let file = file(&folder, is_hashed);
                match content.len() == OLD.len() {
                    true => overwrite(&path(&folder), content),
                    false => fs::write(path(&folder), content).unwrap(),
                }
                for read in read_both_ways(&file).await {
                    assert!(read.is_err());
                }
            }
        }
    }

    #[tokio::test]
    async fn reading_continues_after_a_stamp_change_if_the_content_is_known() {
        let folder = tempfile::tempdir().unwrap();
        for is_hashed in [false, true] {
            let file = file(&folder, is_hashed);
            overwrite(&path(&folder), OLD);
            assert!(file.read_cached(CHUNK).is_none(), "the stamp is the same");
            for read in read_both_ways(&file).await {
                assert_eq!(read.ok().as_deref(), is_hashed.then_some(&b"2345"[..]));
            }
        }
    }

    #[tokio::test]
    async fn bytes_read_while_the_file_had_other_content_are_not_sent() {
        let folder = tempfile::tempdir().unwrap();
        let path = path(&folder);
        let file = file(&folder, true);
        // The file has its old content again before its stamp is checked.
        let read = file.read_verified(move |file| {
            overwrite(&path, NEW);
            let read = file.read(CHUNK);
            overwrite(&path, OLD);
            match read {
                Ok(bytes) if bytes == b"cdef"[..] => Ok(bytes),
                other => panic!("{other:?}"),
            }
        });
        // This file changes at each read, so that no read can succeed.
        assert!(read.await.is_err());
    }

    #[tokio::test]
    async fn a_part_is_read_again_after_the_content_was_verified() {
        let folder = tempfile::tempdir().unwrap();
        let path = path(&folder);
        let file = file(&folder, true);
        let is_first = Arc::new(std::sync::atomic::AtomicBool::new(true));
        let read = file.read_verified(move |file| {
            if !is_first.swap(false, std::sync::atomic::Ordering::Relaxed) {
                return file.read(CHUNK);
            }
            overwrite(&path, NEW);
            let read = file.read(CHUNK);
            overwrite(&path, OLD);
            assert_eq!(read.as_ref().unwrap(), &b"cdef"[..]);
            read
        });
        assert_eq!(read.await.unwrap(), &b"2345"[..]);
    }
}
