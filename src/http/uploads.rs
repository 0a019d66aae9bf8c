//! Uploads over HTTP: the resumable protocol tus 1.0.0 (<https://tus.io/protocols/resumable-upload>) with the extensions
//! creation, expiration, termination and checksum, a plain `PUT` for scripts, and the list of uploads.

mod method_override;
mod receive;
pub(super) mod tus;

use std::sync::Arc;

use hyper::header::{HeaderName, HeaderValue, LOCATION};
use hyper::{HeaderMap, Response, StatusCode};
use serde::Deserialize;
use serde_json::json;

pub(super) use self::method_override::override_method;
use super::call::Call;
use super::error::ApiError;
use super::gate::PairedDevice;
use super::{Body, empty, json, permission};
use crate::library::rfc3339;
use crate::percent::percent_decoded;
use crate::room::{Action, TrackId};
use crate::upload_service::{UploadService, run_blocking};
use crate::uploads::{Completed, NewUpload, Unfinished, UploadError, UploadId, Writer};

/// The track that an upload has become.
const TRACK_HEADER: HeaderName = HeaderName::from_static("lockstep-track");

type HandlerResult = Result<Response<Body>, ApiError>;

/// `OPTIONS /uploads`: what the server supports of tus.
pub(super) fn options(call: &Call<'_>) -> HandlerResult {
    let mut response = tus::no_content();
    tus::describe_server(
        response.headers_mut(),
        call.app.uploads.uploads.settings().max_size,
    );
    Ok(response)
}

/// `POST /uploads`: begins an upload.
///
/// # Errors
/// Those of [`tus`] and of [`crate::uploads::Uploads::begin`].
pub(super) async fn create(call: Call<'_>, paired: &PairedDevice<'_>) -> HandlerResult {
    tus::check_version(call.headers())?;
    permission::check(paired, Action::Upload)?;
    let metadata = tus::metadata(call.headers())?;
    let new = NewUpload {
        owner: paired.member,
        address: call.client.address,
        name: metadata.get("filename").cloned().unwrap_or_default(),
        size: tus::length(call.headers())?,
        is_pick: metadata.get("pick").is_none_or(|pick| pick != "false"),
        title: metadata.get("title").cloned(),
        metadata: tus::raw_metadata(call.headers()),
        is_resumable: true,
    };
    let upload = begin(&call, new).await?;
    let path = format!("{}/uploads/{}", call.app.base_path, upload.id);
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::CREATED;
    let headers = response.headers_mut();
    if let Ok(path) = HeaderValue::try_from(path) {
        headers.insert(LOCATION, path);
    }
    tus::describe_expiry(headers, &upload);
    Ok(response)
}

async fn begin(call: &Call<'_>, new: NewUpload) -> Result<Arc<Unfinished>, UploadError> {
    let service = call.app.uploads.clone();
    run_blocking(move || service.uploads.begin(new)).await
}

fn find(call: &Call<'_>, paired: &PairedDevice<'_>) -> Result<Arc<Unfinished>, ApiError> {
    let id: UploadId = call.parameter.parse().map_err(|_| UploadError::Unknown)?;
    Ok(call.app.uploads.uploads.find(id, paired.member)?)
}

/// The upload of the request, with the right to write it. Ends a request that still writes.
///
/// # Errors
/// 404 or 410 if there is no such upload of the device, 423 if the other request does not end in time.
async fn lock(call: &Call<'_>, paired: &PairedDevice<'_>) -> Result<Writer, ApiError> {
    let upload = find(call, paired)?;
    let writer = upload.lock().await.ok_or(ApiError::UploadLocked)?;
    // The other request may have completed or cancelled the upload.
    find(call, paired)?;
    Ok(writer)
}

/// `HEAD /uploads/ID`: how many bytes the server has. Ends a request that still writes, so that the number is final.
pub(super) async fn head(call: Call<'_>, paired: &PairedDevice<'_>) -> HandlerResult {
    tus::check_version(call.headers())?;
    let writer = lock(&call, paired).await?;
    let mut response = Response::new(empty());
    let headers = response.headers_mut();
    tus::describe_upload(headers, &writer.upload);
    if let Some(done) = writer.upload.done() {
        insert_track(headers, done);
    }
    Ok(response)
}

/// `PATCH /uploads/ID`: appends bytes. The request that makes the upload whole is answered when the track is listed and picked.
pub(super) async fn append(mut call: Call<'_>, paired: &PairedDevice<'_>) -> HandlerResult {
    tus::check_version(call.headers())?;
    // Before the checks of the headers: another device gets 404 whatever its headers are.
    find(&call, paired)?;
    if !call.app.uploads.uploads.settings().is_enabled {
        return Err(UploadError::Disabled.into());
    }
    // The rules are checked when an upload begins: a change of the rules does not cut off what is under way.
    tus::check_content_type(call.headers())?;
    let offset = tus::offset(call.headers())?;
    let checksum = tus::checksum(call.headers())?;
    let mut writer = lock(&call, paired).await?;
    let upload = writer.upload.clone();
    if upload.received() != offset {
        return Err(ApiError::UploadOffset {
            received: upload.received(),
        });
    }
    if !upload.is_complete() {
        receive::append(&mut call, paired, &mut writer, checksum).await?;
    } else if call.body.next_piece().await.is_some() {
        // The file may be a track already.
        return Err(ApiError::UploadTooLong);
    }
    let mut response = tus::no_content();
    let headers = response.headers_mut();
    headers.insert(tus::UPLOAD_OFFSET, upload.received().into());
    if upload.is_complete() {
        let done = match upload.done() {
            Some(done) => done,
            None => call.app.uploads.clone().complete(writer).await?,
        };
        insert_track(headers, done);
    } else {
        tus::describe_expiry(headers, &upload);
    }
    Ok(response)
}

