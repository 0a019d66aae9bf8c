//! `lockstep compare`: lets the phones of a running server chirp in turn, records them with this machine's microphone, and
//! sets the delays with which all of them sound at the same time.

mod chirps;
mod recorder;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use lockstep::clock;
use lockstep::comparison::{
    Lateness, SAME_CHIRP_INTERVAL_MS, chirp_turns, corrected_delays, measure_lateness,
};
use lockstep::room::MemberId;
use lockstep::wire::{ComparedPhone, ComparisonState};
use serde_json::json;

use crate::local_client::LocalServer;
use chirps::Chirps;
use recorder::Recorder;

/// The recorder passes on sound late. So the comparison waits this much longer than the sounds last.
const RECORDER_DELAY: Duration = Duration::from_secs(3);

/// A recording whose largest sample is below this is silence. Microphones always have some noise.
const SILENCE: f32 = 1e-4;

/// How often the phones chirp at most, until none is unsteady.
const MAX_TAKES: usize = 3;

const SILENT: &str = "the recording is silent, so nothing was changed: is the microphone muted, or another one to be used \
                      (--microphone)?";
const TOO_FEW_HEARD: &str = "fewer than two phones were heard clearly, so nothing was changed: turn the phones up, bring them closer \
                             to the microphone, and compare again";

/// The user's settings of a comparison.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// The name of the microphone, as the recorder calls it.
    pub(crate) microphone: Option<String>,
    /// Measure, and leave the delays as they are.
    pub(crate) dry_run: bool,
}

/// One recording of the chirps of all phones, and what was found in it.
struct Take {
    phones: Vec<ComparedPhone>,
    lateness: BTreeMap<MemberId, Lateness>,
    is_silent: bool,
}

impl Take {
    fn count(&self, is_counted: impl Fn(Lateness) -> bool) -> usize {
        let counted = self
            .lateness
            .values()
            .filter(|lateness| is_counted(**lateness));
        counted.count()
    }

    fn heard_count(&self) -> usize {
        self.count(|lateness| lateness.ms().is_some())
    }

    fn has_unsteady_phone(&self) -> bool {
        self.count(|lateness| lateness == Lateness::Unsteady) > 0
    }
}

/// Compares the phones, and prints what was found.
///
/// # Errors
/// A sentence for the user: nothing was changed.
pub(crate) fn run(sockets: &[PathBuf], options: &Options) -> Result<(), String> {
    let (server, state) = LocalServer::find::<ComparisonState>(sockets, "/compare")?;
    for phone in state.phones.iter().filter(|phone| phone.waits_for_tap) {
        print(&format!(
            "{} makes no sound until somebody taps its page, so it is left out.",
            name_of(phone)
        ));
    }
    chirps::stop_on_signal(server.clone())
        .map_err(|error| format!("signals cannot be received: {error}"))?;
    let mut take = record_take(&server, options)?;
    let first_phones = take.phones.clone();
    for _ in 1..MAX_TAKES {
        if !take.has_unsteady_phone() {
            break;
        }
        print("Not all chirps came in time: once more.");
        let next = record_take(&server, options)?;
        if next.heard_count() >= take.heard_count() {
            take = next;
        }
    }
    let state: ComparisonState = server.get("/compare").map_err(|error| error.to_string())?;
    let phones = with_earlier(&take.phones, &first_phones);
    print(&report(&phones, &take.lateness, &state));
    if take.heard_count() < 2 {
        return Err(if take.is_silent {
            SILENT
        } else {
            TOO_FEW_HEARD
        }
        .into());
    }
    if options.dry_run {
        return Ok(());
    }
    let delays = corrected_delays(&take.lateness, &delays_of(&take.phones));
    let is_left_out = |phone: &&ComparedPhone| {
        let lateness = take.lateness.get(&phone.member_id);
        lateness.is_some_and(|found| found.ms().is_some()) && !delays.contains_key(&phone.member_id)
    };
    for phone in take.phones.iter().filter(is_left_out) {
        print(&format!(
            "{} sounds too late for any delay, and is left out.",
            name_of(phone)
        ));
    }
    if delays.len() < 2 {
        return Err("the phones are too far apart for any delay; nothing was changed".into());
    }
    let _: serde_json::Value = server
        .post("/compare/result", &json!({ "delays": delays }))
        .map_err(|error| format!("the delays were not set: {error}"))?;
    print("The delays are set.");
    Ok(())
}

