//! What a host sees: the greeting, the log, and a bar while a large library is read.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lockstep::Welcome;
use lockstep::address::{self, Other};
use lockstep::library::Progress;
use tracing_subscriber::fmt::MakeWriter;

/// Says how phones get here.
///
/// # Errors
/// What the system said when nobody can be told.
pub(crate) fn greet(welcome: &Welcome, out: &mut impl Write) -> io::Result<()> {
    let Welcome {
        local,
        url,
        code,
        tracks,
        whole,
        secure_url,
        ..
    } = welcome;
    let colours = io::stdout().is_terminal() && !plain();
    writeln!(out)?;
    if let Some(qr) = address::terminal_qr(url, colours) {
        writeln!(out, "{qr}")?;
    }
    writeln!(
        out,
        "  On a phone in the same network, scan this or open  {url}"
    )?;
    for Other { url, interface } in address::others(*local) {
        writeln!(out, "  or, by way of {interface},  {url}")?;
    }
    if let Some(secure_url) = secure_url {
        writeln!(out, "  The secure page  {secure_url}")?;
    }
    writeln!(out, "  Pairing code  {code}")?;
    let unit = if *tracks == 1 { "track" } else { "tracks" };
    let more = if *whole {
        ""
    } else {
        ", and more as they are found"
    };
    writeln!(out, "  {tracks} {unit}{more}")?;
    writeln!(out)?;
    // For scripts, which are to find the port there whichever it is.
    writeln!(out, "listening on http://{}", address::reachable(*local))?;
    out.flush()
}

/// Whether the host asked for no colours (<https://no-color.org>).
pub(crate) fn plain() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// Fewer files are read before anybody could see it.
const WORTH_TELLING: usize = 100;
/// Where there is no bar, so many lines of the log stand in for it.
const LINES: usize = 10;

/// The bar, and a way to log above it.
#[derive(Debug, Clone)]
pub(crate) struct Bar {
    bar: ProgressBar,
    /// The line of the log that was written last.
    line: Arc<AtomicUsize>,
}

impl Default for Bar {
    fn default() -> Self {
        let style =
            ProgressStyle::with_template("  reading the music  {bar:30} {pos} of {len} files");
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::hidden());
        Bar {
            bar: bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())),
            line: Arc::default(),
        }
    }
}

impl Bar {
    /// How far a scan is; the bar goes when it is over.
    pub(crate) fn show(&self, progress: Progress) {
        let Progress { read, total } = progress;
        if total < WORTH_TELLING {
            return;
        }
        if !io::stderr().is_terminal() {
            let line = read * LINES / total;
            if self.line.swap(line % LINES, Ordering::Relaxed) != line {
                tracing::info!("read {read} of {total} files");
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

/// Writes to the log, above the bar.
pub(crate) struct AboveBar(ProgressBar);

impl<'a> MakeWriter<'a> for Bar {
    type Writer = AboveBar;

    fn make_writer(&'a self) -> AboveBar {
        AboveBar(self.bar.clone())
    }
}

impl Write for AboveBar {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
