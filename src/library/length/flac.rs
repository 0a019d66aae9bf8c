//! The length of a FLAC file. Each frame states its position in samples and has checksums, so the length follows from the last
//! frame. The last frame confirms the number of samples in the header, and replaces the number if the header was never
//! completed or if the file is truncated.
//!
//! Source: RFC 9639.

use std::io;

use crc::{CRC_8_SMBUS, CRC_16_UMTS, Crc, Table};

use super::bytes::{be16, be32};
use super::{Length, LengthError, LengthSource, boundaries};
use crate::library::peek_reader::{MAX_PEEK, PeekReader};

/// The last frame is searched in this many bytes at the end of the file, one size after the other. A frame with two channels
/// of CD quality is smaller than the first size, one with two channels is smaller than the second, and the largest size holds two
/// frames of any file.
const WINDOW_SIZES: [u64; 4] = [16 << 10, 48 << 10, 512 << 10, 4 << 20];
/// The most positions at which a frame is tried. Bounds the time for a file that consists of frame headers.
const MAX_CANDIDATES: usize = 32;
/// The most bytes of a frame header.
const MAX_HEADER_SIZE: usize = 16;
/// The checksum at the end of a frame header.
static HEADER_CRC: Crc<u8> = Crc::<u8>::new(&CRC_8_SMBUS);
/// The checksum at the end of a frame. Of a frame with its checksum, it is 0.
static FRAME_CRC: Crc<u16, Table<16>> = Crc::<u16, Table<16>>::new(&CRC_16_UMTS);
/// The largest difference between the header and the last frame at which the length of the header is used, in seconds.
const MAX_DIFFERENCE_SEC: f64 = 0.025;

/// The properties of the stream, from its STREAMINFO block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StreamInfo {
    /// The number of samples in each frame but the last, unless the size varies.
    block_size: u64,
    /// In Hz.
    pub(super) sample_rate: u32,
    /// 0 if unknown.
    samples: u64,
}

/// Parses the content of a STREAMINFO block.
pub(super) fn parse_stream_info(block: &[u8]) -> Option<StreamInfo> {
    let packed = be32(block, 10)?;
    let info = StreamInfo {
        block_size: be16(block, 2)?.into(),
        sample_rate: packed >> 12,
        samples: u64::from(*block.get(13)? & 0xf) << 32 | u64::from(be32(block, 14)?),
    };
    (info.sample_rate > 0 && info.block_size > 0).then_some(info)
}

/// The position of a frame in the music, in samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FramePosition {
    pub(super) first_sample: u64,
    pub(super) end_sample: u64,
}

/// Parses the header of a frame and verifies its checksum.
pub(super) fn parse_frame_position(bytes: &[u8], info: StreamInfo) -> Option<FramePosition> {
    let &[first, second, third, fourth, fifth, ..] = bytes else {
        return None;
    };
    if first != 0xff || second & 0xfe != 0xf8 {
        return None;
    }
    let (size_code, rate_code) = (third >> 4, third & 0xf);
    if size_code == 0 || rate_code == 0xf || fourth >> 4 > 10 || fourth & 1 != 0 {
        return None;
    }
    // The number is coded like a character in UTF-8, with up to seven bytes.
    let number_size = match fifth.leading_ones() {
        0 => 1,
        size @ 2..=7 => size as usize,
        _ => return None,
    };
    let mut number =
        u64::from(fifth) & (0x7f_u64 >> if number_size == 1 { 0 } else { number_size });
    for byte in bytes.get(5..4 + number_size)? {
        if byte >> 6 != 2 {
            return None;
        }
        number = number << 6 | u64::from(byte & 0x3f);
    }
    let mut at = 4 + number_size;
    let block_size = match size_code {
        1 => 192,
        2..=5 => 576 << (size_code - 2),
        6 => {
            at += 1;
            u64::from(*bytes.get(at - 1)?) + 1
        }
        7 => {
            at += 2;
            u64::from(be16(bytes, at - 2)?) + 1
        }
        _ => 256 << (size_code - 8),
    };
    at += match rate_code {
        12 => 1,
        13 | 14 => 2,
        _ => 0,
    };
    if HEADER_CRC.checksum(bytes.get(..at)?) != *bytes.get(at)? {
        return None;
    }
    let has_variable_size = second & 1 != 0;
    let first_sample = if has_variable_size {
        number
    } else {
        number.checked_mul(info.block_size)?
    };
    Some(FramePosition {
        first_sample,
        end_sample: first_sample + block_size,
    })
}

