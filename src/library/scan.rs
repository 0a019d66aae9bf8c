//! The walk over the audio folder, and the reading of what is new in it, on threads of its own. When a scan is due, and
//! what becomes of its outcome, `keeper` knows.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader};
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use walkdir::{DirEntry, WalkDir};

use super::open::Root;
use super::tags::{self, NotMusic};
use super::{Cover, Track, Version, first_64_bits, track_id};

/// What a cover beside the tracks is called, the better name first.
const COVER_NAMES: [&str; 3] = ["cover", "folder", "front"];
const COVER_EXTENSIONS: [&str; 4] = ["jpg", "jpeg", "png", "webp"];

/// As many files are told of at once, where there are many: each time, somebody wakes up.
const TOGETHER: usize = 16;
/// So much of a file is summed up at once, in bytes.
const PIECE: usize = 64 << 10;

/// A file, before anybody has looked into it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen {
    /// Below the audio folder.
    pub(super) path: PathBuf,
    pub(super) version: Version,
    pub(super) modified: Option<SystemTime>,
}

/// What lies in the audio folder.
#[derive(Debug, Default)]
pub(super) struct Walked {
    pub(super) files: Vec<Seen>,
    /// The picture that stands for all tracks of a folder.
    pub(super) covers: HashMap<PathBuf, Cover>,
    /// What may not be looked at, and why.
    pub(super) left_out: Vec<(PathBuf, String)>,
    /// Folders that could not be read just now, below the audio folder: nobody knows what is in them.
    pub(super) unread: Vec<PathBuf>,
}

/// What a look into a file gave.
#[derive(Debug)]
pub(super) enum Found {
    Music(Box<Track>),
    NotMusic,
    /// Nobody knows, and why. It may be read the next time.
    Nothing(String),
}

/// Looks at every file below `root`, which must be canonical, and into none; `ours` are none of them. Blocks.
///
/// # Errors
/// What the system said when the folder itself cannot be read.
pub(super) fn walk(root: &Path, ours: &[PathBuf]) -> io::Result<Walked> {
    root.read_dir()?;
    let mut walked = Walked::default();
    let mut strays = Vec::new();
    let entries = WalkDir::new(root)
        .follow_links(true)
        .min_depth(1)
        .into_iter()
        .filter_entry(|entry| {
            // As it is spelled: a path takes its time to compare itself with another.
            let path = entry.path().as_os_str();
            let is_ours = || ours.iter().any(|ours| ours.as_os_str() == path);
            !hidden(entry) && !is_ours() && stays_inside(root, entry, &mut strays)
        });
    for entry in entries {
        match entry {
            Ok(entry) if entry.file_type().is_dir() => {}
            Ok(entry) if entry.file_type().is_file() => walked.take(root, &entry),
            Ok(entry) => walked.leave_out(entry.path(), "it is not a regular file"),
            // The folder itself, and not something in it.
            Err(error) if error.depth() == 0 || error.path().is_none() => return Err(error.into()),
            Err(error) => walked.stumble(root, &error),
        }
    }
    // Albums are read one after the other, as they will be played.
    walked
        .files
        .sort_unstable_by(|a, b| a.path.as_os_str().cmp(b.path.as_os_str()));
    for stray in strays {
        walked.leave_out(&stray, "it is a link that leads out of the audio folder");
    }
    Ok(walked)
}

impl Walked {
    fn take(&mut self, root: &Path, entry: &DirEntry) {
        let Ok(path) = entry.path().strip_prefix(root) else {
            return;
        };
        let metadata = match entry.metadata() {
            Ok(metadata) => metadata,
            Err(error) => return self.leave_out(entry.path(), error),
        };
        let seen = Seen {
            path: path.into(),
            version: Version::of(&metadata),
            modified: metadata.modified().ok(),
        };
        if let (Some(rank), Some(folder)) = (cover_rank(path), path.parent()) {
            let better = |kept: &Cover| match kept {
                Cover::Beside(path, _) => cover_rank(path).is_some_and(|kept| kept <= rank),
                Cover::Embedded => false,
            };
            if !self.covers.get(folder).is_some_and(better) {
                let cover = Cover::Beside(path.into(), seen.version);
                self.covers.insert(folder.into(), cover);
            }
        } else {
            self.files.push(seen);
        }
    }

    fn stumble(&mut self, root: &Path, error: &walkdir::Error) {
        let path = error.path().unwrap_or(root);
        if error.loop_ancestor().is_some() {
            return self.leave_out(path, "it is a loop of links");
        }
        self.leave_out(path, error);
        // What is gone is known to be gone; a link that leads nowhere is, too.
        let is_gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        if !error.io_error().is_some_and(is_gone) {
            self.unread
                .extend(path.strip_prefix(root).map(Path::to_path_buf));
        }
    }

    fn leave_out(&mut self, path: &Path, why: impl ToString) {
        self.left_out.push((path.into(), why.to_string()));
    }
}

fn hidden(entry: &DirEntry) -> bool {
    entry.file_name().as_encoded_bytes().starts_with(b".")
}

fn stays_inside(root: &Path, entry: &DirEntry, strays: &mut Vec<PathBuf>) -> bool {
    let real = || entry.path().canonicalize();
    let inside = !entry.path_is_symlink() || real().is_ok_and(|real| real.starts_with(root));
    if !inside {
        strays.push(entry.path().into());
    }
    inside
}

