//! Several rooms in one house: making, entering and leaving them, and what they share and do not share.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use common::phone::{Phone, ask, http, local_client, pair_with};
use common::rooms::{enter, in_room, make_room, make_room_with, room_folder};
use common::{Setup, TestServer, until};
use reqwest::Method;
use serde_json::{Value, json};

async fn post(phone: &Phone, path: &str, body: &Value) -> common::client::HttpResponse {
    ask(phone.request(Method::POST, path).json(body)).await
}

async fn list(phone: &Phone) -> Value {
    phone.get("/rooms").await.expect(200).json()
}

#[tokio::test]
async fn a_second_room_has_a_queue_and_an_event_count_of_its_own() {
    let server = TestServer::start().await;
    let mut ann = Phone::pair_as(&server, "Ann").await;
    let room = make_room(&ann, "Garden").await;
    let mut garden = in_room(&ann, &server, &room).await;
    assert_eq!(garden.view["clients"], json!({ "m1": { "name": "Ann" } }));
    assert_eq!(garden.view["queue"].as_array().unwrap().len(), 4);

    garden.next().await;
    assert_eq!(ann.snapshot().await["queueIndex"], 0);
    assert_eq!(garden.snapshot().await["queueIndex"], 1);
    ann.play(0.0).await;
    let pause = json!({ "positionSec": 0 });
    garden.try_command("/pause", 0, &pause).await.expect(409);

    let rows = list(&ann).await;
    let [house, other] = &rows.as_array().unwrap()[..] else {
        panic!("{rows}");
    };
    assert_eq!(
        (&house["roomId"], &house["name"]),
        (&json!("house"), &json!("House"))
    );
    assert_eq!(
        *other,
        json!({
            "roomId": room, "name": "Garden", "locked": false, "listeners": 0, "mode": "paused",
            "current": { "trackId": garden.current_track(), "title": other["current"]["title"], "artist": null },
        })
    );
}

#[tokio::test]
async fn clients_of_the_house_are_refused_until_they_enter() {
    let server = TestServer::start().await;
    let ann = Phone::pair(&server).await;
    let ben = Phone::pair_as(&server, "Ben").await;
    let room = make_room(&ann, "Garden").await;
    let snapshot = format!("/rooms/{room}/snapshot");
    let problem = ben.get(&snapshot).await.expect_problem(403);
    assert_eq!(problem["code"], "not-in-room");
    ask(http().get(server.url(&snapshot)))
        .await
        .expect_problem(401);
    let missing = ben.get("/rooms/zz9/snapshot").await.expect_problem(404);
    assert_eq!(missing["code"], "no-such-room");
    ben.post("/rooms/zz9/enter").await.expect_problem(404);

    let mut garden = in_room(&ann, &server, &room).await;
    garden.open_stream_at("/events?role=remote").await;
    let in_garden = enter(&ben, &server, &room).await;
    let paired = garden.durable_event("client.paired", 0).await;
    assert_eq!(paired.payload["memberId"], ben.member.as_str());
    assert_eq!(paired.payload["by"], ben.member.as_str());
    assert_eq!(in_garden.view["clients"][&ben.member]["name"], "Ben");
    // A client that enters again stays one.
    enter(&ben, &server, &room).await;

    ben.post(&format!("/rooms/{room}/leave")).await.expect(204);
    ben.get(&snapshot).await.expect_problem(403);
    ben.post(&format!("/rooms/{room}/leave"))
        .await
        .expect_problem(403);
    ben.get("/snapshot").await.expect(200);
}

