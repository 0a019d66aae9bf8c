//! The positions at which playback stops and resumes, and how a device's report of its position replaces them.

use std::sync::Arc;

use super::*;

#[test]
fn playback_parks_with_the_last_listener_and_resumes_from_there() {
    let mut room = room(1);
    send(&mut room, 1, Control::Play { position_sec: 10.0 });
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
fn seek_without_listeners_overrides_later_position_reports() {
    for (seek_to, expected) in [(None, 17.0), (Some(50.0), 50.0)] {
        let mut room = room(1);
        send(&mut room, 1, Control::Play { position_sec: 10.0 });
        let left = Command::Depart {
            member: MemberId(1),
            how: Departure::Left,
        };
        run_at(&mut room, left, at(6_150.0));
        if let Some(position_sec) = seek_to {
            send_at(&mut room, 1, Control::Seek { position_sec }, at(7_000.0));
        }
        let playback = ReportedPlayback {
            track_id: TrackId(1),
            position_sec: 17.0,
        };
        run_at(&mut room, arrive(1, Some(playback)), at(8_000.0));
        let anchor = room.durable.play_state.anchor_position_sec;
        assert_eq!(anchor, expected);
    }
}

#[test]
fn position_report_after_a_restart_replaces_the_anchor() {
    let mut before = room(1);
    send(&mut before, 1, Control::Play { position_sec: 0.0 });
    let mut room = Room::restore(before.durable, before.private);
    run(&mut room, Command::Library(before.catalog));
    let playback = Some(ReportedPlayback {
        track_id: TrackId(1),
        position_sec: 31.5,
    });
    let back = arrive(1, playback);
    assert_eq!(
        run_at(&mut room, back, at(90_000.0)),
        ["barrier.opened", "barrier.release"]
    );
    assert_eq!(room.position_sec(90_000.0), 31.5);
}

#[test]
fn removing_the_current_track_advances_to_the_next() {
    let mut room = room(1);
    send(&mut room, 1, Control::Play { position_sec: 3.0 });
    let catalog = TrackCatalog::new([2, 3].map(|n| (TrackId(n), 60.0)));
    let events = run(&mut room, Command::Library(Arc::new(catalog)));
    assert_eq!(
        events,
        [
            "queue.advanced",
            "library.changed",
            "barrier.opened",
            "barrier.release"
        ]
    );
    assert_eq!(room.current_track_id(), Some(TrackId(2)));
}

#[test]
fn position_beyond_the_end_is_limited_to_the_duration() {
    let mut room = room(1);
    send(&mut room, 1, Control::Pause { position_sec: 1e9 });
    assert_eq!(room.durable.play_state.anchor_position_sec, 60.0);
}

#[test]
fn second_arrival_after_a_restart_may_report_the_position() {
    let mut before = room(2);
    send(&mut before, 1, Control::Play { position_sec: 0.0 });
    let mut room = Room::restore(before.durable, before.private);
    run(&mut room, Command::Library(before.catalog));
    assert_eq!(
        run_at(&mut room, arrive(2, None), at(90_000.0)),
        ["barrier.opened"]
    );
    let playback = Some(ReportedPlayback {
        track_id: TrackId(1),
        position_sec: 31.5,
    });
    assert_eq!(
        run_at(&mut room, arrive(1, playback), at(90_100.0)),
        ["barrier.opened", "barrier.shrunk", "barrier.release"]
    );
    assert_eq!(room.position_sec(90_100.0), 31.5);
}

#[test]
fn place_of_a_deleted_track_is_forgotten_without_an_event() {
    let mut room = room(1);
    let catalog = |absent: &[u64]| {
        let present = TrackCatalog::new([(TrackId(1), 60.0)]);
        let absent = absent.iter().copied().map(TrackId);
        Command::Library(Arc::new(present.with_absent(absent)))
    };
    assert_eq!(run(&mut room, catalog(&[2, 3])), ["library.changed"]);
    assert_eq!(room.private.absences[0].tracks, [2, 3].map(TrackId));
    assert!(run(&mut room, catalog(&[3])).is_empty());
    assert_eq!(room.private.absences[0].tracks, [TrackId(3)]);
}
