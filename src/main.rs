//! Arguments, log, socket, signals, exit code. Everything else is the library's.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use lockstep::config::Config;
use lockstep::{StartError, Welcome, address};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let config = match Config::try_parse() {
        Ok(config) => config,
        Err(error) => return explain(&error),
    };
    let filter = EnvFilter::builder()
        .with_default_directive(tracing::Level::INFO.into())
        .with_env_var("LOCKSTEP_LOG")
        .from_env_lossy();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .init();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let served = runtime.block_on(serve(config));
    // What is still being read then, a library or a file, is nobody's loss.
    runtime.shutdown_background();
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Help and version as clap prints them; what was wrong in one sentence.
fn explain(error: &clap::Error) -> ExitCode {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        error.exit();
    }
    let whole = error.render().to_string();
    let lines: Vec<_> = whole
        .lines()
        .take_while(|line| !line.trim().is_empty())
        .map(str::trim)
        .collect();
    eprintln!(
        "lockstep: {} (see --help)",
        lines.join(" ").trim_start_matches("error: ")
    );
    ExitCode::from(2)
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("lockstep: {error}");
    ExitCode::FAILURE
}

async fn serve(config: Config) -> Result<(), StartError> {
    let address = config.listen;
    let listen_error = |error| StartError::Listen { address, error };
    let listener = TcpListener::bind(address).await.map_err(listen_error)?;
    let (close, closing) = watch::channel(false);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(listen_error)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(listen_error)?;
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("closing");
        close.send_replace(true);
    });
    lockstep::run(listener, config, closing, |welcome| {
        // A host that closed its terminal still has its music.
        let _ = greet(welcome, &mut io::stdout().lock());
    })
    .await
}

fn greet(welcome: &Welcome, out: &mut impl Write) -> io::Result<()> {
    let Welcome { url, code, tracks } = welcome;
    writeln!(out)?;
    if let Some(qr) = address::terminal_qr(url, io::stdout().is_terminal()) {
        writeln!(out, "{qr}")?;
    }
    writeln!(
        out,
        "  On a phone in the same network, scan this or open  {url}"
    )?;
    writeln!(out, "  Pairing code  {code}")?;
    writeln!(
        out,
        "  {tracks} {}",
        if *tracks == 1 { "track" } else { "tracks" }
    )?;
    writeln!(out)?;
    writeln!(out, "listening on {url}")?;
    out.flush()
}
