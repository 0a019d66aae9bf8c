//! `GET /metrics`: what has been counted, and how it stands, for those who watch over the server. For paired devices, and for
//! this machine itself.

use hyper::Response;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

use super::error::ApiError;
use super::socket::Line;
use super::{App, Body, House, full, gate};
use crate::hub::View;
use crate::metrics::{Kind, Text};
use crate::room::Mode;
use crate::wire::Role;

/// The answer.
pub(super) fn answer(
    app: &App,
    line: &Line,
    headers: &HeaderMap,
) -> Result<Response<Body>, ApiError> {
    let paired = gate::known(app, line, headers);
    if !gate::from_here(line.peer(), headers) {
        paired?;
    }
    let mut text = Text::default();
    write_server(app, &mut text);
    app.metrics.write(&mut text);
    if let House::Open(hub) = &app.house {
        write_room(&hub.view(), &mut text);
    }
    let mut response = Response::new(full(text.finish()));
    let media_type = HeaderValue::from_static(Text::MEDIA_TYPE);
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    Ok(response)
}

fn write_server(app: &App, text: &mut Text) {
    text.family("lockstep_build_info", Kind::Gauge, "Which version this is.")
        .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    let is_damaged = matches!(app.house, House::Damaged(_));
    text.family(
        "lockstep_state_damaged",
        Kind::Gauge,
        "Whether the state file is damaged, so that every command is refused.",
    )
    .sample(&[], f64::from(is_damaged));
    text.family(
        "lockstep_library_tracks",
        Kind::Gauge,
        "Tracks in the library.",
    )
    .sample(&[], app.library.index().len() as f64);
    let standing = app.crowd.standing();
    let mut connections = text.family(
        "lockstep_connections",
        Kind::Gauge,
        "Open connections, by whether a paired device was the last to ask on them for what is not open to all.",
    );
    connections.sample(&[("paired", "yes")], standing.guests as f64);
    connections.sample(&[("paired", "no")], standing.strangers as f64);
    text.family(
        "lockstep_connections_limit",
        Kind::Gauge,
        "As many as there may be.",
    )
    .sample(&[], standing.most as f64);
    let mut refused = text.family(
        "lockstep_connections_refused_total",
        Kind::Counter,
        "Connections that were turned away because their address had its part or the house was full, or had to make room.",
    );
    let [address, house] = standing.turned_away;
    let reasons = [
        ("address", address),
        ("house", house),
        ("made_room", standing.made_room),
    ];
    for (reason, count) in reasons {
        refused.sample(&[("reason", reason)], count as f64);
    }
}

fn write_room(view: &View, text: &mut Text) {
    let snapshot = view.snapshot();
    let devices = &snapshot.live.listeners;
    let with = |role| devices.values().filter(|d| d.role == role).count();
    let downloads = devices.values().filter(|d| d.download.is_some()).count();
    let is_playing = snapshot.durable.play_state.mode == Mode::Playing;
    for (name, help, value) in [
        (
            "lockstep_paired_devices",
            "Devices that are paired.",
            snapshot.durable.clients.len() as f64,
        ),
        (
            "lockstep_listeners",
            "Devices that listen.",
            with(Role::Listener) as f64,
        ),
        (
            "lockstep_remotes",
            "Devices that follow without listening.",
            with(Role::Remote) as f64,
        ),
        (
            "lockstep_downloading_devices",
            "Devices that are downloading a track.",
            downloads as f64,
        ),
        (
            "lockstep_playing",
            "Whether music plays, or would if somebody listened.",
            f64::from(is_playing),
        ),
        (
            "lockstep_barrier_open",
            "Whether a start waits for somebody.",
            f64::from(snapshot.durable.barrier.is_some()),
        ),
    ] {
        text.family(name, Kind::Gauge, help).sample(&[], value);
    }
    let synced = || {
        devices
            .iter()
            .filter_map(|(member, device)| Some((member.to_string(), device.sync?)))
    };
    let mut errors = text.family(
        "lockstep_listener_sync_error_seconds",
        Kind::Gauge,
        "How far each listener is off the room's line, as it says itself; ahead when positive. None while it is silent.",
    );
    for (member, sync) in synced() {
        if let Some(off_ms) = sync.off_ms {
            errors.sample(&[("member", &member)], off_ms / 1e3);
        }
    }
    let mut round_trips = text.family(
        "lockstep_listener_round_trip_seconds",
        Kind::Gauge,
        "How long a request of each listener takes to the server and back, as it says itself.",
    );
    for (member, sync) in synced() {
        round_trips.sample(&[("member", &member)], sync.round_trip_ms / 1e3);
    }
}
