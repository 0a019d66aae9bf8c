//! `Range` alone, and with every condition that may stand beside it: what is sent is a part of the file, and the part that was
//! asked for.

#![no_main]

use hyper::HeaderMap;
use hyper::header::{
    HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, RANGE,
};
use libfuzzer_sys::fuzz_target;
use lockstep::http::fuzzing::{Nothing, conditions, range};

/// In the order of the input's lines; several of one name make several fields.
const NAMES: [HeaderName; 7] = [
    RANGE,
    IF_RANGE,
    IF_NONE_MATCH,
    IF_MATCH,
    IF_MODIFIED_SINCE,
    IF_UNMODIFIED_SINCE,
    IF_NONE_MATCH,
];

fuzz_target!(|input: &[u8]| {
    let Some((size, lines)) = input.split_first_chunk() else {
        return;
    };
    let size = u64::from_le_bytes(*size);
    let mut headers = HeaderMap::new();
    for (name, line) in NAMES.into_iter().zip(lines.split(|byte| *byte == b'\n')) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(name, value);
        }
    }
    for etag in ["\"1-2\"", "\"\""] {
        within(conditions(&headers, etag, size), size);
    }
    let Some(header) = headers.get(RANGE).and_then(|range| range.to_str().ok()) else {
        return;
    };
    let answer = range(header, size);
    within(answer, size);
    if let Some((first, last)) = plain(header).filter(|_| size > 0) {
        let wanted = match (first, last) {
            (Some(first), Some(last)) if first > last => return,
            (Some(first), _) if first >= u128::from(size) => Err(Nothing),
            (Some(first), last) => Ok((first, last.unwrap_or(u128::MAX))),
            (None, Some(0)) => Err(Nothing),
            (None, Some(suffix)) => Ok((u128::from(size).saturating_sub(suffix), u128::MAX)),
            (None, None) => return,
        };
        let end = u128::from(size - 1);
        let wanted = wanted.map(|(first, last)| (first, last.min(end)));
        let got = answer.map(|part| part.expect("one part was asked for"));
        let got = got.map(|(first, last)| (u128::from(first), u128::from(last)));
        assert_eq!(got, wanted, "{header:?} of {size} bytes");
    }
});

fn within(answer: Result<Option<(u64, u64)>, Nothing>, size: u64) {
    if let Ok(Some((first, last))) = answer {
        assert!(first <= last && last < size, "{first}-{last} of {size}");
    }
}

/// Both ends of a range that is spelled in the plainest way, as far as they are there and short enough for 128 bits.
fn plain(header: &str) -> Option<(Option<u128>, Option<u128>)> {
    let (first, last) = header.strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| match text {
        "" => Some(None),
        _ if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok().map(Some),
        _ => None,
    };
    Some((number(first)?, number(last)?))
}
