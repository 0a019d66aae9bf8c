//! What one file says of itself, read with `lofty`: format by content, duration, tags, cover.

use std::fs::File;
use std::io;
use std::path::Path;

use lofty::config::{ParseOptions, ParsingMode};
use lofty::error::ErrorKind;
use lofty::file::{AudioFile, FileType, TaggedFile, TaggedFileExt};
use lofty::picture::{Picture, PictureType};
use lofty::probe::Probe;
use lofty::tag::{Accessor, Tag};

use super::Tags;
use super::padding::{Padding, padding, tag_length};
use super::reader::Reader;

/// Longer texts in tags are cut, in characters.
const LONGEST_TEXT: usize = 300;

/// Of a larger tag, in bytes, only the texts are read: it holds a picture that no phone needs.
const LARGEST_TAG: u64 = 16 << 20;

/// What was read from one file.
#[derive(Debug, PartialEq)]
pub(super) struct Described {
    pub(super) mime: &'static str,
    pub(super) duration_sec: f64,
    pub(super) padding: Option<Padding>,
    pub(super) tags: Tags,
    /// Whether the title is of the tags, and not of the file's name.
    pub(super) is_titled: bool,
    /// Of the sound, in kbit/s.
    pub(super) bit_rate: u32,
    pub(super) disc: Option<u32>,
    pub(super) has_cover: bool,
}

/// Why a file is not a track.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotMusic {
    /// Nobody would have expected it to be one: a picture, a playlist.
    #[error("it is of no audio format that phones play")]
    OtherFormat,
    /// It claims to be one.
    #[error("{0}")]
    Unplayable(String),
    /// Nobody knows: the disk or the system would not let it be read just now.
    #[error("{0}")]
    Unreadable(io::Error),
}

/// The formats that phones play, and their media types.
const FORMATS: [(FileType, &str); 8] = [
    (FileType::Mpeg, "audio/mpeg"),
    (FileType::Flac, "audio/flac"),
    (FileType::Vorbis, "audio/ogg; codecs=vorbis"),
    (FileType::Opus, "audio/ogg; codecs=opus"),
    (FileType::Mp4, "audio/mp4"),
    (FileType::Aac, "audio/aac"),
    (FileType::Wav, "audio/wav"),
    (FileType::Aiff, "audio/aiff"),
];

fn mime(format: FileType) -> Option<&'static str> {
    let known = FORMATS.iter().find(|(known, _)| *known == format);
    known.map(|(_, mime)| *mime)
}

/// The same media type, from one that was written down.
pub(super) fn known_mime(name: &str) -> Option<&'static str> {
    let known = FORMATS.iter().find(|(_, known)| *known == name);
    known.map(|(_, mime)| *mime)
}

/// Whether the name says that this is audio. The content decides; but where the content's only mark is
/// eleven set bits (MPEG, ADTS), which any file may hold by chance, the name must agree.
fn named_as_audio(path: &Path) -> bool {
    let extension = path
        .extension()
        .and_then(|e| e.to_str())
        .unwrap_or_default();
    [
        "mp3", "mp2", "mp1", "mpga", "aac", "flac", "ogg", "oga", "opus", "m4a", "m4b", "mp4",
        "wav", "wave", "aif", "aiff", "aifc",
    ]
    .iter()
    .any(|known| extension.eq_ignore_ascii_case(known))
}

/// Reads what `file`, found at `path`, says of itself.
///
/// # Errors
/// [`NotMusic`] when it holds no audio that could be played.
pub(super) fn describe(file: &File, size: u64, path: &Path) -> Result<Described, NotMusic> {
    let named = named_as_audio(path);
    let unplayable = |why: String| {
        if named {
            NotMusic::Unplayable(why)
        } else {
            NotMusic::OtherFormat
        }
    };
    if size == 0 {
        return Err(unplayable("it is empty".into()));
    }
    let probe = probe(file, size).map_err(NotMusic::Unreadable)?;
    let format = probe.file_type();
    let format = format.ok_or_else(|| unplayable("its content is of no audio format".into()))?;
    let mime = mime(format).ok_or(NotMusic::OtherFormat)?;
    if matches!(format, FileType::Mpeg | FileType::Aac) && !named {
        return Err(NotMusic::OtherFormat);
    }
    let read = parse(file, size, probe).map_err(|error| match error.kind() {
        ErrorKind::Io(io) if io.raw_os_error().is_some() => {
            NotMusic::Unreadable(io::Error::other(error))
        }
        _ => unplayable(error.to_string()),
    })?;
    let duration_sec =
        duration_sec(&read, size).ok_or_else(|| unplayable("it holds no audio".into()))?;
    let tag = read.primary_tag().or_else(|| read.first_tag());
    let (tags, is_titled) = tags(tag, path);
    let padded = (format == FileType::Mpeg).then(|| padding(file)).flatten();
    Ok(Described {
        mime,
        duration_sec: padded.map_or(duration_sec, |padded| padded.duration_sec),
        padding: padded.map(|padded| padded.padding),
        tags,
        is_titled,
        bit_rate: read.properties().audio_bitrate().unwrap_or(0),
        disc: tag.and_then(Accessor::disk),
        has_cover: cover_of(&read).is_some(),
    })
}

