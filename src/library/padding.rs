//! What an MP3 encoder put before and behind the music, by the tag that LAME introduced: the format has room for whole
//! frames only, and an encoder needs some of them to get going. Players that know of it leave it out, so the music is
//! shorter than the file says, and one that does not is late by the padding at its beginning.
//!
//! Source: "Mp3 Info Tag rev 1 specifications", <http://gabriel.mp3-tech.org/mp3infotag.html>.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};

/// The first frame begins so soon after the tags, in bytes.
const SEARCHED: usize = 4 << 10;
/// More tags than this before the music are no tags.
const MOST_TAGS: usize = 8;
/// What a decoder itself is late by, in samples: the same for all of them.
const DECODER_DELAY: u32 = 529;
/// Encoders that are known to tell the truth in their tag.
const ENCODERS: [&[u8]; 3] = [b"LAME", b"Lavf", b"Lavc"];

/// What a decoder that leaves nothing out plays of an MP3, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Padding {
    /// Before the music.
    pub lead_sec: f64,
    /// Altogether.
    pub whole_sec: f64,
}

/// The padding of an MP3, and how long the music in it is, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Padded {
    pub(super) padding: Padding,
    pub(super) duration_sec: f64,
}

/// Finer than anybody hears, and short to write.
fn to_micros(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e6
}

/// What `file` says of its padding; `None` when it says nothing, or nothing that could be true.
pub(super) fn padding(file: &File) -> Option<Padded> {
    let mut at = 0;
    for _ in 0..MOST_TAGS {
        let head = read(file, at, SEARCHED).ok()?;
        match id3_length(&head) {
            Some(length) => at += length,
            None => return info(&head),
        }
    }
    None
}

fn read(file: &File, at: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let got = file.read_at(&mut bytes, at)?;
    bytes.truncate(got);
    Ok(bytes)
}

/// How long the ID3v2 tag is that `file` begins with, in bytes, with its header and footer; 0 when there is none.
pub(super) fn tag_length(file: &File) -> u64 {
    let head = read(file, 0, 10).unwrap_or_default();
    id3_length(&head).unwrap_or(0)
}

/// How long an ID3v2 tag is that begins here, with its header and footer.
fn id3_length(bytes: &[u8]) -> Option<u64> {
    let header = bytes.get(..10)?;
    if !header.starts_with(b"ID3") || header[6..].iter().any(|byte| *byte > 0x7f) {
        return None;
    }
    let size = header[6..]
        .iter()
        .fold(0, |sum, byte| sum << 7 | u64::from(*byte));
    let footer = if header[5] & 0x10 == 0 { 0 } else { 10 };
    Some(10 + size + footer)
}

/// What the first frame says, if it is one that only informs.
fn info(bytes: &[u8]) -> Option<Padded> {
    let at = bytes
        .windows(2)
        .position(|two| two[0] == 0xff && two[1] & 0xe0 == 0xe0)?;
    let frame = bytes.get(at..)?;
    let &[_, second, third, fourth, ..] = frame else {
        return None;
    };
    let (version, layer) = (second >> 3 & 3, second >> 1 & 3);
    if layer != 1 {
        return None;
    }
    let (mpeg_1, mono) = (version == 3, fourth >> 6 == 3);
    let halvings = match version {
        3 => 0,
        2 => 1,
        0 => 2,
        _ => return None,
    };
    let rate = [44_100, 48_000, 32_000].get(usize::from(third >> 2 & 3))? >> halvings;
    let side = match (mpeg_1, mono) {
        (true, false) => 32,
        (true, true) | (false, false) => 17,
        (false, true) => 9,
    };
    let tag = frame.get(4 + side..)?;
    let flags = u32::from_be_bytes(tag.get(4..8)?.try_into().ok()?);
    if !(tag.starts_with(b"Xing") || tag.starts_with(b"Info")) || flags & 1 == 0 {
        return None;
    }
    let frames = u32::from_be_bytes(tag.get(8..12)?.try_into().ok()?);
    // Each of these is there or not: the number of frames, that of bytes, a table for seeking, the quality.
    let present = [(1, 4), (2, 4), (4, 100), (8, 4)];
    let skipped: usize = present
        .iter()
        .filter(|(flag, _)| flags & flag != 0)
        .map(|(_, length)| length)
        .sum();
    let encoder = tag.get(8 + skipped..)?;
    if !ENCODERS.iter().any(|name| encoder.starts_with(name)) {
        return None;
    }
    let &[a, b, c] = encoder.get(21..24)? else {
        return None;
    };
    let before = u32::from(a) << 4 | u32::from(b >> 4);
    let behind = u32::from(b & 0xf) << 8 | u32::from(c);
    let samples = u64::from(frames) * if mpeg_1 { 1_152 } else { 576 };
    let music = samples.checked_sub(u64::from(before) + u64::from(behind))?;
    let seconds = |samples: u64| to_micros(samples as f64 / f64::from(rate));
    (music > 0).then(|| Padded {
        padding: Padding {
            lead_sec: seconds(u64::from(before + DECODER_DELAY)),
            whole_sec: seconds(samples),
        },
        duration_sec: seconds(music),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn padding_of(bytes: &[u8]) -> Option<Padded> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        padding(&file)
    }

    /// A first frame of stereo at 44.1 kHz: 100 frames, 576 samples padded before and 1,000 behind.
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
    fn the_tag_of_an_encoder_tells_how_much_is_music() {
        let music = Some(Padded {
            padding: Padding {
                lead_sec: 0.025_057,
                whole_sec: 2.612_245,
            },
            duration_sec: 2.576_508,
        });
        assert_eq!(padding_of(&frame(b"LAME")), music);
        let tagged = [
            &b"ID3\x04\0\x10\0\0\x01\x02"[..],
            &[0xff; 130 + 10],
            &frame(b"Lavc"),
        ]
        .concat();
        assert_eq!(padding_of(&tagged), music);
    }

    #[test]
    fn who_is_not_known_to_tell_the_truth_is_not_believed() {
        assert_eq!(padding_of(&frame(b"GOGO")), None);
    }

    #[test]
    fn a_frame_of_music_tells_nothing() {
        let mut frame = frame(b"LAME");
        frame[36..40].copy_from_slice(b"\x12\x34\x56\x78");
        assert_eq!(padding_of(&frame), None);
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_are_they_are_read(cut in 0..200_usize, noise in prop::collection::vec(any::<(usize, u8)>(), 0..20)) {
            let mut bytes = [&b"ID3\x04\0\0\0\0\0\x04"[..], &[0; 4], &frame(b"LAME")].concat();
            bytes.truncate(bytes.len() - cut.min(bytes.len()));
            for (at, byte) in noise {
                let length = bytes.len();
                if length > 0 {
                    bytes[at % length] = byte;
                }
            }
            if let Some(Padded { padding, duration_sec }) = padding_of(&bytes) {
                prop_assert!(padding.lead_sec < 1.0 && duration_sec > 0.0);
            }
        }
    }
}
