//! A phone that walks out of range: its packets are dropped, and nothing is closed. Server and phone are in network
//! namespaces of their own, with a cable between them that is pulled.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on panics"
)]

pub mod common;

use std::sync::mpsc;
use std::time::{Duration, Instant};

use common::network::{HOUSE, OutOfTown, inside};
use common::phone::{http, trusting};
use common::{Phone, Setup, TestServer};
use reqwest::Client;

#[tokio::test]
async fn a_phone_out_of_range_is_waited_for_no_more_after_fifteen_seconds() {
    if inside("a_phone_out_of_range_is_waited_for_no_more_after_fifteen_seconds") {
        let (town, server) = town_and_server().await;
        let url = server.url("");
        walk_out_of_range(&town, &server, http(), url).await;
    }
}

#[tokio::test]
async fn a_phone_out_of_range_is_waited_for_no_longer_over_tls() {
    if inside("a_phone_out_of_range_is_waited_for_no_longer_over_tls") {
        let (town, server) = town_and_server().await;
        let url = server.secure_url("");
        walk_out_of_range(&town, &server, trusting(&server).await, url).await;
    }
}

async fn town_and_server() -> (OutOfTown, TestServer) {
    let town = OutOfTown::connected();
    let setup = Setup::long_tracks()
        .listen(&format!("{HOUSE}:0"))
        .secure()
        .flag(&format!("--tls-listen={HOUSE}:0"))
        .flag("--leave-grace-ms=2000");
    (town, setup.start().await)
}

/// The phone that goes speaks by `client` with the server at `url`.
async fn walk_out_of_range(town: &OutOfTown, server: &TestServer, client: Client, url: String) {
    let mut home = Phone::listening(server).await;

    let (listens, listening) = mpsc::channel();
    let (over, end) = tokio::sync::oneshot::channel::<()>();
    let away = town.run(move || async move {
        let mut phone = Phone::pair_by(client, url, "away").await;
        phone.listen().await;
        listens.send(phone.member.clone()).unwrap();
        // Still there, and never closing anything, until the test is over.
        let _ = end.await;
    });
    let away_member = tokio::task::spawn_blocking(move || listening.recv().unwrap())
        .await
        .unwrap();
    home.wait_until("the phone among the listeners", |view| {
        !view["live"]["listeners"][&away_member].is_null()
    })
    .await;

    home.next().await;
    let track = home.current();
    home.ack(&track).await;
    assert_eq!(home.members().len(), 2);
    let opened = home.count();
    town.pull_the_cable();
    let pulled = Instant::now();
    home.wait_until("the music to start", |view| view["barrier"].is_null())
        .await;
    let waited = pulled.elapsed();
    let shrunk = home.durable_event("barrier.shrunk", opened - 1).await;
    assert_eq!(shrunk.payload["memberId"], away_member.as_str());
    assert_eq!(shrunk.payload["reason"], "vanished");
    assert!(waited <= Duration::from_secs(15), "it took {waited:?}");

    drop(over);
    tokio::task::spawn_blocking(|| away.join().unwrap())
        .await
        .unwrap();
}
