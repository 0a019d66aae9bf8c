//! The hub's task: its state and its loop. The loop calls the submodules: `commit` applies and saves batches of commands,
//! `timers` queues commands at their deadlines, `streams` begins event streams, `handle_signals` updates presence,
//! `live_events` broadcasts events that are neither stored nor replayed, and `talk` does so with chat messages and reactions.

mod commit;
mod handle_signals;
mod live_events;
mod streams;
mod talk;
mod timers;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep_until;

use self::commit::{PendingWrite, write_finished};
pub(super) use self::talk::TalkRequest;
use self::timers::Deadlines;
use super::broadcaster::Broadcaster;
use super::dj_watch::DjWatch;
use super::play_recorder::PlayRecorder;
use super::presence::Presence;
use super::presence_throttle::PresenceThrottle;
use super::replay_buffer::ReplayBuffer;
use super::room_metrics::RoomMetrics;
use super::signals::{SignalReceiver, SignalSender};
use super::start_lead::StartLead;
use super::talk::{Chat, Reactions};
use super::write_health::WriteHealth;
use super::{Accepted, HubError, HubRequest, ProfileChange, Reply, Settings, ShutdownPhase, View};
use crate::history::FinishedPlay;
use crate::metrics::RoomCounters;
use crate::room::{Command, Departure, Room};
use crate::room_profile::RoomProfile;
use crate::store::Store;
use crate::wire::Message;

/// While this many commands are queued, no request is received. This limits a batch, which is saved by one write; only commands
/// of the hub itself can make a batch larger.
const MAX_BATCH: usize = 512;

/// A command that waits for the next batch.
struct QueuedCommand {
    command: Command,
    /// `None` for a command that the hub queued itself.
    reply: Option<Reply<Accepted>>,
}

/// The receivers of the task's channels.
pub(super) struct Inputs {
    pub(super) requests: mpsc::Receiver<HubRequest>,
    pub(super) pings: mpsc::Receiver<oneshot::Sender<()>>,
    pub(super) signals: SignalReceiver,
    pub(super) phase: watch::Receiver<ShutdownPhase>,
}

/// The state of the task.
pub(super) struct HubTask {
    settings: Settings,
    store: Arc<Store>,
    write_health: Arc<WriteHealth>,
    metrics: Arc<RoomCounters>,
    room_metrics: RoomMetrics,
    play_recorder: PlayRecorder,
    plays: mpsc::Sender<FinishedPlay>,

    /// The room as last committed.
    room: Arc<Room>,
    /// The room's profile as last committed.
    profile: Arc<RoomProfile>,
    views: watch::Sender<View>,
    queued: VecDeque<QueuedCommand>,
    queued_profile_changes: Vec<(ProfileChange, Reply<()>)>,
    start_lead: StartLead,
    deadlines: Deadlines,
    /// Whether the last write failed. The state of a failed write may be on disk although its commands were refused. The
    /// next write replaces that state; if no command causes a write, the committed room is written again.
    needs_rewrite: bool,

    presence: Presence,
    dj_watch: DjWatch,
    broadcaster: Broadcaster,
    replay_buffer: ReplayBuffer,
    throttle: PresenceThrottle,
    chat: Chat,
    reactions: Reactions,
    /// The earliest time of the next tuning sound.
    next_tuning_at: Instant,
    /// When the next device can be DJ again, as of the last check, in milliseconds of the server's clock.
    cooldown_ends_at_ms: Option<f64>,
    /// Cloned into the guard of each new stream.
    signals: SignalSender,
    /// A request to remove the room, which waits for the end of the write under way.
    removal: Option<Reply<()>>,
    /// Whether the server is shutting down: all streams have ended, and subscribe requests are refused.
    is_draining: bool,
}

impl HubTask {
    pub(super) fn new(
        views: watch::Sender<View>,
        store: Store,
        settings: Settings,
        metrics: Arc<RoomCounters>,
        plays: mpsc::Sender<FinishedPlay>,
        signals: SignalSender,
    ) -> Self {
        let (room, profile) = {
            let view = views.borrow();
            (view.room.clone(), view.profile.clone())
        };
        let now = Instant::now();
        let store = Arc::new(store);
        HubTask {
            settings,
            write_health: Arc::new(WriteHealth::new(&store)),
            store,
            room_metrics: RoomMetrics::new(metrics.clone(), &room, now),
            metrics,
            play_recorder: PlayRecorder::new(&room),
            plays,
            presence: Presence::new(&room, settings.leave_grace, now),
            dj_watch: DjWatch::default(),
            room,
            profile,
            views,
            queued: VecDeque::new(),
            queued_profile_changes: Vec::new(),
            start_lead: StartLead::default(),
            deadlines: Deadlines::new(now),
            needs_rewrite: false,
            broadcaster: Broadcaster::start(),
            replay_buffer: ReplayBuffer::default(),
            throttle: PresenceThrottle::new(now),
            chat: Chat::new(talk::first_message_id()),
            reactions: Reactions::new(now),
            next_tuning_at: now,
            cooldown_ends_at_ms: None,
            signals,
            removal: None,
            is_draining: false,
        }
    }

