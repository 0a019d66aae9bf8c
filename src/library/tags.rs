//! Reads the metadata of one audio file: format and duration (`length.rs`), the texts of all tags with readers that lose no more
//! than what is malformed, and the embedded pictures, mostly with `lofty`.

pub(super) mod charset;
mod chunks;
mod fields;
mod id3v2;
mod loudness;
mod read;
mod source;
#[cfg(test)]
mod testing;
mod trailing;
mod values;
mod vorbis_comments;

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Cursor, Read, Seek};
use std::path::Path;
use std::sync::Arc;

use lofty::config::{ParseOptions, ParsingMode};
use lofty::error::ErrorKind;
use lofty::file::{TaggedFile, TaggedFileExt};
use lofty::picture::{Picture, PictureType};
use lofty::probe::Probe;
use lofty::tag::TagType;

use self::charset::Neighbours;
pub(super) use self::loudness::Loudness;
pub(super) use self::read::{MAX_TEXT_LENGTH, title_from_file_name};
use self::read::{MergedTags, RawTags};
use self::source::Source;
use super::Tags;
use super::caching_reader::CachingReader;
use super::length::{self, Format, FoundFormat, Length, LengthError};
use super::peek_reader::PeekReader;

/// The most bytes of tags before MPEG or ADTS audio with which `lofty` also reads pictures. It holds all pictures of a tag in
/// memory at the same time.
const MAX_TAG_SIZE_WITH_PICTURES: u64 = 16 << 20;

/// The metadata of an audio file.
#[derive(Debug, PartialEq)]
pub(super) struct AudioInfo {
    pub(super) mime: &'static str,
    pub(super) length: Length,
    pub(super) tags: Tags,
    /// Whether the title is from a tag, and not derived from the file name.
    pub(super) has_title_tag: bool,
    pub(super) loudness: Loudness,
    /// Whether there is a picture in the tags.
    pub(super) has_embedded_picture: bool,
}

/// Why no track could be read from a file.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotATrack {
    /// The format is not supported, or a file without the extension of an audio file holds no playable audio. Such files
    /// are normal in a music folder.
    #[error("the format of the file is not supported")]
    UnsupportedFormat,
    /// The file has the extension of an audio file, but cannot be played.
    #[error("{0}")]
    Unplayable(String),
    /// An I/O error, which may be temporary.
    #[error("{0}")]
    Unreadable(io::Error),
}

/// File name extensions of the supported formats.
const AUDIO_EXTENSIONS: [&str; 23] = [
    "mp3", "mp2", "mp1", "mpga", "mpa", "aac", "adts", "flac", "ogg", "oga", "opus", "m4a", "m4b",
    "m4r", "mp4", "wav", "wave", "bwf", "rf64", "aif", "aiff", "aifc", "afc",
];

/// The static string that equals `name`. `None` if `name` is not the media type of a supported format.
pub(super) fn known_mime(name: &str) -> Option<&'static str> {
    Format::mimes().find(|known| *known == name)
}

pub(crate) fn has_audio_extension(path: &Path) -> bool {
    let extension = path
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default();
    AUDIO_EXTENSIONS
        .iter()
        .any(|known| extension.eq_ignore_ascii_case(known))
}

