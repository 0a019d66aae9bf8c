//! Runs synthetic phones that use a server concurrently, some of them with invalid requests or stalled downloads, and
//! checks the protocol's invariants. The phones use only the server's network protocol.
//!
//! | module | content |
//! | --- | --- |
//! | `phone`, `actions` | the connections of a phone, and its actions while its event stream is open |
//! | `checked_device`, `download`, `command`, `uploads` | requests with checked responses, downloads, control commands, uploads |
//! | `talk` | chat messages and reactions |
//! | `votes`, `rules` | votes and changes of the house rules, and what these permit |
//! | `recorder` | what all tasks received, which `event_log`, `device_records`, `upload_records`, `barrier_waits` and `invariants` check |
//! | `context`, `report` | what every phone knows from the start, and the results |

mod actions;
mod barrier_waits;
mod checked_device;
mod command;
mod context;
mod device_records;
mod download;
mod event_log;
mod invariants;
mod phone;
mod recorder;
mod report;
mod rules;
mod talk;
mod upload_records;
mod uploads;
mod votes;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use reqwest::Method;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, timeout};

use super::client::{self, Device, EventReader, RoomView};

use barrier_waits::BarrierWaits;
use checked_device::{CheckedDevice, CommandOutcome, new_http_client};
use command::{Command, Mistake};
use context::Context;
use invariants::Invariant;
use phone::{Behavior, MAX_SILENCE, Phone};
use votes::change_rules_repeatedly;

pub(crate) use report::{Report, Status};

/// The interval of the checks for timeouts.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// Interval of polling the observer's view.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// The phones that join at the end and never become ready, so that in every run the server has to remove stalled members
/// from a barrier.
const UNREADY_PHONES: [Behavior; 2] = [Behavior::Idle, Behavior::Unproductive];
/// Timeout of each step at the end: deliveries, reconnections, and the last barrier.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);

/// The parameters of a run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// `http://HOST:PORT`.
    pub(crate) url: String,
    /// The pairing code of the room.
    pub(crate) code: String,
    /// The id of the room; `None` for the house room.
    pub(crate) room: Option<String>,
    /// The number of phones.
    pub(crate) phones: u32,
    /// The time in which the phones send commands and lose connections.
    pub(crate) length: Duration,
    /// The seed of the phones' random choices.
    pub(crate) seed: u64,
    /// The server's `--leave-grace-ms`: how long a phone may be offline before it leaves the room.
    pub(crate) leave_grace: Duration,
    /// How often each phone votes. With 0, no phone votes, and the rules do not change.
    pub(crate) votes_per_minute: u32,
    /// How often each phone sends a chat message. With 0, no phone sends any.
    pub(crate) messages_per_minute: u32,
    /// Whether no other client uses the server, so that every event has a known cause.
    pub(crate) exclusive: bool,
}

/// Runs the simulation. Calls `show_status` twice a second.
///
/// # Errors
/// The server does not respond, refuses the pairing code, or opens no event stream.
pub(crate) async fn run(plan: Plan, show_status: impl Fn(&Status)) -> io::Result<Report> {
    let (wind_down, winding_down) = watch::channel(false);
    let context = Arc::new(prepare(plan, winding_down).await?);
    let (observer, stream, view) = start_observer(&context).await?;
    let first_count = view.event_count;
    let mut tasks = JoinSet::new();
    tasks.spawn(observe(context.clone(), stream, view));
    for number in 1..=context.plan.phones {
        tasks.spawn(Phone::new(context.clone(), number).run());
    }
    let end = Instant::now() + context.plan.length;
    let mut ticks = interval(CHECK_INTERVAL);
    let checks = async {
        while Instant::now() < end {
            ticks.tick().await;
            check_timeouts(&context, &observer).await;
            show_status(&context.recorder.status(context.plan.phones as usize));
        }
    };
    let observed = || context.recorder.lock().observed.clone();
    let rng = StdRng::seed_from_u64(context.plan.seed);
    tokio::select! {
        () = checks => {}
        () = change_rules_repeatedly(&observer, observed, rng) => {}
    }
    wind_down.send_replace(true);
    wait_until_settled(&context, &observer).await;
    check_barrier_with_unready_phones(&context, &observer, &mut tasks).await;
    check_final_state(&context, &observer).await;
    check_finished_uploads(&context, &observer).await;
    // Closes all connections at once, so the pending requests get no response.
    tasks.shutdown().await;
    let records = &mut *context.recorder.lock();
    let (event_log, checks) = (&records.event_log, &mut records.checks);
    event_log.check_commands(first_count, context.plan.exclusive, checks);
    event_log.check_picks_of_uploads(&records.uploads.finished, checks);
    if context.plan.exclusive {
        event_log.check_skips(first_count, &records.barrier_waits.skip_allowed, checks);
    }
    Ok(Report::new(records, &context.plan))
}

