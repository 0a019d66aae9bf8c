//! Pairing, tokens, rate limits on wrong pairing codes, and the absence of secrets from logs, files and responses.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::{Duration, Instant};

use common::phone::{ask, client_from, http, local_client, pair_with};
use common::{CODE, Phone, Setup, TestServer, durable_state, raw};
use reqwest::Method;
use serde_json::{Value, json};

const WRONG_CODE: &str = "000000";

#[tokio::test]
async fn correct_code_pairs_a_device() {
    let server = TestServer::start().await;
    let body = json!({ "code": CODE, "clientName": "Alice's <b>phone</b>" });
    let response = ask(http().post(server.url("/pair")).json(&body))
        .await
        .expect(200)
        .json();

    assert!(
        response["clientId"].as_str().unwrap().len() >= 22,
        "the token has fewer than 128 bits: {response}"
    );
    assert_eq!(response["memberId"], "m1");
    assert_eq!(response["eventCount"], response["snapshot"]["eventCount"]);
    assert_eq!(
        response["snapshot"]["clients"],
        json!({ "m1": { "name": "Alice's <b>phone</b>" } })
    );
    assert!(response["snapshot"]["live"].is_object());
}

#[tokio::test]
async fn client_name_is_optional_at_pairing() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    assert_eq!(phone.view["clients"], json!({ "m1": { "name": "" } }));
    let response = pair_with(&http(), &server, CODE).await.expect(200).json();
    assert_eq!(response["snapshot"]["clients"]["m2"], json!({ "name": "" }));
}

#[tokio::test]
async fn pairing_causes_one_client_paired_event() {
    let server = TestServer::start().await;
    let mut alice = Phone::pair_and_listen(&server).await;
    let event_count_before = alice.event_count();
    let bob = Phone::pair_as(&server, "Bob").await;
    let event = alice
        .durable_event("client.paired", event_count_before)
        .await;
    assert_eq!(event.payload["memberId"], bob.member.as_str());
    assert_eq!(alice.view["clients"][&bob.member]["name"], "Bob");
    assert_eq!(alice.event_count(), event_count_before + 1);
}

#[tokio::test]
async fn twenty_simultaneous_pairings_all_succeed() {
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
async fn wrong_pairing_code_is_refused_without_effect() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    let snapshot_before = phone.snapshot().await;
    for wrong_code in [WRONG_CODE, "", "7482910", "74829", "７４８２９１"] {
        let response = pair_with(&http(), &server, wrong_code).await;
        assert_eq!(response.header("set-cookie"), None);
        response.expect_problem(403);
    }
    assert_eq!(phone.snapshot().await, snapshot_before);
}

#[tokio::test]
async fn wrong_code_after_ten_from_one_address_is_rate_limited() {
    let server = TestServer::start().await;
    for _ in 0..10 {
        pair_with(&http(), &server, WRONG_CODE)
            .await
            .expect_problem(403);
    }
    let response = pair_with(&http(), &server, WRONG_CODE).await;
    let retry_after_sec: u64 = response
        .header("retry-after")
        .expect("the response has no Retry-After")
        .parse()
        .unwrap();
    assert!((1..=10).contains(&retry_after_sec), "{retry_after_sec} s");
    response.expect_problem(429);

    // The correct code from another address is accepted.
    pair_with(&client_from([127, 0, 0, 2]), &server, CODE)
        .await
        .expect(200);

    // After the time in Retry-After, the server checks one more code from that address.
    tokio::time::sleep(Duration::from_secs(retry_after_sec)).await;
    pair_with(&http(), &server, WRONG_CODE)
        .await
        .expect_problem(403);
}

