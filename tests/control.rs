//! Control commands: their effect, the requests that the server refuses, and the order of its checks.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use common::phone::{ask, http, queued_tracks};
use common::{Phone, Setup, TestServer, durable_state, raw};
use reqwest::Method;
use serde_json::{Value, json};

/// A well-formed track ID that no track has.
const UNKNOWN_TRACK_ID: &str = "0123456789abcdef";

/// The path of every control command, with a valid body about the track `track_id`.
fn commands_with_valid_bodies(track_id: &str) -> Vec<(&'static str, Value)> {
    vec![
        ("/play", json!({ "positionSec": 0.0 })),
        ("/pause", json!({ "positionSec": 0.0 })),
        ("/seek", json!({ "positionSec": 0.0 })),
        ("/next", json!({})),
        ("/previous", json!({})),
        ("/play-now", json!({ "trackId": track_id })),
        ("/nudge", json!({ "trackId": track_id })),
        ("/pick", json!({ "trackIds": [track_id] })),
        ("/unpick", json!({ "trackIds": [track_id] })),
        ("/move", json!({ "trackId": track_id, "before": null })),
        ("/shuffle", json!({})),
        ("/sort", json!({ "order": "title" })),
        ("/undo", json!({})),
        ("/ack-download", json!({ "trackId": track_id })),
        ("/start-now", json!({})),
    ]
}

/// Posts `body` unchanged, with `event_count` in `If-Match-Event`.
async fn post_with_event_count(
    phone: &Phone,
    path: &str,
    event_count: &str,
    body: impl Into<reqwest::Body>,
) -> common::HttpResponse {
    let request = phone
        .request(Method::POST, path)
        .header("if-match-event", event_count);
    ask(request
        .header("content-type", "application/json")
        .body(body))
    .await
}

/// Starts a server and a listening phone that has acknowledged every track.
async fn start_with_ready_listener() -> (TestServer, Phone) {
    let server = TestServer::start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    phone.ack_all().await;
    (server, phone)
}

#[tokio::test]
async fn play_starts_at_once_if_all_listeners_are_ready() {
    let (_server, mut phone) = start_with_ready_listener().await;
    let event_count_before = phone.event_count();
    let response = phone.play(12.5).await;
    assert_eq!(
        phone.durable_event_names_after(event_count_before),
        ["barrier.opened", "barrier.release"]
    );
    assert_eq!(response["eventCount"], event_count_before + 2);
    assert_eq!(
        (phone.play_mode(), phone.anchor_position_sec()),
        ("playing", 12.5)
    );
    assert!(phone.view["barrier"].is_null());

    let opened_payload = phone
        .durable_event("barrier.opened", event_count_before)
        .await
        .payload;
    assert_eq!(opened_payload["type"], "resume");
    assert_eq!(opened_payload["trackId"], phone.current_track().as_str());
    assert_eq!(
        (&opened_payload["members"], &opened_payload["ready"]),
        (&json!(["m1"]), &json!(["m1"]))
    );
    let release_payload = phone
        .durable_event("barrier.release", event_count_before)
        .await
        .payload;
    assert_eq!(release_payload["trackId"], phone.current_track().as_str());
    assert_eq!(release_payload["anchorPositionSec"], 12.5);
    assert!(release_payload["anchorAtMs"].is_f64());
}

#[tokio::test]
async fn play_while_playing_restarts_at_the_given_position() {
    let (_server, mut phone) = start_with_ready_listener().await;
    phone.play(1.0).await;
    let event_count_before = phone.event_count();
    phone.play(30.0).await;
    assert_eq!(
        phone.durable_event_names_after(event_count_before),
        ["barrier.opened", "barrier.release"]
    );
    assert_eq!(
        (phone.play_mode(), phone.anchor_position_sec()),
        ("playing", 30.0)
    );
}

