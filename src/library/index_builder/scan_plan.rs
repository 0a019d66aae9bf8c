//! Compares a listing of the audio folders with the previous index: which files a scan reads, and which tracks it keeps.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::super::walk::{FileEntry, Listing};
use super::super::{Index, Stamp};
use super::{IndexBuilder, seconds_since_epoch};
use crate::room::TrackId;

/// A file that is missing from a folder with other music counts as deleted after this number of scans. Until then, a program may
/// be replacing the file.
const SCANS_UNTIL_DELETED: u32 = 3;
/// The lowest limit on the number of absent tracks. The limit is higher if the previous index has more present or more absent
/// tracks: then it is the larger of these two numbers.
pub(super) const MIN_ABSENT_LIMIT: usize = 10_000;

/// A file that was modified less than this time ago is unstable: another program may still be writing the file, so a scan
/// does not read the file yet.
pub(in crate::library) const STABLE_AGE: Duration = Duration::from_secs(2);

/// How a scan decides whether a file is stable, which means that no program is still writing the file.
pub(in crate::library) enum StabilityRule {
    /// Every file counts as stable.
    AllStable,
    /// A file modified at least [`STABLE_AGE`] before this time is stable.
    ByAge(SystemTime),
    /// A file is stable if it has the same stamp as in the previous scan. The map holds the unstable files of that scan.
    /// For folders without a working file watcher, such as network shares: the file server's clock, which sets the
    /// modification times, may differ from this machine's clock.
    ByPreviousScan(HashMap<PathBuf, Stamp>),
}

impl StabilityRule {
    fn is_stable(&self, file: &FileEntry) -> bool {
        match self {
            StabilityRule::AllStable => true,
            // A modification time in the future results from a wrong clock and does not show the age, so the file counts as
            // stable.
            StabilityRule::ByAge(now) => file
                .modified
                .and_then(|modified| now.duration_since(modified).ok())
                .is_none_or(|age| age >= STABLE_AGE),
            StabilityRule::ByPreviousScan(previous) => {
                previous.get(&file.path) == Some(&file.stamp)
            }
        }
    }
}

/// For absent tracks whose folders are present: in how many scans the file was missing.
pub(in crate::library) type MissedScans = HashMap<TrackId, u32>;

/// The result of comparing a listing with the previous index: the files to read, and the files to take over.
pub(in crate::library) struct ScanPlan<'a> {
    /// New and changed files.
    pub(in crate::library) to_read: Vec<&'a FileEntry>,
    /// Contains the unchanged files, which the next index takes over from the previous index.
    pub(in crate::library) builder: IndexBuilder,
    /// Unstable files. Until such a file is stable, the index keeps the previous track of the file, if there is one.
    pub(in crate::library) unstable: HashMap<PathBuf, Stamp>,
    /// Whether files of absent tracks were found again.
    has_returned_files: bool,
}

impl<'a> ScanPlan<'a> {
    /// Compares `listing` with `previous`. With `retry_non_tracks`, unchanged non-tracks are also read again.
    pub(in crate::library) fn new(
        listing: &'a Listing,
        previous: &Index,
        stability: &StabilityRule,
        retry_non_tracks: bool,
    ) -> Self {
        // `OsStr` hashes bytes; `Path` would parse each path into components.
        let tracks = previous
            .all_tracks()
            .map(|track| (track.path.as_os_str(), track));
        let mut tracks: HashMap<_, _> = tracks.collect();
        let absent = previous.absent().iter();
        let absent: HashMap<_, _> = absent
            .map(|track| (track.path.as_os_str(), track))
            .collect();
        let mut returned = HashSet::new();
        let non_tracks = previous.non_tracks().iter();
        let non_tracks = non_tracks.map(|(path, stamp)| (path.as_os_str(), *stamp));
        let non_tracks: HashMap<_, _> = non_tracks.collect();
        let pictures = previous.pictures().iter();
        let pictures = pictures.map(|picture| (picture.path.as_os_str(), picture));
        let pictures: HashMap<_, _> = pictures.collect();
        let mut plan = ScanPlan {
            to_read: Vec::new(),
            builder: IndexBuilder {
                now: seconds_since_epoch(SystemTime::now()),
                ..IndexBuilder::default()
            },
            unstable: HashMap::new(),
            has_returned_files: false,
        };
        for file in &listing.files {
            let path = file.path.as_os_str();
            let track = tracks.remove(path);
            let absent_track = absent.get(path).copied();
            let known = track.or(absent_track);
            let picture = pictures
                .get(path)
                .filter(|picture| picture.seen_stamp == file.stamp);
            if let Some(picture) = picture {
                plan.builder.pictures.push((*picture).clone());
            } else if let Some(track) = known.filter(|track| track.seen_stamp == file.stamp) {
                plan.builder.tracks.push(track.clone());
                returned.extend(absent_track.map(|_| path));
            } else if !retry_non_tracks && non_tracks.get(path) == Some(&file.stamp) {
                plan.builder.add_non_track(file);
            } else if previous.folders().upload_at(&file.path).is_some()
                || stability.is_stable(file)
            {
                if let Some(track) = known {
                    let known_tracks = &mut plan.builder.known_tracks;
                    known_tracks.insert(file.path.clone(), track.clone());
                }
                if absent_track.is_some() {
                    plan.builder.returned.insert(file.path.clone());
                }
                if let Some(picture) = pictures.get(path) {
                    let known_pictures = &mut plan.builder.known_pictures;
                    known_pictures.insert(file.path.clone(), (*picture).clone());
                }
                plan.to_read.push(file);
                returned.extend(absent_track.map(|_| path));
            } else {
                // An absent track stays absent until its file is stable.
                plan.builder.tracks.extend(track.cloned());
                let picture = pictures.get(path).map(|picture| (*picture).clone());
                plan.builder.pictures.extend(picture);
                // The index also keeps the previous stamp of a non-track, such as a playlist.
                let non_track = non_tracks.get(path);
                let non_track = non_track.map(|stamp| (file.path.clone(), *stamp));
                plan.builder.non_tracks.extend(non_track);
                plan.unstable.insert(file.path.clone(), file.stamp);
            }
        }
        plan.has_returned_files = !returned.is_empty();
        let still_absent = previous.absent().iter();
        let still_absent = still_absent.filter(|track| !returned.contains(track.path.as_os_str()));
        plan.builder.absent = still_absent.cloned().collect();
        // In the order of the previous index, because the order of a hash map is random.
        let missing = previous.all_tracks();
        let missing = missing.filter(|track| tracks.contains_key(track.path.as_os_str()));
        let (kept, gone): (Vec<_>, Vec<_>) = missing
            .cloned()
            .partition(|track| listing.may_exist(&track.path));
        plan.builder.tracks.extend(kept);
        plan.builder.absent.extend(gone);
        if !listing.unreadable_paths.is_empty() {
            plan.keep_other_files(listing, previous);
        }
        plan
    }

