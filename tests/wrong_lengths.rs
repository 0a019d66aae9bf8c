//! Files whose header states a wrong length: what devices decoded corrects the index, and the room does not cut the music.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::fs;
use std::path::Path;

use common::phone::ask;
use common::{CODE, Phone, Setup, TestServer, until};
use reqwest::Method;
use serde_json::{Value, json};

/// An MP3 frame of silence: MPEG 1 layer 3, 128 kbit/s, 44.1 kHz, without padding.
const FRAME_SIZE: usize = 417;
const FRAME_SEC: f64 = 1152.0 / 44_100.0;
/// The number of frames in each file: 26.1 s.
const FRAMES: u32 = 1_000;
/// The number that the headers state: 24.8 s, which is less by a twentieth.
const STATED_FRAMES: u32 = 950;

fn frame() -> Vec<u8> {
    let mut frame = vec![0; FRAME_SIZE];
    frame[..4].copy_from_slice(&[0xff, 0xfb, 0x90, 0x00]);
    frame
}

/// Writes an MP3 file whose Xing header states `stated` frames, or that has no such header, so that the frames are counted.
fn put_mp3(path: &Path, stated: Option<u32>) {
    let mut bytes = Vec::new();
    if let Some(frames) = stated {
        let mut header = frame();
        let audio_size = (FRAMES + 1) * FRAME_SIZE as u32;
        header[36..40].copy_from_slice(b"Xing");
        // The flags of the two fields that follow: the number of frames and of bytes.
        header[40..44].copy_from_slice(&3_u32.to_be_bytes());
        header[44..48].copy_from_slice(&frames.to_be_bytes());
        header[48..52].copy_from_slice(&audio_size.to_be_bytes());
        bytes.extend(header);
    }
    for _ in 0..FRAMES {
        bytes.extend(frame());
    }
    // A title tag (ID3v1) makes the files differ in more than their names.
    let mut tag = vec![0; 128];
    tag[..3].copy_from_slice(b"TAG");
    let name = path.file_stem().unwrap().as_encoded_bytes();
    tag[3..3 + name.len()].copy_from_slice(name);
    bytes.extend(tag);
    fs::write(path, bytes).unwrap();
}

/// A server with one track whose header lies and one track whose frames are counted.
async fn start() -> TestServer {
    let setup = Setup::empty();
    put_mp3(&setup.audio().join("a lying.mp3"), Some(STATED_FRAMES));
    put_mp3(&setup.audio().join("b counted.mp3"), None);
    setup.flag("--keep-duplicates").start().await
}

fn stated_sec() -> f64 {
    f64::from(STATED_FRAMES) * FRAME_SEC
}

fn true_sec() -> f64 {
    f64::from(FRAMES) * FRAME_SEC
}

async fn indexed_sec(phone: &Phone, track_id: &str) -> f64 {
    phone.index_row(track_id).await["duration"]
        .as_f64()
        .unwrap()
}

fn assert_near(actual: f64, expected: f64) {
    assert!((actual - expected).abs() < 1e-3, "{actual} != {expected}");
}

async fn report(phone: &mut Phone, track_id: &str, duration_sec: f64) {
    let body = json!({ "trackId": track_id, "durationSec": duration_sec });
    phone.command_until_accepted("/ack-download", body).await;
}

