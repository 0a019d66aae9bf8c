//! What a real collection holds besides music: the same recording twice, and covers of every kind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on panics"
)]

pub mod common;

use std::fs::{self, File};
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use common::faulty_disk::{FaultyDisk, Order};
use common::phone::queue;
use common::{Phone, Setup, TestServer, music, until};
use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};
use image::{DynamicImage, ImageFormat};
use lofty::config::WriteOptions;
use lofty::prelude::*;
use lofty::tag::Tag;
use serde_json::{Value, json};

async fn rows(phone: &Phone) -> Vec<Value> {
    let index = phone.get("/index").await.expect(200).json();
    index.as_array().unwrap().clone()
}

async fn names(phone: &Phone) -> Vec<String> {
    let rows = rows(phone).await;
    let name = |row: &Value| row["fileName"].as_str().unwrap().to_owned();
    let mut names: Vec<_> = rows.iter().map(name).collect();
    names.sort();
    names
}

async fn row(phone: &Phone, name: &str) -> Value {
    let rows = rows(phone).await;
    let row = rows.iter().find(|row| row["fileName"] == name);
    row.unwrap_or_else(|| panic!("{name} among {rows:#?}"))
        .clone()
}

/// A copy of the fixture of that kind, with these tags and no others.
fn put_tagged(path: &Path, title: &str, artist: &str) {
    let extension = path.extension().unwrap().to_str().unwrap();
    fs::copy(music::fixture(extension), path).unwrap();
    let mut file = lofty::read_from_path(path).unwrap();
    file.clear();
    let mut tag = Tag::new(file.primary_tag_type());
    tag.set_title(title.into());
    tag.set_artist(artist.into());
    file.insert_tag(tag);
    file.save_to_path(path, WriteOptions::default()).unwrap();
}

/// One song as MP3 and as FLAC, another by the same people, and an untagged file twice, under other names.
fn doubles() -> Setup {
    let setup = Setup::empty();
    let audio = setup.audio();
    put_tagged(&audio.join("one.mp3"), "A Song", "Some People");
    put_tagged(&audio.join("two.flac"), "a song", "SOME PEOPLE");
    put_tagged(&audio.join("other.mp3"), "Another Song", "Some People");
    let untagged = music::fixtures().join("untagged_song-name.mp3");
    fs::copy(&untagged, audio.join("a copy.mp3")).unwrap();
    fs::copy(&untagged, audio.join("b copy.mp3")).unwrap();
    setup
}

#[tokio::test]
async fn a_recording_that_is_there_twice_is_shown_once_in_its_better_copy() {
    let mut server = doubles().env([("KEEP_DUPLICATES", "1")]).start().await;
    let mut phone = Phone::pair(&server).await;
    let all = [
        "a copy.mp3",
        "b copy.mp3",
        "one.mp3",
        "other.mp3",
        "two.flac",
    ];
    assert_eq!(names(&phone).await, all);
    let hidden = row(&phone, "one.mp3").await;

    server.stop().await;
    server
        .start_again_with(|setup| setup.env([("KEEP_DUPLICATES", "0")]))
        .await;
    phone.moved_to(&server);
    phone.view = phone.snapshot().await;
    let shown = ["a copy.mp3", "other.mp3", "two.flac"];
    assert_eq!(names(&phone).await, shown);
    assert_eq!(queue(&phone.view).len(), 3);
    let id = hidden["trackId"].as_str().unwrap();
    phone.get(&format!("/file/{id}")).await.expect_problem(404);
    let log = server.log();
    let lines: Vec<_> = log
        .lines()
        .filter(|line| line.contains("--keep-duplicates"))
        .collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains("copies=2"), "{log}");

    // And so it is when a start reads nothing anew.
    server.stop().await;
    server.start_again().await;
    phone.moved_to(&server);
    assert_eq!(names(&phone).await, shown);
}

#[tokio::test]
async fn when_the_copy_that_is_shown_goes_the_other_comes() {
    let server = doubles().start().await;
    let mut phone = Phone::listening(&server).await;
    let before = phone.count();
    let was = row(&phone, "two.flac").await;
    fs::remove_file(server.setup().audio().join("two.flac")).unwrap();
    let event = phone.durable_event("library.changed", before).await;
    assert_eq!(event.payload["removed"], json!([was["trackId"]]));
    let comes = row(&phone, "one.mp3").await;
    assert_eq!(event.payload["added"], json!([comes["trackId"]]));
    phone
        .get(&format!("/file/{}", comes["trackId"].as_str().unwrap()))
        .await
        .expect(200);
}

