//! PURE: the names of uploaded files.

use std::path::Path;

use crate::clean_text::clean_line;
use crate::library::has_audio_extension;

/// The longest file name, in characters, and in bytes of UTF-8. File systems allow 255 bytes.
const MAX_CHARS: usize = 120;
const MAX_BYTES: usize = 200;
/// The longest extension that is kept when a name is cut, in bytes, with its dot.
const MAX_EXTENSION: usize = 8;
/// The name of a file whose name has no visible character.
const DEFAULT_NAME: &str = "Upload";

/// The file name that a device stated, as a name in one folder: without separators of paths, leading dots, and characters that
/// are not displayed.
pub(super) fn cleaned(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let line = clean_line(last, 10 * MAX_CHARS);
    let line = line.trim_start_matches(['.', ' ']);
    if line.is_empty() {
        return DEFAULT_NAME.into();
    }
    let extension = match line.rfind('.') {
        Some(at) if line.len() - at <= MAX_EXTENSION => &line[at..],
        _ => "",
    };
    let stem = &line[..line.len() - extension.len()];
    let mut short = String::new();
    for c in stem.chars().take(MAX_CHARS) {
        if short.len() + c.len_utf8() + extension.len() > MAX_BYTES {
            break;
        }
        short.push(c);
    }
    short.trim_end().to_owned() + extension
}

/// The name with the extension of an audio file, so that a scan treats the file as music whatever the device called it: without
/// one, MP3 files are not recognized, and files with other names are pictures, playlists or temporary files.
pub(super) fn with_audio_extension(name: &str) -> String {
    match has_audio_extension(Path::new(name)) {
        true => name.into(),
        false => format!("{name}.mp3"),
    }
}

/// The name under which a file is stored that a device calls `name`.
#[cfg(fuzzing)]
pub fn stored_file_name(name: &str) -> String {
    with_audio_extension(&cleaned(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_never_leave_the_folder_nor_hide() {
        for (stated, expected) in [
            ("Song.mp3", "Song.mp3"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Music\\Song.flac", "Song.flac"),
            (".hidden.mp3", "hidden.mp3"),
            ("..", "Upload"),
            ("", "Upload"),
            ("a\u{0}b\n.ogg", "a b.ogg"),
            ("\u{202e}gpj.exe", "gpj.exe"),
        ] {
            assert_eq!(cleaned(stated), expected, "{stated:?}");
        }
    }

    #[test]
    fn long_names_keep_their_extension() {
        let name = cleaned(&format!("{}.flac", "ü".repeat(300)));
        assert!(
            name.len() <= MAX_BYTES && name.ends_with("ü.flac"),
            "{name}"
        );
        for (name, expected) in [
            ("Song", "Song.mp3"),
            ("Song.ogg", "Song.ogg"),
            ("01. Intro", "01. Intro.mp3"),
            ("cover.jpg", "cover.jpg.mp3"),
            ("song.tmp", "song.tmp.mp3"),
        ] {
            assert_eq!(with_audio_extension(name), expected);
        }
    }
}
