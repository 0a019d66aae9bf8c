//! `POST /unpair`, by which a paired device removes another: the effects on the removed device's token, streams, downloads,
//! connections and barriers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use common::phone::ask;
use common::{CODE, HttpResponse, Phone, Setup, TestServer, in_time, music, until};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// A grace period so long that the server removes no listener because of a closed stream during a test.
const LONG_GRACE_FLAG: &str = "--leave-grace-ms=600000";

async fn unpair(phone: &Phone, member: &str) -> HttpResponse {
    let body = json!({ "memberId": member });
    ask(phone.request(Method::POST, "/unpair").json(&body)).await
}

#[tokio::test]
async fn removed_device_receives_client_left_and_then_loses_streams_and_token() {
    let server = Setup::long_tracks().flag(LONG_GRACE_FLAG).start().await;
    let mut alice = Phone::pair_and_listen(&server).await;
    let mut bob = Phone::pair_and_listen(&server).await;
    let mut remote_stream = bob.clone_for_server(&server);
    remote_stream.open_stream_at("/events?role=remote").await;
    alice.wait_for_event_count(bob.event_count()).await;
    let event_count_before = alice.event_count();

    let response = unpair(&alice, &bob.member).await.expect(200);
    assert_eq!(
        response.json(),
        json!({ "eventCount": event_count_before + 1 })
    );
    assert_eq!(response.header("set-cookie"), None);
    let expected = json!(["m2", "m1"]);
    for phone in [&mut alice, &mut bob, &mut remote_stream] {
        let event = phone.durable_event("client.left", event_count_before).await;
        let payload = event.payload;
        assert_eq!(json!([payload["memberId"], payload["removedBy"]]), expected);
    }
    assert!(alice.view["clients"].get(&bob.member).is_none());
    // The server ends the removed device's streams and refuses its requests.
    for phone in [&mut bob, &mut remote_stream] {
        let event = phone.next_event_or_end().await;
        assert!(event.is_none(), "{event:?} was sent to a removed device");
    }
    bob.get("/snapshot").await.expect_problem(401);
    bob.get("/events").await.expect_problem(401);
    bob.try_command("/next", event_count_before + 1, &Value::Null)
        .await
        .expect_problem(401);
    unpair(&bob, &alice.member).await.expect_problem(401);
    assert_eq!(alice.snapshot().await["eventCount"], event_count_before + 1);
    let listeners = |view: &Value| view["live"]["listeners"].as_object().unwrap().len();
    alice
        .wait_until("exactly one listener", |view| listeners(view) == 1)
        .await;
}

#[tokio::test]
async fn removal_survives_a_kill_and_pairing_again_creates_a_new_member() {
    let mut server = TestServer::start().await;
    let alice = Phone::pair(&server).await;
    let bob = Phone::pair(&server).await;
    unpair(&alice, &bob.member).await.expect(200);
    server.kill().await;
    server.restart().await;
    bob.clone_for_server(&server)
        .get("/snapshot")
        .await
        .expect_problem(401);
    let clients = alice.clone_for_server(&server).snapshot().await["clients"].clone();
    assert_eq!(clients, json!({ "m1": { "name": "" } }));
    // Pairing with the pairing code creates a new member.
    let response = ask(bob
        .clone_for_server(&server)
        .request(Method::POST, "/pair")
        .json(&json!({ "code": CODE })))
    .await;
    assert_eq!(response.expect(200).json()["memberId"], "m3");
}

#[tokio::test]
async fn removed_member_leaves_the_barrier_at_once() {
    let server = Setup::long_tracks().flag(LONG_GRACE_FLAG).start().await;
    let mut alice = Phone::pair_and_listen(&server).await;
    let bob = Phone::pair_and_listen(&server).await;
    alice
        .wait_until("exactly two listeners", |view| {
            view["live"]["listeners"].as_object().unwrap().len() == 2
        })
        .await;
    alice.play(0.0).await;
    alice.ack(&alice.current_track()).await;
    assert_eq!(alice.barrier_members(), ["m1", "m2"]);
    let event_count_before = alice.event_count();
    unpair(&alice, &bob.member).await.expect(200);
    alice.durable_event("client.left", event_count_before).await;
    assert_eq!(
        alice.durable_event_names_after(event_count_before),
        ["barrier.shrunk", "barrier.release", "client.left"]
    );
    assert_eq!(alice.play_mode(), "playing");
}

#[tokio::test]
async fn unpair_of_an_unknown_member_or_with_a_malformed_body_is_refused() {
    let server = TestServer::start().await;
    let alice = Phone::pair(&server).await;
    let bob = Phone::pair(&server).await;
    unpair(&alice, "m9").await.expect_problem(404);
    unpair(&alice, "m0").await.expect_problem(400);
    for body in [
        json!({}),
        json!({ "memberId": 2 }),
        json!({ "memberId": "" }),
        json!({ "memberId": ["m2"] }),
        json!({ "member": "m2" }),
        json!(["m2"]),
    ] {
        let request = alice.request(Method::POST, "/unpair").json(&body);
        ask(request).await.expect_problem(400);
    }
    alice.get("/unpair").await.expect_problem(405);
    bob.get("/snapshot").await.expect(200);
    unpair(&alice, &bob.member).await.expect(200);
    unpair(&alice, &bob.member).await.expect_problem(404);
}

