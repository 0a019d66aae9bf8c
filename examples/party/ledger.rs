//! What the whole crowd has seen so far, in one place: every task tells it, under one lock. What it
//! makes of that lives in `chronicle`, `devices`, `waits` and `promises`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::chronicle::{Asked, Chronicle, Effect};
use super::devices::{Devices, Member};
use super::promises::{Promise, Promises};
use super::stream::Event;
use super::view::View;
use super::waits::Waits;

/// The status that stands for no answer.
pub(super) const UNANSWERED: u16 = 0;

/// Everything seen.
#[derive(Debug)]
pub(super) struct Book {
    pub(super) promises: Promises,
    pub(super) chronicle: Chronicle,
    pub(super) devices: Devices,
    pub(super) waits: Waits,
    /// How often each request was answered with which status.
    pub(super) answers: BTreeMap<&'static str, BTreeMap<u16, u64>>,
    /// How often devices did what is no request of its own.
    pub(super) deeds: BTreeMap<&'static str, u64>,
    pub(super) bytes: u64,
    /// The room as the one who is never interrupted knows it.
    watched: Option<View>,
    /// Each track's bytes, as the first who had them found.
    digests: BTreeMap<String, [u8; 32]>,
}

/// The book, and what does not change.
#[derive(Debug)]
pub(super) struct Ledger {
    book: Mutex<Book>,
    started: Instant,
    grace: Duration,
}

impl Ledger {
    pub(super) fn new(grace: Duration) -> Self {
        Ledger {
            book: Mutex::new(Book {
                promises: Promises::default(),
                chronicle: Chronicle::default(),
                devices: Devices::default(),
                waits: Waits::default(),
                answers: BTreeMap::new(),
                deeds: BTreeMap::new(),
                bytes: 0,
                watched: None,
                digests: BTreeMap::new(),
            }),
            started: Instant::now(),
            grace,
        }
    }

    /// The book. Not to be held across an await.
    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long the crowd has been there.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Holds the server to a promise: `breach` says what is wrong, if anything is.
    pub(super) fn hold(&self, promise: Promise, breach: Option<String>) {
        self.book().promises.hold(promise, breach);
    }

    /// A device did something.
    pub(super) fn did(&self, what: &'static str) {
        *self.book().deeds.entry(what).or_default() += 1;
    }

    /// A request was answered.
    pub(super) fn answered(&self, request: &'static str, status: u16) {
        let mut book = self.book();
        let statuses = book.answers.entry(request).or_default();
        *statuses.entry(status).or_default() += 1;
    }

    /// A device takes an event in; whether that went well.
    pub(super) fn hear(&self, member: &Member, event: &Event, view: &mut View) -> bool {
        let mut book = self.book();
        let sound = book.take_in(event, view);
        book.devices.heard(member, view.count, event.arrived);
        sound
    }

    /// The one who is never interrupted takes an event in; whether that went well.
    pub(super) fn watch(&self, event: &Event, view: &mut View) -> bool {
        let mut book = self.book();
        let sound = book.take_in(event, view);
        let Book {
            promises,
            devices,
            waits,
            watched,
            ..
        } = &mut *book;
        if event.name == "barrier.opened" {
            devices.barrier_opened();
        }
        match watched {
            None => waits.begin(view),
            Some(before) => waits.follow(event, before, view, devices, self.grace, promises),
        }
        *watched = Some(view.clone());
        sound
    }

    /// The server showed a snapshot.
    pub(super) fn show(&self, snapshot: serde_json::Value) {
        let mut book = self.book();
        let Book {
            promises,
            chronicle,
            ..
        } = &mut *book;
        match View::of(snapshot) {
            Ok(mut view) => chronicle.show(&mut view, promises),
            Err((promise, text)) => promises.hold(promise, Some(text)),
        }
    }

    /// A command that was sent then and meant for `meant` was accepted for `count`.
    pub(super) fn accepted(&self, effect: Effect, meant: u64, count: u64, sent: Instant) {
        let mut book = self.book();
        book.chronicle.ask(Asked::Accepted(effect, meant, count));
        book.devices.deliver(count, sent);
    }

    /// A device has a stream, and knows that state.
    pub(super) fn came(&self, member: &Member, count: u64) {
        self.book().devices.came(member, count, self.grace);
    }

