//! The page's files: compressed for clients that accept gzip, and listed for the page's service worker.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use common::phone::{ask, http};
use common::{HttpResponse, TestServer};
use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};
use walkdir::WalkDir;

/// Maximum size in bytes of all files that a first visit may load, together after gzip. A third of these bytes are comments,
/// mostly types in JSDoc, which are served too.
const MAX_PAGE_BYTES: usize = 410_000;

/// Maximum size in bytes after gzip of the table of one language, of which a page loads at most one.
const MAX_TABLE_BYTES: usize = 11_000;

const TABLES_FOLDER: &str = "/js/language/tables/";

async fn get(server: &TestServer, path: &str, fields: &[(&str, &str)]) -> HttpResponse {
    let mut request = http().get(server.url(path));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    ask(request).await
}

/// The URL paths in a list of `/shell.json`: `files`, which every phone stores, or `onDemand`.
async fn listed_paths(server: &TestServer, list: &str) -> BTreeSet<String> {
    let shell = get(server, "/shell.json", &[]).await.expect(200).json();
    serde_json::from_value(shell[list].clone()).unwrap()
}

/// The size of a file after gzip.
async fn gzip_bytes(server: &TestServer, path: &str) -> usize {
    let response = get(server, path, &[("accept-encoding", "gzip")]).await;
    response.expect(200).body.len()
}

#[tokio::test]
async fn gzip_response_is_smaller_and_decodes_to_the_uncompressed_response() {
    let server = TestServer::start().await;
    for path in ["/", "/app.css", "/js/main.js", "/icons/icon.svg"] {
        let plain_response = get(&server, path, &[]).await.expect(200);
        assert_eq!(plain_response.header("content-encoding"), None, "{path}");

        let gzip_response = get(&server, path, &[("accept-encoding", "gzip, deflate")])
            .await
            .expect(200);
        assert_eq!(
            gzip_response.header("content-encoding"),
            Some("gzip"),
            "{path}"
        );
        assert!(
            gzip_response.body.len() < plain_response.body.len(),
            "{path}"
        );
        let mut decompressed_body = Vec::new();
        GzDecoder::new(&gzip_response.body[..])
            .read_to_end(&mut decompressed_body)
            .unwrap();
        assert!(
            decompressed_body == plain_response.body,
            "{path}: the decompressed body differs from the uncompressed one"
        );
        for response in [&plain_response, &gzip_response] {
            assert_eq!(response.header("vary"), Some("accept-encoding"), "{path}");
        }
        assert_eq!(
            gzip_response.header("content-type"),
            plain_response.header("content-type"),
            "{path}"
        );
    }
    let response_without_gzip =
        get(&server, "/app.css", &[("accept-encoding", "gzip;q=0, *")]).await;
    assert_eq!(response_without_gzip.header("content-encoding"), None);
}

#[tokio::test]
async fn page_files_are_served_unchanged_with_their_hash_as_etag() {
    let server = TestServer::start().await;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("static");
    for path in ["/js/main.js", "/app.css", "/sw.js", "/", "/icons/icon.svg"] {
        let response = get(&server, path, &[]).await.expect(200);
        let name = if path == "/" {
            "index.html"
        } else {
            &path[1..]
        };
        let source_text = std::fs::read_to_string(root.join(name)).unwrap();
        assert!(
            response.text() == source_text,
            "{path}: the response differs from the file in static/"
        );
        let hash: String = Sha256::digest(&response.body)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let etag_value = response.header("etag").unwrap().trim_matches('"');
        assert!(
            etag_value.len() >= 16 && hash.starts_with(etag_value),
            "{path}: the ETag {etag_value} is not the start of the SHA-256 hash"
        );
    }
}

