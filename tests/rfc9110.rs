//! Conformance of file responses with RFC 9110. Each case names the section, the request and the expected response. The test
//! reads the response as raw bytes from the socket.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::raw::{self, RawResponse};
use common::{Phone, Setup, TestServer, music, until};

const FILE_NAME: &str = "track.mp3";
/// The modification time of the file in seconds since 1970, long before its last change, as after a tag editor has restored it.
const MODIFIED_SECS: u64 = 1_000_000_000;

/// A server with one audio file, and a paired device.
struct ServedFile {
    server: TestServer,
    phone: Phone,
    path: String,
    etag: String,
    bytes: Vec<u8>,
    /// The time of the last change of the file, in seconds since 1970.
    changed: u64,
}

impl ServedFile {
    async fn start(modified: SystemTime) -> ServedFile {
        let setup = Setup::empty();
        let bytes = fs::read(music::fixture("mp3")).unwrap();
        fs::write(setup.audio().join(FILE_NAME), &bytes).unwrap();
        let file = File::options()
            .write(true)
            .open(setup.audio().join(FILE_NAME));
        let file = file.unwrap();
        file.set_modified(modified).unwrap();
        let changed = file.metadata().unwrap().ctime().try_into().unwrap();
        let server = setup.start().await;
        let phone = Phone::pair(&server).await;
        let path = format!("/file/{}", phone.current_track());
        let complete = phone.get(&path).await.expect(200);
        let etag = complete
            .header("etag")
            .expect("the response has no ETag")
            .to_owned();
        ServedFile {
            server,
            phone,
            path,
            etag,
            bytes,
            changed,
        }
    }

    /// Sends a request for the file on a new connection, and reads until the server closes the connection.
    async fn ask(&self, method: &str, fields: &[String]) -> RawResponse {
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        let request = format!(
            "{method} {} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nConnection: close\r\n{fields}\r\n",
            self.path, self.phone.token
        );
        raw::send(self.server.address(), request).await
    }

    /// Replaces each placeholder in a header field, for example `{size}`, by this file's value.
    fn fill_placeholders(&self, field: &str) -> String {
        let size = self.bytes.len();
        field
            .replace("{etag}", &self.etag)
            .replace("{size}", &size.to_string())
            .replace("{last}", &(size - 1).to_string())
            .replace("{date}", &http_date(self.changed))
            .replace("{earlier}", &http_date(self.changed - 1))
            .replace("{later}", &http_date(self.changed + 1))
            .replace("{rfc 850}", &obsolete_dates(&http_date(self.changed))[0])
            .replace("{asctime}", &obsolete_dates(&http_date(self.changed))[1])
    }
}

fn http_date(seconds: u64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
}

/// A date in the two obsolete formats of section 5.6.7.
fn obsolete_dates(date: &str) -> [String; 2] {
    let parts: Vec<_> = date
        .split([' ', ','])
        .filter(|part| !part.is_empty())
        .collect();
    let [weekday, day, month, year, time, _] = parts[..] else {
        panic!("{date}");
    };
    let rest = match weekday {
        "Tue" => "sday",
        "Wed" => "nesday",
        "Thu" => "rsday",
        "Sat" => "urday",
        _ => "day",
    };
    let day_number: u8 = day.parse().unwrap();
    [
        format!("{weekday}{rest}, {day}-{month}-{} {time} GMT", &year[2..]),
        format!("{weekday} {month} {day_number:>2} {time} {year}"),
    ]
}

/// The expected status and body.
#[derive(Debug, Clone, Copy)]
enum Expected {
    /// 200 with the whole file.
    WholeFile,
    /// 206 with this range; negative ends count from the end of the file.
    ByteRange(i64, i64),
    /// 304 without a body.
    NotModified,
    /// 412 with a problem document.
    PreconditionFailed,
    /// 416 with a problem document.
    RangeNotSatisfiable,
}

use Expected::{ByteRange, NotModified, PreconditionFailed, RangeNotSatisfiable, WholeFile};

