//! Converts the errors of requests to HTTP statuses and `application/problem+json` (RFC 9457).
//!
//! Every response with a status of 400 or more comes from an [`ApiError`], with one exception: hyper itself answers a
//! request head that it cannot parse (400) or that is larger than `connection_settings` permits (431). Handlers set the
//! statuses below 400.

use std::fmt::Display;
use std::time::Duration;

use hyper::header::{ALLOW, CONTENT_RANGE, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use super::body::{Body, MAX_REQUEST_BODY, REQUEST_BODY_TIMEOUT, full};
use super::downloads::MAX_DOWNLOADS_PER_DEVICE;
use super::refusal;
use crate::hub::{HubError, LimitOf, TalkError};
use crate::library::NotMusic;
use crate::pairing::PairingError;
use crate::room::{DurableState, Refusal, Rejection};
use crate::rooms::{RoomEntry, RoomError};
use crate::uploads::UploadError;

/// The code of the error of a room that has ended.
const SERVER_CLOSING: &str = "server-closing";
/// The value of `Retry-After` when a device has too many downloads.
const DOWNLOAD_RETRY_DELAY: Duration = Duration::from_secs(1);
/// The value of `Retry-After` when the server has too many connections.
const CONNECTION_RETRY_DELAY: Duration = Duration::from_secs(10);

/// Why a request failed. The message is the member `detail` of the response: a sentence for the user of the client. Clients
/// that show sentences of their own, as the page does in other languages, recognise the error by the member `code`, which
/// some variants contain as their first field.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    #[error("{0}")]
    BadRequest(String),
    #[error("This request needs the token of a paired device")]
    Unauthorized,
    #[error("{1}")]
    Forbidden(&'static str, &'static str),
    /// The rules of the room do not permit the request. The message says who may.
    #[error("{1}")]
    Refused(Refusal, String),
    /// The header `Origin` names another host than the one that the client used. A page of another site causes this error,
    /// and also a reverse proxy that does not pass on the host that the client used.
    #[error(
        "The page is at another address than the one that reached the server; a reverse proxy must pass the Host header on \
         with its port, or be named by the flag --trusted-proxy and send X-Forwarded-Host and X-Forwarded-Proto"
    )]
    ForeignOrigin,
    #[error("{1}")]
    NotFound(&'static str, &'static str),
    /// Contains the value of the header `Allow`.
    #[error("This path supports only these methods: {0}")]
    MethodNotAllowed(String),
    #[error("The request body took longer than {} s to arrive", REQUEST_BODY_TIMEOUT.as_secs())]
    BodyTimeout,
    /// A command was not based on the current event count, `expected`. The response body is not a problem document but the
    /// current state, which the client needs in order to retry.
    #[error("The command was not based on the current event count, which is {expected}")]
    Stale {
        expected: u64,
        /// `None` if the client prefers a minimal response.
        snapshot: Option<Value>,
    },
    #[error("The request body is larger than {MAX_REQUEST_BODY} bytes")]
    BodyTooLarge,
    #[error("The requested range is outside the file, which has {size} bytes")]
    RangeNotSatisfiable { size: u64 },
    #[error("The current version of the file does not meet the preconditions of the request")]
    PreconditionFailed,
    #[error(
        "This server does not answer to the host name in this request; the flag --host-name adds one"
    )]
    Misdirected,
    #[error("{0}")]
    UnsupportedMedia(String),
    #[error("The request needs the header Content-Length")]
    LengthRequired,
    #[error("The header Tus-Resumable must be 1.0.0")]
    TusVersion,
    #[error("The server has {received} bytes of this upload")]
    UploadOffset { received: u64 },
    #[error("The upload has fewer bytes than the request body contains")]
    UploadTooLong,
    #[error("Another request continues this upload")]
    UploadLocked,
    #[error("The bytes do not have the stated checksum")]
    ChecksumMismatch,
    #[error("{}", sentence(.0))]
    Upload(#[from] UploadError),
    #[error("{1}")]
    Unprocessable(&'static str, String),
    #[error(
        "A command needs the header If-Match-Event with the event count that the command is based on"
    )]
    PreconditionRequired,
    #[error("There were too many wrong pairing codes; try again in {} s", seconds(*.retry_after))]
    TooManyAttempts { retry_after: Duration },
    #[error("Too many passwords were sent; try again in {} s", seconds(*.retry_after))]
    TooManyPasswords { retry_after: Duration },
    #[error("{}", sentence(&RoomError::TooMany))]
    TooManyRooms,
    #[error("The room received the same request a moment ago; try again in {} s", seconds(*.retry_after))]
    TooSoon { retry_after: Duration },
    #[error("{}", talk_limit("messages", *.of, *.retry_after))]
    TooManyMessages { of: LimitOf, retry_after: Duration },
    #[error("{}", talk_limit("reactions", *.of, *.retry_after))]
    TooManyReactions { of: LimitOf, retry_after: Duration },
    #[error("This phone has voted too often; try again in {} s", seconds(*.retry_after))]
    TooManyVotes { retry_after: Duration },
    #[error("This device already has {MAX_DOWNLOADS_PER_DEVICE} downloads in progress")]
    TooManyDownloads,
    #[error(
        "The server has too many open connections; try again in {} s",
        seconds(CONNECTION_RETRY_DELAY)
    )]
    ServerFull,
    /// A state file is damaged. See [`ApiError::damaged`].
    #[error("{0}")]
    Damaged(String),
    /// As [`ApiError::Damaged`], but for health checks, which expect the status 503 of a server that cannot work.
    #[error("{0}")]
    Unhealthy(String),
    #[error("{1}")]
    Unavailable(&'static str, String),
    #[error("The file cannot be read")]
    Unreadable,
}

