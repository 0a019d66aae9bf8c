//! The rules of a room: who may do what. [`super::permissions`] applies them.

use serde::{Deserialize, Serialize, Serializer};

/// The largest value of [`Rules::max_picks`].
pub const MAX_PICK_LIMIT: u32 = 100;
/// The largest value of [`Rules::dj_cooldown_sec`].
pub const MAX_DJ_COOLDOWN_SEC: u32 = 3_600;

/// Who may control playback, or pick.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Permitted {
    /// Every device.
    #[default]
    Everyone,
    /// The DJ and the hosts; every device while there is no DJ.
    Dj,
    /// The hosts.
    Hosts,
}

/// Who may upload, or see the pairing code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Every device.
    #[default]
    Everyone,
    /// The hosts.
    Hosts,
}

/// The order of the picks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PickOrder {
    /// As they came.
    #[default]
    First,
    /// The first pick of each device, then the second of each, and so on.
    Turns,
    /// By the number of votes.
    Votes,
}

/// The rules of a room. The default is a room in which every device may do everything.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rules {
    /// Who may control playback and the order of the queue.
    pub control: Permitted,
    /// Who may pick.
    pub picks: Permitted,
    /// The order of the picks.
    pub order: PickOrder,
    /// The most picks that one device may have waiting; 0 for no limit.
    pub max_picks: u32,
    /// The share of the listeners that can skip the current track together; 0 if they cannot.
    pub skip_share: f64,
    /// The share of the listeners that makes a device DJ, or removes the DJ.
    pub dj_share: f64,
    /// How long a DJ that was removed cannot be DJ again, in seconds.
    pub dj_cooldown_sec: u32,
    /// Who may upload.
    pub uploads: Access,
    /// Whether devices may send messages.
    pub chat: bool,
    /// Who may see the pairing code.
    pub invite: Access,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            control: Permitted::Everyone,
            picks: Permitted::Everyone,
            order: PickOrder::First,
            max_picks: 0,
            skip_share: 0.0,
            dj_share: 0.51,
            dj_cooldown_sec: 300,
            uploads: Access::Everyone,
            chat: true,
            invite: Access::Everyone,
        }
    }
}

impl Rules {
    /// Checks the ranges of the numbers.
    ///
    /// # Errors
    /// The name of a rule that is out of range.
    pub fn check(&self) -> Result<(), &'static str> {
        // The comparisons also exclude NaN.
        if self.max_picks > MAX_PICK_LIMIT {
            Err("maxPicks")
        } else if !(0.0..=1.0).contains(&self.skip_share) {
            Err("skipShare")
        } else if !(self.dj_share > 0.0 && self.dj_share <= 1.0) {
            Err("djShare")
        } else if self.dj_cooldown_sec > MAX_DJ_COOLDOWN_SEC {
            Err("djCooldownSec")
        } else {
            Ok(())
        }
    }

    /// The change that turns these rules into others.
    pub(super) fn difference(&self, new: &Rules) -> RulesChange {
        fn differing<T: PartialEq>(old: T, new: T) -> Option<T> {
            (old != new).then_some(new)
        }
        RulesChange {
            control: differing(self.control, new.control),
            picks: differing(self.picks, new.picks),
            order: differing(self.order, new.order),
            max_picks: differing(self.max_picks, new.max_picks).map(f64::from),
            skip_share: differing(self.skip_share, new.skip_share),
            dj_share: differing(self.dj_share, new.dj_share),
            dj_cooldown_sec: differing(self.dj_cooldown_sec, new.dj_cooldown_sec).map(f64::from),
            uploads: differing(self.uploads, new.uploads),
            chat: differing(self.chat, new.chat),
            invite: differing(self.invite, new.invite),
            unknown_value: None,
        }
    }

    /// The rules after a change.
    ///
    /// # Errors
    /// The name of a rule that is out of range.
    pub(super) fn changed(&self, change: &RulesChange) -> Result<Rules, &'static str> {
        if let Some(rule) = change.unknown_value {
            return Err(rule);
        }
        let rules = Rules {
            control: change.control.unwrap_or(self.control),
            picks: change.picks.unwrap_or(self.picks),
            order: change.order.unwrap_or(self.order),
            max_picks: whole_number(change.max_picks, self.max_picks).ok_or("maxPicks")?,
            // `-0.0` would appear in JSON with its sign.
            skip_share: change
                .skip_share
                .map_or(self.skip_share, |share| share + 0.0),
            dj_share: change.dj_share.unwrap_or(self.dj_share),
            dj_cooldown_sec: whole_number(change.dj_cooldown_sec, self.dj_cooldown_sec)
                .ok_or("djCooldownSec")?,
            uploads: change.uploads.unwrap_or(self.uploads),
            chat: change.chat.unwrap_or(self.chat),
            invite: change.invite.unwrap_or(self.invite),
        };
        rules.check().map(|()| rules)
    }
}

