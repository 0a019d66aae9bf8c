//! The backlog: the files that remain to be hashed after a scan. A scan does not hash all files, because reading them from
//! beginning to end takes hours for a large collection. The scanner hashes them in small steps when it has nothing else to do:
//!
//! 1. *Verification*: files with another stamp that may have the same content. If the content is the same, the version stays.
//! 2. *Sound*: tracks that may have the same sound because their format, length and bit rate are equal; first a sample of each,
//!    then all of the sound of those with equal samples. Tracks with the same sound are copies.
//! 3. *Content*: all other files, so that a later scan or download can verify them.
//!
//! If the first two stages read few bytes, they are completed before the index is published, so that the rooms get one change
//! and not two. Otherwise the new tracks are published first, and a copy is removed from the queue once it is recognised.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::content::{FileHasher, HashedPart};
use super::cover::MAX_COVER_FILE_SIZE;
use super::folders::AudioFolders;
use super::index_builder::HashedFile;
use super::{ContentHash, Index, Picture, Stamp, Track};

/// What opening a file and reading its first bytes costs, as the number of bytes that a disk reads in the same time.
const FILE_COST: u64 = 64 << 10;
/// The most tracks, and the most pictures, for which the stage Content creates tasks at a time. Limits the memory.
const MAX_CONTENT_TASKS: usize = 1_000;

/// The files to hash, and the results that the index does not have yet.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// The remaining tasks of the current stage.
    tasks: VecDeque<Task>,
    /// The task that has begun. It is continued even if the index has changed meanwhile.
    begun: Option<(PathBuf, Purpose, FileHasher)>,
    /// The files that could not be hashed since the last [`Backlog::reset`].
    failed: HashSet<PathBuf>,
    results: Results,
    is_finished: bool,
    /// Whether the index has hashes or corrections that the index cache does not have yet.
    pub(super) has_unsaved: bool,
}

/// Changes of the index that follow from hashes.
#[derive(Debug, Default)]
pub(super) struct Results {
    /// The hashes of the files that had another stamp than in the index, by path.
    pub(super) hashed_files: HashMap<PathBuf, HashedFile>,
    /// Whether the sound of a track was hashed, so that there may be more copies.
    pub(super) has_new_sounds: bool,
}

impl Results {
    pub(super) fn is_empty(&self) -> bool {
        self.hashed_files.is_empty() && !self.has_new_sounds
    }
}

/// A file to hash, and why.
#[derive(Debug)]
struct Task {
    file: Target,
    purpose: Purpose,
}

#[derive(Debug)]
enum Target {
    Track(Arc<Track>),
    Picture(Picture),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Verification,
    SoundSample,
    Sound,
    Content,
}

/// Which stages to work on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stages {
    /// Those whose results clients see: verification and sound.
    Visible,
    All,
}

/// What one step has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing, because there is nothing left to do.
    Finished,
    /// There may be more to do.
    Worked {
        /// Whether the results must be applied now, so that the next stage can begin.
        has_stage_ended: bool,
        /// Whether the step hashed only contents of the third stage, whose results change nothing that clients see.
        is_content: bool,
    },
}

impl Backlog {
    /// Begins anew, because the index has changed.
    pub(super) fn reset(&mut self) {
        *self = Backlog {
            begun: self.begun.take(),
            has_unsaved: self.has_unsaved,
            ..Backlog::default()
        };
    }

    /// Adds the files that could not be hashed to the backlog again, because the error may have been temporary.
    pub(super) fn retry_failed(&mut self) {
        self.is_finished &= self.failed.is_empty();
        self.failed.clear();
    }

    /// Whether there is nothing left to do for this index.
    pub(super) fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// The results since the last call.
    pub(super) fn take_results(&mut self) -> Results {
        std::mem::take(&mut self.results)
    }

