//! Measures the loudness of tracks whose tags do not state it, by what devices measure after decoding. The first measurement
//! applies at once. If two devices differ, all are asked to measure again. What two devices agree on is final. Pure: no I/O and no clock.

use std::collections::VecDeque;

use super::{Reporter, Track, Version};
use crate::room::{MAX_LEVEL_GAIN_DB, TrackId};
use crate::rounding::round_to;

/// The loudness that all tracks are to have, in LUFS: that of ReplayGain 2.
const TARGET_LUFS: f64 = -18.0;
/// Two measurements agree if their loudness differs by at most this, in dB.
const MAX_DIFFERENCE_DB: f64 = 1.0;
/// The most tracks whose measurements are remembered, and the most second measurements of one track.
const MAX_TRACKS: usize = 1024;
const MAX_REPORTS_PER_TRACK: usize = 16;

/// What devices have measured.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) enum MeasuredLoudness {
    /// No device has measured the track.
    #[default]
    Unknown,
    /// Two devices differed. Each device is asked to measure the track once more. The measurement before applies until then.
    Disputed(Measurement),
    /// One device has measured the track.
    Known(Measurement),
    /// Two devices agreed, or have measured twice.
    Final(Measurement),
}

impl MeasuredLoudness {
    pub(super) fn known(self) -> Option<Measurement> {
        match self {
            MeasuredLoudness::Unknown => None,
            MeasuredLoudness::Disputed(measurement)
            | MeasuredLoudness::Known(measurement)
            | MeasuredLoudness::Final(measurement) => Some(measurement),
        }
    }

    pub(super) fn is_disputed(self) -> bool {
        matches!(self, MeasuredLoudness::Disputed(_))
    }
}

/// The loudness of a track by the measurement of a device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Measurement {
    /// The gain in dB after which the track has the common loudness, at most [`MAX_LEVEL_GAIN_DB`] from 0.
    pub(super) gain_db: f64,
    /// The largest absolute value of the signal, of which 1 is full scale.
    pub(super) peak: f64,
}

impl Measurement {
    /// The measurement of a device: the integrated loudness in LUFS, and the peak in dB of full scale.
    pub(super) fn new(lufs: f64, peak_db: f64) -> Self {
        let gain_db = (TARGET_LUFS - lufs).clamp(-MAX_LEVEL_GAIN_DB, MAX_LEVEL_GAIN_DB);
        Measurement {
            gain_db: round_to(gain_db, 100.0),
            peak: round_to(10_f64.powf(peak_db / 20.0), 1e6),
        }
    }

    fn agrees_with(&self, other: &Measurement) -> bool {
        (self.gain_db - other.gain_db).abs() <= MAX_DIFFERENCE_DB
    }

    /// The louder one of two measurements, with the higher peak: a track that is too quiet does less harm than one that is too
    /// loud or distorted.
    fn louder(self, other: Measurement) -> Self {
        Measurement {
            gain_db: self.gain_db.min(other.gain_db),
            peak: self.peak.max(other.peak),
        }
    }
}

/// The new loudness of one version of a track.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct LoudnessCorrection {
    pub(super) version: Version,
    pub(super) loudness: MeasuredLoudness,
}

/// The measurements of the tracks that were measured last.
#[derive(Debug, Default)]
pub(super) struct LoudnessReports {
    /// The track that was measured first comes first.
    tracks: VecDeque<TrackReports>,
}

/// A measurement and its device; `None` if the device is no longer known, because the server has restarted since then or has
/// forgotten the measurement. Only known devices can agree: the unknown one may be the same.
type Report = (Option<Reporter>, Measurement);

/// The measurements of one version of a track.
#[derive(Debug)]
struct TrackReports {
    track_id: TrackId,
    version: Version,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// One device has measured.
    First(Report),
    /// Two devices differed, so each device measures once more.
    Disputed {
        first: [Report; 2],
        second: Vec<Report>,
    },
    Settled,
}

