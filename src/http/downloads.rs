//! Limits how many downloads each device has in progress.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::room::MemberId;

/// Maximum number of concurrent downloads of one device, limited because each download keeps a file open. A browser opens
/// up to six connections to a host. The other four allow for connections that were lost in a network failure, which the
/// kernel reports as closed only after a minute.
pub(super) const MAX_DOWNLOADS_PER_DEVICE: usize = 10;

/// The number of downloads in progress of each device. Devices without a download have no entry.
#[derive(Debug, Default)]
pub(super) struct DownloadSlots(Arc<Mutex<HashMap<MemberId, usize>>>);

impl DownloadSlots {
    /// Counts one more download of the device; `None` if the device already has [`MAX_DOWNLOADS_PER_DEVICE`].
    pub(super) fn take(&self, member: MemberId) -> Option<DownloadSlot> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(member).or_default();
        if *count >= MAX_DOWNLOADS_PER_DEVICE {
            return None;
        }
        *count += 1;
        Some(DownloadSlot {
            member,
            counts: self.0.clone(),
        })
    }
}

/// One counted download. Dropping the slot subtracts the download from the count.
#[derive(Debug)]
pub(super) struct DownloadSlot {
    member: MemberId,
    counts: Arc<Mutex<HashMap<MemberId, usize>>>,
}

impl Drop for DownloadSlot {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.member) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.member);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_the_downloads_of_each_device_separately() {
        let downloads = DownloadSlots::default();
        let (one, other) = (MemberId(1), MemberId(2));
        let mut slots: Vec<_> = (0..MAX_DOWNLOADS_PER_DEVICE)
            .map(|_| downloads.take(one).unwrap())
            .collect();
        assert!(downloads.take(one).is_none());
        assert!(downloads.take(other).is_some());
        slots.pop();
        slots.extend(downloads.take(one));
        assert_eq!(slots.len(), MAX_DOWNLOADS_PER_DEVICE);
        slots.clear();
        assert!(
            downloads.0.lock().unwrap().is_empty(),
            "a device without downloads has no entry"
        );
    }
}
