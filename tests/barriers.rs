//! Who is waited for, who is not, and how every wait ends.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on panics"
)]

pub mod common;

use std::time::{Duration, Instant};

use common::phone::{EventStream, ask, queue};
use common::{CODE, Phone, Setup, TestServer, music};
use reqwest::Method;
use serde_json::{Value, json};

/// A server that lets go of a listener only after that long.
async fn server_with_grace(ms: u64) -> TestServer {
    Setup::long_tracks()
        .flag(&format!("--leave-grace-ms={ms}"))
        .start()
        .await
}

/// That many phones, all listening; none has anything yet.
async fn crowd(server: &TestServer, size: usize) -> Vec<Phone> {
    let mut phones = Vec::new();
    for _ in 0..size {
        phones.push(Phone::listening(server).await);
    }
    for phone in &mut phones {
        let all_there = |view: &Value| view["live"]["listeners"].as_object().unwrap().len() == size;
        phone.wait_until("everybody", all_there).await;
    }
    phones
}

async fn pair_of_phones(server: &TestServer) -> (Phone, Phone) {
    let mut phones = crowd(server, 2).await.into_iter();
    (phones.next().unwrap(), phones.next().unwrap())
}

#[tokio::test]
async fn the_music_starts_in_the_same_write_as_the_last_ack() {
    let server = TestServer::start().await;
    let (mut alice, mut bob) = pair_of_phones(&server).await;
    let before = alice.count();
    alice.next().await;
    let track = alice.current();
    assert_eq!(
        alice.names_after(before),
        ["queue.advanced", "barrier.opened"]
    );
    assert_eq!(alice.view["barrier"]["type"], "track");
    assert_eq!(alice.view["barrier"]["trackId"], track.as_str());
    assert_eq!(
        (alice.members(), alice.ready(), alice.mode()),
        (vec!["m1", "m2"], vec![], "paused")
    );

    let opened = alice.count();
    let answer = alice.ack(&track).await;
    assert_eq!(alice.names_after(opened), ["barrier.ready"]);
    assert_eq!(answer["snapshot"]["barrier"]["ready"], json!(["m1"]));

    let clock = alice.clock().await;
    let answer = bob.ack(&track).await;
    let now = alice.clock().await;
    assert_eq!(answer["eventCount"], opened + 3);
    assert_eq!(
        answer["snapshot"]["playState"],
        json!({ "mode": "playing", "anchorPositionSec": 0.0 })
    );
    assert!(answer["snapshot"]["barrier"].is_null());

    let release = alice.durable_event("barrier.release", opened).await;
    assert_eq!(
        alice.names_after(opened),
        ["barrier.ready", "barrier.ready", "barrier.release"]
    );
    assert_eq!(release.payload["trackId"], track.as_str());
    let starts = release.payload["anchorAtMs"].as_f64().unwrap();
    assert!(
        starts >= clock + 100.0,
        "no time to get ready: {} ms",
        starts - clock
    );
    assert!(starts <= now + 1000.0, "a long wait: {} ms", starts - now);
    assert_eq!(
        bob.durable_event("barrier.release", opened).await.payload,
        release.payload
    );
}

#[tokio::test]
async fn whoever_comes_later_waits_for_the_next_barrier() {
    let server = TestServer::start().await;
    let (mut alice, mut bob) = pair_of_phones(&server).await;
    alice.play(3.0).await;
    let before = alice.count();
    let mut carol = Phone::listening(&server).await;
    assert_eq!(carol.members(), ["m1", "m2"]);
    let track = alice.current();
    let answer = carol.ack(&track).await;
    assert_eq!(
        answer["snapshot"]["barrier"]["ready"],
        json!([]),
        "whoever is no member was counted as ready"
    );
    alice.ack(&track).await;
    bob.ack(&track).await;
    alice.durable_event("barrier.release", before).await;
    assert_eq!((alice.members().len(), alice.mode()), (0, "playing"));

    alice.next().await;
    assert_eq!(alice.members(), ["m1", "m2", "m3"]);
}

