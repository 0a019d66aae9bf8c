//! What outlives a restart, a crash and a damaged disk, and what becomes of music that lost its listeners.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on panics"
)]

pub mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use common::phone::{ask, http, pair_with, queue};
use common::server::run;
use common::{CODE, Phone, Setup, TestServer, durable};
use serde_json::{Value, json};

#[tokio::test]
async fn a_restart_keeps_everything_that_counts() {
    let mut server = TestServer::start().await;
    let mut alice = Phone::pair_as(&server, "Alice").await;
    let mut bob = Phone::pair_as(&server, "Bob").await;
    alice.next().await;
    alice.nudge(&alice.track_after_current(3)).await;
    bob.pause(12.75).await;
    bob.seek(99.5).await;
    let before = durable(&alice.snapshot().await);
    assert_eq!(
        before["clients"],
        json!({ "m1": { "name": "Alice" }, "m2": { "name": "Bob" } })
    );

    server.stop().await;
    server.start_again().await;
    for phone in [&mut alice, &mut bob] {
        phone.moved_to(&server);
        let after = phone.get("/snapshot").await.expect(200);
        assert_eq!(after.header("lockstep-member"), Some(phone.member.as_str()));
        assert_eq!(durable(&after.json()), before);
    }
    // Life goes on where it was, and ids are not given twice.
    bob.post("/leave").await.expect(204);
    server.stop().await;
    server.start_again().await;
    alice.moved_to(&server);
    bob.moved_to(&server);
    bob.get("/snapshot").await.expect_problem(401);
    assert_eq!(Phone::pair(&server).await.member, "m3");
    alice.next().await;
}

/// What a state file may hold that is no state, each with a name.
fn damages(good: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let good_state: Value = serde_json::from_slice(good).unwrap();
    let all_changed = |changes: &[(&str, Value)]| {
        let mut state = good_state.clone();
        for (pointer, value) in changes {
            *state.pointer_mut(pointer).unwrap() = value.clone();
        }
        serde_json::to_vec(&state).unwrap()
    };
    let changed = |pointer: &str, value: Value| all_changed(&[(pointer, value)]);
    let [first, second] = [0, 1].map(|n| good_state["queue"][n].clone());
    let count = good_state["eventCount"].as_u64().unwrap();
    let barrier = |track: &Value, member: &str| {
        let ready: [&str; 0] = [];
        json!({ "type": "track", "trackId": track, "members": [member], "ready": ready })
    };
    let with_token_of = |member: &str| {
        let mut keys = good_state["private"]["keys"].clone();
        let owner = keys.as_object_mut().unwrap().values_mut().next().unwrap();
        *owner = json!(member);
        keys
    };
    let without_queue = {
        let mut state = good_state.clone();
        state.as_object_mut().unwrap().remove("queue");
        serde_json::to_vec(&state).unwrap()
    };
    vec![
        ("nothing", Vec::new()),
        ("white space", b"\n".to_vec()),
        ("garbage", b"not a state \xff\xfe\0".to_vec()),
        ("zeros", vec![0; good.len()]),
        ("a half", good[..good.len() / 2].to_vec()),
        (
            "all but the end",
            good[..good.trim_ascii_end().len() - 1].to_vec(),
        ),
        ("something behind", [good, b"}"].concat()),
        ("twice", [good, good].concat()),
        ("another document", b"[]".to_vec()),
        ("null", b"null".to_vec()),
        ("too little", b"{}".to_vec()),
        ("no queue", without_queue),
        ("deep nesting", b"[".repeat(100_000)),
        ("a count that is text", changed("/eventCount", json!("7"))),
        ("a count below zero", changed("/eventCount", json!(-1))),
        (
            "a count that is no whole number",
            changed("/eventCount", json!(1.5)),
        ),
        ("an index outside", changed("/queueIndex", json!(4))),
        ("an index below zero", changed("/queueIndex", json!(-1))),
        ("a track twice", changed("/queue/1", first.clone())),
        (
            "a track that is none",
            changed("/queue/1", json!("../../etc")),
        ),
        (
            "an unknown mode",
            changed("/playState/mode", json!("dancing")),
        ),
        (
            "an anchor below zero",
            changed("/playState/anchorPositionSec", json!(-1.0)),
        ),
        (
            "an anchor that is none",
            changed("/playState/anchorPositionSec", Value::Null),
        ),
        ("an index that is text", changed("/queueIndex", json!("0"))),
        (
            "music without a queue",
            all_changed(&[
                ("/queue", json!([])),
                ("/queueIndex", json!(0)),
                ("/playState/mode", json!("playing")),
            ]),
        ),
        (
            "a barrier for a stranger",
            changed("/barrier", barrier(&first, "m9")),
        ),
        (
            "a barrier before another track",
            changed("/barrier", barrier(&second, "m1")),
        ),
        (
            "a barrier that opens in the future",
            all_changed(&[
                ("/barrier", barrier(&first, "m1")),
                ("/private/barrierOpenedAt", json!(count + 1)),
            ]),
        ),
        ("a barrier that is text", changed("/barrier", json!("open"))),
        (
            "a barrier that is a list",
            changed("/barrier", json!([first])),
        ),
        ("clients that are a list", changed("/clients", json!([]))),
        (
            "a speaker that is too late",
            changed("/clients/m1", json!({ "name": "", "delayMs": 500.1 })),
        ),
        (
            "a speaker that is too early",
            changed("/clients/m1", json!({ "name": "", "delayMs": -501 })),
        ),
        (
            "a delay that is text",
            changed("/clients/m1", json!({ "name": "", "delayMs": "5" })),
        ),
        (
            "a delay that is none",
            changed("/clients/m1", json!({ "name": "", "delayMs": null })),
        ),
        (
            "a stranger's token",
            changed("/private/keys", with_token_of("m9")),
        ),
        (
            "tokens that are a list",
            changed("/private/keys", json!([])),
        ),
        (
            "a private part that is text",
            changed("/private", json!("none")),
        ),
        (
            "a private part that is a list",
            changed("/private", json!(["a"])),
        ),
    ]
}

