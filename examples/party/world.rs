//! What every phone knows beforehand: where the server is, what music there is, and what was planned.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use super::Plan;
use super::ledger::Ledger;

/// The whole crowd presses one button about so often.
const PRESS_EVERY: Duration = Duration::from_millis(350);

/// For so long they press anything, and for so long nothing that ends a wait: that is the server's to end then.
const LIVELY: Duration = Duration::from_secs(30);
const LULL: Duration = Duration::from_secs(45);

/// A row of the index.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) size: u64,
    pub(super) version: String,
    pub(super) duration: Option<f64>,
}

/// The surroundings.
#[derive(Debug)]
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) address: SocketAddr,
    pub(super) tracks: BTreeMap<String, Track>,
    pub(super) ledger: Ledger,
    pub(super) quiet: watch::Receiver<bool>,
}

impl World {
    pub(super) fn track(&self, id: &str) -> Option<&Track> {
        self.tracks.get(id)
    }

    /// How long a phone waits between two presses, on average.
    pub(super) fn press_pause(&self) -> Duration {
        PRESS_EVERY * self.plan.phones
    }

    /// How long a phone keeps its stream, on average: long enough for patience to end now and then.
    pub(super) fn stay(&self) -> Duration {
        (self.plan.length / 8).clamp(Duration::from_secs(2), Duration::from_secs(25))
    }

    /// Whether nobody presses what would end a wait at the moment.
    pub(super) fn is_lull(&self) -> bool {
        let round = (LIVELY + LULL).as_secs_f64();
        self.ledger.elapsed().as_secs_f64() % round > LIVELY.as_secs_f64()
    }

    /// Whether nobody is to press or go any more.
    pub(super) fn is_quiet(&self) -> bool {
        *self.quiet.borrow()
    }
}

/// The tracks of an index that can be read.
pub(super) fn tracks(index: &Value) -> BTreeMap<String, Track> {
    let rows = index.as_array().map_or(&[][..], Vec::as_slice);
    rows.iter()
        .filter_map(|row| {
            let track = Track {
                size: row["size"].as_u64()?,
                version: row["version"].as_str()?.to_owned(),
                duration: row["duration"].as_f64(),
            };
            Some((row["trackId"].as_str()?.to_owned(), track))
        })
        .collect()
}
