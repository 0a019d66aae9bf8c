//! House rules: what the rules of the room permit a phone, and whether the picks are in the order of the rules.

use serde_json::Value;

use super::client::RoomView;
use super::client::room_view::strings;
use super::command::Command;

/// Whether the rules permit a command of `member` in the room that `view` shows; `None` if that depends on more than the view.
pub(super) fn permits(command: &Command, member: &str, view: &RoomView) -> Option<bool> {
    let state = &view.state;
    let rule = |name: &str| state["rules"][name].as_str().unwrap_or_default();
    let is_host = strings(&state["hosts"]).contains(&member);
    let is_dj = state["dj"] == member;
    let permitted = |name: &str| match rule(name) {
        "everyone" => true,
        "dj" => is_host || is_dj || state["dj"].is_null(),
        _ => is_host,
    };
    let is_ordered = rule("order") != "first";
    let may_change = |track: &str| {
        let owner = pick(view, track).map(|pick| &pick["by"]);
        let is_own = owner.is_none_or(|by| by == member);
        is_own || is_host || is_dj || rule("control") == "everyone"
    };
    Some(match command {
        Command::Play(_)
        | Command::Pause(_)
        | Command::Seek(_)
        | Command::Next
        | Command::Previous
        | Command::PlayNow(_)
        | Command::Shuffle
        | Command::Sort(_) => permitted("control"),
        Command::Pick(_) => permitted("picks"),
        Command::Nudge(_) => permitted("picks") && (!is_ordered || is_host || is_dj),
        Command::Unpick(track) => may_change(track),
        Command::Move(track, _) => !is_ordered && may_change(track),
        Command::Rules(_) => is_host || strings(&state["hosts"]).is_empty(),
        Command::MakeHost(_) | Command::RandomDj => is_host,
        Command::Dj(_) => is_host || is_dj,
        // The right to undo depends on what is undone, and votes are for an earlier state.
        Command::Undo | Command::VoteSkip(..) => return None,
        Command::Ended(_)
        | Command::StartNow
        | Command::AckDownload { .. }
        | Command::VoteDj(_)
        | Command::VotePick(..) => true,
    })
}

fn pick<'a>(view: &'a RoomView, track: &str) -> Option<&'a Value> {
    let picks = view.state["picks"].as_array()?;
    picks.iter().find(|pick| pick["trackId"] == track)
}

/// Whether `member` would have too many picks with `new` more.
pub(super) fn are_too_many(new: usize, member: &str, view: &RoomView) -> bool {
    let state = &view.state;
    let limit = state["rules"]["maxPicks"].as_u64().unwrap_or_default();
    let picks = state["picks"].as_array();
    let own = picks
        .into_iter()
        .flatten()
        .filter(|pick| pick["by"] == member);
    let is_exempt = state["dj"] == member || strings(&state["hosts"]).contains(&member);
    limit > 0 && !is_exempt && own.count() + new > limit as usize
}

/// How the roles, the votes or the order of the picks contradict the rules; `None` if they do not.
pub(super) fn contradiction(state: &Value) -> Option<String> {
    let is_paired = |member: &str| state["clients"].get(member).is_some();
    let picks: Vec<_> = state["picks"].as_array().into_iter().flatten().collect();
    let votes = picks.iter().flat_map(|pick| strings(&pick["votes"]));
    let mut named: Vec<_> = votes.chain(state["dj"].as_str()).collect();
    named.extend(strings(&state["hosts"]));
    named.extend(strings(&state["skipVotes"]));
    let dj_votes = state["djVotes"].as_object();
    for (voter, wanted) in dj_votes.into_iter().flatten() {
        named.push(voter);
        named.extend(wanted.as_str());
    }
    if let Some(unknown) = named.into_iter().find(|member| !is_paired(member)) {
        return Some(format!("{unknown} is not paired"));
    }
    let is_pinned = |pick: &Value| pick["pinned"] == true;
    let order = &state["rules"]["order"];
    if order == "first" {
        let pinned = picks.iter().find(|pick| is_pinned(pick));
        return pinned.map(|pick| format!("{pick} is pinned"));
    }
    let rest = picks.iter().skip_while(|pick| is_pinned(pick));
    // The first pick may stay because its start was promised, also behind a pick that was nudged since then.
    let rest: Vec<_> = rest.skip(1).collect();
    if rest.iter().any(|pick| is_pinned(pick)) {
        return Some("a pick that is not pinned is before a pinned one".into());
    }
    let counts: Vec<_> = rest
        .iter()
        .map(|pick| strings(&pick["votes"]).len())
        .collect();
    (order == "votes" && !counts.is_sorted_by(|a, b| a >= b))
        .then(|| format!("the picks have {counts:?} votes"))
}
