//! The event stream: its first events, durable and live events, replay of missed events, and which devices count as listeners.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::time::{Duration, Instant};

use common::phone::{Block, EventStream, queued_tracks};
use common::{Phone, Setup, TestServer, WAIT_TIMEOUT, durable_state, in_time, music};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection that has requested an event stream of `phone`.
async fn request_raw_stream(server: &TestServer, phone: &Phone) -> TcpStream {
    let mut socket = TcpStream::connect(server.address()).await.unwrap();
    let request = format!(
        "GET /events HTTP/1.1\r\nHost: localhost\r\nCookie: clientId={}\r\n\r\n",
        phone.token
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    socket
}

async fn open_stream(phone: &Phone, path: &str) -> EventStream {
    EventStream::open(phone.request(Method::GET, path)).await
}

/// Opens an event stream with `last_event_id` in `Last-Event-ID`.
async fn open_stream_after(phone: &Phone, last_event_id: &str) -> EventStream {
    EventStream::open(
        phone
            .request(Method::GET, "/events")
            .header("Last-Event-ID", last_event_id),
    )
    .await
}

#[tokio::test]
async fn stream_begins_with_the_retry_time_and_a_snapshot() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    let mut stream = open_stream(&phone, "/events").await;
    match stream.next_block().await {
        Some(Block::Retry(ms)) => assert_eq!(ms, 1000),
        other => panic!("the stream begins with {other:?}"),
    }
    let Some(Block::Event(first_event)) = stream.next_block().await else {
        panic!("the second block is not an event")
    };
    assert_eq!(
        (first_event.name.as_str(), first_event.event_count),
        ("snapshot", phone.event_count())
    );
    assert_eq!(
        durable_state(&first_event.payload),
        durable_state(&phone.snapshot().await)
    );
    assert!(first_event.payload["live"]["listeners"].is_object());
}

/// Checks the raw bytes of the response. `EventSource` requires this content type, and calls `onmessage` only without `event:`.
#[tokio::test]
async fn response_is_a_valid_event_stream_without_event_fields() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    let mut socket = request_raw_stream(&server, &phone).await;
    let received_text = read_snapshot(&mut socket).await;
    let (head, body) = received_text.split_once("\r\n\r\n").unwrap();
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
        "an event has an `event:` field: {body}"
    );
}

#[tokio::test]
async fn only_durable_events_have_an_id() {
    let server = TestServer::start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    let event_count_before = phone.event_count();
    phone.ack_all().await;
    phone.play(0.0).await;
    let other_phone = Phone::pair_and_listen(&server).await;
    let two_listeners = |view: &Value| view["live"]["listeners"].as_object().unwrap().len() == 2;
    phone
        .wait_until("exactly two listeners", two_listeners)
        .await;
    phone.pause(0.0).await;
    drop(other_phone);
    let one_listener = |view: &Value| view["live"]["listeners"].as_object().unwrap().len() == 1;
    phone.wait_until("exactly one listener", one_listener).await;

    let live_event_names = [
        "snapshot",
        "presence",
        "progress",
        "segue",
        "library.scanning",
        "server.closing",
    ];
    for event in &phone.received_events {
        assert_eq!(
            event.id.is_none(),
            live_event_names.contains(&event.name.as_str()),
            "{event:?}"
        );
    }
    let ids: Vec<_> = phone
        .received_events
        .iter()
        .filter_map(|event| event.id)
        .collect();
    assert_eq!(
        ids,
        (event_count_before + 1..=phone.event_count()).collect::<Vec<_>>()
    );
}

