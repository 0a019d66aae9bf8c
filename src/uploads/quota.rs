//! How many bytes uploads may have on the disk.

use std::sync::Arc;

use super::Unfinished;

/// The share of the disk that uploads leave free, in percent: the state file and the system need room.
pub const RESERVED_DISK_SHARE: u64 = 5;

/// The size of a file system, and what is free of it.
#[derive(Debug, Clone, Copy)]
pub struct Disk {
    /// All bytes.
    pub total: u64,
    /// The bytes that this process may still write.
    pub available: u64,
}

impl Disk {
    /// The bytes that uploads may still write.
    pub fn free_bytes(self) -> u64 {
        self.available
            .saturating_sub(self.total / 100 * RESERVED_DISK_SHARE)
    }
}

/// The limits of all uploads together, and what they use.
#[derive(Debug, Clone, Copy)]
pub struct Quota {
    /// The most bytes of all uploads.
    pub limit: u64,
    /// The bytes of the uploads that have become tracks.
    pub stored: u64,
    /// The disk of the uploads.
    pub disk: Disk,
}

impl Quota {
    /// The most bytes that a new upload may have. Unfinished uploads count with all of their bytes, except those whose files are
    /// among the stored ones.
    pub fn left<'a>(self, unfinished: impl Iterator<Item = &'a Arc<Unfinished>>) -> u64 {
        let (mut promised, mut missing) = (0_u64, 0_u64);
        for upload in unfinished.filter(|upload| upload.result.get().is_none()) {
            promised = promised.saturating_add(upload.size);
            missing = missing.saturating_add(upload.size.saturating_sub(upload.received()));
        }
        let by_limit = self
            .limit
            .saturating_sub(self.stored.saturating_add(promised));
        by_limit.min(self.disk.free_bytes().saturating_sub(missing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DISK: Disk = Disk {
        total: 1_000,
        available: 400,
    };

    #[test]
    fn quota_counts_stored_files_and_promised_bytes() {
        let quota = Quota {
            limit: 300,
            stored: 100,
            disk: DISK,
        };
        assert_eq!(quota.left([].iter()), 200);
        let unfinished = [Arc::new(Unfinished::for_test(150, 50))];
        assert_eq!(quota.left(unfinished.iter()), 50);
    }

    #[test]
    fn a_twentieth_of_the_disk_stays_free() {
        let quota = Quota {
            limit: 10_000,
            stored: 0,
            disk: DISK,
        };
        assert_eq!(quota.left([].iter()), 350);
        let unfinished = [Arc::new(Unfinished::for_test(150, 50))];
        assert_eq!(quota.left(unfinished.iter()), 250);
    }
}
