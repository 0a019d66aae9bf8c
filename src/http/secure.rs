//! What the page has to know of HTTPS: whether it is on offer and where, and the root that a phone must trust first. All of it
//! is open, since whoever needs it may not be paired; none of it is there without `--tls`.

use std::sync::Arc;

use hyper::Response;
use hyper::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use serde_json::json;

use super::error::ApiError;
use super::gate;
use super::{App, Body, Doors, full, json};
use crate::address::Scheme;
use crate::tls::{Authority, Tls};

/// HTTPS, as phones are offered it.
#[derive(Debug)]
pub(super) struct Offer {
    tls: Arc<Tls>,
    port: u16,
    http_port: u16,
}

impl Offer {
    pub(super) fn of(doors: &Doors) -> Option<Self> {
        let (listener, tls) = doors.secure.as_ref()?;
        Some(Offer {
            tls: tls.clone(),
            port: listener.local_addr().ok()?.port(),
            http_port: doors.plain.local_addr().ok()?.port(),
        })
    }
}

/// `GET /secure`: the ports, and the name of our own authority if that is whom phones have to trust; nothing but `null` where
/// HTTPS is not served. The page over HTTP asks for it over HTTPS to see whether its phone trusts that already, so other
/// origins may ask; what it says they cannot read.
pub(super) fn offer(app: &App) -> Response<Body> {
    let offer = app.offer.as_ref();
    let authority = offer.and_then(|offer| offer.tls.authority());
    let mut response = json(&json!({
        "port": offer.map(|offer| offer.port),
        "httpPort": offer.map(|offer| offer.http_port),
        "authority": authority.map(Authority::name),
    }));
    response.headers_mut().insert(
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("cross-origin"),
    );
    response
}

/// `GET /ca.crt`.
pub(super) fn certificate(app: &App) -> Result<Response<Body>, ApiError> {
    let der = authority(app)?.certificate().to_vec();
    Ok(file(der, "application/x-x509-ca-cert", "lockstep.crt"))
}

/// `GET /ca.mobileconfig`.
pub(super) fn profile(app: &App) -> Result<Response<Body>, ApiError> {
    let profile = authority(app)?.profile();
    let mime = "application/x-apple-aspen-config";
    Ok(file(profile.into_bytes(), mime, "lockstep.mobileconfig"))
}

fn authority(app: &App) -> Result<&Authority, ApiError> {
    let authority = app.offer.as_ref().and_then(|offer| offer.tls.authority());
    authority.ok_or(ApiError::NotFound(
        "this server has no certificate authority of its own",
    ))
}

/// Not an attachment: then browsers that can install it offer to.
fn file(bytes: Vec<u8>, mime: &'static str, name: &str) -> Response<Body> {
    let mut response = Response::new(full(bytes));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(mime));
    if let Ok(inline) = HeaderValue::try_from(format!("inline; filename=\"{name}\"")) {
        headers.insert(CONTENT_DISPOSITION, inline);
    }
    response
}

/// The origin of the HTTPS page under the name that this request came by, as a content security policy has it; `None` where
/// HTTPS is not served.
pub(super) fn origin(app: &App, headers: &HeaderMap) -> Option<String> {
    let name = match gate::name_of(host(headers)?) {
        // A policy knows no IPv6 addresses (CSP 3, 2.3.1).
        v6 if v6.starts_with('[') => "*",
        name => name,
    };
    Some(Scheme::Https.url(name, app.offer.as_ref()?.port))
}

/// The HTTP page of the host of that name.
pub(super) fn plain_url(app: &App, name: &str) -> Option<String> {
    Some(Scheme::Http.url(name, app.offer.as_ref()?.http_port))
}

/// By which name and port the server was called.
pub(super) fn host(headers: &HeaderMap) -> Option<&str> {
    headers.get(HOST)?.to_str().ok()
}
