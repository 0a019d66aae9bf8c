//! The visible state: the durable state as snapshots show it to devices, without `eventCount`.

use std::collections::{BTreeMap, BTreeSet};

use lockstep::room::{Barrier, Client, MemberId, Mode, Pick, PlayState, Room, Rules, TrackId};
use serde::Deserialize;
use serde_json::Value;

/// The state that devices see. The ring is the queue, rotated so that it begins with the current track: at which track
/// the stored list begins has no effect.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct VisibleState {
    pub(super) ring: Vec<TrackId>,
    pub(super) picks: Vec<Pick>,
    pub(super) picked_by: Option<MemberId>,
    pub(super) play_state: PlayState,
    pub(super) gain_db: Option<f64>,
    pub(super) barrier: Option<Barrier>,
    pub(super) clients: BTreeMap<MemberId, Client>,
    pub(super) hosts: BTreeSet<MemberId>,
    pub(super) rules: Rules,
    pub(super) dj: Option<MemberId>,
    pub(super) dj_votes: BTreeMap<MemberId, Option<MemberId>>,
    pub(super) skip_votes: BTreeSet<MemberId>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Snapshot {
    queue: Vec<TrackId>,
    queue_index: usize,
    picks: Vec<Pick>,
    picked_by: Option<MemberId>,
    play_state: PlayState,
    gain_db: Option<f64>,
    barrier: Option<Barrier>,
    clients: BTreeMap<MemberId, Client>,
    hosts: BTreeSet<MemberId>,
    rules: Rules,
    dj: Option<MemberId>,
    dj_votes: BTreeMap<MemberId, Option<MemberId>>,
    skip_votes: BTreeSet<MemberId>,
}

impl VisibleState {
    /// Reads a snapshot without `eventCount`.
    pub(super) fn from_snapshot(snapshot: &Value) -> Self {
        let Snapshot {
            queue: mut ring,
            queue_index,
            picks,
            picked_by,
            play_state,
            gain_db,
            barrier,
            clients,
            hosts,
            rules,
            dj,
            dj_votes,
            skip_votes,
        } = Snapshot::deserialize(snapshot).expect("a valid snapshot");
        ring.rotate_left(queue_index);
        VisibleState {
            ring,
            picks,
            picked_by,
            play_state,
            gain_db,
            barrier,
            clients,
            hosts,
            rules,
            dj,
            dj_votes,
            skip_votes,
        }
    }

    /// The visible state of a room.
    pub(super) fn of(room: &Room) -> Self {
        let durable = &room.durable;
        let mut ring = durable.queue.to_vec();
        ring.rotate_left(durable.queue_index);
        VisibleState {
            ring,
            picks: durable.picks.to_vec(),
            picked_by: durable.picked_by,
            play_state: durable.play_state,
            gain_db: durable.gain_db,
            barrier: durable.barrier.clone(),
            clients: durable.clients.as_ref().clone(),
            hosts: durable.hosts.as_ref().clone(),
            rules: durable.rules,
            dj: durable.dj,
            dj_votes: durable.dj_votes.as_ref().clone(),
            skip_votes: durable.skip_votes.as_ref().clone(),
        }
    }

    /// Whether the picks directly follow the current track, and none of them is the current one.
    pub(super) fn do_picks_follow_current(&self) -> bool {
        let picks = self.picks.iter().map(|pick| pick.track_id);
        self.ring
            .iter()
            .copied()
            .skip(1)
            .take(self.picks.len())
            .eq(picks)
    }

    /// Makes the first track of the ring, which is the current one, no pick, and records who picked it.
    pub(super) fn take_current_from_picks(&mut self) {
        let current = self.ring[0];
        let pick = self.picks.iter().find(|pick| pick.track_id == current);
        self.picked_by = pick.and_then(|pick| pick.by);
        self.picks.retain(|pick| pick.track_id != current);
    }

    /// Moves the picks in the ring to behind the current track.
    pub(super) fn place_picks(&mut self) {
        let picks: Vec<_> = self.picks.iter().map(|pick| pick.track_id).collect();
        self.ring.retain(|track| !picks.contains(track));
        let at = self.ring.len().min(1);
        self.ring.splice(at..at, picks);
    }

    /// Stops playback at a position, and removes the barrier.
    pub(super) fn stop_at(&mut self, anchor_position_sec: f64) {
        self.barrier = None;
        self.play_state = PlayState {
            mode: Mode::Paused,
            anchor_position_sec,
        };
    }
}
