//! Barriers, as one stream that is never interrupted tells of them: how each ended, whether it was shrunk
//! for a reason, and whether anybody is waited for longer than the protocol's patience.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::devices::Devices;
use super::promises::{Promise, Promises};
use super::stream::Event;
use super::view::View;

/// A member that neither fetches nor acknowledges for so long is to be excused.
const PATIENCE: Duration = Duration::from_secs(15);
/// Whoever has had a stream for so long is a listener, as far as was heard.
const SURELY_HERE: Duration = Duration::from_secs(3);
/// How much later than that, or than the grace, it may be seen from outside, on a machine that is busy.
const MARGIN: Duration = Duration::from_secs(10);
/// How much earlier a device's last sign of work may have reached the server than it was seen from outside.
const UNDER_WAY: Duration = Duration::from_secs(7);
/// A departure may be told a moment after the device is back.
const TOLD_LATE: Duration = Duration::from_secs(5);
/// A start so little before a promised one was meant to be that one, in milliseconds.
const NEARLY_MS: f64 = 300.0;
/// For so long after the promised start the promise is still kept, in milliseconds.
const KEPT_MS: f64 = 4_500.0;

/// The barrier that is open.
#[derive(Debug)]
struct Wait {
    opened_at: u64,
    since: Instant,
    members: BTreeSet<String>,
    ready: BTreeSet<String>,
}

/// What the server said of the next track's start.
#[derive(Debug)]
struct Segue {
    track_id: String,
    anchor_at_ms: f64,
    event_count: u64,
}

/// Who is waited for although the server should not.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Overdue {
    /// The barrier's `barrier.opened`.
    opened_at: u64,
    /// Nobody, when the barrier waits for the first to come, and somebody is there.
    member: Option<String>,
}

/// Every barrier so far.
#[derive(Debug, Default)]
pub(super) struct Waits {
    open: Option<Wait>,
    segue: Option<Segue>,
    /// The last `barrier.shrunk`: its count and reason.
    last_shrunk: (u64, String),
    cried: BTreeSet<Overdue>,
    /// The `barrier.opened` of those that may go at once without whoever is not ready.
    pub(super) start_at_once: BTreeSet<u64>,
    pub(super) opened: u64,
    pub(super) ended: BTreeMap<String, u64>,
    pub(super) shrunk: BTreeMap<String, u64>,
    pub(super) longest: Duration,
}

impl Waits {
    /// The barrier that was open when the watching began.
    pub(super) fn begin(&mut self, view: &View) {
        if view.barrier().is_some() {
            self.open(view, Instant::now());
        }
    }

    fn open(&mut self, view: &View, since: Instant) {
        self.opened += 1;
        self.open = Some(Wait {
            opened_at: view.count,
            since,
            members: owned(view.members()),
            ready: owned(view.ready()),
        });
    }

    fn close(&mut self, how: String, at: Instant) {
        if let Some(wait) = self.open.take() {
            self.longest = self.longest.max(at.duration_since(wait.since));
            *self.ended.entry(how).or_default() += 1;
        }
    }

