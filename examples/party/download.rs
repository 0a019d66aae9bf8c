//! Downloads a track over a plain TCP socket. Only with a small receive buffer, which the HTTP client cannot set, does
//! the server notice that a phone reads slowly.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use reqwest::Method;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use super::checked_device::CheckedDevice;
use super::client;
use super::context::IndexedTrack;
use super::invariants::Invariant;

/// Timeout of each read.
const READ_TIMEOUT: Duration = Duration::from_secs(20);
/// Receive buffer of a slow phone's socket, in bytes.
const SLOW_RECEIVE_BUFFER: u32 = 32 << 10;
/// The longest read of a phone without a rate limit, in bytes.
const READ_SIZE: usize = 64 << 10;
/// The longest read of a slow phone, in bytes.
const SLOW_READ_SIZE: usize = 4 << 10;
/// Size of the range that [`download_first_part`] requests, in bytes.
const FIRST_PART_SIZE: usize = 4 << 10;
/// An upper bound of the bytes in the buffers of the server and of the operating system. While a download lacks more
/// bytes than this, the server has not yet sent all bytes.
const MAX_BUFFERED: u64 = 320 << 10;
/// Longest response head, in bytes.
const MAX_HEAD_SIZE: usize = 8 << 10;

/// The rate at which a phone reads a download.
#[derive(Debug, Clone, Copy)]
pub(super) enum ReadRate {
    Unlimited,
    /// In bytes per second.
    Limited(u32),
}

#[derive(Default)]
struct ReceivedBody {
    length: u64,
    hash: Sha256,
}

/// Downloads a track, and compares the bytes with the index and with the downloads of other phones. Returns whether the
/// download is complete.
pub(super) async fn download(
    device: &CheckedDevice,
    id: &str,
    track: &IndexedTrack,
    rate: ReadRate,
) -> bool {
    let began = Instant::now();
    let mut received = ReceivedBody::default();
    let result = fetch(device, id, track, rate, &mut received).await;
    let ReceivedBody { length, hash } = received;
    let error = match result {
        Ok(()) if length == track.size => None,
        Ok(()) => Some("the server closed the connection".to_owned()),
        Err(error) => Some(error.to_string()),
    };
    let complete = error.is_none();
    let violation = error.map(|error| {
        let (size, time) = (track.size, began.elapsed());
        format!("{id} ended after {length} of {size} bytes and {time:?}, {rate:?}: {error}")
    });
    let recorder = &device.context.recorder;
    recorder.download_ended(id, violation, hash.finalize().into());
    complete
}

/// Downloads the first bytes of a track. Repeated calls receive the same bytes, so they are downloads without progress.
pub(super) async fn download_first_part(device: &CheckedDevice, id: &str) {
    let recorder = &device.context.recorder;
    let before = recorder.lock().devices.download_begins(&device.member, id);
    let request = device
        .inner
        .house_request(Method::GET, &format!("/file/{id}"));
    let request = request.header("Range", format!("bytes=0-{}", FIRST_PART_SIZE - 1));
    let violation = match client::send(request, READ_TIMEOUT).await {
        Ok(response) if (200..400).contains(&response.status) => {
            let length = response.body.len();
            let first = before.is_none();
            recorder.bytes_received(&device.member, id, length as u64, length, first);
            return;
        }
        Ok(response) => format!("the first part of {id}: status {}", response.status),
        Err(error) => format!("the first part of {id}: {error}"),
    };
    recorder.record(Invariant::DownloadsAreComplete, Some(violation));
}

async fn fetch(
    device: &CheckedDevice,
    id: &str,
    track: &IndexedTrack,
    rate: ReadRate,
    received: &mut ReceivedBody,
) -> io::Result<()> {
    let (context, recorder) = (&device.context, &device.context.recorder);
    let mut socket = BufReader::new(connect(context.address, rate).await?);
    let version = track.version.as_ref();
    let query = version.map_or(String::new(), |version| format!("?v={version}"));
    let request = format!(
        "GET /file/{id}{query} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
        context.address, device.inner.token,
    );
    socket.write_all(request.as_bytes()).await?;
    let content_length = read_head(&mut socket).await?;
    let matches = content_length == track.size;
    recorder
        .lock()
        .checks
        .check(Invariant::DownloadsAreComplete, matches, || {
            let size = track.size;
            format!("{id} has Content-Length {content_length} and {size} bytes in the index")
        });
    let before = recorder.lock().devices.download_begins(&device.member, id);
    let read_size = match rate {
        ReadRate::Unlimited => READ_SIZE,
        ReadRate::Limited(_) => SLOW_READ_SIZE,
    };
    let mut buffer = vec![0; read_size];
    loop {
        let length = timeout(READ_TIMEOUT, socket.read(&mut buffer)).await??;
        if length == 0 {
            return Ok(());
        }
        received.length += length as u64;
        received.hash.update(&buffer[..length]);
        // The server may have sent up to MAX_BUFFERED bytes more than the phone received in an earlier, cancelled download.
        let beyond = before.is_none_or(|before| received.length > before + MAX_BUFFERED);
        let certain = beyond && received.length + MAX_BUFFERED < track.size;
        recorder.bytes_received(&device.member, id, received.length, length, certain);
        // Slow phones read without delay at the end, so that the final barrier waits only for the unready phones.
        if let (ReadRate::Limited(rate), false) = (rate, context.is_winding_down()) {
            sleep(Duration::from_secs_f64(length as f64 / f64::from(rate))).await;
        }
    }
}

async fn connect(address: SocketAddr, rate: ReadRate) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    if matches!(rate, ReadRate::Limited(_)) {
        socket.set_recv_buffer_size(SLOW_RECEIVE_BUFFER)?;
    }
    socket.connect(address).await
}

/// Reads a response head, and returns its `Content-Length`. Fails unless the status is 200.
async fn read_head(socket: &mut BufReader<TcpStream>) -> io::Result<u64> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < MAX_HEAD_SIZE {
        head.push(timeout(READ_TIMEOUT, socket.read_u8()).await??);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    match length.and_then(|length| length.trim().parse().ok()) {
        Some(length) if head.starts_with("http/1.1 200 ") => Ok(length),
        _ => Err(io::Error::other(format!("unexpected head {head:?}"))),
    }
}
