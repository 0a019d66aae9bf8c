//! Lists the files in an audio folder, without opening them.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::io::Errno;
use walkdir::{DirEntry, WalkDir};

use super::Stamp;
use super::junk::{begins_with_dot, is_junk, is_junk_at_top};
use super::tags::has_audio_extension;

/// A file in a [`Listing`].
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FileEntry {
    /// The library path of the file.
    pub(super) path: PathBuf,
    pub(super) stamp: Stamp,
    /// In bytes.
    pub(super) size: u64,
    pub(super) modified: Option<SystemTime>,
}

/// The content of the audio folders, as [`walk`] finds it. All paths that are not called absolute are library paths.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// All files, sorted by path.
    pub(super) files: Vec<FileEntry>,
    /// The absolute paths of the entries that the walk left out, and the reason for each.
    pub(super) skipped: Vec<(PathBuf, String)>,
    /// The folders that could not be listed completely, and the files whose metadata could not be read; see
    /// [`Listing::may_exist`].
    pub(super) unreadable_paths: Vec<PathBuf>,
    /// Whether one of `unreadable_paths` may soon be readable, so another scan must follow.
    pub(super) must_retry: bool,
    /// The absolute paths of the audio folders that are away, and the reason for each.
    pub(super) away: Vec<(PathBuf, String)>,
    /// Whether the audio folders hold no files. There may be uploads.
    pub(super) is_collection_empty: bool,
}

/// Whether `error` means that a file or folder is not there: it was removed, its disk is not mounted, its file system was
/// disconnected, or it is a link that leads to itself. After any other error, the file or folder may still exist.
pub(super) fn is_absent(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(
        errno,
        Some(Errno::NOENT | Errno::NOTDIR | Errno::NOTCONN | Errno::NODEV | Errno::LOOP)
    ) || error.kind() == io::ErrorKind::NotFound
}

/// Lists all regular files below `root`, which must be canonical, without junk and without the absolute paths in `excluded`.
/// Follows symbolic links that stay below `root`. The library paths of the files are `prefix` with their paths relative to
/// `root`. Blocks.
///
/// # Errors
/// The system's error if listing `root` itself cannot begin.
pub(super) fn walk(root: &Path, prefix: &Path, excluded: &[PathBuf]) -> io::Result<Listing> {
    root.read_dir()?;
    let mut listing = Listing::default();
    let mut left_out_links = Vec::new();
    let entries = WalkDir::new(root)
        .follow_links(true)
        .min_depth(1)
        .into_iter()
        .filter_entry(|entry| {
            // Compared as `OsStr`, byte by byte, because `Path` would parse both paths into components for each comparison.
            let path = entry.path().as_os_str();
            let is_excluded = || excluded.iter().any(|excluded| excluded.as_os_str() == path);
            if !belongs_to_collection(entry) || is_excluded() {
                return false;
            }
            let is_inside = stays_inside(root, entry);
            let is_listed = matches!(is_inside, Ok(true));
            if !is_listed {
                left_out_links.push((entry.path().to_path_buf(), is_inside));
            }
            is_listed
        });
    // The folder at each depth, of those whose entries the walk is listing. The first one is `root`.
    let mut open_folders = vec![root.to_path_buf()];
    for entry in entries {
        match entry {
            Ok(entry) if entry.file_type().is_dir() => {
                open_folders.truncate(entry.depth());
                open_folders.push(entry.into_path());
            }
            Ok(entry) if entry.file_type().is_file() => listing.add_file(root, prefix, &entry),
            Ok(entry) => listing.skip(entry.path(), "the path is not a regular file"),
            Err(error) if error.depth() == 0 => {
                let other = || io::ErrorKind::Other.into();
                return Err(error.into_io_error().unwrap_or_else(other));
            }
            Err(error) => {
                // If listing a folder fails after its beginning, the error of walkdir 2.5 has no path, and the depth of the
                // entries of that folder.
                let folder = open_folders.get(error.depth() - 1);
                let path = error.path().or(folder.map(PathBuf::as_path));
                listing.add_error(root, prefix, path.unwrap_or(root), &error);
            }
        }
    }
    listing.sort();
    for (link, is_inside) in left_out_links {
        match is_inside {
            Err(error) => listing.add_unreadable(root, prefix, &link, &error),
            Ok(_) => listing.skip(&link, "the path is a symbolic link out of the audio folder"),
        }
    }
    Ok(listing)
}

