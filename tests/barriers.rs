//! Barriers: which phones are members, what makes a member ready or removes it, and when a barrier is released.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::time::{Duration, Instant};

use common::phone::{EventStream, ask, queued_tracks};
use common::{CODE, Phone, Setup, TestServer, music};
use reqwest::Method;
use serde_json::{Value, json};

/// Starts a server that removes a listener `leave_grace_ms` milliseconds after its last stream has closed.
async fn server_with_leave_grace(leave_grace_ms: u64) -> TestServer {
    Setup::long_tracks()
        .flag(&format!("--leave-grace-ms={leave_grace_ms}"))
        .start()
        .await
}

/// Pairs `phone_count` listening phones. Returns once the view of each one contains all of them. They acknowledge no track.
async fn listening_phones(server: &TestServer, phone_count: usize) -> Vec<Phone> {
    let mut phones = Vec::new();
    for _ in 0..phone_count {
        phones.push(Phone::pair_and_listen(server).await);
    }
    for phone in &mut phones {
        let all_listening =
            |view: &Value| view["live"]["listeners"].as_object().unwrap().len() == phone_count;
        phone
            .wait_until("every phone to be a listener", all_listening)
            .await;
    }
    phones
}

async fn two_listening_phones(server: &TestServer) -> (Phone, Phone) {
    let mut phones = listening_phones(server, 2).await.into_iter();
    (phones.next().unwrap(), phones.next().unwrap())
}

#[tokio::test]
async fn last_acknowledgement_releases_the_barrier_for_all_members_at_one_time() {
    let server = TestServer::start().await;
    let (mut alice, mut bob) = two_listening_phones(&server).await;
    let event_count_before = alice.event_count();
    alice.next().await;
    let track_id = alice.current_track();
    assert_eq!(
        alice.durable_event_names_after(event_count_before),
        ["queue.advanced", "barrier.opened"]
    );
    assert_eq!(alice.view["barrier"]["type"], "track");
    assert_eq!(alice.view["barrier"]["trackId"], track_id.as_str());
    assert_eq!(
        (
            alice.barrier_members(),
            alice.ready_barrier_members(),
            alice.play_mode()
        ),
        (vec!["m1", "m2"], vec![], "paused")
    );

    let event_count_at_opening = alice.event_count();
    let response = alice.ack(&track_id).await;
    assert_eq!(
        alice.durable_event_names_after(event_count_at_opening),
        ["barrier.ready"]
    );
    assert_eq!(response["snapshot"]["barrier"]["ready"], json!(["m1"]));

    let clock_before = alice.server_time_ms().await;
    let response = bob.ack(&track_id).await;
    let clock_after = alice.server_time_ms().await;
    assert_eq!(response["eventCount"], event_count_at_opening + 3);
    assert_eq!(
        response["snapshot"]["playState"],
        json!({ "mode": "playing", "anchorPositionSec": 0.0 })
    );
    assert!(response["snapshot"]["barrier"].is_null());

    let release_event = alice
        .durable_event("barrier.release", event_count_at_opening)
        .await;
    assert_eq!(
        alice.durable_event_names_after(event_count_at_opening),
        ["barrier.ready", "barrier.ready", "barrier.release"]
    );
    assert_eq!(release_event.payload["trackId"], track_id.as_str());
    let start_ms = release_event.payload["anchorAtMs"].as_f64().unwrap();
    assert!(
        start_ms >= clock_before + 100.0,
        "the start is only {} ms after the request",
        start_ms - clock_before
    );
    assert!(
        start_ms <= clock_after + 1000.0,
        "the start is {} ms after the response",
        start_ms - clock_after
    );
    assert_eq!(
        bob.durable_event("barrier.release", event_count_at_opening)
            .await
            .payload,
        release_event.payload
    );
}

#[tokio::test]
async fn listener_that_connects_later_does_not_join_an_open_barrier() {
    let server = TestServer::start().await;
    let (mut alice, mut bob) = two_listening_phones(&server).await;
    alice.play(3.0).await;
    let event_count_before = alice.event_count();
    let mut carol = Phone::pair_and_listen(&server).await;
    assert_eq!(carol.barrier_members(), ["m1", "m2"]);
    let track_id = alice.current_track();
    let response = carol.ack(&track_id).await;
    assert_eq!(
        response["snapshot"]["barrier"]["ready"],
        json!([]),
        "a device that is not a member was counted as ready"
    );
    alice.ack(&track_id).await;
    bob.ack(&track_id).await;
    alice
        .durable_event("barrier.release", event_count_before)
        .await;
    assert_eq!(
        (alice.barrier_members().len(), alice.play_mode()),
        (0, "playing")
    );

    alice.next().await;
    assert_eq!(alice.barrier_members(), ["m1", "m2", "m3"]);
}

