//! Audio folders with hostile or damaged content: unusual names, malformed tags, symbolic links, devices and pipes. A scan must
//! complete, and the server must not serve a file from outside of the folder.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use common::{Phone, Setup, music, until};
use reqwest::Method;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::Value;

/// The rows of `GET /index`.
async fn index_rows(phone: &Phone) -> Vec<Value> {
    let index = phone.get("/index").await.expect(200).json();
    index.as_array().unwrap().clone()
}

/// The file names in `GET /index`, in that order.
async fn listed_names(phone: &Phone) -> Vec<String> {
    let rows = index_rows(phone).await;
    let name = |row: &Value| row["fileName"].as_str().unwrap().to_owned();
    rows.iter().map(name).collect()
}

/// The URL path of a row's audio file.
fn file_url(row: &Value) -> String {
    format!("/file/{}", row["trackId"].as_str().unwrap())
}

#[tokio::test]
async fn file_with_any_name_is_served() {
    let (longest_ascii_name, longest_utf8_name) =
        ("n".repeat(251) + ".wav", "\u{e9}".repeat(125) + "a.wav");
    let deep_path = "d/".repeat(50) + "deep.wav";
    let names: [&[u8]; 38] = [
        b"new\nline.wav",
        b"carriage\rreturn.wav",
        b"tab\there.wav",
        b"\x1b[31mred\x07.wav",
        "emoji \u{1f3a7}\u{1f525}\u{1f469}\u{200d}\u{1f469}\u{200d}\u{1f467}.wav".as_bytes(),
        "\u{65e5}\u{672c}\u{8a9e}\u{306e}\u{66f2}.wav".as_bytes(),
        "rtl \u{202e}3pm.wav".as_bytes(),
        "zero\u{200b}width.wav".as_bytes(),
        b"%2e%2e%2fup.wav",
        b"%2e%2e%2f%2e%2e%2fetc%2fpasswd.wav",
        b"100% real.wav",
        b"%00.wav",
        b"%zz bad escape.wav",
        b"plus+and space.wav",
        b"a?b#c&d=e;f.wav",
        b"quote\"'`$(id).wav",
        b"<script>alert(1)<script>.wav",
        b"back\\slash.wav",
        b"x..\\..\\win.wav",
        b" lead.wav",
        b"trail .wav ",
        b"-rf.wav",
        b"C:con.wav",
        b"UPPER.WAV",
        b"upper.wav",
        b"two.dots.wav.flac.wav",
        b"no ending",
        b"?v=1",
        b"*",
        b"~",
        b"{}.wav",
        b"null",
        b"latin1 caf\xe9.wav",
        b"\xff\xfe\x80.wav",
        b"\xed\xa0\x80surrogate.wav",
        longest_ascii_name.as_bytes(),
        longest_utf8_name.as_bytes(),
        deep_path.as_bytes(),
    ];
    let setup = Setup::empty();
    let mut paths_by_content = BTreeMap::new();
    for name in names {
        let path = setup.audio().join(OsStr::from_bytes(name));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        music::put_wav(&path, 5, 1_000);
        paths_by_content.insert(fs::read(&path).unwrap(), path);
    }
    let server = setup.start().await;
    let phone = Phone::pair(&server).await;
    let rows = index_rows(&phone).await;
    assert_eq!(rows.len(), names.len());
    for row in rows {
        let response = phone.get(&file_url(&row)).await.expect(200);
        let path = paths_by_content
            .remove(&response.body)
            .expect("two rows have the same content, or the content of no file");
        let name = path.file_name().unwrap().to_string_lossy();
        assert_eq!(row["fileName"], *name);
        let title = row["tags"]["title"].as_str().unwrap();
        assert!(
            !title.is_empty() && !title.contains(char::is_control),
            "{title:?}"
        );
    }
}

/// The name contains a line feed, which would begin a log line, and an escape sequence for the terminal.
#[tokio::test]
async fn control_characters_in_a_file_name_cannot_forge_log_lines() {
    let setup = Setup::empty();
    let file_name = "evil\n2026-01-01 ERROR all is lost\r\x1b[2J.mp3";
    fs::write(setup.audio().join(file_name), "no music").unwrap();
    let server = setup.start().await;
    let log = server.log();
    let lines: Vec<_> = log
        .lines()
        .filter(|line| line.contains("all is lost"))
        .collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(
        lines[0].contains("skipped") && !lines[0].contains('\x1b'),
        "{log}"
    );
}

