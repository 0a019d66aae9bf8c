//! Barriers: which devices are members, and when a barrier is released.

use super::*;

#[test]
fn play_releases_at_once_if_all_listeners_have_the_track() {
    let mut room = room(2);
    assert_eq!(
        send(&mut room, 1, Control::Play { position_sec: 5.0 }),
        ["barrier.opened", "barrier.release"]
    );
    assert_eq!(room.live.anchor_at_ms, Some(1_150.0));
    assert_eq!(room.position_sec(2_150.0), 6.0);
}

#[test]
fn acknowledgement_matches_any_count_since_the_barrier_opened() {
    let mut room = room(0);
    for n in 1..=2 {
        add_listener(&mut room, n);
    }
    let before = room.durable.event_count;
    send(&mut room, 1, Control::Play { position_sec: 0.0 });
    let opened = room.durable.event_count;
    run(&mut room, pair(9));
    let late_ack = |member, if_match| Command::Control {
        member: MemberId(member),
        if_match,
        control: ack(1),
    };
    assert_eq!(
        apply(&room, &late_ack(1, before), CONTEXT),
        Err(Rejection::Stale {
            expected: opened + 1
        })
    );
    assert_eq!(run(&mut room, late_ack(1, opened)), ["barrier.ready"]);
    assert_eq!(
        run(&mut room, late_ack(2, opened)),
        ["barrier.ready", "barrier.release"]
    );
}

#[test]
fn barrier_without_listeners_waits_for_the_first_arrival() {
    let mut room = room(1);
    run(
        &mut room,
        Command::Depart {
            member: MemberId(1),
            how: Departure::Left,
        },
    );
    assert_eq!(
        send(&mut room, 1, Control::Next),
        ["queue.advanced", "barrier.opened"]
    );
    assert_eq!(
        run(
            &mut room,
            Command::Arrive {
                member: MemberId(1),
                playback: None
            }
        ),
        ["barrier.opened"]
    );
    assert_eq!(
        send(&mut room, 1, ack(2)),
        ["barrier.ready", "barrier.release"]
    );
}

#[test]
fn start_now_emits_one_event_for_each_skipped_member() {
    let mut room = room(1);
    for n in 2..=3 {
        add_listener(&mut room, n);
    }
    assert_eq!(
        send(&mut room, 1, Control::Next),
        ["queue.advanced", "barrier.opened"]
    );
    assert_eq!(
        send(&mut room, 1, Control::StartNow),
        ["barrier.shrunk", "barrier.shrunk", "barrier.release"]
    );
}

#[test]
fn dropping_the_last_stalled_member_releases_the_barrier() {
    let mut room = room(0);
    add_listener(&mut room, 1);
    send(&mut room, 1, Control::Play { position_sec: 0.0 });
    let events = run(
        &mut room,
        Command::DropStalled {
            member: MemberId(1),
        },
    );
    assert_eq!(events, ["barrier.shrunk", "barrier.release"]);
}
