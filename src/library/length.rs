//! Measures how long the audio of a file plays. A stated length is used only if a cheap check of the file does not contradict
//! it. Otherwise the frames, packets or samples are counted, which reads the file once from beginning to end.
//!
//! Nothing is decoded, and memory is bounded: all parsers read the file through one [`PeekReader`].

mod adts;
mod aiff;
mod boundaries;
pub(super) mod bytes;
mod flac;
mod format;
mod frame_walk;
mod mp4;
mod mpeg;
mod ogg;
mod ogg_page;
mod riff;
mod vorbis;

use std::io;

use serde::{Deserialize, Serialize};

use super::padding::{self, Padding};
use super::peek_reader::PeekReader;
pub(super) use format::{Format, FoundFormat, find_format};
pub(super) use mpeg::MpegFrame;
#[cfg(test)]
pub(super) use mpeg::parse_frame_header;

/// How the length of a track was determined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum LengthSource {
    /// A header states the length, and a cheap check of the file did not contradict it.
    Header,
    /// The frames, packets or bytes of the audio were counted.
    Counted,
}

/// The length of the audio in a file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Length {
    /// Seconds of music, without the padding that the file declares. More than 0.
    pub(super) duration_sec: f64,
    pub(super) source: LengthSource,
    /// The silence around the music, if an MP3 file declares it.
    pub(super) padding: Option<Padding>,
    /// The number of bytes that hold the audio.
    pub(super) audio_bytes: u64,
}

impl Length {
    /// The length of audio without padding. `None` if the duration is not a positive number.
    fn new(duration_sec: f64, source: LengthSource, audio_bytes: u64) -> Option<Self> {
        let duration_sec = padding::round_to_micros(duration_sec);
        (duration_sec > 0.0 && duration_sec.is_finite()).then_some(Length {
            duration_sec,
            source,
            padding: None,
            audio_bytes,
        })
    }

    /// The mean bit rate in kbit/s.
    pub(super) fn bit_rate(&self) -> u32 {
        (self.audio_bytes as f64 * 8.0 / 1000.0 / self.duration_sec).round() as u32
    }
}

/// Why a file has no length.
#[derive(Debug, thiserror::Error)]
pub(super) enum LengthError {
    #[error("the file is empty")]
    Empty,
    #[error("the file holds no audio")]
    NoAudio,
    #[error("{0}")]
    NotPlayable(&'static str),
    #[error("the file holds {0}, a format that is not supported")]
    OtherFormat(&'static str),
    #[error("the content of the file is not of a known format")]
    UnknownFormat,
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Measures the audio of a file whose format [`find_format`] found. Blocks.
///
/// # Errors
/// [`LengthError::NoAudio`] or [`LengthError::NotPlayable`] if the file cannot be played, or the system's error.
pub(super) fn measure(reader: &mut PeekReader, found: FoundFormat) -> Result<Length, LengthError> {
    let FoundFormat { format, start } = found;
    let length = match format {
        Format::Mpeg => {
            let end = boundaries::audio_end(reader, start)?;
            mpeg::measure(reader, start, end)?
        }
        Format::Adts => {
            let end = boundaries::audio_end(reader, start)?;
            adts::measure(reader, start, end)?
        }
        Format::Flac => flac::measure(reader, start)?,
        Format::OggVorbis | Format::OggOpus | Format::OggFlac => ogg::measure(reader, start)?,
        Format::Mp4 => return mp4::measure(reader),
        Format::Wav => riff::measure(reader)?,
        Format::Aiff => aiff::measure(reader)?,
    };
    length.ok_or(LengthError::NoAudio)
}

/// The headers of the audio in an Ogg file as a file of their own, for a tag parser that reads neither multiplexed Ogg streams nor
/// FLAC in Ogg. `None` if the parser can read the file directly, or if the headers cannot be read.
pub(super) fn ogg_headers_for_tag_parser(
    reader: &mut PeekReader,
    found: FoundFormat,
) -> Option<Vec<u8>> {
    let is_ogg = matches!(
        found.format,
        Format::OggVorbis | Format::OggOpus | Format::OggFlac
    );
    is_ogg.then(|| ogg::headers_for_tag_parser(reader, found.start))?
}

#[cfg(test)]
mod tests;
