//! Reads the encoder delay and padding of an MP3 file. An MP3 file holds whole frames, so an encoder adds silence before
//! and after the music, and declares it in the tag that LAME introduced. Some browsers trim that silence and some play it,
//! so a client needs the duration of the silence to play the music at the right time.
//!
//! Source: "Mp3 Info Tag rev 1 specifications", <http://gabriel.mp3-tech.org/mp3infotag.html>.

use serde::{Deserialize, Serialize};

use super::length::MpegFrame;
use super::length::bytes::be32;

/// The silence that every MP3 decoder adds before its output, in samples. The declared encoder delay does not include this
/// silence.
const DECODER_DELAY: u32 = 529;
/// Encoders whose declared delay and padding are known to be correct.
const TRUSTED_ENCODERS: [&[u8]; 3] = [b"LAME", b"Lavf", b"Lavc"];
/// The optional fields between the flags of the Info tag and the encoder's name: the flag of each field, and its size in
/// bytes. The fields are the number of frames, the number of bytes, the seek table and the quality.
const OPTIONAL_FIELDS: [(u32, usize); 4] = [(1, 4), (2, 4), (4, 100), (8, 4)];

/// What a decoder outputs for an MP3 or ADTS file if it does not trim the silence, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Padding {
    /// The silence before the music.
    pub lead_sec: f64,
    /// The duration of the untrimmed output: silence before the music, music, and silence after the music.
    pub whole_sec: f64,
}

/// The padding of an MP3 file, and the duration of the music in it, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct GaplessInfo {
    pub(super) padding: Padding,
    pub(super) duration_sec: f64,
}

/// Rounds to microseconds, so that the JSON is short.
pub(super) fn round_to_micros(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e6
}

/// The size in bytes of the ID3v2 tag at the beginning of `bytes`, with its header and footer. `None` if there is none.
pub(super) fn parse_id3_size(bytes: &[u8]) -> Option<u64> {
    let header = bytes.get(..10)?;
    if !header.starts_with(b"ID3") || header[6..].iter().any(|byte| *byte > 0x7f) {
        return None;
    }
    // A "synchsafe" integer: seven bits in each byte.
    let size = header[6..]
        .iter()
        .fold(0, |sum, byte| sum << 7 | u64::from(*byte));
    let footer_size = if header[5] & 0x10 == 0 { 0 } else { 10 };
    Some(10 + size + footer_size)
}

/// The Xing or Info tag in the first frame of an MP3 file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InfoTag {
    /// The number of frames, without the frame that holds the tag.
    pub(super) frames: Option<u32>,
    /// The size of the audio in bytes.
    pub(super) bytes: Option<u32>,
    /// The silence before and after the music in samples, if a trusted encoder declares it.
    delay_and_padding: Option<(u32, u32)>,
}

/// Parses the tag in the `bytes` of the first frame, which has the given header. `None` if the frame holds audio instead.
pub(super) fn parse_info_tag(bytes: &[u8], frame: MpegFrame) -> Option<InfoTag> {
    let tag = bytes.get(4 + frame.side_info_size..)?;
    if !(tag.starts_with(b"Xing") || tag.starts_with(b"Info")) {
        return None;
    }
    let flags = be32(tag, 4)?;
    let mut at = 8;
    let mut field = |flag: u32, size: usize| {
        let is_present = flags & flag != 0;
        let value = is_present.then(|| be32(tag, at)).flatten();
        at += if is_present { size } else { 0 };
        value
    };
    let [frames, bytes, ..] = OPTIONAL_FIELDS.map(|(flag, size)| field(flag, size));
    Some(InfoTag {
        frames,
        bytes,
        delay_and_padding: tag.get(at..).and_then(parse_delay_and_padding),
    })
}

/// Parses the silence before and after the music, in samples. `encoder` begins with the encoder's name. `None` if the encoder
/// is not known to declare correct values.
fn parse_delay_and_padding(encoder: &[u8]) -> Option<(u32, u32)> {
    if !TRUSTED_ENCODERS
        .iter()
        .any(|name| encoder.starts_with(name))
    {
        return None;
    }
    // Two values of 12 bits.
    let &[a, b, c] = encoder.get(21..24)? else {
        return None;
    };
    let delay = u32::from(a) << 4 | u32::from(b >> 4);
    Some((delay, u32::from(b & 0xf) << 8 | u32::from(c)))
}

