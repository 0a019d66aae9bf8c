//! The hub's loop: what comes in, batch by batch, and what goes out after each write.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep_until;

use super::herald::Herald;
use super::lead::Writes;
use super::pace::Pace;
use super::presence::{Presence, Seen, StreamId};
use super::remembered::Remembered;
use super::tally::Tally;
use super::{Accepted, Life, Refused, Request, Settings, Signal, StreamGuard, Subscribe, View};
use crate::clock;
use crate::metrics::Metrics;
use crate::room::{self, Command, Control, Departure, Event, Moment, Rejection, Room};
use crate::store::Store;
use crate::wire::{Message, Tuning, TuningSound};

/// Commands that share one write at most.
const BATCH: usize = 512;
/// How long after a track's end the server waits for a phone to ask for the next.
const END_PATIENCE: Duration = Duration::from_secs(3);
/// How soon a browser comes back after a stream broke.
const COME_BACK: Duration = Duration::from_secs(1);
/// How far ahead of now a sound to compare speakers by is put, in milliseconds: phones have to prepare it.
const SOUND_LEAD_MS: f64 = 1_000.0;
/// Such sounds are asked for at most so often, by the whole house together.
const SOUND_PAUSE: Duration = Duration::from_millis(200);
/// With nothing due, the hub looks around this often all the same.
const IDLE: Duration = Duration::from_secs(60);
/// After a write failed, what nobody asked for (a departure, say) is tried again this much later.
const RETRY: Duration = Duration::from_secs(1);

type Reply = oneshot::Sender<Result<Accepted, Refused>>;

/// Who waits for a command's outcome: nobody, for what the hub itself noticed.
struct Waiting {
    command: Command,
    reply: Option<Reply>,
}

/// What one write is about.
struct Batch {
    /// When its commands were decided.
    since: Instant,
    next: Arc<Room>,
    events: Vec<Event>,
    answers: Vec<(Reply, Result<Accepted, Refused>)>,
    accepted: Vec<Command>,
}

/// A write under way.
struct Writing {
    task: JoinHandle<io::Result<()>>,
    batch: Batch,
}

pub(super) struct Task {
    room: Arc<Room>,
    presence: Presence,
    views: watch::Sender<View>,
    herald: Herald,
    remembered: Remembered,
    backlog: VecDeque<Waiting>,
    store: Arc<Store>,
    settings: Settings,
    signals: mpsc::UnboundedSender<Signal>,
    /// When everybody is told again who is there.
    pace: Pace,
    /// When the next sound may be asked for.
    sound_at: Instant,
    /// What the last writes took.
    writes: Writes,
    metrics: Arc<Metrics>,
    tally: Tally,
    /// When something may be due that nobody asks for.
    look_at: Instant,
    retry_at: Option<Instant>,
    /// A write has failed, and what it was about may be on the disk all the same, though it never happened. The next
    /// write replaces it; if nobody asks for one, the room as it is is written again.
    unsure: bool,
    /// Streams have ended, and no new ones begin.
    closing: bool,
}

impl Task {
    pub(super) fn new(
        views: watch::Sender<View>,
        store: Store,
        settings: Settings,
        metrics: Arc<Metrics>,
        signals: mpsc::UnboundedSender<Signal>,
    ) -> Self {
        let room = views.borrow().room.clone();
        let now = Instant::now();
        let tally = Tally::new(metrics.clone(), &room, now);
        Task {
            presence: Presence::new(&room, settings.leave_grace, now),
            room,
            views,
            herald: Herald::start(),
            remembered: Remembered::default(),
            backlog: VecDeque::new(),
            store: Arc::new(store),
            settings,
            signals,
            pace: Pace::new(now),
            sound_at: now,
            writes: Writes::default(),
            metrics,
            tally,
            look_at: now,
            retry_at: None,
            unsure: false,
            closing: false,
        }
    }

