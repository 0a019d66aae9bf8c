//! `If-Match-Event`: exactly one number in plain digits is one, whatever else comes is refused.

#![no_main]

use hyper::HeaderMap;
use hyper::header::HeaderValue;
use libfuzzer_sys::fuzz_target;
use lockstep::http::fuzzing::if_match_event;

fuzz_target!(|input: &[u8]| {
    let mut headers = HeaderMap::new();
    let mut fields = Vec::new();
    for line in input.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append("if-match-event", value);
            fields.push(line);
        }
    }
    let mut wanted = None;
    if let [digits] = fields[..] {
        let count = |count: u64, digit: u8| {
            let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
            count.checked_mul(10)?.checked_add(digit)
        };
        let all = || digits.iter().try_fold(0, |sum, digit| count(sum, *digit));
        wanted = Some(digits)
            .filter(|digits| !digits.is_empty())
            .and_then(|_| all());
    }
    assert_eq!(if_match_event(&headers), wanted, "{fields:?}");
});
