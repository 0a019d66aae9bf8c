//! Levelling: the gain with which all devices play a track, so that tracks have the same loudness, and albums that are played
//! through keep their inner balance. The gain is decided once, when a track becomes the current one or is promised by a segue,
//! and is part of the durable state: devices that join later play with the same gain, whatever has changed in the library or in
//! the queue meanwhile.

use super::catalog::TrackCatalog;
use super::event::EventKind;
use super::id::TrackId;
use super::state::{DurableState, Mode, Room};
use super::transition::Transition;
use crate::rounding::round_to;

/// The largest gain and the largest attenuation, in dB.
pub const MAX_LEVEL_GAIN_DB: f64 = 15.0;
/// The highest peak after levelling, in dB of full scale.
const MAX_PEAK_DB: f64 = -1.0;

/// What the catalog states about the loudness of a track.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TrackLevel {
    /// The gain in dB after which the track has the common loudness; `None` if unknown.
    pub gain_db: Option<f64>,
    /// The largest absolute value of a sample, of which 1 is full scale; `None` if unknown.
    pub peak: Option<f64>,
    /// The album of the track, if it has one.
    pub album: Option<AlbumLevel>,
}

/// What the catalog states about the loudness of a whole album.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AlbumLevel {
    /// Identifies the album.
    pub id: u64,
    /// As [`TrackLevel::gain_db`], of the album.
    pub gain_db: Option<f64>,
    /// As [`TrackLevel::peak`], of the album.
    pub peak: Option<f64>,
}

/// The track that plays before another one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PreviousTrack {
    /// The id of its album, if it has one.
    pub album: Option<u64>,
    /// The gain in dB with which it was played; `None` if its loudness was unknown.
    pub gain_db: Option<f64>,
}

/// The gain in dB with which a track is played; `None` while its loudness is unknown. `previous` is the track that plays
/// before it, and `next_album` is the album of the track that follows.
///
/// An album that is played through keeps its inner balance: a track after another one of its album is played with the same gain
/// as that one, and the first of them with the gain of the album. The peak of the track itself limits the gain in any case. An
/// unknown peak counts as full scale.
pub fn level_gain_db(
    track: &TrackLevel,
    previous: Option<PreviousTrack>,
    next_album: Option<u64>,
) -> Option<f64> {
    let is_same_album = |other: Option<u64>| other.is_some() && other == track.album.map(|a| a.id);
    let previous = previous.filter(|previous| is_same_album(previous.album));
    let album = track
        .album
        .filter(|_| previous.is_some() || is_same_album(next_album));
    let inherited = previous.and_then(|previous| previous.gain_db);
    let of_album = || {
        let album = album?;
        Some(limited(album.gain_db?, album.peak))
    };
    let gain_db = inherited.or_else(of_album).or(track.gain_db)?;
    Some(round_to(limited(gain_db, track.peak), 100.0))
}

/// The gain, limited to the range of gains, and to one after which no sample exceeds [`MAX_PEAK_DB`].
fn limited(gain_db: f64, peak: Option<f64>) -> f64 {
    let headroom_db = MAX_PEAK_DB - 20.0 * peak.unwrap_or(1.0).log10();
    gain_db
        .clamp(-MAX_LEVEL_GAIN_DB, MAX_LEVEL_GAIN_DB)
        .min(headroom_db)
}

impl TrackCatalog {
    fn album_of(&self, track: TrackId) -> Option<u64> {
        self.level(track).album.map(|album| album.id)
    }
}

impl Room {
    /// The gain of next-up after the current track.
    pub(super) fn next_up_gain_db(&self) -> Option<f64> {
        let next_up = self.next_up_id()?;
        self.gain_db_after(&self.durable, next_up, 1)
    }

    /// The gain of `track`, which is `distance` places after the current track of this room, and plays after the current track
    /// of `before`.
    fn gain_db_after(&self, before: &DurableState, track: TrackId, distance: usize) -> Option<f64> {
        let queue = &self.durable.queue;
        let played = before.queue.get(before.queue_index);
        // With one track in the queue, the track follows itself. Its gain is then decided anew, and not inherited.
        let previous = played
            .filter(|played| **played != track)
            .map(|played| PreviousTrack {
                album: self.catalog.album_of(*played),
                gain_db: before.gain_db,
            });
        let next = queue.get((self.durable.queue_index + distance + 1) % queue.len().max(1));
        let next_album = next.and_then(|next| self.catalog.album_of(*next));
        level_gain_db(&self.catalog.level(track), previous, next_album)
    }

