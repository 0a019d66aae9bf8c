//! The packaged systemd units, checked with `systemd-analyze`, and the packaged file of environment variables.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::server::{ENVIRONMENT, EXECUTABLE};

fn read_packaging_file(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging");
    fs::read_to_string(folder.join(name)).unwrap()
}

#[track_caller]
fn expect_success_without_warning(command: &mut Command) {
    let output = command.output().unwrap();
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success(), "{stdout}{stderr}");
    // systemd-analyze reports an unknown setting only as a warning.
    assert_eq!(stderr, "");
}

#[test]
fn systemd_analyze_accepts_the_units_and_rates_the_service_as_hardened() {
    let folder = tempfile::tempdir().unwrap();
    let unit = read_packaging_file("lockstep.service");
    // Without this setting, standard error would go where standard output goes: to /dev/null.
    assert!(unit.contains("\nStandardError=journal\n"), "{unit}");
    // systemd-analyze requires that the executable exists.
    let unit = unit.replace("/usr/bin/lockstep", EXECUTABLE);
    fs::write(folder.path().join("lockstep.service"), unit).unwrap();
    let socket = read_packaging_file("lockstep-port-80.socket");
    fs::write(folder.path().join("lockstep-port-80.socket"), socket).unwrap();
    let mut verify = Command::new("systemd-analyze");
    verify.args([
        "verify",
        "--man=no",
        "lockstep.service",
        "lockstep-port-80.socket",
    ]);
    expect_success_without_warning(verify.current_dir(folder.path()));
    let mut security = Command::new("systemd-analyze");
    security.args([
        "security",
        "--offline=true",
        "--threshold=25",
        "lockstep.service",
    ]);
    expect_success_without_warning(security.current_dir(folder.path()));
}

#[test]
fn service_has_a_runtime_directory_for_the_local_socket() {
    let unit = read_packaging_file("lockstep.service");
    assert!(unit.contains("\nRuntimeDirectory=lockstep\n"), "{unit}");
    assert!(
        unit.contains(" LOCAL_SOCKET=/run/lockstep/socket\n"),
        "{unit}"
    );
}

#[test]
fn settings_file_contains_only_environment_variables_of_the_server() {
    let settings = read_packaging_file("default");
    let names = settings
        .lines()
        .filter_map(|line| line.trim_start_matches('#').split_once('='))
        .map(|(name, _)| name)
        .filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'));
    let names: Vec<_> = names.collect();
    assert!(names.len() > 3, "{names:?}");
    for name in names {
        let known = ENVIRONMENT.contains(&name) || name == "LOCKSTEP_LOG";
        assert!(known, "the server does not read {name}");
    }
}
