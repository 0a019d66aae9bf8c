//! Reads request bodies, limited in size and time, and creates response bodies.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::Response;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// The type of every response body.
pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// The largest request body that is read, in bytes.
pub(super) const MAX_REQUEST_BODY: usize = 16 << 10;
/// Time for a client to send a request body.
pub(super) const REQUEST_BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The body of a request.
#[derive(Debug)]
pub(super) struct RequestBody {
    incoming: Incoming,
    /// Whether the body was read to its end. Stored here, because `is_end_stream` of hyper 1 stays false for a chunked body.
    is_complete: bool,
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming) -> Self {
        let is_complete = incoming.is_end_stream();
        RequestBody {
            incoming,
            is_complete,
        }
    }

    /// Reads a body of at most [`MAX_REQUEST_BODY`] bytes.
    ///
    /// # Errors
    /// 413 for a larger body, 408 after [`REQUEST_BODY_TIMEOUT`], 400 if the connection ends before the body does.
    pub(super) async fn read(&mut self) -> Result<Bytes, ApiError> {
        if self.incoming.size_hint().lower() > MAX_REQUEST_BODY as u64 {
            return Err(ApiError::BodyTooLarge);
        }
        let limited = Limited::new(&mut self.incoming, MAX_REQUEST_BODY);
        match tokio::time::timeout(REQUEST_BODY_TIMEOUT, limited.collect()).await {
            Ok(Ok(collected)) => {
                self.is_complete = true;
                Ok(collected.to_bytes())
            }
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(ApiError::BodyTooLarge),
            Ok(Err(_)) => Err(ApiError::BadRequest(
                "The connection ended before the whole request body had arrived".to_owned(),
            )),
            Err(_) => Err(ApiError::BodyTimeout),
        }
    }

    /// Reads a body of at most [`MAX_REQUEST_BODY`] bytes that is a JSON object.
    ///
    /// # Errors
    /// Those of [`RequestBody::read`] and [`from_json`].
    pub(super) async fn read_json<T: DeserializeOwned>(&mut self) -> Result<T, ApiError> {
        from_json(&self.read().await?)
    }

    /// The next bytes of a body of any size; `None` at its end. Cancel-safe.
    ///
    /// # Errors
    /// 400 if the connection ends before the body does.
    pub(super) async fn next_piece(&mut self) -> Option<Result<Bytes, ApiError>> {
        loop {
            let Some(frame) = self.incoming.frame().await else {
                self.is_complete = true;
                return None;
            };
            match frame.map(hyper::body::Frame::into_data) {
                Ok(Ok(bytes)) if !bytes.is_empty() => return Some(Ok(bytes)),
                // An empty piece, or trailers.
                Ok(_) => {}
                Err(_) => {
                    return Some(Err(ApiError::BadRequest(
                        "The connection ended before the whole request body had arrived".into(),
                    )));
                }
            }
        }
    }

    /// The rest of the body; `None` if the body was read to its end.
    pub(super) fn into_unread(self) -> Option<Incoming> {
        (!self.is_complete).then_some(self.incoming)
    }
}

/// Parses a request body as a JSON object. Parses into a map first, because serde would also accept an array for a struct.
///
/// # Errors
/// 400 with the parser's message.
pub(super) fn from_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice::<serde_json::Map<_, _>>(body)
        .and_then(|object| serde_json::from_value(object.into()))
        .map_err(|error| {
            ApiError::BadRequest(format!(
                "The request body is not valid JSON for this command: {error}"
            ))
        })
}

/// A response body of bytes in memory.
pub(super) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// An empty response body.
pub(super) fn empty() -> Body {
    full(Bytes::new())
}

/// A 200 response with `value` as JSON.
pub(super) fn json(value: &impl Serialize) -> Response<Body> {
    let mut response = Response::new(full(serde_json::to_vec(value).unwrap_or_default()));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
