//! Uploads: resumable uploads by tus 1.0.0 and plain PUT, what becomes a track, quotas, limits, expiry and removal.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use common::faulty_disk::{Fault, FaultyDisk};
use common::phone::{self, ask};
use common::{HttpResponse, Phone, Setup, TestServer, raw, until};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

fn fixture(name: &str) -> Vec<u8> {
    fs::read(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures")
            .join(name),
    )
    .unwrap()
}

/// The id of the track with these bytes.
fn track_id(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn upload_folder(server: &TestServer) -> PathBuf {
    server.setup().folder().join("state/state.json.uploads")
}

fn tus(phone: &Phone, method: &str, path: &str) -> RequestBuilder {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    phone.request(method, path).header("Tus-Resumable", "1.0.0")
}

fn creation(phone: &Phone, name: &str, size: usize) -> RequestBuilder {
    tus(phone, "POST", "/uploads")
        .header("Upload-Length", size)
        .header(
            "Upload-Metadata",
            format!("filename {}", BASE64.encode(name)),
        )
}

/// Begins an upload, and returns its path.
async fn begin(phone: &Phone, name: &str, size: usize) -> String {
    let response = ask(creation(phone, name, size)).await.expect(201);
    assert!(response.header("upload-expires").is_some());
    response.header("location").unwrap().to_owned()
}

fn patch(phone: &Phone, path: &str, offset: usize, bytes: &[u8]) -> RequestBuilder {
    tus(phone, "PATCH", path)
        .header("Content-Type", "application/offset+octet-stream")
        .header("Upload-Offset", offset)
        .body(bytes.to_vec())
}

async fn offset(phone: &Phone, path: &str) -> String {
    let response = ask(tus(phone, "HEAD", path)).await.expect(200);
    assert_eq!(response.header("cache-control"), Some("no-store"));
    response.header("upload-offset").unwrap().to_owned()
}

/// Uploads a file in one piece.
async fn upload(phone: &Phone, name: &str, bytes: &[u8]) -> HttpResponse {
    let path = begin(phone, name, bytes.len()).await;
    ask(patch(phone, &path, 0, bytes)).await
}

fn picks(snapshot: &Value) -> Vec<(&str, &str)> {
    let picks = snapshot["picks"].as_array().unwrap();
    picks
        .iter()
        .map(|pick| {
            let text = |key: &str| pick[key].as_str().unwrap_or_default();
            (text("trackId"), text("by"))
        })
        .collect()
}

#[tokio::test]
async fn options_describes_what_the_server_supports() {
    let server = Setup::long_tracks().flag("--upload-max=3M").start().await;
    let options = phone::http().request(Method::OPTIONS, server.url("/uploads"));
    let response = ask(options).await.expect(204);
    for (name, value) in [
        ("tus-resumable", "1.0.0"),
        ("tus-version", "1.0.0"),
        ("tus-extension", "creation,expiration,termination,checksum"),
        ("tus-max-size", "3145728"),
        ("tus-checksum-algorithm", "sha1,sha256"),
    ] {
        assert_eq!(response.header(name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn whole_upload_becomes_a_picked_track_of_all_phones() {
    let mut server = TestServer::start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    let bytes = fixture("fixture.mp3");
    let response = upload(&phone, "Bell.mp3", &bytes).await.expect(204);
    let track = track_id(&bytes);
    assert_eq!(response.header("lockstep-track"), Some(&*track));
    assert_eq!(
        response.header("upload-offset"),
        Some(&*bytes.len().to_string())
    );
    let me = phone.member.clone();
    let snapshot = phone.snapshot().await;
    assert_eq!(picks(&snapshot), [(&*track, &*me)]);
    let row = phone.index_row(&track).await;
    assert_eq!(row["uploadedBy"], json!(me));
    assert_eq!(row["fileName"], "Bell.mp3");
    let file = phone.get(&format!("/file/{track}")).await.expect(200);
    assert!(file.body == bytes, "the downloaded file differs");
    phone.live_event("uploads").await;

    server.stop().await;
    server.restart().await;
    phone.use_server(&server);
    let queue = phone::queued_tracks(&phone.snapshot().await);
    assert_eq!(queue[1], track, "next-up");
    assert_eq!(phone.index_row(&track).await["uploadedBy"], json!(me));
    assert_eq!(picks(&phone.snapshot().await), [(&*track, &*me)]);
}

#[tokio::test]
async fn upload_with_pick_false_only_joins_the_library() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    let bytes = fixture("fixture.ogg");
    let response = phone
        .request(Method::PUT, "/uploads/by-name/My%20song.ogg?pick=false")
        .body(bytes.clone());
    let response = ask(response).await.expect(201).json();
    assert_eq!(
        response,
        json!({ "trackId": track_id(&bytes), "isNew": true })
    );
    assert!(picks(&phone.snapshot().await).is_empty());
    assert_eq!(
        phone.index_row(&track_id(&bytes)).await["fileName"],
        "My song.ogg"
    );
}

#[tokio::test]
async fn interrupted_upload_resumes_at_what_the_disk_has_even_after_a_kill() {
    let mut server = TestServer::start().await;
    let mut phone = Phone::pair(&server).await;
    let bytes = fixture("fixture.flac");
    let path = begin(&phone, "Song.flac", bytes.len()).await;
    let half = bytes.len() / 2;
    ask(patch(&phone, &path, 0, &bytes[..half]))
        .await
        .expect(204);
    assert_eq!(offset(&phone, &path).await, half.to_string());
    let wrong = ask(patch(&phone, &path, half + 1, &bytes[half + 1..])).await;
    wrong.expect(409);

    server.kill().await;
    server.restart().await;
    phone.use_server(&server);
    assert_eq!(offset(&phone, &path).await, half.to_string());
    let done = ask(patch(&phone, &path, half, &bytes[half..]))
        .await
        .expect(204);
    assert_eq!(done.header("lockstep-track"), Some(&*track_id(&bytes)));
    // The device may have missed the answer.
    server.stop().await;
    server.restart().await;
    phone.use_server(&server);
    let head = ask(tus(&phone, "HEAD", &path)).await.expect(200);
    assert_eq!(
        head.header("upload-offset"),
        Some(&*bytes.len().to_string())
    );
    assert_eq!(head.header("lockstep-track"), Some(&*track_id(&bytes)));
    let again = ask(patch(&phone, &path, bytes.len(), b""))
        .await
        .expect(204);
    assert_eq!(again.header("lockstep-track"), Some(&*track_id(&bytes)));
    ask(patch(&phone, &path, bytes.len(), b"x"))
        .await
        .expect(413);
    assert_eq!(picks(&phone.snapshot().await).len(), 1);
}

#[tokio::test]
async fn broken_connection_keeps_the_bytes_that_arrived() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    let bytes = fixture("fixture.flac");
    let path = begin(&phone, "Song.flac", bytes.len()).await;
    let part = 1000;
    let head = format!(
        "PATCH {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n\
         Content-Type: application/offset+octet-stream\r\nContent-Length: {}\r\n\r\n",
        server.address(),
        phone.token,
        bytes.len()
    );
    let stream = std::net::TcpStream::connect(server.address()).unwrap();
    std::io::Write::write_all(&mut &stream, head.as_bytes()).unwrap();
    std::io::Write::write_all(&mut &stream, &bytes[..part]).unwrap();
    let id = path.rsplit('/').next().unwrap();
    let file = upload_folder(&server).join(".unfinished").join(id);
    until("the bytes on the disk", async || {
        file.metadata().unwrap().len() == part as u64
    })
    .await;
    // Takes the upload over from the connection, which is still open.
    assert_eq!(offset(&phone, &path).await, part.to_string());
    ask(patch(&phone, &path, part, &bytes[part..]))
        .await
        .expect(204);
    assert_eq!(
        phone.index_row(&track_id(&bytes)).await["fileName"],
        "Song.flac"
    );
}

#[tokio::test]
async fn complete_upload_is_listed_and_picked_after_a_kill_before_the_answer() {
    let mut server = TestServer::start().await;
    let mut phone = Phone::pair(&server).await;
    let bytes = fixture("fixture.opus");
    let path = begin(&phone, "Song.opus", bytes.len()).await;
    server.kill().await;
    // As if the server was killed when it had received all bytes.
    let id = path.rsplit('/').next().unwrap();
    fs::write(upload_folder(&server).join(".unfinished").join(id), &bytes).unwrap();
    server.restart().await;
    phone.use_server(&server);
    let expected = (track_id(&bytes), phone.member.clone());
    until("the pick", async || {
        let snapshot = phone.snapshot().await;
        picks(&snapshot) == [(&*expected.0, &*expected.1)]
    })
    .await;
}

#[tokio::test]
async fn what_is_no_music_is_refused_and_leaves_nothing() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    let mut zip = b"PK\x03\x04".to_vec();
    zip.resize(5_000, 7);
    let text = b"Dear diary, this is not music.".repeat(50);
    for (name, bytes) in [
        ("Text.mp3", text),
        ("Ringtone.zip", zip),
        ("Empty.mp3", vec![1]),
    ] {
        let refused = upload(&phone, name, &bytes).await.expect(415);
        assert_eq!(
            refused.header("content-type"),
            Some("application/problem+json")
        );
        assert!(refused.json()["detail"].is_string());
    }
    let folder = upload_folder(&server);
    assert_eq!(fs::read_dir(folder.join(".unfinished")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    ask(creation(&phone, "Nothing.mp3", 0)).await.expect(415);
    assert_eq!(phone.get("/uploads").await.expect(200).json(), json!([]));
}

#[tokio::test]
async fn known_bytes_make_no_second_track_and_the_known_one_is_picked() {
    let server = Setup::fixtures().start().await;
    let phone = Phone::pair(&server).await;
    let index = phone.get("/index").await.expect(200).json();
    let rows = index.as_array().unwrap();
    let known = rows
        .iter()
        .find(|row| row["fileName"] == "fixture.flac")
        .unwrap();
    let put = phone
        .request(Method::PUT, "/uploads/by-name/Other.flac")
        .body(fixture("fixture.flac"));
    let answer = ask(put).await.expect(201).json();
    assert_eq!(
        answer,
        json!({ "trackId": known["trackId"], "isNew": false })
    );
    let after = phone.get("/index").await.expect(200).json();
    assert_eq!(after.as_array().unwrap().len(), rows.len());
    let snapshot = phone.snapshot().await;
    assert_eq!(picks(&snapshot)[0].0, known["trackId"]);
    assert_eq!(phone.get("/uploads").await.json(), json!([]));
}

#[tokio::test]
async fn copy_with_other_bytes_picks_the_listed_track_of_the_recording() {
    let server = Setup::fixtures().start().await;
    let phone = Phone::pair(&server).await;
    let index = phone.get("/index").await.expect(200).json();
    let rows = index.as_array().unwrap();
    let listed = rows
        .iter()
        .find(|row| row["fileName"] == "fixture.flac")
        .unwrap();
    let mut bytes = fixture("fixture.flac");
    bytes.extend(b"more");
    let put = phone
        .request(Method::PUT, "/uploads/by-name/Copy.flac")
        .body(bytes);
    let answer = ask(put).await.expect(201).json();
    assert_eq!(answer["trackId"], listed["trackId"]);
    let after = phone.get("/index").await.expect(200).json();
    assert_eq!(after.as_array().unwrap().len(), rows.len());
}

#[tokio::test]
async fn music_is_listed_whatever_its_name() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    for (fixture_name, name) in [
        ("fixture.ogg", "cover.jpg"),
        ("fixture.flac", "found.000"),
        ("fixture.mp3", "Mr. Brightside"),
        ("fixture.opus", "song.tmp"),
    ] {
        let bytes = fixture(fixture_name);
        upload(&phone, name, &bytes).await.expect(204);
        phone.index_row(&track_id(&bytes)).await;
    }
    let listed = phone.get("/uploads").await.expect(200).json();
    assert_eq!(listed.as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn two_devices_that_upload_the_same_song_make_one_track() {
    let server = TestServer::start().await;
    let (ada, ben) = (Phone::pair(&server).await, Phone::pair(&server).await);
    let bytes = fixture("fixture.flac");
    let put = |phone: &Phone, name: &str| {
        let path = format!("/uploads/by-name/{name}");
        ask(phone.request(Method::PUT, &path).body(bytes.clone()))
    };
    let (first, second) = tokio::join!(put(&ada, "A.flac"), put(&ben, "B.flac"));
    let (first, second) = (first.expect(201).json(), second.expect(201).json());
    assert_eq!(first["trackId"], second["trackId"]);
    assert_ne!(first["isNew"], second["isNew"]);
    assert_eq!(
        ada.get("/uploads").await.json().as_array().unwrap().len(),
        1
    );
}

#[tokio::test]
async fn upload_resumes_while_a_barrier_is_open() {
    let server = TestServer::start().await;
    let mut listener = Phone::pair_and_listen(&server).await;
    listener.play(0.0).await;
    let phone = Phone::pair(&server).await;
    let bytes = fixture("fixture.flac");
    let path = begin(&phone, "Song.flac", bytes.len()).await;
    let part = ask(patch(&phone, &path, 0, &bytes[..1000]));
    let (part, head) = tokio::join!(part, ask(tus(&phone, "HEAD", &path)));
    assert!([204, 423].contains(&part.status), "{part:?}");
    head.expect(200);
    let received: usize = offset(&phone, &path).await.parse().unwrap();
    ask(patch(&phone, &path, received, &bytes[received..]))
        .await
        .expect(204);
}

#[tokio::test]
async fn bytes_whose_checksum_was_not_checked_do_not_survive_a_kill() {
    let mut server = TestServer::start().await;
    let mut phone = Phone::pair(&server).await;
    let bytes = fixture("fixture.flac");
    let path = begin(&phone, "Song.flac", bytes.len()).await;
    ask(patch(&phone, &path, 0, &bytes[..500]))
        .await
        .expect(204);
    let head = format!(
        "PATCH {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 500\r\n\
         Content-Type: application/offset+octet-stream\r\nUpload-Checksum: sha256 {}\r\nContent-Length: {}\r\n\r\n",
        server.address(),
        phone.token,
        BASE64.encode(Sha256::digest(b"other")),
        bytes.len() - 500
    );
    let stream = std::net::TcpStream::connect(server.address()).unwrap();
    std::io::Write::write_all(&mut &stream, head.as_bytes()).unwrap();
    std::io::Write::write_all(&mut &stream, &bytes[500..1500]).unwrap();
    let id = path.rsplit('/').next().unwrap();
    let file = upload_folder(&server).join(".unfinished").join(id);
    until("the bytes on the disk", async || {
        file.metadata().unwrap().len() == 1500
    })
    .await;
    server.kill().await;
    server.restart().await;
    phone.use_server(&server);
    assert_eq!(offset(&phone, &path).await, "500");
}

#[tokio::test]
async fn names_are_never_paths() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    let bytes = fixture("fixture.mp3");
    upload(&phone, "../../audio/evil.mp3", &bytes)
        .await
        .expect(204);
    assert!(!server.setup().audio().join("evil.mp3").exists());
    assert_eq!(
        phone.index_row(&track_id(&bytes)).await["fileName"],
        "evil.mp3"
    );
    let inside = upload_folder(&server).join(format!("{}-{}", track_id(&bytes), phone.member));
    assert!(inside.join("evil.mp3").is_file());
}

#[tokio::test]
async fn requests_that_violate_the_protocol_are_refused() {
    let server = Setup::long_tracks().flag("--upload-max=1M").start().await;
    let phone = Phone::pair(&server).await;
    let path = begin(&phone, "Song.mp3", 100).await;

    let unversioned = phone.request(Method::HEAD, &path);
    let refused = ask(unversioned).await.expect(412);
    assert_eq!(refused.header("tus-version"), Some("1.0.0"));
    ask(tus(&phone, "POST", "/uploads")).await.expect(400);
    ask(creation(&phone, "Large.mp3", (1 << 20) + 1))
        .await
        .expect(413);
    let other_type = tus(&phone, "PATCH", &path)
        .header("Upload-Offset", 0)
        .body("x");
    ask(other_type).await.expect(415);
    ask(patch(&phone, &path, 0, &[0; 101])).await.expect(413);
    ask(patch(&phone, &path, 0, b"x").header("Upload-Checksum", "md5 AAAA"))
        .await
        .expect(400);
    let put = phone.request(Method::PUT, "/uploads/by-name/a.mp3");
    ask(put.body(vec![0; (1 << 20) + 1])).await.expect(413);
    ask(tus(&phone, "HEAD", "/uploads/unknown"))
        .await
        .expect(404);

    let stranger = Phone::pair(&server).await;
    for method in ["HEAD", "PATCH", "DELETE"] {
        let request = tus(&stranger, method, &path)
            .header("Content-Type", "application/offset+octet-stream")
            .header("Upload-Offset", 0);
        ask(request).await.expect(404);
    }
    let unpaired = phone::http().post(server.url("/uploads"));
    ask(unpaired.header("Tus-Resumable", "1.0.0"))
        .await
        .expect(401);
    let chunked = format!(
        "PUT /uploads/by-name/a.mp3 HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nTransfer-Encoding: chunked\r\n\
         Connection: close\r\n\r\n0\r\n\r\n",
        server.address(),
        phone.token
    );
    raw::send(server.address(), chunked)
        .await
        .expect_problem(411);
}

#[tokio::test]
async fn every_response_below_uploads_states_the_version_of_tus() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    let unpaired = |method: Method, path: &str| phone::http().request(method, server.url(path));
    for (request, status) in [
        (unpaired(Method::POST, "/uploads"), 401),
        (unpaired(Method::PATCH, "/uploads/unknown"), 401),
        (unpaired(Method::PUT, "/uploads"), 405),
        (phone.request(Method::POST, "/uploads/unknown"), 405),
        (phone.request(Method::GET, "/uploads/a/b/c/d"), 404),
        (phone.request(Method::POST, "/uploads"), 412),
        (phone.request(Method::GET, "/uploads"), 200),
        (
            phone
                .request(Method::GET, "/uploads")
                .header("Origin", "http://other.example"),
            403,
        ),
    ] {
        let response = ask(request).await.expect(status);
        assert_eq!(response.header("tus-resumable"), Some("1.0.0"), "{status}");
    }
    let other = phone.get("/clock").await.expect(200);
    assert_eq!(other.header("tus-resumable"), None);
}

#[tokio::test]
async fn header_overrides_the_method_of_requests_for_uploads_only() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    let overridden = |method: &str, path: &str| {
        tus(&phone, "POST", path).header("X-HTTP-Method-Override", method)
    };
    let bytes = fixture("fixture.mp3");
    let path = begin(&phone, "Song.mp3", bytes.len()).await;
    let head = ask(overridden("HEAD", &path)).await.expect(200);
    assert_eq!(head.header("upload-offset"), Some("0"));
    let patch = overridden("PATCH", &path)
        .header("Content-Type", "application/offset+octet-stream")
        .header("Upload-Offset", 0);
    ask(patch.body(bytes.clone())).await.expect(204);
    let removal = overridden("DELETE", &format!("/uploads/by-track/{}", track_id(&bytes)));
    ask(removal).await.expect(204);
    assert_eq!(phone.get("/uploads").await.json(), json!([]));
    ask(overridden("not a method", &path)).await.expect(400);
    ask(overridden("PUT", &path)).await.expect(405);
    let command = phone
        .request(Method::GET, "/pause")
        .header("X-HTTP-Method-Override", "POST");
    ask(command).await.expect(405);
}

#[tokio::test]
async fn bytes_with_a_wrong_checksum_are_dropped() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    let bytes = fixture("fixture.mp3");
    let path = begin(&phone, "Song.mp3", bytes.len()).await;
    let half = bytes.len() / 2;
    let checksum = |bytes: &[u8]| format!("sha256 {}", BASE64.encode(Sha256::digest(bytes)));
    let wrong = patch(&phone, &path, 0, &bytes[..half]);
    ask(wrong.header("Upload-Checksum", checksum(b"other")))
        .await
        .expect(460);
    assert_eq!(offset(&phone, &path).await, "0");
    let right = patch(&phone, &path, 0, &bytes[..half]);
    ask(right.header("Upload-Checksum", checksum(&bytes[..half])))
        .await
        .expect(204);
    let sha1 = patch(&phone, &path, half, &bytes[half..]);
    let sha1_sum = BASE64.encode(sha1::Sha1::digest(&bytes[half..]));
    ask(sha1.header("Upload-Checksum", format!("sha1 {sha1_sum}")))
        .await
        .expect(204);
}

#[tokio::test]
async fn device_has_three_unfinished_uploads_and_can_cancel_one() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    let mut paths = Vec::new();
    for n in 0..3 {
        paths.push(begin(&phone, &format!("{n}.mp3"), 100).await);
    }
    let refused = ask(creation(&phone, "4.mp3", 100)).await.expect(429);
    assert!(refused.header("retry-after").is_some());
    let friend = Phone::pair(&server).await;
    begin(&friend, "5.mp3", 100).await;

    ask(tus(&phone, "DELETE", &paths[0])).await.expect(204);
    ask(tus(&phone, "HEAD", &paths[0])).await.expect(410);
    begin(&phone, "4.mp3", 100).await;
}

