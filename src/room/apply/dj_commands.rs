//! The commands that make a device DJ or remove the DJ.

use std::sync::Arc;

use super::super::command::Rejection;
use super::super::event::{DjReason, EventKind};
use super::super::id::MemberId;
use super::super::transition::Transition;

impl Transition {
    /// Makes a device DJ, or removes the DJ, at the request of a host or of the DJ.
    pub(super) fn change_dj(
        &mut self,
        member: MemberId,
        member_id: Option<MemberId>,
    ) -> Result<(), Rejection> {
        let (old, is_host) = (self.room.durable.dj, self.room.has_host_rights(member));
        if let Some(new) = member_id {
            self.expect_known_member(new)?;
        }
        match member_id {
            _ if member_id == old => {}
            None if old == Some(member) => self.set_dj(None, DjReason::Removed),
            None => self.remove_dj(),
            Some(new) if is_host => {
                self.end_cooldown(new);
                self.set_dj(member_id, DjReason::Host);
            }
            Some(new) if self.is_cooling_down(new) => return Err(Rejection::CoolingDown),
            Some(_) => self.set_dj(member_id, DjReason::Handed),
        }
        Ok(())
    }

    /// Makes one of the listeners DJ who can be; another one than now, if there is one.
    pub(super) fn choose_dj(&mut self, seed: u64) -> Result<(), Rejection> {
        let listeners = self.room.live.listeners.iter().copied();
        let mut candidates: Vec<_> = listeners.filter(|m| !self.is_cooling_down(*m)).collect();
        if candidates.is_empty() {
            return Err(Rejection::NoCandidateForDj);
        }
        candidates.retain(|candidate| !self.room.durable.is_dj(*candidate));
        if !candidates.is_empty() {
            let chosen = candidates[(seed % candidates.len() as u64) as usize];
            self.set_dj(Some(chosen), DjReason::Random);
        }
        Ok(())
    }

    /// Ends the role of a DJ that has not been connected for too long.
    pub(super) fn dj_gone(&mut self, member: MemberId) {
        if self.room.durable.is_dj(member) {
            self.set_dj(None, DjReason::Gone);
        }
    }

    /// Removes the DJ, which then cannot be DJ again for a while.
    pub(super) fn remove_dj(&mut self) {
        let now_ms = self.context.now_ms;
        let cooldown_ms = 1e3 * f64::from(self.room.durable.rules.dj_cooldown_sec);
        if let Some(dj) = self.room.durable.dj {
            let cooldowns = Arc::make_mut(&mut self.room.live.dj_cooldowns);
            cooldowns.retain(|_, until_ms| *until_ms > now_ms);
            if cooldown_ms > 0.0 {
                cooldowns.insert(dj, now_ms + cooldown_ms);
            }
        }
        self.set_dj(None, DjReason::Removed);
    }

    pub(super) fn set_dj(&mut self, member_id: Option<MemberId>, reason: DjReason) {
        self.room.durable.dj = member_id;
        self.room.durable.dj_votes = Arc::default();
        self.emit(EventKind::DjChanged { member_id, reason });
    }

    pub(super) fn is_cooling_down(&self, member: MemberId) -> bool {
        let until_ms = self.room.live.dj_cooldowns.get(&member);
        until_ms.is_some_and(|until_ms| *until_ms > self.context.now_ms)
    }

    fn end_cooldown(&mut self, member: MemberId) {
        if self.room.live.dj_cooldowns.contains_key(&member) {
            Arc::make_mut(&mut self.room.live.dj_cooldowns).remove(&member);
        }
    }
}
