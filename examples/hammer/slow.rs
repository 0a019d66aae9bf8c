//! Clients that send or read as slowly as they can, as `slowhttptest` does it, and what they cost those who press.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::sleep;

use crate::calm::House;
use crate::server::Server;

/// How long commands are timed in a go.
const SPAN: Duration = Duration::from_secs(4);
/// By then `slowhttptest` has all of its connections.
const COMING: Duration = Duration::from_secs(3);

/// One of its three ways.
pub(crate) struct Way {
    /// What it is.
    pub(crate) name: &'static str,
    arguments: &'static [&'static str],
    path: &'static str,
}

/// Heads that do not end, bodies that do not come, answers that are hardly read.
pub(crate) const WAYS: [Way; 3] = [
    Way {
        name: "slow heads",
        arguments: &["-H", "-i", "2", "-x", "24"],
        path: "/",
    },
    Way {
        name: "slow bodies",
        arguments: &["-B", "-i", "2", "-s", "8192", "-x", "24", "-t", "POST"],
        path: "/pair",
    },
    Way {
        name: "slow readers",
        arguments: &[
            "-X", "-w", "256", "-y", "512", "-n", "1", "-z", "16", "-k", "5",
        ],
        path: "/app.css",
    },
];

/// What commands took, in milliseconds, round by round.
#[derive(Default)]
pub(crate) struct Rounds {
    /// With nobody slow there, before those with and after them.
    pub(crate) without: [Vec<Vec<f64>>; 2],
    /// With all of them.
    pub(crate) with: Vec<Vec<f64>>,
}

/// Times commands with and without so many slow connections.
pub(crate) async fn run(
    server: &Server,
    house: &mut House,
    way: &Way,
    connections: usize,
    rounds: usize,
) -> Rounds {
    // Code that has not run yet counts for none.
    house.time_commands(server, SPAN).await;
    let mut found = Rounds::default();
    for _ in 0..rounds {
        found.without[0].push(house.time_commands(server, SPAN).await);
        let mut slow = begin(server, way, connections);
        sleep(COMING).await;
        let open = server.connections().await;
        assert!(open >= connections, "only {open} connections are open");
        found.with.push(house.time_commands(server, SPAN).await);
        slow.kill().await.unwrap();
        while server.connections().await >= connections {
            sleep(Duration::from_millis(100)).await;
        }
        found.without[1].push(house.time_commands(server, SPAN).await);
    }
    found
}

fn begin(server: &Server, way: &Way, connections: usize) -> Child {
    let connections = connections.to_string();
    Command::new("slowhttptest")
        .args(way.arguments)
        .args([
            "-c",
            &connections,
            "-r",
            &connections,
            "-l",
            "60",
            "-p",
            "60",
        ])
        .args(["-u", &server.url(way.path)])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("slowhttptest, which is a package of Debian")
}
