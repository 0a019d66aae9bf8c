//! A disk that fails, slows down or hangs when a test says so: `tests/faulty_disk.c`, compiled, and the
//! orders that steer it in a server that runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// What a call is to do besides, or instead of, its work.
#[derive(Debug, Clone, Copy)]
pub enum Order {
    /// Fail with this errno.
    Fail(i32),
    /// Take so many milliseconds longer.
    Delay(u32),
    /// Not begin as long as this order stands.
    Hold,
}

/// A call that began or ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// `write`, `fsync`, `rename` or `fsync-folder`.
    pub name: String,
    /// Whether it has ended; else it began.
    pub ended: bool,
    /// When, in milliseconds of the machine's monotonic clock.
    pub at_ms: f64,
}

/// The disk below one folder.
pub struct FaultyDisk {
    own: TempDir,
    under: PathBuf,
}

impl FaultyDisk {
    /// Sees to it that a server that is started with [`FaultyDisk::environment`] has its files
    /// below `folder` on such a disk.
    pub fn under(folder: &Path) -> FaultyDisk {
        let own = tempfile::Builder::new()
            .prefix("faulty-disk-")
            .tempdir()
            .unwrap();
        fs::create_dir(own.path().join("orders")).unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faulty_disk.c");
        let status = Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror"])
            .arg("-o")
            .arg(own.path().join("faulty_disk.so"))
            .arg(source)
            .status()
            .unwrap();
        assert!(status.success(), "cc does not compile tests/faulty_disk.c");
        let under = folder.canonicalize().unwrap();
        FaultyDisk { own, under }
    }

    /// What the server must be started with.
    pub fn environment(&self) -> [(&'static str, PathBuf); 3] {
        [
            ("LD_PRELOAD", self.own.path().join("faulty_disk.so")),
            ("FAULTY_DISK", self.own.path().join("orders")),
            ("FAULTY_DISK_UNDER", self.under.clone()),
        ]
    }

    fn order_file(&self, call: &str) -> PathBuf {
        self.own.path().join("orders").join(call)
    }

    /// From now on, that call does this.
    pub fn order(&self, call: &str, order: Order) {
        let words = match order {
            Order::Fail(errno) => format!("fail {errno}"),
            Order::Delay(ms) => format!("delay {ms}"),
            Order::Hold => "hold".to_owned(),
        };
        // Whole or not at all: a call may be reading it.
        let new = self.own.path().join("order");
        fs::write(&new, words).unwrap();
        fs::rename(new, self.order_file(call)).unwrap();
    }

    /// From now on, that call works.
    pub fn heal(&self, call: &str) {
        fs::remove_file(self.order_file(call)).unwrap();
    }

    /// Every call so far, in the order in which they began and ended.
    pub fn calls(&self) -> Vec<Call> {
        let lines = fs::read_to_string(self.order_file("calls")).unwrap_or_default();
        let call = |line: &str| {
            let (name, at_ms) = line.split_once(' ')?;
            Some(Call {
                name: name.get(1..)?.to_owned(),
                ended: name.starts_with('-'),
                at_ms: at_ms.parse().ok()?,
            })
        };
        // The last line may be only half there.
        let whole = lines.rfind('\n').map_or("", |end| &lines[..end]);
        whole
            .lines()
            .map(|line| call(line).unwrap_or_else(|| panic!("{line:?} is no call")))
            .collect()
    }

    /// How many times a call of that name has begun.
    pub fn begun(&self, call: &str) -> usize {
        let calls = self.calls();
        calls.iter().filter(|c| !c.ended && c.name == call).count()
    }
}
