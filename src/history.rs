//! The history of a room: what was played, kept in memory and in a file beside the state file. The file is written after the
//! events of the room, and a failure to write it affects neither the room nor later entries.

mod file;

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use self::file::HistoryFile;
use crate::library::{Library, rfc3339};
use crate::room::{AdvanceReason, MemberId, TrackId};
use crate::rounding::round_to;

/// The most entries that are kept.
const MAX_ENTRIES: usize = 10_000;
/// What sounded for less is left out, in seconds.
const MIN_HEARD_SEC: f64 = 5.0;
/// The most finished plays that wait to be recorded. While the disk hangs for longer than these take, further ones are lost.
const MAX_WAITING_PLAYS: usize = 256;

/// A track that has been played.
#[derive(Debug, Clone, PartialEq)]
pub struct FinishedPlay {
    /// The track.
    pub track_id: TrackId,
    /// When the track began to sound, in seconds since 1970 (UTC).
    pub started_at: u64,
    /// How long the track sounded, in seconds. Pauses do not count.
    pub heard_sec: f64,
    /// The device that picked the track.
    pub by: Option<MemberId>,
    /// Why the track ended.
    pub reason: EndReason,
    /// The device that ended the track.
    pub ended_by: Option<MemberId>,
}

/// Why a track is no longer played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// Another track became the current one.
    Advanced(AdvanceReason),
    /// The start of the track was undone.
    Undone,
}

/// One entry of the history, as `GET /history` and the file have it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// Numbers the entries in ascending order.
    pub id: u64,
    /// The track.
    pub track_id: TrackId,
    /// The title of the track; `None` if the library no longer knew it.
    pub title: Option<String>,
    /// The artists of the track.
    pub artist: Option<String>,
    /// When the track began to sound (RFC 3339, UTC).
    pub started_at: String,
    /// How long the track sounded, in seconds, without pauses.
    pub heard_sec: f64,
    /// The device that picked the track, which may no longer be paired.
    pub by: Option<MemberId>,
    /// How the track ended.
    pub ended: HistoryEnd,
}

/// How a track ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryEnd {
    /// As in the event `queue.advanced`, or `undone`. Other words are from other versions of the server.
    pub reason: String,
    /// The device that ended the track, which may no longer be paired.
    pub by: Option<MemberId>,
}

/// How often a track was played.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TrackPlays {
    /// The number of entries with the track.
    pub play_count: u64,
    /// When the track was last started (RFC 3339, UTC).
    pub last_played_at: String,
}

/// The history of one room.
#[derive(Debug, Default)]
pub struct History {
    /// The oldest first.
    entries: RwLock<VecDeque<Arc<HistoryEntry>>>,
}

impl History {
    /// Reads the history beside the state file. An unreadable history counts as empty, and the log says so. Blocks.
    pub fn load(state_file: &Path) -> (HistoryHandle, HistoryWriter) {
        let mut file = HistoryFile::beside(state_file);
        let (mut entries, last_id) = file.load();
        let surplus = entries.len().saturating_sub(MAX_ENTRIES);
        entries.drain(..surplus);
        // An entry takes more than a second, so no id has ever been above the time, from which ids continue if that of a lost entry
        // is unknown.
        let last_id = last_id.unwrap_or_else(|| {
            let known = entries.iter().map(|entry| entry.id).max();
            known.unwrap_or(0).max(unix_seconds())
        });
        let history = Arc::new(History {
            entries: RwLock::new(entries.into_iter().map(Arc::new).collect()),
        });
        let (plays, finished) = mpsc::channel(MAX_WAITING_PLAYS);
        let writer = HistoryWriter {
            finished,
            recorder: EntryRecorder {
                history: history.clone(),
                file,
                last_id,
                has_failed: false,
            },
        };
        (HistoryHandle { history, plays }, writer)
    }

