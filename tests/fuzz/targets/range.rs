//! Fuzzes `Range` alone and together with conditional header fields. The resulting byte range must be within the file, and must
//! be the requested range.

#![no_main]

use hyper::HeaderMap;
use hyper::header::{
    HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, RANGE,
};
use libfuzzer_sys::fuzz_target;
use lockstep::http::fuzzing::{Unsatisfiable, conditional_range, range};

/// Names of the header fields. The input's lines after the file size are their values. A name that occurs twice means two fields.
const HEADER_NAMES: [HeaderName; 7] = [
    RANGE,
    IF_RANGE,
    IF_NONE_MATCH,
    IF_MATCH,
    IF_MODIFIED_SINCE,
    IF_UNMODIFIED_SINCE,
    IF_NONE_MATCH,
];

fuzz_target!(|input: &[u8]| {
    let Some((file_size, lines)) = input.split_first_chunk() else {
        return;
    };
    let file_size = u64::from_le_bytes(*file_size);
    let mut headers = HeaderMap::new();
    for (name, line) in HEADER_NAMES
        .into_iter()
        .zip(lines.split(|byte| *byte == b'\n'))
    {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(name, value);
        }
    }
    for etag in ["\"1-2\"", "\"\""] {
        assert_within_file(conditional_range(&headers, etag, file_size), file_size);
    }
    let Some(header) = headers.get(RANGE).and_then(|range| range.to_str().ok()) else {
        return;
    };
    let result = range(header, file_size);
    assert_within_file(result, file_size);
    if let Some((first, last)) = parse_simple_range(header).filter(|_| file_size > 0) {
        let expected = match (first, last) {
            (Some(first), Some(last)) if first > last => return,
            (Some(first), _) if first >= u128::from(file_size) => Err(Unsatisfiable),
            (Some(first), last) => Ok((first, last.unwrap_or(u128::MAX))),
            (None, Some(0)) => Err(Unsatisfiable),
            (None, Some(suffix_length)) => Ok((
                u128::from(file_size).saturating_sub(suffix_length),
                u128::MAX,
            )),
            (None, None) => return,
        };
        let last_byte_of_file = u128::from(file_size - 1);
        let expected = expected.map(|(first, last)| (first, last.min(last_byte_of_file)));
        let actual = result.map(|part| part.expect("a single range must not be ignored"));
        let actual = actual.map(|(first, last)| (u128::from(first), u128::from(last)));
        assert_eq!(
            actual, expected,
            "{header:?} for a file of {file_size} bytes"
        );
    }
});

fn assert_within_file(result: Result<Option<(u64, u64)>, Unsatisfiable>, file_size: u64) {
    if let Ok(Some((first, last))) = result {
        assert!(
            first <= last && last < file_size,
            "bytes {first}-{last} of a file of {file_size} bytes"
        );
    }
}

/// The first and the last position of a single range without white space. `None` for other ranges and for numbers above 128 bits.
fn parse_simple_range(header: &str) -> Option<(Option<u128>, Option<u128>)> {
    let (first, last) = header.strip_prefix("bytes=")?.split_once('-')?;
    let parse_number = |text: &str| match text {
        "" => Some(None),
        _ if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok().map(Some),
        _ => None,
    };
    Some((parse_number(first)?, parse_number(last)?))
}
