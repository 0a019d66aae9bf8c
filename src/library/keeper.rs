//! Keeps the index true: scans the audio folder when the server starts and whenever something in it has changed, and
//! says what came of it. What is told to whom is not decided here.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;

use super::cache::Cache;
use super::scan::{self, Seen, Walked};
use super::watch::{self, Watch};
use super::{Cover, Index, Track, Version};

/// So few files are read before the server answers the first request; with more, it answers meanwhile.
const FEW: usize = 200;
/// A file that was written to a moment ago may be written to again: it is taken when it has been left alone for so long.
const SETTLED: Duration = Duration::from_secs(2);
/// When things change without an end, they are looked at all the same after so long.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A folder without notice of changes is looked through so often, and any is looked at, whether it is another's by now.
const SLOW: Duration = Duration::from_secs(60);
/// A folder that cannot be read, and news that nobody took, are tried again after so long.
const AGAIN: Duration = Duration::from_secs(10);
/// Progress is told so often.
const PROGRESS: Duration = Duration::from_secs(1);
/// What has been found of a large library so far is told after so long, and then each time after so many times longer.
const FIRST_PART: Duration = Duration::from_secs(2);
const LATER_PARTS: u32 = 4;

/// What the keeper is asked or told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Something has changed in the folder.
    Noticed,
    /// Somebody wants the folder looked through now, and believed whatever is found.
    Rescan,
}

/// How far a scan is that takes a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Files that have been looked into.
    pub read: usize,
    /// All that are to be.
    pub total: usize,
}

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

/// The keeper of one audio folder.
#[derive(Debug)]
pub struct Keeper {
    root: PathBuf,
    /// Which folder it was that was last looked through.
    place: Place,
    cache: Cache,
    index: Arc<Index>,
    /// Whether `index` is all there is.
    whole: bool,
    /// What has been said to be left out.
    told: HashSet<PathBuf>,
    /// Since when something in the folder is being written to.
    unsettled_since: Option<Instant>,
}

/// What came of a look.
struct Looked {
    /// Something was written to a moment ago.
    unsettled: bool,
}

