//! Reverse proxies: which of them are trusted, and what their headers `X-Forwarded-For`, `X-Forwarded-Host`,
//! `X-Forwarded-Proto` and `Forwarded` (RFC 7239) say about the request that the client sent.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hyper::HeaderMap;
use hyper::header::{FORWARDED, HOST};

use super::gate;
use crate::address::Scheme;
use crate::ip_network::IpNetwork;

/// The reverse proxies whose headers the server uses.
#[derive(Debug, Clone, Default)]
pub(super) struct TrustedProxies(Vec<IpNetwork>);

/// A request as its client sent it, before reverse proxies forwarded it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClientRequest {
    /// The address of the client, or of the first proxy that is not trusted.
    pub(super) address: IpAddr,
    /// The host name and the port that the client used: the header `Host`, unless a trusted proxy names another host. Empty
    /// without a valid header.
    pub(super) host: String,
    /// The scheme that the client used; `None` unless a trusted proxy names it.
    pub(super) scheme: Option<Scheme>,
    /// Whether a trusted proxy sent the request.
    pub(super) is_forwarded: bool,
}

impl TrustedProxies {
    pub(super) fn new(networks: &[IpNetwork]) -> Self {
        TrustedProxies(networks.to_vec())
    }

    /// Whether a proxy has this address.
    pub(super) fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// The client's request. `peer` is the address from which the request arrived; the headers count only if `peer` is a
    /// trusted proxy.
    ///
    /// Malformed values are ignored. All headers are ignored if `X-Forwarded-For` and `Forwarded` name different clients:
    /// most proxies set one of the two and pass the other one on as the client sent it.
    pub(super) fn client_request(&self, peer: IpAddr, headers: &HeaderMap) -> ClientRequest {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let host = host.unwrap_or_default();
        let mut request = ClientRequest {
            address: peer.to_canonical(),
            host: host.to_owned(),
            scheme: None,
            is_forwarded: self.contain(peer),
        };
        if !request.is_forwarded {
            return request;
        }
        let peer = request.address;
        let (x_forwarded, forwarded) = (Hops::x_forwarded(headers), Hops::forwarded(headers));
        let from_x_forwarded = self.client(peer, &x_forwarded);
        let from_forwarded = self.client(peer, &forwarded);
        let is_absent = |hops: &Hops| hops.addresses.is_empty();
        let (address, depth) = match (is_absent(&x_forwarded), is_absent(&forwarded)) {
            (false, false) if from_x_forwarded.0 != from_forwarded.0 => return request,
            (true, false) => from_forwarded,
            _ => from_x_forwarded,
        };
        request.address = address;
        request.scheme = x_forwarded
            .scheme(depth)
            .or_else(|| forwarded.scheme(depth));
        if let Some(host) = x_forwarded.host(depth).or_else(|| forwarded.host(depth)) {
            request.host = host;
        }
        request
    }

    /// The client's address, and the number of list entries after the client's own entry. If that entry is malformed, the
    /// address is that of the proxy that wrote the entry. Proxies append to the list, so the client may have invented all
    /// entries before its own.
    fn client(&self, peer: IpAddr, hops: &Hops) -> (IpAddr, usize) {
        let mut client = peer;
        for (depth, address) in hops.addresses.iter().rev().enumerate() {
            match address {
                Some(address) if self.contain(*address) => client = *address,
                Some(address) => return (*address, depth),
                None => return (client, depth),
            }
        }
        (client, hops.addresses.len().saturating_sub(1))
    }
}

/// The values that proxies have written into one kind of header, the value of the first proxy first. Malformed values are
/// `None`.
#[derive(Debug, Default)]
struct Hops {
    addresses: Vec<Option<IpAddr>>,
    hosts: Vec<Option<String>>,
    schemes: Vec<Option<Scheme>>,
}

impl Hops {
    fn x_forwarded(headers: &HeaderMap) -> Self {
        Hops {
            addresses: parse_list(headers, "x-forwarded-for", parse_node),
            hosts: parse_list(headers, "x-forwarded-host", parse_host),
            schemes: parse_list(headers, "x-forwarded-proto", parse_scheme),
        }
    }

    fn forwarded(headers: &HeaderMap) -> Self {
        let mut hops = Hops::default();
        for value in headers.get_all(FORWARDED) {
            let elements = value.to_str().ok().and_then(parse_forwarded);
            // A malformed header counts as one entry without values.
            for pairs in elements.unwrap_or_else(|| vec![Vec::new()]) {
                let find = |name: &str| {
                    let mut found = pairs.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
                    found.next().map(|(_, value)| &**value)
                };
                hops.addresses.push(find("for").and_then(parse_node));
                hops.hosts.push(find("host").and_then(parse_host));
                hops.schemes.push(find("proto").and_then(parse_scheme));
            }
        }
        hops
    }

