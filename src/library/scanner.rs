//! Decides when to scan the audio folders: at the start of the server, on request, when files change, and periodically.
//! `scan.rs` has the steps of one scan, and `library.rs` defines the terms.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::backlog::Backlog;
use super::corrections::ClientReports;
use super::folders::{AudioFolders, FolderIdentity};
use super::index_builder::{IndexBuilder, MissedScans, STABLE_AGE, ScanPlan, StabilityRule};
use super::index_cache::IndexCache;
use super::other_formats;
use super::playlists::Playlists;
use super::publisher::Publisher;
use super::read_files;
use super::scan_requests::{ScanRequest, ScanRequests, Wakeup};
use super::walk::Listing;
use super::watch::{FolderWatcher, PolledFolder};
use super::{Index, LibraryOptions, Stamp};
use crate::data_files::DataFiles;
use crate::metrics::Metrics;
use crate::room::TrackId;

/// The most files that the server reads before it answers the first request. If the scan must read more files, the scanner
/// thread does so while the server already answers requests.
const MAX_FILES_AT_START: usize = 200;
/// The most bytes in the files that the server reads before it answers the first request. See [`MAX_FILES_AT_START`]. Most files
/// are not read whole, but those whose length must be counted are.
const MAX_BYTES_AT_START: u64 = 1 << 30;
/// Without a working file watcher, the time between two scans. With a watcher, the time between two checks for what the
/// watcher does not report: whether a folder was replaced, a disk was mounted, or a better copy can be listed. Changes must be
/// seen within a minute, and a file must be stable for some seconds.
const SCAN_INTERVAL: Duration = Duration::from_secs(45);
/// The number of [`SCAN_INTERVAL`]s after which the scanner restarts the file watcher and scans the folders. A working watcher
/// may have missed a change; one that could not watch a folder may succeed now.
const INTERVALS_UNTIL_WATCHER_RESTART: u32 = 20;
/// The time from a failed scan to the next scan.
const SCAN_RETRY_INTERVAL: Duration = Duration::from_secs(10);
/// The error message for a suspiciously empty folder.
pub(super) const EMPTY_FOLDER_MESSAGE: &str = "the folder is empty, probably because its disk is not mounted; \
     to accept the empty folder, request a rescan";

/// The scanner of the audio folders, and the index of the last scan.
#[derive(Debug)]
pub struct Scanner {
    pub(super) folders: AudioFolders,
    /// The identities of the folders that the last successful scan found.
    pub(super) identities: Vec<Option<FolderIdentity>>,
    /// The index cache, from which the next start of the server loads the index.
    pub(super) cache: IndexCache,
    /// The server's own files, which are not part of the library.
    pub(super) excluded: Vec<PathBuf>,
    /// Whether the index lists every copy of a recording (`--keep-duplicates`).
    pub(super) keep_duplicates: bool,
    /// The index of the last scan, or of the index cache before the first scan.
    pub(super) index: Arc<Index>,
    /// The files that remain to be hashed.
    pub(super) backlog: Backlog,
    pub(super) client_reports: ClientReports,
    /// When the index cache was last written, or the scanner was opened.
    pub(super) saved_at: Instant,
    /// Whether `index` is the result of a scan, and not of the index cache alone.
    pub(super) is_index_complete: bool,
    /// Whether the next scan must publish `index` even if the scan finds no change.
    pub(super) must_publish: bool,
    /// The listing that [`Scanner::open`] made, if it left reading the files to the first scan of the scanner thread. `None`
    /// once that scan has begun.
    pub(super) initial_listing: Option<Listing>,
    /// The time of the first scan in the current series of scans that found unstable files.
    pub(super) unstable_since: Option<Instant>,
    /// The unstable files of the last scan.
    pub(super) unstable: HashMap<PathBuf, Stamp>,
    /// The absent tracks that the last scan missed in folders that are present.
    pub(super) missed: MissedScans,
    /// Whether the last scan could not list a folder, for a reason that may pass.
    pub(super) must_retry: bool,
    /// The files that the last scan skipped. All of them have been logged.
    pub(super) logged_skipped: HashSet<PathBuf>,
    /// The folders that are scanned periodically. All of them have been logged.
    pub(super) logged_polled: Vec<PolledFolder>,
    /// The folders that were away at the last scan. All of them have been logged.
    pub(super) logged_away: Vec<PathBuf>,
    /// The last logged reason for which a scan failed; empty after a successful scan.
    pub(super) logged_problem: String,
    /// The number of duplicates after the last scan.
    pub(super) logged_duplicates: usize,
    /// The last logged number of audio files in formats that are not supported, by extension.
    pub(super) logged_other_formats: BTreeMap<String, usize>,
    pub(super) metrics: Arc<Metrics>,
}

