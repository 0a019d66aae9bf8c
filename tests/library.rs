//! Changes to the audio folder while the server runs, and the index cache across restarts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use common::phone::{Event, ask, http, queued_tracks};
use common::{Phone, Setup, TestServer, music, until};
use flate2::read::GzDecoder;
use image::{DynamicImage, ImageFormat};
use reqwest::Method;
use serde_json::{Value, json};

/// The rows of `GET /index`.
async fn index_rows(phone: &Phone) -> Vec<Value> {
    let index = phone.get("/index").await.expect(200).json();
    index.as_array().unwrap().clone()
}

/// The row of `GET /index` with this file name.
async fn row_of_file(phone: &Phone, name: &str) -> Value {
    let rows = index_rows(phone).await;
    let row = rows.iter().find(|row| row["fileName"] == name);
    row.unwrap_or_else(|| panic!("{name} is not in the index: {rows:#?}"))
        .clone()
}

/// The track IDs in a list field of an event's payload. Empty without the field.
fn track_ids(event: &Event, field: &str) -> Vec<String> {
    let ids = event.payload[field].as_array();
    let ids = ids.map(Vec::as_slice).unwrap_or_default();
    ids.iter()
        .map(|id| id.as_str().unwrap().to_owned())
        .collect()
}

/// Starts a server with the long test tracks and a listening phone that has acknowledged all of them.
async fn start_with_ready_listener() -> (TestServer, Phone) {
    let server = TestServer::start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    phone.ack_all().await;
    (server, phone)
}

#[tokio::test]
async fn added_file_is_appended_to_the_queue() {
    let (server, mut phone) = start_with_ready_listener().await;
    phone.next().await;
    let event_count_before = phone.event_count();
    music::put_wav(&server.setup().audio().join("a new one.wav"), 5, 1_000);
    let event = phone
        .durable_event("library.changed", event_count_before)
        .await;
    let added_ids = track_ids(&event, "added");
    assert_eq!(
        (added_ids.len(), track_ids(&event, "removed").len()),
        (1, 0),
        "{event:?}"
    );
    // The queue is a ring, so its end is the position before the current track.
    assert_eq!(phone.track_after_current(4), added_ids[0]);
    assert_eq!(
        row_of_file(&phone, "a new one.wav").await["trackId"],
        *added_ids[0]
    );
}

#[tokio::test]
async fn hundred_files_copied_together_cause_one_library_event() {
    let (server, mut phone) = start_with_ready_listener().await;
    let (event_count_before, audio) = (phone.event_count(), server.setup().audio());
    fs::create_dir(audio.join("album")).unwrap();
    for file_index in 0..100 {
        music::put_wav(&audio.join(format!("album/{file_index:03}.wav")), 5, 1_000);
    }
    let event = phone
        .durable_event("library.changed", event_count_before)
        .await;
    assert_eq!(track_ids(&event, "added").len(), 100);
    assert_eq!(queued_tracks(&phone.view).len(), 104);
}

#[tokio::test]
async fn file_is_added_only_after_its_copy_is_complete() {
    let (server, mut phone) = start_with_ready_listener().await;
    let flac_bytes = fs::read(music::fixture("flac")).unwrap();
    for attempt in 0.. {
        let (event_count_before, name) = (phone.event_count(), format!("slow {attempt}.flac"));
        let mut file = File::create(server.setup().audio().join(&name)).unwrap();
        let mut longest_pause = Duration::ZERO;
        for chunk in flac_bytes.chunks(flac_bytes.len() / 12 + 1) {
            let write_started_at = Instant::now();
            file.write_all(chunk).unwrap();
            tokio::time::sleep(Duration::from_millis(400)).await;
            longest_pause = longest_pause.max(write_started_at.elapsed());
        }
        drop(file);
        phone
            .durable_event("library.changed", event_count_before)
            .await;
        // If the machine suspended this test for too long between two writes, the server took the file for complete. Then the
        // test repeats the attempt.
        if longest_pause < Duration::from_secs(1) {
            assert_eq!(row_of_file(&phone, &name).await["size"], flac_bytes.len());
            assert_eq!(
                phone.durable_event_names_after(event_count_before),
                ["library.changed"]
            );
            return;
        }
    }
}

