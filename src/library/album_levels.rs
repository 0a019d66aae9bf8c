//! The loudness of albums, for the tracks of each album that is listed with more than one track. An album has the gain that
//! the tags state, or else the one that follows from the known loudness of its tracks.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{Track, first_64_bits};
use crate::room::{AlbumLevel, TrackId};
use crate::rounding::round_to;

/// The loudness of the albums of an index.
#[derive(Debug, Default)]
pub(super) struct AlbumLevels {
    by_track: HashMap<TrackId, AlbumLevel>,
}

/// Sums over the tracks of an album.
#[derive(Default)]
struct Album {
    tracks: Vec<TrackId>,
    tagged_gain_db: Option<f64>,
    tagged_peak: Option<f64>,
    /// The seconds of music whose loudness is known, and their energy: power times seconds, where the power is 1 for music that
    /// needs no gain.
    known_sec: f64,
    known_energy: f64,
    highest_peak: Option<f64>,
}

impl AlbumLevels {
    pub(super) fn of_tracks(tracks: &[Arc<Track>]) -> Self {
        let mut albums: HashMap<u64, Album> = HashMap::new();
        for track in tracks {
            if let Some(id) = album_id(track) {
                albums.entry(id).or_default().add(track);
            }
        }
        let mut by_track = HashMap::new();
        for (id, album) in albums {
            if album.tracks.len() > 1 {
                let level = album.level(id);
                by_track.extend(album.tracks.into_iter().map(|track| (track, level)));
            }
        }
        AlbumLevels { by_track }
    }

    /// The album of a track; `None` if it is the only listed track of its album.
    pub(super) fn of(&self, track: TrackId) -> Option<AlbumLevel> {
        self.by_track.get(&track).copied()
    }
}

impl Album {
    fn add(&mut self, track: &Track) {
        self.tracks.push(track.track_id);
        let tagged = track.tagged_loudness;
        self.tagged_gain_db = self.tagged_gain_db.or(tagged.album_gain_db);
        self.tagged_peak = self.tagged_peak.or(tagged.album_peak);
        if let Some(gain_db) = track.gain_db() {
            let duration_sec = track.duration_sec();
            self.known_sec += duration_sec;
            self.known_energy += duration_sec * 10_f64.powf(-gain_db / 10.0);
        }
        let peaks = self.highest_peak.into_iter().chain(track.peak());
        self.highest_peak = peaks.reduce(f64::max);
    }

    fn level(&self, id: u64) -> AlbumLevel {
        let known_gain_db = -10.0 * (self.known_energy / self.known_sec).log10();
        // Not finite if no loudness is known.
        let known_gain_db = Some(round_to(known_gain_db, 100.0));
        let known_gain_db = known_gain_db.filter(|gain_db| gain_db.is_finite());
        AlbumLevel {
            id,
            gain_db: self.tagged_gain_db.or(known_gain_db),
            peak: self.tagged_peak.or(self.highest_peak),
        }
    }
}

/// The id of the album of a track, which fits into 32 bits so that the index is short. Albums with the same name are the same
/// one if they have the same album artist, or if none is known and they are in the same folder.
fn album_id(track: &Track) -> Option<u64> {
    let album = track.tags.album.as_deref()?;
    let mut hash = Sha256::new();
    hash.update(album.as_bytes());
    hash.update([0]);
    match track.tags.album_artist.as_deref() {
        Some(artist) => hash.update(artist.as_bytes()),
        None => {
            let folder = track.path.parent().unwrap_or(Path::new(""));
            hash.update([0]);
            hash.update(folder.as_os_str().as_encoded_bytes());
        }
    }
    Some(first_64_bits(hash) >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(name: &str, album: &str, gain_db: Option<f64>, peak: Option<f64>) -> Track {
        let mut track = Track::for_reports(name);
        track.tags.album = Some(album.into());
        (track.tagged_loudness.gain_db, track.tagged_loudness.peak) = (gain_db, peak);
        track
    }

    fn levels(tracks: &[Track]) -> Vec<Option<(Option<f64>, Option<f64>)>> {
        let shared: Vec<_> = tracks.iter().cloned().map(Arc::new).collect();
        let levels = AlbumLevels::of_tracks(&shared);
        let level = |track: &Track| levels.of(track.track_id).map(|a| (a.gain_db, a.peak));
        tracks.iter().map(level).collect()
    }

    #[test]
    fn the_gain_of_an_album_is_the_mean_of_its_known_energy() {
        let found = levels(&[
            track("a", "One", Some(-9.0), Some(0.5)),
            track("b", "One", Some(1.0), Some(0.9)),
            track("c", "One", None, None),
        ]);
        // 10 log10 of the mean of 10^0.9 and 10^-0.1
        assert_eq!(found, [Some((Some(-6.4), Some(0.9))); 3]);
    }

    #[test]
    fn tags_of_the_album_precede_those_of_its_tracks() {
        let mut tagged = track("a", "One", Some(-9.0), Some(0.5));
        tagged.tagged_loudness.album_gain_db = Some(-7.0);
        tagged.tagged_loudness.album_peak = Some(1.0);
        let found = levels(&[tagged, track("b", "One", Some(1.0), Some(0.9))]);
        assert_eq!(found, [Some((Some(-7.0), Some(1.0))); 2]);
    }

    #[test]
    fn albums_of_one_name_in_different_folders_are_different() {
        let in_folder = |name| track(name, "Greatest Hits", Some(-9.0), None);
        assert_eq!(levels(&[in_folder("x/a"), in_folder("y/b")]), [None, None]);
        let by_ada = |name| {
            let mut track = in_folder(name);
            track.tags.album_artist = Some("Ada".into());
            track
        };
        let found = levels(&[by_ada("x/a"), by_ada("y/b")]);
        assert_eq!(found, [Some((Some(-9.0), None)); 2]);
    }

    #[test]
    fn an_album_of_unknown_loudness_has_no_gain() {
        let found = levels(&[track("a", "One", None, None), track("b", "One", None, None)]);
        assert_eq!(found, [Some((None, None)); 2]);
    }
}
