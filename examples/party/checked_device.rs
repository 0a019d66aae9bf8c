//! A paired device that checks every response against the protocol.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use super::client::{self, HttpResponse, RoomView, pair_request};
use super::command::{Command, Mistake};
use super::context::Context;
use super::device_records::Member;
use super::event_log::{CommandRecord, ExpectedEvent};
use super::invariants::Invariant;
use super::recorder::CONNECTION_LOST;
use super::rules;
use super::uploads::Upload;

/// Timeout of a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// The result of a command, as its response states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CommandOutcome {
    Accepted,
    /// Refused with 409 at the given current event count.
    Stale(u64),
    /// Refused with another status.
    Refused,
}

/// A paired device that checks every response.
pub(super) struct CheckedDevice {
    pub(super) context: Arc<Context>,
    pub(super) member: Member,
    /// Makes the requests.
    pub(super) inner: client::Device,
    /// Where the connections begin.
    address: Option<IpAddr>,
    /// The upload that the next event stream of the phone continues.
    unfinished_upload: Mutex<Option<Upload>>,
}

/// A client whose connections are closed when it is dropped.
/// `address`: where its connections begin.
pub(super) fn new_http_client(address: Option<IpAddr>) -> Client {
    Client::builder()
        .no_proxy()
        .local_address(address)
        // Shorter than the server's idle timeout, so that no request is sent on a connection that the server is closing.
        .pool_idle_timeout(Duration::from_secs(10))
        .build()
        .unwrap_or_default()
}

impl CheckedDevice {
    /// Pairs a device named `name`, which connects from `address`. On failure, records a violation and returns `None`.
    pub(super) async fn pair(
        context: &Arc<Context>,
        name: &str,
        address: Option<IpAddr>,
    ) -> Option<CheckedDevice> {
        let http = new_http_client(address);
        let base_url = context.base_url();
        let request = pair_request(&http, &base_url, &context.plan.code, name);
        let expected = |member: Value| ExpectedEvent {
            names: &["client.paired"],
            field: "memberId",
            value: member,
        };
        let pending = PendingRequest::new(context, "pair", Some(expected(Value::Null)));
        let response = send(request, context, "pair").await?;
        pending.answered(response.status);
        let body = response.json_or_null();
        let device = client::Device::from_pair_response(http, base_url, &response);
        let (Some(inner), Some(count)) = (device, body["eventCount"].as_u64()) else {
            let violation = format!("pairing got {} {body}", response.status);
            let recorder = &context.recorder;
            recorder.record(Invariant::ResponsesFollowProtocol, Some(violation));
            return None;
        };
        let recorder = &context.recorder;
        recorder.record(Invariant::ResponsesFollowProtocol, None);
        let command = CommandRecord::Accepted {
            expected: expected(json!(inner.member)),
            after: count - 1,
            last: count,
        };
        recorder.lock().event_log.log_command(command);
        recorder.snapshot_received(body["snapshot"].clone());
        Some(CheckedDevice {
            context: context.clone(),
            member: inner.member.as_str().into(),
            inner,
            address,
            unfinished_upload: Mutex::default(),
        })
    }

    /// Closes all connections of the device.
    pub(super) fn close_connections(&mut self) {
        self.inner.http = new_http_client(self.address);
    }

