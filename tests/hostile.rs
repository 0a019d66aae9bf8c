//! An audio folder that somebody filled with malice, or in 1998: names, tags, links and things that are no files. Nothing in it
//! stops a scan, and nothing outside it is ever served.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on panics"
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
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::Value;

async fn rows(phone: &Phone) -> Vec<Value> {
    let index = phone.get("/index").await.expect(200).json();
    index.as_array().unwrap().clone()
}

async fn names(phone: &Phone) -> Vec<String> {
    let rows = rows(phone).await;
    let name = |row: &Value| row["fileName"].as_str().unwrap().to_owned();
    rows.iter().map(name).collect()
}

fn file_of(row: &Value) -> String {
    format!("/file/{}", row["trackId"].as_str().unwrap())
}

#[tokio::test]
async fn a_file_of_any_name_can_be_played() {
    let (long, wide) = ("n".repeat(251) + ".wav", "\u{e9}".repeat(125) + "a.wav");
    let deep = "d/".repeat(50) + "deep.wav";
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
        long.as_bytes(),
        wide.as_bytes(),
        deep.as_bytes(),
    ];
    let setup = Setup::empty();
    let mut files = BTreeMap::new();
    for name in names {
        let path = setup.audio().join(OsStr::from_bytes(name));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        music::put_wav(&path, 5, 1_000);
        files.insert(fs::read(&path).unwrap(), path);
    }
    let server = setup.start().await;
    let phone = Phone::pair(&server).await;
    let rows = rows(&phone).await;
    assert_eq!(rows.len(), names.len());
    for row in rows {
        let answer = phone.get(&file_of(&row)).await.expect(200);
        let path = files.remove(&answer.body).expect("one of the files");
        let name = path.file_name().unwrap().to_string_lossy();
        assert_eq!(row["fileName"], *name);
        let title = row["tags"]["title"].as_str().unwrap();
        assert!(
            !title.is_empty() && !title.contains(char::is_control),
            "{title:?}"
        );
    }
}

/// Whoever reads the log in a terminal, or line by line, is not deceived by a name.
#[tokio::test]
async fn a_name_cannot_write_lines_of_its_own_into_the_log() {
    let setup = Setup::empty();
    let evil = "evil\n2026-01-01 ERROR all is lost\r\x1b[2J.mp3";
    fs::write(setup.audio().join(evil), "no music").unwrap();
    let server = setup.start().await;
    let log = server.log();
    let lines: Vec<_> = log
        .lines()
        .filter(|line| line.contains("all is lost"))
        .collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(
        lines[0].contains("left out") && !lines[0].contains('\x1b'),
        "{log}"
    );
}

/// Two files whose names differ only in how their letters are composed have one id between them.
#[tokio::test]
async fn of_two_spellings_of_one_name_one_is_played_and_the_log_says_so() {
    let setup = Setup::empty();
    for name in ["Caf\u{e9}.wav", "Cafe\u{301}.wav"] {
        music::put_wav(&setup.audio().join(name), 5, 1_000);
    }
    let server = setup.start().await;
    let phone = Phone::pair(&server).await;
    let rows = rows(&phone).await;
    assert_eq!(rows.len(), 1);
    phone.get(&file_of(&rows[0])).await.expect(200);
    assert_eq!(server.log().matches("the same track id").count(), 1);
}

/// An ID3v2 tag of these frames, which may say of itself that it is longer or shorter.
fn id3(version: u8, frames: &[(&[u8], &[u8])], says: Option<u32>) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, data) in frames {
        body.extend_from_slice(name);
        body.extend((data.len() as u32).to_be_bytes());
        body.extend([0, 0]);
        body.extend_from_slice(data);
    }
    let length = says.unwrap_or(body.len() as u32);
    let mut tag = b"ID3".to_vec();
    tag.extend([version, 0, 0]);
    tag.extend([length >> 21, length >> 14, length >> 7, length].map(|seven| seven as u8 & 0x7f));
    tag.extend(body);
    tag
}

