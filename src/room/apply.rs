//! Applies a command to a room: checks that the sender is paired and that the event count is current, and calls one function
//! for each command.

mod advance;
mod catalog_update;
mod device_kinds;
mod device_settings;
mod dj_commands;
mod downloads;
mod host_commands;
mod listeners;
mod order_commands;
mod pairing;
mod pick_commands;
mod playback;
mod rule_commands;
mod votes;

use super::command::{ApplyContext, Command, Control, Departure, Rejection};
use super::event::{Event, ShrinkReason};
use super::id::MemberId;
use super::permissions::Action;
use super::state::Room;
use super::transition::Transition;

/// Applies `command`. Returns the next room, and the events that lead to it, in order.
///
/// If there are no events, the durable state is that of `room`, but the private and the live state may differ.
///
/// # Errors
/// A [`Rejection`]: the command has no effect.
pub fn apply(
    room: &Room,
    command: &Command,
    context: ApplyContext,
) -> Result<(Room, Vec<Event>), Rejection> {
    let mut transition = Transition::new(room.clone(), sender(command), context);
    match command {
        Command::Control {
            member,
            if_match,
            control,
        } => transition.control(*member, *if_match, control)?,
        Command::Pair { name, token_hash } => transition.pair(name, *token_hash),
        Command::PairAgain {
            member,
            name,
            token_hash,
            old_token_hash,
        } => transition.pair_again(*member, name, *token_hash, *old_token_hash)?,
        Command::Admit { member, client } => transition.admit(*member, client),
        Command::Mirror {
            member,
            client,
            tuned_by,
        } => transition.mirror(*member, client, *tuned_by)?,
        Command::Expel { member, removed_by } => transition.expel(*member, *removed_by)?,
        Command::Rename { member, name } => transition.rename(*member, name)?,
        Command::Describe { member, kind } => transition.describe(*member, kind)?,
        Command::Tune { member, delays } => transition.tune(*member, delays)?,
        Command::Trim {
            member,
            trimmed,
            trim_db,
        } => transition.trim(*member, *trimmed, *trim_db)?,
        Command::Compare {
            sender,
            by,
            at,
            compared,
            delays,
        } => transition.compare(*sender, (*by, at), compared, delays)?,
        Command::Leave { member } => transition.leave(*member)?,
        Command::Unpair { member, target } => transition.unpair(*member, *target)?,
        Command::MakeHost { member } => transition.make_host(*member)?,
        Command::Oversee { members } => transition.room.live.overseers = members.clone(),
        Command::DjGone { member } => transition.dj_gone(*member),
        Command::Arrive { member, playback } => transition.arrive(*member, *playback)?,
        Command::Depart { member, how } => {
            let reason = match how {
                Departure::Left => ShrinkReason::Left,
                Departure::Vanished => ShrinkReason::Vanished,
            };
            transition.depart(*member, reason);
        }
        Command::DropStalled { member } => transition.drop_stalled(*member),
        Command::EndOfTrack { if_match } => {
            transition.expect_event_count(*if_match)?;
            transition.end_of_track()?;
        }
        Command::Library(catalog) => transition.update_catalog(catalog),
    }
    Ok(transition.finish())
}

/// The device that causes the events of a command; `None` if the server does. The departure of a listener, and a barrier member
/// that stalls, are noticed by the server itself. [`Transition::pair`] adds the new device, and [`Transition::mirror`] the one
/// whose data it copies.
fn sender(command: &Command) -> Option<MemberId> {
    match command {
        Command::Control { member, .. }
        | Command::PairAgain { member, .. }
        | Command::Admit { member, .. }
        | Command::Rename { member, .. }
        | Command::Describe { member, .. }
        | Command::Tune { member, .. }
        | Command::Trim { member, .. }
        | Command::Leave { member }
        | Command::Unpair { member, .. }
        | Command::Arrive { member, .. } => Some(*member),
        Command::Compare { sender, .. } => *sender,
        Command::Expel { member, removed_by } => Some(removed_by.unwrap_or(*member)),
        Command::Pair { .. }
        | Command::Mirror { .. }
        | Command::Depart { .. }
        | Command::DropStalled { .. }
        | Command::MakeHost { .. }
        | Command::Oversee { .. }
        | Command::DjGone { .. }
        | Command::EndOfTrack { .. }
        | Command::Library(_) => None,
    }
}

impl Transition {
    fn control(
        &mut self,
        member: MemberId,
        if_match: u64,
        control: &Control,
    ) -> Result<(), Rejection> {
        self.expect_paired(member)?;
        if !self.is_timely(if_match, control) {
            self.expect_event_count(if_match)?;
        }
        if let Some(action) = control.action() {
            self.expect_permission(member, action)?;
        }
        match *control {
            Control::Play { position_sec } => self.play(position_sec),
            Control::Pause { position_sec } => self.pause(position_sec),
            Control::Seek { position_sec } => self.seek(position_sec),
            Control::Next => self.next(),
            Control::Ended { track_id } => self.ended(member, track_id),
            Control::Previous => self.previous(),
            Control::PlayNow { track_id } => self.play_now(member, track_id),
            Control::Nudge { track_id } => self.nudge(member, track_id),
            Control::Pick { ref track_ids } => self.pick(member, track_ids),
            Control::Unpick { ref track_ids } => self.unpick(track_ids),
            Control::Move { track_id, before } => self.move_pick(track_id, before),
            Control::Shuffle { seed } => self.shuffle(seed),
            Control::Sort { order } => self.sort(order),
            Control::Undo => self.undo(member),
            Control::AckDownload {
                track_id,
                playable,
                duration_sec,
            } => {
                self.acknowledge(member, track_id, playable)?;
                if let Some(duration_sec) = duration_sec.filter(|_| playable) {
                    self.record_decoded_length(member, track_id, duration_sec);
                }
                Ok(())
            }
            Control::StartNow => self.start_now(),
            Control::ChangeRules(ref change) => self.change_rules(member, change),
            Control::ChangeHosts { member_id, host } => self.change_hosts(member_id, host),
            Control::ChangeDj { member_id } => self.change_dj(member, member_id),
            Control::ChooseDj { seed } => self.choose_dj(seed),
            Control::VoteDj { member_id } => self.vote_dj(member, member_id),
            Control::VoteSkip { track_id, up } => self.vote_skip(member, track_id, up),
            Control::VotePick { track_id, up } => self.vote_pick(member, track_id, up),
        }
    }

    /// Rejects a command that the rules do not permit.
    pub(super) fn expect_permission(
        &self,
        member: MemberId,
        action: Action<'_>,
    ) -> Result<(), Rejection> {
        let permission = self.room.check_permission(member, action);
        permission.map_err(Rejection::Forbidden)
    }

    /// Whether `control` is a vote that was meant for any earlier event count, or an acknowledgement that was meant for any count
    /// since the open barrier opened. These are accepted although the count is not current: many devices vote or acknowledge at
    /// the same moment, each of these commands is an event, and none invalidates another.
    fn is_timely(&self, if_match: u64, control: &Control) -> bool {
        if control.is_vote() {
            return if_match <= self.room.durable.event_count;
        }
        let opened_event_count = self.room.private.barrier_opened_event_count;
        matches!(control, Control::AckDownload { .. })
            && self.room.durable.barrier.is_some()
            && (opened_event_count..=self.room.durable.event_count).contains(&if_match)
    }
}
