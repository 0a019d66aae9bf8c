//! A disk that fails, hangs or is gone under a running server: commands are refused, everything else goes on, and
//! the next good write mends all.
//!
//! The failures come from `tests/faulty_disk.c`, which is preloaded into the real executable, or are real ones.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on panics"
)]

pub mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use common::faulty_disk::{FaultyDisk, Order};
use common::phone::{Block, EventStream, ask, http, pair_with};
use common::server::run;
use common::{Answer, CODE, PATIENCE, Phone, Setup, TestServer, durable, in_time, music};
use reqwest::Method;
use serde_json::{Value, json};

/// More than any buffer between server and phone holds.
const LARGE: u32 = 64_000_000;

/// A server whose state is on a disk that fails on command.
async fn start() -> (TestServer, FaultyDisk) {
    let setup = Setup::long_tracks();
    let disk = FaultyDisk::under(setup.state_file().parent().unwrap());
    (setup.env(disk.environment()).start().await, disk)
}

fn state_folder(server: &TestServer) -> PathBuf {
    server.setup().state_file().parent().unwrap().to_owned()
}

/// Two listeners of running music.
async fn two_with_music(server: &TestServer) -> (Phone, Phone) {
    let mut alice = Phone::listening(server).await;
    let mut bob = Phone::listening(server).await;
    for phone in [&mut alice, &mut bob] {
        phone.ack_all().await;
    }
    alice.play(7.0).await;
    alice
        .wait_until("music", |view| view["playState"]["mode"] == "playing")
        .await;
    (alice, bob)
}

/// Every command that writes while music plays, and what it says.
fn commands(phone: &Phone) -> [(&'static str, Value); 5] {
    [
        ("/play", json!({ "positionSec": 1 })),
        ("/pause", json!({ "positionSec": 2 })),
        ("/seek", json!({ "positionSec": 3 })),
        ("/next", Value::Null),
        ("/nudge", json!({ "trackId": phone.track_after_current(2) })),
    ]
}

/// Asserts that the disk was to blame. Phones need not know where the host keeps its files.
#[track_caller]
fn expect_refusal(server: &TestServer, answer: Answer) {
    let problem = answer.expect_problem(503).to_string();
    let folder = server.setup().folder().to_str().unwrap();
    assert!(!problem.contains(folder), "a path gets out: {problem}");
}

/// Waits until `holds`, of what no event tells.
async fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let waited = async {
        while !holds() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    in_time(what, waited).await;
}

/// Kills the server, starts it again, and compares what it finds with what `phone` knows.
async fn expect_it_outlives_a_kill(server: &mut TestServer, phone: &mut Phone) {
    let known = durable(&phone.snapshot().await);
    server.kill().await;
    server.start_again().await;
    phone.moved_to(server);
    assert_eq!(durable(&phone.snapshot().await), known);
}

/// While `call` fails with `errno`: all that writes is refused, all that does not goes on, and nobody
/// hears of anything. Once it works again, so does the first command.
async fn expect_only_refusals_while(call: &str, errno: i32) {
    let setup = Setup::long_tracks();
    music::put_wav(&setup.audio().join("large.wav"), LARGE / 1_000, 1_000);
    let disk = FaultyDisk::under(setup.state_file().parent().unwrap());
    let mut server = setup.env(disk.environment()).start().await;
    let (mut alice, mut bob) = two_with_music(&server).await;
    let carol = Phone::pair(&server).await;
    for phone in [&mut alice, &mut bob] {
        phone
            .wait_until("carol", |view| !view["clients"]["m3"].is_null())
            .await;
    }
    let rows = alice.get("/index").await.json();
    let large = rows
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["fileName"] == "large.wav")
        .unwrap();
    let (large, size) = (
        large["trackId"].as_str().unwrap(),
        large["size"].as_u64().unwrap(),
    );
    let mut download = carol
        .request(Method::GET, &format!("/file/{large}"))
        .send()
        .await
        .unwrap();
    let mut received = download.chunk().await.unwrap().unwrap().len() as u64;
    let (before, in_file) = (durable(&alice.snapshot().await), server.state());

    disk.order(call, Order::Fail(errno));
    for (path, body) in commands(&alice) {
        let refused = alice.try_command(path, alice.count(), &body).await;
        expect_refusal(&server, refused);
    }
    expect_refusal(&server, pair_with(&http(), &server, CODE).await);
    expect_refusal(&server, carol.post("/leave").await);
    // A stale one has nothing to write.
    let stale = alice
        .try_command("/next", 1, &Value::Null)
        .await
        .expect(409);
    assert_eq!(durable(&stale.json()["snapshot"]), before);

    assert_eq!(durable(&carol.snapshot().await), before, "{call}");
    assert!(server.state() == in_file, "{call}: the file has changed");
    for path in ["/index", "/clock", "/code", "/healthz", "/"] {
        carol.get(path).await.expect(200);
    }
    while let Some(chunk) = in_time("the download to go on", download.chunk())
        .await
        .unwrap()
    {
        received += chunk.len() as u64;
    }
    assert_eq!(received, size, "{call}: the download broke off");
    // So does one that begins now, and a stream, which beats.
    let (row, current) = (carol.row(&carol.current()).await, carol.current());
    let whole = carol.get(&format!("/file/{current}")).await.expect(200);
    assert_eq!(row["size"], whole.body.len(), "{call}: a new download");
    let mut stream = EventStream::open(carol.request(Method::GET, "/events")).await;
    let snapshot = stream.event().await.unwrap();
    assert_eq!(durable(&snapshot.payload), before, "{call}");
    while !matches!(stream.block().await, Some(Block::Comment)) {}
    drop(stream);

    disk.heal(call);
    alice
        .try_command("/seek", alice.count(), &json!({ "positionSec": 60 }))
        .await
        .expect(200);
    for phone in [&mut alice, &mut bob] {
        let count = before["eventCount"].as_u64().unwrap();
        phone.wait_for_count(count + 1).await;
        let heard = phone.names_after(count);
        assert_eq!(
            heard,
            ["playback.seeked"],
            "{call}: heard of what never was"
        );
        assert_eq!(phone.anchor(), 60.0);
    }
    let files = fs::read_dir(state_folder(&server)).unwrap().count();
    assert!(files <= 3, "{call}: {files} files are left behind");
    expect_it_outlives_a_kill(&mut server, &mut alice).await;
}

