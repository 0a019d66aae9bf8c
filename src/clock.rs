//! The server's clock, as `GET /clock` tells it: monotonic, in milliseconds. It orders nothing; it only
//! says when within the next moment something is heard.

use rustix::time::{ClockId, clock_gettime};

/// Now, in milliseconds. The zero is the machine's own (its start, on Linux), not the process's,
/// so what phones have learned of this clock outlives a restart of the server.
pub fn now_ms() -> f64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as f64 * 1e3 + now.tv_nsec as f64 / 1e6
}
