//! The state file after restarts, crashes and damage, and the playback position after the last listener has left.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use common::phone::{ask, http, pair_with, queued_tracks};
use common::server::{EXECUTABLE, run};
use common::{CODE, Phone, Setup, TestServer, durable_state};
use serde_json::{Value, json};

#[tokio::test]
async fn restart_keeps_durable_state_tokens_and_event_counts() {
    let mut server = TestServer::start().await;
    let mut alice = Phone::pair_as(&server, "Alice").await;
    let mut bob = Phone::pair_as(&server, "Bob").await;
    alice.next().await;
    alice.nudge(&alice.track_after_current(3)).await;
    bob.pause(12.75).await;
    bob.seek(99.5).await;
    let state_before = durable_state(&alice.snapshot().await);
    assert_eq!(
        state_before["clients"],
        json!({ "m1": { "name": "Alice" }, "m2": { "name": "Bob" } })
    );

    server.stop().await;
    server.restart().await;
    for phone in [&mut alice, &mut bob] {
        phone.use_server(&server);
        let after = phone.get("/snapshot").await.expect(200);
        assert_eq!(after.header("lockstep-member"), Some(phone.member.as_str()));
        assert_eq!(durable_state(&after.json()), state_before);
    }
    // After a restart, event counts continue, and the member id of an unpaired device is not used again.
    bob.post("/leave").await.expect(204);
    server.stop().await;
    server.restart().await;
    alice.use_server(&server);
    bob.use_server(&server);
    bob.get("/snapshot").await.expect_problem(401);
    assert_eq!(Phone::pair(&server).await.member, "m3");
    alice.next().await;
}

/// Invalid contents of a state file, each with a description.
fn invalid_state_files(valid: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let valid_state: Value = serde_json::from_slice(valid).unwrap();
    let with_changes = |changes: &[(&str, Value)]| {
        let mut state = valid_state.clone();
        for (pointer, value) in changes {
            *state.pointer_mut(pointer).unwrap() = value.clone();
        }
        serde_json::to_vec(&state).unwrap()
    };
    let with_change = |pointer: &str, value: Value| with_changes(&[(pointer, value)]);
    let [first, second] = [0, 1].map(|n| valid_state["queue"][n].clone());
    let event_count = valid_state["eventCount"].as_u64().unwrap();
    let barrier = |track_id: &Value, member: &str| {
        let ready: [&str; 0] = [];
        json!({ "type": "track", "trackId": track_id, "members": [member], "ready": ready })
    };
    let with_token_of = |member: &str| {
        let mut keys = valid_state["private"]["keys"].clone();
        let owner = keys.as_object_mut().unwrap().values_mut().next().unwrap();
        *owner = json!(member);
        keys
    };
    let without_queue = {
        let mut state = valid_state.clone();
        state.as_object_mut().unwrap().remove("queue");
        serde_json::to_vec(&state).unwrap()
    };
    vec![
        ("only white space", b"\n".to_vec()),
        ("random bytes", b"not a state \xff\xfe\0".to_vec()),
        ("only zero bytes", vec![0; valid.len()]),
        (
            "only the first half of a state",
            valid[..valid.len() / 2].to_vec(),
        ),
        (
            "a state without its last byte",
            valid[..valid.trim_ascii_end().len() - 1].to_vec(),
        ),
        ("an extra byte after a state", [valid, b"}"].concat()),
        ("a state twice", [valid, valid].concat()),
        ("a JSON array", b"[]".to_vec()),
        ("null", b"null".to_vec()),
        ("no bytes, although the server has run", Vec::new()),
        ("an empty object", b"{}".to_vec()),
        ("a missing queue", without_queue),
        ("deeply nested JSON", b"[".repeat(100_000)),
        (
            "a string as event count",
            with_change("/eventCount", json!("7")),
        ),
        (
            "a negative event count",
            with_change("/eventCount", json!(-1)),
        ),
        (
            "a fractional event count",
            with_change("/eventCount", json!(1.5)),
        ),
        (
            "a queue index after the end of the queue",
            with_change("/queueIndex", json!(4)),
        ),
        (
            "a negative queue index",
            with_change("/queueIndex", json!(-1)),
        ),
        (
            "the same track twice in the queue",
            with_change("/queue/1", first.clone()),
        ),
        (
            "an invalid track id",
            with_change("/queue/1", json!("../../etc")),
        ),
        (
            "an unknown play mode",
            with_change("/playState/mode", json!("dancing")),
        ),
        (
            "a negative anchor position",
            with_change("/playState/anchorPositionSec", json!(-1.0)),
        ),
        (
            "null as anchor position",
            with_change("/playState/anchorPositionSec", Value::Null),
        ),
        (
            "a string as queue index",
            with_change("/queueIndex", json!("0")),
        ),
        (
            "playing with an empty queue",
            with_changes(&[
                ("/queue", json!([])),
                ("/queueIndex", json!(0)),
                ("/playState/mode", json!("playing")),
            ]),
        ),
        (
            "a barrier with an unknown member",
            with_change("/barrier", barrier(&first, "m9")),
        ),
        (
            "a barrier for a track other than the current one",
            with_change("/barrier", barrier(&second, "m1")),
        ),
        (
            "a barrier whose opening is later than the event count",
            with_changes(&[
                ("/barrier", barrier(&first, "m1")),
                ("/private/barrierOpenedAt", json!(event_count + 1)),
            ]),
        ),
        (
            "a string as barrier",
            with_change("/barrier", json!("open")),
        ),
        (
            "an array as barrier",
            with_change("/barrier", json!([first])),
        ),
        ("an array as clients", with_change("/clients", json!([]))),
        (
            "a speaker delay above the maximum",
            with_change("/clients/m1", json!({ "name": "", "delayMs": 500.1 })),
        ),
        (
            "a speaker delay below the minimum",
            with_change("/clients/m1", json!({ "name": "", "delayMs": -501 })),
        ),
        (
            "a string as speaker delay",
            with_change("/clients/m1", json!({ "name": "", "delayMs": "5" })),
        ),
        (
            "null as speaker delay",
            with_change("/clients/m1", json!({ "name": "", "delayMs": null })),
        ),
        (
            "a token of an unknown member",
            with_change("/private/keys", with_token_of("m9")),
        ),
        (
            "an array as tokens",
            with_change("/private/keys", json!([])),
        ),
        (
            "a string as private part",
            with_change("/private", json!("none")),
        ),
        (
            "an array as private part",
            with_change("/private", json!(["a"])),
        ),
    ]
}

