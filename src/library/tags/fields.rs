//! The fields of tags that the index uses, as the readers of the tag formats find them: before the character set of a text
//! is known, and before the values of several tags are merged.

/// The most bytes of a value. Longer values are truncated.
pub(super) const MAX_VALUE_SIZE: usize = 4 << 10;
/// The most values of a tag. A tag with more values is malformed or hostile.
const MAX_VALUES: usize = 500;

/// What a value means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Field {
    Title,
    Artist,
    /// The artists as a list, beside an [`Field::Artist`] that credits them in one text.
    ArtistList,
    Album,
    AlbumArtist,
    TrackNumber,
    Disc,
    Genre,
    /// When the recording was published.
    Date,
    /// Another date, for files without [`Field::Date`]: of the first release, for example.
    OtherDate,
    Compilation,
    /// A ReplayGain in dB, such as `-3.2 dB`.
    TrackGain,
    TrackPeak,
    AlbumGain,
    AlbumPeak,
    /// The loudness to which the ReplayGain values normalize: `89.0 dB` or `-18.00 LUFS`.
    ReferenceLoudness,
    /// A gain to -23 LUFS, as a fixed-point number with 8 fractional bits (RFC 7845, 5.2.1).
    R128TrackGain,
    R128AlbumGain,
    /// The hexadecimal numbers of iTunes' Sound Check.
    SoundCheck,
}

/// Names of fields in Vorbis comments, APE tags, and the user-defined fields of ID3v2 and MP4: in upper case, and without
/// spaces, underscores and hyphens.
const FIELD_NAMES: [(&str, Field); 35] = [
    ("TITLE", Field::Title),
    ("ARTIST", Field::Artist),
    ("ARTISTS", Field::ArtistList),
    ("ALBUM", Field::Album),
    ("ALBUMARTIST", Field::AlbumArtist),
    ("ENSEMBLE", Field::AlbumArtist),
    ("BAND", Field::AlbumArtist),
    ("TRACKNUMBER", Field::TrackNumber),
    ("TRACK", Field::TrackNumber),
    ("TRACKNUM", Field::TrackNumber),
    ("DISCNUMBER", Field::Disc),
    ("DISC", Field::Disc),
    ("DISK", Field::Disc),
    ("DISKNUMBER", Field::Disc),
    ("DISCNUM", Field::Disc),
    ("GENRE", Field::Genre),
    ("DATE", Field::Date),
    ("YEAR", Field::Date),
    ("RELEASEDATE", Field::OtherDate),
    ("RELEASEYEAR", Field::OtherDate),
    ("RECORDINGDATE", Field::OtherDate),
    ("ORIGINALDATE", Field::OtherDate),
    ("ORIGINALYEAR", Field::OtherDate),
    ("ORIGINALRELEASEDATE", Field::OtherDate),
    ("ORIGYEAR", Field::OtherDate),
    ("COMPILATION", Field::Compilation),
    ("ITUNESCOMPILATION", Field::Compilation),
    ("REPLAYGAINTRACKGAIN", Field::TrackGain),
    ("REPLAYGAINTRACKPEAK", Field::TrackPeak),
    ("REPLAYGAINALBUMGAIN", Field::AlbumGain),
    ("REPLAYGAINALBUMPEAK", Field::AlbumPeak),
    ("REPLAYGAINREFERENCELOUDNESS", Field::ReferenceLoudness),
    ("R128TRACKGAIN", Field::R128TrackGain),
    ("R128ALBUMGAIN", Field::R128AlbumGain),
    ("ITUNNORM", Field::SoundCheck),
];

impl Field {
    /// The field with this name in a format whose fields have free names.
    pub(super) fn named(name: &str) -> Option<Field> {
        let letters = name
            .bytes()
            .filter(|byte| !matches!(byte, b' ' | b'_' | b'-'))
            .map(|byte| byte.to_ascii_uppercase());
        let is_name = |known: &str| letters.clone().eq(known.bytes());
        let found = FIELD_NAMES.iter().find(|(known, _)| is_name(known));
        found.map(|(_, field)| *field)
    }
}

/// A value of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    /// A text with bytes above 0x7f, in a character set that the tag does not state or states wrongly.
    Bytes(Vec<u8>),
}

impl Value {
    /// A value of bytes in an unknown character set. ASCII, which all character sets share, needs no detection.
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) if text.is_ascii() => Value::Text(text.to_owned()),
            _ => Value::Bytes(bytes.to_vec()),
        }
    }

    /// A value that should be UTF-8.
    pub(super) fn from_utf8(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(_) => Value::Bytes(bytes.to_vec()),
        }
    }
}

/// The values of one tag, in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TagValues {
    /// Whether the tag is ID3v1, whose texts are cut off after 30 bytes.
    pub(super) is_id3v1: bool,
    /// Whether the tag has a picture.
    pub(super) has_picture: bool,
    pub(super) values: Vec<(Field, Value)>,
}

impl TagValues {
    pub(super) fn push(&mut self, field: Field, value: Value) {
        if self.values.len() < MAX_VALUES {
            self.values.push((field, value));
        }
    }

    /// The bytes of all values whose character set is unknown.
    pub(super) fn unknown_bytes(&self) -> impl Iterator<Item = &[u8]> {
        self.values.iter().filter_map(|(_, value)| match value {
            Value::Bytes(bytes) => Some(bytes.as_slice()),
            Value::Text(_) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_field_by_any_spelling_of_its_name() {
        for name in ["ALBUMARTIST", "Album Artist", "album_artist"] {
            assert_eq!(Field::named(name), Some(Field::AlbumArtist), "{name}");
        }
        assert_eq!(
            Field::named("replaygain_track_gain"),
            Some(Field::TrackGain)
        );
        assert_eq!(Field::named("LYRICS"), None);
    }
}
