//! The server's executable in its own temporary folder: starts, stops, kills and restarts it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::server_process::{ServerProcess, add_flags};
use super::{in_time, music};

pub use super::server_process::{ENVIRONMENT, bare_command};

/// The server's executable.
pub const EXECUTABLE: &str = env!("CARGO_BIN_EXE_lockstep");

/// The folder, command line and environment that a test's server is started with.
pub struct Setup {
    folder: TempDir,
    listen: String,
    flags: Vec<String>,
    log_filter: Option<String>,
    launch_command: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
}

impl Setup {
    /// An empty audio folder, a short leave grace period, and no mDNS.
    pub fn empty() -> Setup {
        let folder = tempfile::Builder::new()
            .prefix("lockstep-test-")
            .tempdir()
            .unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(folder.path().join("audio")).unwrap();
        fs::create_dir(folder.path().join("state")).unwrap();
        let flags = Vec::new();
        Setup {
            folder,
            listen: "127.0.0.1:0".into(),
            flags,
            log_filter: None,
            launch_command: vec![EXECUTABLE.into()],
            environment: Vec::new(),
        }
        .flag("--leave-grace-ms=200")
        .flag("--no-mdns")
    }

    /// Four silent tracks that last longer than any test.
    pub fn long_tracks() -> Setup {
        let setup = Setup::empty();
        music::put_long_tracks(&setup.audio());
        setup
    }

    /// One short tagged track of each format, and one without tags.
    pub fn fixtures() -> Setup {
        let setup = Setup::empty();
        music::put_fixtures(&setup.audio());
        setup
    }

    /// Adds a flag. Replaces an earlier flag of the same name.
    pub fn flag(mut self, flag: &str) -> Setup {
        let name = |flag: &str| flag.split('=').next().unwrap_or_default().to_owned();
        self.flags.retain(|other| name(other) != name(flag));
        self.flags.push(flag.to_owned());
        self
    }

    /// Announces the server by mDNS.
    pub fn with_mdns(mut self) -> Setup {
        self.flags.retain(|flag| flag != "--no-mdns");
        self
    }

    /// Listens on `address` instead of loopback.
    pub fn listen(mut self, address: &str) -> Setup {
        self.listen = address.to_owned();
        self
    }

    /// Also serves HTTPS, with a certificate of the server's own certificate authority.
    pub fn with_tls(self) -> Setup {
        self.flag("--tls").flag("--tls-listen=127.0.0.1:0")
    }

    /// The file of the server's own certificate authority.
    pub fn authority_file(&self) -> PathBuf {
        self.folder().join("state/state.json.authority")
    }

    /// Sets the log filter (`LOCKSTEP_LOG`).
    pub fn log_filter(mut self, filter: &str) -> Setup {
        self.log_filter = Some(filter.to_owned());
        self
    }

    /// Runs `command`, followed by the server's flags, instead of the executable.
    pub fn launch_command<T: Into<OsString>>(
        mut self,
        command: impl IntoIterator<Item = T>,
    ) -> Setup {
        self.launch_command = command.into_iter().map(Into::into).collect();
        self
    }