/// Asserts that the server runs with a damaged state file: the log has an error, every request about the room gets 500,
/// `/healthz` gets 503, and the page is served. `damage` describes the damage in assertion messages.
async fn expect_damaged_state_responses(server: &TestServer, phone: &Phone, damage: &str) {
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
    // The server refuses this command because of the damaged state, although it has no If-Match-Event.
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
    let error_line = log
        .lines()
        .find(|line| line.contains("ERROR") && line.contains("state.json"));
    assert!(
        error_line.is_some(),
        "{damage}: no ERROR line about the state file in\n{log}"
    );
    assert!(!log.contains("panicked"), "{damage}:\n{log}");
}

#[tokio::test]
async fn damaged_state_file_is_reported_and_left_unchanged() {
    let mut server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    server.stop().await;
    let valid_bytes = server.state();
    let file = server.setup().state_file();
    for (damage, damaged_bytes) in invalid_state_files(&valid_bytes) {
        fs::write(&file, &damaged_bytes).unwrap();
        fs::write(server.setup().log_file(), "").unwrap();
        server.restart().await;
        expect_damaged_state_responses(&server, &phone.clone_for_server(&server), damage).await;
        server.stop().await;
        assert!(
            server.state() == damaged_bytes,
            "{damage}: the server changed the file"
        );
    }
    // The server accepts commands again after the valid file has been restored.
    fs::write(&file, &valid_bytes).unwrap();
    server.restart().await;
    phone.clone_for_server(&server).next().await;
}

