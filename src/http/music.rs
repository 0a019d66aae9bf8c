//! What is served of the library: index, covers, whole files.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::SystemTime;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    ETAG, HeaderMap, HeaderValue, LAST_MODIFIED, VARY,
};
use hyper::{Method, Request, Response, StatusCode};
use tokio::task::block_in_place;

use super::encoding::takes_gzip;
use super::error::ApiError;
use super::file::{FileBody, Progress, Source};
use super::gate::Paired;
use super::lent::Lender;
use super::range::{Asked, ByteRange};
use super::socket::Line;
use super::uplink::Place;
use super::validators::{self, Modified, Outcome, Validators};
use super::while_paired::WhilePaired;
use super::{App, Body, empty, full};
use crate::library::{Index, Track, Version};

/// The name carries the version, so it never has to be asked for again.
const FOR_GOOD: &str = "private, max-age=31536000, immutable";
/// Kept, but asked for each time.
const ASK_AGAIN: &str = "private, no-cache";

/// `GET /index`.
pub(super) fn index(app: &App, headers: &HeaderMap) -> Result<Response<Body>, ApiError> {
    let index = app.library.index();
    let gzipped = takes_gzip(headers);
    let validators = Validators::new(block_in_place(|| index.etag(gzipped)), None);
    let body = || if gzipped { index.gzip() } else { index.json() };
    let send = || full(block_in_place(body));
    let mut response = answer(headers, &validators, "application/json", ASK_AGAIN, send)?;
    if gzipped && response.status() == StatusCode::OK {
        let headers = response.headers_mut();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
        .headers_mut()
        .insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    Ok(response)
}

/// `GET /cover/:trackId`.
pub(super) async fn cover(
    app: &App,
    id: &str,
    request: &Request<Incoming>,
) -> Result<Response<Body>, ApiError> {
    let index = app.library.index();
    let track = track(&index, id)?;
    let none = ApiError::NotFound("this track has no cover");
    let Some(version) = track.cover_version() else {
        return Err(none);
    };
    let caching = caching(request, version)?;
    let cover = app.covers.get(&index, track.track_id).await;
    let cover = cover.ok_or(none)?;
    let validators = Validators::new(format!("\"{version}-cover\""), None);
    answer(
        request.headers(),
        &validators,
        "image/jpeg",
        caching,
        || full(cover),
    )
}

/// Something small and whole, with its validators.
fn answer(
    headers: &HeaderMap,
    validators: &Validators,
    media_type: &'static str,
    caching: &'static str,
    body: impl FnOnce() -> Body,
) -> Result<Response<Body>, ApiError> {
    let mut response = match validators::evaluate(headers, validators, 0) {
        Outcome::Failed => return Err(ApiError::PreconditionFailed),
        Outcome::NotModified => return Ok(not_modified(caching, validators)),
        Outcome::Send(_) => Response::new(body()),
    };
    set(&mut response, media_type, caching, validators);
    Ok(response)
}

/// `GET /file/:trackId`.
pub(super) async fn file(
    app: &App,
    paired: &Paired<'_>,
    line: &Line,
    id: &str,
    request: &Request<Incoming>,
) -> Result<Response<Body>, ApiError> {
    let index = app.library.index();
    let track = track(&index, id)?;
    let opened = {
        let (index, id) = (index.clone(), track.track_id);
        let open = move || index.track(id).map(|track| index.open(track));
        tokio::task::spawn_blocking(open).await.ok().flatten()
    };
    let opened = match opened {
        Some(Ok(opened)) => opened,
        failed => {
            tracing::warn!(track = %track.track_id, "cannot open the file: {failed:?}");
            return Err(match failed {
                Some(Err(error)) if error.kind() != ErrorKind::NotFound => ApiError::Unreadable,
                _ => ApiError::NotFound("the file is gone"),
            });
        }
    };
    // Of the open file, not of the last scan: what is sent is what it says.
    let version = Version::of(&opened.metadata);
    let size = opened.metadata.len();
    let caching = caching(request, version)?;
    let modified = opened.metadata.modified().ok();
    let modified = modified.and_then(|at| Modified::new(at, SystemTime::now()));
    let validators = Validators::new(format!("\"{version}\""), modified);
    let head = *request.method() == Method::HEAD;
    let (status, part) = match validators::evaluate(request.headers(), &validators, size) {
        Outcome::Failed => return Err(ApiError::PreconditionFailed),
        Outcome::NotModified => return Ok(not_modified(caching, &validators)),
        // RFC 9110, 14.2: a range means nothing but to GET.
        Outcome::Send(_) if head => (StatusCode::OK, None),
        Outcome::Send(Asked::Nothing) => return Err(ApiError::RangeNotSatisfiable { size }),
        Outcome::Send(Asked::Whole) => (StatusCode::OK, None),
        Outcome::Send(Asked::Part(part)) => (StatusCode::PARTIAL_CONTENT, Some(part)),
    };
    let bytes = part.map_or(0..size, |part| part.first..part.last + 1);
    let length = bytes.end - bytes.start;
    let body = if head {
        empty()
    } else {
        let begun = app.downloads.begin(paired.member);
        let begun = begun.ok_or(ApiError::TooManyDownloads)?;
        let place = Place {
            hub: paired.hub.clone(),
            member: paired.member,
            track_id: track.track_id,
            uplink: app.uplink.clone(),
        };
        let source = Arc::new(Source::new(opened.file, version));
        let lender = line.sends_files();
        let lender = lender.then(|| Arc::new(Lender::new(source.clone())));
        let progress = Progress::new(place.clone(), size, bytes.clone());
        line.carry(progress, lender.clone());
        let body = FileBody::new(source, lender, bytes, place, begun);
        WhilePaired::new(body, paired.hub.clone(), paired.member).boxed_unsync()
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    set(&mut response, track.mime, caching, &validators);
    let headers = response.headers_mut();
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_LENGTH, length.into());
    if let Some(ByteRange { first, last }) = part {
        if let Ok(range) = HeaderValue::try_from(format!("bytes {first}-{last}/{size}")) {
            headers.insert(CONTENT_RANGE, range);
        }
    }
    Ok(response)
}

fn track<'a>(index: &'a Arc<Index>, id: &str) -> Result<&'a Track, ApiError> {
    let id = id.parse().ok();
    id.and_then(|id| index.track(id))
        .ok_or(ApiError::NotFound("there is no such track"))
}

