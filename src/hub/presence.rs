//! Who is connected and how far their downloads are: bookkeeping over streams, in the time that it is
//! given. It makes commands of what it sees (arrive, depart, excuse) by comparing it with the room,
//! so that one that could not be written is simply made again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::room::{Command, Departure, Held, MemberId, Room, TrackId};
use crate::wire::{Download, Role};

/// A member of a barrier that neither fetches nor acknowledges for so long is excused; and one that a restarted
/// server expects counts as vanished when it has not come back by then.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

/// Names an open event stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StreamId(u64);

/// What everybody is shown of the connected devices, besides the room.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Connected {
    /// The downloads under way.
    pub downloads: BTreeMap<MemberId, Download>,
    /// Those who follow without listening.
    pub remotes: BTreeSet<MemberId>,
}

#[derive(Debug)]
struct Stream {
    member: MemberId,
    role: Role,
    _end: oneshot::Sender<()>,
}

/// What is known of one device that listens, or did a moment ago.
#[derive(Debug)]
struct Device {
    /// Open streams that make it a listener.
    streams: usize,
    /// When the last of them closed.
    gone_since: Option<Instant>,
    /// How long it may be gone, and how it is gone then.
    gone_as: (Duration, Departure),
    /// When it last opened a stream, moved in its download or acknowledged.
    last_sign: Instant,
    /// What it said that it plays, and when.
    held: Option<(Held, Instant)>,
}

#[derive(Debug)]
pub(super) struct Presence {
    streams: HashMap<StreamId, Stream>,
    last_stream: u64,
    devices: BTreeMap<MemberId, Device>,
    connected: Arc<Connected>,
    grace: Duration,
    /// When the barrier that is open now was first seen.
    barrier_since: Option<(u64, Instant)>,
}

impl Presence {
    /// Nobody is connected; the members of a barrier that was open when the server went down are
    /// given some time to come back.
    pub(super) fn new(room: &Room, grace: Duration, now: Instant) -> Self {
        let expected = room
            .durable
            .barrier
            .iter()
            .flat_map(|barrier| &barrier.members);
        let device = |member: &MemberId| {
            let gone_as = (PATIENCE, Departure::Vanished);
            (
                *member,
                Device {
                    streams: 0,
                    gone_since: Some(now),
                    gone_as,
                    last_sign: now,
                    held: None,
                },
            )
        };
        Presence {
            streams: HashMap::new(),
            last_stream: 0,
            devices: expected.map(device).collect(),
            connected: Arc::default(),
            grace,
            barrier_since: None,
        }
    }

    pub(super) fn connected(&self) -> Arc<Connected> {
        self.connected.clone()
    }

    /// A stream begins. The receiver ends when the stream is to.
    pub(super) fn open(
        &mut self,
        member: MemberId,
        role: Role,
        held: Option<Held>,
        now: Instant,
    ) -> (StreamId, oneshot::Receiver<()>) {
        let (end, ended) = oneshot::channel();
        self.last_stream += 1;
        let id = StreamId(self.last_stream);
        self.streams.insert(
            id,
            Stream {
                member,
                role,
                _end: end,
            },
        );
        if role == Role::Listener {
            let streams = self.devices.get(&member).map_or(0, |device| device.streams);
            let device = Device {
                streams: streams + 1,
                gone_since: None,
                gone_as: (self.grace, Departure::Left),
                last_sign: now,
                held: held.map(|held| (held, now)),
            };
            self.devices.insert(member, device);
        }
        self.sort_remotes(member);
        (id, ended)
    }

    fn is_listening(&self, member: MemberId) -> bool {
        self.devices
            .get(&member)
            .is_some_and(|device| device.streams > 0)
    }

    /// A stream is gone.
    pub(super) fn close(&mut self, id: StreamId, now: Instant) {
        let Some(Stream { member, role, .. }) = self.streams.remove(&id) else {
            return;
        };
        if let (Role::Listener, Some(device)) = (role, self.devices.get_mut(&member)) {
            device.streams -= 1;
            if device.streams == 0 {
                device.gone_since = Some(now);
            }
        }
        self.sort_remotes(member);
    }

