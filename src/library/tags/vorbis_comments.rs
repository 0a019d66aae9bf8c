//! Reads Vorbis comments in FLAC files and in the first stream of Ogg files. `lofty` 0.22 skips comments that are not valid
//! UTF-8, although other programs write them in the system's character set.
//!
//! Sources: <https://xiph.org/vorbis/doc/v-comment.html>, RFC 9639 (FLAC), RFC 3533 (Ogg), RFC 7845 (Opus).

use super::fields::{Field, MAX_VALUE_SIZE, TagValues, Value};
use super::source::Source;

/// The most bytes of the comments that are read. Pictures in comments, as Ogg files have them, are usually last.
const MAX_COMMENTS_SIZE: usize = 4 << 20;
/// The most metadata blocks of a FLAC file, and the most pages of an Ogg file before the comments end.
const MAX_BLOCKS: usize = 1_000;
/// The most comments. A file with more comments is malformed or hostile.
const MAX_COMMENTS: usize = 10_000;

/// Comments that hold a picture in Base64.
const PICTURE_COMMENTS: [&[u8]; 2] = [b"METADATA_BLOCK_PICTURE", b"COVERART"];
/// The smallest pictures are larger than this number of bytes.
const MIN_PICTURE_SIZE: usize = 64;

/// Reads the comments of the FLAC file whose signature is at `offset`, and whether the file has a picture.
pub(super) fn read_flac(source: &mut Source, offset: u64) -> Option<TagValues> {
    const VORBIS_COMMENT: u8 = 4;
    const PICTURE: u8 = 6;
    let mut tag: Option<TagValues> = None;
    let mut at = offset + 4;
    for _ in 0..MAX_BLOCKS {
        let header = source.read(at, 4);
        let &[block_type, a, b, c] = &header[..] else {
            break;
        };
        let size = u32::from_be_bytes([0, a, b, c]) as usize;
        match block_type & 0x7f {
            VORBIS_COMMENT if tag.as_ref().is_none_or(|tag| tag.values.is_empty()) => {
                let comments = source.read(at + 4, MAX_COMMENTS_SIZE.min(size));
                let found = parse_comments(&comments);
                let tag = tag.get_or_insert_default();
                tag.values = found.values;
                tag.has_picture |= found.has_picture;
            }
            PICTURE if size >= MIN_PICTURE_SIZE => {
                tag.get_or_insert_default().has_picture = true;
            }
            _ => {}
        }
        if block_type & 0x80 != 0 {
            break;
        }
        at += 4 + size as u64;
    }
    tag
}

/// Reads the comments of the Ogg file whose first page is at `offset`: the second packet of the first stream with music.
pub(super) fn read_ogg(source: &mut Source, offset: u64) -> Option<TagValues> {
    let mut at = offset;
    let mut serial = None;
    let mut packet = Vec::new();
    for _ in 0..MAX_BLOCKS {
        let header = source.read(at, 27);
        if header.len() < 27 || !header.starts_with(b"OggS") {
            break;
        }
        let segments = source.read(at + 27, usize::from(header[26]));
        let size: usize = segments.iter().map(|size| usize::from(*size)).sum();
        let content_at = at + 27 + segments.len() as u64;
        at = content_at + size as u64;
        let page_serial = &header[14..18];
        let is_first_page = header[5] & 2 != 0;
        if is_first_page && serial.is_none() {
            let start = source.read(content_at, 8);
            let has_comments = start.starts_with(b"\x01vorbis")
                || start.starts_with(b"OpusHead")
                || start.starts_with(b"\x7fFLAC");
            if has_comments {
                serial = Some(page_serial.to_vec());
            }
        } else if serial.as_deref() == Some(page_serial) {
            packet.extend(source.read(content_at, size));
            // A packet ends with a segment of less than 255 bytes.
            let has_packet_end = segments.iter().any(|size| *size < 255);
            if has_packet_end || packet.len() > MAX_COMMENTS_SIZE {
                break;
            }
        }
    }
    let comments = packet
        .strip_prefix(b"\x03vorbis")
        .or_else(|| packet.strip_prefix(b"OpusTags"))
        // FLAC in Ogg: the packet is a metadata block, with its header.
        .or_else(|| packet.get(4..).filter(|_| packet[0] & 0x7f == 4))?;
    Some(parse_comments(comments))
}

