//! Evaluates the preconditions of conditional requests (RFC 9110, section 13). Section numbers below refer to this RFC.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::HeaderMap;
use hyper::header::{
    HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, RANGE,
};

use super::range::{self, RequestedRange};

/// The validators of a resource (8.8): metadata that change whenever its content changes.
#[derive(Debug, Clone)]
pub(in crate::http) struct Validators {
    /// A strong entity tag, with its quotes.
    pub(in crate::http) etag: String,
    /// The time of the last change of the content or later, if known.
    pub(super) modified: Option<LastModified>,
}

impl Validators {
    pub(in crate::http) fn new(etag: String, modified: Option<LastModified>) -> Self {
        Validators { etag, modified }
    }
}

/// The time of a resource's last change, in whole seconds since 1970, because HTTP dates have this resolution.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct LastModified {
    at: u64,
    /// The time of the request, in whole seconds since 1970.
    now: u64,
}

/// The first second that an HTTP date cannot express, in seconds since 1970.
const YEAR_10000: u64 = 253_402_300_800;

impl LastModified {
    /// A change at `at`, for a request at `now`. `None` if an HTTP date cannot express `at` (before 1970 or after 9999).
    pub(in crate::http) fn new(at: SystemTime, now: SystemTime) -> Option<Self> {
        let (at, now) = (seconds_since_1970(at)?, seconds_since_1970(now)?);
        (at < YEAR_10000).then_some(LastModified { at, now })
    }

    /// The value of `Last-Modified`: the time of the change, if its second is over. Before then, or if the change is in the
    /// future, the last second that is over: another change may follow, so the date of this second must not match later.
    pub(super) fn header_time(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.at.min(self.now.saturating_sub(1)))
    }

    /// Whether the change is later than `date`, in whole seconds since 1970.
    fn is_after(self, date: u64) -> bool {
        self.at > date
    }
}

/// `time` in whole seconds since 1970; `None` if it is earlier.
fn seconds_since_1970(time: SystemTime) -> Option<u64> {
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    Some(since.as_secs())
}

/// The result of evaluating the preconditions of a GET or HEAD request.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::http) enum ConditionalResult {
    /// Send the requested part.
    Send(RequestedRange),
    /// Respond with 304.
    NotModified,
    /// Respond with 412.
    PreconditionFailed,
}

/// Evaluates preconditions in the order of section 13.2.2, for a resource of `size` bytes.
pub(in crate::http) fn evaluate(
    headers: &HeaderMap,
    validators: &Validators,
    size: u64,
) -> ConditionalResult {
    let modified = validators.modified;
    if headers.contains_key(IF_MATCH) {
        if !matches_etag(headers, IF_MATCH, &validators.etag, Comparison::Strong) {
            return ConditionalResult::PreconditionFailed;
        }
    } else if changed_since(headers, IF_UNMODIFIED_SINCE, modified) == Some(true) {
        return ConditionalResult::PreconditionFailed;
    }
    if headers.contains_key(IF_NONE_MATCH) {
        if matches_etag(headers, IF_NONE_MATCH, &validators.etag, Comparison::Weak) {
            return ConditionalResult::NotModified;
        }
    } else if changed_since(headers, IF_MODIFIED_SINCE, modified) == Some(false) {
        return ConditionalResult::NotModified;
    }
    let range = match single_value(headers, RANGE).and_then(|range| range.to_str().ok()) {
        Some(range) if if_range_matches(headers, validators) => range::parse(range, size),
        _ => RequestedRange::Whole,
    };
    ConditionalResult::Send(range)
}

/// The value of a field that is not a list; `None` if the request has none or several.
fn single_value(headers: &HeaderMap, name: HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// The HTTP date in a field value, in whole seconds since 1970; `None` if the value is no valid date.
fn date(value: &HeaderValue) -> Option<u64> {
    seconds_since_1970(httpdate::parse_http_date(value.to_str().ok()?).ok()?)
}

/// Whether the resource has changed since the date in the field. `None` if the field has no valid date or the time of the
/// last change is unknown; the server must then ignore the condition (13.1.3, 13.1.4).
fn changed_since(
    headers: &HeaderMap,
    name: HeaderName,
    modified: Option<LastModified>,
) -> Option<bool> {
    let date = date(single_value(headers, name)?)?;
    Some(modified?.is_after(date))
}

/// Whether `If-Range` is absent, or is the entity tag of the current content (13.1.5). A date never matches: two changes within
/// a second have the same date, so the date of a file is no strong validator (8.8.2.2).
fn if_range_matches(headers: &HeaderMap, validators: &Validators) -> bool {
    if !headers.contains_key(IF_RANGE) {
        return true;
    }
    single_value(headers, IF_RANGE)
        .is_some_and(|condition| condition.as_bytes() == validators.etag.as_bytes())
}

/// How to compare entity tags (8.8.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    /// The tags are equal, and neither is weak.
    Strong,
    /// The tags are equal, whether or not they are weak.
    Weak,
}

