//! An unfinished upload: what is known of it, and the right to write its file, which one request at a time has.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};
use tokio::sync::{OwnedMutexGuard, watch};

use super::{Completed, NewUpload, file_name};
use crate::library::clean_title;
use crate::room::MemberId;

/// How long a request waits for another one to stop writing.
const LOCK_TIMEOUT: Duration = Duration::from_secs(15);

/// The id of an upload, which clients see in its URL: 128 random bits, written as 32 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UploadId(u128);

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The text is not an [`UploadId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid upload id")]
pub struct InvalidUploadId;

impl FromStr for UploadId {
    type Err = InvalidUploadId;

    fn from_str(text: &str) -> Result<Self, InvalidUploadId> {
        let is_valid = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() != 32 || !text.bytes().all(is_valid) {
            return Err(InvalidUploadId);
        }
        let number = u128::from_str_radix(text, 16);
        number.map(UploadId).map_err(|_| InvalidUploadId)
    }
}

impl Serialize for UploadId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// An upload that has begun. It is remembered for a while after it has become a track, because the device may not have received
/// the answer.
#[derive(Debug)]
pub struct Unfinished {
    /// The id.
    pub id: UploadId,
    /// The device that uploads.
    pub owner: MemberId,
    /// The address of the device; `None` for an upload of a previous run of the server.
    pub address: Option<IpAddr>,
    /// The name of the file, cleaned.
    pub name: String,
    /// Bytes in the whole file.
    pub size: u64,
    /// Whether the track is picked for the device once it is complete.
    pub is_pick: bool,
    /// The title for a file without a title in its tags, cleaned.
    pub title: Option<String>,
    /// The header `Upload-Metadata`, as the device sent it.
    pub metadata: String,
    /// Whether the upload can continue after a broken connection.
    pub is_resumable: bool,
    received: AtomicU64,
    /// The track that the file has become; unset until the file was checked.
    pub(super) result: OnceLock<Completed>,
    /// Whether the track is listed and picked, so that nothing is left to do.
    is_done: AtomicBool,
    last_byte: Mutex<SystemTime>,
    lock: Arc<tokio::sync::Mutex<()>>,
    /// Changes when the request that has the lock must give it up.
    interruptions: watch::Sender<()>,
}

impl Unfinished {
    pub(super) fn new(new: NewUpload, now: SystemTime) -> Self {
        Unfinished {
            address: Some(new.address),
            name: file_name::cleaned(&new.name),
            title: new.title.as_deref().and_then(clean_title),
            metadata: new.metadata,
            is_resumable: new.is_resumable,
            ..Unfinished::restored(
                (UploadId(rand::random()), new.owner),
                (new.name, new.size, new.is_pick),
                (0, now),
            )
        }
    }

    /// An upload of a previous run of the server, with the number of received bytes and the time of the last one.
    pub(super) fn restored(
        (id, owner): (UploadId, MemberId),
        (name, size, is_pick): (String, u64, bool),
        (received, last_byte): (u64, SystemTime),
    ) -> Self {
        Unfinished {
            id,
            owner,
            address: None,
            name,
            size,
            is_pick,
            title: None,
            metadata: String::new(),
            is_resumable: true,
            result: OnceLock::new(),
            is_done: AtomicBool::new(false),
            received: AtomicU64::new(received),
            last_byte: Mutex::new(last_byte),
            lock: Arc::default(),
            interruptions: watch::Sender::new(()),
        }
    }

    #[cfg(test)]
    pub(super) fn for_test(size: u64, received: u64) -> Self {
        let name = "Song.mp3".to_owned();
        let ids = (UploadId(1), MemberId(1));
        Unfinished::restored(ids, (name, size, true), (received, SystemTime::now()))
    }

    /// The number of bytes that are on the disk.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Acquire)
    }

    /// Whether all bytes are on the disk.
    pub fn is_complete(&self) -> bool {
        self.received() == self.size
    }

    /// The track that the file has become, once that is listed and picked.
    pub fn done(&self) -> Option<Completed> {
        let is_done = self.is_done.load(Ordering::Acquire);
        self.result.get().copied().filter(|_| is_done)
    }

    /// See [`Unfinished::done`].
    pub(super) fn mark_done(&self) {
        self.is_done.store(true, Ordering::Release);
    }

    /// Whether no request and no task works on the upload.
    pub fn is_idle(&self) -> bool {
        self.lock.try_lock().is_ok()
    }

    /// When the last bytes arrived, or the upload began.
    pub fn last_byte(&self) -> SystemTime {
        *self
            .last_byte
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the request that writes the file at present.
    pub(super) fn interrupt(&self) {
        self.interruptions.send_replace(());
    }

    /// The right to write the file. Ends the request that has this right: its connection may be a dead one, from which a phone
    /// has moved on. `None` if that request does not end in time.
    pub async fn lock(self: &Arc<Self>) -> Option<Writer> {
        self.interrupt();
        let locked = tokio::time::timeout(LOCK_TIMEOUT, self.lock.clone().lock_owned());
        Some(Writer {
            _guard: locked.await.ok()?,
            interruptions: self.interruptions.subscribe(),
            upload: self.clone(),
        })
    }
}

/// The right to write the file of an upload.
#[derive(Debug)]
pub struct Writer {
    /// The upload.
    pub upload: Arc<Unfinished>,
    _guard: OwnedMutexGuard<()>,
    interruptions: watch::Receiver<()>,
}

impl Writer {
    /// Resolves when another request wants to write, or the upload has ended. Cancel-safe.
    pub async fn interrupted(&mut self) {
        // The sender lives as long as `upload`.
        let _ = self.interruptions.changed().await;
    }

    /// Records that the file now has `received` bytes of the upload.
    pub fn record(&self, received: u64) {
        let before = self.upload.received.swap(received, Ordering::AcqRel);
        if received <= before {
            return;
        }
        let last_byte = self.upload.last_byte.lock();
        *last_byte.unwrap_or_else(PoisonError::into_inner) = SystemTime::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn newer_request_interrupts_the_older_one() {
        let upload = Arc::new(Unfinished::for_test(10, 0));
        let mut older = upload.lock().await.unwrap();
        let running = tokio::spawn(async move {
            older.interrupted().await;
            older.record(7);
        });
        let newer = upload.lock().await.unwrap();
        running.await.unwrap();
        assert_eq!(newer.upload.received(), 7);
    }

    #[test]
    fn id_has_one_text_form() {
        let id = UploadId(0xab);
        assert_eq!(id.to_string().parse(), Ok(id));
        for invalid in ["", "ab", &"g".repeat(32), &"A".repeat(32), &"+".repeat(32)] {
            assert_eq!(invalid.parse::<UploadId>(), Err(InvalidUploadId));
        }
    }
}
