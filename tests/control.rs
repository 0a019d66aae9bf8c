//! What each command does, how it is refused, and in which order that is found out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on panics"
)]

pub mod common;

use common::phone::{ask, http, queue};
use common::{Phone, Setup, TestServer, durable, raw};
use reqwest::Method;
use serde_json::{Value, json};

const UNKNOWN: &str = "0123456789abcdef";

/// Every command with a body that is in order.
fn commands(track: &str) -> [(&'static str, Value); 7] {
    [
        ("/play", json!({ "positionSec": 0.0 })),
        ("/pause", json!({ "positionSec": 0.0 })),
        ("/seek", json!({ "positionSec": 0.0 })),
        ("/next", json!({})),
        ("/nudge", json!({ "trackId": track })),
        ("/ack-download", json!({ "trackId": track })),
        ("/start-now", json!({})),
    ]
}

/// A `POST` of `body` as it stands, for the state of that count.
async fn post(
    phone: &Phone,
    path: &str,
    count: &str,
    body: impl Into<reqwest::Body>,
) -> common::Answer {
    let request = phone
        .request(Method::POST, path)
        .header("if-match-event", count);
    ask(request
        .header("content-type", "application/json")
        .body(body))
    .await
}

/// A server, and a phone that listens and has every track.
async fn room() -> (TestServer, Phone) {
    let server = TestServer::start().await;
    let mut phone = Phone::listening(&server).await;
    phone.ack_all().await;
    (server, phone)
}

#[tokio::test]
async fn play_starts_at_once_when_everybody_is_ready() {
    let (_server, mut phone) = room().await;
    let before = phone.count();
    let answer = phone.play(12.5).await;
    assert_eq!(
        phone.names_after(before),
        ["barrier.opened", "barrier.release"]
    );
    assert_eq!(answer["eventCount"], before + 2);
    assert_eq!((phone.mode(), phone.anchor()), ("playing", 12.5));
    assert!(phone.view["barrier"].is_null());

    let opened = phone.durable_event("barrier.opened", before).await.payload;
    assert_eq!(opened["type"], "resume");
    assert_eq!(opened["trackId"], phone.current().as_str());
    assert_eq!(
        (&opened["members"], &opened["ready"]),
        (&json!(["m1"]), &json!(["m1"]))
    );
    let release = phone.durable_event("barrier.release", before).await.payload;
    assert_eq!(release["trackId"], phone.current().as_str());
    assert_eq!(release["anchorPositionSec"], 12.5);
    assert!(release["anchorAtMs"].is_f64());
}

#[tokio::test]
async fn play_while_playing_starts_anew_from_there() {
    let (_server, mut phone) = room().await;
    phone.play(1.0).await;
    let before = phone.count();
    phone.play(30.0).await;
    assert_eq!(
        phone.names_after(before),
        ["barrier.opened", "barrier.release"]
    );
    assert_eq!((phone.mode(), phone.anchor()), ("playing", 30.0));
}

#[tokio::test]
async fn pause_is_silence_at_that_position() {
    let (_server, mut phone) = room().await;
    phone.play(0.0).await;
    let before = phone.count();
    phone.pause(7.25).await;
    assert_eq!(phone.names_after(before), ["playback.paused"]);
    assert_eq!((phone.mode(), phone.anchor()), ("paused", 7.25));
    assert_eq!(
        phone.durable_event("playback.paused", before).await.payload["anchorPositionSec"],
        7.25
    );
    assert!(phone.snapshot().await["live"]["anchorAtMs"].is_null());
}

#[tokio::test]
async fn seek_moves_the_anchor_and_leaves_the_mode() {
    let (_server, mut phone) = room().await;
    let before = phone.count();
    phone.seek(20.0).await;
    assert_eq!(phone.names_after(before), ["playback.seeked"]);
    assert_eq!((phone.mode(), phone.anchor()), ("paused", 20.0));
    assert!(phone.durable_event("playback.seeked", before).await.payload["anchorAtMs"].is_null());

    phone.play(20.0).await;
    let (before, clock) = (phone.count(), phone.clock().await);
    phone.seek(100.0).await;
    assert_eq!(phone.names_after(before), ["playback.seeked"]);
    assert_eq!((phone.mode(), phone.anchor()), ("playing", 100.0));
    let event = phone.durable_event("playback.seeked", before).await.payload;
    assert_eq!(event["anchorPositionSec"], 100.0);
    assert!(event["anchorAtMs"].as_f64().unwrap() >= clock);
    assert_eq!(
        phone.snapshot().await["live"]["anchorAtMs"],
        event["anchorAtMs"]
    );
}

#[tokio::test]
async fn seek_while_somebody_is_waited_for_keeps_the_barrier() {
    let server = TestServer::start().await;
    let mut phone = Phone::listening(&server).await;
    phone.play(5.0).await;
    phone.seek(50.0).await;
    assert_eq!(phone.members(), ["m1"]);
    let before = phone.count();
    phone.ack(&phone.current()).await;
    let release = phone.durable_event("barrier.release", before).await;
    assert_eq!(release.payload["anchorPositionSec"], 50.0);
}

#[tokio::test]
async fn a_position_past_the_end_is_cut_to_the_duration() {
    let (_server, mut phone) = room().await;
    let duration = phone.row(&phone.current()).await["duration"]
        .as_f64()
        .unwrap();
    assert!(duration >= 600.0);
    for path in ["/seek", "/pause"] {
        for position in [duration + 0.001, 1e9, f64::MAX] {
            phone
                .command(path, json!({ "positionSec": position }))
                .await;
            assert_eq!(phone.anchor(), duration, "{path} to {position}");
        }
        phone
            .command(path, json!({ "positionSec": duration - 0.5 }))
            .await;
        assert_eq!(phone.anchor(), duration - 0.5);
    }
    let before = phone.count();
    phone.play(1e9).await;
    let release = phone.durable_event("barrier.release", before).await;
    assert_eq!(release.payload["anchorPositionSec"], duration);
}

#[tokio::test]
async fn whole_numbers_are_positions_too() {
    let (_server, mut phone) = room().await;
    for (position, expected) in [(json!(0), 0.0), (json!(3), 3.0), (json!(1e1), 10.0)] {
        phone
            .command("/seek", json!({ "positionSec": position }))
            .await;
        assert_eq!(phone.anchor(), expected);
    }
}

#[tokio::test]
async fn next_moves_the_ring_on_and_comes_round() {
    let (_server, mut phone) = room().await;
    let (ring, first) = (queue(&phone.view), phone.current());
    for step in 1..=ring.len() {
        let (before, expected) = (phone.count(), phone.next_up());
        phone.play(40.0).await;
        phone.next().await;
        let names = phone.names_after(before + 2);
        assert_eq!(
            names,
            ["queue.advanced", "barrier.opened", "barrier.release"],
            "step {step}"
        );
        assert_eq!(
            phone.durable_event("queue.advanced", before).await.payload["trackId"],
            expected.as_str()
        );
        let opened = phone
            .durable_event("barrier.opened", before + 2)
            .await
            .payload;
        assert_eq!(
            (&opened["type"], &opened["trackId"]),
            (&json!("track"), &json!(expected))
        );
        assert_eq!(
            (phone.current(), phone.mode(), phone.anchor()),
            (expected, "playing", 0.0)
        );
        assert_eq!(queue(&phone.view), ring, "the order changed");
    }
    assert_eq!(phone.current(), first);
}

#[tokio::test]
async fn next_needs_no_body() {
    let (_server, phone) = room().await;
    for (offset, body) in [Value::Null, json!({})].into_iter().enumerate() {
        // Everybody is ready, so each is three events.
        phone
            .try_command("/next", phone.count() + 3 * offset as u64, &body)
            .await
            .expect(200);
    }
}

#[tokio::test]
async fn nudge_makes_a_track_next_up_and_keeps_the_others_in_order() {
    let (_server, mut phone) = room().await;
    phone.next().await;
    phone.pause(0.0).await;
    let ring: Vec<String> = (0..4)
        .map(|places| phone.track_after_current(places))
        .collect();
    let before = phone.count();
    phone.nudge(&ring[3]).await;
    assert_eq!(phone.names_after(before), ["queue.nudged"]);
    assert_eq!(
        phone.durable_event("queue.nudged", before).await.payload["trackId"],
        ring[3].as_str()
    );
    let nudged: Vec<String> = (0..4)
        .map(|places| phone.track_after_current(places))
        .collect();
    assert_eq!(
        nudged,
        [&ring[0], &ring[3], &ring[1], &ring[2]].map(String::clone)
    );

    phone.nudge(&ring[3]).await;
    assert_eq!(phone.next_up(), ring[3], "what is next-up already stays so");
    phone.nudge(&ring[1]).await;
    let nudged: Vec<String> = (0..4)
        .map(|places| phone.track_after_current(places))
        .collect();
    assert_eq!(
        nudged,
        [&ring[0], &ring[1], &ring[3], &ring[2]].map(String::clone)
    );
}

#[tokio::test]
async fn the_current_track_cannot_be_next_up_as_well() {
    let (_server, phone) = room().await;
    let body = json!({ "trackId": phone.current() });
    phone
        .try_command("/nudge", phone.count(), &body)
        .await
        .expect_problem(422);
}

#[tokio::test]
async fn start_now_with_nobody_waited_for_is_refused() {
    let (_server, mut phone) = room().await;
    phone
        .try_command("/start-now", phone.count(), &Value::Null)
        .await
        .expect_problem(422);
    phone.play(0.0).await;
    phone
        .try_command("/start-now", phone.count(), &json!({}))
        .await
        .expect_problem(422);
}

#[tokio::test]
async fn a_track_that_is_not_there_is_not_found() {
    let (_server, phone) = room().await;
    let body = json!({ "trackId": UNKNOWN });
    for path in ["/nudge", "/ack-download"] {
        phone
            .try_command(path, phone.count(), &body)
            .await
            .expect_problem(404);
    }
}

/// Each request is wrong in several ways; the first that is checked for is the answer.
#[tokio::test]
async fn what_is_wrong_is_found_out_in_the_given_order() {
    let (server, phone) = room().await;
    let (now, stale) = (phone.count().to_string(), (phone.count() - 1).to_string());
    for (path, good) in commands(UNKNOWN) {
        let good = good.to_string();
        let garbage = "[".to_owned();
        let cases = [
            (false, None, &garbage, 401),
            (false, Some("x"), &garbage, 401),
            (false, Some(stale.as_str()), &good, 401),
            (true, None, &garbage, 428),
            (true, None, &good, 428),
            (true, Some("x"), &good, 400),
            (true, Some("x"), &garbage, 400),
            (true, Some(stale.as_str()), &garbage, 400),
            (true, Some(now.as_str()), &garbage, 400),
        ];
        for (paired, count, body, expected) in cases {
            let request = match paired {
                true => phone.request(Method::POST, path),
                false => http().post(server.url(path)),
            };
            let request = match count {
                Some(count) => request.header("if-match-event", count),
                None => request,
            };
            ask(request.body(body.clone()))
                .await
                .expect_problem(expected);
        }
        // A stale command is told the state, even when its track is unknown or no barrier is open.
        post(&phone, path, &stale, good).await.expect(409);
    }
    post(
        &phone,
        "/nudge",
        &now,
        json!({ "trackId": UNKNOWN }).to_string(),
    )
    .await
    .expect_problem(404);
    let current = json!({ "trackId": phone.current() }).to_string();
    post(&phone, "/nudge", &stale, current.clone())
        .await
        .expect(409);
    post(&phone, "/nudge", &now, current)
        .await
        .expect_problem(422);
    assert_eq!(
        durable(&phone.snapshot().await),
        durable(&phone.view),
        "something refused changed something"
    );
}

#[tokio::test]
async fn a_command_without_the_count_it_is_meant_for_is_refused() {
    let (_server, phone) = room().await;
    let now = phone.count();
    let counts = [
        "",
        "now",
        "*",
        "-1",
        "1.5",
        "1e1",
        "0x10",
        "18446744073709551616",
        "99999999999999999999999999",
        "1 2",
        "1,2",
        "١",
    ];
    let quoted = [
        format!("\"{now}\""),
        format!("W/\"{now}\""),
        format!("{now};"),
        format!("{now}, {now}"),
    ];
    for (path, body) in commands(&phone.next_up()) {
        for count in counts.into_iter().chain(quoted.iter().map(String::as_str)) {
            let answer = post(&phone, path, count, body.to_string()).await;
            assert_eq!(answer.status, 400, "{path} for {count:?}");
            answer.expect_problem(400);
        }
    }
    let twice = phone
        .request(Method::POST, "/next")
        .header("if-match-event", now)
        .header("if-match-event", now);
    ask(twice).await.expect_problem(400);
    assert_eq!(phone.snapshot().await["eventCount"], now);
}

#[tokio::test]
async fn a_malformed_position_is_refused() {
    let (_server, phone) = room().await;
    let (now, deep) = (phone.count(), "[".repeat(100_000));
    let bodies: [&[u8]; 23] = [
        b"",
        b" ",
        b"null",
        b"0",
        b"[]",
        b"[0]",
        b"{}",
        b"{",
        br#"{"positionSec":"#,
        br#"{"positionSec":1"#,
        br#"{"positionSec":1}}"#,
        br#"{"positionSec":1} 1"#,
        br#"{"positionSec":"1"}"#,
        br#"{"positionSec":null}"#,
        br#"{"positionSec":true}"#,
        br#"{"positionSec":[1]}"#,
        br#"{"positionSec":-0.001}"#,
        br#"{"positionSec":-1e300}"#,
        br#"{"positionSec":NaN}"#,
        br#"{"positionSec":Infinity}"#,
        br#"{"positionSec":1e999}"#,
        b"{\"positionSec\":1,\"\xff\":2}",
        deep.as_bytes(),
    ];
    for path in ["/play", "/pause", "/seek"] {
        for body in bodies {
            let answer = post(&phone, path, &now.to_string(), body.to_vec()).await;
            // A body that is far too large may be refused before it is read.
            if body.len() > 10_000 && answer.status == 413 {
                continue;
            }
            assert_eq!(
                answer.status,
                400,
                "{path} with {:?}",
                String::from_utf8_lossy(body)
            );
            answer.expect_problem(400);
        }
    }
    assert_eq!(phone.snapshot().await["eventCount"], now);
}

#[tokio::test]
async fn a_malformed_body_of_the_other_commands_is_refused() {
    let (_server, phone) = room().await;
    let now = phone.count();
    let track = phone.next_up();
    let cases = [
        ("/next", vec!["null", "[]", "1", "{", "{}{}", "next"]),
        ("/start-now", vec!["null", "[]", "1", "{", "{}{}", "now"]),
        (
            "/nudge",
            vec![
                "",
                "{}",
                "null",
                "[]",
                r#"{"trackId":5}"#,
                r#"{"trackId":null}"#,
                r#"{"trackId":["a"]}"#,
            ],
        ),
        (
            "/ack-download",
            vec![
                "",
                "{}",
                "null",
                "[]",
                r#"{"trackId":5}"#,
                r#"{"playable":true}"#,
            ],
        ),
    ];
    for (path, bodies) in cases {
        for body in bodies {
            let answer = post(&phone, path, &now.to_string(), body).await;
            assert_eq!(answer.status, 400, "{path} with {body:?}");
            answer.expect_problem(400);
        }
    }
    for playable in [json!("yes"), json!(0), json!([])] {
        let body = json!({ "trackId": track, "playable": playable });
        phone
            .try_command("/ack-download", now, &body)
            .await
            .expect_problem(400);
    }
    for id in [
        "",
        "../../etc/passwd",
        "0123456789ABCDEF",
        "0123456789abcde",
        "0123456789abcdef0",
        "ä",
    ] {
        for path in ["/nudge", "/ack-download"] {
            let answer = phone
                .try_command(path, now, &json!({ "trackId": id }))
                .await;
            assert!(
                [400, 404].contains(&answer.status),
                "{path} {id:?}: {}",
                answer.status
            );
        }
    }
    assert_eq!(phone.snapshot().await["eventCount"], now);
}

#[tokio::test]
async fn a_body_beyond_all_measure_is_refused_and_the_server_goes_on() {
    let (server, phone) = room().await;
    let (now, size) = (phone.count(), 64 * 1024 * 1024);
    let head = |length: &str| {
        format!(
            "POST /play HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nIf-Match-Event: {now}\r\n{length}\r\n\r\n",
            phone.token
        )
    };
    // The first announces its size and sends nothing; the second sends without end and without saying how much.
    let announced = raw::send(server.address(), head(&format!("Content-Length: {size}"))).await;
    assert!([400, 413].contains(&announced.status), "{announced:?}");
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x1_0000));
    let chunked = head("Transfer-Encoding: chunked") + &chunk.repeat(16) + "0\r\n\r\n";
    let chunked = raw::send(server.address(), chunked).await;
    assert!([400, 413].contains(&chunked.status), "{chunked:?}");
    assert_eq!(phone.snapshot().await["eventCount"], now);
}

