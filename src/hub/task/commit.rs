//! Group commit: applies all queued commands as one batch, saves the result with one write, and publishes it.

use std::io;
use std::mem;
use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinHandle;

use super::super::play_recorder::CommitTime;
use super::super::presence::StreamId;
use super::super::{Accepted, HubError, Reply};
use super::timers::WRITE_RETRY_DELAY;
use super::{HubTask, QueuedCommand};
use crate::clock;
use crate::room::{self, ApplyContext, Command, Control, Event, Rejection, Room};
use crate::room_profile::RoomProfile;
use crate::wire::Message;

/// The commands of one write, and their results.
pub(super) struct Batch {
    /// When the commands were applied.
    applied_at: Instant,
    /// The same time, on the server's clock and by the calendar.
    time: CommitTime,
    /// The room after all commands.
    room: Arc<Room>,
    /// The room's profile after all changes.
    profile: Arc<RoomProfile>,
    events: Vec<Event>,
    /// The commands that the room did not reject.
    accepted: Vec<Command>,
    /// The result of each command that has a sender, to be sent if the write succeeds.
    answers: Vec<(Reply<Accepted>, Result<Accepted, HubError>)>,
    /// Where to send that the profile was saved.
    profile_replies: Vec<Reply<()>>,
}

/// A write under way, on Tokio's pool of blocking threads.
pub(super) struct PendingWrite {
    task: JoinHandle<io::Result<()>>,
    batch: Batch,
}

/// Waits for the write under way, and returns its batch and result. Returns `None` at once if there is no write.
/// Cancel-safe: a cancelled call leaves the write in place.
pub(super) async fn write_finished(
    write: &mut Option<PendingWrite>,
) -> Option<(Batch, io::Result<()>)> {
    // If the blocking task panicked, the write counts as failed.
    let saved = (&mut write.as_mut()?.task)
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)));
    write.take().map(|write| (write.batch, saved))
}

impl HubTask {
    /// Applies all queued commands and begins the write. A batch that changes nothing in the state file needs no write and is
    /// committed at once.
    /// Returns `None` if no write has begun.
    pub(super) async fn begin_batch(&mut self) -> Option<PendingWrite> {
        let must_rewrite = self.needs_rewrite && self.deadlines.retry_at.is_none();
        if self.waiting() == 0 && !must_rewrite {
            return None;
        }
        let batch = self.apply_queued();
        let is_stored_state_unchanged = batch.events.is_empty()
            && batch.room.private == self.room.private
            && batch.profile == self.profile;
        if is_stored_state_unchanged && !must_rewrite {
            self.commit(batch).await;
            return None;
        }
        let (store, room) = (self.store.clone(), batch.room.clone());
        let profile = batch.profile.clone();
        let task = tokio::task::spawn_blocking(move || store.save(&room, &profile));
        Some(PendingWrite { task, batch })
    }

    /// Applies each queued command to the room that the previous command produced.
    fn apply_queued(&mut self) -> Batch {
        let context = self.apply_context();
        let mut batch = Batch {
            applied_at: Instant::now(),
            time: CommitTime::now(context.now_ms),
            room: self.room.clone(),
            profile: self.profile.clone(),
            events: Vec::new(),
            accepted: Vec::new(),
            answers: Vec::new(),
            profile_replies: Vec::new(),
        };
        for QueuedCommand { command, reply } in mem::take(&mut self.queued) {
            let answer = match room::apply(&batch.room, &command, context) {
                Ok((room, events)) => {
                    batch.room = Arc::new(room);
                    batch.events.extend(events);
                    batch.accepted.push(command);
                    Ok(Accepted {
                        room: batch.room.clone(),
                    })
                }
                Err(rejection) => {
                    if reply.is_none() {
                        log_obsolete(&command, rejection);
                    }
                    Err(HubError::Rejected {
                        rejection,
                        room: batch.room.clone(),
                    })
                }
            };
            batch.answers.extend(reply.map(|reply| (reply, answer)));
        }
        self.change_profile(&mut batch);
        batch
    }

    /// Applies the queued changes of the profile. A maker that is not in the room any more is its maker no more.
    fn change_profile(&mut self, batch: &mut Batch) {
        for (change, reply) in mem::take(&mut self.queued_profile_changes) {
            change(Arc::make_mut(&mut batch.profile));
            batch.profile_replies.push(reply);
        }
        let maker = batch.profile.access.maker;
        if maker.is_some_and(|maker| !batch.room.durable.clients.contains_key(&maker)) {
            Arc::make_mut(&mut batch.profile).access.maker = None;
        }
    }