#[tokio::test]
async fn removal_of_the_current_track_starts_the_next_one() {
    let (server, mut phone) = start_with_ready_listener().await;
    phone.play(3.0).await;
    let (event_count_before, next_track_id) = (phone.event_count(), phone.next_track());
    fs::remove_file(server.setup().audio().join("a first.wav")).unwrap();
    let event = phone
        .durable_event("library.changed", event_count_before)
        .await;
    assert_eq!(track_ids(&event, "removed").len(), 1);
    phone
        .durable_event("barrier.release", event_count_before)
        .await;
    assert_eq!(
        (
            phone.current_track(),
            phone.play_mode(),
            phone.anchor_position_sec()
        ),
        (next_track_id, "playing", 0.0)
    );
}

#[tokio::test]
async fn renamed_file_becomes_a_new_track() {
    let (server, mut phone) = start_with_ready_listener().await;
    let (event_count_before, audio) = (phone.event_count(), server.setup().audio());
    fs::rename(audio.join("c third.wav"), audio.join("other.wav")).unwrap();
    let event = phone
        .durable_event("library.changed", event_count_before)
        .await;
    assert_eq!(
        (
            track_ids(&event, "added").len(),
            track_ids(&event, "removed").len()
        ),
        (1, 1)
    );
    assert_eq!(queued_tracks(&phone.view).len(), 4);
}

/// A phone that has downloaded the old content must download the new content before the track can start.
#[tokio::test]
async fn change_of_a_file_discards_earlier_acknowledgements() {
    let (server, mut phone) = start_with_ready_listener().await;
    let (event_count_before, track_id) = (phone.event_count(), phone.next_track());
    let old_row = row_of_file(&phone, "b second.wav").await;
    music::put_wav(&server.setup().audio().join("b second.wav"), 650, 1_000);
    let event = phone
        .durable_event("library.changed", event_count_before)
        .await;
    assert_eq!(track_ids(&event, "changed"), [&*track_id]);
    let new_row = row_of_file(&phone, "b second.wav").await;
    assert_eq!(new_row["duration"], 650.0);
    let url = |row: &Value| format!("/file/{track_id}?v={}", row["version"].as_str().unwrap());
    phone.get(&url(&old_row)).await.expect_problem(404);
    phone.get(&url(&new_row)).await.expect(200);

    phone.next().await;
    assert_eq!(phone.view["barrier"]["ready"], json!([]));
    phone.ack(&track_id).await;
    phone
        .durable_event("barrier.release", event.event_count)
        .await;
}

#[tokio::test]
async fn paired_device_can_request_a_rescan() {
    let (server, mut phone) = start_with_ready_listener().await;
    let event_count_before = phone.event_count();
    fs::remove_file(server.setup().audio().join("d fourth.wav")).unwrap();
    phone.post("/rescan").await.expect(202);
    phone
        .durable_event("library.changed", event_count_before)
        .await;
    phone.get("/rescan").await.expect_problem(405);
    let unpaired = http().post(server.url("/rescan"));
    ask(unpaired).await.expect_problem(401);
}

/// The queue must not become empty if the disk with the music is unplugged during playback.
#[tokio::test]
async fn unreadable_audio_folder_keeps_the_queue() {
    let (server, phone) = start_with_ready_listener().await;
    let (event_count_before, audio) = (phone.event_count(), server.setup().audio());
    let moved_folder = server.setup().folder().join("aside");
    fs::rename(&audio, &moved_folder).unwrap();
    phone.post("/rescan").await.expect(202);
    until("a warning about the audio folder in the log", async || {
        server.log().contains("cannot use the content")
    })
    .await;
    assert_eq!(phone.snapshot().await["eventCount"], event_count_before);
    fs::rename(&moved_folder, &audio).unwrap();
    assert_eq!(index_rows(&phone).await.len(), 4);
}

