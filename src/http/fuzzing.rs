//! What the fuzz targets (`tests/fuzz`) reach of the parsers in here. Built with `--cfg fuzzing` alone.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use hyper::HeaderMap;

use super::error::ApiError;
use super::range::Asked;
use super::validators::{Modified, Outcome, Validators};
use super::{control, pair, range, sync, validators};
use crate::room::{Command, KeyHash, MemberId};
use crate::wire::{PairRequest, RenameRequest, TuningRequest, UnpairRequest};

/// A file has nothing of what is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nothing;

/// The first and the last byte of the part of a file of `size` bytes that a `Range` asks for: `None` for the whole file.
///
/// # Errors
/// [`Nothing`].
pub fn range(header: &str, size: u64) -> Result<Option<(u64, u64)>, Nothing> {
    part(range::parse(header, size))
}

/// The same of a whole request for a file with that entity tag, changed at the moment that dates count from. `None`, too, where
/// the file is not sent at all.
///
/// # Errors
/// [`Nothing`].
pub fn conditions(
    headers: &HeaderMap,
    etag: &str,
    size: u64,
) -> Result<Option<(u64, u64)>, Nothing> {
    let validators = Validators::new(etag.into(), Modified::new(UNIX_EPOCH, SystemTime::now()));
    match validators::evaluate(headers, &validators, size) {
        Outcome::Send(asked) => part(asked),
        Outcome::NotModified | Outcome::Failed => Ok(None),
    }
}

fn part(asked: Asked) -> Result<Option<(u64, u64)>, Nothing> {
    match asked {
        Asked::Whole => Ok(None),
        Asked::Part(part) => Ok(Some((part.first, part.last))),
        Asked::Nothing => Err(Nothing),
    }
}

/// The event count that a command is meant for, if its header can be understood.
pub fn if_match_event(headers: &HeaderMap) -> Option<u64> {
    control::if_match(headers).ok()
}

/// What `POST /name` with that body asks of the room, of `member`: `None` for a body that is refused, or asks nothing.
pub fn command(name: &str, body: &[u8], member: MemberId, if_match: u64) -> Option<Command> {
    if let Some(parse) = control::parser(name) {
        let control = parse(body).ok()?;
        return Some(Command::Control {
            member,
            if_match,
            control,
        });
    }
    uncounted(name, body, member).ok().flatten()
}

fn uncounted(name: &str, body: &[u8], member: MemberId) -> Result<Option<Command>, ApiError> {
    Ok(match name {
        "pair" => {
            let PairRequest { client_name, .. } = control::from_json(body)?;
            Some(Command::Pair {
                name: pair::tidy(&client_name.unwrap_or_default()),
                key: KeyHash([0; 32]),
            })
        }
        "rename" => {
            let RenameRequest { client_name } = control::from_json(body)?;
            let name = pair::tidy(&client_name);
            Some(Command::Rename { member, name })
        }
        "unpair" => {
            let UnpairRequest { member_id: other } = control::from_json(body)?;
            Some(Command::Unpair { member, other })
        }
        "tune" => {
            let delays: BTreeMap<_, _> = sync::delays(body)?;
            Some(Command::Tune { member, delays })
        }
        "tuning" => control::from_json::<TuningRequest>(body).map(|_| None)?,
        "sync" => sync::said(body).map(|_| None)?,
        _ => None,
    })
}
