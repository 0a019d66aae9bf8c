//! What the rules of a room permit, which rules follow a change, and which votes are enough, derived from the protocol.

use std::collections::BTreeSet;

use lockstep::room::{
    Access, ApplyContext, Command, Control, DurableState, MemberId, Permitted, PickOrder, Refusal,
    Rejection, Room, Rules, RulesChange, TrackId, Undo, apply,
};

/// Who may do something: the devices, and the refusal of all others.
type Allowed = (BTreeSet<MemberId>, Refusal);

fn all(state: &DurableState) -> BTreeSet<MemberId> {
    state.clients.keys().copied().collect()
}

fn hosts(state: &DurableState) -> Allowed {
    (state.hosts.as_ref().clone(), Refusal::HostsOnly)
}

fn hosts_and_dj(state: &DurableState) -> Allowed {
    let devices = state.hosts.iter().chain(&state.dj).copied().collect();
    (devices, Refusal::DjOnly)
}

fn by_rule(state: &DurableState, permitted: Permitted) -> Allowed {
    match permitted {
        Permitted::Dj if state.dj.is_some() => hosts_and_dj(state),
        Permitted::Hosts => hosts(state),
        _ => (all(state), Refusal::DjOnly),
    }
}

fn owner(state: &DurableState, track: TrackId) -> Allowed {
    let pick = state.picks.iter().find(|pick| pick.track_id == track);
    let refusal = Refusal::PickerOnly(pick.and_then(|pick| pick.by));
    match pick {
        Some(pick) if state.rules.control != Permitted::Everyone => {
            let mut devices = hosts_and_dj(state).0;
            devices.extend(pick.by);
            (devices, refusal)
        }
        _ => (all(state), refusal),
    }
}

/// The conditions of a request, all of which the sender must meet.
fn conditions(state: &DurableState, control: &Control) -> Vec<Allowed> {
    let rules = &state.rules;
    match control {
        Control::Play { .. }
        | Control::Pause { .. }
        | Control::Seek { .. }
        | Control::Next
        | Control::Previous
        | Control::PlayNow { .. }
        | Control::Shuffle { .. }
        | Control::Sort { .. } => vec![by_rule(state, rules.control)],
        Control::Pick { .. } => vec![by_rule(state, rules.picks)],
        Control::Nudge { .. } if rules.order == PickOrder::First => {
            vec![by_rule(state, rules.picks)]
        }
        Control::Nudge { .. } => vec![by_rule(state, rules.picks), hosts_and_dj(state)],
        Control::Unpick { track_ids } => {
            track_ids.iter().map(|track| owner(state, *track)).collect()
        }
        Control::Move { .. } if rules.order != PickOrder::First => {
            vec![(BTreeSet::new(), Refusal::OrderedByRule)]
        }
        Control::Move { track_id, .. } => vec![owner(state, *track_id)],
        Control::ChangeRules(_) if state.hosts.is_empty() => vec![],
        Control::ChangeRules(_) | Control::ChangeHosts { .. } | Control::ChooseDj { .. } => {
            vec![hosts(state)]
        }
        Control::ChangeDj { .. } if state.dj.is_some() => vec![hosts_and_dj(state)],
        Control::ChangeDj { .. } => vec![hosts(state)],
        Control::VoteSkip { .. }
            if rules.control != Permitted::Everyone && rules.skip_share == 0.0 =>
        {
            vec![(BTreeSet::new(), Refusal::SkipVotesAreOff)]
        }
        _ => vec![],
    }
}

/// Why the rules do not permit a request of `member`.
pub(super) fn refusal(
    state: &DurableState,
    member: MemberId,
    control: &Control,
) -> Option<Rejection> {
    let conditions = conditions(state, control);
    let failed = conditions
        .into_iter()
        .find(|(allowed, _)| !allowed.contains(&member));
    failed.map(|(_, refusal)| Rejection::Forbidden(refusal))
}

