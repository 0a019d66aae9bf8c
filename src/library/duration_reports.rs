//! Corrects the lengths of tracks by what devices decoded. A header may state a wrong length, which the scan accepts unless a
//! cheap check contradicts the header. A length on which two devices agree replaces the stated length. Pure: no I/O and no
//! clock.

use std::collections::VecDeque;

use super::length::LengthSource;
use super::padding::round_to_micros;
use super::{Track, Version};
use crate::room::{MemberId, TrackId, is_credible_correction};

/// Two devices agree if their lengths differ by at most this, in seconds. Decoders trim the padding of encoders in different
/// ways.
const MAX_DISAGREEMENT_SEC: f64 = 0.1;
/// The most pending reports for one track, so that a wrong report of one device does not displace that of another.
const MAX_PENDING_PER_TRACK: usize = 4;
/// The most pending reports.
const MAX_PENDING: usize = 1024;

/// A device that reports lengths. The identification stays the same when the device pairs again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reporter {
    /// The number of the device's room.
    pub room: usize,
    /// The device, whose id is unique within the room.
    pub member: MemberId,
}

/// The corrected length of one version of a track.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct DurationCorrection {
    pub(super) version: Version,
    pub(super) duration_sec: f64,
}

/// The reports that wait for a second device to agree: at most one of each device for each track.
#[derive(Debug, Default)]
pub(super) struct DurationReports {
    /// The oldest first.
    pending: VecDeque<Report>,
}

/// The length that a device decoded.
#[derive(Debug)]
struct Report {
    track_id: TrackId,
    version: Version,
    reporter: Reporter,
    duration_sec: f64,
}

