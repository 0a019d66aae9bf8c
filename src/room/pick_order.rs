//! The orders of the picks. Each pick keeps when it came and the number of its turn, whatever the order is, so that the order
//! can be changed at any time.
//!
//! With [`PickOrder::Turns`], the picks are sorted by turn, and those of one turn as they came. The turn of a new pick follows
//! the last turn that the same device has waiting; a pick that has been played does not count. A device whose turn would be lower
//! than all that wait, such as a late-comer, begins with the lowest one that waits, behind the picks of that turn: neither behind
//! what others have picked for later turns, nor before what has waited longer.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::id::{MemberId, TrackId};
use super::picks::Pick;
use super::rules::PickOrder;

/// The place of a pick in the orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PickPlace {
    /// Lower for a pick that came earlier. No two picks have the same number.
    #[serde(rename = "came")]
    pub arrival: i64,
    /// The number of its turn.
    pub turn: i64,
}

/// The places of all picks.
pub type PickPlaces = BTreeMap<TrackId, PickPlace>;

/// Gives places to new picks of one device, in their order, behind all others. `picks` are those before them.
pub(super) fn append(
    places: &mut PickPlaces,
    picks: &[Pick],
    by: Option<MemberId>,
    new: &[TrackId],
) {
    // Computed once: there may be thousands of picks.
    let last = places.values().map(|place| place.arrival).max();
    let first_arrival = last.map_or(0, |last| last + 1);
    let first_turn = next_turn(places, picks, by);
    for (n, track_id) in (0..).zip(new) {
        let place = PickPlace {
            arrival: first_arrival + n,
            turn: first_turn + if by.is_some() { n } else { 0 },
        };
        places.insert(*track_id, place);
    }
}

/// The turn of a new pick of `by`.
fn next_turn(places: &PickPlaces, picks: &[Pick], by: Option<MemberId>) -> i64 {
    let turn = |pick: &Pick| places.get(&pick.track_id).map(|place| place.turn);
    // A pinned pick goes first whatever its turn is, so its turn says nothing about how long others have waited.
    let waiting = picks.iter().filter(|pick| !pick.pinned);
    let lowest = waiting.filter_map(turn).min();
    let own = picks.iter().filter(|pick| by.is_some() && pick.by == by);
    let last_own = own.filter_map(turn).max();
    turn_after(last_own, lowest)
}

/// The turn of a new pick of a device whose last pick has the turn `last_own`. `lowest` is the lowest turn that waits.
fn turn_after(last_own: Option<i64>, lowest: Option<i64>) -> i64 {
    last_own.map(|turn| turn + 1).max(lowest).unwrap_or(1)
}

/// Makes the order in which picks came that of the list `picks`. The turns of each device stay the same numbers, in the new order
/// of its picks.
pub(super) fn set_order_of_arrival(places: &mut PickPlaces, picks: &[Pick]) {
    let mut turns: BTreeMap<MemberId, Vec<i64>> = BTreeMap::new();
    for pick in picks {
        if let (Some(by), Some(place)) = (pick.by, places.get(&pick.track_id)) {
            turns.entry(by).or_default().push(place.turn);
        }
    }
    for own in turns.values_mut() {
        // The last one is taken first.
        own.sort_unstable_by_key(|turn| Reverse(*turn));
    }
    for (arrival, pick) in (0..).zip(picks) {
        let own = pick.by.and_then(|by| turns.get_mut(&by)?.pop());
        if let Some(place) = places.get_mut(&pick.track_id) {
            place.arrival = arrival;
            place.turn = own.unwrap_or(place.turn);
        }
    }
}

/// Sorts picks. The pinned ones go first, in their present order; with [`PickOrder::First`], none is pinned any more. With the other
/// orders, the first pick stays first if the room has promised its start (`promised`).
pub(super) fn sort(
    picks: &mut [Pick],
    order: PickOrder,
    places: &PickPlaces,
    promised: Option<TrackId>,
) {
    let place = |pick: &Pick| {
        let found = places.get(&pick.track_id).copied();
        found.unwrap_or(PickPlace {
            arrival: i64::MAX,
            turn: i64::MAX,
        })
    };
    if order == PickOrder::First {
        for pick in picks.iter_mut() {
            pick.pinned = false;
        }
        picks.sort_by_cached_key(|pick| place(pick).arrival);
        return;
    }
    let first = picks.first().map(|pick| pick.track_id);
    let first = first.filter(|first| Some(*first) == promised);
    picks.sort_by_cached_key(|pick| {
        let PickPlace { arrival, turn } = place(pick);
        let is_overtaken = Some(pick.track_id) != first;
        match (pick.pinned, order) {
            (true, _) => (is_overtaken, false, 0, 0),
            (false, PickOrder::Votes) => (is_overtaken, true, -(pick.votes.len() as i64), arrival),
            (false, _) => (is_overtaken, true, turn, arrival),
        }
    });
}

