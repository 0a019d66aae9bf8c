//! Loudness: what devices measure becomes part of the index, the room decides the gain of each track once, and devices can be
//! trimmed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use common::phone::ask;
use common::{HttpResponse, Phone, TestServer, until};
use reqwest::Method;
use serde_json::{Value, json};

async fn post(phone: &Phone, path: &str, body: &Value) -> HttpResponse {
    ask(phone.request(Method::POST, path).json(body)).await
}

async fn report(phone: &Phone, track_id: &str, lufs: f64, peak_db: f64) {
    let body = json!({ "trackId": track_id, "lufs": lufs, "peakDb": peak_db });
    post(phone, "/loudness", &body).await.expect(204);
}

/// Waits until the index states this gain of a track.
async fn wait_for_gain(phone: &Phone, track_id: &str, gain_db: &Value) -> Value {
    until("the gain in the index", async || {
        phone.index_row(track_id).await["gainDb"] == *gain_db
    })
    .await;
    phone.index_row(track_id).await
}

#[tokio::test]
async fn a_measured_loudness_is_kept_in_the_index_and_over_a_restart() {
    let mut server = TestServer::start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    let (track, next) = (phone.current_track(), phone.next_track());
    assert_eq!(phone.index_row(&track).await["gainDb"], Value::Null);
    report(&phone, &track, -12.5, -6.0).await;
    let row = wait_for_gain(&phone, &track, &json!(-5.5)).await;
    assert_eq!(row["peak"], json!(0.501_187));
    // Devices fetch the index again on this event.
    phone.live_event("library.scanning").await;
    report(&phone, &next, -70.0, -120.0).await;
    wait_for_gain(&phone, &next, &json!(15.0)).await;

    server.stop().await;
    server.restart().await;
    phone.use_server(&server);
    assert_eq!(phone.index_row(&track).await["gainDb"], json!(-5.5));
    assert_eq!(phone.index_row(&next).await["gainDb"], json!(15.0));
}

#[tokio::test]
async fn many_measurements_make_devices_fetch_the_index_once() {
    let server = TestServer::start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    report(&phone, &phone.current_track(), -12.5, -6.0).await;
    phone.live_event("library.scanning").await;
    let began = std::time::Instant::now();
    for distance in [1, 2] {
        let track = phone.track_after_current(distance);
        report(&phone, &track, -12.0, -6.0).await;
        wait_for_gain(&phone, &track, &json!(-6.0)).await;
    }
    phone.live_event("library.scanning").await;
    assert!(began.elapsed().as_secs() >= 5, "{:?}", began.elapsed());
}

#[tokio::test]
async fn two_devices_that_differ_are_asked_again() {
    let server = TestServer::start().await;
    let ada = Phone::pair_and_listen(&server).await;
    let ben = Phone::pair_and_listen(&server).await;
    let track = ada.next_track();
    report(&ada, &track, -12.0, -1.0).await;
    report(&ben, &track, -12.9, -1.0).await;
    wait_for_gain(&ada, &track, &json!(-6.0)).await;

    let other = ada.track_after_current(2);
    report(&ada, &other, -12.0, -1.0).await;
    wait_for_gain(&ada, &other, &json!(-6.0)).await;
    report(&ben, &other, -14.0, -2.0).await;
    let disputed = async || ada.index_row(&other).await["measureAgain"] == true;
    until("the dispute in the index", disputed).await;
    let row = ada.index_row(&other).await;
    assert_eq!(row["gainDb"], json!(-6.0), "until it is measured again");
    report(&ben, &other, -12.1, -0.5).await;
    until("the end of the dispute", async || !disputed().await).await;
    let row = ada.index_row(&other).await;
    assert_eq!(row["gainDb"], json!(-6.0));
    assert_eq!(row["peak"], json!(0.944_061), "the higher peak");
}