/// Resolves the server's address and reads its index.
async fn prepare(plan: Plan, winding_down: watch::Receiver<bool>) -> io::Result<Context> {
    let address = resolve(&plan.url).await?;
    let room = plan.room.as_ref();
    let path = room.map_or(String::new(), |room| format!("/rooms/{room}"));
    let index = fetch_index(format!("http://{address}{path}"), &plan.code).await?;
    Ok(Context::new(plan, address, &index, winding_down))
}

async fn resolve(url: &str) -> io::Result<SocketAddr> {
    let host = url.strip_prefix("http://").unwrap_or(url);
    let host = host.trim_end_matches('/');
    let mut addresses = tokio::net::lookup_host(host).await?;
    addresses
        .next()
        .ok_or_else(|| io::Error::other(format!("{host} has no address")))
}

/// Reads the index through a device that is paired only for this request.
async fn fetch_index(base_url: String, code: &str) -> io::Result<Value> {
    let send = async |name: &str, request| {
        let response = client::send(request, SETTLE_TIMEOUT).await;
        let response = response.map_err(|error| io::Error::other(format!("{name}: {error}")))?;
        match response.status {
            200..300 => Ok(response),
            status => Err(io::Error::other(format!(
                "{name}: status {status}, {}",
                response.text()
            ))),
        }
    };
    let http = new_http_client(None);
    let request = client::pair_request(&http, &base_url, code, "index reader");
    let paired = send("pairing", request).await?;
    let device = Device::from_pair_response(http, base_url, &paired);
    let device = device.ok_or_else(|| io::Error::other("pairing: unexpected response body"))?;
    let index = send("the index", device.house_request(Method::GET, "/index")).await?;
    send("leaving", device.request(Method::POST, "/leave")).await?;
    Ok(index.json_or_null())
}

/// Pairs the observer, a device that only receives events, and opens its event stream.
async fn start_observer(
    context: &Arc<Context>,
) -> io::Result<(CheckedDevice, EventReader, RoomView)> {
    let observer = CheckedDevice::pair(context, "observer", None).await;
    let observer = observer.ok_or_else(|| io::Error::other("the observer cannot pair"))?;
    let request = observer.inner.request(Method::GET, "/events?role=remote");
    let stream = EventReader::open(request, MAX_SILENCE).await;
    let mut stream = stream.map_err(io::Error::other)?;
    let first = stream.next_event().await.map_err(io::Error::other)?;
    let mut view = RoomView::from_snapshot_event(&first).map_err(io::Error::other)?;
    context.recorder.event_observed(&first, &mut view);
    Ok((observer, stream, view))
}

/// Receives the observer's events until an invariant is violated.
async fn observe(context: Arc<Context>, mut stream: EventReader, mut view: RoomView) {
    loop {
        match stream.next_event().await {
            Ok(event) => {
                if !context.recorder.event_observed(&event, &mut view) {
                    return;
                }
            }
            Err(error) => {
                let violation = Some(error.to_string());
                let recorder = &context.recorder;
                return recorder.record(Invariant::StreamsStayOpen, violation);
            }
        }
    }
}

/// Records deliveries and barriers that take too long.
async fn check_timeouts(context: &Context, observer: &CheckedDevice) {
    {
        let records = &mut *context.recorder.lock();
        let checks = &mut records.checks;
        records.devices.check_delivery_timeouts(checks);
    }
    match context.recorder.has_overdue_member() {
        Some(true) => {
            // The observer's stream may be delayed. So the observer's event count is compared with the server's before a
            // violation is recorded.
            if let Some(current) = observer.check_snapshot().await {
                context.recorder.record_overdue_members(current);
            }
        }
        Some(false) => context.recorder.record(Invariant::WaitsAreLimited, None),
        None => {}
    }
}

