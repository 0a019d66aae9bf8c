//! Finds tracks that are copies of one recording, and chooses the copy to list. Does no I/O.
//!
//! Two tracks are copies if their sound (all bytes apart from tags) is equal, or if title, artist, album, disc and track
//! number are equal and the durations differ by at most 0.3 seconds. Placeholders that programs write for unknown tags, such
//! as "Track 01" by "Unknown Artist", identify no recording.

use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;
use std::sync::Arc;

use super::{Track, normalized};
use crate::room::TrackId;

/// The largest difference in duration between copies, in seconds. Encoders pad and trim by less than this. The
/// last digit allows for rounding.
const MAX_DURATION_DIFFERENCE_SEC: f64 = 0.300_001;
/// Placeholders that programs write for an unknown artist, title or album, in lower case and without punctuation.
const PLACEHOLDERS: &[&str] = &[
    "unknown",
    "unknown artist",
    "unknown album",
    "unknown title",
    "no artist",
    "no title",
    "untitled",
    "artist",
    "title",
    "unbekannt",
    "unbekannter interpret",
    "unbekannter künstler",
    "unbekanntes album",
    "unbekannter titel",
    "ohne titel",
    "artiste inconnu",
    "album inconnu",
    "titre inconnu",
    "inconnu",
    "sans titre",
    "artista desconocido",
    "desconocido",
    "artista desconhecido",
    "desconhecido",
    "artista sconosciuto",
    "sconosciuto",
    "onbekende artiest",
    "okänd artist",
    "неизвестный исполнитель",
    "неизвестен",
];
/// The words that programs write before the track number as a placeholder for an unknown title.
const TRACK_WORDS: &[&str] = &[
    "track",
    "audiotrack",
    "audio track",
    "titel",
    "piste",
    "pista",
    "traccia",
    "faixa",
    "spur",
    "spår",
    "трек",
    "дорожка",
    "cd track",
];
/// The largest bit rate of lossy encoders, in kbit/s. An MP4 file with a larger bit rate counts as Apple Lossless, which few
/// browsers play.
const MAX_LOSSY_BIT_RATE: u32 = 520;

/// A track that is not listed, and the listed track of the same recording.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Duplicate {
    pub(super) track: Arc<Track>,
    pub(super) listed_as: TrackId,
}

/// The tags by which copies are recognised.
#[derive(PartialEq, Eq, Hash)]
struct RecordingTags {
    title: String,
    artist: String,
    album: Option<String>,
    disc: u32,
    track_number: Option<u32>,
}

impl RecordingTags {
    /// `None` for a track whose title or artist is unknown. A title that was derived from the file name does not identify a
    /// recording.
    fn of(track: &Track) -> Option<Self> {
        let artist = track.tags.artist.as_deref()?;
        let title = &track.tags.title;
        let is_known = track.has_title_tag && !is_placeholder(title) && !is_placeholder(artist);
        is_known.then(|| RecordingTags {
            title: comparison_key(title),
            artist: comparison_key(artist),
            album: track.tags.album.as_deref().map(comparison_key),
            // Programs leave out the number of an only disc.
            disc: track.tags.disc.unwrap_or(1),
            track_number: track.tags.track_number,
        })
    }
}

/// Whether the text is a placeholder that a program wrote for an unknown tag, or has neither letters nor digits.
fn is_placeholder(text: &str) -> bool {
    let text = comparison_key(text);
    let words = text.split(|c: char| !c.is_alphanumeric());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    let words = words.join(" ");
    let without_number = words.trim_end_matches(|c: char| c.is_ascii_digit());
    let has_number = without_number != words;
    let without_number = without_number.trim_end();
    PLACEHOLDERS.contains(&words.as_str())
        || has_number && TRACK_WORDS.contains(&without_number)
        || words.is_empty()
}

/// The text in a form for comparisons that ignore case and Unicode normalization. White space needs no treatment here: the
/// tag reader has normalized it.
fn comparison_key(text: &str) -> String {
    normalized(&text.to_lowercase()).into_owned()
}

/// How visible a track is to clients in the previous index. Of two equally good copies, the more visible copy is listed, so
/// that the listed copy does not change without a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Visibility {
    NotListed,
    Listed,
    /// The current track of a room. It stays listed even if there is a better copy.
    Current,
}