#[tokio::test]
async fn all_devices_learn_one_gain_before_a_track_starts() {
    let server = TestServer::start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    phone.ack_all().await;
    let (track, next) = (phone.current_track(), phone.next_track());
    assert_eq!(phone.view["gainDb"], Value::Null);
    let count = phone.event_count();
    report(&phone, &track, -12.0, -1.0).await;
    let levelled = phone.durable_event("playback.levelled", count).await;
    assert_eq!(levelled.payload["trackId"], json!(track));
    assert_eq!(levelled.payload["gainDb"], json!(-6.0));
    assert_eq!(phone.view["gainDb"], json!(-6.0));

    phone.play(0.0).await;
    report(&phone, &next, -20.0, -20.0).await;
    loop {
        let segue = phone.live_event("segue").await.payload;
        assert_eq!(segue["trackId"], json!(next));
        if segue["gainDb"] == json!(2.0) {
            break;
        }
        assert_eq!(segue["gainDb"], Value::Null);
    }
    phone.next().await;
    assert_eq!(phone.snapshot().await["gainDb"], json!(2.0));
}

#[tokio::test]
async fn measurements_of_unknown_tracks_or_versions_change_nothing() {
    let server = TestServer::start().await;
    let phone = Phone::pair_and_listen(&server).await;
    let track = phone.current_track();
    for (status, body) in [
        (
            404,
            json!({ "trackId": "0123456789abcdef", "lufs": -12, "peakDb": 0 }),
        ),
        (400, json!({ "trackId": track, "lufs": -12 })),
        (
            400,
            json!({ "trackId": track, "lufs": -12, "peakDb": null }),
        ),
        (400, json!({ "trackId": track, "lufs": 100, "peakDb": 0 })),
        (400, json!({ "trackId": track, "lufs": -12, "peakDb": -30 })),
        (400, json!({ "trackId": "../x", "lufs": -12, "peakDb": 0 })),
    ] {
        post(&phone, "/loudness", &body)
            .await
            .expect_problem(status);
    }
    let outdated = json!({ "trackId": track, "version": "0", "lufs": -30, "peakDb": -20 });
    post(&phone, "/loudness", &outdated).await.expect(204);
    let version = phone.index_row(&track).await["version"].clone();
    let current = json!({ "trackId": track, "version": version, "lufs": -12, "peakDb": -20 });
    post(&phone, "/loudness", &current).await.expect(204);
    wait_for_gain(&phone, &track, &json!(-6.0)).await;
    assert_eq!(phone.index_row(&track).await["measureAgain"], Value::Null);
}

#[tokio::test]
async fn a_trim_reaches_all_devices_and_is_kept() {
    let mut server = TestServer::start().await;
    let mut ada = Phone::pair_and_listen(&server).await;
    let ben = Phone::pair_as(&server, "Ben").await;
    ada.wait_for_event_count(ben.event_count()).await;
    let count = ada.event_count();
    let trim = async |phone: &Phone, body: Value| post(phone, "/trim", &body).await;

    let answer = trim(&ada, json!({ "memberId": "m2", "trimDb": -6 })).await;
    assert_eq!(
        answer.expect(200).json(),
        json!({ "eventCount": count + 1 })
    );
    let event = ada.durable_event("client.trimmed", count).await;
    assert_eq!(event.payload["memberId"], "m2");
    assert_eq!(event.payload["trimDb"], json!(-6.0));
    for (status, body) in [
        (404, json!({ "memberId": "m9", "trimDb": -6 })),
        (400, json!({ "memberId": "m2", "trimDb": 1 })),
        (400, json!({ "memberId": "m2", "trimDb": -31 })),
        (400, json!({ "memberId": "m2" })),
    ] {
        trim(&ada, body).await.expect_problem(status);
    }

    server.kill().await;
    server.restart().await;
    ada.use_server(&server);
    let client = json!({ "name": "Ben", "trimDb": -6.0 });
    assert_eq!(ada.snapshot().await["clients"]["m2"], client);
    trim(&ada, json!({ "memberId": "m2", "trimDb": 0 }))
        .await
        .expect(200);
    assert_eq!(
        ada.snapshot().await["clients"]["m2"],
        json!({ "name": "Ben" })
    );
}
