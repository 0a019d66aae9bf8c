//! A disk whose power may fail: what programs see of it, and all that may be left of it. How operations come
//! about is not its business.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The disk writes a file in pages of this size, in any order.
const PAGE: usize = 4096;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// The disk was asked for something.
    Disk(Operation),
    /// Somebody was told of the state of this count.
    Told(u64),
}

impl Step {
    /// Whether something was synced.
    pub(crate) fn is_sync(&self) -> bool {
        matches!(self, Step::Disk(Operation::Synced { .. }))
    }
}

/// An operation on a folder and its files, which go by their names in it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Operation {
    /// A file, or with the empty name the folder, is opened under that number.
    Open {
        fd: i32,
        name: String,
        create: bool,
        truncate: bool,
    },
    /// These bytes follow what was written under that number before.
    Write { fd: i32, bytes: Vec<u8> },
    /// A name is given to what had another.
    Rename { from: String, to: String },
    /// A name is gone.
    Unlink { name: String },
    /// A sync begins.
    Syncing { fd: i32 },
    /// That sync has returned.
    Synced { fd: i32 },
}

/// Which syncs the disk takes heed of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heeded {
    /// Those of files.
    pub(crate) files: bool,
    /// Those of folders.
    pub(crate) folders: bool,
}

impl Default for Heeded {
    fn default() -> Self {
        Heeded {
            files: true,
            folders: true,
        }
    }
}

type FileId = usize;

#[derive(Debug, Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Empty,
}

/// A file's contents: what is sure to be there, and what was asked for since.
#[derive(Debug, Default)]
struct File {
    sure: Vec<u8>,
    unsure: Vec<Change>,
    /// How many of `unsure` a sync under way is about.
    syncing: usize,
}

#[derive(Debug, Clone, Copy)]
enum Node {
    Folder,
    File { id: FileId, offset: usize },
}

/// One folder on a disk.
#[derive(Debug)]
pub(crate) struct Disk {
    heeded: Heeded,
    open: HashMap<i32, Node>,
    files: Vec<File>,
    /// The names as programs see them.
    names: BTreeMap<String, FileId>,
    /// The names that are sure to be there.
    sure: BTreeMap<String, FileId>,
    /// What was done to names since.
    unsure: Vec<(String, Option<FileId>)>,
    /// How many of `unsure` a sync under way is about.
    syncing: usize,
}

impl Disk {
    /// An empty folder.
    pub(crate) fn new(heeded: Heeded) -> Disk {
        Disk {
            heeded,
            open: HashMap::new(),
            files: Vec::new(),
            names: BTreeMap::new(),
            sure: BTreeMap::new(),
            unsure: Vec::new(),
            syncing: 0,
        }
    }

    fn name(&mut self, name: &str, file: Option<FileId>) {
        match file {
            Some(id) => self.names.insert(name.to_owned(), id),
            None => self.names.remove(name),
        };
        self.unsure.push((name.to_owned(), file));
    }

    fn node(&self, fd: i32) -> Node {
        let node = self.open.get(&fd).copied();
        node.unwrap_or_else(|| panic!("{fd} is not open"))
    }

    /// Does as asked.
    pub(crate) fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Open {
                fd,
                name,
                create,
                truncate,
            } => {
                let node = if name.is_empty() {
                    Node::Folder
                } else {
                    self.open_file(name, *create, *truncate)
                };
                self.open.insert(*fd, node);
            }
            Operation::Write { fd, bytes } => {
                let Node::File { id, offset } = self.node(*fd) else {
                    panic!("a folder is written to");
                };
                let (bytes, end) = (bytes.clone(), offset + bytes.len());
                self.open.insert(*fd, Node::File { id, offset: end });
                self.files[id].unsure.push(Change::Write { offset, bytes });
            }
            Operation::Rename { from, to } => {
                let id = self.names[from];
                self.name(to, Some(id));
                self.name(from, None);
            }
            Operation::Unlink { name } => self.name(name, None),
            Operation::Syncing { fd } => match self.node(*fd) {
                Node::Folder => self.syncing = self.unsure.len(),
                Node::File { id, .. } => self.files[id].syncing = self.files[id].unsure.len(),
            },
            Operation::Synced { fd } => match self.node(*fd) {
                Node::Folder if self.heeded.folders => {
                    for (name, file) in self.unsure.drain(..self.syncing) {
                        match file {
                            Some(id) => self.sure.insert(name, id),
                            None => self.sure.remove(&name),
                        };
                    }
                }
                Node::File { id, .. } if self.heeded.files => self.files[id].keep(),
                _ => {}
            },
        }
    }

    fn open_file(&mut self, name: &str, create: bool, truncate: bool) -> Node {
        let id = match self.names.get(name) {
            Some(id) => *id,
            None => {
                assert!(create, "{name} is opened, and is not there");
                self.files.push(File::default());
                self.name(name, Some(self.files.len() - 1));
                self.files.len() - 1
            }
        };
        if truncate {
            self.files[id].unsure.push(Change::Empty);
        }
        Node::File { id, offset: 0 }
    }

    /// All that may be found under `name` if the power fails now; `None` is nothing.
    pub(crate) fn after_power_loss(&self, name: &str) -> BTreeSet<Option<Vec<u8>>> {
        // Each unsure change of the name may be the last that happened, or none did.
        let last = self.unsure.iter().filter(|(changed, _)| changed == name);
        let may_be = last
            .map(|(_, file)| *file)
            .chain([self.sure.get(name).copied()]);
        let contents = |file: Option<FileId>| match file {
            Some(id) => self.files[id].after_power_loss(),
            None => vec![None],
        };
        may_be.flat_map(contents).collect()
    }
}

