//! A log of the events and states in all streams, snapshots and responses, by event count. Each event and each snapshot
//! is compared with the log on arrival. Commands are compared with the log at the end of the run, when every event has
//! arrived.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::client::{Event, RoomView};
use super::invariants::{Invariant, InvariantChecks};
use super::rules;
use super::upload_records::FinishedUpload;

/// The most states that are kept for comparison. More than the number of events in the server's replay buffer, so that a
/// stream that continues from the replay buffer can still be compared.
const MAX_STATES: usize = 1500;

/// The events that only a command can cause.
const ONLY_BY_COMMAND: [&str; 11] = [
    "client.paired",
    "client.left",
    "playback.paused",
    "playback.seeked",
    "queue.nudged",
    "queue.picked",
    "queue.unpicked",
    "queue.moved",
    "queue.shuffled",
    "queue.sorted",
    "queue.undone",
];

/// The events that justify refusing an acknowledgement with 409, because they ended the barrier for which it was sent.
const ENDS_A_BARRIER: [&str; 5] = [
    "barrier.opened",
    "barrier.release",
    "playback.paused",
    "queue.advanced",
    "library.changed",
];

/// The first event that a command causes.
#[derive(Debug, Clone)]
pub(super) struct ExpectedEvent {
    /// The names that the event may have.
    pub(super) names: &'static [&'static str],
    /// A field of the payload.
    pub(super) field: &'static str,
    /// The field's value; `Null` matches every value.
    pub(super) value: Value,
}

impl ExpectedEvent {
    /// Whether the command is `start-now`.
    fn is_start_now(&self) -> bool {
        self.names.contains(&"barrier.shrunk")
    }

    fn matches(&self, event: &LoggedEvent) -> bool {
        self.names.contains(&event.name.as_str())
            && (self.value.is_null() || event.payload()[self.field] == self.value)
    }
}

/// A command, and its result as far as the phone that sent the command knows it.
#[derive(Debug)]
pub(super) enum CommandRecord {
    /// Accepted: the command caused the events `after + 1` to `last`.
    Accepted {
        expected: ExpectedEvent,
        after: u64,
        last: u64,
    },
    /// Accepted by a response without event counts.
    AcceptedWithoutCounts(ExpectedEvent),
    /// The connection was closed before the response arrived.
    Unanswered(ExpectedEvent),
}

#[derive(Debug)]
struct LoggedEvent {
    name: String,
    data: Arc<str>,
}

impl LoggedEvent {
    fn payload(&self) -> Value {
        let mut message: Value = serde_json::from_str(&self.data).unwrap_or_default();
        message["payload"].take()
    }

    fn is_skip(&self) -> bool {
        self.name == "barrier.shrunk" && self.payload()["reason"] == "skipped"
    }
}

#[derive(Debug)]
struct LoggedState {
    state: Arc<Value>,
    /// Whether the server has sent this state in a snapshot, so that it is not only the result of patches.
    from_snapshot: bool,
}

/// Checks that the event states which device caused it.
fn check_cause(event: &Event, checks: &mut InvariantChecks) {
    let by = event.payload.get("by");
    let is_valid = by.is_some_and(|by| by.is_null() || by.is_string());
    checks.check(Invariant::EventsNameTheirCause, is_valid, || {
        event.data.to_string()
    });
}

/// Checks that the picks are the tracks after the current one, and that the queue has each track once.
fn check_picks(view: &RoomView, checks: &mut InvariantChecks) {
    let picks = view.picks();
    let following = (1..=picks.len()).filter_map(|places| view.track_after_current(places));
    let queue = view.queue();
    let distinct: HashSet<_> = queue.iter().collect();
    let holds = picks.len() < queue.len().max(1)
        && following.eq(picks.iter().copied())
        && distinct.len() == queue.len();
    checks.check(Invariant::PicksFollowCurrent, holds, || {
        format!(
            "the state {} has the picks {picks:?} in {queue:?}",
            view.event_count
        )
    });
}

/// Everything that the simulation has received.
#[derive(Debug, Default)]
pub(super) struct EventLog {
    events: BTreeMap<u64, LoggedEvent>,
    states: BTreeMap<u64, LoggedState>,
    newest: u64,
    commands: Vec<CommandRecord>,
    /// Acknowledgements refused with 409: the event count for which each was sent, and the current event count in the 409.
    refused_acks: Vec<(u64, u64)>,
}