#[tokio::test]
async fn quota_counts_tracks_and_unfinished_uploads() {
    let bytes = fixture("fixture.mp3");
    let quota = bytes.len() + 1_000;
    let server = Setup::long_tracks()
        .flag(&format!("--upload-quota={quota}"))
        .start()
        .await;
    let phone = Phone::pair(&server).await;
    let path = begin(&phone, "Song.mp3", bytes.len()).await;
    ask(creation(&phone, "Other.mp3", 1_001)).await.expect(507);
    ask(patch(&phone, &path, 0, &bytes)).await.expect(204);
    ask(creation(&phone, "Other.mp3", 1_001)).await.expect(507);
    begin(&phone, "Small.mp3", 1_000).await;

    let removal = phone.request(
        Method::DELETE,
        &format!("/uploads/by-track/{}", track_id(&bytes)),
    );
    ask(removal).await.expect(204);
    begin(&phone, "Other.mp3", bytes.len()).await;
}

#[tokio::test]
async fn disk_that_fills_up_keeps_what_arrived_and_does_not_touch_the_state() {
    let setup = Setup::long_tracks();
    let folder = setup.folder().join("state/state.json.uploads");
    fs::create_dir(&folder).unwrap();
    let disk = FaultyDisk::under(&folder);
    let server = setup.env(disk.environment()).start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    let bytes = fixture("fixture.flac");
    let half = bytes.len() / 2;
    let path = begin(&phone, "Song.flac", bytes.len()).await;
    ask(patch(&phone, &path, 0, &bytes[..half]))
        .await
        .expect(204);

    disk.inject("write", Fault::Fail(libc::ENOSPC));
    let refused = ask(patch(&phone, &path, half, &bytes[half..])).await;
    refused.expect_problem(507);
    ask(creation(&phone, "Other.mp3", 100))
        .await
        .expect_problem(507);
    phone.nudge(&phone.track_after_current(2)).await;
    disk.clear("write");
    assert_eq!(offset(&phone, &path).await, half.to_string());
    ask(patch(&phone, &path, half, &bytes[half..]))
        .await
        .expect(204);
}