impl DurationReports {
    /// Adds the report of a device that decoded `track`, which plays for `duration_sec`. Returns the correction if another
    /// device has reported the same length. Otherwise the report replaces the device's pending one. A report is ignored if the
    /// length in the index was counted or corrected before, agrees with the report, or is too different from it.
    pub(super) fn add(
        &mut self,
        track: &Track,
        reporter: Reporter,
        duration_sec: f64,
    ) -> Option<DurationCorrection> {
        if track.length_source != LengthSource::Header
            || track.corrected_duration_sec.is_some()
            || !is_credible_correction(track.file_duration_sec, duration_sec)
        {
            return None;
        }
        let Track {
            track_id, version, ..
        } = *track;
        self.pending.retain(|report| {
            report.track_id != track_id
                || (report.version == version && report.reporter != reporter)
        });
        let of_track = |report: &&Report| report.track_id == track_id;
        let mut others = self.pending.iter().filter(of_track);
        let agrees =
            |other: &&Report| (other.duration_sec - duration_sec).abs() <= MAX_DISAGREEMENT_SEC;
        if let Some(other) = others.find(agrees) {
            let mean_sec = (other.duration_sec + duration_sec) / 2.0;
            self.pending.retain(|report| report.track_id != track_id);
            return Some(DurationCorrection {
                version,
                duration_sec: round_to_micros(mean_sec),
            });
        }
        let pending_of_track = self.pending.iter().filter(of_track).count();
        let oldest = if pending_of_track == MAX_PENDING_PER_TRACK {
            self.pending.iter().position(|report| of_track(&report))
        } else {
            (self.pending.len() == MAX_PENDING).then_some(0)
        };
        if let Some(oldest) = oldest {
            self.pending.remove(oldest);
        }
        self.pending.push_back(Report {
            track_id,
            version,
            reporter,
            duration_sec,
        });
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: Reporter = device(1);
    const BEN: Reporter = device(2);

    const fn device(number: u32) -> Reporter {
        Reporter {
            room: 0,
            member: MemberId(number),
        }
    }

    fn track(name: &str, length_source: LengthSource) -> Track {
        Track {
            length_source,
            ..Track::for_reports(name)
        }
    }

    /// The corrected length after the reports of a track of 100 s.
    fn corrected_sec(length_source: LengthSource, reports: &[(Reporter, f64)]) -> Option<f64> {
        let track = track("a.mp3", length_source);
        let mut pending = DurationReports::default();
        let corrections = reports
            .iter()
            .filter_map(|(device, sec)| pending.add(&track, *device, *sec));
        corrections.map(|correction| correction.duration_sec).last()
    }

    #[test]
    fn two_devices_that_agree_correct_the_length_to_their_mean() {
        for (ada, ben, expected) in [
            (105.0, 105.0, Some(105.0)),
            (95.0, 95.08, Some(95.04)),
            (110.0, 109.95, Some(109.975)),
            (100.3, 100.3, Some(100.3)),
            (105.0, 105.2, None),
        ] {
            let found = corrected_sec(LengthSource::Header, &[(ADA, ada), (BEN, ben)]);
            assert_eq!(found, expected, "{ada} and {ben}");
        }
    }

    #[test]
    fn one_device_alone_corrects_nothing() {
        let reports = [(ADA, 105.0), (ADA, 105.0), (ADA, 105.01)];
        assert_eq!(corrected_sec(LengthSource::Header, &reports), None);
    }

    #[test]
    fn differences_that_are_too_small_or_too_large_are_ignored() {
        for sec in [100.0, 100.25, 99.75, 110.01, 89.99, 1e300] {
            let reports = [(ADA, sec), (BEN, sec)];
            assert_eq!(
                corrected_sec(LengthSource::Header, &reports),
                None,
                "{sec} s"
            );
        }
    }

    #[test]
    fn counted_and_corrected_lengths_are_final() {
        let reports = [(ADA, 105.0), (BEN, 105.0)];
        assert_eq!(corrected_sec(LengthSource::Counted, &reports), None);
        let corrected = Track {
            corrected_duration_sec: Some(103.0),
            ..track("a.mp3", LengthSource::Header)
        };
        let mut pending = DurationReports::default();
        for (device, sec) in reports {
            assert!(pending.add(&corrected, device, sec).is_none());
        }
    }

    #[test]
    fn a_later_report_of_the_same_device_replaces_the_earlier_one() {
        let reports = [(ADA, 105.0), (ADA, 107.0), (BEN, 105.0)];
        assert_eq!(corrected_sec(LengthSource::Header, &reports), None);
        let reports = [(ADA, 105.0), (ADA, 107.0), (BEN, 107.0)];
        assert_eq!(corrected_sec(LengthSource::Header, &reports), Some(107.0));
    }

    #[test]
    fn devices_of_different_rooms_are_different_even_with_one_member_id() {
        let other_room = Reporter { room: 1, ..ADA };
        let reports = [(ADA, 105.0), (other_room, 105.0)];
        assert_eq!(corrected_sec(LengthSource::Header, &reports), Some(105.0));
    }

    #[test]
    fn three_wrong_reports_do_not_displace_a_correct_one() {
        let wrong = [(device(3), 107.0), (device(4), 103.0), (device(5), 101.0)];
        let reports = [&[(ADA, 105.0)], &wrong[..], &[(BEN, 105.0)]].concat();
        assert_eq!(corrected_sec(LengthSource::Header, &reports), Some(105.0));
        let reports = [
            &[(ADA, 105.0)],
            &wrong[..],
            &[(device(6), 109.0), (BEN, 105.0)],
        ]
        .concat();
        assert_eq!(
            corrected_sec(LengthSource::Header, &reports),
            None,
            "too many"
        );
    }

    #[test]
    fn reports_of_different_versions_do_not_agree() {
        let mut reports = DurationReports::default();
        let old = track("a.mp3", LengthSource::Header);
        let new = Track {
            version: Version(6),
            ..old.clone()
        };
        assert_eq!(reports.add(&old, ADA, 105.0), None);
        assert_eq!(reports.add(&new, BEN, 105.0), None);
        let corrected = reports.add(&new, ADA, 105.0);
        assert_eq!(corrected.map(|found| found.version), Some(Version(6)));
    }

    #[test]
    fn the_oldest_report_is_dropped_when_too_many_are_pending() {
        let mut reports = DurationReports::default();
        let tracks: Vec<_> = (0..=MAX_PENDING)
            .map(|n| track(&n.to_string(), LengthSource::Header))
            .collect();
        for track in &tracks {
            assert_eq!(reports.add(track, ADA, 105.0), None);
        }
        assert_eq!(reports.pending.len(), MAX_PENDING);
        assert_eq!(reports.add(&tracks[0], BEN, 105.0), None);
        assert!(reports.add(&tracks[MAX_PENDING], BEN, 105.0).is_some());
    }
}
