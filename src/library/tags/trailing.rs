//! Reads the tags at the end of a file: ID3v1 and APE. Some programs write both, and some write lyrics (Lyrics3) between them.
//!
//! Sources: <https://id3.org/ID3v1>, <https://wiki.hydrogenaudio.org/index.php?title=APE_Tags_Header>.

use lofty::id3::v1::GENRES;

use super::fields::{Field, MAX_VALUE_SIZE, TagValues, Value};
use super::source::Source;

const ID3V1_SIZE: u64 = 128;
const APE_FOOTER_SIZE: u64 = 32;
/// The end of a Lyrics3 tag: its size in six digits, and this mark.
const LYRICS_MARK: &[u8; 9] = b"LYRICS200";
/// The most bytes of an APE tag that are read. Larger tags hold pictures, which are usually last.
const MAX_APE_SIZE: u64 = 1 << 20;
/// The most items of an APE tag. A tag with more items is malformed.
const MAX_ITEMS: usize = 1_000;

/// The tags at the end of a file.
#[derive(Debug, Default)]
pub(super) struct TrailingTags {
    pub(super) tags: Vec<TagValues>,
    /// The offset of the first of the tags, or of the footer of an APE tag with an impossible size.
    pub(super) start: u64,
    pub(super) has_ape_tag: bool,
    /// Whether there is an APE tag with an impossible size.
    pub(super) has_malformed_ape_tag: bool,
}

/// Reads the tags at the end of the file, the richest first.
pub(super) fn read(source: &mut Source) -> TrailingTags {
    let mut found = TrailingTags {
        start: source.size(),
        ..TrailingTags::default()
    };
    let id3v1 = read_id3v1(source);
    if id3v1.is_some() {
        found.start -= ID3V1_SIZE;
    }
    found.start = skip_lyrics(source, found.start);
    let footer_at = found.start.saturating_sub(APE_FOOTER_SIZE);
    let footer = source.read(footer_at, APE_FOOTER_SIZE as usize);
    if footer.starts_with(b"APETAGEX") && footer.len() == APE_FOOTER_SIZE as usize {
        let size = u64::from(u32_at(&footer, 12).unwrap_or(0));
        let items_size = size.saturating_sub(APE_FOOTER_SIZE);
        let is_possible = size >= APE_FOOTER_SIZE && items_size <= footer_at;
        found.has_ape_tag = true;
        found.has_malformed_ape_tag = !is_possible;
        found.start = footer_at;
        if is_possible {
            found.start -= items_size;
            let items = source.read(found.start, items_size.min(MAX_APE_SIZE) as usize);
            found.tags.push(parse_items(&items));
        }
    }
    found.tags.extend(id3v1);
    found
}

/// The offset of the Lyrics3 tag that ends at `end`, or `end` if there is none.
fn skip_lyrics(source: &mut Source, end: u64) -> u64 {
    const END_SIZE: u64 = 6 + LYRICS_MARK.len() as u64;
    let mark = source.read(end.saturating_sub(END_SIZE), END_SIZE as usize);
    let size = mark
        .strip_suffix(LYRICS_MARK)
        .and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u64>().ok());
    size.and_then(|size| end.checked_sub(size + END_SIZE))
        .unwrap_or(end)
}

fn read_id3v1(source: &mut Source) -> Option<TagValues> {
    let offset = source.size().checked_sub(ID3V1_SIZE)?;
    let tag = source.read(offset, ID3V1_SIZE as usize);
    if !tag.starts_with(b"TAG") || tag.len() < ID3V1_SIZE as usize {
        return None;
    }
    let mut values = TagValues {
        is_id3v1: true,
        ..TagValues::default()
    };
    for (field, start, end) in [
        (Field::Title, 3, 33),
        (Field::Artist, 33, 63),
        (Field::Album, 63, 93),
        (Field::Date, 93, 97),
    ] {
        let text = tag[start..end].split(|byte| *byte == 0).next();
        let text = text.unwrap_or_default().trim_ascii();
        if !text.is_empty() {
            values.push(field, Value::from_bytes(text));
        }
    }
    // ID3v1.1: the last byte of the comment is the track number, after a zero.
    if tag[125] == 0 && tag[126] != 0 {
        values.push(Field::TrackNumber, Value::Text(tag[126].to_string()));
    }
    if let Some(genre) = GENRES.get(usize::from(tag[127])) {
        // 0 is the number of the first genre, but programs without genres also write 0.
        if tag[127] != 0 {
            values.push(Field::Genre, Value::Text((*genre).into()));
        }
    }
    Some(values)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

/// An item of an APE tag.
struct Item<'a> {
    field: Option<Field>,
    /// The value; `None` if the item is not a text.
    texts: Option<&'a [u8]>,
}

