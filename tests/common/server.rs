//! The real executable in a folder of its own: started, stopped, killed and started again.

use std::ffi::OsString;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

use super::{in_time, music};

/// The pairing code of every test's server.
pub const CODE: &str = "748291";

/// The server's executable.
pub const EXECUTABLE: &str = env!("CARGO_BIN_EXE_lockstep");

/// Every environment variable that the server listens to.
pub const ENVIRONMENT: [&str; 16] = [
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
];

/// What it also heeds of whatever started it.
const SURROUNDINGS: [&str; 7] = [
    "LOCKSTEP_LOG",
    "NO_COLOR",
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "JOURNAL_STREAM",
];

/// What a server will find when it starts.
pub struct Setup {
    folder: TempDir,
    listen: String,
    flags: Vec<String>,
    log_filter: Option<String>,
    started_by: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
}

impl Setup {
    /// An audio folder with nothing in it.
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
            started_by: vec![EXECUTABLE.into()],
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

    /// Starts with this flag too. A later one replaces an earlier one of the same name.
    pub fn flag(mut self, flag: &str) -> Setup {
        let name = |flag: &str| flag.split('=').next().unwrap_or_default().to_owned();
        self.flags.retain(|other| name(other) != name(flag));
        self.flags.push(flag.to_owned());
        self
    }

    /// Tells the network its name.
    pub fn named(mut self) -> Setup {
        self.flags.retain(|flag| flag != "--no-mdns");
        self
    }

    /// Listens there instead of on loopback.
    pub fn listen(mut self, address: &str) -> Setup {
        self.listen = address.to_owned();
        self
    }

    /// Serves HTTPS too, with a certificate of its own authority.
    pub fn secure(self) -> Setup {
        self.flag("--tls").flag("--tls-listen=127.0.0.1:0")
    }

    /// Where its own authority is kept.
    pub fn authority_file(&self) -> PathBuf {
        self.folder().join("state/state.json.authority")
    }

    /// Logs by this filter instead of the usual one.
    pub fn log_filter(mut self, filter: &str) -> Setup {
        self.log_filter = Some(filter.to_owned());
        self
    }

    /// Starts by this command, which the server's own arguments follow, instead of its executable.
    pub fn started_by<T: Into<OsString>>(mut self, command: impl IntoIterator<Item = T>) -> Setup {
        self.started_by = command.into_iter().map(Into::into).collect();
        self
    }

