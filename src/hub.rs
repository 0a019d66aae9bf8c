//! The one task that owns the room, and the handle by which everybody else asks it.
//!
//! Commands that wait are taken together: each is applied to the room that the one before it left,
//! then all is written once, and only then does anybody hear of it: it is handed to the herald, who tells the event streams in
//! order, and those who asked are answered. While the disk works, streams may still begin and end. Nothing in here decides what
//! a command does (`room`) or how it was spelled (`http`).

mod herald;
mod lead;
mod outbox;
mod pace;
mod presence;
mod remembered;
mod tally;
mod task;
mod work;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{mpsc, oneshot, watch};

use crate::library::Progress;
use crate::metrics::Metrics;
use crate::room::{Command, Departure, Held, MemberId, Rejection, Room, TrackId};
use crate::store::Store;
use crate::wire::{self, Role};

pub use outbox::{Outbox, Outlet};
pub use presence::{Connected, StreamId};

/// Commands that may wait for the hub; whoever comes then waits to hand over.
const QUEUE: usize = 1024;

/// How far the server's end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// Not at all.
    Serving,
    /// Streams end, and what was asked is still answered.
    Closing,
    /// Nobody can ask any more.
    Over,
}

/// How the hub was told to behave.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Whether starts carry a time.
    pub aligned: bool,
    /// How long a listener's stream may be gone.
    pub leave_grace: std::time::Duration,
}

/// The room as last committed, with who is connected.
#[derive(Debug, Clone)]
pub struct View {
    /// The room.
    pub room: Arc<Room>,
    connected: Arc<Connected>,
    aligned: bool,
}

impl View {
    /// What phones see of it.
    pub fn snapshot(&self) -> wire::Snapshot<'_> {
        self.snapshot_of(&self.room)
    }

    /// What phones see of `room`, with those who are connected now.
    pub fn snapshot_of<'a>(&self, room: &'a Room) -> wire::Snapshot<'a> {
        wire::Snapshot {
            durable: &room.durable,
            live: self.live_of(room),
        }
    }

    fn live_of(&self, room: &Room) -> wire::Live {
        wire::live(
            room,
            self.aligned,
            &self.connected.downloads,
            &self.connected.syncs,
            self.connected.remotes.iter().copied(),
        )
    }
}

/// A command that was accepted.
#[derive(Debug)]
pub struct Accepted {
    /// The room right after it.
    pub room: Arc<Room>,
}

/// A command that was not.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// By the room.
    #[error("{rejection}")]
    Rejected {
        /// Why.
        rejection: Rejection,
        /// The room as it is.
        room: Arc<Room>,
    },
    /// The state could not be written; nothing has happened. The log says more: where the state is, phones need not know.
    #[error("the state could not be written: {0}")]
    NotWritten(std::io::ErrorKind),
    /// Sounds that begin at the same moment need `--alignment clock`.
    #[error(
        "with --alignment event nothing starts at a given moment, so there is nothing to compare speakers by"
    )]
    NotAligned,
    /// The house has just heard one.
    #[error("the house has been asked for the same a moment ago")]
    TooSoon {
        /// How long it must wait.
        retry_after: std::time::Duration,
    },
    /// The server is going down.
    #[error("the server is closing")]
    Closing,
}

/// Lives as long as its stream; tells the hub, when dropped, that the stream is gone.
#[derive(Debug)]
pub struct StreamGuard {
    stream: StreamId,
    silence: Silence,
    hub: mpsc::UnboundedSender<Signal>,
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        let how = if self.silence.is_set() {
            Departure::Vanished
        } else {
            Departure::Left
        };
        // A hub that is gone needs no telling.
        let _ = self.hub.send(Signal::StreamClosed(self.stream, how));
    }
}

/// Whether the other end of a connection went silent instead of closing it.
#[derive(Debug, Clone, Default)]
pub struct Silence(Arc<AtomicBool>);