/// The embedded cover of `file`, which has `size` bytes: the front if one is marked so, else the first.
pub(super) fn cover(file: &File, size: u64) -> Option<Picture> {
    cover_of(&parse(file, size, probe(file, size).ok()?).ok()?).cloned()
}

fn cover_of(read: &TaggedFile) -> Option<&Picture> {
    let pictures = || read.tags().iter().flat_map(|tag| tag.pictures());
    pictures()
        .find(|picture| picture.pic_type() == PictureType::CoverFront)
        .or_else(|| pictures().next())
}

/// What `file` is, by its content.
fn probe(file: &File, size: u64) -> io::Result<Probe<Reader<'_>>> {
    Probe::new(Reader::new(file, size)).guess_file_type()
}

/// A tag or a cover that cannot be read must not cost the track: then it is tried again with less.
fn parse(file: &File, size: u64, found: Probe<Reader>) -> lofty::error::Result<TaggedFile> {
    let is_small = match found.file_type() {
        Some(FileType::Mpeg | FileType::Aac) => tag_length(file) <= LARGEST_TAG,
        _ => true,
    };
    let relaxed = || {
        ParseOptions::new()
            .parsing_mode(ParsingMode::Relaxed)
            .read_cover_art(is_small)
    };
    let again = |options| probe(file, size)?.options(options).read();
    found
        .options(relaxed())
        .read()
        .or_else(|_| again(relaxed().read_cover_art(false)))
        .or_else(|_| again(relaxed().read_tags(false)))
}

/// The duration in seconds; `None` when there is nothing to hear. A header may promise more than
/// the file holds (a copy that broke off): less than a tenth of the promised bytes counts as nothing.
fn duration_sec(read: &TaggedFile, size: u64) -> Option<f64> {
    let properties = read.properties();
    let duration = properties.duration().as_secs_f64();
    let kbit_per_s = f64::from(properties.audio_bitrate().unwrap_or(0));
    let promised_bytes = kbit_per_s * 1000.0 / 8.0 * duration;
    (duration > 0.0 && size as f64 >= promised_bytes / 10.0).then_some(duration)
}

/// What the file at `path` is called, and whether it says so itself.
fn tags(tag: Option<&Tag>, path: &Path) -> (Tags, bool) {
    let text = |text: Option<std::borrow::Cow<'_, str>>| text.and_then(|text| clean(&text));
    let title = text(tag.and_then(Accessor::title));
    let is_titled = title.is_some();
    let tags = Tags {
        title: title.unwrap_or_else(|| readable(path)),
        artist: text(tag.and_then(Accessor::artist)),
        album: text(tag.and_then(Accessor::album)),
        track_number: tag.and_then(Accessor::track).filter(|number| *number > 0),
        year: tag.and_then(Accessor::year).filter(|year| *year > 0),
    };
    (tags, is_titled)
}

/// One line of text; `None` when nothing is left.
fn clean(text: &str) -> Option<String> {
    let mut line = String::with_capacity(text.len());
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if !line.is_empty() && !word.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if let Some((end, _)) = line.char_indices().nth(LONGEST_TEXT) {
        line.truncate(end);
        // A tag may hold megabytes, and a track is in memory for good.
        line.shrink_to_fit();
    }
    (!line.is_empty()).then_some(line)
}

/// A file name as a title: `03_-_my_song.mp3` becomes `my song`. What looks like a track number goes:
/// one that is set off by a dot or a dash, or that begins with a nought.
fn readable(path: &Path) -> String {
    let stem = path
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .replace('_', " ");
    let digits = stem.bytes().take_while(u8::is_ascii_digit).count();
    let rest = stem[digits..].trim_start_matches([' ', '.', '-']);
    let set_off = stem[digits..stem.len() - rest.len()].contains(['.', '-']);
    let numbered = digits > 0 && !rest.is_empty() && (set_off || stem.starts_with('0'));
    let title = if numbered { rest } else { &stem };
    let title = if title.contains(' ') {
        title.into()
    } else {
        title.replace('-', " ")
    };
    clean(&title).unwrap_or_else(|| "Untitled".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_is_made_readable() {
        for (name, title) in [
            ("My Song.mp3", "My Song"),
            ("03_-_my_song.mp3", "my song"),
            ("03. my song.flac", "my song"),
            ("01-blue-in-green.wav", "blue in green"),
            ("99 Luftballons.mp3", "99 Luftballons"),
            ("1999.mp3", "1999"),
            ("4-3.ogg", "3"),
            ("2+2.ogg", "2+2"),
            ("untagged_song-name.mp3", "untagged song-name"),
            ("line\nbreak.mp3", "line break"),
            ("___.mp3", "Untitled"),
        ] {
            assert_eq!(readable(Path::new(name)), title, "{name:?}");
        }
    }
}