#[tokio::test]
async fn whoever_leaves_is_waited_for_no_more() {
    let server = TestServer::start().await;
    let (mut alice, mut bob) = pair_of_phones(&server).await;
    alice.play(0.0).await;
    alice.ack(&alice.current()).await;
    let before = alice.count();
    bob.hang_up();
    alice.durable_event("barrier.release", before).await;
    assert_eq!(
        alice.names_after(before),
        ["barrier.shrunk", "barrier.release"]
    );
    let shrunk = alice.durable_event("barrier.shrunk", before).await;
    assert_eq!(
        (&shrunk.payload["memberId"], &shrunk.payload["reason"]),
        (&json!("m2"), &json!("left"))
    );
}

#[tokio::test]
async fn whoever_unpairs_is_waited_for_no_more_at_once() {
    let server = server_with_grace(600_000).await;
    let (mut alice, bob) = pair_of_phones(&server).await;
    alice.play(0.0).await;
    alice.ack(&alice.current()).await;
    let before = alice.count();
    bob.post("/leave").await.expect(204);
    alice.durable_event("client.left", before).await;
    let mut names = alice.names_after(before);
    names.sort();
    assert_eq!(names, ["barrier.release", "barrier.shrunk", "client.left"]);
    assert_eq!(alice.mode(), "playing");
}

/// The third phone's departure proves that the grace of a reload before it has passed.
#[tokio::test]
async fn a_reload_within_the_grace_changes_nothing() {
    let server = server_with_grace(3_000).await;
    let mut phones = crowd(&server, 3).await;
    let track = phones[0].current();
    phones[0].play(0.0).await;
    phones[1].ack(&track).await;
    let before = phones[1].count();

    phones[1].listen().await;
    assert_eq!(phones[1].count(), before);
    phones[2].hang_up();
    let shrunk = phones[0].durable_event("barrier.shrunk", before).await;
    assert_eq!(
        shrunk.payload["memberId"], "m3",
        "the one that reloaded was let go"
    );
    assert_eq!(
        (phones[0].members(), phones[0].ready()),
        (vec!["m1", "m2"], vec!["m2"])
    );
    phones[0].ack(&track).await;
    assert_eq!(phones[0].mode(), "playing");
}

/// The roles of all who are there, as a snapshot shows them.
fn roles(snapshot: &Value) -> Value {
    let listeners = snapshot["live"]["listeners"].as_object().unwrap();
    let role = |(member, is): (&String, &Value)| (member.clone(), is["role"].clone());
    listeners.iter().map(role).collect()
}

