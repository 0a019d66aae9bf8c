//! Fuzzes the headers of uploads. Numbers must be whole decimal numbers, checksums must have the length of their algorithm, and no
//! file name may lead out of its folder, be hidden, or be too long for a file system.

#![no_main]

use std::path::{Component, Path};

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use lockstep::http::fuzzing::upload_headers;

/// Names of the header fields. The input's lines are their values.
const HEADER_NAMES: [HeaderName; 4] = [
    HeaderName::from_static("upload-length"),
    HeaderName::from_static("upload-offset"),
    HeaderName::from_static("upload-checksum"),
    HeaderName::from_static("upload-metadata"),
];
/// The longest name that common file systems allow, in bytes.
const MAX_NAME_BYTES: usize = 255;
const MAX_TITLE_CHARS: usize = 300;

fuzz_target!(|input: &[u8]| {
    let mut headers = HeaderMap::new();
    // A field that is repeated after the last name means two fields.
    for (name, line) in HEADER_NAMES
        .iter()
        .cycle()
        .zip(input.split(|byte| *byte == b'\n'))
    {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(name, value);
        }
    }
    let parsed = upload_headers(&headers);
    assert_eq!(parsed.length, single_number(&headers, &HEADER_NAMES[0]));
    assert_eq!(parsed.offset, single_number(&headers, &HEADER_NAMES[1]));
    let sizes = [None, Some(("sha1", 20)), Some(("sha256", 32))];
    assert!(sizes.contains(&parsed.checksum), "{:?}", parsed.checksum);
    let Some((name, title)) = parsed.metadata else {
        return;
    };
    let mut parts = Path::new(&name).components();
    let is_one_name = matches!(
        (parts.next(), parts.next()),
        (Some(Component::Normal(_)), None)
    );
    let is_harmless = !name.contains(['/', '\\', '\0']) && !name.starts_with(['.', ' ']);
    assert!(is_one_name && is_harmless, "{name:?}");
    assert!(name.len() <= MAX_NAME_BYTES, "{name:?}");
    for text in [Some(name), title].into_iter().flatten() {
        assert!(!text.chars().any(char::is_control), "{text:?}");
        assert!(text.chars().count() <= MAX_TITLE_CHARS && !text.is_empty());
    }
});

/// The number in the field `name`; `None` unless there is one field of digits below 2^64.
fn single_number(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    let mut values = headers.get_all(name).iter();
    let (value, None) = (values.next()?.as_bytes(), values.next()) else {
        return None;
    };
    (!value.is_empty()).then_some(())?;
    value.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}
