//! The event stream: what it begins with, what it carries, what is replayed, and who listens.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on panics"
)]

pub mod common;

use std::time::{Duration, Instant};

use common::phone::{Block, EventStream, queue};
use common::{PATIENCE, Phone, Setup, TestServer, durable, in_time, music};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn stream(phone: &Phone, path: &str) -> EventStream {
    EventStream::open(phone.request(Method::GET, path)).await
}

/// A stream of one that says what it has heard last.
async fn stream_after(phone: &Phone, last: &str) -> EventStream {
    EventStream::open(
        phone
            .request(Method::GET, "/events")
            .header("Last-Event-ID", last),
    )
    .await
}

#[tokio::test]
async fn a_stream_begins_with_retry_and_the_snapshot() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    let mut stream = stream(&phone, "/events").await;
    match stream.block().await {
        Some(Block::Retry(ms)) => assert_eq!(ms, 1000),
        other => panic!("it begins with {other:?}"),
    }
    let Some(Block::Event(first)) = stream.block().await else {
        panic!("no snapshot")
    };
    assert_eq!(
        (first.name.as_str(), first.event_count),
        ("snapshot", phone.count())
    );
    assert_eq!(durable(&first.payload), durable(&phone.snapshot().await));
    assert!(first.payload["live"]["listeners"].is_object());
}

/// Byte by byte, as an `EventSource` reads it.
#[tokio::test]
async fn a_stream_is_what_a_browser_understands() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    let mut socket = TcpStream::connect(server.address()).await.unwrap();
    let request = format!(
        "GET /events HTTP/1.1\r\nHost: localhost\r\nCookie: clientId={}\r\n\r\n",
        phone.token
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut read = String::new();
    let mut buffer = [0; 4096];
    in_time("the snapshot", async {
        while !read.contains("\"snapshot\"") {
            let size = socket.read(&mut buffer).await.unwrap();
            assert!(size > 0, "the stream ended: {read}");
            read.push_str(std::str::from_utf8(&buffer[..size]).unwrap());
        }
    })
    .await;
    let (head, body) = read.split_once("\r\n\r\n").unwrap();
    let head = head.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200"));
    assert!(head.contains("content-type: text/event-stream"));
    assert!(
        head.contains("cache-control: no-store") || head.contains("cache-control: no-cache"),
        "{head}"
    );
    assert!(head.contains("lockstep-member: m1"));
    assert!(!head.contains("content-length"));
    assert!(body.contains("retry: 1000\n"));
    assert!(
        !body.contains("event:"),
        "a message has an event field: {body}"
    );
}

#[tokio::test]
async fn only_durable_events_have_an_id() {
    let server = TestServer::start().await;
    let mut phone = Phone::listening(&server).await;
    let before = phone.count();
    phone.ack_all().await;
    phone.play(0.0).await;
    let other = Phone::listening(&server).await;
    let two = |view: &Value| view["live"]["listeners"].as_object().unwrap().len() == 2;
    phone.wait_until("the other", two).await;
    phone.pause(0.0).await;
    drop(other);
    let one = |view: &Value| view["live"]["listeners"].as_object().unwrap().len() == 1;
    phone.wait_until("the other's end", one).await;

    let live = [
        "snapshot",
        "presence",
        "progress",
        "segue",
        "library.scanning",
        "server.closing",
    ];
    for event in &phone.heard {
        assert_eq!(
            event.id.is_none(),
            live.contains(&event.name.as_str()),
            "{event:?}"
        );
    }
    let ids: Vec<_> = phone.heard.iter().filter_map(|event| event.id).collect();
    assert_eq!(ids, (before + 1..=phone.count()).collect::<Vec<_>>());
}

