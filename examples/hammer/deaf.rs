//! Listeners that never read, and what they cost those who do.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep};

use crate::calm::House;
use crate::server::Server;

/// What a deaf one's socket holds, in bytes.
const SMALL_BUFFER: u32 = 4096;
/// They are cut off by then, or never.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked whether they are.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// Times, in milliseconds, round by round.
pub(crate) struct Rounds {
    /// With nobody deaf there, before those with and after them.
    pub(crate) without: [Vec<Vec<f64>>; 2],
    /// With all of them, from their coming until the last is cut off.
    pub(crate) with: Vec<Vec<f64>>,
    /// How long that took, in seconds.
    pub(crate) took: Vec<f64>,
}

/// Times events with and without deaf listeners of those tokens, each time for as long as it takes to cut them off.
pub(crate) async fn run(
    server: &Server,
    house: &mut House,
    tokens: &[String],
    rounds: usize,
) -> Rounds {
    // Code that has not run yet counts for none.
    let mut span = until_cut_off(server, house, tokens).await.1;
    let mut found = Rounds {
        without: [Vec::new(), Vec::new()],
        with: Vec::new(),
        took: Vec::new(),
    };
    for _ in 0..rounds {
        found.without[0].push(quietly(server, house, span).await);
        let (times, took) = until_cut_off(server, house, tokens).await;
        found.with.push(times);
        found.took.push(took.as_secs_f64());
        span = took;
        found.without[1].push(quietly(server, house, span).await);
    }
    found
}

async fn quietly(server: &Server, house: &mut House, span: Duration) -> Vec<f64> {
    let began = Instant::now();
    let goes_on = || began.elapsed() < span;
    house.time_events(server, goes_on).await
}

/// Times events from when the deaf ones come until the server has got rid of the last.
async fn until_cut_off(
    server: &Server,
    house: &mut House,
    tokens: &[String],
) -> (Vec<f64>, Duration) {
    let others = server.listeners(&tokens[0]).await;
    let began = Instant::now();
    let mut sockets = Vec::new();
    for token in tokens {
        sockets.push(listen(server, token).await);
    }
    let gone = AtomicBool::new(false);
    let watch = async {
        // All of them are there first.
        let mut there = false;
        while !gone.load(Ordering::Relaxed) {
            let listeners = server.listeners(&tokens[0]).await;
            there |= listeners == others + tokens.len();
            gone.store(there && listeners <= others, Ordering::Relaxed);
            assert!(
                began.elapsed() < PATIENCE,
                "{} of {} are not cut off",
                listeners - others,
                tokens.len()
            );
            sleep(LOOK_PAUSE).await;
        }
    };
    let goes_on = || !gone.load(Ordering::Relaxed);
    let (times, ()) = tokio::join!(house.time_events(server, goes_on), watch);
    (times, began.elapsed())
}

async fn listen(server: &Server, token: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(SMALL_BUFFER).unwrap();
    let mut stream = socket.connect(server.address()).await.unwrap();
    let request =
        format!("GET /events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}
