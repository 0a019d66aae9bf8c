//! One download, over a socket of its own: only so can a phone be slow, since it takes a small receive
//! buffer for the server to see that nobody reads.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use reqwest::Method;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use super::device::Device;
use super::promises::Promise;
use super::world::Track;

/// No byte for so long is a broken download.
const SILENCE: Duration = Duration::from_secs(20);
/// What a slow phone's socket holds, in bytes.
const SMALL_BUFFER: u32 = 32 << 10;
/// What is read at once, in bytes.
const PIECE: usize = 64 << 10;
const SLOW_PIECE: usize = 4 << 10;
const FIRST_PIECE: usize = 4 << 10;
/// While more than this is missing, in bytes, the server cannot have sent it all to its own and the system's buffers.
const BUFFERED: u64 = 320 << 10;
/// Longest head of an answer, in bytes.
const LONGEST_HEAD: usize = 8 << 10;

/// How fast a phone reads.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pace {
    Fast,
    /// That many bytes a second.
    Slow(u32),
}

/// What has come so far.
#[derive(Default)]
struct Received {
    length: u64,
    sum: Sha256,
}

/// Downloads a track, and compares it with the index and with what others got; whether it is whole.
pub(super) async fn download(device: &Device, id: &str, track: &Track, pace: Pace) -> bool {
    let began = Instant::now();
    let mut received = Received::default();
    let outcome = fetch(device, id, track, pace, &mut received).await;
    let Received { length, sum } = received;
    let error = match outcome {
        Ok(()) if length == track.size => None,
        Ok(()) => Some("the server ended it".to_owned()),
        Err(error) => Some(error.to_string()),
    };
    let whole = error.is_none();
    let wrong = error.map(|error| {
        let (size, took) = (track.size, began.elapsed());
        format!("{id} broke off after {length} of {size} bytes and {took:?}, {pace:?}: {error}")
    });
    let ledger = &device.world.ledger;
    ledger.downloaded(id, wrong, sum.finalize().into());
    whole
}

/// Fetches the same little piece of a track as ever.
pub(super) async fn piece(device: &Device, id: &str) {
    let ledger = &device.world.ledger;
    let before = ledger.book().devices.begins(&device.member, id);
    let request = device.request(Method::GET, &format!("/file/{id}"));
    let request = request.header("Range", format!("bytes=0-{}", FIRST_PIECE - 1));
    let answer = async {
        let answer = request.send().await?.error_for_status()?;
        answer.bytes().await
    };
    match timeout(SILENCE, answer).await {
        Ok(Ok(bytes)) => {
            let upto = bytes.len() as u64;
            ledger.bytes_came(&device.member, id, upto, bytes.len(), before.is_none());
        }
        Ok(Err(error)) => ledger.hold(
            Promise::Downloads,
            Some(format!("no piece of {id}: {error}")),
        ),
        Err(_) => ledger.hold(
            Promise::Downloads,
            Some(format!("no piece of {id} within {SILENCE:?}")),
        ),
    }
}

async fn fetch(
    device: &Device,
    id: &str,
    track: &Track,
    pace: Pace,
    received: &mut Received,
) -> io::Result<()> {
    let (world, ledger) = (&device.world, &device.world.ledger);
    let mut socket = BufReader::new(connect(world.address, pace).await?);
    let request = format!(
        "GET /file/{id}?v={} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
        track.version, world.address, device.token,
    );
    socket.write_all(request.as_bytes()).await?;
    let announced = read_head(&mut socket).await?;
    let fits = announced == track.size;
    let text = || format!("{id} is announced with {announced} of {} bytes", track.size);
    ledger
        .book()
        .promises
        .expect(Promise::Downloads, fits, text);
    let before = ledger.book().devices.begins(&device.member, id);
    let length = match pace {
        Pace::Fast => PIECE,
        Pace::Slow(_) => SLOW_PIECE,
    };
    let mut piece = vec![0; length];
    loop {
        let got = timeout(SILENCE, socket.read(&mut piece)).await??;
        if got == 0 {
            return Ok(());
        }
        received.length += got as u64;
        received.sum.update(&piece[..got]);
        // The server may have sent more of it before than ever arrived.
        let beyond = before.is_none_or(|before| received.length > before + BUFFERED);
        let sure = beyond && received.length + BUFFERED < track.size;
        ledger.bytes_came(&device.member, id, received.length, got, sure);
        // In the end everybody hurries: then no wait is for a slow one.
        if let (Pace::Slow(rate), false) = (pace, world.is_quiet()) {
            sleep(Duration::from_secs_f64(got as f64 / f64::from(rate))).await;
        }
    }
}

async fn connect(address: SocketAddr, pace: Pace) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    if matches!(pace, Pace::Slow(_)) {
        socket.set_recv_buffer_size(SMALL_BUFFER)?;
    }
    socket.connect(address).await
}

/// The `Content-Length` of an answer that must be 200.
async fn read_head(socket: &mut BufReader<TcpStream>) -> io::Result<u64> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < LONGEST_HEAD {
        head.push(timeout(SILENCE, socket.read_u8()).await??);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    match length.and_then(|length| length.trim().parse().ok()) {
        Some(length) if head.starts_with("http/1.1 200 ") => Ok(length),
        _ => Err(io::Error::other(format!("the answer is {head:?}"))),
    }
}
