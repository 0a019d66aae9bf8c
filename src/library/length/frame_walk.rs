//! Counts the frames of a stream in which each frame begins with a header that states the frame's size: MPEG audio and ADTS.

use std::io;

use super::boundaries::leading_tag_size;
use crate::library::peek_reader::{MAX_PEEK, PeekReader};

/// The number of bytes that a parser needs to parse a header.
const HEADER_SIZE: usize = 8;
/// The number of bytes by which a tag between two frames is recognised.
const TAG_HEADER_SIZE: usize = 32;
/// The most bytes between two frames. After more bytes without a frame, the stream counts as ended, so that a file with a
/// large hole is not searched for long.
const MAX_JUNK: u64 = 16 << 20;
/// The number of frames that must follow each other for the first of them to count as a frame.
const FRAMES_TO_CONFIRM: usize = 3;

/// A frame, according to its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    /// The size in bytes, with the header.
    pub(super) size: u64,
    pub(super) samples: u64,
    /// In Hz.
    pub(super) sample_rate: u32,
    /// The bits of the header that are equal in all frames of a stream.
    pub(super) fixed_bits: u32,
}

/// Parses the header at the beginning of the bytes.
pub(super) type FrameParser = fn(&[u8]) -> Option<Frame>;

/// The sum of all frames of a stream.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct Total {
    pub(super) frames: u64,
    pub(super) bytes: u64,
    /// The duration of the frames before the last change of the sample rate.
    earlier_sec: f64,
    samples: u64,
    sample_rate: u32,
}

impl Total {
    fn add(&mut self, frame: Frame) {
        if frame.sample_rate != self.sample_rate {
            self.earlier_sec = self.duration_sec();
            self.samples = 0;
            self.sample_rate = frame.sample_rate;
        }
        self.samples += frame.samples;
        self.frames += 1;
        self.bytes += frame.size;
    }

    pub(super) fn duration_sec(&self) -> f64 {
        if self.samples == 0 {
            self.earlier_sec
        } else {
            self.earlier_sec + self.samples as f64 / f64::from(self.sample_rate)
        }
    }
}

/// Whether a stream begins at `at`: [`FRAMES_TO_CONFIRM`] frames follow each other, or, if the frame is at `start`, where the
/// tags end, all frames up to the end of the file.
pub(super) fn is_first_frame(
    reader: &mut PeekReader,
    at: u64,
    start: u64,
    parse: FrameParser,
) -> io::Result<bool> {
    let Some(first) = parse(reader.peek(at, HEADER_SIZE)?) else {
        return Ok(false);
    };
    let mut next = at + first.size;
    for _ in 1..FRAMES_TO_CONFIRM {
        let header = reader.peek(next, HEADER_SIZE)?;
        match parse(header) {
            Some(frame) if frame.fixed_bits == first.fixed_bits => next += frame.size,
            _ => return Ok(at == start && is_end_of_frames(header)),
        }
    }
    Ok(true)
}

/// Whether the bytes behind a frame are the end of the file, or a tag.
fn is_end_of_frames(bytes: &[u8]) -> bool {
    bytes.len() < 4
        || [&b"TAG"[..], b"ID3", b"APETAGEX", b"LYRICSBE"]
            .iter()
            .any(|tag| bytes.starts_with(tag))
}

/// Counts the frames between `start` and `end`. Skips tags and other bytes between the frames. Does not count a frame that the
/// end of the file cuts off.
pub(super) fn count_frames(
    reader: &mut PeekReader,
    start: u64,
    end: u64,
    parse: FrameParser,
) -> io::Result<Total> {
    let mut total = Total::default();
    let mut at = start;
    let mut last_frame_end = start;
    // The fixed bits of the previous frame, if the previous frame ends at `at`.
    let mut previous = None;
    while at < end && at - last_frame_end < MAX_JUNK {
        let head = reader.peek(at, TAG_HEADER_SIZE)?;
        if let Some(size) = leading_tag_size(head) {
            at = at.saturating_add(size);
            (last_frame_end, previous) = (at, None);
            continue;
        }
        let frame = parse(head).filter(|frame| at + frame.size <= end);
        match frame {
            Some(frame)
                if previous == Some(frame.fixed_bits)
                    || is_confirmed(reader, at, end, frame, parse)? =>
            {
                total.add(frame);
                at += frame.size;
                (last_frame_end, previous) = (at, Some(frame.fixed_bits));
            }
            _ => {
                previous = None;
                at = next_candidate(reader, at + 1)?;
            }
        }
    }
    Ok(total)
}

/// Whether the bytes behind `frame`, which begins at `at`, are a similar frame, a tag, or the end of the audio.
fn is_confirmed(
    reader: &mut PeekReader,
    at: u64,
    end: u64,
    frame: Frame,
    parse: FrameParser,
) -> io::Result<bool> {
    let next = at + frame.size;
    let header = reader.peek(next, HEADER_SIZE)?;
    let is_similar = parse(header).is_some_and(|next| next.fixed_bits == frame.fixed_bits);
    Ok(is_similar || next == end || is_end_of_frames(header))
}

/// The first offset from `at` on at which a frame or an ID3v2 tag may begin.
fn next_candidate(reader: &mut PeekReader, at: u64) -> io::Result<u64> {
    let bytes = reader.peek(at, MAX_PEEK)?;
    let may_begin = |at: usize| match bytes[at] {
        0xff => true,
        b'I' => bytes[at..].starts_with(b"ID3"),
        _ => false,
    };
    let skipped = (0..bytes.len()).find(|at| may_begin(*at));
    // At least one byte, so that the caller proceeds even if the file has become shorter.
    Ok(at + skipped.unwrap_or(bytes.len().max(1)) as u64)
}
