//! A network that is a test's own: it needs nothing of the machine's, and only the right to make namespaces.

use std::process::Command;

/// Set in the process that is inside.
const INSIDE: &str = "LOCKSTEP_TEST_INSIDE";

/// Runs the test of that name again in a network namespace of its own; `true` in there.
pub fn inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    let output = command
        .arg("--net")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    // Told only when it matters: its own "test result" is not one of this run's.
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(
        output.status.success(),
        "inside the namespace:\n{}\n{}",
        said[0],
        said[1]
    );
    false
}

/// Changes the network that this process is in.
pub fn ip(arguments: &[&str]) {
    let status = Command::new("ip").args(arguments).status().unwrap();
    assert!(status.success(), "ip {arguments:?}");
}