#[tokio::test]
async fn a_stale_command_is_told_the_current_state() {
    let (_server, phone) = room().await;
    let now = phone.count();
    for count in [0, now - 1, now + 1, u64::MAX] {
        for (path, body) in commands(&phone.next_up()) {
            let answer = phone.try_command(path, count, &body).await.expect(409);
            assert_eq!(answer.header("content-type"), Some("application/json"));
            let told = answer.json();
            let mut fields: Vec<_> = told.as_object().unwrap().keys().collect();
            fields.sort();
            assert_eq!(fields, ["expectedEventCount", "snapshot"]);
            assert_eq!(told["expectedEventCount"], now);
            assert_eq!(durable(&told["snapshot"]), durable(&phone.view));
            assert!(told["snapshot"]["live"].is_object());
        }
    }
}

#[tokio::test]
async fn whoever_prefers_a_minimal_answer_gets_the_count_alone() {
    let (_server, phone) = room().await;
    let mut count = phone.count();
    for preference in [
        "return=minimal",
        "respond-async, return=minimal",
        "return=minimal; wait=5",
    ] {
        let request = |count: u64| {
            let request = phone
                .request(Method::POST, "/seek")
                .json(&json!({ "positionSec": 1 }));
            ask(request
                .header("if-match-event", count)
                .header("prefer", preference))
        };
        count += 1;
        assert_eq!(
            request(count - 1).await.expect(200).json(),
            json!({ "eventCount": count }),
            "{preference}"
        );
        assert_eq!(
            request(0).await.expect(409).json(),
            json!({ "expectedEventCount": count }),
            "{preference}"
        );
    }
    let request = phone
        .request(Method::POST, "/seek")
        .json(&json!({ "positionSec": 1 }));
    let answer = ask(request
        .header("if-match-event", count)
        .header("prefer", "return=representation"))
    .await;
    assert!(answer.expect(200).json()["snapshot"].is_object());
}

