//! The segue: the promised start of next-up (see [`Segue`]).

use super::*;

#[test]
fn end_of_track_keeps_the_segue_however_late_the_server_is() {
    let mut room = room(1);
    send(&mut room, 1, ack(2));
    send(&mut room, 1, Control::Play { position_sec: 0.0 });
    let promised = room.live.segue.unwrap();
    let end = Command::EndOfTrack {
        if_match: room.durable.event_count,
    };
    run_at(&mut room, end, at(promised.anchor_at_ms + 20_000.0));
    assert_eq!(room.live.anchor_at_ms, Some(promised.anchor_at_ms));
}

#[test]
fn no_segue_is_promised_for_a_time_that_has_passed() {
    let mut room = room(1);
    send(&mut room, 1, ack(2));
    send(&mut room, 1, ack(3));
    send(&mut room, 1, Control::Play { position_sec: 0.0 });
    let promised = room.live.segue.unwrap();
    let now = at(promised.anchor_at_ms + 1e6);
    let end = Command::EndOfTrack {
        if_match: room.durable.event_count,
    };
    run_at(&mut room, end, now);
    assert_eq!(room.current_track_id(), Some(promised.track_id));
    assert_eq!(room.live.segue, None);
}

#[test]
fn next_keeps_the_segue_promised_once_all_listeners_hold_next_up() {
    let mut room = room(2);
    send(&mut room, 1, Control::Play { position_sec: 0.0 });
    let segue = room.live.segue.expect("all listeners hold next-up");
    assert_eq!((segue.track_id, segue.anchor_at_ms), (TrackId(2), 61_150.0));
    send_at(&mut room, 2, Control::Next, at(61_200.0));
    assert_eq!(room.live.anchor_at_ms, Some(61_150.0));
}

#[test]
fn next_in_mid_track_ignores_the_segue() {
    let mut room = room(1);
    send(&mut room, 1, Control::Play { position_sec: 0.0 });
    send_at(&mut room, 1, Control::Next, at(20_000.0));
    assert_eq!(room.live.anchor_at_ms, Some(20_150.0));
}

#[test]
fn segue_is_kept_although_a_listener_arrives_meanwhile() {
    let mut room = room(2);
    run(&mut room, pair(3));
    send(&mut room, 1, Control::Play { position_sec: 0.0 });
    let promised = room.live.segue;
    run(&mut room, arrive(3, None));
    assert_eq!(room.live.segue, promised);
    let events = send_at(&mut room, 1, Control::Next, at(61_150.0));
    assert_eq!(
        events,
        [
            "queue.advanced",
            "barrier.opened",
            "barrier.shrunk",
            "barrier.release"
        ]
    );
    assert_eq!(room.live.anchor_at_ms, Some(61_150.0));
}

#[test]
fn event_that_moves_no_track_keeps_the_segue_after_its_start() {
    let mut room = room(2);
    send(&mut room, 1, Control::Play { position_sec: 0.0 });
    let promised = room.live.segue.unwrap();
    let rename = Command::Rename {
        member: MemberId(2),
        name: "Grace".into(),
    };
    run_at(&mut room, rename, at(promised.anchor_at_ms + 40.0));
    let kept = Segue {
        event_count: room.durable.event_count,
        ..promised
    };
    assert_eq!(room.live.segue, Some(kept));
    send_at(
        &mut room,
        2,
        Control::Next,
        at(promised.anchor_at_ms + 80.0),
    );
    assert_eq!(room.live.anchor_at_ms, Some(promised.anchor_at_ms));
}

#[test]
fn nudge_replaces_the_promised_track() {
    let mut room = room(1);
    send(&mut room, 1, Control::Play { position_sec: 0.0 });
    let promised = room.live.segue.unwrap();
    let nudge = Control::Nudge {
        track_id: TrackId(3),
    };
    send_at(&mut room, 1, nudge, at(promised.anchor_at_ms - 400.0));
    let track_id = room.live.segue.map(|segue| segue.track_id);
    assert_eq!(track_id, Some(TrackId(3)));
}

#[test]
fn replaced_file_of_next_up_withdraws_the_segue() {
    let mut room = room(1);
    let library = |version_of_next_up| {
        let version = |n| if n == 2 { version_of_next_up } else { 1 };
        let rows = (1..=3).map(|n| (TrackId(n), 60.0, version(n)));
        Command::Library(Arc::new(TrackCatalog::versioned(rows)))
    };
    run(&mut room, library(1));
    send(&mut room, 1, Control::Play { position_sec: 0.0 });
    assert!(room.live.segue.is_some());
    assert_eq!(run(&mut room, library(2)), ["library.changed"]);
    assert_eq!(room.live.segue, None, "no phone has the new file");
}