#[tokio::test]
async fn a_listener_that_opens_a_stream_elsewhere_is_moved() {
    let setup = Setup::long_tracks().flag("--leave-grace-ms=60000");
    let server = setup.start().await;
    let mut ann = Phone::pair_and_listen(&server).await;
    let mut ben = Phone::pair_and_listen(&server).await;
    let room = make_room(&ann, "Garden").await;
    // The barrier waits for both.
    ann.play(0.0).await;
    assert_eq!(ann.barrier_members().len(), 2);
    let mut garden = enter(&ben, &server, &room).await;
    garden.listen().await;

    let moved = ben.live_event("moved").await;
    assert_eq!(moved.payload, json!({ "roomId": room }));
    assert!(ben.next_event_or_end().await.is_none());
    let house = ann.snapshot().await;
    assert!(house["live"]["listeners"][&ben.member].is_null(), "{house}");
    let shrunk = ann.durable_event("barrier.shrunk", 0).await;
    assert_eq!(shrunk.payload["memberId"], ben.member.as_str());
    assert_eq!(shrunk.payload["reason"], "left");

    // As a remote, a device may follow several rooms.
    let mut remote = ben.clone_for_server(&server);
    remote.open_stream_at("/events?role=remote").await;
    remote
        .wait_until("the remote to be shown", |view| {
            view["live"]["listeners"][&ben.member]["role"] == "remote"
        })
        .await;
    assert!(!garden.snapshot().await["live"]["listeners"][&ben.member].is_null());
}

#[tokio::test]
async fn a_device_that_opens_streams_in_two_rooms_at_once_listens_in_one() {
    let server = TestServer::start().await;
    let ann = Phone::pair(&server).await;
    let room = make_room(&ann, "Garden").await;
    let garden = in_room(&ann, &server, &room).await;
    for _ in 0..20 {
        let open = |phone: &Phone| phone.request(Method::GET, "/events").send();
        let (first, second) = tokio::join!(open(&ann), open(&garden));
        let _streams = (first.unwrap(), second.unwrap());
        let is_listening = async |phone: &Phone| {
            let snapshot = phone.snapshot().await;
            snapshot["live"]["listeners"][&ann.member]["role"] == "listener"
        };
        until("the device to listen in one room", async || {
            is_listening(&ann).await != is_listening(&garden).await
        })
        .await;
    }
}

#[tokio::test]
async fn a_locked_room_opens_to_its_password_or_its_code() {
    let server = TestServer::start().await;
    let ann = Phone::pair(&server).await;
    let ben = Phone::pair(&server).await;
    let room = make_room_with(&ann, json!({ "name": "Cellar", "password": "tomato" })).await;
    let path = format!("/rooms/{room}/enter");
    let without = ben.post(&path).await.expect_problem(403);
    assert_eq!(without["code"], "password-needed");
    let wrong = post(&ben, &path, &json!({ "password": "potato" })).await;
    assert_eq!(wrong.expect_problem(403)["code"], "wrong-password");
    post(&ben, &path, &json!({ "password": "tomato" }))
        .await
        .expect(200);
    assert_eq!(list(&ben).await[1]["locked"], true);
    let file = std::fs::read_to_string(room_file(&server, &room)).unwrap();
    assert!(
        file.contains("$argon2id$") && !file.contains("tomato"),
        "{file}"
    );
    assert!(!server.log().contains("tomato"));

    let code = ann
        .get(&format!("/rooms/{room}/code"))
        .await
        .expect(200)
        .json();
    let house_code = ann.get("/code").await.expect(200).json();
    assert_ne!(code, house_code);
    ask(http().get(server.url(&format!("/rooms/{room}/code"))))
        .await
        .expect_problem(403);
    let at_house = pair_with(&http(), &server, code["code"].as_str().unwrap()).await;
    at_house.expect_problem(403);
    let pair = http().post(server.url(&format!("/rooms/{room}/pair")));
    let guest = ask(pair.json(&json!({ "code": code["code"], "clientName": "Cleo" }))).await;
    let guest = guest.expect(200).json();
    assert_eq!(
        guest["snapshot"]["clients"][guest["memberId"].as_str().unwrap()]["name"],
        "Cleo"
    );
    let house = ann.snapshot().await;
    assert_eq!(
        house["clients"][guest["memberId"].as_str().unwrap()]["name"],
        "Cleo"
    );
    // A paired device keeps its member id.
    let dan = Phone::pair(&server).await;
    let again = dan.request(Method::POST, &format!("/rooms/{room}/pair"));
    let again = ask(again.json(&code)).await.expect(200).json();
    assert_eq!(again["memberId"], dan.member.as_str());
}