/// At boot, the server may start before the disk with the music is mounted.
#[tokio::test]
async fn start_with_an_empty_audio_folder_keeps_the_queue_until_a_rescan() {
    let (mut server, mut phone) = start_with_ready_listener().await;
    phone.nudge(&phone.track_after_current(3)).await;
    let queue_before = queued_tracks(&phone.view);
    server.stop().await;
    let (audio, moved_folder) = (
        server.setup().audio(),
        server.setup().folder().join("aside"),
    );
    fs::rename(&audio, &moved_folder).unwrap();
    fs::create_dir(&audio).unwrap();
    server.restart().await;
    phone.use_server(&server);
    phone.listen().await;
    assert_eq!(queued_tracks(&phone.view), queue_before);

    let event_count = phone.event_count();
    phone.post("/rescan").await.expect(202);
    let event = phone.durable_event("library.changed", event_count).await;
    assert_eq!(track_ids(&event, "removed").len(), queue_before.len());
}

#[tokio::test]
async fn tracks_of_a_folder_that_was_away_return_to_their_places() {
    let setup = Setup::long_tracks();
    let (second, aside) = (setup.folder().join("second"), setup.folder().join("aside"));
    fs::create_dir(&second).unwrap();
    for name in ["x.wav", "y.wav"] {
        music::put_wav(&second.join(name), 5, 1_000);
    }
    let flag = format!("--audio-dir={}", second.display());
    let server = setup.flag(&flag).start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    let row = row_of_file(&phone, "y.wav").await;
    phone.nudge(row["trackId"].as_str().unwrap()).await;
    let queue_before = queued_tracks(&phone.view);
    for (from, to, field) in [(&second, &aside, "removed"), (&aside, &second, "added")] {
        let event_count_before = phone.event_count();
        fs::rename(from, to).unwrap();
        phone.post("/rescan").await.expect(202);
        let event = phone
            .durable_event("library.changed", event_count_before)
            .await;
        assert_eq!(track_ids(&event, field).len(), 2);
    }
    assert_eq!(queued_tracks(&phone.view), queue_before);
    assert_eq!(server.log().matches(" is away").count(), 1);
    let url = format!("/file/{}", row["trackId"].as_str().unwrap());
    phone.get(&url).await.expect(200);
}

/// Overwrites the first bytes, but keeps the size and the modification time: only a program that reads the file notices it.
fn overwrite_keeping_mtime(path: &Path, bytes: &[u8]) {
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    let file = File::options().write(true).open(path).unwrap();
    (&file).write_all(bytes).unwrap();
    file.set_modified(modified).unwrap();
}

