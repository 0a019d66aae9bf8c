//! Who is let in, by what, and what never leaves the server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on panics"
)]

pub mod common;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use common::phone::{ask, client_from, http, pair_with};
use common::{CODE, Phone, Setup, TestServer, durable, raw};
use reqwest::Method;
use serde_json::{Value, json};

const WRONG: &str = "000000";

#[tokio::test]
async fn the_right_code_pairs_a_device_and_tells_it_who_it_is() {
    let server = TestServer::start().await;
    let body = json!({ "code": CODE, "clientName": "Alice's <b>phone</b>" });
    let answer = ask(http().post(server.url("/pair")).json(&body))
        .await
        .expect(200)
        .json();

    assert!(
        answer["clientId"].as_str().unwrap().len() >= 22,
        "fewer than 128 bits: {answer}"
    );
    assert_eq!(answer["memberId"], "m1");
    assert_eq!(answer["eventCount"], answer["snapshot"]["eventCount"]);
    assert_eq!(
        answer["snapshot"]["clients"],
        json!({ "m1": { "name": "Alice's <b>phone</b>" } })
    );
    assert!(answer["snapshot"]["live"].is_object());
}

#[tokio::test]
async fn a_name_is_not_needed() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    assert_eq!(phone.view["clients"], json!({ "m1": { "name": "" } }));
    let answer = pair_with(&http(), &server, CODE).await.expect(200).json();
    assert_eq!(answer["snapshot"]["clients"]["m2"], json!({ "name": "" }));
}

#[tokio::test]
async fn a_pairing_is_one_event_that_everybody_hears() {
    let server = TestServer::start().await;
    let mut alice = Phone::listening(&server).await;
    let before = alice.count();
    let bob = Phone::pair_as(&server, "Bob").await;
    let event = alice.durable_event("client.paired", before).await;
    assert_eq!(event.payload["memberId"], bob.member.as_str());
    assert_eq!(alice.view["clients"][&bob.member]["name"], "Bob");
    assert_eq!(alice.count(), before + 1);
}

#[tokio::test]
async fn many_devices_that_pair_at_once_all_get_in() {
    let server = TestServer::start().await;
    let pairings = (0..20).map(|_| Phone::pair(&server));
    let phones = futures_util::future::join_all(pairings).await;
    let members: BTreeSet<_> = phones.iter().map(|phone| phone.member.clone()).collect();
    let tokens: BTreeSet<_> = phones.iter().map(|phone| phone.token.clone()).collect();
    assert_eq!((members.len(), tokens.len()), (20, 20));
    assert_eq!(
        phones[0].snapshot().await["clients"]
            .as_object()
            .unwrap()
            .len(),
        20
    );
}

#[tokio::test]
async fn a_wrong_code_is_refused_and_changes_nothing() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    let before = phone.snapshot().await;
    for wrong in [WRONG, "", "7482910", "74829", "７４８２９１"] {
        let answer = pair_with(&http(), &server, wrong).await;
        assert_eq!(answer.header("set-cookie"), None);
        answer.expect_problem(403);
    }
    assert_eq!(phone.snapshot().await, before);
}

#[tokio::test]
async fn ten_wrong_codes_from_an_address_shut_it_out_for_a_while() {
    let server = TestServer::start().await;
    for _ in 0..10 {
        pair_with(&http(), &server, WRONG).await.expect_problem(403);
    }
    let answer = pair_with(&http(), &server, WRONG).await;
    let wait: u64 = answer
        .header("retry-after")
        .expect("Retry-After")
        .parse()
        .unwrap();
    assert!((1..=10).contains(&wait), "{wait} s");
    answer.expect_problem(429);

    // A right code from elsewhere is none of its business.
    pair_with(&client_from([127, 0, 0, 2]), &server, CODE)
        .await
        .expect(200);

    // After the time that it was told, it has one more try.
    tokio::time::sleep(Duration::from_secs(wait)).await;
    pair_with(&http(), &server, WRONG).await.expect_problem(403);
}

#[tokio::test]
async fn guesses_from_many_addresses_together_are_limited_and_hold_no_right_code_back() {
    let server = TestServer::start().await;
    let mut refused = Vec::new();
    for address in 1..=8 {
        for _ in 0..9 {
            refused.push(
                pair_with(&client_from([127, 0, 1, address]), &server, WRONG)
                    .await
                    .status,
            );
        }
    }
    let guesses = refused.iter().filter(|status| **status == 403).count();
    // Sixty a minute; a slow machine takes long enough for a few more.
    assert!(
        (60..72).contains(&guesses),
        "{guesses} guesses: {refused:?}"
    );
    assert!(
        refused.iter().all(|status| [403, 429].contains(status)),
        "{refused:?}"
    );
    pair_with(&client_from([127, 0, 2, 1]), &server, CODE)
        .await
        .expect(200);
}

