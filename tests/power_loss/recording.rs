//! What a server does to its state folder, and what it tells anybody, in the order in which it does so: recorded by
//! `strace`, and read from what that wrote.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::server::EXECUTABLE;
use crate::common::{Setup, in_time};
use crate::simulated_disk::{Operation, Step};

/// Every call by which a program may change a file, or tell somebody something. `?` is for those that not
/// every processor has.
const CALLS: &str = "?open,openat,?openat2,?creat,write,writev,pwrite64,pwritev,?pwritev2,sendto,sendmsg,\
    truncate,ftruncate,fallocate,copy_file_range,sendfile,fsync,fdatasync,sync_file_range,?rename,?renameat,renameat2,\
    ?link,linkat,?symlink,symlinkat,?unlink,unlinkat,?mkdir,mkdirat,?rmdir";

/// A record under way, or finished.
pub(crate) struct Recording {
    file: PathBuf,
    folder: PathBuf,
}

impl Recording {
    /// Of a server in those folders. One that starts again needs another name.
    pub(crate) fn new(setup: &Setup, name: &str) -> Recording {
        let folder = setup.state_file().parent().unwrap().canonicalize();
        Recording {
            file: setup.folder().join(format!("{name}.strace")),
            folder: folder.unwrap(),
        }
    }

    /// The command that starts the server and records it.
    pub(crate) fn command(&self) -> Vec<PathBuf> {
        // With -D, the server is our child, and strace its.
        let watched = format!("trace={CALLS}");
        let strace = [
            "strace",
            "-D",
            "-f",
            "-q",
            "-y",
            "-xx",
            "-s",
            "1000000",
            "-e",
            "signal=none",
            "-e",
            &watched,
            "-o",
        ];
        let paths = strace.map(PathBuf::from).into_iter();
        paths
            .chain([self.file.clone(), EXECUTABLE.into()])
            .collect()
    }

