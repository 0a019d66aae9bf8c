//! Downloads of files and ranges, covers, the index, and which files the index contains.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::process::Command;

use common::phone::ask;
use common::{HttpResponse, Phone, Setup, TestServer, music, raw, until};
use image::{DynamicImage, ImageFormat, RgbImage};
use lofty::config::WriteOptions;
use lofty::picture::{MimeType, Picture, PictureType};
use lofty::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::Method;
use serde_json::Value;

/// Starts the server and pairs a phone. Also returns the rows of `GET /index` by file name.
async fn start_and_read_index(setup: Setup) -> (TestServer, Phone, BTreeMap<String, Value>) {
    let server = setup.start().await;
    let phone = Phone::pair(&server).await;
    let rows = index_rows(&phone).await;
    (server, phone, rows)
}

/// The rows of `GET /index` by file name.
async fn index_rows(phone: &Phone) -> BTreeMap<String, Value> {
    let index = phone.get("/index").await.expect(200).json();
    let named = |row: &Value| (row["fileName"].as_str().unwrap().to_owned(), row.clone());
    index.as_array().unwrap().iter().map(named).collect()
}

/// The URL path of a row's audio file.
fn file_url(row: &Value) -> String {
    format!("/file/{}", row["trackId"].as_str().unwrap())
}

async fn send_with_fields(
    phone: &Phone,
    method: Method,
    path: &str,
    fields: &[(&str, &str)],
) -> HttpResponse {
    let request = phone.request(method, path);
    ask(fields.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    }))
    .await
}

/// The fixture contains 1.5 s of sound. The total duration of its MP3 frames, with encoder delay and padding, is 1.584 s.
#[tokio::test]
async fn mp3_duration_excludes_encoder_padding() {
    let (_server, _phone, rows) = start_and_read_index(Setup::fixtures()).await;
    let row = &rows["fixture.mp3"];
    assert_eq!(
        (row["duration"].as_f64(), row["padding"]["leadSec"].as_f64()),
        (Some(1.5), Some(0.069_063))
    );
    assert!(rows["fixture.flac"]["padding"].is_null());
}

/// Headers that promise another length than the file plays: a recorder never completed them, or a download was interrupted.
#[tokio::test]
async fn duration_of_a_track_is_what_its_file_plays() {
    let setup = Setup::empty();
    let put = |name: &str, bytes: &[u8]| fs::write(setup.audio().join(name), bytes).unwrap();
    let [mp3, flac, wav] =
        ["mp3", "flac", "wav"].map(|name| fs::read(music::fixture(name)).unwrap());
    put("interrupted.mp3", &mp3[..mp3.len() * 3 / 4]);
    put("twice.mp3", &mp3.repeat(2));
    let mut streamed = flac;
    streamed[22..26].fill(0);
    put("streamed.flac", &streamed);
    let size_at = wav.windows(4).position(|bytes| bytes == b"data").unwrap() + 4;
    let mut streamed = wav;
    streamed[size_at..size_at + 4].fill(0xff);
    put("streamed.wav", &streamed);
    let (server, _phone, rows) = start_and_read_index(setup).await;
    for (name, range) in [
        ("interrupted.mp3", 0.5..1.45),
        ("twice.mp3", 3.0..3.2),
        ("streamed.flac", 1.499..1.501),
        ("streamed.wav", 1.499..1.501),
    ] {
        let duration = rows.get(name).map(|row| row["duration"].as_f64().unwrap());
        let duration = duration.unwrap_or_else(|| panic!("{name}: {}", server.log()));
        assert!(range.contains(&duration), "{name}: {duration}");
    }
}

#[tokio::test]
async fn files_in_unsupported_audio_formats_are_counted_in_one_log_line() {
    let setup = Setup::fixtures();
    for name in ["a.wma", "b.wma", "c.ape", "notes.txt"] {
        fs::write(setup.audio().join(name), "something").unwrap();
    }
    let (server, phone, rows) = start_and_read_index(setup).await;
    assert!(rows.keys().all(|name| !name.ends_with(".wma")), "{rows:?}");
    // A second scan finds this track, and the same unsupported files.
    music::put_wav(&server.setup().audio().join("later.wav"), 5, 1_000);
    phone.post("/rescan").await.expect(202);
    until("the new track", async || {
        index_rows(&phone).await.contains_key("later.wav")
    })
    .await;
    let log = server.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("wma")).collect();
    assert!(
        lines.len() == 1 && lines[0].contains("2 wma, 1 ape"),
        "{lines:?}"
    );
}

