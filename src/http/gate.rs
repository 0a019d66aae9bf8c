//! Access checks of requests: the host name (against DNS rebinding), the origin (against cross-site requests), and the token
//! of the paired device.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, COOKIE, HOST, HeaderName, HeaderValue, ORIGIN};

use super::error::ApiError;
use super::forwarded::ClientRequest;
use super::socket::ConnectionInfo;
use crate::address::{self, Scheme};
use crate::hub::{Accepted, Hub};
use crate::pairing;
use crate::room::{MemberId, TokenHash};
use crate::rooms::{RoomEntry, RoomError, RoomStatus, Rooms};

/// The cookie that carries a device's token.
pub(super) const COOKIE_NAME: &str = "clientId";

/// The header in which a browser states whether a page of this origin, or of another one, caused the request (Fetch
/// Metadata, 2.3). Browsers send this header to HTTPS origins and to loopback only.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Domains that public DNS does not delegate, so no web site outside the local network can have such a name.
const LOCAL_SUFFIXES: [&str; 4] = [".local", ".lan", ".home.arpa", ".internal"];

/// The length of the longest host name in the DNS, in characters (RFC 1035, 2.3.4).
const MAX_HOST_NAME: usize = 253;
/// The maximum number of digits of a port in a `Host` header.
const MAX_PORT_DIGITS: usize = 5;

/// The host names, in lower case, that the `Host` header of a request may contain. IP addresses, `localhost` and names with
/// a suffix of [`LOCAL_SUFFIXES`] are always allowed, and not listed.
#[derive(Debug)]
pub(super) struct HostNames(Vec<String>);

impl HostNames {
    /// Allows the machine's host name and the names in `configured`.
    pub(super) fn new(configured: &[String]) -> Self {
        let names = configured.iter().cloned().chain([address::host_name()]);
        HostNames(
            names
                .map(|name| name.trim_end_matches('.').to_ascii_lowercase())
                .collect(),
        )
    }

    /// Whether a host, possibly with a port, is allowed.
    fn allow(&self, host: &str) -> bool {
        if !is_host(host) {
            return false;
        }
        let name = without_port(host).trim_end_matches('.');
        let name = name.to_ascii_lowercase();
        let is_local = |suffix: &&str| name.len() > suffix.len() && name.ends_with(*suffix);
        name == "localhost"
            || parse_address(&name).is_some()
            || LOCAL_SUFFIXES.iter().any(is_local)
            || self.0.contains(&name)
    }
}

/// Whether a text has the form of a host name or an IP address, possibly with a port.
pub(super) fn is_host(text: &str) -> bool {
    let name = without_port(text);
    let is_valid = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    !name.is_empty()
        && name.len() <= MAX_HOST_NAME
        && text.len() - name.len() <= 1 + MAX_PORT_DIGITS
        && (parse_address(name).is_some() || name.bytes().all(is_valid))
}

/// The IP address in a `Host` header without its port; `None` for a name.
fn parse_address(host: &str) -> Option<IpAddr> {
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match bare {
        Some(v6) => v6.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => host.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

/// The value of a `Host` header without its port.
pub(super) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Refuses a request for the host name of another server, and a request that a page of another origin sent.
///
/// # Errors
/// 400 unless the request has exactly one `Host` header, 421 if the host that the client used is not allowed, 403 if the
/// `Origin` header is present and has another host or port, or another scheme than the one that a trusted proxy named.
pub(super) fn check_host_and_origin(
    names: &HostNames,
    client: &ClientRequest,
    headers: &HeaderMap,
) -> Result<(), ApiError> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next().map(HeaderValue::to_str);
    // RFC 9112, 3.2 requires this status.
    if !matches!((host, hosts.next()), (Some(Ok(_)), None)) {
        return Err(ApiError::BadRequest(
            "A request needs exactly one Host header".into(),
        ));
    }
    if !names.allow(&client.host) {
        return Err(ApiError::Misdirected);
    }
    match headers.get(ORIGIN).map(|origin| origin.to_str()) {
        None => Ok(()),
        Some(Ok(origin)) if is_same_origin(origin, client) => Ok(()),
        Some(_) => Err(ApiError::ForeignOrigin),
    }
}

fn is_same_origin(origin: &str, client: &ClientRequest) -> bool {
    let schemes = [
        (Scheme::Http, "http://", ":80"),
        (Scheme::Https, "https://", ":443"),
    ];
    schemes.into_iter().any(|(scheme, prefix, default_port)| {
        let without_default_port = |host| str::strip_suffix(host, default_port).unwrap_or(host);
        let authority = origin.strip_prefix(prefix).map(without_default_port);
        let host = without_default_port(&client.host);
        client.scheme.is_none_or(|used| used == scheme)
            && authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
    })
}

/// The paired device that sent a request, and the room to which the request applies.
pub(super) struct PairedDevice<'a> {
    pub(super) rooms: &'a Rooms,
    pub(super) room: &'a RoomEntry,
    /// The hub of `room`.
    pub(super) hub: &'a Hub,
    /// The hub of the house room, which keeps the tokens and the names of the devices.
    pub(super) house: &'a Hub,
    pub(super) member: MemberId,
}