    fn host(&self, depth: usize) -> Option<String> {
        at_depth(&self.hosts, depth).cloned()
    }

    fn scheme(&self, depth: usize) -> Option<Scheme> {
        at_depth(&self.schemes, depth).copied()
    }
}

/// The value with `depth` values after it, which the proxy that received the client's request wrote. Not all proxies append
/// a value, so that value is the first one in a shorter list.
fn at_depth<T>(values: &[Option<T>], depth: usize) -> Option<&T> {
    let value = values.iter().rev().nth(depth).or(values.first());
    value.and_then(Option::as_ref)
}

/// The values of a list header, which may have several lines.
fn parse_list<T>(headers: &HeaderMap, name: &str, parse: fn(&str) -> Option<T>) -> Vec<Option<T>> {
    let mut values = Vec::new();
    for line in headers.get_all(name) {
        match line.to_str() {
            Ok(line) => values.extend(line.split(',').map(|value| parse(value.trim()))),
            Err(_) => values.push(None),
        }
    }
    values
}

/// An address, possibly with a port, and IPv6 with or without brackets (RFC 7239, 6).
fn parse_node(text: &str) -> Option<IpAddr> {
    let bracketed = |text: &str| -> Option<IpAddr> {
        let v6 = text.strip_prefix('[')?.strip_suffix(']')?;
        v6.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
    };
    let address = text.parse().ok().or_else(|| bracketed(text));
    let address = address.or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()));
    // A port may be obfuscated, for example `192.0.2.1:_x`.
    let address = address.or_else(|| {
        let (host, port) = text.rsplit_once(':')?;
        let host = port.starts_with('_').then_some(host)?;
        bracketed(host).or_else(|| host.parse::<Ipv4Addr>().ok().map(IpAddr::V4))
    });
    address.map(|address| address.to_canonical())
}

fn parse_host(text: &str) -> Option<String> {
    gate::is_host(text).then(|| text.to_owned())
}

fn parse_scheme(text: &str) -> Option<Scheme> {
    match text {
        _ if text.eq_ignore_ascii_case("http") => Some(Scheme::Http),
        _ if text.eq_ignore_ascii_case("https") => Some(Scheme::Https),
        _ => None,
    }
}

/// The elements of the header `Forwarded`, each with its names and values (RFC 7239, 4); `None` if the header is malformed.
fn parse_forwarded(header: &str) -> Option<Vec<Vec<(String, String)>>> {
    let mut elements = Vec::new();
    for element in split_unquoted(header, ',')? {
        let mut pairs = Vec::new();
        for pair in split_unquoted(element, ';')? {
            if pair.trim().is_empty() {
                continue;
            }
            let (name, value) = pair.split_once('=')?;
            pairs.push((name.trim().to_owned(), unquote(value.trim())));
        }
        elements.push(pairs);
    }
    Some(elements)
}

