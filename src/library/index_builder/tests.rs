//! Tests of scan plans, and of the indexes that are built from them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::super::duration_reports::DurationCorrection;
use super::super::walk::Listing;
use super::super::{Padding, Version, read_files, track_id, walk};
use super::scan_plan::MIN_ABSENT_LIMIT;
use super::*;

fn plan<'a>(listing: &'a Listing, previous: &Index) -> ScanPlan<'a> {
    ScanPlan::new(listing, previous, &StabilityRule::AllStable, false)
}

/// A folder with two tracks and a text file, its canonical path, and its index.
fn folder() -> (tempfile::TempDir, PathBuf, Index) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    fs::create_dir(root.join("album")).unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/fixture.ogg");
    for name in ["a.ogg", "album/b.ogg"] {
        fs::copy(&fixture, root.join(name)).unwrap();
    }
    fs::write(root.join("notes.txt"), "no music").unwrap();
    let listing = walk::walk(&root, Path::new(""), &[]).unwrap();
    let empty = Index::empty((&*root).into());
    let ScanPlan {
        to_read,
        mut builder,
        ..
    } = plan(&listing, &empty);
    read_files::read_all(&(&*root).into(), &to_read, |file, content| {
        builder.add(file, content, &empty);
    });
    let index = builder.build(&empty, true, &[]);
    assert_eq!((index.len(), index.non_tracks().len()), (2, 1));
    (folder, root, index)
}

fn texts<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Vec<&'a str> {
    let paths = paths.into_iter();
    paths.map(|path| path.to_str().unwrap()).collect()
}

#[test]
fn reads_changed_files_and_with_retry_also_non_tracks() {
    let (_folder, root, index) = folder();
    fs::write(root.join("a.ogg"), "other bytes").unwrap();
    let listing = walk::walk(&root, Path::new(""), &[]).unwrap();
    for (retry, expected) in [(false, &["a.ogg"][..]), (true, &["a.ogg", "notes.txt"])] {
        let plan = ScanPlan::new(&listing, &index, &StabilityRule::AllStable, retry);
        let to_read = plan.to_read.iter().map(|file| file.path.as_path());
        assert_eq!(texts(to_read), expected);
    }
}

#[test]
fn keeps_the_previous_track_while_its_file_is_being_written() {
    let (_folder, root, index) = folder();
    fs::write(root.join("a.ogg"), "half").unwrap();
    let listing = walk::walk(&root, Path::new(""), &[]).unwrap();
    let modified = listing.files[0].modified.unwrap();
    let later = modified + STABLE_AGE;
    let never_seen = StabilityRule::ByPreviousScan(HashMap::new());
    for stability in [StabilityRule::ByAge(modified), never_seen] {
        let plan = ScanPlan::new(&listing, &index, &stability, false);
        assert_eq!(plan.builder.tracks.len(), 2);
        assert!(plan.to_read.is_empty());
        let seen = StabilityRule::ByPreviousScan(plan.unstable);
        for stability in [StabilityRule::ByAge(later), seen] {
            let plan = ScanPlan::new(&listing, &index, &stability, false);
            assert_eq!(plan.to_read.len(), 1);
            assert!(plan.unstable.is_empty());
        }
    }
}