impl Silence {
    /// It did.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A wish for an event stream.
#[derive(Debug)]
pub struct Subscribe {
    /// Whose.
    pub member: MemberId,
    /// How that device takes part.
    pub role: Role,
    /// The last event that it has seen.
    pub last_event_id: Option<u64>,
    /// What it says that it plays.
    pub held: Option<Held>,
    /// What becomes of its connection.
    pub silence: Silence,
    /// The way out of it.
    pub outbox: Arc<Outbox>,
}

/// What is asked of the hub.
enum Request {
    Submit(Command, oneshot::Sender<Result<Accepted, Refused>>),
    Subscribe(Subscribe, oneshot::Sender<Result<StreamGuard, Refused>>),
    Sound(wire::TuningSound, oneshot::Sender<Result<(), Refused>>),
}

/// What the hub is told; few, small, and never refused.
enum Signal {
    StreamClosed(StreamId, Departure),
    Download {
        member: MemberId,
        /// Where in the file this answer began, in bytes.
        from: u64,
        download: wire::Download,
    },
    DownloadEnded {
        member: MemberId,
        track_id: TrackId,
    },
    Sync {
        member: MemberId,
        report: wire::SyncReport,
    },
    Reading(Progress),
    /// Whether the hub still takes what it is sent.
    Ask(oneshot::Sender<()>),
}

/// The handle.
#[derive(Debug, Clone)]
pub struct Hub {
    requests: mpsc::Sender<Request>,
    signals: mpsc::UnboundedSender<Signal>,
    view: watch::Receiver<View>,
}

impl Hub {
    /// Starts the task that owns `room`. It ends when `life` is [`Life::Over`], or its sender is
    /// dropped; a handle that is left then is refused.
    pub fn start(
        room: Room,
        store: Store,
        settings: Settings,
        metrics: Arc<Metrics>,
        life: watch::Receiver<Life>,
    ) -> (Hub, tokio::task::JoinHandle<()>) {
        let (requests, request_queue) = mpsc::channel(QUEUE);
        let (signals, signal_queue) = mpsc::unbounded_channel();
        let view = View {
            room: Arc::new(room),
            connected: Arc::default(),
            aligned: settings.aligned,
        };
        let (views, view) = watch::channel(view);
        let task = task::Task::new(views, store, settings, metrics, signals.clone());
        let running = tokio::spawn(task.run(request_queue, signal_queue, life));
        (
            Hub {
                requests,
                signals,
                view,
            },
            running,
        )
    }

    /// The room as last committed. Never waits, not even for the disk.
    pub fn view(&self) -> View {
        self.view.borrow().clone()
    }

    /// [`Room::awaits`], of the room as last committed.
    pub fn awaits(&self, member: MemberId, track: TrackId) -> bool {
        self.view.borrow().room.awaits(member, track)
    }

    /// Ends as soon as the view is another than it was at this call.
    pub fn next_change(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut view = self.view.clone();
        view.mark_unchanged();
        async move {
            if view.changed().await.is_err() {
                // Without a hub nothing changes any more.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Whether a device is paired, as last committed.
    pub fn is_paired(&self, member: MemberId) -> bool {
        let view = self.view.borrow();
        view.room.durable.clients.contains_key(&member)
    }

    /// Whether there is still somebody to ask.
    pub fn is_alive(&self) -> bool {
        !self.requests.is_closed()
    }

    /// Waits until the hub has answered: it does so between whatever else it does, also while the disk works. `false` if it
    /// is gone.
    pub async fn answers(&self) -> bool {
        let (reply, answer) = oneshot::channel();
        self.signals.send(Signal::Ask(reply)).is_ok() && answer.await.is_ok()
    }

    /// Has a command decided and written, and then told.
    ///
    /// # Errors
    /// [`Refused`]; nothing has changed then.
    pub async fn submit(&self, command: Command) -> Result<Accepted, Refused> {
        let (reply, answer) = oneshot::channel();
        let request = Request::Submit(command, reply);
        self.requests
            .send(request)
            .await
            .map_err(|_| Refused::Closing)?;
        answer.await.unwrap_or(Err(Refused::Closing))
    }

    /// Begins an event stream: a snapshot or what was missed goes into its outbox, and without a gap what happens from then on.
    ///
    /// # Errors
    /// [`Refused`] when the device is not paired any more, or the server is going down.
    pub async fn subscribe(&self, wish: Subscribe) -> Result<StreamGuard, Refused> {
        let (reply, answer) = oneshot::channel();
        let request = Request::Subscribe(wish, reply);
        self.requests
            .send(request)
            .await
            .map_err(|_| Refused::Closing)?;
        answer.await.unwrap_or(Err(Refused::Closing))
    }

    /// Has every listener sound, or be silent again, so that their speakers can be compared.
    ///
    /// # Errors
    /// [`Refused`]; then nobody hears of it.
    pub async fn sound(&self, kind: wire::TuningSound) -> Result<(), Refused> {
        let (reply, answer) = oneshot::channel();
        let request = Request::Sound(kind, reply);
        self.requests
            .send(request)
            .await
            .map_err(|_| Refused::Closing)?;
        answer.await.unwrap_or(Err(Refused::Closing))
    }

    /// Says what a device says of how well it is in step.
    pub fn report_sync(&self, member: MemberId, report: wire::SyncReport) {
        // A hub that is gone needs no telling.
        let _ = self.signals.send(Signal::Sync { member, report });
    }

    /// Says how far a scan of the library is.
    pub fn report_reading(&self, progress: Progress) {
        // A hub that is gone needs no telling.
        let _ = self.signals.send(Signal::Reading(progress));
    }

    /// Says how far a download is that began at `from`, in bytes.
    pub fn report_download(&self, member: MemberId, from: u64, download: wire::Download) {
        // A hub that is gone needs no telling.
        let _ = self.signals.send(Signal::Download {
            member,
            from,
            download,
        });
    }

    /// Says that a download is under way no more, whole or not.
    pub fn end_download(&self, member: MemberId, track_id: TrackId) {
        // A hub that is gone needs no telling.
        let _ = self
            .signals
            .send(Signal::DownloadEnded { member, track_id });
    }
}
