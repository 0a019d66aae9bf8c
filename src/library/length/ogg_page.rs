//! Reads the pages of an Ogg file.
//!
//! Source: RFC 3533.

use std::io;

use crc::{Algorithm, CRC_32_CKSUM, Crc, Table};

use super::bytes::{le32, le64};
use crate::library::peek_reader::{MAX_PEEK, PeekReader};

/// The size of a page header without its segment table, in bytes.
const HEADER_SIZE: usize = 27;
/// The most bytes in a page.
pub(super) const MAX_PAGE_SIZE: usize = HEADER_SIZE + 255 + 255 * 255;
/// The most bytes between two pages. After more bytes without a page, the file counts as ended.
const MAX_JUNK: u64 = 16 << 20;
/// The granule position of a page on which no packet ends.
const NO_GRANULE: u64 = u64::MAX;

/// The header of a page.
#[derive(Debug, Clone)]
pub(super) struct Page {
    pub(super) offset: u64,
    flags: u8,
    /// The position at the end of the last packet that ends on the page. `None` if no packet ends on the page.
    pub(super) granule: Option<u64>,
    /// Identifies the stream.
    pub(super) serial: u32,
    /// The number of the page in its stream.
    pub(super) sequence: u32,
    segments: Vec<u8>,
}

/// The part of a packet that lies on a page.
#[derive(Debug, Clone, Copy)]
pub(super) struct PacketPart {
    pub(super) offset: u64,
    pub(super) size: usize,
    /// Whether the packet began on an earlier page.
    pub(super) is_continued: bool,
    /// Whether the packet ends on this page.
    pub(super) is_last: bool,
}

impl Page {
    fn parse(bytes: &[u8], offset: u64) -> Option<Page> {
        if !bytes.starts_with(b"OggS\0") {
            return None;
        }
        let segment_count = usize::from(*bytes.get(HEADER_SIZE - 1)?);
        let granule = le64(bytes, 6)?;
        Some(Page {
            offset,
            flags: bytes[5],
            granule: (granule != NO_GRANULE).then_some(granule),
            serial: le32(bytes, 14)?,
            sequence: le32(bytes, 18)?,
            segments: bytes
                .get(HEADER_SIZE..HEADER_SIZE + segment_count)?
                .to_vec(),
        })
    }

    /// Whether the page is the first of its stream.
    pub(super) fn begins_stream(&self) -> bool {
        self.flags & 2 != 0
    }

    fn header_size(&self) -> u64 {
        (HEADER_SIZE + self.segments.len()) as u64
    }

    /// The size in bytes, with the header.
    pub(super) fn size(&self) -> u64 {
        let body: u64 = self.segments.iter().map(|size| u64::from(*size)).sum();
        self.header_size() + body
    }

    pub(super) fn end(&self) -> u64 {
        self.offset + self.size()
    }

    /// The packets on the page, some of which may begin or end on other pages.
    pub(super) fn packets(&self) -> Vec<PacketPart> {
        let mut parts = Vec::new();
        let mut offset = self.offset + self.header_size();
        let mut size = 0;
        let mut is_continued = self.flags & 1 != 0;
        for (at, segment) in self.segments.iter().enumerate() {
            size += usize::from(*segment);
            let is_last = *segment < 255;
            if is_last || at + 1 == self.segments.len() {
                parts.push(PacketPart {
                    offset,
                    size,
                    is_continued,
                    is_last,
                });
                offset += size as u64;
                (size, is_continued) = (0, false);
            }
        }
        parts
    }
}

/// The page at `offset`. `None` if there is none, or if the end of the file cuts it off.
pub(super) fn read_page(reader: &mut PeekReader, offset: u64) -> io::Result<Option<Page>> {
    let page = Page::parse(reader.peek(offset, HEADER_SIZE + 255)?, offset);
    let size = reader.size();
    Ok(page.filter(|page| page.end() <= size))
}

/// The page at `offset`, or else the first page behind it. `None` if no page follows.
pub(super) fn next_page(reader: &mut PeekReader, offset: u64) -> io::Result<Option<Page>> {
    let mut at = offset;
    while at - offset < MAX_JUNK {
        let bytes = reader.peek(at, MAX_PEEK)?;
        if bytes.len() < HEADER_SIZE {
            break;
        }
        match find(bytes, b"OggS\0") {
            Some(skipped) => {
                at += skipped as u64;
                if let Some(page) = read_page(reader, at)? {
                    return Ok(Some(page));
                }
                at += 1;
            }
            None => at += (bytes.len() - HEADER_SIZE + 1) as u64,
        }
    }
    Ok(None)
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes
        .windows(pattern.len())
        .position(|window| window == pattern)
}

/// The last page of `window`, the bytes of the file from `offset` on, on which a packet ends. Its checksum is verified, because
/// the signature of a page may also occur in sound.
pub(super) fn last_page(window: &[u8], offset: u64) -> Option<Page> {
    let starts = memchr::memmem::rfind_iter(window, b"OggS\0");
    let mut pages = starts.take(MAX_CANDIDATES).filter_map(|at| {
        let bytes = &window[at..];
        let page = Page::parse(bytes, offset + at as u64)?;
        let bytes = bytes.get(..usize::try_from(page.size()).ok()?)?;
        (page.granule.is_some() && has_valid_checksum(bytes)).then_some(page)
    });
    pages.next()
}

/// The most positions at which a page is tried. Bounds the time for a file that consists of page headers.
const MAX_CANDIDATES: usize = 300;

/// CRC-32 with the generator polynomial 0x04c11db7, without inversion (RFC 3533, section 6).
static PAGE_CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&Algorithm {
    xorout: 0,
    ..CRC_32_CKSUM
});

/// The checksum of a page, computed with zeros in the place of the checksum.
pub(super) fn checksum(page: &[u8]) -> u32 {
    let (before, rest) = page.split_at(page.len().min(22));
    let mut crc = PAGE_CRC.digest();
    crc.update(before);
    crc.update(&[0; 4][..rest.len().min(4)]);
    crc.update(rest.get(4..).unwrap_or_default());
    crc.finalize()
}

fn has_valid_checksum(page: &[u8]) -> bool {
    le32(page, 22) == Some(checksum(page))
}
