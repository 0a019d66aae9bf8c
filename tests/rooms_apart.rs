//! What one room does not do to another: damage, slow disks, killed servers, and the tracks and figures of each room.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::fs;
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::faulty_disk::{Fault, FaultyDisk};
use common::fifo::{open_if_being_read, put_fifo};
use common::phone::{Phone, ask, durable_state, http};
use common::raw::request_with_small_receive_buffer;
use common::rooms::{enter, in_room, make_room, make_room_with, room_folder};
use common::{Setup, TestServer, until};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn damaged_file_of_one_room_refuses_alone_and_stays() {
    for content in ["{", ""] {
        expect_refusal_of_room_with_file(content).await;
    }
}

async fn expect_refusal_of_room_with_file(content: &str) {
    let mut server = TestServer::start().await;
    let ann = Phone::pair(&server).await;
    let room = make_room(&ann, "Garden").await;
    let other = make_room(&ann, "Kitchen").await;
    server.stop().await;
    let file = room_folder(server.setup()).join(format!("{room}.json"));
    fs::write(&file, content).unwrap();
    server.restart().await;
    let mut ann = ann.clone_for_server(&server);
    let path = format!("/rooms/{room}");
    let problem = ann
        .get(&format!("{path}/snapshot"))
        .await
        .expect_problem(500);
    assert_eq!(problem["code"], "state-damaged");
    ann.post(&format!("{path}/enter")).await.expect_problem(500);
    ask(http().get(server.url(&format!("{path}/healthz"))))
        .await
        .expect_problem(503);
    ask(http().get(server.url("/healthz"))).await.expect(200);
    ann.next().await;
    in_room(&ann, &server, &other).await.next().await;
    let rows = ann.get("/rooms").await.expect(200).json();
    assert_eq!(rows.as_array().unwrap().len(), 3);
    assert_eq!(fs::read_to_string(&file).unwrap(), content);
    assert!(server.log().contains("OF A ROOM IS DAMAGED"));

    let detail = problem["detail"].as_str().unwrap();
    assert!(!detail.contains("--reset-state"), "{detail}");
    let row = rows.as_array().unwrap().iter();
    let damaged: Vec<_> = row.map(|row| row["damaged"] == true).collect();
    assert_eq!(damaged.iter().filter(|damaged| **damaged).count(), 1);
    ann.get(&format!("{path}/code")).await.expect_problem(500);
    let delete = || ask(ann.request(Method::DELETE, &path));
    delete().await.expect_problem(403);
    let mut host = ann.clone_for_server(&server);
    host.view = host.snapshot().await;
    host.command_until_accepted("/rules", json!({ "chat": false }))
        .await;
    delete().await.expect(204);
    delete().await.expect_problem(404);
    assert!(!file.exists());
    let aside = fs::read_to_string(file.with_extension("json.aside-1"));
    assert_eq!(aside.unwrap(), content);
}

/// Blocks the writes of one room for the whole test. The commands of the house must be answered meanwhile.
#[tokio::test]
async fn a_blocked_disk_of_one_room_does_not_delay_another() {
    let setup = Setup::long_tracks();
    let folder = room_folder(&setup);
    fs::create_dir(&folder).unwrap();
    let disk = FaultyDisk::under(&folder);
    let server = setup.env(disk.environment()).start().await;
    let mut ann = Phone::pair_and_listen(&server).await;
    let mut ben = Phone::pair_and_listen(&server).await;
    let room = make_room(&ann, "Garden").await;
    let garden = enter(&ben, &server, &room).await;
    disk.inject("fsync", Fault::Block);
    let count = garden.event_count();
    let body = json!({ "positionSec": 0 });
    let blocked = garden.command("/play", count, &body).send();
    let blocked = tokio::spawn(blocked);
    until("the write to block", async || disk.started("fsync") > 0).await;

    for _ in 0..3 {
        ann.next().await;
    }
    ann.get("/rooms").await.expect(200);
    make_names_known(&mut ann).await;
    rename_while_blocked(&ben, &server, &room).await;
    // A phone that moves out of the blocked room is not held there.
    ben.close_stream();
    let mut stuck = garden.clone_for_server(&server);
    stuck.base_url.clone_from(&garden.base_url);
    stuck.open_stream_at("/events").await;
    ben.listen().await;
    assert!(!blocked.is_finished());

    disk.clear("fsync");
    assert_eq!(blocked.await.unwrap().unwrap().status().as_u16(), 200);
    in_room(&ann, &server, &room).await;
}

