//! By which address phones reach this machine, and the QR code of it.

use std::io::Cursor;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use image::{DynamicImage, ImageFormat, Luma};
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;

/// The URL of the server bound to `local`, as a phone in the house reaches it.
pub fn url(local: SocketAddr) -> String {
    format!("http://{}", reachable(local))
}

/// The same of its secure page.
pub fn secure_url(local: SocketAddr) -> String {
    format!("https://{}", reachable(local))
}

/// Where a phone in the house reaches what is bound to `local`.
pub fn reachable(local: SocketAddr) -> SocketAddr {
    let ip = if local.ip().is_unspecified() {
        outward()
            .or_else(inward)
            .unwrap_or(Ipv4Addr::LOCALHOST.into())
    } else {
        local.ip()
    };
    SocketAddr::new(ip, local.port())
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

/// The first address of this machine that others could reach. A Pi that is its own hotspot has no default route.
fn inward() -> Option<IpAddr> {
    let addresses = if_addrs::get_if_addrs()
        .ok()?
        .into_iter()
        .map(|interface| interface.ip());
    let mut reachable = addresses.filter(|ip| ip.is_ipv4() && !ip.is_loopback());
    reachable.next()
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
    use super::*;

    #[test]
    fn an_address_of_its_own_is_kept_and_the_unspecified_one_is_replaced() {
        assert_eq!(
            url(([192, 168, 1, 7], 8080).into()),
            "http://192.168.1.7:8080"
        );
        assert_eq!(
            url((std::net::Ipv6Addr::LOCALHOST, 80).into()),
            "http://[::1]:80"
        );
        assert!(!url(([0, 0, 0, 0], 8080).into()).contains("0.0.0.0"));
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
