//! The house room at a start: its state file, its history and its hub.

use std::io;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::ServerError;
use crate::config::{Alignment, Config};
use crate::history::{History, HistoryHandle, HistoryWriter};
use crate::hub::{self, Hub, HubError, ShutdownPhase, StartState};
use crate::metrics::RoomCounters;
use crate::room::{self, TrackCatalog};
use crate::rooms::RoomStatus;
use crate::store::{LoadedState, Store, StoreError};

/// The house room and its task. If the state file is damaged, the task only holds the lock on the state file.
pub(super) struct StartedRoom {
    pub(super) status: RoomStatus,
    pub(super) counters: Arc<RoomCounters>,
    /// Ends after `shutdown_phase` is set to [`ShutdownPhase::Stopped`].
    pub(super) task: JoinHandle<()>,
    /// `None` if the state file is damaged, because nothing is played then.
    pub(super) history_writer: Option<HistoryWriter>,
}

/// The locked state file, and the room in it, as returned by [`load_room`].
pub(super) type OpenedState = (Store, Result<StartState, String>);

/// Locks the state file and loads the room. With `--reset-state`, returns a new room instead, because the state file is set
/// aside later.
pub(super) async fn open_store(config: &Config) -> Result<OpenedState, ServerError> {
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

/// Renames the state file of `--reset-state`, and returns a new room.
pub(super) async fn set_state_aside(
    store: Store,
    config: &Config,
) -> Result<OpenedState, ServerError> {
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
        LoadedState::Missing => {
            let state = StartState::default();
            // An empty file would be damaged once the server has written others. A failed write is repeated by the first change.
            let _ = store.fill_empty_file(&state.room, &state.profile);
            Ok(state)
        }
        LoadedState::Valid(state) => {
            let (room, profile) = *state;
            Ok(StartState { room, profile })
        }
        LoadedState::Damaged(why) => Err(why),
    }
}

pub(super) fn hub_settings(config: &Config) -> hub::Settings {
    hub::Settings {
        has_timed_starts: config.alignment == Alignment::Clock,
        leave_grace: config.leave_grace(),
    }
}

/// Starts the hub of the house room, and updates the room with the tracks of `catalog`.
/// If the state file is damaged, starts no hub: the server refuses every command, and the file stays locked and unchanged.
pub(super) async fn start_room(
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
