//! Arguments, log, socket, signals, exit code. What a host sees of it is in `terminal`; everything else is the library's.

mod terminal;

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use lockstep::StartError;
use lockstep::config::Config;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use terminal::Bar;

fn main() -> ExitCode {
    let config = match Config::try_parse() {
        Ok(config) => config,
        Err(error) => return explain(&error),
    };
    let bar = Bar::default();
    let filter = EnvFilter::builder()
        .with_default_directive(tracing::Level::INFO.into())
        .with_env_var("LOCKSTEP_LOG")
        .from_env_lossy();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(bar.clone())
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
    let served = runtime.block_on(serve(config, bar));
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

async fn serve(config: Config, bar: Bar) -> Result<(), StartError> {
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
    let welcome = |welcome: &_| {
        // A host that closed its terminal still has its music.
        let _ = terminal::greet(welcome, &mut io::stdout().lock());
    };
    let reading = move |progress| bar.show(progress);
    lockstep::run(listener, config, closing, welcome, reading).await
}
