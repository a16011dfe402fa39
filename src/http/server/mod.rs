//! The listener, its connections, and every limit and deadline they are held to.
//!
//! Plain threads and blocking sockets: one thread serves one connection at a time and runs its
//! handlers, out of a pool that grows to a cap and shrinks when nobody comes. HTTP/1 itself is
//! hyper's, and this is the only file that names it.
//!
//! # How hyper runs on a blocking socket
//!
//! hyper never touches the socket to read. Its `poll_read` takes bytes that were let through, or
//! notes that there are none and is pending. The driver (`serve`) polls hyper with a waker that
//! does nothing; whenever hyper is pending and wanted bytes, the driver does one blocking read with
//! the time left of the phase the connection is in, and lets through what `framing` accepts: the
//! head of one request and its body, never a byte of the next. Reading inside `poll_read` looks
//! simpler and is wrong: an expected `100 Continue` is not sent until the read returns, and a head
//! that drips in is never cut off, because hyper is inside the read and not at its deadline.
//!
//! Since a request is let through only as a whole head, what hyper would forgive does not reach
//! it. A request that is refused (malformed, too large, too late) is answered by hyper all the
//! same: it is handed a blank request in its place, whose answer is the refusal. So there is one
//! writer of responses, and one that closes the connection after a refusal.
//!
//! # Threads
//!
//! Handlers block, on the disk above all, so each connection has a thread. How many there may be,
//! and who is shown out for whom at the cap, is `connections`'s to say; a newcomer is turned away with a
//! 503 only while every handler is busy. A thread without a connection waits a while for the next
//! and then ends.
//!
//! # What never happens here
//!
//! No wait without a deadline, no buffer without a bound, no failure that ends the accept loop, no
//! panic that ends more than its request. No byte of a client's reaches the log.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use hyper::body::{Body as _, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderName, HeaderValue, TRANSFER_ENCODING};
use hyper::rt::ReadBufCursor;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, StatusCode, Uri};
use ipnet::IpNet;
use serde::Serialize;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

mod accept;
mod connection;
mod connections;
mod framing;
mod hyper_io;

use crate::clock::monotonic;
use crate::http::request::{Method, Request};
use crate::http::response::Response;
use accept::start_thread;
use connections::{Connection, Connections, Phase};
use framing::{Body, Chunks, End, Refusal};

/// What a server allows. The defaults are safe on the internet and fit a machine of 48 MiB.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections served at a time, and so threads. 512 by default: each costs about 40 KiB once
    /// used, and no app that one file serves has more clients at a time. At least 1.
    pub max_connections: usize,
    /// Connections of one IPv4 address or one IPv6 /64 (what one customer is given) at a time.
    /// 64 by default: a household behind one address, not a botnet's whole member.
    pub per_address: usize,
    /// Networks that `per_address` is not for: reverse proxies, behind which everybody has one
    /// address. Loopback is always exempt.
    pub exempt: Vec<IpNet>,
    /// Bytes of a request's head. 16 KiB by default: cookies and a long query fit, and every
    /// connection can make the server hold that much. At least 1 KiB.
    pub head_bytes: usize,
    /// Bytes of a request's body. 64 KiB by default: the largest thing that authd is sent is a
    /// form of a few hundred bytes.
    pub body_bytes: usize,
    /// From the first byte of a head (for the first request: from the accept) to its last, in
    /// total. 10 s by default: a head is one packet or two, and resending one takes seconds.
    pub head_deadline: Duration,
    /// From the end of the head to the end of the body, in total. 15 s by default.
    pub body_deadline: Duration,
    /// How long a connection may stay without a request. 60 s by default: what most clients and
    /// proxies keep connections for.
    pub idle: Duration,
    /// For a whole response to be taken by the client's side. 15 s by default.
    pub write_deadline: Duration,
    /// How long requests that have begun may take to end after [`Stop::stop`]. 10 s by default:
    /// what service managers grant before they kill.
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

/// Makes the answers that the server gives without asking a handler: status, a stable code for
/// programs, a sentence for people. Statuses are 400, 405, 408, 413, 414, 417, 431, 500, 501, 503
/// and 505.
pub type Refuse = fn(status: u16, code: &'static str, detail: &'static str) -> Response;