/// How good a cover's name is: less is better. `None` for whatever is no cover.
fn cover_rank(path: &Path) -> Option<usize> {
    let among = |names: &[&str], text: Option<&OsStr>| {
        let text = text?.to_str()?;
        names
            .iter()
            .position(|name| text.eq_ignore_ascii_case(name))
    };
    let extension = among(&COVER_EXTENSIONS, path.extension())?;
    Some(among(&COVER_NAMES, path.file_stem())? * COVER_EXTENSIONS.len() + extension)
}

/// Looks into `files`, and tells of each as soon as it is read. What is no music costs a log line where somebody would
/// have expected it to be.
pub(super) fn read_each(root: &Path, files: &[&Seen], mut tell: impl FnMut(&Seen, Found)) {
    let root = Root::of(root);
    spread(
        files,
        |seen| read(&root, seen),
        |seen, found| tell(seen, found),
    );
}

/// Sums up all bytes of each of `tracks`, and tells of each that is what it was.
pub(super) fn sum_each(root: &Path, tracks: &[Arc<Track>], mut tell: impl FnMut(&Track, u64)) {
    let root = Root::of(root);
    spread(
        tracks,
        |track| sum(&root, track),
        |track, sum| match sum {
            Ok(sum) => tell(track, sum),
            Err(error) => tracing::debug!(file = ?track.path, "it may be a copy: {error}"),
        },
    );
}

/// Does `work` on each of `items`, on as many threads as there are processors, and tells of each soon after it is done.
fn spread<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> R + Sync,
    mut tell: impl FnMut(&T, R),
) {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let together = (items.len() / threads / TOGETHER).clamp(1, TOGETHER);
    let parts: Vec<_> = items.chunks(together).collect();
    let next = AtomicUsize::new(0);
    let (done, results) = mpsc::channel();
    let take = |done: mpsc::Sender<_>| {
        while let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
            let results: Vec<_> = part.iter().map(&work).collect();
            if done.send((*part, results)).is_err() {
                return;
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads.min(parts.len()) {
            let done = done.clone();
            scope.spawn(|| take(done));
        }
        drop(done);
        for (part, results) in results {
            for (item, result) in part.iter().zip(results) {
                tell(item, result);
            }
        }
    });
}

fn read(root: &Root, seen: &Seen) -> Found {
    let full = || root.path.join(&seen.path);
    // A parser that gives up in a panic, on one bad file out of ten thousand, costs that file only.
    match catch_unwind(AssertUnwindSafe(|| describe(root, &seen.path))) {
        Ok(Ok(track)) => return Found::Music(Box::new(track)),
        Ok(Err(NotMusic::OtherFormat)) => {
            tracing::debug!(file = ?full(), "left out: it is not music")
        }
        Ok(Err(NotMusic::Unplayable(why))) => left_out(&full(), why),
        Ok(Err(NotMusic::Unreadable(why))) => return Found::Nothing(why.to_string()),
        Err(_) => left_out(&full(), "its content makes no sense"),
    }
    Found::NotMusic
}

fn describe(root: &Root, path: &Path) -> Result<Track, NotMusic> {
    let opened = root.open(path).map_err(NotMusic::Unreadable)?;
    let size = opened.metadata.len();
    let described = tags::describe(&opened.file, size, path)?;
    Ok(Track {
        track_id: track_id(path),
        size,
        mime: described.mime,
        version: Version::of(&opened.metadata),
        duration: described.duration_sec,
        padding: described.padding,
        tags: described.tags,
        is_titled: described.is_titled,
        bit_rate: described.bit_rate,
        disc: described.disc,
        content: None,
        cover: described.has_cover.then_some(Cover::Embedded),
        path: path.into(),
    })
}

/// Of a file that is still what it was when it was looked into.
fn sum(root: &Root, track: &Track) -> io::Result<u64> {
    let opened = root.open(&track.path)?;
    if Version::of(&opened.metadata) != track.version {
        return Err(io::Error::other("it has changed"));
    }
    let mut sum = Sha256::new();
    let mut bytes = BufReader::with_capacity(PIECE, opened.file);
    loop {
        let piece = bytes.fill_buf()?;
        if piece.is_empty() {
            return Ok(first_64_bits(sum));
        }
        sum.update(piece);
        let length = piece.len();
        bytes.consume(length);
    }
}

/// One line for what is not taken. The path is quoted as Rust does, so a newline in it stays in the line.
pub(super) fn left_out(path: &Path, why: impl std::fmt::Display) {
    tracing::warn!(file = ?path, "left out: {why}");
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_folder_has_the_best_of_its_covers() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir(root.join("album")).unwrap();
        for name in [
            "front.png",
            "Folder.JPG",
            "cover.png",
            "cover.txt",
            "album/back.jpg",
        ] {
            fs::write(root.join(name), "x").unwrap();
        }
        let walked = walk(&root, &[]).unwrap();
        let covers: Vec<_> = walked.covers.values().collect();
        assert!(
            matches!(covers[..], [Cover::Beside(path, _)] if **path == *Path::new("cover.png")),
            "{covers:?}"
        );
    }

    #[test]
    fn what_the_server_writes_itself_is_none_of_the_music() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir(root.join("state.json.covers")).unwrap();
        for name in ["song.mp3", "state.json", "state.json.covers/1"] {
            fs::write(root.join(name), "x").unwrap();
        }
        let ours = ["state.json", "state.json.covers"].map(|name| root.join(name));
        let walked = walk(&root, &ours).unwrap();
        let files: Vec<_> = walked
            .files
            .iter()
            .map(|seen| seen.path.as_path())
            .collect();
        assert_eq!(files, [Path::new("song.mp3")]);
    }
}
