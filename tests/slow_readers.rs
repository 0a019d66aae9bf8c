//! Listeners that never read, thirty simultaneous acknowledgements, and a download that is read slowly.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::time::{Duration, Instant};

use common::music::put_wav;
use common::phone::ask;
use common::raw::request_with_small_receive_buffer;
use common::{Phone, Setup, TestServer, in_time, preload};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

#[tokio::test]
async fn listeners_that_never_read_are_disconnected() {
    let server = TestServer::start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    // All streams open after the pairings: the server disconnects a stream that is not read for seven seconds
    // (STREAM_USER_TIMEOUT), and fifty pairings may take longer.
    let others = join_all((0..50).map(|_| Phone::pair(&server))).await;
    let streams = others
        .iter()
        .map(|other| request_with_small_receive_buffer(server.address(), "/events", &other.token));
    let _non_readers = join_all(streams).await;
    phone.disconnect_stalled_listeners(50).await;
    phone.next().await;
    assert_eq!(phone.barrier_members().len(), 1);
}

/// Renames `device` several times, one after the other, because the events of simultaneous commands are one message in the
/// event queues. Returns the last event count.
async fn rename_repeatedly(device: &Phone, names: std::ops::Range<usize>) -> u64 {
    let mut event_count = 0;
    for index in names {
        let name = format!("{index} {}", "🎵".repeat(40));
        let request = device.request(Method::POST, "/rename");
        let response = ask(request.json(&json!({ "clientName": name }))).await;
        event_count = response.expect(200).json()["eventCount"].as_u64().unwrap();
    }
    event_count
}

#[tokio::test]
async fn overflow_of_one_event_queue_ends_only_that_stream() {
    /// Several times as many events as the queue (1,024) and the kernel's buffers hold.
    const MAX_RENAMES: usize = 10_000;
    const RENAMES_PER_ROUND: usize = 50;
    let setup = Setup::long_tracks().log_filter("lockstep=debug");
    // The preloaded library ignores TCP_USER_TIMEOUT. With that option the kernel would close the connection after seven seconds
    // (STREAM_USER_TIMEOUT), maybe before the overflow.
    let preloaded_library = preload::compile("tests/default_user_timeout.c", setup.folder());
    let server = setup.env([("LD_PRELOAD", preloaded_library)]).start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    let stalled_phone = Phone::pair(&server).await;
    let mut unread_stream =
        request_with_small_receive_buffer(server.address(), "/events", &stalled_phone.token).await;
    let is_listening = |view: &Value| !view["live"]["listeners"][&stalled_phone.member].is_null();
    phone
        .wait_until("the other phone to be a listener", is_listening)
        .await;
    let event_count_before = phone.event_count();

    let mut rename_count = 0;
    while is_listening(&phone.view) {
        assert!(rename_count < MAX_RENAMES, "the stream does not end");
        let names = rename_count..rename_count + RENAMES_PER_ROUND;
        rename_count = names.end;
        let event_count = rename_repeatedly(&stalled_phone, names).await;
        phone.wait_for_event_count(event_count).await;
    }
    let log = server.log();
    assert!(log.contains("reads its events too slowly"), "{log}");

    let mut received = Vec::new();
    // Fails if the kernel has reset the connection, because the server closed it with unsent data.
    let reading = unread_stream.read_to_end(&mut received);
    let _ = in_time("the unread stream to end", reading).await;
    let renames = phone.durable_event_names_after(event_count_before);
    let renames = renames.iter().filter(|name| **name == "client.renamed");
    assert_eq!(renames.count(), rename_count);
}

#[tokio::test]
async fn thirty_simultaneous_acknowledgements_are_all_accepted() {
    let server = TestServer::start().await;
    let mut phones = Vec::new();
    for _ in 0..30 {
        phones.push(Phone::pair_and_listen(&server).await);
    }
    phones[29].next().await;
    let (track_id, event_count_at_opening) = (phones[29].current_track(), phones[29].event_count());
    let body = json!({ "trackId": track_id });
    let acks = phones
        .iter()
        .map(|phone| phone.try_command("/ack-download", event_count_at_opening, &body));
    for response in join_all(acks).await {
        response.expect(200);
    }
    let phone = &mut phones[0];
    phone
        .wait_until("playback to start", |view| {
            view["playState"]["mode"] == "playing"
        })
        .await;
}

#[tokio::test]
async fn phone_that_downloads_slowly_stays_a_barrier_member() {
    let setup = Setup::empty();
    put_wav(&setup.audio().join("long.wav"), 300, 1_000);
    let server = setup.start().await;
    let mut fast_phone = Phone::pair_and_listen(&server).await;
    let mut slow_phone = Phone::pair_and_listen(&server).await;
    fast_phone
        .wait_for_event_count(slow_phone.event_count())
        .await;
    fast_phone.next().await;
    let track_id = fast_phone.current_track();
    fast_phone.ack(&track_id).await;

    let started_at = Instant::now();
    let path = format!("/file/{track_id}");
    let mut download =
        request_with_small_receive_buffer(server.address(), &path, &slow_phone.token).await;
    let mut shown_bytes = 0;
    let mut buffer = [0; 2048];
    // The phone reads a few bytes at a time, for longer than the stall timeout.
    while started_at.elapsed() < Duration::from_secs(20) {
        download.read_exact(&mut buffer).await.unwrap();
        tokio::time::sleep(Duration::from_millis(250)).await;
        let received_bytes = &fast_phone.snapshot().await["live"]["listeners"][&slow_phone.member]
            ["download"]["receivedBytes"];
        let received_bytes = received_bytes
            .as_u64()
            .expect("the snapshot contains no download of the slow phone");
        assert!(
            received_bytes >= shown_bytes,
            "receivedBytes decreased from {shown_bytes} to {received_bytes}"
        );
        shown_bytes = received_bytes;
    }
    assert!(
        shown_bytes < 300_000,
        "receivedBytes is the whole file, but most of it was not read"
    );
    assert_eq!(
        fast_phone.snapshot().await["barrier"]["members"]
            .as_array()
            .unwrap()
            .len(),
        2
    );

    slow_phone.resume_stream().await;
    slow_phone.ack(&track_id).await;
    fast_phone
        .wait_until("playback to start", |view| {
            view["playState"]["mode"] == "playing"
        })
        .await;
    assert!(
        !fast_phone
            .received_events
            .iter()
            .any(|event| event.name == "barrier.shrunk")
    );
}
