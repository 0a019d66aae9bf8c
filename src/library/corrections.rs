//! Applies what devices have found out about tracks. The rooms get it at once. Clients and the disk get lengths, which are rarely
//! corrected, at once too, and the loudness at intervals, however many tracks are measured: each client downloads the whole index
//! again, and the index cache is written as a whole.

use std::sync::Arc;
use std::time::Instant;

use super::LibraryOptions;
use super::index_builder::IndexBuilder;
use super::publisher::Publisher;
use super::scan::{PUBLICATION_INTERVAL, SAVE_INTERVAL};
use super::scan_progress::ScanProgress;
use super::scan_requests::Corrections;
use super::scanner::Scanner;

/// When clients are told to fetch the index because of corrections.
#[derive(Debug)]
pub(super) struct ClientReports {
    /// Whether there are corrections of which clients have not been told.
    is_pending: bool,
    /// The earliest time of the next report.
    next_at: Instant,
}

impl ClientReports {
    pub(super) fn new(next_at: Instant) -> Self {
        ClientReports {
            is_pending: false,
            next_at,
        }
    }
}

impl Scanner {
    /// Applies what devices have found out about tracks, and publishes the index for the rooms. Until the first scan has
    /// completed, leaves the publication to that scan: the index then lacks the files that are new since the last start. Blocks.
    pub(super) fn apply_corrections(
        &mut self,
        corrections: &Corrections,
        publisher: &Publisher,
        options: &LibraryOptions,
    ) {
        let Some(builder) = IndexBuilder::with_corrections(&self.index, corrections) else {
            return;
        };
        let current_tracks = (options.current_tracks)();
        let index = builder.build(&self.index, self.keep_duplicates, &current_tracks);
        self.index = Arc::new(index);
        self.backlog.has_unsaved = true;
        if self.is_index_complete {
            publisher.publish_index(self.index.clone());
            self.client_reports.is_pending = true;
            // A client needs the length of a track to play it, but not its loudness, which the room states.
            if !corrections.durations.is_empty() {
                self.report_to_clients(publisher);
            }
        }
        if !corrections.durations.is_empty() {
            self.save();
        }
        self.do_postponed_work(publisher);
    }

    /// When [`Scanner::do_postponed_work`] has something to do; `None` if nothing is postponed.
    pub(super) fn postponed_until(&self) -> Option<Instant> {
        let ClientReports {
            is_pending,
            next_at,
        } = self.client_reports;
        let report_at = is_pending.then_some(next_at);
        let has_unsaved = self.backlog.has_unsaved;
        let save_at = has_unsaved.then(|| self.saved_at + SAVE_INTERVAL);
        report_at.into_iter().chain(save_at).min()
    }

    /// Tells clients to fetch the index, and writes the index cache, if it is time.
    pub(super) fn do_postponed_work(&mut self, publisher: &Publisher) {
        let now = Instant::now();
        if self.client_reports.is_pending && self.client_reports.next_at <= now {
            self.report_to_clients(publisher);
        }
        if self.backlog.has_unsaved && self.saved_at + SAVE_INTERVAL <= now {
            self.save();
        }
    }

    fn report_to_clients(&mut self, publisher: &Publisher) {
        publisher.report_progress(ScanProgress { read: 0, total: 0 });
        self.client_reports = ClientReports::new(Instant::now() + PUBLICATION_INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::super::loudness_reports::{LoudnessCorrection, MeasuredLoudness, Measurement};
    use super::super::publisher::PublishedIndex;
    use super::super::{LibraryEvent, Track};
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn rooms_get_a_loudness_at_once_and_clients_and_disk_at_intervals() {
        let folder = tempfile::tempdir().unwrap();
        let (audio, state) = (
            folder.path().join("audio"),
            folder.path().join("state.json"),
        );
        fs::create_dir(&audio).unwrap();
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/fixture.ogg");
        fs::copy(fixture, audio.join("a.ogg")).unwrap();
        let metrics = Arc::new(Metrics::default());
        let mut scanner = Scanner::open(&[audio], &state, false, &[], metrics).unwrap();
        let published = Arc::new(PublishedIndex::new(scanner.index()));
        let (publisher, mut events) = Publisher::new(published.clone());
        let options = LibraryOptions {
            current_tracks: Box::new(Vec::new),
            publish_partial_indexes: false,
        };
        let track = |index: &super::super::Index| Track::clone(&index.tracks()[0]);
        let measure = |scanner: &mut Scanner, lufs| {
            let Track {
                track_id, version, ..
            } = track(&scanner.index);
            let loudness = MeasuredLoudness::Known(Measurement::new(lufs, -1.0));
            let correction = LoudnessCorrection { version, loudness };
            let corrections = Corrections {
                loudness: [(track_id, correction)].into(),
                ..Corrections::default()
            };
            scanner.apply_corrections(&corrections, &publisher, &options);
            assert_eq!(track(&published.get()).gain_db(), Some(-18.0 - lufs));
        };
        let mut reported = || {
            let received = std::iter::from_fn(|| events.try_recv().ok());
            received
                .filter(|event| matches!(event, LibraryEvent::ScanProgress(_)))
                .count()
        };
        let saved = || {
            let cached = fs::read_to_string(state.with_extension("json.index")).unwrap();
            cached.matches(r#""measured":["#).count()
        };

        measure(&mut scanner, -12.0);
        assert_eq!(reported(), 1);
        measure(&mut scanner, -13.0);
        measure(&mut scanner, -14.0);
        scanner.do_postponed_work(&publisher);
        assert_eq!((reported(), saved()), (0, 0));
        assert!(scanner.postponed_until().unwrap() > Instant::now());

        scanner.client_reports.next_at = Instant::now();
        scanner.do_postponed_work(&publisher);
        assert_eq!((reported(), saved()), (1, 0));
        scanner.saved_at = scanner.saved_at.checked_sub(SAVE_INTERVAL).unwrap();
        scanner.do_postponed_work(&publisher);
        assert_eq!((reported(), saved()), (0, 1));
        assert_eq!(scanner.postponed_until(), None);
    }
}
