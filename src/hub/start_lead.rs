//! The start lead: how far ahead of now the start of playback is scheduled, so that even the slowest listener receives the
//! event of the start in time.

use std::time::Duration;

/// The shortest lead, in milliseconds. Also the time that a listener is assumed to need if it has not reported one.
const MIN_LEAD_MS: f64 = 150.0;
/// The longest lead, in milliseconds. Limited because the other listeners notice the delay between a command and its
/// effect, even if only one listener is slow.
const MAX_LEAD_MS: f64 = 1_000.0;
/// The longest time that a write counts as, in milliseconds. Limited because a single slow write, for example of a disk
/// that hung once, would otherwise delay every later start.
const MAX_WRITE_MS: f64 = 300.0;
/// The factor by which the recorded time of the slowest write shrinks with each faster write. The recorded time shrinks with
/// writes and not with time, because a period without writes says nothing about the speed of the disk.
const DECAY_PER_WRITE: f64 = 0.8;

/// Estimates the start lead: the longest time that a listener needs, plus the time of a slow write. The write is included
/// because a start is scheduled before its write begins and is broadcast after the write.
#[derive(Debug, Default)]
pub(super) struct StartLead {
    /// The time of the slowest write, reduced with each faster write since.
    slowest_write_ms: f64,
}

impl StartLead {
    /// Records how long a write took: the time from scheduling the starts in its batch until they can be broadcast.
    pub(super) fn record_write(&mut self, duration: Duration) {
        let write_ms = (duration.as_secs_f64() * 1e3).min(MAX_WRITE_MS);
        self.slowest_write_ms = write_ms.max(self.slowest_write_ms * DECAY_PER_WRITE);
    }

    /// The lead in milliseconds. `needs_ms` contains, for each listener, how long before a start the listener must receive its
    /// event, in milliseconds; `None` if not reported.
    pub(super) fn lead_ms(&self, needs_ms: impl Iterator<Item = Option<f64>>) -> f64 {
        let largest_ms = needs_ms
            .map(|need_ms| need_ms.unwrap_or(MIN_LEAD_MS))
            .fold(0.0, f64::max);
        (largest_ms + self.slowest_write_ms).clamp(MIN_LEAD_MS, MAX_LEAD_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lead_ms(writes_ms: &[u64], needs_ms: &[Option<f64>]) -> f64 {
        let mut lead = StartLead::default();
        for write_ms in writes_ms {
            lead.record_write(Duration::from_millis(*write_ms));
        }
        lead.lead_ms(needs_ms.iter().copied())
    }

    #[test]
    fn lead_is_the_largest_need_plus_the_slowest_write_within_limits() {
        type Case<'a> = (&'a [u64], &'a [Option<f64>], f64);
        let cases: [Case; 11] = [
            (&[], &[], 150.0),
            (&[], &[None], 150.0),
            (&[], &[Some(20.0)], 150.0),
            (&[], &[Some(400.0), Some(20.0), None], 400.0),
            (&[50], &[], 150.0),
            (&[50], &[None], 200.0),
            (&[50], &[Some(20.0)], 150.0),
            (&[50], &[Some(120.0)], 170.0),
            (&[50], &[Some(20.0), None], 200.0),
            (&[50], &[Some(60_000.0)], 1_000.0),
            (&[60_000], &[Some(400.0)], 700.0),
        ];
        for (writes_ms, needs_ms, lead) in cases {
            assert_eq!(
                lead_ms(writes_ms, needs_ms),
                lead,
                "{writes_ms:?} {needs_ms:?}"
            );
        }
    }

    #[test]
    fn slow_write_loses_weight_with_each_faster_write() {
        let need = [Some(200.0)];
        assert_eq!(lead_ms(&[100, 10], &need), 280.0);
        assert_eq!(lead_ms(&[10, 100], &need), 300.0);
        assert_eq!(lead_ms(&[100, 10, 90], &need), 290.0);
        let mut fast_after_slow = [1; 30];
        fast_after_slow[0] = 300;
        assert_eq!(lead_ms(&fast_after_slow, &need), 201.0);
    }
}
