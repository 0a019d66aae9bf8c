//! The id of a room, which is part of its address and the name of its state file.

use std::fmt;
use std::str::FromStr;

use rand::RngExt;

/// The id of the house room.
pub const HOUSE: &str = "house";

/// The longest id, in characters.
const MAX_LENGTH: usize = 16;
/// The letters and digits of new ids. Some are left out because people mistake them for others.
const LETTERS: &[u8] = b"abcdefghkmnpqrstuvwxyz";
const DIGITS: &[u8] = b"23456789";

/// Lower-case letters and digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomId(String);

/// Why a text is not the id of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid room id")]
pub struct RoomIdError;

impl RoomId {
    /// The id of the house room.
    pub fn house() -> Self {
        RoomId(HOUSE.into())
    }

    /// An id for a new room, short enough to be typed: like `k3m7`.
    pub(super) fn random() -> Self {
        let mut rng = rand::rng();
        let mut one_of = |characters: &[u8]| {
            let at = rng.random_range(0..characters.len());
            char::from(characters[at])
        };
        RoomId(
            [LETTERS, DIGITS, LETTERS, DIGITS]
                .map(&mut one_of)
                .iter()
                .collect(),
        )
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the house room.
    pub fn is_house(&self) -> bool {
        self.0 == HOUSE
    }
}

impl fmt::Display for RoomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RoomId {
    type Err = RoomIdError;

    fn from_str(text: &str) -> Result<Self, RoomIdError> {
        let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let has_length = (1..=MAX_LENGTH).contains(&text.len());
        (has_length && text.bytes().all(is_allowed))
            .then(|| RoomId(text.into()))
            .ok_or(RoomIdError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_short_and_made_of_lower_case_letters_and_digits() {
        for text in ["k3", "k3m7", "garden", HOUSE] {
            assert_eq!(text.parse::<RoomId>().unwrap().as_str(), text);
        }
        for text in ["", "K3", "k/3", "..", "k.3", "ä", "abcdefghijklmnopq"] {
            assert!(text.parse::<RoomId>().is_err(), "{text}");
        }
        for _ in 0..100 {
            let id = RoomId::random();
            assert_eq!(id.as_str().parse(), Ok(id));
        }
    }
}