impl Keeper {
    /// Looks through `folder`, with the help of what was found last time. With only a few files to be read, they are
    /// read; else that is left for [`Keeper::run`]. Blocks.
    ///
    /// # Errors
    /// What the system said when the folder cannot be read.
    pub fn open(folder: &Path, state_file: &Path) -> io::Result<Self> {
        let root = folder.canonicalize()?;
        let walked = scan::walk(&root)?;
        let cache = Cache::beside(state_file);
        let mut keeper = Keeper {
            place: Place::of(&root)?,
            index: Arc::new(cache.load(&root)),
            cache,
            root,
            whole: false,
            told: HashSet::new(),
            unsettled_since: None,
        };
        keeper.first(&walked);
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

    fn first(&mut self, walked: &Walked) {
        let cached = self.index.clone();
        let Sorted { new, mut draft, .. } = Sorted::new(walked, &cached, None);
        self.whole = new.len() <= FEW;
        if self.whole {
            scan::read_each(&self.root, &new, |seen, track| draft.take(seen, track));
        }
        self.index = Arc::new(draft.into_index(&self.root, walked));
        if self.whole {
            self.leave_out(walked);
            if *self.index != *cached {
                self.cache.save(&self.index);
            }
        }
    }

    /// Keeps the index true until `orders` are over, and tells `audience`, which says whether it could take it; news that
    /// it could not is told again. Blocks.
    pub(super) fn run(
        mut self,
        orders: &Receiver<Order>,
        notice: impl Fn() + Send + Clone + 'static,
        mut audience: impl FnMut(News) -> bool,
    ) {
        // It begins before the first look: what changed before that, nobody noticed.
        let mut watch = None;
        let mut taken = true;
        let mut rest = Duration::ZERO;
        loop {
            let mut forced = false;
            let is_slow = rest == SLOW;
            match orders.recv_timeout(rest) {
                Ok(order) => {
                    forced = order == Order::Rescan;
                    settle(orders, &mut forced);
                }
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) if is_slow && self.is_watched(watch.as_ref()) => {
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            // A disk that is mounted, or is not any more, gives no notice.
            if watch.is_none() || !self.is_in_place() {
                watch = Some(watch::watch(&self.root, notice.clone()));
            }
            rest = match self.look(forced, &mut taken, &mut audience) {
                Ok(Looked { unsettled: true }) => SETTLED,
                Ok(_) if taken => SLOW,
                Ok(_) => AGAIN,
                Err(error) => {
                    tracing::warn!(
                        "cannot read the audio folder {}, so it stays as it was: {error}",
                        self.root.display()
                    );
                    watch = None;
                    AGAIN
                }
            };
        }
    }

    fn is_watched(&self, watch: Option<&Watch>) -> bool {
        matches!(watch, Some(Watch::Told(_))) && self.is_in_place()
    }

    /// Whether the folder is the one that it was.
    fn is_in_place(&self) -> bool {
        Place::of(&self.root).is_ok_and(|found| found == self.place)
    }

    /// Looks through the folder, and tells what is new.
    fn look(
        &mut self,
        forced: bool,
        taken: &mut bool,
        audience: &mut impl FnMut(News) -> bool,
    ) -> io::Result<Looked> {
        let place = Place::of(&self.root)?;
        let walked = scan::walk(&self.root)?;
        let was = self.index.clone();
        let sorted = Sorted::new(&walked, &was, self.whole.then(SystemTime::now));
        if sorted.unsettled {
            // What belongs together, as a file's old name and its new one, is told together.
            let since = *self.unsettled_since.get_or_insert_with(Instant::now);
            if !forced && since.elapsed() < LONGEST_WAIT {
                return Ok(Looked { unsettled: true });
            }
        }
        self.unsettled_since = None;
        let Sorted {
            new,
            mut draft,
            unsettled,
        } = sorted;
        let mut teller = Teller::new(new.len());
        scan::read_each(&self.root, &new, |seen, track| {
            draft.take(seen, track);
            teller.tell(|news| match news {
                Due::Progress(progress) => audience(News::Reading(progress)),
                // A part of a library that was whole before would only take tracks away.
                Due::Part if self.whole => true,
                Due::Part => audience(News::Index {
                    index: Arc::new(draft.clone().into_index(&self.root, &walked)),
                    whole: false,
                }),
            });
            true
        });
        let index = draft.into_index(&self.root, &walked);
        self.leave_out(&walked);
        if index.is_empty() && !was.is_empty() && place.device != self.place.device && !forced {
            return Err(io::Error::other(
                "it is another disk by now, and empty; if that is meant, ask for a rescan",
            ));
        }
        self.place = place;
        let is_news = index != *was || !self.whole || !*taken;
        if is_news {
            self.index = Arc::new(index);
            self.whole = true;
            *taken = audience(News::Index {
                index: self.index.clone(),
                whole: true,
            });
            self.cache.save(&self.index);
        }
        if is_news || teller.has_told {
            audience(News::Reading(teller.end()));
        }
        Ok(Looked { unsettled })
    }

    /// One line for each thing that may not be looked at, and none the next time.
    fn leave_out(&mut self, walked: &Walked) {
        for (path, why) in &walked.left_out {
            if self.told.insert(path.clone()) {
                scan::left_out(path, why);
            }
        }
    }
}

/// Waits until nothing has changed for a while, so that many changes are looked at together. A rescan is wanted at once.
fn settle(orders: &Receiver<Order>, forced: &mut bool) {
    let deadline = Instant::now() + LONGEST_WAIT;
    while !*forced {
        let left = deadline.saturating_duration_since(Instant::now());
        match orders.recv_timeout(SETTLED.min(left)) {
            Ok(order) => *forced = order == Order::Rescan,
            Err(_) => return,
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

/// What a walk found, by what is known of it.
struct Sorted<'a> {
    /// To be looked into.
    new: Vec<&'a Seen>,
    /// What is as it was.
    draft: Draft,
    unsettled: bool,
}

impl<'a> Sorted<'a> {
    /// `now` if what was written to a moment ago is to be left as it was.
    fn new(walked: &'a Walked, was: &Index, now: Option<SystemTime>) -> Self {
        let tracks: HashMap<_, _> = was
            .tracks
            .iter()
            .map(|track| (track.path.as_path(), track))
            .collect();
        let others: HashMap<_, _> = was
            .others
            .iter()
            .map(|(path, version)| (path.as_path(), *version))
            .collect();
        let mut sorted = Sorted {
            new: Vec::new(),
            draft: Draft::default(),
            unsettled: false,
        };
        for seen in &walked.files {
            let path = seen.path.as_path();
            let track = tracks.get(path);
            let is_wet = now.is_some_and(|now| is_wet(seen, now));
            if let Some(track) = track.filter(|track| track.version == seen.version || is_wet) {
                sorted.unsettled |= track.version != seen.version;
                sorted.draft.tracks.push((*track).clone());
            } else if others.get(path) == Some(&seen.version) {
                sorted.draft.others.push((seen.path.clone(), seen.version));
            } else if is_wet {
                sorted.unsettled = true;
            } else {
                sorted.new.push(seen);
            }
        }
        sorted
    }
}

/// Whether a file was written to a moment ago. One from the future is not: a clock was wrong.
fn is_wet(seen: &Seen, now: SystemTime) -> bool {
    let age = seen
        .modified
        .and_then(|modified| now.duration_since(modified).ok());
    age.is_some_and(|age| age < SETTLED)
}

/// An index in the making.
#[derive(Clone, Default)]
struct Draft {
    tracks: Vec<Track>,
    others: Vec<(PathBuf, Version)>,
}

impl Draft {
    /// Always goes on.
    fn take(&mut self, seen: &Seen, track: Option<Track>) -> bool {
        match track {
            Some(track) => self.tracks.push(track),
            None => self.others.push((seen.path.clone(), seen.version)),
        }
        true
    }

    fn into_index(mut self, root: &Path, walked: &Walked) -> Index {
        for track in &mut self.tracks {
            if track.cover != Some(Cover::Embedded) {
                let beside = track
                    .path
                    .parent()
                    .and_then(|folder| walked.covers.get(folder));
                track.set_cover(beside.map(|seen| Cover::Beside(seen.path.clone(), seen.version)));
            }
        }
        Index::new(root.into(), self.tracks, self.others)
    }
}

/// What a scan that takes a while has to tell.
enum Due {
    Progress(Progress),
    Part,
}

/// Decides when a scan tells something.
struct Teller {
    progress: Progress,
    began: Instant,
    progress_at: Instant,
    part_after: Duration,
    has_told: bool,
}

impl Teller {
    fn new(total: usize) -> Self {
        let began = Instant::now();
        Teller {
            progress: Progress { read: 0, total },
            began,
            progress_at: began + PROGRESS,
            part_after: FIRST_PART,
            has_told: false,
        }
    }

    /// One file more is read.
    fn tell(&mut self, mut to: impl FnMut(Due) -> bool) {
        self.progress.read += 1;
        let now = Instant::now();
        if now < self.progress_at {
            return;
        }
        self.progress_at = now + PROGRESS;
        self.has_told = true;
        to(Due::Progress(self.progress));
        if now - self.began >= self.part_after {
            self.part_after = (now - self.began) * LATER_PARTS;
            to(Due::Part);
        }
    }

    fn end(&self) -> Progress {
        let Progress { total, .. } = self.progress;
        Progress { read: total, total }
    }
}