#[tokio::test]
async fn disconnected_member_leaves_the_barrier_after_the_grace_period() {
    let server = TestServer::start().await;
    let (mut alice, mut bob) = two_listening_phones(&server).await;
    alice.play(0.0).await;
    alice.ack(&alice.current_track()).await;
    let event_count_before = alice.event_count();
    bob.close_stream();
    alice
        .durable_event("barrier.release", event_count_before)
        .await;
    assert_eq!(
        alice.durable_event_names_after(event_count_before),
        ["barrier.shrunk", "barrier.release"]
    );
    let shrunk_event = alice
        .durable_event("barrier.shrunk", event_count_before)
        .await;
    assert_eq!(
        (
            &shrunk_event.payload["memberId"],
            &shrunk_event.payload["reason"]
        ),
        (&json!("m2"), &json!("left"))
    );
}

#[tokio::test]
async fn unpaired_member_leaves_the_barrier_at_once() {
    let server = server_with_leave_grace(600_000).await;
    let (mut alice, bob) = two_listening_phones(&server).await;
    alice.play(0.0).await;
    alice.ack(&alice.current_track()).await;
    let event_count_before = alice.event_count();
    bob.post("/leave").await.expect(204);
    alice.durable_event("client.left", event_count_before).await;
    let mut names = alice.durable_event_names_after(event_count_before);
    names.sort();
    assert_eq!(names, ["barrier.release", "barrier.shrunk", "client.left"]);
    assert_eq!(alice.play_mode(), "playing");
}

/// The third phone closes its stream after the reload. Its removal shows that the grace period of the reload has passed.
#[tokio::test]
async fn page_reload_within_the_grace_period_keeps_barrier_membership() {
    let server = server_with_leave_grace(3_000).await;
    let mut phones = listening_phones(&server, 3).await;
    let track_id = phones[0].current_track();
    phones[0].play(0.0).await;
    phones[1].ack(&track_id).await;
    let event_count_before = phones[1].event_count();

    phones[1].listen().await;
    assert_eq!(phones[1].event_count(), event_count_before);
    phones[2].close_stream();
    let shrunk_event = phones[0]
        .durable_event("barrier.shrunk", event_count_before)
        .await;
    assert_eq!(
        shrunk_event.payload["memberId"], "m3",
        "the phone that reloaded was removed"
    );
    assert_eq!(
        (
            phones[0].barrier_members(),
            phones[0].ready_barrier_members()
        ),
        (vec!["m1", "m2"], vec!["m2"])
    );
    phones[0].ack(&track_id).await;
    assert_eq!(phones[0].play_mode(), "playing");
}

/// The role of each connected device in a snapshot, by member ID.
fn roles_by_member(snapshot: &Value) -> Value {
    let listeners = snapshot["live"]["listeners"].as_object().unwrap();
    let role = |(member, listener): (&String, &Value)| (member.clone(), listener["role"].clone());
    listeners.iter().map(role).collect()
}

