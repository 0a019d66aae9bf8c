//! Attendance of one device: whether the device has an open listener stream, and if not, when it departs.

use std::time::{Duration, Instant};

use crate::room::Departure;

/// The longest grace period of a device that stopped acknowledging data. Such a device departs within 15 s: up to 5 s until
/// the next heartbeat, 7 s until the kernel gives up retransmitting the heartbeat (TCP_USER_TIMEOUT), and this period.
pub(super) const VANISHED_GRACE: Duration = Duration::from_secs(2);

/// How long the members of the open barrier have to reconnect after a restart of the server.
pub(super) const RESTART_GRACE: Duration = Duration::from_secs(15);

/// The number of open listener streams of one device, and its departure if there are none.
#[derive(Debug, Default)]
pub(super) struct Attendance {
    stream_count: usize,
    /// Set while the device has no open stream, after its last stream has closed or after a restart of the server.
    pending_departure: Option<PendingDeparture>,
}

#[derive(Debug, Clone, Copy)]
struct PendingDeparture {
    /// When the device departs.
    deadline: Instant,
    how: Departure,
}

impl Attendance {
    /// The attendance of a device that was a member of the open barrier before the server restarted, and has not
    /// reconnected.
    pub(super) fn expected_after_restart(now: Instant) -> Self {
        Attendance {
            stream_count: 0,
            pending_departure: Some(PendingDeparture {
                deadline: now + RESTART_GRACE,
                how: Departure::Vanished,
            }),
        }
    }

    pub(super) fn record_opened_stream(&mut self) {
        self.stream_count += 1;
        self.pending_departure = None;
    }

    pub(super) fn record_closed_stream(
        &mut self,
        how: Departure,
        leave_grace: Duration,
        now: Instant,
    ) {
        self.stream_count = self.stream_count.saturating_sub(1);
        if self.stream_count > 0 {
            return;
        }
        let grace = match how {
            Departure::Left => leave_grace,
            // Shorter, because the kernel has already waited several seconds for an acknowledgement.
            Departure::Vanished => leave_grace.min(VANISHED_GRACE),
        };
        self.pending_departure = Some(PendingDeparture {
            deadline: now + grace,
            how,
        });
    }

    /// Records that all streams of the device have ended, and that the device does not come back.
    pub(super) fn end(&mut self, now: Instant) {
        self.stream_count = 0;
        self.pending_departure = Some(PendingDeparture {
            deadline: now,
            how: Departure::Left,
        });
    }

    /// Whether the device has an open listener stream.
    pub(super) fn is_present(&self) -> bool {
        self.stream_count > 0
    }

    /// When the device departs unless it reconnects, and how; `None` while the device has an open stream.
    pub(super) fn pending_departure(&self) -> Option<(Instant, Departure)> {
        self.pending_departure
            .map(|departure| (departure.deadline, departure.how))
    }
}
