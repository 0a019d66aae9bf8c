//! The index cache: what the last scan found, beside the state file, so that a start reads only what has changed since.
//! It is a convenience: whatever is wrong with it, it is thrown away, and all is read again.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::store::UNFINISHED;

use super::{Cover, Index, Padding, Tags, Track, Version, tags, track_id};

/// Anything that changes what a row means, or what a scan would find in the same file, needs another one.
const FORMAT: &str = "lockstep index 1";

/// Where the cache lies.
#[derive(Debug, Clone)]
pub(super) struct Cache {
    path: PathBuf,
    /// How the names of unfinished writes begin: as the store's do, which it sweeps away.
    prefix: String,
}

/// Why a cache is of no use.
#[derive(Debug, thiserror::Error)]
enum Useless {
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("it is of another version of lockstep")]
    OtherFormat,
    #[error("it is damaged")]
    Damaged,
}

#[derive(Serialize, Deserialize)]
struct Written<'a> {
    root: Name<'a>,
    tracks: Vec<Row<'a>>,
    others: Vec<(Name<'a>, u64)>,
}

/// A path, as text where it is text.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Name<'a> {
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
}

#[derive(Serialize, Deserialize)]
struct Row<'a> {
    path: Name<'a>,
    size: u64,
    version: u64,
    mime: Cow<'a, str>,
    duration: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    padding: Option<Padding>,
    tags: Cow<'a, Tags>,
    /// Whether it carries its own.
    cover: bool,
}

impl Cache {
    /// The cache beside `state_file`.
    pub(super) fn beside(state_file: &Path) -> Self {
        // Beside the state itself, as the store sees it, and not beside a link to it.
        let resolved = state_file.canonicalize();
        let state_file = resolved.as_deref().unwrap_or(state_file);
        let mut name = state_file.file_name().unwrap_or_default().to_owned();
        let prefix = format!(".{}-", name.to_string_lossy());
        name.push(".index");
        Cache {
            path: state_file.with_file_name(name),
            prefix,
        }
    }

    /// The files that this server itself writes to, which may lie in the audio folder.
    pub(super) fn ours(&self, state_file: &Path) -> Vec<PathBuf> {
        let absolute = |path: &Path| {
            let folder = folder_of(path).canonicalize().ok()?;
            Some(folder.join(path.file_name()?))
        };
        [&self.path, state_file]
            .into_iter()
            .filter_map(absolute)
            .collect()
    }

    /// What the last scan of `root` found, without the covers beside tracks; nothing, with a log line, if it is of no use.
    pub(super) fn load(&self, root: &Path) -> Index {
        let loaded = self.try_load(root).unwrap_or_else(|useless| {
            tracing::warn!(
                "the index cache {} is thrown away: {useless}",
                self.path.display()
            );
            None
        });
        loaded.unwrap_or_else(|| Index::empty(root))
    }

