//! A file, or a part of it, as a body, a piece at a time, as fast as the other end takes it. What the system has in memory is
//! read at once; only what has to come from the disk is read off the async threads.

use std::fs::File;
use std::future::Future;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use rustix::io::{ReadWriteFlags, preadv2};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::hub::Hub;
use crate::room::{MemberId, TrackId};
use crate::wire::Download;

/// Read at once, in bytes.
const PIECE: u64 = 64 << 10;
/// After so many bytes in one go it is others' turn.
const TURN: u64 = 512 << 10;
/// Progress is told at most so often.
const PROGRESS_PAUSE: Duration = Duration::from_millis(250);

/// Tells the hub how far a download is, as the system takes its bytes.
#[derive(Debug)]
pub(super) struct Progress {
    hub: Hub,
    member: MemberId,
    track_id: TrackId,
    size: u64,
    /// Where in the file the answer begins, the next byte to be written is, and the last one will have been.
    from: u64,
    at: u64,
    end: u64,
    /// When it was told last, and how far it was then.
    told: Option<(Instant, u64)>,
}

impl Progress {
    /// Of `part` of a file of `size` bytes.
    pub(super) fn new(
        hub: Hub,
        member: MemberId,
        track_id: TrackId,
        size: u64,
        part: Range<u64>,
    ) -> Self {
        Progress {
            hub,
            member,
            track_id,
            size,
            from: part.start,
            at: part.start,
            end: part.end,
            told: None,
        }
    }

    /// So many bytes more are written; whether that was all. The answer's head counts along: it is small.
    pub(super) fn wrote(&mut self, bytes: usize) -> bool {
        self.at = self.end.min(self.at + bytes as u64);
        if self
            .told
            .is_none_or(|(then, _)| then.elapsed() >= PROGRESS_PAUSE)
        {
            self.tell();
        }
        self.at == self.end
    }

    fn tell(&mut self) {
        self.told = Some((Instant::now(), self.at));
        let download = Download {
            track_id: self.track_id,
            received_bytes: self.at,
            size: self.size,
        };
        self.hub.report_download(self.member, self.from, download);
    }
}

impl Drop for Progress {
    /// Sent or broken off: the download is under way no more. The last of it must be known all the same, or the same
    /// bytes would count as new when they are fetched again.
    fn drop(&mut self) {
        if self.told.is_some_and(|(_, told)| told != self.at) {
            self.tell();
        }
        self.hub.end_download(self.member, self.track_id);
    }
}

/// The body.
pub(super) struct FileBody {
    file: Arc<File>,
    next: u64,
    end: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
    /// How many bytes are left of this turn.
    turn: u64,
}

impl FileBody {
    /// `part` of `file`.
    pub(super) fn new(file: File, part: Range<u64>) -> Self {
        FileBody {
            file: Arc::new(file),
            next: part.start,
            end: part.end,
            reading: None,
            turn: TURN,
        }
    }

    fn length(&self) -> usize {
        PIECE.min(self.end - self.next) as usize
    }

    /// The next piece, if the system has it in memory.
    fn read_at_once(&self) -> Option<io::Result<Bytes>> {
        let mut piece = vec![0; self.length()];
        let into = &mut [IoSliceMut::new(&mut piece)];
        match preadv2(&self.file, into, self.next, ReadWriteFlags::NOWAIT) {
            Ok(got) => {
                piece.truncate(got);
                Some(Ok(piece.into()))
            }
            // It is not there, or this file system cannot tell.
            Err(_) => None,
        }
    }

    fn read(&self) -> JoinHandle<io::Result<Bytes>> {
        let (file, from, length) = (self.file.clone(), self.next, self.length());
        spawn_blocking(move || {
            let mut piece = vec![0; length];
            let got = file.read_at(&mut piece, from)?;
            piece.truncate(got);
            Ok(piece.into())
        })
    }
}

impl hyper::body::Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.is_end_stream() {
            return Poll::Ready(None);
        }
        if self.turn == 0 {
            self.turn = TURN;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let at_once = match self.reading {
            Some(_) => None,
            None => self.read_at_once(),
        };
        let read = if let Some(read) = at_once {
            read
        } else {
            let mut reading = self.reading.take().unwrap_or_else(|| self.read());
            let Poll::Ready(read) = Pin::new(&mut reading).poll(cx) else {
                self.reading = Some(reading);
                return Poll::Pending;
            };
            read.unwrap_or_else(|error| Err(io::Error::other(error)))
        };
        let piece = match read {
            // The file has shrunk: an error, so that the connection breaks and nobody takes it for the whole.
            Ok(piece) if piece.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
            other => other,
        };
        Poll::Ready(Some(piece.map(|piece| {
            self.next += piece.len() as u64;
            self.turn = self.turn.saturating_sub(piece.len() as u64);
            Frame::data(piece)
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.next == self.end
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.end - self.next)
    }
}
