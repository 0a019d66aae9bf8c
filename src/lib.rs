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
pub mod store;
pub mod tls;
mod token_bucket;
pub mod upload_service;
pub mod uploads;
pub mod wire;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use base_path::BasePath;
use config::{Alignment, Config};
use history::{History, HistoryHandle, HistoryWriter};
use http::LocalSocket;
use hub::{Hub, HubError, ShutdownPhase, StartState};
use library::{Library, LibraryOptions, ScanProgress, Scanner};
use metrics::{Metrics, RoomCounters};
use pairing::Pairing;
use room::{TrackCatalog, TrackId};
use rooms::{FoundRooms, RoomStarter, RoomStatus, Rooms, StartedHouse};
use store::{LoadedState, Store, StoreError};
use tls::{Tls, TlsError};
use upload_service::UploadService;
use uploads::Uploads;

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

/// The server's addresses and state at startup, before it serves the first request.
#[derive(Debug)]
pub struct StartupInfo {
    /// The address of the HTTP socket.
    pub http_address: SocketAddr,
    /// The URL by which phones reach the HTTP socket.
    pub url: String,
    /// The path of the page in all URLs.
    pub base_path: BasePath,
    /// The URL by which phones reach the HTTPS socket, if there is one.
    pub secure_url: Option<String>,
    /// The TLS configuration; `None` without HTTPS.
    pub tls: Option<Arc<Tls>>,
    /// The pairing code.
    pub code: String,
    /// The number of tracks in the index.
    pub track_count: usize,
    /// Whether the index is complete. `false` if the first scan has not ended yet.
    pub is_index_complete: bool,
    /// The rooms.
    pub rooms: Rooms,
}

/// How long a shutdown waits for the history to be written.
const HISTORY_END_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a shutdown waits for the scanner to write the index cache. Short, because a scan in progress does not end early.
const SCANNER_END_TIMEOUT: Duration = Duration::from_secs(2);

/// The house room and its task. If the state file is damaged, the task only holds the lock on the state file.
struct StartedRoom {
    status: RoomStatus,
    counters: Arc<RoomCounters>,
    /// Ends after `shutdown_phase` is set to [`ShutdownPhase::Stopped`].
    task: JoinHandle<()>,
    /// `None` if the state file is damaged, because nothing is played then.
    history_writer: Option<HistoryWriter>,
}

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
        started = start(listener, &config, on_start, on_progress) => started?,
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

/// The result of [`start`]: all that is needed to serve requests.
struct StartedServer {
    sockets: http::ListenSockets,
    app: http::App,
    /// See [`StartedRoom::task`].
    room_task: JoinHandle<()>,
    /// The task that writes the history.
    history_task: JoinHandle<()>,
    shutdown_phase: watch::Sender<ShutdownPhase>,
    library: Arc<Library>,
    /// The task that relays the events of the library's scanner.
    relay: JoinHandle<()>,
    rooms: Rooms,
}

/// Opens the files and the sockets, and starts the tasks. Accesses files on the blocking pool only, so that the caller can
/// cancel a start that hangs, for example on a network file system.
async fn start(
    listener: TcpListener,
    config: &Config,
    on_start: impl FnOnce(&StartupInfo),
    on_progress: impl Fn(ScanProgress) + Send + 'static,
) -> Result<StartedServer, ServerError> {
    let (store, loaded) = open_store(config).await?;
    let metrics = Arc::new(Metrics::default());
    let sockets = http::ListenSockets {
        secure: open_secure_socket(config, &listener).await?,
        plain: listener,
        local: open_local_socket(config).await,
        metrics: config.metrics_listen.map(listen).transpose()?,
        max_connections: descriptors::max_connections(config.max_connections as usize),
    };
    let mut other_rooms = match config.reset_state {
        true => FoundRooms::default(),
        false => FoundRooms::find(config.state_file.clone()).await,
    };
    let awaited = awaited_tracks(loaded.as_ref().ok(), &other_rooms);
    let scanner = open_scanner(config, awaited, &metrics).await?;
    let (store, mut loaded) = if config.reset_state {
        // Only after the audio folder was opened successfully, so that a start with a wrong folder changes nothing.
        let reset = set_state_aside(store, config).await?;
        other_rooms = FoundRooms::find(config.state_file.clone()).await;
        reset
    } else {
        (store, loaded)
    };
    if let Ok(house) = &mut loaded {
        skip_member_ids(house, &other_rooms);
    }
    let shutdown_phase = watch::Sender::new(ShutdownPhase::Running);
    // A partial index would remove tracks from the queue of a room that was built from a complete index, and the places of tracks
    // that may return.
    let accepts_partial_index = loaded.as_ref().is_ok_and(has_no_queue)
        && other_rooms.is_complete()
        && other_rooms.states().all(has_no_queue);
    let catalog = usable_catalog(&scanner, accepts_partial_index);
    let room = start_room(loaded, store, &catalog, config, &shutdown_phase).await?;
    let starter = RoomStarter::new(
        &config.state_file,
        hub_settings(config),
        shutdown_phase.subscribe(),
    );
    let house = StartedHouse {
        status: room.status,
        pairing: Pairing::new(config.pairing_code.clone()),
        counters: room.counters,
    };
    let rooms = Rooms::start(house, other_rooms, starter).await;
    on_start(&startup_info(config, &sockets, &scanner, rooms.clone()));

    rooms.news().send_modify(|news| news.catalog = catalog);
    let (library, relay) = start_library(scanner, &rooms, accepts_partial_index, on_progress)?;
    rooms.set_library(library.clone());
    let uploads = start_uploads(config, &library, &rooms).await?;
    let history_writer = room.history_writer;
    let library_of_history = library.clone();
    let history_task = tokio::spawn(async move {
        if let Some(writer) = history_writer {
            writer.run(library_of_history).await;
        }
    });
    Ok(StartedServer {
        app: http::App::new(
            rooms.clone(),
            library.clone(),
            uploads,
            metrics,
            config,
            &sockets,
        ),
        rooms,
        sockets,
        room_task: room.task,
        history_task,
        shutdown_phase,
        library,
        relay,
    })
}

