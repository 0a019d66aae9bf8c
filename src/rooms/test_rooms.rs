//! Rooms for unit tests, without a library.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::{Notify, watch};

use super::{FoundRooms, RoomStarter, RoomStatus, Rooms, StartedHouse};
use crate::history::History;
use crate::hub::{EventQueue, Hub, Settings, ShutdownPhase, StartState, SubscribeRequest};
use crate::pairing::Pairing;
use crate::room::{Client, DurableState, MemberId, Room};
use crate::store::Store;
use crate::wire::Role;

/// A house with paired devices, and whatever rooms the test makes.
pub(super) struct TestRooms {
    pub(super) rooms: Rooms,
    pub(super) phase: watch::Sender<ShutdownPhase>,
    _folder: TempDir,
}

impl TestRooms {
    pub(super) async fn with_devices(members: impl IntoIterator<Item = MemberId>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state.json");
        let settings = Settings {
            has_timed_starts: true,
            leave_grace: Duration::ZERO,
        };
        let clients = members.into_iter().map(|id| (id, Client::default()));
        let room = Room::default();
        let durable = DurableState {
            clients: Arc::new(clients.collect()),
            ..room.durable
        };
        let state = StartState {
            room: Room::restore(durable, room.private),
            ..StartState::default()
        };
        let phase = watch::Sender::new(ShutdownPhase::Running);
        let store = Store::open(&file).unwrap();
        let (history, _writer) = History::load(&file);
        let (house, _) = Hub::start(
            state,
            store,
            settings,
            Arc::default(),
            history,
            phase.subscribe(),
        );
        let house = StartedHouse {
            status: RoomStatus::Running(house),
            pairing: Pairing::new(None),
            counters: Arc::default(),
        };
        let starter = RoomStarter::new(&file, settings, phase.subscribe());
        TestRooms {
            rooms: Rooms::start(house, FoundRooms::default(), starter).await,
            phase,
            _folder: folder,
        }
    }
}

/// A request for an event stream.
pub(super) fn subscription(member: MemberId, role: Role) -> SubscribeRequest {
    SubscribeRequest {
        member,
        role,
        last_event_id: None,
        playback: None,
        peer_vanished: Default::default(),
        queue: Arc::new(EventQueue::new(Arc::new(Notify::new()))),
    }
}

/// Waits until `holds` returns true, which depends on what `hub` publishes.
pub(super) async fn until(hub: &Hub, holds: impl Fn(&Hub) -> bool) {
    let waiting = async {
        loop {
            let change = hub.next_change();
            if holds(hub) {
                break;
            }
            change.await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(30), waiting).await;
    assert!(in_time.is_ok(), "the hub did not publish what was awaited");
}