/// Two hundred commands by chance; every state that the two phones fold is compared with the server's.
#[tokio::test]
async fn the_patches_of_a_long_history_add_up_to_the_servers_state() {
    let server = TestServer::start().await;
    let mut phones = [
        Phone::listening(&server).await,
        Phone::listening(&server).await,
    ];
    let mut seed = 0x5eed_u64;
    let mut chance = |below: u64| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let mut count = 0;
    for _ in 0..200 {
        let phone = &mut phones[chance(2) as usize];
        phone.wait_for_count(count).await;
        let position = chance(700_000) as f64 / 1000.0;
        match chance(8) {
            0 => phone.play(position).await,
            1 => phone.pause(position).await,
            2 => phone.seek(position).await,
            3 => phone.next().await,
            4 => {
                let places = 1 + chance(3) as usize;
                phone.nudge(&phone.track_after_current(places)).await
            }
            5 => phone.ack(&phone.next_up()).await,
            6 => phone.ack(&phone.current()).await,
            _ if phone.members().is_empty() => phone.pause(position).await,
            _ => phone.ack(&phone.current()).await,
        };
        count = phone.count();
    }
    let server_view = phones[0].snapshot().await;
    let count = server_view["eventCount"].as_u64().unwrap();
    assert!(count > 150, "too little happened: {count} events");
    for phone in &mut phones {
        phone.wait_for_count(count).await;
        assert_eq!(durable(&phone.view), durable(&server_view));
        assert_eq!(
            phone
                .heard
                .iter()
                .filter(|event| event.name == "snapshot")
                .count(),
            1,
            "it was cut off"
        );
    }
}

#[tokio::test]
async fn whoever_comes_back_hears_what_it_missed() {
    let server = TestServer::start().await;
    let mut alice = Phone::listening(&server).await;
    let mut bob = Phone::listening(&server).await;
    bob.listen_at("/events?role=remote").await;
    bob.hang_up();
    alice.next().await;
    alice.seek(4.0).await;
    alice.pause(9.0).await;
    alice.nudge(&alice.track_after_current(2)).await;

    bob.catch_up().await;
    bob.wait_for_count(alice.count()).await;
    assert!(
        bob.heard
            .iter()
            .filter(|event| event.name == "snapshot")
            .count()
            == 2,
        "it was told the state anew"
    );
    assert_eq!(durable(&bob.view), durable(&alice.view));

    // Nothing missed is nothing told again, and the stream goes on from there.
    bob.catch_up().await;
    let before = bob.count();
    alice.seek(5.0).await;
    bob.wait_for_count(alice.count()).await;
    assert_eq!(bob.names_after(before), ["playback.seeked"]);
    assert!(
        bob.heard
            .iter()
            .filter(|event| event.name == "snapshot")
            .count()
            == 2,
        "it was told the state anew"
    );
}

#[tokio::test]
async fn whoever_comes_back_from_another_history_is_told_the_state() {
    let server = TestServer::start().await;
    let mut phone = Phone::pair(&server).await;
    phone.seek(1.0).await;
    let future = (phone.count() + 1).to_string();
    for last in [
        future.as_str(),
        "99999999",
        "18446744073709551616",
        "-1",
        "x",
        "1.0",
        "",
    ] {
        let first = stream_after(&phone, last).await.event().await.unwrap();
        assert_eq!(
            (first.name.as_str(), first.event_count),
            ("snapshot", phone.count()),
            "after {last:?}"
        );
    }
}

/// What happened before a restart may be remembered or not; either way nothing is missing.
#[tokio::test]
async fn whoever_comes_back_after_a_restart_misses_nothing() {
    let mut server = TestServer::start().await;
    let mut phone = Phone::listening(&server).await;
    phone.seek(3.0).await;
    let last = phone.count() - 1;
    server.kill().await;
    server.start_again().await;
    phone.moved_to(&server);
    let first = stream_after(&phone, &last.to_string())
        .await
        .event()
        .await
        .unwrap();
    match first.name.as_str() {
        "snapshot" => assert_eq!(durable(&first.payload), durable(&phone.view)),
        "playback.seeked" => assert_eq!(first.id, Some(last + 1)),
        other => panic!("it begins with {other}"),
    }
}

#[tokio::test]
async fn a_silent_stream_carries_a_comment_every_few_seconds() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    let mut stream = stream(&phone, "/events?role=remote").await;
    let (mut comments, started) = (0, Instant::now());
    while comments < 2 {
        if let Block::Comment = stream.block().await.expect("the stream goes on") {
            comments += 1;
        }
    }
    assert!(
        started.elapsed() < Duration::from_secs(15),
        "{:?} for two",
        started.elapsed()
    );
}

