//! Checks random histories of a room with up to [`MAX_MEMBERS`] listeners, with restarts and rescans.
//!
//! The environment variable `LOCKSTEP_MODEL_STEPS` is the number of accepted commands to check; by default the run is short.
//! A history that breaks an invariant is shrunk, and printed as a call of `replay` to be copied into `regressions`.

use std::cell::RefCell;

use lockstep::room::SortOrder;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};

use super::catch_panic;
use super::coverage::Coverage;
use super::rule_changes::CHANGES;
use super::step::{Step, TrackRef, format_as_regression};
use super::world::{ALL_TRACKS, MAX_MEMBERS, TRACKS, replay};

/// The upper bound of the number of random steps in a history.
const MAX_STEPS: usize = 120;
/// The number of checked commands after which every situation that the test requires has practically certainly occurred.
const MIN_COVERING_COMMANDS: u64 = 20_000;

/// A position in seconds: mostly a multiple of a tenth, for readable output, and sometimes far beyond the end of every
/// track.
fn position() -> impl Strategy<Value = f64> + Clone {
    prop_oneof![
        6 => (0..2_000u16).prop_map(|tenths| f64::from(tenths) / 10.0),
        1 => Just(0.0),
        1 => Just(1e300),
    ]
}

fn track() -> impl Strategy<Value = TrackRef> + Clone {
    prop_oneof![
        4 => Just(TrackRef::Current),
        2 => Just(TrackRef::NextUp),
        3 => (0..TRACKS).prop_map(TrackRef::Number),
    ]
}

fn sort_order() -> impl Strategy<Value = SortOrder> {
    use SortOrder::{Added, Album, Artist, Title};
    prop::sample::select(vec![Album, Artist, Title, Added])
}

/// The track of a vote: mostly a pick.
fn voted_track() -> impl Strategy<Value = TrackRef> + Clone {
    prop_oneof![
        6 => (0..TRACKS).prop_map(TrackRef::NthPick),
        1 => track(),
    ]
}

/// The number of a device that is to be DJ, often the same one.
fn candidate() -> impl Strategy<Value = Option<u8>> + Clone {
    prop_oneof![
        3 => Just(Some(0)),
        2 => Just(None),
        1 => (0..=MAX_MEMBERS).prop_map(Some),
    ]
}

/// A bit mask of the tracks in a new catalog. Often contains all tracks, so that the next rescan can remove some.
fn track_mask() -> impl Strategy<Value = u8> {
    prop_oneof![Just(ALL_TRACKS), 0..=ALL_TRACKS]
}

