//! Keeps the index true: scans the audio folder when the server starts and whenever something in it has changed, and
//! says what came of it. What is told to whom is not decided here.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::cache::Cache;
use super::draft::{Draft, SETTLED, Sorted, Wetness};
use super::orders::{LONGEST_WAIT, Order, Wanted, settle};
use super::scan::{self, Walked};
use super::teller::{Due, Progress, Teller};
use super::watch::{self, Watch};
use super::{Index, Version, ours};
use crate::metrics::Metrics;
use crate::room::TrackId;

/// So few files are read before the server answers the first request; with more, it answers meanwhile.
const FEW: usize = 200;
/// And so much is read before that to find out which files are copies of one another, in bytes.
const LITTLE: u64 = 64 << 20;
/// A folder without notice of changes is looked through so often, and any is looked at, whether it is another by now.
const SLOW: Duration = Duration::from_secs(60);
/// However changes are told, they are looked for all the same after so many times as long: a mount gives no notice.
const SLOWEST: u32 = 15;
/// A folder that cannot be read, and news that nobody took, are tried again after so long.
const AGAIN: Duration = Duration::from_secs(10);
/// More likely a disk that is not mounted than music given up.
const EMPTY: &str = "there is no music in it any more; if that is meant, ask for a rescan";

/// What the keeper has to say.
#[derive(Debug)]
pub enum News {
    /// A scan is under way; with `read` equal to `total` it is over, and what is shown of the library may have changed.
    Reading(Progress),
    /// The library is this now.
    Index {
        /// Every track that is known.
        index: Arc<Index>,
        /// Whether that is all there is.
        whole: bool,
    },
}

/// Who hears what the keeper has to say.
pub trait Audience {
    /// Takes the news, if that is possible just now; if not, it is told again.
    fn hear(&mut self, news: News) -> bool;

    /// The room's current track, playing or not. It goes on being shown when a better copy comes, as long as it is that.
    fn current(&self) -> Option<TrackId>;
}

/// The keeper of one audio folder.
#[derive(Debug)]
pub struct Keeper {
    root: PathBuf,
    /// Which folder it was that was last looked through.
    place: Place,
    cache: Cache,
    /// Files and folders of our own, which are written to all the time.
    ours: Vec<PathBuf>,
    /// Whether all copies of a recording are shown.
    keep_duplicates: bool,
    /// Whether of a library that is still being read so much is told as is known.
    tells_parts: bool,
    index: Arc<Index>,
    /// What was seen of a large folder when the server started, until it is looked into.
    walked: Option<Walked>,
    /// Whether `index` is all there is.
    whole: bool,
    /// What has been said to be left out.
    told: HashSet<PathBuf>,
    /// Since when something in the folder is being written to.
    unsettled_since: Option<Instant>,
    /// What was being written to, as it was when it was last looked at.
    unsettled: HashMap<PathBuf, Version>,
    /// What is wrong with the folder, as it was last told.
    trouble: String,
    /// How many copies have been said to be left out.
    told_copies: usize,
    metrics: Arc<Metrics>,
}

/// What came of a look.
struct Looked {
    /// Something was written to a moment ago.
    unsettled: bool,
}

impl Keeper {
    /// Looks through `folder`, with the help of what was found last time. With only a few files to be read, they are
    /// read; else that is left for [`Keeper::run`]. Of copies of one recording one is shown, unless `keep_duplicates`; while
    /// one of them is `current`, it is that. Blocks.
    ///
    /// # Errors
    /// What the system said when the folder cannot be read.
    pub fn open(
        folder: &Path,
        state_file: &Path,
        keep_duplicates: bool,
        current: Option<TrackId>,
        metrics: Arc<Metrics>,
    ) -> io::Result<Self> {
        let began = Instant::now();
        let root = folder.canonicalize()?;
        let cache = Cache::beside(state_file);
        let ours = ours(state_file);
        // The one waits for the disk while the other works.
        let (walked, index) = thread::scope(|scope| {
            let walking = scope.spawn(|| scan::walk(&root, &ours));
            let index = cache.load(&root, keep_duplicates, current);
            let broken = |_| Err(io::Error::other("looking through it failed"));
            (walking.join().unwrap_or_else(broken), index)
        });
        let walked = walked?;
        let mut keeper = Keeper {
            place: Place::of(&root)?,
            index: Arc::new(index),
            walked: None,
            cache,
            ours,
            root,
            keep_duplicates,
            tells_parts: false,
            whole: false,
            told: HashSet::new(),
            unsettled_since: None,
            unsettled: HashMap::new(),
            trouble: String::new(),
            told_copies: 0,
            metrics,
        };
        keeper.first(&walked, current);
        keeper.metrics.scans.observe(began.elapsed());
        if !keeper.whole {
            keeper.walked = Some(walked);
        }
        Ok(keeper)
    }

