//! The library as it is served: what is music, whole files and parts of them, covers, the index.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on panics"
)]

pub mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::process::Command;

use common::phone::ask;
use common::{Answer, Phone, Setup, TestServer, music, raw};
use image::{DynamicImage, ImageFormat, RgbImage};
use lofty::config::WriteOptions;
use lofty::picture::{MimeType, Picture, PictureType};
use lofty::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::Method;
use serde_json::Value;

/// A server on the fixtures, a phone, and the rows of the index by file name.
async fn library(setup: Setup) -> (TestServer, Phone, BTreeMap<String, Value>) {
    let server = setup.start().await;
    let phone = Phone::pair(&server).await;
    let rows = rows(&phone).await;
    (server, phone, rows)
}

async fn rows(phone: &Phone) -> BTreeMap<String, Value> {
    let index = phone.get("/index").await.expect(200).json();
    let named = |row: &Value| (row["fileName"].as_str().unwrap().to_owned(), row.clone());
    index.as_array().unwrap().iter().map(named).collect()
}

fn file_of(row: &Value) -> String {
    format!("/file/{}", row["trackId"].as_str().unwrap())
}

async fn get_with(phone: &Phone, method: Method, path: &str, fields: &[(&str, &str)]) -> Answer {
    let request = phone.request(method, path);
    ask(fields.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    }))
    .await
}

/// The encoder was given 1.5 s, and made 1.584 s of frames of it.
#[tokio::test]
async fn an_mp3_is_as_long_as_its_music() {
    let (_server, _phone, rows) = library(Setup::fixtures()).await;
    let row = &rows["fixture.mp3"];
    assert_eq!(
        (row["duration"].as_f64(), row["padding"]["leadSec"].as_f64()),
        (Some(1.5), Some(0.069_063))
    );
    assert!(rows["fixture.flac"]["padding"].is_null());
}

#[tokio::test]
async fn every_format_is_read_with_its_tags() {
    let (_server, phone, rows) = library(Setup::fixtures()).await;
    let formats = [
        ("mp3", "MP3", 1, &["audio/mpeg"][..]),
        ("flac", "FLAC", 2, &["audio/flac"]),
        ("ogg", "OGG", 3, &["audio/ogg", "audio/ogg; codecs=vorbis"]),
        (
            "opus",
            "OPUS",
            4,
            &["audio/ogg", "audio/opus", "audio/ogg; codecs=opus"],
        ),
        ("m4a", "M4A", 5, &["audio/mp4"]),
        (
            "wav",
            "WAV",
            6,
            &["audio/wav", "audio/x-wav", "audio/vnd.wave"],
        ),
        ("aiff", "AIFF", 7, &["audio/aiff", "audio/x-aiff"]),
    ];
    for (extension, format, number, kinds) in formats {
        let path = music::fixture(extension);
        let row = &rows[path.file_name().unwrap().to_str().unwrap()];
        let tags = &row["tags"];
        assert_eq!(
            tags["title"].as_str().unwrap().to_uppercase(),
            format!("FIXTURE {format}")
        );
        assert_eq!(
            (&tags["artist"], &tags["album"]),
            (&"Lockstep".into(), &"Fixtures".into()),
            "{row}"
        );
        assert_eq!(
            (&tags["trackNumber"], &tags["year"]),
            (&number.into(), &2026.into()),
            "{row}"
        );
        let duration = row["duration"].as_f64().unwrap();
        assert!((0.5..3.0).contains(&duration), "{row}");
        assert_eq!(row["size"], fs::metadata(&path).unwrap().len());
        let kind = row["mime"].as_str().unwrap();
        assert!(kinds.contains(&kind), "{extension} is {kind}");
        let id = row["trackId"].as_str().unwrap();
        assert!(
            id.len() == 16
                && id
                    .bytes()
                    .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)),
            "{id}"
        );
        assert!(
            row["version"]
                .as_str()
                .is_some_and(|version| !version.is_empty()),
            "{row}"
        );
        let answer = phone.get(&file_of(row)).await.expect(200);
        assert_eq!(answer.header("content-type"), Some(kind));
    }
    assert_eq!(rows.len(), formats.len() + 1);
}

