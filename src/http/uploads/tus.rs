//! The headers of tus 1.0.0.

use std::collections::BTreeMap;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use super::super::error::ApiError;
use super::super::{Body, empty};
use crate::uploads::{UNFINISHED_LIFETIME, Unfinished};

pub(super) const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
pub(super) const TUS_VERSION: HeaderName = HeaderName::from_static("tus-version");
pub(super) const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
pub(super) const METHOD_OVERRIDE: HeaderName = HeaderName::from_static("x-http-method-override");
const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
const UPLOAD_METADATA: HeaderName = HeaderName::from_static("upload-metadata");
const UPLOAD_CHECKSUM: HeaderName = HeaderName::from_static("upload-checksum");
const UPLOAD_EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
/// The only version of the protocol that the server supports.
pub(super) const VERSION: HeaderValue = HeaderValue::from_static("1.0.0");
/// The media type of the body of a PATCH.
const CHUNK_TYPE: &str = "application/offset+octet-stream";

/// A 204 response.
pub(super) fn no_content() -> Response<Body> {
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// Describes the server in the response to OPTIONS.
pub(super) fn describe_server(headers: &mut HeaderMap, max_size: u64) {
    headers.insert(TUS_VERSION, VERSION);
    for (name, value) in [
        ("tus-extension", "creation,expiration,termination,checksum"),
        ("tus-checksum-algorithm", "sha1,sha256"),
    ] {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    headers.insert(HeaderName::from_static("tus-max-size"), max_size.into());
}

/// Describes an unfinished upload.
pub(super) fn describe_upload(headers: &mut HeaderMap, upload: &Unfinished) {
    headers.insert(UPLOAD_OFFSET, upload.received().into());
    headers.insert(UPLOAD_LENGTH, upload.size.into());
    if let Ok(metadata) = HeaderValue::try_from(&*upload.metadata) {
        if !metadata.is_empty() {
            headers.insert(UPLOAD_METADATA, metadata);
        }
    }
    describe_expiry(headers, upload);
}

/// States when an unfinished upload expires.
pub(super) fn describe_expiry(headers: &mut HeaderMap, upload: &Unfinished) {
    let expires = upload.last_byte().checked_add(UNFINISHED_LIFETIME);
    let expires = httpdate::fmt_http_date(expires.unwrap_or(SystemTime::UNIX_EPOCH));
    if let Ok(expires) = HeaderValue::try_from(expires) {
        headers.insert(UPLOAD_EXPIRES, expires);
    }
}

/// # Errors
/// 412 unless the client speaks the version of the server.
pub(super) fn check_version(headers: &HeaderMap) -> Result<(), ApiError> {
    match headers.get(TUS_RESUMABLE) {
        Some(version) if version == VERSION => Ok(()),
        _ => Err(ApiError::TusVersion),
    }
}

/// # Errors
/// 415 unless the body of a PATCH has the media type that tus requires.
pub(super) fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    match headers.get(CONTENT_TYPE) {
        Some(value) if value.as_bytes().eq_ignore_ascii_case(CHUNK_TYPE.as_bytes()) => Ok(()),
        _ => Err(ApiError::UnsupportedMedia(format!(
            "The Content-Type of the bytes of an upload must be {CHUNK_TYPE}"
        ))),
    }
}

/// The size of the whole file.
///
/// # Errors
/// 400 if the header is missing or is not a number.
pub(in crate::http) fn length(headers: &HeaderMap) -> Result<u64, ApiError> {
    number(headers, &UPLOAD_LENGTH)?.ok_or_else(|| missing(&UPLOAD_LENGTH))
}

/// The position of the first byte of the body in the file.
///
/// # Errors
/// 400 if the header is missing or is not a number.
pub(in crate::http) fn offset(headers: &HeaderMap) -> Result<u64, ApiError> {
    number(headers, &UPLOAD_OFFSET)?.ok_or_else(|| missing(&UPLOAD_OFFSET))
}

/// The size of the body of a PUT.
///
/// # Errors
/// 411 if the header is missing, 400 if it is not a number.
pub(super) fn content_length(headers: &HeaderMap) -> Result<u64, ApiError> {
    number(headers, &CONTENT_LENGTH)?.ok_or(ApiError::LengthRequired)
}

fn missing(name: &HeaderName) -> ApiError {
    ApiError::BadRequest(format!("The header {name} is missing"))
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Result<Option<u64>, ApiError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let digits = value
        .to_str()
        .ok()
        .filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
    match (digits.and_then(|digits| digits.parse().ok()), values.next()) {
        (Some(number), None) => Ok(Some(number)),
        _ => Err(ApiError::BadRequest(format!(
            "The header {name} must be a single number"
        ))),
    }
}

/// The header `Upload-Metadata`; empty if there is none.
pub(super) fn raw_metadata(headers: &HeaderMap) -> String {
    let value = headers
        .get(UPLOAD_METADATA)
        .and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

/// The keys and values of `Upload-Metadata`: pairs, separated by commas, of a key and a value in Base64.
///
/// # Errors
/// 400 if the header does not have this form.
pub(in crate::http) fn metadata(headers: &HeaderMap) -> Result<BTreeMap<String, String>, ApiError> {
    let invalid = || ApiError::BadRequest("The header Upload-Metadata is not valid".into());
    let mut metadata = BTreeMap::new();
    let Some(value) = headers.get(UPLOAD_METADATA) else {
        return Ok(metadata);
    };
    let text = value.to_str().map_err(|_| invalid())?;
    for pair in text
        .split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
    {
        let (key, value) = pair.split_once(' ').unwrap_or((pair, ""));
        let value = BASE64.decode(value.trim()).map_err(|_| invalid())?;
        let value = String::from_utf8_lossy(&value).into_owned();
        if metadata.insert(key.to_owned(), value).is_some() {
            return Err(invalid());
        }
    }
    Ok(metadata)
}

/// The checksum that the body of a PATCH must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) enum Checksum {
    Sha1(Vec<u8>),
    Sha256(Vec<u8>),
}

/// The header `Upload-Checksum`: the name of the algorithm and the checksum in Base64.
///
/// # Errors
/// 400 for an unknown algorithm or an invalid value.
pub(in crate::http) fn checksum(headers: &HeaderMap) -> Result<Option<Checksum>, ApiError> {
    let Some(value) = headers.get(UPLOAD_CHECKSUM) else {
        return Ok(None);
    };
    let parsed = value.to_str().ok().and_then(|text| {
        let (algorithm, value) = text.trim().split_once(' ')?;
        let value = BASE64.decode(value.trim()).ok()?;
        match (algorithm, value.len()) {
            ("sha1", 20) => Some(Checksum::Sha1(value)),
            ("sha256", 32) => Some(Checksum::Sha256(value)),
            _ => None,
        }
    });
    parsed.map(Some).ok_or_else(|| {
        ApiError::BadRequest(
            "The header Upload-Checksum needs sha1 or sha256 and the checksum in Base64".into(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        let name = HeaderName::from_static(name);
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn metadata_is_decoded() {
        let parsed = metadata(&headers(
            "upload-metadata",
            "filename U29uZy5tcDM=, pick ZmFsc2U=,empty",
        ));
        let parsed = parsed.unwrap();
        assert_eq!(parsed["filename"], "Song.mp3");
        assert_eq!(parsed["pick"], "false");
        assert_eq!(parsed["empty"], "");
        assert!(metadata(&HeaderMap::new()).unwrap().is_empty());
        for invalid in ["filename %%%", "a U29uZw==,a U29uZw=="] {
            assert!(
                metadata(&headers("upload-metadata", invalid)).is_err(),
                "{invalid}"
            );
        }
    }

    #[test]
    fn only_known_checksums_of_the_right_size_are_accepted() {
        let sha1 = checksum(&headers(
            "upload-checksum",
            "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=",
        ));
        assert!(matches!(sha1, Ok(Some(Checksum::Sha1(_)))));
        assert_eq!(checksum(&HeaderMap::new()).unwrap(), None);
        for invalid in ["sha1 AAAA", "md5 AAAA", "sha256", "sha1 ?"] {
            assert!(
                checksum(&headers("upload-checksum", invalid)).is_err(),
                "{invalid}"
            );
        }
    }

    #[test]
    fn numbers_have_digits_only() {
        assert_eq!(length(&headers("upload-length", "17")).unwrap(), 17);
        for invalid in ["-1", "+1", "1.5", "", "x", "99999999999999999999"] {
            assert!(
                length(&headers("upload-length", invalid)).is_err(),
                "{invalid}"
            );
        }
        assert!(matches!(
            content_length(&HeaderMap::new()),
            Err(ApiError::LengthRequired)
        ));
    }
}
