//! A token bucket: a rate limit that allows a burst and then a steady rate. Reads no clock: callers pass the time.

use std::time::{Duration, Instant};

/// A bucket that contains up to `capacity` tokens, and gains one token per `refill_interval`. Each permitted action takes a
/// token.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    capacity: f64,
    refill_interval: Duration,
    tokens: f64,
    updated_at: Instant,
}

impl TokenBucket {
    /// A full bucket.
    pub(crate) fn full(capacity: u32, refill_interval: Duration, now: Instant) -> Self {
        TokenBucket {
            capacity: capacity.into(),
            refill_interval,
            tokens: capacity.into(),
            updated_at: now,
        }
    }

    /// Adds the tokens gained since the last refill.
    pub(crate) fn refill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.updated_at);
        let gained = elapsed.as_secs_f64() / self.refill_interval.as_secs_f64();
        self.tokens = (self.tokens + gained).min(self.capacity);
        self.updated_at = now;
    }

    /// Whether the bucket is full, without the tokens gained since the last refill.
    pub(crate) fn is_full(&self) -> bool {
        self.tokens >= self.capacity
    }

    /// Checks that the bucket contains a token, as of the last refill.
    ///
    /// # Errors
    /// If the bucket contains no token, the time from the last refill to the next token.
    pub(crate) fn check(&self) -> Result<(), Duration> {
        if self.tokens >= 1.0 {
            return Ok(());
        }
        let missing = (1.0 - self.tokens).clamp(0.0, 1.0);
        Err(self.refill_interval.mul_f64(missing))
    }

    /// Removes a token. Callers must first [check](Self::check) that the bucket contains one.
    pub(crate) fn take(&mut self) {
        self.tokens -= 1.0;
    }

    /// Puts a token back that was removed for an action which does not count.
    pub(crate) fn give_back(&mut self) {
        self.tokens = (self.tokens + 1.0).min(self.capacity);
    }

    /// Refills the bucket, and removes a token.
    ///
    /// # Errors
    /// If the bucket contains no token, the time to the next token.
    pub(crate) fn try_take(&mut self, now: Instant) -> Result<(), Duration> {
        self.refill(now);
        self.check()?;
        self.take();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allows_a_burst_and_then_one_token_for_each_interval() {
        let (interval, start) = (Duration::from_secs(10), Instant::now());
        let mut bucket = TokenBucket::full(3, interval, start);
        for _ in 0..3 {
            assert_eq!(bucket.try_take(start), Ok(()));
        }
        assert_eq!(bucket.try_take(start), Err(interval));
        let half_way = start + interval / 2;
        assert_eq!(bucket.try_take(half_way), Err(interval / 2));
        assert_eq!(bucket.try_take(start + interval), Ok(()));
        assert!(bucket.try_take(start + interval).is_err());
    }

    #[test]
    fn never_holds_more_than_its_capacity() {
        let (interval, start) = (Duration::from_secs(1), Instant::now());
        let mut bucket = TokenBucket::full(2, interval, start);
        let later = start + 100 * interval;
        assert_eq!(bucket.try_take(later), Ok(()));
        assert!(!bucket.is_full());
        assert_eq!(bucket.try_take(later), Ok(()));
        assert!(bucket.try_take(later).is_err());
    }
}
