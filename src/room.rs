//! The pure core of a room: decides what each command changes, without I/O, clock, randomness or await.
//!
//! [`apply`] takes a [`Room`] and a [`Command`] and returns the next room with the [`Event`]s that describe the change, or a
//! [`Rejection`]. The caller passes the time in an [`ApplyContext`], so a room's history can be replayed from its commands
//! and their contexts. The module has no global state: a process may hold any number of rooms.
//!
//! # Terms
//!
//! | term | meaning |
//! | --- | --- |
//! | catalog | the tracks of the library, with their durations |
//! | queue | all tracks of the catalog as a ring; the track after the current one is *next-up* |
//! | device | a paired client of the server, identified by its *member id*, which does not imply membership in a barrier |
//! | listener | a device that plays: it has an open event stream with the role `listener` |
//! | remote | a device with an open event stream that only shows and controls the room |
//! | anchor | a position in the current track, set by a start, stop or seek, and the time at which playback reaches that position |
//! | barrier | the wait until each of its *members* is *ready*: holds the current track, or cannot play it |
//! | start lead | the time from a command to the start of playback that the command causes; within this time, the event of the start reaches all listeners |
//! | segue | the announcement that next-up starts when the current track ends; the announced time is the *promised* start |
//! | absence | the recorded place in the queue of tracks that the catalog no longer has; if the tracks come back, they return there |
//! | pick | a track that a member has asked for; the picks directly follow the current track in the ring |
//! | nudge | the command that makes a track the first pick, so that it becomes next-up |
//! | host | a device that may change the rules |
//! | DJ | the one device that may control while the rules say so |
//! | pinned | said of a pick that was nudged while the rules determine the order: it precedes those that are not pinned |
//! | parked | the mode is playing, but there is no listener: the position stays at the anchor until a listener arrives |
//!
//! # Where to look
//!
//! | question | file |
//! | --- | --- |
//! | Which commands exist, and which function applies each? | `command.rs`, `apply.rs` |
//! | Where is play, pause or a seek applied? | `apply/playback.rs` |
//! | Where does another track become the current one? | `apply/advance.rs`; the ring itself: `queue.rs` |
//! | Where are tracks picked, moved, shuffled and sorted? | `apply/pick_commands.rs`, `apply/order_commands.rs`; the picks: `picks.rs` |
//! | In which order are picks? | `pick_order.rs` |
//! | Who may do what? | `permissions.rs`; the rules: `rules.rs`, `apply/rule_commands.rs`, `apply/host_commands.rs` |
//! | Where is a DJ chosen, and where are votes counted? | `apply/dj_commands.rs`, `apply/votes.rs` |
//! | How is a change of the queue undone? | `undo.rs` |
//! | Where does a listener arrive or depart? | `apply/listeners.rs`; the hub decides when: `hub/presence` |
//! | Where is a device paired, unpaired, renamed, or its delay or trim set? | `apply/pairing.rs`, `apply/device_settings.rs` |
//! | Where does a rescan change the queue? | `apply/catalog_update.rs` |
//! | Where does a barrier open, shrink and release? | `barrier.rs` |
//! | Where is the start time of next-up promised? | `segue.rs` |
//! | What if the catalog states a wrong length? | `decoded_lengths.rs` |
//! | With which gain is a track played? | `levelling.rs` |
//! | Where do events get their count and patch? | `transition.rs`, `patch.rs` |
//! | What does the state file hold, and what makes it invalid? | `state.rs`, `consistency.rs` |
//!
//! # Invariants
//!
//! `tests/model` checks these invariants after every command of random and exhaustive histories.
//!
//! - The durable state changes only by events. Each event adds exactly 1 to `event_count`, so the count identifies the
//!   state.
//! - Applying an event's patch to snapshot N−1 gives snapshot N.
//! - A rejected command changes nothing.
//! - An open barrier loses members and never gains one. A barrier is released as soon as all of its members are ready and at
//!   least one device listens. The hub removes each member that leaves, vanishes or stalls, so devices that fail cannot keep
//!   a barrier open.
//! - The queue is a permutation of the catalog, and `queue_index` points at the current track. The picks directly follow the
//!   current track.
//! - Playback advances exactly while the mode is playing and at least one device listens.

mod apply;
mod barrier;
mod catalog;
mod command;
mod consistency;
mod decoded_lengths;
mod device_name;
mod event;
mod id;
mod learned_delays;
mod levelling;
mod patch;
mod permissions;
mod pick_order;
mod picks;
mod queue;
mod rules;
mod segue;
mod sort_order;
mod state;
#[cfg(test)]
mod tests;
mod transition;
mod undo;

pub use apply::apply;
pub use barrier::{Barrier, BarrierType};
pub use catalog::TrackCatalog;
pub use command::{ApplyContext, Command, Control, Departure, Rejection, ReportedPlayback};
pub use decoded_lengths::{DecodedLengths, is_credible_correction};
pub use device_name::clean_device_name;
pub use event::{AdvanceReason, DjReason, Event, EventKind, ShrinkReason, Vote};
pub use id::{IdError, MemberId, TokenHash, TrackId};
pub use learned_delays::{DeviceKind, LearnedDelays};
pub use levelling::{AlbumLevel, MAX_LEVEL_GAIN_DB, PreviousTrack, TrackLevel, level_gain_db};
pub use patch::PatchOp;
pub use permissions::{Action, Refusal};
pub use pick_order::{PickPlace, PickPlaces};
pub use picks::Pick;
pub use queue::Absence;
pub use rules::{
    Access, MAX_DJ_COOLDOWN_SEC, MAX_PICK_LIMIT, Permitted, PickOrder, Rules, RulesChange,
};
pub use segue::Segue;
pub use sort_order::{SortOrder, SortPlaces};
pub use state::{
    Client, Comparison, ComparisonMethod, DeviceTracks, DurableState, LiveState,
    MAX_SPEAKER_DELAY_MS, MIN_TRIM_DB, Mode, PlayState, PrivateState, Room,
};
pub use undo::{Undo, UndoPlayback};