/// The server runs on what is no state: it screams, refuses everything that has to do with the room, and has
/// not fallen over.
async fn expect_the_scream(server: &TestServer, phone: &Phone, damage: &str) {
    for path in [
        "/play",
        "/pause",
        "/seek",
        "/next",
        "/nudge",
        "/ack-download",
        "/start-now",
    ] {
        let problem = phone
            .try_command(path, 1, &json!({ "positionSec": 0 }))
            .await
            .expect_problem(500);
        assert!(
            problem["detail"].as_str().unwrap().len() > 20,
            "{damage}: {problem}"
        );
        ask(http().post(server.url(path))).await.expect_problem(401);
    }
    // The order of the checks: the state before the header.
    phone.post("/next").await.expect_problem(500);
    for path in ["/snapshot", "/events", "/index", "/clock"] {
        phone.get(path).await.expect_problem(500);
        ask(http().get(server.url(path))).await.expect_problem(401);
    }
    phone.post("/leave").await.expect_problem(500);
    pair_with(&http(), server, CODE).await.expect_problem(500);
    assert_eq!(
        ask(http().get(server.url("/healthz"))).await.status,
        503,
        "{damage}"
    );
    ask(http().get(server.url("/"))).await.expect(200);

    let log = server.log();
    let scream = log
        .lines()
        .find(|line| line.contains("ERROR") && line.contains("state.json"));
    assert!(scream.is_some(), "{damage}: nobody screams in\n{log}");
    assert!(!log.contains("panicked"), "{damage}:\n{log}");
}

#[tokio::test]
async fn a_damaged_state_is_told_and_never_touched() {
    let mut server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    server.stop().await;
    let good = server.state();
    let file = server.setup().state_file();
    for (damage, bytes) in damages(&good) {
        fs::write(&file, &bytes).unwrap();
        fs::write(server.setup().log_file(), "").unwrap();
        server.start_again().await;
        expect_the_scream(&server, &phone.again_at(&server), damage).await;
        server.stop().await;
        assert!(server.state() == bytes, "{damage}: the file was touched");
    }
    // Once mended by hand, all is as before.
    fs::write(&file, &good).unwrap();
    server.start_again().await;
    phone.again_at(&server).next().await;
}