#[tokio::test]
async fn pause_sets_the_anchor_to_the_given_position() {
    let (_server, mut phone) = start_with_ready_listener().await;
    phone.play(0.0).await;
    let event_count_before = phone.event_count();
    phone.pause(7.25).await;
    assert_eq!(
        phone.durable_event_names_after(event_count_before),
        ["playback.paused"]
    );
    assert_eq!(
        (phone.play_mode(), phone.anchor_position_sec()),
        ("paused", 7.25)
    );
    assert_eq!(
        phone
            .durable_event("playback.paused", event_count_before)
            .await
            .payload["anchorPositionSec"],
        7.25
    );
    assert!(phone.snapshot().await["live"]["anchorAtMs"].is_null());
}

#[tokio::test]
async fn seek_moves_the_anchor_and_keeps_the_mode() {
    let (_server, mut phone) = start_with_ready_listener().await;
    let event_count_before = phone.event_count();
    phone.seek(20.0).await;
    assert_eq!(
        phone.durable_event_names_after(event_count_before),
        ["playback.seeked"]
    );
    assert_eq!(
        (phone.play_mode(), phone.anchor_position_sec()),
        ("paused", 20.0)
    );
    assert!(
        phone
            .durable_event("playback.seeked", event_count_before)
            .await
            .payload["anchorAtMs"]
            .is_null()
    );

    phone.play(20.0).await;
    let (event_count_before, clock_before) = (phone.event_count(), phone.server_time_ms().await);
    phone.seek(100.0).await;
    assert_eq!(
        phone.durable_event_names_after(event_count_before),
        ["playback.seeked"]
    );
    assert_eq!(
        (phone.play_mode(), phone.anchor_position_sec()),
        ("playing", 100.0)
    );
    let event = phone
        .durable_event("playback.seeked", event_count_before)
        .await
        .payload;
    assert_eq!(event["anchorPositionSec"], 100.0);
    assert!(event["anchorAtMs"].as_f64().unwrap() >= clock_before);
    assert_eq!(
        phone.snapshot().await["live"]["anchorAtMs"],
        event["anchorAtMs"]
    );
}

#[tokio::test]
async fn seek_keeps_the_open_barrier() {
    let server = TestServer::start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    phone.play(5.0).await;
    phone.seek(50.0).await;
    assert_eq!(phone.barrier_members(), ["m1"]);
    let event_count_before = phone.event_count();
    phone.ack(&phone.current_track()).await;
    let release_event = phone
        .durable_event("barrier.release", event_count_before)
        .await;
    assert_eq!(release_event.payload["anchorPositionSec"], 50.0);
}

#[tokio::test]
async fn position_past_the_end_is_clamped_to_the_duration() {
    let (_server, mut phone) = start_with_ready_listener().await;
    let duration_sec = phone.index_row(&phone.current_track()).await["duration"]
        .as_f64()
        .unwrap();
    assert!(duration_sec >= 600.0);
    for path in ["/seek", "/pause"] {
        for position_sec in [duration_sec + 0.001, 1e9, f64::MAX] {
            phone
                .command_until_accepted(path, json!({ "positionSec": position_sec }))
                .await;
            assert_eq!(
                phone.anchor_position_sec(),
                duration_sec,
                "{path} with positionSec {position_sec}"
            );
        }
        phone
            .command_until_accepted(path, json!({ "positionSec": duration_sec - 0.5 }))
            .await;
        assert_eq!(phone.anchor_position_sec(), duration_sec - 0.5);
    }
    let event_count_before = phone.event_count();
    phone.play(1e9).await;
    let release_event = phone
        .durable_event("barrier.release", event_count_before)
        .await;
    assert_eq!(release_event.payload["anchorPositionSec"], duration_sec);
}

