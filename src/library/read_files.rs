//! Reads the tags and lengths of new and changed files on several threads. Reads no file from beginning to end, unless its length
//! must be counted.

use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{OnceLock, mpsc};
use std::thread;

use super::charset_neighbours::CharsetNeighbours;
use super::cover_files;
use super::folders::{AudioFolders, FolderHandles};
use super::tags::{self, NotATrack};
use super::upload_title;
use super::walk::FileEntry;
use super::{Picture, Stamp, Track, Version, track_id};

/// The most results in one message of a worker thread. Batches of results wake the receiving thread less often.
const MAX_RESULTS_PER_MESSAGE: usize = 16;

/// The result of reading a file.
#[derive(Debug)]
pub(super) enum FileContent {
    Track(Box<Track>),
    /// The file is a picture that may be a cover.
    Picture(Picture),
    /// The file is not a track, and need not be read again until its stamp changes.
    NotATrack,
    /// The file could not be read, for this reason. The next scan tries again.
    Unreadable(String),
}

/// Reads `files`, and calls `on_read` after reading each of them, in any order. Logs a line for each file that has the name of
/// an audio file and is not a track. Blocks.
pub(super) fn read_all(
    folders: &AudioFolders,
    files: &[&FileEntry],
    mut on_read: impl FnMut(&FileEntry, FileContent),
) {
    let folders = folders.handles();
    let neighbours = CharsetNeighbours::new(&folders);
    for_each_in_parallel(
        files,
        |file| read_file(&folders, file, &neighbours),
        |file, content| on_read(file, content),
    );
}

/// Calls `work` for each of `items` on one thread per processor, and `on_done` with each result on the calling thread.
fn for_each_in_parallel<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> R + Sync,
    mut on_done: impl FnMut(&T, R),
) {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let batch_size =
        (items.len() / threads / MAX_RESULTS_PER_MESSAGE).clamp(1, MAX_RESULTS_PER_MESSAGE);
    let batches: Vec<_> = items.chunks(batch_size).collect();
    let next = AtomicUsize::new(0);
    let (sender, results) = mpsc::channel();
    let process_batches = |sender: mpsc::Sender<_>| {
        while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
            let results: Vec<_> = batch.iter().map(&work).collect();
            if sender.send((*batch, results)).is_err() {
                return;
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads.min(batches.len()) {
            let sender = sender.clone();
            scope.spawn(|| process_batches(sender));
        }
        drop(sender);
        for (batch, results) in results {
            for (item, result) in batch.iter().zip(results) {
                on_done(item, result);
            }
        }
    });
}

fn read_file(
    folders: &FolderHandles,
    file: &FileEntry,
    neighbours: &CharsetNeighbours,
) -> FileContent {
    if cover_files::rank(&file.path).is_some() {
        return match folders.open(&file.path) {
            Ok(opened) => {
                let stamp = Stamp::of(&opened.metadata);
                FileContent::Picture(Picture::new(file.path.clone(), stamp))
            }
            Err(error) => FileContent::Unreadable(error.to_string()),
        };
    }
    let full_path = || folders.full_path(&file.path);
    // lofty 0.22 panics on some malformed files. One such file must not end the scan.
    match catch_unwind(AssertUnwindSafe(|| {
        try_read_track(folders, &file.path, neighbours)
    })) {
        Ok(Ok(track)) => return FileContent::Track(Box::new(track)),
        Ok(Err(NotATrack::UnsupportedFormat)) => {
            tracing::debug!(file = ?full_path(), "skipped: the format of the file is not supported");
        }
        Ok(Err(NotATrack::Unplayable(reason))) => log_skipped(&full_path(), reason),
        Ok(Err(NotATrack::Unreadable(error))) => return FileContent::Unreadable(error.to_string()),
        Err(_) => log_skipped(
            &full_path(),
            "the parser panicked on the content of the file",
        ),
    }
    FileContent::NotATrack
}

fn try_read_track(
    folders: &FolderHandles,
    path: &Path,
    neighbours: &CharsetNeighbours,
) -> Result<Track, NotATrack> {
    let opened = folders.open(path).map_err(NotATrack::Unreadable)?;
    let size = opened.metadata.len();
    let stamp = Stamp::of(&opened.metadata);
    let mut info = tags::read_audio_info(&opened.file, size, path, || neighbours.texts(path))?;
    let upload = folders.upload_at(path);
    if upload.is_some() && !info.has_title_tag {
        info.tags.title = upload_title::title_of(path);
    }
    Ok(Track {
        track_id: upload.map_or_else(|| track_id(path), |upload| upload.track_id),
        uploaded_by: upload.map(|upload| upload.member),
        size,
        mime: info.mime,
        version: Version::first(stamp),
        stamp,
        seen_stamp: stamp,
        content_hash: OnceLock::new(),
        file_duration_sec: info.length.duration_sec,
        length_source: info.length.source,
        corrected_duration_sec: None,
        padding: info.length.padding,
        tags: info.tags,
        has_title_tag: info.has_title_tag,
        bit_rate: info.length.bit_rate(),
        tagged_loudness: info.loudness,
        measured_loudness: Default::default(),
        // The index builder sets the time, which depends on the previous index.
        added_at: 0,
        sound_hash: OnceLock::new(),
        sound_sample_hash: OnceLock::new(),
        has_embedded_picture: info.has_embedded_picture,
        cover_files: [].into(),
        path: path.into(),
    })
}

/// Logs that a file is not part of the library. `?path` escapes newlines, so that a file name cannot imitate a log line.
pub(super) fn log_skipped(path: &Path, reason: impl std::fmt::Display) {
    tracing::warn!(file = ?path, "skipped: {reason}");
}
