//! The commands that make a device host, or end that; and the removal of all roles of a device that has left.

use std::sync::Arc;

use super::super::command::Rejection;
use super::super::event::EventKind;
use super::super::id::MemberId;
use super::super::rules::Rules;
use super::super::transition::Transition;

impl Transition {
    /// Makes a device host, or ends that.
    pub(super) fn change_hosts(
        &mut self,
        member_id: MemberId,
        host: bool,
    ) -> Result<(), Rejection> {
        self.expect_known_member(member_id)?;
        let durable = &self.room.durable;
        if durable.is_host(member_id) == host {
            return Ok(());
        }
        if !host && durable.hosts.len() == 1 && durable.rules != Rules::default() {
            return Err(Rejection::LastHost);
        }
        self.set_host(member_id, host);
        Ok(())
    }

    /// Makes a device host at the request of the user of the server's machine.
    pub(super) fn make_host(&mut self, member_id: MemberId) -> Result<(), Rejection> {
        self.change_hosts(member_id, true)
    }

    pub(super) fn set_host(&mut self, member_id: MemberId, host: bool) {
        let hosts = Arc::make_mut(&mut self.room.durable.hosts);
        match host {
            true => hosts.insert(member_id),
            false => hosts.remove(&member_id),
        };
        self.emit(EventKind::HostsChanged { member_id, host });
    }

    /// Rejects a command that names a device that is not paired.
    pub(super) fn expect_known_member(&self, member: MemberId) -> Result<(), Rejection> {
        match self.room.durable.clients.contains_key(&member) {
            true => Ok(()),
            false => Err(Rejection::UnknownMember),
        }
    }

    /// Removes the roles of an unpaired device, its votes, and the votes for it. Emits no event.
    pub(super) fn remove_roles(&mut self, member: MemberId) {
        let durable = &mut self.room.durable;
        if durable.hosts.contains(&member) {
            Arc::make_mut(&mut durable.hosts).remove(&member);
        }
        durable.dj = durable.dj.filter(|dj| *dj != member);
        if durable.skip_votes.contains(&member) {
            Arc::make_mut(&mut durable.skip_votes).remove(&member);
        }
        let mut votes = durable.dj_votes.iter();
        if votes.any(|(voter, wanted)| *voter == member || *wanted == Some(member)) {
            let votes = Arc::make_mut(&mut durable.dj_votes);
            votes.retain(|voter, wanted| *voter != member && *wanted != Some(member));
        }
        if self.room.live.dj_cooldowns.contains_key(&member) {
            Arc::make_mut(&mut self.room.live.dj_cooldowns).remove(&member);
        }
    }
}
