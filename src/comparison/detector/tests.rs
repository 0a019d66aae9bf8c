use super::super::chirp_turns;
use super::*;

const SAMPLE_RATE: f64 = 48_000.0;
const STARTED_AT_MS: f64 = 10_000.0;
const ADA: MemberId = MemberId(1);
const BEN: MemberId = MemberId(2);
const CLEO: MemberId = MemberId(3);

/// Speakers in a room, and a microphone that records them.
struct Room {
    /// For each phone: how late its speaker is, in milliseconds, and how loud; 0 for a silent phone.
    phones: Vec<(MemberId, f64, f32)>,
    noise_level: f32,
    /// Delay and level of an echo of Ben's speaker. An echo of all speakers would cancel out.
    echo: Option<(f64, f32)>,
    /// Number of samples that are lost at an index of the recording.
    lost: Option<(usize, usize)>,
    max_rounds: usize,
}

impl Room {
    fn with(phones: &[(MemberId, f64, f32)]) -> Self {
        Room {
            phones: phones.to_vec(),
            noise_level: 0.0,
            echo: None,
            lost: None,
            // Few rounds, so that the tests stay fast in debug builds.
            max_rounds: 4,
        }
    }

    fn turns(&self) -> Vec<ChirpTurn> {
        let members: Vec<_> = self.phones.iter().map(|phone| phone.0).collect();
        let mut turns = chirp_turns(STARTED_AT_MS + 100.0, &members);
        turns.truncate(self.max_rounds * members.len());
        turns
    }

    fn measure(&self) -> Vec<Option<f64>> {
        let turns = self.turns();
        let end_ms = turns.last().unwrap().at_ms + 1_400.0 - STARTED_AT_MS;
        let mut samples = vec![0.0; (end_ms * SAMPLE_RATE / 1e3) as usize];
        let mut random = 1u32;
        for sample in &mut samples {
            // A linear congruential generator (Numerical Recipes).
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *sample = self.noise_level * ((random >> 8) as f32 / (1 << 23) as f32 - 1.0);
        }
        for turn in &turns {
            let phone = self.phones.iter().find(|phone| phone.0 == turn.member);
            let (_, late_ms, level) = phone.unwrap();
            let direct = (*late_ms, *level);
            let echo = self.echo.filter(|_| turn.member == BEN);
            let echo = echo.map(|(ms, share)| (late_ms + ms, level * share));
            for (late_ms, level) in [Some(direct), echo].into_iter().flatten() {
                let at_ms = turn.at_ms + late_ms - STARTED_AT_MS;
                let from = (at_ms * SAMPLE_RATE / 1e3).round() as usize;
                for (i, sample) in turn.sound.samples(SAMPLE_RATE).iter().enumerate() {
                    samples[from + i] += level * sample;
                }
            }
        }
        if let Some((at, count)) = self.lost {
            samples.drain(at..at + count);
        }
        let recording = Recording {
            samples,
            sample_rate: SAMPLE_RATE,
            started_at_ms: STARTED_AT_MS,
        };
        let lateness = measure_lateness(&recording, &turns);
        lateness.into_values().map(Lateness::ms).collect()
    }
}

fn assert_close(measured: &[Option<f64>], expected: &[Option<f64>]) {
    assert_eq!(measured.len(), expected.len());
    for (measured, expected) in measured.iter().zip(expected) {
        let difference = measured.zip(*expected).map_or(0.0, |(a, b)| (a - b).abs());
        assert!(
            measured.is_some() == expected.is_some() && difference <= 0.5,
            "measured {measured:?}, expected {expected:?}"
        );
    }
}

#[test]
fn finds_the_injected_delays_of_loud_and_quiet_phones() {
    let room = Room::with(&[(ADA, 20.0, 1.0), (BEN, 200.0, 0.02), (CLEO, -100.0, 0.3)]);
    assert_close(&room.measure(), &[Some(120.0), Some(300.0), Some(0.0)]);
}

#[test]
fn finds_delays_under_noise_that_is_louder_than_the_chirps() {
    let mut room = Room::with(&[(ADA, 0.0, 0.5), (BEN, 180.0, 0.4)]);
    room.noise_level = 0.3;
    assert_close(&room.measure(), &[Some(0.0), Some(180.0)]);
}

#[test]
fn measures_the_direct_sound_and_not_a_louder_echo() {
    let mut room = Room::with(&[(ADA, 0.0, 0.4), (BEN, 60.0, 0.4)]);
    room.noise_level = 0.05;
    room.echo = Some((7.0, 1.3));
    assert_close(&room.measure(), &[Some(0.0), Some(60.0)]);
}

#[test]
fn phone_without_sound_is_not_heard_and_others_are_measured() {
    let mut room = Room::with(&[(ADA, 0.0, 0.5), (BEN, 90.0, 0.0), (CLEO, 45.0, 0.5)]);
    room.noise_level = 0.1;
    assert_close(&room.measure(), &[Some(0.0), None, Some(45.0)]);
}

#[test]
fn samples_that_the_recorder_lost_do_not_change_the_result() {
    let mut room = Room::with(&[(ADA, 0.0, 0.5), (BEN, 90.0, 0.5)]);
    room.max_rounds = 8;
    room.lost = Some((6 * 48_000, 300));
    assert_close(&room.measure(), &[Some(0.0), Some(90.0)]);
}

#[test]
fn recording_that_ends_too_early_names_no_phone() {
    let turns = chirp_turns(STARTED_AT_MS, &[ADA, BEN]);
    let recording = Recording {
        samples: Vec::new(),
        sample_rate: SAMPLE_RATE,
        started_at_ms: STARTED_AT_MS,
    };
    let expected = BTreeMap::from([(ADA, Lateness::NotHeard), (BEN, Lateness::NotHeard)]);
    assert_eq!(measure_lateness(&recording, &turns), expected);
    assert_eq!(measure_lateness(&recording, &[]), BTreeMap::new());
}

#[test]
fn phone_whose_chirps_disagree_is_unsteady_and_not_silent() {
    let found = |turn: usize, late_ms: f64| FoundChirp {
        member: [ADA, BEN, CLEO][turn % 3],
        turn,
        late_ms,
    };
    let found: Vec<_> = (0..9)
        .map(|turn| match turn % 3 {
            1 => found(turn, 20.0 * turn as f64),
            _ => found(turn, 5.0),
        })
        .collect();
    let round_counts = [(ADA, 3), (BEN, 3), (CLEO, 3), (MemberId(4), 3)].into();
    let lateness = lateness_by_member(&found, &round_counts);
    assert!(lateness[&ADA].ms().is_some() && lateness[&CLEO].ms().is_some());
    assert_eq!(lateness[&BEN], Lateness::Unsteady);
    assert_eq!(lateness[&MemberId(4)], Lateness::NotHeard);
}
