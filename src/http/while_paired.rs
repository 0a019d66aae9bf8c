//! A body that breaks off once the device that it is for is no longer paired.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::hub::Hub;
use crate::room::MemberId;

/// What is left of the inner body is sent as long as that is so; the question is asked before each piece. Where the other end
/// takes nothing no piece is asked for: then it is the whole connection that goes (`crowd`).
pub(super) struct WhilePaired<B> {
    body: B,
    hub: Hub,
    member: MemberId,
}

impl<B> WhilePaired<B> {
    pub(super) fn new(body: B, hub: Hub, member: MemberId) -> Self {
        WhilePaired { body, hub, member }
    }
}

impl<B: Body<Data = Bytes, Error = io::Error> + Unpin> Body for WhilePaired<B> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if !self.hub.is_paired(self.member) {
            return Poll::Ready(Some(Err(io::ErrorKind::PermissionDenied.into())));
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
