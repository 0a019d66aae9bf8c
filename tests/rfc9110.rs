//! Files are served by the letter of RFC 9110: each row of the table is a request, the section that is about it, and what
//! must come back, byte for byte off the socket.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on panics"
)]

pub mod common;

use std::fs::{self, File};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::raw::{self, RawAnswer};
use common::{Phone, Setup, TestServer, music};

const NAME: &str = "track.mp3";
/// When the file was last changed, in seconds since 1970, and as the wire has it.
const CHANGED: u64 = 1_000_000_000;
const DATE: &str = "Sun, 09 Sep 2001 01:46:40 GMT";
const EARLIER: &str = "Sun, 09 Sep 2001 01:46:39 GMT";
const LATER: &str = "Sun, 09 Sep 2001 01:46:41 GMT";

/// One file on a server, and who may ask for it.
struct Served {
    server: TestServer,
    phone: Phone,
    path: String,
    etag: String,
    bytes: Vec<u8>,
}

impl Served {
    async fn start(changed: SystemTime) -> Served {
        let setup = Setup::empty();
        let bytes = fs::read(music::fixture("mp3")).unwrap();
        fs::write(setup.audio().join(NAME), &bytes).unwrap();
        let file = File::options().write(true).open(setup.audio().join(NAME));
        file.unwrap().set_modified(changed).unwrap();
        let server = setup.start().await;
        let phone = Phone::pair(&server).await;
        let path = format!("/file/{}", phone.current());
        let whole = phone.get(&path).await.expect(200);
        let etag = whole.header("etag").expect("an ETag").to_owned();
        Served {
            server,
            phone,
            path,
            etag,
            bytes,
        }
    }

    /// Asks on a connection of its own, which is read to its end.
    async fn ask(&self, method: &str, fields: &[String]) -> RawAnswer {
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        let request = format!(
            "{method} {} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nConnection: close\r\n{fields}\r\n",
            self.path, self.phone.token
        );
        raw::send(self.server.address(), request).await
    }

    /// A row's field with what this file is called filled in.
    fn filled(&self, field: &str) -> String {
        let size = self.bytes.len();
        field
            .replace("{etag}", &self.etag)
            .replace("{size}", &size.to_string())
            .replace("{last}", &(size - 1).to_string())
            .replace("{date}", DATE)
            .replace("{earlier}", EARLIER)
            .replace("{later}", LATER)
    }
}

/// What must come back.
#[derive(Debug, Clone, Copy)]
enum Comes {
    /// 200 with all of it.
    Whole,
    /// 206 with this part; the ends count from the end of the file when they are negative.
    Part(i64, i64),
    /// 304.
    NotModified,
    /// 412.
    Failed,
    /// 416.
    Unsatisfiable,
}

use Comes::{Failed, NotModified, Part, Unsatisfiable, Whole};

type Row = (&'static str, &'static str, &'static [&'static str], Comes);

