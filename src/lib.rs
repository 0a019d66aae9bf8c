//! Lockstep: everybody in the house hears the same song at the same moment, each from their own phone.
//!
//! # The map
//!
//! One direction of dependence: [`http`] → [`hub`] → [`room`], [`store`], [`library`].
//!
//! | module | what lives there |
//! | --- | --- |
//! | [`room`] | the pure core: what happens in a room, decided without I/O, clock or await |
//! | [`hub`] | the one task that owns the room: batches, timers, presence, event streams |
//! | [`store`] | the state file, replaced atomically, and its lock |
//! | [`library`] | the immutable index of the audio folder, and who keeps it true; tags, covers |
//! | [`pairing`] | the code, tokens, and the price of guessing |
//! | [`wire`] | what crosses the wire, in its JSON shape |
//! | [`http`] | requests and answers; the only place that knows statuses |
//! | [`tls`] | the certificates of the secure page, and the small authority behind them |
//! | [`address`] | by which addresses phones reach this machine, and the QR code of the first |
//! | [`config`], [`clock`] | flags and environment; the server's clock |
//! | [`metrics`], [`descriptors`] | what is counted of all this; how many files and sockets may be open |
//!
//! # The way of a command
//!
//! `http::control` caps and parses the body into a [`room::Command`]. [`hub::Hub::submit`] hands it to the
//! hub, which takes all that waits, applies each with the pure [`room::apply`], writes once with
//! [`store::Store::save`], and only then sends the events and the answers. If the write fails, nothing has happened. What is
//! not asked for (arrivals, departures, a track's end) becomes a command too, so there is one
//! way in, and a room's history can be replayed from its commands.

pub mod address;
pub mod clock;
pub mod config;
pub mod descriptors;
pub mod http;
pub mod hub;
pub mod library;
pub mod metrics;
pub mod pairing;
pub mod room;
pub mod store;
pub mod tls;
pub mod wire;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;

use config::{Alignment, Config};
use hub::{Hub, Life};
use library::{Audience, Keeper, Library, News, Progress};
use metrics::Metrics;
use pairing::Pairing;
use store::{Loaded, Store, StoreError};
use tls::{Tls, TlsError};

/// Why the server could not start, or go on. Each is one sentence for whoever started it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The audio folder is missing or cannot be read.
    #[error("cannot read the audio folder {path}: {error}")]
    AudioDir {
        /// As configured.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// As configured.
        address: std::net::SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The certificate of the secure page cannot be had.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The system has no room for the thread that keeps the library true.
    #[error("cannot watch the audio folder: {0}")]
    Watch(io::Error),
    /// The state file cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state file cannot be moved aside, or the first write failed.
    #[error("cannot write the state file {path}: {error}")]
    State {
        /// As configured.
        path: PathBuf,
        /// What the system said.
        error: String,
    },
    /// A fault in the server itself.
    #[error(
        "the room's own task ended, which it never should; what was accepted is in the state file"
    )]
    Broken,
}

/// What a host is told on the terminal before the first request is served.
#[derive(Debug)]
pub struct Welcome {
    /// The address that it is bound to.
    pub local: std::net::SocketAddr,
    /// The URL that phones in the house reach.
    pub url: String,
    /// The URL of the secure page, if there is one.
    pub secure_url: Option<String>,
    /// What makes its connections secure.
    pub tls: Option<Arc<Tls>>,
    /// The pairing code.
    pub code: String,
    /// How many tracks are known.
    pub tracks: usize,
    /// Whether those are all.
    pub whole: bool,
    /// The way to the room; none if the state is damaged.
    pub hub: Option<Hub>,
}

