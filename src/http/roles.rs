//! Parses the requests that make devices host or DJ.

use rand::RngExt;
use serde::Deserialize;

use super::body::from_json;
use super::control::no_arguments;
use super::error::ApiError;
use crate::room::{Control, MemberId};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HostBody {
    member_id: MemberId,
    host: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DjBody {
    /// Required; `null` for no DJ.
    #[serde(deserialize_with = "Option::deserialize")]
    pub(super) member_id: Option<MemberId>,
}

/// `POST /hosts`: makes a device host, or ends that.
pub(super) fn hosts(body: &[u8]) -> Result<Control, ApiError> {
    let HostBody { member_id, host } = from_json(body)?;
    Ok(Control::ChangeHosts { member_id, host })
}

/// `POST /dj`: makes a device DJ, or removes the DJ.
pub(super) fn dj(body: &[u8]) -> Result<Control, ApiError> {
    let DjBody { member_id } = from_json(body)?;
    Ok(Control::ChangeDj { member_id })
}

/// `POST /dj/random`: makes one of the listeners DJ.
pub(super) fn random_dj(body: &[u8]) -> Result<Control, ApiError> {
    let seed = rand::rng().random();
    no_arguments(body).map(|()| Control::ChooseDj { seed })
}