/// One phone's streams come and go in every way for longer than the grace, and it pairs again meanwhile. Another one sees
/// nothing of that: nobody comes or goes, and the one that flaps is waited for, and counts as ready, as before.
#[tokio::test]
async fn a_phone_that_flaps_in_less_than_the_grace_never_moves_the_active_set() {
    const GRACE: u64 = 1_000;
    let server = server_with_grace(GRACE).await;
    let (mut alice, mut bob) = pair_of_phones(&server).await;
    alice.next().await;
    let track = alice.current();
    bob.ack(&track).await;
    let before = bob.count();
    alice.wait_for_count(before).await;
    let there = roles(&alice.view);
    assert_eq!(there, json!({ "m1": "listener", "m2": "listener" }));
    let heard = alice.heard.len();

    let mut others = Vec::new();
    for turn in 0..20 {
        match turn % 4 {
            // Gone, and back.
            0 | 1 => bob.hang_up(),
            // Several streams, of which the first closes.
            2 => {
                let stream = bob.request(Method::GET, "/events");
                others.push(EventStream::open(stream).await);
                bob.hang_up();
            }
            // All of them close.
            _ => {
                others.clear();
                bob.hang_up();
            }
        }
        tokio::time::sleep(Duration::from_millis(GRACE / 4)).await;
        assert_eq!(roles(&alice.snapshot().await), there, "turn {turn}");
        if turn % 5 == 4 {
            let body = json!({ "code": CODE, "clientName": "again" });
            let again = ask(bob.request(Method::POST, "/pair").json(&body)).await;
            let again = again.expect(200).json();
            assert_eq!(again["memberId"], "m2");
            bob.token = again["clientId"].as_str().unwrap().to_owned();
        }
        bob.listen().await;
    }

    let count = bob.count();
    alice.wait_for_count(count).await;
    // One stream of two is enough, for however long; and whatever is told late has had its time.
    let stream = bob.request(Method::GET, "/events");
    others.push(EventStream::open(stream).await);
    bob.hang_up();
    tokio::time::sleep(Duration::from_millis(GRACE * 3 / 2)).await;
    assert_eq!(roles(&alice.snapshot().await), there);
    alice.nudge(&alice.track_after_current(2)).await;
    let told: Vec<_> = alice.heard.iter().skip(heard).collect();
    for event in &told {
        match event.name.as_str() {
            "presence" | "progress" => {
                let live = json!({ "live": event.payload });
                assert_eq!(roles(&live), there, "{event:?}");
            }
            "client.paired" | "queue.nudged" => {}
            _ => panic!("{event:?}"),
        }
    }
    let paired = told.iter().filter(|event| event.name == "client.paired");
    assert_eq!(paired.count(), 4);
    assert_eq!(
        (alice.members(), alice.ready()),
        (vec!["m1", "m2"], vec!["m2"])
    );
    alice.next().await;
    assert_eq!(alice.members(), ["m1", "m2"]);

    // All that would have been seen, had it been gone for longer.
    let before = alice.count();
    others.clear();
    let shrunk = alice.durable_event("barrier.shrunk", before).await;
    assert_eq!(shrunk.payload["memberId"], "m2");
    let alone = json!({ "m1": "listener" });
    alice
        .wait_until("only itself", |view| roles(view) == alone)
        .await;
}

#[tokio::test]
async fn start_now_skips_those_still_missing() {
    let server = TestServer::start().await;
    let mut phones = crowd(&server, 4).await;
    phones[0].next().await;
    let (track, opened) = (phones[0].current(), phones[0].count());
    phones[0].ack(&track).await;
    phones[2].ack(&track).await;
    let before = phones[2].count();
    phones[3].start_now().await;
    let names = phones[3].names_after(before);
    assert_eq!(
        names,
        ["barrier.shrunk", "barrier.shrunk", "barrier.release"]
    );
    let skipped: Vec<_> = phones[3]
        .heard
        .iter()
        .filter(|event| event.name == "barrier.shrunk")
        .cloned()
        .collect();
    for (event, member) in skipped.iter().zip(["m2", "m4"]) {
        assert_eq!(
            (&event.payload["memberId"], &event.payload["reason"]),
            (&json!(member), &json!("skipped"))
        );
    }
    assert_eq!(phones[3].mode(), "playing");

    // Those skipped come in when they are ready, and nobody notices; their count is too old by now.
    let stale = phones[1]
        .try_command("/ack-download", opened, &json!({ "trackId": track }))
        .await;
    stale.expect(409);
    let before = phones[3].count();
    phones[1].ack(&track).await;
    assert_eq!(phones[3].snapshot().await["eventCount"], before);
}

#[tokio::test]
async fn what_was_downloaded_before_need_not_be_waited_for() {
    let server = TestServer::start().await;
    let (mut alice, mut bob) = pair_of_phones(&server).await;
    let (before, ahead) = (alice.count(), alice.next_up());
    for phone in [&mut alice, &mut bob] {
        let answer = phone.ack(&ahead).await;
        assert_eq!(
            answer["eventCount"], before,
            "an ack ahead of time is no event"
        );
    }
    let answer = alice.next().await;
    assert_eq!(answer["eventCount"], before + 3);
    assert_eq!(
        alice.names_after(before),
        ["queue.advanced", "barrier.opened", "barrier.release"]
    );
    let opened = alice.durable_event("barrier.opened", before).await.payload;
    assert_eq!(
        (&opened["members"], &opened["ready"]),
        (&json!(["m1", "m2"]), &json!(["m1", "m2"]))
    );
}

