//! The page's own files, embedded in the binary.

use std::borrow::Cow;

use bytes::Bytes;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue,
};
use hyper::{Response, StatusCode};
use rust_embed::RustEmbed;

use super::error::ApiError;
use super::validators::{self, Outcome, Validators};
use super::{Body, empty, full};

#[derive(RustEmbed)]
#[folder = "static/"]
#[exclude = ".*"]
struct Static;

/// Everything from this server, nothing inline, nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
    media-src 'self' blob: data:; connect-src 'self'; manifest-src 'self'; worker-src 'self'; font-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Whether the page has a file at `path`.
pub(super) fn has(path: &str) -> bool {
    Static::get(name_of(path)).is_some()
}

fn name_of(path: &str) -> &str {
    match path {
        "/" => "index.html",
        _ => path.strip_prefix('/').unwrap_or(path),
    }
}

/// The page's file at `path`. There are no others, so nothing of the disk can be asked for.
pub(super) fn file(path: &str, headers: &HeaderMap) -> Result<Response<Body>, ApiError> {
    let name = name_of(path);
    let file = Static::get(name).ok_or(ApiError::NotFound("there is nothing here"))?;
    let hash = file.metadata.sha256_hash();
    let etag = format!(
        "\"{}\"",
        hash[..8]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    );
    let validators = Validators::new(etag, None);
    let mut response = match validators::evaluate(headers, &validators, file.data.len() as u64) {
        Outcome::NotModified => {
            let mut response = Response::new(empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        }
        Outcome::Failed => return Err(ApiError::PreconditionFailed),
        Outcome::Send(_) => Response::new(full(match file.data {
            Cow::Borrowed(embedded) => Bytes::from_static(embedded),
            Cow::Owned(read) => read.into(),
        })),
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type(name)));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    // Kept, but asked for each time: a new server brings its new page at the next load.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(etag) = HeaderValue::try_from(validators.etag) {
        headers.insert(ETAG, etag);
    }
    Ok(response)
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        _ => "application/octet-stream",
    }
}
