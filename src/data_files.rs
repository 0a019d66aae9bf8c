//! The server's data files: the state file and the files beside it. Defines their names, and replaces a file such that a
//! crash leaves either its old content or its new content.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// The file name suffix of temporary files. A new version of a data file is written to a temporary file, which then replaces
/// the data file by a rename.
pub(crate) const TEMPORARY_SUFFIX: &str = ".tmp";

/// The permissions of every data file. The state file holds hashes of tokens, and the authority file holds a private key.
pub(crate) const OWNER_ONLY: u32 = 0o600;

/// The paths of the state file and of the files beside it, which share its name and add a suffix.
#[derive(Debug, Clone)]
pub(crate) struct DataFiles {
    /// The configured path of the state file, which may be a symbolic link to `state`.
    configured: PathBuf,
    /// The path without symbolic links.
    state: PathBuf,
}

impl DataFiles {
    /// The files beside `state_file`. If `state_file` is a symbolic link, the files lie beside the link's target.
    pub(crate) fn beside(state_file: &Path) -> Self {
        DataFiles {
            configured: state_file.into(),
            state: state_file
                .canonicalize()
                .unwrap_or_else(|_| state_file.into()),
        }
    }

    /// The path of the state file, with symbolic links resolved if the file exists.
    pub(crate) fn state_path(&self) -> &Path {
        &self.state
    }

    /// The configured path, if it was a symbolic link to the state file.
    pub(crate) fn link_path(&self) -> Option<&Path> {
        let link = self.configured.symlink_metadata().ok()?;
        link.is_symlink().then_some(&self.configured)
    }

    /// The path of the file that the running server locks, so that no second server uses the same state file.
    pub(crate) fn lock_path(&self) -> PathBuf {
        let mut name = OsString::from(".");
        name.push(self.state_file_name());
        name.push(".lock");
        self.state.with_file_name(name)
    }

    /// The path of the index cache, which holds the result of the last scan of the library.
    pub(crate) fn index_cache_path(&self) -> PathBuf {
        self.with_suffix(".index")
    }

    /// The path of the folder of the cover cache, which holds scaled covers.
    pub(crate) fn cover_cache_path(&self) -> PathBuf {
        self.with_suffix(".covers")
    }

    /// The path of the folder of the files that devices upload.
    pub(crate) fn uploads_path(&self) -> PathBuf {
        self.with_suffix(".uploads")
    }

    /// The path of the folder of the state files of further rooms.
    pub(crate) fn rooms_path(&self) -> PathBuf {
        self.with_suffix(".rooms")
    }

    /// The path of the file with the certificate authority and its private key.
    pub(crate) fn authority_path(&self) -> PathBuf {
        self.with_suffix(".authority")
    }

    /// The path of the history, which holds what was played.
    pub(crate) fn history_path(&self) -> PathBuf {
        self.with_suffix(".history")
    }

    /// The path of the local socket, through which programs of this machine send requests to the server.
    pub(crate) fn local_socket_path(&self) -> PathBuf {
        self.with_suffix(".socket")
    }

    /// Whether there are files that a server writes only once it has a state.
    pub(crate) fn has_data_of_earlier_runs(&self) -> bool {
        [
            self.history_path(),
            self.index_cache_path(),
            self.rooms_path(),
        ]
        .iter()
        .any(|path| path.exists())
    }

    /// The absolute paths of all data files and folders whose names do not begin with a dot. The scanner leaves these files
    /// out, because they may lie in the audio folder. The names of the other data files begin with a dot and do not end as
    /// those of audio files do, so the scanner ignores them without a rule of their own.
    pub(crate) fn visible_paths(&self) -> Vec<PathBuf> {
        let absolute = |path: &Path| {
            let folder = folder_of(path).canonicalize().ok()?;
            Some(folder.join(path.file_name()?))
        };
        let paths = [
            self.configured.clone(),
            self.state.clone(),
            self.index_cache_path(),
            self.cover_cache_path(),
            self.uploads_path(),
            self.rooms_path(),
            self.authority_path(),
            self.history_path(),
            self.local_socket_path(),
        ];
        paths.iter().filter_map(|path| absolute(path)).collect()
    }

    /// The beginning of the names of temporary files beside the state file.
    fn temporary_prefix(&self) -> String {
        format!(".{}-", self.state_file_name().to_string_lossy())
    }

    /// Calls [`replace`] for the data file at `path`. The temporary file has a name that
    /// [`DataFiles::remove_temporary_files`] recognizes.
    ///
    /// # Errors
    /// The errors of [`replace`].
    pub(crate) fn replace(
        &self,
        path: &Path,
        options: WriteOptions,
        write: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> io::Result<()> {
        replace(path, &self.temporary_prefix(), options, write)
    }

    /// Writes a temporary file of `size` bytes beside the state file, and removes it.
    ///
    /// # Errors
    /// The error of the file system.
    pub(crate) fn try_write(&self, size: u64) -> io::Result<()> {
        let mut file =
            temporary_file(folder_of(&self.state), &self.temporary_prefix(), OWNER_ONLY)?;
        io::copy(&mut io::repeat(0).take(size), file.as_file_mut())?;
        file.close()
    }

    /// Removes the temporary files of a server that was killed during a write. The caller must hold the lock, because a
    /// running server may be writing to such a file.
    pub(crate) fn remove_temporary_files(&self) {
        let prefix = self.temporary_prefix();
        let entries = fs::read_dir(folder_of(&self.state));
        for entry in entries.into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let random_part = name.strip_prefix(&prefix);
            let random_part = random_part.and_then(|rest| rest.strip_suffix(TEMPORARY_SUFFIX));
            // The random part never contains a dash. A file with a dash there belongs to another state file, such as
            // `state.json-2`, whose server may be running.
            if random_part.is_some_and(|part| !part.contains('-')) {
                if let Err(error) = fs::remove_file(entry.path()) {
                    tracing::warn!(file = ?entry.path(), "cannot remove a temporary file: {error}");
                }
            }
        }
    }

