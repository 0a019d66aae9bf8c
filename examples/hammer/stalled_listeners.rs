//! Measures how stalled listeners, which never read from their sockets, affect event delivery to the other listeners.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep};

use crate::client::Device;
use crate::room::Room;
use crate::server::{Server, count_listeners};
use crate::statistics::Comparison;

/// Receive buffer of a stalled listener's socket, in bytes.
const RECEIVE_BUFFER: u32 = 4096;
/// The time in which the server must disconnect all stalled listeners.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(60);
/// The interval at which the listeners are counted.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The result of all rounds.
#[derive(Default)]
pub(crate) struct StalledRounds {
    /// Delivery times without and with stalled listeners.
    pub(crate) deliveries: Comparison,
    /// For each round, the time until the last stalled listener was disconnected, in seconds.
    pub(crate) disconnect_sec: Vec<f64>,
}

/// Measures deliveries while `stalled` devices listen without reading, until the server has disconnected them, and for
/// the same time before and after.
pub(crate) async fn measure(
    server: &Server,
    room: &mut Room,
    stalled: &[Device],
    rounds: usize,
) -> StalledRounds {
    // The first measurement is a warm-up: only its duration is used.
    let (_, mut duration) = measure_until_disconnected(server, room, stalled).await;
    let mut result = StalledRounds::default();
    for _ in 0..rounds {
        let before = measure_baseline(server, room, duration).await;
        result.deliveries.before.push(before);
        let (loaded, disconnected) = measure_until_disconnected(server, room, stalled).await;
        result.deliveries.loaded.push(loaded);
        result.disconnect_sec.push(disconnected.as_secs_f64());
        duration = disconnected;
        let after = measure_baseline(server, room, duration).await;
        result.deliveries.after.push(after);
    }
    result
}

async fn measure_baseline(server: &Server, room: &mut Room, duration: Duration) -> Vec<f64> {
    let began = Instant::now();
    let goes_on = || began.elapsed() < duration;
    room.measure_deliveries(server, goes_on).await
}

/// Opens the stalled event streams, and measures deliveries until the server has disconnected the last of them.
async fn measure_until_disconnected(
    server: &Server,
    room: &mut Room,
    stalled: &[Device],
) -> (Vec<f64>, Duration) {
    let others = count_listeners(&stalled[0]).await;
    let began = Instant::now();
    let mut sockets = Vec::new();
    for device in stalled {
        sockets.push(listen_without_reading(server, device).await);
    }
    let done = AtomicBool::new(false);
    let wait_for_disconnects = async {
        let mut all_connected = false;
        while !done.load(Ordering::Relaxed) {
            let listeners = count_listeners(&stalled[0]).await;
            all_connected |= listeners == others + stalled.len();
            done.store(all_connected && listeners <= others, Ordering::Relaxed);
            assert!(
                began.elapsed() < DISCONNECT_TIMEOUT,
                "{} of {} stalled listeners are still connected",
                listeners - others,
                stalled.len()
            );
            sleep(POLL_INTERVAL).await;
        }
    };
    let goes_on = || !done.load(Ordering::Relaxed);
    let (times, ()) = tokio::join!(
        room.measure_deliveries(server, goes_on),
        wait_for_disconnects
    );
    (times, began.elapsed())
}

async fn listen_without_reading(server: &Server, device: &Device) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(RECEIVE_BUFFER).unwrap();
    let mut stream = socket.connect(server.address()).await.unwrap();
    let token = &device.token;
    let request =
        format!("GET /events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}
