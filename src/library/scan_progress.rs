//! The progress of a long scan, and the times at which the scan reports progress and publishes a partial index (the index of
//! the files read so far). Pure: the caller passes the time.

use std::time::{Duration, Instant};

use serde::Serialize;

/// The shortest time between two progress reports.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);
/// The time from the start of a scan to its first partial index.
const FIRST_PARTIAL_INDEX_AGE: Duration = Duration::from_secs(2);
/// After a partial index, the next one is due when the scan has run for this many times as long. The intervals grow because
/// each client downloads every partial index, and because the size of these indexes grows during the scan.
const PARTIAL_INDEX_FACTOR: u32 = 4;

/// The progress of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ScanProgress {
    /// Files read so far.
    pub read: usize,
    /// Files that the scan will read in total.
    pub total: usize,
}

/// The reports that are due after one more file was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct DueReports {
    pub(super) progress: Option<ScanProgress>,
    pub(super) is_partial_index_due: bool,
}

/// Throttles the progress reports and the partial indexes of one scan.
pub(super) struct ProgressThrottle {
    progress: ScanProgress,
    began: Instant,
    next_progress_at: Instant,
    /// The time since `began` at which the next partial index is due.
    next_partial_index_age: Duration,
    has_reported: bool,
}

impl ProgressThrottle {
    /// For a scan that begins at `began` and will read `total` files.
    pub(super) fn new(total: usize, began: Instant) -> Self {
        ProgressThrottle {
            progress: ScanProgress { read: 0, total },
            began,
            next_progress_at: began + PROGRESS_INTERVAL,
            next_partial_index_age: FIRST_PARTIAL_INDEX_AGE,
            has_reported: false,
        }
    }

    /// Counts a file that the scan has read, and returns the reports that are due at the time `now`.
    pub(super) fn count_file(&mut self, now: Instant) -> DueReports {
        self.progress.read += 1;
        if now < self.next_progress_at {
            return DueReports::default();
        }
        self.next_progress_at = now + PROGRESS_INTERVAL;
        self.has_reported = true;
        let age = now - self.began;
        let is_partial_index_due = age >= self.next_partial_index_age;
        if is_partial_index_due {
            self.next_partial_index_age = age * PARTIAL_INDEX_FACTOR;
        }
        DueReports {
            progress: Some(self.progress),
            is_partial_index_due,
        }
    }

    /// Whether any progress was reported. If so, the end of the scan must be reported as well.
    pub(super) fn has_reported(&self) -> bool {
        self.has_reported
    }

    /// The progress at the end of the scan: all files are read.
    pub(super) fn final_progress(&self) -> ScanProgress {
        let total = self.progress.total;
        ScanProgress { read: total, total }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_progress_each_second_and_partial_indexes_at_growing_intervals() {
        let began = Instant::now();
        let mut throttle = ProgressThrottle::new(1_000, began);
        let (mut progress, mut partial_indexes) = (Vec::new(), Vec::new());
        for tenth in 0..=600 {
            let due = throttle.count_file(began + tenth * PROGRESS_INTERVAL / 10);
            progress.extend(due.progress.map(|progress| progress.read));
            if due.is_partial_index_due {
                partial_indexes.push(tenth / 10);
            }
        }
        assert_eq!(progress[..3], [11, 21, 31]);
        assert_eq!(progress.len(), 60);
        assert_eq!(partial_indexes, [2, 8, 32]);
        assert_eq!(throttle.final_progress().read, 1_000);
    }

    #[test]
    fn short_scan_reports_nothing() {
        let began = Instant::now();
        let mut throttle = ProgressThrottle::new(1, began);
        let due = throttle.count_file(began + PROGRESS_INTERVAL / 2);
        assert_eq!(due, DueReports::default());
        assert!(!throttle.has_reported());
    }
}
