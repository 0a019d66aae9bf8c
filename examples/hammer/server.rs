//! The measured server: the executable of the same build, in a temporary folder, on a disk that can be slowed down while
//! the server runs.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use reqwest::{Client, Method};
use serde_json::Value;
use tempfile::TempDir;

use crate::client::{Device, HttpResponse, pair_request};
use crate::executable::executable;
use crate::faulty_disk::{Fault, FaultyDisk};
use crate::server_process::{CODE, ServerProcess, add_flags, bare_command};

/// The system calls that flush the state file and its folder to the disk in each write.
const SYNC_CALLS: [&str; 2] = ["fsync", "fsync-folder"];
/// Size of each track's file, in bytes.
pub(crate) const TRACK_SIZE: usize = 1_000_000;

/// A running server. Dropping it kills the process.
pub(crate) struct Server {
    /// The disk that contains the state file.
    pub(crate) disk: FaultyDisk,
    process: ServerProcess,
    local_socket: PathBuf,
    _folder: TempDir,
}

impl Server {
    /// Builds the executable if necessary, and starts it with four tracks.
    pub(crate) async fn start() -> Server {
        let executable = executable().unwrap();
        let folder = tempfile::Builder::new()
            .prefix("lockstep-hammer-")
            .tempdir()
            .unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("audio")).unwrap();
        fs::create_dir(path("state")).unwrap();
        for n in 0..4 {
            write_track(&path("audio").join(format!("{n}.wav")), 0x80 + n);
        }
        let disk = FaultyDisk::under(&path("state"));
        let mut command = bare_command(&executable);
        let state_file = path("state").join("state.json");
        add_flags(&mut command, &path("audio"), &state_file, "127.0.0.1:0");
        command.args(["--max-connections", "20000"]);
        command.envs(disk.environment());
        let process = ServerProcess::start(command, &path("log")).await.unwrap();
        Server {
            disk,
            process,
            local_socket: path("state").join("state.json.socket"),
            _folder: folder,
        }
    }

    /// Makes each sync call take `ms` milliseconds longer.
    pub(crate) fn slow_down_disk(&self, ms: u32) {
        for call in SYNC_CALLS {
            self.disk.inject(call, Fault::Delay(ms));
        }
    }

    /// Ends the delay of the sync calls.
    pub(crate) fn restore_disk(&self) {
        for call in SYNC_CALLS {
            self.disk.clear(call);
        }
    }

    /// `http://HOST:PORT` and `path`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// The server's address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.process.address
    }

    /// Pairs a device through `http`. Returns the device and the response body.
    pub(crate) async fn pair(&self, http: &Client) -> (Device, Value) {
        let request = pair_request(http, &self.url(""), CODE, "");
        let response = send(request, 200).await;
        let device = Device::from_pair_response(http.clone(), self.url(""), &response);
        (device.unwrap(), response.json_or_null())
    }

    /// Pairs devices that share one HTTP client.
    pub(crate) async fn pair_many(&self, devices: usize) -> Vec<Device> {
        let http = http_client();
        let mut paired = Vec::new();
        for _ in 0..devices {
            paired.push(self.pair(&http).await.0);
        }
        paired
    }

    /// The number of open connections.
    pub(crate) async fn connections(&self) -> usize {
        let local = Client::builder()
            .no_proxy()
            .unix_socket(&*self.local_socket);
        let request = local.build().unwrap().get("http://localhost/metrics");
        let metrics = send(request, 200).await;
        let metrics = metrics.text();
        let counts = metrics
            .lines()
            .filter(|line| line.starts_with("lockstep_connections{"))
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<usize>().ok());
        counts.sum()
    }
}

/// A client that shares no connection with other clients.
pub(crate) fn http_client() -> Client {
    Client::builder().no_proxy().build().unwrap()
}

/// Sends a request. Panics unless the response has the status `status`.
pub(crate) async fn send(request: reqwest::RequestBuilder, status: u16) -> HttpResponse {
    let response = crate::client::send(request, crate::REQUEST_TIMEOUT).await;
    let response = response.unwrap();
    assert_eq!(response.status, status, "{}", response.text());
    response
}

/// Unpairs a device.
pub(crate) async fn leave(device: &Device) {
    send(device.request(Method::POST, "/leave"), 204).await;
}

/// The number of listeners in the room, as `device` sees it.
pub(crate) async fn count_listeners(device: &Device) -> usize {
    let snapshot = send(device.request(Method::GET, "/snapshot"), 200).await;
    let snapshot = snapshot.json_or_null();
    snapshot["live"]["listeners"].as_object().unwrap().len()
}

/// Writes a WAV file of [`TRACK_SIZE`] at 100 bytes per second, so that the track is longer than the measurement. Every
/// sample is `level`; the level makes the file unique.
fn write_track(path: &Path, level: u8) {
    const HEADER: usize = 44;
    let samples = (TRACK_SIZE - HEADER) as u32;
    let (format, channels, rate, bytes, bits) = (1_u16, 1_u16, 100_u32, 1_u16, 8_u16);
    let mut wav = Vec::with_capacity(TRACK_SIZE);
    wav.extend(b"RIFF");
    wav.extend((samples + 36).to_le_bytes());
    wav.extend(b"WAVEfmt ");
    wav.extend(16_u32.to_le_bytes());
    wav.extend(format.to_le_bytes());
    wav.extend(channels.to_le_bytes());
    wav.extend(rate.to_le_bytes());
    wav.extend(rate.to_le_bytes());
    wav.extend(bytes.to_le_bytes());
    wav.extend(bits.to_le_bytes());
    wav.extend(b"data");
    wav.extend(samples.to_le_bytes());
    wav.resize(TRACK_SIZE, level);
    fs::write(path, wav).unwrap();
}