#[tokio::test]
async fn unreadable_state_file_is_reported_and_left_unchanged() {
    let mut server = Setup::long_tracks().start_as_nobody().await;
    let phone = Phone::pair(&server).await;
    server.stop().await;
    let (state_before, file) = (server.state(), server.setup().state_file());
    fs::set_permissions(&file, Permissions::from_mode(0o000)).unwrap();
    fs::write(server.setup().log_file(), "").unwrap();
    server.restart().await;
    let phone = phone.clone_for_server(&server);
    expect_damaged_state_responses(&server, &phone, "an unreadable file").await;
    server.stop().await;
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(
        mode & 0o777,
        0,
        "the server changed the permissions to {mode:o}"
    );
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    assert!(
        server.state() == state_before,
        "the server changed the file"
    );
    server.restart().await;
    phone.clone_for_server(&server).next().await;
}

/// As after `touch state.json`, with which an administrator sets the owner of the file.
#[tokio::test]
async fn empty_state_file_is_a_first_start() {
    let setup = Setup::long_tracks();
    fs::write(setup.state_file(), "").unwrap();
    let server = setup.start().await;
    let phone = Phone::pair_as(&server, "Ada").await;
    ask(http().get(server.url("/healthz"))).await.expect(200);
    assert_eq!(phone.member, "m1");
    let state: Value = serde_json::from_slice(&server.state()).unwrap();
    assert_eq!(state["clients"]["m1"]["name"], "Ada");
}

#[tokio::test]
async fn empty_state_file_is_filled_before_anything_happens() {
    let setup = Setup::empty();
    fs::write(setup.state_file(), "").unwrap();
    let mut server = setup.start().await;
    server.stop().await;
    assert!(!server.state().is_empty());
    server.restart().await;
    ask(http().get(server.url("/healthz"))).await.expect(200);
}

/// As with `docker run -v ./state.json:/state.json`: no new file can replace a mount point.
#[tokio::test]
async fn state_file_that_is_mounted_by_itself_is_refused_at_the_start() {
    for content in [include_str!("../state.json.example"), ""] {
        let setup = Setup::long_tracks();
        let mounted = setup.folder().join("mounted.json");
        fs::write(&mounted, content).unwrap();
        fs::write(setup.state_file(), "").unwrap();
        let mount = "mount --bind \"$0\" \"$1\" && shift && exec \"$@\"";
        let (mounted_path, state_file) = (mounted.clone(), setup.state_file());
        let mut command: Vec<PathBuf> = vec!["unshare".into(), "--mount".into()];
        if !rustix::process::geteuid().is_root() {
            command.extend(["--user".into(), "--map-root-user".into()]);
        }
        command.extend(["sh".into(), "-c".into(), mount.into()]);
        command.extend([mounted_path, state_file, EXECUTABLE.into()]);
        let setup = setup.launch_command(command);
        let exit = run(setup.command()).await;
        assert_eq!(exit.status.code(), Some(1), "{exit:?}");
        assert_eq!(exit.stderr.trim().lines().count(), 1, "{exit:?}");
        assert!(exit.stderr.contains("mount a folder"), "{exit:?}");
        assert_eq!(fs::read_to_string(&mounted).unwrap(), content);
    }
}

#[tokio::test]
async fn folder_in_place_of_the_state_file_is_reported_and_left_unchanged() {
    let mut server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    server.stop().await;
    let file = server.setup().state_file();
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    fs::write(file.join("file"), "content").unwrap();
    server.restart().await;
    expect_damaged_state_responses(&server, &phone.clone_for_server(&server), "a folder").await;
    server.stop().await;
    assert_eq!(fs::read(file.join("file")).unwrap(), b"content");
    assert_eq!(fs::read_dir(&file).unwrap().count(), 1);
}