const TABLE: &[Row] = &[
    // 8: what a representation says of itself.
    ("8.6", "GET", &[], Whole),
    ("9.3.2", "HEAD", &[], Whole),
    // 14.1.2: byte ranges.
    ("14.1.2", "GET", &["Range: bytes=0-0"], Part(0, 0)),
    ("14.1.2", "GET", &["Range: bytes=0-"], Part(0, -1)),
    ("14.1.2", "GET", &["Range: bytes=1-"], Part(1, -1)),
    ("14.1.2", "GET", &["Range: bytes=100-199"], Part(100, 199)),
    ("14.1.2", "GET", &["Range: bytes={last}-"], Part(-1, -1)),
    ("14.1.2", "GET", &["Range: bytes=0-{last}"], Part(0, -1)),
    ("14.1.2", "GET", &["Range: bytes=0-{size}"], Part(0, -1)),
    (
        "14.1.2",
        "GET",
        &["Range: bytes=5-99999999999"],
        Part(5, -1),
    ),
    (
        "14.1.2",
        "GET",
        &["Range: bytes=5-99999999999999999999999999"],
        Part(5, -1),
    ),
    ("14.1.2", "GET", &["Range: bytes=-1"], Part(-1, -1)),
    ("14.1.2", "GET", &["Range: bytes=-100"], Part(-100, -1)),
    ("14.1.2", "GET", &["Range: bytes=-{size}"], Part(0, -1)),
    ("14.1.2", "GET", &["Range: bytes=-99999999999"], Part(0, -1)),
    ("14.1", "GET", &["Range: Bytes=0-9"], Part(0, 9)),
    ("5.6.1.2", "GET", &["Range: bytes=, 0-9 ,"], Part(0, 9)),
    // 15.5.17: what cannot be met.
    ("15.5.17", "GET", &["Range: bytes={size}-"], Unsatisfiable),
    (
        "15.5.17",
        "GET",
        &["Range: bytes={size}-{size}"],
        Unsatisfiable,
    ),
    ("15.5.17", "GET", &["Range: bytes=9999999-"], Unsatisfiable),
    (
        "15.5.17",
        "GET",
        &["Range: bytes=99999999999999999999999999-"],
        Unsatisfiable,
    ),
    ("14.1.2", "GET", &["Range: bytes=-0"], Unsatisfiable),
    // 14.2: what is ignored.
    ("14.2", "GET", &["Range: seconds=0-1"], Whole),
    ("14.2", "GET", &["Range: bytes=0-0,-1"], Whole),
    ("14.2", "GET", &["Range: bytes=0-1, 3-4"], Whole),
    (
        "14.2",
        "GET",
        &["Range: bytes=0-,0-,0-,0-,0-,0-,0-,0-"],
        Whole,
    ),
    (
        "5.3",
        "GET",
        &["Range: bytes=0-1", "Range: bytes=3-4"],
        Whole,
    ),
    ("14.1.1", "GET", &["Range: bytes=7-6"], Whole),
    ("14.1.1", "GET", &["Range: bytes=-"], Whole),
    ("14.1.1", "GET", &["Range: bytes="], Whole),
    ("14.1.1", "GET", &["Range: bytes"], Whole),
    ("14.1.1", "GET", &["Range: bytes=a-b"], Whole),
    ("14.1.1", "GET", &["Range: bytes=0x1-2"], Whole),
    ("14.1.1", "GET", &["Range: bytes=+1-2"], Whole),
    ("14.1.1", "GET", &["Range: bytes=1--2"], Whole),
    ("14.1.1", "GET", &["Range: bytes=--1"], Whole),
    ("14.1.1", "GET", &["Range: bytes=1-2-3"], Whole),
    ("14.2", "HEAD", &["Range: bytes=0-0"], Whole),
    ("14.2", "HEAD", &["Range: bytes={size}-"], Whole),
    (
        "14.2",
        "HEAD",
        &["Range: bytes=0-0", "If-Range: {etag}"],
        Whole,
    ),
    // 13.1.1: If-Match compares strongly.
    ("13.1.1", "GET", &["If-Match: {etag}"], Whole),
    ("13.1.1", "GET", &["If-Match: \"other\", {etag}"], Whole),
    ("13.1.1", "GET", &["If-Match: *"], Whole),
    ("13.1.1", "GET", &["If-Match: \"other\""], Failed),
    ("13.1.1", "HEAD", &["If-Match: \"other\""], Failed),
    ("13.1.1", "GET", &["If-Match: W/{etag}"], Failed),
    // 13.1.2: If-None-Match compares weakly.
    ("13.1.2", "GET", &["If-None-Match: {etag}"], NotModified),
    ("13.1.2", "HEAD", &["If-None-Match: {etag}"], NotModified),
    ("13.1.2", "GET", &["If-None-Match: W/{etag}"], NotModified),
    (
        "13.1.2",
        "GET",
        &["If-None-Match: \"other\" , {etag}"],
        NotModified,
    ),
    (
        "5.3",
        "GET",
        &["If-None-Match: \"other\"", "If-None-Match: {etag}"],
        NotModified,
    ),
    ("13.1.2", "GET", &["If-None-Match: *"], NotModified),
    ("13.1.2", "GET", &["If-None-Match: \"other\""], Whole),
    ("13.1.2", "GET", &["If-None-Match: W/\"other\""], Whole),
    ("13.1.2", "GET", &["If-None-Match: other"], Whole),
    ("13.1.2", "GET", &["If-None-Match:"], Whole),
    ("8.8.3", "GET", &["If-None-Match: \"a,*,b\""], Whole),
    (
        "8.8.3",
        "GET",
        &["If-None-Match: \"é\", {etag}"],
        NotModified,
    ),
    // 13.1.3: If-Modified-Since.
    ("13.1.3", "GET", &["If-Modified-Since: {date}"], NotModified),
    (
        "13.1.3",
        "HEAD",
        &["If-Modified-Since: {date}"],
        NotModified,
    ),
    (
        "13.1.3",
        "GET",
        &["If-Modified-Since: {later}"],
        NotModified,
    ),
    ("13.1.3", "GET", &["If-Modified-Since: {earlier}"], Whole),
    (
        "5.6.7",
        "GET",
        &["If-Modified-Since: Sunday, 09-Sep-01 01:46:40 GMT"],
        NotModified,
    ),
    (
        "5.6.7",
        "GET",
        &["If-Modified-Since: Sun Sep  9 01:46:40 2001"],
        NotModified,
    ),
    ("13.1.3", "GET", &["If-Modified-Since: yesterday"], Whole),
    ("13.1.3", "GET", &["If-Modified-Since: 1000000000"], Whole),
    (
        "13.1.3",
        "GET",
        &["If-Modified-Since: {date}", "If-Modified-Since: {date}"],
        Whole,
    ),
    (
        "13.1.3",
        "GET",
        &["If-None-Match: \"other\"", "If-Modified-Since: {later}"],
        Whole,
    ),
    (
        "13.1.3",
        "GET",
        &["If-None-Match: {etag}", "If-Modified-Since: {earlier}"],
        NotModified,
    ),
    // 13.1.4: If-Unmodified-Since.
    ("13.1.4", "GET", &["If-Unmodified-Since: {date}"], Whole),
    ("13.1.4", "GET", &["If-Unmodified-Since: {later}"], Whole),
    ("13.1.4", "GET", &["If-Unmodified-Since: {earlier}"], Failed),
    ("13.1.4", "GET", &["If-Unmodified-Since: yesterday"], Whole),
    (
        "13.1.4",
        "GET",
        &["If-Match: {etag}", "If-Unmodified-Since: {earlier}"],
        Whole,
    ),
    // 13.1.5: If-Range.
    ("13.1.5", "GET", &["If-Range: \"other\""], Whole),
    (
        "13.1.5",
        "GET",
        &["Range: bytes=9-", "If-Range: {etag}"],
        Part(9, -1),
    ),
    (
        "13.1.5",
        "GET",
        &["Range: bytes=9-", "If-Range: \"other\""],
        Whole,
    ),
    (
        "13.1.5",
        "GET",
        &["Range: bytes=9-", "If-Range: W/{etag}"],
        Whole,
    ),
    (
        "13.1.5",
        "GET",
        &["Range: bytes=9-", "If-Range: garbage"],
        Whole,
    ),
    (
        "13.1.5",
        "GET",
        &["Range: bytes=9-", "If-Range: {date}"],
        Part(9, -1),
    ),
    (
        "13.1.5",
        "GET",
        &["Range: bytes=9-", "If-Range: {earlier}"],
        Whole,
    ),
    (
        "13.1.5",
        "GET",
        &["Range: bytes=9-", "If-Range: {later}"],
        Whole,
    ),
    (
        "13.1.5",
        "GET",
        &["Range: bytes={size}-", "If-Range: {etag}"],
        Unsatisfiable,
    ),
    (
        "13.1.5",
        "GET",
        &["Range: bytes={size}-", "If-Range: \"other\""],
        Whole,
    ),
    // 13.2.2: which goes before which.
    (
        "13.2.2",
        "GET",
        &["If-Match: \"other\"", "If-None-Match: {etag}"],
        Failed,
    ),
    (
        "13.2.2",
        "GET",
        &["If-Match: {etag}", "If-None-Match: {etag}"],
        NotModified,
    ),
    (
        "13.2.2",
        "GET",
        &["If-Unmodified-Since: {earlier}", "If-None-Match: {etag}"],
        Failed,
    ),
    (
        "13.2.2",
        "GET",
        &["Range: bytes=0-0", "If-None-Match: {etag}"],
        NotModified,
    ),
    (
        "13.2.2",
        "GET",
        &["Range: bytes=0-0", "If-Modified-Since: {date}"],
        NotModified,
    ),
    (
        "13.2.2",
        "GET",
        &["Range: bytes=0-0", "If-Match: \"other\""],
        Failed,
    ),
    (
        "13.2.2",
        "GET",
        &["Range: bytes=0-0", "If-None-Match: \"other\""],
        Part(0, 0),
    ),
    (
        "14.2",
        "GET",
        &["Range: bytes={size}-", "If-None-Match: {etag}"],
        NotModified,
    ),
];

