//! What every phone knows from the start: the plan, the server's address, and the server's tracks.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use super::Plan;
use super::recorder::Recorder;

/// The mean time between two commands, counting the commands of all phones.
const COMMAND_INTERVAL: Duration = Duration::from_millis(350);

/// The duration of the first of the two phases that alternate during a run: phones send any command.
const ANY_COMMAND_PHASE: Duration = Duration::from_secs(30);
/// The duration of the second phase: phones send no command that ends an open barrier, so that the server has to end the
/// barrier. Longer than the server's timeout for a stalled member.
const KEEP_BARRIERS_PHASE: Duration = Duration::from_secs(45);

/// Tracks by id.
type Tracks = BTreeMap<String, Arc<IndexedTrack>>;

/// A row of the index, or a track that an upload will become.
#[derive(Debug)]
pub(super) struct IndexedTrack {
    /// The size of the file in bytes.
    pub(super) size: u64,
    /// `None` until the index was read.
    pub(super) version: Option<String>,
    pub(super) duration_sec: Option<f64>,
}

/// The data that all tasks share.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) plan: Plan,
    pub(super) address: SocketAddr,
    tracks: Mutex<Tracks>,
    pub(super) recorder: Recorder,
    /// Becomes true at the end of the planned time.
    pub(super) winding_down: watch::Receiver<bool>,
}

impl Context {
    pub(super) fn new(
        plan: Plan,
        address: SocketAddr,
        index: &Value,
        winding_down: watch::Receiver<bool>,
    ) -> Self {
        Context {
            recorder: Recorder::new(plan.leave_grace),
            plan,
            address,
            tracks: tracks(index).into(),
            winding_down,
        }
    }

    /// The address of the room: the server's origin for the house room.
    pub(super) fn base_url(&self) -> String {
        let room = self.plan.room.as_ref();
        let path = room.map_or(String::new(), |room| format!("/rooms/{room}"));
        format!("http://{}{path}", self.address)
    }

    pub(super) fn track(&self, id: &str) -> Option<Arc<IndexedTrack>> {
        self.lock_tracks().get(id).cloned()
    }

    pub(super) fn has_tracks(&self) -> bool {
        !self.lock_tracks().is_empty()
    }

    /// Adds a track that an upload will become.
    pub(super) fn add_track(&self, id: &str, track: IndexedTrack) {
        self.lock_tracks().insert(id.into(), track.into());
    }

    fn lock_tracks(&self) -> MutexGuard<'_, Tracks> {
        self.tracks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The address from which a phone connects: one of its own, as in a network, if the server runs on this machine.
    pub(super) fn client_address(&self, number: u32) -> Option<IpAddr> {
        const FIRST: u32 = 0x7f01_0000;
        let is_local = matches!(self.address.ip(), IpAddr::V4(address) if address.is_loopback());
        is_local.then(|| Ipv4Addr::from(FIRST + number).into())
    }

    /// How the row of an upload in an index differs from what the protocol states; `None` if it does not.
    pub(super) fn index_violation(
        &self,
        index: &Value,
        track: &str,
        member: &str,
        title: &str,
    ) -> Option<String> {
        let rows = index.as_array().map_or(&[][..], Vec::as_slice);
        let row = rows.iter().find(|row| row["trackId"] == track);
        let Some(row) = row else {
            return Some(format!("the upload {track} is not in the index"));
        };
        let expected = self.track(track)?;
        let holds = row["uploadedBy"] == member
            && row["tags"]["title"] == title
            && row["size"] == expected.size;
        (!holds).then(|| format!("the upload {track} of {member} is {row}"))
    }

    /// The mean time between two commands of one phone.
    pub(super) fn command_interval(&self) -> Duration {
        COMMAND_INTERVAL * self.plan.phones
    }

    /// The mean time between two votes of one phone; `None` if no phone votes.
    pub(super) fn vote_interval(&self) -> Option<Duration> {
        let per_minute = self.plan.votes_per_minute;
        (per_minute > 0).then(|| Duration::from_secs(60) / per_minute)
    }

    /// The mean time between two chat messages of one phone; `None` if no phone sends any.
    pub(super) fn message_interval(&self) -> Option<Duration> {
        let per_minute = self.plan.messages_per_minute;
        (per_minute > 0).then(|| Duration::from_secs(60) / per_minute)
    }

    /// The mean time for which a phone keeps its event stream open. In a long run, longer than the server's timeout for a
    /// stalled member.
    pub(super) fn stream_duration(&self) -> Duration {
        (self.plan.length / 8).clamp(Duration::from_secs(2), Duration::from_secs(25))
    }

    /// Whether the run is in the phase in which phones send no command that ends an open barrier.
    pub(super) fn keeps_barriers(&self) -> bool {
        let period = (ANY_COMMAND_PHASE + KEEP_BARRIERS_PHASE).as_secs_f64();
        let phase = self.recorder.elapsed().as_secs_f64() % period;
        phase > ANY_COMMAND_PHASE.as_secs_f64()
    }

    /// Whether the planned time is over: phones send no further commands and keep their connections.
    pub(super) fn is_winding_down(&self) -> bool {
        *self.winding_down.borrow()
    }
}

/// The tracks of an index, without rows that lack a field.
fn tracks(index: &Value) -> Tracks {
    let rows = index.as_array().map_or(&[][..], Vec::as_slice);
    rows.iter()
        .filter_map(|row| {
            let track = IndexedTrack {
                size: row["size"].as_u64()?,
                version: Some(row["version"].as_str()?.to_owned()),
                duration_sec: row["duration"].as_f64(),
            };
            Some((row["trackId"].as_str()?.to_owned(), track.into()))
        })
        .collect()
}
