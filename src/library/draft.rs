//! What a walk found, set against what is known, and an index in the making.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::duplicates::{self, Standing};
use super::scan::{self, Found, Seen, Walked};
use super::{Cover, Index, Track, Version};
use crate::room::TrackId;

/// A file that was written to a moment ago may be written to again: it is taken when it has been left alone for so long.
pub(super) const SETTLED: Duration = Duration::from_secs(2);

/// How it is known whether a file is still being written to.
pub(super) enum Wetness {
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
pub(super) struct Sorted<'a> {
    /// To be looked into.
    pub(super) new: Vec<&'a Seen>,
    /// What is as it was.
    pub(super) draft: Draft,
    /// What may still be written to: as it was, if it was there, or not there yet.
    pub(super) unsettled: HashMap<PathBuf, Version>,
}

impl<'a> Sorted<'a> {
    /// With `anew`, what was no music is looked into again.
    pub(super) fn new(walked: &'a Walked, was: &Index, wetness: &Wetness, anew: bool) -> Self {
        // As they are spelled: a path takes its time to compare itself with another.
        let known = was.known().map(|track| (track.path.as_os_str(), track));
        let mut known: HashMap<_, _> = known.collect();
        let others = was.others().iter();
        let others = others.map(|(path, version)| (path.as_os_str(), *version));
        let others: HashMap<_, _> = others.collect();
        let mut sorted = Sorted {
            new: Vec::new(),
            draft: Draft::default(),
            unsettled: HashMap::new(),
        };
        for seen in &walked.files {
            let path = seen.path.as_os_str();
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

    /// Whether there is nothing that `was` does not say.
    pub(super) fn is(&self, was: &Index, walked: &Walked) -> bool {
        let Draft { tracks, others, .. } = &self.draft;
        // What is in the draft is all of `was`, except for the covers beside it.
        self.new.is_empty()
            && self.unsettled.is_empty()
            && tracks.len() == was.known().count()
            && others.len() == was.others().len()
            && tracks
                .iter()
                .all(|track| track.cover.as_ref() == cover(track, walked))
    }
}

/// An index in the making.
#[derive(Clone, Default)]
pub(super) struct Draft {
    tracks: Vec<Arc<Track>>,
    others: Vec<(PathBuf, Version)>,
    /// What would not be read, and why.
    pub(super) unread: Vec<(PathBuf, String)>,
}

impl Draft {
    pub(super) fn take(&mut self, seen: &Seen, found: Found, was: &Index) {
        match found {
            Found::Music(track) => self.tracks.push(track.into()),
            Found::NotMusic => self.others.push((seen.path.clone(), seen.version)),
            // It is what it was, as far as anybody knows.
            Found::Nothing(why) => {
                let before = was.known().find(|track| track.path == seen.path);
                self.tracks.extend(before.cloned());
                self.unread.push((seen.path.clone(), why));
            }
        }
    }

    /// How many bytes [`Draft::decide`] would read.
    pub(super) fn undecided_bytes(&self) -> u64 {
        let undecided = duplicates::undecided(&self.tracks);
        undecided.iter().map(|track| track.size).sum()
    }

    /// Looks at the bytes of what may be copies, where nothing else can tell. Blocks.
    pub(super) fn decide(&mut self, root: &Path) {
        let undecided = duplicates::undecided(&self.tracks);
        let mut sums: HashMap<PathBuf, u64> = HashMap::new();
        scan::sum_each(root, &undecided, |track, sum| {
            sums.insert(track.path.clone(), sum);
        });
        drop(undecided);
        for track in &mut self.tracks {
            if let Some(sum) = sums.get(&track.path) {
                Arc::make_mut(track).content = Some(*sum);
            }
        }
    }

    /// So much of it as is sure to be shown, unless something better is found.
    pub(super) fn decided(&self) -> Draft {
        let mut decided = self.clone();
        let undecided = duplicates::undecided(&self.tracks);
        let undecided: HashSet<_> = undecided.iter().map(|track| &track.path).collect();
        decided
            .tracks
            .retain(|track| !undecided.contains(&track.path));
        decided
    }

    /// The index that follows `was`, while `current` is being heard.
    pub(super) fn into_index(
        mut self,
        was: &Index,
        walked: &Walked,
        keep_duplicates: bool,
        current: Option<TrackId>,
    ) -> Index {
        for track in &mut self.tracks {
            let cover = cover(track, walked).cloned();
            if track.cover != cover {
                Arc::make_mut(track).cover = cover;
            }
        }
        Index::new(
            was.root().into(),
            self.tracks,
            self.others,
            keep_duplicates,
            |id| Standing::of(current == Some(id), was.track(id).is_some()),
        )
    }
}

/// Its own, or the one beside it.
fn cover<'a>(track: &Track, walked: &'a Walked) -> Option<&'a Cover> {
    match track.cover {
        Some(Cover::Embedded) => Some(&Cover::Embedded),
        _ if walked.covers.is_empty() => None,
        _ => walked.covers.get(track.path.parent()?),
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
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/fixture.ogg");
        for name in ["a.ogg", "album/b.ogg"] {
            fs::copy(&fixture, root.join(name)).unwrap();
        }
        fs::write(root.join("notes.txt"), "no music").unwrap();
        let walked = scan::walk(&root, &[]).unwrap();
        let nothing = Index::empty(&root);
        let Sorted { new, mut draft, .. } =
            Sorted::new(&walked, &nothing, &Wetness::Ignored, false);
        scan::read_each(&root, &new, |seen, found| draft.take(seen, found, &nothing));
        let index = draft.into_index(&nothing, &walked, true, None);
        assert_eq!((index.len(), index.others().len()), (2, 1));
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
        fs::write(root.join("a.ogg"), "other bytes").unwrap();
        let walked = scan::walk(&root, &[]).unwrap();
        for (anew, expected) in [(false, &["a.ogg"][..]), (true, &["a.ogg", "notes.txt"])] {
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
        fs::write(root.join("a.ogg"), "half").unwrap();
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
            ["a.ogg"]
        );
        assert_eq!(kept.unread.len(), 1);
    }

