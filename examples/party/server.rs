//! The server that the crowd uses when it is given none: the executable of the same build, in a folder of its own.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::executable::executable;

/// The pairing code of a server for nobody else.
pub(crate) const CODE: &str = "748291";

/// A running server; ends when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    folder: TempDir,
    /// `http://HOST:PORT`.
    pub(crate) url: String,
}

impl Server {
    /// Starts the executable with that music.
    ///
    /// # Errors
    /// It cannot be built, or does not start.
    pub(crate) async fn start(audio_dir: &Path, grace: Duration) -> io::Result<Server> {
        let folder = tempfile::Builder::new()
            .prefix("lockstep-party-")
            .tempdir()?;
        let mut child = Command::new(executable()?)
            .arg("--audio-dir")
            .arg(audio_dir)
            .arg("--state-file")
            .arg(folder.path().join("state.json"))
            .args(["--listen", "127.0.0.1:0", "--pairing-code", CODE])
            .args(["--max-connections", "20000"])
            .arg(format!("--leave-grace-ms={}", grace.as_millis()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(log_file(&folder))?)
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child
            .stdout
            .take()
            .ok_or_else(|| io::Error::other("no output"))?;
        let mut lines = BufReader::new(stdout).lines();
        while let Some(line) = lines.next_line().await? {
            if let Some(url) = line.strip_prefix("listening on ") {
                let url = url.to_owned();
                return Ok(Server { child, folder, url });
            }
        }
        Err(io::Error::other(fs::read_to_string(log_file(&folder))?))
    }

    /// Whether it still runs, and what in its log should not be there.
    ///
    /// # Errors
    /// The log cannot be read.
    pub(crate) fn trouble(&mut self) -> io::Result<Option<String>> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(Some(format!("the server ended with {status}")));
        }
        let log = fs::read_to_string(log_file(&self.folder))?;
        Ok(log
            .lines()
            .find(|line| line.contains("panicked"))
            .map(str::to_owned))
    }
}

fn log_file(folder: &TempDir) -> PathBuf {
    folder.path().join("log")
}
