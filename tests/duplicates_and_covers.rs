//! Duplicate files of one recording, and covers: scaling, the cover cache, damaged and oversized pictures.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::fs::{self, File};
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use common::faulty_disk::{Fault, FaultyDisk};
use common::phone::queued_tracks;
use common::{Phone, Setup, TestServer, music, until};
use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};
use image::{DynamicImage, ImageFormat};
use lofty::config::WriteOptions;
use lofty::prelude::*;
use lofty::tag::Tag;
use serde_json::{Value, json};

/// All rows of `GET /index`.
async fn index_rows(phone: &Phone) -> Vec<Value> {
    let index = phone.get("/index").await.expect(200).json();
    index.as_array().unwrap().clone()
}

/// The file names in `GET /index`, sorted.
async fn file_names(phone: &Phone) -> Vec<String> {
    let rows = index_rows(phone).await;
    let name = |row: &Value| row["fileName"].as_str().unwrap().to_owned();
    let mut names: Vec<_> = rows.iter().map(name).collect();
    names.sort();
    names
}

/// The row of `GET /index` with this file name.
async fn row_of_file(phone: &Phone, name: &str) -> Value {
    let rows = index_rows(phone).await;
    let row = rows.iter().find(|row| row["fileName"] == name);
    row.unwrap_or_else(|| panic!("{name} is not in the index: {rows:#?}"))
        .clone()
}

/// Writes a copy of the fixture with the extension of `path`, with a title and an artist as its only tags.
fn put_tagged_track(path: &Path, title: &str, artist: &str) {
    let extension = path.extension().unwrap().to_str().unwrap();
    fs::copy(music::fixture(extension), path).unwrap();
    let mut file = lofty::read_from_path(path).unwrap();
    file.clear();
    let mut tag = Tag::new(file.primary_tag_type());
    tag.set_title(title.into());
    tag.set_artist(artist.into());
    file.insert_tag(tag);
    file.save_to_path(path, WriteOptions::default()).unwrap();
    if extension == "mp3" {
        // Two songs do not have the same sound.
        let mut bytes = fs::read(path).unwrap();
        let mut checksum = Crc::new();
        checksum.update(title.to_lowercase().as_bytes());
        let end = bytes.len() - 4;
        bytes[end..].copy_from_slice(&checksum.sum().to_le_bytes());
        fs::write(path, bytes).unwrap();
    }
}

/// One song as MP3 and as FLAC, another song by the same artist, and one untagged file under two names.
fn setup_with_duplicates() -> Setup {
    let setup = Setup::empty();
    let audio = setup.audio();
    put_tagged_track(&audio.join("one.mp3"), "A Song", "Some People");
    put_tagged_track(&audio.join("two.flac"), "a song", "SOME PEOPLE");
    put_tagged_track(&audio.join("other.mp3"), "Another Song", "Some People");
    let untagged = music::fixtures().join("untagged_song-name.mp3");
    fs::copy(&untagged, audio.join("a copy.mp3")).unwrap();
    fs::copy(&untagged, audio.join("b copy.mp3")).unwrap();
    setup
}

#[tokio::test]
async fn duplicate_recording_is_listed_once_as_its_best_copy() {
    let mut server = setup_with_duplicates()
        .env([("KEEP_DUPLICATES", "1")])
        .start()
        .await;
    let mut phone = Phone::pair(&server).await;
    let all_files = [
        "a copy.mp3",
        "b copy.mp3",
        "one.mp3",
        "other.mp3",
        "two.flac",
    ];
    assert_eq!(file_names(&phone).await, all_files);
    let worse_copy_row = row_of_file(&phone, "one.mp3").await;

    server.stop().await;
    server
        .restart_with(|setup| setup.env([("KEEP_DUPLICATES", "0")]))
        .await;
    phone.use_server(&server);
    phone.view = phone.snapshot().await;
    let listed_names = ["a copy.mp3", "other.mp3", "two.flac"];
    assert_eq!(file_names(&phone).await, listed_names);
    assert_eq!(queued_tracks(&phone.view).len(), 3);
    let unlisted_track_id = worse_copy_row["trackId"].as_str().unwrap();
    phone
        .get(&format!("/file/{unlisted_track_id}"))
        .await
        .expect_problem(404);
    let log = server.log();
    let duplicate_lines: Vec<_> = log
        .lines()
        .filter(|line| line.contains("--keep-duplicates"))
        .collect();
    assert_eq!(duplicate_lines.len(), 1, "{log}");
    assert!(duplicate_lines[0].contains("copies=2"), "{log}");

    // The duplicates stay unlisted after a start from the index cache.
    server.stop().await;
    server.restart().await;
    phone.use_server(&server);
    assert_eq!(file_names(&phone).await, listed_names);
}

