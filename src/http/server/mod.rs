//! The HTTP server: its listener, its connections, and the limits and deadlines for both.
//!
//! It uses plain threads and blocking sockets. One thread serves one connection at a time and runs its handlers, out of a
//! pool that grows to a limit and shrinks when there is nothing to do. hyper parses and writes HTTP/1, and only this
//! folder names it.
//!
//! # How hyper runs on a blocking socket
//!
//! hyper never reads from the socket. Its `poll_read` takes bytes that were let through, or notes that there are none and
//! is pending. `exchange` polls hyper with a waker that does nothing. Whenever hyper is pending and wants bytes,
//! `transport` does one blocking read with the time that is left of the current phase, and lets through what `framing`
//! accepts: the head of one request and its body, never a byte of the next. Reading inside `poll_read` would be simpler
//! and is wrong: an expected `100 Continue` is not sent until the read returns, and a head that arrives slowly is never
//! cut off, because hyper waits inside the read and not at its deadline.
//!
//! Since hyper gets whole heads only, it never sees a request that it would parse more leniently than `framing` does.
//! A request that is refused (malformed, too large, too late) is still answered through hyper: it is handed an empty
//! request instead, whose answer is the refusal. So one piece of code writes all responses, and one closes connections.
//!
//! # Threads
//!
//! Handlers block, mostly on the disk, so each connection has a thread. [`Limits`] says how many there may be, and
//! `connections` which one is evicted at the limit. A new connection is refused with a 503 only while every handler is
//! busy. A thread without a connection waits some time for the next one and then ends.
//!
//! # What never happens here
//!
//! No wait is without a deadline, and no buffer without a bound. No error ends the accept loop. A panic ends its own request
//! only. No byte that a client sent is logged.

mod accept;
mod chunked;
mod connection;
mod connections;
mod exchange;
mod framing;
mod transport;
mod worker;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv6Addr, Shutdown, SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use hyper::server::conn::http1;
use ipnet::IpNet;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::api::problem;
use super::error::{HttpError, Refusal};
use super::request::Request;
use super::response::Response;
use crate::clock::monotonic;
use connection::{Connection, Phase};
use connections::Connections;

/// What a server allows. The defaults are safe on the internet and fit a machine with 48 MiB of memory.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at a time, and so threads. 512 by default: each costs about 90 KiB once used and up to 352 KiB, and
    /// an app that one database file serves does not have more clients at a time. At least 1.
    pub max_connections: usize,
    /// Connections of one IPv4 address or one IPv6 /64 (what one customer is given) at a time. 64 by default: enough for
    /// a household behind one address.
    pub per_address: usize,
    /// Networks without the limit `per_address`: reverse proxies, behind which all clients have one address. Loopback
    /// never has the limit.
    pub exempt: Vec<IpNet>,
    /// Bytes of a request's head. 16 KiB by default: enough for cookies and a long query. Every connection can make the
    /// server hold that much. At least 1 KiB.
    pub head_bytes: usize,
    /// Bytes of a request's body. 64 KiB by default: the largest request of the API has a few hundred bytes.
    pub body_bytes: usize,
    /// From the first byte of a head (for the first request: from the accept) to its last, in total. 10 s by default: a
    /// head is one packet or two, and resending one takes seconds.
    pub head_deadline: Duration,
    /// From the end of the head to the end of the body, in total. 15 s by default.
    pub body_deadline: Duration,
    /// How long a connection may stay without a request. 60 s by default: what most clients and proxies keep connections
    /// for.
    pub idle: Duration,
    /// For a whole response to be taken by the client's side. 15 s by default.
    pub write_deadline: Duration,
    /// How long requests that have begun may take to end after [`Stop::stop`]. 10 s by default: what service managers
    /// grant before they kill.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 512,
            per_address: 64,
            exempt: Vec::new(),
            head_bytes: 16 * 1024,
            body_bytes: 64 * 1024,
            head_deadline: Duration::from_secs(10),
            body_deadline: Duration::from_secs(15),
            idle: Duration::from_secs(60),
            write_deadline: Duration::from_secs(15),
            drain: Duration::from_secs(10),
        }
    }
}

type Handler = Box<dyn Fn(Request) -> Response + Send + Sync>;

