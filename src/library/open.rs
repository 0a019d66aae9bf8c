//! Opening a file below a folder so that it surely is below that folder, whatever links do meanwhile.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags};

/// An open file, and what the system says of it: not of its name, which may be another file's by now.
#[derive(Debug)]
pub struct Opened {
    /// For reading, at the beginning.
    pub file: File,
    /// Of that very file.
    pub metadata: Metadata,
}

/// Opens the regular file at `path` below `root`, as [`Root::open`] does.
pub(super) fn open(root: &Path, path: &Path) -> io::Result<Opened> {
    Root::of(root).open(path)
}

/// A folder that many files are opened below.
#[derive(Debug)]
pub(super) struct Root<'a> {
    pub(super) path: &'a Path,
    handle: Option<OwnedFd>,
}

impl<'a> Root<'a> {
    /// The folder at `path`, which must be canonical.
    pub(super) fn of(path: &'a Path) -> Self {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        Root {
            path,
            handle: rustix::fs::open(path, flags, Mode::empty()).ok(),
        }
    }

    /// Opens the regular file at `path` below it, if where `path` really leads is below it. Blocks on the disk, but not on
    /// a FIFO.
    pub(super) fn open(&self, path: &Path) -> io::Result<Opened> {
        if let Some(file) = self.open_beneath(path) {
            let metadata = regular(&file)?;
            return Ok(Opened { file, metadata });
        }
        let path = &self.path.join(path);
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(path)?;
        let metadata = regular(&file)?;
        // Where the open file itself lies: its name may lead elsewhere by now, and back again in the next moment.
        let real = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        if !real.starts_with(self.path) {
            return Err(absent("it leads out of the audio folder"));
        }
        Ok(Opened { file, metadata })
    }

    /// The quick way, where the system knows one: it sees to it itself that no link leads out. Nor does it follow one that
    /// begins at the root of the file system, wherever that leads.
    fn open_beneath(&self, path: &Path) -> Option<File> {
        let root = self.handle.as_ref()?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = rustix::fs::openat2(root, path, flags, Mode::empty(), ResolveFlags::BENEATH);
        Some(opened.ok()?.into())
    }
}

fn regular(file: &File) -> io::Result<Metadata> {
    let metadata = file.metadata()?;
    if metadata.is_file() {
        Ok(metadata)
    } else {
        Err(absent("it is not a regular file"))
    }
}

/// For whoever asks, there is no such file.
fn absent(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, why)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_inside_the_folder_and_refused_when_they_lead_out() {
        let outside = tempfile::tempdir().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::write(outside.path().join("secret"), "s").unwrap();
        fs::write(root.join("song"), "s").unwrap();
        symlink(root.join("song"), root.join("inside")).unwrap();
        symlink(outside.path().join("secret"), root.join("outside")).unwrap();
        symlink(outside.path(), root.join("folder")).unwrap();

        for (name, opens) in [
            ("song", true),
            ("inside", true),
            ("outside", false),
            ("folder/secret", false),
            (".", false),
        ] {
            assert_eq!(open(&root, Path::new(name)).is_ok(), opens, "{name}");
        }
    }
}
