//! The folder of the uploads on the disk.
//!
//! | path | content |
//! | --- | --- |
//! | `.unfinished/ID` | the bytes of an unfinished upload that have arrived |
//! | `.unfinished/ID.json` | its [`Record`] |
//! | `TRACKID-MEMBERID/.title` | the title that a device has typed for a track |
//! | `TRACKID-MEMBERID/NAME` | the file of a track; the modification time of the folder is when the track was last used |

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::Completed;
use super::quota::Disk;
use super::unfinished::{Unfinished, UploadId};
use crate::data_files::{self, DataFiles, OWNER_ONLY, TEMPORARY_SUFFIX, WriteOptions};
use crate::library::{UploadKey, write_title};
use crate::room::{MemberId, TrackId};

const UNFINISHED_FOLDER: &str = ".unfinished";
const RECORD_EXTENSION: &str = "json";
/// The permissions of folders.
const FOLDER_MODE: u32 = 0o700;
/// The time of the last use is written again after this time.
const USE_PRECISION: Duration = Duration::from_secs(30);

/// The folder of the uploads beside the state file, which is used if no other one is configured.
pub fn default_folder(state_file: &Path) -> PathBuf {
    DataFiles::beside(state_file).uploads_path()
}

/// The absolute path of a folder without symbolic links, whether or not the folder exists.
///
/// # Errors
/// The system's error if the working directory is unknown.
pub fn resolved_folder(folder: &Path) -> io::Result<PathBuf> {
    let folder = std::path::absolute(folder)?;
    if let Ok(resolved) = folder.canonicalize() {
        return Ok(resolved);
    }
    let parent = folder
        .parent()
        .and_then(|parent| parent.canonicalize().ok());
    Ok(match (parent, folder.file_name()) {
        (Some(parent), Some(name)) => parent.join(name),
        _ => folder,
    })
}

/// What the disk keeps of an unfinished upload beside its bytes. The names are part of the format.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    member_id: MemberId,
    name: String,
    size: u64,
    is_pick: bool,
    /// The title for a file without a title in its tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    /// The track that the file becomes; `None` until the file was checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    track_id: Option<TrackId>,
    /// Whether no other file has the same content. Meaningless without `track_id`.
    #[serde(default)]
    is_new: bool,
    /// Whether the track is listed and picked.
    #[serde(default)]
    is_done: bool,
    #[serde(default)]
    metadata: String,
    #[serde(default = "default_resumable")]
    is_resumable: bool,
    /// While bytes with a checksum arrive: the number of bytes before them. The bytes after these are not verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    verified: Option<u64>,
}

fn default_resumable() -> bool {
    true
}

/// An upload that is a file of the library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredUpload {
    /// The track and the uploader.
    pub key: UploadKey,
    /// The file name.
    pub name: String,
    /// Bytes in the file.
    pub size: u64,
    /// When the track was last played or picked, or the upload was completed.
    pub last_used: SystemTime,
}

/// The folder of the uploads. It is created for the first upload.
#[derive(Debug)]
pub(super) struct UploadFolder {
    root: PathBuf,
    unfinished: PathBuf,
}

impl UploadFolder {
    pub(super) fn new(root: &Path) -> Self {
        UploadFolder {
            root: root.into(),
            unfinished: root.join(UNFINISHED_FOLDER),
        }
    }

    pub(super) fn create(&self) -> io::Result<()> {
        create_folder(&self.unfinished)
    }

    fn file_path(&self, id: UploadId) -> PathBuf {
        self.unfinished.join(id.to_string())
    }

    fn record_path(&self, id: UploadId) -> PathBuf {
        self.file_path(id).with_extension(RECORD_EXTENSION)
    }

    /// Loads the unfinished uploads. Removes what cannot be continued: records that are damaged or have lost their file, with a line
    /// in the log, and the remains of a server that was killed.
    pub(super) fn load_unfinished(&self) -> io::Result<Vec<Unfinished>> {
        let mut uploads = Vec::new();
        let mut paths = Vec::new();
        for entry in entries(&self.unfinished)? {
            paths.push(entry?.path());
        }
        for path in &paths {
            let Some(id) = upload_id_of(path).filter(|_| has_extension(path, RECORD_EXTENSION))
            else {
                continue;
            };
            match self.load(id) {
                Ok(Some(upload)) => uploads.push(upload),
                Ok(None) => self.remove_unfinished(id)?,
                Err(error) => {
                    tracing::warn!(file = ?path, "an unfinished upload is lost: {error}");
                    if matches!(
                        error.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::InvalidData
                    ) {
                        self.remove_unfinished(id)?;
                    }
                }
            }
        }
        for path in &paths {
            let is_left_over = match upload_id_of(path) {
                Some(id) => path.extension().is_none() && !self.record_path(id).exists(),
                None => has_extension(path, TEMPORARY_SUFFIX.trim_start_matches('.')),
            };
            if is_left_over {
                fs::remove_file(path)?;
            }
        }
        Ok(uploads)
    }