#[tokio::test]
async fn wrong_codes_from_all_addresses_are_rate_limited_and_correct_ones_accepted() {
    let server = TestServer::start().await;
    let started_at = Instant::now();
    let mut statuses = Vec::new();
    for address in 1..=8 {
        for _ in 0..9 {
            statuses.push(
                pair_with(&client_from([127, 0, 1, address]), &server, WRONG_CODE)
                    .await
                    .status,
            );
        }
    }
    let checked_guesses = statuses.iter().filter(|status| **status == 403).count();
    // The limit is a token bucket of 60 that gains one token per second.
    let max_checked_guesses = 61 + started_at.elapsed().as_secs() as usize;
    assert!(
        (60..=max_checked_guesses).contains(&checked_guesses),
        "the server checked {checked_guesses} codes: {statuses:?}"
    );
    assert!(
        statuses.iter().all(|status| [403, 429].contains(status)),
        "{statuses:?}"
    );
    pair_with(&client_from([127, 0, 2, 1]), &server, CODE)
        .await
        .expect(200);
}

#[tokio::test]
async fn correct_codes_are_not_rate_limited() {
    let server = TestServer::start().await;
    for _ in 0..15 {
        pair_with(&http(), &server, CODE).await.expect(200);
    }
}

#[tokio::test]
async fn malformed_pairing_request_is_refused() {
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
        "a malformed request paired a device"
    );
}

#[tokio::test]
async fn oversized_pairing_body_is_refused() {
    let server = TestServer::start().await;
    let request_head = "POST /pair HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8000000\r\n\r\n";
    let response = raw::send(server.address(), request_head).await;
    assert!([400, 413].contains(&response.status), "{response:?}");
}

#[tokio::test]
async fn overlong_client_name_is_shortened_or_refused() {
    let server = TestServer::start().await;
    let body = json!({ "code": CODE, "clientName": "x".repeat(10_000) });
    let response = ask(http().post(server.url("/pair")).json(&body)).await;
    assert!(
        [200, 400, 413].contains(&response.status),
        "{}",
        response.status
    );
    let phone = Phone::pair(&server).await;
    assert!(phone.view.to_string().len() < 5_000, "{}", phone.view);
}

#[tokio::test]
async fn cookie_is_http_only_same_site_and_persistent() {
    let server = TestServer::start().await;
    let response = pair_with(&http(), &server, CODE).await.expect(200);
    let cookie = response
        .header("set-cookie")
        .expect("the response sets no cookie")
        .to_owned();
    let mut parts = cookie.split(';').map(str::trim);
    let token = response.json()["clientId"].as_str().unwrap().to_owned();
    assert_eq!(parts.next(), Some(format!("clientId={token}").as_str()));
    let attributes: Vec<_> = parts.map(str::to_ascii_lowercase).collect();
    for attribute in ["httponly", "samesite=strict", "path=/"] {
        assert!(
            attributes.iter().any(|present| present == attribute),
            "no {attribute}: {cookie}"
        );
    }
    let max_age_sec = attributes
        .iter()
        .find_map(|attribute| attribute.strip_prefix("max-age="));
    let max_age_sec: u64 = max_age_sec
        .expect("the cookie has no Max-Age")
        .parse()
        .unwrap();
    assert!(max_age_sec >= 30 * 24 * 3600, "{max_age_sec} s");
    assert!(
        !attributes.iter().any(|attribute| attribute == "secure"),
        "browsers do not send a Secure cookie over HTTP"
    );
    assert!(
        response
            .header("cache-control")
            .is_some_and(|value| value.contains("no-store")),
        "a response with a token must have no-store"
    );
}

#[tokio::test]
async fn token_is_accepted_as_cookie_and_as_bearer_token() {
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
        let response = ask(http().get(server.url("/snapshot")).header(field, &value))
            .await
            .expect(200);
        assert_eq!(
            response.header("lockstep-member"),
            Some("m1"),
            "{field}: {value}"
        );
    }
}

