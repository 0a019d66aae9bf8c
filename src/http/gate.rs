//! Who gets in: by which name the server was called (DNS rebinding), from which page (cross-site requests),
//! and with whose token.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, COOKIE, HOST, HeaderName, HeaderValue, ORIGIN};

use super::error::ApiError;
use super::socket::Line;
use super::{App, House};
use crate::hub::Hub;
use crate::pairing;
use crate::room::{KeyHash, MemberId};

/// The cookie that carries a device's token.
pub(super) const COOKIE_NAME: &str = "clientId";

/// Which pages a request may have come from (Fetch Metadata, 2.3). Browsers send it where the page is secure.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Endings of names that no public name server answers for, so no outsider's page can have one.
const LOCAL_ENDINGS: [&str; 4] = [".local", ".lan", ".home.arpa", ".internal"];

/// The names that this server goes by, besides addresses and local ones.
#[derive(Debug)]
pub(super) struct Names(Vec<String>);

impl Names {
    pub(super) fn new(given: &[String]) -> Self {
        let own = gethostname::gethostname().to_string_lossy().into_owned();
        let names = given.iter().cloned().chain([own]);
        Names(
            names
                .map(|name| name.trim_end_matches('.').to_ascii_lowercase())
                .collect(),
        )
    }

    /// Whether a `Host` header means this server.
    fn allow(&self, host: &str) -> bool {
        let name = name_of(host).trim_end_matches('.').to_ascii_lowercase();
        if name == "localhost" || address_of(&name).is_some() {
            return true;
        }
        let spelled = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        name.bytes().all(spelled)
            && (LOCAL_ENDINGS
                .iter()
                .any(|ending| name.len() > ending.len() && name.ends_with(ending))
                || self.0.contains(&name))
    }
}

/// The address that a `Host` without its port is, if it is one.
fn address_of(name: &str) -> Option<IpAddr> {
    let bare = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match bare {
        Some(v6) => v6.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => name.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

/// Whether the server was called by an address or as `localhost`, and not by a name that others answer for.
fn called_by_address(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let name = host.map(|host| name_of(host).to_ascii_lowercase());
    name.is_some_and(|name| name == "localhost" || address_of(&name).is_some())
}

/// Whether a request comes from this machine itself, and by its own will: whoever answers for a name, on the network of the
/// house, may let it lead this machine's own browser here.
pub(super) fn from_here(peer: SocketAddr, headers: &HeaderMap) -> bool {
    peer.ip().to_canonical().is_loopback() && called_by_address(headers)
}

/// A `Host` without its port.
pub(super) fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Refuses a request that was not meant for this server, or comes from another site's page.
pub(super) fn same_site(names: &Names, headers: &HeaderMap) -> Result<(), ApiError> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = match (hosts.next().map(HeaderValue::to_str), hosts.next()) {
        (Some(Ok(host)), None) => host,
        // RFC 9112, 3.2.
        _ => return Err(ApiError::BadRequest("a request needs one Host".into())),
    };
    if !names.allow(host) {
        return Err(ApiError::Misdirected);
    }
    let own = |origin: &str| {
        let authority = origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"));
        authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
    };
    match headers.get(ORIGIN).map(|origin| origin.to_str()) {
        None => Ok(()),
        Some(Ok(origin)) if own(origin) => Ok(()),
        Some(_) => Err(ApiError::Forbidden(
            "this request comes from another site's page",
        )),
    }
}

/// A paired device, and the way to its room.
pub(super) struct Paired<'a> {
    pub(super) hub: &'a Hub,
    pub(super) member: MemberId,
    /// The hash of the token that it brought.
    pub(super) key: KeyHash,
}

/// Whose token the request carries.
///
/// With a damaged state nobody's token can be looked up, so whoever brings one is told of the damage.
pub(super) fn paired<'a>(app: &'a App, headers: &HeaderMap) -> Result<Paired<'a>, ApiError> {
    let token = token(headers).ok_or(ApiError::Unauthorized)?;
    let hub = hub(app)?;
    let key = pairing::hash(token);
    let member = hub.view().room.private.keys.get(&key).copied();
    Ok(Paired {
        hub,
        member: member.ok_or(ApiError::Unauthorized)?,
        key,
    })
}

/// The same, and from here on the connection is known for who asks on it, or for a stranger's.
pub(super) fn known<'a>(
    app: &'a App,
    line: &Line,
    headers: &HeaderMap,
) -> Result<Paired<'a>, ApiError> {
    let paired = paired(app, headers);
    let asks = paired.as_ref().ok();
    line.place().know(asks.map(|paired| paired.member));
    // One that was removed in between was not seen off by then.
    if asks.is_some_and(|paired| !paired.hub.is_paired(paired.member)) {
        line.place().know(None);
    }
    paired
}

/// The way to the room, if there is one.
pub(super) fn hub(app: &App) -> Result<&Hub, ApiError> {
    match &app.house {
        House::Open(hub) => Ok(hub),
        House::Damaged(why) => Err(ApiError::Damaged(why.clone())),
    }
}

/// Whether the browser says that another origin's page has caused the request. To `SameSite` all ports of a host are one site,
/// so the cookie alone does not tell.
fn from_elsewhere(headers: &HeaderMap) -> bool {
    let site = headers.get(FETCH_SITE);
    site.is_some_and(|site| site == "cross-site" || site == "same-site")
}

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
        if from_elsewhere(headers) {
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
    fn addresses_and_local_names_are_ours_and_public_names_are_not() {
        let names = Names::new(&["music.example.org".into()]);
        for (host, ours) in [
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
            assert_eq!(names.allow(host), ours, "{host}");
        }
    }

    #[test]
    fn a_page_of_another_site_is_refused() {
        let names = Names::new(&[]);
        for (origin, fine) in [
            ("http://party.lan:8080", true),
            ("http://party.lan", false),
            ("http://party.lan:8081", false),
            ("http://evil.example", false),
            ("null", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, "party.lan:8080".parse().unwrap());
            headers.insert(ORIGIN, origin.parse().unwrap());
            assert_eq!(same_site(&names, &headers).is_ok(), fine, "{origin}");
        }
    }

    #[test]
    fn a_cookie_counts_only_where_no_other_origins_page_has_caused_the_request() {
        for (site, counts) in [
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
            assert_eq!(token(&headers).is_some(), counts, "{site:?}");
            headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer abc"));
            assert_eq!(token(&headers), Some("abc"), "{site:?}");
        }
    }

    #[test]
    fn a_name_is_no_address() {
        for (host, by_address) in [
            ("127.0.0.1:8080", true),
            ("[::1]:8080", true),
            ("192.168.1.7", true),
            ("LocalHost:8080", true),
            ("lockstep.local:8080", false),
            ("::1", false),
            ("[127.0.0.1]", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().unwrap());
            assert_eq!(called_by_address(&headers), by_address, "{host}");
        }
    }

    #[test]
    fn a_token_is_found_in_either_place() {
        for (name, value, token_there) in [
            ("authorization", "Bearer abc", Some("abc")),
            ("authorization", "bearer abc", Some("abc")),
            ("authorization", "Basic abc", None),
            ("cookie", "clientId=abc", Some("abc")),
            ("cookie", "theme=dark; clientId=abc", Some("abc")),
            ("cookie", "clientId=", None),
            ("cookie", "otherId=abc", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(
                hyper::header::HeaderName::from_static(name),
                value.parse().unwrap(),
            );
            assert_eq!(token(&headers), token_there, "{value}");
        }
    }
}
