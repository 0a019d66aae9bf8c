//! Parses M3U playlists, and finds the tracks that their entries name. Works on bytes and paths alone: no entry causes a file
//! to be opened.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};
use unicode_normalization::UnicodeNormalization;

use super::tags::charset;
use crate::percent::percent_decoded;
use crate::room::TrackId;

/// The most entries of a playlist. Further entries are ignored.
const MAX_ENTRIES: usize = 20_000;
/// The longest entry, in bytes. Longer lines are no paths.
const MAX_ENTRY_SIZE: usize = 4 << 10;

/// A path or URL in a playlist, as it is spelled there.
#[derive(Debug, PartialEq)]
pub(super) struct Entry {
    text: String,
    /// The bytes of the entry, if they are not UTF-8: the file name on the disk may be in the same character set.
    bytes: Option<Vec<u8>>,
}

/// Parses a playlist. Lines that begin with `#` are comments, except that `#EXTENC:` states the character set.
pub(super) fn parse(bytes: &[u8]) -> Vec<Entry> {
    let decoded;
    let mut bytes = bytes;
    for (mark, encoding) in [(&[0xff, 0xfe], UTF_16LE), (&[0xfe, 0xff], UTF_16BE)] {
        if let Some(rest) = bytes.strip_prefix(mark) {
            decoded = encoding.decode_without_bom_handling(rest).0.into_owned();
            bytes = decoded.as_bytes();
            break;
        }
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let lines = bytes.split(|byte| matches!(byte, b'\r' | b'\n'));
    let lines: Vec<_> = lines.map(<[u8]>::trim_ascii).collect();
    let is_entry =
        |line: &&[u8]| !line.is_empty() && !line.starts_with(b"#") && line.len() <= MAX_ENTRY_SIZE;
    let entries = lines.iter().copied().filter(is_entry).take(MAX_ENTRIES);
    let entries: Vec<_> = entries.collect();
    let not_utf8: Vec<_> = entries
        .iter()
        .copied()
        .filter(|entry| std::str::from_utf8(entry).is_err())
        .collect();
    let stated = lines.iter().find_map(|line| line.strip_prefix(b"#EXTENC:"));
    let encoding = stated
        .and_then(Encoding::for_label)
        .unwrap_or_else(|| charset::detect(&not_utf8, &charset::Neighbours::new(Vec::new())));
    let entry = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) => Entry {
            text: text.to_owned(),
            bytes: None,
        },
        Err(_) => Entry {
            text: charset::decode(encoding, bytes),
            bytes: Some(bytes.to_vec()),
        },
    };
    entries.into_iter().map(entry).collect()
}

/// The tracks by their paths, in the spellings that playlists use.
pub(super) struct TracksByPath {
    /// The absolute paths of the first audio folder: the configured one, and the one after all symbolic links.
    roots: Vec<Vec<u8>>,
    exact: HashMap<Vec<u8>, TrackId>,
    /// By the path without case; `None` if several tracks have such a path.
    without_case: HashMap<String, Option<TrackId>>,
}

impl TracksByPath {
    /// `tracks` are library paths, and the listed tracks at these paths; `root` is the first audio folder.
    pub(super) fn new<'a>(root: &Path, tracks: impl Iterator<Item = (&'a Path, TrackId)>) -> Self {
        let roots = [Some(root.to_path_buf()), root.canonicalize().ok()];
        let roots = roots.iter().flatten();
        let mut by_path = TracksByPath {
            roots: roots
                .map(|root| normalized(root.as_os_str().as_bytes()))
                .collect(),
            exact: HashMap::new(),
            without_case: HashMap::new(),
        };
        for (path, id) in tracks {
            // The paths in further audio folders are absolute, and `find` looks up paths without the first slash.
            let path = path.strip_prefix("/").unwrap_or(path);
            let path = normalized(path.as_os_str().as_bytes());
            if let Some(path_lowercase) = lowercase(&path) {
                let same = by_path.without_case.entry(path_lowercase);
                same.and_modify(|known| *known = known.filter(|known| *known == id))
                    .or_insert(Some(id));
            }
            by_path.exact.insert(path, id);
        }
        by_path
    }

    /// The track that `entry` of a playlist in the folder at the library path `folder` names.
    pub(super) fn find(&self, folder: &Path, entry: &Entry) -> Option<TrackId> {
        let folder = folder.as_os_str().as_bytes();
        spellings(entry)
            .iter()
            .find_map(|path| self.find_path(folder, path))
    }

    fn find_path(&self, folder: &[u8], path: &[u8]) -> Option<TrackId> {
        let path = normalized(path);
        let Some(path) = without_root(&path) else {
            return self.get(&resolved(&[folder, &path].join(&b'/'))?);
        };
        let path = resolved(path)?;
        let below = |root: &Vec<u8>| {
            let below = path.strip_prefix(root.strip_prefix(b"/")?)?;
            self.get(below.strip_prefix(b"/")?)
        };
        if let Some(id) = self.roots.iter().find_map(below) {
            return Some(id);
        }
        // The path on another machine, or in another place on this one: its end may be the path below the audio folder. A
        // file name alone would often name another file.
        let mut rest = &path[..];
        loop {
            if let Some(id) = self.get(rest) {
                return Some(id);
            }
            let cut = rest.iter().position(|byte| *byte == b'/')?;
            rest = &rest[cut + 1..];
            if !rest.contains(&b'/') {
                return None;
            }
        }
    }

    fn get(&self, path: &[u8]) -> Option<TrackId> {
        let exact = self.exact.get(path).copied();
        exact.or_else(|| *self.without_case.get(&lowercase(path)?)?)
    }
}

