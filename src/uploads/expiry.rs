//! PURE: when uploads expire.

use std::time::{Duration, SystemTime};

/// When something that was last used at `last_used` expires; `None`: never.
pub(super) fn expires_at(last_used: SystemTime, lifetime: Option<Duration>) -> Option<SystemTime> {
    last_used.checked_add(lifetime?)
}

/// Whether something that was last used at `last_used` has expired. A time in the future results from a wrong clock and never
/// expires.
pub(super) fn is_expired(
    last_used: SystemTime,
    lifetime: Option<Duration>,
    now: SystemTime,
) -> bool {
    expires_at(last_used, lifetime).is_some_and(|at| at <= now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upload_expires_a_lifetime_after_its_last_use() {
        let used = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let day = Some(Duration::from_secs(86_400));
        assert!(!is_expired(used, day, used + Duration::from_secs(86_399)));
        assert!(is_expired(used, day, used + Duration::from_secs(86_400)));
        assert!(!is_expired(used, None, used + Duration::from_secs(1 << 40)));
        assert!(!is_expired(used, day, SystemTime::UNIX_EPOCH));
    }
}
