//! `GET /metrics`: all metrics in the Prometheus text format, for paired devices, on the local socket, and on the
//! socket of `--metrics-listen`.

use std::sync::Arc;

use hyper::Response;
use hyper::header::{CONTENT_TYPE, HeaderValue};

use super::call::Call;
use super::error::ApiError;
use super::listen::ListenSocketKind;
use super::{App, Body, full};
use crate::hub::View;
use crate::metrics::{MetricType, MetricsText, RoomLabel};
use crate::room::Mode;
use crate::rooms::{RoomEntry, RoomStatus};
use crate::wire::{Role, Snapshot};

/// Answers with all metrics. Those of a room have the label `room` as soon as there is more than one room.
///
/// # Errors
/// Those of [`Call::authenticate`], if the request arrived on a public socket ([`ListenSocketKind::Network`]).
pub(super) fn answer(call: &Call<'_>) -> Result<Response<Body>, ApiError> {
    let Call {
        app, connection, ..
    } = *call;
    // Not skipped for the other sockets, because this call also records whether the connection belongs to a paired device.
    let paired = call.authenticate();
    if connection.socket_kind() == ListenSocketKind::Network {
        paired?;
    }
    let entries = app.rooms.entries();
    let label = |entry: &RoomEntry| (entries.len() > 1).then(|| entry.id.to_string());
    let rooms: Vec<_> = entries.iter().map(|entry| (label(entry), entry)).collect();
    let mut text = MetricsText::default();
    write_server(app, &rooms, &mut text);
    let counters = rooms
        .iter()
        .map(|(label, entry)| (label.clone(), entry.counters.clone()));
    app.metrics.write(&counters.collect::<Vec<_>>(), &mut text);
    let views = rooms
        .iter()
        .filter_map(|(label, entry)| Some((label.clone(), entry.hub()?.view())));
    let views: Vec<_> = views.collect();
    if !views.is_empty() {
        write_rooms(&views, &mut text);
    }
    let mut response = Response::new(full(text.finish()));
    let media_type = HeaderValue::from_static(MetricsText::MEDIA_TYPE);
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    Ok(response)
}

fn write_server(app: &App, rooms: &[(RoomLabel, &Arc<RoomEntry>)], text: &mut MetricsText) {
    text.family(
        "lockstep_build_info",
        MetricType::Gauge,
        "Always 1; the label is the server's version.",
    )
    .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    let mut damaged = text.family(
        "lockstep_state_damaged",
        MetricType::Gauge,
        "1 if the state file is damaged, so that all commands are refused.",
    );
    for (room, entry) in rooms {
        damaged.room_sample(
            room,
            &[],
            f64::from(matches!(entry.status, RoomStatus::Damaged(_))),
        );
    }
    text.family(
        "lockstep_library_tracks",
        MetricType::Gauge,
        "Tracks in the library.",
    )
    .sample(&[], app.library.index().len() as f64);
    write_connections(app, text);
}

fn write_connections(app: &App, text: &mut MetricsText) {
    let counts = app.connections.counts();
    let mut connections = text.family(
        "lockstep_connections",
        MetricType::Gauge,
        "Open connections, by whether the latest request for a restricted route came from a paired device.",
    );
    connections.sample(&[("paired", "yes")], counts.paired as f64);
    connections.sample(&[("paired", "no")], counts.unpaired as f64);
    text.family(
        "lockstep_connections_limit",
        MetricType::Gauge,
        "The limit of open connections.",
    )
    .sample(&[], counts.limit as f64);
    let mut refused = text.family(
        "lockstep_connections_refused_total",
        MetricType::Counter,
        "Connections refused by the limit per address (address) or the total limit (total), or evicted for a newer \
         connection (evicted).",
    );
    let reasons = [
        ("address", counts.refused_per_address),
        ("total", counts.refused_total),
        ("evicted", counts.evicted),
    ];
    for (reason, count) in reasons {
        refused.sample(&[("reason", reason)], count as f64);
    }
}

/// The name of a metric, its description, and its value for one room.
type RoomGauge = (&'static str, &'static str, fn(&Snapshot<'_>) -> usize);

fn write_rooms(views: &[(RoomLabel, View)], text: &mut MetricsText) {
    let snapshots = views.iter().map(|(label, view)| (label, view.snapshot()));
    let snapshots: Vec<_> = snapshots.collect();
    let gauges: [RoomGauge; 6] = [
        ("lockstep_paired_devices", "Paired devices.", |room| {
            room.durable.clients.len()
        }),
        (
            "lockstep_listeners",
            "Connected devices that play sound.",
            |room| count_role(room, Role::Listener),
        ),
        (
            "lockstep_remotes",
            "Connected devices that only show and control the playback.",
            |room| count_role(room, Role::Remote),
        ),
        (
            "lockstep_downloading_devices",
            "Devices that are downloading a track.",
            |room| {
                let devices = room.live.listeners.values();
                devices.filter(|device| device.download.is_some()).count()
            },
        ),
        (
            "lockstep_playing",
            "1 if the mode is playing, even without listeners.",
            |room| usize::from(room.durable.play_state.mode == Mode::Playing),
        ),
        (
            "lockstep_barrier_open",
            "1 if the playback waits for listeners that do not have the track yet.",
            |room| usize::from(room.durable.barrier.is_some()),
        ),
    ];
    for (name, help, value) in gauges {
        let mut gauge = text.family(name, MetricType::Gauge, help);
        for (label, snapshot) in &snapshots {
            gauge.room_sample(label, &[], value(snapshot) as f64);
        }
    }
    let sync_reports = || {
        snapshots.iter().flat_map(|(label, snapshot)| {
            let devices = snapshot.live.listeners.iter();
            devices.filter_map(|(member, device)| Some((*label, member.to_string(), device.sync?)))
        })
    };
    let mut errors = text.family(
        "lockstep_listener_sync_error_seconds",
        MetricType::Gauge,
        "Offset of each listener's playback from the room's position, as the listener reports it; positive if ahead. Absent while the listener is silent.",
    );
    for (room, member, sync) in sync_reports() {
        if let Some(off_ms) = sync.off_ms {
            errors.room_sample(room, &[("member", &member)], off_ms / 1e3);
        }
    }
    let mut round_trips = text.family(
        "lockstep_listener_round_trip_seconds",
        MetricType::Gauge,
        "Round-trip time between each listener and the server, as the listener reports it.",
    );
    for (room, member, sync) in sync_reports() {
        round_trips.room_sample(room, &[("member", &member)], sync.round_trip_ms / 1e3);
    }
}

/// The number of connected devices with a role.
fn count_role(room: &Snapshot<'_>, role: Role) -> usize {
    let devices = room.live.listeners.values();
    devices.filter(|device| device.role == role).count()
}