#[tokio::test]
async fn a_state_that_may_not_be_read_is_told_and_never_touched() {
    let mut server = Setup::long_tracks().start_as_nobody().await;
    let phone = Phone::pair(&server).await;
    server.stop().await;
    let (good, file) = (server.state(), server.setup().state_file());
    fs::set_permissions(&file, Permissions::from_mode(0o000)).unwrap();
    fs::write(server.setup().log_file(), "").unwrap();
    server.start_again().await;
    let phone = phone.again_at(&server);
    expect_the_scream(&server, &phone, "not to be read").await;
    server.stop().await;
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0, "its permissions are others: {mode:o}");
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    assert!(server.state() == good, "the file was touched");
    server.start_again().await;
    phone.again_at(&server).next().await;
}

#[tokio::test]
async fn a_folder_in_the_place_of_the_state_is_told_and_never_touched() {
    let mut server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    server.stop().await;
    let file = server.setup().state_file();
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    fs::write(file.join("kept"), "a letter").unwrap();
    server.start_again().await;
    expect_the_scream(&server, &phone.again_at(&server), "a folder").await;
    server.stop().await;
    assert_eq!(fs::read(file.join("kept")).unwrap(), b"a letter");
    assert_eq!(fs::read_dir(&file).unwrap().count(), 1);
}

/// Whether such a state is called damaged or not: what follows it must not be a panic.
#[tokio::test]
async fn numbers_at_their_limits_bring_nothing_down() {
    let mut server = TestServer::start().await;
    Phone::pair(&server).await;
    server.stop().await;
    let good: Value = serde_json::from_slice(&server.state()).unwrap();
    let mut counted_out = good.clone();
    counted_out["eventCount"] = u64::MAX.into();
    let mut last_member = good.clone();
    last_member["clients"]["m4294967295"] = json!({ "name": "" });
    let mut far_away = good;
    far_away["playState"]["anchorPositionSec"] = f64::MAX.into();
    for state in [counted_out, last_member, far_away] {
        fs::write(server.setup().state_file(), state.to_string()).unwrap();
        server.start_again().await;
        let paired = pair_with(&http(), &server, CODE).await.status;
        let healthy = ask(http().get(server.url("/healthz"))).await.status;
        assert!(
            [(200, 200), (500, 503)].contains(&(paired, healthy)),
            "{paired} {healthy} {state}"
        );
        assert!(!server.log().contains("panicked"));
        server.stop().await;
    }
}

#[tokio::test]
async fn reset_state_moves_the_damaged_file_aside_and_starts_anew() {
    let mut server = TestServer::start().await;
    let old = Phone::pair(&server).await;
    server.stop().await;
    let damaged = b"{ half a sta".to_vec();
    fs::write(server.setup().state_file(), &damaged).unwrap();
    server
        .start_again_with(|setup| setup.flag("--reset-state"))
        .await;

    assert_eq!(ask(http().get(server.url("/healthz"))).await.status, 200);
    old.again_at(&server)
        .get("/snapshot")
        .await
        .expect_problem(401);
    let mut phone = Phone::pair(&server).await;
    phone.next().await;
    let folder = server.setup().state_file().parent().unwrap().to_owned();
    let files = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let aside: Vec<PathBuf> = files
        .filter(|path| fs::read(path).is_ok_and(|bytes| bytes == damaged))
        .collect();
    assert_eq!(
        aside.len(),
        1,
        "what was in the file is nowhere to be found"
    );
    assert!(
        server
            .log()
            .contains(aside[0].file_name().unwrap().to_str().unwrap()),
        "{}",
        server.log()
    );
}

#[tokio::test]
async fn reset_state_twice_loses_neither_file() {
    let mut server = TestServer::start().await;
    for damaged in ["first", "second"] {
        server.stop().await;
        fs::write(server.setup().state_file(), damaged).unwrap();
        server
            .start_again_with(|setup| setup.flag("--reset-state"))
            .await;
    }
    let folder = server.setup().state_file().parent().unwrap().to_owned();
    let contents: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| fs::read(entry.unwrap().path()).unwrap())
        .collect();
    for damaged in ["first", "second"] {
        assert!(
            contents.iter().any(|bytes| bytes == damaged.as_bytes()),
            "{damaged} is lost"
        );
    }
}

