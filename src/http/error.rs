//! What is wrong, as statuses and `application/problem+json` (RFC 9457): here and nowhere else.

use std::time::Duration;

use hyper::header::{ALLOW, CONTENT_RANGE, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde_json::json;

use super::{Body, downloads, full};
use crate::hub::Refused;
use crate::room::Rejection;

/// What is tried again by then may well find room.
const DOWNLOAD_PAUSE: Duration = Duration::from_secs(1);
const HOUSE_PAUSE: Duration = Duration::from_secs(10);

/// Why a request is not answered as it would like.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    #[error("{0}")]
    BadRequest(String),
    #[error("this wants the token that pairing gave")]
    Unauthorized,
    #[error("{0}")]
    Forbidden(&'static str),
    #[error("{0}")]
    NotFound(&'static str),
    #[error("this path answers {0} only")]
    MethodNotAllowed(&'static str),
    #[error("the body took too long to come")]
    TooSlow,
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    #[error("no such part: the file has {size} bytes")]
    RangeNotSatisfiable { size: u64 },
    #[error("the file is not the one that the request was meant for")]
    PreconditionFailed,
    #[error("this server does not go by that name; start it with --host-name to give it one")]
    Misdirected,
    #[error("{0}")]
    Unprocessable(String),
    #[error("a command needs the header If-Match-Event, with the event count that it is meant for")]
    PreconditionRequired,
    #[error("too many wrong codes; try again in {} s", seconds(*.retry_after))]
    TooManyTries { retry_after: Duration },
    #[error("the house has been asked for the same a moment ago; try again in {} s", seconds(*.retry_after))]
    TooSoon { retry_after: Duration },
    #[error("this device has {} downloads under way already", downloads::MOST)]
    TooManyDownloads,
    #[error(
        "too many connections are open; try again in {} s",
        seconds(HOUSE_PAUSE)
    )]
    Full,
    #[error(
        "the state file is damaged: {0}; the server leaves it alone until somebody mends it or starts with --reset-state"
    )]
    Damaged(String),
    #[error("{0}")]
    Unavailable(String),
    #[error("the file cannot be read")]
    Unreadable,
}

/// Whole seconds, rounded up, as `Retry-After` wants them.
fn seconds(duration: Duration) -> u64 {
    duration.as_millis().div_ceil(1000).max(1) as u64
}

impl From<Refused> for ApiError {
    /// A stale command is not among these: its answer carries the state that it missed (`control`).
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Rejected { rejection, .. } => match rejection {
                Rejection::NotPaired => ApiError::Unauthorized,
                Rejection::UnknownTrack => ApiError::NotFound("there is no such track"),
                Rejection::UnknownMember => ApiError::NotFound("there is no such device"),
                Rejection::Stale { .. }
                | Rejection::EmptyLibrary
                | Rejection::AlreadyCurrent
                | Rejection::NoBarrier => ApiError::Unprocessable(rejection.to_string()),
            },
            Refused::NotAligned => ApiError::Unprocessable(refused.to_string()),
            Refused::TooSoon { retry_after } => ApiError::TooSoon { retry_after },
            Refused::NotWritten(_) | Refused::Closing => ApiError::Unavailable(refused.to_string()),
        }
    }
}

impl ApiError {
    fn status(&self) -> StatusCode {
        match self {
            ApiError::BadRequest(_) => StatusCode::BAD_REQUEST,
            ApiError::Unauthorized => StatusCode::UNAUTHORIZED,
            ApiError::Forbidden(_) => StatusCode::FORBIDDEN,
            ApiError::NotFound(_) => StatusCode::NOT_FOUND,
            ApiError::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            ApiError::TooSlow => StatusCode::REQUEST_TIMEOUT,
            ApiError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            ApiError::RangeNotSatisfiable { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            ApiError::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            ApiError::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            ApiError::Unprocessable(_) => StatusCode::UNPROCESSABLE_ENTITY,
            ApiError::PreconditionRequired => StatusCode::PRECONDITION_REQUIRED,
            ApiError::TooManyTries { .. }
            | ApiError::TooSoon { .. }
            | ApiError::TooManyDownloads => StatusCode::TOO_MANY_REQUESTS,
            ApiError::Damaged(_) | ApiError::Unreadable => StatusCode::INTERNAL_SERVER_ERROR,
            ApiError::Unavailable(_) | ApiError::Full => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let status = self.status();
        let problem = json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or("Error"),
            "status": status.as_u16(),
            "detail": self.to_string(),
        });
        let mut response = Response::new(full(problem.to_string()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        match self {
            ApiError::MethodNotAllowed(allowed) => {
                headers.insert(ALLOW, HeaderValue::from_static(allowed));
            }
            ApiError::TooManyTries { retry_after } | ApiError::TooSoon { retry_after } => {
                headers.insert(RETRY_AFTER, seconds(retry_after).into());
            }
            ApiError::TooManyDownloads => {
                headers.insert(RETRY_AFTER, seconds(DOWNLOAD_PAUSE).into());
            }
            ApiError::Full => {
                headers.insert(RETRY_AFTER, seconds(HOUSE_PAUSE).into());
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
