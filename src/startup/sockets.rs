//! The sockets of a start.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::ServerError;
use crate::config::Config;
use crate::http::LocalSocket;
use crate::tls::Tls;
use crate::{address, http};

/// Opens the HTTPS socket; `None` if HTTPS is not configured. The caller must hold the lock on the state file, so that only
/// one of two servers with the same state file creates a certificate authority.
pub(super) async fn open_secure_socket(
    config: &Config,
    plain: &TcpListener,
) -> Result<Option<(TcpListener, Arc<Tls>)>, ServerError> {
    let Some(tls) = Tls::open(config).await? else {
        return Ok(None);
    };
    let address = config.tls_address(plain.local_addr().unwrap_or(config.listen));
    let listener = listen(address)?;
    let ip = address::reachable(listener.local_addr().unwrap_or(address)).ip();
    if let Some(authority) = tls.authority() {
        tracing::info!(
            "phones can install the root certificate \"{}\"; its SHA-256 fingerprint is {}",
            authority.name(),
            authority.fingerprint()
        );
        if !authority.permits_address(ip) {
            tracing::warn!(
                "{ip} is a public address, and the name constraints of \"{}\" permit private addresses only: open the \
                 secure page by a local name, or start with --tls-cert and --tls-key",
                authority.name()
            );
        }
    }
    Ok(Some((listener, Arc::new(tls))))
}

pub(super) fn listen(address: SocketAddr) -> Result<TcpListener, ServerError> {
    let listener = http::bind(address).and_then(TcpListener::from_std);
    listener.map_err(|error| ServerError::Listen { address, error })
}

/// Opens the local socket; `None`, with one line in the log, if the socket cannot be opened, because the server works
/// without the local socket. The caller must hold the lock on the state file, so that a socket of another server with the
/// same state file is not replaced.
pub(super) async fn open_local_socket(config: &Config) -> Option<LocalSocket> {
    let path = config.local_socket_path();
    let bind = {
        let path = path.clone();
        move || LocalSocket::bind(&path)
    };
    let bound = tokio::task::spawn_blocking(bind).await;
    let bound = bound.unwrap_or_else(|error| Err(io::Error::other(error)));
    let log = |error: &io::Error| {
        tracing::warn!(
            "no local socket at {}, so the commands `lockstep code` and `lockstep compare` cannot ask this server: {error}",
            path.display()
        );
    };
    bound.inspect_err(log).ok()
}