impl EventLog {
    /// The highest event count reported so far.
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// Logs a durable event, and `view`, which is the state after the event in the same stream.
    pub(super) fn log_event(
        &mut self,
        event: &Event,
        view: &mut RoomView,
        checks: &mut InvariantChecks,
    ) {
        match self.events.entry(event.event_count) {
            Entry::Vacant(entry) => {
                check_cause(event, checks);
                check_picks(view, checks);
                let contradiction = rules::contradiction(&view.state);
                checks.record(Invariant::VotesFollowRules, contradiction);
                entry.insert(LoggedEvent {
                    name: event.name.clone(),
                    data: event.data.clone(),
                });
            }
            Entry::Occupied(logged) => {
                let logged = &logged.get().data;
                checks.check(Invariant::StreamsAgree, *logged == event.data, || {
                    format!("one stream has {logged}, another {}", event.data)
                });
            }
        }
        self.log_state(view.event_count, &mut view.state, false, checks);
    }

    /// Logs the state of a snapshot.
    pub(super) fn log_snapshot(&mut self, view: &mut RoomView, checks: &mut InvariantChecks) {
        self.log_state(view.event_count, &mut view.state, true, checks);
    }

    /// Compares `state` with the logged state of the same count. If they are equal, replaces `state` by a reference to
    /// the logged state, to save memory.
    fn log_state(
        &mut self,
        count: u64,
        state: &mut Arc<Value>,
        from_snapshot: bool,
        checks: &mut InvariantChecks,
    ) {
        self.newest = self.newest.max(count);
        match self.states.entry(count) {
            Entry::Vacant(entry) => {
                let state = state.clone();
                entry.insert(LoggedState {
                    state,
                    from_snapshot,
                });
            }
            Entry::Occupied(mut logged) => {
                let logged = logged.get_mut();
                logged.from_snapshot |= from_snapshot;
                let invariant = if logged.from_snapshot {
                    Invariant::PatchesMatchSnapshots
                } else {
                    Invariant::StreamsAgree
                };
                let equal = logged.state == *state;
                checks.check(invariant, equal, || {
                    let difference = first_difference(&logged.state, state);
                    format!("state {count} differs at {difference}")
                });
                if equal {
                    *state = logged.state.clone();
                }
            }
        }
        if self.states.len() > MAX_STATES {
            self.states.pop_first();
        }
    }

    /// Logs a command.
    pub(super) fn log_command(&mut self, command: CommandRecord) {
        if let CommandRecord::Accepted { last, .. } = command {
            self.newest = self.newest.max(last);
        }
        self.commands.push(command);
    }

    /// Logs an acknowledgement that was sent for the barrier at event count `meant_for`, and was refused with a 409 with
    /// the event count `current`.
    pub(super) fn log_refused_ack(&mut self, meant_for: u64, current: u64) {
        self.refused_acks.push((meant_for, current));
    }

    /// Compares all commands with the log, which is complete from event count `first` on. `exclusive` means that no other
    /// client uses the server, so that every event has a known cause.
    pub(super) fn check_commands(&self, first: u64, exclusive: bool, checks: &mut InvariantChecks) {
        let explained = self.check_accepted(first, checks);
        if exclusive {
            self.check_no_unexplained_event(first, &explained, checks);
        }
        let refused = self.refused_acks.iter();
        for (meant_for, current) in refused.filter(|(meant_for, _)| *meant_for >= first) {
            let mut between = self.events.range(meant_for + 1..=*current);
            let ended = between.any(|(_, event)| ENDS_A_BARRIER.contains(&event.name.as_str()));
            checks.check(Invariant::ConflictsAreCurrent, ended, || {
                format!("an acknowledgement for {meant_for} got a 409 at {current}, with the same barrier open")
            });
        }
    }

    /// Checks that the events of every accepted command are in the log. Returns the event counts of these events.
    fn check_accepted(&self, first: u64, checks: &mut InvariantChecks) -> HashSet<u64> {
        let mut explained = HashSet::new();
        for command in &self.commands {
            match command {
                CommandRecord::Accepted {
                    expected,
                    after,
                    last,
                } if *after >= first => {
                    let event = self.events.get(&(after + 1));
                    let matches = event.is_some_and(|event| expected.matches(event));
                    let complete = (after + 1..=*last).all(|n| self.events.contains_key(&n));
                    let unshared = (after + 1..=*last).all(|n| explained.insert(n));
                    let holds = matches && complete && unshared && last > after;
                    checks.check(Invariant::AcceptedCommandsAreBroadcast, holds, || {
                        format!("{expected:?} was accepted as events {} to {last}, which the streams do not confirm", after + 1)
                    });
                }
                CommandRecord::AcceptedWithoutCounts(expected) => {
                    let found = self
                        .events
                        .iter()
                        .find(|(_, event)| expected.matches(event));
                    explained.extend(found.map(|(count, _)| *count));
                    checks.check(
                        Invariant::AcceptedCommandsAreBroadcast,
                        found.is_some(),
                        || format!("{expected:?} was accepted, but no stream has its event"),
                    );
                }
                _ => {}
            }
        }
        explained
    }

