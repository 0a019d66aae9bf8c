//! The orders in which a room can sort the tracks (see [`crate::room::SortOrder`]).

use std::cmp::Reverse;
use std::path::Path;
use std::sync::Arc;

use super::Track;
use super::natural_order::sort_key;
use crate::room::{SortPlaces, TrackId};

/// The place of each of `tracks`, which are in play order, in each order.
pub(super) fn of_tracks(tracks: &[Arc<Track>]) -> SortPlaces {
    SortPlaces::new([
        sorted_by(tracks, album_key),
        sorted_by(tracks, |track| (artist_key(track), album_key(track))),
        sorted_by(tracks, |track| sort_key(&track.tags.title)),
        sorted_by(tracks, |track| Reverse(track.added_at)),
    ])
}

/// The tracks in the order of their keys; those with equal keys stay in play order.
fn sorted_by<K: Ord>(tracks: &[Arc<Track>], key: impl Fn(&Track) -> K) -> Vec<TrackId> {
    let mut sorted: Vec<_> = tracks.iter().collect();
    sorted.sort_by_cached_key(|track| key(track));
    sorted.iter().map(|track| track.track_id).collect()
}

/// By album, then by album artist, because different albums may have the same name, then by disc (1 if there is none) and track
/// number (tracks without one last). Without an album, the name of the folder counts as the album.
fn album_key(track: &Track) -> impl Ord + use<> {
    let tags = &track.tags;
    let folder = track.path.parent().unwrap_or(Path::new(""));
    let folder_name = folder.file_name().unwrap_or_default().to_string_lossy();
    let album = tags.album.as_deref().unwrap_or(&folder_name);
    let album_artist = tags.album_artist.as_deref();
    let folder_of_album = album_artist.is_none().then(|| folder.to_owned());
    (
        sort_key(album),
        album_artist.map(sort_key),
        folder_of_album,
        tags.disc.unwrap_or(1),
        tags.track_number.unwrap_or(u32::MAX),
    )
}

/// By album artist, so that the tracks of a compilation stay together, or else by artist. Tracks without an artist come last.
fn artist_key(track: &Track) -> impl Ord + use<> {
    let tags = &track.tags;
    let artist = tags.album_artist.as_deref().or(tags.artist.as_deref());
    (artist.is_none(), artist.map(sort_key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::Tags;
    use crate::room::{SortOrder, TrackCatalog};

    fn track(path: &str, tags: Tags, added_at: u64) -> Arc<Track> {
        let mut track = Track::for_reports(path);
        track.tags = tags;
        track.added_at = added_at;
        Arc::new(track)
    }

    fn tags(title: &str, artist: &str, album: &str, numbers: (u32, u32)) -> Tags {
        let some = |text: &str| (!text.is_empty()).then(|| text.into());
        Tags {
            title: title.into(),
            artist: some(artist),
            album: some(album),
            disc: Some(numbers.0),
            track_number: Some(numbers.1),
            ..Tags::default()
        }
    }

    #[test]
    fn sorts_by_each_order_and_else_as_they_play() {
        let compilation = |title, artist, number| Tags {
            album_artist: Some("Various".into()),
            ..tags(title, artist, "Hits", (1, number))
        };
        let tracks = [
            track("a", tags("Träume 10", "ben", "Live 10", (2, 1)), 7),
            track("b", tags("träume 9", "ben", "Live 10", (1, 2)), 9),
            track("c", compilation("Zoo", "Zoe", 2), 7),
            track("d", compilation("Ants", "Ada", 1), 7),
            track("Live 9/e", tags("Mice", "", "", (1, 1)), 8),
            track("f", tags("Bees", "Ben", "Live 2", (1, 1)), 7),
        ];
        let places = Arc::new(of_tracks(&tracks));
        let catalog = TrackCatalog::default().with_sort_places(places);
        for (order, expected) in [
            (SortOrder::Album, "Ants Zoo Bees Mice träume 9 Träume 10"),
            (SortOrder::Artist, "Bees träume 9 Träume 10 Ants Zoo Mice"),
            (SortOrder::Title, "Ants Bees Mice träume 9 Träume 10 Zoo"),
            (SortOrder::Added, "träume 9 Mice Träume 10 Zoo Ants Bees"),
        ] {
            let mut sorted = tracks.to_vec();
            sorted.sort_by_key(|track| catalog.sort_place(track.track_id, order));
            let titles: Vec<_> = sorted.iter().map(|track| &*track.tags.title).collect();
            assert_eq!(titles.join(" "), expected, "{order:?}");
        }
    }
}
