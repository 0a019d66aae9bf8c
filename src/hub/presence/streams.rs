//! The open event streams of all devices.

use std::collections::HashMap;

use crate::room::MemberId;
use crate::wire::Role;

/// The most streams of one device. A browser opens at most six HTTP/1.1 connections to an origin, for all of its tabs
/// together, and a device may use the HTTP and the HTTPS origin. More streams than these are left over from broken
/// connections that the kernel has not closed yet.
pub(super) const MAX_STREAMS_PER_DEVICE: usize = 8;

/// Identifies an event stream of one hub. Later streams have larger ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(u64);

#[cfg(test)]
impl StreamId {
    pub(in crate::hub) fn numbered(number: u64) -> Self {
        StreamId(number)
    }
}

/// The open streams, each with its device and role.
#[derive(Debug, Default)]
pub(super) struct OpenStreams {
    streams: HashMap<StreamId, (MemberId, Role)>,
    last_id: u64,
}

impl OpenStreams {
    pub(super) fn open(&mut self, member: MemberId, role: Role) -> StreamId {
        self.last_id += 1;
        let id = StreamId(self.last_id);
        self.streams.insert(id, (member, role));
        id
    }

    /// Removes a stream, and returns its device and role; `None` if the stream was closed already.
    pub(super) fn close(&mut self, id: StreamId) -> Option<(MemberId, Role)> {
        self.streams.remove(&id)
    }

    /// The oldest stream of a device, if the device has more than [`MAX_STREAMS_PER_DEVICE`]. The caller closes the oldest
    /// stream, because the device reads its newest streams.
    pub(super) fn surplus(&self, member: MemberId) -> Option<StreamId> {
        let own = self.streams_of(member);
        (own.len() > MAX_STREAMS_PER_DEVICE).then(|| own.into_iter().min())?
    }

    fn streams_of(&self, member: MemberId) -> Vec<StreamId> {
        let streams = self.streams.iter();
        let own = streams.filter(|(_, (owner, _))| *owner == member);
        own.map(|(id, _)| *id).collect()
    }

    /// Removes all streams of a device, and returns them.
    pub(super) fn close_all_of(&mut self, member: MemberId) -> Vec<StreamId> {
        let own = self.streams_of(member);
        for id in &own {
            self.streams.remove(id);
        }
        own
    }

    /// Removes the streams of a device with the role listener, and returns them.
    pub(super) fn close_listening_of(&mut self, member: MemberId) -> Vec<StreamId> {
        let listening = (member, Role::Listener);
        let mut own = self.streams_of(member);
        own.retain(|id| self.streams.get(id) == Some(&listening));
        for id in &own {
            self.streams.remove(id);
        }
        own
    }

    pub(super) fn has_stream(&self, member: MemberId) -> bool {
        let mut streams = self.streams.values();
        streams.any(|(owner, _)| *owner == member)
    }

    pub(super) fn has_remote_stream(&self, member: MemberId) -> bool {
        let mut streams = self.streams.values();
        streams.any(|stream| *stream == (member, Role::Remote))
    }

    pub(super) fn clear(&mut self) {
        self.streams.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.streams.len()
    }
}