#[test]
fn keeps_the_version_of_a_touched_file_until_it_is_hashed() {
    let (_folder, root, _) = folder();
    let metadata = fs::metadata(root.join("a.ogg")).unwrap();
    let known = Track::for_test(Path::new("a.ogg"), &metadata);
    let as_read = |change: fn(&mut Track)| {
        let mut read = known.clone();
        let stamp = Stamp(known.stamp.0 + 1);
        (read.stamp, read.seen_stamp, read.version) = (stamp, stamp, Version::first(stamp));
        change(&mut read);
        read
    };
    let new = Version::first(Stamp(known.stamp.0 + 1));
    assert_eq!(
        known.with_file_as_read(as_read(|_| {})).version,
        new,
        "unknown content"
    );

    let (content, other) = (ContentHash(1), ContentHash(2));
    let hashed = Track {
        content_hash: content.into(),
        sound_hash: 3.into(),
        ..known.clone()
    };
    let retagged = as_read(|track| track.tags.title = "Other".into());
    let retagged = hashed.with_file_as_read(retagged);
    assert_eq!((retagged.version, retagged.content_hash.get()), (new, None));

    let mut touched = hashed.with_file_as_read(as_read(|_| {}));
    assert_eq!(
        (touched.version, touched.stamp),
        (hashed.version, hashed.stamp)
    );
    let stamp = touched.seen_stamp;
    assert_ne!(stamp, touched.stamp);
    let mut changed = touched.clone();
    touched.apply_hash(HashedFile {
        stamp,
        content_hash: content,
    });
    assert_eq!((touched.version, touched.stamp), (hashed.version, stamp));
    assert_eq!(touched.sound_hash, hashed.sound_hash);
    let content = other;
    changed.apply_hash(HashedFile {
        stamp,
        content_hash: content,
    });
    assert_eq!((changed.version, changed.stamp), (new, stamp));
    assert_eq!(
        (changed.content_hash.get(), changed.sound_hash.get()),
        (Some(&other), None)
    );
}

#[test]
fn a_modification_time_in_the_future_counts_as_stable() {
    let (_folder, root, index) = folder();
    fs::write(root.join("a.ogg"), "whole").unwrap();
    let listing = walk::walk(&root, Path::new(""), &[]).unwrap();
    let before = listing.files[0].modified.unwrap() - Duration::from_secs(60);
    let plan = ScanPlan::new(&listing, &index, &StabilityRule::ByAge(before), false);
    assert_eq!(plan.to_read.len(), 1);
}

#[test]
fn keeps_tracks_whose_folder_or_file_cannot_be_read() {
    let (_folder, root, index) = folder();
    let mut listing = walk::walk(&root, Path::new(""), &[]).unwrap();
    listing.files.retain(|file| !file.path.starts_with("album"));
    assert_eq!(plan(&listing, &index).builder.tracks.len(), 1, "removed");
    listing.unreadable_paths.push("album".into());
    let builder = plan(&listing, &index).builder;
    assert_eq!(builder.tracks.len(), 2, "the folder cannot be listed");

    listing.files[0].stamp = Stamp(99);
    let mut builder = plan(&listing, &index).builder;
    builder.tracks.clear();
    let unreadable = FileContent::Unreadable("input/output error".into());
    builder.add(&listing.files[0], unreadable, &index);
    let paths = builder.tracks.iter().map(|track| track.path.as_path());
    assert_eq!(texts(paths), ["a.ogg"]);
    assert_eq!(builder.unreadable.len(), 1);
}

#[test]
fn folder_is_unchanged_until_a_file_is_added_or_removed() {
    let (_folder, root, index) = folder();
    let is_unchanged = || {
        let listing = walk::walk(&root, Path::new(""), &[]).unwrap();
        plan(&listing, &index).is_unchanged(&index)
    };
    assert!(is_unchanged());
    for name in ["new.ogg", "album/cover.png"] {
        fs::write(root.join(name), "something").unwrap();
        assert!(!is_unchanged(), "{name} was added");
        fs::remove_file(root.join(name)).unwrap();
        assert!(is_unchanged(), "{name} was removed again");
    }
    for name in ["notes.txt", "a.ogg"] {
        let (path, hidden) = (root.join(name), root.join(".hidden"));
        fs::rename(&path, &hidden).unwrap();
        assert!(!is_unchanged(), "{name} was removed");
        fs::rename(&hidden, &path).unwrap();
    }
}

