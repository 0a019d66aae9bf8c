//! The control commands that phones send: their bodies, the event that each command causes, the response statuses that the
//! protocol allows, and the random choice of the next command.

use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::client::RoomView;
use super::context::Context;
use super::event_log::ExpectedEvent;
use super::rules;

/// A valid track ID that no library contains, because track IDs are hashes of paths.
const UNKNOWN_TRACK: &str = "0000000000000000";

/// A command. Positions are in seconds.
#[derive(Debug, Clone)]
pub(super) enum Command {
    Play(f64),
    Pause(f64),
    Seek(f64),
    Next,
    /// The track that has ended.
    Ended(String),
    Previous,
    PlayNow(String),
    Nudge(String),
    Pick(Vec<String>),
    Unpick(String),
    /// A pick, and the pick before which it is placed.
    Move(String, Option<String>),
    Shuffle,
    Sort(&'static str),
    Undo,
    StartNow,
    AckDownload {
        track: String,
        playable: bool,
    },
    Rules(Value),
    MakeHost(String),
    /// `None` for no DJ.
    Dj(Option<String>),
    RandomDj,
    VoteDj(Option<String>),
    /// A track, and whether the vote is for it.
    VoteSkip(String, bool),
    VotePick(String, bool),
}

/// A deliberate mistake in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mistake {
    None,
    NoToken,
    NoEventCount,
    InvalidBody,
    StaleEventCount,
}

