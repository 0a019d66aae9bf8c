//! Announces the server by multicast DNS: the name `lockstep.local` (RFC 6762) and an `_http._tcp` service (RFC 6763). If
//! another machine already has that name, this machine gets the name `lockstep-2.local`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use lockstep::address::Scheme;
use lockstep::base_path::BasePath;
use lockstep::tls::Tls;
use mdns_sd::{DaemonEvent, IfKind, RRType, Receiver, ServiceDaemon, ServiceInfo};

const HOST_NAME: &str = "lockstep.local.";
const SERVICE_TYPE: &str = "_http._tcp.local.";
/// The timeout for sending the goodbye packets (RFC 6762, 10.1).
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// The multicast DNS daemon, which answers queries until [`Announcement::withdraw`] is called.
pub(crate) struct Announcement(ServiceDaemon);

impl Announcement {
    /// Announces the server bound to `local`. Passes the announced host name to `tls`, because the certificates must
    /// contain that name. Returns `None`, and logs the reason, if the server listens on loopback only or multicast DNS
    /// fails.
    pub(crate) fn start(
        local: SocketAddr,
        base_path: &BasePath,
        tls: Option<Arc<Tls>>,
    ) -> Option<Self> {
        if local.ip().to_canonical().is_loopback() {
            tracing::debug!(
                "not announced by multicast DNS, because the server listens on loopback only"
            );
            return None;
        }
        match Self::try_start(local, base_path, tls) {
            Ok(announcement) => Some(announcement),
            Err(error) => {
                tracing::warn!("cannot announce lockstep.local by multicast DNS: {error}");
                None
            }
        }
    }

    fn try_start(
        local: SocketAddr,
        base_path: &BasePath,
        tls: Option<Arc<Tls>>,
    ) -> mdns_sd::Result<Self> {
        let daemon = ServiceDaemon::new()?;
        daemon.disable_interface(vec![IfKind::LoopbackV4, IfKind::LoopbackV6])?;
        let events = daemon.monitor()?;
        daemon.register(service(local, base_path)?)?;
        let base_path = base_path.clone();
        tokio::spawn(watch_host_name(events, local.port(), base_path, tls));
        Ok(Announcement(daemon))
    }

    /// Sends goodbye packets, so that other machines delete the records from their caches at once, and stops the
    /// announcement.
    pub(crate) async fn withdraw(self) {
        if let Ok(stopped) = self.0.shutdown() {
            // If the timeout passes, other machines keep the records until the records expire.
            let _ = tokio::time::timeout(GOODBYE_TIMEOUT, stopped.recv_async()).await;
        }
    }
}

/// The service records of the server bound to `local`, for the network interfaces on which the server accepts connections.
fn service(local: SocketAddr, base_path: &BasePath) -> mdns_sd::Result<ServiceInfo> {
    let interfaces = match local.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IfKind::IPv4,
        IpAddr::V6(ip) if ip.is_unspecified() => IfKind::All,
        ip => IfKind::Addr(ip),
    };
    let properties = [("path", base_path.page())];
    let service = ServiceInfo::new(
        SERVICE_TYPE,
        "Lockstep",
        HOST_NAME,
        "",
        local.port(),
        &properties[..],
    )?;
    let mut service = service.enable_addr_auto();
    service.set_interfaces(vec![interfaces]);
    Ok(service)
}

/// Logs the announced host name and passes it to `tls`: at the first announcement, and each time the name has changed
/// because another machine has the same name.
async fn watch_host_name(
    events: Receiver<DaemonEvent>,
    port: u16,
    base_path: BasePath,
    tls: Option<Arc<Tls>>,
) {
    let mut name = HOST_NAME.to_owned();
    let mut announced_name = String::new();
    while let Ok(event) = events.recv_async().await {
        match event {
            DaemonEvent::NameChange(change) => {
                if matches!(change.rr_type, RRType::A | RRType::AAAA) {
                    name = change.new_name;
                }
            }
            DaemonEvent::Announce(..) if announced_name != name => {
                let host = name.trim_end_matches('.');
                if let Some(tls) = &tls {
                    tls.set_mdns_name(host);
                }
                let url = base_path.url(&Scheme::Http.url(host, port));
                tracing::info!("announced by multicast DNS as {url}");
                announced_name.clone_from(&name);
            }
            DaemonEvent::Error(error) => tracing::warn!("multicast DNS failed: {error}"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn does_not_announce_a_server_on_loopback() {
        for local in ["127.0.0.1:8080", "[::1]:8080", "[::ffff:127.0.0.1]:8080"] {
            assert!(
                Announcement::start(local.parse().unwrap(), &BasePath::default(), None).is_none()
            );
        }
    }
}
