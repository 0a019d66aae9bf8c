//! The start of the server: opens the files and the sockets, and starts the tasks.

mod house_room;
mod sockets;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::house_room::{hub_settings, open_store, set_state_aside, start_room};
use self::sockets::{listen, open_local_socket, open_secure_socket};
use crate::base_path::BasePath;
use crate::config::Config;
use crate::hub::{ShutdownPhase, StartState};
use crate::library::{Library, LibraryOptions, ScanProgress, Scanner};
use crate::metrics::Metrics;
use crate::pairing::Pairing;
use crate::room::{TrackCatalog, TrackId};
use crate::rooms::{FoundRooms, RoomStarter, Rooms, StartedHouse};
use crate::tls::Tls;
use crate::upload_service::UploadService;
use crate::uploads::Uploads;
use crate::{ServerError, address, descriptors, http, library_relay};

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

/// The result of [`start`]: all that is needed to serve requests.
pub(super) struct StartedServer {
    pub(super) sockets: http::ListenSockets,
    pub(super) app: http::App,
    /// See [`house_room::StartedRoom::task`].
    pub(super) room_task: JoinHandle<()>,
    /// The task that writes the history.
    pub(super) history_task: JoinHandle<()>,
    pub(super) shutdown_phase: watch::Sender<ShutdownPhase>,
    pub(super) library: Arc<Library>,
    /// The task that relays the events of the library's scanner.
    pub(super) relay: JoinHandle<()>,
    pub(super) rooms: Rooms,
}

/// Opens the files and the sockets, and starts the tasks. Accesses files on the blocking pool only, so that the caller can
/// cancel a start that hangs, for example on a network file system.
pub(super) async fn start(
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

/// More members than a room of a house has had.
const UNKNOWN_MEMBERS: u32 = 1_000;
/// Higher numbers of members are those of a damaged file.
const MAX_SKIPPED_ID: u32 = 1_000_000_000;

/// The current tracks and the picks of all rooms that are known.
fn awaited_tracks(house: Option<&StartState>, others: &FoundRooms) -> Vec<TrackId> {
    let states = house.into_iter().chain(others.states());
    states
        .flat_map(|state| state.room.awaited_track_ids())
        .collect()
}

/// Makes the ids of new devices unlike those of the members of other rooms, also if the house has lost some of them, for example
/// because its state file was restored from a backup. So no device has the rights of another one in these rooms.
fn skip_member_ids(house: &mut StartState, others: &FoundRooms) {
    let numbers = others.states().map(|state| state.room.private.last_member);
    let last = &mut house.room.private.last_member;
    *last = numbers
        .filter(|number| *number < MAX_SKIPPED_ID)
        .fold(*last, u32::max);
    // The members of a room that is damaged or still being read are not known.
    if !others.are_known() && *last < MAX_SKIPPED_ID {
        *last += UNKNOWN_MEMBERS;
    }
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

/// Opens the audio folders, on the blocking pool. `awaited` are the current tracks and the picks of all rooms that are known,
/// which stay in the index even if better copies of the same recordings exist.
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
