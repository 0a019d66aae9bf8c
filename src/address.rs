//! By which addresses phones reach this machine, and the QR code of the first of them.

use std::io::Cursor;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use if_addrs::Interface;
use image::{DynamicImage, ImageFormat, Luma};
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;

/// How a URL begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// HTTP.
    Http,
    /// HTTPS.
    Https,
}

impl Scheme {
    /// The URL of a host by its name, which is an address in brackets if it is one of IPv6. As people read it: the port that
    /// belongs to the scheme (RFC 9110, 4.2.1, 4.2.2) goes without saying.
    pub fn url(self, name: &str, port: u16) -> String {
        match (self, port) {
            (Scheme::Http, 80) => format!("http://{name}"),
            (Scheme::Http, _) => format!("http://{name}:{port}"),
            (Scheme::Https, 443) => format!("https://{name}"),
            (Scheme::Https, _) => format!("https://{name}:{port}"),
        }
    }

    fn url_of(self, address: SocketAddr) -> String {
        match address.ip() {
            IpAddr::V4(ip) => self.url(&ip.to_string(), address.port()),
            IpAddr::V6(ip) => self.url(&format!("[{ip}]"), address.port()),
        }
    }
}

/// The URL of the server bound to `local`, as a phone in the house reaches it.
pub fn url(local: SocketAddr) -> String {
    Scheme::Http.url_of(reachable(local))
}

/// The same of its secure page.
pub fn secure_url(local: SocketAddr) -> String {
    Scheme::Https.url_of(reachable(local))
}

/// Where a phone in the house reaches what is bound to `local`.
pub fn reachable(local: SocketAddr) -> SocketAddr {
    let ip = if local.ip().is_unspecified() {
        best(outward(), &interfaces())
    } else {
        local.ip()
    };
    SocketAddr::new(ip, local.port())
}

/// An address besides that of the QR code.
#[derive(Debug, PartialEq, Eq)]
pub struct Other {
    /// The URL of the server there.
    pub url: String,
    /// The interface that has the address, as the system calls it.
    pub interface: String,
}

/// Every further URL of the server bound to `local`, IPv4 first. Empty if it is bound to one address alone.
pub fn others(local: SocketAddr) -> Vec<Other> {
    if local.ip().is_unspecified() {
        further(local, &url(local), interfaces())
    } else {
        Vec::new()
    }
}

fn further(local: SocketAddr, first: &str, mut interfaces: Vec<Interface>) -> Vec<Other> {
    // A link-local address of IPv6 (RFC 4291, 2.5.6) means nothing without an interface, which a URL cannot name.
    let can_be_typed = |ip: IpAddr| match ip {
        IpAddr::V4(_) => true,
        IpAddr::V6(ip) => local.is_ipv6() && !ip.is_unicast_link_local(),
    };
    interfaces.sort_by_key(|interface| interface.ip().is_ipv6());
    let others = interfaces
        .into_iter()
        .filter(|interface| !interface.is_loopback() && can_be_typed(interface.ip()))
        .map(|interface| Other {
            url: Scheme::Http.url_of(SocketAddr::new(interface.ip(), local.port())),
            interface: interface.name,
        });
    others.filter(|other| other.url != first).collect()
}

fn interfaces() -> Vec<Interface> {
    if_addrs::get_if_addrs().unwrap_or_default()
}