#[tokio::test]
async fn integer_positions_are_accepted() {
    let (_server, mut phone) = start_with_ready_listener().await;
    for (position_sec, expected_sec) in [(json!(0), 0.0), (json!(3), 3.0), (json!(1e1), 10.0)] {
        phone
            .command_until_accepted("/seek", json!({ "positionSec": position_sec }))
            .await;
        assert_eq!(phone.anchor_position_sec(), expected_sec);
    }
}

#[tokio::test]
async fn next_advances_the_queue_and_wraps_around() {
    let (_server, mut phone) = start_with_ready_listener().await;
    let (tracks, first) = (queued_tracks(&phone.view), phone.current_track());
    for step in 1..=tracks.len() {
        let (event_count_before, expected) = (phone.event_count(), phone.next_track());
        phone.play(40.0).await;
        phone.next().await;
        let names = phone.durable_event_names_after(event_count_before + 2);
        assert_eq!(
            names,
            ["queue.advanced", "barrier.opened", "barrier.release"],
            "the events of /next in step {step}"
        );
        assert_eq!(
            phone
                .durable_event("queue.advanced", event_count_before)
                .await
                .payload["trackId"],
            expected.as_str()
        );
        let opened_payload = phone
            .durable_event("barrier.opened", event_count_before + 2)
            .await
            .payload;
        assert_eq!(
            (&opened_payload["type"], &opened_payload["trackId"]),
            (&json!("track"), &json!(expected))
        );
        assert_eq!(
            (
                phone.current_track(),
                phone.play_mode(),
                phone.anchor_position_sec()
            ),
            (expected, "playing", 0.0)
        );
        assert_eq!(
            queued_tracks(&phone.view),
            tracks,
            "the queue order changed"
        );
    }
    assert_eq!(phone.current_track(), first);
}

#[tokio::test]
async fn next_accepts_an_empty_body() {
    let (_server, phone) = start_with_ready_listener().await;
    for (offset, body) in [Value::Null, json!({})].into_iter().enumerate() {
        // The only listener is ready for every track, so each /next causes three events.
        phone
            .try_command("/next", phone.event_count() + 3 * offset as u64, &body)
            .await
            .expect(200);
    }
}

#[tokio::test]
async fn nudge_moves_one_track_and_keeps_the_order_of_the_others() {
    let (_server, mut phone) = start_with_ready_listener().await;
    phone.next().await;
    phone.pause(0.0).await;
    let tracks: Vec<String> = (0..4)
        .map(|offset| phone.track_after_current(offset))
        .collect();
    let event_count_before = phone.event_count();
    phone.nudge(&tracks[3]).await;
    assert_eq!(
        phone.durable_event_names_after(event_count_before),
        ["queue.nudged"]
    );
    assert_eq!(
        phone
            .durable_event("queue.nudged", event_count_before)
            .await
            .payload["trackId"],
        tracks[3].as_str()
    );
    let nudged: Vec<String> = (0..4)
        .map(|offset| phone.track_after_current(offset))
        .collect();
    assert_eq!(
        nudged,
        [&tracks[0], &tracks[3], &tracks[1], &tracks[2]].map(String::clone)
    );

    phone.nudge(&tracks[3]).await;
    assert_eq!(
        phone.next_track(),
        tracks[3],
        "a nudge of the next track changed the next track"
    );
    phone.nudge(&tracks[1]).await;
    let nudged: Vec<String> = (0..4)
        .map(|offset| phone.track_after_current(offset))
        .collect();
    assert_eq!(
        nudged,
        [&tracks[0], &tracks[1], &tracks[3], &tracks[2]].map(String::clone)
    );
}

#[tokio::test]
async fn nudge_of_the_current_track_is_refused() {
    let (_server, phone) = start_with_ready_listener().await;
    let body = json!({ "trackId": phone.current_track() });
    let problem = phone
        .try_command("/nudge", phone.event_count(), &body)
        .await
        .expect_problem(422);
    assert_eq!(problem["code"], "already-current");
}

