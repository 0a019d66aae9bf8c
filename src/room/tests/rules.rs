//! Who may do what, for all rules, commands and roles; and single rules of hosts, the DJ, picks and votes.

use super::*;

const HOST: u32 = 1;
const DJ: u32 = 2;
/// The device that has picked track 2.
const OWNER: u32 = 3;
const GUEST: u32 = 4;

const PERMITTED: [Permitted; 3] = [Permitted::Everyone, Permitted::Dj, Permitted::Hosts];
const ORDERS: [PickOrder; 3] = [PickOrder::First, PickOrder::Turns, PickOrder::Votes];

/// A room with a host, a DJ if `has_dj`, an owner of a pick, and a guest. All of them listen and hold all tracks.
fn room_with_roles(rules: Rules, has_dj: bool) -> Room {
    let mut room = room(4);
    let track_ids = vec![TrackId(2)];
    send(&mut room, OWNER, Control::Pick { track_ids });
    room.durable.hosts = Arc::new([MemberId(HOST)].into());
    room.durable.dj = has_dj.then_some(MemberId(DJ));
    room.durable.rules = rules;
    assert_eq!(room.check(), Ok(()));
    room
}

fn change(change: RulesChange) -> Control {
    Control::ChangeRules(change)
}

fn order(order: PickOrder) -> Control {
    change(RulesChange {
        order: Some(order),
        ..RulesChange::default()
    })
}

fn pick(tracks: &[u64]) -> Control {
    Control::Pick {
        track_ids: tracks.iter().copied().map(TrackId).collect(),
    }
}

/// The letters of the roles that may control or pick by a rule: host, DJ, owner, guest.
fn by_rule(permitted: Permitted, has_dj: bool) -> &'static str {
    match permitted {
        Permitted::Everyone => "hdog",
        Permitted::Dj if has_dj => "hd",
        Permitted::Dj => "hdog",
        Permitted::Hosts => "h",
    }
}

/// All commands, each with the roles that may send it. Without a DJ, the device of that role is a guest.
fn commands(rules: &Rules, has_dj: bool) -> Vec<(Control, &'static str)> {
    let track_id = TrackId(2);
    let control = by_rule(rules.control, has_dj);
    let picks = by_rule(rules.picks, has_dj);
    let is_first = rules.order == PickOrder::First;
    let host_or_dj = if has_dj { "hd" } else { "h" };
    let own_pick = match (rules.control, has_dj) {
        (Permitted::Everyone, _) => "hdog",
        (_, true) => "hdo",
        (_, false) => "ho",
    };
    let member_id = MemberId(GUEST);
    vec![
        (Control::Play { position_sec: 0.0 }, control),
        (Control::Pause { position_sec: 0.0 }, control),
        (Control::Seek { position_sec: 0.0 }, control),
        (Control::Next, control),
        (Control::Previous, control),
        (Control::PlayNow { track_id }, control),
        (Control::Shuffle { seed: 1 }, control),
        (
            Control::Sort {
                order: SortOrder::Title,
            },
            control,
        ),
        (pick(&[3]), picks),
        (
            Control::Nudge { track_id },
            match (is_first, picks) {
                (true, _) => picks,
                (false, "h") => "h",
                (false, _) => host_or_dj,
            },
        ),
        (
            Control::Unpick {
                track_ids: vec![track_id],
            },
            own_pick,
        ),
        (
            Control::Move {
                track_id,
                before: None,
            },
            if is_first { own_pick } else { "" },
        ),
        (ack(1), "hdog"),
        (change(RulesChange::default()), "h"),
        (
            Control::ChangeHosts {
                member_id,
                host: true,
            },
            "h",
        ),
        (
            Control::ChangeDj {
                member_id: Some(member_id),
            },
            host_or_dj,
        ),
        (Control::ChooseDj { seed: 0 }, "h"),
        (Control::VoteDj { member_id: None }, "hdog"),
        (
            Control::VoteSkip {
                track_id: TrackId(1),
                up: true,
            },
            if rules.skip_share > 0.0 || rules.control == Permitted::Everyone {
                "hdog"
            } else {
                ""
            },
        ),
        (Control::VotePick { track_id, up: true }, "hdog"),
    ]
}

#[test]
fn each_role_may_send_what_the_rules_permit() {
    let mut checked = 0;
    for control in PERMITTED {
        for picks in PERMITTED {
            for order in ORDERS {
                for (has_dj, skip_share) in [(true, 0.0), (false, 0.0), (true, 0.75)] {
                    let rules = Rules {
                        control,
                        picks,
                        order,
                        skip_share,
                        ..Rules::default()
                    };
                    let room = room_with_roles(rules, has_dj);
                    for (command, allowed) in commands(&rules, has_dj) {
                        for (member, letter) in [(HOST, 'h'), (DJ, 'd'), (OWNER, 'o'), (GUEST, 'g')]
                        {
                            let sent = Command::Control {
                                member: MemberId(member),
                                if_match: room.durable.event_count,
                                control: command.clone(),
                            };
                            let result = apply(&room, &sent, CONTEXT);
                            let is_refused = matches!(result, Err(Rejection::Forbidden(_)));
                            assert_eq!(
                                is_refused,
                                !allowed.contains(letter),
                                "{letter} sends {command:?} with {rules:?}, with a DJ: {has_dj}"
                            );
                            assert!(is_refused || result.is_ok(), "{command:?}: {result:?}");
                            checked += 1;
                        }
                    }
                }
            }
        }
    }
    assert_eq!(checked, 3 * 3 * 3 * 3 * 20 * 4);
}

