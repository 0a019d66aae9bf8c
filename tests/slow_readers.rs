//! Phones that do not read what they are sent, and phones that all speak at once: neither holds up the others.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on panics"
)]

pub mod common;

use std::net::SocketAddr;

use common::{Phone, TestServer};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

/// An event stream of which nothing will ever be read, on a socket that takes little.
async fn never_reads(address: SocketAddr, token: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let request =
        format!("GET /events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
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
        deaf.push(never_reads(server.address(), &other.token).await);
    }
    let listeners = |view: &Value| view["live"]["listeners"].as_object().unwrap().len();
    phone
        .wait_until("all of them", |view| listeners(view) == 51)
        .await;

    // More than fits into their sockets, so that the server has something to get rid of.
    for n in 0..800 {
        let track = phone.track_after_current(if n % 2 == 0 { 2 } else { 3 });
        phone.nudge(&track).await;
    }
    phone
        .wait_until("only itself", |view| listeners(view) == 1)
        .await;
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