    /// A device has no stream any more, or is about to drop it.
    pub(super) fn went(&self, member: &Member) {
        self.book().devices.went(member);
    }

    /// So many bytes of a track came, up to `upto`; `sure` when the server sent the last of them a moment ago, and never before.
    pub(super) fn bytes_came(
        &self,
        member: &Member,
        track: &str,
        upto: u64,
        bytes: usize,
        sure: bool,
    ) {
        let mut book = self.book();
        book.bytes += bytes as u64;
        // Whether bytes of another track are progress is not said.
        let barrier = book.watched.as_ref().and_then(View::barrier);
        let waited_for = barrier.is_some_and(|barrier| barrier["trackId"] == track);
        book.devices
            .received(member, track, upto, sure && waited_for);
    }

    /// A download ended by itself: compares it with the first one of the same track.
    pub(super) fn downloaded(&self, track: &str, wrong: Option<String>, digest: [u8; 32]) {
        let mut book = self.book();
        let Book {
            promises, digests, ..
        } = &mut *book;
        let wrong = wrong.or_else(|| {
            let first = digests.entry(track.to_owned()).or_insert(digest);
            (*first != digest).then(|| format!("{track} has other bytes for another phone"))
        });
        promises.hold(Promise::Downloads, wrong);
    }

    /// Whether somebody is waited for too long, as far as was heard; `None` when nobody is waited for.
    pub(super) fn is_anybody_overdue(&self) -> Option<bool> {
        let book = self.book();
        let view = book.watched.as_ref().filter(|_| book.waits.is_open())?;
        Some(
            !book
                .waits
                .overdue(view, &book.devices, self.grace)
                .is_empty(),
        )
    }

    /// Those are overdue, unless what was heard is behind the state that the server itself shows.
    pub(super) fn cry_overdue(&self, shown: u64) {
        let mut book = self.book();
        let Book {
            promises,
            devices,
            waits,
            watched,
            ..
        } = &mut *book;
        if let Some(view) = watched.as_ref().filter(|view| view.count == shown) {
            let overdue = waits.overdue(view, devices, self.grace);
            waits.cry(overdue, promises);
        }
    }

    /// What there is to say in one line.
    pub(super) fn progress(&self, phones: usize) -> Progress {
        let book = self.book();
        let statuses = book.answers.values().flatten();
        let (accepted, refused) =
            statuses.fold((0, 0), |(yes, no), (status, times)| match status {
                200..300 => (yes + times, no),
                _ => (yes, no + times),
            });
        let waiting = book
            .watched
            .as_ref()
            .and_then(|view| book.waits.missing(view));
        Progress {
            elapsed: self.elapsed(),
            listening: book.devices.here(),
            phones,
            event_count: book.chronicle.newest(),
            accepted,
            refused,
            waiting,
            bytes: book.bytes,
            breaches: book.promises.breaches(),
        }
    }
}

impl Book {
    fn take_in(&mut self, event: &Event, view: &mut View) -> bool {
        let folded = view.fold(event);
        if let Err((promise, text)) = folded {
            self.promises.hold(promise, Some(text));
            return false;
        }
        self.promises.hold(Promise::Counts, None);
        if event.id.is_some() {
            self.chronicle.hear(event, view, &mut self.promises);
        } else if event.name == "snapshot" {
            self.chronicle.show(view, &mut self.promises);
        }
        true
    }

    /// The state that the one who is never interrupted knows.
    pub(super) fn watched(&self) -> Option<&View> {
        self.watched.as_ref()
    }
}

/// How it goes, in one line.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    elapsed: Duration,
    listening: usize,
    phones: usize,
    event_count: u64,
    accepted: u64,
    refused: u64,
    waiting: Option<(usize, usize, Duration)>,
    bytes: u64,
    breaches: u64,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:4} s  {}/{} listening  event {}  {} accepted, {} refused  {} MB  ",
            self.elapsed.as_secs(),
            self.listening,
            self.phones,
            self.event_count,
            self.accepted,
            self.refused,
            self.bytes / 1_000_000,
        )?;
        match self.waiting {
            Some((missing, members, time)) => {
                write!(
                    f,
                    "waiting for {missing} of {members} since {} s",
                    time.as_secs()
                )?;
            }
            None => write!(f, "no barrier")?,
        }
        write!(f, "  {} breaches", self.breaches)
    }
}
