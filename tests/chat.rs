//! Chat messages and reactions.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use common::phone::{ask, http};
use common::{HttpResponse, Phone, Setup, TestServer, durable_state};
use reqwest::Method;
use serde_json::{Value, json};

/// The shortest interval that the protocol permits between two `reactions` events.
const REACTIONS_INTERVAL: Duration = Duration::from_millis(250);

async fn post(phone: &Phone, path: &str, body: Value) -> HttpResponse {
    ask(phone.request(Method::POST, path).json(&body)).await
}

async fn say(phone: &Phone, text: &str) -> u64 {
    let response = post(phone, "/chat", json!({ "text": text })).await;
    response.expect(201).json()["id"].as_u64().unwrap()
}

async fn remove(phone: &Phone, id: u64) -> HttpResponse {
    ask(phone.request(Method::DELETE, &format!("/chat/{id}"))).await
}

async fn react(phone: &Phone, emoji: &str) -> HttpResponse {
    post(phone, "/react", json!({ "emoji": emoji })).await
}

/// The messages at `path`.
async fn messages(phone: &Phone, path: &str) -> Vec<Value> {
    let messages = phone.get(path).await.expect(200).json();
    messages.as_array().unwrap().clone()
}

async fn texts(phone: &Phone, path: &str) -> Vec<String> {
    let messages = messages(phone, path).await;
    let texts = messages.iter().map(|message| message["text"].as_str());
    texts.map(|text| text.unwrap().to_owned()).collect()
}

#[tokio::test]
async fn message_reaches_every_stream_and_the_list() {
    let server = TestServer::start().await;
    let mut ann = Phone::pair_as(&server, "Ann").await;
    ann.listen().await;
    let mut remote = Phone::pair_as(&server, "Ben").await;
    remote.open_stream_at("/events?role=remote").await;
    let silent = Phone::pair_as(&server, "Cleo").await;
    let id = say(&silent, " one\n\u{202e}two 🎉 <b>").await;
    let expected = json!({ "id": id, "memberId": "m3", "name": "Cleo", "text": "one two 🎉 <b>" });
    for phone in [&mut ann, &mut remote] {
        let mut payload = phone.live_event("chat").await.payload;
        let at = payload.as_object_mut().unwrap().remove("at").unwrap();
        assert!(at.as_str().unwrap().ends_with('Z'), "{at}");
        assert_eq!(payload, expected);
    }
    let listed = messages(&silent, "/chat").await;
    assert_eq!(listed.len(), 1);
    let chat_event = ann.received_events.back().unwrap();
    assert_eq!(listed[0], chat_event.payload);
}

#[tokio::test]
async fn talking_neither_counts_as_an_event_nor_is_stored_or_logged() {
    const SECRET: &str = "unmistakable-words";
    let setup = Setup::fixtures().flag("--debug").log_filter("trace");
    let mut server = setup.start().await;
    let mut phone = Phone::pair_and_listen(&server).await;
    let before = phone.snapshot().await;
    say(&phone, SECRET).await;
    let last = say(&phone, SECRET).await;
    react(&phone, "🕺").await.expect(204);
    phone.live_event("reactions").await;
    remove(&phone, last).await.expect(204);
    let removed = phone.live_event("chat.removed").await;
    assert_eq!(removed.payload, json!({ "id": last }));
    assert_eq!(
        durable_state(&phone.snapshot().await),
        durable_state(&before)
    );
    // A durable event is the occasion to write the state and the log.
    phone.play(0.0).await;
    let debug_state = phone.get("/debug/state").await.expect(200).text();
    for (place, text) in [
        ("the log", server.log()),
        ("the state file", String::from_utf8(server.state()).unwrap()),
        ("the debugging output", debug_state),
    ] {
        assert!(!text.contains(SECRET) && !text.contains("🕺"), "{place}");
    }
    server.kill().await;
    server.restart().await;
    phone.use_server(&server);
    assert_eq!(messages(&phone, "/chat").await, [] as [Value; 0]);
    // A device tells new messages from those of before the restart by their ids.
    assert!(say(&phone, "new").await > last);
}

