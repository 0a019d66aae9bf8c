//! The titles that devices give to uploads without a title in their tags. Each lies in a file beside the upload, so that both are
//! removed together, and so that a title survives the loss of the index cache.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::Track;
use super::tags::{MAX_TEXT_LENGTH, title_from_file_name};
use crate::clean_text::clean_line;
use crate::data_files::{self, WriteOptions};

/// The name of the file in the folder of an upload. A scan lists no file with a dot unless it has the name of an audio file.
const FILE_NAME: &str = ".title";
/// The beginning of the name of the temporary file.
const TEMPORARY_PREFIX: &str = ".title-";
/// The most bytes that are read: those of a title with the longest characters.
const MAX_BYTES: u64 = 4 * MAX_TEXT_LENGTH as u64;

/// The title as one line, as titles in tags are cleaned; `None` if no visible character remains.
pub fn clean_title(title: &str) -> Option<String> {
    Some(clean_line(title, MAX_TEXT_LENGTH)).filter(|title| !title.is_empty())
}

/// The title of an upload without a title in its tags: what a device has typed, or what the name of the file says. `path` is
/// the absolute path of the file. Blocks.
pub(super) fn title_of(path: &Path) -> String {
    typed_title(path).unwrap_or_else(|| title_from_file_name(path))
}

fn typed_title(path: &Path) -> Option<String> {
    let mut title = Vec::new();
    let file = File::open(title_path(path)).ok()?;
    file.take(MAX_BYTES).read_to_end(&mut title).ok()?;
    clean_title(&String::from_utf8_lossy(&title))
}

/// Writes the title of the upload at `path` durably, or removes it.
///
/// # Errors
/// The file system's error.
pub fn write_title(path: &Path, title: Option<&str>) -> io::Result<()> {
    let target = title_path(path);
    let Some(title) = title else {
        return match fs::remove_file(&target) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => data_files::flush_folder(data_files::folder_of(&target)),
        };
    };
    data_files::replace(&target, TEMPORARY_PREFIX, WriteOptions::DURABLE, |file| {
        file.write_all(title.as_bytes())
    })
}

fn title_path(path: &Path) -> PathBuf {
    path.with_file_name(FILE_NAME)
}

impl Track {
    /// Whether the track shows the title that was written last. Blocks.
    pub fn has_current_title(&self) -> bool {
        !self.may_have_typed_title() || self.tags.title == title_of(&self.path)
    }

    /// Whether the title may come from a device.
    pub(super) fn may_have_typed_title(&self) -> bool {
        self.uploaded_by.is_some() && !self.has_title_tag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_title_precedes_the_file_name_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("AUD-0001.mp3");
        assert_eq!(title_of(&path), "AUD 0001");
        write_title(&path, clean_title(" Lullaby\n").as_deref()).unwrap();
        assert_eq!(title_of(&path), "Lullaby");
        assert_eq!(clean_title(" \u{200b} "), None);
        for _ in 0..2 {
            write_title(&path, None).unwrap();
            assert_eq!(title_of(&path), "AUD 0001");
        }
    }

    #[test]
    fn damaged_title_file_is_read_within_limits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mp3");
        fs::write(title_path(&path), [0xff; 100_000]).unwrap();
        assert!(title_of(&path).chars().count() <= MAX_TEXT_LENGTH);
        fs::write(title_path(&path), "\n\n").unwrap();
        assert_eq!(title_of(&path), "a");
    }
}
