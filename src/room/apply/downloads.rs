//! Acknowledged downloads: which tracks a device holds or cannot play, and how long the decoded tracks are.

use std::sync::Arc;

use super::super::command::Rejection;
use super::super::id::{MemberId, TrackId};
use super::super::state::DeviceTracks;
use super::super::transition::Transition;

impl Transition {
    /// Records that a device holds a track (`playable`) or cannot play it, and marks the device as ready at an open barrier
    /// for that track.
    pub(super) fn acknowledge(
        &mut self,
        member: MemberId,
        track_id: TrackId,
        playable: bool,
    ) -> Result<(), Rejection> {
        if !self.room.catalog.contains(track_id) {
            return Err(Rejection::UnknownTrack);
        }
        let tracks = self.tracks_of(member);
        if playable {
            tracks.downloaded.insert(track_id);
            tracks.unplayable.remove(&track_id);
        } else {
            tracks.downloaded.remove(&track_id);
            tracks.unplayable.insert(track_id);
        }
        self.mark_ready(member, track_id);
        Ok(())
    }

    /// Records the length that a listener decoded, if the track plays for longer than the room knows. The promised start of
    /// next-up then moves to the later end of the current track.
    pub(super) fn record_decoded_length(
        &mut self,
        member: MemberId,
        track_id: TrackId,
        duration_sec: f64,
    ) {
        let live = &mut self.room.live;
        let lengths = &live.decoded_lengths;
        if live.listeners.contains(&member)
            && lengths.is_longer(track_id, duration_sec, &self.room.catalog)
        {
            Arc::make_mut(&mut live.decoded_lengths).insert(track_id, duration_sec);
        }
    }

    /// The tracks that a device has acknowledged, for changing them.
    pub(super) fn tracks_of(&mut self, member: MemberId) -> &mut DeviceTracks {
        let device_tracks = Arc::make_mut(&mut self.room.live.device_tracks);
        Arc::make_mut(device_tracks.entry(member).or_default())
    }
}