#[tokio::test]
async fn two_streams_of_a_phone_are_one_listener() {
    let server = TestServer::start().await;
    let mut alice = Phone::listening(&server).await;
    let mut bob = Phone::listening(&server).await;
    let second = stream(&bob, "/events").await;
    let carol = Phone::listening(&server).await;
    let listeners = |view: &Value| view["live"]["listeners"].as_object().unwrap().len();
    alice
        .wait_until("three listeners", |view| listeners(view) == 3)
        .await;
    alice.next().await;
    assert_eq!(alice.members(), ["m1", "m2", "m3"]);

    // One of bob's two ends, and so does carol's only one, a little later: hers alone counts.
    bob.hang_up();
    drop(carol);
    let before = alice.count();
    let shrunk = alice.durable_event("barrier.shrunk", before).await;
    assert_eq!(shrunk.payload["memberId"], "m3");
    assert_eq!(alice.members(), ["m1", "m2"]);
    drop(second);
    let shrunk = alice.durable_event("barrier.shrunk", before + 1).await;
    assert_eq!(shrunk.payload["memberId"], "m2");
}

#[tokio::test]
async fn a_stream_as_remote_besides_one_as_listener_is_a_listener() {
    let server = TestServer::start().await;
    let mut phone = Phone::listening(&server).await;
    let _second = stream(&phone, "/events?role=remote").await;
    phone.next().await;
    assert_eq!(phone.members(), ["m1"]);
    assert_eq!(
        phone.snapshot().await["live"]["listeners"]["m1"]["role"],
        "listener"
    );
}

#[tokio::test]
async fn everybody_hears_who_comes_and_goes() {
    let server = TestServer::start().await;
    let mut alice = Phone::listening(&server).await;
    let before = alice.count();
    let mut bob = Phone::pair(&server).await;
    alice.wait_for_count(before + 1).await;
    bob.listen().await;
    let event = alice.live_event("presence").await;
    let expected = json!({ "role": "listener", "download": null, "playable": true });
    assert_eq!(event.payload["listeners"]["m2"], expected);
    for field in ["anchorAtMs", "segue"] {
        assert!(
            event.payload.as_object().unwrap().contains_key(field),
            "{}",
            event.payload
        );
    }
    assert_eq!(event.payload, alice.snapshot().await["live"]);
    bob.hang_up();
    alice
        .wait_until("bob's end", |view| {
            view["live"]["listeners"]["m2"].is_null()
        })
        .await;
    assert_eq!(alice.count(), before + 1, "coming and going was counted");
}

#[tokio::test]
async fn everybody_sees_how_far_a_download_is() {
    let setup = Setup::empty();
    let path = setup.audio().join("large.wav");
    music::put_wav(&path, 16_000, 16_000);
    let size = std::fs::metadata(&path).unwrap().len();
    let server = setup.start().await;
    let mut alice = Phone::listening(&server).await;
    let bob = Phone::listening(&server).await;
    let track = alice.current();

    let path = format!("/file/{track}");
    let mut response = bob.request(Method::GET, &path).send().await.unwrap();
    let progress = async {
        let event = alice.live_event("progress").await;
        let download = &event.payload["listeners"]["m2"]["download"];
        assert_eq!(download["trackId"], track.as_str());
        assert_eq!(download["size"], size);
        assert!(
            download["receivedBytes"]
                .as_u64()
                .is_some_and(|bytes| bytes > 0 && bytes < size)
        );
        assert!(event.payload["listeners"]["m1"]["download"].is_null());
        let far = |view: &Value| {
            view["live"]["listeners"]["m2"]["download"]["receivedBytes"].as_u64() > Some(size / 10)
        };
        alice.wait_until("word of a tenth", far).await;
    };
    let reading = async {
        while response.chunk().await.unwrap().is_some() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        () = progress => {}
        () = reading => panic!("the download was over before anybody heard of it"),
    }

    // A download that is broken off is under way no more.
    drop(response);
    let over = |view: &Value| view["live"]["listeners"]["m2"]["download"].is_null();
    alice.wait_until("its end", over).await;
}

