//! A file, or a part of it, as a body, a piece at a time, as fast as the other end takes it. What the system has in memory is
//! read at once, or lent to the socket; only what has to come from the disk is read off the async threads.

use std::fs::File;
use std::future::Future;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use rustix::io::{ReadWriteFlags, preadv2};
use tokio::task::{JoinHandle, spawn_blocking};

use super::buffer::{self, Buffer};
use super::downloads::Begun;
use super::lent::Lender;
use super::protocol::MOST_BUFFERED;
use super::socket::ON_THE_WAY;
use super::uplink::{Passage, Place};
use crate::library::Version;
use crate::wire::Download;

/// Read at once, in bytes.
const PIECE: u64 = buffer::SIZE as u64;
/// After so many bytes in one go it is others' turn.
const TURN: u64 = 512 << 10;
/// The last bytes of an answer are never lent. They are more than what waits here and in the system when the last of them are
/// read and the file is looked at once more, so that all that was lent has arrived by then, and cannot change on the way. The
/// system keeps up to twice what it is told, and a packet's worth besides. (To an end on this very machine it hands the file's
/// own pages, as they are when that reads them: there a file that is overwritten as a download ends may come mixed, until it
/// is fetched in its new version.)
const NEVER_LENT: u64 = PIECE + MOST_BUFFERED as u64 + 4 * ON_THE_WAY as u64;
/// Progress is told at most so often.
const PROGRESS_PAUSE: Duration = Duration::from_millis(250);

/// Tells the hub how far a download is, as the system takes its bytes.
#[derive(Debug)]
pub(super) struct Progress {
    passage: Passage,
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
    pub(super) fn new(place: Place, size: u64, part: Range<u64>) -> Self {
        Progress {
            passage: Passage::new(place),
            size,
            from: part.start,
            at: part.start,
            end: part.end,
            told: None,
        }
    }

    /// So many bytes more are written; whether that was all. The answer's head counts along: it is small.
    pub(super) fn wrote(&mut self, bytes: usize) -> bool {
        self.passage.moved(bytes as u64);
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
        let place = &self.passage.place;
        let download = Download {
            track_id: place.track_id,
            received_bytes: self.at,
            size: self.size,
        };
        place.hub.report_download(place.member, self.from, download);
    }
}

impl Drop for Progress {
    /// Sent or broken off: the download is under way no more. The last of it must be known all the same, or the same
    /// bytes would count as new when they are fetched again.
    fn drop(&mut self) {
        if self.told.is_some_and(|(_, told)| told != self.at) {
            self.tell();
        }
        self.passage.end();
        let place = &self.passage.place;
        place.hub.end_download(place.member, place.track_id);
    }
}

/// The file that is sent, in the version that it was opened in.
#[derive(Debug)]
pub(super) struct Source {
    file: File,
    version: Version,
}

/// A piece of a file, still to be read.
#[derive(Debug, Clone, Copy)]
struct Piece {
    from: u64,
    length: usize,
    /// Whether to look if the file is still the same.
    look: bool,
}

impl Source {
    pub(super) fn new(file: File, version: Version) -> Self {
        Source { file, version }
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Reads what the system has in memory. `None` when it is not there, or this file system cannot tell.
    fn read_if_there(&self, into: &mut [u8], from: u64) -> Option<usize> {
        let into = &mut [IoSliceMut::new(into)];
        preadv2(&self.file, into, from, ReadWriteFlags::NOWAIT).ok()
    }

    /// Whether the system seems to have a piece in memory, so that sending it does not wait for the disk. What was read together
    /// is mostly forgotten together, so a byte of each third tells; not always the same ones, because what is looked at is
    /// remembered for longer. When that is wrong, an async thread waits for one piece.
    fn has_at_once(&self, piece: Piece) -> bool {
        let third = piece.length as u64 / 3;
        let mut probes =
            (0..3).map(|n| piece.from + n * third + rand::random_range(0..third.max(1)));
        probes.all(|at| self.read_if_there(&mut [0], at) == Some(1))
    }

    /// Reads a piece; blocks on the disk.
    fn read(&self, piece: Piece) -> io::Result<Bytes> {
        let mut buffer = Buffer::take();
        let got = self.file.read_at(buffer.space(piece.length), piece.from)?;
        self.sound(buffer.into_bytes(got), piece)
    }

    /// The same, if the system has it in memory.
    fn read_at_once(&self, piece: Piece) -> Option<io::Result<Bytes>> {
        let mut buffer = Buffer::take();
        let got = self.read_if_there(buffer.space(piece.length), piece.from)?;
        Some(self.sound(buffer.into_bytes(got), piece))
    }

    /// An error unless the file is what it was: then the connection breaks, and nobody takes what came for the whole, nor old
    /// bytes and new ones for one file.
    fn sound(&self, bytes: Bytes, piece: Piece) -> io::Result<Bytes> {
        if bytes.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if piece.look && Version::of(&self.file.metadata()?) != self.version {
            return Err(io::Error::other("the file was changed while it was sent"));
        }
        Ok(bytes)
    }
}

/// The body.
pub(super) struct FileBody {
    source: Arc<Source>,
    /// If the connection's socket can send what it has not been given.
    lender: Option<Arc<Lender>>,
    next: u64,
    end: u64,
    place: Place,
    /// What it waits for while others go first.
    aside: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
    /// How many bytes are left of this turn.
    turn: u64,
    _begun: Begun,
}

impl FileBody {
    /// `part` of `source`.
    pub(super) fn new(
        source: Arc<Source>,
        lender: Option<Arc<Lender>>,
        part: Range<u64>,
        place: Place,
        begun: Begun,
    ) -> Self {
        FileBody {
            source,
            lender,
            next: part.start,
            end: part.end,
            place,
            aside: None,
            reading: None,
            turn: TURN,
            _begun: begun,
        }
    }

    /// The next piece. Before the last one is sent, and now and then before, the file must be known to be the same.
    fn piece(&self) -> Piece {
        let left = self.end - self.next;
        Piece {
            from: self.next,
            length: PIECE.min(left) as usize,
            look: left <= PIECE || self.turn <= PIECE,
        }
    }

    /// What stands in for a piece, if that may be lent.
    fn lend(&self, piece: Piece) -> Option<Bytes> {
        let lender = self.lender.as_ref()?;
        let left = self.end - piece.from - piece.length as u64;
        let lent = left >= NEVER_LENT && self.source.has_at_once(piece);
        lent.then(|| lender.lend(piece.from, piece.length))
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.turn == 0 {
            self.turn = TURN;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            if let Some(aside) = &mut self.aside {
                ready!(aside.as_mut().poll(cx));
            }
            self.aside = self.place.stand_aside();
            if self.aside.is_none() {
                return Poll::Ready(());
            }
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let mut reading = if let Some(reading) = self.reading.take() {
            reading
        } else {
            ready!(self.poll_turn(cx));
            let piece = self.piece();
            if let Some(lent) = self.lend(piece) {
                return Poll::Ready(self.source.sound(lent, piece));
            }
            if let Some(read) = self.source.read_at_once(piece) {
                return Poll::Ready(read);
            }
            let source = self.source.clone();
            spawn_blocking(move || source.read(piece))
        };
        let Poll::Ready(read) = Pin::new(&mut reading).poll(cx) else {
            self.reading = Some(reading);
            return Poll::Pending;
        };
        Poll::Ready(read.unwrap_or_else(|error| Err(io::Error::other(error))))
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
        let read = ready!(self.poll_read(cx));
        Poll::Ready(Some(read.map(|piece| {
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
