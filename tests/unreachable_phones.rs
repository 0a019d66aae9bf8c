//! A phone that leaves the range of the Wi-Fi network: its packets are lost, and neither side closes the connection. Server and
//! phone run in separate network namespaces, and the test takes down the link between them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::sync::mpsc;
use std::time::{Duration, Instant};

use common::network::{RemoteNamespace, SERVER_IP, in_network_namespace};
use common::phone::{http, trusting};
use common::{Phone, Setup, TestServer};
use reqwest::Client;

#[tokio::test]
async fn unreachable_phone_is_removed_from_the_barrier_within_fifteen_seconds() {
    if in_network_namespace("unreachable_phone_is_removed_from_the_barrier_within_fifteen_seconds")
    {
        let (phone_network, server) = start_server_and_phone_network().await;
        let url = server.url("");
        expect_removal_when_the_link_goes_down(&phone_network, &server, http(), url).await;
    }
}

#[tokio::test]
async fn unreachable_phone_over_tls_is_removed_from_the_barrier_within_15_seconds() {
    if in_network_namespace(
        "unreachable_phone_over_tls_is_removed_from_the_barrier_within_15_seconds",
    ) {
        let (phone_network, server) = start_server_and_phone_network().await;
        let url = server.secure_url("");
        expect_removal_when_the_link_goes_down(
            &phone_network,
            &server,
            trusting(&server).await,
            url,
        )
        .await;
    }
}

async fn start_server_and_phone_network() -> (RemoteNamespace, TestServer) {
    let phone_network = RemoteNamespace::connected();
    let setup = Setup::long_tracks()
        .listen(&format!("{SERVER_IP}:0"))
        .with_tls()
        .flag(&format!("--tls-listen={SERVER_IP}:0"))
        .flag("--leave-grace-ms=2000");
    (phone_network, setup.start().await)
}

/// Takes down the link of a phone that reaches the server at `url` with `client`. Asserts that the server removes the phone from
/// the barrier.
async fn expect_removal_when_the_link_goes_down(
    phone_network: &RemoteNamespace,
    server: &TestServer,
    client: Client,
    url: String,
) {
    let mut reachable_phone = Phone::pair_and_listen(server).await;

    let (member_sender, member_receiver) = mpsc::channel();
    let (stop_sender, stop_receiver) = tokio::sync::oneshot::channel::<()>();
    let unreachable_phone = phone_network.run(move || async move {
        let mut phone = Phone::pair_with_client(client, url, "unreachable").await;
        phone.listen().await;
        member_sender.send(phone.member.clone()).unwrap();
        // The phone's sockets stay open until the test ends.
        let _ = stop_receiver.await;
    });
    let unreachable_member = tokio::task::spawn_blocking(move || member_receiver.recv().unwrap())
        .await
        .unwrap();
    reachable_phone
        .wait_until("the phone behind the link to be a listener", |view| {
            !view["live"]["listeners"][&unreachable_member].is_null()
        })
        .await;

    reachable_phone.next().await;
    let track_id = reachable_phone.current_track();
    reachable_phone.ack(&track_id).await;
    assert_eq!(reachable_phone.barrier_members().len(), 2);
    let event_count_at_opening = reachable_phone.event_count();
    phone_network.disconnect();
    let link_down_at = Instant::now();
    reachable_phone
        .wait_until("the release of the barrier", |view| {
            view["barrier"].is_null()
        })
        .await;
    let time_until_release = link_down_at.elapsed();
    let shrunk_event = reachable_phone
        .durable_event("barrier.shrunk", event_count_at_opening - 1)
        .await;
    assert_eq!(
        shrunk_event.payload["memberId"],
        unreachable_member.as_str()
    );
    assert_eq!(shrunk_event.payload["reason"], "vanished");
    assert!(
        time_until_release <= Duration::from_secs(15),
        "the barrier was released {time_until_release:?} after the link went down"
    );

    drop(stop_sender);
    tokio::task::spawn_blocking(|| unreachable_phone.join().unwrap())
        .await
        .unwrap();
}