#[tokio::test]
async fn right_codes_cost_nothing() {
    let server = TestServer::start().await;
    for _ in 0..15 {
        pair_with(&http(), &server, CODE).await.expect(200);
    }
}

#[tokio::test]
async fn a_malformed_request_to_pair_is_refused() {
    let server = TestServer::start().await;
    let bodies: [&[u8]; 12] = [
        b"",
        b"{",
        b"null",
        b"[]",
        b"{}",
        b"748291",
        br#""748291""#,
        br#"{"code":748291}"#,
        br#"{"code":null}"#,
        br#"{"code":"748291","clientName":5}"#,
        br#"{"code":"748291"} {}"#,
        b"{\"code\":\"748291\",\"clientName\":\"\xff\"}",
    ];
    for body in bodies {
        let request = http()
            .post(server.url("/pair"))
            .header("content-type", "application/json");
        ask(request.body(body)).await.expect_problem(400);
    }
    assert_eq!(
        Phone::pair(&server).await.member,
        "m1",
        "one of them was paired"
    );
}

#[tokio::test]
async fn a_body_beyond_all_measure_is_refused() {
    let server = TestServer::start().await;
    let head = "POST /pair HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8000000\r\n\r\n";
    let answer = raw::send(server.address(), head).await;
    assert!([400, 413].contains(&answer.status), "{answer:?}");
}

#[tokio::test]
async fn a_name_beyond_all_measure_burdens_nobody() {
    let server = TestServer::start().await;
    let body = json!({ "code": CODE, "clientName": "x".repeat(10_000) });
    let answer = ask(http().post(server.url("/pair")).json(&body)).await;
    assert!(
        [200, 400, 413].contains(&answer.status),
        "{}",
        answer.status
    );
    let phone = Phone::pair(&server).await;
    assert!(phone.view.to_string().len() < 5_000, "{}", phone.view);
}

#[tokio::test]
async fn the_cookie_is_kept_from_scripts_and_other_sites() {
    let server = TestServer::start().await;
    let answer = pair_with(&http(), &server, CODE).await.expect(200);
    let cookie = answer.header("set-cookie").expect("a cookie").to_owned();
    let mut parts = cookie.split(';').map(str::trim);
    let token = answer.json()["clientId"].as_str().unwrap().to_owned();
    assert_eq!(parts.next(), Some(format!("clientId={token}").as_str()));
    let attributes: Vec<_> = parts.map(str::to_ascii_lowercase).collect();
    for wanted in ["httponly", "samesite=strict", "path=/"] {
        assert!(
            attributes.iter().any(|found| found == wanted),
            "no {wanted}: {cookie}"
        );
    }
    let age = attributes
        .iter()
        .find_map(|found| found.strip_prefix("max-age="));
    let age: u64 = age
        .expect("a cookie that outlives the browser")
        .parse()
        .unwrap();
    assert!(age >= 30 * 24 * 3600, "{age} s");
    assert!(
        !attributes.iter().any(|found| found == "secure"),
        "a LAN page is plain http"
    );
    assert!(
        answer
            .header("cache-control")
            .is_some_and(|value| value.contains("no-store")),
        "a token may be cached"
    );
}

#[tokio::test]
async fn a_token_is_as_good_in_the_cookie_as_in_the_authorization_field() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    let cases = [
        ("authorization", format!("Bearer {}", phone.token)),
        ("authorization", format!("bearer {}", phone.token)),
        ("cookie", format!("clientId={}", phone.token)),
        (
            "cookie",
            format!("theme=dark; clientId={}; other=1", phone.token),
        ),
    ];
    for (field, value) in cases {
        let answer = ask(http().get(server.url("/snapshot")).header(field, &value))
            .await
            .expect(200);
        assert_eq!(
            answer.header("lockstep-member"),
            Some("m1"),
            "{field}: {value}"
        );
    }
}

