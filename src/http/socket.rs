//! A connection's socket, and what the answers on it need to know of it: how much of a download the system has taken, and
//! whether the other end went silent. A phone that walked out of range closes nothing.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use super::file::Progress;
use crate::hub::Silence;

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
const ON_THE_WAY: usize = 64 << 10;
const UNSENT: u32 = 16 << 10;

/// What a connection's socket and the answers on it know of each other.
#[derive(Clone, Default)]
pub(super) struct Line(Arc<Shared>);

#[derive(Default)]
struct Shared {
    silence: Silence,
    carries_events: AtomicBool,
    download: Mutex<Option<Progress>>,
}

impl Line {
    /// Whether the other end went silent, for those who outlive the socket.
    pub(super) fn silence(&self) -> Silence {
        self.0.silence.clone()
    }

    /// From here on the connection is an event stream.
    pub(super) fn carry_events(&self) {
        self.0.carries_events.store(true, Ordering::Relaxed);
    }

    /// From here on what is written is this download, until that is whole.
    pub(super) fn carry(&self, download: Progress) {
        *self.download() = Some(download);
    }

    fn download(&self) -> std::sync::MutexGuard<'_, Option<Progress>> {
        self.0
            .download
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn wrote(&self, bytes: usize) {
        let mut download = self.download();
        if download
            .as_mut()
            .is_some_and(|download| download.wrote(bytes))
        {
            *download = None;
        }
    }
}

/// The socket of a connection.
pub(super) struct Socket {
    inner: TokioIo<TcpStream>,
    line: Line,
    impatient: bool,
}

impl Socket {
    /// Sets the socket up.
    pub(super) fn new(stream: TcpStream) -> Self {
        if let Err(error) = set_up(&stream) {
            tracing::debug!("cannot set up a connection: {error}");
        }
        Socket {
            inner: TokioIo::new(stream),
            line: Line::default(),
            impatient: false,
        }
    }

    pub(super) fn line(&self) -> Line {
        self.line.clone()
    }

    fn watch<T>(&self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &result {
            if is_silence(error) {
                self.line.0.silence.set();
            }
        }
        result
    }

    /// The system's patience follows what the connection carries.
    fn follow_line(&mut self) {
        if !self.impatient && self.line.0.carries_events.load(Ordering::Relaxed) {
            self.impatient = true;
            if let Err(error) = end_when_untaken(self.inner.inner(), STREAM_UNTAKEN) {
                tracing::debug!("cannot watch an event stream: {error}");
            }
        }
    }

    fn written(&mut self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &result {
            self.line.wrote(*bytes);
        }
        self.watch(result)
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
        let result = Pin::new(&mut self.inner).poll_read(cx, buffer);
        self.watch(result)
    }
}

impl Write for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.follow_line();
        let result = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.written(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.follow_line();
        let result = Pin::new(&mut self.inner).poll_write_vectored(cx, pieces);
        self.written(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.inner).poll_flush(cx);
        self.watch(result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.watch(result)
    }
}