#[tokio::test]
async fn every_protected_route_requires_a_valid_token() {
    let server = Setup::long_tracks().flag("--debug").start().await;
    let phone = Phone::pair(&server).await;
    let track_id = phone.current_track();
    let (cover, file) = (format!("/cover/{track_id}"), format!("/file/{track_id}"));
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
    let unknown_token = "A".repeat(phone.token.len());
    let shortened_token = &phone.token[..phone.token.len() - 1];
    let credentials = [
        ("accept", String::from("*/*")),
        ("authorization", String::from("Bearer")),
        ("authorization", String::from("Bearer ")),
        ("authorization", format!("Bearer {unknown_token}")),
        ("authorization", format!("Bearer {shortened_token}")),
        ("authorization", format!("Basic {}", phone.token)),
        ("authorization", phone.token.clone()),
        ("cookie", format!("clientId={unknown_token}")),
        ("cookie", format!("clientid={}", phone.token)),
        ("cookie", format!("xclientId={}", phone.token)),
        ("x-client-id", phone.token.clone()),
    ];
    for (method, path) in &routes {
        for (field, value) in &credentials {
            let response = ask(http()
                .request(method.clone(), server.url(path))
                .header(*field, value))
            .await;
            assert_eq!(response.header("lockstep-member"), None);
            if method == Method::HEAD {
                response.expect(401);
            } else {
                response.expect_problem(401);
            }
        }
    }
    assert_eq!(phone.snapshot().await["eventCount"], phone.event_count());
}

#[tokio::test]
async fn public_routes_need_no_token() {
    let server = TestServer::start().await;
    for path in ["/", "/qr", "/healthz"] {
        ask(http().get(server.url(path))).await.expect(200);
    }
    assert_eq!(
        ask(http().get(server.url("/healthz"))).await.text().trim(),
        "ok"
    );
}

/// An address of this machine that is not a loopback address. A client with this address counts as a phone on the LAN.
fn lan_address() -> Ipv4Addr {
    let output = Command::new("hostname")
        .arg("-I")
        .output()
        .expect("this test needs the hostname command");
    let addresses = String::from_utf8(output.stdout).unwrap();
    let address = addresses
        .split_whitespace()
        .find_map(|address| address.parse().ok());
    address.expect("this test needs a network interface besides loopback")
}

#[tokio::test]
async fn pairing_code_is_readable_on_the_lan_until_the_first_pairing() {
    let server = Setup::long_tracks().listen("0.0.0.0:0").start().await;
    let lan_ip = lan_address();
    let lan_client = client_from(lan_ip.octets());
    let code_request =
        || lan_client.get(format!("http://{lan_ip}:{}/code", server.address().port()));

    assert_eq!(
        ask(code_request()).await.expect(200).json(),
        json!({ "code": CODE })
    );
    let phone = Phone::pair(&server).await;
    ask(code_request()).await.expect_problem(403);
    let paired_request = code_request().bearer_auth(&phone.token);
    assert_eq!(
        ask(paired_request).await.expect(200).json(),
        json!({ "code": CODE })
    );
    let response = ask(local_client(&server).get("http://localhost/code")).await;
    let response = response.expect(200);
    assert_eq!(response.json(), json!({ "code": CODE }));
    assert!(
        response
            .header("cache-control")
            .is_some_and(|value| value.contains("no-store"))
    );
}

/// A reverse proxy on this machine sends the requests of strangers from a loopback address, by default without any sign of it.
#[tokio::test]
async fn unpaired_loopback_client_cannot_read_the_code() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    let bearer = format!("Authorization: Bearer {}", phone.token);
    for name in [
        "127.0.0.1:8080",
        "localhost:8080",
        "[::1]",
        "party.lan:8080",
    ] {
        let host = format!("Host: {name}");
        let response = raw::get(server.address(), "/code", &[&host]).await;
        response.expect_problem(403);
        let paired_request = raw::get(server.address(), "/code", &[&host, &bearer]).await;
        assert_eq!(paired_request.status, 200, "{name}");
    }
}

#[tokio::test]
async fn no_pairing_window_flag_hides_the_code_from_the_lan() {
    let server = Setup::long_tracks()
        .listen("0.0.0.0:0")
        .flag("--no-pairing-window")
        .start()
        .await;
    let lan_ip = lan_address();
    let url = format!("http://{lan_ip}:{}/code", server.address().port());
    ask(client_from(lan_ip.octets()).get(url))
        .await
        .expect_problem(403);
    ask(http().get(server.url("/code")))
        .await
        .expect_problem(403);
    ask(local_client(&server).get("http://localhost/code"))
        .await
        .expect(200);
}