#[test]
fn a_modified_file_keeps_the_time_at_which_it_was_added() {
    let (_folder, root, index) = folder();
    let tracks = index.tracks().iter();
    let tracks = tracks.map(|track| {
        assert!(track.added_at > 1_700_000_000, "{}", track.added_at);
        let mut track = Track::clone(track);
        track.added_at = 1_000;
        Arc::new(track)
    });
    let folders = index.folders().clone();
    let index = Index::new(folders.clone(), tracks.collect(), vec![], true, |_| {
        Visibility::NotListed
    });
    let mut bytes = fs::read(root.join("a.ogg")).unwrap();
    bytes.extend(b"more");
    fs::write(root.join("a.ogg"), &bytes).unwrap();
    fs::write(root.join("new.ogg"), &bytes).unwrap();
    let listing = walk::walk(&root, Path::new(""), &[]).unwrap();
    let ScanPlan {
        to_read,
        mut builder,
        ..
    } = plan(&listing, &index);
    read_files::read_all(&folders, &to_read, |file, content| {
        builder.add(file, content, &index);
    });
    let index = builder.build(&index, true, &[]);
    let added: HashMap<_, _> = index
        .tracks()
        .iter()
        .map(|track| (track.file_name().into_owned(), track.added_at))
        .collect();
    assert_eq!((added["a.ogg"], added["b.ogg"]), (1_000, 1_000));
    assert!(added["new.ogg"] > 1_000);
}

#[test]
fn corrected_length_is_kept_until_the_bytes_of_the_file_change() {
    let (_folder, root, index) = folder();
    let correct = |index: &Index, version: Version| {
        let correction = DurationCorrection {
            version,
            duration_sec: 77.5,
        };
        let corrections = Corrections {
            durations: [(track_id(Path::new("a.ogg")), correction)].into(),
            ..Corrections::default()
        };
        IndexBuilder::with_corrections(index, &corrections)
    };
    // Padding from a wrong header, with which devices would cut the music.
    let padding = Some(Padding {
        lead_sec: 0.025,
        whole_sec: 70.0,
    });
    let mut tracks = index.tracks().to_vec();
    Arc::make_mut(&mut tracks[0]).padding = padding;
    let index = Index::new(
        index.folders().clone(),
        tracks,
        index.non_tracks().to_vec(),
        true,
        |_| Visibility::NotListed,
    );
    let version = index.tracks()[0].version;
    assert!(correct(&index, Version(version.0 ^ 1)).is_none());
    let mut index = correct(&index, version).unwrap().build(&index, true, &[]);
    assert_eq!((index.len(), index.non_tracks().len()), (2, 1));
    // The hash is arbitrary, because this test compares it with no other.
    index.tracks()[0].content_hash.set(ContentHash(7)).unwrap();
    assert_eq!(index.tracks()[0].declared_padding(), None);

    let path = root.join("a.ogg");
    let bytes = fs::read(&path).unwrap();
    // The file is read again both times: the first time only its modification time has changed.
    for (bytes, is_kept) in [(bytes.clone(), true), ([&*bytes, b"more"].concat(), false)] {
        fs::remove_file(&path).unwrap();
        fs::write(&path, bytes).unwrap();
        let listing = walk::walk(&root, Path::new(""), &[]).unwrap();
        let ScanPlan {
            to_read,
            mut builder,
            ..
        } = plan(&listing, &index);
        assert_eq!(to_read.len(), 1);
        let folders = index.folders().clone();
        read_files::read_all(&folders, &to_read, |file, mut content| {
            if let FileContent::Track(track) = &mut content {
                track.padding = padding;
            }
            builder.add(file, content, &index);
        });
        index = builder.build(&index, true, &[]);
        let track = index.track(track_id(Path::new("a.ogg"))).unwrap();
        let has_padding = track.declared_padding().is_some();
        assert_eq!(
            (track.duration_sec() == 77.5, has_padding),
            (is_kept, !is_kept)
        );
    }
}

#[test]
fn file_that_returns_unchanged_is_not_read_again() {
    let (_folder, root, index) = folder();
    // Renaming the folder changes no time of the file.
    let (album, aside) = (root.join("album"), root.join("#recycle"));
    let scan = |previous: &Index| {
        let listing = walk::walk(&root, Path::new(""), &[]).unwrap();
        let plan = plan(&listing, previous);
        let is_unchanged = plan.is_unchanged(previous);
        let to_read = plan.to_read.iter().map(|file| file.path.as_path());
        let to_read = texts(to_read).join(" ");
        let next = plan.builder.build(previous, true, &[]);
        (next, is_unchanged, to_read)
    };
    fs::rename(&album, &aside).unwrap();
    let (without, is_unchanged, _) = scan(&index);
    assert!(!is_unchanged);
    assert_eq!((without.len(), without.absent().len()), (1, 1));
    fs::rename(&aside, &album).unwrap();
    let (with, is_unchanged, to_read) = scan(&without);
    assert!(!is_unchanged);
    assert_eq!((with.len(), with.absent().len()), (2, 0));
    assert_eq!(to_read, "");
    assert_eq!(with.tracks(), index.tracks());
}