    /// What happened, once the server, which was that process, has ended.
    pub(crate) async fn steps_of(&self, pid: u32) -> Vec<Step> {
        let pid = pid.to_string();
        let ended = |line: &str| {
            let (thread, text) = line.split_once(' ').unwrap_or_default();
            thread == pid && text.trim_start().starts_with("+++")
        };
        let record = async {
            loop {
                let record = fs::read_to_string(&self.file).unwrap();
                if record.lines().any(ended) {
                    return record;
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        let record = in_time("strace to finish its record", record).await;
        let mut steps = Vec::new();
        for call in calls(&record) {
            call.steps(&self.folder, &mut steps);
        }
        steps.sort_by_key(|(line, _)| *line);
        steps.into_iter().map(|(_, step)| step).collect()
    }
}

/// A call, and the lines of the record where it began and returned.
#[derive(Debug, PartialEq)]
struct Call {
    name: String,
    arguments: String,
    result: String,
    began: usize,
    returned: usize,
}

/// Each call that returned, and what was told by those that did not.
fn calls(record: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut unfinished: HashMap<&str, (usize, &str)> = HashMap::new();
    for (line, text) in record.lines().enumerate() {
        let (thread, text) = text.split_once(' ').expect("a thread");
        let text = text.trim_start();
        if text.starts_with("+++") {
            continue;
        }
        if let Some(begin) = text.strip_suffix(" <unfinished ...>") {
            unfinished.insert(thread, (line, begin));
            continue;
        }
        let (began, whole) = match text.strip_prefix("<... ") {
            Some(rest) => {
                let (began, begin) = unfinished.remove(thread).expect("a call that began");
                let (_, end) = rest.split_once(" resumed>").expect("a call that ends");
                (began, format!("{begin}{end}"))
            }
            None => (line, text.to_owned()),
        };
        let parts = whole.split_once('(').and_then(|(name, rest)| {
            let (arguments, result) = rest.rsplit_once(" = ")?;
            Some((name.to_owned(), arguments.trim_end().to_owned(), result))
        });
        let (name, arguments, result) = parts.unwrap_or_else(|| panic!("what is {whole}?"));
        calls.push(Call {
            name,
            arguments,
            result: result.to_owned(),
            began,
            returned: line,
        });
    }
    calls
}

impl Call {
    fn failed(&self) -> bool {
        !self
            .result
            .starts_with(|first: char| first.is_ascii_digit())
    }

    /// What it means, each with the line of the record where it belongs: what it changes may have happened
    /// from when it began, and what it promises holds from when it has returned.
    fn steps(&self, folder: &Path, steps: &mut Vec<(usize, Step)>) {
        let texts = quoted(&self.arguments);
        let name = |n: usize| name_in(folder, &path(&texts[n]));
        let fd = fd(&self.arguments);
        let file = fd.and_then(|(_, path)| name_in(folder, &path));
        let mut did = |line: usize, operation| steps.push((line, Step::Disk(operation)));
        match (self.name.as_str(), &file) {
            (call, _) if call.starts_with("open") => {
                let flag = |flag: &str| self.arguments.contains(flag);
                if let (Some(name), false) = (name(0), self.failed()) {
                    let number: String = self
                        .result
                        .chars()
                        .take_while(char::is_ascii_digit)
                        .collect();
                    let operation = Operation::Open {
                        fd: number.parse().unwrap(),
                        name,
                        create: flag("O_CREAT"),
                        truncate: flag("O_TRUNC"),
                    };
                    assert!(!flag("O_APPEND"), "the simulated disk does not append");
                    did(self.began, operation);
                }
            }
            ("write", Some(_)) => {
                let bytes = texts[0].clone();
                assert_eq!(self.result, bytes.len().to_string(), "a part was written");
                let fd = self.number();
                did(self.began, Operation::Write { fd, bytes });
            }
            ("fsync" | "fdatasync", Some(_)) => {
                assert!(!self.failed(), "a sync failed");
                let fd = self.number();
                did(self.began, Operation::Syncing { fd });
                did(self.returned, Operation::Synced { fd });
            }
            ("rename" | "renameat" | "renameat2", _) => {
                if let (Some(from), Some(to), false) = (name(0), name(1), self.failed()) {
                    did(self.began, Operation::Rename { from, to });
                }
            }
            ("unlink" | "unlinkat", _) => {
                if let (Some(name), false) = (name(0), self.failed()) {
                    did(self.began, Operation::Unlink { name });
                }
            }
            ("write" | "writev" | "sendto" | "sendmsg", None) => {
                let newest = counts(&texts.concat()).max();
                steps.extend(newest.map(|count| (self.began, Step::Told(count))));
            }
            _ => {
                let ours = file.is_some()
                    || texts
                        .iter()
                        .any(|text| name_in(folder, &path(text)).is_some());
                assert!(!ours, "the simulated disk knows no {self:?}");
            }
        }
    }

    /// The number of the file that it is about.
    fn number(&self) -> i32 {
        fd(&self.arguments).expect("a file").0
    }
}

/// The number and the path of the file that a call's first argument names.
fn fd(arguments: &str) -> Option<(i32, PathBuf)> {
    let (number, rest) = arguments.split_once('<')?;
    let (hex, _) = rest.split_once('>')?;
    Some((number.parse().ok()?, path(&unhex(hex))))
}

fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(bytes).into_owned())
}

/// The name of `path` in `folder`: empty for the folder itself, `None` when it is elsewhere.
fn name_in(folder: &Path, path: &Path) -> Option<String> {
    let name = path.strip_prefix(folder).ok()?.to_str()?;
    assert!(!name.contains('/'), "a folder in the folder: {name}");
    Some(name.to_owned())
}

/// Everything between quotation marks, which strace writes byte by byte: `"\x61\x62"`.
fn quoted(arguments: &str) -> Vec<Vec<u8>> {
    let mut parts = arguments.split('"');
    let mut texts = Vec::new();
    // Outside, inside, outside, …
    while let (Some(_), Some(inside)) = (parts.next(), parts.next()) {
        texts.push(unhex(inside));
    }
    assert!(
        !arguments.contains("\"..."),
        "strace has left something out"
    );
    texts
}

fn unhex(text: &str) -> Vec<u8> {
    let bytes = text.split("\\x").skip(1);
    bytes
        .map(|hex| u8::from_str_radix(&hex[..2], 16).expect("two hex digits"))
        .collect()
}

/// Every event count that a message names.
fn counts(message: &[u8]) -> impl Iterator<Item = u64> {
    let message = String::from_utf8_lossy(message).into_owned();
    let counts = message.split("ventCount\":").skip(1).map(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("a count")
    });
    counts.collect::<Vec<_>>().into_iter()
}

#[test]
fn calls_of_several_threads_are_put_together() {
    let record = "\
        7 fsync(9<\\x2f\\x73\\x2f\\x61> <unfinished ...>\n\
        8 sendto(5<\\x73>, \"\\x65\\x76\\x65\\x6e\\x74\\x43\\x6f\\x75\\x6e\\x74\\x22\\x3a\\x31\\x32\\x7d\", 15, 0, NULL, 0) = 15\n\
        7 <... fsync resumed>) = 0\n\
        8 +++ exited with 0 +++\n";
    let mut steps = Vec::new();
    for call in calls(record) {
        call.steps(Path::new("/s"), &mut steps);
    }
    let disk = Step::Disk;
    let expected = [
        (0, disk(Operation::Syncing { fd: 9 })),
        (2, disk(Operation::Synced { fd: 9 })),
        (1, Step::Told(12)),
    ];
    steps.sort_by_key(|(_, step)| matches!(step, Step::Told(_)));
    assert_eq!(steps, expected);
}
