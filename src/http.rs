//! Requests and answers: the accept loop, the way through the gate, and the order in which the server closes.
//! Statuses live in `error`, routes in `router`; nothing in here decides what happens in the room.

mod app;
mod buffer;
mod control;
mod crowd;
mod downloads;
mod encoding;
mod error;
mod events;
mod file;
#[cfg(fuzzing)]
pub mod fuzzing;
mod gate;
mod lent;
mod metrics;
mod music;
mod pair;
mod protocol;
mod range;
mod router;
mod secure;
mod session;
mod socket;
mod sync;
mod uplink;
mod validators;
mod while_paired;

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
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use rustls::ServerConnection;
use socket2::{Domain, Protocol, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::time::Instant;

use self::crowd::{Crowd, Place};
use self::downloads::Downloads;
use self::error::ApiError;
use self::socket::Socket;
use crate::config::Config;
use crate::hub::{Hub, Life};
use crate::library::Library;
use crate::library::cover::Covers;
use crate::metrics::Metrics;
use crate::pairing::Pairing;
use crate::tls::Tls;

/// Connections that may wait to be accepted.
const WAITING: i32 = 1024;
/// How long running answers may take once the server closes.
const CLOSING_TIMEOUT: Duration = Duration::from_secs(3);
/// After accepting has failed (out of file descriptors, say), it is tried again this much later.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// What goes wrong again and again is said so often.
const SAID_AGAIN: Duration = Duration::from_secs(60);
/// So many are told at a time that there is no room for them, for so long at most; others see their connection closed.
const TURNED_AWAY: usize = 16;
const TURNING_AWAY: Duration = Duration::from_secs(2);

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Whether there is a room to speak of.
#[derive(Debug)]
pub enum House {
    /// There is, and this is the way to it.
    Open(Hub),
    /// The state file is damaged, and this is what is wrong with it.
    Damaged(String),
}

/// Opens a socket to listen on. On IPv6's unspecified address it serves IPv4, too, whatever the system's own habit is.
///
/// # Errors
/// What the system said: the address is taken, or not ours.
pub fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // A server that comes back need not wait for its old connections to be forgotten.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(WAITING)?;
    Ok(socket.into())
}

/// Where phones come in.
#[derive(Debug)]
pub struct Doors {
    /// Over HTTP.
    pub plain: TcpListener,
    /// Over HTTPS, if that is served.
    pub secure: Option<(TcpListener, Arc<Tls>)>,
    /// How many connections are let in at once.
    pub most: usize,
}

/// A connection that has come in.
struct Arrival {
    stream: TcpStream,
    peer: SocketAddr,
    /// This server's side of its TLS, if it came by that door.
    tls: Option<ServerConnection>,
}

impl Doors {
    async fn accept(&self) -> io::Result<Arrival> {
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
        let tls = match tls {
            Some(tls) => {
                let session = tls.accept(stream.local_addr()?.ip());
                Some(session.map_err(io::Error::other)?)
            }
            None => None,
        };
        Ok(Arrival { stream, peer, tls })
    }
}

/// What every request can reach.
#[derive(Debug)]
pub struct App {
    house: House,
    library: Arc<Library>,
    covers: Arc<Covers>,
    uplink: Arc<uplink::Uplink>,
    pairing: Pairing,
    crowd: Crowd,
    downloads: Downloads,
    metrics: Arc<Metrics>,
    /// Whether the code is shown to everybody until somebody is paired.
    window: bool,
    names: gate::Names,
    debug: bool,
    /// What it is bound to over HTTP. By which address phones reach that may change while it runs.
    local: SocketAddr,
    offer: Option<secure::Offer>,
}