/// The number of files that the server has read since its start.
async fn files_read(phone: &Phone) -> u64 {
    let metrics = phone.get("/metrics").await.expect(200).text();
    let line = metrics
        .lines()
        .find(|line| line.starts_with("lockstep_scan_files_read_total "));
    line.unwrap().split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn unchanged_files_are_not_read_again_at_the_next_start() {
    let mut server = Setup::fixtures().start().await;
    let mut phone = Phone::pair(&server).await;
    let rows_before = index_rows(&phone).await;
    assert_eq!(files_read(&phone).await, rows_before.len() as u64);
    server.stop().await;
    server.restart().await;
    phone.use_server(&server);
    assert_eq!(index_rows(&phone).await, rows_before);
    assert_eq!(files_read(&phone).await, 0);
}

#[tokio::test]
async fn change_that_keeps_size_and_modification_time_is_seen() {
    let server = Setup::fixtures().start().await;
    let phone = Phone::pair(&server).await;
    let name = "fixture.flac";
    let row_before = row_of_file(&phone, name).await;
    let url = format!("/file/{}", row_before["trackId"].as_str().unwrap());
    let old_file = phone.get(&url).await.expect(200);
    let old_etag = old_file.header("etag").unwrap().to_owned();
    let path = server.setup().audio().join(name);
    let middle = old_file.body.len() / 2;
    let mut bytes = old_file.body.to_vec();
    bytes[middle] ^= 1;
    overwrite_keeping_mtime(&path, &bytes);

    // A download that began before the change cannot be resumed, not even before the next scan.
    let resume = phone
        .request(Method::GET, &url)
        .header("if-range", &old_etag)
        .header("range", "bytes=10-");
    let resumed = ask(resume).await.expect(200);
    assert!(resumed.body == bytes);
    let new_etag = resumed.header("etag").unwrap();
    assert_ne!(new_etag, old_etag);
    // The download reports the change, so that no rescan is needed.
    until("the version of the download in the index", async || {
        let row = row_of_file(&phone, name).await;
        new_etag == format!("\"{}\"", row["version"].as_str().unwrap())
    })
    .await;
}

/// On a FAT disk, all times shift when daylight saving time begins or ends.
#[tokio::test]
async fn shifted_times_change_no_version() {
    let setup = Setup::fixtures();
    let audio = setup.audio();
    DynamicImage::new_rgb8(20, 10)
        .save_with_format(audio.join("cover.png"), ImageFormat::Png)
        .unwrap();
    let mut server = setup.start().await;
    let mut phone = Phone::pair(&server).await;
    let index_before = phone.get("/index").await.expect(200);
    server.until_hashed(index_rows(&phone).await.len()).await;
    let shift = || {
        for entry in audio.read_dir().unwrap() {
            let file = File::options()
                .write(true)
                .open(entry.unwrap().path())
                .unwrap();
            let modified = file.metadata().unwrap().modified().unwrap();
            file.set_modified(modified + Duration::from_secs(3600))
                .unwrap();
        }
    };
    shift();
    let row = row_of_file(&phone, "fixture.flac").await;
    let url = format!("/file/{}", row["trackId"].as_str().unwrap());
    let version = row["version"].as_str().unwrap();
    let versioned = format!("{url}?v={version}");
    phone.get(&versioned).await.expect(200);
    let scan_count = files_read(&phone).await;
    phone.post("/rescan").await.expect(202);
    until("all files to be read again", async || {
        files_read(&phone).await > scan_count
    })
    .await;
    server.stop().await;
    shift();
    server.restart().await;
    phone.use_server(&server);
    let index_after = phone.get("/index").await.expect(200);
    assert!(index_after.body == index_before.body);
}

/// The rows without `addedAt`, which is the time of the first scan again if the index cache is lost.
async fn rows_without_added_at(phone: &Phone) -> Vec<Value> {
    let mut rows = index_rows(phone).await;
    for row in &mut rows {
        row.as_object_mut().unwrap().remove("addedAt");
    }
    rows
}

#[tokio::test]
async fn damaged_index_cache_is_logged_and_rebuilt() {
    let mut server = Setup::fixtures().start().await;
    let mut phone = Phone::pair(&server).await;
    let rows_before = rows_without_added_at(&phone).await;
    server.stop().await;
    let cache = server
        .setup()
        .state_file()
        .with_file_name("state.json.index");
    let mut bytes = fs::read(&cache).unwrap();
    let middle_index = bytes.len() / 2;
    bytes[middle_index] ^= 1;
    fs::write(&cache, bytes).unwrap();
    server.restart().await;
    phone.use_server(&server);
    assert_eq!(rows_without_added_at(&phone).await, rows_before);
    assert_eq!(
        server.log().matches("the index cache").count(),
        1,
        "{}",
        server.log()
    );
}

/// A setup with 300 tracks: more than the server can scan before it responds to the first request.
fn setup_with_300_tracks() -> Setup {
    let setup = Setup::empty();
    for file_index in 0..300 {
        music::put_wav(
            &setup.audio().join(format!("{file_index:03}.wav")),
            5,
            1_000,
        );
    }
    setup
}

#[tokio::test]
async fn server_responds_while_it_scans_a_large_library() {
    let server = setup_with_300_tracks().start().await;
    assert!(
        server
            .stdout()
            .iter()
            .any(|line| line.contains("the scan continues"))
    );
    let mut phone = Phone::pair_and_listen(&server).await;
    phone
        .wait_until("all 300 tracks in the queue", |view| {
            queued_tracks(view).len() == 300
        })
        .await;
    let index: Vec<_> = index_rows(&phone)
        .await
        .iter()
        .map(|row| row["trackId"].clone())
        .collect();
    assert_eq!(
        json!(queued_tracks(&phone.view)),
        json!(index),
        "the queue order differs from the index order"
    );
    assert!(
        phone.durable_event_names_after(0).len() < 5,
        "{:?}",
        phone.durable_event_names_after(0)
    );
}

#[tokio::test]
async fn queue_survives_a_start_without_index_cache() {
    let mut server = setup_with_300_tracks().start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    phone
        .wait_until("all 300 tracks in the queue", |view| {
            queued_tracks(view).len() == 300
        })
        .await;
    let last_track_id = phone.track_after_current(299);
    phone.nudge(&last_track_id).await;
    let (event_count, queue_before) = (phone.event_count(), queued_tracks(&phone.view));
    server.stop().await;
    // The server may have stopped before it wrote the cache.
    let _ = fs::remove_file(
        server
            .setup()
            .state_file()
            .with_file_name("state.json.index"),
    );
    server.restart().await;
    phone.use_server(&server);
    until("all 300 tracks in the index", async || {
        index_rows(&phone).await.len() >= 300
    })
    .await;
    let snapshot = phone.snapshot().await;
    assert_eq!(queued_tracks(&snapshot), queue_before);
    assert_eq!(snapshot["eventCount"], event_count);
}

#[tokio::test]
async fn index_is_compressed_for_clients_that_accept_gzip() {
    let server = Setup::fixtures().start().await;
    let phone = Phone::pair(&server).await;
    let get = |field: &'static str, value: String| {
        ask(phone.request(Method::GET, "/index").header(field, value))
    };
    let uncompressed_response = phone.get("/index").await.expect(200);
    let gzip_response = get("accept-encoding", "gzip".into()).await.expect(200);
    assert_eq!(gzip_response.header("content-encoding"), Some("gzip"));
    assert!(
        gzip_response
            .header("vary")
            .unwrap()
            .eq_ignore_ascii_case("accept-encoding")
    );
    assert_ne!(
        gzip_response.header("etag"),
        uncompressed_response.header("etag")
    );
    let mut decompressed_body = Vec::new();
    GzDecoder::new(&gzip_response.body[..])
        .read_to_end(&mut decompressed_body)
        .unwrap();
    assert_eq!(decompressed_body, uncompressed_response.body);
    let request = phone
        .request(Method::GET, "/index")
        .header("accept-encoding", "gzip");
    ask(request.header("if-none-match", gzip_response.header("etag").unwrap()))
        .await
        .expect(304);
}

