//! A response body that fails as soon as the device that requested it is no longer paired.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::hub::Hub;
use crate::room::MemberId;

/// A response body that checks before each frame of the inner body whether the device is still paired.
///
/// While the client does not read, hyper does not poll the body, so no check takes place. In this case,
/// [`Connections::demote_unpaired`] closes the connection.
///
/// [`Connections::demote_unpaired`]: super::connections::Connections::demote_unpaired
pub(super) struct PairedBody<B> {
    body: B,
    hub: Hub,
    member: MemberId,
}

impl<B> PairedBody<B> {
    pub(super) fn new(body: B, hub: Hub, member: MemberId) -> Self {
        PairedBody { body, hub, member }
    }
}

impl<B: Body<Data = Bytes, Error = io::Error> + Unpin> Body for PairedBody<B> {
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
