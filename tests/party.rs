//! A short party: a handful of synthetic phones use the real server as phones do, all at once and not always well,
//! and it keeps every promise meanwhile. A long one is `cargo run --release --example party`, and this is its code.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on panics"
)]

#[path = "../examples/party.rs"]
#[allow(dead_code, reason = "main is the example's")]
mod party;

use std::path::Path;

use clap::Parser;

/// Ten seconds of it, and then as long as the server waits for two that never get ready.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_comes_goes_stalls_and_presses_breaks_no_promise() {
    let music = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let args = [
        "party",
        "--phones=8",
        "--minutes=0.17",
        "--seed=4",
        "--leave-grace-ms=1000",
        "--audio-dir",
        music.to_str().unwrap(),
    ];
    let status = party::status(party::Args::parse_from(args)).await;
    assert_eq!(status, 0, "the report above says why");
}
