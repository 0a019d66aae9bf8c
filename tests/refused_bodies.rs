//! The server may refuse a request before it has read the body. A client that sends the whole body before it reads must still
//! receive the response.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics on an unexpected value"
)]

pub mod common;

use std::net::SocketAddr;

use common::{Phone, Setup, TestServer, in_time};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Body size that is much larger than the server's limit and than all socket buffers between client and server.
const LARGE_BODY_BYTES: usize = 5 << 20;

/// How the request declares its body.
#[derive(Debug, Clone, Copy)]
enum Framing {
    ContentLength,
    Chunked,
    /// With `Expect: 100-continue`. The client sends the body without waiting for 100, as RFC 9110, 10.1.1 allows.
    ExpectContinue,
}

/// A request with a body of `body_length` bytes. `fields` are header fields without line ends.
fn build_request(
    method_and_path: &str,
    fields: &[&str],
    framing: Framing,
    body_length: usize,
) -> Vec<u8> {
    let mut request = format!("{method_and_path} HTTP/1.1\r\n");
    for field in fields {
        request += &format!("{field}\r\n");
    }
    let body = "a".repeat(body_length);
    match framing {
        Framing::ContentLength => {
            request += &format!("Content-Length: {body_length}\r\n\r\n{body}")
        }
        Framing::ExpectContinue => {
            request +=
                &format!("Content-Length: {body_length}\r\nExpect: 100-continue\r\n\r\n{body}");
        }
        Framing::Chunked => {
            request += "Transfer-Encoding: chunked\r\n\r\n";
            for chunk in body.as_bytes().chunks(64 << 10) {
                let chunk = std::str::from_utf8(chunk).unwrap();
                request += &format!("{:x}\r\n{chunk}\r\n", chunk.len());
            }
            request += "0\r\n\r\n";
        }
    }
    request.into_bytes()
}

/// Writes the whole request, then reads until the server closes the connection. Panics if the connection is reset.
async fn send_then_read_to_end(address: SocketAddr, request: &[u8], context: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    in_time(
        "the server to accept the whole request",
        stream.write_all(request),
    )
    .await
    .unwrap_or_else(|error| panic!("{context}: cannot write the request: {error}"));
    let mut response = Vec::new();
    in_time(
        "the end of the connection",
        stream.read_to_end(&mut response),
    )
    .await
    .unwrap_or_else(|error| panic!("{context}: cannot read the response: {error}"));
    String::from_utf8(response).unwrap()
}

#[tokio::test]
async fn client_receives_the_error_response_after_it_has_sent_a_large_body() {
    let server = TestServer::start().await;
    let phone = Phone::pair(&server).await;
    let authorization = format!("Authorization: Bearer {}", phone.token);
    let (host, count) = ("Host: localhost", "If-Match-Event: 0");
    let cases: [(&str, &[&str], u16); 12] = [
        ("POST /pause", &[host, &authorization, count], 413),
        ("POST /pair", &[host], 413),
        ("POST /rename", &[host, &authorization], 413),
        ("POST /pause", &[host], 401),
        ("POST /sync", &[host], 401),
        ("GET /snapshot", &[host], 401),
        ("POST /pause", &[host, &authorization], 428),
        (
            "POST /pause",
            &[host, &authorization, "If-Match-Event: x"],
            400,
        ),
        ("POST /pause", &[host, "Origin: http://evil.example"], 403),
        ("POST /nothing", &[host], 404),
        ("PUT /pause", &[host, &authorization], 405),
        ("POST /pause", &["Host: evil.example"], 421),
    ];
    for (method_and_path, fields, status) in cases {
        for framing in [
            Framing::ContentLength,
            Framing::Chunked,
            Framing::ExpectContinue,
        ] {
            let context = format!("{method_and_path}, {status}, {framing:?}");
            let request = build_request(method_and_path, fields, framing, LARGE_BODY_BYTES);
            let response = send_then_read_to_end(server.address(), &request, &context).await;
            let expected = format!("HTTP/1.1 {status} ");
            assert!(response.starts_with(&expected), "{context}: {response}");
            let lowercase_response = response.to_ascii_lowercase();
            assert!(
                lowercase_response.contains("connection: close"),
                "{context}: {response}"
            );
            assert!(
                response.ends_with('}') && response.contains(&format!("\"status\":{status}")),
                "{context}: {response}"
            );
        }
    }
}

#[tokio::test]
async fn client_receives_a_successful_response_after_an_unexpected_large_body() {
    let server = TestServer::start().await;
    for framing in [Framing::ContentLength, Framing::Chunked] {
        let request = build_request(
            "GET /healthz",
            &["Host: localhost"],
            framing,
            LARGE_BODY_BYTES,
        );
        let response = send_then_read_to_end(server.address(), &request, "GET /healthz").await;
        assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
        assert!(response.ends_with("\r\n\r\nok"), "{response}");
    }
}

#[tokio::test]
async fn client_receives_503_of_a_full_server_after_a_large_body() {
    let setup = Setup::long_tracks().flag("--max-connections=8");
    let server = setup.start().await;
    let mut phones = Vec::new();
    for _ in 0..8 {
        phones.push(Phone::pair_and_listen(&server).await);
    }
    for framing in [Framing::ContentLength, Framing::Chunked] {
        let request = build_request(
            "POST /pause",
            &["Host: localhost"],
            framing,
            LARGE_BODY_BYTES,
        );
        let response = send_then_read_to_end(server.address(), &request, "a full server").await;
        assert!(response.starts_with("HTTP/1.1 503 "), "{response}");
    }
}

#[tokio::test]
async fn connection_stays_open_after_a_refused_request_with_a_small_body() {
    let server = TestServer::start().await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let refused_request = build_request(
        "POST /pause",
        &["Host: localhost"],
        Framing::ContentLength,
        9,
    );
    let health_request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(&refused_request).await.unwrap();
    stream.write_all(health_request.as_bytes()).await.unwrap();
    let mut responses = String::new();
    in_time(
        "the end of the connection",
        stream.read_to_string(&mut responses),
    )
    .await
    .unwrap();
    assert!(responses.starts_with("HTTP/1.1 401 "), "{responses}");
    assert!(responses.contains("HTTP/1.1 200 "), "{responses}");
}

#[tokio::test]
async fn connection_with_an_endless_request_body_is_closed() {
    let server = TestServer::start().await;
    let request_head =
        "POST /pause HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("10000\r\n{}\r\n", "a".repeat(64 << 10));
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(request_head.as_bytes()).await.unwrap();
    let send_endlessly = async { while stream.write_all(chunk.as_bytes()).await.is_ok() {} };
    in_time("the server to close the connection", send_endlessly).await;
}

#[tokio::test]
async fn client_that_stops_sending_a_refused_body_is_disconnected() {
    let server = TestServer::start().await;
    let request = build_request(
        "POST /pause",
        &["Host: localhost"],
        Framing::ContentLength,
        LARGE_BODY_BYTES,
    );
    let first_half = &request[..request.len() / 2];
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(first_half).await.unwrap();
    let mut response = Vec::new();
    // The server may reset the connection in this case, but only after the response has arrived.
    let _ = in_time(
        "the end of the connection",
        stream.read_to_end(&mut response),
    )
    .await;
    assert!(response.starts_with(b"HTTP/1.1 401 "));
}
