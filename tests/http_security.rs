//! Which `Host` and `Origin` headers the server accepts, security headers, and the page's Content-Security-Policy.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use common::phone::{ask, http};
use common::{CODE, Phone, Setup, TestServer, raw};
use reqwest::Method;

/// The directives of the page's Content-Security-Policy, in any order.
const CONTENT_SECURITY_POLICY: [&str; 12] = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' blob:",
    "media-src 'self' blob:",
    "connect-src 'self'",
    "manifest-src 'self'",
    "worker-src 'self'",
    "font-src 'self'",
    "base-uri 'self'",
    "form-action 'none'",
    "frame-ancestors 'none'",
];

/// The host name of this machine.
fn host_name() -> String {
    let output = std::process::Command::new("hostname")
        .output()
        .expect("this test needs the hostname command");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn host_header_may_contain_an_address_or_a_local_name() {
    let server = Setup::long_tracks()
        .flag("--host-name=music.example.org")
        .start()
        .await;
    let phone = Phone::pair(&server).await;
    let (port, own_name) = (server.address().port(), host_name());
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
        format!("{own_name}:{port}"),
        format!("music.example.org:{port}"),
        "MUSIC.example.org".to_owned(),
    ];
    let bearer = format!("Authorization: Bearer {}", phone.token);
    for name in names {
        for path in ["/healthz", "/snapshot", "/"] {
            let response =
                raw::get(server.address(), path, &[&format!("Host: {name}"), &bearer]).await;
            assert_eq!(response.status, 200, "{path} with Host {name}");
        }
    }
}

/// DNS rebinding: an attacker's name resolves to this server, and a browser sends that name in `Host`.
#[tokio::test]
async fn request_with_a_foreign_host_header_is_refused() {
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
    let pair_body = format!("{{\"code\":\"{CODE}\"}}");
    for name in names {
        let host = format!("Host: {name}");
        // The server may refuse a malformed Host with 400 instead.
        let expect_refusal = |response: raw::RawResponse, path: &str| match response.status {
            400 => {}
            _ => {
                assert_eq!(response.status, 421, "{path} with Host {name:?}");
                response.expect_problem(421);
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
            expect_refusal(
                raw::get(server.address(), path, &[&host, &bearer]).await,
                path,
            );
        }
        let pair_request = format!(
            "POST /pair HTTP/1.1\r\n{host}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{pair_body}",
            pair_body.len()
        );
        expect_refusal(raw::send(server.address(), pair_request).await, "/pair");
    }
    for fields in [
        &[][..],
        &["Host: localhost", "Host: evil.example"],
        &["Host: evil.example", "Host: localhost"],
    ] {
        let response = raw::get(server.address(), "/healthz", fields).await;
        assert!(
            [400, 421].contains(&response.status),
            "{fields:?}: {response:?}"
        );
    }
    assert_eq!(
        phone.snapshot().await["eventCount"],
        phone.event_count(),
        "a refused request paired a device"
    );
}

#[tokio::test]
async fn request_with_a_foreign_origin_header_is_refused() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    let (own_origin, event_count) = (server.url(""), phone.event_count());
    let port = server.address().port();
    let foreign_origins = [
        "http://evil.example".to_owned(),
        format!("http://evil.example:{port}"),
        "https://evil.example".to_owned(),
        "null".to_owned(),
        "http://127.0.0.1.evil.example".to_owned(),
        format!("http://party.lan:{port}"),
        format!("http://127.0.0.2:{port}"),
        format!("{own_origin}.evil.example"),
        format!("http://evil.example/{own_origin}"),
        "file://".to_owned(),
        String::new(),
        "x".to_owned(),
    ];
    for origin in &foreign_origins {
        let with_origin = |method, path: &str| phone.request(method, path).header("origin", origin);
        ask(with_origin(Method::GET, "/snapshot"))
            .await
            .expect_problem(403);
        ask(with_origin(Method::POST, "/next").header("if-match-event", event_count))
            .await
            .expect_problem(403);
        ask(with_origin(Method::POST, "/leave"))
            .await
            .expect_problem(403);
        let pair_request = http().post(server.url("/pair")).header("origin", origin);
        ask(pair_request.json(&serde_json::json!({ "code": CODE })))
            .await
            .expect_problem(403);
        let preflight =
            with_origin(Method::OPTIONS, "/next").header("access-control-request-method", "POST");
        let response =
            ask(preflight.header("access-control-request-headers", "if-match-event")).await;
        assert!(
            response.status >= 400,
            "{origin:?}: the preflight request got {}",
            response.status
        );
        for field in response.headers.keys() {
            assert!(
                !field.as_str().starts_with("access-control-"),
                "{origin:?}: the response has {field}"
            );
        }
    }
    assert_eq!(phone.snapshot().await["eventCount"], event_count);
    // The server's own origin is accepted.
    let same_origin_request = phone
        .request(Method::POST, "/next")
        .header("origin", &own_origin)
        .header("if-match-event", event_count);
    ask(same_origin_request).await.expect(200);
}