#[tokio::test]
async fn an_unknown_route_is_not_found_and_a_wrong_method_not_allowed() {
    let (_server, phone) = room().await;
    let track = phone.current();
    for path in [
        "/nothing",
        "/play/",
        "/file",
        "/file/",
        "/cover/",
        "/events/",
        "/Play",
        "/debug",
        "//snapshot",
    ] {
        phone.get(path).await.expect_problem(404);
    }
    phone
        .get(&format!("/file/{track}/"))
        .await
        .expect_problem(404);
    phone.post("/nothing").await.expect_problem(404);
    let file = format!("/file/{track}");
    let cases = [
        (Method::GET, "/play", "POST"),
        (Method::PUT, "/play", "POST"),
        (Method::DELETE, "/next", "POST"),
        (Method::GET, "/pair", "POST"),
        (Method::GET, "/leave", "POST"),
        (Method::GET, "/sync", "POST"),
        (Method::PUT, "/tune", "POST"),
        (Method::GET, "/tuning", "POST"),
        (Method::POST, "/snapshot", "GET"),
        (Method::DELETE, "/index", "GET"),
        (Method::POST, "/events", "GET"),
        (Method::POST, "/clock", "GET"),
        (Method::POST, "/healthz", "GET"),
        (Method::POST, file.as_str(), "GET"),
        (Method::PATCH, file.as_str(), "GET"),
    ];
    for (method, path, allowed) in cases {
        let answer = ask(phone.request(method.clone(), path)).await;
        let allow = answer.header("allow").unwrap_or_default().to_owned();
        assert!(
            allow.split(',').any(|found| found.trim() == allowed),
            "{method} {path} allows {allow:?}"
        );
        answer.expect_problem(405);
    }
}

