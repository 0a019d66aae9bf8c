//! Tells the open event streams what the hub has to say, in its order, beside the hub: the next write need not wait until
//! the last phone has been told, and an answer does not get slower with the number of listeners.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::outbox::Outbox;
use super::presence::StreamId;
use crate::wire::Message;

/// What the hub may be ahead by, before it waits.
const AHEAD: usize = 256;
/// So often each side sees that the other is there.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// After so many streams, other tasks get their turn.
const TURN: usize = 64;

/// What the herald is told to do.
enum Errand {
    Join(StreamId, Arc<Outbox>, Message),
    Tell(Message),
    End(Vec<StreamId>),
    EndAll,
}

/// The hub's end. Without it the streams end.
#[derive(Debug)]
pub(super) struct Herald(mpsc::Sender<Errand>);

impl Herald {
    /// Begins with no stream.
    pub(super) fn start() -> Self {
        let (errands, queue) = mpsc::channel(AHEAD);
        tokio::spawn(run(queue));
        Herald(errands)
    }

    async fn send(&self, errand: Errand) {
        // That it is gone the hub learns from `gone`.
        let _ = self.0.send(errand).await;
    }

    /// Ends when the herald has, which it never should before the hub.
    pub(super) async fn gone(&self) {
        self.0.closed().await;
    }

    /// A stream begins, with what is for it alone.
    pub(super) async fn join(&self, stream: StreamId, outbox: Arc<Outbox>, first: Message) {
        self.send(Errand::Join(stream, outbox, first)).await;
    }

    /// Everybody is told.
    pub(super) async fn tell(&self, message: Message) {
        self.send(Errand::Tell(message)).await;
    }

    /// These streams end.
    pub(super) async fn end(&self, streams: Vec<StreamId>) {
        self.send(Errand::End(streams)).await;
    }

    /// Every stream ends.
    pub(super) async fn end_all(&self) {
        self.send(Errand::EndAll).await;
    }
}

async fn run(mut errands: mpsc::Receiver<Errand>) {
    let mut streams: BTreeMap<StreamId, Arc<Outbox>> = BTreeMap::new();
    let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let errand = tokio::select! {
            errand = errands.recv() => errand,
            _ = heartbeat.tick(), if !streams.is_empty() => Some(Errand::Tell(Message::heartbeat())),
        };
        match errand {
            Some(Errand::Join(stream, outbox, first)) => {
                if streams.is_empty() {
                    heartbeat.reset();
                }
                outbox.push(&first);
                streams.insert(stream, outbox);
            }
            Some(Errand::Tell(message)) => tell(&streams, &message).await,
            Some(Errand::End(ended)) => ended
                .iter()
                .filter_map(|stream| streams.remove(stream))
                .for_each(|outbox| outbox.end()),
            Some(Errand::EndAll) => end_all(&mut streams),
            None => break end_all(&mut streams),
        }
    }
}

async fn tell(streams: &BTreeMap<StreamId, Arc<Outbox>>, message: &Message) {
    for (told, outbox) in streams.values().enumerate() {
        if told % TURN == TURN - 1 {
            tokio::task::yield_now().await;
        }
        outbox.push(message);
    }
}

fn end_all(streams: &mut BTreeMap<StreamId, Arc<Outbox>>) {
    for outbox in std::mem::take(streams).into_values() {
        outbox.end();
    }
}