/// Two phones send 200 random commands. The state that each phone computes from patches must equal the server's snapshot.
#[tokio::test]
async fn patches_of_200_random_commands_reproduce_the_state_of_the_server() {
    let server = TestServer::start().await;
    let mut phones = [
        Phone::pair_and_listen(&server).await,
        Phone::pair_and_listen(&server).await,
    ];
    let mut seed = 0x5eed_u64;
    let mut random_below = |limit: u64| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % limit
    };
    let mut event_count = 0;
    for _ in 0..200 {
        let phone = &mut phones[random_below(2) as usize];
        phone.wait_for_event_count(event_count).await;
        let position_sec = random_below(700_000) as f64 / 1000.0;
        match random_below(8) {
            0 => phone.play(position_sec).await,
            1 => phone.pause(position_sec).await,
            2 => phone.seek(position_sec).await,
            3 => phone.next().await,
            4 => {
                let offset = 1 + random_below(3) as usize;
                phone.nudge(&phone.track_after_current(offset)).await
            }
            5 => phone.ack(&phone.next_track()).await,
            6 => phone.ack(&phone.current_track()).await,
            _ if phone.barrier_members().is_empty() => phone.pause(position_sec).await,
            _ => phone.ack(&phone.current_track()).await,
        };
        event_count = phone.event_count();
    }
    let server_snapshot = phones[0].snapshot().await;
    let event_count = server_snapshot["eventCount"].as_u64().unwrap();
    assert!(
        event_count > 150,
        "the commands caused only {event_count} events"
    );
    for phone in &mut phones {
        phone.wait_for_event_count(event_count).await;
        assert_eq!(durable_state(&phone.view), durable_state(&server_snapshot));
        assert_eq!(
            phone
                .received_events
                .iter()
                .filter(|event| event.name == "snapshot")
                .count(),
            1,
            "a second snapshot means that the stream was closed and opened again"
        );
    }
}

#[tokio::test]
async fn reconnect_with_last_event_id_replays_the_missed_events() {
    let server = TestServer::start().await;
    let mut alice = Phone::pair_and_listen(&server).await;
    let mut bob = Phone::pair_and_listen(&server).await;
    bob.open_stream_at("/events?role=remote").await;
    bob.close_stream();
    alice.next().await;
    alice.seek(4.0).await;
    alice.pause(9.0).await;
    alice.nudge(&alice.track_after_current(2)).await;

    bob.resume_stream().await;
    bob.wait_for_event_count(alice.event_count()).await;
    assert!(
        bob.received_events
            .iter()
            .filter(|event| event.name == "snapshot")
            .count()
            == 2,
        "the stream began with a snapshot instead of the missed events"
    );
    assert_eq!(durable_state(&bob.view), durable_state(&alice.view));

    // If no event was missed, the stream begins with the next new event.
    bob.resume_stream().await;
    let event_count_before = bob.event_count();
    alice.seek(5.0).await;
    bob.wait_for_event_count(alice.event_count()).await;
    assert_eq!(
        bob.durable_event_names_after(event_count_before),
        ["playback.seeked"]
    );
    assert!(
        bob.received_events
            .iter()
            .filter(|event| event.name == "snapshot")
            .count()
            == 2,
        "the stream began with a snapshot instead of the missed events"
    );
}

#[tokio::test]
async fn stream_begins_with_a_snapshot_after_an_unknown_last_event_id() {
    let server = TestServer::start().await;
    let mut phone = Phone::pair(&server).await;
    phone.seek(1.0).await;
    let future_event_id = (phone.event_count() + 1).to_string();
    for last_event_id in [
        future_event_id.as_str(),
        "99999999",
        "18446744073709551616",
        "-1",
        "x",
        "1.0",
        "",
    ] {
        let first_event = open_stream_after(&phone, last_event_id)
            .await
            .next_event()
            .await
            .unwrap();
        assert_eq!(
            (first_event.name.as_str(), first_event.event_count),
            ("snapshot", phone.event_count()),
            "the first event after Last-Event-ID {last_event_id:?}"
        );
    }
}

