//! Provides the texts in unknown character sets of all files in a folder. They help to recognize the character set of one
//! file's tags.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::folders::FolderHandles;
use super::junk::is_junk;
use super::tags;
use super::tags::charset::Neighbours;

/// The most files of a folder whose tags are considered.
const MAX_FILES: usize = 24;

/// The texts of a folder, once they have been read.
type FolderTexts = OnceLock<Arc<Neighbours>>;

/// Reads the tags of a folder's files at most once, and only for folders with texts in unknown character sets.
pub(super) struct CharsetNeighbours<'a> {
    audio_folders: &'a FolderHandles<'a>,
    folders: Mutex<HashMap<PathBuf, Arc<FolderTexts>>>,
}

impl<'a> CharsetNeighbours<'a> {
    pub(super) fn new(audio_folders: &'a FolderHandles<'a>) -> Self {
        CharsetNeighbours {
            audio_folders,
            folders: Mutex::default(),
        }
    }

    /// The texts in unknown character sets of the files in the folder of `path`, which is a library path. Blocks.
    pub(super) fn texts(&self, path: &Path) -> Arc<Neighbours> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let texts = {
            let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
            folders.entry(folder.into()).or_default().clone()
        };
        texts
            .get_or_init(|| Arc::new(Neighbours::new(self.read(folder))))
            .clone()
    }

    fn read(&self, folder: &Path) -> Vec<Vec<u8>> {
        let entries = self.audio_folders.full_path(folder).read_dir();
        let entries = entries.into_iter().flatten().filter_map(Result::ok);
        let names = entries.map(|entry| entry.file_name());
        let mut names: Vec<OsString> = names
            .filter(|name| !is_junk(name) && tags::has_audio_extension(Path::new(name)))
            .collect();
        // Sorted, so that the result does not depend on the order of the directory.
        names.sort_unstable();
        let texts = names.iter().take(MAX_FILES).filter_map(|name| {
            let opened = self.audio_folders.open(&folder.join(name)).ok()?;
            let size = opened.metadata.len();
            Some(tags::texts_in_unknown_charset(&opened.file, size))
        });
        texts.flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::folders::AudioFolders;
    use super::*;

    /// A file with a title in an ID3v1 tag.
    fn file_with_title(title: &[u8]) -> Vec<u8> {
        let mut file = vec![0; 1_000];
        file.extend(b"TAG");
        file.extend(title);
        file.resize(1_128, 0);
        file
    }

    #[test]
    fn tags_of_junk_files_are_not_considered() {
        let folder = tempfile::tempdir().unwrap();
        let title = b"\xc3\xf0\xf3\xef\xef\xe0 \xea\xf0\xee\xe2\xe8";
        fs::write(folder.path().join("song.mp3"), file_with_title(title)).unwrap();
        for n in 0..=MAX_FILES {
            let name = folder.path().join(format!("._{n:02}.mp3"));
            fs::write(name, file_with_title(b"\xe4\xf6\xfc")).unwrap();
        }
        let folders = AudioFolders::from(folder.path());
        let handles = folders.handles();
        let texts = CharsetNeighbours::new(&handles).texts(Path::new("song.mp3"));
        assert_eq!(texts.texts(), [title]);
    }
}
