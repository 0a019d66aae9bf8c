//! Counts the audio files that are left out because browsers do not play their formats, by file name extension.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Stamp;

/// File name extensions of audio formats that are not supported.
const OTHER_EXTENSIONS: [&str; 45] = [
    "aa", "aax", "aaxc", "ac3", "ac4", "amr", "ape", "apl", "asf", "au", "awb", "caf", "dff",
    "dsf", "dts", "eac3", "gsm", "mid", "midi", "mka", "mkv", "mlp", "mod", "mpc", "mpp", "ofr",
    "ofs", "oma", "ra", "ram", "rm", "s3m", "shn", "snd", "spx", "tak", "tta", "voc", "vqf", "w64",
    "weba", "webm", "wma", "wv", "xm",
];

/// The number of files with each extension in [`OTHER_EXTENSIONS`] among `non_tracks`. The extensions are in lower case.
pub(super) fn count_other_formats(non_tracks: &[(PathBuf, Stamp)]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (path, _) in non_tracks {
        if let Some(extension) = other_extension(path) {
            *counts.entry(extension).or_default() += 1;
        }
    }
    counts
}

fn other_extension(path: &Path) -> Option<String> {
    let extension = path.extension()?.to_str()?.to_ascii_lowercase();
    OTHER_EXTENSIONS
        .contains(&extension.as_str())
        .then_some(extension)
}

/// The counts as text, the most frequent extension first: `12 wma, 3 ape`.
pub(super) fn describe_counts(counts: &BTreeMap<String, usize>) -> String {
    let mut counts: Vec<_> = counts.iter().collect();
    counts.sort_by(|a, b| b.1.cmp(a.1));
    let counts = counts
        .iter()
        .map(|(extension, count)| format!("{count} {extension}"));
    counts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_each_extension_without_case() {
        let names = [
            "a.wma",
            "b.WMA",
            "c.ape",
            "d.webm",
            "e.mkv",
            "cover.txt",
            "no extension",
        ];
        let files = names.map(|name| (PathBuf::from(name), Stamp(1)));
        assert_eq!(
            describe_counts(&count_other_formats(&files)),
            "2 wma, 1 ape, 1 mkv, 1 webm"
        );
    }
}
