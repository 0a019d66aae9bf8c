//! The names of files and folders that do not belong to the collection: what operating systems, file servers and programs
//! keep beside music. `docs/music-collections.md` shows the list to users.

use std::ffi::OsStr;
use std::path::Path;

/// Names of junk files and folders, in lower case. The content of such a folder is not listed either.
const JUNK_NAMES: &[&str] = &[
    // Trash folders.
    "$recycle.bin",
    "#recycle",
    "@recycle",
    "@recycle bin",
    "network trash folder",
    ".dtrash",
    // Holds the trash folder of a home folder.
    ".local",
    // Snapshots, which hold each file again.
    ".snapshot",
    ".snapshots",
    ".snap",
    ".snaps",
    "#snapshot",
    "#snapshots",
    "@snapshot",
    "@snapshots",
    "@recently-snapshot",
    "~snapshot",
    ".zfs",
    // Files that the repair of a file system found.
    "lost+found",
    "found.000",
    // Files of operating systems.
    "system volume information",
    ".appledouble",
    ".appledb",
    ".appledesktop",
    ".ds_store",
    ".spotlight-v100",
    ".fseventsd",
    ".temporaryitems",
    ".documentrevisions-v100",
    "temporary items",
    "__macosx",
    ".thumbnails",
    ".cache",
    // Files of network storage devices.
    "@eadir",
    "@tmp",
    ".@__thumb",
    ".@upload_cache",
    ".glusterfs",
    // Files of programs that synchronise and version files.
    ".stfolder",
    ".stversions",
    ".sync",
    ".dropbox.cache",
    ".~tmp~",
    ".rsync-partial",
    ".rsync-tmp",
    ".unwanted",
    ".git",
    ".hg",
    ".svn",
];

/// Beginnings of names, in lower case: extended attributes of macOS, trash folders (of one user, of Samba and of Unraid), open
/// files that were deleted, and unfinished downloads of Android.
const JUNK_PREFIXES: &[&str] = &[
    "._",
    ".trash",
    ".recycle",
    ".nfs0",
    ".fuse_hidden",
    ".pending-",
];

/// The trash folders of old Windows versions, which lie directly below the audio folder if this is a whole disk. Compared with
/// upper and lower case, because elsewhere and in other case these are names of albums.
const JUNK_NAMES_AT_TOP: &[&str] = &["RECYCLER", "RECYCLED"];

/// Whether the file or folder at `path`, which is relative to its audio folder, or a folder above it, never belongs to the
/// collection.
pub(super) fn is_in_junk(path: &Path) -> bool {
    let mut names = path.iter().enumerate();
    names.any(|(n, name)| is_junk(name) || n == 0 && is_junk_at_top(name))
}

/// Whether a file or folder of this name directly below an audio folder is a trash folder, in addition to [`is_junk`].
pub(super) fn is_junk_at_top(name: &OsStr) -> bool {
    JUNK_NAMES_AT_TOP.iter().any(|junk| name == *junk)
}

/// Whether a file or folder of this name never belongs to the collection, wherever it is.
pub(super) fn is_junk(name: &OsStr) -> bool {
    // No name of the list has a character that is not ASCII, so other bytes need no exact conversion.
    let name = name.to_string_lossy().to_ascii_lowercase();
    JUNK_NAMES.contains(&name.as_str())
        || JUNK_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether the name begins with a dot. Such a file must have the extension of an audio file to be listed, because programs
/// name unfinished and private files so: `rsync` writes to `.song.mp3.X1y2Z3`.
pub(super) fn begins_with_dot(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn junk_is_recognised_by_its_name() {
        for junk in [
            "._song.mp3",
            ".Trash-1000",
            ".Trashes",
            "$Recycle.Bin",
            "#recycle",
            "@eaDir",
            "lost+found",
            "System Volume Information",
            ".snapshots",
            ".fuse_hidden0000002800000001",
            ".recycle",
            ".Recycle.Bin",
            ".rsync-partial",
            ".dtrash",
            ".snaps",
            ".trashed-1700000000-song.mp3",
            ".pending-1700000000-song.mp3",
        ] {
            assert!(is_junk(OsStr::new(junk)), "{junk}");
        }
        for music in [
            "...And Justice for All",
            ".38 Special",
            ".hidden.mp3",
            "_Singles",
            "Trash",
            "Recycle",
            "Recycled",
            "RECYCLER",
            "Lost and Found",
            "Snapshot",
            "#1 Hits",
            "@ the Movies",
        ] {
            assert!(!is_junk(OsStr::new(music)), "{music}");
        }
    }

    #[test]
    fn old_trash_folders_are_junk_directly_below_the_audio_folder_only() {
        for (path, expected) in [
            ("RECYCLER/S-1-5-21/Dc1.mp3", true),
            ("RECYCLED", true),
            ("Recycled/01.mp3", false),
            ("Nu Shooz/RECYCLED/01.mp3", false),
            ("album/@eaDir/01.mp3", true),
        ] {
            assert_eq!(is_in_junk(Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn documentation_lists_all_names() {
        let page = include_str!("../../docs/music-collections.md").to_ascii_lowercase();
        let names = [JUNK_NAMES, JUNK_NAMES_AT_TOP].concat();
        let names = names.iter().map(|name| format!("`{name}`"));
        let prefixes = JUNK_PREFIXES.iter().map(|prefix| format!("`{prefix}*`"));
        for name in names.chain(prefixes) {
            assert!(page.contains(&name.to_ascii_lowercase()), "{name}");
        }
    }
}