impl PairedDevice<'_> {
    /// The event count of the room after a change of the house's devices. In another room than the house room, the change is first
    /// copied to the room.
    ///
    /// # Errors
    /// 503 if the room cannot be written. The house has accepted the change, and the room will be changed later.
    pub(super) async fn event_count_after(&self, accepted: &Accepted) -> Result<u64, ApiError> {
        if self.room.id.is_house() {
            return Ok(accepted.room.durable.event_count);
        }
        self.rooms.update_members(self.hub).await?;
        Ok(self.hub.view().room.durable.event_count)
    }
}

/// Finds the device that is paired with the house, whose token the request carries, and that is a client of `room`.
///
/// # Errors
/// 401 without a valid token; 403 if the device has not entered the room; 500 for any token if the state file of the house room is
/// damaged, because that file contains the hashes of the valid tokens; those of [`hub`].
pub(super) fn authenticate<'a>(
    rooms: &'a Rooms,
    room: &'a RoomEntry,
    headers: &HeaderMap,
) -> Result<PairedDevice<'a>, ApiError> {
    let (member, _) = find_device(rooms, headers)?;
    let paired = PairedDevice {
        rooms,
        room,
        hub: hub(room)?,
        house: hub(rooms.house())?,
        member,
    };
    if !room.id.is_house() && !paired.hub.is_paired(member) {
        return Err(ApiError::Forbidden(
            "not-in-room",
            "This device has not entered this room",
        ));
    }
    Ok(paired)
}

/// The device that is paired with the house and whose token the request carries, and the hash of the token.
///
/// # Errors
/// 401 without a valid token; 500 for any token if the state file of the house room is damaged.
pub(super) fn find_device(
    rooms: &Rooms,
    headers: &HeaderMap,
) -> Result<(MemberId, TokenHash), ApiError> {
    let token = token(headers).ok_or(ApiError::Unauthorized)?;
    let token_hash = pairing::hash_token(token);
    let house = hub(rooms.house())?.view();
    let member = house.room.private.token_hashes.get(&token_hash).copied();
    Ok((member.ok_or(ApiError::Unauthorized)?, token_hash))
}

/// As [`find_device`]; also records the device, or that there is none, as the user of the connection: the server may evict
/// connections without a paired device.
pub(super) fn find_device_of_connection(
    rooms: &Rooms,
    connection: &ConnectionInfo,
    headers: &HeaderMap,
) -> Result<(MemberId, TokenHash), ApiError> {
    let found = find_device(rooms, headers);
    let member = found.as_ref().ok().map(|(member, _)| *member);
    connection.slot().set_device(member);
    // If the device was removed between the two calls above, `Connections::demote_unpaired` may have run before
    // `set_device` without changing this connection.
    if member.is_some_and(|member| !rooms.is_paired(member)) {
        connection.slot().set_device(None);
    }
    found
}

/// As [`authenticate`], and records the device of the connection as [`find_device_of_connection`] does.
pub(super) fn authenticate_connection<'a>(
    rooms: &'a Rooms,
    room: &'a RoomEntry,
    connection: &ConnectionInfo,
    headers: &HeaderMap,
) -> Result<PairedDevice<'a>, ApiError> {
    find_device_of_connection(rooms, connection, headers)?;
    authenticate(rooms, room, headers)
}

/// The hub of `room`.
///
/// # Errors
/// 500 if the state file is damaged, 503 if it is still being read.
pub(super) fn hub(room: &RoomEntry) -> Result<&Hub, ApiError> {
    match &room.status {
        RoomStatus::Running(hub) => Ok(hub),
        RoomStatus::Damaged(why) => Err(ApiError::damaged(room.id.is_house(), why)),
        RoomStatus::Opening => Err(RoomError::Opening.into()),
    }
}

/// Whether the browser reports that a page of another origin caused the request. The cookie attribute `SameSite` does not
/// exclude the cookie from all such requests, because the ports of a host are different origins but the same site.
fn is_cross_origin(headers: &HeaderMap) -> bool {
    let site = headers.get(FETCH_SITE);
    site.is_some_and(|site| site == "cross-site" || site == "same-site")
}