/// Two names that differ only in Unicode normalisation have the same track id.
#[tokio::test]
async fn files_with_equal_normalised_names_are_listed_once_and_logged() {
    let setup = Setup::empty();
    for name in ["Caf\u{e9}.wav", "Cafe\u{301}.wav"] {
        music::put_wav(&setup.audio().join(name), 5, 1_000);
    }
    let server = setup.start().await;
    let phone = Phone::pair(&server).await;
    let rows = index_rows(&phone).await;
    assert_eq!(rows.len(), 1);
    phone.get(&file_url(&rows[0])).await.expect(200);
    assert_eq!(server.log().matches("the same track id").count(), 1);
}

/// An ID3v2 tag of this version (3 or 4) with these frames (id and data). `declared_size` replaces the size in the header.
fn id3v2_tag(version: u8, frames: &[(&[u8], &[u8])], declared_size: Option<u32>) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, data) in frames {
        body.extend_from_slice(name);
        body.extend((data.len() as u32).to_be_bytes());
        body.extend([0, 0]);
        body.extend_from_slice(data);
    }
    let size_in_header = declared_size.unwrap_or(body.len() as u32);
    let mut tag = b"ID3".to_vec();
    tag.extend([version, 0, 0]);
    tag.extend(
        [
            size_in_header >> 21,
            size_in_header >> 14,
            size_in_header >> 7,
            size_in_header,
        ]
        .map(|bits| bits as u8 & 0x7f),
    );
    tag.extend(body);
    tag
}

#[tokio::test]
async fn track_with_a_malformed_tag_is_listed_with_valid_text() {
    let untagged_mp3 = fs::read(music::fixtures().join("untagged_song-name.mp3")).unwrap();
    let (million_character_text, html_text) = (
        [&b"\0"[..], &[b'A'; 1_000_000]].concat(),
        b"\0<img src=x onerror=alert(1)>\x1b[31m\r\n\x07",
    );
    let tags: [(&str, Vec<u8>); 11] = [
        (
            "odd-length-utf16",
            id3v2_tag(
                3,
                &[
                    (b"TIT2", b"\x01\xff\xfeA\0B"),
                    (b"TALB", b"\x01\0\xd8\0\xd8"),
                ],
                None,
            ),
        ),
        (
            "surrogates",
            id3v2_tag(
                3,
                &[(b"TIT2", b"\x01\xdc\0\xd8\0"), (b"TPE1", b"\x02\xd8\0")],
                None,
            ),
        ),
        (
            "invalid-utf8",
            id3v2_tag(
                4,
                &[
                    (b"TIT2", b"\x03\xff\xfe\xc0\x80bad"),
                    (b"TPE1", b"\x03\xed\xa0\x80"),
                ],
                None,
            ),
        ),
        (
            "unknown-encoding",
            id3v2_tag(3, &[(b"TIT2", b"\x7fwhat")], None),
        ),
        (
            "declares-more",
            id3v2_tag(3, &[(b"TIT2", b"\0short")], Some(4_000)),
        ),
        (
            "declares-less",
            id3v2_tag(3, &[(b"TIT2", b"\0a longer title than that")], Some(12)),
        ),
        (
            "long",
            id3v2_tag(
                3,
                &[(b"TIT2", &million_character_text), (b"TPE1", b"\0Long")],
                None,
            ),
        ),
        (
            "control",
            id3v2_tag(3, &[(b"TIT2", html_text), (b"TPE1", b"\0a\0b\0c")], None),
        ),
        (
            "svg",
            id3v2_tag(
                3,
                &[(
                    b"APIC",
                    b"\0image/svg+xml\0\x03\0<svg><script>alert(1)</script></svg>",
                )],
                None,
            ),
        ),
        (
            "http-header-injection",
            id3v2_tag(
                3,
                &[(b"APIC", b"\0image/png\r\nX-Evil: 1\0\x03\0\x89PNG")],
                None,
            ),
        ),
        (
            "numbers",
            id3v2_tag(
                3,
                &[(b"TRCK", b"\0-1/99999999999"), (b"TYER", b"\0nope")],
                None,
            ),
        ),
    ];
    let setup = Setup::empty();
    for (index, (name, tag)) in tags.iter().enumerate() {
        // Each file has another length, so that files without a readable tag are not duplicates of each other.
        let shortened_mp3 = &untagged_mp3[..untagged_mp3.len() - index];
        fs::write(
            setup.audio().join(format!("{name}.mp3")),
            [tag, shortened_mp3].concat(),
        )
        .unwrap();
    }
    let server = setup.start().await;
    let phone = Phone::pair(&server).await;
    let rows = index_rows(&phone).await;
    assert_eq!(rows.len(), tags.len(), "{}", server.log());
    for row in rows {
        phone.get(&file_url(&row)).await.expect(200);
        for text in ["title", "artist", "album"].map(|field| row["tags"][field].as_str()) {
            let text = text.unwrap_or("none");
            assert!(
                !text.is_empty() && !text.contains(char::is_control) && text.chars().count() <= 300,
                "{row}"
            );
        }
        let cover = format!("/cover/{}", row["trackId"].as_str().unwrap());
        let response = phone.get(&cover).await;
        assert!(
            response.status == 404 && response.header("x-evil").is_none(),
            "{row}"
        );
    }
}