/// The index without tracks, with `count` absent tracks in the folder `away`.
fn with_absent_tracks(index: &Index, count: u64) -> Index {
    let absent = (0..count).map(|n| {
        let mut track = Track::clone(&index.tracks()[0]);
        track.path = format!("away/{n}.ogg").into();
        track.track_id = TrackId(n);
        Arc::new(track)
    });
    Index::empty(index.folders().clone()).with_absent(absent.collect())
}

#[test]
fn unreadable_folder_keeps_pictures_playlists_and_absent_tracks() {
    let (_folder, root, index) = folder();
    let picture = Picture::new("album/cover.jpg".into(), Stamp(1));
    let playlist = (PathBuf::from("album/list.m3u"), Stamp(2));
    let others = [index.non_tracks(), std::slice::from_ref(&playlist)].concat();
    let mut absent = Track::clone(&index.tracks()[0]);
    absent.path = "album/absent.ogg".into();
    absent.track_id = TrackId(1);
    let folders = index.folders().clone();
    let index = Index::from_sorted(folders, index.tracks().to_vec(), vec![], others)
        .with_absent(vec![absent.into()])
        .with_pictures(vec![picture.clone()]);
    let mut listing = walk::walk(&root, Path::new(""), &[]).unwrap();
    listing.files.retain(|file| !file.path.starts_with("album"));
    listing.unreadable_paths.push("album".into());
    let mut plan = plan(&listing, &index);
    let missed = plan.forget_deleted(&listing, &index, &MissedScans::new(), true);
    assert!(plan.is_unchanged(&index), "{missed:?}");
    assert_eq!(plan.builder.pictures, [picture]);
    assert!(plan.builder.non_tracks.contains(&playlist));
    assert_eq!(plan.builder.absent, index.absent());
}

#[test]
fn unreadable_file_keeps_what_is_known_of_it() {
    let (_folder, root, index) = folder();
    let mut listing = walk::walk(&root, Path::new(""), &[]).unwrap();
    listing.files[0].stamp = Stamp(99);
    let known = |path: &Path| {
        let picture = Picture::new(path.into(), Stamp(1));
        let mut absent = Track::clone(&index.tracks()[0]);
        absent.path = path.into();
        let empty = || Index::empty(index.folders().clone());
        let other = vec![(path.into(), Stamp(1))];
        let folders = index.folders().clone();
        [
            empty().with_pictures(vec![picture]),
            empty().with_absent(vec![absent.into()]),
            Index::from_sorted(folders, vec![], vec![], other),
        ]
    };
    for previous in known(&listing.files[0].path) {
        let mut builder = plan(&listing, &previous).builder;
        let unreadable = FileContent::Unreadable("input/output error".into());
        builder.add(&listing.files[0], unreadable, &previous);
        let kept = (
            builder.pictures.len(),
            builder.absent.len(),
            builder.non_tracks.len(),
        );
        let expected = (
            previous.pictures().len(),
            previous.absent().len(),
            previous.non_tracks().len(),
        );
        assert_eq!(kept, expected);
    }
}

#[test]
fn absent_track_stays_absent_until_its_file_is_stable() {
    let (_folder, root, index) = folder();
    let mut absent = Track::clone(&index.tracks()[0]);
    absent.seen_stamp = Stamp(1);
    let previous = Index::empty(index.folders().clone()).with_absent(vec![absent.into()]);
    let listing = walk::walk(&root, Path::new(""), &[]).unwrap();
    let unstable = StabilityRule::ByPreviousScan(HashMap::new());
    let plan = ScanPlan::new(&listing, &previous, &unstable, false);
    assert_eq!(
        (plan.builder.tracks.len(), plan.builder.absent.len()),
        (0, 1)
    );
}

