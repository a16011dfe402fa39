//! What a service manager is told, in the protocol that systemd gave it (sd_notify(3)): datagrams of `NAME=VALUE` lines
//! to the socket that it named.
//!
//! With it `Type=notify` means that whatever is ordered after authd finds a port that answers, and `WatchdogSec=` that a
//! process which is there and does nothing, on a disk that never comes back, say, is started anew. The word that it is alive
//! is given by housekeeping, in each round that came to its end; see [`ServiceManager::alive`].
//!
//! Nothing here may harm the service: a manager that does not listen is a warning. It is thirty lines beside the crates
//! that do the same, which read the environment by themselves; here only `config` does.

use std::ffi::OsStr;
use std::fmt::Display;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use crate::config::Supervision;

/// How long a manager that is busy may keep a thread of ours waiting.
const PATIENCE: Duration = Duration::from_secs(5);

/// The service manager that started this process. If there is none, each notification does nothing.
pub(super) struct ServiceManager {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// The one that `supervision` names. If its socket cannot be reached, there is a warning and no notification.
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
                tracing::warn!("the service manager at NOTIFY_SOCKET={name} is not told: {error}");
                ServiceManager {
                    socket: None,
                    watchdog: None,
                }
            }
        }
    }

    /// How long may pass between two calls of [`ServiceManager::alive`]: half of what the manager waits
    /// (sd_watchdog_enabled(3)). `None` where it does not watch.
    pub fn watches_every(&self) -> Option<Duration> {
        self.watchdog.map(|watchdog| watchdog / 2)
    }

    /// Connections are accepted from now on. The service manager shows `status` to an operator.
    pub fn ready(&self, status: impl Display) {
        self.tell(&format!("READY=1\nSTATUS={status}"));
    }

    /// The process is stopping; current requests are finished first.
    pub fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=stopping; current requests are finished first");
    }

    /// Work gets done. Only to be said after it was seen: a thread that says so whatever happens is worth nothing.
    pub fn alive(&self) {
        if self.watchdog.is_some() {
            self.tell("WATCHDOG=1");
        }
    }

    fn tell(&self, message: &str) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = socket.send(message.as_bytes()) {
            tracing::warn!("the service manager was not told: {error}");
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
    socket.set_write_timeout(Some(PATIENCE))?;
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
    fn a_manager_that_is_not_there_is_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let nowhere = directory.path().join("notify");
        for socket in [
            nowhere.to_str().unwrap(),
            "@authd-test-of-nobody",
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
    fn the_word_is_given_twice_as_often_as_it_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let _manager = UnixDatagram::bind(&path).unwrap();
        let told = supervised(path.to_str().unwrap());
        assert_eq!(told.watches_every(), Some(Duration::from_secs(30)));
    }
}