#[tokio::test]
async fn forwarded_headers_do_not_reveal_the_code() {
    let server = Setup::long_tracks()
        .listen("0.0.0.0:0")
        .flag("--no-pairing-window")
        .start()
        .await;
    let lan_ip = lan_address();
    let url = format!("http://{lan_ip}:{}/code", server.address().port());
    let request = client_from(lan_ip.octets()).get(url);
    let request = request
        .header("x-forwarded-for", "127.0.0.1")
        .header("forwarded", "for=127.0.0.1");
    ask(request).await.expect_problem(403);
}

#[tokio::test]
async fn rename_causes_one_event_and_survives_a_restart() {
    let mut server = TestServer::start().await;
    let bob = Phone::pair_as(&server, "Bob").await;
    let mut alice = Phone::pair_and_listen(&server).await;
    let event_count_before = alice.event_count();
    let rename = async |name: Value| {
        let body = json!({ "clientName": name });
        ask(bob.request(Method::POST, "/rename").json(&body)).await
    };

    let response = rename(json!("  Bobby\n the  Great ")).await.expect(200);
    let event = alice
        .durable_event("client.renamed", event_count_before)
        .await;
    assert_eq!(event.payload["memberId"], bob.member.as_str());
    assert_eq!(response.json()["eventCount"], event_count_before + 1);
    let name = |view: &Value| view["clients"][&bob.member]["name"].clone();
    assert_eq!(name(&alice.view), "Bobby the Great");
    // The same name again causes no event.
    let response = rename(json!("Bobby the Great")).await.expect(200);
    assert_eq!(response.json()["eventCount"], event_count_before + 1);
    rename(json!(7)).await.expect_problem(400);

    server.kill().await;
    server.restart().await;
    assert_eq!(
        name(&bob.clone_for_server(&server).snapshot().await),
        "Bobby the Great"
    );
}

#[tokio::test]
async fn leave_unpairs_the_device_and_ends_its_stream() {
    let server = TestServer::start().await;
    let mut alice = Phone::pair_and_listen(&server).await;
    let mut bob = Phone::pair_and_listen(&server).await;
    let event_count_before = alice.event_count();

    bob.post("/leave").await.expect(204);
    let event = alice.durable_event("client.left", event_count_before).await;
    assert_eq!(event.payload["memberId"], bob.member.as_str());
    assert!(alice.view["clients"].get(&bob.member).is_none());
    bob.get("/snapshot").await.expect_problem(401);
    bob.post("/leave").await.expect_problem(401);
    // Bob's event stream ends too.
    while bob.next_event_or_end().await.is_some() {}
    alice
        .wait_until("exactly one listener", |view| {
            view["live"]["listeners"].as_object().unwrap().len() == 1
        })
        .await;

    let carol = Phone::pair(&server).await;
    assert_eq!(
        carol.member, "m3",
        "the member id of an unpaired device was reused"
    );
}

#[tokio::test]
async fn tokens_and_codes_are_absent_from_log_files_and_responses() {
    let mut server = Setup::long_tracks()
        .flag("--debug")
        .log_filter("trace")
        .start()
        .await;
    let mut phone = Phone::pair_and_listen(&server).await;
    let other_phone = Phone::pair(&server).await;
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
        .header("cookie", format!("clientId={}", other_phone.token)))
    .await
    .expect(200);
    ask(local_client(&server).get("http://localhost/code"))
        .await
        .expect(200);
    phone.next().await;
    phone
        .get(&format!("/file/{}", phone.current_track()))
        .await
        .expect(200);
    phone
        .try_command("/play", 0, &json!({ "positionSec": "soon" }))
        .await
        .expect(400);
    let debug = phone.get("/debug/state").await.expect(200).text();
    let event_payloads: Vec<Value> = phone
        .received_events
        .iter()
        .map(|event| event.payload.clone())
        .collect();
    let state = String::from_utf8(server.state()).unwrap();
    let snapshot = phone.snapshot().await.to_string();
    server.stop().await;

    let secrets = [
        phone.token.as_str(),
        other_phone.token.as_str(),
        CODE,
        "135791",
    ];
    let outputs = [
        ("the log", server.log()),
        ("the state file", state),
        ("/debug/state", debug),
        ("the events", Value::from(event_payloads).to_string()),
        ("the snapshot", snapshot),
    ];
    for (output, text) in outputs {
        assert!(!text.is_empty());
        for secret in secrets {
            assert!(!text.contains(secret), "{output} contains {secret}: {text}");
        }
    }
}