#[tokio::test]
async fn a_track_without_tags_is_named_after_its_file() {
    let (_server, _phone, rows) = library(Setup::fixtures()).await;
    let row = &rows["untagged_song-name.mp3"];
    // A hyphen may belong to the name; underscores and endings do not.
    let title = row["tags"]["title"].as_str().unwrap();
    assert_eq!(title.to_lowercase().replace('-', " "), "untagged song name");
    for missing in ["artist", "album", "year"] {
        assert!(row["tags"].get(missing).is_none_or(Value::is_null), "{row}");
    }
    assert!(row.get("coverUrl").is_none_or(Value::is_null), "{row}");
}

#[tokio::test]
async fn a_file_comes_whole_and_byte_for_byte() {
    let (_server, phone, rows) = library(Setup::fixtures()).await;
    for (name, row) in &rows {
        let bytes = fs::read(music::fixtures().join(name)).unwrap();
        let answer = phone.get(&file_of(row)).await.expect(200);
        assert!(answer.body == bytes, "{name} came differently");
        assert_eq!(
            answer.header("content-length"),
            Some(bytes.len().to_string().as_str())
        );
        assert_eq!(answer.header("accept-ranges"), Some("bytes"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        let tag = answer.header("etag").expect("an ETag");
        assert!(
            tag.starts_with('"') && tag.ends_with('"'),
            "{tag} is not a strong validator"
        );

        let head = get_with(&phone, Method::HEAD, &file_of(row), &[])
            .await
            .expect(200);
        for field in [
            "content-length",
            "content-type",
            "etag",
            "accept-ranges",
            "last-modified",
        ] {
            assert_eq!(
                head.header(field),
                answer.header(field),
                "{field} of {name}"
            );
        }
        assert!(head.body.is_empty());
    }
}

#[tokio::test]
async fn a_large_file_comes_byte_for_byte_whole_and_in_parts_one_after_the_other() {
    let setup = Setup::empty();
    let path = setup.audio().join("large.wav");
    music::put_wav(&path, 400, 8_000);
    let mut bytes = fs::read(&path).unwrap();
    StdRng::seed_from_u64(1).fill(&mut bytes[100..]);
    fs::write(&path, &bytes).unwrap();
    let (_server, phone, rows) = library(setup).await;
    let file = file_of(&rows["large.wav"]);
    for (first, last) in [
        (0, bytes.len() - 1),
        (1, bytes.len() - 2),
        (999_999, 1_999_999),
        (3_000_000, bytes.len() - 1),
    ] {
        let range = format!("bytes={first}-{last}");
        let part = get_with(&phone, Method::GET, &file, &[("range", &range)]).await;
        let whole = phone.get(&file).await.expect(200);
        assert!(part.expect(206).body == bytes[first..=last], "{range}");
        assert!(whole.body == bytes, "the whole after {range}");
    }
}

/// A phone that is busy storing answers all the time, though it takes nothing.
#[tokio::test]
async fn a_download_that_pauses_goes_on() {
    let setup = Setup::empty();
    let path = setup.audio().join("large.wav");
    music::put_wav(&path, 16_000, 16_000);
    let (_server, phone, rows) = library(setup).await;
    let request = phone.request(Method::GET, &file_of(&rows["large.wav"]));
    let mut response = request.send().await.unwrap();
    let mut received = response.chunk().await.unwrap().unwrap().len();
    tokio::time::sleep(std::time::Duration::from_secs(20)).await;
    while let Some(chunk) = response.chunk().await.unwrap() {
        received += chunk.len();
    }
    assert_eq!(received as u64, fs::metadata(&path).unwrap().len());
}

#[tokio::test]
async fn a_named_version_may_be_kept_for_good_and_another_is_not_there() {
    let (_server, phone, rows) = library(Setup::fixtures()).await;
    let row = &rows["untagged_song-name.mp3"];
    let path = file_of(row);
    let version = row["version"].as_str().unwrap();
    let answer = phone.get(&format!("{path}?v={version}")).await.expect(200);
    let kept = answer.header("cache-control").unwrap();
    assert!(
        kept.contains("immutable") && kept.contains("max-age=31536000"),
        "{kept}"
    );
    assert!(
        !kept.contains("public"),
        "a shared cache might serve it to anybody"
    );

    let plain = phone.get(&path).await.expect(200);
    let kept = plain.header("cache-control").unwrap_or_default();
    assert!(
        kept.contains("no-cache") || kept.contains("no-store"),
        "{kept}"
    );

    for wrong in ["", "x", "0", &version[1..], &format!("{version}0")] {
        phone
            .get(&format!("{path}?v={wrong}"))
            .await
            .expect_problem(404);
    }
}

#[tokio::test]
async fn what_is_not_in_the_library_is_not_found() {
    let (server, phone, rows) = library(Setup::fixtures()).await;
    let secret = server.setup().folder().join("secret.mp3");
    fs::copy(music::fixture("mp3"), secret).unwrap();
    let id = rows["untagged_song-name.mp3"]["trackId"].as_str().unwrap();
    let ids = [
        "0123456789abcdef".to_owned(),
        id.to_uppercase().replace(|c: char| c.is_ascii_digit(), "A"),
        format!("{id}0"),
        id[1..].to_owned(),
        format!("{id}.mp3"),
        format!("{id}%00"),
        "untagged_song-name.mp3".to_owned(),
        "../secret.mp3".to_owned(),
        "..%2fsecret.mp3".to_owned(),
        "%2e%2e/secret.mp3".to_owned(),
        "%2e%2e%2fsecret.mp3".to_owned(),
        "..\\secret.mp3".to_owned(),
        "/etc/passwd".to_owned(),
        "%2fetc%2fpasswd".to_owned(),
        ".".to_owned(),
        "*".to_owned(),
    ];
    let bearer = format!("Authorization: Bearer {}", phone.token);
    for id in ids {
        for folder in ["file", "cover"] {
            let path = format!("/{folder}/{id}");
            let answer = raw::get(server.address(), &path, &["Host: localhost", &bearer]).await;
            // Where the path itself is malformed, it may be told so.
            assert!(
                [404, 400].contains(&answer.status),
                "{path}: {}",
                answer.head
            );
        }
    }
}

#[tokio::test]
async fn covers_are_pictures_that_fit_a_phone() {
    let (_server, phone, rows) = library(Setup::fixtures()).await;
    for extension in ["mp3", "flac", "m4a"] {
        let row = &rows[music::fixture(extension)
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()];
        let (id, version) = (
            row["trackId"].as_str().unwrap(),
            row["version"].as_str().unwrap(),
        );
        let url = row["coverUrl"].as_str().unwrap();
        assert_eq!(url, format!("/cover/{id}?v={version}"));
        let answer = phone.get(url).await.expect(200);
        assert!(answer.header("content-type").unwrap().starts_with("image/"));
        assert!(
            answer
                .header("cache-control")
                .unwrap()
                .contains("immutable")
        );
        let picture = image::load_from_memory(&answer.body).unwrap();
        assert_eq!((picture.width(), picture.height()), (64, 64));

        let tag = answer.header("etag").expect("an ETag").to_owned();
        let known = get_with(&phone, Method::GET, url, &[("if-none-match", &tag)])
            .await
            .expect(304);
        assert!(known.body.is_empty());
        phone.get(&format!("/cover/{id}")).await.expect(200);
        let head = get_with(&phone, Method::HEAD, url, &[]).await.expect(200);
        assert_eq!(
            head.header("content-length"),
            answer.header("content-length")
        );
        assert_eq!(head.header("etag"), Some(tag.as_str()));
    }
    for extension in ["ogg", "opus", "wav", "aiff"] {
        let row = &rows[music::fixture(extension)
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()];
        assert!(row.get("coverUrl").is_none_or(Value::is_null), "{row}");
        phone
            .get(&format!("/cover/{}", row["trackId"].as_str().unwrap()))
            .await
            .expect_problem(404);
    }
}

/// A copy of the untagged fixture with that picture for its cover.
fn put_cover(path: &Path, kind: MimeType, bytes: Vec<u8>) {
    fs::copy(music::fixtures().join("untagged_song-name.mp3"), path).unwrap();
    let mut file = lofty::read_from_path(path).unwrap();
    let mut tag = lofty::tag::Tag::new(lofty::tag::TagType::Id3v2);
    let picture = Picture::new_unchecked(PictureType::CoverFront, Some(kind), None, bytes);
    tag.push_picture(picture);
    file.insert_tag(tag);
    file.save_to_path(path, WriteOptions::default()).unwrap();
}

fn encoded(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::ImageRgb8(RgbImage::new(width, height))
        .write_to(&mut bytes, format)
        .unwrap();
    bytes.into_inner()
}

#[tokio::test]
async fn large_covers_are_scaled_and_broken_ones_do_no_harm() {
    let setup = Setup::empty();
    let audio = setup.audio();
    put_cover(
        &audio.join("wide.mp3"),
        MimeType::Png,
        encoded(1600, 400, ImageFormat::Png),
    );
    put_cover(
        &audio.join("tall.mp3"),
        MimeType::Jpeg,
        encoded(300, 1500, ImageFormat::Jpeg),
    );
    put_cover(
        &audio.join("mislabelled.mp3"),
        MimeType::Jpeg,
        encoded(600, 600, ImageFormat::Png),
    );
    put_cover(
        &audio.join("text.mp3"),
        MimeType::Png,
        b"<script>alert(1)</script>".to_vec(),
    );
    put_cover(
        &audio.join("cut.mp3"),
        MimeType::Png,
        encoded(800, 800, ImageFormat::Png)[..60].to_vec(),
    );
    // A picture that says it is 60,000 by 60,000: nobody has room for that.
    let mut bomb = encoded(1, 1, ImageFormat::Png);
    bomb[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    let checksum = crc32(&bomb[12..29]);
    bomb[29..33].copy_from_slice(&checksum.to_be_bytes());
    put_cover(&audio.join("bomb.mp3"), MimeType::Png, bomb);

    let (_server, phone, rows) = library(setup).await;
    for (name, width, height) in [
        ("wide.mp3", 512, 128),
        ("tall.mp3", 102, 512),
        ("mislabelled.mp3", 512, 512),
    ] {
        let answer = phone
            .get(rows[name]["coverUrl"].as_str().unwrap())
            .await
            .expect(200);
        let picture = image::load_from_memory(&answer.body).unwrap();
        assert_eq!(
            (picture.width(), picture.height()),
            (width, height),
            "{name}"
        );
    }
    for name in ["text.mp3", "cut.mp3", "bomb.mp3"] {
        let id = rows[name]["trackId"].as_str().unwrap();
        phone.get(&format!("/cover/{id}")).await.expect_problem(404);
        phone.get(&format!("/file/{id}")).await.expect(200);
    }
}

/// The checksum of a PNG chunk.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 {
                crc >> 1 ^ 0xedb8_8320
            } else {
                crc >> 1
            }
        })
    };
    !bytes.iter().fold(!0, step)
}