/// Records the chirps of all phones once.
fn record_take(server: &LocalServer, options: &Options) -> Result<Take, String> {
    let recorder = Recorder::start(options.microphone.as_deref())?;
    let (chirps, started) = Chirps::start(server).map_err(|error| error.to_string())?;
    let members: Vec<_> = started.phones.iter().map(|phone| phone.member_id).collect();
    let turns = chirp_turns(started.starts_at_ms, &members);
    let last_ms = turns.last().map_or(started.starts_at_ms, |turn| turn.at_ms);
    let end_ms = last_ms + SAME_CHIRP_INTERVAL_MS;
    print(&format!(
        "Quiet, please: {} phones chirp in turn for {:.0} seconds. {} records.",
        members.len(),
        (end_ms - clock::now_ms()) / 1e3,
        recorder.name()
    ));
    let recording = recorder.record_until(end_ms, RECORDER_DELAY)?;
    chirps.end();
    let samples = recording.samples.iter();
    Ok(Take {
        lateness: measure_lateness(&recording, &turns),
        phones: started.phones,
        is_silent: samples.fold(0.0, |level: f32, sample| level.max(sample.abs())) < SILENCE,
    })
}

/// `phones`, and those of `earlier` that are not among them: they chirped before the others had to chirp again.
fn with_earlier(phones: &[ComparedPhone], earlier: &[ComparedPhone]) -> Vec<ComparedPhone> {
    let is_new = |phone: &&ComparedPhone| {
        phones
            .iter()
            .all(|other| other.member_id != phone.member_id)
    };
    phones
        .iter()
        .chain(earlier.iter().filter(is_new))
        .cloned()
        .collect()
}

fn print(text: &str) {
    // The comparison is made even if the output is closed.
    let _ = writeln!(io::stdout(), "{}", text.trim_end());
}

fn name_of(phone: &ComparedPhone) -> String {
    if phone.name.is_empty() {
        format!("Phone {}", phone.member_id.0)
    } else {
        phone.name.clone()
    }
}

fn delays_of(phones: &[ComparedPhone]) -> BTreeMap<MemberId, f64> {
    let delay = |phone: &ComparedPhone| (phone.member_id, phone.delay_ms);
    phones.iter().map(delay).collect()
}

/// One line for each phone. `state` is that after the chirps.
fn report(
    phones: &[ComparedPhone],
    lateness: &BTreeMap<MemberId, Lateness>,
    state: &ComparisonState,
) -> String {
    let present: BTreeSet<_> = state.phones.iter().map(|phone| phone.member_id).collect();
    let mut text = String::new();
    for phone in phones {
        let found = match lateness.get(&phone.member_id) {
            // Adding 0.0 turns -0.0 into 0.0.
            Some(Lateness::Heard(late_ms)) => format!("heard {:.1} ms after the earliest", late_ms + 0.0),
            _ if !present.contains(&phone.member_id) => {
                "left during the comparison, so its delay is unchanged".into()
            }
            Some(Lateness::Unsteady) => {
                "was heard at different delays, so its delay is unchanged: close other apps on it, and compare again".into()
            }
            Some(Lateness::NotHeard) | None => {
                "was not heard, so its delay is unchanged: turn it up, or bring it closer to the microphone".into()
            }
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}: {found}", name_of(phone));
    }
    let chirped: BTreeSet<_> = phones.iter().map(|phone| phone.member_id).collect();
    let joined =
        |phone: &&ComparedPhone| !chirped.contains(&phone.member_id) && !phone.waits_for_tap;
    for phone in state.phones.iter().filter(joined) {
        let _ = writeln!(
            text,
            "{}: joined during the comparison, so compare again",
            name_of(phone)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phone(n: u32, name: &str) -> ComparedPhone {
        ComparedPhone {
            member_id: MemberId(n),
            name: name.into(),
            delay_ms: 0.0,
            waits_for_tap: false,
        }
    }

    #[test]
    fn report_names_phones_that_were_not_heard_left_or_joined() {
        let phones = [
            phone(1, "Ada"),
            phone(2, ""),
            phone(3, "Cleo"),
            phone(4, "Dan"),
            phone(6, "Fay"),
        ];
        use Lateness::{Heard, NotHeard, Unsteady};
        let lateness = [
            (1, Heard(-0.0)),
            (2, Heard(180.24)),
            (3, NotHeard),
            (4, NotHeard),
            (6, Unsteady),
        ];
        let lateness = lateness.map(|(n, late_ms)| (MemberId(n), late_ms)).into();
        let state = ComparisonState {
            is_playing: false,
            phones: vec![
                phone(1, "Ada"),
                phone(2, ""),
                phone(3, "Cleo"),
                phone(5, "Eve"),
                phone(6, "Fay"),
            ],
        };
        // Dan left before the last take.
        let phones = with_earlier(&[&phones[..3], &phones[4..]].concat(), &phones);
        let text = report(&phones, &lateness, &state);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "Ada: heard 0.0 ms after the earliest");
        assert_eq!(lines[1], "Phone 2: heard 180.2 ms after the earliest");
        assert!(lines[2].starts_with("Cleo: was not heard"), "{text}");
        assert!(lines[4].starts_with("Dan: left during"), "{text}");
        assert!(
            lines[3].starts_with("Fay: was heard at different delays"),
            "{text}"
        );
        assert!(lines[5].starts_with("Eve: joined during"), "{text}");
        assert_eq!(lines.len(), 6);
    }
}