/// Bob opens and closes streams in several patterns for longer than the grace period, and pairs again meanwhile. Alice receives
/// no event about a departure or an arrival of Bob, and Bob stays a barrier member that is ready.
#[tokio::test]
async fn device_that_reconnects_within_the_grace_period_stays_a_barrier_member() {
    // Long enough for a slow machine to reconnect the device.
    const GRACE_MS: u64 = 4_000;
    const DISCONNECTED_FOR_MS: u64 = 250;
    let server = server_with_leave_grace(GRACE_MS).await;
    let (mut alice, mut bob) = two_listening_phones(&server).await;
    alice.next().await;
    let track_id = alice.current_track();
    bob.ack(&track_id).await;
    let event_count_before = bob.event_count();
    alice.wait_for_event_count(event_count_before).await;
    let expected_roles = roles_by_member(&alice.view);
    assert_eq!(
        expected_roles,
        json!({ "m1": "listener", "m2": "listener" })
    );
    let received_count_before = alice.received_events.len();

    let mut open_streams = Vec::new();
    for round in 0..20 {
        match round % 4 {
            // The only stream closes before the next one opens.
            0 | 1 => bob.close_stream(),
            // A second stream opens before the first one closes.
            2 => {
                let request = bob.request(Method::GET, "/events");
                open_streams.push(EventStream::open(request).await);
                bob.close_stream();
            }
            // All streams close.
            _ => {
                open_streams.clear();
                bob.close_stream();
            }
        }
        tokio::time::sleep(Duration::from_millis(DISCONNECTED_FOR_MS)).await;
        assert_eq!(
            roles_by_member(&alice.snapshot().await),
            expected_roles,
            "the role of a device changed in round {round}"
        );
        if round % 5 == 4 {
            let body = json!({ "code": CODE, "clientName": "again" });
            let response = ask(bob.request(Method::POST, "/pair").json(&body)).await;
            let response = response.expect(200).json();
            assert_eq!(response["memberId"], "m2");
            bob.token = response["clientId"].as_str().unwrap().to_owned();
        }
        bob.listen().await;
        // Alice downloads new bytes, so that the server does not remove her as stalled if the machine is slow.
        let range = format!("bytes={}-{}", round * 1_000, round * 1_000 + 999);
        let download = alice.request(Method::GET, &format!("/file/{track_id}"));
        ask(download.header("Range", range)).await.expect(206);
    }

    let event_count = bob.event_count();
    alice.wait_for_event_count(event_count).await;
    // The remaining stream keeps Bob a listener. A delayed presence message would arrive during this wait.
    let request = bob.request(Method::GET, "/events");
    open_streams.push(EventStream::open(request).await);
    bob.close_stream();
    tokio::time::sleep(Duration::from_millis(GRACE_MS * 5 / 4)).await;
    assert_eq!(roles_by_member(&alice.snapshot().await), expected_roles);
    alice.nudge(&alice.track_after_current(2)).await;
    let events: Vec<_> = alice
        .received_events
        .iter()
        .skip(received_count_before)
        .collect();
    for event in &events {
        match event.name.as_str() {
            "presence" | "progress" => {
                let live = json!({ "live": event.payload });
                assert_eq!(roles_by_member(&live), expected_roles, "{event:?}");
            }
            "client.paired" | "queue.nudged" => {}
            _ => panic!("unexpected event {event:?}"),
        }
    }
    let pairing_events = events.iter().filter(|event| event.name == "client.paired");
    assert_eq!(pairing_events.count(), 4);
    assert_eq!(
        (alice.barrier_members(), alice.ready_barrier_members()),
        (vec!["m1", "m2"], vec!["m2"])
    );
    alice.next().await;
    assert_eq!(alice.barrier_members(), ["m1", "m2"]);

    // Closing the last stream causes the departure messages that were absent so far.
    let event_count_before = alice.event_count();
    open_streams.clear();
    let shrunk_event = alice
        .durable_event("barrier.shrunk", event_count_before)
        .await;
    assert_eq!(shrunk_event.payload["memberId"], "m2");
    let only_alice = json!({ "m1": "listener" });
    alice
        .wait_until("m1 to be the only listener", |view| {
            roles_by_member(view) == only_alice
        })
        .await;
}

#[tokio::test]
async fn start_now_releases_the_barrier_without_members_that_are_not_ready() {
    let server = TestServer::start().await;
    let mut phones = listening_phones(&server, 4).await;
    phones[0].next().await;
    let (track_id, event_count_at_opening) = (phones[0].current_track(), phones[0].event_count());
    phones[0].ack(&track_id).await;
    phones[2].ack(&track_id).await;
    let event_count_before = phones[2].event_count();
    phones[3].start_now().await;
    let names = phones[3].durable_event_names_after(event_count_before);
    assert_eq!(
        names,
        ["barrier.shrunk", "barrier.shrunk", "barrier.release"]
    );
    let shrunk_events: Vec<_> = phones[3]
        .received_events
        .iter()
        .filter(|event| event.name == "barrier.shrunk")
        .cloned()
        .collect();
    for (event, member) in shrunk_events.iter().zip(["m2", "m4"]) {
        assert_eq!(
            (&event.payload["memberId"], &event.payload["reason"]),
            (&json!(member), &json!("skipped"))
        );
    }
    assert_eq!(phones[3].play_mode(), "playing");

    // A skipped member's acknowledgement is refused with an outdated event count, and causes no event with the current one.
    let stale_response = phones[1]
        .try_command(
            "/ack-download",
            event_count_at_opening,
            &json!({ "trackId": track_id }),
        )
        .await;
    stale_response.expect(409);
    let event_count_before = phones[3].event_count();
    phones[1].ack(&track_id).await;
    assert_eq!(phones[3].snapshot().await["eventCount"], event_count_before);
}

