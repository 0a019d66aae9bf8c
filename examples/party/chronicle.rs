//! What all streams, snapshots and answers together say: which event and which state each count names, and
//! whose command every event was. Streams are compared as they are heard; commands at the end, once
//! every event has been heard.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use serde_json::Value;

use super::promises::{Promise, Promises};
use super::stream::Event;
use super::view::{View, difference};

/// States kept for comparison: more than the server replays events.
const KEPT: usize = 1500;

/// Events that never happen unless somebody asks for them.
const ONLY_ASKED: [&str; 5] = [
    "client.paired",
    "client.left",
    "playback.paused",
    "playback.seeked",
    "queue.nudged",
];

/// Events after which an acknowledgement meant for the barrier before comes too late.
const ENDS_A_BARRIER: [&str; 5] = [
    "barrier.opened",
    "barrier.release",
    "playback.paused",
    "queue.advanced",
    "library.changed",
];

/// The first event that a command causes: its name, and a field that says more. `Null` is any.
#[derive(Debug, Clone)]
pub(super) struct Effect {
    pub(super) names: &'static [&'static str],
    pub(super) field: &'static str,
    pub(super) value: Value,
}

impl Effect {
    /// Whether it is that of `start-now`.
    fn skips(&self) -> bool {
        self.names.contains(&"barrier.shrunk")
    }

    fn is(&self, told: &Told) -> bool {
        self.names.contains(&told.name.as_str())
            && (self.value.is_null() || told.payload()[self.field] == self.value)
    }
}

/// A command, and what is known of its outcome.
#[derive(Debug)]
pub(super) enum Asked {
    /// Accepted: it caused the events after the first count, up to the second.
    Accepted(Effect, u64, u64),
    /// Accepted, without a word about counts.
    Done(Effect),
    /// The connection was gone before the answer came.
    Unanswered(Effect),
}

#[derive(Debug)]
struct Told {
    name: String,
    text: Arc<str>,
}

impl Told {
    fn payload(&self) -> Value {
        let message: Value = serde_json::from_str(&self.text).unwrap_or_default();
        message["payload"].clone()
    }
}

#[derive(Debug)]
struct Known {
    state: Arc<Value>,
    /// By the server itself, in a snapshot.
    shown: bool,
}

/// All that was heard.
#[derive(Debug, Default)]
pub(super) struct Chronicle {
    events: BTreeMap<u64, Told>,
    states: BTreeMap<u64, Known>,
    newest: u64,
    asked: Vec<Asked>,
    late_acks: Vec<(u64, u64)>,
}

impl Chronicle {
    /// The newest state that anybody was told of.
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// Somebody heard a durable event, and knows the room as `view` now.
    pub(super) fn hear(&mut self, event: &Event, view: &mut View, promises: &mut Promises) {
        match self.events.entry(event.event_count) {
            Entry::Vacant(place) => {
                place.insert(Told {
                    name: event.name.clone(),
                    text: event.text.clone(),
                });
            }
            Entry::Occupied(told) => {
                let told = &told.get().text;
                promises.expect(Promise::Alike, *told == event.text, || {
                    format!("one heard {told}, another {}", event.text)
                });
            }
        }
        self.know(view.count, &mut view.state, false, promises);
    }

    /// The server showed a snapshot.
    pub(super) fn show(&mut self, view: &mut View, promises: &mut Promises) {
        self.know(view.count, &mut view.state, true, promises);
    }