fn room_file(server: &TestServer, room: &str) -> std::path::PathBuf {
    room_folder(server.setup()).join(format!("{room}.json"))
}

#[tokio::test]
async fn ten_wrong_passwords_block_an_address() {
    let server = TestServer::start().await;
    let ann = Phone::pair(&server).await;
    let ben = Phone::pair(&server).await;
    let room = make_room_with(&ann, json!({ "name": "Cellar", "password": "tomato" })).await;
    let path = format!("/rooms/{room}/enter");
    for number in 0..10 {
        let password = "potato".repeat(1 + number * 10);
        let wrong = post(&ben, &path, &json!({ "password": password })).await;
        assert_eq!(wrong.expect_problem(403)["code"], "wrong-password");
    }
    let blocked = post(&ben, &path, &json!({ "password": "tomato" })).await;
    assert!(blocked.header("retry-after").is_some());
    assert_eq!(blocked.expect_problem(429)["code"], "too-many-passwords");
    // Wrong passwords do not prevent pairing.
    Phone::pair(&server).await;
}

#[tokio::test]
async fn names_are_unique_and_the_numbers_of_rooms_are_limited() {
    let server = TestServer::start().await;
    let ann = Phone::pair(&server).await;
    make_room(&ann, "Garden").await;
    make_room(&ann, "Caf\u{e9}").await;
    for (name, code) in [
        ("", "no-name"),
        (" \u{200b} ", "no-name"),
        ("garden", "name-taken"),
        ("House", "name-taken"),
        ("Cafe\u{301}", "name-taken"),
    ] {
        let refused = post(&ann, "/rooms", &json!({ "name": name })).await;
        assert_eq!(refused.expect_problem(422)["code"], code, "{name:?}");
    }
    post(&ann, "/rooms", &json!({})).await.expect_problem(400);
    make_room(&ann, "A2").await;
    let fourth = post(&ann, "/rooms", &json!({ "name": "A3" })).await;
    assert_eq!(fourth.expect_problem(422)["code"], "too-many-own-rooms");
    for maker in 0..4 {
        let phone = Phone::pair(&server).await;
        for number in 0..3 {
            make_room(&phone, &format!("B{maker}{number}")).await;
        }
    }
    assert_eq!(list(&ann).await.as_array().unwrap().len(), 16);
    let seventeenth = Phone::pair(&server).await;
    let refused = post(&seventeenth, "/rooms", &json!({ "name": "C" })).await;
    refused.expect_problem(507);
    ask(http()
        .post(server.url("/rooms"))
        .json(&json!({ "name": "D" })))
    .await
    .expect_problem(401);
    ask(http().get(server.url("/rooms")))
        .await
        .expect_problem(401);
}

