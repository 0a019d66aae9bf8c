//! Shutdown by signals: the first one starts an orderly shutdown or ends a start that hangs, and the second one ends the
//! process at once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::path::Path;

use common::faulty_disk::{Fault, FaultyDisk};
use common::fifo::{open_if_being_read, put_fifo};
use common::phone::ask;
use common::{Phone, Setup, in_time, until};
use reqwest::Method;

#[tokio::test]
async fn second_signal_ends_the_process_while_a_disk_write_hangs() {
    for (signal, exit_code) in [("INT", 130), ("TERM", 143)] {
        let setup = Setup::long_tracks();
        let disk = FaultyDisk::under(&setup.folder().join("state"));
        let mut server = setup.env(disk.environment()).start().await;
        let phone = Phone::pair(&server).await;
        let started_before = disk.started("fsync");
        disk.inject("fsync", Fault::Block);
        let command = phone
            .request(Method::POST, "/next")
            .header("If-Match-Event", phone.event_count());
        // The server sends no response to this command. The connection ends with the process.
        let response = tokio::spawn(ask(command));
        until("the write to begin and block", async || {
            disk.started("fsync") > started_before
        })
        .await;
        let state_file_before = std::fs::read(server.setup().state_file()).unwrap();

        server.signal("INT").await;
        until("a log line about the shutdown", async || {
            server.log().contains("shutting down")
        })
        .await;
        server.signal(signal).await;
        let status = server.wait_for_exit().await;
        assert_eq!(status.code(), Some(exit_code), "SIG{signal}: {status}");
        response.abort();
        let state_file_after = std::fs::read(server.setup().state_file()).unwrap();
        assert_eq!(
            state_file_before, state_file_after,
            "the state file changed after the shutdown began"
        );
    }
}

/// Starts a server, waits until `hangs` returns true, sends SIGINT or SIGTERM, and asserts that the server exits with success.
async fn assert_signal_ends_start(setup: &Setup, signal: &str, hangs: impl AsyncFnMut() -> bool) {
    let mut server = setup.command().spawn().unwrap();
    until("the start to hang", hangs).await;
    let pid = server.id().unwrap();
    let kill = std::process::Command::new("kill")
        .args(["-s", signal, &pid.to_string()])
        .status();
    assert!(kill.unwrap().success());
    let exit = in_time("the server to exit", server.wait()).await.unwrap();
    assert!(exit.success(), "SIG{signal}: {exit}");
}

async fn assert_signals_end_start_while_read_blocks(setup: &Setup, file: &Path) {
    put_fifo(file);
    for signal in ["INT", "TERM"] {
        let mut writer = None;
        assert_signal_ends_start(setup, signal, async || {
            writer = open_if_being_read(file);
            writer.is_some()
        })
        .await;
    }
}

#[tokio::test]
async fn first_signal_ends_a_start_while_reading_the_state_blocks() {
    let setup = Setup::long_tracks();
    assert_signals_end_start_while_read_blocks(&setup, &setup.state_file()).await;
}

#[tokio::test]
async fn first_signal_ends_a_start_while_reading_the_certificate_authority_blocks() {
    let setup = Setup::long_tracks().with_tls();
    assert_signals_end_start_while_read_blocks(&setup, &setup.authority_file()).await;
}

#[tokio::test]
async fn first_signal_ends_a_start_while_the_first_write_blocks() {
    for signal in ["INT", "TERM"] {
        let setup = Setup::long_tracks();
        let disk = FaultyDisk::under(&setup.folder().join("state"));
        disk.inject("fsync", Fault::Block);
        let setup = setup.env(disk.environment());
        assert_signal_ends_start(&setup, signal, async || disk.started("fsync") > 0).await;
    }
}