#[tokio::test]
async fn a_state_file_belongs_to_one_server() {
    let server = TestServer::start().await;
    let mut phone = Phone::pair(&server).await;
    let folder = server.setup().folder();
    symlink(folder.join("state"), folder.join("another name")).unwrap();
    symlink(server.setup().state_file(), folder.join("linked.json")).unwrap();
    for path in [
        "state/state.json",
        "state/../state/state.json",
        "another name/state.json",
        "linked.json",
    ] {
        let second = server.setup().command_with_state(&folder.join(path));
        let exit = run(second).await;
        assert!(!exit.status.success(), "{path} let a second one in");
        assert_eq!(
            exit.stderr.trim().lines().count(),
            1,
            "{path}: {}",
            exit.stderr
        );
        assert!(
            exit.stderr.contains("state") && !exit.stderr.contains("panicked"),
            "{path}: {}",
            exit.stderr
        );
    }
    phone.next().await;
}

#[tokio::test]
async fn the_example_state_is_a_state() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let setup = Setup::empty();
    for entry in fs::read_dir(root.join("audio")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, setup.audio().join(path.file_name().unwrap())).unwrap();
        }
    }
    let example: Value =
        serde_json::from_slice(&fs::read(root.join("state.json.example")).unwrap()).unwrap();
    fs::copy(root.join("state.json.example"), setup.state_file()).unwrap();
    let server = setup.start().await;
    assert_eq!(ask(http().get(server.url("/healthz"))).await.status, 200);
    let mut phone = Phone::pair(&server).await;
    assert!(phone.count() > example["eventCount"].as_u64().unwrap());
    phone.next().await;
    let index = phone.get("/index").await.expect(200).json();
    let mut indexed: Vec<_> = index
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["trackId"].as_str().unwrap())
        .collect();
    let mut queued = queue(&phone.view);
    queued.sort();
    indexed.sort();
    assert_eq!(queued, indexed);
}

#[tokio::test]
async fn the_queue_follows_the_folder_over_a_restart() {
    let mut server = TestServer::start().await;
    let mut phone = Phone::pair(&server).await;
    phone.next().await;
    phone.pause(3.0).await;
    let before: Vec<String> = (0..4)
        .map(|places| phone.track_after_current(places))
        .collect();
    let gone = phone.row(&before[2]).await["fileName"]
        .as_str()
        .unwrap()
        .to_owned();
    server.stop().await;
    let audio = server.setup().audio();
    common::music::put_wav(&audio.join("0 new.wav"), 500, 1_000);
    fs::remove_file(audio.join(gone)).unwrap();
    let count = phone.count();
    server.start_again().await;
    phone.moved_to(&server);
    phone.view = phone.snapshot().await;
    assert_eq!(
        (phone.count(), phone.current(), phone.anchor()),
        (count + 1, before[0].clone(), 3.0)
    );
    let after: Vec<String> = (0..4)
        .map(|places| phone.track_after_current(places))
        .collect();
    assert_eq!(
        [&after[1], &after[2]],
        [&before[1], &before[3]],
        "those that stayed keep their order"
    );
    assert!(!before.contains(&after[3]), "the new one comes last");
}

#[tokio::test]
async fn music_that_loses_its_last_listener_is_parked_where_it_was() {
    let server = TestServer::start().await;
    let mut remote = Phone::pair(&server).await;
    remote.listen_at("/events?role=remote").await;
    let mut phone = Phone::listening(&server).await;
    phone.ack_all().await;
    let before = phone.count();
    phone.play(10.0).await;
    let starts = phone.durable_event("barrier.release", before).await.payload["anchorAtMs"]
        .as_f64()
        .unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let at = |clock: f64| 10.0 + ((clock - starts) / 1000.0).max(0.0);
    let earliest = at(phone.clock().await);
    let playing = phone.count();
    phone.hang_up();
    let parked = remote.durable_event("playback.parked", playing).await;
    let latest = at(remote.clock().await);

    let position = parked.payload["anchorPositionSec"].as_f64().unwrap();
    assert!(
        (earliest..=latest).contains(&position),
        "{position} is not within {earliest}..{latest}"
    );
    assert_eq!((remote.mode(), remote.anchor()), ("playing", position));
    assert!(remote.snapshot().await["live"]["anchorAtMs"].is_null());

    // The first to come back finds it there, and it goes on when that phone is ready.
    let parked = remote.count();
    phone.listen().await;
    phone
        .wait_until("a barrier", |view| !view["barrier"].is_null())
        .await;
    assert_eq!(phone.count(), parked + 1);
    assert_eq!(
        (
            &phone.view["barrier"]["type"],
            phone.members(),
            phone.mode()
        ),
        (&json!("resume"), vec!["m2"], "paused")
    );
    phone.ack(&phone.current()).await;
    let release = remote.durable_event("barrier.release", parked).await;
    assert_eq!(
        release.payload["anchorPositionSec"].as_f64(),
        Some(position)
    );
    assert!(release.payload["anchorAtMs"].is_f64());
}