#[tokio::test]
async fn a_full_disk_refuses_commands_and_stops_nothing_else() {
    expect_only_refusals_while("write", libc::ENOSPC).await;
}

#[tokio::test]
async fn a_disk_that_does_not_sync_refuses_commands_and_stops_nothing_else() {
    expect_only_refusals_while("fsync", libc::EIO).await;
}

#[tokio::test]
async fn a_disk_that_became_read_only_refuses_commands_and_stops_nothing_else() {
    expect_only_refusals_while("rename", libc::EROFS).await;
}

/// When only the last step fails, the state may be on the disk, though it was refused. Nobody hears of
/// it, and the next one takes its place.
#[tokio::test]
async fn a_folder_that_does_not_sync_refuses_commands_and_the_next_good_one_counts() {
    let (mut server, disk) = start().await;
    let (mut alice, mut bob) = two_with_music(&server).await;
    let before = durable(&alice.snapshot().await);
    let count = alice.count();
    disk.order("fsync-folder", Order::Fail(libc::EIO));
    for (path, body) in commands(&alice) {
        let refused = alice.try_command(path, count, &body).await;
        expect_refusal(&server, refused);
        assert_eq!(durable(&bob.snapshot().await), before);
    }
    disk.heal("fsync-folder");
    alice.seek(33.0).await;
    bob.wait_for_count(count + 1).await;
    assert_eq!(bob.names_after(count), ["playback.seeked"]);
    expect_it_outlives_a_kill(&mut server, &mut alice).await;

    // Killed while it fails, the server finds the state as it was told, or as it was refused, and whole.
    let known = durable(&alice.snapshot().await);
    disk.order("fsync-folder", Order::Fail(libc::EIO));
    let pause = json!({ "positionSec": 4 });
    let refused = alice.try_command("/pause", count + 1, &pause).await;
    expect_refusal(&server, refused);
    server.kill().await;
    disk.heal("fsync-folder");
    server.start_again().await;
    alice.moved_to(&server);
    let found = durable(&alice.snapshot().await);
    if found != known {
        assert_eq!(found["eventCount"], count + 2);
        assert_eq!(
            found["playState"],
            json!({ "mode": "paused", "anchorPositionSec": 4.0 })
        );
    }
}

/// It may have been on the disk already when the last step failed.
#[tokio::test]
async fn what_was_refused_does_not_come_true_when_the_server_starts_again() {
    let (mut server, disk) = start().await;
    let mut phone = Phone::pair(&server).await;
    phone.seek(11.0).await;
    let (known, in_file) = (durable(&phone.snapshot().await), server.state());
    disk.order("fsync-folder", Order::Fail(libc::EIO));
    let stranger = pair_with(&http(), &server, CODE).await;
    expect_refusal(&server, stranger);
    expect_refusal(&server, phone.post("/leave").await);
    disk.heal("fsync-folder");
    // Without a further command, and without a stop.
    wait_until("the disk to hold what is true", || {
        server.state() == in_file
    })
    .await;

    disk.order("fsync-folder", Order::Fail(libc::EIO));
    expect_refusal(&server, phone.post("/leave").await);
    disk.heal("fsync-folder");
    server.stop().await;
    server.start_again().await;
    phone.moved_to(&server);
    assert_eq!(durable(&phone.snapshot().await), known);
}

