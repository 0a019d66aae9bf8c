//! Stories of a room, told in commands.

use std::sync::Arc;

use super::*;

const AT: Moment = Moment {
    now_ms: 1_000.0,
    lead_ms: 150.0,
    aligned: true,
};

fn at(now_ms: f64) -> Moment {
    Moment { now_ms, ..AT }
}

/// A room with tracks 1 to 3 of 60 s each and `members` paired, listening and holding all.
fn room(members: u32) -> Room {
    let mut room = Room::default();
    let library = Library::new((1..=3).map(|n| (TrackId(n), 60.0)));
    run(&mut room, Command::Library(Arc::new(library)));
    for n in 1..=members {
        newcomer(&mut room, n);
        for track in 1..=3 {
            ask(&mut room, n, has(track));
        }
    }
    room
}

fn pair(n: u32) -> Command {
    Command::Pair {
        name: String::new(),
        key: KeyHash([n as u8; 32]),
    }
}

fn arrive(n: u32, held: Option<Held>) -> Command {
    let member = MemberId(n);
    Command::Arrive { member, held }
}

/// Pairs, listens, and has no track yet.
fn newcomer(room: &mut Room, n: u32) {
    run(room, pair(n));
    run(room, arrive(n, None));
}

fn has(track: u64) -> Control {
    let track_id = TrackId(track);
    Control::AckDownload {
        track_id,
        playable: true,
    }
}

fn run_at(room: &mut Room, command: Command, at: Moment) -> Vec<&'static str> {
    let (next, events) = apply(room, &command, at).unwrap();
    *room = next;
    assert_eq!(room.check(), Ok(()), "after {command:?}");
    events.iter().map(|event| event.kind.name()).collect()
}

fn run(room: &mut Room, command: Command) -> Vec<&'static str> {
    run_at(room, command, AT)
}

fn ask_at(room: &mut Room, member: u32, control: Control, at: Moment) -> Vec<&'static str> {
    let if_match = room.durable.event_count;
    run_at(
        room,
        Command::Control {
            member: MemberId(member),
            if_match,
            control,
        },
        at,
    )
}

fn ask(room: &mut Room, member: u32, control: Control) -> Vec<&'static str> {
    ask_at(room, member, control, AT)
}

#[test]
fn each_device_that_is_tuned_anew_is_an_event_and_the_others_are_none() {
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
        assert_eq!(apply(&room, &command, AT), Err(rejection));
    }
}

#[test]
fn a_device_that_another_one_removes_is_waited_for_no_more_and_its_token_is_worth_nothing() {
    let mut room = room(1);
    newcomer(&mut room, 2);
    let opened = ask(&mut room, 1, Control::Play { position_sec: 5.0 });
    assert_eq!(opened, ["barrier.opened"]);
    let unpair = |member, other| Command::Unpair {
        member: MemberId(member),
        other: MemberId(other),
    };
    let (removed, events) = apply(&room, &unpair(1, 2), AT).unwrap();
    let names: Vec<_> = events.iter().map(|event| event.kind.name()).collect();
    assert_eq!(names, ["barrier.shrunk", "barrier.release", "client.left"]);
    let told = serde_json::to_value(&events[2].kind).unwrap();
    assert_eq!(
        told,
        serde_json::json!({ "memberId": "m2", "removedBy": "m1" })
    );
    let owners: Vec<_> = removed.private.keys.values().collect();
    assert_eq!(owners, [&MemberId(1)]);
    for (room, command, rejection) in [
        (&removed, unpair(1, 2), Rejection::UnknownMember),
        (&removed, unpair(2, 1), Rejection::NotPaired),
        (&room, unpair(9, 1), Rejection::NotPaired),
        (&room, unpair(1, 9), Rejection::UnknownMember),
    ] {
        assert_eq!(apply(room, &command, AT), Err(rejection), "{command:?}");
    }
}

#[test]
fn a_device_that_removes_itself_leaves() {
    let room = room(2);
    let member = MemberId(1);
    let itself = Command::Unpair {
        member,
        other: member,
    };
    let left = apply(&room, &Command::Leave { member }, AT);
    assert_eq!(apply(&room, &itself, AT), left);
}