#[tokio::test]
async fn cover_file_beside_a_track_is_served_and_updated() {
    let setup = Setup::empty();
    let (audio, album) = (setup.audio(), setup.audio().join("album"));
    fs::create_dir(&album).unwrap();
    music::put_wav(&audio.join("alone.wav"), 5, 1_000);
    music::put_wav(&album.join("one.wav"), 5, 1_000);
    let write_cover = |width| {
        let picture = DynamicImage::new_rgb8(width, 10);
        picture
            .save_with_format(album.join("Cover.png"), ImageFormat::Png)
            .unwrap();
    };
    write_cover(20);
    let server = setup.start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    assert!(row_of_file(&phone, "alone.wav").await["coverUrl"].is_null());
    let url = row_of_file(&phone, "one.wav").await["coverUrl"]
        .as_str()
        .unwrap()
        .to_owned();
    let width = |response: &[u8]| image::load_from_memory(response).unwrap().width();
    assert_eq!(width(&phone.get(&url).await.expect(200).body), 20);

    let old_etag = phone.get("/index").await.header("etag").unwrap().to_owned();
    write_cover(30);
    phone.post("/rescan").await.expect(202);
    until("another ETag of the index", async || {
        phone.get("/index").await.header("etag") != Some(&old_etag)
    })
    .await;
    phone.get(&url).await.expect_problem(404);
    let url = row_of_file(&phone, "one.wav").await["coverUrl"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(width(&phone.get(&url).await.expect(200).body), 30);
    phone.close_stream();
}
