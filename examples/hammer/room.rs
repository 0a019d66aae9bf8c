//! A room with typical traffic: one phone seeks, other phones listen, and two phones download.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lockstep::clock;
use reqwest::Method;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::REQUEST_TIMEOUT;
use crate::client::{Device, EventReader};
use crate::server::{Server, TRACK_SIZE, http_client, send};

/// Concurrent downloads.
const DOWNLOADERS: usize = 2;
/// Pause of a downloader after each download.
const DOWNLOAD_PAUSE: Duration = Duration::from_millis(20);
/// The longest time in which a stream may receive nothing. The server sends a keep-alive every 5 seconds.
const MAX_SILENCE: Duration = Duration::from_secs(30);

/// A durable event received by a listener.
struct Receipt {
    event_count: u64,
    /// The time of reception in milliseconds, on the same monotonic clock as the recorded times of the disk's system calls.
    at_ms: f64,
}

/// Times in milliseconds, one list for each round.
#[derive(Default)]
pub(crate) struct RoomTimes {
    /// From the end of a write of the state file until a listener has received the event that was written.
    pub(crate) deliveries: Vec<Vec<f64>>,
    /// From sending the request of a download until receiving its last byte.
    pub(crate) downloads: Vec<Vec<f64>>,
}

impl RoomTimes {
    /// Adds the rounds of `other`.
    pub(crate) fn extend(&mut self, other: RoomTimes) {
        self.deliveries.extend(other.deliveries);
        self.downloads.extend(other.downloads);
    }
}

/// The room's phones.
pub(crate) struct Room {
    /// The phone that seeks and downloads.
    device: Device,
    /// The current event count of the room.
    event_count: u64,
    /// The track that the phones download.
    track: String,
    /// The number of phones that listen.
    listeners: usize,
    seek_interval: Duration,
    receipts: mpsc::UnboundedReceiver<Receipt>,
    _listener_tasks: JoinSet<()>,
}

impl Room {
    /// Pairs the phones and opens the listeners' event streams.
    pub(crate) async fn open(server: &Server, listeners: usize, seek_interval: Duration) -> Room {
        let (sender, receipts) = mpsc::unbounded_channel();
        let mut listener_tasks = JoinSet::new();
        for _ in 0..listeners {
            let (device, _) = server.pair(&http_client()).await;
            let request = device.request(Method::GET, "/events");
            let stream = EventReader::open(request, MAX_SILENCE).await.unwrap();
            listener_tasks.spawn(record_receipts(stream, sender.clone()));
        }
        let (device, body) = server.pair(&http_client()).await;
        Room {
            device,
            event_count: body["eventCount"].as_u64().unwrap(),
            track: body["snapshot"]["queue"][0].as_str().unwrap().to_owned(),
            listeners,
            seek_interval,
            receipts,
            _listener_tasks: listener_tasks,
        }
    }

    /// Measures one round of deliveries and downloads, for `duration`.
    pub(crate) async fn measure(&mut self, server: &Server, duration: Duration) -> RoomTimes {
        let stop = Arc::new(AtomicBool::new(false));
        let mut downloads = JoinSet::new();
        for _ in 0..DOWNLOADERS {
            let device = Device {
                http: http_client(),
                ..self.device.clone()
            };
            let path = format!("/file/{}", self.track);
            downloads.spawn(measure_downloads(device, path, stop.clone()));
        }
        let began = Instant::now();
        let deliveries = self
            .measure_deliveries(server, || began.elapsed() < duration)
            .await;
        stop.store(true, Ordering::Relaxed);
        let downloads = downloads.join_all().await.concat();
        RoomTimes {
            deliveries: vec![deliveries],
            downloads: vec![downloads],
        }
    }

