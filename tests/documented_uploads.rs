//! The `curl` lines for uploads in `docs/api.md`, run as a user would paste them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::fs;
use std::path::Path;
use std::process::Stdio;

use common::server_process::CODE;
use common::{Phone, TestServer};
use serde_json::json;
use tokio::process::Command;

/// The shell lines in the section about uploads.
fn documented_lines() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = fs::read_to_string(root.join("docs/api.md")).unwrap();
    let (_, section) = document.split_once("\n## Uploads\n").unwrap();
    let (_, lines) = section.split_once("```sh\n").unwrap();
    lines.split_once("```\n").unwrap().0.to_owned()
}

#[tokio::test]
async fn documented_curl_lines_work_when_pasted() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    let folder = tempfile::tempdir().unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let song = folder.path().join("song.mp3");
    fs::copy(fixtures.join("untagged_song-name.mp3"), &song).unwrap();
    let lines = documented_lines();
    assert!(lines.contains("http://localhost:8080/"));
    let script = lines
        .replace("http://localhost:8080", &server.url(""))
        .replace("123456", CODE);
    // A failed command ends the script, as does a variable that no line has set.
    let shell = Command::new("sh")
        .args(["-eu", "-c", &script])
        .current_dir(&folder)
        .stdin(Stdio::null())
        .output();
    let output = shell.await.expect("sh runs");
    let text = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    assert!(output.status.success(), "{output:?}");

    let heads = text.split("HTTP/1.1 ").skip(1);
    let statuses: Vec<_> = heads.map(|head| &head[..3]).collect();
    // What the server supports, first bytes, their number, cancel, all bytes, title, list, removal.
    let expected = ["204", "204", "200", "204", "204", "204", "200", "204"];
    assert_eq!(statuses, expected, "{text}");
    for line in [
        "tus-version: 1.0.0",
        "upload-offset: 1000",
        "lockstep-track: ",
    ] {
        assert!(text.lines().any(|found| found.starts_with(line)), "{text}");
    }
    assert!(text.contains(r#""name":"song.mp3""#), "{text}");
    assert_eq!(phone.get("/uploads").await.expect(200).json(), json!([]));
}