/// Makes the answer to a request that the server refuses by itself.
type Refuse = Box<dyn Fn(&Refusal, Option<&Request>) -> Response + Send + Sync>;

/// The answer to a refused request when the application has not said otherwise: problem details (RFC 9457).
fn plain_refusal(refusal: &Refusal) -> Response {
    let error = HttpError::from(refusal);
    let body = problem::respond(&error, "");
    error.add_headers(body)
}

/// A bound address that does not answer yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    limits: Limits,
    refuse: Refuse,
}

impl Server {
    /// Binds `address`; port 0 takes a free one. From here on the system queues connections, and [`Server::run`] serves
    /// them. `[::]` takes IPv4 as well.
    ///
    /// # Errors
    /// The system's error: the address is in use, does not belong to this machine, or is reserved.
    pub fn bind(address: SocketAddr, limits: Limits) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        // Otherwise a restart fails until the system has forgotten the connections of the process before.
        socket.set_reuse_address(true)?;
        if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
            socket.set_only_v6(false)?;
        }
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let listener = TcpListener::from(socket);
        Ok(Self {
            address: listener.local_addr()?,
            listener,
            limits: Limits {
                max_connections: limits.max_connections.max(1),
                per_address: limits.per_address.max(1),
                head_bytes: limits.head_bytes.max(MIN_HEAD_BYTES),
                ..limits
            },
            refuse: Box::new(|refusal, _| plain_refusal(refusal)),
        })
    }

    /// The same server, with `refuse` to make the answers to requests that it refuses without the handler. `refuse` is
    /// given the request as far as its head could be read, without its body; `None` if nothing of it could be, or when
    /// the connection is refused before a byte is read.
    #[must_use]
    pub fn with_refuse(
        mut self,
        refuse: impl Fn(&Refusal, Option<&Request>) -> Response + Send + Sync + 'static,
    ) -> Self {
        self.refuse = Box::new(refuse);
        self
    }

    /// The address that was bound, with its port.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`. `handler` is called from many threads at a time, each with 512 KiB of stack; a panic in it
    /// is a 500 for that request and nothing else. It is dropped before this returns, unless connections had to be
    /// abandoned.
    ///
    /// # Errors
    /// The system's error when not even the first thread can be started. Later errors do not end the server.
    pub fn run(
        self,
        handler: impl Fn(Request) -> Response + Send + Sync + 'static,
        stop: Stop,
    ) -> io::Result<Drained> {
        let (alive, dropped) = mpsc::channel();
        let server = Arc::new(RunningServer::new(self, Box::new(handler), alive));
        worker::start(&server, None)?;
        stop.add(&server);
        server.accept_connections();
        let drained = server.drain();
        drop(server);
        if drained.abandoned == 0 {
            // A thread that is no longer counted still holds the server for a moment; but the caller may rely on the
            // handler, and all that it holds, being dropped.
            let _ = dropped.recv_timeout(LAST_THREAD);
        }
        Ok(drained)
    }
}

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were cut off because their request had not ended in time.
    pub abandoned: usize,
}

/// Ends every server that was given a clone of it. Stopping before [`Server::run`] makes it return at once; stopping
/// twice is stopping once.
#[derive(Clone, Default)]
pub struct Stop(Arc<StopState>);

#[derive(Default)]
struct StopState {
    stopped: AtomicBool,
    servers: Mutex<Vec<Weak<RunningServer>>>,
}

impl Stop {
    /// One that has not been used.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes [`Server::run`] take no more connections, close the idle ones, let requests that have begun end (their
    /// answers say `Connection: close`) for at most [`Limits::drain`], and return. Returns at once itself; not for use
    /// inside a signal handler.
    pub fn stop(&self) {
        self.0.stopped.store(true, SeqCst);
        for server in lock(&self.0.servers).iter().filter_map(Weak::upgrade) {
            server.close();
        }
    }

    fn add(&self, server: &Arc<RunningServer>) {
        lock(&self.0.servers).push(Arc::downgrade(server));
        if self.0.stopped.load(SeqCst) {
            server.close();
        }
    }
}