#[tokio::test]
async fn uploads_can_be_switched_off() {
    let server = Setup::long_tracks().flag("--no-uploads").start().await;
    let phone = Phone::pair(&server).await;
    ask(creation(&phone, "Song.mp3", 100)).await.expect(403);
    let put = phone
        .request(Method::PUT, "/uploads/by-name/a.mp3")
        .body("x");
    ask(put).await.expect(403);
}

#[tokio::test]
async fn removed_upload_leaves_the_library() {
    let server = TestServer::start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    let bytes = fixture("fixture.mp3");
    upload(&phone, "Song.mp3", &bytes).await.expect(204);
    let track = track_id(&bytes);
    let rows = phone.get("/uploads").await.expect(200).json();
    assert_eq!(rows[0]["trackId"], json!(track));
    assert_eq!(rows[0]["name"], "Song.mp3");
    assert_eq!(rows[0]["by"], json!(phone.member));
    assert_eq!(rows[0]["size"], bytes.len());
    assert!(rows[0]["expiresAt"].as_str().unwrap().ends_with('Z'));

    phone
        .wait_until("the queue with the upload", |view| {
            phone::queued_tracks(view).contains(&track)
        })
        .await;
    let path = format!("/uploads/by-track/{track}");
    ask(phone.request(Method::DELETE, &path)).await.expect(204);
    let room = phone.snapshot().await;
    assert!(!phone::queued_tracks(&room).contains(&track));
    assert!(picks(&room).is_empty());
    ask(phone.request(Method::DELETE, &path)).await.expect(404);
    let row = phone.current_track();
    let of_collection = phone.request(Method::DELETE, &format!("/uploads/by-track/{row}"));
    ask(of_collection).await.expect(404);
}