/// A server that was killed in mid-song, and a phone that heard it there.
async fn killed_in_mid_song() -> (TestServer, Phone) {
    let mut server = TestServer::start().await;
    let mut phone = Phone::listening(&server).await;
    phone.ack_all().await;
    phone.play(20.0).await;
    server.kill().await;
    server.start_again().await;
    phone.moved_to(&server);
    let snapshot = phone.snapshot().await;
    assert_eq!(
        snapshot["playState"],
        json!({ "mode": "playing", "anchorPositionSec": 20.0 })
    );
    assert_eq!(snapshot["live"]["anchorAtMs"], Value::Null);
    assert_eq!(durable(&snapshot), durable(&phone.view));
    (server, phone)
}

#[tokio::test]
async fn after_a_restart_in_mid_song_the_first_phone_tells_where_the_music_is() {
    let (_server, mut phone) = killed_in_mid_song().await;
    let (before, track) = (phone.count(), phone.current());
    let came = phone.clock().await;
    phone
        .listen_at(&format!("/events?trackId={track}&positionSec=42.5"))
        .await;
    phone
        .wait_until("music", |view| {
            view["playState"]["mode"] == "playing" && view["eventCount"] != before
        })
        .await;
    let now = phone.clock().await;
    let snapshot = phone.snapshot().await;
    let anchor = snapshot["playState"]["anchorPositionSec"].as_f64().unwrap();
    let anchor_at = snapshot["live"]["anchorAtMs"].as_f64().unwrap();
    // Where the phone said that it was, at the moment when it came.
    let (first, last) = (
        anchor + (came - anchor_at) / 1000.0,
        anchor + (now - anchor_at) / 1000.0,
    );
    assert!(
        first <= 42.55 && last >= 42.45,
        "42.5 is not within {first}..{last}"
    );
    assert!(anchor >= 42.0, "it fell back to {anchor}");
}

#[tokio::test]
async fn after_a_restart_in_mid_song_a_phone_without_the_track_resumes_at_the_anchor() {
    for query in ["", "?trackId=0123456789abcdef&positionSec=99"] {
        let (_server, mut phone) = killed_in_mid_song().await;
        let (before, track) = (phone.count(), phone.current());
        phone.listen_at(&format!("/events{query}")).await;
        phone
            .wait_until("a barrier", |view| !view["barrier"].is_null())
            .await;
        assert_eq!(
            (phone.members(), phone.anchor()),
            (vec!["m1"], 20.0),
            "{query}"
        );
        phone.ack(&track).await;
        assert_eq!((phone.mode(), phone.anchor()), ("playing", 20.0), "{query}");
        assert!(phone.count() >= before + 3);
    }
}

#[tokio::test]
async fn a_phone_that_comes_back_to_running_music_does_not_move_it() {
    let server = TestServer::start().await;
    let mut alice = Phone::listening(&server).await;
    alice.ack_all().await;
    alice.play(5.0).await;
    let (before, track) = (alice.count(), alice.current());
    let mut bob = Phone::pair(&server).await;
    bob.listen_at(&format!("/events?trackId={track}&positionSec=300"))
        .await;
    alice
        .wait_until("bob", |view| !view["live"]["listeners"]["m2"].is_null())
        .await;
    assert_eq!(alice.names_after(before), ["client.paired"]);
    assert_eq!(alice.anchor(), 5.0);
}

#[tokio::test]
async fn the_state_file_is_json_that_people_can_read_and_nobody_else() {
    let server = TestServer::start().await;
    let phone = Phone::pair_as(&server, "Alice").await;
    let state: Value = serde_json::from_slice(&server.state()).unwrap();
    let snapshot = durable(&phone.snapshot().await);
    for (field, value) in snapshot.as_object().unwrap() {
        assert_eq!(&state[field], value, "{field}");
    }
    let mode = fs::metadata(server.setup().state_file())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o007, 0, "everybody may read it: {mode:o}");
}