/// The server first publishes the index with all 600 files, because hashing the sound of so many files takes long, and removes the
/// copies afterwards.
#[tokio::test]
async fn copies_found_after_publication_leave_the_queue_but_not_the_current_track() {
    let setup = Setup::empty();
    let sound = fs::read(music::fixtures().join("untagged_song-name.mp3")).unwrap();
    for n in 0..600 {
        fs::write(setup.audio().join(format!("{n:03}.mp3")), &sound).unwrap();
    }
    let server = setup.flag("--no-mdns").start().await;
    let phone = Phone::pair(&server).await;
    until("one track in the queue", async || {
        queued_tracks(&phone.snapshot().await).len() == 1
    })
    .await;
    let current = queued_tracks(&phone.snapshot().await).remove(0);
    let rows = index_rows(&phone).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["trackId"], json!(current));
    let log = server.log();
    assert!(log.contains("copies=599"), "{log}");
}

#[tokio::test]
async fn another_copy_is_listed_after_the_removal_of_the_listed_one() {
    let server = setup_with_duplicates().start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    let event_count_before = phone.event_count();
    let removed_row = row_of_file(&phone, "two.flac").await;
    fs::remove_file(server.setup().audio().join("two.flac")).unwrap();
    let event = phone
        .durable_event("library.changed", event_count_before)
        .await;
    assert_eq!(event.payload["removed"], json!([removed_row["trackId"]]));
    let added_row = row_of_file(&phone, "one.mp3").await;
    assert_eq!(event.payload["added"], json!([added_row["trackId"]]));
    phone
        .get(&format!("/file/{}", added_row["trackId"].as_str().unwrap()))
        .await
        .expect(200);
}

#[tokio::test]
async fn added_copy_of_equal_quality_does_not_replace_the_listed_one() {
    let server = setup_with_duplicates().start().await;
    let phone = Phone::pair_and_listen(&server).await;
    let (event_count_before, audio) = (phone.event_count(), server.setup().audio());
    fs::copy(audio.join("two.flac"), audio.join("three.flac")).unwrap();
    phone.post("/rescan").await.expect(202);
    until("a log line about three copies", async || {
        server.log().contains("copies=3")
    })
    .await;
    assert_eq!(
        file_names(&phone).await,
        ["a copy.mp3", "other.mp3", "two.flac"],
        "a copy of equal quality replaced the listed one"
    );
    assert_eq!(phone.snapshot().await["eventCount"], event_count_before);
}