    /// Whether no device has played any of the current track.
    fn is_unplayed(&self) -> bool {
        let play_state = self.durable.play_state;
        play_state.mode == Mode::Paused && play_state.anchor_position_sec == 0.0
    }

    /// The gain of the current track as decided now. With what gain the track before it was played is no longer known.
    fn unplayed_gain_db(&self) -> Option<f64> {
        let length = self.durable.queue.len();
        let before = DurableState {
            queue_index: (self.durable.queue_index + length.saturating_sub(1)) % length.max(1),
            gain_db: None,
            ..self.durable.clone()
        };
        self.gain_db_after(&before, self.current_track_id()?, 0)
    }
}

impl Transition {
    /// Sets the gain of the current track if the change since the event before has made another track the current one, or has
    /// started the only track of the queue anew. `kind` is the event of that change. A gain that a segue has promised applies,
    /// because devices may have scheduled the track with it.
    pub(super) fn level_new_track(&mut self, before: &DurableState, kind: &EventKind) {
        let track = self.room.current_track_id();
        let is_advance = matches!(kind, EventKind::QueueAdvanced { .. });
        // An undo restores the gain, too.
        if matches!(kind, EventKind::QueueUndone {}) {
            return;
        }
        if !is_advance && track == before.queue.get(before.queue_index).copied() {
            return;
        }
        self.level_track_after(before);
    }

    /// Decides the gain of the current track, which follows the current track of `before`.
    pub(super) fn level_track_after(&mut self, before: &DurableState) {
        let track = self.room.current_track_id();
        let promised = self.room.live.segue.filter(|segue| {
            segue.event_count == before.event_count && Some(segue.track_id) == track
        });
        self.room.durable.gain_db = match promised {
            Some(segue) => segue.gain_db,
            None => track.and_then(|track| self.room.gain_db_after(before, track, 0)),
        };
    }

    /// Decides the gain of the current track anew, because its file was replaced, if no device has played any of the track.
    /// Emits no event.
    pub(super) fn level_replaced_track(&mut self) {
        if self.room.is_unplayed() {
            self.room.durable.gain_db = self.room.unplayed_gain_db();
        }
    }

    /// Sets the gain of the current track if its loudness has just become known, and no device has played any of the track.
    pub(super) fn level_unplayed_track(&mut self) {
        let Some(track_id) = self.room.current_track_id() else {
            return;
        };
        if self.room.durable.gain_db.is_some() || !self.room.is_unplayed() {
            return;
        }
        if let Some(gain_db) = self.room.unplayed_gain_db() {
            self.room.durable.gain_db = Some(gain_db);
            self.emit(EventKind::PlaybackLevelled { track_id, gain_db });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Case {
        name: String,
        track: CaseTrack,
        previous: Option<CasePrevious>,
        next_album: Option<u64>,
        expected: Option<f64>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct CaseTrack {
        gain_db: Option<f64>,
        peak: Option<f64>,
        album_id: Option<u64>,
        album_gain_db: Option<f64>,
        album_peak: Option<f64>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct CasePrevious {
        album: Option<u64>,
        gain_db: Option<f64>,
    }

    #[test]
    fn decides_the_gains_that_the_page_decides_too() {
        let cases = include_str!("../../tests/fixtures/levelling.json");
        let cases: Vec<Case> = serde_json::from_str(cases).unwrap();
        assert!(cases.len() > 10);
        for case in cases {
            let CaseTrack {
                gain_db,
                peak,
                album_id,
                album_gain_db,
                album_peak,
            } = case.track;
            let album = album_id.map(|id| AlbumLevel {
                id,
                gain_db: album_gain_db,
                peak: album_peak,
            });
            let track = TrackLevel {
                gain_db,
                peak,
                album,
            };
            let previous = case.previous.map(|previous| PreviousTrack {
                album: previous.album,
                gain_db: previous.gain_db,
            });
            let found = level_gain_db(&track, previous, case.next_album);
            assert_eq!(found, case.expected, "{}", case.name);
        }
    }
}
