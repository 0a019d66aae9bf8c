//! A file of music, whatever is in it: read as a scan reads it, with its tags, its padding and its cover.

#![no_main]

use std::fs::File;
use std::io::{Seek, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};

use libfuzzer_sys::fuzz_target;
use lockstep::library::fuzzing::look_into;

/// A name for each way in which names matter; the length of the input says which.
const NAMES: [&str; 4] = ["song.mp3", "song.m4a", "song.aac", "song"];

/// In memory, and always the same one.
static FILE: LazyLock<Mutex<File>> =
    LazyLock::new(|| Mutex::new(tempfile::tempfile_in("/dev/shm").expect("a file in memory")));

fuzz_target!(
    // A scan outlives a parser that panics, file by file. It must not hang, nor fill the memory, nor be told nonsense.
    init: std::panic::set_hook(Box::new(|_| {})),
    |input: &[u8]| {
        let name = NAMES[input.len() % NAMES.len()];
        let mut file = FILE.lock().unwrap_or_else(PoisonError::into_inner);
        file.set_len(0).expect("an empty file");
        file.rewind().expect("its beginning");
        file.write_all(input).expect("a full one");
        let look = AssertUnwindSafe(|| look_into(&file, input.len() as u64, Path::new(name)));
        if let Ok((Some(duration_sec), _)) = catch_unwind(look) {
            assert!(duration_sec > 0.0 && duration_sec.is_finite());
        }
    }
);
