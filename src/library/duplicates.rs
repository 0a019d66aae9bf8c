//! Which tracks are copies of one recording, and which of them is shown. Pure: where only the bytes of a file can tell, it
//! says so, and somebody else looks at them.
//!
//! Two tracks are copies when their tags give both the same title and the same artist, and one is as long as the other, to
//! within a second; or when they are the same bytes. What one album counts as two tracks is two, however alike they are
//! called: the parts of an audio book, for one.

use std::cmp::{Ordering, Reverse};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{Track, composed};
use crate::room::TrackId;

/// Encoders begin and end a little earlier or later; this is more than that, in seconds.
const SAME_LENGTH: f64 = 1.0;
/// What lossy encoders make has at most so many kbit/s; above that, an MP4 holds Apple Lossless.
const MOST_LOSSY: u32 = 520;

/// A track that is not shown, and the one that is shown for it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Duplicate {
    pub(super) track: Arc<Track>,
    pub(super) of: TrackId,
}

/// What copies have in common.
#[derive(PartialEq, Eq, Hash)]
enum Recording {
    Named { title: String, artist: String },
    Bytes { size: u64, content: u64 },
}

impl Recording {
    /// `None` while nobody knows.
    fn of(track: &Track) -> Option<Self> {
        let size = track.size;
        name(track)
            .map(|(title, artist)| Recording::Named {
                title: folded(title),
                artist: folded(artist),
            })
            .or_else(|| {
                track
                    .content
                    .map(|content| Recording::Bytes { size, content })
            })
    }
}

/// Title and artist, by the tags: what is made of a file's name says nothing.
fn name(track: &Track) -> Option<(&str, &str)> {
    let artist = track.tags.artist.as_deref()?;
    track.is_titled.then_some((&track.tags.title, artist))
}

/// As somebody else may have typed it. Its spaces are in order: that is seen to where tags are read.
fn folded(text: &str) -> String {
    composed(&text.to_lowercase()).into_owned()
}

/// How far a track is known to people already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// Nobody has seen it.
    New,
    /// It was shown.
    Shown,
    /// It is the room's current one.
    Current,
}

impl Standing {
    pub(super) fn of(is_current: bool, was_shown: bool) -> Self {
        match (is_current, was_shown) {
            (true, _) => Standing::Current,
            (false, true) => Standing::Shown,
            (false, false) => Standing::New,
        }
    }
}

/// The tracks that are shown, and the copies of these, each in the order they came in. The room's current one stays,
/// though a better copy has come; of two that are as good, what was shown stays.
pub(super) fn set_apart(
    tracks: Vec<Arc<Track>>,
    standing: impl Fn(TrackId) -> Standing,
) -> (Vec<Arc<Track>>, Vec<Duplicate>) {
    let mut recordings: HashMap<Recording, Vec<&Arc<Track>>> = HashMap::new();
    for track in &tracks {
        if let Some(recording) = Recording::of(track) {
            recordings.entry(recording).or_default().push(track);
        }
    }
    let mut shown_for: HashMap<TrackId, TrackId> = HashMap::new();
    for mut alike in recordings.into_values().filter(|alike| alike.len() > 1) {
        let standing = |track: &Track| standing(track.track_id);
        let is_current = |track: &Track| standing(track) == Standing::Current;
        alike.sort_by(|a, b| {
            is_current(b)
                .cmp(&is_current(a))
                .then_with(|| better_first(a, b))
                .then_with(|| standing(b).cmp(&standing(a)))
                .then_with(|| a.path.cmp(&b.path))
        });
        // Each copy is one of a track that is shown: a chain of takes, each a little longer than the last, is not one take.
        let mut shown: Vec<&Track> = Vec::new();
        for track in alike {
            match shown.iter().find(|better| is_copy(track, better)) {
                Some(better) => {
                    shown_for.insert(track.track_id, better.track_id);
                }
                None => shown.push(track),
            }
        }
    }
    let mut copies = Vec::new();
    let mut shown = tracks;
    shown.retain(|track| match shown_for.get(&track.track_id) {
        Some(of) => {
            copies.push(Duplicate {
                track: track.clone(),
                of: *of,
            });
            false
        }
        None => true,
    });
    (shown, copies)
}

/// Of two that have their [`Recording`] in common.
fn is_copy(track: &Track, of: &Track) -> bool {
    if track.content.is_some() && track.content == of.content {
        return true;
    }
    let album = |track: &Track| track.tags.album.as_deref().map(folded);
    let are_counted_apart = match (track.tags.track_number, of.tags.track_number) {
        (Some(one), Some(other)) => {
            (track.disc, one) != (of.disc, other) && album(track) == album(of)
        }
        _ => false,
    };
    (track.duration - of.duration).abs() <= SAME_LENGTH && !are_counted_apart
}

