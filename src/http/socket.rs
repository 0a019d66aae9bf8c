//! The socket of a connection (TCP, TLS over TCP, or the local socket), which hyper reads and writes. The socket also
//! counts the bytes of responses, and detects that a client, for example a phone out of Wi-Fi range, stopped responding
//! without closing the connection.

use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Notify;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};

use super::connections::{ActiveDownload, ConnectionSlot};
use super::files::progress::DownloadProgress;
use super::listen::{AcceptedSocket, AcceptedStream, ListenSocketKind};
use crate::hub::PeerVanished;
use crate::metrics::Metrics;

/// How long the data of an event stream may stay unacknowledged. The hub sends a heartbeat every 5 s, so a client that is
/// out of range is removed within 15 s: 5 s until the heartbeat, this time, and the grace period of 2 s for reconnecting.
const STREAM_USER_TIMEOUT: Duration = Duration::from_secs(7);
/// How long other data may stay unacknowledged. Longer than for event streams, because a client may pause a download while
/// it stores the received data.
const USER_TIMEOUT: Duration = Duration::from_secs(60);
/// Idle time before the first keep-alive probe, and between probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(3);
/// The connection fails after this many unanswered keep-alive probes.
const KEEPALIVE_PROBES: u32 = 3;
/// Size of the kernel's send buffer (SO_SNDBUF), in bytes: the upper bound of the unacknowledged bytes on one connection.
/// The progress of a download is the number of bytes that the kernel has accepted, so this size is also the largest error
/// of the progress. A larger buffer would also fill the queue of a narrow uplink with downloads that have to yield to
/// awaited ones, and a smaller one would wake the server more often for each gigabyte. The exact number of acknowledged
/// bytes is in TCP_INFO (`tcpi_bytes_acked`), but neither rustix nor socket2 wraps that option, and this crate forbids
/// `unsafe`.
const SEND_BUFFER_SIZE: usize = 128 << 10;
/// The size of the kernel's receive buffer (SO_RCVBUF), in bytes, until an upload asks for another one. The kernel doubles the
/// value and uses a part of it for its own data, so this is about the receive window: the most bytes of the client that are in
/// the queues of the network. Otherwise the kernel lets the window grow to megabytes, and the requests of other phones wait
/// behind the bytes of uploads.
const RECEIVE_BUFFER_SIZE: usize = 64 << 10;
/// How much of the send buffer may be unsent, in bytes (TCP_NOTSENT_LOWAT). The kernel reports the socket as writable when
/// less than half of this size is unsent.
const MAX_UNSENT: u32 = 64 << 10;
/// The first byte of a TLS connection: a record of type `handshake` (RFC 8446, section 5.1). No HTTP request begins with
/// this byte.
const TLS_HANDSHAKE_RECORD: u8 = 22;

/// The handle by which request handlers read the properties of their connection, and report the kind of the response to the
/// socket.
#[derive(Debug, Clone)]
pub(super) struct ConnectionInfo(Arc<Shared>);

/// The state that a socket and its [`ConnectionInfo`] share.
#[derive(Debug)]
struct Shared {
    peer: IpAddr,
    socket_kind: ListenSocketKind,
    is_secure: bool,
    peer_vanished: PeerVanished,
    response: Mutex<CurrentResponse>,
    /// The wanted value of the option SO_RCVBUF.
    receive_buffer: AtomicUsize,
    slot: ConnectionSlot,
    disconnect: Arc<Notify>,
    metrics: Arc<Metrics>,
}

/// The kind of the response that is being written.
#[derive(Debug)]
enum CurrentResponse {
    Download {
        progress: DownloadProgress,
        _active: ActiveDownload,
    },
    EventStream,
    Other,
}

impl CurrentResponse {
    fn user_timeout(&self) -> Duration {
        match self {
            CurrentResponse::EventStream => STREAM_USER_TIMEOUT,
            CurrentResponse::Download { .. } | CurrentResponse::Other => USER_TIMEOUT,
        }
    }
}

impl ConnectionInfo {
    /// The address of the client, or of a reverse proxy.
    pub(super) fn peer(&self) -> IpAddr {
        self.0.peer
    }

    /// The socket that accepted the connection.
    pub(super) fn socket_kind(&self) -> ListenSocketKind {
        self.0.socket_kind
    }

