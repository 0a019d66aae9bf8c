//! Serves the page's files and the OpenAPI document, which are embedded in the binary. `build/assets.rs` hashes and
//! compresses the files at build time, so the server only looks a file up for a request.

use bytes::Bytes;
use hyper::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderValue, VARY,
};
use hyper::{Response, StatusCode};

use super::encoding;
use super::error::ApiError;
use super::files::validators::{self, ConditionalResult, Validators};
use super::{Body, empty, full};
use crate::base_path::BasePath;

/// An embedded file.
struct File {
    /// The URL path, without the leading slash.
    name: &'static str,
    /// The first 16 hexadecimal digits of the content's SHA-256, from which the entity tag is made.
    tag: &'static str,
    content: &'static [u8],
    /// The compressed content; `None` if it would not be shorter.
    gzip: Option<&'static [u8]>,
}

/// All embedded files, sorted by name.
static FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// The path of the page of rooms other than the house room: the same page, whose addresses are relative to that of the house.
pub(super) const ROOM_PAGE: &str = "/room.html";

/// The content security policy of the page: resources from this server only, no inline scripts or styles, no framing.
/// Scripts may also connect to `https_origin`, if there is one.
fn content_security_policy(https_origin: Option<&str>) -> String {
    let connect = https_origin.map(|origin| format!(" {origin}"));
    let connect = connect.unwrap_or_default();
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
        media-src 'self' blob:; connect-src 'self'{connect}; manifest-src 'self'; worker-src 'self'; \
        font-src 'self'; base-uri 'self'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// Whether a file is embedded at this URL path.
pub(super) fn has(path: &str) -> bool {
    find(path).is_some()
}

fn find(path: &str) -> Option<&'static File> {
    let name = match path {
        "/" => "index.html",
        _ => path.strip_prefix('/').unwrap_or(path),
    };
    let index = FILES.binary_search_by(|file| file.name.cmp(name)).ok()?;
    FILES.get(index)
}

/// The name of the OpenAPI document.
const API_DOCUMENT: &str = "openapi.yaml";
/// The line of the OpenAPI document with the base path.
const API_SERVER: &str = "\n  - url: /\n";

/// The response to a GET or HEAD request for an embedded file. The OpenAPI document contains `base_path`; the page's own
/// files contain only relative addresses. `https_origin` is the origin of the HTTPS page if the scripts of the HTTP page
/// may connect to that origin. They connect in order to find out whether the phone trusts the server's certificate.
///
/// # Errors
/// 404 if there is no file at `path`; 412 if a precondition of the request is false.
pub(super) fn answer(
    path: &str,
    base_path: &BasePath,
    headers: &HeaderMap,
    https_origin: Option<&str>,
) -> Result<Response<Body>, ApiError> {
    let file = find(path).ok_or(ApiError::NO_SUCH_PATH)?;
    if file.name == API_DOCUMENT && *base_path != BasePath::default() {
        return Ok(api_document(file, base_path));
    }
    let gzip = file.gzip.filter(|_| encoding::accepts_gzip(headers));
    // The plain and the compressed content are two representations, whose strong entity tags must differ (RFC 9110,
    // 8.8.3.3).
    let suffix = if gzip.is_some() { "-gzip" } else { "" };
    let etag = format!("\"{}{suffix}\"", file.tag);
    let content = gzip.unwrap_or(file.content);

    let validators = Validators::new(etag, None);
    let mut response = match validators::evaluate(headers, &validators, content.len() as u64) {
        ConditionalResult::NotModified => {
            let mut response = Response::new(empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        }
        ConditionalResult::PreconditionFailed => return Err(ApiError::PreconditionFailed),
        // A server may ignore `Range` (RFC 9110, 14.2). The files are small.
        ConditionalResult::Send(_) => {
            let mut response = Response::new(full(Bytes::from_static(content)));
            if gzip.is_some() {
                let headers = response.headers_mut();
                headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            response
        }
    };
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static(media_type(file.name)),
    );
    if let Ok(policy) = HeaderValue::try_from(content_security_policy(https_origin)) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    // Browsers revalidate the files at each load, so that they never run the page of an older server version.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(etag) = HeaderValue::try_from(validators.etag) {
        headers.insert(ETAG, etag);
    }
    Ok(response)
}

/// The OpenAPI document for a server with a base path.
fn api_document(file: &File, base_path: &BasePath) -> Response<Body> {
    let document = String::from_utf8_lossy(file.content);
    let document = document.replacen(API_SERVER, &format!("\n  - url: {base_path}\n"), 1);
    let mut response = Response::new(full(document));
    let media_type = HeaderValue::from_static(media_type(file.name));
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        "yaml" => "application/yaml",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn finds_every_embedded_file_by_its_path() {
        for file in FILES {
            let found = find(&format!("/{}", file.name)).unwrap();
            assert_eq!(found.name, file.name);
        }
        assert_eq!(find("/").unwrap().name, "index.html");
        for path in ["/static/index.html", "/js", "/js/types.js", "/.", "//"] {
            assert!(find(path).is_none(), "{path}");
        }
    }

    #[test]
    fn embeds_gzip_only_if_it_is_shorter_and_unpacks_to_the_content() {
        for file in FILES {
            let Some(gzip) = file.gzip else { continue };
            assert!(gzip.len() < file.content.len(), "{}", file.name);
            let mut unpacked = Vec::new();
            GzDecoder::new(gzip).read_to_end(&mut unpacked).unwrap();
            assert!(unpacked == file.content, "{}", file.name);
        }
        let compressed = FILES.iter().filter(|file| file.gzip.is_some()).count();
        assert!(compressed > FILES.len() / 2, "{compressed}");
    }

    #[test]
    fn tags_are_the_first_digits_of_the_contents_sha_256() {
        for file in FILES {
            let hash = Sha256::digest(file.content);
            let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(file.tag.len(), 16, "{}", file.name);
            assert!(hash.starts_with(file.tag), "{}", file.name);
        }
    }

    #[test]
    fn api_document_names_the_base_path_once() {
        let file = find("/openapi.yaml").unwrap();
        let document = std::str::from_utf8(file.content).unwrap();
        assert_eq!(document.matches(API_SERVER).count(), 1);
    }

    #[test]
    fn every_embedded_file_has_a_known_media_type() {
        for file in FILES {
            assert_ne!(
                media_type(file.name),
                "application/octet-stream",
                "{}",
                file.name
            );
        }
    }
}
