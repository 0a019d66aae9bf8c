//! Integration with systemd: socket activation, readiness and watchdog notifications. Does nothing if
//! systemd has not set the corresponding environment variables.

use std::env;
use std::io;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use listenfd::ListenFd;
use tokio::time::MissedTickBehavior;

/// The listening socket that systemd opened for this process (sd_listen_fds(3)); `None` without socket activation. This
/// function removes systemd's variables from the environment, so the caller must call it before other threads start.
///
/// # Errors
/// The inherited descriptor is not a listening TCP socket.
pub(crate) fn inherited_listener() -> io::Result<Option<TcpListener>> {
    let inherited = ListenFd::from_env().take_tcp_listener(0)?;
    if let Some(listener) = &inherited {
        listener.set_nonblocking(true)?;
    }
    Ok(inherited)
}

/// The notification socket of the service manager (sd_notify(3)); `None` if systemd did not start this process.
///
/// Not from the crate `sd-notify` 0.5, because that crate does not support abstract socket names, and its sends can block.
pub(crate) struct ServiceManager(Option<(UnixDatagram, SocketAddr)>);

impl ServiceManager {
    pub(crate) fn from_env() -> Self {
        let name = env::var("NOTIFY_SOCKET").ok();
        ServiceManager(name.and_then(|name| Self::open(&name).ok()))
    }

    /// Opens the notification socket. `name` is a path, or `@` and an abstract socket name (unix(7)).
    fn open(name: &str) -> io::Result<(UnixDatagram, SocketAddr)> {
        let address = match name.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name),
            None => SocketAddr::from_pathname(name),
        };
        let socket = UnixDatagram::unbound()?;
        // If the service manager's receive buffer is full, a notification is dropped instead of blocking this thread.
        socket.set_nonblocking(true)?;
        Ok((socket, address?))
    }

    /// Sends `message`, which consists of lines of the form `NAME=VALUE`.
    pub(crate) fn notify(&self, message: &str) {
        let Some((socket, address)) = &self.0 else {
            return;
        };
        if let Err(error) = socket.send_to_addr(message.as_bytes(), address) {
            tracing::debug!("cannot notify the service manager: {error}");
        }
    }

    /// Calls `is_alive` once per `interval`, and sends a watchdog notification each time the future resolves to `true`.
    /// Returns when the future resolves to `false`, because the server is then shutting down. If the future never resolves,
    /// the notifications stop, and systemd restarts the process.
    pub(crate) async fn keep_watchdog_alive<F: Future<Output = bool>>(
        &self,
        interval: Duration,
        is_alive: impl Fn() -> F,
    ) {
        let mut timer = tokio::time::interval(interval);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            timer.tick().await;
            if !is_alive().await {
                break;
            }
            self.notify("WATCHDOG=1");
        }
    }
}

/// The interval for watchdog notifications: half of the time after which systemd restarts this process, as
/// sd_watchdog_enabled(3) recommends. `None` if systemd set no watchdog for this process.
pub(crate) fn watchdog_interval() -> Option<Duration> {
    let own_pid = std::process::id().to_string();
    if env::var("WATCHDOG_PID").is_ok_and(|pid| pid != own_pid) {
        return None;
    }
    let micros = env::var("WATCHDOG_USEC").ok()?.parse().ok()?;
    Some(Duration::from_micros(micros) / 2).filter(|interval| !interval.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A manager, the socket that receives its notifications, and the folder of that socket.
    fn manager() -> (ServiceManager, UnixDatagram, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let receiver = UnixDatagram::bind(&path).unwrap();
        receiver.set_nonblocking(true).unwrap();
        let socket = ServiceManager::open(path.to_str().unwrap()).unwrap();
        (ServiceManager(Some(socket)), receiver, folder)
    }

    #[tokio::test(start_paused = true)]
    async fn watchdog_notifications_stop_when_the_server_hangs() {
        let (manager, receiver, _folder) = manager();
        let checks = std::cell::Cell::new(0);
        let is_alive = || {
            checks.set(checks.get() + 1);
            let is_hanging = checks.get() == 3;
            async move {
                if is_hanging {
                    std::future::pending::<()>().await;
                }
                true
            }
        };
        let notifications = manager.keep_watchdog_alive(Duration::from_secs(1), is_alive);
        let timed_out = tokio::time::timeout(Duration::from_secs(60), notifications).await;
        assert!(timed_out.is_err());
        let mut bytes = [0; 64];
        for _ in 0..2 {
            let length = receiver.recv(&mut bytes).unwrap();
            assert_eq!(&bytes[..length], b"WATCHDOG=1");
        }
        assert!(
            receiver.recv(&mut bytes).is_err(),
            "there must be no third notification"
        );
    }
}
