//! Loudness over HTTP: what devices have measured in tracks, and the trims of devices. These requests never conflict with each
//! other, so they need no event count.

use std::ops::RangeInclusive;

use hyper::{Response, StatusCode};
use serde_json::json;

use super::body::from_json;
use super::call::Call;
use super::error::ApiError;
use super::gate::PairedDevice;
use super::{Body, empty, json};
use crate::hub::Accepted;
use crate::library::Reporter;
use crate::room::{Command, MIN_TRIM_DB, MemberId};
use crate::wire::{LoudnessReport, TrimRequest, round_to_tenths};

/// The range of an integrated loudness, in LUFS. BS.1770 measures nothing below -70.
const LUFS_RANGE: RangeInclusive<f64> = -70.0..=20.0;
/// The range of a peak, in dB of full scale.
const PEAK_DB_RANGE: RangeInclusive<f64> = -120.0..=24.0;
/// By how much the loudness may exceed the peak, in dB. The power of a signal is at most that of a square wave with its peak, which
/// is 0 dB. The K-weighting raises it by at most 4.0 dB, two channels by 3.0 dB, and the scale of LUFS lowers it by 0.7 dB: 6.3 dB. A
/// little more is allowed for recordings with further channels, which are never all that loud at the same time.
const MAX_LUFS_ABOVE_PEAK: f64 = 9.0;

/// `POST /loudness`: a device reports the loudness that it has measured in a track.
///
/// # Errors
/// 400 if the body is invalid, 404 if the track is not listed.
pub(super) async fn report(
    call: Call<'_>,
    paired: &PairedDevice<'_>,
) -> Result<Response<Body>, ApiError> {
    let report = parse_report(&call.body.read().await?)?;
    let reporter = Reporter {
        room: 0,
        member: paired.member,
    };
    let is_listed = call.app.library.report_loudness(
        report.track_id,
        report.version.as_deref(),
        reporter,
        (report.lufs, report.peak_db),
    );
    if !is_listed {
        return Err(ApiError::NO_SUCH_TRACK);
    }
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// Parses and checks the body of `POST /loudness`.
///
/// # Errors
/// 400 if the body is not the expected JSON, a value is out of range, or no signal has this loudness and this peak.
pub(super) fn parse_report(body: &[u8]) -> Result<LoudnessReport, ApiError> {
    let report: LoudnessReport = from_json(body)?;
    check_range("lufs", report.lufs, LUFS_RANGE)?;
    check_range("peakDb", report.peak_db, PEAK_DB_RANGE)?;
    // The least loudness stands for silence, too, of which the peak may be any.
    let is_measurable = report.lufs > *LUFS_RANGE.start();
    if is_measurable && report.lufs > report.peak_db + MAX_LUFS_ABOVE_PEAK {
        return Err(ApiError::BadRequest(format!(
            "The value of lufs must be at most {MAX_LUFS_ABOVE_PEAK} above that of peakDb"
        )));
    }
    Ok(report)
}

/// `POST /trim`: sets the trim of a device.
pub(super) async fn trim(
    call: Call<'_>,
    paired: &PairedDevice<'_>,
) -> Result<Response<Body>, ApiError> {
    let (trimmed, trim_db) = parse_trim(&call.body.read().await?)?;
    let member = paired.member;
    let command = Command::Trim {
        member,
        trimmed,
        trim_db,
    };
    let Accepted { room } = paired.hub.submit(command).await?;
    Ok(json(&json!({ "eventCount": room.durable.event_count })))
}

/// Parses and checks the body of `POST /trim`: the device, and its trim in dB.
///
/// # Errors
/// 400 if the body is not the expected JSON, or the trim is out of range.
pub(super) fn parse_trim(body: &[u8]) -> Result<(MemberId, f64), ApiError> {
    let TrimRequest { member_id, trim_db } = from_json(body)?;
    check_range("trimDb", trim_db, MIN_TRIM_DB..=0.0)?;
    Ok((member_id, round_to_tenths(trim_db)))
}

/// Refuses a value outside of `range`, and NaN, with 400.
fn check_range(name: &str, value: f64, range: RangeInclusive<f64>) -> Result<(), ApiError> {
    if range.contains(&value) {
        return Ok(());
    }
    let (min, max) = range.into_inner();
    Err(ApiError::BadRequest(format!(
        "The value of {name} must be a number from {min} to {max}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_values_outside_their_ranges() {
        let report = |lufs: &str, peak: &str| {
            let body = format!(r#"{{"trackId":"0123456789abcdef","lufs":{lufs},"peakDb":{peak}}}"#);
            parse_report(body.as_bytes()).is_ok()
        };
        assert!(report("-18.2", "-1"));
        assert!(report("-18", "-27"));
        assert!(report("-70", "-120"), "silence");
        for (lufs, peak) in [
            ("-70.1", "0"),
            ("21", "0"),
            ("null", "0"),
            ("-18", "25"),
            ("-18", "null"),
            // No signal is that loud with such a peak.
            ("-18", "-27.1"),
            ("-69.9", "-120"),
        ] {
            assert!(!report(lufs, peak), "{lufs} and {peak}");
        }
        let trim =
            |db: &str| parse_trim(format!(r#"{{"memberId":"m1","trimDb":{db}}}"#).as_bytes());
        assert_eq!(trim("-6.04").ok(), Some((MemberId(1), -6.0)));
        assert_eq!(trim("-0").ok(), Some((MemberId(1), 0.0)));
        for db in ["0.1", "-30.1", "null", "\"-6\""] {
            assert!(trim(db).is_err(), "{db}");
        }
    }
}
