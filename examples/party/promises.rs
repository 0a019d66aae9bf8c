//! What the crowd holds the server to: how often each promise was checked, how often it was broken,
//! and the first breaches in words. Who finds a breach, and how, lives with those who look.

/// How many breaches are kept in words.
const SPELLED_OUT: usize = 20;

/// Something that the server promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Promise {
    Folds,
    Counts,
    Alike,
    Reaches,
    NothingUnasked,
    Statuses,
    Current,
    Patience,
    Presence,
    Shrinks,
    Waits,
    Segue,
    Downloads,
    ComesBack,
}

impl Promise {
    const ALL: [Promise; 14] = [
        Promise::Folds,
        Promise::Counts,
        Promise::Alike,
        Promise::Reaches,
        Promise::NothingUnasked,
        Promise::Statuses,
        Promise::Current,
        Promise::Patience,
        Promise::Presence,
        Promise::Shrinks,
        Promise::Waits,
        Promise::Segue,
        Promise::Downloads,
        Promise::ComesBack,
    ];

    /// The promise in words.
    fn words(self) -> &'static str {
        match self {
            Promise::Folds => "the patches lead to the server's own snapshots",
            Promise::Counts => "events are counted without a gap or a double",
            Promise::Alike => "every stream tells the same",
            Promise::Reaches => "what was accepted is in everybody's stream",
            Promise::NothingUnasked => "what was refused changes nothing",
            Promise::Statuses => "requests are answered, with a status that fits",
            Promise::Current => "a 409 has a reason, and its snapshot is current",
            Promise::Patience => "nobody is waited for longer than patience lasts",
            Promise::Presence => "nobody who is there and works is given up",
            Promise::Shrinks => "a barrier's members only shrink",
            Promise::Waits => "a track starts once every member said that it has it",
            Promise::Segue => "the next track starts when the segue said",
            Promise::Downloads => "downloads are whole, and the same for all",
            Promise::ComesBack => "streams go on, and come back",
        }
    }
}

/// How well the server keeps its word.
#[derive(Debug, Default)]
pub(super) struct Promises {
    checked: [u64; Promise::ALL.len()],
    broken: [u64; Promise::ALL.len()],
    spelled_out: Vec<String>,
}

impl Promises {
    /// Holds the server to a promise: `breach` says what is wrong, if anything is.
    pub(super) fn hold(&mut self, promise: Promise, breach: Option<String>) {
        self.checked[promise as usize] += 1;
        if let Some(text) = breach {
            self.broken(promise, &text);
        }
    }

    /// The same, where what is wrong is told by a comparison that failed.
    pub(super) fn expect(
        &mut self,
        promise: Promise,
        holds: bool,
        otherwise: impl FnOnce() -> String,
    ) {
        self.hold(promise, (!holds).then(otherwise));
    }

    fn broken(&mut self, promise: Promise, text: &str) {
        self.broken[promise as usize] += 1;
        if self.spelled_out.len() < SPELLED_OUT {
            self.spelled_out
                .push(format!("{}: {text}", promise.words()));
        }
    }

    /// All breaches together.
    pub(super) fn breaches(&self) -> u64 {
        self.broken.iter().sum()
    }

    /// The first breaches in words.
    pub(super) fn spelled_out(&self) -> &[String] {
        &self.spelled_out
    }

    /// Each promise, how often it was checked, and how often broken.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&'static str, u64, u64)> {
        let figures = self.checked.iter().zip(&self.broken);
        Promise::ALL
            .iter()
            .zip(figures)
            .map(|(promise, (checked, broken))| (promise.words(), *checked, *broken))
    }
}
