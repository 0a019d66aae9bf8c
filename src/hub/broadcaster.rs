//! Sends messages to all open event streams, in the order in which the hub's task sends them to the broadcaster. The
//! broadcaster is a separate task, so that many listeners delay neither the next write of the state nor the response to a
//! command.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::event_queue::EventQueue;
use super::presence::StreamId;
use crate::wire::Message;

/// The most requests that wait in the broadcaster's channel. While the channel is full, the hub's task waits.
const MAX_WAITING_REQUESTS: usize = 256;
/// The interval at which an SSE comment is sent on every stream, so that client and server notice a dead connection.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(5);
/// After pushing a message to this many streams, the broadcaster yields to the runtime, so that the connection tasks of
/// these streams can write.
const STREAMS_PER_TURN: usize = 64;

/// A request from the hub's task to the broadcaster task.
enum BroadcastRequest {
    AddStream {
        id: StreamId,
        queue: Arc<EventQueue>,
        first_message: Message,
    },
    Send(Message),
    EndStreams(Vec<StreamId>, Option<Message>),
    EndAllStreams,
}

/// The hub's handle to the broadcaster task. Dropping the handle ends all streams and the task.
#[derive(Debug)]
pub(super) struct Broadcaster(mpsc::Sender<BroadcastRequest>);

impl Broadcaster {
    /// Spawns the task, at first without streams.
    pub(super) fn start() -> Self {
        let (requests, receiver) = mpsc::channel(MAX_WAITING_REQUESTS);
        tokio::spawn(run(receiver));
        Broadcaster(requests)
    }

    async fn request(&self, request: BroadcastRequest) {
        // Fails only if the task has ended, which the hub detects by `stopped`.
        let _ = self.0.send(request).await;
    }

    /// Waits until the task has ended. The task ends before the hub only if it panics.
    pub(super) async fn stopped(&self) {
        self.0.closed().await;
    }

    /// Adds a stream, and sends `first_message` to this stream only.
    pub(super) async fn add_stream(
        &self,
        id: StreamId,
        queue: Arc<EventQueue>,
        first_message: Message,
    ) {
        let request = BroadcastRequest::AddStream {
            id,
            queue,
            first_message,
        };
        self.request(request).await;
    }

    /// Sends a message to all streams.
    pub(super) async fn send(&self, message: Message) {
        self.request(BroadcastRequest::Send(message)).await;
    }

    /// Ends these streams after the messages that were sent before this call.
    pub(super) async fn end_streams(&self, ids: Vec<StreamId>) {
        self.request(BroadcastRequest::EndStreams(ids, None)).await;
    }

    /// Sends `last_message` to these streams only, and ends them.
    pub(super) async fn end_streams_with(&self, ids: Vec<StreamId>, last_message: Message) {
        self.request(BroadcastRequest::EndStreams(ids, Some(last_message)))
            .await;
    }

    /// Ends all streams after the messages that were sent before this call.
    pub(super) async fn end_all_streams(&self) {
        self.request(BroadcastRequest::EndAllStreams).await;
    }
}

async fn run(mut requests: mpsc::Receiver<BroadcastRequest>) {
    let mut streams: BTreeMap<StreamId, Arc<EventQueue>> = BTreeMap::new();
    let mut heartbeat = interval_at(Instant::now() + HEARTBEAT_INTERVAL, HEARTBEAT_INTERVAL);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let request = tokio::select! {
            request = requests.recv() => request,
            _ = heartbeat.tick(), if !streams.is_empty() => {
                Some(BroadcastRequest::Send(Message::heartbeat()))
            }
        };
        match request {
            Some(BroadcastRequest::AddStream {
                id,
                queue,
                first_message,
            }) => {
                if streams.is_empty() {
                    heartbeat.reset();
                }
                queue.push(&first_message);
                streams.insert(id, queue);
            }
            Some(BroadcastRequest::Send(message)) => push_to_all(&streams, &message).await,
            Some(BroadcastRequest::EndStreams(ids, last_message)) => {
                for queue in ids.iter().filter_map(|id| streams.remove(id)) {
                    if let Some(message) = &last_message {
                        queue.push(message);
                    }
                    queue.close();
                }
            }
            Some(BroadcastRequest::EndAllStreams) => close_all(&mut streams),
            None => break close_all(&mut streams),
        }
    }
}

async fn push_to_all(streams: &BTreeMap<StreamId, Arc<EventQueue>>, message: &Message) {
    for (n, queue) in streams.values().enumerate() {
        if n % STREAMS_PER_TURN == STREAMS_PER_TURN - 1 {
            tokio::task::yield_now().await;
        }
        queue.push(message);
    }
}

fn close_all(streams: &mut BTreeMap<StreamId, Arc<EventQueue>>) {
    for queue in std::mem::take(streams).into_values() {
        queue.close();
    }
}
