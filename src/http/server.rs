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
//! and who is shown out for whom at the cap, is `guests`'s to say; a newcomer is turned away with a
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

use super::framing::{self, Body, Chunks, End, Refusal};
use super::guests::{Guest, Guests, Phase};
use super::message::{Method, Request, Response};
use crate::clock::monotonic;

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
        let house = Arc::new(House::new(self, Box::new(handler), standing));
        start_thread(&house, None)?;
        stop.watch(&house);
        house.receive();
        let drained = house.drain();
        drop(house);
        if drained.abandoned == 0 {
            // A thread that has left the room still holds the house for a moment; but whoever
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
    houses: Mutex<Vec<Weak<House>>>,
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
        for house in lock(&self.0.houses).iter().filter_map(Weak::upgrade) {
            house.close();
        }
    }

    fn watch(&self, house: &Arc<House>) {
        lock(&self.0.houses).push(Arc::downgrade(house));
        if self.0.stopped.load(SeqCst) {
            house.close();
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
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(60);

/// What is read and thrown away after a refusal, at most, and for how long: a socket that is closed
/// with unread bytes in it resets the connection, and the client never sees the answer
/// (RFC 9112 §9.6).
const LINGER_BYTES: usize = 256 * 1024;
const LINGER: Duration = Duration::from_secs(1);

/// Connections turned away at the door that are kept for [`LINGER`], for the same reason.
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
struct House {
    listener: TcpListener,
    limits: Limits,
    handler: Handler,
    refuse: Refuse,
    http: http1::Builder,
    closing: AtomicBool,
    room: Mutex<Room>,
    /// Told when a connection waits for a thread, or the house closes.
    arrived: Condvar,
    /// Told when a connection or a thread has ended, or the house closes.
    left: Condvar,
    /// Dropped after everything else: tells [`Server::run`] that the handler is gone.
    _standing: Sender<Infallible>,
}

/// Who is in, and who serves.
struct Room {
    guests: Guests,
    /// Guests without a thread yet. Never more than there are free threads, and threads whose
    /// guest has been shown out.
    queue: VecDeque<Arc<Guest>>,
    /// Threads, whether they serve, wait, or are on their way from one to the other. Where there
    /// are more of them than guests, one is free or about to be.
    threads: usize,
}

impl std::fmt::Debug for House {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("House").finish_non_exhaustive()
    }
}

impl House {
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
            room: Mutex::new(Room {
                guests: Guests::new(),
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

// The door: accepting connections and finding room for them.
impl House {
    /// Accepts until the house closes. Nothing else ends it.
    fn receive(self: &Arc<Self>) {
        let mut door = Door::new(self);
        loop {
            let accepted = self.listener.accept();
            if self.is_closing() {
                return;
            }
            match accepted {
                Ok((socket, address)) => self.admit(socket, address.ip().to_canonical(), &mut door),
                // The client was gone before it was looked at.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::ConnectionAborted | ErrorKind::Interrupted
                    ) => {}
                // Out of descriptors or memory. The connection stays in the system's queue.
                Err(error) => {
                    door.complaint.make("connections can't be accepted", &error);
                    door.turned_away.clear();
                    let room = lock(&self.room);
                    drop(self.left.wait_timeout(room, ACCEPT_PAUSE));
                }
            }
        }
    }

    fn admit(self: &Arc<Self>, socket: TcpStream, peer: IpAddr, door: &mut Door) {
        // Answers are written whole; waiting for more to send with them would only delay them. It
        // fails if the client is gone already, which its thread will notice.
        let _ = socket.set_nodelay(true);
        let mut room = lock(&self.room);
        let guest = room.guests.greet(socket, peer);

        let crowded =
            !self.is_exempt(peer) && room.guests.count_like(peer) >= self.limits.per_address;
        if crowded && !room.guests.show_out(|other| other.is_like(peer)) {
            drop(room);
            return door.turn_away(guest, &CROWDED);
        }
        // Whoever was shown out leaves a thread behind.
        let full = room.threads >= self.limits.max_connections;
        let waits = crowded
            || room.guests.count() < room.threads
            || (full && room.guests.show_out(|_| true));
        if !waits && full {
            drop(room);
            return door.turn_away(guest, &FULL);
        }
        room.guests.enter(&guest);
        if waits {
            room.queue.push_back(guest);
            self.arrived.notify_one();
            return;
        }
        drop(room);
        if let Err(error) = start_thread(self, Some(Arc::clone(&guest))) {
            door.complaint.make("a thread can't be started", &error);
            self.do_without_thread(guest, door);
        }
    }

    /// The system grants no more threads: as many as there are, are the cap.
    fn do_without_thread(&self, guest: Arc<Guest>, door: &mut Door) {
        let mut room = lock(&self.room);
        if room.guests.show_out(|other| !std::ptr::eq(other, &*guest)) {
            room.queue.push_back(guest);
            self.arrived.notify_one();
        } else {
            room.guests.leave(&guest);
            drop(room);
            door.turn_away(guest, &FULL);
        }
    }

    fn is_exempt(&self, peer: IpAddr) -> bool {
        peer.is_loopback() || self.limits.exempt.iter().any(|net| net.contains(&peer))
    }
}

/// What the accept loop has at hand besides the house.
struct Door {
    /// Written beforehand: the accept loop must not run other people's code, or wait for it.
    full: Vec<u8>,
    crowded: Vec<u8>,
    turned_away: VecDeque<Arc<Guest>>,
    complaint: Complaint,
}

impl Door {
    fn new(house: &House) -> Self {
        Self {
            full: plain(house.refused(FULL)),
            crowded: plain(house.refused(CROWDED)),
            turned_away: VecDeque::new(),
            complaint: Complaint::default(),
        }
    }

    /// Answers without reading and without waiting: the answer fits the empty buffer of a new
    /// socket.
    fn turn_away(&mut self, guest: Arc<Guest>, refusal: &Refusal) {
        let answer = if *refusal == CROWDED {
            &self.crowded
        } else {
            &self.full
        };
        tracing::debug!(peer = %guest.peer, code = refusal.code, "turned away");
        if guest.socket.set_nonblocking(true).is_ok() {
            let _ = (&guest.socket).write_all(answer);
        }
        guest.end(Shutdown::Write);
        let now = guest.accepted;
        self.turned_away
            .retain(|other| now.saturating_duration_since(other.accepted) < LINGER);
        if self.turned_away.len() == TURNED_AWAY {
            self.turned_away.pop_front();
        }
        self.turned_away.push_back(guest);
    }
}

/// A fault that is logged when it begins, and then no more than now and again.
#[derive(Default)]
struct Complaint {
    last: Option<Instant>,
    unsaid: u64,
}

impl Complaint {
    fn make(&mut self, what: &'static str, error: &io::Error) {
        let now = monotonic();
        if self
            .last
            .is_some_and(|last| now.saturating_duration_since(last) < COMPLAINT_INTERVAL)
        {
            self.unsaid += 1;
            return;
        }
        tracing::warn!(%error, unsaid = self.unsaid, "{what}");
        *self = Self {
            last: Some(now),
            unsaid: 0,
        };
    }
}

// The end.
impl House {
    fn close(&self) {
        self.closing.store(true, SeqCst);
        // Under the lock, so that nobody who has just looked at `closing` misses the call.
        let room = lock(&self.room);
        self.arrived.notify_all();
        self.left.notify_all();
        drop(room);
        // Wakes the accept loop (Linux: a listener that is shut down fails in accept), and needs
        // no descriptor to do so.
        let _ = SockRef::from(&self.listener).shutdown(Shutdown::Both);
    }

    fn drain(&self) -> Drained {
        let until = monotonic() + self.limits.drain;
        let mut room = lock(&self.room);
        for guest in room.guests.iter() {
            if guest.phase() == Phase::Waiting {
                // For reading only: a request that has arrived and was not looked at yet is still
                // read and answered.
                guest.end(Shutdown::Read);
            }
        }
        while room.guests.count() > 0 || room.threads > 0 {
            let left = until.saturating_duration_since(monotonic());
            if left.is_zero() {
                break;
            }
            room = self
                .left
                .wait_timeout(room, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        for guest in room.guests.iter() {
            guest.end(Shutdown::Both);
        }
        Drained {
            abandoned: room.guests.count(),
        }
    }
}

// The threads.

/// Starts a thread that serves `first` and then whoever waits.
fn start_thread(house: &Arc<House>, first: Option<Arc<Guest>>) -> io::Result<()> {
    lock(&house.room).threads += 1;
    let shared = Arc::clone(house);
    let started = thread::Builder::new()
        .name("http".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(move || work(&shared, first));
    if started.is_err() {
        lock(&house.room).threads -= 1;
    }
    started.map(drop)
}

fn work(house: &House, first: Option<Arc<Guest>>) {
    let mut inbox = vec![0; house.limits.head_bytes];
    let mut next = first.or_else(|| house.next_guest());
    while let Some(guest) = next {
        // Handlers have their own net; this one is for the engine's panics, and keeps the count
        // of connections and threads right.
        if catch_unwind(AssertUnwindSafe(|| serve(house, &guest, &mut inbox))).is_err() {
            tracing::error!("a connection was dropped because of a panic");
        }
        lock(&house.room).guests.leave(&guest);
        // Closed before anybody is told, who may have been waiting for the descriptor.
        drop(guest);
        house.left.notify_all();
        next = house.next_guest();
    }
    house.left.notify_all();
}

impl House {
    /// The next connection for this thread; `None` when it is to end, and is then no longer
    /// counted.
    fn next_guest(&self) -> Option<Arc<Guest>> {
        let mut room = lock(&self.room);
        let until = monotonic() + RETIRE;
        loop {
            if let Some(guest) = room.queue.pop_front() {
                return Some(guest);
            }
            let left = until.saturating_duration_since(monotonic());
            if left.is_zero() || self.is_closing() {
                room.threads -= 1;
                return None;
            }
            room = self
                .arrived
                .wait_timeout(room, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

/// Serves one connection to its end.
fn serve(house: &House, guest: &Guest, inbox: &mut [u8]) {
    let wire = RefCell::new(Wire::new(house, guest, inbox));
    {
        let service = service_fn(|request| answer(house, guest, &wire, request));
        let mut connection = pin!(house.http.serve_connection(Line(&wire), service));
        let mut context = Context::from_waker(Waker::noop());
        let mut idle_polls = 0;
        loop {
            match connection.as_mut().poll(&mut context) {
                Poll::Ready(Ok(())) => break,
                Poll::Ready(Err(error)) => {
                    tracing::debug!(peer = %guest.peer, %error, "connection failed");
                    break;
                }
                Poll::Pending => {}
            }
            let mut wire = wire.borrow_mut();
            if std::mem::take(&mut wire.hungry) {
                idle_polls = 0;
                if !wire.feed() {
                    break;
                }
            } else {
                idle_polls += 1;
                if idle_polls > MAX_IDLE_POLLS {
                    tracing::error!("the HTTP engine waits for nothing; connection dropped");
                    break;
                }
            }
        }
    }
    wire.into_inner().leave();
}

/// One connection's bytes and deadlines.
struct Wire<'a> {
    house: &'a House,
    guest: &'a Guest,
    /// What was received and not yet taken by the engine is `start..end`; the engine may have
    /// `start..shown`.
    inbox: &'a mut [u8],
    start: usize,
    shown: usize,
    end: usize,
    /// Bytes of the head that were searched for its end, from `start`.
    seen: usize,
    stage: Stage,
    /// When the phase began whose deadline is running.
    since: Instant,
    /// The engine wanted bytes and there were none to have.
    hungry: bool,
    /// The engine has been shown a request that is not answered yet.
    owing: bool,
    /// A request was completed on this connection.
    known: bool,
    /// Once set, the answer to it is the last.
    refusal: Option<Refusal>,
    /// The receive and send timeouts the socket has.
    receive_timeout: Duration,
    send_timeout: Duration,
    /// When the answer that is being written was begun.
    sending: Option<Instant>,
}

/// What is to come next from the client.
#[derive(Debug)]
enum Stage {
    Head,
    Length { left: usize },
    Chunked(Chunks),
}

/// How a wait for bytes ended.
enum Received {
    Bytes,
    Late,
    Ended,
}

impl<'a> Wire<'a> {
    fn new(house: &'a House, guest: &'a Guest, inbox: &'a mut [u8]) -> Self {
        Self {
            house,
            guest,
            inbox,
            start: 0,
            shown: 0,
            end: 0,
            seen: 0,
            stage: Stage::Head,
            since: guest.accepted,
            hungry: false,
            owing: false,
            known: false,
            refusal: None,
            receive_timeout: Duration::ZERO,
            send_timeout: Duration::ZERO,
            sending: None,
        }
    }

    /// Gets the engine something to go on with: more of a request, or a refusal. `false`: the
    /// connection is over.
    fn feed(&mut self) -> bool {
        if self.refusal.is_some() || !self.expect() {
            return false;
        }
        loop {
            match self.show() {
                Ok(true) => return true,
                Ok(false) => {}
                Err(refusal) => {
                    self.refuse(refusal);
                    return true;
                }
            }
            let idle = matches!(self.stage, Stage::Head) && self.start == self.end;
            match self.receive(idle) {
                Received::Bytes => {}
                // Nobody waits for an answer to nothing.
                Received::Late | Received::Ended if idle => return false,
                Received::Late => self.refuse(TOO_LATE),
                Received::Ended => self.refuse(CUT_SHORT),
            }
            if self.refusal.is_some() {
                return true;
            }
        }
    }

    /// Prepares to wait for the next request, where that is what the engine wants.
    fn expect(&mut self) -> bool {
        if !matches!(self.stage, Stage::Head) {
            return true;
        }
        if self.owing {
            // It was shown the whole request: it sees another end than we do.
            tracing::error!("the HTTP engine disagrees about the end of a request");
            return false;
        }
        if self.known {
            self.since = monotonic();
        }
        if !self.enter(Phase::Waiting) {
            return false;
        }
        if self.house.is_closing() {
            // What has arrived is still read, and answered with `Connection: close`.
            self.guest.end(Shutdown::Read);
        }
        true
    }

    /// Shows the engine what it may have of the bytes at hand; `false` if that is nothing yet.
    fn show(&mut self) -> Result<bool, Refusal> {
        if matches!(self.stage, Stage::Head) && !self.show_head()? {
            return Ok(false);
        }
        let bytes = &self.inbox[self.shown..self.end];
        let (taken, ended) = match &mut self.stage {
            Stage::Head => (0, true),
            Stage::Length { left } => {
                let taken = bytes.len().min(*left);
                *left -= taken;
                (taken, *left == 0)
            }
            Stage::Chunked(chunks) => {
                let taken = chunks.follow(bytes)?;
                (taken, chunks.ended())
            }
        };
        self.shown += taken;
        if ended {
            self.stage = Stage::Head;
        }
        Ok(self.shown > self.start)
    }

    fn show_head(&mut self) -> Result<bool, Refusal> {
        // RFC 9112 §2.2: empty lines before a request, which some clients send after a body.
        while self.inbox[self.start..self.end].starts_with(b"\r\n") {
            self.start += 2;
        }
        let bytes = &self.inbox[self.start..self.end];
        if bytes.is_empty() || bytes == b"\r" {
            return Ok(false);
        }
        let length = match framing::find_end(bytes, self.seen) {
            End::At(length) => length,
            End::NotYet if bytes.len() < self.house.limits.head_bytes => {
                let began = self.seen == 0;
                self.seen = bytes.len();
                if began {
                    self.begin_receiving();
                }
                return Ok(false);
            }
            End::NotYet if bytes.contains(&b'\n') => return Err(HEAD_TOO_LARGE),
            End::NotYet => return Err(TARGET_TOO_LONG),
            End::Refused(refusal) => return Err(refusal),
        };
        let body_limit = self.house.limits.body_bytes;
        let body = framing::judge(&bytes[..length], body_limit)?;
        self.seen = 0;
        self.shown = self.start + length;
        self.owing = true;
        self.stage = match body {
            Body::None => Stage::Head,
            Body::Length(left) => Stage::Length { left },
            Body::Chunked => Stage::Chunked(Chunks::new(body_limit)),
        };
        if !matches!(self.stage, Stage::Head) {
            self.since = monotonic();
            self.enter(Phase::Receiving);
        }
        Ok(true)
    }

    /// A head has begun and is not complete. The deadline of a connection's first head runs from
    /// the accept.
    fn begin_receiving(&mut self) {
        if self.known {
            self.since = monotonic();
        }
        self.enter(Phase::Receiving);
    }

    /// One blocking read within what is left of the phase. The engine has taken everything it was
    /// shown.
    fn receive(&mut self, idle: bool) -> Received {
        if self.start == self.end {
            (self.start, self.shown, self.end) = (0, 0, 0);
        } else if self.end == self.inbox.len() {
            self.inbox.copy_within(self.start..self.end, 0);
            (self.start, self.shown, self.end) = (0, 0, self.end - self.start);
        }
        let limits = &self.house.limits;
        let allowed = match self.stage {
            Stage::Head if idle && self.known => limits.idle,
            Stage::Head => limits.head_deadline,
            Stage::Length { .. } | Stage::Chunked(_) => limits.body_deadline,
        };
        loop {
            let left = allowed.saturating_sub(self.since.elapsed());
            if left.is_zero() || !self.limit_receiving(left) {
                return Received::Late;
            }
            match (&self.guest.socket).read(&mut self.inbox[self.end..]) {
                Ok(0) => return Received::Ended,
                Ok(count) => {
                    self.end += count;
                    return Received::Bytes;
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                    ) => {}
                Err(_) => return Received::Ended,
            }
        }
    }

    /// Sets the socket's timeout, unless it is near `left` already: on a busy connection it always
    /// is, and this costs no system call. Waking too early is only a turn of the loop.
    fn limit_receiving(&mut self, left: Duration) -> bool {
        if is_near(self.receive_timeout, left) {
            return true;
        }
        self.receive_timeout = left;
        self.guest.socket.set_read_timeout(Some(left)).is_ok()
    }

    /// Puts a refusal in the place of the request that is being received.
    fn refuse(&mut self, refusal: Refusal) {
        tracing::debug!(peer = %self.guest.peer, code = refusal.code, "request refused");
        self.refusal = Some(refusal);
        if self.owing {
            // The engine has the head and waits for the body; `answer` looks here before it does.
            return;
        }
        let received = &self.inbox[self.start..self.end];
        let blank = if received.starts_with(b"HEAD ") {
            BLANK_HEAD_OF_HEAD
        } else {
            BLANK_HEAD
        };
        self.inbox[..blank.len()].copy_from_slice(blank);
        (self.start, self.shown, self.end) = (0, blank.len(), blank.len());
        self.owing = true;
    }

    fn enter(&self, phase: Phase) -> bool {
        self.guest.enter(phase, self.known, self.since)
    }

    /// Writes with what is left of the response's deadline.
    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let allowed = self.house.limits.write_deadline;
        loop {
            let now = monotonic();
            let began = *self.sending.get_or_insert(now);
            let left = allowed.saturating_sub(now - began);
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            if !is_near(self.send_timeout, left) {
                self.guest.socket.set_write_timeout(Some(left))?;
                self.send_timeout = left;
            }
            match (&self.guest.socket).write(bytes) {
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                sent => return sent,
            }
        }
    }

    /// Ends the connection so that the last answer arrives: where the client may have sent more
    /// than was read, our side is closed first and theirs read for a while.
    fn leave(mut self) {
        if self.refusal.is_none() && self.start == self.end {
            return;
        }
        self.since = monotonic();
        self.guest.end(Shutdown::Write);
        if !self.enter(Phase::Receiving) {
            return;
        }
        let mut room = LINGER_BYTES;
        loop {
            let left = LINGER.saturating_sub(self.since.elapsed());
            if left.is_zero() || !self.limit_receiving(left) {
                return;
            }
            match (&self.guest.socket).read(self.inbox) {
                Ok(0) => return,
                Ok(count) if count < room => room -= count,
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                _ => return,
            }
        }
    }
}

/// Whether a socket timeout serves for a wait of `left`: at most an eighth longer, and not so
/// short that it has to be waited for again and again.
fn is_near(timeout: Duration, left: Duration) -> bool {
    timeout <= left + left / 8 && timeout >= left - left / 4
}

/// The wire as hyper sees it. Reading never waits; writing does, within the response's deadline.
struct Line<'w, 'a>(&'w RefCell<Wire<'a>>);

impl hyper::rt::Read for Line<'_, '_> {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut wire = self.0.borrow_mut();
        let count = into.remaining().min(wire.shown - wire.start);
        if count == 0 {
            wire.hungry = true;
            return Poll::Pending;
        }
        let start = wire.start;
        into.put_slice(&wire.inbox[start..start + count]);
        wire.start += count;
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Line<'_, '_> {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(self.0.borrow_mut().send(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().sending = None;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // `Wire::leave` closes, once it knows what was left unread.
        Poll::Ready(Ok(()))
    }
}

/// What hyper calls for each request: waits for the body, runs the handler, hands back its answer.
async fn answer(
    house: &House,
    guest: &Guest,
    wire: &RefCell<Wire<'_>>,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<Whole>, Infallible> {
    let (head, body) = request.into_parts();
    let is_head = head.method == hyper::Method::HEAD;
    let response = match collect(wire, body).await {
        Ok(body) => {
            wire.borrow_mut().known = true;
            if wire.borrow().enter(Phase::Handling) {
                let request = translate(&head.method, &head.uri, &head.headers, body, guest.peer);
                catch_unwind(AssertUnwindSafe(|| (house.handler)(request))).unwrap_or_else(|_| {
                    tracing::error!(peer = %guest.peer, "a handler panicked");
                    house.refused(PANICKED)
                })
            } else {
                // Shown out while the last bytes arrived: nobody is there to read the answer.
                wire.borrow_mut().refusal = Some(FULL);
                Response::new(FULL.status)
            }
        }
        Err(refusal) => {
            wire.borrow_mut().refusal = Some(refusal);
            house.refused(refusal)
        }
    };
    let mut wire = wire.borrow_mut();
    wire.owing = false;
    guest.enter(Phase::Answering, wire.known, monotonic());
    let close = wire.refusal.is_some() || house.is_closing();
    Ok(render(response, is_head, close))
}

/// The whole body, or why there will be none.
async fn collect(wire: &RefCell<Wire<'_>>, mut body: Incoming) -> Result<Vec<u8>, Refusal> {
    let mut whole = Vec::new();
    loop {
        let frame = std::future::poll_fn(|context| {
            if let Some(refusal) = wire.borrow().refusal {
                return Poll::Ready(Err(refusal));
            }
            if body.is_end_stream() {
                return Poll::Ready(Ok(None));
            }
            Pin::new(&mut body).poll_frame(context).map(Ok)
        })
        .await?;
        match frame {
            None => return Ok(whole),
            Some(Err(_)) => return Err(BROKEN_BODY),
            // Framing has counted every byte already. Trailers are nobody's business.
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    whole.extend_from_slice(&data);
                }
            }
        }
    }
}

fn translate(
    method: &hyper::Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: Vec<u8>,
    peer: IpAddr,
) -> Request {
    let mut request = Request::new(Method::from_name(method.as_str()), uri.path());
    request.query = uri.query().map(str::to_owned);
    request.peer = peer;
    request.body = body;
    let bytes = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len();
    request.reserve_headers(headers.len(), headers.iter().map(bytes).sum());
    for (name, value) in headers {
        request.push_header(name.as_str().as_bytes(), value.as_bytes());
    }
    request
}

fn render(response: Response, is_head: bool, close: bool) -> hyper::Response<Whole> {
    let status = status(&response);
    let (fields, body) = response.into_parts();
    let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let length = body.len();
    let mut rendered =
        hyper::Response::new(Whole((length > 0 && !bodiless).then(|| Bytes::from(body))));
    *rendered.status_mut() = status;
    let headers = rendered.headers_mut();
    for (name, value) in fields {
        let value = match value {
            Cow::Borrowed(text) => {
                HeaderValue::from_maybe_shared(Bytes::from_static(text.as_bytes()))
            }
            Cow::Owned(text) => HeaderValue::from_maybe_shared(Bytes::from(text)),
        };
        if let (Some(name), Ok(value)) = (field_name(name), value) {
            headers.append(name, value);
        }
    }
    if is_head && length == 0 && !bodiless {
        // RFC 9110 §9.3.2: the same fields as for GET. hyper writes this one only where it
        // writes the body, or knows how long it would be.
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    if close {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    rendered
}

fn status(response: &Response) -> StatusCode {
    match response.status {
        200..=599 => StatusCode::from_u16(response.status),
        _ => Ok(StatusCode::INTERNAL_SERVER_ERROR),
    }
    .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The name of a field that a handler may set.
fn field_name(name: &str) -> Option<HeaderName> {
    HeaderName::from_bytes(name.as_bytes())
        .ok()
        .filter(|name| *name != CONTENT_LENGTH && *name != TRANSFER_ENCODING)
}

/// A response as bytes, for the door, where no engine runs. It closes the connection.
fn plain(response: Response) -> Vec<u8> {
    let status = status(&response);
    let reason = status.canonical_reason().unwrap_or_default();
    let mut head = format!("HTTP/1.1 {} {reason}\r\n", status.as_u16());
    for (name, value) in response.headers() {
        if let Some(name) = field_name(name) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    head.push_str(&format!(
        "content-length: {}\r\nconnection: close\r\n\r\n",
        response.body().len()
    ));
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(response.body());
    bytes
}

/// A response body in one piece, so that head and body leave in one write.
struct Whole(Option<Bytes>);

impl hyper::body::Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |bytes| bytes.len() as u64))
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

    use super::*;

    fn house(limits: Limits, handler: Handler) -> (Arc<House>, Door) {
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), limits).unwrap();
        let (standing, _) = std::sync::mpsc::channel();
        let house = Arc::new(House::new(server, handler, standing));
        let door = Door::new(&house);
        (house, door)
    }

    /// A connection that the door takes for one from `peer`; its other end.
    fn arrive(house: &Arc<House>, door: &mut Door, peer: &str) -> TcpStream {
        let ours = TcpStream::connect(house.listener.local_addr().unwrap()).unwrap();
        let (theirs, _) = house.listener.accept().unwrap();
        house.admit(theirs, peer.parse().unwrap(), door);
        ours
    }

    fn count(house: &House) -> usize {
        lock(&house.room).guests.count()
    }

    fn end(house: &House) {
        house.close();
        assert_eq!(house.drain(), Drained { abandoned: 0 });
    }

    #[test]
    fn within_the_cap_of_an_address_its_own_connections_make_room() {
        let limits = Limits {
            per_address: 2,
            ..Limits::default()
        };
        let (house, mut door) = house(limits, Box::new(|_| Response::new(200)));
        let mut neighbour = arrive(&house, &mut door, "203.0.113.8");
        let mut first = arrive(&house, &mut door, "203.0.113.7");
        let _second = arrive(&house, &mut door, "203.0.113.7");
        assert_eq!(count(&house), 3);
        let _third = arrive(&house, &mut door, "203.0.113.7");
        assert_eq!(first.read(&mut [0]).unwrap(), 0);
        neighbour
            .write_all(b"GET / HTTP/1.0\r\n\r\n")
            .and_then(|()| neighbour.read_to_end(&mut Vec::new()))
            .unwrap();
        end(&house);
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
        let (house, mut door) = house(limits, Box::new(handler));
        // Two addresses of one customer's network.
        let busy = ["2001:db8::1", "2001:db8::2"].map(|peer| {
            let mut client = arrive(&house, &mut door, peer);
            client.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
            client
        });
        barrier.wait();
        let mut refused = String::new();
        arrive(&house, &mut door, "2001:db8::3")
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
        end(&house);
    }

    #[test]
    fn loopback_and_named_networks_have_no_cap_of_their_own() {
        let limits = Limits {
            per_address: 1,
            exempt: vec!["198.51.100.0/24".parse().unwrap()],
            ..Limits::default()
        };
        let (house, mut door) = house(limits, Box::new(|_| Response::new(200)));
        let _clients: Vec<_> = ["198.51.100.1", "127.0.0.1", "::1", "198.51.100.1"]
            .iter()
            .cycle()
            .take(12)
            .map(|peer| arrive(&house, &mut door, peer))
            .collect();
        assert_eq!(count(&house), 12);
        let room = lock(&house.room);
        assert!(
            room.guests
                .iter()
                .all(|guest| guest.phase() != Phase::ShownOut)
        );
        drop(room);
        end(&house);
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
