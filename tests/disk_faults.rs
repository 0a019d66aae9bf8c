//! A disk that fails, blocks or disappears while the server runs: the server refuses commands that write and continues to serve
//! everything else. The next successful write makes the state file current again.
//!
//! `tests/faulty_disk.c`, a library preloaded into the server's executable, injects most failures. Some tests cause real ones.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use common::faulty_disk::{Fault, FaultyDisk};
use common::phone::{Block, EventStream, ask, http, pair_with};
use common::server::run;
use common::{
    CODE, HttpResponse, Phone, Setup, TestServer, WAIT_TIMEOUT, durable_state, in_time, music,
    until,
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Size of a file in bytes, larger than all buffers between server and phone.
const LARGE_FILE_BYTES: u32 = 64_000_000;

/// Starts a server whose state file is on a disk that a test can make fail.
async fn start_with_faulty_disk() -> (TestServer, FaultyDisk) {
    let setup = Setup::long_tracks();
    let disk = FaultyDisk::under(setup.state_file().parent().unwrap());
    let server = setup.env(disk.environment()).start().await;
    // The index cache is written again after all files were hashed. A fault must not meet this write.
    server.until_hashed(4).await;
    (server, disk)
}

fn state_folder(server: &TestServer) -> PathBuf {
    server.setup().state_file().parent().unwrap().to_owned()
}

/// Two listeners during playback, both ready for every track.
async fn two_playing_listeners(server: &TestServer) -> (Phone, Phone) {
    let mut alice = Phone::pair_and_listen(server).await;
    let mut bob = Phone::pair_and_listen(server).await;
    for phone in [&mut alice, &mut bob] {
        phone.ack_all().await;
    }
    alice.play(7.0).await;
    alice
        .wait_until("playback", |view| view["playState"]["mode"] == "playing")
        .await;
    (alice, bob)
}

/// The path of every command that writes the state during playback, with a valid body.
fn writing_commands(phone: &Phone) -> [(&'static str, Value); 5] {
    [
        ("/play", json!({ "positionSec": 1 })),
        ("/pause", json!({ "positionSec": 2 })),
        ("/seek", json!({ "positionSec": 3 })),
        ("/next", Value::Null),
        ("/nudge", json!({ "trackId": phone.track_after_current(2) })),
    ]
}

/// Asserts a response with status 503 whose body contains no path of the server's file system.
#[track_caller]
fn expect_disk_failure_response(server: &TestServer, response: HttpResponse) {
    let problem = response.expect_problem(503).to_string();
    let folder = server.setup().folder().to_str().unwrap();
    assert!(
        !problem.contains(folder),
        "the response contains a path: {problem}"
    );
}

/// Polls until `condition` returns true, for conditions that no event announces.
async fn poll_until(description: &str, mut condition: impl FnMut() -> bool) {
    let polling = async {
        while !condition() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    in_time(description, polling).await;
}

/// Waits until `GET /healthz` succeeds, which may reuse the result of its last check for a second.
async fn expect_healthy(phone: &Phone) {
    let polling = async {
        while phone.get("/healthz").await.status != 200 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    in_time("a healthy server", polling).await;
}

/// Without a command, no write fails that the server could report.
#[tokio::test]
async fn healthz_fails_while_the_disk_is_full_even_without_commands() {
    let (server, disk) = start_with_faulty_disk().await;
    let phone = Phone::pair(&server).await;
    disk.inject("write", Fault::Fail(libc::ENOSPC));
    expect_disk_failure_response(&server, phone.get("/healthz").await);
    disk.clear("write");
    expect_healthy(&phone).await;
}

/// Kills and restarts the server, and asserts that its durable state is the same as before.
async fn expect_state_survives_a_kill(server: &mut TestServer, phone: &mut Phone) {
    let state_before = durable_state(&phone.snapshot().await);
    server.kill().await;
    server.restart().await;
    phone.use_server(server);
    assert_eq!(durable_state(&phone.snapshot().await), state_before);
}

/// Asserts that while `system_call` fails with `errno`, the server refuses only requests that write, and sends no event.
/// Asserts that the first command after the failure succeeds.
async fn expect_only_writes_refused_while(system_call: &str, errno: i32) {
    let setup = Setup::long_tracks();
    music::put_wav(
        &setup.audio().join("large.wav"),
        LARGE_FILE_BYTES / 1_000,
        1_000,
    );
    let disk = FaultyDisk::under(setup.state_file().parent().unwrap());
    let mut server = setup.env(disk.environment()).start().await;
    let (mut alice, mut bob) = two_playing_listeners(&server).await;
    let carol = Phone::pair(&server).await;
    for phone in [&mut alice, &mut bob] {
        phone
            .wait_until("m3 to be a paired device", |view| {
                !view["clients"]["m3"].is_null()
            })
            .await;
    }
    let rows = alice.get("/index").await.json();
    let large_row = rows
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["fileName"] == "large.wav")
        .unwrap();
    let (large_track_id, file_size) = (
        large_row["trackId"].as_str().unwrap(),
        large_row["size"].as_u64().unwrap(),
    );
    let mut download = carol
        .request(Method::GET, &format!("/file/{large_track_id}"))
        .send()
        .await
        .unwrap();
    let mut received_bytes = download.chunk().await.unwrap().unwrap().len() as u64;
    let (state_before, state_file_before) =
        (durable_state(&alice.snapshot().await), server.state());

    disk.inject(system_call, Fault::Fail(errno));
    for (path, body) in writing_commands(&alice) {
        let refused_response = alice.try_command(path, alice.event_count(), &body).await;
        expect_disk_failure_response(&server, refused_response);
    }
    expect_disk_failure_response(&server, pair_with(&http(), &server, CODE).await);
    expect_disk_failure_response(&server, carol.post("/leave").await);
    // A command with another event count writes nothing, so it still gets 409.
    let stale_response = alice
        .try_command("/next", 1, &Value::Null)
        .await
        .expect(409);
    assert_eq!(
        durable_state(&stale_response.json()["snapshot"]),
        state_before
    );

    assert_eq!(
        durable_state(&carol.snapshot().await),
        state_before,
        "{system_call}"
    );
    assert!(
        server.state() == state_file_before,
        "{system_call}: the state file has changed"
    );
    for path in ["/index", "/clock", "/code", "/"] {
        carol.get(path).await.expect(200);
    }
    expect_disk_failure_response(&server, carol.get("/healthz").await);
    while let Some(chunk) = in_time("the next bytes of the download", download.chunk())
        .await
        .unwrap()
    {
        received_bytes += chunk.len() as u64;
    }
    assert_eq!(
        received_bytes, file_size,
        "{system_call}: the download is incomplete"
    );
    // A new download succeeds too, and a new event stream receives heartbeats.
    let (current_row, current_track_id) = (
        carol.index_row(&carol.current_track()).await,
        carol.current_track(),
    );
    let new_download = carol
        .get(&format!("/file/{current_track_id}"))
        .await
        .expect(200);
    assert_eq!(
        current_row["size"],
        new_download.body.len(),
        "{system_call}: the new download is incomplete"
    );
    let mut stream = EventStream::open(carol.request(Method::GET, "/events")).await;
    let snapshot = stream.next_event().await.unwrap();
    assert_eq!(
        durable_state(&snapshot.payload),
        state_before,
        "{system_call}"
    );
    while !matches!(stream.next_block().await, Some(Block::Comment)) {}
    drop(stream);

    disk.clear(system_call);
    alice
        .try_command("/seek", alice.event_count(), &json!({ "positionSec": 60 }))
        .await
        .expect(200);
    for phone in [&mut alice, &mut bob] {
        let event_count = state_before["eventCount"].as_u64().unwrap();
        phone.wait_for_event_count(event_count + 1).await;
        let names = phone.durable_event_names_after(event_count);
        assert_eq!(
            names,
            ["playback.seeked"],
            "{system_call}: an event was sent for a refused command"
        );
        assert_eq!(phone.anchor_position_sec(), 60.0);
    }
    expect_healthy(&carol).await;
    let file_count = fs::read_dir(state_folder(&server)).unwrap().count();
    assert!(
        file_count <= 4,
        "{system_call}: temporary files are left: {file_count} files"
    );
    expect_state_survives_a_kill(&mut server, &mut alice).await;
}

#[tokio::test]
async fn full_disk_refuses_only_commands_that_write() {
    expect_only_writes_refused_while("write", libc::ENOSPC).await;
}

#[tokio::test]
async fn failing_fsync_refuses_only_commands_that_write() {
    expect_only_writes_refused_while("fsync", libc::EIO).await;
}

#[tokio::test]
async fn read_only_disk_refuses_only_commands_that_write() {
    expect_only_writes_refused_while("rename", libc::EROFS).await;
}

/// If only the sync of the folder fails, the state of the refused command may be on the disk. No client receives that state, and
/// the next write replaces it.
#[tokio::test]
async fn failing_folder_fsync_refuses_commands_until_a_later_write_succeeds() {
    let (mut server, disk) = start_with_faulty_disk().await;
    let (mut alice, mut bob) = two_playing_listeners(&server).await;
    let state_before = durable_state(&alice.snapshot().await);
    let event_count = alice.event_count();
    disk.inject("fsync-folder", Fault::Fail(libc::EIO));
    for (path, body) in writing_commands(&alice) {
        let refused_response = alice.try_command(path, event_count, &body).await;
        expect_disk_failure_response(&server, refused_response);
        assert_eq!(durable_state(&bob.snapshot().await), state_before);
    }
    disk.clear("fsync-folder");
    alice.seek(33.0).await;
    bob.wait_for_event_count(event_count + 1).await;
    assert_eq!(
        bob.durable_event_names_after(event_count),
        ["playback.seeked"]
    );
    expect_state_survives_a_kill(&mut server, &mut alice).await;

    // After a kill during the failure, the file contains either the complete previous state or the complete refused state.
    let state_before_refusal = durable_state(&alice.snapshot().await);
    disk.inject("fsync-folder", Fault::Fail(libc::EIO));
    let pause = json!({ "positionSec": 4 });
    let refused_response = alice.try_command("/pause", event_count + 1, &pause).await;
    expect_disk_failure_response(&server, refused_response);
    server.kill().await;
    disk.clear("fsync-folder");
    server.restart().await;
    alice.use_server(&server);
    let restored_state = durable_state(&alice.snapshot().await);
    if restored_state != state_before_refusal {
        assert_eq!(restored_state["eventCount"], event_count + 2);
        assert_eq!(
            restored_state["playState"],
            json!({ "mode": "paused", "anchorPositionSec": 4.0 })
        );
    }
}

/// The state of the refused command may be on the disk, because only the last step of the write fails.
#[tokio::test]
async fn refused_command_does_not_take_effect_after_a_restart() {
    let (mut server, disk) = start_with_faulty_disk().await;
    let mut phone = Phone::pair(&server).await;
    phone.seek(11.0).await;
    let (state_before_refusal, state_file_before) =
        (durable_state(&phone.snapshot().await), server.state());
    disk.inject("fsync-folder", Fault::Fail(libc::EIO));
    let pairing_response = pair_with(&http(), &server, CODE).await;
    expect_disk_failure_response(&server, pairing_response);
    expect_disk_failure_response(&server, phone.post("/leave").await);
    disk.clear("fsync-folder");
    // The server repairs the file without a further command.
    poll_until("the state file to contain the previous state", || {
        server.state() == state_file_before
    })
    .await;

    disk.inject("fsync-folder", Fault::Fail(libc::EIO));
    expect_disk_failure_response(&server, phone.post("/leave").await);
    disk.clear("fsync-folder");
    server.stop().await;
    server.restart().await;
    phone.use_server(&server);
    assert_eq!(durable_state(&phone.snapshot().await), state_before_refusal);
}

#[tokio::test]
async fn disk_failure_refuses_acks_and_start_now_and_keeps_the_barrier() {
    let (server, disk) = start_with_faulty_disk().await;
    let mut alice = Phone::pair_and_listen(&server).await;
    let mut bob = Phone::pair_and_listen(&server).await;
    alice.next().await;
    let state_before = durable_state(&alice.snapshot().await);
    let (event_count, track_id) = (alice.event_count(), alice.current_track());
    disk.inject("fsync", Fault::Fail(libc::EIO));
    let ack = json!({ "trackId": track_id });
    for (path, body) in [("/ack-download", &ack), ("/start-now", &json!({}))] {
        let refused_response = alice.try_command(path, event_count, body).await;
        expect_disk_failure_response(&server, refused_response);
    }
    assert_eq!(durable_state(&alice.snapshot().await), state_before);
    disk.clear("fsync");
    let accepted_response = alice.try_command("/ack-download", event_count, &ack).await;
    accepted_response.expect(200);
    bob.wait_for_event_count(event_count + 1).await;
    assert_eq!(
        (
            bob.durable_event_names_after(event_count),
            bob.ready_barrier_members()
        ),
        (vec!["barrier.ready"], vec!["m1"])
    );
    bob.ack(&track_id).await;
    assert_eq!(bob.play_mode(), "playing");
}

#[tokio::test]
async fn events_are_sent_only_after_the_write_is_durable() {
    let (server, disk) = start_with_faulty_disk().await;
    let (mut alice, mut bob) = two_playing_listeners(&server).await;
    for (step_index, system_call) in ["write", "fsync", "rename", "fsync-folder"]
        .into_iter()
        .enumerate()
    {
        let (event_count, position_sec) = (alice.event_count(), 100.0 + step_index as f64);
        let state_before = durable_state(&alice.snapshot().await);
        let started_before = disk.started(system_call);
        disk.inject(system_call, Fault::Block);
        let command = alice
            .request(Method::POST, "/seek")
            .header("If-Match-Event", event_count)
            .json(&json!({ "positionSec": position_sec }));
        let response = tokio::spawn(ask(command));
        poll_until("the system call to begin", || {
            disk.started(system_call) > started_before
        })
        .await;

        // While the system call blocks, snapshots and new streams contain the previous state.
        assert_eq!(
            durable_state(&bob.snapshot().await),
            state_before,
            "{system_call}"
        );
        let mut late_stream =
            EventStream::open(bob.request(Method::GET, "/events?role=remote")).await;
        let first_event = late_stream.next_event().await.unwrap();
        assert_eq!(
            durable_state(&first_event.payload),
            state_before,
            "{system_call}"
        );
        bob.get(&format!("/file/{}", bob.current_track()))
            .await
            .expect(200);
        assert!(
            !response.is_finished(),
            "{system_call}: the response was sent before the write was durable"
        );

        disk.clear(system_call);
        in_time("the response to the command", response)
            .await
            .unwrap()
            .expect(200);
        for phone in [&mut alice, &mut bob] {
            phone.wait_for_event_count(event_count + 1).await;
            assert_eq!(phone.anchor_position_sec(), position_sec);
        }
        let finished_calls = disk.call_boundaries();
        let last_index = |name: &str| {
            finished_calls
                .iter()
                .rposition(|recorded| recorded.name == name)
                .unwrap()
        };
        let last_call_indices = [
            last_index("write"),
            last_index("fsync"),
            last_index("rename"),
            last_index("fsync-folder"),
        ];
        assert!(
            last_call_indices.is_sorted(),
            "the steps of a write are in the wrong order"
        );
    }
}

#[tokio::test]
async fn forty_simultaneous_pairings_need_at_most_ten_writes() {
    let (server, disk) = start_with_faulty_disk().await;
    let writes_before = disk.started("fsync");
    disk.inject("fsync", Fault::Delay(300));
    let client = http();
    let pairings = (0..40).map(|_| {
        let request = client.post(server.url("/pair"));
        tokio::spawn(ask(request.json(&json!({ "code": CODE }))))
    });
    let mut event_counts = Vec::new();
    for pairing in pairings.collect::<Vec<_>>() {
        let response = pairing.await.unwrap().expect(200).json();
        event_counts.push(response["eventCount"].as_u64().unwrap());
    }
    event_counts.sort_unstable();
    assert!(
        event_counts.is_sorted_by(|a, b| a + 1 == *b),
        "{event_counts:?}"
    );
    let write_count = disk.started("fsync") - writes_before;
    assert!(write_count <= 10, "40 commands took {write_count} writes");
}

#[tokio::test]
async fn departure_during_a_disk_failure_is_recorded_afterwards() {
    let (server, disk) = start_with_faulty_disk().await;
    let mut alice = Phone::pair_and_listen(&server).await;
    let mut bob = Phone::pair_and_listen(&server).await;
    alice.next().await;
    let event_count = alice.event_count();
    assert_eq!(alice.barrier_members(), ["m1", "m2"]);
    disk.inject("fsync", Fault::Fail(libc::EIO));
    bob.close_stream();
    poll_until("a log line about a failed write", || {
        server.log().contains("could not be written")
    })
    .await;
    let snapshot = alice.snapshot().await;
    assert_eq!(snapshot["eventCount"], event_count);
    assert_eq!(snapshot["barrier"]["members"], json!(["m1", "m2"]));

    // The server repeats the write without a further request.
    disk.clear("fsync");
    let shrunk_event = alice.durable_event("barrier.shrunk", event_count).await;
    assert_eq!(
        (
            &shrunk_event.payload["memberId"],
            &shrunk_event.payload["reason"]
        ),
        (&json!("m2"), &json!("left"))
    );
    alice.ack(&alice.current_track()).await;
    assert_eq!(alice.play_mode(), "playing");
}

#[tokio::test]
async fn listener_that_reconnects_before_the_disk_recovers_stays_a_barrier_member() {
    let (server, disk) = start_with_faulty_disk().await;
    let mut alice = Phone::pair_and_listen(&server).await;
    let mut bob = Phone::pair_and_listen(&server).await;
    alice.next().await;
    let event_count = alice.event_count();
    disk.inject("fsync", Fault::Fail(libc::EIO));
    bob.close_stream();
    poll_until("a log line about a failed write", || {
        server.log().contains("could not be written")
    })
    .await;
    bob.listen().await;
    disk.clear("fsync");
    for phone in [&mut alice, &mut bob] {
        phone.ack(&phone.current_track()).await;
    }
    alice.durable_event("barrier.release", event_count).await;
    assert!(
        !alice
            .durable_event_names_after(event_count)
            .contains(&"barrier.shrunk")
    );
}

#[tokio::test]
async fn intermittent_disk_failures_lose_no_accepted_command() {
    let (mut server, disk) = start_with_faulty_disk().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    let faults = [
        ("write", libc::ENOSPC),
        ("fsync", libc::EIO),
        ("rename", libc::EROFS),
        ("fsync-folder", libc::EIO),
    ];
    for round in 0..5 {
        for (system_call, errno) in faults {
            disk.inject(system_call, Fault::Fail(errno));
            let refused_response = phone.try_command("/next", phone.event_count(), &Value::Null);
            expect_disk_failure_response(&server, refused_response.await);
            disk.clear(system_call);
            let seek_body = json!({ "positionSec": round });
            let accepted_response = phone
                .try_command("/seek", phone.event_count(), &seek_body)
                .await;
            let response = accepted_response.expect(200).json();
            phone.wait_for_event_count(phone.event_count() + 1).await;
            assert_eq!(
                durable_state(&phone.view),
                durable_state(&response["snapshot"])
            );
        }
    }
    expect_state_survives_a_kill(&mut server, &mut phone).await;
}

#[tokio::test]
async fn temporary_file_of_an_interrupted_write_is_removed_at_start() {
    let (mut server, disk) = start_with_faulty_disk().await;
    let phone = Phone::pair(&server).await;
    let state_before = durable_state(&phone.snapshot().await);
    let (started_before, folder) = (disk.started("rename"), state_folder(&server));
    disk.inject("rename", Fault::Block);
    let command = phone
        .request(Method::POST, "/next")
        .header("If-Match-Event", phone.event_count());
    let response = tokio::spawn(command.send());
    poll_until("the system call to begin", || {
        disk.started("rename") > started_before
    })
    .await;
    server.kill().await;
    let response = in_time("the end of the request", response).await.unwrap();
    assert!(response.is_err(), "{response:?}");
    let file_count = || fs::read_dir(&folder).unwrap().count();
    assert_eq!(
        file_count(),
        5,
        "the state folder must contain the state, its lock, the index, the local socket and a temporary file"
    );

    disk.clear("rename");
    server.restart().await;
    // The state, its lock, the index and the local socket.
    assert_eq!(file_count(), 4);
    let snapshot = phone.clone_for_server(&server).snapshot().await;
    assert_eq!(durable_state(&snapshot), state_before);
}

#[tokio::test]
async fn server_exits_with_an_error_if_it_cannot_write_its_first_state() {
    for (system_call, errno) in [("fsync", libc::EIO), ("write", libc::ENOSPC)] {
        let setup = Setup::long_tracks();
        let disk = FaultyDisk::under(setup.state_file().parent().unwrap());
        disk.inject(system_call, Fault::Fail(errno));
        let setup = setup.env(disk.environment());
        let exit = run(setup.command()).await;
        assert!(!exit.status.success(), "{system_call}: {exit:?}");
        let mut lines = exit.stderr.lines();
        let message = lines.find(|line| line.starts_with("lockstep: "));
        let names_state_file = message.is_some_and(|line| line.contains("state.json"));
        assert!(names_state_file, "{system_call}: {exit:?}");
        assert!(
            !exit.stdout.contains("listening"),
            "{system_call}: {exit:?}"
        );
        assert!(
            !setup.state_file().exists(),
            "{system_call}: the server left an incomplete state file"
        );
    }
}

/// Simulates a disk that is unplugged and later plugged in again with the same content.
#[tokio::test]
async fn missing_state_folder_refuses_commands_until_it_exists_again() {
    let mut server = TestServer::start().await;
    let (mut alice, mut bob) = two_playing_listeners(&server).await;
    let (state_before, state_file_before) =
        (durable_state(&alice.snapshot().await), server.state());
    let (event_count, folder) = (alice.event_count(), state_folder(&server));
    let moved_folder = server.setup().folder().join("away");
    fs::rename(&folder, &moved_folder).unwrap();
    for (path, body) in writing_commands(&alice) {
        let refused_response = alice.try_command(path, event_count, &body).await;
        expect_disk_failure_response(&server, refused_response);
    }
    expect_disk_failure_response(&server, pair_with(&http(), &server, CODE).await);
    expect_disk_failure_response(&server, bob.post("/leave").await);
    assert_eq!(durable_state(&bob.snapshot().await), state_before);
    let download = bob.get(&format!("/file/{}", bob.current_track())).await;
    download.expect(200);

    fs::rename(&moved_folder, &folder).unwrap();
    assert!(server.state() == state_file_before);
    alice.pause(9.0).await;
    bob.wait_for_event_count(event_count + 1).await;
    assert_eq!(
        bob.durable_event_names_after(event_count),
        ["playback.paused"],
        "an event was sent for a refused command"
    );
    let second_server_exit = run(server.setup().command()).await;
    assert!(
        !second_server_exit.status.success(),
        "a second server started with the same state file"
    );
    expect_state_survives_a_kill(&mut server, &mut alice).await;
}

#[tokio::test]
async fn complete_state_is_written_to_a_recreated_state_folder() {
    let mut server = TestServer::start().await;
    let (mut alice, mut bob) = two_playing_listeners(&server).await;
    let state_before = durable_state(&alice.snapshot().await);
    let event_count = alice.event_count();
    let folder = state_folder(&server);
    fs::remove_dir_all(&folder).unwrap();
    for (path, body) in writing_commands(&alice) {
        let refused_response = alice.try_command(path, event_count, &body).await;
        expect_disk_failure_response(&server, refused_response);
    }
    assert!(
        !folder.exists(),
        "the server must not create the state folder"
    );
    assert_eq!(durable_state(&bob.snapshot().await), state_before);

    fs::create_dir(&folder).unwrap();
    alice.pause(9.0).await;
    bob.wait_for_event_count(event_count + 1).await;
    assert_eq!(
        bob.durable_event_names_after(event_count),
        ["playback.paused"]
    );
    let second_server_exit = run(server.setup().command()).await;
    assert!(
        !second_server_exit.status.success(),
        "a second server started with the same state file"
    );
    expect_state_survives_a_kill(&mut server, &mut alice).await;
}

#[tokio::test]
async fn unwritable_state_folder_refuses_commands_until_it_is_writable() {
    let server = Setup::long_tracks().start_as_nobody().await;
    let folder = state_folder(&server);
    let (alice, mut bob) = two_playing_listeners(&server).await;
    let (state_before, state_file_before) =
        (durable_state(&alice.snapshot().await), server.state());
    let event_count = alice.event_count();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).unwrap();
    for (path, body) in writing_commands(&alice) {
        let refused_response = alice.try_command(path, event_count, &body).await;
        expect_disk_failure_response(&server, refused_response);
    }
    assert_eq!(durable_state(&bob.snapshot().await), state_before);
    assert!(server.state() == state_file_before);

    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    let pause = json!({ "positionSec": 5 });
    let accepted_response = alice.try_command("/pause", event_count, &pause).await;
    accepted_response.expect(200);
    bob.wait_for_event_count(event_count + 1).await;
    assert_eq!(
        bob.durable_event_names_after(event_count),
        ["playback.paused"]
    );
    let state: Value = serde_json::from_slice(&server.state()).unwrap();
    assert_eq!(state["eventCount"], event_count + 1);
}

/// Shutdown waits for a running write and sends the response to its command.
#[tokio::test]
async fn shutdown_completes_a_running_write_and_sends_its_response() {
    let (mut server, disk) = start_with_faulty_disk().await;
    let phone = Phone::pair(&server).await;
    let started_before = disk.started("fsync");
    disk.inject("fsync", Fault::Block);
    let command = phone
        .request(Method::POST, "/next")
        .header("If-Match-Event", phone.event_count());
    let response = tokio::spawn(ask(command));
    poll_until("the system call to begin", || {
        disk.started("fsync") > started_before
    })
    .await;
    server.signal("TERM").await;
    poll_until("a log line about the shutdown", || {
        server.log().contains("shutting down")
    })
    .await;
    disk.clear("fsync");
    let response = response.await.unwrap().expect(200).json();
    let status = tokio::time::timeout(WAIT_TIMEOUT, server.wait_for_exit())
        .await
        .unwrap();
    assert!(status.success(), "{status}");
    let state: Value = serde_json::from_slice(&server.state()).unwrap();
    assert_eq!(state["eventCount"], response["eventCount"]);
}

/// The number of open connections of paired devices.
async fn paired_connections(phone: &Phone) -> u64 {
    let metrics = phone.get("/metrics").await.expect(200).text();
    let name = "lockstep_connections{paired=\"yes\"} ";
    let value = metrics.lines().find_map(|line| line.strip_prefix(name));
    value.unwrap().parse().unwrap()
}

/// Otherwise retries of phones during a long write would use up the permitted number of connections.
#[tokio::test]
async fn connections_that_clients_close_during_a_write_are_freed() {
    let (server, disk) = start_with_faulty_disk().await;
    let phone = Phone::pair(&server).await;
    let count_before = paired_connections(&phone).await;
    let started_before = disk.started("fsync");
    disk.inject("fsync", Fault::Block);
    let request = format!(
        "POST /next HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nIf-Match-Event: {}\r\nContent-Length: 0\r\n\r\n",
        phone.token,
        phone.event_count()
    );
    let mut sockets = Vec::new();
    for _ in 0..5 {
        let mut socket = TcpStream::connect(server.address()).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        sockets.push(socket);
    }
    poll_until("the system call to begin", || {
        disk.started("fsync") > started_before
    })
    .await;
    until("the connections to be counted", async || {
        paired_connections(&phone).await >= count_before + 5
    })
    .await;
    drop(sockets);
    until("the connections to be freed", async || {
        paired_connections(&phone).await <= count_before
    })
    .await;
    disk.clear("fsync");
}
