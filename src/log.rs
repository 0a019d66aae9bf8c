//! The log, on standard error: lines with a time and a level, or, where the journal reads them, with the priority that it
//! files them by (sd-daemon(3)). It has a time of its own.

use std::fmt;
use std::io::{self, IsTerminal};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::terminal::{self, Bar};

/// From here on everything is logged, above `bar`.
pub(crate) fn begin(bar: Bar) {
    let filter = EnvFilter::builder()
        .with_default_directive(Level::INFO.into())
        .with_env_var("LOCKSTEP_LOG")
        .from_env_lossy();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(bar)
        .with_target(false);
    if read_by_the_journal() {
        let plain = Format::default().without_time().with_level(false);
        let plain = plain.with_target(false);
        log.with_ansi(false).event_format(Filed(plain)).init();
    } else {
        let colours = io::stderr().is_terminal() && !terminal::plain();
        log.with_ansi(colours).init();
    }
}

/// Says why the program ends.
pub(crate) fn failure(why: &dyn fmt::Display) {
    let priority = if read_by_the_journal() {
        format!("<{}>", priority(Level::ERROR))
    } else {
        String::new()
    };
    eprintln!("{priority}lockstep: {why}");
}

/// Whether standard error is the stream to the journal that systemd speaks of, and not one that replaced it
/// (systemd.exec(5), `JOURNAL_STREAM`).
fn read_by_the_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    rustix::fs::fstat(io::stderr())
        .is_ok_and(|stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// Lines that begin with their priority.
struct Filed(Format<Full, ()>);

impl<S, N> FormatEvent<S, N> for Filed
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write!(writer, "<{}>", priority(*event.metadata().level()))?;
        self.0.format_event(context, writer, event)
    }
}

/// As syslog has it (RFC 5424, 6.2.1).
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}