#[test]
fn a_speakers_delay_is_kept_when_its_device_gets_another_name_or_another_token() {
    let mut room = room(1);
    let (member, name) = (MemberId(1), "Kitchen".to_owned());
    let delays = [(member, 12.5)].into();
    run(&mut room, Command::Tune { member, delays });
    let again = Command::PairAgain {
        member,
        name: "Bath".into(),
        key: KeyHash([7; 32]),
        old_key: KeyHash([1; 32]),
    };
    for command in [Command::Rename { member, name }, again] {
        run(&mut room, command);
        assert_eq!(room.durable.clients[&member].delay_ms, 12.5);
    }
    assert_eq!(room.durable.clients[&member].name, "Bath");
}

#[test]
fn a_speaker_without_a_delay_is_written_and_shown_as_ever() {
    let client = |name: &str, delay_ms| Client {
        name: name.into(),
        delay_ms,
    };
    for (client, written) in [
        (client("A", 0.0), r#"{"name":"A"}"#),
        (client("", -40.5), r#"{"name":"","delayMs":-40.5}"#),
    ] {
        assert_eq!(serde_json::to_string(&client).unwrap(), written);
        assert_eq!(serde_json::from_str::<Client>(written).unwrap(), client);
    }
}

#[test]
fn play_is_released_at_once_when_everybody_has_the_track() {
    let mut room = room(2);
    assert_eq!(
        ask(&mut room, 1, Control::Play { position_sec: 5.0 }),
        ["barrier.opened", "barrier.release"]
    );
    assert_eq!(room.live.needle_ms, Some(1_150.0));
    assert_eq!(room.position_sec(2_150.0), 6.0);
}

#[test]
fn an_acknowledgement_matches_any_count_since_the_barrier_opened_and_no_older_one() {
    let mut room = room(0);
    for n in 1..=2 {
        newcomer(&mut room, n);
    }
    let before = room.durable.event_count;
    ask(&mut room, 1, Control::Play { position_sec: 0.0 });
    let opened = room.durable.event_count;
    run(&mut room, pair(9));
    let ack = |member, if_match| Command::Control {
        member: MemberId(member),
        if_match,
        control: has(1),
    };
    assert_eq!(
        apply(&room, &ack(1, before), AT),
        Err(Rejection::Stale {
            expected: opened + 1
        })
    );
    assert_eq!(run(&mut room, ack(1, opened)), ["barrier.ready"]);
    assert_eq!(
        run(&mut room, ack(2, opened)),
        ["barrier.ready", "barrier.release"]
    );
}

#[test]
fn a_barrier_without_listeners_waits_for_the_first_to_come() {
    let mut room = room(1);
    run(
        &mut room,
        Command::Depart {
            member: MemberId(1),
            how: Departure::Left,
        },
    );
    assert_eq!(
        ask(&mut room, 1, Control::Next),
        ["queue.advanced", "barrier.opened"]
    );
    assert_eq!(
        run(
            &mut room,
            Command::Arrive {
                member: MemberId(1),
                held: None
            }
        ),
        ["barrier.opened"]
    );
    let ack = has(2);
    assert_eq!(ask(&mut room, 1, ack), ["barrier.ready", "barrier.release"]);
}

#[test]
fn the_music_is_parked_where_the_last_listener_left_it_and_goes_on_from_there() {
    let mut room = room(1);
    ask(&mut room, 1, Control::Play { position_sec: 10.0 });
    let left = Command::Depart {
        member: MemberId(1),
        how: Departure::Vanished,
    };
    assert_eq!(run_at(&mut room, left, at(6_150.0)), ["playback.parked"]);
    assert_eq!(
        room.durable.play_state,
        PlayState {
            mode: Mode::Playing,
            anchor_position_sec: 15.0
        }
    );
    let back = arrive(1, None);
    assert_eq!(run_at(&mut room, back, at(60_000.0)), ["barrier.opened"]);
    assert_eq!(room.durable.play_state.anchor_position_sec, 15.0);
}

#[test]
fn a_seek_in_an_empty_room_holds_though_the_first_phone_back_played_elsewhere() {
    for (sought, expected) in [(None, 17.0), (Some(50.0), 50.0)] {
        let mut room = room(1);
        ask(&mut room, 1, Control::Play { position_sec: 10.0 });
        let left = Command::Depart {
            member: MemberId(1),
            how: Departure::Left,
        };
        run_at(&mut room, left, at(6_150.0));
        if let Some(position_sec) = sought {
            ask_at(&mut room, 1, Control::Seek { position_sec }, at(7_000.0));
        }
        let held = Held {
            track_id: TrackId(1),
            position_sec: 17.0,
        };
        run_at(&mut room, arrive(1, Some(held)), at(8_000.0));
        let anchor = room.durable.play_state.anchor_position_sec;
        assert_eq!(anchor, expected);
    }
}

#[test]
fn phones_that_kept_a_promise_are_followed_however_late_the_server_is() {
    let mut room = room(1);
    ask(&mut room, 1, has(2));
    ask(&mut room, 1, Control::Play { position_sec: 0.0 });
    let promised = room.live.segue.unwrap();
    let end = Command::EndOfTrack {
        if_match: room.durable.event_count,
    };
    run_at(&mut room, end, at(promised.anchor_at_ms + 20_000.0));
    assert_eq!(room.live.needle_ms, Some(promised.anchor_at_ms));
}

#[test]
fn a_server_later_than_a_whole_track_promises_nothing_for_a_moment_that_is_past() {
    let mut room = room(1);
    ask(&mut room, 1, has(2));
    ask(&mut room, 1, has(3));
    ask(&mut room, 1, Control::Play { position_sec: 0.0 });
    let promised = room.live.segue.unwrap();
    let now = at(promised.anchor_at_ms + 1e6);
    let end = Command::EndOfTrack {
        if_match: room.durable.event_count,
    };
    run_at(&mut room, end, now);
    assert_eq!(room.current(), Some(promised.track_id));
    assert_eq!(room.live.segue, None);
}

#[test]
fn a_phone_that_plays_on_gives_a_restarted_server_the_place() {
    let mut before = room(1);
    ask(&mut before, 1, Control::Play { position_sec: 0.0 });
    let mut room = Room::restore(before.durable, before.private);
    run(&mut room, Command::Library(before.library));
    let held = Some(Held {
        track_id: TrackId(1),
        position_sec: 31.5,
    });
    let back = arrive(1, held);
    assert_eq!(
        run_at(&mut room, back, at(90_000.0)),
        ["barrier.opened", "barrier.release"]
    );
    assert_eq!(room.position_sec(90_000.0), 31.5);
}

#[test]
fn start_now_names_each_one_it_goes_on_without() {
    let mut room = room(1);
    for n in 2..=3 {
        newcomer(&mut room, n);
    }
    assert_eq!(
        ask(&mut room, 1, Control::Next),
        ["queue.advanced", "barrier.opened"]
    );
    assert_eq!(
        ask(&mut room, 1, Control::StartNow),
        ["barrier.shrunk", "barrier.shrunk", "barrier.release"]
    );
}

#[test]
fn a_segue_is_promised_once_everybody_has_next_up_and_the_release_keeps_it() {
    let mut room = room(2);
    ask(&mut room, 1, Control::Play { position_sec: 0.0 });
    let segue = room.live.segue.expect("everybody holds next-up");
    assert_eq!((segue.track_id, segue.anchor_at_ms), (TrackId(2), 61_150.0));
    ask_at(&mut room, 2, Control::Next, at(61_200.0));
    assert_eq!(room.live.needle_ms, Some(61_150.0));
}

#[test]
fn a_press_of_next_in_mid_song_does_not_wait_for_the_promised_moment() {
    let mut room = room(1);
    ask(&mut room, 1, Control::Play { position_sec: 0.0 });
    ask_at(&mut room, 1, Control::Next, at(20_000.0));
    assert_eq!(room.live.needle_ms, Some(20_150.0));
}

#[test]
fn when_the_current_track_is_removed_the_room_moves_on_to_the_next() {
    let mut room = room(1);
    ask(&mut room, 1, Control::Play { position_sec: 3.0 });
    let library = Library::new([2, 3].map(|n| (TrackId(n), 60.0)));
    let events = run(&mut room, Command::Library(Arc::new(library)));
    assert_eq!(
        events,
        ["library.changed", "barrier.opened", "barrier.release"]
    );
    assert_eq!(room.current(), Some(TrackId(2)));
}

#[test]
fn a_position_past_the_end_is_cut_to_the_duration() {
    let mut room = room(1);
    ask(&mut room, 1, Control::Pause { position_sec: 1e9 });
    assert_eq!(room.durable.play_state.anchor_position_sec, 60.0);
}

#[test]
fn the_last_member_excused_lets_the_music_start_for_those_who_come_late() {
    let mut room = room(0);
    newcomer(&mut room, 1);
    ask(&mut room, 1, Control::Play { position_sec: 0.0 });
    let events = run(
        &mut room,
        Command::Excuse {
            member: MemberId(1),
        },
    );
    assert_eq!(events, ["barrier.shrunk", "barrier.release"]);
}

#[test]
fn a_device_that_pairs_again_stays_who_it_is_and_where_it_was() {
    let mut room = room(2);
    ask(&mut room, 1, Control::Play { position_sec: 0.0 });
    let before = room.clone();
    let again = Command::PairAgain {
        member: MemberId(1),
        name: "Ann".into(),
        key: KeyHash([7; 32]),
        old_key: KeyHash([1; 32]),
    };
    assert_eq!(run(&mut room, again), ["client.paired"]);
    assert_eq!(room.live.listeners, before.live.listeners);
    assert_eq!(room.live.needle_ms, before.live.needle_ms);
    assert_eq!(room.durable.clients[&MemberId(1)].name, "Ann");
    let owns = |key| room.private.keys.get(&KeyHash([key; 32]));
    assert_eq!([owns(1), owns(7)], [Some(&MemberId(1)); 2]);
}

#[test]
fn a_promised_start_is_kept_for_those_it_was_given_to_whoever_comes_meanwhile() {
    let mut room = room(2);
    run(&mut room, pair(3));
    ask(&mut room, 1, Control::Play { position_sec: 0.0 });
    let promised = room.live.segue;
    run(&mut room, arrive(3, None));
    assert_eq!(room.live.segue, promised);
    let events = ask_at(&mut room, 1, Control::Next, at(61_150.0));
    assert_eq!(
        events,
        [
            "queue.advanced",
            "barrier.opened",
            "barrier.shrunk",
            "barrier.release"
        ]
    );
    assert_eq!(room.live.needle_ms, Some(61_150.0));
}

#[test]
fn after_a_restart_whoever_plays_on_knows_better_than_the_anchor_though_it_comes_second() {
    let mut before = room(2);
    ask(&mut before, 1, Control::Play { position_sec: 0.0 });
    let mut room = Room::restore(before.durable, before.private);
    run(&mut room, Command::Library(before.library));
    assert_eq!(
        run_at(&mut room, arrive(2, None), at(90_000.0)),
        ["barrier.opened"]
    );
    let held = Some(Held {
        track_id: TrackId(1),
        position_sec: 31.5,
    });
    assert_eq!(
        run_at(&mut room, arrive(1, held), at(90_100.0)),
        ["barrier.opened", "barrier.shrunk", "barrier.release"]
    );
    assert_eq!(room.position_sec(90_100.0), 31.5);
}

#[test]
fn a_listener_awaits_the_current_track_until_it_has_it_or_cannot_play_it() {
    let mut room = room(2);
    run(&mut room, pair(4));
    newcomer(&mut room, 3);
    let awaits = |room: &Room, n, track| room.awaits(MemberId(n), TrackId(track));
    assert!(
        awaits(&room, 3, 1) && !awaits(&room, 3, 2),
        "the current one"
    );
    assert!(!awaits(&room, 1, 1), "it has it");
    assert!(!awaits(&room, 4, 1), "it does not listen");
    ask(&mut room, 1, Control::Next);
    assert!(awaits(&room, 3, 2) && !awaits(&room, 3, 1));
    let track_id = TrackId(2);
    let unplayable = Control::AckDownload {
        track_id,
        playable: false,
    };
    ask(&mut room, 3, unplayable);
    assert!(!awaits(&room, 3, 2));
}
