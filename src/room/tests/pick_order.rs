//! The order of the picks and their places after commands that are about something else.

use super::*;

/// A room with six tracks.
fn room_with_tracks(members: u32) -> Room {
    let mut room = room(members);
    let catalog = TrackCatalog::new((1..=6).map(|n| (TrackId(n), 60.0)));
    run(&mut room, Command::Library(Arc::new(catalog)));
    room
}

fn order(order: PickOrder) -> Control {
    Control::ChangeRules(RulesChange {
        order: Some(order),
        ..RulesChange::default()
    })
}

fn pick(tracks: &[u64]) -> Control {
    Control::Pick {
        track_ids: tracks.iter().copied().map(TrackId).collect(),
    }
}

fn vote(track: u64) -> Control {
    Control::VotePick {
        track_id: TrackId(track),
        up: true,
    }
}

fn picked(room: &Room) -> Vec<u64> {
    let picks = room.durable.picks.iter();
    picks.map(|pick| pick.track_id.0).collect()
}

#[test]
fn votes_of_a_device_that_leaves_no_longer_order_the_picks() {
    let mut room = room(3);
    send(&mut room, 1, order(PickOrder::Votes));
    send(&mut room, 1, pick(&[2, 3]));
    send(&mut room, 2, vote(3));
    assert_eq!(picked(&room), [3, 2]);
    let leave = Command::Leave {
        member: MemberId(2),
    };
    let (after, events) = apply(&room, &leave, CONTEXT).unwrap();
    assert_eq!(picked(&after), [2, 3]);
    assert_eq!(after.check(), Ok(()));
    let mut patched = serde_json::to_value(&room.durable).unwrap();
    for event in &events {
        let patch = serde_json::to_value(&event.patch).unwrap();
        let patch: json_patch::Patch = serde_json::from_value(patch).unwrap();
        json_patch::patch(&mut patched, &patch).unwrap();
    }
    let picks = serde_json::to_value(&after.durable.picks).unwrap();
    assert_eq!(patched["picks"], picks);
    assert_eq!(events.last().unwrap().kind.name(), "client.left");
}

#[test]
fn undo_sorts_the_picks_again_after_a_voter_has_left() {
    let mut room = room(3);
    send(&mut room, 1, order(PickOrder::Votes));
    send(&mut room, 1, pick(&[2, 3]));
    send(&mut room, 2, vote(3));
    send(&mut room, 1, Control::Shuffle { seed: 1 });
    let member = MemberId(2);
    run(&mut room, Command::Leave { member });
    send(&mut room, 1, Control::Undo);
    assert_eq!(picked(&room), [2, 3]);
}

#[test]
fn previous_gives_no_late_comer_a_turn_before_those_that_wait() {
    let mut room = room_with_tracks(3);
    send(&mut room, 1, pick(&[2]));
    send(&mut room, 1, Control::Next);
    send(&mut room, 1, pick(&[3]));
    send(&mut room, 2, pick(&[4]));
    send(&mut room, 1, Control::Previous);
    assert_eq!(picked(&room), [2, 3, 4]);
    send(&mut room, 3, pick(&[5]));
    send(&mut room, 1, order(PickOrder::Turns));
    assert_eq!(picked(&room), [2, 4, 5, 3]);
    let turns = room.private.pick_places.values().map(|place| place.turn);
    assert_eq!(turns.min(), Some(1));
}

#[test]
fn places_of_tracks_that_are_no_picks_are_dropped() {
    let mut room = room_with_tracks(2);
    send(&mut room, 1, pick(&[2, 3, 4]));
    let mut durable = room.durable.clone();
    // As if a user had removed the last pick in the state file.
    Arc::make_mut(&mut durable.picks).pop();
    let restored = Room::restore(durable, room.private.clone());
    assert_eq!(restored.check(), Ok(()));
    let kept: Vec<_> = restored.private.pick_places.keys().map(|t| t.0).collect();
    assert_eq!(kept, [2, 3]);
    let (old, new) = (&room.private.pick_places, &restored.private.pick_places);
    assert_eq!(new[&TrackId(3)], old[&TrackId(3)]);
}

#[test]
fn room_without_hosts_is_claimed_by_naming_a_rule_as_it_is() {
    let mut room = room(2);
    room.durable.rules.control = Permitted::Hosts;
    let nothing = Control::ChangeRules(RulesChange::default());
    assert_eq!(send(&mut room, 2, nothing), [""; 0]);
    assert!(room.durable.hosts.is_empty());
    let same = RulesChange {
        control: Some(Permitted::Hosts),
        ..RulesChange::default()
    };
    let same = Control::ChangeRules(same);
    assert_eq!(send(&mut room, 2, same.clone()), ["hosts.changed"]);
    assert_eq!(*room.durable.hosts, [MemberId(2)].into());
    assert_eq!(send(&mut room, 2, same), [""; 0]);
}

#[test]
fn vote_to_skip_is_refused_for_all_while_the_share_is_zero() {
    let mut room = room(2);
    room.durable.hosts = Arc::new([MemberId(1)].into());
    room.durable.rules.control = Permitted::Hosts;
    let skip = Control::VoteSkip {
        track_id: TrackId(1),
        up: true,
    };
    for member in [1, 2] {
        let command = Command::Control {
            member: MemberId(member),
            if_match: room.durable.event_count,
            control: skip.clone(),
        };
        let refused = apply(&room, &command, CONTEXT).unwrap_err();
        assert_eq!(refused, Rejection::Forbidden(Refusal::SkipVotesAreOff));
    }
    // With the default rules, votes are recorded, and nothing is skipped.
    room.durable.rules.control = Permitted::Everyone;
    for member in [1, 2] {
        assert_eq!(send(&mut room, member, skip.clone()), ["vote.cast"]);
    }
}