#[tokio::test]
async fn every_guarded_route_asks_for_a_token() {
    let server = Setup::long_tracks().flag("--debug").start().await;
    let phone = Phone::pair(&server).await;
    let track = phone.current();
    let (cover, file) = (format!("/cover/{track}"), format!("/file/{track}"));
    let routes = [
        (Method::GET, "/index"),
        (Method::GET, cover.as_str()),
        (Method::GET, file.as_str()),
        (Method::HEAD, file.as_str()),
        (Method::GET, "/snapshot"),
        (Method::GET, "/events"),
        (Method::GET, "/events?role=remote"),
        (Method::GET, "/clock"),
        (Method::GET, "/debug/state"),
        (Method::POST, "/leave"),
        (Method::POST, "/unpair"),
        (Method::POST, "/rename"),
        (Method::POST, "/rescan"),
        (Method::POST, "/sync"),
        (Method::POST, "/tune"),
        (Method::POST, "/tuning"),
        (Method::POST, "/play"),
        (Method::POST, "/pause"),
        (Method::POST, "/seek"),
        (Method::POST, "/next"),
        (Method::POST, "/nudge"),
        (Method::POST, "/ack-download"),
        (Method::POST, "/start-now"),
    ];
    let forged = "A".repeat(phone.token.len());
    let shortened = &phone.token[..phone.token.len() - 1];
    let proofs = [
        ("accept", String::from("*/*")),
        ("authorization", String::from("Bearer")),
        ("authorization", String::from("Bearer ")),
        ("authorization", format!("Bearer {forged}")),
        ("authorization", format!("Bearer {shortened}")),
        ("authorization", format!("Basic {}", phone.token)),
        ("authorization", phone.token.clone()),
        ("cookie", format!("clientId={forged}")),
        ("cookie", format!("clientid={}", phone.token)),
        ("cookie", format!("xclientId={}", phone.token)),
        ("x-client-id", phone.token.clone()),
    ];
    for (method, path) in &routes {
        for (field, value) in &proofs {
            let answer = ask(http()
                .request(method.clone(), server.url(path))
                .header(*field, value))
            .await;
            assert_eq!(answer.header("lockstep-member"), None);
            if method == Method::HEAD {
                answer.expect(401);
            } else {
                answer.expect_problem(401);
            }
        }
    }
    assert_eq!(phone.snapshot().await["eventCount"], phone.count());
}

#[tokio::test]
async fn what_is_open_needs_no_token() {
    let server = TestServer::start().await;
    for path in ["/", "/qr", "/healthz"] {
        ask(http().get(server.url(path))).await.expect(200);
    }
    assert_eq!(
        ask(http().get(server.url("/healthz"))).await.text().trim(),
        "ok"
    );
}

/// An address of this machine that is not loopback, as a phone on the LAN would have one.
fn lan_address() -> Ipv4Addr {
    let output = Command::new("hostname")
        .arg("-I")
        .output()
        .expect("hostname runs");
    let addresses = String::from_utf8(output.stdout).unwrap();
    let address = addresses
        .split_whitespace()
        .find_map(|address| address.parse().ok());
    address.expect("this test needs a network interface besides loopback")
}

#[tokio::test]
async fn the_code_is_shown_while_the_window_is_open_and_then_to_loopback_and_paired_devices_only() {
    let server = Setup::long_tracks().listen("0.0.0.0:0").start().await;
    let lan = lan_address();
    let elsewhere = client_from(lan.octets());
    let from_elsewhere = || elsewhere.get(format!("http://{lan}:{}/code", server.address().port()));

    assert_eq!(
        ask(from_elsewhere()).await.expect(200).json(),
        json!({ "code": CODE })
    );
    let phone = Phone::pair(&server).await;
    ask(from_elsewhere()).await.expect_problem(403);
    let as_paired = from_elsewhere().bearer_auth(&phone.token);
    assert_eq!(
        ask(as_paired).await.expect(200).json(),
        json!({ "code": CODE })
    );
    let answer = ask(http().get(server.url("/code"))).await.expect(200);
    assert_eq!(answer.json(), json!({ "code": CODE }));
    assert!(
        answer
            .header("cache-control")
            .is_some_and(|value| value.contains("no-store"))
    );
}

