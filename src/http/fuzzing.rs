//! Entry points for the fuzz targets in `tests/fuzz`. Only compiled with `--cfg fuzzing`.

use std::time::{SystemTime, UNIX_EPOCH};

use hyper::HeaderMap;

use super::body::from_json;
use super::error::ApiError;
use super::files::range::{self, RequestedRange};
use super::files::validators::{self, ConditionalResult, LastModified, Validators};
use super::uploads::tus::{self, Checksum};
use super::{control, loudness, routes, sync, talk};
use crate::library::clean_title;
use crate::room::{Command, MemberId, TokenHash, clean_device_name};
use crate::uploads::stored_file_name;
use crate::wire::{ChatRequest, PairRequest, RenameRequest, TuningRequest, UnpairRequest};

/// The error for a requested range that is outside the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsatisfiable;

/// The first and the last byte of the part of a file of `size` bytes that a `Range` header requests; `None` for the whole
/// file.
///
/// # Errors
/// [`Unsatisfiable`].
pub fn range(header: &str, size: u64) -> Result<Option<(u64, u64)>, Unsatisfiable> {
    byte_range(range::parse(header, size))
}

/// As [`range`], but evaluates all headers of a request for a file with the entity tag `etag`, last modified at the Unix
/// epoch. `None` also if no byte of the file is sent, because the response is 304 or 412.
///
/// # Errors
/// [`Unsatisfiable`].
pub fn conditional_range(
    headers: &HeaderMap,
    etag: &str,
    size: u64,
) -> Result<Option<(u64, u64)>, Unsatisfiable> {
    let validators = Validators::new(
        etag.into(),
        LastModified::new(UNIX_EPOCH, SystemTime::now()),
    );
    match validators::evaluate(headers, &validators, size) {
        ConditionalResult::Send(requested) => byte_range(requested),
        ConditionalResult::NotModified | ConditionalResult::PreconditionFailed => Ok(None),
    }
}

fn byte_range(requested: RequestedRange) -> Result<Option<(u64, u64)>, Unsatisfiable> {
    match requested {
        RequestedRange::Whole => Ok(None),
        RequestedRange::Part(part) => Ok(Some((part.first, part.last))),
        RequestedRange::Unsatisfiable => Err(Unsatisfiable),
    }
}

/// What the headers of a request for an upload state; `None` for what is missing or malformed.
#[derive(Debug)]
pub struct UploadHeaders {
    /// `Upload-Length`.
    pub length: Option<u64>,
    /// `Upload-Offset`.
    pub offset: Option<u64>,
    /// The name of the algorithm in `Upload-Checksum`, and the number of bytes of the checksum.
    pub checksum: Option<(&'static str, usize)>,
    /// The file name and the title in `Upload-Metadata`, as the server stores them.
    pub metadata: Option<(String, Option<String>)>,
}

/// Parses the headers of a request for an upload.
pub fn upload_headers(headers: &HeaderMap) -> UploadHeaders {
    let checksum = tus::checksum(headers).ok().flatten();
    UploadHeaders {
        length: tus::length(headers).ok(),
        offset: tus::offset(headers).ok(),
        checksum: checksum.map(|checksum| match checksum {
            Checksum::Sha1(value) => ("sha1", value.len()),
            Checksum::Sha256(value) => ("sha256", value.len()),
        }),
        metadata: tus::metadata(headers).ok().map(|metadata| {
            let name = metadata.get("filename").cloned().unwrap_or_default();
            let title = metadata.get("title").and_then(|title| clean_title(title));
            (stored_file_name(&name), title)
        }),
    }
}

/// The event count in the header `If-Match-Event`; `None` if the header is missing or malformed.
pub fn if_match_event(headers: &HeaderMap) -> Option<u64> {
    control::if_match_event(headers).ok()
}

/// The room command that `POST /{name}` with this body submits for `member`; `None` if the body is invalid or the route
/// submits no command.
pub fn command(name: &str, body: &[u8], member: MemberId, if_match: u64) -> Option<Command> {
    if let Some(parse) = routes::command_parser(name) {
        let control = parse(body).ok()?;
        return Some(Command::Control {
            member,
            if_match,
            control,
        });
    }
    unconditional_command(name, body, member).ok().flatten()
}

/// As [`command`], for the commands that need no `If-Match-Event`.
fn unconditional_command(
    name: &str,
    body: &[u8],
    member: MemberId,
) -> Result<Option<Command>, ApiError> {
    Ok(match name {
        "pair" => {
            let PairRequest { client_name, .. } = from_json(body)?;
            Some(Command::Pair {
                name: clean_device_name(&client_name.unwrap_or_default()),
                token_hash: TokenHash([0; 32]),
            })
        }
        "rename" => {
            let RenameRequest { client_name } = from_json(body)?;
            let name = clean_device_name(&client_name);
            Some(Command::Rename { member, name })
        }
        "unpair" => {
            let UnpairRequest { member_id: target } = from_json(body)?;
            Some(Command::Unpair { member, target })
        }
        "tune" => Some(sync::parse_tune(body, member)?),
        "trim" => {
            let (trimmed, trim_db) = loudness::parse_trim(body)?;
            Some(Command::Trim {
                member,
                trimmed,
                trim_db,
            })
        }
        "loudness" => loudness::parse_report(body).map(|_| None)?,
        "chat" => {
            let ChatRequest { text } = from_json(body)?;
            talk::clean_message(&text).map(|_| None)?
        }
        "react" => talk::parse_reaction(body).map(|_| None)?,
        "tuning" => from_json::<TuningRequest>(body).map(|_| None)?,
        "sync" => {
            let (_, kind) = sync::parse_report(body)?;
            kind.map(|kind| Command::Describe { member, kind })
        }
        _ => None,
    })
}