    /// Hashes files of `index` until `budget` bytes have been read or a stage has ended, and subtracts the bytes from `budget`.
    /// Finds copies by sound only if `finds_copies` is set. The caller must apply the results to the index when a stage has
    /// ended. Blocks.
    pub(super) fn step(
        &mut self,
        index: &Index,
        stages: Stages,
        finds_copies: bool,
        budget: &mut u64,
    ) -> Step {
        if self.tasks.is_empty() {
            self.tasks = self.next_tasks(index, stages, finds_copies).into();
            self.is_finished = self.tasks.is_empty() && stages == Stages::All;
        }
        let Some(first) = self.tasks.front() else {
            return Step::Finished;
        };
        let is_content = first.purpose == Purpose::Content;
        while *budget > 0 && !self.tasks.is_empty() {
            self.work_on_first_task(index.folders(), budget);
        }
        Step::Worked {
            has_stage_ended: self.tasks.is_empty(),
            is_content,
        }
    }

    fn work_on_first_task(&mut self, folders: &AudioFolders, budget: &mut u64) {
        let Some(task) = self.tasks.front() else {
            return;
        };
        match task.advance(folders, &mut self.begun, budget) {
            Ok(None) => return,
            Ok(Some(hash)) => {
                self.has_unsaved = true;
                task.store(hash, &mut self.results);
            }
            Err(error) => {
                tracing::debug!(file = ?task.path(), "cannot hash the file: {error}");
                self.failed.insert(task.path().into());
            }
        }
        self.begun = None;
        self.tasks.pop_front();
    }

    /// The tasks of the next stage that has any.
    fn next_tasks(&self, index: &Index, stages: Stages, finds_copies: bool) -> Vec<Task> {
        let tracks = || {
            let tracks = index.all_tracks();
            tracks.filter(|track| !self.failed.contains(&track.path))
        };
        let pictures = || {
            let pictures = index.pictures().iter();
            pictures.filter(|picture| !self.failed.contains(&picture.path))
        };
        let changed_pictures = pictures().filter(|picture| picture.seen_stamp != picture.stamp);
        let changed_tracks = tracks().filter(|track| track.seen_stamp != track.stamp);
        let mut tasks = new_tasks(Purpose::Verification, changed_pictures, changed_tracks);
        if tasks.is_empty() && finds_copies {
            tasks = sound_tasks(tracks());
        }
        if tasks.is_empty() && stages == Stages::All {
            let unknown_pictures =
                pictures().filter(|picture| picture.content_hash.get().is_none());
            let unknown_tracks = tracks().filter(|track| track.content_hash.get().is_none());
            let pictures = unknown_pictures.take(MAX_CONTENT_TASKS);
            // Tracks with corrected lengths come first: a corrected length is kept after a change of the stamp only if the
            // hash is known.
            let (corrected, others): (Vec<_>, Vec<_>) =
                unknown_tracks.partition(|track| track.corrected_duration_sec.is_some());
            let tracks = corrected.into_iter().chain(others).take(MAX_CONTENT_TASKS);
            tasks = new_tasks(Purpose::Content, pictures, tracks);
        }
        tasks
    }
}

fn new_tasks<'a>(
    purpose: Purpose,
    pictures: impl Iterator<Item = &'a Picture>,
    tracks: impl Iterator<Item = &'a Arc<Track>>,
) -> Vec<Task> {
    let pictures = pictures.map(|picture| Target::Picture(picture.clone()));
    let tracks = tracks.map(|track| Target::Track(track.clone()));
    let files = pictures.chain(tracks);
    files.map(|file| Task { file, purpose }).collect()
}

/// The tracks of which a sample or all of the sound must be hashed to find those with the same sound.
fn sound_tasks<'a>(tracks: impl Iterator<Item = &'a Arc<Track>>) -> Vec<Task> {
    // The same sound has the same length and bit rate whatever its tags. Sorted with their keys, because comparing tracks in
    // different parts of the memory takes longer.
    let key = |track: &Track| {
        (
            track.file_duration_sec.to_bits(),
            track.bit_rate,
            track.mime,
        )
    };
    let mut tracks: Vec<_> = tracks.map(|track| (key(track), track)).collect();
    tracks.sort_unstable_by_key(|(key, _)| *key);
    let mut tasks = Vec::new();
    for group in tracks.chunk_by(|(a, _), (b, _)| a == b) {
        if group.len() == 1 {
            continue;
        }
        let mut add = |track: &Arc<Track>, purpose| {
            let file = Target::Track(track.clone());
            tasks.push(Task { file, purpose });
        };
        let mut group: Vec<_> = group.iter().map(|(_, track)| *track).collect();
        let without_sample = group
            .iter()
            .filter(|track| track.sound_sample_hash.get().is_none());
        without_sample.for_each(|track| add(track, Purpose::SoundSample));
        // Sorts the tracks without a sample first.
        group.sort_by_key(|track| track.sound_sample_hash.get().copied());
        for same in group.chunk_by(|a, b| a.sound_sample_hash == b.sound_sample_hash) {
            if same.len() > 1 && same[0].sound_sample_hash.get().is_some() {
                let without_sound = same.iter().filter(|track| track.sound_hash.get().is_none());
                without_sound.for_each(|track| add(track, Purpose::Sound));
            }
        }
    }
    tasks
}

