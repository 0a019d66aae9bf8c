//! Asks a running server on this machine through its local socket.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;

/// How long to wait for a server that does not answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest response that is read. A longer response is cut off, and does not parse.
const MAX_RESPONSE_BYTES: u64 = 64 << 10;

/// A server that answers on its local socket.
#[derive(Clone)]
pub(crate) struct LocalServer {
    socket: PathBuf,
}

/// Why a request failed. The message is a sentence for the user.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// The socket cannot be used.
    #[error("{}", describe(.0))]
    Socket(#[from] io::Error),
    /// The server refuses the request. Contains the `detail` of the response.
    #[error("{0}")]
    Refused(String),
    #[error("the response does not come from a lockstep server of this version")]
    Unexpected,
}

/// The pairing code of the server that answers on the first of `sockets`.
///
/// # Errors
/// A sentence for the user that says why each socket cannot be used.
pub(crate) fn pairing_code(sockets: &[PathBuf]) -> Result<String, String> {
    #[derive(serde::Deserialize)]
    struct PairingCode {
        code: String,
    }
    let (_, PairingCode { code }) = LocalServer::find(sockets, "/code")?;
    Ok(code)
}

/// Makes a device host in the room of the server that answers on the first of `sockets`. Returns the name of the device, or its
/// member ID if it has no name.
///
/// # Errors
/// A sentence for the user.
pub(crate) fn make_host(sockets: &[PathBuf], device: &str) -> Result<String, String> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Host {
        member_id: String,
        name: String,
    }
    // Any response shows that the server answers.
    let (server, _) = LocalServer::find::<serde_json::Value>(sockets, "/code")?;
    let body = serde_json::json!({ "device": device });
    let host: Host = server
        .post("/hosts", &body)
        .map_err(|error| error.to_string())?;
    Ok(match host.name.is_empty() {
        true => host.member_id,
        false => host.name,
    })
}

impl LocalServer {
    /// The server that answers on the first of `sockets`, and its response to `GET path`.
    ///
    /// # Errors
    /// A sentence for the user that says why each socket cannot be used.
    pub(crate) fn find<T: DeserializeOwned>(
        sockets: &[PathBuf],
        path: &str,
    ) -> Result<(Self, T), String> {
        let mut reasons = Vec::new();
        for socket in sockets {
            let server = LocalServer {
                socket: socket.clone(),
            };
            match server.get(path) {
                Ok(response) => return Ok((server, response)),
                Err(error) => reasons.push(format!("{}: {error}", socket.display())),
            }
        }
        Err(format!(
            "no server of this user answers on this machine ({})",
            reasons.join("; ")
        ))
    }

    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, RequestError> {
        parse(&exchange(&self.socket, &format!("GET {path}"), "")?)
    }

    pub(crate) fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &serde_json::Value,
    ) -> Result<T, RequestError> {
        parse(&exchange(
            &self.socket,
            &format!("POST {path}"),
            &body.to_string(),
        )?)
    }
}

fn describe(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "there is no socket".into(),
        ErrorKind::ConnectionRefused => "the server has ended".into(),
        ErrorKind::PermissionDenied => "this user may not open it; try sudo".into(),
        _ => error.to_string(),
    }
}

/// Sends one request, and returns the whole response.
fn exchange(socket: &Path, method_and_path: &str, body: &str) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let length = body.len();
    let request = format!(
        "{method_and_path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes())?;
    let mut response = Vec::new();
    stream.take(MAX_RESPONSE_BYTES).read_to_end(&mut response)?;
    Ok(response)
}

/// Parses the body of a successful response. The body needs no decoding, because the server sends it with a
/// `Content-Length`.
fn parse<T: DeserializeOwned>(response: &[u8]) -> Result<T, RequestError> {
    #[derive(serde::Deserialize)]
    struct Problem {
        detail: String,
    }
    let response = std::str::from_utf8(response).map_err(|_| RequestError::Unexpected)?;
    let (head, body) = response
        .split_once("\r\n\r\n")
        .ok_or(RequestError::Unexpected)?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    let body = if status == "204" { "null" } else { body };
    if status.starts_with('2') {
        return serde_json::from_str(body).map_err(|_| RequestError::Unexpected);
    }
    Err(match serde_json::from_str(body) {
        Ok(Problem { detail }) => RequestError::Refused(detail),
        Err(_) => RequestError::Unexpected,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_successful_responses_and_the_sentence_of_problems() {
        let parsed = |response: &str| {
            let value = parse::<serde_json::Value>(response.as_bytes());
            value
                .map(|value| value["code"].as_str().unwrap_or("none").to_owned())
                .map_err(|error| error.to_string())
        };
        let unexpected = "the response does not come from a lockstep server of this version";
        for (response, expected) in [
            (
                "HTTP/1.1 200 OK\r\nA: b\r\n\r\n{\"code\":\"012345\"}",
                Ok("012345"),
            ),
            (
                "HTTP/1.1 422 No\r\n\r\n{\"detail\":\"Music plays\"}",
                Err("Music plays"),
            ),
            ("HTTP/1.1 403 Forbidden\r\n\r\nno", Err(unexpected)),
            ("HTTP/1.1 200 OK\r\n\r\n", Err(unexpected)),
            ("HTTP/1.1 204 No Content\r\n\r\n", Ok("none")),
            ("hello", Err(unexpected)),
            ("", Err(unexpected)),
        ] {
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(parsed(response), expected, "{response}");
        }
    }
}
