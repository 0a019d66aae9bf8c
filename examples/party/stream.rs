//! An event stream as the crowd reads it: Server-Sent Events, block by block. What the events mean
//! lives in `view`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::{RequestBuilder, Response};
use serde_json::Value;
use tokio::time::timeout;

/// A comment comes every 5 s; silence for this long is a broken promise on any machine.
const SILENCE: Duration = Duration::from_secs(20);

/// One message.
#[derive(Debug, Clone)]
pub(super) struct Event {
    /// Its `id:`, which only durable events have.
    pub(super) id: Option<u64>,
    /// What happened.
    pub(super) name: String,
    /// What there is to say about it.
    pub(super) payload: Value,
    /// The count that it carries.
    pub(super) event_count: u64,
    /// The message as it came.
    pub(super) text: Arc<str>,
    /// When it came.
    pub(super) arrived: Instant,
}

/// An open event stream.
#[derive(Debug)]
pub(super) struct EventStream {
    response: Response,
    rest: Vec<u8>,
    arrived: Instant,
}

impl EventStream {
    /// Sends the request, which must open a stream.
    ///
    /// # Errors
    /// What came instead.
    pub(super) async fn open(request: RequestBuilder) -> Result<EventStream, String> {
        let response = timeout(SILENCE, request.send())
            .await
            .map_err(|_| "a stream was asked for, and no answer came".to_owned())?
            .map_err(|error| format!("a stream was asked for, but {error}"))?;
        if response.status() != 200 {
            return Err(format!(
                "a stream was asked for, and answered {}",
                response.status()
            ));
        }
        Ok(EventStream {
            response,
            rest: Vec::new(),
            arrived: Instant::now(),
        })
    }

    /// The next message, whatever comes between.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn next(&mut self) -> Result<Event, String> {
        loop {
            while let Some(end) = self.rest.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.rest.drain(..end + 2).collect();
                if let Some(event) = parse(&block, self.arrived)? {
                    return Ok(event);
                }
            }
            match timeout(SILENCE, self.response.chunk()).await {
                Ok(Ok(Some(chunk))) => {
                    self.arrived = Instant::now();
                    self.rest.extend(chunk);
                }
                Ok(Ok(None)) => return Err("the server ended a stream that was read".into()),
                Ok(Err(error)) => return Err(format!("a stream broke: {error}")),
                Err(_) => return Err(format!("a stream was silent for {SILENCE:?}")),
            }
        }
    }
}

/// A block's message; `None` for comments and `retry:`.
fn parse(block: &[u8], arrived: Instant) -> Result<Option<Event>, String> {
    let block = std::str::from_utf8(block).map_err(|_| "a stream is not UTF-8".to_owned())?;
    let wrong = |what: &str| format!("{what} in a stream's block {block:?}");
    let (mut id, mut data) = (None, None);
    for line in block.lines().filter(|line| !line.is_empty()) {
        match line.split_once(": ").unwrap_or((line, "")) {
            ("id", number) => id = Some(number.parse().map_err(|_| wrong("no number for an id"))?),
            ("data", text) if data.is_none() => data = Some(text),
            ("retry", _) => {}
            (comment, _) if comment.starts_with(':') => {}
            _ => return Err(wrong("an unknown line")),
        }
    }
    let Some(text) = data else { return Ok(None) };
    let mut message: Value = serde_json::from_str(text).map_err(|_| wrong("no JSON"))?;
    let payload = message["payload"].take();
    match (message["event"].as_str(), message["eventCount"].as_u64()) {
        (Some(name), Some(event_count)) => Ok(Some(Event {
            id,
            name: name.to_owned(),
            payload,
            event_count,
            text: text.into(),
            arrived,
        })),
        _ => Err(wrong("no name or no count")),
    }
}
