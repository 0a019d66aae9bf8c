//! Fuzzes `If-Match-Event`. A single field of decimal digits is an event count, and everything else must be rejected.

#![no_main]

use hyper::HeaderMap;
use hyper::header::HeaderValue;
use libfuzzer_sys::fuzz_target;
use lockstep::http::fuzzing::if_match_event;

// Each line of the input is the value of one `If-Match-Event` field.
fuzz_target!(|input: &[u8]| {
    let mut headers = HeaderMap::new();
    let mut field_values = Vec::new();
    for field_value in input.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(field_value) {
            headers.append("if-match-event", value);
            field_values.push(field_value);
        }
    }
    let expected = match field_values[..] {
        [field_value] => parse_event_count(field_value),
        _ => None,
    };
    assert_eq!(if_match_event(&headers), expected, "{field_values:?}");
});

/// The event count in a field value. `None` if the value is empty, has other characters than digits, or exceeds 64 bits.
fn parse_event_count(field_value: &[u8]) -> Option<u64> {
    if field_value.is_empty() {
        return None;
    }
    field_value.iter().try_fold(0_u64, |event_count, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        event_count.checked_mul(10)?.checked_add(digit)
    })
}
