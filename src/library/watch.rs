//! Notices that something has changed in the audio folder. What, nobody asks: the folder is looked through then.

use std::path::Path;

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};

/// File systems that other machines write to, whose changes nobody here is told of.
const SHARED: [u64; 8] = [
    0x6969,      // NFS
    0xff53_4d42, // CIFS
    0xfe53_4d42, // SMB 2
    0x517b,      // SMB
    0x6573_5546, // FUSE: sshfs, rclone and their kin
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

/// Has `notice` called at each change below `root`, if the system tells of changes.
pub(super) fn watch(root: &Path, notice: impl Fn() + Send + 'static) -> Watch {
    if is_shared(root) {
        tracing::info!(
            "the audio folder is on a network share, so it is looked through once a minute"
        );
        return Watch::Nothing;
    }
    let heard = move |event: notify::Result<Event>| {
        if event.is_ok_and(|event| matters(&event)) {
            notice();
        }
    };
    let begun = notify::recommended_watcher(heard).and_then(|mut watcher| {
        watcher.watch(root, RecursiveMode::Recursive)?;
        Ok(watcher)
    });
    match begun {
        Ok(watcher) => Watch::Told(watcher),
        Err(error) => {
            tracing::warn!(
                "changes in the audio folder are not told ({error}), so it is looked through once a minute"
            );
            Watch::Nothing
        }
    }
}

/// Whether a scan could find something else after it: reading changes nothing, and hidden files are left out. The state
/// may lie in the audio folder, and is written at each press of a button.
fn matters(event: &Event) -> bool {
    let written = match event.kind {
        EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
        _ => true,
    };
    let is_hidden = |path: &Path| {
        path.file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
    };
    let all_hidden = !event.paths.is_empty() && event.paths.iter().all(|path| is_hidden(path));
    event.need_rescan() || (written && !all_hidden)
}

fn is_shared(root: &Path) -> bool {
    rustix::fs::statfs(root)
        .is_ok_and(|found| SHARED.contains(&(found.f_type as u64 & 0xffff_ffff)))
}
