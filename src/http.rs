//! Requests and answers: the accept loop, the way through the gate, and the order in which the server closes.
//! Statuses live in `error`, routes in `router`; nothing in here decides what happens in the room.

mod app;
mod control;
mod encoding;
mod error;
mod events;
mod file;
mod gate;
mod music;
mod pair;
mod range;
mod router;
mod secure;
mod session;
mod socket;
mod sync;
mod validators;

use std::convert::Infallible;
use std::future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioTimer;
use hyper_util::server::graceful::GracefulShutdown;
use rustls::ServerConnection;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use self::socket::Socket;
use crate::config::Config;
use crate::hub::{Hub, Life};
use crate::library::Library;
use crate::library::cover::Covers;
use crate::pairing::Pairing;
use crate::tls::Tls;

/// How long a client may take to send a request's head, and a connection may be idle before it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long running answers may take once the server closes.
const CLOSING_TIMEOUT: Duration = Duration::from_secs(3);
/// After accepting has failed (out of file descriptors, say), it is tried again this much later.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Bytes of one answer that wait here to be taken by the system.
const MOST_BUFFERED: usize = 64 << 10;

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Whether there is a room to speak of.
#[derive(Debug)]
pub enum House {
    /// There is, and this is the way to it.
    Open(Hub),
    /// The state file is damaged, and this is what is wrong with it.
    Damaged(String),
}

/// Where phones come in.
#[derive(Debug)]
pub struct Doors {
    /// Over HTTP.
    pub plain: TcpListener,
    /// Over HTTPS, if that is served.
    pub secure: Option<(TcpListener, Arc<Tls>)>,
}

impl Doors {
    /// The next connection, and this server's side of its TLS if it came by that door.
    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr, Option<ServerConnection>)> {
        let secure = async {
            match &self.secure {
                Some((listener, tls)) => listener.accept().await.map(|accepted| (accepted, tls)),
                None => future::pending().await,
            }
        };
        let ((stream, peer), tls) = tokio::select! {
            accepted = self.plain.accept() => accepted.map(|accepted| (accepted, None)),
            accepted = secure => accepted.map(|(accepted, tls)| (accepted, Some(tls))),
        }?;
        let session = match tls {
            Some(tls) => {
                let session = tls.accept(stream.local_addr()?.ip());
                Some(session.map_err(io::Error::other)?)
            }
            None => None,
        };
        Ok((stream, peer, session))
    }
}

/// What every request can reach.
#[derive(Debug)]
pub struct App {
    house: House,
    library: Arc<Library>,
    covers: Arc<Covers>,
    pairing: Pairing,
    /// Whether the code is shown to everybody until somebody is paired.
    window: bool,
    names: gate::Names,
    debug: bool,
    url: String,
    offer: Option<secure::Offer>,
}

impl App {
    /// `url` is how phones in the house reach this server, by those `doors`.
    pub fn new(
        house: House,
        library: Arc<Library>,
        pairing: Pairing,
        config: &Config,
        url: String,
        doors: &Doors,
    ) -> Self {
        App {
            house,
            library,
            covers: Arc::default(),
            pairing,
            window: !config.no_pairing_window,
            names: gate::Names::new(&config.host_name),
            debug: config.debug,
            url,
            offer: secure::Offer::of(doors),
        }
    }
}

/// Serves until `closing` turns true. Then it accepts nobody any more, has the hub end the event streams,
/// and gives other answers a moment to finish.
pub async fn serve(
    doors: Doors,
    app: App,
    mut closing: watch::Receiver<bool>,
    life: &watch::Sender<Life>,
) {
    let app = Arc::new(app);
    let running = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = doors.accept() => accepted,
            _ = closing.wait_for(|closing| *closing) => break,
        };
        match accepted {
            Ok((stream, peer, tls)) => {
                serve_connection(Socket::new(stream, peer, tls), &app, &running);
            }
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(doors);
    // An event stream never finishes by itself, so those end first.
    life.send_replace(Life::Closing);
    if tokio::time::timeout(CLOSING_TIMEOUT, running.shutdown())
        .await
        .is_err()
    {
        tracing::info!("closing although some answers are not finished");
    }
}

fn serve_connection(socket: Socket, app: &Arc<App>, running: &GracefulShutdown) {
    let (app, line) = (app.clone(), socket.line());
    let service = service_fn(move |request: Request<Incoming>| {
        let (app, line) = (app.clone(), line.clone());
        async move { Ok::<_, Infallible>(router::answer(&app, &line, request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MOST_BUFFERED)
        .serve_connection(socket, service);
    let connection = running.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!("a connection ended: {error}");
        }
    });
}

/// A body that is all there.
fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

fn empty() -> Body {
    full(Bytes::new())
}

/// An answer in JSON.
fn json(value: &impl serde::Serialize) -> Response<Body> {
    let mut response = Response::new(full(serde_json::to_vec(value).unwrap_or_default()));
    let json = hyper::header::HeaderValue::from_static("application/json");
    response
        .headers_mut()
        .insert(hyper::header::CONTENT_TYPE, json);
    response
}