#[tokio::test]
async fn a_copy_that_is_added_changes_nothing_unless_it_is_better() {
    let server = doubles().start().await;
    let phone = Phone::listening(&server).await;
    let (before, audio) = (phone.count(), server.setup().audio());
    fs::copy(audio.join("two.flac"), audio.join("three.flac")).unwrap();
    phone.post("/rescan").await.expect(202);
    until("the copy to be noticed", async || {
        server.log().contains("copies=3")
    })
    .await;
    assert_eq!(
        names(&phone).await,
        ["a copy.mp3", "other.mp3", "two.flac"],
        "of two that are alike, the one that is there already"
    );
    assert_eq!(phone.snapshot().await["eventCount"], before);
}

#[tokio::test]
async fn a_better_copy_of_the_current_track_waits_until_that_is_over() {
    let setup = Setup::empty();
    put_tagged(&setup.audio().join("one.mp3"), "A Song", "Some People");
    put_tagged(&setup.audio().join("other.mp3"), "Another", "Some People");
    let mut server = setup.start().await;
    let mut phone = Phone::listening(&server).await;
    let (before, playing, audio) = (phone.count(), phone.current(), server.setup().audio());
    put_tagged(&audio.join("better.flac"), "A Song", "Some People");
    put_tagged(&audio.join("third.mp3"), "A Third", "Some People");
    phone.post("/rescan").await.expect(202);
    let event = phone.durable_event("library.changed", before).await;
    let comes = row(&phone, "third.mp3").await;
    assert_eq!(event.payload["added"], json!([comes["trackId"]]));
    assert_eq!(event.payload["removed"], json!([]));

    // Nor is it in a hurry after a restart, whatever else has changed meanwhile.
    server.stop().await;
    put_tagged(&audio.join("fourth.mp3"), "A Fourth", "Some People");
    server.start_again().await;
    phone.moved_to(&server);
    phone.listen().await;
    assert_eq!(queue(&phone.view).len(), 4);
    assert_eq!(phone.current(), playing);

    // Nor where all is read anew, as after an upgrade.
    server.stop().await;
    let cache = server.setup().state_file();
    fs::remove_file(cache.with_file_name("state.json.index")).unwrap();
    server.start_again().await;
    phone.moved_to(&server);
    phone.listen().await;
    assert_eq!(phone.current(), playing);

    let before = phone.next().await["eventCount"].as_u64().unwrap();
    phone.post("/rescan").await.expect(202);
    let event = phone.durable_event("library.changed", before).await;
    let better = row(&phone, "better.flac").await;
    assert_eq!(event.payload["added"], json!([better["trackId"]]));
    assert_eq!(event.payload["removed"], json!([playing]));
}

#[tokio::test]
async fn the_current_track_stays_when_its_copies_are_not_to_be_shown_any_more() {
    let mut server = doubles().env([("KEEP_DUPLICATES", "1")]).start().await;
    let mut phone = Phone::listening(&server).await;
    let hidden = row(&phone, "one.mp3").await;
    phone.nudge(hidden["trackId"].as_str().unwrap()).await;
    phone.next().await;
    let playing = phone.current();
    assert_eq!(playing, hidden["trackId"]);
    server.stop().await;
    server
        .start_again_with(|setup| setup.env([("KEEP_DUPLICATES", "0")]))
        .await;
    phone.moved_to(&server);
    phone.listen().await;
    assert_eq!(phone.current(), playing);
    assert_eq!(names(&phone).await, ["a copy.mp3", "one.mp3", "other.mp3"]);
}

fn encoded(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::new_rgb8(width, height)
        .write_to(&mut bytes, format)
        .unwrap();
    bytes.into_inner()
}

/// A folder with a track in it, and that for a cover.
fn put_album(audio: &Path, album: &str, cover: &[u8]) {
    let folder = audio.join(album);
    fs::create_dir(&folder).unwrap();
    music::put_wav(&folder.join(format!("{album}.wav")), 5, 1_000);
    fs::write(folder.join("cover.jpg"), cover).unwrap();
}

async fn cover_url(phone: &Phone, album: &str) -> String {
    let row = row(phone, &format!("{album}.wav")).await;
    row["coverUrl"].as_str().unwrap().to_owned()
}

