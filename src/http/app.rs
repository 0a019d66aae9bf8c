//! The page's own files, embedded in the binary, sent without what is for people alone and compressed for those who take it;
//! and the list of them, by which the page's service worker knows what to keep and when there is something new.

mod slim;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderValue, VARY,
};
use hyper::{Response, StatusCode};
use rust_embed::RustEmbed;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::encoding;
use super::error::ApiError;
use super::validators::{self, Outcome, Validators};
use super::{Body, empty, full};

#[derive(RustEmbed)]
#[folder = "static/"]
#[exclude = ".*"]
// Types only: no browser ever asks for it.
#[exclude = "js/types.js"]
struct Static;

/// Everything from this server, nothing inline, nobody's frame; and besides, script may ask the origins of `connect`.
fn policy(connect: &str) -> String {
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
        media-src 'self' blob:; connect-src 'self'{connect}; manifest-src 'self'; worker-src 'self'; \
        font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// What the page consists of, and its version. Made, not embedded.
const SHELL: &str = "shell.json";

/// Not a part of what the service worker keeps, but the worker itself: browsers look after it.
const WORKER: &str = "sw.js";

type Hash = [u8; 32];

/// One of the page's files, as it is sent.
#[derive(Clone)]
struct File {
    content: Bytes,
    hash: Hash,
}

impl File {
    fn new(content: impl Into<Bytes>) -> Self {
        let content = content.into();
        let hash = Sha256::digest(&content).into();
        File { content, hash }
    }
}

/// Whether the page has a file at `path`.
pub(super) fn has(path: &str) -> bool {
    find(name_of(path)).is_some()
}

fn name_of(path: &str) -> &str {
    match path {
        "/" => "index.html",
        _ => path.strip_prefix('/').unwrap_or(path),
    }
}

/// The page's file at `path`. There are no others, so nothing of the disk can be asked for. `other_origin` is where the page
/// looks whether it could be a secure one.
pub(super) fn file(
    path: &str,
    headers: &HeaderMap,
    other_origin: Option<&str>,
) -> Result<Response<Body>, ApiError> {
    let name = name_of(path);
    let file = find(name).ok_or(ApiError::NotFound("there is nothing here"))?;
    let gzipped = encoding::takes_gzip(headers)
        .then(|| gzipped(&file))
        .flatten();
    // To a cache, two encodings are two things.
    let suffix = if gzipped.is_some() { "-gzip" } else { "" };
    let etag = format!("\"{}{suffix}\"", hex(&file.hash));
    let encoded = gzipped.is_some();
    let content = gzipped.unwrap_or(file.content);

    let validators = Validators::new(etag, None);
    let mut response = match validators::evaluate(headers, &validators, content.len() as u64) {
        Outcome::NotModified => {
            let mut response = Response::new(empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        }
        Outcome::Failed => return Err(ApiError::PreconditionFailed),
        Outcome::Send(_) => {
            let mut response = Response::new(full(content));
            if encoded {
                let headers = response.headers_mut();
                headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            response
        }
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type(name)));
    let other_origin = other_origin.map(|origin| format!(" {origin}"));
    if let Ok(policy) = HeaderValue::try_from(policy(&other_origin.unwrap_or_default())) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    // Kept, but asked for each time: a new server brings its new page at the next load.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(etag) = HeaderValue::try_from(validators.etag) {
        headers.insert(ETAG, etag);
    }
    Ok(response)
}

fn find(name: &str) -> Option<File> {
    if name == SHELL {
        return Some(File::new(shell()));
    }
    let file = Static::get(name)?;
    let embedded = File {
        hash: file.metadata.sha256_hash(),
        content: match file.data {
            Cow::Borrowed(embedded) => Bytes::from_static(embedded),
            Cow::Owned(read) => read.into(),
        },
    };
    Some(match slim::Language::of(name) {
        Some(language) => slimmed(language, embedded),
        None => embedded,
    })
}

/// The file without what is for people alone.
fn slimmed(language: slim::Language, embedded: File) -> File {
    /// Each content is read through once, when it is first asked for.
    static DONE: Mutex<BTreeMap<(slim::Language, Hash), File>> = Mutex::new(BTreeMap::new());
    DONE.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .entry((language, embedded.hash))
        .or_insert_with(|| match std::str::from_utf8(&embedded.content) {
            Ok(text) => File::new(slim::slimmed(language, text)),
            Err(_) => embedded,
        })
        .clone()
}

/// The paths of all that a page needs to start without its server, and a version that differs as soon as any of
/// them does.
fn shell() -> String {
    let names: BTreeMap<_, _> = Static::iter()
        .filter(|name| name != WORKER)
        .filter_map(|name| Some((find(&name)?.hash, name)))
        .map(|(hash, name)| (name, hash))
        .collect();
    let mut version = Sha256::new();
    let mut files = Vec::new();
    for (name, hash) in &names {
        version.update(name.as_bytes());
        version.update(hash);
        files.push(match &**name {
            "index.html" => "/".to_owned(),
            name => format!("/{name}"),
        });
    }
    json!({ "version": hex(&version.finalize().into()), "files": files }).to_string()
}

/// The file in gzip, if that is shorter. (Browsers take brotli over TLS only, which few houses have.)
fn gzipped(file: &File) -> Option<Bytes> {
    /// Each content is compressed once, when it is first asked for.
    static DONE: Mutex<BTreeMap<Hash, Option<Bytes>>> = Mutex::new(BTreeMap::new());
    DONE.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .entry(file.hash)
        .or_insert_with(|| {
            let gzipped = gzip(&file.content).ok()?;
            (gzipped.len() < file.content.len()).then(|| gzipped.into())
        })
        .clone()
}

fn gzip(content: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content)?;
    encoder.finish()
}

