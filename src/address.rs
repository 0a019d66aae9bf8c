//! The addresses, host name and URLs by which phones reach this machine, and QR codes of the URLs.

use std::io::Cursor;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use if_addrs::Interface;
use image::{DynamicImage, ImageFormat, Luma};
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;

/// The scheme of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// HTTP.
    Http,
    /// HTTPS.
    Https,
}

impl Scheme {
    /// The URL of `host`: a name, an IPv4 address, or an IPv6 address in brackets. Leaves out the default port of the scheme
    /// (RFC 9110, 4.2.1 and 4.2.2), because users read and type the URL.
    pub fn url(self, host: &str, port: u16) -> String {
        match (self, port) {
            (Scheme::Http, 80) => format!("http://{host}"),
            (Scheme::Http, _) => format!("http://{host}:{port}"),
            (Scheme::Https, 443) => format!("https://{host}"),
            (Scheme::Https, _) => format!("https://{host}:{port}"),
        }
    }

    fn address_url(self, address: SocketAddr) -> String {
        match address.ip() {
            IpAddr::V4(ip) => self.url(&ip.to_string(), address.port()),
            IpAddr::V6(ip) => self.url(&format!("[{ip}]"), address.port()),
        }
    }
}

/// The HTTP URL by which phones in the local network reach the socket bound to `local`.
pub fn url(local: SocketAddr) -> String {
    Scheme::Http.address_url(reachable(local))
}

/// The HTTPS URL by which phones in the local network reach the socket bound to `local`.
pub fn secure_url(local: SocketAddr) -> String {
    Scheme::Https.address_url(reachable(local))
}

/// The address at which phones in the local network reach the socket bound to `local`: `local` itself, or, if that is the
/// unspecified address, the machine's address at which phones are most likely to reach it.
pub fn reachable(local: SocketAddr) -> SocketAddr {
    let ip = if local.ip().is_unspecified() {
        best_address(default_route_address(), &interfaces())
    } else {
        local.ip()
    };
    SocketAddr::new(ip, local.port())
}

/// A URL of the server other than the one in the QR code.
#[derive(Debug, PartialEq, Eq)]
pub struct AlternativeUrl {
    /// The URL of the server.
    pub url: String,
    /// The name of the network interface that has the address.
    pub interface: String,
}

/// All URLs of a server bound to `local` except the one of [`url`]. Those with IPv4 addresses come first. Leaves out
/// interfaces of networks that phones cannot join, unless there are no others. Empty if the server is bound to a single
/// address.
pub fn alternative_urls(local: SocketAddr) -> Vec<AlternativeUrl> {
    if local.ip().is_unspecified() {
        interface_urls(local, &url(local), interfaces())
    } else {
        Vec::new()
    }
}

/// The URLs of the server bound to `local` at the addresses of `interfaces`, without the URL `excluded`.
fn interface_urls(
    local: SocketAddr,
    excluded: &str,
    mut interfaces: Vec<Interface>,
) -> Vec<AlternativeUrl> {
    // A link-local IPv6 address (RFC 4291, 2.5.6) is valid only with a zone, which browsers do not accept in a URL.
    let is_usable = |ip: IpAddr| match ip {
        IpAddr::V4(_) => true,
        IpAddr::V6(ip) => local.is_ipv6() && !ip.is_unicast_link_local(),
    };
    interfaces.sort_by_key(|interface| interface.ip().is_ipv6());
    interfaces.retain(|interface| !interface.is_loopback() && is_usable(interface.ip()));
    let any_in_lan = interfaces.iter().any(|one| Reachability::of(one).is_lan());
    let urls = interfaces
        .into_iter()
        .filter(|interface| !any_in_lan || Reachability::of(interface).is_lan())
        .map(|interface| AlternativeUrl {
            url: Scheme::Http.address_url(SocketAddr::new(interface.ip(), local.port())),
            interface: interface.name,
        });
    urls.filter(|alternative| alternative.url != excluded)
        .collect()
}