/// Why the rules do not permit undoing a change.
pub(super) fn undo_refusal(state: &DurableState, undo: &Undo) -> Option<Rejection> {
    let track_ids = |value: &serde_json::Value| serde_json::from_value(value.clone());
    let payload = serde_json::json!(undo.event);
    let control = match undo.event.name() {
        "queue.picked" => Control::Pick { track_ids: vec![] },
        "queue.nudged" => Control::Nudge {
            track_id: TrackId(0),
        },
        "queue.unpicked" => Control::Unpick {
            track_ids: track_ids(&payload["trackIds"]).expect("tracks"),
        },
        "queue.moved" => Control::Move {
            track_id: serde_json::from_value(payload["trackId"].clone()).expect("a track"),
            before: None,
        },
        _ => Control::Next,
    };
    let before = DurableState {
        picks: undo.picks.clone(),
        ..state.clone()
    };
    refusal(&before, undo.by, &control)
}

/// Why a device may not unpair another one.
pub(super) fn unpair_refusal(
    state: &DurableState,
    member: MemberId,
    target: MemberId,
) -> Option<Rejection> {
    let is_allowed = member == target || state.hosts.is_empty() || state.hosts.contains(&member);
    (!is_allowed).then_some(Rejection::Forbidden(Refusal::HostsOnly))
}

/// The rules after a change, or the first rule that is out of range.
pub(super) fn changed_rules(old: Rules, change: &RulesChange) -> Result<Rules, &'static str> {
    let mut rules = old;
    rules.control = change.control.unwrap_or(rules.control);
    rules.picks = change.picks.unwrap_or(rules.picks);
    rules.order = change.order.unwrap_or(rules.order);
    rules.skip_share = change.skip_share.unwrap_or(rules.skip_share);
    rules.dj_share = change.dj_share.unwrap_or(rules.dj_share);
    rules.uploads = change.uploads.unwrap_or(rules.uploads);
    rules.chat = change.chat.unwrap_or(rules.chat);
    rules.invite = change.invite.unwrap_or(rules.invite);
    if let Some(max) = change.max_picks {
        if !(0.0..=100.0).contains(&max) {
            return Err("maxPicks");
        }
        rules.max_picks = max as u32;
    }
    if let Some(sec) = change.dj_cooldown_sec {
        if !(0.0..=3_600.0).contains(&sec) {
            return Err("djCooldownSec");
        }
        rules.dj_cooldown_sec = sec as u32;
    }
    Ok(rules)
}

/// Whether at least `share` of the listeners are among `voters`. All shares of the histories are exact.
pub(super) fn are_enough(
    listeners: &BTreeSet<MemberId>,
    voters: &BTreeSet<MemberId>,
    share: f64,
) -> bool {
    let count = voters.intersection(listeners).count();
    count > 0 && count as f64 >= share * listeners.len() as f64
}

/// Checks that the paired devices can make the room one in which everyone may do everything, whatever its rules are.
pub(super) fn check_nobody_is_locked_out(room: &Room, context: ApplyContext) {
    let state = &room.durable;
    let anybody = state.clients.keys().next();
    let Some(member) = state.hosts.first().or(anybody).copied() else {
        return;
    };
    let defaults = RulesChange {
        control: Some(Permitted::Everyone),
        picks: Some(Permitted::Everyone),
        order: Some(PickOrder::First),
        max_picks: Some(0.0),
        uploads: Some(Access::Everyone),
        chat: Some(true),
        invite: Some(Access::Everyone),
        ..RulesChange::default()
    };
    let command = |room: &Room, member, control| Command::Control {
        member,
        if_match: room.durable.event_count,
        control,
    };
    let change = command(room, member, Control::ChangeRules(defaults));
    let (opened, _) = apply(room, &change, context).expect("somebody may change the rules");
    assert_eq!(opened.durable.play_state, state.play_state);
    assert_eq!(opened.durable.barrier, state.barrier);
    assert_eq!(opened.current_track_id(), room.current_track_id());
    if opened.current_track_id().is_none() {
        return;
    }
    for member in opened.durable.clients.keys() {
        let next = command(&opened, *member, Control::Pause { position_sec: 0.0 });
        assert!(
            apply(&opened, &next, context).is_ok(),
            "{member} may control"
        );
    }
}