pub(super) fn measure(reader: &mut PeekReader, start: u64) -> Result<Option<Length>, LengthError> {
    let Some((info, first_frame)) = read_metadata(reader, start)? else {
        return Ok(None);
    };
    let end = boundaries::audio_end(reader, first_frame)?;
    let first = parse_frame_position(reader.peek(first_frame, MAX_HEADER_SIZE)?, info);
    let first_sample = first.map_or(0, |first| first.first_sample);
    let Some(end_sample) = find_end_sample(reader, first_frame, end, info)? else {
        return Ok(None);
    };
    let seconds = |samples: u64| samples as f64 / f64::from(info.sample_rate);
    let counted = end_sample.saturating_sub(first_sample);
    let is_confirmed = [counted, end_sample]
        .iter()
        .any(|samples| seconds(samples.abs_diff(info.samples)) <= MAX_DIFFERENCE_SEC);
    let (samples, source) = if info.samples > 0 && is_confirmed {
        (info.samples, LengthSource::Header)
    } else {
        (counted, LengthSource::Counted)
    };
    Ok(Length::new(seconds(samples), source, end - first_frame))
}

/// Reads the metadata blocks of the FLAC stream at `start`. Returns the properties, and the offset of the first frame. `None`
/// if the file has no frame.
fn read_metadata(reader: &mut PeekReader, start: u64) -> io::Result<Option<(StreamInfo, u64)>> {
    let mut at = start + 4;
    let Some(info) = parse_stream_info(reader.peek(at + 4, 18)?) else {
        return Ok(None);
    };
    loop {
        let Some([kind, size @ ..]) = reader.array::<4>(at)? else {
            return Ok(None);
        };
        at += 4 + size
            .iter()
            .fold(0, |size, byte| size << 8 | u64::from(*byte));
        if kind & 0x80 != 0 {
            return Ok((at < reader.size()).then_some((info, at)));
        }
    }
}

/// The end of the last whole frame between the offsets `start` and `end`, in samples. `None` if there is no frame.
fn find_end_sample(
    reader: &mut PeekReader,
    start: u64,
    end: u64,
    info: StreamInfo,
) -> io::Result<Option<u64>> {
    let mut window = Vec::new();
    for size in WINDOW_SIZES {
        let window_start = end.saturating_sub(size).max(start);
        read_window(reader, &mut window, window_start, end)?;
        let found = last_frame_end(&window, info, true);
        if found.is_some() || window_start == start {
            return Ok(found.or_else(|| last_frame_end(&window, info, false)));
        }
    }
    // The end of the file holds something else, such as the hole of an incomplete download.
    let (size, overlap) = (WINDOW_SIZES[3], WINDOW_SIZES[2]);
    let mut window_end = end.saturating_sub(size - overlap);
    while window_end > start {
        let window_start = window_end.saturating_sub(size).max(start);
        read_window(reader, &mut window, window_start, window_end)?;
        let found = last_frame_end(&window, info, false);
        if found.is_some() || window_start == start {
            return Ok(found);
        }
        window_end = window_start + overlap;
    }
    Ok(None)
}

/// Reads the bytes from `start` to `end`, which are at most the largest of [`WINDOW_SIZES`].
fn read_window(
    reader: &mut PeekReader,
    window: &mut Vec<u8>,
    start: u64,
    end: u64,
) -> io::Result<()> {
    window.clear();
    while start + (window.len() as u64) < end {
        let at = start + window.len() as u64;
        let wanted = usize::try_from(end - at).unwrap_or(MAX_PEEK);
        let bytes = reader.peek(at, wanted)?;
        if bytes.is_empty() {
            break;
        }
        window.extend_from_slice(bytes);
    }
    Ok(())
}

