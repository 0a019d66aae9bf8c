//! The accept loop: serves or refuses each connection, and shuts the server down gracefully.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::app::App;
use super::body::RequestBody;
use super::connections::ConnectionSlot;
use super::error::ApiError;
use super::listen::{AcceptedSocket, AcceptedStream, ListenSockets};
use super::socket::{Socket, Transport};
use super::{connection_settings, dispatch, unread_body};
use crate::hub::{Hub, ShutdownPhase};

/// The timeout for the responses in progress to finish after the shutdown has begun.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);
/// Pause after a failed accept, for example when the process is out of file descriptors.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);
/// Minimum interval between two log lines about the same recurring problem.
const LOG_INTERVAL: Duration = Duration::from_secs(60);
/// Maximum number of concurrent 503 responses to connections beyond the limit. Further connections are closed without a
/// response.
const MAX_REFUSALS: usize = 16;
/// The timeout of each 503 response to a connection beyond the limit, from the accept to the end of the connection.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(2);

/// Serves until `shutdown` turns true. Then stops accepting connections, has the hub end the event streams, and waits up to
/// [`SHUTDOWN_TIMEOUT`] for the other responses to finish.
pub async fn serve(
    sockets: ListenSockets,
    app: App,
    mut shutdown: watch::Receiver<bool>,
    phase: &watch::Sender<ShutdownPhase>,
) {
    let app = Arc::new(app);
    let mut demotion_task = JoinSet::new();
    if let Some(house) = app.rooms.house().hub() {
        demotion_task.spawn(demote_removed_devices(app.clone(), house.clone()));
    }
    let connections = GracefulShutdown::new();
    tokio::select! {
        never = accept_connections(&sockets, &app, &connections) => match never {},
        // An error means that the sender was dropped, which also shuts the server down.
        _ = shutdown.wait_for(|shutdown| *shutdown) => {}
    }
    drop(sockets);
    drop(demotion_task);
    // In this phase, the hub ends the event streams, which would otherwise last until the timeout.
    phase.send_replace(ShutdownPhase::Draining);
    if tokio::time::timeout(SHUTDOWN_TIMEOUT, connections.shutdown())
        .await
        .is_err()
    {
        tracing::info!("shutting down before all responses are finished");
    }
}

/// Accepts connections, and serves each in a task of its own. Can be cancelled at any await without losing a connection.
async fn accept_connections(
    sockets: &ListenSockets,
    app: &Arc<App>,
    connections: &GracefulShutdown,
) -> Infallible {
    let refusals = Arc::new(Semaphore::new(MAX_REFUSALS));
    // An evicted connection keeps its file descriptor until its task has dropped the socket. So descriptors are counted
    // separately, and the next accept waits for a free one. The count permits one descriptor for each connection, one for
    // each 503 response, and one for the next accept.
    let descriptors = app.connections.counts().limit + MAX_REFUSALS + 1;
    let descriptors = Arc::new(Semaphore::new(descriptors));
    let (mut error_log, mut refusal_log) = (LogThrottle::default(), LogThrottle::default());
    loop {
        let accepted: io::Result<_> = async {
            let descriptor = descriptors.clone().acquire_owned().await;
            let accepted = sockets.accept().await?;
            Ok((accepted, descriptor.map_err(io::Error::other)?))
        }
        .await;
        match accepted {
            Ok((accepted, descriptor)) => match app.connections.admit(accepted.peer) {
                Ok(admitted) => serve_connection(accepted, admitted, descriptor, app, connections),
                Err(limit) => {
                    if refusal_log.permit_line() {
                        let client = accepted.peer;
                        tracing::warn!("refused a connection from {client}: {limit}");
                    }
                    refuse_connection(accepted, descriptor, &refusals);
                }
            },
            // The client closed the connection before it was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                if error_log.permit_line() {
                    tracing::warn!("cannot accept connections, and will retry: {error}");
                }
                tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
            }
        }
    }
}

