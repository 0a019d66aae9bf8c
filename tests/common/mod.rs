//! Code shared by the whole-system tests: a real server in its own temporary folder, and phones, which are clients of the
//! server.
//!
//! The tests use the program only through its command line, files and sockets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot continue panics"
)]

pub mod client;
pub mod faulty_disk;
pub mod fifo;
pub mod http;
pub mod music;
pub mod network;
pub mod phone;
pub mod preload;
pub mod raw;
pub mod rooms;
pub mod server;
pub mod server_process;

pub use client::{Event, HttpResponse};
pub use phone::{Phone, durable_state};
pub use server::{Exit, Setup, TestServer};
pub use server_process::CODE;

use std::time::Duration;

/// The timeout of every wait. Even on a slow machine, only a test that hangs reaches the timeout.
pub const WAIT_TIMEOUT: Duration = Duration::from_secs(30);

/// Polls until `holds` returns true, for conditions that no event announces. `what` describes the condition in the
/// panic message after [`WAIT_TIMEOUT`].
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    in_time(what, waited).await;
}

/// Awaits `future`. `what` describes the awaited result in the panic message after [`WAIT_TIMEOUT`].
pub async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(WAIT_TIMEOUT, future).await {
        Ok(value) => value,
        Err(_) => panic!("timed out waiting for {what}"),
    }
}
