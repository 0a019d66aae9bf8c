//! Fuzzes the measuring of an audio file's length. Unlike in the target `tags`, a panic is a finding.

#![no_main]

use std::fs::File;
use std::io::{Seek, Write};
use std::sync::{LazyLock, Mutex, PoisonError};

use libfuzzer_sys::fuzz_target;
use lockstep::library::fuzzing::measure_length;

/// A file in memory, reused for all inputs.
static FILE: LazyLock<Mutex<File>> = LazyLock::new(|| {
    Mutex::new(tempfile::tempfile_in("/dev/shm").expect("cannot create a file in /dev/shm"))
});

fuzz_target!(|input: &[u8]| {
    let mut file = FILE.lock().unwrap_or_else(PoisonError::into_inner);
    file.set_len(0).expect("cannot truncate the file");
    file.rewind().expect("cannot rewind the file");
    file.write_all(input).expect("cannot write the input");
    if let Some(duration_sec) = measure_length(&file, input.len() as u64) {
        assert!(duration_sec > 0.0 && duration_sec.is_finite());
    }
});
