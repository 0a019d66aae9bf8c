//! Identifies the content of files: by stamps, without reading the files, and by hashes of all of their bytes or of their sound
//! alone, without tags.

use std::collections::VecDeque;
use std::fs::{File, Metadata};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::Advice;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::first_64_bits;
use super::sound_ranges::sound_ranges;

/// The number of bytes that are read and hashed in one step.
const CHUNK: usize = 128 << 10;
/// The number of bytes at the beginning of the sound, and of those in its middle, that make a sample. The beginning is in the page
/// cache, because it was read with the tags, but many recordings begin with silence.
const SAMPLE_SIZES: [u64; 2] = [4 << 10, 16 << 10];
/// The longest step of the kernel's clock for change times. Linux before 6.13 gives two changes within a step the same time.
const CHANGE_CLOCK_STEP: Duration = Duration::from_millis(20);
/// The most attempts to hash a file, or to see it at rest, while another program changes it.
const MAX_ATTEMPTS: usize = 5;

/// A hash of a file's size, modification time and change time. As long as the stamp of a file stays the same, so does its
/// content, except on file systems without change times, such as FAT. A program can set the modification time, but not the
/// change time.
///
/// The inode number is not part of the stamp: FUSE, FAT and exFAT assign a new number whenever they load a file. Where inode
/// numbers are permanent, a file that replaces another has a new change time, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stamp(pub(super) u64);

impl Stamp {
    /// The stamp of the file with this metadata.
    pub fn of(metadata: &Metadata) -> Self {
        let mut hash = Sha256::new();
        hash.update(metadata.size().to_le_bytes());
        for time in [
            metadata.mtime(),
            metadata.mtime_nsec(),
            metadata.ctime(),
            metadata.ctime_nsec(),
        ] {
            hash.update(time.to_le_bytes());
        }
        Stamp(first_64_bits(hash))
    }
}

/// An opaque name for the content of a file, which changes whenever the content changes. If only the stamp changes, the
/// version stays if the old content was hashed. A new version is derived from the stamp, so an untouched file has the same
/// version even if the index cache is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version(pub(super) u64);

impl Version {
    /// The version of a file that is found for the first time.
    pub(super) fn first(stamp: Stamp) -> Self {
        Version(stamp.0)
    }

    /// The version of a file with other content than that of this version.
    pub(super) fn next(self, stamp: Stamp) -> Self {
        // FAT stores no change time, so a stamp may return although the content differs.
        match Version::first(stamp) {
            same if same == self => Version(!stamp.0),
            other => other,
        }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A hash of all bytes of a file, and of nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentHash(pub(super) u64);

/// Which bytes of a file to hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HashedPart {
    All,
    /// The bytes between the tags.
    Sound,
    /// Some bytes at the beginning and in the middle of the sound, and the number of bytes of the sound. Cheap to read, and
    /// almost always different for different sounds.
    SoundSample,
}

/// Hashes a part of a file in steps, so that the caller can do something else in between.
#[derive(Debug)]
pub(super) struct FileHasher {
    file: File,
    stamp: Stamp,
    ranges: VecDeque<Range<u64>>,
    hash: Sha256,
    buffer: Vec<u8>,
}

impl FileHasher {
    /// Prepares to hash the part of `file`, whose stamp must be `stamp`. Blocks.
    ///
    /// # Errors
    /// The system's error, or an error if the file has another stamp.
    pub(super) fn new(file: File, stamp: Stamp, part: HashedPart) -> io::Result<Self> {
        let metadata = file.metadata()?;
        expect_stamp(&metadata, stamp)?;
        let size = metadata.len();
        let mut hash = Sha256::new();
        let ranges: VecDeque<_> = match part {
            HashedPart::All => std::iter::once(0..size).collect(),
            HashedPart::Sound => sound_ranges(&file, size)?.into(),
            HashedPart::SoundSample => {
                let sound = sound_ranges(&file, size)?;
                let sound_size: u64 = sound.iter().map(|range| range.end - range.start).sum();
                hash.update(sound_size.to_le_bytes());
                let [first, middle] = SAMPLE_SIZES;
                let middle_at = sound_size.saturating_sub(middle) / 2;
                let mut sample = sub_ranges(&sound, 0..first);
                sample.extend(sub_ranges(&sound, middle_at..middle_at + middle));
                sample.into()
            }
        };
        if part != HashedPart::All && ranges.iter().all(Range::is_empty) {
            return Err(io::Error::other("the file has no sound"));
        }
        // The file will not be read again soon, so it should not replace other files in the page cache. Linux before 6.3
        // ignores this advice.
        let _ = rustix::fs::fadvise(&file, 0, None, Advice::NoReuse);
        Ok(FileHasher {
            file,
            stamp,
            ranges,
            hash,
            buffer: Vec::new(),
        })
    }