/// While the new name of the blocked room is not written, the house gets another name, and a room that is gone answers.
async fn rename_while_blocked(phone: &Phone, server: &TestServer, room: &str) {
    let name = |room: &str, name: &str| {
        let request = phone.request(Method::POST, &format!("/rooms/{room}/name"));
        request.json(&json!({ "name": name }))
    };
    let local = common::phone::local_client(server);
    let url = format!("http://localhost/rooms/{room}/name");
    let blocked = tokio::spawn(async move {
        // The request below may have reserved the name at this moment.
        let rename = || local.post(&url).json(&json!({ "name": "Terrace" }));
        while ask(rename()).await.status == 422 {}
    });
    until("the name to be reserved", async || {
        // Refused for its password if the name is free.
        let body = json!({ "name": "terrace", "password": "x".repeat(1000) });
        let refused = ask(phone.request(Method::POST, "/rooms").json(&body)).await;
        refused.expect_problem(422)["code"] == "name-taken"
    })
    .await;
    ask(name("house", "Villa")).await.expect(204);
    assert!(!blocked.is_finished());
}

/// A new name reaches the rooms whose disks work.
async fn make_names_known(phone: &mut Phone) {
    let request = phone.request(Method::POST, "/rename");
    let renamed = ask(request.json(&json!({ "clientName": "Annie" }))).await;
    renamed.expect(200);
    assert_eq!(
        phone.snapshot().await["clients"][&phone.member]["name"],
        "Annie"
    );
}

/// The stream of the phone is never read, and a barrier waits for the phone, which fetches nothing.
#[tokio::test]
async fn a_stuck_phone_in_one_room_does_not_delay_another() {
    let server = TestServer::start().await;
    let mut ann = Phone::pair_and_listen(&server).await;
    let mut ben = Phone::pair_and_listen(&server).await;
    let stuck = Phone::pair(&server).await;
    let room = make_room(&stuck, "Garden").await;
    let mut garden = enter(&ann, &server, &room).await;
    garden.open_stream_at("/events?role=remote").await;
    let events = format!("/rooms/{room}/events");
    let _unread = request_with_small_receive_buffer(server.address(), &events, &stuck.token).await;
    let is_listening = |view: &Value| !view["live"]["listeners"][&stuck.member].is_null();
    garden
        .wait_until("the stuck phone to listen", is_listening)
        .await;
    garden.play(0.0).await;
    assert_eq!(garden.barrier_members(), [stuck.member.as_str()]);
    // More events than the connection of the unread stream holds.
    for command_index in 0..300 {
        let track = garden.track_after_current(2 + command_index % 2);
        garden.nudge(&track).await;
    }

    ann.wait_until("both phones to listen", |view| {
        view["live"]["listeners"].as_object().unwrap().len() == 2
    })
    .await;
    for _ in 0..3 {
        ann.next().await;
        let track = ann.current_track();
        assert_eq!(ann.barrier_members().len(), 2);
        ann.ack(&track).await;
        ben.ack(&track).await;
        ann.wait_until("playback to start", |view| {
            view["playState"]["mode"] == "playing"
        })
        .await;
    }
}