/// A random step. The numbers are relative frequencies. Arrivals are much more frequent than departures, so that the room
/// has listeners most of the time.
pub(crate) fn step() -> impl Strategy<Value = Step> {
    let member = 0..MAX_MEMBERS;
    prop_oneof![
        4 => (member.clone(), position()).prop_map(|(m, p)| Step::Play(m, p)),
        1 => (member.clone(), position()).prop_map(|(m, p)| Step::Pause(m, p)),
        1 => (member.clone(), position()).prop_map(|(m, p)| Step::Seek(m, p)),
        3 => member.clone().prop_map(Step::Next),
        2 => (member.clone(), track()).prop_map(|(m, t)| Step::Ended(m, t)),
        1 => member.clone().prop_map(Step::Previous),
        2 => (member.clone(), track()).prop_map(|(m, t)| Step::PlayNow(m, t)),
        2 => (member.clone(), track()).prop_map(|(m, t)| Step::Nudge(m, t)),
        9 => (member.clone(), track(), track()).prop_map(|(m, t, u)| Step::Pick(m, t, u)),
        2 => (member.clone(), track(), track()).prop_map(|(m, t, u)| Step::Unpick(m, t, u)),
        2 => (member.clone(), track(), prop::option::of(track())).prop_map(|(m, t, u)| Step::Move(m, t, u)),
        1 => (member.clone(), 0..9u8).prop_map(|(m, s)| Step::Shuffle(m, s)),
        1 => (member.clone(), sort_order()).prop_map(|(m, o)| Step::Sort(m, o)),
        3 => member.clone().prop_map(Step::Undo),
        12 => (member.clone(), track(), prop::bool::weighted(0.8)).prop_map(|(m, t, p)| Step::Ack(m, t, p)),
        4 => (member.clone(), track(), -5..100i8).prop_map(|(m, t, tenths)| Step::DecodedAck(m, t, tenths)),
        4 => (member.clone(), 0..8u8).prop_map(|(m, n)| Step::LateAck(m, n)),
        3 => track().prop_map(Step::AllAcknowledge),
        2 => member.clone().prop_map(Step::StartNow),
        1 => member.clone().prop_map(Step::StaleNext),
        1 => Just(Step::UnpairedSender),
        2 => Just(Step::Pair),
        1 => member.clone().prop_map(Step::PairAgain),
        1 => (member.clone(), 0..3u8).prop_map(|(m, n)| Step::Rename(m, n)),
        1 => (member.clone(), 0..=MAX_MEMBERS, -2..3i8).prop_map(|(m, n, ms)| Step::Tune(m, n, ms)),
        2 => (member.clone(), 0..2u8).prop_map(|(m, kind)| Step::Describe(m, kind)),
        1 => (member.clone(), 0..=MAX_MEMBERS, -2..1i8).prop_map(|(m, n, db)| Step::Trim(m, n, db)),
        4 => (member.clone(), 0..CHANGES).prop_map(|(m, n)| Step::ChangeRules(m, n)),
        1 => member.clone().prop_map(|m| Step::ChangeRules(m, 0)),
        // The orders of picks, and the party.
        5 => (member.clone(), prop::sample::select(vec![5, 6, 6, 15])).prop_map(|(m, n)| Step::ChangeRules(m, n)),
        3 => (member.clone(), 0..=MAX_MEMBERS, any::<bool>()).prop_map(|(m, n, h)| Step::ChangeHosts(m, n, h)),
        1 => (0..=MAX_MEMBERS).prop_map(Step::MakeHost),
        3 => (member.clone(), candidate()).prop_map(|(m, dj)| Step::ChangeDj(m, dj)),
        1 => (member.clone(), any::<u8>()).prop_map(|(m, seed)| Step::ChooseDj(m, seed)),
        1 => member.clone().prop_map(Step::DjGone),
        5 => (member.clone(), candidate(), 0..3u8).prop_map(|(m, dj, n)| Step::VoteDj(m, dj, n)),
        5 => (member.clone(), track(), prop::bool::weighted(0.8)).prop_map(|(m, t, up)| Step::VoteSkip(m, t, up)),
        8 => (member.clone(), voted_track(), prop::bool::weighted(0.7)).prop_map(|(m, t, up)| Step::VotePick(m, t, up)),
        1 => member.clone().prop_map(Step::Leave),
        1 => (member.clone(), 0..=MAX_MEMBERS).prop_map(|(m, n)| Step::Unpair(m, n)),
        8 => (member.clone(), prop::option::of((track(), position()))).prop_map(|(m, r)| Step::Arrive(m, r)),
        1 => (member.clone(), any::<bool>()).prop_map(|(m, v)| Step::Depart(m, v)),
        1 => member.prop_map(Step::DropStalled),
        2 => Just(Step::EndOfTrack),
        2 => (track_mask(), 0..4u8).prop_map(|(mask, longer)| Step::Rescan(mask, longer)),
        1 => prop::bool::weighted(0.8).prop_map(Step::Restart),
        1 => (0..=MAX_MEMBERS).prop_map(Step::AddListeners),
        1 => any::<u16>().prop_map(Step::Wait),
        3 => (-1_000..15_000i16).prop_map(Step::WaitForTheEnd),
    ]
}

/// A random history that starts with a random number of listeners, and often with a change of the rules.
fn history() -> impl Strategy<Value = Vec<Step>> {
    let listeners = 0..=MAX_MEMBERS;
    let rules = prop::option::of(0..CHANGES);
    let steps = prop::collection::vec(step(), 1..MAX_STEPS);
    (listeners, rules, steps).prop_map(|(listeners, rules, mut steps)| {
        if let Some(change) = rules {
            steps.insert(0, Step::ChangeRules(0, change));
        }
        steps.insert(0, Step::AddListeners(listeners));
        steps
    })
}

/// A history that breaks an invariant, and the message of the failed assertion.
struct Failure {
    message: String,
    steps: Vec<Step>,
}

