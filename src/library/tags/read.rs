//! Reads all tags of an audio file, and merges their values.

use std::path::Path;
use std::sync::Arc;

use lofty::tag::{ItemKey, ItemValue, Tag, TagType};

use super::charset::Neighbours;
use super::fields::{Field, TagValues, Value};
use super::loudness::Loudness;
use super::source::Source;
use super::trailing::{self, TrailingTags};
use super::{charset, chunks, id3v2, values, vorbis_comments};
use crate::clean_text::clean_line;
use crate::library::Tags;

/// The most characters of a text in a tag. Longer texts are truncated.
pub(in crate::library) const MAX_TEXT_LENGTH: usize = 300;
/// The most ID3v2 tags at the beginning of a file. A file with more tags is malformed.
const MAX_ID3V2_TAGS: usize = 8;

/// The tags of an audio file, before they are merged.
#[derive(Debug, Default)]
pub(super) struct RawTags {
    tags: Vec<TagValues>,
    pub(super) trailing: TrailingTags,
}

/// The tags of a track, after they were merged.
#[derive(Debug, PartialEq)]
pub(super) struct MergedTags {
    pub(super) tags: Tags,
    /// Whether the title is from a tag, and not derived from the file name.
    pub(super) has_title_tag: bool,
    pub(super) loudness: Loudness,
}

impl RawTags {
    /// Reads the tags of all tag formats except MP4; a file may have tags of any format.
    pub(super) fn read(source: &mut Source) -> Self {
        let mut raw = RawTags::default();
        let mut at = 0;
        for _ in 0..MAX_ID3V2_TAGS {
            let Some((tag, end)) = id3v2::read(source, at) else {
                break;
            };
            raw.tags.push(tag);
            at = end;
        }
        match &source.read(at, 12)[..] {
            [b'f', b'L', b'a', b'C', ..] => {
                // Vorbis comments are the native tags of FLAC, so they come first among equally rich tags.
                let comments = vorbis_comments::read_flac(source, at);
                raw.tags.splice(0..0, comments);
            }
            [b'O', b'g', b'g', b'S', ..] => raw.tags.extend(vorbis_comments::read_ogg(source, at)),
            [
                b'R',
                _,
                b'6' | b'F',
                b'4' | b'F',
                _,
                _,
                _,
                _,
                b'W',
                b'A',
                b'V',
                b'E',
            ] => {
                raw.tags.extend(chunks::read_wav(source));
            }
            [
                b'F',
                b'O',
                b'R',
                b'M',
                _,
                _,
                _,
                _,
                b'A',
                b'I',
                b'F',
                b'F' | b'C',
            ] => {
                raw.tags.extend(chunks::read_aiff(source));
            }
            _ => {}
        }
        let mut trailing = trailing::read(source);
        raw.tags.append(&mut trailing.tags);
        raw.trailing = trailing;
        raw
    }

    /// Adds an MP4 tag, which `lofty` has read.
    pub(super) fn add_mp4(&mut self, tag: &Tag) {
        if tag.tag_type() != TagType::Mp4Ilst {
            return;
        }
        let mut values = TagValues::default();
        for item in tag.items() {
            if let (Some(field), ItemValue::Text(text)) = (mp4_field(item.key()), item.value()) {
                values.push(field, Value::Text(text.clone()));
            }
        }
        self.tags.insert(0, values);
    }

    /// Whether there is a picture in the tags that were read. Pictures in APE tags are not considered.
    pub(super) fn has_picture(&self) -> bool {
        self.tags.iter().any(|tag| tag.has_picture)
    }

    /// The texts whose character set is unknown.
    pub(super) fn unknown_bytes(&self) -> impl Iterator<Item = &[u8]> {
        self.tags.iter().flat_map(TagValues::unknown_bytes)
    }

    /// Merges the tags. Of the tags that have a field, the one with the most fields provides the value. `neighbours` returns
    /// the texts in unknown character sets of other files in the folder, and is called only if these tags have such texts.
    pub(super) fn merge(
        &self,
        path: &Path,
        neighbours: impl FnOnce() -> Arc<Neighbours>,
    ) -> MergedTags {
        let unknown: Vec<_> = self.unknown_bytes().collect();
        let encoding = if unknown.is_empty() {
            encoding_rs::UTF_8
        } else {
            charset::detect(&unknown, &neighbours())
        };
        let decoded = self.tags.iter().map(|tag| {
            let values = tag.values.iter().map(|(field, value)| match value {
                Value::Text(text) => (*field, text.clone()),
                Value::Bytes(bytes) => (*field, charset::decode(encoding, bytes)),
            });
            DecodedTag {
                is_id3v1: tag.is_id3v1,
                values: values.collect(),
            }
        });
        let mut decoded: Vec<_> = decoded.collect();
        // ID3v1 is last, because its texts are cut off.
        decoded.sort_by_key(|tag| (tag.is_id3v1, std::cmp::Reverse(tag.richness())));
        merged(&decoded, path)
    }
}

