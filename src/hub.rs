//! The hub: one task that owns a room, and the handle through which the rest of the server sends it requests.
//!
//! A process may run any number of hubs; they share no state. The terms of a room (listener, barrier, segue and others) are
//! explained in [`crate::room`].
//!
//! # How a command is processed
//!
//! 1. [`Hub::submit`] puts the command into a bounded channel. The hub adds commands of its own, at deadlines and
//!    when devices connect or disconnect: arrivals, departures, stalled barrier members, the end of a track, the end of an absent
//!    DJ's role.
//! 2. The task takes all waiting commands as one batch, and applies each with [`crate::room::apply`] to the room that the
//!    previous command produced.
//! 3. One write saves the resulting room. If the write fails, the whole batch is refused and the room stays unchanged.
//! 4. The task publishes the new [`View`], broadcasts the events in order, and answers the senders.
//!
//! During a write, event streams may still begin and end. The task also handles signals, which are reports that need no
//! answer (`signals.rs`).
//!
//! # Where to look
//!
//! | question | file |
//! | --- | --- |
//! | Where does a batch start, end or fail? | `task/commit.rs` |
//! | Where are deadlines checked, and due commands queued? | `task/timers.rs` |
//! | Where does an event stream begin and end? | `task/streams.rs`, `task/handle_signals.rs` |
//! | Where are `presence` and `progress` sent, and how often? | `task/live_events.rs`, `presence_throttle.rs` |
//! | Where is a listener declared gone? | `presence/attendance.rs` (deadline), `presence.rs` (`due_commands`) |
//! | Where is a stalled barrier member detected? | `presence/barrier_progress.rs` |
//! | Where are downloads and sync reports tracked? | `presence/connected.rs`; how they enter: `signals.rs` |
//! | When is an absent DJ gone? | `dj_watch.rs` |
//! | How far ahead are starts scheduled? | `start_lead.rs` |
//! | Where are chat messages and reactions kept and sent? | `talk.rs`, `task/talk.rs` |
//! | Where is recorded what was played? | `play_recorder.rs` |
//!
//! # Invariants
//!
//! - A durable event (one with an event count of its own) is on disk before it is broadcast and before the sender of its
//!   command is answered. After a failed write, the room and the views are unchanged.
//! - Events reach every stream in order. Between the first message of a stream and its later messages there is no gap and no
//!   duplicate.
//! - The end of a stream is always recorded: signals of one kind are coalesced, but the end of a stream is never dropped.
//! - Memory is bounded: for requests by the capacity of a channel, for signals and presence by the number of paired devices
//!   and streams, for past events by the size of the replay buffer, for chat messages by their number and length.

mod broadcaster;
mod byte_ranges;
mod dj_watch;
mod error;
mod event_queue;
mod play_recorder;
mod presence;
mod presence_throttle;
mod replay_buffer;
mod room_metrics;
mod signals;
mod start_lead;
mod subscription;
mod talk;
mod task;
mod view;
mod vote_limits;
mod write_health;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot, watch};

use crate::history::{History, HistoryHandle};
use crate::library::ScanProgress;
use crate::metrics::RoomCounters;
use crate::room::{Command, MemberId, Room, TrackId};
use crate::room_profile::RoomProfile;
use crate::store::Store;
use crate::uploads::UploadProgress;
use crate::wire;

use signals::SignalSender;
use task::TalkRequest;
use vote_limits::VoteLimits;
use write_health::WriteHealth;

pub use error::HubError;
pub use event_queue::EventQueue;
pub use presence::{ConnectedDevices, StreamId};
pub use subscription::{PeerVanished, StreamGuard, SubscribeRequest};
pub use talk::{Emoji, LimitOf, MAX_MESSAGE_CHARS, TalkError};
pub use view::View;

/// The most requests that wait in the task's channel. If the channel is full, senders wait.
const MAX_WAITING_REQUESTS: usize = 1024;
/// The most pings (checks that the task still runs, see [`Hub::ping`]) that wait in the task's channel.
const MAX_WAITING_PINGS: usize = 4;

