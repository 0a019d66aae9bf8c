//! FIFOs in place of files: opening or reading one blocks like a file on a network file system whose server is down.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;

/// Creates a FIFO at `path`. Replaces a file at that path in one step.
pub fn put_fifo(path: &Path) {
    let fifo = path.with_extension("fifo");
    let status = Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(status.success());
    fs::rename(&fifo, path).unwrap();
}

/// Opens `fifo` for writing if a process has it open for reading, or is blocked in opening it. The process's read blocks
/// while the returned file is open.
pub fn open_if_being_read(fifo: &Path) -> Option<fs::File> {
    let mut options = OpenOptions::new();
    // Without a reader, a non-blocking open fails with ENXIO (fifo(7)).
    options.write(true).custom_flags(libc::O_NONBLOCK);
    options.open(fifo).ok()
}
