//! The length of the audio in an Ogg file: Vorbis, Opus or FLAC. Each page states the position at its end, which may count from
//! any number: the recording of a radio stream begins at the time for which the station has been on the air. So the length is
//! the position at the end of the last page, less the position at which the first packet begins.
//!
//! An Ogg file may be a chain of streams that follow each other (links). The length of a chain is the sum of the lengths of its
//! links, so all pages must be read. All pages are also read if other streams are multiplexed with the audio, for example a
//! Theora video stream that holds a cover.
//!
//! Sources: RFC 3533 (Ogg), RFC 7845 (Opus), <https://xiph.org/flac/ogg_mapping.html>.

use std::io;

use super::bytes::{be16, le16, le32};
use super::flac::{self, StreamInfo};
use super::ogg_page::{MAX_PAGE_SIZE, PacketPart, Page, last_page, next_page, read_page};
use super::vorbis::BlockSizes;
use super::{Format, Length, LengthError, LengthSource};
use crate::library::peek_reader::PeekReader;

/// The most multiplexed streams of one link whose first pages are read. Only malformed files have more.
const MAX_STREAMS: usize = 32;
/// The most bytes of a header packet that are kept. Only comments with very large pictures have more.
const MAX_PACKET_SIZE: usize = 8 << 20;
/// The most bytes of all headers of a stream that are kept.
const MAX_HEADERS_SIZE: usize = 20 << 20;
/// The most pages that one search reads: for the header packets, for the first audio packet, or for the next page of a stream.
const MAX_SEARCHED_PAGES: usize = 10_000;
/// The sample rate in which Opus counts, in Hz.
const OPUS_RATE: u32 = 48_000;
/// How many bytes at the end of the file are searched for the last page: first the smaller number, then the larger.
const TAIL_SIZES: [usize; 2] = [16 << 10, 3 * MAX_PAGE_SIZE];
/// The largest difference, for the page in the middle of the file, between its sequence number as a fraction of the last
/// page's and its offset as a fraction of the file's size. A larger difference indicates a chain whose links have the same
/// serial number.
const MAX_MIDDLE_DEVIATION: f64 = 0.1;
/// The number of pages from which on the deviation is meaningful.
const MIN_PAGES_TO_COMPARE: u32 = 40;

/// The codec of an audio stream, with the properties that determine the length.
#[derive(Debug, Clone, PartialEq)]
enum Codec {
    Vorbis {
        sample_rate: u32,
        block_sizes: BlockSizes,
    },
    Opus {
        pre_skip: u16,
    },
    Flac(StreamInfo),
}

/// The format of the stream whose first packet is this one. `None` if it is not audio that browsers play.
fn format_of(packet: &[u8]) -> Option<Format> {
    [
        (&b"\x01vorbis"[..], Format::OggVorbis),
        (b"OpusHead", Format::OggOpus),
        (b"\x7fFLAC", Format::OggFlac),
    ]
    .into_iter()
    .find_map(|(signature, format)| packet.starts_with(signature).then_some(format))
}

/// An audio stream of a link, found by its first page.
struct AudioStream {
    format: Format,
    first_page: Page,
    /// Whether other streams are multiplexed with the audio.
    is_multiplexed: bool,
}

/// The first audio stream of the link that begins at `offset`.
///
/// # Errors
/// [`LengthError::OtherFormat`] or [`LengthError::NoAudio`] if there is none, or the system's error.
fn find_audio_stream(reader: &mut PeekReader, offset: u64) -> Result<AudioStream, LengthError> {
    let mut found: Option<(Format, Page)> = None;
    let (mut at, mut count, mut has_speex) = (offset, 0, false);
    while let Some(page) = read_page(reader, at)? {
        if !page.begins_stream() || count == MAX_STREAMS {
            break;
        }
        count += 1;
        at = page.end();
        let Some(packet) = page.packets().first().copied() else {
            continue;
        };
        let packet = reader.peek(packet.offset, packet.size)?;
        has_speex |= packet.starts_with(b"Speex   ");
        if let Some(format) = format_of(packet).filter(|_| found.is_none()) {
            found = Some((format, page));
        }
    }
    match found {
        Some((format, first_page)) => Ok(AudioStream {
            format,
            first_page,
            is_multiplexed: count > 1,
        }),
        None if has_speex => Err(LengthError::OtherFormat("Speex")),
        None => Err(LengthError::NoAudio),
    }
}

/// The format of the audio in the Ogg file that begins at `start`.
///
/// # Errors
/// [`LengthError::OtherFormat`] or [`LengthError::NoAudio`] if no stream holds audio that browsers play, or the system's error.
pub(super) fn find_audio_format(
    reader: &mut PeekReader,
    start: u64,
) -> Result<Format, LengthError> {
    find_audio_stream(reader, start).map(|stream| stream.format)
}

