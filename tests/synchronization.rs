//! Synchronisation: the clock, sync reports of listeners, the lead time of a start, speaker delays, and test sounds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::time::Instant;

use common::faulty_disk::{Fault, FaultyDisk};
use common::phone::{Block, EventStream, ask, http};
use common::{Event, HttpResponse, Phone, Setup, TestServer, durable_state};
use reqwest::Method;
use serde_json::{Value, json};

async fn post(phone: &Phone, path: &str, body: &Value) -> HttpResponse {
    ask(phone.request(Method::POST, path).json(body)).await
}

/// A valid sync report. `off_ms` is the phone's offset from the room, and `needs_ms` the lead time that the phone needs.
fn sync_report(off_ms: f64, needs_ms: f64) -> Value {
    json!({ "offMs": off_ms, "roundTripMs": 8.04, "latencyMs": 41.25, "needsMs": needs_ms })
}

/// The shown values of a member's last sync report. Null without a report.
fn sync_values(view: &Value, member: &str) -> Value {
    view["live"]["listeners"][member]["sync"].clone()
}

/// Receives events until `other_phone` is a listener, or is none if `should_be_connected` is false.
async fn wait_for_presence(phone: &mut Phone, other_phone: &Phone, should_be_connected: bool) {
    let is_connected = |view: &Value| !view["live"]["listeners"][&other_phone.member].is_null();
    let change = if should_be_connected { "join" } else { "leave" };
    let description = format!("{} to {change} the listeners", other_phone.member);
    phone
        .wait_until(&description, |view| {
            is_connected(view) == should_be_connected
        })
        .await;
}

/// Closes the phone's stream, and waits until `observer` has received an event about that departure.
async fn disconnect(phone: &mut Phone, observer: &mut Phone) {
    wait_for_presence(observer, phone, true).await;
    phone.close_stream();
    wait_for_presence(observer, phone, false).await;
}

/// Sends a sync report and waits until `GET /snapshot` contains it.
async fn report_and_wait_for_snapshot(phone: &Phone, report: Value) {
    post(phone, "/sync", &report).await.expect(204);
    let deadline = Instant::now() + common::WAIT_TIMEOUT;
    let seen = |sync: Value| sync["offMs"] == report["offMs"];
    while !seen(sync_values(&phone.snapshot().await, &phone.member)) {
        assert!(
            Instant::now() < deadline,
            "the snapshot does not contain the report {report}"
        );
    }
}

// The server's clock.

#[tokio::test]
async fn clock_response_has_the_times_of_request_receipt_and_of_response() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    let mut previous_sent_ms = 0.0;
    for _ in 0..20 {
        let response = phone.get("/clock").await.expect(200);
        assert_eq!(response.header("cache-control"), Some("no-store"));
        let body = response.json();
        assert_eq!(body.as_object().unwrap().len(), 2, "{body}");
        let [received_ms, sent_ms] =
            ["receivedMs", "serverMs"].map(|field| body[field].as_f64().unwrap());
        assert!(
            previous_sent_ms < received_ms && received_ms < sent_ms,
            "the response after {previous_sent_ms} ms is {body}"
        );
        previous_sent_ms = sent_ms;
    }
}

// Sync reports.

