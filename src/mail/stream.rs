//! A connection to a mail server, plain or encrypted, on which every step has a deadline.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::clock::monotonic;
use crate::trust;

/// The most addresses of one name that are tried.
const MOST_ADDRESSES: usize = 8;

/// A connection.
pub(super) enum Stream {
    Plain(TimedSocket),
    Tls(Box<StreamOwned<ClientConnection, TimedSocket>>),
}

/// A socket whose reads and writes end with [`io::ErrorKind::TimedOut`] at a deadline, however slowly bytes arrive.
pub(super) struct TimedSocket {
    socket: TcpStream,
    deadline: Instant,
}

/// The addresses of a host, which may be an address itself.
pub(super) fn addresses_of(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let addresses = (host, port).to_socket_addrs()?;
    Ok(addresses.take(MOST_ADDRESSES).collect())
}

impl Stream {
    /// Connects to the first address that answers. All of them together have `patience`.
    pub fn connect(addresses: &[SocketAddr], patience: Duration) -> io::Result<Stream> {
        let deadline = monotonic() + patience;
        let mut failure = io::Error::from(io::ErrorKind::NotFound);
        let mut left = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        for address in addresses {
            // One that does not answer leaves time for the others.
            let share = deadline.saturating_duration_since(monotonic()) / left.max(1);
            left -= 1;
            match TcpStream::connect_timeout(address, share.max(Duration::from_millis(1))) {
                Ok(socket) => return Ok(Stream::Plain(TimedSocket { socket, deadline })),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Continues in TLS (RFC 8446).
    ///
    /// # Errors
    /// Those of the connection; an error of TLS is inside of an [`io::Error`].
    pub fn encrypt(
        self,
        config: &Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> io::Result<Stream> {
        let Stream::Plain(mut socket) = self else {
            return Ok(self);
        };
        let mut tls = ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut socket)?;
        }
        Ok(Stream::Tls(Box::new(StreamOwned::new(tls, socket))))
    }

    pub fn is_encrypted(&self) -> bool {
        matches!(self, Stream::Tls(_))
    }

    /// Reads and writes fail `patience` from now.
    pub fn allow(&mut self, patience: Duration) {
        let socket = match self {
            Stream::Plain(socket) => socket,
            Stream::Tls(tls) => &mut tls.sock,
        };
        socket.deadline = monotonic() + patience;
    }

    /// Whether the server answers a handshake of TLS. It ends the connection, since another server has got bytes that it
    /// does not understand.
    pub fn answers_tls(mut self, name: ServerName<'static>, patience: Duration) -> bool {
        self.allow(patience);
        let begin = || {
            let config = trust::trusting_none().ok()?;
            let mut tls = ClientConnection::new(config, name).ok()?;
            tls.write_tls(&mut self).ok()?;
            let mut start = [0];
            self.read_exact(&mut start).ok()?;
            // RFC 8446 §5.1: an alert or a handshake.
            Some(matches!(start[0], 21 | 22))
        };
        begin().unwrap_or(false)
    }
}

impl TimedSocket {
    fn left(&self) -> io::Result<Option<Duration>> {
        match self.deadline.saturating_duration_since(monotonic()) {
            Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
            left => Ok(Some(left)),
        }
    }
}

/// A socket reports an ended timeout as `WouldBlock`.
fn timed_out(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    }
}

impl Read for TimedSocket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.socket.set_read_timeout(self.left()?)?;
            match self.socket.read(buffer) {
                // A signal ends a read that has a timeout.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read.map_err(timed_out),
            }
        }
    }
}

impl Write for TimedSocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(self.left()?)?;
        self.socket.write(bytes).map_err(timed_out)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.read(buffer),
            Stream::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.write(bytes),
            Stream::Tls(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(socket) => socket.flush(),
            Stream::Tls(tls) => tls.flush(),
        }
    }
}
