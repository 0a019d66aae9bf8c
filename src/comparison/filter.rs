//! Band-pass filter around the frequencies of the chirps, and decimation of the filtered recording.

use std::f64::consts::PI;

/// The decimated recording has no less than this rate.
const MIN_SAMPLE_RATE_HZ: f64 = 14_500.0;
const LOW_CUTOFF_HZ: f64 = 1_200.0;
const HIGH_CUTOFF_HZ: f64 = 7_300.0;
const TAPS: usize = 127;

/// The filter for recordings of one sample rate.
pub(super) struct BandPass {
    taps: Vec<f32>,
    decimation: usize,
}

impl BandPass {
    /// A windowed sinc with a Hamming window.
    pub(super) fn new(sample_rate: f64) -> Self {
        let half = (TAPS / 2) as f64;
        let low_pass = |hz: f64, t: f64| {
            if t == 0.0 {
                2.0 * hz / sample_rate
            } else {
                (2.0 * PI * hz * t / sample_rate).sin() / (PI * t)
            }
        };
        let tap = |i: usize| {
            let t = i as f64 - half;
            let window = 0.54 + 0.46 * (PI * t / half).cos();
            (window * (low_pass(HIGH_CUTOFF_HZ, t) - low_pass(LOW_CUTOFF_HZ, t))) as f32
        };
        BandPass {
            taps: (0..TAPS).map(tap).collect(),
            decimation: (sample_rate / MIN_SAMPLE_RATE_HZ).max(1.0) as usize,
        }
    }

    /// By what the sample rate is divided.
    pub(super) fn decimation(&self) -> usize {
        self.decimation
    }

    /// Filters the samples and keeps every n-th.
    pub(super) fn apply(&self, samples: &[f32]) -> Vec<f32> {
        let half = TAPS / 2;
        (0..samples.len() / self.decimation)
            .map(|i| {
                let centre = i * self.decimation;
                let from = centre.saturating_sub(half);
                let to = (centre + half + 1).min(samples.len());
                // At the beginning of the recording, the first taps have no samples.
                let taps = &self.taps[from + half - centre..];
                dot_product(&samples[from..to], taps)
            })
            .collect()
    }
}

/// The sum of the products of two slices, as far as the shorter one reaches. Eight sums instead of one, because the compiler
/// must not reorder the additions of a single sum, which would prevent vector instructions.
pub(super) fn dot_product(a: &[f32], b: &[f32]) -> f32 {
    let length = a.len().min(b.len());
    let (a, b) = (&a[..length], &b[..length]);
    let mut sums = [0.0f32; 8];
    let (a_blocks, b_blocks) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a_blocks
        .remainder()
        .iter()
        .zip(b_blocks.remainder())
        .map(|(a, b)| a * b)
        .sum();
    for (a, b) in a_blocks.zip(b_blocks) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(hz: f64) -> f32 {
        let samples: Vec<f32> = (0..9_600)
            .map(|i| (2.0 * PI * hz * f64::from(i) / 48_000.0).sin() as f32)
            .collect();
        let filtered = BandPass::new(48_000.0).apply(&samples);
        let middle = &filtered[100..filtered.len() - 100];
        middle
            .iter()
            .fold(0.0, |level, sample| level.max(sample.abs()))
    }

    #[test]
    fn passes_the_frequencies_of_the_chirps_only() {
        assert!(level(2_000.0) > 0.9 && level(6_000.0) > 0.9);
        assert!(level(300.0) < 0.05 && level(9_000.0) < 0.05);
    }

    #[test]
    fn dot_product_sums_every_element() {
        let a: Vec<f32> = (1..=19).map(|i| i as f32).collect();
        assert_eq!(dot_product(&a, &[2.0; 30]), 380.0);
    }
}
