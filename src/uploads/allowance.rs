//! How many uploads a device and an address may begin in an hour.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::{ADDRESS_FACTOR, UploadError};
use crate::room::MemberId;
use crate::token_bucket::TokenBucket;

/// The most uploads that a device begins in an hour.
const MAX_PER_HOUR: u32 = 50;
const HOUR: Duration = Duration::from_secs(60 * 60);
/// When there are more buckets of one kind, the full ones are dropped.
const MAX_BUCKETS: usize = 1_000;

/// The numbers of uploads that each device and each address may still begin.
#[derive(Debug, Default)]
pub(super) struct Allowances {
    devices: HashMap<MemberId, TokenBucket>,
    addresses: HashMap<IpAddr, TokenBucket>,
}

impl Allowances {
    /// Counts a new upload of a device.
    ///
    /// # Errors
    /// [`UploadError::TooMany`] if the device or its address has begun too many; then nothing is counted.
    pub(super) fn take(
        &mut self,
        device: MemberId,
        address: IpAddr,
        now: Instant,
    ) -> Result<(), UploadError> {
        let per_address = MAX_PER_HOUR * ADDRESS_FACTOR as u32;
        let device = bucket(&mut self.devices, device, MAX_PER_HOUR, now);
        let address = bucket(&mut self.addresses, address, per_address, now);
        for bucket in [&*device, &*address] {
            let too_many = |retry_after| UploadError::TooMany { retry_after };
            bucket.check().map_err(too_many)?;
        }
        device.take();
        address.take();
        Ok(())
    }
}

fn bucket<K: Eq + std::hash::Hash>(
    buckets: &mut HashMap<K, TokenBucket>,
    key: K,
    per_hour: u32,
    now: Instant,
) -> &mut TokenBucket {
    if buckets.len() >= MAX_BUCKETS {
        buckets.retain(|_, bucket| {
            bucket.refill(now);
            !bucket.is_full()
        });
    }
    let bucket = buckets
        .entry(key)
        .or_insert_with(|| TokenBucket::full(per_hour, HOUR / per_hour, now));
    bucket.refill(now);
    bucket
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn device_may_begin_fifty_uploads_and_more_after_a_while() {
        let mut allowances = Allowances::default();
        let now = Instant::now();
        for _ in 0..50 {
            allowances.take(MemberId(1), ADDRESS, now).unwrap();
        }
        let refused = allowances.take(MemberId(1), ADDRESS, now);
        assert!(
            matches!(refused, Err(UploadError::TooMany { retry_after }) if retry_after == HOUR / 50)
        );
        allowances.take(MemberId(2), ADDRESS, now).unwrap();
        allowances
            .take(MemberId(1), ADDRESS, now + HOUR / 50)
            .unwrap();
    }

    #[test]
    fn address_may_begin_four_times_as_many() {
        let mut allowances = Allowances::default();
        let now = Instant::now();
        for n in 0..200 {
            allowances.take(MemberId(1 + n / 40), ADDRESS, now).unwrap();
        }
        assert!(allowances.take(MemberId(9), ADDRESS, now).is_err());
    }
}
