//! A phone that walks out of range: its packets are dropped, and nothing is closed. Server and phone are in network
//! namespaces of their own, with a cable between them that is pulled.
//!
//! The test starts itself again inside a fresh network namespace, so it needs nothing of this machine's own network, and
//! only the right to make namespaces.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on panics"
)]

pub mod common;

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use common::phone::{http, trusting};
use common::{Phone, Setup, TestServer};
use reqwest::Client;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Set in the process that is inside.
const INSIDE: &str = "LOCKSTEP_TEST_INSIDE";
const SERVER: &str = "10.77.0.1";

/// Runs the test of that name again in a network namespace of its own; `true` in there.
fn inside(test: &str) -> bool {
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

/// A namespace with one phone in it, and the cable to it.
struct OutOfTown {
    keeper: Child,
}

impl OutOfTown {
    fn new() -> Self {
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
        ip(&["address", "add", "10.77.0.1/24", "dev", "house"]);
        ip(&["link", "set", "house", "up"]);
        town.ip(&["address", "add", "10.77.0.2/24", "dev", "phone"]);
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

    fn ip(&self, arguments: &[&str]) {
        let net = format!("--net=/proc/{}/ns/net", self.keeper.id());
        let status = Command::new("nsenter")
            .arg(net)
            .arg("ip")
            .args(arguments)
            .status();
        assert!(status.unwrap().success(), "ip {arguments:?}");
    }

    fn pull_the_cable(&self) {
        self.ip(&["link", "set", "phone", "down"]);
    }

    /// Runs `task` with every socket that it opens in there.
    fn run<F: Future<Output = ()>>(
        &self,
        task: impl FnOnce() -> F + Send + 'static,
    ) -> thread::JoinHandle<()> {
        let namespace = File::open(format!("/proc/{}/ns/net", self.keeper.id())).unwrap();
        thread::spawn(move || {
            use std::os::fd::AsFd;
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(task());
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

#[tokio::test]
async fn a_phone_out_of_range_is_waited_for_no_more_after_fifteen_seconds() {
    if inside("a_phone_out_of_range_is_waited_for_no_more_after_fifteen_seconds") {
        let (town, server) = town_and_server().await;
        let url = server.url("");
        walk_out_of_range(&town, &server, http(), url).await;
    }
}

#[tokio::test]
async fn so_it_is_over_tls() {
    if inside("so_it_is_over_tls") {
        let (town, server) = town_and_server().await;
        let url = server.secure_url("");
        walk_out_of_range(&town, &server, trusting(&server).await, url).await;
    }
}

async fn town_and_server() -> (OutOfTown, TestServer) {
    let town = OutOfTown::new();
    let setup = Setup::long_tracks()
        .listen(&format!("{SERVER}:0"))
        .secure()
        .flag(&format!("--tls-listen={SERVER}:0"))
        .flag("--leave-grace-ms=2000");
    (town, setup.start().await)
}

/// The phone that goes speaks by `client` with the server at `url`.
async fn walk_out_of_range(town: &OutOfTown, server: &TestServer, client: Client, url: String) {
    let mut home = Phone::listening(server).await;

    let (listens, listening) = mpsc::channel();
    let (over, end) = tokio::sync::oneshot::channel::<()>();
    let away = town.run(move || async move {
        let mut phone = Phone::pair_by(client, url, "away").await;
        phone.listen().await;
        listens.send(phone.member.clone()).unwrap();
        // Still there, and never closing anything, until the test is over.
        let _ = end.await;
    });
    let away_member = tokio::task::spawn_blocking(move || listening.recv().unwrap())
        .await
        .unwrap();
    home.wait_until("the phone among the listeners", |view| {
        !view["live"]["listeners"][&away_member].is_null()
    })
    .await;

    home.next().await;
    let track = home.current();
    home.ack(&track).await;
    assert_eq!(home.members().len(), 2);
    let opened = home.count();
    town.pull_the_cable();
    let pulled = Instant::now();
    home.wait_until("the music to start", |view| view["barrier"].is_null())
        .await;
    let waited = pulled.elapsed();
    let shrunk = home.durable_event("barrier.shrunk", opened - 1).await;
    assert_eq!(shrunk.payload["memberId"], away_member.as_str());
    assert_eq!(shrunk.payload["reason"], "vanished");
    assert!(waited <= Duration::from_secs(15), "it took {waited:?}");

    drop(over);
    tokio::task::spawn_blocking(|| away.join().unwrap())
        .await
        .unwrap();
}
