//! Many downloads on one narrow way out: what a phone waits for comes before what others fetch ahead, and nobody stands aside
//! for nothing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on panics"
)]

pub mod common;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::network::{HOUSE, OutOfTown, inside};
use common::{Phone, Setup, in_time, music};
use reqwest::Method;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

/// What the cable lets through: at this rate one track takes two seconds alone, and a quarter of a minute beside seven others.
const RATE: &str = "20mbit";
const TRACK_SECONDS: u32 = 4_000;
const TRACK_RATE: u32 = 1_000;
const SIZE: u64 = 44 + (TRACK_SECONDS * TRACK_RATE) as u64;

fn three_tracks() -> Setup {
    let setup = Setup::empty();
    for name in ["a.wav", "b.wav", "c.wav"] {
        music::put_wav(&setup.audio().join(name), TRACK_SECONDS, TRACK_RATE);
    }
    setup
}

/// A download that goes on by itself.
struct Download {
    received: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Download {
    fn begin(phone: &Phone, track: &str) -> Download {
        let request = phone.request(Method::GET, &format!("/file/{track}"));
        let received = Arc::new(AtomicU64::new(0));
        let count = received.clone();
        let task = tokio::spawn(async move {
            let mut response = request.send().await.unwrap();
            while let Some(chunk) = response.chunk().await.unwrap() {
                count.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            }
        });
        Download { received, task }
    }

    fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    async fn reached(&self, bytes: u64) {
        let reached = async {
            while self.received() < bytes {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        in_time("a download to move", reached).await;
    }

    async fn whole(self) {
        in_time("a download to end", self.task).await.unwrap();
        assert_eq!(self.received.load(Ordering::Relaxed), SIZE);
    }
}

/// So many phones that listen, and know of each other.
async fn crowd(address: SocketAddr, size: usize) -> Vec<Phone> {
    let mut phones = Vec::new();
    for _ in 0..size {
        let mut phone = Phone::pair_at(address, "").await;
        phone.listen().await;
        phones.push(phone);
    }
    let listeners = |view: &Value| view["live"]["listeners"].as_object().unwrap().len();
    let all = |view: &Value| listeners(view) == size;
    phones[0].wait_until("everybody", all).await;
    phones
}

/// Each of these fetches that track, and has some of it.
async fn fetch(phones: &[Phone], track: &str, bytes: u64) -> Vec<Download> {
    let begin = |phone: &Phone| Download::begin(phone, track);
    let downloads: Vec<_> = phones.iter().map(begin).collect();
    for download in &downloads {
        download.reached(bytes).await;
    }
    downloads
}

/// Runs `scene` with phones at the far end of a narrow cable to a server with three tracks.
async fn at_the_end_of_a_narrow_cable<F: Future<Output = ()>>(
    scene: impl FnOnce(SocketAddr) -> F + Send + 'static,
) {
    let town = OutOfTown::connected();
    let server = three_tracks().listen(&format!("{HOUSE}:0")).start().await;
    town.narrow_the_cable(RATE);
    let address = server.address();
    let scene = town.run(move || scene(address));
    tokio::task::spawn_blocking(|| scene.join().unwrap())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_phone_that_is_waited_for_is_served_before_those_that_fetch_ahead() {
    if !inside("a_phone_that_is_waited_for_is_served_before_those_that_fetch_ahead") {
        return;
    }
    at_the_end_of_a_narrow_cable(|address| async move {
        let mut phones = crowd(address, 8).await;
        let mut last = phones.pop().unwrap();
        let (current, next_up) = (last.current(), last.next_up());
        for phone in &mut phones {
            phone.ack(&current).await;
        }
        last.play(0.0).await;
        assert_eq!((last.members().len(), last.ready().len()), (8, 7));

        let ahead = fetch(&phones, &next_up, SIZE / 10).await;
        Download::begin(&last, &current).whole().await;
        last.ack(&current).await;
        assert_eq!(last.mode(), "playing");
        let received: Vec<_> = ahead.iter().map(Download::received).collect();
        assert!(received.iter().all(|bytes| *bytes < SIZE), "{received:?}");

        // And then they go on.
        for download in ahead {
            download.whole().await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_fetched_ahead_goes_first_as_soon_as_it_is_waited_for() {
    if !inside("what_is_fetched_ahead_goes_first_as_soon_as_it_is_waited_for") {
        return;
    }
    at_the_end_of_a_narrow_cable(|address| async move {
        let mut phones = crowd(address, 8).await;
        let mut last = phones.pop().unwrap();
        let (next_up, later) = (last.next_up(), last.track_after_current(2));
        for phone in &mut phones {
            phone.ack(&next_up).await;
        }
        let ahead = fetch(&phones, &later, SIZE / 5).await;
        let download = Download::begin(&last, &next_up);
        download.reached(1).await;
        last.next().await;
        assert_eq!((last.members().len(), last.ready().len()), (8, 7));

        download.whole().await;
        last.ack(&next_up).await;
        assert_eq!(last.mode(), "playing");
        let received: Vec<_> = ahead.iter().map(Download::received).collect();
        assert!(received.iter().all(|bytes| *bytes < SIZE), "{received:?}");
    })
    .await;
}

#[tokio::test]
async fn a_phone_that_is_slow_by_itself_does_not_hold_up_the_others() {
    let server = three_tracks().start().await;
    let mut phones = crowd(server.address(), 2).await;
    let (mut slow, mut quick) = (phones.remove(0), phones.remove(0));
    let current = quick.current();
    quick.ack(&current).await;
    slow.play(0.0).await;

    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(server.address()).await.unwrap();
    let request = format!(
        "GET /file/{current} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n",
        slow.token
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut piece = [0; 1024];
    stream.read_exact(&mut piece).await.unwrap();
    let reading = async {
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            stream.read_exact(&mut piece).await.unwrap();
        }
    };
    tokio::select! {
        () = Download::begin(&quick, &quick.next_up()).whole() => {}
        () = reading => {}
    }
    let waited_for = &quick.snapshot().await["barrier"]["members"];
    assert!(waited_for.as_array().unwrap().contains(&slow.member.into()));
}
