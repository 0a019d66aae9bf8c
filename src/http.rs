//! The HTTP/1.1 server: connections, access checks, routes and their handlers. Handlers translate between HTTP and the hub,
//! the task that owns a room ([`crate::hub`]); [`crate::room`] decides what a command does.

mod app;
mod assets;
mod body;
mod call;
mod compare;
mod connection_settings;
mod connections;
mod control;
mod dispatch;
mod downloads;
mod encoding;
mod error;
mod events;
mod files;
mod forwarded;
#[cfg(fuzzing)]
pub mod fuzzing;
mod gate;
mod history;
mod https_setup;
mod listen;
mod local_host;
mod local_socket;
mod loudness;
mod metrics;
mod pair;
mod paired_body;
mod permission;
mod qr;
mod refusal;
mod roles;
mod rooms;
mod routes;
mod rules;
mod server;
mod socket;
mod status;
mod sync;
mod talk;
mod unread_body;
mod uploads;
mod votes;

use hyper::header::{HeaderName, HeaderValue};

pub use self::app::App;
use self::body::{Body, empty, full, json};
pub use self::listen::{ListenSockets, bind};
pub use self::local_socket::LocalSocket;
pub use self::routes::routes;
pub use self::server::serve;

/// Makes a reverse proxy (nginx) pass on each part of a response as it arrives, instead of buffering the response first.
const NO_PROXY_BUFFER: (HeaderName, HeaderValue) = (
    HeaderName::from_static("x-accel-buffering"),
    HeaderValue::from_static("no"),
);
