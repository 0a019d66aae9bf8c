//! The way out that all downloads share, and who goes first on it: what a listener waits for goes before what is fetched ahead.
//! Where the bytes come from is the business of `file`, and where they go of `socket`.
//!
//! Whoever fetches ahead stands aside for a few seconds at a time, and only as long as that makes the awaited downloads
//! faster. Where it does not, the narrow place is elsewhere (one phone at the edge of the Wi-Fi), and nobody would gain by it.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use crate::hub::Hub;
use crate::room::{MemberId, TrackId};

/// So long at a time others stand aside. A page gives up what stands still for eight seconds.
const ASIDE: Duration = Duration::from_secs(4);
/// Then they go beside the awaited downloads for so long, to see what that makes of those.
const BESIDE: Duration = Duration::from_secs(1);
/// Standing aside is worth while if the awaited downloads are so many times as fast by it.
const WORTH: f64 = 1.25;
/// If it is not, nobody stands aside for so long.
const REST: Duration = Duration::from_secs(10);
/// When nobody has asked for longer than this, nobody was there to stand aside, and what was measured says nothing.
const UNASKED: Duration = Duration::from_secs(1);

/// What the others do while there are awaited downloads.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stage {
    /// They stand aside.
    Aside,
    /// They go on, after a time in which they did not: then the awaited ones made so many bytes a second.
    Beside { aside_rate: f64 },
    /// They go on, because standing aside is of no use.
    Rest,
}

/// Decides when others stand aside for the downloads of one awaited track. Pure, in the time that it is given.
#[derive(Debug)]
struct Turns {
    track: TrackId,
    stage: Stage,
    since: Instant,
    /// Bytes of the awaited downloads since then.
    moved: u64,
}

impl Turns {
    fn new(track: TrackId, now: Instant) -> Self {
        Turns {
            track,
            stage: Stage::Aside,
            since: now,
            moved: 0,
        }
    }

    /// Until when the others stand aside; `None` when they need not.
    fn aside_until(&mut self, now: Instant) -> Option<Instant> {
        let whole = match self.stage {
            Stage::Aside => ASIDE,
            Stage::Beside { .. } => BESIDE,
            Stage::Rest => REST,
        };
        let lasted = now.saturating_duration_since(self.since);
        if lasted >= whole + UNASKED {
            *self = Turns::new(self.track, now);
        } else if lasted >= whole {
            self.stage = self.next(self.moved as f64 / lasted.as_secs_f64());
            self.since = now;
            self.moved = 0;
        }
        (self.stage == Stage::Aside).then(|| self.since + ASIDE)
    }

    /// What follows after a stage in which the awaited downloads made so many bytes a second.
    fn next(&self, rate: f64) -> Stage {
        match self.stage {
            Stage::Aside => Stage::Beside { aside_rate: rate },
            Stage::Beside { aside_rate } if aside_rate <= WORTH * rate => Stage::Rest,
            Stage::Beside { .. } | Stage::Rest => Stage::Aside,
        }
    }
}

/// What all downloads know of each other.
#[derive(Debug, Default)]
pub(super) struct Uplink {
    /// Those under way that were awaited when they last moved, and how many.
    awaited: Mutex<Vec<(MemberId, TrackId)>>,
    count: AtomicUsize,
    turns: Mutex<Option<Turns>>,
}

impl Uplink {
    fn turns(&self) -> MutexGuard<'_, Option<Turns>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn awaited(&self) -> MutexGuard<'_, Vec<(MemberId, TrackId)>> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether any of them is awaited still: one that stands still may have been given up meanwhile.
    fn is_needed(&self, hub: &Hub) -> bool {
        // Asked before each piece of each download, and mostly there are none.
        if self.count.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let awaited = self.awaited();
        let mut awaited = awaited.iter();
        awaited.any(|(member, track)| hub.awaits(*member, *track))
    }

    /// An awaited download of `track` has moved. Another track is another wait.
    fn moved(&self, track: TrackId, bytes: u64) {
        let mut turns = self.turns();
        match &mut *turns {
            Some(turns) if turns.track == track => turns.moved += bytes,
            _ => *turns = Some(Turns::new(track, Instant::now())),
        }
    }
}

/// One download's place among the others.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) hub: Hub,
    pub(super) member: MemberId,
    pub(super) track_id: TrackId,
    pub(super) uplink: Arc<Uplink>,
}

impl Place {
    /// Looked up again and again: a track that was fetched ahead is awaited as soon as somebody presses Next.
    fn is_awaited(&self) -> bool {
        self.hub.awaits(self.member, self.track_id)
    }

    fn goes_first(&self) -> bool {
        !self.uplink.is_needed(&self.hub) || self.is_awaited()
    }

    /// What this download has to wait for before it asks again; `None` when it may go on.
    pub(super) fn stand_aside(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        if self.goes_first() {
            return None;
        }
        let until = self.uplink.turns().as_mut()?.aside_until(Instant::now())?;
        let change = self.hub.next_change();
        // What changed before that is no change to come.
        if self.goes_first() {
            return None;
        }
        Some(Box::pin(async move {
            // Either is a reason to ask again.
            let _ = timeout_at(until.into(), change).await;
        }))
    }
}

