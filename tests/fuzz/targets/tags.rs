//! Fuzzes the reading of an audio file: its format, length, tags and embedded cover.

#![no_main]

use std::fs::File;
use std::io::{Seek, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};

use libfuzzer_sys::fuzz_target;
use lockstep::library::fuzzing::read_audio_file;

/// File names whose extensions are treated differently. The length of the input selects one.
const FILE_NAMES: [&str; 4] = ["song.mp3", "song.m4a", "song.aac", "song"];

/// A file in memory, reused for all inputs.
static FILE: LazyLock<Mutex<File>> = LazyLock::new(|| {
    Mutex::new(tempfile::tempfile_in("/dev/shm").expect("cannot create a file in /dev/shm"))
});

fuzz_target!(
    // A scan catches a panic of a parser, so a panic is no finding. Findings are a hang, too much memory and an invalid duration.
    init: std::panic::set_hook(Box::new(|_| {})),
    |input: &[u8]| {
        let file_name = FILE_NAMES[input.len() % FILE_NAMES.len()];
        let mut file = FILE.lock().unwrap_or_else(PoisonError::into_inner);
        file.set_len(0).expect("cannot truncate the file");
        file.rewind().expect("cannot rewind the file");
        file.write_all(input).expect("cannot write the input");
        let read_file = AssertUnwindSafe(|| read_audio_file(&file, input.len() as u64, Path::new(file_name)));
        if let Ok((Some(duration_sec), _)) = catch_unwind(read_file) {
            assert!(duration_sec > 0.0 && duration_sec.is_finite());
        }
    }
);