/// The phases of the server that the hub distinguishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShutdownPhase {
    /// The server runs normally.
    Running,
    /// The server shuts down: event streams end, and other requests are still answered.
    Draining,
    /// No more requests can arrive.
    Stopped,
}

/// The hub's settings.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Whether the events that start playback contain the time of the start (`--alignment clock`).
    pub has_timed_starts: bool,
    /// How long a listener may be without an open event stream before the hub removes the listener.
    pub leave_grace: std::time::Duration,
}

/// The result of a command that was accepted and saved.
#[derive(Debug)]
pub struct Accepted {
    /// The room directly after the command, before later commands of the same batch.
    pub room: Arc<Room>,
}

/// Where the task sends the result of a request.
type Reply<T> = oneshot::Sender<Result<T, HubError>>;

/// A request to the task, and where to send its result.
enum HubRequest {
    Submit(Command, Reply<Accepted>),
    Subscribe(SubscribeRequest, Reply<StreamGuard>),
    BroadcastTuning(wire::TuningSound, Option<BTreeSet<MemberId>>, Reply<f64>),
    ChangeProfile(ProfileChange, Reply<()>),
    EndListening {
        member: MemberId,
        moved_to: String,
        reply: Reply<Accepted>,
    },
    Remove(Reply<()>),
    Talk(TalkRequest),
}

/// A change of the room's profile.
type ProfileChange = Box<dyn FnOnce(&mut RoomProfile) + Send>;

/// The room that a hub begins with.
#[derive(Debug, Default)]
pub struct StartState {
    /// The state.
    pub room: Room,
    /// The room's name, who made it, and who may enter.
    pub profile: RoomProfile,
}

/// The handle of one hub. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Hub {
    requests: mpsc::Sender<HubRequest>,
    pings: mpsc::Sender<oneshot::Sender<()>>,
    signals: SignalSender,
    view: watch::Receiver<View>,
    history: Arc<History>,
    vote_limits: Arc<VoteLimits>,
    write_health: Arc<WriteHealth>,
}

impl Hub {
    /// Starts the task that owns `room`, and that sends what was played to the history. The task ends at
    /// [`ShutdownPhase::Stopped`], or if the sender of `phase` is dropped, or if the broadcaster panics. Later requests are refused
    /// with [`HubError::Closing`].
    pub fn start(
        StartState { room, profile }: StartState,
        store: Store,
        settings: Settings,
        metrics: Arc<RoomCounters>,
        HistoryHandle { history, plays }: HistoryHandle,
        phase: watch::Receiver<ShutdownPhase>,
    ) -> (Hub, tokio::task::JoinHandle<()>) {
        let (requests, request_queue) = mpsc::channel(MAX_WAITING_REQUESTS);
        let (pings, ping_queue) = mpsc::channel(MAX_WAITING_PINGS);
        let (signals, pending_signals) = signals::channel();
        let (views, view) = watch::channel(View::new(room, profile, settings.has_timed_starts));
        let task = task::HubTask::new(views, store, settings, metrics, plays, signals.clone());
        let write_health = task.write_health();
        let running = tokio::spawn(task.run(task::Inputs {
            requests: request_queue,
            pings: ping_queue,
            signals: pending_signals,
            phase,
        }));
        let hub = Hub {
            requests,
            pings,
            signals,
            view,
            history,
            vote_limits: Arc::default(),
            write_health,
        };
        (hub, running)
    }

    /// The room as last committed, with the connected devices. Does not wait for the task or for a write.
    pub fn view(&self) -> View {
        self.view.borrow().clone()
    }

    /// What was played.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// [`Room::needs_track_now`] for the room as last committed.
    pub fn needs_track_now(&self, member: MemberId, track: TrackId) -> bool {
        self.view.borrow().room.needs_track_now(member, track)
    }

