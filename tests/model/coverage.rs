//! Counts the situations that occurred in random histories: a passed check proves nothing about situations that never
//! occurred.

use std::fmt;

use super::world::{MAX_MEMBERS, TRACKS};

/// How often each situation occurred in one or more histories.
#[derive(Debug, Default)]
pub(crate) struct Coverage {
    pub(crate) histories: u64,
    /// Generated steps. A step that does not apply (no device is paired, for example) sends no command.
    pub(crate) steps: u64,
    /// Accepted and checked commands, without the commands of the step `AddListeners`.
    pub(crate) checked: u64,
    /// Rejected commands.
    pub(crate) rejected: u64,
    pub(crate) events: u64,
    /// Checked commands, by the number of listeners.
    pub(crate) listening: [u64; MAX_MEMBERS as usize + 1],
    /// Barriers that were not released by the command that opened them but by a later one, by the number of members at the
    /// opening.
    pub(crate) waits: [u64; MAX_MEMBERS as usize + 1],
    /// Barriers that were released without members that were not ready.
    pub(crate) skipped: u64,
    /// Starts at the time that a segue (see `lockstep::room::Segue`) promised.
    pub(crate) segues_kept: u64,
    /// Promises that moved because the current track got another length.
    pub(crate) segues_moved: u64,
    /// Times that the last listener departed during playback, which parks playback.
    pub(crate) parked: u64,
    /// Gains that became known before the current track was played.
    pub(crate) levelled: u64,
    /// Tracks that got the gain that a segue promised, although the catalog has another one.
    pub(crate) promised_gains_kept: u64,
    /// Starts at a position that an arriving device reported.
    pub(crate) positions_reported: u64,
    pub(crate) restarts: u64,
    /// Removed current tracks that another track of the queue replaced.
    pub(crate) removed_current: u64,
    /// Library changes that removed picks.
    pub(crate) removed_picks: u64,
    /// Library changes after which there were picks.
    pub(crate) library_with_picks: u64,
    /// Changes of the order that were undone.
    pub(crate) undone: u64,
    /// Starts of other tracks that were undone.
    pub(crate) undone_starts: u64,
    /// Ends of tracks that a device reported.
    pub(crate) reported_ends: u64,
    /// Departures for good of devices that had picks.
    pub(crate) orphaned_picks: u64,
    /// Commands that the rules did not permit.
    pub(crate) forbidden: u64,
    /// Times that a device became host by changing a rule.
    pub(crate) claimed: u64,
    /// Changes of the DJ by votes.
    pub(crate) elected: u64,
    /// Tracks that votes skipped.
    pub(crate) skipped_by_vote: u64,
    /// Changes of the rules that put the picks into another order.
    pub(crate) reordered: u64,
    /// Votes that put the picks into another order.
    pub(crate) voted_up: u64,
    /// Checked commands after which a pick was pinned.
    pub(crate) pinned: u64,
    /// Checked commands after which there were several picks, by the order of the rules.
    pub(crate) by_order: [u64; 3],
    /// Checked commands, by the number of picks after them.
    pub(crate) picks: [u64; TRACKS as usize],
}

impl Coverage {
    pub(crate) fn add(&mut self, other: &Coverage) {
        self.histories += other.histories;
        self.steps += other.steps;
        self.checked += other.checked;
        self.rejected += other.rejected;
        self.events += other.events;
        for n in 0..=usize::from(MAX_MEMBERS) {
            self.listening[n] += other.listening[n];
            self.waits[n] += other.waits[n];
        }
        self.skipped += other.skipped;
        self.segues_kept += other.segues_kept;
        self.segues_moved += other.segues_moved;
        self.parked += other.parked;
        self.levelled += other.levelled;
        self.promised_gains_kept += other.promised_gains_kept;
        self.positions_reported += other.positions_reported;
        self.restarts += other.restarts;
        self.removed_current += other.removed_current;
        self.removed_picks += other.removed_picks;
        self.library_with_picks += other.library_with_picks;
        self.undone += other.undone;
        self.undone_starts += other.undone_starts;
        self.reported_ends += other.reported_ends;
        self.orphaned_picks += other.orphaned_picks;
        self.forbidden += other.forbidden;
        self.claimed += other.claimed;
        self.elected += other.elected;
        self.skipped_by_vote += other.skipped_by_vote;
        self.reordered += other.reordered;
        self.voted_up += other.voted_up;
        self.pinned += other.pinned;
        for (sum, count) in self.by_order.iter_mut().zip(other.by_order) {
            *sum += count;
        }
        for (sum, count) in self.picks.iter_mut().zip(other.picks) {
            *sum += count;
        }
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Coverage {
            histories,
            steps,
            checked,
            rejected,
            events,
            listening,
            waits,
            skipped,
            segues_kept,
            segues_moved,
            parked,
            levelled,
            promised_gains_kept,
            positions_reported,
            restarts,
            removed_current,
            removed_picks,
            library_with_picks,
            undone,
            undone_starts,
            reported_ends,
            orphaned_picks,
            forbidden,
            claimed,
            elected,
            skipped_by_vote,
            reordered,
            voted_up,
            pinned,
            by_order,
            picks,
        } = self;
        writeln!(f, "{histories} histories, {steps} steps")?;
        writeln!(
            f,
            "{checked} commands accepted and checked, {rejected} rejected, {events} events"
        )?;
        writeln!(
            f,
            "commands with 0 to {MAX_MEMBERS} listeners: {listening:?}"
        )?;
        writeln!(
            f,
            "barriers that waited for 0 to {MAX_MEMBERS} members: {waits:?}"
        )?;
        writeln!(
            f,
            "commands with 0 to {} picks: {picks:?}, library changes with picks: {library_with_picks}, removed picks: \
             {removed_picks}, removed current tracks: {removed_current}, picks of devices that have left: {orphaned_picks}",
            TRACKS - 1
        )?;
        writeln!(
            f,
            "undone orders: {undone}, undone starts: {undone_starts}, reported ends: {reported_ends}"
        )?;
        writeln!(
            f,
            "not permitted: {forbidden}, hosts by a first change: {claimed}, DJs changed by votes: {elected}, tracks skipped by \
             votes: {skipped_by_vote}, orders changed: {reordered}, picks voted up: {voted_up}, commands with pinned picks: \
             {pinned}, with several picks in the orders first, turns and votes: {by_order:?}"
        )?;
        write!(
            f,
            "starts without missing members: {skipped}, segues kept: {segues_kept}, moved: {segues_moved}, parked: {parked}, \
             levelled: {levelled}, promised gains kept: {promised_gains_kept}, \
             positions taken from a report: {positions_reported}, restarts: {restarts}"
        )
    }
}
