//! Who is connected and how far their downloads are: bookkeeping over streams, in the time that it is
//! given. It makes commands of what it sees (arrive, depart, excuse) by comparing it with the room,
//! so that one that could not be written is simply made again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::work::Work;
use crate::room::{Command, Departure, Held, MemberId, Room, TrackId};
use crate::wire::{Download, Role, Sync, SyncReport};

/// A member of a barrier that neither fetches nor acknowledges for so long is excused; and one that a restarted
/// server expects counts as vanished when it has not come back by then.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

/// One that went silent is out within 15 s: 5 until the next heartbeat, 7 in which nothing of it is taken, and this.
const VANISHED_GRACE: Duration = Duration::from_secs(2);

/// Streams of one device at once. A browser has six connections to a page's server, for all of its tabs, and seldom shows
/// it both over HTTP and over HTTPS; more are what a network that breaks again and again has left behind, until the system notices.
const MOST_STREAMS: usize = 8;

/// Names an open event stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(u64);

/// What everybody is shown of the connected devices, besides the room.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Connected {
    /// The downloads under way.
    pub downloads: BTreeMap<MemberId, Download>,
    /// How well those are in step who have said so.
    pub syncs: BTreeMap<MemberId, Sync>,
    /// Those who follow without listening.
    pub remotes: BTreeSet<MemberId>,
}

#[derive(Debug)]
struct Stream {
    member: MemberId,
    role: Role,
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
    /// When it first came, or was last seen to work for the barrier.
    last_sign: Instant,
    /// What it has done for it.
    work: Work,
    /// What it said that it plays, and when.
    held: Option<(Held, Instant)>,
    /// How long before a start it must be told of it, in milliseconds, as it has said.
    needs_ms: Option<f64>,
}

