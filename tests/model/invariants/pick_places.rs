//! When each pick came, and its turn: which places the picks must have after a command, and the order that follows from them.

use std::collections::{BTreeMap, BTreeSet};

use lockstep::room::{Command, Control, MemberId, Pick, PickOrder, PickPlaces, Room, TrackId};

use super::expected_events::Expectation;

/// The picks in the order that the rules determine. The pinned ones go first, and then the one whose start was promised, if it is
/// the first pick.
pub(super) fn sorted(
    picks: &[Pick],
    order: PickOrder,
    places: &PickPlaces,
    promised: Option<TrackId>,
) -> Vec<Pick> {
    let mut rest = picks.to_vec();
    let mut sorted = Vec::new();
    if order == PickOrder::First {
        rest.iter_mut().for_each(|pick| pick.pinned = false);
    } else {
        if picks.first().map(|pick| pick.track_id) == promised && promised.is_some() {
            sorted.push(rest.remove(0));
        }
        let (pinned, unpinned) = rest.into_iter().partition(|pick| pick.pinned);
        sorted.extend::<Vec<_>>(pinned);
        rest = unpinned;
    }
    while !rest.is_empty() {
        let key = |pick: &Pick| {
            let place = places[&pick.track_id];
            match order {
                PickOrder::First => (0, place.arrival),
                PickOrder::Turns => (place.turn, place.arrival),
                PickOrder::Votes => (-(pick.votes.len() as i64), place.arrival),
            }
        };
        let first = rest.iter().enumerate().min_by_key(|(_, pick)| key(pick));
        let (at, _) = first.expect("a pick");
        sorted.push(rest.remove(at));
    }
    sorted
}

/// The turns of the picks of each device, sorted.
fn turns_by_device(picks: &[Pick], places: &PickPlaces) -> BTreeMap<MemberId, Vec<i64>> {
    let mut turns: BTreeMap<MemberId, Vec<i64>> = BTreeMap::new();
    for pick in picks {
        if let Some(by) = pick.by {
            let turn = places[&pick.track_id].turn;
            turns.entry(by).or_default().push(turn);
        }
    }
    turns.values_mut().for_each(|own| own.sort_unstable());
    turns
}