/// Connections the system may hold ready while the accept loop is busy: many clients that reconnect after a restart are
/// no reason to refuse any.
const BACKLOG: i32 = 1024;

/// Below this no browser's head fits.
const MIN_HEAD_BYTES: usize = 1024;

/// How long [`Server::run`] waits for its last thread to let go of the handler.
const LAST_THREAD: Duration = Duration::from_secs(1);

/// How long a connection whose last answer was written is still read from. A socket that is closed with unread bytes in
/// it resets the connection, and the client never sees the answer (RFC 9112 §9.6).
const LINGER: Duration = Duration::from_secs(1);

/// What all threads of a running server share.
struct RunningServer {
    listener: TcpListener,
    limits: Limits,
    handler: Handler,
    refuse: Refuse,
    http: http1::Builder,
    closing: AtomicBool,
    pool: Mutex<Pool>,
    /// Notified when a connection waits for a thread, or the server closes.
    connection_waits: Condvar,
    /// Notified when a connection or a thread has ended, or the server closes.
    something_ended: Condvar,
    /// Dropped after everything else: tells [`Server::run`] that the handler is gone.
    _alive: Sender<Infallible>,
}

/// The connections and the threads that serve them.
struct Pool {
    connections: Connections,
    /// Connections without a thread yet. Never more than there are free threads, and threads whose connection has been
    /// evicted.
    queue: VecDeque<Arc<Connection>>,
    /// Threads, whether they serve, wait, or are on their way from one to the other. Where there are more of them than
    /// connections, one is free or about to be.
    threads: usize,
}

impl RunningServer {
    fn new(server: Server, handler: Handler, alive: Sender<Infallible>) -> Self {
        let connections = Connections::new(server.limits.exempt.clone());
        let mut http = http1::Builder::new();
        http.half_close(true)
            .header_read_timeout(None)
            // hyper is shown whole heads within the limit, so its own limit must be out of reach.
            .max_buf_size(2 * server.limits.head_bytes.max(32 * 1024));
        Self {
            listener: server.listener,
            limits: server.limits,
            handler,
            refuse: server.refuse,
            http,
            closing: AtomicBool::new(false),
            pool: Mutex::new(Pool {
                connections,
                queue: VecDeque::new(),
                threads: 0,
            }),
            connection_waits: Condvar::new(),
            something_ended: Condvar::new(),
            _alive: alive,
        }
    }

    /// The answer to a request that is refused. A panic of the application must not end the accept loop, nor leave a
    /// client without an answer.
    fn refuse(&self, refusal: &Refusal, request: Option<&Request>) -> Response {
        catch_unwind(AssertUnwindSafe(|| (self.refuse)(refusal, request))).unwrap_or_else(|_| {
            tracing::error!("the application panicked over a refusal");
            plain_refusal(refusal)
        })
    }

    fn is_closing(&self) -> bool {
        self.closing.load(SeqCst)
    }

    fn close(&self) {
        self.closing.store(true, SeqCst);
        // Under the lock, so that a thread that has just looked at `closing` does not miss the notification.
        let pool = lock(&self.pool);
        self.connection_waits.notify_all();
        self.something_ended.notify_all();
        drop(pool);
        // Wakes the accept loop (Linux: accept fails on a listener that is shut down), and needs no descriptor for it.
        let _ = SockRef::from(&self.listener).shutdown(Shutdown::Both);
    }

    fn drain(&self) -> Drained {
        let until = monotonic() + self.limits.drain;
        let mut pool = lock(&self.pool);
        for connection in pool.connections.iter() {
            if connection.phase() == Phase::Idle {
                // For reading only: a request that has arrived and was not looked at yet is still read and answered.
                connection.shut_down(Shutdown::Read);
            }
        }
        while pool.connections.count() > 0 || pool.threads > 0 {
            let left = until.saturating_duration_since(monotonic());
            if left.is_zero() {
                break;
            }
            pool = self
                .something_ended
                .wait_timeout(pool, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        for connection in pool.connections.iter() {
            connection.shut_down(Shutdown::Both);
        }
        Drained {
            abandoned: pool.connections.count(),
        }
    }
}

/// Locks, also after a panic elsewhere: these locks protect a few counts and lists, changed by code that does not panic
/// half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
