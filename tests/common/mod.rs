//! What the whole-system tests share: a real server in a folder of its own, and phones that talk to it.
//!
//! The tests know the program only from outside: its command line, its files and its sockets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on panics"
)]

pub mod faulty_disk;
pub mod music;
pub mod network;
pub mod phone;
pub mod raw;
pub mod server;

pub use phone::{Answer, Event, Phone, durable};
pub use server::{CODE, Exit, Setup, TestServer};

use std::time::Duration;

/// How long anything may take before a test gives up: only a hang is this slow, on any machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until that holds, for what no event tells of, or panics and says what was waited for in vain.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    in_time(what, waited).await;
}

/// `future`, or a panic that says what was waited for in vain.
pub async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited in vain for {what}"),
    }
}
