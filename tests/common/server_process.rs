//! Starts the server's executable and waits until it accepts connections. Used by the tests and by the examples.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// The pairing code of every server that this module starts.
pub const CODE: &str = "748291";

/// The environment variables that set the server's options.
pub const ENVIRONMENT: [&str; 25] = [
    "AUDIO_DIR",
    "STATE_FILE",
    "KEEP_DUPLICATES",
    "LISTEN",
    "PAIRING_CODE",
    "LOCKSTEP_DEBUG",
    "LEAVE_GRACE_MS",
    "ALIGNMENT",
    "NO_PAIRING_WINDOW",
    "HOST_NAME",
    "MAX_CONNECTIONS",
    "NO_MDNS",
    "TLS",
    "TLS_LISTEN",
    "TLS_CERT",
    "TLS_KEY",
    "LOCAL_SOCKET",
    "METRICS_LISTEN",
    "TRUSTED_PROXY",
    "BASE_PATH",
    "NO_UPLOADS",
    "UPLOAD_DIR",
    "UPLOAD_QUOTA",
    "UPLOAD_MAX",
    "UPLOAD_KEEP",
];

/// Environment variables that the server reads and that are not options: logging, terminal and systemd.
const OTHER_VARIABLES: [&str; 7] = [
    "LOCKSTEP_LOG",
    "NO_COLOR",
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "JOURNAL_STREAM",
];

/// A command without the environment variables that the server reads, and with its output piped.
pub fn bare_command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for name in ENVIRONMENT.into_iter().chain(OTHER_VARIABLES) {
        command.env_remove(name);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Adds the flags that every server of a test or an example needs. `listen` is an address, with port 0 for a free port.
pub fn add_flags(command: &mut Command, audio_dir: &Path, state_file: &Path, listen: &str) {
    command.arg("--audio-dir").arg(audio_dir);
    command.arg("--state-file").arg(state_file);
    command.args(["--pairing-code", CODE, "--listen", listen]);
}

/// A running server. Dropping it kills the process.
#[derive(Debug)]
pub struct ServerProcess {
    /// The operating system's process.
    pub child: Child,
    /// The address at which the server accepts plain HTTP connections.
    pub address: SocketAddr,
    stdout: Arc<Mutex<Vec<String>>>,
}

impl ServerProcess {
    /// Starts `command` and waits until the server prints its address. Appends the server's log, which is its standard
    /// error, to the file `log`.
    ///
    /// # Errors
    /// The command cannot be started, or the server exits before it prints its address. In the second case, the error
    /// contains the log.
    pub async fn start(mut command: Command, log: &Path) -> io::Result<ServerProcess> {
        let log_file = fs::OpenOptions::new().create(true).append(true).open(log)?;
        let mut child = command.stderr(log_file).spawn()?;
        let pipe = child.stdout.take();
        let pipe = pipe.ok_or_else(|| io::Error::other("standard output is not piped"))?;
        let mut lines = BufReader::new(pipe).lines();
        let stdout = Arc::new(Mutex::new(Vec::new()));
        let (address_sender, address) = tokio::sync::oneshot::channel();
        // Reads standard output to its end, so that the server never blocks on a full pipe.
        let stdout_lines = stdout.clone();
        tokio::spawn(async move {
            let mut address_sender = Some(address_sender);
            while let Ok(Some(line)) = lines.next_line().await {
                let address = line.strip_prefix("listening on http://").map(str::to_owned);
                lock(&stdout_lines).push(line);
                let Some(address) = address else { continue };
                // An error means that the caller no longer waits for the address.
                let _ = address_sender.take().map(|sender| sender.send(address));
            }
        });
        let Ok(address) = address.await else {
            let log = fs::read_to_string(log)?;
            let text = format!("the server exited during startup:\n{log}");
            return Err(io::Error::other(text));
        };
        Ok(ServerProcess {
            child,
            address: address.parse().map_err(io::Error::other)?,
            stdout,
        })
    }

    /// The lines that the server has printed on standard output so far.
    pub fn stdout(&self) -> Vec<String> {
        lock(&self.stdout).clone()
    }
}

fn lock(lines: &Mutex<Vec<String>>) -> std::sync::MutexGuard<'_, Vec<String>> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}
