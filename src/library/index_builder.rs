//! Builds the next index from the unchanged files and from those that were read again, according to the plan of a scan.

mod scan_plan;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::content::ContentHash;
use super::cover_files::CoverFinder;
use super::duplicates::Visibility;
use super::loudness_reports::MeasuredLoudness;
use super::read_files::FileContent;
use super::scan_requests::Corrections;
use super::upload_title;
use super::walk::FileEntry;
use super::{Index, Picture, Stamp, Track};
use crate::room::TrackId;

pub(super) use self::scan_plan::{MissedScans, STABLE_AGE, ScanPlan, StabilityRule};

/// Collects the tracks and the other files of the next index.
#[derive(Clone, Default)]
pub(super) struct IndexBuilder {
    tracks: Vec<Arc<Track>>,
    non_tracks: Vec<(PathBuf, Stamp)>,
    pictures: Vec<Picture>,
    /// The tracks whose files were not found, the longest absent first.
    absent: Vec<Arc<Track>>,
    /// The time of the scan, in seconds since 1970.
    now: u64,
    /// The previous tracks of the files that are read again.
    known_tracks: HashMap<PathBuf, Arc<Track>>,
    /// Those paths in `known_tracks` whose tracks were absent.
    returned: HashSet<PathBuf>,
    /// The previous pictures of the files that are read again.
    known_pictures: HashMap<PathBuf, Picture>,
    /// Files that could not be read, and the reason.
    pub(super) unreadable: Vec<(PathBuf, String)>,
}

impl IndexBuilder {
    /// A builder with all files of `index`.
    pub(super) fn of(index: &Index) -> Self {
        IndexBuilder {
            tracks: index.all_tracks().cloned().collect(),
            non_tracks: index.non_tracks().to_vec(),
            pictures: index.pictures().to_vec(),
            absent: index.absent().to_vec(),
            ..IndexBuilder::default()
        }
    }

    /// A builder with all files of `index`, and with the corrected length and loudness of each track that still has the version
    /// for which the correction was made. `None` if there is no such track.
    pub(super) fn with_corrections(index: &Index, corrections: &Corrections) -> Option<Self> {
        let mut builder = IndexBuilder::of(index);
        let mut is_changed = false;
        for track in &mut builder.tracks {
            let duration = corrections.durations.get(&track.track_id);
            let duration = duration.filter(|found| found.version == track.version);
            let loudness = corrections.loudness.get(&track.track_id);
            let loudness = loudness.filter(|found| found.version == track.version);
            if duration.is_none() && loudness.is_none() {
                continue;
            }
            is_changed = true;
            let track = Arc::make_mut(track);
            if let Some(correction) = duration {
                track.corrected_duration_sec = Some(correction.duration_sec);
            }
            if let Some(correction) = loudness {
                track.measured_loudness = correction.loudness;
            }
        }
        is_changed.then_some(builder)
    }

    /// Applies the titles that devices have given to uploads since the files were read. Returns whether there are any. Blocks.
    pub(super) fn update_typed_titles(&mut self) -> bool {
        let mut is_changed = false;
        for track in self
            .tracks
            .iter_mut()
            .filter(|track| !track.has_current_title())
        {
            let title = upload_title::title_of(&track.path);
            Arc::make_mut(track).tags.title = title;
            is_changed = true;
        }
        is_changed
    }

    /// Updates the version and the stamps of each track and picture whose file was hashed because its stamp had changed. The keys
    /// of `hashed` are library paths.
    pub(super) fn apply_hashes(&mut self, hashed: &HashMap<PathBuf, HashedFile>) {
        for track in &mut self.tracks {
            if let Some(hashed) = hashed.get(&track.path) {
                Arc::make_mut(track).apply_hash(*hashed);
            }
        }
        for picture in &mut self.pictures {
            if let Some(hashed) = hashed.get(&picture.path) {
                picture.apply_hash(*hashed);
            }
        }
    }

