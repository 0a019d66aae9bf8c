//! The HTTP/1.1 settings of every connection: timeouts and size limits.

use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;

/// The timeout for a client to send the head of a request. The timeout starts at the end of the previous response, so idle
/// connections have the same timeout.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest head of a request, in bytes.
const MAX_HEAD_SIZE: usize = 16 << 10;
/// The maximum size of the read buffer and of the write buffer that hyper has for a connection, in bytes.
const MAX_BUFFER: usize = 64 << 10;

/// A builder of connections with the settings above. hyper answers a head that is larger than [`MAX_HEAD_SIZE`] with 431,
/// and closes the connection without a response after [`HEAD_TIMEOUT`].
///
/// During a response, [`Socket`](super::socket::Socket) watches for the end of the input. Without `half_close`, hyper 1.12
/// would watch for the end as well, but would reserve another read buffer of 8 KB.
pub(super) fn http1_builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .half_close(true)
        .max_header_size(MAX_HEAD_SIZE)
        .max_buf_size(MAX_BUFFER);
    builder
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use hyper::body::Incoming;
    use hyper::service::service_fn;
    use hyper::{Request, Response};
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio::time::Instant;

    use super::super::body::{self, RequestBody, full};
    use super::super::error::ApiError;
    use super::*;

    /// The client's end of a connection to a server that answers each request with the length of the body.
    fn connect() -> DuplexStream {
        let (client, server) = tokio::io::duplex(1 << 20);
        let service = service_fn(|request: Request<Incoming>| async {
            let read = RequestBody::new(request.into_body()).read().await;
            let response = read.map(|body| Response::new(full(body.len().to_string())));
            Ok::<_, Infallible>(response.unwrap_or_else(ApiError::into_response))
        });
        let connection = http1_builder().serve_connection(TokioIo::new(server), service);
        tokio::spawn(connection);
        client
    }

    /// The status of the response, `None` without one; and the time until the server closed the connection.
    async fn read_to_end(mut client: DuplexStream) -> (Option<u16>, Duration) {
        let (start, mut response) = (Instant::now(), Vec::new());
        client.read_to_end(&mut response).await.unwrap();
        let response = String::from_utf8(response).unwrap();
        let status = response.split(' ').nth(1).map(|status| status.parse());
        (status.map(Result::unwrap), start.elapsed())
    }

    /// Sends `start` at once, then `bytes` every second until the server closes the connection. Returns a stream from which
    /// the response can be read.
    async fn send_slowly(start: &str, bytes: &'static [u8]) -> DuplexStream {
        let mut client = connect();
        client.write_all(start.as_bytes()).await.unwrap();
        let (mut from_server, mut to_server) = tokio::io::split(client);
        let (result, mut forwarded) = tokio::io::duplex(1 << 20);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                if to_server.write_all(bytes).await.is_err() {
                    break;
                }
            }
        });
        tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut forwarded).await });
        result
    }

    #[track_caller]
    fn assert_within_2_s_after(expected: Duration, elapsed: Duration) {
        let tolerance = Duration::from_secs(2);
        assert!(
            (expected..expected + tolerance).contains(&elapsed),
            "{elapsed:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn closes_a_connection_without_a_request_after_the_timeout() {
        let (status, after) = read_to_end(connect()).await;
        assert_eq!(status, None);
        assert_within_2_s_after(HEAD_TIMEOUT, after);
    }

    #[tokio::test(start_paused = true)]
    async fn closes_an_idle_connection_after_the_timeout() {
        let mut client = connect();
        let request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
        client.write_all(request).await.unwrap();
        let (status, after) = read_to_end(client).await;
        assert_eq!(status, Some(200));
        assert_within_2_s_after(HEAD_TIMEOUT, after);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_arrives_slowly_does_not_extend_the_timeout() {
        let client = send_slowly("GET / HTTP/1.1\r\nHost: localhost\r\n", b"x").await;
        let (status, after) = read_to_end(client).await;
        assert_eq!(status, None);
        assert_within_2_s_after(HEAD_TIMEOUT, after);
    }

    #[tokio::test(start_paused = true)]
    async fn answers_408_to_a_slow_body_and_closes_the_connection() {
        let head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n";
        let (status, after) = read_to_end(send_slowly(head, b"x").await).await;
        assert_eq!(status, Some(408));
        assert_within_2_s_after(body::REQUEST_BODY_TIMEOUT, after);
    }

    #[tokio::test(start_paused = true)]
    async fn accepts_heads_and_bodies_up_to_their_limits() {
        let head = |padding| {
            format!(
                "GET / HTTP/1.1\r\nHost: localhost\r\nA: {}\r\n\r\n",
                "a".repeat(padding)
            )
        };
        let fields = |count| {
            format!(
                "GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n",
                "A: b\r\n".repeat(count)
            )
        };
        let request_of = |length: usize| {
            format!(
                "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{}",
                "a".repeat(length)
            )
        };
        let chunked = format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{}",
            format!("1000\r\n{}\r\n", "a".repeat(4096)).repeat(5)
        );
        for (request, status) in [
            (head(8_000), 200),
            (head(MAX_HEAD_SIZE), 431),
            (fields(90), 200),
            (fields(101), 431),
            (request_of(body::MAX_REQUEST_BODY), 200),
            (request_of(body::MAX_REQUEST_BODY + 1), 413),
            (chunked, 413),
        ] {
            let mut client = connect();
            client.write_all(request.as_bytes()).await.unwrap();
            let (actual, _) = read_to_end(client).await;
            assert_eq!(
                actual,
                Some(status),
                "{}",
                &request[..80.min(request.len())]
            );
        }
    }
}
