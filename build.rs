//! Says which commit this is: `--version` shows it. `LOCKSTEP_COMMIT`, as in `abc1234, 2026-11-21`, stands in for git where
//! the source comes without its history; with neither, the version stands alone.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let commit = env::var("LOCKSTEP_COMMIT").ok().or_else(commit);
    let version = match commit.filter(|commit| !commit.is_empty()) {
        Some(commit) => format!("{version} ({commit})"),
        None => version,
    };
    println!("cargo::rustc-env=LOCKSTEP_VERSION={version}");
    println!("cargo::rerun-if-env-changed=LOCKSTEP_COMMIT");
    println!("cargo::rerun-if-changed=build.rs");
}

/// The checked out commit and its day. Has this run again when another one is checked out or made.
fn commit() -> Option<String> {
    // Unpacked somewhere inside another repository, that one's commit would mean nothing.
    let root = git(&["rev-parse", "--show-toplevel"])?;
    let here = env::var("CARGO_MANIFEST_DIR").ok()?;
    if Path::new(&root).canonicalize().ok()? != Path::new(&here).canonicalize().ok()? {
        return None;
    }
    // The log of HEAD grows with every commit and checkout, in a worktree, too. A file that is not there would have this
    // run at every build.
    for name in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", name])?;
        if Path::new(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    git(&["log", "-1", "--abbrev=7", "--format=%h, %cs"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| said.trim().to_owned())
}