/// A server may replay the missed event from before the restart, or send a snapshot. Both bring the phone to the current state.
#[tokio::test]
async fn reconnect_after_a_restart_reaches_the_current_state() {
    let mut server = TestServer::start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    phone.seek(3.0).await;
    let last_count = phone.event_count() - 1;
    server.kill().await;
    server.restart().await;
    phone.use_server(&server);
    let first_event = open_stream_after(&phone, &last_count.to_string())
        .await
        .next_event()
        .await
        .unwrap();
    match first_event.name.as_str() {
        "snapshot" => assert_eq!(
            durable_state(&first_event.payload),
            durable_state(&phone.view)
        ),
        "playback.seeked" => assert_eq!(first_event.id, Some(last_count + 1)),
        other => panic!("the stream begins with {other}"),
    }
}

#[tokio::test]
async fn idle_stream_receives_heartbeat_comments() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    let mut stream = open_stream(&phone, "/events?role=remote").await;
    let (mut comment_count, started_at) = (0, Instant::now());
    while comment_count < 2 {
        if let Block::Comment = stream
            .next_block()
            .await
            .expect("the stream ended before the second heartbeat")
        {
            comment_count += 1;
        }
    }
    assert!(
        started_at.elapsed() < Duration::from_secs(15),
        "two heartbeats took {:?}",
        started_at.elapsed()
    );
}

#[tokio::test]
async fn two_streams_of_one_device_are_one_listener() {
    let server = TestServer::start().await;
    let mut alice = Phone::pair_and_listen(&server).await;
    let mut bob = Phone::pair_and_listen(&server).await;
    let second_stream_of_bob = open_stream(&bob, "/events").await;
    let carol = Phone::pair_and_listen(&server).await;
    let listener_count = |view: &Value| view["live"]["listeners"].as_object().unwrap().len();
    alice
        .wait_until("three listeners", |view| listener_count(view) == 3)
        .await;
    alice.next().await;
    assert_eq!(alice.barrier_members(), ["m1", "m2", "m3"]);

    // One of Bob's two streams closes, and then Carol's only stream: the server removes only Carol from the barrier.
    bob.close_stream();
    drop(carol);
    let event_count_before = alice.event_count();
    let shrunk_event = alice
        .durable_event("barrier.shrunk", event_count_before)
        .await;
    assert_eq!(shrunk_event.payload["memberId"], "m3");
    assert_eq!(alice.barrier_members(), ["m1", "m2"]);
    drop(second_stream_of_bob);
    let shrunk_event = alice
        .durable_event("barrier.shrunk", event_count_before + 1)
        .await;
    assert_eq!(shrunk_event.payload["memberId"], "m2");
}

#[tokio::test]
async fn device_with_a_remote_and_a_listener_stream_is_a_listener() {
    let server = TestServer::start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    let _second = open_stream(&phone, "/events?role=remote").await;
    phone.next().await;
    assert_eq!(phone.barrier_members(), ["m1"]);
    assert_eq!(
        phone.snapshot().await["live"]["listeners"]["m1"]["role"],
        "listener"
    );
}

#[tokio::test]
async fn presence_event_announces_arrivals_and_departures() {
    let server = TestServer::start().await;
    let mut alice = Phone::pair_and_listen(&server).await;
    let event_count_before = alice.event_count();
    let mut bob = Phone::pair(&server).await;
    alice.wait_for_event_count(event_count_before + 1).await;
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
    bob.close_stream();
    alice
        .wait_until("m2 to leave the listeners", |view| {
            view["live"]["listeners"]["m2"].is_null()
        })
        .await;
    assert_eq!(
        alice.event_count(),
        event_count_before + 1,
        "presence changed the event count"
    );
}

