//! Routes that a phone needs in order to change from the HTTP page to the HTTPS page: both ports, and the root certificate
//! that the phone must trust.
//!
//! These routes need no token, because a guest uses them before pairing.

use std::sync::Arc;

use hyper::Response;
use hyper::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderName, HeaderValue};
use serde_json::json;

use super::error::ApiError;
use super::forwarded::ClientRequest;
use super::gate;
use super::{App, Body, ListenSockets, full, json};
use crate::address::Scheme;
use crate::tls::{Authority, Tls};

/// The ports of HTTP and HTTPS, and the TLS configuration.
#[derive(Debug)]
pub(super) struct HttpsInfo {
    tls: Arc<Tls>,
    https_port: u16,
    http_port: u16,
}

impl HttpsInfo {
    /// `None` without TLS.
    pub(super) fn new(sockets: &ListenSockets) -> Option<Self> {
        let (listener, tls) = sockets.secure.as_ref()?;
        Some(HttpsInfo {
            tls: tls.clone(),
            https_port: listener.local_addr().ok()?.port(),
            http_port: sockets.plain.local_addr().ok()?.port(),
        })
    }
}

/// `GET /secure`: both ports, and the name of this server's certificate authority, which phones must trust. The name is
/// `null` if the operator configured a certificate; all three values are `null` without TLS.
///
/// All three values are also `null` for a request that a trusted proxy forwarded, because the client may be unable to reach
/// the ports.
///
/// The HTTP page requests this route over HTTPS, which is another origin, to find out whether its phone trusts the
/// certificate. The resource policy allows that request; without CORS headers, the page cannot read the response.
pub(super) fn info(app: &App, client: &ClientRequest) -> Response<Body> {
    let https = app.https.as_ref().filter(|_| !client.is_forwarded);
    let authority = https.and_then(|https| https.tls.authority());
    let mut response = json(&json!({
        "port": https.map(|https| https.https_port),
        "httpPort": https.map(|https| https.http_port),
        "authority": authority.map(Authority::name),
    }));
    response.headers_mut().insert(
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("cross-origin"),
    );
    response
}

/// `GET /ca.crt`: the root certificate, in DER.
pub(super) fn certificate(app: &App) -> Result<Response<Body>, ApiError> {
    let der = authority(app)?.certificate().to_vec();
    Ok(file_response(
        der,
        "application/x-x509-ca-cert",
        "lockstep.crt",
    ))
}

/// `GET /ca.mobileconfig`: the root certificate as a configuration profile for Apple devices.
pub(super) fn profile(app: &App) -> Result<Response<Body>, ApiError> {
    let profile = authority(app)?.profile();
    let media_type = "application/x-apple-aspen-config";
    Ok(file_response(
        profile.into_bytes(),
        media_type,
        "lockstep.mobileconfig",
    ))
}

fn authority(app: &App) -> Result<&Authority, ApiError> {
    let authority = app.https.as_ref().and_then(|https| https.tls.authority());
    authority.ok_or(ApiError::NotFound(
        "no-authority",
        "This server has no certificate authority of its own",
    ))
}

/// A response with a file and its suggested name. The disposition is `inline`, so that a browser that can install the file
/// offers to install it instead of saving it.
fn file_response(bytes: Vec<u8>, media_type: &'static str, name: &str) -> Response<Body> {
    let mut response = Response::new(full(bytes));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    if let Ok(inline) = HeaderValue::try_from(format!("inline; filename=\"{name}\"")) {
        headers.insert(CONTENT_DISPOSITION, inline);
    }
    response
}

/// The origin of the HTTPS page with the host name of this request, in the syntax of a source in a content security policy;
/// `None` without TLS.
pub(super) fn https_origin(app: &App, client: &ClientRequest) -> Option<String> {
    let name = match gate::without_port(&client.host) {
        // The syntax of sources has no IPv6 addresses (CSP 3, 2.3.1), so permit every host.
        v6 if v6.starts_with('[') => "*",
        name => name,
    };
    Some(Scheme::Https.url(name, app.https.as_ref()?.https_port))
}

/// The URL of the HTTP page with this host name; `None` without TLS.
pub(super) fn plain_url(app: &App, name: &str) -> Option<String> {
    Some(Scheme::Http.url(name, app.https.as_ref()?.http_port))
}