/// Reads the metadata of `file`, which has `size` bytes and lies at `path`. The format is determined by the content and not by
/// the name. `neighbours` returns the texts of other files in the folder as [`texts_in_unknown_charset`] does. `neighbours` is
/// called only if the file has such texts.
///
/// # Errors
/// [`NotATrack`] if the file holds no audio of a supported format, or cannot be read.
pub(super) fn read_audio_info(
    file: &File,
    size: u64,
    path: &Path,
    neighbours: impl FnOnce() -> Arc<Neighbours>,
) -> Result<AudioInfo, NotATrack> {
    let has_audio_name = has_audio_extension(path);
    let unplayable = |reason: String| {
        if has_audio_name {
            NotATrack::Unplayable(reason)
        } else {
            NotATrack::UnsupportedFormat
        }
    };
    let not_a_track = |error: LengthError| match error {
        LengthError::Io(error) => NotATrack::Unreadable(error),
        error => unplayable(error.to_string()),
    };
    let mut reader = PeekReader::new(file, size);
    // The only signature of an MPEG or ADTS frame is its first eleven or twelve bits, which are set. Such bits occur by chance
    // in other files, so a file of one of these formats must also have the extension of an audio file.
    let found = length::find_format(&mut reader, has_audio_name).map_err(not_a_track)?;
    let length = length::measure(&mut reader, found).map_err(not_a_track)?;
    let mut source = Source::new(reader);
    let mut raw = RawTags::read(&mut source);
    if let Some(error) = source.into_error() {
        return Err(NotATrack::Unreadable(error));
    }
    let parsed = if needs_lofty(found.format, &raw) {
        parse_tags(file, size, found).map_err(NotATrack::Unreadable)?
    } else {
        None
    };
    let parsed_tags = parsed.iter().flat_map(TaggedFileExt::tags);
    parsed_tags.for_each(|tag| raw.add_mp4(tag));
    let has_embedded_picture = parsed.as_ref().map_or(raw.has_picture(), |parsed| {
        pictures(parsed).next().is_some()
            || reads_id3v2_pictures_without_lofty(found.format) && raw.has_picture()
    });
    let MergedTags {
        tags,
        has_title_tag,
        loudness,
    } = raw.merge(path, neighbours);
    Ok(AudioInfo {
        mime: found.format.mime(),
        length,
        tags,
        has_title_tag,
        loudness,
        has_embedded_picture,
    })
}

/// Whether a scan needs `lofty` for a file with these tags: for MP4 tags, and for pictures that the own readers do not find or
/// may find where `lofty` does not.
fn needs_lofty(format: Format, raw: &RawTags) -> bool {
    match format {
        // The own reader of FLAC in Ogg reads the comments only, and not the pictures in other blocks.
        Format::Mp4 | Format::OggFlac => true,
        Format::Wav | Format::Aiff => raw.has_picture(),
        _ => raw.trailing.has_ape_tag,
    }
}

/// The texts in the tags of a file whose character set the tags do not state, or state wrongly.
pub(super) fn texts_in_unknown_charset(file: &File, size: u64) -> Vec<Vec<u8>> {
    let tags = RawTags::read(&mut Source::new(PeekReader::new(file, size)));
    tags.unknown_bytes().map(<[u8]>::to_vec).collect()
}

/// The encoded pictures in the tags of `file`, which has `size` bytes: first those marked as front cover, and icons last.
/// Leaves out the last ones if all together have more than [`id3v2::MAX_PICTURES_SIZE`] bytes.
///
/// # Errors
/// The system's error if the file cannot be read.
pub(super) fn embedded_pictures(file: &File, size: u64) -> io::Result<Vec<Vec<u8>>> {
    let found = match length::find_format(&mut PeekReader::new(file, size), true) {
        Ok(found) => found,
        Err(LengthError::Io(error)) => return Err(error),
        Err(_) => return Ok(Vec::new()),
    };
    let mut id3v2_pictures = Vec::new();
    if reads_id3v2_pictures_without_lofty(found.format) {
        let mut source = Source::new(PeekReader::new(file, size));
        id3v2_pictures = id3v2::read_pictures(&mut source, 0);
        if let Some(error) = source.into_error() {
            return Err(error);
        }
    }
    let parsed = parse_tags(file, size, found)?;
    let tags = parsed.iter().flat_map(|parsed| parsed.tags());
    let tags = tags.filter(|tag| id3v2_pictures.is_empty() || tag.tag_type() != TagType::Id3v2);
    let others = tags.flat_map(|tag| tag.pictures());
    let others = others.map(|picture| (picture.pic_type(), Cow::from(picture.data())));
    let id3v2_pictures = id3v2_pictures.iter();
    let id3v2_pictures = id3v2_pictures.map(|(kind, data)| (*kind, Cow::from(data)));
    let mut pictures: Vec<_> = id3v2_pictures.chain(others).collect();
    pictures.sort_by_key(|(kind, _)| match kind {
        PictureType::CoverFront => 0,
        PictureType::Icon | PictureType::OtherIcon => 2,
        _ => 1,
    });
    let mut total = 0;
    pictures.retain(|(_, data)| {
        let fits = total + data.len() <= id3v2::MAX_PICTURES_SIZE;
        total += if fits { data.len() } else { 0 };
        fits
    });
    let pictures = pictures.into_iter();
    Ok(pictures.map(|(_, data)| data.into_owned()).collect())
}