#[tokio::test]
async fn host_and_origin_headers_are_checked_before_the_token() {
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
async fn page_has_a_strict_content_security_policy() {
    let server = TestServer::start().await;
    let page = ask(http().get(server.url("/"))).await.expect(200);
    assert!(
        page.header("content-type")
            .unwrap()
            .starts_with("text/html")
    );
    let policy = page
        .header("content-security-policy")
        .expect("the page has no Content-Security-Policy");
    let mut directives: Vec<_> = policy
        .split(';')
        .map(str::trim)
        .filter(|directive| !directive.is_empty())
        .collect();
    let mut expected = CONTENT_SECURITY_POLICY.to_vec();
    directives.sort_unstable();
    expected.sort_unstable();
    assert_eq!(directives, expected);
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert!(
        page.text().contains("<script type=\"module\" src=\""),
        "{}",
        page.text()
    );
}

#[tokio::test]
async fn page_files_have_a_media_type_and_an_etag() {
    let server = TestServer::start().await;
    let files = [
        ("/", "text/html"),
        ("/app.css", "text/css"),
        ("/js/main.js", "text/javascript"),
        ("/manifest.webmanifest", "application/manifest+json"),
        ("/icons/icon.svg", "image/svg+xml"),
    ];
    for (path, media_type) in files {
        let response = ask(http().get(server.url(path))).await.expect(200);
        assert!(
            response
                .header("content-type")
                .unwrap()
                .starts_with(media_type),
            "the Content-Type of {path} is {:?}",
            response.header("content-type")
        );
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
        let file_etag = response.header("etag").expect("the response has no ETag");
        let not_modified = ask(http()
            .get(server.url(path))
            .header("if-none-match", file_etag))
        .await
        .expect(304);
        assert!(not_modified.body.is_empty());
        let head_response = ask(http().head(server.url(path))).await.expect(200);
        assert_eq!(
            head_response.header("content-length"),
            response.header("content-length"),
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
        let response = ask(http().get(server.url(path))).await;
        assert!(
            [401, 404].contains(&response.status),
            "{path} got status {}",
            response.status
        );
    }
}

#[tokio::test]
async fn api_responses_forbid_content_sniffing_shared_caching_and_foreign_reads() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    for path in ["/snapshot", "/index", "/clock", "/code", "/qr", "/nothing"] {
        let response = phone.get(path).await;
        assert_eq!(
            response.header("x-content-type-options"),
            Some("nosniff"),
            "{path}"
        );
        assert_ne!(
            response.header("access-control-allow-origin"),
            Some("*"),
            "{path}"
        );
        let cache_control = response.header("cache-control").unwrap_or_default();
        assert!(
            cache_control.contains("no-store")
                || cache_control.contains("no-cache")
                || cache_control.contains("private"),
            "the Cache-Control of {path} is {cache_control:?}"
        );
    }
}

/// Sends a TLS ClientHello, an HTTP/2 preface and malformed HTTP/1.1 requests. The server must close each connection.
#[tokio::test]
async fn invalid_http_is_refused_and_the_server_keeps_serving() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = TestServer::start().await;
    let tls_hello: &[u8] = b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03\x5a";
    let long_target = format!(
        "GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "a".repeat(200_000)
    );
    let many_fields = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n",
        "X-A: b\r\n".repeat(10_000)
    );
    let requests = [
        tls_hello,
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
        // The server may close the connection before everything is written.
        let _ = stream.write_all(request).await;
        let mut response = Vec::new();
        let read_to_end = common::in_time("the end of the connection", async {
            let _ = stream.shutdown().await;
            stream.read_to_end(&mut response).await
        });
        let _ = read_to_end.await;
        let response_text = String::from_utf8_lossy(&response);
        assert!(
            response.is_empty() || response_text.starts_with("HTTP/1.1 4"),
            "{response_text}"
        );
    }
    ask(http().get(server.url("/healthz"))).await.expect(200);
}

/// A browser that tries HTTPS first falls back to HTTP only after the server has closed the TLS connection.
#[tokio::test]
async fn http_port_closes_the_connection_after_a_tls_client_hello() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = TestServer::start().await;
    let mut stream = tokio::net::TcpStream::connect(server.address())
        .await
        .unwrap();
    stream
        .write_all(b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03\x5a")
        .await
        .unwrap();
    let mut response = Vec::new();
    let read_to_end = tokio::time::timeout(
        std::time::Duration::from_secs(5),
        stream.read_to_end(&mut response),
    )
    .await;
    assert!(read_to_end.is_ok(), "the connection is still open");
}