#[tokio::test]
async fn barrier_is_released_at_once_if_all_members_acknowledged_earlier() {
    let server = TestServer::start().await;
    let (mut alice, mut bob) = two_listening_phones(&server).await;
    let (event_count_before, next_track_id) = (alice.event_count(), alice.next_track());
    for phone in [&mut alice, &mut bob] {
        let response = phone.ack(&next_track_id).await;
        assert_eq!(
            response["eventCount"], event_count_before,
            "an acknowledgement without an open barrier caused an event"
        );
    }
    let response = alice.next().await;
    assert_eq!(response["eventCount"], event_count_before + 3);
    assert_eq!(
        alice.durable_event_names_after(event_count_before),
        ["queue.advanced", "barrier.opened", "barrier.release"]
    );
    let opened_payload = alice
        .durable_event("barrier.opened", event_count_before)
        .await
        .payload;
    assert_eq!(
        (&opened_payload["members"], &opened_payload["ready"]),
        (&json!(["m1", "m2"]), &json!(["m1", "m2"]))
    );
}

#[tokio::test]
async fn member_that_acknowledged_earlier_is_ready_when_the_barrier_opens() {
    let server = TestServer::start().await;
    let (mut alice, mut bob) = two_listening_phones(&server).await;
    let next_track_id = alice.next_track();
    alice.ack(&next_track_id).await;
    bob.next().await;
    assert_eq!(
        (bob.barrier_members(), bob.ready_barrier_members()),
        (vec!["m1", "m2"], vec!["m1"])
    );
    bob.ack(&next_track_id).await;
    assert_eq!(bob.play_mode(), "playing");
}

#[tokio::test]
async fn acknowledgement_is_accepted_with_any_event_count_since_the_opening() {
    let server = TestServer::start().await;
    let mut phones = listening_phones(&server, 12).await;
    let event_count_before = phones[0].event_count();
    phones[0].next().await;
    let (track_id, event_count_at_opening) = (phones[0].current_track(), phones[0].event_count());
    let body = json!({ "trackId": track_id });
    for event_count in [
        0,
        event_count_before,
        event_count_at_opening - 1,
        event_count_at_opening + 1,
        u64::MAX,
    ] {
        phones[0]
            .try_command("/ack-download", event_count, &body)
            .await
            .expect(409);
    }
    // Twelve phones acknowledge at once, each with the event count of the opening.
    let acks = phones
        .iter()
        .map(|phone| phone.try_command("/ack-download", event_count_at_opening, &body));
    for response in futures_util::future::join_all(acks).await {
        response.expect(200);
    }
    phones[0]
        .durable_event("barrier.release", event_count_at_opening)
        .await;
    let ready_event_count = phones[0]
        .durable_event_names_after(event_count_at_opening)
        .into_iter()
        .filter(|name| *name == "barrier.ready")
        .count();
    assert_eq!((ready_event_count, phones[0].play_mode()), (12, "playing"));
    assert_eq!(phones[0].event_count(), event_count_at_opening + 13);
}

#[tokio::test]
async fn repeated_acknowledgement_causes_no_further_event() {
    let server = TestServer::start().await;
    let (mut alice, _bob) = two_listening_phones(&server).await;
    alice.play(0.0).await;
    let event_count_before = alice.event_count();
    alice.ack(&alice.current_track()).await;
    assert_eq!(
        alice.ack(&alice.current_track()).await["eventCount"],
        event_count_before + 1
    );
}

#[tokio::test]
async fn barrier_does_not_wait_for_a_member_that_cannot_play_the_track() {
    let server = TestServer::start().await;
    let (mut alice, mut bob) = two_listening_phones(&server).await;
    alice.next().await;
    let (track_id, event_count_before) = (alice.current_track(), alice.event_count());
    alice.ack(&track_id).await;
    bob.command_until_accepted(
        "/ack-download",
        json!({ "trackId": track_id, "playable": false }),
    )
    .await;
    alice
        .durable_event("barrier.release", event_count_before)
        .await;
    alice
        .wait_until("m2 to have playable: false", |view| {
            view["live"]["listeners"]["m2"]["playable"] == false
        })
        .await;
    assert_eq!(alice.view["live"]["listeners"]["m1"]["playable"], true);

    // `playable` refers to one track: the next track counts as playable.
    bob.next().await;
    let playable = |view: &Value| view["live"]["listeners"]["m2"]["playable"] == true;
    alice
        .wait_until("m2 to have playable: true for the next track", playable)
        .await;
}