    /// At most `limit` entries, the newest first. With `before`, only those that are older than the entry with that id; none if
    /// there is no such entry.
    pub fn newest(&self, limit: usize, before: Option<u64>) -> Vec<Arc<HistoryEntry>> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let end = match before {
            None => entries.len(),
            Some(id) => entries.iter().position(|entry| entry.id == id).unwrap_or(0),
        };
        entries.range(..end).rev().take(limit).cloned().collect()
    }

    /// How often each track was played, as far as the history goes back.
    pub fn plays(&self) -> BTreeMap<TrackId, TrackPlays> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let mut plays: BTreeMap<_, TrackPlays> = BTreeMap::new();
        for entry in entries.iter() {
            let plays = plays.entry(entry.track_id).or_insert(TrackPlays {
                play_count: 0,
                last_played_at: String::new(),
            });
            plays.play_count += 1;
            plays.last_played_at.clone_from(&entry.started_at);
        }
        plays
    }

    /// Adds the newest entry, and drops the oldest one if there are too many.
    fn push(&self, entry: Arc<HistoryEntry>) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if entries.len() == MAX_ENTRIES {
            entries.pop_front();
        }
        entries.push_back(entry);
    }

    fn all(&self) -> Vec<Arc<HistoryEntry>> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.iter().cloned().collect()
    }
}

/// A history, and where the hub sends the plays that belong into it.
#[derive(Debug, Clone)]
pub struct HistoryHandle {
    /// The history.
    pub history: Arc<History>,
    /// Ends the writer when it is dropped.
    pub plays: mpsc::Sender<FinishedPlay>,
}

/// Receives finished plays, and adds them to a history and its file.
#[derive(Debug)]
pub struct HistoryWriter {
    finished: mpsc::Receiver<FinishedPlay>,
    recorder: EntryRecorder,
}

impl HistoryWriter {
    /// Records plays until their sender is dropped.
    pub async fn run(self, library: Arc<Library>) {
        let HistoryWriter {
            mut finished,
            mut recorder,
        } = self;
        while let Some(play) = finished.recv().await {
            let library = library.clone();
            let record = move || {
                recorder.record(&play, &library);
                recorder
            };
            match tokio::task::spawn_blocking(record).await {
                Ok(returned) => recorder = returned,
                Err(error) => {
                    tracing::error!("the history is no longer written: {error}");
                    return;
                }
            }
        }
    }
}

/// Adds entries to a history and its file.
#[derive(Debug)]
struct EntryRecorder {
    history: Arc<History>,
    file: HistoryFile,
    last_id: u64,
    /// Whether the last write failed, so that the log need not say so again.
    has_failed: bool,
}

impl EntryRecorder {
    /// Adds a play to the history. Blocks.
    fn record(&mut self, play: &FinishedPlay, library: &Library) {
        if play.heard_sec < MIN_HEARD_SEC {
            return;
        }
        let tags = library.index().any_tags(play.track_id);
        self.last_id += 1;
        let entry = Arc::new(HistoryEntry {
            id: self.last_id,
            track_id: play.track_id,
            title: tags.as_ref().map(|tags| tags.title.clone()),
            artist: tags.and_then(|tags| tags.artist),
            started_at: rfc3339::format(play.started_at),
            heard_sec: round_to(play.heard_sec, 10.0),
            by: play.by,
            ended: HistoryEnd {
                reason: reason(play.reason).into(),
                by: play.ended_by,
            },
        });
        self.history.push(entry.clone());
        self.write(&entry);
    }

    fn write(&mut self, entry: &HistoryEntry) {
        match self.file.append(entry, || self.history.all()) {
            Ok(()) => self.has_failed = false,
            Err(error) => {
                if !self.has_failed {
                    tracing::error!("the history could not be written: {error}");
                }
                self.has_failed = true;
            }
        }
    }
}

/// The present time, in seconds since 1970.
fn unix_seconds() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

