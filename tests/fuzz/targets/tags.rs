//! A file of music, whatever is in it: read as a scan reads it, with its tags, its padding and its cover.

#![no_main]

use std::fs::File;
use std::io::{Seek, Write};
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};

use libfuzzer_sys::fuzz_target;
use lockstep::library::fuzzing::look_into;

/// A name for each way in which names matter; the length of the input says which.
const NAMES: [&str; 4] = ["song.mp3", "song.m4a", "song.aac", "song"];

/// In memory, and always the same one.
static FILE: LazyLock<Mutex<File>> =
    LazyLock::new(|| Mutex::new(tempfile::tempfile_in("/dev/shm").expect("a file in memory")));

fuzz_target!(|input: &[u8]| {
    let name = NAMES[input.len() % NAMES.len()];
    let mut file = FILE.lock().unwrap_or_else(PoisonError::into_inner);
    file.set_len(0).expect("an empty file");
    file.rewind().expect("its beginning");
    file.write_all(input).expect("a full one");
    let (duration_sec, _) = look_into(&file, input.len() as u64, Path::new(name));
    if let Some(duration_sec) = duration_sec {
        assert!(duration_sec > 0.0 && duration_sec.is_finite());
    }
});