fn talk_limit(what: &str, of: LimitOf, retry_after: Duration) -> String {
    let retry_after = seconds(retry_after);
    match of {
        LimitOf::Device => {
            format!("Too many {what} within five seconds; try again in {retry_after} s")
        }
        LimitOf::Room => format!(
            "All phones together have sent too many {what} within five seconds; try again in {retry_after} s"
        ),
    }
}

fn damage_message(is_house: bool, why: &str) -> String {
    match is_house {
        true => format!(
            "The state file is damaged: {why}; the server leaves the file unchanged; repair the file, or start the server with \
             --reset-state"
        ),
        false => format!(
            "The state file of this room is damaged: {why}; the server leaves the file unchanged; repair the file and start the \
             server again, or let a host of the house remove the room"
        ),
    }
}

/// The message of an error of another module, as a sentence. Those messages begin in lower case, because the log appends
/// them to other text.
pub(super) fn sentence(error: &impl Display) -> String {
    let message = error.to_string();
    let mut rest = message.chars();
    match rest.next() {
        Some(first) => first.to_uppercase().chain(rest).collect(),
        None => message,
    }
}

/// Whole seconds for `Retry-After` (RFC 9110, 10.2.3), rounded up, at least 1.
fn seconds(duration: Duration) -> u64 {
    duration.as_millis().div_ceil(1000).max(1) as u64
}

impl From<HubError> for ApiError {
    /// Not used for [`Rejection::Stale`]: `control` creates that response, because it contains the current state.
    fn from(error: HubError) -> Self {
        match error {
            HubError::Rejected { rejection, room } => match rejection {
                Rejection::NotPaired => ApiError::Unauthorized,
                Rejection::UnknownTrack => ApiError::NO_SUCH_TRACK,
                Rejection::UnknownMember => ApiError::NO_SUCH_DEVICE,
                Rejection::Forbidden(refusal) => ApiError::refused(refusal, &room.durable),
                Rejection::Stale { .. } => {
                    ApiError::Unprocessable("out-of-date", sentence(&rejection))
                }
                Rejection::EmptyLibrary => {
                    ApiError::Unprocessable("empty-library", sentence(&rejection))
                }
                Rejection::AlreadyCurrent => {
                    ApiError::Unprocessable("already-current", sentence(&rejection))
                }
                Rejection::NotEnded => ApiError::Unprocessable("not-ended", sentence(&rejection)),
                Rejection::NothingToPick => {
                    ApiError::Unprocessable("nothing-to-pick", sentence(&rejection))
                }
                Rejection::NotPicked => ApiError::Unprocessable("not-picked", sentence(&rejection)),
                Rejection::NothingToUndo => {
                    ApiError::Unprocessable("nothing-to-undo", sentence(&rejection))
                }
                Rejection::NoBarrier => ApiError::Unprocessable("no-barrier", sentence(&rejection)),
                Rejection::RuleOutOfRange(_) => {
                    ApiError::Unprocessable("rule-out-of-range", sentence(&rejection))
                }
                Rejection::TooManyPicks { .. } => {
                    ApiError::Unprocessable("too-many-picks", sentence(&rejection))
                }
                Rejection::LastHost => ApiError::Unprocessable("last-host", sentence(&rejection)),
                Rejection::CoolingDown => {
                    ApiError::Unprocessable("cooling-down", sentence(&rejection))
                }
                Rejection::NoCandidateForDj => {
                    ApiError::Unprocessable("nobody-for-dj", sentence(&rejection))
                }
                Rejection::NoSuchVote => {
                    ApiError::Unprocessable("no-such-vote", sentence(&rejection))
                }
            },
            HubError::NoTimedStarts => ApiError::Unprocessable("no-timed-starts", sentence(&error)),
            HubError::TooManyVotes { retry_after } => ApiError::TooManyVotes { retry_after },
            HubError::TooSoon { retry_after } => ApiError::TooSoon { retry_after },
            HubError::Talk(error) => error.into(),
            HubError::NotWritten(_) => ApiError::Unavailable("not-written", sentence(&error)),
            HubError::Closing => ApiError::Unavailable(SERVER_CLOSING, sentence(&error)),
        }
    }
}

