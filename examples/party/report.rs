//! The results of a run as Markdown, and the state of a run in one line of text.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::Plan;
use super::recorder::{CONNECTION_LOST, Records};

/// The results of a run.
#[derive(Debug)]
pub(crate) struct Report {
    markdown: String,
    accepted: u64,
    violations: u64,
    ended_uploads: Vec<String>,
}

impl Report {
    pub(super) fn new(records: &Records, plan: &Plan) -> Report {
        let accepted =
            |(status, count): (&u16, &u64)| (200..300).contains(status).then_some(*count);
        Report {
            markdown: Markdown { records, plan }.to_string(),
            accepted: records
                .responses
                .values()
                .flatten()
                .filter_map(accepted)
                .sum(),
            violations: records.checks.violations(),
            ended_uploads: records.uploads.ended.clone(),
        }
    }

    /// The ids of the uploads that were cancelled or refused, of which nothing may be left.
    pub(crate) fn ended_uploads(&self) -> &[String] {
        &self.ended_uploads
    }

    /// The number of accepted commands.
    pub(crate) fn accepted(&self) -> u64 {
        self.accepted
    }

    /// The number of violations of invariants.
    pub(crate) fn violations(&self) -> u64 {
        self.violations
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.markdown)
    }
}

struct Markdown<'a> {
    records: &'a Records,
    plan: &'a Plan,
}

impl fmt::Display for Markdown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan {
            phones,
            length,
            seed,
            ..
        } = self.plan;
        writeln!(f, "{phones} phones, {} s, seed {seed}\n", length.as_secs())?;
        self.responses(f)?;
        self.delivery_times(f)?;
        self.barriers(f)?;
        self.actions(f)?;
        self.invariants(f)
    }
}

impl Markdown<'_> {
    fn responses(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let responses = &self.records.responses;
        let statuses = responses.values().flat_map(|counts| counts.keys().copied());
        let statuses: BTreeSet<u16> = statuses.collect();
        let (accepted, refused): (Vec<_>, Vec<_>) = statuses
            .into_iter()
            .partition(|status| (200..300).contains(status));
        let heading = |status: &u16| match *status {
            CONNECTION_LOST => " connection lost |".to_owned(),
            status => format!(" {status} |"),
        };
        let headings: String = refused.iter().map(heading).collect();
        writeln!(f, "| command | accepted |{headings}")?;
        writeln!(f, "| --- | ---: |{}", " ---: |".repeat(refused.len()))?;
        for (name, counts) in responses {
            let count = |status: &u16| counts.get(status).copied().unwrap_or_default();
            let accepted: u64 = accepted.iter().map(count).sum();
            let cell = |status| format!(" {} |", count(status));
            let refused: String = refused.iter().map(cell).collect();
            writeln!(f, "| {name} | {accepted} |{refused}")?;
        }
        writeln!(f)
    }

    fn delivery_times(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut response_times = self.records.response_times.clone();
        response_times.sort();
        let quantile = |times: &[Duration], share: f64| {
            let rank = (times.len() as f64 * share).ceil() as usize;
            let time = times.get(rank.max(1) - 1).copied().unwrap_or_default();
            format!("{:.1} ms", time.as_secs_f64() * 1e3)
        };
        writeln!(
            f,
            "| from sending a command until | commands | p50 | p99 | max |\n| --- | ---: | ---: | ---: | ---: |"
        )?;
        for (what, times) in [
            ("its response, except votes", response_times),
            (
                "every phone has received its event",
                self.records.devices.delivery_times(),
            ),
        ] {
            writeln!(
                f,
                "| {what} | {} | {} | {} | {} |",
                times.len(),
                quantile(&times, 0.5),
                quantile(&times, 0.99),
                quantile(&times, 1.0)
            )?;
        }
        writeln!(f)
    }

    fn barriers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waits = &self.records.barrier_waits;
        writeln!(f, "| barriers | {} |", waits.opened)?;
        writeln!(f, "| --- | ---: |")?;
        for (how, count) in &waits.ended {
            writeln!(f, "| {how} | {count} |")?;
        }
        writeln!(f, "| still open | {} |", u8::from(waits.is_open()))?;
        for (reason, count) in &waits.removed {
            writeln!(f, "| members removed: {reason} | {count} |")?;
        }
        writeln!(f, "| longest | {:.1} s |\n", waits.longest.as_secs_f64())
    }

    fn actions(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| phones | |")?;
        writeln!(f, "| --- | ---: |")?;
        for (action, count) in &self.records.actions {
            writeln!(f, "| {action} | {count} |")?;
        }
        writeln!(
            f,
            "| downloaded, MB | {:.1} |\n",
            self.records.bytes as f64 / 1e6
        )
    }

    fn invariants(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let checks = &self.records.checks;
        writeln!(f, "| invariant | checked | violated |")?;
        writeln!(f, "| --- | ---: | ---: |")?;
        for (description, checked, violated) in checks.rows() {
            writeln!(f, "| {description} | {checked} | {violated} |")?;
        }
        if checks.violations() > 0 {
            writeln!(f, "\nThe first violations:\n")?;
        }
        for violation in checks.descriptions() {
            writeln!(f, "- {violation}")?;
        }
        Ok(())
    }
}

/// The state of a run, in one line.
#[derive(Debug, Clone)]
pub(crate) struct Status {
    pub(super) elapsed: Duration,
    /// Phones with an event stream.
    pub(super) streaming: usize,
    pub(super) phones: usize,
    pub(super) event_count: u64,
    pub(super) accepted: u64,
    pub(super) refused: u64,
    /// The open barrier's number of missing members, number of members, and age.
    pub(super) barrier: Option<(usize, usize, Duration)>,
    pub(super) bytes: u64,
    pub(super) violations: u64,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:4} s  {}/{} listening  event {}  {} accepted, {} refused  {} MB  ",
            self.elapsed.as_secs(),
            self.streaming,
            self.phones,
            self.event_count,
            self.accepted,
            self.refused,
            self.bytes / 1_000_000,
        )?;
        match self.barrier {
            Some((missing, members, age)) => write!(
                f,
                "waiting for {missing} of {members} members for {} s",
                age.as_secs()
            )?,
            None => write!(f, "no barrier")?,
        }
        write!(f, "  {} violations", self.violations)
    }
}
