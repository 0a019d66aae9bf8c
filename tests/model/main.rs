//! The pure core against everything that it promises: at random and at length, and exhaustively in small.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on panics"
)]

mod counts;
mod exhaustive;
mod found;
mod promises;
mod quiet;
mod random;
mod world;
