//! What random histories have come by: promises about what never happens are worth nothing.

use std::fmt;

use super::world::MEMBERS;

/// What happened, over one history or many.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) histories: u64,
    /// Drawn; those that make no sense for the room (nobody is paired, say) ask for nothing.
    pub(crate) steps: u64,
    /// Accepted, and everything about them checked; `Crowd` aside.
    pub(crate) checked: u64,
    pub(crate) refused: u64,
    pub(crate) events: u64,
    /// How many were checked with so many listening.
    pub(crate) listening: [u64; MEMBERS as usize + 1],
    /// Released later than in the step that opened it, by how many members it had at the opening.
    pub(crate) waits: [u64; MEMBERS as usize + 1],
    pub(crate) skipped: u64,
    pub(crate) promises_kept: u64,
    pub(crate) parked: u64,
    pub(crate) places_taken: u64,
    pub(crate) restarts: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, other: &Counts) {
        self.histories += other.histories;
        self.steps += other.steps;
        self.checked += other.checked;
        self.refused += other.refused;
        self.events += other.events;
        for n in 0..=usize::from(MEMBERS) {
            self.listening[n] += other.listening[n];
            self.waits[n] += other.waits[n];
        }
        self.skipped += other.skipped;
        self.promises_kept += other.promises_kept;
        self.parked += other.parked;
        self.places_taken += other.places_taken;
        self.restarts += other.restarts;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts {
            histories,
            steps,
            checked,
            refused,
            events,
            listening,
            waits,
            skipped,
            promises_kept,
            parked,
            places_taken,
            restarts,
        } = self;
        writeln!(f, "{histories} histories, {steps} steps drawn")?;
        writeln!(
            f,
            "{checked} commands accepted and checked, {refused} refused, {events} events"
        )?;
        writeln!(f, "accepted with 0 to {MEMBERS} listening: {listening:?}")?;
        writeln!(f, "waits for 0 to {MEMBERS} members: {waits:?}")?;
        write!(
            f,
            "starts without those missing: {skipped}, promises kept: {promises_kept}, parked: {parked}, \
             places taken from a phone: {places_taken}, restarts: {restarts}"
        )
    }
}