#[tokio::test]
async fn sync_report_appears_in_live_events_and_snapshots() {
    let server = TestServer::start().await;
    let mut alice = Phone::pair_and_listen(&server).await;
    let bob = Phone::pair_and_listen(&server).await;
    wait_for_presence(&mut alice, &bob, true).await;
    let event_count_before = alice.event_count();
    let listener = &alice.view["live"]["listeners"]["m2"];
    assert!(listener.get("sync").is_none(), "{listener}");

    post(&bob, "/sync", &sync_report(-1.26, 150.0))
        .await
        .expect(204);
    let event = alice.live_event("progress").await;
    let sync =
        json!({ "offMs": -1.3, "roundTripMs": 8.0, "latencyMs": 41.3, "waitsForTap": false });
    assert_eq!(event.payload["listeners"]["m2"]["sync"], sync);
    assert!(event.payload["listeners"]["m1"].get("sync").is_none());
    assert_eq!(sync_values(&bob.snapshot().await, "m2"), sync);

    let mut report_without_offset = sync_report(0.0, 150.0);
    report_without_offset["offMs"] = Value::Null;
    report_without_offset["waitsForTap"] = true.into();
    post(&bob, "/sync", &report_without_offset)
        .await
        .expect(204);
    let event = alice.live_event("presence").await;
    let sync = event.payload["listeners"]["m2"]["sync"].clone();
    assert!(
        sync["offMs"].is_null() && sync["waitsForTap"] == true,
        "{sync}"
    );
    report_without_offset["pausedAlone"] = true.into();
    post(&bob, "/sync", &report_without_offset)
        .await
        .expect(204);
    let event = alice.live_event("presence").await;
    let sync = &event.payload["listeners"]["m2"]["sync"];
    assert_eq!(sync["pausedAlone"], true);
    post(&bob, "/sync", &sync_report(0.0, 150.0))
        .await
        .expect(204);
    let event = alice.live_event("presence").await;
    assert_eq!(
        event.payload["listeners"]["m2"]["sync"]["waitsForTap"],
        false
    );
    assert_eq!(
        alice.snapshot().await["eventCount"],
        event_count_before,
        "a sync report changed the event count"
    );
}

#[tokio::test]
async fn only_sync_reports_of_connected_listeners_are_kept() {
    let server = TestServer::start().await;
    let mut alice = Phone::pair_and_listen(&server).await;
    let mut bob = Phone::pair_and_listen(&server).await;
    let mut remote = Phone::pair(&server).await;
    remote.open_stream_at("/events?role=remote").await;
    let without_stream = Phone::pair(&server).await;
    for phone in [&remote, &without_stream] {
        post(phone, "/sync", &sync_report(1.0, 900.0))
            .await
            .expect(204);
    }
    report_and_wait_for_snapshot(&bob, sync_report(2.0, 150.0)).await;
    let listeners = alice.snapshot().await["live"]["listeners"].clone();
    assert_eq!(listeners["m3"]["role"], "remote");
    assert!(listeners["m3"].get("sync").is_none() && listeners.get("m4").is_none());

    disconnect(&mut bob, &mut alice).await;
    bob.listen().await;
    assert_eq!(sync_values(&bob.view, "m2"), Value::Null);
}

#[tokio::test]
async fn malformed_sync_report_is_refused() {
    let server = TestServer::start().await;
    let phone = Phone::pair_and_listen(&server).await;
    let with = |field: &str, value: Value| {
        let mut body = sync_report(1.0, 150.0);
        body[field] = value;
        body
    };
    let without = |field: &str| {
        let mut body = sync_report(1.0, 150.0);
        body.as_object_mut().unwrap().remove(field);
        body
    };
    let mut bodies = vec![json!([]), json!({}), with("waitsForTap", json!("no"))];
    for field in ["offMs", "roundTripMs", "latencyMs", "needsMs"] {
        bodies.push(without(field));
        for value in [json!("1"), json!(60_000.5), json!(-60_000.5)] {
            bodies.push(with(field, value));
        }
    }
    for field in ["roundTripMs", "latencyMs", "needsMs"] {
        bodies.push(with(field, json!(-0.1)));
        bodies.push(with(field, Value::Null));
    }
    for body in bodies {
        post(&phone, "/sync", &body).await.expect_problem(400);
    }
    for body_text in [
        "",
        "{",
        r#"{"offMs":1e999,"roundTripMs":1,"latencyMs":1,"needsMs":1}"#,
    ] {
        let request = phone.request(Method::POST, "/sync").body(body_text);
        ask(request).await.expect_problem(400);
    }
    assert_eq!(sync_values(&phone.snapshot().await, "m1"), Value::Null);
}

