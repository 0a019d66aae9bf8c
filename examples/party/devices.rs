//! What is known of each of the crowd's devices from its own side: whether it has a stream, when it last
//! worked, and which command's events it has yet to hear. The times here are those of the devices, so
//! they are never earlier than what the server saw of the same.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::promises::{Promise, Promises};

/// Names a device, as the server does.
pub(super) type Member = Arc<str>;

/// An accepted command that somebody has not heard of after so long is lost.
const LOST: Duration = Duration::from_secs(20);
/// Events whose arrival is remembered for commands that are answered later than heard of.
const REMEMBERED: usize = 256;

/// One device.
#[derive(Debug)]
pub(super) struct Device {
    /// Since when it has the stream that it has.
    pub(super) here: Option<Instant>,
    /// When it last had none.
    pub(super) gone: Instant,
    /// When it came back from a time without a stream that was longer than the grace.
    pub(super) back_from_afar: Option<Instant>,
    /// When it last made progress: it got further in a track than at any time since the barrier opened, or said
    /// something new of one.
    pub(super) last_sign: Option<Instant>,
    /// The same, leaving out what the server may see otherwise, or may have seen long before.
    pub(super) sure_sign: Option<Instant>,
    /// Whether it has asked to be forgotten.
    pub(super) leaving: bool,
    /// Every track of which it ever told the server, or tried to, that nobody need wait for it.
    claimed: BTreeSet<String>,
    /// What it last said of each track since the barrier opened, or it was gone for long: whether it can play it.
    said: BTreeMap<String, bool>,
    /// The furthest byte of each track that it ever had.
    ever: BTreeMap<String, u64>,
    /// The same since the barrier opened.
    since_opening: BTreeMap<String, u64>,
    count: u64,
    heard: VecDeque<(u64, Instant)>,
}

/// A command on its way to everybody.
#[derive(Debug)]
struct Delivery {
    count: u64,
    sent: Instant,
    waiting: BTreeSet<Member>,
    slowest: Option<Duration>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Devices {
    known: BTreeMap<Member, Device>,
    deliveries: Vec<Delivery>,
    delivered: Vec<Duration>,
}

impl Devices {
    /// A device was paired.
    pub(super) fn paired(&mut self, member: &Member) {
        let device = Device {
            here: None,
            gone: Instant::now(),
            back_from_afar: None,
            last_sign: None,
            sure_sign: None,
            leaving: false,
            claimed: BTreeSet::new(),
            said: BTreeMap::new(),
            ever: BTreeMap::new(),
            since_opening: BTreeMap::new(),
            count: 0,
            heard: VecDeque::new(),
        };
        self.known.insert(member.clone(), device);
    }

    pub(super) fn get(&self, member: &str) -> Option<&Device> {
        self.known.get(member)
    }

    /// Does something to the device of that name, if it is one of the crowd.
    pub(super) fn with(&mut self, member: &str, change: impl FnOnce(&mut Device)) {
        if let Some(device) = self.known.get_mut(member) {
            change(device);
        }
    }

    /// How many have a stream.
    pub(super) fn here(&self) -> usize {
        self.known
            .values()
            .filter(|device| device.here.is_some())
            .count()
    }

    /// Those who have had a stream for so long.
    pub(super) fn here_for(&self, time: Duration) -> impl Iterator<Item = &Member> {
        let there = move |device: &Device| device.here.is_some_and(|since| since.elapsed() > time);
        let known = self.known.iter();
        known.filter_map(move |(member, device)| there(device).then_some(member))
    }

    /// A device is about to tell the server that nobody need wait for it before that track; whether for the first time.
    pub(super) fn claims(&mut self, member: &str, track: &str) -> bool {
        let mut first = false;
        self.with(member, |device| {
            first = device.claimed.insert(track.to_owned());
        });
        first
    }

    /// Whether a device may have told the server so. What others told is not known.
    pub(super) fn may_have_claimed(&self, member: &str, track: &str) -> bool {
        self.get(member)
            .is_none_or(|device| device.claimed.contains(track))
    }

    /// What a device said of a track was accepted; `first` when it had never tried before.
    pub(super) fn acknowledged(&mut self, member: &str, track: &str, playable: bool, first: bool) {
        self.with(member, |device| {
            if device.said.insert(track.to_owned(), playable) != Some(playable) {
                device.last_sign = Some(Instant::now());
            }
            if first {
                device.sure_sign = Some(Instant::now());
            }
        });
    }