/// Decides which periodic scans restart the file watcher.
#[derive(Debug, Default)]
struct PeriodicScans {
    /// The number of [`SCAN_INTERVAL`]s since a periodic scan restarted the watcher. Other scans do not reset it: polling would
    /// then go on for ever after one failure of the watcher, because it scans in each interval.
    intervals: u32,
}

impl PeriodicScans {
    /// The request for a scan after a further interval, if one is due.
    fn request(&mut self, have_mounts_changed: bool, is_scan_due: bool) -> Option<ScanRequest> {
        self.intervals += 1;
        let must_restart_watcher =
            have_mounts_changed || self.intervals >= INTERVALS_UNTIL_WATCHER_RESTART;
        if must_restart_watcher {
            self.intervals = 0;
        }
        (must_restart_watcher || is_scan_due).then_some(ScanRequest {
            must_restart_watcher,
            ..ScanRequest::default()
        })
    }
}

/// The result of a successful scan.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ScanOutcome {
    /// The index describes every file in the folder.
    Done,
    /// The scan left out unstable files, so the next scan must follow soon.
    FilesAreUnstable,
}

impl Scanner {
    /// Lists `folders` and compares the listing with the index cache beside `state_file`. Reads new and changed files if they
    /// are few, and otherwise leaves them to [`super::Library::start`]. Unless `keep_duplicates` is set, the index lists one
    /// copy of each recording, which is one of `current_tracks` if possible. Blocks.
    ///
    /// # Errors
    /// The system's error if no folder can be listed.
    pub fn open(
        folders: &[PathBuf],
        state_file: &Path,
        keep_duplicates: bool,
        current_tracks: &[TrackId],
        metrics: Arc<Metrics>,
    ) -> io::Result<Self> {
        Scanner::open_with_uploads(
            (folders, None),
            state_file,
            keep_duplicates,
            current_tracks,
            metrics,
        )
    }

    /// As [`Scanner::open`], for audio folders and the folder of the uploads, which must be an absolute path without symbolic
    /// links.
    ///
    /// # Errors
    /// Those of [`Scanner::open`].
    pub fn open_with_uploads(
        (folders, uploads): (&[PathBuf], Option<&Path>),
        state_file: &Path,
        keep_duplicates: bool,
        current_tracks: &[TrackId],
        metrics: Arc<Metrics>,
    ) -> io::Result<Self> {
        let began = Instant::now();
        let mut folders = AudioFolders::new(folders)?;
        let files = DataFiles::beside(state_file);
        let mut excluded = files.visible_paths();
        if let Some(uploads) = uploads {
            folders = folders.with_uploads(uploads);
            excluded.push(uploads.into());
        }
        let cache = IndexCache::new(files);
        // The two run in parallel, because listing waits for the disk, and parsing the cache takes processor time.
        let (listing, index) = thread::scope(|scope| {
            let listing = scope.spawn(|| folders.walk(&excluded));
            let index = cache.load(&folders, keep_duplicates, current_tracks);
            let panicked = |_| Err(io::Error::other("listing the folder panicked"));
            (listing.join().unwrap_or_else(panicked), index)
        });
        let listing = listing?;
        let mut scanner = Scanner {
            identities: folders.identities(),
            folders,
            backlog: Backlog::default(),
            client_reports: ClientReports::new(began),
            saved_at: began,
            index: Arc::new(index),
            cache,
            excluded,
            keep_duplicates,
            is_index_complete: false,
            must_publish: false,
            initial_listing: None,
            unstable_since: None,
            unstable: HashMap::new(),
            missed: MissedScans::new(),
            must_retry: listing.must_retry,
            logged_skipped: HashSet::new(),
            logged_away: Vec::new(),
            logged_polled: Vec::new(),
            logged_problem: String::new(),
            logged_duplicates: 0,
            logged_other_formats: BTreeMap::new(),
            metrics,
        };
        scanner.scan_at_start(&listing, current_tracks);
        scanner.metrics.scan_durations.observe(began.elapsed());
        if !scanner.is_index_complete {
            scanner.initial_listing = Some(listing);
        }
        Ok(scanner)
    }

