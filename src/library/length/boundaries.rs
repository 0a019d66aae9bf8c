//! Finds where the audio of a file begins and ends: skips ID3v2 tags and leading zeros, and tags at the end.

use std::io;

use super::bytes::le32;
use crate::library::padding::parse_id3_size;
use crate::library::peek_reader::{MAX_PEEK, PeekReader};

/// The most zeros that are skipped before the first tag or frame, in bytes. Broken downloads begin with zeros.
const MAX_LEADING_ZEROS: u64 = 64 << 20;
/// The most tags that are skipped at either end. A file with more tags is malformed.
const MAX_TAGS: usize = 16;
/// The size of an ID3v1 tag in bytes.
const ID3V1_SIZE: u64 = 128;
/// The size in bytes of the header and of the footer of an APE tag.
const APE_FOOTER_SIZE: u64 = 32;

/// The offset behind the ID3v2 and APE tags and the zeros at the beginning of the file.
pub(super) fn audio_start(reader: &mut PeekReader) -> io::Result<u64> {
    let mut offset = 0;
    for _ in 0..MAX_TAGS {
        let head = reader.peek(offset, 32)?;
        match leading_tag_size(head) {
            Some(size) => offset += size,
            None if head.starts_with(&[0; 4]) => offset = skip_zeros(reader, offset)?,
            None => return Ok(offset),
        }
    }
    Ok(offset)
}

/// The size in bytes of the tag at the beginning of `head`. `None` if there is none.
pub(super) fn leading_tag_size(head: &[u8]) -> Option<u64> {
    let ape_size = || {
        let size = head.strip_prefix(b"APETAGEX").and(le32(head, 12))?;
        Some(APE_FOOTER_SIZE + u64::from(size))
    };
    parse_id3_size(head).or_else(ape_size)
}

/// The offset of the first byte from `offset` on that is not 0.
fn skip_zeros(reader: &mut PeekReader, offset: u64) -> io::Result<u64> {
    let mut at = offset;
    while at - offset < MAX_LEADING_ZEROS {
        let bytes = reader.peek(at, MAX_PEEK)?;
        match bytes.iter().position(|byte| *byte != 0) {
            Some(zeros) => return Ok(at + zeros as u64),
            None if bytes.is_empty() => break,
            None => at += bytes.len() as u64,
        }
    }
    Ok(at)
}

/// The offset at which the tags at the end of the file begin: ID3v1, ID3v2.4 with a footer, APE and Lyrics3. At least
/// `start`, where the audio begins.
pub(super) fn audio_end(reader: &mut PeekReader, start: u64) -> io::Result<u64> {
    let mut end = reader.size();
    for _ in 0..MAX_TAGS {
        let tail_size = (end - start.min(end)).min(ID3V1_SIZE);
        let tail = reader.peek(end - tail_size, tail_size as usize)?;
        let Some(size) = trailing_tag_size(tail, end - start.min(end)) else {
            break;
        };
        end -= size;
    }
    Ok(end.max(start))
}

/// The size in bytes of the tag at the end of `tail`. `None` if there is none. At most `available`: of an APE tag that claims
/// to be larger than the file, only the footer counts.
fn trailing_tag_size(tail: &[u8], available: u64) -> Option<u64> {
    let from_end = |size: usize| tail.get(tail.len().checked_sub(size)?..);
    if tail.len() as u64 == ID3V1_SIZE && tail.starts_with(b"TAG") {
        return Some(ID3V1_SIZE);
    }
    if let Some(footer) = from_end(32).filter(|footer| footer.starts_with(b"APETAGEX")) {
        let has_header = le32(footer, 20)? & 0x8000_0000 != 0;
        let size = u64::from(le32(footer, 12)?) + if has_header { APE_FOOTER_SIZE } else { 0 };
        return Some(if (APE_FOOTER_SIZE..=available).contains(&size) {
            size
        } else {
            APE_FOOTER_SIZE
        });
    }
    if let Some(lyrics) = from_end(15).filter(|lyrics| lyrics.ends_with(b"LYRICS200")) {
        let digits = std::str::from_utf8(&lyrics[..6]).ok()?;
        let size = digits.parse::<u64>().ok()? + 15;
        return (size <= available).then_some(size);
    }
    let footer = from_end(10).filter(|footer| footer.starts_with(b"3DI"))?;
    let size = parse_id3_size(&[b"ID3", &footer[3..]].concat())?;
    (size <= available).then_some(size)
}
