//! Covers: the embedded picture, or the one beside the track, scaled for a phone, and kept for the next one who asks.

use std::collections::VecDeque;
use std::io::{Cursor, Read};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::{ImageReader, Limits};
use tokio::sync::Semaphore;

use super::{Cover, Index, Version, tags};
use crate::room::TrackId;

/// The longer side of a scaled cover, in pixels.
const LONGEST_SIDE: u32 = 512;
const JPEG_QUALITY: u8 = 82;
/// Larger pictures are not decoded: a picture bomb costs a log line.
const LARGEST_SOURCE: u32 = 10_000;
/// And files that are larger are not read, in bytes.
const LARGEST_FILE: u64 = 32 << 20;
/// What decoding one may take, in bytes.
const MOST_MEMORY: u64 = 128 << 20;
/// What is kept of scaled covers, in bytes.
const CACHE: usize = 16 << 20;
/// How many are scaled at once: it is heavy work on a Pi, and the music comes first.
const AT_ONCE: usize = 1;

/// The scaled covers of a library.
#[derive(Debug)]
pub struct Covers {
    kept: Mutex<Kept>,
    turns: Arc<Semaphore>,
}

impl Default for Covers {
    fn default() -> Self {
        Covers {
            kept: Mutex::default(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

/// The most recently made ones, oldest first, and those that cannot be made.
#[derive(Debug, Default)]
struct Kept {
    covers: VecDeque<(TrackId, Version, Option<Bytes>)>,
    bytes: usize,
}

impl Covers {
    /// A track's cover as JPEG; `None` where there is none that can be shown.
    pub async fn get(self: &Arc<Self>, index: &Arc<Index>, id: TrackId) -> Option<Bytes> {
        let track = index.track(id)?;
        let (version, picture) = (track.cover_version()?, track.picture()?);
        if let Some(known) = self.lock().find(picture, version) {
            return known;
        }
        let turn = self.turns.clone().acquire_owned().await.ok()?;
        // Whoever asked may have scrolled on and be gone: the work keeps its turn, and what it has made.
        let (covers, index) = (self.clone(), index.clone());
        let made = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            covers.make(&index, id, picture, version)
        });
        made.await.ok()?
    }

    fn make(
        &self,
        index: &Index,
        id: TrackId,
        picture: TrackId,
        version: Version,
    ) -> Option<Bytes> {
        // Several phones ask for a cover at the same time: whoever waited finds it made.
        if let Some(known) = self.lock().find(picture, version) {
            return known;
        }
        let made = make(index, id);
        match &made {
            Ok(cover) => self.lock().keep(picture, version, Some(cover.clone())),
            Err(error) => {
                tracing::warn!(track = %id, "the cover cannot be shown: {error}");
                // A disk that is asleep now may be awake the next time.
                if !matches!(error, NoCover::Io(_)) {
                    self.lock().keep(picture, version, None);
                }
            }
        }
        made.ok()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn find(&self, id: TrackId, version: Version) -> Option<Option<Bytes>> {
        let mut kept = self.covers.iter();
        let found = kept.find(|kept| (kept.0, kept.1) == (id, version));
        found.map(|kept| kept.2.clone())
    }

    fn keep(&mut self, id: TrackId, version: Version, cover: Option<Bytes>) {
        self.bytes += weight(cover.as_ref());
        self.covers.push_back((id, version, cover));
        while self.bytes > CACHE {
            let Some((_, _, oldest)) = self.covers.pop_front() else {
                break;
            };
            self.bytes -= weight(oldest.as_ref());
        }
    }
}

/// What a kept cover takes, in bytes, with its place in the list.
fn weight(cover: Option<&Bytes>) -> usize {
    64 + cover.map_or(0, Bytes::len)
}

#[derive(Debug, thiserror::Error)]
pub(super) enum NoCover {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Image(#[from] image::ImageError),
    #[error("it is gone")]
    Gone,
    #[error("its file has more than {} MB", LARGEST_FILE >> 20)]
    TooLarge,
}

fn make(index: &Index, id: TrackId) -> Result<Bytes, NoCover> {
    let track = index.track(id).ok_or(NoCover::Gone)?;
    match track.cover.as_ref().ok_or(NoCover::Gone)? {
        Cover::Embedded => {
            let opened = index.open(track)?;
            let picture = tags::cover(&opened.file).ok_or(NoCover::Gone)?;
            scale(picture.data())
        }
        Cover::Beside(path, _) => {
            let opened = index.open_below(path)?;
            if opened.metadata.len() > LARGEST_FILE {
                return Err(NoCover::TooLarge);
            }
            let mut encoded = Vec::new();
            opened.file.take(LARGEST_FILE).read_to_end(&mut encoded)?;
            scale(&encoded)
        }
    }
}

pub(super) fn scale(encoded: &[u8]) -> Result<Bytes, NoCover> {
    let mut reader = ImageReader::new(Cursor::new(encoded)).with_guessed_format()?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(LARGEST_SOURCE);
    limits.max_image_height = Some(LARGEST_SOURCE);
    limits.max_alloc = Some(MOST_MEMORY);
    reader.limits(limits);
    let mut picture = reader.decode()?;
    if picture.width().max(picture.height()) > LONGEST_SIDE {
        picture = picture.resize(LONGEST_SIDE, LONGEST_SIDE, FilterType::Triangle);
    }
    let mut jpeg = Vec::new();
    picture
        .to_rgb8()
        .write_with_encoder(JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY))?;
    Ok(jpeg.into())
}

#[cfg(test)]
mod tests {
    use image::{DynamicImage, ImageFormat};

    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::new_rgba8(width, height)
            .write_to(&mut bytes, ImageFormat::Png)
            .unwrap();
        bytes.into_inner()
    }

    #[test]
    fn a_large_cover_is_scaled_and_keeps_its_shape() {
        let scaled = image::load_from_memory(&scale(&png(2000, 1000)).unwrap()).unwrap();
        assert_eq!((scaled.width(), scaled.height()), (512, 256));
    }

    #[test]
    fn a_small_cover_is_not_blown_up() {
        let scaled = image::load_from_memory(&scale(&png(64, 64)).unwrap()).unwrap();
        assert_eq!((scaled.width(), scaled.height()), (64, 64));
    }

    #[test]
    fn a_picture_bomb_is_refused_before_it_is_unpacked() {
        assert!(scale(&png(LARGEST_SOURCE + 1, 1)).is_err());
        assert!(scale(&png(6_000, 6_000)).is_err(), "144 MB of pixels");
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        assert!(scale(b"not a picture").is_err());
    }
}
