//! Finds the bytes of a file that hold its sound, so that files which differ only in their tags can be recognised as copies.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// The most headers, boxes or pages that are read to find the sound.
const MAX_STEPS: usize = 100_000;
/// The most tags before the sound, and the most behind it. A file with more tags is malformed.
const MAX_TAGS: usize = 16;
/// The granule position of an Ogg page on which no packet ends.
const NO_PACKET_ENDS: u64 = u64::MAX;

/// The parts of `file`, which has `size` bytes, that hold the sound, in order: the bytes between the tags, or, in an Ogg file,
/// the content of the pages, whose headers depend on the size of the tags. In a file of an unknown format all bytes that are not
/// in a known tag.
///
/// # Errors
/// The system's error.
pub(super) fn sound_ranges(file: &File, size: u64) -> io::Result<Vec<Range<u64>>> {
    let reader = Reader { file, size };
    let start = reader.end_of_id3v2()?;
    let head: [u8; 12] = reader.bytes(start)?.unwrap_or_default();
    let range = match (&head[..4], &head[4..8], &head[8..]) {
        (b"fLaC", ..) => Some(reader.end_of_flac_blocks(start + 4)?..reader.start_of_tags()?),
        (b"OggS", ..) => return reader.ogg_pages_of_sound(start),
        (_, b"ftyp", _) => reader.media_boxes()?,
        (b"RIFF" | b"RF64", _, b"WAVE") => reader.chunk(start + 12, b"data", u32::from_le_bytes)?,
        (b"FORM", _, b"AIFF" | b"AIFC") => reader.chunk(start + 12, b"SSND", u32::from_be_bytes)?,
        _ => None,
    };
    let range = match range {
        Some(range) => range,
        None => start..reader.start_of_tags()?,
    };
    let start = range.start.min(size);
    let range = start..range.end.clamp(start, size);
    Ok(Vec::from_iter([range]))
}

struct Reader<'a> {
    file: &'a File,
    size: u64,
}