/// The end of the last whole frame in `window`, in samples. With `ends_with_frame`, only a frame that ends where the window ends
/// counts; otherwise a frame that ends where another begins counts, too.
fn last_frame_end(window: &[u8], info: StreamInfo, ends_with_frame: bool) -> Option<u64> {
    let positions = memchr::memrchr_iter(0xff, window).filter_map(|at| {
        let header = &window[at..window.len().min(at + MAX_HEADER_SIZE)];
        parse_frame_position(header, info).map(|position| (at, position))
    });
    let mut next: Option<(usize, FramePosition)> = None;
    for (at, frame) in positions.take(MAX_CANDIDATES) {
        let ends_with_window = FRAME_CRC.checksum(&window[at..]) == 0;
        let is_followed = next.is_some_and(|(next_at, next)| {
            next.first_sample == frame.end_sample && FRAME_CRC.checksum(&window[at..next_at]) == 0
        });
        // The frame with which the stream ends, according to the header, may be followed by bytes that are no frame.
        let is_last = || frame.end_sample == info.samples && contains_frame(&window[at..]);
        if ends_with_window || !ends_with_frame && (is_followed || next.is_none() && is_last()) {
            return Some(frame.end_sample);
        }
        next = Some((at, frame));
    }
    None
}

/// Whether the frame at the beginning of `bytes` ends within them: its checksum is correct at one of them. A byte in 65,536
/// matches by chance.
fn contains_frame(bytes: &[u8]) -> bool {
    let mut crc = FRAME_CRC.digest();
    bytes.iter().enumerate().any(|(at, byte)| {
        crc.update(&[*byte]);
        at > MAX_HEADER_SIZE && crc.clone().finalize() == 0
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INFO: StreamInfo = StreamInfo {
        block_size: 4_096,
        sample_rate: 44_100,
        samples: 0,
    };

    fn with_checksum(mut frame: Vec<u8>) -> Vec<u8> {
        let sum = FRAME_CRC.checksum(&frame);
        frame.extend(sum.to_be_bytes());
        frame
    }

    /// A frame of 4,096 samples with this number and `size` bytes of sound.
    fn frame(number: u8, size: usize) -> Vec<u8> {
        let mut frame = vec![0xff, 0xf8, 0xc9, 0x18, number];
        frame.push(HEADER_CRC.checksum(&frame));
        frame.resize(frame.len() + size, 0x55);
        with_checksum(frame)
    }

    #[test]
    fn parses_positions_of_fixed_and_variable_blocks() {
        for (header, first_sample, size) in [
            (&[0xff, 0xf8, 0xc9, 0x18, 3][..], 3 * 4_096, 4_096),
            // Number 0x1234 in three bytes, 0x100 samples in the last frame.
            (
                &[0xff, 0xf8, 0x69, 0x18, 0xe1, 0x88, 0xb4, 0xff],
                0x1234 * 4_096,
                0x100,
            ),
            (
                &[0xff, 0xf9, 0x79, 0x18, 0xe1, 0x88, 0xb4, 1, 0],
                0x1234,
                0x101,
            ),
        ] {
            let mut header = header.to_vec();
            header.push(HEADER_CRC.checksum(&header));
            let position = parse_frame_position(&header, INFO).unwrap();
            let expected = FramePosition {
                first_sample,
                end_sample: first_sample + size,
            };
            assert_eq!(position, expected);
        }
    }

    #[test]
    fn finds_the_last_whole_frame() {
        let two = [frame(0, 30), frame(1, 40)].concat();
        assert_eq!(last_frame_end(&two, INFO, true), Some(2 * 4_096));
        let junk_behind = [&two[..], b"junk"].concat();
        assert_eq!(last_frame_end(&junk_behind, INFO, true), None);
        let truncated = &[&two[..], &frame(2, 50)[..20]].concat();
        assert_eq!(last_frame_end(truncated, INFO, false), Some(2 * 4_096));
        assert_eq!(last_frame_end(&[0xff; 1_000], INFO, false), None);
        assert_eq!(last_frame_end(&junk_behind, INFO, false), Some(4_096));
        let complete = StreamInfo {
            samples: 2 * 4_096,
            ..INFO
        };
        assert_eq!(
            last_frame_end(&junk_behind, complete, false),
            Some(2 * 4_096)
        );
    }

    proptest! {
        #[test]
        fn parses_any_bytes_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            let bytes = [&[0xff, 0xf8][..], &bytes].concat();
            if let Some(position) = parse_frame_position(&bytes, INFO) {
                prop_assert!(position.first_sample < position.end_sample);
            }
        }
    }
}
