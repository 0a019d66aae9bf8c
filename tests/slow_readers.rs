//! Phones that do not read what they are sent, and phones that all speak at once: neither holds up the others.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on panics"
)]

pub mod common;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use common::music::put_wav;
use common::{Phone, Setup, TestServer};
use futures_util::future::join_all;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// A request on a socket that takes little at a time.
async fn ask_on_a_small_socket(address: SocketAddr, path: &str, token: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn listeners_that_never_read_are_cut_off_and_nobody_waits_for_them() {
    let server = TestServer::start().await;
    let mut phone = Phone::listening(&server).await;
    let mut deaf = Vec::new();
    for _ in 0..50 {
        let other = Phone::pair(&server).await;
        deaf.push(ask_on_a_small_socket(server.address(), "/events", &other.token).await);
    }
    phone.outlive(50).await;
    phone.next().await;
    assert_eq!(phone.members().len(), 1);
}

#[tokio::test]
async fn thirty_phones_that_finish_together_are_all_accepted_at_once() {
    let server = TestServer::start().await;
    let mut phones = Vec::new();
    for _ in 0..30 {
        phones.push(Phone::listening(&server).await);
    }
    phones[29].next().await;
    let (track, opened) = (phones[29].current(), phones[29].count());
    let body = json!({ "trackId": track });
    let acks = phones
        .iter()
        .map(|phone| phone.try_command("/ack-download", opened, &body));
    for answer in join_all(acks).await {
        answer.expect(200);
    }
    let phone = &mut phones[0];
    phone
        .wait_until("the music to start", |view| {
            view["playState"]["mode"] == "playing"
        })
        .await;
}

#[tokio::test]
async fn a_phone_that_downloads_slowly_is_waited_for_as_long_as_it_moves() {
    let setup = Setup::empty();
    put_wav(&setup.audio().join("long.wav"), 300, 1_000);
    let server = setup.start().await;
    let mut quick = Phone::listening(&server).await;
    let mut slow = Phone::listening(&server).await;
    quick.wait_for_count(slow.count()).await;
    quick.next().await;
    let track = quick.current();
    quick.ack(&track).await;

    let began = Instant::now();
    let path = format!("/file/{track}");
    let mut download = ask_on_a_small_socket(server.address(), &path, &slow.token).await;
    let mut shown = 0;
    let mut piece = [0; 2048];
    // Longer than a phone that does nothing is waited for, a little at a time.
    while began.elapsed() < Duration::from_secs(20) {
        download.read_exact(&mut piece).await.unwrap();
        tokio::time::sleep(Duration::from_millis(250)).await;
        let received =
            &quick.snapshot().await["live"]["listeners"][&slow.member]["download"]["receivedBytes"];
        let received = received.as_u64().expect("a download under way");
        assert!(received >= shown, "{received} after {shown}");
        shown = received;
    }
    assert!(shown < 300_000, "it is not shown to be further than it is");
    assert_eq!(
        quick.snapshot().await["barrier"]["members"]
            .as_array()
            .unwrap()
            .len(),
        2
    );

    slow.catch_up().await;
    slow.ack(&track).await;
    quick
        .wait_until("the music to start", |view| {
            view["playState"]["mode"] == "playing"
        })
        .await;
    assert!(
        !quick
            .heard
            .iter()
            .any(|event| event.name == "barrier.shrunk")
    );
}
