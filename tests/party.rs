//! A short party: a handful of synthetic phones use the real server as phones do, all at once and not always well,
//! and it keeps every promise meanwhile. A long one is `cargo run --release --example party`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on panics"
)]

pub mod common;
#[path = "../examples/party/crowd.rs"]
mod crowd;

use std::time::Duration;

use common::{CODE, Setup};
use crowd::Plan;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_comes_goes_stalls_and_presses_breaks_no_promise() {
    let grace = Duration::from_millis(1000);
    let server = Setup::fixtures()
        .flag("--leave-grace-ms=1000")
        .start()
        .await;
    let plan = Plan {
        url: server.url(""),
        code: CODE.into(),
        phones: 8,
        length: Duration::from_secs(10),
        seed: 4,
        grace,
        alone: true,
    };
    let report = crowd::run(plan, |progress| println!("{progress}"))
        .await
        .unwrap();
    println!("{report}");
    assert_eq!(report.breaches(), 0, "{report}");
    assert!(report.accepted() > 0, "{report}");
}