/// Whether the field is `*`, which matches any resource, or a list that contains the strong entity tag `etag`.
fn matches_etag(headers: &HeaderMap, name: HeaderName, etag: &str, comparison: Comparison) -> bool {
    let mut lists = headers.get_all(&name).iter().map(HeaderValue::as_bytes);
    let same = |(is_weak, tag): (bool, &[u8])| {
        tag == etag.as_bytes() && !(is_weak && comparison == Comparison::Strong)
    };
    single_value(headers, name).is_some_and(|value| value.as_bytes() == b"*")
        || lists.any(|list| entity_tags(list).any(same))
}

/// The entity tags of a list (8.8.3) up to the first syntax error: whether each is weak, and the tag with its quotes. A tag
/// may contain commas and bytes that are not UTF-8.
fn entity_tags(mut list: &[u8]) -> impl Iterator<Item = (bool, &[u8])> {
    std::iter::from_fn(move || {
        let is_separator = |byte: &u8| b" \t,".contains(byte);
        list = &list[list.iter().position(|byte| !is_separator(byte))?..];
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
    const PART: ConditionalResult =
        ConditionalResult::Send(RequestedRange::Part(ByteRange { first: 0, last: 4 }));
    const WHOLE: ConditionalResult = ConditionalResult::Send(RequestedRange::Whole);

    /// Half a second after [`DATE`].
    fn changed() -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(1_000_000_000_500)
    }

    /// The result for a file of 100 bytes that was changed at [`changed`] and is requested this much `later`.
    fn result(fields: &[(&'static str, &str)], later: Duration) -> ConditionalResult {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.append(HeaderName::from_static(name), value);
        }
        let modified = LastModified::new(changed(), changed() + later);
        evaluate(&headers, &Validators::new(ETAG.into(), modified), 100)
    }

    #[test]
    fn evaluates_preconditions_as_rfc_9110_requires() {
        type Case = (
            &'static str,
            &'static [(&'static str, &'static str)],
            ConditionalResult,
        );
        const NOT_MODIFIED: ConditionalResult = ConditionalResult::NotModified;
        const FAILED: ConditionalResult = ConditionalResult::PreconditionFailed;
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
            // Precedence.
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
            // If-Range.
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
            ("13.1.5", &[RANGE_0_4, ("if-range", DATE)], WHOLE),
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
                ConditionalResult::Send(RequestedRange::Unsatisfiable),
            ),
            (
                "15.5.17",
                &[("range", "bytes=900-"), ("if-range", "\"v1\"")],
                ConditionalResult::Send(RequestedRange::Unsatisfiable),
            ),
            // Range is not a list field, so two fields are invalid.
            ("5.3", &[RANGE_0_4, RANGE_0_4], WHOLE),
        ];
        for (section, fields, expected) in cases {
            let result = result(fields, Duration::from_secs(60));
            assert_eq!(result, *expected, "{section}: {fields:?}");
        }
    }

    #[test]
    fn last_modified_matches_later_only_if_its_second_was_over() {
        for (later, expected) in [
            (0, WHOLE),
            (499, WHOLE),
            (500, ConditionalResult::NotModified),
        ] {
            let later = Duration::from_millis(later);
            let modified = LastModified::new(changed(), changed() + later).unwrap();
            let header = httpdate::fmt_http_date(modified.header_time());
            let condition = [("if-modified-since", header.as_str())];
            let much_later = Duration::from_secs(60);
            assert_eq!(result(&condition, much_later), expected, "{later:?} later");
        }
    }

    #[test]
    fn last_modified_is_never_in_the_future() {
        let header = |now| {
            let modified = LastModified::new(changed(), now).unwrap();
            httpdate::fmt_http_date(modified.header_time())
        };
        assert_eq!(header(changed()), EARLIER);
        assert_eq!(header(changed() + Duration::from_secs(9)), DATE);
    }

    #[test]
    fn date_conditions_are_ignored_without_a_valid_modification_time() {
        let now = changed();
        let before = UNIX_EPOCH - Duration::from_secs(1);
        let after = UNIX_EPOCH + Duration::from_secs(YEAR_10000);
        for modified in [
            None,
            LastModified::new(before, now),
            LastModified::new(after, now),
        ] {
            let validators = Validators::new(ETAG.into(), modified);
            for name in ["if-modified-since", "if-unmodified-since"] {
                let mut headers = HeaderMap::new();
                headers.insert(HeaderName::from_static(name), EARLIER.parse().unwrap());
                assert_eq!(evaluate(&headers, &validators, 100), WHOLE, "{name}");
            }
        }
    }
}