/// A download that is under way: others are held up by it only as long as it is awaited.
#[derive(Debug)]
pub(super) struct Passage {
    pub(super) place: Place,
    awaited: bool,
}

impl Passage {
    pub(super) fn new(place: Place) -> Self {
        let mut passage = Passage {
            place,
            awaited: false,
        };
        passage.count(passage.place.is_awaited());
        passage
    }

    /// So many bytes more are out.
    pub(super) fn moved(&mut self, bytes: u64) {
        self.count(self.place.is_awaited());
        if self.awaited {
            self.place.uplink.moved(self.place.track_id, bytes);
        }
    }

    /// It is over, before anybody is told so.
    pub(super) fn end(&mut self) {
        self.count(false);
    }

    fn count(&mut self, awaited: bool) {
        if self.awaited == awaited {
            return;
        }
        self.awaited = awaited;
        let Place {
            uplink,
            member,
            track_id,
            ..
        } = &self.place;
        let this = (*member, *track_id);
        let mut all = uplink.awaited();
        if awaited {
            all.push(this);
        } else if let Some(at) = all.iter().position(|other| *other == this) {
            all.swap_remove(at);
        }
        uplink.count.store(all.len(), Ordering::Relaxed);
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACK: TrackId = TrackId(1);
    /// How often the others ask.
    const STEP: Duration = Duration::from_millis(50);

    /// For how much of `whole` the others stand aside, and the longest time in one go, if the awaited downloads make so many
    /// bytes a second while they do, and so many while they do not.
    fn aside(aside_rate: u64, beside_rate: u64, whole: Duration) -> (f64, Duration) {
        let start = Instant::now();
        let mut turns = Turns::new(TRACK, start);
        let (mut now, mut aside) = (start, Duration::ZERO);
        let (mut held, mut longest) = (Duration::ZERO, Duration::ZERO);
        while now < start + whole {
            let is_aside = turns.aside_until(now).is_some();
            let rate = if is_aside { aside_rate } else { beside_rate };
            turns.moved += rate / 20;
            now += STEP;
            aside = if is_aside {
                aside + STEP
            } else {
                Duration::ZERO
            };
            held += if is_aside { STEP } else { Duration::ZERO };
            longest = longest.max(aside);
        }
        (held.as_secs_f64() / whole.as_secs_f64(), longest)
    }

    #[test]
    fn others_stand_aside_as_long_as_that_makes_the_awaited_faster() {
        for (aside_rate, beside_rate, least, most) in [
            // One awaited and seven others on one narrow link.
            (2_500_000, 312_500, 0.75, 0.85),
            // One and one.
            (2_500_000, 1_250_000, 0.75, 0.85),
            // Nothing moves while the others do.
            (2_500_000, 0, 0.75, 0.85),
            // A phone with a narrow link of its own.
            (100_000, 100_000, 0.2, 0.35),
            // Its air is busier at times.
            (110_000, 100_000, 0.2, 0.35),
            // One that stands still.
            (0, 0, 0.2, 0.35),
        ] {
            let (share, longest) = aside(aside_rate, beside_rate, Duration::from_secs(120));
            let rates = format!("{aside_rate} and {beside_rate}: {share}");
            assert!((least..=most).contains(&share), "{rates}");
            assert!(longest <= ASIDE + STEP, "{rates}: {longest:?}");
        }
    }

    #[test]
    fn they_stand_aside_from_the_first_moment_on_and_know_until_when() {
        let now = Instant::now();
        let mut turns = Turns::new(TRACK, now);
        assert_eq!(turns.aside_until(now), Some(now + ASIDE));
        let later = now + ASIDE / 2;
        assert_eq!(turns.aside_until(later), Some(now + ASIDE));
        assert_eq!(turns.aside_until(now + ASIDE), None);
    }

    #[test]
    fn what_was_measured_while_nobody_stood_aside_is_forgotten() {
        let now = Instant::now();
        let mut turns = Turns::new(TRACK, now);
        assert_eq!(turns.aside_until(now + ASIDE), None);
        let later = now + Duration::from_secs(60);
        assert_eq!(turns.aside_until(later), Some(later + ASIDE));
    }

    #[test]
    fn another_awaited_track_is_another_wait() {
        let uplink = Uplink::default();
        let stage = || uplink.turns().as_ref().map(|turns| turns.stage);
        assert_eq!(stage(), None);
        uplink.moved(TRACK, 1);
        assert_eq!(stage(), Some(Stage::Aside));
        if let Some(turns) = &mut *uplink.turns() {
            turns.stage = Stage::Rest;
        }
        uplink.moved(TRACK, 1);
        assert_eq!(stage(), Some(Stage::Rest));
        uplink.moved(TrackId(2), 1);
        assert_eq!(stage(), Some(Stage::Aside));
    }
}