#[tokio::test]
async fn progress_event_announces_a_running_download() {
    let setup = Setup::empty();
    let path = setup.audio().join("large.wav");
    music::put_wav(&path, 16_000, 16_000);
    let file_size = std::fs::metadata(&path).unwrap().len();
    let server = setup.start().await;
    let mut alice = Phone::pair_and_listen(&server).await;
    let bob = Phone::pair_and_listen(&server).await;
    let track_id = alice.current_track();

    let path = format!("/file/{track_id}");
    let mut response = bob.request(Method::GET, &path).send().await.unwrap();
    let wait_for_progress = async {
        let event = alice.live_event("progress").await;
        let download = &event.payload["listeners"]["m2"]["download"];
        assert_eq!(download["trackId"], track_id.as_str());
        assert_eq!(download["size"], file_size);
        assert!(
            download["receivedBytes"]
                .as_u64()
                .is_some_and(|bytes| bytes > 0 && bytes < file_size)
        );
        assert!(event.payload["listeners"]["m1"]["download"].is_null());
        let is_past_a_tenth = |view: &Value| {
            view["live"]["listeners"]["m2"]["download"]["receivedBytes"].as_u64()
                > Some(file_size / 10)
        };
        alice
            .wait_until("progress beyond a tenth of the file", is_past_a_tenth)
            .await;
    };
    let read_slowly = async {
        while response.chunk().await.unwrap().is_some() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        () = wait_for_progress => {}
        () = read_slowly => panic!("the download ended before any progress event"),
    }

    // The view no longer contains an aborted download.
    drop(response);
    let no_download = |view: &Value| view["live"]["listeners"]["m2"]["download"].is_null();
    alice
        .wait_until("m2 to have no download", no_download)
        .await;
}

