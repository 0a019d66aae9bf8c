//! Picks, and the other commands that change the order of the queue.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::fs;

use common::music::put_wav;
use common::{Phone, Setup, TestServer, durable_state, until};
use serde_json::{Value, json};

/// A well-formed track ID that no track has.
const UNKNOWN_TRACK_ID: &str = "0123456789abcdef";

/// Starts a server with `count` long tracks, `00.wav` and so on, which it queues in this order.
async fn start(count: u32) -> TestServer {
    let setup = Setup::empty();
    for number in 0..count {
        let path = setup.audio().join(format!("{number:02}.wav"));
        put_wav(&path, 600 + number, 1_000);
    }
    setup.flag("--keep-duplicates").start().await
}

/// Starts a server with `count` long tracks, and `phones` listeners that hold all of them.
async fn start_with_phones(count: u32, phones: usize) -> (TestServer, Vec<Phone>) {
    let server = start(count).await;
    let mut listeners = Vec::new();
    for _ in 0..phones {
        let mut phone = Phone::pair_and_listen(&server).await;
        phone.ack_all().await;
        listeners.push(phone);
    }
    (server, listeners)
}

/// The tracks of the ring, the current one first.
fn ring(phone: &Phone) -> Vec<String> {
    let length = phone.view["queue"].as_array().unwrap().len();
    (0..length)
        .map(|offset| phone.track_after_current(offset))
        .collect()
}

/// The track ids of the picks.
fn picks(phone: &Phone) -> Vec<&str> {
    let picks = phone.view["picks"].as_array().unwrap().iter();
    picks
        .map(|pick| pick["trackId"].as_str().unwrap())
        .collect()
}

/// Who made each pick.
fn owners(phone: &Phone) -> Vec<&Value> {
    let picks = phone.view["picks"].as_array().unwrap().iter();
    picks.map(|pick| &pick["by"]).collect()
}

fn at<'a>(tracks: &'a [String], places: &[usize]) -> Vec<&'a str> {
    places.iter().map(|place| tracks[*place].as_str()).collect()
}

async fn pick(phone: &mut Phone, tracks: &[&str]) -> Value {
    phone
        .command_until_accepted("/pick", json!({ "trackIds": tracks }))
        .await
}

/// The status of the response to a command for the current event count.
async fn status_of(phone: &Phone, path: &str, body: Value) -> u16 {
    let event_count = phone.snapshot().await["eventCount"].as_u64().unwrap();
    phone.try_command(path, event_count, &body).await.status
}

/// Lets all phones receive the newest state.
async fn catch_up(phones: &mut [Phone]) {
    let newest = phones.iter().map(Phone::event_count).max().unwrap();
    for phone in phones {
        phone.wait_for_event_count(newest).await;
    }
}

#[tokio::test]
async fn picks_of_several_people_follow_the_current_track_in_turn() {
    let (_server, mut phones) = start_with_phones(8, 3).await;
    let tracks = ring(&phones[0]);
    pick(&mut phones[0], &at(&tracks, &[5])).await;
    catch_up(&mut phones).await;
    pick(&mut phones[1], &at(&tracks, &[7, 2])).await;
    catch_up(&mut phones).await;
    let event_count = phones[2].event_count();
    // The current track and picks are passed over, and a track that is named twice is picked once.
    pick(&mut phones[2], &at(&tracks, &[0, 7, 6, 6])).await;
    let event = phones[2].durable_event("queue.picked", event_count).await;
    assert_eq!(event.payload["trackIds"], json!([tracks[6]]));
    assert_eq!(event.payload["by"], "m3");
    catch_up(&mut phones).await;
    for phone in &phones {
        assert_eq!(picks(phone), at(&tracks, &[5, 7, 2, 6]));
        assert_eq!(owners(phone), ["m1", "m2", "m2", "m3"]);
        assert_eq!(ring(phone), at(&tracks, &[0, 5, 7, 2, 6, 1, 3, 4]));
        let pick = &phone.view["picks"][0];
        assert_eq!(
            (&pick["votes"], &pick["pinned"]),
            (&json!([]), &json!(false))
        );
    }
    for (expected, by) in [(5, "m1"), (7, "m2"), (2, "m2"), (6, "m3")] {
        phones[0].next().await;
        assert_eq!(phones[0].current_track(), tracks[expected]);
        assert_eq!(phones[0].view["pickedBy"], by);
    }
    phones[0].next().await;
    assert_eq!(phones[0].current_track(), tracks[1]);
    assert!(phones[0].view["pickedBy"].is_null());
    assert!(picks(&phones[0]).is_empty());
}

