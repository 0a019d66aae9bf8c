//! The gain of the current track (see `levelling.rs`).

use super::*;

/// The catalog with these gains.
fn with_gains(catalog: TrackCatalog, gains: &[(u64, f64)]) -> Command {
    let levels = gains.iter().map(|(n, gain_db)| {
        let level = TrackLevel {
            gain_db: Some(*gain_db),
            peak: Some(0.1),
            album: None,
        };
        (TrackId(*n), level)
    });
    Command::Library(Arc::new(catalog.with_levels(levels)))
}

/// The tracks 1 to 3 of 60 s each, with their gains. The gain of track 4 is unknown.
fn levelled(gains: &[(u64, f64)]) -> Command {
    let catalog = TrackCatalog::new((1..=4).map(|n| (TrackId(n), 60.0)));
    with_gains(catalog, gains)
}

fn levelled_room(gains: &[(u64, f64)]) -> Room {
    let mut room = room(1);
    run(&mut room, levelled(gains));
    send(&mut room, 1, ack(4));
    room
}

const GAINS: [(u64, f64); 3] = [(1, -3.0), (2, -6.0), (3, 4.0)];

#[test]
fn each_track_gets_its_gain_when_it_becomes_current() {
    let mut room = levelled_room(&GAINS);
    let mut found = Vec::new();
    for _ in 0..5 {
        found.push(room.durable.gain_db);
        send(&mut room, 1, Control::Next);
    }
    let expected = [Some(-3.0), Some(-6.0), Some(4.0), None, Some(-3.0)];
    assert_eq!(found, expected);
}

#[test]
fn a_gain_never_changes_once_the_track_has_played() {
    let mut room = levelled_room(&GAINS);
    send(&mut room, 1, Control::Play { position_sec: 0.0 });
    assert_eq!(run(&mut room, levelled(&[(1, 9.0)])), [""; 0]);
    assert_eq!(room.durable.gain_db, Some(-3.0));

    let mut room = levelled_room(&[]);
    send(&mut room, 1, Control::Play { position_sec: 0.0 });
    run(&mut room, levelled(&GAINS));
    assert_eq!(room.durable.gain_db, None, "while it plays");
    send(&mut room, 1, Control::Pause { position_sec: 2.0 });
    run(&mut room, levelled(&GAINS));
    assert_eq!(room.durable.gain_db, None, "in the middle");
}

#[test]
fn a_loudness_found_before_the_start_still_applies() {
    let mut room = levelled_room(&[]);
    assert_eq!(run(&mut room, levelled(&GAINS)), ["playback.levelled"]);
    assert_eq!(room.durable.gain_db, Some(-3.0));

    // A barrier that waits for a download.
    let mut room = levelled_room(&[]);
    add_listener(&mut room, 2);
    send(&mut room, 1, Control::Next);
    assert!(room.durable.barrier.is_some());
    assert_eq!(run(&mut room, levelled(&GAINS)), ["playback.levelled"]);
    assert_eq!(room.durable.gain_db, Some(-6.0));
}

#[test]
fn the_segue_states_the_gain_of_next_up() {
    let mut room = levelled_room(&[]);
    send(&mut room, 1, Control::Play { position_sec: 0.0 });
    let promised = room.live.segue.unwrap();
    assert_eq!((promised.track_id, promised.gain_db), (TrackId(2), None));
    run_at(
        &mut room,
        levelled(&GAINS),
        at(promised.anchor_at_ms - 1_001.0),
    );
    assert_eq!(room.live.segue.unwrap().gain_db, Some(-6.0));
}

#[test]
fn a_promised_gain_is_kept_although_another_one_becomes_known_at_the_end() {
    let mut room = levelled_room(&[]);
    send(&mut room, 1, Control::Play { position_sec: 0.0 });
    let promised = room.live.segue.unwrap();
    run_at(
        &mut room,
        levelled(&GAINS),
        at(promised.anchor_at_ms - 999.0),
    );
    let context = at(promised.anchor_at_ms);
    send_at(&mut room, 1, Control::Next, context);
    assert_eq!(room.current_track_id(), Some(TrackId(2)));
    assert_eq!(room.durable.gain_db, None);
}