impl File {
    /// A sync has returned.
    fn keep(&mut self) {
        for change in self.unsure.drain(..self.syncing) {
            change.make(&mut self.sure);
        }
        self.syncing = 0;
    }

    fn after_power_loss(&self) -> Vec<Option<Vec<u8>>> {
        let mut found = vec![Some(self.sure.clone())];
        let mut before = self.sure.clone();
        for change in &self.unsure {
            found.extend(change.torn(&before).into_iter().map(Some));
            change.make(&mut before);
            found.push(Some(before.clone()));
        }
        found
    }
}

impl Change {
    fn make(&self, contents: &mut Vec<u8>) {
        match self {
            Change::Empty => contents.clear(),
            Change::Write { offset, bytes } => {
                let end = offset + bytes.len();
                contents.resize(contents.len().max(end), 0);
                contents[*offset..end].copy_from_slice(bytes);
            }
        }
    }

    /// What may be there when this has happened in part.
    fn torn(&self, before: &[u8]) -> Vec<Vec<u8>> {
        let Change::Write { offset, bytes } = self else {
            return Vec::new();
        };
        let with = |bytes: Vec<u8>| {
            let mut contents = before.to_vec();
            let offset = *offset;
            Change::Write { offset, bytes }.make(&mut contents);
            contents
        };
        let length = bytes.len();
        let page = PAGE.min(length / 2);
        let zeros = |from: usize, to: usize| {
            let mut bytes = bytes.clone();
            bytes[from..to].fill(0);
            with(bytes)
        };
        let cut = |end: usize| with(bytes[..end].to_vec());
        let mut torn = vec![
            zeros(0, length),
            zeros(0, page),
            zeros(length - page, length),
        ];
        let cuts = [0, 1, length / 2, length.saturating_sub(1)];
        torn.extend(cuts.map(cut));
        torn.extend((PAGE..length).step_by(PAGE).map(cut));
        torn
    }
}

#[test]
fn what_was_not_synced_may_be_there_or_not() {
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
    let mut disk = Disk::new(Heeded::default());
    for operation in [open(1, ""), open(3, "new"), write("ab")] {
        disk.apply(&operation);
    }
    let found = disk.after_power_loss("new");
    for may_be in [None, text(""), text("a"), text("ab"), text("\0\0")] {
        assert!(found.contains(&may_be), "{may_be:?}");
    }
    // What is written while a sync is under way is not in it.
    let sync = |fd| [Operation::Syncing { fd }, Operation::Synced { fd }];
    let [syncing, synced] = sync(3);
    for operation in [syncing, write("c"), synced] {
        disk.apply(&operation);
    }
    let found = disk.after_power_loss("new");
    let expected = [None, text("ab"), text("ab\0"), text("abc")];
    assert_eq!(found, BTreeSet::from(expected));

    let rename = Operation::Rename {
        from: "new".into(),
        to: "state".into(),
    };
    for operation in sync(3).into_iter().chain([rename]) {
        disk.apply(&operation);
    }
    let both = BTreeSet::from([None, text("abc")]);
    assert_eq!(disk.after_power_loss("new"), both);
    assert_eq!(disk.after_power_loss("state"), both);
    for operation in sync(1) {
        disk.apply(&operation);
    }
    assert_eq!(disk.after_power_loss("new"), BTreeSet::from([None]));
    assert_eq!(
        disk.after_power_loss("state"),
        BTreeSet::from([text("abc")])
    );
}
