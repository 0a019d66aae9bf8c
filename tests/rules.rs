//! House rules: who may do what, the order of picks, the DJ, and votes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::path::Path;

use common::client::pair_request;
use common::music::put_wav;
use common::phone::{ask, http, local_client};
use common::server::{EXECUTABLE, bare_command, run};
use common::{Event, Exit, HttpResponse, Phone, Setup, TestServer};
use reqwest::Method;
use serde_json::{Value, json};

/// A well-formed track ID that no track has.
const UNKNOWN_TRACK_ID: &str = "0123456789abcdef";
const NAMES: [&str; 5] = ["Ada", "Ben", "Cleo", "Dan", "Eve"];

fn setup() -> Setup {
    let setup = Setup::empty();
    for number in 0..12 {
        let path = setup.audio().join(format!("{number:02}.wav"));
        put_wav(&path, 600 + number, 1_000);
    }
    setup.flag("--keep-duplicates")
}

/// A server with twelve long tracks, and listeners that hold all of them: Ada, who is `m1`, Ben and so on.
async fn room(count: usize) -> (TestServer, Vec<Phone>) {
    let server = setup().start().await;
    let mut phones = Vec::new();
    for name in &NAMES[..count] {
        let mut phone = Phone::pair_as(&server, name).await;
        phone.listen().await;
        phone.ack_all().await;
        phones.push(phone);
    }
    (server, phones)
}

/// Sends a command for the current event count.
async fn send(phone: &Phone, path: &str, body: Value) -> HttpResponse {
    let event_count = phone.snapshot().await["eventCount"].as_u64().unwrap();
    phone.try_command(path, event_count, &body).await
}

/// Sends a command that must be accepted, and returns the snapshot after it.
async fn accepted(phone: &Phone, path: &str, body: Value) -> Value {
    let response = send(phone, path, body).await;
    response.expect(200).json()["snapshot"].clone()
}

/// Sends a command that the rules must refuse, and returns the code and the sentence.
async fn refused(phone: &Phone, path: &str, body: Value) -> (String, String) {
    let problem = send(phone, path, body).await.expect_problem(403);
    let text = |field: &str| problem[field].as_str().unwrap().to_owned();
    (text("code"), text("detail"))
}

/// Sends a command that must be refused with 422, and returns the code.
async fn impossible(phone: &Phone, path: &str, body: Value) -> String {
    let problem = send(phone, path, body).await.expect_problem(422);
    problem["code"].as_str().unwrap().to_owned()
}

fn text(pair: (&str, &str)) -> (String, String) {
    (pair.0.to_owned(), pair.1.to_owned())
}

async fn set_rules(phone: &Phone, rules: Value) -> Value {
    accepted(phone, "/rules", rules).await
}

/// The track `offset` places after the current one in a snapshot.
fn track(snapshot: &Value, offset: usize) -> String {
    let queue = snapshot["queue"].as_array().unwrap();
    let index = snapshot["queueIndex"].as_u64().unwrap() as usize;
    queue[(index + offset) % queue.len()]
        .as_str()
        .unwrap()
        .to_owned()
}

/// All tracks, the current one first.
async fn ring(phone: &Phone) -> Vec<String> {
    let snapshot = phone.snapshot().await;
    let length = snapshot["queue"].as_array().unwrap().len();
    (0..length).map(|offset| track(&snapshot, offset)).collect()
}

fn picked(snapshot: &Value) -> Vec<&str> {
    let picks = snapshot["picks"].as_array().unwrap().iter();
    picks
        .map(|pick| pick["trackId"].as_str().unwrap())
        .collect()
}

fn owners(snapshot: &Value) -> Vec<&str> {
    let picks = snapshot["picks"].as_array().unwrap().iter();
    picks.map(|pick| pick["by"].as_str().unwrap()).collect()
}

async fn pick(phone: &Phone, tracks: &[String]) -> Value {
    accepted(phone, "/pick", json!({ "trackIds": tracks })).await
}

