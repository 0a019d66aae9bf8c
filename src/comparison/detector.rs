//! Finds the chirps of several phones in a recording, and computes how much later than the earliest phone each phone is
//! heard. Chirps are located by normalised cross-correlation, which does not depend on loudness. The delay of the microphone
//! itself is the same for all phones and cancels out. The page's `chirp-detector.js` works in the same way.

use std::collections::{BTreeMap, BTreeSet};

use super::chirps::{ChirpSound, ChirpTurn, SAME_CHIRP_INTERVAL_MS};
use super::filter::{BandPass, dot_product};
use super::recording::Recording;
use crate::room::MemberId;

/// The search for a chirp begins this long before the chirp is due, because a speaker may be early.
const SEARCH_LEAD_MS: f64 = 350.0;
/// Correlation, from 0 to 1, at which a sound counts as a chirp. Noise and speech rarely reach this value.
const MIN_CORRELATION: f32 = 0.2;
/// An echo may be louder than the direct sound: the first peak of at least this share of the highest peak counts.
const DIRECT_SOUND_SHARE: f32 = 0.4;
/// The longest time in which a correlation peak rises from the threshold to its top.
const PEAK_RISE_MS: f64 = 0.5;
/// This share of the loudest window's energy is added to each window's energy, so that silence does not correlate.
const SILENCE_SHARE: f64 = 1e-3;
/// A chirp agrees with its phone's median lateness if it differs from the median by no more than this.
const MAX_DEVIATION_MS: f64 = 3.0;
/// The share of the rounds that is discarded at the beginning, while the outputs are still settling, is one in this many.
const DISCARDED_DIVISOR: usize = 3;
/// Iterations that separate each phone's own lateness from the error common to neighbouring chirps.
const SEPARATION_PASSES: usize = 10;

/// What a recording says about one phone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Lateness {
    /// How much later than the earliest phone the phone is heard, in milliseconds.
    Heard(f64),
    /// The phone was heard, but its chirps came too early and too late by turns: the phone, or the machine that records, is
    /// busy.
    Unsteady,
    /// At most half of the phone's chirps were found.
    NotHeard,
}

impl Lateness {
    /// The lateness in milliseconds, if it was found.
    pub fn ms(self) -> Option<f64> {
        match self {
            Lateness::Heard(ms) => Some(ms),
            Lateness::Unsteady | Lateness::NotHeard => None,
        }
    }
}

/// A chirp that was found.
#[derive(Debug, Clone, Copy)]
struct FoundChirp {
    member: MemberId,
    turn: usize,
    late_ms: f64,
}

/// How much later than the earliest phone each phone of `turns` (in their order) is heard.
pub fn measure_lateness(
    recording: &Recording,
    turns: &[ChirpTurn],
) -> BTreeMap<MemberId, Lateness> {
    let filter = BandPass::new(recording.sample_rate);
    let samples_per_ms = recording.sample_rate / filter.decimation() as f64 / 1_000.0;
    let filtered = filter.apply(&recording.samples);
    let reference = |sound: ChirpSound| filter.apply(&sound.samples(recording.sample_rate));
    let (rise, fall) = (reference(ChirpSound::Rise), reference(ChirpSound::Fall));
    let mut round_counts: BTreeMap<MemberId, usize> = BTreeMap::new();
    let members: BTreeSet<_> = turns.iter().map(|turn| turn.member).collect();
    let member_count = members.len().max(1);
    let discarded = turns.len() / member_count / DISCARDED_DIVISOR * member_count;
    let mut found = Vec::new();
    for (turn, chirp) in turns.iter().enumerate().skip(discarded) {
        *round_counts.entry(chirp.member).or_default() += 1;
        let reference = match chirp.sound {
            ChirpSound::Rise => &rise,
            ChirpSound::Fall => &fall,
        };
        let search_ms = chirp.at_ms - SEARCH_LEAD_MS - recording.started_at_ms;
        let from = ((search_ms * samples_per_ms).round().max(0.0) as usize).min(filtered.len());
        let to = from + (SAME_CHIRP_INTERVAL_MS * samples_per_ms) as usize + reference.len();
        let excerpt = &filtered[from..to.min(filtered.len())];
        let max_rise = (PEAK_RISE_MS * samples_per_ms).ceil() as usize;
        if let Some(arrival) = arrival_index(excerpt, reference, max_rise) {
            let arrives_at_ms = (from + arrival) as f64 / samples_per_ms + recording.started_at_ms;
            found.push(FoundChirp {
                member: chirp.member,
                turn,
                late_ms: arrives_at_ms - chirp.at_ms,
            });
        }
    }
    relative_to_earliest(lateness_by_member(&found, &round_counts))
}

fn relative_to_earliest(lateness: BTreeMap<MemberId, Lateness>) -> BTreeMap<MemberId, Lateness> {
    let heard = lateness.values().filter_map(|lateness| lateness.ms());
    let earliest_ms = heard.fold(f64::INFINITY, f64::min);
    let relative = |lateness| match lateness {
        Lateness::Heard(late_ms) => Lateness::Heard(late_ms - earliest_ms),
        other => other,
    };
    lateness
        .into_iter()
        .map(|(member, lateness)| (member, relative(lateness)))
        .collect()
}

