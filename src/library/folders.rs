//! The configured audio folders, and the paths by which the index names the files in them.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::open::{Opened, RootFolder};
use super::upload_key::UploadKey;
use super::walk::{self, Listing};

/// One or several audio folders, and the folder of the uploads, if there is one. Cheap to clone.
///
/// The index names a file by its *library path*: relative to the first folder for files in this folder, and absolute for files
/// in all further folders and for uploads. So the ids of tracks, which depend on this path, stay the same if a folder is added.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct AudioFolders {
    folders: Arc<[PathBuf]>,
    uploads: Option<Arc<Path>>,
}

impl AudioFolders {
    /// The folders at `paths`, without those that lie in another one of them. A folder that does not exist may appear later,
    /// so the stored paths are neither resolved nor checked.
    ///
    /// # Errors
    /// The system's error if `paths` is empty or the working directory is unknown.
    pub(super) fn new(paths: &[PathBuf]) -> io::Result<Self> {
        let mut folders: Vec<PathBuf> = Vec::new();
        for path in paths {
            let path = std::path::absolute(path)?;
            if let Some(outer) = folders.iter().find(|known| lies_in(&path, known)) {
                log_inner(&path, outer);
                continue;
            }
            let is_inner = |known: &PathBuf| lies_in(known, &path);
            let place = folders.iter().position(is_inner).unwrap_or(folders.len());
            let (inner, outer): (Vec<_>, Vec<_>) = folders.into_iter().partition(is_inner);
            for inner in inner {
                log_inner(&inner, &path);
            }
            folders = outer;
            folders.insert(place, path);
        }
        match folders.is_empty() {
            true => Err(io::ErrorKind::NotFound.into()),
            false => Ok(AudioFolders {
                folders: folders.into(),
                uploads: None,
            }),
        }
    }

    /// These folders with the folder of the uploads, an absolute path without symbolic links.
    pub(super) fn with_uploads(self, folder: &Path) -> Self {
        AudioFolders {
            uploads: Some(folder.into()),
            ..self
        }
    }

    /// The absolute paths of the audio folders, without that of the uploads.
    pub(super) fn paths(&self) -> &[PathBuf] {
        &self.folders
    }

    /// The first audio folder.
    pub(super) fn first(&self) -> &Path {
        self.folders.first().map_or(Path::new(""), PathBuf::as_path)
    }

    /// The id and the uploader of the file at a library path; `None` if the file is not an upload.
    pub(super) fn upload_at(&self, path: &Path) -> Option<UploadKey> {
        let folder = self.uploads.as_deref()?;
        UploadKey::of_path(path.strip_prefix(folder).ok()?)
    }

    /// Lists all folders; see [`walk::walk`]. If there are several audio folders, one that is missing, disconnected or empty is
    /// away: the listing then has the reason and no files of this folder. The files of a folder that cannot be listed for
    /// another reason may still exist. Blocks.
    ///
    /// # Errors
    /// The system's error for the first folder, if no folder can be listed.
    pub(super) fn walk(&self, excluded: &[PathBuf]) -> io::Result<Listing> {
        let mut listing = Listing::default();
        let mut first_error = None;
        for (n, folder) in self.folders.iter().enumerate() {
            let prefix = if n == 0 { Path::new("") } else { folder };
            let part = folder
                .canonicalize()
                .and_then(|real| walk::walk(&real, prefix, excluded));
            match part {
                Ok(part) => {
                    let is_empty = part.files.is_empty() && part.unreadable_paths.is_empty();
                    if is_empty && self.folders.len() > 1 {
                        listing.away.push((folder.clone(), "it is empty".into()));
                    }
                    listing.append(part);
                }
                Err(error) => {
                    let reason = (folder.clone(), error.to_string());
                    if walk::is_absent(&error) {
                        listing.away.push(reason);
                    } else {
                        listing.skipped.push(reason);
                        listing.keep_files_in(prefix.into(), &error);
                    }
                    first_error.get_or_insert(error);
                }
            }
        }
        listing.is_collection_empty = listing.files.is_empty();
        match first_error {
            Some(error) if listing.is_collection_empty => Err(error),
            _ => {
                self.add_uploads(&mut listing);
                Ok(listing)
            }
        }
    }

