//! Histories that broke something, pasted as they were printed.

use super::counts::Counts;
use super::world::{Step, Step::*, Track::*, printed};

/// Replays what was pasted, which must still be printed like that.
fn replay(steps: &[Step]) -> Counts {
    let text = printed(steps);
    assert!(
        include_str!("found.rs").contains(text.trim_start().trim_end_matches(";\n")),
        "it is no longer printed like this, but:\n{text}"
    );
    super::world::replay(steps)
}

/// From a core that was broken on purpose: it took a phone's place at any time after a restart.
#[test]
fn ten_seconds_after_a_restart_a_phone_that_plays_elsewhere_moves_nobody() {
    let counts = replay(&[
        EndOfTrack,
        Crowd(1),
        AllHave(Current),
        Restart(false),
        Arrive(0, None),
        AllHave(Current),
        Wait(9971),
        Arrive(0, Some((Number(1), 0.0))),
    ]);
    assert_eq!((counts.restarts, counts.places_taken), (1, 0));
}

/// From a core that was broken on purpose: it waited for the newcomer.
#[test]
fn a_promised_start_waits_for_nobody_who_came_after_the_promise() {
    let counts = replay(&[
        Crowd(4),
        Rescan(1, 0),
        Play(0, 0.0),
        AllHave(Current),
        Pair,
        Arrive(4, None),
        WaitForTheEnd(0),
        Next(0),
    ]);
    assert_eq!((counts.promises_kept, counts.skipped), (1, 1));
}