#[tokio::test]
async fn two_devices_that_agree_correct_a_wrong_header_for_good() {
    let mut server = start().await;
    let mut ada = Phone::pair_and_listen(&server).await;
    let mut ben = Phone::pair_and_listen(&server).await;
    let lying = ada.current_track();
    assert_near(indexed_sec(&ada, &lying).await, stated_sec());

    report(&mut ada, &lying, true_sec()).await;
    report(&mut ada, &lying, true_sec()).await;
    assert_near(indexed_sec(&ada, &lying).await, stated_sec());
    report(&mut ben, &lying, true_sec() + 0.04).await;
    let progress = ada.live_event("library.scanning").await;
    assert_eq!(progress.payload, json!({ "read": 0, "total": 0 }));
    let corrected_sec = true_sec() + 0.02;
    assert_near(indexed_sec(&ada, &lying).await, corrected_sec);

    // A corrected length is final.
    for phone in [&mut ada, &mut ben] {
        report(phone, &lying, true_sec() + 1.0).await;
    }
    let index_cache = server.setup().state_file().with_extension("json.index");
    until("the corrected length in the index cache", async || {
        let cached = fs::read_to_string(&index_cache).unwrap();
        cached.contains(r#""corrected":"#)
    })
    .await;
    server.stop().await;
    server.restart().await;
    ada.use_server(&server);
    assert_near(indexed_sec(&ada, &lying).await, corrected_sec);

    // The correction applies to these bytes only.
    let path = server.setup().audio().join("a lying.mp3");
    fs::remove_file(&path).unwrap();
    put_mp3(&path, Some(STATED_FRAMES - 1));
    until("the length in the new header", async || {
        let expected_sec = f64::from(STATED_FRAMES - 1) * FRAME_SEC;
        (indexed_sec(&ada, &lying).await - expected_sec).abs() < 1e-3
    })
    .await;
}

#[tokio::test]
async fn reports_that_must_not_correct_the_index_change_nothing() {
    let server = start().await;
    let mut ada = Phone::pair_and_listen(&server).await;
    let mut ben = Phone::pair_and_listen(&server).await;
    let (lying, counted) = (ada.current_track(), ada.next_track());
    assert_near(indexed_sec(&ada, &counted).await, true_sec());
    for (track_id, duration_sec) in [
        (&lying, stated_sec() * 1.11),
        (&lying, stated_sec() * 0.89),
        (&lying, stated_sec() + 0.24),
        (&counted, true_sec() * 1.05),
    ] {
        for phone in [&mut ada, &mut ben] {
            report(phone, track_id, duration_sec).await;
        }
    }
    report(&mut ada, &lying, true_sec()).await;
    report(&mut ben, &lying, true_sec() + 0.2).await;
    // This agreement is the last report, so that a correction before it would be visible after it.
    report(&mut ada, &lying, true_sec() + 0.2).await;
    ada.live_event("library.scanning").await;
    assert_near(indexed_sec(&ada, &lying).await, true_sec() + 0.2);
    assert_near(indexed_sec(&ada, &counted).await, true_sec());
}

#[tokio::test]
async fn only_listeners_that_can_play_a_track_correct_it_each_once() {
    let server = start().await;
    let mut ada = Phone::pair_and_listen(&server).await;
    let mut ben = Phone::pair_and_listen(&server).await;
    let mut absent = Phone::pair(&server).await;
    let lying = ada.current_track();
    report(&mut ada, &lying, true_sec()).await;
    // The device gets a second token, and stays one device.
    let body = json!({ "code": CODE });
    let paired_again = ask(ada.request(Method::POST, "/pair").json(&body)).await;
    let paired_again = paired_again.expect(200).json();
    ada.token = paired_again["clientId"].as_str().unwrap().to_owned();
    report(&mut ada, &lying, true_sec()).await;
    report(&mut absent, &lying, true_sec()).await;
    let unplayable = json!({ "trackId": lying, "durationSec": true_sec(), "playable": false });
    ben.command_until_accepted("/ack-download", unplayable)
        .await;

    // This agreement is the last report, so that a correction before it would be visible after it.
    report(&mut ben, &lying, true_sec() + 0.2).await;
    report(&mut ada, &lying, true_sec() + 0.2).await;
    ada.live_event("library.scanning").await;
    assert_near(indexed_sec(&ada, &lying).await, true_sec() + 0.2);
}

#[tokio::test]
async fn invalid_decoded_lengths_are_refused() {
    let server = start().await;
    let phone = Phone::pair_and_listen(&server).await;
    for duration_sec in [json!(0), json!(-1.5), json!("26"), json!([26]), json!(true)] {
        let body = json!({ "trackId": phone.current_track(), "durationSec": duration_sec });
        let response = phone.try_command("/ack-download", 0, &body).await;
        let problem = response.expect_problem(400);
        assert!(
            problem["detail"].as_str().unwrap().contains("durationSec")
                || !duration_sec.is_number(),
            "{problem}"
        );
    }
    let body = json!({ "trackId": phone.current_track(), "durationSec": null });
    let event_count = phone.event_count();
    let response = phone.try_command("/ack-download", event_count, &body).await;
    response.expect(200);
}

#[tokio::test]
async fn room_plays_a_track_to_the_end_that_one_device_decoded() {
    let server = start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    phone.ack_all().await;
    let lying = phone.current_track();
    phone.play(0.0).await;
    let snapshot = phone.snapshot().await;
    let anchor_at_ms = snapshot["live"]["anchorAtMs"].as_f64().unwrap();
    let promised_sec = |at_ms: &Value| (at_ms.as_f64().unwrap() - anchor_at_ms) / 1e3;
    let promised = &snapshot["live"]["segue"]["anchorAtMs"];
    assert_near(promised_sec(promised), stated_sec());
    report(&mut phone, &lying, true_sec()).await;
    loop {
        let announced = phone.live_event("segue").await;
        let announced_sec = promised_sec(&announced.payload["anchorAtMs"]);
        if (announced_sec - stated_sec()).abs() > 1e-3 {
            assert_near(announced_sec, true_sec());
            break;
        }
    }
    // The position is not cut to the length in the header.
    let late_sec = (stated_sec() + true_sec()) / 2.0;
    phone.seek(late_sec).await;
    assert_near(phone.anchor_position_sec(), late_sec);
}