/// Whether pictures in ID3v2 tags are read by [`id3v2`]: lofty 0.22 discards all pictures of a tag with a malformed frame, and
/// damages unsynchronized pictures.
fn reads_id3v2_pictures_without_lofty(format: Format) -> bool {
    matches!(format, Format::Mpeg | Format::Adts)
}

fn pictures(parsed: &TaggedFile) -> impl Iterator<Item = &Picture> {
    parsed.tags().iter().flat_map(|tag| tag.pictures())
}

/// A view of a file that `lofty` can parse.
trait TagSource: Read + Seek {}

impl<T: Read + Seek> TagSource for T {}

/// A view of the tags of `file`, which has `size` bytes.
fn tag_source(file: &File, size: u64, found: FoundFormat) -> Box<dyn TagSource + '_> {
    let mut peek_reader = PeekReader::new(file, size);
    if let Some(headers) = length::ogg_headers_for_tag_parser(&mut peek_reader, found) {
        return Box::new(Cursor::new(headers));
    }
    let from = |start| CachingReader::new(file, size, start);
    match found.format {
        // lofty 0.22 knows the signature RIFF only, and not that of RF64, which has the same chunks.
        Format::Wav => Box::new(from(0).with_signature(*b"RIFF")),
        Format::OggVorbis | Format::OggOpus => Box::new(from(found.start)),
        _ => Box::new(from(0)),
    }
}

/// Parses the tags of a file with `lofty`. If parsing fails, tries again without pictures. `None` if the second attempt fails,
/// too, because a malformed tag must not make the track unplayable.
///
/// # Errors
/// The system's error if the file cannot be read.
fn parse_tags(file: &File, size: u64, found: FoundFormat) -> io::Result<Option<TaggedFile>> {
    let reads_pictures = match found.format {
        Format::Mpeg | Format::Adts => found.start <= MAX_TAG_SIZE_WITH_PICTURES,
        _ => true,
    };
    let parse = |reads_pictures| {
        let options = ParseOptions::new()
            .parsing_mode(ParsingMode::Relaxed)
            .read_properties(false)
            .read_cover_art(reads_pictures);
        Probe::new(tag_source(file, size, found))
            .set_file_type(found.format.lofty_type())
            .options(options)
            .read()
    };
    match parse(reads_pictures).or_else(|_| parse(false)) {
        Ok(parsed) => Ok(Some(parsed)),
        Err(error) => match error.kind() {
            ErrorKind::Io(io) if io.raw_os_error().is_some() => Err(io::Error::other(error)),
            _ => Ok(None),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{file_of, id3v2_frame, id3v2_tag};
    use super::*;

    #[test]
    fn lists_the_front_cover_first_and_icons_last() {
        let sound = include_bytes!("../../tests/fixtures/fixture.mp3");
        let picture = |kind: u8, content: u8| {
            let content = [&[0][..], b"image/png\0", &[kind, 0], &[content; 80]].concat();
            id3v2_frame(b"APIC", &content)
        };
        let frames = [picture(1, 1), picture(4, 2), picture(3, 3)].concat();
        let bytes = [&id3v2_tag(3, 0, &frames)[..], sound].concat();
        let found = embedded_pictures(&file_of(&bytes), bytes.len() as u64).unwrap();
        let first_bytes: Vec<_> = found.iter().map(|picture| picture[0]).collect();
        assert_eq!(first_bytes, [3, 2, 1]);
    }
}
