//! The queue of messages that wait to be sent on one event stream. The broadcaster pushes messages; the stream's response
//! body (`http::events`) takes them out. The queue is bounded: a client that reads too slowly is disconnected, and receives
//! the missed events when it reconnects.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::wire::Message;

/// The most messages in one queue.
const MAX_MESSAGES: usize = 1024;
/// The most bytes in one queue, without its first message. The first message may have any size, because the snapshot of a
/// large room may exceed every limit, and a `presence` event often follows before the response body has taken the snapshot.
const MAX_BYTES: usize = 4 << 20;

/// The queue was full when a message was pushed, so the stream has lost messages and must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client reads its event stream too slowly")]
pub struct QueueOverflow;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum QueueState {
    Open,
    /// Further messages are discarded; the stream ends after the messages that are in the queue.
    Closed,
    Overflowed,
}

/// The waiting messages, and whether more are accepted.
#[derive(Debug)]
struct QueueContent {
    state: QueueState,
    messages: VecDeque<Bytes>,
    /// The sum of the lengths of `messages`.
    bytes: usize,
    /// Wakes the connection's task while it waits for a message.
    consumer: Option<Waker>,
}

impl QueueContent {
    /// Whether another message of `length` bytes would exceed a bound.
    fn is_full_for(&self, length: usize) -> bool {
        self.messages.front().is_some_and(|first| {
            let bytes_behind_first = self.bytes - first.len() + length;
            self.messages.len() >= MAX_MESSAGES || bytes_behind_first > MAX_BYTES
        })
    }
}

/// The queue of one event stream.
#[derive(Debug)]
pub struct EventQueue {
    content: Mutex<QueueContent>,
    /// Notified on overflow, upon which the connection's task closes the connection. The response body is not polled while
    /// the connection's write buffer is full, so an error returned by the body would not end the connection.
    disconnect: Arc<Notify>,
}

impl EventQueue {
    /// An empty queue. `disconnect` is notified when the queue overflows.
    pub fn new(disconnect: Arc<Notify>) -> Self {
        EventQueue {
            content: Mutex::new(QueueContent {
                state: QueueState::Open,
                messages: VecDeque::new(),
                bytes: 0,
                consumer: None,
            }),
            disconnect,
        }
    }

    fn lock(&self) -> MutexGuard<'_, QueueContent> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a message. If the message exceeds a bound, drops all messages and notifies `disconnect`. Does nothing if the
    /// queue is closed or has overflowed.
    pub(super) fn push(&self, message: &Message) {
        let message = message.text();
        let mut content = self.lock();
        if content.state != QueueState::Open {
            return;
        }
        if content.is_full_for(message.len()) {
            content.state = QueueState::Overflowed;
            content.messages = VecDeque::new();
            content.bytes = 0;
            self.disconnect.notify_one();
        } else {
            content.bytes += message.len();
            content.messages.push_back(message);
        }
        wake_consumer(content);
    }

    /// Ends the stream after the messages that are in the queue.
    pub(super) fn close(&self) {
        let mut content = self.lock();
        if content.state == QueueState::Open {
            content.state = QueueState::Closed;
        }
        wake_consumer(content);
    }

    /// Takes the next message; `None` when the queue is closed and empty. Only one task may wait at a time.
    ///
    /// # Errors
    /// [`QueueOverflow`] if the queue has overflowed.
    pub fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, QueueOverflow>>> {
        let mut content = self.lock();
        if let Some(message) = content.messages.pop_front() {
            content.bytes -= message.len();
            return Poll::Ready(Some(Ok(message)));
        }
        match content.state {
            QueueState::Open => {
                content.consumer = Some(cx.waker().clone());
                Poll::Pending
            }
            QueueState::Closed => Poll::Ready(None),
            QueueState::Overflowed => Poll::Ready(Some(Err(QueueOverflow))),
        }
    }
}