#[tokio::test]
async fn only_its_maker_and_the_local_socket_manage_a_room() {
    let server = TestServer::start().await;
    let ann = Phone::pair(&server).await;
    let ben = Phone::pair(&server).await;
    let room = make_room(&ann, "Garden").await;
    enter(&ben, &server, &room).await;
    let (name, password) = (
        format!("/rooms/{room}/name"),
        format!("/rooms/{room}/password"),
    );
    for (path, body) in [
        (&name, json!({ "name": "Mine" })),
        (&password, json!({ "password": "secret" })),
    ] {
        post(&ben, path, &body).await.expect_problem(403);
        post(&ann, path, &body).await.expect(204);
    }
    ask(ben.request(Method::DELETE, &format!("/rooms/{room}")))
        .await
        .expect_problem(403);
    let row = &list(&ben).await[1];
    assert_eq!(
        (&row["name"], &row["locked"]),
        (&json!("Mine"), &json!(true))
    );
    post(&ann, &password, &json!({ "password": null }))
        .await
        .expect(204);
    assert_eq!(list(&ben).await[1]["locked"], false);
    post(&ann, "/rooms/house/password", &json!({ "password": "x" }))
        .await
        .expect_problem(422);
    ask(ann.request(Method::DELETE, "/rooms/house"))
        .await
        .expect_problem(422);
    post(&ann, "/rooms/house/leave", &json!({}))
        .await
        .expect_problem(422);

    // A maker who leaves is its maker no more.
    ann.post(&format!("/rooms/{room}/leave")).await.expect(204);
    enter(&ann, &server, &room).await;
    post(&ann, &name, &json!({ "name": "Mine again" }))
        .await
        .expect_problem(403);

    let local = local_client(&server);
    let url = |path: &str| format!("http://localhost{path}");
    ask(local.get(url("/rooms"))).await.expect(200);
    let renamed = local.post(url(&name)).json(&json!({ "name": "Ours" }));
    ask(renamed).await.expect(204);
    assert_eq!(list(&ben).await[1]["name"], "Ours");
    ask(local.delete(url(&format!("/rooms/{room}"))))
        .await
        .expect(204);
    assert_eq!(list(&ben).await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn removing_a_room_ends_its_streams_and_its_files() {
    let mut server = TestServer::start().await;
    let ann = Phone::pair(&server).await;
    let room = make_room(&ann, "Garden").await;
    let mut garden = in_room(&ann, &server, &room).await;
    garden.listen().await;
    assert!(room_file(&server, &room).exists());
    ask(ann.request(Method::DELETE, &format!("/rooms/{room}")))
        .await
        .expect(204);
    garden.live_event("room.removed").await;
    assert!(garden.next_event_or_end().await.is_none());
    let folder = room_file(&server, &room).parent().unwrap().to_owned();
    until("the folder to be empty", async || {
        std::fs::read_dir(&folder).unwrap().count() == 0
    })
    .await;
    ann.get(&format!("/rooms/{room}/snapshot"))
        .await
        .expect_problem(404);
    ann.get("/snapshot").await.expect(200);
    server.stop().await;
    server.restart().await;
    let ann = ann.clone_for_server(&server);
    assert_eq!(list(&ann).await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn streams_of_all_rooms_receive_the_list_when_it_changes() {
    let server = TestServer::start().await;
    let mut ann = Phone::pair_and_listen(&server).await;
    let room = make_room(&ann, "Garden").await;
    let event = ann.live_event("rooms").await;
    assert_eq!(event.payload, list(&ann).await);
    assert_eq!(event.payload[1]["roomId"], room.as_str());
    let ben = Phone::pair(&server).await;
    let mut garden = enter(&ben, &server, &room).await;
    garden.listen().await;
    let event = loop {
        let event = garden.live_event("rooms").await;
        if event.payload[1]["listeners"] == 1 {
            break event;
        }
    };
    assert_eq!(event.payload[0]["listeners"], 1);
    ask(ann.request(Method::DELETE, &format!("/rooms/{room}")))
        .await
        .expect(204);
    loop {
        let event = ann.live_event("rooms").await;
        if event.payload.as_array().unwrap().len() == 1 {
            break;
        }
    }
}

#[tokio::test]
async fn rooms_and_their_members_survive_a_kill() {
    let mut server = TestServer::start().await;
    let ann = Phone::pair_as(&server, "Ann").await;
    let room = make_room_with(&ann, json!({ "name": "Cellar", "password": "tomato" })).await;
    let mut cellar = in_room(&ann, &server, &room).await;
    cellar.next().await;
    let before = cellar.snapshot().await;
    server.kill().await;
    server.restart().await;
    let ann = ann.clone_for_server(&server);
    let cellar = in_room(&ann, &server, &room).await;
    assert_eq!(
        common::phone::durable_state(&before),
        common::phone::durable_state(&cellar.view)
    );
    assert_eq!(list(&ann).await[1]["name"], "Cellar");
    let ben = Phone::pair(&server).await;
    let path = format!("/rooms/{room}/enter");
    ben.post(&path).await.expect_problem(403);
    post(&ben, &path, &json!({ "password": "tomato" }))
        .await
        .expect(200);
}

#[tokio::test]
async fn names_delays_and_removals_of_devices_reach_all_rooms() {
    let server = TestServer::start().await;
    let ann = Phone::pair_as(&server, "Ann").await;
    let ben = Phone::pair_as(&server, "Ben").await;
    let room = make_room(&ann, "Garden").await;
    let mut garden = in_room(&ann, &server, &room).await;
    garden.open_stream_at("/events?role=remote").await;
    enter(&ben, &server, &room).await;
    post(&ben, "/rename", &json!({ "clientName": "Benno" }))
        .await
        .expect(200);
    let renamed = garden.durable_event("client.renamed", 0).await;
    assert_eq!(renamed.payload["by"], ben.member.as_str());
    assert_eq!(garden.view["clients"][&ben.member]["name"], "Benno");
    let delays = json!({ "delays": { (&ben.member): 40 } });
    post(&garden, "/tune", &delays).await.expect(200);
    let tuned = garden.durable_event("client.tuned", 0).await;
    assert_eq!(tuned.payload["by"], ann.member.as_str());
    assert_eq!(
        ann.snapshot().await["clients"][&ben.member]["delayMs"],
        40.0
    );
    assert_eq!(garden.view["clients"][&ben.member]["delayMs"], 40.0);
    post(&ann, "/unpair", &json!({ "memberId": ben.member }))
        .await
        .expect(200);
    let left = garden.durable_event("client.left", 0).await;
    assert_eq!(left.payload["memberId"], ben.member.as_str());
    assert_eq!(left.payload["removedBy"], ann.member.as_str());
    ben.get(&format!("/rooms/{room}/snapshot"))
        .await
        .expect_problem(401);
}

#[tokio::test]
async fn the_page_of_a_room_is_served_with_a_slash_at_the_end() {
    let server = Setup::long_tracks()
        .flag("--base-path=/music")
        .start()
        .await;
    let mut ann = Phone::pair_with_client(http(), server.url("/music"), "").await;
    ann.base_url = server.url("/music");
    let room = make_room(&ann, "Garden").await;
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let client = client.no_proxy().build().unwrap();
    let bare = ask(client.get(server.url(&format!("/music/rooms/{room}?screen")))).await;
    let expected = format!("/music/rooms/{room}/?screen");
    assert_eq!(bare.header("location"), Some(expected.as_str()));
    bare.expect(308);
    let house = ask(http().get(server.url("/music/"))).await.expect(200);
    for path in ["", "?screen", "js/main.js", "manifest.webmanifest"] {
        let page = ask(http().get(server.url(&format!("/music/rooms/{room}/{path}")))).await;
        assert_eq!(page.status, 200, "{path}");
        if path.is_empty() {
            let expected = house
                .text()
                .replace("<base href=\"./\">", "<base href=\"../../\">");
            assert!(page.text() == expected);
        }
    }
    let png = ask(http().get(server.url(&format!("/music/rooms/{room}/qr"))))
        .await
        .expect(200);
    let house_png = ask(http().get(server.url("/music/qr"))).await.expect(200);
    assert_ne!(png.body, house_png.body);
    for path in ["index", "clock", "uploads", "rooms", "metrics"] {
        let path = format!("/rooms/{room}/{path}");
        ann.get(&path).await.expect_problem(404);
    }
    ask(http().get(server.url("/music/rooms/zz9/")))
        .await
        .expect_problem(404);
    // A browser that opens a room that does not exist gets the page, which leads on to the house.
    let browse = |path: &str| {
        let request = client.get(server.url(&format!("/music/rooms/{path}")));
        ask(request.header("accept", "text/html,*/*;q=0.8"))
    };
    let there = browse(&format!("{room}/")).await;
    let tag = there.header("etag").unwrap().to_owned();
    let missing = client.get(server.url("/music/rooms/zz9/?screen"));
    let missing = missing.header("accept", "text/html,*/*;q=0.8");
    let missing = ask(missing.header("if-none-match", tag)).await;
    assert_eq!(missing.status, 404);
    assert_eq!(missing.header("content-type"), there.header("content-type"));
    assert!(missing.body == there.body);
    let bare = browse("zz9").await;
    assert_eq!(bare.header("location"), Some("/music/rooms/zz9/"));
    browse("zz9/snapshot").await.expect_problem(401);
}

#[tokio::test]
async fn requests_without_token_learn_nothing_about_rooms() {
    let server = TestServer::start().await;
    for (method, path) in [
        (Method::GET, "/rooms/zz9/snapshot"),
        (Method::POST, "/rooms/zz9/play"),
        (Method::POST, "/rooms/zz9/enter"),
        (Method::POST, "/rooms/zz9/leave"),
        (Method::POST, "/rooms/zz9/name"),
        (Method::POST, "/rooms/zz9/password"),
        (Method::DELETE, "/rooms/zz9"),
    ] {
        let request = http().request(method, server.url(path));
        let problem = ask(request.json(&json!({}))).await.expect_problem(401);
        assert_eq!(problem["code"], "not-paired", "{path}");
    }
    for path in ["/rooms/zz9/qr", "/rooms/zz9/code", "/rooms/zz9/none"] {
        ask(http().get(server.url(path))).await.expect_problem(404);
    }
}

#[tokio::test]
async fn rule_of_the_house_about_invitations_applies_to_all_codes() {
    let server = TestServer::start().await;
    let mut ann = Phone::pair(&server).await;
    let ben = Phone::pair(&server).await;
    let room = make_room(&ben, "Garden").await;
    enter(&ann, &server, &room).await;
    let (code, renew) = (
        format!("/rooms/{room}/code"),
        format!("/rooms/{room}/code/renew"),
    );
    ben.get(&code).await.expect(200);
    ann.command_until_accepted("/rules", json!({ "invite": "hosts" }))
        .await;
    for response in [ben.get(&code).await, ben.post(&renew).await] {
        assert_eq!(response.expect_problem(403)["code"], "hosts-only");
    }
    ann.get(&code).await.expect(200);
    ann.post(&renew).await.expect(200);
}

#[tokio::test]
async fn hosts_of_the_house_remove_messages_in_every_room() {
    let server = TestServer::start().await;
    let mut ann = Phone::pair(&server).await;
    let ben = Phone::pair(&server).await;
    ann.command_until_accepted("/rules", json!({ "invite": "hosts" }))
        .await;
    let room = make_room(&ben, "Garden").await;
    let garden = enter(&ann, &server, &room).await;
    let message = post(
        &ben,
        &format!("/rooms/{room}/chat"),
        &json!({ "text": "Hi" }),
    )
    .await;
    let id = message.expect(201).json()["id"].clone();
    ask(garden.request(Method::DELETE, &format!("/chat/{id}")))
        .await
        .expect(204);
}

#[tokio::test]
async fn rooms_that_their_maker_has_left_count() {
    let server = TestServer::start().await;
    let ann = Phone::pair(&server).await;
    let mut rooms = Vec::new();
    for name in ["A", "B", "C"] {
        let room = make_room(&ann, name).await;
        ann.post(&format!("/rooms/{room}/leave")).await.expect(204);
        rooms.push(room);
    }
    let refused = post(&ann, "/rooms", &json!({ "name": "D" })).await;
    assert_eq!(refused.expect_problem(422)["code"], "too-many-own-rooms");
    let local = local_client(&server);
    ask(local.delete(format!("http://localhost/rooms/{}", rooms[0])))
        .await
        .expect(204);
    make_room(&ann, "D").await;
}
