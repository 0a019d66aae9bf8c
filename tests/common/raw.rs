//! Requests byte by byte, for what a proper client would never send.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::in_time;

/// What came back.
#[derive(Debug)]
pub struct RawAnswer {
    /// The status code.
    pub status: u16,
    /// The status line and the header fields, as they came.
    pub head: String,
    /// All that followed them.
    pub body: Vec<u8>,
}

impl RawAnswer {
    /// The first header field of that name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// Asserts that it is that error, told as RFC 9457 has it.
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

/// Sends `request` as it stands, and reads until the server closes the connection.
pub async fn send(address: SocketAddr, request: impl AsRef<[u8]>) -> RawAnswer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A server that refuses a request may close the connection before it has all of it.
    let _ = stream.write_all(request.as_ref()).await;
    let mut answer = Vec::new();
    let read = in_time(
        "the server to close the connection",
        stream.read_to_end(&mut answer),
    )
    .await;
    // A server that refuses a body unread resets the connection; what came before that counts.
    if answer.is_empty() {
        read.unwrap();
    }
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let end =
        end.unwrap_or_else(|| panic!("no answer, but {:?}", String::from_utf8_lossy(&answer)));
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    RawAnswer {
        status: status.expect("a status"),
        body: answer[end + 4..].to_vec(),
        head,
    }
}

/// A `GET` with just these header fields, each without its line end.
pub async fn get(address: SocketAddr, path: &str, fields: &[&str]) -> RawAnswer {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    send(
        address,
        format!("GET {path} HTTP/1.1\r\n{fields}Connection: close\r\n\r\n"),
    )
    .await
}
