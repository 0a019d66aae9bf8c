//! Tests of presence over time: arrivals, departures, stalled barrier members, and reports of downloads and sync
//! measurements.

use std::sync::Arc;

use super::attendance::{RESTART_GRACE, VANISHED_GRACE};
use super::streams::MAX_STREAMS_PER_DEVICE;
use super::*;
use crate::hub::byte_ranges::FetchedBytes;
use crate::room::{self, ApplyContext, Control, TokenHash, TrackCatalog};
use crate::wire::Download;

const LEAVE_GRACE: Duration = Duration::from_secs(2);
const M1: MemberId = MemberId(1);
const TRACK: TrackId = TrackId(1);

fn apply(room: &mut Room, command: Command) {
    let context = ApplyContext {
        now_ms: 0.0,
        lead_ms: 150.0,
        has_timed_starts: true,
    };
    *room = room::apply(room, &command, context).unwrap().0;
}

/// A room with one track and two paired devices, neither connected.
fn room() -> Room {
    let mut room = Room::default();
    apply(
        &mut room,
        Command::Library(Arc::new(TrackCatalog::new([(TRACK, 60.0)]))),
    );
    for n in 1..=2 {
        let (name, token_hash) = (String::new(), TokenHash([n; 32]));
        apply(&mut room, Command::Pair { name, token_hash });
    }
    room
}

/// Sends `next`, which opens a barrier.
fn send_next(room: &mut Room) {
    let (member, if_match) = (M1, room.durable.event_count);
    let command = Command::Control {
        member,
        if_match,
        control: Control::Next,
    };
    apply(room, command);
}

/// Applies the commands that are due, and returns them.
fn apply_due(presence: &mut Presence, room: &mut Room, now: Instant) -> Vec<Command> {
    presence.update_from_room(room, now);
    let (commands, _) = presence.due_commands(room, now);
    for command in &commands {
        apply(room, command.clone());
    }
    presence.update_from_room(room, now);
    commands
}

/// Progress of a download of [`TRACK`], a file of 100 bytes, from its beginning.
fn progress(received_bytes: u64) -> DownloadSignals {
    let mut fetched = FetchedBytes::default();
    fetched.insert(TRACK, 0..received_bytes);
    let shown = ShownDownloadChange::Running(Download {
        track_id: TRACK,
        received_bytes,
        size: 100,
    });
    DownloadSignals { fetched, shown }
}

fn depart(how: Departure) -> Command {
    Command::Depart { member: M1, how }
}

#[test]
fn listener_departs_a_grace_period_after_its_last_stream_closed() {
    let (mut room, start) = (room(), Instant::now());
    let mut presence = Presence::new(&room, LEAVE_GRACE, start);
    let first = presence.open_stream(M1, Role::Listener, None, start);
    let second = presence.open_stream(M1, Role::Listener, None, start);
    apply_due(&mut presence, &mut room, start);
    presence.close_stream(first, Departure::Left, start);
    assert_eq!(
        apply_due(&mut presence, &mut room, start + 2 * LEAVE_GRACE),
        []
    );
    presence.close_stream(second, Departure::Left, start + 2 * LEAVE_GRACE);
    assert_eq!(
        apply_due(&mut presence, &mut room, start + 2 * LEAVE_GRACE),
        []
    );
    let departed = apply_due(&mut presence, &mut room, start + 3 * LEAVE_GRACE);
    assert_eq!(departed, [depart(Departure::Left)]);
    assert!(room.live.listeners.is_empty());
}

#[test]
fn oldest_stream_of_a_device_with_too_many_streams_is_surplus() {
    let (room, start) = (room(), Instant::now());
    let mut presence = Presence::new(&room, LEAVE_GRACE, start);
    presence.open_stream(MemberId(2), Role::Listener, None, start);
    let mut open = |role| presence.open_stream(M1, role, None, start);
    let streams: Vec<_> = (0..MAX_STREAMS_PER_DEVICE)
        .map(|_| open(Role::Listener))
        .collect();
    assert_eq!(presence.surplus_stream(M1), None);
    presence.open_stream(M1, Role::Remote, None, start);
    assert_eq!(presence.surplus_stream(M1), Some(streams[0]));
    presence.close_stream(streams[0], Departure::Left, start);
    assert_eq!(presence.surplus_stream(M1), None);
    assert!(presence.is_listening(M1));
}

#[test]
fn reconnecting_within_the_grace_period_causes_no_command() {
    let (mut room, start) = (room(), Instant::now());
    let mut presence = Presence::new(&room, LEAVE_GRACE, start);
    for n in 0..20 {
        let now = start + n * LEAVE_GRACE / 2;
        let stream = presence.open_stream(M1, Role::Listener, None, now);
        let arrived = apply_due(&mut presence, &mut room, now);
        assert_eq!(arrived.len(), usize::from(n == 0), "connection {n}");
        presence.close_stream(stream, Departure::Left, now);
    }
}