impl Visibility {
    pub(super) fn new(is_current: bool, is_listed: bool) -> Self {
        match (is_current, is_listed) {
            (true, _) => Visibility::Current,
            (false, true) => Visibility::Listed,
            (false, false) => Visibility::NotListed,
        }
    }
}

/// Splits `tracks` into the tracks to list and their duplicates, both in the given order.
pub(super) fn split_off_duplicates(
    tracks: Vec<Arc<Track>>,
    visibility: impl Fn(TrackId) -> Visibility,
) -> (Vec<Arc<Track>>, Vec<Duplicate>) {
    let recording_tags: Vec<_> = tracks
        .iter()
        .map(|track| RecordingTags::of(track))
        .collect();
    let mut listed_as: HashMap<TrackId, TrackId> = HashMap::new();
    for group in groups(&tracks, &recording_tags) {
        let mut candidates: Vec<_> = group
            .iter()
            .map(|at| (&*tracks[*at], &recording_tags[*at]))
            .collect();
        let visibility = |track: &Track| visibility(track.track_id);
        let is_current = |track: &Track| visibility(track) == Visibility::Current;
        candidates.sort_by(|(a, _), (b, _)| {
            is_current(b)
                .cmp(&is_current(a))
                .then_with(|| compare_quality(a, b))
                .then_with(|| visibility(b).cmp(&visibility(a)))
                .then_with(|| a.path.cmp(&b.path))
        });
        // Each candidate is compared only with listed tracks, because similarity is not transitive: in a series of tracks of
        // which each is half a second longer than the one before, the first and the last are not copies.
        let mut listed: Vec<(&Track, &Option<RecordingTags>)> = Vec::new();
        for candidate in candidates {
            let track = candidate.0;
            match listed.iter().find(|listed| are_copies(candidate, **listed)) {
                Some((better, _)) if !is_current(track) => {
                    listed_as.insert(track.track_id, better.track_id);
                }
                _ => listed.push(candidate),
            }
        }
    }
    let mut duplicates = Vec::new();
    let mut listed = tracks;
    listed.retain(|track| match listed_as.get(&track.track_id) {
        Some(listed_as) => {
            duplicates.push(Duplicate {
                track: track.clone(),
                listed_as: *listed_as,
            });
            false
        }
        None => true,
    });
    (listed, duplicates)
}

/// The indexes of the tracks in groups, such that all copies of a track are in its group. Leaves out groups of one.
fn groups(tracks: &[Arc<Track>], tags: &[Option<RecordingTags>]) -> Vec<Vec<usize>> {
    let mut sets = DisjointSets::new(tracks.len());
    let mut by_sound: HashMap<u64, usize> = HashMap::new();
    let mut by_tags: HashMap<&RecordingTags, usize> = HashMap::new();
    for (at, (track, tags)) in tracks.iter().zip(tags).enumerate() {
        if let Some(sound) = track.sound_hash.get() {
            sets.join(at, *by_sound.entry(*sound).or_insert(at));
        }
        if let Some(tags) = tags {
            sets.join(at, *by_tags.entry(tags).or_insert(at));
        }
    }
    // In the order of the tracks, because the order of hash maps is random.
    let mut groups: Vec<Vec<usize>> = vec![Vec::new(); tracks.len()];
    for at in 0..tracks.len() {
        groups[sets.first_of(at)].push(at);
    }
    groups.retain(|group| group.len() > 1);
    groups
}

/// Disjoint sets of numbers, each with its smallest number as representative (union-find with path halving).
struct DisjointSets(Vec<usize>);

impl DisjointSets {
    /// The numbers below `count`, each in a set of its own.
    fn new(count: usize) -> Self {
        DisjointSets((0..count).collect())
    }

    /// The smallest number in the set of `at`.
    fn first_of(&mut self, mut at: usize) -> usize {
        while self.0[at] != at {
            self.0[at] = self.0[self.0[at]];
            at = self.0[at];
        }
        at
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.first_of(a), self.first_of(b));
        self.0[a.max(b)] = a.min(b);
    }
}

