//! The server that the program starts if no URL is given: the executable of the same build profile, in a temporary folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::executable::executable;
use super::server_process::{ServerProcess, add_flags, bare_command};

/// A running server. Dropping it kills the process.
#[derive(Debug)]
pub(crate) struct Server {
    process: ServerProcess,
    folder: TempDir,
}

impl Server {
    /// Builds the executable if necessary, and starts it with the audio files of `audio_dir`.
    ///
    /// # Errors
    /// The executable cannot be built, or exits during startup.
    pub(crate) async fn start(audio_dir: &Path, leave_grace: Duration) -> io::Result<Server> {
        let folder = tempfile::Builder::new()
            .prefix("lockstep-party-")
            .tempdir()?;
        let mut command = bare_command(&executable()?);
        let state_file = folder.path().join("state.json");
        add_flags(&mut command, audio_dir, &state_file, "127.0.0.1:0");
        command
            .args(["--max-connections", "20000"])
            .arg(format!("--leave-grace-ms={}", leave_grace.as_millis()));
        let process = ServerProcess::start(command, &log_file(&folder)).await?;
        Ok(Server { process, folder })
    }

    /// `http://HOST:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.process.address)
    }

    /// The files that the server has kept of the uploads with these ids.
    ///
    /// # Errors
    /// The folder of the uploads cannot be read.
    pub(crate) fn remains_of_uploads(&self, ids: &[String]) -> io::Result<Vec<String>> {
        let folder = self.folder.path().join("state.json.uploads/.unfinished");
        if !folder.exists() {
            return Ok(Vec::new());
        }
        let mut remains = Vec::new();
        for entry in fs::read_dir(folder)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if ids.iter().any(|id| name.starts_with(id)) {
                remains.push(name);
            }
        }
        Ok(remains)
    }

    /// Describes a failure of the server: it has exited, or its log contains a panic.
    ///
    /// # Errors
    /// The log cannot be read.
    pub(crate) fn failure(&mut self) -> io::Result<Option<String>> {
        if let Some(status) = self.process.child.try_wait()? {
            return Ok(Some(format!("the server exited with {status}")));
        }
        let log = fs::read_to_string(log_file(&self.folder))?;
        let mut lines = log.lines();
        let panic = lines.find(|line| line.contains("panicked"));
        Ok(panic.map(|line| format!("the server's log: {line}")))
    }
}

fn log_file(folder: &TempDir) -> PathBuf {
    folder.path().join("log")
}
