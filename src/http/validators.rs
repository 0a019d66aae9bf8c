//! Conditional requests: RFC 9110, section 13. Pure.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::HeaderMap;
use hyper::header::{
    HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, RANGE,
};

use super::range::{self, Asked};

/// What tells one state of a resource from another.
#[derive(Debug, Clone)]
pub(super) struct Validators {
    /// A strong entity tag, quotes included.
    pub(super) etag: String,
    /// When it last changed, if that is known.
    pub(super) modified: Option<Modified>,
}

impl Validators {
    pub(super) fn new(etag: String, modified: Option<Modified>) -> Self {
        Validators { etag, modified }
    }
}

/// When a resource last changed, in whole seconds since 1970, as the wire has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Modified {
    at: u64,
    now: u64,
}

/// In seconds since 1970.
const YEAR_10000: u64 = 253_402_300_800;

impl Modified {
    /// `None` when the wire cannot spell it (before 1970, after 9999).
    pub(super) fn new(at: SystemTime, now: SystemTime) -> Option<Self> {
        let (at, now) = (seconds(at)?, seconds(now)?);
        (at < YEAR_10000).then_some(Modified { at, now })
    }

    /// As `Last-Modified` tells it: what lies in the future is told as now (8.8.2.1).
    pub(super) fn told(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.at.min(self.now))
    }

    fn is_after(self, date: u64) -> bool {
        self.at > date
    }

    /// Whether that date names this state and surely no other: within its second there may be more changes to come (8.8.2.2).
    fn is_just(self, date: u64) -> bool {
        self.at == date && self.at < self.now
    }
}

fn seconds(time: SystemTime) -> Option<u64> {
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    Some(since.as_secs())
}

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
    let modified = validators.modified;
    if headers.contains_key(IF_MATCH) {
        if !names(headers, IF_MATCH, &validators.etag, Comparison::Strong) {
            return Outcome::Failed;
        }
    } else if changed_since(headers, IF_UNMODIFIED_SINCE, modified) == Some(true) {
        return Outcome::Failed;
    }
    if headers.contains_key(IF_NONE_MATCH) {
        if names(headers, IF_NONE_MATCH, &validators.etag, Comparison::Weak) {
            return Outcome::NotModified;
        }
    } else if changed_since(headers, IF_MODIFIED_SINCE, modified) == Some(false) {
        return Outcome::NotModified;
    }
    let asked = match only(headers, RANGE).and_then(|range| range.to_str().ok()) {
        Some(range) if range_still_applies(headers, validators) => range::parse(range, size),
        _ => Asked::Whole,
    };
    Outcome::Send(asked)
}

/// The value of a field that makes no list; several are none.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

fn date(value: &HeaderValue) -> Option<u64> {
    seconds(httpdate::parse_http_date(value.to_str().ok()?).ok()?)
}

/// Whether the resource has changed since the date in that field. Unknown without either of the two, and then the
/// condition is to be ignored (13.1.3, 13.1.4).
fn changed_since(
    headers: &HeaderMap,
    name: HeaderName,
    modified: Option<Modified>,
) -> Option<bool> {
    let date = date(only(headers, name)?)?;
    Some(modified?.is_after(date))
}

/// `If-Range` (13.1.5): the very same entity tag, or the very same date.
fn range_still_applies(headers: &HeaderMap, validators: &Validators) -> bool {
    if !headers.contains_key(IF_RANGE) {
        return true;
    }
    let Some(condition) = only(headers, IF_RANGE) else {
        return false;
    };
    condition.as_bytes() == validators.etag.as_bytes()
        || date(condition)
            .zip(validators.modified)
            .is_some_and(|(date, modified)| modified.is_just(date))
}

/// How entity tags are compared (8.8.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    /// Two that are equal and not weak.
    Strong,
    /// Two that are equal, whether they are weak or not.
    Weak,
}

/// Whether that field names the resource of that strong `etag`: with `*`, which any is, or in a list of entity tags.
fn names(headers: &HeaderMap, name: HeaderName, etag: &str, comparison: Comparison) -> bool {
    let mut lists = headers.get_all(&name).iter().map(HeaderValue::as_bytes);
    let same = |(is_weak, tag): (bool, &[u8])| {
        tag == etag.as_bytes() && !(is_weak && comparison == Comparison::Strong)
    };
    only(headers, name).is_some_and(|value| value.as_bytes() == b"*")
        || lists.any(|list| entity_tags(list).any(same))
}

/// The entity tags of a list (8.8.3), as far as it is one: whether each is weak, and it itself, quotes included. It may hold a
/// comma, or a byte that is no text.
fn entity_tags(mut list: &[u8]) -> impl Iterator<Item = (bool, &[u8])> {
    std::iter::from_fn(move || {
        let between = |byte: &u8| b" \t,".contains(byte);
        list = &list[list.iter().position(|byte| !between(byte))?..];
        let weak = list.strip_prefix(b"W/");
        let tag = weak.unwrap_or(list);
        let inner = tag.strip_prefix(b"\"")?;
        let length = inner.iter().position(|byte| *byte == b'"')?;
        let (tag, rest) = tag.split_at(length + 2);
        list = rest;
        Some((weak.is_some(), tag))
    })
}

