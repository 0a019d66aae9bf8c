//! In step: the clock, what listeners report of their sync, the lead that follows from it, speakers' delays, and the sounds
//! by which speakers are compared.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on panics"
)]

pub mod common;

use std::time::Instant;

use common::faulty_disk::{FaultyDisk, Order};
use common::phone::{Block, EventStream, ask, http};
use common::{Answer, Event, Phone, Setup, TestServer, durable};
use reqwest::Method;
use serde_json::{Value, json};

async fn post(phone: &Phone, path: &str, body: &Value) -> Answer {
    ask(phone.request(Method::POST, path).json(body)).await
}

/// A report that is in order, so far off and with such needs, in milliseconds.
fn report(off_ms: f64, needs_ms: f64) -> Value {
    json!({ "offMs": off_ms, "roundTripMs": 8.04, "latencyMs": 41.25, "needsMs": needs_ms })
}

fn sync_of(view: &Value, member: &str) -> Value {
    view["live"]["listeners"][member]["sync"].clone()
}

/// Hears on until `other` is among the listeners, or is not.
async fn sees(phone: &mut Phone, other: &Phone, there: bool) {
    let is_there = |view: &Value| !view["live"]["listeners"][&other.member].is_null();
    let what = format!("{} to be there: {there}", other.member);
    phone
        .wait_until(&what, |view| is_there(view) == there)
        .await;
}

/// Closes its stream, and waits until `witness`, who has seen it, sees it no more.
async fn departs(phone: &mut Phone, witness: &mut Phone) {
    sees(witness, phone, true).await;
    phone.hang_up();
    sees(witness, phone, false).await;
}

/// Reports, and waits until the room has heard of it.
async fn report_until_seen(phone: &Phone, body: Value) {
    post(phone, "/sync", &body).await.expect(204);
    let deadline = Instant::now() + common::PATIENCE;
    let seen = |sync: Value| sync["offMs"] == body["offMs"];
    while !seen(sync_of(&phone.snapshot().await, &phone.member)) {
        assert!(Instant::now() < deadline, "{body} is not seen");
    }
}

// The clock.

#[tokio::test]
async fn the_clock_tells_when_the_request_was_seen_and_when_it_was_answered() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    let mut last = 0.0;
    for _ in 0..20 {
        let answer = phone.get("/clock").await.expect(200);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let body = answer.json();
        assert_eq!(body.as_object().unwrap().len(), 2, "{body}");
        let [received, told] =
            ["receivedMs", "serverMs"].map(|field| body[field].as_f64().unwrap());
        assert!(last < received && received < told, "{last} {body}");
        last = told;
    }
}

// What listeners report.

#[tokio::test]
async fn everybody_sees_how_well_a_listener_says_that_it_is_in_step() {
    let server = TestServer::start().await;
    let mut alice = Phone::listening(&server).await;
    let bob = Phone::listening(&server).await;
    sees(&mut alice, &bob, true).await;
    let before = alice.count();
    let listener = &alice.view["live"]["listeners"]["m2"];
    assert!(listener.get("sync").is_none(), "{listener}");

    post(&bob, "/sync", &report(-1.26, 150.0)).await.expect(204);
    let event = alice.live_event("progress").await;
    let seen =
        json!({ "offMs": -1.3, "roundTripMs": 8.0, "latencyMs": 41.3, "waitsForTap": false });
    assert_eq!(event.payload["listeners"]["m2"]["sync"], seen);
    assert!(event.payload["listeners"]["m1"].get("sync").is_none());
    assert_eq!(sync_of(&bob.snapshot().await, "m2"), seen);

    let mut silent = report(0.0, 150.0);
    silent["offMs"] = Value::Null;
    silent["waitsForTap"] = true.into();
    post(&bob, "/sync", &silent).await.expect(204);
    let event = alice.live_event("presence").await;
    let seen = event.payload["listeners"]["m2"]["sync"].clone();
    assert!(
        seen["offMs"].is_null() && seen["waitsForTap"] == true,
        "{seen}"
    );
    post(&bob, "/sync", &report(0.0, 150.0)).await.expect(204);
    let event = alice.live_event("presence").await;
    assert_eq!(
        event.payload["listeners"]["m2"]["sync"]["waitsForTap"],
        false
    );
    assert_eq!(
        alice.snapshot().await["eventCount"],
        before,
        "it is counted"
    );
}