impl Expectation<'_> {
    /// Checks the places of the picks after the command.
    pub(super) fn check_pick_places(&self, after: &Room) {
        let (old, new) = (&self.room.private.pick_places, &after.private.pick_places);
        let picks = &after.durable.picks;
        let tracks: BTreeSet<_> = picks.iter().map(|pick| pick.track_id).collect();
        assert!(
            new.keys().eq(tracks.iter()),
            "exactly the picks have places"
        );
        let arrivals: BTreeSet<_> = new.values().map(|place| place.arrival).collect();
        assert_eq!(arrivals.len(), new.len(), "no two picks came at once");
        if after.durable.rules.order == PickOrder::First {
            let arrivals: Vec<_> = picks.iter().map(|p| new[&p.track_id].arrival).collect();
            assert!(arrivals.is_sorted(), "the picks are in the order they came");
        }
        for own in turns_by_device(picks, new).values() {
            assert!(own.windows(2).all(|pair| pair[0] < pair[1]), "{own:?}");
        }
        let is_first = after.durable.rules.order == PickOrder::First;
        match self.command {
            Command::Control {
                control: Control::Undo,
                ..
            } => {
                let undo = self.room.live.undo.as_ref().expect("a change to undo");
                assert_eq!(*new, undo.pick_places);
            }
            Command::Control {
                control: Control::Move { .. },
                ..
            } => {
                let turns =
                    |room: &Room| turns_by_device(&room.durable.picks, &room.private.pick_places);
                assert_eq!(turns(self.room), turns(after), "a move gives nobody a turn");
            }
            Command::Control {
                control: Control::Nudge { track_id },
                ..
            } if is_first => {
                let mut turns = turns_by_device(&self.room.durable.picks, old);
                if let (false, Some(by)) = (old.contains_key(track_id), picks[0].by) {
                    let turn = turn_of_next_pick(Some(by), &self.room.durable.picks, &[], old);
                    turns.entry(by).or_default().push(turn);
                }
                assert_eq!(turns, turns_by_device(picks, new));
            }
            Command::Control {
                control: Control::Previous,
                ..
            } if is_first && tracks.len() == 1 + self.remaining_picks(after).len() => {
                let remaining = self.remaining_picks(after);
                let mut turns = turns_by_device(&remaining, old);
                if let Some(by) = picks[0].by {
                    let turn = turn_of_next_pick(Some(by), &remaining, &[], old);
                    turns.entry(by).or_default().push(turn);
                }
                assert_eq!(turns, turns_by_device(picks, new));
            }
            _ => {
                for (track, place) in new.iter() {
                    match old.get(track) {
                        Some(old) => assert_eq!(place, old, "{track} keeps its place"),
                        None => self.check_new_place(*track, after),
                    }
                }
            }
        }
    }

    fn check_new_place(&self, track: TrackId, after: &Room) {
        let (old, new) = (&self.room.private.pick_places, &after.private.pick_places);
        let place = new[&track];
        let came_before = |other: &TrackId| new[other].arrival < place.arrival;
        match self.command {
            Command::Control {
                control: Control::Previous,
                ..
            } => {
                let remaining = self.remaining_picks(after);
                assert!(
                    old.keys()
                        .filter(|track| new.contains_key(track))
                        .all(came_before)
                );
                let by = self.room.durable.picked_by;
                assert_eq!(place.turn, turn_of_next_pick(by, &remaining, &[], old));
            }
            Command::Control {
                member,
                control: Control::Pick { track_ids },
                ..
            } => {
                assert!(old.keys().all(came_before));
                let at = track_ids.iter().position(|named| *named == track);
                let earlier = &track_ids[..at.expect("a named track")];
                let earlier: BTreeSet<_> = earlier.iter().copied().collect();
                let earlier: Vec<_> = earlier
                    .into_iter()
                    .filter(|t| !old.contains_key(t) && new.contains_key(t))
                    .collect();
                assert!(earlier.iter().all(came_before));
                let picks = &self.room.durable.picks;
                let expected = turn_of_next_pick(Some(*member), picks, &earlier, new);
                assert_eq!(place.turn, expected);
            }
            Command::Control {
                member,
                control: Control::Nudge { .. },
                ..
            } => {
                assert!(old.keys().all(came_before));
                let picks = &self.room.durable.picks;
                let expected = turn_of_next_pick(Some(*member), picks, &[], old);
                assert_eq!(place.turn, expected);
            }
            other => panic!("{other:?} adds no pick"),
        }
    }

    /// The picks before the command that are picks after it, too.
    fn remaining_picks(&self, after: &Room) -> Vec<Pick> {
        let is_pick = |pick: &&Pick| after.private.pick_places.contains_key(&pick.track_id);
        let picks = self.room.durable.picks.iter();
        picks.filter(is_pick).cloned().collect()
    }

    /// Checks that the picks are in the order of the rules, but for a first pick whose start was promised.
    pub(super) fn check_pick_order(&self, after: &Room) {
        let may_be_first = |room: &Room| {
            let first = room.durable.picks.first().map(|pick| pick.track_id);
            let promised = room.live.segue.map(|segue| segue.track_id);
            first.filter(|_| first == promised || !is_sorted(room, None))
        };
        let first = after.durable.picks.first().map(|pick| pick.track_id);
        let is_promised = first.is_some() && first == may_be_first(self.room);
        let promised = first.filter(|_| is_promised);
        assert!(
            is_sorted(after, None) || is_sorted(after, promised),
            "the order of the picks is that of the rules"
        );
    }
}

fn is_sorted(room: &Room, promised: Option<TrackId>) -> bool {
    let (durable, places) = (&room.durable, &room.private.pick_places);
    sorted(&durable.picks, durable.rules.order, places, promised) == *durable.picks
}

/// The turn of a further pick of a device that has added `earlier` to `picks` by the same command.
fn turn_of_next_pick(
    by: Option<MemberId>,
    picks: &[Pick],
    earlier: &[TrackId],
    places: &PickPlaces,
) -> i64 {
    let own = picks.iter().filter(|pick| by.is_some() && pick.by == by);
    let own = own.map(|pick| pick.track_id).chain(earlier.iter().copied());
    let last = own.map(|track| places[&track].turn).max();
    let waiting = picks.iter().filter(|pick| !pick.pinned);
    let waiting = waiting
        .map(|pick| pick.track_id)
        .chain(earlier.iter().copied());
    let lowest = waiting.map(|track| places[&track].turn).min();
    match (last, lowest) {
        (Some(last), Some(lowest)) => (last + 1).max(lowest),
        (Some(last), None) => last + 1,
        (None, Some(lowest)) => lowest,
        (None, None) => 1,
    }
}
