//! What a thumb does: the commands, the slips that a client may make in sending them, the statuses that
//! the protocol allows for each, and which of them somebody at a party would press now.

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::chronicle::Effect;
use super::view::View;
use super::world::World;

/// A track that no library holds: ids are hashes, and this one is of nothing.
const UNKNOWN_TRACK: &str = "0000000000000000";

/// A command.
#[derive(Debug, Clone)]
pub(super) enum Press {
    Play(f64),
    Pause(f64),
    Seek(f64),
    Next,
    Nudge(String),
    StartNow,
    Acknowledge { track: String, playable: bool },
}

/// What is wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slip {
    None,
    NoToken,
    NoCount,
    NoSense,
    OldCount,
}

impl Press {
    /// The request's name.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Press::Play(_) => "play",
            Press::Pause(_) => "pause",
            Press::Seek(_) => "seek",
            Press::Next => "next",
            Press::Nudge(_) => "nudge",
            Press::StartNow => "start-now",
            Press::Acknowledge { .. } => "ack-download",
        }
    }

    /// Whether it would end an open barrier.
    pub(super) fn ends_a_wait(&self) -> bool {
        matches!(
            self,
            Press::Play(_) | Press::Pause(_) | Press::Next | Press::StartNow
        )
    }

    /// The request's body.
    pub(super) fn body(&self) -> Value {
        match self {
            Press::Play(at) | Press::Pause(at) | Press::Seek(at) => json!({ "positionSec": at }),
            Press::Next | Press::StartNow => json!({}),
            Press::Nudge(track) => json!({ "trackId": track }),
            Press::Acknowledge { track, playable } => {
                json!({ "trackId": track, "playable": playable })
            }
        }
    }

    /// The first event that it causes when it is accepted in the room as `view` has it; `None` when
    /// that is not said.
    pub(super) fn effect(&self, view: &View, world: &World) -> Option<Effect> {
        let duration = view.track(0).and_then(|track| world.track(track)?.duration);
        let lands = |at: &f64| json!(at.min(duration.unwrap_or(f64::INFINITY)));
        let (names, field, value): (&'static [_], _, _) = match self {
            Press::Play(_) => (&["barrier.opened"], "type", json!("resume")),
            Press::Pause(at) => (&["playback.paused"], "anchorPositionSec", lands(at)),
            Press::Seek(at) => (&["playback.seeked"], "anchorPositionSec", lands(at)),
            Press::Next => (&["queue.advanced"], "trackId", json!(view.track(1))),
            Press::Nudge(track) => (&["queue.nudged"], "trackId", json!(track)),
            Press::StartNow => (&["barrier.shrunk", "barrier.release"], "", Value::Null),
            Press::Acknowledge { .. } => return None,
        };
        Some(Effect {
            names,
            field,
            value,
        })
    }

    /// The statuses that the protocol allows when it is meant for the room as `view` has it. A disk
    /// that does not write is nobody's fault here: 503 is allowed throughout.
    pub(super) fn allowed(&self, slip: Slip, view: &View) -> &'static [u16] {
        match (slip, self) {
            (Slip::NoToken, _) => &[401],
            (Slip::NoCount, _) => &[428],
            (Slip::NoSense, _) => &[400],
            (Slip::OldCount, _) => &[409],
            (_, Press::StartNow) if view.barrier().is_none() => &[422, 409, 503],
            (_, Press::Nudge(track)) if view.track(0) == Some(track) => &[422, 409, 503],
            (_, Press::Nudge(track)) if track == UNKNOWN_TRACK => &[404, 409, 503],
            _ => &[200, 409, 503],
        }
    }
}

/// What somebody presses who sees the room as `view` has it, and how well.
pub(super) fn choose(rng: &mut StdRng, view: &View, world: &World) -> (Press, Slip) {
    let somewhere = |rng: &mut StdRng| {
        let duration = view
            .track(0)
            .and_then(|track| world.track(track)?.duration)
            .unwrap_or(60.0);
        match rng.random_range(0..10) {
            0..6 => rng.random_range(0.0..=duration),
            // So that a track ends now and then.
            6..9 => (duration - rng.random_range(0.5..4.0)).max(0.0),
            _ => duration + 1000.0,
        }
    };
    let press = match rng.random_range(0..100) {
        0..14 => Press::Play(somewhere(rng)),
        14..22 => Press::Pause(somewhere(rng)),
        22..48 => Press::Seek(somewhere(rng)),
        48..60 => Press::Next,
        60..86 => {
            let queue = view.queue();
            let index = rng.random_range(0..=queue.len());
            Press::Nudge(
                queue
                    .get(index)
                    .copied()
                    .unwrap_or(UNKNOWN_TRACK)
                    .to_owned(),
            )
        }
        _ => Press::StartNow,
    };
    let slip = match rng.random_range(0..100) {
        0 => Slip::NoToken,
        1 => Slip::NoCount,
        2 if !matches!(press, Press::Next | Press::StartNow) => Slip::NoSense,
        3..6 => Slip::OldCount,
        _ => Slip::None,
    };
    (press, slip)
}
