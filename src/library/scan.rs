//! One scan of the audio folders, in three steps: plan (list the folder and compare the listing with the index), read (new
//! and changed files), and publish (build the next index, replace the published index, and notify the rooms). `library.rs`
//! defines the terms.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::backlog::{Stages, Step};
use super::folders::FolderIdentity;
use super::index_builder::{IndexBuilder, ScanPlan, StabilityRule};
use super::publisher::Publisher;
use super::read_files;
use super::scan_progress::{ProgressThrottle, ScanProgress};
use super::scan_requests::{MAX_DEBOUNCE, ScanRequest, ScanRequests};
use super::scanner::{EMPTY_FOLDER_MESSAGE, ScanOutcome, Scanner};
use super::walk::{FileEntry, Listing};
use super::{Index, LibraryOptions};
use crate::room::TrackId;

/// The most bytes that a scan hashes before it publishes its index.
const MAX_HASHED_BYTES_IN_SCAN: u64 = 32 << 20;
/// The number of bytes that are hashed between two checks for a request. A slow disk or share reads them in less than a second.
const BYTES_PER_STEP: u64 = 1 << 20;
/// While many files are hashed, the time between two publications of the results. Each client fetches the index after each
/// publication. Also the time between two reports of measured loudness to clients.
pub(super) const PUBLICATION_INTERVAL: Duration = Duration::from_secs(10);
/// While many files are hashed or tracks are measured, the time between two writes of the index cache.
pub(super) const SAVE_INTERVAL: Duration = Duration::from_secs(60);

impl Scanner {
    /// Scans the folder once. Blocks the thread. `is_watched` states whether the file watcher has reported every change
    /// since the previous scan.
    ///
    /// # Errors
    /// The system's error if the folder cannot be listed, or an error with the message [`EMPTY_FOLDER_MESSAGE`] if the folder is
    /// suspiciously empty and the request is not forced. After an error the index is unchanged.
    pub(super) fn scan(
        &mut self,
        request: ScanRequest,
        is_watched: bool,
        publisher: &Publisher,
        options: &LibraryOptions,
    ) -> io::Result<ScanOutcome> {
        if request.is_forced {
            // Files that could not be hashed are tried again.
            self.backlog.reset();
        }
        let identities = self.folders.identities();
        let listing = match self.initial_listing.take() {
            Some(listing) => listing,
            None => self.folders.walk(&self.excluded)?,
        };
        if !request.is_forced && self.is_suspiciously_empty(&listing, &identities) {
            return Err(io::Error::other(EMPTY_FOLDER_MESSAGE));
        }
        self.must_retry = listing.must_retry;
        let previous = self.index.clone();
        let stability = self.stability_rule(is_watched);
        let mut plan = ScanPlan::new(&listing, &previous, &stability, request.is_forced);
        let missed = plan.forget_deleted(&listing, &previous, &self.missed, request.is_forced);
        let is_unchanged = plan.is_unchanged(&previous);
        let ScanPlan {
            to_read,
            mut builder,
            unstable,
            ..
        } = plan;
        self.unstable = unstable;
        let has_unstable_files = !self.unstable.is_empty();
        if self.must_wait_for_writers() && !request.is_forced && !request.is_urgent {
            return Ok(ScanOutcome::FilesAreUnstable);
        }
        self.unstable_since = None;
        self.missed = missed;

        let throttle = self.read(&to_read, &mut builder, publisher, options);
        self.log_skipped_files(&listing, &builder);
        self.log_away_folders(&listing);
        self.identities = identities;
        self.logged_problem.clear();

        let has_new_titles = builder.update_typed_titles();
        let must_list_better_copy = previous.can_list_better_copy(&(options.current_tracks)());
        if !is_unchanged || has_new_titles || must_list_better_copy {
            let current_tracks = (options.current_tracks)();
            let index = builder.build(&self.index, self.keep_duplicates, &current_tracks);
            self.replace_index_if_different(index);
            if !Arc::ptr_eq(&self.index, &previous) {
                self.hash_before_publication(&current_tracks);
            }
        }
        self.publish(&previous, request.is_forced, &throttle, publisher);
        Ok(if has_unstable_files {
            ScanOutcome::FilesAreUnstable
        } else {
            ScanOutcome::Done
        })
    }