/// Creates a character device with the numbers of /dev/zero, or, if that is not permitted, with 0:0 (see mknod(2)).
fn put_device(path: &Path) {
    let numbers = [["1", "5"], ["0", "0"]];
    let try_mknod = |[major, minor]: &[&str; 2]| {
        let status = Command::new("mknod")
            .arg(path)
            .args(["c", major, minor])
            .status();
        status.unwrap().success()
    };
    assert!(
        numbers.iter().any(try_mknod),
        "mknod could not create a device file"
    );
}

/// Creates a FIFO. Opening it for reading blocks until another process opens it for writing.
fn put_fifo(path: &Path) {
    let status = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(status.success());
}

#[tokio::test]
async fn special_files_and_unreadable_files_do_not_stop_a_scan() {
    let setup = Setup::empty();
    let audio = setup.audio();
    let in_audio = |name: &str| audio.join(name);
    for folder in ["album", "unreadable folder", "one", "two", "folder.mp3"] {
        fs::create_dir(in_audio(folder)).unwrap();
    }
    for track in [
        "before.wav",
        "album/song.wav",
        "zz after.wav",
        "unreadable.wav",
        "unreadable folder/in.wav",
    ] {
        music::put_wav(&in_audio(track), 5, 1_000);
    }
    put_fifo(&in_audio("pipe.mp3"));
    put_fifo(&in_audio("album/cover.jpg"));
    put_device(&in_audio("device.mp3"));
    let _socket = UnixListener::bind(in_audio("socket.mp3")).unwrap();
    for (target, link) in [
        ("/dev/zero", "zeros.mp3"),
        ("self.mp3", "self.mp3"),
        ("gone.mp3", "dangling.mp3"),
        ("/proc/self/mem", "memory.mp3"),
        (".", "loop"),
        ("../two", "one/two"),
        ("../one", "two/one"),
    ] {
        symlink(target, in_audio(link)).unwrap();
    }
    let set_readable = |is_readable: bool| {
        for name in ["unreadable.wav", "unreadable folder"] {
            let mode = if is_readable { 0o755 } else { 0 };
            fs::set_permissions(in_audio(name), Permissions::from_mode(mode)).unwrap();
        }
    };
    set_readable(false);
    let server = setup.start_as_nobody().await;
    let phone = Phone::pair(&server).await;
    let rows = index_rows(&phone).await;
    let readable_names = ["before.wav", "zz after.wav", "song.wav"];
    assert_eq!(
        listed_names(&phone).await,
        readable_names,
        "{}",
        server.log()
    );
    for row in rows {
        phone.get(&file_url(&row)).await.expect(200);
        assert!(row["coverUrl"].is_null());
    }
    let log = server.log();
    for name in [
        "pipe.mp3",
        "device.mp3",
        "socket.mp3",
        "zeros.mp3",
        "self.mp3",
        "memory.mp3",
        "unreadable.wav",
        "unreadable folder",
    ] {
        // The log shows the path of the file, or its name as the value of a field.
        let is_about_file = |line: &&str| {
            line.contains(&format!("/{name}\"")) || line.contains(&format!("=\"{name}\""))
        };
        let line_count = log.lines().filter(is_about_file).count();
        assert_eq!(line_count, 1, "{name} in the log:\n{log}");
    }
    // A rescan adds the files once their permissions allow reading.
    set_readable(true);
    phone.post("/rescan").await.expect(202);
    until(
        "the two tracks that have become readable to be listed",
        async || index_rows(&phone).await.len() >= readable_names.len() + 2,
    )
    .await;
}