    pub(super) async fn run(
        mut self,
        mut requests: mpsc::Receiver<Request>,
        mut signals: mpsc::UnboundedReceiver<Signal>,
        mut life: watch::Receiver<Life>,
    ) {
        let mut writing = None;
        loop {
            if writing.is_none() {
                self.notice();
                writing = self.begin_batch().await;
            }
            // While the disk works nothing new is begun, so nothing is due but what is live.
            let due = if writing.is_none() {
                self.look_at
            } else {
                Instant::now() + IDLE
            };
            let wake = self.tell_live().await.unwrap_or(due).min(due);
            tokio::select! {
                Some((batch, written)) = finished(&mut writing) => self.finish_batch(batch, written).await,
                Some(request) = requests.recv(), if self.backlog.len() < BATCH => {
                    self.take(request).await;
                    while self.backlog.len() < BATCH {
                        let Ok(request) = requests.try_recv() else { break };
                        self.take(request).await;
                    }
                }
                Some(signal) = signals.recv() => {
                    self.hear(signal).await;
                    for _ in 0..BATCH {
                        let Ok(signal) = signals.try_recv() else { break };
                        self.hear(signal).await;
                    }
                    self.publish();
                }
                () = sleep_until(wake.into()) => {}
                // Without it nobody would hear of anything any more.
                () = self.herald.gone() => break,
                changed = life.changed() => {
                    let now = *life.borrow_and_update();
                    if changed.is_err() || now == Life::Over {
                        break;
                    }
                    if now == Life::Closing {
                        self.end_streams().await;
                    }
                }
            }
        }
        if let Some((batch, written)) = finished(&mut writing).await {
            self.finish_batch(batch, written).await;
        }
        if self.unsure {
            self.retry_at = None;
            let mut writing = self.begin_batch().await;
            if let Some((batch, written)) = finished(&mut writing).await {
                self.finish_batch(batch, written).await;
            }
        }
    }

    /// Says farewell and ends the streams; commands are still taken. That phones are gone then means nothing.
    async fn end_streams(&mut self) {
        let farewell = serde_json::json!({});
        let event_count = self.room.durable.event_count;
        let farewell = Message::live("server.closing", &farewell, event_count);
        self.herald.tell(farewell).await;
        self.herald.end_all().await;
        self.presence.end_streams();
        self.closing = true;
    }

    async fn take(&mut self, request: Request) {
        match request {
            Request::Submit(command, reply) => {
                self.backlog.push_back(Waiting {
                    command,
                    reply: Some(reply),
                });
            }
            Request::Subscribe(wish, reply) => {
                let subscription = self.subscribe(wish).await;
                // Whoever asked may be gone; then the subscription's guard closes the stream.
                let _ = reply.send(subscription);
            }
            Request::Sound(kind, reply) => {
                let told = self.sound(kind).await;
                // Whoever asked may be gone; the others have been told.
                let _ = reply.send(told);
            }
        }
    }

    /// Tells everybody when the sound starts by which speakers are compared, and who sounds.
    async fn sound(&mut self, kind: TuningSound) -> Result<(), Refused> {
        let now = Instant::now();
        if self.closing {
            return Err(Refused::Closing);
        }
        if !self.settings.aligned {
            return Err(Refused::NotAligned);
        }
        if now < self.sound_at {
            let retry_after = self.sound_at - now;
            return Err(Refused::TooSoon { retry_after });
        }
        self.sound_at = now + SOUND_PAUSE;
        let tuning = Tuning {
            kind,
            starts_at_ms: clock::now_ms() + SOUND_LEAD_MS,
            member_ids: &self.room.live.listeners,
        };
        let message = Message::live("tuning", &tuning, self.room.durable.event_count);
        self.herald.tell(message).await;
        Ok(())
    }

    async fn hear(&mut self, signal: Signal) {
        let now = Instant::now();
        match signal {
            Signal::StreamClosed(stream, how) => {
                self.presence.close(stream, how, now);
                self.herald.end(vec![stream]).await;
                self.look_at = now;
                self.pace.live_changed();
            }
            Signal::Download {
                member,
                from,
                download,
            } => {
                self.presence.downloaded(member, from, download, now);
                self.pace.live_changed();
            }
            Signal::DownloadEnded { member, track_id } => {
                self.presence.end_download(member, Some(track_id));
                self.pace.live_changed();
            }
            Signal::Sync { member, report } => match self.presence.report(member, report) {
                Seen::Nothing => {}
                Seen::Figures => self.pace.sync_changed(),
                Seen::Tap => self.pace.live_changed(),
            },
            Signal::Ask(reply) => {
                // Whoever asked may be gone.
                let _ = reply.send(());
            }
            Signal::Reading(progress) => {
                let count = self.room.durable.event_count;
                let message = Message::live("library.scanning", &progress, count);
                self.herald.tell(message).await;
            }
        }
    }

