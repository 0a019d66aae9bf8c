//! A rate limit on the actions of each device and of the room: a maximum number within a time window.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::room::MemberId;

/// The length of the windows of all limits.
const WINDOW: Duration = Duration::from_secs(5);

/// The times of the last actions, at most as many as the limit permits within [`WINDOW`].
#[derive(Debug, Default)]
struct RateWindow(VecDeque<Instant>);

impl RateWindow {
    /// Forgets the actions that are outside of the window.
    fn advance(&mut self, now: Instant) {
        while self.0.front().is_some_and(|at| now - *at >= WINDOW) {
            self.0.pop_front();
        }
    }

    /// Checks that another action is permitted.
    ///
    /// # Errors
    /// The time to the next action that is permitted.
    fn check(&mut self, limit: usize, now: Instant) -> Result<(), Duration> {
        self.advance(now);
        match self.0.front() {
            Some(oldest) if self.0.len() >= limit => Err(WINDOW - (now - *oldest)),
            _ => Ok(()),
        }
    }
}

/// Whose limit an action would exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitOf {
    /// The device that acts.
    Device,
    /// All devices together.
    Room,
}

/// An action beyond a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LimitReached {
    pub(super) of: LimitOf,
    /// How long the sender must wait.
    pub(super) retry_after: Duration,
}

/// The limits on one kind of action. Uses memory only for devices that acted within the last [`WINDOW`].
#[derive(Debug)]
pub(super) struct RateLimits {
    device_limit: usize,
    room_limit: usize,
    devices: BTreeMap<MemberId, RateWindow>,
    room: RateWindow,
}

impl RateLimits {
    pub(super) fn new(device_limit: usize, room_limit: usize) -> Self {
        RateLimits {
            device_limit,
            room_limit,
            devices: BTreeMap::new(),
            room: RateWindow::default(),
        }
    }

    /// Permits and records an action of `member`. A refused action is not recorded.
    ///
    /// # Errors
    /// [`LimitReached`].
    pub(super) fn permit(&mut self, member: MemberId, now: Instant) -> Result<(), LimitReached> {
        self.devices.retain(|_, window| {
            window.advance(now);
            !window.0.is_empty()
        });
        let reached = |of| move |retry_after| LimitReached { of, retry_after };
        let device = self.devices.entry(member).or_default();
        let permitted = device.check(self.device_limit, now);
        permitted.map_err(reached(LimitOf::Device))?;
        let permitted = self.room.check(self.room_limit, now);
        permitted.map_err(reached(LimitOf::Room))?;
        device.0.push_back(now);
        self.room.0.push_back(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const M1: MemberId = MemberId(1);
    const M2: MemberId = MemberId(2);

    fn device_limit(retry_after_ms: u64) -> Result<(), LimitReached> {
        Err(LimitReached {
            of: LimitOf::Device,
            retry_after: Duration::from_millis(retry_after_ms),
        })
    }

    #[test]
    fn no_window_contains_more_actions_of_a_device_than_permitted() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut limits = RateLimits::new(3, 100);
        for ms in [0, 1_000, 4_000] {
            assert_eq!(limits.permit(M1, at(ms)), Ok(()));
        }
        assert_eq!(limits.permit(M1, at(4_500)), device_limit(500));
        assert_eq!(limits.permit(M2, at(4_500)), Ok(()));
        assert_eq!(limits.permit(M1, at(5_000)), Ok(()));
        assert_eq!(limits.permit(M1, at(5_001)), device_limit(999));
    }

    #[test]
    fn room_has_a_limit_of_its_own() {
        let now = Instant::now();
        let mut limits = RateLimits::new(3, 4);
        let permitted = (1..=10).filter(|n| limits.permit(MemberId(*n), now).is_ok());
        assert_eq!(permitted.count(), 4);
        let refused = limits.permit(MemberId(20), now).unwrap_err();
        assert_eq!(refused.of, LimitOf::Room);
        assert!(limits.permit(M1, now + WINDOW).is_ok());
    }

    #[test]
    fn refused_actions_and_silent_devices_use_no_memory() {
        let now = Instant::now();
        let mut limits = RateLimits::new(2, 10);
        for n in 0..1_000 {
            let _ = limits.permit(MemberId(n % 20), now);
        }
        assert_eq!(limits.room.0.len(), 10);
        limits.permit(M1, now + WINDOW).unwrap();
        assert_eq!((limits.devices.len(), limits.room.0.len()), (1, 1));
    }
}
