//! What the crowd found, as Markdown.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::Plan;
use super::ledger::{Book, UNANSWERED};

/// What the crowd found.
#[derive(Debug)]
pub(crate) struct Report {
    text: String,
    accepted: u64,
    breaches: u64,
}

impl Report {
    /// How many commands were accepted.
    pub(crate) fn accepted(&self) -> u64 {
        self.accepted
    }

    /// How often the server broke a promise.
    pub(crate) fn breaches(&self) -> u64 {
        self.breaches
    }

    pub(super) fn of(book: &Book, plan: &Plan) -> Report {
        let accepted =
            |(status, times): (&u16, &u64)| (200..300).contains(status).then_some(*times);
        Report {
            text: Text { book, plan }.to_string(),
            accepted: book.answers.values().flatten().filter_map(accepted).sum(),
            breaches: book.promises.breaches(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

struct Text<'a> {
    book: &'a Book,
    plan: &'a Plan,
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan {
            phones,
            length,
            seed,
            ..
        } = self.plan;
        writeln!(f, "{phones} phones, {} s, seed {seed}\n", length.as_secs())?;
        self.commands(f)?;
        self.delivery(f)?;
        self.barriers(f)?;
        self.deeds(f)?;
        self.promises(f)
    }
}

impl Text<'_> {
    fn commands(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answers = &self.book.answers;
        let statuses: BTreeSet<u16> = answers.values().flat_map(|by| by.keys().copied()).collect();
        let (yes, no): (Vec<_>, Vec<_>) =
            statuses.into_iter().partition(|s| (200..300).contains(s));
        let head = |status: &u16| match *status {
            UNANSWERED => " connection lost |".to_owned(),
            status => format!(" {status} |"),
        };
        writeln!(
            f,
            "| command | accepted |{}",
            no.iter().map(head).collect::<String>()
        )?;
        writeln!(f, "| --- | ---: |{}", " ---: |".repeat(no.len()))?;
        for (name, by) in answers {
            let times = |status: &u16| by.get(status).copied().unwrap_or_default();
            let accepted: u64 = yes.iter().map(times).sum();
            let refused: String = no.iter().map(|s| format!(" {} |", times(s))).collect();
            writeln!(f, "| {name} | {accepted} |{refused}")?;
        }
        writeln!(f)
    }

    fn delivery(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = self.book.devices.delivery_times();
        writeln!(
            f,
            "| from a command's sending to every phone | buttons | p50 | p99 | max |"
        )?;
        writeln!(f, "| --- | ---: | ---: | ---: | ---: |")?;
        let at = |share: f64| {
            let rank = (times.len() as f64 * share).ceil() as usize;
            let time = times
                .get(rank.max(1) - 1)
                .copied()
                .unwrap_or(Duration::ZERO);
            format!("{:.1} ms", time.as_secs_f64() * 1e3)
        };
        writeln!(
            f,
            "| | {} | {} | {} | {} |\n",
            times.len(),
            at(0.5),
            at(0.99),
            at(1.0)
        )
    }

    fn barriers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waits = &self.book.waits;
        writeln!(f, "| barriers | {} |", waits.opened)?;
        writeln!(f, "| --- | ---: |")?;
        for (how, times) in &waits.ended {
            writeln!(f, "| {how} | {times} |")?;
        }
        writeln!(f, "| still open | {} |", u8::from(waits.is_open()))?;
        for (reason, times) in &waits.shrunk {
            writeln!(f, "| members taken out: {reason} | {times} |")?;
        }
        writeln!(f, "| longest | {:.1} s |\n", waits.longest.as_secs_f64())
    }

    fn deeds(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| phones | |")?;
        writeln!(f, "| --- | ---: |")?;
        for (deed, times) in &self.book.deeds {
            writeln!(f, "| {deed} | {times} |")?;
        }
        writeln!(
            f,
            "| downloaded, MB | {:.1} |\n",
            self.book.bytes as f64 / 1e6
        )
    }

    fn promises(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let promises = &self.book.promises;
        writeln!(f, "| promise | checked | broken |")?;
        writeln!(f, "| --- | ---: | ---: |")?;
        for (words, checked, broken) in promises.rows() {
            writeln!(f, "| {words} | {checked} | {broken} |")?;
        }
        if promises.breaches() > 0 {
            writeln!(f, "\nThe first breaches:\n")?;
        }
        for breach in promises.spelled_out() {
            writeln!(f, "- {breach}")?;
        }
        Ok(())
    }
}
