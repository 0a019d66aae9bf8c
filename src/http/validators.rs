//! Conditional requests: RFC 9110, section 13. Pure.

use std::time::SystemTime;

use hyper::HeaderMap;
use hyper::header::{
    HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};

use super::range::{self, Asked};

/// What tells one state of a resource from another.
#[derive(Debug, Clone)]
pub(super) struct Validators {
    /// A strong entity tag, quotes included.
    pub(super) etag: String,
    /// When it last changed, if that is known.
    pub(super) modified: Option<SystemTime>,
}

impl Validators {
    /// A date that the wire cannot spell (before 1970, after 9999) is none.
    pub(super) fn new(etag: String, modified: Option<SystemTime>) -> Self {
        let since = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).ok();
        let spelled =
            |time: &SystemTime| since(*time).is_some_and(|since| since.as_secs() < YEAR_10000);
        Validators {
            etag,
            modified: modified.filter(spelled),
        }
    }
}

/// In seconds since 1970.
const YEAR_10000: u64 = 253_402_300_800;

/// What a GET or HEAD with conditions comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Answer with what was asked for.
    Send(Asked),
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

/// Evaluates the conditions in the order of section 13.2.2, for a resource of `size` bytes.
pub(super) fn evaluate(headers: &HeaderMap, validators: &Validators, size: u64) -> Outcome {
    if headers.contains_key(IF_MATCH) {
        if !lists(headers, IF_MATCH, &validators.etag, false) {
            return Outcome::Failed;
        }
    } else if date(headers, IF_UNMODIFIED_SINCE)
        .is_some_and(|since| changed_after(validators, since) == Some(true))
    {
        return Outcome::Failed;
    }
    if headers.contains_key(IF_NONE_MATCH) {
        if lists(headers, IF_NONE_MATCH, &validators.etag, true) {
            return Outcome::NotModified;
        }
    } else if date(headers, IF_MODIFIED_SINCE)
        .is_some_and(|since| changed_after(validators, since) == Some(false))
    {
        return Outcome::NotModified;
    }
    let asked = match headers.get(RANGE).and_then(|range| range.to_str().ok()) {
        Some(range) if range_still_applies(headers, validators) => range::parse(range, size),
        _ => Asked::Whole,
    };
    Outcome::Send(asked)
}

/// `If-Range` (13.1.5): the very same entity tag, or the very same date.
fn range_still_applies(headers: &HeaderMap, validators: &Validators) -> bool {
    let Some(condition) = headers.get(IF_RANGE) else {
        return true;
    };
    match condition.to_str() {
        Ok(tag) if tag.contains('"') => tag.trim() == validators.etag,
        Ok(text) => httpdate::parse_http_date(text).is_ok_and(|date| {
            validators
                .modified
                .is_some_and(|modified| whole_seconds(modified) == whole_seconds(date))
        }),
        Err(_) => false,
    }
}

/// Whether a list of entity tags names `etag`; a weak comparison (8.8.3.2) lets weak tags match too.
fn lists(headers: &HeaderMap, name: HeaderName, etag: &str, weak: bool) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag == etag || (weak && tag.strip_prefix("W/") == Some(etag)))
}

fn date(headers: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

/// With the resolution that dates have on the wire. Unknown of what has no date: then the RFC has the
/// condition ignored.
fn changed_after(validators: &Validators, date: SystemTime) -> Option<bool> {
    let modified = validators.modified?;
    Some(whole_seconds(modified) > whole_seconds(date))
}

fn whole_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::range::ByteRange;
    use super::*;

    const PART: Outcome = Outcome::Send(Asked::Part(ByteRange { first: 0, last: 4 }));
    const WHOLE: Outcome = Outcome::Send(Asked::Whole);

    #[test]
    fn conditions_are_evaluated_in_the_order_of_the_rfc() {
        let changed = SystemTime::UNIX_EPOCH + Duration::from_millis(1_000_000_000_500);
        let validators = Validators::new("\"v1\"".into(), Some(changed));
        let same = httpdate::fmt_http_date(changed);
        let earlier = httpdate::fmt_http_date(changed - Duration::from_secs(60));
        let later = httpdate::fmt_http_date(changed + Duration::from_secs(60));
        let range = ("range", "bytes=0-4");
        let cases: [(&[(&'static str, &str)], Outcome); 18] = [
            (&[], WHOLE),
            (&[range], PART),
            (&[("if-none-match", "\"v1\"")], Outcome::NotModified),
            (&[("if-none-match", "W/\"v1\"")], Outcome::NotModified),
            (&[("if-none-match", "\"v0\", \"v1\"")], Outcome::NotModified),
            (&[("if-none-match", "*")], Outcome::NotModified),
            (&[("if-none-match", "\"v0\"")], WHOLE),
            (
                &[("if-none-match", "\"v0\""), ("if-modified-since", &later)],
                WHOLE,
            ),
            (&[("if-modified-since", &same)], Outcome::NotModified),
            (&[("if-modified-since", &earlier)], WHOLE),
            (&[("if-modified-since", "yesterday")], WHOLE),
            (&[("if-match", "\"v0\"")], Outcome::Failed),
            (&[("if-match", "W/\"v1\"")], Outcome::Failed),
            (
                &[("if-match", "\"v1\""), ("if-unmodified-since", &earlier)],
                WHOLE,
            ),
            (&[("if-unmodified-since", &earlier)], Outcome::Failed),
            (&[range, ("if-range", "\"v1\"")], PART),
            (&[range, ("if-range", "\"v0\"")], WHOLE),
            (&[range, ("if-range", &same)], PART),
        ];
        for (given, expected) in cases {
            let mut headers = HeaderMap::new();
            for (name, value) in given {
                headers.insert(HeaderName::from_static(name), value.parse().unwrap());
            }
            assert_eq!(evaluate(&headers, &validators, 100), expected, "{given:?}");
        }
    }

    #[test]
    fn what_has_no_date_that_can_be_told_knows_no_conditions_on_dates() {
        let far = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        for modified in [None, Some(far)] {
            let validators = Validators::new("\"v1\"".into(), modified);
            for name in ["if-modified-since", "if-unmodified-since"] {
                let mut headers = HeaderMap::new();
                let date = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH);
                headers.insert(HeaderName::from_static(name), date.parse().unwrap());
                assert_eq!(evaluate(&headers, &validators, 100), WHOLE, "{name}");
            }
        }
    }
}