    /// A device is a remote when it follows and does not listen.
    fn sort_remotes(&mut self, member: MemberId) {
        let follows = self
            .streams
            .values()
            .any(|s| s.member == member && s.role == Role::Remote);
        let remote = follows && !self.is_listening(member);
        if self.connected.remotes.contains(&member) != remote {
            let remotes = &mut Arc::make_mut(&mut self.connected).remotes;
            if remote {
                remotes.insert(member)
            } else {
                remotes.remove(&member)
            };
        }
    }

    /// A device is no longer paired: its streams end.
    pub(super) fn forget(&mut self, member: MemberId) {
        self.streams.retain(|_, stream| stream.member != member);
        self.devices.remove(&member);
        self.end_download(member, None);
        self.sort_remotes(member);
    }

    /// A device has acknowledged a track, so it downloads it no more.
    pub(super) fn acknowledged(&mut self, member: MemberId, track: TrackId, now: Instant) {
        self.sign_of_work(member, now);
        self.end_download(member, Some(track));
    }

    /// A device's download has moved. One that is whole is none any more.
    pub(super) fn downloaded(&mut self, member: MemberId, download: Download, now: Instant) {
        self.sign_of_work(member, now);
        if download.received_bytes >= download.size {
            self.end_download(member, Some(download.track_id));
        } else if self.is_listening(member) {
            Arc::make_mut(&mut self.connected)
                .downloads
                .insert(member, download);
        }
    }

    fn sign_of_work(&mut self, member: MemberId, now: Instant) {
        if let Some(device) = self.devices.get_mut(&member) {
            device.last_sign = now;
        }
    }

    /// Forgets the download of `track`, or of any.
    fn end_download(&mut self, member: MemberId, track: Option<TrackId>) {
        let running = self
            .connected
            .downloads
            .get(&member)
            .map(|download| download.track_id);
        if running.is_some_and(|running| track.is_none_or(|track| track == running)) {
            Arc::make_mut(&mut self.connected).downloads.remove(&member);
        }
    }

    /// A new barrier is a new chance: patience counts from there.
    pub(super) fn follow(&mut self, room: &Room, now: Instant) {
        let opened_at = room
            .durable
            .barrier
            .as_ref()
            .map(|_| room.private.barrier_opened_at);
        if self.barrier_since.map(|(count, _)| count) != opened_at {
            self.barrier_since = opened_at.map(|count| (count, now));
        }
        let gone = |member: &MemberId, device: &Device| {
            device.streams == 0
                && !room.live.listeners.contains(member)
                && !is_member(room, *member)
        };
        let lost: Vec<_> = self
            .devices
            .iter()
            .filter(|(m, d)| gone(m, d))
            .map(|(m, _)| *m)
            .collect();
        for member in lost {
            self.devices.remove(&member);
            self.end_download(member, None);
        }
    }

    /// What the room should be told by `now`, and when to look again.
    pub(super) fn due(&self, room: &Room, now: Instant) -> (Vec<Command>, Option<Instant>) {
        let mut commands = Vec::new();
        let mut next: Option<Instant> = None;
        let mut at = |deadline: Instant, command: Command| {
            if deadline <= now {
                commands.push(command);
            } else {
                next = Some(next.map_or(deadline, |earlier| earlier.min(deadline)));
            }
        };
        for (&member, device) in &self.devices {
            let listens = room.live.listeners.contains(&member);
            if let Some(since) = device.gone_since {
                let (grace, how) = device.gone_as;
                at(since + grace, Command::Depart { member, how });
            } else if !listens {
                let held = device.held.map(|(held, then)| Held {
                    position_sec: held.position_sec + now.duration_since(then).as_secs_f64(),
                    ..held
                });
                at(now, Command::Arrive { member, held });
            }
            let here_and_missing = device.gone_since.is_none() && is_missing(room, member);
            if let Some((_, since)) = self.barrier_since.filter(|_| here_and_missing) {
                at(
                    since.max(device.last_sign) + PATIENCE,
                    Command::Excuse { member },
                );
            }
        }
        (commands, next)
    }
}

fn is_member(room: &Room, member: MemberId) -> bool {
    room.durable
        .barrier
        .as_ref()
        .is_some_and(|barrier| barrier.members.contains(&member))
}

fn is_missing(room: &Room, member: MemberId) -> bool {
    room.durable.barrier.as_ref().is_some_and(|barrier| {
        barrier.members.contains(&member) && !barrier.ready.contains(&member)
    })
}
