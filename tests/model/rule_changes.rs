//! The changes of the rules that histories make.

use lockstep::room::{Access, Permitted, PickOrder, RulesChange};

/// The number of changes.
pub(crate) const CHANGES: u8 = 16;

/// The change number `n`. The first one makes the rules those of a new room.
pub(crate) fn change(n: u8) -> RulesChange {
    let mut change = RulesChange::default();
    match n % CHANGES {
        0 => {
            return RulesChange {
                control: Some(Permitted::Everyone),
                picks: Some(Permitted::Everyone),
                order: Some(PickOrder::First),
                max_picks: Some(0.0),
                skip_share: Some(0.0),
                dj_share: Some(0.51),
                dj_cooldown_sec: Some(300.0),
                uploads: Some(Access::Everyone),
                chat: Some(true),
                invite: Some(Access::Everyone),
                unknown_value: None,
            };
        }
        1 => change.control = Some(Permitted::Dj),
        2 => change.control = Some(Permitted::Hosts),
        3 => change.picks = Some(Permitted::Dj),
        4 => change.picks = Some(Permitted::Hosts),
        5 => change.order = Some(PickOrder::Turns),
        6 => change.order = Some(PickOrder::Votes),
        7 => change.order = Some(PickOrder::First),
        8 => change.max_picks = Some(2.0),
        9 => change.max_picks = Some(101.0),
        10 => change.skip_share = Some(0.125),
        11 => change.dj_share = Some(0.25),
        12 => change.dj_cooldown_sec = Some(20.0),
        13 => change.chat = Some(false),
        14 => {
            change.uploads = Some(Access::Hosts);
            change.invite = Some(Access::Hosts);
        }
        // A party.
        _ => {
            change.control = Some(Permitted::Hosts);
            change.order = Some(PickOrder::Turns);
            change.skip_share = Some(0.25);
        }
    }
    change
}