/// The current tracks and the picks of all rooms that are known.
fn awaited_tracks(house: Option<&StartState>, others: &FoundRooms) -> Vec<TrackId> {
    let states = house.into_iter().chain(others.states());
    states
        .flat_map(|state| state.room.awaited_track_ids())
        .collect()
}

/// Makes the ids of new devices unlike those of the members of other rooms, also if the house has lost some of them, for example
/// because its state file was restored from a backup. So no device has the rights of another one.
fn skip_member_ids(house: &mut StartState, others: &FoundRooms) {
    let numbers = others.states().map(|state| state.room.private.last_member);
    let last = &mut house.room.private.last_member;
    *last = numbers.fold(*last, u32::max);
}

/// Whether a room has no tracks yet and expects none back, so that a partial index does no harm.
fn has_no_queue(StartState { room, .. }: &StartState) -> bool {
    room.durable.queue.is_empty() && room.private.absences.is_empty()
}

/// The catalog of the scanner's index. `None` if the index is incomplete, unless `accepts_partial`, or empty: then an unmounted disk
/// is more likely than a deleted collection, so the queues stay unchanged.
fn usable_catalog(scanner: &Scanner, accepts_partial: bool) -> Option<Arc<TrackCatalog>> {
    let index = scanner.index();
    let is_usable = accepts_partial || (scanner.is_index_complete() && !index.is_empty());
    is_usable.then(|| Arc::new(index.for_room()))
}

/// The locked state file, and the room in it, as returned by [`load_room`].
type OpenedState = (Store, Result<StartState, String>);

/// Locks the state file and loads the room. With `--reset-state`, returns a new room instead, because the state file is set
/// aside later.
async fn open_store(config: &Config) -> Result<OpenedState, ServerError> {
    let (path, must_load) = (config.state_file.clone(), !config.reset_state);
    let open = move || {
        let store = Store::open(&path)?;
        let loaded = if must_load {
            load_room(&store)
        } else {
            Ok(StartState::default())
        };
        Ok((store, loaded))
    };
    let opened = tokio::task::spawn_blocking(open).await;
    opened.unwrap_or_else(|error| Err(state_error(config, error.to_string())))
}

/// Opens the HTTPS socket; `None` if HTTPS is not configured. The caller must hold the lock on the state file, so that only
/// one of two servers with the same state file creates a certificate authority.
async fn open_secure_socket(
    config: &Config,
    plain: &TcpListener,
) -> Result<Option<(TcpListener, Arc<Tls>)>, ServerError> {
    let Some(tls) = Tls::open(config).await? else {
        return Ok(None);
    };
    let address = config.tls_address(plain.local_addr().unwrap_or(config.listen));
    let listener = listen(address)?;
    let ip = address::reachable(listener.local_addr().unwrap_or(address)).ip();
    if let Some(authority) = tls.authority() {
        tracing::info!(
            "phones can install the root certificate \"{}\"; its SHA-256 fingerprint is {}",
            authority.name(),
            authority.fingerprint()
        );
        if !authority.permits_address(ip) {
            tracing::warn!(
                "{ip} is a public address, and the name constraints of \"{}\" permit private addresses only: open the \
                 secure page by a local name, or start with --tls-cert and --tls-key",
                authority.name()
            );
        }
    }
    Ok(Some((listener, Arc::new(tls))))
}

