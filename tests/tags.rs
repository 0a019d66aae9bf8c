//! What `GET /index` shows of tags as music collections have them: malformed, in several formats, and in legacy character sets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use common::{Phone, Setup, music, until};
use serde_json::{Value, json};

/// The frames of an MP3 file without tags.
fn mp3_frames() -> Vec<u8> {
    let bytes = fs::read(music::fixtures().join("untagged_song-name.mp3")).unwrap();
    let sync = bytes.windows(2).position(|pair| pair == [0xff, 0xfb]);
    bytes[sync.unwrap()..].to_vec()
}

/// An ID3v2.4 frame of less than 128 bytes.
fn frame(id: &str, content: &[u8]) -> Vec<u8> {
    let size = [0, 0, 0, u8::try_from(content.len()).unwrap()];
    [id.as_bytes(), &size, &[0, 0], content].concat()
}

fn id3v2(frames: &[Vec<u8>]) -> Vec<u8> {
    let frames = frames.concat();
    let size = [0, 0, (frames.len() >> 7) as u8, (frames.len() & 0x7f) as u8];
    [&b"ID3\x04\0\0"[..], &size, &frames].concat()
}

fn id3v1(title: &[u8], artist: &[u8]) -> Vec<u8> {
    let mut tag = b"TAG".to_vec();
    tag.extend(title);
    tag.resize(33, 0);
    tag.extend(artist);
    tag.resize(93, 0);
    tag.extend(b"1987");
    tag.resize(128, 0);
    tag
}

/// A FLAC file whose comments are `comments`.
fn flac(comments: &[&[u8]]) -> Vec<u8> {
    let original = fs::read(music::fixture("flac")).unwrap();
    let mut block = b"\0\0\0\0".to_vec();
    block.extend(u32::try_from(comments.len()).unwrap().to_le_bytes());
    for comment in comments {
        block.extend(u32::try_from(comment.len()).unwrap().to_le_bytes());
        block.extend(*comment);
    }
    let mut file = b"fLaC".to_vec();
    let mut at = 4;
    loop {
        let header = &original[at..at + 4];
        let size = u32::from_be_bytes([0, header[1], header[2], header[3]]) as usize;
        let is_last = header[0] & 0x80 != 0;
        // Keeps the stream information, and replaces all other blocks.
        if header[0] & 0x7f == 0 {
            file.extend([0, header[1], header[2], header[3]]);
            file.extend(&original[at + 4..at + 4 + size]);
        }
        at += 4 + size;
        if is_last {
            break;
        }
    }
    let size = u32::try_from(block.len()).unwrap().to_be_bytes();
    file.extend([0x84, size[1], size[2], size[3]]);
    [&file[..], &block, &original[at..]].concat()
}

fn mp3(before: &[u8], after: &[u8]) -> Vec<u8> {
    [before, &mp3_frames(), after].concat()
}

