//! Makes the cover of a track: finds its picture and scales it to a JPEG of at most 512 pixels a side. `cover_cache` caches
//! the result.

use std::fs::File;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;

use super::cover_picture::{self, PictureError};
use super::{Index, Picture, Stamp, Track, Version, tags};
use crate::room::TrackId;

/// The longest side of a scaled cover, in pixels. Smaller pictures keep their size.
const MAX_SIDE: u32 = 512;
/// The quality of the JPEG, from 1 to 100.
const JPEG_QUALITY: u8 = 82;
/// The largest cover file that is read, in bytes.
pub(super) const MAX_COVER_FILE_SIZE: u64 = 32 << 20;

/// Identifies the pictures from which a cover is made. Tracks without an embedded picture that have the same cover files have
/// the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct CoverKey {
    /// The track's id if it has an embedded picture; otherwise the hash of the path of its first cover file.
    pub(super) source_id: TrackId,
    /// The version of all pictures together.
    pub(super) version: Version,
}

impl CoverKey {
    /// `None` if the track has no cover.
    pub(super) fn of(track: &Track) -> Option<Self> {
        Some(CoverKey {
            source_id: track.cover_source_id()?,
            version: track.cover_version()?,
        })
    }
}

/// Why no cover could be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum CoverError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Picture(#[from] PictureError),
    #[error("the cover cannot be encoded: {0}")]
    Encoder(#[from] image::ImageError),
    #[error("the decoder of its picture panicked")]
    DecoderPanicked,
    #[error("the reader of its tags panicked")]
    TagReaderPanicked,
    #[error("the track or its picture no longer exists")]
    Gone,
    #[error("the file of its picture has changed since the scan")]
    Changed,
    #[error("the file of its picture is larger than {} MiB", MAX_COVER_FILE_SIZE >> 20)]
    TooLarge,
}

impl CoverError {
    /// Whether a later attempt with the same key may succeed, so that the error must not be cached.
    pub(super) fn is_temporary(&self) -> bool {
        matches!(self, CoverError::Io(_) | CoverError::Changed)
    }
}

