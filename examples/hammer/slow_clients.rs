//! Measures how clients that send or read as slowly as possible affect response times. The slow clients are connections
//! of the program `slowhttptest`.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::sleep;

use crate::room::Room;
use crate::server::Server;
use crate::statistics::Comparison;

/// Duration of each measurement.
const MEASUREMENT_TIME: Duration = Duration::from_secs(4);
/// Time in which `slowhttptest` opens all of its connections.
const CONNECT_TIME: Duration = Duration::from_secs(3);
/// The interval at which the open connections are counted.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// An attack that `slowhttptest` can make.
pub(crate) struct Attack {
    /// A label for the report.
    pub(crate) name: &'static str,
    /// The options of `slowhttptest` that select the kind of attack and its rates; see slowhttptest(1).
    arguments: &'static [&'static str],
    /// The path of the requests.
    path: &'static str,
}

/// Request heads that never end, request bodies that never end, and responses that are read slowly.
pub(crate) const ATTACKS: [Attack; 3] = [
    Attack {
        name: "slow heads",
        arguments: &["-H", "-i", "2", "-x", "24"],
        path: "/",
    },
    Attack {
        name: "slow bodies",
        arguments: &["-B", "-i", "2", "-s", "8192", "-x", "24", "-t", "POST"],
        path: "/pair",
    },
    Attack {
        name: "slow readers",
        arguments: &[
            "-X", "-w", "256", "-y", "512", "-n", "1", "-z", "16", "-k", "5",
        ],
        path: "/app.css",
    },
];

/// Measures response times of commands before, during and after an attack that opens `connections` connections.
pub(crate) async fn measure(
    server: &Server,
    room: &mut Room,
    attack: &Attack,
    connections: usize,
    rounds: usize,
) -> Comparison {
    // The first measurement is a warm-up, so its times are not used.
    room.measure_commands(MEASUREMENT_TIME).await;
    let mut result = Comparison::default();
    for _ in 0..rounds {
        result
            .before
            .push(room.measure_commands(MEASUREMENT_TIME).await);
        let mut slowhttptest = start(server, attack, connections);
        sleep(CONNECT_TIME).await;
        let open_connections = server.connections().await;
        assert!(
            open_connections >= connections,
            "only {open_connections} connections are open"
        );
        result
            .loaded
            .push(room.measure_commands(MEASUREMENT_TIME).await);
        slowhttptest.kill().await.unwrap();
        while server.connections().await >= connections {
            sleep(POLL_INTERVAL).await;
        }
        result
            .after
            .push(room.measure_commands(MEASUREMENT_TIME).await);
    }
    result
}

fn start(server: &Server, attack: &Attack, connections: usize) -> Child {
    let connections = connections.to_string();
    Command::new("slowhttptest")
        .args(attack.arguments)
        .args(["-c", &connections, "-r", &connections])
        .args(["-l", "60", "-p", "60"])
        .args(["-u", &server.url(attack.path)])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("slowhttptest is installed")
}
