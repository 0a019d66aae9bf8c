//! Machines of their own: network namespaces, with a cable between them. A test that needs them starts itself again inside a
//! fresh one, so it needs nothing of this machine's own network, and only the right to make namespaces.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Set in the process that is inside.
const INSIDE: &str = "LOCKSTEP_TEST_INSIDE";
/// The address of the house.
pub const HOUSE: &str = "10.77.0.1";
/// The address out of town.
pub const AWAY: &str = "10.77.0.2";

/// Runs the test of that name again in a network namespace of its own; `true` in there.
pub fn inside(test: &str) -> bool {
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
    // Told only when it matters: its own "test result" is not one of this run's.
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(
        output.status.success(),
        "inside the namespace:\n{}\n{}",
        said[0],
        said[1]
    );
    false
}

/// A namespace besides the house's, and the cable to it.
pub struct OutOfTown {
    keeper: Child,
}

impl OutOfTown {
    /// Founds the town and lays the cable.
    pub fn connected() -> Self {
        let keeper = Command::new("unshare")
            .args(["--net", "sleep", "300"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let town = OutOfTown { keeper };
        let pid = town.keeper.id().to_string();
        town.wait_until_there();
        ip(&["link", "set", "lo", "up"]);
        ip(&[
            "link", "add", "house", "type", "veth", "peer", "name", "phone", "netns", &pid,
        ]);
        ip(&["address", "add", &format!("{HOUSE}/24"), "dev", "house"]);
        ip(&["link", "set", "house", "up"]);
        town.ip(&["link", "set", "lo", "up"]);
        town.ip(&["address", "add", &format!("{AWAY}/24"), "dev", "phone"]);
        town.ip(&["link", "set", "phone", "up"]);
        town
    }

    /// The keeper is in a namespace of its own only once `unshare` has become `sleep`.
    fn wait_until_there(&self) {
        let name = format!("/proc/{}/comm", self.keeper.id());
        while std::fs::read_to_string(&name).unwrap().trim() != "sleep" {
            thread::yield_now();
        }
    }

    /// What enters it: a command line that another one follows.
    pub fn enter(&self) -> [String; 2] {
        let net = format!("--net=/proc/{}/ns/net", self.keeper.id());
        ["nsenter".into(), net]
    }

    fn ip(&self, arguments: &[&str]) {
        let [enter, net] = self.enter();
        let status = Command::new(enter)
            .arg(net)
            .arg("ip")
            .args(arguments)
            .status();
        assert!(status.unwrap().success(), "ip {arguments:?}");
    }

    /// From then on no packet passes.
    pub fn pull_the_cable(&self) {
        self.ip(&["link", "set", "phone", "down"]);
    }

    /// Runs `task` with every socket that it opens in there.
    pub fn run<T: Send + 'static, F: Future<Output = T>>(
        &self,
        task: impl FnOnce() -> F + Send + 'static,
    ) -> thread::JoinHandle<T> {
        let namespace = File::open(format!("/proc/{}/ns/net", self.keeper.id())).unwrap();
        thread::spawn(move || {
            use std::os::fd::AsFd;
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(task())
        })
    }
}

impl Drop for OutOfTown {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

fn ip(arguments: &[&str]) {
    let status = Command::new("ip").args(arguments).status().unwrap();
    assert!(status.success(), "ip {arguments:?}");
}
