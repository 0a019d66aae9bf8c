//! Which device may do what now, by the rules of the room. The commands with an [`Action`], and the requests that are no commands
//! of the room, call [`DurableState::check_permission`].

use super::command::Control;
use super::event::EventKind;
use super::id::{MemberId, TrackId};
use super::rules::{Access, Permitted, PickOrder};
use super::state::{DurableState, Room};

/// What a device wants to do. Everything that is not listed, such as acknowledging a track, is for every device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action<'a> {
    /// Control playback or the order of the queue.
    Control,
    /// Pick tracks.
    Pick,
    /// Make a track the first pick.
    Nudge,
    /// Take back picks.
    Unpick(&'a [TrackId]),
    /// Move a pick.
    Move(TrackId),
    /// Vote for skipping the current track.
    VoteSkip,
    /// Change the rules.
    ChangeRules,
    /// Make a device host, or end that.
    ChangeHosts,
    /// Make a device DJ, or remove the DJ.
    ChangeDj,
    /// Choose a DJ at random.
    ChooseDj,
    /// Unpair a device.
    Unpair(MemberId),
    /// Replace the pairing code.
    RenewCode,
    /// See the pairing code.
    SeeCode,
    /// Upload.
    Upload,
    /// Remove an upload of the devices.
    RemoveUpload(&'a [MemberId]),
    /// Send a message.
    Chat,
    /// Remove a message of a device.
    RemoveMessage(MemberId),
}

/// Why a device may not do something: who may instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Only the hosts.
    HostsOnly,
    /// The DJ, and the hosts.
    DjOnly,
    /// The device to which it belongs, and the hosts.
    OwnerOnly(Option<MemberId>),
    /// The device that has picked the track, if it is still paired, the DJ and the hosts.
    PickerOnly(Option<MemberId>),
    /// No device: the rules do not let the listeners skip together.
    SkipVotesAreOff,
    /// No device: the rules determine the order of the picks.
    OrderedByRule,
    /// No device: the rules permit no messages.
    ChatIsOff,
}

impl DurableState {
    /// Whether the device is a host.
    pub fn is_host(&self, member: MemberId) -> bool {
        self.hosts.contains(&member)
    }

    /// Whether the device is the DJ.
    pub fn is_dj(&self, member: MemberId) -> bool {
        self.dj == Some(member)
    }

    /// Checks that a paired device may do something now.
    ///
    /// # Errors
    /// Who may.
    pub fn check_permission(&self, member: MemberId, action: Action<'_>) -> Result<(), Refusal> {
        let rules = &self.rules;
        let (is_host, is_dj) = (self.is_host(member), self.is_dj(member));
        let hosts_if = |is_allowed: bool| match is_allowed || is_host {
            true => Ok(()),
            false => Err(Refusal::HostsOnly),
        };
        match action {
            Action::Control => self.check_permitted(member, rules.control),
            Action::Pick => self.check_permitted(member, rules.picks),
            Action::Nudge => {
                self.check_permitted(member, rules.picks)?;
                match rules.order == PickOrder::First || is_host || is_dj {
                    true => Ok(()),
                    false => Err(Refusal::DjOnly),
                }
            }
            Action::Unpick(tracks) => tracks
                .iter()
                .try_for_each(|track| self.check_pick_permission(member, *track)),
            Action::Move(_) if rules.order != PickOrder::First => Err(Refusal::OrderedByRule),
            Action::Move(track) => self.check_pick_permission(member, track),
            // While everyone may skip, a vote is recorded, and never skips: it counts once the rules reserve skipping.
            Action::VoteSkip if rules.control == Permitted::Everyone => Ok(()),
            Action::VoteSkip if rules.skip_share > 0.0 => Ok(()),
            Action::VoteSkip => Err(Refusal::SkipVotesAreOff),
            Action::ChangeRules | Action::RenewCode => hosts_if(self.hosts.is_empty()),
            Action::ChangeHosts | Action::ChooseDj => hosts_if(false),
            Action::ChangeDj if is_dj => Ok(()),
            Action::ChangeDj => match self.dj {
                Some(_) if !is_host => Err(Refusal::DjOnly),
                _ => hosts_if(false),
            },
            Action::Unpair(target) => hosts_if(target == member || self.hosts.is_empty()),
            Action::SeeCode => hosts_if(rules.invite == Access::Everyone),
            Action::Upload => hosts_if(rules.uploads == Access::Everyone),
            Action::RemoveUpload(owners) => {
                let is_allowed = self.hosts.is_empty() || owners.contains(&member) || is_host;
                let owner = owners.first().copied();
                is_allowed.then_some(()).ok_or(Refusal::OwnerOnly(owner))
            }
            Action::Chat if rules.chat => Ok(()),
            Action::Chat => Err(Refusal::ChatIsOff),
            Action::RemoveMessage(author) => {
                let is_allowed = author == member || is_host;
                is_allowed
                    .then_some(())
                    .ok_or(Refusal::OwnerOnly(Some(author)))
            }
        }
    }

