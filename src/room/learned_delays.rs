//! The speaker delays that comparisons have found, by kind of device: the first guess for another device of the same kind.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::id::{IdError, MemberId};
use super::state::MAX_SPEAKER_DELAY_MS;

/// If two devices of a kind differ by more, in milliseconds, there is no guess for that kind.
const MAX_SPREAD_MS: f64 = 15.0;
/// The most kinds that are kept. The kinds of the devices that were paired last remain.
const MAX_KINDS: usize = 32;
/// The most devices of one kind of which the delays are kept.
const MAX_DEVICES: usize = 8;
const MAX_KIND_LENGTH: usize = 40;

/// The kind of a device: browser, system and kind of output, as the device's page puts them together
/// (`safari-iphone-near`). Lower-case letters, digits and hyphens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeviceKind(String);

impl DeviceKind {
    /// The kind as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for DeviceKind {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let is_allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let has_length = (1..=MAX_KIND_LENGTH).contains(&text.len());
        (has_length && text.bytes().all(is_allowed))
            .then(|| DeviceKind(text.into()))
            .ok_or(IdError("kind of device"))
    }
}

/// The delays that comparisons have found, by kind and device. A device's entry remains after it was unpaired; a member id is
/// never assigned again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LearnedDelays(BTreeMap<DeviceKind, BTreeMap<MemberId, f64>>);

impl LearnedDelays {
    /// Whether nothing was learned.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Records the delay that a comparison has found for a device of this kind.
    pub(super) fn record(&mut self, kind: &DeviceKind, member: MemberId, delay_ms: f64) {
        let devices = self.0.entry(kind.clone()).or_default();
        devices.insert(member, delay_ms);
        if devices.len() > MAX_DEVICES {
            devices.pop_first();
        }
        if self.0.len() > MAX_KINDS {
            let newest = |(_, devices): &(&DeviceKind, &BTreeMap<MemberId, f64>)| {
                devices.last_key_value().map(|(member, _)| *member)
            };
            let others = self.0.iter().filter(|(other, _)| *other != kind);
            let oldest = others.min_by_key(newest).map(|(other, _)| other.clone());
            oldest.and_then(|other| self.0.remove(&other));
        }
    }

    /// The guess for a device of this kind: the median. `None` if nothing was learned, or if devices of this kind differ.
    pub fn guess_ms(&self, kind: &DeviceKind) -> Option<f64> {
        let mut delays: Vec<f64> = self.0.get(kind)?.values().copied().collect();
        delays.sort_by(f64::total_cmp);
        let (first, last) = (delays.first()?, delays.last()?);
        (last - first <= MAX_SPREAD_MS).then(|| delays[delays.len() / 2])
    }

    /// Whether all delays are within their limits.
    pub(super) fn is_valid(&self) -> bool {
        let range = -MAX_SPEAKER_DELAY_MS..=MAX_SPEAKER_DELAY_MS;
        let mut delays = self.0.values().flat_map(BTreeMap::values);
        delays.all(|delay_ms| range.contains(delay_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> DeviceKind {
        text.parse().unwrap()
    }

    #[test]
    fn guess_is_the_median_until_two_devices_differ() {
        let mut learned = LearnedDelays::default();
        let (phone, other) = (kind("firefox-android-near"), kind("chrome-android-near"));
        assert_eq!(learned.guess_ms(&phone), None);
        learned.record(&phone, MemberId(1), 30.0);
        assert_eq!(learned.guess_ms(&phone), Some(30.0));
        // A device that is compared again is not compared with its own earlier delay.
        learned.record(&phone, MemberId(1), 80.0);
        learned.record(&phone, MemberId(2), 90.0);
        learned.record(&phone, MemberId(3), 81.0);
        assert_eq!(learned.guess_ms(&phone), Some(81.0));
        assert_eq!(learned.guess_ms(&other), None);
        learned.record(&phone, MemberId(4), 95.1);
        assert_eq!(learned.guess_ms(&phone), None);
        learned.record(&phone, MemberId(4), 95.0);
        assert_eq!(learned.guess_ms(&phone), Some(90.0));
    }

    #[test]
    fn the_oldest_devices_and_kinds_are_forgotten() {
        let mut learned = LearnedDelays::default();
        let first = kind("k-1");
        for n in 1..=20 {
            learned.record(&first, MemberId(n), f64::from(n));
        }
        assert_eq!(learned.0[&first].len(), MAX_DEVICES);
        assert_eq!(learned.guess_ms(&first), Some(17.0));
        for n in 2..=100 {
            learned.record(&kind(&format!("k-{n}")), MemberId(20 + n), 1.0);
        }
        assert_eq!(learned.0.len(), MAX_KINDS);
        assert_eq!(learned.guess_ms(&first), None);
        assert_eq!(learned.guess_ms(&kind("k-100")), Some(1.0));
    }

    #[test]
    fn kinds_are_short_lower_case_words() {
        let long = "a".repeat(MAX_KIND_LENGTH);
        for text in ["safari-iphone-near", "a", long.as_str()] {
            assert_eq!(text.parse::<DeviceKind>().unwrap().as_str(), text);
        }
        let too_long = "a".repeat(MAX_KIND_LENGTH + 1);
        for text in ["", "Safari", "a b", "ä", "a/b", too_long.as_str()] {
            assert!(text.parse::<DeviceKind>().is_err(), "{text}");
        }
    }
}
