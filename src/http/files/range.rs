//! Parses the `Range` header field (RFC 9110, section 14). Section numbers below refer to this RFC.

/// A part of a file, by the offsets of its first and last byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) struct ByteRange {
    pub(in crate::http) first: u64,
    pub(in crate::http) last: u64,
}

/// The part of a file that a `Range` field requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum RequestedRange {
    /// The whole file: the field is absent, invalid, or has several ranges, which a server may ignore (14.2).
    Whole,
    /// One part, which lies within the file.
    Part(ByteRange),
    /// One part, which contains no byte of the file. The server responds with 416.
    Unsatisfiable,
}

/// Parses the field value `header` of a request for a file of `size` bytes.
pub(in crate::http) fn parse(header: &str, size: u64) -> RequestedRange {
    match header.split_once('=') {
        Some((unit, set)) if unit.eq_ignore_ascii_case("bytes") => parse_set(set, size),
        _ => RequestedRange::Whole,
    }
}

fn parse_set(set: &str, size: u64) -> RequestedRange {
    // A recipient must ignore empty list elements (5.6.1.2).
    let elements = set
        .split(',')
        .map(|element| element.trim_matches([' ', '\t']));
    let mut elements = elements.filter(|element| !element.is_empty());
    let (Some(only), None) = (elements.next(), elements.next()) else {
        return RequestedRange::Whole;
    };
    let Some((first, last)) = only.split_once('-') else {
        return RequestedRange::Whole;
    };
    match (parse_number(first), parse_number(last)) {
        (Number::Value(first), Number::Absent) => clamp(first, u64::MAX, size),
        (Number::Value(first), Number::Value(last)) if first <= last => clamp(first, last, size),
        (Number::Absent, Number::Value(0)) => RequestedRange::Unsatisfiable,
        // A suffix of an empty file is the whole file. A 206 response is impossible, because Content-Range cannot express
        // it.
        (Number::Absent, Number::Value(_)) if size == 0 => RequestedRange::Whole,
        (Number::Absent, Number::Value(length)) => {
            clamp(size.saturating_sub(length), u64::MAX, size)
        }
        _ => RequestedRange::Whole,
    }
}

enum Number {
    Absent,
    Value(u64),
    Malformed,
}

/// Parses an offset or a length. A number of more than 64 bits becomes `u64::MAX`, which is past the end of every file.
fn parse_number(text: &str) -> Number {
    if text.is_empty() {
        Number::Absent
    } else if text.bytes().all(|b| b.is_ascii_digit()) {
        Number::Value(text.parse().unwrap_or(u64::MAX))
    } else {
        Number::Malformed
    }
}

