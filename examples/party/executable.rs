//! The server's executable, of the same build as the program that uses it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where it is. Cargo builds it with tests; with an example, this has it built.
///
/// # Errors
/// It cannot be built.
pub(crate) fn executable() -> io::Result<PathBuf> {
    if let Some(built) = option_env!("CARGO_BIN_EXE_lockstep") {
        return Ok(built.into());
    }
    let this = std::env::current_exe()?;
    let profile = this.parent().and_then(Path::parent);
    let folder = profile.and_then(|profile| Some((profile, profile.parent()?)));
    let (profile, target) =
        folder.ok_or_else(|| io::Error::other("this is no build of cargo's"))?;
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--locked", "--quiet", "--bin", "lockstep"]);
    build.arg("--manifest-path");
    build.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
    build.arg("--target-dir").arg(target);
    if profile.ends_with("release") {
        build.arg("--release");
    }
    let built = build.status()?.success();
    let path = profile.join("lockstep");
    built
        .then_some(path)
        .ok_or_else(|| io::Error::other("cargo cannot build the server"))
}
