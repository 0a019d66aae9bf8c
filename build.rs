//! Embeds the page's files in the binary (see `build/assets.rs`), and adds the Git commit to the version that `--version`
//! prints.
//!
//! The environment variable `LOCKSTEP_COMMIT`, for example `abc1234, 2026-11-21`, replaces the commit that Git reports. It
//! is meant for builds of source code outside a Git repository. Without this variable and without a repository, the version
//! has no commit.

#[path = "build/assets.rs"]
mod assets;

use std::env;
use std::io;
use std::path::Path;
use std::process::Command;

fn main() -> io::Result<()> {
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let commit = env::var("LOCKSTEP_COMMIT").ok().or_else(checked_out_commit);
    let version = match commit.filter(|commit| !commit.is_empty()) {
        Some(commit) => format!("{version} ({commit})"),
        None => version,
    };
    println!("cargo::rustc-env=LOCKSTEP_VERSION={version}");
    println!("cargo::rerun-if-env-changed=LOCKSTEP_COMMIT");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build/assets.rs");
    assets::embed()
}

/// The short hash and the date of the checked-out commit; `None` without a Git repository. Tells Cargo to run the build
/// script again after each commit and checkout.
fn checked_out_commit() -> Option<String> {
    // If the source code is in a folder of another repository, the commit of that repository does not identify the source
    // code.
    let root = git(&["rev-parse", "--show-toplevel"])?;
    let package = env::var("CARGO_MANIFEST_DIR").ok()?;
    if Path::new(&root).canonicalize().ok()? != Path::new(&package).canonicalize().ok()? {
        return None;
    }
    for path in files_of_head()? {
        println!("cargo::rerun-if-changed={path}");
    }
    git(&["log", "-1", "--abbrev=7", "--format=%h, %cs"])
}

/// The files of which at least one changes at each commit and checkout.
fn files_of_head() -> Option<Vec<String>> {
    let git_path = |name: &str| git(&["rev-parse", "--git-path", name]);
    let mut files = vec![git_path("HEAD")?];
    // If the log of HEAD exists, Git writes to it at every commit and checkout, also in a worktree.
    let log = git_path("logs/HEAD")?;
    if Path::new(&log).exists() {
        files.push(log);
    } else if let Some(branch) = git(&["symbolic-ref", "--quiet", "HEAD"]) {
        // This file may be missing, because the branch may be in `packed-refs` only. Cargo then runs the build script at
        // every build, until the next commit creates the file.
        files.push(git_path(&branch)?);
    }
    Some(files)
}

/// The trimmed output of a Git command; `None` if the command fails.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