/// The better copy first: what has lost nothing and plays on every phone, FLAC before WAV, which is larger; then what has more
/// bits for each second; then what has a cover, and more of the tags. What many phones cannot play comes last, however good it is.
fn better_first(a: &Track, b: &Track) -> Ordering {
    let quality = |track: &Track| {
        let format = match track.mime {
            "audio/flac" => 3,
            "audio/wav" => 2,
            "audio/aiff" => 0,
            "audio/mp4" if track.bit_rate > MOST_LOSSY => 0,
            _ => 1,
        };
        let Track { cover, tags, .. } = track;
        let tagged = [
            tags.album.is_some(),
            tags.track_number.is_some(),
            tags.year.is_some(),
        ];
        let tagged = tagged.into_iter().filter(|is_there| *is_there).count();
        Reverse((format, track.bit_rate, cover.is_some(), tagged))
    };
    quality(a).cmp(&quality(b))
}

/// Whether `track` is the better copy, whoever has heard the other.
pub(super) fn is_better(track: &Track, than: &Track) -> bool {
    better_first(track, than) == Ordering::Less
}

/// The tracks that may be the same bytes as another, and nobody has looked. Where tags tell, nobody need look: the same
/// bytes have the same tags.
pub(super) fn undecided(tracks: &[Arc<Track>]) -> Vec<Arc<Track>> {
    let look = |track: &Track| (track.size, track.mime, track.duration.to_bits());
    let nameless = || tracks.iter().filter(|track| name(track).is_none());
    let mut seen = HashSet::new();
    let again = nameless().filter(|track| !seen.insert(look(track)));
    let alike: HashSet<_> = again.map(|track| look(track)).collect();
    nameless()
        .filter(|track| track.content.is_none() && alike.contains(&look(track)))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::super::{Cover, Tags, Version, track_id};
    use super::*;

    fn track(path: &str) -> Track {
        let path = PathBuf::from(path);
        Track {
            track_id: track_id(&path),
            size: 1_000,
            mime: "audio/mpeg",
            version: Version(1),
            duration: 200.0,
            padding: None,
            tags: Tags {
                title: "Song".into(),
                artist: Some("Somebody".into()),
                ..Tags::default()
            },
            is_titled: true,
            bit_rate: 192,
            disc: None,
            content: None,
            cover: None,
            path,
        }
    }

    fn nameless(path: &str, content: Option<u64>) -> Track {
        Track {
            is_titled: false,
            content,
            ..track(path)
        }
    }

    fn shown(tracks: impl IntoIterator<Item = Track>) -> Vec<String> {
        let (shown, _) = set_apart(tracks.into_iter().map(Arc::new).collect(), |_| {
            Standing::New
        });
        let paths = shown.iter().map(|track| track.path.display().to_string());
        paths.collect()
    }

    #[test]
    fn the_same_title_and_artist_of_the_same_length_are_one_recording() {
        let other = |change: fn(&mut Track)| {
            let mut other = track("b");
            change(&mut other);
            shown([track("a"), other]).len()
        };
        assert_eq!(other(|_| {}), 1);
        assert_eq!(other(|b| b.duration += 1.0), 1);
        assert_eq!(other(|b| b.duration += 1.1), 2);
        assert_eq!(other(|b| b.tags.title = "SONG".into()), 1);
        assert_eq!(other(|b| b.tags.title = "Song 2".into()), 2);
        assert_eq!(other(|b| b.tags.artist = Some("somebody".into())), 1);
        assert_eq!(other(|b| b.tags.artist = Some("Anybody".into())), 2);
        assert_eq!(other(|b| b.tags.artist = None), 2);
        assert_eq!(
            other(|b| b.is_titled = false),
            2,
            "a file's name is no title"
        );
    }

    #[test]
    fn letters_are_the_same_however_a_system_composes_them() {
        let named = |path, title: &str| {
            let mut named = track(path);
            named.tags.title = title.into();
            named
        };
        let both = [named("a", "CAF\u{c9}"), named("b", "Cafe\u{301}")];
        assert_eq!(shown(both), ["a"]);
    }

    #[test]
    fn an_album_that_counts_two_has_two_and_a_compilation_has_a_copy() {
        let on = |path, album: &str, number| {
            let mut on = track(path);
            on.tags.album = Some(album.into());
            on.tags.track_number = number;
            on
        };
        let parts = [on("a", "Book", Some(1)), on("b", "Book", Some(2))];
        assert_eq!(shown(parts), ["a", "b"]);
        let elsewhere = [on("a", "Album", Some(1)), on("b", "Best of", Some(2))];
        assert_eq!(shown(elsewhere), ["a"]);
        let twice = [on("a", "Album", Some(1)), on("b", "Album", Some(1))];
        assert_eq!(shown(twice), ["a"]);
    }

    #[test]
    fn the_better_copy_is_shown() {
        let copy = |mime, bit_rate, has_cover: bool| Track {
            mime,
            bit_rate,
            cover: has_cover.then_some(Cover::Embedded),
            ..track("a worse one comes first")
        };
        // Each is better than the next.
        let order = [
            copy("audio/flac", 700, false),
            copy("audio/wav", 1_411, true),
            copy("audio/mpeg", 320, false),
            copy("audio/mp4", 256, true),
            copy("audio/mpeg", 192, true),
            copy("audio/mpeg", 192, false),
            copy("audio/mp4", 900, true),
        ];
        for pair in order.windows(2) {
            let better = Track {
                path: "b".into(),
                track_id: TrackId(1),
                ..pair[0].clone()
            };
            assert_eq!(shown([pair[1].clone(), better]), ["b"], "{pair:#?}");
        }
        assert_eq!(shown([track("b"), track("a")]), ["a"], "alike in all else");
    }

    #[test]
    fn of_two_that_are_as_good_the_one_that_was_shown_stays_and_else_the_first_by_path() {
        let alike = || vec![Arc::new(track("a")), Arc::new(track("b"))];
        let better = Arc::new(Track {
            bit_rate: 320,
            ..track("c")
        });
        let b = track("b").track_id;
        let shown = |tracks, was: Option<TrackId>| {
            let (shown, _) = set_apart(tracks, |id| Standing::of(false, Some(id) == was));
            shown[0].path.display().to_string()
        };
        assert_eq!(shown(alike(), None), "a");
        assert_eq!(shown(alike(), Some(b)), "b");
        let with_better = alike().into_iter().chain([better]).collect();
        assert_eq!(shown(with_better, Some(b)), "c");
    }

    #[test]
    fn what_is_not_shown_is_a_copy_of_something_that_is() {
        // Half a minute in steps that are too small to tell apart.
        let takes = (0..60).map(|n| Track {
            duration: 200.0 + f64::from(n) / 2.0,
            ..track(&format!("{n:02}"))
        });
        let (shown, copies) = set_apart(takes.map(Arc::new).collect(), |_| Standing::New);
        assert_eq!(shown.len() + copies.len(), 60);
        for copy in &copies {
            let of = shown.iter().find(|track| track.track_id == copy.of);
            assert!((of.unwrap().duration - copy.track.duration).abs() <= 1.0);
        }
        for pair in shown.windows(2) {
            assert!((pair[0].duration - pair[1].duration).abs() > 1.0);
        }
    }

    #[test]
    fn the_same_bytes_are_one_recording_and_others_are_not() {
        let tracks = || {
            [
                nameless("a", Some(7)),
                nameless("b", Some(7)),
                nameless("c", Some(8)),
                nameless("d", None),
            ]
        };
        assert_eq!(shown(tracks()), ["a", "c", "d"]);
    }

    #[test]
    fn bytes_are_looked_at_where_nothing_else_can_tell_and_once() {
        let sized = |path, size| Track {
            size,
            ..nameless(path, None)
        };
        let tracks = [
            sized("alone", 1),
            sized("one of two", 2),
            sized("the other", 2),
            nameless("known", Some(7)),
            nameless("not yet", None),
            track("named"),
            track("named too"),
        ];
        let tracks: Vec<_> = tracks.into_iter().map(Arc::new).collect();
        let undecided = undecided(&tracks);
        let paths: Vec<_> = undecided
            .iter()
            .map(|track| track.path.to_str().unwrap())
            .collect();
        assert_eq!(paths, ["one of two", "the other", "not yet"]);
    }

    /// Of songs of these numbers, this many half seconds long, with so many bits.
    fn takes(takes: &[(u8, u8, u32)]) -> Vec<Track> {
        let takes = takes.iter().enumerate();
        takes
            .map(|(n, (title, length, bit_rate))| {
                let mut take = track(&format!("{n:02}"));
                take.tags.title = format!("Song {title}");
                take.duration = f64::from(*length) / 2.0;
                take.bit_rate = *bit_rate;
                take
            })
            .collect()
    }

    proptest! {
        /// Files are found in any order; the choice must not depend on it.
        #[test]
        fn the_choice_does_not_depend_on_the_order(
            takes in proptest::collection::vec((0_u8..2, 0_u8..8, 1_u32..3), 0..12),
            seed in any::<u64>(),
        ) {
            let mut tracks = self::takes(&takes);
            let mut in_order = shown(tracks.clone());
            tracks.sort_by_key(|track| seed.wrapping_mul(track.track_id.0 | 1));
            let mut shuffled = shown(tracks);
            in_order.sort();
            shuffled.sort();
            prop_assert_eq!(in_order, shuffled);
        }

        #[test]
        fn the_current_one_is_shown_and_besides_nothing_has_a_better_copy(
            takes in proptest::collection::vec((0_u8..2, 0_u8..8, 1_u32..3), 1..12),
            current in any::<prop::sample::Index>(),
        ) {
            let tracks: Vec<_> = self::takes(&takes).into_iter().map(Arc::new).collect();
            let current = current.get(&tracks).track_id;
            for current in [Some(current), None] {
                let (shown, copies) = set_apart(tracks.clone(), |id| {
                    Standing::of(Some(id) == current, true)
                });
                let of = |id| shown.iter().find(|track| track.track_id == id);
                prop_assert!(current.is_none_or(|id| of(id).is_some()));
                for copy in copies {
                    let held_back = is_better(&copy.track, of(copy.of).unwrap());
                    prop_assert!(!held_back || Some(copy.of) == current);
                }
            }
        }
    }
}
