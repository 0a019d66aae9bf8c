//! Recognises the format of a file by its content.

use lofty::file::FileType;

use super::frame_walk::{self, FrameParser};
use super::{LengthError, adts, boundaries, mpeg, ogg};
use crate::library::peek_reader::{MAX_PEEK, PeekReader};

/// The most bytes between the beginning or the last tag and the first frame. Programs that cut MP3 files leave parts of
/// frames there.
const MAX_JUNK_BEFORE_FRAMES: u64 = 256 << 10;

/// A format that browsers play.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::library) enum Format {
    /// MPEG audio of layers I to III.
    Mpeg,
    /// AAC in an ADTS stream.
    Adts,
    Flac,
    OggVorbis,
    OggOpus,
    OggFlac,
    Mp4,
    Wav,
    Aiff,
}

/// Each format, its media type, and its type in `lofty`.
const FORMATS: [(Format, &str, FileType); 9] = [
    (Format::Mpeg, "audio/mpeg", FileType::Mpeg),
    (Format::Adts, "audio/aac", FileType::Aac),
    (Format::Flac, "audio/flac", FileType::Flac),
    (
        Format::OggVorbis,
        "audio/ogg; codecs=vorbis",
        FileType::Vorbis,
    ),
    (Format::OggOpus, "audio/ogg; codecs=opus", FileType::Opus),
    (Format::OggFlac, "audio/ogg; codecs=flac", FileType::Flac),
    (Format::Mp4, "audio/mp4", FileType::Mp4),
    (Format::Wav, "audio/wav", FileType::Wav),
    (Format::Aiff, "audio/aiff", FileType::Aiff),
];

impl Format {
    fn row(self) -> &'static (Format, &'static str, FileType) {
        let row = FORMATS.iter().find(|(format, ..)| *format == self);
        row.unwrap_or(&FORMATS[0])
    }

    pub(in crate::library) fn mime(self) -> &'static str {
        self.row().1
    }

    pub(in crate::library) fn lofty_type(self) -> FileType {
        self.row().2
    }

    /// Every media type.
    pub(in crate::library) fn mimes() -> impl Iterator<Item = &'static str> {
        FORMATS.iter().map(|(_, mime, _)| *mime)
    }
}

/// A format, and where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::library) struct FoundFormat {
    pub(in crate::library) format: Format,
    /// The offset of the first byte that belongs to the format, behind tags and zeros: for MPEG and ADTS, of the first frame.
    pub(in crate::library) start: u64,
}

/// Signatures of formats that are recognised in order to state why a file is not a track.
const OTHER_SIGNATURES: [(&[u8], &str); 17] = [
    (b"\x1a\x45\xdf\xa3", "Matroska or WebM"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media"),
    (b"wvpk", "WavPack"),
    (b"MAC ", "Monkey's Audio"),
    (b"DSD ", "DSD"),
    (b"FRM8", "DSDIFF"),
    (b"caff", "Core Audio Format"),
    (b".snd", "Sun audio (AU)"),
    (b"dns.", "Sun audio (AU)"),
    (b"TTA", "True Audio"),
    (b"MPCK", "Musepack"),
    (b"MP+", "Musepack"),
    (b"OFR ", "OptimFROG"),
    (b"tBaK", "TAK"),
    (b"#!AMR", "AMR"),
    (b".RMF", "RealMedia"),
    (b"ajkg", "Shorten"),
];

/// Types of boxes with which an MP4 file begins. Files of old programs lack the box `ftyp`.
const FIRST_BOXES: [&[u8]; 7] = [
    b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot",
];

/// Recognises the format of the file. Without `searches_frames`, a file that begins with frames of MPEG audio or ADTS is not
/// recognised.
///
/// # Errors
/// [`LengthError::Empty`], [`LengthError::OtherFormat`] or [`LengthError::UnknownFormat`] if the file cannot be played, or the
/// system's error.
pub(in crate::library) fn find_format(
    reader: &mut PeekReader,
    searches_frames: bool,
) -> Result<FoundFormat, LengthError> {
    if reader.size() == 0 {
        return Err(LengthError::Empty);
    }
    let head = reader.peek(0, 16)?;
    let at_start = |format| Ok(FoundFormat { format, start: 0 });
    if FIRST_BOXES.iter().any(|kind| head.get(4..8) == Some(kind)) {
        return at_start(Format::Mp4);
    }
    match (head.get(..4), head.get(8..12)) {
        (Some(b"RIFF" | b"RF64" | b"BW64"), Some(b"WAVE")) => return at_start(Format::Wav),
        (Some(b"FORM"), Some(b"AIFF" | b"AIFC")) => return at_start(Format::Aiff),
        (Some(b"riff"), _) => return Err(LengthError::OtherFormat("Wave64")),
        _ => {}
    }
    let start = boundaries::audio_start(reader)?;
    let head = reader.peek(start, 16)?;
    if head.starts_with(b"fLaC") {
        return Ok(FoundFormat {
            format: Format::Flac,
            start,
        });
    }
    if head.starts_with(b"OggS") {
        let format = ogg::find_audio_format(reader, start)?;
        return Ok(FoundFormat { format, start });
    }
    let other = OTHER_SIGNATURES
        .iter()
        .find(|(signature, _)| head.starts_with(signature));
    if let Some((_, name)) = other {
        return Err(LengthError::OtherFormat(name));
    }
    if searches_frames {
        find_frames(reader, start)
    } else {
        Err(LengthError::UnknownFormat)
    }
}

/// Finds the first frame of an MPEG or ADTS stream from `start` on.
fn find_frames(reader: &mut PeekReader, start: u64) -> Result<FoundFormat, LengthError> {
    let parsers: [(Format, FrameParser); 2] = [
        (Format::Mpeg, mpeg::parse_frame),
        (Format::Adts, adts::parse_frame),
    ];
    let mut at = start;
    // Most files have no junk, so the first search needs one byte only.
    let mut searched = 1;
    while at - start < MAX_JUNK_BEFORE_FRAMES {
        let bytes = reader.peek(at, searched)?;
        searched = MAX_PEEK;
        let Some(skipped) = memchr::memchr(0xff, bytes) else {
            if bytes.is_empty() {
                break;
            }
            at += bytes.len() as u64;
            continue;
        };
        at += skipped as u64;
        for (format, parse) in parsers {
            if frame_walk::is_first_frame(reader, at, start, parse)? {
                return Ok(FoundFormat { format, start: at });
            }
        }
        at += 1;
    }
    Err(if start >= reader.size() {
        LengthError::NoAudio
    } else {
        LengthError::UnknownFormat
    })
}
