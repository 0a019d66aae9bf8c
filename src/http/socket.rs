//! A connection's socket: set up so that the system ends it when the other end is silent, and watched for
//! whether that is how it ended. A phone that walked out of range closes nothing.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use crate::hub::Silence;

/// Sent bytes that nobody confirms for so long end a connection. With a heartbeat every 5 s and the
/// grace, a phone out of range is gone within 15 s.
#[cfg(target_os = "linux")]
const UNCONFIRMED: Duration = Duration::from_secs(7);
/// An idle connection is probed so often, and ended after as many silences.
const PROBE: Duration = Duration::from_secs(3);
const PROBES: u32 = 3;

/// The socket of a connection.
pub(super) struct Socket {
    inner: TokioIo<TcpStream>,
    silence: Silence,
}

impl Socket {
    /// Sets the socket up. `unsent` bytes at most wait in the system, not yet on their way.
    pub(super) fn new(stream: TcpStream, unsent: u32) -> Self {
        if let Err(error) = set_up(&stream, unsent) {
            tracing::debug!("cannot set up a connection: {error}");
        }
        Socket {
            inner: TokioIo::new(stream),
            silence: Silence::default(),
        }
    }

    /// Whether the other end went silent, for those who outlive the socket.
    pub(super) fn silence(&self) -> Silence {
        self.silence.clone()
    }

    fn watch<T>(&self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &result {
            if is_silence(error) {
                self.silence.set();
            }
        }
        result
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

fn set_up(stream: &TcpStream, unsent: u32) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(PROBE)
        .with_interval(PROBE)
        .with_retries(PROBES);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    {
        socket.set_tcp_user_timeout(Some(UNCONFIRMED))?;
        socket.set_tcp_notsent_lowat(unsent)?;
    }
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
        let result = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.watch(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write_vectored(cx, pieces);
        self.watch(result)
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