    /// Takes in an event, and the room right before and after it.
    pub(super) fn follow(
        &mut self,
        event: &Event,
        before: &View,
        view: &View,
        devices: &Devices,
        grace: Duration,
        promises: &mut Promises,
    ) {
        if event.name == "segue" {
            self.segue = segue(event);
        }
        let Some(count) = event.id else { return };
        match event.name.as_str() {
            "barrier.opened" => {
                let nobody = self
                    .open
                    .as_ref()
                    .is_some_and(|wait| wait.members.is_empty());
                let how = if nobody && !view.members().is_empty() {
                    "opened anew for the first to come"
                } else {
                    "dropped by play"
                };
                self.close(how.into(), event.arrived);
                self.open(view, event.arrived);
                let left_out = left_out(view, devices);
                promises.hold(Promise::Presence, left_out);
                if self.may_start_at_once(count, before, view) {
                    self.start_at_once.insert(count);
                }
            }
            "barrier.shrunk" => {
                let text = |field: &str| event.payload[field].as_str().unwrap_or_default();
                self.last_shrunk = (count, text("reason").to_owned());
                *self.shrunk.entry(text("reason").to_owned()).or_default() += 1;
                let breach = self.undeserved(text("memberId"), text("reason"), devices, grace);
                promises.hold(Promise::Presence, breach);
            }
            "barrier.release" => {
                let wait = self.open.as_ref();
                let missing = wait.map(|wait| wait.members.difference(&wait.ready).count());
                promises.expect(Promise::Waits, missing == Some(0), || {
                    format!("{} although {wait:?}", event.text)
                });
                let how = if self.last_shrunk.0 + 1 == count {
                    format!("released by shrinking: {}", self.last_shrunk.1)
                } else if self
                    .open
                    .as_ref()
                    .is_some_and(|wait| wait.members.is_empty())
                {
                    "released with nobody there".to_owned()
                } else {
                    "complete".to_owned()
                };
                self.close(how, event.arrived);
                self.keeps_the_segue(count, event, promises);
            }
            "playback.paused" => self.close("dropped by pause".into(), event.arrived),
            "queue.advanced" => self.close("dropped by next".into(), event.arrived),
            "library.changed" if view.barrier().is_none() => {
                self.close("dropped by a change of the library".into(), event.arrived);
            }
            _ => {}
        }
        self.only_shrinks(event, view, devices, promises);
    }

    /// Whether whoever is not ready may be skipped as soon as the barrier of `count` opens: at a start that was promised, or
    /// when somebody comes who plays what had lost its listeners.
    fn may_start_at_once(&self, count: u64, before: &View, view: &View) -> bool {
        let track = view.track(0);
        let promised = self
            .segue
            .as_ref()
            .is_some_and(|segue| segue.event_count + 2 == count && Some(&*segue.track_id) == track);
        let parked = before.is_playing() && before.anchor_at_ms.is_none();
        promised || parked
    }

    fn only_shrinks(
        &mut self,
        event: &Event,
        view: &View,
        devices: &Devices,
        promises: &mut Promises,
    ) {
        let text = || format!("{} after {:?}", event.text, self.open);
        promises.expect(
            Promise::Shrinks,
            self.open.is_some() == view.barrier().is_some(),
            text,
        );
        let (members, ready) = (owned(view.members()), owned(view.ready()));
        let Some(wait) = &mut self.open else { return };
        let shrinks = members.is_subset(&wait.members) && ready.is_subset(&members);
        promises.expect(Promise::Shrinks, shrinks, || {
            format!("{} after the members were {:?}", event.text, wait.members)
        });
        let track = view.track(0).unwrap_or_default();
        let never_said = |member: &&String| !devices.may_have_claimed(member, track);
        if let Some(member) = ready.iter().find(never_said) {
            let text = format!("{member} never said that it has {track}: {}", event.text);
            promises.hold(Promise::Waits, Some(text));
        }
        wait.members = members;
        wait.ready = ready;
    }

    /// What speaks against a member's having been taken out for that reason.
    fn undeserved(
        &self,
        member: &str,
        reason: &str,
        devices: &Devices,
        grace: Duration,
    ) -> Option<String> {
        let device = devices.get(member)?;
        let wait = self.open.as_ref()?;
        match reason {
            "left" => {
                let afar = device.here.is_none() && device.gone.elapsed() >= grace;
                let was = device
                    .back_from_afar
                    .is_some_and(|back| back.elapsed() < TOLD_LATE);
                (!afar && !was && !device.leaving)
                    .then(|| format!("{member} counts as gone within the grace: {device:?}"))
            }
            "stalled" => {
                let sign = device
                    .sure_sign
                    .map_or(wait.since, |sign| sign.max(wait.since));
                (sign.elapsed() + UNDER_WAY < PATIENCE)
                    .then(|| format!("{member} was excused {:?} after it worked", sign.elapsed()))
            }
            "vanished" => Some(format!(
                "{member} counts as vanished, and its packets all arrive"
            )),
            _ => None,
        }
    }