    #[test]
    fn a_folder_is_what_it_was_until_anything_in_it_is_another() {
        let (_folder, root, index) = folder();
        let is_as_it_was = || {
            let walked = scan::walk(&root, &[]).unwrap();
            let sorted = Sorted::new(&walked, &index, &Wetness::Ignored, false);
            sorted.is(&index, &walked)
        };
        assert!(is_as_it_was());
        for name in ["new.ogg", "album/cover.png"] {
            fs::write(root.join(name), "something").unwrap();
            assert!(!is_as_it_was(), "{name}");
            fs::remove_file(root.join(name)).unwrap();
            assert!(is_as_it_was(), "{name} is gone again");
        }
        for name in ["notes.txt", "a.ogg"] {
            let (there, aside) = (root.join(name), root.join(".aside"));
            fs::rename(&there, &aside).unwrap();
            assert!(!is_as_it_was(), "{name}");
            fs::rename(&aside, &there).unwrap();
        }
    }

    #[test]
    fn only_bytes_tell_whether_two_without_tags_are_copies() {
        let (_folder, root, index) = folder();
        let untagged =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/untagged_song-name.mp3");
        let mut other = fs::read(&untagged).unwrap();
        // Somewhere in the middle of the music.
        let middle = other.len() / 2;
        other[middle] ^= 1;
        fs::copy(&untagged, root.join("one.mp3")).unwrap();
        fs::copy(&untagged, root.join("two.mp3")).unwrap();
        fs::write(root.join("other.mp3"), other).unwrap();
        let walked = scan::walk(&root, &[]).unwrap();
        let Sorted { new, mut draft, .. } = Sorted::new(&walked, &index, &Wetness::Ignored, false);
        scan::read_each(&root, &new, |seen, found| draft.take(seen, found, &index));
        let names = |draft: &Draft| {
            let index = draft.clone().into_index(&index, &walked, false, None);
            let tracks = index.tracks().iter();
            let mut names: Vec<_> = tracks.map(|track| track.file_name().into_owned()).collect();
            names.sort();
            names
        };
        assert_eq!(
            names(&draft.decided()),
            ["a.ogg"],
            "until they are looked at"
        );
        assert!(draft.undecided_bytes() > 0);
        draft.decide(&root);
        assert_eq!(draft.undecided_bytes(), 0);
        assert_eq!(names(&draft), ["a.ogg", "one.mp3", "other.mp3"]);
    }
}
