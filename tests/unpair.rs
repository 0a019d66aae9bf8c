//! One paired phone removes another: what that one still may, what the room makes of it, and who hears of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on panics"
)]

pub mod common;

use common::phone::ask;
use common::{Answer, CODE, Phone, Setup, TestServer, in_time, music, until};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Long enough that no departure is ever noticed by itself.
const GRACE: &str = "--leave-grace-ms=600000";

async fn unpair(phone: &Phone, member: &str) -> Answer {
    let body = json!({ "memberId": member });
    ask(phone.request(Method::POST, "/unpair").json(&body)).await
}

#[tokio::test]
async fn whoever_is_removed_hears_of_it_and_then_its_streams_end_and_its_token_is_worth_nothing() {
    let server = Setup::long_tracks().flag(GRACE).start().await;
    let mut alice = Phone::listening(&server).await;
    let mut bob = Phone::listening(&server).await;
    let mut as_remote = bob.again_at(&server);
    as_remote.listen_at("/events?role=remote").await;
    alice.wait_for_count(bob.count()).await;
    let before = alice.count();

    let answer = unpair(&alice, &bob.member).await.expect(200);
    assert_eq!(answer.json(), json!({ "eventCount": before + 1 }));
    assert_eq!(answer.header("set-cookie"), None);
    let told = json!(["m2", "m1"]);
    for phone in [&mut alice, &mut bob, &mut as_remote] {
        let event = phone.durable_event("client.left", before).await;
        let payload = event.payload;
        assert_eq!(json!([payload["memberId"], payload["removedBy"]]), told);
    }
    assert!(alice.view["clients"].get(&bob.member).is_none());
    // Nothing more is said to it, and nothing more is taken from it.
    for phone in [&mut bob, &mut as_remote] {
        let more = phone.try_hear().await;
        assert!(more.is_none(), "{more:?} is told to a stranger");
    }
    bob.get("/snapshot").await.expect_problem(401);
    bob.get("/events").await.expect_problem(401);
    bob.try_command("/next", before + 1, &Value::Null)
        .await
        .expect_problem(401);
    unpair(&bob, &alice.member).await.expect_problem(401);
    assert_eq!(alice.snapshot().await["eventCount"], before + 1);
    let listeners = |view: &Value| view["live"]["listeners"].as_object().unwrap().len();
    alice
        .wait_until("one listener", |view| listeners(view) == 1)
        .await;
}

#[tokio::test]
async fn a_removal_outlives_a_kill_and_leaves_the_door_open_to_the_code() {
    let mut server = TestServer::start().await;
    let alice = Phone::pair(&server).await;
    let bob = Phone::pair(&server).await;
    unpair(&alice, &bob.member).await.expect(200);
    server.kill().await;
    server.start_again().await;
    bob.again_at(&server)
        .get("/snapshot")
        .await
        .expect_problem(401);
    let clients = alice.again_at(&server).snapshot().await["clients"].clone();
    assert_eq!(clients, json!({ "m1": { "name": "" } }));
    // With the code it is somebody new.
    let answer = ask(bob
        .again_at(&server)
        .request(Method::POST, "/pair")
        .json(&json!({ "code": CODE })))
    .await;
    assert_eq!(answer.expect(200).json()["memberId"], "m3");
}

#[tokio::test]
async fn whoever_is_removed_is_waited_for_no_more_at_once() {
    let server = Setup::long_tracks().flag(GRACE).start().await;
    let mut alice = Phone::listening(&server).await;
    let bob = Phone::listening(&server).await;
    alice
        .wait_until("two listeners", |view| {
            view["live"]["listeners"].as_object().unwrap().len() == 2
        })
        .await;
    alice.play(0.0).await;
    alice.ack(&alice.current()).await;
    assert_eq!(alice.members(), ["m1", "m2"]);
    let before = alice.count();
    unpair(&alice, &bob.member).await.expect(200);
    alice.durable_event("client.left", before).await;
    assert_eq!(
        alice.names_after(before),
        ["barrier.shrunk", "barrier.release", "client.left"]
    );
    assert_eq!(alice.mode(), "playing");
}