/// Whether two tracks are copies. Compares numbers before texts, because many tracks may have the same tags.
fn are_copies(
    (a, a_tags): (&Track, &Option<RecordingTags>),
    (b, b_tags): (&Track, &Option<RecordingTags>),
) -> bool {
    let have_same_sound = a.sound_hash.get().is_some() && a.sound_hash == b.sound_hash;
    let have_same_length =
        (a.file_duration_sec - b.file_duration_sec).abs() <= MAX_DURATION_DIFFERENCE_SEC;
    have_same_sound || have_same_length && a_tags.is_some() && a_tags == b_tags
}

/// Orders the better copy first, by format, bit rate, cover, and number of the tags album, track number and year. The best
/// format is FLAC, then WAV, which needs more bytes, then the lossy formats, and last AIFF and Apple Lossless, which many
/// browsers do not play.
fn compare_quality(a: &Track, b: &Track) -> Ordering {
    let quality = |track: &Track| {
        let format = match track.mime {
            "audio/flac" => 3,
            "audio/wav" => 2,
            "audio/aiff" => 0,
            "audio/mp4" if track.bit_rate > MAX_LOSSY_BIT_RATE => 0,
            _ => 1,
        };
        let tags = &track.tags;
        let has_tags = [
            tags.album.is_some(),
            tags.track_number.is_some(),
            tags.year.is_some(),
        ];
        let tag_count = has_tags.into_iter().filter(|has_tag| *has_tag).count();
        Reverse((format, track.bit_rate, track.has_cover(), tag_count))
    };
    quality(a).cmp(&quality(b))
}

