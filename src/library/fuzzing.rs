//! What the fuzz targets (`tests/fuzz`) reach of the readers in here. Built with `--cfg fuzzing` alone.

use std::fs::File;
use std::path::Path;

use super::{cover, tags};

/// Reads `file`, of that name and size, as a scan does, and its cover as a request for that does; the duration in seconds and
/// the cover's length in bytes, of what there is.
pub fn look_into(file: &File, size: u64, path: &Path) -> (Option<f64>, Option<usize>) {
    let described = tags::describe(file, size, path).ok();
    let picture = tags::cover(file, size);
    let scaled = picture.and_then(|picture| cover::scale(picture.data()).ok());
    (
        described.map(|described| described.duration_sec),
        scaled.map(|scaled| scaled.len()),
    )
}

/// Scales a picture as a cover is; the JPEG.
pub fn scale(picture: &[u8]) -> Option<bytes::Bytes> {
    cover::scale(picture).ok()
}