#[tokio::test]
async fn etag_of_one_content_encoding_does_not_match_the_other() {
    let server = TestServer::start().await;
    let gzip = ("accept-encoding", "gzip");
    let plain_etag = get(&server, "/app.css", &[]).await.expect(200);
    let gzip_etag = get(&server, "/app.css", &[gzip]).await.expect(200);
    let (plain_etag, gzip_etag) = (
        plain_etag.header("etag").unwrap(),
        gzip_etag.header("etag").unwrap(),
    );
    assert_ne!(plain_etag, gzip_etag);

    let cases = [
        (plain_etag, false, 304),
        (plain_etag, true, 200),
        (gzip_etag, true, 304),
        (gzip_etag, false, 200),
    ];
    for (requested_etag, accepts_gzip, status) in cases {
        let mut fields = vec![("if-none-match", requested_etag)];
        fields.extend(accepts_gzip.then_some(gzip));
        let response = get(&server, "/app.css", &fields).await.expect(status);
        assert_eq!(response.header("vary"), Some("accept-encoding"));
        if status == 304 {
            assert_eq!(response.header("etag"), Some(requested_etag));
            assert_eq!(response.header("content-encoding"), None);
        }
    }
}

#[tokio::test]
async fn shell_json_lists_all_page_files_and_the_tables_of_languages_apart() {
    let server = TestServer::start().await;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("static");
    let expected: BTreeSet<String> = WalkDir::new(&root)
        .into_iter()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| entry.path().strip_prefix(&root).unwrap().to_owned())
        .map(|path| match path.to_str().unwrap() {
            "index.html" => "/".to_owned(),
            path => format!("/{path}"),
        })
        .filter(|path| !["/sw.js", "/js/types.js"].contains(&path.as_str()))
        .filter(|path| !path.contains("/."))
        .collect();
    let (expected_tables, expected_files): (BTreeSet<_>, BTreeSet<_>) = expected
        .into_iter()
        .partition(|path| path.starts_with(TABLES_FOLDER));
    let files = listed_paths(&server, "files").await;
    let tables = listed_paths(&server, "onDemand").await;
    assert_eq!(files, expected_files);
    assert_eq!(tables, expected_tables);
    assert!(tables.len() >= 8, "{tables:?}");
    for path in files.iter().chain(&tables) {
        get(&server, path, &[]).await.expect(200);
    }
    get(&server, "/sw.js", &[]).await.expect(200);
}

#[tokio::test]
async fn the_files_of_a_first_visit_are_small_in_gzip() {
    let server = TestServer::start().await;
    let mut sizes = Vec::new();
    let mut paths = listed_paths(&server, "files").await;
    paths.extend(["/shell.json".to_owned(), "/sw.js".to_owned()]);
    for path in paths {
        sizes.push((gzip_bytes(&server, &path).await, path));
    }
    let total_bytes: usize = sizes.iter().map(|(size, _)| size).sum();
    sizes.sort_unstable();
    assert!(
        total_bytes < MAX_PAGE_BYTES,
        "all page files together have {total_bytes} bytes: {sizes:?}"
    );
}

#[tokio::test]
async fn the_table_of_each_language_is_small_in_gzip() {
    let server = TestServer::start().await;
    for path in listed_paths(&server, "onDemand").await {
        let bytes = gzip_bytes(&server, &path).await;
        assert!(bytes < MAX_TABLE_BYTES, "{path} has {bytes} bytes");
    }
}

#[tokio::test]
async fn two_servers_of_one_build_report_the_same_page_version() {
    let first_server = TestServer::start().await;
    let second_server = TestServer::start().await;
    let shell = get(&first_server, "/shell.json", &[]).await.expect(200);
    assert_eq!(shell.header("cache-control"), Some("no-cache"));
    let version = shell.json()["version"].as_str().unwrap().to_owned();
    assert!(version.len() >= 16, "{version}");
    let second_shell = get(&second_server, "/shell.json", &[])
        .await
        .expect(200)
        .json();
    assert_eq!(second_shell["version"], version.as_str());
}