#[tokio::test]
async fn acks_and_start_now_are_refused_too_and_the_barrier_stays_as_it_is() {
    let (server, disk) = start().await;
    let mut alice = Phone::listening(&server).await;
    let mut bob = Phone::listening(&server).await;
    alice.next().await;
    let before = durable(&alice.snapshot().await);
    let (count, track) = (alice.count(), alice.current());
    disk.order("fsync", Order::Fail(libc::EIO));
    let ack = json!({ "trackId": track });
    for (path, body) in [("/ack-download", &ack), ("/start-now", &json!({}))] {
        let refused = alice.try_command(path, count, body).await;
        expect_refusal(&server, refused);
    }
    assert_eq!(durable(&alice.snapshot().await), before);
    disk.heal("fsync");
    let accepted = alice.try_command("/ack-download", count, &ack).await;
    accepted.expect(200);
    bob.wait_for_count(count + 1).await;
    assert_eq!(
        (bob.names_after(count), bob.ready()),
        (vec!["barrier.ready"], vec!["m1"])
    );
    bob.ack(&track).await;
    assert_eq!(bob.mode(), "playing");
}

#[tokio::test]
async fn nobody_hears_of_a_command_before_all_of_it_is_on_the_disk() {
    let (server, disk) = start().await;
    let (mut alice, mut bob) = two_with_music(&server).await;
    for (step, call) in ["write", "fsync", "rename", "fsync-folder"]
        .into_iter()
        .enumerate()
    {
        let (count, position) = (alice.count(), 100.0 + step as f64);
        let before = durable(&alice.snapshot().await);
        let begun = disk.begun(call);
        disk.order(call, Order::Hold);
        let command = alice
            .request(Method::POST, "/seek")
            .header("If-Match-Event", count)
            .json(&json!({ "positionSec": position }));
        let answer = tokio::spawn(ask(command));
        wait_until("the write to begin", || disk.begun(call) > begun).await;

        // The disk hangs. Reads answer, and streams begin, with the state before.
        assert_eq!(durable(&bob.snapshot().await), before, "{call}");
        let mut late = EventStream::open(bob.request(Method::GET, "/events?role=remote")).await;
        let first = late.event().await.unwrap();
        assert_eq!(durable(&first.payload), before, "{call}");
        bob.get(&format!("/file/{}", bob.current()))
            .await
            .expect(200);
        assert!(!answer.is_finished(), "{call}: answered too early");

        disk.heal(call);
        in_time("the answer", answer).await.unwrap().expect(200);
        for phone in [&mut alice, &mut bob] {
            phone.wait_for_count(count + 1).await;
            assert_eq!(phone.anchor(), position);
        }
        let calls = disk.calls();
        let last = |name: &str| calls.iter().rposition(|call| call.name == name).unwrap();
        let way = [
            last("write"),
            last("fsync"),
            last("rename"),
            last("fsync-folder"),
        ];
        assert!(way.is_sorted(), "a state goes its way in another order");
    }
}

#[tokio::test]
async fn commands_that_arrive_together_share_a_write() {
    let (server, disk) = start().await;
    let before = disk.begun("fsync");
    disk.order("fsync", Order::Delay(300));
    let client = http();
    let pairings = (0..40).map(|_| {
        let request = client.post(server.url("/pair"));
        tokio::spawn(ask(request.json(&json!({ "code": CODE }))))
    });
    let mut counts = Vec::new();
    for pairing in pairings.collect::<Vec<_>>() {
        let answer = pairing.await.unwrap().expect(200).json();
        counts.push(answer["eventCount"].as_u64().unwrap());
    }
    counts.sort_unstable();
    assert!(counts.is_sorted_by(|a, b| a + 1 == *b), "{counts:?}");
    let writes = disk.begun("fsync") - before;
    assert!(writes <= 10, "40 commands took {writes} writes");
}

