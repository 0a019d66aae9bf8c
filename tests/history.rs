//! What was played: `GET /history`, `GET /plays` and the file beside the state file.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::fs;
use std::path::PathBuf;

use common::faulty_disk::{Fault, FaultyDisk};
use common::phone::ask;
use common::{Phone, Setup, TestServer, until};
use reqwest::Method;
use serde_json::{Value, json};

fn history_file(setup: &Setup) -> PathBuf {
    setup.state_file().with_extension("json.history")
}

/// The line of an entry in the file.
fn line(id: u64) -> String {
    let entry = json!({
        "id": id,
        "trackId": format!("{:016x}", id % 3),
        "title": format!("Title, {id}"),
        "artist": null,
        "startedAt": format!("2024-01-01T00:00:{:02}Z", id % 60),
        "heardSec": 30.0 + id as f64,
        "by": "m7",
        "ended": { "reason": "ended", "by": null },
    });
    format!("{entry}\n")
}

async fn history(phone: &Phone, query: &str) -> Vec<Value> {
    let path = format!("/history{query}");
    let entries = phone.get(&path).await.expect(200).json();
    entries.as_array().unwrap().clone()
}

fn ids(entries: &[Value]) -> Vec<u64> {
    entries
        .iter()
        .map(|entry| entry["id"].as_u64().unwrap())
        .collect()
}

/// A playing phone that holds all tracks.
async fn playing_phone(server: &TestServer) -> Phone {
    let mut phone = Phone::pair_and_listen(server).await;
    phone.ack_all().await;
    phone.play(0.0).await;
    phone
}

/// Waits until the room has played the current track for `sec`.
async fn let_play(phone: &Phone, sec: f64) {
    let anchor_at_ms = phone.snapshot().await["live"]["anchorAtMs"]
        .as_f64()
        .unwrap();
    until("the music to play", async || {
        phone.server_time_ms().await > anchor_at_ms + 1e3 * sec
    })
    .await;
}

/// Waits until the history has this many entries, and returns them.
async fn entries(phone: &Phone, count: usize) -> Vec<Value> {
    until("the entry", async || {
        history(phone, "").await.len() >= count
    })
    .await;
    history(phone, "").await
}