    /// What is known so far.
    pub fn index(&self) -> Arc<Index> {
        self.index.clone()
    }

    /// Whether that is all there is.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    fn first(&mut self, walked: &Walked, current: Option<TrackId>) {
        let cached = self.index.clone();
        if walked.files.is_empty() && !cached.is_empty() {
            return self.complain(EMPTY);
        }
        let sorted = Sorted::new(walked, &cached, &Wetness::Ignored, false);
        let is_as_it_was = sorted.is(&cached, walked);
        let Sorted { new, mut draft, .. } = sorted;
        if new.len() > FEW {
            return;
        }
        scan::read_each(&self.root, &new, |seen, found| {
            self.metrics.files_read.add(1);
            draft.take(seen, found, &cached);
        });
        let undecided = self.undecided_bytes(&draft);
        if undecided > LITTLE {
            return;
        }
        self.leave_out(walked, &draft);
        self.whole = true;
        if !is_as_it_was || undecided > 0 {
            self.index = Arc::new(self.finish(draft, walked, || current));
            if *self.index != *cached {
                self.cache.save(&self.index, self.keep_duplicates);
            }
        }
        self.tell_copies();
    }

    fn undecided_bytes(&self, draft: &Draft) -> u64 {
        if self.keep_duplicates {
            0
        } else {
            draft.undecided_bytes()
        }
    }

    /// `current` is asked for last: it may take long to look at the bytes.
    fn finish(
        &self,
        mut draft: Draft,
        walked: &Walked,
        current: impl FnOnce() -> Option<TrackId>,
    ) -> Index {
        if !self.keep_duplicates {
            draft.decide(&self.root);
        }
        draft.into_index(&self.index, walked, self.keep_duplicates, current())
    }

    /// Keeps the index true until `orders` are over, and tells `audience`. With `tells_parts`, of a library that is still
    /// being read so much is told as is known. `notice` is called when something may have changed. Blocks.
    pub(super) fn run(
        mut self,
        orders: &Receiver<Order>,
        notice: impl Fn(Order) + Send + Clone + 'static,
        tells_parts: bool,
        mut audience: impl Audience,
    ) {
        self.tells_parts = tells_parts;
        // It begins before a look: what changed before that, nobody noticed.
        let mut watch = None;
        let mut taken = true;
        let mut rest = Duration::ZERO;
        let mut quiet = 0;
        loop {
            let mut wanted = Wanted::default();
            match orders.recv_timeout(rest) {
                Ok(order) => wanted = settle(order, orders),
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) if rest == SLOW => {
                    quiet += 1;
                    let waits = self.index.holds_back_a_better_copy(audience.current());
                    if quiet < SLOWEST && self.is_told(watch.as_ref()) && !waits {
                        continue;
                    }
                    wanted.watch = quiet >= SLOWEST;
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            quiet = 0;
            if wanted.watch || !self.is_in_place() {
                watch = None;
            }
            // While a large folder is looked into, there is no watch: it would be told of each file that is opened.
            let is_first = self.walked.is_some();
            if !is_first {
                watch.get_or_insert_with(|| {
                    watch::watch(&self.root, self.ours.clone(), notice.clone())
                });
            }
            let is_told = self.is_told(watch.as_ref());
            let began = Instant::now();
            let looked = self.look(wanted.forced, is_told, &mut taken, &mut audience);
            self.metrics.scans.observe(began.elapsed());
            rest = match looked {
                // What has changed meanwhile, nobody noticed.
                Ok(_) if is_first => Duration::ZERO,
                Ok(Looked { unsettled: true }) => SETTLED,
                Ok(_) if taken => SLOW,
                Ok(_) => AGAIN,
                Err(error) => {
                    self.metrics.failed_scans.add(1);
                    self.complain(&error.to_string());
                    AGAIN
                }
            };
        }
    }

    /// Says what is wrong with the folder, unless that was said last.
    fn complain(&mut self, why: &str) {
        if self.trouble != why {
            self.trouble = why.to_owned();
            tracing::warn!(
                "the audio folder {} cannot be believed, so the library stays as it was: {why}",
                self.root.display()
            );
        }
    }

    /// Whether each change is told.
    fn is_told(&self, watch: Option<&Watch>) -> bool {
        matches!(watch, Some(Watch::Told(_))) && self.is_in_place()
    }

    /// Whether the folder is the one that it was.
    fn is_in_place(&self) -> bool {
        Place::of(&self.root).is_ok_and(|found| found == self.place)
    }

    /// Looks through the folder, and tells what is new. Without being told of changes, nobody knows of a file whether it
    /// is still being written to, but by looking twice.
    fn look(
        &mut self,
        forced: bool,
        is_told: bool,
        taken: &mut bool,
        audience: &mut impl Audience,
    ) -> io::Result<Looked> {
        let place = Place::of(&self.root)?;
        let walked = match self.walked.take() {
            Some(walked) => walked,
            None => scan::walk(&self.root, &self.ours)?,
        };
        let was = self.index.clone();
        let is_strange = !self.whole || place.device != self.place.device;
        if walked.files.is_empty() && !was.is_empty() && is_strange && !forced {
            return Err(io::Error::other(EMPTY));
        }
        let wetness = match (self.whole, is_told) {
            (false, _) => Wetness::Ignored,
            (true, true) => Wetness::ByAge(SystemTime::now()),
            (true, false) => Wetness::ByLooking(std::mem::take(&mut self.unsettled)),
        };
        let sorted = Sorted::new(&walked, &was, &wetness, forced);
        let is_as_it_was = sorted.is(&was, &walked);
        let is_unsettled = !sorted.unsettled.is_empty();
        self.unsettled = sorted.unsettled;
        if is_unsettled {
            // What belongs together, as a file's old name and its new one, is told together.
            let since = *self.unsettled_since.get_or_insert_with(Instant::now);
            if !forced && since.elapsed() < LONGEST_WAIT {
                return Ok(Looked { unsettled: true });
            }
        }
        self.unsettled_since = None;
        let Sorted { new, mut draft, .. } = sorted;
        let mut teller = Teller::new(new.len(), Instant::now());
        scan::read_each(&self.root, &new, |seen, found| {
            self.metrics.files_read.add(1);
            draft.take(seen, found, &was);
            teller.tell(Instant::now(), |due| match due {
                Due::Progress(progress) => audience.hear(News::Reading(progress)),
                // A part of a library that was whole before would only take tracks away.
                Due::Part if self.whole || !self.tells_parts => true,
                Due::Part => {
                    let part = if self.keep_duplicates {
                        draft.clone()
                    } else {
                        draft.decided()
                    };
                    let index =
                        part.into_index(&was, &walked, self.keep_duplicates, audience.current());
                    audience.hear(News::Index {
                        index: Arc::new(index),
                        whole: false,
                    })
                }
            });
        });
        self.leave_out(&walked, &draft);
        self.place = place;
        self.trouble.clear();
        let waits = was.holds_back_a_better_copy(audience.current());
        if !is_as_it_was || waits || self.undecided_bytes(&draft) > 0 {
            let index = self.finish(draft, &walked, || audience.current());
            if index != *was {
                self.index = Arc::new(index);
            }
        }
        let is_news = self.index.tracks() != was.tracks() || !self.whole || forced;
        self.whole = true;
        self.tell_copies();
        if is_news || !*taken {
            // Who has heard of the end of this once need not hear it at each further try.
            let was_taken = *taken;
            *taken = audience.hear(News::Index {
                index: self.index.clone(),
                whole: true,
            });
            teller.has_told |= was_taken || *taken;
        }
        if teller.has_told {
            audience.hear(News::Reading(teller.end()));
        }
        // People wait for the news, and the current track must not change between what was decided and that.
        if !Arc::ptr_eq(&self.index, &was) {
            self.cache.save(&self.index, self.keep_duplicates);
        }
        Ok(Looked {
            unsettled: is_unsettled,
        })
    }

    /// One line for all copies that are not shown, whenever there are more or fewer.
    fn tell_copies(&mut self) {
        let copies = self.index.duplicates();
        if let Some(copy) = copies.first().filter(|_| copies.len() != self.told_copies) {
            let of = self.index.track(copy.of).map(|track| &track.path);
            tracing::info!(
                copies = copies.len(),
                "left out: copies of what is shown, such as {:?}, for which {:?} is shown; --keep-duplicates shows all",
                copy.track.path,
                of.unwrap_or(&copy.track.path),
            );
        }
        self.told_copies = copies.len();
    }

    /// One line for each thing that may not be looked at, or would not be read, and none the next time.
    fn leave_out(&mut self, walked: &Walked, draft: &Draft) {
        for (path, why) in walked.left_out.iter().chain(&draft.unread) {
            if self.told.insert(path.clone()) {
                scan::left_out(path, why);
            }
        }
    }
}

/// What tells one folder from another that has its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    device: u64,
    inode: u64,
}

impl Place {
    fn of(folder: &Path) -> io::Result<Self> {
        let found = folder.metadata()?;
        Ok(Place {
            device: found.dev(),
            inode: found.ino(),
        })
    }
}