fn covers_folder(server: &TestServer) -> PathBuf {
    let state = server.setup().state_file();
    state.with_file_name("state.json.covers")
}

fn kept_covers(server: &TestServer) -> Vec<PathBuf> {
    let entries = fs::read_dir(covers_folder(server)).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Other bytes of the same length and date: whoever believes the date does not look into it.
fn forge(path: &Path) {
    let metadata = fs::metadata(path).unwrap();
    let mut file = File::options().write(true).open(path).unwrap();
    file.write_all(&vec![b'x'; metadata.len() as usize])
        .unwrap();
    file.set_modified(metadata.modified().unwrap()).unwrap();
}

#[tokio::test]
async fn a_cover_outlives_a_restart_without_being_made_again() {
    let setup = Setup::empty();
    put_album(&setup.audio(), "one", &encoded(900, 600, ImageFormat::Png));
    let mut server = setup.start().await;
    let mut phone = Phone::pair(&server).await;
    let url = cover_url(&phone, "one").await;
    let made = phone.get(&url).await.expect(200);
    server.stop().await;
    forge(&server.setup().audio().join("one/cover.jpg"));
    server.start_again().await;
    phone.moved_to(&server);
    let kept = phone.get(&url).await.expect(200);
    assert!(kept.body == made.body);
    assert_eq!(kept.header("etag"), made.header("etag"));
}

#[tokio::test]
async fn a_kept_cover_that_is_damaged_or_gone_is_made_again() {
    let setup = Setup::empty();
    put_album(&setup.audio(), "one", &encoded(900, 600, ImageFormat::Png));
    let mut server = setup.start().await;
    let mut phone = Phone::pair(&server).await;
    let url = cover_url(&phone, "one").await;
    let made = phone.get(&url).await.expect(200).body;
    let kept = kept_covers(&server);
    let [path] = &kept[..] else {
        panic!("{kept:?}");
    };
    let whole = fs::read(path).unwrap();
    let harms: [fn(&Path, &[u8]); 4] = [
        |path, whole| fs::write(path, &whole[..whole.len() / 2]).unwrap(),
        |path, whole| fs::write(path, vec![0; whole.len()]).unwrap(),
        |path, _| fs::write(path, "").unwrap(),
        |path, _| fs::remove_dir_all(path.parent().unwrap()).unwrap(),
    ];
    for harm in harms {
        server.stop().await;
        harm(path, &whole);
        server.start_again().await;
        phone.moved_to(&server);
        assert!(phone.get(&url).await.expect(200).body == made);
        assert!(fs::read(path).unwrap() == whole, "and kept again");
    }
}

/// `/cover/…` of many albums, one after the other.
async fn see_all(phone: &Phone, albums: &[&str]) {
    for album in albums {
        phone.get(&cover_url(phone, album).await).await.expect(200);
    }
}

#[tokio::test]
async fn a_full_disk_costs_one_line_in_the_log_and_no_cover() {
    const ENOSPC: i32 = 28;
    let albums = ["one", "two", "three"];
    let setup = Setup::empty();
    for album in albums {
        put_album(&setup.audio(), album, &encoded(90, 60, ImageFormat::Png));
    }
    let disk = FaultyDisk::under(setup.state_file().parent().unwrap());
    let server = setup.env(disk.environment()).start().await;
    let phone = Phone::pair(&server).await;
    disk.order("write", Order::Fail(ENOSPC));
    see_all(&phone, &albums).await;
    assert_eq!(server.log().matches("covers cannot be kept").count(), 1);
    see_all(&phone, &albums).await;
    disk.heal("write");
    assert_eq!(kept_covers(&server), Vec::<PathBuf>::new(), "no halves");
}

/// Most of it is a hole in the file.
fn put_huge_embedded_cover(path: &Path, bytes: u32) {
    let audio = fs::read(music::fixtures().join("untagged_song-name.mp3")).unwrap();
    let synchsafe = |n: u32| [n >> 21, n >> 14, n >> 7, n].map(|seven| seven as u8 & 0x7f);
    let title = b"\0Huge Cover";
    let picture = b"\0image/jpeg\0\x03\0\xff\xd8\xff\xe0";
    let frame = |name: &[u8], length: u32| [name, &length.to_be_bytes(), &[0, 0]].concat();
    let titled = [frame(b"TIT2", title.len() as u32), title.to_vec()].concat();
    let pictured = [frame(b"APIC", bytes), picture.to_vec()].concat();
    let length = titled.len() as u32 + 10 + bytes;
    let mut file = File::create(path).unwrap();
    file.write_all(b"ID3\x03\0\0").unwrap();
    file.write_all(&synchsafe(length)).unwrap();
    file.write_all(&titled).unwrap();
    file.write_all(&pictured).unwrap();
    file.set_len(u64::from(10 + length)).unwrap();
    drop(file);
    let mut file = File::options().append(true).open(path).unwrap();
    file.write_all(&audio).unwrap();
}

/// In bytes, since it was started.
fn most_memory(server: &TestServer) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kilobytes.parse::<u64>().unwrap() * 1024
}

