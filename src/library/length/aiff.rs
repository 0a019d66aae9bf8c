//! The length of an AIFF or AIFC file. The stated number of samples is used if the file holds as many. If the number is
//! missing or the sizes are wrong, the samples reach to the end of the file.

use super::bytes::{be16, be32};
use super::{Length, LengthError, LengthSource};
use crate::library::peek_reader::PeekReader;

/// The most chunks that are read. A file with more is malformed.
const MAX_CHUNKS: usize = 10_000;
/// The size in bytes of a packet of one channel in the codec `ima4`.
const IMA4_PACKET_SIZE: u64 = 34;
/// The number of samples in such a packet.
const IMA4_PACKET_SAMPLES: u64 = 64;

/// The content of the chunk `COMM`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Common {
    channels: u64,
    /// The number of samples on each channel, or of packets.
    frames: u64,
    bits_per_sample: u64,
    /// In Hz.
    sample_rate: f64,
    codec: [u8; 4],
}

impl Common {
    fn parse(chunk: &[u8]) -> Option<Self> {
        let common = Common {
            channels: be16(chunk, 0)?.into(),
            frames: be32(chunk, 2)?.into(),
            bits_per_sample: be16(chunk, 6)?.into(),
            sample_rate: parse_extended(chunk.get(8..18)?)?,
            codec: chunk
                .get(18..22)
                .map_or(*b"NONE", |codec| codec.try_into().unwrap_or(*b"NONE")),
        };
        (common.channels > 0 && common.sample_rate > 0.0).then_some(common)
    }

    /// The size of a frame in bytes, and the number of samples in it. `None` for a codec whose frames are not known.
    fn frame_size_and_samples(&self) -> Option<(u64, u64)> {
        let bytes_per_sample = match &self.codec {
            b"NONE" | b"twos" | b"sowt" | b"raw " | b"in24" | b"in32" | b"42ni" | b"23ni" => {
                self.bits_per_sample.div_ceil(8)
            }
            b"fl32" | b"FL32" => 4,
            b"fl64" | b"FL64" => 8,
            b"ulaw" | b"ULAW" | b"alaw" | b"ALAW" => 1,
            b"ima4" => return Some((IMA4_PACKET_SIZE * self.channels, IMA4_PACKET_SAMPLES)),
            _ => return None,
        };
        (bytes_per_sample > 0).then_some((bytes_per_sample * self.channels, 1))
    }
}

/// Parses a floating point number of 80 bits. `None` if it is negative or not finite.
fn parse_extended(bytes: &[u8]) -> Option<f64> {
    let exponent = be16(bytes, 0).filter(|exponent| *exponent < 0x7fff)?;
    let mantissa = f64::from(be32(bytes, 2)?) * 2_f64.powi(32) + f64::from(be32(bytes, 6)?);
    Some(mantissa * 2_f64.powi(i32::from(exponent) - 16_383 - 63)).filter(|value| value.is_finite())
}

pub(super) fn measure(reader: &mut PeekReader) -> Result<Option<Length>, LengthError> {
    let file_size = reader.size();
    let (mut common, mut sound) = (None, None);
    let mut at = 12;
    for _ in 0..MAX_CHUNKS {
        let chunk = reader.peek(at, 8 + 22)?;
        let (Some(kind), Some(size)) = (chunk.get(..4), be32(chunk, 4)) else {
            break;
        };
        let size = u64::from(size);
        match kind {
            b"COMM" => {
                let content = &chunk[8..];
                let size = usize::try_from(size).unwrap_or(usize::MAX);
                common = Common::parse(&content[..content.len().min(size)]);
            }
            // Offset and block size precede the samples.
            b"SSND" if sound.is_none() => sound = Some((at + 16, size.saturating_sub(8))),
            _ => {}
        }
        if common.is_some() && sound.is_some() {
            break;
        }
        at += 8 + size + (size & 1);
    }
    let (Some(common), Some((start, size))) = (common, sound) else {
        return Ok(None);
    };
    let available = file_size.saturating_sub(start);
    let bytes = if (1..=available).contains(&size) {
        size
    } else {
        available
    };
    let Some((frame_size, frame_samples)) = common.frame_size_and_samples() else {
        let duration_sec = common.frames as f64 / common.sample_rate;
        return Ok(Length::new(duration_sec, LengthSource::Header, bytes));
    };
    let declared = common.frames;
    let counted = bytes / frame_size;
    let (frames, source) = if declared == 0 || declared > counted {
        (counted, LengthSource::Counted)
    } else {
        (declared, LengthSource::Header)
    };
    let duration_sec = (frames * frame_samples) as f64 / common.sample_rate;
    Ok(Length::new(duration_sec, source, bytes))
}