#[tokio::test]
async fn index_contains_tags_duration_and_media_type_of_every_format() {
    let (_server, phone, rows) = start_and_read_index(Setup::fixtures()).await;
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
    for (extension, format, track_number, media_types) in formats {
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
            (&track_number.into(), &2026.into()),
            "{row}"
        );
        let duration = row["duration"].as_f64().unwrap();
        assert!((0.5..3.0).contains(&duration), "{row}");
        assert_eq!(row["size"], fs::metadata(&path).unwrap().len());
        let media_type = row["mime"].as_str().unwrap();
        assert!(
            media_types.contains(&media_type),
            "the media type of {extension} is {media_type}"
        );
        let track_id = row["trackId"].as_str().unwrap();
        assert!(
            track_id.len() == 16
                && track_id
                    .bytes()
                    .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)),
            "{track_id}"
        );
        assert!(
            row["version"]
                .as_str()
                .is_some_and(|version| !version.is_empty()),
            "{row}"
        );
        let response = phone.get(&file_url(row)).await.expect(200);
        assert_eq!(response.header("content-type"), Some(media_type));
    }
    assert_eq!(rows.len(), formats.len() + 1);
}

#[tokio::test]
async fn untagged_track_gets_its_title_from_the_file_name() {
    let (_server, _phone, rows) = start_and_read_index(Setup::fixtures()).await;
    let row = &rows["untagged_song-name.mp3"];
    // Underscores become spaces and the extension is removed; a hyphen may be part of the title.
    let title = row["tags"]["title"].as_str().unwrap();
    assert_eq!(title.to_lowercase().replace('-', " "), "untagged song name");
    for missing in ["artist", "album", "year"] {
        assert!(row["tags"].get(missing).is_none_or(Value::is_null), "{row}");
    }
    assert!(row.get("coverUrl").is_none_or(Value::is_null), "{row}");
}

#[tokio::test]
async fn get_returns_the_whole_file_and_head_the_same_header_fields() {
    let (_server, phone, rows) = start_and_read_index(Setup::fixtures()).await;
    for (name, row) in &rows {
        let file_bytes = fs::read(music::fixtures().join(name)).unwrap();
        let response = phone.get(&file_url(row)).await.expect(200);
        assert!(
            response.body == file_bytes,
            "{name}: the response body differs from the file"
        );
        assert_eq!(
            response.header("content-length"),
            Some(file_bytes.len().to_string().as_str())
        );
        assert_eq!(response.header("accept-ranges"), Some("bytes"));
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
        let file_etag = response.header("etag").expect("the response has no ETag");
        assert!(
            file_etag.starts_with('"') && file_etag.ends_with('"'),
            "{file_etag} is not a strong validator"
        );

        let head_response = send_with_fields(&phone, Method::HEAD, &file_url(row), &[])
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
                head_response.header(field),
                response.header(field),
                "{field} of {name}"
            );
        }
        assert!(head_response.body.is_empty());
    }
}

#[tokio::test]
async fn large_file_and_its_ranges_are_served_byte_for_byte() {
    let setup = Setup::empty();
    let wav_path = setup.audio().join("large.wav");
    music::put_wav(&wav_path, 400, 8_000);
    let mut bytes = fs::read(&wav_path).unwrap();
    StdRng::seed_from_u64(1).fill(&mut bytes[100..]);
    fs::write(&wav_path, &bytes).unwrap();
    let (_server, phone, rows) = start_and_read_index(setup).await;
    let file_path = file_url(&rows["large.wav"]);
    for (first_byte, last_byte) in [
        (0, bytes.len() - 1),
        (1, bytes.len() - 2),
        (999_999, 1_999_999),
        (3_000_000, bytes.len() - 1),
    ] {
        let range = format!("bytes={first_byte}-{last_byte}");
        let range_response =
            send_with_fields(&phone, Method::GET, &file_path, &[("range", &range)]).await;
        let complete_response = phone.get(&file_path).await.expect(200);
        assert!(
            range_response.expect(206).body == bytes[first_byte..=last_byte],
            "{range}"
        );
        assert!(
            complete_response.body == bytes,
            "the whole file, requested after {range}"
        );
    }
}

