//! What names a track, a device and a device's token, and how the wire and the state file spell them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A text that is not an id of the kind that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {0}")]
pub struct IdError(&'static str);

/// One spelling only: `from_str_radix` would take a sign, and capitals.
fn is_hex(text: &str) -> bool {
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    text.bytes().all(hex)
}

/// Names a track: 64 bits, shown as 16 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackId(pub u64);

impl fmt::Display for TrackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for TrackId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.len() != 16 || !is_hex(text) {
            return Err(IdError("track id"));
        }
        u64::from_str_radix(text, 16)
            .map(TrackId)
            .map_err(|_| IdError("track id"))
    }
}

/// Names a paired device: `m1`, `m2`, … in the order of pairing, never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub u32);

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m{}", self.0)
    }
}

impl FromStr for MemberId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        // One spelling only, or two keys of a map would be one member.
        text.strip_prefix('m')
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0'))
            .and_then(|digits| digits.parse().ok())
            .map(MemberId)
            .ok_or(IdError("member id"))
    }
}

/// The SHA-256 of a device's token. The token itself is known to the device alone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyHash(pub [u8; 32]);

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Eight bytes at a time: every write of the state spells every key.
        self.0.chunks_exact(8).try_for_each(|eight| {
            let number = eight.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
            write!(f, "{number:016x}")
        })
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

impl FromStr for KeyHash {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let mut hash = [0; 32];
        if text.len() != 64 || !is_hex(text) {
            return Err(IdError("key"));
        }
        for (i, byte) in hash.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).map_err(|_| IdError("key"))?;
        }
        Ok(KeyHash(hash))
    }
}

/// The wire and the state file spell ids as strings, as values and as keys of maps.
macro_rules! serde_as_string {
    ($($id:ty),*) => {$(
        impl Serialize for $id {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $id {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(serde::de::Error::custom)
            }
        }
    )*};
}
serde_as_string!(TrackId, MemberId, KeyHash);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let key = KeyHash([0x0f; 32]).to_string();
        assert_eq!(key.parse(), Ok(KeyHash([0x0f; 32])));
        for other in [
            key.to_uppercase(),
            key.replacen("0f", "+f", 1),
            key.replacen("0f", " f", 1),
            key[1..].into(),
        ] {
            assert!(other.parse::<KeyHash>().is_err(), "{other}");
        }
        for other in ["+123456789abcdef", "0123456789ABCDEF", "123456789abcdef"] {
            assert!(other.parse::<TrackId>().is_err(), "{other}");
        }
        for other in ["m", "m0", "m01", "m+1", "M1", "m4294967296"] {
            assert!(other.parse::<MemberId>().is_err(), "{other}");
        }
    }
}