/// Splits at a separator outside of quoted strings; `None` if a quoted string does not end.
fn split_unquoted(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ if c == separator && !is_quoted => {
                parts.push(&text[start..at]);
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    (!is_quoted).then_some(parts)
}

/// The content of a quoted string (RFC 9110, 5.6.4); any other text as it is.
fn unquote(text: &str) -> String {
    let quoted = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let Some(quoted) = quoted else {
        return text.to_owned();
    };
    let (mut content, mut characters) = (String::new(), quoted.chars());
    while let Some(c) = characters.next() {
        match c {
            '\\' => content.extend(characters.next()),
            c => content.push(c),
        }
    }
    content
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    const PROXY: &str = "127.0.0.1";

    /// The client's request that a proxy at [`PROXY`] forwards with these headers. Also trusts 10.0.0.0/8.
    fn resolve(fields: &[(&str, &str)]) -> ClientRequest {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("inner:8080"));
        for (name, value) in fields {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let networks = [PROXY, "10.0.0.0/8"].map(|network| network.parse().unwrap());
        TrustedProxies::new(&networks).client_request(PROXY.parse().unwrap(), &headers)
    }

    #[test]
    fn client_is_the_last_address_that_is_not_trusted() {
        let x = "x-forwarded-for";
        for (fields, expected) in [
            (&[][..], PROXY),
            (&[(x, "192.168.1.5")], "192.168.1.5"),
            (&[(x, "1.2.3.4, 192.168.1.5")], "192.168.1.5"),
            (&[(x, "1.2.3.4,192.168.1.5 , 10.0.0.2")], "192.168.1.5"),
            (&[(x, "1.2.3.4"), (x, "192.168.1.5")], "192.168.1.5"),
            (&[(x, "10.0.0.3, 10.0.0.2")], "10.0.0.3"),
            (&[(x, "192.168.1.5:50123")], "192.168.1.5"),
            (&[(x, "fd00::5")], "fd00::5"),
            (&[(x, "[fd00::5]:50123")], "fd00::5"),
            (&[(x, "::ffff:192.168.1.5")], "192.168.1.5"),
            // Values before a malformed one are not trusted.
            (&[(x, "192.168.1.5, unknown")], PROXY),
            (&[(x, "192.168.1.5, unknown, 10.0.0.2")], "10.0.0.2"),
            (&[(x, "")], PROXY),
            (&[(x, ",,")], PROXY),
            (&[(x, "192.168.1.5\u{ff}")], PROXY),
            (&[("forwarded", "for=192.168.1.5")], "192.168.1.5"),
            (
                &[(
                    "forwarded",
                    "For=1.2.3.4, for=\"[fd00::5]:443\";proto=https",
                )],
                "fd00::5",
            ),
            (&[("forwarded", "for=192.168.1.5, for=_hidden")], PROXY),
            (&[("forwarded", "for=\"192.168.1.5")], PROXY),
            (
                &[("forwarded", "for=192.168.1.5"), (x, "192.168.1.5")],
                "192.168.1.5",
            ),
            // The client itself may have sent one of the two headers.
            (&[("forwarded", "for=1.2.3.4"), (x, "192.168.1.5")], PROXY),
            (&[("x-real-ip", "192.168.1.5")], PROXY),
        ] {
            let address = resolve(fields).address;
            assert_eq!(address, expected.parse::<IpAddr>().unwrap(), "{fields:?}");
        }
    }

    #[test]
    fn trusted_proxies_name_the_host_and_the_scheme() {
        let (host, proto, x) = ("x-forwarded-host", "x-forwarded-proto", "x-forwarded-for");
        let forwarded = "for=192.168.1.5;host=\"music.lan:81\";proto=https";
        let https = Some(Scheme::Https);
        for (fields, expected_host, scheme) in [
            (&[][..], "inner:8080", None),
            (&[(host, "music.lan"), (proto, "https")], "music.lan", https),
            (
                &[(host, "music.lan:81"), (proto, "HTTP")],
                "music.lan:81",
                Some(Scheme::Http),
            ),
            (&[("forwarded", forwarded)], "music.lan:81", https),
            // The client's value, and that of the one trusted proxy.
            (&[(host, "evil.lan, music.lan")], "music.lan", None),
            // The values of two trusted proxies.
            (
                &[(x, "192.168.1.5, 10.0.0.2"), (host, "music.lan, inner.lan")],
                "music.lan",
                None,
            ),
            (
                &[(x, "192.168.1.5, 10.0.0.2"), (host, "music.lan")],
                "music.lan",
                None,
            ),
            (
                &[(host, "music lan"), (proto, "gopher")],
                "inner:8080",
                None,
            ),
            (&[(host, "music.lan/path"), (proto, "")], "inner:8080", None),
            (&[(host, "")], "inner:8080", None),
            (&[(host, "a:b:c")], "inner:8080", None),
            (
                &[
                    ("forwarded", "for=1.2.3.4;host=evil.lan"),
                    (x, "192.168.1.5"),
                ],
                "inner:8080",
                None,
            ),
        ] {
            let request = resolve(fields);
            assert_eq!(request.host, expected_host, "{fields:?}");
            assert_eq!(request.scheme, scheme, "{fields:?}");
        }
    }

    #[test]
    fn headers_of_other_clients_are_ignored() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("192.168.1.7"));
        for name in ["x-forwarded-for", "x-forwarded-host"] {
            headers.insert(name, HeaderValue::from_static("127.0.0.1"));
        }
        let peer: IpAddr = "192.168.1.5".parse().unwrap();
        let trusted = [PROXY.parse().unwrap()];
        let request = TrustedProxies::new(&trusted).client_request(peer, &headers);
        assert_eq!(request.address, peer);
        assert_eq!(request.host, "192.168.1.7");
        assert!(!request.is_forwarded);
    }

    proptest! {
        #[test]
        fn any_header_is_parsed_without_a_panic(value in "[ -~]{0,60}") {
            for name in ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "forwarded"] {
                let request = resolve(&[(name, &value)]);
                prop_assert!(gate::is_host(&request.host));
            }
        }
    }
}