/// Calls `run` with random histories until `checked` commands were checked, or until a history fails and has been shrunk.
fn search(checked: u64, run: impl Fn(&[Step]) -> Coverage) -> Result<Coverage, Failure> {
    let mut runner = TestRunner::new(Config {
        max_shrink_iters: 20_000,
        ..Config::default()
    });
    let coverage = RefCell::new(Coverage::default());
    while coverage.borrow().checked < checked {
        let tree = history()
            .new_tree(&mut runner)
            .expect("the strategy filters nothing");
        let result = runner.run_one(tree, |steps| {
            let history = catch_panic::catch(|| run(&steps)).map_err(TestCaseError::fail)?;
            coverage.borrow_mut().add(&history);
            Ok(())
        });
        match result {
            Ok(_) => {}
            Err(TestError::Fail(reason, steps)) => {
                let message = reason.to_string();
                return Err(remove_steps(Failure { message, steps }, run));
            }
            Err(TestError::Abort(reason)) => panic!("{reason}"),
        }
    }
    Ok(coverage.into_inner())
}

/// Removes steps as long as the history still fails. Needed because proptest first removes steps and then simplifies the
/// remaining ones, after which further steps are often superfluous.
fn remove_steps(mut failure: Failure, run: impl Fn(&[Step]) -> Coverage) -> Failure {
    let mut n = 0;
    while n < failure.steps.len() {
        let mut steps = failure.steps.clone();
        steps.remove(n);
        match catch_panic::catch(|| run(&steps)) {
            Ok(_) => n += 1,
            Err(message) => {
                failure = Failure { message, steps };
                n = 0;
            }
        }
    }
    failure
}

/// The value of `LOCKSTEP_MODEL_STEPS`.
pub(super) fn requested_steps() -> Option<u64> {
    let text = std::env::var("LOCKSTEP_MODEL_STEPS").ok()?;
    Some(
        text.parse()
            .expect("LOCKSTEP_MODEL_STEPS is a number of steps"),
    )
}

#[test]
fn random_histories_keep_the_invariants() {
    let checked = requested_steps().unwrap_or(40_000);
    let coverage = search(checked, replay).unwrap_or_else(|Failure { message, steps }| {
        panic!("{message}\n\n{}", format_as_regression(&steps))
    });
    println!("{coverage}");
    if checked >= MIN_COVERING_COMMANDS {
        let all = usize::from(MAX_MEMBERS);
        for (situation, count) in [
            ("all devices listen", coverage.listening[all]),
            ("a barrier waits for all devices", coverage.waits[all]),
            ("a start without missing members", coverage.skipped),
            ("a kept segue", coverage.segues_kept),
            ("a moved segue", coverage.segues_moved),
            ("parked playback", coverage.parked),
            (
                "a position taken from a report",
                coverage.positions_reported,
            ),
            (
                "a gain that became known before the start",
                coverage.levelled,
            ),
            ("a restart", coverage.restarts),
            ("a removed current track", coverage.removed_current),
            ("a removed pick", coverage.removed_picks),
            ("a library change with picks", coverage.library_with_picks),
            ("an undone order", coverage.undone),
            ("an undone start", coverage.undone_starts),
            ("an end that a device reported", coverage.reported_ends),
            ("a pick of a device that has left", coverage.orphaned_picks),
            ("a command that is not permitted", coverage.forbidden),
            ("a host by a first change", coverage.claimed),
            ("a DJ changed by votes", coverage.elected),
            ("a track skipped by votes", coverage.skipped_by_vote),
            ("a changed order", coverage.reordered),
            ("a pick voted up", coverage.voted_up),
            ("a pinned pick", coverage.pinned),
            ("picks in turns", coverage.by_order[1]),
            ("picks by votes", coverage.by_order[2]),
        ] {
            assert!(count > 0, "did not occur: {situation}");
        }
    }
}

#[test]
fn failures_shrink_to_a_history_without_superfluous_steps() {
    let run = |steps: &[Step]| {
        let coverage = replay(steps);
        assert_eq!(coverage.skipped, 0, "a member was skipped");
        coverage
    };
    let Err(Failure { message, steps }) = search(MIN_COVERING_COMMANDS, run) else {
        panic!("no history skipped a member, although skipping one must fail");
    };
    assert!(message.contains("a member was skipped"), "{message}");
    assert!(
        message.contains(file!()),
        "the message must contain the location of the panic: {message}"
    );
    assert!(
        replay(&steps).skipped > 0,
        "the shrunk history must fail when it is replayed: {}",
        format_as_regression(&steps)
    );
    for n in 0..steps.len() {
        let mut fewer = steps.clone();
        fewer.remove(n);
        assert_eq!(replay(&fewer).skipped, 0, "without step {n} of {steps:?}");
    }
}
