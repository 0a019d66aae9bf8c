//! Changes a device's name, its trim, and the delays of speakers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::command::Rejection;
use super::super::event::EventKind;
use super::super::id::MemberId;
use super::super::state::{Client, Comparison, ComparisonMethod};
use super::super::transition::Transition;

impl Transition {
    pub(super) fn rename(&mut self, member: MemberId, name: &str) -> Result<(), Rejection> {
        let clients = &mut self.room.durable.clients;
        let client = clients.get(&member).ok_or(Rejection::NotPaired)?;
        if client.name != name {
            let client = Client {
                name: name.into(),
                ..client.clone()
            };
            Arc::make_mut(clients).insert(member, client);
            self.emit(EventKind::ClientRenamed { member_id: member });
        }
        Ok(())
    }

    /// Copies the name, the kind and the speaker delay of a device from where they are kept. The device `tuned_by` has set the delay.
    pub(super) fn mirror(
        &mut self,
        member: MemberId,
        kept: &Client,
        tuned_by: Option<MemberId>,
    ) -> Result<(), Rejection> {
        let client = self.room.durable.clients.get(&member);
        let client = client.ok_or(Rejection::NotPaired)?.clone();
        // Only the device itself can change its name and its kind.
        self.by = Some(member);
        self.rename(member, &kept.name)?;
        let new_kind = kept.kind.clone().filter(|_| client.kind != kept.kind);
        if let Some(kind) = new_kind {
            self.set_client(member, |client| client.kind = Some(kind.clone()));
            self.emit(EventKind::ClientDescribed {
                member_id: member,
                kind,
            });
        }
        self.by = tuned_by;
        let delay = |client: &Client| (client.delay_ms, client.is_guess, client.compared.clone());
        if delay(&client) != delay(kept) {
            self.set_client(member, |client| {
                (client.delay_ms, client.is_guess, client.compared) = delay(kept);
            });
            self.emit(EventKind::ClientTuned {
                member_id: member,
                delay_ms: kept.delay_ms,
            });
        }
        Ok(())
    }

    fn set_client(&mut self, member: MemberId, change: impl FnOnce(&mut Client)) {
        let clients = Arc::make_mut(&mut self.room.durable.clients);
        if let Some(client) = clients.get_mut(&member) {
            change(client);
        }
    }

    /// Sets the speaker delays of one or more devices, in milliseconds. `member` is the sender. None of them counts as compared
    /// any more, also if its delay stays the same: a device may have another sound output now. Emits one event for each device
    /// of which the delay or the comparison changes.
    pub(super) fn tune(
        &mut self,
        member: MemberId,
        delays: &BTreeMap<MemberId, f64>,
    ) -> Result<(), Rejection> {
        self.expect_paired(member)?;
        self.expect_known(delays.keys())?;
        for (&member_id, &delay_ms) in delays {
            let client = self.room.durable.clients.get(&member_id);
            if client.is_some_and(|client| {
                client.delay_ms != delay_ms || client.compared.is_some() || client.is_guess
            }) {
                self.set_delay(member_id, delay_ms, None);
            }
        }
        Ok(())
    }

    /// Sets the trim of a device, in dB. `member` is the sender.
    pub(super) fn trim(
        &mut self,
        member: MemberId,
        trimmed: MemberId,
        trim_db: f64,
    ) -> Result<(), Rejection> {
        self.expect_paired(member)?;
        let clients = &mut self.room.durable.clients;
        let client = clients.get(&trimmed).ok_or(Rejection::UnknownMember)?;
        if client.trim_db == trim_db {
            return Ok(());
        }
        if let Some(client) = Arc::make_mut(clients).get_mut(&trimmed) {
            client.trim_db = trim_db;
        }
        self.emit(EventKind::ClientTrimmed {
            member_id: trimmed,
            trim_db,
        });
        Ok(())
    }

    /// Sets the speaker delays that a comparison of the devices `compared` has found, and records the comparison. Emits one
    /// event for each device in `delays`.
    pub(super) fn compare(
        &mut self,
        sender: Option<MemberId>,
        (by, at): (ComparisonMethod, &str),
        compared: &BTreeSet<MemberId>,
        delays: &BTreeMap<MemberId, f64>,
    ) -> Result<(), Rejection> {
        if let Some(member) = sender {
            self.expect_paired(member)?;
        }
        self.expect_known(delays.keys().chain(compared))?;
        for (&member_id, &delay_ms) in delays {
            let others = compared.iter().copied().filter(|other| *other != member_id);
            let comparison = Comparison {
                by,
                at: at.into(),
                with: others.collect(),
            };
            self.set_delay(member_id, delay_ms, Some(comparison));
        }
        self.learn_delays(delays);
        Ok(())
    }

    /// Rejects a command that names a device that is not paired.
    fn expect_known<'a>(
        &self,
        mut members: impl Iterator<Item = &'a MemberId>,
    ) -> Result<(), Rejection> {
        let clients = &self.room.durable.clients;
        if members.all(|member| clients.contains_key(member)) {
            Ok(())
        } else {
            Err(Rejection::UnknownMember)
        }
    }

    fn set_delay(&mut self, member_id: MemberId, delay_ms: f64, compared: Option<Comparison>) {
        let clients = &mut self.room.durable.clients;
        if let Some(client) = Arc::make_mut(clients).get_mut(&member_id) {
            client.delay_ms = delay_ms;
            client.compared = compared;
            client.is_guess = false;
        }
        self.emit(EventKind::ClientTuned {
            member_id,
            delay_ms,
        });
    }
}