#[tokio::test]
async fn device_fetches_the_messages_that_its_stream_missed() {
    let server = TestServer::start().await;
    let mut ann = Phone::pair_and_listen(&server).await;
    let ben = Phone::pair(&server).await;
    say(&ben, "1").await;
    let received = ann.live_event("chat").await.payload["id"].as_u64().unwrap();
    ann.close_stream();
    for text in ["2", "3"] {
        say(&ben, text).await;
    }
    assert_eq!(
        texts(&ann, &format!("/chat?after={received}")).await,
        ["2", "3"]
    );
    assert_eq!(texts(&ann, "/chat").await, ["1", "2", "3"]);
    // Ids that this server has not given mean that the device knows nothing of this chat.
    let unknown = received + 1_000_000;
    assert_eq!(
        texts(&ann, &format!("/chat?after={unknown}")).await.len(),
        3
    );
    ann.get("/chat?after=x").await.expect_problem(400);
}

#[tokio::test]
async fn only_the_author_removes_a_message_while_there_are_no_hosts() {
    let server = TestServer::start().await;
    let ann = Phone::pair(&server).await;
    let mut ben = Phone::pair_and_listen(&server).await;
    let (first, second) = (say(&ann, "1").await, say(&ann, "2").await);
    let refusal = remove(&ben, first).await.expect_problem(403);
    assert_eq!(refusal["code"], "owner-only");
    remove(&ann, first).await.expect(204);
    let removed = ben.live_event("chat.removed").await;
    assert_eq!(
        (removed.id, removed.payload),
        (None, json!({ "id": first }))
    );
    remove(&ann, first).await.expect_problem(404);
    remove(&ann, second + 1).await.expect_problem(404);
    let path = ann.request(Method::DELETE, "/chat/..%2f");
    ask(path).await.expect_problem(404);
    assert_eq!(texts(&ben, "/chat").await, ["2"]);
    // What a device has said stays when it leaves.
    ann.post("/leave").await.expect(204);
    assert_eq!(texts(&ben, "/chat").await, ["2"]);
}

#[tokio::test]
async fn host_removes_messages_and_switches_the_chat_off_for_all() {
    let server = TestServer::start().await;
    let mut host = Phone::pair_as(&server, "Ann").await;
    host.listen().await;
    let guest = Phone::pair(&server).await;
    let (own, foreign) = (say(&host, "1").await, say(&guest, "2").await);
    host.command_until_accepted("/rules", json!({ "maxPicks": 5 }))
        .await;
    let refusal = remove(&guest, own).await.expect_problem(403);
    assert_eq!(refusal["detail"], "This is for Ann, and Ann is host");
    remove(&host, foreign).await.expect(204);

    host.command_until_accepted("/rules", json!({ "chat": false }))
        .await;
    for phone in [&host, &guest] {
        for text in ["3", ""] {
            let refusal = post(phone, "/chat", json!({ "text": text })).await;
            assert_eq!(refusal.expect_problem(403)["code"], "chat-off");
        }
        post(phone, "/chat", json!({ "text": 1 }))
            .await
            .expect_problem(400);
        react(phone, "👏").await.expect(204);
        assert_eq!(texts(phone, "/chat").await, ["1"]);
    }
    remove(&host, own).await.expect(204);
    host.command_until_accepted("/rules", json!({ "chat": true }))
        .await;
    say(&guest, "4").await;
}

