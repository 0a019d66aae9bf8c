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
use super::scan::{self, Found, Seen, Walked};
use super::watch::{self, Watch};
use super::{Cover, Index, Track, Version};
use crate::metrics::Metrics;

/// So few files are read before the server answers the first request; with more, it answers meanwhile.
const FEW: usize = 200;
/// A file that was written to a moment ago may be written to again: it is taken when it has been left alone for so long.
const SETTLED: Duration = Duration::from_secs(2);
/// When things change without an end, they are looked at all the same after so long.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A folder without notice of changes is looked through so often, and any is looked at, whether it is another by now.
const SLOW: Duration = Duration::from_secs(60);
/// However changes are told, they are looked for all the same after so many times as long: a mount gives no notice.
const SLOWEST: u32 = 15;
/// A folder that cannot be read, and news that nobody took, are tried again after so long.
const AGAIN: Duration = Duration::from_secs(10);
/// Progress is told so often.
const PROGRESS: Duration = Duration::from_secs(1);
/// What has been found of a large library so far is told after so long, and then each time after so many times longer.
const FIRST_PART: Duration = Duration::from_secs(2);
const LATER_PARTS: u32 = 4;

/// More likely a disk that is not mounted than music given up.
const EMPTY: &str = "there is no music in it any more; if that is meant, ask for a rescan";