/// Whoever answers for a name may let it lead a browser on the server's own machine here.
#[tokio::test]
async fn loopback_is_shown_the_code_by_an_address_and_not_by_a_name() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    let bearer = format!("Authorization: Bearer {}", phone.token);
    for (name, shown) in [
        ("127.0.0.1:8080", true),
        ("localhost:8080", true),
        ("[::1]", true),
        ("party.lan:8080", false),
        ("evil.local", false),
    ] {
        let host = format!("Host: {name}");
        let answer = raw::get(server.address(), "/code", &[&host]).await;
        assert_eq!(answer.status == 200, shown, "{name}");
        let as_paired = raw::get(server.address(), "/code", &[&host, &bearer]).await;
        assert_eq!(as_paired.status, 200, "{name}");
    }
}

#[tokio::test]
async fn the_window_can_be_kept_shut() {
    let server = Setup::long_tracks()
        .listen("0.0.0.0:0")
        .flag("--no-pairing-window")
        .start()
        .await;
    let lan = lan_address();
    let url = format!("http://{lan}:{}/code", server.address().port());
    ask(client_from(lan.octets()).get(url))
        .await
        .expect_problem(403);
    ask(http().get(server.url("/code"))).await.expect(200);
}

#[tokio::test]
async fn a_forwarded_address_opens_no_window() {
    let server = Setup::long_tracks()
        .listen("0.0.0.0:0")
        .flag("--no-pairing-window")
        .start()
        .await;
    let lan = lan_address();
    let url = format!("http://{lan}:{}/code", server.address().port());
    let request = client_from(lan.octets()).get(url);
    let request = request
        .header("x-forwarded-for", "127.0.0.1")
        .header("forwarded", "for=127.0.0.1");
    ask(request).await.expect_problem(403);
}

#[tokio::test]
async fn a_new_name_is_everybodys_to_see_and_outlives_a_restart() {
    let mut server = TestServer::start().await;
    let bob = Phone::pair_as(&server, "Bob").await;
    let mut alice = Phone::listening(&server).await;
    let before = alice.count();
    let rename = async |name: Value| {
        let body = json!({ "clientName": name });
        ask(bob.request(Method::POST, "/rename").json(&body)).await
    };

    let answer = rename(json!("  Bobby\n the  Great ")).await.expect(200);
    let event = alice.durable_event("client.renamed", before).await;
    assert_eq!(event.payload["memberId"], bob.member.as_str());
    assert_eq!(answer.json()["eventCount"], before + 1);
    let name = |view: &Value| view["clients"][&bob.member]["name"].clone();
    assert_eq!(name(&alice.view), "Bobby the Great");
    // The same once more changes nothing.
    let answer = rename(json!("Bobby the Great")).await.expect(200);
    assert_eq!(answer.json()["eventCount"], before + 1);
    rename(json!(7)).await.expect_problem(400);

    server.kill().await;
    server.start_again().await;
    assert_eq!(
        name(&bob.again_at(&server).snapshot().await),
        "Bobby the Great"
    );
}

#[tokio::test]
async fn whoever_leaves_is_paired_no_more() {
    let server = TestServer::start().await;
    let mut alice = Phone::listening(&server).await;
    let mut bob = Phone::listening(&server).await;
    let before = alice.count();

    bob.post("/leave").await.expect(204);
    let event = alice.durable_event("client.left", before).await;
    assert_eq!(event.payload["memberId"], bob.member.as_str());
    assert!(alice.view["clients"].get(&bob.member).is_none());
    bob.get("/snapshot").await.expect_problem(401);
    bob.post("/leave").await.expect_problem(401);
    // Whoever may not ask may not listen either.
    while bob.try_hear().await.is_some() {}
    alice
        .wait_until("one listener", |view| {
            view["live"]["listeners"].as_object().unwrap().len() == 1
        })
        .await;

    let carol = Phone::pair(&server).await;
    assert_eq!(carol.member, "m3", "an id is given twice");
}

