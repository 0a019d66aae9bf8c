//! Whether a command must be rejected, derived from the room before the command.

use std::collections::BTreeSet;

use lockstep::room::{ApplyContext, Command, Control, MemberId, Rejection, Room, Rules, TrackId};

use super::expected_rules::{changed_rules, refusal, undo_refusal, unpair_refusal};

/// How long a change of the queue can be undone, in milliseconds.
const UNDO_PERIOD_MS: f64 = 10_000.0;
/// How long before the end of a track a device may report it, in seconds.
const MAX_END_EARLY_SEC: f64 = 1.0;

/// Whether a listener may report the end of the current track.
fn is_near_end(room: &Room, context: ApplyContext) -> bool {
    let Some(track) = room.current_track_id() else {
        return false;
    };
    let stated_sec = room.catalog.duration_sec(track).unwrap_or(f64::INFINITY);
    let length_sec = room.live.decoded_lengths.length_sec(track, stated_sec);
    let promised = room
        .live
        .segue
        .filter(|segue| segue.event_count == room.durable.event_count);
    let promised_ms = promised.map(|segue| segue.anchor_at_ms - 1e3 * MAX_END_EARLY_SEC);
    length_sec.is_infinite()
        || room.position_sec(context.now_ms) >= length_sec - MAX_END_EARLY_SEC
        || promised_ms.is_some_and(|at_ms| context.now_ms >= at_ms)
}