#[test]
fn member_without_progress_is_dropped_and_one_with_progress_is_kept() {
    let (mut room, start) = (room(), Instant::now());
    let mut presence = Presence::new(&room, LEAVE_GRACE, start);
    let _streams = [M1, MemberId(2)].map(|m| presence.open_stream(m, Role::Listener, None, start));
    apply_due(&mut presence, &mut room, start);
    send_next(&mut room);
    presence.update_from_room(&room, start);
    for second in 1..60 {
        let now = start + Duration::from_secs(second);
        presence.update_downloads(MemberId(2), &progress(second), now);
        let expected = if second == 15 {
            vec![Command::DropStalled { member: M1 }]
        } else {
            vec![]
        };
        assert_eq!(
            apply_due(&mut presence, &mut room, now),
            expected,
            "{second} s"
        );
    }
}

#[test]
fn member_that_repeats_the_same_bytes_and_acknowledgement_is_dropped() {
    let (mut room, start) = (room(), Instant::now());
    let mut presence = Presence::new(&room, LEAVE_GRACE, start);
    presence.open_stream(M1, Role::Listener, None, start);
    apply_due(&mut presence, &mut room, start);
    send_next(&mut room);
    presence.update_from_room(&room, start);
    for second in 1..=16 {
        let now = start + Duration::from_secs(second);
        presence.update_downloads(M1, &progress(1), now);
        presence.record_acknowledgement(M1, TrackId(2), now);
        let dropped = apply_due(&mut presence, &mut room, now);
        assert_eq!(dropped.len(), usize::from(second == 16), "{second} s");
    }
}

#[test]
fn vanished_listener_departs_early_despite_a_long_leave_grace() {
    let (mut room, start) = (room(), Instant::now());
    let mut presence = Presence::new(&room, 60 * LEAVE_GRACE, start);
    let stream = presence.open_stream(M1, Role::Listener, None, start);
    apply_due(&mut presence, &mut room, start);
    presence.close_stream(stream, Departure::Vanished, start);
    let departed = apply_due(&mut presence, &mut room, start + VANISHED_GRACE);
    assert_eq!(departed.len(), 1);
}

#[test]
fn member_that_only_reconnects_is_dropped() {
    let (mut room, start) = (room(), Instant::now());
    let mut presence = Presence::new(&room, LEAVE_GRACE, start);
    let mut stream = presence.open_stream(M1, Role::Listener, None, start);
    apply_due(&mut presence, &mut room, start);
    send_next(&mut room);
    presence.update_from_room(&room, start);
    for second in 1..=15 {
        let now = start + Duration::from_secs(second);
        presence.close_stream(stream, Departure::Left, now);
        stream = presence.open_stream(M1, Role::Listener, None, now);
        let dropped = apply_due(&mut presence, &mut room, now);
        assert_eq!(dropped.len(), usize::from(second == 15), "{second} s");
    }
}

#[test]
fn restarted_server_gives_members_of_its_barrier_time_to_reconnect() {
    let (mut room, start) = (room(), Instant::now());
    apply(
        &mut room,
        Command::Arrive {
            member: M1,
            playback: None,
        },
    );
    send_next(&mut room);
    let mut room = Room::restore(room.durable, room.private);
    let mut presence = Presence::new(&room, LEAVE_GRACE, start);
    assert_eq!(
        apply_due(&mut presence, &mut room, start + 2 * LEAVE_GRACE),
        []
    );
    let departed = apply_due(&mut presence, &mut room, start + RESTART_GRACE);
    assert_eq!(departed, [depart(Departure::Vanished)]);
}

fn report(off_ms: f64, needs_ms: f64, waits_for_tap: bool) -> SyncReport {
    SyncReport {
        off_ms: Some(off_ms),
        round_trip_ms: 8.0,
        latency_ms: 40.0,
        needs_ms,
        waits_for_tap,
        paused_alone: false,
    }
}

#[test]
fn sync_report_counts_as_a_change_only_if_snapshots_show_it() {
    let (room, start) = (room(), Instant::now());
    let mut presence = Presence::new(&room, LEAVE_GRACE, start);
    presence.open_stream(M1, Role::Listener, None, start);
    let silent = SyncReport {
        off_ms: None,
        ..report(2.0, 80.0, false)
    };
    let paused = SyncReport {
        paused_alone: true,
        ..report(2.0, 80.0, true)
    };
    for (sent, change) in [
        (report(1.0, 50.0, false), SyncChange::Measurements),
        (report(1.0, 50.0, false), SyncChange::None),
        (report(1.04, 50.0, false), SyncChange::None),
        (report(1.04, 80.0, false), SyncChange::None),
        (report(1.06, 80.0, false), SyncChange::Measurements),
        (report(1.06, 80.0, true), SyncChange::Audibility),
        (report(2.0, 80.0, true), SyncChange::Measurements),
        (paused, SyncChange::Audibility),
        (report(2.0, 80.0, true), SyncChange::Audibility),
        (report(2.0, 80.0, false), SyncChange::Audibility),
        (silent, SyncChange::Audibility),
        (report(2.0, 80.0, false), SyncChange::Measurements),
    ] {
        assert_eq!(presence.update_sync(M1, sent), change, "{sent:?}");
        assert_eq!(
            presence.connected_devices().sync_statuses[&M1],
            sent.status()
        );
        let needs: Vec<_> = presence.needs_ms().collect();
        let expected: &[_] = if sent.waits_for_tap {
            &[]
        } else {
            &[Some(sent.needs_ms)]
        };
        assert_eq!(needs, expected, "{sent:?}");
    }
}