#[tokio::test]
async fn refused_picks_change_nothing() {
    let (_server, phones) = start_with_phones(4, 1).await;
    let phone = &phones[0];
    let tracks = ring(phone);
    let many = |count: usize| vec![tracks[1].as_str(); count];
    for (path, body, status) in [
        ("/pick", json!({ "trackIds": [tracks[0]] }), 422),
        (
            "/pick",
            json!({ "trackIds": [tracks[1], UNKNOWN_TRACK_ID] }),
            404,
        ),
        ("/pick", json!({ "trackIds": [] }), 400),
        ("/pick", json!({ "trackIds": many(501) }), 400),
        ("/unpick", json!({ "trackIds": [tracks[1]] }), 422),
        ("/unpick", json!({ "trackIds": [UNKNOWN_TRACK_ID] }), 404),
        ("/unpick", json!({ "trackIds": many(501) }), 400),
        (
            "/move",
            json!({ "trackId": tracks[1], "before": null }),
            422,
        ),
        (
            "/move",
            json!({ "trackId": UNKNOWN_TRACK_ID, "before": null }),
            404,
        ),
        (
            "/move",
            json!({ "trackId": tracks[1], "before": UNKNOWN_TRACK_ID }),
            404,
        ),
        ("/play-now", json!({ "trackId": UNKNOWN_TRACK_ID }), 404),
        ("/sort", json!({ "order": "random" }), 400),
        ("/undo", json!({}), 422),
        ("/next", json!({ "ended": tracks[0] }), 422),
    ] {
        assert_eq!(
            status_of(phone, path, body.clone()).await,
            status,
            "{path} {body}"
        );
    }
    assert_eq!(phone.snapshot().await["eventCount"], phone.event_count());
    assert_eq!(
        status_of(phone, "/pick", json!({ "trackIds": many(500) })).await,
        200
    );
}

#[tokio::test]
async fn picks_are_moved_taken_back_and_nudged() {
    let (_server, mut phones) = start_with_phones(7, 2).await;
    let tracks = ring(&phones[0]);
    pick(&mut phones[0], &at(&tracks, &[1, 2, 3, 4])).await;
    catch_up(&mut phones).await;
    let phone = &mut phones[1];
    let body = json!({ "trackId": tracks[4], "before": tracks[2] });
    phone.command_until_accepted("/move", body.clone()).await;
    assert_eq!(picks(phone), at(&tracks, &[1, 4, 2, 3]));
    let event = phone.durable_event("queue.moved", 0).await;
    assert_eq!(event.payload["before"], body["before"]);
    let body = json!({ "trackId": tracks[1], "before": null });
    phone.command_until_accepted("/move", body).await;
    assert_eq!(picks(phone), at(&tracks, &[4, 2, 3, 1]));
    let body = json!({ "trackIds": [tracks[3], tracks[6], tracks[4]] });
    let event_count = phone.event_count();
    phone.command_until_accepted("/unpick", body).await;
    let event = phone.durable_event("queue.unpicked", event_count).await;
    assert_eq!(event.payload["trackIds"], json!([tracks[3], tracks[4]]));
    assert_eq!(ring(phone), at(&tracks, &[0, 2, 1, 5, 6, 3, 4]));
    // A nudged pick stays that of the phone that picked it.
    phone.nudge(&tracks[1]).await;
    phone.nudge(&tracks[5]).await;
    assert_eq!(picks(phone), at(&tracks, &[5, 1, 2]));
    assert_eq!(owners(phone), ["m2", "m1", "m1"]);
}