/// The field of an item in an MP4 tag.
fn mp4_field(key: &ItemKey) -> Option<Field> {
    Some(match key {
        ItemKey::TrackTitle => Field::Title,
        ItemKey::TrackArtist => Field::Artist,
        ItemKey::TrackArtists => Field::ArtistList,
        ItemKey::AlbumTitle => Field::Album,
        ItemKey::AlbumArtist => Field::AlbumArtist,
        ItemKey::TrackNumber => Field::TrackNumber,
        ItemKey::DiscNumber => Field::Disc,
        ItemKey::Genre => Field::Genre,
        ItemKey::RecordingDate | ItemKey::Year => Field::Date,
        ItemKey::OriginalReleaseDate | ItemKey::ReleaseDate => Field::OtherDate,
        ItemKey::FlagCompilation => Field::Compilation,
        ItemKey::ReplayGainTrackGain => Field::TrackGain,
        ItemKey::ReplayGainTrackPeak => Field::TrackPeak,
        ItemKey::ReplayGainAlbumGain => Field::AlbumGain,
        ItemKey::ReplayGainAlbumPeak => Field::AlbumPeak,
        // Such as `----:com.apple.iTunes:iTunNORM`.
        ItemKey::Unknown(name) => return Field::named(name.rsplit(':').next()?),
        _ => return None,
    })
}

/// A tag whose values have been decoded.
struct DecodedTag {
    is_id3v1: bool,
    values: Vec<(Field, String)>,
}

impl DecodedTag {
    /// The values of `field` that are not empty, cleaned.
    fn texts(&self, field: Field) -> impl Iterator<Item = String> {
        let values = self.values.iter().filter(move |(of, _)| *of == field);
        let cleaned = values.map(|(_, text)| clean_line(text, MAX_TEXT_LENGTH));
        cleaned.filter(|text| !text.is_empty())
    }

    /// The number of displayed fields.
    fn richness(&self) -> usize {
        use Field::{Album, Artist, Date, Genre, Title, TrackNumber};
        let fields = [Title, Artist, Album, TrackNumber, Date, Genre];
        let has = |field: &Field| self.texts(*field).next().is_some();
        fields.iter().filter(|field| has(field)).count()
    }
}

/// Merges tags, the preferred first.
fn merged(tags: &[DecodedTag], path: &Path) -> MergedTags {
    let first = |field| tags.iter().find_map(|tag| tag.texts(field).next());
    let number = |field| {
        let texts = tags.iter().flat_map(|tag| tag.texts(field));
        let mut numbers = texts.filter_map(|text| values::parse_number(&text));
        numbers.next()
    };
    let year = |field| {
        let texts = tags.iter().flat_map(|tag| tag.texts(field));
        let mut years = texts.filter_map(|text| values::parse_year(&text));
        years.next()
    };
    let list = |field| {
        let joined = tags.iter().find_map(|tag| values::joined(tag.texts(field)));
        joined.map(|text| clean_line(&text, MAX_TEXT_LENGTH))
    };
    let genre = tags.iter().find_map(|tag| {
        values::joined(
            tag.texts(Field::Genre)
                .flat_map(|text| values::parse_genres(&text)),
        )
    });
    let raw_values = |field| {
        let all = tags.iter().flat_map(|tag| &tag.values);
        let values = all.filter(|(of, _)| *of == field);
        values.map(|(_, text)| text.as_str()).collect()
    };
    let album_artist = list(Field::AlbumArtist);
    let title = first(Field::Title);
    let tags = Tags {
        artist: list(Field::Artist)
            .or_else(|| list(Field::ArtistList))
            .or_else(|| album_artist.clone()),
        album: first(Field::Album),
        album_artist,
        track_number: number(Field::TrackNumber),
        disc: number(Field::Disc),
        year: year(Field::Date).or_else(|| year(Field::OtherDate)),
        genre: genre.map(|text| clean_line(&text, MAX_TEXT_LENGTH)),
        compilation: first(Field::Compilation).is_some_and(|text| values::parse_flag(&text)),
        ..Tags::default()
    };
    MergedTags {
        has_title_tag: title.is_some(),
        tags: Tags {
            title: title.unwrap_or_else(|| title_from_file_name(path)),
            ..tags
        },
        loudness: Loudness::from_tags(raw_values),
    }
}

/// Derives a title from a file name: `03_-_my_song.mp3` becomes `my song`. Removes a leading number, which is probably a
/// track number, if a dot or dash follows the number or if the number begins with 0.
pub(in crate::library) fn title_from_file_name(path: &Path) -> String {
    let stem = path
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .replace('_', " ");
    let digits = stem.bytes().take_while(u8::is_ascii_digit).count();
    let rest = stem[digits..].trim_start_matches([' ', '.', '-']);
    let has_separator = stem[digits..stem.len() - rest.len()].contains(['.', '-']);
    let has_track_number =
        digits > 0 && !rest.is_empty() && (has_separator || stem.starts_with('0'));
    let title = if has_track_number { rest } else { &stem };
    let title = if title.contains(' ') {
        title.into()
    } else {
        title.replace('-', " ")
    };
    let title = clean_line(&title, MAX_TEXT_LENGTH);
    if title.is_empty() {
        "Untitled".into()
    } else {
        title
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derives_a_title_from_the_file_name() {
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
            assert_eq!(title_from_file_name(Path::new(name)), title, "{name:?}");
        }
    }
}
