//! Records this machine's microphone with the recorder that is installed: a child process with raw samples on its standard
//! output.

use std::fs;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use lockstep::clock;
use lockstep::comparison::{Recording, RecordingBuilder};

const SAMPLE_RATE: u32 = 48_000;
/// Time within which a recorder must deliver its first samples. Opening a sound device takes up to a second.
const START_TIMEOUT: Duration = Duration::from_secs(4);
/// The largest block that is read at once: a twentieth of a second.
const BLOCK_BYTES: usize = 4_800;
/// The length of the part of a recorder's error output that a message quotes.
const MAX_QUOTED_CHARS: usize = 200;

const NONE_INSTALLED: &str = "no recorder is installed: install pw-record (PipeWire), parec (package pulseaudio-utils) or \
                              arecord (package alsa-utils)";

/// A program that can record, with its arguments.
#[derive(Debug, PartialEq)]
struct Candidate {
    program: &'static str,
    arguments: Vec<String>,
    /// Whether the program asks a sound server, which belongs to a user's session, instead of a device.
    needs_session: bool,
}

/// A block of the recorder's output, and when it arrived.
type Block = (Vec<u8>, f64);

/// A running recorder. Dropping it ends the process.
pub(crate) struct Recorder {
    program: &'static str,
    child: Child,
    blocks: Receiver<Block>,
    decoder: Decoder,
    builder: RecordingBuilder,
    sample_count: usize,
}

impl Recorder {
    /// Starts the first program that delivers samples.
    ///
    /// # Errors
    /// A sentence for the user: no program is installed, or why each one does not record.
    pub(crate) fn start(microphone: Option<&str>) -> Result<Self, String> {
        // Only ALSA has this file. Without it, ALSA's default device is the only one that is tried.
        let devices = fs::read_to_string("/proc/asound/pcm").unwrap_or_default();
        let mut reasons = Vec::new();
        for candidate in candidates(microphone, &devices) {
            match Recorder::start_candidate(&candidate) {
                Ok(recorder) => return Ok(recorder),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => reasons.push(format!("{}: {error}", candidate.program)),
            }
        }
        if reasons.is_empty() {
            return Err(NONE_INSTALLED.into());
        }
        reasons.dedup();
        Err(format!(
            "the microphone cannot be recorded ({})",
            reasons.join("; ")
        ))
    }

    fn start_candidate(candidate: &Candidate) -> io::Result<Self> {
        let mut command = Command::new(candidate.program);
        command
            .args(&candidate.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if candidate.needs_session && rustix::process::geteuid().is_root() {
            run_as_sudo_user(&mut command);
        }
        let mut child = command.spawn()?;
        let output = child.stdout.take();
        let (sender, blocks) = mpsc::channel();
        thread::spawn(move || forward_blocks(output, &sender));
        let mut recorder = Recorder {
            program: candidate.program,
            child,
            blocks,
            decoder: Decoder::default(),
            builder: RecordingBuilder::new(SAMPLE_RATE.into()),
            sample_count: 0,
        };
        recorder.receive(START_TIMEOUT)?;
        Ok(recorder)
    }

    /// The name of the program.
    pub(crate) fn name(&self) -> &'static str {
        self.program
    }

    /// Records until the recording contains the sound of `end_ms` of the server's clock. A recorder that is more than
    /// `max_delay` late has lost samples, and the recording ends then.
    ///
    /// # Errors
    /// A sentence for the user: the recorder ended.
    pub(crate) fn record_until(
        mut self,
        end_ms: f64,
        max_delay: Duration,
    ) -> Result<Recording, String> {
        let deadline_ms = end_ms + max_delay.as_secs_f64() * 1e3;
        let from_ms = clock::now_ms();
        let samples_before = self.sample_count;
        let needed = (end_ms - from_ms).max(0.0) / 1e3 * f64::from(SAMPLE_RATE);
        while clock::now_ms() < deadline_ms {
            let is_complete =
                clock::now_ms() >= end_ms && (self.sample_count - samples_before) as f64 >= needed;
            if is_complete {
                break;
            }
            match self.receive(max_delay) {
                Ok(()) => {}
                // Without new samples, what has been recorded is evaluated: it may contain most chirps.
                Err(error) if error.kind() == io::ErrorKind::TimedOut => break,
                Err(error) => {
                    return Err(format!(
                        "the recording was interrupted ({}: {error})",
                        self.program
                    ));
                }
            }
        }
        Ok(std::mem::replace(&mut self.builder, RecordingBuilder::new(1.0)).finish())
    }

