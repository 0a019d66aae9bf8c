//! Socket, signals, exit code. What is said to the host is in `terminal` and `log`, what to the network in `announce`, and what
//! to systemd in `service`; everything else is the library's.

mod announce;
mod arguments;
mod log;
mod service;
mod terminal;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use lockstep::config::Config;
use lockstep::{StartError, Welcome};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use announce::Announcement;
use service::Manager;
use terminal::Bar;

fn main() -> ExitCode {
    let config = match arguments::read() {
        Ok(config) => config,
        Err(end) => return end,
    };
    // Before there are threads: it changes the environment.
    let given = service::given_socket();
    let bar = Bar::default();
    log::begin(bar.clone());
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let served = runtime.block_on(serve(config, given, bar));
    // What is still being read then, a library or a file, is nobody's loss.
    runtime.shutdown_background();
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    log::failure(&error);
    ExitCode::FAILURE
}

async fn serve(
    config: Config,
    given: io::Result<Option<std::net::TcpListener>>,
    bar: Bar,
) -> Result<(), StartError> {
    let address = config.listen;
    let listen_error = |error| StartError::Listen { address, error };
    let listener = match given.map_err(listen_error)? {
        Some(listener) => listener,
        None => lockstep::http::bind(address).map_err(listen_error)?,
    };
    let listener = TcpListener::from_std(listener).map_err(listen_error)?;
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
    let (named, while_open) = (!config.no_mdns, closing.clone());
    let mut presence = None;
    let welcome = |welcome: &Welcome| {
        // A host that closed its terminal still has its music.
        let _ = terminal::greet(welcome, &mut io::stdout().lock());
        presence = Some(present(welcome, named, while_open));
    };
    let reading = move |progress| bar.show(progress);
    lockstep::run(listener, config, closing, welcome, reading).await?;
    if let Some(presence) = presence {
        // What fails in there costs a farewell, and no music.
        let _ = presence.await;
    }
    Ok(())
}

/// Tells systemd and, if it is to be `named`, the network that the server is there; and, once it closes, that it is gone.
fn present(
    welcome: &Welcome,
    named: bool,
    mut closing: watch::Receiver<bool>,
) -> tokio::task::JoinHandle<()> {
    let manager = Arc::new(Manager::from_env());
    manager.tell(&format!("READY=1\nSTATUS={}", welcome.url));
    if let Some(every) = service::watchdog() {
        let (manager, hub) = (manager.clone(), welcome.hub.clone());
        tokio::spawn(async move {
            // A disk that hangs is no reason: a server that is started again would hang on it, too.
            let answers = || async {
                match &hub {
                    Some(hub) => hub.answers().await,
                    None => true,
                }
            };
            manager.feed_watchdog(every, answers).await;
        });
    }
    let announcement = if named {
        Announcement::begin(welcome.local, welcome.tls.clone())
    } else {
        None
    };
    tokio::spawn(async move {
        // Whoever could say so being gone is an end, too.
        let _ = closing.wait_for(|closing| *closing).await;
        manager.tell("STOPPING=1");
        if let Some(announcement) = announcement {
            announcement.end().await;
        }
    })
}