#[tokio::test]
async fn barrier_without_members_admits_the_first_listener() {
    let server = TestServer::start().await;
    let mut phone = Phone::pair(&server).await;
    for (path, body, barrier_type) in [
        ("/play", json!({ "positionSec": 5 }), "resume"),
        ("/next", json!({}), "track"),
    ] {
        phone.close_stream();
        let response = phone.command_until_accepted(path, body).await;
        let barrier = &response["snapshot"]["barrier"];
        assert_eq!(
            (&barrier["type"], &barrier["members"]),
            (&json!(barrier_type), &json!([]))
        );
        assert_eq!(response["snapshot"]["playState"]["mode"], "paused");

        let event_count_before = phone.event_count();
        phone.listen().await;
        phone
            .wait_until("m1 to be a barrier member", |view| {
                view["barrier"]["members"] == json!(["m1"])
            })
            .await;
        assert_eq!(
            (phone.event_count(), &phone.view["barrier"]["type"]),
            (event_count_before + 1, &json!(barrier_type))
        );
        phone.ack(&phone.current_track()).await;
        assert_eq!(phone.play_mode(), "playing");
        phone.pause(0.0).await;
        // As a remote, the phone is no listener when the next round starts.
        phone.open_stream_at("/events?role=remote").await;
        phone
            .wait_until("m1 to have the role remote", |view| {
                view["live"]["listeners"]["m1"]["role"] == "remote"
            })
            .await;
    }
}

#[tokio::test]
async fn barrier_that_all_members_left_admits_the_next_listener() {
    let server = TestServer::start().await;
    let mut remote = Phone::pair(&server).await;
    remote.open_stream_at("/events?role=remote").await;
    let mut phone = Phone::pair_and_listen(&server).await;
    phone.play(8.0).await;
    let event_count_before = phone.event_count();
    phone.close_stream();
    remote
        .durable_event("barrier.shrunk", event_count_before)
        .await;
    assert_eq!(
        (remote.event_count(), remote.barrier_members().len()),
        (event_count_before + 1, 0)
    );
    assert!(
        !remote.view["barrier"].is_null(),
        "the barrier must stay open without members"
    );

    let mut late_listener = Phone::pair_and_listen(&server).await;
    late_listener
        .wait_until("m3 to be the only barrier member", |view| {
            view["barrier"]["members"] == json!(["m3"])
        })
        .await;
    let opened_event = remote
        .durable_event("barrier.opened", event_count_before + 1)
        .await;
    assert_eq!(opened_event.payload["members"], json!(["m3"]));
    late_listener.ack(&late_listener.current_track()).await;
    assert_eq!(
        (
            late_listener.play_mode(),
            late_listener.anchor_position_sec()
        ),
        ("playing", 8.0)
    );
}

#[tokio::test]
async fn pause_closes_the_open_barrier() {
    let server = TestServer::start().await;
    let (mut alice, mut bob) = two_listening_phones(&server).await;
    alice.play(6.0).await;
    let event_count_before = alice.event_count();
    bob.pause(6.0).await;
    assert_eq!(
        bob.durable_event_names_after(event_count_before),
        ["playback.paused"]
    );
    assert!(bob.view["barrier"].is_null());
    // Without a barrier, an acknowledgement causes no event and no start.
    let event_count_when_paused = bob.event_count();
    for phone in [&mut alice, &mut bob] {
        phone.ack(&phone.current_track()).await;
    }
    assert_eq!(
        (bob.snapshot().await["eventCount"].as_u64(), bob.play_mode()),
        (Some(event_count_when_paused), "paused")
    );
}

#[tokio::test]
async fn next_replaces_the_open_barrier_by_one_for_the_new_track() {
    let server = TestServer::start().await;
    let (mut alice, mut bob) = two_listening_phones(&server).await;
    alice.next().await;
    let (skipped_track_id, event_count_before) = (alice.current_track(), alice.event_count());
    alice.next().await;
    assert_eq!(
        alice.durable_event_names_after(event_count_before),
        ["queue.advanced", "barrier.opened"]
    );
    assert_eq!(
        alice.view["barrier"]["trackId"],
        alice.current_track().as_str()
    );
    let current_count = alice.event_count();
    for phone in [&mut alice, &mut bob] {
        assert_eq!(
            phone.ack(&skipped_track_id).await["eventCount"],
            current_count,
            "an acknowledgement of another track made a member ready"
        );
    }
    let track_id = alice.current_track();
    alice.ack(&track_id).await;
    bob.ack(&track_id).await;
    assert_eq!(bob.play_mode(), "playing");
}