#[tokio::test]
async fn start_now_without_an_open_barrier_is_refused() {
    let (_server, mut phone) = start_with_ready_listener().await;
    let problem = phone
        .try_command("/start-now", phone.event_count(), &Value::Null)
        .await
        .expect_problem(422);
    assert_eq!(problem["code"], "no-barrier");
    phone.play(0.0).await;
    phone
        .try_command("/start-now", phone.event_count(), &json!({}))
        .await
        .expect_problem(422);
}

#[tokio::test]
async fn command_for_an_unknown_track_is_refused_with_404() {
    let (_server, phone) = start_with_ready_listener().await;
    let body = json!({ "trackId": UNKNOWN_TRACK_ID });
    for path in ["/nudge", "/ack-download"] {
        phone
            .try_command(path, phone.event_count(), &body)
            .await
            .expect_problem(404);
    }
}

/// Each request fails several checks, and the response is that of the first failed check.
#[tokio::test]
async fn request_checks_are_made_in_the_documented_order() {
    let (server, phone) = start_with_ready_listener().await;
    let (current_count, stale_count) = (
        phone.event_count().to_string(),
        (phone.event_count() - 1).to_string(),
    );
    for (path, valid_body) in commands_with_valid_bodies(UNKNOWN_TRACK_ID) {
        let valid_body = valid_body.to_string();
        let invalid_json = "[".to_owned();
        let cases = [
            (false, None, &invalid_json, 401),
            (false, Some("x"), &invalid_json, 401),
            (false, Some(stale_count.as_str()), &valid_body, 401),
            (true, None, &invalid_json, 428),
            (true, None, &valid_body, 428),
            (true, Some("x"), &valid_body, 400),
            (true, Some("x"), &invalid_json, 400),
            (true, Some(stale_count.as_str()), &invalid_json, 400),
            (true, Some(current_count.as_str()), &invalid_json, 400),
        ];
        for (is_paired, event_count, body, expected_status) in cases {
            let request = match is_paired {
                true => phone.request(Method::POST, path),
                false => http().post(server.url(path)),
            };
            let request = match event_count {
                Some(event_count) => request.header("if-match-event", event_count),
                None => request,
            };
            ask(request.body(body.clone()))
                .await
                .expect_problem(expected_status);
        }
        // A command with another event count gets 409, even with an unknown track or without an open barrier.
        post_with_event_count(&phone, path, &stale_count, valid_body)
            .await
            .expect(409);
    }
    post_with_event_count(
        &phone,
        "/nudge",
        &current_count,
        json!({ "trackId": UNKNOWN_TRACK_ID }).to_string(),
    )
    .await
    .expect_problem(404);
    let current_track_id = json!({ "trackId": phone.current_track() }).to_string();
    post_with_event_count(&phone, "/nudge", &stale_count, current_track_id.clone())
        .await
        .expect(409);
    post_with_event_count(&phone, "/nudge", &current_count, current_track_id)
        .await
        .expect_problem(422);
    assert_eq!(
        durable_state(&phone.snapshot().await),
        durable_state(&phone.view),
        "a refused command changed the state"
    );
}