    /// A device begins a track; how far it ever came in it before, if it ever began.
    pub(super) fn begins(&mut self, member: &str, track: &str) -> Option<u64> {
        let mut before = None;
        self.with(member, |device| {
            before = device.ever.get(track).copied();
            device.ever.entry(track.to_owned()).or_default();
        });
        before
    }

    /// A device has a track up to there; `sure` when the server must have seen that as progress a moment ago.
    pub(super) fn received(&mut self, member: &str, track: &str, upto: u64, sure: bool) {
        self.with(member, |device| {
            let ever = device.ever.entry(track.to_owned()).or_default();
            *ever = upto.max(*ever);
            let furthest = device.since_opening.entry(track.to_owned()).or_default();
            if upto > *furthest {
                *furthest = upto;
                device.last_sign = Some(Instant::now());
            }
            if sure {
                device.sure_sign = Some(Instant::now());
            }
        });
    }

    /// A barrier opened: what was fetched before is no progress any more, and none has to go on from there.
    pub(super) fn barrier_opened(&mut self) {
        for device in self.known.values_mut() {
            device.since_opening.clear();
            device.said.clear();
        }
    }

    /// A device has a stream, and knows that state.
    pub(super) fn came(&mut self, member: &str, count: u64, grace: Duration) {
        let now = Instant::now();
        self.with(member, |device| {
            if now.duration_since(device.gone) >= grace {
                device.back_from_afar = Some(now);
                device.said.clear();
            }
            device.here = Some(now);
            device.count = count;
            device.heard.clear();
        });
    }

    /// A device has no stream any more, or is about to drop it.
    pub(super) fn went(&mut self, member: &str) {
        self.with(member, |device| {
            if device.here.take().is_some() {
                device.gone = Instant::now();
            }
        });
        for delivery in &mut self.deliveries {
            delivery.waiting.remove(member);
        }
        self.finish_deliveries();
    }

    /// A device heard of an event.
    pub(super) fn heard(&mut self, member: &str, count: u64, arrived: Instant) {
        self.with(member, |device| {
            device.count = count;
            device.heard.push_back((count, arrived));
            if device.heard.len() > REMEMBERED {
                device.heard.pop_front();
            }
        });
        for delivery in &mut self.deliveries {
            if delivery.count <= count && delivery.waiting.remove(member) {
                delivery.reached_at(arrived);
            }
        }
        self.finish_deliveries();
    }

    /// A command that was sent then was accepted, and its last event has that count. It is to
    /// reach everybody who had a stream already.
    pub(super) fn deliver(&mut self, count: u64, sent: Instant) {
        let mut delivery = Delivery {
            count,
            sent,
            waiting: BTreeSet::new(),
            slowest: None,
        };
        let there = |device: &Device| device.here.is_some_and(|since| since < sent);
        for (member, device) in self.known.iter().filter(|(_, device)| there(device)) {
            if device.count < count {
                delivery.waiting.insert(member.clone());
            } else if let Some((_, arrived)) = device.heard.iter().find(|(c, _)| *c == count) {
                delivery.reached_at(*arrived);
            }
        }
        self.deliveries.push(delivery);
        self.finish_deliveries();
    }

    fn finish_deliveries(&mut self) {
        let delivered = &mut self.delivered;
        self.deliveries.retain(|delivery| {
            let done = delivery.waiting.is_empty();
            if done {
                delivered.extend(delivery.slowest);
            }
            !done
        });
    }

    /// Whether every accepted command has reached everybody.
    pub(super) fn all_delivered(&self) -> bool {
        self.deliveries.is_empty()
    }

    /// How long commands took to reach everybody, shortest first.
    pub(super) fn delivery_times(&self) -> Vec<Duration> {
        let mut times = self.delivered.clone();
        times.sort();
        times
    }

    /// Gives up deliveries that take too long.
    pub(super) fn give_up_lost(&mut self, promises: &mut Promises) {
        self.deliveries.retain(|delivery| {
            let lost = delivery.sent.elapsed() > LOST;
            if lost {
                let text = format!(
                    "{:?} have not heard of event {} within {LOST:?}",
                    delivery.waiting, delivery.count
                );
                promises.hold(Promise::Reaches, Some(text));
            }
            !lost
        });
    }
}

impl Delivery {
    fn reached_at(&mut self, arrived: Instant) {
        let took = arrived.saturating_duration_since(self.sent);
        self.slowest = Some(self.slowest.map_or(took, |slowest| slowest.max(took)));
    }
}