#[tokio::test]
async fn a_tag_of_any_kind_costs_no_track() {
    let audio = fs::read(music::fixtures().join("untagged_song-name.mp3")).unwrap();
    let (long, html) = (
        [&b"\0"[..], &[b'A'; 1_000_000]].concat(),
        b"\0<img src=x onerror=alert(1)>\x1b[31m\r\n\x07",
    );
    let tags: [(&str, Vec<u8>); 11] = [
        (
            "odd",
            id3(
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
            id3(
                3,
                &[(b"TIT2", b"\x01\xdc\0\xd8\0"), (b"TPE1", b"\x02\xd8\0")],
                None,
            ),
        ),
        (
            "no-utf8",
            id3(
                4,
                &[
                    (b"TIT2", b"\x03\xff\xfe\xc0\x80bad"),
                    (b"TPE1", b"\x03\xed\xa0\x80"),
                ],
                None,
            ),
        ),
        ("unknown-encoding", id3(3, &[(b"TIT2", b"\x7fwhat")], None)),
        ("says-more", id3(3, &[(b"TIT2", b"\0short")], Some(4_000))),
        (
            "says-less",
            id3(3, &[(b"TIT2", b"\0a longer title than that")], Some(12)),
        ),
        (
            "long",
            id3(3, &[(b"TIT2", &long), (b"TPE1", b"\0Long")], None),
        ),
        (
            "control",
            id3(3, &[(b"TIT2", html), (b"TPE1", b"\0a\0b\0c")], None),
        ),
        (
            "svg",
            id3(
                3,
                &[(
                    b"APIC",
                    b"\0image/svg+xml\0\x03\0<svg><script>alert(1)</script></svg>",
                )],
                None,
            ),
        ),
        (
            "header",
            id3(
                3,
                &[(b"APIC", b"\0image/png\r\nX-Evil: 1\0\x03\0\x89PNG")],
                None,
            ),
        ),
        (
            "numbers",
            id3(
                3,
                &[(b"TRCK", b"\0-1/99999999999"), (b"TYER", b"\0nope")],
                None,
            ),
        ),
    ];
    let setup = Setup::empty();
    for (at, (name, tag)) in tags.iter().enumerate() {
        // Of different lengths, or those without a title would be copies of one another.
        let rest = &audio[..audio.len() - at];
        fs::write(
            setup.audio().join(format!("{name}.mp3")),
            [tag, rest].concat(),
        )
        .unwrap();
    }
    let server = setup.start().await;
    let phone = Phone::pair(&server).await;
    let rows = rows(&phone).await;
    assert_eq!(rows.len(), tags.len(), "{}", server.log());
    for row in rows {
        phone.get(&file_of(&row)).await.expect(200);
        for text in ["title", "artist", "album"].map(|field| row["tags"][field].as_str()) {
            let text = text.unwrap_or("none");
            assert!(
                !text.is_empty() && !text.contains(char::is_control) && text.chars().count() <= 300,
                "{row}"
            );
        }
        let cover = format!("/cover/{}", row["trackId"].as_str().unwrap());
        let answer = phone.get(&cover).await;
        assert!(
            answer.status == 404 && answer.header("x-evil").is_none(),
            "{row}"
        );
    }
}

/// What opens for ever, or gives bytes without an end. Not everybody may make every device.
fn put_device(path: &Path) {
    let numbers = [["1", "5"], ["0", "0"]];
    let made = |[major, minor]: &[&str; 2]| {
        let status = Command::new("mknod")
            .arg(path)
            .args(["c", major, minor])
            .status();
        status.unwrap().success()
    };
    assert!(numbers.iter().any(made), "no device can be made");
}

fn put_pipe(path: &Path) {
    let status = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(status.success());
}

#[tokio::test]
async fn what_is_no_file_and_what_may_not_be_read_stops_no_scan() {
    let setup = Setup::empty();
    let audio = setup.audio();
    let in_audio = |name: &str| audio.join(name);
    for folder in ["album", "shut folder", "one", "two", "folder.mp3"] {
        fs::create_dir(in_audio(folder)).unwrap();
    }
    for track in [
        "before.wav",
        "album/song.wav",
        "zz after.wav",
        "shut.wav",
        "shut folder/in.wav",
    ] {
        music::put_wav(&in_audio(track), 5, 1_000);
    }
    put_pipe(&in_audio("pipe.mp3"));
    put_pipe(&in_audio("album/cover.jpg"));
    put_device(&in_audio("device.mp3"));
    let _socket = UnixListener::bind(in_audio("socket.mp3")).unwrap();
    for (to, from) in [
        ("/dev/zero", "zeros.mp3"),
        ("self.mp3", "self.mp3"),
        ("gone.mp3", "dangling.mp3"),
        ("/proc/self/mem", "memory.mp3"),
        (".", "loop"),
        ("../two", "one/two"),
        ("../one", "two/one"),
    ] {
        symlink(to, in_audio(from)).unwrap();
    }
    let shut = |is_shut: bool| {
        for name in ["shut.wav", "shut folder"] {
            let mode = if is_shut { 0 } else { 0o755 };
            fs::set_permissions(in_audio(name), Permissions::from_mode(mode)).unwrap();
        }
    };
    shut(true);
    let server = setup.start_as_nobody().await;
    let phone = Phone::pair(&server).await;
    let found = rows(&phone).await;
    let known = ["before.wav", "zz after.wav", "song.wav"];
    assert_eq!(names(&phone).await, known, "{}", server.log());
    for row in found {
        phone.get(&file_of(&row)).await.expect(200);
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
        "shut.wav",
        "shut folder",
    ] {
        let lines = log
            .lines()
            .filter(|line| line.contains(&format!("/{name}\"")));
        let lines = lines.count()
            + log
                .lines()
                .filter(|line| line.contains(&format!("=\"{name}\"")))
                .count();
        assert_eq!(lines, 1, "{name} in the log:\n{log}");
    }
    // It is no lost cause: once it may be read, it is.
    shut(false);
    phone.post("/rescan").await.expect(202);
    until("what may be read now", async || {
        rows(&phone).await.len() >= known.len() + 2
    })
    .await;
}

/// What lies outside, and must stay there.
const SECRET: &[u8] = b"nobody in the house may hear this";

/// A folder with tracks in it, and another of the same shape outside, with secrets.
fn inside_and_outside() -> Setup {
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
async fn a_link_that_takes_a_files_or_a_folders_place_after_the_scan_leads_nowhere() {
    let server = inside_and_outside().start().await;
    let phone = Phone::pair(&server).await;
    let rows = rows(&phone).await;
    let (audio, outside) = (
        server.setup().audio(),
        server.setup().folder().join("outside"),
    );
    fs::remove_file(audio.join("song.wav")).unwrap();
    symlink(outside.join("song.wav"), audio.join("song.wav")).unwrap();
    fs::rename(audio.join("album"), audio.join(".aside")).unwrap();
    symlink("../outside/album", audio.join("album")).unwrap();
    for row in &rows {
        phone.get(&file_of(row)).await.expect_problem(404);
    }
    let covered = rows.iter().filter_map(|row| row["coverUrl"].as_str());
    let covered: Vec<_> = covered.collect();
    assert_eq!(covered.len(), 1);
    phone.get(covered[0]).await.expect_problem(404);
}

/// The link comes and goes while it is asked for, thousands of times a second.
#[tokio::test]
async fn a_link_that_is_swapped_in_between_look_and_request_leads_nowhere() {
    let server = inside_and_outside().start().await;
    let phone = Phone::pair(&server).await;
    let rows = rows(&phone).await;
    let (audio, outside) = (
        server.setup().audio(),
        server.setup().folder().join("outside"),
    );
    const HIDDEN: [(&str, &str); 2] = [("song.wav", ".song"), ("album", ".album")];
    for (name, hidden) in HIDDEN {
        symlink(outside.join(name), audio.join(hidden)).unwrap();
    }
    let (is_over, swaps) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let swapper = thread::spawn({
        let (is_over, swaps) = (is_over.clone(), swaps.clone());
        move || {
            let swap = |(name, hidden): &(&str, &str)| {
                let (one, other) = (audio.join(name), audio.join(hidden));
                renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).is_ok()
            };
            // It fails when the folder is gone: so does a test that failed before.
            while !is_over.load(Ordering::Relaxed) && HIDDEN.iter().all(swap) {
                swaps.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let mut served = 0;
    for _ in 0..200 {
        for row in &rows {
            let answer = phone.get(&file_of(row)).await;
            match answer.status {
                200 => assert!(answer.body.starts_with(b"RIFF")),
                status => assert_eq!(status, 404),
            }
            served += usize::from(answer.status == 200);
        }
    }
    is_over.store(true, Ordering::Relaxed);
    swapper.join().unwrap();
    let swaps = swaps.load(Ordering::Relaxed);
    assert!(served > 0 && swaps > 100, "{served} served, {swaps} swaps");
}
