//! Votes of phones, and changes of rules and roles: by the observer, who is host, and by phones, most of which may not.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::checked_device::CheckedDevice;
use super::client::RoomView;
use super::command::{Command, Mistake};

/// The time between two changes by the host.
const CHANGE_INTERVAL: Duration = Duration::from_secs(4);

/// Votes, and sometimes tries to change rules, until the future is dropped. `view` returns the room as the phone knows it.
pub(super) async fn vote_repeatedly(
    device: &CheckedDevice,
    view: impl Fn() -> RoomView,
    mut rng: StdRng,
) {
    let context = &device.context;
    let Some(interval) = context.vote_interval() else {
        return;
    };
    loop {
        let factor = -rng.random_range(f64::MIN_POSITIVE..1.0).ln();
        sleep(interval.mul_f64(factor)).await;
        if context.is_winding_down() {
            return;
        }
        let view = view();
        let command = choose_vote(&mut rng, &view);
        if context.keeps_barriers() && view.barrier().is_some() && command.ends_a_barrier() {
            continue;
        }
        let minimal = rng.random_bool(0.8);
        device
            .send_command(&command, Mistake::None, &view, minimal)
            .await;
    }
}

/// Changes rules and roles until the future is dropped. The rules return to their defaults before they change again.
pub(super) async fn change_rules_repeatedly(
    host: &CheckedDevice,
    view: impl Fn() -> Option<RoomView>,
    mut rng: StdRng,
) {
    if host.context.vote_interval().is_none() {
        return std::future::pending().await;
    }
    let mut is_default = true;
    loop {
        if let Some(view) = view() {
            let command = match rng.random_range(0..10) {
                0..5 if is_default => Command::Rules(rules(&mut rng)),
                0..5 => Command::Rules(defaults()),
                5..7 => Command::Dj(any_device(&mut rng, &view)),
                7 => Command::RandomDj,
                _ => Command::MakeHost(any_device(&mut rng, &view).unwrap_or_default()),
            };
            let sent = host.send_command(&command, Mistake::None, &view, true);
            let is_accepted = sent.await == Some(super::checked_device::CommandOutcome::Accepted);
            if matches!(command, Command::Rules(_)) && is_accepted {
                is_default = !is_default;
            }
        }
        sleep(CHANGE_INTERVAL).await;
    }
}

fn defaults() -> Value {
    json!({
        "control": "everyone", "picks": "everyone", "order": "first", "maxPicks": 0,
        "skipShare": 0, "djShare": 0.51, "djCooldownSec": 5,
    })
}

fn rules(rng: &mut StdRng) -> Value {
    match rng.random_range(0..5) {
        // The page's presets: a party, a DJ, a jukebox.
        0 => json!({ "control": "hosts", "order": "turns", "maxPicks": 3, "skipShare": 0.2 }),
        1 => json!({ "control": "dj", "djShare": 0.2 }),
        2 => json!({ "control": "hosts", "order": "votes", "skipShare": 0.2 }),
        3 => json!({ "order": "votes", "picks": "dj" }),
        _ => json!({ "order": "turns", "picks": "hosts" }),
    }
}

fn choose_vote(rng: &mut StdRng, view: &RoomView) -> Command {
    let up = rng.random_bool(0.8);
    match rng.random_range(0..20) {
        0..8 => {
            let picks = view.picks();
            let index = rng.random_range(0..picks.len().max(1));
            let pick = picks.get(index).copied();
            let track = pick.or(view.track_after_current(1));
            Command::VotePick(track.unwrap_or_default().to_owned(), up)
        }
        8..13 => {
            let track = view.track_after_current(0).unwrap_or_default();
            Command::VoteSkip(track.to_owned(), up)
        }
        13..17 => Command::VoteDj(any_device(rng, view).filter(|_| up)),
        17 => Command::Rules(json!({ "maxPicks": 5 })),
        18 => Command::Dj(any_device(rng, view)),
        _ => Command::RandomDj,
    }
}

fn any_device(rng: &mut StdRng, view: &RoomView) -> Option<String> {
    let clients = view.state["clients"].as_object()?;
    let index = rng.random_range(0..clients.len().max(1));
    clients.keys().nth(index).cloned()
}