#[test]
fn the_only_track_gets_the_promised_gain_when_it_starts_again() {
    let mut room = room(1);
    let library = |gains: &[(u64, f64)]| {
        let catalog = TrackCatalog::new([(TrackId(1), 60.0)]);
        with_gains(catalog, gains)
    };
    run(&mut room, library(&[]));
    send(&mut room, 1, Control::Play { position_sec: 0.0 });
    run(&mut room, library(&[(1, -3.0)]));
    assert_eq!(room.durable.gain_db, None, "while it plays");
    let promised = room.live.segue.unwrap();
    assert_eq!(promised.gain_db, Some(-3.0));
    send_at(&mut room, 1, Control::Next, at(promised.anchor_at_ms));
    assert_eq!(room.durable.gain_db, Some(-3.0));
    run(&mut room, library(&[(1, -6.0)]));
    send(&mut room, 1, Control::Next);
    assert_eq!(room.durable.gain_db, Some(-6.0), "measured again meanwhile");
}

#[test]
fn a_replaced_file_gets_a_new_gain_if_none_of_it_was_played() {
    let library = |version, gains: &[(u64, f64)]| {
        let tracks = (1..=3).map(|n| (TrackId(n), 60.0, if n == 1 { version } else { 1 }));
        with_gains(TrackCatalog::versioned(tracks), gains)
    };
    let mut room = room(1);
    run(&mut room, library(1, &GAINS));
    assert_eq!(room.durable.gain_db, Some(-3.0));
    let events = run(&mut room, library(2, &GAINS[1..]));
    assert_eq!(events, ["library.changed"]);
    assert_eq!(room.durable.gain_db, None, "not measured yet");
    run(&mut room, library(2, &[(1, 5.0)]));
    assert_eq!(room.durable.gain_db, Some(5.0));
    run(&mut room, library(3, &[(1, -1.0)]));
    assert_eq!(room.durable.gain_db, Some(-1.0), "by its tags");

    send(&mut room, 1, ack(1));
    send(&mut room, 1, Control::Play { position_sec: 0.0 });
    assert_eq!(room.durable.play_state.mode, Mode::Playing);
    run(&mut room, library(4, &[(1, 2.0)]));
    assert_eq!(room.durable.gain_db, Some(-1.0), "while it plays");
}

#[test]
fn an_album_that_is_played_through_has_one_gain() {
    let mut room = room(1);
    let catalog = TrackCatalog::new((1..=3).map(|n| (TrackId(n), 60.0)));
    let levels = [(1, -9.0, 7), (2, -2.0, 7), (3, -1.5, 8)].map(|(n, gain_db, id)| {
        let level = TrackLevel {
            gain_db: Some(gain_db),
            peak: Some(0.5),
            album: Some(AlbumLevel {
                id,
                gain_db: Some(-5.0),
                peak: Some(0.5),
            }),
        };
        (TrackId(n), level)
    });
    run(
        &mut room,
        Command::Library(Arc::new(catalog.with_levels(levels))),
    );
    let first = room.durable.gain_db;
    send(&mut room, 1, Control::Next);
    let second = room.durable.gain_db;
    // A track of the album that is brought forward later does not change what plays.
    send(
        &mut room,
        1,
        Control::Nudge {
            track_id: TrackId(1),
        },
    );
    assert_eq!(room.durable.gain_db, second);
    run(&mut room, arrive(1, None));
    send(&mut room, 1, Control::Next);
    send(&mut room, 1, Control::Next);
    assert_eq!((first, second), (Some(-5.0), Some(-5.0)));
    assert_eq!(
        room.durable.gain_db,
        Some(-1.5),
        "the only track of its album"
    );
}
