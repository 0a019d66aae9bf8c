//! Many connections that command as fast as they are answered.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::server::Server;

/// What came of it.
pub(crate) struct Storm {
    commands: usize,
    writes: usize,
    span: Duration,
    /// From sending a command to having its answer, in milliseconds.
    pub(crate) answers: Vec<f64>,
}

impl Storm {
    /// Accepted commands.
    pub(crate) fn per_second(&self) -> f64 {
        self.commands as f64 / self.span.as_secs_f64()
    }

    /// Writes of the state.
    pub(crate) fn writes_per_second(&self) -> f64 {
        self.writes as f64 / self.span.as_secs_f64()
    }

    /// How many commands a write carried.
    pub(crate) fn per_write(&self) -> f64 {
        self.commands as f64 / self.writes as f64
    }
}

/// Has that many connections command for that long.
pub(crate) async fn run(server: &Server, connections: usize, span: Duration) -> Storm {
    let mut ready = Vec::new();
    for _ in 0..connections {
        // Connected, and nobody's guest.
        let client = Server::client();
        let (token, _) = server.pair(&client).await;
        server.leave(&client, &token).await;
        ready.push(client);
    }
    let before = server.disk.begun("fsync");
    let began = Instant::now();
    let hammers = ready.iter().map(|client| async move {
        let mut times = Vec::new();
        while began.elapsed() < span {
            let sent = Instant::now();
            let (token, _) = server.pair(client).await;
            times.push(sent.elapsed());
            let sent = Instant::now();
            server.leave(client, &token).await;
            times.push(sent.elapsed());
        }
        times
    });
    let times = join_all(hammers).await.concat();
    Storm {
        commands: times.len(),
        writes: server.disk.begun("fsync") - before,
        span: began.elapsed(),
        answers: times.iter().map(|time| time.as_secs_f64() * 1e3).collect(),
    }
}