    /// Starts with these environment variables too.
    pub fn env<T: Into<OsString>>(
        mut self,
        variables: impl IntoIterator<Item = (&'static str, T)>,
    ) -> Setup {
        let variables = variables.into_iter();
        self.environment
            .extend(variables.map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// The folder that everything is in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The audio folder.
    pub fn audio(&self) -> PathBuf {
        self.folder().join("audio")
    }

    /// The state file, in a folder of its own.
    pub fn state_file(&self) -> PathBuf {
        self.folder().join("state/state.json")
    }

    /// Where the log goes.
    pub fn log_file(&self) -> PathBuf {
        self.folder().join("log")
    }

    /// The command line that starts the server.
    pub fn command(&self) -> Command {
        self.command_with_state(&self.state_file())
    }

    /// The same, with another state file.
    pub fn command_with_state(&self, state_file: &Path) -> Command {
        let (program, arguments) = self.started_by.split_first().expect("a command");
        let mut command = bare_command(Path::new(program));
        command.args(arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.arg("--audio-dir").arg(self.audio());
        command.arg("--state-file").arg(state_file);
        command.args(["--pairing-code", CODE, "--listen", &self.listen]);
        command.args(&self.flags);
        if let Some(filter) = &self.log_filter {
            command.env("LOCKSTEP_LOG", filter);
        }
        command
    }

    /// Starts the server as somebody whom permissions bind, as they do not bind root.
    pub async fn start_as_nobody(self) -> TestServer {
        const NOBODY: u32 = 65534;
        if fs::metadata("/proc/self").unwrap().uid() != 0 {
            return self.start().await;
        }
        chown(self.folder().join("state"), Some(NOBODY), Some(NOBODY)).unwrap();
        // Where the executable was built, a stranger may not be able to look.
        let copy = self.folder().join("lockstep");
        fs::copy(EXECUTABLE, &copy).unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
        let as_nobody = [
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
        ];
        let command = as_nobody.map(PathBuf::from).into_iter().chain([copy]);
        self.started_by(command).start().await
    }

    /// Starts the server and waits until it serves.
    pub async fn start(self) -> TestServer {
        let running = Running::start(self.command(), &self.log_file()).await;
        TestServer {
            setup: self,
            running: Some(running),
        }
    }
}

/// The executable with none of the surroundings' settings.
pub fn bare_command(executable: &Path) -> Command {
    let mut command = Command::new(executable);
    for name in ENVIRONMENT.into_iter().chain(SURROUNDINGS) {
        command.env_remove(name);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// How a command that ended by itself ended.
#[derive(Debug)]
pub struct Exit {
    /// Whether it failed, and how.
    pub status: ExitStatus,
    /// All of standard output.
    pub stdout: String,
    /// All of standard error.
    pub stderr: String,
}

/// Runs `command` to its end.
pub async fn run(mut command: Command) -> Exit {
    let output = in_time("a command to end", command.output()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Exit {
        status: output.status,
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// A process that serves.
struct Running {
    child: Child,
    address: SocketAddr,
    stdout: Arc<Mutex<Vec<String>>>,
}

impl Running {
    async fn start(mut command: Command, log: &Path) -> Running {
        let log_file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .unwrap();
        let mut child = command.stderr(log_file).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let stdout = Arc::new(Mutex::new(Vec::new()));
        let said = stdout.clone();
        let (serves, served) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let mut serves = Some(serves);
            while let Ok(Some(line)) = lines.next_line().await {
                let address = line.strip_prefix("listening on http://").map(str::to_owned);
                said.lock().unwrap().push(line);
                if let Some(address) = address {
                    serves.take().map(|serves| serves.send(address));
                }
            }
        });
        let Ok(address) = in_time("the server to listen", served).await else {
            panic!(
                "the server ended at its start:\n{}",
                fs::read_to_string(log).unwrap()
            );
        };
        let address: SocketAddr = address.parse().unwrap();
        Running {
            child,
            address,
            stdout,
        }
    }
}

/// A server that a test can stop, kill and start again in the same folders.
pub struct TestServer {
    setup: Setup,
    running: Option<Running>,
}

impl TestServer {
    /// A server with four long silent tracks, for whatever needs no real music.
    pub async fn start() -> TestServer {
        Setup::long_tracks().start().await
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("the server runs")
    }

    /// Where it is to be reached: on loopback if it listens everywhere.
    pub fn address(&self) -> SocketAddr {
        let address = self.running().address;
        match self.setup.listen.starts_with("0.0.0.0") {
            true => (Ipv4Addr::LOCALHOST, address.port()).into(),
            false => address,
        }
    }

    /// `http://HOST:PORT` and `path`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// Where its secure page is to be reached.
    pub fn secure_address(&self) -> SocketAddr {
        let stdout = self.stdout();
        let shown = stdout.iter().find_map(|line| line.split_once("https://"));
        shown.expect("a secure page").1.parse().unwrap()
    }

    /// `https://HOST:PORT` and `path`.
    pub fn secure_url(&self, path: &str) -> String {
        format!("https://{}{path}", self.secure_address())
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.running().child.id().expect("the server runs")
    }

    /// The folders that it runs in.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// What it has printed on standard output since it was last started, line by line.
    pub fn stdout(&self) -> Vec<String> {
        self.running().stdout.lock().unwrap().clone()
    }

    /// What it has logged, over all starts.
    pub fn log(&self) -> String {
        fs::read_to_string(self.setup.log_file()).unwrap()
    }

    /// The bytes of its state file.
    pub fn state(&self) -> Vec<u8> {
        fs::read(self.setup.state_file()).unwrap()
    }

    /// Sends it a signal, by name.
    pub async fn signal(&self, name: &str) {
        let kill = format!("kill -s {name} {}", self.pid());
        let status = Command::new("sh")
            .args(["-c", &kill])
            .status()
            .await
            .unwrap();
        assert!(status.success());
    }

    /// Waits for it to end by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        let mut running = self.running.take().expect("the server runs");
        in_time("the server to end", running.child.wait())
            .await
            .unwrap()
    }

    /// Asks it to stop, and sees that it does so properly.
    pub async fn stop(&mut self) {
        self.signal("TERM").await;
        let status = self.ended().await;
        assert!(status.success(), "SIGTERM ended it with {status}");
    }

    /// Ends it as a power cut would: kill −9.
    pub async fn kill(&mut self) {
        let mut running = self.running.take().expect("the server runs");
        running.child.kill().await.unwrap();
    }

    /// Starts it again after a stop or a kill, on a new port.
    pub async fn start_again(&mut self) {
        assert!(self.running.is_none(), "it runs already");
        self.running = Some(Running::start(self.setup.command(), &self.setup.log_file()).await);
    }

    /// Starts it again, and ends it with kill −9 so long after, wherever it is by then; whether it served already.
    pub async fn start_again_and_kill(&mut self, after: Duration) -> bool {
        assert!(self.running.is_none(), "it runs already");
        let log = File::options().append(true).open(self.setup.log_file());
        let mut child = self.setup.command().stderr(log.unwrap()).spawn().unwrap();
        tokio::time::sleep(after).await;
        child.kill().await.unwrap();
        let mut said = String::new();
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_to_string(&mut said).await.unwrap();
        said.contains("listening")
    }

    /// Starts it again with other settings in the same folders.
    pub async fn start_again_with(&mut self, change: impl FnOnce(Setup) -> Setup) {
        let blank = Setup::empty();
        self.setup = change(std::mem::replace(&mut self.setup, blank));
        self.start_again().await;
    }

    /// Starts it again on the port that it had.
    pub async fn start_again_on(&mut self, address: SocketAddr) {
        self.start_again_with(|setup| setup.listen(&address.to_string()))
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