/// The server may accept extreme numbers or treat the file as damaged, but must not panic.
#[tokio::test]
async fn extreme_numbers_in_the_state_file_cause_no_panic() {
    let mut server = TestServer::start().await;
    Phone::pair(&server).await;
    server.stop().await;
    let valid_state: Value = serde_json::from_slice(&server.state()).unwrap();
    let mut max_event_count = valid_state.clone();
    max_event_count["eventCount"] = u64::MAX.into();
    let mut max_member_id = valid_state.clone();
    max_member_id["clients"]["m4294967295"] = json!({ "name": "" });
    let mut max_position = valid_state;
    max_position["playState"]["anchorPositionSec"] = f64::MAX.into();
    for state in [max_event_count, max_member_id, max_position] {
        fs::write(server.setup().state_file(), state.to_string()).unwrap();
        server.restart().await;
        let pair_status = pair_with(&http(), &server, CODE).await.status;
        let health_status = ask(http().get(server.url("/healthz"))).await.status;
        assert!(
            [(200, 200), (500, 503)].contains(&(pair_status, health_status)),
            "pairing got {pair_status} and /healthz {health_status} with {state}"
        );
        assert!(!server.log().contains("panicked"));
        server.stop().await;
    }
}

#[tokio::test]
async fn reset_state_flag_renames_the_damaged_file_and_starts_a_new_state() {
    let mut server = TestServer::start().await;
    let old_phone = Phone::pair(&server).await;
    server.stop().await;
    let damaged_bytes = b"{ half a sta".to_vec();
    fs::write(server.setup().state_file(), &damaged_bytes).unwrap();
    server
        .restart_with(|setup| setup.flag("--reset-state"))
        .await;

    assert_eq!(ask(http().get(server.url("/healthz"))).await.status, 200);
    old_phone
        .clone_for_server(&server)
        .get("/snapshot")
        .await
        .expect_problem(401);
    let mut phone = Phone::pair(&server).await;
    phone.next().await;
    let folder = server.setup().state_file().parent().unwrap().to_owned();
    let files = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let moved_files: Vec<PathBuf> = files
        .filter(|path| fs::read(path).is_ok_and(|bytes| bytes == damaged_bytes))
        .collect();
    assert_eq!(
        moved_files.len(),
        1,
        "exactly one file must have the damaged content"
    );
    assert!(
        server
            .log()
            .contains(moved_files[0].file_name().unwrap().to_str().unwrap()),
        "{}",
        server.log()
    );
}

#[tokio::test]
async fn second_start_with_reset_state_keeps_both_damaged_files() {
    let mut server = TestServer::start().await;
    for damaged_content in ["first", "second"] {
        server.stop().await;
        fs::write(server.setup().state_file(), damaged_content).unwrap();
        server
            .restart_with(|setup| setup.flag("--reset-state"))
            .await;
    }
    let folder = server.setup().state_file().parent().unwrap().to_owned();
    let paths = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let contents: Vec<_> = paths
        .filter(|path| path.is_file())
        .map(|path| fs::read(path).unwrap())
        .collect();
    for damaged_content in ["first", "second"] {
        assert!(
            contents
                .iter()
                .any(|bytes| bytes == damaged_content.as_bytes()),
            "no file has the content {damaged_content:?}"
        );
    }
}

#[tokio::test]
async fn second_server_on_a_state_file_exits_with_an_error() {
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
        let second_server_command = server.setup().command_with_state(&folder.join(path));
        let exit = run(second_server_command).await;
        assert!(!exit.status.success(), "{path}: a second server started");
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
async fn server_starts_with_the_example_state_file() {
    let project_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let setup = Setup::empty();
    for entry in fs::read_dir(project_folder.join("audio")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, setup.audio().join(path.file_name().unwrap())).unwrap();
        }
    }
    let example_state: Value =
        serde_json::from_slice(&fs::read(project_folder.join("state.json.example")).unwrap())
            .unwrap();
    fs::copy(
        project_folder.join("state.json.example"),
        setup.state_file(),
    )
    .unwrap();
    let server = setup.start().await;
    assert_eq!(ask(http().get(server.url("/healthz"))).await.status, 200);
    let mut phone = Phone::pair(&server).await;
    assert!(phone.event_count() > example_state["eventCount"].as_u64().unwrap());
    phone.next().await;
    let index = phone.get("/index").await.expect(200).json();
    let mut indexed_ids: Vec<_> = index
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["trackId"].as_str().unwrap())
        .collect();
    let mut queued_ids = queued_tracks(&phone.view);
    queued_ids.sort();
    indexed_ids.sort();
    assert_eq!(queued_ids, indexed_ids);
}