#[tokio::test]
async fn better_copy_of_the_current_track_is_listed_after_the_track_ended() {
    let setup = Setup::empty();
    put_tagged_track(&setup.audio().join("one.mp3"), "A Song", "Some People");
    put_tagged_track(&setup.audio().join("other.mp3"), "Another", "Some People");
    let mut server = setup.start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    let (event_count_before, playing_track_id, audio) = (
        phone.event_count(),
        phone.current_track(),
        server.setup().audio(),
    );
    put_tagged_track(&audio.join("better.flac"), "A Song", "Some People");
    put_tagged_track(&audio.join("third.mp3"), "A Third", "Some People");
    phone.post("/rescan").await.expect(202);
    let event = phone
        .durable_event("library.changed", event_count_before)
        .await;
    let added_row = row_of_file(&phone, "third.mp3").await;
    assert_eq!(event.payload["added"], json!([added_row["trackId"]]));
    assert_eq!(event.payload["removed"], json!([]));

    // The current track also stays listed after a restart with other changes in the folder.
    server.stop().await;
    put_tagged_track(&audio.join("fourth.mp3"), "A Fourth", "Some People");
    server.restart().await;
    phone.use_server(&server);
    phone.listen().await;
    assert_eq!(queued_tracks(&phone.view).len(), 4);
    assert_eq!(phone.current_track(), playing_track_id);

    // The current track also stays listed after a start without the index cache, as after an upgrade.
    server.stop().await;
    let cache = server.setup().state_file();
    fs::remove_file(cache.with_file_name("state.json.index")).unwrap();
    server.restart().await;
    phone.use_server(&server);
    phone.listen().await;
    assert_eq!(phone.current_track(), playing_track_id);

    let event_count_before = phone.next().await["eventCount"].as_u64().unwrap();
    phone.post("/rescan").await.expect(202);
    let event = phone
        .durable_event("library.changed", event_count_before)
        .await;
    let better_copy_row = row_of_file(&phone, "better.flac").await;
    assert_eq!(event.payload["added"], json!([better_copy_row["trackId"]]));
    assert_eq!(event.payload["removed"], json!([playing_track_id]));
}

#[tokio::test]
async fn current_track_stays_listed_when_listing_of_duplicates_is_disabled() {
    let mut server = setup_with_duplicates()
        .env([("KEEP_DUPLICATES", "1")])
        .start()
        .await;
    let mut phone = Phone::pair_and_listen(&server).await;
    let worse_copy_row = row_of_file(&phone, "one.mp3").await;
    phone
        .nudge(worse_copy_row["trackId"].as_str().unwrap())
        .await;
    phone.next().await;
    let playing_track_id = phone.current_track();
    assert_eq!(playing_track_id, worse_copy_row["trackId"]);
    server.stop().await;
    server
        .restart_with(|setup| setup.env([("KEEP_DUPLICATES", "0")]))
        .await;
    phone.use_server(&server);
    phone.listen().await;
    assert_eq!(phone.current_track(), playing_track_id);
    assert_eq!(
        file_names(&phone).await,
        ["a copy.mp3", "one.mp3", "other.mp3"]
    );
}

/// A black picture in an image format.
fn encoded_picture(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::new_rgb8(width, height)
        .write_to(&mut bytes, format)
        .unwrap();
    bytes.into_inner()
}

/// Writes a folder with one track and `cover` as its cover file.
fn put_album(audio: &Path, album: &str, cover: &[u8]) {
    let folder = audio.join(album);
    fs::create_dir(&folder).unwrap();
    music::put_wav(&folder.join(format!("{album}.wav")), 5, 1_000);
    fs::write(folder.join("cover.jpg"), cover).unwrap();
}

async fn cover_url(phone: &Phone, album: &str) -> String {
    let row = row_of_file(phone, &format!("{album}.wav")).await;
    row["coverUrl"].as_str().unwrap().to_owned()
}

fn covers_folder(server: &TestServer) -> PathBuf {
    let state = server.setup().state_file();
    state.with_file_name("state.json.covers")
}

fn cached_covers(server: &TestServer) -> Vec<PathBuf> {
    let entries = fs::read_dir(covers_folder(server)).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test]