    /// Whether the listing is empty, the index is not, and a missing disk is the probable reason: either no scan has
    /// completed since the server started, or a folder is on another file system than at the last scan.
    fn is_suspiciously_empty(
        &self,
        listing: &Listing,
        identities: &[Option<FolderIdentity>],
    ) -> bool {
        let devices = |identities: &[Option<FolderIdentity>]| -> Vec<_> {
            let devices = identities
                .iter()
                .map(|folder| folder.map(|folder| folder.device));
            devices.collect()
        };
        let may_be_unmounted =
            !self.is_index_complete || devices(identities) != devices(&self.identities);
        listing.is_collection_empty && self.index.has_collection() && may_be_unmounted
    }

    /// How this scan decides whether a file is stable. Until the first scan has completed, every file counts as stable, so
    /// that the server has an index soon.
    fn stability_rule(&mut self, is_watched: bool) -> StabilityRule {
        match (self.is_index_complete, is_watched) {
            (false, _) => StabilityRule::AllStable,
            (true, true) => StabilityRule::ByAge(SystemTime::now()),
            (true, false) => StabilityRule::ByPreviousScan(std::mem::take(&mut self.unstable)),
        }
    }

    /// Whether to postpone reading because of unstable files, for at most [`MAX_DEBOUNCE`]. Changes that belong together,
    /// such as all files of an album that is being copied, then reach the rooms in one event.
    fn must_wait_for_writers(&mut self) -> bool {
        if self.unstable.is_empty() {
            return false;
        }
        let since = *self.unstable_since.get_or_insert_with(Instant::now);
        since.elapsed() < MAX_DEBOUNCE
    }

    /// Reads the files `to_read` into `builder`. Reports progress and publishes partial indexes in long scans.
    fn read(
        &self,
        to_read: &[&FileEntry],
        builder: &mut IndexBuilder,
        publisher: &Publisher,
        options: &LibraryOptions,
    ) -> ProgressThrottle {
        // Once the rooms have a complete index, a partial index would remove tracks from their queues.
        let publishes_partial_indexes = !self.is_index_complete && options.publish_partial_indexes;
        let mut throttle = ProgressThrottle::new(to_read.len(), Instant::now());
        read_files::read_all(&self.folders, to_read, |file, content| {
            self.metrics.files_read.add(1);
            builder.add(file, content, &self.index);
            let due = throttle.count_file(Instant::now());
            if let Some(progress) = due.progress {
                publisher.report_progress(progress);
            }
            if due.is_partial_index_due && publishes_partial_indexes {
                let partial = builder.clone();
                let current_tracks = (options.current_tracks)();
                let index = partial.build(&self.index, self.keep_duplicates, &current_tracks);
                publisher.publish_index(Arc::new(index));
            }
        });
        throttle
    }

    /// Keeps the previous `Arc` if the indexes are equal: [`Scanner::publish`] detects a change by comparing the pointers.
    fn replace_index_if_different(&mut self, index: Index) {
        if index != *self.index {
            self.index = Arc::new(index);
            self.backlog.reset();
        }
    }

    /// Hashes at most [`MAX_HASHED_BYTES_IN_SCAN`] bytes of the files whose hashes change what clients see, so that the index
    /// need not be published again for these files.
    pub(super) fn hash_before_publication(&mut self, current_tracks: &[TrackId]) {
        let mut budget = MAX_HASHED_BYTES_IN_SCAN;
        while budget > 0 {
            let finds_copies = !self.keep_duplicates;
            let step = self
                .backlog
                .step(&self.index, Stages::Visible, finds_copies, &mut budget);
            self.apply_hashes(current_tracks);
            if step == Step::Finished {
                return;
            }
        }
    }

