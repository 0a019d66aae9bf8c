//! A folder that changes while the server runs, and what a start remembers of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on panics"
)]

pub mod common;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use common::phone::{Event, ask, http, queue};
use common::{Phone, Setup, TestServer, music, until};
use flate2::read::GzDecoder;
use image::{DynamicImage, ImageFormat};
use reqwest::Method;
use serde_json::{Value, json};

async fn rows(phone: &Phone) -> Vec<Value> {
    let index = phone.get("/index").await.expect(200).json();
    index.as_array().unwrap().clone()
}

async fn row(phone: &Phone, name: &str) -> Value {
    let rows = rows(phone).await;
    let row = rows.iter().find(|row| row["fileName"] == name);
    row.unwrap_or_else(|| panic!("{name} among {rows:#?}"))
        .clone()
}

fn ids(event: &Event, field: &str) -> Vec<String> {
    let ids = event.payload[field].as_array();
    let ids = ids.map(Vec::as_slice).unwrap_or_default();
    ids.iter()
        .map(|id| id.as_str().unwrap().to_owned())
        .collect()
}

/// A server with the long tracks, and a phone that has them all.
async fn party() -> (TestServer, Phone) {
    let server = TestServer::start().await;
    let mut phone = Phone::listening(&server).await;
    phone.ack_all().await;
    (server, phone)
}

#[tokio::test]
async fn a_file_that_is_added_joins_the_end_of_the_ring() {
    let (server, mut phone) = party().await;
    phone.next().await;
    let before = phone.count();
    music::put_wav(&server.setup().audio().join("a new one.wav"), 5, 1_000);
    let event = phone.durable_event("library.changed", before).await;
    let added = ids(&event, "added");
    assert_eq!(
        (added.len(), ids(&event, "removed").len()),
        (1, 0),
        "{event:?}"
    );
    // The end of a ring is right before where it is now.
    assert_eq!(phone.track_after_current(4), added[0]);
    assert_eq!(row(&phone, "a new one.wav").await["trackId"], *added[0]);
}

#[tokio::test]
async fn a_hundred_files_that_are_copied_at_once_are_one_event() {
    let (server, mut phone) = party().await;
    let (before, audio) = (phone.count(), server.setup().audio());
    fs::create_dir(audio.join("album")).unwrap();
    for n in 0..100 {
        music::put_wav(&audio.join(format!("album/{n:03}.wav")), 5, 1_000);
    }
    let event = phone.durable_event("library.changed", before).await;
    assert_eq!(ids(&event, "added").len(), 100);
    assert_eq!(queue(&phone.view).len(), 104);
}

#[tokio::test]
async fn a_file_that_is_still_being_copied_is_taken_when_it_is_whole() {
    let (server, mut phone) = party().await;
    let whole = fs::read(music::fixture("flac")).unwrap();
    for attempt in 0.. {
        let (before, name) = (phone.count(), format!("slow {attempt}.flac"));
        let mut file = File::create(server.setup().audio().join(&name)).unwrap();
        let mut longest = Duration::ZERO;
        for piece in whole.chunks(whole.len() / 12 + 1) {
            let since = Instant::now();
            file.write_all(piece).unwrap();
            tokio::time::sleep(Duration::from_millis(400)).await;
            longest = longest.max(since.elapsed());
        }
        drop(file);
        phone.durable_event("library.changed", before).await;
        // A machine that stood still in between has shown nothing.
        if longest < Duration::from_secs(1) {
            assert_eq!(row(&phone, &name).await["size"], whole.len());
            assert_eq!(phone.names_after(before), ["library.changed"]);
            return;
        }
    }
}

#[tokio::test]
async fn when_the_current_track_is_removed_the_room_moves_on() {
    let (server, mut phone) = party().await;
    phone.play(3.0).await;
    let (before, second) = (phone.count(), phone.next_up());
    fs::remove_file(server.setup().audio().join("a first.wav")).unwrap();
    let event = phone.durable_event("library.changed", before).await;
    assert_eq!(ids(&event, "removed").len(), 1);
    phone.durable_event("barrier.release", before).await;
    assert_eq!(
        (phone.current(), phone.mode(), phone.anchor()),
        (second, "playing", 0.0)
    );
}

#[tokio::test]
async fn a_file_that_gets_another_name_is_another_track() {
    let (server, mut phone) = party().await;
    let (before, audio) = (phone.count(), server.setup().audio());
    fs::rename(audio.join("c third.wav"), audio.join("other.wav")).unwrap();
    let event = phone.durable_event("library.changed", before).await;
    assert_eq!(
        (ids(&event, "added").len(), ids(&event, "removed").len()),
        (1, 1)
    );
    assert_eq!(queue(&phone.view).len(), 4);
}