/// Makes the cover of the track with this id, from the first of its pictures that can be decoded: those in its tags, then its
/// cover files. Blocks.
pub(super) fn make(index: &Index, id: TrackId) -> Result<Bytes, CoverError> {
    let track = index.track(id).ok_or(CoverError::Gone)?;
    let mut first_error = None;
    if track.has_embedded_picture {
        let pictures = match embedded_pictures(index, track) {
            Ok(pictures) => pictures,
            Err(error) if error.is_temporary() => return Err(error),
            Err(error) => {
                first_error = Some(error);
                Vec::new()
            }
        };
        for picture in pictures {
            match scale_catching_panics(&picture) {
                Ok(cover) => return Ok(cover),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
    }
    for picture in track.cover_files.iter() {
        match read_picture(index, picture).and_then(|encoded| scale_catching_panics(&encoded)) {
            Ok(cover) => return Ok(cover),
            // Another attempt may succeed, so a less preferred picture must not get into the cache.
            Err(error) if error.is_temporary() => return Err(error),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.unwrap_or(CoverError::Gone))
}

/// The pictures in the tags of a track, the most preferred first.
fn embedded_pictures(index: &Index, track: &Track) -> Result<Vec<Vec<u8>>, CoverError> {
    let opened = index.open(track)?;
    check_stamp(&opened.file, |stamp| track.accepts_stamp(stamp))?;
    let read = || tags::embedded_pictures(&opened.file, opened.metadata.len());
    let pictures =
        catch_unwind(AssertUnwindSafe(read)).map_err(|_| CoverError::TagReaderPanicked)??;
    check_stamp(&opened.file, |stamp| track.accepts_stamp(stamp))?;
    Ok(pictures)
}

/// Fails if the file has changed since the scan. To be called before and after the file is read.
fn check_stamp(file: &File, is_accepted: impl Fn(Stamp) -> bool) -> Result<(), CoverError> {
    match is_accepted(Stamp::of(&file.metadata()?)) {
        true => Ok(()),
        false => Err(CoverError::Changed),
    }
}

fn read_picture(index: &Index, picture: &Picture) -> Result<Vec<u8>, CoverError> {
    let opened = index.open_path(&picture.path)?;
    check_stamp(&opened.file, |stamp| picture.accepts_stamp(stamp))?;
    if opened.metadata.len() > MAX_COVER_FILE_SIZE {
        return Err(CoverError::TooLarge);
    }
    let mut encoded = Vec::new();
    let mut limited = (&opened.file).take(MAX_COVER_FILE_SIZE);
    limited.read_to_end(&mut encoded)?;
    check_stamp(&opened.file, |stamp| picture.accepts_stamp(stamp))?;
    Ok(encoded)
}

fn scale_catching_panics(encoded: &[u8]) -> Result<Bytes, CoverError> {
    catch_unwind(|| scale(encoded)).unwrap_or(Err(CoverError::DecoderPanicked))
}

/// Decodes a picture, and encodes the picture as a JPEG of at most [`MAX_SIDE`] pixels a side.
pub(super) fn scale(encoded: &[u8]) -> Result<Bytes, CoverError> {
    // Scaling before the background is added would mix the colours of transparent pixels, often black, into the edges.
    let mut picture =
        cover_picture::without_alpha(cover_picture::decode(encoded, MAX_SIDE as u16)?);
    if picture.width().max(picture.height()) > MAX_SIDE {
        picture = picture.resize(MAX_SIDE, MAX_SIDE, FilterType::Triangle);
    }
    let mut jpeg = Vec::new();
    picture
        .into_rgb8()
        .write_with_encoder(JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY))?;
    Ok(jpeg.into())
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::{DynamicImage, ImageFormat, Rgba, RgbaImage};

    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::new_rgba8(width, height)
            .write_to(&mut bytes, ImageFormat::Png)
            .unwrap();
        bytes.into_inner()
    }

    #[test]
    fn scales_a_large_picture_and_keeps_its_aspect_ratio() {
        let scaled = image::load_from_memory(&scale(&png(2000, 1000)).unwrap()).unwrap();
        assert_eq!((scaled.width(), scaled.height()), (512, 256));
    }

    #[test]
    fn does_not_enlarge_a_small_picture() {
        let scaled = image::load_from_memory(&scale(&png(64, 64)).unwrap()).unwrap();
        assert_eq!((scaled.width(), scaled.height()), (64, 64));
    }

    #[test]
    fn scaling_adds_no_dark_edge_around_transparent_parts() {
        // Narrow stripes of grey between transparent black.
        let stripes = RgbaImage::from_fn(1_000, 1_000, |x, _| match x % 4 {
            0 | 1 => Rgba([220, 220, 220, 255]),
            _ => Rgba([0, 0, 0, 0]),
        });
        let mut encoded = Cursor::new(Vec::new());
        stripes.write_to(&mut encoded, ImageFormat::Png).unwrap();
        let scaled = image::load_from_memory(&scale(&encoded.into_inner()).unwrap()).unwrap();
        let darkest = scaled.into_luma8().pixels().map(|pixel| pixel.0[0]).min();
        assert!(darkest >= Some(210), "{darkest:?}");
    }

    #[test]
    fn scales_a_cover_of_5200_by_4400_pixels_with_transparency() {
        let scaled = image::load_from_memory(&scale(&png(5_200, 4_400)).unwrap()).unwrap();
        assert_eq!((scaled.width(), scaled.height()), (512, 433));
    }

    #[test]
    fn refuses_a_decompression_bomb() {
        assert!(scale(&png(16_385, 1)).is_err());
        assert!(scale(&png(5_100, 5_100)).is_err(), "104 MB of pixels");
    }

    #[test]
    fn refuses_bytes_that_are_not_a_picture() {
        assert!(scale(b"not a picture").is_err());
    }
}