    /// Keeps the pictures, playlists and other files in folders that could not be listed.
    fn keep_other_files(&mut self, listing: &Listing, previous: &Index) {
        let listed = listing.files.iter();
        let listed: HashSet<_> = listed.map(|file| file.path.as_os_str()).collect();
        let is_kept = |path: &Path| !listed.contains(path.as_os_str()) && listing.may_exist(path);
        let pictures = previous.pictures().iter();
        let pictures = pictures.filter(|picture| is_kept(&picture.path));
        self.builder.pictures.extend(pictures.cloned());
        let others = previous.non_tracks().iter();
        let others = others.filter(|(path, _)| is_kept(path));
        self.builder.non_tracks.extend(others.cloned());
    }

    /// Forgets the absent tracks whose files were deleted: their folders are present and hold other music. `missed` is the
    /// result of the previous scan: the number of scans that did not find such a file in its folder. With `is_forced`, one
    /// scan is enough. Also limits the number of absent tracks. Returns the numbers for the next scan.
    pub(in crate::library) fn forget_deleted(
        &mut self,
        listing: &Listing,
        previous: &Index,
        missed: &MissedScans,
        is_forced: bool,
    ) -> MissedScans {
        let absent = &mut self.builder.absent;
        let mut now_missed = MissedScans::new();
        if absent.is_empty() {
            return now_missed;
        }
        let folders = listing.folders_with_music();
        absent.retain(|track| {
            let is_in_listed_folder = track
                .path
                .parent()
                .is_some_and(|folder| folders.contains(folder));
            if !is_in_listed_folder || listing.may_exist(&track.path) {
                return true;
            }
            let scans = missed.get(&track.track_id).map_or(1, |scans| scans + 1);
            let is_deleted = is_forced || scans >= SCANS_UNTIL_DELETED;
            if !is_deleted {
                now_missed.insert(track.track_id, scans);
            }
            !is_deleted
        });
        let limit = MIN_ABSENT_LIMIT
            .max(previous.all_tracks().count())
            .max(previous.absent().len());
        let mut excess = absent.len().saturating_sub(limit);
        // First those that are probably deleted, then those that are absent for the longest time.
        for is_probably_deleted in [true, false] {
            absent.retain(|track| {
                let is_evicted =
                    excess > 0 && now_missed.contains_key(&track.track_id) == is_probably_deleted;
                excess -= usize::from(is_evicted);
                !is_evicted
            });
        }
        now_missed
    }

    /// Whether the audio folder is exactly as `previous` describes it.
    pub(in crate::library) fn is_unchanged(&self, previous: &Index) -> bool {
        let IndexBuilder {
            tracks,
            non_tracks,
            pictures,
            absent,
            ..
        } = &self.builder;
        // The builder holds only files of `previous`, so equal counts mean that the builder holds all files of `previous`.
        self.to_read.is_empty()
            && !self.has_returned_files
            && self.unstable.is_empty()
            && tracks.len() == previous.all_tracks().count()
            && non_tracks.len() == previous.non_tracks().len()
            && pictures.len() == previous.pictures().len()
            && absent.len() == previous.absent().len()
    }
}