    /// `None` for an upload that cannot continue after a broken connection.
    fn load(&self, id: UploadId) -> io::Result<Option<Unfinished>> {
        let record = self.read_record(id)?;
        let metadata = match fs::metadata(self.file_path(id)) {
            Ok(metadata) => metadata,
            // The file has already become a track.
            Err(error) if is_missing(&error) && record.track_id.is_some() => {
                fs::metadata(self.record_path(id))?
            }
            Err(error) => return Err(error),
        };
        if record.track_id.is_none() && !record.is_resumable {
            return Ok(None);
        }
        let received = match record.track_id {
            Some(_) => record.size,
            None => metadata
                .len()
                .min(record.size)
                .min(record.verified.unwrap_or(u64::MAX)),
        };
        let mut upload = Unfinished::restored(
            (id, record.member_id),
            (record.name, record.size, record.is_pick),
            (received, metadata.modified()?),
        );
        upload.title = record.title;
        upload.metadata = record.metadata;
        upload.is_resumable = record.is_resumable;
        if let Some(track_id) = record.track_id {
            let is_new = record.is_new;
            let _ = upload.result.set(Completed { track_id, is_new });
            if record.is_done {
                upload.mark_done();
            }
        }
        Ok(Some(upload))
    }

    /// Records that the bytes behind the first `verified` ones are not verified, or, with `None`, that all are.
    pub(super) fn record_verified(
        &self,
        upload: &Unfinished,
        verified: Option<u64>,
    ) -> io::Result<()> {
        let mut record = record_of(upload, None);
        record.verified = verified;
        self.write_record(upload.id, &record)
    }

    /// Records that nothing is left to do for an upload that has become a track.
    pub(super) fn record_done(&self, upload: &Unfinished, done: Completed) -> io::Result<()> {
        let mut record = record_of(upload, Some(done));
        record.is_done = true;
        self.write_record(upload.id, &record)
    }

    fn read_record(&self, id: UploadId) -> io::Result<Record> {
        Ok(serde_json::from_slice(&fs::read(self.record_path(id))?)?)
    }

    fn write_record(&self, id: UploadId, record: &Record) -> io::Result<()> {
        let json = serde_json::to_vec(record)?;
        let path = self.record_path(id);
        data_files::replace(&path, ".record-", WriteOptions::DURABLE, |file| {
            file.write_all(&json)
        })
    }

    /// Creates the files of a new upload.
    pub(super) fn create_unfinished(&self, upload: &Unfinished) -> io::Result<()> {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(OWNER_ONLY)
            .open(self.file_path(upload.id))?;
        let created = self.write_record(upload.id, &record_of(upload, None));
        if created.is_err() {
            let _ = self.remove_unfinished(upload.id);
        }
        created
    }

    /// Opens the file of an unfinished upload for reading and writing.
    pub(super) fn open_unfinished(&self, id: UploadId) -> io::Result<File> {
        let path = self.file_path(id);
        OpenOptions::new().read(true).write(true).open(path)
    }