/// The default [`Refuse`]: problem details (RFC 9457) with `code` as an extension member.
pub fn problem(status: u16, code: &'static str, detail: &'static str) -> Response {
    #[derive(Serialize)]
    struct Problem {
        r#type: &'static str,
        title: &'static str,
        status: u16,
        code: &'static str,
        detail: &'static str,
    }
    let title = StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Error");
    let problem = Problem {
        r#type: "about:blank",
        title,
        status,
        code,
        detail,
    };
    // Five plain members always have a JSON form.
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    Response::new(status)
        .header("content-type", "application/problem+json")
        .with_body(body)
}

/// A bound address that does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    limits: Limits,
    refuse: Refuse,
}

impl Server {
    /// Binds `address`; port 0 takes a free one. From here on the system queues connections, and
    /// [`Server::run`] serves them. `[::]` takes IPv4 as well.
    ///
    /// # Errors
    /// What the system says: the address is taken, not this machine's, or reserved.
    pub fn bind(address: SocketAddr, limits: Limits) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        // A restart must not wait until the connections of the process before are forgotten.
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
            refuse: problem,
        })
    }

    /// The same server, which lets `refuse` word the answers that no handler gives.
    #[must_use]
    pub fn with_refuse(mut self, refuse: Refuse) -> Self {
        self.refuse = refuse;
        self
    }

    /// The address that was bound, with its port.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`. `handler` is called from many threads at a time, each with
    /// 512 KiB of stack; a panic in it is a 500 for that request and nothing else. It is dropped
    /// before this returns, unless connections had to be abandoned.
    ///
    /// # Errors
    /// When not even a first thread can be started. Everything that goes wrong later is survived.
    pub fn run(
        self,
        handler: impl Fn(Request) -> Response + Send + Sync + 'static,
        stop: Stop,
    ) -> io::Result<Drained> {
        let (standing, gone) = mpsc::channel();
        let engine = Arc::new(Engine::new(self, Box::new(handler), standing));
        start_thread(&engine, None)?;
        stop.watch(&engine);
        engine.receive();
        let drained = engine.drain();
        drop(engine);
        if drained.abandoned == 0 {
            // A thread that has left the state still holds the engine for a moment; but whoever
            // called may rely on the handler, and all that it holds, being gone.
            let _ = gone.recv_timeout(LINGER);
        }
        Ok(drained)
    }
}

/// How a server came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were cut off because their request had not ended in time.
    pub abandoned: usize,
}

/// Ends every server that was given a clone of it. Stopping before [`Server::run`] makes it return
/// at once; stopping twice is stopping once.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<StopState>);

#[derive(Debug, Default)]
struct StopState {
    stopped: AtomicBool,
    engines: Mutex<Vec<Weak<Engine>>>,
}

impl Stop {
    /// One that has not been used.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes [`Server::run`] take no more connections, close the idle ones, let requests that have
    /// begun end (their answers say `Connection: close`) for at most [`Limits::drain`], and
    /// return. Returns at once itself; not for use inside a signal handler.
    pub fn stop(&self) {
        self.0.stopped.store(true, SeqCst);
        for engine in lock(&self.0.engines).iter().filter_map(Weak::upgrade) {
            engine.close();
        }
    }

    fn watch(&self, engine: &Arc<Engine>) {
        lock(&self.0.engines).push(Arc::downgrade(engine));
        if self.0.stopped.load(SeqCst) {
            engine.close();
        }
    }
}

/// Connections the system may hold ready while the accept loop is busy: a burst of clients that
/// reconnect after a restart is no reason to refuse any.
const BACKLOG: i32 = 1024;

/// Below this no browser's head fits.
const MIN_HEAD_BYTES: usize = 1024;

/// Handlers run SQLite and JSON on these threads; the engine itself is content with 32 KiB. Only
/// what is touched becomes memory.
const STACK_BYTES: usize = 512 * 1024;

/// How long a thread waits for another connection before it ends, so that a server that nobody
/// uses is small again.
const RETIRE: Duration = Duration::from_secs(10);

