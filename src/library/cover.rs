//! Covers: the embedded picture, or the one beside the track, scaled for a phone, and kept for the next one who asks: the
//! last ones here, and more of them on disk (`shelf`).

use std::collections::VecDeque;
use std::io::{Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::{ImageReader, Limits};
use tokio::sync::Semaphore;

use super::shelf::Shelf;
use super::{Cover, Index, Track, Version, tags};
use crate::room::TrackId;

/// The longer side of a scaled cover, in pixels.
const LONGEST_SIDE: u32 = 512;
const JPEG_QUALITY: u8 = 82;
/// Larger pictures are not decoded: a picture bomb costs a log line.
const LARGEST_SOURCE: u32 = 10_000;
/// And files that are larger are not read, in bytes.
const LARGEST_FILE: u64 = 32 << 20;
/// What decoding one may take, in bytes.
const MOST_MEMORY: u64 = 64 << 20;
/// What is kept of scaled covers in memory, in bytes.
const CACHE: usize = 4 << 20;
/// How many are scaled at once: it is heavy work on a Pi, and the music comes first.
const AT_ONCE: usize = 1;

/// The scaled covers of a library.
#[derive(Debug)]
pub struct Covers {
    kept: Mutex<Kept>,
    shelf: Shelf,
    turns: Arc<Semaphore>,
}

/// Names the bytes that a cover is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name {
    /// The file: tracks beside a picture share it.
    pub(super) picture: TrackId,
    pub(super) version: Version,
}

impl Name {
    fn of(track: &Track) -> Option<Self> {
        Some(Name {
            picture: track.picture()?,
            version: track.cover_version()?,
        })
    }
}

/// The most recently made ones, oldest first, and those that cannot be made.
#[derive(Debug, Default)]
struct Kept {
    covers: VecDeque<(Name, Option<Bytes>)>,
    bytes: usize,
}

impl Covers {
    /// With what is kept beside `state_file`.
    pub fn beside(state_file: &Path) -> Self {
        Covers {
            kept: Mutex::default(),
            shelf: Shelf::beside(state_file),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// A track's cover as JPEG; `None` where there is none that can be shown.
    pub async fn get(self: &Arc<Self>, index: &Arc<Index>, id: TrackId) -> Option<Bytes> {
        let name = Name::of(index.track(id)?)?;
        if let Some(known) = self.lock().find(name) {
            return known;
        }
        let covers = self.clone();
        // Whoever only wants one from the disk does not wait until others are made.
        let found = tokio::task::spawn_blocking(move || covers.take_down(name));
        if let Some(found) = found.await.ok()? {
            return found;
        }
        let turn = self.turns.clone().acquire_owned().await.ok()?;
        // Whoever asked may have scrolled on and be gone: the work keeps its turn, and what it has made.
        let (covers, index) = (self.clone(), index.clone());
        let made = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            covers.make(&index, id, name)
        });
        made.await.ok()?
    }

    fn take_down(&self, name: Name) -> Option<Option<Bytes>> {
        let found = self.shelf.find(name)?;
        self.lock().keep(name, found.clone());
        Some(found)
    }

    fn make(&self, index: &Index, id: TrackId, name: Name) -> Option<Bytes> {
        // Several phones ask for a cover at the same time: whoever waited finds it made.
        if let Some(known) = self.lock().find(name) {
            return known;
        }
        // What makes a reader of pictures or tags fail is no cover either.
        let making = AssertUnwindSafe(|| make(index, id, name.version));
        let made = catch_unwind(making).unwrap_or(Err(NoCover::Broken));
        if let Err(error) = &made {
            tracing::warn!(track = %id, "the cover cannot be shown: {error}");
        }
        // A disk that is asleep now may be awake the next time.
        if !matches!(made, Err(NoCover::Io(_) | NoCover::Changed)) {
            let cover = made.as_ref().ok();
            self.lock().keep(name, cover.cloned());
            // It may be that a disk failed while the tags were read: the next start looks again.
            if !matches!(made, Err(NoCover::Gone)) {
                self.shelf.keep(name, cover);
            }
        }
        made.ok()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn find(&self, name: Name) -> Option<Option<Bytes>> {
        let mut kept = self.covers.iter();
        let found = kept.find(|(kept, _)| *kept == name);
        found.map(|(_, cover)| cover.clone())
    }

    fn keep(&mut self, name: Name, cover: Option<Bytes>) {
        // Many who asked at the same time bring the same.
        if self.find(name).is_some() {
            return;
        }
        self.bytes += weight(cover.as_ref());
        self.covers.push_back((name, cover));
        while self.bytes > CACHE {
            let Some((_, oldest)) = self.covers.pop_front() else {
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
    #[error("what reads it fails on it")]
    Broken,
    #[error("it is gone")]
    Gone,
    #[error("its file has another version by now")]
    Changed,
    #[error("its file has more than {} MB", LARGEST_FILE >> 20)]
    TooLarge,
}

fn make(index: &Index, id: TrackId, version: Version) -> Result<Bytes, NoCover> {
    let track = index.track(id).ok_or(NoCover::Gone)?;
    let cover = track.cover.as_ref().ok_or(NoCover::Gone)?;
    let opened = match cover {
        Cover::Embedded => index.open(track)?,
        Cover::Beside(path, _) => index.open_below(path)?,
    };
    if Version::of(&opened.metadata) != version {
        return Err(NoCover::Changed);
    }
    match cover {
        Cover::Embedded => {
            let picture = tags::cover(&opened.file, opened.metadata.len()).ok_or(NoCover::Gone)?;
            scale(picture.data())
        }
        Cover::Beside(..) if opened.metadata.len() > LARGEST_FILE => Err(NoCover::TooLarge),
        Cover::Beside(..) => {
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
        assert!(scale(&png(4_200, 4_200)).is_err(), "70 MB of pixels");
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        assert!(scale(b"not a picture").is_err());
    }
}
