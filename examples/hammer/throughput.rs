//! Measures command throughput: each connection sends its next command as soon as it has received the previous response.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::server::{Server, http_client, leave};

/// The result of one measurement.
pub(crate) struct Throughput {
    commands: usize,
    /// Writes of the state file.
    writes: usize,
    duration: Duration,
    /// The time from sending each command until its response is complete, in milliseconds.
    pub(crate) response_times: Vec<f64>,
}

impl Throughput {
    /// Accepted commands per second.
    pub(crate) fn commands_per_second(&self) -> f64 {
        self.commands as f64 / self.duration.as_secs_f64()
    }

    /// Writes of the state file per second.
    pub(crate) fn writes_per_second(&self) -> f64 {
        self.writes as f64 / self.duration.as_secs_f64()
    }

    /// Commands per write of the state file.
    pub(crate) fn commands_per_write(&self) -> f64 {
        self.commands as f64 / self.writes as f64
    }
}

/// Pairs and unpairs through each of `connections` for `duration`.
pub(crate) async fn measure(server: &Server, connections: usize, duration: Duration) -> Throughput {
    let mut clients = Vec::new();
    for _ in 0..connections {
        // Pairing once opens the connection before the measurement begins.
        let http = http_client();
        let (device, _) = server.pair(&http).await;
        leave(&device).await;
        clients.push(http);
    }
    let writes_before = server.disk.started("fsync");
    let began = Instant::now();
    let senders = clients.iter().map(|http| async move {
        let mut times = Vec::new();
        while began.elapsed() < duration {
            let sent_at = Instant::now();
            let (device, _) = server.pair(http).await;
            times.push(sent_at.elapsed());
            let sent_at = Instant::now();
            leave(&device).await;
            times.push(sent_at.elapsed());
        }
        times
    });
    let times = join_all(senders).await.concat();
    Throughput {
        commands: times.len(),
        writes: server.disk.started("fsync") - writes_before,
        duration: began.elapsed(),
        response_times: times.iter().map(|time| time.as_secs_f64() * 1e3).collect(),
    }
}