    /// Resolves once the room or the connected devices have changed since this call. Never resolves if the task ends.
    pub fn next_change(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut view = self.view.clone();
        view.mark_unchanged();
        async move {
            if view.changed().await.is_err() {
                // An error means that the task has ended, so the view never changes again.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Whether a device is paired in the room as last committed.
    pub fn is_paired(&self, member: MemberId) -> bool {
        let view = self.view.borrow();
        view.room.durable.clients.contains_key(&member)
    }

    /// Whether the task is still running.
    pub fn is_alive(&self) -> bool {
        !self.requests.is_closed()
    }

    /// Whether both handles are of the same hub.
    pub fn is_same(&self, other: &Hub) -> bool {
        self.requests.same_channel(&other.requests)
    }

    /// Whether a device listens in the room as last committed.
    pub fn is_listening(&self, member: MemberId) -> bool {
        self.view.borrow().room.live.listeners.contains(&member)
    }

    /// Resolves when the task has ended.
    pub async fn ended(&self) {
        self.requests.closed().await;
    }

    /// Whether the state can be saved at present, judged by the last write and a trial write.
    pub async fn can_write(&self) -> bool {
        self.write_health.can_write().await
    }

    /// Waits until the task answers, to check that it does not hang. The task answers even during a write. Returns `false`
    /// if the task has ended.
    pub async fn ping(&self) -> bool {
        let (reply, answer) = oneshot::channel();
        self.pings.send(reply).await.is_ok() && answer.await.is_ok()
    }

    /// Applies a command and saves the result.
    ///
    /// # Errors
    /// [`HubError`]: the room has not changed.
    pub async fn submit(&self, command: Command) -> Result<Accepted, HubError> {
        self.request(|reply| HubRequest::Submit(command, reply))
            .await
    }

    /// Counts a vote of a device.
    ///
    /// # Errors
    /// [`HubError::TooManyVotes`] if the device has voted too often.
    pub fn count_vote(&self, member: MemberId) -> Result<(), HubError> {
        let counted = self.vote_limits.count(member, Instant::now());
        counted.map_err(|retry_after| HubError::TooManyVotes { retry_after })
    }

    /// Begins an event stream. The queue in the request receives a snapshot, or the events that the device missed, and then
    /// every later message without a gap. Dropping the guard ends the stream.
    ///
    /// # Errors
    /// [`HubError`] if the device is not paired any more, or the server shuts down.
    pub async fn subscribe(&self, request: SubscribeRequest) -> Result<StreamGuard, HubError> {
        self.request(|reply| HubRequest::Subscribe(request, reply))
            .await
    }

    /// Makes the listeners `members` play a test sound for comparing their speakers, or stop the test sound; `None` for all
    /// listeners. Returns when the sound starts, in milliseconds of the server's clock.
    ///
    /// # Errors
    /// [`HubError`]: no listener was notified.
    pub async fn broadcast_tuning(
        &self,
        sound: wire::TuningSound,
        members: Option<BTreeSet<MemberId>>,
    ) -> Result<f64, HubError> {
        self.request(|reply| HubRequest::BroadcastTuning(sound, members, reply))
            .await
    }

    /// Changes the room's profile, and saves it. Streams are not told.
    ///
    /// # Errors
    /// [`HubError`]: the profile has not changed.
    pub async fn change_profile(
        &self,
        change: impl FnOnce(&mut RoomProfile) + Send + 'static,
    ) -> Result<(), HubError> {
        self.request(|reply| HubRequest::ChangeProfile(Box::new(change), reply))
            .await
    }

    /// Ends the streams with which a device listens, because it listens in the room `moved_to` from now on. The device departs
    /// without a grace period. Its remote streams stay. Returns when the departure is saved; the streams have ended before.
    ///
    /// # Errors
    /// [`HubError`]: the departure is not saved yet. The hub tries again.
    pub async fn end_listening(
        &self,
        member: MemberId,
        moved_to: String,
    ) -> Result<Accepted, HubError> {
        self.request(|reply| HubRequest::EndListening {
            member,
            moved_to,
            reply,
        })
        .await
    }

    /// Removes the room with its state file, and ends the task.
    ///
    /// # Errors
    /// [`HubError`]: the room goes on.
    pub async fn remove(&self) -> Result<(), HubError> {
        self.request(HubRequest::Remove).await
    }

    /// Adds a chat message, whose text is cleaned and neither empty nor too long. Returns the id of the message.
    ///
    /// # Errors
    /// [`HubError`]: there is no new message.
    pub async fn post_message(&self, member: MemberId, text: String) -> Result<u64, HubError> {
        self.request(|reply| HubRequest::Talk(TalkRequest::Post(member, text, reply)))
            .await
    }

    /// Removes the chat message `id`, for the device `member`.
    ///
    /// # Errors
    /// [`HubError`]: the messages are unchanged.
    pub async fn remove_message(&self, member: MemberId, id: u64) -> Result<(), HubError> {
        self.request(|reply| HubRequest::Talk(TalkRequest::Remove(member, id, reply)))
            .await
    }

    /// The chat messages after the one with the id `after`, oldest first; all that are kept if the id is 0 or was not given yet.
    ///
    /// # Errors
    /// [`HubError::Closing`].
    pub async fn messages_after(
        &self,
        after: u64,
    ) -> Result<Vec<Arc<wire::ChatMessage>>, HubError> {
        self.request(|reply| HubRequest::Talk(TalkRequest::MessagesAfter(after, reply)))
            .await
    }

    /// Counts a reaction of the device `member` for the next broadcast.
    ///
    /// # Errors
    /// [`HubError`]: the reaction does not count.
    pub async fn react(&self, member: MemberId, emoji: Emoji) -> Result<(), HubError> {
        self.request(|reply| HubRequest::Talk(TalkRequest::React(member, emoji, reply)))
            .await
    }

    async fn request<T>(
        &self,
        make_request: impl FnOnce(Reply<T>) -> HubRequest,
    ) -> Result<T, HubError> {
        let (reply, answer) = oneshot::channel();
        self.requests
            .send(make_request(reply))
            .await
            .map_err(|_| HubError::Closing)?;
        answer.await.unwrap_or(Err(HubError::Closing))
    }

    /// Records how well a device is synchronized, by its own measurement. Never waits. If reports arrive faster than the
    /// task takes them, the task receives only the last report of each device.
    pub fn report_sync(&self, member: MemberId, report: wire::SyncReport) {
        self.signals.report_sync(member, report);
    }

    /// Broadcasts the progress of a library scan. Never waits. If reports arrive faster than the task takes them, only the
    /// last report is broadcast.
    pub fn report_scan_progress(&self, progress: ScanProgress) {
        self.signals.report_scan_progress(progress);
    }

    /// Broadcasts the uploads under way. Never waits. If reports arrive faster than the task takes them, only the last one is
    /// broadcast.
    pub fn report_uploads(&self, uploads: Arc<[UploadProgress]>) {
        self.signals.report_uploads(uploads);
    }

    /// Broadcasts the list of the server's rooms. Never waits. If lists arrive faster than the task takes them, only the last one
    /// is broadcast.
    pub fn report_rooms(&self, rooms: Arc<[wire::RoomRow]>) {
        self.signals.report_rooms(rooms);
    }

    /// Ends the streams of a device that the house has removed. Never waits, in particular not for the write of its removal.
    pub fn end_streams_of(&self, member: MemberId) {
        self.signals.report_removed_device(member);
    }

    /// Records the progress of a download whose response began at byte `from` of the file. Never waits.
    pub fn report_download(&self, member: MemberId, from: u64, download: wire::Download) {
        self.signals.report_download(member, from, download);
    }

    /// Records that the response of a download has ended, complete or not. Never waits.
    pub fn end_download(&self, member: MemberId, track_id: TrackId) {
        self.signals.end_download(member, track_id);
    }
}