/// A link of a chain, whose headers have been read.
struct Link {
    codec: Codec,
    serial: u32,
    /// The offset of the first page with audio, which may also hold the end of the headers.
    audio_offset: u64,
    /// The position at which the first audio packet begins, in samples.
    start_granule: u64,
    /// The first position that a page states.
    first_granule: u64,
    is_multiplexed: bool,
}

impl Link {
    /// The duration up to the position `end`, in seconds.
    fn duration_sec(&self, end: u64) -> f64 {
        let samples = end.saturating_sub(self.start_granule);
        match &self.codec {
            Codec::Vorbis { sample_rate, .. } => samples as f64 / f64::from(*sample_rate),
            Codec::Flac(info) => samples as f64 / f64::from(info.sample_rate),
            Codec::Opus { pre_skip } => {
                let samples = samples.saturating_sub(u64::from(*pre_skip));
                samples as f64 / f64::from(OPUS_RATE)
            }
        }
    }
}

/// Reads the headers of the link that begins at `offset`. `None` if it has no audio.
fn read_link(reader: &mut PeekReader, offset: u64) -> io::Result<Option<Link>> {
    let stream = match find_audio_stream(reader, offset) {
        Ok(stream) => stream,
        Err(LengthError::Io(error)) => return Err(error),
        Err(_) => return Ok(None),
    };
    let serial = stream.first_page.serial;
    let (headers, end_of_headers) = read_headers(reader, &stream)?;
    let codec = headers.first().and_then(|first| match stream.format {
        Format::OggVorbis => Some(Codec::Vorbis {
            sample_rate: le32(first, 12).filter(|rate| *rate > 0)?,
            block_sizes: BlockSizes::parse(first, headers.get(2)?)?,
        }),
        Format::OggOpus => Some(Codec::Opus {
            pre_skip: le16(first, 10)?,
        }),
        // A header of nine bytes, the signature of FLAC, and the header of the block precede the properties.
        _ => flac::parse_stream_info(first.get(17..)?).map(Codec::Flac),
    });
    let Some(codec) = codec else { return Ok(None) };
    let positions = find_start_granules(reader, &end_of_headers, serial, &codec)?;
    Ok(positions.map(|(start_granule, first_granule)| Link {
        codec,
        serial,
        audio_offset: end_of_headers.audio_page_offset,
        start_granule,
        first_granule,
        is_multiplexed: stream.is_multiplexed,
    }))
}

/// Where the headers of a stream end. The audio must begin on a new page (Vorbis I, A.2; RFC 7845, 3), but some encoders put
/// audio behind the headers on the same page.
struct EndOfHeaders {
    /// The offset of the first page with audio.
    audio_page_offset: u64,
    /// The offset of the first audio packet on that page, or less.
    audio_packet_offset: u64,
}

impl EndOfHeaders {
    /// The headers end on `page`, with the packet before the offset `audio_packet_offset`.
    fn new(page: &Page, audio_packet_offset: u64) -> Self {
        let is_audio = |part: &PacketPart| part.offset >= audio_packet_offset && part.size > 0;
        let has_audio = page.packets().iter().any(is_audio);
        EndOfHeaders {
            audio_page_offset: if has_audio { page.offset } else { page.end() },
            audio_packet_offset,
        }
    }
}

/// The header packets of a stream, and where they end.
fn read_headers(
    reader: &mut PeekReader,
    stream: &AudioStream,
) -> io::Result<(Vec<Vec<u8>>, EndOfHeaders)> {
    let mut packets = Vec::new();
    let mut packet = Vec::new();
    let mut kept = 0;
    let mut expected = if stream.format == Format::OggOpus {
        2
    } else {
        3
    };
    let mut page = stream.first_page.clone();
    for _ in 0..MAX_SEARCHED_PAGES {
        for part in page.packets() {
            let before = packet.len();
            let wanted = part.size.min(MAX_PACKET_SIZE.saturating_sub(before));
            append(
                reader,
                part.offset,
                wanted.min(MAX_HEADERS_SIZE - kept),
                &mut packet,
            )?;
            kept += packet.len() - before;
            if !part.is_last {
                continue;
            }
            if packets.is_empty() && stream.format == Format::OggFlac {
                // The number of header packets after the first; 0 if unknown. A comment block follows in any case.
                expected = 1 + usize::from(be16(&packet, 7).unwrap_or(0).max(1));
            }
            packets.push(std::mem::take(&mut packet));
            if packets.len() == expected {
                let end = EndOfHeaders::new(&page, part.offset + part.size as u64);
                return Ok((packets, end));
            }
        }
        let Some(next) = next_page_of_stream(reader, page.end(), stream.first_page.serial)? else {
            break;
        };
        page = next;
    }
    let end = EndOfHeaders::new(&page, page.end());
    Ok((packets, end))
}