impl Listing {
    /// Adds the listing of another folder.
    pub(super) fn append(&mut self, other: Listing) {
        self.files.extend(other.files);
        self.skipped.extend(other.skipped);
        self.unreadable_paths.extend(other.unreadable_paths);
        self.must_retry |= other.must_retry;
        self.away.extend(other.away);
        self.sort();
    }

    /// Whether the file at a library path that is not in `files` may nevertheless exist, because it lies in a folder that could
    /// not be listed.
    pub(super) fn may_exist(&self, path: &Path) -> bool {
        let mut folders = self.unreadable_paths.iter();
        folders.any(|folder| lies_in(path, folder))
    }

    /// The library paths of all folders that hold a file with the name of an audio file, in the folder itself or in a folder
    /// below. The mount point of a disk that is away may hold other files.
    pub(super) fn folders_with_music(&self) -> HashSet<&Path> {
        let mut folders = HashSet::new();
        let files = self.files.iter();
        for file in files.filter(|file| has_audio_extension(&file.path)) {
            let above = file.path.ancestors().skip(1);
            for folder in above {
                if !folders.insert(folder) {
                    break;
                }
            }
        }
        folders
    }

    /// Sorts the files. The scan reads them in this order. Sorted by path, the tracks of an album appear together in a
    /// partial index.
    fn sort(&mut self) {
        self.files
            .sort_unstable_by(|a, b| a.path.as_os_str().cmp(b.path.as_os_str()));
    }

    fn add_file(&mut self, root: &Path, prefix: &Path, entry: &DirEntry) {
        let Ok(path) = entry.path().strip_prefix(root) else {
            return;
        };
        let metadata = match entry.metadata() {
            Ok(metadata) => metadata,
            Err(error) => return self.add_error(root, prefix, entry.path(), &error),
        };
        self.files.push(FileEntry {
            path: prefix.join(path),
            stamp: Stamp::of(&metadata),
            size: metadata.len(),
            modified: metadata.modified().ok(),
        });
    }

    /// Adds an error that concerns the absolute path `path`.
    fn add_error(&mut self, root: &Path, prefix: &Path, path: &Path, error: &walkdir::Error) {
        match error.io_error() {
            Some(error) => self.add_unreadable(root, prefix, path, error),
            None => self.skip(
                path,
                "the path is a symbolic link to a folder that contains the link",
            ),
        }
    }

    /// Adds a file or folder at an absolute path that could not be read, or only in part. A removed folder or a dangling link
    /// contains no files.
    fn add_unreadable(&mut self, root: &Path, prefix: &Path, path: &Path, error: &io::Error) {
        self.skip(path, error);
        if !is_absent(error) {
            if let Ok(relative) = path.strip_prefix(root) {
                self.keep_files_in(prefix.join(relative), error);
            }
        }
    }

    /// Records that the files in `folder`, a library path, may still exist after `error`.
    pub(super) fn keep_files_in(&mut self, folder: PathBuf, error: &io::Error) {
        self.unreadable_paths.push(folder);
        // A missing permission needs no retry, because inotify reports when the permission is granted.
        self.must_retry |= error.kind() != io::ErrorKind::PermissionDenied;
    }

    fn skip(&mut self, path: &Path, reason: impl ToString) {
        self.skipped.push((path.into(), reason.to_string()));
    }
}