    /// Snapshot, or what was missed, and a place among those who are told, in one turn: no gap and no doubles.
    async fn subscribe(&mut self, wish: Subscribe) -> Result<StreamGuard, Refused> {
        if self.closing {
            return Err(Refused::Closing);
        }
        if !self.room.durable.clients.contains_key(&wish.member) {
            return Err(Refused::Rejected {
                rejection: Rejection::NotPaired,
                room: self.room.clone(),
            });
        }
        let now = Instant::now();
        let stream = self.presence.open(wish.member, wish.role, wish.held, now);
        if let Some(oldest) = self.presence.surplus(wish.member) {
            self.presence.close(oldest, Departure::Left, now);
            self.herald.end(vec![oldest]).await;
        }
        self.pace.live_changed();
        self.look_at = now;
        let view = self.publish();
        let mut first = vec![Message::retry(COME_BACK)];
        match wish.last_event_id.and_then(|id| self.remembered.since(id)) {
            Some(missed) => first.extend(missed),
            None => first.push(Message::snapshot(&view.snapshot())),
        }
        if wish.last_event_id.is_some() {
            // Events say nothing of the live state, which a stream that comes back has missed as well.
            let live = view.live_of(&self.room);
            first.push(Message::live(
                "presence",
                &live,
                self.room.durable.event_count,
            ));
        }
        let first = Message::join(&first);
        self.herald.join(stream, wish.outbox, first).await;
        Ok(StreamGuard {
            stream,
            silence: wish.silence,
            hub: self.signals.clone(),
        })
    }

    /// Puts into the backlog what nobody asks for: arrivals, departures, the end of a track.
    fn notice(&mut self) {
        let now = Instant::now();
        if now < self.look_at {
            return;
        }
        match self.retry_at {
            Some(later) if later > now => {
                self.look_at = later;
                return;
            }
            _ => self.retry_at = None,
        }
        self.presence.follow(&self.room, now);
        let (commands, next) = self.presence.due(&self.room, now);
        self.look_at = next.unwrap_or(now + IDLE).min(now + IDLE);
        let (excuses, others): (Vec<_>, Vec<_>) = commands
            .into_iter()
            .map(|command| Waiting {
                command,
                reply: None,
            })
            .partition(|waiting| matches!(waiting.command, Command::Excuse { .. }));
        // Whoever has opened a stream and then asks for something listens by then.
        for waiting in others.into_iter().rev() {
            self.backlog.push_front(waiting);
        }
        // An acknowledgement that waits already is in time.
        self.backlog.extend(excuses);
        if let Some(ends_at_ms) = self.room.ends_at_ms() {
            let left_ms = ends_at_ms - clock::now_ms() + END_PATIENCE.as_secs_f64() * 1e3;
            if left_ms <= 0.0 {
                let command = Command::EndOfTrack {
                    if_match: self.room.durable.event_count,
                };
                self.backlog.push_back(Waiting {
                    command,
                    reply: None,
                });
            } else {
                self.look_at = self
                    .look_at
                    .min(now + Duration::from_secs_f64(left_ms / 1e3));
            }
        }
    }

    /// Tells everybody who is there and how far they are, if that has changed since it was last
    /// told; if it is too early for that, says when it will not be.
    async fn tell_live(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let due = self.pace.due()?;
        if now < due {
            return Some(due);
        }
        let live = self.publish().live_of(&self.room);
        let name = self.pace.news(&live.listeners)?;
        let message = Message::live(name, &live, self.room.durable.event_count);
        let bytes = message.text().len() * self.presence.open_streams();
        self.pace.told(live.listeners, bytes, now);
        self.herald.tell(message).await;
        None
    }

    fn publish(&mut self) -> View {
        let view = View {
            room: self.room.clone(),
            connected: self.presence.connected(),
            aligned: self.settings.aligned,
        };
        self.views.send_replace(view.clone());
        view
    }