    pub(super) fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Reads at most `max_bytes` more bytes, and subtracts their number from `max_bytes`. Returns the hash once all bytes have
    /// been read. Blocks.
    ///
    /// # Errors
    /// The system's error, or an error if the file has another stamp now: it was changed, so the hash may be that of a mixture
    /// of two contents.
    pub(super) fn step(&mut self, max_bytes: &mut u64) -> io::Result<Option<u64>> {
        while let Some(range) = self.ranges.front_mut() {
            if range.is_empty() {
                self.ranges.pop_front();
                continue;
            }
            let length = (range.end - range.start).min(CHUNK as u64).min(*max_bytes);
            if length == 0 {
                return Ok(None);
            }
            self.buffer.resize(length as usize, 0);
            self.file.read_exact_at(&mut self.buffer, range.start)?;
            self.hash.update(&self.buffer);
            range.start += length;
            *max_bytes -= length;
        }
        expect_stamp(&self.file.metadata()?, self.stamp)?;
        Ok(Some(first_64_bits(self.hash.clone())))
    }
}

fn expect_stamp(metadata: &Metadata, stamp: Stamp) -> io::Result<()> {
    match Stamp::of(metadata) == stamp {
        true => Ok(()),
        false => Err(changing_error()),
    }
}

fn changing_error() -> io::Error {
    io::Error::other("the file is being changed")
}

/// The parts of `ranges` that hold the bytes `wanted`, whose offsets count the bytes of all ranges one after the other.
fn sub_ranges(ranges: &[Range<u64>], wanted: Range<u64>) -> Vec<Range<u64>> {
    let mut before = 0;
    let mut parts = Vec::new();
    for range in ranges {
        let size = range.end - range.start;
        let (from, to) = (wanted.start.max(before), wanted.end.min(before + size));
        if from < to {
            parts.push(range.start + (from - before)..range.start + (to - before));
        }
        before += size;
    }
    parts
}

/// The metadata of an open file at rest: its last change is so long ago that a further change would change the stamp. Waits for
/// some milliseconds if necessary. Blocks.
///
/// # Errors
/// The system's error, or an error if the file does not stay unchanged for that long.
pub(super) fn metadata_at_rest(file: &File) -> io::Result<Metadata> {
    for _ in 0..MAX_ATTEMPTS {
        let metadata = file.metadata()?;
        let seconds = Duration::from_secs(metadata.ctime().max(0).unsigned_abs());
        let changed = seconds + Duration::from_nanos(metadata.ctime_nsec().max(0).unsigned_abs());
        // A time in the future is from the clock of a file server.
        match SystemTime::now().duration_since(UNIX_EPOCH + changed) {
            Ok(age) if age < CHANGE_CLOCK_STEP => thread::sleep(CHANGE_CLOCK_STEP - age),
            _ => return Ok(metadata),
        }
    }
    Err(changing_error())
}

/// Hashes all bytes of `file`, and returns the metadata that the file had before and after. Blocks.
///
/// # Errors
/// The system's error, or an error if the file is changed again and again.
pub(super) fn hash_at_rest(file: &File) -> io::Result<(Metadata, ContentHash)> {
    for _ in 0..MAX_ATTEMPTS {
        let metadata = metadata_at_rest(file)?;
        let stamp = Stamp::of(&metadata);
        let hashed = FileHasher::new(file.try_clone()?, stamp, HashedPart::All)
            .and_then(|mut hasher| hasher.step(&mut { u64::MAX }));
        match hashed {
            Ok(hash) => return Ok((metadata, ContentHash(hash.unwrap_or_default()))),
            Err(error) if Stamp::of(&file.metadata()?) == stamp => return Err(error),
            // The file was changed meanwhile.
            Err(_) => {}
        }
    }
    Err(changing_error())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use lofty::config::WriteOptions;
    use lofty::file::{AudioFile, TaggedFileExt};
    use lofty::tag::{Accessor, Tag};

    use super::*;

    fn hash(path: &Path, part: HashedPart) -> u64 {
        let file = File::open(path).unwrap();
        let stamp = Stamp::of(&file.metadata().unwrap());
        let mut hasher = FileHasher::new(file, stamp, part).unwrap();
        loop {
            if let Some(hash) = hasher.step(&mut 1_000).unwrap() {
                return hash;
            }
        }
    }

    fn fixture(extension: &str) -> std::path::PathBuf {
        let name = format!("tests/fixtures/fixture.{extension}");
        Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
    }

    #[test]
    fn content_hash_is_that_of_all_bytes_and_of_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("song");
        let original = fs::read(fixture("mp3")).unwrap();
        for at in [0, 20, original.len() / 2, original.len() - 1] {
            let mut changed = original.clone();
            changed[at] ^= 1;
            fs::write(&path, &changed).unwrap();
            let mut expected = Sha256::new();
            expected.update(&changed);
            assert_eq!(hash(&path, HashedPart::All), first_64_bits(expected));
        }
        let (_, whole) = hash_at_rest(&File::open(&path).unwrap()).unwrap();
        assert_eq!(whole.0, hash(&path, HashedPart::All));
    }

