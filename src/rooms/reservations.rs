//! The names and places of rooms that are about to be made or renamed. No lock is held while a room is written, so that a disk that
//! hangs delays the changes of one room only.

use std::sync::{Arc, Mutex, PoisonError};

use super::RoomId;
use crate::room::MemberId;

/// A change of the list of rooms that is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    /// The room.
    pub(super) id: RoomId,
    /// The name that the room gets, as names are compared.
    pub(super) name: String,
    /// The device that makes the room; `None` for a room that exists.
    pub(super) maker: Option<MemberId>,
}

/// The changes under way.
#[derive(Debug, Clone, Default)]
pub(super) struct Reservations(Arc<Mutex<Vec<Change>>>);

/// A change under way. It ends when this value is dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    change: Change,
    all: Reservations,
}

impl Reservation {
    pub(super) fn id(&self) -> &RoomId {
        &self.change.id
    }
}

impl Reservations {
    /// Begins the change that `decide` returns, which gets the other changes under way.
    ///
    /// # Errors
    /// That of `decide`.
    pub(super) fn begin<E>(
        &self,
        decide: impl FnOnce(&[Change]) -> Result<Change, E>,
    ) -> Result<Reservation, E> {
        let mut changes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let change = decide(&changes)?;
        changes.push(change.clone());
        Ok(Reservation {
            change,
            all: self.clone(),
        })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let changes = self.all.0.lock();
        let mut changes = changes.unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = changes.iter().position(|change| *change == self.change) {
            changes.remove(at);
        }
    }
}
