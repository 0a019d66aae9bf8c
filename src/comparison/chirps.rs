//! The chirps: their samples, and which phone plays which chirp at what time.

use std::f64::consts::PI;

use crate::room::MemberId;

/// A chirp is a frequency sweep, which cross-correlation locates to a fraction of a millisecond.
const CHIRP_SEC: f64 = 0.1;
const CHIRP_FADE_SEC: f64 = 0.01;
const CHIRP_FROM_HZ: f64 = 1_500.0;
const CHIRP_TO_HZ: f64 = 7_000.0;
const CHIRP_LEVEL: f64 = 0.5;

/// From the start of the schedule to the first chirp: long enough for suspended outputs to start.
const FIRST_CHIRP_DELAY_MS: f64 = 1_000.0;
const CHIRP_INTERVAL_MS: f64 = 600.0;
/// The interval between two chirps with the same sound.
pub const SAME_CHIRP_INTERVAL_MS: f64 = 2.0 * CHIRP_INTERVAL_MS;

/// The total number of chirps, which is divided among the phones, and the limits of the chirps per phone.
const TOTAL_CHIRPS: usize = 18;
const MAX_ROUNDS: usize = 8;
const MIN_ROUNDS: usize = 2;

/// The two chirps. Consecutive chirps differ, so that chirps of neighbouring turns cannot be confused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChirpSound {
    /// The frequency rises.
    Rise,
    /// The rising chirp, reversed.
    Fall,
}

/// One chirp of one phone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChirpTurn {
    /// The phone.
    pub member: MemberId,
    /// When the chirp should be heard, in milliseconds of the server's clock.
    pub at_ms: f64,
    /// Which chirp the phone plays.
    pub sound: ChirpSound,
}

/// The chirps of a comparison that starts at `starts_at_ms`: the phones chirp in turn, in several rounds.
pub fn chirp_turns(starts_at_ms: f64, members: &[MemberId]) -> Vec<ChirpTurn> {
    let rounds = TOTAL_CHIRPS / members.len().max(1);
    let rounds = rounds.clamp(MIN_ROUNDS, MAX_ROUNDS);
    let turns = members.iter().cycle().take(rounds * members.len());
    let turn = |(i, &member): (usize, &MemberId)| ChirpTurn {
        member,
        at_ms: starts_at_ms + FIRST_CHIRP_DELAY_MS + i as f64 * CHIRP_INTERVAL_MS,
        sound: [ChirpSound::Rise, ChirpSound::Fall][i % 2],
    };
    turns.enumerate().map(turn).collect()
}

impl ChirpSound {
    /// The samples of the chirp, each from -1 to 1.
    pub fn samples(self, sample_rate: f64) -> Vec<f32> {
        let count = (CHIRP_SEC * sample_rate).round() as usize;
        let mut samples: Vec<f32> = (0..count)
            .map(|i| rising_sample(i as f64 / sample_rate) as f32)
            .collect();
        if self == ChirpSound::Fall {
            samples.reverse();
        }
        samples
    }
}

fn rising_sample(at_sec: f64) -> f64 {
    let sweep_hz = (CHIRP_TO_HZ - CHIRP_FROM_HZ) * at_sec / (2.0 * CHIRP_SEC);
    let cycles = (CHIRP_FROM_HZ + sweep_hz) * at_sec;
    let fade_in = at_sec / CHIRP_FADE_SEC;
    let fade_out = (CHIRP_SEC - at_sec) / CHIRP_FADE_SEC;
    let fade = fade_in.min(fade_out).min(1.0);
    CHIRP_LEVEL * (2.0 * PI * cycles).sin() * (PI / 2.0 * fade).sin().powi(2)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The page's unit tests check the page's chirps against the same file.
    #[test]
    fn chirps_equal_those_of_the_page() {
        let expected: Value =
            serde_json::from_str(include_str!("../../tests/fixtures/chirps.json")).unwrap();
        for schedule in expected["schedules"].as_array().unwrap() {
            let count = schedule["phones"].as_u64().unwrap() as u32;
            let members: Vec<_> = (1..=count).map(MemberId).collect();
            let turns = chirp_turns(100_000.0, &members);
            let as_json = |turn: &ChirpTurn| {
                let sound = match turn.sound {
                    ChirpSound::Rise => "rise",
                    ChirpSound::Fall => "fall",
                };
                json!([turn.member, turn.at_ms as u64, sound])
            };
            assert_eq!(schedule["turns"], turns.iter().map(&as_json).len());
            assert_eq!(schedule["first"], as_json(&turns[0]));
            assert_eq!(schedule["last"], as_json(turns.last().unwrap()));
        }
        for (name, sound) in [("rise", ChirpSound::Rise), ("fall", ChirpSound::Fall)] {
            let samples = sound.samples(48_000.0);
            assert_eq!(expected["samples"]["count"], samples.len());
            for entry in expected["samples"][name].as_array().unwrap() {
                let (index, value) = (entry[0].as_u64().unwrap(), entry[1].as_f64().unwrap());
                let sample = f64::from(samples[index as usize]);
                assert!((sample - value).abs() < 1e-6, "{name} {index}: {sample}");
            }
        }
    }

    #[test]
    fn schedule_without_phones_is_empty() {
        assert_eq!(chirp_turns(0.0, &[]), []);
    }
}