#[tokio::test]
async fn downloads_of_several_phones_are_told_together_and_at_most_twice_a_second() {
    let setup = Setup::empty();
    music::put_wav(&setup.audio().join("large.wav"), 16_000, 16_000);
    let server = setup.start().await;
    let mut alice = Phone::listening(&server).await;
    let path = format!("/file/{}", alice.current());
    let mut phones = Vec::new();
    for _ in 0..4 {
        phones.push(Phone::listening(&server).await);
    }
    let all = |view: &Value| view["live"]["listeners"].as_object().unwrap().len() == 5;
    alice.wait_until("everybody", all).await;

    let downloads = phones.iter().map(|phone| async {
        let mut response = phone.request(Method::GET, &path).send().await.unwrap();
        while response.chunk().await.unwrap().is_some() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    let told = async {
        let (began, mut told) = (Instant::now(), Vec::new());
        while began.elapsed() < Duration::from_secs(3) {
            told.push(alice.live_event("progress").await.payload);
        }
        (began.elapsed(), told)
    };
    let (took, told) = tokio::select! {
        told = told => told,
        _ = join_all(downloads) => panic!("the downloads were over before anybody heard of them"),
    };
    let most = 2 + (took.as_secs_f64() * 2.0) as usize;
    assert!(told.len() <= most, "{} in {took:?}", told.len());
    let received = |live: &Value, phone: &Phone| {
        live["listeners"][&phone.member]["download"]["receivedBytes"].as_u64()
    };
    let moved = |pair: &[Value], phone: &Phone| {
        received(&pair[0], phone).is_some_and(|before| received(&pair[1], phone) > Some(before))
    };
    let together = |pair: &[Value]| phones.iter().all(|phone| moved(pair, phone));
    assert!(told.windows(2).any(together), "{told:#?}");
}

#[tokio::test]
async fn a_finished_download_is_under_way_no_more() {
    let server = TestServer::start().await;
    let mut alice = Phone::listening(&server).await;
    let bob = Phone::listening(&server).await;
    let track = alice.current();
    bob.get(&format!("/file/{track}")).await.expect(200);
    alice
        .wait_until("bob", |view| !view["live"]["listeners"]["m2"].is_null())
        .await;
    let done = |view: &Value| view["live"]["listeners"]["m2"]["download"].is_null();
    let deadline = Instant::now() + PATIENCE;
    while !done(&alice.snapshot().await) {
        assert!(Instant::now() < deadline, "still under way");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn odd_queries_do_no_harm() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    let track = phone.current();
    let queries = [
        "?".to_owned(),
        "?role=".to_owned(),
        "?role=admin".to_owned(),
        "?role=remote&role=listener".to_owned(),
        "?trackId=x&positionSec=1".to_owned(),
        "?trackId=%zz".to_owned(),
        "?positionSec=1".to_owned(),
        "?&&==&".to_owned(),
        "?trackId=0123456789abcdef&positionSec=1".to_owned(),
        format!("?trackId={track}&positionSec=NaN"),
        format!("?trackId={track}&positionSec=-1"),
        format!("?trackId={track}&positionSec=inf"),
        format!("?trackId={track}&positionSec=1e999"),
        format!("?trackId={track}"),
    ];
    for query in queries {
        let request = phone.request(Method::GET, &format!("/events{query}"));
        let response = in_time("an answer", request.send()).await.unwrap();
        assert!(
            [200, 400].contains(&response.status().as_u16()),
            "{query}: {}",
            response.status()
        );
    }
    let after = phone.snapshot().await;
    assert_eq!(
        (durable(&after), queue(&after)),
        (durable(&phone.view), queue(&phone.view))
    );
}

#[tokio::test]
async fn a_server_that_stops_says_so_and_ends_the_streams() {
    let mut server = TestServer::start().await;
    let mut phone = Phone::listening(&server).await;
    server.signal("TERM").await;
    while phone.try_hear().await.is_some() {}
    assert!(server.ended().await.success());
    assert_eq!(
        phone.heard.back().unwrap().name,
        "server.closing",
        "{:?}",
        phone.heard
    );
}

/// A stream is followed by hundreds of events that nobody reads for a while: late is not lost.
#[tokio::test]
async fn whoever_reads_late_still_hears_everything_in_order() {
    let server = TestServer::start().await;
    let mut late = Phone::listening(&server).await;
    let mut busy = Phone::pair(&server).await;
    for position in 0..300 {
        busy.seek(f64::from(position)).await;
    }
    late.wait_for_count(busy.count()).await;
    assert_eq!(durable(&late.view), durable(&busy.view));
}
