//! Percent-decoding (RFC 3986, 2.1).

/// The text with each `%` and two hex digits replaced by their byte. Other bytes stay as they are.
pub(crate) fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        let digits = after.get(..2).filter(|_| *byte == b'%');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let is_hex = |digits: &&str| digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let value = digits
            .filter(is_hex)
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        if let Some(value) = value {
            decoded.push(value);
            rest = &after[2..];
        } else {
            decoded.push(*byte);
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_valid_escapes_and_keeps_the_rest() {
        assert_eq!(percent_decoded(b"a%20b%c3%A9"), "a b\u{e9}".as_bytes());
        assert_eq!(percent_decoded(b"100%+%2"), b"100%+%2");
    }
}
