//! Parses the requests of `POST /rules`.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::body::from_json;
use super::error::ApiError;
use crate::room::{Control, RulesChange};

/// `POST /rules`: changes some or all rules.
pub(super) fn rules(body: &[u8]) -> Result<Control, ApiError> {
    let mut change = RulesChange::default();
    for (name, value) in from_json::<Map<String, Value>>(body)? {
        match name.as_str() {
            "control" => {
                change.control = known_value("control", &value, &mut change.unknown_value)?
            }
            "picks" => change.picks = known_value("picks", &value, &mut change.unknown_value)?,
            "order" => change.order = known_value("order", &value, &mut change.unknown_value)?,
            "uploads" => {
                change.uploads = known_value("uploads", &value, &mut change.unknown_value)?
            }
            "invite" => change.invite = known_value("invite", &value, &mut change.unknown_value)?,
            "maxPicks" => change.max_picks = Some(number(&name, &value)?),
            "skipShare" => change.skip_share = Some(number(&name, &value)?),
            "djShare" => change.dj_share = Some(number(&name, &value)?),
            "djCooldownSec" => change.dj_cooldown_sec = Some(number(&name, &value)?),
            "chat" => change.chat = Some(value.as_bool().ok_or_else(|| wrong_type(&name))?),
            _ => return Err(ApiError::BadRequest("There is no rule of this name".into())),
        }
    }
    Ok(Control::ChangeRules(change))
}

/// The value of a rule that is a word. A word that is none of its values is out of range, like a number that is too large: the
/// room refuses it only after it has checked the event count and the rights of the sender.
fn known_value<T: DeserializeOwned>(
    name: &'static str,
    value: &Value,
    unknown_value: &mut Option<&'static str>,
) -> Result<Option<T>, ApiError> {
    if !value.is_string() {
        return Err(wrong_type(name));
    }
    let known = T::deserialize(value).ok();
    if known.is_none() {
        *unknown_value = Some(name);
    }
    Ok(known)
}

fn number(name: &str, value: &Value) -> Result<f64, ApiError> {
    value.as_f64().ok_or_else(|| wrong_type(name))
}

fn wrong_type(rule: &str) -> ApiError {
    ApiError::BadRequest(format!("The rule {rule} has a value of another type"))
}