/// How long the accept loop rests after an accept failed, unless a connection ends before (and
/// with it gives back what was lacking).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A fault that recurs is logged once in this time.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// What is read and thrown away after a refusal, at most, and for how long: a socket that is closed
/// with unread bytes in it resets the connection, and the client never sees the answer
/// (RFC 9112 §9.6).
const LINGER_BYTES: usize = 256 * 1024;
const LINGER: Duration = Duration::from_secs(1);

/// Connections turned away at the acceptor that are kept for [`LINGER`], for the same reason.
const TURNED_AWAY: usize = 32;

/// Polls of the engine without a byte moved before it counts as stuck. It needs two or three.
const MAX_IDLE_POLLS: u32 = 100;

/// What stands in the place of a refused request: valid, and with nothing of the client's in it.
const BLANK_HEAD: &[u8] = b"GET / HTTP/1.1\r\nhost: refused\r\n\r\n";
const BLANK_HEAD_OF_HEAD: &[u8] = b"HEAD / HTTP/1.1\r\nhost: refused\r\n\r\n";

const HEAD_TOO_LARGE: Refusal =
    Refusal::new(431, "head_too_large", "The request's head is too large.");
const TARGET_TOO_LONG: Refusal =
    Refusal::new(414, "target_too_long", "The request's target is too long.");
const TOO_LATE: Refusal = Refusal::new(
    408,
    "request_timeout",
    "The request did not arrive in time.",
);
const CUT_SHORT: Refusal = Refusal::new(
    400,
    "malformed_request",
    "The request ended before it was complete.",
);
const BROKEN_BODY: Refusal = Refusal::new(
    400,
    "malformed_request",
    "The request's body could not be read.",
);
const PANICKED: Refusal = Refusal::new(
    500,
    "server_error",
    "The request could not be answered. The fault is in the server and has been logged.",
);
const FULL: Refusal = Refusal::new(
    503,
    "overloaded",
    "All connections are in use. Try again in a moment.",
);
const CROWDED: Refusal = Refusal::new(
    503,
    "too_many_connections",
    "There are too many connections from this address.",
);

type Handler = Box<dyn Fn(Request) -> Response + Send + Sync>;

/// What all threads of a running server share.
struct Engine {
    listener: TcpListener,
    limits: Limits,
    handler: Handler,
    refuse: Refuse,
    http: http1::Builder,
    closing: AtomicBool,
    state: Mutex<State>,
    /// Told when a connection waits for a thread, or the engine closes.
    arrived: Condvar,
    /// Told when a connection or a thread has ended, or the engine closes.
    left: Condvar,
    /// Dropped after everything else: tells [`Server::run`] that the handler is gone.
    _standing: Sender<Infallible>,
}

/// Who is in, and who serves.
struct State {
    connections: Connections,
    /// Connections without a thread yet. Never more than there are free threads, and threads whose
    /// connection has been shown out.
    queue: VecDeque<Arc<Connection>>,
    /// Threads, whether they serve, wait, or are on their way from one to the other. Where there
    /// are more of them than connections, one is free or about to be.
    threads: usize,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl Engine {
    fn new(server: Server, handler: Handler, standing: Sender<Infallible>) -> Self {
        let mut http = http1::Builder::new();
        http.half_close(true)
            .header_read_timeout(None)
            // The engine is shown whole heads within the limit, so its own must be out of reach.
            .max_buf_size(2 * server.limits.head_bytes.max(32 * 1024));
        Self {
            listener: server.listener,
            limits: server.limits,
            handler,
            refuse: server.refuse,
            http,
            closing: AtomicBool::new(false),
            state: Mutex::new(State {
                connections: Connections::new(),
                queue: VecDeque::new(),
                threads: 0,
            }),
            arrived: Condvar::new(),
            left: Condvar::new(),
            _standing: standing,
        }
    }

    fn refused(&self, refusal: Refusal) -> Response {
        (self.refuse)(refusal.status, refusal.code, refusal.detail)
    }

    fn is_closing(&self) -> bool {
        self.closing.load(SeqCst)
    }
}

/// A lock that a panic elsewhere has not spoilt: what these protect is a few counts and lists,
/// changed by code that does not panic half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::accept::Acceptor;
    use super::connection::is_near;
    use super::*;

