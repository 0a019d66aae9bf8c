//! Tracks that play for longer than the catalog states.

use super::*;

/// The acknowledgement of a device that decoded this length.
fn decoded(track: u64, duration_sec: f64) -> Control {
    Control::AckDownload {
        track_id: TrackId(track),
        playable: true,
        duration_sec: Some(duration_sec),
    }
}

fn catalog(duration_sec: f64, version: u64) -> Command {
    let tracks = (1..=3).map(|n| (TrackId(n), duration_sec, version));
    Command::Library(Arc::new(TrackCatalog::versioned(tracks)))
}

/// A room that plays track 1 of 60 s from the start, with the start lead of 150 ms after 1 s.
fn playing_room() -> Room {
    let mut room = room(1);
    send(&mut room, 1, Control::Play { position_sec: 0.0 });
    assert_eq!(room.ends_at_ms(), Some(61_150.0));
    room
}

fn promised_ms(room: &Room) -> Option<f64> {
    room.live.segue.map(|segue| segue.anchor_at_ms)
}

#[test]
fn longer_decoded_track_ends_later_and_moves_the_segue() {
    let mut room = playing_room();
    assert_eq!(promised_ms(&room), Some(61_150.0));
    assert_eq!(send(&mut room, 1, decoded(1, 64.0)), Vec::<&str>::new());
    assert_eq!(room.ends_at_ms(), Some(65_150.0));
    assert_eq!(promised_ms(&room), Some(65_150.0));
    for (duration_sec, reason) in [(62.0, "shorter"), (64.25, "hardly longer")] {
        send(&mut room, 1, decoded(1, duration_sec));
        assert_eq!(room.ends_at_ms(), Some(65_150.0), "{reason}");
        assert_eq!(promised_ms(&room), Some(65_150.0), "{reason}");
    }
    send(&mut room, 1, Control::Seek { position_sec: 63.0 });
    assert_eq!(room.durable.play_state.anchor_position_sec, 63.0);
}

#[test]
fn promise_moves_although_a_listener_has_arrived_that_is_not_ready() {
    let mut room = room(2);
    run(&mut room, pair(3));
    send(&mut room, 1, Control::Play { position_sec: 0.0 });
    run(&mut room, arrive(3, None));
    send(&mut room, 1, decoded(1, 64.0));
    assert_eq!(promised_ms(&room), Some(65_150.0));
    let rescan = Command::Library(room.catalog.clone());
    run(&mut room, rescan);
    assert_eq!(promised_ms(&room), Some(65_150.0));
}

#[test]
fn promise_stays_if_a_new_catalog_states_nearly_the_same_length() {
    for (duration_sec, expected_ms) in [(60.25, 61_150.0), (63.0, 64_150.0)] {
        let mut room = playing_room();
        run(&mut room, catalog(duration_sec, 1));
        assert_eq!(promised_ms(&room), Some(expected_ms), "{duration_sec} s");
    }
}

#[test]
fn next_at_the_decoded_end_starts_the_next_track_at_its_beginning() {
    let mut room = playing_room();
    send(&mut room, 1, decoded(1, 64.0));
    send_at(&mut room, 1, Control::Next, at(65_200.0));
    assert_eq!(room.live.anchor_at_ms, Some(65_150.0));
}

#[test]
fn promise_no_longer_moves_once_its_start_has_passed() {
    let mut room = playing_room();
    send_at(&mut room, 1, decoded(1, 64.0), at(61_200.0));
    assert_eq!(promised_ms(&room), Some(61_150.0));
}

#[test]
fn lengths_that_do_not_contradict_the_catalog_credibly_are_ignored() {
    let mut room = playing_room();
    for duration_sec in [60.25, 55.0, 66.01, 86_400.0, f64::MAX] {
        send(&mut room, 1, decoded(1, duration_sec));
        assert_eq!(room.ends_at_ms(), Some(61_150.0), "{duration_sec}");
    }
    assert_eq!(*room.live.decoded_lengths, DecodedLengths::default());
}

#[test]
fn only_listeners_that_can_play_a_track_report_its_length() {
    let mut room = playing_room();
    run(&mut room, pair(2));
    send(&mut room, 2, decoded(1, 64.0));
    let unplayable = Control::AckDownload {
        track_id: TrackId(1),
        playable: false,
        duration_sec: Some(64.0),
    };
    send(&mut room, 1, unplayable);
    assert_eq!(room.ends_at_ms(), Some(61_150.0));
}

#[test]
fn decoded_length_is_dropped_once_the_file_or_the_catalog_changes() {
    for (duration_sec, version, is_kept) in [(60.0, 1, true), (63.9, 1, false), (60.0, 2, false)] {
        let mut room = playing_room();
        run(&mut room, catalog(60.0, 1));
        send(&mut room, 1, decoded(1, 64.0));
        run(&mut room, catalog(duration_sec, version));
        let expected_sec = if is_kept { 64.0 } else { duration_sec };
        let ends_at_ms = room.ends_at_ms().unwrap();
        assert!((ends_at_ms - 1_150.0 - expected_sec * 1e3).abs() < 1e-6);
    }
}

#[test]
fn shortened_catalog_applies_to_the_current_track_when_it_plays_again() {
    let mut room = playing_room();
    run(&mut room, catalog(60.0, 1));
    for _ in 0..2 {
        run(&mut room, catalog(57.0, 1));
        assert_eq!(room.ends_at_ms(), Some(61_150.0));
        assert_eq!(promised_ms(&room), Some(61_150.0));
    }
    for _ in 0..3 {
        send(&mut room, 1, Control::Next);
        assert_eq!(room.ends_at_ms(), Some(58_150.0));
    }
    assert_eq!(room.current_track_id(), Some(TrackId(1)));
}
