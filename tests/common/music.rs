//! What is in a test's audio folder: the tagged fixtures, or long silent tracks that cost nothing.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The long tracks: name and length in seconds, each length different from the others.
pub const LONG_TRACKS: [(&str, u32); 4] = [
    ("a first.wav", 600),
    ("b second.wav", 700),
    ("c third.wav", 800),
    ("d fourth.wav", 900),
];

/// The folder of tagged fixtures.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// One of the tagged fixtures.
pub fn fixture(extension: &str) -> PathBuf {
    let is_it = |path: &PathBuf| {
        path.extension().is_some_and(|found| found == extension)
            && !path.to_string_lossy().contains("untagged")
    };
    let found = fixture_files().into_iter().find(is_it);
    found.unwrap_or_else(|| panic!("no fixture for {extension}"))
}

/// Every fixture that is music.
pub fn fixture_files() -> Vec<PathBuf> {
    let music = ["mp3", "flac", "ogg", "opus", "m4a", "wav", "aiff"];
    let is_music = |path: &PathBuf| {
        path.extension()
            .is_some_and(|found| music.iter().any(|m| found == *m))
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

/// Writes a WAV of that many seconds at that many bytes a second. It begins with a crackle of its own, or it would be a copy of
/// others; the rest is a hole in the file, so it takes no room on the disk and no time.
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
    header.extend(1_u16.to_le_bytes()); // bytes to a sample
    header.extend(8_u16.to_le_bytes()); // bits to a sample
    header.extend(b"data");
    header.extend(size.to_le_bytes());
    let length = header.len() as u64 + u64::from(size);
    let mut crackle = DefaultHasher::new();
    path.hash(&mut crackle);
    header.extend(crackle.finish().to_le_bytes());
    let mut file = File::create(path).unwrap();
    file.write_all(&header).unwrap();
    file.set_len(length).unwrap();
}