/// Serves until `closing` turns true, then ends the streams, finishes what is being written and returns. To be called on a
/// runtime of several threads.
///
/// `welcome` is called once, right before the first request is served, and `reading` whenever there is news of a scan that
/// takes a while.
///
/// # Errors
/// [`StartError`], before anything is served; or [`StartError::Broken`], later.
pub async fn run(
    listener: TcpListener,
    config: Config,
    mut closing: watch::Receiver<bool>,
    welcome: impl FnOnce(&Welcome),
    reading: impl Fn(Progress) + Send + 'static,
) -> Result<(), StartError> {
    let store = Store::open(&config.state_file)?;
    let metrics = Arc::new(Metrics::default());
    let doors = http::Doors {
        secure: secure_door(&config, &listener).await?,
        plain: listener,
        most: descriptors::room_for(config.max_connections as usize),
    };
    // What is to be reset is moved away once there is music for another.
    let kept = (!config.reset_state).then(|| open_room(&store));
    let current = kept.as_ref().and_then(|room| room.as_ref().ok()?.current());
    let keeper = tokio::select! {
        keeper = look_through(&config, current, &metrics) => keeper?,
        _ = closing.wait_for(|closing| *closing) => return Ok(()),
    };
    let state_error = |error: String| StartError::State {
        path: config.state_file.clone(),
        error,
    };
    if config.reset_state {
        let aside = store.set_aside();
        if let Some(aside) = aside.map_err(|error| state_error(error.to_string()))? {
            tracing::warn!("the old state is now in {}", aside.display());
        }
    }
    let settings = hub::Settings {
        aligned: config.alignment == Alignment::Clock,
        leave_grace: config.leave_grace(),
    };
    let (life, hub_life) = watch::channel(Life::Serving);
    let room = kept.unwrap_or_else(|| open_room(&store));
    let (house, mut hub_task, takes_parts) = match room {
        Ok(room) => {
            // A part of the library would only take from a queue that knows the whole; and an empty folder is more likely a
            // disk that is not mounted than music given up.
            let takes_parts = room.durable.queue.is_empty();
            let (hub, task) = Hub::start(room, store, settings, metrics.clone(), hub_life);
            let index = keeper.index();
            if takes_parts || (keeper.is_whole() && !index.is_empty()) {
                let library = room::Command::Library(Arc::new(index.for_room()));
                if let Err(error) = hub.submit(library).await {
                    // What the failed write left behind is put right first, as far as the disk lets it be.
                    life.send_replace(Life::Over);
                    let _ = task.await;
                    return Err(state_error(error.to_string()));
                }
            }
            (http::House::Open(hub), task, takes_parts)
        }
        Err(why) => {
            tracing::error!(
                "THE STATE FILE {} IS DAMAGED: {why}. It is left as it is, and every command will be refused. \
                 Mend it, or start with --reset-state to move it aside.",
                config.state_file.display()
            );
            // Nothing runs, but the lock is held all the same.
            let keep_lock = tokio::spawn(async move {
                let (_store, mut life) = (store, hub_life);
                let _ = life.wait_for(|life| *life == Life::Over).await;
            });
            (http::House::Damaged(why), keep_lock, false)
        }
    };
    let hub = match &house {
        http::House::Open(hub) => Some(hub.clone()),
        http::House::Damaged(_) => None,
    };
    let local = doors.plain.local_addr().unwrap_or(config.listen);
    let url = address::url(local);
    let pairing = Pairing::new(config.pairing_code.clone());
    welcome(&Welcome {
        local,
        url,
        secure_url: doors.secure.as_ref().and_then(|(listener, _)| {
            let local = listener.local_addr().ok()?;
            Some(address::secure_url(local))
        }),
        tls: doors.secure.as_ref().map(|(_, tls)| tls.clone()),
        code: pairing.code().into(),
        tracks: keeper.index().len(),
        whole: keeper.is_whole(),
        hub: hub.clone(),
    });
    let audience = Household {
        hub,
        reading,
        runtime: tokio::runtime::Handle::current(),
    };
    let library = Library::keep(keeper, takes_parts, audience).map_err(StartError::Watch)?;
    let app = http::App::new(house, library, pairing, metrics, &config, &doors);
    tokio::select! {
        () = http::serve(doors, app, closing, &life) => {
            life.send_replace(Life::Over);
            hub_task.await.map_err(|_| StartError::Broken)
        }
        _ = &mut hub_task => Err(StartError::Broken),
    }
}

/// The door of the secure page beside the `plain` one, if it is wanted. Under the store's lock: of two servers only one makes
/// an authority.
async fn secure_door(
    config: &Config,
    plain: &TcpListener,
) -> Result<Option<(TcpListener, Arc<Tls>)>, StartError> {
    let Some(tls) = Tls::open(config)? else {
        return Ok(None);
    };
    let address = config.tls_listen(plain.local_addr().unwrap_or(config.listen));
    let listen_error = |error| StartError::Listen { address, error };
    let listener = http::bind(address).map_err(listen_error)?;
    let listener = TcpListener::from_std(listener).map_err(listen_error)?;
    let ip = address::reachable(listener.local_addr().unwrap_or(address)).ip();
    if let Some(authority) = tls.authority() {
        tracing::info!(
            "phones may trust \"{}\"; its SHA-256 is {}",
            authority.name(),
            authority.fingerprint()
        );
        if !authority.speaks_for_address(ip) {
            tracing::warn!(
                "{ip} is a public address, which \"{}\" does not speak for: reach the secure page by a local name, \
                 or start with --tls-cert and --tls-key",
                authority.name()
            );
        }
    }
    Ok(Some((listener, Arc::new(tls))))
}

async fn look_through(
    config: &Config,
    current: Option<room::TrackId>,
    metrics: &Arc<Metrics>,
) -> Result<Keeper, StartError> {
    let (folder, state_file) = (config.audio_dir.clone(), config.state_file.clone());
    let (keep_duplicates, metrics) = (config.keep_duplicates, metrics.clone());
    let open = move || Keeper::open(&folder, &state_file, keep_duplicates, current, metrics);
    tokio::task::spawn_blocking(open)
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
        .map_err(|error| StartError::AudioDir {
            path: config.audio_dir.clone(),
            error,
        })
}

/// Who hears what the library's keeper has to say: the room, if there is one, and the terminal.
struct Household<R> {
    hub: Option<Hub>,
    reading: R,
    runtime: tokio::runtime::Handle,
}

impl<R: Fn(Progress)> Audience for Household<R> {
    fn hear(&mut self, news: News) -> bool {
        let Some(hub) = &self.hub else { return true };
        match news {
            News::Reading(progress) => {
                (self.reading)(progress);
                hub.report_reading(progress);
                true
            }
            News::Index { index, .. } => {
                let library = room::Command::Library(Arc::new(index.for_room()));
                let followed = self.runtime.block_on(hub.submit(library));
                if let Err(error) = &followed {
                    tracing::warn!("the room could not follow the library: {error}");
                }
                followed.is_ok()
            }
        }
    }

    fn current(&self) -> Option<room::TrackId> {
        self.hub.as_ref()?.view().room.current()
    }
}

/// The room in `store`, or a new one, or why what is there is neither.
fn open_room(store: &Store) -> Result<room::Room, String> {
    match store.load() {
        Loaded::Fresh => Ok(room::Room::default()),
        Loaded::Sound(room) => Ok(*room),
        Loaded::Damaged(why) => Err(why),
    }
}
