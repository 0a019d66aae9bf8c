//! Sends a request and reads the whole response.

use std::time::Duration;

use reqwest::RequestBuilder;
use reqwest::header::HeaderMap;
use serde_json::Value;
use tokio::time::timeout;

/// A complete response.
#[derive(Debug)]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

/// Why no complete response was received.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The connection or the response failed.
    #[error("no response: {0:?}")]
    Failed(#[from] reqwest::Error),
    /// The response was not complete in time.
    #[error("no response within {0:?}")]
    TimedOut(Duration),
}

/// Sends a request, and reads the response up to its end within `limit`.
pub async fn send(request: RequestBuilder, limit: Duration) -> Result<HttpResponse, RequestError> {
    let exchange = async {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await?.to_vec();
        Ok(HttpResponse {
            status,
            headers,
            body,
        })
    };
    timeout(limit, exchange)
        .await
        .map_err(|_| RequestError::TimedOut(limit))?
}

impl HttpResponse {
    /// A header field; `None` if it is missing or not ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as text. Invalid UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; `Null` if the body is not JSON.
    pub fn json_or_null(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}