    /// Adds a file that was read. For an unreadable file, adds what the `previous` index knows of it, because the read error
    /// may be temporary.
    pub(super) fn add(&mut self, file: &FileEntry, content: FileContent, previous: &Index) {
        match content {
            FileContent::Track(track) => {
                let track = match self.known_tracks.get(&file.path) {
                    Some(known) => known.with_file_as_read(*track),
                    None => Track {
                        added_at: self.now,
                        ..*track
                    },
                };
                self.tracks.push(track.into());
            }
            FileContent::Picture(picture) => {
                let known = self.known_pictures.get(&file.path);
                let picture = match known {
                    Some(known) => known.with_file_as_read(picture),
                    None => picture,
                };
                self.pictures.push(picture);
            }
            FileContent::NotATrack => self.add_non_track(file),
            FileContent::Unreadable(reason) => {
                let known = self.known_tracks.get(&file.path).cloned();
                if self.returned.contains(&file.path) {
                    // An absent track stays absent until its file can be read.
                    self.absent.extend(known);
                } else {
                    self.tracks.extend(known);
                }
                let picture = self.known_pictures.get(&file.path);
                self.pictures.extend(picture.cloned());
                let others = previous.non_tracks();
                if let Ok(at) = others.binary_search_by(|(path, _)| path.cmp(&file.path)) {
                    self.non_tracks.push(others[at].clone());
                }
                self.unreadable.push((file.path.clone(), reason));
            }
        }
    }

    fn add_non_track(&mut self, file: &FileEntry) {
        self.non_tracks.push((file.path.clone(), file.stamp));
    }

    /// The index that replaces `previous`. Unless `keep_duplicates` is set, the index lists one copy of each recording. The
    /// rooms' `current_tracks` stay listed even if there is a better copy.
    pub(super) fn build(
        mut self,
        previous: &Index,
        keep_duplicates: bool,
        current_tracks: &[TrackId],
    ) -> Index {
        CoverFinder::new(&self.pictures).set_covers(&mut self.tracks);
        Index::new(
            previous.folders().clone(),
            self.tracks,
            self.non_tracks,
            keep_duplicates,
            |id| Visibility::new(current_tracks.contains(&id), previous.track(id).is_some()),
        )
        .with_absent(self.absent)
        .with_pictures(self.pictures)
        .with_playlists(previous.playlists())
    }
}

/// The result of hashing a file whose stamp had changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HashedFile {
    /// The new stamp of the file, which was the same before and after hashing.
    pub(super) stamp: Stamp,
    pub(super) content_hash: ContentHash,
}

impl Track {
    /// This track after its file, whose stamp had changed, was read again; `read` is the result of reading.
    ///
    /// If the hash of the content is known, and nothing that was read differs, the content may be the same, as after a change
    /// of the owner or when all times on a FAT disk shift. The track then keeps its version until the file has been hashed.
    fn with_file_as_read(&self, read: Track) -> Track {
        let next = Track {
            version: self.version.next(read.stamp),
            added_at: self.added_at,
            ..read
        };
        let same = Track {
            version: self.version,
            stamp: self.stamp,
            seen_stamp: self.seen_stamp,
            content_hash: self.content_hash.clone(),
            sound_hash: self.sound_hash.clone(),
            sound_sample_hash: self.sound_sample_hash.clone(),
            corrected_duration_sec: self.corrected_duration_sec,
            measured_loudness: self.measured_loudness,
            cover_files: self.cover_files.clone(),
            ..next.clone()
        };
        match self.content_hash.get().is_some() && same == *self {
            true => Track {
                seen_stamp: next.stamp,
                ..same
            },
            false => next,
        }
    }

    /// Keeps the version if the content is the same, and changes it otherwise.
    fn apply_hash(&mut self, hashed: HashedFile) {
        if self.content_hash.get() != Some(&hashed.content_hash) {
            self.version = self.version.next(hashed.stamp);
            self.content_hash = hashed.content_hash.into();
            self.corrected_duration_sec = None;
            self.measured_loudness = MeasuredLoudness::Unknown;
            (self.sound_hash, self.sound_sample_hash) = Default::default();
        }
        (self.stamp, self.seen_stamp) = (hashed.stamp, hashed.stamp);
    }
}

impl Picture {
    /// As [`Track::with_file_as_read`].
    fn with_file_as_read(&self, read: Picture) -> Picture {
        match self.content_hash.get() {
            Some(_) => Picture {
                seen_stamp: read.stamp,
                ..self.clone()
            },
            None => Picture {
                version: self.version.next(read.stamp),
                ..read
            },
        }
    }

    /// As [`Track::apply_hash`].
    fn apply_hash(&mut self, hashed: HashedFile) {
        if self.content_hash.get() != Some(&hashed.content_hash) {
            self.version = self.version.next(hashed.stamp);
            self.content_hash = Arc::new(hashed.content_hash.into());
        }
        (self.stamp, self.seen_stamp) = (hashed.stamp, hashed.stamp);
    }
}

fn seconds_since_epoch(time: SystemTime) -> u64 {
    let duration = time.duration_since(UNIX_EPOCH);
    duration.map_or(0, |duration| duration.as_secs())
}