    /// Seeks while `goes_on` is true. Returns the delivery time of each event to each listener.
    pub(crate) async fn measure_deliveries(
        &mut self,
        server: &Server,
        goes_on: impl Fn() -> bool,
    ) -> Vec<f64> {
        while self.receipts.try_recv().is_ok() {}
        let seeks = self.seek_while(goes_on).await;
        self.delivery_times(server, &seeks).await
    }

    /// Seeks for `duration`. Returns the time from sending each command until its response.
    pub(crate) async fn measure_commands(&mut self, duration: Duration) -> Vec<f64> {
        let began = Instant::now();
        let seeks = self.seek_while(|| began.elapsed() < duration).await;
        seeks.values().map(|seek| seek.end - seek.start).collect()
    }

    /// Seeks while `goes_on` is true. Returns, by event count, the time at which each command was sent and the time at
    /// which its response was received.
    async fn seek_while(&mut self, goes_on: impl Fn() -> bool) -> BTreeMap<u64, Range<f64>> {
        let mut ticks = tokio::time::interval(self.seek_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seeks = BTreeMap::new();
        while goes_on() {
            ticks.tick().await;
            let sent_at_ms = clock::now_ms();
            let body = json!({ "positionSec": self.event_count % 1000 });
            let request = self.device.command("/seek", self.event_count, &body);
            let request = request.header("Prefer", "return=minimal");
            let body = send(request, 200).await.json_or_null();
            self.event_count = body["eventCount"].as_u64().unwrap();
            seeks.insert(self.event_count, sent_at_ms..clock::now_ms());
        }
        seeks
    }

    /// Waits until every listener has received the event of every seek. Returns the time of each delivery since the end
    /// of the write of the state file.
    async fn delivery_times(
        &mut self,
        server: &Server,
        seeks: &BTreeMap<u64, Range<f64>>,
    ) -> Vec<f64> {
        let mut receipts = Vec::with_capacity(seeks.len() * self.listeners);
        while receipts.len() < seeks.len() * self.listeners {
            let receipt = tokio::time::timeout(REQUEST_TIMEOUT, self.receipts.recv());
            let receipt = receipt.await.expect("every event arrives").unwrap();
            // Events of earlier commands may still arrive. They have no entry in `seeks` and are ignored.
            receipts.extend(
                seeks
                    .get(&receipt.event_count)
                    .map(|seek| (seek, receipt.at_ms)),
            );
        }
        let calls = server.disk.call_boundaries();
        let written_ms: Vec<f64> = calls
            .iter()
            .filter(|call| call.ended && call.name == "fsync-folder")
            .map(|call| call.at_ms)
            .collect();
        let delivery = |(seek, received_at_ms): (&Range<f64>, f64)| {
            let write = written_ms.get(written_ms.partition_point(|at| *at < seek.start));
            let write = write.filter(|at| seek.contains(at));
            received_at_ms - write.expect("the state is written before the response")
        };
        receipts.into_iter().map(delivery).collect()
    }
}

/// Sends a receipt for each durable event of a stream.
async fn record_receipts(mut stream: EventReader, receipts: mpsc::UnboundedSender<Receipt>) {
    while let Ok(event) = stream.next_event().await {
        let age_ms = event.received_at.elapsed().as_secs_f64() * 1e3;
        let at_ms = clock::now_ms() - age_ms;
        if event.id.is_some() {
            let event_count = event.event_count;
            // An error means that the measurement is over and the receiver is dropped.
            let _ = receipts.send(Receipt { event_count, at_ms });
        }
    }
}

/// Downloads a file repeatedly until `stop` is true. Returns the time of each download in milliseconds.
async fn measure_downloads(device: Device, path: String, stop: Arc<AtomicBool>) -> Vec<f64> {
    let mut times = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let response = send(device.request(Method::GET, &path), 200).await;
        assert_eq!(response.body.len(), TRACK_SIZE);
        times.push(began.elapsed().as_secs_f64() * 1e3);
        tokio::time::sleep(DOWNLOAD_PAUSE).await;
    }
    times
}