#[tokio::test]
async fn play_now_and_previous_go_there_and_back() {
    let (_server, mut phones) = start_with_phones(6, 2).await;
    let tracks = ring(&phones[0]);
    pick(&mut phones[0], &at(&tracks, &[4, 2])).await;
    catch_up(&mut phones).await;
    let phone = &mut phones[1];
    phone.play(100.0).await;
    let event_count = phone.event_count();
    let body = json!({ "trackId": tracks[3] });
    phone.command_until_accepted("/play-now", body).await;
    assert_eq!(
        phone.durable_event_names_after(event_count),
        ["queue.advanced", "barrier.opened", "barrier.release"]
    );
    let event = phone.durable_event("queue.advanced", event_count).await;
    assert_eq!(event.payload["reason"], "play-now");
    assert_eq!(event.payload["by"], "m2");
    assert_eq!(ring(phone), at(&tracks, &[3, 4, 2, 1, 5, 0]));
    assert_eq!(phone.view["pickedBy"], "m2");
    // A pick stays that of the phone that picked it.
    let body = json!({ "trackId": tracks[2] });
    phone.command_until_accepted("/play-now", body).await;
    assert_eq!(ring(phone), at(&tracks, &[2, 4, 1, 5, 0, 3]));
    assert_eq!(
        (phone.view["pickedBy"].as_str(), phone.play_mode()),
        (Some("m1"), "playing")
    );

    let event_count = phone.event_count();
    phone.command_until_accepted("/previous", json!({})).await;
    let event = phone.durable_event("queue.advanced", event_count).await;
    assert_eq!(event.payload["reason"], "previous");
    assert_eq!(ring(phone), at(&tracks, &[3, 2, 4, 1, 5, 0]));
    assert_eq!(picks(phone), at(&tracks, &[2, 4]));
    assert_eq!(owners(phone), ["m1", "m1"]);
    assert!(phone.view["pickedBy"].is_null());

    // The current track starts again.
    phone.seek(50.0).await;
    let event_count = phone.event_count();
    let body = json!({ "trackId": tracks[3] });
    phone.command_until_accepted("/play-now", body).await;
    assert_eq!(
        phone.durable_event_names_after(event_count),
        ["playback.seeked"]
    );
    assert_eq!(phone.anchor_position_sec(), 0.0);
}

#[tokio::test]
async fn shuffle_and_sort_leave_current_track_and_picks_alone() {
    let (_server, mut phones) = start_with_phones(40, 1).await;
    let phone = &mut phones[0];
    let tracks = ring(phone);
    phone.next().await;
    pick(phone, &at(&tracks, &[30, 20])).await;
    let mut seen = vec![ring(phone)];
    for _ in 0..3 {
        phone.command_until_accepted("/shuffle", json!({})).await;
        let shuffled = ring(phone);
        assert_eq!(shuffled[..3], at(&tracks, &[1, 30, 20]));
        assert!(!seen.contains(&shuffled), "the order is a new one");
        seen.push(shuffled);
    }
    let event_count = phone.event_count();
    phone
        .command_until_accepted("/sort", json!({ "order": "title" }))
        .await;
    let event = phone.durable_event("queue.sorted", event_count).await;
    assert_eq!(
        (&event.payload["order"], &event.payload["by"]),
        (&json!("title"), &json!("m1"))
    );
    // Going on from the current track, and then from the beginning.
    let behind = (2..40).chain([0]).filter(|n| ![30, 20].contains(n));
    let expected: Vec<_> = [1, 30, 20].into_iter().chain(behind).collect();
    assert_eq!(ring(phone), at(&tracks, &expected));
}

