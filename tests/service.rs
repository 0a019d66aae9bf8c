//! Run by systemd: what it is told and given, and what the journal is told. systemd itself is played by the test, with the
//! sockets and variables that its manual pages speak of.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on panics"
)]

pub mod common;

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Stdio;

use common::phone::{ask, http};
use common::server::EXECUTABLE;
use common::{PATIENCE, Setup, in_time};
use tokio::io::{AsyncBufReadExt, BufReader};

/// Waits for a message with that line.
fn expect(manager: &UnixDatagram, line: &str) {
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut bytes = [0; 4096];
    loop {
        let length = manager
            .recv(&mut bytes)
            .unwrap_or_else(|error| panic!("waited in vain for {line}: {error}"));
        let message = std::str::from_utf8(&bytes[..length]).unwrap();
        if message.lines().any(|told| told == line) {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_is_told_when_it_serves_that_it_is_well_and_when_it_stops() {
    let setup = Setup::long_tracks();
    let path = setup.folder().join("notify");
    let abstract_name = format!("lockstep-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
    for (name, manager) in [
        (path.to_str().unwrap(), UnixDatagram::bind(&path).unwrap()),
        (
            &format!("@{abstract_name}"),
            UnixDatagram::bind_addr(&address).unwrap(),
        ),
    ] {
        let setup = Setup::long_tracks();
        let variables = [("NOTIFY_SOCKET", name), ("WATCHDOG_USEC", "200000")];
        let mut server = setup.env(variables).start().await;
        expect(&manager, "READY=1");
        for _ in 0..3 {
            expect(&manager, "WATCHDOG=1");
        }
        server.stop().await;
        expect(&manager, "STOPPING=1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watchdog_of_another_process_is_not_fed() {
    let setup = Setup::long_tracks();
    let path = setup.folder().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    let variables = [
        ("NOTIFY_SOCKET", path.to_str().unwrap()),
        ("WATCHDOG_USEC", "1000"),
        ("WATCHDOG_PID", "1"),
    ];
    let again = Setup::long_tracks();
    let mut server = again.env(variables).start().await;
    expect(&manager, "READY=1");
    ask(http().get(server.url("/healthz"))).await.expect(200);
    server.stop().await;
    let mut bytes = [0; 4096];
    let length = manager.recv(&mut bytes).unwrap();
    assert_eq!(&bytes[..length], b"STOPPING=1");
}

/// The socket is opened by somebody else, and waits while the server is not there.
#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_was_opened_for_it_is_served() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let early = tokio::spawn(ask(http().get(format!("http://{address}/healthz"))));
    let setup = Setup::long_tracks();
    // Descriptor 3 is the first that is handed over, as sd_listen_fds(3) has it.
    let hand_over = format!("LISTEN_PID=$$ exec {EXECUTABLE} \"$@\" 3<&0 </dev/null");
    let setup = setup.started_by(["sh", "-c", &hand_over, "sh"]);
    let setup = setup.env([("LISTEN_FDS", "1")]);
    let mut command = setup.command();
    let inherited = socket.as_fd().try_clone_to_owned().unwrap();
    let mut child = command
        .stdin(Stdio::from(inherited))
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    drop(socket);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let listening = in_time("the server to listen", async {
        loop {
            let line = lines.next_line().await.unwrap().expect("it serves");
            if let Some(url) = line.strip_prefix("listening on http://") {
                return url.to_owned();
            }
        }
    });
    assert_eq!(listening.await, address.to_string());
    early.await.unwrap().expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_is_told_priorities_and_anybody_else_time_and_level() {
    for journal in [true, false] {
        let setup = Setup::long_tracks();
        let path = setup.folder().join("journal");
        let stream = File::create(&path).unwrap();
        let own = stream.metadata().unwrap();
        // Some other stream is not the journal, whatever it was when the variable was set.
        let inode = own.ino() + u64::from(!journal);
        let setup = setup.env([("JOURNAL_STREAM", format!("{}:{inode}", own.dev()))]);
        fs::write(setup.state_file(), "damaged").unwrap();
        let mut child = setup.command().stderr(stream).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        in_time("the server to listen", async {
            while !(lines.next_line().await.unwrap().expect("it serves")).starts_with("listening") {
            }
        })
        .await;
        let log = fs::read_to_string(&path).unwrap();
        let line = log.lines().find(|line| line.contains("DAMAGED")).unwrap();
        assert_eq!(line.starts_with("<3>THE STATE FILE"), journal, "{line}");
        assert_eq!(line.contains("ERROR"), !journal, "{line}");
        child.kill().await.unwrap();
    }
}

#[tokio::test]
async fn a_terminal_has_colours_unless_the_host_wants_none() {
    for (no_color, colours) in [("", true), ("1", false)] {
        let setup = Setup::long_tracks().env([("NO_COLOR", no_color)]);
        fs::write(setup.state_file(), "damaged").unwrap();
        let in_terminal = format!("exec script -qec \"{EXECUTABLE} $*\" /dev/null");
        let server = setup
            .started_by(["sh", "-c", &in_terminal, "sh"])
            .start()
            .await;
        let shown = server.stdout().join("\n");
        assert!(shown.contains("THE STATE FILE"), "{shown}");
        assert_eq!(shown.contains('\u{1b}'), colours, "{shown}");
    }
}
