//! Serves the library: the index, the covers, and whole audio files or parts of them.

pub(super) mod download_priority;
pub(super) mod progress;
pub(super) mod range;
pub(super) mod validators;

mod buffer_pool;
mod reading;

use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http_body_util::BodyExt;
use hyper::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    ETAG, HeaderMap, HeaderValue, LAST_MODIFIED, VARY,
};
use hyper::{Method, Request, Response, StatusCode};
use tokio::task::block_in_place;

use self::download_priority::DownloadContext;
use self::progress::DownloadProgress;
use self::range::{ByteRange, RequestedRange};
use self::reading::{FileBody, VersionedFile};
use self::validators::{ConditionalResult, LastModified, Validators};
use super::encoding::accepts_gzip;
use super::error::ApiError;
use super::gate::PairedDevice;
use super::paired_body::PairedBody;
use super::socket::ConnectionInfo;
use super::{App, Body, NO_PROXY_BUFFER, empty, full};
use crate::library::{Index, Track, TrackFile, Version};

/// `Cache-Control` for URLs that contain the version of the file, whose content never changes.
const CACHE_FOREVER: &str = "private, max-age=31536000, immutable";
/// `Cache-Control` for all other URLs: caches must revalidate their copy before each use.
const CACHE_REVALIDATED: &str = "private, no-cache";

/// `GET /index`: the index of the library in JSON, compressed if the client accepts gzip. Fails as [`small_response`] does.
pub(super) fn index(app: &App, headers: &HeaderMap) -> Result<Response<Body>, ApiError> {
    let index = app.library.index();
    let uses_gzip = accepts_gzip(headers);
    let validators = Validators::new(
        block_in_place(|| index.etag(&app.base_path, uses_gzip)),
        None,
    );
    let bytes = || match uses_gzip {
        true => index.gzip(&app.base_path),
        false => index.json(&app.base_path),
    };
    let body = || full(block_in_place(bytes));
    let mut response = small_response(
        headers,
        &validators,
        "application/json",
        CACHE_REVALIDATED,
        body,
    )?;
    if uses_gzip && response.status() == StatusCode::OK {
        let headers = response.headers_mut();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
        .headers_mut()
        .insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    Ok(response)
}

/// `GET /playlists`: the playlists in the audio folder, with their listed tracks. Fails as [`small_response`] does.
pub(super) fn playlists(app: &App, headers: &HeaderMap) -> Result<Response<Body>, ApiError> {
    let index = app.library.index();
    let validators = Validators::new(index.playlists_etag(), None);
    let body = || full(index.playlists_json());
    small_response(
        headers,
        &validators,
        "application/json",
        CACHE_REVALIDATED,
        body,
    )
}

/// `GET /cover/:trackId`: the scaled cover of a track.
///
/// # Errors
/// 404 if there is no such track or the track has no cover; those of [`cache_control`] and [`small_response`].
pub(super) async fn cover(
    app: &App,
    id: &str,
    request: &Request<()>,
) -> Result<Response<Body>, ApiError> {
    let index = app.library.index();
    let track = find_track(&index, id)?;
    let no_cover = ApiError::NotFound("no-cover", "This track has no cover");
    let Some(version) = track.cover_version() else {
        return Err(no_cover);
    };
    let caching = cache_control(request, version)?;
    let cover = app.covers.get(&index, track.track_id).await;
    let cover = cover.ok_or(no_cover)?;
    let validators = Validators::new(format!("\"{version}-cover\""), None);
    small_response(
        request.headers(),
        &validators,
        "image/jpeg",
        caching,
        || full(cover),
    )
}

/// The response for a resource that is in memory. Ignores the header `Range`, which a server may do (RFC 9110, 14.2).
///
/// # Errors
/// 412 if a precondition of the request is false.
fn small_response(
    headers: &HeaderMap,
    validators: &Validators,
    media_type: &'static str,
    caching: &'static str,
    body: impl FnOnce() -> Body,
) -> Result<Response<Body>, ApiError> {
    // The size 0 has no effect, because only the range depends on the size.
    let mut response = match validators::evaluate(headers, validators, 0) {
        ConditionalResult::PreconditionFailed => return Err(ApiError::PreconditionFailed),
        ConditionalResult::NotModified => return Ok(not_modified(caching, validators)),
        ConditionalResult::Send(_) => Response::new(body()),
    };
    set_content_headers(&mut response, media_type, caching, validators);
    Ok(response)
}

/// `GET /file/:trackId`: the audio file of a track, or the part that the header `Range` requests.
///
/// # Errors
/// 404 if there is no such track; 412 and 416 for the conditions and the range of the request; 429 if the device has too
/// many downloads in progress; those of [`open`] and [`cache_control`].
pub(super) async fn file(
    app: &App,
    paired: &PairedDevice<'_>,
    connection: &ConnectionInfo,
    id: &str,
    request: &Request<()>,
) -> Result<Response<Body>, ApiError> {
    let index = app.library.index();
    let track = find_track(&index, id)?;
    let mut opened = open(app, &index, track).await?;
    let mut slot = None;
    if opened.must_be_hashed() {
        // A device must not make the server hash without limit.
        let taken = app.downloads.take(paired.member);
        slot = Some(taken.ok_or(ApiError::TooManyDownloads)?);
        let hashed = opened.hash().await;
        hashed.map_err(|error| file_error(track, &error))?;
    }
    let version = opened.version();
    // The version, the metadata and the size belong to the same state of the file.
    let metadata = opened.metadata();
    let size = metadata.len();
    let caching = cache_control(request, version)?;
    let modified = LastModified::new(last_change(metadata), SystemTime::now());
    let validators = Validators::new(format!("\"{version}\""), modified);
    let is_head = *request.method() == Method::HEAD;
    let (status, part) = match validators::evaluate(request.headers(), &validators, size) {
        ConditionalResult::PreconditionFailed => return Err(ApiError::PreconditionFailed),
        ConditionalResult::NotModified => return Ok(not_modified(caching, &validators)),
        // The header Range applies to GET only (RFC 9110, section 14.2).
        ConditionalResult::Send(_) if is_head => (StatusCode::OK, None),
        ConditionalResult::Send(RequestedRange::Unsatisfiable) => {
            return Err(ApiError::RangeNotSatisfiable { size });
        }
        ConditionalResult::Send(RequestedRange::Whole) => (StatusCode::OK, None),
        ConditionalResult::Send(RequestedRange::Part(part)) => {
            (StatusCode::PARTIAL_CONTENT, Some(part))
        }
    };
    let bytes = part.map_or(0..size, |part| part.first..part.last + 1);
    let length = bytes.end - bytes.start;
    let body = if is_head {
        empty()
    } else {
        let slot = slot.or_else(|| app.downloads.take(paired.member));
        let slot = slot.ok_or(ApiError::TooManyDownloads)?;
        let context = DownloadContext {
            rooms: paired.rooms.clone(),
            member: paired.member,
            track_id: track.track_id,
            uplink: app.uplink.clone(),
        };
        connection.begin_download(DownloadProgress::new(context.clone(), size, bytes.clone()));
        let file = Arc::new(VersionedFile::new(opened));
        let body = FileBody::new(file, bytes, context, slot);
        PairedBody::new(body, paired.hub.clone(), paired.member).boxed_unsync()
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    set_content_headers(&mut response, track.mime, caching, &validators);
    let headers = response.headers_mut();
    // A proxy that reads ahead of a slow phone would hide from the server how far the download is.
    headers.insert(NO_PROXY_BUFFER.0, NO_PROXY_BUFFER.1);
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_LENGTH, length.into());
    if let Some(ByteRange { first, last }) = part {
        if let Ok(range) = HeaderValue::try_from(format!("bytes {first}-{last}/{size}")) {
            headers.insert(CONTENT_RANGE, range);
        }
    }
    Ok(response)
}

fn find_track<'a>(index: &'a Arc<Index>, id: &str) -> Result<&'a Track, ApiError> {
    let id = id.parse().ok();
    id.and_then(|id| index.track(id))
        .ok_or(ApiError::NO_SUCH_TRACK)
}