/// Whether the entry is not junk. A file whose name begins with a dot must also have the extension of an audio file.
fn belongs_to_collection(entry: &DirEntry) -> bool {
    let name = entry.file_name();
    let may_be_music = || {
        !begins_with_dot(name) || entry.file_type().is_dir() || has_audio_extension(Path::new(name))
    };
    let is_junk = is_junk(name) || entry.depth() == 1 && is_junk_at_top(name);
    !is_junk && may_be_music()
}

/// Whether the library path `path` is `folder` or lies in it. The empty path stands for the whole first audio folder.
fn lies_in(path: &Path, folder: &Path) -> bool {
    if folder.as_os_str().is_empty() {
        path.is_relative()
    } else {
        path.starts_with(folder)
    }
}

/// Whether the entry is not a symbolic link, or its target is below `root`.
///
/// # Errors
/// The system's error if the target cannot be determined.
fn stays_inside(root: &Path, entry: &DirEntry) -> io::Result<bool> {
    if !entry.path_is_symlink() {
        return Ok(true);
    }
    Ok(entry.path().canonicalize()?.starts_with(root))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn leaves_out_the_excluded_files_and_folders() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir(root.join("state.json.covers")).unwrap();
        for name in ["song.mp3", "state.json", "state.json.covers/1"] {
            fs::write(root.join(name), "x").unwrap();
        }
        let excluded = ["state.json", "state.json.covers"].map(|name| root.join(name));
        let listing = walk(&root, Path::new(""), &excluded).unwrap();
        let files: Vec<_> = listing
            .files
            .iter()
            .map(|file| file.path.as_path())
            .collect();
        assert_eq!(files, [Path::new("song.mp3")]);
    }

    #[test]
    fn lists_names_with_a_dot_that_are_music_and_no_junk() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let listed = [
            "...And Justice for All/01 Blackened.mp3",
            ".38 Special/.hidden.FLAC",
            ".38.mp3",
            "Recycled/song.mp3",
            "notes.txt",
        ];
        let left_out = [
            ".song.mp3.X1y2Z3",
            ".mp3",
            ".directory",
            "._song.mp3",
            ".Trash-1000/files/song.mp3",
            "Album/@eaDir/song.mp3/cover.mp3",
            "RECYCLED/Dc1.mp3",
            "#snapshot/day/song.mp3",
        ];
        for name in listed.iter().chain(&left_out) {
            fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            fs::write(root.join(name), "x").unwrap();
        }
        let listing = walk(&root, Path::new(""), &[]).unwrap();
        let files = listing.files.iter().map(|file| file.path.to_str().unwrap());
        assert_eq!(files.collect::<Vec<_>>(), listed);
    }

    #[test]
    fn only_a_missing_or_disconnected_folder_is_absent() {
        let error = |errno: Errno| io::Error::from_raw_os_error(errno.raw_os_error());
        for errno in [Errno::NOENT, Errno::NOTDIR, Errno::NOTCONN, Errno::NODEV] {
            assert!(is_absent(&error(errno)), "{errno}");
        }
        for errno in [Errno::IO, Errno::STALE, Errno::ACCESS, Errno::TIMEDOUT] {
            assert!(!is_absent(&error(errno)), "{errno}");
        }
    }

    #[test]
    fn an_unreadable_first_folder_keeps_only_its_own_files() {
        let mut listing = Listing::default();
        let error = io::Error::from_raw_os_error(Errno::IO.raw_os_error());
        listing.keep_files_in("".into(), &error);
        assert!(listing.may_exist(Path::new("album/song.mp3")));
        assert!(!listing.may_exist(Path::new("/second/song.mp3")));
        listing.keep_files_in("/second/album".into(), &error);
        assert!(listing.may_exist(Path::new("/second/album/song.mp3")));
        assert!(!listing.may_exist(Path::new("/second/album 2/song.mp3")));
        assert!(listing.must_retry);
    }
}