    /// Adds the uploads to a listing of the audio folders.
    fn add_uploads(&self, listing: &mut Listing) {
        let Some(folder) = self.uploads.as_deref() else {
            return;
        };
        match walk::walk(folder, folder, &[]) {
            Ok(mut uploads) => {
                uploads
                    .files
                    .retain(|file| self.upload_at(&file.path).is_some());
                listing.append(uploads);
            }
            // The folder is created by the first upload.
            Err(error) if walk::is_absent(&error) => {}
            Err(error) => listing.keep_files_in(folder.into(), &error),
        }
    }

    /// The identity of each folder; `None` for a folder that is away.
    pub(super) fn identities(&self) -> Vec<Option<FolderIdentity>> {
        let identities = self
            .folders
            .iter()
            .map(|folder| FolderIdentity::of(folder).ok());
        identities.collect()
    }

    /// The folders, for opening many files in them.
    pub(super) fn handles(&self) -> FolderHandles<'_> {
        let folders = self.folders.iter().map(PathBuf::as_path);
        let folders = folders.chain(self.uploads.as_deref());
        FolderHandles {
            folders: folders.map(RootFolder::new).collect(),
            all: self,
        }
    }
}

/// Whether `inner` is `outer` or lies in it, after all symbolic links.
fn lies_in(inner: &Path, outer: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.into());
    real(inner).starts_with(real(outer))
}

fn log_inner(inner: &Path, outer: &Path) {
    tracing::warn!(
        "the audio folder {} is not listed by itself, because it lies in {}",
        inner.display(),
        outer.display()
    );
}

impl From<&Path> for AudioFolders {
    fn from(folder: &Path) -> Self {
        AudioFolders {
            folders: [folder.to_path_buf()].into(),
            uploads: None,
        }
    }
}

/// The audio folders and that of the uploads, each of which is opened once, for the first file in it.
#[derive(Debug)]
pub(super) struct FolderHandles<'a> {
    /// The first audio folder, and then the other folders.
    folders: Vec<RootFolder<'a>>,
    all: &'a AudioFolders,
}

impl FolderHandles<'_> {
    /// See [`AudioFolders::upload_at`].
    pub(super) fn upload_at(&self, path: &Path) -> Option<UploadKey> {
        self.all.upload_at(path)
    }

    /// Opens the file at a library path; see [`RootFolder::open`].
    ///
    /// # Errors
    /// Those of [`RootFolder::open`].
    pub(super) fn open(&self, path: &Path) -> io::Result<Opened> {
        let further = || self.folders.iter().skip(1);
        let folder = if path.is_absolute() {
            let below =
                further().filter_map(|folder| Some((folder, path.strip_prefix(folder.path).ok()?)));
            // One audio folder may lie in another if it is a symbolic link out of that folder. The inner folder then has the
            // file.
            below.min_by_key(|(_, path)| path.as_os_str().len())
        } else {
            self.folders.first().map(|folder| (folder, path))
        };
        let (folder, path) = folder.ok_or(io::ErrorKind::NotFound)?;
        folder.open(path)
    }

    /// The absolute path of a library path.
    pub(super) fn full_path(&self, path: &Path) -> PathBuf {
        let first = self.folders.first();
        first.map_or_else(|| path.into(), |first| first.path.join(path))
    }
}

/// Identifies a folder independently of its path, to detect another folder at the same path: for example, the file system
/// that was mounted on an empty folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FolderIdentity {
    pub(super) device: u64,
    inode: u64,
}