#[tokio::test]
async fn nudge_keeps_the_open_barrier() {
    let server = TestServer::start().await;
    let (mut alice, _bob) = two_listening_phones(&server).await;
    alice.next().await;
    let barrier = alice.view["barrier"].clone();
    alice.nudge(&alice.track_after_current(3)).await;
    assert_eq!(alice.view["barrier"], barrier);
}

#[tokio::test]
async fn only_one_of_two_simultaneous_next_commands_is_accepted() {
    let server = TestServer::start().await;
    let (mut alice, bob) = two_listening_phones(&server).await;
    for _ in 0..10 {
        let (event_count, next_track_id) = (alice.event_count(), alice.next_track());
        let body = json!({});
        let (first_response, second_response) = tokio::join!(
            alice.try_command("/next", event_count, &body),
            bob.try_command("/next", event_count, &body)
        );
        let mut statuses = [first_response.status, second_response.status];
        statuses.sort();
        assert_eq!(statuses, [200, 409]);
        alice.wait_for_event_count(event_count + 2).await;
        assert_eq!(
            alice.current_track(),
            next_track_id,
            "the queue advanced twice"
        );
        let refused = if first_response.status == 409 {
            first_response
        } else {
            second_response
        };
        assert_eq!(refused.json()["expectedEventCount"], event_count + 2);
    }
}

#[tokio::test]
async fn remote_is_never_a_barrier_member() {
    let server = TestServer::start().await;
    let mut remote = Phone::pair_as(&server, "Remote").await;
    remote.open_stream_at("/events?role=remote").await;
    let mut phone = Phone::pair_and_listen(&server).await;
    phone.ack_all().await;
    remote
        .wait_until("m2 to have the role listener", |view| {
            view["live"]["listeners"]["m2"]["role"] == "listener"
        })
        .await;
    assert_eq!(remote.view["live"]["listeners"]["m1"]["role"], "remote");
    let event_count_before = remote.event_count();
    remote.play(2.0).await;
    assert_eq!(
        remote.durable_event_names_after(event_count_before),
        ["barrier.opened", "barrier.release"]
    );
    assert_eq!(
        remote
            .durable_event("barrier.opened", event_count_before)
            .await
            .payload["members"],
        json!(["m2"])
    );
    remote
        .wait_until("m2 to have the role listener", |view| {
            view["live"]["listeners"]["m2"]["role"] == "listener"
        })
        .await;
    assert_eq!(remote.view["live"]["listeners"]["m1"]["role"], "remote");

    // The device becomes a barrier member as a listener, and is removed as a remote.
    remote.listen().await;
    remote
        .wait_until("m1 to have the role listener", |view| {
            view["live"]["listeners"]["m1"]["role"] == "listener"
        })
        .await;
    remote.next().await;
    assert_eq!(remote.barrier_members(), ["m1", "m2"]);
    let event_count_before = remote.event_count();
    remote.open_stream_at("/events?role=remote").await;
    let shrunk_event = phone
        .durable_event("barrier.shrunk", event_count_before)
        .await;
    assert_eq!(shrunk_event.payload["memberId"], "m1");
}

#[tokio::test]
async fn queue_advances_three_seconds_after_the_track_ended() {
    let setup = Setup::empty();
    for name in ["one.wav", "two.wav"] {
        music::put_wav(&setup.audio().join(name), 2, 1_000);
    }
    let server = setup.start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    phone.ack_all().await;
    let (event_count_before, second_track_id) = (phone.event_count(), phone.next_track());
    phone.play(1.0).await;
    let start_ms = phone
        .durable_event("barrier.release", event_count_before)
        .await
        .payload["anchorAtMs"]
        .as_f64()
        .unwrap();
    let advanced_event = phone
        .durable_event("queue.advanced", event_count_before)
        .await;
    let delay_ms = phone.server_time_ms().await - (start_ms + 1_000.0);
    assert!(
        delay_ms >= 3_000.0,
        "the queue advanced {delay_ms} ms after the end of the track"
    );
    assert!(
        delay_ms < 5_000.0,
        "the queue advanced {delay_ms} ms after the end of the track"
    );
    assert_eq!(advanced_event.payload["trackId"], second_track_id.as_str());
    phone
        .durable_event("barrier.release", advanced_event.event_count)
        .await;
    assert_eq!(
        (
            phone.current_track(),
            phone.play_mode(),
            phone.anchor_position_sec()
        ),
        (second_track_id, "playing", 0.0)
    );
}

