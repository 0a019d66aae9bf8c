//! The server that is measured: the executable of the same build, in a folder of its own, on a disk that can be
//! slowed down while it runs.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::executable::executable;
use crate::faulty_disk::{FaultyDisk, Order};

/// The pairing code.
const CODE: &str = "748291";
/// What a write of the state waits for.
const SYNCS: [&str; 2] = ["fsync", "fsync-folder"];
/// The bytes of each track.
pub(crate) const TRACK_SIZE: usize = 1_000_000;

/// A running server; ends when dropped.
pub(crate) struct Server {
    /// Where its state is.
    pub(crate) disk: FaultyDisk,
    url: String,
    _child: Child,
    _folder: TempDir,
}

impl Server {
    /// Builds and starts it.
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
            put_track(&path("audio").join(format!("{n}.wav")), 0x80 + n);
        }
        let disk = FaultyDisk::under(&path("state"));
        let mut child = Command::new(executable)
            .arg("--audio-dir")
            .arg(path("audio"))
            .arg("--state-file")
            .arg(path("state").join("state.json"))
            .args(["--listen", "127.0.0.1:0", "--pairing-code", CODE])
            .args(["--max-connections", "20000"])
            .envs(disk.environment())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(path("log")).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = loop {
            let line = lines.next_line().await.unwrap();
            let Some(line) = line else {
                panic!("no server: {}", fs::read_to_string(path("log")).unwrap());
            };
            if let Some(url) = line.strip_prefix("listening on ") {
                break url.to_owned();
            }
        };
        Server {
            disk,
            url,
            _child: child,
            _folder: folder,
        }
    }

    /// From now on, each sync takes so much longer.
    pub(crate) fn slow_down(&self, ms: u32) {
        for sync in SYNCS {
            self.disk.order(sync, Order::Delay(ms));
        }
    }

    /// From now on, the disk is as it is.
    pub(crate) fn speed_up(&self) {
        for sync in SYNCS {
            self.disk.heal(sync);
        }
    }

    /// The URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// A client with connections of its own.
    pub(crate) fn client() -> reqwest::Client {
        reqwest::Client::builder().no_proxy().build().unwrap()
    }

    /// Pairs a device; the answer tells its token, and the state.
    pub(crate) async fn pair(&self, client: &reqwest::Client) -> (String, Value) {
        let request = client.post(self.url("/pair"));
        let answer = request.json(&json!({ "code": CODE })).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let answer: Value = answer.json().await.unwrap();
        let token = answer["clientId"].as_str().unwrap().to_owned();
        (token, answer)
    }

    /// Pairs so many devices; their tokens.
    pub(crate) async fn pair_many(&self, devices: usize) -> Vec<String> {
        let client = Server::client();
        let mut tokens = Vec::new();
        for _ in 0..devices {
            tokens.push(self.pair(&client).await.0);
        }
        tokens
    }

    /// How many listen.
    pub(crate) async fn listeners(&self, token: &str) -> usize {
        let request = Server::client().get(self.url("/snapshot"));
        let answer = request.bearer_auth(token).send().await.unwrap();
        let snapshot: Value = answer.json().await.unwrap();
        snapshot["live"]["listeners"].as_object().unwrap().len()
    }

    /// How many connections are open.
    pub(crate) async fn connections(&self) -> usize {
        let answer = Server::client().get(self.url("/metrics")).send().await;
        let metrics = answer.unwrap().text().await.unwrap();
        let counts = metrics
            .lines()
            .filter(|line| line.starts_with("lockstep_connections{"))
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<usize>().ok());
        counts.sum()
    }

    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.url.strip_prefix("http://").unwrap().parse().unwrap()
    }

    /// The device of that token is paired no more.
    pub(crate) async fn leave(&self, client: &reqwest::Client, token: &str) {
        let request = client.post(self.url("/leave"));
        let answer = request.bearer_auth(token).send().await.unwrap();
        assert_eq!(answer.status(), 204);
    }
}

/// A silent WAV of [`TRACK_SIZE`] that lasts longer than the measurement: 100 bytes make a second. Its samples are all of one
/// level; of another level, it is no copy.
fn put_track(path: &Path, level: u8) {
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