/// A square PNG of grey pixels, of which so many rows are there.
fn black_png(side: u32, rows: usize) -> Vec<u8> {
    let chunk = |name: &[u8], data: &[u8]| {
        let mut sum = Crc::new();
        sum.update(name);
        sum.update(data);
        let length = (data.len() as u32).to_be_bytes();
        [&length, name, data, &sum.sum().to_be_bytes()].concat()
    };
    let size = side.to_be_bytes();
    let head = [&size[..], &size, &[8, 0, 0, 0, 0]].concat();
    let mut pixels = ZlibEncoder::new(Vec::new(), Compression::fast());
    for _ in 0..rows {
        pixels.write_all(&vec![0; side as usize + 1]).unwrap();
    }
    [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        chunk(b"IHDR", &head),
        chunk(b"IDAT", &pixels.finish().unwrap()),
        chunk(b"IEND", b""),
    ]
    .concat()
}

/// Pictures of enormous size in few bytes, of each kind: each says how wide and high it is in its head.
fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let patched = |format, at: usize, size: &[u8]| {
        let mut bytes = encoded(1, 1, format);
        bytes[at..at + size.len()].copy_from_slice(size);
        bytes
    };
    let frame_head = |bytes: &[u8]| bytes.windows(2).position(|two| two == [0xff, 0xc0]);
    let jpeg = encoded(1, 1, ImageFormat::Jpeg);
    let at = frame_head(&jpeg).unwrap() + 5;
    vec![
        ("png", black_png(30_000, 1)),
        // All of it is there.
        ("real", black_png(9_000, 9_000)),
        (
            "jpeg",
            patched(ImageFormat::Jpeg, at, &[0xff, 0xff, 0xff, 0xff]),
        ),
        (
            "gif",
            patched(ImageFormat::Gif, 6, &[0xff, 0xff, 0xff, 0xff]),
        ),
        (
            "bmp",
            patched(ImageFormat::Bmp, 18, &[0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0]),
        ),
        (
            "webp",
            patched(ImageFormat::WebP, 21, &[0xff, 0xff, 0xff, 0x0f]),
        ),
    ]
}

#[tokio::test]
async fn a_cover_of_60_mb_and_a_decompression_bomb_cost_nothing_but_a_log_line() {
    let setup = Setup::empty();
    let audio = setup.audio();
    let bombs = bombs();
    for (kind, bomb) in &bombs {
        put_album(&audio, kind, bomb);
    }
    put_album(&audio, "huge", b"");
    let huge = File::create(audio.join("huge/cover.jpg")).unwrap();
    huge.set_len(60_000_000).unwrap();
    put_huge_embedded_cover(&audio.join("embedded.mp3"), 60_000_000);
    put_album(&audio, "sound", &encoded(900, 600, ImageFormat::Png));
    let server = setup.start().await;
    let phone = Phone::pair(&server).await;
    assert_eq!(rows(&phone).await.len(), bombs.len() + 3);
    let embedded = row(&phone, "embedded.mp3").await;
    assert_eq!(embedded["tags"]["title"], "Huge Cover");
    let id = embedded["trackId"].as_str().unwrap();
    phone.get(&format!("/cover/{id}")).await.expect_problem(404);
    let unshown: Vec<_> = bombs
        .iter()
        .map(|(kind, _)| *kind)
        .chain(["huge"])
        .collect();
    for album in &unshown {
        let url = cover_url(&phone, album).await;
        for _ in 0..2 {
            phone.get(&url).await.expect_problem(404);
        }
    }
    let most = most_memory(&server);
    assert!(most < 100 << 20, "it took {} MB", most >> 20);
    see_all(&phone, &["sound"]).await;
    assert_eq!(
        server.log().matches("the cover cannot be shown").count(),
        unshown.len(),
        "{}",
        server.log()
    );
}
