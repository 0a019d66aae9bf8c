//! What systemd has for a service: a socket that is open already, news of how the service does, and a watchdog that starts
//! it again when those stop. Where the environment speaks of none, nothing happens.

use std::env;
use std::io;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use listenfd::ListenFd;
use tokio::time::MissedTickBehavior;

/// The listening socket that the service was given (sd_listen_fds(3)). To be called once, while there is one thread: it takes
/// the variables out of the environment.
///
/// # Errors
/// What it was given is no such socket.
pub(crate) fn given_socket() -> io::Result<Option<TcpListener>> {
    let given = ListenFd::from_env().take_tcp_listener(0)?;
    if let Some(listener) = &given {
        listener.set_nonblocking(true)?;
    }
    Ok(given)
}

/// Whoever manages this service (sd_notify(3)).
pub(crate) struct Manager(Option<(UnixDatagram, SocketAddr)>);

impl Manager {
    pub(crate) fn from_env() -> Self {
        let name = env::var("NOTIFY_SOCKET").ok();
        Manager(name.and_then(|name| Self::reach(&name).ok()))
    }

    fn reach(name: &str) -> io::Result<(UnixDatagram, SocketAddr)> {
        let address = match name.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name),
            None => SocketAddr::from_pathname(name),
        };
        let socket = UnixDatagram::unbound()?;
        // Whoever does not listen is not waited for.
        socket.set_nonblocking(true)?;
        Ok((socket, address?))
    }

    /// Tells it `news`, lines of `NAME=VALUE`.
    pub(crate) fn tell(&self, news: &str) {
        let Some((socket, address)) = &self.0 else {
            return;
        };
        if let Err(error) = socket.send_to_addr(news.as_bytes(), address) {
            tracing::debug!("the service manager cannot be told: {error}");
        }
    }

    /// Feeds the watchdog as long as the server `answers`, which resolves to `false` once there is nobody to answer. What does
    /// not answer any more is not fed, and so it is killed and started again.
    pub(crate) async fn feed_watchdog<F: Future<Output = bool>>(
        &self,
        every: Duration,
        answers: impl Fn() -> F,
    ) {
        let mut beat = tokio::time::interval(every);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            beat.tick().await;
            if !answers().await {
                break;
            }
            self.tell("WATCHDOG=1");
        }
    }
}

/// How often the watchdog of this process must be fed, if it has one: twice in the time that it is given
/// (sd_watchdog_enabled(3)).
pub(crate) fn watchdog() -> Option<Duration> {
    let own = std::process::id().to_string();
    if env::var("WATCHDOG_PID").is_ok_and(|pid| pid != own) {
        return None;
    }
    let micros = env::var("WATCHDOG_USEC").ok()?.parse().ok()?;
    Some(Duration::from_micros(micros) / 2).filter(|every| !every.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manager() -> (Manager, UnixDatagram, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let heard = UnixDatagram::bind(&path).unwrap();
        heard.set_nonblocking(true).unwrap();
        let manager = Manager::reach(path.to_str().unwrap()).unwrap();
        (Manager(Some(manager)), heard, folder)
    }

    #[tokio::test(start_paused = true)]
    async fn the_watchdog_goes_hungry_once_nothing_answers() {
        let (manager, heard, _folder) = manager();
        let beats = std::cell::Cell::new(0);
        let answers = || {
            beats.set(beats.get() + 1);
            let hangs = beats.get() == 3;
            async move {
                if hangs {
                    std::future::pending::<()>().await;
                }
                true
            }
        };
        let fed = manager.feed_watchdog(Duration::from_secs(1), answers);
        let given_up = tokio::time::timeout(Duration::from_secs(60), fed).await;
        assert!(given_up.is_err());
        let mut bytes = [0; 64];
        for _ in 0..2 {
            let length = heard.recv(&mut bytes).unwrap();
            assert_eq!(&bytes[..length], b"WATCHDOG=1");
        }
        assert!(heard.recv(&mut bytes).is_err(), "it was fed all the same");
    }
}