/// Appends `size` bytes at `offset`, or fewer at the end of the file.
fn append(reader: &mut PeekReader, offset: u64, size: usize, into: &mut Vec<u8>) -> io::Result<()> {
    let mut appended = 0;
    while appended < size {
        let bytes = reader.peek(offset + appended as u64, size - appended)?;
        if bytes.is_empty() {
            break;
        }
        into.extend_from_slice(bytes);
        appended += bytes.len();
    }
    Ok(())
}

/// The first page of the stream `serial` at or behind `offset`, within [`MAX_SEARCHED_PAGES`] pages.
fn next_page_of_stream(
    reader: &mut PeekReader,
    offset: u64,
    serial: u32,
) -> io::Result<Option<Page>> {
    let mut at = offset;
    for _ in 0..MAX_SEARCHED_PAGES {
        match read_page(reader, at)? {
            Some(page) if page.serial == serial => return Ok(Some(page)),
            Some(page) => at = page.end(),
            None => break,
        }
    }
    Ok(None)
}

/// The position at which the first audio packet begins, and the first position that a page states. `None` if no page with
/// sound follows.
fn find_start_granules(
    reader: &mut PeekReader,
    end_of_headers: &EndOfHeaders,
    serial: u32,
    codec: &Codec,
) -> io::Result<Option<(u64, u64)>> {
    let mut at = end_of_headers.audio_page_offset;
    let (mut samples, mut previous_block) = (0, None);
    let mut packet_start = None;
    for _ in 0..MAX_SEARCHED_PAGES {
        let Some(page) = next_page_of_stream(reader, at, serial)? else {
            break;
        };
        let parts = page.packets().into_iter();
        for part in parts.filter(|part| part.offset >= end_of_headers.audio_packet_offset) {
            if !part.is_continued {
                packet_start = Some(part.offset);
            }
            let Some(start) = packet_start.filter(|_| part.is_last) else {
                continue;
            };
            packet_start = None;
            let head = reader.peek(start, 16)?;
            match codec {
                Codec::Flac(info) => {
                    let position = flac::parse_frame_position(head, *info);
                    samples += position.map_or(0, |frame| frame.end_sample - frame.first_sample);
                }
                Codec::Opus { .. } => samples += opus_samples(head),
                Codec::Vorbis { block_sizes, .. } => {
                    let block = head.first().and_then(|byte| block_sizes.of_packet(*byte));
                    if let (Some(previous), Some(block)) = (previous_block, block) {
                        samples += (previous + block) / 4;
                    }
                    previous_block = block.or(previous_block);
                }
            }
        }
        if let Some(granule) = page.granule.filter(|_| samples > 0) {
            // The position is less than the number of samples if the encoder cut off the end of the last packet.
            return Ok(Some((granule.saturating_sub(samples), granule)));
        }
        at = page.end();
    }
    Ok(None)
}

/// The number of samples in an Opus packet (RFC 6716, 3.1).
fn opus_samples(packet: &[u8]) -> u64 {
    let &[toc, ..] = packet else { return 0 };
    let config = u64::from(toc >> 3);
    let samples_per_frame = match config {
        0..12 => [480, 960, 1_920, 2_880][(config % 4) as usize],
        12..16 => 480 << (config % 2),
        _ => 120 << (config % 4),
    };
    let frame_count = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => packet.get(1).map_or(0, |count| u64::from(count & 0x3f)),
    };
    samples_per_frame * frame_count
}

pub(super) fn measure(reader: &mut PeekReader, start: u64) -> Result<Option<Length>, LengthError> {
    let size = reader.size();
    let Some(link) = read_link(reader, start)? else {
        return Ok(None);
    };
    let last_granule = if link.is_multiplexed {
        None
    } else {
        find_last_granule(reader, &link)?
    };
    if let Some(end) = last_granule {
        let duration_sec = link.duration_sec(end);
        let audio_bytes = size - link.audio_offset;
        return Ok(Length::new(duration_sec, LengthSource::Header, audio_bytes));
    }
    let (duration_sec, audio_bytes) = measure_links(reader, link)?;
    Ok(Length::new(
        duration_sec,
        LengthSource::Counted,
        audio_bytes,
    ))
}

