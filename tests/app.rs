//! The page's own files: sent without comments, compressed for those who take it, and listed for the page's service worker.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on panics"
)]

pub mod common;

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use common::phone::{ask, http};
use common::{Answer, TestServer};
use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};
use walkdir::WalkDir;

/// What the whole page may cost a phone as it is sent, covers aside.
const MOST_BYTES: usize = 100_000;

async fn get(server: &TestServer, path: &str, fields: &[(&str, &str)]) -> Answer {
    let mut request = http().get(server.url(path));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    ask(request).await
}

/// The paths that the server says the page consists of.
async fn listed(server: &TestServer) -> Vec<String> {
    let shell = get(server, "/shell.json", &[]).await.expect(200).json();
    serde_json::from_value(shell["files"].clone()).unwrap()
}

#[tokio::test]
async fn whoever_takes_gzip_gets_the_same_file_in_fewer_bytes() {
    let server = TestServer::start().await;
    for path in ["/", "/app.css", "/js/main.js", "/icons/icon.svg"] {
        let plain = get(&server, path, &[]).await.expect(200);
        assert_eq!(plain.header("content-encoding"), None, "{path}");

        let packed = get(&server, path, &[("accept-encoding", "gzip, deflate")])
            .await
            .expect(200);
        assert_eq!(packed.header("content-encoding"), Some("gzip"), "{path}");
        assert!(packed.body.len() < plain.body.len(), "{path}");
        let mut unpacked = Vec::new();
        GzDecoder::new(&packed.body[..])
            .read_to_end(&mut unpacked)
            .unwrap();
        assert!(
            unpacked == plain.body,
            "{path} is another file when unpacked"
        );
        for answer in [&plain, &packed] {
            assert_eq!(answer.header("vary"), Some("accept-encoding"), "{path}");
        }
        assert_eq!(
            packed.header("content-type"),
            plain.header("content-type"),
            "{path}"
        );
    }
    let refused = get(&server, "/app.css", &[("accept-encoding", "gzip;q=0, *")]).await;
    assert_eq!(refused.header("content-encoding"), None);
}

#[tokio::test]
async fn scripts_and_styles_come_without_comments_and_indentation_and_tags_are_of_what_is_sent() {
    let server = TestServer::start().await;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("static");
    for path in ["/js/main.js", "/app.css", "/sw.js", "/", "/icons/icon.svg"] {
        let sent = get(&server, path, &[]).await.expect(200);
        let name = if path == "/" {
            "index.html"
        } else {
            &path[1..]
        };
        let source = std::fs::read_to_string(root.join(name)).unwrap();
        let text = sent.text();
        let has_comments = path.ends_with(".js") || path.ends_with(".css");
        assert_eq!(text != source, has_comments, "{path}");
        for (number, (was, is)) in source.split('\n').zip(text.split('\n')).enumerate() {
            let was = if has_comments { was.trim_start() } else { was };
            assert!(is == was || is.is_empty(), "{path}:{}: {is}", number + 1);
            assert!(!has_comments || !is.trim().starts_with("//"), "{is}");
        }
        assert_eq!(text.lines().count(), source.lines().count(), "{path}");
        let hash: String = Sha256::digest(&sent.body)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let tag = sent.header("etag").unwrap().trim_matches('"');
        assert!(tag.len() >= 16 && hash.starts_with(tag), "{path}: {tag}");
    }
}

#[tokio::test]
async fn each_encoding_has_a_tag_of_its_own_and_answers_to_no_other() {
    let server = TestServer::start().await;
    let gzip = ("accept-encoding", "gzip");
    let plain = get(&server, "/app.css", &[]).await.expect(200);
    let packed = get(&server, "/app.css", &[gzip]).await.expect(200);
    let (plain, packed) = (
        plain.header("etag").unwrap(),
        packed.header("etag").unwrap(),
    );
    assert_ne!(plain, packed);

    let cases = [
        (plain, false, 304),
        (plain, true, 200),
        (packed, true, 304),
        (packed, false, 200),
    ];
    for (tag, takes_gzip, status) in cases {
        let mut fields = vec![("if-none-match", tag)];
        fields.extend(takes_gzip.then_some(gzip));
        let answer = get(&server, "/app.css", &fields).await.expect(status);
        assert_eq!(answer.header("vary"), Some("accept-encoding"));
        if status == 304 {
            assert_eq!(answer.header("etag"), Some(tag));
            assert_eq!(answer.header("content-encoding"), None);
        }
    }
}

#[tokio::test]
async fn the_list_of_the_pages_files_names_all_of_them_but_the_worker_that_reads_it() {
    let server = TestServer::start().await;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("static");
    let there: BTreeSet<String> = WalkDir::new(&root)
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
    let listed = listed(&server).await;
    assert_eq!(listed.iter().cloned().collect::<BTreeSet<_>>(), there);
    for path in &listed {
        get(&server, path, &[]).await.expect(200);
    }
    get(&server, "/sw.js", &[]).await.expect(200);
}

#[tokio::test]
async fn the_whole_page_costs_a_phone_less_than_100_kb() {
    let server = TestServer::start().await;
    let mut sizes = Vec::new();
    let mut paths = listed(&server).await;
    paths.extend(["/shell.json".to_owned(), "/sw.js".to_owned()]);
    for path in paths {
        let answer = get(&server, &path, &[("accept-encoding", "gzip")]).await;
        sizes.push((answer.expect(200).body.len(), path));
    }
    let whole: usize = sizes.iter().map(|(size, _)| size).sum();
    sizes.sort_unstable();
    assert!(whole < MOST_BYTES, "{whole} bytes: {sizes:?}");
}

#[tokio::test]
async fn two_servers_of_one_version_say_the_same_version() {
    let one = TestServer::start().await;
    let other = TestServer::start().await;
    let shell = get(&one, "/shell.json", &[]).await.expect(200);
    assert_eq!(shell.header("cache-control"), Some("no-cache"));
    let version = shell.json()["version"].as_str().unwrap().to_owned();
    assert!(version.len() >= 16, "{version}");
    let same = get(&other, "/shell.json", &[]).await.expect(200).json();
    assert_eq!(same["version"], version.as_str());
}
