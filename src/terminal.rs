//! Terminal output: the welcome text with the QR code, and the progress bar of a long scan.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lockstep::StartupInfo;
use lockstep::address::{self, AlternativeUrl};
use lockstep::library::ScanProgress;
use tracing_subscriber::fmt::MakeWriter;

/// Prints the URLs of the server, its QR code, the pairing code and the number of tracks.
///
/// # Errors
/// Errors of writing to `out`.
pub(crate) fn print_welcome(info: &StartupInfo, out: &mut impl Write) -> io::Result<()> {
    let StartupInfo {
        http_address,
        url,
        code,
        track_count,
        is_index_complete,
        secure_url,
        base_path,
        ..
    } = info;
    let use_colours = io::stdout().is_terminal() && !are_colours_disabled();
    writeln!(out)?;
    if let Some(qr) = address::terminal_qr(url, use_colours) {
        writeln!(out, "{qr}")?;
    }
    writeln!(
        out,
        "  On a phone in the same network, scan this code or open  {url}"
    )?;
    for AlternativeUrl { url, interface } in address::alternative_urls(*http_address) {
        let url = base_path.url(&url);
        writeln!(out, "  or, through {interface},  {url}")?;
    }
    if let Some(secure_url) = secure_url {
        writeln!(out, "  Secure page  {secure_url}")?;
    }
    writeln!(out, "  Pairing code  {code}")?;
    let noun = if *track_count == 1 { "track" } else { "tracks" };
    let suffix = if *is_index_complete {
        ""
    } else {
        " so far; the scan continues"
    };
    writeln!(out, "  {track_count} {noun}{suffix}")?;
    writeln!(out)?;
    // The last line has a fixed form, from which scripts can read the port.
    writeln!(
        out,
        "listening on http://{}",
        address::reachable(*http_address)
    )?;
    out.flush()
}

/// Whether the user has disabled colours (<https://no-color.org>).
pub(crate) fn are_colours_disabled() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// Minimum number of files of a scan whose progress is shown. A scan of fewer files takes less than a second.
const MIN_SHOWN_FILES: usize = 100;
/// Maximum number of progress lines in the log for each scan. These lines replace the progress bar if standard error is not
/// a terminal.
const MAX_LOG_LINES: usize = 10;

/// The progress bar of a scan. Also the writer of the log, so that log lines appear above the bar.
#[derive(Debug, Clone)]
pub(crate) struct ScanProgressBar {
    bar: ProgressBar,
    /// The number of the last progress line in the log, from 1 to [`MAX_LOG_LINES`] - 1, or 0 before the first line of a
    /// scan. The last line of a scan is stored as 0, so that the next scan starts again with line 1.
    last_log_line: Arc<AtomicUsize>,
}

impl Default for ScanProgressBar {
    fn default() -> Self {
        let style =
            ProgressStyle::with_template("  scanning the music  {bar:30} {pos} of {len} files");
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::hidden());
        ScanProgressBar {
            bar: bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())),
            last_log_line: Arc::default(),
        }
    }
}

impl ScanProgressBar {
    /// Shows the progress; hides the bar when the scan is complete.
    pub(crate) fn show(&self, progress: ScanProgress) {
        let ScanProgress { read, total } = progress;
        if total < MIN_SHOWN_FILES {
            return;
        }
        if !io::stderr().is_terminal() {
            let line = read * MAX_LOG_LINES / total;
            if self
                .last_log_line
                .swap(line % MAX_LOG_LINES, Ordering::Relaxed)
                != line
            {
                tracing::info!("scanned {read} of {total} files");
            }
            return;
        }
        if self.bar.is_hidden() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_length(total as u64);
        self.bar.set_position(read as u64);
        if read == total {
            self.bar.finish_and_clear();
            self.bar.reset();
            self.bar.set_draw_target(ProgressDrawTarget::hidden());
        }
    }
}

/// Writes log lines to standard error, above the progress bar.
pub(crate) struct LogWriter(ProgressBar);

impl<'a> MakeWriter<'a> for ScanProgressBar {
    type Writer = LogWriter;

    fn make_writer(&'a self) -> LogWriter {
        LogWriter(self.bar.clone())
    }
}

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