/// The position at the end of the file, if the file seems to be one unchained stream and is not too short to tell.
fn find_last_granule(reader: &mut PeekReader, link: &Link) -> io::Result<Option<u64>> {
    let size = reader.size();
    let Some(last) = find_last_page(reader, link.audio_offset)? else {
        return Ok(None);
    };
    let is_plausible = |page: &Page| {
        page.serial == link.serial
            && page
                .granule
                .is_none_or(|granule| granule >= link.first_granule)
    };
    // In a short file the deviation says little, and counting its pages takes little time.
    if !is_plausible(&last) || last.sequence < MIN_PAGES_TO_COMPARE {
        return Ok(None);
    }
    let middle_offset = link.audio_offset + (size - link.audio_offset) / 2;
    let Some(middle) = next_page(reader, middle_offset)? else {
        return Ok(None);
    };
    let sequence_fraction = |page: &Page| f64::from(page.sequence) / f64::from(last.sequence);
    let offset_fraction = (middle.offset as f64) / (last.end() as f64);
    let is_in_order = middle
        .granule
        .is_none_or(|granule| last.granule.is_some_and(|end| granule <= end));
    let is_one_stream = is_plausible(&middle)
        && is_in_order
        && (sequence_fraction(&middle) - offset_fraction).abs() <= MAX_MIDDLE_DEVIATION;
    Ok(last.granule.filter(|_| is_one_stream))
}

/// The last page of the file, if it is near the end.
fn find_last_page(reader: &mut PeekReader, start: u64) -> io::Result<Option<Page>> {
    let size = reader.size();
    for tail_size in TAIL_SIZES {
        let tail_start = size.saturating_sub(tail_size as u64).max(start);
        let mut tail = Vec::new();
        append(reader, tail_start, tail_size, &mut tail)?;
        let last = last_page(&tail, tail_start);
        if last.is_some() || tail_start == start {
            return Ok(last);
        }
    }
    Ok(None)
}

/// Reads all pages. Returns the duration of all links in seconds, and the number of bytes in their audio.
fn measure_links(reader: &mut PeekReader, first: Link) -> io::Result<(f64, u64)> {
    let (mut duration_sec, mut audio_bytes) = (0.0, 0);
    let mut at = first.audio_offset;
    let mut link = Some(first);
    let mut last_granule = None;
    while let Some(page) = next_page(reader, at)? {
        at = page.end();
        if page.begins_stream() {
            if let (Some(link), Some(end)) = (&link, last_granule.take()) {
                duration_sec += link.duration_sec(end);
            }
            link = read_link(reader, page.offset)?;
            if let Some(link) = &link {
                at = at.max(link.audio_offset);
            }
            continue;
        }
        if link.as_ref().is_some_and(|link| link.serial == page.serial) {
            audio_bytes += page.size();
            last_granule = page.granule.or(last_granule);
        }
    }
    if let (Some(link), Some(end)) = (&link, last_granule) {
        duration_sec += link.duration_sec(end);
    }
    Ok((duration_sec, audio_bytes))
}

/// The headers of the audio stream as a file of their own, for a tag parser that reads neither multiplexed Ogg streams nor FLAC
/// in Ogg. `None` if the parser can read the file at `start` directly, or if the headers cannot be read.
pub(super) fn headers_for_tag_parser(reader: &mut PeekReader, start: u64) -> Option<Vec<u8>> {
    let stream = find_audio_stream(reader, start).ok()?;
    if stream.format == Format::OggFlac {
        return flac_headers(reader, &stream);
    }
    if !stream.is_multiplexed {
        return None;
    }
    let mut bytes = Vec::new();
    let mut page = Some(stream.first_page);
    // The first page behind the headers is the first with a position.
    while let Some(current) = page.filter(|_| bytes.len() < MAX_HEADERS_SIZE) {
        append(reader, current.offset, current.size() as usize, &mut bytes).ok()?;
        if current.granule.is_some_and(|granule| granule > 0) {
            break;
        }
        page = next_page_of_stream(reader, current.end(), current.serial).ok()?;
    }
    Some(bytes)
}

/// The headers of a FLAC stream in Ogg as the beginning of a FLAC file.
fn flac_headers(reader: &mut PeekReader, stream: &AudioStream) -> Option<Vec<u8>> {
    let (packets, _) = read_headers(reader, stream).ok()?;
    let (first, blocks) = packets.split_first()?;
    let mut bytes = first.get(9..)?.to_vec();
    let mut last_block_offset = 4;
    for block in blocks.iter().filter(|block| !block.is_empty()) {
        last_block_offset = bytes.len();
        bytes.extend_from_slice(block);
    }
    // Moves the flag that marks the last block from the first block, which follows the signature of four bytes, to the last.
    *bytes.get_mut(4)? &= 0x7f;
    *bytes.get_mut(last_block_offset)? |= 0x80;
    Some(bytes)
}
