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

    /// Begins an event stream in a room. Then a listener's streams in other rooms end: not before, because the room may refuse the
    /// device.
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
        let member = request.member;
        let seat = self.registry.seats.of(member);
        let _moving = seat.moving.lock().await;
        let stream = self.begin(hub, request).await?;
        let last_room = seat.room().clone();
        for other in self.entries() {
            if other.id != entry.id {
                let was_here = last_room.as_ref() == Some(&other.id);
                self.end_listening(&other, member, was_here, &entry.id)
                    .await;
            }
        }
        *seat.room() = Some(entry.id.clone());
        Ok(stream)
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

#[cfg(test)]
mod tests {
    use super::super::test_rooms::{TestRooms, subscription, until};
    use super::*;
    use crate::hub::ShutdownPhase;

    /// The device has not entered one room, and the other does not take streams any more.
    #[tokio::test]
    async fn a_room_that_refuses_a_device_does_not_take_it_from_another() {
        let (member, maker) = (MemberId(1), MemberId(2));
        let test = TestRooms::with_devices([member, maker]).await;
        let rooms = &test.rooms;
        let house = rooms.house().hub().unwrap();
        let garden = rooms.make(maker, "Garden", None).await.unwrap();
        let gone = rooms.make(member, "Gone", None).await.unwrap();
        let listen = async |entry: &RoomEntry| {
            let request = subscription(member, Role::Listener);
            rooms.subscribe(entry, entry.hub().unwrap(), request).await
        };
        let _stream = listen(rooms.house()).await.unwrap();
        until(house, |house| house.is_listening(member)).await;
        rooms.remove(gone.clone()).await.unwrap();
        for refusing in [&garden, &gone] {
            listen(refusing).await.unwrap_err();
            assert!(house.is_listening(member), "room {}", refusing.id);
            assert_eq!(
                rooms.registry.seats.last_room(member),
                Some(RoomId::house())
            );
        }
        let _stream = listen(rooms.house()).await.unwrap();
        rooms.admit(&garden, member).await.unwrap();
        let _moved = listen(&garden).await.unwrap();
        until(house, |house| !house.is_listening(member)).await;
    }

    #[tokio::test]
    async fn no_device_moves_while_the_server_shuts_down() {
        let member = MemberId(1);
        let test = TestRooms::with_devices([member]).await;
        let rooms = &test.rooms;
        let house = rooms.house().hub().unwrap();
        let garden = rooms.make(member, "Garden", None).await.unwrap();
        let hub = garden.hub().unwrap();
        let request = subscription(member, Role::Listener);
        let _stream = rooms
            .subscribe(rooms.house(), house, request)
            .await
            .unwrap();
        until(house, |house| house.is_listening(member)).await;
        test.phase.send_replace(ShutdownPhase::Draining);
        // The phase reaches each hub by itself.
        let refused = async || {
            let request = subscription(member, Role::Remote);
            hub.subscribe(request).await.is_err()
        };
        while !refused().await {
            tokio::task::yield_now().await;
        }
        let request = subscription(member, Role::Listener);
        rooms.subscribe(&garden, hub, request).await.unwrap_err();
        assert!(house.is_listening(member));
    }
}