/// What a report of a listener means for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// They see what they saw before.
    Nothing,
    /// Other figures.
    Figures,
    /// Somebody has to tap, or has.
    Tap,
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
                    work: Work::default(),
                    held: None,
                    needs_ms: None,
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

    /// A stream begins.
    pub(super) fn open(
        &mut self,
        member: MemberId,
        role: Role,
        held: Option<Held>,
        now: Instant,
    ) -> StreamId {
        self.last_stream += 1;
        let id = StreamId(self.last_stream);
        self.streams.insert(id, Stream { member, role });
        if role == Role::Listener {
            // Coming back is no work: a phone that only flaps is not waited for.
            let device = self.devices.entry(member).or_insert_with(|| Device {
                streams: 0,
                gone_since: None,
                gone_as: (self.grace, Departure::Left),
                last_sign: now,
                work: Work::default(),
                held: None,
                needs_ms: None,
            });
            device.streams += 1;
            device.gone_since = None;
            device.held = held.map(|held| (held, now));
        }
        self.sort_remotes(member);
        id
    }

    /// The oldest stream of a device that has one too many: the newest is the one that somebody is at the other end of.
    pub(super) fn surplus(&self, member: MemberId) -> Option<StreamId> {
        let own = self.streams.iter().filter(|(_, s)| s.member == member);
        let own: Vec<_> = own.map(|(id, _)| *id).collect();
        (own.len() > MOST_STREAMS).then(|| own.into_iter().min())?
    }

    fn is_listening(&self, member: MemberId) -> bool {
        self.devices
            .get(&member)
            .is_some_and(|device| device.streams > 0)
    }

    /// A stream is gone.
    pub(super) fn close(&mut self, id: StreamId, how: Departure, now: Instant) {
        let Some(Stream { member, role, .. }) = self.streams.remove(&id) else {
            return;
        };
        if let (Role::Listener, Some(device)) = (role, self.devices.get_mut(&member)) {
            device.streams -= 1;
            if device.streams == 0 {
                device.gone_since = Some(now);
                let grace = match how {
                    Departure::Left => self.grace,
                    // It took the system a while to notice already.
                    Departure::Vanished => self.grace.min(VANISHED_GRACE),
                };
                device.gone_as = (grace, how);
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

    /// Every stream ends.
    pub(super) fn end_streams(&mut self) {
        self.streams.clear();
    }

    /// How many streams are open.
    pub(super) fn open_streams(&self) -> usize {
        self.streams.len()
    }

    /// A device is no longer paired: these streams of its own are to end.
    pub(super) fn forget(&mut self, member: MemberId) -> Vec<StreamId> {
        let mut own = Vec::new();
        self.streams.retain(|id, stream| {
            if stream.member == member {
                own.push(*id);
            }
            stream.member != member
        });
        self.remove(member);
        self.sort_remotes(member);
        own
    }

    /// A device has acknowledged a track, so it downloads it no more.
    pub(super) fn acknowledged(&mut self, member: MemberId, track: TrackId, now: Instant) {
        if let Some(device) = self.devices.get_mut(&member) {
            if device.work.acknowledged(track) {
                device.last_sign = now;
            }
        }
        self.end_download(member, Some(track));
    }

    /// A device's download, which began at `from`, has moved.
    pub(super) fn downloaded(
        &mut self,
        member: MemberId,
        from: u64,
        download: Download,
        now: Instant,
    ) {
        if let Some(device) = self.devices.get_mut(&member) {
            if device
                .work
                .fetched(download.track_id, from..download.received_bytes)
            {
                device.last_sign = now;
            }
        }
        if self.is_listening(member) {
            Arc::make_mut(&mut self.connected)
                .downloads
                .insert(member, download);
        }
    }

    /// A device says how well it is in step; one that does not listen is not in step with anything.
    pub(super) fn report(&mut self, member: MemberId, report: SyncReport) -> Seen {
        let device = self.devices.get_mut(&member);
        let Some(device) = device.filter(|device| device.streams > 0) else {
            return Seen::Nothing;
        };
        device.needs_ms = Some(report.needs_ms);
        let (was, is) = (self.connected.syncs.get(&member).copied(), report.shown());
        if was == Some(is) {
            return Seen::Nothing;
        }
        Arc::make_mut(&mut self.connected).syncs.insert(member, is);
        if was.is_some_and(|was| was.waits_for_tap) == is.waits_for_tap {
            Seen::Figures
        } else {
            Seen::Tap
        }
    }

    /// How long before a start each of those must be told of it who listen right now, in milliseconds, as long as they have
    /// said. Whoever waits for a tap sounds nothing that could be late.
    pub(super) fn needs_ms(&self) -> impl Iterator<Item = Option<f64>> {
        let waits = |member: &MemberId| {
            let sync = self.connected.syncs.get(member);
            sync.is_some_and(|sync| sync.waits_for_tap)
        };
        self.devices
            .iter()
            .filter(move |(member, device)| device.streams > 0 && !waits(member))
            .map(|(_, device)| device.needs_ms)
    }

    /// Forgets the download of `track`, or of any.
    pub(super) fn end_download(&mut self, member: MemberId, track: Option<TrackId>) {
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
            for device in self.devices.values_mut() {
                device.work = Work::default();
            }
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
            self.remove(member);
        }
    }

    /// Forgets all that is known of a device.
    fn remove(&mut self, member: MemberId) {
        self.devices.remove(&member);
        self.end_download(member, None);
        if self.connected.syncs.contains_key(&member) {
            Arc::make_mut(&mut self.connected).syncs.remove(&member);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::{self, Control, KeyHash, Library, Moment, TrackId};

    const GRACE: Duration = Duration::from_secs(2);
    const M1: MemberId = MemberId(1);
    const TRACK: TrackId = TrackId(1);

    fn apply(room: &mut Room, command: Command) {
        let at = Moment {
            now_ms: 0.0,
            lead_ms: 150.0,
            aligned: true,
        };
        *room = room::apply(room, &command, at).unwrap().0;
    }

    /// A room with one track and two paired devices, nobody connected.
    fn room() -> Room {
        let mut room = Room::default();
        apply(
            &mut room,
            Command::Library(Arc::new(Library::new([(TRACK, 60.0)]))),
        );
        for n in 1..=2 {
            let (name, key) = (String::new(), KeyHash([n; 32]));
            apply(&mut room, Command::Pair { name, key });
        }
        room
    }

    /// Opens a barrier before the next track.
    fn ask_next(room: &mut Room) {
        let (member, if_match) = (M1, room.durable.event_count);
        let command = Command::Control {
            member,
            if_match,
            control: Control::Next,
        };
        apply(room, command);
    }

    /// Has the room follow what is due.
    fn settle(presence: &mut Presence, room: &mut Room, now: Instant) -> Vec<Command> {
        presence.follow(room, now);
        let (commands, _) = presence.due(room, now);
        for command in &commands {
            apply(room, command.clone());
        }
        presence.follow(room, now);
        commands
    }

    fn depart(how: Departure) -> Command {
        Command::Depart { member: M1, how }
    }

    #[test]
    fn a_listener_departs_when_its_last_stream_has_been_gone_for_the_grace() {
        let (mut room, start) = (room(), Instant::now());
        let mut presence = Presence::new(&room, GRACE, start);
        let first = presence.open(M1, Role::Listener, None, start);
        let second = presence.open(M1, Role::Listener, None, start);
        settle(&mut presence, &mut room, start);
        presence.close(first, Departure::Left, start);
        assert_eq!(settle(&mut presence, &mut room, start + 2 * GRACE), []);
        presence.close(second, Departure::Left, start + 2 * GRACE);
        assert_eq!(settle(&mut presence, &mut room, start + 2 * GRACE), []);
        let departed = settle(&mut presence, &mut room, start + 3 * GRACE);
        assert_eq!(departed, [depart(Departure::Left)]);
        assert!(room.live.listeners.is_empty());
    }

    #[test]
    fn of_too_many_streams_of_a_device_the_oldest_is_to_end_and_those_of_others_stay() {
        let (room, start) = (room(), Instant::now());
        let mut presence = Presence::new(&room, GRACE, start);
        presence.open(MemberId(2), Role::Listener, None, start);
        let mut open = |role| presence.open(M1, role, None, start);
        let streams: Vec<_> = (0..MOST_STREAMS).map(|_| open(Role::Listener)).collect();
        assert_eq!(presence.surplus(M1), None);
        presence.open(M1, Role::Remote, None, start);
        assert_eq!(presence.surplus(M1), Some(streams[0]));
        presence.close(streams[0], Departure::Left, start);
        assert_eq!(presence.surplus(M1), None);
        assert!(presence.is_listening(M1));
    }

    #[test]
    fn a_stream_that_comes_back_within_the_grace_moves_nothing() {
        let (mut room, start) = (room(), Instant::now());
        let mut presence = Presence::new(&room, GRACE, start);
        for n in 0..20 {
            let now = start + n * GRACE / 2;
            let stream = presence.open(M1, Role::Listener, None, now);
            let arrived = settle(&mut presence, &mut room, now);
            assert_eq!(arrived.len(), usize::from(n == 0), "the {n}th time");
            presence.close(stream, Departure::Left, now);
        }
    }

    #[test]
    fn a_member_that_does_nothing_is_excused_and_one_that_moves_is_waited_for() {
        let (mut room, start) = (room(), Instant::now());
        let mut presence = Presence::new(&room, GRACE, start);
        let _streams = [M1, MemberId(2)].map(|m| presence.open(m, Role::Listener, None, start));
        settle(&mut presence, &mut room, start);
        ask_next(&mut room);
        presence.follow(&room, start);
        for second in 1..60 {
            let now = start + Duration::from_secs(second);
            let download = Download {
                track_id: TRACK,
                received_bytes: second,
                size: 100,
            };
            presence.downloaded(MemberId(2), 0, download, now);
            let expected = if second == 15 {
                vec![Command::Excuse { member: M1 }]
            } else {
                vec![]
            };
            assert_eq!(
                settle(&mut presence, &mut room, now),
                expected,
                "{second} s"
            );
        }
    }

    #[test]
    fn a_member_that_fetches_the_same_bytes_and_says_the_same_again_and_again_is_excused() {
        let (mut room, start) = (room(), Instant::now());
        let mut presence = Presence::new(&room, GRACE, start);
        presence.open(M1, Role::Listener, None, start);
        settle(&mut presence, &mut room, start);
        ask_next(&mut room);
        presence.follow(&room, start);
        for second in 1..=16 {
            let now = start + Duration::from_secs(second);
            let download = Download {
                track_id: TRACK,
                received_bytes: 1,
                size: 100,
            };
            presence.downloaded(M1, 0, download, now);
            presence.acknowledged(M1, TrackId(2), now);
            let excused = settle(&mut presence, &mut room, now);
            assert_eq!(excused.len(), usize::from(second == 16), "{second} s");
        }
    }

    #[test]
    fn one_that_went_silent_gets_no_more_than_the_usual_grace_however_long_the_host_has_made_it() {
        let (mut room, start) = (room(), Instant::now());
        let mut presence = Presence::new(&room, 60 * GRACE, start);
        let stream = presence.open(M1, Role::Listener, None, start);
        settle(&mut presence, &mut room, start);
        presence.close(stream, Departure::Vanished, start);
        let departed = settle(&mut presence, &mut room, start + VANISHED_GRACE);
        assert_eq!(departed.len(), 1);
    }

    #[test]
    fn a_member_that_only_reopens_its_stream_is_excused_all_the_same() {
        let (mut room, start) = (room(), Instant::now());
        let mut presence = Presence::new(&room, GRACE, start);
        let mut stream = presence.open(M1, Role::Listener, None, start);
        settle(&mut presence, &mut room, start);
        ask_next(&mut room);
        presence.follow(&room, start);
        for second in 1..=15 {
            let now = start + Duration::from_secs(second);
            presence.close(stream, Departure::Left, now);
            stream = presence.open(M1, Role::Listener, None, now);
            let excused = settle(&mut presence, &mut room, now);
            assert_eq!(excused.len(), usize::from(second == 15), "{second} s");
        }
    }

    #[test]
    fn a_restarted_server_waits_a_while_for_the_members_of_its_barrier() {
        let (mut room, start) = (room(), Instant::now());
        apply(
            &mut room,
            Command::Arrive {
                member: M1,
                held: None,
            },
        );
        ask_next(&mut room);
        let mut room = Room::restore(room.durable, room.private);
        let mut presence = Presence::new(&room, GRACE, start);
        assert_eq!(settle(&mut presence, &mut room, start + 2 * GRACE), []);
        let gone = settle(&mut presence, &mut room, start + PATIENCE);
        assert_eq!(gone, [depart(Departure::Vanished)]);
    }

    fn report(off_ms: f64, needs_ms: f64, waits_for_tap: bool) -> SyncReport {
        SyncReport {
            off_ms: Some(off_ms),
            round_trip_ms: 8.0,
            latency_ms: 40.0,
            needs_ms,
            waits_for_tap,
        }
    }

    #[test]
    fn a_report_is_news_only_when_others_see_something_of_it() {
        let (room, start) = (room(), Instant::now());
        let mut presence = Presence::new(&room, GRACE, start);
        presence.open(M1, Role::Listener, None, start);
        for (said, seen) in [
            (report(1.0, 50.0, false), Seen::Figures),
            (report(1.0, 50.0, false), Seen::Nothing),
            (report(1.04, 50.0, false), Seen::Nothing),
            (report(1.04, 80.0, false), Seen::Nothing),
            (report(1.06, 80.0, false), Seen::Figures),
            (report(1.06, 80.0, true), Seen::Tap),
            (report(2.0, 80.0, true), Seen::Figures),
            (report(2.0, 80.0, false), Seen::Tap),
        ] {
            assert_eq!(presence.report(M1, said), seen, "{said:?}");
            assert_eq!(presence.connected().syncs[&M1], said.shown());
            let needs: Vec<_> = presence.needs_ms().collect();
            let counted: &[_] = if said.waits_for_tap {
                &[]
            } else {
                &[Some(said.needs_ms)]
            };
            assert_eq!(needs, counted, "{said:?}");
        }
    }

    #[test]
    fn a_report_of_a_device_that_does_not_listen_is_forgotten() {
        let (room, start) = (room(), Instant::now());
        let mut presence = Presence::new(&room, GRACE, start);
        let said = report(1.0, 50.0, true);
        assert_eq!(presence.report(M1, said), Seen::Nothing);
        presence.open(M1, Role::Remote, None, start);
        assert_eq!(presence.report(M1, said), Seen::Nothing);
        assert!(presence.connected().syncs.is_empty());
        assert_eq!(presence.needs_ms().count(), 0);
    }

    #[test]
    fn what_a_listener_reported_outlives_a_flap_and_goes_when_it_departs() {
        let (mut room, start) = (room(), Instant::now());
        let mut presence = Presence::new(&room, GRACE, start);
        let said = report(1.0, 700.0, false);
        let stream = presence.open(M1, Role::Listener, None, start);
        settle(&mut presence, &mut room, start);
        presence.report(M1, said);
        presence.close(stream, Departure::Left, start);
        assert_eq!(presence.needs_ms().count(), 0, "nobody can be told");
        let late = report(5.0, 20.0, true);
        assert_eq!(presence.report(M1, late), Seen::Nothing);
        let stream = presence.open(M1, Role::Listener, None, start);
        assert_eq!(presence.needs_ms().next(), Some(Some(700.0)));
        assert_eq!(presence.connected().syncs[&M1], said.shown());
        presence.close(stream, Departure::Left, start);
        settle(&mut presence, &mut room, start + GRACE);
        assert!(presence.connected().syncs.is_empty());
        presence.open(M1, Role::Listener, None, start + GRACE);
        assert_eq!(presence.needs_ms().next(), Some(None));
    }

    #[test]
    fn whoever_is_no_longer_paired_leaves_no_report_behind() {
        let (room, start) = (room(), Instant::now());
        let mut presence = Presence::new(&room, GRACE, start);
        presence.open(M1, Role::Listener, None, start);
        presence.report(M1, report(1.0, 50.0, false));
        presence.forget(M1);
        assert!(presence.connected().syncs.is_empty());
    }

    #[test]
    fn a_device_that_both_listens_and_follows_is_a_listener() {
        let (room, start) = (room(), Instant::now());
        let mut presence = Presence::new(&room, GRACE, start);
        let _remote = presence.open(M1, Role::Remote, None, start);
        assert!(presence.connected().remotes.contains(&M1));
        let listener = presence.open(M1, Role::Listener, None, start);
        assert!(!presence.connected().remotes.contains(&M1));
        presence.close(listener, Departure::Left, start);
        assert!(presence.connected().remotes.contains(&M1));
    }
}