#[tokio::test]
async fn command_without_a_valid_if_match_event_is_refused() {
    let (_server, phone) = start_with_ready_listener().await;
    let current_count = phone.event_count();
    let malformed_event_counts = [
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
    let entity_tag_forms = [
        format!("\"{current_count}\""),
        format!("W/\"{current_count}\""),
        format!("{current_count};"),
        format!("{current_count}, {current_count}"),
    ];
    for (path, body) in commands_with_valid_bodies(&phone.next_track()) {
        for event_count in malformed_event_counts
            .into_iter()
            .chain(entity_tag_forms.iter().map(String::as_str))
        {
            let response = post_with_event_count(&phone, path, event_count, body.to_string()).await;
            assert_eq!(
                response.status, 400,
                "{path} with If-Match-Event {event_count:?}"
            );
            response.expect_problem(400);
        }
    }
    let request_with_two_fields = phone
        .request(Method::POST, "/next")
        .header("if-match-event", current_count)
        .header("if-match-event", current_count);
    ask(request_with_two_fields).await.expect_problem(400);
    assert_eq!(phone.snapshot().await["eventCount"], current_count);
}

#[tokio::test]
async fn malformed_body_with_a_position_is_refused() {
    let (_server, phone) = start_with_ready_listener().await;
    let (current_count, deeply_nested) = (phone.event_count(), "[".repeat(100_000));
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
        deeply_nested.as_bytes(),
    ];
    for path in ["/play", "/pause", "/seek"] {
        for body in bodies {
            let response =
                post_with_event_count(&phone, path, &current_count.to_string(), body.to_vec())
                    .await;
            // A body over the size limit may be refused before it is read.
            if body.len() > 10_000 && response.status == 413 {
                continue;
            }
            assert_eq!(
                response.status,
                400,
                "{path} with {:?}",
                String::from_utf8_lossy(body)
            );
            response.expect_problem(400);
        }
    }
    assert_eq!(phone.snapshot().await["eventCount"], current_count);
}

