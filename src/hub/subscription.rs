//! Subscriptions to the event stream: the request to the hub, and the guard that reports the end of the stream to the hub.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::event_queue::EventQueue;
use super::presence::StreamId;
use super::signals::SignalSender;
use crate::room::{Departure, MemberId, ReportedPlayback};
use crate::wire::Role;

/// A request for an event stream.
#[derive(Debug)]
pub struct SubscribeRequest {
    /// The device.
    pub member: MemberId,
    /// Whether the device plays the music, or only shows and controls the room.
    pub role: Role,
    /// The number of the last event that the device received (header `Last-Event-ID`); `None` for a new stream.
    pub last_event_id: Option<u64>,
    /// The device's report of its playback, if it is playing.
    pub playback: Option<ReportedPlayback>,
    /// Set by the connection if the device stops acknowledging data.
    pub peer_vanished: PeerVanished,
    /// The queue that receives the stream's messages.
    pub queue: Arc<EventQueue>,
}

/// A flag, shared with the connection: whether the connection ended because its peer stopped acknowledging data, and not
/// because the peer closed it.
#[derive(Debug, Clone, Default)]
pub struct PeerVanished(Arc<AtomicBool>);

impl PeerVanished {
    /// Records that the peer stopped acknowledging data.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The handle of one event stream, dropped together with the stream. The drop reports to the hub that the stream has ended.
#[derive(Debug)]
pub struct StreamGuard {
    stream: StreamId,
    peer_vanished: PeerVanished,
    signals: SignalSender,
}

impl StreamGuard {
    pub(super) fn new(
        stream: StreamId,
        peer_vanished: PeerVanished,
        signals: SignalSender,
    ) -> Self {
        StreamGuard {
            stream,
            peer_vanished,
            signals,
        }
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        let how = if self.peer_vanished.is_set() {
            Departure::Vanished
        } else {
            Departure::Left
        };
        self.signals.report_closed_stream(self.stream, how);
    }
}
