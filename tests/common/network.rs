//! Network namespaces connected by a virtual cable, for tests that need a second machine or change the network. Such a
//! test runs itself again inside a new namespace, so it does not touch the machine's own network; it needs the right to
//! create namespaces.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Environment variable that marks the process inside the namespace.
const INSIDE: &str = "LOCKSTEP_TEST_INSIDE";
/// The address of the server's end of the cable.
pub const SERVER_IP: &str = "10.77.0.1";
/// The address of the remote namespace's end of the cable.
pub const PHONE_IP: &str = "10.77.0.2";

/// In the outer process, runs the test named `test` again in a network namespace, asserts that it passes, and returns
/// `false`. In the process inside the namespace, returns `true`.
pub fn in_network_namespace(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    let output = command
        .arg("--net")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    // The output is printed only on failure, because its "test result" line would look like a result of the outer process.
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(
        output.status.success(),
        "inside the namespace:\n{stdout}\n{stderr}"
    );
    // The test harness also succeeds if no test has this name.
    assert!(
        stdout.contains("test result: ok. 1 passed;"),
        "not exactly one test is named {test:?}:\n{stdout}"
    );
    false
}

/// A second network namespace, connected to the test's own by a virtual cable.
pub struct RemoteNamespace {
    /// A process in the namespace, which exists as long as this process runs.
    holder: Child,
}

impl RemoteNamespace {
    /// Creates the namespace and the cable.
    pub fn connected() -> Self {
        let holder = Command::new("unshare")
            .args(["--net", "sleep", "300"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let remote = RemoteNamespace { holder };
        let pid = remote.holder.id().to_string();
        remote.wait_until_created();
        ip(&["link", "set", "lo", "up"]);
        ip(&[
            "link", "add", "server", "type", "veth", "peer", "name", "phone", "netns", &pid,
        ]);
        ip(&[
            "address",
            "add",
            &format!("{SERVER_IP}/24"),
            "dev",
            "server",
        ]);
        ip(&["link", "set", "server", "up"]);
        remote.ip(&["link", "set", "lo", "up"]);
        remote.ip(&["address", "add", &format!("{PHONE_IP}/24"), "dev", "phone"]);
        remote.ip(&["link", "set", "phone", "up"]);
        remote
    }

    /// Waits until the namespace exists. `unshare` enters the new namespace before it executes `sleep`, which changes the
    /// name of the process.
    fn wait_until_created(&self) {
        let name = format!("/proc/{}/comm", self.holder.id());
        while std::fs::read_to_string(&name).unwrap().trim() != "sleep" {
            thread::yield_now();
        }
    }

    /// The arguments to put before a command line so that the command runs in the namespace.
    pub fn enter_command(&self) -> [String; 2] {
        let net = format!("--net=/proc/{}/ns/net", self.holder.id());
        ["nsenter".into(), net]
    }

    fn ip(&self, arguments: &[&str]) {
        let [enter, net] = self.enter_command();
        let status = Command::new(enter)
            .arg(net)
            .arg("ip")
            .args(arguments)
            .status();
        assert!(status.unwrap().success(), "ip {arguments:?}");
    }

    /// Takes the remote end of the cable down, so that no packet arrives in either direction any longer.
    pub fn disconnect(&self) {
        self.ip(&["link", "set", "phone", "down"]);
    }

    /// Limits the rate from the server to the namespace, in `tc` units, for example `1mbit`.
    pub fn limit_rate(&self, rate: &str) {
        let queue = ["qdisc", "add", "dev", "server", "root", "tbf", "rate", rate];
        let status = Command::new("tc")
            .args(queue)
            .args(["burst", "16kb", "latency", "200ms"])
            .status();
        assert!(status.unwrap().success(), "tc {queue:?}");
    }

    /// Runs `task` on a thread whose sockets are in the namespace.
    pub fn run<T: Send + 'static, F: Future<Output = T>>(
        &self,
        task: impl FnOnce() -> F + Send + 'static,
    ) -> thread::JoinHandle<T> {
        let namespace = File::open(format!("/proc/{}/ns/net", self.holder.id())).unwrap();
        thread::spawn(move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(task())
        })
    }
}

impl Drop for RemoteNamespace {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Runs `ip` with `arguments` in the current network namespace.
pub fn ip(arguments: &[&str]) {
    let status = Command::new("ip").args(arguments).status().unwrap();
    assert!(status.success(), "ip {arguments:?}");
}