impl Task {
    fn path(&self) -> &Path {
        match &self.file {
            Target::Track(track) => &track.path,
            Target::Picture(picture) => &picture.path,
        }
    }

    /// The stamp that the file must have.
    fn stamp(&self) -> Stamp {
        let (stamp, seen) = match &self.file {
            Target::Track(track) => (track.stamp, track.seen_stamp),
            Target::Picture(picture) => (picture.stamp, picture.seen_stamp),
        };
        match self.purpose {
            Purpose::Verification => seen,
            _ => stamp,
        }
    }

    /// Hashes the next bytes of the file, up to `budget`. Returns the hash when the file has been read.
    fn advance(
        &self,
        folders: &AudioFolders,
        begun: &mut Option<(PathBuf, Purpose, FileHasher)>,
        budget: &mut u64,
    ) -> io::Result<Option<u64>> {
        let is_this = |(path, purpose, hasher): &(PathBuf, Purpose, FileHasher)| {
            path == self.path() && *purpose == self.purpose && hasher.stamp() == self.stamp()
        };
        let hasher = match begun.take().filter(is_this) {
            Some((_, _, hasher)) => hasher,
            None => {
                *budget = budget.saturating_sub(FILE_COST);
                self.begin(folders)?
            }
        };
        let (_, _, hasher) = begun.insert((self.path().into(), self.purpose, hasher));
        hasher.step(budget)
    }

    fn begin(&self, folders: &AudioFolders) -> io::Result<FileHasher> {
        let opened = folders.handles().open(self.path())?;
        let is_picture = matches!(self.file, Target::Picture(_));
        if is_picture && opened.metadata.len() > MAX_COVER_FILE_SIZE {
            return Err(io::Error::other(
                "no cover is made from a file of this size",
            ));
        }
        let part = match self.purpose {
            Purpose::Verification | Purpose::Content => HashedPart::All,
            Purpose::SoundSample => HashedPart::SoundSample,
            Purpose::Sound => HashedPart::Sound,
        };
        FileHasher::new(opened.file, self.stamp(), part)
    }

