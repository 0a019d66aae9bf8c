//! The pure core: what happens in a room, and nothing else.
//!
//! A [`Room`] is a value. [`apply`] takes one, and a [`Command`], and gives the room afterwards with
//! the [`Event`]s that lead there, or a [`Rejection`]. There is no clock, file, socket or task in here: the time
//! comes in as a [`Moment`], so every history can be replayed from its commands.

mod apply;
mod barrier;
mod command;
mod event;
mod id;
mod patch;
mod queue;
mod state;
#[cfg(test)]
mod tests;

pub use apply::apply;
pub use command::{Command, Control, Departure, Held, Moment, Rejection};
pub use event::{Event, EventKind, Shrink};
pub use id::{IdError, KeyHash, MemberId, TrackId};
pub use patch::PatchOp;
pub use state::{
    Barrier, BarrierType, Client, Durable, Holdings, LARGEST_DELAY_MS, Library, Live, Mode,
    PlayState, Private, Room, Segue,
};