#[tokio::test]
async fn a_listener_that_leaves_while_the_disk_fails_is_missed_once_it_works_again() {
    let (server, disk) = start().await;
    let mut alice = Phone::listening(&server).await;
    let mut bob = Phone::listening(&server).await;
    alice.next().await;
    let count = alice.count();
    assert_eq!(alice.members(), ["m1", "m2"]);
    disk.order("fsync", Order::Fail(libc::EIO));
    bob.hang_up();
    wait_until("the server to try", || {
        server.log().contains("could not be written")
    })
    .await;
    let snapshot = alice.snapshot().await;
    assert_eq!(snapshot["eventCount"], count);
    assert_eq!(snapshot["barrier"]["members"], json!(["m1", "m2"]));

    // By itself: nobody asks for anything.
    disk.heal("fsync");
    let shrunk = alice.durable_event("barrier.shrunk", count).await;
    assert_eq!(
        (&shrunk.payload["memberId"], &shrunk.payload["reason"]),
        (&json!("m2"), &json!("left"))
    );
    alice.ack(&alice.current()).await;
    assert_eq!(alice.mode(), "playing");
}

#[tokio::test]
async fn a_listener_that_comes_back_before_the_disk_does_was_never_gone() {
    let (server, disk) = start().await;
    let mut alice = Phone::listening(&server).await;
    let mut bob = Phone::listening(&server).await;
    alice.next().await;
    let count = alice.count();
    disk.order("fsync", Order::Fail(libc::EIO));
    bob.hang_up();
    wait_until("the server to try", || {
        server.log().contains("could not be written")
    })
    .await;
    bob.listen().await;
    disk.heal("fsync");
    for phone in [&mut alice, &mut bob] {
        phone.ack(&phone.current()).await;
    }
    alice.durable_event("barrier.release", count).await;
    assert!(!alice.names_after(count).contains(&"barrier.shrunk"));
}

#[tokio::test]
async fn a_disk_that_comes_and_goes_loses_nothing_that_was_accepted() {
    let (mut server, disk) = start().await;
    let mut phone = Phone::listening(&server).await;
    let faults = [
        ("write", libc::ENOSPC),
        ("fsync", libc::EIO),
        ("rename", libc::EROFS),
        ("fsync-folder", libc::EIO),
    ];
    for round in 0..5 {
        for (call, errno) in faults {
            disk.order(call, Order::Fail(errno));
            let refused = phone.try_command("/next", phone.count(), &Value::Null);
            expect_refusal(&server, refused.await);
            disk.heal(call);
            let position = json!({ "positionSec": round });
            let accepted = phone.try_command("/seek", phone.count(), &position).await;
            let answer = accepted.expect(200).json();
            phone.wait_for_count(phone.count() + 1).await;
            assert_eq!(durable(&phone.view), durable(&answer["snapshot"]));
        }
    }
    expect_it_outlives_a_kill(&mut server, &mut phone).await;
}

#[tokio::test]
async fn what_a_write_that_was_broken_off_leaves_behind_is_gone_after_the_next_start() {
    let (mut server, disk) = start().await;
    let phone = Phone::pair(&server).await;
    let before = durable(&phone.snapshot().await);
    let (begun, folder) = (disk.begun("rename"), state_folder(&server));
    disk.order("rename", Order::Hold);
    let command = phone
        .request(Method::POST, "/next")
        .header("If-Match-Event", phone.count());
    let answer = tokio::spawn(command.send());
    wait_until("the write to begin", || disk.begun("rename") > begun).await;
    server.kill().await;
    let answer = in_time("the connection to break", answer).await.unwrap();
    assert!(answer.is_err(), "{answer:?}");
    let files = || fs::read_dir(&folder).unwrap().count();
    assert_eq!(
        files(),
        4,
        "the state, its lock, the index and half a write"
    );

    disk.heal("rename");
    server.start_again().await;
    assert_eq!(files(), 3);
    let snapshot = phone.again_at(&server).snapshot().await;
    assert_eq!(durable(&snapshot), before);
}

#[tokio::test]
async fn a_server_whose_first_state_cannot_be_written_does_not_start() {
    for (call, errno) in [("fsync", libc::EIO), ("write", libc::ENOSPC)] {
        let setup = Setup::long_tracks();
        let disk = FaultyDisk::under(setup.state_file().parent().unwrap());
        disk.order(call, Order::Fail(errno));
        let setup = setup.env(disk.environment());
        let exit = run(setup.command()).await;
        assert!(!exit.status.success(), "{call}: {exit:?}");
        let mut said = exit.stderr.lines();
        let complaint = said.find(|line| line.starts_with("lockstep: "));
        let names_it = complaint.is_some_and(|line| line.contains("state.json"));
        assert!(names_it, "{call}: {exit:?}");
        assert!(!exit.stdout.contains("listening"), "{call}: {exit:?}");
        assert!(!setup.state_file().exists(), "{call}: half a state");
    }
}