/// A request and the expected response.
struct Case {
    /// The section of RFC 9110 that requires this response.
    section: &'static str,
    method: &'static str,
    /// Header fields of the request, with the placeholders of [`ServedFile::fill_placeholders`].
    fields: &'static [&'static str],
    expected: Expected,
}

const fn case(
    section: &'static str,
    method: &'static str,
    fields: &'static [&'static str],
    expected: Expected,
) -> Case {
    Case {
        section,
        method,
        fields,
        expected,
    }
}

const CASES: &[Case] = &[
    // 8.6, 9.3.2: a response to HEAD has the metadata of the response to GET.
    case("8.6", "GET", &[], WholeFile),
    case("9.3.2", "HEAD", &[], WholeFile),
    // 14.1.2: byte ranges.
    case("14.1.2", "GET", &["Range: bytes=0-0"], ByteRange(0, 0)),
    case("14.1.2", "GET", &["Range: bytes=0-"], ByteRange(0, -1)),
    case("14.1.2", "GET", &["Range: bytes=1-"], ByteRange(1, -1)),
    case(
        "14.1.2",
        "GET",
        &["Range: bytes=100-199"],
        ByteRange(100, 199),
    ),
    case(
        "14.1.2",
        "GET",
        &["Range: bytes={last}-"],
        ByteRange(-1, -1),
    ),
    case(
        "14.1.2",
        "GET",
        &["Range: bytes=0-{last}"],
        ByteRange(0, -1),
    ),
    case(
        "14.1.2",
        "GET",
        &["Range: bytes=0-{size}"],
        ByteRange(0, -1),
    ),
    case(
        "14.1.2",
        "GET",
        &["Range: bytes=5-99999999999"],
        ByteRange(5, -1),
    ),
    case(
        "14.1.2",
        "GET",
        &["Range: bytes=5-99999999999999999999999999"],
        ByteRange(5, -1),
    ),
    case("14.1.2", "GET", &["Range: bytes=-1"], ByteRange(-1, -1)),
    case("14.1.2", "GET", &["Range: bytes=-100"], ByteRange(-100, -1)),
    case("14.1.2", "GET", &["Range: bytes=-{size}"], ByteRange(0, -1)),
    case(
        "14.1.2",
        "GET",
        &["Range: bytes=-99999999999"],
        ByteRange(0, -1),
    ),
    case("14.1", "GET", &["Range: Bytes=0-9"], ByteRange(0, 9)),
    case("5.6.1.2", "GET", &["Range: bytes=, 0-9 ,"], ByteRange(0, 9)),
    // 15.5.17: unsatisfiable ranges.
    case(
        "15.5.17",
        "GET",
        &["Range: bytes={size}-"],
        RangeNotSatisfiable,
    ),
    case(
        "15.5.17",
        "GET",
        &["Range: bytes={size}-{size}"],
        RangeNotSatisfiable,
    ),
    case(
        "15.5.17",
        "GET",
        &["Range: bytes=9999999-"],
        RangeNotSatisfiable,
    ),
    case(
        "15.5.17",
        "GET",
        &["Range: bytes=99999999999999999999999999-"],
        RangeNotSatisfiable,
    ),
    case("14.1.2", "GET", &["Range: bytes=-0"], RangeNotSatisfiable),
    // 14.2, 14.1.1: the server ignores other units, several ranges, invalid ranges, and a Range field of HEAD.
    case("14.2", "GET", &["Range: seconds=0-1"], WholeFile),
    case("14.2", "GET", &["Range: bytes=0-0,-1"], WholeFile),
    case("14.2", "GET", &["Range: bytes=0-1, 3-4"], WholeFile),
    case(
        "14.2",
        "GET",
        &["Range: bytes=0-,0-,0-,0-,0-,0-,0-,0-"],
        WholeFile,
    ),
    case(
        "5.3",
        "GET",
        &["Range: bytes=0-1", "Range: bytes=3-4"],
        WholeFile,
    ),
    case("14.1.1", "GET", &["Range: bytes=7-6"], WholeFile),
    case("14.1.1", "GET", &["Range: bytes=-"], WholeFile),
    case("14.1.1", "GET", &["Range: bytes="], WholeFile),
    case("14.1.1", "GET", &["Range: bytes"], WholeFile),
    case("14.1.1", "GET", &["Range: bytes=a-b"], WholeFile),
    case("14.1.1", "GET", &["Range: bytes=0x1-2"], WholeFile),
    case("14.1.1", "GET", &["Range: bytes=+1-2"], WholeFile),
    case("14.1.1", "GET", &["Range: bytes=1--2"], WholeFile),
    case("14.1.1", "GET", &["Range: bytes=--1"], WholeFile),
    case("14.1.1", "GET", &["Range: bytes=1-2-3"], WholeFile),
    case("14.2", "HEAD", &["Range: bytes=0-0"], WholeFile),
    case("14.2", "HEAD", &["Range: bytes={size}-"], WholeFile),
    case(
        "14.2",
        "HEAD",
        &["Range: bytes=0-0", "If-Range: {etag}"],
        WholeFile,
    ),
    // 13.1.1: If-Match compares strongly.
    case("13.1.1", "GET", &["If-Match: {etag}"], WholeFile),
    case("13.1.1", "GET", &["If-Match: \"other\", {etag}"], WholeFile),
    case("13.1.1", "GET", &["If-Match: *"], WholeFile),
    case(
        "13.1.1",
        "GET",
        &["If-Match: \"other\""],
        PreconditionFailed,
    ),
    case(
        "13.1.1",
        "HEAD",
        &["If-Match: \"other\""],
        PreconditionFailed,
    ),
    case("13.1.1", "GET", &["If-Match: W/{etag}"], PreconditionFailed),
    // 13.1.2: If-None-Match compares weakly.
    case("13.1.2", "GET", &["If-None-Match: {etag}"], NotModified),
    case("13.1.2", "HEAD", &["If-None-Match: {etag}"], NotModified),
    case("13.1.2", "GET", &["If-None-Match: W/{etag}"], NotModified),
    case(
        "13.1.2",
        "GET",
        &["If-None-Match: \"other\" , {etag}"],
        NotModified,
    ),
    case(
        "5.3",
        "GET",
        &["If-None-Match: \"other\"", "If-None-Match: {etag}"],
        NotModified,
    ),
    case("13.1.2", "GET", &["If-None-Match: *"], NotModified),
    case("13.1.2", "GET", &["If-None-Match: \"other\""], WholeFile),
    case("13.1.2", "GET", &["If-None-Match: W/\"other\""], WholeFile),
    case("13.1.2", "GET", &["If-None-Match: other"], WholeFile),
    case("13.1.2", "GET", &["If-None-Match:"], WholeFile),
    case("8.8.3", "GET", &["If-None-Match: \"a,*,b\""], WholeFile),
    case(
        "8.8.3",
        "GET",
        &["If-None-Match: \"é\", {etag}"],
        NotModified,
    ),
    // 13.1.3: If-Modified-Since applies only without If-None-Match, and an invalid date is ignored.
    case("13.1.3", "GET", &["If-Modified-Since: {date}"], NotModified),
    case(
        "13.1.3",
        "HEAD",
        &["If-Modified-Since: {date}"],
        NotModified,
    ),
    case(
        "13.1.3",
        "GET",
        &["If-Modified-Since: {later}"],
        NotModified,
    ),
    case(
        "13.1.3",
        "GET",
        &["If-Modified-Since: {earlier}"],
        WholeFile,
    ),
    case(
        "5.6.7",
        "GET",
        &["If-Modified-Since: {rfc 850}"],
        NotModified,
    ),
    case(
        "5.6.7",
        "GET",
        &["If-Modified-Since: {asctime}"],
        NotModified,
    ),
    case(
        "13.1.3",
        "GET",
        &["If-Modified-Since: yesterday"],
        WholeFile,
    ),
    case(
        "13.1.3",
        "GET",
        &["If-Modified-Since: 1000000000"],
        WholeFile,
    ),
    case(
        "13.1.3",
        "GET",
        &["If-Modified-Since: {date}", "If-Modified-Since: {date}"],
        WholeFile,
    ),
    case(
        "13.1.3",
        "GET",
        &["If-None-Match: \"other\"", "If-Modified-Since: {later}"],
        WholeFile,
    ),
    case(
        "13.1.3",
        "GET",
        &["If-None-Match: {etag}", "If-Modified-Since: {earlier}"],
        NotModified,
    ),
    // 13.1.4: If-Unmodified-Since applies only without If-Match, and an invalid date is ignored.
    case("13.1.4", "GET", &["If-Unmodified-Since: {date}"], WholeFile),
    case(
        "13.1.4",
        "GET",
        &["If-Unmodified-Since: {later}"],
        WholeFile,
    ),
    case(
        "13.1.4",
        "GET",
        &["If-Unmodified-Since: {earlier}"],
        PreconditionFailed,
    ),
    case(
        "13.1.4",
        "GET",
        &["If-Unmodified-Since: yesterday"],
        WholeFile,
    ),
    case(
        "13.1.4",
        "GET",
        &["If-Match: {etag}", "If-Unmodified-Since: {earlier}"],
        WholeFile,
    ),
    // 13.1.5: If-Range compares strongly, and the range is ignored if the validator differs.
    case("13.1.5", "GET", &["If-Range: \"other\""], WholeFile),
    case(
        "13.1.5",
        "GET",
        &["Range: bytes=9-", "If-Range: {etag}"],
        ByteRange(9, -1),
    ),
    case(
        "13.1.5",
        "GET",
        &["Range: bytes=9-", "If-Range: \"other\""],
        WholeFile,
    ),
    case(
        "13.1.5",
        "GET",
        &["Range: bytes=9-", "If-Range: W/{etag}"],
        WholeFile,
    ),
    case(
        "13.1.5",
        "GET",
        &["Range: bytes=9-", "If-Range: garbage"],
        WholeFile,
    ),
    case(
        "13.1.5",
        "GET",
        &["Range: bytes=9-", "If-Range: {date}"],
        WholeFile,
    ),
    case(
        "13.1.5",
        "GET",
        &["Range: bytes=9-", "If-Range: {earlier}"],
        WholeFile,
    ),
    case(
        "13.1.5",
        "GET",
        &["Range: bytes=9-", "If-Range: {later}"],
        WholeFile,
    ),
    case(
        "13.1.5",
        "GET",
        &["Range: bytes={size}-", "If-Range: {etag}"],
        RangeNotSatisfiable,
    ),
    case(
        "13.1.5",
        "GET",
        &["Range: bytes={size}-", "If-Range: \"other\""],
        WholeFile,
    ),
    // 13.2.2: the precedence of conditions.
    case(
        "13.2.2",
        "GET",
        &["If-Match: \"other\"", "If-None-Match: {etag}"],
        PreconditionFailed,
    ),
    case(
        "13.2.2",
        "GET",
        &["If-Match: {etag}", "If-None-Match: {etag}"],
        NotModified,
    ),
    case(
        "13.2.2",
        "GET",
        &["If-Unmodified-Since: {earlier}", "If-None-Match: {etag}"],
        PreconditionFailed,
    ),
    case(
        "13.2.2",
        "GET",
        &["Range: bytes=0-0", "If-None-Match: {etag}"],
        NotModified,
    ),
    case(
        "13.2.2",
        "GET",
        &["Range: bytes=0-0", "If-Modified-Since: {date}"],
        NotModified,
    ),
    case(
        "13.2.2",
        "GET",
        &["Range: bytes=0-0", "If-Match: \"other\""],
        PreconditionFailed,
    ),
    case(
        "13.2.2",
        "GET",
        &["Range: bytes=0-0", "If-None-Match: \"other\""],
        ByteRange(0, 0),
    ),
    case(
        "14.2",
        "GET",
        &["Range: bytes={size}-", "If-None-Match: {etag}"],
        NotModified,
    ),
];