#[tokio::test]
async fn queue_follows_folder_changes_across_a_restart() {
    let mut server = TestServer::start().await;
    let mut phone = Phone::pair(&server).await;
    phone.next().await;
    phone.pause(3.0).await;
    let tracks_before: Vec<String> = (0..4)
        .map(|offset| phone.track_after_current(offset))
        .collect();
    let removed_file = phone.index_row(&tracks_before[2]).await["fileName"]
        .as_str()
        .unwrap()
        .to_owned();
    server.stop().await;
    let audio = server.setup().audio();
    common::music::put_wav(&audio.join("0 new.wav"), 500, 1_000);
    fs::remove_file(audio.join(removed_file)).unwrap();
    let event_count = phone.event_count();
    server.restart().await;
    phone.use_server(&server);
    phone.view = phone.snapshot().await;
    assert_eq!(
        (
            phone.event_count(),
            phone.current_track(),
            phone.anchor_position_sec()
        ),
        (event_count + 1, tracks_before[0].clone(), 3.0)
    );
    let tracks_after: Vec<String> = (0..4)
        .map(|offset| phone.track_after_current(offset))
        .collect();
    assert_eq!(
        [&tracks_after[1], &tracks_after[2]],
        [&tracks_before[1], &tracks_before[3]],
        "the order of the remaining tracks changed"
    );
    assert!(
        !tracks_before.contains(&tracks_after[3]),
        "the new track is not last"
    );
}

#[tokio::test]
async fn position_is_saved_when_the_last_listener_leaves_during_playback() {
    let server = TestServer::start().await;
    let mut remote = Phone::pair(&server).await;
    remote.open_stream_at("/events?role=remote").await;
    let mut phone = Phone::pair_and_listen(&server).await;
    phone.ack_all().await;
    let event_count_before = phone.event_count();
    phone.play(10.0).await;
    let start_ms = phone
        .durable_event("barrier.release", event_count_before)
        .await
        .payload["anchorAtMs"]
        .as_f64()
        .unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let position_at = |server_ms: f64| 10.0 + ((server_ms - start_ms) / 1000.0).max(0.0);
    let earliest_sec = position_at(phone.server_time_ms().await);
    let event_count_when_playing = phone.event_count();
    phone.close_stream();
    let parked_event = remote
        .durable_event("playback.parked", event_count_when_playing)
        .await;
    let latest_sec = position_at(remote.server_time_ms().await);

    let parked_position_sec = parked_event.payload["anchorPositionSec"].as_f64().unwrap();
    assert!(
        (earliest_sec..=latest_sec).contains(&parked_position_sec),
        "the position {parked_position_sec} s is not within {earliest_sec} s to {latest_sec} s"
    );
    assert_eq!(
        (remote.play_mode(), remote.anchor_position_sec()),
        ("playing", parked_position_sec)
    );
    assert!(remote.snapshot().await["live"]["anchorAtMs"].is_null());

    // When a listener connects again, a barrier opens at the saved position, and playback resumes once the listener is ready.
    let event_count_when_parked = remote.event_count();
    phone.listen().await;
    phone
        .wait_until("an open barrier", |view| !view["barrier"].is_null())
        .await;
    assert_eq!(phone.event_count(), event_count_when_parked + 1);
    assert_eq!(
        (
            &phone.view["barrier"]["type"],
            phone.barrier_members(),
            phone.play_mode()
        ),
        (&json!("resume"), vec!["m2"], "paused")
    );
    phone.ack(&phone.current_track()).await;
    let release_event = remote
        .durable_event("barrier.release", event_count_when_parked)
        .await;
    assert_eq!(
        release_event.payload["anchorPositionSec"].as_f64(),
        Some(parked_position_sec)
    );
    assert!(release_event.payload["anchorAtMs"].is_f64());
}