    fn store(&self, hash: u64, results: &mut Results) {
        // Only this thread sets these values, so none of them is set already.
        match (&self.file, self.purpose) {
            (_, Purpose::Verification) => {
                let hashed = HashedFile {
                    stamp: self.stamp(),
                    content_hash: ContentHash(hash),
                };
                results.hashed_files.insert(self.path().into(), hashed);
            }
            (Target::Track(track), Purpose::SoundSample) => {
                let _ = track.sound_sample_hash.set(hash);
            }
            (Target::Track(track), Purpose::Sound) => {
                let _ = track.sound_hash.set(hash);
                results.has_new_sounds = true;
            }
            (Target::Track(track), Purpose::Content) => {
                let _ = track.content_hash.set(ContentHash(hash));
            }
            (Target::Picture(picture), _) => {
                let _ = picture.content_hash.set(ContentHash(hash));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::FileExt;
    use std::time::{Duration, Instant};

    use tempfile::TempDir;

    use super::super::content::metadata_at_rest;
    use super::super::publisher::{PublishedIndex, Publisher};
    use super::super::scan_requests::ScanRequests;
    use super::super::sound_ranges::sound_ranges;
    use super::super::{LibraryOptions, Scanner, Version};
    use super::*;

    fn fixture(extension: &str) -> Vec<u8> {
        let name = format!("tests/fixtures/fixture.{extension}");
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
    }

    /// The bytes of a file between its tags.
    fn sound_of(bytes: &[u8]) -> Vec<u8> {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, bytes).unwrap();
        let ranges = sound_ranges(&file, bytes.len() as u64).unwrap();
        bytes[ranges[0].start as usize..ranges[0].end as usize].to_vec()
    }

    /// A folder for the state file, with an audio folder that has these files.
    fn folder(files: &[(&str, &[u8])]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("audio")).unwrap();
        for (name, content) in files {
            fs::write(folder.path().join("audio").join(name), content).unwrap();
        }
        folder
    }

    /// Scans the folder as at a start of the server, which hashes what clients see.
    fn scan(folder: &TempDir) -> Scanner {
        let (audio, state) = (
            folder.path().join("audio"),
            folder.path().join("state.json"),
        );
        Scanner::open(&[audio], &state, false, &[], Arc::default()).unwrap()
    }

    /// Scans the folder, and hashes everything.
    fn scan_and_hash(folder: &TempDir) -> Scanner {
        let mut scanner = scan(folder);
        let (publisher, _events) = Publisher::new(Arc::new(PublishedIndex::new(scanner.index())));
        let options = LibraryOptions {
            current_tracks: Box::new(Vec::new),
            publish_partial_indexes: false,
        };
        let deadline = Instant::now() + Duration::from_secs(600);
        scanner.work_on_backlog(&ScanRequests::default(), deadline, &publisher, &options);
        assert!(scanner.backlog.is_finished());
        scanner
    }

    /// The versions of all tracks and pictures.
    fn versions(scanner: &Scanner) -> Vec<Version> {
        let index = scanner.index();
        let tracks = index.all_tracks().map(|track| track.version);
        let pictures = index.pictures().iter().map(|picture| picture.version);
        tracks.chain(pictures).collect()
    }

    /// Moves the modification times of all files by an hour, as on a FAT disk when daylight saving time begins.
    fn shift_times(folder: &TempDir) {
        for entry in folder.path().join("audio").read_dir().unwrap() {
            let path = entry.unwrap().path();
            let file = fs::File::options().write(true).open(path).unwrap();
            let modified = metadata_at_rest(&file).unwrap().modified().unwrap();
            file.set_modified(modified + Duration::from_secs(3_600))
                .unwrap();
        }
    }

    #[test]
    fn shifted_times_keep_the_versions_of_hashed_files_only() {
        for is_hashed in [true, false] {
            let files: &[(&str, &[u8])] = &[
                ("a.mp3", &fixture("mp3")),
                ("b.ogg", &fixture("ogg")),
                ("cover.jpg", b"a picture"),
            ];
            let folder = folder(files);
            let before = match is_hashed {
                true => versions(&scan_and_hash(&folder)),
                false => versions(&scan(&folder)),
            };
            assert_eq!(before.len(), 3);
            shift_times(&folder);
            let scanner = scan(&folder);
            let after = versions(&scanner);
            assert_eq!(after == before, is_hashed);
            assert!(
                after
                    .iter()
                    .all(|version| is_hashed == before.contains(version))
            );
            let index = scanner.index();
            assert!(
                index
                    .all_tracks()
                    .all(|track| track.seen_stamp == track.stamp)
            );
        }
    }

    #[test]
    fn lost_index_cache_changes_no_version_of_an_untouched_file() {
        let folder = folder(&[("a.mp3", &fixture("mp3")), ("cover.jpg", b"a picture")]);
        let before = versions(&scan_and_hash(&folder));
        fs::remove_file(folder.path().join("state.json.index")).unwrap();
        assert_eq!(versions(&scan(&folder)), before);
    }

    #[test]
    fn other_bytes_change_the_version_even_with_equal_tags_and_size() {
        let folder = folder(&[("a.mp3", &fixture("mp3")), ("cover.jpg", b"a picture")]);
        let before = versions(&scan_and_hash(&folder));
        for (name, offset) in [("a.mp3", fixture("mp3").len() as u64 / 2), ("cover.jpg", 0)] {
            let path = folder.path().join("audio").join(name);
            let file = fs::File::options().read(true).write(true).open(path);
            let file = file.unwrap();
            let mut byte = [0];
            file.read_exact_at(&mut byte, offset).unwrap();
            let modified = metadata_at_rest(&file).unwrap().modified().unwrap();
            file.write_all_at(&[byte[0] ^ 1], offset).unwrap();
            file.set_modified(modified).unwrap();
        }
        let scanner = scan(&folder);
        let after = versions(&scanner);
        assert!(after.iter().all(|version| !before.contains(version)));
        let index = scanner.index();
        let track = &index.tracks()[0];
        assert_eq!(track.version, Version::first(track.seen_stamp));
    }

    #[test]
    fn hashing_continues_where_it_was_interrupted() {
        let content = |n: u8| [&fixture("mp3")[..], &vec![n; 300_000]].concat();
        let folder = folder(&[("a.mp3", &content(1)), ("b.mp3", &content(2))]);
        let mut scanner = scan(&folder);
        let size = content(1).len() as u64;
        let hashed = |scanner: &Scanner| {
            let index = scanner.index();
            let tracks = index.all_tracks();
            tracks
                .filter(|track| track.content_hash.get().is_some())
                .count()
        };
        let step = |scanner: &mut Scanner, mut budget: u64| {
            let index = scanner.index();
            scanner
                .backlog
                .step(&index, Stages::All, false, &mut budget);
            // The index may change in between.
            scanner.backlog.reset();
        };
        step(&mut scanner, FILE_COST + size / 2);
        assert_eq!(hashed(&scanner), 0);
        step(&mut scanner, size - size / 2);
        assert_eq!(hashed(&scanner), 1, "the second half completes the file");
        scanner.save();

        let mut scanner = scan(&folder);
        assert_eq!(hashed(&scanner), 1);
        step(&mut scanner, FILE_COST + size);
        assert_eq!(hashed(&scanner), 2);
    }

    #[test]
    fn file_that_cannot_be_hashed_is_left_out_until_the_next_scan() {
        let folder = folder(&[("a.mp3", &fixture("mp3")), ("b.ogg", &fixture("ogg"))]);
        let mut scanner = scan(&folder);
        fs::remove_file(folder.path().join("audio/a.mp3")).unwrap();
        let index = scanner.index();
        let mut step = || {
            let budget = &mut { u64::MAX };
            scanner.backlog.step(&index, Stages::All, false, budget)
        };
        assert!(matches!(step(), Step::Worked { .. }));
        assert_eq!(step(), Step::Finished);
        let hashed = |track: &Arc<Track>| track.content_hash.get().is_some();
        assert_eq!(
            index.tracks().iter().map(hashed).collect::<Vec<_>>(),
            [false, true]
        );
    }

    #[test]
    fn only_the_sound_of_tracks_that_may_be_copies_is_hashed() {
        // Without tags, so that the tracks are no copies by tags.
        let mp3 = sound_of(&fixture("mp3"));
        let tag = |title: &[u8]| {
            let mut tag = [0; 128];
            tag[..3].copy_from_slice(b"TAG");
            tag[3..3 + title.len()].copy_from_slice(title);
            tag
        };
        // Another sound of the same length and bit rate.
        let mut other = mp3.clone();
        let middle = other.len() / 2;
        other[middle] ^= 1;
        let files: &[(&str, &[u8])] = &[
            ("a.mp3", &mp3),
            ("copy.mp3", &[&mp3[..], &tag(b"Other")].concat()),
            ("other.mp3", &other),
            ("song.ogg", &fixture("ogg")),
        ];
        let folder = folder(files);
        let index = scan(&folder).index();
        let hashes = |name: &str| {
            let track = index
                .all_tracks()
                .find(|track| track.path == Path::new(name));
            let track = track.unwrap();
            (
                track.sound_sample_hash.get().is_some(),
                track.sound_hash.get(),
            )
        };
        assert_eq!(hashes("a.mp3"), hashes("copy.mp3"));
        assert!(hashes("a.mp3").1.is_some());
        assert_eq!(hashes("other.mp3"), (true, None));
        assert_eq!(hashes("song.ogg"), (false, None));
        let copies = index.duplicates().iter();
        let copies: Vec<_> = copies.map(|copy| &copy.track.path).collect();
        assert_eq!(copies.len(), 1);
        assert!(!copies.contains(&&PathBuf::from("other.mp3")));
    }
}