/// The path in Unicode normalization form C, if it is UTF-8.
fn normalized(path: &[u8]) -> Vec<u8> {
    match std::str::from_utf8(path) {
        Ok(text) if !text.is_ascii() => text.nfc().collect::<String>().into_bytes(),
        _ => path.to_vec(),
    }
}

/// The path in lower case, if it is UTF-8.
fn lowercase(path: &[u8]) -> Option<String> {
    Some(std::str::from_utf8(path).ok()?.to_lowercase())
}

/// The paths that an entry may state, the most probable first.
fn spellings(entry: &Entry) -> Vec<Vec<u8>> {
    let text = match entry.text.get(..5) {
        // `file:///path`, `file://host/path` or `file:/path`.
        Some(scheme) if scheme.eq_ignore_ascii_case("file:") => {
            let rest = &entry.text[5..];
            let path = match rest.strip_prefix("//") {
                Some(rest) => rest.find('/').map_or("", |host_end| &rest[host_end..]),
                None => rest,
            };
            return vec![percent_decoded(path.as_bytes())];
        }
        _ => &entry.text,
    };
    if text.contains("://") {
        return Vec::new();
    }
    let as_written = text.as_bytes().to_vec();
    let from_windows = text.replace('\\', "/").into_bytes();
    let mut spellings = vec![as_written];
    spellings.extend(entry.bytes.clone());
    spellings.push(from_windows.clone());
    spellings.push(percent_decoded(&from_windows));
    spellings
}

/// The part of a path after its root, `/` or `C:/`; `None` if the path is relative.
fn without_root(path: &[u8]) -> Option<&[u8]> {
    match path {
        [drive, b':', b'/', rest @ ..] if drive.is_ascii_alphabetic() => Some(rest),
        // The path of a URL such as `file:///C:/path`.
        [b'/', drive, b':', b'/', rest @ ..] if drive.is_ascii_alphabetic() => Some(rest),
        [b'/', rest @ ..] => Some(rest),
        _ => None,
    }
}

/// The path without `.`, `..` and empty parts; `None` if it leads out of the folder in which it begins.
fn resolved(path: &[u8]) -> Option<Vec<u8>> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join(&b'/'))
}