/// Kills a server during playback and restarts it. Returns the server and the phone that played, without a stream.
async fn start_after_kill_during_playback() -> (TestServer, Phone) {
    let mut server = TestServer::start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    phone.ack_all().await;
    phone.play(20.0).await;
    server.kill().await;
    server.restart().await;
    phone.use_server(&server);
    let snapshot = phone.snapshot().await;
    assert_eq!(
        snapshot["playState"],
        json!({ "mode": "playing", "anchorPositionSec": 20.0 })
    );
    assert_eq!(snapshot["live"]["anchorAtMs"], Value::Null);
    assert_eq!(durable_state(&snapshot), durable_state(&phone.view));
    (server, phone)
}

#[tokio::test]
async fn first_phone_after_a_crash_restores_its_playback_position() {
    let (_server, mut phone) = start_after_kill_during_playback().await;
    let (event_count_before, track_id) = (phone.event_count(), phone.current_track());
    let connect_ms = phone.server_time_ms().await;
    phone
        .open_stream_at(&format!("/events?trackId={track_id}&positionSec=42.5"))
        .await;
    phone
        .wait_until("playback to start", |view| {
            view["playState"]["mode"] == "playing" && view["eventCount"] != event_count_before
        })
        .await;
    let playing_ms = phone.server_time_ms().await;
    let snapshot = phone.snapshot().await;
    let anchor_sec = snapshot["playState"]["anchorPositionSec"].as_f64().unwrap();
    let anchor_ms = snapshot["live"]["anchorAtMs"].as_f64().unwrap();
    // The positions that the anchor yields for the times before and after the reconnect, at which the phone reported 42.5 s.
    let (earliest_sec, latest_sec) = (
        anchor_sec + (connect_ms - anchor_ms) / 1000.0,
        anchor_sec + (playing_ms - anchor_ms) / 1000.0,
    );
    assert!(
        earliest_sec <= 42.55 && latest_sec >= 42.45,
        "the position 42.5 s is not within {earliest_sec} s to {latest_sec} s"
    );
    assert!(
        anchor_sec >= 42.0,
        "the anchor is {anchor_sec} s, before the reported position"
    );
}

#[tokio::test]
async fn phone_without_the_track_resumes_at_the_anchor_after_a_crash() {
    for query in ["", "?trackId=0123456789abcdef&positionSec=99"] {
        let (_server, mut phone) = start_after_kill_during_playback().await;
        let (event_count_before, track_id) = (phone.event_count(), phone.current_track());
        phone.open_stream_at(&format!("/events{query}")).await;
        phone
            .wait_until("an open barrier", |view| !view["barrier"].is_null())
            .await;
        assert_eq!(
            (phone.barrier_members(), phone.anchor_position_sec()),
            (vec!["m1"], 20.0),
            "{query}"
        );
        phone.ack(&track_id).await;
        assert_eq!(
            (phone.play_mode(), phone.anchor_position_sec()),
            ("playing", 20.0),
            "{query}"
        );
        assert!(phone.event_count() >= event_count_before + 3);
    }
}

#[tokio::test]
async fn reported_position_is_ignored_while_another_phone_plays() {
    let server = TestServer::start().await;
    let mut alice = Phone::pair_and_listen(&server).await;
    alice.ack_all().await;
    alice.play(5.0).await;
    let (event_count_before, track_id) = (alice.event_count(), alice.current_track());
    let mut bob = Phone::pair(&server).await;
    bob.open_stream_at(&format!("/events?trackId={track_id}&positionSec=300"))
        .await;
    alice
        .wait_until("m2 to be a listener", |view| {
            !view["live"]["listeners"]["m2"].is_null()
        })
        .await;
    assert_eq!(
        alice.durable_event_names_after(event_count_before),
        ["client.paired"]
    );
    assert_eq!(alice.anchor_position_sec(), 5.0);
}

#[tokio::test]
async fn state_file_is_json_of_the_durable_state_without_access_for_others() {
    let server = TestServer::start().await;
    let phone = Phone::pair_as(&server, "Alice").await;
    let state: Value = serde_json::from_slice(&server.state()).unwrap();
    let snapshot = durable_state(&phone.snapshot().await);
    for (field, value) in snapshot.as_object().unwrap() {
        assert_eq!(&state[field], value, "{field}");
    }
    let mode = fs::metadata(server.setup().state_file())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(
        mode & 0o007,
        0,
        "other users have access to the file: {mode:o}"
    );
}
