//! What is packaged: the unit, judged by systemd itself, and its settings.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on panics"
)]

pub mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::server::{ENVIRONMENT, EXECUTABLE};

fn packaged(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging");
    fs::read_to_string(folder.join(name)).unwrap()
}

#[track_caller]
fn expect_content(command: &mut Command) {
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap());
    assert!(output.status.success(), "{}{}", said[0], said[1]);
    // What it does not understand it ignores, and only says so.
    assert_eq!(said[1], "");
}

#[test]
fn systemd_understands_the_units_and_finds_them_hardened() {
    let folder = tempfile::tempdir().unwrap();
    let unit = packaged("lockstep.service");
    // Otherwise the log goes wherever the greeting goes, which is nowhere.
    assert!(unit.contains("\nStandardError=journal\n"), "{unit}");
    // The executable is not installed where the tests run.
    let unit = unit.replace("/usr/bin/lockstep", EXECUTABLE);
    fs::write(folder.path().join("lockstep.service"), unit).unwrap();
    let socket = packaged("lockstep-port-80.socket");
    fs::write(folder.path().join("lockstep-port-80.socket"), socket).unwrap();
    let mut verify = Command::new("systemd-analyze");
    verify.args([
        "verify",
        "--man=no",
        "lockstep.service",
        "lockstep-port-80.socket",
    ]);
    expect_content(verify.current_dir(folder.path()));
    let mut security = Command::new("systemd-analyze");
    security.args([
        "security",
        "--offline=true",
        "--threshold=25",
        "lockstep.service",
    ]);
    expect_content(security.current_dir(folder.path()));
}

#[test]
fn every_setting_that_is_suggested_is_one() {
    let settings = packaged("default");
    let names = settings
        .lines()
        .filter_map(|line| line.trim_start_matches('#').split_once('='))
        .map(|(name, _)| name)
        .filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'));
    let names: Vec<_> = names.collect();
    assert!(names.len() > 3, "{names:?}");
    for name in names {
        let known = ENVIRONMENT.contains(&name) || name == "LOCKSTEP_LOG";
        assert!(known, "{name}");
    }
}