/// A disk that is unplugged, say, and plugged in again as it was.
#[tokio::test]
async fn a_folder_that_was_away_for_a_while_refuses_commands_for_that_while() {
    let mut server = TestServer::start().await;
    let (mut alice, mut bob) = two_with_music(&server).await;
    let (before, in_file) = (durable(&alice.snapshot().await), server.state());
    let (count, folder) = (alice.count(), state_folder(&server));
    let away = server.setup().folder().join("away");
    fs::rename(&folder, &away).unwrap();
    for (path, body) in commands(&alice) {
        let refused = alice.try_command(path, count, &body).await;
        expect_refusal(&server, refused);
    }
    expect_refusal(&server, pair_with(&http(), &server, CODE).await);
    expect_refusal(&server, bob.post("/leave").await);
    assert_eq!(durable(&bob.snapshot().await), before);
    let download = bob.get(&format!("/file/{}", bob.current())).await;
    download.expect(200);

    fs::rename(&away, &folder).unwrap();
    assert!(server.state() == in_file);
    alice.pause(9.0).await;
    bob.wait_for_count(count + 1).await;
    assert_eq!(
        bob.names_after(count),
        ["playback.paused"],
        "heard of what never was"
    );
    let second = run(server.setup().command()).await;
    assert!(!second.status.success(), "the state has two servers");
    expect_it_outlives_a_kill(&mut server, &mut alice).await;
}

#[tokio::test]
async fn a_folder_that_was_deleted_and_made_anew_holds_the_whole_state_again() {
    let mut server = TestServer::start().await;
    let (mut alice, mut bob) = two_with_music(&server).await;
    let before = durable(&alice.snapshot().await);
    let count = alice.count();
    let folder = state_folder(&server);
    fs::remove_dir_all(&folder).unwrap();
    for (path, body) in commands(&alice) {
        let refused = alice.try_command(path, count, &body).await;
        expect_refusal(&server, refused);
    }
    assert!(!folder.exists(), "the server made a folder of its own");
    assert_eq!(durable(&bob.snapshot().await), before);

    fs::create_dir(&folder).unwrap();
    alice.pause(9.0).await;
    bob.wait_for_count(count + 1).await;
    assert_eq!(bob.names_after(count), ["playback.paused"]);
    let second = run(server.setup().command()).await;
    assert!(!second.status.success(), "the state has two servers");
    expect_it_outlives_a_kill(&mut server, &mut alice).await;
}

#[tokio::test]
async fn a_folder_that_may_not_be_written_for_a_while_refuses_commands_for_that_while() {
    let server = Setup::long_tracks().start_as_nobody().await;
    let folder = state_folder(&server);
    let (alice, mut bob) = two_with_music(&server).await;
    let (before, in_file) = (durable(&alice.snapshot().await), server.state());
    let count = alice.count();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).unwrap();
    for (path, body) in commands(&alice) {
        let refused = alice.try_command(path, count, &body).await;
        expect_refusal(&server, refused);
    }
    assert_eq!(durable(&bob.snapshot().await), before);
    assert!(server.state() == in_file);

    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    let pause = json!({ "positionSec": 5 });
    let accepted = alice.try_command("/pause", count, &pause).await;
    accepted.expect(200);
    bob.wait_for_count(count + 1).await;
    assert_eq!(bob.names_after(count), ["playback.paused"]);
    let state: Value = serde_json::from_slice(&server.state()).unwrap();
    assert_eq!(state["eventCount"], count + 1);
}

/// Closing waits for what is being written, and the answer goes out.
#[tokio::test]
async fn what_is_being_written_when_the_server_is_told_to_stop_is_written_and_answered() {
    let (mut server, disk) = start().await;
    let phone = Phone::pair(&server).await;
    let begun = disk.begun("fsync");
    disk.order("fsync", Order::Hold);
    let command = phone
        .request(Method::POST, "/next")
        .header("If-Match-Event", phone.count());
    let answer = tokio::spawn(ask(command));
    wait_until("the write to begin", || disk.begun("fsync") > begun).await;
    server.signal("TERM").await;
    wait_until("the server to heed it", || server.log().contains("closing")).await;
    disk.heal("fsync");
    let answer = answer.await.unwrap().expect(200).json();
    let status = tokio::time::timeout(PATIENCE, server.ended())
        .await
        .unwrap();
    assert!(status.success(), "{status}");
    let state: Value = serde_json::from_slice(&server.state()).unwrap();
    assert_eq!(state["eventCount"], answer["eventCount"]);
}