#[tokio::test]
async fn acknowledged_commands_of_two_rooms_survive_kills() {
    let mut server = TestServer::start().await;
    let mut ann = Phone::pair(&server).await;
    let room = make_room(&ann, "Garden").await;
    let mut garden = in_room(&ann, &server, &room).await;
    for round in 0..5 {
        for _ in 0..=round {
            ann.next().await;
            garden.next().await;
            garden.next().await;
        }
        let expected = [ann.snapshot().await, garden.snapshot().await];
        let [mut house_writer, mut garden_writer] = [
            ann.clone_for_server(&server),
            in_room(&ann, &server, &room).await,
        ];
        let writing = tokio::spawn(async move {
            loop {
                let body = json!({ "positionSec": 1 });
                let (house, garden) = (house_writer.event_count(), garden_writer.event_count());
                let house = house_writer.command("/seek", house, &body).send();
                let garden = garden_writer.command("/seek", garden, &body).send();
                let (Ok(house), Ok(garden)) = tokio::join!(house, garden) else {
                    return (house_writer.event_count(), garden_writer.event_count());
                };
                let (Ok(house), Ok(garden)) =
                    (house.json::<Value>().await, garden.json::<Value>().await)
                else {
                    return (house_writer.event_count(), garden_writer.event_count());
                };
                house_writer.view = house["snapshot"].clone();
                garden_writer.view = garden["snapshot"].clone();
            }
        });
        until("some commands", async || {
            garden.snapshot().await["eventCount"].as_u64()
                > expected[1]["eventCount"].as_u64().map(|n| n + 3)
        })
        .await;
        server.kill().await;
        let acknowledged = writing.await.unwrap();
        server.restart().await;
        ann.use_server(&server);
        garden = in_room(&ann, &server, &room).await;
        ann.view = ann.snapshot().await;
        assert!(ann.event_count() >= acknowledged.0, "round {round}");
        assert!(garden.event_count() >= acknowledged.1, "round {round}");
    }
}

#[tokio::test]
async fn a_room_that_nobody_has_entered_for_a_month_is_set_aside() {
    let mut server = TestServer::start().await;
    let ann = Phone::pair(&server).await;
    let [old, young] = [make_room(&ann, "Old").await, make_room(&ann, "Young").await];
    server.stop().await;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let folder = room_folder(server.setup());
    for (room, days) in [(&old, 31), (&young, 29)] {
        let path = folder.join(format!("{room}.json"));
        let mut state: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        state["access"]["enteredAt"] = json!(now - days * 24 * 60 * 60);
        fs::write(&path, state.to_string()).unwrap();
    }
    server.restart().await;
    let ann = ann.clone_for_server(&server);
    ann.get(&format!("/rooms/{old}/snapshot"))
        .await
        .expect_problem(404);
    ann.get(&format!("/rooms/{young}/snapshot"))
        .await
        .expect(200);
    assert!(folder.join(format!("{old}.json.aside-1")).exists());
    assert!(!folder.join(format!("{old}.json")).exists());
    // Following the room counts as entering.
    let entered = || {
        let state = fs::read(folder.join(format!("{young}.json"))).unwrap();
        let state: Value = serde_json::from_slice(&state).unwrap();
        state["access"]["enteredAt"].as_u64().unwrap()
    };
    let mut in_young = in_room(&ann, &server, &young).await;
    in_young.open_stream_at("/events?role=remote").await;
    until("the entry to be recorded", async || entered() >= now).await;
}

#[tokio::test]
async fn reset_moves_all_rooms_aside_even_without_a_state_file() {
    for has_state_file in [true, false] {
        let mut server = TestServer::start().await;
        let ann = Phone::pair(&server).await;
        let room = make_room(&ann, "Garden").await;
        server.stop().await;
        if !has_state_file {
            fs::remove_file(server.setup().state_file()).unwrap();
        }
        server
            .restart_with(|setup| setup.flag("--reset-state"))
            .await;
        let ben = Phone::pair(&server).await;
        let rows = ben.get("/rooms").await.expect(200).json();
        assert_eq!(rows.as_array().unwrap().len(), 1);
        let aside = server
            .setup()
            .folder()
            .join("state/state.json.aside-1.rooms");
        assert!(aside.join(format!("{room}.json")).exists());
        assert!(!room_folder(server.setup()).exists());
    }
}

#[tokio::test]
async fn a_new_device_never_has_the_rights_of_a_lost_one() {
    let setup = Setup::long_tracks();
    let folder = room_folder(&setup);
    fs::create_dir(&folder).unwrap();
    let disk = FaultyDisk::under(&folder);
    let mut server = setup.env(disk.environment()).start().await;
    let ann = Phone::pair(&server).await;
    let room = make_room(&ann, "Garden").await;
    server.stop().await;
    fs::remove_file(server.setup().state_file()).unwrap();
    // The room cannot remove the lost device.
    disk.inject("write", Fault::Fail(NO_SPACE));
    server.restart().await;
    let other = Phone::pair(&server).await;
    server.stop().await;
    disk.clear("write");
    server.restart().await;
    let other = other.clone_for_server(&server);
    other
        .get(&format!("/rooms/{room}/snapshot"))
        .await
        .expect_problem(403);
    let garden = enter(&other, &server, &room).await;
    assert_eq!(garden.view["hosts"], json!([]));
    assert!(garden.view["clients"][&ann.member].is_null());
}

