//! Records a server with `strace`. Parses the operations on the state folder and the sent event counts, in order, from the trace.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::server::EXECUTABLE;
use crate::common::{Setup, in_time};
use crate::simulated_disk::{Operation, Step};

/// System calls that change files or send data. `?` marks calls that some architectures lack.
const TRACED_CALLS: &str = "?open,openat,?openat2,?creat,write,writev,pwrite64,pwritev,?pwritev2,sendto,sendmsg,\
    truncate,ftruncate,fallocate,copy_file_range,sendfile,fsync,fdatasync,sync_file_range,?rename,?renameat,renameat2,\
    ?link,linkat,?symlink,symlinkat,?unlink,unlinkat,?mkdir,mkdirat,?rmdir";

/// A running or finished recording.
pub(crate) struct Recording {
    trace_file: PathBuf,
    state_folder: PathBuf,
}

impl Recording {
    /// A recording of one start of the server with this setup. `name` must be unique within the setup.
    pub(crate) fn new(setup: &Setup, name: &str) -> Recording {
        let folder = setup.state_file().parent().unwrap().canonicalize();
        Recording {
            trace_file: setup.folder().join(format!("{name}.strace")),
            state_folder: folder.unwrap(),
        }
    }

    /// The command line, without the server's arguments, that starts the server under `strace`.
    pub(crate) fn command(&self) -> Vec<PathBuf> {
        // With -D, the child process of this test is the server, and strace runs as a grandchild.
        let call_filter = format!("trace={TRACED_CALLS}");
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
            &call_filter,
            "-o",
        ];
        let paths = strace.map(PathBuf::from).into_iter();
        paths
            .chain([self.trace_file.clone(), EXECUTABLE.into()])
            .collect()
    }

    /// Waits until strace has recorded the end of the server's process `pid`, and parses the recording.
    pub(crate) async fn parse_steps(&self, pid: u32) -> Vec<Step> {
        let pid = pid.to_string();
        let is_end_of_server = |line: &str| {
            let (thread, text) = line.split_once(' ').unwrap_or_default();
            thread == pid && text.trim_start().starts_with("+++")
        };
        let read_trace = async {
            loop {
                let trace = fs::read_to_string(&self.trace_file).unwrap();
                if trace.lines().any(is_end_of_server) {
                    return trace;
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        let trace = in_time("strace to finish writing", read_trace).await;
        let mut steps = Vec::new();
        for call in parse_calls(&trace) {
            call.append_steps(&self.state_folder, &mut steps);
        }
        steps.sort_by_key(|(line_number, _)| *line_number);
        steps.into_iter().map(|(_, step)| step).collect()
    }
}

/// A system call. The line numbers of the trace start at 0.
#[derive(Debug, PartialEq)]
struct Call {
    name: String,
    arguments: String,
    result: String,
    start_line: usize,
    return_line: usize,
}

/// All system calls in the trace, in the order in which they return.
fn parse_calls(trace: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut unfinished_calls: HashMap<&str, (usize, &str)> = HashMap::new();
    for (line_number, text) in trace.lines().enumerate() {
        let (thread, text) = text
            .split_once(' ')
            .expect("a line must begin with a thread id");
        let text = text.trim_start();
        if text.starts_with("+++") {
            continue;
        }
        if let Some(first_part) = text.strip_suffix(" <unfinished ...>") {
            unfinished_calls.insert(thread, (line_number, first_part));
            continue;
        }
        let (start_line, line_without_thread) = match text.strip_prefix("<... ") {
            Some(rest) => {
                let (start_line, first_part) = unfinished_calls
                    .remove(thread)
                    .expect("a resumed call must have an unfinished line");
                let (_, second_part) = rest
                    .split_once(" resumed>")
                    .expect("a resumed call must contain \" resumed>\"");
                (start_line, format!("{first_part}{second_part}"))
            }
            None => (line_number, text.to_owned()),
        };
        let parts = line_without_thread
            .split_once('(')
            .and_then(|(name, rest)| {
                let (arguments, result) = rest.rsplit_once(" = ")?;
                Some((name.to_owned(), arguments.trim_end().to_owned(), result))
            });
        let (name, arguments, result) =
            parts.unwrap_or_else(|| panic!("cannot parse this line: {line_without_thread}"));
        calls.push(Call {
            name,
            arguments,
            result: result.to_owned(),
            start_line,
            return_line: line_number,
        });
    }
    calls
}

impl Call {
    fn has_failed(&self) -> bool {
        !self
            .result
            .starts_with(|first: char| first.is_ascii_digit())
    }

    /// Appends the steps of this call, each with its line number. A change may take effect from the line where the call starts. A
    /// sync is complete at the line where the call returns.
    fn append_steps(&self, folder: &Path, steps: &mut Vec<(usize, Step)>) {
        let strings = quoted_strings(&self.arguments);
        let name = |n: usize| name_in(folder, &to_path(&strings[n]));
        let fd = first_descriptor(&self.arguments);
        let file = fd.and_then(|(_, path)| name_in(folder, &path));
        let mut push =
            |line_number: usize, operation| steps.push((line_number, Step::Disk(operation)));
        match (self.name.as_str(), &file) {
            (call, _) if call.starts_with("open") => {
                let flag = |flag: &str| self.arguments.contains(flag);
                if let (Some(name), false) = (name(0), self.has_failed()) {
                    let descriptor: String = self
                        .result
                        .chars()
                        .take_while(char::is_ascii_digit)
                        .collect();
                    let operation = Operation::Open {
                        fd: descriptor.parse().unwrap(),
                        name,
                        create: flag("O_CREAT"),
                        truncate: flag("O_TRUNC"),
                    };
                    assert!(!flag("O_APPEND"), "the simulated disk does not append");
                    push(self.start_line, operation);
                }
            }
            ("write", Some(_)) => {
                let bytes = strings[0].clone();
                assert_eq!(
                    self.result,
                    bytes.len().to_string(),
                    "the simulated disk does not support a partial write"
                );
                let fd = self.descriptor();
                push(self.start_line, Operation::Write { fd, bytes });
            }
            ("fsync" | "fdatasync", Some(_)) => {
                assert!(
                    !self.has_failed(),
                    "the simulated disk does not support a failed sync"
                );
                let fd = self.descriptor();
                push(self.start_line, Operation::SyncStart { fd });
                push(self.return_line, Operation::SyncEnd { fd });
            }
            ("rename" | "renameat" | "renameat2", _) => {
                if let (Some(from), Some(to), false) = (name(0), name(1), self.has_failed()) {
                    push(self.start_line, Operation::Rename { from, to });
                }
            }
            ("unlink" | "unlinkat", _) => {
                if let (Some(name), false) = (name(0), self.has_failed()) {
                    push(self.start_line, Operation::Unlink { name });
                }
            }
            ("write" | "writev" | "sendto" | "sendmsg", None) => {
                let newest = event_counts(&strings.concat()).max();
                steps.extend(newest.map(|count| (self.start_line, Step::Announced(count))));
            }
            _ => {
                let concerns_folder = file.is_some()
                    || strings
                        .iter()
                        .any(|text| name_in(folder, &to_path(text)).is_some());
                assert!(
                    !concerns_folder,
                    "the simulated disk does not support {self:?}"
                );
            }
        }
    }

    /// The file descriptor in the first argument.
    fn descriptor(&self) -> i32 {
        first_descriptor(&self.arguments)
            .expect("the first argument must be a file descriptor")
            .0
    }
}

/// The file descriptor in a call's first argument and its path, which strace -y appends: `9</path>`.
fn first_descriptor(arguments: &str) -> Option<(i32, PathBuf)> {
    let (descriptor, rest) = arguments.split_once('<')?;
    let (hex, _) = rest.split_once('>')?;
    Some((descriptor.parse().ok()?, to_path(&decode_hex(hex))))
}

fn to_path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(bytes).into_owned())
}