    fn engine(limits: Limits, handler: Handler) -> (Arc<Engine>, Acceptor) {
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), limits).unwrap();
        let (standing, _) = std::sync::mpsc::channel();
        let engine = Arc::new(Engine::new(server, handler, standing));
        let acceptor = Acceptor::new(&engine);
        (engine, acceptor)
    }

    /// A connection that the acceptor takes for one from `peer`; its other end.
    fn arrive(engine: &Arc<Engine>, acceptor: &mut Acceptor, peer: &str) -> TcpStream {
        let ours = TcpStream::connect(engine.listener.local_addr().unwrap()).unwrap();
        let (theirs, _) = engine.listener.accept().unwrap();
        engine.admit(theirs, peer.parse().unwrap(), acceptor);
        ours
    }

    fn count(engine: &Engine) -> usize {
        lock(&engine.state).connections.count()
    }

    fn end(engine: &Engine) {
        engine.close();
        assert_eq!(engine.drain(), Drained { abandoned: 0 });
    }

    #[test]
    fn within_the_cap_of_an_address_its_own_connections_make_room() {
        let limits = Limits {
            per_address: 2,
            ..Limits::default()
        };
        let (engine, mut acceptor) = engine(limits, Box::new(|_| Response::new(200)));
        let mut neighbour = arrive(&engine, &mut acceptor, "203.0.113.8");
        let mut first = arrive(&engine, &mut acceptor, "203.0.113.7");
        let _second = arrive(&engine, &mut acceptor, "203.0.113.7");
        assert_eq!(count(&engine), 3);
        let _third = arrive(&engine, &mut acceptor, "203.0.113.7");
        assert_eq!(first.read(&mut [0]).unwrap(), 0);
        neighbour
            .write_all(b"GET / HTTP/1.0\r\n\r\n")
            .and_then(|()| neighbour.read_to_end(&mut Vec::new()))
            .unwrap();
        end(&engine);
    }

    #[test]
    fn an_address_whose_connections_are_all_busy_is_turned_away() {
        let limits = Limits {
            per_address: 2,
            ..Limits::default()
        };
        let barrier = Arc::new(Barrier::new(3));
        let handler = {
            let barrier = Arc::clone(&barrier);
            move |_| {
                barrier.wait();
                barrier.wait();
                Response::new(204)
            }
        };
        let (engine, mut acceptor) = engine(limits, Box::new(handler));
        // Two addresses of one customer's network.
        let busy = ["2001:db8::1", "2001:db8::2"].map(|peer| {
            let mut client = arrive(&engine, &mut acceptor, peer);
            client.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
            client
        });
        barrier.wait();
        let mut refused = String::new();
        arrive(&engine, &mut acceptor, "2001:db8::3")
            .read_to_string(&mut refused)
            .unwrap();
        assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
        assert!(refused.contains("too_many_connections"), "{refused}");
        barrier.wait();
        for mut client in busy {
            let mut answer = String::new();
            client.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.0 204 "), "{answer}");
        }
        end(&engine);
    }

    #[test]
    fn loopback_and_named_networks_have_no_cap_of_their_own() {
        let limits = Limits {
            per_address: 1,
            exempt: vec!["198.51.100.0/24".parse().unwrap()],
            ..Limits::default()
        };
        let (engine, mut acceptor) = engine(limits, Box::new(|_| Response::new(200)));
        let _clients: Vec<_> = ["198.51.100.1", "127.0.0.1", "::1", "198.51.100.1"]
            .iter()
            .cycle()
            .take(12)
            .map(|peer| arrive(&engine, &mut acceptor, peer))
            .collect();
        assert_eq!(count(&engine), 12);
        let state = lock(&engine.state);
        assert!(
            state
                .connections
                .iter()
                .all(|connection| connection.phase() != Phase::ShownOut)
        );
        drop(state);
        end(&engine);
    }

    #[test]
    fn a_timeout_is_set_again_only_when_it_no_longer_serves() {
        let seconds = Duration::from_secs;
        assert!(is_near(seconds(60), seconds(60)));
        assert!(is_near(seconds(8), seconds(9)));
        assert!(!is_near(seconds(60), seconds(10)));
        assert!(!is_near(seconds(10), seconds(60)));
        assert!(!is_near(Duration::ZERO, Duration::from_millis(1)));
    }
}
