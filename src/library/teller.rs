//! How far a scan is that takes a while, and when that is worth telling. Pure, in the time that it is given.

use std::time::{Duration, Instant};

use serde::Serialize;

/// Progress is told so often.
const PROGRESS: Duration = Duration::from_secs(1);
/// What has been found of a large library so far is told after so long, and then each time after so many times longer.
const FIRST_PART: Duration = Duration::from_secs(2);
const LATER_PARTS: u32 = 4;

/// How far a scan is that takes a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Files that have been looked into.
    pub read: usize,
    /// All that are to be.
    pub total: usize,
}

/// What a scan that takes a while has to tell.
pub(super) enum Due {
    Progress(Progress),
    Part,
}

/// Decides when a scan tells something.
pub(super) struct Teller {
    progress: Progress,
    began: Instant,
    progress_at: Instant,
    part_after: Duration,
    /// Whether anything was told.
    pub(super) has_told: bool,
}

impl Teller {
    /// Of a scan of so many files that begins now.
    pub(super) fn new(total: usize, began: Instant) -> Self {
        Teller {
            progress: Progress { read: 0, total },
            began,
            progress_at: began + PROGRESS,
            part_after: FIRST_PART,
            has_told: false,
        }
    }

    /// One file more is read.
    pub(super) fn tell(&mut self, now: Instant, mut to: impl FnMut(Due) -> bool) {
        self.progress.read += 1;
        if now < self.progress_at {
            return;
        }
        self.progress_at = now + PROGRESS;
        self.has_told = true;
        to(Due::Progress(self.progress));
        if now - self.began >= self.part_after {
            self.part_after = (now - self.began) * LATER_PARTS;
            to(Due::Part);
        }
    }

    /// That it is over.
    pub(super) fn end(&self) -> Progress {
        let Progress { total, .. } = self.progress;
        Progress { read: total, total }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_each_second_and_what_is_found_ever_more_rarely() {
        let began = Instant::now();
        let mut teller = Teller::new(1_000, began);
        let (mut progress, mut parts) = (Vec::new(), Vec::new());
        for tenth in 0..=600 {
            let now = began + tenth * PROGRESS / 10;
            teller.tell(now, |due| {
                match due {
                    Due::Progress(told) => progress.push(told.read),
                    Due::Part => parts.push(tenth / 10),
                }
                true
            });
        }
        assert_eq!(progress[..3], [11, 21, 31]);
        assert_eq!(progress.len(), 60);
        assert_eq!(parts, [2, 8, 32]);
        assert_eq!(teller.end().read, 1_000);
    }

    #[test]
    fn a_scan_that_takes_no_while_tells_nothing() {
        let began = Instant::now();
        let mut teller = Teller::new(1, began);
        teller.tell(began + PROGRESS / 2, |_| panic!("nobody need know"));
        assert!(!teller.has_told);
    }
}
