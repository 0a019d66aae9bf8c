//! What was played: `GET /history` and `GET /plays`.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderValue, VARY};
use hyper::{HeaderMap, Response};

use super::body::full;
use super::call::Call;
use super::error::ApiError;
use super::gate::PairedDevice;
use super::{Body, json};
use crate::history::HistoryEntry;

/// The number of entries without the parameter `limit`.
const DEFAULT_LIMIT: usize = 50;
/// The largest `limit`.
const MAX_LIMIT: usize = 200;
/// The first line of the CSV form.
const CSV_HEADER: &str = "id,trackId,title,artist,startedAt,heardSec,by,endedReason,endedBy\r\n";

/// `GET /history`: what was played, the newest first, as JSON or as CSV (RFC 4180).
///
/// # Errors
/// 400 for an invalid `limit`.
pub(super) fn history(
    call: &Call<'_>,
    paired: &PairedDevice<'_>,
) -> Result<Response<Body>, ApiError> {
    let query = HistoryQuery::parse(call.head.uri().query().unwrap_or_default())?;
    let history = paired.hub.history();
    let entries = match query.before {
        Before::Nothing => history.newest(query.limit, None),
        Before::Entry(id) => history.newest(query.limit, Some(id)),
        Before::UnknownEntry => Vec::new(),
    };
    let mut response = if prefers_csv(call.headers()) {
        let mut response = Response::new(full(csv(&entries)));
        response.headers_mut().insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/csv; charset=utf-8; header=present"),
        );
        response
    } else {
        json(&entries)
    };
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    Ok(response)
}

/// `GET /plays`: how often each track was played, and when last.
pub(super) fn plays(paired: &PairedDevice<'_>) -> Response<Body> {
    json(&paired.hub.history().plays())
}

/// The entry before which those in the response are.
#[derive(Debug, PartialEq)]
enum Before {
    Nothing,
    Entry(u64),
    /// The parameter is no id, so there is no such entry.
    UnknownEntry,
}

#[derive(Debug, PartialEq)]
struct HistoryQuery {
    limit: usize,
    before: Before,
}

impl HistoryQuery {
    fn parse(query: &str) -> Result<Self, ApiError> {
        let mut parsed = HistoryQuery {
            limit: DEFAULT_LIMIT,
            before: Before::Nothing,
        };
        for parameter in query.split('&') {
            match parameter.split_once('=') {
                Some(("limit", value)) => {
                    let limit = value.parse().ok();
                    let limit = limit.filter(|limit| (1..=MAX_LIMIT).contains(limit));
                    parsed.limit = limit.ok_or_else(|| {
                        ApiError::BadRequest(format!(
                            "The parameter limit must be a number from 1 to {MAX_LIMIT}"
                        ))
                    })?;
                }
                Some(("before", value)) => {
                    parsed.before = value.parse().map_or(Before::UnknownEntry, Before::Entry);
                }
                _ => {}
            }
        }
        Ok(parsed)
    }
}

/// Whether the header `Accept` prefers `text/csv` to `application/json`. Ranges with wildcards count for JSON only.
fn prefers_csv(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    let (mut csv, mut json) = (0.0, 0.0);
    for range in texts.flat_map(|text| text.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let mut weights =
            parts.filter_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        let weight = weights
            .next_back()
            .map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
        match name.as_str() {
            "text/csv" => csv = weight,
            "application/json" => json = f64::max(json, weight),
            _ => {}
        }
    }
    csv > json
}

fn csv(entries: &[Arc<HistoryEntry>]) -> String {
    let mut text = CSV_HEADER.to_owned();
    for entry in entries {
        let member = |member: Option<_>| {
            member.map_or(String::new(), |m: crate::room::MemberId| m.to_string())
        };
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "{},{},{},{},{},{},{},{},{}\r\n",
            entry.id,
            entry.track_id,
            csv_field(entry.title.as_deref().unwrap_or_default()),
            csv_field(entry.artist.as_deref().unwrap_or_default()),
            csv_field(&entry.started_at),
            entry.heard_sec,
            member(entry.by),
            csv_field(&entry.ended.reason),
            member(entry.ended.by),
        );
    }
    text
}

/// A field in quotes if it needs them. A spreadsheet would calculate a title that begins like a formula, so such a text gets an
/// apostrophe (<https://owasp.org/www-community/attacks/CSV_Injection>).
fn csv_field(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        return csv_field(&format!("'{text}")).into_owned().into();
    }
    if text.contains(['"', ',', '\r', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\"")).into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::HistoryEnd;
    use crate::room::{MemberId, TrackId};

    #[test]
    fn query_has_defaults_and_limits() {
        let parse = |query: &str| HistoryQuery::parse(query).ok();
        let query = |limit, before| Some(HistoryQuery { limit, before });
        assert_eq!(parse(""), query(50, Before::Nothing));
        assert_eq!(parse("limit=1"), query(1, Before::Nothing));
        assert_eq!(parse("before=7&limit=200"), query(200, Before::Entry(7)));
        assert_eq!(parse("before=x&other=1"), query(50, Before::UnknownEntry));
        for invalid in [
            "limit=0",
            "limit=201",
            "limit=",
            "limit=-1",
            "limit=1.5",
            "limit=x",
        ] {
            assert_eq!(parse(invalid), None, "{invalid}");
        }
    }

    #[test]
    fn csv_is_sent_only_to_clients_that_prefer_it() {
        for (accept, expected) in [
            ("text/csv", true),
            ("TEXT/CSV; charset=utf-8", true),
            ("text/csv, application/json;q=0.5", true),
            ("application/json, text/csv;q=0.9", false),
            ("text/csv;q=0", false),
            ("*/*", false),
            ("text/html, */*;q=0.1", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(prefers_csv(&headers), expected, "{accept}");
        }
        assert!(!prefers_csv(&HeaderMap::new()));
    }

    #[test]
    fn csv_fields_are_no_formulas() {
        for (text, field) in [
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("=HYPERLINK(\"a\",1)", "\"'=HYPERLINK(\"\"a\"\",1)\""),
            ("1-1=0", "1-1=0"),
            ("", ""),
        ] {
            assert_eq!(csv_field(text), field);
        }
    }

    #[test]
    fn csv_quotes_what_would_end_a_field() {
        let entry = HistoryEntry {
            id: 3,
            track_id: TrackId(0xab),
            title: Some("One, \"two\"\nthree".into()),
            artist: None,
            started_at: "2001-05-03T07:08:09Z".into(),
            heard_sec: 12.5,
            by: None,
            ended: HistoryEnd {
                reason: "next".into(),
                by: Some(MemberId(2)),
            },
        };
        let text = csv(&[Arc::new(entry)]);
        let expected = "3,00000000000000ab,\"One, \"\"two\"\"\nthree\",,2001-05-03T07:08:09Z,12.5,,next,m2\r\n";
        assert_eq!(text.strip_prefix(CSV_HEADER), Some(expected));
    }
}