    /// Checks that each event that only a command causes belongs to an accepted or unanswered command.
    fn check_no_unexplained_event(
        &self,
        first: u64,
        explained: &HashSet<u64>,
        checks: &mut InvariantChecks,
    ) {
        let mut unanswered: Vec<_> = self
            .commands
            .iter()
            .filter_map(|command| match command {
                CommandRecord::Unanswered(expected) => Some(expected),
                _ => None,
            })
            .collect();
        for (count, event) in self.events.range(first + 1..) {
            if !ONLY_BY_COMMAND.contains(&event.name.as_str()) {
                continue;
            }
            let mut has_cause = explained.contains(count);
            if !has_cause {
                let cause = unanswered
                    .iter()
                    .position(|expected| expected.matches(event));
                has_cause = cause.map(|index| unanswered.swap_remove(index)).is_some();
            }
            checks.check(Invariant::RefusedCommandsChangeNothing, has_cause, || {
                format!("no accepted command explains {}", event.data)
            });
        }
    }

    /// Checks that each upload became a pick of its device, unless another device has chosen the new track first, or the rules
    /// limited picks meanwhile.
    pub(super) fn check_picks_of_uploads(
        &self,
        finished: &[FinishedUpload],
        checks: &mut InvariantChecks,
    ) {
        for upload in finished {
            if self.were_picks_limited(upload.begun_after, upload.picked_until) {
                continue;
            }
            let is_chosen = |event: &LoggedEvent| {
                let payload = event.payload();
                match event.name.as_str() {
                    "queue.picked" => {
                        let tracks = payload["trackIds"].as_array();
                        tracks.is_some_and(|tracks| tracks.contains(&json!(upload.track)))
                    }
                    "queue.nudged" | "queue.advanced" => payload["trackId"] == upload.track,
                    _ => false,
                }
            };
            let mut events = self.events.range(..=upload.picked_until);
            let first = events.find(|(_, event)| is_chosen(event));
            checks.check(Invariant::UploadsBecomePicks, first.is_some(), || {
                format!("{upload:?} was not picked")
            });
        }
    }

    /// Whether a rule limited the picks of guests at any time from one state to another.
    fn were_picks_limited(&self, from: u64, to: u64) -> bool {
        let mut limits = (json!("everyone"), json!(0));
        let mut are_limited = false;
        for (count, event) in self.events.range(..=to) {
            if *count > from {
                are_limited |= limits != (json!("everyone"), json!(0));
            }
            if event.name == "rules.changed" {
                let changed = &event.payload()["changed"];
                for (limit, name) in [(&mut limits.0, "picks"), (&mut limits.1, "maxPicks")] {
                    if let Some(value) = changed.get(name) {
                        *limit = value.clone();
                    }
                }
            }
        }
        are_limited || limits != (json!("everyone"), json!(0))
    }

    /// Checks that barriers skip members that are not ready only after `start-now`, or directly after one of the
    /// `barrier.opened` events whose counts are in `skip_allowed`.
    pub(super) fn check_skips(
        &self,
        first: u64,
        skip_allowed: &BTreeSet<u64>,
        checks: &mut InvariantChecks,
    ) {
        let mut unanswered = 0;
        let mut requested = HashSet::new();
        for command in &self.commands {
            match command {
                CommandRecord::Accepted {
                    expected, after, ..
                } if expected.is_start_now() => {
                    requested.insert(after + 1);
                }
                CommandRecord::Unanswered(expected) if expected.is_start_now() => unanswered += 1,
                _ => {}
            }
        }
        let mut previous = None;
        for (count, event) in self.events.range(first + 1..) {
            // One `start-now` causes one event for each skipped member; only the first of these events is checked.
            if event.is_skip() && !previous.is_some_and(LoggedEvent::is_skip) {
                let mut justified =
                    requested.contains(count) || skip_allowed.contains(&(count - 1));
                if !justified && unanswered > 0 {
                    unanswered -= 1;
                    justified = true;
                }
                checks.check(Invariant::StartsNeedReadyMembers, justified, || {
                    format!("no start-now explains {}", event.data)
                });
            }
            previous = Some(event);
        }
    }
}

/// The JSON pointer of the first difference, and both values there.
fn first_difference(one: &Value, other: &Value) -> String {
    match (one, other) {
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
            let differing = a.iter().find(|(key, value)| b.get(*key) != Some(value));
            differing.map_or_else(String::new, |(key, value)| {
                format!("/{key}{}", first_difference(value, &b[key]))
            })
        }
        _ => format!(": {one} or {other}"),
    }
}