/// The machine's host name, which may include a domain.
pub(crate) fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

fn interfaces() -> Vec<Interface> {
    if_addrs::get_if_addrs().unwrap_or_default()
}

/// The IPv4 address of the interface with the default route. Not an IPv6 address, because not every home network has IPv6,
/// and not every phone's QR code reader accepts URLs with IPv6 addresses.
fn default_route_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // Connecting a datagram socket selects the local address by the route to the peer, and sends nothing. The peer's address
    // is reserved for documentation (RFC 5737).
    socket.connect((Ipv4Addr::new(203, 0, 113, 1), 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// The first characters of the names of interfaces that only containers and virtual machines of this machine can reach.
const CONTAINER_PREFIXES: [&str; 14] = [
    "docker", "br-", "veth", "cni", "podman", "virbr", "lxcbr", "lxdbr", "incusbr", "flannel",
    "cali", "kube", "vmnet", "vboxnet",
];
/// The first characters of the names of tunnel interfaces.
const TUNNEL_PREFIXES: [&str; 8] = [
    "tun",
    "tap",
    "wg",
    "tailscale",
    "zt",
    "ppp",
    "ipsec",
    "nordlynx",
];

/// How likely phones can reach the address of an interface. The most likely variant is first, and so the smallest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reachability {
    /// A private IPv4 address (RFC 1918), or an IPv6 address, of a network that phones can join.
    Private,
    /// Another IPv4 address of a network that phones can join.
    Public,
    /// An address in a tunnel (such as a VPN), or in a network of this machine's containers or virtual machines.
    Virtual,
    /// An address that the machine gave itself, because no router did (RFC 3927).
    LinkLocal,
    /// The interface has no carrier, or is switched off.
    Down,
}

impl Reachability {
    fn of(interface: &Interface) -> Self {
        let has_prefix = |prefix: &&str| interface.name.starts_with(*prefix);
        let is_virtual = interface.is_p2p()
            || CONTAINER_PREFIXES.iter().any(has_prefix)
            || TUNNEL_PREFIXES.iter().any(has_prefix);
        match interface.ip() {
            _ if !interface.is_oper_up() => Reachability::Down,
            IpAddr::V4(ip) if ip.is_link_local() => Reachability::LinkLocal,
            _ if is_virtual => Reachability::Virtual,
            IpAddr::V4(ip) if !ip.is_private() => Reachability::Public,
            _ => Reachability::Private,
        }
    }

    /// Whether the address is in a network that phones can join.
    fn is_lan(self) -> bool {
        matches!(self, Reachability::Private | Reachability::Public)
    }
}

/// The address at which phones are most likely to reach this machine: `default_route`, the address of the interface with
/// the default route, if phones can join that network; otherwise the first address of the best [`Reachability`]. A machine
/// that is itself a Wi-Fi access point may have no default route.
fn best_address(default_route: Option<IpAddr>, interfaces: &[Interface]) -> IpAddr {
    let candidates = interfaces
        .iter()
        .filter(|interface| interface.ip().is_ipv4() && !interface.is_loopback());
    let best = candidates.min_by_key(|interface| {
        let (ip, reachability) = (interface.ip(), Reachability::of(interface));
        let is_default = Some(ip) == default_route;
        (
            !(is_default && reachability.is_lan()),
            reachability,
            !is_default,
        )
    });
    best.map(Interface::ip)
        .or(default_route)
        .unwrap_or(Ipv4Addr::LOCALHOST.into())
}

/// A QR code of `text` in Unicode block characters, each of which shows two modules; `None` if the text is too long. With
/// `use_colours`, the code is black and white in every colour scheme of the terminal.
pub fn terminal_qr(text: &str, use_colours: bool) -> Option<String> {
    let rendered = QrCode::new(text).ok()?.render::<Dense1x2>().build();
    let lines = rendered.lines().map(|line| {
        if use_colours {
            // Black and white of the 256-colour cube, because colour schemes redefine only the first sixteen colours.
            format!("  \u{1b}[38;5;16;48;5;231m{line}\u{1b}[0m\n")
        } else {
            format!("  {line}\n")
        }
    });
    Some(lines.collect())
}

/// A QR code of `text` as a PNG image; `None` if the text is too long.
pub fn png_qr(text: &str) -> Option<Vec<u8>> {
    let rendered = QrCode::new(text)
        .ok()?
        .render::<Luma<u8>>()
        .module_dimensions(8, 8)
        .build();
    let mut png = Cursor::new(Vec::new());
    DynamicImage::ImageLuma8(rendered)
        .write_to(&mut png, ImageFormat::Png)
        .ok()?;
    Some(png.into_inner())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use if_addrs::{IfAddr, IfOperStatus, Ifv4Addr, Ifv6Addr};

    use super::*;

    #[test]
    fn url_replaces_only_the_unspecified_address() {
        assert_eq!(
            url(([192, 168, 1, 7], 8080).into()),
            "http://192.168.1.7:8080"
        );
        assert_eq!(url((Ipv6Addr::LOCALHOST, 8080).into()), "http://[::1]:8080");
        assert!(!url(([0, 0, 0, 0], 8080).into()).contains("0.0.0.0"));
    }

    #[test]
    fn url_leaves_out_the_default_port_of_the_scheme() {
        let v4 = |port| ([192, 168, 1, 7], port).into();
        assert_eq!(url(v4(80)), "http://192.168.1.7");
        assert_eq!(url(v4(443)), "http://192.168.1.7:443");
        assert_eq!(secure_url(v4(443)), "https://192.168.1.7");
        assert_eq!(secure_url(v4(80)), "https://192.168.1.7:80");
        let v6 = (Ipv6Addr::LOCALHOST, 80).into();
        assert_eq!(url(v6), "http://[::1]");
        let alternatives = interface_urls(v4(80), "http://192.168.1.7", home_interfaces());
        let urls: Vec<_> = alternatives.iter().map(|one| &*one.url).collect();
        assert_eq!(urls, ["http://192.168.4.1"]);
    }

    fn interface(name: &str, ip: &str, is_p2p: bool) -> Interface {
        let addr = match ip.parse().unwrap() {
            IpAddr::V4(ip) => IfAddr::V4(Ifv4Addr {
                ip,
                netmask: Ipv4Addr::new(255, 255, 255, 0),
                prefixlen: 24,
                broadcast: None,
            }),
            IpAddr::V6(ip) => IfAddr::V6(Ifv6Addr {
                ip,
                netmask: Ipv6Addr::UNSPECIFIED,
                prefixlen: 64,
                broadcast: None,
            }),
        };
        Interface {
            name: name.into(),
            addr,
            index: None,
            oper_status: IfOperStatus::Up,
            is_p2p,
        }
    }

    fn home_interfaces() -> Vec<Interface> {
        vec![
            interface("lo", "127.0.0.1", false),
            interface("lo", "::1", false),
            interface("tun0", "10.8.0.2", true),
            interface("eth0", "fe80::7", false),
            interface("eth0", "fd00::7", false),
            interface("wlan0", "192.168.4.1", false),
            interface("eth0", "192.168.1.7", false),
        ]
    }

    #[test]
    fn prefers_the_default_route_unless_it_is_a_tunnel() {
        let v4 = |ip: [u8; 4]| IpAddr::from(ip);
        for (default_route, expected) in [
            (Some(v4([192, 168, 1, 7])), [192, 168, 1, 7]),
            (Some(v4([10, 8, 0, 2])), [192, 168, 4, 1]),
            (None, [192, 168, 4, 1]),
        ] {
            assert_eq!(
                best_address(default_route, &home_interfaces()),
                v4(expected),
                "{default_route:?}"
            );
        }
        // Without another interface, phones can reach the machine only through the tunnel.
        let tunnel = [interface("tun0", "10.8.0.2", true)];
        let tunnel_address = v4([10, 8, 0, 2]);
        assert_eq!(best_address(Some(tunnel_address), &tunnel), tunnel_address);
        assert_eq!(best_address(None, &[]), v4([127, 0, 0, 1]));
    }

    #[test]
    fn prefers_private_addresses_of_networks_that_phones_can_join() {
        let down = |name, ip| Interface {
            oper_status: IfOperStatus::Unknown,
            ..interface(name, ip, false)
        };
        let lan = interface("wlan0", "192.168.4.1", false);
        for worse in [
            interface("eth0", "169.254.7.7", false),
            interface("eth0", "203.0.113.9", false),
            interface("eth0", "100.64.0.9", false),
            interface("docker0", "172.17.0.1", false),
            interface("br-5f3a0c", "172.18.0.1", false),
            interface("veth12ab", "10.0.3.1", false),
            interface("cni0", "10.42.0.1", false),
            interface("podman0", "10.88.0.1", false),
            interface("virbr0", "192.168.122.1", false),
            interface("tap0", "10.8.0.2", false),
            interface("wg0", "10.9.0.2", true),
            interface("tailscale0", "100.100.1.1", true),
            interface("home", "10.9.0.2", true),
            down("eth0", "192.168.1.7"),
        ] {
            let interfaces = [worse, lan.clone()];
            let [worse, _] = &interfaces;
            assert_eq!(best_address(None, &interfaces), lan.ip(), "{worse:?}");
            let local = ([0, 0, 0, 0], 8080).into();
            let alternatives =
                interface_urls(local, "http://192.168.4.1:8080", interfaces.to_vec());
            let is_public = worse.name == "eth0" && !worse.is_link_local() && worse.is_oper_up();
            assert_eq!(alternatives.len(), usize::from(is_public), "{worse:?}");
            // Without a better interface, phones may still be able to use this one.
            assert_eq!(best_address(None, &interfaces[..1]), worse.ip());
        }
        // A bridge of the machine's own LAN.
        let bridge = interface("br0", "192.168.1.7", false);
        let interfaces = [interface("docker0", "172.17.0.1", false), bridge.clone()];
        assert_eq!(
            best_address(Some(interfaces[0].ip()), &interfaces),
            bridge.ip()
        );
    }

    #[test]
    fn alternative_urls_leave_out_addresses_that_phones_cannot_open() {
        let in_qr_code = "http://192.168.1.7:8080";
        let listed = |local: SocketAddr| -> Vec<_> {
            let alternatives = interface_urls(local, in_qr_code, home_interfaces());
            alternatives
                .iter()
                .map(|one| format!("{} {}", one.interface, one.url))
                .collect()
        };
        let v4 = ["wlan0 http://192.168.4.1:8080"];
        assert_eq!(listed(([0, 0, 0, 0], 8080).into()), v4);
        // A socket bound to the unspecified IPv6 address also serves IPv4.
        let both = listed((Ipv6Addr::UNSPECIFIED, 8080).into());
        assert_eq!(both[..1], v4);
        assert_eq!(both[1..], ["eth0 http://[fd00::7]:8080"]);
        assert_eq!(alternative_urls(([192, 168, 1, 7], 8080).into()), []);
    }

    #[test]
    fn terminal_qr_sets_both_colours_on_each_line() {
        let coloured = terminal_qr("http://192.168.1.7:8080", true).unwrap();
        assert!(
            coloured
                .lines()
                .all(|line| line.contains("38;5;16;48;5;231m") && line.ends_with("\u{1b}[0m"))
        );
        assert!(
            !terminal_qr("http://192.168.1.7:8080", false)
                .unwrap()
                .contains('\u{1b}')
        );
    }
}