impl Command {
    /// The last segment of the request's path.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Command::Play(_) => "play",
            Command::Pause(_) => "pause",
            Command::Seek(_) => "seek",
            Command::Next | Command::Ended(_) => "next",
            Command::Previous => "previous",
            Command::PlayNow(_) => "play-now",
            Command::Nudge(_) => "nudge",
            Command::Pick(_) => "pick",
            Command::Unpick(_) => "unpick",
            Command::Move(..) => "move",
            Command::Shuffle => "shuffle",
            Command::Sort(_) => "sort",
            Command::Undo => "undo",
            Command::StartNow => "start-now",
            Command::AckDownload { .. } => "ack-download",
            Command::Rules(_) => "rules",
            Command::MakeHost(_) => "hosts",
            Command::Dj(_) => "dj",
            Command::RandomDj => "dj/random",
            Command::VoteDj(_) => "vote-dj",
            Command::VoteSkip(..) => "vote-skip",
            Command::VotePick(..) => "vote-pick",
        }
    }

    /// Whether the command is a vote.
    pub(super) fn is_vote(&self) -> bool {
        matches!(
            self,
            Command::VoteDj(_) | Command::VoteSkip(..) | Command::VotePick(..)
        )
    }

    /// Whether the command ends an open barrier, which delays the start of a track until all members have downloaded the
    /// track.
    pub(super) fn ends_a_barrier(&self) -> bool {
        matches!(
            self,
            Command::Play(_)
                | Command::Pause(_)
                | Command::Next
                | Command::Previous
                | Command::PlayNow(_)
                | Command::Undo
                | Command::StartNow
                | Command::VoteSkip(..)
        )
    }

    /// The request's body.
    pub(super) fn body(&self) -> Value {
        match self {
            Command::Play(position) | Command::Pause(position) | Command::Seek(position) => {
                json!({ "positionSec": position })
            }
            Command::Next
            | Command::Previous
            | Command::Shuffle
            | Command::Undo
            | Command::RandomDj
            | Command::StartNow => json!({}),
            Command::Ended(track) => json!({ "ended": track }),
            Command::Nudge(track) | Command::PlayNow(track) => json!({ "trackId": track }),
            Command::Pick(tracks) => json!({ "trackIds": tracks }),
            Command::Unpick(track) => json!({ "trackIds": [track] }),
            Command::Move(track, before) => json!({ "trackId": track, "before": before }),
            Command::Sort(order) => json!({ "order": order }),
            Command::AckDownload { track, playable } => {
                json!({ "trackId": track, "playable": playable })
            }
            Command::Rules(rules) => rules.clone(),
            Command::MakeHost(member) => json!({ "memberId": member, "host": true }),
            Command::Dj(member) | Command::VoteDj(member) => json!({ "memberId": member }),
            Command::VoteSkip(track, up) | Command::VotePick(track, up) => {
                json!({ "trackId": track, "up": up })
            }
        }
    }

    /// The first event that the command causes if it is accepted in the room that `view` shows; `None` if the protocol
    /// does not determine it.
    pub(super) fn expected_event(
        &self,
        view: &RoomView,
        context: &Context,
    ) -> Option<ExpectedEvent> {
        let current = view.track_after_current(0);
        let duration = current.and_then(|track| context.track(track)?.duration_sec);
        let clamped = |position: &f64| json!(position.min(duration.unwrap_or(f64::INFINITY)));
        let (names, field, value): (&'static [_], _, _) = match self {
            Command::Play(_) => (&["barrier.opened"], "type", json!("resume")),
            Command::Pause(position) => {
                (&["playback.paused"], "anchorPositionSec", clamped(position))
            }
            Command::Seek(position) => {
                (&["playback.seeked"], "anchorPositionSec", clamped(position))
            }
            Command::Next | Command::Ended(_) => (
                &["queue.advanced"],
                "trackId",
                json!(view.track_after_current(1)),
            ),
            Command::Previous => {
                let last = view.queue().len().saturating_sub(1);
                let previous = json!(view.track_after_current(last));
                (&["queue.advanced"], "trackId", previous)
            }
            Command::PlayNow(track) if current == Some(track) => {
                (&["playback.seeked"], "anchorPositionSec", json!(0.0))
            }
            Command::PlayNow(track) => (&["queue.advanced"], "trackId", json!(track)),
            Command::Nudge(track) => (&["queue.nudged"], "trackId", json!(track)),
            Command::Pick(tracks) => {
                let new = json!(new_picks(tracks, view));
                (&["queue.picked"], "trackIds", new)
            }
            Command::Unpick(track) => (&["queue.unpicked"], "trackIds", json!([track])),
            Command::Move(track, _) => (&["queue.moved"], "trackId", json!(track)),
            Command::Shuffle => (&["queue.shuffled"], "", Value::Null),
            Command::Sort(order) => (&["queue.sorted"], "order", json!(order)),
            Command::Undo => (&["queue.undone"], "", Value::Null),
            Command::StartNow => (&["barrier.shrunk", "barrier.release"], "", Value::Null),
            // Some of these change nothing, and votes may be for an earlier state.
            Command::AckDownload { .. }
            | Command::Rules(_)
            | Command::MakeHost(_)
            | Command::Dj(_)
            | Command::RandomDj
            | Command::VoteDj(_)
            | Command::VoteSkip(..)
            | Command::VotePick(..) => return None,
        };
        Some(ExpectedEvent {
            names,
            field,
            value,
        })
    }

    /// The statuses that the protocol allows for the room that `view` shows. The status 503, which
    /// reports a failed write of the state file, is allowed for every well-formed request. `member` is the sender.
    pub(super) fn allowed_statuses(
        &self,
        mistake: Mistake,
        member: &str,
        view: &RoomView,
    ) -> &'static [u16] {
        match (mistake, self) {
            (Mistake::NoToken, _) => &[401],
            (Mistake::NoEventCount, _) => &[428],
            (Mistake::InvalidBody, _) => &[400],
            (Mistake::StaleEventCount, _) => &[409],
            _ if rules::permits(self, member, view) == Some(false) => &[403, 409, 503],
            (_, Command::VoteDj(_)) => &[200, 404, 429, 503],
            (_, Command::VoteSkip(..) | Command::VotePick(..)) => &[200, 403, 404, 422, 429, 503],
            (_, Command::Dj(_)) => &[200, 404, 422, 409, 503],
            (_, Command::RandomDj) => &[200, 422, 409, 503],
            (_, Command::MakeHost(_)) => &[200, 404, 409, 503],
            (_, Command::StartNow) if view.barrier().is_none() => &[422, 409, 503],
            (_, Command::Nudge(track)) if view.track_after_current(0) == Some(track) => {
                &[422, 409, 503]
            }
            (_, Command::Nudge(track) | Command::PlayNow(track) | Command::Unpick(track))
                if track == UNKNOWN_TRACK =>
            {
                &[404, 409, 503]
            }
            (_, Command::Pick(tracks)) if tracks.iter().any(|track| track == UNKNOWN_TRACK) => {
                &[404, 409, 503]
            }
            (_, Command::Pick(tracks)) if new_picks(tracks, view).is_empty() => &[422, 409, 503],
            (_, Command::Pick(tracks))
                if rules::are_too_many(new_picks(tracks, view).len(), member, view) =>
            {
                &[422, 409, 503]
            }
            (_, Command::Nudge(track))
                if !view.picks().contains(&track.as_str())
                    && rules::are_too_many(1, member, view) =>
            {
                &[422, 409, 503]
            }
            (_, Command::Unpick(track)) if !view.picks().contains(&track.as_str()) => {
                &[422, 409, 503]
            }
            // Only the server knows whose change was the last one, and when.
            (_, Command::Undo) => &[200, 403, 422, 409, 503],
            _ => &[200, 409, 503],
        }
    }
}

