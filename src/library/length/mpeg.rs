//! The length of MPEG audio (MP3, MP2, MP1). The first frame may hold a Xing, Info or VBRI tag with the number of frames and
//! bytes, which are used if the number of bytes agrees with the file. Otherwise the frames are counted.

use super::bytes::{be16, be32};
use super::frame_walk::{Frame, count_frames};
use super::{Length, LengthError, LengthSource};
use crate::library::padding::{self, InfoTag};
use crate::library::peek_reader::PeekReader;

/// The most bytes of the first frame that are read. The longest frame has fewer.
const MAX_FIRST_FRAME_SIZE: usize = 4 << 10;
/// The largest difference between the declared and the actual size of the audio, as a playing time in seconds. Covers the last
/// bytes of a tag that is not recognised.
const MAX_SIZE_DIFFERENCE_SEC: f64 = 0.025;
/// The offset in the first frame at which a VBRI tag begins.
const VBRI_OFFSET: usize = 36;

/// The bit rates in kbit/s by their index: of MPEG 1 layer I, II and III, of MPEG 2 layer I, and of MPEG 2 layers II and III.
const BIT_RATES: [[u16; 15]; 5] = [
    [
        0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448,
    ],
    [
        0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384,
    ],
    [
        0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320,
    ],
    [
        0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256,
    ],
    [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
];

/// The header of an MPEG frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::library) struct MpegFrame {
    /// In Hz.
    pub(in crate::library) sample_rate: u32,
    pub(in crate::library) samples: u64,
    /// The size in bytes, with the header.
    pub(in crate::library) size: u64,
    /// The size in bytes of the side information between the header and the main data of layer III. An Info tag begins where
    /// the main data would begin.
    pub(in crate::library) side_info_size: usize,
    layer: u8,
}

/// Parses the 4-byte header of a frame. `None` if a field has a reserved value, or for the free format, which browsers do not
/// play.
pub(in crate::library) fn parse_frame_header(frame: &[u8]) -> Option<MpegFrame> {
    let &[first, second, third, fourth, ..] = frame else {
        return None;
    };
    if first != 0xff || second & 0xe0 != 0xe0 {
        return None;
    }
    let version = second >> 3 & 3;
    let layer = 4 - (second >> 1 & 3);
    // MPEG 2 has half of the sample rates of MPEG 1, and MPEG 2.5 a quarter.
    let rate_shift = match version {
        3 => 0,
        2 => 1,
        0 => 2,
        _ => return None,
    };
    let (is_mpeg_1, is_mono) = (version == 3, fourth >> 6 == 3);
    let bit_rates = match (is_mpeg_1, layer) {
        (true, 1..=3) => &BIT_RATES[usize::from(layer) - 1],
        (false, 1) => &BIT_RATES[3],
        (false, 2 | 3) => &BIT_RATES[4],
        _ => return None,
    };
    let bit_rate = u64::from(*bit_rates.get(usize::from(third >> 4))?) * 1_000;
    let mpeg_1_rate: &u32 = [44_100, 48_000, 32_000].get(usize::from(third >> 2 & 3))?;
    let sample_rate = mpeg_1_rate >> rate_shift;
    let samples = match (layer, is_mpeg_1) {
        (1, _) => 384,
        (3, false) => 576,
        _ => 1_152,
    };
    // A slot is the unit of the frame size.
    let slot_size = if layer == 1 { 4 } else { 1 };
    let padding_slots = u64::from(third >> 1 & 1);
    let slots = samples * bit_rate / (8 * slot_size * u64::from(sample_rate)) + padding_slots;
    (bit_rate > 0).then(|| MpegFrame {
        sample_rate,
        samples,
        size: slots * slot_size,
        side_info_size: match (is_mpeg_1, is_mono) {
            (true, false) => 32,
            (true, true) | (false, false) => 17,
            (false, true) => 9,
        },
        layer,
    })
}

pub(super) fn parse_frame(bytes: &[u8]) -> Option<Frame> {
    let frame = parse_frame_header(bytes)?;
    let (second, third) = (bytes.get(1)?, bytes.get(2)?);
    Some(Frame {
        size: frame.size,
        samples: frame.samples,
        sample_rate: frame.sample_rate,
        // Without the bit that states whether there is a checksum.
        fixed_bits: u32::from(second & 0xfe) << 8 | u32::from(third & 0x0c),
    })
}

/// The number of frames and bytes according to the first frame, which itself is not counted as a frame.
#[derive(Debug, Clone, Copy)]
struct Declared {
    frames: u64,
    bytes: u64,
    /// The Xing or Info tag, which may also declare the padding. `None` for a VBRI tag.
    info: Option<InfoTag>,
}

