//! A connection's socket, and what the answers on it need to know of it: how much of a download the system has taken, and
//! whether the other end went silent. A phone that walked out of range closes nothing. What TLS makes of the bytes lives in
//! `session`.

use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::Arrival;
use super::crowd::{Fetching, Place};
use super::file::Progress;
use super::lent::{Lender, Next};
use super::session::{HANDSHAKE, Session};
use crate::hub::{Outbox, Outlet, Silence};
use crate::metrics::Metrics;

/// An event stream ends when what was sent on it is not taken for so long. With a heartbeat every 5 s and
/// the grace, a phone out of range is gone within 15 s.
const STREAM_UNTAKEN: Duration = Duration::from_secs(7);
/// Other connections may stand still for longer: a phone may be slow to read what it downloads.
const UNTAKEN: Duration = Duration::from_secs(60);
/// An idle connection is probed so often, and ended after as many silences.
const PROBE: Duration = Duration::from_secs(3);
const PROBES: u32 = 3;
/// What may be on its way to a phone, in bytes, and what may wait for that. Little, so that what the system has taken is
/// nearly what has arrived, and a slow download is seen to be slow and to move.
pub(super) const ON_THE_WAY: usize = 64 << 10;
const UNSENT: u32 = 16 << 10;

/// What a connection's socket and the answers on it know of each other.
#[derive(Debug, Clone)]
pub(super) struct Line(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    peer: SocketAddr,
    write: OwnedWriteHalf,
    /// Over TLS.
    session: Option<Session>,
    silence: Silence,
    carried: Mutex<Carried>,
    place: Place,
    metrics: Arc<Metrics>,
}

/// What the answer that is under way wants to do with what is written.
#[derive(Debug)]
enum Carried {
    Nothing,
    /// Count it, and send what is lent.
    Download {
        progress: Progress,
        lender: Option<Arc<Lender>>,
        _fetching: Fetching,
    },
    /// Write more behind it.
    Events(Arc<Outbox>),
}

impl Line {
    /// Who is at the other end.
    pub(super) fn peer(&self) -> SocketAddr {
        self.0.peer
    }

    /// The place that the connection has among the others.
    pub(super) fn place(&self) -> &Place {
        &self.0.place
    }

    /// Whether it came over TLS.
    pub(super) fn is_secure(&self) -> bool {
        self.0.session.is_some()
    }

    /// Whether the system can send files on it as they are: over TLS they have to be encrypted first.
    pub(super) fn sends_files(&self) -> bool {
        !self.is_secure()
    }

    /// Whether the other end went silent, for those who outlive the socket.
    pub(super) fn silence(&self) -> Silence {
        self.0.silence.clone()
    }

    /// A way into this socket for an event stream.
    pub(super) fn outbox(&self, chunked: bool) -> Outbox {
        Outbox::new(Past(Arc::downgrade(&self.0)), chunked)
    }

    /// From here on the connection is an event stream.
    pub(super) fn carry_events(&self, outbox: Arc<Outbox>) {
        *self.0.carried() = Carried::Events(outbox);
        self.0.end_when_untaken(STREAM_UNTAKEN);
    }

    /// From here on what is written is this download, until that is whole.
    pub(super) fn carry(&self, progress: Progress, lender: Option<Arc<Lender>>) {
        let mut carried = self.0.carried();
        // What was fetched before ends before this begins.
        *carried = Carried::Nothing;
        *carried = Carried::Download {
            progress,
            lender,
            _fetching: self.0.place.fetch(),
        };
        drop(carried);
        // It may have been an event stream before.
        self.0.end_when_untaken(UNTAKEN);
    }
}

impl Shared {
    fn carried(&self) -> MutexGuard<'_, Carried> {
        self.carried.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end_when_untaken(&self, after: Duration) {
        if let Err(error) = end_when_untaken(self.write.as_ref(), after) {
            tracing::debug!("cannot set a connection's patience: {error}");
        }
    }

    fn wrote(&self, bytes: usize) {
        let mut carried = self.carried();
        if let Carried::Download { progress, .. } = &mut *carried {
            self.metrics.sent_files.add(bytes as u64);
            if progress.wrote(bytes) {
                *carried = Carried::Nothing;
            }
        } else {
            self.metrics.sent_others.add(bytes as u64);
        }
    }

    fn watch<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if result.as_ref().is_err_and(is_silence) {
            self.silence.set();
        }
        result
    }

    /// Writes what is taken at once.
    fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.watch(match &self.session {
            Some(session) => session.try_write(self.write.as_ref(), pieces),
            None => self.write.try_write_vectored(pieces),
        })
    }

    /// Sends what is taken at once of what was lent, so many bytes at most.
    fn try_send(&self, bytes: usize) -> io::Result<usize> {
        let lender = match &*self.carried() {
            Carried::Download { lender, .. } => lender.clone(),
            _ => None,
        };
        let lender = lender.ok_or_else(|| io::Error::other("nobody has lent anything"))?;
        let stream: &TcpStream = self.write.as_ref();
        self.watch(stream.try_io(Interest::WRITABLE, || lender.send(stream, bytes)))
    }

    /// Writes as soon as something is taken.
    fn poll_write(&self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.write.as_ref().poll_write_ready(cx))?;
            let written = match Next::of(pieces) {
                Next::Own(count) => self.try_write(&pieces[..count]),
                Next::Lent(bytes) => self.try_send(bytes),
            };
            match written {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(session) = &self.session else {
            return Poll::Ready(Ok(()));
        };
        let flushed = session.poll_flush(self.write.as_ref(), cx);
        flushed.map(|result| self.watch(result))
    }
}

