//! By which names the server may be called, from which pages, and what its own page may do.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on panics"
)]

pub mod common;

use common::phone::{ask, http};
use common::{CODE, Phone, Setup, TestServer, raw};
use reqwest::Method;

const POLICY: [&str; 12] = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' blob:",
    "media-src 'self' blob:",
    "connect-src 'self'",
    "manifest-src 'self'",
    "worker-src 'self'",
    "font-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
];

fn own_name() -> String {
    let output = std::process::Command::new("hostname")
        .output()
        .expect("hostname runs");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn a_server_answers_to_addresses_and_names_of_the_house() {
    let server = Setup::long_tracks()
        .flag("--host-name=music.example.org")
        .start()
        .await;
    let phone = Phone::pair(&server).await;
    let (port, own) = (server.address().port(), own_name());
    let names = [
        format!("127.0.0.1:{port}"),
        "127.0.0.1".to_owned(),
        format!("localhost:{port}"),
        "LocalHost".to_owned(),
        "[::1]".to_owned(),
        format!("[fd12:3456::7]:{port}"),
        format!("192.168.178.20:{port}"),
        "10.0.0.1:1".to_owned(),
        format!("party.lan:{port}"),
        "lockstep.local".to_owned(),
        "Lockstep.LOCAL.".to_owned(),
        "pi.home.arpa".to_owned(),
        "a.b.c.internal".to_owned(),
        format!("{own}:{port}"),
        format!("music.example.org:{port}"),
        "MUSIC.example.org".to_owned(),
    ];
    let bearer = format!("Authorization: Bearer {}", phone.token);
    for name in names {
        for path in ["/healthz", "/snapshot", "/"] {
            let answer =
                raw::get(server.address(), path, &[&format!("Host: {name}"), &bearer]).await;
            assert_eq!(answer.status, 200, "{path} of {name}");
        }
    }
}

/// A page of an attacker whose name is made to resolve to this server.
#[tokio::test]
async fn a_server_called_by_a_strange_name_does_not_answer() {
    let server = Setup::long_tracks()
        .flag("--host-name=music.example.org")
        .start()
        .await;
    let phone = Phone::pair(&server).await;
    let names = [
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "192.168.1.7.nip.io",
        "party.lan.evil.example",
        "evillan",
        "lan",
        ".lan",
        ".local",
        "evil.music.example.org",
        "example.org",
        "music.example.org.evil.example",
        "1.2.3.4.5",
        "2130706433",
        "0x7f.1",
        "127.1",
        "[evil]",
        "[::1].evil.example",
        "[::1",
        "localhost:80:evil.example",
        "evil.example#.lan",
        "evil.example/.lan",
        "evil.example?.lan",
        "evil.example\\.lan",
        "evil.example @party.lan",
        "user@localhost",
        "evil.example:80.lan",
        ":80",
        "",
    ];
    let bearer = format!("Authorization: Bearer {}", phone.token);
    let code = format!("{{\"code\":\"{CODE}\"}}");
    for name in names {
        let host = format!("Host: {name}");
        // A name that is none at all may also be told so.
        let refused = |answer: raw::RawAnswer, path: &str| match answer.status {
            400 => {}
            _ => {
                assert_eq!(answer.status, 421, "{path} of {name:?}");
                answer.expect_problem(421);
            }
        };
        for path in [
            "/",
            "/healthz",
            "/qr",
            "/code",
            "/snapshot",
            "/events",
            "/index",
            "/nothing",
        ] {
            refused(
                raw::get(server.address(), path, &[&host, &bearer]).await,
                path,
            );
        }
        let pair = format!(
            "POST /pair HTTP/1.1\r\n{host}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{code}",
            code.len()
        );
        refused(raw::send(server.address(), pair).await, "/pair");
    }
    for fields in [
        &[][..],
        &["Host: localhost", "Host: evil.example"],
        &["Host: evil.example", "Host: localhost"],
    ] {
        let answer = raw::get(server.address(), "/healthz", fields).await;
        assert!(
            [400, 421].contains(&answer.status),
            "{fields:?}: {answer:?}"
        );
    }
    assert_eq!(
        phone.snapshot().await["eventCount"],
        phone.count(),
        "somebody was paired"
    );
}

#[tokio::test]
async fn a_page_of_another_site_may_not_ask() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    let (own, now) = (server.url(""), phone.count());
    let port = server.address().port();
    let strangers = [
        "http://evil.example".to_owned(),
        format!("http://evil.example:{port}"),
        "https://evil.example".to_owned(),
        "null".to_owned(),
        "http://127.0.0.1.evil.example".to_owned(),
        format!("http://party.lan:{port}"),
        format!("http://127.0.0.2:{port}"),
        format!("{own}.evil.example"),
        format!("http://evil.example/{own}"),
        "file://".to_owned(),
        String::new(),
        "x".to_owned(),
    ];
    for origin in &strangers {
        let with_origin = |method, path: &str| phone.request(method, path).header("origin", origin);
        ask(with_origin(Method::GET, "/snapshot"))
            .await
            .expect_problem(403);
        ask(with_origin(Method::POST, "/next").header("if-match-event", now))
            .await
            .expect_problem(403);
        ask(with_origin(Method::POST, "/leave"))
            .await
            .expect_problem(403);
        let pair = http().post(server.url("/pair")).header("origin", origin);
        ask(pair.json(&serde_json::json!({ "code": CODE })))
            .await
            .expect_problem(403);
        let preflight =
            with_origin(Method::OPTIONS, "/next").header("access-control-request-method", "POST");
        let answer =
            ask(preflight.header("access-control-request-headers", "if-match-event")).await;
        assert!(
            answer.status >= 400,
            "{origin:?} may ask: {}",
            answer.status
        );
        for field in answer.headers.keys() {
            assert!(
                !field.as_str().starts_with("access-control-"),
                "{origin:?} is given {field}"
            );
        }
    }
    assert_eq!(phone.snapshot().await["eventCount"], now);
    // Its own page may.
    let own_page = phone
        .request(Method::POST, "/next")
        .header("origin", &own)
        .header("if-match-event", now);
    ask(own_page).await.expect(200);
}