/// Parses the tag in the first frame. `None` if the first frame holds audio instead.
fn parse_declaration(bytes: &[u8], frame: MpegFrame) -> Option<Declared> {
    if frame.layer != 3 {
        return None;
    }
    if let Some(info) = padding::parse_info_tag(bytes, frame) {
        return Some(Declared {
            frames: info.frames.unwrap_or(0).into(),
            bytes: info.bytes.unwrap_or(0).into(),
            info: Some(info),
        });
    }
    let vbri = bytes.get(VBRI_OFFSET..)?.strip_prefix(b"VBRI")?;
    be16(vbri, 0)?;
    Some(Declared {
        bytes: be32(vbri, 6)?.into(),
        frames: be32(vbri, 10)?.into(),
        info: None,
    })
}

/// Measures the frames from `start`, where the first frame begins, up to `end`.
pub(super) fn measure(
    reader: &mut PeekReader,
    start: u64,
    end: u64,
) -> Result<Option<Length>, LengthError> {
    let bytes = reader.peek(start, MAX_FIRST_FRAME_SIZE)?;
    let Some(first) = parse_frame_header(bytes) else {
        return Ok(None);
    };
    let Some(declared) = parse_declaration(bytes, first) else {
        let total = count_frames(reader, start, end, parse_frame)?;
        return Ok(Length::new(
            total.duration_sec(),
            LengthSource::Counted,
            total.bytes,
        ));
    };
    let whole_sec = (declared.frames * first.samples) as f64 / f64::from(first.sample_rate);
    if declared.frames > 0 && agrees_with_file(declared, first, whole_sec, end - start) {
        let length = Length::new(whole_sec, LengthSource::Header, declared.bytes);
        return Ok(length.map(|length| with_padding(length, declared, first, true)));
    }
    let total = count_frames(reader, start + first.size, end, parse_frame)?;
    let length = Length::new(total.duration_sec(), LengthSource::Counted, total.bytes);
    let is_complete = total.frames == declared.frames;
    Ok(length.map(|length| with_padding(length, declared, first, is_complete)))
}

/// Whether the declared number of bytes agrees with the `size` of the audio. Some encoders count the bytes of the first frame
/// and some do not.
fn agrees_with_file(declared: Declared, first: MpegFrame, whole_sec: f64, size: u64) -> bool {
    let max_difference = declared.bytes as f64 / whole_sec * MAX_SIZE_DIFFERENCE_SEC;
    [declared.bytes, declared.bytes + first.size]
        .iter()
        .any(|bytes| (bytes.abs_diff(size) as f64) <= max_difference)
}

/// Subtracts the declared padding from `length`, which is the length of all frames. If the frames are not those that the
/// encoder wrote (`is_complete` is false), the silence at the end is unknown.
fn with_padding(length: Length, declared: Declared, first: MpegFrame, is_complete: bool) -> Length {
    let gapless = declared.info.and_then(|info| {
        padding::gapless_info(&info, first.sample_rate, length.duration_sec, is_complete)
    });
    gapless.map_or(length, |gapless| Length {
        duration_sec: gapless.duration_sec,
        padding: Some(gapless.padding),
        ..length
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_the_frame_size_of_every_version_and_layer() {
        for (header, size, samples, sample_rate) in [
            ([0xff, 0xfb, 0x90, 0x00], 417, 1_152, 44_100),
            ([0xff, 0xfb, 0x92, 0x00], 418, 1_152, 44_100),
            ([0xff, 0xf3, 0x48, 0xc0], 144, 576, 16_000),
            ([0xff, 0xe3, 0x18, 0xc0], 72, 576, 8_000),
            ([0xff, 0xfd, 0xa4, 0x00], 576, 1_152, 48_000),
            ([0xff, 0xf5, 0x84, 0x00], 384, 1_152, 24_000),
            ([0xff, 0xff, 0xc0, 0x00], 416, 384, 44_100),
        ] {
            let frame = parse_frame_header(&header).unwrap();
            assert_eq!(
                (frame.size, frame.samples, frame.sample_rate),
                (size, samples, sample_rate),
                "{header:02x?}"
            );
        }
        for reserved in [
            [0xff, 0xfb, 0x00, 0x00],
            [0xff, 0xfb, 0xf0, 0x00],
            [0xff, 0xfb, 0x9c, 0x00],
            [0xff, 0xeb, 0x90, 0x00],
            [0xff, 0xf9, 0x90, 0x00],
        ] {
            assert_eq!(parse_frame_header(&reserved), None, "{reserved:02x?}");
        }
    }
}
