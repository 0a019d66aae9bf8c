//! The speaker delays that follow from a comparison.

use std::collections::BTreeMap;

use super::detector::Lateness;
use crate::room::{MAX_SPEAKER_DELAY_MS, MemberId};

/// The speaker delays with which all phones that were heard sound at the same time. `lateness` says how much later than the
/// earliest phone each phone was heard, with the delays `current`, in milliseconds.
///
/// Only differences of delays matter. The smallest delay of the phones stays what it was, so that the delays do not grow with
/// each comparison, and phones that took no part stay comparable. If a delay would exceed [`MAX_SPEAKER_DELAY_MS`], all are
/// reduced by the same amount. A phone that is too late for any delay within the limits is left out.
pub fn corrected_delays(
    lateness: &BTreeMap<MemberId, Lateness>,
    current: &BTreeMap<MemberId, f64>,
) -> BTreeMap<MemberId, f64> {
    let heard = || {
        lateness.iter().filter_map(|(member, late_ms)| {
            let current_ms = current.get(member)?;
            Some((*member, *current_ms, current_ms + late_ms.ms()?))
        })
    };
    let smallest = |delays: &mut dyn Iterator<Item = f64>| delays.fold(f64::INFINITY, f64::min);
    let smallest_before = smallest(&mut heard().map(|(_, current_ms, _)| current_ms));
    let smallest_after = smallest(&mut heard().map(|(_, _, corrected_ms)| corrected_ms));
    let fits = |corrected_ms: f64| corrected_ms - smallest_after <= 2.0 * MAX_SPEAKER_DELAY_MS;
    let fitting = || heard().filter(|(_, _, corrected_ms)| fits(*corrected_ms));
    let largest = fitting().fold(smallest_before, |largest, (_, _, corrected_ms)| {
        largest.max(corrected_ms - smallest_after + smallest_before)
    });
    let excess = (largest - MAX_SPEAKER_DELAY_MS).max(0.0);
    let delay_ms = |corrected_ms: f64| corrected_ms - smallest_after + smallest_before - excess;
    fitting()
        .map(|(member, _, corrected_ms)| (member, delay_ms(corrected_ms)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corrected(phones: &[(f64, Option<f64>)]) -> Vec<(u32, f64)> {
        let numbered = || (1..).map(MemberId).zip(phones);
        let found = |late_ms: Option<f64>| late_ms.map_or(Lateness::NotHeard, Lateness::Heard);
        let lateness = numbered()
            .map(|(member, phone)| (member, found(phone.1)))
            .collect();
        let current = numbered()
            .map(|(member, phone)| (member, phone.0))
            .collect();
        let delays = corrected_delays(&lateness, &current);
        delays
            .into_iter()
            .map(|(member, ms)| (member.0, ms))
            .collect()
    }

    #[test]
    fn later_phones_get_larger_delays_and_unheard_phones_none() {
        let delays = corrected(&[(0.0, Some(0.0)), (0.0, Some(180.0)), (30.0, None)]);
        assert_eq!(delays, [(1, 0.0), (2, 180.0)]);
        assert_eq!(corrected(&[]), []);
    }

    #[test]
    fn repeated_comparisons_do_not_increase_all_delays() {
        let (mut ada_ms, mut ben_ms) = (0.0, 0.0);
        for n in 0..100 {
            let (ada_late_ms, ben_late_ms) = if n % 2 == 0 { (1.0, 0.0) } else { (0.0, 1.0) };
            let delays = corrected(&[(ada_ms, Some(ada_late_ms)), (ben_ms, Some(ben_late_ms))]);
            (ada_ms, ben_ms) = (delays[0].1, delays[1].1);
        }
        assert!(ada_ms.max(ben_ms) <= 1.0, "{ada_ms} {ben_ms}");
    }

    #[test]
    fn delays_beyond_the_limit_keep_their_difference() {
        let delays = corrected(&[(400.0, Some(0.0)), (450.0, Some(150.0))]);
        assert_eq!(delays, [(1, 300.0), (2, 500.0)]);
    }

    #[test]
    fn a_phone_that_is_too_late_for_any_delay_is_left_out() {
        let delays = corrected(&[(0.0, Some(0.0)), (0.0, Some(1_001.0)), (0.0, Some(1_000.0))]);
        assert_eq!(delays, [(1, -500.0), (3, 500.0)]);
    }
}
