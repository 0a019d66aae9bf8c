//! Download priority on a slow link: a download that a barrier waits for gets bandwidth before prefetches of other tracks, and a
//! phone that reads slowly does not throttle other downloads.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::network::{RemoteNamespace, SERVER_IP, in_network_namespace};
use common::phone::ask;
use common::{Phone, Setup, in_time, music};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;

/// Rate of the link, as an argument of `tc`. At this rate, a single download of a track takes two seconds, and each of eight
/// simultaneous downloads takes fifteen seconds.
const LINK_RATE: &str = "20mbit";
const TRACK_SECONDS: u32 = 4_000;
const TRACK_BYTES_PER_SECOND: u32 = 1_000;
/// Size of a track's WAV file in bytes: a header of 44 bytes and the samples.
const TRACK_SIZE: u64 = 44 + (TRACK_SECONDS * TRACK_BYTES_PER_SECOND) as u64;

fn setup_with_three_tracks() -> Setup {
    let setup = Setup::empty();
    for name in ["a.wav", "b.wav", "c.wav"] {
        music::put_wav(
            &setup.audio().join(name),
            TRACK_SECONDS,
            TRACK_BYTES_PER_SECOND,
        );
    }
    setup
}

/// Receive buffer of a prefetch that pauses: little beside the rest of a track, and enough to fill its part of the link.
const PREFETCH_BUFFER: u32 = 64 << 10;

/// A running download. A background task reads the response body.
struct Download {
    received_bytes: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Download {
    fn start(phone: &Phone, track_id: &str) -> Download {
        let request = phone.house_request(Method::GET, &format!("/file/{track_id}"));
        let received_bytes = Arc::new(AtomicU64::new(0));
        let received_counter = received_bytes.clone();
        let task = tokio::spawn(async move {
            let mut response = request.send().await.unwrap();
            while let Some(chunk) = response.chunk().await.unwrap() {
                received_counter.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            }
        });
        Download {
            received_bytes,
            task,
        }
    }

    /// Starts a download that stops reading after `byte_count` bytes until `may_continue` is true. The sockets buffer little
    /// of what follows.
    async fn start_with_pause(
        phone: &Phone,
        track_id: &str,
        byte_count: u64,
        mut may_continue: watch::Receiver<bool>,
    ) -> Download {
        let address = phone.base_url.trim_start_matches("http://");
        let mut stream = connect_with_buffer(address.parse().unwrap(), PREFETCH_BUFFER).await;
        stream
            .write_all(file_request(phone, track_id).as_bytes())
            .await
            .unwrap();
        let received_bytes = Arc::new(AtomicU64::new(0));
        let received_counter = received_bytes.clone();
        let task = tokio::spawn(async move {
            let mut buffer = [0; 16 * 1024];
            while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                let length = length as u64;
                let received = received_counter.fetch_add(length, Ordering::Relaxed) + length;
                if received >= byte_count {
                    // An error means that the test has ended.
                    let _ = may_continue.wait_for(|may_continue| *may_continue).await;
                }
            }
        });
        Download {
            received_bytes,
            task,
        }
    }

    fn received_bytes(&self) -> u64 {
        self.received_bytes.load(Ordering::Relaxed)
    }

    /// Waits until at least `byte_count` bytes have arrived.
    async fn wait_until_received(&self, byte_count: u64) {
        let polling = async {
            while self.received_bytes() < byte_count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        in_time("the next bytes of a download", polling).await;
    }

    /// Waits for the end of the download, and asserts that the whole file has arrived.
    async fn wait_until_complete(self) {
        in_time("a download to end", self.task).await.unwrap();
        assert_eq!(self.received_bytes.load(Ordering::Relaxed), TRACK_SIZE);
    }
}

/// Connects with a receive buffer of this size.
async fn connect_with_buffer(address: SocketAddr, byte_count: u32) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(byte_count).unwrap();
    socket.connect(address).await.unwrap()
}

