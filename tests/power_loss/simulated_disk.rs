//! A model of a disk with one folder: the content that programs see, and every content that may remain after a power loss.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Size in bytes of the pages in which the disk writes a file. The disk may write them in any order.
const PAGE_SIZE: usize = 4096;

/// One step of a recording.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// An operation on the disk.
    Disk(Operation),
    /// The server sent the state with this event count to a client.
    Announced(u64),
}

impl Step {
    /// Whether this step is a completed sync.
    pub(crate) fn is_sync(&self) -> bool {
        matches!(self, Step::Disk(Operation::SyncEnd { .. }))
    }
}

/// An operation on the folder or on one of its files. Files are identified by name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Operation {
    /// Opens a file (or, with an empty name, the folder) as this file descriptor.
    Open {
        fd: i32,
        name: String,
        create: bool,
        truncate: bool,
    },
    /// Writes these bytes at the descriptor's offset.
    Write { fd: i32, bytes: Vec<u8> },
    /// Renames a file.
    Rename { from: String, to: String },
    /// Removes a name.
    Unlink { name: String },
    /// A sync of this descriptor starts.
    SyncStart { fd: i32 },
    /// The sync of this descriptor has returned.
    SyncEnd { fd: i32 },
}

/// Which syncs the disk honours.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HonouredSyncs {
    /// Syncs of files.
    pub(crate) files: bool,
    /// Syncs of folders.
    pub(crate) folders: bool,
}

impl Default for HonouredSyncs {
    fn default() -> Self {
        HonouredSyncs {
            files: true,
            folders: true,
        }
    }
}

/// Index into [`Disk::files`].
type FileId = usize;

/// A change to a file's content.
#[derive(Debug, Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate,
}

/// A file's synced content, and the changes since the last sync.
#[derive(Debug, Default)]
struct File {
    synced: Vec<u8>,
    unsynced: Vec<Change>,
    /// Number of entries of `unsynced` that the running sync makes durable.
    covered_by_sync: usize,
}

/// The target of an open file descriptor.
#[derive(Debug, Clone, Copy)]
enum OpenNode {
    Folder,
    File { id: FileId, offset: usize },
}

/// The simulated disk with one folder.
#[derive(Debug)]
pub(crate) struct Disk {
    honoured_syncs: HonouredSyncs,
    /// Open file descriptors.
    open_descriptors: HashMap<i32, OpenNode>,
    files: Vec<File>,
    /// Names as programs see them, including unsynced changes.
    names: BTreeMap<String, FileId>,
    /// Names after a power loss if no unsynced change took effect.
    synced_names: BTreeMap<String, FileId>,
    /// Changes of names since the last folder sync: the file that a name got, or `None` if the name was removed.
    unsynced_names: Vec<(String, Option<FileId>)>,
    /// Number of entries of `unsynced_names` that the running folder sync makes durable.
    names_covered_by_sync: usize,
}

impl Disk {
    /// An empty folder.
    pub(crate) fn new(honoured_syncs: HonouredSyncs) -> Disk {
        Disk {
            honoured_syncs,
            open_descriptors: HashMap::new(),
            files: Vec::new(),
            names: BTreeMap::new(),
            synced_names: BTreeMap::new(),
            unsynced_names: Vec::new(),
            names_covered_by_sync: 0,
        }
    }

    fn set_name(&mut self, name: &str, file: Option<FileId>) {
        match file {
            Some(id) => self.names.insert(name.to_owned(), id),
            None => self.names.remove(name),
        };
        self.unsynced_names.push((name.to_owned(), file));
    }

    fn open_node(&self, fd: i32) -> OpenNode {
        let node = self.open_descriptors.get(&fd).copied();
        node.unwrap_or_else(|| panic!("the file descriptor {fd} is not open"))
    }

    /// Applies an operation.
    pub(crate) fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Open {
                fd,
                name,
                create,
                truncate,
            } => {
                let node = if name.is_empty() {
                    OpenNode::Folder
                } else {
                    self.open_file(name, *create, *truncate)
                };
                self.open_descriptors.insert(*fd, node);
            }
            Operation::Write { fd, bytes } => {
                let OpenNode::File { id, offset } = self.open_node(*fd) else {
                    panic!("the recording writes to a folder");
                };
                let (bytes, end) = (bytes.clone(), offset + bytes.len());
                self.open_descriptors
                    .insert(*fd, OpenNode::File { id, offset: end });
                self.files[id]
                    .unsynced
                    .push(Change::Write { offset, bytes });
            }
            Operation::Rename { from, to } => {
                let id = self.names[from];
                self.set_name(to, Some(id));
                self.set_name(from, None);
            }
            Operation::Unlink { name } => self.set_name(name, None),
            Operation::SyncStart { fd } => match self.open_node(*fd) {
                OpenNode::Folder => self.names_covered_by_sync = self.unsynced_names.len(),
                OpenNode::File { id, .. } => {
                    self.files[id].covered_by_sync = self.files[id].unsynced.len()
                }
            },
            Operation::SyncEnd { fd } => match self.open_node(*fd) {
                OpenNode::Folder if self.honoured_syncs.folders => {
                    for (name, file) in self.unsynced_names.drain(..self.names_covered_by_sync) {
                        match file {
                            Some(id) => self.synced_names.insert(name, id),
                            None => self.synced_names.remove(&name),
                        };
                    }
                }
                OpenNode::File { id, .. } if self.honoured_syncs.files => {
                    self.files[id].make_durable()
                }
                _ => {}
            },
        }
    }

    fn open_file(&mut self, name: &str, create: bool, truncate: bool) -> OpenNode {
        let id = match self.names.get(name) {
            Some(id) => *id,
            None => {
                assert!(create, "the recording opens {name}, which does not exist");
                self.files.push(File::default());
                self.set_name(name, Some(self.files.len() - 1));
                self.files.len() - 1
            }
        };
        if truncate {
            self.files[id].unsynced.push(Change::Truncate);
        }
        OpenNode::File { id, offset: 0 }
    }

    /// Every possible content of `name` after a power loss now; `None` means that the file is missing.
    pub(crate) fn contents_after_power_loss(&self, name: &str) -> BTreeSet<Option<Vec<u8>>> {
        // Any unsynced change of the name may be the last one that took effect, or none may have taken effect.
        let changes = self
            .unsynced_names
            .iter()
            .filter(|(changed, _)| changed == name);
        let possible_files = changes
            .map(|(_, file)| *file)
            .chain([self.synced_names.get(name).copied()]);
        let contents = |file: Option<FileId>| match file {
            Some(id) => self.files[id].contents_after_power_loss(),
            None => vec![None],
        };
        possible_files.flat_map(contents).collect()
    }
}