impl LoudnessReports {
    /// Adds the measurement of a device. Returns the new loudness of the track if that changes. Ignored if the tags state the
    /// loudness and the peak, if two devices have agreed before, and if the device has reported before and was not asked
    /// again.
    pub(super) fn add(
        &mut self,
        track: &Track,
        reporter: Reporter,
        measurement: Measurement,
    ) -> Option<LoudnessCorrection> {
        let is_final = matches!(track.measured_loudness, MeasuredLoudness::Final(_));
        if is_final || track.is_loudness_tagged() {
            return None;
        }
        let Track {
            track_id, version, ..
        } = *track;
        let reports = &mut self.tracks;
        reports.retain(|reports| reports.track_id != track_id || reports.version == version);
        let own = (Some(reporter), measurement);
        let known = reports
            .iter_mut()
            .find(|reports| reports.track_id == track_id);
        let loudness = match (known, track.measured_loudness) {
            (Some(reports), _) => reports.stage.add(own),
            (None, MeasuredLoudness::Known(before)) => {
                let mut stage = Stage::First((None, before));
                let loudness = stage.add(own);
                self.push(track_id, version, stage);
                loudness
            }
            (None, before) => {
                self.push(track_id, version, Stage::First(own));
                // A dispute whose measurements are forgotten goes on until two devices agree.
                (!before.is_disputed()).then_some(MeasuredLoudness::Known(measurement))
            }
        };
        let is_still_disputed = |loudness: &MeasuredLoudness| {
            loudness.is_disputed() && track.measured_loudness.is_disputed()
        };
        let loudness = loudness.filter(|loudness| !is_still_disputed(loudness));
        loudness.map(|loudness| LoudnessCorrection { version, loudness })
    }

    fn push(&mut self, track_id: TrackId, version: Version, stage: Stage) {
        if self.tracks.len() == MAX_TRACKS {
            self.tracks.pop_front();
        }
        self.tracks.push_back(TrackReports {
            track_id,
            version,
            stage,
        });
    }
}