    pub(super) fn remove_unfinished(&self, id: UploadId) -> io::Result<()> {
        // The record first: without it, the file is removed at the next start.
        for path in [self.record_path(id), self.file_path(id)] {
            match fs::remove_file(path) {
                Err(error) if !is_missing(&error) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// The result of an earlier [`UploadFolder::store`] or [`UploadFolder::record_stored`], which a kill of the server may have
    /// interrupted; completes it. `None` if the file must still be checked.
    pub(super) fn stored_before(&self, id: UploadId) -> io::Result<Option<Completed>> {
        let record = self.read_record(id)?;
        let Some(track_id) = record.track_id else {
            return Ok(None);
        };
        let done = Completed {
            track_id,
            is_new: record.is_new,
        };
        let member = record.member_id;
        if done.is_new && self.file_path(id).exists() {
            self.move_into_library(id, UploadKey { track_id, member }, &record)?;
        }
        Ok(Some(done))
    }

    /// Makes the file of an upload a file of the library, with this file name and this title.
    pub(super) fn store(
        &self,
        upload: &Unfinished,
        key: UploadKey,
        (name, title): (&str, Option<&str>),
        done: Completed,
    ) -> io::Result<()> {
        let mut record = record_of(upload, Some(done));
        name.clone_into(&mut record.name);
        record.title = title.map(str::to_owned);
        self.write_record(upload.id, &record)?;
        self.move_into_library(upload.id, key, &record)
    }

    fn move_into_library(&self, id: UploadId, key: UploadKey, record: &Record) -> io::Result<()> {
        let target = self.root.join(key.path(&record.name));
        let folder = self.root.join(key.folder_name());
        create_folder(&folder)?;
        if record.title.is_some() {
            write_title(&target, record.title.as_deref())?;
        }
        fs::rename(self.file_path(id), target)?;
        for folder in [&folder, &self.root, &self.unfinished] {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }

    /// Records that the library has the content of an upload already, and drops the file.
    pub(super) fn record_stored(&self, upload: &Unfinished, known: Completed) -> io::Result<()> {
        self.write_record(upload.id, &record_of(upload, Some(known)))?;
        fs::remove_file(self.file_path(upload.id))
    }

    /// Writes or removes the typed title of a file of the library.
    pub(super) fn write_title(&self, upload: &StoredUpload, title: Option<&str>) -> io::Result<()> {
        write_title(&self.root.join(upload.key.path(&upload.name)), title)
    }

    /// Whether a file of the library has this track.
    pub(super) fn has_track(&self, track_id: TrackId) -> io::Result<bool> {
        let mut stored = self.stored()?.into_iter();
        Ok(stored.any(|upload| upload.key.track_id == track_id))
    }

    /// The files of the library. Another request may remove some of them meanwhile.
    pub(super) fn stored(&self) -> io::Result<Vec<StoredUpload>> {
        let mut uploads = Vec::new();
        for entry in entries(&self.root)? {
            let entry = entry?;
            let name = entry.file_name();
            if let Some(key) = name.to_str().and_then(UploadKey::of_folder_name) {
                match stored_in(&entry, key) {
                    Err(error)
                        if is_missing(&error) || error.kind() == io::ErrorKind::NotADirectory => {}
                    stored => uploads.extend(stored?),
                }
            }
        }
        Ok(uploads)
    }

    pub(super) fn record_use(&self, tracks: &[TrackId], now: SystemTime) -> io::Result<()> {
        if tracks.is_empty() {
            return Ok(());
        }
        for upload in self.stored()? {
            let age = now.duration_since(upload.last_used).unwrap_or_default();
            if age >= USE_PRECISION && tracks.contains(&upload.key.track_id) {
                let folder = File::open(self.root.join(upload.key.folder_name()))?;
                folder.set_modified(now)?;
            }
        }
        Ok(())
    }

    pub(super) fn remove_stored(&self, upload: &StoredUpload) -> io::Result<()> {
        match fs::remove_dir_all(self.root.join(upload.key.folder_name())) {
            Err(error) if !is_missing(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// The disk of the folder, or of the next folder above that exists.
    pub(super) fn disk(&self) -> io::Result<Disk> {
        let existing = self.root.ancestors().find(|folder| folder.exists());
        let disk = rustix::fs::statvfs(existing.unwrap_or(Path::new("/")))?;
        Ok(Disk {
            total: disk.f_blocks.saturating_mul(disk.f_frsize),
            available: disk.f_bavail.saturating_mul(disk.f_frsize),
        })
    }
}

fn record_of(upload: &Unfinished, done: Option<Completed>) -> Record {
    Record {
        member_id: upload.owner,
        name: upload.name.clone(),
        size: upload.size,
        is_pick: upload.is_pick,
        title: upload.title.clone(),
        track_id: done.map(|done| done.track_id),
        is_new: done.is_some_and(|done| done.is_new),
        is_done: false,
        metadata: upload.metadata.clone(),
        is_resumable: upload.is_resumable,
        verified: None,
    }
}

fn create_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(FOLDER_MODE)
        .create(path)
}

fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

/// The entries of a folder; none if there is no such folder.
fn entries(folder: &Path) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>>> {
    let entries = match folder.read_dir() {
        Ok(entries) => Some(entries),
        Err(error) if is_missing(&error) => None,
        Err(error) => return Err(error),
    };
    Ok(entries.into_iter().flatten())
}

/// The files in the folder of an upload.
fn stored_in(folder: &fs::DirEntry, key: UploadKey) -> io::Result<Vec<StoredUpload>> {
    let last_used = folder.metadata()?.modified()?;
    let mut uploads = Vec::new();
    for file in folder.path().read_dir()? {
        let file = file?;
        let metadata = file.metadata()?;
        // A name with a dot is that of a typed title.
        let is_hidden = file.file_name().as_encoded_bytes().starts_with(b".");
        if metadata.is_file() && !is_hidden {
            uploads.push(StoredUpload {
                key,
                name: file.file_name().to_string_lossy().into_owned(),
                size: metadata.len(),
                last_used,
            });
        }
    }
    Ok(uploads)
}

fn has_extension(path: &Path, expected: &str) -> bool {
    path.extension()
        .is_some_and(|extension| extension == expected)
}

/// The id in the name of a file in `.unfinished`.
fn upload_id_of(path: &Path) -> Option<UploadId> {
    path.file_stem()?.to_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::super::NewUpload;
    use super::*;

    const NEW: Completed = Completed {
        track_id: TrackId(0xab),
        is_new: true,
    };

    fn begun(folder: &UploadFolder) -> Unfinished {
        let new = NewUpload {
            owner: MemberId(3),
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            name: "Song.mp3".into(),
            size: 5,
            is_pick: true,
            title: Some("Lullaby".into()),
            metadata: String::new(),
            is_resumable: true,
        };
        let upload = Unfinished::new(new, SystemTime::now());
        folder.create().unwrap();
        folder.create_unfinished(&upload).unwrap();
        upload
    }

    #[test]
    fn unfinished_uploads_survive_a_restart() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = UploadFolder::new(temporary.path());
        assert!(folder.load_unfinished().unwrap().is_empty());
        let upload = begun(&folder);
        folder
            .open_unfinished(upload.id)
            .unwrap()
            .write_all(b"abc")
            .unwrap();
        fs::write(temporary.path().join(".unfinished/junk.json"), "{").unwrap();

        let [loaded] = &folder.load_unfinished().unwrap()[..] else {
            panic!("one upload");
        };
        let known = (loaded.id, loaded.owner, &*loaded.name, loaded.size);
        assert_eq!(known, (upload.id, MemberId(3), "Song.mp3", 5));
        assert_eq!((loaded.received(), loaded.is_pick), (3, true));
        assert_eq!(loaded.title.as_deref(), Some("Lullaby"));
        folder.remove_unfinished(upload.id).unwrap();
        assert!(folder.load_unfinished().unwrap().is_empty());
    }

    #[test]
    fn interrupted_store_is_completed_later() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = UploadFolder::new(temporary.path());
        let upload = begun(&folder);
        assert_eq!(folder.stored_before(upload.id).unwrap(), None);
        // As if the server was killed after it wrote the record.
        folder
            .write_record(upload.id, &record_of(&upload, Some(NEW)))
            .unwrap();

        assert_eq!(folder.stored_before(upload.id).unwrap(), Some(NEW));
        let [stored] = &folder.stored().unwrap()[..] else {
            panic!("one file");
        };
        assert_eq!(
            (stored.key.track_id, &*stored.name),
            (TrackId(0xab), "Song.mp3")
        );
        let title = stored.key.path(".title");
        let title = fs::read_to_string(temporary.path().join(title)).unwrap();
        assert_eq!(title, "Lullaby");
        assert_eq!(
            folder.stored_before(upload.id).unwrap(),
            Some(NEW),
            "once more"
        );
        assert!(folder.load_unfinished().unwrap()[0].is_complete());
    }

    #[test]
    fn use_of_a_track_is_recorded_and_removal_removes_its_folder() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = UploadFolder::new(temporary.path());
        let upload = begun(&folder);
        let key = UploadKey {
            track_id: TrackId(0xab),
            member: MemberId(3),
        };
        folder.store(&upload, key, ("Song.mp3", None), NEW).unwrap();
        let later = SystemTime::now() + Duration::from_secs(1_000);
        folder.record_use(&[TrackId(1)], later).unwrap();
        assert_ne!(folder.stored().unwrap()[0].last_used, later);
        folder.record_use(&[TrackId(0xab)], later).unwrap();
        let stored = folder.stored().unwrap();
        assert_eq!(stored[0].last_used, later);
        folder.remove_stored(&stored[0]).unwrap();
        assert!(folder.stored().unwrap().is_empty());
    }
}
