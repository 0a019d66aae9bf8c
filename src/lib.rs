//! Lockstep: every phone in the room plays the same song at the same moment.
//!
//! # Modules
//!
//! Dependencies point in one direction: [`http`] → [`hub`] → [`room`], [`store`], [`history`], [`library`].
//!
//! | module | content |
//! | --- | --- |
//! | [`room`] | the pure core: decides what a command does to a room, without I/O, clock or await |
//! | [`hub`] | the task that owns a room: one write for several commands, timers, connected devices, event streams |
//! | [`rooms`] | the rooms of the server: how they are made, found and removed, and where each device listens |
//! | [`room_profile`] | a room's name, its maker and its password |
//! | [`store`], `data_files` | the state file and its lock; how the files beside the state file are replaced atomically |
//! | [`history`] | what was played: a file beside the state file |
//! | [`library`] | the index of the audio folder, and the scanner that keeps it up to date; tags, covers |
//! | [`pairing`] | the pairing code, tokens, and the rate limit on wrong codes |
//! | [`wire`] | the JSON types of the protocol |
//! | [`http`] | connections, requests and responses; the only module that chooses HTTP status codes |
//! | [`tls`] | the certificates of HTTPS, and the server's own certificate authority |
//! | [`address`] | the URLs by which phones reach this machine, and their QR codes |
//! | [`base_path`], [`ip_network`] | the path below which the server answers; networks in CIDR notation |
//! | [`config`], [`clock`] | flags and environment variables; the server's clock |
//! | [`comparison`] | finding the chirps of phones in a recording, and the speaker delays that follow |
//! | [`metrics`], [`descriptors`] | counters for `GET /metrics`; the limit on open files and sockets |
//!
//! [`room`], [`hub`] and [`library`] begin with tables that say where to look.
//!
//! # The path of a command
//!
//! `http::control` limits the size of the request body and parses it into a [`room::Command`]. [`hub::Hub::submit`] sends it
//! to the hub. The hub takes all queued commands, applies each with the pure [`room::apply`], writes the result once with
//! [`store::Store::save`], and only then sends the events and the responses. If the write fails, the room stays unchanged.
//! Arrivals and departures of devices, the end of a track and changes of the library are commands, too. So every change of a
//! room takes the same path, and a room's history can be replayed from its commands.

pub mod address;
pub mod base_path;
mod clean_text;
pub mod clock;
pub mod comparison;
pub mod config;
mod data_files;
pub mod descriptors;
pub mod history;
pub mod http;
pub mod hub;
pub mod ip_network;
pub mod library;
mod library_relay;
pub mod metrics;
pub mod pairing;
mod percent;
pub mod quantity;
pub mod room;
pub mod room_profile;
pub mod rooms;
mod rounding;
mod startup;
pub mod store;
pub mod tls;
mod token_bucket;
pub mod upload_service;
pub mod uploads;
pub mod wire;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

use config::Config;
use hub::ShutdownPhase;
use library::ScanProgress;
use startup::StartedServer;
use store::StoreError;
use tls::TlsError;

pub use startup::StartupInfo;

/// Why the server could not start, or stopped without a request to shut down. Each message is one sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The audio folders are missing or cannot be read.
    #[error("cannot read the audio folder {path}: {error}")]
    AudioDir {
        /// The first of the configured paths.
        path: PathBuf,
        /// The error of the operating system.
        error: io::Error,
    },
    /// The handlers of termination signals cannot be installed.
    #[error("cannot handle termination signals: {0}")]
    SignalHandlers(io::Error),
    /// The address is in use or is not an address of this machine.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// The error of the operating system.
        error: io::Error,
    },
    /// HTTPS is configured, but there is no usable certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The operating system cannot create the scanner's thread.
    #[error("cannot start the scanner of the audio folder: {0}")]
    Scanner(io::Error),
    /// The state file cannot be opened or locked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state file cannot be renamed (`--reset-state`), or the first write of the state file failed.
    #[error("cannot write the state file {path}: {error}")]
    State {
        /// The configured path.
        path: PathBuf,
        /// A description of the error.
        error: String,
    },
    /// The hub's task ended before the server stopped it, or panicked: a bug.
    #[error(
        "the task of the room ended unexpectedly; the state file contains all accepted changes"
    )]
    HubEnded,
    /// The scanner's thread or the task that relays its events ended while the server was running: a bug.
    #[error(
        "the scanner of the audio folder ended unexpectedly; the state file contains all accepted changes"
    )]
    ScannerEnded,
}

/// How long a shutdown waits for the history to be written.
const HISTORY_END_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a shutdown waits for the scanner to write the index cache. Short, because a scan in progress does not end early.
const SCANNER_END_TIMEOUT: Duration = Duration::from_secs(2);

/// Serves until `shutdown` turns true. Then ends the event streams, finishes the responses and writes in progress, and
/// returns. Needs a multi-threaded runtime, because some handlers call `block_in_place`.
///
/// Calls `on_start` once, before the first request is served, and `on_progress` with the progress of each scan.
///
/// # Errors
/// [`ServerError`]. All variants except [`ServerError::HubEnded`] and [`ServerError::ScannerEnded`] occur before the first
/// request is served.
pub async fn run(
    listener: TcpListener,
    config: Config,
    mut shutdown: watch::Receiver<bool>,
    on_start: impl FnOnce(&StartupInfo),
    on_progress: impl Fn(ScanProgress) + Send + 'static,
) -> Result<(), ServerError> {
    let started = tokio::select! {
        started = startup::start(listener, &config, on_start, on_progress) => started?,
        // Does not wait for file accesses in progress, which may hang.
        _ = shutdown.wait_for(|shutdown| *shutdown) => return Ok(()),
    };
    let StartedServer {
        sockets,
        app,
        mut room_task,
        history_task,
        shutdown_phase,
        library,
        mut relay,
        rooms,
    } = started;
    tokio::select! {
        () = http::serve(sockets, app, shutdown, &shutdown_phase) => {
            library.close();
            // The relay ends with the scanner. What the scanner cannot write in time is found out again after the next start.
            let _ = tokio::time::timeout(SCANNER_END_TIMEOUT, &mut relay).await;
            shutdown_phase.send_replace(ShutdownPhase::Stopped);
            let ended = room_task.await;
            rooms.ended().await;
            // The writer ends with the room's task, which sends it the plays.
            let _ = tokio::time::timeout(HISTORY_END_TIMEOUT, history_task).await;
            ended.map_err(|_| ServerError::HubEnded)
        }
        _ = &mut room_task => Err(ServerError::HubEnded),
        () = rooms.failure() => Err(ServerError::HubEnded),
        _ = &mut relay => {
            shutdown_phase.send_replace(ShutdownPhase::Stopped);
            // The result does not matter, because this function returns the error below even if the room's task has
            // panicked.
            let _ = room_task.await;
            Err(ServerError::ScannerEnded)
        }
    }
}