#[tokio::test]
async fn frequent_sync_reports_are_batched_into_few_progress_events() {
    const REPORT_COUNT: u32 = 100;
    let server = TestServer::start().await;
    let mut alice = Phone::pair_and_listen(&server).await;
    let bob = Phone::pair_and_listen(&server).await;
    let started_at = Instant::now();
    for report_index in 1..=REPORT_COUNT {
        let body = sync_report(report_index.into(), 150.0);
        post(&bob, "/sync", &body).await.expect(204);
    }
    let has_last_report =
        |view: &Value| sync_values(view, "m2")["offMs"] == f64::from(REPORT_COUNT);
    alice
        .wait_until("the last sync report", has_last_report)
        .await;
    let progress_events = alice
        .received_events
        .iter()
        .filter(|event| event.name == "progress");
    let max_events = 2 + started_at.elapsed().as_secs() / 2;
    assert!(
        progress_events.count() as u64 <= max_events,
        "more than {max_events} progress events in {:?}",
        started_at.elapsed()
    );
}

#[tokio::test]
async fn sync_report_with_the_same_shown_values_causes_no_event() {
    let server = TestServer::start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    post(&phone, "/sync", &sync_report(1.0, 150.0))
        .await
        .expect(204);
    phone.live_event("progress").await;
    let stream = phone.request(Method::GET, "/events?role=remote");
    let mut stream = EventStream::open(stream).await;
    assert_eq!(stream.next_event().await.unwrap().name, "snapshot");
    for (off_ms, needs_ms) in [(1.0, 150.0), (1.0, 300.0), (1.01, 300.0)] {
        let body = sync_report(off_ms, needs_ms);
        post(&phone, "/sync", &body).await.expect(204);
    }
    // A throttled event would arrive before the second heartbeat: the heartbeat interval is longer than the longest delay.
    let mut heartbeats = 0;
    while heartbeats < 2 {
        match stream.next_block().await.unwrap() {
            Block::Comment => heartbeats += 1,
            other => panic!("the stream received {other:?}"),
        }
    }
}

// The lead time of a start.

/// Seeks, and returns an upper and a lower bound of the lead time of the start in milliseconds. They are the differences between
/// the announced start and the server's clock before the request and after the response.
async fn lead_time_bounds(phone: &mut Phone) -> (f64, f64) {
    let (clock_before, event_count) = (phone.server_time_ms().await, phone.event_count());
    phone.seek(10.0).await;
    let clock_after = phone.server_time_ms().await;
    let event = phone.durable_event("playback.seeked", event_count).await;
    let start_ms = event.payload["anchorAtMs"].as_f64().unwrap();
    (start_ms - clock_before, start_ms - clock_after)
}

#[tokio::test]
async fn lead_time_covers_the_slowest_listener_up_to_one_second() {
    let server = TestServer::start().await;
    let mut alice = Phone::pair_and_listen(&server).await;
    let mut bob = Phone::pair_and_listen(&server).await;
    for phone in [&mut alice, &mut bob] {
        phone.ack_all().await;
    }
    alice.play(0.0).await;
    for (needs_ms, min_ms, max_ms) in [(10.0, 150.0, 450.0), (700.0, 700.0, 1_000.0)] {
        report_and_wait_for_snapshot(&bob, sync_report(needs_ms, needs_ms)).await;
        let (upper_bound_ms, lower_bound_ms) = lead_time_bounds(&mut alice).await;
        assert!(
            upper_bound_ms >= min_ms,
            "the lead time is at most {upper_bound_ms} ms for a need of {needs_ms} ms"
        );
        assert!(
            lower_bound_ms <= max_ms,
            "the lead time is at least {lower_bound_ms} ms for a need of {needs_ms} ms"
        );
    }
    // The lead time has an upper limit of one second.
    report_and_wait_for_snapshot(&bob, sync_report(9.0, 60_000.0)).await;
    let (upper_bound_ms, lower_bound_ms) = lead_time_bounds(&mut alice).await;
    assert!(upper_bound_ms >= 1_000.0 && lower_bound_ms <= 1_000.0);

    // The needs of a departed listener no longer count.
    disconnect(&mut bob, &mut alice).await;
    let (_, lower_bound_ms) = lead_time_bounds(&mut alice).await;
    assert!(
        lower_bound_ms <= 450.0,
        "the lead time is at least {lower_bound_ms} ms without the slow listener"
    );
}

