//! A synthetic phone: pairs, keeps an event stream for a while, loses its connection, reopens the stream, and at times
//! unpairs and pairs again. `actions` has the phone's actions while the stream is open.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::Method;
use tokio::sync::watch;
use tokio::time::sleep;

use super::actions::Actions;
use super::checked_device::CheckedDevice;
use super::client::{Event, EventReader, RoomView};
use super::context::Context;
use super::download::ReadRate;
use super::invariants::Invariant;

/// A stream that receives nothing for this time violates an invariant, because the server sends a keep-alive every 5
/// seconds.
pub(super) const MAX_SILENCE: Duration = Duration::from_secs(20);
/// The pause after a violation, so that one fault does not cause many violations in the report.
const VIOLATION_PAUSE: Duration = Duration::from_secs(1);
/// The time for which an idle or unproductive phone keeps its stream. Longer than the server's stall timeout plus the
/// margin with which the simulation checks the timeout, so that the server must remove the phone from a barrier.
const UNREADY_DURATION: Duration = Duration::from_secs(45);

/// How a phone behaves while its event stream is open.
#[derive(Debug, Clone, Copy)]
pub(super) enum Behavior {
    /// Downloads, acknowledges and sends commands.
    Active(ReadRate),
    /// Only keeps its event stream open.
    Idle,
    /// Repeats the same partial download and the same acknowledgement, and never becomes ready.
    Unproductive,
}

/// The way in which a phone reopens its event stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reopening {
    /// Without any state.
    Fresh,
    /// With `Last-Event-ID`.
    LastEventId,
    /// With `trackId` and `positionSec`, like a phone that has continued to play.
    StillPlaying,
}

/// A synthetic phone.
pub(super) struct Phone {
    context: Arc<Context>,
    number: u32,
    rng: StdRng,
    /// The behavior of every stream; `None` for a random choice for each stream.
    fixed_behavior: Option<Behavior>,
}

impl Phone {
    pub(super) fn new(context: Arc<Context>, number: u32) -> Self {
        let seed = context.plan.seed.wrapping_add(u64::from(number) << 32);
        Phone {
            context,
            number,
            rng: StdRng::seed_from_u64(seed),
            fixed_behavior: None,
        }
    }

    /// A phone that always behaves in the same way.
    pub(super) fn with_behavior(behavior: Behavior, context: Arc<Context>, number: u32) -> Self {
        let mut phone = Phone::new(context, number);
        phone.fixed_behavior = Some(behavior);
        phone
    }

    /// Repeatedly pairs a device and runs it until it unpairs. Returns only if the future is dropped.
    pub(super) async fn run(mut self) {
        let delay = self.rng.random_range(0.0..1.0);
        sleep(Duration::from_secs_f64(delay)).await;
        loop {
            let name = format!("phone {}", self.number);
            let address = self.context.client_address(self.number);
            match CheckedDevice::pair(&self.context, &name, address).await {
                Some(device) => self.run_device(device).await,
                None => sleep(VIOLATION_PAUSE).await,
            }
        }
    }

    /// Opens and loses several event streams, and then unpairs.
    async fn run_device(&mut self, mut device: CheckedDevice) {
        self.context.recorder.lock().devices.add(&device.member);
        let mut downloaded = BTreeSet::new();
        let mut last_view = None;
        let streams = self.rng.random_range(2..8);
        for _ in 0..streams {
            last_view = self.run_stream(&device, last_view, &mut downloaded).await;
            device.close_connections();
            let grace = self.context.plan.leave_grace.as_secs_f64();
            let (offline, action) = if self.rng.random_bool(0.6) {
                let share = self.rng.random_range(0.0..0.7);
                (share * grace, "was offline within the leave grace period")
            } else {
                let share = self.rng.random_range(1.5..4.0);
                (share * grace, "was offline beyond the leave grace period")
            };
            self.context.recorder.count_action(action);
            sleep(Duration::from_secs_f64(offline)).await;
        }
        device.leave().await;
    }

    fn choose_behavior(&mut self) -> Behavior {
        if let Some(behavior) = self.fixed_behavior {
            return behavior;
        }
        match self.rng.random_range(0..100) {
            0..2 => Behavior::Idle,
            2 => Behavior::Unproductive,
            3..8 => Behavior::Active(ReadRate::Limited(self.rng.random_range(25_000..80_000))),
            _ => Behavior::Active(ReadRate::Unlimited),
        }
    }