/// The name of the file `path` in `folder`. Empty for the folder itself, and `None` for a path outside of the folder.
fn name_in(folder: &Path, path: &Path) -> Option<String> {
    let name = path.strip_prefix(folder).ok()?.to_str()?;
    // The server looks for unfinished uploads at its start. The state does not depend on them.
    if Path::new(name).starts_with("state.json.uploads") {
        return None;
    }
    assert!(
        !name.contains('/'),
        "the simulated disk does not support a subfolder: {name}"
    );
    Some(name.to_owned())
}

/// The decoded string arguments of a call. With -xx, strace writes strings as hexadecimal bytes: `"\x61\x62"`.
fn quoted_strings(arguments: &str) -> Vec<Vec<u8>> {
    let mut parts = arguments.split('"');
    let mut strings = Vec::new();
    // The parts between quotation marks are alternately outside and inside of a string.
    while let (Some(_), Some(inside)) = (parts.next(), parts.next()) {
        strings.push(decode_hex(inside));
    }
    assert!(!arguments.contains("\"..."), "strace abbreviated a string");
    strings
}

fn decode_hex(text: &str) -> Vec<u8> {
    let bytes = text.split("\\x").skip(1);
    bytes
        .map(|hex| {
            u8::from_str_radix(&hex[..2], 16)
                .expect("\\x must be followed by two hexadecimal digits")
        })
        .collect()
}

/// Every value of `eventCount` or `expectedEventCount` in a sent message.
fn event_counts(message: &[u8]) -> impl Iterator<Item = u64> {
    let message = String::from_utf8_lossy(message).into_owned();
    let event_counts = message.split("ventCount\":").skip(1).map(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("eventCount must be an integer")
    });
    event_counts.collect::<Vec<_>>().into_iter()
}

#[test]
fn unfinished_and_resumed_lines_of_a_thread_become_one_call() {
    let trace = "\
        7 fsync(9<\\x2f\\x73\\x2f\\x61> <unfinished ...>\n\
        8 sendto(5<\\x73>, \"\\x65\\x76\\x65\\x6e\\x74\\x43\\x6f\\x75\\x6e\\x74\\x22\\x3a\\x31\\x32\\x7d\", 15, 0, NULL, 0) = 15\n\
        7 <... fsync resumed>) = 0\n\
        8 +++ exited with 0 +++\n";
    let mut steps = Vec::new();
    for call in parse_calls(trace) {
        call.append_steps(Path::new("/s"), &mut steps);
    }
    let disk = Step::Disk;
    let expected = [
        (0, disk(Operation::SyncStart { fd: 9 })),
        (2, disk(Operation::SyncEnd { fd: 9 })),
        (1, Step::Announced(12)),
    ];
    steps.sort_by_key(|(_, step)| matches!(step, Step::Announced(_)));
    assert_eq!(steps, expected);
}
