//! The room as one device knows it: the last snapshot, and every patch since. Folding checks what one
//! stream can be checked for by itself; what all of them say together is compared in `chronicle`.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::promises::Promise;
use super::stream::Event;

/// What is wrong with an event, and which promise that breaks.
pub(super) type Wrong = (Promise, String);

/// The room.
#[derive(Debug, Clone)]
pub(super) struct View {
    /// The state that `count` names, as a snapshot has it, without `live`.
    pub(super) state: Arc<Value>,
    /// Which state that is.
    pub(super) count: u64,
    /// When the track is at the anchor, on the server's clock.
    pub(super) anchor_at_ms: Option<f64>,
}

impl View {
    /// What a snapshot shows.
    ///
    /// # Errors
    /// The snapshot is none.
    pub(super) fn of(mut snapshot: Value) -> Result<View, Wrong> {
        let live = snapshot.as_object_mut().and_then(|s| s.remove("live"));
        match (live, snapshot["eventCount"].as_u64()) {
            (Some(live), Some(count)) => Ok(View {
                state: Arc::new(snapshot),
                count,
                anchor_at_ms: live["anchorAtMs"].as_f64(),
            }),
            _ => Err((Promise::Folds, format!("no snapshot, but {snapshot}"))),
        }
    }

    /// Takes an event in.
    ///
    /// # Errors
    /// It does not follow from what came before.
    pub(super) fn fold(&mut self, event: &Event) -> Result<(), Wrong> {
        let (name, count) = (event.name.as_str(), event.event_count);
        match event.id {
            None if name == "snapshot" => {
                let next = View::of(event.payload.clone())?;
                if next.count < self.count || next.count != count {
                    let text = format!(
                        "a snapshot of {} ({count}) after {}",
                        next.count, self.count
                    );
                    return Err((Promise::Counts, text));
                }
                *self = next;
            }
            None if count != self.count => {
                let text = format!("{name} is about {count}, in a stream at {}", self.count);
                return Err((Promise::Counts, text));
            }
            None => {
                if matches!(name, "presence" | "progress") {
                    self.anchor_at_ms = event.payload["anchorAtMs"].as_f64();
                }
            }
            Some(id) if id != count || id != self.count + 1 => {
                let text = format!(
                    "{name} has the id {id} and the count {count}, after {}",
                    self.count
                );
                return Err((Promise::Counts, text));
            }
            Some(_) => {
                self.patch(event)?;
                self.count = count;
                // Every durable event either moves the needle and says so, stops it, or leaves it alone.
                match name {
                    "barrier.release" | "playback.seeked" => {
                        self.anchor_at_ms = event.payload["anchorAtMs"].as_f64();
                    }
                    "barrier.opened" | "playback.paused" | "playback.parked" | "queue.advanced" => {
                        self.anchor_at_ms = None;
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn patch(&mut self, event: &Event) -> Result<(), Wrong> {
        let wrong = |what: String| (Promise::Folds, format!("{what}: {}", event.text));
        let patch: json_patch::Patch = serde_json::from_value(event.payload["patch"].clone())
            .map_err(|error| wrong(format!("no patch ({error})")))?;
        let mut next = Value::clone(&self.state);
        json_patch::patch(&mut next, &patch)
            .map_err(|error| wrong(format!("a patch that cannot be applied ({error})")))?;
        if next["eventCount"] != self.count {
            return Err(wrong("a patch that counts".into()));
        }
        next["eventCount"] = event.event_count.into();
        self.state = Arc::new(next);
        Ok(())
    }

    /// The queue, in its order.
    pub(super) fn queue(&self) -> Vec<&str> {
        strings(&self.state["queue"])
    }

    /// The track that many places after the current one in the ring.
    pub(super) fn track(&self, places: usize) -> Option<&str> {
        let queue = self.queue();
        let index = self.state["queueIndex"].as_u64()? as usize;
        queue.get((index + places) % queue.len().max(1)).copied()
    }

    /// Whether music sounds, or would with somebody there.
    pub(super) fn is_playing(&self) -> bool {
        self.state["playState"]["mode"] == "playing"
    }

    /// The anchor, in seconds.
    pub(super) fn anchor(&self) -> f64 {
        self.state["playState"]["anchorPositionSec"]
            .as_f64()
            .unwrap_or_default()
    }

    /// The open barrier.
    pub(super) fn barrier(&self) -> Option<&Map<String, Value>> {
        self.state["barrier"].as_object()
    }

    /// Who is waited for or ready.
    pub(super) fn members(&self) -> Vec<&str> {
        strings(&self.state["barrier"]["members"])
    }

    /// Who is ready.
    pub(super) fn ready(&self) -> Vec<&str> {
        strings(&self.state["barrier"]["ready"])
    }

    /// Who is still waited for.
    pub(super) fn missing(&self) -> Vec<&str> {
        let ready = self.ready();
        let members = self.members().into_iter();
        members.filter(|member| !ready.contains(member)).collect()
    }
}

fn strings(list: &Value) -> Vec<&str> {
    list.as_array()
        .map(|list| list.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default()
}

/// Where two states differ first, for people.
pub(super) fn difference(one: &Value, other: &Value) -> String {
    match (one, other) {
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
            let differing = a.iter().find(|(key, value)| b.get(*key) != Some(value));
            differing.map_or_else(String::new, |(key, value)| {
                format!("/{key}{}", difference(value, &b[key]))
            })
        }
        _ => format!(": {one} or {other}"),
    }
}