    /// The results of the task's writes, for health checks.
    pub(super) fn write_health(&self) -> Arc<WriteHealth> {
        self.write_health.clone()
    }

    /// Runs until [`ShutdownPhase::Stopped`], or until the broadcaster has ended. Then finishes the write under way.
    pub(super) async fn run(mut self, mut inputs: Inputs) {
        let mut write = None;
        loop {
            if write.is_none() {
                if self.is_removed().await {
                    return;
                }
                self.queue_due_commands();
                write = self.begin_batch().await;
            }
            let wake_at = self.broadcast_due_live_events(write.is_some()).await;
            tokio::select! {
                Some((batch, saved)) = write_finished(&mut write) => self.finish_batch(batch, saved).await,
                Some(request) = inputs.requests.recv(), if self.waiting() < MAX_BATCH => {
                    self.handle_request(request).await;
                    while self.waiting() < MAX_BATCH {
                        let Ok(request) = inputs.requests.try_recv() else { break };
                        self.handle_request(request).await;
                    }
                }
                signals = inputs.signals.recv() => self.handle_signals(signals).await,
                Some(reply) = inputs.pings.recv() => {
                    // The sender may have stopped waiting.
                    let _ = reply.send(());
                }
                () = sleep_until(wake_at.into()) => {}
                // The broadcaster has panicked. No stream would receive another message, so the hub ends, too.
                () = self.broadcaster.stopped() => break,
                changed = inputs.phase.changed() => {
                    let phase = *inputs.phase.borrow_and_update();
                    if changed.is_err() || phase == ShutdownPhase::Stopped {
                        break;
                    }
                    if phase == ShutdownPhase::Draining {
                        self.end_all_streams().await;
                    }
                }
            }
        }
        self.finish(write).await;
    }

    /// The number of commands and changes of the profile that wait for the next batch.
    fn waiting(&self) -> usize {
        self.queued.len() + self.queued_profile_changes.len()
    }

    /// Removes the room if that was requested, and returns whether the room is gone. Then all streams have ended.
    async fn is_removed(&mut self) -> bool {
        let Some(reply) = self.removal.take() else {
            return false;
        };
        let store = self.store.clone();
        let removed = tokio::task::spawn_blocking(move || store.remove()).await;
        let removed = removed.unwrap_or_else(|error| Err(io::Error::other(error)));
        if let Err(error) = removed {
            tracing::error!("the state file of a room cannot be removed: {error}");
            let _ = reply.send(Err(HubError::NotWritten(error.kind())));
            return false;
        }
        let event_count = self.room.durable.event_count;
        let message = Message::live("room.removed", &serde_json::json!({}), event_count);
        self.broadcaster.send(message).await;
        self.broadcaster.end_all_streams().await;
        let _ = reply.send(Ok(()));
        true
    }

    /// Queues a command for the next batch, or processes another request at once.
    async fn handle_request(&mut self, request: HubRequest) {
        match request {
            HubRequest::Submit(command, reply) => self.queued.push_back(QueuedCommand {
                command,
                reply: Some(reply),
            }),
            HubRequest::Subscribe(request, reply) => {
                let subscription = self.subscribe(request).await;
                // If the sender has stopped waiting, dropping the guard closes the stream.
                let _ = reply.send(subscription);
            }
            HubRequest::BroadcastTuning(sound, members, reply) => {
                let result = self.broadcast_tuning(sound, members).await;
                // The sender may have stopped waiting; the listeners have been notified in any case.
                let _ = reply.send(result);
            }
            HubRequest::ChangeProfile(change, reply) => {
                self.queued_profile_changes.push((change, reply));
            }
            HubRequest::EndListening {
                member,
                moved_to,
                reply,
            } => {
                self.end_listening(member, &moved_to).await;
                let how = Departure::Left;
                self.queued.push_back(QueuedCommand {
                    command: Command::Depart { member, how },
                    reply: Some(reply),
                });
            }
            HubRequest::Remove(reply) => self.removal = Some(reply),
            HubRequest::Talk(request) => self.handle_talk(request).await,
        }
    }

    /// Finishes the write under way. If the last write failed, tries once more to write the committed room.
    async fn finish(mut self, mut write: Option<PendingWrite>) {
        if let Some((batch, saved)) = write_finished(&mut write).await {
            self.finish_batch(batch, saved).await;
        }
        if self.needs_rewrite {
            self.deadlines.retry_at = None;
            let mut write = self.begin_batch().await;
            if let Some((batch, saved)) = write_finished(&mut write).await {
                self.finish_batch(batch, saved).await;
            }
        }
    }
}