    fn try_load(&self, root: &Path) -> Result<Option<Index>, Useless> {
        let bytes = match fs::read(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        let end = bytes
            .iter()
            .position(|byte| *byte == b'\n')
            .ok_or(Useless::Damaged)?;
        let (head, body) = bytes.split_at(end + 1);
        let Some((FORMAT, _)) = std::str::from_utf8(head)
            .ok()
            .and_then(|head| head.rsplit_once(' '))
        else {
            return Err(Useless::OtherFormat);
        };
        if head != header(body).as_bytes() {
            return Err(Useless::Damaged);
        }
        let written: Written = serde_json::from_slice(body).map_err(|_| Useless::Damaged)?;
        if written.root.into_path() != root {
            return Ok(None);
        }
        let tracks = written.tracks.into_iter().map(Row::into_track);
        let tracks = tracks.collect::<Option<_>>().ok_or(Useless::OtherFormat)?;
        let others = written.others.into_iter();
        let others = others.map(|(name, version)| (name.into_path(), Version(version)));
        Ok(Some(Index::new(root.into(), tracks, others.collect())))
    }

    /// Replaces it. A crash leaves the old one, the new one, or one that is seen to be damaged.
    pub(super) fn save(&self, index: &Index) {
        if let Err(error) = self.try_save(index) {
            tracing::warn!(
                "cannot write the index cache {}: {error}",
                self.path.display()
            );
        }
    }

    fn try_save(&self, index: &Index) -> io::Result<()> {
        let name = |path| Name::of(path);
        let written = Written {
            root: name(&index.root),
            tracks: index.tracks.iter().map(Row::of).collect(),
            others: index
                .others
                .iter()
                .map(|(path, version)| (name(path), version.0))
                .collect(),
        };
        let body = serde_json::to_vec(&written)?;
        let mut file = tempfile::Builder::new()
            .prefix(&self.prefix)
            .suffix(UNFINISHED)
            .tempfile_in(folder_of(&self.path))?;
        file.write_all(header(&body).as_bytes())?;
        file.write_all(&body)?;
        file.persist(&self.path)?;
        Ok(())
    }
}

fn folder_of(path: &Path) -> &Path {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

fn header(body: &[u8]) -> String {
    format!("{FORMAT} {:x}\n", Sha256::digest(body))
}

impl<'a> Name<'a> {
    fn of(path: &'a Path) -> Self {
        match path.to_str() {
            Some(text) => Name::Text(text.into()),
            None => Name::Bytes(path.as_os_str().as_bytes().into()),
        }
    }

    fn into_path(self) -> PathBuf {
        match self {
            Name::Text(text) => PathBuf::from(text.into_owned()),
            Name::Bytes(bytes) => PathBuf::from(OsString::from_vec(bytes.into_owned())),
        }
    }
}

impl<'a> Row<'a> {
    fn of(track: &'a Track) -> Self {
        Row {
            path: Name::of(&track.path),
            size: track.size,
            version: track.version.0,
            mime: track.mime.into(),
            duration: track.duration,
            padding: track.padding,
            tags: Cow::Borrowed(&track.tags),
            cover: track.cover == Some(Cover::Embedded),
        }
    }

    /// `None` when it is of a format that is not known any more.
    fn into_track(self) -> Option<Track> {
        let path = self.path.into_path();
        let mut track = Track {
            track_id: track_id(&path),
            file_name: path.file_name()?.to_string_lossy().into_owned(),
            size: self.size,
            mime: tags::known_mime(&self.mime)?,
            version: Version(self.version),
            duration: self.duration,
            padding: self.padding,
            tags: self.tags.into_owned(),
            cover_url: None,
            cover: None,
            path,
        };
        track.set_cover(self.cover.then_some(Cover::Embedded));
        Some(track)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(root: &Path) -> Index {
        let path = PathBuf::from(OsString::from_vec(b"caf\xe9/01.mp3".to_vec()));
        let mut track = Track {
            track_id: track_id(&path),
            file_name: "01.mp3".into(),
            size: 7,
            mime: "audio/mpeg",
            version: Version(u64::MAX),
            duration: 1.5,
            padding: Some(Padding {
                lead_sec: 0.025_057,
                whole_sec: 1.6,
            }),
            tags: Tags {
                title: "One".into(),
                ..Tags::default()
            },
            cover_url: None,
            cover: None,
            path,
        };
        track.set_cover(Some(Cover::Embedded));
        Index::new(
            root.into(),
            vec![track],
            vec![("notes.txt".into(), Version(3))],
        )
    }

    fn saved(folder: &Path) -> (Cache, Vec<u8>) {
        let cache = Cache::beside(&folder.join("state.json"));
        cache.save(&index(Path::new("/music")));
        let bytes = fs::read(folder.join("state.json.index")).unwrap();
        (cache, bytes)
    }

    #[test]
    fn what_was_saved_is_found_again_for_the_same_folder_only() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, _) = saved(folder.path());
        let (found, was) = (cache.load(Path::new("/music")), index(Path::new("/music")));
        assert_eq!((&found.tracks, &found.others), (&was.tracks, &was.others));
        assert!(cache.load(Path::new("/other")).is_empty());
    }

    #[test]
    fn a_cache_that_was_cut_or_changed_anywhere_is_thrown_away() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, whole) = saved(folder.path());
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            for bytes in [&whole[..at], &changed] {
                fs::write(&cache.path, bytes).unwrap();
                assert!(cache.load(Path::new("/music")).is_empty(), "at byte {at}");
            }
        }
    }

    #[test]
    fn a_cache_of_another_version_is_thrown_away() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, whole) = saved(folder.path());
        let body = &whole[header(b"").len()..];
        let head = format!("lockstep index 0 {:x}\n", Sha256::digest(body));
        fs::write(&cache.path, [head.as_bytes(), body].concat()).unwrap();
        assert!(matches!(
            cache.try_load(Path::new("/music")),
            Err(Useless::OtherFormat)
        ));
    }
}