/// The values of the comments, up to the first malformed comment.
fn parse_comments(bytes: &[u8]) -> TagValues {
    let mut tag = TagValues::default();
    let Some((_vendor, rest)) = split_sized(bytes) else {
        return tag;
    };
    let mut rest = rest.get(4..).unwrap_or_default();
    for _ in 0..MAX_COMMENTS {
        let Some((comment, after)) = split_sized(rest) else {
            // A picture that is too large to be read as a whole is still a picture.
            tag.has_picture |= rest.get(4..).is_some_and(is_picture);
            break;
        };
        rest = after;
        let Some(at) = comment.iter().take(100).position(|byte| *byte == b'=') else {
            continue;
        };
        let name = std::str::from_utf8(&comment[..at]);
        let value = &comment[at + 1..];
        tag.has_picture |= is_picture(comment);
        if let Some(field) = name.ok().and_then(Field::named) {
            tag.push(
                field,
                Value::from_utf8(&value[..value.len().min(MAX_VALUE_SIZE)]),
            );
        }
    }
    tag
}

/// Whether the comment, which may be cut off, holds a picture.
fn is_picture(comment: &[u8]) -> bool {
    PICTURE_COMMENTS.iter().any(|known| {
        let name = comment.get(..known.len());
        let value = comment.get(known.len() + 1..).unwrap_or_default();
        name.is_some_and(|name| name.eq_ignore_ascii_case(known))
            && comment.get(known.len()) == Some(&b'=')
            && value.len() >= MIN_PICTURE_SIZE
    })
}