#[tokio::test]
async fn lead_time_includes_the_duration_of_state_file_writes() {
    let setup = Setup::long_tracks();
    let disk = FaultyDisk::under(setup.state_file().parent().unwrap());
    let server = setup.env(disk.environment()).start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    phone.ack_all().await;
    disk.inject("fsync", Fault::Delay(200));
    phone.play(0.0).await;
    let (upper_bound_ms, _) = lead_time_bounds(&mut phone).await;
    assert!(
        upper_bound_ms >= 350.0,
        "the lead time is at most {upper_bound_ms} ms"
    );
}

#[tokio::test]
async fn event_alignment_announces_no_start_time_despite_sync_reports() {
    let server = Setup::long_tracks().flag("--alignment=event").start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    phone.ack_all().await;
    report_and_wait_for_snapshot(&phone, sync_report(1.0, 700.0)).await;
    let response = phone.play(0.0).await;
    assert!(response["snapshot"]["live"]["anchorAtMs"].is_null());
}

// Speaker delays.

#[tokio::test]
async fn each_changed_speaker_delay_causes_one_event() {
    let mut server = TestServer::start().await;
    let mut alice = Phone::pair_and_listen(&server).await;
    let bob = Phone::pair_as(&server, "Bob").await;
    alice.wait_for_event_count(bob.event_count()).await;
    let event_count_before = alice.event_count();
    let tune = async |delays: Value| post(&bob, "/tune", &json!({ "delays": delays })).await;

    let response = tune(json!({ "m1": 12.34, "m2": -500 })).await.expect(200);
    assert_eq!(
        response.json(),
        json!({ "eventCount": event_count_before + 2 })
    );
    alice.wait_for_event_count(event_count_before + 2).await;
    assert_eq!(
        alice.durable_event_names_after(event_count_before),
        ["client.tuned", "client.tuned"]
    );
    let member_and_delay = |event: &Event| {
        (
            event.payload["memberId"].clone(),
            event.payload["delayMs"].clone(),
        )
    };
    let first_event = alice
        .durable_event("client.tuned", event_count_before)
        .await;
    let second_event = alice
        .durable_event("client.tuned", event_count_before + 1)
        .await;
    assert_eq!(member_and_delay(&first_event), (json!("m1"), json!(12.3)));
    assert_eq!(
        member_and_delay(&second_event),
        (json!("m2"), json!(-500.0))
    );
    let clients = json!({
        "m1": { "name": "", "delayMs": 12.3 },
        "m2": { "name": "Bob", "delayMs": -500.0 },
    });
    assert_eq!(alice.view["clients"], clients);

    // An unchanged delay causes no event, and a delay of 0 is omitted from the snapshot.
    let response = tune(json!({ "m1": 12.31, "m2": 0.01 })).await.expect(200);
    assert_eq!(
        response.json(),
        json!({ "eventCount": event_count_before + 3 })
    );
    let event = alice
        .durable_event("client.tuned", event_count_before + 2)
        .await;
    assert_eq!(member_and_delay(&event), (json!("m2"), json!(0.0)));
    assert_eq!(alice.view["clients"]["m2"], json!({ "name": "Bob" }));
    tune(json!({ "m1": 12.3 })).await.expect(200);

    server.kill().await;
    server.restart().await;
    let alice = alice.clone_for_server(&server);
    let pairing = json!({ "code": common::CODE, "clientName": "Kitchen" });
    post(&alice, "/pair", &pairing).await.expect(200);
    let rename = json!({ "clientName": "Bath" });
    let client = |name: &str| json!({ "name": name, "delayMs": 12.3 });
    assert_eq!(alice.snapshot().await["clients"]["m1"], client("Kitchen"));
    post(&alice, "/rename", &rename).await.expect(200);
    assert_eq!(alice.snapshot().await["clients"]["m1"], client("Bath"));
}