    /// The index of the last scan, or of the index cache before the first scan.
    pub fn index(&self) -> Arc<Index> {
        self.index.clone()
    }

    /// Whether [`Scanner::index`] is the result of a scan, and not of the index cache alone.
    pub fn is_index_complete(&self) -> bool {
        self.is_index_complete
    }

    /// Completes the index if this requires reading at most [`MAX_FILES_AT_START`] files with at most [`MAX_BYTES_AT_START`]
    /// bytes. Otherwise leaves the index as it is.
    fn scan_at_start(&mut self, listing: &Listing, current_tracks: &[TrackId]) {
        let cached = self.index.clone();
        if listing.is_collection_empty && cached.has_collection() {
            return self.log_problem(EMPTY_FOLDER_MESSAGE);
        }
        let plan = ScanPlan::new(listing, &cached, &StabilityRule::AllStable, false);
        let is_unchanged = plan.is_unchanged(&cached);
        let ScanPlan {
            to_read,
            mut builder,
            ..
        } = plan;
        let bytes: u64 = to_read.iter().map(|file| file.size).sum();
        if to_read.len() > MAX_FILES_AT_START || bytes > MAX_BYTES_AT_START {
            return;
        }
        read_files::read_all(&self.folders, &to_read, |file, content| {
            self.metrics.files_read.add(1);
            builder.add(file, content, &cached);
        });
        self.log_skipped_files(listing, &builder);
        self.log_away_folders(listing);
        self.is_index_complete = true;
        if !is_unchanged {
            let index = builder.build(&cached, self.keep_duplicates, current_tracks);
            self.index = Arc::new(index);
        }
        // Even if nothing has changed, because the server may have been stopped before it found all copies.
        self.hash_before_publication(current_tracks);
        if !Arc::ptr_eq(&self.index, &cached) && *self.index != *cached {
            self.save();
        }
        self.log_duplicates();
        self.log_other_formats();
        let logged_before = Playlists::default();
        self.index.playlists().log_unknown_entries(&logged_before);
    }

    /// Scans the folders whenever a scan is requested or due, and hashes files and applies corrections in between, until
    /// `requests` is closed. Then writes the index cache if it lacks anything. Blocks.
    pub(super) fn run(
        &mut self,
        requests: &Arc<ScanRequests>,
        publisher: &Publisher,
        options: &LibraryOptions,
    ) {
        let mut watcher: Option<FolderWatcher> = None;
        let mut pause = Duration::ZERO;
        // The time of the next periodic scan. A correction does not change this time: otherwise many corrections would postpone
        // the scan again and again.
        let mut deadline = Instant::now();
        let mut schedule = PeriodicScans::default();
        loop {
            let postponed_until = self.postponed_until();
            let wait_until = postponed_until.map_or(deadline, |at| at.min(deadline));
            if self.is_index_complete {
                self.work_on_backlog(requests, wait_until, publisher, options);
            }
            let left = wait_until.saturating_duration_since(Instant::now());
            let request = match requests.wait(left) {
                Wakeup::Closed => {
                    if self.backlog.has_unsaved {
                        self.save();
                    }
                    return;
                }
                Wakeup::Requested(request) => Some(request),
                Wakeup::Corrections(corrections) => {
                    self.apply_corrections(&corrections, publisher, options);
                    continue;
                }
                Wakeup::TimedOut if Instant::now() < deadline => {
                    self.do_postponed_work(publisher);
                    continue;
                }
                Wakeup::TimedOut if pause == SCAN_INTERVAL => {
                    let have_mounts_changed = watcher
                        .as_ref()
                        .is_some_and(FolderWatcher::have_mounts_changed);
                    let is_due = self.is_scan_due(watcher.as_ref(), options);
                    schedule.request(have_mounts_changed, is_due)
                }
                Wakeup::TimedOut => Some(ScanRequest::default()),
            };
            let Some(request) = request else {
                deadline = Instant::now() + pause;
                continue;
            };
            self.backlog.retry_failed();
            let is_initial = self.initial_listing.is_some();
            self.update_watcher(&mut watcher, request, requests);
            let is_watched = self.is_watched(watcher.as_ref());
            let began = Instant::now();
            let outcome = self.scan(request, is_watched, publisher, options);
            self.metrics.scan_durations.observe(began.elapsed());
            pause = match outcome {
                // The file watcher does not run during the initial scan, so a second scan follows at once, which finds the
                // changes made during the first scan.
                Ok(_) if is_initial => Duration::ZERO,
                Ok(ScanOutcome::FilesAreUnstable) => STABLE_AGE,
                Ok(ScanOutcome::Done) => SCAN_INTERVAL,
                Err(error) => {
                    self.metrics.failed_scans.add(1);
                    self.log_problem(&error.to_string());
                    SCAN_RETRY_INTERVAL
                }
            };
            deadline = Instant::now() + pause;
        }
    }

