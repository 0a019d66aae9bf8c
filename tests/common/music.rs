//! Music for a test's audio folder: the tagged fixtures, or long silent tracks in sparse files.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The file name of each long track and its duration in seconds. The durations differ, so that tests can tell the tracks
/// apart.
pub const LONG_TRACKS: [(&str, u32); 4] = [
    ("a first.wav", 600),
    ("b second.wav", 700),
    ("c third.wav", 800),
    ("d fourth.wav", 900),
];

/// The folder with the tagged fixtures.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// The tagged fixture with this file name extension.
pub fn fixture(extension: &str) -> PathBuf {
    let is_tagged_fixture = |path: &PathBuf| {
        path.extension().is_some_and(|found| found == extension)
            && !path.to_string_lossy().contains("untagged")
    };
    let found = fixture_files().into_iter().find(is_tagged_fixture);
    found.unwrap_or_else(|| panic!("no fixture for {extension}"))
}

/// Every fixture that contains audio.
pub fn fixture_files() -> Vec<PathBuf> {
    let extensions = ["mp3", "flac", "ogg", "opus", "m4a", "wav", "aiff"];
    let is_music = |path: &PathBuf| {
        path.extension()
            .is_some_and(|found| extensions.iter().any(|extension| found == *extension))
    };
    let entries = fs::read_dir(fixtures()).unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .filter(is_music)
        .collect()
}

/// Copies every fixture into `folder`.
pub fn put_fixtures(folder: &Path) {
    for path in fixture_files() {
        fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
}

/// Writes [`LONG_TRACKS`] into `folder`.
pub fn put_long_tracks(folder: &Path) {
    for (name, seconds) in LONG_TRACKS {
        put_wav(&folder.join(name), seconds, 1_000);
    }
}

/// Writes a WAV file of `seconds` at `rate` bytes per second. The first eight samples are a hash of the path, so that the
/// server does not treat two files as copies of one recording. All other samples are a hole in the sparse file.
pub fn put_wav(path: &Path, seconds: u32, rate: u32) {
    let size = seconds * rate;
    let mut header = Vec::new();
    header.extend(b"RIFF");
    header.extend((36 + size).to_le_bytes());
    header.extend(b"WAVEfmt ");
    header.extend(16_u32.to_le_bytes());
    header.extend(1_u16.to_le_bytes()); // PCM
    header.extend(1_u16.to_le_bytes()); // mono
    header.extend(rate.to_le_bytes());
    header.extend(rate.to_le_bytes());
    header.extend(1_u16.to_le_bytes()); // bytes per sample
    header.extend(8_u16.to_le_bytes()); // bits per sample
    header.extend(b"data");
    header.extend(size.to_le_bytes());
    let length = header.len() as u64 + u64::from(size);
    let mut path_hash = DefaultHasher::new();
    path.hash(&mut path_hash);
    header.extend(path_hash.finish().to_le_bytes());
    let mut file = File::create(path).unwrap();
    file.write_all(&header).unwrap();
    file.set_len(length).unwrap();
}
