//! Finds the server's executable that has the same build profile as the running program.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The executable's path. Cargo builds the executable for tests, but not for examples: for an example, this function runs
/// `cargo build` first.
///
/// # Errors
/// The executable cannot be built.
pub(crate) fn executable() -> io::Result<PathBuf> {
    if let Some(built) = option_env!("CARGO_BIN_EXE_lockstep") {
        return Ok(built.into());
    }
    // TARGET/PROFILE/examples/NAME
    let example = std::env::current_exe()?;
    let profile = example.parent().and_then(Path::parent);
    let folders = profile.and_then(|profile| Some((profile, profile.parent()?)));
    let (profile, target) = folders
        .ok_or_else(|| io::Error::other("the program is not in a target folder of Cargo"))?;
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--locked", "--quiet", "--bin", "lockstep"]);
    build.arg("--manifest-path");
    build.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
    build.arg("--target-dir").arg(target);
    if profile.ends_with("release") {
        build.arg("--release");
    }
    let success = build.status()?.success();
    let path = profile.join("lockstep");
    success
        .then_some(path)
        .ok_or_else(|| io::Error::other("cargo build failed"))
}