/// Whoever had the old bytes has to fetch the new ones before they can be played together.
#[tokio::test]
async fn a_track_with_new_bytes_is_waited_for_again() {
    let (server, mut phone) = party().await;
    let (before, second) = (phone.count(), phone.next_up());
    let old = row(&phone, "b second.wav").await;
    music::put_wav(&server.setup().audio().join("b second.wav"), 650, 1_000);
    let event = phone.durable_event("library.changed", before).await;
    assert_eq!(ids(&event, "changed"), [&*second]);
    let new = row(&phone, "b second.wav").await;
    assert_eq!(new["duration"], 650.0);
    let url = |row: &Value| format!("/file/{second}?v={}", row["version"].as_str().unwrap());
    phone.get(&url(&old)).await.expect_problem(404);
    phone.get(&url(&new)).await.expect(200);

    phone.next().await;
    assert_eq!(phone.view["barrier"]["ready"], json!([]));
    phone.ack(&second).await;
    phone
        .durable_event("barrier.release", event.event_count)
        .await;
}

#[tokio::test]
async fn the_folder_is_looked_through_when_a_paired_device_asks() {
    let (server, mut phone) = party().await;
    let before = phone.count();
    fs::remove_file(server.setup().audio().join("d fourth.wav")).unwrap();
    phone.post("/rescan").await.expect(202);
    phone.durable_event("library.changed", before).await;
    phone.get("/rescan").await.expect_problem(405);
    let stranger = http().post(server.url("/rescan"));
    ask(stranger).await.expect_problem(401);
}

/// A disk that was pulled out in mid-song is no reason to throw the queue away.
#[tokio::test]
async fn a_folder_that_cannot_be_read_any_more_changes_nothing() {
    let (server, phone) = party().await;
    let (before, audio) = (phone.count(), server.setup().audio());
    let aside = server.setup().folder().join("aside");
    fs::rename(&audio, &aside).unwrap();
    phone.post("/rescan").await.expect(202);
    until("the log to say so", async || {
        server.log().contains("cannot be believed")
    })
    .await;
    assert_eq!(phone.snapshot().await["eventCount"], before);
    fs::rename(&aside, &audio).unwrap();
    assert_eq!(rows(&phone).await.len(), 4);
}

/// At boot a server may be up before its disk is.
#[tokio::test]
async fn a_start_with_an_empty_folder_keeps_the_queue_until_somebody_asks_for_a_rescan() {
    let (mut server, mut phone) = party().await;
    phone.nudge(&phone.track_after_current(3)).await;
    let before = queue(&phone.view);
    server.stop().await;
    let (audio, aside) = (
        server.setup().audio(),
        server.setup().folder().join("aside"),
    );
    fs::rename(&audio, &aside).unwrap();
    fs::create_dir(&audio).unwrap();
    server.start_again().await;
    phone.moved_to(&server);
    phone.listen().await;
    assert_eq!(queue(&phone.view), before);

    let count = phone.count();
    phone.post("/rescan").await.expect(202);
    let event = phone.durable_event("library.changed", count).await;
    assert_eq!(ids(&event, "removed").len(), before.len());
}

/// Writes other bytes, so that nobody but who reads them could tell.
fn forge(path: &Path, bytes: &[u8]) {
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    let file = File::options().write(true).open(path).unwrap();
    (&file).write_all(bytes).unwrap();
    file.set_modified(modified).unwrap();
}

#[tokio::test]
async fn what_has_not_changed_is_not_read_again_at_the_next_start() {
    let mut server = Setup::fixtures().start().await;
    let mut phone = Phone::pair(&server).await;
    let before = rows(&phone).await;
    server.stop().await;
    let flac = music::fixture("flac");
    let name = flac.file_name().unwrap();
    forge(&server.setup().audio().join(name), b"this is no music");
    server.start_again().await;
    phone.moved_to(&server);
    assert_eq!(rows(&phone).await, before);
}

#[tokio::test]
async fn a_damaged_index_cache_costs_a_log_line_and_nothing_else() {
    let mut server = Setup::fixtures().start().await;
    let mut phone = Phone::pair(&server).await;
    let before = rows(&phone).await;
    server.stop().await;
    let cache = server
        .setup()
        .state_file()
        .with_file_name("state.json.index");
    let mut bytes = fs::read(&cache).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&cache, bytes).unwrap();
    server.start_again().await;
    phone.moved_to(&server);
    assert_eq!(rows(&phone).await, before);
    assert_eq!(
        server.log().matches("the index cache").count(),
        1,
        "{}",
        server.log()
    );
}

