//! The room as one device knows it: the last snapshot, with the patch of every later event applied. Applying an event is
//! called folding.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::sse::Event;

/// Why an event cannot be applied to the current view.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// The payload is not a snapshot.
    #[error("{0} is not a snapshot")]
    NotASnapshot(Value),
    /// The event count is not the expected one, or differs between the event's fields.
    #[error("wrong event count: {0}")]
    EventCount(String),
    /// The patch is invalid, does not apply, or changes `eventCount`.
    #[error("wrong patch: {0}")]
    Patch(String),
}

/// The room at one event count. Cloning a view copies only references.
#[derive(Debug, Clone)]
pub struct RoomView {
    /// The durable state as a snapshot contains it: without `live`.
    pub state: Arc<Value>,
    /// The live state: the snapshot's `live`.
    pub live: Arc<Value>,
    /// The event count of `state`.
    pub event_count: u64,
    /// The anchor time: the time on the server's clock, in milliseconds, at which the current track is at the anchor
    /// position of the play state. `None` while no music plays.
    pub anchor_at_ms: Option<f64>,
}

impl RoomView {
    /// Reads a snapshot.
    pub fn from_snapshot(mut snapshot: Value) -> Result<RoomView, FoldError> {
        let live = snapshot.as_object_mut().and_then(|s| s.remove("live"));
        match (live, snapshot["eventCount"].as_u64()) {
            (Some(live), Some(event_count)) => Ok(RoomView {
                state: Arc::new(snapshot),
                anchor_at_ms: live["anchorAtMs"].as_f64(),
                live: Arc::new(live),
                event_count,
            }),
            _ => Err(FoldError::NotASnapshot(snapshot)),
        }
    }

    /// Reads the snapshot that an event stream begins with.
    pub fn from_snapshot_event(event: &Event) -> Result<RoomView, FoldError> {
        let view = RoomView::from_snapshot(event.payload.clone())?;
        if event.id.is_some() || view.event_count != event.event_count {
            let text = format!("the snapshot's is {}: {}", view.event_count, event.data);
            return Err(FoldError::EventCount(text));
        }
        Ok(view)
    }

    /// The view as the JSON of a snapshot.
    pub fn into_snapshot(self) -> Value {
        let mut snapshot = Arc::unwrap_or_clone(self.state);
        snapshot["live"] = Arc::unwrap_or_clone(self.live);
        snapshot
    }

    /// Applies an event. Leaves the view unchanged on an error.
    pub fn fold(&mut self, event: &Event) -> Result<(), FoldError> {
        match event.id {
            None if event.name == "snapshot" => {
                let next = RoomView::from_snapshot_event(event)?;
                if next.event_count < self.event_count {
                    let (from, to) = (self.event_count, next.event_count);
                    return Err(FoldError::EventCount(format!(
                        "a snapshot goes back from {from} to {to}"
                    )));
                }
                *self = next;
            }
            None if event.event_count != self.event_count => {
                return Err(FoldError::EventCount(format!(
                    "a live event in a stream at {}: {}",
                    self.event_count, event.data
                )));
            }
            None => self.apply_live(event),
            Some(id) if id != event.event_count || id != self.event_count + 1 => {
                return Err(FoldError::EventCount(format!(
                    "id {id} after {}: {}",
                    self.event_count, event.data
                )));
            }
            Some(_) => self.apply_durable(event)?,
        }
        Ok(())
    }

    fn apply_live(&mut self, event: &Event) {
        match event.name.as_str() {
            "presence" | "progress" => {
                self.anchor_at_ms = event.payload["anchorAtMs"].as_f64();
                self.live = Arc::new(event.payload.clone());
            }
            "segue" => Arc::make_mut(&mut self.live)["segue"] = event.payload.clone(),
            _ => {}
        }
    }

    fn apply_durable(&mut self, event: &Event) -> Result<(), FoldError> {
        let wrong = |what: String| FoldError::Patch(format!("{what}: {}", event.data));
        let patch: json_patch::Patch = serde_json::from_value(event.payload["patch"].clone())
            .map_err(|error| wrong(error.to_string()))?;
        let mut next = Value::clone(&self.state);
        json_patch::patch(&mut next, &patch).map_err(|error| wrong(error.to_string()))?;
        if next["eventCount"] != self.event_count {
            return Err(wrong("it changes eventCount".into()));
        }
        next["eventCount"] = event.event_count.into();
        self.state = Arc::new(next);
        self.event_count = event.event_count;
        match event.name.as_str() {
            "barrier.release" | "playback.seeked" => {
                self.anchor_at_ms = event.payload["anchorAtMs"].as_f64();
            }
            "barrier.opened" | "playback.paused" | "playback.parked" | "queue.advanced" => {
                self.anchor_at_ms = None;
            }
            _ => {}
        }
        Ok(())
    }

    /// Track IDs in queue order.
    pub fn queue(&self) -> Vec<&str> {
        strings(&self.state["queue"])
    }

    /// The track `places` after the current one; the queue wraps around.
    pub fn track_after_current(&self, places: usize) -> Option<&str> {
        track_after_current(&self.state, places)
    }

    /// The track IDs of the picks, in order.
    pub fn picks(&self) -> Vec<&str> {
        let picks = self.state["picks"].as_array();
        let picks = picks.map_or(&[][..], Vec::as_slice);
        picks
            .iter()
            .filter_map(|pick| pick["trackId"].as_str())
            .collect()
    }

    /// Whether the play state is `playing`, also while a barrier is open or the room has no listener.
    pub fn is_playing(&self) -> bool {
        self.state["playState"]["mode"] == "playing"
    }

    /// The anchor position: the playback position at the anchor time, in seconds.
    pub fn anchor_position_sec(&self) -> f64 {
        let position = &self.state["playState"]["anchorPositionSec"];
        position.as_f64().unwrap_or_default()
    }

    /// The open barrier, which delays the start of a track until all members have downloaded the track.
    pub fn barrier(&self) -> Option<&Map<String, Value>> {
        self.state["barrier"].as_object()
    }

    /// All members of the open barrier.
    pub fn barrier_members(&self) -> Vec<&str> {
        strings(&self.state["barrier"]["members"])
    }

    /// The open barrier's members that are ready.
    pub fn ready_barrier_members(&self) -> Vec<&str> {
        strings(&self.state["barrier"]["ready"])
    }

    /// The open barrier's members that are not ready.
    pub fn unready_barrier_members(&self) -> Vec<&str> {
        let ready = self.ready_barrier_members();
        let members = self.barrier_members().into_iter();
        members.filter(|member| !ready.contains(member)).collect()
    }
}

/// The strings in a JSON array; empty if `list` is not an array.
pub fn strings(list: &Value) -> Vec<&str> {
    list.as_array()
        .map(|list| list.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default()
}

/// The track of a snapshot `places` after the current one; the queue wraps around.
pub fn track_after_current(snapshot: &Value, places: usize) -> Option<&str> {
    let queue = snapshot["queue"].as_array()?;
    let index = snapshot["queueIndex"].as_u64()? as usize;
    queue.get((index + places) % queue.len().max(1))?.as_str()
}