#[tokio::test]
async fn who_is_not_there_cannot_be_removed_and_a_strange_body_removes_nobody() {
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
async fn of_two_that_remove_each_other_at_once_one_stays() {
    let server = TestServer::start().await;
    let watcher = Phone::pair(&server).await;
    for _ in 0..10 {
        let (one, other) = (Phone::pair(&server).await, Phone::pair(&server).await);
        let (first, second) =
            tokio::join!(unpair(&one, &other.member), unpair(&other, &one.member));
        let mut answers = [first.status, second.status];
        answers.sort_unstable();
        assert_eq!(answers, [200, 401]);
    }
    let clients = watcher.snapshot().await["clients"].clone();
    assert_eq!(clients.as_object().unwrap().len(), 11);
}

#[tokio::test]
async fn a_phone_that_removes_itself_leaves() {
    let server = TestServer::start().await;
    let mut alice = Phone::listening(&server).await;
    let bob = Phone::pair(&server).await;
    let answer = unpair(&bob, &bob.member).await.expect(200);
    let cookie = answer
        .header("set-cookie")
        .expect("the cookie is taken away");
    assert!(cookie.starts_with("clientId=;") && cookie.contains("Max-Age=0"));
    let event = alice.durable_event("client.left", 0).await;
    assert_eq!(event.payload.get("removedBy"), None);
    bob.get("/snapshot").await.expect_problem(401);
}

const WHOLE: usize = 50 << 20;

/// A server with one track that is larger than what fits in between it and a phone.
async fn server_with_a_large_track() -> TestServer {
    let setup = Setup::empty();
    music::put_wav(&setup.audio().join("long.wav"), 500, (WHOLE / 500) as u32);
    setup.start().await
}

/// A download of that track of which the first bytes have come, and no more are read.
async fn begin_download(server: &TestServer, phone: &Phone) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 << 10).unwrap();
    let mut download = socket.connect(server.address()).await.unwrap();
    let request = format!(
        "GET /file/{} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n",
        phone.current(),
        phone.token
    );
    download.write_all(request.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    in_time("the first bytes", download.read_exact(&mut first))
        .await
        .unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    download
}

/// What the server has counted under that name.
async fn counted(phone: &Phone, name: &str) -> u64 {
    let metrics = phone.get("/metrics").await.expect(200).text();
    let value = metrics.lines().find_map(|line| line.strip_prefix(name));
    value.unwrap().trim().parse().unwrap()
}

#[tokio::test]
async fn a_download_under_way_breaks_off() {
    let server = server_with_a_large_track().await;
    let (alice, bob) = (Phone::pair(&server).await, Phone::pair(&server).await);
    let mut download = begin_download(&server, &bob).await;
    unpair(&alice, &bob.member).await.expect(200);
    let mut piece = vec![0; 64 << 10];
    let rest = in_time("the end of the download", async {
        let mut rest = 0;
        while let Ok(got @ 1..) = download.read(&mut piece).await {
            rest += got;
        }
        rest
    });
    let rest = rest.await;
    assert!(rest < 4 << 20, "{rest} bytes came after the removal");
}

#[tokio::test]
async fn a_download_that_nobody_reads_takes_no_place_once_its_device_is_gone() {
    let server = server_with_a_large_track().await;
    let alice = Phone::pair(&server).await;
    for removes_itself in [false, true] {
        let bob = Phone::pair(&server).await;
        let inside = async || {
            let of_devices = counted(&alice, "lockstep_connections{paired=\"yes\"}").await;
            of_devices + counted(&alice, "lockstep_connections{paired=\"no\"}").await
        };
        // The one that asks for the figures.
        until("only one to be inside", async || inside().await == 1).await;
        let before = counted(&alice, "lockstep_sent_bytes_total{kind=\"file\"}").await;
        let _unread = begin_download(&server, &bob).await;
        let (mut sent, mut still) = (before, 0);
        until("the download to stand still", async || {
            let then = sent;
            sent = counted(&alice, "lockstep_sent_bytes_total{kind=\"file\"}").await;
            still = if sent == then && sent > before {
                still + 1
            } else {
                0
            };
            still == 25
        })
        .await;
        until("only one more to be inside", async || inside().await == 2).await;
        if removes_itself {
            bob.post("/leave").await.expect(204);
        } else {
            unpair(&alice, &bob.member).await.expect(200);
        }
        until("the end of the download", async || inside().await == 1).await;
    }
}
