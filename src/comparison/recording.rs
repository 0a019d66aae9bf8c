//! Assembles blocks of samples of a microphone into one recording on the server's clock. An overloaded machine loses samples;
//! such a gap is filled with silence, so that later sounds stay at the right time.

/// A shorter gap cannot be distinguished from a block that arrived late.
const MIN_GAP_MS: f64 = 8.0;

/// A recording of one channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// Samples from -1 to 1.
    pub samples: Vec<f32>,
    /// Samples per second.
    pub sample_rate: f64,
    /// Approximate start of the recording, in milliseconds of the server's clock.
    pub started_at_ms: f64,
}

/// Collects the blocks that a microphone delivers.
#[derive(Debug)]
pub struct RecordingBuilder {
    sample_rate: f64,
    samples: Vec<f32>,
    /// For each block: the index after its last sample, and when the block arrived.
    blocks: Vec<(usize, f64)>,
}

impl RecordingBuilder {
    /// A recording without samples so far.
    pub fn new(sample_rate: f64) -> Self {
        RecordingBuilder {
            sample_rate,
            samples: Vec::new(),
            blocks: Vec::new(),
        }
    }

    /// Adds a block that arrived at `arrived_at_ms` of the server's clock.
    pub fn push(&mut self, samples: &[f32], arrived_at_ms: f64) {
        self.samples.extend_from_slice(samples);
        self.blocks.push((self.samples.len(), arrived_at_ms));
    }

    /// The recording so far.
    pub fn finish(self) -> Recording {
        let samples_per_ms = self.sample_rate / 1_000.0;
        // The start of the recording computed from each block: late by the block's delivery delay and the gaps before it.
        let mut starts_ms: Vec<f64> = self
            .blocks
            .iter()
            .map(|(end, arrived_at_ms)| arrived_at_ms - *end as f64 / samples_per_ms)
            .collect();
        // A delivery delay affects a single block, and a gap affects all later blocks. So the minimum over a block and all
        // later ones depends on the gaps only.
        for i in (1..starts_ms.len()).rev() {
            starts_ms[i - 1] = starts_ms[i - 1].min(starts_ms[i]);
        }
        let started_at_ms = starts_ms.first().copied().unwrap_or(0.0);
        let mut samples = Vec::with_capacity(self.samples.len());
        let (mut from, mut gaps_ms) = (0, 0.0);
        for ((end, _), start_ms) in self.blocks.iter().zip(starts_ms) {
            let lost_ms = start_ms - started_at_ms;
            if lost_ms - gaps_ms > MIN_GAP_MS {
                gaps_ms = lost_ms;
                let begins_at = from + (gaps_ms * samples_per_ms).round() as usize;
                samples.resize(begins_at.max(samples.len()), 0.0);
            }
            samples.extend_from_slice(&self.samples[from..*end]);
            from = *end;
        }
        Recording {
            samples,
            sample_rate: self.sample_rate,
            started_at_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks of ten samples at 1 kHz, each with the time of its arrival after `started_at_ms` = 1000.
    fn record(arrivals_ms: &[f64]) -> Recording {
        let mut builder = RecordingBuilder::new(1_000.0);
        for (i, arrived_ms) in arrivals_ms.iter().enumerate() {
            builder.push(&[(i + 1) as f32; 10], 1_000.0 + arrived_ms);
        }
        builder.finish()
    }

    #[test]
    fn late_blocks_do_not_move_the_recording() {
        let recording = record(&[15.0, 22.0, 80.0, 80.0, 53.0]);
        assert_eq!(recording.started_at_ms, 1_002.0);
        assert_eq!(recording.samples.len(), 50);
    }

    #[test]
    fn lost_samples_are_filled_with_silence() {
        let recording = record(&[12.0, 22.0, 132.0, 142.0]);
        assert_eq!(recording.started_at_ms, 1_002.0);
        assert_eq!(recording.samples.len(), 140);
        assert_eq!(recording.samples[19], 2.0);
        assert_eq!(recording.samples[20..120], [0.0; 100]);
        assert_eq!(recording.samples[120], 3.0);
    }

    #[test]
    fn builder_without_blocks_gives_an_empty_recording() {
        assert!(RecordingBuilder::new(48_000.0).finish().samples.is_empty());
    }
}