#[tokio::test]
async fn only_one_of_two_simultaneous_mutual_removals_succeeds() {
    let server = TestServer::start().await;
    let observer = Phone::pair(&server).await;
    for _ in 0..10 {
        let (alice, bob) = (Phone::pair(&server).await, Phone::pair(&server).await);
        let (first_response, second_response) =
            tokio::join!(unpair(&alice, &bob.member), unpair(&bob, &alice.member));
        let mut statuses = [first_response.status, second_response.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 401]);
    }
    let clients = observer.snapshot().await["clients"].clone();
    assert_eq!(clients.as_object().unwrap().len(), 11);
}

#[tokio::test]
async fn device_that_removes_itself_gets_its_cookie_deleted() {
    let server = TestServer::start().await;
    let mut alice = Phone::pair_and_listen(&server).await;
    let bob = Phone::pair(&server).await;
    let response = unpair(&bob, &bob.member).await.expect(200);
    let cookie = response
        .header("set-cookie")
        .expect("the response has no Set-Cookie");
    assert!(cookie.starts_with("clientId=;") && cookie.contains("Max-Age=0"));
    let event = alice.durable_event("client.left", 0).await;
    assert_eq!(event.payload.get("removedBy"), None);
    bob.get("/snapshot").await.expect_problem(401);
}

/// Size of the large track in bytes.
const TRACK_BYTES: usize = 50 << 20;

/// Starts a server with one track that is larger than all socket buffers between server and phone.
async fn server_with_a_large_track() -> TestServer {
    let setup = Setup::empty();
    music::put_wav(
        &setup.audio().join("long.wav"),
        500,
        (TRACK_BYTES / 500) as u32,
    );
    setup.start().await
}

/// Starts a download of the large track, reads its first bytes and then stops reading.
async fn start_download(server: &TestServer, phone: &Phone) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 << 10).unwrap();
    let mut download = socket.connect(server.address()).await.unwrap();
    let request = format!(
        "GET /file/{} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n",
        phone.current_track(),
        phone.token
    );
    download.write_all(request.as_bytes()).await.unwrap();
    let mut first_bytes = [0; 12];
    in_time(
        "the first bytes of the download",
        download.read_exact(&mut first_bytes),
    )
    .await
    .unwrap();
    assert_eq!(&first_bytes, b"HTTP/1.1 200");
    download
}

/// The value of the sample `name` in `GET /metrics`.
async fn metric_value(phone: &Phone, name: &str) -> u64 {
    let metrics = phone.get("/metrics").await.expect(200).text();
    let value = metrics.lines().find_map(|line| line.strip_prefix(name));
    value.unwrap().trim().parse().unwrap()
}

#[tokio::test]
async fn removal_aborts_a_running_download() {
    let server = server_with_a_large_track().await;
    let (alice, bob) = (Phone::pair(&server).await, Phone::pair(&server).await);
    let mut download = start_download(&server, &bob).await;
    unpair(&alice, &bob.member).await.expect(200);
    let mut buffer = vec![0; 64 << 10];
    let read_to_end = in_time("the end of the download", async {
        let mut received_bytes = 0;
        while let Ok(byte_count @ 1..) = download.read(&mut buffer).await {
            received_bytes += byte_count;
        }
        received_bytes
    });
    let received_bytes = read_to_end.await;
    assert!(
        received_bytes < 4 << 20,
        "{received_bytes} bytes of the download arrived after the removal"
    );
}

#[tokio::test]
async fn connection_with_an_unread_download_of_a_removed_device_is_closed() {
    let server = server_with_a_large_track().await;
    let alice = Phone::pair(&server).await;
    for removes_itself in [false, true] {
        let bob = Phone::pair(&server).await;
        let open_connections = async || {
            let paired_connections =
                metric_value(&alice, "lockstep_connections{paired=\"yes\"}").await;
            paired_connections + metric_value(&alice, "lockstep_connections{paired=\"no\"}").await
        };
        // The only open connection is that of the metrics request.
        until("one open connection", async || {
            open_connections().await == 1
        })
        .await;
        let sent_bytes_before =
            metric_value(&alice, "lockstep_sent_bytes_total{kind=\"file\"}").await;
        let _unread_download = start_download(&server, &bob).await;
        let (mut sent_bytes, mut unchanged_polls) = (sent_bytes_before, 0);
        until(
            "the server to send no more bytes of the download",
            async || {
                let previous_sent_bytes = sent_bytes;
                sent_bytes = metric_value(&alice, "lockstep_sent_bytes_total{kind=\"file\"}").await;
                unchanged_polls =
                    if sent_bytes == previous_sent_bytes && sent_bytes > sent_bytes_before {
                        unchanged_polls + 1
                    } else {
                        0
                    };
                unchanged_polls == 25
            },
        )
        .await;
        until("two open connections", async || {
            open_connections().await == 2
        })
        .await;
        if removes_itself {
            bob.post("/leave").await.expect(204);
        } else {
            unpair(&alice, &bob.member).await.expect(200);
        }
        until("the connection of the download to be closed", async || {
            open_connections().await == 1
        })
        .await;
    }
}