    /// Keeps an event stream open for a while. Returns the last view of the room.
    async fn run_stream(
        &mut self,
        device: &CheckedDevice,
        last_view: Option<RoomView>,
        downloaded: &mut BTreeSet<String>,
    ) -> Option<RoomView> {
        let since = Instant::now();
        let offset_ms = device.clock_offset_ms(since).await?;
        let reopening = match (&last_view, self.rng.random_range(0..3)) {
            (None, _) | (_, 0) => Reopening::Fresh,
            (_, 1) => Reopening::LastEventId,
            _ => Reopening::StillPlaying,
        };
        let opened = self.open(device, last_view, reopening, offset_ms).await;
        let recorder = &self.context.recorder;
        recorder.record(Invariant::StreamsStayOpen, opened.as_ref().err().cloned());
        let Ok((stream, mut view, first)) = opened else {
            sleep(VIOLATION_PAUSE).await;
            return None;
        };
        if !recorder.event_received(&device.member, &first, &mut view) {
            return None;
        }
        recorder.stream_opened(&device.member, view.event_count);
        let behavior = self.choose_behavior();
        let duration = match behavior {
            Behavior::Idle | Behavior::Unproductive => UNREADY_DURATION,
            Behavior::Active(_) => {
                let mean = self.context.stream_duration();
                mean.mul_f64(self.rng.random_range(0.3..1.7))
            }
        };
        let (view_sender, views) = watch::channel(view);
        let actions = Actions {
            device,
            views,
            server_ms: Box::new(move || offset_ms + since.elapsed().as_secs_f64() * 1e3),
        };
        let seed = self.rng.random();
        tokio::select! {
            () = self.receive_events(device, stream, &view_sender) => {
                self.context.recorder.stream_closed(&device.member);
                sleep(VIOLATION_PAUSE).await;
            }
            () = actions.run(behavior, downloaded, seed) => {}
            () = self.wait_for_disconnect(device, duration) => {}
        }
        Some(view_sender.borrow().clone())
    }

    /// Opens an event stream. Returns the stream, its first event, and the view into which the caller must fold this event.
    async fn open(
        &self,
        device: &CheckedDevice,
        last_view: Option<RoomView>,
        reopening: Reopening,
        offset_ms: f64,
    ) -> Result<(EventReader, RoomView, Event), String> {
        let mut path = "/events".to_owned();
        let playing = last_view.as_ref().and_then(|view| {
            let elapsed_ms = offset_ms - view.anchor_at_ms?;
            let position = view.anchor_position_sec() + elapsed_ms.max(0.0) / 1e3;
            Some((view.track_after_current(0)?, position))
        });
        if let (Reopening::StillPlaying, Some((track, position))) = (reopening, playing) {
            let devices = &mut self.context.recorder.lock().devices;
            devices.claims_ready(&device.member, track);
            path = format!("/events?trackId={track}&positionSec={position}");
        }
        let mut request = device.inner.request(Method::GET, &path);
        let last_event_id = last_view
            .as_ref()
            .map(|view| view.event_count)
            .filter(|_| reopening == Reopening::LastEventId);
        if let Some(id) = last_event_id {
            request = request.header("Last-Event-ID", id);
        }
        let opened = EventReader::open(request, MAX_SILENCE).await;
        let mut stream = opened.map_err(|error| error.to_string())?;
        let first = stream.next_event().await;
        let first = first.map_err(|error| error.to_string())?;
        let view = match (first.name.as_str(), last_view) {
            ("snapshot", last_view) => {
                let view = RoomView::from_snapshot_event(&first);
                let view = view.map_err(|error| error.to_string())?;
                let last_count = last_view.map_or(0, |last| last.event_count);
                if last_count > view.event_count {
                    return Err(format!(
                        "a stream begins with event count {}, after {last_count}",
                        view.event_count
                    ));
                }
                view
            }
            (_, Some(last_view)) if last_event_id.is_some() => {
                let recorder = &self.context.recorder;
                recorder.count_action("continued a stream by Last-Event-ID");
                last_view
            }
            _ => return Err(format!("a stream begins with {}", first.data)),
        };
        Ok((stream, view, first))
    }

    /// Receives events until an invariant is violated.
    async fn receive_events(
        &self,
        device: &CheckedDevice,
        mut stream: EventReader,
        view_sender: &watch::Sender<RoomView>,
    ) {
        let recorder = &self.context.recorder;
        loop {
            match stream.next_event().await {
                Ok(event) => {
                    let mut view = view_sender.borrow().clone();
                    if !recorder.event_received(&device.member, &event, &mut view) {
                        return;
                    }
                    recorder.record(Invariant::StreamsStayOpen, None);
                    view_sender.send_replace(view);
                }
                Err(error) => {
                    let violation = Some(error.to_string());
                    return recorder.record(Invariant::StreamsStayOpen, violation);
                }
            }
        }
    }

    /// Returns when it is time for the phone to lose its connection: after `duration`, or never once the simulation is
    /// winding down.
    async fn wait_for_disconnect(&self, device: &CheckedDevice, duration: Duration) {
        sleep(duration).await;
        if self.context.is_winding_down() {
            std::future::pending::<()>().await;
        }
        // The disconnect is recorded before the caller closes the socket, because the server may react at once.
        self.context.recorder.stream_closed(&device.member);
    }
}
