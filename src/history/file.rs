//! The file of a history: JSON Lines, the oldest entry first. Usually a line is appended; the whole file is replaced when it has
//! too many lines, and when its end is not known to be a whole line.

use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{HistoryEntry, MAX_ENTRIES};
use crate::data_files::{DataFiles, WriteOptions};

/// The most lines that the file keeps when it is replaced because it has too many, so that it is not replaced again soon.
const LINES_AFTER_REPLACEMENT: usize = MAX_ENTRIES - 1_000;

#[derive(Debug)]
pub(super) struct HistoryFile {
    files: DataFiles,
    path: PathBuf,
    lines: usize,
    /// Whether the file does not exist, or may hold anything but whole lines of entries.
    must_replace: bool,
}

impl HistoryFile {
    pub(super) fn beside(state_file: &Path) -> Self {
        let files = DataFiles::beside(state_file);
        HistoryFile {
            path: files.history_path(),
            files,
            lines: 0,
            must_replace: true,
        }
    }

    /// Reads all entries. Drops lines that are no entries: the last line is torn if the server was killed while writing it. Also
    /// returns the largest id in the file, which may be that of a dropped line; `None` if a line without a readable id was
    /// dropped, or the file cannot be read.
    pub(super) fn load(&mut self) -> (Vec<HistoryEntry>, Option<u64>) {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return (Vec::new(), Some(0)),
            Err(error) => {
                tracing::error!("the history cannot be read: {error}");
                // What the file holds is not lost, as it would be if it was replaced.
                self.must_replace = false;
                return (Vec::new(), None);
            }
        };
        let lines: Vec<_> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        let mut entries: Vec<HistoryEntry> = Vec::new();
        let mut last_id = Some(0);
        for line in &lines {
            let entry = serde_json::from_slice(line).ok();
            let id = entry
                .as_ref()
                .map_or(id_of_damaged(line), |entry: &HistoryEntry| Some(entry.id));
            last_id = last_id.and_then(|last| Some(id?.max(last)));
            entries.extend(entry);
        }
        self.lines = entries.len();
        let has_whole_end = bytes.last().is_none_or(|byte| *byte == b'\n');
        let dropped = lines.len() - entries.len();
        let is_torn = dropped == 1 && !has_whole_end;
        if dropped > 0 && !is_torn {
            tracing::warn!("{dropped} lines of the history are no entries, and were dropped");
        }
        self.must_replace = dropped > 0 || !has_whole_end;
        (entries, last_id)
    }

    /// Adds an entry, which is the last one of `all`. Blocks.
    ///
    /// # Errors
    /// The error of the file system. The next call then writes the entry, too.
    pub(super) fn append(
        &mut self,
        entry: &HistoryEntry,
        all: impl FnOnce() -> Vec<Arc<HistoryEntry>>,
    ) -> io::Result<()> {
        if self.must_replace || self.lines >= MAX_ENTRIES {
            return self.replace(&all());
        }
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        let opened = OpenOptions::new().append(true).open(&self.path);
        let is_missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        self.must_replace = opened.as_ref().err().is_some_and(is_missing);
        let mut file = opened?;
        // If the write fails, a part of the line may be in the file.
        self.must_replace = true;
        file.write_all(&line)?;
        file.sync_data()?;
        self.must_replace = false;
        self.lines += 1;
        Ok(())
    }

    fn replace(&mut self, entries: &[Arc<HistoryEntry>]) -> io::Result<()> {
        let surplus = match entries.len() >= MAX_ENTRIES {
            true => entries.len() - LINES_AFTER_REPLACEMENT,
            false => 0,
        };
        let kept = &entries[surplus..];
        let write = |file: &mut fs::File| {
            let mut writer = BufWriter::new(file);
            for entry in kept {
                serde_json::to_writer(&mut writer, entry)?;
                writer.write_all(b"\n")?;
            }
            writer.flush()
        };
        self.files
            .replace(&self.path, WriteOptions::DURABLE, write)?;
        self.lines = kept.len();
        self.must_replace = false;
        Ok(())
    }
}

/// The id at the beginning of a line that is no entry. Lines end with the id only if they are torn there.
fn id_of_damaged(line: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(line).ok()?;
    let (id, _) = text.strip_prefix("{\"id\":")?.split_once(',')?;
    id.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::tests::entry;
    use super::*;

    fn line(id: u64) -> String {
        serde_json::to_string(&entry(id)).unwrap() + "\n"
    }

    fn append(file: &mut HistoryFile, entries: &mut Vec<HistoryEntry>, id: u64) {
        entries.push(entry(id));
        let all = || entries.iter().cloned().map(Arc::new).collect();
        file.append(&entry(id), all).unwrap();
    }

    #[test]
    fn history_torn_at_any_byte_keeps_its_whole_lines() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state.json");
        let whole = line(1) + &line(2);
        for end in 0..=whole.len() {
            let torn = &whole.as_bytes()[..end];
            let mut file = HistoryFile::beside(&state);
            fs::write(&file.path, torn).unwrap();
            let (mut entries, _) = file.load();
            let whole_lines = torn.split(|byte| *byte == b'\n').count() - 1;
            // The last line may lack only its line end.
            assert!((whole_lines..=whole_lines + 1).contains(&entries.len()));
            append(&mut file, &mut entries, 3);
            let expected: String = entries.iter().map(|entry| line(entry.id)).collect();
            let found = fs::read_to_string(&file.path).unwrap();
            assert_eq!(found, expected, "torn at byte {end}");
        }
    }

    #[test]
    fn lines_that_are_no_entries_are_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = HistoryFile::beside(&folder.path().join("state.json"));
        let damaged = line(1) + "\u{0}\u{0}\n{}\n" + &line(2);
        fs::write(&file.path, damaged).unwrap();
        let (mut entries, _) = file.load();
        append(&mut file, &mut entries, 3);
        append(&mut file, &mut entries, 4);
        let expected = [1, 2, 3, 4].map(line).concat();
        assert_eq!(fs::read_to_string(&file.path).unwrap(), expected);
    }

    #[test]
    fn entries_of_a_failed_write_are_written_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inner");
        fs::create_dir(&path).unwrap();
        let mut file = HistoryFile::beside(&path.join("state.json"));
        let (mut entries, _) = file.load();
        append(&mut file, &mut entries, 1);
        fs::remove_dir_all(&path).unwrap();
        entries.push(entry(2));
        let all = || entries.iter().cloned().map(Arc::new).collect();
        assert!(file.append(&entry(2), all).is_err());
        fs::create_dir(&path).unwrap();
        append(&mut file, &mut entries, 3);
        append(&mut file, &mut entries, 4);
        let expected = [1, 2, 3, 4].map(line).concat();
        assert_eq!(fs::read_to_string(&file.path).unwrap(), expected);
    }
}