#[tokio::test]
async fn progress_events_of_several_downloads_are_batched_and_rate_limited() {
    let setup = Setup::empty();
    music::put_wav(&setup.audio().join("large.wav"), 16_000, 16_000);
    let server = setup.start().await;
    let mut alice = Phone::pair_and_listen(&server).await;
    let path = format!("/file/{}", alice.current_track());
    let mut phones = Vec::new();
    for _ in 0..4 {
        phones.push(Phone::pair_and_listen(&server).await);
    }
    let five_listeners = |view: &Value| view["live"]["listeners"].as_object().unwrap().len() == 5;
    alice.wait_until("five listeners", five_listeners).await;

    let downloads = phones.iter().map(|phone| async {
        let mut response = phone.request(Method::GET, &path).send().await.unwrap();
        while response.chunk().await.unwrap().is_some() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    let collect_progress = async {
        let (started_at, mut payloads) = (Instant::now(), Vec::new());
        while started_at.elapsed() < Duration::from_secs(3) {
            payloads.push(alice.live_event("progress").await.payload);
        }
        (started_at.elapsed(), payloads)
    };
    let (elapsed, payloads) = tokio::select! {
        collected = collect_progress => collected,
        _ = join_all(downloads) => panic!("the downloads ended before any progress event"),
    };
    let max_events = 2 + (elapsed.as_secs_f64() * 2.0) as usize;
    assert!(
        payloads.len() <= max_events,
        "{} progress events in {elapsed:?}, but at most {max_events} are allowed",
        payloads.len()
    );
    let received_bytes = |live: &Value, phone: &Phone| {
        live["listeners"][&phone.member]["download"]["receivedBytes"].as_u64()
    };
    let advanced = |pair: &[Value], phone: &Phone| {
        received_bytes(&pair[0], phone)
            .is_some_and(|before| received_bytes(&pair[1], phone) > Some(before))
    };
    let all_advanced = |pair: &[Value]| phones.iter().all(|phone| advanced(pair, phone));
    assert!(payloads.windows(2).any(all_advanced), "{payloads:#?}");
}

#[tokio::test]
async fn finished_download_is_absent_from_the_snapshot() {
    let server = TestServer::start().await;
    let mut alice = Phone::pair_and_listen(&server).await;
    let bob = Phone::pair_and_listen(&server).await;
    let track_id = alice.current_track();
    bob.get(&format!("/file/{track_id}")).await.expect(200);
    alice
        .wait_until("m2 to be a listener", |view| {
            !view["live"]["listeners"]["m2"].is_null()
        })
        .await;
    let no_download = |view: &Value| view["live"]["listeners"]["m2"]["download"].is_null();
    let deadline = Instant::now() + WAIT_TIMEOUT;
    while !no_download(&alice.snapshot().await) {
        assert!(
            Instant::now() < deadline,
            "the snapshot still contains the finished download"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn malformed_stream_queries_are_ignored_or_refused_without_effect() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    let track_id = phone.current_track();
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
        format!("?trackId={track_id}&positionSec=NaN"),
        format!("?trackId={track_id}&positionSec=-1"),
        format!("?trackId={track_id}&positionSec=inf"),
        format!("?trackId={track_id}&positionSec=1e999"),
        format!("?trackId={track_id}"),
    ];
    for query in queries {
        let request = phone.request(Method::GET, &format!("/events{query}"));
        let response = in_time("the response head", request.send()).await.unwrap();
        assert!(
            [200, 400].contains(&response.status().as_u16()),
            "{query} got status {}",
            response.status()
        );
    }
    let snapshot_after = phone.snapshot().await;
    assert_eq!(
        (
            durable_state(&snapshot_after),
            queued_tracks(&snapshot_after)
        ),
        (durable_state(&phone.view), queued_tracks(&phone.view))
    );
}

/// Reads until the snapshot has arrived.
async fn read_snapshot(socket: &mut TcpStream) -> String {
    let mut received_bytes = Vec::new();
    let mut buffer = [0; 4096];
    in_time("the snapshot", async {
        loop {
            let text = String::from_utf8_lossy(&received_bytes);
            if text.contains("\"snapshot\"") {
                return text.into_owned();
            }
            let byte_count = socket.read(&mut buffer).await.unwrap();
            assert!(byte_count > 0, "the stream ended: {text}");
            received_bytes.extend_from_slice(&buffer[..byte_count]);
        }
    })
    .await
}

/// The client's kernel still acknowledges data, so only the end of the input shows that the client has closed the stream.
#[tokio::test]
async fn stream_ends_when_the_client_closes_its_sending_direction() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    let mut socket = request_raw_stream(&server, &phone).await;
    read_snapshot(&mut socket).await;
    socket.shutdown().await.unwrap();
    // The connection may also end with a reset.
    let _ = in_time("the end of the stream", socket.read_to_end(&mut Vec::new())).await;
}

/// Data after the request may be an empty line, which RFC 9112 (section 2.2) has servers ignore, or the next request.
#[tokio::test]
async fn data_from_the_client_does_not_end_its_stream() {
    let server = TestServer::start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    let mut socket = request_raw_stream(&server, &phone).await;
    read_snapshot(&mut socket).await;
    socket
        .write_all(b"\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    phone.next().await;
    let mut received_text = String::new();
    let mut buffer = [0; 4096];
    in_time("the event of the command", async {
        while !received_text.contains("\"track.") && !received_text.contains("barrier.open") {
            let byte_count = socket.read(&mut buffer).await.unwrap();
            assert!(byte_count > 0, "the stream ended: {received_text}");
            received_text.push_str(&String::from_utf8_lossy(&buffer[..byte_count]));
        }
    })
    .await;
}

#[tokio::test]
async fn shutdown_sends_server_closing_and_ends_the_streams() {
    let mut server = TestServer::start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    server.signal("TERM").await;
    while phone.next_event_or_end().await.is_some() {}
    assert!(server.wait_for_exit().await.success());
    assert_eq!(
        phone.received_events.back().unwrap().name,
        "server.closing",
        "{:?}",
        phone.received_events
    );
}

/// The listener reads nothing while the server sends 300 events, and then receives all of them.
#[tokio::test]
async fn listener_that_reads_late_receives_every_event_in_order() {
    let server = TestServer::start().await;
    let mut late_reader = Phone::pair_and_listen(&server).await;
    let mut sender = Phone::pair(&server).await;
    for position_sec in 0..300 {
        sender.seek(f64::from(position_sec)).await;
    }
    late_reader.wait_for_event_count(sender.event_count()).await;
    assert_eq!(
        durable_state(&late_reader.view),
        durable_state(&sender.view)
    );
}