#[tokio::test]
async fn every_answer_tells_a_device_who_it_is() {
    let (_server, phone) = room().await;
    let now = phone.count();
    let answers = [
        (200, phone.get("/snapshot").await),
        (200, phone.get("/index").await),
        (200, phone.get("/clock").await),
        (200, phone.get(&format!("/file/{}", phone.current())).await),
        (404, phone.get(&format!("/file/{UNKNOWN}")).await),
        (428, phone.post("/next").await),
        (400, phone.try_command("/play", now, &json!({})).await),
        (409, phone.try_command("/next", now + 1, &Value::Null).await),
        (
            404,
            phone
                .try_command("/nudge", now, &json!({ "trackId": UNKNOWN }))
                .await,
        ),
        (
            422,
            phone.try_command("/start-now", now, &Value::Null).await,
        ),
        (
            200,
            phone
                .try_command("/seek", now, &json!({ "positionSec": 1 }))
                .await,
        ),
    ];
    for (status, answer) in answers {
        assert_eq!(answer.status, status, "{}", answer.text());
        assert_eq!(answer.header("lockstep-member"), Some("m1"), "{status}");
    }
}

#[tokio::test]
async fn an_accepted_ack_that_changes_nothing_is_no_event() {
    let (_server, phone) = room().await;
    for track in queue(&phone.view) {
        let answer = phone
            .try_command("/ack-download", phone.count(), &json!({ "trackId": track }))
            .await;
        assert_eq!(answer.expect(200).json()["eventCount"], phone.count());
    }
}