    /// The file name of the state file.
    fn state_file_name(&self) -> &OsStr {
        self.state.file_name().unwrap_or_default()
    }

    fn with_suffix(&self, suffix: &str) -> PathBuf {
        let mut name = self.state_file_name().to_owned();
        name.push(suffix);
        self.state.with_file_name(name)
    }
}

/// How [`replace`] writes the file, and what it must guarantee.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WriteOptions {
    /// The new file's permissions, as in `chmod(2)`.
    pub(crate) mode: u32,
    /// Whether the new content must survive a power failure once the call has returned. If `false`, the file and its folder
    /// are not flushed, because flushes wear out a memory card, and a power failure may leave the old content, the new
    /// content, or a damaged file. `false` is sufficient for a cache that detects damage.
    pub(crate) is_durable: bool,
    /// Whether the file must not exist before the call. If it exists, the call fails with [`io::ErrorKind::AlreadyExists`].
    pub(crate) must_be_absent: bool,
}

impl WriteOptions {
    /// For data that exists only in this file.
    pub(crate) const DURABLE: WriteOptions = WriteOptions {
        mode: OWNER_ONLY,
        is_durable: true,
        must_be_absent: false,
    };
    /// For data that can be computed again.
    pub(crate) const CACHE: WriteOptions = WriteOptions {
        is_durable: false,
        ..WriteOptions::DURABLE
    };
}

/// Atomically replaces the file at `path`: `write` writes the content to a temporary file in the same folder, which is
/// then renamed to `path`. With `options.is_durable`, the temporary file is flushed to the disk before the rename, and the
/// folder after the rename. The name of the temporary file begins with `temporary_prefix` and ends with
/// [`TEMPORARY_SUFFIX`]. If the call fails, the temporary file is removed.
///
/// # Errors
/// The first error of the file system or of `write`. The file at `path` is then unchanged, except if the flush of the folder
/// failed: then the file has the new content, but a power failure may restore the old content.
pub(crate) fn replace(
    path: &Path,
    temporary_prefix: &str,
    options: WriteOptions,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let folder = folder_of(path);
    let mut file = temporary_file(folder, temporary_prefix, options.mode)?;
    write(file.as_file_mut())?;
    if options.is_durable {
        file.as_file().sync_all()?;
    }
    if options.must_be_absent {
        file.persist_noclobber(path)?;
    } else {
        file.persist(path)?;
    }
    if options.is_durable {
        flush_folder(folder)?;
    }
    Ok(())
}

/// Creates a file that is removed when the returned value is dropped. Its name begins with `prefix` and ends with
/// [`TEMPORARY_SUFFIX`].
fn temporary_file(folder: &Path, prefix: &str, mode: u32) -> io::Result<NamedTempFile> {
    tempfile::Builder::new()
        .prefix(prefix)
        .suffix(TEMPORARY_SUFFIX)
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder)
}

/// Flushes a folder to the disk, so that a power failure does not undo the creation, renaming or removal of its files.
///
/// # Errors
/// The error of the file system.
pub(crate) fn flush_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The folder that contains `path`.
pub(crate) fn folder_of(path: &Path) -> &Path {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    #[test]
    fn replaces_content_and_permissions_and_leaves_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        for options in [WriteOptions::DURABLE, WriteOptions::CACHE] {
            replace(&path, ".file-", options, |file| file.write_all(b"new")).unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"new");
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        }
        assert_eq!(names(folder.path()), ["file"]);
    }

    #[test]
    fn keeps_the_old_content_when_writing_fails() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "old").unwrap();
        let failed = replace(&path, ".file-", WriteOptions::DURABLE, |file| {
            file.write_all(b"half")?;
            Err(io::Error::other("the disk is full"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["file"]);
    }

    #[test]
    fn refuses_to_replace_an_existing_file_when_it_must_be_absent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let options = WriteOptions {
            must_be_absent: true,
            ..WriteOptions::DURABLE
        };
        replace(&path, ".file-", options, |file| file.write_all(b"first")).unwrap();
        let second = replace(&path, ".file-", options, |file| file.write_all(b"second"));
        let error = second.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"first");
    }

    #[test]
    fn files_lie_beside_the_target_of_a_linked_state_file() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir(root.join("real")).unwrap();
        fs::write(root.join("real/state.json"), "{}").unwrap();
        symlink("real/state.json", root.join("link.json")).unwrap();
        let files = DataFiles::beside(&root.join("link.json"));
        assert_eq!(files.lock_path(), root.join("real/.state.json.lock"));
        assert_eq!(files.index_cache_path(), root.join("real/state.json.index"));
        let visible = files.visible_paths();
        assert!(visible.contains(&root.join("link.json")), "{visible:?}");
        assert!(visible.contains(&root.join("real/state.json.covers")));
    }

    #[test]
    fn removes_only_its_own_temporary_files() {
        let folder = tempfile::tempdir().unwrap();
        let ours = folder.path().join(".state.json-x1.tmp");
        let of_other_state_files =
            [".other.json-x1.tmp", ".state.json-2-x1.tmp"].map(|name| folder.path().join(name));
        for file in of_other_state_files.iter().chain([&ours]) {
            fs::write(file, "").unwrap();
        }
        DataFiles::beside(&folder.path().join("state.json")).remove_temporary_files();
        assert!(!ours.exists());
        for file in &of_other_state_files {
            assert!(file.exists(), "{file:?}");
        }
    }
}