/// A request for the file of a track.
fn file_request(phone: &Phone, track_id: &str) -> String {
    format!(
        "GET /file/{track_id} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n",
        phone.token
    )
}

/// Pairs `phone_count` listening phones. Returns once all of them are listeners.
async fn listening_phones(address: SocketAddr, phone_count: usize) -> Vec<Phone> {
    let mut phones = Vec::new();
    for _ in 0..phone_count {
        let mut phone = Phone::pair_at(address, "").await;
        phone.listen().await;
        phones.push(phone);
    }
    let listener_count = |view: &Value| view["live"]["listeners"].as_object().unwrap().len();
    let all_listening = |view: &Value| listener_count(view) == phone_count;
    phones[0]
        .wait_until("every phone to be a listener", all_listening)
        .await;
    phones
}

/// Starts a download of the track on each phone, and waits until at least `byte_count` bytes of each download have arrived.
async fn start_downloads(phones: &[Phone], track_id: &str, byte_count: u64) -> Vec<Download> {
    let start = |phone: &Phone| Download::start(phone, track_id);
    let downloads: Vec<_> = phones.iter().map(start).collect();
    for download in &downloads {
        download.wait_until_received(byte_count).await;
    }
    downloads
}

/// Starts a server with three tracks, and runs `test` in a network namespace that a rate-limited link connects to the server.
async fn run_behind_rate_limited_link<F: Future<Output = ()>>(
    test: impl FnOnce(SocketAddr) -> F + Send + 'static,
) {
    let phone_network = RemoteNamespace::connected();
    let server = setup_with_three_tracks()
        .listen(&format!("{SERVER_IP}:0"))
        .start()
        .await;
    phone_network.limit_rate(LINK_RATE);
    let address = server.address();
    let test = phone_network.run(move || test(address));
    tokio::task::spawn_blocking(|| test.join().unwrap())
        .await
        .unwrap();
}

#[tokio::test]
async fn download_of_the_awaited_track_precedes_prefetches() {
    if !in_network_namespace("download_of_the_awaited_track_precedes_prefetches") {
        return;
    }
    run_behind_rate_limited_link(|address| async move {
        let mut phones = listening_phones(address, 8).await;
        let mut waiting_phone = phones.pop().unwrap();
        let (current_track_id, next_track_id) =
            (waiting_phone.current_track(), waiting_phone.next_track());
        for phone in &mut phones {
            phone.ack(&current_track_id).await;
        }
        waiting_phone.play(0.0).await;
        assert_eq!(
            (
                waiting_phone.barrier_members().len(),
                waiting_phone.ready_barrier_members().len()
            ),
            (8, 7)
        );

        let prefetches = start_downloads(&phones, &next_track_id, TRACK_SIZE / 10).await;
        Download::start(&waiting_phone, &current_track_id)
            .wait_until_complete()
            .await;
        waiting_phone.ack(&current_track_id).await;
        assert_eq!(waiting_phone.play_mode(), "playing");
        let received_bytes: Vec<_> = prefetches.iter().map(Download::received_bytes).collect();
        assert!(
            received_bytes.iter().all(|bytes| *bytes < TRACK_SIZE),
            "a prefetch was complete before the awaited download: {received_bytes:?} bytes"
        );

        // The prefetches continue after the barrier is released.
        for download in prefetches {
            download.wait_until_complete().await;
        }
    })
    .await;
}

