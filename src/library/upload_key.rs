//! The path of an upload in the folder of the uploads, which names the track and the device that uploaded the file.

use std::path::{Component, Path, PathBuf};

use crate::room::{MemberId, TrackId};

/// The track and the uploader of an uploaded file, which lies at `TRACKID-MEMBERID/NAME` in the folder of the uploads. The
/// path holds all that the server must remember of an upload, so that both are written and removed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadKey {
    /// A hash of the bytes of the file.
    pub track_id: TrackId,
    /// The device that uploaded the file.
    pub member: MemberId,
}

impl UploadKey {
    /// The name of the subfolder that holds the file.
    pub fn folder_name(self) -> String {
        format!("{}-{}", self.track_id, self.member)
    }

    /// Parses the name of a subfolder of the folder of the uploads.
    pub fn of_folder_name(name: &str) -> Option<Self> {
        let (track_id, member) = name.split_once('-')?;
        Some(UploadKey {
            track_id: track_id.parse().ok()?,
            member: member.parse().ok()?,
        })
    }

    /// The key of the file at `path`, which is relative to the folder of the uploads. `None` if uploads have no such path.
    pub(super) fn of_path(path: &Path) -> Option<Self> {
        let mut parts = path.components();
        let (folder, file) = (parts.next()?, parts.next()?);
        let (Component::Normal(folder), Component::Normal(_), None) = (folder, file, parts.next())
        else {
            return None;
        };
        UploadKey::of_folder_name(folder.to_str()?)
    }

    /// The path of an upload with this file name, relative to the folder of the uploads.
    pub fn path(self, file_name: &str) -> PathBuf {
        Path::new(&self.folder_name()).join(file_name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_of_an_upload_is_parsed_as_it_was_built() {
        let key = UploadKey {
            track_id: TrackId(0xab),
            member: MemberId(12),
        };
        let path = key.path("A song.mp3");
        assert_eq!(path, Path::new("00000000000000ab-m12/A song.mp3"));
        assert_eq!(UploadKey::of_path(&path), Some(key));
        for other in [
            "00000000000000ab-m12",
            "00000000000000ab-m12/inner/song.mp3",
            "00000000000000ab/song.mp3",
            "00000000000000AB-m12/song.mp3",
            "../00000000000000ab-m12/song.mp3",
            "00000000000000ab-m0/song.mp3",
        ] {
            assert_eq!(UploadKey::of_path(Path::new(other)), None, "{other}");
        }
    }
}
