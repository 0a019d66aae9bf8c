//! Judges an uploaded file with the readers of the library, before the file becomes a track.

use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use super::content::{ContentHash, hash_at_rest};
use super::tags::charset::Neighbours;
use super::tags::{self, NotATrack};
use crate::room::TrackId;

/// Why an uploaded file cannot become a track.
#[derive(Debug, thiserror::Error)]
pub enum NotMusic {
    /// The file holds no music of a supported format. Contains a short reason.
    #[error("{0}")]
    Unplayable(String),
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The content of an uploaded file that can become a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadContent {
    /// The hash of all bytes.
    pub content: ContentHash,
    /// Bytes in the file.
    pub size: u64,
    /// Whether the tags have a title.
    pub has_title_tag: bool,
}

impl UploadContent {
    /// Reads and hashes `file`, which is stored under the file name `name`. Blocks.
    ///
    /// # Errors
    /// [`NotMusic`].
    pub fn read(file: &File, name: &str) -> Result<Self, NotMusic> {
        let size = file.metadata()?.len();
        // lofty 0.22 panics on some malformed files.
        let read = catch_unwind(AssertUnwindSafe(|| {
            tags::read_audio_info(file, size, Path::new(name), no_neighbours)
        }));
        let info = match read {
            Ok(Ok(info)) => info,
            Ok(Err(NotATrack::Unreadable(error))) => return Err(error.into()),
            Ok(Err(error @ (NotATrack::UnsupportedFormat | NotATrack::Unplayable(_)))) => {
                return Err(NotMusic::Unplayable(error.to_string()));
            }
            Err(_) => return Err(NotMusic::Unplayable("the file is malformed".into())),
        };
        let (_, content) = hash_at_rest(file)?;
        Ok(UploadContent {
            content,
            size,
            has_title_tag: info.has_title_tag,
        })
    }

    /// The id of the track of this content.
    pub fn track_id(self) -> TrackId {
        TrackId(self.content.0)
    }
}

fn no_neighbours() -> Arc<Neighbours> {
    Arc::new(Neighbours::new(Vec::new()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn only_music_is_accepted_whatever_its_name() {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/fixture.ogg");
        let read = UploadContent::read(&File::open(&fixture).unwrap(), "song.bin").unwrap();
        assert_eq!(read.size, fixture.metadata().unwrap().len());

        let mut text = tempfile::tempfile().unwrap();
        text.write_all(b"not music").unwrap();
        let refused = UploadContent::read(&text, "song.mp3");
        assert!(matches!(refused, Err(NotMusic::Unplayable(_))));
    }
}
