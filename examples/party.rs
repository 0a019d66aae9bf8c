//! A load test with synthetic phones: `cargo run --release --example party -- --phones 50 --minutes 5`.
//!
//! Prints its status while it runs, then a report as Markdown. The exit code is 0 if every invariant holds, 1 if the server
//! violated one, and 2 if the server could not be used at all. `party/simulation.rs` runs the phones and the checks.

#[path = "../tests/common/client/mod.rs"]
pub mod client;
#[path = "common/executable.rs"]
mod executable;
#[path = "party/rooms.rs"]
mod rooms;
#[path = "party/server.rs"]
mod server;
#[path = "../tests/common/server_process.rs"]
pub mod server_process;
#[path = "party/simulation.rs"]
mod simulation;

use std::cell::Cell;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use futures_util::future::try_join_all;

use server::Server;
use simulation::{Plan, Report, Status};

/// The interval of the status lines if standard error is not a terminal.
const STATUS_INTERVAL: Duration = Duration::from_secs(5);

/// Runs synthetic phones against a server, and checks that the server keeps the protocol's invariants.
#[derive(Debug, Parser)]
#[command(max_term_width = 100)]
pub(crate) struct Args {
    /// Number of phones
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    phones: u32,

    /// Number of rooms over which the phones are spread. With more than one, the program starts the server itself
    #[arg(long, default_value_t = 1, conflicts_with = "url", value_parser = clap::value_parser!(u32).range(1..=16))]
    rooms: u32,

    /// Duration in minutes, not counting the final checks
    #[arg(long, default_value_t = 5.0, value_parser = minutes)]
    minutes: f64,

    /// How often each phone votes, on average. With 0, no phone votes, and the house rules do not change
    #[arg(long, value_name = "COUNT", default_value_t = 6)]
    votes_per_minute: u32,

    /// Seed of the phones' random choices [default: random; the report contains it]
    #[arg(long)]
    seed: Option<u64>,

    /// Folder with the audio files for the server that this program starts
    #[arg(long, value_name = "FOLDER", default_value = "./audio")]
    audio_dir: PathBuf,

    /// URL of a running server; without this option, the program starts a server
    #[arg(long, requires = "code")]
    url: Option<String>,

    /// Pairing code of the running server
    #[arg(long, requires = "url")]
    code: Option<String>,

    /// How often each phone sends a chat message, on average; it reacts six times as often. With 0, no phone sends any
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    messages_per_minute: u32,

    /// Leave grace period: how long a phone may be offline before it leaves the room, in milliseconds. A running server
    /// must have been started with the same value
    #[arg(long, value_name = "MS", default_value_t = 2000)]
    leave_grace_ms: u64,
}

fn minutes(text: &str) -> Result<f64, String> {
    const MAX_MINUTES: f64 = 10_000.0;
    let minutes: f64 = text.parse().map_err(|error| format!("{error}"))?;
    let in_range = (0.0..=MAX_MINUTES).contains(&minutes);
    in_range
        .then_some(minutes)
        .ok_or_else(|| format!("not between 0 and {MAX_MINUTES}"))
}

#[tokio::main]
async fn main() -> ExitCode {
    exit_code(Args::parse()).await.into()
}

/// Runs the load test, and returns the exit code.
pub(crate) async fn exit_code(args: Args) -> u8 {
    match run(args).await {
        Ok(true) => 0,
        Ok(false) => 1,
        Err(error) => {
            eprintln!("party: {error}");
            2
        }
    }
}

/// Runs the load test. Returns whether the server kept every invariant, accepted at least one command, and did not fail.
async fn run(args: Args) -> io::Result<bool> {
    let leave_grace = Duration::from_millis(args.leave_grace_ms);
    let mut started = match &args.url {
        None => Some(Server::start(&args.audio_dir, leave_grace).await?),
        Some(_) => None,
    };
    let started_url = started.as_ref().map(Server::url);
    let plan = Plan {
        exclusive: started.is_some(),
        url: args.url.or(started_url).unwrap_or_default(),
        code: args.code.unwrap_or_else(|| server_process::CODE.into()),
        room: None,
        phones: args.phones,
        votes_per_minute: args.votes_per_minute,
        messages_per_minute: args.messages_per_minute,
        length: Duration::from_secs_f64(args.minutes * 60.0),
        seed: args.seed.unwrap_or_else(rand::random),
        leave_grace,
    };
    let plans = rooms::spread(plan, args.rooms).await?;
    let show_status = status_line();
    let runs = plans
        .into_iter()
        .map(|plan| simulation::run(plan, &show_status));
    let reports = try_join_all(runs).await?;
    if io::stderr().is_terminal() {
        eprintln!();
    }
    for report in &reports {
        println!("{report}");
    }
    let failure = started.as_mut().map(Server::failure).transpose()?.flatten();
    if let Some(failure) = &failure {
        println!("- {failure}");
    }
    let ended_uploads: Vec<_> = reports
        .iter()
        .flat_map(Report::ended_uploads)
        .cloned()
        .collect();
    let remains = started
        .as_ref()
        .map(|server| server.remains_of_uploads(&ended_uploads))
        .transpose()?
        .unwrap_or_default();
    if !remains.is_empty() {
        println!("- of cancelled and refused uploads, these files are left: {remains:?}");
    }
    let is_good = |report: &Report| report.violations() == 0 && report.accepted() > 0;
    Ok(reports.iter().all(is_good) && remains.is_empty() && failure.is_none())
}

/// Returns a function that prints the status to standard error. On a terminal, each status replaces the previous status;
/// else the function prints a line every [`STATUS_INTERVAL`].
fn status_line() -> impl Fn(&Status) {
    let printed_at = Cell::new(None::<Instant>);
    move |status| {
        let mut out = io::stderr().lock();
        let terminal = out.is_terminal();
        let is_due = |at: Instant| at.elapsed() >= STATUS_INTERVAL;
        if terminal || printed_at.get().is_none_or(is_due) {
            printed_at.set(Some(Instant::now()));
            let (before, after) = if terminal {
                ("\r\x1b[K", "")
            } else {
                ("", "\n")
            };
            // The run continues if standard error is closed.
            let _ = write!(out, "{before}{status}{after}").and_then(|()| out.flush());
        }
    }
}