#[tokio::test]
async fn played_tracks_are_listed_with_who_added_and_ended_them() {
    let setup = Setup::long_tracks();
    let server = setup.start().await;
    let mut phone = playing_phone(&server).await;
    let mut other = Phone::pair_and_listen(&server).await;
    other.ack_all().await;
    let (current, next) = (phone.current_track(), phone.next_track());
    let body = json!({ "trackIds": [next] });
    other.command_until_accepted("/pick", body).await;
    let_play(&phone, 5.2).await;
    phone.next().await;
    let first = entries(&phone, 1).await.remove(0);
    assert_eq!(first["trackId"], current.as_str());
    assert_eq!(
        first["title"],
        phone.index_row(&current).await["tags"]["title"]
    );
    assert_eq!(
        (&first["by"], &first["artist"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(first["ended"], json!({ "reason": "next", "by": "m1" }));
    let heard_sec = first["heardSec"].as_f64().unwrap();
    assert!((5.0..60.0).contains(&heard_sec), "{heard_sec}");
    assert!(first["startedAt"].as_str().unwrap().ends_with('Z'));

    // A pause does not count, and what sounded for less than five seconds is left out.
    phone.pause(1.0).await;
    other.command_until_accepted("/next", Value::Null).await;
    phone.wait_for_event_count(other.event_count()).await;
    let third = phone.current_track();
    let_play(&phone, 5.2).await;
    phone.command_until_accepted("/previous", json!({})).await;
    let listed = entries(&phone, 2).await;
    assert_eq!(listed.len(), 2, "{listed:?}");
    assert_eq!(listed[0]["trackId"], third.as_str());
    assert_eq!(
        listed[0]["ended"],
        json!({ "reason": "previous", "by": "m1" })
    );
    let_play(&phone, 5.2).await;
    other
        .command_until_accepted("/play-now", json!({ "trackId": third }))
        .await;
    let newest = entries(&phone, 3).await.remove(0);
    assert_eq!(newest["trackId"], next.as_str());
    assert_eq!(
        newest["by"],
        Value::Null,
        "who goes back has not picked the track"
    );
    assert_eq!(newest["ended"], json!({ "reason": "play-now", "by": "m2" }));

    let plays = phone.get("/plays").await.expect(200).json();
    assert_eq!(plays.as_object().unwrap().len(), 3);
    let expected = json!({ "playCount": 1, "lastPlayedAt": newest["startedAt"] });
    assert_eq!(plays[&next], expected);
    until("the file", async || {
        let file = fs::read_to_string(history_file(server.setup())).unwrap();
        file.lines().count() == 3
    })
    .await;
    let file = fs::read_to_string(history_file(server.setup())).unwrap();
    let lines = file
        .lines()
        .rev()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert_eq!(lines.collect::<Vec<_>>(), history(&phone, "").await);
}

#[tokio::test]
async fn history_is_paged_and_available_as_csv() {
    let setup = Setup::long_tracks();
    let lines: String = (1..=300).map(line).collect();
    fs::write(history_file(&setup), lines).unwrap();
    let server = setup.start().await;
    let phone = Phone::pair(&server).await;
    assert_eq!(
        ids(&history(&phone, "").await),
        (251..=300).rev().collect::<Vec<_>>()
    );
    assert_eq!(ids(&history(&phone, "?limit=2&before=10").await), [9, 8]);
    assert_eq!(history(&phone, "?limit=200").await.len(), 200);
    for before in ["before=1", "before=301", "before=0", "before=x", "before="] {
        assert!(
            history(&phone, &format!("?{before}")).await.is_empty(),
            "{before}"
        );
    }
    for limit in ["0", "201", "-1", "x", ""] {
        let path = format!("/history?limit={limit}");
        phone.get(&path).await.expect_problem(400);
    }
    let request = phone
        .request(Method::GET, "/history?limit=1")
        .header("accept", "text/csv");
    let csv = ask(request).await.expect(200);
    assert!(csv.header("content-type").unwrap().starts_with("text/csv"));
    assert_eq!(
        csv.text(),
        "id,trackId,title,artist,startedAt,heardSec,by,endedReason,endedBy\r\n\
         300,0000000000000000,\"Title, 300\",,2024-01-01T00:00:00Z,330,m7,ended,\r\n"
    );
    let plays = phone.get("/plays").await.expect(200).json();
    let expected = json!({ "playCount": 100, "lastPlayedAt": "2024-01-01T00:00:58Z" });
    assert_eq!(plays["0000000000000001"], expected);
    for path in ["/history", "/plays"] {
        ask(common::phone::http().get(server.url(path)))
            .await
            .expect_problem(401);
    }
}

#[tokio::test]
async fn torn_last_line_is_dropped_and_the_file_made_whole() {
    let setup = Setup::long_tracks();
    // As the server writes lines.
    let torn = "{\"id\":3,\"trackId\":\"0000";
    fs::write(history_file(&setup), line(1) + &line(2) + torn).unwrap();
    let server = setup.start().await;
    let mut phone = playing_phone(&server).await;
    assert_eq!(ids(&history(&phone, "").await), [2, 1]);
    let_play(&phone, 5.2).await;
    phone.next().await;
    assert_eq!(ids(&entries(&phone, 3).await), [4, 2, 1]);
    until("whole lines", async || {
        let file = fs::read_to_string(history_file(server.setup())).unwrap();
        let is_entry = |line: &str| serde_json::from_str::<Value>(line).is_ok();
        file.lines().count() == 3 && file.lines().all(is_entry)
    })
    .await;
}

#[tokio::test]
async fn killed_server_keeps_whole_entries_and_goes_on() {
    let setup = Setup::long_tracks();
    let mut server = setup.start().await;
    let mut phone = playing_phone(&server).await;
    let mut last_count = 0;
    for _ in 0..2 {
        let_play(&phone, 5.2).await;
        // The event may be the last thing before the end, or the entry may be written already.
        phone.next().await;
        server.kill().await;
        server.restart().await;
        phone.use_server(&server);
        let listed = history(&phone, "").await;
        assert!((last_count..=last_count + 1).contains(&listed.len()));
        assert!(
            listed
                .iter()
                .all(|entry| entry["ended"]["reason"] == "next")
        );
        let mut unique = ids(&listed);
        unique.dedup();
        assert_eq!(unique.len(), listed.len());
        last_count = listed.len();
        phone.listen().await;
        phone.ack_all().await;
        phone.play(0.0).await;
    }
    let_play(&phone, 5.2).await;
    phone.next().await;
    assert_eq!(entries(&phone, last_count + 1).await.len(), last_count + 1);
}

#[tokio::test]
async fn full_disk_stops_neither_the_music_nor_later_entries() {
    let setup = Setup::long_tracks();
    let file = history_file(&setup);
    fs::write(&file, line(1)).unwrap();
    // Only this file is on the full disk.
    let disk = FaultyDisk::under(&file);
    let server = setup.env(disk.environment()).start().await;
    let mut phone = playing_phone(&server).await;
    for call in ["write", "rename"] {
        disk.inject(call, Fault::Fail(libc::ENOSPC));
    }
    let failures =
        |server: &TestServer| server.log().matches("history could not be written").count();
    for count in [2, 3] {
        let_play(&phone, 5.2).await;
        phone.next().await;
        assert_eq!(
            entries(&phone, count).await.len(),
            count,
            "entries stay in memory"
        );
        until("the failure in the log", async || failures(&server) > 0).await;
    }
    // An entry is in memory before its write begins.
    until("the replacement of the file", async || {
        disk.started("rename") > 0
    })
    .await;
    for call in ["write", "rename"] {
        disk.clear(call);
    }
    let_play(&phone, 5.2).await;
    phone.next().await;
    until("all entries in the file", async || {
        let file = fs::read_to_string(&file).unwrap();
        file.lines().count() == 4 && file.ends_with('\n')
    })
    .await;
    assert_eq!(failures(&server), 1, "the log says so once");
    assert_eq!(phone.play_mode(), "playing");
}

#[tokio::test]
async fn blocked_disk_of_the_history_delays_no_command() {
    let setup = Setup::long_tracks();
    let file = history_file(&setup);
    fs::write(&file, line(1)).unwrap();
    let disk = FaultyDisk::under(&file);
    let mut server = setup.env(disk.environment()).start().await;
    let mut phone = playing_phone(&server).await;
    disk.inject("fsync", Fault::Block);
    let_play(&phone, 5.2).await;
    phone.next().await;
    until("the blocked write", async || disk.started("fsync") == 1).await;
    for _ in 0..20 {
        phone.next().await;
    }
    assert_eq!(history(&phone, "").await.len(), 2);
    disk.clear("fsync");
    server.stop().await;
    assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 2);
}

#[tokio::test]
async fn reset_state_moves_the_history_aside() {
    let setup = Setup::long_tracks();
    fs::write(history_file(&setup), line(1)).unwrap();
    let mut server = setup.start().await;
    server.stop().await;
    server
        .restart_with(|setup| setup.flag("--reset-state"))
        .await;
    let phone = Phone::pair(&server).await;
    assert!(history(&phone, "").await.is_empty());
    let aside = server
        .setup()
        .state_file()
        .with_extension("json.aside-1.history");
    assert_eq!(fs::read_to_string(aside).unwrap(), line(1));
}