/// The house, which has lost its state, must not wait for the room, and must not give a new device the id of a member that only the room has.
#[tokio::test]
async fn a_room_whose_file_hangs_at_a_start_delays_no_other() {
    let mut server = TestServer::start().await;
    let ann = Phone::pair(&server).await;
    let room = make_room(&ann, "Garden").await;
    server.stop().await;
    let file = room_folder(server.setup()).join(format!("{room}.json"));
    let state = fs::read(&file).unwrap();
    fs::remove_file(server.setup().state_file()).unwrap();
    put_fifo(&file);
    server.restart().await;

    let mut other = Phone::pair(&server).await;
    assert_ne!(other.member, ann.member);
    other.next().await;
    let kitchen = make_room(&other, "Kitchen").await;
    in_room(&other, &server, &kitchen).await.next().await;
    let snapshot = format!("/rooms/{room}/snapshot");
    let problem = other.get(&snapshot).await.expect_problem(503);
    assert_eq!(problem["code"], "room-opening");
    let health = http().get(server.url(&format!("/rooms/{room}/healthz")));
    ask(health).await.expect_problem(503);
    let row = async || {
        let rows = other.get("/rooms").await.expect(200).json();
        let mut rows = rows.as_array().unwrap().iter();
        rows.find(|row| row["roomId"] == *room).unwrap().clone()
    };
    assert_eq!(row().await["opening"], true);

    let mut hanging = open_if_being_read(&file).unwrap();
    hanging.write_all(&state).unwrap();
    drop(hanging);
    until("the room to open", async || {
        row().await["opening"].is_null()
    })
    .await;
    assert_eq!(row().await["name"], "Garden");
    // The new device is not the lost one.
    other.get(&snapshot).await.expect_problem(403);
    let garden = enter(&other, &server, &room).await;
    assert_eq!(garden.view["hosts"], json!([]));
}

/// As with a folder on a disk that is not mounted correctly: phones must not take their room for removed.
#[tokio::test]
async fn rooms_whose_folder_cannot_be_read_are_unavailable_until_it_can() {
    let mut server = TestServer::start().await;
    let ann = Phone::pair(&server).await;
    let room = make_room(&ann, "Garden").await;
    server.stop().await;
    let folder = room_folder(server.setup());
    let aside = folder.with_extension("elsewhere");
    fs::rename(&folder, &aside).unwrap();
    fs::write(&folder, "no folder").unwrap();
    server.restart().await;

    let mut ann = ann.clone_for_server(&server);
    ann.next().await;
    let snapshot = format!("/rooms/{room}/snapshot");
    for request in [
        ann.request(Method::GET, &snapshot),
        ann.request(Method::POST, &format!("/rooms/{room}/enter")),
        ann.request(Method::DELETE, &format!("/rooms/{room}")),
        ann.request(Method::POST, "/rooms")
            .json(&json!({ "name": "Kitchen" })),
    ] {
        let problem = ask(request).await.expect_problem(503);
        assert_eq!(problem["code"], "room-opening");
    }
    fs::remove_file(&folder).unwrap();
    fs::rename(&aside, &folder).unwrap();
    until("the room to open", async || {
        ask(ann.request(Method::GET, &snapshot)).await.status == 200
    })
    .await;
}

/// The room must remove a device that the house has removed, and cannot.
#[tokio::test]
async fn a_room_with_a_full_disk_at_a_start_runs_and_recovers() {
    let setup = Setup::long_tracks();
    let folder = room_folder(&setup);
    fs::create_dir(&folder).unwrap();
    let disk = FaultyDisk::under(&folder);
    let mut server = setup.env(disk.environment()).start().await;
    let ann = Phone::pair(&server).await;
    let ben = Phone::pair(&server).await;
    let room = make_room(&ann, "Garden").await;
    enter(&ben, &server, &room).await;
    disk.inject("write", Fault::Fail(NO_SPACE));
    let unpair = ann.request(Method::POST, "/unpair");
    ask(unpair.json(&json!({ "memberId": ben.member })))
        .await
        .expect(200);
    server.stop().await;
    server.restart().await;
    let mut ann = ann.clone_for_server(&server);
    let mut garden = in_room(&ann, &server, &room).await;
    assert!(!garden.view["clients"][&ben.member].is_null());
    let count = garden.event_count();
    let refused = garden.try_command("/next", count, &Value::Null).await;
    assert_eq!(refused.expect_problem(503)["code"], "not-written");
    disk.clear("write");
    // Causes another update at once.
    make_names_known(&mut ann).await;
    until("the room to remove the device", async || {
        garden.view = garden.snapshot().await;
        garden.view["clients"][&ben.member].is_null()
    })
    .await;
    garden.next().await;
}