/// The bytes whose size precedes them in four bytes, and the bytes after them.
fn split_sized(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (size, rest) = bytes.split_first_chunk::<4>()?;
    let size = usize::try_from(u32::from_le_bytes(*size)).ok()?;
    rest.split_at_checked(size)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{file_of, source, vorbis_comments};
    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    fn flac(comments: &[u8]) -> Vec<u8> {
        let size = u32::try_from(comments.len()).unwrap().to_be_bytes();
        [
            b"fLaC\0\0\0\x22",
            &[0; 34][..],
            &[0x84],
            &size[1..],
            comments,
        ]
        .concat()
    }

    fn page(flags: u8, serial: u8, content: &[u8]) -> Vec<u8> {
        let mut segments = vec![255; content.len() / 255];
        segments.push((content.len() % 255) as u8);
        let mut page = b"OggS\0".to_vec();
        page.push(flags);
        page.extend([0; 8]);
        page.extend([serial, 0, 0, 0]);
        page.extend([0; 8]);
        page.push(segments.len() as u8);
        [&page[..], &segments, content].concat()
    }

    fn read_all(bytes: &[u8]) -> Option<TagValues> {
        let file = file_of(bytes);
        let mut source = source(&file);
        if bytes.starts_with(b"fLaC") {
            read_flac(&mut source, 0)
        } else {
            read_ogg(&mut source, 0)
        }
    }

    #[test]
    fn reads_comments_of_flac_vorbis_and_opus() {
        let comments = vorbis_comments(&[b"TITLE=Title", b"Artist=Caf\xe9", b"LYRICS=la"]);
        let expected = [
            (Field::Title, text("Title")),
            (Field::Artist, Value::Bytes(b"Caf\xe9".to_vec())),
        ];
        let ogg = |head: &[u8], tags: &[u8]| {
            [
                page(2, 9, b"\x80theora"),
                page(2, 1, head),
                page(0, 9, b"other"),
                page(0, 1, &[tags, &comments].concat()),
            ]
            .concat()
        };
        for bytes in [
            flac(&comments),
            ogg(b"\x01vorbis", b"\x03vorbis"),
            ogg(b"OpusHead", b"OpusTags"),
            ogg(b"\x7fFLAC\x01\0\0\x01", b"\x04\0\0\0"),
        ] {
            assert_eq!(read_all(&bytes).unwrap().values, expected);
        }
    }

    #[test]
    fn finds_pictures_in_blocks_and_in_comments() {
        let block = |kind: u8, size: usize| {
            let header = u32::try_from(size).unwrap() | u32::from(kind) << 24;
            [&header.to_be_bytes()[..], &vec![0; size]].concat()
        };
        let with_block = |kind, size| {
            let mut file = flac(&vorbis_comments(&[b"TITLE=Title"]));
            file[42] &= 0x7f;
            [file, block(kind, size), block(0x81, 0)].concat()
        };
        let comment = |name: &str, size| {
            let comment = [name.as_bytes(), b"=", &vec![b'A'; size]].concat();
            flac(&vorbis_comments(&[b"TITLE=Title", &comment]))
        };
        for (bytes, has_picture) in [
            (with_block(6, 100), true),
            (with_block(6, 10), false),
            (with_block(5, 100), false),
            (comment("metadata_block_picture", 100), true),
            (comment("COVERART", 100), true),
            (comment("COVERART", 10), false),
            (comment("LYRICS", 100), false),
        ] {
            let tag = read_all(&bytes).unwrap();
            assert_eq!(tag.has_picture, has_picture, "{:?}", &bytes[42..]);
            assert_eq!(tag.values, [(Field::Title, text("Title"))]);
        }
    }

    #[test]
    fn a_picture_larger_than_what_is_read_counts() {
        let picture = [
            b"METADATA_BLOCK_PICTURE=",
            &vec![b'A'; MAX_COMMENTS_SIZE][..],
        ]
        .concat();
        let file = flac(&vorbis_comments(&[b"TITLE=Title", &picture]));
        let tag = read_all(&file).unwrap();
        assert!(tag.has_picture);
        assert_eq!(tag.values, [(Field::Title, text("Title"))]);
    }

    #[test]
    fn reads_a_packet_that_spans_pages() {
        let long = [b"TITLE=", &[b'x'; 600][..]].concat();
        let packet = [b"OpusTags", &vorbis_comments(&[&long, b"ARTIST=A"])[..]].concat();
        let mut first = page(0, 1, &packet[..510]);
        // The page has no last segment of less than 255 bytes.
        first[26] -= 1;
        first.remove(27 + 2);
        let bytes = [page(2, 1, b"OpusHead"), first, page(1, 1, &packet[510..])].concat();
        assert_eq!(read_all(&bytes).unwrap().values.len(), 2);
    }

    #[test]
    fn a_malformed_comment_keeps_the_comments_before() {
        let mut comments = vorbis_comments(&[b"TITLE=Title", b"ARTIST=Artist"]);
        let at = comments.len() - 13 - 4;
        comments[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        let found = read_all(&flac(&comments)).unwrap();
        assert_eq!(found.values, [(Field::Title, text("Title"))]);
    }

    proptest! {
        #[test]
        fn reads_damaged_comments_without_a_panic(
            is_ogg in any::<bool>(),
            noise in prop::collection::vec(any::<(usize, u8)>(), 0..20),
            cut in 0..100_usize,
        ) {
            let comments = vorbis_comments(&[b"TITLE=Title", b"DATE=1999"]);
            let mut bytes = if is_ogg {
                let packet = [b"OpusTags", &comments[..]].concat();
                [page(2, 1, b"OpusHead"), page(0, 1, &packet)].concat()
            } else {
                flac(&comments)
            };
            bytes.truncate(bytes.len() - cut.min(bytes.len() - 8));
            for (at, byte) in noise {
                let length = bytes.len() - 4;
                bytes[4 + at % length] = byte;
            }
            prop_assert!(read_all(&bytes).is_none_or(|tag| tag.values.len() <= 2));
        }
    }
}
