//! Builds tags byte by byte, for tests.

use std::fs::File;
use std::io::Write;

use super::super::peek_reader::PeekReader;
use super::source::Source;

/// A file with this content.
pub(super) fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// The source of the tag readers for `file`.
pub(super) fn source(file: &File) -> Source<'_> {
    Source::new(PeekReader::new(file, file.metadata().unwrap().len()))
}

/// A frame of ID3v2.3 or, if the content is shorter than 128 bytes, of ID3v2.4.
pub(super) fn id3v2_frame(id: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let size = u32::try_from(content.len()).unwrap();
    [id, &size.to_be_bytes()[..], &[0, 0], content].concat()
}

/// A tag with `frames`, and 20 bytes of padding.
pub(super) fn id3v2_tag(version: u8, flags: u8, frames: &[u8]) -> Vec<u8> {
    let size = frames.len() + 20;
    let size = [21, 14, 7, 0].map(|shift| (size >> shift & 0x7f) as u8);
    [b"ID3", &[version, 0, flags][..], &size, frames, &[0; 20]].concat()
}

pub(super) fn id3v1_tag(title: &[u8], artist: &[u8], track: u8) -> Vec<u8> {
    let mut tag = b"TAG".to_vec();
    for (text, size) in [(title, 30), (artist, 30), (b"", 30), (b"1987", 4)] {
        let mut field = text.to_vec();
        field.resize(size, 0);
        tag.extend(field);
    }
    tag.resize(126, 0);
    tag.extend([track, 255]);
    tag
}

/// An APE tag with a footer only.
pub(super) fn ape_tag(items: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tag = Vec::new();
    for (key, value) in items {
        tag.extend(u32::try_from(value.len()).unwrap().to_le_bytes());
        tag.extend([0; 4]);
        tag.extend(key.as_bytes());
        tag.push(0);
        tag.extend(*value);
    }
    let size = u32::try_from(tag.len() + 32).unwrap();
    tag.extend(b"APETAGEX");
    for number in [2_000, size, u32::try_from(items.len()).unwrap(), 0, 0, 0] {
        tag.extend(number.to_le_bytes());
    }
    tag
}

pub(super) fn vorbis_comments(comments: &[&[u8]]) -> Vec<u8> {
    let mut block = b"\x03\0\0\0abc".to_vec();
    block.extend(u32::try_from(comments.len()).unwrap().to_le_bytes());
    for comment in comments {
        block.extend(u32::try_from(comment.len()).unwrap().to_le_bytes());
        block.extend(*comment);
    }
    block
}

/// A RIFF file with these chunks.
pub(super) fn riff(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut file = b"RIFF\0\0\0\0WAVE".to_vec();
    for (name, content) in chunks {
        file.extend(*name);
        file.extend(u32::try_from(content.len()).unwrap().to_le_bytes());
        file.extend(*content);
        file.resize(file.len() + content.len() % 2, 0);
    }
    file
}