/// The places of picks of which nothing but their order is known, as in a state file of an older version.
pub(super) fn places_in_order(picks: &[Pick]) -> PickPlaces {
    let mut last_turns: BTreeMap<MemberId, i64> = BTreeMap::new();
    let mut lowest: Option<i64> = None;
    let place = |(arrival, pick): (i64, &Pick)| {
        let last_own = pick.by.and_then(|by| last_turns.get(&by).copied());
        let turn = turn_after(last_own, lowest);
        if let Some(by) = pick.by {
            last_turns.insert(by, turn);
        }
        if !pick.pinned {
            lowest = Some(lowest.map_or(turn, |lowest| lowest.min(turn)));
        }
        (pick.track_id, PickPlace { arrival, turn })
    };
    (0..).zip(picks).map(place).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// A list of picks in an order, with their places.
    #[derive(Debug, Default)]
    struct Line {
        picks: Vec<Pick>,
        places: PickPlaces,
        added: u64,
    }

    impl Line {
        fn add(&mut self, by: u32, order: PickOrder) {
            self.added += 1;
            let (track, by) = (TrackId(self.added), Some(MemberId(by)));
            append(&mut self.places, &self.picks, by, &[track]);
            self.picks.push(Pick::new(track, by));
            sort(&mut self.picks, order, &self.places, None);
        }

        fn play(&mut self) {
            if !self.picks.is_empty() {
                let pick = self.picks.remove(0);
                self.places.remove(&pick.track_id);
            }
        }

        fn owners(&self) -> Vec<u32> {
            let owners = self.picks.iter().filter_map(|pick| pick.by);
            owners.map(|by| by.0).collect()
        }

        fn tracks(&self) -> Vec<u64> {
            self.picks.iter().map(|pick| pick.track_id.0).collect()
        }
    }

    #[test]
    fn ten_picks_of_one_device_let_the_first_ones_of_others_through() {
        let mut line = Line::default();
        for by in [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 3] {
            line.add(by, PickOrder::Turns);
        }
        assert_eq!(line.owners(), [1, 2, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
    }

    #[test]
    fn late_comer_begins_at_the_lowest_turn_that_waits() {
        let mut line = Line::default();
        for by in [1, 1, 1, 2, 2, 2] {
            line.add(by, PickOrder::Turns);
        }
        (0..2).for_each(|_| line.play());
        assert_eq!(line.owners(), [1, 2, 1, 2]);
        line.add(3, PickOrder::Turns);
        line.add(3, PickOrder::Turns);
        assert_eq!(line.owners(), [1, 2, 3, 1, 2, 3]);
    }

    #[test]
    fn most_votes_go_first_and_then_those_that_came_first() {
        let mut line = Line::default();
        (1..=3).for_each(|by| line.add(by, PickOrder::Votes));
        line.picks[2].votes = vec![MemberId(1)];
        sort(&mut line.picks, PickOrder::Votes, &line.places, None);
        assert_eq!(line.tracks(), [3, 1, 2]);
        line.picks[2].votes = vec![MemberId(1), MemberId(2)];
        sort(
            &mut line.picks,
            PickOrder::Votes,
            &line.places,
            Some(TrackId(3)),
        );
        assert_eq!(line.tracks(), [3, 2, 1], "the promised pick stays first");
        line.picks[2].pinned = true;
        sort(&mut line.picks, PickOrder::Votes, &line.places, None);
        assert_eq!(line.tracks(), [1, 2, 3]);
        sort(&mut line.picks, PickOrder::First, &line.places, None);
        assert_eq!(line.tracks(), [1, 2, 3]);
        assert!(!line.picks[0].pinned);
    }

    #[test]
    fn new_order_of_arrival_gives_each_device_its_turns_in_that_order() {
        let mut line = Line::default();
        for by in [1, 1, 2] {
            line.add(by, PickOrder::First);
        }
        line.picks.reverse();
        set_order_of_arrival(&mut line.places, &line.picks);
        sort(&mut line.picks, PickOrder::First, &line.places, None);
        assert_eq!(line.tracks(), [3, 2, 1]);
        sort(&mut line.picks, PickOrder::Turns, &line.places, None);
        assert_eq!(line.tracks(), [3, 2, 1]);
        assert_eq!(line.places[&TrackId(2)].turn, 1);
    }

    #[test]
    fn places_of_many_picks_are_those_of_single_ones() {
        let mut line = Line::default();
        for by in [1, 2, 2, 1, 3] {
            line.add(by, PickOrder::First);
        }
        line.picks[0].pinned = true;
        line.play();
        let (by, new) = (Some(MemberId(2)), [6, 7, 8].map(TrackId));
        let mut at_once = line.places.clone();
        append(&mut at_once, &line.picks, by, &new);
        for track in new {
            append(&mut line.places, &line.picks, by, &[track]);
            line.picks.push(Pick::new(track, by));
        }
        assert_eq!(at_once, line.places);
        let mut one_by_one = PickPlaces::new();
        for (at, pick) in line.picks.iter().enumerate() {
            append(
                &mut one_by_one,
                &line.picks[..at],
                pick.by,
                &[pick.track_id],
            );
        }
        assert_eq!(places_in_order(&line.picks), one_by_one);
    }

    #[test]
    fn pinned_picks_do_not_lower_the_turn_of_a_late_comer() {
        let mut line = Line::default();
        for by in [1, 2, 2] {
            line.add(by, PickOrder::Turns);
        }
        // The pinned pick waits while the first turn ends.
        line.picks[0].pinned = true;
        line.picks.remove(1);
        line.add(3, PickOrder::Turns);
        assert_eq!(line.places[&TrackId(4)].turn, 2);
    }

    /// `Some(by)` adds a pick of the device `by`, `None` plays the first pick.
    fn steps() -> impl Strategy<Value = Vec<Option<u32>>> {
        let step = prop_oneof![3 => (1..6u32).prop_map(Some), 1 => Just(None)];
        prop::collection::vec(step, 0..60)
    }

    proptest! {
        /// The first pick of each member, then the second of each member, and so on, for the picks that wait when nothing has been played.
        #[test]
        fn turns_are_fair(owners in prop::collection::vec(1..6u32, 0..40)) {
            let mut line = Line::default();
            owners.iter().for_each(|by| line.add(*by, PickOrder::Turns));
            let mut counts: HashMap<u32, usize> = HashMap::new();
            let mut turn = 0;
            for by in line.owners() {
                let count = counts.entry(by).or_default();
                *count += 1;
                prop_assert!(*count >= turn, "{:?}", line.owners());
                turn = *count;
            }
        }

        /// The picks are sorted by turn, and no device has two picks with the same turn.
        #[test]
        fn no_device_has_two_picks_in_one_turn(steps in steps()) {
            let mut line = Line::default();
            for step in steps {
                match step {
                    Some(by) => line.add(by, PickOrder::Turns),
                    None => line.play(),
                }
                let turns: Vec<_> = line.picks.iter().map(|pick| line.places[&pick.track_id].turn).collect();
                prop_assert!(turns.is_sorted());
                let mut seen = std::collections::HashSet::new();
                for (pick, turn) in line.picks.iter().zip(&turns) {
                    prop_assert!(seen.insert((pick.by, *turn)), "one pick of a device in each turn");
                }
            }
        }

        /// A new pick moves no other two past each other, and comes behind all that came earlier in its turn or an earlier one.
        #[test]
        fn orders_are_stable(steps in steps(), by in 1..6u32, votes in prop::collection::vec(0..4usize, 60)) {
            for order in [PickOrder::First, PickOrder::Turns, PickOrder::Votes] {
                let mut line = Line::default();
                for step in &steps {
                    match step {
                        Some(by) => line.add(*by, order),
                        None => line.play(),
                    }
                }
                for (pick, count) in line.picks.iter_mut().zip(&votes) {
                    pick.votes = (0..*count as u32).map(MemberId).collect();
                }
                sort(&mut line.picks, order, &line.places, None);
                let before = line.tracks();
                sort(&mut line.picks, order, &line.places, None);
                prop_assert_eq!(&line.tracks(), &before);
                line.add(by, order);
                let mut after = line.tracks();
                after.retain(|track| *track != line.added);
                prop_assert_eq!(&after, &before);
            }
        }

        /// A promised first pick is overtaken by no pick and no vote.
        #[test]
        fn promised_pick_is_not_overtaken(steps in steps(), by in 1..6u32, voted in 0..60usize) {
            for order in [PickOrder::Turns, PickOrder::Votes] {
                let mut line = Line::default();
                for step in steps.iter().flatten() {
                    line.add(*step, order);
                }
                let Some(promised) = line.picks.first().map(|pick| pick.track_id) else {
                    continue;
                };
                let (track, by) = (TrackId(1_000), Some(MemberId(by)));
                append(&mut line.places, &line.picks, by, &[track]);
                line.picks.push(Pick::new(track, by));
                let voted = voted % line.picks.len();
                line.picks[voted].votes = vec![MemberId(1)];
                sort(&mut line.picks, order, &line.places, Some(promised));
                prop_assert_eq!(line.picks[0].track_id, promised);
            }
        }
    }
}
