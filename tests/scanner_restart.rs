//! After a panic of the library scanner, the server refuses rescans until it has restarted the scanner.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use common::{Phone, Setup, TestServer, music, until};

/// Sets the soft limit on the threads of the server's user; `None` raises it to the hard limit.
fn set_thread_limit(server: &TestServer, limit: Option<u32>) {
    let process = format!("/proc/{}", server.pid());
    let limits = fs::read_to_string(format!("{process}/limits")).unwrap();
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max processes"));
    let hard_limit = line.unwrap().split_whitespace().nth(1).unwrap();
    let soft_limit = limit.map_or(hard_limit.to_owned(), |limit| limit.to_string());
    // Only a process of the same user may change the limit without CAP_SYS_RESOURCE, which containers often lack.
    let owner = fs::metadata(process).unwrap();
    let mut command = match fs::metadata("/proc/self").unwrap().uid() == owner.uid() {
        true => Command::new("prlimit"),
        false => {
            let mut command = Command::new("setpriv");
            command.arg(format!("--reuid={}", owner.uid()));
            command.arg(format!("--regid={}", owner.gid()));
            command.args(["--clear-groups", "prlimit"]);
            command
        }
    };
    command.arg(format!("--pid={}", server.pid()));
    command.arg(format!("--nproc={soft_limit}:"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// The scanner creates threads to read new files, and panics if the system refuses to create a thread.
#[tokio::test]
async fn rescans_are_refused_until_a_panicked_scanner_has_been_restarted() {
    let server = Setup::long_tracks().start_as_nobody().await;
    let phone = Phone::pair(&server).await;
    set_thread_limit(&server, Some(0));
    music::put_wav(&server.setup().audio().join("added.wav"), 5, 1_000);
    until("a rescan to be refused", async || {
        let response = phone.post("/rescan").await;
        let is_refused = response.status == 503;
        if is_refused {
            response.expect_problem(503);
        }
        is_refused
    })
    .await;
    let log = server.log();
    assert!(log.contains("the library scanner panicked"), "{log}");

    set_thread_limit(&server, None);
    until("a rescan to be accepted", async || {
        phone.post("/rescan").await.status == 202
    })
    .await;
    until("the added track in the index", async || {
        let index = phone.get("/index").await.expect(200).json();
        index.as_array().unwrap().len() == 5
    })
    .await;
}