    /// Compares a state with what others know by its count. Those that are equal are shared from then on.
    fn know(&mut self, count: u64, state: &mut Arc<Value>, shown: bool, promises: &mut Promises) {
        self.newest = self.newest.max(count);
        match self.states.entry(count) {
            Entry::Vacant(place) => {
                let state = state.clone();
                place.insert(Known { state, shown });
            }
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                known.shown |= shown;
                let promise = if known.shown {
                    Promise::Folds
                } else {
                    Promise::Alike
                };
                let same = known.state == *state;
                promises.expect(promise, same, || {
                    format!(
                        "state {count} differs at {}",
                        difference(&known.state, state)
                    )
                });
                if same {
                    *state = known.state.clone();
                }
            }
        }
        if self.states.len() > KEPT {
            self.states.pop_first();
        }
    }

    /// Notes a command.
    pub(super) fn ask(&mut self, asked: Asked) {
        if let Asked::Accepted(_, _, upto) = asked {
            self.newest = self.newest.max(upto);
        }
        self.asked.push(asked);
    }

    /// Notes an acknowledgement that was meant for the open barrier at `meant`, and came too late at `current`.
    pub(super) fn ask_late(&mut self, meant: u64, current: u64) {
        self.late_acks.push((meant, current));
    }

    /// Looks at the whole story, heard without a gap from `first` on: what was accepted is in it, and,
    /// when nobody but the crowd was there, what nobody asked for is not.
    pub(super) fn audit(&self, first: u64, alone: bool, promises: &mut Promises) {
        let mut claimed = HashSet::new();
        for asked in &self.asked {
            match asked {
                Asked::Accepted(effect, after, upto) if *after >= first => {
                    let told = self.events.get(&(after + 1)).filter(|told| effect.is(told));
                    let whole = (after + 1..=*upto).all(|count| self.events.contains_key(&count));
                    let own = (after + 1..=*upto).all(|count| claimed.insert(count));
                    promises.expect(
                        Promise::Reaches,
                        told.is_some() && whole && own && upto > after,
                        || format!("{effect:?} was accepted at {after} for {upto}, but that is another story"),
                    );
                }
                Asked::Done(effect) => {
                    let found = self.events.iter().find(|(_, told)| effect.is(told));
                    claimed.extend(found.map(|(count, _)| *count));
                    promises.expect(Promise::Reaches, found.is_some(), || {
                        format!("{effect:?} was accepted, and nobody heard of it")
                    });
                }
                _ => {}
            }
        }
        if alone {
            self.nothing_unasked(first, &claimed, promises);
        }
        for (meant, current) in self.late_acks.iter().filter(|(meant, _)| *meant >= first) {
            let between = self.events.range(meant + 1..=*current);
            let ended = between
                .into_iter()
                .any(|(_, told)| ENDS_A_BARRIER.contains(&told.name.as_str()));
            promises.expect(Promise::Current, ended, || {
                format!("an acknowledgement for {meant} was refused at {current}, with the same barrier open")
            });
        }
    }

    /// The music goes on without somebody who is not ready only when `start-now` asked for that, or right behind one
    /// of the `barrier.opened` that may do so.
    pub(super) fn nobody_skipped_unasked(
        &self,
        first: u64,
        at_once: &BTreeSet<u64>,
        promises: &mut Promises,
    ) {
        let skips =
            |told: &Told| told.name == "barrier.shrunk" && told.payload()["reason"] == "skipped";
        let mut unanswered = 0;
        let mut asked = HashSet::new();
        for command in &self.asked {
            match command {
                Asked::Accepted(effect, after, _) if effect.skips() => {
                    asked.insert(after + 1);
                }
                Asked::Unanswered(effect) if effect.skips() => unanswered += 1,
                _ => {}
            }
        }
        let mut before = None;
        for (count, told) in self.events.range(first + 1..) {
            // The first of those that are skipped together stands for all.
            if skips(told) && !before.is_some_and(skips) {
                let mut deserved = asked.contains(count) || at_once.contains(&(count - 1));
                if !deserved && unanswered > 0 {
                    unanswered -= 1;
                    deserved = true;
                }
                promises.expect(Promise::Waits, deserved, || {
                    format!("nobody asked to go without {}", told.text)
                });
            }
            before = Some(told);
        }
    }

    fn nothing_unasked(&self, first: u64, claimed: &HashSet<u64>, promises: &mut Promises) {
        let mut unanswered: Vec<_> = self
            .asked
            .iter()
            .filter_map(|asked| match asked {
                Asked::Unanswered(effect) => Some(effect),
                _ => None,
            })
            .collect();
        for (count, told) in self.events.range(first + 1..) {
            if !ONLY_ASKED.contains(&told.name.as_str()) {
                continue;
            }
            let mut asked = claimed.contains(count);
            if !asked {
                let explains = unanswered.iter().position(|effect| effect.is(told));
                asked = explains
                    .map(|index| unanswered.swap_remove(index))
                    .is_some();
            }
            promises.expect(Promise::NothingUnasked, asked, || {
                format!("no command that was accepted explains {}", told.text)
            });
        }
    }
}