/// The index at which the reference sound begins in `excerpt`; `None` if `excerpt` does not contain the reference.
fn arrival_index(excerpt: &[f32], reference: &[f32], max_rise: usize) -> Option<usize> {
    let correlation = correlate(excerpt, reference);
    let highest = correlation.iter().copied().fold(0.0, f32::max);
    if highest < MIN_CORRELATION {
        return None;
    }
    let threshold = MIN_CORRELATION.max(DIRECT_SOUND_SHARE * highest);
    let rise_start = correlation.iter().position(|value| *value >= threshold)?;
    let peak = correlation[rise_start..].iter().take(max_rise).enumerate();
    let (offset, _) = peak.max_by(|(_, a), (_, b)| a.total_cmp(b))?;
    Some(rise_start + offset)
}

/// The absolute normalised cross-correlation, from 0 to 1, for each index of `excerpt` at which the reference may begin.
fn correlate(excerpt: &[f32], reference: &[f32]) -> Vec<f32> {
    let energy = |samples: &[f32]| {
        samples
            .iter()
            .map(|&s| f64::from(s) * f64::from(s))
            .sum::<f64>()
    };
    let Some(start_count) = excerpt.len().checked_sub(reference.len()) else {
        return Vec::new();
    };
    let mut window_energies = Vec::with_capacity(start_count);
    let mut window_energy = energy(&excerpt[..reference.len()]);
    for start in 0..start_count {
        window_energies.push(window_energy.max(0.0));
        let (leaving, entering) = (excerpt[start], excerpt[start + reference.len()]);
        window_energy += f64::from(entering).powi(2) - f64::from(leaving).powi(2);
    }
    let loudest = window_energies.iter().copied().fold(0.0, f64::max);
    let silence_energy = SILENCE_SHARE * loudest + f64::EPSILON;
    let reference_energy = energy(reference);
    let value = |(start, window_energy): (usize, &f64)| {
        let product = dot_product(&excerpt[start..start + reference.len()], reference);
        product.abs() / (reference_energy * (window_energy + silence_energy)).sqrt() as f32
    };
    window_energies.iter().enumerate().map(value).collect()
}

/// The lateness on which more than half of a phone's chirps agree, if there is one. An overloaded machine loses parts
/// of the recording, so that all later chirps seem early. Therefore the error that neighbouring chirps of all phones have in
/// common is removed first.
fn lateness_by_member(
    found: &[FoundChirp],
    round_counts: &BTreeMap<MemberId, usize>,
) -> BTreeMap<MemberId, Lateness> {
    let neighbourhood = round_counts.len();
    let common_in_round = |chirp: &FoundChirp| {
        let round = |chirp: &FoundChirp| chirp.turn / neighbourhood;
        let same_round = found.iter().filter(|other| round(other) == round(chirp));
        median(same_round.map(|other| other.late_ms).collect()).unwrap_or(0.0)
    };
    // The first estimate is relative to each round. Medians of the plain values would disagree if samples were lost after
    // half of the chirps of one phone, but not of another.
    let mut corrected: Vec<_> = found
        .iter()
        .map(|chirp| FoundChirp {
            late_ms: chirp.late_ms - common_in_round(chirp),
            ..*chirp
        })
        .collect();
    let mut medians: BTreeMap<MemberId, f64> = BTreeMap::new();
    for _ in 0..SEPARATION_PASSES {
        for member in round_counts.keys() {
            medians.extend(median(lateness_of(*member, &corrected)).map(|ms| (*member, ms)));
        }
        let error_ms = |chirp: &FoundChirp| chirp.late_ms - medians[&chirp.member];
        corrected = found
            .iter()
            .map(|chirp| {
                let neighbours = found
                    .iter()
                    .filter(|other| other.turn.abs_diff(chirp.turn) <= neighbourhood);
                let common_ms = median(neighbours.map(error_ms).collect()).unwrap_or(0.0);
                FoundChirp {
                    late_ms: chirp.late_ms - common_ms,
                    ..*chirp
                }
            })
            .collect();
    }
    let judge = |(member, rounds): (&MemberId, &usize)| {
        let values = lateness_of(*member, &corrected);
        let Some(late_ms) = medians.get(member).filter(|_| 2 * values.len() > *rounds) else {
            return (*member, Lateness::NotHeard);
        };
        let agrees = |value: &&f64| (*value - late_ms).abs() <= MAX_DEVIATION_MS;
        if 2 * values.iter().filter(agrees).count() > *rounds {
            (*member, Lateness::Heard(*late_ms))
        } else {
            (*member, Lateness::Unsteady)
        }
    };
    round_counts.iter().map(judge).collect()
}

fn lateness_of(member: MemberId, chirps: &[FoundChirp]) -> Vec<f64> {
    let own = chirps.iter().filter(|chirp| chirp.member == member);
    own.map(|chirp| chirp.late_ms).collect()
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = values.get(values.len() / 2)?;
    let lower = values.get(values.len().saturating_sub(1) / 2)?;
    Some((lower + upper) / 2.0)
}

#[cfg(test)]
mod tests;