fn insert_track(headers: &mut HeaderMap, done: Completed) {
    if let Ok(track) = HeaderValue::try_from(done.track_id.to_string()) {
        headers.insert(TRACK_HEADER, track);
    }
}

/// `DELETE /uploads/ID`: cancels an upload.
pub(super) async fn cancel(call: Call<'_>, paired: &PairedDevice<'_>) -> HandlerResult {
    tus::check_version(call.headers())?;
    let writer = lock(&call, paired).await?;
    let service = call.app.uploads.clone();
    run_blocking(move || Ok(service.uploads.end(&writer.upload)?)).await?;
    Ok(tus::no_content())
}

/// `PUT /uploads/by-name/NAME`: a whole upload in one request. Not resumable: what a broken connection has sent is removed.
pub(super) async fn put(mut call: Call<'_>, paired: &PairedDevice<'_>) -> HandlerResult {
    permission::check(paired, Action::Upload)?;
    let size = tus::content_length(call.headers())?;
    let name = percent_decoded(call.parameter.as_bytes());
    let query = call.head.uri().query().unwrap_or_default();
    let new = NewUpload {
        owner: paired.member,
        address: call.client.address,
        name: String::from_utf8_lossy(&name).into_owned(),
        size,
        is_pick: !query.split('&').any(|pair| pair == "pick=false"),
        title: query_value(query, "title="),
        metadata: String::new(),
        is_resumable: false,
    };
    let upload = begin(&call, new).await?;
    let unfinished = EndedOnDrop(Some((call.app.uploads.clone(), upload.clone())));
    let mut writer = upload.lock().await.ok_or(ApiError::UploadLocked)?;
    receive::append(&mut call, paired, &mut writer, None).await?;
    if !upload.is_complete() {
        return Err(ApiError::BadRequest(
            "The connection ended before the whole file had arrived".into(),
        ));
    }
    unfinished.keep();
    let done = call.app.uploads.clone().complete(writer).await?;
    let mut response = json(&json!({ "trackId": done.track_id, "isNew": done.is_new }));
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

/// The value of the first parameter of a query that begins with `prefix`.
fn query_value(query: &str, prefix: &str) -> Option<String> {
    let value = query
        .split('&')
        .find_map(|pair| pair.strip_prefix(prefix))?;
    let value = percent_decoded(value.as_bytes());
    Some(String::from_utf8_lossy(&value).into_owned())
}

/// Ends an upload that is dropped before it is complete, also if the connection is closed meanwhile.
struct EndedOnDrop(Option<(Arc<UploadService>, Arc<Unfinished>)>);

impl EndedOnDrop {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for EndedOnDrop {
    fn drop(&mut self) {
        let Some((service, upload)) = self.0.take() else {
            return;
        };
        // At the end of the process there may be no runtime; the next start then removes the upload.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn_blocking(move || {
                if let Err(error) = service.uploads.end(&upload) {
                    tracing::warn!("cannot remove an incomplete upload: {error}");
                }
            });
        }
    }
}

/// `GET /uploads`: the uploads that have become tracks.
pub(super) async fn list(call: Call<'_>) -> HandlerResult {
    let service = &call.app.uploads;
    let stored = service.stored().await?;
    let rows = stored.iter().map(|upload| {
        let expires_at = service.uploads.expires_at(upload);
        let expires_at = expires_at.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        json!({
            "trackId": upload.key.track_id,
            "name": upload.name,
            "by": upload.key.member,
            "size": upload.size,
            "expiresAt": expires_at.map(|at| rfc3339::format(at.as_secs())),
        })
    });
    Ok(json(&rows.collect::<Vec<_>>()))
}

/// `DELETE /uploads/by-track/TRACKID`: removes an upload from the library.
///
/// # Errors
/// 404 if no upload has this track, 403 unless the device has brought it, or is a host, or there is none.
pub(super) async fn remove(call: Call<'_>, paired: &PairedDevice<'_>) -> HandlerResult {
    let track_id: TrackId = call
        .parameter
        .parse()
        .map_err(|_| ApiError::NO_SUCH_TRACK)?;
    let stored = call.app.uploads.stored().await?;
    let uploads = stored
        .iter()
        .filter(|upload| upload.key.track_id == track_id);
    let owners: Vec<_> = uploads.map(|upload| upload.key.member).collect();
    if !owners.is_empty() {
        permission::check(paired, Action::RemoveUpload(&owners))?;
    }
    call.app.uploads.remove_track(track_id).await?;
    Ok(tus::no_content())
}

/// The body of `PUT /uploads/by-track/TRACKID/title`.
#[derive(Debug, Deserialize)]
struct TitleRequest {
    title: String,
}

/// `PUT /uploads/by-track/TRACKID/title`: gives an upload a title.
///
/// # Errors
/// 404 if no upload has this track, 403 for an upload of another device, 422 if the tags of the file have a title.
pub(super) async fn set_title(call: Call<'_>, paired: &PairedDevice<'_>) -> HandlerResult {
    let track_id: TrackId = call
        .parameter
        .parse()
        .map_err(|_| ApiError::NO_SUCH_TRACK)?;
    let TitleRequest { title } = call.body.read_json().await?;
    let service = &call.app.uploads;
    service.set_title(track_id, paired.member, &title).await?;
    Ok(tus::no_content())
}

/// Whether the path, which is relative to the base path, is that of a request for uploads.
pub(super) fn has_path(path: &str) -> bool {
    path == "/uploads" || path.starts_with("/uploads/")
}

/// Adds the version of tus to the headers of a response, which tus requires of errors, too.
pub(super) fn insert_version(headers: &mut HeaderMap) {
    headers.insert(tus::TUS_RESUMABLE, tus::VERSION);
}
