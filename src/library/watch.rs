//! Watches the audio folders for changes with inotify. Reports that something changed, but not what, because each scan
//! lists the whole folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use notify::event::{AccessKind, AccessMode, CreateKind, EventKind, ModifyKind, RemoveKind};
use notify::{Config, ErrorKind, Event, RecommendedWatcher, RecursiveMode, Watcher};

use super::junk::{begins_with_dot, is_in_junk};
use super::mounts::{Mount, mount_of, mounts_of};
use super::scan_requests::ScanRequests;
use super::tags::has_audio_extension;

/// A watcher of the audio folder, which reports changes until it is dropped.
#[derive(Debug)]
pub(super) struct FolderWatcher {
    /// `None` if the system cannot report changes.
    watcher: Option<RecommendedWatcher>,
    /// Set when the thread of `watcher` ends.
    thread_ended: Arc<AtomicBool>,
    /// The canonical paths of the audio folders.
    folders: Vec<PathBuf>,
    /// The mounts in the folders when the watcher was started.
    mounts: Vec<Mount>,
    polled: Vec<PolledFolder>,
}

/// A folder that must be scanned periodically.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PolledFolder {
    pub(super) path: PathBuf,
    pub(super) reason: String,
}

/// Sets the flag when this value is dropped. The event handler contains this value, and the watcher's thread owns the event
/// handler, so the flag is set when the thread ends, for example by a panic.
struct SetOnDrop(Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl FolderWatcher {
    /// Reports changes below `folders` to `requests`, except those below the absolute paths in `excluded`.
    pub(super) fn start(
        folders: &[PathBuf],
        excluded: Vec<PathBuf>,
        requests: Arc<ScanRequests>,
    ) -> Self {
        // A folder that is away cannot be watched; the scanner looks for it periodically.
        let folders = folders
            .iter()
            .filter_map(|folder| folder.canonicalize().ok());
        let folders: Vec<_> = folders.collect();
        let mounts = mounts_of(&folders);
        let silent = mounts.iter().filter(|mount| !mount.reports_changes());
        let polled: Vec<_> = silent
            .map(|mount| PolledFolder {
                path: mount.point.clone(),
                reason: format!("{} does not report changes", mount.file_system),
            })
            .collect();
        // inotify need not follow the folders on such a file system, since they are scanned periodically anyway.
        let watched = folders
            .iter()
            .filter(|folder| mount_of(&mounts, folder).is_none_or(Mount::reports_changes));
        let watched: Vec<_> = watched.cloned().collect();
        let roots = watched.clone();
        let mut watcher = FolderWatcher::watch(&watched, move |event| match event {
            Ok(event) if event.need_rescan() => requests.report_missed_changes(),
            Ok(event) if can_change_index(&event, &roots, &excluded) => requests.report_change(),
            Ok(_) => {}
            // For example, the limit on inotify watches was reached.
            Err(error) => {
                tracing::debug!("the file watcher missed a change in the audio folder: {error}");
                requests.report_missed_changes();
            }
        });
        watcher.polled.extend(polled);
        watcher.mounts = mounts;
        watcher.folders = folders;
        watcher
    }

    fn watch(
        folders: &[PathBuf],
        mut handle_event: impl FnMut(notify::Result<Event>) + Send + 'static,
    ) -> Self {
        let thread_ended = Arc::new(AtomicBool::new(false));
        let set_at_end_of_thread = SetOnDrop(thread_ended.clone());
        let handler = move |event| {
            // Moves the value into the closure.
            let _ = &set_at_end_of_thread;
            handle_event(event);
        };
        // Links need not be followed: their targets are in the audio folder and watched already, or outside and not part of
        // the library.
        let config = Config::default().with_follow_symlinks(false);
        let started = RecommendedWatcher::new(handler, config).and_then(|mut watcher| {
            // If notify 8.2 cannot create its thread, `new` ignores the error, and `watch` panics.
            if !thread_ended.load(Ordering::Relaxed) {
                for folder in folders {
                    watcher.watch(folder, RecursiveMode::Recursive)?;
                }
            }
            Ok(watcher)
        });
        let mut polled = Vec::new();
        let watcher = started.map_err(|error| {
            let reason = match &error.kind {
                ErrorKind::MaxFilesWatch => {
                    "the limit on inotify watches is reached (fs.inotify.max_user_watches)".into()
                }
                // The text of the whole error would contain paths of files.
                ErrorKind::Io(error) => format!("the system cannot report changes: {error}"),
                kind => format!("the system cannot report changes: {kind:?}"),
            };
            polled.extend(folders.iter().map(|folder| PolledFolder {
                path: folder.clone(),
                reason: reason.clone(),
            }));
        });
        FolderWatcher {
            watcher: watcher.ok(),
            thread_ended,
            folders: folders.to_vec(),
            mounts: Vec::new(),
            polled,
        }
    }

    /// The folders in which the system does not report each change.
    pub(super) fn polled(&self) -> &[PolledFolder] {
        &self.polled
    }

    /// Whether a file system was mounted or unmounted in the folders since this watcher was started. inotify does not report
    /// this.
    pub(super) fn have_mounts_changed(&self) -> bool {
        mounts_of(&self.folders) != self.mounts
    }

    /// Whether the system reports all changes, and the thread that receives the reports runs.
    pub(super) fn is_working(&self) -> bool {
        self.polled.is_empty() && self.watcher.is_some() && !self.has_ended()
    }

    /// Whether the watcher's thread has ended, or could not be created.
    pub(super) fn has_ended(&self) -> bool {
        self.watcher.is_some() && self.thread_ended.load(Ordering::Relaxed)
    }
}

impl Drop for FolderWatcher {
    fn drop(&mut self) {
        if self.has_ended() {
            // Leaks the watcher, whose drop would panic: notify 8.2 sends a message to the ended thread and unwraps the
            // result.
            std::mem::forget(self.watcher.take());
        }
    }
}

/// Whether a scan after `event` below one of the audio folders `roots` may produce a different index. `false` if a file was only
/// read, or if all changed files are junk, have a name with a dot that is not music, or are below one of the `excluded` paths.
fn can_change_index(event: &Event, roots: &[PathBuf], excluded: &[PathBuf]) -> bool {
    let is_change = match event.kind {
        EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
        _ => true,
    };
    // The event does not tell whether a renamed path is a folder.
    let may_be_folder = matches!(
        event.kind,
        EventKind::Create(CreateKind::Folder)
            | EventKind::Remove(RemoveKind::Folder)
            | EventKind::Modify(ModifyKind::Name(_))
    );
    let is_ignored = |path: &PathBuf| {
        // The audio folder may itself have such a name or be in such a folder: `~/.cache/music`.
        let below = |root: &PathBuf| path.strip_prefix(root).ok();
        let relative: &Path = roots.iter().find_map(below).unwrap_or(path);
        let name = relative.file_name().unwrap_or_default();
        let is_hidden_file = begins_with_dot(name) && !may_be_folder && !has_audio_extension(path);
        is_hidden_file
            || is_in_junk(relative)
            || excluded.iter().any(|excluded| path.starts_with(excluded))
    };
    is_change && (event.paths.is_empty() || !event.paths.iter().all(is_ignored))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use notify::event::{DataChange, RenameMode};

    use super::super::scan_requests::Wakeup;
    use super::*;

    #[test]
    fn ignores_events_that_cannot_change_the_index() {
        let excluded = ["/music/state.json", "/music/state.json.covers"].map(PathBuf::from);
        let created = EventKind::Create(CreateKind::File);
        let removed = EventKind::Remove(RemoveKind::Folder);
        let renamed = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        let closed = |mode| EventKind::Access(AccessKind::Close(mode));
        let opened = EventKind::Access(AccessKind::Open(AccessMode::Any));
        for (kind, path, expected) in [
            (created, "/music/a.mp3", true),
            (removed, "/music/album", true),
            (renamed, "/music/a.mp3", true),
            (written, "/music/cover.jpg", true),
            (closed(AccessMode::Write), "/music/a.mp3", true),
            (closed(AccessMode::Read), "/music/a.mp3", false),
            (opened, "/music/a.mp3", false),
            (created, "/music/.a.mp3.part", false),
            (written, "/music/.song.mp3.X1y2Z3", false),
            (created, "/music/.hidden.mp3", true),
            (removed, "/music/.38 Special", true),
            (created, "/music/album/@eaDir/a.mp3", false),
            (created, "/music/RECYCLER/a.mp3", false),
            (created, "/music/Artist/RECYCLER/a.mp3", true),
            (renamed, "/music/state.json", false),
            (created, "/music/state.json.covers/1", false),
            (created, "/home/me/.cache/.music/a.mp3", true),
            (removed, "/home/me/.cache/.music", true),
            (EventKind::Any, "/home/me/.cache/.music", true),
            (created, "/home/me/.cache/.music/.cache/a.mp3", false),
        ] {
            let event = Event::new(kind).add_path(path.into());
            let roots = ["/music", "/home/me/.cache/.music"].map(PathBuf::from);
            let found = can_change_index(&event, &roots, &excluded);
            assert_eq!(found, expected, "{event:?}");
        }
    }

    #[test]
    fn reports_a_created_file() {
        let folder = tempfile::tempdir().unwrap();
        let requests = Arc::new(ScanRequests::default());
        let watcher = FolderWatcher::start(&[folder.path().into()], Vec::new(), requests.clone());
        assert!(watcher.is_working());
        std::fs::write(folder.path().join("a.mp3"), "").unwrap();
        let wakeup = requests.wait(Duration::from_secs(60));
        assert!(matches!(wakeup, Wakeup::Requested(_)), "{wakeup:?}");
    }

    #[test]
    fn has_ended_after_a_panic_of_the_watcher_thread() {
        let folder = tempfile::tempdir().unwrap();
        let watcher = FolderWatcher::watch(&[folder.path().into()], |_| panic!("injected panic"));
        assert!(watcher.is_working());
        std::fs::write(folder.path().join("a.mp3"), "").unwrap();
        while !watcher.has_ended() {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(!watcher.is_working());
    }
}