#[tokio::test]
async fn debug_state_is_served_only_with_the_flag() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    phone.get("/debug/state").await.expect_problem(404);

    let server = Setup::long_tracks().flag("--debug").start().await;
    let phone = Phone::pair(&server).await;
    let debug_state = phone.get("/debug/state").await.expect(200).json();
    assert!(
        debug_state.to_string().contains(&phone.current_track()),
        "{debug_state}"
    );
}

#[tokio::test]
async fn qr_code_is_a_png_with_a_quiet_zone() {
    let server = TestServer::start().await;
    let response = ask(http().get(server.url("/qr"))).await.expect(200);
    assert_eq!(response.header("content-type"), Some("image/png"));
    let picture = image::load_from_memory_with_format(&response.body, image::ImageFormat::Png)
        .unwrap()
        .to_luma8();
    let (width, height) = picture.dimensions();
    assert_eq!(width, height);
    assert!(width >= 100, "{width} pixels are too few");
    assert!(picture.pixels().any(|pixel| pixel[0] < 50));
    // The pixels at the edges belong to the quiet zone, which is light.
    for offset in 0..width {
        assert!(picture.get_pixel(offset, 0)[0] > 200 && picture.get_pixel(0, offset)[0] > 200);
    }
}

#[tokio::test]
async fn qr_code_contains_the_ip_address_instead_of_an_mdns_name() {
    let server = TestServer::start().await;
    let mut pictures = Vec::new();
    for host in ["localhost", "lockstep.local", "party.lan"] {
        let host = format!("{host}:{}", server.address().port());
        let request = http().get(server.url("/qr")).header("host", host);
        pictures.push(ask(request).await.expect(200).body);
    }
    assert_eq!(pictures[1], pictures[0], "lockstep.local");
    assert_ne!(pictures[2], pictures[0], "party.lan");
}

/// A device may pair again because the response to its first pairing was lost.
#[tokio::test]
async fn device_that_pairs_again_keeps_its_member_id() {
    let server = TestServer::start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    phone.play(0.0).await;
    let barrier_before = phone.view["barrier"].clone();
    for name in ["", "Alice", ""] {
        let body = json!({ "code": CODE, "clientName": name });
        let response = ask(phone.request(Method::POST, "/pair").json(&body)).await;
        let response = response.expect(200).json();
        assert_eq!(response["memberId"], "m1");
        assert_eq!(response["snapshot"]["barrier"], barrier_before);
        // The old token stays valid, because the response with the new token may be lost.
        phone.get("/snapshot").await.expect(200);
        phone.token = response["clientId"].as_str().unwrap().to_owned();
    }
    let snapshot = phone.snapshot().await;
    assert_eq!(snapshot["clients"], json!({ "m1": { "name": "Alice" } }));
    phone
        .wait_for_event_count(snapshot["eventCount"].as_u64().unwrap())
        .await;
    assert_eq!(durable_state(&phone.view), durable_state(&snapshot));

    // Pairing with an unknown token creates a new member. A wrong code is refused even with a valid token.
    let body = json!({ "code": CODE });
    let pairing_with_unknown_token = http()
        .post(server.url("/pair"))
        .bearer_auth("forged")
        .json(&body);
    assert_eq!(
        ask(pairing_with_unknown_token).await.expect(200).json()["memberId"],
        "m2"
    );
    let pairing_with_wrong_code = phone
        .request(Method::POST, "/pair")
        .json(&json!({ "code": WRONG_CODE }));
    ask(pairing_with_wrong_code).await.expect_problem(403);
}
