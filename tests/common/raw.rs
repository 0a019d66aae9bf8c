//! Sends requests as raw bytes, because an HTTP client would refuse to send some of the tests' requests.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::in_time;

/// A response as received, split into head and body.
#[derive(Debug)]
pub struct RawResponse {
    /// The status code.
    pub status: u16,
    /// The status line and the header fields, as received.
    pub head: String,
    /// Everything after the header fields.
    pub body: Vec<u8>,
}

impl RawResponse {
    /// The first header field named `name`, compared case-insensitively.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// Asserts the status and that the body is a problem document (RFC 9457).
    pub fn expect_problem(&self, status: u16) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        let problem: Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem["status"], status, "{problem}");
    }
}

/// Sends `request` unchanged, and reads until the server closes the connection.
pub async fn send(address: SocketAddr, request: impl AsRef<[u8]>) -> RawResponse {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // Errors are ignored: a server that refuses a request may close the connection before it has read the whole request.
    let _ = stream.write_all(request.as_ref()).await;
    let mut response = Vec::new();
    let read = in_time(
        "the server to close the connection",
        stream.read_to_end(&mut response),
    )
    .await;
    // If the server closes a connection with unread request bytes, TCP resets the connection after the response.
    if response.is_empty() {
        read.unwrap();
    }
    let end = response.windows(4).position(|window| window == b"\r\n\r\n");
    let end =
        end.unwrap_or_else(|| panic!("not a response: {:?}", String::from_utf8_lossy(&response)));
    let head = String::from_utf8(response[..end].to_vec()).unwrap();
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    RawResponse {
        status: status.expect("a status"),
        body: response[end + 4..].to_vec(),
        head,
    }
}

/// Sends `GET` with `Connection: close` and these header fields, each given without its line end.
pub async fn get(address: SocketAddr, path: &str, fields: &[&str]) -> RawResponse {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    send(
        address,
        format!("GET {path} HTTP/1.1\r\n{fields}Connection: close\r\n\r\n"),
    )
    .await
}

/// Sends a request on a socket with a small receive buffer.
pub async fn request_with_small_receive_buffer(
    address: SocketAddr,
    path: &str,
    token: &str,
) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}