#[tokio::test]
async fn running_download_gets_priority_once_a_barrier_waits_for_its_track() {
    if !in_network_namespace("running_download_gets_priority_once_a_barrier_waits_for_its_track") {
        return;
    }
    run_behind_rate_limited_link(|address| async move {
        let mut phones = listening_phones(address, 8).await;
        let mut waiting_phone = phones.pop().unwrap();
        let (next_track_id, later_track_id) = (
            waiting_phone.next_track(),
            waiting_phone.track_after_current(2),
        );
        for phone in &mut phones {
            phone.ack(&next_track_id).await;
        }
        // The prefetches pause until the barrier is open: on a slow machine, they would otherwise be complete before.
        let (release_prefetches, may_continue) = watch::channel(false);
        let mut prefetches = Vec::new();
        for phone in &phones {
            let may_continue = may_continue.clone();
            let prefetch =
                Download::start_with_pause(phone, &later_track_id, TRACK_SIZE / 5, may_continue);
            prefetches.push(prefetch.await);
        }
        for download in &prefetches {
            download.wait_until_received(TRACK_SIZE / 5).await;
        }
        let prefetched_bytes = || -> u64 { prefetches.iter().map(Download::received_bytes).sum() };
        let download = Download::start(&waiting_phone, &next_track_id);
        download.wait_until_received(1).await;
        waiting_phone.next().await;
        assert_eq!(
            (
                waiting_phone.barrier_members().len(),
                waiting_phone.ready_barrier_members().len()
            ),
            (8, 7)
        );

        let before = prefetched_bytes();
        release_prefetches.send_replace(true);
        download.wait_until_complete().await;
        let prefetched = prefetched_bytes() - before;
        waiting_phone.ack(&next_track_id).await;
        assert_eq!(waiting_phone.play_mode(), "playing");
        // Without priority, the seven prefetches would have received nearly all of their remaining bytes, which are more than
        // five times as many as those of a track. With priority, they receive what the sockets had buffered.
        assert!(
            prefetched < 3 * TRACK_SIZE,
            "{prefetched} bytes of prefetches arrived before the awaited download was complete"
        );
    })
    .await;
}

#[tokio::test]
async fn prefetches_in_one_room_yield_to_a_barrier_in_another() {
    if !in_network_namespace("prefetches_in_one_room_yield_to_a_barrier_in_another") {
        return;
    }
    run_behind_rate_limited_link(|address| async move {
        let phones = listening_phones(address, 7).await;
        let mut waiting_phone = Phone::pair_at(address, "").await;
        let make = waiting_phone.request(Method::POST, "/rooms");
        let made = ask(make.json(&json!({ "name": "Garden" })))
            .await
            .expect(201);
        let room = made.json()["roomId"].as_str().unwrap().to_owned();
        waiting_phone.base_url = format!("http://{address}/rooms/{room}");
        waiting_phone.listen().await;
        let current_track_id = waiting_phone.current_track();
        waiting_phone.play(0.0).await;
        assert_eq!(waiting_phone.barrier_members().len(), 1);

        let next_track_id = phones[0].next_track();
        let prefetches = start_downloads(&phones, &next_track_id, TRACK_SIZE / 10).await;
        Download::start(&waiting_phone, &current_track_id)
            .wait_until_complete()
            .await;
        let received_bytes: Vec<_> = prefetches.iter().map(Download::received_bytes).collect();
        assert!(
            received_bytes.iter().all(|bytes| *bytes < TRACK_SIZE),
            "a prefetch was complete before the awaited download: {received_bytes:?} bytes"
        );
    })
    .await;
}

#[tokio::test]
async fn slow_phone_does_not_throttle_other_downloads() {
    let server = setup_with_three_tracks().start().await;
    let mut phones = listening_phones(server.address(), 2).await;
    let (mut slow_phone, mut fast_phone) = (phones.remove(0), phones.remove(0));
    let current_track_id = fast_phone.current_track();
    fast_phone.ack(&current_track_id).await;
    slow_phone.play(0.0).await;

    let mut stream = connect_with_buffer(server.address(), 4096).await;
    let request = file_request(&slow_phone, &current_track_id);
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut buffer = [0; 1024];
    stream.read_exact(&mut buffer).await.unwrap();
    let read_slowly = async {
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            stream.read_exact(&mut buffer).await.unwrap();
        }
    };
    tokio::select! {
        () = Download::start(&fast_phone, &fast_phone.next_track()).wait_until_complete() => {}
        () = read_slowly => {}
    }
    let members = &fast_phone.snapshot().await["barrier"]["members"];
    assert!(
        members
            .as_array()
            .unwrap()
            .contains(&slow_phone.member.clone().into())
    );
}