/// The way past the answer into its socket, as long as that is open.
#[derive(Debug)]
struct Past(Weak<Shared>);

impl Outlet for Past {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let shared = self.0.upgrade().ok_or(io::ErrorKind::NotConnected)?;
        let written = shared.try_write(&[IoSlice::new(bytes)])?;
        shared.metrics.sent_events.add(written as u64);
        if let Some(session) = &shared.session {
            session.hurry();
        }
        Ok(written)
    }
}

/// The socket of a connection.
pub(super) struct Socket {
    read: TokioIo<OwnedReadHalf>,
    /// Whether its first byte is still to be seen.
    fresh: bool,
    line: Line,
}

impl Socket {
    /// Sets the socket up. It keeps its place until it is closed.
    pub(super) fn new(arrival: Arrival, place: Place, metrics: Arc<Metrics>) -> Self {
        let Arrival { stream, peer, tls } = arrival;
        if let Err(error) = set_up(&stream) {
            tracing::debug!("cannot set up a connection: {error}");
        }
        let (read, write) = stream.into_split();
        Socket {
            read: TokioIo::new(read),
            fresh: tls.is_none(),
            line: Line(Arc::new(Shared {
                peer,
                write,
                session: tls.map(Session::new),
                silence: Silence::default(),
                carried: Mutex::new(Carried::Nothing),
                place,
                metrics,
            })),
        }
    }

    pub(super) fn line(&self) -> Line {
        self.line.clone()
    }

    /// Browsers that try HTTPS first fall back as soon as this port turns out to be no such: an error then, and the bytes left
    /// unread, have the system reset the connection.
    fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut first = [0];
        let read = self.read.inner_mut();
        let seen = ready!(read.poll_peek(cx, &mut ReadBuf::new(&mut first)))?;
        if seen > 0 && first == [HANDSHAKE] {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        self.fresh = false;
        Poll::Ready(Ok(()))
    }
}

/// What the system calls it when nobody answers: on the same network it is the address that cannot be found any more.
fn is_silence(error: &io::Error) -> bool {
    use io::ErrorKind::{HostUnreachable, NetworkUnreachable, TimedOut};
    matches!(
        error.kind(),
        TimedOut | HostUnreachable | NetworkUnreachable
    )
}

fn set_up(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(PROBE)
        .with_interval(PROBE)
        .with_retries(PROBES);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_send_buffer_size(ON_THE_WAY)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_notsent_lowat(UNSENT)?;
    end_when_untaken(stream, UNTAKEN)
}

/// Linux counts both: sent bytes that nobody confirms, and bytes that a full receiver does not take.
#[cfg(target_os = "linux")]
fn end_when_untaken(stream: &TcpStream, after: Duration) -> io::Result<()> {
    SockRef::from(stream).set_tcp_user_timeout(Some(after))
}

#[cfg(not(target_os = "linux"))]
fn end_when_untaken(_: &TcpStream, _: Duration) -> io::Result<()> {
    Ok(())
}

impl Read for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.fresh {
            let first = ready!(self.poll_first(cx));
            self.line.0.watch(first)?;
        }
        let shared = self.line.0.clone();
        let result = match &shared.session {
            Some(session) => session.poll_read(shared.write.as_ref(), cx, buffer),
            None => Pin::new(&mut self.read).poll_read(cx, buffer),
        };
        result.map(|result| shared.watch(result))
    }
}

impl Write for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let shared = &self.line.0;
        let written = ready!(shared.poll_write(cx, pieces))?;
        shared.wrote(written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Called when nothing of the answer waits to be written: then it is the turn of its events.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shared = &self.line.0;
        let outbox = match &*shared.carried() {
            Carried::Events(outbox) => Some(outbox.clone()),
            _ => None,
        };
        if let Some(outbox) = outbox {
            ready!(outbox.poll_drain(cx, |cx, bytes| {
                let written = ready!(shared.poll_write(cx, &[IoSlice::new(bytes)]))?;
                shared.metrics.sent_events.add(written as u64);
                Poll::Ready(Ok(written))
            }))?;
        }
        shared.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream: &TcpStream = self.line.0.write.as_ref();
        if let Some(session) = &self.line.0.session {
            ready!(session.poll_close(stream, cx))?;
        }
        let result = SockRef::from(stream).shutdown(Shutdown::Write);
        Poll::Ready(result.or_else(|error| match error.kind() {
            // The other end was first.
            io::ErrorKind::NotConnected => Ok(()),
            _ => Err(error),
        }))
    }
}