    /// Adds environment variables.
    pub fn env<T: Into<OsString>>(
        mut self,
        variables: impl IntoIterator<Item = (&'static str, T)>,
    ) -> Setup {
        let variables = variables.into_iter();
        self.environment
            .extend(variables.map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// The temporary folder that contains all files of the server.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The audio folder.
    pub fn audio(&self) -> PathBuf {
        self.folder().join("audio")
    }

    /// The state file, in its own folder.
    pub fn state_file(&self) -> PathBuf {
        self.folder().join("state/state.json")
    }

    /// The default path of the local socket.
    pub fn local_socket(&self) -> PathBuf {
        self.folder().join("state/state.json.socket")
    }

    /// The file to which the server's log is appended.
    pub fn log_file(&self) -> PathBuf {
        self.folder().join("log")
    }

    /// The command line that starts the server.
    pub fn command(&self) -> Command {
        self.command_with_state(&self.state_file())
    }

    /// The command line that starts the server with another state file.
    pub fn command_with_state(&self, state_file: &Path) -> Command {
        let (program, arguments) = self.launch_command.split_first().expect("a command");
        let mut command = bare_command(Path::new(program));
        command.args(arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        add_flags(&mut command, &self.audio(), state_file, &self.listen);
        command.args(&self.flags);
        if let Some(filter) = &self.log_filter {
            command.env("LOCKSTEP_LOG", filter);
        }
        command
    }

    /// Starts the server as the user `nobody` if the test runs as root, because file permissions do not restrict root.
    pub async fn start_as_nobody(self) -> TestServer {
        const NOBODY: u32 = 65534;
        if fs::metadata("/proc/self").unwrap().uid() != 0 {
            return self.start().await;
        }
        chown(self.folder().join("state"), Some(NOBODY), Some(NOBODY)).unwrap();
        let copy = copy_executable_to(self.folder()).await;
        let as_nobody = [
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
        ];
        let command = as_nobody.map(PathBuf::from).into_iter().chain([copy]);
        self.launch_command(command).start().await
    }

    /// Starts the server and waits until it accepts connections.
    pub async fn start(self) -> TestServer {
        let process = self.start_process().await;
        TestServer {
            setup: self,
            process: Some(process),
        }
    }

    async fn start_process(&self) -> ServerProcess {
        let log = self.log_file();
        let process = ServerProcess::start(self.command(), &log);
        match in_time("the server to listen", process).await {
            Ok(process) => process,
            Err(error) => panic!("{error}"),
        }
    }
}

/// The exit status and output of a command.
#[derive(Debug)]
pub struct Exit {
    /// The exit status.
    pub status: ExitStatus,
    /// All of standard output.
    pub stdout: String,
    /// All of standard error.
    pub stderr: String,
}

/// Copies the server's executable to a folder that every user can enter, because other users may have no access to the build folder.
///
/// The `install` command writes the copy. If the test wrote it, child processes that parallel tests start at that moment would
/// inherit the open file, and executing the copy would fail with "Text file busy".
pub async fn copy_executable_to(folder: &Path) -> PathBuf {
    let copy = folder.join("lockstep");
    let mut install = Command::new("install");
    install.arg("--mode=755").arg(EXECUTABLE).arg(&copy);
    let exit = run(install).await;
    assert!(exit.status.success(), "{exit:?}");
    copy
}

/// Runs `command` until it exits.
pub async fn run(mut command: Command) -> Exit {
    let output = in_time("the command to exit", command.output())
        .await
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Exit {
        status: output.status,
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// A server that a test can stop, kill and restart in the same folders.
pub struct TestServer {
    setup: Setup,
    /// `None` while the server does not run.
    process: Option<ServerProcess>,
}

impl TestServer {
    /// A server with four long silent tracks.
    pub async fn start() -> TestServer {
        Setup::long_tracks().start().await
    }

    fn process(&self) -> &ServerProcess {
        self.process.as_ref().expect("a running server")
    }

    /// The address for plain HTTP requests. A loopback address if the server listens on every interface.
    pub fn address(&self) -> SocketAddr {
        let address = self.process().address;
        match self.setup.listen.starts_with("0.0.0.0") {
            true => (Ipv4Addr::LOCALHOST, address.port()).into(),
            false => address,
        }
    }

    /// `http://HOST:PORT` and `path`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// The address for HTTPS requests.
    pub fn secure_address(&self) -> SocketAddr {
        let stdout = self.stdout();
        let url = stdout.iter().find_map(|line| line.split_once("https://"));
        url.expect("a printed https:// address").1.parse().unwrap()
    }

    /// `https://HOST:PORT` and `path`.
    pub fn secure_url(&self, path: &str) -> String {
        format!("https://{}{path}", self.secure_address())
    }

    /// The process ID.
    pub fn pid(&self) -> u32 {
        self.process().child.id().expect("a running server")
    }

    /// The server's folders and flags.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The lines printed on standard output since the last start.
    pub fn stdout(&self) -> Vec<String> {
        self.process().stdout()
    }

    /// The log of all starts.
    pub fn log(&self) -> String {
        fs::read_to_string(self.setup.log_file()).unwrap()
    }

    /// Waits until the server has hashed this many files, and has written the hashes into the index cache.
    pub async fn until_hashed(&self, files: usize) {
        let cache = self.setup.state_file().with_file_name("state.json.index");
        super::until("the hashes in the index cache", async || {
            let text = fs::read(&cache).unwrap_or_default();
            String::from_utf8_lossy(&text)
                .matches("\"content\":")
                .count()
                >= files
        })
        .await;
    }

    /// The bytes of the state file.
    pub fn state(&self) -> Vec<u8> {
        fs::read(self.setup.state_file()).unwrap()
    }

    /// Sends a signal by its name, for example `TERM`.
    pub async fn signal(&self, name: &str) {
        let kill = format!("kill -s {name} {}", self.pid());
        let status = Command::new("sh")
            .args(["-c", &kill])
            .status()
            .await
            .unwrap();
        assert!(status.success());
    }

    /// Waits until the server exits.
    pub async fn wait_for_exit(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("a running server");
        in_time("the server to exit", process.child.wait())
            .await
            .unwrap()
    }

    /// Sends SIGTERM, and asserts that the server exits with success.
    pub async fn stop(&mut self) {
        self.signal("TERM").await;
        let status = self.wait_for_exit().await;
        assert!(
            status.success(),
            "after SIGTERM the server exited with {status}"
        );
    }

    /// Kills the server with SIGKILL.
    pub async fn kill(&mut self) {
        let mut process = self.process.take().expect("a running server");
        process.child.kill().await.unwrap();
    }

    /// Starts the server on a new port after it was stopped or killed.
    pub async fn restart(&mut self) {
        assert!(self.process.is_none(), "the server is still running");
        self.process = Some(self.setup.start_process().await);
    }

    /// Starts the server, and kills it with SIGKILL `delay` later. Returns whether the server had begun to listen by then.
    pub async fn restart_and_kill(&mut self, delay: Duration) -> bool {
        assert!(self.process.is_none(), "the server is still running");
        let log = File::options().append(true).open(self.setup.log_file());
        let mut child = self.setup.command().stderr(log.unwrap()).spawn().unwrap();
        tokio::time::sleep(delay).await;
        child.kill().await.unwrap();
        let mut printed = String::new();
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_to_string(&mut printed).await.unwrap();
        printed.contains("listening")
    }

    /// Restarts the server with changed settings in the same folders.
    pub async fn restart_with(&mut self, change: impl FnOnce(Setup) -> Setup) {
        let blank = Setup::empty();
        self.setup = change(std::mem::replace(&mut self.setup, blank));
        self.restart().await;
    }

    /// Restarts the server on `address`.
    pub async fn restart_on(&mut self, address: SocketAddr) {
        self.restart_with(|setup| setup.listen(&address.to_string()))
            .await;
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.setup.log_file()).unwrap_or_default();
            eprintln!("--- the server's log ---\n{log}---");
        }
    }
}