#[tokio::test]
async fn the_index_has_a_validator() {
    let (_server, phone, _rows) = library(Setup::fixtures()).await;
    let answer = phone.get("/index").await.expect(200);
    let tag = answer.header("etag").expect("an ETag").to_owned();
    let known = get_with(&phone, Method::GET, "/index", &[("if-none-match", &tag)])
        .await
        .expect(304);
    assert!(known.body.is_empty());
    assert_eq!(known.header("etag"), Some(tag.as_str()));
    get_with(
        &phone,
        Method::GET,
        "/index",
        &[("if-none-match", "\"other\"")],
    )
    .await
    .expect(200);
}

#[tokio::test]
async fn what_is_not_playable_music_is_left_out_and_the_rest_is_served() {
    let setup = Setup::fixtures();
    let (audio, outside) = (setup.audio(), setup.folder().join("outside"));
    fs::create_dir(&outside).unwrap();
    let mp3 = fs::read(music::fixtures().join("untagged_song-name.mp3")).unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(audio.join(name), bytes).unwrap();
    fs::write(outside.join("elsewhere.mp3"), &mp3).unwrap();

    write(
        "text.mp3",
        b"This is no music, whatever its name says.\n"
            .repeat(200)
            .as_slice(),
    );
    write("empty.mp3", b"");
    for (extension, size) in [
        ("flac", 42),
        ("ogg", 30),
        ("opus", 30),
        ("m4a", 40),
        ("wav", 44),
        ("aiff", 54),
    ] {
        let whole = fs::read(music::fixture(extension)).unwrap();
        write(&format!("cut.{extension}"), &whole[..size]);
    }
    write("cut.mp3", &fs::read(music::fixture("mp3")).unwrap()[..20]);
    write("page.html", b"<html></html>");
    write(".hidden.mp3", &mp3);
    fs::create_dir(audio.join(".secret")).unwrap();
    write(".secret/song.mp3", &mp3);
    fs::create_dir(audio.join("folder.mp3")).unwrap();
    symlink(outside.join("elsewhere.mp3"), audio.join("link.mp3")).unwrap();
    symlink(&outside, audio.join("linked folder")).unwrap();
    symlink("nowhere.mp3", audio.join("dangling.mp3")).unwrap();
    symlink(".", audio.join("round and round")).unwrap();
    symlink("/dev/zero", audio.join("endless.mp3")).unwrap();
    assert!(
        Command::new("mkfifo")
            .arg(audio.join("pipe.mp3"))
            .status()
            .unwrap()
            .success()
    );
    // By content, not by extension; and below folders, however they are called.
    fs::create_dir_all(audio.join("deep/Ünï \"quoted\" <b>")).unwrap();
    fs::rename(
        audio.join("fixture.flac"),
        audio.join("deep/Ünï \"quoted\" <b>/disguised.mp3"),
    )
    .unwrap();

    let (server, phone, rows) = library(setup).await;
    let mut expected: Vec<String> = music::fixture_files()
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    expected.retain(|name| name != "fixture.flac");
    expected.push("disguised.mp3".to_owned());
    expected.sort();
    let names: Vec<_> = rows
        .keys()
        .map(|name| name.rsplit('/').next().unwrap().to_owned())
        .collect();
    let mut names = names;
    names.sort();
    assert_eq!(names, expected);
    let disguised = rows
        .iter()
        .find(|(name, _)| name.ends_with("disguised.mp3"))
        .unwrap()
        .1;
    assert_eq!(disguised["mime"], "audio/flac");
    for row in rows.values() {
        phone.get(&file_of(row)).await.expect(200);
    }
    let log = server.log();
    for name in [
        "text.mp3",
        "empty.mp3",
        "cut.flac",
        "cut.mp3",
        "pipe.mp3",
        "link.mp3",
    ] {
        let lines = log
            .lines()
            .filter(|line| line.contains(name) && !line.contains(&format!("/{name}/")))
            .count();
        assert_eq!(lines, 1, "{name} in the log:\n{log}");
    }
}

