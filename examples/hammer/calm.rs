//! A room at its usual pace: one phone seeks, others listen and download.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lockstep::clock;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::server::{Server, TRACK_SIZE};

/// Phones that download, and how long each rests between two downloads.
const DOWNLOADERS: usize = 2;
const DOWNLOAD_PAUSE: Duration = Duration::from_millis(20);
/// How long an event may take to reach everybody before the measurement is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// An event that a listener has received.
struct Receipt {
    count: u64,
    /// On the machine's monotonic clock, as the disk's calls are timed.
    at_ms: f64,
}

/// What was timed, in milliseconds, round by round.
#[derive(Default)]
pub(crate) struct Calm {
    /// From when a state was on the disk to when a listener had its event.
    pub(crate) deliveries: Vec<Vec<f64>>,
    /// From asking for a file to having the whole of it.
    pub(crate) downloads: Vec<Vec<f64>>,
}

impl Calm {
    /// More of the same.
    pub(crate) fn extend(&mut self, other: Calm) {
        self.deliveries.extend(other.deliveries);
        self.downloads.extend(other.downloads);
    }
}

/// The phones.
pub(crate) struct House {
    client: Client,
    token: String,
    count: u64,
    track: String,
    listeners: usize,
    seek_pause: Duration,
    receipts: mpsc::UnboundedReceiver<Receipt>,
    _listening: JoinSet<()>,
}

impl House {
    /// Has that many phones listen, and one more seek so often.
    pub(crate) async fn gather(server: &Server, listeners: usize, seek_pause: Duration) -> House {
        let (sender, receipts) = mpsc::unbounded_channel();
        let mut listening = JoinSet::new();
        for _ in 0..listeners {
            let client = Server::client();
            let (token, _) = server.pair(&client).await;
            let request = client.get(server.url("/events")).bearer_auth(token);
            let stream = request.send().await.unwrap();
            assert_eq!(stream.status(), 200);
            listening.spawn(listen(stream, sender.clone()));
        }
        let client = Server::client();
        let (token, answer) = server.pair(&client).await;
        House {
            client,
            token,
            count: answer["eventCount"].as_u64().unwrap(),
            track: answer["snapshot"]["queue"][0].as_str().unwrap().to_owned(),
            listeners,
            seek_pause,
            receipts,
            _listening: listening,
        }
    }

    /// Times events and downloads for that long.
    pub(crate) async fn measure(&mut self, server: &Server, span: Duration) -> Calm {
        let over = Arc::new(AtomicBool::new(false));
        let mut downloads = JoinSet::new();
        for _ in 0..DOWNLOADERS {
            let request = server.url(&format!("/file/{}", self.track));
            downloads.spawn(download(request, self.token.clone(), over.clone()));
        }
        let began = Instant::now();
        let deliveries = self.time_events(server, || began.elapsed() < span).await;
        over.store(true, Ordering::Relaxed);
        let downloads = downloads.join_all().await.concat();
        Calm {
            deliveries: vec![deliveries],
            downloads: vec![downloads],
        }
    }

    /// Times events for as long as that holds.
    pub(crate) async fn time_events(
        &mut self,
        server: &Server,
        goes_on: impl Fn() -> bool,
    ) -> Vec<f64> {
        while self.receipts.try_recv().is_ok() {}
        let seeks = self.seek(server, goes_on).await;
        self.deliveries(server, &seeks).await
    }

    /// Times commands for that long, from the press to its answer.
    pub(crate) async fn time_commands(&mut self, server: &Server, span: Duration) -> Vec<f64> {
        let began = Instant::now();
        let seeks = self.seek(server, || began.elapsed() < span).await;
        seeks.values().map(|seek| seek.end - seek.start).collect()
    }

    /// Seeks for as long as that holds; says which counts that made, and from when to when each took.
    async fn seek(
        &mut self,
        server: &Server,
        goes_on: impl Fn() -> bool,
    ) -> BTreeMap<u64, Range<f64>> {
        let mut rhythm = tokio::time::interval(self.seek_pause);
        rhythm.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seeks = BTreeMap::new();
        while goes_on() {
            rhythm.tick().await;
            let asked_ms = clock::now_ms();
            let request = self.client.post(server.url("/seek"));
            let request = request
                .bearer_auth(&self.token)
                .header("If-Match-Event", self.count)
                .header("Prefer", "return=minimal");
            let position = json!({ "positionSec": self.count % 1000 });
            let answer = request.json(&position).send().await.unwrap();
            assert_eq!(answer.status(), 200);
            let answer: Value = answer.json().await.unwrap();
            self.count = answer["eventCount"].as_u64().unwrap();
            seeks.insert(self.count, asked_ms..clock::now_ms());
        }
        seeks
    }

    /// From when each state was on the disk to when each listener had its event.
    async fn deliveries(&mut self, server: &Server, seeks: &BTreeMap<u64, Range<f64>>) -> Vec<f64> {
        let mut receipts = Vec::with_capacity(seeks.len() * self.listeners);
        while receipts.len() < seeks.len() * self.listeners {
            let receipt = tokio::time::timeout(PATIENCE, self.receipts.recv());
            let receipt = receipt.await.expect("every event arrives").unwrap();
            // What was done before the first seek may still be on its way.
            receipts.extend(seeks.get(&receipt.count).map(|seek| (seek, receipt.at_ms)));
        }
        let calls = server.disk.calls();
        let written: Vec<f64> = calls
            .iter()
            .filter(|call| call.ended && call.name == "fsync-folder")
            .map(|call| call.at_ms)
            .collect();
        let delivery = |(seek, at_ms): (&Range<f64>, f64)| {
            let on_disk_ms = written.get(written.partition_point(|at| *at < seek.start));
            let on_disk_ms = on_disk_ms.filter(|at| seek.contains(at));
            at_ms - on_disk_ms.expect("what is answered is on the disk")
        };
        receipts.into_iter().map(delivery).collect()
    }
}

/// Notes each durable event of a stream.
async fn listen(mut stream: reqwest::Response, receipts: mpsc::UnboundedSender<Receipt>) {
    let mut rest = Vec::new();
    while let Ok(Some(chunk)) = stream.chunk().await {
        let at_ms = clock::now_ms();
        rest.extend(chunk);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            let id = std::str::from_utf8(&line)
                .unwrap()
                .strip_prefix("id:")
                .map(str::trim);
            if let Some(id) = id {
                let count = id.parse().unwrap();
                // Nobody may be measuring any more.
                let _ = receipts.send(Receipt { count, at_ms });
            }
        }
    }
}

/// Downloads one file again and again, and says how long each time took.
async fn download(url: String, token: String, over: Arc<AtomicBool>) -> Vec<f64> {
    let client = Server::client();
    let mut times = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let began = Instant::now();
        let answer = client.get(&url).bearer_auth(&token).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.bytes().await.unwrap().len(), TRACK_SIZE);
        times.push(began.elapsed().as_secs_f64() * 1e3);
        tokio::time::sleep(DOWNLOAD_PAUSE).await;
    }
    times
}
