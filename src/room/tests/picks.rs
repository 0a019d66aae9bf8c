//! Picks, undo, and who caused an event. `tests/model` checks them in all histories; these tests state single rules.

use super::*;

fn pick(tracks: &[u64]) -> Control {
    Control::Pick {
        track_ids: tracks.iter().copied().map(TrackId).collect(),
    }
}

fn picked(room: &Room) -> Vec<(u64, Option<u32>)> {
    let picks = room.durable.picks.iter();
    picks
        .map(|pick| (pick.track_id.0, pick.by.map(|by| by.0)))
        .collect()
}

fn control(room: &Room, member: u32, control: Control, now_ms: f64) -> Result<Room, Rejection> {
    let command = Command::Control {
        member: MemberId(member),
        if_match: room.durable.event_count,
        control,
    };
    apply(room, &command, at(now_ms)).map(|(room, _)| room)
}

#[test]
fn undo_is_possible_until_ten_seconds_after_the_change() {
    for (after_ms, is_possible) in [(0.0, true), (10_000.0, true), (10_000.1, false)] {
        let before = room(2);
        let changed = control(&before, 1, pick(&[3]), 5_000.0).unwrap();
        let undone = control(&changed, 1, Control::Undo, 5_000.0 + after_ms);
        assert_eq!(undone.is_ok(), is_possible, "after {after_ms} ms");
        let expected = before.durable.queue;
        assert!(undone.is_ok_and(|room| room.durable.queue == expected) == is_possible);
    }
}

#[test]
fn undo_of_a_start_resumes_the_track_at_its_position() {
    let mut room = room(2);
    send(&mut room, 1, Control::Play { position_sec: 10.0 });
    let track_id = TrackId(3);
    send_at(&mut room, 2, Control::PlayNow { track_id }, at(21_150.0));
    assert_eq!(room.durable.picked_by, Some(MemberId(2)));
    let events = send_at(&mut room, 2, Control::Undo, at(25_000.0));
    assert_eq!(
        events,
        ["queue.undone", "barrier.opened", "barrier.release"]
    );
    assert_eq!(room.current_track_id(), Some(TrackId(1)));
    assert_eq!(room.durable.play_state.anchor_position_sec, 30.0);
    assert_eq!(room.durable.picked_by, None);
}

#[test]
fn end_of_track_ends_the_chance_to_undo() {
    let mut room = room(1);
    send(&mut room, 1, Control::Play { position_sec: 0.0 });
    send_at(&mut room, 1, pick(&[3]), at(59_000.0));
    let track_id = TrackId(1);
    send_at(&mut room, 1, Control::Ended { track_id }, at(61_000.0));
    let undone = control(&room, 1, Control::Undo, 61_000.0);
    assert_eq!(undone, Err(Rejection::NothingToUndo));
}

#[test]
fn undone_pick_of_a_device_that_has_left_has_no_owner() {
    let mut room = room(2);
    send(&mut room, 2, pick(&[3]));
    let track_ids = vec![TrackId(3)];
    send(&mut room, 1, Control::Unpick { track_ids });
    run(
        &mut room,
        Command::Leave {
            member: MemberId(2),
        },
    );
    send(&mut room, 1, Control::Undo);
    assert_eq!(picked(&room), [(3, None)]);
}

#[test]
fn all_other_tracks_can_be_picks() {
    let mut room = room(2);
    send(&mut room, 1, pick(&[3, 2]));
    send(&mut room, 2, Control::Previous);
    // The track before the current one was the last pick.
    assert_eq!(room.current_track_id(), Some(TrackId(2)));
    assert_eq!(picked(&room), [(1, None), (3, Some(1))]);
    send(&mut room, 2, Control::Shuffle { seed: 1 });
    assert_eq!(picked(&room), [(1, None), (3, Some(1))]);
}

#[test]
fn end_is_accepted_from_a_second_before_it() {
    let mut room = room(1);
    send(&mut room, 1, Control::Play { position_sec: 0.0 });
    let ended = || Control::Ended {
        track_id: TrackId(1),
    };
    let start_ms = room.live.anchor_at_ms.unwrap();
    assert_eq!(
        control(&room, 1, ended(), start_ms + 58_999.0),
        Err(Rejection::NotEnded)
    );
    let next = control(&room, 1, ended(), start_ms + 59_000.0).unwrap();
    assert_eq!(next.live.anchor_at_ms, Some(start_ms + 60_000.0));
}

#[test]
fn current_track_and_picks_are_those_that_the_room_awaits() {
    let mut room = room(1);
    send(&mut room, 1, pick(&[3]));
    assert!(room.awaited_track_ids().eq([1, 3].map(TrackId)));
}