#[test]
fn other_rights_depend_on_their_rules() {
    let hosts_only = Rules {
        uploads: Access::Hosts,
        invite: Access::Hosts,
        chat: false,
        ..Rules::default()
    };
    let owners = [MemberId(OWNER)];
    for (action, by_default, restricted) in [
        (Action::Upload, "hdog", "h"),
        (Action::SeeCode, "hdog", "h"),
        (Action::Chat, "hdog", ""),
        (Action::RenewCode, "h", "h"),
        (Action::Unpair(MemberId(GUEST)), "hg", "hg"),
        (Action::RemoveUpload(&owners), "ho", "ho"),
        (Action::RemoveMessage(MemberId(OWNER)), "ho", "ho"),
    ] {
        for (rules, allowed) in [(Rules::default(), by_default), (hosts_only, restricted)] {
            let room = room_with_roles(rules, true);
            for (member, letter) in [(HOST, 'h'), (DJ, 'd'), (OWNER, 'o'), (GUEST, 'g')] {
                let permission = room.durable.check_permission(MemberId(member), action);
                assert_eq!(
                    permission.is_ok(),
                    allowed.contains(letter),
                    "{letter} {action:?}"
                );
            }
        }
    }
    let without_hosts = room(2);
    for action in [
        Action::RenewCode,
        Action::ChangeRules,
        Action::Unpair(MemberId(1)),
    ] {
        let permission = without_hosts.durable.check_permission(MemberId(2), action);
        assert_eq!(permission, Ok(()), "while there is no host");
    }
    for action in [Action::ChangeHosts, Action::ChangeDj, Action::ChooseDj] {
        let permission = without_hosts.durable.check_permission(MemberId(2), action);
        assert_eq!(permission, Err(Refusal::HostsOnly));
    }
}

#[test]
fn change_of_rules_changes_nothing_that_plays() {
    let mut room = room(2);
    send(&mut room, 1, Control::Play { position_sec: 5.0 });
    let before = room.clone();
    assert_eq!(
        send(&mut room, 1, order(PickOrder::Votes)),
        ["hosts.changed", "rules.changed"]
    );
    assert_eq!(room.durable.play_state, before.durable.play_state);
    assert_eq!(room.live.anchor_at_ms, before.live.anchor_at_ms);
    let promised = before
        .live
        .segue
        .map(|segue| (segue.track_id, segue.anchor_at_ms));
    assert!(promised.is_some());
    assert_eq!(
        room.live
            .segue
            .map(|segue| (segue.track_id, segue.anchor_at_ms)),
        promised
    );
}

#[test]
fn promised_pick_is_not_overtaken_by_votes_but_by_a_nudge() {
    let mut room = room(2);
    send(&mut room, 1, order(PickOrder::Votes));
    send(&mut room, 2, pick(&[2, 3]));
    send(&mut room, 1, Control::Play { position_sec: 0.0 });
    assert_eq!(
        room.live.segue.map(|segue| segue.track_id),
        Some(TrackId(2))
    );
    let track_id = TrackId(3);
    send(&mut room, 2, Control::VotePick { track_id, up: true });
    assert_eq!(room.next_up_id(), Some(TrackId(2)));
    send(&mut room, 1, Control::Nudge { track_id });
    assert_eq!(room.next_up_id(), Some(TrackId(3)));
}

#[test]
fn undo_keeps_the_votes_that_were_cast_meanwhile() {
    let mut room = room(2);
    send(&mut room, 1, order(PickOrder::Votes));
    send(&mut room, 1, pick(&[2, 3]));
    send(&mut room, 1, Control::Shuffle { seed: 1 });
    let track_id = TrackId(3);
    send(&mut room, 2, Control::VotePick { track_id, up: true });
    send(&mut room, 1, Control::Undo);
    let votes: Vec<_> = room
        .durable
        .picks
        .iter()
        .map(|p| (p.track_id.0, p.votes.len()))
        .collect();
    assert_eq!(votes, [(3, 1), (2, 0)]);
}