#[tokio::test]
async fn malformed_bodies_of_other_commands_are_refused() {
    let (_server, phone) = start_with_ready_listener().await;
    let current_count = phone.event_count();
    let track_id = phone.next_track();
    let cases = [
        (
            "/next",
            vec![
                "null",
                "[]",
                "1",
                "{",
                "{}{}",
                "next",
                r#"{"ended":1}"#,
                r#"{"ended":"x"}"#,
            ],
        ),
        ("/previous", vec!["null", "[]", "1", "{"]),
        ("/shuffle", vec!["null", "[]", "1", "{"]),
        ("/undo", vec!["null", "[]", "1", "{"]),
        ("/play-now", vec!["", "{}", "[]", r#"{"trackId":5}"#]),
        (
            "/pick",
            vec!["", "{}", "[]", r#"{"trackIds":[]}"#, r#"{"trackIds":[5]}"#],
        ),
        (
            "/unpick",
            vec!["", "{}", "[]", r#"{"trackIds":[]}"#, r#"{"trackIds":"a"}"#],
        ),
        (
            "/move",
            vec![
                "",
                "{}",
                r#"{"trackId":"0123456789abcdef"}"#,
                r#"{"before":null}"#,
                r#"{"trackId":"0123456789abcdef","before":5}"#,
            ],
        ),
        (
            "/sort",
            vec!["", "{}", r#"{"order":"random"}"#, r#"{"order":null}"#],
        ),
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
            let response =
                post_with_event_count(&phone, path, &current_count.to_string(), body).await;
            assert_eq!(response.status, 400, "{path} with {body:?}");
            response.expect_problem(400);
        }
    }
    for playable in [json!("yes"), json!(0), json!([])] {
        let body = json!({ "trackId": track_id, "playable": playable });
        phone
            .try_command("/ack-download", current_count, &body)
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
            let response = phone
                .try_command(path, current_count, &json!({ "trackId": id }))
                .await;
            assert!(
                [400, 404].contains(&response.status),
                "{path} with the track id {id:?} got status {}",
                response.status
            );
        }
    }
    assert_eq!(phone.snapshot().await["eventCount"], current_count);
}

#[tokio::test]
async fn oversized_body_is_refused_and_the_server_keeps_serving() {
    let (server, phone) = start_with_ready_listener().await;
    let (current_count, size) = (phone.event_count(), 64 * 1024 * 1024);
    let request_head = |length: &str| {
        format!(
            "POST /play HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nIf-Match-Event: {current_count}\r\n{length}\r\n\r\n",
            phone.token
        )
    };
    // The first request declares a large Content-Length and sends no body. The second sends one megabyte in chunks.
    let content_length_response = raw::send(
        server.address(),
        request_head(&format!("Content-Length: {size}")),
    )
    .await;
    assert!(
        [400, 413].contains(&content_length_response.status),
        "{content_length_response:?}"
    );
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x1_0000));
    let chunked_response =
        request_head("Transfer-Encoding: chunked") + &chunk.repeat(16) + "0\r\n\r\n";
    let chunked_response = raw::send(server.address(), chunked_response).await;
    assert!(
        [400, 413].contains(&chunked_response.status),
        "{chunked_response:?}"
    );
    assert_eq!(phone.snapshot().await["eventCount"], current_count);
}

#[tokio::test]
async fn command_with_another_event_count_gets_409_with_the_current_state() {
    let (_server, phone) = start_with_ready_listener().await;
    let current_count = phone.event_count();
    for event_count in [0, current_count - 1, current_count + 1, u64::MAX] {
        for (path, body) in commands_with_valid_bodies(&phone.next_track()) {
            let response = phone
                .try_command(path, event_count, &body)
                .await
                .expect(409);
            assert_eq!(response.header("content-type"), Some("application/json"));
            let body = response.json();
            let mut fields: Vec<_> = body.as_object().unwrap().keys().collect();
            fields.sort();
            assert_eq!(fields, ["expectedEventCount", "snapshot"]);
            assert_eq!(body["expectedEventCount"], current_count);
            assert_eq!(durable_state(&body["snapshot"]), durable_state(&phone.view));
            assert!(body["snapshot"]["live"].is_object());
        }
    }
}

#[tokio::test]
async fn response_omits_the_snapshot_for_prefer_return_minimal() {
    let (_server, phone) = start_with_ready_listener().await;
    let mut event_count = phone.event_count();
    for preference in [
        "return=minimal",
        "respond-async, return=minimal",
        "return=minimal; wait=5",
    ] {
        let send_seek = |event_count: u64| {
            let request = phone
                .request(Method::POST, "/seek")
                .json(&json!({ "positionSec": 1 }));
            ask(request
                .header("if-match-event", event_count)
                .header("prefer", preference))
        };
        event_count += 1;
        assert_eq!(
            send_seek(event_count - 1).await.expect(200).json(),
            json!({ "eventCount": event_count }),
            "{preference}"
        );
        assert_eq!(
            send_seek(0).await.expect(409).json(),
            json!({ "expectedEventCount": event_count }),
            "{preference}"
        );
    }
    let request = phone
        .request(Method::POST, "/seek")
        .json(&json!({ "positionSec": 1 }));
    let response = ask(request
        .header("if-match-event", event_count)
        .header("prefer", "return=representation"))
    .await;
    assert!(response.expect(200).json()["snapshot"].is_object());
}

#[tokio::test]
async fn unknown_path_gets_404_and_wrong_method_gets_405() {
    let (_server, phone) = start_with_ready_listener().await;
    let track_id = phone.current_track();
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
        .get(&format!("/file/{track_id}/"))
        .await
        .expect_problem(404);
    phone.post("/nothing").await.expect_problem(404);
    let file_path = format!("/file/{track_id}");
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
        (Method::POST, file_path.as_str(), "GET"),
        (Method::PATCH, file_path.as_str(), "GET"),
    ];
    for (method, path, allowed) in cases {
        let response = ask(phone.request(method.clone(), path)).await;
        let allow_field = response.header("allow").unwrap_or_default().to_owned();
        assert!(
            allow_field.split(',').any(|found| found.trim() == allowed),
            "{method} {path} allows {allow_field:?}"
        );
        response.expect_problem(405);
    }
}

