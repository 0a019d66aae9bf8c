//! The length of a WAV file (RIFF, RF64 or BW64). The stated size of the sample data is used unless the size is a placeholder
//! or reaches beyond the end of the file: then the samples reach to the end of the file, as in a recording that was written to
//! a pipe or interrupted.

use super::bytes::{le16, le32, le64};
use super::frame_walk::count_frames;
use super::{Length, LengthError, LengthSource, mpeg};
use crate::library::peek_reader::PeekReader;

/// The most chunks that are read before the sample data. A file with more is malformed.
const MAX_CHUNKS: usize = 10_000;
/// The most bytes of a format chunk that are read.
const FORMAT_SIZE: usize = 40;
/// The format tag "extensible": the actual tag follows later in the chunk.
const EXTENSIBLE: u16 = 0xfffe;

/// The content of a format chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct WavFormat {
    tag: u16,
    channels: u64,
    /// In Hz.
    sample_rate: u32,
    bytes_per_sec: u32,
    /// The size in bytes of a block: one sample on each channel, or a packet of a codec.
    block_size: u64,
    bits_per_sample: u64,
    /// The number of samples in a packet; 0 if the chunk does not declare the number.
    samples_per_block: u64,
}

impl WavFormat {
    fn parse(chunk: &[u8]) -> Option<Self> {
        let tag = le16(chunk, 0)?;
        Some(WavFormat {
            tag: if tag == EXTENSIBLE {
                le16(chunk, 24)?
            } else {
                tag
            },
            channels: le16(chunk, 2)?.into(),
            sample_rate: le32(chunk, 4)?,
            bytes_per_sec: le32(chunk, 8)?,
            block_size: le16(chunk, 12)?.into(),
            bits_per_sample: le16(chunk, 14)?.into(),
            samples_per_block: le16(chunk, 18).unwrap_or(0).into(),
        })
    }

    /// The number of samples on each channel in `bytes` bytes of data. `None` for a codec whose packets are not known.
    fn samples(&self, bytes: u64) -> Option<u64> {
        let in_blocks = |per_block: u64| Some(bytes.checked_div(self.block_size)? * per_block);
        match self.tag {
            // PCM, floating point, A-law, µ-law.
            1 | 3 | 6 | 7 => {
                let size = self.channels * self.bits_per_sample.div_ceil(8);
                bytes.checked_div(if size > 0 { size } else { self.block_size })
            }
            // ADPCM of Microsoft and of IMA.
            2 => in_blocks(match self.samples_per_block {
                0 => {
                    self.block_size.saturating_sub(7 * self.channels) * 2 / self.channels.max(1) + 2
                }
                samples => samples,
            }),
            0x11 => in_blocks(match self.samples_per_block {
                0 => {
                    let header_size = 4 * self.channels;
                    self.block_size.saturating_sub(header_size) * 8 / header_size.max(1) + 1
                }
                samples => samples,
            }),
            _ => None,
        }
    }

    /// Whether the data consist of MPEG frames.
    fn is_mpeg(&self) -> bool {
        matches!(self.tag, 0x50 | 0x55)
    }
}

/// What precedes the sample data.
#[derive(Default)]
struct Header {
    format: Option<WavFormat>,
    /// The number of samples according to the chunk `fact`.
    samples: Option<u32>,
    /// The size of the data according to the chunk `ds64` of RF64.
    data_size: Option<u64>,
}

/// The sample data, from offset `start` up to `end`.
struct Data {
    start: u64,
    end: u64,
    source: LengthSource,
}

pub(super) fn measure(reader: &mut PeekReader) -> Result<Option<Length>, LengthError> {
    let Some((header, data)) = read_chunks(reader)? else {
        return Ok(None);
    };
    let Some(format) = header.format else {
        return Ok(None);
    };
    let size = data.end - data.start;
    if format.is_mpeg() {
        let total = count_frames(reader, data.start, data.end, mpeg::parse_frame)?;
        return Ok(Length::new(
            total.duration_sec(),
            LengthSource::Counted,
            total.bytes,
        ));
    }
    let rate = f64::from(format.sample_rate);
    let declared_samples = || header.samples.filter(|samples| *samples > 0);
    let duration_sec = match (format.samples(size), declared_samples()) {
        (Some(samples), _) => samples as f64 / rate,
        (None, Some(samples)) if data.source == LengthSource::Header => f64::from(samples) / rate,
        _ => size as f64 / f64::from(format.bytes_per_sec),
    };
    Ok(Length::new(duration_sec, data.source, size))
}

/// Reads the chunks up to the sample data. `None` if there are no data.
fn read_chunks(reader: &mut PeekReader) -> Result<Option<(Header, Data)>, LengthError> {
    let mut header = Header::default();
    let mut at = 12;
    for _ in 0..MAX_CHUNKS {
        let chunk = reader.peek(at, 8 + FORMAT_SIZE)?;
        let (Some(kind), Some(size)) = (chunk.get(..4), le32(chunk, 4)) else {
            return Ok(None);
        };
        let body = &chunk[8..];
        match kind {
            b"fmt " => header.format = WavFormat::parse(&body[..body.len().min(size as usize)]),
            b"fact" => header.samples = le32(body, 0),
            b"ds64" => header.data_size = le64(body, 8),
            b"data" => {
                let size = match header.data_size {
                    Some(data_size) if size == u32::MAX => data_size,
                    _ => size.into(),
                };
                return Ok(find_data(reader, at + 8, size)?.map(|data| (header, data)));
            }
            _ => {}
        }
        at += 8 + u64::from(size) + u64::from(size & 1);
    }
    Ok(None)
}

/// The sample data at `start`, according to a chunk that declares `size` bytes. `None` if there are none.
fn find_data(reader: &mut PeekReader, start: u64, size: u64) -> Result<Option<Data>, LengthError> {
    let available = reader.size().saturating_sub(start);
    if size > 0 && size <= available {
        return Ok(Some(Data {
            start,
            end: start + size,
            source: LengthSource::Header,
        }));
    }
    if available == 0 || size == 0 && is_followed_by_chunks(reader, start)? {
        return Ok(None);
    }
    Ok(Some(Data {
        start,
        end: reader.size(),
        source: LengthSource::Counted,
    }))
}

/// Whether chunks from `start` on end exactly at the end of the file. Then a size of 0 is no placeholder.
fn is_followed_by_chunks(reader: &mut PeekReader, start: u64) -> Result<bool, LengthError> {
    let mut at = start;
    for _ in 0..MAX_CHUNKS {
        let head = reader.peek(at, 8)?;
        let is_chunk = head.iter().take(4).all(|byte| matches!(byte, b' '..=b'~'));
        match le32(head, 4).filter(|_| is_chunk) {
            Some(size) => at += 8 + u64::from(size),
            None => break,
        }
        if at == reader.size() || at + 1 == reader.size() {
            return Ok(true);
        }
        at += at & 1;
    }
    Ok(false)
}
