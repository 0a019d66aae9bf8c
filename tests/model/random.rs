//! Random histories of a room with up to twelve listeners, with restarts and rescans.
//!
//! `LOCKSTEP_MODEL_STEPS` says how many accepted commands to check (default: a short run). A history that breaks something
//! is shrunk to the shortest one that still does, and printed as a call of `replay`, to be pasted into a test.

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};

use super::counts::Counts;
use super::quiet;
use super::world::{ALL, MEMBERS, Step, TRACKS, Track, printed, replay};

/// The longest history.
const LONGEST: usize = 120;
/// With so many commands checked, the rarest things have happened.
const ENOUGH: u64 = 20_000;

/// In tenths of a second, which are easily read, and sometimes past every end.
fn position() -> impl Strategy<Value = f64> + Clone {
    prop_oneof![
        6 => (0..2_000u16).prop_map(|tenths| f64::from(tenths) / 10.0),
        1 => Just(0.0),
        1 => Just(1e300),
    ]
}

fn track() -> impl Strategy<Value = Track> + Clone {
    prop_oneof![
        4 => Just(Track::Current),
        2 => Just(Track::NextUp),
        2 => (0..TRACKS).prop_map(Track::Number),
    ]
}

/// Which tracks there are: often all, so that some other change of them matters.
fn library() -> impl Strategy<Value = u8> {
    prop_oneof![Just(ALL), 0..=ALL]
}

/// Listeners stay for a while: there are many more arrivals than departures.
fn step() -> impl Strategy<Value = Step> {
    let member = 0..MEMBERS;
    prop_oneof![
        4 => (member.clone(), position()).prop_map(|(m, p)| Step::Play(m, p)),
        1 => (member.clone(), position()).prop_map(|(m, p)| Step::Pause(m, p)),
        1 => (member.clone(), position()).prop_map(|(m, p)| Step::Seek(m, p)),
        3 => member.clone().prop_map(Step::Next),
        2 => (member.clone(), track()).prop_map(|(m, t)| Step::Nudge(m, t)),
        12 => (member.clone(), track(), prop::bool::weighted(0.8)).prop_map(|(m, t, p)| Step::Ack(m, t, p)),
        4 => (member.clone(), 0..8u8).prop_map(|(m, n)| Step::AckLate(m, n)),
        3 => track().prop_map(Step::AllHave),
        2 => member.clone().prop_map(Step::StartNow),
        1 => member.clone().prop_map(Step::Stale),
        1 => Just(Step::Stranger),
        2 => Just(Step::Pair),
        1 => member.clone().prop_map(Step::PairAgain),
        1 => (member.clone(), 0..3u8).prop_map(|(m, n)| Step::Rename(m, n)),
        1 => (member.clone(), 0..=MEMBERS, -2..3i8).prop_map(|(m, n, ms)| Step::Tune(m, n, ms)),
        1 => member.clone().prop_map(Step::Leave),
        1 => (member.clone(), 0..=MEMBERS).prop_map(|(m, n)| Step::Unpair(m, n)),
        8 => (member.clone(), prop::option::of((track(), position()))).prop_map(|(m, h)| Step::Arrive(m, h)),
        1 => (member.clone(), any::<bool>()).prop_map(|(m, v)| Step::Depart(m, v)),
        1 => member.prop_map(Step::Excuse),
        2 => Just(Step::EndOfTrack),
        2 => (library(), 0..4u8).prop_map(|(mask, longer)| Step::Rescan(mask, longer)),
        1 => prop::bool::weighted(0.8).prop_map(Step::Restart),
        1 => (0..=MEMBERS).prop_map(Step::Crowd),
        1 => any::<u16>().prop_map(Step::Wait),
        3 => (-1_000..15_000i16).prop_map(Step::WaitForTheEnd),
    ]
}

/// So many pair and listen first, then anything happens.
fn history() -> impl Strategy<Value = Vec<Step>> {
    let start = 0..=MEMBERS;
    let steps = prop::collection::vec(step(), 1..LONGEST);
    (start, steps).prop_map(|(start, mut steps)| {
        steps.insert(0, Step::Crowd(start));
        steps
    })
}

/// The shortest history that fails, and how.
struct Failure {
    why: String,
    steps: Vec<Step>,
}

/// Takes histories through `run` until so many commands are checked.
fn search(checked: u64, run: impl Fn(&[Step]) -> Counts) -> Result<Counts, Failure> {
    let mut runner = TestRunner::new(Config {
        max_shrink_iters: 20_000,
        ..Config::default()
    });
    let counts = RefCell::new(Counts::default());
    while counts.borrow().checked < checked {
        let tree = history()
            .new_tree(&mut runner)
            .expect("nothing is filtered out");
        let outcome = runner.run_one(tree, |steps| {
            let done = quiet::catch(|| run(&steps)).map_err(TestCaseError::fail)?;
            counts.borrow_mut().add(&done);
            Ok(())
        });
        match outcome {
            Ok(_) => {}
            Err(TestError::Fail(why, steps)) => {
                let why = why.to_string();
                return Err(shortest(Failure { why, steps }, run));
            }
            Err(TestError::Abort(why)) => panic!("{why}"),
        }
    }
    Ok(counts.into_inner())
}

/// Leaves out one step after the other: simpler steps, which proptest has found, may need fewer others.
fn shortest(mut failure: Failure, run: impl Fn(&[Step]) -> Counts) -> Failure {
    let mut n = 0;
    while n < failure.steps.len() {
        let mut steps = failure.steps.clone();
        steps.remove(n);
        match quiet::catch(|| run(&steps)) {
            Ok(_) => n += 1,
            Err(why) => {
                failure = Failure { why, steps };
                n = 0;
            }
        }
    }
    failure
}

#[test]
fn whatever_happens_the_rooms_promises_hold() {
    let checked = std::env::var("LOCKSTEP_MODEL_STEPS").map_or(40_000, |text| {
        text.parse()
            .expect("LOCKSTEP_MODEL_STEPS is a number of steps")
    });
    let counts = search(checked, replay)
        .unwrap_or_else(|Failure { why, steps }| panic!("{why}\n\n{}", printed(&steps)));
    println!("{counts}");
    if checked >= ENOUGH {
        let most = usize::from(MEMBERS);
        for (what, often) in [
            ("twelve listeners", counts.listening[most]),
            ("a wait for twelve members", counts.waits[most]),
            ("a start without those missing", counts.skipped),
            ("a kept promise", counts.promises_kept),
            ("parked music", counts.parked),
            ("a place taken from a phone", counts.places_taken),
            ("a restart", counts.restarts),
        ] {
            assert!(often > 0, "never {what}");
        }
    }
}

#[test]
fn a_failure_shrinks_to_a_history_from_which_no_step_can_be_left_out() {
    let run = |steps: &[Step]| {
        let counts = replay(steps);
        assert_eq!(counts.skipped, 0, "nobody is ever left behind");
        counts
    };
    let Err(Failure { why, steps }) = search(ENOUGH, run) else {
        panic!("somebody is left behind in every long search");
    };
    assert!(why.contains("nobody is ever left behind"), "{why}");
    assert!(why.contains(file!()), "it says where: {why}");
    assert!(
        replay(&steps).skipped > 0,
        "it can be replayed: {}",
        printed(&steps)
    );
    for n in 0..steps.len() {
        let mut fewer = steps.clone();
        fewer.remove(n);
        assert_eq!(replay(&fewer).skipped, 0, "without step {n} of {steps:?}");
    }
}