#[tokio::test]
async fn first_device_that_changes_a_rule_becomes_host() {
    let (_server, mut phones) = room(2).await;
    let snapshot = phones[0].snapshot().await;
    assert_eq!(snapshot["hosts"], json!([]));
    assert_eq!(
        snapshot["rules"],
        json!({
            "control": "everyone", "picks": "everyone", "order": "first", "maxPicks": 0,
            "skipShare": 0.0, "djShare": 0.51, "djCooldownSec": 300, "uploads": "everyone",
            "chat": true, "invite": "everyone",
        })
    );
    for (field, expected) in [
        ("dj", Value::Null),
        ("djVotes", json!({})),
        ("skipVotes", json!([])),
    ] {
        assert_eq!(snapshot[field], expected, "{field}");
    }
    assert_eq!(snapshot["live"]["djCooldown"], json!({}));

    let unchanged = set_rules(&phones[0], json!({})).await;
    assert_eq!(unchanged["eventCount"], snapshot["eventCount"]);
    let ada = &mut phones[0];
    let event_count = snapshot["eventCount"].as_u64().unwrap();
    let body = json!({ "control": "hosts", "maxPicks": 3 });
    ada.command_until_accepted("/rules", body).await;
    assert_eq!(
        ada.durable_event_names_after(event_count),
        ["hosts.changed", "rules.changed"]
    );
    let event = ada.durable_event("hosts.changed", event_count).await;
    let (member, host) = (&event.payload["memberId"], &event.payload["host"]);
    assert_eq!((member, host), (&json!("m1"), &json!(true)));
    let event = ada.durable_event("rules.changed", event_count).await;
    assert_eq!(event.payload["by"], "m1");
    assert_eq!(
        event.payload["changed"],
        json!({ "control": "hosts", "maxPicks": 3 })
    );
    assert_eq!(ada.view["hosts"], json!(["m1"]));
    assert_eq!(ada.view["rules"]["maxPicks"], 3);

    let host_only = text(("hosts-only", "Ada is host"));
    let ben = &phones[1];
    for (path, body) in [
        ("/rules", json!({ "chat": false })),
        ("/hosts", json!({ "memberId": "m2", "host": true })),
        ("/dj", json!({ "memberId": "m2" })),
        ("/dj/random", json!({})),
        ("/next", json!({})),
    ] {
        assert_eq!(refused(ben, path, body).await, host_only, "{path}");
    }
    let body = json!({ "memberId": "m1" });
    let unpair = ben.request(Method::POST, "/unpair").json(&body);
    assert_eq!(
        ask(unpair).await.expect_problem(403)["detail"],
        "Ada is host"
    );
    accepted(
        &phones[0],
        "/hosts",
        json!({ "memberId": "m2", "host": true }),
    )
    .await;
    let snapshot = set_rules(&phones[1], json!({ "chat": false })).await;
    assert_eq!(snapshot["hosts"], json!(["m1", "m2"]));
}

#[tokio::test]
async fn rules_out_of_range_are_refused_after_the_event_count_and_the_right() {
    let (_server, phones) = room(2).await;
    let ada = &phones[0];
    for body in [
        json!({ "control": "nobody" }),
        json!({ "order": "random" }),
        json!({ "maxPicks": 101 }),
        json!({ "maxPicks": -1 }),
        json!({ "skipShare": 1.5 }),
        json!({ "djShare": 0 }),
        json!({ "djCooldownSec": 3601 }),
    ] {
        let code = impossible(ada, "/rules", body.clone()).await;
        assert_eq!(code, "rule-out-of-range", "{body}");
    }
    for body in [
        json!({ "control": 1 }),
        json!({ "maxPicks": "3" }),
        json!({ "chat": "on" }),
        json!({ "shout": true }),
        json!([]),
    ] {
        send(ada, "/rules", body).await.expect_problem(400);
    }
    ask(ada.request(Method::POST, "/rules").json(&json!({})))
        .await
        .expect_problem(428);
    set_rules(ada, json!({ "chat": false })).await;
    let bad = json!({ "djShare": 0 });
    assert_eq!(phones[1].try_command("/rules", 0, &bad).await.status, 409);
    let (code, _) = refused(&phones[1], "/rules", bad).await;
    assert_eq!(code, "hosts-only");
}