#[test]
fn sync_report_of_a_device_that_does_not_listen_is_ignored() {
    let (room, start) = (room(), Instant::now());
    let mut presence = Presence::new(&room, LEAVE_GRACE, start);
    let sent = report(1.0, 50.0, true);
    assert_eq!(presence.update_sync(M1, sent), SyncChange::None);
    presence.open_stream(M1, Role::Remote, None, start);
    assert_eq!(presence.update_sync(M1, sent), SyncChange::None);
    assert!(presence.connected_devices().sync_statuses.is_empty());
    assert_eq!(presence.needs_ms().count(), 0);
}

#[test]
fn sync_report_is_kept_across_a_reconnect_and_removed_at_departure() {
    let (mut room, start) = (room(), Instant::now());
    let mut presence = Presence::new(&room, LEAVE_GRACE, start);
    let sent = report(1.0, 700.0, false);
    let stream = presence.open_stream(M1, Role::Listener, None, start);
    apply_due(&mut presence, &mut room, start);
    presence.update_sync(M1, sent);
    presence.close_stream(stream, Departure::Left, start);
    assert_eq!(presence.needs_ms().count(), 0, "no stream is open");
    let report_without_stream = report(5.0, 20.0, true);
    assert_eq!(
        presence.update_sync(M1, report_without_stream),
        SyncChange::None
    );
    let stream = presence.open_stream(M1, Role::Listener, None, start);
    assert_eq!(presence.needs_ms().next(), Some(Some(700.0)));
    assert_eq!(
        presence.connected_devices().sync_statuses[&M1],
        sent.status()
    );
    presence.close_stream(stream, Departure::Left, start);
    apply_due(&mut presence, &mut room, start + LEAVE_GRACE);
    assert!(presence.connected_devices().sync_statuses.is_empty());
    presence.open_stream(M1, Role::Listener, None, start + LEAVE_GRACE);
    assert_eq!(presence.needs_ms().next(), Some(None));
}

#[test]
fn sync_report_is_removed_when_its_device_is_unpaired() {
    let (room, start) = (room(), Instant::now());
    let mut presence = Presence::new(&room, LEAVE_GRACE, start);
    presence.open_stream(M1, Role::Listener, None, start);
    presence.update_sync(M1, report(1.0, 50.0, false));
    presence.remove_device(M1);
    assert!(presence.connected_devices().sync_statuses.is_empty());
}

#[test]
fn device_with_listener_and_remote_streams_is_shown_as_a_listener() {
    let (room, start) = (room(), Instant::now());
    let mut presence = Presence::new(&room, LEAVE_GRACE, start);
    let _remote = presence.open_stream(M1, Role::Remote, None, start);
    assert!(presence.connected_devices().remotes.contains(&M1));
    let listener = presence.open_stream(M1, Role::Listener, None, start);
    assert!(!presence.connected_devices().remotes.contains(&M1));
    presence.close_stream(listener, Departure::Left, start);
    assert!(presence.connected_devices().remotes.contains(&M1));
}

#[test]
fn download_is_shown_until_it_ends_or_its_track_is_acknowledged() {
    let ended = |shown| DownloadSignals {
        shown,
        ..DownloadSignals::default()
    };
    let ended_if_shown = |track| ended(ShownDownloadChange::EndedIfShown([track].into()));
    let (room, start) = (room(), Instant::now());
    let mut presence = Presence::new(&room, LEAVE_GRACE, start);
    let is_shown = |presence: &Presence| presence.connected_devices().downloads.contains_key(&M1);
    presence.update_downloads(M1, &progress(1), start);
    assert!(!is_shown(&presence), "the device does not listen");
    presence.open_stream(M1, Role::Listener, None, start);
    for (end, ends) in [
        (ended(ShownDownloadChange::Ended), true),
        (ended_if_shown(TRACK), true),
        (ended_if_shown(TrackId(2)), false),
    ] {
        presence.update_downloads(M1, &progress(1), start);
        assert!(is_shown(&presence));
        presence.update_downloads(M1, &end, start);
        assert_eq!(!is_shown(&presence), ends, "{end:?}");
    }
    presence.record_acknowledgement(M1, TrackId(2), start);
    assert!(is_shown(&presence), "another track was acknowledged");
    presence.record_acknowledgement(M1, TRACK, start);
    assert!(!is_shown(&presence));
}