/// Opens a track's file on the blocking pool. Requests a scan if the file has changed since the last one.
///
/// # Errors
/// 404 if the file does not exist any more, 500 if it cannot be opened.
async fn open(app: &App, index: &Arc<Index>, track: &Track) -> Result<TrackFile, ApiError> {
    let (index, id, checks) = (index.clone(), track.track_id, app.content_checks.clone());
    let open = move || TrackFile::open(&index, id, &checks);
    let opened = tokio::task::spawn_blocking(open).await;
    let opened = opened.unwrap_or_else(|error| Err(io::Error::other(error)));
    let opened = opened.map_err(|error| file_error(track, &error))?;
    if opened.is_unknown_to_scans() {
        app.library.report_change();
    }
    Ok(opened)
}

/// Logs that the file of a track cannot be read, and returns the response.
fn file_error(track: &Track, error: &io::Error) -> ApiError {
    tracing::warn!(track = %track.track_id, "cannot read the file of a track: {error}");
    match error.kind() {
        ErrorKind::NotFound => ApiError::NotFound("file-gone", "The file does not exist any more"),
        _ => ApiError::Unreadable,
    }
}

/// The time of the last change of a file: a program that changes the content can restore the modification time, but not the
/// change time.
fn last_change(metadata: &Metadata) -> SystemTime {
    let seconds = metadata.mtime().max(metadata.ctime());
    UNIX_EPOCH + Duration::from_secs(seconds.max(0).unsigned_abs())
}

/// The `Cache-Control` value for a request whose query may contain the expected version of the file (`?v=`).
///
/// # Errors
/// 404 if the expected version is not `version`, so that no cache stores new content under the URL of an old version.
fn cache_control(request: &Request<()>, version: Version) -> Result<&'static str, ApiError> {
    let query = request.uri().query().unwrap_or_default();
    match query.split('&').find_map(|pair| pair.strip_prefix("v=")) {
        None => Ok(CACHE_REVALIDATED),
        Some(requested) if requested == version.to_string() => Ok(CACHE_FOREVER),
        Some(_) => Err(ApiError::NotFound(
            "other-version",
            "The file has another version",
        )),
    }
}

/// A 304 response with only the header fields that RFC 9110, section 15.4.5 requires.
fn not_modified(caching: &'static str, validators: &Validators) -> Response<Body> {
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    set_cache_headers(&mut response, caching, validators);
    response
}

fn set_cache_headers(
    response: &mut Response<Body>,
    caching: &'static str,
    validators: &Validators,
) {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    if let Ok(etag) = HeaderValue::try_from(&validators.etag) {
        headers.insert(ETAG, etag);
    }
}

fn set_content_headers(
    response: &mut Response<Body>,
    media_type: &'static str,
    caching: &'static str,
    validators: &Validators,
) {
    set_cache_headers(response, caching, validators);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    let modified = validators
        .modified
        .map(|modified| httpdate::fmt_http_date(modified.header_time()));
    if let Some(Ok(date)) = modified.map(HeaderValue::try_from) {
        headers.insert(LAST_MODIFIED, date);
    }
}