#[tokio::test]
async fn a_removed_track_leaves_every_room() {
    let server = TestServer::start().await;
    let ann = Phone::pair(&server).await;
    let room = make_room(&ann, "Garden").await;
    let mut garden = in_room(&ann, &server, &room).await;
    garden.listen().await;
    let audio = server.setup().audio();
    let removed = fs::read_dir(&audio).unwrap().next().unwrap().unwrap();
    fs::remove_file(removed.path()).unwrap();
    let changed = garden.durable_event("library.changed", 0).await;
    assert_eq!(changed.payload["removed"].as_array().unwrap().len(), 1);
    assert_eq!(garden.view["queue"].as_array().unwrap().len(), 3);
    until("the house to change, too", async || {
        ann.snapshot().await["queue"].as_array().unwrap().len() == 3
    })
    .await;
}

#[tokio::test]
async fn metrics_of_rooms_carry_a_label_once_there_are_several() {
    let server = TestServer::start().await;
    let ann = Phone::pair_and_listen(&server).await;
    let metrics = async || ann.get("/metrics").await.expect(200).text();
    let single = metrics().await;
    assert!(
        single.contains("\nlockstep_listeners 1\n") && !single.contains("room="),
        "{single}"
    );
    let room = make_room(&ann, "Garden").await;
    let ben = Phone::pair(&server).await;
    let mut garden = enter(&ben, &server, &room).await;
    garden.listen().await;
    garden.next().await;
    let several = metrics().await;
    for line in [
        "lockstep_listeners{room=\"house\"} 1".to_owned(),
        format!("lockstep_listeners{{room=\"{room}\"}} 1"),
        format!("lockstep_commands_total{{room=\"{room}\",command=\"next\",status=\"200\"}} 1"),
        format!("lockstep_state_damaged{{room=\"{room}\"}} 0"),
    ] {
        assert!(
            several.lines().any(|other| other == line),
            "{line}\n{several}"
        );
    }
    assert!(several.contains(&format!(
        "lockstep_commit_duration_seconds_count{{room=\"{room}\"}}"
    )));
}

#[tokio::test]
async fn an_upload_stays_while_another_room_needs_it() {
    let setup = Setup::fixtures().flag("--upload-keep=1s");
    let mut server = setup.start().await;
    let ann = Phone::pair(&server).await;
    let room = make_room(&ann, "Garden").await;
    let mut garden = in_room(&ann, &server, &room).await;
    garden.listen().await;
    let folder = tempfile::tempdir().unwrap();
    common::music::put_long_tracks(folder.path());
    let mut songs = fs::read_dir(folder.path()).unwrap();
    let mut put = async |query: &str| {
        let song = fs::read(songs.next().unwrap().unwrap().path()).unwrap();
        let path = format!("/uploads/by-name/song.wav{query}");
        let stored = ask(ann.request(Method::PUT, &path).body(song)).await;
        let track = stored.expect(201).json()["trackId"].clone();
        track.as_str().unwrap().to_owned()
    };
    // Picked where the device listens, and not in the house room.
    let picked = put("").await;
    garden
        .wait_until("the pick", |view| view["picks"][0]["trackId"] == *picked)
        .await;
    assert_eq!(ann.snapshot().await["picks"], json!([]));
    let unused = put("?pick=false").await;
    server.stop().await;
    // Uploads expire by the calendar, and the start looks for those that have.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    server.restart().await;
    let ann = ann.clone_for_server(&server);
    let has_upload = async |track: &str| {
        let uploads = ann.get("/uploads").await.expect(200).text();
        uploads.contains(track)
    };
    until("the unused upload to go", async || {
        !has_upload(&unused).await
    })
    .await;
    assert!(has_upload(&picked).await);
}