#[tokio::test]
async fn only_dj_and_hosts_control_while_the_rules_say_so() {
    let (_server, mut phones) = room(3).await;
    set_rules(&phones[0], json!({ "control": "dj" })).await;
    // While there is no DJ, everyone may control.
    accepted(&phones[2], "/play", json!({ "positionSec": 1.0 })).await;
    accepted(&phones[0], "/dj", json!({ "memberId": "m2" })).await;
    let tracks = ring(&phones[0]).await;
    for (path, body) in [
        ("/play", json!({ "positionSec": 0.0 })),
        ("/pause", json!({ "positionSec": 0.0 })),
        ("/seek", json!({ "positionSec": 0.0 })),
        ("/next", json!({})),
        ("/previous", json!({})),
        ("/play-now", json!({ "trackId": tracks[3] })),
        ("/play-now", json!({ "trackId": UNKNOWN_TRACK_ID })),
        ("/shuffle", json!({})),
        ("/sort", json!({ "order": "title" })),
    ] {
        let (code, sentence) = refused(&phones[2], path, body.clone()).await;
        assert_eq!((&*code, &*sentence), ("dj-only", "Ben is DJ"), "{path}");
        if body["trackId"] != UNKNOWN_TRACK_ID {
            accepted(&phones[0], path, body.clone()).await;
            accepted(&phones[1], path, body).await;
        }
    }
    // The end of a track and acknowledgements are everyone's.
    let ended = json!({ "ended": ring(&phones[2]).await[0] });
    assert_eq!(impossible(&phones[2], "/next", ended).await, "not-ended");
    let ack = json!({ "trackId": tracks[0] });
    accepted(&phones[2], "/ack-download", ack).await;
    assert_eq!(
        impossible(&phones[2], "/start-now", json!({})).await,
        "no-barrier"
    );
    set_rules(&phones[0], json!({ "control": "hosts" })).await;
    let (code, sentence) = refused(&phones[1], "/next", json!({})).await;
    assert_eq!((&*code, &*sentence), ("hosts-only", "Ada is host"));
    // What is undone must still be permitted.
    let (code, _) = refused(&phones[1], "/undo", json!({})).await;
    assert_eq!(code, "hosts-only");
    let newest = phones[0].snapshot().await["eventCount"].as_u64().unwrap();
    phones[2].wait_for_event_count(newest).await;
}

#[tokio::test]
async fn picks_are_limited_to_their_rule_and_their_number() {
    let (_server, phones) = room(3).await;
    let (ada, ben, cleo) = (&phones[0], &phones[1], &phones[2]);
    let tracks = ring(ada).await;
    set_rules(ada, json!({ "maxPicks": 2, "control": "hosts" })).await;
    pick(ben, &tracks[1..3]).await;
    let event_count = ada.snapshot().await["eventCount"].clone();
    let one_more = json!({ "trackIds": [tracks[3]] });
    assert_eq!(
        impossible(ben, "/pick", one_more.clone()).await,
        "too-many-picks"
    );
    let nudge = json!({ "trackId": tracks[3] });
    assert_eq!(impossible(ben, "/nudge", nudge).await, "too-many-picks");
    let three = json!({ "trackIds": tracks[3..6] });
    assert_eq!(impossible(cleo, "/pick", three).await, "too-many-picks");
    assert_eq!(ada.snapshot().await["eventCount"], event_count);
    pick(ada, &tracks[6..12]).await;
    // One's own picks.
    let theirs = json!({ "trackIds": [tracks[1]] });
    let (code, sentence) = refused(cleo, "/unpick", theirs.clone()).await;
    assert_eq!(&*code, "owner-only");
    assert_eq!(sentence, "This is for Ben, and Ada is host");
    let moved = json!({ "trackId": tracks[1], "before": null });
    assert_eq!(refused(cleo, "/move", moved.clone()).await.0, "owner-only");
    accepted(ben, "/move", moved).await;
    accepted(ben, "/unpick", theirs).await;
    accepted(ada, "/unpick", json!({ "trackIds": [tracks[2]] })).await;

    set_rules(ada, json!({ "picks": "dj" })).await;
    pick(cleo, &tracks[1..2]).await;
    accepted(ada, "/dj", json!({ "memberId": "m2" })).await;
    assert_eq!(
        refused(cleo, "/pick", one_more.clone()).await.1,
        "Ben is DJ"
    );
    // What is undone must still be permitted.
    pick(ben, &tracks[2..6]).await;
    set_rules(ada, json!({ "picks": "hosts" })).await;
    assert_eq!(refused(ben, "/undo", json!({})).await.1, "Ada is host");
}

