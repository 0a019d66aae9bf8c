//! Reads how loud a track is from its tags, in one scale: the gain in dB to a loudness of -18 LUFS, which is what ReplayGain
//! normalizes to.

use serde::{Deserialize, Serialize};

use super::fields::Field;
use crate::rounding::round_to;

/// The loudness to which R128 gains normalize is this much below that of ReplayGain, in dB.
const R128_DIFFERENCE_DB: f64 = 5.0;
/// Larger gains result from malformed tags.
const MAX_GAIN_DB: f64 = 60.0;
/// The largest plausible peak. Decoded lossy files exceed 1.
const MAX_PEAK: f64 = 16.0;

/// The loudness of a track and of its album. The names are part of the format of the index cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::library) struct Loudness {
    /// The gain in dB after which the track has a loudness of -18 LUFS.
    #[serde(rename = "gain", default, skip_serializing_if = "Option::is_none")]
    pub(in crate::library) gain_db: Option<f64>,
    /// The largest absolute value of a sample, of which 1 is full scale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::library) peak: Option<f64>,
    /// As `gain_db`, of the whole album.
    #[serde(rename = "albumGain", default, skip_serializing_if = "Option::is_none")]
    pub(in crate::library) album_gain_db: Option<f64>,
    /// As `peak`, of the whole album.
    #[serde(rename = "albumPeak", default, skip_serializing_if = "Option::is_none")]
    pub(in crate::library) album_peak: Option<f64>,
}

impl Loudness {
    /// The loudness that the tags state. `values` returns the values of a field.
    pub(super) fn from_tags<'a>(values: impl Fn(Field) -> Vec<&'a str>) -> Self {
        let first =
            |field, parse: fn(&str) -> Option<f64>| values(field).into_iter().find_map(parse);
        let correction_db =
            first(Field::ReferenceLoudness, parse_reference_correction_db).unwrap_or(0.0);
        let replay_gain = |field| first(field, parse_gain).map(|gain| gain + correction_db);
        let sound_check = values(Field::SoundCheck)
            .into_iter()
            .find_map(parse_sound_check);
        let album_gain_db =
            first(Field::R128AlbumGain, parse_r128).or_else(|| replay_gain(Field::AlbumGain));
        let gain_db = first(Field::R128TrackGain, parse_r128)
            .or_else(|| replay_gain(Field::TrackGain))
            .or(album_gain_db)
            .or_else(|| sound_check.and_then(|(gain, _)| gain));
        let album_peak = first(Field::AlbumPeak, parse_peak);
        let peak = first(Field::TrackPeak, parse_peak)
            .or(album_peak)
            .or_else(|| sound_check.and_then(|(_, peak)| peak));
        let plausible = |gain_db: Option<f64>| {
            let gain_db = gain_db.filter(|gain| gain.abs() <= MAX_GAIN_DB);
            gain_db.map(|gain| round_to(gain, 100.0))
        };
        let rounded_peak = |peak: Option<f64>| peak.map(|peak| round_to(peak, 1e6));
        Loudness {
            gain_db: plausible(gain_db),
            peak: rounded_peak(peak),
            album_gain_db: plausible(album_gain_db),
            album_peak: rounded_peak(album_peak),
        }
    }
}

/// The number at the beginning of a text, such as `-3.2 dB`. Some programs write a decimal comma or a minus sign (U+2212).
fn parse_gain(text: &str) -> Option<f64> {
    let text = text.trim().replace('\u{2212}', "-").replace(',', ".");
    let is_part = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.');
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    text[..end].parse().ok()
}

fn parse_peak(text: &str) -> Option<f64> {
    parse_gain(text).filter(|peak| *peak > 0.0 && *peak <= MAX_PEAK)
}

/// An R128 gain, as a ReplayGain in dB.
fn parse_r128(text: &str) -> Option<f64> {
    let fixed_point: i16 = text.trim().parse().ok()?;
    Some(f64::from(fixed_point) / 256.0 + R128_DIFFERENCE_DB)
}