/// The values of an APE tag's items, up to the first malformed item.
fn parse_items(mut bytes: &[u8]) -> TagValues {
    let mut tag = TagValues::default();
    for _ in 0..MAX_ITEMS {
        let Some((item, rest)) = parse_item(bytes) else {
            break;
        };
        bytes = rest;
        if let (Some(field), Some(texts)) = (item.field, item.texts) {
            for text in texts.split(|byte| *byte == 0) {
                tag.push(
                    field,
                    Value::from_utf8(&text[..text.len().min(MAX_VALUE_SIZE)]),
                );
            }
        }
    }
    tag
}

/// The first item, and the bytes after it.
fn parse_item(bytes: &[u8]) -> Option<(Item<'_>, &[u8])> {
    let size = u32_at(bytes, 0)? as usize;
    let flags = u32_at(bytes, 4)?;
    let rest = bytes.get(8..)?;
    let key_size = rest.iter().take(256).position(|byte| *byte == 0)?;
    let key = std::str::from_utf8(&rest[..key_size]).ok();
    let (value, rest) = rest[key_size + 1..].split_at_checked(size)?;
    // Bits 1 and 2 are the type of the value: 0 is text.
    let is_text = flags & 6 == 0;
    let item = Item {
        field: key.and_then(Field::named),
        texts: is_text.then_some(value),
    };
    Some((item, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{ape_tag, file_of, id3v1_tag, source};
    use super::*;

    fn trailing(bytes: &[u8]) -> TrailingTags {
        let file = file_of(bytes);
        read(&mut source(&file))
    }

    fn value(tag: &TagValues, field: Field) -> Option<&Value> {
        let mut values = tag.values.iter();
        values.find(|(of, _)| *of == field).map(|(_, value)| value)
    }

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    #[test]
    fn reads_ape_items_before_lyrics_and_id3v1() {
        let items: [(&str, &[u8]); 2] = [("Title", b"Title"), ("Artist", b"One\0Two")];
        let bytes = [
            &[0x55; 100][..],
            &ape_tag(&items),
            b"LYRICSBEGININD0000200000021LYRICS200",
            &id3v1_tag(b"V1", b"Artist", 7),
        ]
        .concat();
        let found = trailing(&bytes[..]);
        let [ape, id3v1] = &found.tags[..] else {
            panic!("{found:?}");
        };
        assert_eq!(value(ape, Field::Title), Some(&text("Title")));
        assert_eq!(ape.values.len(), 3);
        assert_eq!(value(id3v1, Field::Title), Some(&text("V1")));
        assert_eq!(value(id3v1, Field::TrackNumber), Some(&text("7")));
    }

    #[test]
    fn ape_footer_of_impossible_size_costs_only_that_tag() {
        for size in [0_u32, 31, 5_000, u32::MAX] {
            let mut ape = ape_tag(&[("Title", b"Ape")]);
            let size_at = ape.len() - 20;
            ape[size_at..size_at + 4].copy_from_slice(&size.to_le_bytes());
            let bytes = [&[0x55; 100][..], &ape, &id3v1_tag(b"V1", b"", 0)].concat();
            let found = trailing(&bytes);
            assert!(found.has_malformed_ape_tag, "{size}");
            assert_eq!(found.tags.len(), 1);
            assert_eq!(found.start, bytes.len() as u64 - 128 - 32);
        }
    }

    #[test]
    fn a_malformed_ape_item_keeps_the_items_before() {
        let mut tag = ape_tag(&[("Title", b"Title"), ("Artist", b"Artist")]);
        let at = tag.windows(6).position(|bytes| bytes == b"Artist").unwrap() - 8;
        tag[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        let found = trailing(&[&[0x55; 100][..], &tag].concat());
        assert_eq!(found.tags[0].values, [(Field::Title, text("Title"))]);
    }

    proptest! {
        #[test]
        fn reads_damaged_tags_without_a_panic(
            noise in prop::collection::vec(any::<(usize, u8)>(), 0..20),
            cut in 0..200_usize,
        ) {
            let items: [(&str, &[u8]); 2] = [("Title", b"Title"), ("Year", b"1999")];
            let mut bytes = [&ape_tag(&items)[..], &id3v1_tag(b"V1", b"Artist", 7)].concat();
            for (at, byte) in noise {
                let length = bytes.len();
                bytes[at % length] = byte;
            }
            bytes.drain(..cut.min(bytes.len()));
            prop_assert!(trailing(&bytes).start <= bytes.len() as u64);
        }
    }
}