#[tokio::test]
async fn every_response_to_a_paired_device_has_its_member_id_header() {
    let (_server, phone) = start_with_ready_listener().await;
    let current_count = phone.event_count();
    let responses = [
        (200, phone.get("/snapshot").await),
        (200, phone.get("/index").await),
        (200, phone.get("/clock").await),
        (
            200,
            phone.get(&format!("/file/{}", phone.current_track())).await,
        ),
        (404, phone.get(&format!("/file/{UNKNOWN_TRACK_ID}")).await),
        (428, phone.post("/next").await),
        (
            400,
            phone.try_command("/play", current_count, &json!({})).await,
        ),
        (
            409,
            phone
                .try_command("/next", current_count + 1, &Value::Null)
                .await,
        ),
        (
            404,
            phone
                .try_command(
                    "/nudge",
                    current_count,
                    &json!({ "trackId": UNKNOWN_TRACK_ID }),
                )
                .await,
        ),
        (
            422,
            phone
                .try_command("/start-now", current_count, &Value::Null)
                .await,
        ),
        (
            200,
            phone
                .try_command("/seek", current_count, &json!({ "positionSec": 1 }))
                .await,
        ),
    ];
    for (status, response) in responses {
        assert_eq!(response.status, status, "{}", response.text());
        assert_eq!(response.header("lockstep-member"), Some("m1"), "{status}");
    }
}

#[tokio::test]
async fn repeated_acknowledgement_of_each_track_causes_no_event() {
    let (_server, phone) = start_with_ready_listener().await;
    for track_id in queued_tracks(&phone.view) {
        let response = phone
            .try_command(
                "/ack-download",
                phone.event_count(),
                &json!({ "trackId": track_id }),
            )
            .await;
        assert_eq!(
            response.expect(200).json()["eventCount"],
            phone.event_count()
        );
    }
}

#[tokio::test]
async fn empty_library_refuses_playback_commands() {
    let server = Setup::empty().start().await;
    let phone = Phone::pair_and_listen(&server).await;
    assert_eq!(
        (&phone.view["queue"], &phone.view["queueIndex"]),
        (&json!([]), &json!(0))
    );
    assert_eq!(phone.get("/index").await.expect(200).json(), json!([]));
    for (path, body) in commands_with_valid_bodies(UNKNOWN_TRACK_ID) {
        let response = phone.try_command(path, phone.event_count(), &body).await;
        assert!(
            (404..=422).contains(&response.status) && response.status != 409,
            "{path} got status {}",
            response.status
        );
    }
    assert_eq!(phone.snapshot().await["eventCount"], phone.event_count());
}

#[tokio::test]
async fn single_track_queue_wraps_around() {
    let setup = Setup::empty();
    common::music::put_wav(&setup.audio().join("alone.wav"), 600, 1_000);
    let server = setup.start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    phone.ack_all().await;
    phone.play(9.0).await;
    let (event_count_before, track_id) = (phone.event_count(), phone.current_track());
    phone.next().await;
    assert_eq!(
        phone.durable_event_names_after(event_count_before),
        ["queue.advanced", "barrier.opened", "barrier.release"]
    );
    assert_eq!(
        (
            phone.current_track(),
            phone.anchor_position_sec(),
            phone.play_mode()
        ),
        (track_id, 0.0, "playing")
    );
}

#[tokio::test]
async fn clock_runs_at_real_time_and_never_goes_back_after_a_restart() {
    let (mut server, mut phone) = start_with_ready_listener().await;
    let (clock_before, started_at) = (phone.server_time_ms().await, std::time::Instant::now());
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let (clock_after, elapsed_ms) = (
        phone.server_time_ms().await,
        started_at.elapsed().as_secs_f64() * 1000.0,
    );
    assert!(
        clock_after - clock_before >= 300.0,
        "the clock advanced by {} ms in at least 300 ms",
        clock_after - clock_before
    );
    assert!(
        clock_after - clock_before <= elapsed_ms + 1000.0,
        "the clock advanced by {} ms in {elapsed_ms} ms",
        clock_after - clock_before
    );
    server.stop().await;
    server.restart().await;
    phone.use_server(&server);
    assert!(
        phone.server_time_ms().await > clock_after,
        "the clock went back at the restart"
    );
}
