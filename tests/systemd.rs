//! Integration with systemd: notifications, socket activation and journal priorities. The tests take the role of systemd, with
//! the sockets and environment variables that the manual pages of systemd specify.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
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
use common::{Setup, WAIT_TIMEOUT, in_time};
use tokio::io::{AsyncBufReadExt, BufReader};

/// Receives notifications on the socket of the simulated systemd until one contains the line `expected_line`. Panics after
/// [`WAIT_TIMEOUT`].
fn expect_notification(systemd_socket: &UnixDatagram, expected_line: &str) {
    systemd_socket.set_read_timeout(Some(WAIT_TIMEOUT)).unwrap();
    let mut bytes = [0; 4096];
    loop {
        let message_length = systemd_socket.recv(&mut bytes).unwrap_or_else(|error| {
            panic!("no notification with {expected_line} arrived: {error}")
        });
        let message = std::str::from_utf8(&bytes[..message_length]).unwrap();
        if message
            .lines()
            .any(|message_line| message_line == expected_line)
        {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn server_sends_ready_watchdog_and_stopping_notifications() {
    let folder = tempfile::tempdir().unwrap();
    let socket_path = folder.path().join("notify");
    let abstract_name = format!("lockstep-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
    for (name, systemd_socket) in [
        (
            socket_path.to_str().unwrap(),
            UnixDatagram::bind(&socket_path).unwrap(),
        ),
        (
            &format!("@{abstract_name}"),
            UnixDatagram::bind_addr(&address).unwrap(),
        ),
    ] {
        let setup = Setup::long_tracks();
        let variables = [("NOTIFY_SOCKET", name), ("WATCHDOG_USEC", "200000")];
        let mut server = setup.env(variables).start().await;
        expect_notification(&systemd_socket, "READY=1");
        for _ in 0..3 {
            expect_notification(&systemd_socket, "WATCHDOG=1");
        }
        server.stop().await;
        expect_notification(&systemd_socket, "STOPPING=1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_watchdog_notification_is_sent_if_watchdog_pid_is_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let socket_path = folder.path().join("notify");
    let systemd_socket = UnixDatagram::bind(&socket_path).unwrap();
    let variables = [
        ("NOTIFY_SOCKET", socket_path.to_str().unwrap()),
        ("WATCHDOG_USEC", "1000"),
        ("WATCHDOG_PID", "1"),
    ];
    let mut server = Setup::long_tracks().env(variables).start().await;
    expect_notification(&systemd_socket, "READY=1");
    ask(http().get(server.url("/healthz"))).await.expect(200);
    server.stop().await;
    let mut bytes = [0; 4096];
    let message_length = systemd_socket.recv(&mut bytes).unwrap();
    assert_eq!(&bytes[..message_length], b"STOPPING=1");
}

/// The client connects before the server starts, while systemd holds the socket.
#[tokio::test(flavor = "multi_thread")]
async fn server_accepts_connections_on_an_inherited_socket() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let early_request = tokio::spawn(ask(http().get(format!("http://{address}/healthz"))));
    let setup = Setup::long_tracks();
    // The first inherited descriptor has the number 3 (sd_listen_fds(3)).
    let start_command = format!("LISTEN_PID=$$ exec {EXECUTABLE} \"$@\" 3<&0 </dev/null");
    let setup = setup.launch_command(["sh", "-c", &start_command, "sh"]);
    let setup = setup.env([("LISTEN_FDS", "1")]);
    let mut command = setup.command();
    let inherited_socket = socket.as_fd().try_clone_to_owned().unwrap();
    let mut child = command
        .stdin(Stdio::from(inherited_socket))
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    drop(socket);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let read_address = in_time("the server to print its URL", async {
        loop {
            let line = lines
                .next_line()
                .await
                .unwrap()
                .expect("the server exited before it printed its URL");
            if let Some(url) = line.strip_prefix("listening on http://") {
                return url.to_owned();
            }
        }
    });
    assert_eq!(read_address.await, address.to_string());
    early_request.await.unwrap().expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn log_lines_have_priorities_in_the_journal_and_levels_in_files() {
    for is_journal in [true, false] {
        let setup = Setup::long_tracks();
        let path = setup.folder().join("journal");
        let stream = File::create(&path).unwrap();
        let metadata = stream.metadata().unwrap();
        // JOURNAL_STREAM contains another inode if standard error was redirected after systemd had set the variable.
        let inode = metadata.ino() + u64::from(!is_journal);
        let setup = setup.env([("JOURNAL_STREAM", format!("{}:{inode}", metadata.dev()))]);
        fs::write(setup.state_file(), "damaged").unwrap();
        let mut child = setup.command().stderr(stream).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        in_time("the server to print its URL", async {
            while !(lines
                .next_line()
                .await
                .unwrap()
                .expect("the server exited before it printed its URL"))
            .starts_with("listening")
            {}
        })
        .await;
        let log = fs::read_to_string(&path).unwrap();
        let line = log.lines().find(|line| line.contains("DAMAGED")).unwrap();
        assert_eq!(line.starts_with("<3>THE STATE FILE"), is_journal, "{line}");
        assert_eq!(line.contains("ERROR"), !is_journal, "{line}");
        child.kill().await.unwrap();
    }
}

#[tokio::test]
async fn log_has_colors_on_a_terminal_unless_no_color_is_set() {
    for (no_color, expects_colors) in [("", true), ("1", false)] {
        let setup = Setup::long_tracks().env([("NO_COLOR", no_color)]);
        fs::write(setup.state_file(), "damaged").unwrap();
        let in_terminal = format!("exec script -qec \"{EXECUTABLE} $*\" /dev/null");
        let server = setup
            .launch_command(["sh", "-c", &in_terminal, "sh"])
            .start()
            .await;
        let output = server.stdout().join("\n");
        assert!(output.contains("THE STATE FILE"), "{output}");
        assert_eq!(output.contains('\u{1b}'), expects_colors, "{output}");
    }
}
