//! The command that changes the rules.

use super::super::command::Rejection;
use super::super::event::EventKind;
use super::super::id::MemberId;
use super::super::rules::RulesChange;
use super::super::transition::Transition;

impl Transition {
    /// Changes rules. If the order of the picks changes, puts them in that order. While there is no host, a device that names a rule
    /// becomes host, also if the rule has the named value already: so that a room with the wanted rules can be claimed.
    pub(super) fn change_rules(
        &mut self,
        member: MemberId,
        change: &RulesChange,
    ) -> Result<(), Rejection> {
        let old = self.room.durable.rules;
        let rules = old.changed(change).map_err(Rejection::RuleOutOfRange)?;
        if self.room.durable.hosts.is_empty() && *change != RulesChange::default() {
            self.set_host(member, true);
        }
        if rules == old {
            return Ok(());
        }
        self.room.durable.rules = rules;
        if rules.order != old.order {
            self.sort_picks();
        }
        self.emit(EventKind::RulesChanged {
            changed: old.difference(&rules),
        });
        Ok(())
    }
}