    /// The connection's slot among all connections.
    pub(super) fn slot(&self) -> &ConnectionSlot {
        &self.0.slot
    }

    /// Whether the connection uses TLS.
    pub(super) fn is_secure(&self) -> bool {
        self.0.is_secure
    }

    /// The flag that the socket sets if the client stops responding without closing the connection. The flag can also be
    /// read after the socket is dropped.
    pub(super) fn peer_vanished(&self) -> PeerVanished {
        self.0.peer_vanished.clone()
    }

    /// Notifying the returned value closes the connection.
    pub(super) fn disconnect_notify(&self) -> Arc<Notify> {
        self.0.disconnect.clone()
    }

    /// Sets the size of the kernel's receive buffer, from the next read on.
    pub(super) fn set_receive_buffer(&self, size: usize) {
        self.0.receive_buffer.store(size, Ordering::Relaxed);
    }

    /// Records that the bytes written from now on belong to an event stream.
    pub(super) fn begin_event_stream(&self) {
        *self.0.response() = CurrentResponse::EventStream;
    }

    /// Records that the event stream has ended. Other responses may follow on the connection.
    pub(super) fn end_event_stream(&self) {
        let mut response = self.0.response();
        if matches!(*response, CurrentResponse::EventStream) {
            *response = CurrentResponse::Other;
        }
    }

    /// Records that the bytes written from now on belong to a download, until `progress` is complete.
    pub(super) fn begin_download(&self, progress: DownloadProgress) {
        let mut response = self.0.response();
        // Drop the previous download first. The drop reports the end of that download, and must not clear the mark that
        // `begin_download` sets.
        *response = CurrentResponse::Other;
        *response = CurrentResponse::Download {
            progress,
            _active: self.0.slot.begin_download(),
        };
    }
}

impl Shared {
    fn response(&self) -> MutexGuard<'_, CurrentResponse> {
        self.response.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts bytes that the kernel (or, with TLS, the send buffer of rustls) has accepted.
    fn add_written(&self, bytes: usize) {
        let mut response = self.response();
        let counter = match &mut *response {
            CurrentResponse::Download { progress, .. } => {
                if progress.add(bytes) {
                    *response = CurrentResponse::Other;
                }
                &self.metrics.sent_file_bytes
            }
            CurrentResponse::EventStream => &self.metrics.sent_event_bytes,
            CurrentResponse::Other => &self.metrics.sent_other_bytes,
        };
        counter.add(bytes as u64);
    }

    /// Sets the flag `peer_vanished` if the result of a socket operation means that the client stopped responding. Returns
    /// `result`.
    fn detect_vanished_peer<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if result.as_ref().is_err_and(means_peer_vanished) {
            self.peer_vanished.set();
        }
        result
    }
}

/// The byte stream that carries HTTP.
pub(super) enum Transport {
    Plain(TcpStream),
    Local(UnixStream),
    /// The handshake takes place while hyper waits for the first request, so that hyper's header timeout limits it.
    Handshaking(Box<Accept<TcpStream>>),
    Tls(Box<TlsStream<TcpStream>>),
    /// The handshake has failed.
    Failed,
}

impl From<AcceptedStream> for Transport {
    fn from(stream: AcceptedStream) -> Self {
        match stream {
            AcceptedStream::Plain(stream) => Transport::Plain(stream),
            AcceptedStream::Tls(stream, config) => {
                Transport::Handshaking(Box::new(TlsAcceptor::from(config).accept(stream)))
            }
            AcceptedStream::Local(stream) => Transport::Local(stream),
        }
    }
}