async fn cached_cover_is_reused_after_a_restart() {
    let setup = Setup::empty();
    let picture = encoded_picture(900, 600, ImageFormat::Png);
    put_album(&setup.audio(), "one", &picture);
    put_album(
        &setup.audio(),
        "two",
        &encoded_picture(90, 60, ImageFormat::Png),
    );
    let mut server = setup.start().await;
    let mut phone = Phone::pair(&server).await;
    let urls = [
        cover_url(&phone, "one").await,
        cover_url(&phone, "two").await,
    ];
    let mut cached_files = Vec::new();
    for url in &urls {
        phone.get(url).await.expect(200);
        let new = cached_covers(&server);
        let new = new.into_iter().find(|file| !cached_files.contains(file));
        cached_files.push(new.unwrap());
    }
    server.stop().await;
    // If the server made the covers again, it would not serve those of the other album.
    let [one, two] = &cached_files[..] else {
        panic!("two covers: {cached_files:?}");
    };
    let contents = [fs::read(one).unwrap(), fs::read(two).unwrap()];
    fs::write(one, &contents[1]).unwrap();
    fs::write(two, &contents[0]).unwrap();
    server.restart().await;
    phone.use_server(&server);
    let width = |bytes: &[u8]| image::load_from_memory(bytes).unwrap().width();
    assert_eq!(width(&phone.get(&urls[0]).await.expect(200).body), 90);
    assert_eq!(width(&phone.get(&urls[1]).await.expect(200).body), 512);
}

#[tokio::test]
async fn damaged_or_missing_cover_in_the_cache_is_recreated() {
    let setup = Setup::empty();
    put_album(
        &setup.audio(),
        "one",
        &encoded_picture(900, 600, ImageFormat::Png),
    );
    let mut server = setup.start().await;
    let mut phone = Phone::pair(&server).await;
    let url = cover_url(&phone, "one").await;
    let original_body = phone.get(&url).await.expect(200).body;
    let cached_files = cached_covers(&server);
    let [cached_file] = &cached_files[..] else {
        panic!("the cache must contain one cover: {cached_files:?}");
    };
    let intact_bytes = fs::read(cached_file).unwrap();
    let damage_functions: [fn(&Path, &[u8]); 4] = [
        |cached_file, intact| fs::write(cached_file, &intact[..intact.len() / 2]).unwrap(),
        |cached_file, intact| fs::write(cached_file, vec![0; intact.len()]).unwrap(),
        |cached_file, _| fs::write(cached_file, "").unwrap(),
        |cached_file, _| fs::remove_dir_all(cached_file.parent().unwrap()).unwrap(),
    ];
    for damage in damage_functions {
        server.stop().await;
        damage(cached_file, &intact_bytes);
        server.restart().await;
        phone.use_server(&server);
        assert!(phone.get(&url).await.expect(200).body == original_body);
        assert!(
            fs::read(cached_file).unwrap() == intact_bytes,
            "the cover was not written to the cache again"
        );
    }
}

/// Requests the covers of these albums one after the other.
async fn request_covers(phone: &Phone, albums: &[&str]) {
    for album in albums {
        phone.get(&cover_url(phone, album).await).await.expect(200);
    }
}

#[tokio::test]
async fn full_disk_is_logged_once_and_uncached_covers_are_served() {
    const ENOSPC: i32 = 28;
    let albums = ["one", "two", "three"];
    let setup = Setup::empty();
    for album in albums {
        put_album(
            &setup.audio(),
            album,
            &encoded_picture(90, 60, ImageFormat::Png),
        );
    }
    let disk = FaultyDisk::under(setup.state_file().parent().unwrap());
    let server = setup.env(disk.environment()).start().await;
    let phone = Phone::pair(&server).await;
    disk.inject("write", Fault::Fail(ENOSPC));
    request_covers(&phone, &albums).await;
    assert_eq!(server.log().matches("cannot cache covers").count(), 1);
    request_covers(&phone, &albums).await;
    disk.clear("write");
    assert_eq!(
        cached_covers(&server),
        Vec::<PathBuf>::new(),
        "the cover cache contains incomplete files"
    );
}