#[tokio::test]
async fn expired_uploads_are_removed_unless_they_are_picked() {
    let mut server = TestServer::start().await;
    let mut phone = Phone::pair(&server).await;
    let (picked, other) = (fixture("fixture.mp3"), fixture("fixture.ogg"));
    upload(&phone, "Picked.mp3", &picked).await.expect(204);
    let put = phone.request(Method::PUT, "/uploads/by-name/Other.ogg?pick=false");
    ask(put.body(other.clone())).await.expect(201);
    let unfinished = begin(&phone, "Unfinished.mp3", 100).await;
    server.stop().await;

    let folder = upload_folder(&server);
    let yesterday = SystemTime::now() - Duration::from_secs(25 * 60 * 60);
    for bytes in [&picked, &other] {
        let track = folder.join(format!("{}-{}", track_id(bytes), phone.member));
        File::open(track).unwrap().set_modified(yesterday).unwrap();
    }
    let id = unfinished.rsplit('/').next().unwrap();
    let part = File::options()
        .write(true)
        .open(folder.join(".unfinished").join(id));
    part.unwrap().set_modified(yesterday).unwrap();
    server.restart().await;
    phone.use_server(&server);
    until("the removal of the expired upload", async || {
        let rows = phone.get("/uploads").await.json();
        let tracks: Vec<_> = rows
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["name"].clone())
            .collect();
        tracks == [json!("Picked.mp3")]
    })
    .await;
    until("the queue without the expired upload", async || {
        let queue = phone::queued_tracks(&phone.snapshot().await);
        queue.contains(&track_id(&picked)) && !queue.contains(&track_id(&other))
    })
    .await;
    ask(tus(&phone, "HEAD", &unfinished)).await.expect(410);
}

#[tokio::test]
async fn uploads_alone_do_not_make_a_missing_audio_folder_look_present() {
    let mut server = TestServer::start().await;
    let mut phone = Phone::pair(&server).await;
    upload(&phone, "Song.mp3", &fixture("fixture.mp3"))
        .await
        .expect(204);
    let queue = phone::queued_tracks(&phone.snapshot().await);
    assert_eq!(queue.len(), 5);
    server.stop().await;
    let audio = server.setup().audio();
    fs::rename(&audio, audio.with_extension("away")).unwrap();
    fs::create_dir(&audio).unwrap();
    server.restart().await;
    phone.use_server(&server);
    assert_eq!(phone::queued_tracks(&phone.snapshot().await), queue);
}