/// Checks timeouts until `holds` is true; returns false after [`SETTLE_TIMEOUT`].
async fn wait_until(context: &Context, observer: &CheckedDevice, holds: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + SETTLE_TIMEOUT;
    while !holds() {
        if Instant::now() >= deadline {
            return false;
        }
        sleep(CHECK_INTERVAL).await;
        check_timeouts(context, observer).await;
    }
    true
}

/// Waits until every phone has an event stream, and the events of every accepted command have reached every stream.
async fn wait_until_settled(context: &Context, observer: &CheckedDevice) {
    let settled = wait_until(context, observer, || {
        let devices = &context.recorder.lock().devices;
        devices.streaming() == context.plan.phones as usize && devices.all_delivered()
    });
    let violation = (!settled.await).then(|| "not every phone could reconnect at the end".into());
    context
        .recorder
        .record(Invariant::StreamsStayOpen, violation);
}

/// Adds phones that never become ready, sends `next`, which opens a barrier, and waits until the server has ended the
/// barrier without these phones. No other phone delays the barrier: at this time, no phone sends another command or
/// downloads slowly.
async fn check_barrier_with_unready_phones(
    context: &Arc<Context>,
    observer: &CheckedDevice,
    tasks: &mut JoinSet<()>,
) {
    if !context.has_tracks() {
        return;
    }
    let recorder = &context.recorder;
    let phones = context.plan.phones as usize + UNREADY_PHONES.len();
    for (behavior, number) in UNREADY_PHONES.into_iter().zip(context.plan.phones + 1..) {
        tasks.spawn(Phone::with_behavior(behavior, context.clone(), number).run());
    }
    let all_streaming = || recorder.lock().devices.streaming() == phones;
    let mut complete = wait_until(context, observer, all_streaming).await;
    let opened = || recorder.lock().barrier_waits.opened;
    let opened_before = opened();
    let accepted = timeout(SETTLE_TIMEOUT, send_next(context, observer)).await;
    complete &= accepted.is_ok();
    complete &= wait_until(context, observer, || opened() > opened_before).await;
    let opened_event_count = || BarrierWaits::opened_event_count(&recorder.lock().barrier_waits);
    if let Some(last) = opened_event_count() {
        complete &= wait_until(context, observer, || opened_event_count() != Some(last)).await;
    }
    let violation = (!complete).then(|| {
        let waits = &recorder.lock().barrier_waits;
        format!(
            "the last barrier did not open, or did not end without the unready phones: {waits:?}"
        )
    });
    recorder.record(Invariant::WaitsAreLimited, violation);
}

/// Sends `next` until it is accepted and the observer has received its event.
async fn send_next(context: &Context, observer: &CheckedDevice) {
    let observed = || context.recorder.lock().observed.clone();
    loop {
        let Some(view) = observed() else { return };
        let outcome = observer
            .send_command(&Command::Next, Mistake::None, &view, true)
            .await;
        while observed().map(|now| now.event_count) == Some(view.event_count) {
            sleep(POLL_INTERVAL).await;
        }
        if outcome == Some(CommandOutcome::Accepted) {
            return;
        }
    }
}

/// Checks that the index still has every upload that has become a track.
async fn check_finished_uploads(context: &Context, observer: &CheckedDevice) {
    let Some(index) = observer.get("/index").await else {
        return;
    };
    let records = &mut *context.recorder.lock();
    for upload in &records.uploads.finished {
        let violation =
            context.index_violation(&index, &upload.track, &upload.member, uploads::TITLE);
        let checks = &mut records.checks;
        checks.record(Invariant::UploadsBecomePicks, violation);
    }
}

/// Checks a last snapshot, and waits until the observer has received every event.
async fn check_final_state(context: &Context, observer: &CheckedDevice) {
    let Some(current) = observer.check_snapshot().await else {
        return;
    };
    let recorder = &context.recorder;
    let observed_count = || {
        recorder
            .lock()
            .observed
            .as_ref()
            .map(|view| view.event_count)
    };
    let received = async {
        while observed_count() < Some(current) {
            sleep(POLL_INTERVAL).await;
        }
    };
    let received = timeout(SETTLE_TIMEOUT, received).await;
    let violation = received
        .err()
        .map(|_| "the observer did not receive the last events".into());
    recorder.record(Invariant::AcceptedCommandsAreBroadcast, violation);
}