impl From<RoomError> for ApiError {
    fn from(error: RoomError) -> Self {
        match error {
            RoomError::NoName => ApiError::Unprocessable("no-name", sentence(&error)),
            RoomError::NameTaken => ApiError::Unprocessable("name-taken", sentence(&error)),
            RoomError::PasswordTooLong => {
                ApiError::Unprocessable("password-too-long", sentence(&error))
            }
            RoomError::TooManyOfDevice => {
                ApiError::Unprocessable("too-many-own-rooms", sentence(&error))
            }
            RoomError::House => ApiError::Unprocessable("house-room", sentence(&error)),
            RoomError::TooMany => ApiError::TooManyRooms,
            RoomError::NeedsPassword => {
                ApiError::Forbidden("password-needed", "This room needs a password")
            }
            RoomError::WrongPassword(PairingError::WrongCode) => {
                ApiError::Forbidden("wrong-password", "This is not the password")
            }
            RoomError::WrongPassword(PairingError::TooManyAttempts { retry_after }) => {
                ApiError::TooManyPasswords { retry_after }
            }
            RoomError::Gone => ApiError::NO_SUCH_ROOM,
            RoomError::Damaged(why) => ApiError::damaged(false, &why),
            RoomError::Opening => ApiError::Unavailable("room-opening", sentence(&error)),
            RoomError::Hub(error) => error.into(),
            RoomError::Io(_) => ApiError::Unavailable("not-written", sentence(&error)),
        }
    }
}

impl From<TalkError> for ApiError {
    fn from(error: TalkError) -> Self {
        match error {
            TalkError::TooManyMessages { of, retry_after } => {
                ApiError::TooManyMessages { of, retry_after }
            }
            TalkError::TooManyReactions { of, retry_after } => {
                ApiError::TooManyReactions { of, retry_after }
            }
            TalkError::NoSuchMessage => ApiError::NO_SUCH_MESSAGE,
        }
    }
}

/// 460, which tus 1.0.0 defines for a wrong checksum.
fn checksum_mismatch() -> StatusCode {
    StatusCode::from_u16(460).unwrap_or(StatusCode::BAD_REQUEST)
}