#[test]
fn deleted_file_is_forgotten_after_some_scans_or_a_forced_one() {
    let (_folder, root, index) = folder();
    fs::copy(root.join("album/b.ogg"), root.join("album/c.ogg")).unwrap();
    fs::remove_file(root.join("album/b.ogg")).unwrap();
    fs::remove_file(root.join("a.ogg")).unwrap();
    let listing = walk::walk(&root, Path::new(""), &[]).unwrap();
    let scan = |missed: &MissedScans, is_forced| {
        let mut plan = plan(&listing, &index);
        let missed = plan.forget_deleted(&listing, &index, missed, is_forced);
        (missed, plan.builder.absent.len())
    };
    let mut missed = MissedScans::new();
    for expected in [2, 2, 0] {
        let (next, absent) = scan(&missed, false);
        assert_eq!(absent, expected);
        missed = next;
    }
    assert_eq!(scan(&MissedScans::new(), true).1, 0, "forced");
}

#[test]
fn file_of_a_folder_without_music_is_never_forgotten() {
    let (_folder, root, index) = folder();
    for prepare in [
        &|| fs::rename(root.join("album/b.ogg"), root.join("album/a.jpg")).unwrap(),
        &|| fs::remove_file(root.join("album/a.jpg")).unwrap(),
        &|| fs::remove_dir(root.join("album")).unwrap(),
    ] as [&dyn Fn(); 3]
    {
        prepare();
        let listing = walk::walk(&root, Path::new(""), &[]).unwrap();
        let mut plan = plan(&listing, &index);
        let missed = plan.forget_deleted(&listing, &index, &MissedScans::new(), true);
        assert_eq!((missed.len(), plan.builder.absent.len()), (0, 1));
    }
}

#[test]
fn all_tracks_of_a_large_disk_stay_absent() {
    let (_folder, root, index) = folder();
    let count = 2 * MIN_ABSENT_LIMIT as u64;
    let previous = with_absent_tracks(&index, count);
    let all = Index::from_sorted(
        previous.folders().clone(),
        previous.absent().to_vec(),
        vec![],
        vec![],
    );
    let listing = walk::walk(&root, Path::new(""), &[]).unwrap();
    for previous in [all, previous] {
        let mut plan = plan(&listing, &previous);
        plan.forget_deleted(&listing, &previous, &MissedScans::new(), false);
        assert_eq!(plan.builder.absent.len() as u64, count);
    }
}

#[test]
fn beyond_the_limit_the_oldest_absences_are_forgotten_first() {
    let (_folder, root, index) = folder();
    let limit = MIN_ABSENT_LIMIT as u64;
    let absent = with_absent_tracks(&index, limit);
    let previous = Index::from_sorted(
        index.folders().clone(),
        index.tracks().to_vec(),
        vec![],
        vec![],
    )
    .with_absent(absent.absent().to_vec());
    let mut listing = walk::walk(&root, Path::new(""), &[]).unwrap();
    let ids_after = |listing: &Listing| {
        let mut plan = plan(listing, &previous);
        plan.forget_deleted(listing, &previous, &MissedScans::new(), false);
        let ids = plan.builder.absent.iter().map(|track| track.track_id);
        ids.collect::<Vec<_>>()
    };
    listing.files.retain(|file| !file.path.starts_with("album"));
    let ids = ids_after(&listing);
    let of_album = &index.tracks()[1];
    assert_eq!((ids.len(), ids[0]), (MIN_ABSENT_LIMIT, TrackId(1)));
    assert_eq!(ids.last(), Some(&of_album.track_id));
    // A file that is probably deleted goes before older ones on a disk that is away.
    let mut listing = walk::walk(&root, Path::new(""), &[]).unwrap();
    listing.files.retain(|file| file.path != Path::new("a.ogg"));
    let ids = ids_after(&listing);
    assert_eq!((ids.len(), ids[0]), (MIN_ABSENT_LIMIT, TrackId(0)));
}