impl FolderIdentity {
    pub(super) fn of(folder: &Path) -> io::Result<Self> {
        let metadata = folder.metadata()?;
        Ok(FolderIdentity {
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn lists_and_opens_the_files_of_all_folders_that_are_present() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = |name| temporary.path().canonicalize().unwrap().join(name);
        for name in ["one", "two", "one/inner"] {
            fs::create_dir(folder(name)).unwrap();
        }
        for name in ["one/same.mp3", "two/same.mp3"] {
            fs::write(folder(name), name).unwrap();
        }
        let paths = ["one", "away", "two", "one/inner"].map(folder);
        let folders = AudioFolders::new(&paths).unwrap();
        assert_eq!(folders.paths().len(), 3);
        let listing = folders.walk(&[]).unwrap();
        let files: Vec<_> = listing.files.iter().map(|file| file.path.clone()).collect();
        assert_eq!(files, [folder("two/same.mp3"), "same.mp3".into()]);
        assert_eq!(listing.away.len(), 1);
        let handles = folders.handles();
        for (file, expected) in files.iter().zip(["two/same.mp3", "one/same.mp3"]) {
            let opened = handles.open(file).unwrap();
            assert_eq!(io::read_to_string(opened.file).unwrap(), expected);
        }
        let outside = folder("one/same.mp3");
        assert!(handles.open(&outside).is_err(), "not a library path");
    }

    #[test]
    fn leaves_out_folders_in_others_in_any_order() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = |name: &str| temporary.path().canonicalize().unwrap().join(name);
        fs::create_dir_all(folder("music/rock")).unwrap();
        fs::create_dir(folder("other")).unwrap();
        std::os::unix::fs::symlink(folder("music"), folder("link")).unwrap();
        for (paths, expected) in [
            (&["music", "music/rock"][..], &["music"][..]),
            (&["music/rock", "music"], &["music"]),
            (&["music/rock", "other", "link"], &["link", "other"]),
            (&["other", "link", "music/rock"], &["other", "link"]),
            (&["music", "music"], &["music"]),
        ] {
            let paths: Vec<_> = paths.iter().map(|name| folder(name)).collect();
            let expected: Vec<_> = expected.iter().map(|name| folder(name)).collect();
            assert_eq!(AudioFolders::new(&paths).unwrap().paths(), expected);
        }
    }

    #[test]
    fn configured_path_is_kept_whether_or_not_the_folder_exists() {
        let temporary = tempfile::tempdir().unwrap();
        let (link, disk) = (temporary.path().join("link"), temporary.path().join("disk"));
        std::os::unix::fs::symlink(&disk, &link).unwrap();
        let away = AudioFolders::new(std::slice::from_ref(&link)).unwrap();
        fs::create_dir(&disk).unwrap();
        let present = AudioFolders::new(std::slice::from_ref(&link)).unwrap();
        assert_eq!((away.first(), &present), (&*link, &away));
    }

    #[test]
    fn opening_a_file_opens_only_its_own_folder() {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path().canonicalize().unwrap();
        let paths = ["one", "two", "three"].map(|name| root.join(name));
        for path in &paths {
            fs::create_dir(path).unwrap();
            fs::write(path.join("song.mp3"), "").unwrap();
        }
        let folders = AudioFolders::new(&paths).unwrap();
        let handles = folders.handles();
        let open_folders = || {
            let links = Path::new("/proc/self/fd").read_dir().unwrap();
            let targets = links.filter_map(|link| fs::read_link(link.unwrap().path()).ok());
            let mut open: Vec<_> = targets.filter(|target| paths.contains(target)).collect();
            open.sort();
            open
        };
        handles.open(Path::new("song.mp3")).unwrap();
        assert_eq!(open_folders(), [root.join("one")]);
        handles.open(&root.join("two/song.mp3")).unwrap();
        assert_eq!(open_folders(), [root.join("one"), root.join("two")]);
    }

    #[test]
    fn fails_if_no_folder_can_be_listed() {
        let missing = AudioFolders::new(&["/nowhere/a".into(), "/nowhere/b".into()]);
        assert!(missing.unwrap().walk(&[]).is_err());
    }
}