    fn apply_context(&self) -> ApplyContext {
        let has_timed_starts = self.settings.has_timed_starts;
        let lead_ms = if has_timed_starts {
            self.start_lead.lead_ms(self.presence.needs_ms())
        } else {
            0.0
        };
        ApplyContext {
            now_ms: clock::now_ms(),
            lead_ms,
            has_timed_starts,
        }
    }

    /// Commits the batch if it was saved. Otherwise refuses all of its commands, and schedules a retry of the commands that
    /// the hub queued itself.
    pub(super) async fn finish_batch(&mut self, batch: Batch, saved: io::Result<()>) {
        self.write_health.set_last_write_failed(saved.is_err());
        match saved {
            Ok(()) => {
                self.deadlines.retry_at = None;
                self.needs_rewrite = false;
                let duration = batch.applied_at.elapsed();
                self.start_lead.record_write(duration);
                self.metrics.commit_durations.observe(duration);
                self.commit(batch).await;
            }
            Err(error) => {
                tracing::error!(
                    "the state could not be written, so the batch was refused: {error}"
                );
                self.metrics.failed_commits.add(1);
                self.deadlines.retry_after(WRITE_RETRY_DELAY);
                self.needs_rewrite = true;
                for (reply, _) in batch.answers {
                    // The sender may have stopped waiting.
                    let _ = reply.send(Err(HubError::NotWritten(error.kind())));
                }
                for reply in batch.profile_replies {
                    let _ = reply.send(Err(HubError::NotWritten(error.kind())));
                }
            }
        }
    }

    /// Replaces the room, broadcasts the events, and answers the senders, in this order.
    async fn commit(&mut self, batch: Batch) {
        let now = Instant::now();
        let old_segue = self.room.live.segue;
        let before = mem::replace(&mut self.room, batch.room);
        self.profile = batch.profile;
        self.record_plays(&before, &batch.events, batch.time);
        self.deadlines.check_now();
        self.throttle.record_device_change();
        self.room_metrics.count(&batch.events, &self.room, now);
        let mut ended_streams = Vec::new();
        for command in batch.accepted {
            ended_streams.extend(self.update_presence(command, now));
        }
        self.publish();
        let mut messages = self.replayable_messages(&batch.events);
        // A new segue (the promised start of next-up) is broadcast after the events of the batch, because it is valid for
        // the event count after these events.
        if let Some(segue) = self
            .room
            .live
            .segue
            .filter(|_| self.room.live.segue != old_segue)
        {
            let event_count = self.room.durable.event_count;
            messages.push(Message::live("segue", &segue, event_count));
        }
        match &messages[..] {
            [] => {}
            [message] => self.broadcaster.send(message.clone()).await,
            several => self.broadcaster.send(Message::join(several)).await,
        }
        if !ended_streams.is_empty() {
            self.broadcaster.end_streams(ended_streams).await;
        }
        for (reply, answer) in batch.answers {
            // The sender may have stopped waiting.
            let _ = reply.send(answer);
        }
        for reply in batch.profile_replies {
            let _ = reply.send(Ok(()));
        }
    }

    /// Sends a play that has ended to the history. Never waits.
    fn record_plays(&mut self, before: &Room, events: &[Event], time: CommitTime) {
        let recorder = &mut self.play_recorder;
        if let Some(play) = recorder.update(before, &self.room, events, time) {
            if let Err(error) = self.plays.try_send(play) {
                tracing::warn!("a track is missing in the history: {error}");
            }
        }
    }

    /// Makes the messages of committed events, and adds the messages to the replay buffer.
    fn replayable_messages(&mut self, events: &[Event]) -> Vec<Message> {
        let message = |event: &Event| {
            tracing::debug!(count = event.event_count, "{}", event.kind.name());
            let message = Message::durable(event);
            self.replay_buffer.push(event.event_count, message.clone());
            message
        };
        events.iter().map(message).collect()
    }

    /// Updates presence after an accepted command, and returns the streams that must end because their device was unpaired.
    fn update_presence(&mut self, command: Command, now: Instant) -> Vec<StreamId> {
        match command {
            Command::Leave { member }
            | Command::Unpair { target: member, .. }
            | Command::Expel { member, .. } => {
                return self.presence.remove_device(member);
            }
            Command::Control {
                member,
                control: Control::AckDownload { track_id, .. },
                ..
            } => self.presence.record_acknowledgement(member, track_id, now),
            _ => {}
        }
        Vec::new()
    }
}

/// Logs that the room rejected a command which the hub queued itself. Not an error: an earlier command in the batch has made
/// the command obsolete.
fn log_obsolete(command: &Command, rejection: Rejection) {
    tracing::debug!(
        ?command,
        "a command of the hub itself was obsolete: {rejection}"
    );
}