/// The part from `first` to `last`, cut at the end of the file.
fn clamp(first: u64, last: u64, size: u64) -> RequestedRange {
    if first >= size {
        return RequestedRange::Unsatisfiable;
    }
    RequestedRange::Part(ByteRange {
        first,
        last: last.min(size - 1),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn expected_part(first: u64, last: u64) -> RequestedRange {
        RequestedRange::Part(ByteRange { first, last })
    }

    #[test]
    fn parses_the_examples_of_rfc_9110_and_edge_cases() {
        let huge = u128::MAX.to_string();
        for (header, expected) in [
            // 14.1.2: both offsets are inclusive.
            ("bytes=0-499", expected_part(0, 499)),
            ("bytes=500-999", expected_part(500, 999)),
            ("bytes=9500-", expected_part(9500, 9999)),
            ("bytes=0-0", expected_part(0, 0)),
            ("bytes=0-", expected_part(0, 9999)),
            ("bytes=00000000000000000000000000001-2", expected_part(1, 2)),
            // 14.1.2: an end past the end of the file means the end of the file.
            ("bytes=9999-20000", expected_part(9999, 9999)),
            (&format!("bytes=0-{huge}"), expected_part(0, 9999)),
            // 14.1.2: a suffix, at most the whole file.
            ("bytes=-500", expected_part(9500, 9999)),
            ("bytes=-1", expected_part(9999, 9999)),
            ("bytes=-20000", expected_part(0, 9999)),
            (&format!("bytes=-{huge}"), expected_part(0, 9999)),
            // 14.1.2: unsatisfiable.
            ("bytes=10000-", RequestedRange::Unsatisfiable),
            ("bytes=10000-10000", RequestedRange::Unsatisfiable),
            (&format!("bytes={huge}-"), RequestedRange::Unsatisfiable),
            (
                &format!("bytes={huge}-{huge}"),
                RequestedRange::Unsatisfiable,
            ),
            ("bytes=-0", RequestedRange::Unsatisfiable),
            // 14.1: range units are case-insensitive.
            ("Bytes=0-1", expected_part(0, 1)),
            ("BYTES=0-1", expected_part(0, 1)),
            // 5.6.1.2: one element, with white space and empty elements around it.
            ("bytes= 0-1", expected_part(0, 1)),
            ("bytes=0-1 ", expected_part(0, 1)),
            ("bytes=,0-1", expected_part(0, 1)),
            ("bytes=0-1 ,\t,", expected_part(0, 1)),
            // 14.2: several ranges may be ignored.
            ("bytes=0-0,-1", RequestedRange::Whole),
            ("bytes=500-600,601-999", RequestedRange::Whole),
            ("bytes=500-700,601-999", RequestedRange::Whole),
            ("bytes=0-0,20000-", RequestedRange::Whole),
            // 14.1.1: invalid, so the field may be ignored.
            ("bytes=2-1", RequestedRange::Whole),
            (&format!("bytes={huge}-1"), RequestedRange::Whole),
            ("bytes=", RequestedRange::Whole),
            ("bytes=,", RequestedRange::Whole),
            ("bytes=-", RequestedRange::Whole),
            ("bytes=a-b", RequestedRange::Whole),
            ("bytes=1-b", RequestedRange::Whole),
            ("bytes=1", RequestedRange::Whole),
            ("bytes=1--2", RequestedRange::Whole),
            ("bytes=--1", RequestedRange::Whole),
            ("bytes=1-2-3", RequestedRange::Whole),
            ("bytes=+1-2", RequestedRange::Whole),
            ("bytes=0x1-2", RequestedRange::Whole),
            ("bytes=1 -2", RequestedRange::Whole),
            ("bytes=\u{661}-\u{662}", RequestedRange::Whole),
            ("bytes =0-1", RequestedRange::Whole),
            ("bytes", RequestedRange::Whole),
            ("", RequestedRange::Whole),
            // 14.2: an unknown range unit must be ignored.
            ("lines=1-2", RequestedRange::Whole),
            ("=0-1", RequestedRange::Whole),
        ] {
            assert_eq!(parse(header, 10_000), expected, "{header}");
        }
    }

    #[test]
    fn empty_file_has_no_parts_and_its_suffix_is_the_whole() {
        for (header, expected) in [
            ("bytes=0-", RequestedRange::Unsatisfiable),
            ("bytes=0-0", RequestedRange::Unsatisfiable),
            ("bytes=-0", RequestedRange::Unsatisfiable),
            ("bytes=-1", RequestedRange::Whole),
        ] {
            assert_eq!(parse(header, 0), expected, "{header}");
        }
    }

    /// A reference implementation that tests each byte of the file.
    fn by_testing_each_byte(size: u64, is_requested: impl Fn(u64) -> bool) -> RequestedRange {
        let requested: Vec<_> = (0..size).filter(|byte| is_requested(*byte)).collect();
        match (requested.first(), requested.last()) {
            (Some(first), Some(last)) => expected_part(*first, *last),
            _ => RequestedRange::Unsatisfiable,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_testing_each_byte(
            size in 1..60_u64, a in 0..80_u64, b in 0..80_u64
        ) {
            let (first, last) = (a.min(b), a.max(b));
            prop_assert_eq!(
                parse(&format!("bytes={first}-{last}"), size),
                by_testing_each_byte(size, |byte| (first..=last).contains(&byte))
            );
            prop_assert_eq!(
                parse(&format!("bytes={first}-"), size),
                by_testing_each_byte(size, |byte| byte >= first)
            );
            prop_assert_eq!(
                parse(&format!("bytes=-{a}"), size),
                by_testing_each_byte(size, |byte| byte + a >= size)
            );
        }

        #[test]
        fn requested_part_always_lies_within_the_file(
            header in "(bytes=)?[-0-9, a=]{0,24}|.*", size in any::<u64>()
        ) {
            if let RequestedRange::Part(ByteRange { first, last }) = parse(&header, size) {
                prop_assert!(first <= last && last < size);
            }
        }
    }
}