/// How long the answer may be kept: for good when the request names the version. One that is no longer the
/// file's is gone, so that nobody keeps new bytes under an old name.
fn caching(request: &Request<Incoming>, version: Version) -> Result<&'static str, ApiError> {
    let query = request.uri().query().unwrap_or_default();
    match query.split('&').find_map(|pair| pair.strip_prefix("v=")) {
        None => Ok(ASK_AGAIN),
        Some(asked) if asked == version.to_string() => Ok(FOR_GOOD),
        Some(_) => Err(ApiError::NotFound("the file has another version by now")),
    }
}

/// What a cache holds is still so. RFC 9110, 15.4.5: it is told nothing else of it.
fn not_modified(caching: &'static str, validators: &Validators) -> Response<Body> {
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    set_caching(&mut response, caching, validators);
    response
}

fn set_caching(response: &mut Response<Body>, caching: &'static str, validators: &Validators) {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    if let Ok(etag) = HeaderValue::try_from(&validators.etag) {
        headers.insert(ETAG, etag);
    }
}

fn set(
    response: &mut Response<Body>,
    media_type: &'static str,
    caching: &'static str,
    validators: &Validators,
) {
    set_caching(response, caching, validators);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    let modified = validators
        .modified
        .map(|modified| httpdate::fmt_http_date(modified.told()));
    if let Some(Ok(date)) = modified.map(HeaderValue::try_from) {
        headers.insert(LAST_MODIFIED, date);
    }
}
