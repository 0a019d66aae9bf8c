//! Finds the tags in the chunks of WAV (RIFF) and AIFF (IFF) files: ID3v2 tags, and the text chunks that these formats define.

use super::fields::{Field, MAX_VALUE_SIZE, TagValues, Value};
use super::id3v2;
use super::source::Source;

/// The most chunks of a file.
const MAX_CHUNKS: usize = 1_000;
/// The most bytes of a list of texts that are read.
const MAX_LIST_SIZE: u64 = 64 << 10;

/// Texts in the list `INFO` of a WAV file.
const INFO_CHUNKS: [(&[u8; 4], Field); 9] = [
    (b"INAM", Field::Title),
    (b"IART", Field::Artist),
    (b"IPRD", Field::Album),
    (b"ICRD", Field::Date),
    (b"IGNR", Field::Genre),
    (b"ITRK", Field::TrackNumber),
    (b"IPRT", Field::TrackNumber),
    (b"TRCK", Field::TrackNumber),
    (b"YEAR", Field::Date),
];
/// Chunks with a text in an AIFF file.
const AIFF_CHUNKS: [(&[u8; 4], Field); 2] = [(b"NAME", Field::Title), (b"AUTH", Field::Artist)];

/// Reads the tags of a WAV file, which begins with a RIFF header. ID3v2 tags come first.
pub(super) fn read_wav(source: &mut Source) -> Vec<TagValues> {
    read(source, false)
}

/// Reads the tags of an AIFF file, which begins with an IFF header. ID3v2 tags come first.
pub(super) fn read_aiff(source: &mut Source) -> Vec<TagValues> {
    read(source, true)
}

fn read(source: &mut Source, is_aiff: bool) -> Vec<TagValues> {
    let (mut id3, mut own) = (Vec::new(), TagValues::default());
    let mut at = 12;
    for _ in 0..MAX_CHUNKS {
        let Some((name, size)) = chunk_header(&source.read(at, 8), is_aiff) else {
            break;
        };
        let content = at + 8;
        match &name {
            b"ID3 " | b"id3 " => id3.extend(id3v2::read(source, content).map(|(tag, _)| tag)),
            b"LIST" if !is_aiff => {
                let list = source.read(content, size.min(MAX_LIST_SIZE) as usize);
                if let Some(chunks) = list.strip_prefix(b"INFO") {
                    read_info(chunks, &mut own);
                }
            }
            _ if is_aiff => {
                if let Some((_, field)) = AIFF_CHUNKS.iter().find(|(known, _)| **known == name) {
                    let text = source.read(content, size.min(MAX_VALUE_SIZE as u64) as usize);
                    own.push(*field, text_value(&text));
                }
            }
            _ => {}
        }
        // Chunks begin at even offsets.
        at = content + size + size % 2;
    }
    id3.push(own);
    id3
}

fn chunk_header(header: &[u8], is_big_endian: bool) -> Option<([u8; 4], u64)> {
    let name = header.get(..4)?.try_into().ok()?;
    let size = header.get(4..8)?.try_into().ok()?;
    let size = if is_big_endian {
        u32::from_be_bytes(size)
    } else {
        u32::from_le_bytes(size)
    };
    Some((name, size.into()))
}

fn read_info(mut chunks: &[u8], tag: &mut TagValues) {
    while let Some((name, size)) = chunk_header(chunks, false) {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let text = chunks.get(8..8_usize.saturating_add(size));
        // The last text of a truncated list.
        let text = text.unwrap_or(&chunks[8..]);
        if let Some((_, field)) = INFO_CHUNKS.iter().find(|(known, _)| **known == name) {
            tag.push(*field, text_value(&text[..text.len().min(MAX_VALUE_SIZE)]));
        }
        let end = 8_usize.saturating_add(size).saturating_add(size % 2);
        chunks = chunks.get(end..).unwrap_or_default();
    }
}

/// A text up to its first zero, in an unknown character set.
fn text_value(text: &[u8]) -> Value {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    Value::from_bytes(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{file_of, id3v2_frame, id3v2_tag, riff, source};
    use super::*;

    fn read_all(bytes: &[u8]) -> Vec<(Field, Value)> {
        let file = file_of(bytes);
        let mut source = source(&file);
        let tags = read(&mut source, bytes.starts_with(b"FORM"));
        tags.into_iter().flat_map(|tag| tag.values).collect()
    }

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    #[test]
    fn reads_info_texts_and_id3_tags_of_wav_files() {
        let id3 = id3v2_tag(3, 0, &id3v2_frame(b"TPE1", b"\0Artist"));
        let info = b"INFOINAM\x06\0\0\0Title\0IPRD\x03\0\0\0Al\0\0ITRK\x05\0\0\x007";
        let wav = riff(&[(b"LIST", info), (b"id3 ", &id3)]);
        assert_eq!(
            read_all(&wav),
            [
                (Field::Artist, text("Artist")),
                (Field::Title, text("Title")),
                (Field::Album, text("Al")),
                (Field::TrackNumber, text("7")),
            ]
        );
    }

    #[test]
    fn reads_texts_and_id3_tags_of_aiff_files() {
        let id3 = id3v2_tag(3, 0, &id3v2_frame(b"TALB", b"\0Album"));
        let size = u32::try_from(id3.len()).unwrap().to_be_bytes();
        let aiff = [
            b"FORM\0\0\0\0AIFFNAME\0\0\0\x05Title\0ID3 ",
            &size[..],
            &id3,
        ]
        .concat();
        let expected = [(Field::Album, text("Album")), (Field::Title, text("Title"))];
        assert_eq!(read_all(&aiff), expected);
    }

    proptest! {
        #[test]
        fn reads_damaged_chunks_without_a_panic(
            noise in prop::collection::vec(any::<(usize, u8)>(), 0..20),
            cut in 0..60_usize,
        ) {
            let info = b"INFOINAM\x06\0\0\0Title\0IPRD\x03\0\0\0Al\0\0";
            let mut bytes = riff(&[(b"LIST", info), (b"LIST", info)]);
            bytes.truncate(bytes.len() - cut);
            for (at, byte) in noise {
                let length = bytes.len();
                bytes[at % length] = byte;
            }
            prop_assert!(read_all(&bytes).len() < 50);
        }
    }
}