#[tokio::test]
async fn messages_have_1_to_300_characters_and_arrive_as_json() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    say(&phone, &"🤘".repeat(300)).await;
    for (body, status, code) in [
        (json!({ "text": "🤘".repeat(301) }), 422, "message-too-long"),
        (json!({ "text": "" }), 422, "message-empty"),
        (json!({ "text": " \u{200b}\n" }), 422, "message-empty"),
        (json!({ "text": 1 }), 400, "bad-request"),
        (json!({}), 400, "bad-request"),
        (json!(["hello"]), 400, "bad-request"),
        (json!({ "text": "a".repeat(20_000) }), 413, "body-too-large"),
    ] {
        let problem = post(&phone, "/chat", body).await.expect_problem(status);
        assert_eq!(problem["code"], code);
    }
    for (body, status, code) in [
        (json!({ "emoji": "🙂" }), 422, "unknown-emoji"),
        (json!({ "emoji": "<script>" }), 422, "unknown-emoji"),
        (json!({ "emoji": null }), 400, "bad-request"),
    ] {
        let problem = post(&phone, "/react", body).await.expect_problem(status);
        assert_eq!(problem["code"], code);
    }
    let text = phone
        .request(Method::POST, "/chat")
        .body(r#"{"text":"\ud800"}"#);
    ask(text).await.expect_problem(400);
    for (method, path) in [
        (Method::GET, "/chat"),
        (Method::POST, "/chat"),
        (Method::DELETE, "/chat/1"),
        (Method::POST, "/react"),
    ] {
        let request = http().request(method, server.url(path));
        ask(request).await.expect_problem(401);
    }
    assert_eq!(messages(&phone, "/chat").await.len(), 1);
}

#[tokio::test]
async fn sixth_message_and_21st_reaction_within_five_seconds_are_refused() {
    let server = TestServer::start().await;
    let ann = Phone::pair(&server).await;
    let ben = Phone::pair(&server).await;
    // Requests that arrive together are within five seconds of each other on a slow machine, too.
    let messages = (0..10).map(|_| post(&ann, "/chat", json!({ "text": "a" })));
    assert_eq!(accepted(messages, 201, "too-many-messages").await, 5);
    let reactions = (0..30).map(|_| react(&ann, "👍"));
    assert_eq!(accepted(reactions, 204, "too-many-reactions").await, 20);
    say(&ben, "b").await;
    react(&ben, "👎").await.expect(204);
}

/// Sends requests together, and counts those with the status `success`. The others must be refused because of a rate limit.
async fn accepted(
    requests: impl Iterator<Item = impl Future<Output = HttpResponse>>,
    success: u16,
    code: &str,
) -> usize {
    let mut accepted = 0;
    for response in futures_util::future::join_all(requests).await {
        if response.status == success {
            accepted += 1;
            continue;
        }
        let seconds: u64 = response.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=5).contains(&seconds), "{seconds}");
        assert_eq!(response.expect_problem(429)["code"], code);
    }
    accepted
}

#[tokio::test]
async fn reactions_of_all_devices_are_counted_together() {
    let server = TestServer::start().await;
    let mut phones = Vec::new();
    for _ in 0..4 {
        phones.push(Phone::pair(&server).await);
    }
    phones[0].listen().await;
    let started = Instant::now();
    let emoji = ["👍", "🔥", "❤️", "👍"];
    let reactions = phones.iter().zip(emoji);
    let reactions = reactions.flat_map(|(phone, emoji)| (0..15).map(move |_| react(phone, emoji)));
    for response in futures_util::future::join_all(reactions).await {
        response.expect(204);
    }
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut events = 0;
    while counts.values().sum::<u64>() < 60 {
        let event = phones[0].live_event("reactions").await;
        assert_eq!(event.id, None);
        events += 1;
        for (emoji, count) in event.payload.as_object().unwrap() {
            *counts.entry(emoji.clone()).or_default() += count.as_u64().unwrap();
        }
    }
    let expected = [("👍", 30), ("🔥", 15), ("❤️", 15)];
    let expected = expected.map(|(emoji, count)| (emoji.to_owned(), count));
    assert_eq!(counts, expected.into());
    let permitted = 1 + started.elapsed().as_millis() / REACTIONS_INTERVAL.as_millis();
    assert!(
        events <= permitted,
        "{events} events, {permitted} permitted"
    );
}
