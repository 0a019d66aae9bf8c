//! How far ahead of now a start is put, so that the slowest listener is told of it in time. Pure: durations in, milliseconds out.

use std::time::Duration;

/// What a listener needs that has not said, in milliseconds; no lead is shorter, since some may not know yet that they need more.
const USUAL_MS: f64 = 150.0;
/// No lead is longer, in milliseconds: one slow phone must not make a press feel broken.
const LONGEST_MS: f64 = 1_000.0;
/// A write counts for no more than this, in milliseconds: a disk that once hung need not do so again.
const LONGEST_WRITE_MS: f64 = 300.0;
/// What the slowest write counts for after each write that is quicker. Counted in writes and not in seconds, because between two
/// presses minutes may pass in which nothing is learnt about the disk.
const FADING: f64 = 0.8;

/// What the last writes took. A start is put before its write, and told after it.
#[derive(Debug, Default)]
pub(super) struct Writes {
    slowest_ms: f64,
}

impl Writes {
    /// A write took so long, from the moment that its starts were put at until they could be told.
    pub(super) fn took(&mut self, duration: Duration) {
        let took_ms = (duration.as_secs_f64() * 1e3).min(LONGEST_WRITE_MS);
        self.slowest_ms = took_ms.max(self.slowest_ms * FADING);
    }

    /// The lead, in milliseconds. `needs` are what those who listen have said that they need, as long as they have.
    pub(super) fn lead_ms(&self, needs: impl Iterator<Item = Option<f64>>) -> f64 {
        let slowest_ms = needs
            .map(|need| need.unwrap_or(USUAL_MS))
            .fold(0.0, f64::max);
        (slowest_ms + self.slowest_ms).clamp(USUAL_MS, LONGEST_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lead_ms(writes_ms: &[u64], needs: &[Option<f64>]) -> f64 {
        let mut writes = Writes::default();
        for took in writes_ms {
            writes.took(Duration::from_millis(*took));
        }
        writes.lead_ms(needs.iter().copied())
    }

    #[test]
    fn the_lead_is_what_the_slowest_listener_needs_and_what_a_write_takes() {
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
        for (writes, needs, lead) in cases {
            assert_eq!(lead_ms(writes, needs), lead, "{writes:?} {needs:?}");
        }
    }

    #[test]
    fn a_slow_write_is_remembered_for_some_writes_and_then_forgotten() {
        let need = [Some(200.0)];
        assert_eq!(lead_ms(&[100, 10], &need), 280.0);
        assert_eq!(lead_ms(&[10, 100], &need), 300.0);
        assert_eq!(lead_ms(&[100, 10, 90], &need), 290.0);
        let mut then_quick = [1; 30];
        then_quick[0] = 300;
        assert_eq!(lead_ms(&then_quick, &need), 201.0);
    }
}