/// Content of the files outside of the audio folder.
const SECRET: &[u8] = b"content outside of the audio folder";

/// A setup with an audio folder, and with a folder outside of the audio folder that has the same file names but other content.
fn setup_with_outside_folder() -> Setup {
    let setup = Setup::empty();
    let (audio, outside) = (setup.audio(), setup.folder().join("outside"));
    for folder in [&audio, &outside] {
        fs::create_dir_all(folder.join("album")).unwrap();
    }
    for track in ["song.wav", "album/one.wav"] {
        music::put_wav(&audio.join(track), 5, 1_000);
        fs::write(outside.join(track), SECRET).unwrap();
    }
    image::DynamicImage::new_rgb8(20, 20)
        .save(audio.join("album/cover.png"))
        .unwrap();
    image::DynamicImage::new_rgb8(30, 30)
        .save(outside.join("album/cover.png"))
        .unwrap();
    setup
}

#[tokio::test]
async fn symbolic_link_that_replaces_a_scanned_file_or_folder_is_not_followed() {
    let server = setup_with_outside_folder().start().await;
    let phone = Phone::pair(&server).await;
    let rows = index_rows(&phone).await;
    let (audio, outside) = (
        server.setup().audio(),
        server.setup().folder().join("outside"),
    );
    fs::remove_file(audio.join("song.wav")).unwrap();
    symlink(outside.join("song.wav"), audio.join("song.wav")).unwrap();
    fs::rename(audio.join("album"), audio.join(".aside")).unwrap();
    symlink("../outside/album", audio.join("album")).unwrap();
    for row in &rows {
        phone.get(&file_url(row)).await.expect_problem(404);
    }
    let cover_urls = rows.iter().filter_map(|row| row["coverUrl"].as_str());
    let cover_urls: Vec<_> = cover_urls.collect();
    assert_eq!(cover_urls.len(), 1);
    phone.get(cover_urls[0]).await.expect_problem(404);
}

/// During the requests, a thread exchanges the file and the folder with symbolic links thousands of times a second.
#[tokio::test]
async fn symbolic_link_swapped_in_during_a_request_is_not_followed() {
    let server = setup_with_outside_folder().start().await;
    let phone = Phone::pair(&server).await;
    let rows = index_rows(&phone).await;
    let (audio, outside) = (
        server.setup().audio(),
        server.setup().folder().join("outside"),
    );
    const SWAPPED_NAMES: [(&str, &str); 2] = [("song.wav", ".song"), ("album", ".album")];
    for (name, hidden_name) in SWAPPED_NAMES {
        symlink(outside.join(name), audio.join(hidden_name)).unwrap();
    }
    let (should_stop, swap_count) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let swapper = thread::spawn({
        let (should_stop, swap_count) = (should_stop.clone(), swap_count.clone());
        move || {
            let swap = |(name, hidden_name): &(&str, &str)| {
                let (first_path, second_path) = (audio.join(name), audio.join(hidden_name));
                renameat_with(CWD, first_path, CWD, second_path, RenameFlags::EXCHANGE).is_ok()
            };
            // Renaming fails if this test has failed and its folder has been removed.
            while !should_stop.load(Ordering::Relaxed) && SWAPPED_NAMES.iter().all(swap) {
                swap_count.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let mut served_count = 0;
    for _ in 0..200 {
        for row in &rows {
            let request = phone.request(Method::GET, &file_url(row));
            // Each exchange changes the stamp of the file, so the server may refuse the file because it never is at rest, or
            // break off the response.
            let Ok(response) = request.send().await else {
                continue;
            };
            let status = response.status().as_u16();
            let Ok(body) = response.bytes().await else {
                continue;
            };
            match status {
                200 => assert!(body.starts_with(b"RIFF")),
                status => assert!([404, 500].contains(&status), "{status}"),
            }
            served_count += usize::from(status == 200);
        }
    }
    should_stop.store(true, Ordering::Relaxed);
    swapper.join().unwrap();
    let swap_count = swap_count.load(Ordering::Relaxed);
    assert!(
        served_count > 0 && swap_count > 100,
        "{served_count} files served, {swap_count} exchanges"
    );
}