/// A phone that is busy with storing data reads nothing from its connection, here for longer than the stall timeout of 15 s.
#[tokio::test]
async fn download_that_is_not_read_for_20_seconds_continues() {
    let setup = Setup::empty();
    let path = setup.audio().join("large.wav");
    music::put_wav(&path, 16_000, 16_000);
    let (_server, phone, rows) = start_and_read_index(setup).await;
    let request = phone.request(Method::GET, &file_url(&rows["large.wav"]));
    let mut response = request.send().await.unwrap();
    let mut received_bytes = response.chunk().await.unwrap().unwrap().len();
    tokio::time::sleep(std::time::Duration::from_secs(20)).await;
    while let Some(chunk) = response.chunk().await.unwrap() {
        received_bytes += chunk.len();
    }
    assert_eq!(received_bytes as u64, fs::metadata(&path).unwrap().len());
}

#[tokio::test]
async fn current_version_is_cacheable_and_other_versions_get_404() {
    let (_server, phone, rows) = start_and_read_index(Setup::fixtures()).await;
    let row = &rows["untagged_song-name.mp3"];
    let path = file_url(row);
    let version = row["version"].as_str().unwrap();
    let response = phone.get(&format!("{path}?v={version}")).await.expect(200);
    let cache_control = response.header("cache-control").unwrap();
    assert!(
        cache_control.contains("immutable") && cache_control.contains("max-age=31536000"),
        "{cache_control}"
    );
    assert!(
        !cache_control.contains("public"),
        "`public` would let a shared cache serve the file to unpaired clients"
    );

    let unversioned_response = phone.get(&path).await.expect(200);
    let cache_control = unversioned_response
        .header("cache-control")
        .unwrap_or_default();
    assert!(
        cache_control.contains("no-cache") || cache_control.contains("no-store"),
        "{cache_control}"
    );

    for other_version in ["", "x", "0", &version[1..], &format!("{version}0")] {
        phone
            .get(&format!("{path}?v={other_version}"))
            .await
            .expect_problem(404);
    }
}

#[tokio::test]
async fn malformed_track_ids_and_paths_outside_the_library_get_404() {
    let (server, phone, rows) = start_and_read_index(Setup::fixtures()).await;
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
            let response = raw::get(server.address(), &path, &["Host: localhost", &bearer]).await;
            // The server may refuse a malformed request target with 400 instead.
            assert!(
                [404, 400].contains(&response.status),
                "{path}: {}",
                response.head
            );
        }
    }
}

