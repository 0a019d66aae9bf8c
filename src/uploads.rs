//! Music that devices upload: unfinished uploads, the quota, and the files that have become tracks of the library.
//!
//! | question | file |
//! | --- | --- |
//! | Where do the files lie? | `folder.rs` |
//! | What is known of an unfinished upload, and who may write to it? | `unfinished.rs` |
//! | How many bytes may be stored? | `quota.rs` |
//! | How many uploads may a device begin? | `allowance.rs` |
//! | When is an upload removed? | `expiry.rs` |
//!
//! The functions that access files block.

mod allowance;
mod expiry;
mod file_name;
mod folder;
mod quota;
mod unfinished;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;
use tokio::sync::Notify;

use crate::library::{Library, NotMusic, UploadContent, UploadKey};
use crate::room::{MemberId, TrackId};

use allowance::Allowances;
#[cfg(fuzzing)]
pub use file_name::stored_file_name;
use folder::UploadFolder;
pub use folder::{StoredUpload, default_folder, resolved_folder};
pub use quota::{Quota, RESERVED_DISK_SHARE};
pub use unfinished::{Unfinished, UploadId, Writer};

/// The most unfinished uploads of one device.
const MAX_UNFINISHED_PER_DEVICE: usize = 3;
/// The limits hold for a device, and this many times for an address, because a house may be behind one address.
const ADDRESS_FACTOR: usize = 4;
/// The number of ended uploads of which the server remembers that they have existed.
const MAX_REMEMBERED_ENDS: usize = 1_000;
/// How long an unfinished upload is kept after its last byte.
pub const UNFINISHED_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// The settings of uploads.
#[derive(Debug, Clone)]
pub struct UploadSettings {
    /// Whether devices may upload (false with `--no-uploads`).
    pub is_enabled: bool,
    /// The folder of the uploads, as [`resolved_folder`] returns it.
    pub folder: PathBuf,
    /// The most bytes of all uploads together.
    pub quota: u64,
    /// The most bytes of one upload.
    pub max_size: u64,
    /// How long an upload stays after it was last played or picked; `None` without a limit.
    pub keep: Option<Duration>,
}

/// A request to begin an upload.
#[derive(Debug, Clone)]
pub struct NewUpload {
    /// The device that uploads.
    pub owner: MemberId,
    /// The address of the device.
    pub address: IpAddr,
    /// The name of the file, as the device states it.
    pub name: String,
    /// Bytes in the file.
    pub size: u64,
    /// Whether the track is picked for the device once it is complete.
    pub is_pick: bool,
    /// The title for a file without a title in its tags, as the device states it.
    pub title: Option<String>,
    /// The header `Upload-Metadata`, as the device sent it.
    pub metadata: String,
    /// Whether the upload can continue after a broken connection.
    pub is_resumable: bool,
}

/// Why an upload cannot begin or continue.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// Uploads are switched off.
    #[error("uploads are not allowed on this server")]
    Disabled,
    /// The file is larger than one upload may be.
    #[error("the file has more than the {max_size} bytes that an upload may have")]
    TooLarge {
        /// See [`UploadSettings::max_size`].
        max_size: u64,
    },
    /// The quota or the disk is full.
    #[error("the server has no room for this file")]
    NoRoom,
    /// The device has too many unfinished uploads, or has begun too many.
    #[error("this device has begun too many uploads")]
    TooMany {
        /// When another upload may be possible.
        retry_after: Duration,
    },
    /// There is no such upload of this device.
    #[error("there is no such upload")]
    Unknown,
    /// Only the device that has uploaded a track may change its title.
    #[error("only the device that has uploaded this track may change its title")]
    NotOwner,
    /// The tags of the file have a title.
    #[error("the tags of this file have a title")]
    HasTitleTag,
    /// The upload has ended: it is complete, was cancelled, or has expired.
    #[error("the upload has ended")]
    Ended,
    /// The file is not music that can be listed.
    #[error(transparent)]
    NotMusic(#[from] NotMusic),
    /// The file system's error.
    #[error(transparent)]
    Io(io::Error),
}

impl From<io::Error> for UploadError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => UploadError::NoRoom,
            _ => UploadError::Io(error),
        }
    }
}