/// What the keeper is asked or told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Something has changed in the folder.
    Noticed,
    /// Changes may have been missed, and may be from now on.
    Deaf,
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
    /// Files of our own, which are written to all the time.
    ours: Vec<PathBuf>,
    index: Arc<Index>,
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
    metrics: Arc<Metrics>,
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
    pub fn open(folder: &Path, state_file: &Path, metrics: Arc<Metrics>) -> io::Result<Self> {
        let began = Instant::now();
        let root = folder.canonicalize()?;
        let cache = Cache::beside(state_file);
        let ours = cache.ours(state_file);
        let walked = scan::walk(&root, &ours)?;
        let mut keeper = Keeper {
            place: Place::of(&root)?,
            index: Arc::new(cache.load(&root)),
            cache,
            ours,
            root,
            whole: false,
            told: HashSet::new(),
            unsettled_since: None,
            unsettled: HashMap::new(),
            trouble: String::new(),
            metrics,
        };
        keeper.first(&walked);
        keeper.metrics.scans.observe(began.elapsed());
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
        if walked.files.is_empty() && !cached.is_empty() {
            return self.complain(EMPTY);
        }
        let Sorted { new, mut draft, .. } = Sorted::new(walked, &cached, &Wetness::Ignored, false);
        if new.len() > FEW {
            return;
        }
        scan::read_each(&self.root, &new, |seen, found| {
            self.metrics.files_read.add(1);
            draft.take(seen, found, &cached);
        });
        self.leave_out(walked, &draft);
        self.index = Arc::new(draft.into_index(&self.root, walked));
        self.whole = true;
        if *self.index != *cached {
            self.cache.save(&self.index);
        }
    }

    /// Keeps the index true until `orders` are over, and tells `audience`, which says whether it could take it; news that
    /// it could not is told again. With `tells_parts`, of a library that is still being read so much is told as is known.
    /// `notice` is called when something may have changed. Blocks.
    pub(super) fn run(
        mut self,
        orders: &Receiver<Order>,
        notice: impl Fn(Order) + Send + Clone + 'static,
        tells_parts: bool,
        mut audience: impl FnMut(News) -> bool,
    ) {
        // It begins before the first look: what changed before that, nobody noticed.
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
                    if quiet < SLOWEST && self.is_told(watch.as_ref()) {
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
            let watch = watch
                .get_or_insert_with(|| watch::watch(&self.root, self.ours.clone(), notice.clone()));
            let is_told = self.is_told(Some(watch));
            let began = Instant::now();
            let mut part = |news| match news {
                News::Index { whole: false, .. } if !tells_parts => true,
                news => audience(news),
            };
            let looked = self.look(wanted.forced, is_told, &mut taken, &mut part);
            self.metrics.scans.observe(began.elapsed());
            rest = match looked {
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
        audience: &mut impl FnMut(News) -> bool,
    ) -> io::Result<Looked> {
        let place = Place::of(&self.root)?;
        let walked = scan::walk(&self.root, &self.ours)?;
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
        let mut teller = Teller::new(new.len());
        scan::read_each(&self.root, &new, |seen, found| {
            self.metrics.files_read.add(1);
            draft.take(seen, found, &was);
            teller.tell(|due| match due {
                Due::Progress(progress) => audience(News::Reading(progress)),
                // A part of a library that was whole before would only take tracks away.
                Due::Part if self.whole => true,
                Due::Part => audience(News::Index {
                    index: Arc::new(draft.clone().into_index(&self.root, &walked)),
                    whole: false,
                }),
            });
        });
        self.leave_out(&walked, &draft);
        let index = draft.into_index(&self.root, &walked);
        self.place = place;
        self.trouble.clear();
        if index != *was {
            self.cache.save(&index);
        }
        let is_news = index.tracks != was.tracks || !self.whole || forced;
        if is_news || index != *was {
            self.index = Arc::new(index);
        }
        self.whole = true;
        if is_news || !*taken {
            // Who has heard of the end of this once need not hear it at each further try.
            let was_taken = *taken;
            *taken = audience(News::Index {
                index: self.index.clone(),
                whole: true,
            });
            teller.has_told |= was_taken || *taken;
        }
        if teller.has_told {
            audience(News::Reading(teller.end()));
        }
        Ok(Looked {
            unsettled: is_unsettled,
        })
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

/// What a look is to do besides looking.
#[derive(Default)]
struct Wanted {
    /// Believe whatever is found.
    forced: bool,
    /// Watch anew.
    watch: bool,
}

impl Wanted {
    fn hear(&mut self, order: Order) {
        match order {
            Order::Noticed => {}
            Order::Deaf => self.watch = true,
            Order::Rescan => self.forced = true,
        }
    }
}

/// Waits until nothing has changed for a while, so that many changes are looked at together. A rescan is wanted at once.
fn settle(first: Order, orders: &Receiver<Order>) -> Wanted {
    let deadline = Instant::now() + LONGEST_WAIT;
    let mut wanted = Wanted::default();
    wanted.hear(first);
    while !wanted.forced {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok(order) = orders.recv_timeout(SETTLED.min(left)) else {
            break;
        };
        wanted.hear(order);
    }
    // Whoever asks many times asks for one look.
    orders.try_iter().for_each(|order| wanted.hear(order));
    wanted
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

/// How it is known whether a file is still being written to.
enum Wetness {
    /// All are taken as they are.
    Ignored,
    /// It was changed a moment before now.
    ByAge(SystemTime),
    /// It is not as it was when it was looked at last.
    ByLooking(HashMap<PathBuf, Version>),
}

impl Wetness {
    fn is_wet(&self, seen: &Seen) -> bool {
        match self {
            Wetness::Ignored => false,
            // One from the future is dry: a clock was wrong.
            Wetness::ByAge(now) => seen
                .modified
                .and_then(|modified| now.duration_since(modified).ok())
                .is_some_and(|age| age < SETTLED),
            Wetness::ByLooking(before) => before.get(&seen.path) != Some(&seen.version),
        }
    }
}

/// What a walk found, by what is known of it.
struct Sorted<'a> {
    /// To be looked into.
    new: Vec<&'a Seen>,
    /// What is as it was.
    draft: Draft,
    /// What may still be written to: as it was, if it was there, or not there yet.
    unsettled: HashMap<PathBuf, Version>,
}

impl<'a> Sorted<'a> {
    /// With `anew`, what was no music is looked into again.
    fn new(walked: &'a Walked, was: &Index, wetness: &Wetness, anew: bool) -> Self {
        let known = was.tracks.iter().map(|track| (track.path.as_path(), track));
        let mut known: HashMap<_, _> = known.collect();
        let others = was.others.iter();
        let others = others.map(|(path, version)| (path.as_path(), *version));
        let others: HashMap<_, _> = others.collect();
        let mut sorted = Sorted {
            new: Vec::new(),
            draft: Draft::default(),
            unsettled: HashMap::new(),
        };
        for seen in &walked.files {
            let path = seen.path.as_path();
            let track = known.remove(path);
            if let Some(track) = track.filter(|track| track.version == seen.version) {
                sorted.draft.tracks.push(track.clone());
            } else if !anew && others.get(path) == Some(&seen.version) {
                sorted.draft.others.push((seen.path.clone(), seen.version));
            } else if wetness.is_wet(seen) {
                sorted.draft.tracks.extend(track.cloned());
                sorted.unsettled.insert(seen.path.clone(), seen.version);
            } else {
                sorted.new.push(seen);
            }
        }
        // What lies in a folder that cannot be read is not gone.
        let unread = |path: &Path| walked.unread.iter().any(|folder| path.starts_with(folder));
        let hidden = known.into_values().filter(|track| unread(&track.path));
        sorted.draft.tracks.extend(hidden.cloned());
        sorted
    }
}

/// An index in the making.
#[derive(Clone, Default)]
struct Draft {
    tracks: Vec<Track>,
    others: Vec<(PathBuf, Version)>,
    /// What would not be read, and why.
    unread: Vec<(PathBuf, String)>,
}

impl Draft {
    fn take(&mut self, seen: &Seen, found: Found, was: &Index) {
        match found {
            Found::Music(track) => self.tracks.push(*track),
            Found::NotMusic => self.others.push((seen.path.clone(), seen.version)),
            // It is what it was, as far as anybody knows.
            Found::Nothing(why) => {
                let before = was.tracks.iter().find(|track| track.path == seen.path);
                self.tracks.extend(before.cloned());
                self.unread.push((seen.path.clone(), why));
            }
        }
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A folder with music in it, and an index of it.
    fn folder() -> (tempfile::TempDir, PathBuf, Index) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir(root.join("album")).unwrap();
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/fixture.flac");
        for name in ["a.flac", "album/b.flac"] {
            fs::copy(&fixture, root.join(name)).unwrap();
        }
        fs::write(root.join("notes.txt"), "no music").unwrap();
        let walked = scan::walk(&root, &[]).unwrap();
        let nothing = Index::empty(&root);
        let Sorted { new, mut draft, .. } =
            Sorted::new(&walked, &nothing, &Wetness::Ignored, false);
        scan::read_each(&root, &new, |seen, found| draft.take(seen, found, &nothing));
        let index = draft.into_index(&root, &walked);
        assert_eq!((index.len(), index.others.len()), (2, 1));
        (folder, root, index)
    }

    fn paths<'a>(seen: impl IntoIterator<Item = &'a Path>) -> Vec<&'a str> {
        seen.into_iter()
            .map(|path| path.to_str().unwrap())
            .collect()
    }

    #[test]
    fn only_what_has_changed_is_looked_into_and_what_was_no_music_when_somebody_insists() {
        let (_folder, root, index) = folder();
        fs::write(root.join("a.flac"), "other bytes").unwrap();
        let walked = scan::walk(&root, &[]).unwrap();
        for (anew, expected) in [(false, &["a.flac"][..]), (true, &["a.flac", "notes.txt"])] {
            let sorted = Sorted::new(&walked, &index, &Wetness::Ignored, anew);
            assert_eq!(
                paths(sorted.new.iter().map(|seen| seen.path.as_path())),
                expected
            );
        }
    }

    #[test]
    fn a_track_that_is_being_written_to_stays_what_it_was_until_it_is_left_alone() {
        let (_folder, root, index) = folder();
        fs::write(root.join("a.flac"), "half").unwrap();
        let walked = scan::walk(&root, &[]).unwrap();
        let now = walked.files[0].modified.unwrap();
        let later = now + SETTLED;
        let unseen = Wetness::ByLooking(HashMap::new());
        for wetness in [Wetness::ByAge(now), unseen] {
            let sorted = Sorted::new(&walked, &index, &wetness, false);
            assert_eq!(sorted.draft.tracks.len(), 2);
            assert!(sorted.new.is_empty());
            let seen = Wetness::ByLooking(sorted.unsettled);
            for wetness in [Wetness::ByAge(later), seen] {
                let sorted = Sorted::new(&walked, &index, &wetness, false);
                assert_eq!(sorted.new.len(), 1);
                assert!(sorted.unsettled.is_empty());
            }
        }
    }

    #[test]
    fn what_cannot_be_read_just_now_is_not_gone() {
        let (_folder, root, index) = folder();
        let mut walked = scan::walk(&root, &[]).unwrap();
        walked.files.retain(|seen| !seen.path.starts_with("album"));
        let gone = Sorted::new(&walked, &index, &Wetness::Ignored, false).draft;
        assert_eq!(gone.tracks.len(), 1);
        walked.unread.push("album".into());
        let mut kept = Sorted::new(&walked, &index, &Wetness::Ignored, false).draft;
        assert_eq!(kept.tracks.len(), 2);

        kept.tracks.clear();
        let why = Found::Nothing("the disk is asleep".into());
        kept.take(&walked.files[0], why, &index);
        assert_eq!(
            paths(kept.tracks.iter().map(|track| track.path.as_path())),
            ["a.flac"]
        );
        assert_eq!(kept.unread.len(), 1);
    }

    #[test]
    fn many_orders_are_one_look_and_a_rescan_does_not_wait() {
        let (asks, orders) = std::sync::mpsc::channel();
        for order in [Order::Rescan, Order::Deaf, Order::Noticed, Order::Rescan] {
            asks.send(order).unwrap();
        }
        let began = Instant::now();
        let wanted = settle(Order::Noticed, &orders);
        assert!(wanted.forced && wanted.watch);
        assert!(began.elapsed() < SETTLED);
        assert!(orders.try_recv().is_err());
    }
}
