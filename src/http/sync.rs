//! Synchronization over HTTP: the reported deviations of listeners from the room's position, the delays of their speakers,
//! and the test sound for comparing speakers. These requests never conflict with each other, so they need no event count.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::SystemTime;

use hyper::{Response, StatusCode};
use serde_json::json;

use super::body::from_json;
use super::call::Call;
use super::error::ApiError;
use super::gate::PairedDevice;
use super::{Body, empty, json};
use crate::library::rfc3339;
use crate::room::{Command, ComparisonMethod, DeviceKind, MAX_SPEAKER_DELAY_MS, MemberId};
use crate::wire::{
    self, ComparedSpeakers, SyncDescription, SyncReport, TuneRequest, TuningRequest,
};

/// The largest absolute value of a duration in a report, in milliseconds.
const MAX_REPORTED_MS: f64 = 60_000.0;

/// `POST /sync`: a listener reports its deviation from the room's position, its latencies, and its kind.
pub(super) async fn report(
    call: Call<'_>,
    paired: &PairedDevice<'_>,
) -> Result<Response<Body>, ApiError> {
    let (report, kind) = parse_report(&call.body.read().await?)?;
    paired.hub.report_sync(paired.member, report);
    if let Some(kind) = kind.filter(|kind| !has_kind(paired, kind)) {
        let member = paired.member;
        paired
            .house
            .submit(Command::Describe { member, kind })
            .await?;
    }
    Ok(no_content())
}

/// Parses and checks the body of `POST /sync`.
///
/// # Errors
/// 400 if the body is not the expected JSON, or a value is out of range.
pub(super) fn parse_report(body: &[u8]) -> Result<(SyncReport, Option<DeviceKind>), ApiError> {
    let report = from_json(body)?;
    check_report(&report)?;
    let SyncDescription { kind } = from_json(body)?;
    Ok((report, kind))
}

fn has_kind(paired: &PairedDevice<'_>, kind: &DeviceKind) -> bool {
    let view = paired.house.view();
    let client = view.room.durable.clients.get(&paired.member);
    client.is_some_and(|client| client.kind.as_ref() == Some(kind))
}

/// `POST /tune`: sets the speaker delays of devices.
pub(super) async fn tune(
    call: Call<'_>,
    paired: &PairedDevice<'_>,
) -> Result<Response<Body>, ApiError> {
    let command = parse_tune(&call.body.read().await?, paired.member)?;
    if let Command::Tune { delays, .. } | Command::Compare { delays, .. } = &command {
        paired.rooms.record_tuning(delays, paired.member);
    }
    let accepted = paired.house.submit(command).await?;
    let event_count = paired.event_count_after(&accepted).await?;
    Ok(json(&json!({ "eventCount": event_count })))
}

/// Parses and checks the body of `POST /tune`: the speaker delays of one device or more, in milliseconds, and the comparison
/// that found them. `member` is the sender.
///
/// # Errors
/// 400 if the body is not the expected JSON, names no device, contains a delay that is out of range, or a comparison that
/// leaves out a device with a delay, has less than two devices, or claims to be the server's.
pub(super) fn parse_tune(body: &[u8], member: MemberId) -> Result<Command, ApiError> {
    let TuneRequest { delays, compared } = from_json(body)?;
    let delays = check_delays(delays)?;
    let Some(ComparedSpeakers { by, member_ids }) = compared else {
        return Ok(Command::Tune { member, delays });
    };
    if by == ComparisonMethod::Server {
        return Err(ApiError::BadRequest(
            "Only `lockstep compare` records with the server's microphone".into(),
        ));
    }
    if member_ids.len() < 2 || !delays.keys().all(|tuned| member_ids.contains(tuned)) {
        return Err(ApiError::BadRequest(
            "A comparison must name at least two devices, and each device with a delay".into(),
        ));
    }
    Ok(Command::Compare {
        sender: Some(member),
        by,
        at: now_rfc3339(),
        compared: member_ids,
        delays,
    })
}

/// The time by the calendar, in UTC.
pub(super) fn now_rfc3339() -> String {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    rfc3339::format(since_epoch.map_or(0, |time| time.as_secs()))
}

/// Checks and rounds speaker delays.
///
/// # Errors
/// 400 if there is none, or one is out of range.
pub(super) fn check_delays(
    mut delays: BTreeMap<MemberId, f64>,
) -> Result<BTreeMap<MemberId, f64>, ApiError> {
    if delays.is_empty() {
        return Err(ApiError::BadRequest(
            "The object delays must name at least one device".into(),
        ));
    }
    for delay_ms in delays.values_mut() {
        check_range(
            "a delay",
            *delay_ms,
            -MAX_SPEAKER_DELAY_MS..=MAX_SPEAKER_DELAY_MS,
        )?;
        *delay_ms = wire::round_to_tenths(*delay_ms);
    }
    Ok(delays)
}

/// `POST /tuning`: starts or stops the test sound.
pub(super) async fn play_test_sound(
    call: Call<'_>,
    paired: &PairedDevice<'_>,
) -> Result<Response<Body>, ApiError> {
    let TuningRequest { kind: sound } = call.body.read_json().await?;
    paired.hub.broadcast_tuning(sound, None).await?;
    Ok(no_content())
}

pub(super) fn no_content() -> Response<Body> {
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

fn check_report(report: &SyncReport) -> Result<(), ApiError> {
    // A silent listener has no playback position, so it reports no deviation.
    check_range(
        "offMs",
        report.off_ms.unwrap_or(0.0),
        -MAX_REPORTED_MS..=MAX_REPORTED_MS,
    )?;
    for (name, ms) in [
        ("roundTripMs", report.round_trip_ms),
        ("latencyMs", report.latency_ms),
        ("needsMs", report.needs_ms),
    ] {
        check_range(name, ms, 0.0..=MAX_REPORTED_MS)?;
    }
    Ok(())
}

/// Refuses a value outside of `range`, and NaN, with 400.
fn check_range(name: &str, ms: f64, range: RangeInclusive<f64>) -> Result<(), ApiError> {
    if range.contains(&ms) {
        return Ok(());
    }
    let (min, max) = range.into_inner();
    Err(ApiError::BadRequest(format!(
        "The value of {name} must be a number of milliseconds from {min} to {max}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_reports_outside_their_ranges() {
        let good = SyncReport {
            off_ms: Some(-1.5),
            round_trip_ms: 8.0,
            latency_ms: 40.0,
            needs_ms: 120.0,
            waits_for_tap: false,
            paused_alone: false,
        };
        let off = |ms| SyncReport { off_ms: ms, ..good };
        let needs = |needs_ms| SyncReport { needs_ms, ..good };
        let (round_trip_ms, latency_ms) = (60_000.1, -0.1);
        for (report, is_accepted) in [
            (good, true),
            (off(None), true),
            (off(Some(-60_000.0)), true),
            (off(Some(60_000.1)), false),
            (off(Some(f64::NAN)), false),
            (needs(0.0), true),
            (needs(60_000.0), true),
            (needs(-0.1), false),
            (needs(f64::NAN), false),
            (needs(f64::INFINITY), false),
            (
                SyncReport {
                    round_trip_ms,
                    ..good
                },
                false,
            ),
            (SyncReport { latency_ms, ..good }, false),
        ] {
            assert_eq!(check_report(&report).is_ok(), is_accepted, "{report:?}");
        }
    }
}