    /// Decides all that waits. Without an event there is nothing to write.
    async fn begin_batch(&mut self) -> Option<Writing> {
        let mend = self.unsure && self.retry_at.is_none();
        if self.backlog.is_empty() && !mend {
            return None;
        }
        let at = Moment {
            now_ms: clock::now_ms(),
            lead_ms: if self.settings.aligned {
                self.writes.lead_ms(self.presence.needs_ms())
            } else {
                0.0
            },
            aligned: self.settings.aligned,
        };
        let mut batch = Batch {
            since: Instant::now(),
            next: self.room.clone(),
            events: Vec::new(),
            answers: Vec::new(),
            accepted: Vec::new(),
        };
        for Waiting { command, reply } in mem::take(&mut self.backlog) {
            let outcome = match room::apply(&batch.next, &command, at) {
                Ok((room, events)) => {
                    batch.next = Arc::new(room);
                    batch.events.extend(events);
                    batch.accepted.push(command);
                    Ok(Accepted {
                        room: batch.next.clone(),
                    })
                }
                Err(rejection) => {
                    note_refused_own(&command, &reply, rejection);
                    Err(Refused::Rejected {
                        rejection,
                        room: batch.next.clone(),
                    })
                }
            };
            batch.answers.extend(reply.map(|reply| (reply, outcome)));
        }
        if batch.events.is_empty() && !mend {
            self.commit(batch).await;
            return None;
        }
        let (store, room) = (self.store.clone(), batch.next.clone());
        let task = tokio::task::spawn_blocking(move || store.save(&room));
        Some(Writing { task, batch })
    }

    async fn finish_batch(&mut self, batch: Batch, written: io::Result<()>) {
        match written {
            Ok(()) => {
                self.retry_at = None;
                self.unsure = false;
                let took = batch.since.elapsed();
                self.writes.took(took);
                self.metrics.commits.observe(took);
                self.commit(batch).await;
            }
            Err(error) => {
                tracing::error!("the state could not be written, so nothing has changed: {error}");
                self.metrics.failed_commits.add(1);
                let retry_at = Instant::now() + RETRY;
                self.retry_at = Some(retry_at);
                self.unsure = true;
                self.look_at = retry_at;
                for (reply, _) in batch.answers {
                    // Whoever asked may be gone.
                    let _ = reply.send(Err(Refused::NotWritten(error.kind())));
                }
            }
        }
    }

    /// What an accepted command means for who is connected; the streams that are to end.
    fn follow(&mut self, command: Command) -> Vec<StreamId> {
        match command {
            Command::Leave { member } | Command::Unpair { other: member, .. } => {
                return self.presence.forget(member);
            }
            Command::Control {
                member,
                control: Control::AckDownload { track_id, .. },
                ..
            } => self.presence.acknowledged(member, track_id, Instant::now()),
            _ => {}
        }
        Vec::new()
    }

    async fn commit(&mut self, batch: Batch) {
        let promised = self.room.live.segue;
        self.look_at = Instant::now();
        self.pace.live_changed();
        self.room = batch.next;
        self.tally.count(&batch.events, &self.room, Instant::now());
        let ended: Vec<_> = batch
            .accepted
            .into_iter()
            .flat_map(|command| self.follow(command))
            .collect();
        self.publish();
        let mut messages = Vec::with_capacity(batch.events.len() + 1);
        for event in &batch.events {
            tracing::debug!(count = event.event_count, "{}", event.kind.name());
            let message = Message::durable(event);
            self.remembered.add(event.event_count, message.clone());
            messages.push(message);
        }
        let segue = self
            .room
            .live
            .segue
            .filter(|_| self.room.live.segue != promised);
        messages.extend(
            segue.map(|segue| Message::live("segue", &segue, self.room.durable.event_count)),
        );
        match &messages[..] {
            [] => {}
            [only] => self.herald.tell(only.clone()).await,
            several => self.herald.tell(Message::join(several)).await,
        }
        if !ended.is_empty() {
            self.herald.end(ended).await;
        }
        for (reply, outcome) in batch.answers {
            // Whoever asked may be gone.
            let _ = reply.send(outcome);
        }
    }
}

/// The batch whose write is under way, once that has ended, and how; `None` at once when there is
/// none. May be dropped and called again.
async fn finished(writing: &mut Option<Writing>) -> Option<(Batch, io::Result<()>)> {
    // A write that did not even run to its end has failed.
    let written = (&mut writing.as_mut()?.task)
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)));
    writing.take().map(|done| (done.batch, written))
}

fn note_refused_own(command: &Command, reply: &Option<Reply>, rejection: Rejection) {
    if reply.is_none() {
        tracing::debug!(?command, "not needed any more: {rejection}");
    }
}
