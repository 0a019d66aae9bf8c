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
    let Some((unit, set)) = header.split_once('=') else {
        return Asked::Whole;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Asked::Whole;
    }
    let Some((first, last)) = set.trim().split_once('-') else {
        return Asked::Whole;
    };
    match (number(first), number(last)) {
        (Number::Of(first), Number::Absent) => part(first, u64::MAX, size),
        (Number::Of(first), Number::Of(last)) if first <= last => part(first, last, size),
        (Number::Absent, Number::Of(0)) => Asked::Nothing,
        (Number::Absent, Number::Of(length)) if size > 0 => {
            part(size.saturating_sub(length), u64::MAX, size)
        }
        (Number::Absent, Number::Of(_)) => Asked::Nothing,
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
    use super::*;

    fn part_of(first: u64, last: u64) -> Asked {
        Asked::Part(ByteRange { first, last })
    }

    #[test]
    fn the_examples_of_rfc_9110_and_their_neighbours() {
        let huge = u128::MAX.to_string();
        for (header, expected) in [
            ("bytes=0-499", part_of(0, 499)),
            ("bytes=500-999", part_of(500, 999)),
            ("bytes=-500", part_of(9500, 9999)),
            ("bytes=9500-", part_of(9500, 9999)),
            ("bytes=0-0", part_of(0, 0)),
            ("bytes=-1", part_of(9999, 9999)),
            ("bytes=0-", part_of(0, 9999)),
            ("Bytes = 0-1", part_of(0, 1)),
            ("bytes=9999-20000", part_of(9999, 9999)),
            ("bytes=-20000", part_of(0, 9999)),
            (&format!("bytes=0-{huge}"), part_of(0, 9999)),
            ("bytes=10000-", Asked::Nothing),
            (&format!("bytes={huge}-"), Asked::Nothing),
            ("bytes=-0", Asked::Nothing),
            ("bytes=0-0,-1", Asked::Whole),
            ("bytes=2-1", Asked::Whole),
            ("bytes=", Asked::Whole),
            ("bytes=-", Asked::Whole),
            ("bytes=a-b", Asked::Whole),
            ("bytes=1--2", Asked::Whole),
            ("bytes=+1-2", Asked::Whole),
            ("lines=1-2", Asked::Whole),
            ("", Asked::Whole),
        ] {
            assert_eq!(parse(header, 10_000), expected, "{header}");
        }
    }

    #[test]
    fn an_empty_file_has_no_parts() {
        for header in ["bytes=0-", "bytes=0-0", "bytes=-1"] {
            assert_eq!(parse(header, 0), Asked::Nothing, "{header}");
        }
    }
}
