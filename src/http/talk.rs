//! Chat messages and reactions: `/chat` and `/react`.

use hyper::{Response, StatusCode};
use serde_json::json;

use super::body::from_json;
use super::call::Call;
use super::error::ApiError;
use super::gate::PairedDevice;
use super::{Body, empty, json, permission};
use crate::clean_text::clean_line;
use crate::hub::{Emoji, MAX_MESSAGE_CHARS};
use crate::room::Action;
use crate::wire::{ChatRequest, ReactRequest};

/// `POST /chat`: says something to the room.
///
/// # Errors
/// 403 while the chat is off, 422 for a text that is empty or too long, 429 after too many messages.
pub(super) async fn post(
    call: Call<'_>,
    paired: &PairedDevice<'_>,
) -> Result<Response<Body>, ApiError> {
    let ChatRequest { text } = call.body.read_json().await?;
    permission::check(paired, Action::Chat)?;
    let text = clean_message(&text)?;
    let id = paired.hub.post_message(paired.member, text).await?;
    let mut response = json(&json!({ "id": id }));
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

/// `GET /chat`: the last messages, or those after the message `?after=ID`.
pub(super) async fn list(
    call: Call<'_>,
    paired: &PairedDevice<'_>,
) -> Result<Response<Body>, ApiError> {
    let after = after(call.head.uri().query().unwrap_or_default())?;
    Ok(json(&paired.hub.messages_after(after).await?))
}

/// `DELETE /chat/ID`: removes a message.
///
/// # Errors
/// 404 for an unknown message, 403 for one of another device.
pub(super) async fn remove(
    call: Call<'_>,
    paired: &PairedDevice<'_>,
) -> Result<Response<Body>, ApiError> {
    let id = call.parameter.parse();
    let id = id.map_err(|_| ApiError::NO_SUCH_MESSAGE)?;
    paired.hub.remove_message(paired.member, id).await?;
    Ok(no_content())
}

/// `POST /react`: sends a reaction to the room.
///
/// # Errors
/// 422 for an unknown reaction, 429 after too many.
pub(super) async fn react(
    call: Call<'_>,
    paired: &PairedDevice<'_>,
) -> Result<Response<Body>, ApiError> {
    let emoji = parse_reaction(&call.body.read().await?)?;
    paired.hub.react(paired.member, emoji).await?;
    Ok(no_content())
}

fn no_content() -> Response<Body> {
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// # Errors
/// 422 for a text that is empty or too long.
pub(super) fn clean_message(text: &str) -> Result<String, ApiError> {
    let text = clean_line(text, usize::MAX);
    match text.chars().count() {
        1..=MAX_MESSAGE_CHARS => Ok(text),
        0 => Err(ApiError::Unprocessable(
            "message-empty",
            "The message has no visible character".into(),
        )),
        _ => Err(ApiError::Unprocessable(
            "message-too-long",
            format!("A message may have at most {MAX_MESSAGE_CHARS} characters"),
        )),
    }
}

/// # Errors
/// 400 if the body is not the expected JSON, 422 for an unknown reaction.
pub(super) fn parse_reaction(body: &[u8]) -> Result<Emoji, ApiError> {
    let ReactRequest { emoji } = from_json(body)?;
    Emoji::parse(&emoji)
        .ok_or_else(|| ApiError::Unprocessable("unknown-emoji", "There is no such reaction".into()))
}

/// The parameter `after`; 0, which is before all messages, without it.
///
/// # Errors
/// 400 if the parameter is no id.
fn after(query: &str) -> Result<u64, ApiError> {
    let mut parameters = query.split('&');
    let value = parameters.find_map(|parameter| parameter.strip_prefix("after="));
    value.map_or(Ok(0), |value| {
        value.parse().map_err(|_| {
            ApiError::BadRequest("The parameter after must be the id of a message".into())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Result<String, u16> {
        clean_message(text).map_err(|error| error.into_response().status().as_u16())
    }

    #[test]
    fn messages_are_cleaned_and_have_1_to_300_characters() {
        assert_eq!(message(" a\n\u{202e}b\u{0} "), Ok("a b".into()));
        assert_eq!(message(&"😀".repeat(300)), Ok("😀".repeat(300)));
        assert_eq!(message(&"😀".repeat(301)), Err(422));
        assert_eq!(message(&format!("{}\n b", "a".repeat(299))), Err(422));
        assert_eq!(
            message(&format!("{}   ", "a".repeat(300))),
            Ok("a".repeat(300))
        );
        for empty in ["", " \n", "\u{200b}", "\u{200d}\u{fe0f}"] {
            assert_eq!(message(empty), Err(422), "{empty:?}");
        }
    }

    #[test]
    fn parameter_after_must_be_an_id() {
        assert_eq!(after("").ok(), Some(0));
        assert_eq!(after("other=x&after=17").ok(), Some(17));
        for invalid in ["after=", "after=x", "after=-1", "after=1.5"] {
            assert!(after(invalid).is_err(), "{invalid}");
        }
    }
}