#[tokio::test]
async fn one_ready_from_the_start_leaves_only_the_other_to_wait_for() {
    let server = TestServer::start().await;
    let (mut alice, mut bob) = pair_of_phones(&server).await;
    let ahead = alice.next_up();
    alice.ack(&ahead).await;
    bob.next().await;
    assert_eq!((bob.members(), bob.ready()), (vec!["m1", "m2"], vec!["m1"]));
    bob.ack(&ahead).await;
    assert_eq!(bob.mode(), "playing");
}

#[tokio::test]
async fn acks_match_any_count_from_the_opening_to_now() {
    let server = TestServer::start().await;
    let mut phones = crowd(&server, 12).await;
    let before = phones[0].count();
    phones[0].next().await;
    let (track, opened) = (phones[0].current(), phones[0].count());
    let body = json!({ "trackId": track });
    for count in [0, before, opened - 1, opened + 1, u64::MAX] {
        phones[0]
            .try_command("/ack-download", count, &body)
            .await
            .expect(409);
    }
    // A dozen finish together, each knowing of the opening only.
    let acks = phones
        .iter()
        .map(|phone| phone.try_command("/ack-download", opened, &body));
    for answer in futures_util::future::join_all(acks).await {
        answer.expect(200);
    }
    phones[0].durable_event("barrier.release", opened).await;
    let ready = phones[0]
        .names_after(opened)
        .into_iter()
        .filter(|name| *name == "barrier.ready")
        .count();
    assert_eq!((ready, phones[0].mode()), (12, "playing"));
    assert_eq!(phones[0].count(), opened + 13);
}

#[tokio::test]
async fn the_same_ack_twice_is_one_event() {
    let server = TestServer::start().await;
    let (mut alice, _bob) = pair_of_phones(&server).await;
    alice.play(0.0).await;
    let before = alice.count();
    alice.ack(&alice.current()).await;
    assert_eq!(alice.ack(&alice.current()).await["eventCount"], before + 1);
}

#[tokio::test]
async fn a_phone_that_cannot_play_a_track_holds_nobody_up() {
    let server = TestServer::start().await;
    let (mut alice, mut bob) = pair_of_phones(&server).await;
    alice.next().await;
    let (track, before) = (alice.current(), alice.count());
    alice.ack(&track).await;
    bob.command(
        "/ack-download",
        json!({ "trackId": track, "playable": false }),
    )
    .await;
    alice.durable_event("barrier.release", before).await;
    alice
        .wait_until("word of it", |view| {
            view["live"]["listeners"]["m2"]["playable"] == false
        })
        .await;
    assert_eq!(alice.view["live"]["listeners"]["m1"]["playable"], true);

    // It is the track that it cannot play, not the next one.
    bob.next().await;
    let playable = |view: &Value| view["live"]["listeners"]["m2"]["playable"] == true;
    alice.wait_until("word of the next one", playable).await;
}