#[tokio::test]
async fn files_are_served_by_the_letter() {
    let served = Served::start(UNIX_EPOCH + Duration::from_secs(CHANGED)).await;
    for (section, method, fields, comes) in TABLE {
        let row = format!("{section}: {method} {fields:?}");
        let fields: Vec<_> = fields.iter().map(|field| served.filled(field)).collect();
        let answer = served.ask(method, &fields).await;
        check(&row, &served, *method == "HEAD", *comes, &answer);
    }
}

fn check(row: &str, served: &Served, head: bool, comes: Comes, answer: &RawAnswer) {
    let size = served.bytes.len();
    let from_end = |byte: i64| match usize::try_from(byte) {
        Ok(byte) => byte,
        Err(_) => size - usize::try_from(-byte).unwrap(),
    };
    let (status, part) = match comes {
        Whole => (200, Some((0, size - 1))),
        Part(first, last) => (206, Some((from_end(first), from_end(last)))),
        NotModified => (304, None),
        Failed => (412, None),
        Unsatisfiable => (416, None),
    };
    assert_eq!(answer.status, status, "{row}");
    let has = |name: &str, expected: Option<&str>| {
        assert_eq!(answer.header(name), expected, "{name}, {row}");
    };
    // 6.6.1.
    let date = answer.header("date").unwrap_or_default();
    assert!(httpdate::parse_http_date(date).is_ok(), "{date}, {row}");

    let range = match (status, part) {
        (206, Some((first, last))) => Some(format!("bytes {first}-{last}/{size}")),
        (416, _) => Some(format!("bytes */{size}")),
        _ => None,
    };
    has("content-range", range.as_deref());

    if let Some((first, last)) = part {
        // 8: the same of the whole and of a part, with a body and without.
        let length = (last - first + 1).to_string();
        has("content-length", Some(&length));
        has("content-type", Some("audio/mpeg"));
        has("accept-ranges", Some("bytes"));
        has("last-modified", Some(DATE));
    }
    if part.is_some() || status == 304 {
        has("etag", Some(&served.etag));
        has("cache-control", Some("private, no-cache"));
    }
    match part {
        Some((first, last)) if !head => {
            let same = answer.body == served.bytes[first..=last];
            assert!(same, "{} bytes came, {row}", answer.body.len());
        }
        None if !head && status != 304 => answer.expect_problem(status),
        // 9.3.2, 15.4.5.
        _ => assert!(answer.body.is_empty(), "a body came, {row}"),
    }
    if status == 304 {
        // 8.6, 15.4.5: no length that is not the whole's, and nothing else of a representation that is not sent.
        for name in ["content-length", "content-type", "last-modified"] {
            has(name, None);
        }
    }
}

/// Section 8.8.2.1: a clock that was wrong once, when a disk was filled, would else keep caches from ever asking again.
#[tokio::test]
async fn no_file_is_told_to_have_been_changed_in_the_future() {
    let served = Served::start(SystemTime::now() + Duration::from_secs(86_400)).await;
    let answer = served.ask("GET", &[]).await;
    let date = |name| httpdate::parse_http_date(answer.header(name).unwrap()).unwrap();
    assert!(date("last-modified") <= date("date"), "{}", answer.head);
}
