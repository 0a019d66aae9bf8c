//! In step over HTTP: what listeners say of it, the delays of their speakers, and the sounds by which those are compared.
//! None of it contradicts what anybody else asks for, so it needs no event count.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use serde_json::json;

use super::error::ApiError;
use super::gate::Paired;
use super::{Body, control, empty, json};
use crate::hub::Accepted;
use crate::room::{Command, LARGEST_DELAY_MS, MemberId};
use crate::wire::{self, SyncReport, TuneRequest, TuningRequest};

/// Nothing that a listener reports takes longer, in milliseconds.
const LONGEST_MS: f64 = 60_000.0;

/// `POST /sync`.
pub(super) async fn report(
    paired: &Paired<'_>,
    request: Request<Incoming>,
) -> Result<Response<Body>, ApiError> {
    let body = control::read(request.into_body()).await?;
    paired.hub.report_sync(paired.member, said(&body)?);
    Ok(nothing())
}

/// What a report says, if that is possible.
pub(super) fn said(body: &[u8]) -> Result<SyncReport, ApiError> {
    let report = control::from_json(body)?;
    check(&report)?;
    Ok(report)
}

/// `POST /tune`.
pub(super) async fn tune(
    paired: &Paired<'_>,
    request: Request<Incoming>,
) -> Result<Response<Body>, ApiError> {
    let body = control::read(request.into_body()).await?;
    let (member, delays) = (paired.member, delays(&body)?);
    let command = Command::Tune { member, delays };
    let Accepted { room } = paired.hub.submit(command).await?;
    Ok(json(&json!({ "eventCount": room.durable.event_count })))
}

/// The delays that are asked for, in milliseconds, at least one.
pub(super) fn delays(body: &[u8]) -> Result<BTreeMap<MemberId, f64>, ApiError> {
    let TuneRequest { mut delays } = control::from_json(body)?;
    if delays.is_empty() {
        return Err(ApiError::BadRequest("delays must name a device".into()));
    }
    for delay_ms in delays.values_mut() {
        in_range("a delay", *delay_ms, -LARGEST_DELAY_MS..=LARGEST_DELAY_MS)?;
        *delay_ms = wire::tenths(*delay_ms);
    }
    Ok(delays)
}

/// `POST /tuning`.
pub(super) async fn sound(
    paired: &Paired<'_>,
    request: Request<Incoming>,
) -> Result<Response<Body>, ApiError> {
    let body = control::read(request.into_body()).await?;
    let TuningRequest { kind } = control::from_json(&body)?;
    paired.hub.sound(kind).await?;
    Ok(nothing())
}

fn nothing() -> Response<Body> {
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

fn check(report: &SyncReport) -> Result<(), ApiError> {
    in_range(
        "offMs",
        report.off_ms.unwrap_or(0.0),
        -LONGEST_MS..=LONGEST_MS,
    )?;
    for (name, ms) in [
        ("roundTripMs", report.round_trip_ms),
        ("latencyMs", report.latency_ms),
        ("needsMs", report.needs_ms),
    ] {
        in_range(name, ms, 0.0..=LONGEST_MS)?;
    }
    Ok(())
}

/// Not a number is in no range.
fn in_range(name: &str, ms: f64, range: RangeInclusive<f64>) -> Result<(), ApiError> {
    if range.contains(&ms) {
        return Ok(());
    }
    let (least, most) = range.into_inner();
    Err(ApiError::BadRequest(format!(
        "{name} must be a number of milliseconds from {least} to {most}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_refused_outside_its_ranges() {
        let good = SyncReport {
            off_ms: Some(-1.5),
            round_trip_ms: 8.0,
            latency_ms: 40.0,
            needs_ms: 120.0,
            waits_for_tap: false,
        };
        let off = |ms| SyncReport { off_ms: ms, ..good };
        let needs = |needs_ms| SyncReport { needs_ms, ..good };
        let (round_trip_ms, latency_ms) = (60_000.1, -0.1);
        for (report, fine) in [
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
            assert_eq!(check(&report).is_ok(), fine, "{report:?}");
        }
    }
}
