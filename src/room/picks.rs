//! Picks: the tracks that people have asked for. In the ring, the picks directly follow the current track, in their order; all
//! other tracks follow the picks.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::id::{MemberId, TrackId};
use super::state::DurableState;

/// A track that a member has asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pick {
    /// The track; never the current one.
    pub track_id: TrackId,
    /// The device that asked for the track; `None` if that device is no longer paired.
    #[serde(default)]
    pub by: Option<MemberId>,
    /// The devices that have voted for the pick.
    #[serde(default)]
    pub votes: Vec<MemberId>,
    /// Whether the pick precedes those that are not pinned.
    #[serde(default)]
    pub pinned: bool,
}

impl Pick {
    /// A pick without votes that is not pinned.
    pub(super) fn new(track_id: TrackId, by: Option<MemberId>) -> Self {
        Pick {
            track_id,
            by,
            votes: Vec::new(),
            pinned: false,
        }
    }
}

impl DurableState {
    /// The position of a track among the picks; `None` if the track is not a pick.
    pub(super) fn pick_position(&self, track_id: TrackId) -> Option<usize> {
        self.picks.iter().position(|pick| pick.track_id == track_id)
    }

    /// Removes a track from the picks, and returns the pick. Does not change the queue.
    pub(super) fn take_pick(&mut self, track_id: TrackId) -> Option<Pick> {
        let at = self.pick_position(track_id)?;
        Some(Arc::make_mut(&mut self.picks).remove(at))
    }

    /// The track after which a further pick is placed in the ring: the last pick, or else the current track.
    pub(super) fn last_pick_or_current_id(&self) -> Option<TrackId> {
        let last = self.picks.last().map(|pick| pick.track_id);
        last.or_else(|| self.queue.get(self.queue_index).copied())
    }

    /// Whether the tracks after the current one in the ring are the picks, in their order.
    pub(super) fn do_picks_follow_current(&self) -> bool {
        let count = self.picks.len();
        let following = self.following().take(count);
        count < self.queue.len().max(1) && following.eq(self.picks.iter().map(|p| p.track_id))
    }

    /// The tracks after the current one, in the order of the ring.
    pub(super) fn following(&self) -> impl Iterator<Item = TrackId> {
        let split = self.queue.len().min(self.queue_index + 1);
        let (until_current, after) = self.queue.split_at(split);
        let before = &until_current[..split.saturating_sub(1)];
        after.iter().chain(before).copied()
    }
}

/// Removes an unpaired device and its votes from picks, and from `picked_by`, who picked the current track. The order of the picks
/// may then be another one, see [`super::pick_order`].
pub(super) fn forget_device(
    member: MemberId,
    picks: &mut Arc<Vec<Pick>>,
    picked_by: &mut Option<MemberId>,
) {
    *picked_by = picked_by.filter(|by| *by != member);
    let names = |pick: &Pick| pick.by == Some(member) || pick.votes.contains(&member);
    if picks.iter().any(names) {
        for pick in Arc::make_mut(picks) {
            pick.by = pick.by.filter(|by| *by != member);
            pick.votes.retain(|voter| *voter != member);
        }
    }
}
