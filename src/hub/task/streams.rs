//! Event streams: begins a stream, and ends all streams when the server shuts down.

use std::time::{Duration, Instant};

use super::super::{HubError, StreamGuard, SubscribeRequest};
use super::HubTask;
use crate::room::{Departure, MemberId, Rejection};
use crate::wire::Message;

/// How long a browser waits before it reconnects a broken stream (the `retry` field, WHATWG HTML 9.2.6).
const RECONNECT_DELAY: Duration = Duration::from_secs(1);

impl HubTask {
    /// Begins a stream. The first message is made and the stream is registered for later messages without a commit in
    /// between, so the stream has no gap and no duplicate.
    pub(super) async fn subscribe(
        &mut self,
        request: SubscribeRequest,
    ) -> Result<StreamGuard, HubError> {
        if self.is_draining {
            return Err(HubError::Closing);
        }
        if !self.room.durable.clients.contains_key(&request.member) {
            return Err(HubError::Rejected {
                rejection: Rejection::NotPaired,
                room: self.room.clone(),
            });
        }
        let now = Instant::now();
        let stream = self
            .presence
            .open_stream(request.member, request.role, request.playback, now);
        if let Some(oldest) = self.presence.surplus_stream(request.member) {
            self.presence.close_stream(oldest, Departure::Left, now);
            self.broadcaster.end_streams(vec![oldest]).await;
        }
        self.throttle.record_device_change();
        self.deadlines.check_now();
        let first = self.first_message(request.last_event_id);
        self.broadcaster
            .add_stream(stream, request.queue, first)
            .await;
        Ok(StreamGuard::new(
            stream,
            request.peer_vanished,
            self.signals.clone(),
        ))
    }

    /// The first message of a stream: the events after `last_event_id` if the replay buffer has all of them, otherwise a
    /// snapshot.
    fn first_message(&mut self, last_event_id: Option<u64>) -> Message {
        let view = self.publish();
        let live = view.live_of(&self.room);
        self.throttle.record_first_message(&live);
        let mut first = vec![Message::retry(RECONNECT_DELAY)];
        match last_event_id.and_then(|id| self.replay_buffer.since(id)) {
            Some(missed) => first.extend(missed),
            None => first.push(Message::snapshot(&view.snapshot())),
        }
        if last_event_id.is_some() {
            // Replayed events do not contain the live part of a snapshot, which may have changed while the stream was down.
            let event_count = self.room.durable.event_count;
            first.push(Message::live("presence", &live, event_count));
        }
        Message::join(&first)
    }

    /// Ends the streams with which a device listens, and tells them that the device listens in the room `moved_to`. The device
    /// departs at once.
    pub(super) async fn end_listening(&mut self, member: MemberId, moved_to: &str) {
        let streams = self.presence.end_listening(member, Instant::now());
        if !streams.is_empty() {
            let payload = serde_json::json!({ "roomId": moved_to });
            let message = Message::live("moved", &payload, self.room.durable.event_count);
            self.broadcaster.end_streams_with(streams, message).await;
        }
        self.throttle.record_device_change();
        self.deadlines.check_now();
    }

    /// Broadcasts the shutdown and ends all streams. Commands are still accepted. The devices stay listeners although their
    /// streams end, so that the saved room does not change.
    pub(super) async fn end_all_streams(&mut self) {
        let event_count = self.room.durable.event_count;
        let closing = Message::live("server.closing", &serde_json::json!({}), event_count);
        self.broadcaster.send(closing).await;
        self.broadcaster.end_all_streams().await;
        self.presence.shut_down();
        self.is_draining = true;
    }
}
