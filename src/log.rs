//! The log on standard error. Each line begins with the time and the level. If standard error is connected to the systemd
//! journal, which itself records the time, each line begins with a syslog priority prefix instead (sd-daemon(3)). The
//! environment variable `LOCKSTEP_LOG` sets the level.

use std::fmt;
use std::io::{self, IsTerminal};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::terminal::{self, ScanProgressBar};

/// Installs the global logger, which writes its lines above `progress_bar`.
pub(crate) fn init(progress_bar: ScanProgressBar) {
    let variable = std::env::var("LOCKSTEP_LOG").unwrap_or_default();
    let (filter, error) = match parse_filter(&variable) {
        Ok(filter) => (filter, None),
        Err(error) => (default_filter(), Some(error)),
    };
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(progress_bar)
        .with_target(false);
    let registry = tracing_subscriber::registry().with(filter);
    if stderr_is_journal() {
        let format = Format::default().without_time().with_level(false);
        let format = PriorityPrefix(format.with_target(false));
        registry
            .with(layer.with_ansi(false).event_format(format))
            .init();
    } else {
        let use_colours = io::stderr().is_terminal() && !terminal::are_colours_disabled();
        registry.with(layer.with_ansi(use_colours)).init();
    }
    if let Some(error) = error {
        tracing::warn!("ignoring LOCKSTEP_LOG={variable:?}: {error}");
    }
}

/// Parses a level, such as `debug`, or levels for modules, such as `lockstep=debug,lockstep::hub=trace`. The default is
/// `info`.
fn parse_filter(variable: &str) -> Result<Targets, ParseError> {
    match variable.trim() {
        "" => Ok(default_filter()),
        directives => directives.parse(),
    }
}

fn default_filter() -> Targets {
    Targets::new().with_default(LevelFilter::INFO)
}

/// Prints the error that ends the process.
pub(crate) fn print_error(error: &dyn fmt::Display) {
    let prefix = if stderr_is_journal() {
        format!("<{}>", priority(Level::ERROR))
    } else {
        String::new()
    };
    eprintln!("{prefix}lockstep: {error}");
}

/// Whether standard error is the stream to the journal that systemd has opened: the device and inode numbers in
/// `JOURNAL_STREAM` are those of standard error, unless it was redirected later (systemd.exec(5)).
fn stderr_is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    rustix::fs::fstat(io::stderr())
        .is_ok_and(|stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// Formats log lines with a syslog priority prefix.
struct PriorityPrefix(Format<Full, ()>);

impl<S, N> FormatEvent<S, N> for PriorityPrefix
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

/// The syslog severity (RFC 5424, 6.2.1).
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_a_level_for_all_modules_or_for_single_modules() {
        for (variable, target, level, is_enabled) in [
            ("", "lockstep::hub", Level::INFO, true),
            ("", "lockstep::hub", Level::DEBUG, false),
            ("debug", "lockstep::hub", Level::DEBUG, true),
            ("DEBUG", "mdns_sd", Level::DEBUG, true),
            ("lockstep=debug", "lockstep::hub", Level::DEBUG, true),
            ("lockstep=debug", "lockstep::hub", Level::TRACE, false),
            ("lockstep=debug", "mdns_sd", Level::ERROR, false),
            (
                "warn,lockstep::hub=trace",
                "lockstep::hub",
                Level::TRACE,
                true,
            ),
            (
                "warn,lockstep::hub=trace",
                "lockstep::http",
                Level::INFO,
                false,
            ),
            ("off", "lockstep", Level::ERROR, false),
        ] {
            let filter = parse_filter(variable).unwrap();
            let enables = filter.would_enable(target, &level);
            assert_eq!(enables, is_enabled, "{variable:?} {target} {level}");
        }
        assert!(parse_filter("lockstep=loud").is_err());
    }
}
