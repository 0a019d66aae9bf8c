//! A party of synthetic phones against a real server: `cargo run --release --example party -- --phones 50 --minutes 5`.
//!
//! Prints how it goes, then what was found as Markdown. Exits with 1 when the server broke a promise, and with 2
//! when there was no party at all. What phones do, and what is checked, lives in `party/`.

#[path = "party/crowd.rs"]
mod crowd;
#[path = "party/executable.rs"]
mod executable;
#[path = "party/server.rs"]
mod server;

use std::cell::Cell;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;

use crowd::{Plan, Progress};
use server::Server;

/// Without a terminal, a line comes so often.
const LINE_PAUSE: Duration = Duration::from_secs(5);

/// Has a crowd of synthetic phones use a server, and checks that it keeps its promises.
#[derive(Debug, Parser)]
#[command(max_term_width = 100)]
pub(crate) struct Args {
    /// How many phones
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    phones: u32,

    /// For how long
    #[arg(long, default_value_t = 5.0, value_parser = minutes)]
    minutes: f64,

    /// What the phones' choices come from [default: a random one, which is printed]
    #[arg(long)]
    seed: Option<u64>,

    /// The music of the server that is started
    #[arg(long, value_name = "FOLDER", default_value = "./audio")]
    audio_dir: PathBuf,

    /// A server that runs already, instead of one of the party's own
    #[arg(long, requires = "code")]
    url: Option<String>,

    /// That server's pairing code
    #[arg(long, requires = "url")]
    code: Option<String>,

    /// How long a stream may be gone; a server that runs already must have been started with the same
    #[arg(long, value_name = "MS", default_value_t = 2000)]
    leave_grace_ms: u64,
}

fn minutes(text: &str) -> Result<f64, String> {
    let minutes: f64 = text.parse().map_err(|error| format!("{error}"))?;
    let sensible = (0.0..=10_000.0).contains(&minutes);
    sensible
        .then_some(minutes)
        .ok_or_else(|| "no sensible time".into())
}

#[tokio::main]
async fn main() -> ExitCode {
    status(Args::parse()).await.into()
}

/// The exit status.
pub(crate) async fn status(args: Args) -> u8 {
    match party(args).await {
        Ok(true) => 0,
        Ok(false) => 1,
        Err(error) => {
            eprintln!("party: {error}");
            2
        }
    }
}

/// Whether the server kept its promises.
async fn party(args: Args) -> io::Result<bool> {
    let grace = Duration::from_millis(args.leave_grace_ms);
    let mut own = match &args.url {
        None => Some(Server::start(&args.audio_dir, grace).await?),
        Some(_) => None,
    };
    let own_url = own.as_ref().map(|server| server.url.clone());
    let plan = Plan {
        alone: own.is_some(),
        url: args.url.or(own_url).unwrap_or_default(),
        code: args.code.unwrap_or_else(|| server::CODE.into()),
        phones: args.phones,
        length: Duration::from_secs_f64(args.minutes * 60.0),
        seed: args.seed.unwrap_or_else(rand::random),
        grace,
    };
    let report = crowd::run(plan, live_line()).await?;
    if io::stderr().is_terminal() {
        eprintln!();
    }
    println!("{report}");
    let trouble = own.as_mut().map(Server::trouble).transpose()?.flatten();
    if let Some(trouble) = &trouble {
        println!("- {trouble}");
    }
    Ok(report.breaches() == 0 && report.accepted() > 0 && trouble.is_none())
}

/// Says how it goes: in one place on a terminal, else now and then.
fn live_line() -> impl Fn(&Progress) {
    let said = Cell::new(None::<Instant>);
    move |progress| {
        let mut out = io::stderr().lock();
        let in_place = out.is_terminal();
        if in_place || said.get().is_none_or(|then| then.elapsed() >= LINE_PAUSE) {
            said.set(Some(Instant::now()));
            let (before, after) = if in_place {
                ("\r\x1b[K", "")
            } else {
                ("", "\n")
            };
            // Nobody who watches need not end the party.
            let _ = write!(out, "{before}{progress}{after}").and_then(|()| out.flush());
        }
    }
}