    /// The upload during which the phone lost its last connection.
    pub(super) fn unfinished_upload(&self) -> Option<Upload> {
        let upload = self.unfinished_upload.lock();
        upload.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_unfinished_upload(&self, upload: Option<Upload>) {
        let unfinished = self.unfinished_upload.lock();
        *unfinished.unwrap_or_else(PoisonError::into_inner) = upload;
    }

    /// Sends `GET`. Records a violation and returns `None` unless the status is 200.
    pub(super) async fn get(&self, path: &'static str) -> Option<Value> {
        let request = match path {
            "/clock" | "/index" => self.inner.house_request(Method::GET, path),
            _ => self.inner.request(Method::GET, path),
        };
        let response = send(request, &self.context, path).await?;
        let status = response.status;
        let violation = (status != 200).then(|| format!("GET {path} got {status}"));
        let recorder = &self.context.recorder;
        recorder.record(Invariant::ResponsesFollowProtocol, violation);
        (status == 200).then(|| response.json_or_null())
    }

    /// Fetches a snapshot, and compares it with the state that results from the patches. Returns the snapshot's event count.
    pub(super) async fn check_snapshot(&self) -> Option<u64> {
        let snapshot = self.get("/snapshot").await?;
        let count = snapshot["eventCount"].as_u64();
        self.context.recorder.snapshot_received(snapshot);
        count
    }

    /// The server's clock minus the time since `since`, in milliseconds.
    pub(super) async fn clock_offset_ms(&self, since: Instant) -> Option<f64> {
        let before = since.elapsed();
        let server_ms = self.get("/clock").await?["serverMs"].as_f64()?;
        let midpoint_ms = (before + since.elapsed()).as_secs_f64() * 1e3 / 2.0;
        Some(server_ms - midpoint_ms)
    }

    /// Unpairs the device with `POST /leave`.
    pub(super) async fn leave(self) {
        let expected = ExpectedEvent {
            names: &["client.left"],
            field: "memberId",
            value: json!(*self.member),
        };
        let recorder = &self.context.recorder;
        recorder
            .lock()
            .devices
            .update(&self.member, |device| device.leaving = true);
        let pending = PendingRequest::new(&self.context, "leave", Some(expected.clone()));
        let request = self.inner.request(Method::POST, "/leave");
        let Some(response) = send(request, &self.context, "leave").await else {
            return;
        };
        pending.answered(response.status);
        let status = response.status;
        let violation = (status != 204).then(|| format!("leaving got {status}"));
        recorder.record(Invariant::ResponsesFollowProtocol, violation);
        if status == 204 {
            let command = CommandRecord::AcceptedWithoutCounts(expected);
            recorder.lock().event_log.log_command(command);
        }
    }

    /// Sends a command for the room as `view` shows it, and checks the response. The request has the deliberate mistake
    /// `mistake`, if any. With `minimal`, the request asks for a response without a snapshot. `None` if there is no valid
    /// response.
    pub(super) async fn send_command(
        &self,
        command: &Command,
        mistake: Mistake,
        view: &RoomView,
        minimal: bool,
    ) -> Option<CommandOutcome> {
        let recorder = &self.context.recorder;
        let meant_for = match mistake {
            Mistake::StaleEventCount => view.event_count.saturating_sub(1),
            _ => view.event_count,
        };
        let expected = command
            .expected_event(view, &self.context)
            .filter(|_| mistake == Mistake::None);
        let first_claim = match command {
            Command::AckDownload { track, .. } => {
                recorder.lock().devices.claims_ready(&self.member, track)
            }
            _ => false,
        };
        let newest = recorder.lock().event_log.newest();
        let request = self.command_request(command, mistake, meant_for, minimal);
        let pending = PendingRequest::new(&self.context, command.name(), expected.clone());
        let sent_at = Instant::now();
        let response = send(request, &self.context, command.name()).await?;
        pending.answered(response.status);
        if response.status == 200 && !command.is_vote() {
            recorder.command_answered(sent_at.elapsed());
        }
        if let (200 | 403, Mistake::None) = (response.status, mistake) {
            let permits = rules::permits(command, &self.member, view);
            let is_kept = permits.is_none_or(|permits| permits == (response.status == 200));
            let violation = (!is_kept).then(|| format!("{command:?} got {}", response.status));
            recorder.record(Invariant::RulesAreKept, violation);
        }
        let body = response.json_or_null();
        let violation = self.protocol_violation(command, mistake, view, &response, &body);
        let violation = violation.map(|what| {
            let status = response.status;
            format!("{command:?} ({mistake:?}) for {meant_for}: {status} {body} {what}")
        });
        recorder.record(Invariant::ResponsesFollowProtocol, violation);
        if !body["snapshot"].is_null() {
            recorder.snapshot_received(body["snapshot"].clone());
        }
        match response.status {
            200 => {
                let count = body["eventCount"].as_u64()?;
                if let Some(expected) = expected {
                    recorder.command_accepted(expected, meant_for, count, sent_at);
                }
                if let Command::AckDownload { track, playable } = command {
                    let devices = &mut recorder.lock().devices;
                    devices.ack_accepted(&self.member, track, *playable, first_claim);
                }
                Some(CommandOutcome::Accepted)
            }
            409 => {
                let current = body["expectedEventCount"].as_u64()?;
                let holds = current != meant_for
                    && current >= newest
                    && (minimal || body["snapshot"]["eventCount"] == current);
                let mut records = recorder.lock();
                records
                    .checks
                    .check(Invariant::ConflictsAreCurrent, holds, || {
                        format!("{command:?} for {meant_for} got a 409 with {current} after event {newest}")
                    });
                if matches!(command, Command::AckDownload { .. }) && view.barrier().is_some() {
                    records.event_log.log_refused_ack(meant_for, current);
                }
                Some(CommandOutcome::Stale(current))
            }
            _ => Some(CommandOutcome::Refused),
        }
    }

    fn command_request(
        &self,
        command: &Command,
        mistake: Mistake,
        event_count: u64,
        minimal: bool,
    ) -> RequestBuilder {
        let url = format!("{}/{}", self.inner.base_url, command.name());
        let mut request = self.inner.http.post(url);
        if mistake != Mistake::NoToken {
            request = request.bearer_auth(&self.inner.token);
        }
        if mistake != Mistake::NoEventCount {
            request = request.header("If-Match-Event", event_count);
        }
        if minimal {
            request = request.header("Prefer", "return=minimal");
        }
        match mistake {
            Mistake::InvalidBody => request.json(&[command.body()]),
            _ => request.json(&command.body()),
        }
    }

    /// How a response to a command breaks the protocol; `None` if the response conforms to the protocol.
    fn protocol_violation(
        &self,
        command: &Command,
        mistake: Mistake,
        view: &RoomView,
        response: &HttpResponse,
        body: &Value,
    ) -> Option<&'static str> {
        if !command
            .allowed_statuses(mistake, &self.member, view)
            .contains(&response.status)
        {
            return Some("has a status that the protocol does not allow");
        }
        let member = response.header("lockstep-member");
        if mistake != Mistake::NoToken && member != Some(&*self.member) {
            return Some("names another member");
        }
        let well_formed = match response.status {
            200 => body["eventCount"].is_u64(),
            409 => body["expectedEventCount"].is_u64(),
            status => {
                response.header("content-type") == Some("application/problem+json")
                    && body["status"] == status
            }
        };
        (!well_formed).then_some("has no body that the protocol allows for the status")
    }
}