/// Calls [`Connections::demote_unpaired`] after each change of the devices that are paired with the house.
///
/// [`Connections::demote_unpaired`]: super::connections::Connections::demote_unpaired
async fn demote_removed_devices(app: Arc<App>, house: Hub) {
    let paired = || house.view().room.durable.clients.clone();
    let mut last_seen = paired();
    loop {
        // Create this future before reading the devices, so that a change in between completes it.
        let change = house.next_change();
        let clients = paired();
        if !Arc::ptr_eq(&clients, &last_seen) {
            app.connections
                .demote_unpaired(|member| house.is_paired(member));
            last_seen = clients;
        }
        change.await;
    }
}

/// Spawns the task that serves an admitted connection until the connection ends or is evicted.
fn serve_connection(
    accepted: AcceptedSocket,
    (slot, evicted): (ConnectionSlot, oneshot::Receiver<()>),
    descriptor: OwnedSemaphorePermit,
    app: &Arc<App>,
    connections: &GracefulShutdown,
) {
    let socket = Socket::new(accepted, slot, app.metrics.clone());
    let (app, info) = (app.clone(), socket.info());
    let disconnect = info.disconnect_notify();
    let service = service_fn(move |request: Request<Incoming>| {
        let (app, info) = (app.clone(), info.clone());
        // hyper keeps the allocation of the service's future until the connection ends. Boxed, the future of 2 KB is freed after
        // the response, which is most of what an open event stream needs besides hyper's buffers.
        Box::pin(async move { Ok::<_, Infallible>(dispatch::answer(&app, &info, request).await) })
    });
    let connection = connection_settings::http1_builder().serve_connection(socket, service);
    let connection = connections.watch(connection);
    tokio::spawn(async move {
        tokio::select! {
            // Checked first, because the disconnection also makes the response body fail, and the log must show the cause.
            biased;
            () = disconnect.notified() => {
                tracing::debug!("disconnected a client that reads its events too slowly");
            }
            Ok(()) = evicted => tracing::debug!("closed a connection: it was evicted, or its device was unpaired"),
            ended = connection => if let Err(error) = ended {
                tracing::debug!("a connection ended: {error}");
            },
        }
        drop(descriptor);
    });
}

/// Answers a connection beyond the limit with 503 on the HTTP port. On the HTTPS port, closes the connection without a
/// response: a TLS handshake for each refused connection would take too much CPU time.
fn refuse_connection(
    accepted: AcceptedSocket,
    descriptor: OwnedSemaphorePermit,
    refusals: &Arc<Semaphore>,
) {
    if matches!(accepted.stream, AcceptedStream::Tls(..)) {
        return;
    }
    let Ok(refusal) = refusals.clone().try_acquire_owned() else {
        return;
    };
    let service = service_fn(|request: Request<Incoming>| async {
        let (head, body) = request.into_parts();
        let response = ApiError::ServerFull.into_response();
        let response = unread_body::discard(response, RequestBody::new(body), &head.headers);
        Ok::<_, Infallible>(response)
    });
    let connection = connection_settings::http1_builder()
        .keep_alive(false)
        .serve_connection(TokioIo::new(Transport::from(accepted.stream)), service);
    tokio::spawn(async move {
        let _permits = (refusal, descriptor);
        // After a timeout or an error, nothing is left to do, because the connection is closed.
        let _ = tokio::time::timeout(REFUSAL_TIMEOUT, connection).await;
    });
}

/// Limits the log lines about a recurring problem to one per [`LOG_INTERVAL`].
#[derive(Default)]
struct LogThrottle(Option<Instant>);

impl LogThrottle {
    /// Whether a line may be logged now. If so, the next interval begins.
    fn permit_line(&mut self) -> bool {
        let is_due = self.0.is_none_or(|last| last.elapsed() >= LOG_INTERVAL);
        if is_due {
            self.0 = Some(Instant::now());
        }
        is_due
    }
}
