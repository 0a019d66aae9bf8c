//! Paired devices: names, delays, tokens, and the track that a device needs.

use std::collections::BTreeMap;

use super::*;

#[test]
fn tune_emits_one_event_for_each_changed_delay() {
    let mut room = room(3);
    let tune = |member, delays: &[(u32, f64)]| {
        let delays = delays.iter().map(|(n, ms)| (MemberId(*n), *ms)).collect();
        let member = MemberId(member);
        Command::Tune { member, delays }
    };
    let both = run(&mut room, tune(1, &[(2, 12.5), (3, -40.0), (1, 0.0)]));
    assert_eq!(both, ["client.tuned", "client.tuned"]);
    let one = run(&mut room, tune(3, &[(2, 12.5), (3, 0.0)]));
    assert_eq!(one, ["client.tuned"]);
    let delays: Vec<_> = room.durable.clients.values().map(|c| c.delay_ms).collect();
    assert_eq!(delays, [0.0, 12.5, 0.0]);
    for (command, rejection) in [
        (tune(1, &[(1, 5.0), (9, 5.0)]), Rejection::UnknownMember),
        (tune(9, &[(1, 5.0)]), Rejection::NotPaired),
    ] {
        assert_eq!(apply(&room, &command, CONTEXT), Err(rejection));
    }
}

#[test]
fn unpaired_device_leaves_the_barrier_and_loses_its_token() {
    let mut room = room(1);
    add_listener(&mut room, 2);
    let opened = send(&mut room, 1, Control::Play { position_sec: 5.0 });
    assert_eq!(opened, ["barrier.opened"]);
    let unpair = |member, target| Command::Unpair {
        member: MemberId(member),
        target: MemberId(target),
    };
    let (room_after, events) = apply(&room, &unpair(1, 2), CONTEXT).unwrap();
    let names: Vec<_> = events.iter().map(|event| event.kind.name()).collect();
    assert_eq!(names, ["barrier.shrunk", "barrier.release", "client.left"]);
    let payload = serde_json::to_value(&events[2].kind).unwrap();
    assert_eq!(
        payload,
        serde_json::json!({ "memberId": "m2", "removedBy": "m1" })
    );
    let owners: Vec<_> = room_after.private.token_hashes.values().collect();
    assert_eq!(owners, [&MemberId(1)]);
    for (room, command, rejection) in [
        (&room_after, unpair(1, 2), Rejection::UnknownMember),
        (&room_after, unpair(2, 1), Rejection::NotPaired),
        (&room, unpair(9, 1), Rejection::NotPaired),
        (&room, unpair(1, 9), Rejection::UnknownMember),
    ] {
        assert_eq!(
            apply(room, &command, CONTEXT),
            Err(rejection),
            "{command:?}"
        );
    }
}

#[test]
fn unpairing_oneself_has_the_same_effect_as_leave() {
    let room = room(2);
    let member = MemberId(1);
    let unpair = Command::Unpair {
        member,
        target: member,
    };
    let left = apply(&room, &Command::Leave { member }, CONTEXT);
    assert_eq!(apply(&room, &unpair, CONTEXT), left);
}

#[test]
fn speaker_delay_survives_renaming_and_pairing_again() {
    let mut room = room(1);
    let (member, name) = (MemberId(1), "Kitchen".to_owned());
    let delays = [(member, 12.5)].into();
    run(&mut room, Command::Tune { member, delays });
    let again = Command::PairAgain {
        member,
        name: "Bath".into(),
        token_hash: TokenHash([7; 32]),
        old_token_hash: TokenHash([1; 32]),
    };
    for command in [Command::Rename { member, name }, again] {
        run(&mut room, command);
        assert_eq!(room.durable.clients[&member].delay_ms, 12.5);
    }
    assert_eq!(room.durable.clients[&member].name, "Bath");
}

