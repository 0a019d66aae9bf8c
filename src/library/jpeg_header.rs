//! Reads the segments of a JPEG file before its first scan, for what `jpeg-decoder` 0.3 does not report.
//!
//! Source: ITU-T T.81, annex B.

use super::length::bytes::be16;

/// The most components of a picture.
const MAX_COMPONENTS: usize = 4;
/// The width and the height of a block, in samples.
const BLOCK_SIDE: u64 = 8;
/// The size of a coefficient in the decoder's memory, in bytes.
const COEFFICIENT_SIZE: u64 = 2;

/// Properties of a JPEG file. All are zero or `false` if its header is malformed.
#[derive(Debug, Default, PartialEq)]
pub(super) struct JpegHeader {
    /// Whether there is an APP14 segment of Adobe's programs.
    pub(super) has_adobe_segment: bool,
    /// The memory for the coefficients of all components, in bytes.
    pub(super) coefficient_bytes: u64,
}

impl JpegHeader {
    pub(super) fn parse(jpeg: &[u8]) -> Self {
        let mut header = JpegHeader::default();
        let mut rest = jpeg.get(2..).unwrap_or_default();
        while let Some((marker, segment, after)) = next_segment(rest) {
            match marker {
                0xee if segment.starts_with(b"Adobe") => header.has_adobe_segment = true,
                // SOF0 to SOF15, without DHT, JPG and DAC.
                0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                    header.coefficient_bytes = coefficient_bytes(segment).unwrap_or(0);
                }
                // SOS
                0xda => break,
                _ => {}
            }
            rest = after;
        }
        header
    }
}

/// The marker and the content of the next segment, and the bytes after it.
fn next_segment(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let bytes = &bytes[bytes.iter().position(|byte| *byte == 0xff)?..];
    // Any number of fill bytes may precede the marker.
    let bytes = &bytes[bytes.iter().position(|byte| *byte != 0xff)?..];
    let (marker, rest) = bytes.split_first()?;
    // TEM and RST0 to RST7 have no content.
    if matches!(marker, 0x00 | 0x01 | 0xd0..=0xd7) {
        return Some((*marker, &[], rest));
    }
    let size = usize::from(be16(rest, 0)?);
    Some((*marker, rest.get(2..size)?, &rest[size..]))
}

/// The memory for all coefficients of the frame that this SOF segment describes, in bytes.
fn coefficient_bytes(segment: &[u8]) -> Option<u64> {
    let height = u64::from(be16(segment, 1)?);
    let width = u64::from(be16(segment, 3)?);
    let count = usize::from(*segment.get(5)?).min(MAX_COMPONENTS);
    let factors = |n: usize| -> Option<(u64, u64)> {
        let factors = *segment.get(7 + 3 * n)?;
        Some((u64::from(factors >> 4), u64::from(factors & 15)))
    };
    let components: Option<Vec<_>> = (0..count).map(factors).collect();
    let components = components?;
    let max_horizontal = components.iter().map(|(horizontal, _)| *horizontal).max()?;
    let max_vertical = components.iter().map(|(_, vertical)| *vertical).max()?;
    if max_horizontal == 0 || max_vertical == 0 {
        return None;
    }
    let units =
        width.div_ceil(BLOCK_SIDE * max_horizontal) * height.div_ceil(BLOCK_SIDE * max_vertical);
    let blocks_per_unit: u64 = components.iter().map(|(across, down)| across * down).sum();
    Some(units * blocks_per_unit * BLOCK_SIDE * BLOCK_SIDE * COEFFICIENT_SIZE)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The beginning of a JPEG with these sampling factors.
    fn jpeg(width: u16, height: u16, factors: &[u8], segments: &[u8]) -> Vec<u8> {
        let mut sof = vec![0xff, 0xc2, 0, 8 + 3 * factors.len() as u8, 8];
        sof.extend(height.to_be_bytes());
        sof.extend(width.to_be_bytes());
        sof.push(factors.len() as u8);
        for (n, factor) in factors.iter().enumerate() {
            sof.extend([n as u8, *factor, 0]);
        }
        [&[0xff, 0xd8], segments, &sof, &[0xff, 0xda, 0, 2]].concat()
    }

    #[test]
    fn subsampled_colours_need_less_memory() {
        let bytes =
            |factors: &[u8]| JpegHeader::parse(&jpeg(6_000, 6_000, factors, &[])).coefficient_bytes;
        assert_eq!(bytes(&[0x11, 0x11, 0x11]), 216_000_000);
        assert_eq!(bytes(&[0x22, 0x11, 0x11]), 108_000_000);
        assert_eq!(bytes(&[0x11]), 72_000_000);
    }

    #[test]
    fn finds_the_adobe_segment_between_others() {
        let adobe = b"\xff\xe0\0\x04ab\xff\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\x02";
        let header = JpegHeader::parse(&jpeg(16, 16, &[0x11; 4], adobe));
        assert!(header.has_adobe_segment);
        assert_eq!(header.coefficient_bytes, 4 * 16 * 16 * 2);
        assert!(!JpegHeader::parse(&jpeg(16, 16, &[0x11; 4], &[])).has_adobe_segment);
    }

    #[test]
    fn malformed_headers_have_no_properties() {
        let complete = jpeg(16, 16, &[0x11; 3], &[]);
        for size in 0..complete.len() - 4 {
            assert_eq!(JpegHeader::parse(&complete[..size]), JpegHeader::default());
        }
        let without_factors = jpeg(16, 16, &[0], &[]);
        assert_eq!(JpegHeader::parse(&without_factors), JpegHeader::default());
    }
}