/// The rows of `GET /index` by file name, after a start of the server on these files, and the names in the order of the rows.
async fn index_of(files: &[(&str, Vec<u8>)]) -> (HashMap<String, Value>, Vec<String>) {
    let setup = Setup::empty().flag("--keep-duplicates");
    for (name, bytes) in files {
        let path = setup.audio().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let server = setup.start().await;
    let phone = Phone::pair(&server).await;
    let index = phone.get("/index").await.expect(200).json();
    let rows = index.as_array().unwrap();
    let name = |row: &Value| row["fileName"].as_str().unwrap().to_owned();
    (
        rows.iter().map(|row| (name(row), row.clone())).collect(),
        rows.iter().map(name).collect(),
    )
}

#[tokio::test]
async fn malformed_frame_or_tag_costs_only_itself() {
    let mut wrong_size = frame("TENC", b"\x03encoder");
    wrong_size[4..8].copy_from_slice(&[0x7f, 0x7f, 0x7f, 0x7f]);
    let odd_utf16 = frame("TALB", b"\x01\xff\xfeA\0l\0b\0u\0m\0x");
    let (title, artist) = (frame("TIT2", b"\x03Title"), frame("TPE1", b"\x03Artist"));
    let broken = id3v2(&[wrong_size, odd_utf16, title, artist]);
    let mut ape = b"APETAGEX\xd0\x07\0\0".to_vec();
    ape.extend(50_000_000_u32.to_le_bytes());
    ape.resize(32, 0);
    let mut comments = flac(&[
        b"TITLE=Title",
        b"ALBUM=Album",
        b"ARTIST=Artist",
        b"DATE=1999",
    ]);
    let at = comments
        .windows(5)
        .position(|bytes| bytes == b"DATE=")
        .unwrap();
    comments[at - 4..at].copy_from_slice(&u32::MAX.to_le_bytes());
    let (rows, _) = index_of(&[
        ("frames.mp3", mp3(&broken, &[])),
        ("ape.mp3", mp3(&broken, &ape)),
        ("comments.flac", comments),
    ])
    .await;
    for (name, row) in &rows {
        let expected = json!({"title": "Title", "artist": "Artist", "album": "Album"});
        assert_eq!(row["tags"], expected, "{name}");
    }
    assert_eq!(rows.len(), 3);
}

#[tokio::test]
async fn fields_of_several_tags_are_merged() {
    let empty = id3v2(&[frame("TSSE", b"\x03Lavf")]);
    let title_only = id3v2(&[frame(
        "TIT2",
        b"\x03A title that is longer than thirty bytes",
    )]);
    let (rows, _) = index_of(&[
        ("07_-_name.mp3", mp3(&empty, &id3v1(b"Title", b"Artist"))),
        (
            "merged.mp3",
            mp3(
                &title_only,
                &id3v1(b"A title that is longer than th", b"Artist"),
            ),
        ),
        (
            "id3.flac",
            [title_only.clone(), flac(&[b"ARTIST=Artist", b"DATE=1987"])].concat(),
        ),
    ])
    .await;
    let tags = |name: &str| rows[name]["tags"].clone();
    let expected = json!({"title": "Title", "artist": "Artist", "year": 1987});
    assert_eq!(tags("07_-_name.mp3"), expected);
    let title = "A title that is longer than thirty bytes";
    let expected = json!({"title": title, "artist": "Artist", "year": 1987});
    assert_eq!(tags("merged.mp3"), expected);
    assert_eq!(tags("id3.flac"), expected);
}

#[tokio::test]
async fn rows_have_all_artists_and_fields_of_the_album() {
    let comments: [&[u8]; 9] = [
        b"TITLE=\xe2\x80\x8b\xe2\x80\xaeTitle\xe2\x80\xac",
        b"ARTIST=First",
        b"ARTIST=Second",
        b"ALBUM ARTIST=Various",
        b"DISCNUMBER=2/3",
        b"GENRE=Pop",
        b"GENRE=Rock",
        b"COMPILATION=1",
        b"ORIGINALDATE=2001-05-03",
    ];
    let id3 = id3v2(&[
        frame("TPE1", b"\x03First\0Second"),
        frame("TCON", b"\x03(17)"),
        frame("TDRC", b"\x03c. 1999"),
        frame("TXXX", b"\x03REPLAYGAIN_TRACK_GAIN\0-6.50 dB"),
        frame("TXXX", b"\x03REPLAYGAIN_TRACK_PEAK\x000.987654"),
    ]);
    let opus_gain = flac(&[b"R128_TRACK_GAIN=-512", b"ALBUMARTIST=Ensemble"]);
    let (rows, _) = index_of(&[
        ("a.flac", flac(&comments)),
        ("b.mp3", mp3(&id3, &[])),
        ("c.flac", opus_gain),
    ])
    .await;
    assert_eq!(
        rows["a.flac"]["tags"],
        json!({
            "title": "Title", "artist": "First, Second", "albumArtist": "Various", "disc": 2,
            "genre": "Pop, Rock", "compilation": true, "year": 2001,
        })
    );
    let expected = json!({"title": "b", "artist": "First, Second", "genre": "Rock", "year": 1999});
    assert_eq!(rows["b.mp3"]["tags"], expected);
    let loudness = |name: &str| (rows[name]["gainDb"].as_f64(), rows[name]["peak"].as_f64());
    assert_eq!(loudness("b.mp3"), (Some(-6.5), Some(0.987_654)));
    assert_eq!(loudness("c.flac"), (Some(3.0), None));
    assert_eq!(rows["c.flac"]["tags"]["artist"], "Ensemble");
}

#[tokio::test]
async fn legacy_character_sets_are_recognized_with_the_folder() {
    let cp1251 = |text: &str| -> Vec<u8> {
        let byte = |c: char| match c {
            'А'..='я' => (c as u32 - 'А' as u32 + 0xc0) as u8,
            c => u8::try_from(c).unwrap(),
        };
        text.chars().map(byte).collect()
    };
    let latin1_frame = |id, text: &[u8]| frame(id, &[b"\0", text].concat());
    let tagged = |title: &[u8], artist: &[u8]| {
        mp3(
            &id3v2(&[latin1_frame("TIT2", title), latin1_frame("TPE1", artist)]),
            &[],
        )
    };
    let title = [b"TITLE=", &cp1251("Группа крови")[..]].concat();
    let (rows, _) = index_of(&[
        ("ru/1.mp3", tagged(&cp1251("Привет мир"), &cp1251("Кино"))),
        ("ru/2.mp3", mp3(&[], &id3v1(&cp1251("Ты"), &cp1251("Кино")))),
        ("ru/3.flac", flac(&[&title])),
        (
            "ru/4.mp3",
            tagged(b"Caf\xe9 \xd1and\xfa Gr\xf6\xdfe", b"Bj\xf6rk"),
        ),
        (
            "en/5.mp3",
            tagged(b"Don\x92t Stop \x96 Live", b"Mot\xf6rhead"),
        ),
    ])
    .await;
    for (name, title, artist) in [
        ("1.mp3", "Привет мир", Some("Кино")),
        ("2.mp3", "Ты", Some("Кино")),
        ("3.flac", "Группа крови", None),
        ("4.mp3", "Café Ñandú Größe", Some("Björk")),
        ("5.mp3", "Don’t Stop – Live", Some("Motörhead")),
    ] {
        let tags = &rows[name]["tags"];
        let found = (tags["title"].as_str().unwrap(), tags["artist"].as_str());
        assert_eq!(found, (title, artist), "{name}");
    }
}

#[tokio::test]
async fn tracks_are_in_natural_order_and_albums_by_disc_and_track() {
    let numbered = |disc: u8, track: u8| {
        let (disc, track) = (
            format!("DISCNUMBER={disc}"),
            format!("TRACKNUMBER={track}/12"),
        );
        flac(&[b"ALBUM=Album", disc.as_bytes(), track.as_bytes()])
    };
    let (_, names) = index_of(&[
        ("Disc 10/1.mp3", mp3(&[], &[])),
        ("Disc 2/10 x.mp3", mp3(&[], &[])),
        ("Disc 2/9 x.mp3", mp3(&[], &[])),
        ("album/a.flac", numbered(2, 1)),
        ("album/b.flac", numbered(1, 10)),
        ("album/c.flac", numbered(1, 2)),
    ])
    .await;
    let expected = ["c.flac", "b.flac", "a.flac", "9 x.mp3", "10 x.mp3", "1.mp3"];
    assert_eq!(names, expected);
}

#[tokio::test]
async fn time_of_addition_survives_a_restart_and_a_change_of_tags() {
    let setup = Setup::empty();
    let path = setup.audio().join("a.mp3");
    fs::write(&path, mp3(&[], &[])).unwrap();
    let mut server = setup.start().await;
    let mut phone = Phone::pair(&server).await;
    let row = |index: Value| index[0].clone();
    let before = row(phone.get("/index").await.expect(200).json());
    let added_at = before["addedAt"].as_str().unwrap();
    assert!(
        added_at.len() == 20 && added_at.ends_with('Z'),
        "{added_at}"
    );
    assert!(added_at > "2024", "{added_at}");

    server.stop().await;
    // The times have whole seconds, so a wrong time differs only in a later second.
    let modified = || fs::metadata(&path).unwrap().modified().unwrap();
    let age = || modified().elapsed().unwrap_or_default();
    until("the next second", async || {
        age() > Duration::from_millis(1_100)
    })
    .await;
    fs::write(&path, mp3(&id3v2(&[frame("TIT2", b"\x03New")]), &[])).unwrap();
    server.restart().await;
    phone.use_server(&server);
    let after = row(phone.get("/index").await.expect(200).json());
    assert_eq!(after["tags"]["title"], "New");
    assert_eq!(after["addedAt"], before["addedAt"]);
}
