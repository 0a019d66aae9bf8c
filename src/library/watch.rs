//! Notices that something has changed in the audio folder. What, nobody asks: the folder is looked through then.

use std::path::{Path, PathBuf};

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{Config, Event, RecommendedWatcher, RecursiveMode, Watcher};

use super::orders::Order;

/// File systems that other machines write to, whose changes nobody here is told of.
const SHARED: [u64; 7] = [
    0x6969,      // NFS
    0xff53_4d42, // CIFS
    0xfe53_4d42, // SMB 2
    0x517b,      // SMB
    0x0102_1997, // 9p
    0x5346_414f, // AFS
    0x00c3_6400, // Ceph
];

/// How changes are noticed.
#[derive(Debug)]
pub(super) enum Watch {
    /// The system tells of each, as long as this lives.
    Told(#[expect(dead_code, reason = "it watches until it is dropped")] RecommendedWatcher),
    /// Not at all.
    Nothing,
}

/// Has `notice` called at each change below `root` but of `ours`, if the system tells of changes; and when it may have
/// missed some.
pub(super) fn watch(
    root: &Path,
    ours: Vec<PathBuf>,
    notice: impl Fn(Order) + Send + 'static,
) -> Watch {
    if is_shared(root) {
        tracing::debug!(
            "the audio folder is on a network share, so it is looked through once a minute"
        );
        return Watch::Nothing;
    }
    let heard = move |event: notify::Result<Event>| match event {
        Ok(event) if event.need_rescan() => notice(Order::Deaf),
        Ok(event) if matters(&event, &ours) => notice(Order::Noticed),
        Ok(_) => {}
        // There is more to watch than the system allows, for one.
        Err(error) => {
            tracing::debug!("a change in the audio folder was not told: {error}");
            notice(Order::Deaf);
        }
    };
    // Links lead to folders that are watched anyway, or to those that are none of ours.
    let how = Config::default().with_follow_symlinks(false);
    let begun = RecommendedWatcher::new(heard, how).and_then(|mut watcher| {
        watcher.watch(root, RecursiveMode::Recursive)?;
        Ok(watcher)
    });
    match begun {
        Ok(watcher) => Watch::Told(watcher),
        Err(error) => {
            tracing::debug!(
                "changes in the audio folder are not told ({error}), so it is looked through once a minute"
            );
            Watch::Nothing
        }
    }
}

/// Whether a scan could find something else after it: reading changes nothing, and hidden files and `ours` are left out.
fn matters(event: &Event, ours: &[PathBuf]) -> bool {
    let written = match event.kind {
        EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
        _ => true,
    };
    let is_left_out = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        name.as_encoded_bytes().starts_with(b".") || ours.iter().any(|ours| path.starts_with(ours))
    };
    let is_seen = event.paths.is_empty() || !event.paths.iter().all(is_left_out);
    written && is_seen
}

fn is_shared(root: &Path) -> bool {
    rustix::fs::statfs(root)
        .is_ok_and(|found| SHARED.contains(&(found.f_type as u64 & 0xffff_ffff)))
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, DataChange, ModifyKind, RemoveKind, RenameMode};

    use super::*;

    #[test]
    fn what_a_scan_would_find_the_same_after_is_not_noticed() {
        let ours = ["/music/state.json", "/music/state.json.covers"].map(PathBuf::from);
        let created = EventKind::Create(CreateKind::File);
        let removed = EventKind::Remove(RemoveKind::Folder);
        let renamed = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        let closed = |mode| EventKind::Access(AccessKind::Close(mode));
        for (kind, path, expected) in [
            (created, "/music/a.mp3", true),
            (removed, "/music/album", true),
            (renamed, "/music/a.mp3", true),
            (written, "/music/cover.jpg", true),
            (closed(AccessMode::Write), "/music/a.mp3", true),
            (closed(AccessMode::Read), "/music/a.mp3", false),
            (
                EventKind::Access(AccessKind::Open(AccessMode::Any)),
                "/music/a.mp3",
                false,
            ),
            (created, "/music/.a.mp3.part", false),
            (renamed, "/music/state.json", false),
            (created, "/music/state.json.covers/1", false),
        ] {
            let event = Event::new(kind).add_path(path.into());
            assert_eq!(matters(&event, &ours), expected, "{event:?}");
        }
    }
}
