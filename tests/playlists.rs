//! `GET /playlists`: the M3U playlists in the audio folder.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::symlink;

use common::http::{ask, http};
use common::{Phone, Setup, TestServer, music};
use reqwest::Method;
use serde_json::{Value, json};

/// A server with the tracks `root.wav` and `Album/one.wav`, and a paired phone.
async fn start(playlists: &[(&str, &[u8])]) -> (TestServer, Phone) {
    let setup = Setup::empty();
    let audio = setup.audio();
    fs::create_dir(audio.join("Album")).unwrap();
    music::put_wav(&audio.join("root.wav"), 60, 1_000);
    music::put_wav(&audio.join("Album/one.wav"), 70, 1_000);
    for (name, content) in playlists {
        fs::write(audio.join(name), content).unwrap();
    }
    let server = setup.start().await;
    let phone = Phone::pair_and_listen(&server).await;
    (server, phone)
}

/// The track ids by file name.
async fn track_ids(phone: &Phone) -> HashMap<String, String> {
    let index = phone.get("/index").await.expect(200).json();
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    let rows = index.as_array().unwrap().iter();
    rows.map(|row| (text(row, "fileName"), text(row, "trackId")))
        .collect()
}

#[tokio::test]
async fn playlists_name_listed_tracks_only() {
    let party = b"#EXTM3U\n#EXTINF:60,Root\nroot.wav\nAlbum\\one.wav\ngone.wav\n../../etc/passwd\n\
        /etc/passwd\nhttp://radio.example/stream\nroot.wav\n";
    let (server, phone) = start(&[
        ("Party 10.m3u8", party),
        ("Party 2.M3U", b"../root.wav\n"),
        (
            "Album/\u{202e}short.m3u",
            b"one.wav\r\n/somewhere/Album/one.wav\r\n",
        ),
    ])
    .await;
    let secret = server.setup().folder().join("secret.m3u");
    fs::write(&secret, "root.wav").unwrap();
    symlink(&secret, server.setup().audio().join("linked.m3u")).unwrap();
    let ids = track_ids(&phone).await;
    let (root, one) = (&ids["root.wav"], &ids["one.wav"]);
    let playlists = phone.get("/playlists").await.expect(200).json();
    let shown: Vec<_> = playlists
        .as_array()
        .unwrap()
        .iter()
        .map(|playlist| (playlist["name"].clone(), playlist["trackIds"].clone()))
        .collect();
    assert_eq!(
        shown,
        [
            (json!("short"), json!([one, one])),
            (json!("Party 2"), json!([])),
            (json!("Party 10"), json!([root, one, root])),
        ]
    );
    let id = playlists[0]["playlistId"].as_str().unwrap();
    assert_eq!(id.len(), 16);
    let log = fs::read_to_string(server.setup().log_file()).unwrap();
    let line = log.lines().find(|line| line.contains("Party 10.m3u8"));
    assert!(line.is_some_and(|line| line.contains("entries=4")), "{log}");
}

#[tokio::test]
async fn playlists_have_an_etag_and_need_pairing() {
    let (server, phone) = start(&[("a.m3u", b"root.wav")]).await;
    let response = phone.get("/playlists").await;
    let etag = response.header("etag").unwrap().to_owned();
    let request = phone.request(Method::GET, "/playlists");
    ask(request.header("if-none-match", &etag))
        .await
        .expect(304);
    let unpaired = http().get(server.url("/playlists"));
    ask(unpaired).await.expect_problem(401);
}

#[tokio::test]
async fn changed_playlist_is_reported_by_an_event() {
    let (server, mut phone) = start(&[("a.m3u", b"root.wav")]).await;
    let before = phone.event_count();
    fs::write(
        server.setup().audio().join("a.m3u"),
        "root.wav\nAlbum/one.wav",
    )
    .unwrap();
    phone.post("/rescan").await.expect(202);
    let event = phone.durable_event("library.changed", before).await;
    let payload = &event.payload;
    assert_eq!(payload["playlists"], true);
    assert_eq!(
        (&payload["added"], &payload["removed"]),
        (&json!([]), &json!([]))
    );
    let playlists = phone.get("/playlists").await.expect(200).json();
    assert_eq!(playlists[0]["trackIds"].as_array().unwrap().len(), 2);
}