#[tokio::test]
async fn track_ids_depend_on_the_path_alone() {
    let (mut server, mut phone, rows) = library(Setup::fixtures()).await;
    let ids = |rows: &BTreeMap<String, Value>| -> BTreeMap<String, Value> {
        rows.iter()
            .map(|(name, row)| (name.clone(), row["trackId"].clone()))
            .collect()
    };
    let before = ids(&rows);
    server.stop().await;
    // Another file under the same name is the same track in another version.
    let name = "untagged_song-name.mp3";
    let path = server.setup().audio().join(name);
    fs::write(&path, [fs::read(&path).unwrap(), vec![0; 100]].concat()).unwrap();
    server.start_again().await;
    phone.moved_to(&server);
    let after = self::rows(&phone).await;
    assert_eq!(ids(&after), before);
    assert_ne!(after[name]["version"], rows[name]["version"]);
    phone
        .get(&format!(
            "{}?v={}",
            file_of(&rows[name]),
            rows[name]["version"].as_str().unwrap()
        ))
        .await
        .expect_problem(404);
}

/// What somebody may do to a file that is being sent.
type Deed = fn(&Path);

/// The size of what comes of a large file of which some has come before `deed` is done to it, and how it ends.
async fn downloaded_during(deed: Deed) -> (u64, u64, reqwest::Result<()>) {
    let setup = Setup::empty();
    let path = setup.audio().join("large.wav");
    music::put_wav(&path, 16_000, 16_000);
    let size = fs::metadata(&path).unwrap().len();
    let (_server, phone, rows) = library(setup).await;
    let row = &rows["large.wav"];
    let versioned = format!("{}?v={}", file_of(row), row["version"].as_str().unwrap());
    let request = phone.request(Method::GET, &versioned);
    let mut response = request.send().await.unwrap();
    let mut received = response.chunk().await.unwrap().unwrap().len() as u64;
    deed(&path);
    // Under the name of the old bytes nobody gets new ones.
    phone.get(&versioned).await.expect_problem(404);
    let end = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => received += chunk.len() as u64,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    (size, received, end)
}