/// The token in the header `Authorization`, or else in the cookie. Ignores the cookie in requests that a page of another
/// origin caused, because browsers add the cookie even though that page cannot read the token.
fn token(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme
                .eq_ignore_ascii_case("bearer")
                .then_some(token.trim())
        });
    let cookie = || {
        if is_cross_origin(headers) {
            return None;
        }
        headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find_map(|(name, value)| (name == COOKIE_NAME).then_some(value))
    };
    bearer.or_else(cookie).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allows_addresses_local_names_and_configured_names_only() {
        let names = HostNames::new(&["music.example.org".into()]);
        for (host, is_allowed) in [
            ("192.168.1.7:8080", true),
            ("127.0.0.1", true),
            ("[fd00::2]:8080", true),
            ("[::1]", true),
            ("localhost:8080", true),
            ("LOCALHOST", true),
            ("party.lan:8080", true),
            ("lockstep.local", true),
            ("pi.home.arpa:80", true),
            ("box.internal", true),
            ("music.example.org:8080", true),
            ("music.example.org.", true),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("192.168.1.7.evil.example", false),
            (".lan", false),
            ("lan", false),
            ("[evil]", false),
            ("evil.example#.lan", false),
            ("evil.example/.lan", false),
            ("", false),
        ] {
            assert_eq!(names.allow(host), is_allowed, "{host}");
        }
    }

    #[test]
    fn refuses_host_names_and_ports_that_are_too_long() {
        let names = HostNames::new(&[]);
        let name = |length: usize| "a".repeat(length - ".lan".len()) + ".lan";
        for (host, is_allowed) in [
            (name(253), true),
            (name(253) + ":65535", true),
            (name(254), false),
            (name(2048), false),
            ("party.lan:123456".to_owned(), false),
            ("party.lan:".to_owned() + &"0".repeat(2048), false),
        ] {
            assert_eq!(names.allow(&host), is_allowed, "{host}");
        }
    }

    /// Whether a request for `host` with this `Origin` is accepted, if a trusted proxy has named the scheme or no proxy has.
    fn accepts(host: &str, scheme: Option<Scheme>, origin: &str) -> bool {
        let client = ClientRequest {
            address: Ipv4Addr::LOCALHOST.into(),
            host: host.into(),
            scheme,
            is_forwarded: scheme.is_some(),
        };
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "inner".parse().unwrap());
        headers.insert(ORIGIN, origin.parse().unwrap());
        check_host_and_origin(&HostNames::new(&[]), &client, &headers).is_ok()
    }

    #[test]
    fn refuses_the_origins_of_other_sites() {
        for (origin, is_allowed) in [
            ("http://party.lan:8080", true),
            ("https://party.lan:8080", true),
            ("http://party.lan", false),
            ("http://party.lan:8081", false),
            ("http://evil.example", false),
            ("null", false),
        ] {
            let is_accepted = accepts("party.lan:8080", None, origin);
            assert_eq!(is_accepted, is_allowed, "{origin}");
        }
    }

    #[test]
    fn compares_default_ports_and_the_scheme_that_a_proxy_named() {
        let (http, https) = (Some(Scheme::Http), Some(Scheme::Https));
        for (host, scheme, origin, is_allowed) in [
            ("music.lan", None, "http://music.lan", true),
            ("music.lan:80", None, "http://music.lan", true),
            ("music.lan:443", None, "https://music.lan", true),
            ("music.lan:443", None, "http://music.lan", false),
            ("music.lan", https, "https://music.lan", true),
            ("music.lan:443", https, "https://music.lan", true),
            ("music.lan", https, "http://music.lan", false),
            ("music.lan", http, "https://music.lan", false),
            ("music.lan", http, "http://music.lan:8080", false),
        ] {
            let is_accepted = accepts(host, scheme, origin);
            assert_eq!(is_accepted, is_allowed, "{host} {scheme:?} {origin}");
        }
    }

    #[test]
    fn ignores_the_cookie_in_cross_origin_requests() {
        for (site, is_accepted) in [
            (None, true),
            (Some("same-origin"), true),
            (Some("none"), true),
            (Some("same-site"), false),
            (Some("cross-site"), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, HeaderValue::from_static("clientId=abc"));
            if let Some(site) = site {
                headers.insert(FETCH_SITE, HeaderValue::from_static(site));
            }
            assert_eq!(token(&headers).is_some(), is_accepted, "{site:?}");
            headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer abc"));
            assert_eq!(token(&headers), Some("abc"), "{site:?}");
        }
    }

    #[test]
    fn finds_the_token_in_the_authorization_header_or_the_cookie() {
        for (name, value, expected) in [
            ("authorization", "Bearer abc", Some("abc")),
            ("authorization", "bearer abc", Some("abc")),
            ("authorization", "Basic abc", None),
            ("cookie", "clientId=abc", Some("abc")),
            ("cookie", "theme=dark; clientId=abc", Some("abc")),
            ("cookie", "clientId=", None),
            ("cookie", "otherId=abc", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_static(name), value.parse().unwrap());
            assert_eq!(token(&headers), expected, "{value}");
        }
    }
}