/// Why the command must be rejected; `None` if it must be accepted.
pub(super) fn expected_rejection(
    room: &Room,
    command: &Command,
    context: ApplyContext,
) -> Option<Rejection> {
    let durable = &room.durable;
    let expected = durable.event_count;
    let current = durable.queue.get(durable.queue_index).copied();
    let stale = |if_match: u64| (if_match != expected).then_some(Rejection::Stale { expected });
    let empty_library = current.is_none().then_some(Rejection::EmptyLibrary);
    let not_paired = |member: &MemberId| {
        let paired = durable.clients.contains_key(member);
        (!paired).then_some(Rejection::NotPaired)
    };
    let unknown_track =
        |track| (!durable.queue.contains(&track)).then_some(Rejection::UnknownTrack);
    let are_unknown = |tracks: &[TrackId]| tracks.iter().find_map(|track| unknown_track(*track));
    let is_pick = |track: TrackId| durable.picks.iter().any(|pick| pick.track_id == track);
    match command {
        Command::Control {
            member,
            if_match,
            control,
        } => not_paired(member).or_else(|| {
            // An acknowledgement is accepted for any event count since the open barrier opened.
            let since_opening = room.private.barrier_opened_event_count..=expected;
            let is_timely = durable.barrier.is_some() && since_opening.contains(if_match);
            let stale = |if_match: u64| {
                let is_timely_vote = control.is_vote() && if_match <= expected;
                let stale = stale(if_match).filter(|_| !is_timely_vote);
                stale.or_else(|| refusal(durable, *member, control))
            };
            let unknown_member = |named: MemberId| {
                let is_known = durable.clients.contains_key(&named);
                (!is_known).then_some(Rejection::UnknownMember)
            };
            let is_cooling_down = |member: MemberId| {
                let until_ms = room.live.dj_cooldowns.get(&member);
                until_ms.is_some_and(|until_ms| *until_ms > context.now_ms)
            };
            let (is_host, is_dj) = (durable.hosts.contains(member), durable.dj == Some(*member));
            let too_many = |new: usize| {
                let limit = durable.rules.max_picks;
                let own = durable.picks.iter().filter(|pick| pick.by == Some(*member));
                let is_free = limit == 0 || is_host || is_dj;
                (!is_free && own.count() + new > limit as usize)
                    .then_some(Rejection::TooManyPicks { limit })
            };
            match control.clone() {
                Control::AckDownload { track_id, .. } if is_timely => unknown_track(track_id),
                Control::AckDownload { track_id, .. } => {
                    stale(*if_match).or_else(|| unknown_track(track_id))
                }
                Control::Nudge { track_id } => stale(*if_match)
                    .or_else(|| unknown_track(track_id))
                    .or((current == Some(track_id)).then_some(Rejection::AlreadyCurrent))
                    .or_else(|| {
                        too_many(usize::from(!is_pick(track_id))).filter(|_| !is_pick(track_id))
                    }),
                Control::ChangeRules(change) => stale(*if_match).or_else(|| {
                    let changed = changed_rules(durable.rules, &change);
                    changed.err().map(Rejection::RuleOutOfRange)
                }),
                Control::ChangeHosts { member_id, host } => stale(*if_match)
                    .or_else(|| unknown_member(member_id))
                    .or_else(|| {
                        let is_last = !host
                            && durable.hosts.contains(&member_id)
                            && durable.hosts.len() == 1
                            && durable.rules != Rules::default();
                        is_last.then_some(Rejection::LastHost)
                    }),
                Control::ChangeDj { member_id } => stale(*if_match)
                    .or_else(|| unknown_member(member_id?))
                    .or_else(|| {
                        let is_refused = !is_host && is_cooling_down(member_id?);
                        is_refused.then_some(Rejection::CoolingDown)
                    }),
                Control::ChooseDj { .. } => stale(*if_match).or_else(|| {
                    let mut listeners = room.live.listeners.iter();
                    let can_be = listeners.any(|member| !is_cooling_down(*member));
                    (!can_be).then_some(Rejection::NoCandidateForDj)
                }),
                Control::VoteDj { member_id } => {
                    stale(*if_match).or_else(|| unknown_member(member_id?))
                }
                Control::VoteSkip { track_id, .. } => stale(*if_match)
                    .or_else(|| unknown_track(track_id))
                    .or((current != Some(track_id)).then_some(Rejection::NoSuchVote)),
                Control::VotePick { track_id, .. } => stale(*if_match)
                    .or_else(|| unknown_track(track_id))
                    .or((!is_pick(track_id)).then_some(Rejection::NoSuchVote)),
                Control::StartNow => {
                    stale(*if_match).or(durable.barrier.is_none().then_some(Rejection::NoBarrier))
                }
                Control::PlayNow { track_id } => {
                    stale(*if_match).or_else(|| unknown_track(track_id))
                }
                Control::Pick { track_ids } => stale(*if_match)
                    .or_else(|| are_unknown(&track_ids))
                    .or_else(|| {
                        let in_line = |track: &TrackId| is_pick(*track) || current == Some(*track);
                        let is_nothing_new = track_ids.iter().all(in_line);
                        let new = track_ids.iter().filter(|track| !in_line(track));
                        let new = new.collect::<BTreeSet<_>>().len();
                        match is_nothing_new {
                            true => Some(Rejection::NothingToPick),
                            false => too_many(new),
                        }
                    }),
                Control::Unpick { track_ids } => stale(*if_match)
                    .or_else(|| are_unknown(&track_ids))
                    .or_else(|| {
                        let is_any_pick = track_ids.iter().any(|track| is_pick(*track));
                        (!is_any_pick).then_some(Rejection::NotPicked)
                    }),
                Control::Move { track_id, before } => stale(*if_match)
                    .or_else(|| unknown_track(track_id))
                    .or_else(|| unknown_track(before?))
                    .or_else(|| {
                        let are_picks = is_pick(track_id) && before.is_none_or(is_pick);
                        (!are_picks).then_some(Rejection::NotPicked)
                    }),
                Control::Ended { track_id } => stale(*if_match).or(empty_library).or_else(|| {
                    let is_heard = room.live.listeners.contains(member);
                    let is_over = current == Some(track_id) && is_near_end(room, context);
                    (!is_heard || !is_over).then_some(Rejection::NotEnded)
                }),
                Control::Undo => stale(*if_match).or_else(|| {
                    let undo = room.live.undo.as_ref();
                    let is_own = |by: MemberId, at_ms: f64| {
                        by == *member && context.now_ms <= at_ms + UNDO_PERIOD_MS
                    };
                    let can_undo = undo.is_some_and(|undo| is_own(undo.by, undo.at_ms));
                    match (can_undo, undo) {
                        (true, Some(undo)) => undo_refusal(durable, undo),
                        _ => Some(Rejection::NothingToUndo),
                    }
                }),
                _ => stale(*if_match).or(empty_library),
            }
        }),
        Command::EndOfTrack { if_match } => stale(*if_match).or(empty_library),
        Command::PairAgain { member, .. }
        | Command::Rename { member, .. }
        | Command::Describe { member, .. }
        | Command::Leave { member }
        | Command::Mirror { member, .. }
        | Command::Expel { member, .. }
        | Command::Arrive { member, .. } => not_paired(member),
        Command::MakeHost { member } => {
            let is_known = durable.clients.contains_key(member);
            (!is_known).then_some(Rejection::UnknownMember)
        }
        Command::Unpair { member, target } => not_paired(member)
            .or_else(|| unpair_refusal(durable, *member, *target))
            .or_else(|| {
                let unknown = !durable.clients.contains_key(target);
                unknown.then_some(Rejection::UnknownMember)
            }),
        Command::Trim {
            member,
            trimmed: target,
            ..
        } => not_paired(member).or_else(|| {
            let unknown = !durable.clients.contains_key(target);
            unknown.then_some(Rejection::UnknownMember)
        }),
        Command::Tune { member, delays } => not_paired(member).or_else(|| {
            let known = |tuned| durable.clients.contains_key(tuned);
            (!delays.keys().all(known)).then_some(Rejection::UnknownMember)
        }),
        Command::Compare {
            sender,
            compared,
            delays,
            ..
        } => sender.as_ref().and_then(not_paired).or_else(|| {
            let known = |tuned| durable.clients.contains_key(tuned);
            let all_known = compared.iter().chain(delays.keys()).all(known);
            (!all_known).then_some(Rejection::UnknownMember)
        }),
        _ => None,
    }
}
