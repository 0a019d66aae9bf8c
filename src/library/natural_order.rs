//! The natural order of names, in which `Disc 2` comes before `Disc 10`.

use unicode_normalization::UnicodeNormalization;

/// A key whose order is the natural order of names: without case, and with the digits of a number compared as a number.
pub(super) fn sort_key(name: &str) -> String {
    let folded = if name.is_ascii() {
        name.to_ascii_lowercase()
    } else {
        // Compatibility normalization turns full-width digits and letters into ASCII.
        name.nfkc().flat_map(char::to_lowercase).collect()
    };
    let mut key = String::with_capacity(folded.len() + 4);
    let mut rest = folded.as_str();
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        key.push_str(&rest[..start]);
        let digits = rest[start..].trim_start_matches('0');
        let length = digits.bytes().take_while(u8::is_ascii_digit).count();
        // Of two numbers, the one with more digits is larger. A character with the number of digits stands before the digits,
        // after a 0, so that numbers keep their place among other characters.
        key.push('0');
        key.extend(u32::try_from(length).ok().and_then(char::from_u32));
        key.push_str(&digits[..length]);
        rest = &digits[length..];
    }
    key.push_str(rest);
    key
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn compares_numbers_by_their_value() {
        let sorted = [
            "",
            "(bonus)",
            "1 - one",
            "2 - two",
            "09",
            "10 - ten",
            "100",
            "20000000000000000000000000000000",
            "Album",
            "album 2",
            "Album 02b",
            "ALBUM 10",
            "Disc ２",
            "disc 10",
            "Élan",
        ];
        for pair in sorted.windows(2) {
            assert!(sort_key(pair[0]) < sort_key(pair[1]), "{pair:?}");
        }
        assert_eq!(sort_key("Track 07"), sort_key("track 7"));
    }

    proptest! {
        #[test]
        fn orders_numbers_of_any_length(a in any::<u64>(), b in any::<u64>()) {
            let key = |number: u64| sort_key(&format!("CD {number} x"));
            prop_assert_eq!(key(a).cmp(&key(b)), a.cmp(&b));
        }
    }
}
