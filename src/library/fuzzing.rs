//! Gives access to the private parsers for the fuzz targets in `tests/fuzz`. Compiled with `--cfg fuzzing` only.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use super::length;
use super::m3u::{self, TracksByPath};
use super::peek_reader::PeekReader;
use super::tags::charset::Neighbours;
use super::{cover, tags};
use crate::room::TrackId;

/// The texts of a folder without other files.
fn no_neighbours() -> Arc<Neighbours> {
    Arc::new(Neighbours::new(Vec::new()))
}

/// Reads the tags of `file`, as a scan does, and makes the cover of the track, as `GET /cover` does. `size` is the size
/// of the file in bytes, and `path` is its name. Returns the duration in seconds if the file is a track, and the size of
/// the cover in bytes if the file has a cover.
pub fn read_audio_file(file: &File, size: u64, path: &Path) -> (Option<f64>, Option<usize>) {
    let info = tags::read_audio_info(file, size, path, no_neighbours).ok();
    let pictures = tags::embedded_pictures(file, size).unwrap_or_default();
    let cover = pictures
        .iter()
        .find_map(|picture| cover::scale(picture).ok());
    (
        info.map(|info| info.length.duration_sec),
        cover.map(|cover| cover.len()),
    )
}

/// Scales a picture to a cover, as JPEG. `None` if the picture cannot be decoded.
pub fn scale_cover(picture: &[u8]) -> Option<bytes::Bytes> {
    cover::scale(picture).ok()
}

/// Measures the audio of `file`, which has `size` bytes. Returns the duration in seconds if the file can be played.
pub fn measure_length(file: &File, size: u64) -> Option<f64> {
    let mut reader = PeekReader::new(file, size);
    let found = length::find_format(&mut reader, true).ok()?;
    let _ = length::ogg_headers_for_tag_parser(&mut reader, found);
    let length = length::measure(&mut reader, found).ok()?;
    Some(length.duration_sec)
}

/// Parses a playlist, and returns how many of its entries name a track, for a library of two tracks.
pub fn parse_playlist(bytes: &[u8]) -> usize {
    let tracks = [
        (Path::new("a.mp3"), TrackId(1)),
        (Path::new("b/c.mp3"), TrackId(2)),
    ];
    let tracks = TracksByPath::new(Path::new("/music"), tracks.into_iter());
    let entries = m3u::parse(bytes);
    let found = entries
        .iter()
        .filter_map(|entry| tracks.find(Path::new("b"), entry));
    found.count()
}