    /// Waits for one block of samples.
    fn receive(&mut self, timeout: Duration) -> io::Result<()> {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.blocks.recv_timeout(left) {
                Ok((bytes, arrived_at_ms)) => {
                    let samples = self.decoder.decode(&bytes);
                    if !samples.is_empty() {
                        self.sample_count += samples.len();
                        self.builder.push(&samples, arrived_at_ms);
                        return Ok(());
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    return Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        "it delivers no sound",
                    ));
                }
                Err(RecvTimeoutError::Disconnected) => return Err(self.exit_reason()),
            }
        }
    }

    /// Why the recorder has ended: the last line of its error output.
    fn exit_reason(&mut self) -> io::Error {
        let mut output = String::new();
        // The process has closed its standard output, so it has ended, or is about to.
        let _ = self.child.kill();
        if let Some(stderr) = self.child.stderr.take() {
            // What cannot be read is not quoted.
            let _ = stderr.take(64 << 10).read_to_string(&mut output);
        }
        let last_line = output.lines().rfind(|line| !line.trim().is_empty());
        let quoted: String = last_line
            .unwrap_or("it ended")
            .trim()
            .chars()
            .take(MAX_QUOTED_CHARS)
            .collect();
        io::Error::other(quoted)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // Fails only if the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads the recorder's output until it ends.
fn forward_blocks(output: Option<impl Read>, sender: &mpsc::Sender<Block>) {
    let Some(mut output) = output else { return };
    let mut buffer = [0; BLOCK_BYTES];
    loop {
        match output.read(&mut buffer) {
            Ok(count) if count > 0 => {
                let block = (buffer[..count].to_vec(), clock::now_ms());
                if sender.send(block).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => return,
        }
    }
}

/// Under `sudo`, the sound server is that of the user who called `sudo`, and it refuses root.
fn run_as_sudo_user(command: &mut Command) {
    let id = |name: &str| std::env::var(name).ok()?.parse::<u32>().ok();
    let (Some(user), Some(group)) = (id("SUDO_UID"), id("SUDO_GID")) else {
        return;
    };
    command
        .uid(user)
        .gid(group)
        .env("XDG_RUNTIME_DIR", format!("/run/user/{user}"))
        // Root's home folder, which libpulse could not read.
        .env_remove("HOME");
}

/// The programs to try, in this order. `microphone` is the name of the device, `devices` the content of `/proc/asound/pcm`.
fn candidates(microphone: Option<&str>, devices: &str) -> Vec<Candidate> {
    let rate = format!("--rate={SAMPLE_RATE}");
    let candidate =
        |program, needs_session, flags: &[&str], device: Option<String>, last: Option<&str>| {
            let flags = flags.iter().map(|flag| (*flag).to_owned());
            let arguments = flags
                .chain([rate.clone(), "--channels=1".into()])
                .chain(device)
                .chain(last.map(str::to_owned));
            Candidate {
                program,
                arguments: arguments.collect(),
                needs_session,
            }
        };
    let device = |flag: &str, name: Option<&str>| name.map(|name| format!("--{flag}={name}"));
    let arecord = |name: Option<&str>| {
        let flags = ["--quiet", "--file-type=raw", "--format=S16_LE"];
        candidate("arecord", false, &flags, device("device", name), None)
    };
    let pw_record = ["--format=s16", "--latency=20ms"];
    let parec = ["--raw", "--format=s16le", "--latency-msec=20"];
    let mut candidates = vec![
        candidate(
            "pw-record",
            true,
            &pw_record,
            device("target", microphone),
            Some("-"),
        ),
        candidate("parec", true, &parec, device("device", microphone), None),
        arecord(microphone),
    ];
    if microphone.is_none() {
        // ALSA's default is often a card that cannot record: on a Raspberry Pi, the HDMI output.
        let names = capture_devices(devices);
        candidates.extend(names.iter().map(|name| arecord(Some(name))));
    }
    candidates
}

/// The names of the ALSA devices that can record. Lines look like `01-00: USB Audio : USB Audio : playback 1 : capture 1`.
fn capture_devices(devices: &str) -> Vec<String> {
    let name = |line: &str| {
        let (numbers, rest) = line.split_once(':')?;
        let (card, device) = numbers.split_once('-')?;
        let (card, device): (u32, u32) = (card.parse().ok()?, device.parse().ok()?);
        rest.contains(": capture")
            .then(|| format!("plughw:{card},{device}"))
    };
    devices.lines().filter_map(name).collect()
}

/// Converts the recorder's output to samples. `pw-record` writes raw samples up to PipeWire 1.4, and later an AU file, whose
/// samples are big-endian.
#[derive(Debug, Default)]
struct Decoder {
    pending: Vec<u8>,
    /// `None` until the first bytes have arrived.
    is_big_endian: Option<bool>,
}

const AU_MAGIC: &[u8] = b".snd";
/// The header's field with the offset of the samples.
const AU_OFFSET: std::ops::Range<usize> = 4..8;

impl Decoder {
    fn decode(&mut self, bytes: &[u8]) -> Vec<f32> {
        self.pending.extend_from_slice(bytes);
        if self.is_big_endian.is_none() && !self.skip_header() {
            return Vec::new();
        }
        let is_big_endian = self.is_big_endian == Some(true);
        let pairs = self.pending.chunks_exact(2);
        let sample = |pair: &[u8]| {
            let pair = [pair[0], pair[1]];
            let value = if is_big_endian {
                i16::from_be_bytes(pair)
            } else {
                i16::from_le_bytes(pair)
            };
            f32::from(value) / 32_768.0
        };
        let samples: Vec<f32> = pairs.map(sample).collect();
        self.pending.drain(..2 * samples.len());
        samples
    }

    /// Removes the header of an AU file. Returns whether samples can be decoded.
    fn skip_header(&mut self) -> bool {
        let Some(magic) = self.pending.get(..AU_MAGIC.len()) else {
            return false;
        };
        if magic != AU_MAGIC {
            self.is_big_endian = Some(false);
            return true;
        }
        let Some(&[a, b, c, d]) = self.pending.get(AU_OFFSET) else {
            return false;
        };
        let offset = u32::from_be_bytes([a, b, c, d]) as usize;
        if self.pending.len() < offset {
            return false;
        }
        self.pending.drain(..offset);
        self.is_big_endian = Some(true);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_raw_samples_and_au_files_in_pieces_of_any_size() {
        let au: &[u8] =
            b".snd\0\0\0\x1c\xff\xff\xff\xff\0\0\0\x03\0\0\xbb\x80\0\0\0\x01\0\0\0\0\x40\0\xc0\0";
        let raw: &[u8] = &[0, 0x40, 0, 0xc0, 1, 2];
        for (bytes, first) in [(au, [0.5, -0.5]), (raw, [0.5, -0.5])] {
            for size in [1, 3, bytes.len()] {
                let mut decoder = Decoder::default();
                let pieces = bytes.chunks(size);
                let samples: Vec<f32> = pieces.flat_map(|piece| decoder.decode(piece)).collect();
                assert_eq!(samples[..2], first, "{size}");
            }
        }
    }

    #[test]
    fn finds_the_devices_that_can_record() {
        let devices = "00-00: MAI PCM i2s-hifi-0 : MAI PCM : playback 1\n\
                       01-00: USB Audio : USB Audio : playback 1 : capture 1\nnonsense\n02-03: Mic : Mic : capture 2\n";
        assert_eq!(capture_devices(devices), ["plughw:1,0", "plughw:2,3"]);
    }

    #[test]
    fn named_microphone_is_passed_to_every_recorder() {
        let named = candidates(Some("desk"), "01-00: USB : USB : capture 1\n");
        let devices: Vec<_> = named
            .iter()
            .flat_map(|candidate| &candidate.arguments)
            .filter(|argument| argument.ends_with("=desk"))
            .collect();
        assert_eq!(devices, ["--target=desk", "--device=desk", "--device=desk"]);
        assert_eq!(candidates(None, "01-00: USB : USB : capture 1\n").len(), 4);
    }
}