    /// A `next` at a track's end releases at the promised moment, whenever exactly it was asked for.
    fn keeps_the_segue(&self, count: u64, release: &Event, promises: &mut Promises) {
        let at = release.payload["anchorAtMs"].as_f64();
        let (Some(segue), Some(at)) = (&self.segue, at) else {
            return;
        };
        let at_once =
            segue.event_count + 3 == count && release.payload["trackId"] == segue.track_id;
        let meant = (-NEARLY_MS..KEPT_MS).contains(&(at - segue.anchor_at_ms));
        if at_once && meant {
            promises.expect(Promise::Segue, at == segue.anchor_at_ms, || {
                format!("{segue:?}, but {}", release.text)
            });
        }
    }

    /// Who is missing, and for how long they have been waited for.
    pub(super) fn missing(&self, view: &View) -> Option<(usize, usize, Duration)> {
        let wait = self.open.as_ref()?;
        Some((
            view.missing().len(),
            wait.members.len(),
            wait.since.elapsed(),
        ))
    }

    /// Who is waited for although the server's patience is over, as far as was heard.
    pub(super) fn overdue(&self, view: &View, devices: &Devices, grace: Duration) -> Vec<Overdue> {
        let Some(wait) = &self.open else {
            return Vec::new();
        };
        let mut overdue = Vec::new();
        let waits_for_nobody = wait.members.is_empty() && wait.since.elapsed() > MARGIN;
        if waits_for_nobody && devices.here_for(MARGIN).next().is_some() {
            overdue.push(Overdue {
                opened_at: wait.opened_at,
                member: None,
            });
        }
        for member in view.missing() {
            let Some(device) = devices.get(member) else {
                continue;
            };
            let (since, patience) = match device.here {
                Some(_) => (
                    device
                        .last_sign
                        .map_or(wait.since, |sign| sign.max(wait.since)),
                    PATIENCE,
                ),
                None => (device.gone, grace),
            };
            if since.elapsed() > patience + MARGIN {
                overdue.push(Overdue {
                    opened_at: wait.opened_at,
                    member: Some(member.to_owned()),
                });
            }
        }
        overdue.retain(|overdue| !self.cried.contains(overdue));
        overdue
    }

    /// It has been seen that the server does wait for them. Told once each.
    pub(super) fn cry(&mut self, overdue: Vec<Overdue>, promises: &mut Promises) {
        for overdue in overdue {
            promises.hold(
                Promise::Patience,
                Some(format!("{overdue:?} is still waited for")),
            );
            self.cried.insert(overdue);
        }
    }

    /// Whether a barrier is open.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The open barrier's `barrier.opened`.
    pub(super) fn opened_at(&self) -> Option<u64> {
        self.open.as_ref().map(|wait| wait.opened_at)
    }
}

fn owned(members: Vec<&str>) -> BTreeSet<String> {
    members.into_iter().map(str::to_owned).collect()
}

/// Who should be a member of the barrier that has just opened.
fn left_out(view: &View, devices: &Devices) -> Option<String> {
    let members = view.members();
    let is_out = |member: &&super::devices::Member| !members.contains(&&***member);
    let member = devices.here_for(SURELY_HERE).find(is_out)?;
    Some(format!("{member} is there, and no member of {members:?}"))
}

fn segue(event: &Event) -> Option<Segue> {
    Some(Segue {
        track_id: event.payload["trackId"].as_str()?.to_owned(),
        anchor_at_ms: event.payload["anchorAtMs"].as_f64()?,
        event_count: event.payload["eventCount"].as_u64()?,
    })
}