#[tokio::test]
async fn undo_restores_order_picks_track_and_position() {
    let (_server, mut phones) = start_with_phones(9, 2).await;
    let tracks = ring(&phones[0]);
    pick(&mut phones[1], &at(&tracks, &[6, 3])).await;
    catch_up(&mut phones).await;
    let phone = &mut phones[0];
    phone.play(100.0).await;
    for (path, body, is_start) in [
        (
            "/pick",
            json!({ "trackIds": [tracks[8], tracks[1]] }),
            false,
        ),
        ("/unpick", json!({ "trackIds": [tracks[6]] }), false),
        (
            "/move",
            json!({ "trackId": tracks[3], "before": tracks[6] }),
            false,
        ),
        ("/nudge", json!({ "trackId": tracks[5] }), false),
        ("/shuffle", json!({}), false),
        ("/sort", json!({ "order": "added" }), false),
        ("/play-now", json!({ "trackId": tracks[4] }), true),
        ("/next", json!({}), true),
        ("/previous", json!({}), true),
    ] {
        let (before, event_count) = (phone.view.clone(), phone.event_count());
        phone.command_until_accepted(path, body).await;
        let event_count_between = phone.event_count();
        phone.command_until_accepted("/undo", json!({})).await;
        for field in ["queue", "queueIndex", "picks", "pickedBy", "gainDb"] {
            assert_eq!(phone.view[field], before[field], "{field} after {path}");
        }
        let event = phone.durable_event("queue.undone", event_count).await;
        assert_eq!(event.payload["by"], "m1");
        let names = phone.durable_event_names_after(event_count_between);
        let position_sec = phone.anchor_position_sec();
        if is_start {
            assert_eq!(
                names,
                ["queue.undone", "barrier.opened", "barrier.release"],
                "{path}"
            );
            assert!(
                (100.0..130.0).contains(&position_sec),
                "{position_sec} after {path}"
            );
            let opened = phone
                .durable_event("barrier.opened", event_count_between)
                .await;
            assert_eq!(opened.payload["type"], "track");
        } else {
            assert_eq!(names, ["queue.undone"], "{path}");
            assert_eq!(position_sec, 100.0);
        }
        assert_eq!(
            status_of(phone, "/undo", json!({})).await,
            422,
            "an undo is final"
        );
    }
}

#[tokio::test]
async fn only_ones_own_last_change_of_the_queue_can_be_undone() {
    let (server, mut phones) = start_with_phones(6, 2).await;
    let tracks = ring(&phones[0]);
    pick(&mut phones[0], &at(&tracks, &[3])).await;
    assert_eq!(
        status_of(&phones[1], "/undo", json!({})).await,
        422,
        "of another phone"
    );
    catch_up(&mut phones).await;
    pick(&mut phones[1], &at(&tracks, &[4])).await;
    assert_eq!(
        status_of(&phones[0], "/undo", json!({})).await,
        422,
        "another change came after it"
    );
    catch_up(&mut phones).await;
    // What does not change the queue does not matter.
    phones[0].play(3.0).await;
    catch_up(&mut phones).await;
    phones[1].command_until_accepted("/undo", json!({})).await;
    assert_eq!(picks(&phones[1]), at(&tracks, &[3]));

    pick(&mut phones[1], &at(&tracks, &[4])).await;
    put_wav(&server.setup().audio().join("99.wav"), 500, 1_000);
    phones[1]
        .wait_until("a new track", |view| {
            view["queue"].as_array().unwrap().len() == 7
        })
        .await;
    assert_eq!(
        status_of(&phones[1], "/undo", json!({})).await,
        422,
        "the library has changed"
    );
    assert_eq!(picks(&phones[1]), at(&tracks, &[3, 4]));
    assert_eq!(
        ring(&phones[1]).iter().skip(1).take(2).collect::<Vec<_>>(),
        at(&tracks, &[3, 4])
    );
}

#[tokio::test]
async fn nothing_can_be_undone_after_ten_seconds() {
    let (_server, mut phones) = start_with_phones(4, 1).await;
    let phone = &mut phones[0];
    let tracks = ring(phone);
    pick(phone, &at(&tracks, &[2])).await;
    let until_ms = phone.server_time_ms().await + 10_001.0;
    until("the end of ten seconds", async || {
        phone.server_time_ms().await > until_ms
    })
    .await;
    assert_eq!(status_of(phone, "/undo", json!({})).await, 422);
}

