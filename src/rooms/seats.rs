//! In which room each device listens: in one at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex as AsyncMutex;
use tokio::time::timeout;

use super::{RoomEntry, RoomId, Rooms};
use crate::hub::{Hub, HubError, StreamGuard, SubscribeRequest};
use crate::room::{MemberId, Rejection};
use crate::wire::Role;

/// The longest wait for the write of a departure from another room, whose disk may hang. The streams there have ended before.
const DEPARTURE_TIMEOUT: Duration = Duration::from_secs(1);

/// Where a device listens.
#[derive(Debug, Default)]
struct Seat {
    /// Held while the device takes its seat in another room.
    moving: AsyncMutex<()>,
    /// The room in which the device last opened a stream as a listener; `None` if it has not since the process started.
    room: Mutex<Option<RoomId>>,
}

impl Seat {
    fn room(&self) -> MutexGuard<'_, Option<RoomId>> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The seats of all devices. While a device takes its seat in another room, its other requests for streams wait.
#[derive(Debug, Default)]
pub(super) struct Seats(Mutex<HashMap<MemberId, Arc<Seat>>>);

impl Seats {
    fn of(&self, member: MemberId) -> Arc<Seat> {
        let mut seats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seats.entry(member).or_default().clone()
    }

    /// The room in which a device last opened a stream as a listener.
    fn last_room(&self, member: MemberId) -> Option<RoomId> {
        let seats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seats.get(&member)?.room().clone()
    }

    /// Forgets the devices that are no longer paired.
    pub(super) fn retain(&self, is_paired: impl Fn(MemberId) -> bool) {
        let mut seats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seats.retain(|member, _| is_paired(*member));
    }
}

impl Rooms {
    /// The room in which a device listens, or has listened since the process started; otherwise the house room. `None` if that is
    /// damaged. A room that the device has left for another one may still list it while the room cannot be written.
    pub fn hub_of(&self, member: MemberId) -> Option<Hub> {
        let seat = || {
            let entry = self.find(self.registry.seats.last_room(member)?.as_str())?;
            let hub = entry.hub().filter(|hub| hub.is_paired(member));
            hub.cloned()
        };
        seat()
            .or_else(|| self.hub_that_lists(member))
            .or_else(|| self.registry.house.hub().cloned())
    }

    /// Begins an event stream in a room. A listener's streams in other rooms end before.
    ///
    /// # Errors
    /// Those of [`Hub::subscribe`].
    pub async fn subscribe(
        &self,
        entry: &RoomEntry,
        hub: &Hub,
        request: SubscribeRequest,
    ) -> Result<StreamGuard, HubError> {
        if request.role == Role::Remote {
            return self.begin(hub, request).await;
        }
        let seat = self.registry.seats.of(request.member);
        let _moving = seat.moving.lock().await;
        let last_room = seat.room().clone();
        for other in self.entries() {
            if other.id != entry.id {
                let was_here = last_room.as_ref() == Some(&other.id);
                self.end_listening(&other, request.member, was_here, &entry.id)
                    .await;
            }
        }
        *seat.room() = Some(entry.id.clone());
        self.begin(hub, request).await
    }

    /// Begins a stream, unless the house has removed the device meanwhile.
    async fn begin(&self, hub: &Hub, request: SubscribeRequest) -> Result<StreamGuard, HubError> {
        let member = request.member;
        let stream = hub.subscribe(request).await?;
        match self.is_paired(member) {
            true => Ok(stream),
            false => Err(HubError::Rejected {
                rejection: Rejection::NotPaired,
                room: hub.view().room,
            }),
        }
    }

    /// Ends the listening of a device in a room that it leaves for the room `to`. `was_here` if it may have streams there.
    async fn end_listening(
        &self,
        entry: &RoomEntry,
        member: MemberId,
        was_here: bool,
        to: &RoomId,
    ) {
        let Some(hub) = entry.hub() else {
            return;
        };
        // After a restart, a barrier waits for the devices that were its members.
        if was_here || hub.view().room.counts_on(member) {
            let departure = hub.end_listening(member, to.to_string());
            match timeout(DEPARTURE_TIMEOUT, departure).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => {
                    tracing::warn!(
                        "{member} moved to room {to}, and its departure will be saved later: {error}"
                    );
                }
                Err(_) => tracing::warn!(
                    "{member} moved to room {to}, and its departure is not saved yet"
                ),
            }
        }
    }
}
