//! The lengths of tracks that play for longer than the catalog states, because the header of the file is wrong. The room uses
//! these lengths so that neither a segue nor the end of the track by the clock cuts the music. A wrong report of one device
//! does little harm: the devices end the track earlier themselves, and the next track starts at another time than the segue
//! promised. The catalog itself is corrected only if two devices agree (`library/duration_reports.rs`).

use std::collections::{BTreeMap, HashSet};

use super::catalog::TrackCatalog;
use super::id::TrackId;

/// Two lengths of a track contradict each other if they differ by more than this, in seconds. Decoders trim the padding of
/// encoders in different ways, which changes the length by less.
pub(super) const MIN_LENGTH_CONTRADICTION_SEC: f64 = 0.25;
/// The largest credible correction, as a part of the stated length. A larger difference is more probably an error of a
/// decoder, which may stop in the middle of a damaged file, or a false report.
const MAX_LENGTH_CORRECTION: f64 = 0.1;

/// Whether a decoded length contradicts the stated one, and by so little that it may be the true one. Both in seconds.
pub fn is_credible_correction(stated_sec: f64, decoded_sec: f64) -> bool {
    let difference_sec = (decoded_sec - stated_sec).abs();
    difference_sec > MIN_LENGTH_CONTRADICTION_SEC
        && difference_sec <= stated_sec * MAX_LENGTH_CORRECTION
}

/// The lengths in seconds that apply instead of shorter ones in the catalog.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DecodedLengths {
    /// The longest credible length that a listener decoded, of the tracks that the catalog states too short.
    longest_sec: BTreeMap<TrackId, f64>,
    /// The current track with its length, if a later catalog states a shorter one. Applies until the room plays on: devices may
    /// have decoded the longer length, which did not contradict the catalog at that time, so that they did not report it.
    before_shortening: Option<(TrackId, f64)>,
}

impl DecodedLengths {
    /// Whether the decoded length credibly contradicts the catalog, and is longer than the length that applies so far by more
    /// than [`MIN_LENGTH_CONTRADICTION_SEC`].
    pub(super) fn is_longer(
        &self,
        track: TrackId,
        decoded_sec: f64,
        catalog: &TrackCatalog,
    ) -> bool {
        let Some(stated_sec) = catalog.duration_sec(track) else {
            return false;
        };
        let known_sec = self.length_sec(track, stated_sec);
        is_credible_correction(stated_sec, decoded_sec)
            && decoded_sec > known_sec + MIN_LENGTH_CONTRADICTION_SEC
    }

    pub(super) fn insert(&mut self, track: TrackId, decoded_sec: f64) {
        self.longest_sec.insert(track, decoded_sec);
    }

    /// The length that applies to a track for which the catalog states `stated_sec`.
    pub fn length_sec(&self, track: TrackId, stated_sec: f64) -> f64 {
        let decoded_sec = self.longest_sec.get(&track).copied();
        let before_sec = self.before_shortening.filter(|(of, _)| *of == track);
        let before_sec = before_sec.map(|(_, sec)| sec);
        let longer_sec = decoded_sec.into_iter().chain(before_sec);
        longer_sec.fold(stated_sec, f64::max)
    }

    /// The lengths that apply with a new catalog: those of unmodified tracks that the catalog still states too short.
    /// `current` is the current track with the length that applied before.
    pub(super) fn with_catalog(
        &self,
        catalog: &TrackCatalog,
        modified: &HashSet<TrackId>,
        current: Option<(TrackId, f64)>,
    ) -> Self {
        let is_kept = |track: TrackId, length_sec: f64| {
            let stated_sec = catalog.duration_sec(track).unwrap_or(f64::INFINITY);
            length_sec > stated_sec + MIN_LENGTH_CONTRADICTION_SEC && !modified.contains(&track)
        };
        let longest_sec = self.longest_sec.iter().map(|(track, sec)| (*track, *sec));
        DecodedLengths {
            longest_sec: longest_sec
                .filter(|(track, sec)| is_kept(*track, *sec))
                .collect(),
            before_shortening: current
                .filter(|(track, sec)| sec.is_finite() && is_kept(*track, *sec)),
        }
    }

    /// To be called when the room advances to another track.
    pub(super) fn forget_shortening(&mut self) {
        self.before_shortening = None;
    }
}
