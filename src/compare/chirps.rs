//! The chirps of the phones. If the comparison ends early, by an error or a signal, the phones are told to stop.

use std::io;
use std::process;
use std::thread;
use std::time::Duration;

use lockstep::wire::StartedComparison;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::local_client::{LocalServer, RequestError};

/// The server refuses two test sounds within a fifth of a second, so a stop that is refused is repeated.
const STOP_ATTEMPTS: usize = 5;
const STOP_INTERVAL: Duration = Duration::from_millis(100);

/// The exit status after a signal, by convention of shells.
const SIGNAL_STATUS_BASE: i32 = 128;

/// Chirps that the phones make. Dropping it stops them.
pub(super) struct Chirps<'a> {
    server: &'a LocalServer,
    is_over: bool,
}

impl<'a> Chirps<'a> {
    /// Makes the phones chirp in turn.
    pub(super) fn start(
        server: &'a LocalServer,
    ) -> Result<(Self, StartedComparison), RequestError> {
        let started = server.post("/compare", &json!({}))?;
        let is_over = false;
        Ok((Chirps { server, is_over }, started))
    }

    /// To be called after the last chirp. The phones have stopped by themselves.
    pub(super) fn end(mut self) {
        self.is_over = true;
    }
}

impl Drop for Chirps<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            stop(self.server);
        }
    }
}

/// Stops the chirps and ends the process at a signal: Ctrl-C, a closed terminal, or `kill`.
pub(super) fn stop_on_signal(server: LocalServer) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    thread::spawn(move || {
        let kind = runtime.block_on(next_signal());
        if let Ok(kind) = kind {
            stop(&server);
            process::exit(SIGNAL_STATUS_BASE + kind.as_raw_value());
        }
    });
    Ok(())
}

async fn next_signal() -> io::Result<SignalKind> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(tokio::select! {
        _ = interrupt.recv() => SignalKind::interrupt(),
        _ = terminate.recv() => SignalKind::terminate(),
        _ = hangup.recv() => SignalKind::hangup(),
    })
}

fn stop(server: &LocalServer) {
    for _ in 0..STOP_ATTEMPTS {
        // If the server has ended, the phones stop by themselves after the last chirp.
        let Err(RequestError::Refused(_)) = server.post::<()>("/compare/stop", &json!({})) else {
            return;
        };
        thread::sleep(STOP_INTERVAL);
    }
}
