//! A short run of the `party` load test against the real server. `cargo run --release --example party` runs it for longer.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

#[path = "../examples/party.rs"]
#[allow(dead_code, reason = "only the example uses main")]
pub mod party;

use std::path::Path;

use clap::Parser;

/// The simulated party lasts ten seconds. Then the test waits until the server has removed two phones that never become ready.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn party_with_unreliable_phones_violates_no_invariant() {
    run_party(&["--phones=8"]).await;
}

/// Each room is checked on its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn party_in_three_rooms_violates_no_invariant() {
    run_party(&["--phones=9", "--rooms=3"]).await;
}

async fn run_party(flags: &[&str]) {
    let music_folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let args = [
        "party",
        "--minutes=0.17",
        "--votes-per-minute=40",
        "--messages-per-minute=60",
        "--seed=4",
        "--leave-grace-ms=1000",
        "--audio-dir",
        music_folder.to_str().unwrap(),
    ];
    let args = args.iter().chain(flags);
    let exit_code = party::exit_code(party::Args::parse_from(args)).await;
    assert_eq!(
        exit_code, 0,
        "the party violated an invariant; see the printed report"
    );
}
