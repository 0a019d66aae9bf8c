//! The kind of a device, and the delay that is guessed from other devices of its kind.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::command::Rejection;
use super::super::event::EventKind;
use super::super::id::MemberId;
use super::super::learned_delays::DeviceKind;
use super::super::transition::Transition;

impl Transition {
    /// Records the kind of a device. A device without a delay of its own gets the delay that is guessed for its kind; a guess
    /// for another kind, as for another output of the device, is withdrawn.
    pub(super) fn describe(
        &mut self,
        member: MemberId,
        kind: &DeviceKind,
    ) -> Result<(), Rejection> {
        let clients = &mut self.room.durable.clients;
        let client = clients.get(&member).ok_or(Rejection::NotPaired)?;
        if client.kind.as_ref() == Some(kind) {
            return Ok(());
        }
        let has_own_delay =
            client.compared.is_some() || (client.delay_ms != 0.0 && !client.is_guess);
        if let Some(client) = Arc::make_mut(clients).get_mut(&member) {
            client.kind = Some(kind.clone());
        }
        self.emit(EventKind::ClientDescribed {
            member_id: member,
            kind: kind.clone(),
        });
        if !has_own_delay {
            let guess_ms = self.room.private.learned_delays.guess_ms(kind);
            self.guess_delay(member, guess_ms.unwrap_or(0.0));
        }
        Ok(())
    }

    fn guess_delay(&mut self, member_id: MemberId, delay_ms: f64) {
        let clients = Arc::make_mut(&mut self.room.durable.clients);
        if let Some(client) = clients.get_mut(&member_id) {
            if client.delay_ms == delay_ms {
                return;
            }
            client.delay_ms = delay_ms;
            client.is_guess = delay_ms != 0.0;
            self.emit(EventKind::ClientTuned {
                member_id,
                delay_ms,
            });
        }
    }

    /// Learns from the delays that a comparison has found.
    pub(super) fn learn_delays(&mut self, delays: &BTreeMap<MemberId, f64>) {
        for (&member, &delay_ms) in delays {
            let client = self.room.durable.clients.get(&member);
            if let Some(kind) = client.and_then(|client| client.kind.clone()) {
                Arc::make_mut(&mut self.room.private.learned_delays)
                    .record(&kind, member, delay_ms);
            }
        }
    }
}
