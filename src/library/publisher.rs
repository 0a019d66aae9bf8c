//! Publishes the scanner's results: the index for HTTP requests, and events for the rooms.

use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::mpsc;

use super::scan_progress::ScanProgress;
use super::{Index, LibraryEvent};

/// The most events that wait for the receiver. The scanner blocks while the channel is full.
const MAX_QUEUED_EVENTS: usize = 16;

/// The newest published index, from which the server answers `GET /index`, `/file` and `/cover`.
#[derive(Debug)]
pub(super) struct PublishedIndex(RwLock<Arc<Index>>);

impl PublishedIndex {
    pub(super) fn new(index: Arc<Index>) -> Self {
        PublishedIndex(RwLock::new(index))
    }

    pub(super) fn get(&self) -> Arc<Index> {
        let index = self.0.read().unwrap_or_else(PoisonError::into_inner);
        index.clone()
    }

    fn set(&self, index: Arc<Index>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = index;
    }
}

/// Publishes the scanner's indexes and events, in the order that [`LibraryEvent`] states.
#[derive(Debug)]
pub(super) struct Publisher {
    index: Arc<PublishedIndex>,
    events: mpsc::Sender<LibraryEvent>,
}

impl Publisher {
    /// Returns a publisher that replaces `index`, and the receiver of the publisher's events.
    pub(super) fn new(index: Arc<PublishedIndex>) -> (Self, mpsc::Receiver<LibraryEvent>) {
        let (events, receiver) = mpsc::channel(MAX_QUEUED_EVENTS);
        (Publisher { index, events }, receiver)
    }

    /// Replaces the published index, and then notifies the rooms. Blocks while the channel is full.
    pub(super) fn publish_index(&self, index: Arc<Index>) {
        self.index.set(index.clone());
        self.send(LibraryEvent::IndexPublished(index));
    }

    /// Reports the progress of a scan. Blocks while the channel is full.
    pub(super) fn report_progress(&self, progress: ScanProgress) {
        self.send(LibraryEvent::ScanProgress(progress));
    }

    fn send(&self, event: LibraryEvent) {
        // Fails only once the receiver is dropped, which happens when the server shuts down.
        let _ = self.events.blocking_send(event);
    }
}
