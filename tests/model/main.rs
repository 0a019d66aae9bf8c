//! Checks the pure core (`lockstep::room`) against its invariants: in long random histories of commands, and in all short
//! histories of a small room. The terms (segue, barrier, next-up, parked and others) are explained in `src/room.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed step of a test panics"
)]

mod catch_panic;
mod coverage;
mod exhaustive;
mod house;
mod invariants;
mod random;
mod regressions;
mod rule_changes;
mod step;
mod world;