#[tokio::test]
async fn with_nobody_there_a_barrier_stays_open_for_the_first_to_come() {
    let server = TestServer::start().await;
    let mut phone = Phone::pair(&server).await;
    for (path, body, kind) in [
        ("/play", json!({ "positionSec": 5 }), "resume"),
        ("/next", json!({}), "track"),
    ] {
        phone.hang_up();
        let answer = phone.command(path, body).await;
        let barrier = &answer["snapshot"]["barrier"];
        assert_eq!(
            (&barrier["type"], &barrier["members"]),
            (&json!(kind), &json!([]))
        );
        assert_eq!(answer["snapshot"]["playState"]["mode"], "paused");

        let before = phone.count();
        phone.listen().await;
        phone
            .wait_until("itself among the members", |view| {
                view["barrier"]["members"] == json!(["m1"])
            })
            .await;
        assert_eq!(
            (phone.count(), &phone.view["barrier"]["type"]),
            (before + 1, &json!(kind))
        );
        phone.ack(&phone.current()).await;
        assert_eq!(phone.mode(), "playing");
        phone.pause(0.0).await;
        // Gone from the room before the next round.
        phone.listen_at("/events?role=remote").await;
        phone
            .wait_until("no listener", |view| {
                view["live"]["listeners"]["m1"]["role"] == "remote"
            })
            .await;
    }
}

#[tokio::test]
async fn a_barrier_that_everybody_left_waits_for_the_next_to_come() {
    let server = TestServer::start().await;
    let mut remote = Phone::pair(&server).await;
    remote.listen_at("/events?role=remote").await;
    let mut phone = Phone::listening(&server).await;
    phone.play(8.0).await;
    let before = phone.count();
    phone.hang_up();
    remote.durable_event("barrier.shrunk", before).await;
    assert_eq!((remote.count(), remote.members().len()), (before + 1, 0));
    assert!(
        !remote.view["barrier"].is_null(),
        "nobody asked for silence"
    );

    let mut late = Phone::listening(&server).await;
    late.wait_until("the barrier", |view| {
        view["barrier"]["members"] == json!(["m3"])
    })
    .await;
    let opened = remote.durable_event("barrier.opened", before + 1).await;
    assert_eq!(opened.payload["members"], json!(["m3"]));
    late.ack(&late.current()).await;
    assert_eq!((late.mode(), late.anchor()), ("playing", 8.0));
}

#[tokio::test]
async fn pause_drops_the_barrier() {
    let server = TestServer::start().await;
    let (mut alice, mut bob) = pair_of_phones(&server).await;
    alice.play(6.0).await;
    let before = alice.count();
    bob.pause(6.0).await;
    assert_eq!(bob.names_after(before), ["playback.paused"]);
    assert!(bob.view["barrier"].is_null());
    // Nobody waits any more, so an ack is no event and starts nothing.
    let paused = bob.count();
    for phone in [&mut alice, &mut bob] {
        phone.ack(&phone.current()).await;
    }
    assert_eq!(
        (bob.snapshot().await["eventCount"].as_u64(), bob.mode()),
        (Some(paused), "paused")
    );
}

#[tokio::test]
async fn next_while_somebody_is_waited_for_waits_for_the_next_track_instead() {
    let server = TestServer::start().await;
    let (mut alice, mut bob) = pair_of_phones(&server).await;
    alice.next().await;
    let (skipped, before) = (alice.current(), alice.count());
    alice.next().await;
    assert_eq!(
        alice.names_after(before),
        ["queue.advanced", "barrier.opened"]
    );
    assert_eq!(alice.view["barrier"]["trackId"], alice.current().as_str());
    let now = alice.count();
    for phone in [&mut alice, &mut bob] {
        assert_eq!(
            phone.ack(&skipped).await["eventCount"],
            now,
            "an ack of another track counted"
        );
    }
    let track = alice.current();
    alice.ack(&track).await;
    bob.ack(&track).await;
    assert_eq!(bob.mode(), "playing");
}

#[tokio::test]
async fn a_nudge_does_not_touch_the_barrier() {
    let server = TestServer::start().await;
    let (mut alice, _bob) = pair_of_phones(&server).await;
    alice.next().await;
    let barrier = alice.view["barrier"].clone();
    alice.nudge(&alice.track_after_current(3)).await;
    assert_eq!(alice.view["barrier"], barrier);
}

