//! `Range`, parsed: RFC 9110, section 14. Pure.

/// A part of a file: first and last byte, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ByteRange {
    pub(super) first: u64,
    pub(super) last: u64,
}

/// What a `Range` header asks of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// The whole: no range, one that is not understood, or several (14.2 lets a server ignore those).
    Whole,
    /// One part that exists.
    Part(ByteRange),
    /// One part, of which the file has nothing.
    Nothing,
}

/// What `header` asks of a file of `size` bytes.
pub(super) fn parse(header: &str, size: u64) -> Asked {
    match header.split_once('=') {
        Some((unit, set)) if unit.eq_ignore_ascii_case("bytes") => parse_set(set, size),
        _ => Asked::Whole,
    }
}

fn parse_set(set: &str, size: u64) -> Asked {
    // Empty elements of a list do not count (5.6.1.2).
    let elements = set
        .split(',')
        .map(|element| element.trim_matches([' ', '\t']));
    let mut elements = elements.filter(|element| !element.is_empty());
    let (Some(only), None) = (elements.next(), elements.next()) else {
        return Asked::Whole;
    };
    let Some((first, last)) = only.split_once('-') else {
        return Asked::Whole;
    };
    match (number(first), number(last)) {
        (Number::Of(first), Number::Absent) => part(first, u64::MAX, size),
        (Number::Of(first), Number::Of(last)) if first <= last => part(first, last, size),
        (Number::Absent, Number::Of(0)) => Asked::Nothing,
        // Of a file without bytes the last ones are the whole, and that is no part that could be told.
        (Number::Absent, Number::Of(_)) if size == 0 => Asked::Whole,
        (Number::Absent, Number::Of(length)) => part(size.saturating_sub(length), u64::MAX, size),
        _ => Asked::Whole,
    }
}

enum Number {
    Absent,
    Of(u64),
    Malformed,
}

/// Digits too many for 64 bits are still a number, past the end of every file.
fn number(text: &str) -> Number {
    if text.is_empty() {
        Number::Absent
    } else if text.bytes().all(|b| b.is_ascii_digit()) {
        Number::Of(text.parse().unwrap_or(u64::MAX))
    } else {
        Number::Malformed
    }
}