fn opened(path: &Path) -> fs::File {
    fs::File::options().write(true).open(path).unwrap()
}

#[tokio::test]
async fn a_file_that_is_changed_while_it_is_sent_ends_in_an_error_and_never_as_a_whole() {
    let deeds: [(&str, Deed); 3] = [
        ("cut", |path| opened(path).set_len(64 << 20).unwrap()),
        ("longer", |path| opened(path).set_len(512 << 20).unwrap()),
        ("other bytes", |path| {
            opened(path).write_all_at(b"other", 128 << 20).unwrap();
        }),
    ];
    for (name, deed) in deeds {
        let (size, received, end) = downloaded_during(deed).await;
        assert!(end.is_err() && received < size, "{name}: {received} bytes");
    }
}

#[tokio::test]
async fn a_file_that_is_replaced_while_it_is_sent_comes_whole_as_it_was() {
    let replace: Deed = |path| {
        let other = path.with_extension("new");
        fs::copy(music::fixture("mp3"), &other).unwrap();
        fs::rename(&other, path).unwrap();
    };
    let (size, received, end) = downloaded_during(replace).await;
    assert!(end.is_ok() && received == size, "{received} bytes: {end:?}");
}

#[tokio::test]
async fn a_file_that_has_gone_is_not_found_and_no_catastrophe() {
    let (server, phone, rows) = library(Setup::fixtures()).await;
    let row = &rows["untagged_song-name.mp3"];
    fs::remove_file(server.setup().audio().join("untagged_song-name.mp3")).unwrap();
    phone.get(&file_of(row)).await.expect_problem(404);
    // Nor does what has taken its place lead anywhere else.
    symlink(
        "/etc/passwd",
        server.setup().audio().join("untagged_song-name.mp3"),
    )
    .unwrap();
    let answer = phone.get(&file_of(row)).await;
    assert!(
        answer.status == 404 && !answer.text().contains("root:"),
        "{}",
        answer.status
    );
}