/// Whether the name at the end of `path` is that of an M3U playlist.
pub(super) fn is_playlist(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    ["m3u", "m3u8"]
        .iter()
        .any(|known| extension.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PATHS: [&[u8]; 8] = [
        b"root.mp3",
        b"Album/01 One.mp3",
        "Album/Caf\u{e9}.mp3".as_bytes(),
        "Кино/Группа крови.mp3".as_bytes(),
        b"Caf\xe9/02.mp3",
        b"Album/100% Pure.mp3",
        b"Same/a.mp3",
        b"same/A.mp3",
    ];

    fn found(folder: &str, playlist: &[u8]) -> Vec<Option<usize>> {
        let paths = PATHS.iter().map(|path| Path::new(OsStr::from_bytes(path)));
        let paths = paths.enumerate().map(|(n, path)| (path, TrackId(n as u64)));
        let tracks = TracksByPath::new(Path::new("/srv/music"), paths);
        let entries = parse(playlist);
        let found = entries
            .iter()
            .map(|entry| tracks.find(Path::new(folder), entry));
        found.map(|id| id.map(|id| id.0 as usize)).collect()
    }

    #[test]
    fn finds_tracks_by_the_spellings_of_other_programs() {
        for (folder, entry, expected) in [
            ("", &b"Album/01 One.mp3"[..], Some(1)),
            ("Album", b"01 One.mp3", Some(1)),
            ("Lists/more", b"../../Album/./01 One.mp3", Some(1)),
            ("Lists", b"..\\Album\\01 One.mp3", Some(1)),
            ("", b"album/01 ONE.MP3", Some(1)),
            ("", b"/srv/music/Album/01 One.mp3", Some(1)),
            ("", b"D:\\Music\\Album\\01 One.mp3", Some(1)),
            ("Lists", b"/home/me/Album/01 One.mp3", Some(1)),
            ("Lists", b"\\\\nas\\music\\Album\\01 One.mp3", Some(1)),
            ("Lists", b"file:///srv/music/Album/01%20One.mp3", Some(1)),
            ("Lists", b"FILE://host/D:/Album/01%20One.mp3", Some(1)),
            ("", b"Album/01%20One.mp3", Some(1)),
            ("", b"Album/100% Pure.mp3", Some(5)),
            ("Album", "Cafe\u{301}.mp3".as_bytes(), Some(2)),
            ("", b"Album/Caf\xe9.mp3", Some(2)),
            ("", b"Caf\xe9/02.mp3", Some(4)),
            (
                "",
                b"\xca\xe8\xed\xee/\xc3\xf0\xf3\xef\xef\xe0 \xea\xf0\xee\xe2\xe8.mp3",
                Some(3),
            ),
            ("", b"Same/a.mp3", Some(6)),
            ("", b"SAME/a.mp3", None),
            ("Album", b"root.mp3", None),
            ("", b"../root.mp3", None),
            ("", b"../../../../root.mp3", None),
            ("", b"/etc/passwd", None),
            ("", b"/elsewhere/root.mp3", None),
            ("", b"http://radio.example/root.mp3", None),
        ] {
            let shown = String::from_utf8_lossy(entry);
            assert_eq!(found(folder, entry), [expected], "{shown} in {folder:?}");
        }
    }

    #[test]
    fn absolute_entry_may_name_the_folder_by_its_link_or_its_target() {
        let temporary = tempfile::tempdir().unwrap();
        let (link, target) = (
            temporary.path().join("link"),
            temporary.path().join("target"),
        );
        std::fs::create_dir(&target).unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let paths = [(Path::new("root.mp3"), TrackId(1))];
        let tracks = TracksByPath::new(&link, paths.into_iter());
        for root in [link, target] {
            let playlist = root.join("root.mp3");
            let entries = parse(playlist.as_os_str().as_bytes());
            let found = tracks.find(Path::new(""), &entries[0]);
            assert_eq!(found, Some(TrackId(1)), "{playlist:?}");
        }
    }

    #[test]
    fn reads_comments_line_ends_and_character_sets() {
        let playlist =
            b"#EXTM3U\r\n#EXTINF:12,Somebody - One\r\n  root.mp3  \r\n\r\nAlbum/01 One.mp3";
        assert_eq!(found("", playlist), [Some(0), Some(1)]);
        let text = "#EXTM3U\nКино/Группа крови.mp3\n";
        let with_bom = ["\u{feff}", text].concat();
        assert_eq!(found("", with_bom.as_bytes()), [Some(3)]);
        let utf16: Vec<u8> = with_bom.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(found("", &utf16), [Some(3)]);
        let koi8 = Encoding::for_label(b"koi8-r").unwrap().encode(text).0;
        let stated = [b"#EXTENC: KOI8-R\n", &*koi8].concat();
        assert_eq!(found("", &stated), [Some(3)]);
    }

    #[test]
    fn limits_entries_and_their_length() {
        let many = b"root.mp3\n".repeat(MAX_ENTRIES + 10);
        assert_eq!(parse(&many).len(), MAX_ENTRIES);
        assert_eq!(parse(&vec![b'a'; MAX_ENTRY_SIZE + 1]), []);
    }

    proptest! {
        #[test]
        fn reads_any_bytes_without_a_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            text in "([a-z%/.\\\\:\n]|[0-9é]){0,100}",
        ) {
            found("Album/a", &bytes);
            found("Album/a", text.as_bytes());
        }
    }
}
