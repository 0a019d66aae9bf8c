//! Pairs a new device, pairs a device again, and unpairs devices.

use std::sync::Arc;

use super::super::command::Rejection;
use super::super::event::{EventKind, ShrinkReason};
use super::super::id::{MemberId, TokenHash};
use super::super::permissions::Action;
use super::super::picks;
use super::super::rules::PickOrder;
use super::super::state::Client;
use super::super::transition::Transition;

impl Transition {
    /// Adds a device with a new member id.
    pub(super) fn pair(&mut self, name: &str, token_hash: TokenHash) {
        self.room.private.last_member += 1;
        let member_id = MemberId(self.room.private.last_member);
        Arc::make_mut(&mut self.room.private.token_hashes).insert(token_hash, member_id);
        let client = Client {
            name: name.into(),
            ..Client::default()
        };
        Arc::make_mut(&mut self.room.durable.clients).insert(member_id, client);
        self.room.live.any_paired_since_start = true;
        self.by = Some(member_id);
        self.emit(EventKind::ClientPaired { member_id });
    }

    /// Gives a paired device a new token. The token that authorized the request stays valid as well, because the response
    /// may be lost; all other tokens of the device are revoked.
    pub(super) fn pair_again(
        &mut self,
        member: MemberId,
        name: &str,
        token_hash: TokenHash,
        old_token_hash: TokenHash,
    ) -> Result<(), Rejection> {
        let clients = Arc::make_mut(&mut self.room.durable.clients);
        let client = clients.get_mut(&member).ok_or(Rejection::NotPaired)?;
        if !name.is_empty() {
            client.name = name.into();
        }
        let token_hashes = Arc::make_mut(&mut self.room.private.token_hashes);
        token_hashes.retain(|hash, owner| *owner != member || *hash == old_token_hash);
        token_hashes.insert(token_hash, member);
        self.room.live.any_paired_since_start = true;
        self.emit(EventKind::ClientPaired { member_id: member });
        Ok(())
    }

    /// Adds a device with the member id that it has elsewhere.
    pub(super) fn admit(&mut self, member_id: MemberId, client: &Client) {
        if self.room.durable.clients.contains_key(&member_id) {
            return;
        }
        let last_member = &mut self.room.private.last_member;
        *last_member = member_id.0.max(*last_member);
        Arc::make_mut(&mut self.room.durable.clients).insert(member_id, client.clone());
        self.emit(EventKind::ClientPaired { member_id });
    }

    /// Removes a device that was removed elsewhere.
    pub(super) fn expel(
        &mut self,
        member: MemberId,
        removed_by: Option<MemberId>,
    ) -> Result<(), Rejection> {
        self.expect_paired(member)?;
        self.remove_client(member, removed_by.filter(|by| *by != member));
        Ok(())
    }

    /// Unpairs the sender.
    pub(super) fn leave(&mut self, member: MemberId) -> Result<(), Rejection> {
        self.expect_paired(member)?;
        self.remove_client(member, None);
        Ok(())
    }

    /// Unpairs `target` at the request of `member`.
    pub(super) fn unpair(&mut self, member: MemberId, target: MemberId) -> Result<(), Rejection> {
        self.expect_paired(member)?;
        self.expect_permission(member, Action::Unpair(target))?;
        if !self.room.durable.clients.contains_key(&target) {
            return Err(Rejection::UnknownMember);
        }
        self.remove_client(target, Some(member).filter(|member| *member != target));
        Ok(())
    }

    /// Removes a device, and revokes all of its tokens. `removed_by` is the sender if another device sent the request.
    fn remove_client(&mut self, member_id: MemberId, removed_by: Option<MemberId>) {
        self.depart(member_id, ShrinkReason::Left);
        let token_hashes = Arc::make_mut(&mut self.room.private.token_hashes);
        token_hashes.retain(|_, owner| *owner != member_id);
        let durable = &mut self.room.durable;
        Arc::make_mut(&mut durable.clients).remove(&member_id);
        picks::forget_device(member_id, &mut durable.picks, &mut durable.picked_by);
        self.forget_device_in_undo(member_id);
        self.remove_roles(member_id);
        if self.room.durable.rules.order == PickOrder::Votes {
            // The votes of the device are gone.
            self.sort_picks();
        }
        self.emit(EventKind::ClientLeft {
            member_id,
            removed_by,
        });
    }
}