/// Writes an MP3 with an embedded cover of `cover_size` bytes. Most of the cover is a hole in the sparse file.
fn put_huge_embedded_cover(path: &Path, cover_size: u32) {
    let audio_bytes = fs::read(music::fixtures().join("untagged_song-name.mp3")).unwrap();
    let synchsafe = |n: u32| [n >> 21, n >> 14, n >> 7, n].map(|bits| bits as u8 & 0x7f);
    let title = b"\0Huge Cover";
    let picture = b"\0image/jpeg\0\x03\0\xff\xd8\xff\xe0";
    let frame_header =
        |name: &[u8], tag_length: u32| [name, &tag_length.to_be_bytes(), &[0, 0]].concat();
    let title_frame = [frame_header(b"TIT2", title.len() as u32), title.to_vec()].concat();
    let picture_frame = [frame_header(b"APIC", cover_size), picture.to_vec()].concat();
    let tag_length = title_frame.len() as u32 + 10 + cover_size;
    let mut file = File::create(path).unwrap();
    file.write_all(b"ID3\x03\0\0").unwrap();
    file.write_all(&synchsafe(tag_length)).unwrap();
    file.write_all(&title_frame).unwrap();
    file.write_all(&picture_frame).unwrap();
    file.set_len(u64::from(10 + tag_length)).unwrap();
    drop(file);
    let mut file = File::options().append(true).open(path).unwrap();
    file.write_all(&audio_bytes).unwrap();
}

/// Peak resident memory of the server since its start, in bytes (`VmHWM` in proc(5)).
fn peak_memory_bytes(server: &TestServer) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kilobytes.parse::<u64>().unwrap() * 1024
}

/// A square black PNG of which only the first `present_rows` rows of pixels are present.
fn black_png(side_pixels: u32, present_rows: usize) -> Vec<u8> {
    let chunk = |name: &[u8], data: &[u8]| {
        let mut checksum = Crc::new();
        checksum.update(name);
        checksum.update(data);
        let data_length = (data.len() as u32).to_be_bytes();
        [&data_length, name, data, &checksum.sum().to_be_bytes()].concat()
    };
    let side_bytes = side_pixels.to_be_bytes();
    let header = [&side_bytes[..], &side_bytes, &[8, 0, 0, 0, 0]].concat();
    let mut pixels = ZlibEncoder::new(Vec::new(), Compression::fast());
    for _ in 0..present_rows {
        pixels
            .write_all(&vec![0; side_pixels as usize + 1])
            .unwrap();
    }
    [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        chunk(b"IHDR", &header),
        chunk(b"IDAT", &pixels.finish().unwrap()),
        chunk(b"IEND", b""),
    ]
    .concat()
}

/// Decompression bombs by format: small files that declare enormous dimensions.
fn decompression_bombs() -> Vec<(&'static str, Vec<u8>)> {
    let with_size_field = |format, offset: usize, size: &[u8]| {
        let mut bytes = encoded_picture(1, 1, format);
        bytes[offset..offset + size.len()].copy_from_slice(size);
        bytes
    };
    let frame_header_offset = |bytes: &[u8]| bytes.windows(2).position(|two| two == [0xff, 0xc0]);
    let jpeg = encoded_picture(1, 1, ImageFormat::Jpeg);
    let offset = frame_header_offset(&jpeg).unwrap() + 5;
    vec![
        ("png", black_png(30_000, 1)),
        // Unlike in the other files, all 110 million pixels are present.
        ("complete-png", black_png(10_500, 10_500)),
        (
            "jpeg",
            with_size_field(ImageFormat::Jpeg, offset, &[0xff, 0xff, 0xff, 0xff]),
        ),
        (
            "gif",
            with_size_field(ImageFormat::Gif, 6, &[0xff, 0xff, 0xff, 0xff]),
        ),
        (
            "bmp",
            with_size_field(ImageFormat::Bmp, 18, &[0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0]),
        ),
        (
            "webp",
            with_size_field(ImageFormat::WebP, 21, &[0xff, 0xff, 0xff, 0x0f]),
        ),
    ]
}

