//! The local socket: a Unix socket that only the user who runs the server, and root, can open. On this socket, the pairing
//! code, the metrics and the debugging output need no token, because only these users can request them.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{UnixListener, UnixStream};

use crate::data_files::OWNER_ONLY;

/// The listen(2) backlog.
const BACKLOG: i32 = 128;

/// A listening Unix socket. Its file is removed when this value is dropped.
#[derive(Debug)]
pub struct LocalSocket {
    listener: UnixListener,
    path: PathBuf,
    /// The device and inode numbers of the socket's file. If another server has replaced the file, the numbers differ.
    file: (u64, u64),
}

impl LocalSocket {
    /// Creates the socket at `path`. Replaces a socket that a killed server left there. Blocks; needs the context of a Tokio
    /// runtime.
    ///
    /// # Errors
    /// The path is too long for a socket, the file system has no sockets, another server listens at `path`, or a file that is
    /// no socket is there.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let address = SockAddr::unix(path)?;
        remove_abandoned(path, &address)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // Linux creates the file with the mode of the socket. So other users cannot connect at any time.
        rustix::fs::fchmod(&socket, Mode::from_raw_mode(OWNER_ONLY))?;
        socket.bind(&address)?;
        let metadata = fs::symlink_metadata(path)?;
        if metadata.mode() & 0o777 & !OWNER_ONLY != 0 {
            fs::remove_file(path)?;
            let message =
                "the file system ignores permissions, so other users could open the socket";
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        }
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(LocalSocket {
            listener: UnixListener::from_std(OwnedFd::from(socket).into())?,
            path: path.into(),
            file: (metadata.dev(), metadata.ino()),
        })
    }

    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }
}

impl Drop for LocalSocket {
    fn drop(&mut self) {
        let current = fs::symlink_metadata(&self.path);
        if current.is_ok_and(|current| (current.dev(), current.ino()) == self.file) {
            // If the removal fails, the next start replaces the file.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes the socket at `path` if no process listens on it.
fn remove_abandoned(path: &Path, address: &SockAddr) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        metadata => metadata?,
    };
    if !metadata.file_type().is_socket() {
        let message = "a file that is no socket has this name";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Without this option, `connect` would block if the listening process does not accept connections.
    probe.set_nonblocking(true)?;
    match probe.connect(address) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        _ => {
            let message = "another server listens on this socket";
            Err(io::Error::new(io::ErrorKind::AddrInUse, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net;

    use super::*;

    #[tokio::test]
    async fn replaces_an_abandoned_socket_but_no_other_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        drop(net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let socket = LocalSocket::bind(&path).unwrap();
        let mode = fs::symlink_metadata(&path).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
        let second = LocalSocket::bind(&path).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::AddrInUse);
        drop(socket);
        assert!(!path.exists());
        fs::write(&path, "content").unwrap();
        assert!(LocalSocket::bind(&path).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"content");
    }

    #[tokio::test]
    async fn keeps_the_file_of_a_server_that_has_replaced_the_socket() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let old = LocalSocket::bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let _new = LocalSocket::bind(&path).unwrap();
        drop(old);
        assert!(path.exists());
    }

    #[tokio::test]
    async fn refuses_a_path_that_is_too_long_for_a_socket() {
        let folder = tempfile::tempdir().unwrap();
        assert!(LocalSocket::bind(&folder.path().join("x".repeat(200))).is_err());
    }
}
