//! A client of the server's HTTP API whose functions return errors. The tests' `Phone` wraps the client and
//! panics on an error. The phones of `examples/party` report an error as a violated invariant.

pub mod device;
pub mod response;
pub mod room_view;
pub mod sse;

pub use device::{Device, pair_request};
pub use response::{HttpResponse, RequestError, send};
pub use room_view::{FoldError, RoomView};
pub use sse::{Block, Event, EventReader, StreamError};
