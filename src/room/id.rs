//! The ids of tracks and devices, the hashes of tokens, and the text forms of all three in the protocol and in the state
//! file.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::learned_delays::DeviceKind;

/// The text is not a valid id, or hash of a token. Contains the expected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {0}")]
pub struct IdError(pub(super) &'static str);

/// Whether every character is a lower-case hex digit. `from_str_radix` also accepts a sign and upper-case digits, but each
/// id must have exactly one text form.
fn is_lower_hex(text: &str) -> bool {
    let is_hex_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    text.bytes().all(is_hex_digit)
}

/// A track's id: 64 bits, written as 16 lower-case hex digits.
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
        if text.len() != 16 || !is_lower_hex(text) {
            return Err(IdError("track id"));
        }
        u64::from_str_radix(text, 16)
            .map(TrackId)
            .map_err(|_| IdError("track id"))
    }
}

/// A paired device's id: `m1`, `m2`, … in the order of pairing, never reused after a device is unpaired.
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
        // A leading zero is rejected (`m01`): otherwise two different keys of a JSON object could mean the same member.
        text.strip_prefix('m')
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0'))
            .and_then(|digits| digits.parse().ok())
            .map(MemberId)
            .ok_or(IdError("member id"))
    }
}

/// The SHA-256 of a device's token. The server does not store the token itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenHash(pub [u8; 32]);

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Formats eight bytes at a time, because each write of the state file formats the hashes of all tokens.
        self.0.chunks_exact(8).try_for_each(|chunk| {
            let number = chunk.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
            write!(f, "{number:016x}")
        })
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

impl FromStr for TokenHash {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let mut hash = [0; 32];
        if text.len() != 64 || !is_lower_hex(text) {
            return Err(IdError("token hash"));
        }
        for (i, byte) in hash.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16)
                .map_err(|_| IdError("token hash"))?;
        }
        Ok(TokenHash(hash))
    }
}

/// Serializes values in their text form, so they can also be keys of JSON objects.
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
serde_as_string!(TrackId, MemberId, TokenHash, DeviceKind);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_parse_from_exactly_one_text_form() {
        let hash = TokenHash([0x0f; 32]).to_string();
        assert_eq!(hash.parse(), Ok(TokenHash([0x0f; 32])));
        for invalid in [
            hash.to_uppercase(),
            hash.replacen("0f", "+f", 1),
            hash.replacen("0f", " f", 1),
            hash[1..].into(),
        ] {
            assert!(invalid.parse::<TokenHash>().is_err(), "{invalid}");
        }
        for invalid in ["+123456789abcdef", "0123456789ABCDEF", "123456789abcdef"] {
            assert!(invalid.parse::<TrackId>().is_err(), "{invalid}");
        }
        for invalid in ["m", "m0", "m01", "m+1", "M1", "m4294967296"] {
            assert!(invalid.parse::<MemberId>().is_err(), "{invalid}");
        }
    }
}
