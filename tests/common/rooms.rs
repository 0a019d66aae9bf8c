//! Several rooms of one server.

use std::path::PathBuf;

use reqwest::Method;
use serde_json::{Value, json};

use super::phone::ask;
use super::{Phone, Setup, TestServer};

/// Makes a room, and returns its id.
pub async fn make_room(maker: &Phone, name: &str) -> String {
    make_room_with(maker, json!({ "name": name })).await
}

/// As [`make_room`], with this body of the request.
pub async fn make_room_with(maker: &Phone, body: Value) -> String {
    let made = ask(maker.request(Method::POST, "/rooms").json(&body)).await;
    let made = made.expect(201).json();
    assert_eq!(made["name"], body["name"]);
    made["roomId"].as_str().unwrap().to_owned()
}

/// A phone with the same token whose requests go to a room. Its view is the room's snapshot.
pub async fn in_room(phone: &Phone, server: &TestServer, room: &str) -> Phone {
    let mut phone = phone.clone_for_server(server);
    phone.base_url = server.url(&format!("/rooms/{room}"));
    phone.view = phone.snapshot().await;
    phone
}

/// Enters a room without a password. Returns what [`in_room`] returns.
pub async fn enter(phone: &Phone, server: &TestServer, room: &str) -> Phone {
    let entered = phone.post(&format!("/rooms/{room}/enter")).await;
    let entered = entered.expect(200).json();
    assert_eq!(entered["memberId"], phone.member.as_str());
    assert_eq!(entered["eventCount"], entered["snapshot"]["eventCount"]);
    assert!(!entered["snapshot"]["clients"][&phone.member].is_null());
    in_room(phone, server, room).await
}

/// The folder of the state files of the rooms other than the house room.
pub fn room_folder(setup: &Setup) -> PathBuf {
    setup.folder().join("state/state.json.rooms")
}