/// Sends a request. Records a violation and returns `None` if there is no response.
pub(super) async fn send(
    request: RequestBuilder,
    context: &Context,
    name: &'static str,
) -> Option<HttpResponse> {
    send_within(REQUEST_TIMEOUT, request, context, name).await
}

/// As [`send`], with a timeout.
pub(super) async fn send_within(
    timeout: Duration,
    request: RequestBuilder,
    context: &Context,
    name: &'static str,
) -> Option<HttpResponse> {
    match client::send(request, timeout).await {
        Ok(response) => Some(response),
        Err(error) => {
            let violation = Some(format!("{name}: {error}"));
            let recorder = &context.recorder;
            recorder.record(Invariant::ResponsesFollowProtocol, violation);
            None
        }
    }
}

/// A request whose response has not arrived yet. Dropping this value records the request as unanswered, which happens when a
/// phone loses its connection, because the simulation then drops the phone's requests.
struct PendingRequest<'a> {
    context: &'a Context,
    name: &'static str,
    expected: Option<ExpectedEvent>,
    answered: bool,
}

impl<'a> PendingRequest<'a> {
    fn new(context: &'a Context, name: &'static str, expected: Option<ExpectedEvent>) -> Self {
        PendingRequest {
            context,
            name,
            expected,
            answered: false,
        }
    }

    fn answered(mut self, status: u16) {
        self.answered = true;
        self.context.recorder.count_response(self.name, status);
    }
}

impl Drop for PendingRequest<'_> {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        let recorder = &self.context.recorder;
        recorder.count_response(self.name, CONNECTION_LOST);
        if let Some(expected) = self.expected.take() {
            let command = CommandRecord::Unanswered(expected);
            recorder.lock().event_log.log_command(command);
        }
    }
}
