//! Notifications to the service manager, in the protocol of systemd (sd_notify(3)): datagrams of `NAME=VALUE` lines, sent
//! to the socket that `NOTIFY_SOCKET` names.
//!
//! With `Type=notify`, services that are ordered after authd start when its port answers. With `WatchdogSec=`, a process
//! that no longer does its work, for example because the disk never answers, is restarted. Housekeeping sends that
//! notification at the end of each round; see [`ServiceManager::alive`].
//!
//! A notification that fails is a warning and has no other effect. The crates for this protocol read the environment
//! themselves; in authd only `config` does.

use std::ffi::OsStr;
use std::fmt::Display;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use crate::config::Supervision;

/// Longest wait of one notification for a busy service manager.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// The service manager that started this process. If there is none, each notification does nothing.
pub(super) struct ServiceManager {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// The service manager that `supervision` names. If its socket cannot be reached, a warning is logged and nothing is sent.
    pub fn find(supervision: Option<Supervision>) -> ServiceManager {
        let Some(Supervision { socket, watchdog }) = supervision else {
            return ServiceManager {
                socket: None,
                watchdog: None,
            };
        };
        match connect(&socket) {
            Ok(connected) => ServiceManager {
                socket: Some(connected),
                watchdog,
            },
            Err(error) => {
                let name = socket.display();
                tracing::warn!(
                    "the service manager at NOTIFY_SOCKET={name} can't be reached, so it gets no notifications: {error}"
                );
                ServiceManager {
                    socket: None,
                    watchdog: None,
                }
            }
        }
    }

    /// The longest time between two calls of [`ServiceManager::alive`]: half of what the service manager waits
    /// (sd_watchdog_enabled(3)). `None` if it has no watchdog.
    pub fn watches_every(&self) -> Option<Duration> {
        self.watchdog.map(|watchdog| watchdog / 2)
    }

    /// Connections are accepted from now on. The service manager shows `status` to an operator.
    pub fn ready(&self, status: impl Display) {
        self.notify(&format!("READY=1\nSTATUS={status}"));
    }

    /// The process is stopping; current requests are finished first.
    pub fn stopping(&self) {
        self.notify("STOPPING=1\nSTATUS=stopping; current requests are finished first");
    }

    /// The process does its work. To be called only after a check of that.
    pub fn alive(&self) {
        if self.watchdog.is_some() {
            self.notify("WATCHDOG=1");
        }
    }

    fn notify(&self, message: &str) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = socket.send(message.as_bytes()) {
            tracing::warn!("a notification to the service manager failed: {error}");
        }
    }
}

/// Connects to `/a/path` or to `@a-name` in Linux's abstract namespace.
fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(name)?,
        _ => {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "it is neither a path nor a name after @",
            ));
        }
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_write_timeout(Some(SEND_TIMEOUT))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn supervised(socket: &str) -> ServiceManager {
        ServiceManager::find(Some(Supervision {
            socket: socket.into(),
            watchdog: Some(Duration::from_secs(60)),
        }))
    }

    #[test]
    fn a_service_manager_that_cannot_be_reached_is_ignored() {
        let directory = tempfile::tempdir().unwrap();
        let nowhere = directory.path().join("notify");
        for socket in [
            nowhere.to_str().unwrap(),
            "@authd-test-without-a-listener",
            "vsock:2:1234",
            "relative",
            "",
        ] {
            let manager = supervised(socket);
            assert_eq!(manager.watches_every(), None, "{socket}");
            manager.ready("well");
            manager.alive();
            manager.stopping();
        }
        assert_eq!(ServiceManager::find(None).watches_every(), None);
    }

    #[test]
    fn notifications_come_twice_as_often_as_the_watchdog_needs() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let _socket = UnixDatagram::bind(&path).unwrap();
        let manager = supervised(path.to_str().unwrap());
        assert_eq!(manager.watches_every(), Some(Duration::from_secs(30)));
    }
}
