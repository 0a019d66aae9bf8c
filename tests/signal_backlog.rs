//! Sync reports and download progress for the hub use bounded memory, even if the hub's task does not run meanwhile.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use lockstep::history::History;
use lockstep::hub::{Hub, Settings, ShutdownPhase, StartState};
use lockstep::metrics::RoomCounters;
use lockstep::room::{MemberId, TrackId};
use lockstep::store::Store;
use lockstep::wire::{Download, SyncReport};
use tokio::sync::watch;

/// Number of sync reports, of progress reports and of ended downloads. A queue of all of them would need more than 300 MB.
const REPORT_COUNT: u64 = 2_000_000;
/// Maximum growth of the process's resident memory during the test, in bytes.
const MAX_MEMORY_GROWTH: u64 = 32 << 20;

/// Resident memory of this process in bytes (`VmRSS` in proc(5)).
fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line
        .and_then(|line| line.split_whitespace().nth(1))
        .unwrap();
    1024 * kilobytes.parse::<u64>().unwrap()
}

/// The test awaits nothing between two reports, so the hub's task cannot run on this single-threaded runtime.
#[tokio::test(flavor = "current_thread")]
async fn unprocessed_reports_use_bounded_memory() {
    let state_folder = tempfile::tempdir().unwrap();
    let store = Store::open(&state_folder.path().join("state.json")).unwrap();
    let settings = Settings {
        has_timed_starts: true,
        leave_grace: Duration::from_secs(2),
    };
    let (history, _writer) = History::load(&state_folder.path().join("state.json"));
    let (_phase, phase) = watch::channel(ShutdownPhase::Running);
    let (hub, _task) = Hub::start(
        StartState::default(),
        store,
        settings,
        Arc::new(RoomCounters::default()),
        history,
        phase,
    );
    let resident_bytes_before = resident_bytes();
    for report_index in 0..REPORT_COUNT {
        let member = MemberId(1);
        let report = SyncReport {
            off_ms: Some(report_index as f64),
            round_trip_ms: 8.0,
            latency_ms: 40.0,
            needs_ms: 150.0,
            waits_for_tap: false,
            paused_alone: false,
        };
        hub.report_sync(member, report);
        let download = Download {
            track_id: TrackId(1),
            received_bytes: report_index,
            size: REPORT_COUNT,
        };
        hub.report_download(member, report_index, download);
        hub.end_download(member, download.track_id);
    }
    let memory_growth = resident_bytes().saturating_sub(resident_bytes_before);
    assert!(
        memory_growth <= MAX_MEMORY_GROWTH,
        "resident memory grew by {memory_growth} bytes"
    );
    assert!(hub.ping().await, "the hub's task has ended");
}