/// Enough of a hash to tell one content from another.
fn hex(hash: &Hash) -> String {
    hash[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::slim::Language;
    use super::*;

    #[test]
    fn what_gzip_does_not_make_shorter_stays_as_it_is() {
        let noise: Hash = Sha256::digest(b"noise").into();
        assert!(gzipped(&File::new(noise.to_vec())).is_none());
        assert!(gzipped(&File::new(vec![b'a'; 1000])).is_some_and(|gzipped| gzipped.len() < 100));
    }

    /// The page's scripts and styles: name, language, as they are in the repository, as they are sent.
    fn texts() -> Vec<(String, Language, String, String)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let both = |name: Cow<'static, str>| {
            let language = Language::of(&name)?;
            let source = text(&Static::get(&name).unwrap().data);
            let sent = text(&find(&name).unwrap().content);
            Some((name.into_owned(), language, source, sent))
        };
        let texts: Vec<_> = Static::iter().filter_map(both).collect();
        assert!(texts.len() > 10, "the page has more files");
        texts
    }

    /// Whether a line begins as only a comment does. One before code on its line may stay.
    fn is_comment(language: Language, line: &str) -> bool {
        let line = line.trim();
        let block =
            line.starts_with("/*") && line.find("*/").is_none_or(|end| end + 2 == line.len());
        let star = line == "*" || line.starts_with("* ") || line.starts_with("*/");
        block || star || (language == Language::Script && line.starts_with("//"))
    }

    #[test]
    fn no_comment_that_has_lines_to_itself_is_sent_and_every_line_keeps_its_number() {
        for (name, language, source, sent) in texts() {
            assert_eq!(
                sent.matches('\n').count(),
                source.matches('\n').count(),
                "{name}"
            );
            for (number, (was, is)) in source.split('\n').zip(sent.split('\n')).enumerate() {
                let place = format!("{name}:{}: {was}", number + 1);
                assert!(!is_comment(language, is), "{place}");
                assert!(is == was.trim_start() || is.is_empty(), "{place}");
            }
        }
    }

    /// What the rule must not meet: a string, or a comment behind code, that goes on in the next line. So whatever is
    /// opened on a line that is kept is closed there.
    fn goes_on(line: &str) -> bool {
        let unescaped = line.replace("\\\\", "").replace("\\`", "");
        let backticks = unescaped.matches('`').count();
        let closed = |open: &str, close: &str| {
            let last = unescaped.rfind(open);
            last.is_none_or(|last| unescaped[last..].contains(close))
        };
        backticks % 2 == 1
            || !closed("${", "}")
            || !closed("/*", "*/")
            || line.trim_end().ends_with('\\')
    }

    #[test]
    fn no_file_of_the_page_has_anything_that_could_be_taken_for_a_comment() {
        for (name, _, _, sent) in texts() {
            for (number, line) in sent.split('\n').enumerate() {
                assert!(
                    !goes_on(line),
                    "{name}:{}: something goes on in the next line, which may look like a comment: {line}",
                    number + 1
                );
            }
        }
    }

    #[test]
    fn a_string_that_goes_on_in_the_next_line_is_noticed() {
        for line in [
            "a(`b",
            "`a` + `b",
            "`a ${`b",
            "'a\\",
            "a(); /* b",
            "`\\``, `",
        ] {
            assert!(goes_on(line), "{line}");
        }
        for line in ["", "`a`", "`a ${b} \\``", "/** a */ (b)", "`a ${`b`}`"] {
            assert!(!goes_on(line), "{line}");
        }
    }
}