#[tokio::test]
async fn when_two_press_next_at_once_one_wins() {
    let server = TestServer::start().await;
    let (mut alice, bob) = pair_of_phones(&server).await;
    for _ in 0..10 {
        let (count, second) = (alice.count(), alice.next_up());
        let body = json!({});
        let (one, other) = tokio::join!(
            alice.try_command("/next", count, &body),
            bob.try_command("/next", count, &body)
        );
        let mut statuses = [one.status, other.status];
        statuses.sort();
        assert_eq!(statuses, [200, 409]);
        alice.wait_for_count(count + 2).await;
        assert_eq!(alice.current(), second, "the ring moved on twice");
        let lost = if one.status == 409 { one } else { other };
        assert_eq!(lost.json()["expectedEventCount"], count + 2);
    }
}

#[tokio::test]
async fn a_remote_control_is_waited_for_by_nobody() {
    let server = TestServer::start().await;
    let mut remote = Phone::pair_as(&server, "Remote").await;
    remote.listen_at("/events?role=remote").await;
    let mut phone = Phone::listening(&server).await;
    phone.ack_all().await;
    remote
        .wait_until("the listener", |view| {
            view["live"]["listeners"]["m2"]["role"] == "listener"
        })
        .await;
    assert_eq!(remote.view["live"]["listeners"]["m1"]["role"], "remote");
    let before = remote.count();
    remote.play(2.0).await;
    assert_eq!(
        remote.names_after(before),
        ["barrier.opened", "barrier.release"]
    );
    assert_eq!(
        remote.durable_event("barrier.opened", before).await.payload["members"],
        json!(["m2"])
    );
    remote
        .wait_until("the listener", |view| {
            view["live"]["listeners"]["m2"]["role"] == "listener"
        })
        .await;
    assert_eq!(remote.view["live"]["listeners"]["m1"]["role"], "remote");

    // As a listener it counts, and as a remote again it does not.
    remote.listen().await;
    remote
        .wait_until("its new role", |view| {
            view["live"]["listeners"]["m1"]["role"] == "listener"
        })
        .await;
    remote.next().await;
    assert_eq!(remote.members(), ["m1", "m2"]);
    let before = remote.count();
    remote.listen_at("/events?role=remote").await;
    let shrunk = phone.durable_event("barrier.shrunk", before).await;
    assert_eq!(shrunk.payload["memberId"], "m1");
}

#[tokio::test]
async fn the_server_moves_on_by_itself_when_no_phone_asks_at_the_end() {
    let setup = Setup::empty();
    for name in ["one.wav", "two.wav"] {
        music::put_wav(&setup.audio().join(name), 2, 1_000);
    }
    let server = setup.start().await;
    let mut phone = Phone::listening(&server).await;
    phone.ack_all().await;
    let (before, second) = (phone.count(), phone.next_up());
    phone.play(1.0).await;
    let starts = phone.durable_event("barrier.release", before).await.payload["anchorAtMs"]
        .as_f64()
        .unwrap();
    let advanced = phone.durable_event("queue.advanced", before).await;
    let patience = phone.clock().await - (starts + 1_000.0);
    assert!(
        patience >= 3_000.0,
        "it moved on {patience} ms after the end"
    );
    assert!(patience < 5_000.0, "a long silence: {patience} ms");
    assert_eq!(advanced.payload["trackId"], second.as_str());
    phone
        .durable_event("barrier.release", advanced.event_count)
        .await;
    assert_eq!(
        (phone.current(), phone.mode(), phone.anchor()),
        (second, "playing", 0.0)
    );
}

#[tokio::test]
async fn a_paused_track_does_not_end() {
    let setup = Setup::empty();
    for name in ["one.wav", "two.wav"] {
        music::put_wav(&setup.audio().join(name), 2, 1_000);
    }
    let server = setup.start().await;
    let mut phone = Phone::listening(&server).await;
    phone.ack_all().await;
    phone.play(1.9).await;
    phone.pause(1.95).await;
    let paused = phone.count();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(phone.snapshot().await["eventCount"], paused);
}

