//! Measures a shuffle of a large queue: the size of its event, and how long until every event stream has it:
//! `cargo run --release --example shuffle -- --tracks 10000 --phones 100`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed step ends the measurement"
)]

#[path = "../tests/common/client/mod.rs"]
pub mod client;
#[path = "common/executable.rs"]
mod executable;
#[path = "../tests/common/server_process.rs"]
pub mod server_process;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Parser;
use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use client::{Device, EventReader, HttpResponse, pair_request};
use executable::executable;
use server_process::{CODE, ServerProcess, add_flags, bare_command};

/// The longest wait for an event.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Measures shuffles of a large queue.
#[derive(Debug, Parser)]
struct Args {
    /// Number of tracks
    #[arg(long, default_value_t = 10_000)]
    tracks: u32,

    /// Number of phones, each with an event stream
    #[arg(long, default_value_t = 100)]
    phones: u32,

    /// Number of shuffles
    #[arg(long, default_value_t = 10)]
    shuffles: u32,
}

#[tokio::main]
async fn main() {
    let args = Args::parse();
    let folder = tempfile::tempdir().unwrap();
    let audio = folder.path().join("audio");
    fs::create_dir(&audio).unwrap();
    for number in 0..args.tracks {
        write_track(&audio.join(format!("{number:05}.wav")), number);
    }
    let mut command = bare_command(&executable().unwrap());
    add_flags(
        &mut command,
        &audio,
        &folder.path().join("state.json"),
        "127.0.0.1:0",
    );
    command.args([
        "--max-connections",
        "20000",
        "--no-mdns",
        "--keep-duplicates",
    ]);
    let server = ServerProcess::start(command, &folder.path().join("log"))
        .await
        .unwrap();
    let url = format!("http://{}", server.address);
    let device = pair(&url).await;
    while snapshot(&device).await["queue"].as_array().unwrap().len() < args.tracks as usize {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut phones = Vec::new();
    for _ in 0..args.phones {
        let request = pair(&url).await.request(Method::GET, "/events");
        phones.push(EventReader::open(request, TIMEOUT).await.unwrap());
    }
    for _ in 0..args.shuffles {
        phones = shuffle(&device, phones).await;
    }
}

/// Shuffles the queue, and prints the size of the event and the times until the answer and until each stream has the event.
async fn shuffle(device: &Device, phones: Vec<EventReader>) -> Vec<EventReader> {
    let mut readers = JoinSet::new();
    for mut phone in phones {
        readers.spawn(async move {
            loop {
                let event = phone.next_event().await.unwrap();
                if event.name == "queue.shuffled" {
                    return (phone, Instant::now(), event.data);
                }
            }
        });
    }
    let event_count = snapshot(device).await["eventCount"].as_u64().unwrap();
    let command = device.command("/shuffle", event_count, &json!({}));
    let started_at = Instant::now();
    let response = send(command.header("prefer", "return=minimal")).await;
    assert_eq!(response.status, 200, "{}", response.text());
    let answered_ms = started_at.elapsed().as_secs_f64() * 1e3;
    let (mut phones, mut times_ms, mut size, mut gzipped) = (Vec::new(), Vec::new(), 0, 0);
    for (phone, at, data) in readers.join_all().await {
        phones.push(phone);
        times_ms.push((at - started_at).as_secs_f64() * 1e3);
        if size == 0 {
            size = data.len();
            let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
            gzip.write_all(data.as_bytes()).unwrap();
            gzipped = gzip.finish().unwrap().len();
        }
    }
    times_ms.sort_by(f64::total_cmp);
    println!(
        "event: {size} bytes, {gzipped} with gzip; answered after {answered_ms:.0} ms; streams had it after {:.0} ms (first), \
         {:.0} ms (median), {:.0} ms (last)",
        times_ms[0],
        times_ms[times_ms.len() / 2],
        times_ms[times_ms.len() - 1]
    );
    phones
}

async fn send(request: RequestBuilder) -> HttpResponse {
    client::send(request, TIMEOUT).await.unwrap()
}

async fn pair(url: &str) -> Device {
    let client = Client::builder().build().unwrap();
    let response = send(pair_request(&client, url, CODE, "")).await;
    Device::from_pair_response(client, url.to_owned(), &response).unwrap()
}

async fn snapshot(device: &Device) -> Value {
    let response = send(device.request(Method::GET, "/snapshot")).await;
    response.json_or_null()
}

/// Writes a WAV file of a second of 8-bit samples at 100 Hz, which differs from those with other numbers.
fn write_track(path: &Path, number: u32) {
    const RATE: u32 = 100;
    let mut bytes = Vec::new();
    bytes.extend(b"RIFF");
    bytes.extend((36 + RATE).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16_u32.to_le_bytes());
    bytes.extend([1, 0, 1, 0]);
    bytes.extend(RATE.to_le_bytes());
    bytes.extend(RATE.to_le_bytes());
    bytes.extend([1, 0, 8, 0]);
    bytes.extend(b"data");
    bytes.extend(RATE.to_le_bytes());
    bytes.extend(number.to_le_bytes());
    bytes.resize(44 + RATE as usize, 0x80);
    fs::write(path, bytes).unwrap();
}