/// Chooses a random command for the room that `view` shows and, with a small probability, a deliberate mistake.
pub(super) fn choose(rng: &mut StdRng, view: &RoomView, context: &Context) -> (Command, Mistake) {
    let command = match rng.random_range(0..100) {
        0..12 => Command::Play(position(rng, view, context)),
        12..18 => Command::Pause(position(rng, view, context)),
        18..34 => Command::Seek(position(rng, view, context)),
        34..42 => Command::Next,
        42..52 => Command::Nudge(any_track(rng, view)),
        52..68 => {
            let count = rng.random_range(1..4);
            Command::Pick((0..count).map(|_| any_track(rng, view)).collect())
        }
        68..73 => Command::Unpick(any_pick(rng, view).unwrap_or_else(|| any_track(rng, view))),
        73..78 => match any_pick(rng, view) {
            Some(pick) => Command::Move(pick, any_pick(rng, view).filter(|_| rng.random())),
            None => Command::Undo,
        },
        78..82 => Command::PlayNow(any_track(rng, view)),
        82..85 => Command::Previous,
        85..87 => Command::Shuffle,
        87..89 => Command::Sort(["album", "artist", "title", "added"][rng.random_range(0..4)]),
        89..94 => Command::Undo,
        _ => Command::StartNow,
    };
    let mistake = match rng.random_range(0..100) {
        0 => Mistake::NoToken,
        1 => Mistake::NoEventCount,
        2 if !command
            .body()
            .as_object()
            .is_none_or(|body| body.is_empty()) =>
        {
            Mistake::InvalidBody
        }
        3..6 => Mistake::StaleEventCount,
        _ => Mistake::None,
    };
    (command, mistake)
}

/// Any track of the queue, and sometimes an unknown one.
fn any_track(rng: &mut StdRng, view: &RoomView) -> String {
    let queue = view.queue();
    let index = rng.random_range(0..=queue.len());
    let track = queue.get(index).copied().unwrap_or(UNKNOWN_TRACK);
    track.to_owned()
}

/// Any pick; `None` if there is none.
fn any_pick(rng: &mut StdRng, view: &RoomView) -> Option<String> {
    let picks = view.picks();
    let index = rng.random_range(0..picks.len().max(1));
    picks.get(index).map(|pick| (*pick).to_owned())
}

/// The tracks that become picks if all of `tracks` are picked.
fn new_picks<'a>(tracks: &'a [String], view: &RoomView) -> Vec<&'a str> {
    let mut new: Vec<&str> = Vec::new();
    let (picks, current) = (view.picks(), view.track_after_current(0));
    for track in tracks {
        let is_in_line = current == Some(track) || picks.contains(&track.as_str());
        if !is_in_line && !new.contains(&track.as_str()) {
            new.push(track);
        }
    }
    new
}

/// A random position in seconds: anywhere in the current track, shortly before its end, so that some tracks end during
/// the run, or after its end.
fn position(rng: &mut StdRng, view: &RoomView, context: &Context) -> f64 {
    let current = view.track_after_current(0);
    let duration = current.and_then(|track| context.track(track)?.duration_sec);
    let duration = duration.unwrap_or(60.0);
    match rng.random_range(0..10) {
        0..6 => rng.random_range(0.0..=duration),
        6..9 => (duration - rng.random_range(0.5..4.0)).max(0.0),
        _ => duration + 1000.0,
    }
}