    #[test]
    fn hash_of_a_file_that_changes_meanwhile_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("song");
        fs::write(&path, [7; 3_000]).unwrap();
        let file = File::open(&path).unwrap();
        let stamp = Stamp::of(&metadata_at_rest(&file).unwrap());
        let mut hasher = FileHasher::new(file, stamp, HashedPart::All).unwrap();
        assert!(hasher.step(&mut 1_000).unwrap().is_none());
        fs::write(&path, [8; 3_000]).unwrap();
        assert!(hasher.step(&mut 9_000).is_err());
    }

    #[test]
    fn version_differs_after_a_change_even_if_the_stamp_returns() {
        let version = Version::first(Stamp(7));
        assert_eq!(version, Version::first(Stamp(7)));
        assert_eq!(version.next(Stamp(8)), Version::first(Stamp(8)));
        assert_ne!(version.next(Stamp(7)), version);
    }

    #[test]
    fn stamp_differs_after_a_change_that_restores_the_modification_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("song");
        fs::write(&path, "old").unwrap();
        let before = metadata_at_rest(&File::open(&path).unwrap()).unwrap();
        let mut file = File::options().write(true).open(&path).unwrap();
        io::Write::write_all(&mut file, b"new").unwrap();
        file.set_modified(before.modified().unwrap()).unwrap();
        let after = fs::metadata(&path).unwrap();
        assert_eq!(after.modified().unwrap(), before.modified().unwrap());
        assert_ne!(Stamp::of(&after), Stamp::of(&before));
    }

    #[test]
    fn sound_stays_the_same_with_other_tags() {
        let folder = tempfile::tempdir().unwrap();
        for extension in ["mp3", "flac", "ogg", "opus", "m4a", "wav", "aiff"] {
            let path = folder.path().join(format!("song.{extension}"));
            fs::copy(fixture(extension), &path).unwrap();
            let parts = [HashedPart::Sound, HashedPart::SoundSample, HashedPart::All];
            let before = parts.map(|part| hash(&path, part));
            let mut file = lofty::read_from_path(&path).unwrap();
            let mut tag = Tag::new(file.primary_tag_type());
            tag.set_title("Another title".into());
            file.insert_tag(tag);
            file.save_to_path(&path, WriteOptions::default()).unwrap();
            let after = parts.map(|part| hash(&path, part));
            assert_eq!(after[..2], before[..2], "{extension}");
            assert_ne!(after[2], before[2], "{extension}");
        }
    }

    #[test]
    fn sub_ranges_may_span_several_ranges() {
        assert_eq!(sub_ranges(&[10..20, 30..40], 8..12), [18..20, 30..32]);
        assert_eq!(sub_ranges(&[10..12, 30..31], 0..9), [10..12, 30..31]);
        assert_eq!(sub_ranges(&[], 0..9), []);
    }
}
