//! Chat messages and reactions: requests of devices, and the live events `chat`, `chat.removed` and `reactions`.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use serde_json::json;

use super::super::talk::Emoji;
use super::super::{HubError, Reply};
use super::HubTask;
use crate::library::rfc3339;
use crate::room::{Action, MemberId, Rejection};
use crate::wire::{ChatMessage, Message};

/// A request about chat messages or reactions, and where to send its result.
pub(in super::super) enum TalkRequest {
    Post(MemberId, String, Reply<u64>),
    Remove(MemberId, u64, Reply<()>),
    MessagesAfter(u64, Reply<Vec<Arc<ChatMessage>>>),
    React(MemberId, Emoji, Reply<()>),
}

/// The id of a room's first message: the time by the calendar in milliseconds. Less than one message a millisecond is
/// permitted, so a later process gives greater ids.
pub(super) fn first_message_id() -> u64 {
    since_epoch().as_millis() as u64
}

fn since_epoch() -> std::time::Duration {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since_epoch.unwrap_or_default()
}

impl HubTask {
    /// Processes a request. Senders may have stopped waiting for the result.
    pub(super) async fn handle_talk(&mut self, request: TalkRequest) {
        match request {
            TalkRequest::Post(member, text, reply) => {
                let _ = reply.send(self.post_message(member, text).await);
            }
            TalkRequest::Remove(member, id, reply) => {
                let _ = reply.send(self.remove_message(member, id).await);
            }
            TalkRequest::MessagesAfter(id, reply) => {
                let _ = reply.send(Ok(self.chat.after(id)));
            }
            TalkRequest::React(member, emoji, reply) => {
                let _ = reply.send(self.react(member, emoji));
            }
        }
    }

    /// Adds a message, broadcasts it and returns its id.
    async fn post_message(&mut self, member: MemberId, text: String) -> Result<u64, HubError> {
        let name = self.talking_name(member)?;
        self.check_talk_permission(member, Action::Chat)?;
        let at = rfc3339::format(since_epoch().as_secs());
        let message = self.chat.post(member, name, text, at, Instant::now())?;
        let event = Message::live("chat", &*message, self.room.durable.event_count);
        self.broadcaster.send(event).await;
        Ok(message.id)
    }

    async fn remove_message(&mut self, member: MemberId, id: u64) -> Result<(), HubError> {
        self.talking_name(member)?;
        let author = self.chat.author(id)?;
        self.check_talk_permission(member, Action::RemoveMessage(author))?;
        self.chat.remove(id);
        let event_count = self.room.durable.event_count;
        let event = Message::live("chat.removed", &json!({ "id": id }), event_count);
        self.broadcaster.send(event).await;
        Ok(())
    }

    fn react(&mut self, member: MemberId, emoji: Emoji) -> Result<(), HubError> {
        self.talking_name(member)?;
        self.reactions.add(member, emoji, Instant::now())?;
        Ok(())
    }

    /// The name of a device that talks.
    ///
    /// # Errors
    /// The device is not paired any more, or the server shuts down.
    fn talking_name(&self, member: MemberId) -> Result<String, HubError> {
        if self.is_draining {
            return Err(HubError::Closing);
        }
        let client = self.room.durable.clients.get(&member);
        let name = client.map(|client| client.name.clone());
        name.ok_or_else(|| self.rejected(Rejection::NotPaired))
    }

    fn check_talk_permission(&self, member: MemberId, action: Action<'_>) -> Result<(), HubError> {
        let permission = self.room.check_permission(member, action);
        permission.map_err(|refusal| self.rejected(Rejection::Forbidden(refusal)))
    }

    fn rejected(&self, rejection: Rejection) -> HubError {
        HubError::Rejected {
            rejection,
            room: self.room.clone(),
        }
    }

    /// Broadcasts the reactions since the last broadcast. If it is too early, returns the time from which it is not.
    pub(super) async fn broadcast_reactions(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let due_at = self.reactions.due_at()?;
        if now < due_at {
            return Some(due_at);
        }
        let counts = self.reactions.take(now);
        let event = Message::live("reactions", &counts, self.room.durable.event_count);
        self.broadcaster.send(event).await;
        None
    }
}