/// The padding that `info` declares for frames that play for `whole_sec`. If the frames at the end are missing or others
/// follow (`is_complete` is false), all that follows the silence at the beginning counts as music. `None` if the padding is
/// not declared, or contradicts `whole_sec`.
pub(super) fn gapless_info(
    info: &InfoTag,
    sample_rate: u32,
    whole_sec: f64,
    is_complete: bool,
) -> Option<GaplessInfo> {
    let (delay, end_padding) = info.delay_and_padding?;
    let seconds = |samples: u32| f64::from(samples) / f64::from(sample_rate);
    let lead_sec = seconds(delay + DECODER_DELAY);
    let silence_sec = if is_complete {
        seconds(delay + end_padding)
    } else {
        lead_sec
    };
    let duration_sec = round_to_micros(whole_sec - silence_sec);
    (duration_sec > 0.0).then(|| GaplessInfo {
        padding: Padding {
            lead_sec: round_to_micros(lead_sec),
            whole_sec: round_to_micros(whole_sec),
        },
        duration_sec,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::length::parse_frame_header;
    use super::*;

    fn gapless(bytes: &[u8]) -> Option<GaplessInfo> {
        let frame = parse_frame_header(bytes)?;
        let info = parse_info_tag(bytes, frame)?;
        let samples = u64::from(info.frames?) * frame.samples;
        let whole_sec = samples as f64 / f64::from(frame.sample_rate);
        gapless_info(&info, frame.sample_rate, whole_sec, true)
    }

    /// The first frame of a stereo file at 44.1 kHz with 100 frames, a delay of 576 samples and a padding of 1,000.
    fn frame(encoder: &[u8; 4]) -> Vec<u8> {
        let mut frame = vec![0xff, 0xfb, 0x90, 0x00];
        frame.resize(4 + 32, 0);
        frame.extend(b"Info\0\0\0\x0f\0\0\0\x64\0\0\0\0");
        frame.resize(frame.len() + 100 + 4, 0);
        frame.extend(encoder);
        frame.resize(frame.len() + 17, 0);
        frame.extend([0x24, 0x03, 0xe8]);
        frame
    }

    #[test]
    fn reads_the_padding_and_the_duration_without_it() {
        let expected = GaplessInfo {
            padding: Padding {
                lead_sec: 0.025_057,
                whole_sec: 2.612_245,
            },
            duration_sec: 2.576_508,
        };
        assert_eq!(gapless(&frame(b"LAME")), Some(expected));
    }

    #[test]
    fn counts_the_end_of_a_truncated_file_as_music() {
        let bytes = frame(b"LAME");
        let header = parse_frame_header(&bytes).unwrap();
        let info = parse_info_tag(&bytes, header).unwrap();
        let gapless = gapless_info(&info, 44_100, 1.0, false).unwrap();
        assert_eq!(gapless.duration_sec, 0.974_943);
    }

    #[test]
    fn ignores_the_tag_of_an_unknown_encoder() {
        assert_eq!(gapless(&frame(b"GOGO")), None);
    }

    #[test]
    fn ignores_a_first_frame_without_a_tag() {
        let mut frame = frame(b"LAME");
        frame[36..40].copy_from_slice(b"\x12\x34\x56\x78");
        assert_eq!(gapless(&frame), None);
    }

    proptest! {
        #[test]
        fn parses_damaged_tags_without_a_panic(
            cut in 0..200_usize,
            noise in prop::collection::vec(any::<(usize, u8)>(), 0..20),
        ) {
            let mut bytes = frame(b"LAME");
            bytes.truncate(bytes.len() - cut.min(bytes.len()));
            for (at, byte) in noise {
                let length = bytes.len();
                if length > 0 {
                    bytes[at % length] = byte;
                }
            }
            if let Some(GaplessInfo { padding, duration_sec }) = gapless(&bytes) {
                prop_assert!(padding.lead_sec < 1.0 && duration_sec > 0.0);
            }
        }
    }
}