#[tokio::test]
async fn tokens_and_codes_are_kept_from_log_state_and_debugging() {
    let mut server = Setup::long_tracks()
        .flag("--debug")
        .log_filter("trace")
        .start()
        .await;
    let mut phone = Phone::listening(&server).await;
    let spare = Phone::pair(&server).await;
    pair_with(&http(), &server, "135791")
        .await
        .expect_problem(403);
    ask(http()
        .get(server.url("/snapshot"))
        .bearer_auth(format!("{}x", phone.token)))
    .await
    .expect(401);
    ask(http()
        .get(server.url("/snapshot"))
        .header("cookie", format!("clientId={}", spare.token)))
    .await
    .expect(200);
    ask(http().get(server.url("/code"))).await.expect(200);
    phone.next().await;
    phone
        .get(&format!("/file/{}", phone.current()))
        .await
        .expect(200);
    phone
        .try_command("/play", 0, &json!({ "positionSec": "soon" }))
        .await
        .expect(400);
    let debug = phone.get("/debug/state").await.expect(200).text();
    let heard: Vec<Value> = phone
        .heard
        .iter()
        .map(|event| event.payload.clone())
        .collect();
    let state = String::from_utf8(server.state()).unwrap();
    let snapshot = phone.snapshot().await.to_string();
    server.stop().await;

    let secrets = [phone.token.as_str(), spare.token.as_str(), CODE, "135791"];
    let places = [
        ("the log", server.log()),
        ("the state file", state),
        ("/debug/state", debug),
        ("the events", Value::from(heard).to_string()),
        ("the snapshot", snapshot),
    ];
    for (place, text) in places {
        assert!(!text.is_empty());
        for secret in secrets {
            assert!(!text.contains(secret), "{place} holds {secret}: {text}");
        }
    }
}

#[tokio::test]
async fn the_inside_is_shown_with_debugging_on_only() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    phone.get("/debug/state").await.expect_problem(404);

    let server = Setup::long_tracks().flag("--debug").start().await;
    let phone = Phone::pair(&server).await;
    let inside = phone.get("/debug/state").await.expect(200).json();
    assert!(inside.to_string().contains(&phone.current()), "{inside}");
}

#[tokio::test]
async fn the_qr_code_is_a_png_that_a_camera_can_read() {
    let server = TestServer::start().await;
    let answer = ask(http().get(server.url("/qr"))).await.expect(200);
    assert_eq!(answer.header("content-type"), Some("image/png"));
    let picture = image::load_from_memory_with_format(&answer.body, image::ImageFormat::Png)
        .unwrap()
        .to_luma8();
    let (width, height) = picture.dimensions();
    assert_eq!(width, height);
    assert!(width >= 100, "{width} pixels are too few");
    assert!(picture.pixels().any(|pixel| pixel[0] < 50));
    // The quiet zone around the code is light.
    for at in 0..width {
        assert!(picture.get_pixel(at, 0)[0] > 200 && picture.get_pixel(0, at)[0] > 200);
    }
}

#[tokio::test]
async fn a_qr_code_leads_by_an_address_where_not_every_phone_understands_the_name() {
    let server = TestServer::start().await;
    let mut codes = Vec::new();
    for host in ["localhost", "lockstep.local", "party.lan"] {
        let host = format!("{host}:{}", server.address().port());
        let request = http().get(server.url("/qr")).header("host", host);
        codes.push(ask(request).await.expect(200).body);
    }
    assert_eq!(codes[1], codes[0], "lockstep.local");
    assert_ne!(codes[2], codes[0], "party.lan");
}

/// Whoever typed the code once too often, or lost the answer, is nobody new.
#[tokio::test]
async fn a_device_that_pairs_again_stays_who_it_is() {
    let server = TestServer::start().await;
    let mut phone = Phone::listening(&server).await;
    phone.play(0.0).await;
    let waiting = phone.view["barrier"].clone();
    for name in ["", "Alice", ""] {
        let body = json!({ "code": CODE, "clientName": name });
        let answer = ask(phone.request(Method::POST, "/pair").json(&body)).await;
        let answer = answer.expect(200).json();
        assert_eq!(answer["memberId"], "m1");
        assert_eq!(answer["snapshot"]["barrier"], waiting);
        // Both the old token and the new one are good: an answer may be lost.
        phone.get("/snapshot").await.expect(200);
        phone.token = answer["clientId"].as_str().unwrap().to_owned();
    }
    let snapshot = phone.snapshot().await;
    assert_eq!(snapshot["clients"], json!({ "m1": { "name": "Alice" } }));
    phone
        .wait_for_count(snapshot["eventCount"].as_u64().unwrap())
        .await;
    assert_eq!(durable(&phone.view), durable(&snapshot));

    // A token that is none makes a new member of whoever brings it, and a wrong code lets nobody in.
    let body = json!({ "code": CODE });
    let stranger = http()
        .post(server.url("/pair"))
        .bearer_auth("forged")
        .json(&body);
    assert_eq!(ask(stranger).await.expect(200).json()["memberId"], "m2");
    let wrong = phone
        .request(Method::POST, "/pair")
        .json(&json!({ "code": WRONG }));
    ask(wrong).await.expect_problem(403);
}