#[tokio::test]
async fn file_responses_conform_to_rfc_9110() {
    let file = ServedFile::start(UNIX_EPOCH + Duration::from_secs(MODIFIED_SECS)).await;
    // Within the second of the last change, another change could get the same date, so the server sends an earlier one.
    until("the end of the second of the last change", async || {
        let response = file.ask("HEAD", &[]).await;
        response.header("last-modified") == Some(&http_date(file.changed))
    })
    .await;
    let mut failures = Vec::new();
    for case in CASES {
        let fields = case.fields.iter();
        let fields: Vec<_> = fields.map(|field| file.fill_placeholders(field)).collect();
        let response = file.ask(case.method, &fields).await;
        for deviation in deviations(case, &file, &response) {
            let Case {
                section,
                method,
                fields,
                ..
            } = case;
            failures.push(format!("{section}: {method} {fields:?}: {deviation}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Every difference between a response and the expected one. Empty if the response conforms.
fn deviations(case: &Case, file: &ServedFile, response: &RawResponse) -> Vec<String> {
    let size = file.bytes.len();
    let position = |byte: i64| match usize::try_from(byte) {
        Ok(from_start) => from_start,
        Err(_) => size - usize::try_from(-byte).unwrap(),
    };
    let (status, sent_range) = match case.expected {
        WholeFile => (200, Some((0, size - 1))),
        ByteRange(first, last) => (206, Some((position(first), position(last)))),
        NotModified => (304, None),
        PreconditionFailed => (412, None),
        RangeNotSatisfiable => (416, None),
    };
    if response.status != status {
        return vec![format!("status {} instead of {status}", response.status)];
    }
    let mut expected_fields = Vec::new();
    let content_range = match (status, sent_range) {
        (206, Some((first, last))) => Some(format!("bytes {first}-{last}/{size}")),
        (416, _) => Some(format!("bytes */{size}")),
        _ => None,
    };
    expected_fields.push(("content-range", content_range));
    if let Some((first, last)) = sent_range {
        // 8: the metadata is the same for the whole file and a range, with and without a body.
        let length = (last - first + 1).to_string();
        expected_fields.push(("content-length", Some(length)));
        expected_fields.push(("content-type", Some("audio/mpeg".to_owned())));
        expected_fields.push(("accept-ranges", Some("bytes".to_owned())));
        expected_fields.push(("last-modified", Some(http_date(file.changed))));
    }
    if sent_range.is_some() || status == 304 {
        expected_fields.push(("etag", Some(file.etag.clone())));
        expected_fields.push(("cache-control", Some("private, no-cache".to_owned())));
    }
    if status == 304 {
        // 8.6, 15.4.5: a 304 has the length of the whole file or none, and no other metadata of an unsent body.
        for name in ["content-length", "content-type", "last-modified"] {
            expected_fields.push((name, None));
        }
    }
    let differing_fields = expected_fields.into_iter().filter_map(|(name, expected)| {
        let actual = response.header(name);
        (actual != expected.as_deref())
            .then(|| format!("{name} is {actual:?} instead of {expected:?}"))
    });
    let mut deviations: Vec<_> = differing_fields.collect();
    // 6.6.1: the response has a valid Date.
    let date = response.header("date").unwrap_or_default();
    if httpdate::parse_http_date(date).is_err() {
        deviations.push(format!("invalid Date: {date:?}"));
    }
    // 9.3.2, 15.4.5: a response to HEAD and a 304 have no body.
    let has_no_body = case.method == "HEAD" || status == 304;
    match sent_range {
        _ if has_no_body => {
            if !response.body.is_empty() {
                deviations.push(format!("a body of {} bytes", response.body.len()));
            }
        }
        Some((first, last)) => {
            if response.body != file.bytes[first..=last] {
                let length = response.body.len();
                deviations.push(format!("a body of {length} bytes with other content"));
            }
        }
        None => response.expect_problem(status),
    }
    deviations
}

/// RFC 9110, 8.8.2.1: the server must not send a Last-Modified later than Date, even for a file with a later modification time.
#[tokio::test]
async fn last_modified_is_never_in_the_future() {
    let file = ServedFile::start(SystemTime::now() + Duration::from_secs(86_400)).await;
    let response = file.ask("GET", &[]).await;
    let date = |name| httpdate::parse_http_date(response.header(name).unwrap()).unwrap();
    assert!(date("last-modified") <= date("date"), "{}", response.head);
}