/// The requested number as a whole one, or `unchanged` if there is no request; `None` for a number that is none.
fn whole_number(requested: Option<f64>, unchanged: u32) -> Option<u32> {
    let Some(number) = requested else {
        return Some(unchanged);
    };
    let is_whole = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
    is_whole.then_some(number as u32)
}

/// Serializes an accepted whole number without a fraction: 3 rather than 3.0.
fn serialize_whole_number<S: Serializer>(
    number: &Option<f64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match whole_number(*number, 0) {
        Some(whole) if number.is_some() => serializer.serialize_u32(whole),
        _ => number.serialize(serializer),
    }
}

/// The rules that a request changes, with the requested values, which may be out of range.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "see `Rules`")]
pub struct RulesChange {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control: Option<Permitted>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picks: Option<Permitted>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<PickOrder>,
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "serialize_whole_number"
    )]
    pub max_picks: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip_share: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dj_share: Option<f64>,
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "serialize_whole_number"
    )]
    pub dj_cooldown_sec: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uploads: Option<Access>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invite: Option<Access>,
    /// The name of a rule for which the request has a word that is none of its values.
    #[serde(skip)]
    pub unknown_value: Option<&'static str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_out_of_range_are_named() {
        let change = RulesChange::default();
        for (change, expected) in [
            (
                RulesChange {
                    max_picks: Some(100.0),
                    ..change.clone()
                },
                None,
            ),
            (
                RulesChange {
                    max_picks: Some(101.0),
                    ..change.clone()
                },
                Some("maxPicks"),
            ),
            (
                RulesChange {
                    max_picks: Some(-1.0),
                    ..change.clone()
                },
                Some("maxPicks"),
            ),
            (
                RulesChange {
                    max_picks: Some(1.5),
                    ..change.clone()
                },
                Some("maxPicks"),
            ),
            (
                RulesChange {
                    skip_share: Some(1.0),
                    ..change.clone()
                },
                None,
            ),
            (
                RulesChange {
                    skip_share: Some(1.01),
                    ..change.clone()
                },
                Some("skipShare"),
            ),
            (
                RulesChange {
                    skip_share: Some(f64::NAN),
                    ..change.clone()
                },
                Some("skipShare"),
            ),
            (
                RulesChange {
                    dj_share: Some(0.0),
                    ..change.clone()
                },
                Some("djShare"),
            ),
            (
                RulesChange {
                    dj_share: Some(1.0),
                    ..change.clone()
                },
                None,
            ),
            (
                RulesChange {
                    dj_cooldown_sec: Some(3_600.0),
                    ..change.clone()
                },
                None,
            ),
            (
                RulesChange {
                    dj_cooldown_sec: Some(3_601.0),
                    ..change.clone()
                },
                Some("djCooldownSec"),
            ),
            (
                RulesChange {
                    unknown_value: Some("order"),
                    ..change.clone()
                },
                Some("order"),
            ),
        ] {
            assert_eq!(
                Rules::default().changed(&change).err(),
                expected,
                "{change:?}"
            );
        }
    }

    #[test]
    fn change_contains_whole_numbers_as_integers() {
        let change = RulesChange {
            max_picks: Some(3.0),
            skip_share: Some(0.5),
            dj_cooldown_sec: Some(60.0),
            ..RulesChange::default()
        };
        assert_eq!(
            serde_json::to_string(&change).unwrap(),
            r#"{"maxPicks":3,"skipShare":0.5,"djCooldownSec":60}"#
        );
    }

    #[test]
    fn rules_that_a_change_does_not_name_stay() {
        let rules = Rules {
            picks: Permitted::Dj,
            max_picks: 3,
            ..Rules::default()
        };
        let change = RulesChange {
            control: Some(Permitted::Hosts),
            ..RulesChange::default()
        };
        let expected = Rules {
            control: Permitted::Hosts,
            ..rules
        };
        assert_eq!(rules.changed(&change), Ok(expected));
        assert_eq!(
            serde_json::from_str::<Rules>("{}").unwrap(),
            Rules::default()
        );
    }
}
