//! Fuzzes the parser of M3U playlists, and the search for the tracks that their entries name.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstep::library::fuzzing::parse_playlist;

fuzz_target!(|input: &[u8]| {
    // A line end in UTF-16 contains one of these bytes, too.
    let lines = input.split(|byte| matches!(byte, b'\r' | b'\n')).count();
    assert!(parse_playlist(input) <= lines);
});