#[test]
fn votes_of_a_device_that_leaves_no_longer_order_the_picks() {
    let mut room = room(3);
    send(&mut room, 1, order(PickOrder::Votes));
    send(&mut room, 1, pick(&[2, 3]));
    for (member, track) in [(2, 2), (3, 2), (1, 3)] {
        let track_id = TrackId(track);
        send(&mut room, member, Control::VotePick { track_id, up: true });
    }
    run(
        &mut room,
        Command::Leave {
            member: MemberId(2),
        },
    );
    assert_eq!(room.next_up_id(), Some(TrackId(2)), "it came first");
    run(
        &mut room,
        Command::Leave {
            member: MemberId(3),
        },
    );
    assert_eq!(room.next_up_id(), Some(TrackId(3)));
}

#[test]
fn absent_dj_is_gone_without_cooling_down() {
    let mut room = room(2);
    send(&mut room, 1, order(PickOrder::Turns));
    let member_id = Some(MemberId(2));
    send(&mut room, 1, Control::ChangeDj { member_id });
    let (gone, other) = (MemberId(2), MemberId(1));
    assert_eq!(run(&mut room, Command::DjGone { member: other }), [""; 0]);
    let (next, events) = apply(&room, &Command::DjGone { member: gone }, CONTEXT).unwrap();
    assert_eq!(events[0].by, None);
    let payload = serde_json::to_value(&events[0].kind).unwrap();
    assert_eq!(
        payload,
        serde_json::json!({ "memberId": null, "reason": "gone" })
    );
    assert!(next.live.dj_cooldowns.is_empty());
}

#[test]
fn removed_dj_cannot_be_elected_until_the_cooldown_is_over() {
    let mut room = room(1);
    send(&mut room, 1, order(PickOrder::Turns));
    let vote = |member_id| Control::VoteDj { member_id };
    let me = Some(MemberId(1));
    assert_eq!(send(&mut room, 1, vote(me)), ["vote.cast", "dj.changed"]);
    assert_eq!(send(&mut room, 1, vote(None)), ["vote.cast", "dj.changed"]);
    assert_eq!(send(&mut room, 1, vote(me)), ["vote.cast"]);
    send(&mut room, 1, vote(None));
    let over = at(CONTEXT.now_ms + 300_000.0);
    assert_eq!(
        send_at(&mut room, 1, vote(me), over),
        ["vote.cast", "dj.changed"]
    );
}

#[test]
fn votes_of_devices_that_do_not_listen_do_not_count() {
    let mut room = room(3);
    let rules = RulesChange {
        control: Some(Permitted::Hosts),
        skip_share: Some(0.5),
        ..RulesChange::default()
    };
    send(&mut room, 1, change(rules));
    let vote = Control::VoteSkip {
        track_id: TrackId(1),
        up: true,
    };
    assert_eq!(send(&mut room, 2, vote.clone()), ["vote.cast"]);
    let member = MemberId(2);
    let how = Departure::Left;
    assert_eq!(
        run(&mut room, Command::Depart { member, how }),
        [""; 0],
        "a listener that leaves must not change the result"
    );
    run(&mut room, pair(4));
    assert_eq!(send(&mut room, 4, vote.clone()), ["vote.cast"]);
    let skipped = send(&mut room, 3, vote);
    assert_eq!(skipped[..2], ["vote.cast", "queue.advanced"]);
    assert!(room.durable.skip_votes.is_empty());
}

#[test]
fn previous_track_stays_the_first_pick_in_every_order() {
    for rules_order in ORDERS {
        let mut room = room(2);
        send(&mut room, 1, pick(&[2]));
        let track_id = TrackId(2);
        send(&mut room, 2, Control::VotePick { track_id, up: true });
        if rules_order != PickOrder::First {
            send(&mut room, 1, order(rules_order));
        }
        send(&mut room, 1, Control::Previous);
        assert_eq!(room.next_up_id(), Some(TrackId(1)), "{rules_order:?}");
        let is_pinned = room.durable.picks[0].pinned;
        assert_eq!(is_pinned, rules_order != PickOrder::First);
    }
}

#[test]
fn state_of_an_older_version_gets_places_for_its_picks() {
    let mut room = room(2);
    send(&mut room, 1, pick(&[2, 3]));
    let old = PrivateState {
        pick_places: Arc::default(),
        ..room.private.clone()
    };
    let restored = Room::restore(room.durable.clone(), old);
    assert_eq!(restored.private.pick_places, room.private.pick_places);
    assert_eq!(restored.check(), Ok(()));
}

#[test]
fn roles_and_votes_of_unpaired_devices_are_contradictions() {
    let room = room(2);
    let unknown = MemberId(9);
    let contradictions: [fn(&mut DurableState, MemberId); 6] = [
        |state, unknown| state.hosts = Arc::new([unknown].into()),
        |state, unknown| state.dj = Some(unknown),
        |state, unknown| state.dj_votes = Arc::new([(unknown, None)].into()),
        |state, unknown| state.dj_votes = Arc::new([(MemberId(1), Some(unknown))].into()),
        |state, unknown| state.skip_votes = Arc::new([unknown].into()),
        |state, _| state.rules.dj_share = 0.0,
    ];
    for contradict in contradictions {
        let mut room = room.clone();
        contradict(&mut room.durable, unknown);
        assert!(room.check().is_err());
    }
}
