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
    /// When bytes last came, or an acknowledgement was last accepted.
    pub(super) last_sign: Option<Instant>,
    /// The same, without bytes that may have been under way for some time.
    pub(super) sure_sign: Option<Instant>,
    /// Whether it has asked to be forgotten.
    pub(super) leaving: bool,
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

    /// Whether somebody has had a stream for so long.
    pub(super) fn somebody_here_for(&self, time: Duration) -> bool {
        let mut since = self.known.values().filter_map(|device| device.here);
        since.any(|since| since.elapsed() > time)
    }

    /// A device has a stream, and knows that state.
    pub(super) fn came(&mut self, member: &str, count: u64, grace: Duration) {
        let now = Instant::now();
        self.with(member, |device| {
            if now.duration_since(device.gone) >= grace {
                device.back_from_afar = Some(now);
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