impl App {
    /// For those who come in by `doors`.
    pub fn new(
        house: House,
        library: Arc<Library>,
        pairing: Pairing,
        metrics: Arc<Metrics>,
        config: &Config,
        doors: &Doors,
    ) -> Self {
        App {
            house,
            library,
            covers: Arc::new(Covers::beside(&config.state_file)),
            uplink: Arc::default(),
            pairing,
            crowd: Crowd::new(doors.most),
            downloads: Downloads::default(),
            metrics,
            window: !config.no_pairing_window,
            names: gate::Names::new(&config.host_name),
            debug: config.debug,
            local: doors.plain.local_addr().unwrap_or(config.listen),
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
    let usher = tokio::spawn(see_off_the_removed(app.clone()));
    let running = GracefulShutdown::new();
    let door = Arc::new(Semaphore::new(TURNED_AWAY));
    // Whoever is to make room has its socket until it is gone; only then is there one for the next.
    let sockets = app.crowd.standing().most + TURNED_AWAY + 1;
    let sockets = Arc::new(Semaphore::new(sockets));
    let (mut trouble, mut crush) = (Seldom::default(), Seldom::default());
    loop {
        let accept = async {
            let socket = sockets.clone().acquire_owned().await;
            let arrival = doors.accept().await?;
            Ok((arrival, socket.map_err(io::Error::other)?))
        };
        let accepted: io::Result<_> = tokio::select! {
            accepted = accept => accepted,
            _ = closing.wait_for(|closing| *closing) => break,
        };
        match accepted {
            Ok((arrival, socket)) => match app.crowd.enter(arrival.peer.ip()) {
                Ok(entered) => serve_connection(arrival, entered, socket, &app, &running),
                Err(full) => {
                    if crush.is_due() {
                        let from = arrival.peer.ip();
                        tracing::warn!("no room for another connection of {from}: {full}");
                    }
                    turn_away(arrival, socket, &door);
                }
            },
            // Whoever gave up while waiting is no trouble.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                if trouble.is_due() {
                    tracing::warn!("cannot accept connections for now: {error}");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(doors);
    usher.abort();
    // An event stream never finishes by itself, so those end first.
    life.send_replace(Life::Closing);
    if tokio::time::timeout(CLOSING_TIMEOUT, running.shutdown())
        .await
        .is_err()
    {
        tracing::info!("closing although some answers are not finished");
    }
}

/// Has the connections of devices that are not paired any more go, or make room.
async fn see_off_the_removed(app: Arc<App>) {
    let House::Open(hub) = &app.house else {
        return;
    };
    let paired = || hub.view().room.durable.clients.clone();
    let mut known = paired();
    loop {
        let change = hub.next_change();
        let clients = paired();
        if !Arc::ptr_eq(&clients, &known) {
            app.crowd.keep(|member| clients.contains_key(&member));
            known = clients;
        }
        change.await;
    }
}

fn serve_connection(
    arrival: Arrival,
    (place, leave): (Place, oneshot::Receiver<()>),
    counted: OwnedSemaphorePermit,
    app: &Arc<App>,
    running: &GracefulShutdown,
) {
    let socket = Socket::new(arrival, place, app.metrics.clone());
    let (app, line) = (app.clone(), socket.line());
    let service = service_fn(move |request: Request<Incoming>| {
        let (app, line) = (app.clone(), line.clone());
        async move { Ok::<_, Infallible>(router::answer(&app, &line, request).await) }
    });
    let connection = protocol::new().serve_connection(socket, service);
    let connection = running.watch(connection);
    tokio::spawn(async move {
        tokio::select! {
            ended = connection => if let Err(error) = ended {
                tracing::debug!("a connection ended: {error}");
            },
            Ok(()) = leave => tracing::debug!("a connection made room, or its device was removed"),
        }
        drop(counted);
    });
}

/// Says that there is no room; over TLS that would take more than there is, so there the connection just closes.
fn turn_away(arrival: Arrival, counted: OwnedSemaphorePermit, door: &Arc<Semaphore>) {
    if arrival.tls.is_some() {
        return;
    }
    let Ok(turn) = door.clone().try_acquire_owned() else {
        return;
    };
    let service = service_fn(|_: Request<Incoming>| async {
        Ok::<_, Infallible>(ApiError::Full.into_response())
    });
    let connection = protocol::new()
        .keep_alive(false)
        .serve_connection(TokioIo::new(arrival.stream), service);
    tokio::spawn(async move {
        let _held = (turn, counted);
        // Whether it was heard does not matter.
        let _ = tokio::time::timeout(TURNING_AWAY, connection).await;
    });
}

/// Of what happens again and again, lets one through each minute.
#[derive(Default)]
struct Seldom(Option<Instant>);

impl Seldom {
    fn is_due(&mut self) -> bool {
        let is_due = self.0.is_none_or(|then| then.elapsed() >= SAID_AGAIN);
        if is_due {
            self.0 = Some(Instant::now());
        }
        is_due
    }
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