#[cfg(test)]
mod tests {
    use super::super::range::ByteRange;
    use super::*;

    const ETAG: &str = "\"v1\"";
    const DATE: &str = "Sun, 09 Sep 2001 01:46:40 GMT";
    const EARLIER: &str = "Sun, 09 Sep 2001 01:46:39 GMT";
    const LATER: &str = "Sun, 09 Sep 2001 01:46:41 GMT";
    const RANGE_0_4: (&str, &str) = ("range", "bytes=0-4");
    const PART: Outcome = Outcome::Send(Asked::Part(ByteRange { first: 0, last: 4 }));
    const WHOLE: Outcome = Outcome::Send(Asked::Whole);

    /// [`DATE`], and then some.
    fn changed() -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(1_000_000_000_500)
    }

    /// Of a file of 100 bytes that changed then, asked for so much later.
    fn outcome(given: &[(&'static str, &str)], later: Duration) -> Outcome {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.append(HeaderName::from_static(name), value);
        }
        let modified = Modified::new(changed(), changed() + later);
        evaluate(&headers, &Validators::new(ETAG.into(), modified), 100)
    }

    #[test]
    fn conditions_are_evaluated_as_the_rfc_has_them() {
        type Case = (
            &'static str,
            &'static [(&'static str, &'static str)],
            Outcome,
        );
        const NOT_MODIFIED: Outcome = Outcome::NotModified;
        const FAILED: Outcome = Outcome::Failed;
        let cases: &[Case] = &[
            ("", &[], WHOLE),
            ("14.2", &[RANGE_0_4], PART),
            // Weak comparison.
            ("13.1.2", &[("if-none-match", "\"v1\"")], NOT_MODIFIED),
            ("13.1.2", &[("if-none-match", "W/\"v1\"")], NOT_MODIFIED),
            (
                "13.1.2",
                &[("if-none-match", "\"v0\", \"v1\"")],
                NOT_MODIFIED,
            ),
            (
                "13.1.2",
                &[("if-none-match", "\"v0\",,W/\"v1\" ,")],
                NOT_MODIFIED,
            ),
            (
                "5.3",
                &[("if-none-match", "\"v0\""), ("if-none-match", "\"v1\"")],
                NOT_MODIFIED,
            ),
            ("13.1.2", &[("if-none-match", "*")], NOT_MODIFIED),
            ("13.1.2", &[("if-none-match", "\"v0\"")], WHOLE),
            ("13.1.2", &[("if-none-match", "\"v\"")], WHOLE),
            ("13.1.2", &[("if-none-match", "v1")], WHOLE),
            ("13.1.2", &[("if-none-match", "")], WHOLE),
            ("8.8.3", &[("if-none-match", "w/\"v1\"")], WHOLE),
            ("8.8.3", &[("if-none-match", "\"a,*,b\"")], WHOLE),
            (
                "8.8.3",
                &[("if-none-match", "\"a,b\", \"v1\"")],
                NOT_MODIFIED,
            ),
            (
                "8.8.3",
                &[("if-none-match", "\"\u{e9}\", \"v1\"")],
                NOT_MODIFIED,
            ),
            ("13.1.2", &[("if-none-match", "\"v0\", *")], WHOLE),
            // Dates.
            ("13.1.3", &[("if-modified-since", DATE)], NOT_MODIFIED),
            ("13.1.3", &[("if-modified-since", LATER)], NOT_MODIFIED),
            ("13.1.3", &[("if-modified-since", EARLIER)], WHOLE),
            (
                "5.6.7",
                &[("if-modified-since", "Sunday, 09-Sep-01 01:46:40 GMT")],
                NOT_MODIFIED,
            ),
            (
                "5.6.7",
                &[("if-modified-since", "Sun Sep  9 01:46:40 2001")],
                NOT_MODIFIED,
            ),
            ("13.1.3", &[("if-modified-since", "yesterday")], WHOLE),
            (
                "13.1.3",
                &[("if-modified-since", DATE), ("if-modified-since", DATE)],
                WHOLE,
            ),
            ("13.1.4", &[("if-unmodified-since", DATE)], WHOLE),
            ("13.1.4", &[("if-unmodified-since", LATER)], WHOLE),
            ("13.1.4", &[("if-unmodified-since", EARLIER)], FAILED),
            ("13.1.4", &[("if-unmodified-since", "yesterday")], WHOLE),
            (
                "13.1.4",
                &[
                    ("if-unmodified-since", EARLIER),
                    ("if-unmodified-since", EARLIER),
                ],
                WHOLE,
            ),
            // Strong comparison.
            ("13.1.1", &[("if-match", "\"v1\"")], WHOLE),
            ("13.1.1", &[("if-match", "\"v0\", \"v1\"")], WHOLE),
            ("13.1.1", &[("if-match", "*")], WHOLE),
            ("13.1.1", &[("if-match", "\"v0\"")], FAILED),
            ("13.1.1", &[("if-match", "W/\"v1\"")], FAILED),
            ("13.1.1", &[("if-match", "\"v0\", *")], FAILED),
            ("13.1.1", &[("if-match", "")], FAILED),
            // Which goes before which.
            (
                "13.2.2",
                &[("if-match", "\"v0\""), ("if-none-match", "\"v1\"")],
                FAILED,
            ),
            (
                "13.2.2",
                &[("if-match", "\"v1\""), ("if-none-match", "\"v1\"")],
                NOT_MODIFIED,
            ),
            (
                "13.1.4",
                &[("if-match", "\"v1\""), ("if-unmodified-since", EARLIER)],
                WHOLE,
            ),
            (
                "13.2.2",
                &[
                    ("if-unmodified-since", EARLIER),
                    ("if-none-match", "\"v1\""),
                ],
                FAILED,
            ),
            (
                "13.1.3",
                &[("if-none-match", "\"v0\""), ("if-modified-since", LATER)],
                WHOLE,
            ),
            (
                "13.1.3",
                &[("if-none-match", "\"v1\""), ("if-modified-since", EARLIER)],
                NOT_MODIFIED,
            ),
            (
                "13.2.2",
                &[RANGE_0_4, ("if-none-match", "\"v1\"")],
                NOT_MODIFIED,
            ),
            (
                "13.2.2",
                &[RANGE_0_4, ("if-modified-since", DATE)],
                NOT_MODIFIED,
            ),
            ("13.2.2", &[RANGE_0_4, ("if-match", "\"v0\"")], FAILED),
            (
                "14.2",
                &[("range", "bytes=900-"), ("if-none-match", "\"v1\"")],
                NOT_MODIFIED,
            ),
            ("14.2", &[RANGE_0_4, ("if-none-match", "\"v0\"")], PART),
            // If-Range: the same bytes, or the whole.
            ("13.1.5", &[("if-range", "\"v0\"")], WHOLE),
            ("13.1.5", &[RANGE_0_4, ("if-range", "\"v1\"")], PART),
            ("13.1.5", &[RANGE_0_4, ("if-range", "\"v0\"")], WHOLE),
            ("13.1.5", &[RANGE_0_4, ("if-range", "W/\"v1\"")], WHOLE),
            ("13.1.5", &[RANGE_0_4, ("if-range", "*")], WHOLE),
            (
                "13.1.5",
                &[RANGE_0_4, ("if-range", "\"v0\", \"v1\"")],
                WHOLE,
            ),
            ("13.1.5", &[RANGE_0_4, ("if-range", DATE)], PART),
            ("13.1.5", &[RANGE_0_4, ("if-range", EARLIER)], WHOLE),
            ("13.1.5", &[RANGE_0_4, ("if-range", LATER)], WHOLE),
            ("13.1.5", &[RANGE_0_4, ("if-range", "yesterday")], WHOLE),
            (
                "13.1.5",
                &[RANGE_0_4, ("if-range", "\"v1\""), ("if-range", "\"v1\"")],
                WHOLE,
            ),
            (
                "13.1.5",
                &[("range", "bytes=900-"), ("if-range", "\"v0\"")],
                WHOLE,
            ),
            (
                "15.5.17",
                &[("range", "bytes=900-")],
                Outcome::Send(Asked::Nothing),
            ),
            (
                "15.5.17",
                &[("range", "bytes=900-"), ("if-range", "\"v1\"")],
                Outcome::Send(Asked::Nothing),
            ),
            // A field that makes no list.
            ("5.3", &[RANGE_0_4, RANGE_0_4], WHOLE),
        ];
        for (section, given, expected) in cases {
            let outcome = outcome(given, Duration::from_secs(60));
            assert_eq!(outcome, *expected, "{section}: {given:?}");
        }
    }

    #[test]
    fn a_date_names_a_state_only_when_its_second_is_over() {
        let resumed = [RANGE_0_4, ("if-range", DATE)];
        for (later, expected) in [(0, WHOLE), (499, WHOLE), (500, PART)] {
            let later = Duration::from_millis(later);
            assert_eq!(outcome(&resumed, later), expected, "{later:?} later");
        }
    }

    #[test]
    fn a_change_that_lies_in_the_future_is_told_as_now() {
        let told = |now| httpdate::fmt_http_date(Modified::new(changed(), now).unwrap().told());
        assert_eq!(told(changed() - Duration::from_secs(1)), EARLIER);
        assert_eq!(told(changed() + Duration::from_secs(9)), DATE);
    }

    #[test]
    fn what_has_no_date_that_can_be_told_knows_no_conditions_on_dates() {
        let now = changed();
        let before = UNIX_EPOCH - Duration::from_secs(1);
        let after = UNIX_EPOCH + Duration::from_secs(YEAR_10000);
        for modified in [None, Modified::new(before, now), Modified::new(after, now)] {
            let validators = Validators::new(ETAG.into(), modified);
            for name in ["if-modified-since", "if-unmodified-since"] {
                let mut headers = HeaderMap::new();
                headers.insert(HeaderName::from_static(name), EARLIER.parse().unwrap());
                assert_eq!(evaluate(&headers, &validators, 100), WHOLE, "{name}");
            }
        }
    }
}