#[tokio::test]
async fn end_of_track_is_accepted_from_listeners_near_the_end_only() {
    let (server, mut phones) = start_with_phones(3, 2).await;
    let remote = Phone::pair(&server).await;
    phones[0]
        .wait_until("the third phone", |view| view["clients"]["m3"].is_object())
        .await;
    catch_up(&mut phones).await;
    let phone = &mut phones[0];
    let (current, next) = (phone.current_track(), phone.next_track());
    let duration_sec = phone.index_row(&current).await["duration"]
        .as_f64()
        .unwrap();
    let ended = |track: &str| json!({ "ended": track });
    phone.play(duration_sec - 30.0).await;
    assert_eq!(
        status_of(phone, "/next", ended(&current)).await,
        422,
        "too early"
    );
    phone.seek(duration_sec - 0.9).await;
    assert_eq!(
        status_of(phone, "/next", ended(&next)).await,
        422,
        "another track"
    );
    assert_eq!(
        status_of(phone, "/next", ended(UNKNOWN_TRACK_ID)).await,
        422
    );
    assert_eq!(
        status_of(&remote, "/next", ended(&current)).await,
        422,
        "no listener"
    );
    let event_count = phone.event_count();
    let response = phone.command_until_accepted("/next", ended(&current)).await;
    assert_eq!(response["snapshot"]["queueIndex"], 1);
    let advanced = phone
        .durable_event("queue.advanced", event_count)
        .await
        .payload;
    assert_eq!(advanced["trackId"], next.as_str());
    assert_eq!(advanced["reason"], "ended");
    for name in ["queue.advanced", "barrier.opened", "barrier.release"] {
        let event = phone.durable_event(name, event_count).await;
        assert_eq!(event.payload["by"], Value::Null, "{name}");
        assert!(event.payload.as_object().unwrap().contains_key("by"));
    }
    let event_count = phone.event_count();
    phone.next().await;
    let advanced = phone
        .durable_event("queue.advanced", event_count)
        .await
        .payload;
    assert_eq!(
        (&advanced["reason"], &advanced["by"]),
        (&json!("next"), &json!("m1"))
    );
}

#[tokio::test]
async fn early_report_of_the_end_keeps_the_promised_start() {
    let (_server, mut phones) = start_with_phones(3, 1).await;
    let phone = &mut phones[0];
    pick(phone, &[&phone.track_after_current(2)]).await;
    let (current, next) = (phone.current_track(), phone.next_track());
    let duration_sec = phone.index_row(&current).await["duration"]
        .as_f64()
        .unwrap();
    phone.play(duration_sec - 0.95).await;
    let segue = phone.snapshot().await["live"]["segue"].clone();
    assert_eq!(
        segue["trackId"],
        next.as_str(),
        "the promise is for the pick"
    );
    let event_count = phone.event_count();
    phone
        .command_until_accepted("/next", json!({ "ended": current }))
        .await;
    let released = phone.durable_event("barrier.release", event_count).await;
    assert_eq!(released.payload["anchorAtMs"], segue["anchorAtMs"]);
    assert_eq!(released.payload["trackId"], next.as_str());
}

#[tokio::test]
async fn picks_of_a_phone_that_leaves_stay_without_an_owner() {
    let (_server, mut phones) = start_with_phones(5, 2).await;
    let tracks = ring(&phones[0]);
    pick(&mut phones[1], &at(&tracks, &[2, 4])).await;
    let body = json!({ "trackId": tracks[2] });
    phones[1].command_until_accepted("/play-now", body).await;
    catch_up(&mut phones).await;
    phones[1].post("/leave").await.expect(204);
    let phone = &mut phones[0];
    phone
        .wait_until("the departure", |view| view["clients"]["m2"].is_null())
        .await;
    assert_eq!(picks(phone), at(&tracks, &[4]));
    assert_eq!(owners(phone), [&Value::Null]);
    assert!(phone.view["pickedBy"].is_null());
}