fn upload_status(error: &UploadError) -> StatusCode {
    match error {
        UploadError::Disabled => StatusCode::FORBIDDEN,
        UploadError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        UploadError::NoRoom => StatusCode::INSUFFICIENT_STORAGE,
        UploadError::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
        UploadError::NotOwner => StatusCode::FORBIDDEN,
        UploadError::HasTitleTag => StatusCode::UNPROCESSABLE_ENTITY,
        UploadError::Unknown => StatusCode::NOT_FOUND,
        UploadError::Ended => StatusCode::GONE,
        UploadError::NotMusic(NotMusic::Unplayable(_)) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        UploadError::NotMusic(NotMusic::Io(_)) | UploadError::Io(_) => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}

impl ApiError {
    pub(super) const NO_SUCH_PATH: ApiError =
        ApiError::NotFound("no-such-path", "There is nothing at this path");
    pub(super) const NO_SUCH_ROOM: ApiError =
        ApiError::NotFound("no-such-room", "There is no such room");
    pub(super) const NO_SUCH_TRACK: ApiError =
        ApiError::NotFound("no-such-track", "There is no such track");

    pub(super) const NO_SUCH_MESSAGE: ApiError =
        ApiError::NotFound("no-such-message", "There is no such message");
    pub(super) const NO_SUCH_DEVICE: ApiError =
        ApiError::NotFound("no-such-device", "There is no such device");

    /// The error of a request to a room whose state file is damaged, which may be that of the house.
    pub(super) fn damaged(is_house: bool, why: &str) -> Self {
        ApiError::Damaged(damage_message(is_house, why))
    }

    /// As [`ApiError::damaged`], for health checks.
    pub(super) fn unhealthy(is_house: bool, why: &str) -> Self {
        ApiError::Unhealthy(damage_message(is_house, why))
    }

    /// The error of a request to a room that may have been removed meanwhile.
    pub(super) fn in_room(self, room: &RoomEntry) -> Self {
        match self {
            ApiError::Unavailable(SERVER_CLOSING, _) if room.is_removed() => ApiError::NO_SUCH_ROOM,
            other => other,
        }
    }

    /// The error of a request that the rules of the room do not permit.
    pub(super) fn refused(refusal: Refusal, room: &DurableState) -> Self {
        ApiError::Refused(refusal, refusal::sentence(refusal, room))
    }

    fn status(&self) -> StatusCode {
        match self {
            ApiError::BadRequest(_) => StatusCode::BAD_REQUEST,
            ApiError::Unauthorized => StatusCode::UNAUTHORIZED,
            ApiError::Forbidden(..) | ApiError::Refused(..) | ApiError::ForeignOrigin => {
                StatusCode::FORBIDDEN
            }
            ApiError::NotFound(..) => StatusCode::NOT_FOUND,
            ApiError::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            ApiError::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            ApiError::Stale { .. } | ApiError::UploadOffset { .. } => StatusCode::CONFLICT,
            ApiError::UnsupportedMedia(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ApiError::LengthRequired => StatusCode::LENGTH_REQUIRED,
            ApiError::UploadLocked => StatusCode::LOCKED,
            ApiError::ChecksumMismatch => checksum_mismatch(),
            ApiError::Upload(error) => upload_status(error),
            ApiError::BodyTooLarge | ApiError::UploadTooLong => StatusCode::PAYLOAD_TOO_LARGE,
            ApiError::RangeNotSatisfiable { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            ApiError::PreconditionFailed | ApiError::TusVersion => StatusCode::PRECONDITION_FAILED,
            ApiError::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            ApiError::Unprocessable(..) => StatusCode::UNPROCESSABLE_ENTITY,
            ApiError::PreconditionRequired => StatusCode::PRECONDITION_REQUIRED,
            ApiError::TooManyRooms => StatusCode::INSUFFICIENT_STORAGE,
            ApiError::TooManyAttempts { .. }
            | ApiError::TooManyPasswords { .. }
            | ApiError::TooSoon { .. }
            | ApiError::TooManyMessages { .. }
            | ApiError::TooManyReactions { .. }
            | ApiError::TooManyVotes { .. }
            | ApiError::TooManyDownloads => StatusCode::TOO_MANY_REQUESTS,
            ApiError::Damaged(_) | ApiError::Unreadable => StatusCode::INTERNAL_SERVER_ERROR,
            ApiError::Unhealthy(_) | ApiError::Unavailable(..) | ApiError::ServerFull => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    /// The member `code` of the response, which identifies the kind of error. Clients rely on it, so it must not change.
    /// docs/api.md lists all codes.
    fn code(&self) -> &'static str {
        match self {
            ApiError::BadRequest(_) => "bad-request",
            ApiError::Unauthorized => "not-paired",
            ApiError::ForeignOrigin => "foreign-origin",
            ApiError::MethodNotAllowed(_) => "method-not-allowed",
            ApiError::BodyTimeout => "body-timeout",
            ApiError::Stale { .. } => "out-of-date",
            ApiError::BodyTooLarge => "body-too-large",
            ApiError::RangeNotSatisfiable { .. } => "range-not-satisfiable",
            ApiError::PreconditionFailed => "precondition-failed",
            ApiError::Misdirected => "unknown-host-name",
            ApiError::PreconditionRequired => "event-count-missing",
            ApiError::TooManyAttempts { .. } => "too-many-attempts",
            ApiError::TooManyPasswords { .. } => "too-many-passwords",
            ApiError::TooManyRooms => "too-many-rooms",
            ApiError::TooSoon { .. } => "too-soon",
            ApiError::TooManyMessages { .. } => "too-many-messages",
            ApiError::TooManyReactions { .. } => "too-many-reactions",
            ApiError::TooManyVotes { .. } => "too-many-votes",
            ApiError::TooManyDownloads => "too-many-downloads",
            ApiError::ServerFull => "server-full",
            ApiError::UnsupportedMedia(_) => "unsupported-media-type",
            ApiError::LengthRequired => "length-required",
            ApiError::TusVersion => "tus-version",
            ApiError::UploadOffset { .. } => "wrong-offset",
            ApiError::UploadTooLong => "upload-too-long",
            ApiError::UploadLocked => "upload-locked",
            ApiError::ChecksumMismatch => "wrong-checksum",
            ApiError::Upload(UploadError::Disabled) => "uploads-off",
            ApiError::Upload(UploadError::TooLarge { .. }) => "file-too-large",
            ApiError::Upload(UploadError::NoRoom) => "no-room",
            ApiError::Upload(UploadError::TooMany { .. }) => "too-many-uploads",
            ApiError::Upload(UploadError::NotOwner) => "not-your-upload",
            ApiError::Upload(UploadError::HasTitleTag) => "title-in-tags",
            ApiError::Upload(UploadError::Unknown) => "no-such-upload",
            ApiError::Upload(UploadError::Ended) => "upload-ended",
            ApiError::Upload(UploadError::NotMusic(NotMusic::Unplayable(_))) => "not-music",
            ApiError::Upload(UploadError::NotMusic(NotMusic::Io(_)) | UploadError::Io(_)) => {
                "upload-failed"
            }
            ApiError::Damaged(_) | ApiError::Unhealthy(_) => "state-damaged",
            ApiError::Unreadable => "file-unreadable",
            ApiError::Refused(Refusal::HostsOnly, _) => "hosts-only",
            ApiError::Refused(Refusal::DjOnly, _) => "dj-only",
            ApiError::Refused(Refusal::OwnerOnly(_) | Refusal::PickerOnly(_), _) => "owner-only",
            ApiError::Refused(Refusal::SkipVotesAreOff, _) => "skip-votes-off",
            ApiError::Refused(Refusal::OrderedByRule, _) => "ordered-by-rule",
            ApiError::Refused(Refusal::ChatIsOff, _) => "chat-off",
            ApiError::Forbidden(code, _)
            | ApiError::NotFound(code, _)
            | ApiError::Unprocessable(code, _)
            | ApiError::Unavailable(code, _) => code,
        }
    }

    /// The media type and the content of the response body.
    fn body(&mut self) -> (&'static str, Value) {
        if let ApiError::Stale { expected, snapshot } = self {
            let mut state = json!({ "expectedEventCount": expected });
            if let Some(snapshot) = snapshot.take() {
                state["snapshot"] = snapshot;
            }
            return ("application/json", state);
        }
        let status = self.status();
        // Distinguishes this 403 from that of a wrong pairing code.
        let problem_type = match self {
            ApiError::ForeignOrigin => "urn:lockstep:foreign-origin",
            _ => "about:blank",
        };
        let problem = json!({
            "type": problem_type,
            "title": status.canonical_reason().unwrap_or("Error"),
            "status": status.as_u16(),
            "code": self.code(),
            "detail": self.to_string(),
        });
        ("application/problem+json", problem)
    }

    pub(super) fn into_response(mut self) -> Response<Body> {
        let (media_type, body) = self.body();
        let mut response = Response::new(full(body.to_string()));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        match self {
            ApiError::MethodNotAllowed(allowed) => {
                if let Ok(allowed) = HeaderValue::try_from(allowed) {
                    headers.insert(ALLOW, allowed);
                }
            }
            ApiError::TooManyAttempts { retry_after }
            | ApiError::TooManyPasswords { retry_after }
            | ApiError::TooSoon { retry_after }
            | ApiError::TooManyMessages { retry_after, .. }
            | ApiError::TooManyReactions { retry_after, .. }
            | ApiError::TooManyVotes { retry_after }
            | ApiError::Upload(UploadError::TooMany { retry_after }) => {
                headers.insert(RETRY_AFTER, seconds(retry_after).into());
            }
            ApiError::TooManyDownloads => {
                headers.insert(RETRY_AFTER, seconds(DOWNLOAD_RETRY_DELAY).into());
            }
            ApiError::TusVersion => {
                headers.insert("tus-version", HeaderValue::from_static("1.0.0"));
            }
            ApiError::ServerFull => {
                headers.insert(RETRY_AFTER, seconds(CONNECTION_RETRY_DELAY).into());
            }
            ApiError::RangeNotSatisfiable { size } => {
                if let Ok(range) = HeaderValue::try_from(format!("bytes */{size}")) {
                    headers.insert(CONTENT_RANGE, range);
                }
            }
            _ => {}
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_of_the_room_does_not_blame_the_device() {
        let retry_after = Duration::from_secs(3);
        let sentence = |of| ApiError::TooManyMessages { of, retry_after }.to_string();
        assert_eq!(
            sentence(LimitOf::Device),
            "Too many messages within five seconds; try again in 3 s"
        );
        assert_eq!(
            sentence(LimitOf::Room),
            "All phones together have sent too many messages within five seconds; try again in 3 s"
        );
    }
}