impl Reader<'_> {
    /// The bytes at `at`; `None` if the file ends before the last of them.
    fn bytes<const N: usize>(&self, at: u64) -> io::Result<Option<[u8; N]>> {
        if at.checked_add(N as u64).is_none_or(|end| end > self.size) {
            return Ok(None);
        }
        let mut bytes = [0; N];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(Some(bytes))
    }

    /// The end of the ID3v2 tags at the beginning.
    fn end_of_id3v2(&self) -> io::Result<u64> {
        let mut at = 0;
        for _ in 0..MAX_TAGS {
            let Some([b'I', b'D', b'3', _, _, flags, size @ ..]) = self.bytes::<10>(at)? else {
                break;
            };
            let size = size
                .iter()
                .fold(0, |size, byte| size << 7 | u64::from(*byte & 0x7f));
            let footer = if flags & 0x10 == 0 { 0 } else { 10 };
            at += 10 + size + footer;
        }
        Ok(at)
    }

    /// The start of the ID3v1, Lyrics3 and APE tags at the end.
    fn start_of_tags(&self) -> io::Result<u64> {
        let mut end = self.size;
        for _ in 0..MAX_TAGS {
            let before = |length: u64| end.checked_sub(length).unwrap_or(u64::MAX);
            let start = if self.bytes(before(128))? == Some(*b"TAG") {
                before(128)
            } else if let Some(footer) = self
                .bytes::<32>(before(32))?
                .filter(|footer| footer.starts_with(b"APETAGEX"))
            {
                let field = |at: usize| {
                    u32::from_le_bytes([footer[at], footer[at + 1], footer[at + 2], footer[at + 3]])
                };
                let header = if field(20) & 1 << 31 == 0 { 0 } else { 32 };
                before(u64::from(field(12)) + header)
            } else if self.bytes(before(9))? == Some(*b"LYRICS200") {
                let digits = self.bytes::<6>(before(15))?.unwrap_or_default();
                let size = std::str::from_utf8(&digits).ok();
                let size = size.and_then(|digits| digits.parse::<u64>().ok());
                size.map_or(u64::MAX, |size| before(15 + size))
            } else {
                break;
            };
            if start >= end {
                break;
            }
            end = start;
        }
        Ok(end)
    }

    fn end_of_flac_blocks(&self, mut at: u64) -> io::Result<u64> {
        for _ in 0..MAX_STEPS {
            let Some([kind, length @ ..]) = self.bytes::<4>(at)? else {
                break;
            };
            at += 4 + length
                .iter()
                .fold(0, |length, byte| length << 8 | u64::from(*byte));
            if kind & 0x80 != 0 {
                break;
            }
        }
        Ok(at)
    }

    /// The content of each page after those with the headers, of which the second holds the tags.
    fn ogg_pages_of_sound(&self, mut at: u64) -> io::Result<Vec<Range<u64>>> {
        let mut pages = Vec::new();
        for _ in 0..MAX_STEPS {
            let Some(page) = self
                .bytes::<27>(at)?
                .filter(|page| page.starts_with(b"OggS"))
            else {
                break;
            };
            let position = page[6..14].iter().rev();
            let position = position.fold(0, |bits, byte| bits << 8 | u64::from(*byte));
            let mut lengths = vec![0; usize::from(page[26])];
            let start = at + 27 + lengths.len() as u64;
            if start > self.size {
                break;
            }
            self.file.read_exact_at(&mut lengths, at + 27)?;
            at = start + lengths.iter().map(|length| u64::from(*length)).sum::<u64>();
            let is_header = pages.is_empty() && (position == 0 || position == NO_PACKET_ENDS);
            if !is_header {
                pages.push(start..at.min(self.size));
            }
        }
        // The bytes after the last page count as sound, so that files that differ in these bytes are not copies.
        pages.extend((at < self.size).then_some(at..self.size));
        Ok(pages)
    }

    /// From the content of the first `mdat` box of an MP4 file to the end of the last.
    fn media_boxes(&self) -> io::Result<Option<Range<u64>>> {
        let (mut at, mut range) = (0, None);
        for _ in 0..MAX_STEPS {
            let Some([a, b, c, d, name @ ..]) = self.bytes::<8>(at)? else {
                break;
            };
            let (header, length) = match u32::from_be_bytes([a, b, c, d]) {
                0 => (8, self.size - at),
                1 => (16, self.bytes(at + 8)?.map_or(0, u64::from_be_bytes)),
                length => (8, u64::from(length)),
            };
            if length < header {
                break;
            }
            let end = at.saturating_add(length);
            if name == *b"mdat" {
                let start = range.map_or(at + header, |range: Range<u64>| range.start);
                range = Some(start..end);
            }
            at = end;
        }
        Ok(range)
    }

    /// The content of the chunk with this name in a RIFF or IFF file, whose first chunk is at `at`.
    fn chunk(
        &self,
        mut at: u64,
        wanted: &[u8; 4],
        parse: fn([u8; 4]) -> u32,
    ) -> io::Result<Option<Range<u64>>> {
        for _ in 0..MAX_STEPS {
            let Some([n0, n1, n2, n3, length @ ..]) = self.bytes::<8>(at)? else {
                break;
            };
            let (start, length) = (at + 8, u64::from(parse(length)));
            if [n0, n1, n2, n3] == *wanted {
                return Ok(Some(start..start + length));
            }
            at = start + length + length % 2;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn ranges(parts: &[&[u8]]) -> Vec<Range<u64>> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&parts.concat()).unwrap();
        sound_ranges(&file, parts.concat().len() as u64).unwrap()
    }

    fn range(parts: &[&[u8]]) -> Range<u64> {
        ranges(parts).remove(0)
    }

    #[test]
    fn leaves_out_tags_before_and_after_an_mpeg_stream() {
        let id3v2 = [b"ID3\x04\0\0\0\0\0\x05".as_slice(), &[7; 5]].concat();
        let id3v1 = [b"TAG".as_slice(), &[7; 125]].concat();
        let ape = [
            b"APETAGEX".as_slice(),
            &[0xd0, 7, 0, 0, 36, 0, 0, 0, 1, 0, 0, 0],
            &[0; 12],
        ]
        .concat();
        let ape = [&[7; 4], ape.as_slice()].concat();
        let sound = [0xff, 0xfb, 0x90, 0];
        assert_eq!(range(&[&sound]), 0..4);
        assert_eq!(range(&[&id3v2, &id3v2, &sound]), 30..34);
        assert_eq!(range(&[&sound, &ape, &id3v1]), 0..4);
        let too_large = [b"APETAGEX".as_slice(), &[0xff; 24]].concat();
        assert_eq!(range(&[&sound, &too_large]), 0..36);
    }

    #[test]
    fn skips_a_limited_number_of_tags_behind_the_sound() {
        let tag = [b"TAG".as_slice(), &[7; 125]].concat();
        let tags = tag.repeat(10_000);
        let end = (10_000 - MAX_TAGS as u64) * 128;
        assert_eq!(range(&[&tags]), 0..end);
    }

    #[test]
    fn any_truncated_file_has_ranges_in_order_within_its_size() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        for entry in folder.read_dir().unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            for size in (0..bytes.len()).step_by(37) {
                let mut end = 0;
                for range in ranges(&[&bytes[..size]]) {
                    assert!(end <= range.start && range.start <= range.end);
                    end = range.end;
                }
                assert!(end <= size as u64);
            }
        }
    }
}