/// An upload under way, as the live event `uploads` lists it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UploadProgress {
    id: UploadId,
    member_id: MemberId,
    name: String,
    received_bytes: u64,
    size: u64,
}

/// A complete upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completed {
    /// The track: the new one, or the known track with the same content.
    pub track_id: TrackId,
    /// Whether no track had this content before.
    pub is_new: bool,
}

/// All uploads of a server.
#[derive(Debug)]
pub struct Uploads {
    settings: UploadSettings,
    folder: UploadFolder,
    state: Mutex<State>,
    /// Locked while a file becomes a track, so that two files with the same content become one track.
    storing: Mutex<()>,
    /// Notified when an upload begins, progresses or ends.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    unfinished: BTreeMap<UploadId, Arc<Unfinished>>,
    /// The last ended uploads, the oldest first.
    ended: VecDeque<(UploadId, MemberId)>,
    allowances: Allowances,
}

impl Uploads {
    /// Loads the unfinished uploads of the previous run. The folder need not exist. If it cannot be read, devices cannot upload,
    /// and the log has the reason.
    pub fn open(mut settings: UploadSettings) -> Self {
        let folder = UploadFolder::new(&settings.folder);
        let unfinished = folder.load_unfinished().unwrap_or_else(|error| {
            tracing::warn!(
                "no uploads, because {} cannot be read: {error}",
                settings.folder.display()
            );
            settings.is_enabled = false;
            Vec::new()
        });
        let unfinished = unfinished
            .into_iter()
            .map(|upload| (upload.id, upload.into()));
        Uploads {
            state: Mutex::new(State {
                unfinished: unfinished.collect(),
                ..State::default()
            }),
            folder,
            settings,
            storing: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// The settings.
    pub fn settings(&self) -> &UploadSettings {
        &self.settings
    }

    /// Begins an upload.
    ///
    /// # Errors
    /// [`UploadError::Disabled`], [`UploadError::TooLarge`], [`UploadError::TooMany`], [`UploadError::NoRoom`], or the file
    /// system's error.
    pub fn begin(&self, new: NewUpload) -> Result<Arc<Unfinished>, UploadError> {
        if !self.settings.is_enabled {
            return Err(UploadError::Disabled);
        }
        let max_size = self.settings.max_size;
        if new.size > max_size {
            return Err(UploadError::TooLarge { max_size });
        }
        if new.size == 0 {
            return Err(NotMusic::Unplayable("the file is empty".into()).into());
        }
        self.folder.create()?;
        let quota = self.quota()?;
        let mut state = self.state();
        state.check_number(&new)?;
        if new.size > quota.left(state.unfinished.values()) {
            return Err(UploadError::NoRoom);
        }
        state
            .allowances
            .take(new.owner, new.address, Instant::now())?;
        let upload = Arc::new(Unfinished::new(new, SystemTime::now()));
        state.unfinished.insert(upload.id, upload.clone());
        drop(state);
        if let Err(error) = self.folder.create_unfinished(&upload) {
            self.forget(&upload);
            return Err(error.into());
        }
        self.changed.notify_waiters();
        Ok(upload)
    }

    /// The unfinished upload `id` of `owner`.
    ///
    /// # Errors
    /// [`UploadError::Unknown`] or [`UploadError::Ended`].
    pub fn find(&self, id: UploadId, owner: MemberId) -> Result<Arc<Unfinished>, UploadError> {
        let state = self.state();
        match state.unfinished.get(&id) {
            Some(upload) if upload.owner == owner => Ok(upload.clone()),
            None if state.ended.contains(&(id, owner)) => Err(UploadError::Ended),
            _ => Err(UploadError::Unknown),
        }
    }

    /// All unfinished uploads.
    pub fn unfinished(&self) -> Vec<Arc<Unfinished>> {
        self.state().unfinished.values().cloned().collect()
    }

    /// The uploads of which some bytes are missing, as the live event lists them.
    pub fn under_way(&self) -> Vec<UploadProgress> {
        let state = self.state();
        let incomplete = state
            .unfinished
            .values()
            .filter(|upload| !upload.is_complete());
        let progress = incomplete.map(|upload| UploadProgress {
            id: upload.id,
            member_id: upload.owner,
            name: upload.name.clone(),
            received_bytes: upload.received(),
            size: upload.size,
        });
        progress.collect()
    }

    /// Resolves when an upload has begun, progressed or ended since this call.
    pub fn next_change(&self) -> impl Future<Output = ()> + Send + '_ {
        self.changed.notified()
    }

    /// Records that bytes of an upload were written.
    pub fn report_progress(&self) {
        self.changed.notify_waiters();
    }

    /// Whether the disk has room for more bytes of uploads that the quota already contains.
    ///
    /// # Errors
    /// The file system's error.
    pub fn has_free_disk(&self) -> io::Result<bool> {
        Ok(self.folder.disk()?.free_bytes() > 0)
    }

    /// Opens the file of an unfinished upload for writing.
    ///
    /// # Errors
    /// The file system's error.
    pub fn open_file(&self, upload: &Unfinished) -> io::Result<std::fs::File> {
        self.folder.open_unfinished(upload.id)
    }

    /// Makes a complete upload a file of the library, or drops the file if the library has one with the same content. The
    /// caller must have flushed the file. A restarted server continues until [`Uploads::finish`] is called.
    ///
    /// # Errors
    /// [`UploadError::NotMusic`] or the file system's error. After [`NotMusic::Unplayable`], the file is removed.
    pub fn store(&self, upload: &Unfinished, library: &Library) -> Result<Completed, UploadError> {
        let _storing = self.storing.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = match self.folder.stored_before(upload.id)? {
            Some(stored) => stored,
            None => self.store_now(upload, library)?,
        };
        let _ = upload.result.set(stored);
        Ok(stored)
    }

    fn store_now(&self, upload: &Unfinished, library: &Library) -> Result<Completed, UploadError> {
        let file = self.folder.open_unfinished(upload.id)?;
        let name = file_name::with_audio_extension(&upload.name);
        let content = match UploadContent::read(&file, &name) {
            Ok(content) => content,
            Err(error) => {
                if let NotMusic::Unplayable(_) = error {
                    self.end(upload)?;
                }
                return Err(error.into());
            }
        };
        drop(file);
        let key = UploadKey {
            track_id: content.track_id(),
            member: upload.owner,
        };
        let listed = library.index().listed_copy(content.size, content.content);
        // A file that no scan has found yet.
        let unlisted =
            || Ok::<_, UploadError>(self.folder.has_track(key.track_id)?.then_some(key.track_id));
        let known = match listed {
            Some(track_id) => Some(track_id),
            None => unlisted()?,
        };
        let stored = Completed {
            track_id: known.unwrap_or(key.track_id),
            is_new: known.is_none(),
        };
        match stored.is_new {
            true => {
                let title = upload.title.as_deref().filter(|_| !content.has_title_tag);
                self.folder.store(upload, key, (&name, title), stored)?;
            }
            false => self.folder.record_stored(upload, stored)?,
        }
        Ok(stored)
    }

    /// Whether a file of the uploads has this track.
    ///
    /// # Errors
    /// The file system's error.
    pub fn has_track(&self, track_id: TrackId) -> io::Result<bool> {
        self.folder.has_track(track_id)
    }

    /// Records that the track of an upload is listed and picked. The upload is remembered for [`UNFINISHED_LIFETIME`].
    ///
    /// # Errors
    /// The file system's error.
    pub fn finish(&self, upload: &Unfinished, done: Completed) -> io::Result<()> {
        self.folder.record_done(upload, done)?;
        upload.mark_done();
        self.changed.notify_waiters();
        Ok(())
    }

    /// Records that the bytes behind the first `verified` ones are not verified, or, with `None`, that all are.
    ///
    /// # Errors
    /// The file system's error.
    pub fn record_verified(&self, upload: &Unfinished, verified: Option<u64>) -> io::Result<()> {
        self.folder.record_verified(upload, verified)
    }

    /// Ends an upload, complete or not, and removes its unfinished file.
    ///
    /// # Errors
    /// The file system's error. The upload has ended nevertheless.
    pub fn end(&self, upload: &Unfinished) -> io::Result<()> {
        self.forget(upload);
        self.folder.remove_unfinished(upload.id)
    }

    fn forget(&self, upload: &Unfinished) {
        let mut state = self.state();
        if state.unfinished.remove(&upload.id).is_some() {
            if state.ended.len() == MAX_REMEMBERED_ENDS {
                state.ended.pop_front();
            }
            state.ended.push_back((upload.id, upload.owner));
        }
        drop(state);
        upload.interrupt();
        self.changed.notify_waiters();
    }

    /// The uploads that have become files of the library.
    ///
    /// # Errors
    /// The file system's error.
    pub fn stored(&self) -> io::Result<Vec<StoredUpload>> {
        self.folder.stored()
    }

    /// When an upload is removed if it is neither played nor picked; `None`: it stays.
    pub fn expires_at(&self, upload: &StoredUpload) -> Option<SystemTime> {
        expiry::expires_at(upload.last_used, self.settings.keep)
    }

    /// Records that tracks are played, picked or fetched now.
    ///
    /// # Errors
    /// The file system's error.
    pub fn record_use(&self, tracks: &[TrackId]) -> io::Result<()> {
        self.folder.record_use(tracks, SystemTime::now())
    }

    /// Gives the upload of `member` that has become the track a title, or removes its title. The tags of the file must have no
    /// title.
    ///
    /// # Errors
    /// [`UploadError::Unknown`], [`UploadError::NotOwner`], or the file system's error.
    pub fn set_title(
        &self,
        track_id: TrackId,
        member: MemberId,
        title: Option<&str>,
    ) -> Result<(), UploadError> {
        let _storing = self.storing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stored = self.folder.stored()?;
        stored.retain(|upload| upload.key.track_id == track_id);
        if stored.is_empty() {
            return Err(UploadError::Unknown);
        }
        let own = stored.iter().find(|upload| upload.key.member == member);
        self.folder
            .write_title(own.ok_or(UploadError::NotOwner)?, title)?;
        Ok(())
    }

    /// Removes the files of the track. Returns whether there were any.
    ///
    /// # Errors
    /// The file system's error.
    pub fn remove_track(&self, track_id: TrackId) -> io::Result<bool> {
        let mut is_removed = false;
        for upload in self.folder.stored()? {
            if upload.key.track_id == track_id {
                self.folder.remove_stored(&upload)?;
                is_removed = true;
            }
        }
        Ok(is_removed)
    }

    /// Removes the uploads that have expired, except the tracks `in_use`, and ends the unfinished uploads that have expired.
    /// Returns whether files of the library were removed.
    ///
    /// # Errors
    /// The first error of the file system.
    pub fn sweep(&self, in_use: &[TrackId], now: SystemTime) -> io::Result<bool> {
        self.folder.record_use(in_use, now)?;
        for upload in self.unfinished() {
            let is_expired = expiry::is_expired(upload.last_byte(), Some(UNFINISHED_LIFETIME), now);
            if is_expired && upload.is_idle() {
                self.end(&upload)?;
            }
        }
        let mut is_removed = false;
        for upload in self.folder.stored()? {
            let is_used = in_use.contains(&upload.key.track_id);
            if !is_used && expiry::is_expired(upload.last_used, self.settings.keep, now) {
                tracing::info!(
                    "removed the upload {}, which was not played again",
                    upload.key.track_id
                );
                self.folder.remove_stored(&upload)?;
                is_removed = true;
            }
        }
        Ok(is_removed)
    }

    fn quota(&self) -> io::Result<Quota> {
        let stored = self.folder.stored()?;
        Ok(Quota {
            limit: self.settings.quota,
            stored: stored.iter().map(|upload| upload.size).sum(),
            disk: self.folder.disk()?,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Checks the number of unfinished uploads of the device and of its address.
    fn check_number(&self, new: &NewUpload) -> Result<(), UploadError> {
        let incomplete = || {
            self.unfinished
                .values()
                .filter(|upload| !upload.is_complete())
        };
        let of_device = incomplete().filter(|upload| upload.owner == new.owner);
        let of_address = incomplete().filter(|upload| upload.address == Some(new.address));
        let is_full = of_device.count() >= MAX_UNFINISHED_PER_DEVICE
            || of_address.count() >= MAX_UNFINISHED_PER_DEVICE * ADDRESS_FACTOR;
        match is_full {
            true => Err(UploadError::TooMany {
                retry_after: Duration::from_secs(10),
            }),
            false => Ok(()),
        }
    }
}