#[tokio::test]
async fn queue_does_not_advance_while_paused() {
    let setup = Setup::empty();
    for name in ["one.wav", "two.wav"] {
        music::put_wav(&setup.audio().join(name), 2, 1_000);
    }
    let server = setup.start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    phone.ack_all().await;
    phone.play(1.9).await;
    phone.pause(1.95).await;
    let event_count_when_paused = phone.event_count();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(
        phone.snapshot().await["eventCount"],
        event_count_when_paused
    );
}

/// Neither refused acknowledgements nor a second download of the same bytes count as progress.
#[tokio::test]
async fn members_without_download_progress_are_removed_as_stalled() {
    let server = TestServer::start().await;
    let mut phones = listening_phones(&server, 4).await;
    let alice = &mut phones.remove(0);
    let [_idle, with_refused_acks, with_repeated_download] = &phones[..] else {
        unreachable!("three of the four phones remain");
    };
    let opened_at = Instant::now();
    alice.next().await;
    let (event_count_before, track_id) = (alice.event_count(), alice.current_track());
    alice.ack(&track_id).await;

    let ack_of_current_track = json!({ "trackId": track_id });
    let ack_of_unknown_track = json!({ "trackId": "0123456789abcdef" });
    let send_refused_acks = async {
        loop {
            let response = with_refused_acks
                .try_command("/ack-download", 0, &ack_of_current_track)
                .await;
            assert_eq!(response.status, 409);
            let event_count = response.json()["expectedEventCount"].as_u64().unwrap();
            let response = with_refused_acks
                .try_command("/ack-download", event_count, &ack_of_unknown_track)
                .await;
            assert!([404, 409].contains(&response.status));
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let url = format!("/file/{track_id}");
    let download_twice = async {
        let file_size = with_repeated_download.get(&url).await.body.len();
        tokio::time::sleep(Duration::from_secs(8)).await;
        let request = with_repeated_download.request(Method::GET, &url);
        let range = format!("bytes={}-", file_size / 2);
        assert_eq!(ask(request.header("Range", range)).await.status, 206);
    };
    let wait_for_release = async {
        alice
            .durable_event("barrier.shrunk", event_count_before)
            .await;
        let first_removal_sec = opened_at.elapsed().as_secs_f64();
        alice
            .durable_event("barrier.release", event_count_before)
            .await;
        (first_removal_sec, opened_at.elapsed().as_secs_f64())
    };
    let (first_removal_sec, last_removal_sec) = tokio::select! {
        (removals, ()) = async { tokio::join!(wait_for_release, download_twice) } => removals,
        () = send_refused_acks => unreachable!("the loop never ends"),
    };
    assert!(
        first_removal_sec >= 15.0,
        "the first member was removed after {first_removal_sec} s"
    );
    assert!(
        last_removal_sec < 20.0,
        "the last member was removed after {last_removal_sec} s"
    );
    let mut removals: Vec<_> = alice
        .received_events
        .iter()
        .filter(|event| event.name == "barrier.shrunk")
        .map(|event| [&event.payload["memberId"], &event.payload["reason"]])
        .map(|field| field.map(|text| text.as_str().unwrap()))
        .collect();
    removals.sort_unstable();
    let expected = ["m2", "m3", "m4"].map(|member| [member, "stalled"]);
    assert_eq!(removals, expected);
}

/// Plays the last six seconds of a track. Once every listener has the next track, `segue` announces when that track starts, and
/// the later `barrier.release` has the same time.
#[tokio::test]
async fn segue_announces_the_time_at_which_the_next_track_starts() {
    let server = TestServer::start().await;
    let (mut alice, mut bob) = two_listening_phones(&server).await;
    let (track_id, second_track_id) = (alice.current_track(), alice.next_track());
    let duration = alice.index_row(&track_id).await["duration"]
        .as_f64()
        .unwrap();
    for phone in [&mut alice, &mut bob] {
        phone.ack(&track_id).await;
    }
    let event_count_before = alice.event_count();
    alice.play(duration - 6.0).await;
    let start_ms = alice
        .durable_event("barrier.release", event_count_before)
        .await
        .payload["anchorAtMs"]
        .as_f64()
        .unwrap();
    assert!(
        alice.snapshot().await["live"]["segue"].is_null(),
        "a segue was announced before any listener had the next track"
    );

    alice.ack(&second_track_id).await;
    bob.ack(&second_track_id).await;
    alice
        .wait_until("a segue to be announced", |view| {
            !view["live"]["segue"].is_null()
        })
        .await;
    let segue = alice.snapshot().await["live"]["segue"].clone();
    assert_eq!(
        (&segue["trackId"], &segue["eventCount"]),
        (&json!(second_track_id), &json!(alice.event_count()))
    );
    let segue_start_ms = segue["anchorAtMs"].as_f64().unwrap();
    assert!(
        (segue_start_ms - (start_ms + 6_000.0)).abs() < 1.0,
        "the segue is at {segue_start_ms} ms, but the last 6,000 ms of the track started at {start_ms} ms"
    );

    let remaining_ms = (segue_start_ms - 50.0 - alice.server_time_ms().await).max(0.0);
    tokio::time::sleep(Duration::from_secs_f64(remaining_ms / 1000.0)).await;
    let event_count = alice.event_count();
    // The next track starts at the announced time, whether this phone or the server's timer advances the queue.
    let response = alice.try_command("/next", event_count, &Value::Null).await;
    assert!([200, 409].contains(&response.status));
    for phone in [&mut alice, &mut bob] {
        let release_payload = phone
            .durable_event("barrier.release", event_count)
            .await
            .payload;
        assert_eq!(release_payload["trackId"], second_track_id.as_str());
        assert_eq!(release_payload["anchorAtMs"].as_f64(), Some(segue_start_ms));
    }
}

#[tokio::test]
async fn pause_cancels_the_segue_and_nudge_replaces_it() {
    let server = TestServer::start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    phone.ack_all().await;
    phone.play(0.0).await;
    phone
        .wait_until("a segue to be announced", |view| {
            !view["live"]["segue"].is_null()
        })
        .await;
    phone.pause(1.0).await;
    assert!(phone.snapshot().await["live"]["segue"].is_null());
    phone.play(1.0).await;
    let nudged_track_id = phone.track_after_current(2);
    phone.nudge(&nudged_track_id).await;
    let segue = phone.snapshot().await["live"]["segue"].clone();
    assert_eq!(
        (&segue["trackId"], &segue["eventCount"]),
        (&json!(nudged_track_id), &json!(phone.event_count()))
    );

    // Long before the end of the track, /next starts the next track at once instead of at the announced time.
    let event_count_before = phone.event_count();
    phone.next().await;
    let start_ms = phone
        .durable_event("barrier.release", event_count_before)
        .await
        .payload["anchorAtMs"]
        .as_f64()
        .unwrap();
    assert!(start_ms < segue["anchorAtMs"].as_f64().unwrap() - 100_000.0);
}

#[tokio::test]
async fn play_seek_and_next_announce_no_start_time_with_event_alignment() {
    let server = Setup::long_tracks().flag("--alignment=event").start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    phone.ack_all().await;
    let event_count_before = phone.event_count();
    phone.play(2.0).await;
    phone.seek(4.0).await;
    phone.next().await;
    for event in phone
        .received_events
        .iter()
        .filter(|event| event.id > Some(event_count_before))
    {
        assert!(event.payload["anchorAtMs"].is_null(), "{event:?}");
    }
    let live = &phone.snapshot().await["live"];
    assert_eq!(
        (&live["anchorAtMs"], &live["segue"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(phone.play_mode(), "playing");
}

#[tokio::test]
async fn open_barrier_survives_a_restart_and_can_be_released() {
    let mut server = TestServer::start().await;
    let (mut alice, _bob) = two_listening_phones(&server).await;
    alice.next().await;
    alice.ack(&alice.current_track()).await;
    let track_id = alice.current_track();
    server.kill().await;
    server.restart().await;
    alice.use_server(&server);
    // Bob does not reconnect. Alice must acknowledge again after the restart.
    alice.listen().await;
    let event_count_before = alice.event_count();
    alice.ack(&track_id).await;
    let is_playing = |view: &Value| view["playState"]["mode"] == "playing";
    alice.wait_until("playback to start", is_playing).await;
    assert_eq!(alice.current_track(), track_id);
    assert!(alice.event_count() > event_count_before);
}

#[tokio::test]
async fn queue_contains_every_track_once() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    let mut queued_ids = queued_tracks(&phone.view);
    let index = phone.get("/index").await.expect(200).json();
    let mut indexed_ids: Vec<_> = index
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["trackId"].as_str().unwrap())
        .collect();
    queued_ids.sort();
    indexed_ids.sort();
    assert_eq!(queued_ids, indexed_ids);
    assert_eq!(queued_ids.len(), music::LONG_TRACKS.len());
}
