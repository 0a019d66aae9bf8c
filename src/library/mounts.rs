//! Reads the system's table of mounts: which file systems lie at and below the audio folders, and whether the system reports
//! the changes in them.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The table of mounts of this process; see proc(5).
const MOUNT_TABLE: &str = "/proc/self/mountinfo";

/// File systems that other machines can change, and shares of a virtual machine's host. inotify does not report such changes.
const REMOTE_FILE_SYSTEMS: &[&str] = &[
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "coda", "lustre", "beegfs",
    "gpfs", "orangefs", "gfs2", "ocfs2", "vboxsf", "prl_fs", "virtiofs",
];

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// The number of the mount, which another mount at the same place does not have.
    id: u64,
    pub(super) point: PathBuf,
    /// The type of the file system, such as `ext4`.
    pub(super) file_system: String,
}

impl Mount {
    /// Whether inotify reports each change. FUSE programs (mergerfs, sshfs, rclone) show files that can change without a
    /// system call on this machine; `fuseblk` is a local disk.
    pub(super) fn reports_changes(&self) -> bool {
        let kind = self.file_system.as_str();
        !(REMOTE_FILE_SYSTEMS.contains(&kind) || kind == "fuse" || kind.starts_with("fuse."))
    }
}

/// The mounts that hold these folders, which must be canonical, and the mounts below them. Empty if the system has no table
/// of mounts.
pub(super) fn mounts_of(folders: &[PathBuf]) -> Vec<Mount> {
    let table = fs::read(MOUNT_TABLE).unwrap_or_default();
    select(&parse(&table), folders)
}

fn select(mounts: &[Mount], folders: &[PathBuf]) -> Vec<Mount> {
    let holding = folders.iter().filter_map(|folder| mount_of(mounts, folder));
    let holding: Vec<_> = holding.collect();
    let is_below = |mount: &Mount| {
        folders
            .iter()
            .any(|folder| mount.point.starts_with(folder) && mount.point != *folder)
    };
    let selected = mounts
        .iter()
        .filter(|mount| is_below(mount) || holding.contains(mount));
    selected.cloned().collect()
}

/// The mounts in a table, without lines of another format.
fn parse(table: &[u8]) -> Vec<Mount> {
    table
        .split(|byte| *byte == b'\n')
        .filter_map(parse_line)
        .collect()
}

fn parse_line(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let text = |field: &[u8]| Some(std::str::from_utf8(field).ok()?.to_owned());
    let id = text(fields.next()?)?.parse().ok()?;
    let point = unescape(fields.nth(3)?);
    fields.find(|field| field == b"-")?;
    let file_system = text(fields.next()?)?;
    Some(Mount {
        id,
        point,
        file_system,
    })
}

/// The path in a field in which the kernel has replaced space, tab, newline and backslash by `\` and three octal digits.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [byte, following @ ..] = rest {
        let digits = following.get(..3).filter(|_| *byte == b'\\');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(escaped.unwrap_or(*byte));
        rest = if escaped.is_some() {
            &following[3..]
        } else {
            following
        };
    }
    PathBuf::from(OsString::from_vec(bytes))
}

/// The mount in `mounts` that holds `folder`.
pub(super) fn mount_of<'a>(mounts: &'a [Mount], folder: &Path) -> Option<&'a Mount> {
    let holding = mounts
        .iter()
        .filter(|mount| folder.starts_with(&mount.point));
    // Of several mounts at one place, the last is visible, which `max_by_key` returns.
    holding.max_by_key(|mount| mount.point.as_os_str().len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"\
        20 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
        30 20 0:40 / /music rw shared:7 - fuse.mergerfs mergerfs rw\n\
        31 30 8:17 / /music/My\\040disk rw shared:8 master:2 - exfat /dev/sdb1 rw\n\
        32 20 0:41 / /music2 rw - nfs4 server:/ rw\n\
        33 30 8:18 / /music/usb rw - fuseblk /dev/sdc1 rw\n\
        a line of another format\n";

    #[test]
    fn finds_the_mounts_that_hold_folders_and_those_below() {
        let mounts = parse(TABLE);
        let points = |folders: &[&str]| -> Vec<String> {
            let folders: Vec<_> = folders.iter().map(PathBuf::from).collect();
            let selected = select(&mounts, &folders);
            let points = selected
                .iter()
                .map(|mount| mount.point.display().to_string());
            points.collect()
        };
        assert_eq!(
            points(&["/music"]),
            ["/music", "/music/My disk", "/music/usb"]
        );
        assert_eq!(points(&["/music/album"]), ["/music"]);
        assert_eq!(points(&["/srv", "/music2"]), ["/", "/music2"]);
    }

    #[test]
    fn network_and_fuse_file_systems_do_not_report_changes() {
        let reporting = parse(TABLE).into_iter().filter(Mount::reports_changes);
        let kinds: Vec<_> = reporting.map(|mount| mount.file_system).collect();
        assert_eq!(kinds, ["ext4", "exfat", "fuseblk"]);
    }

    #[test]
    fn the_last_mount_at_one_place_holds_a_folder() {
        let mounts = parse(b"1 0 8:1 / /m rw - ext4 a rw\n2 1 8:2 / /m rw - nfs b rw\n");
        let mount = mount_of(&mounts, Path::new("/m/a")).unwrap();
        assert_eq!(mount.file_system, "nfs");
    }
}