#[tokio::test]
async fn a_stranger_is_refused_before_its_token_is_looked_at() {
    let server = TestServer::start().await;
    raw::get(server.address(), "/snapshot", &["Host: evil.example"])
        .await
        .expect_problem(421);
    let fields = ["Host: localhost", "Origin: http://evil.example"];
    raw::get(server.address(), "/snapshot", &fields)
        .await
        .expect_problem(403);
}

#[tokio::test]
async fn the_page_is_served_with_a_policy_that_lets_nothing_else_in() {
    let server = TestServer::start().await;
    let page = ask(http().get(server.url("/"))).await.expect(200);
    assert!(
        page.header("content-type")
            .unwrap()
            .starts_with("text/html")
    );
    let policy = page.header("content-security-policy").expect("a policy");
    let mut parts: Vec<_> = policy
        .split(';')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect();
    let mut wanted = POLICY.to_vec();
    parts.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(parts, wanted);
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert!(
        page.text().contains("<script type=\"module\" src=\""),
        "{}",
        page.text()
    );
}

#[tokio::test]
async fn the_pages_files_have_the_right_kinds_and_validators() {
    let server = TestServer::start().await;
    let files = [
        ("/", "text/html"),
        ("/app.css", "text/css"),
        ("/js/main.js", "text/javascript"),
        ("/manifest.webmanifest", "application/manifest+json"),
        ("/icons/icon.svg", "image/svg+xml"),
    ];
    for (path, kind) in files {
        let answer = ask(http().get(server.url(path))).await.expect(200);
        assert!(
            answer.header("content-type").unwrap().starts_with(kind),
            "{path}: {:?}",
            answer.header("content-type")
        );
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        let tag = answer.header("etag").expect("an ETag");
        let known = ask(http().get(server.url(path)).header("if-none-match", tag))
            .await
            .expect(304);
        assert!(known.body.is_empty());
        let head = ask(http().head(server.url(path))).await.expect(200);
        assert_eq!(
            head.header("content-length"),
            answer.header("content-length"),
            "{path}"
        );
    }
    for path in [
        "/js/",
        "/js/nothing.js",
        "/app.css/",
        "/index",
        "/static/app.css",
        "/Cargo.toml",
    ] {
        let answer = ask(http().get(server.url(path))).await;
        assert!(
            [401, 404].contains(&answer.status),
            "{path}: {}",
            answer.status
        );
    }
}

#[tokio::test]
async fn nothing_that_is_guarded_may_be_framed_sniffed_or_kept_by_others() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    for path in ["/snapshot", "/index", "/clock", "/code", "/qr", "/nothing"] {
        let answer = phone.get(path).await;
        assert_eq!(
            answer.header("x-content-type-options"),
            Some("nosniff"),
            "{path}"
        );
        assert_ne!(
            answer.header("access-control-allow-origin"),
            Some("*"),
            "{path}"
        );
        let kept = answer.header("cache-control").unwrap_or_default();
        assert!(
            kept.contains("no-store") || kept.contains("no-cache") || kept.contains("private"),
            "{path}: {kept:?}"
        );
    }
}

/// What is no HTTP must neither hang nor harm: a browser that tries https first, a scanner, noise.
#[tokio::test]
async fn what_is_no_http_is_dropped_and_the_server_goes_on() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = TestServer::start().await;
    let hello: &[u8] = b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03\x5a";
    let long_target = format!(
        "GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "a".repeat(200_000)
    );
    let many_fields = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n",
        "X-A: b\r\n".repeat(10_000)
    );
    let requests = [
        hello,
        b"\0\0\0\0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /pair HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET http:// HTTP/1.1\r\nHost: localhost\r\n\r\n",
        long_target.as_bytes(),
        many_fields.as_bytes(),
    ];
    for request in requests {
        let mut stream = tokio::net::TcpStream::connect(server.address())
            .await
            .unwrap();
        // The server may have closed the connection before it is all written.
        let _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        let read = common::in_time("the connection's end", async {
            let _ = stream.shutdown().await;
            stream.read_to_end(&mut answer).await
        });
        let _ = read.await;
        let text = String::from_utf8_lossy(&answer);
        assert!(
            answer.is_empty() || text.starts_with("HTTP/1.1 4"),
            "{text}"
        );
    }
    ask(http().get(server.url("/healthz"))).await.expect(200);
}

/// A browser that tries https first must not be kept waiting for its second try.
#[tokio::test]
async fn a_tls_hello_is_dropped_at_once() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = TestServer::start().await;
    let mut stream = tokio::net::TcpStream::connect(server.address())
        .await
        .unwrap();
    stream
        .write_all(b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03\x5a")
        .await
        .unwrap();
    let mut answer = Vec::new();
    let dropped = tokio::time::timeout(
        std::time::Duration::from_secs(5),
        stream.read_to_end(&mut answer),
    )
    .await;
    assert!(dropped.is_ok(), "it is still waiting");
}
