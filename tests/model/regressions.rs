//! Histories that once broke an invariant, as `random` printed them, and rare ones.

use super::coverage::Coverage;
use super::step::{Step, Step::*, TrackRef::*, format_as_regression};

/// Replays a history, and checks that `random` would still print the history in this form.
fn replay(steps: &[Step]) -> Coverage {
    let text = format_as_regression(steps);
    assert!(
        include_str!("regressions.rs").contains(text.trim_start().trim_end_matches(";\n")),
        "the history is printed differently now:\n{text}"
    );
    super::world::replay(steps)
}

/// Found in a core with a deliberate bug: the core accepted position reports at any time after a restart.
#[test]
fn position_reports_are_ignored_ten_seconds_after_a_restart() {
    let coverage = replay(&[
        EndOfTrack,
        AddListeners(1),
        AllAcknowledge(Current),
        Restart(false),
        Arrive(0, None),
        AllAcknowledge(Current),
        Wait(9971),
        Arrive(0, Some((Number(1), 0.0))),
    ]);
    assert_eq!((coverage.restarts, coverage.positions_reported), (1, 0));
}

/// Found in a core with a deliberate bug: at the promised start, the core waited for a listener that arrived after the
/// promise.
#[test]
fn segue_does_not_wait_for_a_listener_that_arrived_after_it() {
    let coverage = replay(&[
        AddListeners(4),
        Rescan(1, 0),
        Play(0, 0.0),
        AllAcknowledge(Current),
        Pair,
        Arrive(4, None),
        WaitForTheEnd(0),
        Next(0),
    ]);
    assert_eq!((coverage.segues_kept, coverage.skipped), (1, 1));
}

/// Found in a core with a bug: the track that started again was not levelled, because it had been the current one before.
#[test]
fn the_only_track_gets_its_promised_gain_when_it_starts_again() {
    let coverage = replay(&[
        AddListeners(1),
        Rescan(1, 0),
        AllAcknowledge(Current),
        Play(0, 0.0),
        Rescan(1, 1),
        WaitForTheEnd(0),
        Next(0),
    ]);
    assert_eq!(coverage.segues_kept, 1);
}

/// Found in a core with a bug: the event of the vote ended the promise, so the track got another gain than the devices that had
/// started it already.
#[test]
fn track_that_votes_start_after_its_promised_start_keeps_the_promised_gain() {
    let coverage = replay(&[
        AddListeners(4),
        ChangeRules(0, 15),
        AllAcknowledge(NextUp),
        EndOfTrack,
        AllAcknowledge(NextUp),
        Wait(50120),
        Rescan(63, 1),
        VoteSkip(0, Current, true),
    ]);
    assert_eq!(
        (coverage.skipped_by_vote, coverage.promised_gains_kept),
        (1, 1)
    );
}

/// Too rare in random histories to occur in each run of them.
#[test]
fn a_promised_gain_is_kept_if_the_catalog_changes_after_the_start() {
    let coverage = replay(&[
        AddListeners(1),
        AllAcknowledge(Current),
        AllAcknowledge(NextUp),
        Play(0, 0.0),
        WaitForTheEnd(0),
        Rescan(63, 1),
        Next(0),
    ]);
    assert_eq!(coverage.promised_gains_kept, 1);
}

/// Found in a core with a bug: a pick that had stayed first because its start was promised kept its place before one with more votes.
#[test]
fn going_back_sorts_the_picks_behind_a_promised_one() {
    replay(&[
        AddListeners(3),
        ChangeRules(0, 6),
        Leave(0),
        Pick(0, NextUp, Number(2)),
        AllAcknowledge(NextUp),
        Leave(0),
        LateAck(0, 0),
        Play(0, 0.0),
        VotePick(0, NthPick(5), true),
        Previous(0),
    ]);
}

/// Found in a core with a bug: the undo of a pick restored an order that only a promise before the restart had permitted.
#[test]
fn undo_sorts_the_picks_if_a_promised_start_has_ended() {
    replay(&[
        AddListeners(3),
        EndOfTrack,
        ChangeRules(9, 6),
        AllAcknowledge(NextUp),
        Leave(0),
        Next(0),
        Next(0),
        Ack(0, Current, false),
        DecodedAck(5, Current, 0),
        Pick(0, NextUp, Number(2)),
        VotePick(0, NthPick(1), true),
        ChangeRules(0, 5),
        Restart(false),
        Pick(2, Number(0), Current),
        Undo(8),
    ]);
}
