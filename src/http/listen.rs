//! The listening sockets, and the connections accepted from them.

use std::future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use rustls::ServerConfig;
use socket2::{Domain, Protocol, Type};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use super::local_socket::LocalSocket;
use crate::tls::Tls;

/// The listen(2) backlog: connections that the kernel has established and that wait for accept(2).
const BACKLOG: i32 = 1024;

/// Opens a listening socket. A socket on the unspecified IPv6 address also accepts IPv4, even if `net.ipv6.bindv6only` is
/// set.
///
/// # Errors
/// The error of the system call: the address is in use, or does not belong to this machine.
pub fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // Without this, a restarted server could not bind while old connections are in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The listening sockets, and the limit of open connections of all sockets together.
#[derive(Debug)]
pub struct ListenSockets {
    /// For HTTP.
    pub plain: TcpListener,
    /// For HTTPS, with its TLS configuration; `None` without TLS.
    pub secure: Option<(TcpListener, Arc<Tls>)>,
    /// For the user who runs the server, and for root; `None` if it could not be created.
    pub local: Option<LocalSocket>,
    /// For the metrics; `None` unless it is configured.
    pub metrics: Option<TcpListener>,
    /// The maximum number of open connections.
    pub max_connections: usize,
}

/// The kind of the socket that accepted a connection. What a client may do without a token depends on the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListenSocketKind {
    /// HTTP or HTTPS. The client may be any device, even if the address is a loopback address: a reverse proxy on this
    /// machine may forward the requests of other devices without a header that names them.
    Network,
    /// The local socket, which only this machine's own user and root can open.
    Local,
    /// The socket of `--metrics-listen`, on which only the metrics are served.
    Metrics,
}

/// The byte stream of a connection right after accept(2).
pub(super) enum AcceptedStream {
    Plain(TcpStream),
    /// With the TLS configuration for the handshake, which has not begun.
    Tls(TcpStream, Arc<ServerConfig>),
    Local(UnixStream),
}

/// A connection right after accept(2).
pub(super) struct AcceptedSocket {
    pub(super) stream: AcceptedStream,
    /// The address of the client or of a reverse proxy; a loopback address for the local socket.
    pub(super) peer: IpAddr,
    pub(super) socket_kind: ListenSocketKind,
}

impl ListenSockets {
    /// Accepts the next connection of any socket. Cancelling the future loses no connection.
    pub(super) async fn accept(&self) -> io::Result<AcceptedSocket> {
        let secure = async {
            match &self.secure {
                Some((listener, tls)) => listener.accept().await.map(|accepted| (accepted, tls)),
                None => future::pending().await,
            }
        };
        let local = async {
            match &self.local {
                Some(socket) => socket.accept().await,
                None => future::pending().await,
            }
        };
        let metrics = async {
            match &self.metrics {
                Some(listener) => listener.accept().await,
                None => future::pending().await,
            }
        };
        let (stream, peer, socket_kind) = tokio::select! {
            accepted = self.plain.accept() => {
                let (stream, peer) = accepted?;
                (AcceptedStream::Plain(stream), peer.ip(), ListenSocketKind::Network)
            }
            accepted = secure => {
                let ((stream, peer), tls) = accepted?;
                let config = tls.server_config(stream.local_addr()?.ip());
                (AcceptedStream::Tls(stream, config), peer.ip(), ListenSocketKind::Network)
            }
            stream = local => {
                (AcceptedStream::Local(stream?), Ipv4Addr::LOCALHOST.into(), ListenSocketKind::Local)
            }
            accepted = metrics => {
                let (stream, peer) = accepted?;
                (AcceptedStream::Plain(stream), peer.ip(), ListenSocketKind::Metrics)
            }
        };
        Ok(AcceptedSocket {
            stream,
            peer,
            socket_kind,
        })
    }
}
