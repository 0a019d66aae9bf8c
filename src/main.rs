//! The `lockstep` executable: reads the settings, binds the HTTP socket, runs the server, handles signals, and returns an
//! exit code.

mod cli;
mod compare;
mod local_client;
mod log;
mod mdns;
mod systemd;
mod terminal;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use lockstep::config::Config;
use lockstep::{ServerError, StartupInfo};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use cli::Invocation;
use mdns::Announcement;
use systemd::ServiceManager;
use terminal::ScanProgressBar;

fn main() -> ExitCode {
    let config = match cli::read() {
        Ok(Invocation::Serve(config)) => *config,
        Ok(Invocation::PrintCode(sockets)) => return print_code(&sockets),
        Ok(Invocation::MakeHost(sockets, device)) => return make_host(&sockets, &device),
        Ok(Invocation::Compare(sockets, options)) => return compare_phones(&sockets, &options),
        Err(exit_code) => return exit_code,
    };
    // Must run before any other thread starts, because it removes environment variables, which other threads might read.
    let inherited = systemd::inherited_listener();
    let progress_bar = ScanProgressBar::default();
    log::init(progress_bar.clone());
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let result = runtime.block_on(serve(config, inherited, progress_bar));
    // Does not wait for the blocking pool, where file accesses on a slow disk may take long. The server replaces each of
    // its files atomically.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Prints the pairing code of a running server.
fn print_code(sockets: &[PathBuf]) -> ExitCode {
    print_line(local_client::pairing_code(sockets))
}

/// Makes a phone of a running server host.
fn make_host(sockets: &[PathBuf], device: &str) -> ExitCode {
    let made = local_client::make_host(sockets, device);
    print_line(made.map(|name| format!("{name} is host")))
}

fn print_line(line: Result<String, String>) -> ExitCode {
    match line {
        Ok(line) => match writeln!(io::stdout(), "{line}") {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error),
        },
        Err(message) => {
            log::print_error(&message);
            ExitCode::FAILURE
        }
    }
}

/// Compares the phones of a running server by this machine's microphone.
fn compare_phones(sockets: &[PathBuf], options: &compare::Options) -> ExitCode {
    match compare::run(sockets, options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            log::print_error(&message);
            ExitCode::FAILURE
        }
    }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    log::print_error(&error);
    ExitCode::FAILURE
}

async fn serve(
    config: Config,
    inherited: io::Result<Option<std::net::TcpListener>>,
    progress_bar: ScanProgressBar,
) -> Result<(), ServerError> {
    let address = config.listen;
    let listen_error = |error| ServerError::Listen { address, error };
    let listener = match inherited.map_err(listen_error)? {
        Some(listener) => listener,
        None => lockstep::http::bind(address).map_err(listen_error)?,
    };
    let listener = TcpListener::from_std(listener).map_err(listen_error)?;
    let (shutdown_sender, shutdown) = watch::channel(false);
    let signals = TerminationSignals::new().map_err(ServerError::SignalHandlers)?;
    tokio::spawn(shut_down_on_signal(signals, shutdown_sender));
    let (use_mdns, until_shutdown) = (!config.no_mdns, shutdown.clone());
    let mut announcement_task = None;
    let on_start = |info: &StartupInfo| {
        // Ignore an error, such as a closed standard output, because the server does not need a terminal.
        let _ = terminal::print_welcome(info, &mut io::stdout().lock());
        announcement_task = Some(start_announcements(info, use_mdns, until_shutdown));
    };
    let on_progress = move |progress| progress_bar.show(progress);
    lockstep::run(listener, config, shutdown, on_start, on_progress).await?;
    if let Some(task) = announcement_task {
        // Fails only if the task panicked. In this case, only the goodbye packets of multicast DNS are missing.
        let _ = task.await;
    }
    Ok(())
}

/// Receives SIGINT and SIGTERM.
struct TerminationSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl TerminationSignals {
    fn new() -> io::Result<Self> {
        Ok(TerminationSignals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> SignalKind {
        tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
        }
    }
}

/// Starts a graceful shutdown at the first signal, and exits at once at the second signal, even if a disk write hangs.
async fn shut_down_on_signal(mut signals: TerminationSignals, shutdown: watch::Sender<bool>) {
    signals.next().await;
    shutdown.send_replace(true);
    // On a thread of its own: a blocked standard error (Ctrl-S, or a full pipe) must not delay the second signal.
    std::thread::spawn(|| tracing::info!("shutting down; press Ctrl-C again to exit at once"));
    let signal = signals.next().await;
    // The exit code that shells report for a process that was terminated by this signal.
    std::process::exit(128 + signal.as_raw_value());
}

/// Notifies systemd that the server is ready, starts the watchdog notifications and, with `use_mdns`, announces the server
/// by multicast DNS. At shutdown, the returned task notifies systemd, withdraws the announcement, and ends.
fn start_announcements(
    info: &StartupInfo,
    use_mdns: bool,
    mut shutdown: watch::Receiver<bool>,
) -> JoinHandle<()> {
    let manager = Arc::new(ServiceManager::from_env());
    manager.notify(&format!("READY=1\nSTATUS={}", info.url));
    if let Some(interval) = systemd::watchdog_interval() {
        let (manager, rooms) = (manager.clone(), info.rooms.clone());
        tokio::spawn(async move {
            // A hub answers a ping even during a write. So a disk that hangs does not cause a restart, which would not
            // repair the disk.
            let is_alive = || async {
                for hub in rooms.hubs() {
                    if !hub.ping().await {
                        return false;
                    }
                }
                true
            };
            manager.keep_watchdog_alive(interval, is_alive).await;
        });
    }
    let announcement = if use_mdns {
        Announcement::start(info.http_address, &info.base_path, info.tls.clone())
    } else {
        None
    };
    tokio::spawn(async move {
        // An error means that the sender was dropped, which also shuts the server down.
        let _ = shutdown.wait_for(|shutdown| *shutdown).await;
        manager.notify("STOPPING=1");
        if let Some(announcement) = announcement {
            announcement.withdraw().await;
        }
    })
}