    /// Resets the fields that a panicked scan may have left inconsistent, and makes the next scan publish its index.
    pub(super) fn recover_from_panic(&mut self) {
        self.must_publish = true;
        self.initial_listing = None;
        self.unstable_since = None;
        self.unstable.clear();
        let has_unsaved = self.backlog.has_unsaved;
        self.backlog = Backlog::default();
        self.backlog.has_unsaved = has_unsaved;
    }

    /// Whether to scan after a [`SCAN_INTERVAL`] in which no change was reported.
    fn is_scan_due(&self, watcher: Option<&FolderWatcher>, options: &LibraryOptions) -> bool {
        !self.is_watched(watcher)
            || self.must_retry
            || self.index.can_list_better_copy(&(options.current_tracks)())
    }

    /// Starts the watcher, or replaces a watcher that no longer works. Must be called before the scan lists the folder:
    /// otherwise a change after the listing and before the start of the watcher would be missed.
    fn update_watcher(
        &mut self,
        watcher: &mut Option<FolderWatcher>,
        request: ScanRequest,
        requests: &Arc<ScanRequests>,
    ) {
        let has_ended = watcher.as_ref().is_some_and(FolderWatcher::has_ended);
        if has_ended {
            tracing::error!("the thread of the file watcher ended; the watcher is restarted");
        }
        if has_ended || request.must_restart_watcher || !self.are_same_folders() {
            *watcher = None;
        }
        // No watcher runs during the initial scan of a large folder, because inotify would report each file that the scan
        // opens.
        if self.initial_listing.is_none() {
            let watcher = watcher.get_or_insert_with(|| {
                FolderWatcher::start(
                    self.folders.paths(),
                    self.excluded.clone(),
                    requests.clone(),
                )
            });
            self.log_polled_folders(watcher.polled());
        }
    }

    /// Whether the watcher reports every change in the folders.
    fn is_watched(&self, watcher: Option<&FolderWatcher>) -> bool {
        watcher.is_some_and(FolderWatcher::is_working)
            && self.identities.iter().all(Option::is_some)
            && self.are_same_folders()
    }

    /// Whether the folders are still those that the last successful scan found.
    fn are_same_folders(&self) -> bool {
        self.folders.identities() == self.identities
    }

    /// Logs the reason for which a scan failed, unless the last logged reason was the same.
    fn log_problem(&mut self, reason: &str) {
        if self.logged_problem != reason {
            self.logged_problem = reason.to_owned();
            tracing::warn!(
                "cannot use the content of the audio folder {}, so the library stays unchanged: {reason}",
                self.folders.first().display()
            );
        }
    }

    /// Logs the number of duplicates if the number has changed and is not 0.
    pub(super) fn log_duplicates(&mut self) {
        let duplicates = self.index.duplicates();
        let is_new = duplicates.len() != self.logged_duplicates;
        if let Some(example) = duplicates.first().filter(|_| is_new) {
            let listed = self.index.track(example.listed_as).map(|track| &track.path);
            tracing::info!(
                copies = duplicates.len(),
                "copies of listed tracks are left out, such as {:?}, a copy of {:?}; --keep-duplicates lists all",
                example.track.path,
                listed.unwrap_or(&example.track.path),
            );
        }
        self.logged_duplicates = duplicates.len();
    }

    /// Logs each folder that is scanned periodically, once.
    fn log_polled_folders(&mut self, polled: &[PolledFolder]) {
        for folder in polled {
            if !self.logged_polled.contains(folder) {
                tracing::info!(
                    "changes in {} are found by scanning every {} s: {}",
                    folder.path.display(),
                    SCAN_INTERVAL.as_secs(),
                    folder.reason
                );
            }
        }
        self.logged_polled = polled.to_vec();
    }