#[tokio::test]
async fn request_with_an_invalid_speaker_delay_changes_no_delay() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    for (status, delays) in [
        (400, json!({})),
        (400, json!([])),
        (400, Value::Null),
        (400, json!({ "m1": 500.1 })),
        (400, json!({ "m1": -500.1 })),
        (400, json!({ "m1": "5" })),
        (400, json!({ "m1": null })),
        (400, json!({ "m01": 5 })),
        (400, json!({ "m1": 5, "m9": 501 })),
        (404, json!({ "m9": 5 })),
        (404, json!({ "m1": 5, "m9": 5 })),
    ] {
        let body = json!({ "delays": delays });
        post(&phone, "/tune", &body).await.expect_problem(status);
    }
    post(&phone, "/tune", &json!({})).await.expect_problem(400);
    assert_eq!(
        durable_state(&phone.snapshot().await),
        durable_state(&phone.view)
    );
}

// Test sounds.

#[tokio::test]
async fn test_sound_is_announced_one_second_before_it_starts() {
    let server = TestServer::start().await;
    let mut alice = Phone::pair_and_listen(&server).await;
    let mut remote = Phone::pair(&server).await;
    remote.open_stream_at("/events?role=remote").await;
    let bob = Phone::pair_and_listen(&server).await;
    wait_for_presence(&mut remote, &bob, true).await;
    let event_count = remote.event_count();
    for kind in ["tick", "chirp", "off"] {
        let server_ms_before = remote.server_time_ms().await;
        while post(&remote, "/tuning", &json!({ "kind": kind }))
            .await
            .status
            != 204
        {}
        let server_ms_after = remote.server_time_ms().await;
        for phone in [&mut alice, &mut remote] {
            let event = phone.live_event("tuning").await;
            assert_eq!(event.payload["kind"], kind);
            assert_eq!(event.payload["memberIds"], json!(["m1", "m3"]));
            let start_ms = event.payload["startsAtMs"].as_f64().unwrap();
            let expected_range = server_ms_before + 1_000.0..=server_ms_after + 1_000.0;
            assert!(
                expected_range.contains(&start_ms),
                "the start at {start_ms} ms is not within {expected_range:?}"
            );
            assert_eq!(event.payload.as_object().unwrap().len(), 3);
        }
    }
    assert_eq!(remote.snapshot().await["eventCount"], event_count);
}

#[tokio::test]
async fn test_sounds_are_rate_limited() {
    let server = TestServer::start().await;
    let [alice, bob] = [Phone::pair(&server).await, Phone::pair(&server).await];
    let body = json!({ "kind": "tick" });
    let (started_at, mut accepted_count) = (Instant::now(), 0);
    while accepted_count < 3 {
        for phone in [&alice, &bob] {
            let response = post(phone, "/tuning", &body).await;
            match response.status {
                204 => accepted_count += 1,
                _ => {
                    assert_eq!(response.header("retry-after"), Some("1"));
                    response.expect_problem(429);
                }
            }
        }
    }
    let max_accepted_count = 1 + started_at.elapsed().as_millis() / 200;
    assert!(
        accepted_count <= max_accepted_count,
        "{accepted_count} test sounds were accepted in {:?}",
        started_at.elapsed()
    );
}

#[tokio::test]
async fn invalid_test_sound_is_refused() {
    let server = TestServer::start().await;
    let phone = Phone::pair_and_listen(&server).await;
    for body in [
        json!({}),
        json!({ "kind": "horn" }),
        json!({ "kind": null }),
    ] {
        post(&phone, "/tuning", &body).await.expect_problem(400);
    }
    let tick = json!({ "kind": "tick" });
    let unpaired = http().post(server.url("/tuning")).json(&tick);
    ask(unpaired).await.expect_problem(401);
    // None of the refused requests counted against the rate limit.
    post(&phone, "/tuning", &tick).await.expect(204);

    let server = Setup::long_tracks().flag("--alignment=event").start().await;
    let phone = Phone::pair_and_listen(&server).await;
    let problem = post(&phone, "/tuning", &tick).await.expect_problem(422);
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("--alignment event"), "{detail}");
}