#[tokio::test]
async fn a_member_that_does_nothing_is_excused() {
    let server = TestServer::start().await;
    let (mut alice, _bob) = pair_of_phones(&server).await;
    let waited = Instant::now();
    alice.next().await;
    let before = alice.count();
    alice.ack(&alice.current()).await;
    let shrunk = alice.durable_event("barrier.shrunk", before).await;
    let waited = waited.elapsed().as_secs_f64();
    assert_eq!(
        (&shrunk.payload["memberId"], &shrunk.payload["reason"]),
        (&json!("m2"), &json!("stalled"))
    );
    assert!((15.0..20.0).contains(&waited), "after {waited} s");
    alice.durable_event("barrier.release", before).await;
}

/// A broken phone may send what it likes: only an ack that is accepted is a sign of work.
#[tokio::test]
async fn acks_that_are_refused_are_no_sign_of_work() {
    let server = TestServer::start().await;
    let (mut alice, bob) = pair_of_phones(&server).await;
    alice.next().await;
    let (before, track) = (alice.count(), alice.current());
    alice.ack(&track).await;
    let stale = json!({ "trackId": track });
    let unknown = json!({ "trackId": "0123456789abcdef" });
    let noise = async {
        loop {
            let answer = bob.try_command("/ack-download", 0, &stale).await;
            assert_eq!(answer.status, 409);
            let count = answer.json()["expectedEventCount"].as_u64().unwrap();
            let answer = bob.try_command("/ack-download", count, &unknown).await;
            assert!([404, 409].contains(&answer.status));
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let shrunk = tokio::select! {
        shrunk = alice.durable_event("barrier.shrunk", before) => shrunk,
        () = noise => unreachable!("it never ends"),
    };
    assert_eq!(shrunk.payload["reason"], "stalled");
}

#[tokio::test]
async fn bytes_that_are_fetched_again_are_no_sign_of_work() {
    let server = TestServer::start().await;
    let (mut alice, bob) = pair_of_phones(&server).await;
    alice.next().await;
    let (before, track) = (alice.count(), alice.current());
    alice.ack(&track).await;
    let (url, whole) = (format!("/file/{track}"), Instant::now());
    let size = bob.get(&url).await.body.len();
    let again = async {
        tokio::time::sleep(Duration::from_secs(8)).await;
        let request = bob.request(Method::GET, &url);
        let range = format!("bytes={}-", size / 2);
        assert_eq!(ask(request.header("Range", range)).await.status, 206);
    };
    let (shrunk, ()) = tokio::join!(alice.durable_event("barrier.shrunk", before), again);
    let waited = whole.elapsed().as_secs_f64();
    assert_eq!(shrunk.payload["reason"], "stalled");
    assert!(waited < 20.0, "after {waited} s");
}

/// Seeks near the end, where everybody has next-up: the moment of its start is promised, and kept.
#[tokio::test]
async fn the_next_start_is_promised_ahead_and_kept() {
    let server = TestServer::start().await;
    let (mut alice, mut bob) = pair_of_phones(&server).await;
    let (track, second) = (alice.current(), alice.next_up());
    let duration = alice.row(&track).await["duration"].as_f64().unwrap();
    for phone in [&mut alice, &mut bob] {
        phone.ack(&track).await;
    }
    let before = alice.count();
    alice.play(duration - 6.0).await;
    let starts = alice.durable_event("barrier.release", before).await.payload["anchorAtMs"]
        .as_f64()
        .unwrap();
    assert!(
        alice.snapshot().await["live"]["segue"].is_null(),
        "a promise that nobody can keep"
    );

    alice.ack(&second).await;
    bob.ack(&second).await;
    alice
        .wait_until("a promise", |view| !view["live"]["segue"].is_null())
        .await;
    let segue = alice.snapshot().await["live"]["segue"].clone();
    assert_eq!(
        (&segue["trackId"], &segue["eventCount"]),
        (&json!(second), &json!(alice.count()))
    );
    let promised = segue["anchorAtMs"].as_f64().unwrap();
    assert!(
        (promised - (starts + 6_000.0)).abs() < 1.0,
        "{promised} for a start at {starts}"
    );

    let rest = (promised - 50.0 - alice.clock().await).max(0.0);
    tokio::time::sleep(Duration::from_secs_f64(rest / 1000.0)).await;
    let count = alice.count();
    // Whoever asks first, this phone or the server by itself: the promise is the same.
    let asked = alice.try_command("/next", count, &Value::Null).await;
    assert!([200, 409].contains(&asked.status));
    for phone in [&mut alice, &mut bob] {
        let release = phone.durable_event("barrier.release", count).await.payload;
        assert_eq!(release["trackId"], second.as_str());
        assert_eq!(release["anchorAtMs"].as_f64(), Some(promised));
    }
}

#[tokio::test]
async fn a_promise_ends_with_whatever_happens_before() {
    let server = TestServer::start().await;
    let mut phone = Phone::listening(&server).await;
    phone.ack_all().await;
    phone.play(0.0).await;
    phone
        .wait_until("a promise", |view| !view["live"]["segue"].is_null())
        .await;
    phone.pause(1.0).await;
    assert!(phone.snapshot().await["live"]["segue"].is_null());
    phone.play(1.0).await;
    let other = phone.track_after_current(2);
    phone.nudge(&other).await;
    let segue = phone.snapshot().await["live"]["segue"].clone();
    assert_eq!(
        (&segue["trackId"], &segue["eventCount"]),
        (&json!(other), &json!(phone.count()))
    );

    // Long before the end, next is now and not at the promised moment.
    let before = phone.count();
    phone.next().await;
    let starts = phone.durable_event("barrier.release", before).await.payload["anchorAtMs"]
        .as_f64()
        .unwrap();
    assert!(starts < segue["anchorAtMs"].as_f64().unwrap() - 100_000.0);
}

#[tokio::test]
async fn with_event_alignment_no_start_carries_a_time() {
    let server = Setup::long_tracks().flag("--alignment=event").start().await;
    let mut phone = Phone::listening(&server).await;
    phone.ack_all().await;
    let before = phone.count();
    phone.play(2.0).await;
    phone.seek(4.0).await;
    phone.next().await;
    for event in phone.heard.iter().filter(|event| event.id > Some(before)) {
        assert!(event.payload["anchorAtMs"].is_null(), "{event:?}");
    }
    let live = &phone.snapshot().await["live"];
    assert_eq!(
        (&live["anchorAtMs"], &live["segue"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(phone.mode(), "playing");
}

#[tokio::test]
async fn a_barrier_survives_a_restart_and_ends_all_the_same() {
    let mut server = TestServer::start().await;
    let (mut alice, _bob) = pair_of_phones(&server).await;
    alice.next().await;
    alice.ack(&alice.current()).await;
    let track = alice.current();
    server.kill().await;
    server.start_again().await;
    alice.moved_to(&server);
    // Bob never comes back; alice has to say again what she has.
    alice.listen().await;
    let before = alice.count();
    alice.ack(&track).await;
    let playing = |view: &Value| view["playState"]["mode"] == "playing";
    alice.wait_until("music", playing).await;
    assert_eq!(alice.current(), track);
    assert!(alice.count() > before);
}

#[tokio::test]
async fn the_queue_is_every_track_once() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    let mut queued = queue(&phone.view);
    let index = phone.get("/index").await.expect(200).json();
    let mut indexed: Vec<_> = index
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["trackId"].as_str().unwrap())
        .collect();
    queued.sort();
    indexed.sort();
    assert_eq!(queued, indexed);
    assert_eq!(queued.len(), music::LONG_TRACKS.len());
}
