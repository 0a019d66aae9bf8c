//! The walk over the audio folder, and the reading of what it finds, on threads of its own.

use std::io;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use walkdir::{DirEntry, WalkDir};

use super::tags::{self, NotMusic};
use super::{Index, Track, Version, open, track_id};

/// Scans the folder. Blocks: keep it off the async threads. What is not playable music is left out
/// with one log line and never stops the scan.
///
/// # Errors
/// What the system said when the folder itself cannot be read.
pub fn scan(folder: &Path) -> io::Result<Index> {
    let root = folder.canonicalize()?;
    root.read_dir()?;
    let files = walk(&root);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut tracks = Vec::new();
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            tracks.extend(read(&root, file));
        }
        tracks
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let tracks = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let found = workers.into_iter().map(thread::ScopedJoinHandle::join);
        found.collect::<Result<Vec<_>, _>>()
    });
    let tracks = tracks.map_err(|_| io::Error::other("reading the library broke off"))?;
    Ok(Index::new(root, tracks.concat()))
}

/// Every file below `root` that may be looked at, as paths below `root`.
fn walk(root: &Path) -> Vec<PathBuf> {
    let entries = WalkDir::new(root)
        .follow_links(true)
        .min_depth(1)
        .into_iter()
        .filter_entry(|entry| !hidden(entry) && stays_inside(root, entry));
    let mut files = Vec::new();
    for entry in entries {
        match entry {
            Ok(entry) if entry.file_type().is_dir() => {}
            Ok(entry) if entry.file_type().is_file() => {
                files.extend(entry.path().strip_prefix(root).map(Path::to_path_buf));
            }
            Ok(entry) => left_out(entry.path(), "it is not a regular file"),
            Err(error) => left_out(
                error.path().unwrap_or(root),
                if error.loop_ancestor().is_some() {
                    "it is a loop of links".into()
                } else {
                    error.to_string()
                },
            ),
        }
    }
    files
}

fn hidden(entry: &DirEntry) -> bool {
    entry.file_name().as_encoded_bytes().starts_with(b".")
}

fn stays_inside(root: &Path, entry: &DirEntry) -> bool {
    if !entry.path_is_symlink() {
        return true;
    }
    let inside = entry
        .path()
        .canonicalize()
        .is_ok_and(|real| real.starts_with(root));
    if !inside {
        left_out(
            entry.path(),
            "it is a link that leads out of the audio folder",
        );
    }
    inside
}

fn read(root: &Path, path: &Path) -> Option<Track> {
    let full = root.join(path);
    // A parser that gives up in a panic, on one bad file out of ten thousand, costs that file only.
    match catch_unwind(AssertUnwindSafe(|| describe(root, &full, path))) {
        Ok(Ok(track)) => return Some(track),
        Ok(Err(NotMusic::OtherFormat)) => {
            tracing::debug!(file = ?full, "left out: it is not music")
        }
        Ok(Err(NotMusic::Unplayable(why))) => left_out(&full, why),
        Err(_) => left_out(&full, "its content makes no sense"),
    }
    None
}

fn describe(root: &Path, full: &Path, path: &Path) -> Result<Track, NotMusic> {
    let opened = open::open(root, full).map_err(|error| NotMusic::Unplayable(error.to_string()))?;
    let size = opened.metadata.len();
    let described = tags::describe(&opened.file, size, path)?;
    let (track_id, version) = (track_id(path), Version::of(&opened.metadata));
    Ok(Track {
        track_id,
        file_name: path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        size,
        mime: described.mime,
        version,
        duration: described.duration_sec,
        lead_sec: described.lead_sec,
        tags: described.tags,
        cover_url: described
            .has_cover
            .then(|| format!("/cover/{track_id}?v={version}")),
        path: path.into(),
    })
}

/// One line for what is not taken. The path is quoted as Rust does, so a newline in it stays in the line.
fn left_out(path: &Path, why: impl std::fmt::Display) {
    tracing::warn!(file = ?path, "left out: {why}");
}
