//! The length of AAC in an ADTS stream. No header states it, so the frames are counted.
//!
//! Source: ISO/IEC 13818-7, 6.2.

use super::frame_walk::{Frame, count_frames};
use super::{Length, LengthError, LengthSource};
use crate::library::padding::{Padding, round_to_micros};
use crate::library::peek_reader::PeekReader;

/// The sampling frequencies by their index, in Hz.
const SAMPLE_RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];
/// The number of samples in a block. HE-AAC plays twice as many samples at twice the declared rate.
const SAMPLES_PER_BLOCK: u64 = 1_024;
/// A longer first frame, which streams of less than 22 kHz have, counts as music: other programs play it, and would seem to play
/// the file longer than the index states.
const MAX_LEAD_SEC: f64 = 0.047;
/// The size of a header without checksum, in bytes.
const HEADER_SIZE: u64 = 7;

pub(super) fn parse_frame(bytes: &[u8]) -> Option<Frame> {
    let &[first, second, third, fourth, fifth, sixth, seventh, ..] = bytes else {
        return None;
    };
    // Twelve set bits, and a layer of 0.
    if first != 0xff || second & 0xf6 != 0xf0 {
        return None;
    }
    let sample_rate = *SAMPLE_RATES.get(usize::from(third >> 2 & 0xf))?;
    let size = u64::from(fourth & 3) << 11 | u64::from(fifth) << 3 | u64::from(sixth >> 5);
    (size > HEADER_SIZE).then(|| Frame {
        size,
        samples: (u64::from(seventh & 3) + 1) * SAMPLES_PER_BLOCK,
        sample_rate,
        fixed_bits: u32::from(second & 0xf8) << 8 | u32::from(third & 0x3c),
    })
}

pub(super) fn measure(
    reader: &mut PeekReader,
    start: u64,
    end: u64,
) -> Result<Option<Length>, LengthError> {
    let first = parse_frame(reader.peek(start, HEADER_SIZE as usize)?);
    let total = count_frames(reader, start, end, parse_frame)?;
    let whole = Length::new(total.duration_sec(), LengthSource::Counted, total.bytes);
    Ok(whole.map(|whole| match first {
        Some(first) => without_first_frame(whole, first),
        None => whole,
    }))
}

/// The first frame is silence before the music: encoders add at least one. Firefox 153 leaves the frame out, and the other
/// browsers play it.
fn without_first_frame(whole: Length, first: Frame) -> Length {
    let lead_sec = first.samples as f64 / f64::from(first.sample_rate);
    let music_sec = whole.duration_sec - lead_sec;
    if lead_sec > MAX_LEAD_SEC || music_sec <= 0.0 {
        return whole;
    }
    Length {
        duration_sec: round_to_micros(music_sec),
        padding: Some(Padding {
            lead_sec: round_to_micros(lead_sec),
            whole_sec: whole.duration_sec,
        }),
        ..whole
    }
}
