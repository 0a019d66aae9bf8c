//! The server's clock for `GET /clock`: a monotonic clock in milliseconds, against which phones align playback.

use rustix::time::{ClockId, clock_gettime};

/// The current time in milliseconds since the start of the machine (CLOCK_MONOTONIC), and not since the start of the
/// process, so that the clock offset that a phone has measured stays valid when the server process restarts.
pub fn now_ms() -> f64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as f64 * 1e3 + now.tv_nsec as f64 / 1e6
}