fn listen(address: SocketAddr) -> Result<TcpListener, ServerError> {
    let listener = http::bind(address).and_then(TcpListener::from_std);
    listener.map_err(|error| ServerError::Listen { address, error })
}

/// Opens the local socket; `None`, with one line in the log, if the socket cannot be opened, because the server works
/// without the local socket. The caller must hold the lock on the state file, so that a socket of another server with the
/// same state file is not replaced.
async fn open_local_socket(config: &Config) -> Option<LocalSocket> {
    let path = config.local_socket_path();
    let bind = {
        let path = path.clone();
        move || LocalSocket::bind(&path)
    };
    let bound = tokio::task::spawn_blocking(bind).await;
    let bound = bound.unwrap_or_else(|error| Err(io::Error::other(error)));
    let log = |error: &io::Error| {
        tracing::warn!(
            "no local socket at {}, so the commands `lockstep code` and `lockstep compare` cannot ask this server: {error}",
            path.display()
        );
    };
    bound.inspect_err(log).ok()
}

/// Opens the audio folders, on the blocking pool. `awaited` are the room's current track and its picks, which stay in the index
/// even if better copies of the same recordings exist.
async fn open_scanner(
    config: &Config,
    awaited: Vec<TrackId>,
    metrics: &Arc<Metrics>,
) -> Result<Scanner, ServerError> {
    let (folders, state_file) = (config.audio_dir.clone(), config.state_file.clone());
    let (keep_duplicates, metrics) = (config.keep_duplicates, metrics.clone());
    let uploads = config.upload_settings();
    let open = move || {
        Scanner::open_with_uploads(
            (&folders, Some(&uploads?.folder)),
            &state_file,
            keep_duplicates,
            &awaited,
            metrics,
        )
    };
    tokio::task::spawn_blocking(open)
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
        .map_err(|error| ServerError::AudioDir {
            path: config.audio_dir.first().cloned().unwrap_or_default(),
            error,
        })
}

fn state_error(config: &Config, error: String) -> ServerError {
    ServerError::State {
        path: config.state_file.clone(),
        error,
    }
}

/// The error for a failed first write.
fn write_error(config: &Config, error: &HubError) -> ServerError {
    use io::ErrorKind::{CrossesDevices, ResourceBusy};
    match error {
        // rename(2) refuses to replace a mount point.
        HubError::NotWritten(CrossesDevices | ResourceBusy) => {
            StoreError::Mounted(config.state_file.clone()).into()
        }
        _ => state_error(config, error.to_string()),
    }
}

/// Renames the state file of `--reset-state`, and returns a new room.
async fn set_state_aside(store: Store, config: &Config) -> Result<OpenedState, ServerError> {
    let set_aside = move || store.set_aside().map(|aside| (aside, store));
    let result = tokio::task::spawn_blocking(set_aside).await;
    let (aside, store) = result
        .unwrap_or_else(|error| Err(io::Error::other(error)))
        .map_err(|error| state_error(config, error.to_string()))?;
    if let Some(aside) = aside {
        tracing::warn!("the old state was moved to {}", aside.display());
    }
    Ok((store, Ok(StartState::default())))
}

/// The room in `store`, or a new one if there is no state file.
///
/// # Errors
/// A description of the damage to the state file.
fn load_room(store: &Store) -> Result<StartState, String> {
    match store.load() {
        LoadedState::Missing => Ok(StartState::default()),
        LoadedState::Valid(state) => {
            let (room, profile) = *state;
            Ok(StartState { room, profile })
        }
        LoadedState::Damaged(why) => Err(why),
    }
}

fn hub_settings(config: &Config) -> hub::Settings {
    hub::Settings {
        has_timed_starts: config.alignment == Alignment::Clock,
        leave_grace: config.leave_grace(),
    }
}

