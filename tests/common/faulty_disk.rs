//! Makes file system calls of a server fail, slow down or block. The server preloads a library, compiled from
//! `tests/faulty_disk.c`, that reads the faults from files; this module compiles the library and writes the files.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::preload;

/// A fault to inject into a system call.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// The call fails with this errno.
    Fail(i32),
    /// The call takes this many milliseconds longer.
    Delay(u32),
    /// The call blocks until the fault is removed.
    Block,
}

/// The start or the end of a system call.
#[derive(Debug, Clone, PartialEq)]
pub struct CallBoundary {
    /// `write`, `fsync`, `rename` or `fsync-folder`.
    pub name: String,
    /// True for the end of the call, false for its start.
    pub ended: bool,
    /// The time on the machine's monotonic clock, in milliseconds.
    pub at_ms: f64,
}

/// Fault injection for the files below one folder.
pub struct FaultyDisk {
    /// Holds the compiled library and the fault files.
    work_folder: TempDir,
    library: PathBuf,
    target_folder: PathBuf,
}

impl FaultyDisk {
    /// Prepares fault injection below `folder` for a server that is started with [`FaultyDisk::environment`].
    pub fn under(folder: &Path) -> FaultyDisk {
        let work_folder = tempfile::Builder::new()
            .prefix("faulty-disk-")
            .tempdir()
            .unwrap();
        fs::create_dir(work_folder.path().join("faults")).unwrap();
        let library = preload::compile("tests/faulty_disk.c", work_folder.path());
        let target_folder = folder.canonicalize().unwrap();
        FaultyDisk {
            work_folder,
            library,
            target_folder,
        }
    }

    /// The environment variables that make the server preload the library.
    pub fn environment(&self) -> [(&'static str, PathBuf); 3] {
        [
            ("LD_PRELOAD", self.library.clone()),
            ("FAULTY_DISK_FAULTS", self.work_folder.path().join("faults")),
            ("FAULTY_DISK_TARGET", self.target_folder.clone()),
        ]
    }

    fn fault_file(&self, call: &str) -> PathBuf {
        self.work_folder.path().join("faults").join(call)
    }

    fn call_log_file(&self) -> PathBuf {
        self.fault_file("calls")
    }

    /// Applies `fault` to every further `call` until [`FaultyDisk::clear`].
    pub fn inject(&self, call: &str, fault: Fault) {
        let text = match fault {
            Fault::Fail(errno) => format!("fail {errno}"),
            Fault::Delay(ms) => format!("delay {ms}"),
            Fault::Block => "block".to_owned(),
        };
        // The new file replaces the old one by a rename, so that the library never reads a partly written file.
        let new_file = self.work_folder.path().join("new-fault");
        fs::write(&new_file, text).unwrap();
        fs::rename(new_file, self.fault_file(call)).unwrap();
    }

    /// Removes the fault of `call` and unblocks blocked calls.
    pub fn clear(&self, call: &str) {
        fs::remove_file(self.fault_file(call)).unwrap();
    }

    /// Starts and ends of all calls so far, in order.
    pub fn call_boundaries(&self) -> Vec<CallBoundary> {
        let log = fs::read_to_string(self.call_log_file()).unwrap_or_default();
        let parse = |line: &str| {
            // `+NAME MS` for a start, `-NAME MS` for an end.
            let (marked_name, at_ms) = line.split_once(' ')?;
            Some(CallBoundary {
                name: marked_name.get(1..)?.to_owned(),
                ended: marked_name.starts_with('-'),
                at_ms: at_ms.parse().ok()?,
            })
        };
        // The last line may be incomplete, because the server may be writing it now.
        let complete = log.rfind('\n').map_or("", |end| &log[..end]);
        complete
            .lines()
            .map(|line| parse(line).unwrap_or_else(|| panic!("invalid line in the log: {line:?}")))
            .collect()
    }

    /// The number of calls with this name that have started.
    pub fn started(&self, call: &str) -> usize {
        let calls = self.call_boundaries();
        let started = calls.iter().filter(|c| !c.ended && c.name == call);
        started.count()
    }
}