#[tokio::test]
async fn a_report_is_forgotten_when_its_listener_departs_and_never_kept_of_one_that_does_not_listen()
 {
    let server = TestServer::start().await;
    let mut alice = Phone::listening(&server).await;
    let mut bob = Phone::listening(&server).await;
    let mut remote = Phone::pair(&server).await;
    remote.listen_at("/events?role=remote").await;
    let stranger = Phone::pair(&server).await;
    for phone in [&remote, &stranger] {
        post(phone, "/sync", &report(1.0, 900.0)).await.expect(204);
    }
    report_until_seen(&bob, report(2.0, 150.0)).await;
    let listeners = alice.snapshot().await["live"]["listeners"].clone();
    assert_eq!(listeners["m3"]["role"], "remote");
    assert!(listeners["m3"].get("sync").is_none() && listeners.get("m4").is_none());

    departs(&mut bob, &mut alice).await;
    bob.listen().await;
    assert_eq!(sync_of(&bob.view, "m2"), Value::Null);
}

#[tokio::test]
async fn a_report_that_is_not_in_order_is_refused() {
    let server = TestServer::start().await;
    let phone = Phone::listening(&server).await;
    let with = |field: &str, value: Value| {
        let mut body = report(1.0, 150.0);
        body[field] = value;
        body
    };
    let without = |field: &str| {
        let mut body = report(1.0, 150.0);
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
    for text in [
        "",
        "{",
        r#"{"offMs":1e999,"roundTripMs":1,"latencyMs":1,"needsMs":1}"#,
    ] {
        let request = phone.request(Method::POST, "/sync").body(text);
        ask(request).await.expect_problem(400);
    }
    assert_eq!(sync_of(&phone.snapshot().await, "m1"), Value::Null);
}

#[tokio::test]
async fn many_reports_are_told_together_and_not_one_by_one() {
    const REPORTS: u32 = 100;
    let server = TestServer::start().await;
    let mut alice = Phone::listening(&server).await;
    let bob = Phone::listening(&server).await;
    let began = Instant::now();
    for n in 1..=REPORTS {
        let body = report(n.into(), 150.0);
        post(&bob, "/sync", &body).await.expect(204);
    }
    let last = |view: &Value| sync_of(view, "m2")["offMs"] == f64::from(REPORTS);
    alice.wait_until("the last report", last).await;
    let told = alice.heard.iter().filter(|event| event.name == "progress");
    let most = 2 + began.elapsed().as_secs() / 2;
    assert!(told.count() as u64 <= most, "in {:?}", began.elapsed());
}

#[tokio::test]
async fn a_report_that_shows_nothing_new_is_told_to_nobody() {
    let server = TestServer::start().await;
    let mut phone = Phone::listening(&server).await;
    post(&phone, "/sync", &report(1.0, 150.0)).await.expect(204);
    phone.live_event("progress").await;
    let stream = phone.request(Method::GET, "/events?role=remote");
    let mut stream = EventStream::open(stream).await;
    assert_eq!(stream.event().await.unwrap().name, "snapshot");
    for (off_ms, needs_ms) in [(1.0, 150.0), (1.0, 300.0), (1.01, 300.0)] {
        let body = report(off_ms, needs_ms);
        post(&phone, "/sync", &body).await.expect(204);
    }
    // Between two signs of life lies more time than the longest pause.
    let mut signs = 0;
    while signs < 2 {
        match stream.block().await.unwrap() {
            Block::Comment => signs += 1,
            other => panic!("everybody is told {other:?}"),
        }
    }
}

// The lead.

/// When the next start of a phone that seeks lies, in milliseconds from before it asked and from after it was answered.
async fn lead(phone: &mut Phone) -> (f64, f64) {
    let (before, count) = (phone.clock().await, phone.count());
    phone.seek(10.0).await;
    let after = phone.clock().await;
    let event = phone.durable_event("playback.seeked", count).await;
    let at = event.payload["anchorAtMs"].as_f64().unwrap();
    (at - before, at - after)
}

#[tokio::test]
async fn a_start_lies_as_far_ahead_as_the_slowest_listener_needs() {
    let server = TestServer::start().await;
    let mut alice = Phone::listening(&server).await;
    let mut bob = Phone::listening(&server).await;
    for phone in [&mut alice, &mut bob] {
        phone.ack_all().await;
    }
    alice.play(0.0).await;
    for (needs_ms, least, most) in [(10.0, 150.0, 450.0), (700.0, 700.0, 1_000.0)] {
        report_until_seen(&bob, report(needs_ms, needs_ms)).await;
        let (from_before, from_after) = lead(&mut alice).await;
        assert!(from_before >= least, "{from_before} ms for {needs_ms} ms");
        assert!(from_after <= most, "{from_after} ms for {needs_ms} ms");
    }
    // However slow somebody is, a press is answered within a second.
    report_until_seen(&bob, report(9.0, 60_000.0)).await;
    let (from_before, from_after) = lead(&mut alice).await;
    assert!(from_before >= 1_000.0 && from_after <= 1_000.0);

    // Whoever is gone need not be told.
    departs(&mut bob, &mut alice).await;
    let (_, from_after) = lead(&mut alice).await;
    assert!(from_after <= 450.0, "{from_after} ms for nobody");
}

#[tokio::test]
async fn a_start_makes_up_for_a_slow_disk_and_a_start_at_an_event_for_nothing() {
    let setup = Setup::long_tracks();
    let disk = FaultyDisk::under(setup.state_file().parent().unwrap());
    let server = setup.env(disk.environment()).start().await;
    let mut phone = Phone::listening(&server).await;
    phone.ack_all().await;
    disk.order("fsync", Order::Delay(200));
    phone.play(0.0).await;
    let (from_before, _) = lead(&mut phone).await;
    assert!(from_before >= 350.0, "{from_before} ms");

    let server = Setup::long_tracks().flag("--alignment=event").start().await;
    let mut phone = Phone::listening(&server).await;
    phone.ack_all().await;
    report_until_seen(&phone, report(1.0, 700.0)).await;
    let answer = phone.play(0.0).await;
    assert!(answer["snapshot"]["live"]["anchorAtMs"].is_null());
}

// Speakers.

#[tokio::test]
async fn one_phone_tunes_all_and_everybody_hears_of_what_is_new() {
    let mut server = TestServer::start().await;
    let mut alice = Phone::listening(&server).await;
    let bob = Phone::pair_as(&server, "Bob").await;
    alice.wait_for_count(bob.count()).await;
    let before = alice.count();
    let tune = async |delays: Value| post(&bob, "/tune", &json!({ "delays": delays })).await;

    let answer = tune(json!({ "m1": 12.34, "m2": -500 })).await.expect(200);
    assert_eq!(answer.json(), json!({ "eventCount": before + 2 }));
    alice.wait_for_count(before + 2).await;
    assert_eq!(alice.names_after(before), ["client.tuned", "client.tuned"]);
    let told = |event: &Event| {
        (
            event.payload["memberId"].clone(),
            event.payload["delayMs"].clone(),
        )
    };
    let first = alice.durable_event("client.tuned", before).await;
    let second = alice.durable_event("client.tuned", before + 1).await;
    assert_eq!(told(&first), (json!("m1"), json!(12.3)));
    assert_eq!(told(&second), (json!("m2"), json!(-500.0)));
    let clients = json!({
        "m1": { "name": "", "delayMs": 12.3 },
        "m2": { "name": "Bob", "delayMs": -500.0 },
    });
    assert_eq!(alice.view["clients"], clients);

    // What is so already is no event, and no delay is not shown.
    let answer = tune(json!({ "m1": 12.31, "m2": 0.01 })).await.expect(200);
    assert_eq!(answer.json(), json!({ "eventCount": before + 3 }));
    let event = alice.durable_event("client.tuned", before + 2).await;
    assert_eq!(told(&event), (json!("m2"), json!(0.0)));
    assert_eq!(alice.view["clients"]["m2"], json!({ "name": "Bob" }));
    tune(json!({ "m1": 12.3 })).await.expect(200);

    server.kill().await;
    server.start_again().await;
    let alice = alice.again_at(&server);
    let again = json!({ "code": common::CODE, "clientName": "Kitchen" });
    post(&alice, "/pair", &again).await.expect(200);
    let rename = json!({ "clientName": "Bath" });
    let client = |name: &str| json!({ "name": name, "delayMs": 12.3 });
    assert_eq!(alice.snapshot().await["clients"]["m1"], client("Kitchen"));
    post(&alice, "/rename", &rename).await.expect(200);
    assert_eq!(alice.snapshot().await["clients"]["m1"], client("Bath"));
}

#[tokio::test]
async fn delays_that_are_not_in_order_are_refused_and_change_nothing() {
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
    assert_eq!(durable(&phone.snapshot().await), durable(&phone.view));
}

// Sounds.

#[tokio::test]
async fn everybody_is_told_a_second_ahead_who_sounds_when() {
    let server = TestServer::start().await;
    let mut alice = Phone::listening(&server).await;
    let mut remote = Phone::pair(&server).await;
    remote.listen_at("/events?role=remote").await;
    let bob = Phone::listening(&server).await;
    sees(&mut remote, &bob, true).await;
    let count = remote.count();
    for kind in ["tick", "chirp", "off"] {
        let before = remote.clock().await;
        while post(&remote, "/tuning", &json!({ "kind": kind }))
            .await
            .status
            != 204
        {}
        let after = remote.clock().await;
        for phone in [&mut alice, &mut remote] {
            let event = phone.live_event("tuning").await;
            assert_eq!(event.payload["kind"], kind);
            assert_eq!(event.payload["memberIds"], json!(["m1", "m3"]));
            let starts = event.payload["startsAtMs"].as_f64().unwrap();
            let possible = before + 1_000.0..=after + 1_000.0;
            assert!(possible.contains(&starts), "{starts} {possible:?}");
            assert_eq!(event.payload.as_object().unwrap().len(), 3);
        }
    }
    assert_eq!(remote.snapshot().await["eventCount"], count);
}

#[tokio::test]
async fn the_house_is_not_flooded_with_sounds() {
    let server = TestServer::start().await;
    let [alice, bob] = [Phone::pair(&server).await, Phone::pair(&server).await];
    let tick = json!({ "kind": "tick" });
    let (began, mut told) = (Instant::now(), 0);
    while told < 3 {
        for phone in [&alice, &bob] {
            let answer = post(phone, "/tuning", &tick).await;
            match answer.status {
                204 => told += 1,
                _ => {
                    assert_eq!(answer.header("retry-after"), Some("1"));
                    answer.expect_problem(429);
                }
            }
        }
    }
    let most = 1 + began.elapsed().as_millis() / 200;
    assert!(told <= most, "{told} in {:?}", began.elapsed());
}

#[tokio::test]
async fn a_sound_that_cannot_be_is_refused() {
    let server = TestServer::start().await;
    let phone = Phone::listening(&server).await;
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
    // None of these was one.
    post(&phone, "/tuning", &tick).await.expect(204);

    let server = Setup::long_tracks().flag("--alignment=event").start().await;
    let phone = Phone::listening(&server).await;
    let problem = post(&phone, "/tuning", &tick).await.expect_problem(422);
    let why = problem["detail"].as_str().unwrap();
    assert!(why.contains("--alignment event"), "{why}");
}