    /// Changes the index according to the files that were hashed.
    fn apply_hashes(&mut self, current_tracks: &[TrackId]) {
        let results = self.backlog.take_results();
        if !results.is_empty() {
            let mut builder = IndexBuilder::of(&self.index);
            builder.apply_hashes(&results.hashed_files);
            let index = builder.build(&self.index, self.keep_duplicates, current_tracks);
            self.replace_index_if_different(index);
        }
    }

    /// Hashes files until `deadline`, or until a scan is requested. Publishes the index whenever it changes. Blocks.
    pub(super) fn work_on_backlog(
        &mut self,
        requests: &ScanRequests,
        deadline: Instant,
        publisher: &Publisher,
        options: &LibraryOptions,
    ) {
        let mut pause = Duration::ZERO;
        let mut published_at = Instant::now();
        while !self.backlog.is_finished() && Instant::now() < deadline {
            if requests.wait_for_arrival(pause) {
                break;
            }
            let began = Instant::now();
            let finds_copies = !self.keep_duplicates;
            let mut budget = BYTES_PER_STEP;
            let step = self
                .backlog
                .step(&self.index, Stages::All, finds_copies, &mut budget);
            pause = Duration::ZERO;
            if let Step::Worked {
                has_stage_ended,
                is_content,
            } = step
            {
                if has_stage_ended || published_at.elapsed() >= PUBLICATION_INTERVAL {
                    self.publish_hashes(publisher, options);
                    published_at = Instant::now();
                }
                // No client waits for content hashes, so the scanner pauses for as long as it has read, and leaves the disk to
                // others.
                pause = if is_content { began.elapsed() } else { pause };
            }
            let is_due = step == Step::Finished || self.saved_at.elapsed() >= SAVE_INTERVAL;
            if is_due && self.backlog.has_unsaved {
                self.save();
            }
        }
        self.publish_hashes(publisher, options);
    }

    /// Applies the results of hashing, and publishes the index if it changes.
    fn publish_hashes(&mut self, publisher: &Publisher, options: &LibraryOptions) {
        let previous = self.index.clone();
        self.apply_hashes(&(options.current_tracks)());
        if !Arc::ptr_eq(&self.index, &previous) {
            self.log_duplicates();
            publisher.publish_index(self.index.clone());
            // Clients fetch the index again, which may have new covers. The total is 0, because no tags were read.
            publisher.report_progress(ScanProgress { read: 0, total: 0 });
        }
    }

    /// Writes the index cache.
    pub(super) fn save(&mut self) {
        self.cache.save(&self.index, self.keep_duplicates);
        self.saved_at = Instant::now();
        self.backlog.has_unsaved = false;
    }

    /// Publishes the index if its tracks or playlists differ from those of `previous`, if absent tracks were forgotten, if there is
    /// an upload that is not listed because the library has a better copy, if no scan has completed before, if the scan was forced, or if a panic prevented an earlier publication. Writes the index cache if the
    /// index differs from `previous`.
    fn publish(
        &mut self,
        previous: &Arc<Index>,
        is_forced: bool,
        throttle: &ProgressThrottle,
        publisher: &Publisher,
    ) {
        let has_changed = self.index.tracks() != previous.tracks()
            || self.index.playlists() != previous.playlists()
            || self.index.absent().len() != previous.absent().len()
            || !self.index.uploads().eq(previous.uploads());
        self.index
            .playlists()
            .log_unknown_entries(previous.playlists());
        // This field stays set until the index is published, so that a panic before then does not lose the change.
        self.must_publish |= has_changed || !self.is_index_complete || is_forced;
        self.is_index_complete = true;
        self.log_duplicates();
        self.log_other_formats();
        if self.must_publish {
            publisher.publish_index(self.index.clone());
        }
        if self.must_publish || throttle.has_reported() {
            publisher.report_progress(throttle.final_progress());
        }
        self.must_publish = false;
        // The cache is written last. An earlier write would delay the clients that wait for the index, and a room's current
        // track could change between building and publishing the index.
        if !Arc::ptr_eq(&self.index, previous) {
            self.save();
        }
    }
}
