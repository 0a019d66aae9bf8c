//! Compiles C libraries that replace system calls of the server. The dynamic linker loads them by `LD_PRELOAD`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles `source`, a path in the project's folder, to a shared library in `folder`. Returns the path of the library.
pub fn compile(source: &str, folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
    let library = folder
        .join(source.file_stem().unwrap())
        .with_extension("so");
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror"])
        .arg("-o")
        .args([&library, &source])
        .status()
        .unwrap();
    assert!(status.success(), "cc does not compile {source:?}");
    library
}