impl Transport {
    /// The TCP socket; `None` for the local socket and after a failed handshake.
    fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Transport::Plain(stream) => Some(stream),
            Transport::Handshaking(accept) => accept.get_ref(),
            Transport::Tls(stream) => Some(stream.get_ref().0),
            Transport::Local(_) | Transport::Failed => None,
        }
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Transport::Handshaking(accept) = self {
            let accepted = ready!(Pin::new(accept.as_mut()).poll(cx));
            // A finished `Accept` must not be polled again, so replace it even if the handshake has failed.
            *self = Transport::Failed;
            *self = Transport::Tls(Box::new(accepted?));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_handshake(cx))?;
        match &mut *self {
            Transport::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Transport::Local(stream) => Pin::new(stream).poll_read(cx, buffer),
            Transport::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
            Transport::Handshaking(_) | Transport::Failed => not_connected(),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Transport::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Transport::Local(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Transport::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Transport::Handshaking(_) | Transport::Failed => not_connected(),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Transport::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Transport::Plain(_)
            | Transport::Local(_)
            | Transport::Handshaking(_)
            | Transport::Failed => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Transport::Local(stream) => Pin::new(stream).poll_shutdown(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Transport::Handshaking(_) | Transport::Failed => Poll::Ready(Ok(())),
        }
    }
}

fn not_connected<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
}

/// The socket of a connection, as hyper's I/O object.
pub(super) struct Socket {
    io: TokioIo<Transport>,
    /// Whether the first byte has yet to be checked for a TLS handshake on the HTTP port.
    must_check_first_byte: bool,
    /// With TLS, the next byte of the input, if [`Socket::check_for_end_of_input`] has read it.
    read_ahead: Option<u8>,
    /// The current value of the option TCP_USER_TIMEOUT.
    user_timeout: Duration,
    /// The current value of the option SO_RCVBUF.
    receive_buffer: usize,
    info: ConnectionInfo,
}

impl Socket {
    /// Configures an accepted socket. The connection occupies `slot` until the socket and all copies of its
    /// [`ConnectionInfo`] are dropped.
    pub(super) fn new(
        accepted: AcceptedSocket,
        slot: ConnectionSlot,
        metrics: Arc<Metrics>,
    ) -> Self {
        let AcceptedSocket {
            stream,
            peer,
            socket_kind,
        } = accepted;
        let is_secure = matches!(stream, AcceptedStream::Tls(..));
        let transport = Transport::from(stream);
        if let Some(Err(error)) = transport.tcp().map(configure) {
            tracing::debug!("cannot set the options of a socket: {error}");
        }
        Socket {
            io: TokioIo::new(transport),
            must_check_first_byte: !is_secure,
            read_ahead: None,
            user_timeout: USER_TIMEOUT,
            receive_buffer: RECEIVE_BUFFER_SIZE,
            info: ConnectionInfo(Arc::new(Shared {
                peer,
                socket_kind,
                is_secure,
                peer_vanished: PeerVanished::default(),
                response: Mutex::new(CurrentResponse::Other),
                receive_buffer: AtomicUsize::new(RECEIVE_BUFFER_SIZE),
                slot,
                disconnect: Arc::new(Notify::new()),
                metrics,
            })),
        }
    }

    pub(super) fn info(&self) -> ConnectionInfo {
        self.info.clone()
    }

