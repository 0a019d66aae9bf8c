//! Chooses the picture files from which the cover of a track can be made, by the names of files and folders.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use super::{Picture, Track};

/// Names of cover files without extension, the most preferred first.
const NAMES: [&str; 3] = ["cover", "folder", "front"];
/// The beginning of the names under which Windows Media Player stores covers; less preferred than [`NAMES`].
const WINDOWS_PREFIX: &str = "albumart";
/// Extensions of cover files, the most preferred first.
const EXTENSIONS: [&str; 8] = ["jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "bmp"];

/// The words for a disc that precede its number in the name of a folder with one disc of an album.
const DISC_WORDS: [&str; 10] = [
    "cd", "disc", "disk", "dvd", "lp", "vinyl", "disque", "disco", "диск", "side",
];
/// Numbers of discs and sides that are not written in digits.
const DISC_NUMBERS: [&str; 14] = [
    "one", "two", "three", "four", "five", "six", "a", "b", "c", "d", "i", "ii", "iii", "iv",
];

/// The rank of a cover file by its name, where 0 is the most preferred. `None` if the name is not the name of a cover file.
pub(super) fn rank(path: &Path) -> Option<usize> {
    let text = |text: Option<&OsStr>| Some(text?.to_str()?.to_lowercase());
    let extension = text(path.extension())?;
    let extension_rank = EXTENSIONS.iter().position(|known| *known == extension)?;
    let name = text(path.file_stem())?;
    let windows_rank = || match name.strip_prefix(WINDOWS_PREFIX)? {
        "" => Some(0),
        rest if rest.contains("large") => Some(1),
        rest if rest.contains("small") => Some(3),
        _ => Some(2),
    };
    let known_rank = NAMES.iter().position(|known| *known == name);
    let name_rank = known_rank.or_else(|| Some(NAMES.len() + windows_rank()?))?;
    Some(name_rank * EXTENSIONS.len() + extension_rank)
}

/// Whether a folder of this name holds one disc of the album in the folder above: `CD1`, `Disc 2`, `Album (CD 01)`.
fn is_disc_folder(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_lowercase();
    let is_separator = |c: char| !c.is_alphanumeric();
    let words: Vec<_> = name
        .split(is_separator)
        .filter(|word| !word.is_empty())
        .collect();
    let is_number = |text: &str| {
        (1..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let mut words_with_next = words
        .iter()
        .zip(words.iter().skip(1).map(Some).chain([None]));
    words_with_next.any(|(word, next)| {
        DISC_WORDS.iter().any(|disc| match word.strip_prefix(disc) {
            Some("") => next.is_some_and(|next| is_number(next) || DISC_NUMBERS.contains(next)),
            Some(number) => is_number(number),
            None => false,
        })
    })
}

/// The picture files of a library, by folder.
pub(super) struct CoverFinder<'a> {
    /// The pictures of each folder, the most preferred first.
    by_folder: HashMap<&'a Path, Vec<&'a Picture>>,
}

impl<'a> CoverFinder<'a> {
    pub(super) fn new(pictures: &'a [Picture]) -> Self {
        let mut by_folder: HashMap<_, Vec<_>> = HashMap::new();
        for picture in pictures {
            let folder = picture.path.parent().unwrap_or(Path::new(""));
            by_folder.entry(folder).or_default().push(picture);
        }
        for pictures in by_folder.values_mut() {
            pictures.sort_by_cached_key(|picture| (rank(&picture.path), &picture.path));
        }
        CoverFinder { by_folder }
    }

    /// Sets the cover files of each track.
    pub(super) fn set_covers<'t>(&self, tracks: impl IntoIterator<Item = &'t mut Arc<Track>>) {
        // The tracks of a folder share one allocation.
        let mut found: HashMap<_, Arc<[Picture]>> = HashMap::new();
        for track in tracks {
            let folder = track.path.parent().unwrap_or(Path::new(""));
            let files = match found.get(folder) {
                Some(files) => files.clone(),
                None => {
                    let files = self.cover_files(folder);
                    found.insert(folder.to_path_buf(), files.clone());
                    files
                }
            };
            if track.cover_files != files {
                Arc::make_mut(track).cover_files = files;
            }
        }
    }

    /// The pictures in `folder`, and then those in the folder above if `folder` holds one disc of an album.
    fn cover_files(&self, folder: &Path) -> Arc<[Picture]> {
        let above = folder
            .parent()
            .filter(|_| folder.file_name().is_some_and(is_disc_folder));
        let folders = [Some(folder), above].into_iter().flatten();
        let files = folders
            .filter_map(|folder| self.by_folder.get(folder))
            .flatten();
        files.map(|picture| (*picture).clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Stamp;
    use super::*;

    fn files(pictures: &[&str], folder: &str) -> Vec<String> {
        let picture = |path: &&str| Picture::new(path.into(), Stamp(1));
        let pictures = pictures
            .iter()
            .filter(|path| rank(Path::new(path)).is_some());
        let pictures: Vec<_> = pictures.map(picture).collect();
        let files = CoverFinder::new(&pictures).cover_files(Path::new(folder));
        let names = files
            .iter()
            .map(|file| file.path.to_str().unwrap().to_owned());
        names.collect()
    }

    #[test]
    fn prefers_the_best_name_in_the_folder_of_the_track() {
        let pictures = [
            "a/AlbumArtSmall.jpg",
            "a/AlbumArt_{1}_Large.jpg",
            "a/Front.PNG",
            "a/FOLDER.JPG",
            "a/cover.webp",
            "a/Cover.jpg",
            "a/back.jpg",
            "a/cover.txt",
            "cover.jpg",
        ];
        let expected = [
            "a/Cover.jpg",
            "a/cover.webp",
            "a/FOLDER.JPG",
            "a/Front.PNG",
            "a/AlbumArt_{1}_Large.jpg",
            "a/AlbumArtSmall.jpg",
        ];
        let found = files(&pictures, "a");
        assert_eq!(found, expected);
    }

    #[test]
    fn folder_of_a_disc_also_has_the_covers_of_its_album() {
        let pictures = ["album/cover.jpg", "album/CD2/folder.jpg"];
        assert_eq!(files(&pictures, "album/CD1"), ["album/cover.jpg"]);
        let both = ["album/CD2/folder.jpg", "album/cover.jpg"];
        assert_eq!(files(&pictures, "album/CD2"), both);
        assert!(files(&pictures, "album/Bonus").is_empty());
    }

    #[test]
    fn recognises_the_folder_of_a_disc_by_its_name() {
        for disc in [
            "CD1",
            "cd 01",
            "Disc 2",
            "DISK_3",
            "disc-two",
            "Album (CD 1)",
            "Disc 1 - Live",
            "LP2",
            "Side B",
            "Диск 1",
        ] {
            assert!(is_disc_folder(OsStr::new(disc)), "{disc}");
        }
        for other in [
            "CD",
            "CDs",
            "ABCD1",
            "Discovery",
            "Disco Hits",
            "1999",
            "Disc Jockey",
            "CD12345",
        ] {
            assert!(!is_disc_folder(OsStr::new(other)), "{other}");
        }
    }
}
