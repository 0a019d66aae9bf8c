//! The name by which the house finds this server: `lockstep.local` (multicast DNS, RFC 6762), and an entry among the web
//! servers of the network (`_http._tcp`, RFC 6763). Another machine that has the name already keeps it, and this one becomes
//! `lockstep-2.local`. Nothing else depends on it: phones can always use the address.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use lockstep::address::Scheme;
use lockstep::tls::Tls;
use mdns_sd::{DaemonEvent, IfKind, RRType, Receiver, ServiceDaemon, ServiceInfo};

const NAME: &str = "lockstep.local.";
const SERVICE: &str = "_http._tcp.local.";
/// How long the farewell may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// Lasts until it is ended.
pub(crate) struct Announcement(ServiceDaemon);

impl Announcement {
    /// Tells the network of the server bound to `local`, and `tls`, if there is one, by which name. None where nobody else
    /// could reach it, or where there is no multicast; the log says which.
    pub(crate) fn begin(local: SocketAddr, tls: Option<Arc<Tls>>) -> Option<Self> {
        if local.ip().to_canonical().is_loopback() {
            tracing::debug!("it listens for this machine alone, so the network is not told");
            return None;
        }
        match Self::try_begin(local, tls) {
            Ok(announcement) => Some(announcement),
            Err(error) => {
                tracing::warn!("the network cannot be told of lockstep.local: {error}");
                None
            }
        }
    }

    fn try_begin(local: SocketAddr, tls: Option<Arc<Tls>>) -> mdns_sd::Result<Self> {
        let daemon = ServiceDaemon::new()?;
        daemon.disable_interface(vec![IfKind::LoopbackV4, IfKind::LoopbackV6])?;
        let events = daemon.monitor()?;
        daemon.register(service(local)?)?;
        tokio::spawn(follow(events, local.port(), tls));
        Ok(Announcement(daemon))
    }

    /// Tells the network that the server is gone.
    pub(crate) async fn end(self) {
        if let Ok(over) = self.0.shutdown() {
            // Nobody is worse off without: names that are not renewed are forgotten.
            let _ = tokio::time::timeout(FAREWELL, over.recv_async()).await;
        }
    }
}

/// The entry of the server bound to `local`, with the addresses by which it can be reached.
fn service(local: SocketAddr) -> mdns_sd::Result<ServiceInfo> {
    let reached_by = match local.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IfKind::IPv4,
        IpAddr::V6(ip) if ip.is_unspecified() => IfKind::All,
        ip => IfKind::Addr(ip),
    };
    let path = [("path", "/")];
    let service = ServiceInfo::new(SERVICE, "Lockstep", NAME, "", local.port(), &path[..])?;
    let mut service = service.enable_addr_auto();
    service.set_interfaces(vec![reached_by]);
    Ok(service)
}

/// Tells of the name that the server has got.
async fn follow(events: Receiver<DaemonEvent>, port: u16, tls: Option<Arc<Tls>>) {
    let mut name = NAME.to_owned();
    let mut told = String::new();
    while let Ok(event) = events.recv_async().await {
        match event {
            DaemonEvent::NameChange(change) => {
                if matches!(change.rr_type, RRType::A | RRType::AAAA) {
                    name = change.new_name;
                }
            }
            DaemonEvent::Announce(..) if told != name => {
                let typed = name.trim_end_matches('.');
                if let Some(tls) = &tls {
                    tls.goes_by(typed);
                }
                let url = Scheme::Http.url(typed, port);
                tracing::info!("in this network it is also {url}");
                told.clone_from(&name);
            }
            DaemonEvent::Error(error) => tracing::warn!("multicast DNS: {error}"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_is_told_of_a_server_for_this_machine_alone() {
        for local in ["127.0.0.1:8080", "[::1]:8080", "[::ffff:127.0.0.1]:8080"] {
            assert!(Announcement::begin(local.parse().unwrap(), None).is_none());
        }
    }
}