#[tokio::test]
async fn embedded_cover_is_cacheable_and_a_missing_cover_gets_404() {
    let (_server, phone, rows) = start_and_read_index(Setup::fixtures()).await;
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
        let response = phone.get(url).await.expect(200);
        assert!(
            response
                .header("content-type")
                .unwrap()
                .starts_with("image/")
        );
        assert!(
            response
                .header("cache-control")
                .unwrap()
                .contains("immutable")
        );
        let picture = image::load_from_memory(&response.body).unwrap();
        assert_eq!((picture.width(), picture.height()), (64, 64));

        let cover_etag = response
            .header("etag")
            .expect("the response has no ETag")
            .to_owned();
        let not_modified =
            send_with_fields(&phone, Method::GET, url, &[("if-none-match", &cover_etag)])
                .await
                .expect(304);
        assert!(not_modified.body.is_empty());
        phone.get(&format!("/cover/{id}")).await.expect(200);
        let head_response = send_with_fields(&phone, Method::HEAD, url, &[])
            .await
            .expect(200);
        assert_eq!(
            head_response.header("content-length"),
            response.header("content-length")
        );
        assert_eq!(head_response.header("etag"), Some(cover_etag.as_str()));
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

/// Writes a copy of the untagged fixture with `bytes` as its embedded cover.
fn put_track_with_cover(path: &Path, media_type: MimeType, bytes: Vec<u8>) {
    fs::copy(music::fixtures().join("untagged_song-name.mp3"), path).unwrap();
    let mut file = lofty::read_from_path(path).unwrap();
    let mut tag = lofty::tag::Tag::new(lofty::tag::TagType::Id3v2);
    let picture = Picture::new_unchecked(PictureType::CoverFront, Some(media_type), None, bytes);
    tag.push_picture(picture);
    file.insert_tag(tag);
    file.save_to_path(path, WriteOptions::default()).unwrap();
}

/// A black picture in an image format.
fn encoded_picture(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::ImageRgb8(RgbImage::new(width, height))
        .write_to(&mut bytes, format)
        .unwrap();
    bytes.into_inner()
}

#[tokio::test]
async fn large_covers_are_scaled_and_invalid_covers_get_404() {
    // All tracks have the same sound.
    let setup = Setup::empty().flag("--keep-duplicates");
    let audio = setup.audio();
    put_track_with_cover(
        &audio.join("wide.mp3"),
        MimeType::Png,
        encoded_picture(1600, 400, ImageFormat::Png),
    );
    put_track_with_cover(
        &audio.join("tall.mp3"),
        MimeType::Jpeg,
        encoded_picture(300, 1500, ImageFormat::Jpeg),
    );
    put_track_with_cover(
        &audio.join("mislabelled.mp3"),
        MimeType::Jpeg,
        encoded_picture(600, 600, ImageFormat::Png),
    );
    put_track_with_cover(
        &audio.join("text.mp3"),
        MimeType::Png,
        b"<script>alert(1)</script>".to_vec(),
    );
    put_track_with_cover(
        &audio.join("cut.mp3"),
        MimeType::Png,
        encoded_picture(800, 800, ImageFormat::Png)[..60].to_vec(),
    );
    // A decompression bomb: its header declares 60,000 by 60,000 pixels.
    let mut bomb = encoded_picture(1, 1, ImageFormat::Png);
    bomb[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    let checksum = crc32(&bomb[12..29]);
    bomb[29..33].copy_from_slice(&checksum.to_be_bytes());
    put_track_with_cover(&audio.join("bomb.mp3"), MimeType::Png, bomb);

    let (_server, phone, rows) = start_and_read_index(setup).await;
    for (name, width, height) in [
        ("wide.mp3", 512, 128),
        ("tall.mp3", 102, 512),
        ("mislabelled.mp3", 512, 512),
    ] {
        let response = phone
            .get(rows[name]["coverUrl"].as_str().unwrap())
            .await
            .expect(200);
        let picture = image::load_from_memory(&response.body).unwrap();
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

/// CRC-32 of a PNG chunk (PNG specification, annex D).
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
async fn index_with_a_matching_etag_is_not_sent_again() {
    let (_server, phone, _rows) = start_and_read_index(Setup::fixtures()).await;
    let response = phone.get("/index").await.expect(200);
    let index_etag = response
        .header("etag")
        .expect("the response has no ETag")
        .to_owned();
    let not_modified = send_with_fields(
        &phone,
        Method::GET,
        "/index",
        &[("if-none-match", &index_etag)],
    )
    .await
    .expect(304);
    assert!(not_modified.body.is_empty());
    assert_eq!(not_modified.header("etag"), Some(index_etag.as_str()));
    send_with_fields(
        &phone,
        Method::GET,
        "/index",
        &[("if-none-match", "\"other\"")],
    )
    .await
    .expect(200);
}

#[tokio::test]
async fn files_without_audio_are_skipped_and_logged() {
    let setup = Setup::fixtures();
    let (audio, outside) = (setup.audio(), setup.folder().join("outside"));
    fs::create_dir(&outside).unwrap();
    let mp3 = fs::read(music::fixtures().join("untagged_song-name.mp3")).unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(audio.join(name), bytes).unwrap();
    fs::write(outside.join("elsewhere.mp3"), &mp3).unwrap();

    write(
        "text.mp3",
        b"This is plain text with the name of an MP3.\n"
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
        let fixture = fs::read(music::fixture(extension)).unwrap();
        write(&format!("cut.{extension}"), &fixture[..size]);
    }
    write("cut.mp3", &fs::read(music::fixture("mp3")).unwrap()[..20]);
    write("page.html", b"<html></html>");
    write("._hidden.mp3", &mp3);
    write(".unfinished.mp3.X1y2Z3", &mp3);
    fs::create_dir(audio.join(".Trash-1000")).unwrap();
    write(".Trash-1000/song.mp3", &mp3);
    fs::create_dir(audio.join("folder.mp3")).unwrap();
    symlink(outside.join("elsewhere.mp3"), audio.join("link.mp3")).unwrap();
    symlink(&outside, audio.join("linked folder")).unwrap();
    symlink("nowhere.mp3", audio.join("dangling.mp3")).unwrap();
    symlink(".", audio.join("loop")).unwrap();
    symlink("/dev/zero", audio.join("endless.mp3")).unwrap();
    assert!(
        Command::new("mkfifo")
            .arg(audio.join("pipe.mp3"))
            .status()
            .unwrap()
            .success()
    );
    // The server recognises a FLAC by its content despite the extension mp3, in a folder with special characters in its name.
    fs::create_dir_all(audio.join("deep/Ünï \"quoted\" <b>")).unwrap();
    fs::rename(
        audio.join("fixture.flac"),
        audio.join("deep/Ünï \"quoted\" <b>/disguised.mp3"),
    )
    .unwrap();

    let (server, phone, rows) = start_and_read_index(setup).await;
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
        phone.get(&file_url(row)).await.expect(200);
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
async fn track_ids_depend_only_on_the_path() {
    let (mut server, mut phone, rows) = start_and_read_index(Setup::fixtures()).await;
    let ids = |rows: &BTreeMap<String, Value>| -> BTreeMap<String, Value> {
        rows.iter()
            .map(|(name, row)| (name.clone(), row["trackId"].clone()))
            .collect()
    };
    let ids_before = ids(&rows);
    server.stop().await;
    // New content under the same name keeps the track id and changes the version.
    let name = "untagged_song-name.mp3";
    let path = server.setup().audio().join(name);
    fs::write(&path, [fs::read(&path).unwrap(), vec![0; 100]].concat()).unwrap();
    server.restart().await;
    phone.use_server(&server);
    let after = self::index_rows(&phone).await;
    assert_eq!(ids(&after), ids_before);
    assert_ne!(after[name]["version"], rows[name]["version"]);
    phone
        .get(&format!(
            "{}?v={}",
            file_url(&rows[name]),
            rows[name]["version"].as_str().unwrap()
        ))
        .await
        .expect_problem(404);
}

/// Changes a file during its download.
type FileChange = fn(&Path);

/// Downloads a large file and applies `change` after the first bytes have arrived. If `is_hashed` is set, the server has hashed
/// the file before. Returns the original size of the file, the
/// number of received bytes, and whether the download succeeded.
async fn download_while_changing(
    change: FileChange,
    is_hashed: bool,
) -> (u64, u64, reqwest::Result<()>) {
    let setup = Setup::empty();
    let path = setup.audio().join("large.wav");
    music::put_wav(&path, 16_000, 16_000);
    let original_size = fs::metadata(&path).unwrap().len();
    let (server, phone, rows) = start_and_read_index(setup).await;
    if is_hashed {
        server.until_hashed(1).await;
    }
    let row = &rows["large.wav"];
    let versioned_url = format!("{}?v={}", file_url(row), row["version"].as_str().unwrap());
    let request = phone.request(Method::GET, &versioned_url);
    let mut response = request.send().await.unwrap();
    let mut received_bytes = response.chunk().await.unwrap().unwrap().len() as u64;
    change(&path);
    // The URL of the old version must never serve the new content.
    phone.get(&versioned_url).await.expect_problem(404);
    let result = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => received_bytes += chunk.len() as u64,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    (original_size, received_bytes, result)
}

fn open_for_writing(path: &Path) -> fs::File {
    fs::File::options().write(true).open(path).unwrap()
}

#[tokio::test]
async fn download_fails_if_the_file_changes_meanwhile() {
    let changes: [(&str, FileChange); 3] = [
        ("truncated", |path| {
            open_for_writing(path).set_len(64 << 20).unwrap()
        }),
        ("extended", |path| {
            open_for_writing(path).set_len(512 << 20).unwrap()
        }),
        ("overwritten", |path| {
            open_for_writing(path)
                .write_all_at(b"other", 128 << 20)
                .unwrap();
        }),
    ];
    for (name, change) in changes {
        let (original_size, received_bytes, result) = download_while_changing(change, true).await;
        assert!(
            result.is_err() && received_bytes < original_size,
            "{name}: the download succeeded with {received_bytes} of {original_size} bytes"
        );
    }
}

#[tokio::test]
async fn download_continues_with_the_old_content_if_the_file_is_replaced() {
    let replace: FileChange = |path| {
        let new_file = path.with_extension("new");
        fs::copy(music::fixture("mp3"), &new_file).unwrap();
        fs::rename(&new_file, path).unwrap();
    };
    let (original_size, received_bytes, result) = download_while_changing(replace, true).await;
    assert!(
        result.is_ok() && received_bytes == original_size,
        "{received_bytes} of {original_size} bytes arrived: {result:?}"
    );
}

/// The server cannot know whether a file that is deleted still has its old content, if it has never hashed this content.
#[tokio::test]
async fn download_of_a_deleted_file_with_unknown_content_fails() {
    let setup = Setup::empty();
    let path = setup.audio().join("large.wav");
    music::put_wav(&path, 16_000, 16_000);
    let (_server, phone, rows) = start_and_read_index(setup).await;
    open_for_writing(&path).set_len(200 << 20).unwrap();
    let request = phone.request(Method::GET, &file_url(&rows["large.wav"]));
    let mut response = request.send().await.unwrap();
    response.chunk().await.unwrap().unwrap();
    fs::remove_file(&path).unwrap();
    let result = loop {
        match response.chunk().await {
            Ok(Some(_)) => {}
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    assert!(result.is_err());
}

/// The file is overwritten in the middle of downloads, and always has the same size and modification time.
#[tokio::test]
async fn responses_with_one_etag_never_mix_two_contents() {
    const SECONDS: usize = 2_000;
    let setup = Setup::empty();
    let path = setup.audio().join("song.wav");
    music::put_wav(&path, SECONDS as u32, 16_000);
    let header = fs::read(&path).unwrap()[..44].to_vec();
    let contents = [1, 2].map(|byte| [&header[..], &vec![byte; SECONDS * 16_000]].concat());
    fs::write(&path, &contents[0]).unwrap();
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let overwrite = |with: &[usize]| {
        let file = open_for_writing(&path);
        for content in with {
            file.write_all_at(&contents[*content], 0).unwrap();
            file.set_modified(modified).unwrap();
        }
    };
    let (server, phone, rows) = start_and_read_index(setup).await;
    server.until_hashed(1).await;
    let url = file_url(&rows["song.wav"]);
    let mut etag = format!("\"{}\"", rows["song.wav"]["version"].as_str().unwrap());
    let mut bytes_of_tags: BTreeMap<String, u8> = BTreeMap::new();
    // What is written in the middle of each download, and whether the content is the same afterwards.
    let steps: [(&[usize], bool); 8] = [
        (&[], true),
        (&[0], true),
        (&[1, 0], true),
        (&[1], false),
        (&[], true),
        (&[1], true),
        (&[0, 1, 0], false),
        (&[], true),
    ];
    for (n, (writes, is_same)) in steps.into_iter().enumerate() {
        let first = 100 + n;
        let request = phone.request(Method::GET, &url);
        let request = request
            .header("if-range", &etag)
            .header("range", format!("bytes={first}-"));
        let mut response = request.send().await.unwrap();
        let is_resumed = response.status() == 206;
        etag = response.headers()["etag"].to_str().unwrap().to_owned();
        let mut body = response.chunk().await.unwrap().unwrap().to_vec();
        overwrite(writes);
        let is_complete = loop {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend(chunk),
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        assert!(is_same || !is_complete, "step {n}: the content has changed");
        let sound = if is_resumed { &body } else { &body[44..] };
        let byte = *bytes_of_tags.entry(etag.clone()).or_insert(sound[0]);
        assert!(sound == vec![byte; sound.len()], "step {n}: mixed");
        if is_complete {
            let expected = contents[0].len() - if is_resumed { first } else { 0 };
            assert_eq!(body.len(), expected);
        } else {
            assert!(!writes.is_empty(), "step {n}: the download failed");
        }
    }
    assert!(bytes_of_tags.len() > 1, "the content never changed");
}

#[tokio::test]
async fn deleted_file_gets_404() {
    let (server, phone, rows) = start_and_read_index(Setup::fixtures()).await;
    let row = &rows["untagged_song-name.mp3"];
    fs::remove_file(server.setup().audio().join("untagged_song-name.mp3")).unwrap();
    phone.get(&file_url(row)).await.expect_problem(404);
    // A symbolic link in place of the file is not followed.
    symlink(
        "/etc/passwd",
        server.setup().audio().join("untagged_song-name.mp3"),
    )
    .unwrap();
    let response = phone.get(&file_url(row)).await;
    assert!(
        response.status == 404 && !response.text().contains("root:"),
        "{}",
        response.status
    );
}