/// Starts the hub of the house room, and updates the room with the tracks of `catalog`.
/// If the state file is damaged, starts no hub: the server refuses every command, and the file stays locked and unchanged.
async fn start_room(
    loaded: Result<StartState, String>,
    store: Store,
    catalog: &Option<Arc<TrackCatalog>>,
    config: &Config,
    shutdown_phase: &watch::Sender<ShutdownPhase>,
) -> Result<StartedRoom, ServerError> {
    let phase = shutdown_phase.subscribe();
    let counters = Arc::new(RoomCounters::default());
    let state = match loaded {
        Ok(state) => state,
        Err(why) => {
            tracing::error!(
                "THE STATE FILE {} IS DAMAGED: {why}. It stays unchanged, and every command is refused. \
                 Repair it, or start with --reset-state to move it aside.",
                config.state_file.display()
            );
            return Ok(StartedRoom {
                status: RoomStatus::Damaged(why),
                counters,
                task: tokio::spawn(hold_lock_until_stopped(store, phase)),
                history_writer: None,
            });
        }
    };
    let settings = hub_settings(config);
    let (history, history_writer) = load_history(config).await?;
    let (hub, task) = Hub::start(state, store, settings, counters.clone(), history, phase);
    if let Some(catalog) = catalog {
        let library = room::Command::Library(catalog.clone());
        if let Err(error) = hub.submit(library).await {
            // A write that failed may nevertheless have replaced the state file, although its commands were refused. Before
            // the hub's task ends, it writes the last committed state again. The result of the task does not matter,
            // because this function returns the error of the write.
            shutdown_phase.send_replace(ShutdownPhase::Stopped);
            let _ = task.await;
            return Err(write_error(config, &error));
        }
    }
    Ok(StartedRoom {
        status: RoomStatus::Running(hub),
        counters,
        task,
        history_writer: Some(history_writer),
    })
}

/// Loads the history of the room, on the blocking pool.
async fn load_history(config: &Config) -> Result<(HistoryHandle, HistoryWriter), ServerError> {
    let path = config.state_file.clone();
    let loaded = tokio::task::spawn_blocking(move || History::load(&path)).await;
    loaded.map_err(|error| state_error(config, error.to_string()))
}

/// Holds the lock on the state file until the shutdown, so that no second server uses the damaged file.
async fn hold_lock_until_stopped(store: Store, mut phase: watch::Receiver<ShutdownPhase>) {
    // An error means that the sender was dropped, because `run` has returned.
    let _ = phase
        .wait_for(|phase| *phase == ShutdownPhase::Stopped)
        .await;
    drop(store);
}

fn startup_info(
    config: &Config,
    sockets: &http::ListenSockets,
    scanner: &Scanner,
    rooms: Rooms,
) -> StartupInfo {
    let http_address = sockets.plain.local_addr().unwrap_or(config.listen);
    StartupInfo {
        http_address,
        url: config.base_path.url(&address::url(http_address)),
        base_path: config.base_path.clone(),
        secure_url: sockets.secure.as_ref().and_then(|(listener, _)| {
            let local = listener.local_addr().ok()?;
            Some(config.base_path.url(&address::secure_url(local)))
        }),
        tls: sockets.secure.as_ref().map(|(_, tls)| tls.clone()),
        code: rooms.house().pairing.code(),
        track_count: scanner.index().len(),
        is_index_complete: scanner.is_index_complete(),
        rooms,
    }
}

/// Loads the unfinished uploads, and starts the task that completes and removes uploads.
async fn start_uploads(
    config: &Config,
    library: &Arc<Library>,
    rooms: &Rooms,
) -> Result<Arc<UploadService>, ServerError> {
    let settings = config.upload_settings();
    let open = move || Ok(Uploads::open(settings?));
    let opened = tokio::task::spawn_blocking(open).await;
    let uploads = opened.unwrap_or_else(|error| Err(io::Error::other(error)));
    let uploads = uploads.map_err(|error| ServerError::AudioDir {
        path: config.upload_folder(),
        error,
    })?;
    let service = UploadService::new(uploads, library.clone(), rooms.clone());
    tokio::spawn(service.clone().run());
    Ok(service)
}

/// Starts the scanner's thread, and the task that relays its events to the rooms. The task ends after the returned library is
/// dropped.
fn start_library(
    scanner: Scanner,
    rooms: &Rooms,
    publish_partial_indexes: bool,
    on_progress: impl Fn(ScanProgress) + Send + 'static,
) -> Result<(Arc<Library>, JoinHandle<()>), ServerError> {
    let rooms_of_scanner = rooms.clone();
    let options = LibraryOptions {
        current_tracks: Box::new(move || {
            let hubs = rooms_of_scanner.hubs();
            let rooms = hubs.iter().map(|hub| hub.view().room);
            rooms
                .flat_map(|room| room.awaited_track_ids().collect::<Vec<_>>())
                .collect()
        }),
        publish_partial_indexes,
    };
    let (library, events) = Library::start(scanner, options).map_err(ServerError::Scanner)?;
    let relay = library_relay::run(
        rooms.house().hub().cloned().into_iter().collect(),
        rooms.news().clone(),
        events,
        on_progress,
        library_relay::UPDATE_RETRY_INTERVAL,
    );
    Ok((library, tokio::spawn(relay)))
}