fn reason(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Advanced(AdvanceReason::Ended) => "ended",
        EndReason::Advanced(AdvanceReason::Next) => "next",
        EndReason::Advanced(AdvanceReason::Previous) => "previous",
        EndReason::Advanced(AdvanceReason::PlayNow) => "play-now",
        EndReason::Advanced(AdvanceReason::Voted) => "voted",
        EndReason::Advanced(AdvanceReason::Removed) => "removed",
        EndReason::Undone => "undone",
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    pub(super) fn entry(id: u64) -> HistoryEntry {
        HistoryEntry {
            id,
            track_id: TrackId(id % 7),
            title: Some(format!("Title\n{id}")),
            artist: None,
            started_at: rfc3339::format(id),
            heard_sec: 12.5,
            by: Some(MemberId(1)),
            ended: HistoryEnd {
                reason: "next".into(),
                by: None,
            },
        }
    }

    fn ids(entries: &[Arc<HistoryEntry>]) -> Vec<u64> {
        entries.iter().map(|entry| entry.id).collect()
    }

    fn load(state_file: &Path) -> (Arc<History>, EntryRecorder) {
        let (handle, writer) = History::load(state_file);
        (handle.history, writer.recorder)
    }

    fn add(recorder: &mut EntryRecorder, id: u64) {
        recorder.history.push(Arc::new(entry(id)));
        recorder.write(&entry(id));
    }

    #[test]
    fn entries_are_listed_from_the_newest_and_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state.json");
        let (history, mut recorder) = load(&state);
        assert!(history.newest(50, None).is_empty());
        (1..=5).for_each(|id| add(&mut recorder, id));
        for history in [history, load(&state).0] {
            assert_eq!(ids(&history.newest(2, None)), [5, 4]);
            assert_eq!(ids(&history.newest(200, Some(4))), [3, 2, 1]);
            assert!(history.newest(200, Some(1)).is_empty());
            assert!(history.newest(200, Some(77)).is_empty());
            assert_eq!(*history.newest(1, None)[0], entry(5));
        }
    }

    #[test]
    fn plays_count_each_track_with_its_last_start() {
        let folder = tempfile::tempdir().unwrap();
        let (history, mut recorder) = load(&folder.path().join("state.json"));
        (1..=9).for_each(|id| add(&mut recorder, id));
        let plays = history.plays();
        assert_eq!(plays.len(), 7);
        let expected = TrackPlays {
            play_count: 2,
            last_played_at: rfc3339::format(9),
        };
        assert_eq!(plays[&TrackId(2)], expected);
    }

    #[test]
    fn ids_of_lost_entries_are_not_used_again() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state.json");
        let path = folder.path().join("state.json.history");
        let whole = [1, 2].map(|id| serde_json::to_string(&entry(id)).unwrap() + "\n");
        let whole = whole.concat();
        fs::write(&path, &whole[..whole.len() - 5]).unwrap();
        assert_eq!(load(&state).1.last_id, 2, "that of the torn line");
        for damaged in [&whole[..whole.len() / 2 + 7], &format!("{whole}\0\n"), "\0"] {
            fs::write(&path, damaged).unwrap();
            let before = unix_seconds();
            assert!(load(&state).1.last_id >= before, "{damaged:?}");
        }
        // A folder cannot be read as a file.
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(load(&state).1.last_id > 2);
        fs::remove_dir(&path).unwrap();
        assert_eq!(load(&state).1.last_id, 0);
        fs::write(&path, whole).unwrap();
        assert_eq!(load(&state).1.last_id, 2);
    }

    #[test]
    fn neither_memory_nor_file_exceeds_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state.json");
        let lines = |range: std::ops::RangeInclusive<u64>| {
            let lines = range.map(|id| serde_json::to_string(&entry(id)).unwrap() + "\n");
            lines.collect::<String>()
        };
        let path = folder.path().join("state.json.history");
        fs::write(&path, lines(1..=9_999)).unwrap();
        let (history, mut recorder) = load(&state);
        for id in 10_000..=10_002 {
            add(&mut recorder, id);
            let lines = fs::read_to_string(&path).unwrap();
            assert!(lines.lines().count() <= MAX_ENTRIES, "after {id}");
            assert!(lines.lines().count() > MAX_ENTRIES / 2);
            assert!(lines.ends_with("}\n"));
        }
        assert_eq!(history.all().len(), MAX_ENTRIES);
        assert_eq!(history.newest(1, None)[0].id, 10_002);
        fs::write(&path, lines(1..=10_500)).unwrap();
        assert_eq!(load(&state).0.all().len(), MAX_ENTRIES);
    }
}