#[test]
fn a_trim_is_kept_until_it_is_set_again() {
    let mut room = room(2);
    let (ada, ben) = (MemberId(1), MemberId(2));
    let trim = |trimmed, trim_db| Command::Trim {
        member: ada,
        trimmed,
        trim_db,
    };
    assert_eq!(run(&mut room, trim(ben, -6.0)), ["client.trimmed"]);
    assert_eq!(run(&mut room, trim(ben, -6.0)), [""; 0]);
    let name = "Kitchen".to_owned();
    run(&mut room, Command::Rename { member: ben, name });
    assert_eq!(room.durable.clients[&ben].trim_db, -6.0);
    run(&mut room, trim(ben, 0.0));
    assert_eq!(room.durable.clients[&ben].trim_db, 0.0);
    let unknown = apply(&room, &trim(MemberId(9), -6.0), CONTEXT);
    assert_eq!(unknown.err(), Some(Rejection::UnknownMember));
}

#[test]
fn client_without_settings_serializes_without_their_fields() {
    let client = |name: &str, delay_ms, trim_db| Client {
        name: name.into(),
        delay_ms,
        trim_db,
        ..Client::default()
    };
    for (client, written) in [
        (client("A", 0.0, 0.0), r#"{"name":"A"}"#),
        (client("", -40.5, 0.0), r#"{"name":"","delayMs":-40.5}"#),
        (client("", 0.0, -6.0), r#"{"name":"","trimDb":-6.0}"#),
    ] {
        assert_eq!(serde_json::to_string(&client).unwrap(), written);
        assert_eq!(serde_json::from_str::<Client>(written).unwrap(), client);
    }
}

#[test]
fn comparison_is_recorded_until_the_delay_is_set_otherwise() {
    let mut room = room(3);
    let compare = |sender: Option<u32>, delays: &[(u32, f64)]| {
        let delays: BTreeMap<_, _> = delays.iter().map(|(n, ms)| (MemberId(*n), *ms)).collect();
        Command::Compare {
            sender: sender.map(MemberId),
            by: ComparisonMethod::Server,
            at: "2026-11-30T00:00:00Z".into(),
            compared: delays.keys().copied().collect(),
            delays,
        }
    };
    let events = run(&mut room, compare(None, &[(1, 0.0), (3, 7.5)]));
    assert_eq!(events, ["client.tuned", "client.tuned"]);
    let compared_with = |room: &Room, n| {
        let compared = room.durable.clients[&MemberId(n)].compared.clone();
        compared.map(|comparison| comparison.with)
    };
    assert_eq!(compared_with(&room, 1), Some([MemberId(3)].into()));
    assert_eq!(compared_with(&room, 2), None);
    assert_eq!(compared_with(&room, 3), Some([MemberId(1)].into()));
    assert_eq!(room.durable.clients[&MemberId(3)].delay_ms, 7.5);
    let member = MemberId(2);
    let tune = |n, delay_ms| {
        let delays = [(MemberId(n), delay_ms)].into();
        Command::Tune { member, delays }
    };
    assert_eq!(run(&mut room, tune(3, 20.0)), ["client.tuned"]);
    assert_eq!(compared_with(&room, 1), Some([MemberId(3)].into()));
    assert_eq!(compared_with(&room, 3), None);
    // The same delay, on another output of the device.
    assert_eq!(run(&mut room, tune(1, 0.0)), ["client.tuned"]);
    assert_eq!(compared_with(&room, 1), None);
    assert_eq!(run(&mut room, tune(1, 0.0)), [""; 0]);
    for (command, rejection) in [
        (
            compare(None, &[(1, 0.0), (9, 7.5)]),
            Rejection::UnknownMember,
        ),
        (
            compare(Some(9), &[(1, 0.0), (2, 7.5)]),
            Rejection::NotPaired,
        ),
    ] {
        assert_eq!(apply(&room, &command, CONTEXT), Err(rejection));
    }
}

#[test]
fn pairing_again_keeps_member_id_old_token_and_playback() {
    let mut room = room(2);
    send(&mut room, 1, Control::Play { position_sec: 0.0 });
    let before = room.clone();
    let again = Command::PairAgain {
        member: MemberId(1),
        name: "Ann".into(),
        token_hash: TokenHash([7; 32]),
        old_token_hash: TokenHash([1; 32]),
    };
    assert_eq!(run(&mut room, again), ["client.paired"]);
    assert_eq!(room.live.listeners, before.live.listeners);
    assert_eq!(room.live.anchor_at_ms, before.live.anchor_at_ms);
    assert_eq!(room.durable.clients[&MemberId(1)].name, "Ann");
    let owner_of_token = |token| room.private.token_hashes.get(&TokenHash([token; 32]));
    assert_eq!(
        [owner_of_token(1), owner_of_token(7)],
        [Some(&MemberId(1)); 2]
    );
}

#[test]
fn listener_needs_the_current_track_until_it_acknowledges_it() {
    let mut room = room(2);
    run(&mut room, pair(4));
    add_listener(&mut room, 3);
    let needs = |room: &Room, n, track| room.needs_track_now(MemberId(n), TrackId(track));
    assert!(
        needs(&room, 3, 1) && !needs(&room, 3, 2),
        "a listener needs only the current track"
    );
    assert!(!needs(&room, 1, 1), "a device that holds the track");
    assert!(!needs(&room, 4, 1), "a device that does not listen");
    send(&mut room, 1, Control::Next);
    assert!(needs(&room, 3, 2) && !needs(&room, 3, 1));
    let track_id = TrackId(2);
    let unplayable = Control::AckDownload {
        track_id,
        playable: false,
        duration_sec: None,
    };
    send(&mut room, 3, unplayable);
    assert!(!needs(&room, 3, 2));
}

#[test]
fn delay_of_a_compared_device_is_a_guess_for_the_next_of_its_kind() {
    let mut room = room(5);
    let describe = |n, kind: &str| Command::Describe {
        member: MemberId(n),
        kind: kind.parse().unwrap(),
    };
    let compare = |delays: &[(u32, f64)]| {
        let delays: BTreeMap<_, _> = delays.iter().map(|(n, ms)| (MemberId(*n), *ms)).collect();
        Command::Compare {
            sender: None,
            by: ComparisonMethod::Server,
            at: "2026-11-30T00:00:00Z".into(),
            compared: delays.keys().copied().collect(),
            delays,
        }
    };
    let delay = |room: &Room, n| {
        let client = &room.durable.clients[&MemberId(n)];
        (client.delay_ms, client.is_guess)
    };
    let near = "firefox-android-near";
    assert_eq!(run(&mut room, describe(1, near)), ["client.described"]);
    run(&mut room, describe(2, "chrome-android-near"));
    run(&mut room, compare(&[(1, 30.0), (2, 0.0)]));
    let leave = Command::Leave {
        member: MemberId(1),
    };
    run(&mut room, leave);
    // The next device of the kind, which was not compared.
    let events = run(&mut room, describe(3, near));
    assert_eq!(events, ["client.described", "client.tuned"]);
    assert_eq!(delay(&room, 3), (30.0, true));
    assert_eq!(run(&mut room, describe(3, near)), [""; 0]);
    // Its delay was set by hand, so it is its own, and stays.
    let (member, delays) = (MemberId(3), [(MemberId(3), 30.0)].into());
    assert_eq!(
        run(&mut room, Command::Tune { member, delays }),
        ["client.tuned"]
    );
    assert_eq!(delay(&room, 3), (30.0, false));
    run(&mut room, describe(3, "firefox-android-late"));
    assert_eq!(delay(&room, 3), (30.0, false));
    // A guess is withdrawn if the kind changes.
    run(&mut room, describe(4, near));
    assert_eq!(delay(&room, 4), (30.0, true));
    run(&mut room, describe(4, "firefox-android-late"));
    assert_eq!(delay(&room, 4), (0.0, false));
    // Two devices of the kind differ.
    run(&mut room, describe(4, near));
    run(&mut room, compare(&[(4, 60.0), (2, 0.0)]));
    assert_eq!(delay(&room, 4), (60.0, false));
    run(&mut room, describe(5, near));
    assert_eq!(delay(&room, 5), (0.0, false));
}