fn part(first: u64, last: u64, size: u64) -> Asked {
    if first >= size {
        return Asked::Nothing;
    }
    Asked::Part(ByteRange {
        first,
        last: last.min(size - 1),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn part_of(first: u64, last: u64) -> Asked {
        Asked::Part(ByteRange { first, last })
    }

    #[test]
    fn the_examples_of_rfc_9110_and_their_neighbours() {
        let huge = u128::MAX.to_string();
        for (header, expected) in [
            // 14.1.2: the first and the last byte, both included.
            ("bytes=0-499", part_of(0, 499)),
            ("bytes=500-999", part_of(500, 999)),
            ("bytes=9500-", part_of(9500, 9999)),
            ("bytes=0-0", part_of(0, 0)),
            ("bytes=0-", part_of(0, 9999)),
            ("bytes=00000000000000000000000000001-2", part_of(1, 2)),
            // 14.1.2: a last byte past the end is the last one there is.
            ("bytes=9999-20000", part_of(9999, 9999)),
            (&format!("bytes=0-{huge}"), part_of(0, 9999)),
            // 14.1.2: so many at the end, and no more than there are.
            ("bytes=-500", part_of(9500, 9999)),
            ("bytes=-1", part_of(9999, 9999)),
            ("bytes=-20000", part_of(0, 9999)),
            (&format!("bytes=-{huge}"), part_of(0, 9999)),
            // 14.1.2: what cannot be met.
            ("bytes=10000-", Asked::Nothing),
            ("bytes=10000-10000", Asked::Nothing),
            (&format!("bytes={huge}-"), Asked::Nothing),
            (&format!("bytes={huge}-{huge}"), Asked::Nothing),
            ("bytes=-0", Asked::Nothing),
            // 14.1: units are told apart without regard to case.
            ("Bytes=0-1", part_of(0, 1)),
            ("BYTES=0-1", part_of(0, 1)),
            // 5.6.1.2: a list of one, with white space and empty elements.
            ("bytes= 0-1", part_of(0, 1)),
            ("bytes=0-1 ", part_of(0, 1)),
            ("bytes=,0-1", part_of(0, 1)),
            ("bytes=0-1 ,\t,", part_of(0, 1)),
            // 14.2: several may be ignored.
            ("bytes=0-0,-1", Asked::Whole),
            ("bytes=500-600,601-999", Asked::Whole),
            ("bytes=500-700,601-999", Asked::Whole),
            ("bytes=0-0,20000-", Asked::Whole),
            // 14.1.1: invalid, so it may be ignored.
            ("bytes=2-1", Asked::Whole),
            (&format!("bytes={huge}-1"), Asked::Whole),
            ("bytes=", Asked::Whole),
            ("bytes=,", Asked::Whole),
            ("bytes=-", Asked::Whole),
            ("bytes=a-b", Asked::Whole),
            ("bytes=1-b", Asked::Whole),
            ("bytes=1", Asked::Whole),
            ("bytes=1--2", Asked::Whole),
            ("bytes=--1", Asked::Whole),
            ("bytes=1-2-3", Asked::Whole),
            ("bytes=+1-2", Asked::Whole),
            ("bytes=0x1-2", Asked::Whole),
            ("bytes=1 -2", Asked::Whole),
            ("bytes=\u{661}-\u{662}", Asked::Whole),
            ("bytes =0-1", Asked::Whole),
            ("bytes", Asked::Whole),
            ("", Asked::Whole),
            // 14.2: a unit that is not understood must be ignored.
            ("lines=1-2", Asked::Whole),
            ("=0-1", Asked::Whole),
        ] {
            assert_eq!(parse(header, 10_000), expected, "{header}");
        }
    }

    #[test]
    fn an_empty_file_has_no_parts_and_its_last_bytes_are_the_whole() {
        for (header, expected) in [
            ("bytes=0-", Asked::Nothing),
            ("bytes=0-0", Asked::Nothing),
            ("bytes=-0", Asked::Nothing),
            ("bytes=-1", Asked::Whole),
        ] {
            assert_eq!(parse(header, 0), expected, "{header}");
        }
    }

    /// What is asked for, found by looking at each byte.
    fn by_looking(size: u64, is_asked: impl Fn(u64) -> bool) -> Asked {
        let asked: Vec<_> = (0..size).filter(|byte| is_asked(*byte)).collect();
        match (asked.first(), asked.last()) {
            (Some(first), Some(last)) => part_of(*first, *last),
            _ => Asked::Nothing,
        }
    }

    proptest! {
        #[test]
        fn a_part_is_what_looking_at_each_byte_finds(
            size in 1..60_u64, a in 0..80_u64, b in 0..80_u64
        ) {
            let (first, last) = (a.min(b), a.max(b));
            prop_assert_eq!(
                parse(&format!("bytes={first}-{last}"), size),
                by_looking(size, |byte| (first..=last).contains(&byte))
            );
            prop_assert_eq!(
                parse(&format!("bytes={first}-"), size),
                by_looking(size, |byte| byte >= first)
            );
            prop_assert_eq!(
                parse(&format!("bytes=-{a}"), size),
                by_looking(size, |byte| byte + a >= size)
            );
        }

        #[test]
        fn whatever_is_asked_a_part_lies_within_the_file(
            header in "(bytes=)?[-0-9, a=]{0,24}|.*", size in any::<u64>()
        ) {
            if let Asked::Part(ByteRange { first, last }) = parse(&header, size) {
                prop_assert!(first <= last && last < size);
            }
        }
    }
}