    /// Logs each folder that is away, and each that has returned, once.
    pub(super) fn log_away_folders(&mut self, listing: &Listing) {
        for (folder, reason) in &listing.away {
            if !self.logged_away.contains(folder) {
                tracing::warn!(
                    "the audio folder {} is away, so its tracks are left out until it returns: {reason}",
                    folder.display()
                );
            }
        }
        let away: Vec<_> = listing
            .away
            .iter()
            .map(|(folder, _)| folder.clone())
            .collect();
        for folder in self
            .logged_away
            .iter()
            .filter(|folder| !away.contains(folder))
        {
            tracing::info!("the audio folder {} has returned", folder.display());
        }
        self.logged_away = away;
    }

    /// Logs how many audio files are left out because of their formats, in one line, if the number for a format is larger than
    /// the logged one. A smaller number is not logged: a scan also leaves out files that may still be written, and the next
    /// scan finds them again.
    pub(super) fn log_other_formats(&mut self) {
        let counts = other_formats::count_other_formats(self.index.non_tracks());
        let logged = |extension| self.logged_other_formats.get(extension).copied();
        let has_more = counts
            .iter()
            .any(|(extension, count)| *count > logged(extension).unwrap_or(0));
        if has_more {
            tracing::info!(
                files = counts.values().sum::<usize>(),
                "left out audio files in formats that browsers do not play: {}",
                other_formats::describe_counts(&counts),
            );
            self.logged_other_formats = counts;
        }
    }

    /// Logs each skipped or unreadable file, unless the previous scan has logged it already.
    pub(super) fn log_skipped_files(&mut self, listing: &Listing, builder: &IndexBuilder) {
        let mut skipped = HashSet::new();
        for (path, reason) in listing.skipped.iter().chain(&builder.unreadable) {
            if skipped.insert(path.clone()) && !self.logged_skipped.contains(path) {
                read_files::log_skipped(path, reason);
            }
        }
        self.logged_skipped = skipped;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn polling_tries_to_watch_again_in_every_twentieth_interval() {
        let mut scans = PeriodicScans::default();
        for is_polled in [true, false] {
            for interval in 1..=2 * INTERVALS_UNTIL_WATCHER_RESTART {
                let request = scans.request(false, is_polled);
                let restarts = request.is_some_and(|request| request.must_restart_watcher);
                assert_eq!(restarts, interval % INTERVALS_UNTIL_WATCHER_RESTART == 0);
                assert_eq!(request.is_some(), is_polled || restarts);
            }
        }
        let request = scans.request(true, false).unwrap();
        assert!(request.must_restart_watcher, "a disk was mounted");
    }

    #[test]
    fn watched_folders_are_scanned_again_if_one_could_not_be_listed() {
        let folder = tempfile::tempdir().unwrap();
        let audio = folder.path().join("audio");
        fs::create_dir(&audio).unwrap();
        let folders = [audio];
        let (state_file, metrics) = (folder.path().join("state.json"), Arc::default());
        let mut scanner = Scanner::open(&folders, &state_file, false, &[], metrics).unwrap();
        let watcher = FolderWatcher::start(&folders, Vec::new(), Arc::default());
        let options = LibraryOptions {
            current_tracks: Box::new(Vec::new),
            publish_partial_indexes: false,
        };
        assert!(!scanner.is_scan_due(Some(&watcher), &options));
        scanner.must_retry = true;
        assert!(scanner.is_scan_due(Some(&watcher), &options));
    }

    #[test]
    fn skipped_file_is_forgotten_once_a_scan_no_longer_finds_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let audio = folder.path().join("audio");
        fs::create_dir(&audio).unwrap();
        let state_file = folder.path().join("state.json");
        let metrics = Arc::new(Metrics::default());
        let mut scanner = Scanner::open(&[audio], &state_file, false, &[], metrics).unwrap();
        for n in 0..3 {
            let skipped = PathBuf::from(format!("pipe {n}"));
            let listing = Listing {
                skipped: vec![(skipped.clone(), "it is not a regular file".into())],
                ..Listing::default()
            };
            scanner.log_skipped_files(&listing, &IndexBuilder::default());
            assert_eq!(scanner.logged_skipped, HashSet::from([skipped]));
        }
    }
}