    /// Fails if the client begins with a TLS handshake on the HTTP port, and leaves the handshake unread. Because of the
    /// unread bytes, the kernel resets the connection when the connection is closed, and browsers that try HTTPS first fall
    /// back to HTTP at once.
    fn poll_first_byte(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let (true, Transport::Plain(stream)) = (self.must_check_first_byte, self.io.inner_mut())
        {
            let mut first = [0];
            let length = ready!(stream.poll_peek(cx, &mut ReadBuf::new(&mut first)))?;
            if length > 0 && first == [TLS_HANDSHAKE_RECORD] {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
            self.must_check_first_byte = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Sets TCP_USER_TIMEOUT to the value for the current response.
    fn update_user_timeout(&mut self) {
        let wanted = self.info.0.response().user_timeout();
        if wanted == self.user_timeout {
            return;
        }
        self.user_timeout = wanted;
        self.set_option(|stream| set_user_timeout(stream, wanted));
    }

    /// Sets SO_RCVBUF to the wanted value.
    fn update_receive_buffer(&mut self) {
        let wanted = self.info.0.receive_buffer.load(Ordering::Relaxed);
        if wanted == self.receive_buffer {
            return;
        }
        self.receive_buffer = wanted;
        self.set_option(|stream| set_receive_buffer(stream, wanted));
    }

    /// Fails if the client has closed the connection. hyper itself detects the end only while it waits for a request; see
    /// [`http1_builder`](super::connection_settings::http1_builder).
    fn check_for_end_of_input(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.must_check_first_byte || self.read_ahead.is_some() {
            return Ok(());
        }
        let mut byte = [0];
        let mut buffer = ReadBuf::new(&mut byte);
        let polled = match self.io.inner_mut() {
            Transport::Plain(stream) => stream.poll_peek(cx, &mut buffer).map_ok(|_| ()),
            transport => Pin::new(transport).poll_read(cx, &mut buffer),
        };
        match polled {
            Poll::Pending => return Ok(()),
            Poll::Ready(result) => self.info.0.detect_vanished_peer(result)?,
        }
        let Some(byte) = buffer.filled().first().copied() else {
            return Err(io::ErrorKind::ConnectionAborted.into());
        };
        if !matches!(self.io.inner(), Transport::Plain(_)) {
            self.read_ahead = Some(byte);
            // Wakes the task, because hyper may be waiting for input.
            cx.waker().wake_by_ref();
        }
        Ok(())
    }

    fn set_option(&self, set: impl FnOnce(&TcpStream) -> io::Result<()>) {
        if let Some(Err(error)) = self.io.inner().tcp().map(set) {
            tracing::debug!("cannot set an option of a socket: {error}");
        }
    }
}

/// Sets SO_RCVBUF to `wanted` bytes, but to two segments at least: while the receive window is smaller than a segment, the sender
/// waits 200 ms and more before each one (RFC 9293, section 3.8.6.2.1). Segments of the loopback interface, which a reverse proxy
/// on the same machine uses, have 64 KB.
fn set_receive_buffer(stream: &TcpStream, wanted: usize) -> io::Result<()> {
    let socket = SockRef::from(stream);
    let segment_size = socket.tcp_mss()?;
    socket.set_recv_buffer_size(wanted.max(2 * segment_size as usize))
}

/// Whether an error means that the client stopped responding. In the local network, the kernel reports an unreachable host
/// as soon as ARP or neighbor discovery fails.
fn means_peer_vanished(error: &io::Error) -> bool {
    use io::ErrorKind::{HostUnreachable, NetworkUnreachable, TimedOut};
    matches!(
        error.kind(),
        TimedOut | HostUnreachable | NetworkUnreachable
    )
}

fn configure(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_INTERVAL)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_PROBES);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_send_buffer_size(SEND_BUFFER_SIZE)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER_SIZE)?;
    socket.set_tcp_notsent_lowat(MAX_UNSENT)?;
    set_user_timeout(stream, USER_TIMEOUT)
}

/// The timeout applies to data without acknowledgement, and to data that cannot be sent because the client's receive window
/// is full (tcp(7)).
fn set_user_timeout(stream: &TcpStream, timeout: Duration) -> io::Result<()> {
    SockRef::from(stream).set_tcp_user_timeout(Some(timeout))
}

impl Read for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(byte) = self.read_ahead.take() {
            buffer.put_slice(&[byte]);
            return Poll::Ready(Ok(()));
        }
        self.update_receive_buffer();
        let result = match ready!(self.poll_first_byte(cx)) {
            Ok(()) => ready!(Pin::new(&mut self.io).poll_read(cx, buffer)),
            error => error,
        };
        Poll::Ready(self.info.0.detect_vanished_peer(result))
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
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.update_user_timeout();
        let written = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, slices));
        let written = self.info.0.detect_vanished_peer(written)?;
        self.info.0.add_written(written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes whenever the connection's task is woken.
        self.check_for_end_of_input(cx)?;
        let flushed = ready!(Pin::new(&mut self.io).poll_flush(cx));
        Poll::Ready(self.info.0.detect_vanished_peer(flushed))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_small_receive_buffer_still_holds_two_segments() -> io::Result<()> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let _client = TcpStream::connect(listener.local_addr()?).await?;
        let (stream, _) = listener.accept().await?;
        set_receive_buffer(&stream, 4_096)?;
        let socket = SockRef::from(&stream);
        let segment_size = socket.tcp_mss()? as usize;
        assert!(
            segment_size > 4_096,
            "the loopback interface has large segments"
        );
        // The kernel reports twice the size that was set.
        assert!(socket.recv_buffer_size()? >= 4 * segment_size);
        Ok(())
    }
}
