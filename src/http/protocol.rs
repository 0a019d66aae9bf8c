//! HTTP as it is spoken on each connection, and what that may take in time and memory. What is answered is not known here.

use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;

/// How long a client may take to send a request's head, and a connection may be idle before it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest head of a request, in bytes.
const LARGEST_HEAD: usize = 16 << 10;
/// Bytes of one answer that wait here to be taken by the system.
pub(super) const MOST_BUFFERED: usize = 64 << 10;

/// As each connection speaks it. A larger head is answered with 431; one that does not come in time, with the end of the
/// connection.
pub(super) fn new() -> http1::Builder {
    let mut protocol = http1::Builder::new();
    protocol
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_header_size(LARGEST_HEAD)
        .max_buf_size(MOST_BUFFERED);
    protocol
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

    use super::super::error::ApiError;
    use super::super::{control, full};
    use super::*;

    /// A connection on which each request's body is read and answered with its length.
    fn connection() -> DuplexStream {
        let (client, server) = tokio::io::duplex(1 << 20);
        let service = service_fn(|request: Request<Incoming>| async {
            let read = control::read(request.into_body()).await;
            let answer = read.map(|body| Response::new(full(body.len().to_string())));
            Ok::<_, Infallible>(answer.unwrap_or_else(ApiError::into_response))
        });
        let served = new().serve_connection(TokioIo::new(server), service);
        tokio::spawn(served);
        client
    }

    /// The status of the answer, if there is one, and after how long the connection was closed.
    async fn end_of(mut client: DuplexStream) -> (Option<u16>, Duration) {
        let (began, mut answer) = (Instant::now(), Vec::new());
        client.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let status = answer.split(' ').nth(1).map(|status| status.parse());
        (status.map(Result::unwrap), began.elapsed())
    }

    /// Sends so much of a request a second, for as long as it is listened to.
    async fn send_slowly(beginning: &str, each_second: &'static [u8]) -> DuplexStream {
        let mut client = connection();
        client.write_all(beginning.as_bytes()).await.unwrap();
        let (mut reads, mut writes) = tokio::io::split(client);
        let (own, mut others) = tokio::io::duplex(1 << 20);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                if writes.write_all(each_second).await.is_err() {
                    break;
                }
            }
        });
        tokio::spawn(async move { tokio::io::copy(&mut reads, &mut others).await });
        own
    }

    #[track_caller]
    fn expect_about(expected: Duration, took: Duration) {
        let slack = Duration::from_secs(2);
        assert!((expected..expected + slack).contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_says_nothing_is_closed() {
        let (status, after) = end_of(connection()).await;
        assert_eq!(status, None);
        expect_about(HEAD_TIMEOUT, after);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_has_been_answered_is_closed_when_it_is_idle_for_long() {
        let mut client = connection();
        let request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
        client.write_all(request).await.unwrap();
        let (status, after) = end_of(client).await;
        assert_eq!(status, Some(200));
        expect_about(HEAD_TIMEOUT, after);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_comes_a_byte_at_a_time_is_not_waited_for_longer() {
        let client = send_slowly("GET / HTTP/1.1\r\nHost: localhost\r\n", b"x").await;
        let (status, after) = end_of(client).await;
        assert_eq!(status, None);
        expect_about(HEAD_TIMEOUT, after);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_comes_a_byte_at_a_time_is_refused_and_its_connection_closed() {
        let head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n";
        let (status, after) = end_of(send_slowly(head, b"x").await).await;
        assert_eq!(status, Some(408));
        expect_about(control::BODY_TIMEOUT, after);
    }

    #[tokio::test(start_paused = true)]
    async fn heads_and_bodies_are_taken_up_to_their_limits() {
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
        let body = |length: usize| {
            format!(
                "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{}",
                "a".repeat(length)
            )
        };
        let endless = format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{}",
            format!("1000\r\n{}\r\n", "a".repeat(4096)).repeat(5)
        );
        for (request, status) in [
            (head(8_000), 200),
            (head(LARGEST_HEAD), 431),
            (fields(90), 200),
            (fields(101), 431),
            (body(control::LARGEST_BODY), 200),
            (body(control::LARGEST_BODY + 1), 413),
            (endless, 413),
        ] {
            let mut client = connection();
            client.write_all(request.as_bytes()).await.unwrap();
            let (answered, _) = end_of(client).await;
            assert_eq!(
                answered,
                Some(status),
                "{}",
                &request[..80.min(request.len())]
            );
        }
    }
}
