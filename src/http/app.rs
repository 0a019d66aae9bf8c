//! The state that all request handlers share.

use std::net::SocketAddr;
use std::sync::Arc;

use super::connections::Connections;
use super::downloads::DownloadSlots;
use super::files::download_priority::Uplink;
use super::forwarded::TrustedProxies;
use super::gate::HostNames;
use super::https_setup::HttpsInfo;
use super::listen::ListenSockets;
use crate::base_path::BasePath;
use crate::config::Config;
use crate::library::{ContentChecks, CoverCache, Library};
use crate::metrics::Metrics;
use crate::rooms::Rooms;
use crate::upload_service::UploadService;

/// The state that all request handlers share. Created once for the server.
#[derive(Debug)]
pub struct App {
    pub(super) rooms: Rooms,
    pub(super) library: Arc<Library>,
    pub(super) covers: Arc<CoverCache>,
    /// The files that were hashed because they have changed since the last scan.
    pub(super) content_checks: Arc<ContentChecks>,
    /// The priorities of downloads on the network link that all downloads share.
    pub(super) uplink: Arc<Uplink>,
    pub(super) uploads: Arc<UploadService>,
    pub(super) connections: Connections,
    pub(super) downloads: DownloadSlots,
    pub(super) metrics: Arc<Metrics>,
    /// Whether all clients may read the pairing code from each start of the server until a device is paired (false with
    /// `--no-pairing-window`).
    pub(super) has_pairing_window: bool,
    pub(super) host_names: HostNames,
    pub(super) trusted_proxies: TrustedProxies,
    /// The path below which all requests must be, except those on the local socket and on the socket for the metrics.
    pub(super) base_path: BasePath,
    /// Whether `GET /debug/state` is served.
    pub(super) serves_debug_state: bool,
    /// The address to which the HTTP socket is bound. If it is the unspecified address, [`crate::address::url`] looks up the
    /// machine's reachable address each time, because that address may change while the server runs.
    pub(super) http_address: SocketAddr,
    /// `None` without TLS.
    pub(super) https: Option<HttpsInfo>,
}

impl App {
    /// The state for requests that arrive at `sockets`.
    pub fn new(
        rooms: Rooms,
        library: Arc<Library>,
        uploads: Arc<UploadService>,
        metrics: Arc<Metrics>,
        config: &Config,
        sockets: &ListenSockets,
    ) -> Self {
        App {
            rooms,
            library,
            uploads,
            covers: Arc::new(CoverCache::beside(&config.state_file)),
            content_checks: Arc::default(),
            uplink: Arc::default(),
            connections: Connections::new(
                sockets.max_connections,
                TrustedProxies::new(&config.trusted_proxy),
            ),
            downloads: DownloadSlots::default(),
            metrics,
            has_pairing_window: !config.no_pairing_window,
            host_names: HostNames::new(&config.host_name),
            trusted_proxies: TrustedProxies::new(&config.trusted_proxy),
            base_path: config.base_path.clone(),
            serves_debug_state: config.debug,
            http_address: sockets.plain.local_addr().unwrap_or(config.listen),
            https: HttpsInfo::new(sockets),
        }
    }
}