#[tokio::test]
async fn hosts_of_the_house_may_do_everything_in_each_room() {
    let server = TestServer::start().await;
    let mut ann = Phone::pair_as(&server, "Ann").await;
    let ben = Phone::pair_as(&server, "Ben").await;
    let cleo = Phone::pair_as(&server, "Cleo").await;
    let room = make_room_with(&ben, json!({ "name": "Cellar", "password": "tomato" })).await;
    let mut cellar = in_room(&ben, &server, &room).await;
    assert_eq!(cellar.view["hosts"], json!([ben.member]));
    cellar
        .command_until_accepted("/rules", json!({ "control": "hosts" }))
        .await;
    ann.command_until_accepted("/rules", json!({ "chat": false }))
        .await;
    cleo.post(&format!("/rooms/{room}/enter"))
        .await
        .expect_problem(403);
    // Without the password.
    let in_cellar = enter(&ann, &server, &room).await;
    let count = in_cellar.event_count();
    let next = in_cellar.try_command("/next", count, &Value::Null).await;
    let next = next.expect(200).json();
    assert_eq!(next["snapshot"]["hosts"], json!([ben.member]));
    let password = json!({ "password": "tomato" });
    let entered = cleo.request(Method::POST, &format!("/rooms/{room}/enter"));
    ask(entered.json(&password)).await.expect(200);
    let in_cellar = in_room(&cleo, &server, &room).await;
    let count = in_cellar.event_count();
    let refused = in_cellar.try_command("/next", count, &Value::Null).await;
    refused.expect_problem(403);
    ask(cleo.request(Method::DELETE, &format!("/rooms/{room}")))
        .await
        .expect_problem(403);
    ask(ann.request(Method::DELETE, &format!("/rooms/{room}")))
        .await
        .expect(204);
    assert_eq!(
        durable_state(&ann.snapshot().await)["hosts"],
        json!([ann.member])
    );
}

/// The error of a full disk.
const NO_SPACE: i32 = 28;

#[tokio::test]
async fn unpaired_device_receives_nothing_of_a_room_with_a_full_disk() {
    let setup = Setup::long_tracks();
    let folder = room_folder(&setup);
    fs::create_dir(&folder).unwrap();
    let disk = FaultyDisk::under(&folder);
    let server = setup.env(disk.environment()).start().await;
    let ann = Phone::pair(&server).await;
    let ben = Phone::pair(&server).await;
    let room = make_room(&ann, "Garden").await;
    let mut garden = enter(&ben, &server, &room).await;
    garden.open_stream_at("/events?role=remote").await;
    disk.inject("write", Fault::Fail(NO_SPACE));
    let unpair = ann.request(Method::POST, "/unpair");
    ask(unpair.json(&json!({ "memberId": ben.member })))
        .await
        .expect(200);
    while garden.next_event_or_end().await.is_some() {}
    // The room still lists the device.
    let garden = in_room(&ann, &server, &room).await;
    assert!(!garden.view["clients"][&ben.member].is_null());
}

/// The house room, whose disk is full, still lists the device that has moved to another room.
#[tokio::test]
async fn downloads_are_reported_to_the_room_to_which_a_device_has_moved() {
    let setup = Setup::empty();
    common::music::put_wav(&setup.audio().join("large.wav"), 16_000, 16_000);
    let elsewhere = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), room_folder(&setup)).unwrap();
    let disk = FaultyDisk::under(&setup.folder().join("state"));
    let server = setup.env(disk.environment()).start().await;
    let mut ann = Phone::pair_and_listen(&server).await;
    let room = make_room(&ann, "Garden").await;
    ann.play(0.0).await;
    disk.inject("write", Fault::Fail(NO_SPACE));
    let mut garden = in_room(&ann, &server, &room).await;
    garden.listen().await;
    let moved = ann.live_event("moved").await;
    assert_eq!(moved.payload["roomId"], room.as_str());
    let house = ann.snapshot().await;
    assert_eq!(house["barrier"]["members"], json!([ann.member]));

    let path = format!("/file/{}", garden.current_track());
    let mut download = ann.request(Method::GET, &path).send().await.unwrap();
    download.chunk().await.unwrap();
    let member = ann.member.clone();
    garden
        .wait_until("the download to be shown", |view| {
            !view["live"]["listeners"][&member]["download"].is_null()
        })
        .await;
}