/// More files than are read before the first request is answered.
fn many_tracks() -> Setup {
    let setup = Setup::empty();
    for n in 0..300 {
        music::put_wav(&setup.audio().join(format!("{n:03}.wav")), 5, 1_000);
    }
    setup
}

#[tokio::test]
async fn a_large_library_is_read_while_the_server_answers() {
    let server = many_tracks().start().await;
    assert!(
        server
            .stdout()
            .iter()
            .any(|line| line.contains("as they are found"))
    );
    let mut phone = Phone::listening(&server).await;
    phone
        .wait_until("the whole library", |view| queue(view).len() == 300)
        .await;
    let index: Vec<_> = rows(&phone)
        .await
        .iter()
        .map(|row| row["trackId"].clone())
        .collect();
    assert_eq!(json!(queue(&phone.view)), json!(index), "in their order");
    assert!(phone.names_after(0).len() < 5, "{:?}", phone.names_after(0));
}

#[tokio::test]
async fn a_queue_outlives_a_start_at_which_all_is_read_anew() {
    let mut server = many_tracks().start().await;
    let mut phone = Phone::listening(&server).await;
    phone
        .wait_until("the whole library", |view| queue(view).len() == 300)
        .await;
    let last = phone.track_after_current(299);
    phone.nudge(&last).await;
    let (count, order) = (phone.count(), queue(&phone.view));
    server.stop().await;
    // It is not there if the server was stopped before it was written.
    let _ = fs::remove_file(
        server
            .setup()
            .state_file()
            .with_file_name("state.json.index"),
    );
    server.start_again().await;
    phone.moved_to(&server);
    until("the whole library", async || {
        rows(&phone).await.len() >= 300
    })
    .await;
    let snapshot = phone.snapshot().await;
    assert_eq!(queue(&snapshot), order);
    assert_eq!(snapshot["eventCount"], count);
}

#[tokio::test]
async fn the_index_is_compressed_for_whoever_takes_it() {
    let server = Setup::fixtures().start().await;
    let phone = Phone::pair(&server).await;
    let get = |field: &'static str, value: String| {
        ask(phone.request(Method::GET, "/index").header(field, value))
    };
    let plain = phone.get("/index").await.expect(200);
    let packed = get("accept-encoding", "gzip".into()).await.expect(200);
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert!(
        packed
            .header("vary")
            .unwrap()
            .eq_ignore_ascii_case("accept-encoding")
    );
    assert_ne!(packed.header("etag"), plain.header("etag"));
    let mut unpacked = Vec::new();
    GzDecoder::new(&packed.body[..])
        .read_to_end(&mut unpacked)
        .unwrap();
    assert_eq!(unpacked, plain.body);
    let request = phone
        .request(Method::GET, "/index")
        .header("accept-encoding", "gzip");
    ask(request.header("if-none-match", packed.header("etag").unwrap()))
        .await
        .expect(304);
}

#[tokio::test]
async fn a_picture_beside_the_tracks_is_their_cover_until_it_changes() {
    let setup = Setup::empty();
    let (audio, album) = (setup.audio(), setup.audio().join("album"));
    fs::create_dir(&album).unwrap();
    music::put_wav(&audio.join("alone.wav"), 5, 1_000);
    music::put_wav(&album.join("one.wav"), 5, 1_000);
    let picture = |width| {
        let picture = DynamicImage::new_rgb8(width, 10);
        picture
            .save_with_format(album.join("Cover.png"), ImageFormat::Png)
            .unwrap();
    };
    picture(20);
    let server = setup.start().await;
    let mut phone = Phone::listening(&server).await;
    assert!(row(&phone, "alone.wav").await["coverUrl"].is_null());
    let url = row(&phone, "one.wav").await["coverUrl"]
        .as_str()
        .unwrap()
        .to_owned();
    let width = |answer: &[u8]| image::load_from_memory(answer).unwrap().width();
    assert_eq!(width(&phone.get(&url).await.expect(200).body), 20);

    let old = phone.get("/index").await.header("etag").unwrap().to_owned();
    picture(30);
    phone.post("/rescan").await.expect(202);
    until("another index", async || {
        phone.get("/index").await.header("etag") != Some(&old)
    })
    .await;
    phone.get(&url).await.expect_problem(404);
    let url = row(&phone, "one.wav").await["coverUrl"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(width(&phone.get(&url).await.expect(200).body), 30);
    phone.hang_up();
}
