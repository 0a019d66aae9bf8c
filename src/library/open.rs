//! Opens files below the audio folder. Refuses a file that a symbolic link places outside of the folder, even if the link
//! changes during the call.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::OnceLock;

use rustix::fs::{Mode, OFlags, ResolveFlags};

/// An open file and its metadata. The metadata come from the open file, because the path may lead to another file by now.
#[derive(Debug)]
pub struct Opened {
    /// Open for reading, at the beginning.
    pub file: File,
    /// The metadata of `file`.
    pub metadata: Metadata,
}

/// A folder below which files are opened. The folder itself is opened only once, for the first file: opening a folder on a
/// server that does not answer would block.
#[derive(Debug)]
pub(super) struct RootFolder<'a> {
    pub(super) path: &'a Path,
    /// `None` if the folder cannot be opened. Opening a file then reports the error.
    handle: OnceLock<Option<OwnedFd>>,
}

impl<'a> RootFolder<'a> {
    /// The folder at `path`. Does not access the folder yet.
    pub(super) fn new(path: &'a Path) -> Self {
        RootFolder {
            path,
            handle: OnceLock::new(),
        }
    }

    fn handle(&self) -> Option<&OwnedFd> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let open = || rustix::fs::open(self.path, flags, Mode::empty()).ok();
        self.handle.get_or_init(open).as_ref()
    }

    /// Opens the regular file at `path`, which is relative to the folder. Waits for the disk, but never for the writer of a
    /// FIFO.
    ///
    /// # Errors
    /// The system's error, or [`io::ErrorKind::NotFound`] if the file is outside the folder or is not a regular file.
    pub(super) fn open(&self, path: &Path) -> io::Result<Opened> {
        if let Some(file) = self.open_beneath(path) {
            let metadata = regular_file_metadata(&file)?;
            return Ok(Opened { file, metadata });
        }
        let path = &self.path.join(path);
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(OFlags::NONBLOCK.bits() as i32)
            .open(path)?;
        let metadata = regular_file_metadata(&file)?;
        // Checks the path of the open file and not `path`, because the links in `path` may point elsewhere by now.
        let real = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        if !real.starts_with(self.path.canonicalize()?) {
            return Err(not_found("the file is outside the audio folder"));
        }
        Ok(Opened { file, metadata })
    }

    /// Opens `path` by `openat2(2)`, with which the kernel refuses links out of the folder. Returns `None` on every
    /// error. The caller then tries the slower way, because Linux before 5.6 does not have this call, and
    /// `RESOLVE_BENEATH` also refuses an absolute link whose target is inside the folder.
    fn open_beneath(&self, path: &Path) -> Option<File> {
        let root = self.handle()?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = rustix::fs::openat2(root, path, flags, Mode::empty(), ResolveFlags::BENEATH);
        Some(opened.ok()?.into())
    }
}

fn regular_file_metadata(file: &File) -> io::Result<Metadata> {
    let metadata = file.metadata()?;
    if metadata.is_file() {
        Ok(metadata)
    } else {
        Err(not_found("the path is not a regular file"))
    }
}

fn not_found(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, reason)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn follows_links_inside_the_folder_and_refuses_links_out_of_it() {
        let outside = tempfile::tempdir().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::write(outside.path().join("secret"), "s").unwrap();
        fs::write(root.join("song"), "s").unwrap();
        symlink(root.join("song"), root.join("inside")).unwrap();
        symlink(outside.path().join("secret"), root.join("outside")).unwrap();
        symlink(outside.path(), root.join("folder")).unwrap();

        for (name, is_allowed) in [
            ("song", true),
            ("inside", true),
            ("outside", false),
            ("folder/secret", false),
            (".", false),
        ] {
            let opened = RootFolder::new(&root).open(Path::new(name));
            assert_eq!(opened.is_ok(), is_allowed, "{name}");
        }
    }
}