#[tokio::test]
async fn a_room_without_music_refuses_and_goes_on() {
    let server = Setup::empty().start().await;
    let phone = Phone::listening(&server).await;
    assert_eq!(
        (&phone.view["queue"], &phone.view["queueIndex"]),
        (&json!([]), &json!(0))
    );
    assert_eq!(phone.get("/index").await.expect(200).json(), json!([]));
    for (path, body) in commands(UNKNOWN) {
        let answer = phone.try_command(path, phone.count(), &body).await;
        assert!(
            (404..=422).contains(&answer.status) && answer.status != 409,
            "{path}: {}",
            answer.status
        );
    }
    assert_eq!(phone.snapshot().await["eventCount"], phone.count());
}

#[tokio::test]
async fn a_room_of_one_track_is_a_ring_too() {
    let setup = Setup::empty();
    common::music::put_wav(&setup.audio().join("alone.wav"), 600, 1_000);
    let server = setup.start().await;
    let mut phone = Phone::listening(&server).await;
    phone.ack_all().await;
    phone.play(9.0).await;
    let (before, track) = (phone.count(), phone.current());
    phone.next().await;
    assert_eq!(
        phone.names_after(before),
        ["queue.advanced", "barrier.opened", "barrier.release"]
    );
    assert_eq!(
        (phone.current(), phone.anchor(), phone.mode()),
        (track, 0.0, "playing")
    );
}

#[tokio::test]
async fn the_clock_is_monotonic_and_runs_at_the_right_speed() {
    let (mut server, mut phone) = room().await;
    let (before, started) = (phone.clock().await, std::time::Instant::now());
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let (after, passed) = (
        phone.clock().await,
        started.elapsed().as_secs_f64() * 1000.0,
    );
    assert!(after - before >= 300.0, "{} ms", after - before);
    assert!(
        after - before <= passed + 1000.0,
        "{} of {passed} ms",
        after - before
    );
    server.stop().await;
    server.start_again().await;
    phone.moved_to(&server);
    assert!(
        phone.clock().await > after,
        "the clock went back at a restart"
    );
}