#[tokio::test]
async fn changes_of_the_folder_keep_the_picks_together() {
    let (server, mut phones) = start_with_phones(7, 1).await;
    let phone = &mut phones[0];
    let audio = server.setup().audio();
    let tracks = ring(phone);
    pick(phone, &at(&tracks, &[5, 2, 4])).await;
    phone.play(0.0).await;
    // A pick and the track after it are removed, and come back.
    let away = server.setup().folder().join("away");
    fs::create_dir(&away).unwrap();
    for name in ["02.wav", "01.wav"] {
        fs::rename(audio.join(name), away.join(name)).unwrap();
    }
    phone
        .wait_until("five tracks", |view| {
            view["queue"].as_array().unwrap().len() == 5
        })
        .await;
    assert_eq!(ring(phone), at(&tracks, &[0, 5, 4, 3, 6]));
    assert_eq!(picks(phone), at(&tracks, &[5, 4]));
    for name in ["02.wav", "01.wav"] {
        fs::rename(away.join(name), audio.join(name)).unwrap();
    }
    put_wav(&audio.join("0 new.wav"), 300, 1_000);
    phone
        .wait_until("eight tracks", |view| {
            view["queue"].as_array().unwrap().len() == 8
        })
        .await;
    assert_eq!(ring(phone)[..3], at(&tracks, &[0, 5, 4]));
    assert_eq!(picks(phone), at(&tracks, &[5, 4]));
    // The current track is removed: the first pick plays.
    let event_count = phone.event_count();
    fs::remove_file(audio.join("00.wav")).unwrap();
    phone
        .wait_until("seven tracks", |view| {
            view["queue"].as_array().unwrap().len() == 7
        })
        .await;
    let advanced = phone.durable_event("queue.advanced", event_count).await;
    assert_eq!(advanced.payload["reason"], "removed");
    assert_eq!(advanced.payload["by"], Value::Null);
    assert_eq!(phone.current_track(), tracks[5]);
    assert_eq!(phone.view["pickedBy"], "m1");
    assert_eq!(picks(phone), at(&tracks, &[4]));
    // A renamed file is another track, and no pick.
    fs::rename(audio.join("04.wav"), audio.join("40.wav")).unwrap();
    phone
        .wait_until("the renamed track", |view| view["picks"] == json!([]))
        .await;
    assert_eq!(phone.view["queue"].as_array().unwrap().len(), 7);
}

#[tokio::test]
async fn picks_survive_a_restart() {
    let (mut server, mut phones) = start_with_phones(6, 2).await;
    let tracks = ring(&phones[0]);
    pick(&mut phones[0], &at(&tracks, &[5, 3])).await;
    phones[0].next().await;
    let before = durable_state(&phones[0].view);
    server.kill().await;
    server.restart().await;
    phones[0].use_server(&server);
    let after = phones[0].snapshot().await;
    for field in ["queue", "queueIndex", "picks", "pickedBy"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    assert_eq!(after["pickedBy"], "m1");
}

#[tokio::test]
async fn two_phones_that_add_the_same_track_make_one_pick() {
    let (_server, mut phones) = start_with_phones(6, 2).await;
    let tracks = ring(&phones[0]);
    catch_up(&mut phones).await;
    let [alice, bob] = &mut phones[..] else {
        unreachable!()
    };
    let (event_count, body) = (alice.event_count(), json!({ "trackIds": [tracks[4]] }));
    let (first, second) = tokio::join!(
        alice.try_command("/pick", event_count, &body),
        bob.try_command("/pick", event_count, &body),
    );
    let mut statuses = [first.status, second.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    alice.wait_for_event_count(event_count + 1).await;
    assert_eq!(picks(alice), at(&tracks, &[4]));
    assert_eq!(status_of(bob, "/pick", body).await, 422);
}