/// Whether `track` is a better copy than `other`.
pub(super) fn is_better(track: &Track, other: &Track) -> bool {
    compare_quality(track, other) == Ordering::Less
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::OnceLock;

    use proptest::prelude::*;

    use super::super::length::LengthSource;
    use super::super::{Stamp, Tags, Version, track_id};
    use super::*;

    fn track(path: &str) -> Track {
        let path = PathBuf::from(path);
        Track {
            track_id: track_id(&path),
            uploaded_by: None,
            size: 1_000,
            mime: "audio/mpeg",
            version: Version(1),
            file_duration_sec: 200.0,
            length_source: LengthSource::Header,
            corrected_duration_sec: None,
            padding: None,
            tags: Tags {
                title: "Song".into(),
                artist: Some("Somebody".into()),
                ..Tags::default()
            },
            has_title_tag: true,
            bit_rate: 192,
            tagged_loudness: Default::default(),
            measured_loudness: Default::default(),
            added_at: 0,
            stamp: Stamp(1),
            seen_stamp: Stamp(1),
            content_hash: OnceLock::new(),
            sound_hash: OnceLock::new(),
            sound_sample_hash: OnceLock::new(),
            has_embedded_picture: false,
            cover_files: [].into(),
            path,
        }
    }

    fn untagged(path: &str, sound: u64) -> Track {
        Track {
            has_title_tag: false,
            sound_hash: sound.into(),
            ..track(path)
        }
    }

    fn listed_paths(tracks: impl IntoIterator<Item = Track>) -> Vec<String> {
        let (listed, _) = split_off_duplicates(tracks.into_iter().map(Arc::new).collect(), |_| {
            Visibility::NotListed
        });
        let paths = listed.iter().map(|track| track.path.display().to_string());
        paths.collect()
    }

    #[test]
    fn tracks_with_equal_title_artist_and_duration_are_copies() {
        let other = |change: fn(&mut Track)| {
            let mut other = track("b");
            change(&mut other);
            listed_paths([track("a"), other]).len()
        };
        assert_eq!(other(|_| {}), 1);
        assert_eq!(other(|b| b.file_duration_sec += 0.3), 1);
        assert_eq!(other(|b| b.file_duration_sec += 0.31), 2);
        assert_eq!(other(|b| b.tags.album = Some("Live 1999".into())), 2);
        assert_eq!(other(|b| b.tags.track_number = Some(3)), 2);
        assert_eq!(other(|b| b.tags.disc = Some(2)), 2);
        assert_eq!(other(|b| b.tags.disc = Some(1)), 1);
        assert_eq!(other(|b| b.tags.title = "SONG".into()), 1);
        assert_eq!(other(|b| b.tags.title = "Song 2".into()), 2);
        assert_eq!(other(|b| b.tags.artist = Some("somebody".into())), 1);
        assert_eq!(other(|b| b.tags.artist = Some("Anybody".into())), 2);
        assert_eq!(other(|b| b.tags.artist = None), 2);
        assert_eq!(
            other(|b| b.has_title_tag = false),
            2,
            "the title is not from a tag"
        );
    }

    #[test]
    fn titles_match_despite_different_unicode_normalization() {
        let titled = |path, title: &str| {
            let mut titled = track(path);
            titled.tags.title = title.into();
            titled
        };
        let both = [titled("a", "CAF\u{c9}"), titled("b", "Cafe\u{301}")];
        assert_eq!(listed_paths(both), ["a"]);
    }

    #[test]
    fn two_track_numbers_on_one_album_are_two_recordings() {
        let on_album = |path, album: &str, number| {
            let mut track = track(path);
            track.tags.album = Some(album.into());
            track.tags.track_number = number;
            track
        };
        let parts = [
            on_album("a", "Book", Some(1)),
            on_album("b", "Book", Some(2)),
        ];
        assert_eq!(listed_paths(parts), ["a", "b"]);
        let on_compilation = [
            on_album("a", "Album", Some(1)),
            on_album("b", "Best of", Some(2)),
        ];
        assert_eq!(listed_paths(on_compilation), ["a", "b"]);
        let same_number = [
            on_album("a", "Album", Some(1)),
            on_album("b", "Album", Some(1)),
        ];
        assert_eq!(listed_paths(same_number), ["a"]);
    }

    #[test]
    fn lists_the_copy_of_better_quality() {
        let copy = |mime, bit_rate, has_cover: bool| Track {
            mime,
            bit_rate,
            has_embedded_picture: has_cover,
            ..track("a is first by path")
        };
        // In order of quality, the best first.
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
            assert_eq!(listed_paths([pair[1].clone(), better]), ["b"], "{pair:#?}");
        }
        assert_eq!(
            listed_paths([track("b"), track("a")]),
            ["a"],
            "equal except for the path"
        );
    }

    #[test]
    fn previously_listed_copy_wins_over_the_first_by_path() {
        let equal = || vec![Arc::new(track("a")), Arc::new(track("b"))];
        let better = Arc::new(Track {
            bit_rate: 320,
            ..track("c")
        });
        let b = track("b").track_id;
        let first_listed = |tracks, previous: Option<TrackId>| {
            let (listed, _) =
                split_off_duplicates(tracks, |id| Visibility::new(false, Some(id) == previous));
            listed[0].path.display().to_string()
        };
        assert_eq!(first_listed(equal(), None), "a");
        assert_eq!(first_listed(equal(), Some(b)), "b");
        let with_better = equal().into_iter().chain([better]).collect();
        assert_eq!(first_listed(with_better, Some(b)), "c");
    }

    #[test]
    fn copies_that_are_current_in_two_rooms_both_stay_listed() {
        let tracks = vec![Arc::new(track("a")), Arc::new(track("b"))];
        let (listed, _) = split_off_duplicates(tracks, |_| Visibility::Current);
        assert_eq!(listed.len(), 2);
    }

    #[test]
    fn every_duplicate_is_a_copy_of_a_listed_track() {
        // Durations from 200 to 208.85 s in steps of 0.15 s.
        let takes = (0..60).map(|n| Track {
            file_duration_sec: 200.0 + f64::from(n) * 0.15,
            ..track(&format!("{n:02}"))
        });
        let (listed, duplicates) =
            split_off_duplicates(takes.map(Arc::new).collect(), |_| Visibility::NotListed);
        assert_eq!(listed.len() + duplicates.len(), 60);
        for copy in &duplicates {
            let original = listed.iter().find(|track| track.track_id == copy.listed_as);
            assert!(
                (original.unwrap().file_duration_sec - copy.track.file_duration_sec).abs()
                    <= MAX_DURATION_DIFFERENCE_SEC
            );
        }
        for pair in listed.windows(2) {
            assert!(
                (pair[0].file_duration_sec - pair[1].file_duration_sec).abs()
                    > MAX_DURATION_DIFFERENCE_SEC
            );
        }
    }

    #[test]
    fn tracks_with_the_same_sound_are_copies_whatever_their_tags() {
        let mut retagged = Track {
            sound_hash: 7.into(),
            ..track("c")
        };
        retagged.tags.album = Some("Best of".into());
        let tracks = [
            untagged("a", 7),
            untagged("b", 8),
            retagged,
            untagged("d", 9),
        ];
        assert_eq!(listed_paths(tracks).len(), 3);
    }

    #[test]
    fn copy_of_two_different_recordings_leaves_both_listed() {
        let with_sound = |path, sound: u64| Track {
            sound_hash: sound.into(),
            ..track(path)
        };
        let tracks = [untagged("a", 7), with_sound("b", 8), with_sound("c", 7)];
        assert_eq!(listed_paths(tracks), ["a", "b"]);
    }

    #[test]
    fn tracks_connected_by_a_chain_of_copies_form_one_group() {
        // Each track has the sound of the one before or its tags, in turn.
        let track = |n: u64| {
            let mut track = Track {
                sound_hash: (n / 2).into(),
                ..track(&format!("{n:04}"))
            };
            track.tags.title = format!("Song {}", n.div_ceil(2));
            Arc::new(track)
        };
        let tracks: Vec<_> = (0..1_000).rev().map(track).collect();
        let tags: Vec<_> = tracks
            .iter()
            .map(|track| RecordingTags::of(track))
            .collect();
        let groups = groups(&tracks, &tags);
        assert_eq!((groups.len(), groups[0].len()), (1, 1_000));
    }

    #[test]
    fn placeholders_identify_no_recording() {
        for (title, artist) in [
            ("Track 01", "Unknown Artist"),
            ("Track 01", "Somebody"),
            ("Song", "Unknown Artist"),
            ("Song", "<unknown>"),
            ("Titel 7", "Unbekannter Interpret"),
            ("AudioTrack 03", "Somebody"),
            ("Untitled", "Somebody"),
            ("???", "Somebody"),
        ] {
            let tagged = |path| {
                let mut tagged = track(path);
                tagged.tags.title = title.into();
                tagged.tags.artist = Some(artist.into());
                tagged
            };
            let listed = listed_paths([tagged("a"), tagged("b")]);
            assert_eq!(listed.len(), 2, "{title} by {artist}");
        }
        for title in ["99", "1999", "Soundtrack", "Track", "Unknown Pleasures"] {
            assert!(!is_placeholder(title), "{title}");
        }
    }

    /// One track for each tuple: song number, duration in steps of 0.15 s, bit rate in kbit/s.
    fn takes(takes: &[(u8, u8, u32)]) -> Vec<Track> {
        let takes = takes.iter().enumerate();
        takes
            .map(|(n, (title, length, bit_rate))| {
                let mut take = track(&format!("{n:02}"));
                take.tags.title = format!("Song {title}");
                take.file_duration_sec = 200.0 + f64::from(*length) * 0.15;
                take.bit_rate = *bit_rate;
                take
            })
            .collect()
    }

    proptest! {
        #[test]
        fn listed_copies_do_not_depend_on_the_order_of_the_files(
            takes in proptest::collection::vec((0_u8..2, 0_u8..8, 1_u32..3), 0..12),
            seed in any::<u64>(),
        ) {
            let mut tracks = self::takes(&takes);
            let mut in_order = listed_paths(tracks.clone());
            tracks.sort_by_key(|track| seed.wrapping_mul(track.track_id.0 | 1));
            let mut shuffled = listed_paths(tracks);
            in_order.sort();
            shuffled.sort();
            prop_assert_eq!(in_order, shuffled);
        }

        #[test]
        fn only_the_current_track_is_listed_despite_a_better_copy(
            takes in proptest::collection::vec((0_u8..2, 0_u8..8, 1_u32..3), 1..12),
            current in any::<prop::sample::Index>(),
        ) {
            let tracks: Vec<_> = self::takes(&takes).into_iter().map(Arc::new).collect();
            let current = current.get(&tracks).track_id;
            for current in [Some(current), None] {
                let (listed, duplicates) = split_off_duplicates(tracks.clone(), |id| {
                    Visibility::new(Some(id) == current, true)
                });
                let find = |id| listed.iter().find(|track| track.track_id == id);
                prop_assert!(current.is_none_or(|id| find(id).is_some()));
                for copy in duplicates {
                    let is_better_copy = is_better(&copy.track, find(copy.listed_as).unwrap());
                    prop_assert!(!is_better_copy || Some(copy.listed_as) == current);
                }
            }
        }
    }
}