#[tokio::test]
async fn turns_let_everyone_through_and_hosts_pin() {
    let (_server, phones) = room(3).await;
    let (ada, ben, cleo) = (&phones[0], &phones[1], &phones[2]);
    let tracks = ring(ada).await;
    pick(ben, &tracks[1..5]).await;
    let snapshot = pick(ada, &tracks[5..7]).await;
    assert_eq!(owners(&snapshot), ["m2", "m2", "m2", "m2", "m1", "m1"]);
    let snapshot = set_rules(ada, json!({ "order": "turns" })).await;
    assert_eq!(owners(&snapshot), ["m2", "m1", "m2", "m1", "m2", "m2"]);
    let snapshot = pick(cleo, &tracks[7..9]).await;
    assert_eq!(
        owners(&snapshot),
        ["m2", "m1", "m3", "m2", "m1", "m3", "m2", "m2"]
    );
    for phone in [ada, ben] {
        let body = json!({ "trackId": tracks[1], "before": null });
        assert_eq!(refused(phone, "/move", body).await.0, "ordered-by-rule");
    }
    let nudge = |track: &str| json!({ "trackId": track });
    assert_eq!(
        refused(ben, "/nudge", nudge(&tracks[4])).await,
        text(("dj-only", "Ada is host"))
    );
    accepted(ada, "/nudge", nudge(&tracks[4])).await;
    let snapshot = accepted(ada, "/nudge", nudge(&tracks[9])).await;
    assert_eq!(
        picked(&snapshot)[..3],
        [&*tracks[9], &*tracks[4], &*tracks[1]]
    );
    let pinned: Vec<_> = snapshot["picks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pick| &pick["pinned"])
        .collect();
    assert_eq!(pinned[..3], [true, true, false]);
    let snapshot = set_rules(ada, json!({ "order": "first" })).await;
    let expected: Vec<_> = (1..10).map(|n| &*tracks[n]).collect();
    assert_eq!(picked(&snapshot), expected);
    assert!(
        snapshot["picks"]
            .as_array()
            .unwrap()
            .iter()
            .all(|pick| pick["pinned"] == false)
    );
    assert_eq!(snapshot["queue"].as_array().unwrap().len(), 12);
}

#[tokio::test]
async fn votes_order_the_picks() {
    let (_server, mut phones) = room(3).await;
    let tracks = ring(&phones[0]).await;
    set_rules(&phones[0], json!({ "order": "votes" })).await;
    pick(&phones[0], &tracks[1..4]).await;
    let vote = |track: &str, up: bool| json!({ "trackId": track, "up": up });
    let ben = &mut phones[1];
    let event_count = ben.snapshot().await["eventCount"].as_u64().unwrap();
    ben.wait_for_event_count(event_count).await;
    ben.command_until_accepted("/vote-pick", vote(&tracks[3], true))
        .await;
    let event = ben.durable_event("vote.cast", event_count).await;
    assert_eq!(
        (&event.payload["about"], &event.payload["by"]),
        (&json!("pick"), &json!("m2"))
    );
    assert_eq!(ben.next_track(), tracks[3]);
    let again = accepted(ben, "/vote-pick", vote(&tracks[3], true)).await;
    assert_eq!(again["eventCount"], ben.event_count());
    let snapshot = accepted(&phones[2], "/vote-pick", vote(&tracks[2], true)).await;
    assert_eq!(picked(&snapshot), [&*tracks[2], &*tracks[3], &*tracks[1]]);
    let snapshot = accepted(&phones[0], "/vote-pick", vote(&tracks[3], true)).await;
    assert_eq!(picked(&snapshot), [&*tracks[3], &*tracks[2], &*tracks[1]]);
    assert_eq!(snapshot["picks"][0]["votes"], json!(["m2", "m1"]));
    let snapshot = accepted(&phones[1], "/vote-pick", vote(&tracks[3], false)).await;
    assert_eq!(snapshot["picks"][1]["votes"], json!(["m1"]));
    assert_eq!(
        impossible(&phones[0], "/vote-pick", vote(&tracks[0], true)).await,
        "no-such-vote"
    );
    send(&phones[0], "/vote-pick", vote(UNKNOWN_TRACK_ID, true))
        .await
        .expect_problem(404);
}

#[tokio::test]
async fn dj_is_made_hands_over_steps_down_and_is_voted_out() {
    let (_server, mut phones) = room(3).await;
    set_rules(&phones[0], json!({ "control": "dj", "djShare": 0.6 })).await;
    let dj = |member: Value| json!({ "memberId": member });
    let reason = async |phones: &mut Vec<Phone>| {
        let event_count = phones[2].event_count();
        let event = phones[2].durable_event("dj.changed", event_count).await;
        let reason = event.payload["reason"].as_str().unwrap().to_owned();
        (event.payload["memberId"].clone(), reason)
    };
    accepted(&phones[0], "/dj", dj(json!("m2"))).await;
    assert_eq!(reason(&mut phones).await, (json!("m2"), "host".into()));
    assert_eq!(
        refused(&phones[2], "/dj", dj(json!("m3"))).await.1,
        "Ben is DJ"
    );
    accepted(&phones[1], "/dj", dj(json!("m3"))).await;
    assert_eq!(reason(&mut phones).await, (json!("m3"), "handed".into()));
    let snapshot = accepted(&phones[2], "/dj", dj(Value::Null)).await;
    assert_eq!(reason(&mut phones).await, (Value::Null, "removed".into()));
    assert_eq!(
        snapshot["live"]["djCooldown"],
        json!({}),
        "stepping down has no consequence"
    );
    accepted(&phones[0], "/dj/random", json!({})).await;
    let (chosen, why) = reason(&mut phones).await;
    assert!(why == "random" && chosen.is_string());

    // Two of three are enough.
    accepted(&phones[0], "/dj", dj(json!("m1"))).await;
    phones[2]
        .wait_until("the host to be DJ", |view| view["dj"] == "m1")
        .await;
    accepted(&phones[1], "/vote-dj", dj(json!("m2"))).await;
    let snapshot = accepted(&phones[0], "/vote-dj", dj(json!("m3"))).await;
    assert_eq!(snapshot["djVotes"], json!({ "m1": "m3", "m2": "m2" }));
    let snapshot = accepted(&phones[2], "/vote-dj", dj(json!("m2"))).await;
    assert_eq!(
        (&snapshot["dj"], &snapshot["djVotes"]),
        (&json!("m2"), &json!({}))
    );
    assert_eq!(reason(&mut phones).await, (json!("m2"), "elected".into()));
    accepted(&phones[0], "/vote-dj", dj(Value::Null)).await;
    let snapshot = accepted(&phones[2], "/vote-dj", dj(Value::Null)).await;
    assert_eq!(reason(&mut phones).await, (Value::Null, "removed".into()));
    let cooldown_sec = snapshot["live"]["djCooldown"]["m2"].as_u64().unwrap();
    assert!((280..=300).contains(&cooldown_sec), "{cooldown_sec}");

    // While Ben cools down, neither votes nor the DJ make him DJ; a host does.
    for phone in &phones {
        accepted(phone, "/vote-dj", dj(json!("m2"))).await;
    }
    assert_eq!(phones[0].snapshot().await["dj"], Value::Null);
    accepted(&phones[0], "/dj", dj(json!("m3"))).await;
    assert_eq!(
        impossible(&phones[2], "/dj", dj(json!("m2"))).await,
        "cooling-down"
    );
    let snapshot = accepted(&phones[0], "/dj", dj(json!("m2"))).await;
    assert_eq!(
        (&snapshot["dj"], &snapshot["live"]["djCooldown"]),
        (&json!("m2"), &json!({}))
    );
    for path in ["/dj", "/vote-dj"] {
        send(&phones[0], path, dj(json!("m99")))
            .await
            .expect_problem(404);
        send(&phones[0], path, json!({})).await.expect_problem(400);
    }
}

#[tokio::test]
async fn three_of_five_skip_a_track_together() {
    let (_server, mut phones) = room(5).await;
    set_rules(&phones[0], json!({ "control": "hosts" })).await;
    let current = ring(&phones[0]).await[0].clone();
    let vote = |up: bool| json!({ "trackId": current, "up": up });
    for phone in &phones[..2] {
        let sentence = "Skipping by vote is not possible here: the rules do not permit it";
        let expected = text(("skip-votes-off", sentence));
        assert_eq!(refused(phone, "/vote-skip", vote(true)).await, expected);
    }
    set_rules(&phones[0], json!({ "skipShare": 0.5 })).await;
    accepted(&phones[0], "/play", json!({ "positionSec": 0.0 })).await;
    accepted(&phones[1], "/vote-skip", vote(true)).await;
    accepted(&phones[2], "/vote-skip", vote(true)).await;
    let snapshot = accepted(&phones[2], "/vote-skip", vote(false)).await;
    assert_eq!(snapshot["skipVotes"], json!(["m2"]));
    accepted(&phones[3], "/vote-skip", vote(true)).await;
    let event_count = phones[0].snapshot().await["eventCount"].as_u64().unwrap();
    let snapshot = accepted(&phones[4], "/vote-skip", vote(true)).await;
    assert_eq!(snapshot["skipVotes"], json!([]));
    assert_ne!(track(&snapshot, 0), current);
    let newest = snapshot["eventCount"].as_u64().unwrap();
    phones[0].wait_for_event_count(newest).await;
    assert_eq!(
        phones[0].durable_event_names_after(event_count),
        [
            "vote.cast",
            "queue.advanced",
            "barrier.opened",
            "barrier.release"
        ]
    );
    let event = phones[0].durable_event("queue.advanced", event_count).await;
    assert_eq!(event.payload["reason"], "voted");
    assert_eq!(
        impossible(&phones[4], "/vote-skip", vote(true)).await,
        "no-such-vote"
    );
    assert_eq!(
        impossible(&phones[4], "/undo", json!({})).await,
        "nothing-to-undo"
    );
}

#[tokio::test]
async fn votes_match_earlier_event_counts_and_are_limited() {
    let (_server, phones) = room(2).await;
    let ben = &phones[1];
    let event_count = ben.snapshot().await["eventCount"].as_u64().unwrap();
    let vote = |member: Value| json!({ "memberId": member });
    ben.try_command("/vote-dj", 0, &vote(json!("m1")))
        .await
        .expect(200);
    let later = ben
        .try_command("/vote-dj", event_count + 5, &vote(Value::Null))
        .await;
    assert_eq!(later.status, 409);
    // These change nothing, so that the server writes nothing: thirty writes may take longer than the five seconds.
    for _ in 2..30 {
        ben.try_command("/vote-dj", 0, &vote(json!("m1")))
            .await
            .expect(200);
    }
    let response = ben.try_command("/vote-dj", 0, &vote(Value::Null)).await;
    assert!(response.header("retry-after").is_some());
    assert_eq!(response.expect_problem(429)["code"], "too-many-votes");
    phones[0]
        .try_command("/vote-dj", 0, &vote(Value::Null))
        .await
        .expect(200);
}

#[tokio::test]
async fn rules_roles_and_votes_survive_a_restart_and_cooling_down_does_not() {
    let (mut server, phones) = room(3).await;
    let (ada, ben) = (&phones[0], &phones[1]);
    let tracks = ring(ada).await;
    let rules = json!({ "control": "hosts", "order": "votes", "skipShare": 1, "invite": "hosts", "djShare": 1 });
    set_rules(ada, rules).await;
    accepted(ada, "/dj", json!({ "memberId": "m3" })).await;
    accepted(ada, "/dj", json!({ "memberId": null })).await;
    accepted(ada, "/dj", json!({ "memberId": "m1" })).await;
    pick(ben, &tracks[1..4]).await;
    accepted(
        ben,
        "/vote-pick",
        json!({ "trackId": tracks[3], "up": true }),
    )
    .await;
    accepted(
        ben,
        "/vote-skip",
        json!({ "trackId": tracks[0], "up": true }),
    )
    .await;
    let before = accepted(ben, "/vote-dj", json!({ "memberId": "m2" })).await;
    assert!(before["live"]["djCooldown"]["m3"].is_u64());
    server.stop().await;
    server.restart().await;
    let ada = phones[0].clone_for_server(&server);
    let after = ada.snapshot().await;
    for field in ["hosts", "rules", "dj", "djVotes", "skipVotes", "picks"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    assert_eq!(after["live"]["djCooldown"], json!({}));
    // The order in which the picks came is kept, too.
    let snapshot = set_rules(&ada, json!({ "order": "first" })).await;
    assert_eq!(picked(&snapshot), [&*tracks[1], &*tracks[2], &*tracks[3]]);
    // The pairing window stays shut.
    let code = ask(http().get(server.url("/code"))).await;
    assert_eq!(code.expect_problem(403)["code"], "pairing-code-hidden");
}

#[tokio::test]
async fn room_without_hosts_is_claimed_by_the_next_change() {
    let (_server, mut phones) = room(3).await;
    set_rules(&phones[0], json!({ "control": "hosts" })).await;
    let step_down = json!({ "memberId": "m1", "host": false });
    assert_eq!(
        impossible(&phones[0], "/hosts", step_down).await,
        "last-host"
    );
    accepted(&phones[1], "/vote-dj", json!({ "memberId": "m1" })).await;
    phones[0].close_stream();
    phones[0].post("/leave").await.expect(204);
    let snapshot = phones[1].snapshot().await;
    assert_eq!(
        (&snapshot["hosts"], &snapshot["djVotes"]),
        (&json!([]), &json!({}))
    );
    let (code, sentence) = refused(&phones[1], "/next", json!({})).await;
    assert_eq!(code, "hosts-only");
    assert_eq!(
        sentence,
        "There is no host yet: the first to change a rule becomes host"
    );
    let snapshot = set_rules(&phones[2], json!({ "maxPicks": 5 })).await;
    assert_eq!(snapshot["hosts"], json!(["m3"]));
    assert_eq!(
        refused(&phones[1], "/next", json!({})).await.1,
        "Cleo is host"
    );
    set_rules(&phones[2], json!({ "control": "everyone", "maxPicks": 0 })).await;
    let snapshot = accepted(
        &phones[2],
        "/hosts",
        json!({ "memberId": "m3", "host": false }),
    )
    .await;
    assert_eq!(snapshot["hosts"], json!([]));
}

#[tokio::test]
async fn room_without_hosts_is_claimed_by_naming_a_rule_as_it_is() {
    let (_server, mut phones) = room(3).await;
    set_rules(&phones[0], json!({ "control": "hosts", "maxPicks": 3 })).await;
    let event_count = phones[1].event_count();
    let event = phones[1].durable_event("rules.changed", event_count).await;
    assert_eq!(
        event.payload["changed"].to_string(),
        r#"{"control":"hosts","maxPicks":3}"#
    );
    phones[0].close_stream();
    phones[0].post("/leave").await.expect(204);
    let snapshot = set_rules(&phones[1], json!({})).await;
    assert_eq!(snapshot["hosts"], json!([]));
    let snapshot = set_rules(&phones[1], json!({ "control": "hosts" })).await;
    assert_eq!(snapshot["hosts"], json!(["m2"]));
    assert_eq!(
        refused(&phones[2], "/rules", json!({ "control": "everyone" }))
            .await
            .1,
        "Ben is host"
    );
}

#[tokio::test]
async fn beginning_and_end_of_a_cooldown_are_announced() {
    let (_server, mut phones) = room(2).await;
    set_rules(&phones[0], json!({ "control": "dj" })).await;
    let dj = |member: Value| json!({ "memberId": member });
    accepted(&phones[0], "/dj", dj(json!("m2"))).await;
    accepted(&phones[0], "/dj", dj(Value::Null)).await;
    let cooldown = |event: &Event| event.payload["djCooldown"]["m2"].clone();
    let mut event = phones[1].live_event("presence").await;
    while cooldown(&event).is_null() {
        event = phones[1].live_event("presence").await;
    }
    accepted(&phones[0], "/dj", dj(json!("m2"))).await;
    while !cooldown(&event).is_null() {
        event = phones[1].live_event("presence").await;
    }
}

async fn make_host(server: &TestServer, device: &str) -> Exit {
    let mut command = bare_command(Path::new(EXECUTABLE));
    command.args(["host", device, "--state-file"]);
    command.arg(server.setup().state_file());
    run(command).await
}

#[tokio::test]
async fn user_of_the_machine_makes_any_phone_host() {
    let (server, phones) = room(3).await;
    set_rules(&phones[0], json!({ "control": "hosts" })).await;
    let made = make_host(&server, "Ben").await;
    assert_eq!(
        (made.status.code(), &*made.stdout),
        (Some(0), "Ben is host\n"),
        "{made:?}"
    );
    assert_eq!(make_host(&server, "m3").await.stdout, "Cleo is host\n");
    assert_eq!(
        phones[0].snapshot().await["hosts"],
        json!(["m1", "m2", "m3"])
    );
    let unknown = make_host(&server, "Zoe").await;
    assert_eq!(unknown.status.code(), Some(1));
    assert!(
        unknown.stderr.contains("There is no such device"),
        "{unknown:?}"
    );
    Phone::pair_as(&server, "Ben").await;
    let ambiguous = make_host(&server, "Ben").await;
    assert!(ambiguous.stderr.contains("m2, m4"), "{ambiguous:?}");
    let local = local_client(&server);
    let request = local.post("http://localhost/hosts");
    let response = ask(request.json(&json!({ "memberId": "m4", "host": true }))).await;
    assert_eq!(response.expect(200).json()["memberId"], "m4");
    // One phone has no name.
    Phone::pair_as(&server, "").await;
    for refused in [
        json!({}),
        json!({ "device": "" }),
        json!({ "device": " " }),
        json!({ "memberId": "m4", "host": false }),
    ] {
        let request = local.post("http://localhost/hosts").json(&refused);
        ask(request).await.expect_problem(400);
    }
    let unnamed = make_host(&server, "").await;
    assert_eq!(unnamed.status.code(), Some(1));
    assert_eq!(
        phones[0].snapshot().await["hosts"],
        json!(["m1", "m2", "m3", "m4"])
    );
}

#[tokio::test]
async fn pairing_code_is_for_hosts_and_can_be_renewed() {
    let (server, phones) = room(2).await;
    set_rules(&phones[0], json!({ "invite": "hosts" })).await;
    phones[0].get("/code").await.expect(200);
    let problem = phones[1].get("/code").await.expect_problem(403);
    assert_eq!(problem["detail"], "Ada is host");
    phones[1].post("/code/renew").await.expect_problem(403);
    let problem = phones[0].post("/code/renew").await.expect_problem(422);
    assert_eq!(problem["code"], "code-fixed");
    let local = ask(local_client(&server).get("http://localhost/code")).await;
    local.expect(200);

    // The same server without the flag --pairing-code.
    let script = format!("set -- \"$1=$2\" \"$3=$4\" \"${{@:7}}\"; exec {EXECUTABLE} \"$@\"");
    let server = setup()
        .launch_command(["bash", "-c", &script, "bash"])
        .start()
        .await;
    let code = async || {
        let response = ask(local_client(&server).get("http://localhost/code")).await;
        response.expect(200).json()["code"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let (client, url) = (http(), server.url(""));
    let old = code().await;
    let paired = ask(pair_request(&client, &url, &old, "Ada"))
        .await
        .expect(200);
    let token = paired.json()["clientId"].as_str().unwrap().to_owned();
    let renew = client.post(server.url("/code/renew")).bearer_auth(&token);
    let new = ask(renew).await.expect(200).json()["code"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_ne!(old, new);
    assert_eq!(code().await, new);
    ask(pair_request(&client, &url, &old, "Ben"))
        .await
        .expect_problem(403);
    ask(pair_request(&client, &url, &new, "Ben"))
        .await
        .expect(200);
    assert!(!server.log().contains(&new), "the code is in the log");
}

#[tokio::test]
async fn uploads_are_for_hosts_while_the_rules_say_so() {
    let (_server, phones) = room(2).await;
    set_rules(&phones[0], json!({ "uploads": "hosts" })).await;
    let put = |phone: &Phone| {
        let request = phone.request(Method::PUT, "/uploads/by-name/a.wav");
        ask(request.body("no music"))
    };
    let problem = put(&phones[1]).await.expect_problem(403);
    assert_eq!(
        (&problem["code"], &problem["detail"]),
        (&json!("hosts-only"), &json!("Ada is host"))
    );
    let begin = phones[1].request(Method::POST, "/uploads");
    let begin = begin
        .header("tus-resumable", "1.0.0")
        .header("upload-length", "5");
    ask(begin).await.expect_problem(403);
    put(&phones[0]).await.expect_problem(415);
}

#[tokio::test]
async fn upload_that_has_begun_continues_after_uploads_are_for_hosts() {
    let (server, phones) = room(2).await;
    let tus = |method: Method, path: &str| {
        let request = phones[1].request(method, path);
        request.header("tus-resumable", "1.0.0")
    };
    let begin = tus(Method::POST, "/uploads").header("upload-length", "5");
    let begun = ask(begin).await.expect(201);
    let path = begun.header("location").unwrap().to_owned();
    let path = path.strip_prefix(&server.url("")).unwrap_or(&path);
    set_rules(&phones[0], json!({ "uploads": "hosts" })).await;
    let append = tus(Method::PATCH, path)
        .header("upload-offset", "0")
        .header("content-type", "application/offset+octet-stream")
        .body("nom");
    ask(append).await.expect(204);
    let begin = tus(Method::POST, "/uploads").header("upload-length", "5");
    ask(begin).await.expect_problem(403);
}
