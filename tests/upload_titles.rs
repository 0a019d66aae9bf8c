//! The titles that devices give to uploads whose tags have none.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use common::phone::ask;
use common::{HttpResponse, Phone, TestServer, until};
use reqwest::Method;
use serde_json::{Value, json};

const UNTAGGED: &str = "untagged_song-name.mp3";

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    fs::read(folder.join(name)).unwrap()
}

/// Uploads a fixture in one request, and returns the id of its track.
async fn put(phone: &Phone, fixture_name: &str, query: &str) -> String {
    let path = format!("/uploads/by-name/AUD-0001.mp3{query}");
    let request = phone.request(Method::PUT, &path);
    let answer = ask(request.body(fixture(fixture_name))).await.expect(201);
    answer.json()["trackId"].as_str().unwrap().to_owned()
}

async fn set_title(phone: &Phone, track: &str, title: &str) -> HttpResponse {
    let path = format!("/uploads/by-track/{track}/title");
    let body = json!({ "title": title }).to_string();
    ask(phone.request(Method::PUT, &path).body(body)).await
}

async fn title(phone: &Phone, track: &str) -> Value {
    phone.index_row(track).await["tags"]["title"].clone()
}

fn data_file(server: &TestServer, suffix: &str) -> PathBuf {
    let state = server.setup().folder().join("state/state.json");
    PathBuf::from(format!("{}{suffix}", state.display()))
}

#[tokio::test]
async fn title_of_the_metadata_names_a_file_without_title() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    let bytes = fixture(UNTAGGED);
    let encoded = |text: &str| BASE64.encode(text);
    let metadata = format!(
        "filename {},title {}",
        encoded("AUD-0001.mp3"),
        encoded(" My\nLullaby \u{202e}")
    );
    let tus = |method: &str, path: &str| {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = phone.request(method, path);
        request.header("Tus-Resumable", "1.0.0")
    };
    let create = tus("POST", "/uploads")
        .header("Upload-Length", bytes.len())
        .header("Upload-Metadata", &metadata);
    let begun = ask(create).await.expect(201);
    let path = begun.header("location").unwrap();
    let head = ask(tus("HEAD", path)).await.expect(200);
    assert_eq!(head.header("upload-metadata"), Some(&*metadata));
    let patch = tus("PATCH", path)
        .header("Content-Type", "application/offset+octet-stream")
        .header("Upload-Offset", 0)
        .body(bytes);
    let done = ask(patch).await.expect(204);
    let track = done.header("lockstep-track").unwrap();
    let row = phone.index_row(track).await;
    assert_eq!(row["tags"]["title"], "My Lullaby");
    assert_eq!(row["hasTitleTag"], false);
    let uploads = phone.get("/uploads").await.expect(200).json();
    assert_eq!(uploads.as_array().unwrap().len(), 1);
    assert_eq!(uploads[0]["name"], "AUD-0001.mp3");
}

#[tokio::test]
async fn title_in_the_tags_precedes_that_of_the_device() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    let track = put(&phone, "fixture.mp3", "?pick=false&title=Mine").await;
    let row = phone.index_row(&track).await;
    assert_ne!(row["tags"]["title"], "Mine");
    assert_eq!(row["hasTitleTag"], true);
    let refused = set_title(&phone, &track, "Mine").await.expect(422);
    assert_eq!(refused.json()["code"], "title-in-tags");
    assert_eq!(phone.index_row(&track).await, row);
}

#[tokio::test]
async fn typed_title_reaches_other_phones_and_survives_restart_and_lost_cache() {
    let mut server = TestServer::start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    let mut friend = Phone::pair_and_listen(&server).await;
    let track = put(&phone, UNTAGGED, "").await;
    assert_eq!(title(&phone, &track).await, "AUD 0001");
    // That of the upload.
    friend.live_event("library.scanning").await;

    set_title(&phone, &track, "Gute Nacht").await.expect(204);
    assert_eq!(title(&friend, &track).await, "Gute Nacht");
    // Phones fetch the index on this event.
    friend.live_event("library.scanning").await;
    ask(phone.request(Method::POST, "/rescan"))
        .await
        .expect(202);

    for lost in [".index", ""] {
        server.kill().await;
        if !lost.is_empty() {
            fs::remove_file(data_file(&server, lost)).unwrap();
        }
        server.restart().await;
        for phone in [&mut phone, &mut friend] {
            phone.use_server(&server);
            assert_eq!(title(phone, &track).await, "Gute Nacht");
        }
    }
    assert_eq!(
        phone.index_row(&track).await["size"],
        fixture(UNTAGGED).len()
    );
    server.kill().await;
    // As if the server was killed after it had written the title and before it wrote the index cache.
    let folder = data_file(&server, ".uploads").join(format!("{track}-{}", phone.member));
    fs::write(folder.join(".title"), "Bonne nuit").unwrap();
    server.restart().await;
    phone.use_server(&server);
    until("the title on the disk", async || {
        title(&phone, &track).await == "Bonne nuit"
    })
    .await;
    // The bytes are the same, so phones keep what they have stored.
    let row = phone.index_row(&track).await;
    set_title(&phone, &track, "Good night").await.expect(204);
    assert_eq!(phone.index_row(&track).await["version"], row["version"]);

    set_title(&phone, &track, " \u{200b}").await.expect(204);
    assert_eq!(title(&phone, &track).await, "AUD 0001");
}

#[tokio::test]
async fn only_the_uploader_changes_the_title_and_only_of_an_upload() {
    let server = TestServer::start().await;
    let (phone, friend) = (Phone::pair(&server).await, Phone::pair(&server).await);
    let track = put(&phone, UNTAGGED, "?pick=false&title=First%20one").await;
    let refused = set_title(&friend, &track, "Mine").await.expect(403);
    assert_eq!(refused.json()["code"], "not-your-upload");
    assert_eq!(title(&phone, &track).await, "First one");
    set_title(&phone, "0123456789abcdef", "Mine")
        .await
        .expect(404);
    set_title(&phone, "unknown", "Mine").await.expect(404);
    let path = format!("/uploads/by-track/{track}/title");
    ask(phone.request(Method::PUT, &path).body("{}"))
        .await
        .expect(400);

    let folder = data_file(&server, ".uploads").join(format!("{track}-{}", phone.member));
    assert!(folder.join(".title").is_file());
    let removal = phone.request(Method::DELETE, &format!("/uploads/by-track/{track}"));
    ask(removal).await.expect(204);
    assert!(!folder.exists());
    set_title(&phone, &track, "Late").await.expect(404);
}