impl File {
    /// Makes the changes that the running sync covers durable.
    fn make_durable(&mut self) {
        for change in self.unsynced.drain(..self.covered_by_sync) {
            change.apply_to(&mut self.synced);
        }
        self.covered_by_sync = 0;
    }

    fn contents_after_power_loss(&self) -> Vec<Option<Vec<u8>>> {
        let mut contents = vec![Some(self.synced.clone())];
        let mut current = self.synced.clone();
        for change in &self.unsynced {
            contents.extend(
                change
                    .contents_after_partial_write(&current)
                    .into_iter()
                    .map(Some),
            );
            change.apply_to(&mut current);
            contents.push(Some(current.clone()));
        }
        contents
    }
}

impl Change {
    fn apply_to(&self, contents: &mut Vec<u8>) {
        match self {
            Change::Truncate => contents.clear(),
            Change::Write { offset, bytes } => {
                let end = offset + bytes.len();
                contents.resize(contents.len().max(end), 0);
                contents[*offset..end].copy_from_slice(bytes);
            }
        }
    }

    /// The possible contents if this change took effect partially. `before` is the content before the change.
    fn contents_after_partial_write(&self, before: &[u8]) -> Vec<Vec<u8>> {
        let Change::Write { offset, bytes } = self else {
            return Vec::new();
        };
        let after_writing = |bytes: Vec<u8>| {
            let mut contents = before.to_vec();
            let offset = *offset;
            Change::Write { offset, bytes }.apply_to(&mut contents);
            contents
        };
        let length = bytes.len();
        let page = PAGE_SIZE.min(length / 2);
        let zeros = |from: usize, to: usize| {
            let mut bytes = bytes.clone();
            bytes[from..to].fill(0);
            after_writing(bytes)
        };
        let cut = |end: usize| after_writing(bytes[..end].to_vec());
        let mut possible_contents = vec![
            zeros(0, length),
            zeros(0, page),
            zeros(length - page, length),
        ];
        let cuts = [0, 1, length / 2, length.saturating_sub(1)];
        possible_contents.extend(cuts.map(cut));
        possible_contents.extend((PAGE_SIZE..length).step_by(PAGE_SIZE).map(cut));
        possible_contents
    }
}

#[test]
fn unsynced_content_and_names_may_be_present_or_absent_after_power_loss() {
    let text = |text: &str| Some(text.as_bytes().to_vec());
    let open = |fd, name: &str| Operation::Open {
        fd,
        name: name.into(),
        create: true,
        truncate: false,
    };
    let write = |bytes: &str| Operation::Write {
        fd: 3,
        bytes: bytes.into(),
    };
    let mut disk = Disk::new(HonouredSyncs::default());
    for operation in [open(1, ""), open(3, "new"), write("ab")] {
        disk.apply(&operation);
    }
    let contents = disk.contents_after_power_loss("new");
    for possible_content in [None, text(""), text("a"), text("ab"), text("\0\0")] {
        assert!(contents.contains(&possible_content), "{possible_content:?}");
    }
    // A sync does not cover a write that starts after the sync.
    let sync = |fd| [Operation::SyncStart { fd }, Operation::SyncEnd { fd }];
    let [sync_start, sync_end] = sync(3);
    for operation in [sync_start, write("c"), sync_end] {
        disk.apply(&operation);
    }
    let contents = disk.contents_after_power_loss("new");
    let expected = [None, text("ab"), text("ab\0"), text("abc")];
    assert_eq!(contents, BTreeSet::from(expected));

    let rename = Operation::Rename {
        from: "new".into(),
        to: "state".into(),
    };
    for operation in sync(3).into_iter().chain([rename]) {
        disk.apply(&operation);
    }
    let old_and_new = BTreeSet::from([None, text("abc")]);
    assert_eq!(disk.contents_after_power_loss("new"), old_and_new);
    assert_eq!(disk.contents_after_power_loss("state"), old_and_new);
    for operation in sync(1) {
        disk.apply(&operation);
    }
    assert_eq!(
        disk.contents_after_power_loss("new"),
        BTreeSet::from([None])
    );
    assert_eq!(
        disk.contents_after_power_loss("state"),
        BTreeSet::from([text("abc")])
    );
}
