//! Comparing phones by the server's own microphone, on the local socket only: `lockstep compare` runs outside of the service,
//! which has no devices. It records, and asks here for chirps of the phones.

use std::collections::BTreeMap;

use hyper::Response;
use serde_json::json;

use super::call::Call;
use super::error::ApiError;
use super::{Body, json, sync};
use crate::hub::{Accepted, Hub};
use crate::room::{Command, ComparisonMethod, MemberId, Mode};
use crate::wire::{
    ComparedPhone, ComparisonResult, ComparisonState, Role, StartedComparison, TuningSound,
};

const PLAYING: &str = "Music plays: pause it, because each phone must be heard alone";

/// `GET /compare`: the listeners, and whether music plays.
pub(super) fn state(hub: &Hub) -> ComparisonState {
    let view = hub.view();
    let snapshot = view.snapshot();
    let listeners = snapshot.live.listeners.iter();
    let phones = listeners
        .filter(|(_, device)| device.role == Role::Listener)
        .filter_map(|(&member_id, device)| {
            let client = snapshot.durable.clients.get(&member_id)?;
            Some(ComparedPhone {
                member_id,
                name: client.name.clone(),
                delay_ms: client.delay_ms,
                waits_for_tap: device.sync.is_some_and(|sync| sync.waits_for_tap),
            })
        })
        .collect();
    let durable = snapshot.durable;
    ComparisonState {
        is_playing: durable.play_state.mode == Mode::Playing || durable.barrier.is_some(),
        phones,
    }
}

/// `POST /compare`: makes the phones chirp in turn, except those that stay silent until somebody taps them.
///
/// # Errors
/// 422 while music plays, or if fewer than two phones can sound.
pub(super) async fn start(hub: &Hub) -> Result<Response<Body>, ApiError> {
    let ComparisonState { is_playing, phones } = state(hub);
    if is_playing {
        return Err(ApiError::Unprocessable("music-plays", PLAYING.into()));
    }
    let (silent, phones): (Vec<_>, Vec<_>) =
        phones.into_iter().partition(|phone| phone.waits_for_tap);
    if phones.len() < 2 {
        let also = match silent.len() {
            0 => String::new(),
            count => format!(
                "; {count} more must be tapped first, because browsers play no sound before"
            ),
        };
        let message = format!(
            "A comparison needs two phones that can sound, and there are {}{also}",
            phones.len()
        );
        return Err(ApiError::Unprocessable("too-few-phones", message));
    }
    let members = phones.iter().map(|phone| phone.member_id).collect();
    let starts_at_ms = hub
        .broadcast_tuning(TuningSound::Chirp, Some(members))
        .await?;
    Ok(json(&StartedComparison {
        starts_at_ms,
        phones,
    }))
}

/// `POST /compare/stop`: ends the chirps early, because the recorder has ended.
pub(super) async fn stop(hub: &Hub) -> Result<Response<Body>, ApiError> {
    hub.broadcast_tuning(TuningSound::Off, None).await?;
    Ok(sync::no_content())
}

/// `POST /compare/result`: sets the delays of the phones that were heard, all at once.
///
/// # Errors
/// 400 for a malformed body or fewer than two phones; 404 if one is not paired any more; 422 while music plays, because it
/// may have started during the comparison.
pub(super) async fn apply_result(call: Call<'_>, hub: &Hub) -> Result<Response<Body>, ApiError> {
    let ComparisonResult { delays } = call.body.read_json().await?;
    let delays: BTreeMap<MemberId, f64> = sync::check_delays(delays)?;
    if delays.len() < 2 {
        return Err(ApiError::BadRequest(
            "The object delays must name at least two devices".into(),
        ));
    }
    if state(hub).is_playing {
        return Err(ApiError::Unprocessable("music-plays", PLAYING.into()));
    }
    let command = Command::Compare {
        sender: None,
        by: ComparisonMethod::Server,
        at: sync::now_rfc3339(),
        compared: delays.keys().copied().collect(),
        delays,
    };
    let Accepted { room } = hub.submit(command).await?;
    Ok(json(&json!({ "eventCount": room.durable.event_count })))
}