impl Stage {
    /// Adds a measurement, and returns the new loudness of the track if that changes.
    fn add(&mut self, own: Report) -> Option<MeasuredLoudness> {
        let is_other = |report: &Report| report.0 != own.0;
        let is_known_other = |report: &&Report| report.0.is_some() && is_other(report);
        match self {
            Stage::Settled => None,
            Stage::First(first) if !is_other(first) => None,
            Stage::First((None, before)) if before.agrees_with(&own.1) => {
                *self = Stage::First((own.0, *before));
                None
            }
            Stage::First((_, before)) if before.agrees_with(&own.1) => {
                let agreed = *before;
                *self = Stage::Settled;
                Some(MeasuredLoudness::Final(agreed))
            }
            Stage::First(first) => {
                let before = first.1;
                *self = Stage::Disputed {
                    first: [*first, own],
                    second: Vec::new(),
                };
                Some(MeasuredLoudness::Disputed(before))
            }
            Stage::Disputed { first, second } => {
                if !second.iter().all(is_other) || second.len() == MAX_REPORTS_PER_TRACK {
                    return None;
                }
                let others = first.iter().chain(second.iter()).filter(is_known_other);
                let mut others = others.map(|(_, other)| *other);
                let agreeing = others.find(|other| other.agrees_with(&own.1));
                // Two devices that differ again are not asked a third time.
                let differing = second.first().map(|(_, other)| *other);
                match agreeing.or(differing) {
                    Some(other) => {
                        *self = Stage::Settled;
                        Some(MeasuredLoudness::Final(own.1.louder(other)))
                    }
                    None => {
                        second.push(own);
                        None
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::MemberId;

    const ADA: Reporter = device(1);
    const BEN: Reporter = device(2);
    const CLEO: Reporter = device(3);

    const fn device(number: u32) -> Reporter {
        Reporter {
            room: 0,
            member: MemberId(number),
        }
    }

    fn track() -> Track {
        Track::for_reports("a.mp3")
    }

    /// The changes of the gain by the reports of a track, each as if the index had been published after it: the gain, or `None`
    /// for a dispute.
    fn changes(reports: &[(Reporter, f64)]) -> Vec<Option<f64>> {
        let (mut pending, mut track) = (LoudnessReports::default(), track());
        let mut changes = Vec::new();
        for (device, lufs) in reports {
            let correction = pending.add(&track, *device, Measurement::new(*lufs, -3.0));
            if let Some(correction) = correction {
                track.measured_loudness = correction.loudness;
            }
            let gain_db = track.gain_db().filter(|_| !is_disputed(&track));
            if changes.last() != Some(&gain_db) {
                changes.push(gain_db);
            }
        }
        changes
    }

    #[test]
    fn the_first_measurement_applies_at_once() {
        assert_eq!(changes(&[(ADA, -12.5)]), [Some(-5.5)]);
    }

    #[test]
    fn gains_are_limited_to_15_db_and_peaks_are_linear() {
        for (lufs, gain_db) in [(-70.0, 15.0), (-18.0, 0.0), (0.0, -15.0)] {
            assert_eq!(Measurement::new(lufs, -6.0).gain_db, gain_db);
        }
        assert_eq!(Measurement::new(-10.0, -20.0).peak, 0.1);
    }

    #[test]
    fn agreeing_devices_change_nothing_and_end_the_measurement() {
        let reports = [(ADA, -12.0), (BEN, -12.9), (CLEO, -20.0)];
        assert_eq!(changes(&reports), [Some(-6.0)]);
    }

    #[test]
    fn devices_that_differ_by_more_than_one_db_are_asked_again() {
        let reports = [(ADA, -12.0), (BEN, -13.1)];
        assert_eq!(changes(&reports), [Some(-6.0), None]);
    }

    #[test]
    fn one_device_cannot_contradict_itself() {
        assert_eq!(changes(&[(ADA, -12.0), (ADA, -20.0)]), [Some(-6.0)]);
    }

    #[test]
    fn a_second_measurement_that_agrees_with_another_device_settles() {
        let dispute = [(ADA, -12.0), (BEN, -20.0)];
        for (again, expected) in [
            // Ben was wrong at first.
            ((BEN, -12.4), -6.0),
            // A third device agrees with one of them.
            ((CLEO, -20.2), 2.0),
        ] {
            let reports = [&dispute[..], &[again], &[(ADA, -30.0)]].concat();
            assert_eq!(changes(&reports), [Some(-6.0), None, Some(expected)]);
        }
    }

    #[test]
    fn devices_that_differ_again_get_the_louder_measurement() {
        let reports = [(ADA, -12.0), (BEN, -20.0), (ADA, -12.0), (BEN, -20.0)];
        assert_eq!(changes(&reports), [Some(-6.0), None, Some(-6.0)]);
        assert_eq!(changes(&reports[..3]), [Some(-6.0), None]);
        let twice = [(ADA, -12.0), (BEN, -20.0), (ADA, -12.0), (ADA, -12.0)];
        assert_eq!(changes(&twice), [Some(-6.0), None], "one device alone");
    }

    #[test]
    fn a_measurement_from_before_a_restart_can_be_contradicted() {
        let known = Track {
            measured_loudness: MeasuredLoudness::Known(Measurement::new(-12.0, -3.0)),
            ..track()
        };
        let add = |lufs| LoudnessReports::default().add(&known, ADA, Measurement::new(lufs, -3.0));
        assert_eq!(add(-12.5), None);
        let disputed = add(-14.0).map(|correction| correction.loudness);
        let kept = Measurement::new(-12.0, -3.0);
        assert_eq!(disputed, Some(MeasuredLoudness::Disputed(kept)));
    }

    /// Adds a measurement as if the index had been published after it. Returns whether the gain has changed or was disputed.
    fn add(reports: &mut LoudnessReports, track: &mut Track, device: Reporter, lufs: f64) -> bool {
        let correction = reports.add(track, device, Measurement::new(lufs, -3.0));
        let before = (track.gain_db(), is_disputed(track));
        if let Some(correction) = correction {
            track.measured_loudness = correction.loudness;
        }
        (track.gain_db(), is_disputed(track)) != before
    }

    fn is_disputed(track: &Track) -> bool {
        track.measured_loudness.is_disputed()
    }

    /// Makes `reports` forget what it has remembered so far, by measurements of other tracks.
    fn forget(reports: &mut LoudnessReports) {
        for n in 0..MAX_TRACKS {
            let other = Track::for_reports(&n.to_string());
            reports.add(&other, CLEO, Measurement::new(-12.0, -3.0));
        }
    }

    #[test]
    fn the_agreement_of_two_devices_outlasts_their_measurements() {
        let (mut reports, mut track) = (LoudnessReports::default(), track());
        assert!(add(&mut reports, &mut track, ADA, -12.0));
        assert!(!add(&mut reports, &mut track, BEN, -12.5));
        for lufs in [-20.0, -30.0, -20.0] {
            forget(&mut reports);
            assert!(!add(&mut reports, &mut track, CLEO, lufs));
            assert!(!add(&mut reports, &mut track, ADA, lufs));
        }
        assert_eq!(track.gain_db(), Some(-6.0));
    }

    #[test]
    fn one_device_that_is_forgotten_cannot_settle_a_dispute() {
        let (mut reports, mut track) = (LoudnessReports::default(), track());
        assert!(add(&mut reports, &mut track, ADA, -12.0));
        assert!(add(&mut reports, &mut track, BEN, -20.0));
        for lufs in [-20.0, -30.0, -20.0] {
            forget(&mut reports);
            assert!(!add(&mut reports, &mut track, BEN, lufs));
            assert!(is_disputed(&track));
        }
        assert!(!add(&mut reports, &mut track, BEN, -20.0), "as before");
        assert!(add(&mut reports, &mut track, CLEO, -20.5));
        assert_eq!((track.gain_db(), is_disputed(&track)), (Some(2.0), false));
    }

    #[test]
    fn one_device_that_is_forgotten_does_not_agree_with_itself() {
        let (mut reports, mut track) = (LoudnessReports::default(), track());
        assert!(add(&mut reports, &mut track, ADA, -12.0));
        forget(&mut reports);
        assert!(!add(&mut reports, &mut track, ADA, -12.0));
        assert!(add(&mut reports, &mut track, BEN, -20.0), "a dispute");
    }

    #[test]
    fn tags_are_final_once_they_state_gain_and_peak() {
        let measurement = Measurement::new(-12.0, -3.0);
        let mut tagged = track();
        tagged.tagged_loudness.gain_db = Some(-2.0);
        let mut reports = LoudnessReports::default();
        assert!(
            reports.add(&tagged, ADA, measurement).is_some(),
            "the peak is unknown"
        );
        tagged.tagged_loudness.peak = Some(0.5);
        assert_eq!(reports.add(&tagged, BEN, measurement), None);
    }

    #[test]
    fn a_new_version_is_measured_anew() {
        let mut reports = LoudnessReports::default();
        let (old, measurement) = (track(), Measurement::new(-12.0, -3.0));
        assert!(reports.add(&old, ADA, measurement).is_some());
        let new = Track {
            version: Version(6),
            ..old
        };
        let correction = reports.add(&new, ADA, measurement);
        assert_eq!(correction.map(|found| found.version), Some(Version(6)));
    }

    #[test]
    fn the_oldest_measurements_are_forgotten() {
        let mut reports = LoudnessReports::default();
        for n in 0..=MAX_TRACKS {
            let track = Track::for_reports(&n.to_string());
            reports.add(&track, ADA, Measurement::new(-12.0, -3.0));
        }
        assert_eq!(reports.tracks.len(), MAX_TRACKS);
    }
}