/// Releases the lock and then wakes the consumer, so that the woken task does not have to wait for the lock.
fn wake_consumer(mut content: MutexGuard<'_, QueueContent>) {
    let consumer = content.consumer.take();
    drop(content);
    if let Some(consumer) = consumer {
        consumer.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use tokio::time::timeout;

    use super::*;

    #[derive(Default)]
    struct WakeCounter(AtomicUsize);

    impl Wake for WakeCounter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn queue() -> (EventQueue, Arc<Notify>) {
        let disconnect = Arc::new(Notify::new());
        (EventQueue::new(disconnect.clone()), disconnect)
    }

    fn message(length: usize) -> Message {
        Message::live("test", &"x".repeat(length), 0)
    }

    fn next(queue: &EventQueue) -> Poll<Option<Result<Bytes, QueueOverflow>>> {
        queue.poll_next(&mut Context::from_waker(Waker::noop()))
    }

    fn ready(message: &Message) -> Poll<Option<Result<Bytes, QueueOverflow>>> {
        Poll::Ready(Some(Ok(message.text())))
    }

    /// Whether the queue has requested that its connection be closed.
    async fn is_disconnected(disconnect: &Notify) -> bool {
        timeout(std::time::Duration::ZERO, disconnect.notified())
            .await
            .is_ok()
    }

    #[test]
    fn returns_messages_in_order_and_wakes_the_waiting_consumer_once() {
        let (queue, _disconnect) = queue();
        let wakes = Arc::new(WakeCounter::default());
        let waker = Waker::from(wakes.clone());
        let pending = queue.poll_next(&mut Context::from_waker(&waker));
        assert!(pending.is_pending());
        queue.push(&message(1));
        queue.push(&message(2));
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
        assert_eq!(next(&queue), ready(&message(1)));
        assert_eq!(next(&queue), ready(&message(2)));
        assert!(next(&queue).is_pending());
    }

    #[test]
    fn ends_after_the_waiting_messages_once_it_is_closed() {
        let (queue, _disconnect) = queue();
        queue.push(&message(1));
        queue.close();
        queue.push(&message(2));
        assert_eq!(next(&queue), ready(&message(1)));
        assert_eq!(next(&queue), Poll::Ready(None));
    }

    #[test]
    fn closing_wakes_the_waiting_consumer() {
        let (queue, _disconnect) = queue();
        let wakes = Arc::new(WakeCounter::default());
        let waker = Waker::from(wakes.clone());
        let pending = queue.poll_next(&mut Context::from_waker(&waker));
        assert!(pending.is_pending());
        queue.close();
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn overflows_when_too_many_messages_wait() {
        let (queue, disconnect) = queue();
        for _ in 0..MAX_MESSAGES {
            queue.push(&message(1));
        }
        assert!(!is_disconnected(&disconnect).await);
        queue.push(&message(1));
        assert!(is_disconnected(&disconnect).await);
        assert_eq!(next(&queue), Poll::Ready(Some(Err(QueueOverflow))));
        assert_eq!(queue.lock().bytes, 0);
    }

    #[tokio::test]
    async fn overflows_when_too_many_bytes_wait() {
        let (queue, disconnect) = queue();
        let large = message(MAX_BYTES / 4);
        for _ in 0..4 {
            queue.push(&large);
        }
        assert_eq!(next(&queue), ready(&large));
        queue.push(&large);
        assert!(
            !is_disconnected(&disconnect).await,
            "one message was taken out"
        );
        queue.push(&large);
        assert!(is_disconnected(&disconnect).await);
        assert_eq!(next(&queue), Poll::Ready(Some(Err(QueueOverflow))));
    }

    #[tokio::test]
    async fn first_message_may_have_any_size_and_others_may_follow() {
        let (queue, disconnect) = queue();
        let huge = message(2 * MAX_BYTES);
        queue.push(&huge);
        queue.push(&message(1));
        assert!(!is_disconnected(&disconnect).await);
        assert_eq!(next(&queue), ready(&huge));
        assert_eq!(next(&queue), ready(&message(1)));
    }
}