    fn check_permitted(&self, member: MemberId, permitted: Permitted) -> Result<(), Refusal> {
        match permitted {
            _ if self.is_host(member) => Ok(()),
            Permitted::Everyone => Ok(()),
            Permitted::Dj if self.dj.is_none() || self.is_dj(member) => Ok(()),
            Permitted::Dj => Err(Refusal::DjOnly),
            Permitted::Hosts => Err(Refusal::HostsOnly),
        }
    }

    /// Whether a device may take back or move the pick of a track. A track that is not a pick is refused elsewhere.
    fn check_pick_permission(&self, member: MemberId, track: TrackId) -> Result<(), Refusal> {
        let may_all =
            self.is_host(member) || self.is_dj(member) || self.rules.control == Permitted::Everyone;
        match self.picks.iter().find(|pick| pick.track_id == track) {
            Some(pick) if !may_all && pick.by != Some(member) => Err(Refusal::PickerOnly(pick.by)),
            _ => Ok(()),
        }
    }
}

impl Room {
    /// Whether a device has the rights of a host: as a host, or as an overseer.
    pub fn has_host_rights(&self, member: MemberId) -> bool {
        self.durable.is_host(member) || self.live.overseers.contains(&member)
    }

    /// As [`DurableState::check_permission`], for overseers, too. They may do what hosts may.
    ///
    /// # Errors
    /// Who may.
    pub fn check_permission(&self, member: MemberId, action: Action<'_>) -> Result<(), Refusal> {
        self.permit_overseer(member, self.durable.check_permission(member, action))
    }

    /// Permits an overseer what a host is permitted.
    pub(super) fn permit_overseer(
        &self,
        member: MemberId,
        permission: Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let is_for_hosts = |refusal: &Refusal| match refusal {
            Refusal::HostsOnly
            | Refusal::DjOnly
            | Refusal::OwnerOnly(_)
            | Refusal::PickerOnly(_) => true,
            Refusal::OrderedByRule | Refusal::ChatIsOff | Refusal::SkipVotesAreOff => false,
        };
        match permission {
            Err(refusal) if is_for_hosts(&refusal) && self.live.overseers.contains(&member) => {
                Ok(())
            }
            other => other,
        }
    }
}

impl Control {
    /// What a device does by this request; `None` if every device may do it.
    pub fn action(&self) -> Option<Action<'_>> {
        Some(match self {
            Control::Play { .. }
            | Control::Pause { .. }
            | Control::Seek { .. }
            | Control::Next
            | Control::Previous
            | Control::PlayNow { .. }
            | Control::Shuffle { .. }
            | Control::Sort { .. } => Action::Control,
            Control::Pick { .. } => Action::Pick,
            Control::Nudge { .. } => Action::Nudge,
            Control::Unpick { track_ids } => Action::Unpick(track_ids),
            Control::Move { track_id, .. } => Action::Move(*track_id),
            Control::ChangeRules(_) => Action::ChangeRules,
            Control::ChangeHosts { .. } => Action::ChangeHosts,
            Control::ChangeDj { .. } => Action::ChangeDj,
            Control::ChooseDj { .. } => Action::ChooseDj,
            Control::VoteSkip { .. } => Action::VoteSkip,
            // The right to undo depends on what is undone.
            Control::Undo
            | Control::Ended { .. }
            | Control::AckDownload { .. }
            | Control::StartNow
            | Control::VoteDj { .. }
            | Control::VotePick { .. } => return None,
        })
    }
}

impl EventKind {
    /// What a device did if it caused this change of the queue.
    pub(super) fn action(&self) -> Action<'_> {
        match self {
            EventKind::QueuePicked { .. } => Action::Pick,
            EventKind::QueueNudged { .. } => Action::Nudge,
            EventKind::QueueUnpicked { track_ids } => Action::Unpick(track_ids),
            EventKind::QueueMoved { track_id, .. } => Action::Move(*track_id),
            _ => Action::Control,
        }
    }
}
