//! Reads and discards the part of a request body that the handler has not read, once the response has begun.
//!
//! If the rest were not read, hyper 1 would close the connection as soon as it has written the response. Because of the
//! unread bytes, the kernel would then reset the connection, and a client that is still sending would receive the reset
//! instead of the response.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::header::{CONNECTION, EXPECT, HeaderMap, HeaderValue};
use hyper::{Response, body};
use tokio::runtime::Handle;

use super::body::{Body, MAX_REQUEST_BODY, RequestBody};

/// The maximum number of bytes of one request body to discard. hyper closes the connection of a client that sends more.
const MAX_DISCARDED: u64 = 16 << 20;
/// The timeout for discarding one request body. hyper closes the connection of a slower client.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

/// Returns `response` with a body that also discards the unread part of `request_body`. `request_headers` are those of the
/// same request.
///
/// Unless the request body is small, the response has `Connection: close` (RFC 9112, 9.6), so that a client that reads the
/// response before it has sent the whole body can stop sending.
pub(super) fn discard(
    mut response: Response<Body>,
    request_body: RequestBody,
    request_headers: &HeaderMap,
) -> Response<Body> {
    let Some(rest) = request_body.into_unread() else {
        return response;
    };
    let upper = body::Body::size_hint(&rest).upper();
    let is_small = upper.is_some_and(|bytes| bytes <= MAX_REQUEST_BODY as u64);
    // After a final status, a client that waits for "100 Continue" may send the body or leave it out (RFC 9110, 10.1.1). On
    // an open connection, the server could not distinguish that body from the next request.
    if !is_small || request_headers.contains_key(EXPECT) {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    response.map(|response| {
        let rest = Some(rest);
        DiscardingBody { response, rest }.boxed_unsync()
    })
}

/// A response body that starts to discard the request body when hyper first polls or drops the response body. By then,
/// hyper has encoded the head of the response. If the request body were polled earlier, hyper 1 would send "100 Continue".
struct DiscardingBody {
    response: Body,
    /// The unread part of the request body; `None` once discarding has started.
    rest: Option<Incoming>,
}

impl DiscardingBody {
    fn start_discarding(&mut self) {
        let Some(rest) = self.rest.take() else { return };
        // At the end of the process, hyper may drop the response body outside of the runtime, where no task can be spawned.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async {
                let _ = tokio::time::timeout(DISCARD_TIMEOUT, read_to_end(rest)).await;
            });
        }
    }
}

/// Reads the body until it ends, fails, or exceeds [`MAX_DISCARDED`].
async fn read_to_end(mut body: Incoming) {
    let mut discarded = 0;
    while let Some(Ok(frame)) = body.frame().await {
        discarded += frame.data_ref().map_or(0, |data| data.len() as u64);
        if discarded > MAX_DISCARDED {
            return;
        }
    }
}

impl HttpBody for DiscardingBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.start_discarding();
        Pin::new(&mut self.response).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.response.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.response.size_hint()
    }
}

impl Drop for DiscardingBody {
    /// Necessary because hyper drops an empty body, and the body of a response to HEAD, without polling it.
    fn drop(&mut self) {
        self.start_discarding();
    }
}