#[tokio::test]
async fn huge_cover_and_decompression_bomb_are_refused_within_bounded_memory() {
    let setup = Setup::empty();
    let audio = setup.audio();
    let bombs = decompression_bombs();
    for (kind, bomb) in &bombs {
        put_album(&audio, kind, bomb);
    }
    put_album(&audio, "huge", b"");
    let huge_cover_file = File::create(audio.join("huge/cover.jpg")).unwrap();
    huge_cover_file.set_len(60_000_000).unwrap();
    put_huge_embedded_cover(&audio.join("embedded.mp3"), 60_000_000);
    put_album(
        &audio,
        "valid",
        &encoded_picture(900, 600, ImageFormat::Png),
    );
    let server = setup.start().await;
    let phone = Phone::pair(&server).await;
    assert_eq!(index_rows(&phone).await.len(), bombs.len() + 3);
    let embedded_cover_row = row_of_file(&phone, "embedded.mp3").await;
    assert_eq!(embedded_cover_row["tags"]["title"], "Huge Cover");
    let id = embedded_cover_row["trackId"].as_str().unwrap();
    phone.get(&format!("/cover/{id}")).await.expect_problem(404);
    let refused_albums: Vec<_> = bombs
        .iter()
        .map(|(kind, _)| *kind)
        .chain(["huge"])
        .collect();
    for album in &refused_albums {
        let url = cover_url(&phone, album).await;
        for _ in 0..2 {
            phone.get(&url).await.expect_problem(404);
        }
    }
    let peak_bytes = peak_memory_bytes(&server);
    assert!(
        peak_bytes < 100 << 20,
        "the server used up to {} MB of memory",
        peak_bytes >> 20
    );
    request_covers(&phone, &["valid"]).await;
    assert_eq!(
        server.log().matches("the cover cannot be shown").count(),
        refused_albums.len(),
        "{}",
        server.log()
    );
}

/// The colour in the middle of the cover of the track `file_name`.
async fn cover_colour(phone: &Phone, file_name: &str) -> [u8; 3] {
    let row = row_of_file(phone, file_name).await;
    let url = row["coverUrl"].as_str().unwrap();
    let cover = phone.get(url).await.expect(200);
    let cover = image::load_from_memory(&cover.body).unwrap().to_rgb8();
    cover.get_pixel(cover.width() / 2, cover.height() / 2).0
}

#[tokio::test]
async fn picture_that_cannot_be_decoded_gives_way_to_the_next() {
    let setup = Setup::empty();
    let album = setup.audio().join("Album");
    let colours = [[220, 30, 30], [30, 180, 40], [30, 50, 210]];
    let [red, green, blue] = colours.map(|colour| {
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::from(image::RgbImage::from_pixel(60, 60, image::Rgb(colour)))
            .write_to(&mut bytes, ImageFormat::Jpeg)
            .unwrap();
        bytes.into_inner()
    });
    let put_track = |folder: &str, embedded: &[&[u8]]| {
        fs::create_dir_all(album.join(folder)).unwrap();
        let path = album.join(folder).join(format!("{folder}.mp3"));
        put_tagged_track(&path, folder, "Somebody");
        let mut file = lofty::read_from_path(&path).unwrap();
        let tag = file.primary_tag_mut().unwrap();
        for picture in embedded {
            tag.push_picture(lofty::picture::Picture::new_unchecked(
                lofty::picture::PictureType::CoverFront,
                Some(lofty::picture::MimeType::Jpeg),
                None,
                picture.to_vec(),
            ));
        }
        file.save_to_path(&path, WriteOptions::default()).unwrap();
    };
    put_track("CD1", &[&red[..red.len() / 2], &red]);
    put_track("CD2", &[b"not a picture"]);
    put_track("Disc 3", &[]);
    fs::write(album.join("CD2/cover.jpg"), &green[..green.len() / 2]).unwrap();
    fs::write(album.join("CD2/Folder.JPG"), &green).unwrap();
    fs::write(album.join("AlbumArtLarge.jpg"), &blue).unwrap();
    let server = setup.start().await;
    let phone = Phone::pair(&server).await;
    for (file_name, expected) in ["CD1.mp3", "CD2.mp3", "Disc 3.mp3"].iter().zip(colours) {
        let colour = cover_colour(&phone, file_name).await;
        let is_similar = colour.iter().zip(expected).all(|(a, b)| a.abs_diff(b) < 12);
        assert!(is_similar, "{file_name}: {colour:?}");
    }
}
