//! Reads an event stream: Server-Sent Events (WHATWG HTML, section 9.2) whose data is one JSON message each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::{RequestBuilder, Response};
use serde_json::Value;
use tokio::time::timeout;

/// One message of the event stream.
#[derive(Debug, Clone)]
pub struct Event {
    /// The `id:` field, which only durable events have.
    pub id: Option<u64>,
    /// The message's `event`, for example `barrier.opened`.
    pub name: String,
    /// The message's `payload`.
    pub payload: Value,
    /// The message's `eventCount`.
    pub event_count: u64,
    /// The `data:` field as received.
    pub data: Arc<str>,
    /// The time at which the last bytes of the message were received.
    pub received_at: Instant,
}

/// One block of an event stream: the lines up to an empty line.
#[derive(Debug)]
pub enum Block {
    /// Only comments, which the server sends as a keep-alive.
    Comment,
    /// The reconnection delay in milliseconds.
    Retry(u64),
    /// A message.
    Event(Event),
}

/// Why no further block can be read from an event stream.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The request failed, or the response is not an event stream.
    #[error("the event stream did not open: {0}")]
    NotOpened(String),
    /// The server has completed the response body.
    #[error("the server ended the event stream")]
    Ended,
    /// The connection failed.
    #[error("the event stream's connection failed: {0}")]
    Broken(reqwest::Error),
    /// Nothing was received for the given time.
    #[error("the event stream was silent for {0:?}")]
    Silent(Duration),
    /// A block does not conform to the protocol.
    #[error("{what} in the event stream's block {block:?}")]
    Malformed {
        /// What is wrong with the block.
        what: &'static str,
        /// The block's text.
        block: String,
    },
}

/// An open event stream.
#[derive(Debug)]
pub struct EventReader {
    response: Response,
    /// Bytes received and not parsed yet.
    buffer: Vec<u8>,
    received_at: Instant,
    max_silence: Duration,
}

impl EventReader {
    /// Sends `request`, and reads the response as an event stream. Every read, and the wait for the response head, fails
    /// with [`StreamError::Silent`] after `max_silence`.
    pub async fn open(
        request: RequestBuilder,
        max_silence: Duration,
    ) -> Result<EventReader, StreamError> {
        let not_opened = |reason: String| Err(StreamError::NotOpened(reason));
        let response = match timeout(max_silence, request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return not_opened(error.to_string()),
            Err(_) => return Err(StreamError::Silent(max_silence)),
        };
        if response.status() != 200 {
            return not_opened(format!("the response status is {}", response.status()));
        }
        match response.headers().get("content-type") {
            Some(content_type) if content_type == "text/event-stream" => {}
            other => return not_opened(format!("the response's content type is {other:?}")),
        }
        Ok(EventReader {
            response,
            buffer: Vec::new(),
            received_at: Instant::now(),
            max_silence,
        })
    }

    /// The next block.
    pub async fn next_block(&mut self) -> Result<Block, StreamError> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|window| window == b"\n\n") {
                let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
                return parse_block(&block, self.received_at);
            }
            match timeout(self.max_silence, self.response.chunk()).await {
                Ok(Ok(Some(chunk))) => {
                    self.received_at = Instant::now();
                    self.buffer.extend(chunk);
                }
                Ok(Ok(None)) => return Err(StreamError::Ended),
                Ok(Err(error)) => return Err(StreamError::Broken(error)),
                Err(_) => return Err(StreamError::Silent(self.max_silence)),
            }
        }
    }

    /// The next event. Skips comments and `retry:`.
    pub async fn next_event(&mut self) -> Result<Event, StreamError> {
        loop {
            if let Block::Event(event) = self.next_block().await? {
                return Ok(event);
            }
        }
    }
}

/// Parses a block. Unlike a client that follows the standard, reports an unknown field or a second `data:` line as an error,
/// because the server must not send them.
fn parse_block(block: &[u8], received_at: Instant) -> Result<Block, StreamError> {
    let text = String::from_utf8_lossy(block);
    let malformed = |what: &'static str| StreamError::Malformed {
        what,
        block: text.clone().into_owned(),
    };
    if std::str::from_utf8(block).is_err() {
        return Err(malformed("invalid UTF-8"));
    }
    let (mut id, mut data, mut retry) = (None, None, None);
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        let number = || value.parse().map_err(|_| malformed("an invalid number"));
        match field {
            "" => {}
            "id" => id = Some(number()?),
            "retry" => retry = Some(number()?),
            "data" if data.is_none() => data = Some(value),
            "data" => return Err(malformed("a second data line")),
            _ => return Err(malformed("an unknown field")),
        }
    }
    let Some(data) = data else {
        return Ok(retry.map_or(Block::Comment, Block::Retry));
    };
    let mut message: Value =
        serde_json::from_str(data).map_err(|_| malformed("data that is not JSON"))?;
    let payload = message["payload"].take();
    match (message["event"].as_str(), message["eventCount"].as_u64()) {
        (Some(name), Some(event_count)) => Ok(Block::Event(Event {
            id,
            name: name.to_owned(),
            payload,
            event_count,
            data: data.into(),
            received_at,
        })),
        _ => Err(malformed("a message without event or eventCount")),
    }
}