/// The correction in dB that must be added to a gain to this reference loudness. 0 for `89 dB` and for `-18 LUFS`, the
/// references of ReplayGain.
fn parse_reference_correction_db(text: &str) -> Option<f64> {
    let reference = parse_gain(text)?;
    Some(if text.to_ascii_uppercase().contains("LU") {
        -18.0 - reference
    } else {
        89.0 - reference
    })
}

/// The gain and the peak of a Sound Check text: ten hexadecimal numbers, of which the first two are the power of the left and
/// of the right channel, and the seventh and eighth are the peaks of 16-bit samples.
fn parse_sound_check(text: &str) -> Option<(Option<f64>, Option<f64>)> {
    const FULL_SCALE: f64 = 32_768.0;
    let numbers: Option<Vec<_>> = text
        .split_whitespace()
        .map(|number| u32::from_str_radix(number, 16).ok())
        .collect();
    let numbers = numbers?;
    let louder = |at: usize| {
        let channels = numbers.get(at..at + 2)?;
        channels
            .iter()
            .max()
            .copied()
            .filter(|value| *value > 0)
            .map(f64::from)
    };
    let gain = louder(0).map(|power| -10.0 * (power / 1_000.0).log10());
    let peak = louder(6)
        .map(|peak| peak / FULL_SCALE)
        .filter(|peak| *peak <= MAX_PEAK);
    Some((gain, peak))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loudness(values: &[(Field, &'static str)]) -> (Option<f64>, Option<f64>) {
        let of = |field| {
            let found = values.iter().filter(|(of, _)| *of == field);
            found.map(|(_, value)| *value).collect()
        };
        let loudness = Loudness::from_tags(of);
        (loudness.gain_db, loudness.peak)
    }

    fn gain(field: Field, value: &'static str) -> Option<f64> {
        loudness(&[(field, value)]).0
    }

    #[test]
    fn reads_gains_in_one_scale() {
        for (text, expected) in [
            ("-3.2 dB", Some(-3.2)),
            ("+1,5 dB", Some(1.5)),
            ("\u{2212}6.48dB", Some(-6.48)),
            ("0.00 dB", Some(0.0)),
            (" -7 ", Some(-7.0)),
            ("-999 dB", None),
            ("nan", None),
            ("", None),
            ("dB", None),
        ] {
            assert_eq!(gain(Field::TrackGain, text), expected, "{text:?}");
        }
        assert_eq!(gain(Field::R128TrackGain, "-512"), Some(3.0));
        assert_eq!(gain(Field::R128TrackGain, "99999"), None);
        let sound_check = " 000003E8 000007D0 0 0 0 0 00004000 00008000 0 0";
        let expected = (Some(-3.01), Some(1.0));
        assert_eq!(loudness(&[(Field::SoundCheck, sound_check)]), expected);
        assert_eq!(gain(Field::SoundCheck, "0 0"), None);
        assert_eq!(gain(Field::SoundCheck, "loud"), None);
    }

    #[test]
    fn prefers_track_values_and_applies_the_reference_loudness() {
        let album_and_track = [(Field::AlbumGain, "-1 dB"), (Field::TrackGain, "-2 dB")];
        assert_eq!(loudness(&album_and_track).0, Some(-2.0));
        assert_eq!(loudness(&album_and_track[..1]).0, Some(-1.0));
        for (reference, expected) in [("83 dB", 4.0), ("-23.00 LUFS", 3.0), ("89.0 dB", -2.0)] {
            let values = [
                (Field::TrackGain, "-2 dB"),
                (Field::ReferenceLoudness, reference),
            ];
            assert_eq!(loudness(&values).0, Some(expected), "{reference}");
        }
    }

    #[test]
    fn reads_plausible_peaks_only() {
        let peak = |text| loudness(&[(Field::TrackPeak, text)]).1;
        assert_eq!(peak("0.98765432"), Some(0.987_654));
        for text in ["0", "-1", "1000000", "loud"] {
            assert_eq!(peak(text), None, "{text}");
        }
    }
}