/// The address of the interface that has the default route. IPv4: that works with every phone's camera
/// and in every house.
fn outward() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // "Connecting" a datagram socket asks the routing table and sends nothing. The address is one that
    // belongs to nobody (RFC 5737).
    socket.connect((Ipv4Addr::new(203, 0, 113, 1), 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Of this machine's addresses the one by which phones most likely reach it: that with the default route, unless it is the
/// end of a tunnel, where a VPN leads out of the house; then any other. A Pi that is its own hotspot has no default route.
fn best(outward: Option<IpAddr>, interfaces: &[Interface]) -> IpAddr {
    let of_house = |interface: &&Interface| {
        interface.ip().is_ipv4() && !interface.is_loopback() && !interface.is_p2p()
    };
    let in_house: Vec<_> = interfaces
        .iter()
        .filter(of_house)
        .map(Interface::ip)
        .collect();
    match outward {
        Some(ip) if in_house.contains(&ip) => ip,
        _ => (in_house.first().copied())
            .or(outward)
            .unwrap_or(Ipv4Addr::LOCALHOST.into()),
    }
}

/// A QR code for a terminal, two modules a character. With `colours` it is black on white
/// whatever the terminal's own colours are.
pub fn terminal_qr(text: &str, colours: bool) -> Option<String> {
    let drawn = QrCode::new(text).ok()?.render::<Dense1x2>().build();
    let lines = drawn.lines().map(|line| {
        if colours {
            // Pure black and white of the 256-colour cube: themes redefine the first sixteen.
            format!("  \u{1b}[38;5;16;48;5;231m{line}\u{1b}[0m\n")
        } else {
            format!("  {line}\n")
        }
    });
    Some(lines.collect())
}

/// A QR code as a PNG.
pub fn png_qr(text: &str) -> Option<Vec<u8>> {
    let drawn = QrCode::new(text)
        .ok()?
        .render::<Luma<u8>>()
        .module_dimensions(8, 8)
        .build();
    let mut png = Cursor::new(Vec::new());
    DynamicImage::ImageLuma8(drawn)
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
    fn an_address_of_its_own_is_kept_and_the_unspecified_one_is_replaced() {
        assert_eq!(
            url(([192, 168, 1, 7], 8080).into()),
            "http://192.168.1.7:8080"
        );
        assert_eq!(url((Ipv6Addr::LOCALHOST, 8080).into()), "http://[::1]:8080");
        assert!(!url(([0, 0, 0, 0], 8080).into()).contains("0.0.0.0"));
    }

    #[test]
    fn the_port_that_belongs_to_the_scheme_goes_without_saying() {
        let v4 = |port| ([192, 168, 1, 7], port).into();
        assert_eq!(url(v4(80)), "http://192.168.1.7");
        assert_eq!(url(v4(443)), "http://192.168.1.7:443");
        assert_eq!(secure_url(v4(443)), "https://192.168.1.7");
        assert_eq!(secure_url(v4(80)), "https://192.168.1.7:80");
        let v6 = (Ipv6Addr::LOCALHOST, 80).into();
        assert_eq!(url(v6), "http://[::1]");
        let others = further(v4(80), "http://192.168.1.7", house());
        let urls: Vec<_> = others.iter().map(|other| &*other.url).collect();
        assert_eq!(urls, ["http://10.8.0.2", "http://192.168.4.1"]);
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

    fn house() -> Vec<Interface> {
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
    fn phones_are_sent_to_the_default_route_but_not_into_a_tunnel() {
        let v4 = |ip: [u8; 4]| IpAddr::from(ip);
        for (outward, expected) in [
            (Some(v4([192, 168, 1, 7])), [192, 168, 1, 7]),
            (Some(v4([10, 8, 0, 2])), [192, 168, 4, 1]),
            (None, [192, 168, 4, 1]),
        ] {
            assert_eq!(best(outward, &house()), v4(expected), "{outward:?}");
        }
        // With nothing but a tunnel, that is where its phones are.
        let tunnel = [interface("tun0", "10.8.0.2", true)];
        assert_eq!(best(Some(v4([10, 8, 0, 2])), &tunnel), v4([10, 8, 0, 2]));
        assert_eq!(best(None, &[]), v4([127, 0, 0, 1]));
    }

    #[test]
    fn the_other_addresses_are_those_that_a_phone_could_use() {
        let first = "http://192.168.1.7:8080";
        let names = |local: SocketAddr| -> Vec<_> {
            let others = further(local, first, house()).into_iter();
            others
                .map(|other| format!("{} {}", other.interface, other.url))
                .collect()
        };
        let v4 = ["tun0 http://10.8.0.2:8080", "wlan0 http://192.168.4.1:8080"];
        assert_eq!(names(([0, 0, 0, 0], 8080).into()), v4);
        // Bound to IPv6, it serves both.
        let both = names((Ipv6Addr::UNSPECIFIED, 8080).into());
        assert_eq!(both[..2], v4);
        assert_eq!(both[2..], ["eth0 http://[fd00::7]:8080"]);
        assert_eq!(others(([192, 168, 1, 7], 8080).into()), []);
    }

    #[test]
    fn the_terminal_code_brings_its_own_black_and_white() {
        let drawn = terminal_qr("http://192.168.1.7:8080", true).unwrap();
        assert!(
            drawn
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
